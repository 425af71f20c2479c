"""The gate stops files that are not the trained model, though their scores are the same, and says which check failed where."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.device.detection import Detections
from cnnkit.errors import CnnkitError, GateRefused
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.export import checks, container, convert, gate
from cnnkit.export.graph import graph_of, plain
from cnnkit.export.profiles import Profile
from cnnkit.export.profiles.profile import QUANTISED
from cnnkit.export.rounding import disturbance, rounded
from cnnkit.score import Score, Scores
from cnnkit.seals import sealed
from cnnkit.tasks.detection.coco import Truth
from tests import toy_boxes, toy_texts, toys


@dataclasses.dataclass
class Case:
    """A trained model with data and task, and its sound conversions, each made once."""

    artifact: KerasArtifact
    data: object
    task: object
    known: dict = dataclasses.field(default_factory=dict)

    def sound(self, model, precision, calibration, metadata):
        """Convert; the same model only once."""
        key = precision, model is self.artifact.model
        if key not in self.known:
            self.known[key] = convert.convert(model, precision, calibration, metadata)
        return self.known[key]

    def export(self, monkeypatch, folder, precision, fault=None):
        """Export in one precision; `fault` is a converter that makes the file, but not the references of its checks."""

        def maker(model, made, calibration, metadata, profile):
            change = fault if made == precision and fault else self.sound
            return change(model, made, calibration, metadata)

        monkeypatch.setattr(gate, "convert", maker)
        monkeypatch.setattr(gate, "CALIBRATION_IMAGES", 40)
        names = {"train": self.data.train, "held_out": self.data.test, "validation": self.data.validation}
        return gate.export(self.artifact, folder, task=self.task, precisions=[precision], **names)

    def refused(self, monkeypatch, folder, precision, fault):
        """Return the names of the checks that refused a file, and the line that says so."""
        with pytest.raises(GateRefused) as caught:
            self.export(monkeypatch, folder, precision, fault)
        assert [path.name for path in folder.iterdir()] == [gate.GATE], "no file is left"
        verdict = json.loads((folder / gate.GATE).read_text())["artifacts"][precision]
        assert not verdict["passed"] and "\n" not in str(caught.value)
        return [check["name"] for check in verdict["checks"] if not check["passed"]], str(caught.value)


@pytest.fixture(scope="module")
def images(toy_run):
    artifact = open_artifact(toy_run)
    artifact.metadata["preparing"] = {"centre": True, "shapes": {"polarity": "dark"}}
    return Case(artifact, toys.splits(80, 24, 60), toys.recipe().task)


def small_text(several):
    keras.utils.set_random_seed(0)
    data = toy_texts.splits(60, 24, 60, toy_texts.tagged if several else toy_texts.rows)
    from cnnkit_text.model import BUILDERS

    recipe, tokenizer = toy_texts.recipe(data), data.train.tokenizer
    model = BUILDERS["kim-rand"]((tokenizer.length,), 3, **toy_texts.small(tokenizer))
    for layer in model.layers:  # a larger spread than that of the start, so that answers differ
        layer.set_weights([np.asarray(values) * 3 for values in layer.get_weights()])
    decided = {"thresholds": [0.4, 0.5, 0.6], "temperature": 1.4} if several else {"temperature": 0.7, "sure": 0.4}
    return Case(toy_texts.artifact(model, data.train, **decided), data, recipe.task)


@pytest.fixture(scope="module")
def texts():
    return small_text(several=False)


@pytest.fixture(scope="module")
def tags():
    return small_text(several=True)


@pytest.fixture(scope="module")
def boxes():
    from cnnkit_signs.model import DETECTORS

    keras.utils.set_random_seed(0)
    data = toy_boxes.splits(24, 8, 8, strides=(8,))
    model = DETECTORS["default"]((64, 64, 3), 2, strides=(8,), width=8)
    about = {
        "app": "toy",
        "task": "detection",
        "labels": list(toy_boxes.LABELS),
        "input": {"kind": "image", "shape": [64, 64, 3]},
    }
    about["detection"] = {**data.train.plan.to_dict(), "threshold": 0.01}
    about |= {"temperature": 0.8, "offset": 0.5}
    return Case(KerasArtifact("model.keras", model, about), data, toy_boxes.recipe(data).task)


def altered(layer, place, change):
    """A converter of the model with one array of a layer changed."""

    def make(model, precision, calibration, metadata):
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        values = copy.get_layer(layer).get_weights()
        values[place] = np.asarray(change(values[place]), "float32")
        copy.get_layer(layer).set_weights(values)
        copy.on_steps = getattr(model, "on_steps", False)
        return convert.convert(copy, precision, calibration, metadata)

    return make


def ending(scores):
    """A converter whose scores are another function of the sound ones."""
    whole = convert.outputs

    def outputs(model, metadata):
        found = whole(model, metadata)
        return keras.Model(found.input, {**found.output, "scores": scores(found)})

    def make(*arguments):
        convert.outputs = outputs
        try:
            return convert.convert(*arguments)
        finally:
            convert.outputs = whole

    return make


def left_out(found):
    return layers.Activation("linear", name="scores_out")(found.get_layer("scores").input)


def near_chance(found):
    return layers.Rescaling(0.02, 0.98 / 3, name="scores_out")(found.output["scores"])


def described(case, change):
    """A converter whose file is sound, but for what it says of itself."""

    def make(model, precision, calibration, metadata):
        content = case.sound(model, precision, calibration, metadata)
        return behind(content, change(Profile(model, metadata).described(precision)))

    return make


def behind(content, metadata, labels=None):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = min(info.header_offset for info in archive.infolist())
    whole = container.appendix(metadata)
    if labels is not None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(buffer, "w") as after:
            for info in before.infolist():
                after.writestr(info, labels if info.filename == "labels.txt" else before.read(info))
        whole = buffer.getvalue()
    return sealed(content[:start] + whole)


SCORES = ("scores",)
PRECISE = {"float32": "answers", "float16": "constants", "int8": "constants", "int16x8": "constants"}


class TestImages:
    @pytest.mark.parametrize("precision", convert.PRECISIONS)
    def test_a_sound_file_passes_and_each_check_is_written_down(self, images, monkeypatch, tmp_path, precision):
        document = images.export(monkeypatch, tmp_path, precision)
        found = {check["name"]: check for check in document["artifacts"][precision]["checks"]}
        always = {"input and output", "metadata", "probabilities"}
        kinds = {
            "float32": {"answers"},
            "float16": {"reference", "network", "constants", "answers"},
            "int8": {"rounding", "reference", "network", "constants", "integers", "size", "ranges", "clipping"},
        }
        assert set(found) == always | kinds[precision.replace("int16x8", "int8")]
        for check in found.values():
            assert check["passed"] and check["measured"] <= check["bar"] and check["what"], check
        assert found[{"float32": "answers"}.get(precision, "reference")]["measured"] < 1e-5
        if precision != "float32":
            assert 0.3 < found["constants"]["measured"] <= 0.501, "rounding is half a step"
        kernels = "built-in kernels" if precision == "int16x8" else "XNNPACK"
        assert document["interpreter"].startswith("LiteRT") and kernels in document["interpreter"]

    @pytest.mark.parametrize("precision", convert.PRECISIONS)
    @pytest.mark.parametrize("fault", ["softmax left out", "near chance", "weights", "bias", "norm", "classes swapped"])
    def test_a_fault_in_the_network_is_stopped(self, images, monkeypatch, tmp_path, precision, fault):
        converter = {
            "softmax left out": ending(left_out),
            "near chance": ending(near_chance),
            "weights": altered("conv2", 0, lambda v: v * (1 + 0.1 * (np.arange(v.shape[-1]) == 3))),
            "bias": altered("logits", 1, lambda v: v + [0.05, 0, 0]),
            "norm": altered("norm", 2, lambda v: v + 0.02),
            "classes swapped": altered("logits", 0, lambda v: v[:, ::-1]),
        }[fault]
        found, line = images.refused(monkeypatch, tmp_path, precision, converter)
        wanted = "network" if "out" in fault or "chance" in fault else PRECISE[precision]
        assert (wanted if precision != "float32" else "answers") in found
        assert f"The gate refused {precision}" in line and found[0] in line and "no tolerance helps" in line
        if fault in ("weights", "norm") and precision in QUANTISED:
            assert ("conv2 (CONV_2D)" if fault == "weights" else "norm (CONV_2D)") in line, "the layer is named"

    @pytest.mark.parametrize(
        ("precision", "wrong"),
        [
            pytest.param(precision, wrong, id=f"{name}-{precision}")
            for name, wrong in {
                "divided": lambda images: images / 255.0,
                "zeros": np.zeros_like,
                "two": lambda images: images[:2],
                "reversed": lambda images: 255 - images,
                "noise": lambda images: np.random.default_rng(0).integers(0, 256, images.shape).astype("uint8"),
            }.items()
            for precision in QUANTISED
            if (name, precision) != ("reversed", "int16x8")  # ranges about 0 are the same
        ],
    )
    def test_wrong_calibration_is_stopped(self, images, monkeypatch, tmp_path, wrong, precision):
        found, line = images.refused(
            monkeypatch, tmp_path, precision, lambda m, p, c, a: convert.convert(m, p, wrong(c), a)
        )
        assert found[0] == "ranges" or "ranges" in found
        assert "distance from the range" in line

    def test_rounding_that_does_more_than_round_is_stopped(self, images, monkeypatch, tmp_path):
        whole = convert.rounded

        def wrong(model, *given):
            copy = whole(model, *given)
            kernel, *rest = copy.get_layer("conv2").get_weights()
            copy.get_layer("conv2").set_weights([kernel * 0.7, *rest])
            return copy

        monkeypatch.setattr(convert, "rounded", wrong)
        fresh = dataclasses.replace(images, known={})
        found, line = fresh.refused(monkeypatch, tmp_path, "int8", None)
        assert found == ["rounding"] and "conv2" in line

    @pytest.mark.parametrize("wanted", QUANTISED)
    def test_a_file_of_integers_that_computes_in_floats_is_stopped(self, images, monkeypatch, tmp_path, wanted):
        """Its answers are right."""

        def in_floats(model, precision, calibration, metadata):
            content = convert.convert(model, "float16", calibration, metadata)
            return behind(content, Profile(model, metadata).described(precision))

        found, line = images.refused(monkeypatch, tmp_path, wanted, in_floats)
        assert "integers" in found
        kinds = {"int8": "int8", "int16x8": "int16 and int8"}[wanted]
        assert f"inputs and weights of convolutions that are not {kinds}" in line
        assert "(CONV_2D), input float32" in line

    @pytest.mark.parametrize(
        ("place", "change"),
        [
            ("task", lambda a: a | {"task": "multilabel"}),
            ("labels", lambda a: a | {"labels": a["labels"][::-1]}),
            ("input.shape", lambda a: a | {"input": {**a["input"], "shape": [12, 12, 3]}}),
            ("preparing.centre", lambda a: a | {"preparing": {**a["preparing"], "centre": False}}),
            (
                "preparing.shapes.polarity",
                lambda a: a | {"preparing": {"centre": True, "shapes": {"polarity": "light"}}},
            ),
            ("preparing", lambda a: {k: v for k, v in a.items() if k != "preparing"}),
            ("precision", lambda a: a | {"precision": "float64"}),
            ("more", lambda a: a | {"more": 1}),
        ],
    )
    def test_a_changed_field_is_stopped_and_named(self, images, monkeypatch, tmp_path, place, change):
        found, line = images.refused(monkeypatch, tmp_path, "float32", described(images, change))
        assert found == ["metadata"] and f"at {place}" in line

    def test_other_labels_beside_the_metadata_are_stopped(self, images, monkeypatch, tmp_path):
        def make(model, precision, calibration, metadata):
            content = images.sound(model, precision, calibration, metadata)
            return behind(content, Profile(model, metadata).described(precision), "square\nvertical\nhorizontal\n")

        found, line = images.refused(monkeypatch, tmp_path, "float32", make)
        assert found == ["metadata"] and "labels.txt" in line


class TestTexts:
    @pytest.mark.parametrize("precision", convert.PRECISIONS)
    def test_a_sound_file_passes(self, texts, tags, monkeypatch, tmp_path, precision):
        for case in (texts, tags):
            verdict = case.export(monkeypatch, tmp_path, precision)["artifacts"][precision]
            assert verdict["passed"] and ("tables" in [c["name"] for c in verdict["checks"]]) is (
                precision == "float32"
            )

    @pytest.mark.parametrize("precision", convert.PRECISIONS)
    def test_softmax_or_sigmoid_left_out_is_stopped(self, texts, tags, monkeypatch, tmp_path, precision):
        for name, case in (("one", texts), ("several", tags)):
            (tmp_path / name).mkdir()
            found, _ = case.refused(monkeypatch, tmp_path / name, precision, ending(left_out))
            assert ("answers" if precision == "float32" else "network") in found

    def test_a_row_of_a_word_that_no_test_text_has_is_compared(self, texts, monkeypatch, tmp_path):
        fault = altered("embedding", 0, lambda v: v + 0.01 * (np.arange(len(v)) == 0)[:, None])
        found, line = texts.refused(monkeypatch, tmp_path, "float32", fault)
        assert "tables" in found and "embedding" in line

    @pytest.mark.parametrize("field", ["vocabulary", "margin", "length"])
    def test_a_stale_vocabulary_is_stopped(self, texts, monkeypatch, tmp_path, field):
        def change(about):
            lines = about["text"]["vocabulary"].splitlines()
            words, ids = zip(*(line.split() for line in lines[2:]))
            mixed = [f"{word} {key}" for word, key in zip(words, reversed(ids))]
            other = {"vocabulary": "\n".join([*lines[:2], *mixed, ""]), "margin": 9, "length": 31}
            return about | {"text": {**about["text"], field: other[field]}}

        found, line = texts.refused(monkeypatch, tmp_path, "float32", described(texts, change))
        assert "metadata" in found and f"text.{field}" in line

    def test_another_temperature_or_threshold_is_stopped(self, texts, tags, boxes, monkeypatch, tmp_path):
        for case, name, value in (
            (texts, "temperature", 0.71),
            (texts, "sure", 0.41),
            (tags, "temperature", 1.41),
            (boxes, "temperature", 0.81),
            (boxes, "offset", 0.51),
            (tags, "thresholds", [0.4, 0.5, 0.7]),
        ):
            fault = described(case, lambda about, name=name, value=value: about | {name: value})
            found, line = case.refused(monkeypatch, tmp_path, "float32", fault)
            assert found == ["metadata"] and f"at {name}" in line

        def warmer(model, precision, calibration, metadata):
            content = convert.convert(model, precision, calibration, metadata | {"temperature": 0.9})
            return behind(content, Profile(model, metadata).described(precision))

        for case in (texts, tags, boxes):
            found, _ = case.refused(monkeypatch, tmp_path, "float32", warmer)
            assert found == ["answers"], "in the graph alone"

    def test_calibration_on_padding_is_stopped(self, texts, monkeypatch, tmp_path):
        found, _ = texts.refused(
            monkeypatch, tmp_path, "int8", lambda m, p, c, a: convert.convert(m, p, np.zeros_like(c), a)
        )
        assert "ranges" in found


class TestTrueScores:
    def test_each_file_says_how_true_its_scores_are(self, images, texts, tags, monkeypatch, tmp_path):
        for case, precision in ((images, "int8"), (texts, "float32"), (tags, "float32")):
            document = case.export(monkeypatch, tmp_path, precision)
            own, found = document["reference"]["calibration"], document["artifacts"][precision]["calibration"]
            assert own["worse"] == 0 and abs(found["worse"]) < 0.05, case
            assert found["ece_interval"][0] <= found["ece"] <= found["ece_interval"][1] and found["by_chance"][0] >= 0
            assert found["nll"] == pytest.approx(own["nll"], abs=0.05)

    def test_scores_that_are_less_true_are_said_and_refuse_nothing(self, images, monkeypatch, tmp_path):
        """The scores of the file are squeezed towards one half of what was sure, so every answer stays."""
        real = gate.outputs

        def duller(artifact, records, task):
            found, targets = real(artifact, records, task)
            if artifact is not images.artifact:
                powers = found["scores"] ** 0.3
                found = {**found, "scores": powers / powers.sum(1, keepdims=True)}
            return found, targets

        monkeypatch.setattr(gate, "outputs", duller)
        document = images.export(monkeypatch, tmp_path, "float32")
        verdict = document["artifacts"]["float32"]
        assert verdict["passed"] and verdict["difference"] == 0 and verdict["calibration"]["worse"] > 0.05
        (line,) = [line for line in document["notes"] if "less true" in line]
        assert "of the float32 file" in line and f"{verdict['calibration']['ece']:.3f}" in line

    def test_a_task_without_chances_has_none(self):
        from cnnkit.evaluation.task import Task

        assert Task().chances({}, None, ()) is None


class TestBoxes:
    def test_a_sound_file_passes_though_its_model_finds_nothing(self, boxes, monkeypatch, tmp_path):
        document = boxes.export(monkeypatch, tmp_path, "float32")
        assert document["artifacts"]["float32"]["passed"] and "small" in document["notes"][0]

    @pytest.mark.parametrize("precision", QUANTISED)
    def test_a_sound_file_of_integers_passes_its_comparisons(self, boxes, tmp_path, precision):
        some = [getattr(boxes.data, part).read(np.arange(8))[0] for part in ("train", "test", "validation")]
        chain, path = gate.Chain(boxes.artifact, *some), tmp_path / "x.tflite"
        path.write_bytes(content := chain.content(precision))
        found = chain.checks(precision, content, path)
        assert not [check.reason for check in found if not check.passed]
        assert {"network", "constants", "integers", "size", "ranges", "clipping"} <= {check.name for check in found}

    @pytest.mark.parametrize("fault", ["sigmoid left out", "boxes too small", "sides swapped"])
    def test_a_fault_in_one_of_two_outputs_is_stopped(self, boxes, monkeypatch, tmp_path, fault):
        converter = {
            "sigmoid left out": ending(left_out),
            "boxes too small": altered("to_boxes", 1, lambda v: v + np.log(0.82) * np.array([0, 0, 1, 1])),
            "sides swapped": altered("to_boxes", 0, lambda v: v[..., [1, 0, 3, 2]]),
        }[fault]
        found, line = boxes.refused(monkeypatch, tmp_path, "float32", converter)
        assert "answers" in found and ("scores of input" if "sigmoid" in fault else "boxes of input") in line

    def test_another_threshold_or_plan_is_stopped(self, boxes, monkeypatch, tmp_path):
        for name, value in (("threshold", 0.3), ("scale", 1.0), ("strides", [16])):
            fault = described(boxes, lambda a, n=name, v=value: a | {"detection": {**a["detection"], n: v}})
            found, line = boxes.refused(monkeypatch, tmp_path, "float32", fault)
            assert "metadata" in found and f"detection.{name}" in line


def test_nothing_that_the_gate_has_not_released_lies_where_commands_look_for_files(toy_run, tmp_path, monkeypatch):
    """A process that is killed in the middle leaves what is there: `predict` of its run would take it for a file that passed."""
    there = []

    def looks(chain, precision, content, path):
        there.extend(file.name for file in tmp_path.rglob("*.tflite"))
        return [checks.failed("x", "y")]

    monkeypatch.setattr(gate.Chain, "checks", looks)
    case = Case(open_artifact(toy_run, "toy"), toys.splits(), toys.recipe().task)
    with pytest.raises(GateRefused):
        case.export(monkeypatch, tmp_path, "float32")
    assert there == [] and [path.name for path in tmp_path.iterdir()] == [gate.GATE]


def test_the_trained_model_is_not_scored_again_where_its_answers_are_known(images, monkeypatch, tmp_path):
    from cnnkit.evaluation import scoring

    calls = []
    known = scoring.outputs(images.artifact, images.data.test, images.task)
    monkeypatch.setattr(gate, "outputs", lambda model, *rest: calls.append(model) or scoring.outputs(model, *rest))
    names = {"train": images.data.train, "held_out": images.data.test, "task": images.task, "precisions": ["float32"]}
    document = gate.export(images.artifact, tmp_path, scored=known, baseline=1.0, **names)
    assert images.artifact not in calls and len(calls) == 2, "the file, and the file in half precision"
    assert any("its baseline 100.00" in line for line in document["notes"])
    assert document["artifacts"]["float32"]["difference"] == 0
    assert gate.summary(document).startswith("No file lost a point")


def scored(value, per_class=None, **about):
    classes = {label: {"f1": share, "support": 9} for label, share in (per_class or {}).items()}
    return Scores(Score("score", value, per_class=per_class, **about), count=40, per_class=classes)


def test_a_loss_is_refused_where_nothing_tells_whether_it_is_chance():
    verdict = gate.compare(scored(0.9, {"a": 0.9}), scored(0.9, {"a": 0.8}), 1.0, None, 3.0)
    assert verdict["refused"] == ["10.00 points lost in class a"] and verdict["worst_class_count"] == 9


def test_of_an_error_more_is_a_loss_in_its_unit_and_records_tell_what_is_chance():
    rng = np.random.default_rng(0)
    errors = rng.exponential(2.0, 200)

    def years(errors):
        return scored(float(errors.mean()), unit="years", better="less", per_record=errors)

    noise = rng.normal(0, 0.5, 200)
    noise += 0.03 - noise.mean()
    worse, better, chance = (gate.compare(years(errors), years(errors + change), 0.02) for change in (0.1, -0.1, noise))
    assert worse["refused"] == ["0.1 years more overall"] and worse["difference"] == pytest.approx(0.1)
    assert better["passed"] and not better["said"] and better["worst_class"] == ""
    assert chance["passed"] and chance["said"] == ["0.03 years more overall"]
    reference = json.loads(json.dumps(gate.written(years(errors))))
    assert gate.compared({"reference": reference}).title == "score years"
    text = gate.summary({"reference": reference, "artifacts": {"a": better, "b": chance}})
    assert text.startswith("Largest loss against the trained model: 0.03 years overall (b, 40 records). No loss beyond")
    assert gate.summary({"reference": reference, "artifacts": {"a": better}}) == (
        "No file lost anything against the trained model on 40 records."
    )
    assert gate.notes(years(errors), 0.02) == [], "one record is no known number of years"
    assert "its baseline 1" in gate.notes(years(errors), 0.02, baseline=1.0)[0]
    assert gate.notes(years(errors), 0.02, baseline=9.0) == []


def test_a_loss_that_may_be_chance_is_said_with_its_size_and_one_that_is_more_is_refused():
    before, after = scored(0.9, {"a": 0.9}), scored(0.85, {"a": 0.8})
    verdict = gate.compare(before, after, 1.0, {"a": (2, 0)}, 3.0)
    assert verdict["passed"] and verdict["said"] == ["5.00 points lost overall", "10.00 points lost in class a"]
    document = {"reference": gate.written(before), "artifacts": {"int8": verdict}}
    text = gate.summary(document)
    assert "5.00 points overall (int8, 40 records), 10.00 in a class (int8, a, 9 records)" in text and "chance" in text
    assert len(gate.compare(before, after, 1.0, {"a": (6, 0)}, 3.0)["refused"]) == 2


def test_errors_of_detectors_are_boxes_missed_and_false_alarms():
    def found(*rows):
        table = np.array(rows, "float32").reshape(-1, 6)
        return Detections(table[:, :4], table[:, 4], table[:, 5].astype("int32"))

    truth = [Truth(np.array([[0, 0, 10, 10], [20, 20, 40, 40.0]]), np.array([0, 1]), np.array([False, False]))]
    both = found((0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.8, 1))
    worse = found((0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.4, 1), (50, 50, 60, 60, 0.7, 0))
    task = toy_boxes.recipe(toy_boxes.splits(2, 1, 1)).task
    at_half = {"detection": {"threshold": 0.5}}
    assert task.changes([both], [worse], truth, "ab", at_half) == {"a": (1, 0), "b": (1, 0)}
    assert task.changes([worse], [both], truth, "ab", at_half) == {"a": (0, 1), "b": (0, 1)}
    assert task.changes([both], [worse], truth, "ab", {"detection": {"threshold": 0.3}}) == {"a": (1, 0), "b": (0, 0)}


def test_answers_are_compared_by_their_logarithms():
    sure = {"scores": np.array([[1 - 1e-6, 1e-6]])}
    other = {"scores": np.array([[1 - 2e-6, 2e-6]])}  # both say the same to five places
    assert checks.answers("x", sure, sure, 1e-3, SCORES).passed
    assert not checks.answers("x", sure, other, 1e-3, SCORES).passed
    assert not checks.answers("x", sure, {"scores": np.array([[np.nan, 0.0]])}, 1e-3, SCORES).passed
    assert not checks.answers("x", sure, {"boxes": sure["scores"]}, 1e-3, SCORES).passed
    assert not checks.answers("x", sure, {"scores": np.zeros((1, 3))}, 1e-3, SCORES).passed


def test_answers_may_differ_less_where_inputs_hardly_change_them():
    varied = np.exp(-np.array([[1.0, 2.0], [3.0, 1.0]]))
    alike = np.exp(-np.array([[1.0, 2.0], [1.02, 2.0]]))  # logarithms vary by 0.01
    assert checks.narrow({"scores": varied}, SCORES) == checks.FLOAT32
    assert checks.narrow({"scores": alike}, SCORES) == pytest.approx(1e-4)
    assert checks.narrow({"scores": alike[:1]}, SCORES) == checks.NOISE  # of one input alone nothing is known
    assert checks.narrow({"scores": alike, "boxes": np.array([[0.0], [9.0]])}, SCORES) == checks.FLOAT32


@pytest.mark.parametrize("what", [0, 1], ids=["input", "weights"])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_3D", "TRANSPOSE_CONV"])
def test_every_kind_of_convolution_in_floats_is_named(images, kind, what):
    whole = graph_of(
        images.sound(images.artifact.model, "int8", images.data.train.read(np.arange(8))[0], images.artifact.metadata)
    )
    assert checks.integers(whole).measured == 0
    number, step = next((n, step) for n, step in enumerate(whole.steps) if step.kind == "CONV_2D")
    place = checks.CONVOLVED[kind][what]
    given = [step.given[1], step.given[1], step.given[0]] if kind == "TRANSPOSE_CONV" else list(step.given)
    given[place] = dataclasses.replace(given[place], kind="FLOAT32")
    changed = dataclasses.replace(step, kind=kind, given=tuple(given))
    graph = dataclasses.replace(whole, steps=(*whole.steps[:number], changed, *whole.steps[number + 1 :]))
    check = checks.integers(graph)
    assert check.measured == 1
    assert check.where == f"{changed.place}, {('input', 'weights')[what]} float32"


def test_weights_that_are_no_smaller_are_named(images):
    some = images.data.train.read(np.arange(8))[0]
    base, small = (
        graph_of(images.sound(images.artifact.model, p, some, images.artifact.metadata)) for p in ("float32", "int8")
    )
    assert 0.24 < checks.size(base, small).measured < 0.3
    found = checks.size(base, base)
    assert found.measured == 1
    assert not found.passed
    assert "weights" in found.where


@pytest.mark.parametrize(
    ("side", "count", "cells"),
    [(28, 512, 512), (64, 512, 512), (96, 227, 512), (256, 32, 512), (416, 32, 193), (1024, 32, 32)],
)
def test_where_each_place_is_answered_int8_is_calibrated_on_as_many_pixels(images, side, count, cells):
    from cnnkit.tasks.detection.scoring import Detection
    from cnnkit.tasks.segmentation.scoring import Segmentation

    class Artifact:
        path, metadata, input_shape = "x.keras", images.artifact.metadata, (side, side, 3)

    assert gate.calibrating(Segmentation(), Artifact) == count
    assert gate.calibrating(Detection(), Artifact) == cells
    assert gate.calibrating(images.task, Artifact) == 512, "one answer an input: each is needed, however large"


def test_a_graph_is_read_with_its_constants(images):
    content = images.sound(images.artifact.model, "float32", np.zeros((1, 12, 12, 1)), images.artifact.metadata)
    graph = graph_of(content)
    assert [step.kind for step in graph.steps] == [
        "CONV_2D",
        "MAX_POOL_2D",
        "CONV_2D",
        "REDUCE_MAX",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    kernel = images.artifact.model.get_layer("conv2").get_weights()[0]
    np.testing.assert_array_equal(graph.steps[2].inputs[1].data, kernel.transpose(3, 0, 1, 2))
    assert graph.steps[2].place == "conv2 (CONV_2D)" and plain("relu;device_1/device_1/conv2_1/convolution") == "conv2"


@pytest.mark.parametrize("seed", range(3))
def test_rounding_by_effect_disturbs_less_than_the_nearest_steps(seed):
    keras.utils.set_random_seed(seed)
    image = keras.Input((12, 12, 2))
    x = layers.ReLU()(layers.Conv2D(6, 3, name="conv")(image))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.DepthwiseConv2D(3, name="depthwise")(x))))
    some = np.random.default_rng(seed).integers(0, 256, (40, 12, 12, 2))
    copy = rounded(model, some)
    worst, _ = disturbance(model, copy, some)
    assert worst < 1.5
    kernel, bias = copy.get_layer("depthwise").get_weights()
    copy.get_layer("depthwise").set_weights([kernel * 0.7, bias])
    worst, where = disturbance(model, copy, some)
    assert worst > gate.DISTURBED and where == "depthwise"
    copy.get_layer("depthwise").set_weights([kernel, bias + 0.01])
    assert disturbance(model, copy, some) == (float("inf"), "depthwise")


@pytest.mark.parametrize("activation", ["softplus", "mish"])
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_a_layer_whose_numbers_are_not_finite_is_named_where_the_converter_would_end_the_process(precision, activation):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, activation=activation, name="large")(image)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(x))
    model.get_layer("large").set_weights([np.full((3, 3, 3, 4), 1.0), np.zeros(4)])
    about = {**toys.ABOUT, "format": 1, "labels": ["a", "b"], "input": {"kind": "image", "shape": [8, 8, 3]}}
    some = np.full((40, 8, 8, 3), 200, np.float32)
    chain = gate.Chain(KerasArtifact(Path("model.keras"), model, about), some, some, some)
    with pytest.raises(CnnkitError, match=f"to {precision}: large .*numbers that are not finite"):
        chain.content(precision)

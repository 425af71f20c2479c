"""Suites that models, augmentations, layers and apps inherit: a subclass says what to build, the tests come with it."""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import cnnkit


def images(*shape, seed=0):
    """Random images float32 of that shape, whole numbers in [0, 255]."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def told(model, inputs):
    """What a model says in inference, in the structure of its output. Nothing is compiled: that takes longer than the call."""
    import keras

    return keras.tree.map_structure(np.array, model(inputs, training=False))


class ModelContract:
    """What every builder keeps: shapes, rescaling inside, float32 logits, trainable throughout, saves, repeats.

    Attributes:
        inputs: images as `images` makes them, (b, h, w, c).
        output_shape: (b, classes).
        parameters: their number, computed by hand.
        too_small: an image shape that the network cannot take.
    """

    inputs: np.ndarray
    output_shape: tuple[int, int]
    parameters: int
    too_small: tuple[int, int, int]

    def builder(self, image_shape, classes):
        """Call the builder with the options under test."""
        raise NotImplementedError

    def build(self):
        import keras

        keras.utils.set_random_seed(0)
        return self.builder(self.inputs.shape[1:], self.output_shape[1])

    def test_it_turns_pixels_into_float32_logits(self):
        model = self.build()
        logits = told(model, self.inputs)
        assert logits.shape == self.output_shape
        assert model.output.dtype == "float32"
        assert np.isfinite(logits).all()
        assert np.ptp(logits, axis=0).max() > 0, "the logits do not depend on the image"
        assert model.layers[-1].name == "logits"

    def test_it_has_the_parameters_that_were_counted_by_hand(self):
        assert self.build().count_params() == self.parameters

    def test_rescaling_is_its_first_layer(self):
        import keras

        first = self.build().layers[1]
        assert isinstance(first, keras.layers.Rescaling)
        assert 1 <= first.scale * 255 < 1.3
        assert -0.2 <= first.offset <= 0

    def test_it_takes_colour(self):
        height, width = self.inputs.shape[1:3]
        assert self.builder((height, width, 3), 2).output.shape == (None, 2)

    def test_it_takes_any_size_that_is_big_enough(self):
        height, width, channels = self.inputs.shape[1:]
        assert self.builder((height + 5, width + 12, channels), 3).output.shape == (None, 3)

    def test_an_image_that_is_too_small_is_refused_with_the_size_it_needs(self):
        with pytest.raises(ValueError, match=r"at least \d+ px\. Received: image_shape=\(\d+, \d+, \d+\)\.") as caught:
            self.builder(self.too_small, 10)
        need = int(str(caught.value).split("at least ")[1].split()[0])
        assert self.builder((need, need, 1), 10).output.shape == (None, 10)

    def test_wrong_arguments_are_refused_with_what_came(self):
        for shape in ((28, 28), (28, 28, 0), (28.0, 28, 1), (None, 28, 1)):
            with pytest.raises(ValueError, match=r"`image_shape` needs .* Received: image_shape="):
                self.builder(shape, 10)
        with pytest.raises(ValueError, match=r"`classes` needs at least 2\. Received: classes=1\."):
            self.builder((40, 40, 1), 1)

    def test_the_same_seed_builds_the_same_weights(self):
        first, second = self.build(), self.build()
        assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))

    def test_it_comes_back_from_a_file_unchanged(self, tmp_path):
        import keras

        model = self.build()
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
        before, after = (told(m, self.inputs) for m in (model, loaded))
        np.testing.assert_array_equal(before, after)

    def test_a_training_step_reaches_every_weight(self):
        import keras

        model = self.build()
        before = [np.array(w) for w in model.trainable_variables]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)  # compiling takes longer
        model.train_on_batch(self.inputs, np.arange(len(self.inputs)) % self.output_shape[1])
        still = [w.path for w, b in zip(model.trainable_variables, before) if np.array_equal(np.array(w), b)]
        assert not still

    def test_it_computes_without_lambda_layers(self):
        assert not [layer.name for layer in self.build().layers if type(layer).__name__ == "Lambda"]


class TextModelContract:
    """What every builder for texts keeps: ids to logits, repeats, saves, converts, learns, is not moved by more padding.

    Attributes:
        length: ids of a text.
        size: ids there are.
        parameters: their number, computed by hand.
        any_length: whether the network takes texts of any length; otherwise that of `length` alone.
        margin: ids of padding that have to stay where a batch is cut.
    """

    classes = 3
    length = 24
    size = 40
    parameters: int
    any_length = True
    margin = 8

    def builder(self, image_shape, classes, *, size):
        """Call the builder with the options under test."""
        raise NotImplementedError

    def started(self, model):
        """Put in what a training starts with beyond random weights."""
        return model

    def build(self, seed=0):
        import keras

        keras.utils.set_random_seed(seed)
        return self.started(self.builder((self.length,), self.classes, size=self.size))

    def texts(self, count=12, seed=0):
        """Ids int32 (count, length) of texts of 1 to `length` words, the first as long as can be; the last id is in none."""
        rng = np.random.default_rng(seed)
        ids = rng.integers(1, self.size - 1, (count, self.length)).astype(np.int32)
        sizes = np.r_[self.length, rng.integers(1, self.length + 1, count - 1)]
        return np.where(np.arange(self.length) < sizes[:, None], ids, 0).astype(np.int32)

    def test_it_turns_ids_into_float32_logits(self):
        model = self.build()
        assert model.input.dtype == "int32" and len(model.inputs) == 1
        assert model.input_shape == (None, None if self.any_length else self.length)
        logits = told(model, self.texts())
        assert logits.shape == (12, self.classes) and logits.dtype == np.float32
        assert np.isfinite(logits).all() and np.ptp(logits, axis=0).min() > 0, "the logits do not depend on the text"

    def test_it_has_the_parameters_that_were_counted_by_hand(self):
        assert self.build().count_params() == self.parameters

    def test_the_same_seed_builds_the_same_weights(self):
        first, second, other = (self.build(seed).get_weights() for seed in (0, 0, 1))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))

    def test_wrong_arguments_are_refused_with_what_came(self):
        for shape in ((24, 3), (), (0,), (None,), (24.0,)):
            with pytest.raises(ValueError, match=r"`image_shape` needs .* Received: image_shape="):
                self.builder(shape, 3, size=self.size)
        with pytest.raises(ValueError, match=r"`classes` needs at least 1\. Received: classes=0\."):
            self.builder((self.length,), 0, size=self.size)
        with pytest.raises(ValueError, match=r"`size` needs .* Received: size=0\."):
            self.builder((self.length,), 3, size=0)

    def test_it_comes_back_from_a_file_unchanged(self, tmp_path):
        import keras

        model = self.build()
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
        before, after = (told(m, self.texts()) for m in (model, loaded))
        np.testing.assert_array_equal(before, after)
        assert not [layer.name for layer in model.layers if type(layer).__name__ == "Lambda"]

    def test_a_training_step_reaches_every_weight_and_of_words_those_of_the_batch(self):
        import keras

        from cnnkit.optimizers import LayerwiseAdamW

        model, ids = self.build(), self.texts()
        before = {w.path: np.array(w) for w in model.weights}
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(LayerwiseAdamW(0.01, weight_decay=0.0), loss, run_eagerly=True)  # compiling takes longer
        for _ in range(3):
            model.train_on_batch(ids, np.arange(len(ids)) % self.classes)
        changed = {w.path: np.array(w) != before[w.path] for w in model.weights}
        learning = {w.path for w in model.trainable_variables}
        assert not [path for path in learning if not changed[path].any()]
        assert not [w.path for w in model.non_trainable_variables if "seed" not in w.path and changed[w.path].any()]
        for path in learning:
            if path.endswith("/embeddings") and len(changed[path]) == self.size:
                rows = set(np.flatnonzero(changed[path].any(1)).tolist())
                assert rows <= set(ids.ravel().tolist()), path
                assert len(rows) > self.size / 2, path

    def exported(self, path, model, ids, precision="float32"):
        """Write a `.tflite` and open it; return it with the metadata that it was given."""
        from cnnkit.device.model import DeviceModel
        from cnnkit.export.convert import convert

        text = {
            "kind": "words",
            "length": self.length,
            "size": self.size,
            "buckets": 0,
            "ngram": 4,
            "margin": self.margin,
        }
        metadata = {"task": "classification", "labels": list("abc"), "temperature": 0.7}
        metadata["input"] = {"kind": "text", "shape": [self.length], "ids": self.size}
        metadata["text"] = {**text, "vocabulary": ""}
        path.write_bytes(convert(model, precision, ids, metadata))
        return DeviceModel.open(path), metadata

    def in_range(self, device, ids):
        """Ids that no word has, which other clients may feed, count as the nearest there are; the interpreter goes on."""
        wrong = ids.copy()
        wrong[:, :4] = [2**31 - 1, -(2**31), self.size, -1]
        nearest = np.clip(wrong, 0, self.size - 1)
        assert np.array_equal(device.run(wrong[0])["scores"], device.run(nearest[0])["scores"])
        assert np.array_equal(
            device.run_batch(wrong)["scores"], device.run_batch(wrong.clip(0, self.size - 1))["scores"]
        )

    def test_it_converts_and_scores_alike(self, tmp_path):
        from cnnkit.evaluation.artifacts import KerasArtifact

        model, ids = self.build(), self.texts(70)  # more than are run together
        device, metadata = self.exported(tmp_path / "x.tflite", model, ids)
        trained = KerasArtifact(tmp_path, model, dict(metadata)).run_batch(ids)["scores"]
        assert device.input_shape == (self.length,) and device.input_dtype == np.int32
        np.testing.assert_allclose(device.run_batch(ids)["scores"], trained, atol=2e-6)
        np.testing.assert_allclose(device.run_batch(ids[:1])["scores"], trained[:1], atol=2e-6)  # as a client would
        np.testing.assert_allclose(device.run(ids[1])["scores"], trained[1:2], atol=2e-6)
        assert np.ptp(trained, axis=0).min() > 1e-3
        self.in_range(device, ids)

    def test_ids_that_no_word_has_do_not_stop_an_int8_file(self, tmp_path):
        ids = self.texts()
        self.in_range(self.exported(tmp_path / "x.tflite", self.build(), ids, "int8")[0], ids)

    def test_cutting_the_padding_changes_nothing(self):
        from cnnkit.device.text import lengths, widths

        if not self.any_length:
            with pytest.raises(ValueError, match="expected shape|incompatible"):
                self.build()(self.texts()[:, : self.length - 1])
            return
        model = self.build()
        ids = np.pad(self.texts(), ((0, 0), (0, 24)))
        whole = told(model, ids)
        cuts = widths(lengths(ids), ids.shape[1], self.margin)
        assert len(set(cuts.tolist())) > 2
        for width in set(cuts.tolist()):
            rows = cuts <= width
            np.testing.assert_allclose(told(model, ids[rows, :width]), whole[rows], atol=1e-5)


class AugmentationContract:
    """What every pipeline keeps: a pure function of (seed, step, batch) that keeps shapes, types and ranges.

    Attributes:
        inputs: images as `images` makes them, (b, h, w, c).
        classes: number of labels.
    """

    inputs = images(6, 28, 28, 1)
    classes = 10

    def build(self, seed):
        """Make the pipeline."""
        raise NotImplementedError

    def targets(self):
        return np.eye(self.classes, dtype="float32")[np.arange(len(self.inputs)) % self.classes]

    def batches(self, augmentation, steps):
        """Run steps through tf.data, in the order given; returns {step: (images, targets)}."""
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices(np.asarray(steps, "int64"))
        batch = {"images": self.inputs, "labels": self.targets()}
        data = data.map(lambda step: (step, augmentation(batch, step=step)))
        data = data.map(lambda step, found: (step, found["images"], found["labels"]))
        return {int(step): (x.numpy(), y.numpy()) for step, x, y in data}

    def test_it_keeps_shape_type_and_range(self):
        for x, y in self.batches(self.build(0), range(3)).values():
            assert x.shape == self.inputs.shape and x.dtype == np.float32
            assert y.shape == (len(self.inputs), self.classes) and y.dtype == np.float32
            assert x.min() >= 0 and x.max() <= 255
            np.testing.assert_allclose(y.sum(1), 1, atol=1e-5)
            assert y.min() >= 0

    def test_a_step_comes_out_the_same_whatever_ran_before(self):
        forward = self.batches(self.build(3), [0, 1, 2, 7])
        backward = self.batches(self.build(3), [7, 1])
        for step, (x, y) in backward.items():
            np.testing.assert_array_equal(x, forward[step][0])
            np.testing.assert_array_equal(y, forward[step][1])

    def test_steps_and_seeds_differ(self):
        pipeline = self.batches(self.build(0), [0, 1])
        other = self.batches(self.build(1), [0])
        assert not np.array_equal(pipeline[0][0], pipeline[1][0])
        assert not np.array_equal(pipeline[0][0], other[0][0])

    def test_outside_tf_data_it_is_the_same_to_rounding(self):
        from keras import ops

        batch = {"images": ops.convert_to_tensor(self.inputs), "labels": ops.convert_to_tensor(self.targets())}
        found = self.build(5)(batch, step=4)
        x, y = found["images"], found["labels"]
        inside = self.batches(self.build(5), [4])[4]
        if _tensorflow_backend():  # other frameworks draw other numbers
            np.testing.assert_allclose(np.array(x), inside[0], atol=0.05)
        assert tuple(x.shape) == self.inputs.shape
        assert tuple(y.shape) == inside[1].shape

    def test_it_does_not_touch_what_it_was_given(self):
        before = self.inputs.copy()
        self.batches(self.build(0), [0])
        np.testing.assert_array_equal(self.inputs, before)


def _tensorflow_backend():
    import keras

    return keras.backend.backend() == "tensorflow"


def private_names(path):
    """Return what a module imports of cnnkit beyond its public names: places and names."""
    public = {f"cnnkit.{name}" for name in dir(cnnkit)} | {"cnnkit"}
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return [
        f"{path.name}:{line}: {name}" for line, name in found if name.split(".")[0] == "cnnkit" and name not in public
    ]


class AppContract:
    """What every app's command line does, by construction. A subclass gives the app and a small data set of its own.

    A subclass defines `app` (its name), `group` (its Click group), `small` (options that make training quick) and
    `inputs(folder)`: files to predict. Everything runs in one temporary folder, as a user would, one command after another.
    """

    app: str
    group: Any
    small: tuple[str, ...] = ("--epochs", "1", "--limit", "200")
    held_out_by_the_source = False  # whether its small data set has a validation split
    verbs = ("bench", "data", "demo", "evaluate", "explain", "export", "predict", "report", "train")

    def inputs(self, folder: Path) -> list[str]:
        raise NotImplementedError

    def run(self, *words: str, code: int = 0) -> Any:
        from click.testing import CliRunner

        result = CliRunner().invoke(self.group, [str(word) for word in words])
        assert result.exit_code == code, f"{words}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result

    def fails(self, *words: str, code: int = 1) -> str:
        """Run a command that must fail in one line; return the line."""
        result = self.run(*words, code=code)
        assert isinstance(result.exception, SystemExit), repr(result.exception)
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, result.stderr
        assert "Traceback" not in result.output
        return lines[0]

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        """A folder in which the app was trained and exported once."""
        folder = tmp_path_factory.mktemp(self.app)
        before = Path.cwd()
        os.chdir(folder)
        try:
            self.trained = json.loads(self.run("train", *self.small, "--json").stdout)
            self.run("export", "--tolerance", "100", "--json")
        finally:
            os.chdir(before)
        return folder

    @pytest.fixture(autouse=True)
    def inside(self, request, monkeypatch):
        if "home" in request.fixturenames:
            monkeypatch.chdir(request.getfixturevalue("home"))
        else:
            monkeypatch.chdir(request.getfixturevalue("tmp_path"))

    def test_it_has_the_standard_verbs_with_help_on_everything(self):
        listing = self.run("--help").output
        for verb in self.verbs:
            assert f"\n  {verb} " in listing, verb
            assert "Usage:" in self.run(verb, "--help").output
        for verb in ("list", "fetch", "check", "show"):
            assert "Usage:" in self.run("data", verb, "--help").output
        for command in _commands(self.group):
            assert command.help, command.name
            unexplained = [
                p.name
                for p in command.get_params(click.Context(command))
                if p.param_type_name == "option" and not getattr(p, "help", None)
            ]
            assert not unexplained, f"{command.name}: {unexplained}"

    def test_wrong_usage_exits_with_2(self):
        self.run("train", "--no-such-option", code=2)
        self.run("no-such-verb", code=2)
        self.run("train", "--epochs", "0", code=2)

    def test_a_run_folder_holds_everything(self, home):
        run = home / "runs" / self.app / "latest"
        names = {path.name for path in run.iterdir()}
        assert names >= {"run.json", "model.keras", "history.csv", "checkpoint.npz", "report.html", "export"}
        document = json.loads((run / "run.json").read_text())
        assert document["app"] == self.app
        assert {"settings", "versions", "machine", "data", "model", "training", "scores"} <= document.keys()
        assert len(document["data"]["fingerprint"]) == 64
        assert not list(run.rglob("*.part"))

    def test_evaluate_scores_any_artifact_beside_a_baseline(self, home):
        run = Path("runs") / self.app / "latest"
        scores = [
            json.loads(self.run("evaluate", *where, "--json").stdout) for where in ([], [run], [run / "model.keras"])
        ]
        scores += [
            json.loads(self.run("evaluate", path, "--json").stdout)
            for path in sorted(run.glob("export/*float32.tflite"))
        ]
        headline = next(key for key in scores[0] if f"{key}_interval" in scores[0])
        assert len(scores) == 4
        for score in scores:
            low, high = score[f"{headline}_interval"]
            assert low <= score[headline] <= high
            assert score[headline] == pytest.approx(scores[0][headline], rel=1e-5, abs=1e-6)
            assert headline in score["baseline"]

    @pytest.mark.slow
    def test_run_json_is_a_config_that_trains_the_same_model_bit_for_bit(self, home):
        run = Path("runs") / self.app / "latest"
        again = json.loads(self.run("train", "--config", run / "run.json", "--out", "again", "--json").stdout)
        first = json.loads((run / "run.json").read_text())
        once, twice = first["scores"]["test"], again["scores"]["test"]
        name = once["headline"]["name"]
        assert twice[name] == once[name] and twice.get("per_class") == once.get("per_class")
        assert again["training"]["epochs"] == first["training"]["epochs"]
        with np.load(run / "checkpoint.npz") as one, np.load(Path("again", "checkpoint.npz")) as other:
            assert one.files == other.files and len(one.files) > 10
            arrays = [name for name in one.files if name != "state"]  # it holds how long each epoch took
            assert not [name for name in arrays if not np.array_equal(one[name], other[name])], "not bit for bit"

    @pytest.mark.slow
    def test_a_refit_has_all_records_but_those_that_the_source_held_out(self, home, tmp_path):
        words = ("train", *self.small, "--epochs", "1", "--refit", "--out", "refitted", "--json")
        scores = json.loads(self.run(*words).stdout)["scores"]["test"]
        document = json.loads(Path("refitted/run.json").read_text())
        sizes = document["data"]["sizes"]
        assert document["settings"]["refit"] and sizes["validation"] > 0
        if self.held_out_by_the_source:
            assert "refit" not in document and not Path("refitted/refit").exists()
        else:
            assert document["refit"]["records"] == sizes["train"] + sizes["validation"]
        again = json.loads(self.run("evaluate", "refitted", "--json").stdout)
        headline = next(key for key in scores if f"{key}_interval" in scores)
        assert again[headline] == pytest.approx(scores[headline], abs=1e-6)
        assert (
            len(json.loads(self.run("predict", "refitted", self.inputs(tmp_path)[0], "--json").stdout)["predictions"])
            == 1
        )

    def test_predict_json_names_every_input(self, home, tmp_path):
        inputs = self.inputs(tmp_path)
        document = json.loads(self.run("predict", *inputs, "--json").stdout)
        assert len(document["predictions"]) >= len(inputs)
        assert self.run("predict", *inputs).output.strip()

    def test_json_is_one_document_on_standard_output(self, home):
        for words in (["data", "list"], ["bench", "--runs", "5"], ["evaluate"]):
            assert isinstance(json.loads(self.run(*words, "--json").stdout), dict)

    def test_an_error_in_json_is_a_document_too(self):
        result = self.run("evaluate", "nothing.keras", "--json", code=1)
        assert "does not exist" in json.loads(result.stdout)["error"]

    def test_report_and_explain_write_their_files(self, home):
        run = Path("runs") / self.app / "latest"
        before = (run / "report.html").read_text()
        self.run("report")
        after = (run / "report.html").read_text()
        assert after.lstrip().lower().startswith("<!doctype html>") and len(after) > 10_000
        assert not re.search(r"""(src|href)=["']?https?://[^>]*\.(js|css|png|woff)|@import|url\(http""", after), (
            "not self-contained"
        )
        assert len(before) > 10_000
        self.explains()

    def explains(self):
        """Explain something, and look at what came."""
        self.run("explain", "--out", "pictures")
        assert list(Path("pictures").rglob("*.png"))

    def spoil(self, monkeypatch):
        """Make an int8 export lose what the model knows."""
        from cnnkit.inputs.image.training import KIND

        monkeypatch.setattr(KIND, "calibration", lambda images: images[:1].astype("float32") * 0)  # knows nothing

    def test_export_refuses_a_model_that_loses_and_exits_with_3(self, home, monkeypatch):
        self.spoil(monkeypatch)
        line = self.fails("export", "--precision", "int8", "--out", "refused", code=3)
        assert "The gate refused int8" in line
        assert not list(Path("refused").glob("*.tflite"))

    def test_without_a_run_every_verb_says_how_to_get_one(self):
        for words in (["evaluate"], ["export"], ["report"], ["bench"], ["demo"], ["predict", "x.png"], ["explain"]):
            line = self.fails(*words)
            assert "no run" in line and f"cnnkit {self.app} train" in line, line

    def test_missing_and_foreign_artifacts_are_one_line(self, tmp_path):
        Path("text.tflite").write_text("this is no model")
        Path("text.keras").write_text("this is no model")
        other = Path("other")
        other.mkdir()
        (other / "run.json").write_text(json.dumps({"app": "another", "settings": {}}))
        assert "does not exist" in self.fails("evaluate", "none.keras")
        for verb in ("bench", "demo"):
            assert "not a .tflite model" in self.fails(verb, "text.tflite")
        assert "not a .keras model" in self.fails("evaluate", "text.keras", "--data", "x")
        for verb in ("evaluate", "export", "report", "bench", "demo", "explain"):
            assert f"a run of `cnnkit another`, not of `cnnkit {self.app}`" in self.fails(verb, "other"), verb

    def test_bad_settings_are_one_line(self):
        assert "no model `none`" in self.fails("train", "--model", "none")
        assert "a number or `auto`" in self.fails("train", "--learning-rate", "fast")
        assert "does not exist" in self.fails("train", "--config", "none.toml")
        Path("bad.toml").write_text("speed = 3")
        assert "no setting `speed`" in self.fails("train", "--config", "bad.toml")
        assert not Path("runs").exists()

    def test_an_out_that_exists_is_not_touched(self):
        Path("mine").mkdir()
        Path("mine/file").write_text("precious")
        assert "exists already" in self.fails("train", *self.small, "--out", "mine")
        assert [path.name for path in Path("mine").iterdir()] == ["file"]
        Path("taken").write_text("a file")
        assert "exists already" in self.fails("train", *self.small, "--out", "taken")

    def test_a_folder_without_permission_is_one_line(self, monkeypatch):
        def refuse(self, *_, **__):
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "mkdir", refuse)
        assert "No permission to write" in self.fails("train", *self.small)

    def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(self, monkeypatch):
        real = os.fsync

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        line = self.fails("train", *self.small, "--out", "full")
        monkeypatch.setattr(os, "fsync", real)
        assert "No space left" in line
        assert not [path for path in Path("full").rglob("*") if path.is_file()]

    def test_data_that_is_not_there_is_one_line(self):
        line = self.fails("train", "--data", "no-such-set")
        assert "no-such-set" in line
        Path("empty").mkdir()
        assert "empty" in self.fails("train", "--data", "empty")


def _commands(group: Any) -> list[Any]:
    found = []
    for command in group.commands.values():
        found += _commands(command) if hasattr(command, "commands") else [command]
    return found

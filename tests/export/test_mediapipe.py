"""Files for MediaPipe answer in its own client as they do in LiteRT, each form that a model may have."""

import dataclasses
import shutil
import zipfile

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.device import detection, segmentation
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ConfigError
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.evaluation.scoring import score
from cnnkit.export.convert import convert
from cnnkit.export.profiles.mediapipe import IOU, NAMES, TASKS, MediaPipe
from cnnkit.export.profiles.profile import Faced, Profile
from cnnkit.export.samples import names
from cnnkit.reporter import SILENT
from cnnkit.run import Run
from cnnkit.verbs.export import export
from cnnkit.verbs.predict import predict
from tests import toy_texts, toys
from tests.clients import mediapipe_tasks as mediapipe

PRECISIONS = MediaPipe.precisions
SHAPE, WIDE = (48, 64), (128, 192)  # (height, width); of detectors, whose boxes are told in whole px
TOLERANCE = 1e-5  # of a score
PIXELS = 0.999  # that have the same code
OVERLAP = 0.95  # of boxes
SHARED = ("ImageClassifier", "TextClassifier")


def patterns(channels, shape=SHAPE, count=6):
    """Pictures of soft noise with a bright and a dark block, each lighter than the last: uint8 (n, *shape, channels)."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, 256, (count, 12, 12, channels)).astype("uint8")
    found = np.stack([cv2.resize(one, shape[::-1], interpolation=cv2.INTER_CUBIC) for one in found])
    found = found.reshape(count, *shape, channels)
    for picture in found:
        for colour in (20, 240):
            y, x = rng.integers(0, min(shape) // 2, 2)
            picture[y : y + shape[0] // 3, x : x + shape[1] // 3] = colour
    return (found * np.linspace(0.3, 1, count).reshape(-1, 1, 1, 1)).astype("uint8")


def about(task, labels, shape, **more):
    named = [f"label {number}" for number in range(labels)]
    return {
        "format": 1,
        "app": "toy",
        "task": task,
        "labels": named,
        "input": {"kind": "image", "shape": list(shape)},
    } | more


def spread(model, times=1.5):
    """Return the model with larger weights than those of its start, so that answers differ."""
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense | layers.Embedding):
            layer.set_weights([np.asarray(values) * times for values in layer.get_weights()])
    return model


def network(channels, count):
    keras.utils.set_random_seed(count)
    return spread(toys.tiny_cnn((*SHAPE, channels), count))


def mapping(channels, count):
    """A network that scores each pixel."""
    keras.utils.set_random_seed(count)
    image = keras.Input((*SHAPE, channels), name="image")
    x = layers.Rescaling(1 / 128, -1.0)(image)
    for width in (8, 8):
        x = layers.Conv2D(width, 5, padding="same", activation="relu")(x)
    return spread(keras.Model(image, layers.Conv2D(count, 1, name="logits")(x)), 2.0)


@dataclasses.dataclass
class Form:
    """A model of one form, what its artifact says, and inputs: as the model takes them, and as a client is given them."""

    model: object
    metadata: dict
    inputs: np.ndarray
    given: object = None


def classifier(channels):
    return Form(network(channels, 5), about("classification", 5, (*SHAPE, channels)), patterns(channels))


def several(labels):
    metadata = about("multilabel", labels, (*SHAPE, 3), thresholds=[0.3, 0.5, 0.7][:labels])
    return Form(network(3, labels), metadata, patterns(3))


def numbers(*names):
    count = len(names)
    decided = {"names": names, "units": ["m"] * count, "mean": [3.0, 20.0][:count], "std": [15.0, 4.0][:count]}
    metadata = about("regression", 0, (*SHAPE, 3), regression={key: list(value) for key, value in decided.items()})
    return Form(network(3, count), metadata, patterns(3))


def segmenter(labels, channels=3, **plan):
    decided = segmentation.Plan(**plan).to_dict()
    metadata = about("segmentation", labels, (*SHAPE, channels), segmentation=decided)
    return Form(mapping(channels, labels), metadata, patterns(channels))


def detector(labels):
    from cnnkit_signs.model import DETECTORS

    keras.utils.set_random_seed(0)
    model = spread(DETECTORS["default"]((*WIDE, 3), labels, strides=(16, 32), width=8), 1.5)
    rng = np.random.default_rng(0)
    model.get_layer("logits").set_weights([0.1 * rng.normal(size=(1, 1, 8, labels)), np.zeros(labels)])
    model.get_layer("to_boxes").set_weights([0.02 * rng.normal(size=(1, 1, 8, 4)), np.array([0, 0, 0.7, 0.7])])
    decided = {**detection.Plan((16, 32)).to_dict(), "threshold": 0.5}
    metadata = about("detection", labels, (*WIDE, 3), detection=decided)
    return Form(model, metadata, patterns(3, WIDE))


def texts(**more):
    from cnnkit_text.model import BUILDERS

    keras.utils.set_random_seed(0)
    found = [*toy_texts.rows(40), ("food", ""), ("food", "ÉTÉ soup\u2028Song, isn't straße")]
    made = toy_texts.records(found)
    model = spread(BUILDERS["kim-rand"]((made.tokenizer.length,), 3, **toy_texts.small(made.tokenizer)))
    metadata = toy_texts.artifact(model, made, temperature=0.7, sure=0.4).metadata
    metadata["text"] |= more
    said = [text for _, text in found]
    return Form(model, metadata, made.tokenizer.batch(said), said)


FORMS = {
    "grey": lambda: classifier(1),
    "RGB": lambda: classifier(3),
    "one of several": lambda: several(1),
    "several labels": lambda: several(3),
    "number": lambda: numbers("angle"),
    "numbers": lambda: numbers("angle", "speed"),
    "one mask": lambda: segmenter(1, threshold=0.4),
    "one grey mask": lambda: segmenter(1, channels=1),
    "one region": lambda: segmenter(1, regions=((1, 2),), order=(2,)),
    "masks": lambda: segmenter(3),
    "regions": lambda: segmenter(2, regions=((1, 2), (2,)), order=(1, 2), threshold=0.6),
    "one kind of boxes": lambda: detector(1),
    "boxes": lambda: detector(2),
    "texts": texts,
}
INTEGERS = (
    "grey",
    "several labels",
    "number",
    "one mask",
    "masks",
    "boxes",
    "texts",
)  # forms that are tried in int8 too


@dataclasses.dataclass
class Answered:
    """What a file answers here, with its own face and the trained model's, and in MediaPipe."""

    form: Form
    profile: MediaPipe
    ours: dict
    faced: dict
    theirs: dict


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Every form and precision, asked by one process."""
    if mediapipe.LACKING:
        pytest.skip(mediapipe.LACKING)
    folder = tmp_path_factory.mktemp("mediapipe")
    made, jobs = {}, []
    for name, make in FORMS.items():
        form = make()
        profile = MediaPipe(form.model, form.metadata)
        for precision in PRECISIONS if name in INTEGERS else ("float32",):
            path = folder / f"{name}-{precision}.tflite"
            path.write_bytes(convert(form.model, precision, form.inputs, form.metadata, profile))
            device = DeviceModel.open(path)
            faced = Faced(device, profile, tuple(form.metadata["labels"]))
            found = device.run_batch(profile.inputs(form.inputs)), faced.run_batch(form.inputs)
            made[name, precision] = Answered(form, profile, *found, {})
            given = form.inputs if form.given is None else form.given
            jobs.append(mediapipe.Job(profile.task, path, given, getattr(profile.answer, "threshold", None)))
    for entry, theirs in zip(made.values(), mediapipe.answers(jobs, folder)):
        entry.theirs = theirs
    return made


def of(answered, task):
    """Return what was answered by files of a task of MediaPipe's, of which there is one at each precision at least."""
    found = {key: entry for key, entry in answered.items() if entry.profile.task == task}
    assert {precision for _, precision in found} == set(PRECISIONS)
    return found.items()


def test_every_task_of_mediapipe_that_a_profile_names_is_tried(answered):
    assert {entry.profile.task for entry in answered.values()} == set(TASKS.values())


@pytest.mark.parametrize(("task", "output"), [(task, "scores") for task in SHARED] + [("ImageEmbedder", "values")])
def test_scores_and_numbers_are_those_of_litert(answered, task, output):
    for (name, precision), entry in of(answered, task):
        ours, theirs = entry.ours[output], entry.theirs[output]
        assert ours.std(0).max() > 0.01, f"{name}: all answers are alike"
        apart = np.abs(theirs - ours) / (1 + np.abs(ours))
        assert apart.max() <= (TOLERANCE if precision == "float32" else 0), (name, precision)


def test_masks_are_those_of_litert_and_decode_to_the_same_pixels(answered):
    for (name, precision), entry in of(answered, "ImageSegmenter"):
        plan = segmentation.Plan.from_dict(entry.profile.metadata["segmentation"])
        trained = segmentation.Plan.from_dict(entry.profile.trained["segmentation"])
        for number, ours in enumerate(entry.ours["scores"]):
            theirs = entry.theirs[f"scores_{number}"]
            assert theirs.shape == ours.shape and theirs.shape[:2] == SHAPE
            assert np.abs(theirs - ours).max() <= (TOLERANCE if precision == "float32" else 0), (name, precision)
            codes = segmentation.decoded(theirs, plan)
            assert 0.02 < (codes > 0).mean() < 0.98, f"{name}: a mask of one code"
            assert (codes == segmentation.decoded(entry.faced["scores"][number], trained)).mean() >= PIXELS
            if not entry.profile.notes[1:]:  # its own mask may be used as it is
                codes = codes > 0 if plan.regions else codes  # a region's code may be another
                assert (codes == entry.theirs[f"codes_{number}"]).mean() >= PIXELS, (name, precision)


def as_told(boxes, shape):
    """Return corners as MediaPipe tells them: whole px; what begins beyond an edge begins at it, and keeps its size."""
    corner, extent = np.trunc(boxes[:, :2]), np.trunc(boxes[:, 2:] - boxes[:, :2])
    most = np.array(shape[1::-1])
    corner, extent = np.clip(corner, 0, most), np.clip(extent, 0, most)
    return np.concatenate([corner, corner + extent], axis=1).astype("float32")


def test_boxes_are_those_of_litert_under_the_same_suppression(answered):
    for (name, precision), entry in of(answered, "ObjectDetector"):
        form, raw = entry.profile.answer, entry.ours
        for number, scores in enumerate(raw[form.scores]):
            chosen = scores.max(1) >= form.threshold  # a cell has one label
            boxes = detection.decode(raw[form.places][number], form.cells)[chosen]
            alike = np.zeros(len(boxes), np.int32)  # labels suppress each other
            every = detection.Detections(boxes, scores.max(1)[chosen], alike)
            ours = detection.suppress(every, iou=IOU, limit=1000)
            theirs = entry.theirs["boxes"][entry.theirs["boxes"][:, 0] == number]
            if precision == "float32":
                assert len(theirs) == len(ours.scores) > 3, name
                assert np.abs(theirs[:, 5] - ours.scores).max() <= TOLERANCE
                alike = detection.ious(as_told(ours.boxes, entry.profile.shape), theirs[:, 1:5])
                assert min(alike.max(0).min(), alike.max(1).min()) >= OVERLAP, name
            else:  # which of two boxes with the same score of eight bits suppresses the other, nothing says
                alike = detection.ious(as_told(boxes, entry.profile.shape), theirs[:, 1:5])
                assert alike.max(0).min() >= OVERLAP and abs(len(theirs) - len(ours.scores)) < 3, name
                assert set(theirs[:, 5].tolist()) <= set(scores.max(1).tolist()), name
        labels = set(entry.theirs["names"].tolist())
        assert labels == set(entry.profile.labels)


def test_what_mediapipe_has_nothing_like_is_refused_in_a_line():
    def characters(metadata):
        metadata["text"] |= {"kind": "characters", "vocabulary": ""}

    def pieces(metadata):
        metadata["text"]["buckets"] = 8

    def volumes(metadata):
        metadata["input"]["kind"] = "volume"
        metadata["segmentation"]["voxel"] = [1.0, 1.0, 1.0]

    cases = [(texts, characters, "characters"), (texts, pieces, "buckets")]
    cases += [(lambda: segmenter(1, rim=2), lambda _: None, "borders"), (lambda: segmenter(1), volumes, "volumes")]
    cases += [(lambda: Form(network(4, 5), about("classification", 5, (*SHAPE, 4)), None), lambda _: None, "model's 4")]
    for make, change, why in cases:
        form = make()
        change(form.metadata)
        with pytest.raises(ConfigError) as caught:
            MediaPipe(form.model, form.metadata)
        line = str(caught.value)
        assert line.startswith("This model cannot be exported for MediaPipe. ") and why in line and "\n" not in line


def test_a_model_that_others_have_nothing_like_is_exported_for_litert_as_ever():
    """It says why, and has no form, by which code to take along would be written."""
    for form, why in ((segmenter(1, rim=2), "answers with borders"), (segmenter(1), "")):
        profile = Profile(form.model, form.metadata)
        assert profile.unlike.startswith(why) and (profile.answer is None) is bool(why)
        assert bool(names(profile)) is not bool(why)


def test_a_kind_that_has_no_form_is_refused_in_a_line():
    """Such as one of another package: nobody but it knows what its numbers are."""
    from cnnkit.export.forms import Numbers

    form = FORMS["number"]()
    profile = object.__new__(MediaPipe)
    profile.given, profile.answer = None, Numbers("values", ("a",), ("",))
    with pytest.raises(ConfigError, match="None of its tasks takes such inputs"):
        profile.__init__(form.model, form.metadata)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: classifier(1), ["to 64x48 px, without smoothing", "shrunk by area"]),
        (lambda: several(2), ["no thresholds", "0.3 (label 0), 0.5 (label 1)"]),
        (lambda: detector(1), ["fitted in whole, their aspect kept", "`score_threshold` 0.5", "above 0.6"]),
        (lambda: segmenter(1), ["fitted in whole"]),
        (
            lambda: segmenter(1, threshold=0.4, scale=0.5),
            ["windows of 64x48 px at a scale of 0.5", "a score of 0.4 on"],
        ),
        (lambda: segmenter(2, regions=((1, 2), (2,)), mirrors=(0,)), ["mirrored", "a score of 0.5 on"]),
        (texts, ['no "not sure"']),
        (lambda: texts(apart=True), ["Put a space before and after each character of a script without spaces"]),
    ],
)
def test_what_it_does_otherwise_is_said(make, said):
    form = make()
    notes = MediaPipe(form.model, form.metadata).notes
    assert all(words in " ".join(notes) for words in said) and bool(notes) is bool(said)
    assert not any("\n" in note for note in notes)
    if said == ["fitted in whole"]:
        assert len(notes) == 1, "its own mask may be used"


def test_what_a_classifier_of_ours_says_beside_its_scores_is_said():
    form = classifier(3)
    form.metadata["unknown"] = {"below": 0.31, "accepted": 0.95}
    form.metadata |= {"labels": ["sick", "well"], "screening": {"finding": "sick", "threshold": 0.2}}
    notes = " ".join(MediaPipe(form.model, form.metadata).notes)
    assert "below a score of 0.31" in notes and "is sick from a score of 0.2 on" in notes


def test_labels_have_a_line_each_whatever_is_in_them(tmp_path):
    form = classifier(3)
    form.metadata["labels"] = ["a\nb", "c\u2028d", "", "é", "e\r"]
    profile = MediaPipe(form.model, form.metadata)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(form.model, "float32", form.inputs, form.metadata, profile))
    with zipfile.ZipFile(path) as archive:
        assert archive.read(NAMES).decode() == "a\\nb\nc\u2028d\n \né\ne\\r\n"
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        assert archive.read("labels.txt").decode() == "a\\nb\nc\u2028d\n\né\ne\\r\n"
    assert DeviceModel.open(path).labels == tuple(form.metadata["labels"])
    assert any("written out: a\\nb, e\\r." in note for note in profile.notes)


class TestExport:
    """Of the toy run, grey pictures of 12 px, by the command and from Python."""

    @pytest.fixture(scope="class")
    def exported(self, toy_run, tmp_path_factory):
        run = tmp_path_factory.mktemp("runs") / "toy"
        shutil.copytree(toy_run, run)
        scores = score(open_artifact(run), toys.splits().test, toys.recipe().task)
        Run.open(run, "toy").save(scores={"test": scores})
        found = export(toys.recipe(), run, profile="mediapipe", tell=SILENT)
        usual = export(toys.recipe(), run, precision="float32,int8", tell=SILENT)
        return found, usual

    def test_files_pass_the_gate_and_lie_in_a_folder_of_their_own(self, exported):
        found, usual = exported
        assert found.folder == usual.folder / "mediapipe"
        files = {path.name for path in found.folder.iterdir()}
        assert files == {"gate.json", "toy-float32.tflite", "toy-int8.tflite", "code"}
        assert all(entry["passed"] for entry in found.document["artifacts"].values())
        assert any("without smoothing" in line for line in found.document["notes"])

    def test_the_report_has_its_gate_beside_the_usual_one(self, exported):
        text = (exported[0].folder.parents[1] / "report.html").read_text(encoding="utf-8")
        assert text.count("Export gate</h2>") == text.count("Export gate, MediaPipe</h2>") == 1

    def test_predict_answers_as_with_the_usual_file(self, exported, tmp_path):
        found, usual = exported
        pictures = []
        for number, picture in enumerate(patterns(1, (12, 12), 4)):
            pictures.append(tmp_path / f"{number}.png")
            cv2.imwrite(str(pictures[-1]), picture)
        for name in ("toy-float32.tflite", "toy-int8.tflite"):
            theirs, ours = (list(predict("toy", [folder / name, *pictures])) for folder in (found.folder, usual.folder))
            assert [answer["label"] for answer in theirs] == [answer["label"] for answer in ours]
            assert np.allclose([a["score"] for a in theirs], [a["score"] for a in ours], atol=0.02)

    def test_a_precision_that_it_does_not_take_is_refused_in_a_line(self, toy_run):
        with pytest.raises(ConfigError, match="`precision` knows float32, int8 for MediaPipe. Got 'float16'."):
            export(toys.recipe(), toy_run, profile="mediapipe", precision="float16", tell=SILENT)

"""An exported model scores as the trained one, or is refused."""

import io
import json
import zipfile

import numpy as np
import pytest

from cnnkit.device.model import DeviceModel, read_metadata
from cnnkit.errors import ArtifactError, CnnkitError, GateRefused
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.evaluation.scoring import score
from cnnkit.export import convert, gate
from cnnkit.inputs.image import training as image
from cnnkit.score import Score, Scores
from tests import toys


@pytest.fixture(scope="module")
def trained(toy_run):
    return open_artifact(toy_run)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    data = toys.splits()
    document = gate.export(
        trained,
        folder,
        train=data.train,
        held_out=data.test,
        task=toys.recipe().task,
        precisions=convert.PRECISIONS,
        tolerance=1.5,
    )
    return folder, document


@pytest.mark.parametrize("precision", convert.PRECISIONS)
def test_every_precision_gives_the_scores_of_the_trained_model(exported, trained, precision):
    images, _ = toys.splits().test.read(np.arange(60))
    device = DeviceModel.open(exported[0] / f"model-{precision}.tflite")
    scores, reference = device.run_batch(images)["scores"], trained.run_batch(images)["scores"]
    assert scores.shape == (60, 3) and scores.dtype == np.float32
    assert scores.sum(1) == pytest.approx(np.ones(60), abs=0.02)
    limit = {"float32": 1e-4, "float16": 0.02, "int8": 0.2, "int16x8": 0.1}[precision]
    assert np.abs(scores - reference).max() < limit
    assert device.labels == trained.labels


def test_int8_takes_raw_bytes_and_is_smallest(exported):
    folder, document = exported
    device = DeviceModel.open(folder / "model-int8.tflite")
    assert device.input_dtype == np.uint8
    assert tuple(device._input["quantization"]) == (1.0, 0)
    sizes = {name: verdict["bytes"] for name, verdict in document["artifacts"].items()}
    assert sizes["int8"] < sizes["float32"] and sizes["float16"] < sizes["float32"]


def test_only_built_in_operators_are_used(exported):
    for path in exported[0].glob("*.tflite"):
        details = DeviceModel.open(path)._interpreter._get_ops_details()
        assert not [op["op_name"] for op in details if op["op_name"].startswith("Flex") or op["op_name"] == "CUSTOM"]


def test_the_gate_writes_what_it_compared(exported):
    folder, document = exported
    assert json.loads((folder / gate.GATE).read_text()) == document
    assert set(document["artifacts"]) == set(convert.PRECISIONS)
    assert all(verdict["passed"] for verdict in document["artifacts"].values())
    assert document["records"] == 150
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["gate.json", *(f"model-{p}.tflite" for p in convert.PRECISIONS)]
    )


def test_labels_and_input_travel_inside_the_file_stored(exported):
    path = exported[0] / "model-int8.tflite"
    with zipfile.ZipFile(path) as archive:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        assert archive.read("labels.txt").decode().splitlines() == ["horizontal", "vertical", "square"]
    metadata = read_metadata(path)
    assert metadata["app"] == "toy" and metadata["precision"] == "int8"
    assert metadata["input"] == {"kind": "image", "shape": [12, 12, 1], "range": [0, 255]}


def test_equal_models_make_equal_files(trained):
    calibration = toys.splits().train.read(np.arange(20))[0]
    files = [convert.convert(trained.model, "int8", calibration, trained.metadata) for _ in range(2)]
    assert files[0] == files[1]


def test_calibration_on_wrongly_scaled_images_is_caught_and_leaves_no_file(trained, tmp_path, monkeypatch):
    data = toys.splits()
    monkeypatch.setattr(
        type(image.KIND), "calibration", lambda kind, images: np.asarray(images, np.float32) / 255
    )  # the classic mistake
    (tmp_path / "model-int8.tflite").write_bytes(b"an older export")
    with pytest.raises(GateRefused, match=r"int8: .* points lost overall") as caught:
        gate.export(
            trained, tmp_path, train=data.train, held_out=data.test, task=toys.recipe().task, precisions=["int8"]
        )
    assert caught.value.exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["gate.json"]
    assert json.loads((tmp_path / "gate.json").read_text())["artifacts"]["int8"]["passed"] is False


def view(score_, count, per_class, class_count):
    classes = {label: {"recall": value, "support": class_count[label]} for label, value in per_class.items()}
    return Scores(Score("accuracy", score_, per_class=per_class), count=count, per_class=classes)


def test_the_gate_by_hand():
    labels = {"a": 500, "b": 500}
    reference = view(0.95, 1000, {"a": 0.95, "b": 0.95}, labels)
    same = gate.compare(reference, reference, 0.5)
    assert same["passed"] and same["difference"] == 0
    slightly = gate.compare(reference, view(0.945, 1000, {"a": 0.945, "b": 0.945}, labels), 0.5)
    assert slightly["passed"] and slightly["difference"] == pytest.approx(-0.5)
    worse = gate.compare(reference, view(0.944, 1000, {"a": 0.948, "b": 0.94}, labels), 0.5)
    assert not worse["passed"] and worse["worst_class"] == "b"
    assert worse["refused"] == ["0.60 points lost overall", "1.00 points lost in class b"]


def test_a_class_that_is_lost_is_refused_though_the_whole_is_not():
    labels = {"a": 980, "b": 20}
    reference = view(0.99, 1000, {"a": 0.99, "b": 0.99}, labels)
    verdict = gate.compare(reference, view(0.987, 1000, {"a": 0.9908, "b": 0.8}, labels), 0.5)
    assert verdict["refused"] == ["19.00 points lost in class b"]


def test_in_a_class_a_loss_counts_where_it_is_more_than_chance():
    labels = {"a": 60, "b": 60}
    reference = view(0.9, 120, {"a": 0.9, "b": 0.9}, labels)
    four = view(0.9, 120, {"a": 0.9 - 4 / 60, "b": 0.9 + 4 / 60}, labels)
    verdict = gate.compare(reference, four, 1.0, {"a": (4, 0), "b": (0, 4)})
    assert verdict["passed"] and verdict["lost_and_won"] == {"a": [4, 0], "b": [0, 4]}  # one in sixteen by chance
    five = view(0.9, 120, {"a": 0.9 - 5 / 60, "b": 0.9 + 5 / 60}, labels)
    verdict = gate.compare(reference, five, 1.0, {"a": (5, 0), "b": (1, 6)})
    assert verdict["refused"] == ["8.33 points lost in class a"]
    noisy = gate.compare(reference, five, 1.0, {"a": (8, 3), "b": (3, 8)})  # p = 0.11
    assert noisy["passed"]


def test_answers_that_change_are_counted_by_class():
    from cnnkit.tasks.classification.scoring import Classification

    eye = np.eye(3, dtype="float32")
    targets = np.array([0, 0, 1, 1, 2])
    before, after = {"scores": eye[[0, 0, 1, 2, 0]]}, {"scores": eye[[0, 1, 1, 1, 1]]}
    assert Classification().changes(before, after, targets, "abc") == {"a": (1, 0), "b": (0, 1), "c": (0, 0)}


def test_a_model_with_an_operator_no_device_has_fails_at_export():
    import keras
    import tensorflow as tf

    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.math.erfinv(x)

        def compute_output_shape(self, shape):
            return shape

    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(Odd()(image))))
    with pytest.raises(CnnkitError, match="cannot be converted to float32") as caught:
        convert.convert(model, "float32", np.zeros((1, 4, 4, 1)), toys.ABOUT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("activation", "operator"), [("elu", "ELU"), ("hard_swish", "HARD_SWISH")])
def test_an_operator_that_has_no_sixteen_bits_is_one_line(activation, operator):
    import keras

    image = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(2, 3, activation=activation)(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    with pytest.raises(CnnkitError, match=rf"cannot be converted to int16x8: .*'{operator}'") as caught:
        convert.convert(model, "int16x8", np.ones((2, 4, 4, 1)), toys.ABOUT | {"labels": list("ab")})
    assert "\n" not in str(caught.value)


def test_the_same_score_code_serves_trained_and_exported(exported, trained):
    data, task = toys.splits(), toys.recipe().task
    device = score(DeviceModel.open(exported[0] / "model-float32.tflite"), data.test, task)
    keras_ = score(trained, data.test, task)
    assert device["confusion"] == keras_["confusion"]
    assert device["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a .tflite"),
        (b"hello, this is text", "not a .tflite"),
        (b"\x1c\x00\x00\x00TFL3" + b"\x00" * 50, "cannot be loaded"),
    ],
)
def test_what_is_not_a_tflite_is_one_line(tmp_path, content, complaint):
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=complaint):
        DeviceModel.open(path)


def test_a_tflite_cut_short_is_one_line(exported, tmp_path):
    content = (exported[0] / "model-float32.tflite").read_bytes()
    for share in (0.3, 0.6, 0.9):
        path = tmp_path / "cut.tflite"
        path.write_bytes(content[: int(share * len(content))])
        try:
            DeviceModel.open(path).run_batch(np.zeros((1, 12, 12, 1)))
        except ArtifactError as error:
            assert "\n" not in str(error)


def test_a_wrong_shape_is_a_programmer_error(exported):
    device = DeviceModel.open(exported[0] / "model-float32.tflite")
    with pytest.raises(ValueError, match=r"\(12, 12, 1\).*Received: \(2, 9, 9, 1\)"):
        device.run_batch(np.zeros((2, 9, 9, 1)))
    assert device.run_batch(np.zeros((0, 12, 12, 1)))["scores"].shape == (0, 3)


def test_a_zip_of_metadata_that_is_too_large_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cnnkit.json", " " * (2 << 20))
    path = tmp_path / "bomb.tflite"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ArtifactError, match="larger than"):
        read_metadata(path)

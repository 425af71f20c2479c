"""A detector from end to end on a toy: it learns what is held out, repeats, resumes, and is exported as it was trained."""

import dataclasses
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from cnnkit import training
from cnnkit.data.pipeline import Order, evaluation_batches, training_batches
from cnnkit.device.detection import Plan, cells, decode, find
from cnnkit.device.model import DeviceModel, read_metadata, with_decided
from cnnkit.errors import GateRefused
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.evaluation.scoring import score
from cnnkit.export import gate
from cnnkit.inputs.image.training import KIND
from cnnkit.models import norm
from cnnkit.run import CHECKPOINT, HISTORY, Run
from cnnkit.tasks.detection import regions
from cnnkit.tasks.detection.boxes import MOST
from tests import toy_boxes

pytest.importorskip("pycocotools")

SETTINGS = toy_boxes.Settings(
    data="shapes", epochs=8, batch_size=16, learning_rate=0.01, warmup=0.1, weight_decay=0.05, ema=0.95
)
STRIDES = (8, 16)
SMALL = dataclasses.replace(SETTINGS, epochs=3, options={"strides": [8], "width": 8})  # quick to compile


def fit(path, settings=SMALL, data=None, **kwargs):
    data = data or toy_boxes.splits(48, 8, 4, strides=tuple(settings.options["strides"]))
    run = Run.open(path) if path.exists() else Run.create(path, "toy", settings)
    return training.fit(toy_boxes.recipe(data), settings, data, run, **kwargs)


def weights(model):
    return [np.array(value) for value in model.get_weights()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def data():
    return toy_boxes.splits(strides=STRIDES)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The artifact of a run."""
    path = tmp_path_factory.mktemp("detection") / "run"
    fit(path, dataclasses.replace(SETTINGS, options={"strides": list(STRIDES), "width": 16}), data)
    return open_artifact(path, "toy")


@pytest.fixture(scope="module")
def exported(trained, data, tmp_path_factory):
    """Export in one precision, through the gate: (file, gate.json)."""
    made = {}

    def make(precision):
        if precision not in made:
            folder, task = tmp_path_factory.mktemp(precision), toy_boxes.recipe(data).task
            names = {"train": data.train, "held_out": data.test, "task": task, "precisions": [precision]}
            made[precision] = folder / f"model-{precision}.tflite", gate.export(trained, folder, **names)
        return made[precision]

    return make


def test_it_finds_and_names_what_is_held_out(trained, data):
    scores = score(trained, data.test, toy_boxes.recipe(data).task)
    assert scores["ap50"] > 0.9  # 0.998 was measured
    assert min(entry["ap50"] for entry in scores["per_class"].values()) > 0.85
    assert scores["ap"] > 0.4
    baseline = toy_boxes.recipe(data).task.baseline(data.train, data.test)
    assert 0.5 < baseline["ap50"] < scores["ap50"] and "100 images" in baseline["name"]  # 0.86 was measured


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_baseline_needs_neither_boxes_nor_much_to_see(count):
    plain = np.full((40, 50), 90, np.uint8)
    boxes = (np.array([[5.0, 5, 25, 25]] * count), np.zeros(count, np.int32), np.arange(count) < 1)
    noise = np.random.default_rng(0).integers(0, 256, (70, 50, 4), np.uint8)
    for examples in ([], [(plain, boxes)], [(noise, boxes)], [(plain, boxes), (noise, boxes)]):
        fitted = regions.Regions(examples)
        for image in (plain, noise, noise[..., :3]):
            found = fitted.find(image)
            assert found.boxes.shape == (len(found.scores), 4) and set(found.codes.tolist()) <= {0}


def test_what_it_is_travels_in_its_file(trained):
    assert trained.labels == ("square", "disc") and trained.input_shape == (64, 64, 3)
    assert trained.metadata["task"] == "detection" and trained.metadata["detection"]["strides"] == [8, 16]
    assert set(trained.run_batch(np.zeros((2, 64, 64, 3), np.uint8))) == {"boxes", "scores"}


def test_its_threshold_is_chosen_on_validation_data(trained, data):
    task = toy_boxes.recipe(data).task
    decided = task.calibrate(trained, data.validation)
    written = decided["detection"]
    assert list(written) == ["threshold"] and 0.01 < written["threshold"] < 1
    calibrated = KerasArtifact(trained.path, trained.model, with_decided(trained.metadata, decided))
    found, truth = task.outputs(calibrated, data.test)
    f1 = [
        task.score(found, truth, trained.labels, {"detection": {"threshold": t}})["f1"]
        for t in (0.02, written["threshold"])
    ]
    assert f1[1] > 0.85 and f1[1] > f1[0]


def test_the_last_weights_are_kept_and_validated(trained):
    run = Run.open(trained.path.parent)
    done = run.document["training"]
    assert done["best_epoch"] == done["epochs"] == 8
    rows = (run.path / HISTORY).read_text().splitlines()
    assert len(rows) == 9 and "val_loss" in rows[0] and "nan" not in "".join(rows)
    column = rows[0].split(",").index("val_loss")
    losses = [float(row.split(",")[column]) for row in rows[1:]]
    assert losses[-1] < 0.5 * losses[0]


def on_device(trained, device, data, count=20):
    """The outputs of a trained and an exported model for the same images."""
    images = data.test.read(np.arange(count))[0]
    return trained.run_batch(images), device.run_batch(images)


def test_a_float32_file_passes_the_gate_and_says_what_the_trained_model_says(exported, trained, data):
    path, document = exported("float32")
    verdict = document["artifacts"]["float32"]
    assert verdict["passed"] and abs(verdict["difference"]) < 0.01
    assert (document["tolerance"], document["class_tolerance"]) == toy_boxes.recipe(data).task.tolerance
    before, after = on_device(trained, DeviceModel.open(path), data)
    assert set(before) == set(after) == {"boxes", "scores"}
    for name, values in before.items():
        assert after[name].shape == values.shape and after[name].dtype == np.float32
        np.testing.assert_allclose(after[name], values, atol=2e-4)
    assert read_metadata(path)["detection"] == trained.metadata["detection"]


def test_a_device_finds_in_an_image_what_the_trained_model_finds(exported, trained, data):
    device = DeviceModel.open(exported("float32")[0])
    plan = data.test.plan
    for index in range(5):
        image = data.test.native(index)
        first, second = (find(model, image, plan) for model in (trained, device))
        assert len(first.scores) and first.codes.tolist() == second.codes.tolist()
        np.testing.assert_allclose(first.boxes, second.boxes, atol=0.02)


def mediapipe(raw, height, width, strides):
    """Decode as MediaPipe does, with one anchor a cell, its size the stride, all normalised: corners in px."""
    x_center, y_center, h, w = [], [], [], []
    for stride in strides:
        for y in range(height // stride):
            for x in range(width // stride):
                x_center.append((x + 0.5) / (width / stride))
                y_center.append((y + 0.5) / (height / stride))
                h.append(stride / height)
                w.append(stride / width)
    x_center, y_center, h, w = (np.array(values) for values in (x_center, y_center, h, w))
    middle_y, middle_x = raw[..., 0] * h + y_center, raw[..., 1] * w + x_center
    high, wide = np.exp(raw[..., 2]) * h, np.exp(raw[..., 3]) * w
    corners = [middle_x - wide / 2, middle_y - high / 2, middle_x + wide / 2, middle_y + high / 2]
    return np.stack(corners, -1) * [width, height, width, height]


@pytest.mark.parametrize(("shape", "strides"), [((64, 64), (8, 16, 32)), ((64, 128), (4, 8, 16)), ((96, 32), (16,))])
def test_the_formula_of_mediapipe_gives_the_same_boxes(shape, strides):
    grid = cells(*shape, strides)
    raw = np.random.default_rng(0).normal(0, 1.5, (5, len(grid), 4)).astype(np.float32)
    np.testing.assert_allclose(mediapipe(raw, *shape, strides), decode(raw, grid), rtol=1e-4, atol=1e-2)


def test_the_formula_of_mediapipe_reads_an_exported_file(exported, data):
    raw = DeviceModel.open(exported("float32")[0]).run_batch(data.test.read(np.arange(4))[0])["boxes"]
    np.testing.assert_allclose(mediapipe(raw, 64, 64, STRIDES), decode(raw, cells(64, 64, STRIDES)), atol=1e-2)


def quantization(device, name):
    """Scale and zero point of the eight-bit tensor behind an output."""
    interpreter = device._interpreter
    output = device._outputs[name]["index"]
    last = next(
        op for op in interpreter._get_ops_details() if output in op["outputs"] and op["op_name"] == "DEQUANTIZE"
    )
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    return tensors[last["inputs"][0]]["quantization"]


@pytest.mark.slow
def test_an_int8_file_passes_the_gate_with_boxes_and_scores_each_on_a_scale_of_its_own(exported, trained, data):
    path, document = exported("int8")
    verdict = document["artifacts"]["int8"]
    assert verdict["passed"] and verdict["difference"] >= -1.0
    device = DeviceModel.open(path)
    assert device.input_dtype == np.uint8 and tuple(device._input["quantization"]) == (1.0, 0)
    before, after = on_device(trained, device, data)
    scales = {name: quantization(device, name)[0] for name in ("boxes", "scores")}
    assert scales["scores"] == pytest.approx(1 / 256) and scales["boxes"] > 2 * scales["scores"]
    assert {name: values.shape for name, values in after.items()} == {n: v.shape for n, v in before.items()}
    sure = before["scores"].max(-1) > 0.3
    assert np.abs(after["scores"] - before["scores"])[sure].mean() < 0.1
    grid = cells(64, 64, STRIDES)
    assert np.abs(decode(after["boxes"], grid) - decode(before["boxes"], grid))[sure].mean() < 1.5  # px
    assert path.stat().st_size < 0.5 * exported("float32")[0].stat().st_size


@pytest.mark.slow
def test_a_float16_file_passes_the_gate(exported):
    path, document = exported("float16")
    assert document["artifacts"]["float16"]["passed"]
    assert path.stat().st_size < 0.7 * exported("float32")[0].stat().st_size


@pytest.mark.slow
def test_calibration_on_wrongly_scaled_images_is_refused_and_leaves_no_file(trained, data, tmp_path, monkeypatch):
    monkeypatch.setattr(KIND, "calibration", lambda images: np.asarray(images, np.float32) / 255)
    task = toy_boxes.recipe(data).task
    with pytest.raises(GateRefused, match=r"int8: .* points lost overall"):
        gate.export(trained, tmp_path, train=data.train, held_out=data.test, task=task, precisions=["int8"])
    assert [path.name for path in tmp_path.iterdir()] == ["gate.json"]


def test_batches_from_the_middle_are_those_of_the_whole(data):
    recipe, settings = toy_boxes.recipe(data), dataclasses.replace(SETTINGS, mirror=True)
    order = Order(len(data.train), 16, seed=0)

    def batches(start):
        views, encode = recipe.views(data.train, settings), recipe.task.encoder(2)
        made = training_batches(data.train, order, start=start, stop=6, encode=encode, views=views)
        return [tuple(np.array(part) for part in batch) for batch in made]

    whole, tail = batches(0), batches(4)
    assert len(whole) == 6 and len(tail) == 2
    assert all(same(a, b) for a, b in zip(whole[4:], tail, strict=True))
    images, boxes = whole[0]
    assert images.shape == (16, 64, 64, 3) and images.dtype == np.float32 and images.max() <= 255
    assert boxes.shape == (16, MOST, 6) and (boxes[..., 5] == 1).any(1).mean() > 0.5


def test_evaluation_sees_every_image_once_in_order(data):
    made = list(evaluation_batches(data.validation, batch_size=6, encode=lambda boxes: boxes))
    assert [len(images) for images, _ in made] == [6, 6, 4]
    _, boxes = data.validation.read(np.arange(16))
    np.testing.assert_array_equal(np.concatenate([np.array(part) for _, part in made]), boxes)


@pytest.mark.slow
def test_it_repeats_bit_for_bit_and_resumes_to_the_same_weights(tmp_path):
    whole = weights(fit(tmp_path / "whole"))
    assert same(whole, weights(fit(tmp_path / "again")))
    assert not same(whole, weights(fit(tmp_path / "other", dataclasses.replace(SMALL, seed=1))))

    def stop(state):
        if state.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", on_epoch=stop)
    assert same(whole, weights(fit(tmp_path / "cut")))


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights(tmp_path):
    program = textwrap.dedent(
        """
        import sys, time, pathlib
        from tests.test_detection import fit
        fit(pathlib.Path(sys.argv[1]), on_step=lambda *_: time.sleep(0.3))
        """
    )
    path = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)])
    while process.poll() is None:
        if (path / CHECKPOINT).exists():
            time.sleep(0.3)  # in the midst of the next epoch
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    process.wait()
    assert process.returncode == -signal.SIGKILL and not (path / "model.keras").exists()
    assert same(weights(fit(tmp_path / "whole")), weights(fit(path)))


@pytest.mark.parametrize("tiled", [True, False])
def test_batch_norm_is_measured_on_tiles_as_training_cuts_them_or_else_on_plain_images(tmp_path, monkeypatch, tiled):
    measured = []

    def recalibrate(model, batches):
        measured.extend(batches)
        norm.recalibrate(model, measured)

    monkeypatch.setattr(training.fitting, "recalibrate", recalibrate)
    plan = Plan((8,), scale=1.0) if tiled else Plan((8,))
    splits = toy_boxes.splits(48, 8, 4)
    parts = {name: getattr(splits, name).with_plan(plan, (64, 64, 3)) for name in ("train", "validation", "test")}
    data = dataclasses.replace(splits, **parts)
    fit(tmp_path / "run", dataclasses.replace(SMALL, epochs=1), data)
    plain, _ = data.train.read(np.arange(len(data.train)))
    seen = {image.astype(np.uint8).tobytes() for image in measured[0]}
    assert seen.isdisjoint({image.tobytes() for image in plain}) is tiled


@pytest.mark.slow
def test_smaller_images_first_share_the_weights(tmp_path):
    settings = dataclasses.replace(SMALL, progressive=2, epochs=2)
    model = fit(tmp_path / "run", settings)
    assert model.input_shape == (None, 64, 64, 3)
    phases = Run.open(tmp_path / "run").document["training"]["phases"]
    assert len(phases) == 2 and "of their size" in phases[0]["name"]

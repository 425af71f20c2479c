"""`cnnkit scans`: the contract of every app, and what is special about drawing masks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit.errors import CnnkitError
from cnnkit_scans.cli import main
from tests.contracts import AppContract

HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "scipy", "h5py", "jax")
LABELS = ("disc", "box")
SMALL = """
epochs = 4
batch_size = 8
learning_rate = 0.01
ema = 0.8
elastic = 0.5
options = { width = 4, depth = 2 }
"""


def shapes(seed, height=48, width=64):
    """A grey picture with a bright disc and a brighter box in noise, and its mask: 1 the disc, 2 the box."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(
        mask, (int(rng.integers(12, width - 12)), int(rng.integers(12, height - 12))), int(rng.integers(6, 11)), 1, -1
    )
    left, top = int(rng.integers(2, width - 14)), int(rng.integers(2, height - 14))
    cv2.rectangle(mask, (left, top), (left + 9, top + 9), 2, -1)
    picture = 40 + 70 * mask + rng.normal(0, 8, mask.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def write(folder, count=60, first=0, suffix=".png"):
    """Write pictures and masks of shapes; returns the folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        picture, mask = shapes(number)
        assert cv2.imwrite(str(folder / "images" / f"p{number:03}{suffix}"), picture)
        assert cv2.imwrite(str(folder / "masks" / f"p{number:03}.png"), mask)
    (folder / "labels.json").write_text(json.dumps({name: code for code, name in enumerate(LABELS, 1)}))
    return folder


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": "x"}, "`loss` needs one of dice, batch-dice, tversky, focal, boundary. Got 'x'"),
        ({"flips": "x"}, "`flips` needs one of none, horizontal, vertical, both"),
        ({"values": "x"}, "`values` needs one of as it is, alike, each"),
        ({"epochs": 0}, "`epochs` must be at least 1"),
        ({"rotation": 200.0}, r"`rotation` must lie in \[0, 180\]"),
        ({"learning_rate": "0"}, "`learning_rate` must be above 0"),
        ({"model": "x"}, "no model `x`. Models: default, backbone"),
        ({"options": {"x": 1}}, "'default' has no option `x`"),
        ({"model": "backbone", "options": {"backbone": "x"}}, "`backbone` needs one of mobilenet, .* Got 'x'"),
        ({"weights": "x.h5"}, "x.h5 does not exist"),
        ({"image_size": 33}, "`image_size` is a multiple of 32 px"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_any_data_is_read(monkeypatch, tmp_path, given, said):
    from cnnkit.data import loading
    from cnnkit.verbs.train import train
    from cnnkit_scans import cli

    def read(*_, **__):
        raise AssertionError("data is read")

    monkeypatch.setattr(loading.Asked, "read", read)
    with pytest.raises(CnnkitError, match=said):
        train(cli.segmentation(), {"data": str(write(tmp_path / "data", 2)), **given}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_texts_that_settings_take_are_those_that_there_are():
    from cnnkit.device import segmentation as device
    from cnnkit.tasks.segmentation import loading, scoring, settings

    assert settings.VALUES == (device.AS_IS, device.ALIKE, device.EACH)
    assert set(settings.LOSSES) == set(scoring.LOSSES)
    assert set(settings.FLIPS) == set(loading.FLIPS)


def test_a_model_that_is_called_like_an_option_keeps_its_name(tmp_path):
    data = write(tmp_path / "data", 8)
    words = ["train", "--data", str(data), "--model", "backbone", "--depth", "2", "--out", str(tmp_path / "run")]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 1
    assert "The model 'backbone' has no option" in found.output


class TestScans(AppContract):
    app = "scans"
    group = main

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, tmp_path_factory):
        folder = tmp_path_factory.mktemp("shapes")
        write(folder / "data")
        (folder / "small.toml").write_text(SMALL)
        request.cls.small = ("--config", str(folder / "small.toml"), "--data", str(folder / "data"), "--groups", "none")
        return folder / "data"

    def inputs(self, folder):
        return [str(path) for path in sorted((write(folder / "more", 3, 900) / "images").iterdir())]

    def test_shapes_it_was_not_trained_on_are_drawn(self, home):
        scores = json.loads(Path("runs/scans/latest/run.json").read_text())["scores"]["test"]
        assert scores["dice"] > 0.8
        assert scores["per_class"].keys() == set(LABELS)
        assert scores["dice_interval"][0] < scores["dice"] < scores["dice_interval"][1]

    def test_a_mask_is_written_for_each_picture_of_its_size(self, home, tmp_path):
        inputs = self.inputs(tmp_path)
        found = json.loads(self.run("predict", *inputs, "--out", tmp_path / "found", "--json").stdout)
        overlaps = []
        for row, path in zip(found["predictions"], inputs, strict=True):
            answer = cv2.imread(row["mask"], cv2.IMREAD_UNCHANGED)
            truth = cv2.imread(path.replace("images", "masks"), cv2.IMREAD_UNCHANGED)
            assert answer.shape == truth.shape == (row["height"], row["width"])
            assert set(np.unique(answer)) <= {0, 1, 2}
            for code, label in enumerate(LABELS, 1):
                assert row["labels"][label]["area"] == (answer == code).sum()
            overlaps.append(2 * ((answer == truth) & (truth > 0)).sum() / ((answer > 0).sum() + (truth > 0).sum()))
            drawn = cv2.imread(row["overlay"])  # with a line on what is seen below the picture
            assert drawn.shape[0] > truth.shape[0] and drawn.shape[1] >= truth.shape[1]
        assert np.mean(overlaps) > 0.8
        assert "medical device" in found["notice"]

    def test_the_exported_file_draws_what_the_trained_model_draws(self, home, tmp_path):
        """Whole, at another size, in windows that its plan never cut; by Keras, and by LiteRT without TensorFlow."""
        picture = np.tile(shapes(901)[0], (2, 2))
        cv2.imwrite(str(tmp_path / "large.png"), picture)
        run = Path("runs/scans/latest").resolve()
        masks = []
        for name, artifact in (("keras", run / "model.keras"), ("device", run / "export" / "scans-float32.tflite")):
            self.run("predict", artifact, tmp_path / "large.png", "--out", tmp_path / name)
            masks.append(cv2.imread(str(tmp_path / name / "large_mask.png"), cv2.IMREAD_UNCHANGED))
        assert (masks[0] != masks[1]).mean() < 0.001
        words = ["predict", str(run / "export" / "scans-int8.tflite"), str(tmp_path / "large.png")]
        code = f"import sys; from cnnkit_scans.cli import main; main({words!r}, standalone_mode=False); " + (
            f"assert not sys.modules.keys() & {set(HEAVY)!r}, sys.modules.keys() & {set(HEAVY)!r}"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    def test_a_picture_of_another_kind_is_one_line(self, home, tmp_path):
        cv2.imwrite(str(tmp_path / "clear.png"), np.random.default_rng(0).integers(0, 255, (32, 32, 4), np.uint8))
        assert "clear.png" in self.fails("predict", tmp_path / "clear.png")
        (tmp_path / "cut.png").write_bytes((tmp_path / "clear.png").read_bytes()[:200])
        assert "cut.png" in self.fails("predict", tmp_path / "cut.png")
        inputs = self.inputs(tmp_path)
        found = json.loads(self.run("predict", tmp_path / "cut.png", inputs[0], "--skip-bad", "--json").stdout)
        assert len(found["predictions"]) == 1
        assert "cut.png" in found["skipped"][0]


class TestFolds:
    """Cross-validation through the command line."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("folds")
        write(folder / "data", 16)
        (folder / "small.toml").write_text(SMALL)
        words = [
            "train",
            "--config",
            folder / "small.toml",
            "--data",
            folder / "data",
            "--groups",
            "none",
            "--folds",
            "2",
        ]
        self.run(*words, "--epochs", "2", "--out", folder / "run")
        return folder

    @pytest.fixture(autouse=True)
    def inside(self, home, monkeypatch):
        monkeypatch.chdir(home)

    def test_every_case_is_scored_by_a_model_that_never_saw_it(self, home):
        document = json.loads((home / "run" / "run.json").read_text())
        assert document["scores"]["folds"]["count"] == 16
        folds = [json.loads((home / "run" / f"fold-{k}" / "run.json").read_text()) for k in (0, 1)]
        assert [fold["data"]["sizes"] for fold in folds] == [{"train": 8, "validation": 0, "test": 8}] * 2
        mean = np.mean([fold["scores"]["test"]["dice"] for fold in folds])
        assert document["scores"]["folds"]["dice"] == pytest.approx(mean, abs=1e-6), "of as many cases each"
        assert (home / "run" / "report.html").stat().st_size > 10_000

    def test_nnunet_finds_the_same_folds(self, home):
        rows = json.loads((home / "run" / "splits_final.json").read_text())
        assert [len(row["val"]) for row in rows] == [8, 8]
        assert sorted(rows[0]["val"] + rows[1]["val"]) == [f"p{k:03}" for k in range(16)]
        assert not any(set(row["train"]) & set(row["val"]) for row in rows)

    def test_the_models_together_say_the_mean_of_each(self, home):
        import keras

        from cnnkit.evaluation.artifacts import open_artifact

        picture = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 1)).astype(np.float32)
        every, *each = (open_artifact(path).model for path in (home / "run", home / "run/fold-0", home / "run/fold-1"))
        assert every.input_shape[1:] == (64, 64, 1)
        said = [np.array(model(picture, training=False)) for model in each]
        assert np.array(every(picture, training=False)) == pytest.approx(np.mean(said, axis=0), abs=1e-5)
        assert isinstance(every, keras.Model) and every.layers[-1].name == "logits"

    def test_it_is_exported_and_draws(self, home):
        self.run("export", "run", "--precision", "float32", "--data", home / "data", "--tolerance", "100")
        found = self.run(
            "predict", next((home / "run/export").glob("*.tflite")), home / "data/images/p000.png", "--json"
        )
        assert json.loads(found.stdout)["predictions"][0]["labels"].keys() == set(LABELS)

    @pytest.mark.slow
    def test_a_run_that_was_stopped_goes_on_to_the_same_model(self, home):
        shutil.copytree(home / "run", home / "stopped")
        for name in ("model.keras", "report.html"):
            (home / "stopped" / name).unlink()
        shutil.rmtree(home / "stopped" / "fold-1")
        document = json.loads((home / "stopped" / "run.json").read_text())
        for key in ("scores", "training", "model"):
            document.pop(key)
        (home / "stopped" / "run.json").write_text(json.dumps(document))
        self.run("train", "--out", "stopped", "--resume")
        before, after = (
            json.loads((home / name / "run.json").read_text())["scores"]["folds"] for name in ("run", "stopped")
        )
        assert before == after

    def test_one_fold_alone_is_the_same_run(self, home):
        words = ("train", "--config", home / "small.toml", "--data", home / "data", "--groups", "none", "--folds", "2")
        self.run(*words, "--fold", "1", "--epochs", "2", "--out", "alone")
        first, second = (json.loads((home / name / "run.json").read_text()) for name in ("run/fold-1", "alone"))
        assert first["scores"]["test"]["per_case"] == second["scores"]["test"]["per_case"]

    def test_more_folds_than_pictures_are_one_line(self):
        line = self.fails("train", "--data", "data", "--folds", "30", "--groups", "none")
        assert "leaves a fold empty" in line


class TestChannels:
    """nnU-Net's layout with two channels, through the command line."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.mark.slow
    def test_channels_are_files_when_it_draws_too(self, tmp_path, monkeypatch):
        """The disc shows in one channel, the box in the other: without both, or the other way round, it cannot be right."""
        monkeypatch.chdir(tmp_path)
        root = tmp_path / "Dataset001_Shapes"
        for name in ("imagesTr", "labelsTr"):
            (root / name).mkdir(parents=True)
        for number in range(24):
            _, mask = shapes(number)
            noise = np.random.default_rng(number).normal(0, 8, (2, *mask.shape))
            for channel in (0, 1):
                picture = np.clip(60 + 100 * (mask == channel + 1) + noise[channel], 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / "imagesTr" / f"s{number:03}_{channel:04}.png"), picture)
            cv2.imwrite(str(root / "labelsTr" / f"s{number:03}.png"), mask)
        about = {"channel_names": {"0": "a", "1": "b"}, "labels": {"background": 0, "disc": 1, "box": 2}}
        (root / "dataset.json").write_text(json.dumps({**about, "numTraining": 24, "file_ending": ".png"}))
        (tmp_path / "small.toml").write_text(SMALL)
        self.run("train", "--config", "small.toml", "--data", root, "--groups", "none", "--epochs", "6", "--out", "run")
        assert json.loads(Path("run/run.json").read_text())["scores"]["test"]["dice"] > 0.7
        found = json.loads(self.run("predict", "run", root / "imagesTr", "--out", "found", "--json").stdout)
        assert len(found["predictions"]) == 24
        answer = cv2.imread("found/s000_0000_mask.png", cv2.IMREAD_UNCHANGED)
        assert (
            2 * ((answer == shapes(0)[1]) & (answer > 0)).sum() / ((answer > 0).sum() + (shapes(0)[1] > 0).sum()) > 0.7
        )
        (root / "imagesTr" / "s005_0001.png").unlink()
        assert "s005_0001.png is missing" in self.fails("predict", "run", root / "imagesTr")

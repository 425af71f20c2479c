"""`cnnkit signs --task recognise`: the contract of every app, and what is special about recognising signs."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit_signs.cli import main
from tests.contracts import AppContract

FEW = ("--model", "micro", "--image-size", "32")


class TestSigns(AppContract):
    app = "signs"
    group = main
    small = ("--task", "recognise", *FEW, "--epochs", "2", "--limit", "300")

    def inputs(self, folder):
        from cnnkit.data import load

        images, _ = load("drawn-signs").test.read(np.arange(3))
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
        return [str(folder / f"{number}.png") for number in range(3)]


class TestRecognition:
    """Fine-tuning through the command line."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    @staticmethod
    def folder(path, classes, tracks=4, frames=3):
        """A folder CLASS/TRACK_FRAME.png of drawn signs."""
        from cnnkit.data import load

        splits = load("drawn-signs")
        for code, name in enumerate(classes):
            (path / name).mkdir(parents=True)
            own = np.flatnonzero(splits.train.labels == splits.train.label_names.index(name))[: tracks * frames]
            for number, image in enumerate(splits.train.read(own)[0]):
                file = path / name / f"{code * 100 + number // frames:05d}_{number % frames:05d}.png"
                cv2.imwrite(str(file), image[..., ::-1])
        return path

    def test_the_task_can_be_named_and_no_other_is_known(self):
        assert "[detect|recognise]" in self.run("train", "--help").output
        self.run("train", "--task", "dance", code=2)

    def test_a_continued_run_takes_over_model_and_size_and_keeps_its_classes(self):
        self.folder(Path("old"), ["stop", "give way", "no entry"])
        self.folder(Path("new"), ["stop", "priority road"])
        few = ("--epochs", "1", "--json")
        first = json.loads(self.run("train", "--data", "old", *FEW, *few, "--task", "recognise").stdout)
        document = json.loads(self.run("train", "--data", "new", "--weights", first["run"], "--keep", *few).stdout)
        run = json.loads((Path(document["run"]) / "run.json").read_text())
        assert run["settings"]["model"] == "micro" and run["settings"]["image_size"] == 32
        assert run["data"]["labels"] == ["give way", "no entry", "stop", "priority road"]
        assert run["data"]["sizes"]["train"] > 27  # of both
        assert "3 of 4 classes copied by name" in " ".join(run["weights"]["notes"])
        assert [phase["name"] for phase in run["training"]["phases"]] or run["training"]["epochs"] == 1
        again = json.loads(self.run("evaluate", document["run"], "--json").stdout)
        assert again["accuracy"] == document["scores"]["test"]["accuracy"]
        assert set(again["per_class"]) == {"give way", "no entry", "stop", "priority road"}

    def test_what_was_loaded_is_printed(self):
        self.folder(Path("old"), ["stop", "give way"])
        self.run("train", "--data", "old", *FEW, "--epochs", "1", "--out", "first")
        output = self.run("train", "--data", "old", "--weights", "first", "--epochs", "1").output
        assert "parameters of" in output and "loaded from" in output

    def test_keep_without_a_run_and_lost_data_are_one_line(self):
        import shutil

        self.folder(Path("old"), ["stop", "give way"])
        assert "name its folder with --weights" in self.fails("train", "--data", "old", "--keep")
        self.run("train", "--data", "old", *FEW, "--epochs", "1", "--out", "first")
        Path("old").rename("new")
        line = self.fails("train", "--data", "new", "--weights", "first", "--keep", "--out", "second")
        assert "The data of" in line and "--keep" in line and "old" in line
        assert not Path("second").exists()
        shutil.rmtree("first")

    def test_a_start_that_fails_leaves_no_run_behind(self):
        self.folder(Path("old"), ["stop", "give way"])
        line = self.fails("train", "--data", "old", "--weights", "none.h5", "--out", "run")
        assert "none.h5 does not exist" in line
        assert not Path("run").exists() and not Path("runs").exists()
        line = self.fails("train", "--data", "old", "--model", "micro", "--backbone", "mobilenet_v2")
        assert "no option `backbone`" in line
        line = self.fails("train", "--data", "old", "--backbone", "mobilenet_v2", "--image-size", "16")
        assert "at least 32 px" in line and "--image-size" in line

    def test_imagenet_weights_that_cannot_be_downloaded_name_the_file_and_its_place(self, monkeypatch):
        import urllib.error
        import urllib.request

        def offline(*_, **__):
            raise urllib.error.URLError("offline")

        monkeypatch.setenv("KERAS_HOME", str(Path.cwd() / "keras"))
        monkeypatch.setattr(urllib.request, "urlopen", offline)
        self.folder(Path("old"), ["stop", "give way"])
        line = self.fails("train", "--data", "old", "--weights", "imagenet")
        assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_128_no_top.h5" in line
        assert str(Path.cwd() / "keras" / "models") in line

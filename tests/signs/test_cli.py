"""`cnnkit signs --task recognise`: the contract of every app, and what is special about recognising signs."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit_signs.cli import main
from tests.contracts import AppContract

FEW = ("--model", "micro", "--image-size", "32")


def write_signs(path, classes, each, split="train", frames=1):
    """Write so many pictures of a split of the drawn signs of each class, CLASS/TRACK_FRAME.png; return the folder."""
    from cnnkit.inputs.image.loading import load

    records = getattr(load("drawn-signs"), split)
    for code, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        own = np.flatnonzero(records.labels == records.label_names.index(name))[:each]
        for number, image in enumerate(records.read(own)[0]):
            file = path / name / f"{code * 1000 + number // frames:05d}_{number % frames:05d}.png"
            cv2.imwrite(str(file), image[..., ::-1])
    return path


class TestSigns(AppContract):
    app = "signs"
    group = main

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, tmp_path_factory):
        """Four of the drawn signs, in files: they are read some ten times, and drawing one takes longer than reading it."""
        folder = tmp_path_factory.mktemp("few")
        for split in ("train", "test"):
            write_signs(folder / split, ["stop", "give way", "priority road", "keep right"], 100, split)
        words = ("--task", "recognise", *FEW, "--epochs", "10", "--learning-rate", "0.01", "--data", str(folder))
        request.cls.small = words
        return folder

    def inputs(self, folder):
        from cnnkit.inputs.image.loading import load

        images, _ = load("drawn-signs").test.read(np.arange(3))
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
        return [str(folder / f"{number}.png") for number in range(3)]

    def test_signs_it_was_not_trained_on_are_named(self, home):
        scores = json.loads(Path("runs/signs/latest/run.json").read_text())["scores"]["test"]
        assert scores["count"] == 120 and scores["accuracy"] > 0.6  # chance is 0.25


class TestRecognition:
    """Fine-tuning through the command line."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    @staticmethod
    def folder(path, classes):
        """Pictures of four tracks a class, three frames each."""
        return write_signs(path, classes, 12, frames=3)

    @pytest.fixture(scope="class")
    def first(self, tmp_path_factory):
        """A run on three classes of the folder `old` beside it; read only."""
        home = tmp_path_factory.mktemp("first")
        old = self.folder(home / "old", ["stop", "give way", "no entry"])
        words = ("train", "--task", "recognise", *FEW, "--epochs", "1", "--data", old, "--out", home / "run")
        self.run(*words)
        return home / "run"

    def test_the_task_can_be_named_and_no_other_is_known(self):
        assert "[detect|recognise]" in self.run("train", "--help").output
        self.run("train", "--task", "dance", code=2)

    def test_a_continued_run_takes_over_model_and_size_and_keeps_its_classes(self, first):
        self.folder(Path("new"), ["stop", "priority road"])
        words = ("--data", "new", "--weights", first, "--replay", "--epochs", "1")
        document = json.loads(self.run("train", *words, "--json").stdout)
        run = json.loads((Path(document["run"]) / "run.json").read_text())
        assert run["settings"]["model"] == "micro" and run["settings"]["image_size"] == 32
        assert run["data"]["labels"] == ["give way", "no entry", "stop", "priority road"]
        assert run["data"]["sizes"]["train"] > 27  # of both
        assert "3 of 4 classes copied by name" in " ".join(run["weights"]["notes"])
        assert [phase["name"] for phase in run["training"]["phases"]] or run["training"]["epochs"] == 1
        again = json.loads(self.run("evaluate", document["run"], "--json").stdout)
        assert again["accuracy"] == document["scores"]["test"]["accuracy"]
        assert set(again["per_class"]) == {"give way", "no entry", "stop", "priority road"}

    def test_without_data_the_drawn_signs_are_learnt_and_what_was_loaded_is_printed(self, first):
        words = ("train", "--task", "recognise", "--weights", first, "--epochs", "1", "--limit", "100")
        output = self.run(*words, "--out", "run").output
        assert "parameters of" in output and "loaded from" in output
        data = json.loads(Path("run/run.json").read_text())["data"]
        assert data["name"] == "drawn-signs" and data["sizes"]["train"] == 100

    def test_keep_without_a_run_and_lost_data_are_one_line(self, first):
        self.folder(Path("new"), ["stop", "give way"])
        assert "name its folder with --weights" in self.fails("train", "--data", "new", "--replay")
        old = first.parent / "old"
        old.rename(first.parent / "gone")
        try:
            line = self.fails("train", "--data", "new", "--weights", first, "--replay", "--out", "second")
        finally:
            (first.parent / "gone").rename(old)
        assert "The data of" in line and "--replay" in line and str(old) in line
        assert not Path("second").exists()

    def test_a_start_that_fails_leaves_no_run_behind(self):
        self.folder(Path("old"), ["stop", "give way"])
        line = self.fails("train", "--data", "old", "--weights", "none.h5", "--out", "run")
        assert "none.h5 does not exist" in line
        assert not Path("run").exists() and not Path("runs").exists()
        line = self.fails("train", "--data", "old", "--model", "micro", "--backbone", "mobilenet_v2")
        assert "no option --backbone" in line
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

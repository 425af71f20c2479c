"""The data of a run is found where it is now, recognised by its content, and what differs is said."""

import json
import os
import shutil
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit.data.records import Splits
from cnnkit.inputs.image.images import Images
from cnnkit.inputs.image.pictures import ImageSource
from cnnkit.inputs.image.records import ImageRecords
from cnnkit.run_data import at_their_side
from cnnkit_digits.cli import main
from tests.contracts import AppContract

LABELS = ("left", "right")


def draw(folder, count, seed=0):
    """Write class folders of small pictures: a bar on the left or on the right in noise."""
    rng = np.random.default_rng(seed)
    for side, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(0, 60, (12, 12)).astype(np.uint8)
            image[2:10, 1 + 7 * side : 4 + 7 * side] = rng.integers(140, 255)
            cv2.imwrite(str(folder / label / f"{number:02}.png"), image)


class TestPlaces:
    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory):
        """A folder with `data`, and a run on it that was started with a relative path."""
        home = tmp_path_factory.mktemp("home")
        draw(home / "data", 30)
        before = Path.cwd()
        os.chdir(home)
        try:
            words = ("--epochs", "1", "--model", "simple_cnn", "--batch-size", "8", "--out", "run")
            self.run("train", "--data", "data", *words, "--json")
        finally:
            os.chdir(before)
        return home

    @pytest.fixture
    def home(self, trained, tmp_path, monkeypatch):
        """A copy of it, and the present folder elsewhere, with another `data` in it."""
        for name in ("data", "run"):
            shutil.copytree(trained / name, tmp_path / "home" / name)
        document = json.loads((tmp_path / "home/run/run.json").read_text())
        document["data"]["place"]["path"] = str(tmp_path / "home/data")
        (tmp_path / "home/run/run.json").write_text(json.dumps(document))
        draw(tmp_path / "elsewhere" / "data", 20, seed=9)
        monkeypatch.chdir(tmp_path / "elsewhere")
        return tmp_path / "home"

    def scored(self, *words):
        return json.loads(self.run("evaluate", *words, "--json").stdout)

    def test_it_is_found_from_another_folder_where_another_set_has_its_name(self, home):
        first = json.loads((home / "run/run.json").read_text())["scores"]["test"]
        found = self.scored(home / "run")
        assert found["own_data"] and found["split"] == "test"
        assert (found["accuracy"], found["count"]) == (first["accuracy"], first["count"])

    def test_a_run_and_its_data_that_moved_together_are_found(self, home, tmp_path):
        first = self.scored(home / "run")
        home.rename(tmp_path / "new")
        found = self.scored(tmp_path / "new/run")
        assert found["own_data"] and found["confusion"] == first["confusion"]

    def test_data_that_moved_is_recognised_and_remembered(self, home, tmp_path):
        first = self.scored(home / "run")
        (home / "data").rename(tmp_path / "there")
        for verb in ("evaluate", "export", "report", "explain"):
            line = self.fails(verb, home / "run")
            assert str(home / "data") in line and "--data" in line and "CNNKIT_DATA" in line
        found = self.run("evaluate", home / "run", "--data", "../there", "--json")
        assert str(home / "run") in found.stderr and "fingerprint" in found.stderr
        assert json.loads(found.stdout)["confusion"] == first["confusion"]
        assert json.loads(found.stdout)["split"] == "test"
        for verb in ("evaluate", "report", "explain"):
            self.run(verb, home / "run", "--json")

    def test_a_copy_that_was_used_and_spoiled_does_not_hide_the_original(self, home, tmp_path):
        shutil.copytree(home / "data", tmp_path / "copy")
        assert self.scored(home / "run", "--data", tmp_path / "copy")["own_data"]
        (tmp_path / "copy/left/00.png").unlink()
        assert self.scored(home / "run")["own_data"]

    def test_explain_and_report_take_its_new_place(self, home, tmp_path):
        (home / "data").rename(tmp_path / "there")
        assert self.run("report", home / "run", "--data", tmp_path / "there", "--json").exit_code == 0
        line = self.fails("report", home / "run", "--data", "data")
        assert "gone" in line and "changed" in line

    @pytest.mark.parametrize("where", ["the test split", "the training split"])
    def test_a_file_that_changed_is_named(self, home, where):
        from cnnkit.inputs.image.loading import load

        splits = load(home / "data")
        part = splits.test if where == "the test split" else splits.train
        path = Path(part.name(0))
        path.write_bytes(cv2.imencode(".png", np.full((12, 12), 7, np.uint8))[1].tobytes())
        for verb in ("evaluate", "export", "report", "explain"):
            line = self.fails(verb, home / "run")
            assert "1 file changed" in line and path.name in line, line

    def test_files_that_came_and_went_are_counted(self, home):
        for number in range(3):
            (home / f"data/left/{number:02}.png").unlink()
        shutil.copy(home / "data/right/05.png", home / "data/right/new.png")
        line = self.fails("evaluate", home / "run")
        assert "1 file added (right/new.png)" in line and "3 gone (left/00.png, left/01.png, left/02.png)" in line

    def test_half_of_it_is_said_and_scored_as_other_data_only_where_named(self, home):
        for number in range(15, 30):
            (home / f"data/right/{number}.png").unlink()
        assert "15 files gone" in self.fails("evaluate", home / "run")
        done = self.run("evaluate", home / "run", "--data", home / "data", "--json")
        assert "15 files gone" in done.stderr and "45 of its 60 files" in done.stderr
        found = json.loads(done.stdout)
        assert not found["own_data"] and found["split"] == "all" and found["count"] == 45
        assert 30 <= found["seen_in_training"] < 45
        assert f"{found['seen_in_training']} of these 45 records are in the training data" in done.stderr
        assert self.scored(home / "run", "--data", "data")["seen_in_training"] == 0

    def test_keep_finds_the_data_of_the_earlier_run(self, home):
        words = ("train", "--weights", home / "run", "--replay", "--data", "data", "--epochs", "1", "--batch-size", "8")
        sizes = json.loads(self.run(*words, "--out", "both", "--json").stdout)["run"]
        kept = json.loads(Path(sizes, "run.json").read_text())["data"]["sizes"]
        assert kept["train"] == pytest.approx(0.72 * 100, abs=4)
        assert self.scored("both")["own_data"]
        (home / "data/left/00.png").unlink()
        line = self.fails(*words, "--out", "other")
        assert "--replay" in line and "1 file gone (left/00.png)" in line

    def test_resume_takes_the_same_data_from_another_place_and_no_other(self, home, tmp_path):
        (home / "data").rename(tmp_path / "there")
        done = self.run("train", "--resume", "--out", home / "run", "--data", tmp_path / "there", "--json")
        assert json.loads(done.stdout)["training"]["epochs"] == 1
        assert "gone" in self.fails("train", "--resume", "--out", home / "run", "--data", "data")

    def test_a_run_as_config_means_its_own_data(self, home):
        words = ("train", "--config", home / "run/run.json", "--out", "again", "--json")
        self.run(*words)
        one, other = (json.loads((path / "run.json").read_text())["data"] for path in (home / "run", Path("again")))
        assert one["fingerprints"] == other["fingerprints"]

    def test_other_data_is_scored_whole_beside_the_baseline_of_the_training_data(self, home):
        found = self.scored(home / "run", "--data", "data")
        assert found["split"] == "all" and found["count"] == 40 and not found["own_data"]
        assert str(home / "data") in found["baseline"]["name"]

    def test_a_split_that_other_data_has_not_is_said(self, home):
        done = self.run("evaluate", home / "run", "--data", "data", "--split", "test", "--json")
        assert json.loads(done.stdout)["count"] == 8
        assert "has no test split of its own: 8 of its 40 records" in done.stderr
        shutil.copytree("data", "split/train")
        shutil.copytree(home / "data", "split/test")
        done = self.run("evaluate", home / "run", "--data", "split", "--split", "test", "--json")
        assert json.loads(done.stdout)["count"] == 60 and "of its own" not in done.stderr
        assert self.scored(home / "run", "--data", "split")["count"] == 100

    def test_other_data_may_have_a_class_only(self, home):
        shutil.rmtree("data/left")
        found = self.scored(home / "run", "--data", "data")
        assert found["count"] == 20 and found["per_class"]["left"]["support"] == 0

    def test_without_its_training_data_there_is_no_baseline_and_that_is_said(self, home):
        shutil.rmtree(home / "data")
        done = self.run("evaluate", home / "run", "--data", "data", "--json")
        assert json.loads(done.stdout)["baseline"] is None and "no baseline" in done.stderr.lower()
        done = self.run("evaluate", home / "run", "--data", "data", "--split", "test", "--json")
        assert "fitted on the training part of data" in json.loads(done.stdout)["baseline"]["name"]

    def test_a_name_that_is_nothing_says_what_the_variable_is(self, home, monkeypatch):
        monkeypatch.delenv("CNNKIT_DATA", raising=False)
        assert "CNNKIT_DATA" in self.fails("train", "--data", "no-such-set")


@pytest.mark.parametrize(
    "shape, side, found",
    [
        ((20, 20, 1), None, (20, 20, 1)),
        ((20, 20, 1), 48, (48, 48, 1)),
        ((20, 30, 3), (16, 64), (32, 32, 3)),  # in steps, and square
        ((200, 100, 3), (16, 64), (64, 64, 3)),
        ((10, 12, 1), (64, 128), (64, 64, 1)),
    ],
)
def test_the_side_that_a_model_wants_may_follow_the_data_within_bounds(shape, side, found):
    recipe = types.SimpleNamespace(side=lambda model: side, side_step=8, inputs=Images())
    records = ImageRecords(ImageSource(np.zeros((4, *shape), np.uint8)), np.array([0, 1, 0, 1]), ("a", "b"))
    splits = Splits(records, records.take(np.arange(0)), records, {})
    settings, seen = at_their_side(recipe, "default", {}, splits)
    assert seen.train.input_shape == seen.test.input_shape == found
    assert settings == ({"image_size": found[0]} if side else {})
    settings, seen = at_their_side(recipe, "default", {"image_size": 24}, splits)
    assert settings == {"image_size": 24} and seen is splits  # as it was loaded

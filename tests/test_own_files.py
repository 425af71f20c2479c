"""Files of a user are never replaced without --force; those that cnnkit wrote are, as long as nobody changed them."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit import own_files
from cnnkit.errors import CnnkitError
from cnnkit_digits.cli import main
from tests.contracts import AppContract


@pytest.fixture(autouse=True)
def no_force():
    own_files.use_force(False)
    yield
    own_files.use_force(False)


class TestWhatIsOurs:
    def test_what_we_wrote_may_be_replaced_until_someone_changes_it(self, tmp_path):
        path = tmp_path / "a file.txt"
        for content in ("first", "second"):
            with own_files.replacing(path):
                path.write_text(content)
        path.write_text("second, and a word of mine")
        with pytest.raises(
            CnnkitError, match=r"a file\.txt would be overwritten, and cnnkit did not write it as it is"
        ):
            own_files.check([path])
        own_files.use_force(True)
        own_files.check([path])

    def test_a_person_s_file_is_not_ours_nor_one_of_the_same_content_elsewhere(self, tmp_path):
        ours, theirs = tmp_path / "x.csv", tmp_path / "other" / "x.csv"
        theirs.parent.mkdir()
        with own_files.replacing(ours):
            ours.write_text("1,2")
        shutil.copy(ours, theirs)
        own_files.check([ours])
        with pytest.raises(CnnkitError, match="`results`"):
            own_files.check([ours, theirs], "results")

    def test_what_failed_is_not_noted(self, tmp_path):
        path = tmp_path / "x"
        with pytest.raises(ZeroDivisionError), own_files.replacing(path):
            path.write_text("half")
            raise ZeroDivisionError
        with pytest.raises(CnnkitError):
            own_files.check([path])

    def test_a_cache_that_cannot_be_written_makes_it_careful_and_nothing_worse(self, tmp_path, monkeypatch):
        (tmp_path / "cache").write_text("a file")
        monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
        path = tmp_path / "x"
        with own_files.replacing(path):
            path.write_text("ours")
        with pytest.raises(CnnkitError):
            own_files.check([path])

    def test_the_usual_files_of_a_run_are_ours_wherever_it_lies(self, tmp_path):
        run = tmp_path / "run"
        (run / "export").mkdir(parents=True)
        for name in ("run.json", "report.html", "export/gate.json", "notes.html"):
            (run / name).write_text("{}")
        own_files.check([run / "report.html", run / "export" / "gate.json"])
        with pytest.raises(CnnkitError):
            own_files.check([run / "notes.html"])
        with pytest.raises(CnnkitError):
            own_files.check([run / "run.json"])


class TestCommands:
    """Each command that writes where it is told refuses a user's file in one line, before it works, and keeps it."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        home = tmp_path_factory.mktemp("home")
        rng = np.random.default_rng(0)
        for side, label in enumerate("ab"):
            (home / "data" / label).mkdir(parents=True)
            for number in range(20):
                image = rng.integers(0, 60, (12, 12)).astype(np.uint8)
                image[:, 6 * side : 6 * side + 6] += 150
                cv2.imwrite(str(home / "data" / label / f"{number}.png"), image)
        before = Path.cwd()
        os.chdir(home)
        try:
            self.run("train", "--data", "data", "--model", "simple_cnn", "--epochs", "1", "--out", "run", "--json")
        finally:
            os.chdir(before)
        return home

    @pytest.fixture(autouse=True)
    def inside(self, home, monkeypatch):
        monkeypatch.chdir(home)

    def held(self, path, *words):
        """A user's file at `path` stops the command; --force does not; then it is ours, and the command repeats."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"the user's")
        line = self.fails(*words)
        assert str(path) in line and "--force" in line
        assert path.read_bytes() == b"the user's"
        self.run(*words, "--force")
        assert path.read_bytes() != b"the user's"
        self.run(*words)

    def test_data_show(self):
        self.held("samples.png", "data", "show", "data")
        self.held("mine.png", "data", "show", "data", "--out", "mine.png")

    def test_report(self):
        self.held("page.html", "report", "run", "--out", "page.html")
        self.run("report", "run")

    def test_export(self):
        words = ("export", "run", "--precision", "float32", "--tolerance", "100", "--out", "device")
        self.held("device/digits-float32.tflite", *words)
        self.held("device/gate.json", *words)
        self.run("export", "run", "--precision", "float32", "--tolerance", "100")
        self.run("export", "run", "--precision", "float32", "--tolerance", "100")

    def test_explain(self):
        self.held("seen/0/grad-cam.png", "explain", "run", "data/a/0.png", "--out", "seen")
        self.run("explain", "run", "data/a/0.png")
        self.run("explain", "run", "data/a/0.png")

    def test_the_verdict_in_json_of_a_refusal(self):
        Path("other.html").write_text("mine")
        result = self.run("report", "run", "--out", "other.html", "--json", code=1)
        assert "--force" in json.loads(result.stdout)["error"]

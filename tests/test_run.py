"""A run folder is one training's alone; which run is meant where none is named; what a failed start leaves."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnnkit import console, run
from cnnkit.errors import ArtifactError, CnnkitError
from cnnkit.run import Run
from cnnkit.score import Score, Scores
from cnnkit_digits.cli import main
from tests import toys
from tests.contracts import AppContract


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNKIT_RUNS", raising=False)
    console.begin()


def made(name, *, score=None, exported=False, test="same", bad=False):
    """A run folder of the app `toy` below `runs`, begun, with a score where there is one, exported or not."""
    data = {"fingerprints": {"test": test}}
    found = Run.create(Path("runs/toy") / name, "toy", toys.Settings(), data=data)
    run.begin(found.path, "toy")
    if score is not None:
        found.save(scores={"test": {"accuracy": score, "accuracy_interval": [0, 1], "verdict": {"bad": bad}}})
    if exported:
        export(found)
    return found


def export(found):
    (found.path / "export").mkdir()
    (found.path / "export" / "toy-int8.tflite").touch()


class TestLatest:
    def test_the_newest_is_meant_and_that_is_said_once(self, capsys):
        made("1", score=0.9)
        made("2", score=0.8)
        assert run.latest("toy", console) == run.latest("toy", console) == Path("runs/toy/2")
        assert capsys.readouterr().err == "The run is runs/toy/2, the latest.\n"

    def test_a_run_that_failed_does_not_take_the_place_of_an_exported_one(self):
        made("1", score=0.9, exported=True)
        made("2")
        assert run.latest("toy", console) == Path("runs/toy/1")
        assert run.to_resume("toy", console) == Path("runs/toy/2")

    @pytest.mark.parametrize(
        ("changes", "word"),
        [({"score": 0.8}, "80.00 %"), ({"score": 0.95, "bad": True}, "bad one")],
    )
    def test_nor_does_a_worse_one_and_that_is_said(self, changes, word):
        made("1", score=0.9, exported=True)
        line = run.finish(made("2", **changes))
        assert run.latest("toy", console) == Path("runs/toy/1")
        assert "stays runs/toy/1" in line and word in line and "Name runs/toy/2" in line

    @pytest.mark.parametrize("changes", [{"score": 0.95}, {"score": 0.8, "test": "other"}])
    def test_one_that_is_better_or_not_to_be_compared_does_and_that_is_said(self, changes):
        made("1", score=0.9, exported=True)
        line = run.finish(made("2", **changes))
        assert run.latest("toy", console) == Path("runs/toy/2")
        assert "is this run now" in line and "runs/toy/1, which is exported" in line

    def test_of_an_error_the_smaller_one_is_better(self):
        for name, value in (("1", 2.0), ("2", 2.5), ("3", 1.5)):
            found = made(name, exported=name == "1")
            score = Score("mean_absolute_error", value, unit="years", better="less")
            found.save(scores={"test": {**Scores(score, count=9), "verdict": {"bad": False}}})
            line = run.finish(found)
            if name == "2":
                assert "it has mean_absolute_error 2 years, this run 2.5 years on the same test data" in line
        assert run.latest("toy", console) == Path("runs/toy/3")

    def test_without_an_exported_one_the_newest_needs_no_word(self):
        made("1", score=0.9)
        assert run.finish(made("2", score=0.1)) == "" and run.latest("toy", console) == Path("runs/toy/2")
        assert run.finish(Run.open(Path("runs/toy/2"))) == ""

    def test_a_run_that_is_finished_is_not_the_one_to_resume(self):
        made("1", score=0.9)
        assert run.to_resume("toy", console) == Path("runs/toy/1")
        made("2")
        assert run.to_resume("toy", console) == Path("runs/toy/2")
        Run.open(Path("runs/toy/2")).discard()
        with pytest.raises(ArtifactError, match=r"runs/toy/1"):
            Path("runs/toy/2").rmdir()
            run.to_resume("toy", console)

    def test_a_latest_that_was_deleted_is_said_with_what_there_is(self):
        for name in "12":
            made(name, score=0.9)
        gone = Run.open(Path("runs/toy/2"))
        gone.made = True
        gone.discard()
        with pytest.raises(ArtifactError, match=r"latest leads to runs/toy/2, which is gone.*newest is runs/toy/1"):
            run.latest("toy", console)
        Path("runs/toy/latest").unlink()
        with pytest.raises(ArtifactError, match=r"There is no runs/toy/latest.*newest is runs/toy/1"):
            run.latest("toy", console)

    def test_a_file_system_without_links_has_a_text_file(self, monkeypatch):
        def refuse(self, *_, **__):
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "symlink_to", refuse)
        made("1")
        assert Path("runs/toy/latest").is_file() and not Path("runs/toy/latest").is_symlink()
        assert run.latest("toy", console) == Path("runs/toy/1")


class TestAFolder:
    def test_a_folder_that_another_process_trains_into_is_one_line(self):
        made("1")
        code = (
            "import sys; from pathlib import Path; from cnnkit.run import holding\n"
            "with holding(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
        )
        words = [sys.executable, "-c", code, "runs/toy/1"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout.readline() == "held\n"
            with (
                pytest.raises(CnnkitError, match="Another training is writing into runs/toy/1"),
                run.holding(Path("runs/toy/1")),
            ):
                pass
            other.communicate()
        with run.holding(Path("runs/toy/1")):
            pass

    def test_trainings_that_begin_in_the_same_second_have_folders_of_their_own(self):
        paths = []
        threads = [threading.Thread(target=lambda: paths.append(run.new_path("toy", "x"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(paths)) == 8 and all(path.is_dir() for path in paths)

    def test_what_a_failed_start_leaves(self):
        Path("mine").mkdir()
        Path("there").mkdir()
        Path("linked").symlink_to("there", target_is_directory=True)
        for name in ("mine", "linked", "new"):
            Run.create(Path(name), "toy", toys.Settings()).discard()
        assert list(Path("mine").iterdir()) == list(Path("there").iterdir()) == []
        assert Path("linked").is_symlink() and not Path("new").exists()


class TestAFailedStart:
    """Of `train`: the folder of the user stays, empty as it was, also where it is a link; one line says what is wrong."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.mark.parametrize("kind", ["a folder", "a link", "nothing"])
    def test_the_folder_is_as_it_was(self, kind, tmp_path):
        out = Path("out")
        if kind == "a folder":
            out.mkdir()
        elif kind == "a link":
            Path("there").mkdir()
            out.symlink_to("there", target_is_directory=True)
        Path("weights.h5").write_text("no weights")
        line = self.fails("train", "--limit", "50", "--weights", "weights.h5", "--model", "simple_cnn", "--out", "out")
        assert "weights.h5" in line
        assert out.exists() == (kind != "nothing") and out.is_symlink() == (kind == "a link")
        assert kind == "nothing" or not list(out.iterdir())

    def test_a_link_to_nothing_is_one_line(self):
        Path("out").symlink_to("nowhere")
        assert "out" in self.fails("train", "--limit", "50", "--epochs", "1", "--model", "simple_cnn", "--out", "out")

    def test_a_command_says_which_run_it_takes(self):
        assert "no run" in self.fails("evaluate")
        folder = Path("runs/digits/1")
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"app": "digits", "settings": {}}))
        Path("runs/digits/latest").symlink_to("1")
        result = self.run("bench", code=1)
        assert result.stderr.splitlines()[0] == "The run is runs/digits/1, the latest."
        named = self.run("bench", folder, code=1)
        assert "The run is" not in named.stderr

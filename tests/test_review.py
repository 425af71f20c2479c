"""What is said of a model that is there: a bad one is called bad, in the terminal, in JSON and on the page."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit import console
from cnnkit_digits.cli import main
from tests.contracts import AppContract


class TestABadModel:
    run = AppContract.run
    group = main

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        """A folder with a run on pictures whose labels have nothing to do with them."""
        home = tmp_path_factory.mktemp("home")
        rng = np.random.default_rng(0)
        for label in ("one", "two"):
            (home / "data" / label).mkdir(parents=True)
            for number in range(40):
                cv2.imwrite(
                    str(home / "data" / label / f"{number}.png"), rng.integers(0, 256, (12, 12)).astype(np.uint8)
                )
        before = Path.cwd()
        os.chdir(home)
        try:
            words = ("--model", "simple_cnn", "--epochs", "1", "--learning-rate", "0.0001")
            type(self).trained = self.run("train", "--data", "data", *words, "--out", "run").output
        finally:
            os.chdir(before)
        return home

    @pytest.fixture(autouse=True)
    def inside(self, home, monkeypatch):
        monkeypatch.chdir(home)

    def test_train_says_so_and_does_not_send_it_on(self):
        assert "No better than chance" in self.trained or "can tell no better than chance" in self.trained
        assert "Next: cnnkit digits export" not in self.trained
        (line,) = [line for line in self.trained.splitlines() if line.startswith("Next: ")]
        assert "train longer, its last epoch was its best (--epochs 3)" in line and "data check" in line

    def test_evaluate_says_so_too_also_in_json(self):
        assert "than chance" in self.run("evaluate", "run").output
        found = json.loads(self.run("evaluate", "run", "--json").stdout)["verdict"]
        assert found["bad"] and found["kind"] == "chance" and "chance" in found["text"]
        kept = json.loads(Path("run/run.json").read_text())["scores"]["test"]["verdict"]
        assert kept["bad"]

    def test_the_page_begins_with_it(self):
        page = Path("run/report.html").read_text()
        assert page.index('class="verdict"') < page.index('class="summary"')
        self.run("report", "run")
        assert 'class="verdict"' in Path("run/report.html").read_text()


def test_an_alarm_is_red_on_a_terminal_and_plain_elsewhere(monkeypatch, capsys):
    console.alarm("bad")
    assert capsys.readouterr().out == "bad\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    console.alarm("bad")
    assert "\x1b[1;31mbad" in capsys.readouterr().out

"""`data check` says what it looked at, and its exit code says whether the data is fit."""

import json
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit_digits.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of 20 pictures each, all different; returns the folder."""
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(20):
            pixels = cv2.resize(rng.integers(0, 256, (5, 5), np.uint8), (24, 20 + k % 2), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(tmp_path / "set" / name / f"{k}.png"), pixels)
    return tmp_path / "set"


def run(*words):
    """Run `data check`; returns the exit code and what was printed."""
    found = CliRunner().invoke(main, ["data", "check", *map(str, words)])
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found.exit_code, " ".join(found.output.split())


def test_sound_data_is_fit_and_it_is_said_what_was_looked_at(folder):
    (folder / "list.txt").write_text("x")
    code, output = run(folder)
    assert code == 0
    for part in ("Data: 40 images found, 40 used", "1 file that are no images by their names", "Classes: 2, of 20 (a)"):
        assert part in output
    assert "Sizes: 24 x 20 to 24 x 21 px" in output and "as training draws them" in output


def test_an_error_is_exit_code_1_with_and_without_json(folder):
    (folder / "a" / "cut.png").write_bytes(b"")
    assert run(folder)[0] == 1
    code, output = run(folder, "--json")
    document = json.loads(output)
    assert code == 1 and not document["fit"] and document["looked_at"]


def test_a_warning_is_one_only_if_asked_for(folder):
    shutil.copy(folder / "a" / "3.png", folder / "a" / "copy.png")
    for k in range(15):
        (folder / "b" / f"{k}.png").unlink()
    code, output = run(folder)
    assert code == 0 and "starved" not in output and "Collect more" in output
    assert run(folder, "--strict")[0] == 1


def test_copies_in_a_split_that_training_draws_are_no_fault_of_the_data_s_division(folder):
    for k in range(20):
        shutil.copy(folder / "a" / f"{k}.png", folder / "a" / f"copy-{k}.png")
    code, output = run(folder, "--json")
    (found,) = [finding for finding in json.loads(output)["findings"] if finding["kind"] == "leak"]
    assert code == 0 and found["severity"] == "warning" and "the splits that training draws" in found["text"]


def test_data_that_cannot_be_divided_is_an_error(folder):
    code, output = run(folder, "--groups", "[ab]", "--json")
    (found,) = [finding for finding in json.loads(output)["findings"] if finding["severity"] == "error"]
    assert code == 1 and "cannot be divided" in found["text"]

"""What commands do is done by functions that return values and print nothing; a reporter hears what goes on."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit import opening
from cnnkit.errors import ArtifactError, CnnkitError, ConfigError
from cnnkit.evaluation.verdict import behind
from cnnkit.run import Run
from cnnkit.verbs.evaluate import evaluate
from cnnkit.verbs.report import report
from cnnkit.verbs.train import train
from cnnkit_digits.cli import recipe
from tests import toys

SETTINGS = {"model": "micro", "epochs": 2, "batch_size": 16, "learning_rate": 0.01}


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.messages, self.notes, self.warnings, self.works = [], [], [], []

    def message(self, text=""):
        self.messages.append(text)

    def note(self, text):
        self.notes.append(text)

    once = note

    def warning(self, text):
        self.warnings.append(text)

    @contextlib.contextmanager
    def progress(self, description, total, unit="", *, to_the_end=True):
        self.works.append(description)
        yield lambda completed, text="": None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures of bars, an array for each split."""
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    parts = {}
    for split, count, seed in (("train", 240, 1), ("test", 90, 3)):
        images, labels = toys.bars(count, seed).read(np.arange(count))
        parts |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez(path, **parts)
    return str(path)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    heard = Heard()
    folder = tmp_path_factory.mktemp("trained")
    return train(recipe(), {**SETTINGS, "data": data}, out=folder / "run", tell=heard), heard


def test_train_evaluate_and_report_are_silent_and_return_what_the_run_holds(data, tmp_path, capfd):
    made = train(recipe(), {**SETTINGS, "data": data}, {"width": 12}, out=tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["scores"]["test"]
    scored = evaluate(recipe(), tmp_path / "run")
    other = evaluate(recipe(), tmp_path / "run" / "model.keras", data=data, split="train")
    page = report(recipe(), tmp_path / "run", out=tmp_path / "page.html")
    assert capfd.readouterr() == ("", "")

    assert made.run.path == tmp_path / "run" and made.report == tmp_path / "run" / "report.html"
    assert made.run.settings(recipe().Settings).options["width"] == 12
    assert made.scores["count"] == 90 and made.scores["accuracy"] == kept["accuracy"] == made.scores.headline.value
    assert (made.baseline, made.verdict) == (kept["baseline"], kept["verdict"]) and made.taken == ""
    assert (made.next == "cnnkit digits export") != (made.verdict["bad"] or behind(made.verdict))
    assert (scored.artifact, scored.split, scored.own_data) == (tmp_path / "run" / "model.keras", "test", True)
    assert scored.scores["confusion"] == made.scores["confusion"] and scored.scores["accuracy"] == kept["accuracy"]
    assert (scored.baseline, scored.verdict, scored.seen_in_training) == (made.baseline, made.verdict, None)
    assert other.own_data and other.scores["count"] == made.run.document["data"]["sizes"]["train"]
    assert page == tmp_path / "page.html" and "micro" in page.read_text(encoding="utf-8")


def test_a_reporter_hears_what_is_trained_when_it_is_and_of_what_may_be_wrong(trained, data):
    made, heard = trained
    about, end = (
        next(n for n, line in enumerate(heard.messages) if line.startswith(word)) for word in ("Training", "Trained")
    )
    assert about < end and heard.messages[about].endswith(f"90 for the test -> {made.run.path}")
    assert heard.works.index("Loading data") < heard.works.index("Training") < heard.works.index("Fitting the baseline")
    assert heard.works[-1] == "Writing the report"
    again = Heard()
    scored = evaluate(recipe(), made.run.path, split="train", tell=again)
    assert scored.own_data and any("was trained on these records" in line for line in again.warnings)
    assert "Scoring on the train split" in again.works and not again.messages


def test_what_a_person_may_do_next_is_a_value_that_names_settings(data, tmp_path):
    short = {**SETTINGS, "epochs": 1, "learning_rate": 1e-6, "augment": False}
    made = train(recipe(), {**short, "data": data}, out=tmp_path / "run")
    assert made.verdict["bad"] and "its last epoch was its best (`epochs=3`); look for faults" in made.next
    scored = evaluate(recipe(), tmp_path / "run")
    assert scored.verdict["bad"] and scored.next.endswith("look at its errors: cnnkit digits report")


def test_a_finished_run_that_goes_on_is_scored_again(trained, data):
    made, _ = trained
    heard = Heard()
    again = train(recipe(), {**SETTINGS, "data": data}, out=made.run.path, resume=True, tell=heard)
    assert heard.messages[0] == f"{made.run.path} is finished already; its scores are below."
    assert again.scores == made.scores and Run.open(made.run.path).document["training"] == made.run.document["training"]


def test_errors_name_settings(trained, data):
    made, _ = trained
    with pytest.raises(ConfigError, match=r"`learning_rate` needs a number or `auto`. Got 'fast'"):
        train(recipe(), {"learning_rate": "fast"})
    with pytest.raises(ConfigError, match=r"train: there is no setting `epoch`"):
        train(recipe(), {"epoch": 3})
    with pytest.raises(ConfigError, match=r"There is no model `huge`"):
        train(recipe(), {"data": data, "model": "huge"})
    with pytest.raises(CnnkitError, match=r"exists already. Choose another `out`"):
        train(recipe(), {"data": data}, out=made.run.path)
    with pytest.raises(ConfigError, match=r"was started with epochs=2, not 5"):
        train(recipe(), {"epochs": 5}, out=made.run.path, resume=True)


@pytest.mark.parametrize("make", [Path, str])
def test_what_is_neither_a_file_nor_a_run_is_named(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    Path("a.png").touch()
    with pytest.raises(ArtifactError, match=r"There is no run in runs.digits yet") as found:
        opening.split("digits", (make("a.png"), make("b.png")))
    assert "neither" not in str(found.value)
    said = "^nothere is neither a file nor a run. Check the path" if make is Path else "There is no run in"
    with pytest.raises(ArtifactError, match=said):  # a text is no path
        opening.split("digits", (make("nothere"), make("a.png")))

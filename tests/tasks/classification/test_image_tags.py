"""Several labels an image through every verb, and what is answered on a device."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import cnnkit
from cnnkit.errors import ConfigError, DataError
from cnnkit.tasks.classification.scoring import Classification
from cnnkit.tasks.classification.screening import Screening
from cnnkit.tasks.classification.tagging import ImageClassification, ImageTagging
from cnnkit.tasks.multilabel.device import KIND

NAMES = ("red", "green", "blue")


def fields():
    from cnnkit import models

    return {
        "data": "digits",
        "builders": {"default": models.micro_cnn},
        "preset": lambda model, count, loaded: {"epochs": 8, "batch_size": 16, "learning_rate": 0.03},
    }


APP = cnnkit.App("Name colours.", fields, name="colours", kind=cnnkit.kinds.image_classification)


def write(folder, count, seed=0):
    """Write pictures with patches of some colours, or none, and a table of them: columns of 0 and 1."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    lines = ["photo,red,green,blue"]
    for k in range(count):
        there = rng.random(3) < 0.4
        pixels = rng.integers(0, 60, (12, 12, 3), np.uint8)
        for channel in np.flatnonzero(there):
            pixels[4 * channel : 4 * channel + 4, :, channel] += 150
        cv2.imwrite(str(folder / "images" / f"{k:03}.png"), pixels[..., ::-1])
        lines.append(f"{k:03},{','.join(str(int(mark)) for mark in there)}")
    (folder / "photos.csv").write_text("\n".join(lines) + "\n")


class TestVerbs:
    @staticmethod
    def run(*words, code=0):
        result = CliRunner().invoke(APP.command_line, [str(word) for word in words])
        assert result.exit_code == code, result.output
        return result

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("colours")
        write(folder / "data", 110)
        self.run(
            "train", "--data", folder / "data", "--groups", "none", "--label-smoothing", "0.05", "--out", folder / "run"
        )
        return folder

    @pytest.fixture(autouse=True)
    def inside(self, home, monkeypatch):
        monkeypatch.chdir(home)

    def test_it_learns_and_each_label_has_a_threshold(self, home):
        document = json.loads((home / "run/run.json").read_text())
        assert document["task"] == "multilabel"
        scores = document["scores"]["test"]
        assert scores["micro_f1"] > 0.9 and set(scores["thresholds"]) == set(NAMES)
        assert scores["baseline"]["name"].startswith("logistic regression of each label on 12x12 pixels")
        assert json.loads(self.run("evaluate", "run", "--json").stdout)["micro_f1"] == scores["micro_f1"]

    def test_predict_names_every_label_above_its_threshold(self, home):
        self.run("export", "run", "--precision", "int8", "--tolerance", "100")
        found = json.loads(self.run("predict", "run/export/colours-int8.tflite", "data/images", "--json").stdout)
        answers = [{entry["label"] for entry in answer["top"]} for answer in found["predictions"]]
        lines = (home / "data/photos.csv").read_text().splitlines()[1:]
        there = [{n for n, mark in zip(NAMES, line.split(",")[1:], strict=True) if mark == "1"} for line in lines]
        assert np.mean([a == b for a, b in zip(answers, there, strict=True)]) > 0.8
        assert set() in answers, "none of the labels is an answer"
        assert "none of the labels" in self.run("predict", "run/export/colours-int8.tflite", "data/images").output

    def test_it_is_shown_explained_and_reported(self, home):
        self.run("data", "show", "data", "--out", "samples.png")
        shown = json.loads(self.run("explain", "run", "data/images/000.png", "--json").stdout)
        assert shown["images"]["000"]["label"] in NAMES
        self.run("report", "run")
        page = (home / "run/report.html").read_text()
        assert "Thresholds" in page and "What counts as sure" in page and "any number of its 3 labels" in page

    def test_data_of_the_other_form_is_one_line(self, home):
        for name in NAMES[:2]:
            for k in range(6):
                (home / "single" / name).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(home / "single" / name / f"{k}.png"), np.full((12, 12, 3), 40 * k, np.uint8))
        line = self.run("evaluate", "run", "--data", "single", code=1).output
        assert "The data has one label an image, the model was trained on several labels an image" in " ".join(
            line.split()
        )
        line = " ".join(self.run("train", "--data", "data", "--class-weights", "--out", "none", code=1).output.split())
        assert "--class-weights is for one label an image" in line
        line = " ".join(
            self.run("train", "--data", "data", "--specificity", "0.9", "--out", "none", code=1).output.split()
        )
        assert "--specificity is for one label an image" in line
        line = " ".join(
            self.run("train", "--data", "single", "--min-precision", "0.9", "--out", "none", code=1).output.split()
        )
        assert "--min-precision is for several labels an image" in line

    @pytest.mark.slow
    def test_folds_score_each_image_by_what_its_own_model_gives(self, home):
        self.run("train", "--data", "data", "--groups", "none", "--folds", "2", "--out", "folds")
        scores = json.loads((home / "folds/run.json").read_text())["scores"]["folds"]
        assert scores["count"] == 110 and scores["micro_f1"] > 0.9 and set(scores["thresholds"]) == set(NAMES)


def test_a_device_answers_with_all_labels_that_are_given():
    about = {"thresholds": [0.5, 0.2, 0.9], "sure": 0.62}
    found = KIND.answer({"scores": np.array([0.6, 0.9, 0.85])}, about, NAMES, 1)
    assert [entry["label"] for entry in found["top"]] == ["green", "red"] and found["label"] == "green"
    assert KIND.told(found) == ["not sure: green  90.0%, red  60.0%"], "blue is near its threshold"
    none = KIND.answer({"scores": np.array([0.1, 0.01, 0.05])}, about, NAMES, 1)
    assert none["label"] is None and none["top"] == [] and none["sure"] and none["nearest"] == "green"
    assert KIND.told(none) == ["none of the labels"] and KIND.told(KIND.nothing) == ["not sure: none of the labels"]
    rare = KIND.answer({"scores": np.array([0.99, 0.01, 0.05])}, {**about, "rare": {"red": 2}}, NAMES, 1)
    assert not rare["sure"], "an answer with a rare label is never sure"


@pytest.mark.parametrize(("thresholds", "said"), [([0.5], "1 thresholds for 3 labels"), ([0.5, 2, "x"], "no shares")])
def test_thresholds_that_fit_no_label_are_refused(thresholds, said):
    with pytest.raises(ValueError, match=said):
        KIND.labels({"labels": list(NAMES), "thresholds": thresholds}, {"scores": (None, 3)})


def test_the_data_choose_the_task_and_a_recipe_keeps_both():
    recipe = APP.for_task("multilabel")
    assert isinstance(recipe.task, ImageTagging) and recipe.names == ("multilabel", "classification")
    assert isinstance(recipe.of_task("classification").task, ImageClassification)
    assert recipe.of_task("another").task is recipe.task
    assert isinstance(APP.for_task(None).task, ImageClassification)


def test_outputs_of_several_models_are_scored_by_what_each_gave():
    scores, truth = np.array([[0.4, 0.6], [0.4, 0.6]]), np.array([[1, 0], [1, 0]], np.float32)
    by_own = {"scores": scores, "given": np.array([[True, False], [False, True]])}
    found = ImageTagging().score(by_own, truth, ("a", "b"), {"thresholds": [0.5, 0.5]})
    assert found["exact"] == 0.5 and ImageTagging().score({"scores": scores}, truth, ("a", "b"))["exact"] == 0


class Named:
    """Records with names."""

    name = staticmethod(str)

    def shown(self, indices):
        return [{} for _ in indices]


def test_errors_and_changes_go_by_thresholds_and_leave_out_labels_that_were_not_asked_for():
    task, about = ImageTagging(), {"thresholds": [0.3, 0.5, 0.1], "sure": 0.5}
    targets = np.array([[1, -1, 0], [0, 1, -1]], np.float32)
    scores = np.array([[0.4, 0.9, 0.2], [0.2, 0.4, 0.9]])
    outputs = {"scores": scores, "given": task.answers({"scores": scores}, NAMES, about)}
    worst = task.top_losses(outputs, targets, Named(), NAMES)
    assert [(row["index"], row["true"], row["predicted"]) for row in worst] == [
        (1, "green", "not green"),
        (0, "not blue", "blue"),
    ], "red is given at 0.4, as its threshold has it"
    other = np.where(targets < 0, 1 - scores, scores)
    assert task.changes({"scores": scores}, {"scores": other}, targets, NAMES, about) == dict.fromkeys(NAMES, (0, 0))
    other[0, 0] = 0.25
    assert task.changes({"scores": scores}, {"scores": other}, targets, NAMES, about)["red"] == (1, 0)
    assert task.changes(outputs, {**outputs, "scores": other}, targets, NAMES, about)["red"] == (0, 0), "what was given"
    other[0, 0] = 0.4
    assert task.score({"scores": other}, targets, NAMES, about) == task.score(outputs, targets, NAMES, about)


def test_the_baseline_has_thresholds_of_its_own(tmp_path):
    write(tmp_path / "data", 60)
    from cnnkit.inputs.image.loading import load

    splits = load(tmp_path / "data", groups="none")
    made = ImageTagging().baseline(splits.train, splits.test, splits.validation)
    assert made["micro_f1"] > 0.8 and made["micro_f1_interval"][0] <= made["micro_f1"]
    with pytest.raises(DataError, match="has several labels an image"):
        ImageClassification().as_read_by(type("Model", (), {"metadata": {"task": "classification"}}), splits.test)
    with pytest.raises(ConfigError, match="class_weights"):
        ImageTagging().refuse(type("Settings", (), {"class_weights": True}), splits)


@pytest.mark.parametrize("task", [Classification, Screening])
def test_an_app_of_one_label_refuses_data_with_several_before_a_run_begins(tmp_path, monkeypatch, task):
    write(tmp_path / "data", 60)
    monkeypatch.chdir(tmp_path)
    app = cnnkit.App(
        "Name one.", lambda: {**fields(), "task": task()}, name="one", kind=cnnkit.kinds.image_classification
    )
    result = CliRunner().invoke(app.command_line, ["train", "--data", "data", "--groups", "none", "--out", "run"])
    assert result.exit_code == 1 and not (tmp_path / "run").exists()
    line = " ".join(result.output.split())
    assert "The data has several labels a record, what is learnt here is one label a record" in line
    from cnnkit.inputs.image.loading import load

    splits = load(tmp_path / "data", groups="none")
    model = type("Model", (), {"metadata": {"task": "classification"}})
    with pytest.raises(DataError, match="has several labels a record, the model was trained on one label a record"):
        task().as_read_by(model, splits.test)

"""Inputs that show none of the classes: the score below which an answer is "unknown", on a device, in scores, in files."""

import json

import cv2
import numpy as np
import pytest

from cnnkit.errors import ConfigError, DataError
from cnnkit.metrics import wilson
from cnnkit.report.record import Record
from cnnkit.reporter import SILENT
from cnnkit.tasks.classification import report
from cnnkit.tasks.classification.calibration import accepting, answered
from cnnkit.tasks.classification.device import KIND
from cnnkit.tasks.classification.scoring import Classification
from cnnkit.tasks.classification.screening import Screening
from cnnkit.tasks.classification.training import KIND as TRAINING
from tests import toys
from tests.tasks.classification.test_screening import LABELS, Known, records

CLASSES = ("a", "b", "c")


def test_the_score_lets_the_share_in_that_is_asked_for_by_hand():
    confidences = np.array([0.9, 0.5, 0.8, 0.6, 0.7, 0.95, 0.85, 0.99, 0.4, 0.75])
    assert accepting(confidences, 0.8) == {"below": pytest.approx(0.55), "accepted": 0.8, "chosen_on": 10}
    assert accepting(confidences, 0.9)["below"] == pytest.approx(0.45)
    assert accepting(confidences, 0.95) == {}  # not one of ten may be left out
    assert accepting(np.zeros(0), 0.9) == {}


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99])
def test_no_less_than_the_share_is_let_in_whatever_ties_there_are(share):
    rng = np.random.default_rng(0)
    for confidences in (rng.random(200), rng.integers(0, 3, 200) / 2, np.ones(200)):
        assert (confidences >= accepting(confidences, share)["below"]).mean() >= share


def test_what_is_answered_by_hand():
    found = answered(np.array([0.9, 0.8, 0.4, 0.3]), np.array([True, False, True, False]), 0.5)
    assert (found["share"], found["accuracy"]) == (0.5, 0.5)
    assert found["share_interval"] == list(wilson(2, 4)) and found["accuracy_interval"] == list(wilson(1, 2))
    assert answered(np.array([0.1]), np.array([True]), 0.5)["accuracy"] is None


def about(below):
    return {"unknown": {"below": below, "accepted": 0.95, "chosen_on": 100}}


def test_a_device_answers_unknown_below_the_score():
    low = KIND.answer({"scores": np.array([0.5, 0.3, 0.2])}, about(0.6), CLASSES, 2)
    assert (low["label"], low["known"], low["nearest"], low["score"]) == ("unknown", False, "a", 0.5)
    assert low["known_from"] == 0.6 and [entry["label"] for entry in low["top"]] == ["a", "b"]
    assert KIND.told({**low, "top": [{"label": "a", "score": 0.5}]}) == [
        "unknown  (nearest: a  50.0%; known from 60.0% on)"
    ]
    high = KIND.answer({"scores": np.array([0.6, 0.2, 0.2])}, about(0.6), CLASSES, 1)
    assert high == {"label": "a", "score": 0.6, "known": True, "known_from": 0.6}
    assert KIND.told(high) == ["a  60.0%"]
    assert "known" not in KIND.answer({"scores": np.array([0.5, 0.3, 0.2])}, {}, CLASSES, 1)


def test_a_finding_may_be_unknown_too():
    metadata = {"screening": {"finding": "lesion", "threshold": 0.3}, **about(0.7)}
    answer = KIND.answer({"scores": np.array([0.6, 0.4])}, metadata, LABELS, 1)
    assert (answer["label"], answer["nearest"], answer["score"]) == ("unknown", "lesion", 0.4)
    assert KIND.told(answer) == ["unknown  (nearest: lesion  (lesion 40.0%, from 30.0% on); known from 70.0% on)"]


@pytest.mark.parametrize(
    "entry", [{"below": "low"}, {"below": 2}, {"accepted": 0.9}, {"below": 0.5}, "0.5", 0.5, 0, [], None]
)
def test_a_damaged_entry_is_refused(entry):
    metadata = {"labels": list(CLASSES), "unknown": entry}
    with pytest.raises(ValueError, match="no share|no object"):
        KIND.labels(metadata, {"scores": (1, 3)})


def test_a_card_and_answers_say_unknown_only_where_a_score_was_chosen():
    for metadata, chosen in (({}, False), ({"unknown": {}}, False), (about(0.6), True)):
        assert KIND.labels({"labels": list(CLASSES), **metadata}, {"scores": (1, 3)}) == CLASSES
        assert ("called unknown" in TRAINING.silent(CLASSES, Record(), metadata)) == chosen
        assert ("known" in KIND.answer({"scores": np.array([0.7, 0.2, 0.1])}, metadata, CLASSES, 1)) == chosen
        assert (KIND.unknown(metadata, CLASSES) is not None) == chosen


def test_a_class_called_unknown_or_background_says_so_as_well():
    says = KIND.unknown({}, ("cat", "Background"))
    assert says is not None and says({"label": "Background"}) and not says({"label": "cat"})
    assert KIND.unknown({}, ("cat", "dog")) is None


def test_scores_say_what_is_answered_and_what_that_is_worth():
    scores = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.5, 0.1, 0.4]], np.float32)
    task = Classification()
    found = task.score({"scores": scores}, np.array([0, 0, 0, 2]), CLASSES, about(0.6))
    assert found["accuracy"] == 0.5  # by the nearest class: 0.9 and 0.4 are right
    assert found["answered"]["share"] == 0.5 and found["answered"]["accuracy"] == 0.5
    assert task.columns(found)["answered %"].startswith("50.0 (") and report.answered(found) is not None
    plain = task.score({"scores": scores}, np.array([0, 0, 0, 2]), CLASSES, {})
    assert "answered" not in plain and report.answered(plain) is None


def test_it_is_chosen_where_it_is_asked_for_alone():
    artifact, some = Known(np.linspace(0.5, 1, 20)), records([0, 1] * 10)
    assert set(Classification().calibrate(artifact, some)) == {"temperature"}
    assert Classification().calibrate(artifact, some, accept=0.9)["unknown"]["chosen_on"] == 20
    decided = Screening().calibrate(artifact, some, accept=0.9)
    assert set(decided) == {"temperature", "screening", "unknown"} and decided["unknown"]["below"] >= 0.5
    few = Classification().calibrate(artifact, records([0, 1]), accept=0.9)
    assert few["unknown"] == {} and "No answer will be `unknown`" in Classification().cautions(few)[0]
    assert not Classification().cautions({"unknown": {"below": 0.5}})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three classes, which accepts nine tenths, and pictures: noise of none of the classes."""
    from cnnkit.inputs.image.loading import load
    from cnnkit.verbs.train import train

    folder = tmp_path_factory.mktemp("unknown")
    bars = toys.bars(300)
    for number, label in enumerate(bars.targets(np.arange(300))):
        place = folder / "bars" / bars.label_names[label] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), bars.native(number))
    recipe = toys.recipe(load=load)
    path = train(recipe, {"data": str(folder / "bars"), "accept": 0.9}, out=folder / "run").run.path
    (folder / "none").mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        cv2.imwrite(str(folder / "none" / f"{number}.png"), rng.integers(0, 60, (12, 12), dtype=np.uint8))
    return recipe, path, folder / "none"


class TestOneScoreEverywhere:
    def test_keras_and_tflite_answer_and_score_by_it(self, run):
        from cnnkit.evaluation.artifacts import open_artifact
        from cnnkit.export.convert import convert
        from cnnkit.verbs.evaluate import evaluate
        from cnnkit.verbs.predict import predict

        recipe, path, strange = run
        document = json.loads((path / "run.json").read_text())
        keras = open_artifact(path)
        below = keras.metadata["unknown"]["below"]
        assert document["scores"]["test"]["answered"]["known_from"] == below
        file = path / "toy-float32.tflite"
        file.write_bytes(convert(keras.model, "float32", np.zeros((1, 12, 12, 1), np.uint8), keras.metadata))
        found = [evaluate(recipe, one, unknown=strange) for one in (path, file)]
        assert found[0].unknown == found[1].unknown and found[0].unknown["count"] == 12
        assert found[0].scores["answered"] == found[1].scores["answered"]
        assert 0.6 < found[0].scores["answered"]["share"] < 1
        answers = list(predict("toy", [file, strange]))
        assert sum(answer["label"] == "unknown" for answer in answers) == round(12 * found[0].unknown["found"])
        assert all(answer["known_from"] == round(below, 6) for answer in answers)

    def test_what_cannot_be_is_said(self, run, tmp_path):
        from cnnkit.verbs.evaluate import evaluate

        recipe, path, _ = run
        with pytest.raises(DataError, match="holds no image"):
            evaluate(recipe, path, unknown=tmp_path)
        with pytest.raises(DataError, match="is no folder"):
            evaluate(recipe, path, unknown=tmp_path / "nowhere")

    def test_a_model_that_never_says_so_is_refused(self, run):
        from cnnkit.evaluation.artifacts import open_artifact
        from cnnkit.verbs.evaluate import _of_none

        recipe, path, strange = run
        artifact = open_artifact(path)
        artifact.metadata = {**artifact.metadata, "unknown": {}}
        with pytest.raises(ConfigError, match=r"never answers that an input is unknown.*accept=0.95"):
            _of_none(recipe, artifact, strange, False, SILENT)

"""Two labels at a threshold: a specificity that is asked for, scores by hand, what files and the gate make of it."""

import numpy as np
import pytest

from cnnkit.errors import ConfigError
from cnnkit.export import gate
from cnnkit.metrics import wilson
from cnnkit.tasks.classification import operating, report, roc
from cnnkit.tasks.classification.device import KIND
from cnnkit.tasks.classification.scoring import Classification
from cnnkit.tasks.classification.screening import Screening
from tests import toys
from tests.tasks.classification.test_screening import LABELS, Known, outputs, records

# Without the finding 0.1 ... 0.9 and 0.95, with it 0.35, 0.65, 0.85, 0.92
WITHOUT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
WITH = [0.35, 0.65, 0.85, 0.92]
CHANCES = np.array(WITHOUT + WITH)
TARGETS = np.array([0] * 10 + [1] * 4)
THERE = TARGETS == 1


@pytest.mark.parametrize(
    ("specificity", "threshold"),
    [
        (0.95, 0.975),  # none of ten may pass: above 0.95, halfway to 1
        (0.9, 0.91),  # one may: below 0.92, which has it, above 0.9, which has it not
        (0.8, 0.825),  # two may: 0.85 has it, 0.8 has it not
        (0.5, 0.55),
    ],
)
def test_the_threshold_lets_as_many_go_as_are_asked_for_by_hand(specificity, threshold):
    found = roc.specific(CHANCES, THERE, specificity)
    assert found == pytest.approx(threshold)
    assert (CHANCES[~THERE] < found).mean() >= specificity


def test_equal_scores_stay_on_one_side():
    found = roc.specific(np.array([0.6, 0.6, 0.6, 0.2]), np.array([True, False, False, False]), 0.6)
    assert found == pytest.approx(0.8)


@pytest.fixture
def untempered(monkeypatch):
    """Calibration that leaves scores as they are, so that thresholds can be worked out by hand."""
    monkeypatch.setattr("cnnkit.tasks.classification.scoring.best_temperature", lambda *_, **more: 1.0)


def test_answers_and_scores_at_the_threshold_by_hand(untempered):
    task = Classification()
    decided = task.calibrate(Known(CHANCES), records(TARGETS), specificity=0.8)
    about = {"finding": "lesion", "threshold": pytest.approx(0.825), "specificity": 0.8, "reached": 0.8}
    assert decided == {"temperature": 1.0, "screening": {**about, "chosen_on": {"none": 10, "lesion": 4}}}
    # other records: with it 0.9 (found), 0.8, 0.7; without it 0.1, 0.2, 0.85 (a false alarm)
    test = Known(np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.85]), **decided)
    found, targets = task.outputs(test, records([1, 1, 1, 0, 0, 0]))
    scores = task.score(found, targets, LABELS, test.metadata)
    assert scores.headline.name == "accuracy" and scores["accuracy"] == 0.5
    assert scores["sensitivity"] == pytest.approx(1 / 3) and scores["specificity"] == pytest.approx(2 / 3)
    assert scores["sensitivity_interval"] == pytest.approx(wilson(1, 3))
    assert scores["specificity_interval"] == pytest.approx(wilson(2, 3))
    assert scores["auc"] == pytest.approx(7 / 9)  # 0.85 is above 0.8 and 0.7
    assert scores["confusion"] == [[2, 1], [2, 1]] and scores["threshold"] == pytest.approx(0.825)
    assert scores["chosen_on"] == 14 and scores["asked_specificity"] == 0.8
    assert task.columns(scores)["specificity %"].startswith("66.7 (")
    section = report.characteristic(scores)
    assert section is not None and "for a specificity of 80.0\\u202f% there" in str(section)
    answer = KIND.answer({"scores": np.array([0.2, 0.8])}, decided, LABELS, 1)
    assert answer["label"] == "none" and answer["threshold"] == pytest.approx(0.825)


def test_two_classes_are_scored_without_a_threshold_too():
    scores = Classification().score(outputs(CHANCES), TARGETS, LABELS)
    assert scores["sensitivity"] == 0.75 and scores["specificity"] == 0.5  # a tie is the first class
    assert scores["threshold"] == 0.5 and scores["asked_specificity"] is None and scores["chosen_on"] == 0


@pytest.mark.parametrize("task", [Classification(), Screening()])
def test_a_threshold_is_chosen_of_calibrated_scores(task):
    decided = task.calibrate(Known(CHANCES), records(TARGETS), specificity=0.8)
    logits = np.log(CHANCES / (1 - CHANCES)) / decided["temperature"]
    chances = 1 / (1 + np.exp(-logits))
    assert decided["screening"]["threshold"] == pytest.approx(roc.specific(chances, THERE, 0.8), abs=1e-6)


def test_the_positive_class_may_be_named():
    task = Classification()
    scores = task.score(
        outputs(CHANCES), TARGETS, LABELS, task.calibrate(Known(CHANCES), records(TARGETS), positive="none")
    )
    assert scores["finding"] == "none" and scores["specificity"] == 0.75
    odds = float(np.log(0.4))
    decided = Screening(odds).calibrate(Known(CHANCES), records(TARGETS), weighted=True, positive="none")
    assert decided["offset"] == [pytest.approx(-odds), 0] and decided["screening"]["finding"] == "none"


def test_a_class_that_is_named_alone_gets_no_other_threshold():
    decided = Classification().calibrate(Known(CHANCES), records(TARGETS), positive="none")
    assert decided["screening"] == {"finding": "none", "threshold": 0.5} and set(decided) == {
        "screening",
        "temperature",
    }
    both = Classification().calibrate(Known(CHANCES), records(TARGETS), positive="none", accept=0.9)
    assert both["screening"] == decided["screening"] and set(both) == {"screening", "temperature", "unknown"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"specificity": 0.9}, "`specificity` is for data of two labels; this has 3"),
        ({"positive": "square"}, "`positive` is for data of two labels; this has 3"),
    ],
)
def test_what_is_for_two_classes_is_refused_for_more_before_training(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Classification().refuse(toys.Settings(**settings), toys.splits())


def test_a_positive_class_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="`positive` needs one of 'none', 'lesion'. Got 'cat'"):
        operating.refuse(toys.Settings(positive="cat"), LABELS)


def test_few_validation_records_are_said():
    decided = Classification().calibrate(Known(CHANCES), records([0] * 10), specificity=0.9)
    assert decided["screening"]["threshold"] == 0.5
    assert "0 of lesion" in Classification().cautions(decided)[0]
    many = np.tile(CHANCES, 3)
    decided = Classification().calibrate(Known(many), records(np.tile(TARGETS, 3)), specificity=0.99)
    (line,) = Classification().cautions(decided)
    assert "more than 30 validation records without lesion can tell" in line
    assert not Classification().cautions({}) and not Classification().cautions(
        Classification().calibrate(Known(many), records(np.tile(TARGETS, 3)), specificity=0.9)
    )


@pytest.mark.parametrize(("count", "specificity"), [(10, 0.9), (20, 0.95), (100, 0.99), (30, 0.9)])
def test_as_many_records_as_a_specificity_needs_are_enough(count, specificity):
    chances = np.linspace(0.1, 0.9, count)
    decided = Classification().calibrate(
        Known(np.concatenate([chances, chances])), records([0] * count + [1] * count), specificity=specificity
    )
    assert decided["screening"]["reached"] == pytest.approx(specificity) and not Classification().cautions(decided)


def test_a_specificity_that_no_threshold_has_is_said(untempered):
    chances = np.array([1.0] * 4 + [0.2] * 16 + [0.3] * 5 + [1.0] * 15)
    some = records([0] * 20 + [1] * 20)
    decided = Classification().calibrate(Known(chances), some, specificity=0.9)
    assert decided["screening"]["reached"] == 0.8
    (line,) = Classification().cautions(decided)
    assert "No threshold has a specificity of 0.9, only 0.8" in line and "without lesion have a score of 1" in line
    scores = Classification().score(*Classification().outputs(Known(chances, **decided), some), LABELS, decided)
    assert scores["specificity"] == scores["reached_specificity"] == 0.8
    assert "could be had" in str(report.characteristic(scores))
    (line,) = Classification().cautions(Classification().calibrate(Known(chances), some, specificity=0.99))
    assert "No threshold" in line, "it lies above none of these"


def test_intervals_of_groups_are_wider():
    copies = np.repeat(np.arange(14), 6)
    found, targets = Classification().outputs(Known(CHANCES[copies]), records(TARGETS[copies], groups=copies))
    known = Classification().score(found, targets, LABELS)
    alone = Classification().score({"scores": found["scores"]}, targets, LABELS)
    assert known["patients"] == 14 and alone["patients"] == 84
    for name in ("sensitivity", "specificity", "auc"):
        width, narrow = (np.diff(scores[f"{name}_interval"])[0] for scores in (known, alone))
        assert width > 1.5 * narrow


def test_the_gate_refuses_a_loss_of_sensitivity_at_the_threshold():
    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.5).astype(int)
    chances = 1 / (1 + np.exp(-rng.normal(3 * truth - 1, 1)))
    task = Classification()
    about = task.calibrate(Known(chances), records(truth), specificity=0.9)
    first, second = (task.score(outputs(some), truth, LABELS, about) for some in (chances, chances * 0.8))
    changes = task.changes(outputs(chances), outputs(chances * 0.8), truth, LABELS, about)
    refused = gate.compare(first, second, *task.tolerance[:1], changes, task.tolerance[1])["refused"]
    assert any("in class lesion" in line for line in refused)
    assert gate.compare(first, first, 0.5, task.changes(outputs(chances), outputs(chances), truth, LABELS, about))[
        "passed"
    ]

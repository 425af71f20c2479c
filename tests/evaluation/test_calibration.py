"""The temperature, and what says how true scores are, by hand."""

from math import log

import numpy as np
import pytest

from cnnkit.device.detection import Detections
from cnnkit.evaluation import calibration
from cnnkit.evaluation.calibration import (
    Chances,
    best_scale,
    best_temperature,
    best_temperature_of_each,
    held_against,
    raw_logits,
    raw_odds,
    sigmoid,
    softmax,
)
from cnnkit.tasks.classification.scoring import Classification
from cnnkit.tasks.classification.tagging import Tagging
from cnnkit.tasks.detection.coco import Truth
from cnnkit.tasks.detection.scoring import Detection

# The temperature ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [0.5, 4.0, 9.0])
def test_the_best_temperature_makes_three_of_four_three_quarters_sure(apart):
    logits, targets = np.array([[apart, 0.0]] * 4), np.array([0, 0, 0, 1])
    # softmax(apart / T) = 3/4 where apart / T = ln 3
    assert best_temperature(logits, targets, prior=0) == pytest.approx(apart / log(3), rel=1e-3)
    assert best_temperature_of_each(np.full(4, apart), targets == 0, prior=0) == pytest.approx(apart / log(3), rel=1e-3)


def test_calibrated_answers_keep_their_temperature_and_constants_do_not_matter():
    logits = np.log([[0.8, 0.2]] * 10 + [[0.4, 0.6]] * 10)
    targets = np.array([0] * 8 + [1] * 2 + [0] * 4 + [1] * 6)
    assert best_temperature(logits, targets) == pytest.approx(1, abs=1e-4)
    shifted = logits + np.arange(20)[:, None]
    assert best_temperature(shifted, targets) == pytest.approx(1, abs=1e-4)
    assert best_temperature(3 * shifted, targets, prior=0) == pytest.approx(3, rel=1e-3)


def test_few_records_leave_temperature_and_offset_near_where_they_were():
    for count in (1, 3):
        logits, right = np.tile([[2.0, 0.0]], (count, 1)), np.zeros(count, int)
        assert 0.6 < best_temperature(logits, right) < 1, "all right would ask for 0"
        assert 0.6 < best_temperature_of_each(np.full(count, 2.0), np.ones(count, bool)) < 1
        temperature, offset = best_scale(np.full(count, 2.0), np.ones(count, bool))
        assert 0.6 < temperature < 1 and 0 < offset < 0.3
    many = best_temperature(np.tile([[2.0, 0.0]], (3000, 1)), np.zeros(3000, int))
    assert many < 0.4, "many that are all right are believed"


def test_a_scale_with_an_offset_is_found_again_and_one_without_cannot_stand_for_it():
    rng = np.random.default_rng(0)
    raw = rng.normal(-1.5, 2, 20_000)
    true = rng.random(20_000) < sigmoid(raw / 0.4 - 1.2)
    temperature, offset = best_scale(raw, true)
    assert temperature == pytest.approx(0.4, rel=0.05) and offset == pytest.approx(-1.2, abs=0.1)
    alone = best_temperature_of_each(raw, true)
    both = Chances(sigmoid(raw / temperature + offset), true).ece()
    assert both < 0.005 < Chances(sigmoid(raw / alone), true).ece()
    assert best_scale(raw, rng.random(20_000) < sigmoid(raw)) == pytest.approx((1, 0), abs=0.05)


def test_scores_are_taken_back_to_what_the_network_gave():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (20, 4))
    about = {"temperature": 2.5, "offset": [0.0, 0.3, -0.2, 0.0]}
    found = raw_logits(softmax(logits / 2.5 + about["offset"]).astype(np.float32), about)
    assert found - found[:, :1] == pytest.approx(logits - logits[:, :1], abs=1e-4)
    each = raw_odds(sigmoid(logits / 2.5 - 1).astype(np.float32), {"temperature": 2.5, "offset": -1.0})
    assert each == pytest.approx(logits, abs=1e-3)
    about = {"temperature": 2.5, "offset": -1.0}
    assert calibration.as_learnt(sigmoid(logits / 2.5 - 1), about) == pytest.approx(sigmoid(logits))
    assert calibration.as_claimed(sigmoid(logits), about) == pytest.approx(sigmoid(logits / 2.5 - 1))
    assert calibration.as_claimed(0.3) == pytest.approx(0.3) and calibration.as_learnt(0.3, {}) == pytest.approx(0.3)
    assert np.isfinite(raw_odds(np.array([0.0, 1.0]))).all() and np.isfinite(raw_logits(np.array([[0.0, 1.0]]))).all()


def test_a_temperature_changes_the_order_of_no_answers():
    rng = np.random.default_rng(2)
    raw = rng.normal(0, 4, (200, 5))
    for temperature in (0.1, 0.7, 3.0, 10.0):
        scaled = raw / temperature
        assert (softmax(scaled).argmax(1) == raw.argmax(1)).all()
        ranked = sigmoid(scaled - 1.3).ravel()[np.argsort(raw.ravel())]
        assert (np.diff(ranked) >= 0).all() and ranked[0] < ranked[500]


# How true scores are --------------------------------------------------------------------------------------------------


def test_the_negative_log_likelihood_is_that_of_what_is_true():
    # of the answer's class 0.8, 0.5 and 0.9; to what is true 0.8, 0.25 and 0.9 were given
    chances = Chances(np.array([0.8, 0.5, 0.9]), np.array([True, False, True]), np.array([0.8, 0.25, 0.9]))
    value, (low, high) = chances.nll()
    assert value == pytest.approx(-(log(0.8) + log(0.25) + log(0.9)) / 3) and low < value < high
    # of what stands for itself the opposite is true: 1 - 0.5
    assert Chances(chances.claimed, chances.right).nll()[0] == pytest.approx(-(log(0.8) + log(0.5) + log(0.9)) / 3)
    assert Chances(np.array([1.0]), np.array([False])).nll()[0] == pytest.approx(-log(1e-7)), "never endless"


@pytest.mark.parametrize("task", [Classification(), Tagging(), Detection()], ids=lambda task: type(task).__name__)
def test_a_score_of_nothing_in_eight_bits_stands_for_what_is_below_half_a_step(task):
    for precision, least in (("float32", 1e-7), ("int8", 1 / 512)):
        assert made(task, {"precision": precision}).nll()[0] == pytest.approx(-log(least))


def made(task, metadata):
    """Return the chances of an answer that is as wrong as can be."""
    if isinstance(task, Detection):
        there = Truth(np.array([[0, 0, 4, 4]], np.float32), np.array([0]), np.zeros(1, bool))
        found = Detections(np.array([[8, 8, 9, 9]], np.float32), np.ones(1, np.float32), np.zeros(1, int))
        return task.chances([found], [there], ("a",), metadata)
    if isinstance(task, Tagging):
        return task.chances({"scores": np.zeros((1, 1))}, np.ones((1, 1)), ("a",), metadata)
    return task.chances({"scores": np.array([[1.0, 0.0]])}, np.array([1]), ("a", "b"), metadata)


def test_records_with_several_answers_are_drawn_whole():
    claimed, right = np.full(400, 0.9), np.arange(400) % 10 != 0
    apart = Chances(claimed, right).nll()[1]
    together = Chances(claimed, np.arange(400) >= 40, owners=np.arange(400) // 20).nll()[1]
    assert together[1] - together[0] > 2 * (apart[1] - apart[0]), "two records of twenty answers are wrong throughout"
    one = Chances(claimed, right, owners=np.zeros(400, int))
    assert one.nll()[1] == pytest.approx([one.nll()[0]] * 2), "a single record does not vary"


def test_scores_and_facts_say_what_there_was_before():
    claimed, right = np.full(50, 0.6), np.arange(50) % 10 != 0
    chances = Chances(claimed, right)
    ece, nll = chances.scores()
    assert ece.value == pytest.approx(0.3) and ece.interval[0] < 0.3 < ece.interval[1]
    assert nll.value == pytest.approx(-0.9 * log(0.6) - 0.1 * log(0.4)) and nll.unit == "nats"
    facts = chances.facts(Chances(np.full(50, 0.5), right), {"temperature": 0.5})["calibration"]
    assert facts["temperature"] == 0.5 and facts["before"] == {"nll": pytest.approx(log(2)), "ece": pytest.approx(0.4)}
    assert facts["by_chance"][1] < 0.2, "0.3 is more than chance"
    assert "before" not in chances.facts()["calibration"]


def test_nothing_that_was_claimed_is_no_fault():
    nothing = Chances(np.zeros(0), np.zeros(0, bool), owners=np.zeros(0, int))
    assert [score.value for score in nothing.scores()] == [0.0, 0.0] and nothing.facts()["reliability"] == []
    assert held_against(nothing, nothing)["worse"] == 0.0


def test_a_file_is_held_against_the_model_at_the_resolution_of_eight_bits():
    right = np.ones(100, bool)
    sure, steps = Chances(np.full(100, 0.99999), right), Chances(np.full(100, 255 / 256), right)
    assert held_against(sure, steps)["worse"] == 0.0, "it could say no more"
    rng = np.random.default_rng(0)
    claimed = rng.uniform(0.5, 1, 2000)
    right = rng.random(2000) < claimed
    model = Chances(claimed, right)
    rounded = held_against(model, Chances(np.minimum(np.round(claimed * 256), 255) / 256, right))
    assert abs(rounded["worse"]) < 1e-3 and rounded["ece"] <= rounded["by_chance"][1]
    spoilt = held_against(model, Chances(claimed**0.2, right))
    assert spoilt["worse"] > calibration.WORSE and spoilt["worse_interval"][0] > 0
    assert spoilt["worse"] == pytest.approx(spoilt["nll"] - model.nll()[0], rel=0.2)
    # other answers, as of boxes, to the same records; a record without any counts for nothing
    fewer = Chances(claimed[:500], right[:500], owners=np.arange(500) // 5)
    assert -0.2 < held_against(model, fewer)["worse"] < 0.2

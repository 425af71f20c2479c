"""The ROC curve by hand: ties, intervals, thresholds."""

import numpy as np
import pytest

from cnnkit.tasks.classification import roc

# 2 with the finding, 3 without: 0.8 beats all three; 0.5 beats 0.2, ties with 0.5 (half), loses to 0.6 -> (3 + 1.5) / 6
SCORES = np.array([0.8, 0.5, 0.2, 0.5, 0.6])
THERE = np.array([True, True, False, False, False])


def test_the_area_counts_ties_half():
    assert roc.area(SCORES, THERE) == pytest.approx(4.5 / 6)
    assert roc.area(np.full(5, 0.3), THERE) == pytest.approx(0.5)


def test_swapped_labels_turn_the_area_round():
    assert roc.area(SCORES, ~THERE) == pytest.approx(1 - 4.5 / 6)


def test_the_curve_goes_through_every_threshold():
    found = roc.curve(SCORES, THERE)
    assert found["false"] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1], abs=1e-4)
    assert found["true"] == [0, 0.5, 0.5, 1, 1]
    over = np.array(found["false"])
    assert np.sum(np.diff(over) * (np.array(found["true"])[1:] + np.array(found["true"])[:-1]) / 2) == pytest.approx(
        0.75, abs=1e-3
    )


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    rng = np.random.default_rng(0)
    found = roc.curve(rng.random(5000), rng.random(5000) < 0.5)
    assert len(found["true"]) == roc.POINTS
    assert (found["false"][0], found["true"][0], found["false"][-1], found["true"][-1]) == (0, 0, 1, 1)


def drawn(count, seed=0):
    rng = np.random.default_rng(seed)
    there = rng.random(count) < 0.4
    return rng.normal(0, 1, count) + 1.2 * there, there


def test_the_interval_is_as_wide_as_delong_has_it():
    scores, there = drawn(400)
    low, high = roc.interval(scores, there)
    area = roc.area(scores, there)
    wide = roc.parts(scores, there).std() / np.sqrt(400)
    assert low < area < high
    assert (high - low) / 2 == pytest.approx(1.96 * wide, rel=0.1)


def test_the_interval_of_patients_with_copies_is_that_of_the_patients():
    scores, there = drawn(60)
    once = roc.interval(scores, there)
    copies = np.repeat(np.arange(60), 5)
    assert roc.interval(scores[copies], there[copies], copies) == pytest.approx(once)
    low, high = roc.interval(scores[copies], there[copies])
    assert high - low < 0.7 * (once[1] - once[0])


def test_a_perfect_area_of_few_is_not_sure():
    scores, there = np.arange(12) / 12, np.arange(12) > 7
    low, high = roc.interval(scores, there)
    assert high == 1 and 0.4 < low < 0.7  # Wilson's of 4 of 4


def test_the_threshold_is_halfway_below_the_best_score():
    assert roc.youden(np.array([0.9, 0.7, 0.4, 0.1]), np.array([True, True, False, False])) == pytest.approx(0.55)
    # 0.9 and 0.3 give the same sum: 1/2 + 1, and 1 + 1/2; the more sensitive one is taken
    assert roc.youden(np.array([0.9, 0.5, 0.3, 0.1]), np.array([True, False, True, False])) == pytest.approx(0.2)

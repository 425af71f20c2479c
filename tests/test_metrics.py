"""Every score against a case worked out by hand."""

import numpy as np
import pytest

from cnnkit import metrics


def test_wilson_interval_of_nine_out_of_ten():
    # z = 1.96: centre (0.9 + 0.19208) / 1.38416 = 0.78898; half width 1.96 / 1.38416 * sqrt(0.009 + 0.009604) = 0.19314
    low, high = metrics.wilson(9, 10)
    assert low == pytest.approx(0.5958, abs=1e-4)
    assert high == pytest.approx(0.9821, abs=1e-4)


def test_wilson_interval_of_groups_counts_what_these_are_worth():
    right = np.array([True, False] * 20)
    each = np.arange(40)
    assert metrics.wilson_of_groups(right) == metrics.wilson(20, 40)
    # groups of one record: 40 are worth 39, as the spread is estimated; two alike in each of 40 groups are worth no more
    assert metrics.wilson_of_groups(right, each) == pytest.approx(metrics.wilson(19.5, 39))
    assert metrics.wilson_of_groups(np.repeat(right, 2), np.repeat(each, 2)) == pytest.approx(metrics.wilson(19.5, 39))
    # four groups of three, each all right or all wrong: 4 / 3 of 9 / 144 is the spread, and 0.25 over that is 3
    alike = np.repeat([True, False, True, False], 3)
    assert metrics.wilson_of_groups(alike, np.repeat(np.arange(4), 3)) == pytest.approx(metrics.wilson(1.5, 3))
    assert metrics.wilson_of_groups(np.ones(12, bool), np.repeat(np.arange(4), 3)) == metrics.wilson(4, 4)
    assert metrics.wilson_of_groups(np.zeros(0, bool), np.zeros(0)) == (0.0, 1.0)


def test_wilson_interval_stays_inside_and_knows_its_limits():
    assert metrics.wilson(10, 10)[1] == 1.0
    assert metrics.wilson(0, 10)[0] == 0.0
    assert metrics.wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="right=3"):
        metrics.wilson(3, 2)


def test_calibration_error_by_hand():
    # two bins of five in use: (0.2, 0.4] holds 0.3 and 0.4, one right: |0.5 - 0.35| = 0.15 of 2/4;
    # (0.8, 1.0] holds 0.9 and 1.0, both right: |1 - 0.95| = 0.05 of 2/4
    confidences, right = np.array([0.3, 0.4, 0.9, 1.0]), np.array([True, False, True, True])
    assert metrics.expected_calibration_error(confidences, right, bins=5) == pytest.approx(0.1)
    points = metrics.reliability(confidences, right, bins=5)
    assert [point["count"] for point in points] == [2, 2]
    assert points[0] == pytest.approx({"confidence": 0.35, "accuracy": 0.5, "count": 2})


def test_calibration_error_of_nothing_is_zero_and_a_zero_confidence_counts():
    assert metrics.expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0
    assert metrics.expected_calibration_error(np.array([0.0]), np.array([True]), bins=10) == pytest.approx(1.0)


def test_an_error_of_calibration_has_the_interval_of_its_records():
    # all in one bin, nine of ten right at 0.9 sure: a draw of m records has the error |m hits - 0.9 m| / m
    confidences, right = np.full(200, 0.9), np.arange(200) % 10 != 0
    low, high = metrics.calibration_interval(confidences, right)
    assert low == 0.0 or low < 0.005
    assert high == pytest.approx(2.24 * np.sqrt(0.09 / 200), rel=0.15)  # two-sided: 97.5 % of the size of a normal one
    groups = np.arange(200) // 10  # one of each group of ten is wrong: groups do not differ
    assert metrics.calibration_interval(confidences, right, groups)[1] < 1e-9
    alike = np.arange(200) // 20 != 0  # a group of twenty is wrong altogether
    assert metrics.calibration_interval(confidences, alike, np.arange(200) // 20)[1] > 1.5 * high


def test_what_a_calibrated_model_has_by_chance_falls_with_the_records():
    # 90 % sure of 270 records: an error of E|X - 0.9 n| / n = 0.8 sd, 0.0146 on average
    low, high = metrics.calibration_by_chance(np.full(270, 0.9))
    assert high == pytest.approx(2.24 * np.sqrt(0.09 / 270), rel=0.1) and low < 0.002
    # 15 bins of ten: each has its own error, 0.8 sqrt(p (1 - p) / 10) on average, so that their mean is far from 0
    spread = np.repeat((np.arange(15) + 0.5) / 15, 10)
    mean = np.mean(0.8 * np.sqrt(spread * (1 - spread) / 10))
    low, high = metrics.calibration_by_chance(spread)
    assert low < mean < high and low > 0.05
    rng = np.random.default_rng(3)
    claimed = rng.uniform(0.3, 1, 5000)
    right = rng.random(5000) < claimed
    found = metrics.expected_calibration_error(claimed, right)
    assert found <= metrics.calibration_by_chance(claimed)[1] < 0.03
    assert metrics.expected_calibration_error(claimed**2, right) > 5 * metrics.calibration_by_chance(claimed**2)[1]
    assert metrics.calibration_by_chance(np.ones(50)) == (0.0, 0.0), "what is sure has no chance"
    assert metrics.calibration_by_chance(np.zeros(0)) == (0.0, 1.0)


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    confidences, right = np.linspace(0.5, 1, 60), np.arange(60) % 5 != 0
    once = metrics.calibration_interval(confidences, right)
    assert metrics.calibration_interval(confidences, right) == once
    drawn = np.concatenate(list(metrics.drawn_again(60)))
    assert drawn.shape == (metrics.DRAWS, 60) and (drawn.sum(1) == 60).all()


def test_confusion_and_class_scores_by_hand():
    targets, predictions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    matrix = metrics.confusion(targets, predictions, 3)
    assert matrix.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    scores = metrics.per_class(matrix)
    assert scores["precision"] == pytest.approx([2 / 4, 1 / 2, 0])
    assert scores["recall"] == pytest.approx([2 / 3, 1 / 2, 0])
    assert scores["f1"] == pytest.approx([4 / 7, 1 / 2, 0])
    assert scores["support"].tolist() == [3, 2, 1]


def test_the_sign_test_by_hand():
    assert metrics.sign_test(0, 0) == 1 and metrics.sign_test(0, 4) == 1
    assert metrics.sign_test(5, 0) == 1 / 32 and metrics.sign_test(4, 0) == 1 / 16
    assert metrics.sign_test(7, 1) == 9 / 256 and metrics.sign_test(2, 2) == 11 / 16
    with pytest.raises(ValueError, match="lost=-1"):
        metrics.sign_test(-1, 0)

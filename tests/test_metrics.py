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

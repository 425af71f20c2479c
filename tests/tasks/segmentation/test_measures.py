"""Measures of masks, each against what can be counted by hand."""

import numpy as np
import pytest

from cnnkit.tasks.segmentation.masks import IGNORE, alone
from cnnkit.tasks.segmentation.measures import case_measures


def square(top, left, side, shape=(96, 96)):
    mask = np.zeros(shape, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def measured(answer, truth, **options):
    return case_measures(answer, truth, alone(1), **options)["1"]


def test_areas_are_counted():
    got = measured(square(40, 45, 10), square(40, 40, 10))  # half of it moved away
    assert got["dice"] == 0.5 and got["iou"] == pytest.approx(1 / 3)
    assert got["sensitivity"] == got["precision"] == 0.5
    assert got["error"] == 100 / 96**2
    assert got["area"] == got["true_area"] == 100


def test_areas_are_in_square_millimetres_where_spacing_is_known():
    assert measured(square(0, 0, 4), square(0, 0, 2), spacing=(0.5, 3.0))["area"] == 16 * 1.5


def test_an_answer_that_is_too_large_loses_precision_alone():
    got = measured(square(10, 10, 10), square(10, 10, 5))
    assert got["sensitivity"] == 1 and got["precision"] == 0.25 and got["dice"] == 0.4


def test_empty_masks():
    none, some = square(0, 0, 0), square(3, 3, 4)
    nothing, invented, missed = measured(none, none), measured(some, none), measured(none, some)
    assert np.isnan([nothing[key] for key in ("dice", "iou", "sensitivity", "precision")]).all()
    assert nothing["error"] == 0
    assert invented["dice"] == invented["iou"] == invented["precision"] == 0 and np.isnan(invented["sensitivity"])
    assert missed["dice"] == missed["iou"] == missed["sensitivity"] == 0 and np.isnan(missed["precision"])


def test_ignored_pixels_are_left_out():
    truth, answer = square(10, 10, 10), square(10, 10, 12)
    truth[20:22], truth[:, 20:22] = IGNORE, IGNORE  # all that the answer has too much
    got = measured(answer, truth)
    assert got["dice"] == got["precision"] == 1 and got["error"] == 0 and got["area"] == 100
    assert np.isnan(measured(answer, np.full_like(truth, IGNORE))["error"])


def test_regions_overlap():
    truth, answer = np.array([[0, 1, 2, 2]], np.uint8), np.array([[0, 1, 1, 2]], np.uint8)
    got = case_measures(answer, truth, ((1, 2), (2,)), names=("whole", "core"))
    assert got["whole"]["dice"] == 1 and got["core"]["dice"] == pytest.approx(2 / 3)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"one size.*\(4, 4\) and \(4, 5\)"):
        measured(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))

"""Measures of masks, each against what can be counted by hand."""

import numpy as np
import pytest

from cnnkit.tasks.segmentation.masks import IGNORE, alone
from cnnkit.tasks.segmentation.measures import case_measures, components, matches, summary


def square(top, left, side, shape=(96, 96)):
    mask = np.zeros(shape, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


NONE = square(0, 0, 0)
CASES = {  # truth and answer: one right, one moved, both empty, one invented, one missed, one large
    "right": (square(10, 10, 10), square(10, 10, 10)),
    "moved": (square(40, 40, 10), square(40, 45, 10)),
    "empty": (NONE, NONE),
    "invented": (NONE, square(70, 20, 4)),
    "missed": (square(20, 60, 8), NONE),
    "large": (square(15, 15, 60), square(15, 18, 60)),
}


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


def test_borders_of_a_square_that_moved():
    got = measured(square(40, 45, 10), square(40, 40, 10))
    assert got["hd95"] == 5
    # Of 36 + 4 / sqrt(2) px of border on either side are 5 px away: the far end, 9 px and two corners, and of the near end, which
    # is inside the other square, the middle.
    total = 36 + 4 * np.sqrt(0.5)
    assert measured(square(40, 45, 10), square(40, 40, 10), tolerance=4.9)["nsd"] == pytest.approx(
        1 - (10 + 2 * np.sqrt(0.5)) / total
    )
    assert measured(square(40, 45, 10), square(40, 40, 10), tolerance=5)["nsd"] == 1
    assert measured(square(40, 45, 10), square(40, 40, 10), spacing=(0.5, 0.3))["hd95"] == pytest.approx(1.5)


def test_one_empty_mask_is_a_diagonal_away():
    for truth, answer in (CASES["invented"], CASES["missed"]):
        got = measured(answer, truth)
        assert got["hd95"] == got["surface_distance"] == pytest.approx(np.hypot(96, 96)) and got["nsd"] == 0
        assert measured(answer, truth, spacing=(0.5, 2.0))["hd95"] == pytest.approx(np.hypot(48, 192))
    assert np.isnan([measured(NONE, NONE)[key] for key in ("hd95", "nsd", "surface_distance", "f1")]).all()


def test_six_cases_have_one_mean():
    cases = [measured(answer, truth) for truth, answer in CASES.values()]
    dice = dict(zip(CASES, [case["dice"] for case in cases], strict=True))
    assert np.isnan(dice.pop("empty"))
    assert dice == {"right": 1, "moved": 0.5, "invented": 0, "missed": 0, "large": 0.95}
    got = summary([{"1": case} for case in cases])
    assert got["cases"] == 6 and got["groups"] == 6
    entry = got["labels"]["1"]["dice"]
    assert entry["mean"] == pytest.approx(0.49) and entry["median"] == 0.5
    assert entry["count"] == 5 and entry["left_out"] == 1
    far = got["labels"]["1"]["hd95"]
    assert far["mean"] == pytest.approx((0 + 5 + 3 + 2 * np.hypot(96, 96)) / 5) and far["median"] == 5
    assert got["mean"]["dice"]["mean"] == pytest.approx(0.49)
    counts = {key: got["labels"]["1"][key]["sum"] for key in ("found", "missed", "invented")}
    assert counts == {"found": 3, "missed": 1, "invented": 1}


def test_objects_hang_together_at_corners():
    mask = np.eye(4, dtype=bool)
    mask[0, 3] = True
    assert components(mask).max() == 2


def test_objects_are_found_missed_and_invented():
    truth, answer = square(5, 5, 10) | square(40, 40, 10) | square(80, 5, 4), square(5, 9, 10) | square(60, 60, 3)
    answer |= square(40, 49, 10)  # IoU 10 / 190, too little
    got = measured(answer, truth)
    assert (got["found"], got["missed"], got["invented"]) == (1, 2, 2)
    assert got["f1"] == pytest.approx(2 / 6)
    assert "ap50" not in got and "count_error" not in got
    assert measured(square(60, 60, 3), truth)["f1"] == 0


def test_objects_told_apart_need_half():
    truth, answer = square(10, 10, 20), square(10, 10, 20)
    apart = np.zeros((96, 96), np.int32)
    apart[10:30, 10:20], apart[10:30, 20:30] = 700, 3  # two that touch
    one = apart.copy()
    one[10:30, 18:20] = 3  # 160 of 200 px and 240 for 200: IoU 0.8 and 200 / 240
    got = measured(answer, truth, objects=(one, apart))
    assert (got["found"], got["ap50"], got["f1"], got["count_error"]) == (2, 1, 1, 0)
    got = measured(answer, truth, objects=(None, apart))  # grown together: IoU 0.5 with the first of them
    assert (got["found"], got["missed"], got["invented"], got["count_error"]) == (1, 1, 0, 1)
    assert got["ap50"] == 0.5 and got["f1"] == pytest.approx(2 / 3)
    one[10:30, 14:20] = 3  # 80 of 200 px are left: IoU 0.4; 320 for 200: IoU 0.625
    got = measured(answer, truth, objects=(one, apart))
    assert (got["found"], got["missed"], got["invented"], got["count_error"]) == (1, 1, 1, 0)
    assert got["ap50"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("number", [700, 2**30])  # small and large for the picture
def test_numbers_of_objects_mean_nothing(number):
    truth = square(10, 10, 10) | square(30, 30, 10) | square(60, 60, 10)
    objects = components(truth > 0)
    others = np.where(objects == 2, number, objects * 5).astype(np.int32)
    others[0, 0] = -3  # no object
    got = measured(truth, truth, objects=(others, objects))
    assert (got["found"], got["missed"], got["invented"], got["ap50"]) == (3, 0, 0, 1)


def test_an_object_is_found_once():
    there = np.zeros((4, 10), np.int32)
    there[:, :6] = 1
    found = np.zeros_like(there)
    found[:, :2], found[:, 2:6] = 1, 2
    assert matches(found, there, 0.1) == (1, 0, 1)
    assert matches(there, found, 0.1) == (1, 1, 0)
    assert matches(np.zeros_like(there), there, 0.1) == (0, 1, 0)


def test_objects_count_where_their_label_is():
    truth = square(10, 10, 10)
    truth[50:60, 50:60] = 2
    objects = components(truth > 0)
    got = case_measures(truth, truth, alone(2), objects=(objects, objects))
    assert [got[label]["found"] for label in "12"] == [1, 1]


def test_ignored_pixels_have_no_border_and_no_objects():
    truth, answer = square(10, 10, 10), square(10, 10, 10) | square(60, 60, 10)
    truth[60:70, 60:70] = IGNORE
    got = measured(answer, truth)
    assert (got["hd95"], got["nsd"], got["found"], got["invented"]) == (0, 1, 1, 0)


def test_what_takes_time_can_be_left_out():
    quick, full = (measured(*CASES["moved"], full=full) for full in (False, True))
    assert quick == {key: full[key] for key in quick} and "hd95" not in quick and "f1" not in quick


def of(*values, label="a", key="dice"):
    return [{label: {key: value}} for value in values]


def test_intervals_resample_patients():
    values = [0.1, 0.9] * 20
    alike = summary(of(*values), groups=[k // 20 for k in range(40)])["labels"]["a"]["dice"]["interval"]
    apart = summary(of(*values), groups=[k % 2 for k in range(40)])["labels"]["a"]["dice"]["interval"]
    assert alike == [0.5, 0.5]  # both patients have the same mean
    assert apart == [pytest.approx(0.1), pytest.approx(0.9)]
    low, high = summary(of(*values))["labels"]["a"]["dice"]["interval"]
    half = 1.96 * 0.4 / np.sqrt(40)
    assert low == pytest.approx(0.5 - half, abs=0.02) and high == pytest.approx(0.5 + half, abs=0.02)


def test_intervals_repeat():
    cases = of(*np.random.default_rng(0).random(9))
    first, second, other = (summary(cases, seed=seed) for seed in (0, 0, 1))
    assert first == second
    assert first["labels"]["a"]["dice"]["interval"] != other["labels"]["a"]["dice"]["interval"]


def test_patients_count_by_their_cases():
    got = summary(of(0.0, 0.0, 0.0, 1.0), groups=[5, 5, 5, 9])
    assert got["labels"]["a"]["dice"]["mean"] == 0.25 and got["groups"] == 2


def test_the_mean_is_of_labels():
    cases = [
        {"a": {"dice": 0.2}, "b": {"dice": 1.0}},
        {"a": {"dice": 0.4}, "b": {"dice": float("nan")}},
        {"a": {"dice": 0.6}, "b": {"dice": float("nan")}},
    ]
    got = summary(cases)
    assert got["mean"]["dice"]["mean"] == pytest.approx(0.7)
    low, high = got["mean"]["dice"]["interval"]
    assert 0.2 < low < 0.7 <= high <= 0.8
    assert got["labels"]["b"]["dice"]["count"] == 1 and got["labels"]["b"]["dice"]["left_out"] == 2
    assert got["labels"]["b"]["dice"]["interval"] == [1, 1]


def test_nothing_to_say_is_none():
    got = summary(of(float("nan"), float("nan")))
    assert got["labels"]["a"]["dice"]["mean"] is None and got["mean"]["dice"]["interval"] is None
    assert summary(of(0.5))["labels"]["a"]["dice"]["interval"] is None
    assert summary([]) == {"cases": 0, "groups": 0, "labels": {}, "mean": {}}
    with pytest.raises(ValueError, match="one for each case"):
        summary(of(0.5, 0.5), groups=[1])

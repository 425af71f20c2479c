"""Windows on an input, and what they say blended into one: in one, two and three dimensions."""

import cv2
import numpy as np
import pytest

from cnnkit.device.windows import blended, gaussian, resized, starts


@pytest.mark.parametrize(
    ("length", "side", "overlap", "expected"),
    [
        (10, 10, 0.5, [0]),
        (7, 10, 0.5, [0]),
        (20, 10, 0.5, [0, 5, 10]),
        (22, 10, 0.5, [0, 5, 10, 12]),
        (20, 10, 0.0, [0, 10]),
        (21, 10, 0.0, [0, 10, 11]),
        (20, 10, 0.99, list(range(11))),
    ],
)
def test_windows_cover_an_axis_and_end_at_its_end(length, side, overlap, expected):
    assert starts(length, side, overlap) == expected


def test_the_middle_of_a_window_counts_most():
    weights = gaussian((9,))
    place = np.arange(9) - 4
    assert weights == pytest.approx(np.maximum(np.exp(-0.5 * (place / (9 / 8)) ** 2), 1e-3))
    assert gaussian((4, 6)).shape == (4, 6)
    assert gaussian((8, 8)) == pytest.approx(gaussian((8, 8)).T)


def whole(slabs):
    parts = list(slabs)
    ends = np.cumsum([len(part) for _, part in parts])
    assert [start for start, _ in parts] == [0, *ends[:-1]], "slabs follow one another"
    return np.concatenate([part for _, part in parts])


@pytest.mark.parametrize("extent", [(37,), (37, 23), (20, 37, 18)])
def test_windows_that_agree_say_what_the_whole_says(extent):
    values = np.random.default_rng(0).random((*extent, 2)).astype(np.float32)
    sides = (8, 12, 10)[: len(extent)]

    def answer(places):
        cuts = [values[tuple(slice(low, low + side) for low, side in zip(place, sides))] for place in places]
        return np.stack(cuts)

    found = whole(blended(extent, sides, answer, at_once=3))
    assert found == pytest.approx(values, abs=1e-6)


def test_windows_that_differ_are_weighed_by_how_near_their_middles_are():
    asked = []

    def answer(places):
        asked.extend(places)
        return np.stack([np.full((8, 1), place[0], np.float32) for place in places])

    found = whole(blended((12,), (8,), answer))
    assert asked == [(0,), (4,)]
    weights = gaussian((8,))
    expected = [4 * weights[k - 4] / (weights[k] + weights[k - 4]) for k in range(4, 8)]
    assert found[:4, 0] == pytest.approx(np.zeros(4))
    assert found[4:8, 0] == pytest.approx(expected, rel=1e-5)
    assert found[8:, 0] == pytest.approx(np.full(4, 4.0))


def test_a_model_is_never_given_more_windows_than_asked_for():
    counts = []

    def answer(places):
        counts.append(len(places))
        return np.zeros((len(places), 4, 4, 1), np.float32)

    whole(blended((10, 20), (4, 4), answer, at_once=4))
    assert max(counts) == 4
    assert sum(counts) == 4 * 9


def test_memory_holds_a_row_of_windows_and_not_the_whole():
    """A slab is given away before the next row of windows is asked for."""
    order = []

    def answer(places):
        order.append(("asked", places[0][0]))
        return np.zeros((len(places), 8, 8, 1), np.float32)

    for start, slab in blended((40, 8), (8, 8), answer):
        order.append(("given", start, len(slab)))
    assert order[:4] == [("asked", 0), ("given", 0, 4), ("asked", 4), ("given", 4, 4)]


@pytest.mark.parametrize("wanted", [(80, 51), (20, 11), (37, 40), (37, 23), (1, 1), (500, 3)])
@pytest.mark.parametrize("thick", [1, 5, 36, 37])
def test_slabs_are_resized_as_the_whole_would_be(wanted, thick):
    values = np.random.default_rng(1).random((37, 23, 2)).astype(np.float32)
    slabs = [(start, values[start : start + thick]) for start in range(0, 37, thick)]
    expected = cv2.resize(values, wanted[::-1], interpolation=cv2.INTER_LINEAR)
    assert whole(resized(slabs, (37, 23), wanted)) == pytest.approx(expected, abs=1e-5)


def test_volumes_are_resized_along_every_axis():
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4, 1)
    found = whole(resized([(0, values)], (2, 3, 4), (4, 6, 8)))
    assert found.shape == (4, 6, 8, 1)
    assert found[0, 0, 0, 0] == values[0, 0, 0, 0]
    assert found[1, 0, 0, 0] == pytest.approx(0.25 * 12)
    assert found[0, 1, 0, 0] == pytest.approx(0.25 * 4)
    assert found[0, 0, 1, 0] == pytest.approx(0.25 * 1)

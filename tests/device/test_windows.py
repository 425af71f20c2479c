"""Windows on an input, and what they say blended into one: in one, two and three dimensions."""

import itertools
import tracemalloc

import cv2
import numpy as np
import pytest

from cnnkit.device import windows
from cnnkit.device.windows import blended, gaussian, held_least, resized, starts, there


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


def whole(blocks):
    parts = list(blocks)
    extent = np.max([np.add(place, part.shape[:-1]) for place, part in parts], axis=0)
    found = np.full((*extent, parts[0][1].shape[-1]), np.nan, np.float32)
    for place, part in parts:
        assert np.isnan(found[there(place, part)]).all(), "no place is said twice"
        found[there(place, part)] = part
    assert not np.isnan(found).any(), "nor left out"
    assert [place for place, _ in parts] == sorted(place for place, _ in parts)
    return found


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


@pytest.mark.parametrize("held", [0, 4096])
def test_memory_holds_a_column_of_windows_or_a_small_row_and_not_the_whole(monkeypatch, held):
    """A block is given away before windows beyond it are asked for."""
    monkeypatch.setattr(windows, "HELD", held)
    order = []

    def answer(places):
        order.append(("asked", places[0]))
        return np.zeros((len(places), 8, 8, 1), np.float32)

    for place, block in blended((40, 12), (8, 8), answer, at_once=1):
        order.append(("given", place, block.shape[:2]))
    row = [
        ("asked", (0, 0)),
        ("given", (0, 0), (4, 4)),
        ("asked", (0, 4)),
        ("given", (0, 4), (4, 8)),
        ("asked", (4, 0)),
    ]
    if held:
        row = [("asked", (0, 0)), ("asked", (0, 4)), ("given", (0, 0), (4, 12)), ("asked", (4, 0))]
    assert order[: len(row)] == row


def test_what_is_kept_grows_with_a_part_of_a_slice_alone():
    """Scores of the whole would take 26 MB here, and those of a row of windows with their weights 6 MB."""
    sides, extent = (8, 8, 8), (40, 160, 100)
    answer = np.zeros((8, *sides, 10), np.float32)
    tracemalloc.start()
    for _ in blended(extent, sides, lambda places: answer[: len(places)]):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # half of what a row reaches, and a column


@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("held", [0, windows.HELD])
def test_blocks_are_sums_over_all_windows(monkeypatch, overlap, held):
    """By windows whose answers differ, laid over the whole one after the other."""
    monkeypatch.setattr(windows, "HELD", held)
    extent, sides = (20, 27, 18), (8, 12, 10)
    rng = np.random.default_rng(2)
    said = {}

    def answer(places):
        return np.stack([said.setdefault(place, rng.random((*sides, 2)).astype(np.float32)) for place in places])

    found = whole(blended(extent, sides, answer, overlap=overlap, at_once=3))
    sums, total = np.zeros((*extent, 2)), np.zeros((*extent, 1))
    for place, scores in said.items():
        own = there(place, scores)
        sums[own] += scores * gaussian(sides)[..., None]
        total[own] += gaussian(sides)[..., None]
    assert np.abs(found - sums / total).max() < 1e-6


@pytest.mark.parametrize("wanted", [(80, 51), (20, 11), (37, 40), (37, 23), (1, 1), (500, 3)])
@pytest.mark.parametrize("thick", [1, 5, 36, 37])
@pytest.mark.parametrize("wide", [2, 9, 23])
def test_blocks_are_resized_as_the_whole_would_be(wanted, thick, wide):
    values = np.random.default_rng(1).random((37, 23, 2)).astype(np.float32)
    places = itertools.product(range(0, 37, thick), range(0, 23, wide))
    blocks = [((top, left), values[top : top + thick, left : left + wide]) for top, left in places]
    expected = cv2.resize(values, wanted[::-1], interpolation=cv2.INTER_LINEAR)
    assert whole(resized(blocks, (37, 23), wanted)) == pytest.approx(expected, abs=1e-5)


def test_volumes_are_resized_along_every_axis():
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4, 1)
    found = whole(resized([((0, 0, 0), values)], (2, 3, 4), (4, 6, 8)))
    assert found.shape == (4, 6, 8, 1)
    assert found[0, 0, 0, 0] == values[0, 0, 0, 0]
    assert found[1, 0, 0, 0] == pytest.approx(0.25 * 12)
    assert found[0, 1, 0, 0] == pytest.approx(0.25 * 4)
    assert found[0, 0, 1, 0] == pytest.approx(0.25 * 1)


def test_what_waits_in_a_file_is_the_same(monkeypatch):
    extent, sides = (20, 27, 18), (8, 12, 10)
    rng = np.random.default_rng(3)
    said = {}

    def answer(places):
        return np.stack([said.setdefault(place, rng.random((*sides, 2)).astype(np.float32)) for place in places])

    found = whole(blended(extent, sides, answer))
    monkeypatch.setattr(windows, "HELD", 0)
    assert (whole(blended(extent, sides, answer)) == found).all()

    def none(**_):
        raise OSError

    monkeypatch.setattr(windows.tempfile, "TemporaryFile", none)  # where nothing can be written
    assert (whole(blended(extent, sides, answer)) == found).all()


def test_axes_are_ordered_so_that_little_waits():
    assert held_least((200, 50, 100), (40, 40, 40)) == (0, 2, 1)
    assert held_least((50, 200), (20, 20)) == (1, 0)

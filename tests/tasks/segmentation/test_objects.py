"""Objects in masks: rims, sizes, pieces that are several."""

import numpy as np
import pytest

from cnnkit.device.objects import apart
from cnnkit.tasks.segmentation import measures, objects


def test_a_rim_by_hand():
    numbers = np.zeros((7, 9), np.int32)
    numbers[1:6, 1:5] = 1
    numbers[1:6, 5:8] = 2
    assert objects.rimmed(numbers, 1).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 2, 2, 2, 0],
        [0, 2, 1, 1, 2, 2, 1, 2, 0],
        [0, 2, 1, 1, 2, 2, 1, 2, 0],
        [0, 2, 1, 1, 2, 2, 1, 2, 0],
        [0, 2, 2, 2, 2, 2, 2, 2, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_edge_of_a_picture_is_no_border():
    assert objects.rimmed(np.ones((4, 4), np.int32), 2).tolist() == np.ones((4, 4)).tolist()


def test_a_small_object_keeps_an_inside():
    numbers = np.zeros((9, 9), np.int32)
    numbers[1:3, 1:3] = 1
    numbers[4:7, 4:7] = 2
    codes = objects.rimmed(numbers, 3)
    assert (codes[1:3, 1:3] == objects.INSIDE).all()
    assert codes[5, 5] == objects.INSIDE
    assert (codes == objects.INSIDE).sum() == 5


@pytest.mark.parametrize("rim", [1, 2, 3, 5])
def test_what_is_taught_says_which_objects_there_are(rim):
    numbers = discs(0)
    codes = objects.rimmed(numbers, rim)
    found = apart(*((255 * part).astype(np.uint8) for part in (codes == 1, codes > 0)), seed=0.5, threshold=0.5)
    assert measures.matches(found, numbers, 0.8) == (numbers.max(), 0, 0)
    assert measures.matches(measures.components(numbers > 0), numbers, 0.5)[0] < numbers.max() / 2


def discs(seed, side=96, radius=7):
    """Rows of discs that touch: int32 (side, side)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    numbers = np.zeros((side, side), np.int32)
    for row in range(radius + 2, side - radius, 3 * radius):
        for column in range(radius + 2, side - radius, 2 * radius):
            if rng.random() < 0.8:
                numbers[(np.hypot(rows - row, columns - column) <= radius) & (numbers == 0)] = numbers.max() + 1
    return numbers


def test_diameters_of_discs():
    assert objects.diameters(discs(0)) == pytest.approx(14, abs=0.5)
    assert [objects.rim_of(diameter) for diameter in (4, 8, 15, 24, 100)] == [1, 2, 3, 5, 5]


def test_pieces_that_are_several_are_counted():
    one, two = np.zeros((2, 40, 40), bool)
    rows, columns = np.mgrid[:40, :40]
    for k in range(4):
        one |= np.hypot(rows - 10 - 20 * (k // 2), columns - 10 - 20 * (k % 2)) < 7
    two |= np.hypot(rows - 20, columns - 12) < 8
    two |= np.hypot(rows - 20, columns - 26) < 8
    assert objects.merged([one]) == (0, 4)
    assert objects.merged([one, two]) == (1, 5)
    assert objects.merged([]) == (0, 0)


def test_objects_of_a_mask():
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], np.uint8)
    assert objects.numbered(mask, (1,), None).tolist() == [[1, 1, 0, 2], [0, 0, 0, 2]]
    told = np.array([[5, 2, 9, 2], [0, 0, 0, 2]])
    assert objects.numbered(mask, (1,), told).tolist() == [[2, 1, 0, 1], [0, 0, 0, 1]]

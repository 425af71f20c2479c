"""Objects told apart by scores of their inside and border."""

import numpy as np

from cnnkit.device.objects import apart, grown, renumbered


def two_discs():
    """Two discs of radius 6 that touch, inside and whole, as scores of bytes."""
    rows, columns = np.mgrid[:20, :32]
    far = [np.hypot(rows - 9, columns - middle) for middle in (9, 22)]
    inside = np.where(np.minimum(*far) <= 4, 255, 0).astype(np.uint8)
    whole = np.where(np.minimum(*far) <= 6.5, 255, 0).astype(np.uint8)
    return inside, whole


def test_two_that_touch_are_two():
    inside, whole = two_discs()
    found = apart(inside, whole, seed=0.5, threshold=0.5)
    assert found.dtype == np.int32
    assert found.max() == 2
    assert ((found > 0) == (whole > 0)).all(), "inside and border together are the objects"
    assert found[9, 15] == found[9, 9] != found[9, 22] == found[9, 16]


def test_without_insides_what_hangs_together_is_one():
    _, whole = two_discs()
    found = apart(np.zeros_like(whole), whole, seed=0.5, threshold=0.5)
    assert found.max() == 1
    assert ((found > 0) == (whole > 0)).all()


def test_an_object_grows_only_where_it_hangs_together():
    """The pixel at 4 is nearer to the first seed, across a gap; it is of the second."""
    inside = np.array([[255, 0, 0, 0, 0, 0, 0, 0, 255]], np.uint8)
    whole = np.array([[255, 255, 0, 255, 255, 255, 255, 255, 255]], np.uint8)
    assert apart(inside, whole, seed=0.5, threshold=0.5).tolist() == [[1, 1, 0, 2, 2, 2, 2, 2, 2]]


def test_what_is_too_small_is_given_to_what_it_touches_or_left_out():
    inside = np.array([[255, 255, 255, 0, 255, 0, 0, 255]], np.uint8)
    whole = np.array([[255, 255, 255, 255, 255, 0, 0, 255]], np.uint8)
    assert apart(inside, whole, seed=0.5, threshold=0.5).max() == 3
    assert apart(inside, whole, seed=0.5, threshold=0.5, smallest=3).tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]


def test_a_picture_with_nothing_has_no_object():
    nothing = np.zeros((5, 7), np.uint8)
    assert apart(nothing, nothing, seed=0.5, threshold=0.5, smallest=4).tolist() == nothing.tolist()


def test_growth_goes_to_four_and_eight_neighbours_in_turn():
    start = np.zeros((7, 7), np.int32)
    start[3, 3] = 1
    assert (grown(start, start == 0, steps=1) > 0).sum() == 5
    assert (grown(start, start == 0, steps=2) > 0).sum() == 21, "an octagon: 5 x 5 less its corners"
    assert (grown(start, start == 0) == 1).all()


def test_numbers_follow_without_gaps():
    assert renumbered(np.array([[0, 7, 7, 3, 9]])).tolist() == [[0, 2, 2, 1, 3]]


def test_seeds_that_touch_at_a_corner_are_two_and_crumbs_at_a_corner_none():
    inside = np.array([[255, 255, 0, 0], [255, 255, 0, 0], [0, 0, 255, 255], [0, 0, 255, 255]], np.uint8)
    assert apart(inside, inside, seed=0.5, threshold=0.5).max() == 2
    whole = inside.copy()
    whole[2:, 2:] = 0
    whole[2, 2] = 255
    inside[2:] = 0
    assert apart(inside, whole, seed=0.5, threshold=0.5).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]

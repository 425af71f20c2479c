"""Masks drawn over pictures."""

import numpy as np

from cnnkit.device import contours


def test_drawing_leaves_the_picture_as_it_is():
    picture = np.zeros((20, 20, 3), np.uint8)
    plane = np.zeros((1, 20, 20), bool)
    plane[0, 5:15, 5:15] = True
    drawn = contours.outlined(picture, plane, [(10, 200, 30)], tint=0.5, line=1)
    assert not picture.any()
    assert drawn[5, 5].tolist() == [10, 200, 30] and drawn[10, 10].tolist() == [5, 100, 15] and not drawn[0, 0].any()


def test_an_outline_lies_inside_of_its_mask():
    plane = np.zeros((20, 30), bool)
    plane[5:15, 5:15] = True
    plane[2, 3:28] = True  # one px wide
    line = contours.rim(plane, 2)
    assert not (line & ~plane).any() and line[2, 3:28].all()
    assert line[5:15, 5:15].sum() == 100 - 36
    plane[:] = True
    assert not contours.rim(plane, 2).any()  # it reaches the edges of the picture


def test_what_colours_mean_stands_below():
    picture = np.full((40, 300, 3), 7, np.uint8)
    names = [((200, 0, 0), "one"), ((0, 200, 0), "two")]
    drawn = contours.captioned(picture, names, "A line.")
    assert (drawn[:40] == 7).all() and drawn.shape[1] == 300
    for paint, _ in names:
        assert (drawn[40:] == paint).all(-1).sum() >= 100
    many = contours.captioned(picture, [((200, 0, 0), f"label {k}") for k in range(30)], "A line.")
    assert many.shape[0] > drawn.shape[0] + 50 and many.shape[1] == 300
    assert contours.captioned(picture[:, :20], names, "A line.").shape[1] > 40

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

"""Arrays at another size."""

import cv2
import numpy as np
import pytest

from cnnkit.device.resampling import Resampled, resampled


@pytest.mark.parametrize("wanted", [1, 5, 20, 37, 38, 60, 111])
def test_an_axis_is_resampled_as_opencv_does_with_pictures(wanted):
    values = np.random.default_rng(0).random((37, 41, 2), np.float32)
    how = cv2.INTER_AREA if wanted < 37 else cv2.INTER_LINEAR
    assert np.abs(resampled(values, 0, wanted) - cv2.resize(values, (41, wanted), interpolation=how)).max() < 1e-5


def test_a_mean_is_of_what_a_place_covers():
    assert resampled(np.array([0.0, 3.0, 6.0]), 0, 2).tolist() == [1.0, 5.0]  # (0 + 3 / 2) / 1.5, (3 / 2 + 6) / 1.5


@pytest.mark.parametrize("extent", [(6, 11, 8), (9, 7, 8), (12, 30, 5)])
def test_parts_are_those_of_the_whole(extent):
    values = np.random.default_rng(1).integers(-1000, 1000, (9, 11, 8, 2)).astype(np.int16)
    whole = values
    for axis, length in enumerate(extent):
        whole = resampled(whole, axis, length)
    parts = Resampled(values, extent)
    for place in ((0, 0, 0), (2, 3, 1), (4, 5, 3)):
        stops = [min(start + 4, length) for start, length in zip(place, extent, strict=True)]
        there = whole[tuple(slice(*ends) for ends in zip(place, stops, strict=True))]
        found = parts.cut(place, (4, 4, 4))[tuple(slice(side) for side in there.shape)]
        assert np.allclose(found, there, atol=1e-3)


def test_beyond_its_end_the_whole_is_mirrored():
    values = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)
    assert Resampled(values, (3, 1, 1)).cut((1, 0, 0), (4, 1, 1)).ravel().tolist() == [1, 2, 2, 1]

"""A picture of one digit becomes what the model was trained on, however it was drawn."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cnnkit.data.records import Records
from cnnkit_digits.single import describe, single_digit
from tests.toys import MemoryImages

MODEL = SimpleNamespace(input_shape=(28, 28, 1), metadata={"layout": "mnist"})


def seven(side=300, ink=20, paper=230):
    image = np.full((side, side), paper, np.uint8)
    points = np.array([[0.35, 0.25], [0.65, 0.25], [0.45, 0.75]]) * side
    cv2.polylines(image, [points.astype(int)], False, ink, side // 25, cv2.LINE_AA)
    return image


def test_a_digit_on_paper_becomes_white_on_black_20_px_high_and_centred():
    digit = single_digit(seven(), MODEL)
    assert digit.shape == (28, 28, 1) and digit.dtype == np.uint8
    ys, xs = np.nonzero(digit[..., 0] > 60)
    assert max(np.ptp(ys), np.ptp(xs)) + 1 in (19, 20)
    mass = digit[..., 0].astype(float)
    assert (mass.sum(1) @ np.arange(28) / mass.sum(), mass.sum(0) @ np.arange(28) / mass.sum()) == pytest.approx(
        (14, 14), abs=1
    )
    assert digit[0].max() == 0


def test_light_on_dark_colour_shade_and_size_make_no_difference():
    reference = single_digit(seven(), MODEL).astype(int)
    shade = (seven() * np.linspace(0.6, 1, 300)[None]).astype(np.uint8)
    for other in (255 - seven(), np.stack([seven()] * 3, -1), shade, seven(600), seven(120)):
        assert np.abs(single_digit(other, MODEL).astype(int) - reference).mean() < 12


def test_a_picture_as_the_training_data_goes_in_unchanged():
    image = np.zeros((28, 28), np.uint8)
    image[6:20, 12:15] = 200
    assert np.array_equal(single_digit(image, MODEL)[..., 0], image)


def test_a_model_of_other_data_gets_the_picture_as_it_is():
    model = SimpleNamespace(input_shape=(28, 28, 1), metadata={})
    assert single_digit(seven(), model).mean() > 150


def test_an_empty_picture_stays_empty():
    assert single_digit(np.full((100, 100), 240, np.uint8), MODEL).shape == (28, 28, 1)


def test_artifacts_say_that_the_data_looked_like_mnist():
    rng = np.random.default_rng(0)
    dark = np.zeros((20, 28, 28, 1), np.uint8)
    dark[:, 6:22, 6:22] = rng.integers(0, 255, (20, 16, 16, 1))
    labels = np.arange(20) % 2
    assert describe(Records(MemoryImages(dark), labels, ("0", "1")), "default") == {"layout": "mnist"}
    assert describe(Records(MemoryImages(255 - dark), labels, ("0", "1")), "default") == {}

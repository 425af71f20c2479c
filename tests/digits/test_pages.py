"""The seeded pages are what they say they are."""

import numpy as np
import pytest

from cnnkit_digits.pages import SAMPLE, Look, sample_page
from digit_pages import blank_page, page


@pytest.fixture(scope="module")
def bars():
    """Return ten plain digits: upright bars of growing width, one a label."""
    images = np.zeros((10, 28, 28), np.uint8)
    for label in range(10):
        images[label, 4:24, 12 : 14 + label] = 255
    return images, np.arange(10)


def test_a_page_is_a_function_of_its_seed(bars):
    one, first = page(5, *bars)
    two, second = page(5, *bars)
    other, _ = page(6, *bars)
    assert np.array_equal(one, two) and first == second
    assert one.shape != other.shape or not np.array_equal(one, other)


@pytest.mark.parametrize("seed", range(6))
def test_numbers_have_1_to_8_digits_inside_the_picture(bars, seed):
    image, truth = page(seed, *bars)
    assert image.dtype == np.uint8 and image.shape == (truth.look.height, truth.look.width, 3)
    assert 1 <= len(truth.numbers) <= 20
    for number in truth.numbers:
        assert 1 <= len(number.text) <= 8
        assert number.text == "".join(d.text for d in number.digits)
        assert number.box[0] >= 0 and number.box[1] >= 0
        assert number.box[2] <= image.shape[1] and number.box[3] <= image.shape[0]


def test_looks_cover_what_pages_are_asked_to_cover():
    looks = [Look.draw(np.random.default_rng(seed)) for seed in range(200)]
    angles, heights = [look.angle for look in looks], [look.digit_height for look in looks]
    assert min(angles) < -7 and max(angles) > 7 and max(map(abs, angles)) <= 10
    assert min(heights) < 24 and max(heights) > 60
    assert {look.paper for look in looks} == {"blank", "ruled", "squared"}


def test_boxes_hold_the_ink_on_an_even_page(bars):
    even = {
        "paper": "blank",
        "shading": 0.0,
        "noise": 0.0,
        "blur": 0.0,
        "jpeg": 0,
        "dirt": 0,
        "words": 0,
        "desk": False,
        "inverted": False,
    }
    image, truth = page(3, *bars, **even, angle=8.0, ink_colour=(0, 0, 0), ink_strength=1.0, ink_grain=0.0)
    dark = image.max(2) < 100
    covered = np.zeros_like(dark)
    for number in truth.numbers:
        for digit in number.digits:
            x0, y0, x1, y1 = (round(v) for v in digit.box)
            covered[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = True
            assert dark[y0:y1, x0:x1].any()
    assert dark.any() and not (dark & ~covered).any()


def test_a_setting_given_by_name_is_kept(bars):
    _, truth = page(1, *bars, angle=-6.0, count=7)
    assert truth.look.angle == -6.0 and len(truth.numbers) <= 7


def test_a_blank_page_has_ink_but_no_number():
    image, truth = blank_page(2)
    assert truth.numbers == () and image.std() > 3


def test_the_sample_page_is_fixed(bars):
    one, (two, truth) = sample_page(*bars), page(1, *bars, **SAMPLE)
    assert one.shape == (900, 1200, 3) and np.array_equal(one, two) and len(truth.numbers) >= 8


def test_images_without_labels_are_refused(bars):
    with pytest.raises(ValueError, match="one label each.*10 images, 3 labels"):
        page(0, bars[0], np.arange(3))


def test_unknown_paper_is_refused(bars):
    with pytest.raises(ValueError, match="paper='pink'"):
        page(0, *bars, paper="pink")

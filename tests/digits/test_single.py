"""A picture of one digit becomes what the model was trained on, however it was drawn."""

import cv2
import numpy as np
import pytest

from cnnkit.device.preparation import ready
from cnnkit.inputs.image.prepared import PreparedImages
from cnnkit.inputs.image.records import ImageRecords
from cnnkit_digits.single import DIGIT, describe
from tests.toys import MemoryImages

SHAPE = (28, 28, 1)


def seven(side=300, ink=20, paper=230):
    image = np.full((side, side), paper, np.uint8)
    points = np.array([[0.35, 0.25], [0.65, 0.25], [0.45, 0.75]]) * side
    cv2.polylines(image, [points.astype(int)], False, ink, max(1, side // 25), cv2.LINE_AA)
    return image


def tight(image):
    """Cut a light digit on black to its box."""
    ys, xs = np.nonzero(image > 25)
    return image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


@pytest.fixture(scope="module")
def digits():
    """Held-out digits, laid out as MNIST's."""
    from cnnkit.inputs.image.loading import load

    images, _ = load("digits").test.read(np.arange(60))
    return images


def test_a_digit_on_paper_becomes_white_on_black_20_px_high_and_centred():
    digit = DIGIT(seven())
    assert digit.shape == SHAPE and digit.dtype == np.uint8
    ys, xs = np.nonzero(digit[..., 0] > 60)
    assert max(np.ptp(ys), np.ptp(xs)) + 1 in (19, 20)
    mass = digit[..., 0].astype(float)
    assert (mass.sum(1) @ np.arange(28) / mass.sum(), mass.sum(0) @ np.arange(28) / mass.sum()) == pytest.approx(
        (14, 14), abs=1
    )
    assert digit[0].max() == 0


def test_light_on_dark_colour_shade_and_size_make_no_difference():
    reference = DIGIT(seven()).astype(int)
    shade = (seven() * np.linspace(0.6, 1, 300)[None]).astype(np.uint8)
    for other in (255 - seven(), np.stack([seven()] * 3, -1), shade, seven(600), seven(120)):
        assert np.abs(DIGIT(other).astype(int) - reference).mean() < 12


def test_a_picture_laid_out_as_the_training_data_goes_in_unchanged_in_either_polarity(digits):
    assert DIGIT.laid_out(digits).all()
    for digit in digits:
        for same in (digit[..., 0], 255 - digit[..., 0], np.dstack([digit] * 3)):
            assert np.array_equal(DIGIT(same), digit)


def test_a_prepared_picture_is_laid_out_so_preparing_again_changes_nothing(digits):
    for digit in digits:
        once = DIGIT(cv2.resize(255 - digit[..., 0], (90, 90), interpolation=cv2.INTER_CUBIC))
        assert DIGIT.laid_out(once[None])[0] and np.array_equal(DIGIT(once), once)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_picture_of_the_right_size_is_prepared_where_its_digit_fills_it_or_is_off_the_middle(digits, inverted):
    for digit in digits[:20]:
        whole = cv2.resize(tight(digit[..., 0]), (28, 28), interpolation=cv2.INTER_AREA)
        aside = np.roll(digit[..., 0], 4, 1)
        for other in (whole, aside):
            assert not DIGIT.laid_out(other[None, ..., None])[0]
            made = DIGIT(255 - other if inverted else other)
            assert DIGIT.laid_out(made[None])[0]


def test_an_empty_picture_has_nothing_on_it():
    for empty in (np.full((100, 100), 240, np.uint8), np.zeros((28, 28), np.uint8), np.zeros((50, 40, 4), np.uint8)):
        assert DIGIT(empty) is None
        pixels, shown = ready(empty, (32, 32, 3), DIGIT)
        assert pixels.shape == (32, 32, 3) and not pixels.any() and not shown
        assert not ready(empty, (32, 32, 3))[1]


def test_artifacts_say_that_the_data_looked_like_mnist(digits):
    labels = np.arange(len(digits)) % 2
    assert describe(ImageRecords(MemoryImages(digits), labels, ("0", "1")), "default") == {"layout": "mnist"}
    large = ImageRecords(MemoryImages(digits), labels, ("0", "1"), input_shape=(32, 32, 1))
    assert describe(large, "default") == {"layout": "mnist"}
    assert describe(ImageRecords(MemoryImages(255 - digits), labels, ("0", "1")), "default") == {}
    prepared = ImageRecords(PreparedImages(MemoryImages(255 - digits), DIGIT), labels, ("0", "1"))
    assert describe(prepared, "default") == {"layout": "mnist"}


def test_prepared_records_are_read_as_predict_prepares_pictures(digits):
    pictures = np.stack([255 - cv2.resize(digit[..., 0], (50, 70)) for digit in digits])[..., None]
    source = PreparedImages(MemoryImages(pictures), DIGIT)
    records = ImageRecords(source, np.arange(len(digits)) % 2, ("0", "1"))
    assert records.input_shape == SHAPE and records.prepared and records.take(np.arange(3)).prepared
    order = np.array([7, 3, 3, 59, 0])
    for shape in (SHAPE, (40, 40, 3)):
        images, _ = records.with_shape(shape).read(order)
        for index, image in zip(order, images, strict=True):
            assert np.array_equal(image, ready(pictures[index], shape, DIGIT)[0])
    assert np.array_equal(records.native(5), pictures[5])


def test_more_images_than_are_kept_are_read_the_same(digits, monkeypatch):
    from cnnkit.inputs.image import prepared

    pictures = MemoryImages(np.stack([255 - np.roll(digit, 3, 0) for digit in digits]))
    kept = PreparedImages(pictures, DIGIT).read(np.arange(20), SHAPE)
    monkeypatch.setattr(prepared, "KEPT", 100)
    assert np.array_equal(PreparedImages(pictures, DIGIT).read(np.arange(20), SHAPE), kept)


def test_mnist_like_arrays_are_read_in_one_piece_and_unchanged(digits, tmp_path, monkeypatch):
    from cnnkit.inputs.image.arrays import ArrayImages
    from cnnkit.inputs.image.loading import load

    labels = np.arange(60) % 3
    np.savez(tmp_path / "own.npz", x=np.concatenate([digits] * 2)[..., 0], y=np.concatenate([labels] * 2))
    plain, found = (load(tmp_path / "own.npz", prepare=prepare, preparation=DIGIT) for prepare in (False, None))
    assert not plain.train.prepared and found.train.prepared and found.train.fingerprint() == plain.train.fingerprint()
    monkeypatch.setattr(ArrayImages, "native", lambda *_: pytest.fail("one was read by itself"))
    every = np.arange(len(plain.train))
    assert np.array_equal(found.train.read(every)[0], plain.train.read(every)[0])


def test_a_card_that_says_so_is_not_prepared():
    from cnnkit.inputs.image.loading import load

    assert not load("digits", preparation=DIGIT).train.prepared
    assert load("digits", preparation=DIGIT, prepare=True).train.prepared

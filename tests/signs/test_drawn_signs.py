"""Drawn signs: what is drawn, that it repeats, and that it can be learned."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.inputs.image.loading import load
from cnnkit_signs.drawn_signs import LABELS, DrawnSigns, sign, view

SHAPE = (64, 64, 3)


def laid_on(rgba, ground):
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + ground * (1 - alpha)


@pytest.mark.parametrize("label", LABELS)
def test_a_flat_sign_has_a_shape_and_nothing_outside_it(label):
    drawn = sign(label, 96)
    assert drawn.shape == (96, 96, 4) and drawn.dtype == np.uint8
    alpha = drawn[..., 3]
    assert not alpha[[0, 0, -1, -1], [0, -1, 0, -1]].any(), "the corners are outside"
    assert alpha[48, 48] == 255 and 0.3 < (alpha == 255).mean() < 0.85
    ys, xs = np.nonzero(alpha)
    assert max(np.ptp(xs), np.ptp(ys)) >= 0.95 * 95 and xs.min() + xs.max() == pytest.approx(95, abs=2)
    outlines, _ = cv2.findContours((alpha > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    assert len(outlines) == 1, "one piece, without holes"


def test_every_sign_differs_from_every_other():
    flat = {label: laid_on(sign(label, 48), 128) for label in LABELS}
    for one, other in itertools.combinations(LABELS, 2):
        assert np.abs(flat[one] - flat[other]).mean() > 3, (one, other)


@pytest.mark.parametrize("what", ["bend", "turn"])
def test_left_and_right_are_mirror_images(what):
    left, right = sign(f"{what} left", 80), sign(f"{what} right", 80)
    assert np.array_equal(left, right[:, ::-1]) and not np.array_equal(left, right)
    ink = (left[..., 0] < 80 if what == "bend" else left[..., 0] > 180) & (left[..., 3] == 255)
    head, stem = (np.flatnonzero(ink[row, 22:58]).mean() for row in ((40, 58) if what == "bend" else (29, 58)))
    assert head < stem, "the head is left of the stem"


@pytest.mark.parametrize("arguments", [("nonsense", 64), ("stop", 8), ("stop", 5000)])
def test_a_sign_that_does_not_exist_is_refused(arguments):
    with pytest.raises(ValueError, match="Received"):
        sign(*arguments)


@pytest.mark.parametrize("side", [16, 64, 100])
def test_a_view_is_a_picture_of_the_side_asked_for(side):
    for seed in range(20):
        picture = view(sign("stop"), np.random.default_rng(seed), side)
        assert picture.shape == (side, side, 3) and picture.dtype == np.uint8


def test_a_sign_is_not_changed_by_taking_a_picture():
    before = sign("stop").copy()
    view(sign("stop"), np.random.default_rng(0))
    assert np.array_equal(sign("stop"), before)
    with pytest.raises(ValueError, match="read-only"):
        sign("stop")[:] = 0


def test_pictures_repeat_in_any_order_and_from_any_thread():
    images = DrawnSigns(6)
    expected = images.read(np.arange(len(images)), SHAPE)
    order = np.random.default_rng(0).permutation(len(images))
    assert np.array_equal(DrawnSigns(6).read(order, SHAPE), expected[order])
    assert np.array_equal(DrawnSigns(3).read(np.arange(60), SHAPE), expected[:60]), "more views change none"
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda part: images.read(part, SHAPE), np.array_split(order, 13)))
    assert np.array_equal(np.concatenate(parts), expected[order])
    assert len(np.unique(expected.reshape(len(expected), -1), axis=0)) == len(expected)
    assert not np.array_equal(DrawnSigns(1, seed=1).read(np.arange(20), SHAPE), expected[:20])


def test_the_card_loads():
    splits = load("drawn-signs")
    assert splits.train.label_names == LABELS and splits.train.input_shape == SHAPE and splits.warnings == []
    assert splits.test.counts().tolist() == [30] * 20 and len(splits.train) + len(splits.validation) == 2400
    assert splits.train.fingerprint() == load("drawn-signs").train.fingerprint() != splits.test.fingerprint()
    images, labels = splits.test.read(np.array([3, 1]))
    assert images.shape == (2, *SHAPE) and labels.tolist() == splits.test.labels[[3, 1]].tolist()
    assert splits.test.with_shape((32, 32, 1)).read(np.array([0]))[0].shape == (1, 32, 32, 1)
    assert splits.test.name(0).startswith("drawn-signs[") and splits.test.native(0).shape == SHAPE


def test_a_card_chooses_views_seed_and_side(tmp_path):
    card = tmp_path / "mine.toml"
    card.write_text('reader = "drawn-signs"\n[options]\nviews = 5\nseed = 3\nside = 40')
    splits = load(card, test=0, validation=0)
    assert len(splits.train) == 100 and splits.train.input_shape == (40, 40, 3)
    assert np.array_equal(splits.train.native(7), DrawnSigns(1, 3, 40).native(7))
    assert splits.train.label_names == LABELS


@pytest.mark.parametrize("option", ["views = 0", "views = '5'", "seed = -1", "side = 4", "side = true"])
def test_an_option_out_of_range_is_named(tmp_path, option):
    card = tmp_path / "mine.toml"
    card.write_text(f'reader = "drawn-signs"\n[options]\n{option}')
    with pytest.raises(DataError, match=f"option `{option.split()[0]}` is a whole number from"):
        load(card)


def test_pictures_can_be_learned_but_not_by_a_glance():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    def thumbnails(images):
        pictures = images.read(np.arange(len(images)), SHAPE)
        small = np.stack([cv2.resize(one, (12, 12), interpolation=cv2.INTER_AREA) for one in pictures])
        small = small.reshape(len(small), -1).astype(np.float32)
        return (small - small.mean(1, keepdims=True)) / (small.std(1, keepdims=True) + 4)

    train, held = DrawnSigns(40), DrawnSigns(8, seed=1)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(thumbnails(train), train.codes())
    score = model.score(thumbnails(held), held.codes())
    assert 0.25 < score < 0.9, "chance is 0.05"


def test_a_picture_takes_milliseconds():
    images = DrawnSigns(10)
    images.read(np.arange(20), SHAPE)  # the flat signs are drawn once
    start = time.process_time()
    images.read(np.arange(100), SHAPE)
    assert (time.process_time() - start) / 100 < 0.02  # s, a tenth of that on an idle laptop

"""The losses of masks: each by hand, and that nothing they meet makes them other than a number."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from cnnkit.tasks.segmentation.losses import REACH, MaskLoss, resized, signed_distance
from cnnkit.tasks.segmentation.masks import IGNORE

OVERLAPPING = ((1, 2), (2,))
ORACLES = json.loads((Path(__file__).parent / "oracles.json").read_text(encoding="utf-8"))["losses"]


def value(loss, codes, logits):
    return float(loss(np.asarray(codes, np.uint8), np.asarray(logits, np.float32)))


def logit(chance):
    return np.log(chance / (1 - chance))


def two(*chances):
    """Logits (1, n, 2) whose softmax gives the second unit these chances."""
    return np.stack([np.zeros(len(chances)), logit(np.array(chances))], -1)[None]


def only(**options):
    return MaskLoss(**{"dice": 0.0, "cross_entropy": 0.0} | options)


CODES, CHANCES = [[1, 1, 0, 0]], (0.8, 0.6, 0.3, 0.1)  # both 1.4, false 0.4, missed 0.6


class TestByHand:
    def test_cross_entropy(self):
        right = -np.log([0.8, 0.6, 0.7, 0.9]).mean()
        assert value(only(cross_entropy=1.0), CODES, two(*CHANCES)) == pytest.approx(right, rel=1e-5)

    def test_dice(self):
        right = 1 - (2 * 1.4 + 1) / (1.8 + 2 + 1)
        assert value(only(dice=1.0), CODES, two(*CHANCES)) == pytest.approx(right, rel=1e-5)

    def test_they_are_added_by_weight(self):
        parts = [value(only(dice=1.0), CODES, two(*CHANCES)), value(only(cross_entropy=1.0), CODES, two(*CHANCES))]
        both = value(MaskLoss(dice=2.0, cross_entropy=0.5), CODES, two(*CHANCES))
        assert both == pytest.approx(2 * parts[0] + parts[1] / 2, rel=1e-5)

    def test_tversky(self):
        right = 1 - (1.4 + 0.5) / (1.4 + 0.3 * 0.4 + 0.7 * 0.6 + 0.5)
        assert value(only(dice=1.0, tversky=(0.3, 0.7)), CODES, two(*CHANCES)) == pytest.approx(right, rel=1e-5)

    def test_focal(self):
        chances = np.array([0.8, 0.6, 0.7, 0.9])
        right = (-((1 - chances) ** 2) * np.log(chances)).mean()
        assert value(only(cross_entropy=1.0, focal=2.0), CODES, two(*CHANCES)) == pytest.approx(right, rel=1e-5)

    def test_class_weights(self):
        right = -(np.log([0.8, 0.6]) * 3).sum() / 4 - np.log([0.7, 0.9]).sum() / 4
        loss = only(cross_entropy=1.0, class_weights=(1, 3))
        assert value(loss, CODES, two(*CHANCES)) == pytest.approx(right, rel=1e-5)

    def test_sigmoids_of_overlapping_labels(self):
        chances = np.array([[0.9, 0.2], [0.7, 0.6], [0.4, 0.3]])  # whole, core of three pixels of codes 1, 2, 0
        right = -np.log([[0.9, 0.8], [0.7, 0.6], [0.6, 0.7]]).mean()
        loss = only(cross_entropy=1.0, regions=OVERLAPPING)
        assert value(loss, [[1, 2, 0]], logit(chances)[None]) == pytest.approx(right, rel=1e-5)
        overlaps = [(2 * 1.6 + 1) / (2.0 + 2 + 1), (2 * 0.6 + 1) / (1.1 + 1 + 1)]
        loss = only(dice=1.0, regions=OVERLAPPING)
        assert value(loss, [[1, 2, 0]], logit(chances)[None]) == pytest.approx(1 - np.mean(overlaps), rel=1e-5)
        loss = only(cross_entropy=1.0, regions=OVERLAPPING, focal=1.0)
        right = -(np.log([[0.9, 0.8], [0.7, 0.6], [0.6, 0.7]]) * [[0.1, 0.2], [0.3, 0.4], [0.4, 0.3]]).mean()
        assert value(loss, [[1, 2, 0]], logit(chances)[None]) == pytest.approx(right, rel=1e-5)

    def test_boundary(self):
        far = np.array([-1.5, -0.5, 0.5, 1.5]) / (REACH - 0.5)  # the mask goes on beyond the side
        right = (far * CHANCES).mean()
        assert value(only(boundary=1.0), CODES, two(*CHANCES)) == pytest.approx(right, rel=1e-5)

    def test_dice_of_a_batch_and_of_samples(self):
        codes = [[1, 1], [0, 1]]
        logits = np.concatenate([two(0.8, 0.6), two(0.3, 0.1)])
        batch = 1 - (2 * 1.5 + 1) / (1.8 + 3 + 1)
        samples = 1 - np.mean([(2 * 1.4 + 1) / (1.4 + 2 + 1), (2 * 0.1 + 1) / (0.4 + 1 + 1)])
        assert value(only(dice=1.0), codes, logits) == pytest.approx(batch, rel=1e-5)
        assert value(only(dice=1.0, batch_dice=False), codes, logits) == pytest.approx(samples, rel=1e-5)

    def test_several_codes_are_one_label(self):
        loss = MaskLoss(regions=((1, 3),))
        assert value(loss, [[1, 3, 0, 2]], two(*CHANCES)) == pytest.approx(value(MaskLoss(), CODES, two(*CHANCES)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dice", {"dice": 1.0}),
        ("dice_sample", {"dice": 1.0, "batch_dice": False}),
        ("tversky", {"dice": 1.0, "tversky": (0.3, 0.7)}),
        ("cross_entropy", {"cross_entropy": 1.0}),
        ("focal", {"cross_entropy": 1.0, "focal": 2.0}),
    ],
)
def test_other_libraries_agree(name, options):
    for case in ORACLES:
        assert value(only(**options), case["codes"], case["logits"]) == pytest.approx(case[name], rel=1e-5)


EVERY = [
    {},
    {"batch_dice": False},
    {"focal": 2.0},
    {"focal": 0.5},
    {"tversky": (0.3, 0.7)},
    {"boundary": 1.0},
    {"regions": OVERLAPPING},
    {"regions": OVERLAPPING, "focal": 0.5, "boundary": 1.0},
]


def sample(loss, shape, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    units = 2 if loss.regions else 3
    return rng.integers(0, 3, shape).astype(np.uint8), rng.normal(0, spread, (*shape, units)).astype(np.float32)


@pytest.mark.parametrize("options", EVERY, ids=str)
class TestEvery:
    def test_ignored_pixels_weigh_nothing(self, options):
        loss = MaskLoss(**options)
        codes, logits = sample(loss, (2, 6, 6))
        codes[:, 4:], codes[1, :2] = IGNORE, IGNORE
        before = value(loss, codes, logits)
        logits[codes == IGNORE] += 50
        assert value(loss, codes, logits) == pytest.approx(before, rel=1e-6)

    def test_what_is_all_ignored_teaches_nothing(self, options):
        loss = MaskLoss(**options)
        codes, logits = sample(loss, (2, 6, 6))
        codes[:] = IGNORE
        assert value(loss, codes, logits) == pytest.approx(0, abs=1e-6)
        assert np.abs(slope(loss, codes, logits)).max() < 1e-6

    @pytest.mark.parametrize("code", [0, 1, 2])
    @pytest.mark.parametrize("spread", [0.0, 1.0, 1e4])
    def test_slopes_are_numbers(self, options, code, spread):
        loss = MaskLoss(**options)
        codes, logits = sample(loss, (2, 6, 6), spread=spread)
        codes[:], codes[0] = code, IGNORE
        for kind in (np.float32, np.float16):
            assert np.isfinite(value(loss, codes, logits.astype(kind)))
            assert np.isfinite(slope(loss, codes, logits.astype(kind))).all()

    def test_it_falls_towards_the_truth(self, options):
        loss = MaskLoss(**options)
        codes, logits = sample(loss, (2, 6, 6))
        start = value(loss, codes, logits)
        for _ in range(20):
            logits = logits - 20 * slope(loss, codes, logits)
        assert value(loss, codes, logits) < start / 2 if not options.get("boundary") else start - 0.1

    def test_any_number_of_axes(self, options):
        loss = MaskLoss(**options)
        for shape in ((2, 9), (2, 5, 4), (1, 4, 3, 5)):
            codes, logits = sample(loss, shape)
            assert np.isfinite(value(loss, codes, logits))

    def test_it_is_saved_whole(self, options):
        loss = MaskLoss(**options)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        codes, logits = sample(loss, (2, 6, 6))
        assert value(again, codes, logits) == value(loss, codes, logits)
        assert again.get_config() == loss.get_config()


def slope(loss, codes, logits):
    """The gradient of a loss by the logits."""
    import tensorflow as tf

    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        total = loss(codes, variable)
    return np.asarray(tape.gradient(total, variable), np.float32)


def test_an_empty_mask_pushes_what_was_invented_down():
    logits = two(0.9, 0.9, 0.9, 0.9)
    assert (slope(only(dice=1.0), np.zeros((1, 4), np.uint8), logits.astype(np.float32))[..., 1] > 0).all()


def test_distances_are_those_of_steps_and_end():
    plane = np.zeros((1, 41, 41, 1), np.float32)
    plane[0, 20, 20] = 1
    far = np.asarray(signed_distance(plane))[0, ..., 0] * (REACH - 0.5)
    assert far[20, 20] == -0.5 and far[20, 21] == 0.5 and far[20, 24] == 3.5
    assert far[0, 0] == far[20, 40] == REACH - 0.5
    rows, columns = np.indices(far.shape) - 20
    true = np.hypot(rows, columns)
    near = (true > 0) & (true < REACH - 1)
    assert np.abs(far - (true - 0.5))[near].max() < 1  # octagons for circles
    assert (np.asarray(signed_distance(np.zeros_like(plane))) == 1).all()
    assert (np.asarray(signed_distance(np.ones_like(plane))) == -1).all()


def test_codes_get_smaller_by_their_nearest():
    codes = np.arange(36, dtype=np.uint8).reshape(1, 6, 6)
    assert np.asarray(resized(codes, (6, 6))).tolist() == codes.tolist()
    assert np.asarray(resized(codes, (2, 3)))[0].tolist() == [[7, 9, 11], [25, 27, 29]]
    loss = MaskLoss(resizes=True)
    logits = np.random.default_rng(0).normal(size=(1, 2, 3, 3)).astype(np.float32)
    codes %= 3
    assert value(loss, codes, logits) == value(MaskLoss(), np.asarray(resized(codes, (2, 3))), logits)


def test_it_trains_a_model():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 8, 8, 1)).astype(np.float32)
    codes = (images[..., 0] > 0).astype(np.uint8)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 1)])
    model.compile("adam", MaskLoss())
    model.optimizer.learning_rate = 0.3
    before = model.evaluate(images, codes, verbose=0)
    model.fit(images, codes, epochs=20, verbose=0)
    assert model.evaluate(images, codes, verbose=0) < before / 3
    assert (ops.argmax(model(images), -1) == codes).numpy().mean() > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": ((1,),)}, r"1 labels need 2 units. Received: 3"),
        ({"class_weights": (1, 1)}, r"3 weights"),
        ({"focal": -1}, r"at least 0"),
        ({"tversky": (0, 0)}, r"not both 0"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        value(MaskLoss(**options), np.zeros((1, 4), np.uint8), np.zeros((1, 4, 3)))


def test_codes_and_logits_of_other_rank_are_refused():
    with pytest.raises(ValueError, match="one axis more"):
        value(MaskLoss(), np.zeros((1, 4, 1), np.uint8), np.zeros((1, 4, 3)))


def test_a_background_that_is_left_out_has_logit_0():
    logits = np.random.default_rng(0).normal(size=(1, 4, 2)).astype(np.float32)
    whole = np.concatenate([np.zeros((1, 4, 1), np.float32), logits], -1)
    codes = [[0, 1, 2, 1]]
    assert value(MaskLoss(regions=((1,), (2,))), codes, logits) == value(MaskLoss(), codes, whole)

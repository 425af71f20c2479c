"""Augmentation pipelines."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnkit import augment
from tests.contracts import AugmentationContract, images


def warp(**amounts):
    return augment.Pipeline(augment.RandomWarp(**amounts), seed=0)


def digit(side=28):
    """An L with a dot: no turn by 90 degrees and no flip maps it onto itself."""
    image = np.zeros((side, side), "float32")
    image[5:22, 9:12] = 255
    image[19:22, 9:19] = 255
    image[7:9, 15:17] = 255
    return image[..., None]


def mass(image):
    """Centre of mass (x, y) in px of images (..., h, w, 1)."""
    ink = np.asarray(image)[..., 0]
    total = ink.sum((-1, -2))
    return (ink.sum(-2) * np.arange(ink.shape[-1])).sum(-1) / total, (ink.sum(-1) * np.arange(ink.shape[-2])).sum(
        -1
    ) / total


def augmented(pipeline, batch, step=0):
    """Images of one step as an array."""
    return np.array(pipeline(batch, step=step))


class TestWarpPipeline(AugmentationContract):
    def build(self, seed):
        layer = augment.RandomWarp(rotation=10, translation=0.05, zoom=0.1, shear=0.1, elastic=1)
        return augment.Pipeline(layer, seed=seed)

    def test_images_of_a_batch_differ(self):
        same = np.repeat(digit()[None], 5, axis=0)
        result = augmented(self.build(0), same)
        assert all(not np.array_equal(result[i], result[j]) for i in range(5) for j in range(i))


class TestWarpOfColour(TestWarpPipeline):
    inputs = images(3, 20, 33, 3)

    def test_images_of_a_batch_differ(self):
        result = augmented(self.build(0), np.repeat(self.inputs[:1], 2, axis=0))
        assert not np.array_equal(result[0], result[1])


class TestKerasLayers(AugmentationContract):
    def build(self, seed):
        return augment.Pipeline(
            keras.layers.RandomRotation(0.05, fill_mode="constant", data_format="channels_last"),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant", data_format="channels_last"),
            keras.layers.RandomErasing(0.5, data_format="channels_last"),
            seed=seed,
        )


class TestMixup(AugmentationContract):
    def build(self, seed):
        return augment.Pipeline(augment.mixup(0.4), seed=seed)

    def test_targets_are_mixed_as_the_images_are(self):
        levels = np.linspace(0, 250, 6).astype("float32")
        flat = np.ones((6, 4, 4, 1), "float32") * levels[:, None, None, None]
        found = self.build(0)({"images": flat, "labels": np.eye(6, dtype="float32")}, step=0)
        x, y = np.array(found["images"]), np.array(found["labels"])
        np.testing.assert_allclose(np.array(x)[:, 0, 0, 0], np.array(y) @ levels, atol=0.01)
        assert not np.array_equal(np.array(y), np.eye(6))


class TestCutmix(AugmentationContract):
    def build(self, seed):
        return augment.Pipeline(augment.cutmix(1.0), seed=seed)

    def test_targets_are_mixed_by_the_area_that_was_pasted(self):
        levels = np.linspace(0, 250, 6).astype("float32")
        flat = np.ones((6, 64, 64, 1), "float32") * levels[:, None, None, None]
        found = self.build(0)({"images": flat, "labels": np.eye(6, dtype="float32")}, step=0)
        x, y = np.array(found["images"]), np.array(found["labels"])
        np.testing.assert_allclose(
            np.array(x).mean((1, 2, 3)), np.array(y) @ levels, atol=10
        )  # whole pixels are pasted
        assert set(np.unique(x)) <= set(levels), "pasting keeps the pixels as they are"


class TestRandAugment(AugmentationContract):
    inputs = images(3, 12, 12, 1)

    def build(self, seed):
        return augment.Pipeline(augment.rand_augment(0.5, operations=1), seed=seed)

    def test_steps_and_seeds_differ(self):  # one operation may leave one batch as it is
        results = [x for x, _ in self.batches(self.build(0), range(6)).values()]
        assert sum(not np.array_equal(results[0], other) for other in results[1:]) >= 2
        other = [x for x, _ in self.batches(self.build(1), range(6)).values()]
        assert any(not np.array_equal(a, b) for a, b in zip(results, other))

    def test_it_does_not_flip(self):
        inside = self.batches(self.build(0), range(8))
        for x, _ in inside.values():
            assert not np.array_equal(x, self.inputs[:, :, ::-1])
            assert not np.array_equal(x, self.inputs[:, ::-1])


class TestRandomWarp:
    def test_no_amount_changes_nothing(self):
        batch = images(4, 17, 23, 3)
        np.testing.assert_allclose(augmented(warp(), batch), batch, atol=1e-3)

    def test_translation_moves_by_up_to_its_share_of_the_side(self):
        batch = np.repeat(digit()[None], 200, axis=0)
        x, y = mass(augmented(warp(translation=0.1), batch))
        x0, y0 = mass(digit())
        for moved, start in ((x, x0), (y, y0)):
            assert np.abs(moved - start).max() <= 2.8 + 1e-3
            assert np.abs(moved - start).max() > 2.5
            assert abs((moved - start).mean()) < 0.4

    def test_rotation_turns_by_up_to_its_angle(self):
        batch = np.repeat(digit()[None], 200, axis=0)
        result = augmented(warp(rotation=20), batch)[..., 0]
        rows, columns = np.mgrid[:28, :28] - 13.5
        angles = []
        for image in (digit()[..., 0], *result):
            weight = image / image.sum()
            x, y = (weight * columns).sum(), (weight * rows).sum()
            cov = (weight * (columns - x) * (rows - y)).sum()
            spread = (weight * (columns - x) ** 2).sum() - (weight * (rows - y) ** 2).sum()
            angles.append(np.degrees(0.5 * np.arctan2(2 * cov, spread)))
        turned = (np.array(angles[1:]) - angles[0] + 90) % 180 - 90
        assert 17 < np.abs(turned).max() < 20.5
        assert turned.min() < -10 and turned.max() > 10

    def test_zoom_keeps_the_middle_and_changes_the_size(self):
        square = np.zeros((100, 28, 28, 1), "float32")
        square[:, 9:19, 9:19] = 100
        result = augmented(warp(zoom=0.2), square)
        area = result.sum((1, 2, 3)) / square[0].sum()
        assert area.min() < 0.85 and area.max() > 1.15
        assert np.exp(-0.4) * 0.97 < area.min() and area.max() < np.exp(0.4) * 1.03
        np.testing.assert_allclose(mass(result), 13.5, atol=0.05)

    def test_shear_slants_upright_strokes_and_keeps_rows(self):
        stroke = np.zeros((100, 28, 28, 1), "float32")
        stroke[:, 4:24, 13:15] = 100
        result = augmented(warp(shear=0.2), stroke)[..., 0]
        centre = lambda rows: (rows * np.arange(28)).sum(-1) / rows.sum(-1)  # noqa: E731
        slant = (centre(result[:, 22]) - centre(result[:, 5])) / 17
        assert 0.17 < np.abs(slant).max() <= 0.201
        np.testing.assert_allclose(result.sum(2), stroke[..., 0].sum(2), atol=0.01)

    def test_elastic_displacements_have_the_stated_spread_and_are_smooth(self):
        layer = augment.RandomWarp(elastic=1.5, smoothness=4)
        place = layer.get_random_transformation(np.zeros((400, 28, 40, 1), "float32"))
        move = np.array(place["x"]) - np.arange(40)
        assert 1.4 < move.std() < 1.6
        assert abs(move.mean()) < 0.15  # of about two thousand spots that move on their own: five times its spread
        assert np.abs(np.diff(move, axis=2)).std() < 0.45
        per_pixel = move.std(0)
        assert per_pixel.min() > 1.2 and per_pixel.max() < 1.8, "as strong at the edge as in the middle"

    def test_outside_is_filled_with_the_fill_value(self):
        batch = np.full((50, 10, 10, 1), 7, "float32")
        shifted = augmented(warp(translation=0.4, fill_value=200), batch)
        assert shifted[:, 0, 0].max() == pytest.approx(200)
        assert shifted.min() == pytest.approx(7)

    def test_masks_follow_their_images_and_stay_labels(self):
        layer = augment.RandomWarp(rotation=30, translation=0.1, elastic=1)
        mask = (images(4, 32, 32, 1) // 32).astype("float32")
        mask = np.repeat(np.repeat(mask[:, ::8, ::8], 8, axis=1), 8, axis=2)  # patches of labels 0 to 7
        both = layer({"images": mask.copy(), "segmentation_masks": mask.copy()}, training=True)
        soft, hard = np.array(both["images"]), np.array(both["segmentation_masks"])
        assert set(np.unique(hard)) <= set(range(8))
        assert (np.abs(soft - hard) < 0.6).mean() > 0.7

    def test_without_training_it_changes_nothing(self):
        batch = images(2, 9, 9, 1)
        layer = augment.RandomWarp(rotation=30, elastic=2)
        np.testing.assert_array_equal(np.array(layer(batch, training=False)), batch)

    def test_it_comes_back_from_its_configuration(self):
        layer = augment.RandomWarp(
            rotation=3, translation=0.1, zoom=0.2, shear=0.3, elastic=0.4, smoothness=5, fill_value=9
        )
        again = augment.RandomWarp.from_config(layer.get_config())
        assert again.amounts == layer.amounts
        assert (again.smoothness, again.fill_value) == (5, 9)

    def test_wrong_amounts_are_refused_with_what_came(self):
        for name in ("rotation", "translation", "zoom", "shear", "elastic"):
            with pytest.raises(ValueError, match=rf"`{name}` needs .* at least 0\. Received: {name}=-1\."):
                augment.RandomWarp(**{name: -1})
        with pytest.raises(ValueError, match=r"`smoothness` needs at least 1 px\. Received: smoothness=0\."):
            augment.RandomWarp(smoothness=0)


def test_only_preprocessing_layers_are_taken():
    with pytest.raises(ValueError, match=r"`layers` needs Keras image preprocessing layers\. Received: layers=Dense\."):
        augment.Pipeline(keras.layers.Dense(3), seed=0)
    with pytest.raises(ValueError, match=r"`seed` needs .* Received: seed=-1\."):
        augment.Pipeline(seed=-1)


def test_wrong_strengths_are_refused_with_what_came():
    for make, message in (
        (lambda: augment.mixup(0), r"`alpha` needs a number above 0\. Received: alpha=0\."),
        (lambda: augment.cutmix(2), r"`alpha` needs a number in \(0, 1\]\. Received: alpha=2\."),
        (lambda: augment.rand_augment(1.5), r"`strength` needs a number in \[0, 1\]\. Received: strength=1.5\."),
        (lambda: augment.rand_augment(operations=0), r"`operations` needs at least 1\. Received: operations=0\."),
    ):
        with pytest.raises(ValueError, match=message):
            make()


PROCESS = """
import sys, zlib
import keras, numpy as np, tensorflow as tf
from cnnkit import augment
x = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1)).astype("float32")
f = augment.Pipeline(augment.RandomWarp(rotation=10, translation=0.1, elastic=1), augment.cutmix(), seed=4)
batch = {"images": x, "labels": np.eye(6, dtype="float32")}
data = tf.data.Dataset.range(9, 12).map(lambda s: f(batch, step=s))
print(keras.backend.backend(), *(zlib.crc32(found[key].numpy().tobytes()) for found in data for key in batch))
"""


def run(backend, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[0] == backend
    return done.stdout.split()[1:]


@pytest.mark.slow
def test_two_processes_and_both_backends_augment_bit_for_bit_alike(monkeypatch):
    first = run("tensorflow", monkeypatch)
    assert len(set(first)) == 6
    assert run("tensorflow", monkeypatch) == first
    pytest.importorskip("jax", reason="needs JAX")
    assert run("jax", monkeypatch) == first


class TestExposure(AugmentationContract):
    inputs = images(3, 20, 33, 3)

    def build(self, seed):
        return augment.Pipeline(augment.RandomExposure(1.0), seed=seed)

    def test_light_is_a_factor_within_its_stops(self):
        batch = np.full((200, 2, 2, 3), 60, "float32")
        batch[:, 0, 0] = 6
        result = augmented(self.build(0), batch)
        factors = result[:, 1, 1, 0] / 60
        assert 0.5 <= factors.min() < 0.6 and 1.7 < factors.max() <= 2.0
        np.testing.assert_allclose(result[:, 0, 0, 0], 6 * factors, rtol=1e-5)  # dark stays apart from black

    def test_what_is_too_bright_is_clipped_and_zero_stops_change_nothing(self):
        batch = np.full((50, 2, 2, 3), 200, "float32")
        assert augmented(self.build(0), batch).max() == 255
        same = augment.Pipeline(augment.RandomExposure(0.0), seed=0)
        np.testing.assert_allclose(augmented(same, batch), batch)

    def test_a_negative_amount_is_refused(self):
        with pytest.raises(ValueError, match="`stops` needs a number of at least 0. Received: stops=-1"):
            augment.RandomExposure(-1)


def test_outside_the_image_a_warp_draws_the_edge_out_if_told():
    batch = np.full((20, 16, 16, 1), 90, "float32")
    shifted = augment.Pipeline(augment.RandomWarp(translation=0.4, rotation=20, fill_mode="nearest"), seed=0)
    np.testing.assert_allclose(augmented(shifted, batch), 90, atol=1e-3)
    assert augmented(warp(translation=0.4), batch).min() == 0
    with pytest.raises(ValueError, match='`fill_mode` needs "constant" or "nearest". Received'):
        augment.RandomWarp(fill_mode="wrap")

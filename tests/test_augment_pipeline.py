"""`augment.Pipeline` as a Keras layer: what moves together, where it works, what it refuses."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnkit import augment

WARP = {"rotation": 20, "translation": 0.1, "zoom": 0.1}


def scene(height=6, width=8):
    """An image, its mask and box: a bar of 3 x 2 px in the top left part, as a batch of one."""
    image = np.zeros((1, height, width, 1), "float32")
    image[0, 1:3, 2:5] = 100
    boxes = {"boxes": np.array([[[2, 1, 5, 3]]], "float32"), "labels": np.array([[7]], "int32")}
    return {"images": image, "segmentation_masks": (image > 0).astype("uint8") * 9, "bounding_boxes": boxes}


def where(picture):
    """The box around what is in a picture (h, w, 1)."""
    rows, columns = np.nonzero(np.asarray(picture)[..., 0])
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def moved(pipeline, batch, step=0):
    """What is in the image, the mask and the box of a batch of one, as boxes; and the box's label."""
    found = pipeline(batch, step=step)
    boxes = found["bounding_boxes"]
    box, label = np.asarray(boxes["boxes"])[0, 0], int(np.asarray(boxes["labels"])[0, 0])
    return where(np.asarray(found["images"])[0] > 50), where(found["segmentation_masks"][0]), box, label


def photos(count=3, side=12, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels)).astype("float32")


class TestTogether:
    @pytest.mark.parametrize(
        ("layer", "expected"),
        [
            # a bar at x 2 to 5, y 1 to 3 of 8 x 6 px, mirrored: 8 - 5 to 8 - 2
            (lambda: augment.RandomWarp(), [2, 1, 5, 3]),
            # a quarter against the clock about the middle (4, 3): (x, y) -> (4 + (y - 3), 3 - (x - 4)); corners to (2, 5), (4, 2)
            (lambda: keras.layers.RandomRotation((0.25, 0.25), fill_mode="constant"), [2, 2, 4, 5]),
            # two of eight px to the right, one of six down
            (lambda: keras.layers.RandomTranslation((1 / 6, 1 / 6), (0.25, 0.25), fill_mode="constant"), [4, 2, 7, 4]),
        ],
    )
    def test_image_mask_and_box_go_where_they_should(self, layer, expected):
        image, mask, box, label = moved(augment.Pipeline(layer()), scene())
        assert image == mask == expected
        np.testing.assert_allclose(box, expected, atol=1e-3)
        assert label == 7

    def test_a_flip_takes_all_along_or_nothing(self):
        pipeline = augment.Pipeline(keras.layers.RandomFlip("horizontal"), seed=1)
        seen = set()
        for step in range(12):
            image, mask, box, _ = moved(pipeline, scene(), step)
            assert image == mask == box.tolist()
            seen.add(tuple(image))
        assert seen == {(2, 1, 5, 3), (3, 1, 6, 3)}

    def test_a_warp_turns_boxes_as_its_images(self):
        image, mask, box, _ = moved(augment.Pipeline(_Quarter(rotation=90)), scene())
        np.testing.assert_allclose(box, image, atol=1e-3)
        assert image == mask
        assert image in ([2, 2, 4, 5], [4, 1, 6, 4])

    @pytest.mark.parametrize(
        "layer",
        [
            lambda: augment.RandomWarp(rotation=25, translation=0.1, zoom=0.2, shear=0.2),
            lambda: augment.RandomWarp(rotation=5, elastic=1.0, smoothness=8),
            lambda: keras.layers.RandomRotation(0.1, fill_mode="constant"),
            lambda: keras.layers.RandomShear(0.2, 0.2, fill_mode="constant"),
            lambda: keras.layers.RandomZoom(0.2, fill_mode="constant"),
        ],
        ids=["warp", "elastic", "rotation", "shear", "zoom"],
    )
    def test_boxes_lie_around_what_moved(self, layer):
        count, height, width = 60, 40, 60
        images, boxes = np.zeros((count, height, width, 1), "float32"), np.zeros((count, 1, 4), "float32")
        for index, chance in enumerate(np.random.default_rng(0).integers(0, 8, (count, 4))):
            left, top, right, low = chance + (18, 12, 28, 20)
            images[index, top:low, left:right], boxes[index, 0] = 100, (left, top, right, low)
        batch = {
            "images": images,
            "segmentation_masks": images,
            "bounding_boxes": {"boxes": boxes, "labels": np.ones((count, 1), "int32")},
        }
        found = augment.Pipeline(layer(), seed=3)(batch, step=0)
        masks, boxes = np.asarray(found["segmentation_masks"]), np.asarray(found["bounding_boxes"]["boxes"])[:, 0]
        off = boxes - [where(mask) for mask in masks]
        assert np.abs(off).max() < 1.6  # a turned corner ends between pixels
        assert np.abs(off.mean(0)).max() < 0.55  # no side is out as a rule
        np.testing.assert_allclose(off.mean(0)[:2], -off.mean(0)[2:], atol=0.3)  # and none is shifted

    def test_what_leaves_the_image_is_cut_and_then_dropped(self):
        half = augment.Pipeline(keras.layers.RandomTranslation(0.0, (-0.5, -0.5), fill_mode="constant"))
        _, _, box, label = moved(half, scene())
        np.testing.assert_allclose(box, [0, 1, 1, 3], atol=1e-4)
        assert label == 7
        away = augment.Pipeline(keras.layers.RandomTranslation(0.0, (-0.75, -0.75), fill_mode="constant"))
        found = away(scene(), step=0)
        assert np.asarray(found["bounding_boxes"]["labels"]).tolist() == [[-1]]
        assert not np.asarray(found["segmentation_masks"]).any()

    def test_boxes_come_and_go_in_their_format(self):
        layer = keras.layers.RandomTranslation((1 / 6, 1 / 6), (0.25, 0.25), fill_mode="constant")
        for format_, given, expected in (
            ("xywh", [2, 1, 3, 2], [4, 2, 3, 2]),
            ("rel_xyxy", [2 / 8, 1 / 6, 5 / 8, 3 / 6], [4 / 8, 2 / 6, 7 / 8, 4 / 6]),
        ):
            batch = scene()
            batch["bounding_boxes"]["boxes"] = np.array([[given]], "float32")
            layer = keras.layers.RandomTranslation((1 / 6, 1 / 6), (0.25, 0.25), fill_mode="constant")
            found = augment.Pipeline(layer, bounding_box_format=format_)(batch)
            np.testing.assert_allclose(np.asarray(found["bounding_boxes"]["boxes"])[0, 0], expected, atol=1e-4)

    def test_one_image_moves_as_a_batch_of_one(self):
        batch = scene()
        one = {key: batch[key][0] for key in ("images", "segmentation_masks")}
        one["bounding_boxes"] = {key: part[0] for key, part in batch["bounding_boxes"].items()}
        pipeline = augment.Pipeline(augment.RandomWarp(**WARP), seed=2)
        many, single = pipeline(batch, step=5), pipeline(one, step=5)
        for a, b in zip(keras.tree.flatten(many), keras.tree.flatten(single), strict=True):
            np.testing.assert_array_equal(np.asarray(a)[0], np.asarray(b))

    def test_tensors_and_arrays_may_come_together(self):
        arrays = scene()
        mixed = {**arrays, "images": keras.ops.convert_to_tensor(arrays["images"]), "names": ["a"]}
        pipeline = augment.Pipeline(augment.RandomWarp(**WARP))
        found, expected = pipeline(mixed, step=3), pipeline(arrays, step=3)
        for key in ("images", "segmentation_masks"):
            np.testing.assert_array_equal(np.asarray(found[key]), np.asarray(expected[key]))
        assert found["names"] == ["a"]

    def test_types_ranges_and_all_else_are_kept(self):
        batch = {
            "images": photos().astype("uint8"),
            "labels": np.array([3, 2**20, 5], "int64"),
            "segmentation_masks": photos(channels=1)[..., 0].astype("uint8") // 100,
            "names": np.array(["a", "b", "c"]),
        }
        pipeline = augment.Pipeline(augment.RandomWarp(**WARP), augment.RandomExposure(1), seed=1)
        for found in (pipeline(batch, step=1), next(iter(tf.data.Dataset.from_tensors(batch).map(pipeline)))):
            assert set(found) == set(batch)
            for key in ("images", "labels", "segmentation_masks"):
                assert keras.backend.standardize_dtype(found[key].dtype) == batch[key].dtype.name, key
                assert tuple(found[key].shape) == batch[key].shape, key
            np.testing.assert_array_equal(np.asarray(found["labels"]), batch["labels"])
            assert set(np.unique(found["segmentation_masks"])) <= {0, 1, 2}
            assert np.asarray(found["images"]).max() > 200
        assert batch["images"].dtype == "uint8"

    def test_pictures_in_other_ranges_stay_in_them(self):
        pipeline = augment.Pipeline(augment.RandomExposure(1, value_range=(-1, 1)), value_range=(-1, 1))
        images = photos() / 127.5 - 1
        seen = np.asarray(pipeline(images))
        assert -1 <= seen.min() < -0.9 and 0.9 < seen.max() <= 1
        dark = np.asarray(pipeline(np.full((40, 2, 2, 3), -1, "float32")))
        np.testing.assert_allclose(dark, -1, atol=1e-6)  # no light, however long


class _Quarter(augment.RandomWarp):
    """A warp that turns by all of its angle."""

    def get_random_transformation(self, data, training=True, seed=None):
        uniform, self.backend = self.backend, _AllOf(self.backend)
        try:
            return super().get_random_transformation(data, training, seed)
        finally:
            self.backend = uniform


class _AllOf:
    def __init__(self, backend):
        self._true = backend
        self.random = self

    def uniform(self, shape, low, high, **options):
        return keras.ops.ones(shape) * high

    def __getattr__(self, name):
        return getattr(self._true, name)


class TestStep:
    def test_calls_are_counted_from_0_and_a_step_given_does_not_count(self):
        build = lambda: augment.Pipeline(augment.RandomWarp(**WARP), seed=5)  # noqa: E731
        counting, telling = build(), build()
        counted = []
        for _ in range(3):
            counted.append(np.asarray(counting(photos())))
            counting(photos(), step=40)
        for step in (2, 0, 1):
            np.testing.assert_array_equal(np.asarray(telling(photos(), step=step)), counted[step])
        assert not np.array_equal(counted[0], counted[1])

    def test_in_tf_data_epochs_differ_and_with_a_step_repeat(self):
        pipeline = augment.Pipeline(augment.RandomWarp(**WARP), seed=5)
        data = tf.data.Dataset.from_tensor_slices((photos(4), [0, 1, 0, 1])).batch(2)
        counted = data.map(lambda x, y: (pipeline({"images": x, "labels": y})["images"], y))
        first, second = ([x.numpy() for x, _ in counted] for _ in range(2))
        assert len({x.tobytes() for x in first + second}) == 4
        stepped = data.enumerate().map(lambda step, batch: pipeline(batch[0], step=step))
        once, again = ([x.numpy() for x in stepped] for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(once, again))
        assert all(np.array_equal(a, b) for a, b in zip(once, first)), "the first calls are steps 0 and 1"

    @pytest.mark.slow
    def test_another_backend_and_process_draw_the_same_in_tf_data(self, monkeypatch):
        pytest.importorskip("jax", reason="needs JAX")
        results = []
        for backend in ("tensorflow", "jax"):
            monkeypatch.setenv("KERAS_BACKEND", backend)
            done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr[-2000:]
            results.append(done.stdout.split())
            assert results[-1][0] == backend
        assert len(set(results[0][1:5])) == 4
        assert results[0][1:5] == results[1][1:5]


PROCESS = """
import sys, zlib
import keras, numpy as np, tensorflow as tf
from cnnkit import augment
x = np.random.default_rng(0).integers(0, 256, (4, 12, 16, 3)).astype("float32")
boxes = {"boxes": np.ones((4, 1, 4), "float32") * [[[2, 3, 9, 8]]], "labels": np.ones((4, 1), "int32")}
make = lambda: augment.Pipeline(
    keras.layers.RandomFlip(), augment.RandomWarp(rotation=9, elastic=1), keras.layers.RandomRotation(0.1), seed=4)
batch = {"images": x, "segmentation_masks": x[..., 0], "bounding_boxes": boxes}
pipeline = make()
data = tf.data.Dataset.from_tensors(batch).map(pipeline).repeat(2)
outside = [zlib.crc32(np.round(part.numpy(), 2).tobytes())
           for found in (*data, *data) for part in (found["bounding_boxes"]["boxes"],)]
print(keras.backend.backend(), *outside)
one, two = make(), make()
assert np.array_equal(np.asarray(one(batch)["images"]), np.asarray(two(batch, step=0)["images"]))
assert not np.array_equal(np.asarray(one(batch)["images"]), np.asarray(two(batch, step=0)["images"]))
model = keras.Sequential([keras.Input((12, 16, 3)), make(), keras.layers.Flatten(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x / 255, np.zeros(4), epochs=2, batch_size=2, verbose=0)
assert int(np.asarray(model.layers[0]._draws.state)[1]) == 4, model.layers[0]._draws.state
"""


class TestInModels:
    def test_a_model_augments_in_training_only_and_counts_while_it_trains(self):
        pipeline = augment.Pipeline(augment.RandomWarp(**WARP), seed=1)
        model = keras.Sequential([keras.Input((12, 12, 3)), pipeline, keras.layers.GlobalAveragePooling2D()])
        images = photos()
        plain = images.mean((1, 2))
        for seen in (model(images), model(images, training=False), model.predict_on_batch(images)):
            np.testing.assert_allclose(np.asarray(seen), plain, rtol=1e-4)
        first, second = np.asarray(model(images, training=True)), np.asarray(model(images, training=True))
        assert not np.allclose(first, plain, rtol=1e-3) and not np.allclose(first, second, rtol=1e-3)
        assert model.count_params() == 0 and model.output_shape == (None, 3)
        model.compile("sgd", "mse")
        model.fit(images, plain, batch_size=1, epochs=2, verbose=0)
        assert int(pipeline._draws.state.numpy()[1]) == 2 + 6

    def test_it_is_saved_with_a_model_and_read_in_safe_mode(self, tmp_path):
        pipeline = augment.Pipeline(
            augment.RandomWarp(**WARP),
            augment.RandomExposure(0.5, value_range=(0, 1)),
            augment.rand_augment(0.2, value_range=(0, 1)),
            augment.mixup(),
            augment.cutmix(),
            seed=9,
            value_range=(0, 1),
            bounding_box_format="xywh",
        )
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(pipeline))
        assert again.get_config() == pipeline.get_config()
        layer = augment.Pipeline(augment.RandomWarp(**WARP), seed=9)
        model = keras.Sequential([keras.Input((12, 12, 3)), layer, keras.layers.GlobalAveragePooling2D()])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        seen = np.asarray(loaded.layers[0](photos(), step=2))
        np.testing.assert_array_equal(seen, np.asarray(layer(photos(), step=2)))

    def test_without_training_everything_stays_what_it_is(self):
        batch = {"images": photos(), "names": ["a"]}
        assert augment.Pipeline(augment.RandomWarp(**WARP))(batch, training=False) is batch
        np.testing.assert_array_equal(np.asarray(augment.Pipeline()(photos())), photos())


class TestMixing:
    def test_labels_are_blended_as_their_images(self):
        flat = np.ones((4, 8, 8, 1), "float32") * np.array([0, 80, 160, 240], "float32")[:, None, None, None]
        batch = {"images": flat, "labels": np.eye(4, dtype="float32")}
        found = augment.Pipeline(augment.mixup(1.0), seed=2)(batch, step=0)
        levels = np.asarray(found["labels"]) @ np.array([0, 80, 160, 240], "float32")
        np.testing.assert_allclose(np.asarray(found["images"])[:, 0, 0, 0], levels, atol=0.01)

    @pytest.mark.parametrize("make", [augment.mixup, augment.cutmix])
    def test_labels_that_cannot_be_blended_are_refused(self, make):
        pipeline, images = augment.Pipeline(make()), photos()
        for batch, words in (
            (images, "mixes labels as well: the batch needs a dictionary with `labels`"),
            (
                {"images": images, "labels": np.arange(3)},
                r"float `labels` \(b, classes\)\. Received: int64, shape=\(3,\)",
            ),
            ({"images": images[0], "labels": np.eye(3)[0]}, r"needs a batch, \(b, h, w, c\)"),
            ({"images": images, "labels": np.eye(3), "segmentation_masks": images}, "moves no `segmentation_masks`"),
        ):
            with pytest.raises(ValueError, match=words):
                pipeline(batch)


def test_wrong_batches_are_refused_in_a_line():
    pipeline, images = augment.Pipeline(augment.RandomWarp(**WARP)), photos()
    boxes = {"boxes": np.zeros((3, 1, 4)), "labels": np.zeros((3, 1))}
    for batch, words in (
        (images[0, 0], r"`images` needs the shape \(h, w, c\) or \(b, h, w, c\)\. Received: shape=\(12, 3\)"),
        ({"labels": np.eye(3)}, "dictionary needs `images`. Received: labels"),
        (images * 2, r"`images` needs values in `value_range`, \(0, 255\)\. Received: 0 to 510"),
        (images * np.nan, "`images` needs values in `value_range`"),
        ({"images": images, "labels": np.eye(2)}, "`labels` needs as many rows as `images`"),
        ({"images": images, "segmentation_masks": images[:, 1:]}, "needs the height and width of `images`"),
        ({"images": images, "bounding_boxes": boxes["boxes"]}, "`bounding_boxes` needs a dictionary with `boxes`"),
        ({"images": images, "bounding_boxes": {**boxes, "boxes": boxes["labels"]}}, r"needs boxes \(b, n, 4\)"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            pipeline(batch)
        assert "\n" not in str(caught.value)
    for step in (-1, 0.5, True):
        with pytest.raises(ValueError, match="`step` needs an integer of at least 0"):
            pipeline(images, step=step)


def test_wrong_layers_are_refused_in_a_line():
    used = augment.RandomWarp()
    augment.Pipeline(used)
    for make, words in (
        (lambda: augment.Pipeline(used), "layers of its own. Received: RandomWarp of another pipeline"),
        (lambda: augment.Pipeline(keras.layers.RandomCrop(5, 5)), "keep the size of images: call RandomCrop before"),
        (lambda: augment.Pipeline(keras.layers.RandomFlip(data_format="channels_first")), "channels_last"),
        (lambda: augment.Pipeline(augment.RandomExposure(), value_range=(0, 1)), "to be that of RandomExposure"),
        (lambda: augment.Pipeline(value_range=(1, 0)), "`value_range` needs two numbers, the lower first"),
        (lambda: augment.Pipeline(keras.layers.RandomFlip(bounding_box_format="xywh")), "to be that of RandomFlip"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    bent = augment.Pipeline(keras.layers.RandomElasticTransform())
    with pytest.raises(ValueError, match="RandomElasticTransform moves no `segmentation_masks`"):
        bent(scene())


def test_the_example_in_the_docstring_runs():
    code = augment.Pipeline.__doc__.split("```python")[1].split("```")[0]
    names = {}
    exec("\n".join(line[4:] for line in code.splitlines()), names)
    assert tuple(names["augmented"]["images"].shape) == (2, 32, 48, 3)


def test_the_examples_of_the_document_run():
    text = (Path(__file__).parent.parent / "docs" / "augment.md").read_text()
    names = {}
    for block in text.split("```python")[1:]:
        exec(block.split("```")[0], names)
    assert names["boxes"].shape == (8, 1, 4)
    assert len(list(names["counted"])) == len(list(names["repeatable"])) == 2

"""Keras preprocessing layers in a row as one layer that is a pure function of (seed, step, what it is given).

Design choices:
- The random numbers of Keras's layers come from a `SeedGenerator`, which counts calls; here each is given one that counts
  only the draws of the current batch, so what happens at a step depends on the seed, the step and the layer's place in the
  row, and not on what ran before. A resumed run augments as the first one did.
- Each layer draws once a batch and is handed images, masks, boxes and labels one by one. Keras's own call does the same, but
  leaves `tf.data` half way where another backend is set.
- Boxes are in one format for all layers, px at the edges of pixels, and the pipeline converts. `keras.layers.RandomRotation`
  turns them about a point half a pixel aside and `RandomShear` as if images were square (Keras 3.15: 1 and 3.5 px aside on
  images of 60 x 40), so for these two boxes are moved by the matrix that moves the images.
- What Keras does otherwise to masks or boxes than to images is refused: see `_CANNOT`.
- Keras's layers augment in any call, as `training=True` is their default. This one does so only in training, or by hand.
- Inside `tf.data` the layers compute with TensorFlow under every Keras backend, as Keras's own do.
"""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from cnnkit.augment import boxes as moving
from cnnkit.augment.layers import RandomWarp

IMAGES, LABELS, BOXES, MASKS = "images", "labels", "bounding_boxes", "segmentation_masks"

_OF_COLOURS = (  # which grey images and those of four channels do not have
    keras.layers.RandomColorDegeneration,
    keras.layers.RandomColorJitter,
    keras.layers.RandomGrayscale,
    keras.layers.RandomHue,
    keras.layers.RandomSaturation,
)
_MIXING = (keras.layers.MixUp, keras.layers.CutMix)
_CANNOT = {  # what a layer of Keras does wrong, or not at all
    keras.layers.MixUp: (MASKS, BOXES),  # blends masks, whose numbers are names
    keras.layers.CutMix: (MASKS, BOXES),
    keras.layers.RandomElasticTransform: (MASKS, BOXES),  # draws anew for masks
    keras.layers.AugMix: (MASKS, BOXES),  # leaves masks where they were
    keras.layers.RandAugment: (BOXES,),  # moves boxes in another order than images
}
_LOCK = threading.RLock()  # one row at a time draws: data loaders with threads share their layers


@keras.saving.register_keras_serializable(package="cnnkit")
class Pipeline(keras.layers.Layer):
    """Apply augmentation layers one after the other, to images with what belongs to them.

    Args:
        layers: Keras image preprocessing layers that keep the size of images (`keras.layers.RandomRotation`, ...,
            `cnnkit.augment.RandomWarp`), applied in order. They belong to this pipeline from now on; their own `seed` has no
            effect.
        seed: of every random number, in [0, 2**31).
        value_range: lowest and highest value of the images. Layers that have a `value_range` need the same.
        bounding_box_format: of boxes that come and go, as in Keras: "xyxy" (px), "xywh", "center_xywh", "rel_xyxy", ...

    Called on images (b, h, w, c) of any type, or one image (h, w, c); or on a dictionary with

    - `images`;
    - `labels` (b, ...): stay, unless a layer mixes images: then float, one row (b, classes) an image;
    - `segmentation_masks` (b, h, w) or (b, h, w, c): move with the images, by nearest neighbour;
    - `bounding_boxes`: {"boxes": (b, n, 4), "labels": (b, n)}: each the smallest around what moved, cut at the image's edge;
      where nothing is left the label is -1, as for boxes that only fill a row up;
    - anything else, which stays as it is.

    Returns:
        Tensors of the same shapes, types and ranges, as any Keras layer also where NumPy came; `np.asarray` makes arrays of
        them. Boxes come back float, masks and integers rounded. In inference: what was given, as it is.

    `step` decides the random numbers, with the seed: the same step gives the same result, in any order and process. Without it
    the layer counts its calls: the first is step 0. Called by hand or in `tf.data` it augments, unless `training=False`; in a
    model only in training. Layers that change colours leave images alone that do not have three channels. Nothing is mirrored
    unless a layer does (`keras.layers.RandomFlip("horizontal")`): left and right may mean something.

    Raises:
        ValueError: for layers that do not belong here, shapes that do not fit each other, labels that a layer needs and that
            are missing, or, called by hand, values outside `value_range`.

    Example:

    ```python
    import keras
    import numpy as np
    from cnnkit import augment

    pipeline = augment.Pipeline(
        augment.RandomWarp(rotation=10, translation=0.1), keras.layers.RandomContrast(0.2, value_range=(0, 255)), seed=1
    )
    batch = {
        "images": np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype="uint8"),
        "segmentation_masks": np.zeros((2, 32, 48), "uint8"),
        "bounding_boxes": {"boxes": np.array([[[4, 4, 20, 12]]] * 2, "float32"), "labels": np.array([[3], [5]])},
    }
    augmented = pipeline(batch, step=7)
    ```
    """

    def __init__(
        self,
        *layers: Any,
        seed: int = 0,
        value_range: tuple[float, float] = (0, 255),
        bounding_box_format: str = "xyxy",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**31:
            raise ValueError(f"`seed` needs an integer in [0, 2**31). Received: seed={seed}.")
        if len(value_range) != 2 or not value_range[0] < value_range[1]:
            raise ValueError(f"`value_range` needs two numbers, the lower first. Received: value_range={value_range}.")
        self.seed = int(seed)
        self.value_range = (value_range[0], value_range[1])
        self.bounding_box_format = bounding_box_format
        for layer in layers:
            _check_layer(layer, self.value_range, bounding_box_format)
        self._draws = _Draws(self.seed)
        self.layers = list(layers)
        for part in self._parts():
            part.bounding_box_format = "xyxy"
            if hasattr(part, "generator"):
                vars(part)["generator"] = self._draws  # past Keras, which lets no layer change that was called before
                vars(part)["_get_seed_generator"] = self._draws.on  # Keras would make a new one for tf.data
        self._convert_input_args = False  # what comes keeps its type, and may be of TensorFlow
        self._allow_non_tensor_positional_args = True
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """Take tensors beside arrays too, which Keras refuses in one dictionary."""
        if isinstance(inputs, Mapping):
            parts = keras.tree.flatten(inputs)
            tensors = sum(keras.ops.is_tensor(part) or isinstance(part, keras.KerasTensor) for part in parts)
            if 0 < tensors < len(parts):
                inputs = _Mixed(inputs)
        return super().__call__(inputs, *args, **options)

    def call(self, inputs: Any, training: bool | None = None, step: Any = None) -> Any:
        """Augment a batch; see the class."""
        try:
            return self._made(inputs, training, step)
        except ValueError as error:
            vars(error)["_keras_call_info_injected"] = True  # a line of ours is enough: Keras would add all arguments
            raise

    def _made(self, inputs: Any, training: bool | None, step: Any) -> Any:
        if training is None:
            training = self._get_call_context().entry_layer is self  # nobody's layer: by hand, or in tf.data
        inputs = inputs.given if isinstance(inputs, _Mixed) else inputs
        data = inputs if isinstance(inputs, Mapping) else {IMAGES: inputs}
        if IMAGES not in data:
            raise ValueError(f"The dictionary needs `images`. Received: {', '.join(map(str, data)) or 'nothing'}.")
        if not training:
            return inputs
        _check_step(step)
        found = self._augmented(dict(data), step)
        return found if isinstance(inputs, Mapping) else found[IMAGES]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shapes."""
        return input_shape

    def compute_output_spec(self, inputs: Any, training: bool | None = None, step: Any = None) -> Any:
        """Return the same shapes and types."""
        return keras.tree.map_structure(lambda part: keras.KerasTensor(part.shape, part.dtype), inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        config = {"layers": layers, "seed": self.seed, "value_range": self.value_range}
        return {**super().get_config(), **config, "bounding_box_format": self.bounding_box_format}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Pipeline":
        """Make the layer that `get_config` told of."""
        config = dict(config)
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config.pop("layers")]
        return cls(*layers, **config)

    def _parts(self) -> Iterator[Any]:
        for layer in self.layers:
            yield from layer._flatten_layers()

    def _augmented(self, data: dict[str, Any], step: Any) -> dict[str, Any]:
        given = {key: data[key] for key in (IMAGES, LABELS, MASKS, BOXES) if data.get(key) is not None}
        batch = _Batch(given, self)
        if not self.layers:
            return data
        with _LOCK, _home(self._parts()) as home:
            batch.take(self.layers[0].backend)
            self._draws.begin(step)
            for layer in self.layers:
                if batch.channels == 3 or not isinstance(layer, _OF_COLOURS):
                    batch.through(layer, home)
            return {**data, **batch.given_back()}


class _Mixed:
    """A dictionary that Keras does not look into."""

    def __init__(self, given: Mapping[str, Any]):
        self.given = given


class _Batch:
    """What goes through the layers, always as a batch: images and masks float (b, h, w, c), boxes in px."""

    def __init__(self, given: dict[str, Any], pipeline: Pipeline):
        self.pipeline = pipeline
        self.parts = {key: part if hasattr(part, "dtype") else _array(part) for key, part in given.items()}
        images = self.parts[IMAGES]
        self.shape = tuple(images.shape)
        self.single = len(self.shape) == 3
        if len(self.shape) not in (3, 4):
            raise ValueError(f"`images` needs the shape (h, w, c) or (b, h, w, c). Received: shape={self.shape}.")
        self.channels = self.shape[-1]
        self.rows = None if self.single else self.shape[0]
        _check_values(images, pipeline.value_range)
        self._check_labels()
        self._check_masks()
        self._check_boxes()
        self.types = keras.tree.map_structure(lambda part: keras.backend.standardize_dtype(part.dtype), self.parts)

    def take(self, ops: Any) -> None:
        """Make tensors of what was given."""
        self.ops = ops

        def tensor(part: Any, dtype: str | None = None) -> Any:
            made = ops.convert_to_tensor(part)
            made = made[None] if self.single else made
            return made if dtype is None else ops.cast(made, dtype)

        self.dtype = self.pipeline.layers[0].compute_dtype
        self.images = tensor(self.parts[IMAGES], self.dtype)
        self.labels = tensor(self.parts[LABELS]) if LABELS in self.parts else None
        self.masks: Any = None
        if MASKS in self.parts:
            masks = tensor(self.parts[MASKS], self.dtype)
            self.masks = masks[..., None] if self.flat_masks else masks
        self.boxes: Any = None
        if BOXES in self.parts:
            boxes, labels = (tensor(self.parts[BOXES][key]) for key in ("boxes", "labels"))
            shape = ops.shape(self.images)
            self.size = {"height": shape[1], "width": shape[2]}
            boxes = keras.utils.bounding_boxes.convert_format(
                ops.cast(boxes, "float32"), source=self.pipeline.bounding_box_format, target="xyxy", **self.size
            )
            self.boxes = {"boxes": boxes, "labels": labels}

    def through(self, layer: Any, home: Any) -> None:
        """Let a layer draw once, and move all."""
        home()
        data = {IMAGES: self.images, **({} if self.labels is None else {LABELS: self.labels})}
        drawn = layer.get_random_transformation(data, training=True)
        self.images = layer.transform_images(self.images, transformation=drawn, training=True)
        if self.labels is not None:
            home()
            self.labels = layer.transform_labels(self.labels, transformation=drawn, training=True)
        if self.masks is not None:
            home()
            self.masks = layer.transform_segmentation_masks(self.masks, transformation=drawn, training=True)
        if self.boxes is not None:
            home()
            matrix = _matrix(layer, drawn)
            if matrix is None:
                self.boxes = layer.transform_bounding_boxes(dict(self.boxes), transformation=drawn, training=True)
            else:
                self.boxes = {**self.boxes, "boxes": moving.moved(self.ops, self.boxes["boxes"], matrix)}
            home()
            self.boxes = keras.utils.bounding_boxes.clip_to_image_size(self.boxes, **self.size)

    def given_back(self) -> dict[str, Any]:
        """Return all as it came: shape, type and format."""
        ops, types = self.ops, self.types

        def back(part: Any, dtype: str) -> Any:
            part = part[0] if self.single else part
            if keras.backend.is_float_dtype(keras.backend.standardize_dtype(part.dtype)) and _whole(dtype):
                part = ops.numpy.round(part)
            return ops.cast(part, dtype)

        images = self.images
        if _whole(types[IMAGES]):
            images = ops.numpy.clip(images, *self.pipeline.value_range)
        found = {IMAGES: back(images, types[IMAGES])}
        if self.labels is not None:
            found[LABELS] = back(self.labels, types[LABELS])
        if self.masks is not None:
            found[MASKS] = back(self.masks[..., 0] if self.flat_masks else self.masks, types[MASKS])
        if self.boxes is not None:
            boxes = keras.utils.bounding_boxes.convert_format(
                self.boxes["boxes"], source="xyxy", target=self.pipeline.bounding_box_format, **self.size
            )
            kept = {key: part for key, part in self.parts[BOXES].items() if key not in ("boxes", "labels")}
            type_ = "float32" if _whole(types[BOXES]["boxes"]) else types[BOXES]["boxes"]
            labels = back(self.boxes["labels"], types[BOXES]["labels"])
            found[BOXES] = {**kept, "boxes": back(boxes, type_), "labels": labels}
        return found

    def _check_labels(self) -> None:
        mixing = [type(layer).__name__ for layer in self.pipeline.layers if isinstance(layer, _MIXING)]
        labels = self.parts.get(LABELS)
        if mixing and self.single:
            raise ValueError(f"{mixing[0]} needs a batch, (b, h, w, c). Received: one image, shape={self.shape}.")
        if mixing and labels is None:
            raise ValueError(f"{mixing[0]} mixes labels as well: the batch needs a dictionary with `labels`.")
        if labels is None:
            return
        shape, type_ = tuple(labels.shape), keras.backend.standardize_dtype(labels.dtype)
        if mixing and (len(shape) != 2 or _whole(type_)):
            raise ValueError(f"{mixing[0]} needs float `labels` (b, classes). Received: {type_}, shape={shape}.")
        self._check_rows(LABELS, shape)

    def _check_masks(self) -> None:
        masks = self.parts.get(MASKS)
        self.flat_masks = masks is not None and len(masks.shape) == len(self.shape) - 1
        if masks is None:
            return
        self._check_able(MASKS)
        shape = tuple(masks.shape)
        sides = self.shape[-3:-1]
        own = shape[-2:] if self.flat_masks else shape[-3:-1]
        ranked = len(shape) in (len(self.shape), len(self.shape) - 1)
        if not ranked or any(a != b for a, b in zip(own, sides) if None not in (a, b)):
            raise ValueError(
                f"`segmentation_masks` needs the height and width of `images`. Received: {shape}, {self.shape}."
            )
        self._check_rows(MASKS, shape)

    def _check_boxes(self) -> None:
        boxes = self.parts.get(BOXES)
        if boxes is None:
            return
        self._check_able(BOXES)
        if not isinstance(boxes, Mapping) or not {"boxes", "labels"} <= set(boxes):
            raise ValueError("`bounding_boxes` needs a dictionary with `boxes` (b, n, 4) and `labels` (b, n).")
        fill = {"boxes": 0, "labels": -1}  # of rows of a ragged tensor
        boxes = {key: part.to_tensor(fill[key]) if hasattr(part, "to_tensor") else part for key, part in boxes.items()}
        boxes = {key: part if hasattr(part, "dtype") else _array(part) for key, part in boxes.items()}
        self.parts[BOXES] = boxes
        shape, named = tuple(boxes["boxes"].shape), tuple(boxes["labels"].shape)
        if len(shape) != len(self.shape) - 1 or shape[-1] != 4 or len(named) < len(shape) - 1:
            raise ValueError(f"`bounding_boxes` needs boxes (b, n, 4) and labels (b, n). Received: {shape}, {named}.")
        self._check_rows(BOXES, shape)

    def _check_able(self, key: str) -> None:
        for layer in self.pipeline.layers:
            for kind, wrong in _CANNOT.items():
                if isinstance(layer, kind) and not isinstance(layer, RandomWarp) and key in wrong:
                    raise ValueError(f"{type(layer).__name__} moves no `{key}`: leave it out, or them.")

    def _check_rows(self, key: str, shape: tuple[Any, ...]) -> None:
        if self.single:
            return
        if not shape or (None not in (shape[0], self.rows) and shape[0] != self.rows):
            raise ValueError(f"`{key}` needs as many rows as `images`. Received: {shape}, {self.shape}.")


class _Draws(keras.random.SeedGenerator):
    """Hands out a seed for each draw of a batch, from the pipeline's seed, the number of the draw and the step.

    Its state, (seed, steps so far), counts the batches that came without a step: a model's own while it trains, so that
    compiled code counts too. In `tf.data` under another backend TensorFlow counts.
    """

    def __init__(self, seed: int):
        super().__init__(seed)
        self._seed, self._step, self._count, self._backend = seed, 0, 0, keras.backend.backend()
        self._in_tf_data: Any = None

    def begin(self, step: Any) -> None:
        self._step, self._count = self._counted() if step is None else step, 0

    def _counted(self) -> Any:
        if keras.backend.backend() != "tensorflow" and _in_tf_graph():
            import tensorflow as tf

            if self._in_tf_data is None:
                with tf.init_scope():
                    self._in_tf_data = tf.Variable(0, dtype=tf.int64, trainable=False)
            return self._in_tf_data.assign_add(1) - 1
        step = self.state.value[1]
        self.state.assign(self.state.value + keras.ops.convert_to_tensor([0, 1], dtype=self.state.dtype))
        return step

    def on(self, backend: str | None = None) -> "_Draws":
        self._backend = backend or keras.backend.backend()
        return self

    def next(self, ordered: bool = True) -> Any:
        draw = int(np.random.SeedSequence((self._seed, self._count)).generate_state(1)[0]) % (2**31 - 1)
        self._count += 1
        seed = self._step * np.array([0, 1]) + np.array([draw, 0])  # in the step's own framework, so in tf.data's
        if self._backend != keras.backend.backend():
            return seed
        return keras.ops.cast(seed, "uint32" if self._backend == "jax" else "int64")


@contextmanager
def _home(parts: Iterator[Any]) -> Iterator[Any]:
    """Have all layers compute with TensorFlow inside of its graphs; some of Keras's forget it half way: call it again."""
    backends = [part.backend for part in parts if hasattr(part, "backend")]
    name = "tensorflow" if _in_tf_graph() else keras.backend.backend()

    def home() -> None:
        for backend in backends:
            backend.set_backend(name)

    home()
    try:
        yield home
    finally:
        for backend in backends:
            backend.reset()


def _in_tf_graph() -> bool:
    tf = sys.modules.get("tensorflow")
    return tf is not None and not tf.executing_eagerly()


def _matrix(layer: Any, drawn: Any) -> Any:
    """Return the matrix of layers whose boxes Keras moves wrongly, as `boxes.moved` takes it."""
    if type(layer) is keras.layers.RandomRotation:
        rows = drawn["rotation_matrix"]
    elif type(layer) is keras.layers.RandomShear:
        rows = layer._get_shear_matrix(drawn["shear_factor"])
    else:
        return None
    return tuple(rows[:, index, None, None] for index in range(6))


def _check_layer(layer: Any, value_range: tuple[float, float], format_: str) -> None:
    name = type(layer).__name__
    if not hasattr(layer, "get_random_transformation"):
        raise ValueError(f"`layers` needs Keras image preprocessing layers. Received: layers={name}.")
    if layer.data_format != "channels_last":
        raise ValueError(f'`layers` needs layers with data_format="channels_last". Received: {name}.')
    if tuple(layer.compute_output_shape((2, 67, 71, 3))) != (2, 67, 71, 3):
        raise ValueError(f"`layers` needs layers that keep the size of images: call {name} before the pipeline.")
    if isinstance(vars(layer).get("generator"), _Draws):
        raise ValueError(f"`layers` needs layers of its own. Received: {name} of another pipeline.")
    own = getattr(layer, "value_range", None)
    if own is not None and tuple(own) != value_range:
        raise ValueError(f"`value_range` needs to be that of {name}. Received: {value_range}, and there {tuple(own)}.")
    if getattr(layer, "bounding_box_format", None) not in (None, "xyxy", format_):
        raise ValueError(
            f"`bounding_box_format` needs to be that of {name}. Received: {format_}, and there {layer.bounding_box_format}."
        )


def _check_step(step: Any) -> None:
    if isinstance(step, bool | float) or (isinstance(step, int) and step < 0):
        raise ValueError(f"`step` needs an integer of at least 0. Received: step={step}.")


def _check_values(images: Any, value_range: tuple[float, float]) -> None:
    """Refuse values outside the range, where they are there to be looked at."""
    if _in_tf_graph():
        return
    try:
        values = np.asarray(images)
    except TypeError:  # being compiled by JAX
        return
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    slack = 1e-3 * (value_range[1] - value_range[0])
    if not (value_range[0] - slack <= low and high <= value_range[1] + slack):
        raise ValueError(f"`images` needs values in `value_range`, {value_range}. Received: {low:g} to {high:g}.")


def _array(part: Any) -> Any:
    return part if isinstance(part, Mapping) else np.asarray(part)


def _whole(dtype: str) -> bool:
    return not keras.backend.is_float_dtype(dtype)

"""Augmentation pipelines: Keras preprocessing layers in a row, made a pure function of (seed, step, images).

Design choices:
- Keras's own layers wherever they do the job. Their random numbers come from a `SeedGenerator`, which counts calls;
  here each is given one that counts only the draws of the current batch, so what happens at a step depends on the seed,
  the step and the layer's place in the row, and not on what ran before. A resumed run augments as the first one did.
- One layer of our own, `RandomWarp`: rotation, translation, zoom, shear and elastic distortion in a single resampling.
  Four Keras layers in a row would resample four times, which blurs a 28 px image until thin strokes vanish;
  `keras.layers.RandomElasticTransform` is far slower and moves all images of a batch alike.
- Images travel with their targets as Keras's dictionary, so mixing layers see both, and geometric layers take masks or
  boxes along once a pipeline puts them there.
- Keras's layers augment in a plain call too, as `training=True` is their default. So they are in the training map only, and
  never in a model.
- Inside `tf.data` the layers compute with TensorFlow under every Keras backend, as Keras's own do.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

Augmentation = Callable[[Any, Any, Any], tuple[Any, Any]]


def on_images(*layers: keras.layers.Layer, seed: int) -> Augmentation:
    """Make a pipeline over images and their targets.

    Args:
        layers: Keras image preprocessing layers (`keras.layers.RandomRotation`, ..., `RandomWarp`), applied in order.
            They belong to this pipeline from now on; their own `seed` argument has no effect.
        seed: of every random number.

    Layers that change colours leave images alone that do not have three channels.

    Returns:
        A function (images float32 (b, h, w, c) in [0, 255], targets float32 one-hot (b, classes), step int64) ->
        (images, targets) of the same shapes. The same step gives the same result, in any order and in any process.
    """
    return _Pipeline(layers, seed, key="labels")


def mixup(alpha: float = 0.2) -> keras.layers.Layer:
    """Blend each image and its target with another of the batch.

    Args:
        alpha: of the Beta(alpha, alpha) that draws the share, above 0. Small: mostly one of the two.

    Source: Zhang et al. 2018, arXiv:1710.09412.
    """
    if not alpha > 0:
        raise ValueError(f"`alpha` needs a number above 0. Received: alpha={alpha}.")
    return keras.layers.MixUp(alpha=alpha, data_format="channels_last")


def cutmix(alpha: float = 1.0) -> keras.layers.Layer:
    """Replace a rectangle of each image by that of another, and the target in proportion.

    Args:
        alpha: of the Beta(alpha, alpha) that draws the share, in (0, 1]. 1: all shares alike.

    Source: Yun et al. 2019, arXiv:1905.04899.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"`alpha` needs a number in (0, 1]. Received: alpha={alpha}.")
    return keras.layers.CutMix(factor=(alpha, alpha), data_format="channels_last")


def rand_augment(strength: float = 0.3, *, operations: int = 2) -> keras.layers.Layer:
    """Apply a few operations (shear, shift, turn, brightness, contrast, ...) drawn anew for every batch. No flips.

    Images of four channels stay as they are.

    Args:
        strength: in [0, 1].
        operations: how many in a row.

    Returns:
        A layer for grey images and for RGB.

    Source: Cubuk et al. 2020, arXiv:1909.13719.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"`strength` needs a number in [0, 1]. Received: strength={strength}.")
    if operations < 1:
        raise ValueError(f"`operations` needs at least 1. Received: operations={operations}.")
    options = {"num_ops": operations, "factor": strength, "data_format": "channels_last"}
    return _RandAugment(**options, name="rand_augment")


@keras.saving.register_keras_serializable(package="cnnkit")
class RandomWarp(keras.layers.RandomElasticTransform):
    """Turn, shift, zoom, shear and distort each image by its own amounts, resampling once.

    The elastic part is smooth noise: a grid of normal random displacements, `smoothness` px apart, under a Gaussian of
    that width; it moves a pixel by `elastic` px along each axis (standard deviation).

    Args:
        rotation: largest angle either way, in degrees.
        translation: largest shift either way along each axis, as a share of that side.
        zoom: largest change of size either way along each axis, in natural logarithm (0.1: from 0.905 to 1.105).
        shear: largest horizontal shift either way, in px a px of height: the slant of handwriting.
        elastic: standard deviation of the elastic displacement, in px. 0: none.
        smoothness: distance over which the displacement changes, in px.
        fill_mode: what is outside the image: "constant", or "nearest" for its edge drawn out.
        fill_value: of "constant".

    Input and output: images float (b, h, w, c) in any range; each output value lies between input values and
    `fill_value`. Masks follow their images, by nearest neighbour.

    Source: Simard et al. 2003 (elastic distortion of handwriting).
    """

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        translation: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        elastic: float = 0.0,
        smoothness: float = 4.0,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        **kwargs: Any,
    ):
        amounts = {"rotation": rotation, "translation": translation, "zoom": zoom, "shear": shear, "elastic": elastic}
        for name, amount in amounts.items():
            if not amount >= 0:
                raise ValueError(f"`{name}` needs a number of at least 0. Received: {name}={amount}.")
        if not smoothness >= 1:
            raise ValueError(f"`smoothness` needs at least 1 px. Received: smoothness={smoothness}.")
        if fill_mode not in ("constant", "nearest"):
            raise ValueError(f'`fill_mode` needs "constant" or "nearest". Received: fill_mode={fill_mode!r}.')
        super().__init__(fill_mode=fill_mode, fill_value=fill_value, data_format="channels_last", **kwargs)
        self.amounts = amounts
        self.smoothness = smoothness

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Draw where each output pixel comes from: (x, y) float32, each (b, h, w), in px from the top left pixel."""
        if not training:
            return None
        images = data["images"] if isinstance(data, dict) else data
        rank = len(images.shape)
        batch = 1 if rank == 3 else self.backend.shape(images)[0]
        height, width = images.shape[-3:-1]
        generator = seed or self._get_seed_generator(self.backend._backend)
        ops, amounts = self.backend.numpy, self.amounts

        draws = self.backend.random.uniform((6, batch, 1, 1), -1.0, 1.0, dtype="float32", seed=generator)
        angle = draws[0] * math.radians(amounts["rotation"])
        across, down = ops.exp(draws[1] * amounts["zoom"]), ops.exp(draws[2] * amounts["zoom"])
        slant = draws[3] * amounts["shear"]
        cos, sin = ops.cos(angle), ops.sin(angle)
        rows = np.arange(height, dtype="float32")[:, None] - (height - 1) / 2
        columns = np.arange(width, dtype="float32")[None, :] - (width - 1) / 2
        x = across * (cos * columns - sin * rows) + slant * rows
        y = down * (sin * columns + cos * rows)
        x = x + (draws[4] * amounts["translation"] * width + (width - 1) / 2)
        y = y + (draws[5] * amounts["translation"] * height + (height - 1) / 2)

        if amounts["elastic"]:
            up, left = _smoothing(height, self.smoothness), _smoothing(width, self.smoothness)
            noise = self.backend.random.normal(
                (2, batch, up.shape[1], left.shape[1]), dtype="float32", seed=generator, stddev=amounts["elastic"]
            )
            noise = ops.matmul(ops.matmul(up, noise), left.T)
            x, y = x + noise[0], y + noise[1]
        return {"x": x, "y": y}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Sample the images there, bilinearly."""
        images = self.backend.cast(images, self.compute_dtype)
        return images if transformation is None else self._sample(images, transformation, "bilinear")

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Sample the masks there, at the nearest pixel."""
        if transformation is None:
            return segmentation_masks
        return self._sample(segmentation_masks, transformation, "nearest")

    def _sample(self, images: Any, transformation: Any, interpolation: str) -> Any:
        # A frame of one pixel of `fill_value` stands for everything outside: no test for each of the four neighbours.
        ops, cast = self.backend.numpy, self.backend.cast
        height, width, channels = images.shape[1:]
        batch, stride = self.backend.shape(images)[0], width + 2
        fill = cast(self.fill_value, images.dtype)
        framed = ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="constant", constant_values=fill)
        pixels = ops.reshape(framed, (-1,) if channels == 1 else (-1, channels))
        first = ops.reshape(ops.arange(batch, dtype="int32") * ((height + 2) * stride), (-1, 1, 1))
        x, y = transformation["x"] + 1, transformation["y"] + 1
        if self.fill_mode == "nearest":
            x, y = ops.clip(x, 1, width), ops.clip(y, 1, height)
        if interpolation == "nearest":
            x, y = ops.clip(ops.round(x), 0, width + 1), ops.clip(ops.round(y), 0, height + 1)
            index = cast(y, "int32") * stride + cast(x, "int32") + first
            return ops.reshape(ops.take(pixels, index, axis=0), self.backend.shape(images))
        x, y = ops.clip(x, 0, width + 0.999), ops.clip(y, 0, height + 0.999)
        left, top = ops.floor(x), ops.floor(y)
        index = cast(top, "int32") * stride + cast(left, "int32") + first
        right_share, low_share = x - left, y - top
        if channels != 1:
            right_share, low_share = right_share[..., None], low_share[..., None]
        upper = _blend(ops.take(pixels, index, axis=0), ops.take(pixels, index + 1, axis=0), right_share)
        index = index + stride
        lower = _blend(ops.take(pixels, index, axis=0), ops.take(pixels, index + 1, axis=0), right_share)
        return ops.reshape(_blend(upper, lower, low_share), self.backend.shape(images))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {"name": self.name, "dtype": self.dtype_policy.name, "fill_value": self.fill_value}
        config["fill_mode"] = self.fill_mode
        return {**config, "smoothness": self.smoothness, **self.amounts}


@keras.saving.register_keras_serializable(package="cnnkit")
class RandomExposure(keras.layers.RandomBrightness):
    """Expose each image longer or shorter: 2^e x, clipped to [0, 255].

    Light reaches a sensor as a factor: this keeps what can be seen in dark images, where adding to every pixel, as
    `keras.layers.RandomBrightness` does, would turn them black.

    Args:
        stops: largest exposure e either way, in photographic stops (1: half to twice the light).

    Input and output: images float (b, h, w, c) in [0, 255]; targets, masks and boxes stay.
    """

    def __init__(self, stops: float = 1.0, **kwargs: Any):
        if not stops >= 0:
            raise ValueError(f"`stops` needs a number of at least 0. Received: stops={stops}.")
        super().__init__(factor=1.0, value_range=(0, 255), **kwargs)
        self.stops = stops

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Draw the factors, float32 (b, 1, 1, 1)."""
        if not training:
            return None
        images = data["images"] if isinstance(data, dict) else data
        batch = 1 if len(images.shape) == 3 else self.backend.shape(images)[0]
        generator = seed or self._get_seed_generator(self.backend._backend)
        draws = self.backend.random.uniform((batch, 1, 1, 1), -1.0, 1.0, dtype="float32", seed=generator)
        return self.backend.numpy.exp(math.log(2) * self.stops * draws)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Change the light."""
        images = self.backend.cast(images, self.compute_dtype)
        return images if transformation is None else self.backend.numpy.clip(images * transformation, 0, 255)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype_policy.name, "stops": self.stops}


class _RandAugment(keras.layers.RandAugment):
    """Keras's, taught grey images, which some of its operations refuse, and to leave `tf.data` as it came."""

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        for name in self._AUGMENT_LAYERS:  # Keras leaves them on TensorFlow after a tf.data map
            getattr(self, name).backend.set_backend(self.backend.name)
        return super().get_random_transformation(data, training=training, seed=seed)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if images.shape[-1] == 4:  # no colours
            return images
        grey = images.shape[-1] == 1
        if grey:
            images = self.backend.numpy.repeat(images, 3, axis=-1)
        images = super().transform_images(images, transformation, training)
        images = self.backend.numpy.clip(images, *self.value_range)
        return images[..., :1] if grey else images


_OF_COLOURS = (  # which grey images and those of four channels do not have
    keras.layers.RandomColorDegeneration,
    keras.layers.RandomColorJitter,
    keras.layers.RandomGrayscale,
    keras.layers.RandomHue,
    keras.layers.RandomSaturation,
)


class _Pipeline:
    """Layers in a row over {"images", key}; every draw from (seed, number of the draw, step)."""

    def __init__(self, layers: Sequence[keras.layers.Layer], seed: int, key: str):
        for layer in layers:
            if not hasattr(layer, "get_random_transformation"):
                raise ValueError(
                    f"`layers` needs Keras image preprocessing layers. Received: layers={type(layer).__name__}."
                )
        if not 0 <= seed < 2**31:
            raise ValueError(f"`seed` needs an integer in [0, 2**31). Received: seed={seed}.")
        self.layers, self.key = layers, key
        self._draws = _Draws(seed)
        for layer in layers:
            for part in (layer, *layer._flatten_layers(include_self=False)):
                if hasattr(part, "generator"):
                    part.generator = self._draws
                    part._get_seed_generator = self._draws.on  # Keras would make a new one for tf.data

    def __call__(self, images: Any, targets: Any, step: Any) -> tuple[Any, Any]:
        data = {"images": images, self.key: targets}
        self._draws.begin(step)
        for layer in self.layers:
            if images.shape[-1] == 3 or not isinstance(layer, _OF_COLOURS):
                data = layer(data, training=True)
        return data["images"], data[self.key]


class _Draws(keras.random.SeedGenerator):
    """Hands out a seed for each draw of a batch, from the pipeline's seed, the number of the draw and the step."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self._seed, self._step, self._count, self._backend = seed, 0, 0, keras.backend.backend()

    def begin(self, step: Any) -> None:
        self._step, self._count = step, 0

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


def _smoothing(size: int, smoothness: float) -> np.ndarray:
    """Weights float32 (size, points) that spread noise at points `smoothness` px apart over a side; unit variance."""
    points = np.arange(-smoothness / 2, size + smoothness, smoothness)
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - points) / smoothness) ** 2)
    return (weights / np.sqrt(np.sum(weights**2, axis=1, keepdims=True))).astype("float32")


def _blend(first: Any, second: Any, share: Any) -> Any:
    return first + (second - first) * share

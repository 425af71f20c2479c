"""Augmentation layers beside Keras's own, for rows of them (`cnnkit.augment.Pipeline`).

Design choices:
- Keras's own layers wherever they do the job.
- One of our own, `RandomWarp`: rotation, translation, zoom, shear and elastic distortion in a single resampling.
  Four Keras layers in a row would resample four times, which blurs a 28 px image until thin strokes vanish;
  `keras.layers.RandomElasticTransform` is far slower and moves all images of a batch alike.
"""

import math
from typing import Any

import keras
import numpy as np

from cnnkit.augment import boxes as moving


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


def rand_augment(
    strength: float = 0.3, *, operations: int = 2, value_range: tuple[float, float] = (0, 255)
) -> keras.layers.Layer:
    """Apply a few operations (shear, shift, turn, brightness, contrast, ...) drawn anew for every batch. No flips.

    Images of four channels stay as they are.

    Args:
        strength: in [0, 1].
        operations: how many in a row.
        value_range: of the images.

    Returns:
        A layer for grey images and for RGB. Masks move with their images; it moves no boxes.

    Source: Cubuk et al. 2020, arXiv:1909.13719.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"`strength` needs a number in [0, 1]. Received: strength={strength}.")
    if operations < 1:
        raise ValueError(f"`operations` needs at least 1. Received: operations={operations}.")
    options = {"num_ops": operations, "factor": strength, "data_format": "channels_last", "value_range": value_range}
    return RandAugment(**options, name="rand_augment")


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
    `fill_value`. Masks follow their images, by nearest neighbour; outside them is 0, or their edge drawn out. Boxes follow too:
    as the smallest box around the four corners, where they went; with `elastic`, around 9 points of each side. They are cut at
    the image's edge, and one of which nothing is left gets the label -1, as Keras does.

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
        self.value_range = None  # any

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Draw where each output pixel comes from: (x, y) float32, each (b, h, w), in px from the top left pixel."""
        if not training:
            return None
        images = data["images"] if isinstance(data, dict) else data
        rank = len(images.shape)
        batch = 1 if rank == 3 else self.backend.shape(images)[0]
        height, width = images.shape[-3:-1]
        if height is None or width is None:
            raise ValueError(f"`images` needs a known height and width. Received: shape={tuple(images.shape)}.")
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
        else:
            noise = None

        def matrix() -> Any:
            turned = (across * cos, slant - across * sin, down * sin, down * cos)
            middle, centre = (width - 1) / 2, (height - 1) / 2
            right = draws[4] * amounts["translation"] * width + middle - turned[0] * middle - turned[1] * centre
            low = draws[5] * amounts["translation"] * height + centre - turned[2] * middle - turned[3] * centre
            return (*turned[:2], right, *turned[2:], low)

        return {"x": x, "y": y, "matrix": matrix, "noise": noise, "size": (height, width)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Sample the images there, bilinearly."""
        images = self.backend.cast(images, self.compute_dtype)
        if transformation is None:
            return images
        x, y = transformation["x"], transformation["y"]
        return self._sample(images, x, y, "bilinear", self.fill_mode, self.fill_value)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Sample the masks there, at the nearest pixel."""
        if transformation is None:
            return segmentation_masks
        return self._sample(segmentation_masks, transformation["x"], transformation["y"], "nearest", self.fill_mode, 0)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Put boxes around where theirs went: {"boxes": (b, n, 4), "labels": (b, n)}."""
        if transformation is None:
            return bounding_boxes
        ops, noise = self.backend, transformation["noise"]
        height, width = transformation["size"]
        sizes = {"height": height, "width": width}

        def bend(x: Any, y: Any) -> Any:
            field = ops.numpy.transpose(noise, (1, 2, 3, 0))
            found = self._sample(field, x[..., None], y[..., None], "bilinear", "nearest", 0)
            return found[..., 0, 0], found[..., 0, 1]

        utilities = keras.utils.bounding_boxes
        format_ = self.bounding_box_format
        boxes = utilities.convert_format(bounding_boxes["boxes"], source=format_, target="xyxy", **sizes)
        boxes = moving.moved(ops, boxes, transformation["matrix"](), bend if noise is not None else None)
        clipped = utilities.clip_to_image_size({**bounding_boxes, "boxes": boxes}, bounding_box_format="xyxy", **sizes)
        return utilities.convert_format(clipped, source="xyxy", target=format_, **sizes)

    def _sample(self, images: Any, x: Any, y: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
        # A frame of one pixel of `fill_value` stands for everything outside: no test for each of the four neighbours.
        ops, cast = self.backend.numpy, self.backend.cast
        height, width, channels = images.shape[1:]
        batch, stride = self.backend.shape(images)[0], width + 2
        shape = (*self.backend.shape(x), channels)
        fill = cast(fill_value, images.dtype)
        framed = ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="constant", constant_values=fill)
        pixels = ops.reshape(framed, (-1,) if channels == 1 else (-1, channels))
        first = ops.reshape(ops.arange(batch, dtype="int32") * ((height + 2) * stride), (-1, 1, 1))
        x, y = x + 1, y + 1
        if fill_mode == "nearest":
            x, y = ops.clip(x, 1, width), ops.clip(y, 1, height)
        if interpolation == "nearest":
            x, y = ops.clip(ops.round(x), 0, width + 1), ops.clip(ops.round(y), 0, height + 1)
            index = cast(y, "int32") * stride + cast(x, "int32") + first
            return ops.reshape(ops.take(pixels, index, axis=0), shape)
        x, y = ops.clip(x, 0, width + 0.999), ops.clip(y, 0, height + 0.999)
        left, top = ops.floor(x), ops.floor(y)
        index = cast(top, "int32") * stride + cast(left, "int32") + first
        right_share, low_share = x - left, y - top
        if channels != 1:
            right_share, low_share = right_share[..., None], low_share[..., None]
        upper = _blend(ops.take(pixels, index, axis=0), ops.take(pixels, index + 1, axis=0), right_share)
        index = index + stride
        lower = _blend(ops.take(pixels, index, axis=0), ops.take(pixels, index + 1, axis=0), right_share)
        return ops.reshape(_blend(upper, lower, low_share), shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {"name": self.name, "dtype": self.dtype_policy.name, "fill_value": self.fill_value}
        config["fill_mode"] = self.fill_mode
        if self.bounding_box_format is not None:
            config["bounding_box_format"] = self.bounding_box_format
        return {**config, "smoothness": self.smoothness, **self.amounts}


@keras.saving.register_keras_serializable(package="cnnkit")
class RandomExposure(keras.layers.RandomBrightness):
    """Expose each image longer or shorter: 2^e times its light, clipped to `value_range`.

    Light reaches a sensor as a factor: this keeps what can be seen in dark images, where adding to every pixel, as
    `keras.layers.RandomBrightness` does, would turn them black.

    Args:
        stops: largest exposure e either way, in photographic stops (1: half to twice the light).
        value_range: what black and white are in the images.

    Input and output: images float (b, h, w, c) in `value_range`; targets, masks and boxes stay.
    """

    def __init__(self, stops: float = 1.0, *, value_range: tuple[float, float] = (0, 255), **kwargs: Any):
        if not stops >= 0:
            raise ValueError(f"`stops` needs a number of at least 0. Received: stops={stops}.")
        super().__init__(factor=1.0, value_range=value_range, **kwargs)
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
        if transformation is None:
            return images
        low, high = self.value_range
        light = images * transformation if low == 0 else (images - low) * transformation + low
        return self.backend.numpy.clip(light, low, high)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {"name": self.name, "dtype": self.dtype_policy.name, "stops": self.stops}
        return {**config, "value_range": tuple(self.value_range)}


@keras.saving.register_keras_serializable(package="cnnkit")
class RandAugment(keras.layers.RandAugment):
    """Keras's, taught grey images, which some of its operations refuse, and to leave `tf.data` as it came."""

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        for name in self._AUGMENT_LAYERS:  # Keras leaves them on TensorFlow after a tf.data map
            getattr(self, name).backend.set_backend(self.backend.name)
        images = data["images"] if isinstance(data, dict) else data
        drawn = super().get_random_transformation(data, training=training, seed=seed)
        return None if images.shape[-1] == 4 else drawn  # no colours

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self.backend.cast(images, self.compute_dtype)
        if transformation is None:
            return images
        grey = images.shape[-1] == 1
        if grey:
            images = self.backend.numpy.repeat(images, 3, axis=-1)
        images = super().transform_images(images, transformation, training)
        images = self.backend.numpy.clip(images, *self.value_range)
        return images[..., :1] if grey else images

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        if transformation is None:
            return segmentation_masks
        return super().transform_segmentation_masks(segmentation_masks, transformation, training)


def _smoothing(size: int, smoothness: float) -> np.ndarray:
    """Weights float32 (size, points) that spread noise at points `smoothness` px apart over a side; unit variance."""
    points = np.arange(-smoothness / 2, size + smoothness, smoothness)
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - points) / smoothness) ** 2)
    return (weights / np.sqrt(np.sum(weights**2, axis=1, keepdims=True))).astype("float32")


def _blend(first: Any, second: Any, share: Any) -> Any:
    return first + (second - first) * share

"""Detectors without anchor boxes: one prediction a cell, on maps of several strides, from a light feature pyramid.

Design choices:
- Any network of `backbones.py` gives the maps, or a plain one of our own, which learns faster from scratch.
- The pyramid goes down, so that fine maps know what coarse ones saw, and up again, so that coarse ones know where (PANet).
  Its blocks are separable: nine tenths of a head of full convolutions is weights that small data cannot fill.
- Boxes and class logits leave in separate tensors, each with its own scale in int8; a device reads the two. In one tensor they
  would share a scale, and most scores would become 0. In training they come out as one, with the cells they belong to, so
  that a loss needs to know nothing of sizes and strides, and sizes may change.
- The last layers, `boxes` and `logits`, are shared by all maps; a class is then one column, which a later run may copy.

Sources: Tian et al. 2019, arXiv:1904.01355 (FCOS: one prediction a cell); Liu et al. 2018, arXiv:1803.01534 (PANet);
Lin et al. 2017, arXiv:1708.02002 (the initial bias of the classes).
"""

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from cnnkit.device.detection import cells
from cnnkit.models.arguments import check_positive, takes
from cnnkit.models.backbones import FAMILIES
from cnnkit.models.backbones import backbone as build_backbone
from cnnkit.models.blocks import MOMENTUM, conv_block, separable_block

OWN = "plain"
FIRST_SCORE = 0.01  # of every class in every cell, before training
FIRST_SIZE = 3.0  # of every box, in strides


@keras.saving.register_keras_serializable("cnnkit")
class Cells(layers.Layer):
    """Put boxes (b, n, 4), logits (b, n, c) and the n cells they belong to side by side: (b, n, 4 + c + 3).

    Args:
        shape: (height, width) of the image, px.
        strides: of the maps.
    """

    in_training_alone = True  # no file for devices has it

    def __init__(self, shape: Sequence[int], strides: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.shape, self.strides = tuple(shape), tuple(strides)

    def call(self, inputs):
        boxes, logits = (ops.cast(tensor, "float32") for tensor in inputs)
        grid = ops.convert_to_tensor(cells(*self.shape, self.strides))[None]
        grid = ops.broadcast_to(grid, (ops.shape(boxes)[0], *grid.shape[1:]))
        return ops.concatenate([boxes, logits, grid], axis=-1)

    def compute_output_shape(self, input_shape):
        boxes, logits = input_shape
        return (*boxes[:2], 4 + logits[-1] + 3)

    def get_config(self):
        return {**super().get_config(), "shape": self.shape, "strides": self.strides}


@takes(backbone=(OWN, *FAMILIES))
def detector(
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    backbone: str = OWN,
    alpha: float | None = None,
    strides: Sequence[int] = (8, 16, 32),
    width: int = 64,
    momentum: float = MOMENTUM,
) -> keras.Model:
    """Build a detector.

    Args:
        image_shape: (height, width, channels), in px; sides are multiples of the largest stride.
        classes: number of labels, at least 1.
        backbone: one of `FAMILIES`, or "plain".
        alpha: width of the MobileNets as a share of the published one; None: 0.35 for `mobilenet_v2`, otherwise 1.
        strides: of the maps that predict: some of 4, 8, 16, 32, one after the other.
        width: channels of the pyramid.
        momentum: of the moving averages of batch norm in the backbone.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> float32 (b, cells, 4 + classes + 3): a box, raw, as
        `cnnkit.device.detection.decode` reads it; class logits; the cell. Its layers `boxes` and `logits` put out the
        two alone.

    Raises:
        ValueError: sides that are no multiples of the largest stride, strides that do not follow, as `backbone`.

    Source: Tian et al. 2019, arXiv:1904.01355 (one prediction a cell); Liu et al. 2018, arXiv:1803.01534 (the pyramid).

    Example:
        >>> model = cnnkit.models.detector((64, 64, 3), 4)
        >>> model.output_shape
        (None, 84, 11)
    """
    strides = tuple(strides)
    if not strides or strides[0] not in (4, 8, 16) or strides != tuple(strides[0] * 2**n for n in range(len(strides))):
        raise ValueError(f"`strides` needs some of 4, 8, 16, 32 that follow one another. Received: strides={strides}.")
    if strides[-1] > 32:
        raise ValueError(f"`strides` goes up to 32. Received: strides={strides}.")
    if len(image_shape) != 3 or any(side % strides[-1] or side < 32 for side in image_shape[:2]):
        raise ValueError(
            f"The sides need to be multiples of {strides[-1]} px, at least 32. Received: image_shape={tuple(image_shape)}."
        )
    check_positive(classes=classes, width=width)
    if backbone == OWN:
        body = plain_backbone(image_shape)
    else:
        if alpha is None and backbone == "mobilenet_v2":
            alpha = 0.35
        body = build_backbone(backbone, image_shape, alpha=alpha, momentum=momentum)
    maps = dict(zip((4, 8, 16, 32), (body.output[f"stride{stride}"] for stride in (4, 8, 16, 32))))
    pyramid = _pyramid([maps[stride] for stride in strides], strides, width)
    to_boxes = _last(4, _FirstBoxes(), "to_boxes")
    first = -math.log((1 - FIRST_SCORE) / FIRST_SCORE)
    to_logits = _last(classes, keras.initializers.Constant(first), "logits")
    boxes, scores = [], []
    for stride, x in zip(strides, pyramid, strict=True):
        x = separable_block(x, width, 3, name=f"head{stride}_shared")
        place = separable_block(x, width, 3, name=f"head{stride}_box")
        kind = separable_block(x, width, 3, name=f"head{stride}_class")
        boxes.append(layers.Reshape((-1, 4), name=f"boxes{stride}")(to_boxes(place)))
        scores.append(layers.Reshape((-1, classes), name=f"logits{stride}")(to_logits(kind)))
    every = [
        layers.Concatenate(axis=1, name=name, dtype="float32")(parts)
        if len(parts) > 1
        else layers.Activation("linear", name=name, dtype="float32")(parts[0])
        for name, parts in (("boxes", boxes), ("every_logit", scores))
    ]
    predictions = Cells(image_shape[:2], strides, name="predictions", dtype="float32")(every)
    model = keras.Model(body.input, predictions, name="detector")
    model.pretrained = getattr(body, "pretrained", None)
    return model


def _last(filters: int, bias: keras.initializers.Initializer, name: str) -> layers.Layer:
    """Return a layer that all maps share: what the network says of each cell."""
    start = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Conv2D(filters, 1, kernel_initializer=start, bias_initializer=bias, dtype="float32", name=name)


@keras.saving.register_keras_serializable("cnnkit")
class _FirstBoxes(keras.initializers.Initializer):
    """A box in the middle of its cell, `FIRST_SIZE` strides wide and high."""

    def __call__(self, shape, dtype=None):
        return ops.cast(ops.array([0.0, 0.0, math.log(FIRST_SIZE), math.log(FIRST_SIZE)]), dtype or "float32")


def _pyramid(maps: list[keras.KerasTensor], strides: Sequence[int], width: int) -> list[keras.KerasTensor]:
    """Bring maps to one width and let them know of one another."""
    found = [conv_block(x, width, 1, name=f"lateral{stride}") for stride, x in zip(strides, maps, strict=True)]
    for place in reversed(range(len(found) - 1)):
        stride = strides[place]
        above = layers.UpSampling2D(name=f"up{stride}")(found[place + 1])
        x = layers.Add(name=f"down{stride}_add")([found[place], above])
        found[place] = separable_block(x, width, 3, name=f"down{stride}")
    for place in range(1, len(found)):
        stride = strides[place]
        below = layers.MaxPooling2D(name=f"pool{stride}")(found[place - 1])
        x = layers.Add(name=f"up{stride}_add")([found[place], below])
        found[place] = separable_block(x, width, 3, name=f"up{stride}_block")
    return found


def plain_backbone(image_shape: tuple[int, int, int], widths: Sequence[int] = (16, 24, 48, 96, 128)) -> keras.Model:
    """Build a plain backbone: a convolution that halves, then residual pairs, at strides 2, 4, 8, 16 and 32.

    Args:
        image_shape: (height, width, channels), in px.
        widths: channels at each stride.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> maps, as `cnnkit.models.backbones.backbone`.
    """
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(image)
    maps = {}
    for level, filters in enumerate(widths):
        stride = 2 ** (level + 1)
        x = conv_block(x, filters, strides=2, name=f"stride{stride}_first")
        if level > 1:
            y = conv_block(x, filters, name=f"stride{stride}_second")
            y = conv_block(y, filters, relu=False, name=f"stride{stride}_third")
            x = layers.ReLU(name=f"stride{stride}_relu")(layers.Add(name=f"stride{stride}_add")([x, y]))
        if stride >= 4:
            maps[f"stride{stride}"] = x
    return keras.Model(image, maps, name=OWN)

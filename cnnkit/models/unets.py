"""U-Nets: a score for each place of an input and each label, on a network of our own or on any backbone.

Design choices:
- Two labels or more and a background would need one score more than there are labels, but only differences of scores mean
  something: the background's is 0, and the last layer, `logits`, has a column a label, which a later run may copy by its name.
- The finest maps have one convolution each way, coarser ones two: drawn slices came out as well with a seventh less time (Dice
  0.902 and 0.896, one seed).
- What halves is a convolution of stride 2, what doubles a transposed one; with batch norm and ReLU these are operators that a
  converter folds into one, and that devices have for pictures. The rank of the input decides the rank of the convolutions.
- On a backbone, maps of strides 4 to 32 are its own; those of 1 and 2 are of two small convolutions of the input, as its first
  layer has thrown away where exactly an edge is.
- Volumes whose slices lie far apart are not halved along that axis, nor convolved along it, until their steps are alike: the
  builder is told so a level (`strides`, `kernels`), and what doubles a map undoes what halved it.
- Coarser maps may be made to answer too (`supervised`): their logits lie behind the others in one tensor, as large as these, so
  that a loss needs to know nothing of maps. An exported model has none of it.

Sources: Ronneberger et al. 2015, arXiv:1505.04597 (U-Net); He et al. 2016, arXiv:1512.03385 (residual blocks); Lee et al. 2015,
arXiv:1409.5185 (deep supervision).
"""

import math
from collections.abc import Sequence

import keras
from keras import layers

from cnnkit.models.arguments import check_positive, takes
from cnnkit.models.backbones import FAMILIES
from cnnkit.models.backbones import backbone as build_backbone
from cnnkit.models.blocks import MOMENTUM, separable_block

WIDEST = 256  # channels
EVERY = "every_logit"  # the layer that training looks at
Sides = int | tuple[int, ...]  # one number for all sides, or one a side


def unet(
    input_shape: Sequence[int],
    units: int,
    *,
    width: int = 8,
    depth: int = 4,
    residual: bool = True,
    supervised: int = 0,
    momentum: float = MOMENTUM,
    strides: Sequence[Sequence[int]] | None = None,
    kernels: Sequence[Sequence[int]] | None = None,
) -> keras.Model:
    """Build a U-Net of two or three dimensions.

    Args:
        input_shape: (height, width, channels) or (depth, height, width, channels); sides are multiples of the product of the
            strides along them, by default 2^`depth`.
        units: number of labels, without the background.
        width: channels of the finest map; each coarser one has twice as many, at most 256.
        depth: times that maps are halved.
        residual: add what enters a pair of convolutions to what leaves it.
        supervised: coarser maps that answer too, in training.
        momentum: of the moving averages of batch norm.
        strides: `depth` times one number a side, such as ((1, 2, 2), (2, 2, 2)): what each step to a coarser map divides the
            sides by; None: 2 along each.
        kernels: `depth` + 1 times one number a side, such as ((1, 3, 3), (3, 3, 3), (3, 3, 3)): sizes of the convolutions of
            each map, the finest first; None: 3 along each.

    Returns:
        `keras.Model`: float32 (b, *sides, c) in [0, 255] -> logits float32 (b, *sides, units * (1 + supervised)); its layer
        `logits` has those of the finest map, (b, *sides, units). 486,665 parameters with one channel, one label and the
        defaults.

    Raises:
        ValueError: sides that cannot be divided so often, another rank, numbers below 1, too few strides or kernels.

    Source: Ronneberger et al. 2015, arXiv:1505.04597; He et al. 2016, arXiv:1512.03385 (what is added).

    Example:
        >>> model = cnnkit.models.unet((64, 64, 1), 2, depth=2)
        >>> model.output_shape
        (None, 64, 64, 2)
    """
    *sides, _ = input_shape
    if len(sides) not in (2, 3):
        raise ValueError(
            f"`input_shape` needs two or three sides and channels. Received: input_shape={tuple(input_shape)}."
        )
    check_positive(units=units, width=width, depth=depth)
    strides = _a_level(strides, depth, len(sides), 2, "strides")
    kernels = _a_level(kernels, depth + 1, len(sides), 3, "kernels")
    steps = [math.prod(along) for along in zip(*strides)]
    if any(side % step or side < step for side, step in zip(sides, steps)):
        needed = str(steps[0]) if len(set(steps)) == 1 else " x ".join(map(str, steps))
        raise ValueError(
            f"The sides need to be multiples of {needed} px at `depth={depth}`. Received: image_shape={tuple(input_shape)}."
        )
    if not 0 <= supervised < depth:
        raise ValueError(f"`supervised` is at least 0 and below `depth`. Received: supervised={supervised}.")
    make = _Blocks(len(sides), momentum)
    given = keras.Input(tuple(input_shape), name="image")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(given)
    widths = [min(WIDEST, width * 2**level) for level in range(depth + 1)]
    fine = []
    for level, filters in enumerate(widths):
        if level:
            fine.append(x)
            x = make.conv(x, filters, kernel=kernels[level], strides=strides[level - 1], name=f"down{level}_first")
        else:
            x = make.conv(x, filters, kernel=kernels[0], name="down0_first")
        if level:  # a second one costs most where maps are largest
            x = make.pair(x, filters, residual, kernel=kernels[level], name=f"down{level}")
    maps = {depth: x}
    for level in reversed(range(depth)):
        filters = widths[level]
        x = make.double(x, filters, strides[level], name=f"up{level}_double")
        x = layers.Concatenate(name=f"up{level}_join")([fine[level], x])
        x = make.conv(x, filters, kernel=kernels[level], name=f"up{level}_first")
        if level:
            x = make.pair(x, filters, residual, kernel=kernels[level], name=f"up{level}")
        maps[level] = x
    return _answered(given, maps, units, strides[:supervised], make, "unet")


def _a_level(
    given: Sequence[Sequence[int]] | None, count: int, rank: int, default: int, name: str
) -> list[tuple[int, ...]]:
    """Return one number a side of each level: those given, checked, or the default's."""
    if given is None:
        return [(default,) * rank] * count
    found = [tuple(int(number) for number in numbers) for numbers in given]
    if len(found) != count or any(len(numbers) != rank or min(numbers) < 1 for numbers in found):
        raise ValueError(
            f"`{name}` needs {count} times {rank} whole numbers of at least 1. Received: {name}={tuple(found)}."
        )
    return found


@takes(backbone=FAMILIES)
def backbone_unet(
    input_shape: Sequence[int],
    units: int,
    *,
    backbone: str = "mobilenet_v2",
    alpha: float | None = None,
    width: int = 16,
    momentum: float = MOMENTUM,
) -> keras.Model:
    """Build a U-Net whose coarse maps are those of a backbone.

    Args:
        input_shape: (height, width, channels), in px; sides are multiples of 32.
        units: number of labels, without the background.
        backbone: one of `cnnkit.models.backbones.FAMILIES`.
        alpha: width of the MobileNets as a share of the published one; None: 0.35 for `mobilenet_v2`, otherwise 1.
        width: channels of the finest map; coarser ones have 1.5, 2, 3, 4 and 6 times as many.
        momentum: of the moving averages of batch norm.

    Returns:
        `keras.Model`: float32 (b, h, w, c) in [0, 255] -> logits float32 (b, h, w, units), of the layer `logits`.

    Raises:
        ValueError: as `backbone`; sides that are no multiples of 32.

    Source: Ronneberger et al. 2015, arXiv:1505.04597 (the layout); `keras.applications` (the coarse maps).

    Example:
        >>> model = cnnkit.models.backbone_unet((64, 64, 3), 2)
        >>> model.output_shape
        (None, 64, 64, 2)
    """
    if len(input_shape) != 3 or any(side % 32 or side < 32 for side in input_shape[:2]):
        raise ValueError(f"The sides need to be multiples of 32 px. Received: image_shape={tuple(input_shape)}.")
    check_positive(units=units, width=width)
    if alpha is None and backbone == "mobilenet_v2":
        alpha = 0.35
    body = build_backbone(backbone, input_shape, alpha=alpha, momentum=momentum)
    make = _Blocks(2, momentum)
    first = layers.Rescaling(1 / 127.5, -1.0, name="fine_rescale")(body.input)
    fine0 = make.conv(first, width, name="fine0")
    fine1 = make.conv(fine0, round(1.5 * width), strides=2, name="fine1")
    taps = body.output
    x = taps["stride32"]
    x = make.conv(x, 6 * width, kernel=1, name="bottom")
    skips = [("up4", taps["stride16"], 6), ("up3", taps["stride8"], 4), ("up2", taps["stride4"], 3)]
    for name, skip, times in [*skips, ("up1", fine1, 2), ("up0", fine0, 1)]:
        filters = round(times * width)
        x = layers.UpSampling2D(name=f"{name}_double")(x)
        skip = make.conv(skip, filters, kernel=1, name=f"{name}_lateral")
        x = layers.Concatenate(name=f"{name}_join")([skip, x])
        x = separable_block(x, filters, 3, name=f"{name}_first")
        x = separable_block(x, filters, 3, name=f"{name}_second")
    model = _answered(body.input, {0: x}, units, (), make, f"unet_{backbone}")
    model.pretrained = getattr(body, "pretrained", None)
    return model


class _Blocks:
    """Convolutions of one rank."""

    def __init__(self, rank: int, momentum: float):
        self.momentum = momentum
        self.convolution = (layers.Conv2D, layers.Conv3D)[rank - 2]
        self.transposed = (layers.Conv2DTranspose, layers.Conv3DTranspose)[rank - 2]
        self.upsampling = (layers.UpSampling2D, layers.UpSampling3D)[rank - 2]

    def conv(self, x, filters: int, *, kernel: Sides = 3, strides: Sides = 1, relu: bool = True, name: str):
        start = {"use_bias": False, "kernel_initializer": "he_normal", "padding": "same"}
        x = self.convolution(filters, kernel, strides=strides, name=f"{name}_conv", **start)(x)
        x = layers.BatchNormalization(momentum=self.momentum, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def pair(self, x, filters: int, residual: bool, *, kernel: Sides, name: str):
        """One convolution more; with `residual` around it."""
        y = self.conv(x, filters, kernel=kernel, relu=not residual, name=f"{name}_second")
        return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y])) if residual else y

    def double(self, x, filters: int, strides: Sides, *, name: str):
        """What undoes a convolution of these strides; none of its parts overlap."""
        return self.transposed(filters, strides, strides=strides, kernel_initializer="he_normal", name=name)(x)

    def last(self, x, units: int, *, name: str):
        return self.convolution(units, 1, dtype="float32", name=name)(x)


def _answered(given, maps, units: int, strides: Sequence[Sequence[int]], make: _Blocks, name: str) -> keras.Model:
    """Return a model of the maps by level that answers with the finest, and in training with as many coarser ones as strides."""
    found = [make.last(maps[0], units, name="logits")]
    for level in range(1, len(strides) + 1):
        coarse = make.last(maps[level], units, name=f"logits{level}")
        times = tuple(math.prod(along) for along in zip(*strides[:level]))
        found.append(make.upsampling(times, name=f"logits{level}_large")(coarse))
    if strides:
        found = [layers.Concatenate(name=EVERY, dtype="float32")(found)]
    return keras.Model(given, found[0], name=name)

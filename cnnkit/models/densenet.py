"""Densely connected networks for small images."""

import keras
from keras import layers

from cnnkit.models.arguments import check_positive
from cnnkit.models.blocks import MOMENTUM, check_arguments, logits


def densenet(
    image_shape: tuple[int, int, int], classes: int, *, width: int = 12, depth: int = 4, stages: int = 3
) -> keras.Model:
    """Build a small DenseNet-BC: within a stage every layer reads all layers before it.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        width: the growth rate, filters that a layer adds.
        depth: layers a stage, each a 1x1 and a 3x3 convolution. 16 with three stages: DenseNet-BC-100.
        stages: between two, the channels and the sides are halved.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes).

    Raises:
        ValueError: sides below 2**stages px, or an option below 1.

    Source: Huang et al. 2017, arXiv:1608.06993: DenseNet-BC for CIFAR, bottlenecks of four times the growth rate,
    compression 0.5.
    """
    check_positive(width=width, depth=depth, stages=stages)
    check_arguments(image_shape, classes, 2**stages, f"`stages={stages}`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(2 * width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name="stem")(x)
    for stage in range(stages):
        if stage:
            x = _norm_relu_conv(x, x.shape[-1] // 2, 1, name=f"transition{stage}")
            x = layers.AveragePooling2D(2, name=f"transition{stage}_pool")(x)
        for layer in range(depth):
            name = f"stage{stage}_layer{layer}"
            new = _norm_relu_conv(x, 4 * width, 1, name=f"{name}_narrow")
            new = _norm_relu_conv(new, width, 3, name=f"{name}_wide")
            x = layers.Concatenate(name=name)([x, new])
    x = layers.BatchNormalization(momentum=MOMENTUM, name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, logits(x, classes), name="densenet")


def _norm_relu_conv(x: keras.KerasTensor, filters: int, kernel: int, *, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.Conv2D(
        filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)

"""Residual networks for small images."""

import keras
from keras import layers

from cnnkit.models.arguments import check_positive
from cnnkit.models.blocks import check_arguments, conv_block, logits


def resnet(image_shape: tuple[int, int, int], classes: int, *, width: int = 16, depth: int = 3) -> keras.Model:
    """Build the residual network for small images: three stages that double in width and halve in size.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        width: filters in the first stage.
        depth: blocks a stage, of two convolutions each. 3: ResNet-20, 5: ResNet-32, 9: ResNet-56.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes). 273,754 parameters at 28x28x1, ten
        classes and the defaults.

    Raises:
        ValueError: sides below 8 px, or an option below 1.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2; shortcuts that change the shape are 1x1 convolutions with
    batch norm (option B), which convert to built-in operators.
    """
    check_positive(width=width, depth=depth)
    check_arguments(image_shape, classes, 8, "`resnet`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = conv_block(x, width, name="stem")
    for stage in range(3):
        for block in range(depth):
            strides = 2 if stage and not block else 1
            x = _residual_block(x, width * 2**stage, strides, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, logits(x, classes), name="resnet")


def _residual_block(x: keras.KerasTensor, filters: int, strides: int, *, name: str) -> keras.KerasTensor:
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = conv_block(x, filters, 1, strides=strides, relu=False, name=f"{name}_shortcut")
    x = conv_block(x, filters, strides=strides, name=f"{name}_first")
    x = conv_block(x, filters, relu=False, name=f"{name}_second")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))

"""Our own networks for small images: one accurate for its size, one that looks for something anywhere, one tiny."""

import keras
from keras import layers

from cnnkit.models.arguments import check_positive
from cnnkit.models.blocks import MOMENTUM, check_arguments, conv_block, logits, separable_block


def small_cnn(image_shape: tuple[int, int, int], classes: int, *, width: int = 24, depth: int = 2) -> keras.Model:
    """Build a plain CNN: levels of two convolutions and a pooling, one more convolution, a linear layer.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        width: filters in the first level; the later ones have 5/3 of it, the last convolution 4/3.
        depth: number of levels. 2 suits sides of 20 to 40 px; take one more each time the sides double.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes). 41,890 parameters at 28x28x1, ten
        classes and the defaults.

    Raises:
        ValueError: images too small for `depth` (20 px for 2), or an option below 1.

    Convolutions do not pad: a digit's margin is empty, and the map shrinks for free (28 -> 24 -> 12 -> 8 -> 4 -> 2 px).
    The linear layer reads positions, where global pooling would throw them away.

    Source: Simonyan and Zisserman 2015 (the layout), Ioffe and Szegedy 2015 (batch norm).

    Example:
        >>> model = cnnkit.models.small_cnn((28, 28, 1), 10, width=8)
        >>> model.output_shape
        (None, 10)
    """
    check_positive(width=width, depth=depth)
    smallest = 3  # what the last convolution needs
    for _ in range(depth):
        smallest = 2 * smallest + 4
    check_arguments(image_shape, classes, smallest, f"`depth={depth}`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    for level in range(depth):
        filters = width if level == 0 else width * 5 // 3
        x = conv_block(x, filters, padding="valid", name=f"level{level}_first")
        x = conv_block(x, filters, padding="valid", name=f"level{level}_second")
        x = layers.MaxPooling2D(name=f"level{level}_pool")(x)
    x = conv_block(x, width * 4 // 3, padding="valid", name="last")
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, logits(x, classes), name="small_cnn")


def spot_cnn(image_shape: tuple[int, int, int], classes: int, *, width: int = 16, depth: int = 4) -> keras.Model:
    """Build a CNN for something small that may be anywhere: levels of two convolutions, maxima and means of the last map.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        width: filters in the first level; each later one has half of it more.
        depth: number of levels.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes).

    Raises:
        ValueError: images too small for `depth` (16 px for 4), or an option below 1.

    What is there in one place counts wherever it is: a maximum over places neither thins it out, as a mean alone does, nor has
    to be learnt place by place, as by a linear layer. Means say what the rest of the image is like. The first convolution halves
    the sides, so that a large image stays affordable.

    Source: Oquab et al. 2015, "Is object localization for free?" (the maximum).

    Example:
        >>> model = cnnkit.models.spot_cnn((64, 64, 1), 2, depth=2)
        >>> model.output_shape
        (None, 2)
    """
    check_positive(width=width, depth=depth)
    check_arguments(image_shape, classes, 2**depth, f"`depth={depth}`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    for level in range(depth):
        filters = width * (level + 2) // 2
        x = conv_block(x, filters, strides=1 if level else 2, name=f"level{level}_first")
        x = conv_block(x, filters, name=f"level{level}_second")
        if level < depth - 1:
            x = layers.MaxPooling2D(name=f"level{level}_pool")(x)
    pools = [layers.GlobalMaxPooling2D(name="maxima")(x), layers.GlobalAveragePooling2D(name="means")(x)]
    x = layers.Concatenate(name="places")(pools)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(image, logits(x, classes), name="spot_cnn")


def micro_cnn(image_shape: tuple[int, int, int], classes: int, *, width: int = 16) -> keras.Model:
    """Build a CNN that fits a microcontroller: one convolution, two separable ones, learned pooling.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        width: filters of every layer.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes). 1,914 parameters at 28x28x1, ten
        classes and the default width, the moving averages of batch norm included.

    Raises:
        ValueError: sides below 8 px, or a width below 1.

    The last depthwise convolution covers the whole 3x3 map: a weighted pooling in place of an average, which keeps
    where a stroke was for nine weights a filter.

    Source: Howard et al. 2017, arXiv:1704.04861 (depthwise separable), Chen et al. 2018, arXiv:1804.07573 (learned
    global pooling).

    Example:
        >>> model = cnnkit.models.micro_cnn((28, 28, 1), 10)
        >>> model.output_shape
        (None, 10)
    """
    check_positive(width=width)
    check_arguments(image_shape, classes, 8, "`micro_cnn`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name="stem_conv")(x)
    x = layers.BatchNormalization(momentum=MOMENTUM, scale=False, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(name="stem_pool")(x)
    x = separable_block(x, width, 5, name="block1")
    x = layers.MaxPooling2D(name="block1_pool")(x)
    x = separable_block(x, width, 5, name="block2")
    x = layers.MaxPooling2D(name="block2_pool")(x)
    x = layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, logits(x, classes), name="micro_cnn")

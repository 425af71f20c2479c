"""The networks of the textbooks."""

import keras
from keras import layers

from cnnkit.models.arguments import check_positive
from cnnkit.models.blocks import check_arguments, logits


def lenet5(image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Build LeNet-5 as it is read today.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes). 61,706 parameters at 28x28x1 and
        ten classes.

    Raises:
        ValueError: sides below 12 px.

    Kept from the paper: the layers and their sizes, average pooling, tanh, grey values scaled to [-0.1, 1.175]. Not
    kept, as in every modern reading: the partial connection table of C3 (full here), trainable pooling coefficients,
    the scaled tanh and the radial basis outputs (logits here). The paper's 32x32 frame is the zero padding of C1.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition".
    """
    check_arguments(image_shape, classes, 12, "`lenet5`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1.275 / 255, offset=-0.1, name="rescale")(image)
    x = layers.Conv2D(6, 5, padding="same", activation="tanh", name="c1")(x)
    x = layers.AveragePooling2D(2, name="s2")(x)
    x = layers.Conv2D(16, 5, activation="tanh", name="c3")(x)
    x = layers.AveragePooling2D(2, name="s4")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, activation="tanh", name="c5")(x)  # at 28x28 a convolution over the whole map is this
    x = layers.Dense(84, activation="tanh", name="f6")(x)
    return keras.Model(image, logits(x, classes), name="lenet5")


def simple_cnn(image_shape: tuple[int, int, int], classes: int, *, width: int = 16) -> keras.Model:
    """Build the CNN of an introduction: convolution and pooling twice, then a linear layer.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        width: filters of the first convolution; the second has twice as many.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes). At 28x28x1, ten classes and the
        default width 160 + 4,640 + 15,690 = 20,490 parameters.

    Raises:
        ValueError: sides below 4 px, or a width below 1.
    """
    check_positive(width=width)
    check_arguments(image_shape, classes, 4, "`simple_cnn`")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(width, 3, padding="same", activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(2 * width, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, logits(x, classes), name="simple_cnn")

"""The networks of textbooks and papers, at the size of small images."""

import keras
from keras import layers

from cnnkit.models.arguments import check_positive
from cnnkit.models.blocks import MOMENTUM, check_arguments, conv_block, logits


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

    Example:
        >>> model = cnnkit.models.lenet5((28, 28, 1), 10)
        >>> model.output_shape
        (None, 10)
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

    Source: LeCun et al. 1998 (the layout), with ReLU and largest values, as introductions have it.

    Example:
        >>> model = cnnkit.models.simple_cnn((28, 28, 1), 10, width=8)
        >>> model.output_shape
        (None, 10)
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

    Example:
        >>> model = cnnkit.models.resnet((32, 32, 3), 10, depth=1)
        >>> model.output_shape
        (None, 10)
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

    Example:
        >>> model = cnnkit.models.densenet((32, 32, 3), 10, depth=2, stages=2)
        >>> model.output_shape
        (None, 10)
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

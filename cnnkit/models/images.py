"""The classifiers of images by the names that apps give them; among them one on any backbone."""

from collections.abc import Callable

import keras
from keras import layers

from cnnkit.models.arguments import takes
from cnnkit.models.backbones import FAMILIES, SMALLEST
from cnnkit.models.backbones import backbone as build_backbone
from cnnkit.models.blocks import MOMENTUM, check_arguments, logits
from cnnkit.models.classic import densenet, lenet5, resnet, simple_cnn
from cnnkit.models.small import micro_cnn, small_cnn


@takes(backbone=FAMILIES)
def classifier(
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    backbone: str = "mobilenet_v2",
    alpha: float | None = None,
    dropout: float = 0.2,
    momentum: float = MOMENTUM,
) -> keras.Model:
    """Build a classifier on a backbone: its last map averaged, dropout, a linear layer.

    Args:
        image_shape: (height, width, channels), in px.
        classes: number of labels.
        backbone: one of `FAMILIES`.
        alpha: width of the MobileNets as a share of the published one; None: 0.35 for `mobilenet_v2`, otherwise 1.
        dropout: share of the features dropped in training.
        momentum: as in `backbone`.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> logits (b, classes). 465,291 parameters at three
        channels, 43 classes and the defaults.

    Raises:
        ValueError: as `backbone`; a `dropout` outside [0, 1).

    Source: `keras.applications`; the papers are named there.

    Example:
        >>> model = cnnkit.models.classifier((64, 64, 3), 10)
        >>> model.output_shape
        (None, 10)
    """
    check_arguments(image_shape, classes, SMALLEST, f"`{backbone}`")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` needs a share of at least 0 and below 1. Received: dropout={dropout}.")
    if alpha is None and backbone == "mobilenet_v2":
        alpha = 0.35
    features = build_backbone(backbone, image_shape, alpha=alpha, pooled=True, momentum=momentum)
    x = layers.Dropout(dropout, name="dropout")(features.output)
    model = keras.Model(features.input, logits(x, classes), name=backbone)
    model.pretrained = features.pretrained
    return model


MODELS: dict[str, Callable[..., keras.Model]] = {
    "default": small_cnn,
    "micro": micro_cnn,
    "simple_cnn": simple_cnn,
    "lenet5": lenet5,
    "resnet": resnet,
    "densenet": densenet,
    "backbone": classifier,
}

"""Model builders: f(image_shape, classes, *, options) -> `keras.Model`, float32 (b, h, w, c) in [0, 255] -> logits."""

from collections.abc import Callable

import keras

from cnnkit.models.backbones import backbone
from cnnkit.models.classic import lenet5, simple_cnn
from cnnkit.models.classifier import classifier
from cnnkit.models.densenet import densenet
from cnnkit.models.resnet import resnet
from cnnkit.models.small import micro_cnn, small_cnn

MODELS: dict[str, Callable[..., keras.Model]] = {
    "default": small_cnn,
    "micro": micro_cnn,
    "simple_cnn": simple_cnn,
    "lenet5": lenet5,
    "resnet": resnet,
    "densenet": densenet,
    "backbone": classifier,
}

__all__ = ["MODELS", "backbone", "classifier", "densenet", "lenet5", "micro_cnn", "resnet", "simple_cnn", "small_cnn"]

"""The classifiers of images by the names that apps give them."""

from collections.abc import Callable

import keras

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

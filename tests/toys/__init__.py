"""Small stand-ins for tests: records in memory, a task that is learnt in seconds, a recipe around it.

The converter and the trainer are tested on them, in seconds instead of minutes; the digits' own tests show that it holds on real
data. `number` and `series` are kinds that no app has, and `apps` brings both through every verb.
"""

import contextlib

import numpy as np

from cnnkit.data.records import Splits
from cnnkit.evaluation.settings import Answers, Classes
from cnnkit.inputs.image.records import ImageRecords
from cnnkit.inputs.image.settings import IMAGES
from cnnkit.settings import joined
from cnnkit.training import settings as of_training

Settings = joined(of_training.Settings, *IMAGES, Classes, Answers)  # of its runs

ABOUT = {"task": "classification", "input": {"kind": "image"}}  # the least that an artifact of images says


class MemoryImages:
    """Images in an array, uint8 (n, h, w, c)."""

    def __init__(self, images):
        self.images = images

    shape = property(lambda self: self.images.shape[1:])

    def __len__(self):
        return len(self.images)

    def read(self, indices, shape):
        from cnnkit.device.image import fit_image

        return (
            np.stack([fit_image(image, shape) for image in self.images[indices]])
            if len(indices)
            else np.zeros((0, *shape), np.uint8)
        )

    def native(self, index):
        return self.images[index]

    def name(self, index):
        return f"toy[{index}]"

    def digest(self, indices, add):
        add(np.ascontiguousarray(self.images[indices]))


def bars(count, seed=0, side=12):
    """Records of three classes: a horizontal bar, a vertical bar, a square, somewhere in noise."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 3).astype(np.int32)
    images = rng.integers(0, 60, (count, side, side, 1)).astype(np.uint8)
    for image, label in zip(images, labels):
        y, x = rng.integers(1, side - 5, 2)
        height, width = ((1, 5), (5, 1), (4, 4))[label]
        image[y : y + height, x : x + width] = rng.integers(150, 255)
    return ImageRecords(MemoryImages(images), labels, ("horizontal", "vertical", "square"))


def splits(train=240, validation=60, test=150):
    """The toy data set, divided."""
    card = {"name": "bars", "title": "Bars", "licence": "", "source": "", "citation": ""}
    return Splits(bars(train, 1), bars(validation, 2), bars(test, 3), card)


def tiny_cnn(image_shape, classes, *, width=8, dropout=0.1):
    """A CNN with batch norm and dropout, so that every kind of state is there to be saved."""
    import keras
    from keras import layers

    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(2 * width, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.GlobalMaxPooling2D(name="gather")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="tiny_cnn")


def recipe(data=None, **changes):
    """A recipe around the toy data."""
    from cnnkit.inputs.image.images import Images
    from cnnkit.recipe import Recipe
    from cnnkit.tasks.classification.scoring import Classification

    def augmentation(seed):
        from cnnkit import augment

        return augment.Pipeline(augment.RandomWarp(translation=0.1), seed=seed)

    data = data or splits()
    return Recipe(
        **{
            "app": "toy",
            "data": "bars",
            "task": Classification(),
            "inputs": Images(),
            "load": lambda source, **_: data,
            "builders": {"default": tiny_cnn},
            "augmentation": augmentation,
            "preset": lambda model, count, loaded: {"epochs": 8, "batch_size": 24, "learning_rate": 0.01},
        }
        | changes
    )


def fit(path, settings, until=None):
    """Train the toy, or go on; return its run. `until`: stop as if killed after so many epochs, 0: before the first."""
    from cnnkit import training
    from cnnkit.run import Run

    class Killed(Exception):
        pass

    def stop(epoch):
        if epoch == until:
            raise Killed

    chosen = Settings(**settings)
    run = Run.open(path) if path.exists() else Run.create(path, "toy", chosen)
    with contextlib.suppress(Killed):
        training.fit(
            recipe(), chosen, splits(), run, on_epoch=lambda state: stop(state.epoch), on_load=lambda found: stop(0)
        )
    return run

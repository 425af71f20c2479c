"""The training batches of a run, with its augmentation."""

from collections.abc import Callable
from typing import Any

import keras

from cnnkit import augment
from cnnkit.config import Settings
from cnnkit.data.pipeline import Order, training_batches
from cnnkit.data.records import Records
from cnnkit.errors import ConfigError


class Batches:
    """The training batches of a run, for any range of steps."""

    def __init__(self, recipe: Any, settings: Settings, records: Records, order: Order):
        self.recipe, self.settings, self.records, self.order = recipe, settings, records, order
        self.encode = recipe.task.encoder(len(records.label_names))
        self.augmentation = augmentation_of(recipe, settings)
        self.views = recipe.views(records, settings) if settings.augment and recipe.views is not None else None
        self.weights = recipe.task.sample_weights(records) if settings.class_weights else None

    def __call__(self, start: int, stop: int) -> Any:
        return training_batches(
            self.records,
            self.order,
            start=start,
            stop=stop,
            encode=self.encode,
            augmentation=self.augmentation,
            weights=self.weights,
            views=self.views,
        )

    def plain(self, start: int, stop: int) -> Any:
        """The same batches without augmentation."""
        return training_batches(self.records, self.order, start=start, stop=stop, encode=self.encode)


def augmentation_of(recipe: Any, settings: Settings) -> Callable[..., Any] | None:
    layers = []
    boxed = recipe.views is not None  # mirroring is then up to the views, which move the boxes too
    for name in ("rand_augment", "mixup", "cutmix"):
        if boxed and getattr(settings, name):
            raise ConfigError(f"--{name.replace('_', '-')} is for classification of images.")
    if settings.rand_augment:
        layers.append(augment.rand_augment())
    if settings.mixup:
        layers.append(augment.mixup(settings.mixup))
    if settings.cutmix:
        layers.append(augment.cutmix(settings.cutmix))
    own = recipe.augmentation(settings.seed) if settings.augment and recipe.augmentation is not None else None
    parts = (
        [augment.on_images(keras.layers.RandomFlip("horizontal"), seed=settings.seed + 2)]
        if settings.mirror and not boxed
        else []
    )
    parts += [own] if own is not None else []
    parts += [augment.on_images(*layers, seed=settings.seed + 1)] if layers else []

    def one_after_the_other(images: Any, targets: Any, step: Any) -> tuple[Any, Any]:
        for part in parts:
            images, targets = part(images, targets, step)
        return images, targets

    return one_after_the_other if parts else None

"""The training batches of a run, with its augmentation."""

from collections.abc import Callable
from typing import Any

from cnnkit.data.pipeline import Order, training_batches
from cnnkit.data.records import Records
from cnnkit.training.settings import Settings


class Batches:
    """The training batches of a run, for any range of steps."""

    def __init__(self, recipe: Any, settings: Settings, records: Records, order: Order):
        self.recipe, self.settings, self.records, self.order = recipe, settings, records, order
        self.encode = recipe.task.encoder(len(records.label_names))
        self.augmentation = augmentation_of(recipe, settings)
        self.views = recipe.views(records, settings) if settings.augment and recipe.views is not None else None
        self.weights = recipe.task.sample_weights(records, settings)

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
    """Return what is done to a batch of training, the parts one after the other; None: nothing."""
    own = recipe.augmentation(settings.seed) if settings.augment and recipe.augmentation is not None else None
    parts = recipe.inputs.augmentations(own, settings)

    def one_after_the_other(images: Any, targets: Any, step: Any) -> tuple[Any, Any]:
        for part in parts:
            images, targets = part(images, targets, step)
        return images, targets

    return one_after_the_other if parts else None

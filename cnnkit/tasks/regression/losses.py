"""Losses and a metric of values in their own units, for networks that answer with mean 0 and deviation 1.

Design choices:
- Targets stay in the units of the data until the loss: so augmentation can change them as a person would, a mirrored angle
  being its negative, and no offset of a scale is in the way.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

LOSSES = ("huber", "absolute", "squared")
DELTA = 0.5  # deviations, from which on Huber's loss counts errors as they are, and not their squares


@keras.saving.register_keras_serializable("cnnkit")
class ScaledLoss(keras.losses.Loss):
    """A loss of targets float32 (b, k) in their units and answers (b, k) in deviations from the mean.

    Args:
        kind: one of `LOSSES`: Huber 1964 with `DELTA`, the absolute or the squared error.
        mean, std: (k,), of the training data.
    """

    def __init__(
        self, kind: str, mean: Sequence[float], std: Sequence[float], name: str = "scaled_loss", **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        if kind not in LOSSES:
            raise ValueError(f"`kind` needs one of {', '.join(LOSSES)}. Received: kind={kind!r}.")
        self.kind, self.mean, self.std = kind, list(mean), list(std)

    def get_config(self) -> dict[str, Any]:
        """Return what makes another one of its kind."""
        return {**super().get_config(), "kind": self.kind, "mean": self.mean, "std": self.std}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each record, (b,): the mean over its values."""
        scaled = (ops.cast(y_true, "float32") - ops.convert_to_tensor(self.mean, "float32")) / ops.convert_to_tensor(
            self.std, "float32"
        )
        apart = ops.abs(scaled - ops.cast(y_pred, "float32"))
        if self.kind == "squared":
            apart = ops.square(apart)
        elif self.kind == "huber":
            apart = ops.where(apart <= DELTA, 0.5 * ops.square(apart), DELTA * (apart - 0.5 * DELTA))
        return ops.mean(apart, axis=-1)


@keras.saving.register_keras_serializable("cnnkit")
class ScaledError(keras.metrics.Mean):
    """The mean absolute error in a unit; inputs as `ScaledLoss`.

    Args:
        std: (k,), of the training data.
        mean: (k,), of the training data.
        scale: (k,), what each value's error is divided by.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], scale: Sequence[float], name: str = "error", **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        self.means, self.stds, self.scales = list(mean), list(std), list(scale)

    def get_config(self) -> dict[str, Any]:
        """Return what makes another one of its kind."""
        return {**super().get_config(), "mean": self.means, "std": self.stds, "scale": self.scales}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the errors of a batch."""
        mean, std, scale = (ops.convert_to_tensor(part, "float32") for part in (self.means, self.stds, self.scales))
        answered = ops.cast(y_pred, "float32") * std + mean
        super().update_state(ops.mean(ops.abs(answered - ops.cast(y_true, "float32")) / scale, axis=-1))

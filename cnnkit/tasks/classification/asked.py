"""A loss and a metric of several labels where a record was not asked for all of them (`cnnkit.data.asked`)."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("cnnkit")
class AskedCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of several labels, without those that a record was not asked for.

    Takes targets float32 (b, classes), 1, 0, or below 0 for a label that was not asked for, and logits (b, classes). Where all
    were asked it is Keras's `BinaryCrossentropy`.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "binary_crossentropy", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def get_config(self) -> dict[str, Any]:
        """Return what makes another one of its kind."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each record, (b,): the mean over labels, those not asked for being 0."""
        known = y_true >= 0
        smooth = ops.where(known, y_true, 0.0) * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses = ops.binary_crossentropy(smooth, y_pred, from_logits=True)
        return ops.mean(ops.where(known, losses, 0.0), axis=-1)


@keras.saving.register_keras_serializable("cnnkit")
class AskedAccuracy(keras.metrics.Mean):
    """The share of labels asked for that are right at a probability of one half; inputs as `AskedCrossentropy`."""

    def __init__(self, name: str = "accuracy", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the labels of a batch."""
        known = ops.cast(y_true >= 0, "float32")
        right = ops.cast(ops.equal(y_true > 0.5, y_pred > 0), "float32")
        super().update_state(right, sample_weight=known)

"""A picture mirrored together with its values: those that have a side change their sign."""

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("cnnkit")
class RandomMirror(keras.layers.RandomFlip):
    """Mirror half of the pictures, left for right; values with a side change their sign there.

    For `cnnkit.augment.Pipeline`, whose `labels` are values float (b, k) in their own units.

    Args:
        negated: (k,), which values change sign: an angle to the left is one to the right in a mirror, a speed stays.
    """

    def __init__(self, negated: Sequence[bool], **kwargs: Any):
        kwargs.pop("mode", None)
        super().__init__(
            "horizontal", data_format="channels_last", **{k: v for k, v in kwargs.items() if k != "data_format"}
        )
        self.negated = [bool(value) for value in negated]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "negated": self.negated}

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Return the values of mirrored pictures."""
        if not training or transformation is None:
            return labels
        ops = self.backend
        sign = ops.convert_to_tensor([-1.0 if negated else 1.0 for negated in self.negated])
        flips = ops.numpy.reshape(transformation["flips"], (-1, 1))
        values = ops.cast(labels, "float32")
        return ops.numpy.where(flips, values * sign, values)

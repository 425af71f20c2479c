"""What a task adds to the graph that training made, for a device: the training half of a task in a file.

Kinds override what differs; `cnnkit.registry` finds them. Keras is imported inside functions.
"""

from collections.abc import Mapping
from typing import Any


class TaskGraph:
    """The end of an exported graph."""

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a device reads, by the names that the device half has: by default the model's output, as float32.

        Args:
            model: the `keras.Model` that was trained, or one of the same layers.
            metadata: of the artifact, with what was decided after training.
        """
        from cnnkit.registry import DEVICE, task_of

        (name,) = task_of(metadata, DEVICE, "The model").outputs
        return {name: plain(model.output, name)}

    def layers(self) -> None:
        """Import the layers of our own that models of this task have, so that Keras knows them."""


def plain(tensor: Any, name: str) -> Any:
    """Return a tensor as float32, whatever precision the model computes in."""
    from keras import layers

    return layers.Activation("linear", dtype="float32", name=name)(tensor)

"""The training half of a task that a file names: what its exported graph ends in, and what a report says of its scores.

Kinds override what differs; `cnnkit.registry` finds them. Keras is imported inside functions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.data.readable import Readable
from cnnkit.export.forms import Answer, Unlike


class TaskTraining(Readable):
    """What is a task's own of a trained model; one that reads no data leaves that to its input.

    Attributes:
        need: what a model of somebody's own has to be.
    """

    need = "takes one input and ends in logits, a number a label, without softmax or sigmoid"

    def owned(self, model: Any, shape: Sequence[int], units: int, options: Mapping[str, Any]) -> Any:
        """Return a model of somebody's own as this task trains it.

        Args:
            model: `keras.Model` of one input and one output.
            shape: of its input.
            units: numbers that it has to answer with.
            options: that the app's own builders would be given for the data.

        Raises:
            ValueError: what it lacks, to stand behind "it".
        """
        return model

    def tried(self, units: int) -> dict[str, Any]:
        """Return metadata with which `finish` can be tried on a model of so many units, beside `task` and `labels`."""
        return {}

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a device reads, by the names that the device half has: by default the model's output, as float32.

        Args:
            model: the `keras.Model` that was trained, or one of the same layers.
            metadata: of the artifact, with what was decided after training.
        """
        from cnnkit.registry import DEVICE, task_of

        (name,) = task_of(metadata, DEVICE, "The model").outputs
        return {name: plain(model.output, name)}

    def seen(self, sample: Any, metadata: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray | None:
        """Return what a network sees of an input first, (*shape), where this task has it seen otherwise than its kind does."""
        return None

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Answer | Unlike | None:
        """Return what an answer is to the programs of others (`cnnkit.export.forms`); None: nothing that they know.

        Args:
            metadata: of the artifact.
            shape: of its input.
        """
        return None

    def layers(self) -> None:
        """Import the layers of our own that models of this task have, so that Keras knows them."""

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        """Return the sections (`cnnkit.report.blocks.Section`) of a report that say what scores are made of; None: left out.

        Args:
            scores: as the task scores, or as `run.json` has them, with `baseline`.
            labels: of the artifact.
        """
        from cnnkit.report import sections

        return [sections.per_class(scores)]

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        """Return what a model of this task cannot say, for its card.

        Args:
            labels, metadata: of the artifact.
            record: a `cnnkit.report.record.Record`.
        """
        return ""


def sides(shape: Sequence[int | None]) -> str:
    """Return a shape as a person reads it: 28 x 28 x 1."""
    return " x ".join("any" if side is None else str(side) for side in shape)


def tempered(logits: Any, metadata: Mapping[str, Any]) -> Any:
    """Return logits divided by the temperature that validation data decided, and the offset added, where metadata have one.

    `cnnkit.evaluation.calibration` says how they are decided. Right behind a dense layer the converter makes it part of that
    layer's weights, so that files have no operator more for it.
    """
    from keras import layers

    if "temperature" not in metadata and "offset" not in metadata:
        return logits
    scale, offset = 1 / metadata.get("temperature", 1.0), metadata.get("offset", 0.0)
    return layers.Rescaling(scale, offset, name="temperature", dtype="float32")(logits)


def plain(tensor: Any, name: str) -> Any:
    """Return a tensor as float32, whatever precision the model computes in."""
    from keras import layers

    return layers.Activation("linear", dtype="float32", name=name)(tensor)

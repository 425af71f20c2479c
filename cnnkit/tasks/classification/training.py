"""One class an input: how its graph ends."""

from collections.abc import Mapping
from typing import Any

from cnnkit.tasks.training import TaskGraph, plain


class Classification(TaskGraph):
    """A softmax of logits (b, classes), which are divided by the temperature that validation data decided.

    So probabilities are as often right as they say (Guo et al. 2017, arXiv:1706.04599).
    """

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        logits = plain(model.output, "float_logits")
        if "temperature" in metadata:
            logits = layers.Rescaling(1 / metadata["temperature"], name="temperature", dtype="float32")(logits)
        return {"scores": layers.Softmax(name="scores", dtype="float32")(logits)}


KIND = Classification()

"""Several labels an input: how its graph ends."""

from collections.abc import Mapping
from typing import Any

from cnnkit.tasks.training import TaskGraph, plain


class Multilabel(TaskGraph):
    """A sigmoid of logits (b, labels): labels do not exclude each other."""

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        return {"scores": layers.Activation("sigmoid", name="scores")(plain(model.output, "float_logits"))}


KIND = Multilabel()

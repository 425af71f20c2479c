"""Boxes around objects: how the graph of a detector ends."""

from collections.abc import Mapping
from typing import Any

from cnnkit.tasks.training import TaskGraph, plain


class Detection(TaskGraph):
    """Raw boxes, and a sigmoid of every cell's logits: the layers `boxes` and `every_logit` of our detectors."""

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        boxes, logits = (model.get_layer(name).output for name in ("boxes", "every_logit"))
        scores = layers.Activation("sigmoid", dtype="float32", name="scores")(plain(logits, "float_logits"))
        return {"boxes": plain(boxes, "raw_boxes"), "scores": scores}

    def layers(self) -> None:
        import cnnkit.models.detector  # noqa: F401


KIND = Detection()

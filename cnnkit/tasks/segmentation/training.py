"""Masks: how the graph of a segmenting network ends, and what a report says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.segmentation import Plan
from cnnkit.export.forms import Map, Unlike
from cnnkit.tasks.training import TaskTraining, plain, sides


class Segmentation(TaskTraining):
    """A sigmoid of each label's logits, or a softmax of them and of the background, whose logit is 0."""

    reads = "segmentation"
    need = (
        "takes one input and ends in a map of logits as large as that, (b, *sides, labels), without softmax or sigmoid: the "
        "background's logit is 0"
    )

    def owned(self, model: Any, shape: Sequence[int], units: int, options: Mapping[str, Any]) -> Any:
        import keras

        ends = tuple(model.output.shape[1:])
        if len(ends) != len(shape) or any(own not in (None, side) for own, side in zip(ends[:-1], shape[:-1])):
            raise ValueError(f"ends in {sides(ends)}, and a mask has {sides([*shape[:-1], units])}")
        if ends[-1] != units:
            raise ValueError(f"ends in {ends[-1]} numbers a pixel for {units} labels")
        if any(layer.name == "logits" for layer in model.layers):
            return model
        return keras.Model(model.input, plain(model.output, "logits"), name=model.name)

    def load(self, source: Any, **how: Any) -> Any:
        from cnnkit.tasks.segmentation import loading

        return loading.load(source, **how)

    def inputs(self) -> Any:
        from cnnkit.tasks.segmentation.images import Masked

        return Masked()

    def kept(self, parts: Any, labels: Sequence[str]) -> Any:
        from cnnkit.tasks.segmentation import kept

        return kept.kept(parts, labels)

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers, ops

        logits = plain(model.get_layer("logits").output, "float_logits")
        plan = Plan.from_dict(metadata.get("segmentation") or {})
        if plan.channels(logits.shape[-1]) == logits.shape[-1]:
            return {"scores": layers.Activation("sigmoid", dtype="float32", name="scores")(logits)}
        sides = [(0, 0)] * (len(logits.shape) - 1)
        every = ops.pad(logits, (*sides, (1, 0)))
        return {"scores": layers.Activation("softmax", dtype="float32", name="scores")(every)}

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Map | Unlike:
        labels = len(metadata.get("labels") or ())
        plan = Plan.from_dict(metadata.get("segmentation") or {})
        if plan.voxel is not None:
            return Unlike("answers with volumes")
        if plan.rim:
            return Unlike("answers with borders, by which objects are told apart")
        exclusive = plan.channels(labels) == labels + 1
        thresholds = () if exclusive else (plan.threshold,) * labels
        paired = {"segmentation": {"background": True}}
        return Map("scores", exclusive, thresholds, paired, plan.to_dict(), plan.seen(shape))

    def seen(self, sample: Any, metadata: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
        from cnnkit.device.segmentation import first

        return first(sample, Plan.from_dict(metadata.get("segmentation") or {}), shape)

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.tasks.segmentation import report

        return report.sections(scores)

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        return (
            f"It looks for its {len(labels)} label{'s' * (len(labels) != 1)} only, and some of what it draws is wrong. "
            "Pictures unlike those of its data were not measured."
        )


KIND = Segmentation()

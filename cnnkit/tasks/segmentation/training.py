"""Masks: how the graph of a segmenting network ends, and what a report says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.device.segmentation import Plan
from cnnkit.tasks.training import TaskTraining, plain


class Segmentation(TaskTraining):
    """A sigmoid of each label's logits, or a softmax of them and of the background, whose logit is 0."""

    reads = "segmentation"

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

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.tasks.segmentation import report

        return report.sections(scores)

    def silent(self, labels: Sequence[str], record: Any) -> str:
        return (
            f"It looks for its {len(labels)} label{'s' * (len(labels) != 1)} only, and some of what it draws is wrong. "
            "Pictures unlike those of its data were not measured."
        )


KIND = Segmentation()

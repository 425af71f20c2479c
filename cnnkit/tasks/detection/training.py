"""Boxes around objects: how the graph of a detector ends, and what a report says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.export.forms import Boxes
from cnnkit.tasks.training import TaskTraining, plain, sides, tempered


class Detection(TaskTraining):
    """Raw boxes, and a sigmoid of every cell's logits: the layers `boxes` and `every_logit` of our detectors.

    Logits are divided by the temperature that validation data decided, and its offset added.
    """

    reads = "detection"
    need = (
        "answers as cnnkit.models.detector does, (b, cells, 4 + labels + 3), and has its layers `boxes` and `every_logit`: "
        "change what that builds, or its `backbone`"
    )

    def owned(self, model: Any, shape: Sequence[int], units: int, options: Mapping[str, Any]) -> Any:
        from cnnkit.models.detectors import Cells

        names = {layer.name for layer in model.layers}
        if lacking := [name for name in ("boxes", "every_logit") if name not in names]:
            raise ValueError(f"has no layer `{lacking[0]}`")
        scores = tuple(model.get_layer("every_logit").output.shape[1:])
        if len(scores) != 2:
            raise ValueError(f"has a layer `every_logit` that ends in {sides(scores)}, and not in cells x labels")
        cells, found = scores
        if found != units:
            raise ValueError(f"scores {found} labels, and the data has {units}")
        if tuple(model.output.shape[1:]) != (cells, 4 + units + 3):
            raise ValueError(f"ends in {sides(model.output.shape[1:])}")
        wanted = tuple(options.get("strides", ()))
        for grid in (layer for layer in model.layers if isinstance(layer, Cells)):
            if wanted and grid.strides != wanted:  # its boxes would be read on another grid
                raise ValueError(
                    f"has maps at strides {grid.strides}, and the boxes of the data ask for `strides={wanted}`"
                )
        return model

    def load(self, source: Any, **how: Any) -> Any:
        from cnnkit.tasks.detection import loading

        return loading.load(source, **how)

    def inputs(self) -> Any:
        from cnnkit.tasks.detection.images import Boxes

        return Boxes()

    def keras_targets(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Return boxes as Keras has them, filled up with -1; those that are neither right nor wrong to find are not there.

        Args:
            targets: float32 (b, m, 6), as `cnnkit.tasks.detection.records.BoxRecords.read` returns them.

        Returns:
            `boxes` float32 (b, m, 4): left, top, right, bottom, px of the input; `labels` int32 (b, m).
        """
        there = targets[..., 5] > 0
        order = np.argsort(~there, axis=1, kind="stable")  # what is there comes first
        rows, there = np.take_along_axis(targets, order[..., None], 1), np.take_along_axis(there, order, 1)
        boxes = np.where(there[..., None], rows[..., :4], -1).astype(np.float32)
        return {"boxes": boxes, "labels": np.where(there, rows[..., 4], -1).astype(np.int32)}

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        boxes, logits = (model.get_layer(name).output for name in ("boxes", "every_logit"))
        logits = tempered(plain(logits, "float_logits"), metadata)
        scores = layers.Activation("sigmoid", dtype="float32", name="scores")(logits)
        return {"boxes": plain(boxes, "raw_boxes"), "scores": scores}

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Boxes:
        from cnnkit.device.detection import IOU, Plan, cells

        plan = Plan.from_dict(metadata.get("detection") or {})
        grid = cells(shape[0], shape[1], plan.strides)
        return Boxes("boxes", "scores", grid, plan.threshold, IOU, plan.to_dict(), plan.seen)

    def seen(self, sample: Any, metadata: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
        from cnnkit.device.detection import Plan, inputs

        return next(inputs(sample, Plan.from_dict(metadata.get("detection") or {}), (shape[0], shape[1], shape[2])))[0]

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.report.sections import calibration, per_class
        from cnnkit.tasks.detection import report

        found = [report.confusion(scores, labels), per_class(scores), report.curves(scores), report.sizes(scores)]
        return [*found, calibration(scores)]

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        return (
            f"It looks for its {len(labels)} classes only, and some of what it shows is wrong. "
            "Scenes unlike those of its data were not measured."
        )

    def layers(self) -> None:
        import cnnkit.models.detectors  # noqa: F401 - Keras knows our layers only once they are imported


KIND = Detection()

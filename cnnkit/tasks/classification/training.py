"""One class an input: how its graph ends, and what a report says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.export.forms import Shares
from cnnkit.tasks.classification.device import least
from cnnkit.tasks.training import TaskTraining, plain, tempered


class Classification(TaskTraining):
    """A softmax of logits (b, classes), which are divided by the temperature that validation data decided."""

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        logits = tempered(plain(model.output, "float_logits"), metadata)
        return {"scores": layers.Softmax(name="scores", dtype="float32")(logits)}

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Shares:
        about, labels = metadata.get("screening"), list(metadata.get("labels") or ())
        finding = (labels.index(about["finding"]), about["threshold"]) if about else None
        return Shares("scores", below=least(metadata), finding=finding, sure=metadata.get("sure"))

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.report.sections import calibration, per_class, sure
        from cnnkit.tasks.classification import report

        return [
            report.characteristic(scores),
            report.answered(scores),
            sure(scores),
            report.confusion(scores, labels),
            per_class(scores),
            calibration(scores),
        ]

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        unless = ", unless its score is so low that it is called unknown" if least(metadata) is not None else ""
        return (
            f"It knows its {len(labels)} classes alone: {record.article} {record.one} of none of them gets one all the same"
            f"{unless}. Data unlike its training data was not measured."
        )


KIND = Classification()

"""Several labels an input: how its graph ends, and what a report says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.device.several import rare_of, thresholds_of
from cnnkit.export.forms import Shares
from cnnkit.tasks.training import TaskTraining, plain, tempered


class Multilabel(TaskTraining):
    """A sigmoid of logits (b, labels), divided by the temperature: labels do not exclude each other."""

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        logits = tempered(plain(model.output, "float_logits"), metadata)
        return {"scores": layers.Activation("sigmoid", dtype="float32", name="scores")(logits)}

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Shares:
        labels = tuple(metadata.get("labels") or ())
        thresholds, rare = thresholds_of(metadata, labels), rare_of(metadata, labels)
        return Shares("scores", tuple(thresholds.tolist()), sure=metadata.get("sure") or 0.0, rare=tuple(rare))

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.report.sections import calibration, sure
        from cnnkit.tasks.multilabel import report

        own = super().sections(scores, labels)
        return [*own, report.thresholds(scores), sure(scores), calibration(scores)]

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        return (
            f"It gives any number of its {len(labels)} labels, also none, and knows no others. "
            "Data unlike its training data was not measured."
        )


KIND = Multilabel()

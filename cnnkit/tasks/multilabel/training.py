"""Several labels an input: how its graph ends, and what a report says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.device.several import rare_of, thresholds_of
from cnnkit.export.forms import Shares
from cnnkit.tasks.training import TaskTraining, plain


class Multilabel(TaskTraining):
    """A sigmoid of logits (b, labels): labels do not exclude each other."""

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        return {"scores": layers.Activation("sigmoid", name="scores")(plain(model.output, "float_logits"))}

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Shares:
        labels = tuple(metadata.get("labels") or ())
        thresholds, rare = thresholds_of(metadata, labels), rare_of(metadata, labels)
        return Shares("scores", tuple(thresholds.tolist()), sure=metadata.get("sure") or 0.0, rare=tuple(rare))

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.report.sections import sure
        from cnnkit.tasks.multilabel import report

        return [*super().sections(scores, labels), report.thresholds(scores), sure(scores)]

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        return (
            f"It gives any number of its {len(labels)} labels, also none, and knows no others. "
            "Data unlike its training data was not measured."
        )


KIND = Multilabel()

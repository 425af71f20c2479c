"""Numbers of a picture: how the graph of a trained model ends, and what a report says of its scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.export.forms import Numbers
from cnnkit.tasks.training import TaskTraining, plain, sides


class Regression(TaskTraining):
    """Brings what the network answers, of mean 0 and deviation 1, back to the units of the data.

    One multiplication and one addition behind a linear layer: converters fold both into its weights.
    """

    reads = "regression"
    need = "takes one input and ends in a number a value, (b, values), of mean 0 and deviation 1, without an activation"

    def owned(self, model: Any, shape: Sequence[int], units: int, options: Mapping[str, Any]) -> Any:
        if len(model.output.shape) != 2 or model.output.shape[-1] != units:
            raise ValueError(f"ends in {sides(model.output.shape[1:])} numbers for {units} value{'s' * (units != 1)}")
        return model

    def tried(self, units: int) -> dict[str, Any]:
        names = [str(number) for number in range(units)]
        return {"regression": {"names": names, "units": [""] * units, "mean": [0.0] * units, "std": [1.0] * units}}

    def load(self, source: Any, **how: Any) -> Any:
        from cnnkit.tasks.regression import loading

        return loading.load(source, **how)

    def inputs(self) -> Any:
        from cnnkit.tasks.regression.images import Measured

        return Measured()

    def finish(self, model: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from keras import layers

        about = metadata["regression"]
        scaled = plain(model.output, "float_values")
        return {"values": layers.Rescaling(about["std"], about["mean"], dtype="float32", name="values")(scaled)}

    def layers(self) -> None:
        import cnnkit.tasks.regression.losses  # noqa: F401 - Keras knows our losses only once they are imported

    def form(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> Numbers:
        about = metadata["regression"]
        known = about.get("interval") or {}
        half, level = tuple(known.get("half") or ()), known.get("level") or 0.0
        return Numbers("values", tuple(about["names"]), tuple(about["units"]), half, level)

    def sections(self, scores: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
        from cnnkit.report.sections import per_class
        from cnnkit.tasks.regression import report

        return [report.scatter(scores), report.by_value(scores), report.bars(scores), per_class(scores)]

    def silent(self, labels: Sequence[str], record: Any, metadata: Mapping[str, Any]) -> str:
        return (
            f"It answers with a number to every {record.one}, also to one of something else. Values beyond those of its training "
            "data were not measured."
        )


KIND = Regression()

"""Pictures with numbers: one or several values each."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.preparation import Preparation
from cnnkit.inputs.contract import chosen
from cnnkit.inputs.image.images import SHOWN, Images, drawn, with_targets
from cnnkit.settings import Room
from cnnkit.shown import Shown
from cnnkit.tasks.regression import settings as value_settings
from cnnkit.tasks.regression.device import with_units


def fitting(recipe: Any, splits: Any) -> Any:
    """Return a recipe that mirrors values as these data want it."""
    negated = recipe.task.known(splits.train.values).negated
    return dataclasses.replace(recipe, inputs=type(recipe.inputs)(recipe.inputs.preparation, negated))


OF_DATA = tuple(field.name for field in dataclasses.fields(value_settings.Columns))


class Measured(Images):
    """Numbers of pictures; as `Images`.

    Args:
        preparation: as `Images`.
        negated: (k,), which values change sign in a mirrored picture.
    """

    columns: tuple[str, ...] = value_settings.READ_BY
    sound = "Nothing found: every file reads, the values vary, none lies far off, no duplicates across the splits."
    rooms: tuple[type[Room], ...] = value_settings.VALUES

    def __init__(self, preparation: Preparation | None = None, negated: Sequence[bool] = (False,)):
        super().__init__(preparation)
        self.negated = tuple(negated)

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: settings[key] for key in OF_DATA if settings.get(key) is not None}
        if self.preparation is None:
            return found
        asked = settings.get("prepare")
        return {**found, "preparation": self.preparation, **({} if asked is None else {"prepare": asked})}

    def augmentations(self, own: Any, settings: Any) -> list[Any]:
        """Return the app's own augmentation, and mirroring, which values with a side follow."""
        parts = []
        if settings.mirror:
            from cnnkit import augment
            from cnnkit.tasks.regression.mirror import RandomMirror

            parts.append(augment.Pipeline(RandomMirror(self.negated), seed=settings.seed + 2))
        parts += [own] if own is not None else []
        return [with_targets(part) for part in parts]

    def suited(self, preset: Mapping[str, Any], records: Any) -> tuple[dict[str, Any], list[str]]:
        """Return a preset that mirrors nothing where a value that would change sign never does, and a line on what it does."""
        if not preset.get("mirror"):
            return dict(preset), []
        numbers = records.numbers()
        for name, negated, column in zip(records.values.names, self.negated, numbers.T, strict=True):
            if negated and (column.min() >= 0 or column.max() <= 0):
                line = f"The values `{name}` are all of one sign, so no picture is mirrored."
                return {**preset, "mirror": False}, [line]
        turned = [name for name, negated in zip(records.values.names, self.negated, strict=True) if negated]
        sign = f"{', '.join(turned)} with the other sign" if turned else "values as they are"
        return dict(preset), [f"Half of the training pictures are mirrored, {sign} (`mirror`, `negate`)."]

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        from cnnkit.tasks.regression import checks

        return checks.check(source, progress=progress, looked=looked, **columns)

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path) -> Shown:
        from cnnkit.report import drawing, figures

        drawing.save(figures.samples(*self.samples(recipe, splits.train, settings)), out)
        return drawn(out)

    def samples(self, recipe: Any, records: Any, settings: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
        images, _, rounds = super().samples(recipe, records, settings)
        units = recipe.task.known(records.values).units
        numbers = records.targets(chosen(records, settings, SHOWN))
        return images, [with_units(row, units) for row in numbers], rounds

    def answer(self, artifact: Any) -> Any:
        """Return what answers a picture: the side of the training mean on which its first value lies, and that value."""
        from cnnkit.inputs.image.explain.images import Answered

        about = artifact.metadata["regression"]

        def answered(image: np.ndarray) -> Answered:
            values = artifact.run_batch(np.asarray(image).reshape(1, *artifact.input_shape))["values"][0]
            place = 0 if values[0] >= about["mean"][0] else len(values)
            return Answered(place, None, with_units(values, about["units"]))

        return answered

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        from cnnkit import explain
        from cnnkit.inputs.image import report as reporting
        from cnnkit.inputs.image.explain import images as explaining
        from cnnkit.tasks.regression import report

        worst = recipe.task.top_losses(found, targets, splits.test, artifact.labels)
        samples = self.samples(recipe, splits.train, settings)
        model, _ = recipe.task.explained(artifact.model)
        evidence = explaining.examples(model, (), worst, samples, self.answer(artifact))
        return {
            "record": self.record,
            "made": [report.largest_errors(worst), report.evidence(evidence)],
            "samples": reporting.samples(*samples),
            "layers": explain.layer_table(artifact.model),
        }

"""Pictures with masks: how they are seen follows from the masks, so the size of the input and the windows are asked of `load`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.contours import outlined
from cnnkit.errors import ConfigError
from cnnkit.inputs.contract import chosen
from cnnkit.inputs.image.images import Images, drawn
from cnnkit.shown import Shown
from cnnkit.tasks.segmentation import settings as mask_settings
from cnnkit.tasks.segmentation.masks import planes

SHOWN, ROUNDS = 6, 3
SIDE = 320  # px of a sample
FLIPS = {"none": (), "vertical": (0,), "horizontal": (1,), "both": (0, 1)}


class Masked(Images):
    """A mask a picture; as `Images`."""

    noun = "pictures"
    sound = "Nothing found: every picture has its mask, of its size, with values that mean something."
    columns = ("groups",)
    rooms = mask_settings.MASKS

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        if settings.get("flips", "none") not in FLIPS:
            raise ConfigError(f"`flips` needs one of {', '.join(FLIPS)}. Got {settings['flips']!r}.")
        names = ("patches", "scale", "values", "image_size", "groups")
        return {key: settings[key] for key in names if settings.get(key) is not None}

    def augmentations(self, own: Any, settings: Any) -> list[Any]:
        return [] if own is None else [own]  # `Recipe.views` move masks too

    def shaped(self, splits: Any, settings: Mapping[str, Any]) -> Any:
        return splits

    def taken_over(self, shape: Sequence[int]) -> dict[str, Any]:
        return {}  # the new masks ask for a size of their own

    def write_folds(self, path: Path, records: Any, folds: Sequence[int]) -> None:
        from cnnkit.tasks.segmentation.formats import nnunet

        keys = [records.key(index) for index in range(len(records))]
        rows = [
            (
                [key for key, fold in zip(keys, folds) if fold != number],
                [key for key, fold in zip(keys, folds) if fold == number],
            )
            for number in range(max(folds) + 1)
        ]
        nnunet.write_folds(path / nnunet.SPLITS, rows)

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        from cnnkit.tasks.segmentation import checks

        return checks.check(source, looked=looked, progress=progress)

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path) -> Shown:
        from cnnkit.report import drawing, figures

        drawing.save(figures.samples(*self.samples(recipe, splits.train, settings), tile=2.0), out)
        return drawn(out)

    def samples(self, recipe: Any, records: Any, settings: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Return samples with outlines, the labels that each has, and augmented versions."""
        indices = chosen(records, settings, SHOWN)
        pictures, codes = records.read(indices)
        views = recipe.views(records, settings)
        made = [_outlined(records, *views(indices, step)) for step in range(ROUNDS)]
        names = [recipe.task.words(mask, records.label_names) for mask in codes]
        return _outlined(records, pictures, codes), names, np.stack(made)

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        from cnnkit import explain
        from cnnkit.inputs.image import report as images
        from cnnkit.tasks.segmentation import report

        return {
            "record": self.record,
            "made": report.made(recipe.task, splits, artifact, scores, found, targets),
            "samples": images.samples(*self.samples(recipe, splits.train, settings)),
            "layers": explain.layer_table(artifact.model),
        }


def _outlined(records: Any, pictures: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(
        [outlined(picture, planes(mask, records.regions), line=1) for picture, mask in zip(pictures, codes)]
    )

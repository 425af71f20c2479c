"""Images with boxes: how they are seen follows from the boxes, so the size of the input and the tiles are asked of `load`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.inputs.contract import chosen
from cnnkit.inputs.image.images import Images, drawn, with_targets
from cnnkit.shown import Shown
from cnnkit.tasks.detection import settings as box_settings

SHOWN, ROUNDS, REPORTED_ROUNDS = 5, 3, 5
LARGE = 320  # px of a sample, from which the names of boxes can be read in it
SMALL_SHOWN, SMALL = 8, 96  # of a report


class Boxes(Images):
    """Any number of boxes an image; as `Images`."""

    sound = "Nothing found: every file reads, every box is inside its image, no box or image is there twice."
    rooms = box_settings.BOXES

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: settings[key] for key in ("tiles", "tile_scale", "image_size") if settings.get(key) is not None}
        strides = (settings.get("options") or {}).get("strides")
        return {**found, "strides": strides} if isinstance(strides, list | tuple) else found  # a model's maps are there

    def augmentations(self, own: Any, settings: Any) -> list[Any]:
        return [] if own is None else [with_targets(own)]  # `Recipe.views` mirror, and move the boxes too

    def shaped(self, splits: Any, settings: Mapping[str, Any]) -> Any:
        return splits

    def taken_over(self, shape: Sequence[int]) -> dict[str, Any]:
        return {}  # the new boxes ask for a size of their own

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        from cnnkit.tasks.detection import loading

        return loading.check(source, looked=looked, progress=progress)

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path) -> Shown:
        from cnnkit.report import drawing, figures

        found = _samples(recipe, splits.train, settings, SHOWN, ROUNDS, LARGE)
        drawing.save(figures.samples(*found, tile=2.4), out)
        return drawn(out)

    def samples(self, recipe: Any, records: Any, settings: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
        return _samples(recipe, records, settings, SMALL_SHOWN, REPORTED_ROUNDS, SMALL)

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        from cnnkit import explain
        from cnnkit.inputs.image import report as images
        from cnnkit.tasks.detection import report as detection

        worst = recipe.task.top_losses(found, targets, splits.test, artifact.labels, threshold=scores.get("threshold"))
        return {
            "record": self.record,
            "made": [detection.errors(worst)],
            "samples": images.samples(*self.samples(recipe, splits.train, settings)),
            "layers": explain.layer_table(artifact.model),
        }


def _samples(
    recipe: Any, records: Any, settings: Any, count: int, rounds: int, side: int
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return images as `Images.samples` does, `side` px, with boxes drawn in; where that is enough for letters, named."""
    indices = chosen(records, settings, count)
    images, targets = records.read(indices)
    views = recipe.views(records, settings)
    made = []
    for step in range(rounds):
        seen, there = views(indices, step)
        made.append(_with_boxes(records, seen, there, side))
    return _with_boxes(records, images, targets, side), _names(records, targets), np.stack(made)


def _names(records: Any, targets: np.ndarray) -> list[str]:
    codes = [sorted({int(row[4]) for row in rows if row[5] > 0}) for rows in targets]
    return [", ".join(records.label_names[code] for code in found) or "no box" for found in codes]


def _with_boxes(records: Any, images: np.ndarray, targets: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Draw boxes into images that are brought to `side` px first, so that lines stay sharp; a class has its colour."""
    import cv2

    from cnnkit.device.drawing import annotate, colour

    scale = side / max(images.shape[1:3])
    size = (round(images.shape[2] * scale), round(images.shape[1] * scale))
    drawn = []
    for image, rows in zip(images, targets, strict=True):
        rows = rows[rows[:, 5] > 0]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        names = [records.label_names[int(code)] if side >= LARGE else "" for code in rows[:, 4]]
        drawn.append(annotate(image, rows[:, :4] * scale, names, [colour(int(code)) for code in rows[:, 4]]))
    return np.stack(drawn)

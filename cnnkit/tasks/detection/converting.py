"""`data convert`: a data set with boxes in another format."""

import dataclasses
from pathlib import Path
from typing import Any

from cnnkit.reporter import SILENT, Reporter, reported


@dataclasses.dataclass(frozen=True)
class Converted:
    """Data in another format.

    Attributes:
        folder, format: what was written.
        splits: images and boxes of each.
        lines: on what became of the files.
    """

    folder: Path
    format: str
    splits: dict[str, tuple[int, int]]
    lines: list[str]

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"folder": str(self.folder), "format": self.format, "splits": self.splits}


def convert(source: str, form: str, folder: Path, *, turn_boxes: bool = False, tell: Reporter = SILENT) -> Converted:
    """Write a data set with boxes in another format."""
    from cnnkit.data import inventory
    from cnnkit.tasks.detection.formats import annotations

    with reported(tell, "Converting") as update:
        found = annotations.convert(source, form, folder, turn_boxes=turn_boxes, progress=update)
    counts = {split: (len(part.pictures), sum(len(p.boxes) for p in part.pictures)) for split, part in found.items()}
    lines = inventory.fates(row for part in found.values() for row in part.entries)
    return Converted(folder, form, counts, list(lines))

"""Files of what was drawn: JSON, CSV.

Design choices:
- The suffix decides: `.json` is the document that `--json` prints, `.csv` has a line a label of each picture.
- What is not known, as an area in mm^2, is an empty cell and never 0.
- Each line says what the numbers are not for: lines are copied into other tables.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnkit import files
from cnnkit.results import form_of, write_table

COLUMNS = (
    "input",
    "page",
    "width",
    "height",
    "label",
    "area",
    "mm2",
    "voxels",
    "ml",
    "share",
    "pieces",
    "median_area",
    "median_mm2",
    "mask",
    "notice",
)


def writer(path: Path) -> Callable[[Mapping[str, Any]], None]:
    """Return what writes a document into a file of this name, whole or not at all.

    Raises:
        DataError: its suffix is none that is known, or it is a folder.
    """
    write = form_of(path, {".json": files.write_json, ".csv": _csv})
    return lambda document: write(path, document)


def _csv(path: Path, document: Mapping[str, Any]) -> None:
    rows = (
        {**entry, **about, "label": label, "notice": document["notice"]}
        for entry in document["predictions"]
        for label, about in entry["labels"].items()
    )
    write_table(path, COLUMNS, rows)

"""Files of what was drawn: JSON, CSV.

Design choices:
- The suffix decides: `.json` is the document that `--json` prints, `.csv` has a line a label of each picture.
- What is not known, as an area in mm^2, is an empty cell and never 0.
- Each line says what the numbers are not for: lines are copied into other tables.
"""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnkit import files
from cnnkit.errors import DataError

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
    forms = {".json": files.write_json, ".csv": _csv}
    write = forms.get(path.suffix.lower())
    if write is None:
        raise DataError(f"`results={path}`: no format has this suffix. End it in .json or .csv.")
    if path.is_dir():
        raise DataError(f"`results={path}` is a folder. Give the name of a file.")
    return lambda document: write(path, document)


def _csv(path: Path, document: Mapping[str, Any]) -> None:
    with files.atomic(path, "w") as file:
        table = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for entry in document["predictions"]:
            for label, about in entry["labels"].items():
                table.writerow({**entry, **about, "label": label, "notice": document["notice"]})

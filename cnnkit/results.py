"""Files of what `predict` found, for other programs: the suffix of the name decides the form."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit import files
from cnnkit.errors import DataError


def form_of(path: Path, forms: Mapping[str, Callable[..., None]]) -> Callable[..., None]:
    """Return what writes a file of this name, whole or not at all.

    Args:
        path: of the file.
        forms: writers by suffix; of two that fit, the first. Each is called with the path first.

    Raises:
        DataError: its suffix is none of these, or it is a folder.
    """
    name = path.name.lower()
    write = next((form for suffix, form in forms.items() if name.endswith(suffix)), None)
    if write is None:
        *others, last = sorted(forms, key=lambda suffix: suffix.count("."))
        known = f"{', '.join(others)} or {last}" if others else last
        raise DataError(f"`results={path}`: no format has this suffix. End it in {known}.")
    if path.is_dir():
        raise DataError(f"`results={path}` is a folder. Give the name of a file.")
    return write


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as csv with these columns: what a row lacks is an empty cell, what is in no column is left out."""
    with files.atomic(path, "w") as file:
        table = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)

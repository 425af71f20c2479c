"""Images named in a table: a line each with the path of a file and its label, as Kaggle and many others publish.

Design choices:
- The columns are known by their names (ClassId and Path, label and filename, ...); a table without both is another kind.
- Paths are looked for below the table's folder, as written, then with the suffixes that images have; none may lead out of it.
- A line whose image is missing or damaged is named with the others of the data set, as bad files are.
- A column of patients (or subjects, groups) says which images belong together, unless a pattern was asked for.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnkit.data import naming
from cnnkit.data.cards import inside
from cnnkit.data.reading import Part, Request
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.inputs.image import folders, table_columns

_PATHS = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
    "image_id",
    "id",
)
_LABELS = (
    "classid",
    "class_id",
    "label",
    "labels",
    "class",
    "target",
    "category",
    "classname",
    "class_name",
    "y",
    "diagnosis",
    "finding",
    "dx",
)
_PATIENTS = ("patient", "patient_id", "patientid", "subject", "subject_id", "group")
_HEAD = 2**16  # characters of a line


class Columns(NamedTuple):
    """Places of the path, the label and the patient, None where there is none; and the separator."""

    path: int
    label: int
    patient: int | None
    separator: str


def columns(path: Path, label: Any = None) -> Columns | None:
    """Find which columns of a table name images, labels and patients.

    Args:
        path: a .csv or .tsv file.
        label: the name of the column of labels, or its number; None: by its name.

    Returns:
        them; None where it is no such table.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        return None
    try:
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            head, first = file.readline(_HEAD).strip(), file.readline(_HEAD).strip()
    except (OSError, UnicodeDecodeError):
        return None
    separator = max(",;\t", key=head.count)
    names = [name.strip().strip('"').lower() for name in head.split(separator)]
    where = next((names.index(name) for name in _PATHS if name in names), None)
    if label is not None:
        told = str(label).lower()
        number = int(told) if told.lstrip("-").isdigit() and told not in names else None
        what = names.index(told) if told in names else None if number is None else number % len(names)
    else:
        what = next((names.index(name) for name in _LABELS if name in names), None)
    pixels = sum(bool(table_columns.PIXEL.fullmatch(name)) for name in names)
    if where is None or what is None or where == what or pixels > len(names) / 2:
        return None
    cells = next(csv.reader([first], delimiter=separator), [])
    name = cells[where].strip() if where < len(cells) else ""
    images = os.path.splitext(name)[1].lower() in image.SUFFIXES or (name and _there(path.parent, name))  # noqa: PTH122
    patient = next((names.index(name) for name in _PATIENTS if name in names and names.index(name) != what), None)
    return (
        Columns(where, what, patient, separator) if images else None
    )  # a table of pixels may have an id and a label too


def read(path: Path, request: Request) -> Part:
    """Read the images that a table names; as `folders.scan`.

    Raises:
        DataError: it is no such table, or no image of it can be used; a line is named.
    """
    found = columns(path, request.options.get("label"))
    if found is None:
        raise DataError(
            f"{path} needs a column of paths ({', '.join(_PATHS[:4])} ...) and one of labels ({', '.join(_LABELS[:3])} ...)."
        )
    rows, bad = [], []
    for line, name, value, patient in _rows(path, found):
        file = _there(path.parent, name)
        if file is None:
            bad.append((f"{path}, line {line}", f"there is no image {printable(name)} below {path.parent}"))
        elif not value:
            bad.append((f"{path}, line {line}", "it has no label"))
        elif found.patient is not None and not patient:
            bad.append((f"{path}, line {line}", "it names no patient, though others do"))
        else:
            rows.append((file, value, patient))
    files, values, patients = zip(*rows, strict=True) if rows else ((), (), ())
    names = sorted(set(values), key=naming.class_order(sorted(set(values))))
    place = {name: code for code, name in enumerate(names)}
    codes = np.array([place[value] for value in values], np.int32)
    together = None if found.patient is None else list(patients)
    return folders.scan_files(path.parent, list(files), codes, tuple(names), bad, request, together)


def _rows(path: Path, places: Columns) -> Iterator[tuple[int, str, str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=places.separator)
            next(reader, None)
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) <= max(places.path, places.label):
                    raise DataError(
                        f"{path}, line {reader.line_num}: has {len(cells)} columns, too few for path and label."
                    )
                patient = (
                    cells[places.patient].strip() if places.patient is not None and len(cells) > places.patient else ""
                )
                yield reader.line_num, cells[places.path].strip(), cells[places.label].strip(), patient
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table of text ({error}).") from None


def _there(root: Path, name: str) -> str | None:
    """Return the path of an image below the folder, with /, as it is or with a suffix added; None where there is none."""
    name = name.replace("\\", "/").removeprefix("./")
    if not inside(name):
        return None
    for file in (name, *(name + suffix for suffix in sorted(image.SUFFIXES))):
        if os.path.isfile(root / file):  # noqa: PTH113
            return file
    return None

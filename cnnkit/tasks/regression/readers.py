"""Readers of pictures with numbers: tables, driving logs."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import naming
from cnnkit.data.reading import CERTAIN, LAST, Part, Reader, Request
from cnnkit.errors import DataError
from cnnkit.inputs.image import folders
from cnnkit.tasks.regression import driving_log, tables
from cnnkit.tasks.regression.tables import Rows, Table

TASK = "regression"
_OPTIONS = frozenset(["image", "values", "group", "time"])


def read_values(request: Request) -> Part:
    """A table, or several, of pictures with values; those of a split, where a column says which."""
    split = request.split.get("split")
    return _read(request, _lists, lambda root, table, group: tables.read(root, table, request.options, split, group))


def read_driving_log(request: Request) -> Part:
    """The log of a driving simulator, or several."""
    part = _read(
        request, driving_log.fits, lambda root, table, group: driving_log.read(root, table, request.options, group)
    )
    negated = [name == driving_log.ANGLE for name in part.names]
    return replace(part, more={**part.more, "negated": negated})


def _read(request: Request, fits: Callable[[Path], bool], read: Callable[[Path, Table, str], Rows]) -> Part:
    path = request.path("file")
    root = request.root or (path if path.is_dir() else path.parent)
    found = [path] if path.is_file() else tables.found_in(path, fits)
    if not found:
        raise DataError(f"There is no table of pictures and values in {path}.")
    parts = []
    for file in found:
        table = tables.opened(file)
        if table is None:
            raise DataError(f"{file} is no table of pictures and values.")
        parts.append(read(root, table, file.parent.name if len(found) > 1 else ""))
    return _part(root, tables.together(parts), request)


def _lists(path: Path) -> bool:
    """Whether a file is a table with a column of pictures."""
    table = tables.headed(path)
    return table is not None and driving_log.columns(table) is None and tables.image_column(table) is not None


def _part(root: Path, rows: Rows, request: Request) -> Part:
    """Look at the header of every picture, and return what can be used."""
    alone = replace(request, options={"groups": "none"})
    if not rows.files:
        raise DataError(f"No line of {request.split.get('file')} can be used: {said(rows.bad)}. Mend them.")
    codes = np.arange(len(rows.files), dtype=np.int32)
    found, _ = folders.scan_files(root, rows.files, codes, ("",), [], alone)
    good = found.codes
    numbered = None if rows.groups is None else np.unique(np.array(rows.groups), return_inverse=True)[1][good]
    return Part(
        found.images,
        rows.numbers[good],
        rows.names,
        groups=numbered,
        bad=[*rows.bad, *((f"{name} ({reason})", tables.DAMAGED) for name, reason in found.bad)],
        notes=[*rows.notes, *found.notes],
        more={"places": rows.places[good], "side": rows.side[good]},
    )


def by_reason(bad: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Put the names of what cannot be used together by its reason; `bad` has (name, reason) of each."""
    kinds: dict[str, list[str]] = {}
    for name, reason in bad:
        kinds.setdefault(reason, []).append(name)
    return kinds


def clauses(bad: Iterable[tuple[str, str]]) -> list[str]:
    """Say what cannot be used, a clause a kind: how many lines, and the first."""
    return [
        f"{len(names):,} {'line' if len(names) == 1 else 'lines'} {reason if len(names) == 1 else _plural(reason)} "
        f"({'' if len(names) == 1 else 'first '}{names[0]})"
        for reason, names in by_reason(bad).items()
    ]


def said(bad: Iterable[tuple[str, str]]) -> str:
    """Say in one line what cannot be used; as `clauses`."""
    return "; ".join(clauses(bad))


def _plural(reason: str) -> str:
    return reason.replace("has ", "have ", 1) if reason.startswith("has ") else reason


# What fits -----------------------------------------------------------------------------------------------------------------


def _is_values(path: Path, named: bool) -> bool:
    return bool(tables.found_in(path, _lists)) or bool(_split_folders(path, _lists))


def _is_log(path: Path, named: bool) -> bool:
    return bool(tables.found_in(path, driving_log.fits)) or bool(_split_folders(path, driving_log.fits))


def _split_folders(path: Path, fits: Callable[[Path], bool]) -> dict[str, str]:
    """Return folders that are called as splits and hold a table each; none without one for training."""
    if not path.is_dir():
        return {}
    names = {child.name.lower(): child.name for child in path.iterdir() if child.is_dir()}
    found = {split: names[word] for split, words in naming.SPLITS.items() for word in words if word in names}
    held = {split: name for split, name in found.items() if tables.found_in(path / name, fits)}
    return held if "train" in held else {}


def _splits(fits: Callable[[Path], bool]) -> Callable[[Path], dict[str, dict[str, Any]]]:
    def splits(path: Path) -> dict[str, dict[str, Any]]:
        parts = _split_folders(path, fits)
        if parts:
            return {split: {"file": name} for split, name in parts.items()}
        found = tables.found_in(path, fits)
        root = path if path.is_dir() else path.parent
        own = [file for file in found if file.parent == root]
        if len(own) > 1:
            named = {split: [f for f in own if naming.split_of_name(f.name) == split] for split in naming.SPLITS}
            if len(named["train"]) == 1 and all(len(files) < 2 for files in named.values()):
                return {split: {"file": files[0].name} for split, files in named.items() if files}
            raise DataError(
                f"{path} has several tables of pictures: {', '.join(file.name for file in own[:4])}. Name the one you mean."
            )
        if not own:
            return {"train": {"file": "."}}
        table = tables.opened(own[0])
        column = None if table is None else tables.split_column(table)
        if table is None or column is None or fits is driving_log.fits:
            return {"train": {"file": own[0].name}}
        there = {naming.split_of_name(cell) for cell in table.cells(column)}
        return {split: {"file": own[0].name, "split": split} for split in naming.SPLITS if split in there}

    return splits


VALUES = Reader(
    read_values,
    TASK,
    ("file",),
    frozenset(["split"]),
    _OPTIONS,
    about="a .csv of pictures and values",
    fits=_is_values,
    splits=_splits(_lists),
    rank=LAST,  # a folder of classes may have a table in each
    waits=True,
    beside=True,
)
DRIVING_LOG = Reader(
    read_driving_log,
    TASK,
    ("file",),
    options=frozenset(["values", "side_angle"]),
    about="a driving_log.csv with the pictures of its cameras",
    fits=_is_log,
    splits=_splits(driving_log.fits),
    rank=CERTAIN,
    waits=True,
    beside=True,
)

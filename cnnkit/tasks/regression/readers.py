"""Readers of pictures with numbers: tables, driving logs."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import naming
from cnnkit.data.inventory import Entry, entry
from cnnkit.data.reading import CERTAIN, LAST, Part, Reader, Request
from cnnkit.errors import DataError
from cnnkit.inputs.image import folders
from cnnkit.tasks.regression import driving_log, tables
from cnnkit.tasks.regression.tables import Rows

TASK = "regression"
_OPTIONS = frozenset(["image", "values", "group", "time"])


def read_values(request: Request) -> Part:
    """A table, or several, of pictures with values; those of a split, where a column says which."""
    return _read(request, _lists, tables.read)


def read_driving_log(request: Request) -> Part:
    """The log of a driving simulator, or several; as `read_values`."""
    part = _read(request, driving_log.fits, driving_log.read)
    negated = [name == driving_log.ANGLE for name in part.names]
    return replace(part, more={**part.more, "negated": negated})


def _read(request: Request, fits: Callable[[Path], bool], read: Callable[..., Rows]) -> Part:
    """Read tables, those of the training split once; `read` as `tables.read`."""
    path, split = request.path("file"), request.split.get("split")
    root = request.root or (path if path.is_dir() else path.parent)
    found = [path] if path.is_file() else tables.found_in(path, fits)
    if not found:
        raise DataError(f"There is no table of pictures and values in {path}.")
    tables.check_alone(found)
    known = {} if request.train is None else request.train.more["tables"]
    opened: dict[Path, tables.Table | None] = {}
    parts = []
    for file in found:
        table = opened[file] = known.get(file) or tables.opened(file)
        if table is None:
            raise DataError(f"{file} is no table of pictures and values.")
        lines = table.rows if split is None else tables.of_split(table, split)
        parts.append(read(root, table, lines, request.options, file.parent.name if len(found) > 1 else ""))
    part = _part(root, tables.together(parts), request)
    return replace(part, more={**part.more, "tables": opened})


def _lists(path: Path) -> bool:
    """Whether a file is a table with a column of pictures."""
    table = tables.opened(path, tables.BEGINNING)
    return table is not None and driving_log.columns(table) is None and tables.image_column(table) is not None


def _part(root: Path, rows: Rows, request: Request) -> Part:
    """Look at the header of every picture, and return what can be used."""
    alone = replace(request, options={"groups": "none"})
    if not rows.files:
        wanted = f" for {request.split['split']}" if "split" in request.split else ""
        why = f"can be used: {said(rows.bad)}. Mend them." if rows.bad else f"is there{wanted}. Add some."
        raise DataError(f"No line of {request.path('file')} {why}")
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


def _fits(fits: Callable[[Path], bool]) -> Callable[[Path, bool], bool]:
    return lambda path, named: bool(tables.found_in(path, fits)) or bool(_split_folders(path, fits))


def _split_folders(path: Path, fits: Callable[[Path], bool]) -> dict[str, str]:
    return naming.split_folders(path, lambda folder: bool(tables.found_in(folder, fits))) if path.is_dir() else {}


def _splits(fits: Callable[[Path], bool]) -> Callable[[Path], dict[str, dict[str, Any]]]:
    def splits(path: Path) -> dict[str, dict[str, Any]]:
        parts = _split_folders(path, fits)
        if parts:
            return {split: {"file": name} for split, name in parts.items()}
        found = tables.found_in(path, fits)
        root = path if path.is_dir() else path.parent
        own = [file for file in found if file.parent == root]
        named = {split: [f for f in own if naming.split_of_name(f.name) == split] for split in naming.SPLITS}
        if len(own) > 1 and len(named["train"]) == 1 and all(len(files) < 2 for files in named.values()):
            return {split: {"file": files[0].name} for split, files in named.items() if files}
        tables.check_alone(found)
        where = {"file": own[0].name if own else "."}
        return {split: {**where, "split": split} for split in tables.splits_told(found)} or {"train": where}

    return splits


def _left(fits: Callable[[Path], bool]) -> Callable[[Path, list[dict[str, Any]]], list[Entry]]:
    """Say which tables lie beside those of several splits."""

    def left(root: Path, splits: list[dict[str, Any]]) -> list[Entry]:
        tops = {str(split["file"]).split("/")[0] for split in splits}
        names = [file.relative_to(root).as_posix() for file in tables.found_in(root, fits)]
        names = [name for name in names if name.split("/")[0] not in tops]
        return [entry("left out", "tables", "that no split names", names)] if names and len(tops) > 1 else []

    return left


VALUES = Reader(
    read_values,
    TASK,
    ("file",),
    frozenset(["split"]),
    _OPTIONS,
    about="a .csv of pictures and values",
    fits=_fits(_lists),
    splits=_splits(_lists),
    left=_left(_lists),
    rank=LAST,  # a folder of classes may have a table in each
    waits=True,
    beside=True,
)
DRIVING_LOG = Reader(
    read_driving_log,
    TASK,
    ("file",),
    frozenset(["split"]),
    frozenset(["values", "side_angle"]),
    about="a driving_log.csv with the pictures of its cameras",
    fits=_fits(driving_log.fits),
    splits=_splits(driving_log.fits),
    left=_left(driving_log.fits),
    rank=CERTAIN,
    waits=True,
    beside=True,
)

"""Tables of pictures and numbers: a line each with the path of a file and its values.

Design choices:
- Told is told: `image`, `values`, `group`, `time` name columns, or count them from 0. Else names decide, then what is in
  the cells: the
  column of paths ends in a suffix of images; values are the only column of numbers that is neither a number of frames nor a time.
- A line that cannot be used is said by its kind: how many, and the first.
- Lines are put in order: by group, then by time, then as they are written.
- Several tables in folders of their own, such as a drive each, are one data set, and each is a group.
"""

import csv
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import naming, walks
from cnnkit.data.cards import inside
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.files import printable

SUFFIXES = (".csv", ".tsv")
PATHS = (
    "image",
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image_path",
    "img",
    "picture",
    "frame_path",
)
GROUPS = (
    "group",
    "drive",
    "track",
    "sequence",
    "session",
    "recording",
    "video",
    "route",
    "patient",
    "patient_id",
    "subject",
)
TIMES = ("time", "timestamp", "frame", "frame_id", "frame_number", "seconds", "datetime", "date")
SPLITS = ("split", "set", "subset", "partition")
NUMBERS = (
    "id",
    "index",
    "idx",
    "no",
    "nr",
    "row",
    "",
    "unnamed: 0",
)  # that say which line it is, and nothing of the picture
VALUES = ("value", "target", "label", "y")
LOOKED_AT = 200  # lines
SPLIT = 3  # training, validation and test: fewer times cannot be divided
ABSENT, DAMAGED = "has no picture there", "cannot be read"
NO_VALUE, NO_NUMBER, INFINITE = "has no value", "has a value that is no number", "has a value that is NaN or infinite"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as it is written.

    Attributes:
        path: of it.
        names: of its columns; "column 0", ... without a header.
        rows: (line, cells) of each.
    """

    path: Path
    names: tuple[str, ...]
    rows: Sequence[tuple[int, list[str]]]

    def column(self, told: Any, what: str) -> int:
        """Return the place of a column that somebody names, or counts from 0; -1 is the last.

        Raises:
            DataError: there is none.
        """
        lower = [name.lower() for name in self.names]
        text = str(told).strip().lower()
        if text in lower:
            return lower.index(text)
        if text.lstrip("-").isdigit() and -len(lower) <= int(text) < len(lower):
            return int(text) % len(lower)
        raise DataError(f"{self.path} has no column `{what}={told}`. It has {', '.join(self.names)}.")

    def cells(self, place: int) -> list[str]:
        """Return what stands in a column, a text a line."""
        return [cells[place].strip() if place < len(cells) else "" for _, cells in self.rows]


def opened(path: Path) -> Table | None:
    """Read a table; None where it is none, or has no column of images."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            head = file.readline(2**16)
            file.seek(0)
            separator = max(",;\t", key=head.count)
            reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
            rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    if not rows:
        return None
    first = [cell.strip() for cell in rows[0][1]]
    headed = not any(_is_image(cell) for cell in first) and not any(_number(cell) is not None for cell in first)
    names = tuple(first) if headed else tuple(f"column {place}" for place in range(len(first)))
    return Table(path, names, rows[1:] if headed else rows)


def headed(path: Path) -> Table | None:
    """Read the beginning of a table, cheaply; as `opened`."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            lines = [file.readline(2**16) for _ in range(3)]
    except (OSError, UnicodeDecodeError):
        return None
    separator = max(",;\t", key=lines[0].count)
    rows = [[cell.strip() for cell in cells] for cells in csv.reader(filter(str.strip, lines), delimiter=separator)]
    if not rows:
        return None
    told = not any(_is_image(cell) or _number(cell) is not None for cell in rows[0])
    names = tuple(rows[0]) if told else tuple(f"column {place}" for place in range(len(rows[0])))
    return Table(path, names, list(enumerate(rows[1:] if told else rows, 1)))


def image_column(table: Table, asked: Any = None) -> int | None:
    """Return the place of the column of pictures; None where there is none."""
    if asked is not None:
        return table.column(asked, "image")
    rows = table.rows[:LOOKED_AT]
    for name in PATHS:
        for place, own in enumerate(table.names):
            if own.lower() == name and any(len(cells) > place and cells[place].strip() for _, cells in rows):
                return place
    for place in range(len(table.names)):
        found = [cells[place].strip() for _, cells in rows if len(cells) > place and cells[place].strip()]
        if found and sum(map(_is_image, found)) > len(found) / 2:
            return place
    return None


def value_columns(table: Table, asked: str | None, others: Iterable[int]) -> list[int]:
    """Return the places of the columns of values.

    Args:
        table: of them.
        asked: their names, with commas between them; None: found out.
        others: places that hold something else.

    Raises:
        DataError: there is no column of numbers, or nobody says which of several.
    """
    if asked is not None:
        return [table.column(name, "values") for name in asked.split(",") if name.strip()]
    known = set(others)
    found = []
    for place, name in enumerate(table.names):
        if place in known or name.lower() in (*NUMBERS, *TIMES, *SPLITS, *GROUPS):
            continue
        cells = [text for text in table.cells(place)[:LOOKED_AT] if text]
        if cells and sum(_number(text) is not None for text in cells) > len(cells) / 2:
            found.append(place)
    named = [place for place in found if table.names[place].lower() in VALUES]
    if len(found) == 1 or len(named) == 1:
        return named if len(named) == 1 else found
    if not found:
        raise DataError(f"{table.path} has no column of numbers beside the pictures. It has {', '.join(table.names)}.")
    raise DataError(
        f"{table.path} has several columns of numbers: {', '.join(table.names[place] for place in found)}. Say "
        f"which are the values "
        f"with `values`, with commas between them."
    )


def named_column(table: Table, asked: str | None, names: Sequence[str], what: str, taken: Iterable[int]) -> int | None:
    """Return the place of a column that is asked for, or has one of these names; None: there is none, or "none" was asked for."""
    if asked is not None:
        return None if asked.lower() == "none" else table.column(asked, what)
    used = set(taken)
    return next(
        (p for name in names for p, own in enumerate(table.names) if own.lower() == name and p not in used), None
    )


@dataclasses.dataclass
class Rows:
    """Pictures with numbers, in their order in time.

    Attributes:
        files: paths below the data's folder, with /.
        numbers: float (n, k).
        names: of the values.
        groups: of each, a text; None: nobody says.
        places: int (n,), where each is in time among those of its group.
        side: bool (n,), whether it is of a camera that looks at the same moment from beside.
        bad: (name, reason) of what cannot be used; equal reasons are of one kind.
        notes: lines on what was found out.
    """

    files: list[str]
    numbers: np.ndarray
    names: tuple[str, ...]
    groups: list[str] | None
    places: np.ndarray
    side: np.ndarray
    bad: list[tuple[str, str]]
    notes: list[str]


def read(root: Path, table: Table, options: Mapping[str, Any], split: str | None = None, group: str = "") -> Rows:
    """Read the pictures and values of a table.

    Args:
        root: the folder that paths are below, once that of the table is added.
        table: of them.
        options: `image`, `values`, `group`, `time`: columns, by name or number.
        split: "train", "validation" or "test": only lines whose column of splits says so; None: all.
        group: what all of its lines belong to beside what a column says.

    Raises:
        DataError: a column is missing, or no line can be used.
    """
    place = image_column(table, options.get("image"))
    if place is None:
        raise DataError(
            f"{table.path} has no column of pictures. It has {', '.join(table.names)}. Say which with `image`."
        )
    own = split_column(table)
    together = named_column(table, options.get("group"), GROUPS, "group", [place])
    when = named_column(table, options.get("time"), TIMES, "time", [place])
    used = [entry for entry in (place, own, together, when) if entry is not None]
    columns = value_columns(table, options.get("values"), used)
    base = os.path.relpath(table.path.parent, root).replace(os.sep, "/")
    base = "" if base == "." else f"{base}/"
    kept, numbers, groups, times, bad = [], [], [], [], []
    for line, cells in table.rows:
        cells = [cell.strip() for cell in cells] + [""] * (len(table.names) - len(cells))
        if split is not None and own is not None and naming.split_of_name(cells[own]) != split:
            continue
        where = f"{table.path.name}, line {line}"
        file = there(root, base, cells[place])
        if file is None:
            bad.append((f"{where}: {printable(cells[place]) or 'no path'}", ABSENT))
            continue
        values, reason = parsed([cells[column] for column in columns])
        if reason:
            bad.append((f"{where}: {', '.join(cells[column] for column in columns) or 'nothing'}", reason))
            continue
        kept.append(file)
        numbers.append(values)
        groups.append(f"{group}/{cells[together]}" if together is not None else group)
        times.append(cells[when] if when is not None else "")
    order, moments = in_time(table, groups, times, when)
    numbers_ = np.array(numbers, np.float64).reshape(len(kept), len(columns))[order]
    groups = [groups[k] for k in order]
    notes = []
    if options.get("values") is None:
        notes.append(f"Values: {', '.join(table.names[c] for c in columns)}, by what the columns hold.")
    return Rows(
        [kept[k] for k in order],
        numbers_,
        tuple(table.names[column] for column in columns),
        groups if together is not None or group else None,
        moments,
        np.zeros(len(kept), bool),
        bad,
        notes,
    )


def split_column(table: Table) -> int | None:
    """Return the place of the column that says which split a line is for; None: there is none."""
    place = named_column(table, None, SPLITS, "split", [])
    if place is None:
        return None
    found = {naming.split_of_name(cell) for cell in table.cells(place)}
    return place if "train" in found else None


def in_time(
    table: Table, groups: Sequence[str], times: Sequence[str], when: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of lines: by group, as these first come, then by time, then as they are written.

    Returns:
        int (n,), which line is the first, the second, ...; int (n,), where each of these is in time among those of its group:
        lines of one time are of one moment, unless nearly all have the same.

    Raises:
        DataError: a time is none.
    """
    first: dict[str, int] = {}
    rank = np.array([first.setdefault(group, len(first)) for group in groups], int)
    seconds = np.zeros(len(rank))
    if when is not None:
        for k, text in enumerate(times):
            value = moment(text)
            if value is None:
                raise DataError(
                    f"{table.path}: the column {table.names[when]} holds {text!r}, which is no time: a number, or as in "
                    "2026-05-31 12:30:00. Name another with `time`, or say `time=none`."
                )
            seconds[k] = value
    order = np.lexsort((seconds, rank))
    rank, seconds = rank[order], seconds[order]
    starts = np.diff(rank, prepend=-1) > 0
    told = len(np.unique(seconds)) >= SPLIT  # a date alone says nothing of neighbours
    moments = np.cumsum(starts | (np.diff(seconds, prepend=0) != 0) if told else np.ones(len(rank), int))
    return order, moments - moments[starts][rank]


def moment(text: str) -> float | None:
    """Return a time as a number; None where it is none."""
    value = _number(text)
    if value is not None and np.isfinite(value):
        return value
    try:
        return (
            datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=datetime.fromisoformat(text).tzinfo)
        ).total_seconds()
    except ValueError:
        return None


def counted(groups: Sequence[str]) -> np.ndarray:
    """Return where each line is among those of its group: int (n,)."""
    seen: dict[str, int] = {}
    found = []
    for group in groups:
        seen[group] = seen.get(group, -1) + 1
        found.append(seen[group])
    return np.array(found, int)


def parsed(cells: Sequence[str]) -> tuple[list[float], str]:
    """Return the numbers of cells, and what is wrong with them, "" for nothing."""
    values = []
    for cell in cells:
        if not cell:
            return [], NO_VALUE
        value = _number(cell)
        if value is None:
            return [], NO_NUMBER
        if not np.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
            return [], INFINITE
        values.append(value)
    return values, ""


def there(root: Path, base: str, name: str) -> str | None:
    """Return the path of a picture below `root`, with /; None where there is none.

    Args:
        root: the folder of the data.
        base: of the table below it, ending in /; "" for the same.
        name: as it is written: below the table's folder or the data's, with or without the suffix of an image.
    """
    name = name.replace("\\", "/").removeprefix("./")
    if not name:
        return None
    for folder in dict.fromkeys((base, "")):
        if inside(folder + name):
            for file in (name, *(name + suffix for suffix in sorted(image.SUFFIXES))):
                if os.path.isfile(root / (folder + file)):  # noqa: PTH113
                    return folder + file
    return None


def found_in(path: Path, fits: Any) -> list[Path]:
    """Return the tables of a folder that fit: in itself, or else one in each of several folders in it."""
    if not path.is_dir():
        return [path] if fits(path) else []
    own = [entry for entry in _files(path) if fits(entry)]
    if own:
        return own
    inner = [child for child in sorted(path.iterdir()) if child.is_dir() and not walks.is_system(child.name)]
    each = [[entry for entry in _files(child) if fits(entry)] for child in inner]
    return [entries[0] for entries in each if len(entries) == 1]


def _files(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and not walks.is_system(entry.name))


def together(parts: Sequence[Rows]) -> Rows:
    """Put tables together, one after the other.

    Raises:
        DataError: they have other values.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.names != first.names:
            raise DataError(
                f"One table has the values {', '.join(first.names)}, another {', '.join(part.names)}. Choose with `values`."
            )
    groups = None if all(part.groups is None for part in parts) else [g for part in parts for g in part.groups or ()]
    return Rows(
        [file for part in parts for file in part.files],
        np.concatenate([part.numbers for part in parts]),
        first.names,
        groups,
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.side for part in parts]),
        [row for part in parts for row in part.bad],
        list(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _is_image(cell: str) -> bool:
    return image.is_named(cell.strip())


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None

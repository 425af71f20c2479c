"""Tables of pictures and numbers: a line each with the path of a file and its values.

Design choices:
- Told is told: `image`, `values`, `group`, `time` name columns, or count them from 0. Else names decide, then what is in
  the cells: the
  column of paths ends in a suffix of images; values are the only column of numbers that is neither a number of frames nor a time.
- A line that cannot be used is said by its kind: how many, and the first.
- Lines are put in order: by group, then by time, then as they are written.
- Several tables in folders of their own, such as a drive each, are one data set, and each is a group.
- A column with the word of a split in any line needs one in each, in all tables: else lines would be lost, or learnt and scored.
"""

import csv
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
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
BEGINNING = 3  # lines that tell the columns
HEAD = 2**16  # characters of a line of these
SPLIT = 3  # training, validation and test: fewer times cannot be divided
ABSENT, DAMAGED = "has no picture there", "cannot be read"
NO_VALUE, NO_NUMBER, INFINITE = "has no value", "has a value that is no number", "has a value that is NaN or infinite"


Lines = Sequence[tuple[int, list[str]]]  # the number of a line in its file, and its cells


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as it is written.

    Attributes:
        path: of it.
        names: of its columns; "column 0", ... without a header.
        rows: its lines.
    """

    path: Path
    names: tuple[str, ...]
    rows: Lines

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


def opened(path: Path, most: int | None = None) -> Table | None:
    """Read a table; None where it is none.

    Args:
        path: of it.
        most: lines that are read, cheaply, to know its columns; None: all.
    """
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            head = file.readline(HEAD)
            file.seek(0)
            lines = file if most is None else [file.readline(HEAD) for _ in range(most)]
            reader = csv.reader(lines, delimiter=max(",;\t", key=head.count), skipinitialspace=True)
            rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    if not rows:
        return None
    first = [cell.strip() for cell in rows[0][1]]
    headed = not any(image.is_named(cell) or number(cell) is not None for cell in first)
    names = tuple(first) if headed else tuple(f"column {place}" for place in range(len(first)))
    return Table(path, names, rows[1:] if headed else rows)


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
        if found and sum(map(image.is_named, found)) > len(found) / 2:
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
        if place in known or name.lower() in (*NUMBERS, *TIMES, *naming.COLUMNS, *GROUPS):
            continue
        cells = [text for text in table.cells(place)[:LOOKED_AT] if text]
        if cells and sum(number(text) is not None for text in cells) > len(cells) / 2:
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


def read(root: Path, table: Table, lines: Lines, options: Mapping[str, Any], group: str) -> Rows:
    """Read the pictures and values of a table.

    Args:
        root: the folder that paths are below, once that of the table is added.
        table: of them.
        lines: those of its rows that are read.
        options: `image`, `values`, `group`, `time`: columns, by name or number.
        group: what all of its lines belong to beside what a column says; "": nothing.

    Raises:
        DataError: a column is missing, or no line can be used.
    """
    place = image_column(table, options.get("image"))
    if place is None:
        raise DataError(
            f"{table.path} has no column of pictures. It has {', '.join(table.names)}. Say which with `image`."
        )
    together = named_column(table, options.get("group"), GROUPS, "group", [place])
    when = named_column(table, options.get("time"), TIMES, "time", [place])
    used = [entry for entry in (place, together, when) if entry is not None]
    columns = value_columns(table, options.get("values"), used)
    base = os.path.relpath(table.path.parent, root).replace(os.sep, "/")
    base = "" if base == "." else f"{base}/"
    kept, numbers, groups, times, bad = [], [], [], [], []
    for line, cells in lines:
        cells = [cell.strip() for cell in cells] + [""] * (len(table.names) - len(cells))
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


def splits_of(table: Table) -> list[str] | None:
    """Return the split that each line is for; None: there is no column that says so.

    Raises:
        DataError: it says so of some lines alone.
    """
    place = named_column(table, None, naming.COLUMNS, "split", [])
    if place is None:
        return None
    found = [naming.split_of_word(cell) for cell in table.cells(place)]
    if not any(found):  # such as sets A and B
        return None
    for (line, cells), split in zip(table.rows, found, strict=True):
        if split is None:
            said = printable(cells[place]) if place < len(cells) else ""
            raise DataError(
                f"{table.path}, line {line}: the column {table.names[place]} says {said!r}, which is no split. Write train, "
                "validation or test there, or give the column another name."
            )
    return [split for split in found if split]


def splits_told(files: Sequence[Path]) -> list[str]:
    """Return the splits that columns of tables name, training first; none: no column does, or all lines are of one.

    Raises:
        DataError: some lines are of no split, or none is for training.
    """
    begun = [opened(file, BEGINNING) for file in files]
    if not any(
        table is not None and named_column(table, None, naming.COLUMNS, "split", []) is not None for table in begun
    ):
        return []
    known = {file: splits_of(table) for file in files if (table := opened(file)) is not None}
    told = [split for split in naming.SPLITS if any(split in (found or ()) for found in known.values())]
    without = [file for file, found in known.items() if found is None]
    if told and without:
        raise DataError(
            f"{without[0]} has no column that says which split a line is for; {next(f for f in known if known[f])} has one. Give "
            "both one, or none."
        )
    if len(told) > 1 and "train" not in told:
        raise DataError(
            f"No line of {files[0] if len(files) == 1 else files[0].parent.parent} is for training: its column of splits says "
            f"{' and '.join(told)}. Add some, or give the column another name, and it is divided anew."
        )
    return told if len(told) > 1 else []


def of_split(table: Table, split: str) -> Lines:
    """Return the lines that a column says are for a split.

    Raises:
        DataError: there is no such column, or it does not say so of each line.
    """
    found = splits_of(table)
    if found is None:
        raise DataError(f"{table.path} has no column that says which of its lines are for {split}.")
    return [row for row, own in zip(table.rows, found, strict=True) if own == naming.split_of_word(split)]


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
    value = number(text)
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
        value = number(cell)
        if value is None:
            return [], NO_NUMBER
        if not np.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
            return [], INFINITE
        values.append(value)
    return values, ""


def number(cell: str) -> float | None:
    """Return what a cell says as a number; None where it says none."""
    try:
        return float(cell)
    except ValueError:
        return None


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


def found_in(path: Path, fits: Callable[[Path], bool]) -> list[Path]:
    """Return the tables of a folder that fit: in itself, or else in the folders in it; of a file itself."""
    if not path.is_dir():
        return [path] if fits(path) else []
    own = [entry for entry in _files(path) if fits(entry)]
    inner = (child for child in sorted(path.iterdir()) if child.is_dir() and not walks.is_system(child.name))
    return own or [entry for child in inner for entry in _files(child) if fits(entry)]


def check_alone(files: Sequence[Path]) -> None:
    """Refuse tables of which two, sorted, lie in one folder: nobody says which is meant."""
    for file, after in itertools.pairwise(files):
        if file.parent == after.parent:
            raise DataError(
                f"{file.parent} has several tables of pictures: {file.name}, {after.name}. Name the one you mean, or keep "
                "one there."
            )


def _files(folder: Path) -> list[Path]:
    """Return what may be tables."""
    named = (entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    return sorted(entry for entry in named if entry.is_file() and not walks.is_system(entry.name))


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

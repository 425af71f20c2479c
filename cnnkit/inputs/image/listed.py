"""Images named in a table: a line each with the name of a file and its label or labels, as Kaggle and many others publish.

Design choices:
- Columns are known by their names (ClassId and Path, label and filename, ...), else by what is in them: the column of images is
  one whose cells are files that are there. What was found out and not told is said.
- Files are looked for below the table's folder: as written, with the suffixes that images have, in the folders beside the table,
  and without the folders that the name begins with. None may lead out of it; a name that two files there have is nobody's, and
  what a line means never follows from the lines before it (`Places`).
- Several labels an image stand in columns of 0 and 1, in one cell with a separator between them, or in a line each. Columns of 0
  and 1 of which each line has exactly one are one label an image. An image may then have no label at all.
- In a column of 0 and 1 that has zeros, an empty cell or -1 says that nobody looked: neither yes nor no (`data.asked`).
- A line whose image is missing or damaged is named with the others of the data set, as bad files are.
- A column of patients (or subjects, groups) says which images belong together, unless a pattern was asked for; a column `split`
  with the words for splits says which each is in.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnkit.data import inventory, naming, walks
from cnnkit.data.cards import inside
from cnnkit.data.loading import some
from cnnkit.data.reading import Part, Request
from cnnkit.data.tags import Tags
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.inputs.image import folders, table_columns

_PATHS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name"),
    *("image_index", "img", "img_path", "photo", "picture", "image_id", "name", "id"),
)
_LABELS = (
    *("classid", "class_id", "label", "labels", "class", "classes", "target", "category", "categories", "classname"),
    *("class_name", "tags", "tag", "y", "diagnosis", "finding", "findings", "finding_labels", "dx"),
)
_PATIENTS = ("patient", "patient_id", "patientid", "subject", "subject_id", "group", "group_id")
_HEAD = 2**16  # characters of a line
_SAMPLE = 200  # lines by which columns are judged
_LOOKED_FOR = 8  # files of a sample
_FEW_KINDS, _KINDS = 20, 0.2  # different values that a column of labels may have, or their part of the lines
_YES = ("1", "1.0", "true", "yes")
_NO = ("0", "0.0", "false", "no")
_UNKNOWN = ("", "-1", "-1.0", "nan", "na", "n/a", "?")
_SEPARATORS = ("|", ";", ",", " ")
NONE = "none"  # asked for as a separator: a cell is one label
_REPEATED = (
    0.2  # of the images: where more have several lines with other labels, these are several labels, else mistakes
)
_FOLDERS = 20  # beside a table, that are looked into


class Columns(NamedTuple):
    """Places of the path, the label (of several columns of 0 and 1 all of them), the patient and the split; None: there is none.

    Also the separator of cells, the names of all columns, and whether the label was found by its values.
    """

    path: int
    label: int | tuple[int, ...]
    patient: int | None
    split: int | None
    separator: str
    names: tuple[str, ...]
    guessed: bool


@dataclass(frozen=True)
class Several:
    """Of several labels an image, beside their codes.

    Attributes:
        ends: int (n,), where those of each image end.
        asked: bool (n, labels), which somebody looked for; None: all of them.
        separator: between those of one cell; None: they do not stand in one.
    """

    ends: np.ndarray
    asked: np.ndarray | None = None
    separator: str | None = None


def columns(path: Path, label: Any = None) -> Columns | None:
    """Find which columns of a table name images, labels, patients and splits.

    Args:
        path: a .csv or .tsv file.
        label: the name of the column of labels, or its number; several with commas. None: found out.

    Returns:
        them; None where it is no such table.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        return None
    try:
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            lines = [file.readline(_HEAD) for _ in range(_SAMPLE + 1)]
    except (OSError, UnicodeDecodeError):
        return None
    separator = max(",;\t", key=lines[0].count)
    try:
        rows = list(csv.reader([line for line in lines if line.strip()], delimiter=separator))
    except csv.Error:
        return None
    if len(rows) < 2:
        return None
    written = tuple(cell.strip() for cell in rows[0])
    names = [_spelled(name) for name in written]
    sample = [row for row in rows[1:] if len(row) == len(names)]
    pixels = sum(bool(table_columns.PIXEL.fullmatch(name)) for name in names)
    if len(names) < 2 or not sample or pixels > len(names) / 2:
        return None
    told = None if label is None else _told(str(label), names)
    if label is not None and told is None:
        return None
    where = _path_of(path.parent, names, sample, told)
    if where is None:
        return None
    taken = {where, *(told if isinstance(told, tuple) else () if told is None else (told,))}
    patient = next((names.index(name) for name in _PATIENTS if name in names and names.index(name) not in taken), None)
    places = (names.index(name) for name in naming.COLUMNS if name in names)
    split = next((place for place in places if place not in taken), None)
    if split is not None and not all(naming.split_of_word(row[split]) for row in sample):
        split = None
    what = told
    if what is None:
        named = (names.index(name) for name in _LABELS if name in names)
        what = next((column for column in named if column not in taken and column not in (patient, split)), None)
    guessed = what is None
    if what is None:
        rest = [k for k in range(len(names)) if k not in taken and k not in (patient, split)]
        what = _by_values(rest, sample)
    if what is None:
        return None
    return Columns(where, what, patient, split, separator, written, guessed)


def splits(path: Path, found: Columns) -> dict[str, dict[str, str]]:
    """Return the tables that a card would have for a table that names the split of each line; one where it names none."""
    if found.split is not None:
        there = {naming.split_of_word(cells[found.split]) for _, cells in _rows(path, found)}
        if "train" in there and None not in there:
            return {split: {"file": path.name, "part": split} for split in naming.SPLITS if split in there}
    return {"train": {"file": path.name}}


def is_of_folders(path: Path, found: Columns) -> bool:
    """Whether a table says of images what the folders that they lie in say already."""
    if isinstance(found.label, tuple):
        return False
    places = Places(path.parent)
    for _, cells in _rows(path, found, _LOOKED_FOR):
        file = places.find(cells[found.path].strip()) or ""
        if cells[found.label].strip() not in file.split("/")[:-1]:
            return False
    return True


def read(path: Path, request: Request) -> Part:
    """Read the images that a table names; as `folders.scan`. `Part.more` is a `Several`, where one may have several labels.

    Raises:
        DataError: it is no such table, or no image of it can be used; a line is named.
    """
    label, separator = request.options.get("label"), request.options.get("separator")
    if separator is not None and not isinstance(separator, str):
        raise DataError(f"The option `separator` is a text, not {separator!r}.")
    found = columns(path, label)
    if found is None:
        raise _no_table(path, label)
    wanted = request.split.get("part")
    lines = _lines(path, found, wanted)
    notes: list[str] = []
    if separator is None and request.train is not None:  # the training split decides for all
        separator = (request.train.more.separator if request.train.more is not None else None) or NONE
    if isinstance(found.label, tuple):
        several, between = _marked(path, lines, found, notes), None
    else:
        between = _written(lines, found, separator, notes)
        several = between is not None
    if request.train is not None:
        several = several or request.train.more is not None
    if between is None and (several if request.train is not None else not several) and _in_several_lines(lines):
        several = True
        notes.append("Images with several lines have the labels of all of them.")
    bad, entries = _one_line_each(path, lines, several=several)
    if several and isinstance(found.label, tuple):  # in their order, also those that no image has
        names = [found.names[column] for column in found.label]
    else:
        names = list({name for line in lines for name in line.labels})
        names.sort(key=naming.class_order(names))
    place = {name: code for code, name in enumerate(names)}
    files = [line.file for line in lines]
    together = None if found.patient is None else [line.patient for line in lines]
    if not several:
        codes = np.array([place[line.labels[0]] for line in lines], np.int32)
        part, _ = folders.scan_files(path.parent, files, codes, tuple(names), bad, request, together)
    else:
        sizes = [len(line.labels) for line in lines]
        tags = Tags(np.array([place[name] for line in lines for name in line.labels], np.int32), np.cumsum(sizes))
        strata = tags.strata(len(names))
        part, kept = folders.scan_files(path.parent, files, strata, tuple(names), bad, request, together)
        asked = None
        if any(line.unasked for line in lines):
            asked = np.ones((len(kept), len(names)), bool)
            for row, index in enumerate(kept.tolist()):
                asked[row, [place[name] for name in lines[index].unasked]] = False
        tags = tags.take(kept)
        part.codes, part.more = tags.codes, Several(tags.ends, asked, between)
        bare = int((np.diff(tags.ends, prepend=0) == 0).sum())
        notes.append(f"{len(names)} labels, several an image: {some(names, 12)}; {bare:,} images have none.")
    part.entries += entries
    part.notes += notes
    return part


# Lines ----------------------------------------------------------------------------------------------------------------


@dataclass
class _Line:
    """One line of a table.

    Attributes:
        number: of the line, from 1.
        name, file: what it calls the image, and where that is; None where there is none.
        cells: of the label or labels.
        patient: "" where there is none.
        why: it cannot be used; "" where it can.
        labels, unasked: once they are understood.
    """

    number: int
    name: str
    file: Any
    cells: list[str]
    patient: str
    why: str = ""
    labels: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


def _lines(path: Path, found: Columns, wanted: str | None) -> list[_Line]:
    """Return the lines of a table, or of one split of it."""
    places = Places(path.parent)
    labels = found.label if isinstance(found.label, tuple) else (found.label,)
    lines = []
    for number, cells in _rows(path, found):
        if wanted is not None and found.split is not None and naming.split_of_word(cells[found.split]) != wanted:
            continue
        name = cells[found.path].strip()
        line = _Line(number, name, places.find(name), [cells[k].strip() for k in labels], "")
        if found.patient is not None:
            line.patient = cells[found.patient].strip()
        if line.file is None:
            line.why = places.why(name)
        elif found.patient is not None and not line.patient:
            line.why = "it names no patient, though others do"
        lines.append(line)
    return lines


def _marked(path: Path, lines: list[_Line], found: Columns, notes: list[str]) -> bool:
    """Understand columns of 0 and 1; return whether an image may have several labels."""
    assert isinstance(found.label, tuple)
    names = [found.names[column] for column in found.label]
    cells = [[cell.lower() for cell in line.cells] for line in lines]
    looked = [any(row[k] in _NO for row in cells) for k in range(len(names))]
    for line, row in zip(lines, cells, strict=True):
        odd = next((k for k, cell in enumerate(row) if cell not in (*_YES, *_NO, *_UNKNOWN)), None)
        if odd is not None:
            raise DataError(
                f"{path}, line {line.number}: {names[odd]} is {line.cells[odd]!r}, and columns of several labels hold 0 or 1. "
                "Name the columns of labels with `label`."
            )
        line.labels = tuple(name for name, cell in zip(names, row) if cell in _YES)
        line.unasked = tuple(name for k, name in enumerate(names) if row[k] in _UNKNOWN and looked[k])
    several = any(len(line.labels) != 1 or line.unasked for line in lines)
    how = "several an image" if several else "each image has one"
    if found.guessed or several:
        notes.append(f"Labels are the columns of 0 and 1: {some(names, 12)} ({how}).")
    unknown = sum(len(line.unasked) for line in lines)
    if unknown:
        notes.append(f"{unknown:,} cells are empty or -1 where others are 0: neither yes nor no, and not learnt.")
    return several


def _written(lines: list[_Line], found: Columns, separator: str | None, notes: list[str]) -> str | None:
    """Understand a column of labels; return what separates several in a cell, None where each has one."""
    assert isinstance(found.label, int)
    cells = {line.cells[0] for line in lines if line.cells[0]}
    if found.guessed:
        notes.append(f"Labels are the column {found.names[found.label]!r}, by its values (`label` names another).")
    between = _separator(cells) if separator is None else None if separator == NONE else separator
    if between is None:
        for line in lines:
            line.labels = (line.cells[0],) if line.cells[0] else ()
        return None
    for line in lines:
        cell = line.cells[0].split() if between == " " else line.cells[0].split(between)
        line.labels = tuple(dict.fromkeys(part.strip() for part in cell if part.strip()))
    if separator is None:
        spelled = "a space" if between == " " else repr(between)
        notes.append(f"Labels of one cell are separated by {spelled} (`separator` says another, or {NONE}).")
    return between


def _separator(cells: set[str]) -> str | None:
    """Return what separates several labels in cells; None where a cell is one label.

    Parts of a name come together, parts of a list with others too: most parts have to be in several cells, each otherwise put
    together. Of words with spaces there have to be more such cells than words, or half of the words stand alone too:
    `traffic light` and `traffic sign` are names.
    """
    for mark in _SEPARATORS:
        split = [frozenset(part.strip() for part in cell.split(mark) if part.strip()) for cell in cells]
        lists = [parts for parts in split if len(parts) > 1]
        if not lists:
            continue
        within: dict[str, int] = defaultdict(int)
        for parts in set(split):
            for part in parts:
                within[part] += 1
        words = set().union(*lists)
        shared = sum(within[word] > 1 for word in words)
        alone = sum(frozenset([word]) in split for word in words)
        if (
            mark == " "
            and len(lists) <= len(words)
            and (len(lists) < 2 or shared < len(words) or 2 * alone < len(words))
        ):
            continue
        if 2 * shared >= len(words) or mark == "|":
            return mark
    return None


def _in_several_lines(lines: list[_Line]) -> bool:
    """Give images with several lines the labels of all of them, where so many have that these are no mistakes."""
    together: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        if not line.why and line.labels:
            together[line.file].append(line)
    other = [group for group in together.values() if len({line.labels for line in group}) > 1]
    if len(other) <= _REPEATED * len(together):
        return False
    for group in other:
        labels = tuple(sorted({label for line in group for label in line.labels}))
        for line in group:
            line.labels = labels
    for line in lines:
        if not line.why and not line.labels and line.file in together:
            line.labels = together[line.file][0].labels
    return True


def _one_line_each(
    path: Path, lines: list[_Line], *, several: bool
) -> tuple[list[tuple[str, str]], list[inventory.Entry]]:
    """Leave one usable line for each image in `lines`; return what cannot be used, and what came twice.

    Lines of one image with other labels are a mistake.
    """
    for line in lines:
        if not line.why and not line.labels and not several:
            line.why = "it has no label"
    first: dict[str, _Line] = {}
    again, other = [], []
    for line in lines:
        if line.why:
            continue
        before = first.setdefault(line.file, line)
        if before is line:
            continue
        if (before.labels, before.unasked) == (line.labels, line.unasked):
            again.append(line)
        else:
            other.append((line, before))
            line.why = f"{printable(line.name)} has other labels in line {before.number}"
    bad = [(f"{path}, line {line.number}", line.why) for line in lines if line.why]
    dropped = {id(line) for line in again}
    lines[:] = [line for line in lines if not line.why and id(line) not in dropped]
    if not again:
        return bad, []
    names = [f"{printable(line.name)}, line {line.number}" for line in again]
    return bad, [inventory.entry("left out", "lines", "that name an image again, with the same label", names)]


def _rows(path: Path, found: Columns, most: int | None = None) -> Any:
    """Yield the number of each line, or of so many, and its cells."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=found.separator)
            next(reader, None)
            labels = found.label if isinstance(found.label, tuple) else (found.label,)
            needed = max(found.path, *labels, *(k for k in (found.patient, found.split) if k is not None))
            for count, cells in enumerate(row for row in reader if any(row)):
                if most is not None and count >= most:
                    return
                if len(cells) <= max(found.path, *labels):
                    raise DataError(
                        f"{path}, line {reader.line_num}: has {len(cells)} columns, too few for path and label."
                    )
                yield reader.line_num, cells + [""] * (needed + 1 - len(cells))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table of text ({error}).") from None


def _no_table(path: Path, label: Any) -> DataError:
    if label is not None:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                head = file.readline(_HEAD).strip()
        except (OSError, UnicodeDecodeError):
            head = ""
        return DataError(
            f"{path} has no column {label!r} beside one that names images. It has: {printable(head[:200])}."
        )
    return DataError(
        f"{path} needs a column of paths ({', '.join(_PATHS[:4])} ...) and one of labels ({', '.join(_LABELS[2:4])} ...), or "
        "several of 0 and 1. Name the column of labels with `label`."
    )


# Columns --------------------------------------------------------------------------------------------------------------


def _spelled(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").split())


def _told(label: str, names: Sequence[str]) -> int | tuple[int, ...] | None:
    """Return the place or places of the columns of labels that are asked for; None where there is no such."""
    one = _place(label, names)
    if one is not None or "," not in label:
        return one
    places = [_place(part, names) for part in label.split(",")]
    return None if None in places else tuple(place for place in places if place is not None)


def _place(told: str, names: Sequence[str]) -> int | None:
    name = _spelled(told)
    if name in names:
        return names.index(name)
    number = told.strip()
    if number.lstrip("-").isdigit() and -len(names) <= int(number) < len(names):
        return int(number) % len(names)
    return None


def _path_of(root: Path, names: Sequence[str], sample: Sequence[Sequence[str]], told: Any) -> int | None:
    """Return the column whose cells are images: by its name, else by the files that are there."""
    labels = told if isinstance(told, tuple) else (told,)
    usual = [names.index(name) for name in _PATHS if name in names]
    places = Places(root)
    for column in usual:
        cell = sample[0][column].strip()
        suffixed = image.is_named(cell)
        if column not in labels and (suffixed or any(places.find(row[column].strip()) for row in sample[:_LOOKED_FOR])):
            return column
    for column in range(len(names)):
        cells = {row[column].strip() for row in sample[:_LOOKED_FOR]}
        if column not in labels and column not in usual and all(places.find(cell) for cell in cells):
            return column
    return None


def _by_values(rest: Sequence[int], sample: Sequence[Sequence[str]]) -> int | tuple[int, ...] | None:
    """Return the columns of 0 and 1, or the only column that may be one of labels; None where it cannot be told."""
    cells = {column: [row[column].strip().lower() for row in sample] for column in rest}
    marks = [c for c in rest if set(cells[c]) <= {*_YES, *_NO, *_UNKNOWN} and set(cells[c]) & {*_YES, *_NO}]
    most = max(_FEW_KINDS, _KINDS * len(sample))
    others = [c for c in rest if c not in marks and 2 <= len(set(cells[c]) - {""}) <= most and not _numeric(cells[c])]
    if others:
        return others[0] if len(others) == 1 else None
    return tuple(marks) if len(marks) > 1 else marks[0] if marks else None


def _numeric(cells: Sequence[str]) -> bool:
    """Whether all cells are numbers, such as ages, widths or angles: only the name of a column says that these are classes."""
    try:
        return bool([float(cell) for cell in cells if cell])
    except ValueError:
        return False


# Files ----------------------------------------------------------------------------------------------------------------


class Places:
    """Where the images of a table lie, below its folder. What a name means follows from the files alone, not from other names.

    Args:
        root: the folder of the table. Each folder below it that a name may mean is listed once.
    """

    def __init__(self, root: Path):
        self._root = root
        self._names: dict[str, frozenset[str]] = {}
        self._folders: list[str] | None = None
        self._twice: dict[str, list[str]] = {}

    def find(self, name: str) -> str | None:
        """Return the path of an image below the folder, with /; None where there is none, or more than one.

        It is looked for as written, then in the folders beside the table, then the same without the first folder of the name, and
        without the first two.
        """
        parts = self._parts(name)
        for left in range(min(3, len(parts))):
            folder, file = "/".join(parts[left:-1]), parts[-1]
            found = self._at(folder, file)
            if not found:
                found = [path for beside in self._beside() for path in self._at(f"{beside}/{folder}".rstrip("/"), file)]
            if len(found) > 1:
                self._twice[name] = found[:2]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def why(self, name: str) -> str:
        """Return why `find` found no image of this name."""
        if several := self._twice.get(name):
            what = "folder" if Path(several[0]).name == Path(several[1]).name else "suffix"
            return f"{printable(name)} may be {printable(several[0])} or {printable(several[1])}; write its {what} too"
        return f"there is no image {printable(name)} below {self._root}" if name else "it names no image"

    def _parts(self, name: str) -> list[str]:
        """Return the folders below the table's, and the file, that a name is made of; none where it leads out of it."""
        name = name.replace("\\", "/")
        name = name.removeprefix(self._root.as_posix().rstrip("/") + "/")
        return [part for part in name.split("/") if part not in ("", ".")] if inside(name) else []

    def _at(self, folder: str, name: str) -> list[str]:
        """Return the paths of the images of a folder that have the name, or else have it before their suffix."""
        there = self._listed(folder)
        names = (
            [name]
            if name in there and image.is_named(name)
            else [name + end for end in _SUFFIXES if name + end in there]
        )
        return [f"{folder}/{file}" if folder else file for file in names]

    def _listed(self, folder: str) -> frozenset[str]:
        """Return the names of the files of a folder; none where it is not there, may not be read or is no valid path."""
        if folder not in self._names:
            try:
                with os.scandir(self._root / folder) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries if _is_file(entry))
            except (OSError, ValueError):
                self._names[folder] = frozenset()
        return self._names[folder]

    def _beside(self) -> list[str]:
        if self._folders is None:
            try:
                found = sorted(entry.name for entry in self._root.iterdir() if entry.is_dir())
            except OSError:
                found = []
            self._folders = [name for name in found if not walks.is_system(name)][:_FOLDERS]
        return self._folders


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False


_SUFFIXES = (*sorted(image.SUFFIXES), *(suffix.upper() for suffix in sorted(image.SUFFIXES)))

"""What the values of masks mean: read from a file, decided over all masks of a data set, turned into code maps.

Design choices:
- Values are what a file stores (`cnnkit.device.stored`). What they mean is decided once over all masks of all splits: one file
  with 0 and 1 and one with 0 and 255 hold the same label, and only both together say so.
- Told names come first: options of the card, or a file beside the masks (`labels.txt`, `classes.json`, a table of colours). A
  value that is not among them is refused, by file.
- Without names, two levels are one label, "foreground"; more are "1", "2", ... as the files have them. 255 beside small
  numbers is what nobody labelled, as in Pascal VOC: it is left out of loss and scores.
- A value that nobody named, in one mask of many and a few of its pixels, is a slip and no label: the mask is refused. One that is
  in more pixels of one mask alone is learnt, and it is said.
- A JPEG keeps no values. Two levels, 0 and 255, come back by a cut at 127; more have been mixed and are refused. Two levels with
  soft edges in another format, which were a JPEG or were resized, are cut too. A third level is told from an edge by its breadth.
- Colours are compared as colours, by names only: nobody knows what red means.
- Nearly whole numbers in files of floats are rounded (a scale of 1/255 leaves 0.996); 0.5 is no label.
"""

import csv
import functools
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit.data.inventory import Entry, entry
from cnnkit.device.image import ImageError
from cnnkit.device.stored import histogram, read_stored
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.segmentation.masks import IGNORE, MOST

CUT = 127  # of a mask of two levels with soft edges: above is foreground
WHOLE = 0.02  # from a whole number, up to which a float is one
OBJECTS_FROM = 64  # different values, above which they are numbers of objects
SLIP = 16  # px, up to which a value of one mask alone is a slip
MANY = 5  # masks, from which what only one has is rare
_DARK, _BRIGHT = 31, 224  # what may be black or white after JPEG
_WHITE = 192  # that some pixel of a mask with two levels reaches
_BROAD = np.ones((5, 5), np.uint8)  # what is between both and holds it is a level of its own
_SOFT_FROM = 16  # different values, from which edges may be soft
_SMALL = 64  # values up to here are numbers of classes, above which 255 is nobody's
_MOST_BYTES = 2**20  # of a file of names
BACKGROUND = frozenset(["background", "bg", "backgrnd"])
VOID = frozenset(["ignore", "ignored", "void", "unlabelled", "unlabeled", "dontcare"])
_FILES = ("labels.txt", "classes.txt", "labels.json", "classes.json", "labelmap.txt", "label_map.txt")

Named = dict[str, list[Any]]
"""Label -> its values, whole numbers or (red, green, blue). The background is among them where it is named."""


@dataclass(frozen=True)
class Values:
    """The values of a mask.

    Attributes:
        array: (h, w) whole numbers; of colours red * 65536 + green * 256 + blue.
        how: "colours", "palette", "cut" (soft edges of two levels cut), "rounded", or "".
        form: of the file.
    """

    array: np.ndarray
    how: str
    form: str


def read(path: Path | str, page: int | None = None, *, colours: bool = False) -> Values:
    """Read the values of a mask.

    Args:
        path: the file.
        page: of it.
        colours: whether its colours are named, and not its numbers.

    Raises:
        DataError: it is missing or damaged, a JPEG of more than two levels, or has fractions.
    """
    stored = read_stored(path, page or 0)
    array, name = stored.values, str(path)
    if stored.form == "JPEG" and array.ndim == 3 and int(np.ptp(array, axis=2).max()) < _DARK and not colours:
        array = array[..., 1]
    if colours or array.ndim == 3:
        if stored.form == "JPEG":
            raise ImageError(name, "it is a mask of colours in a JPEG, which has mixed them", "Save it as PNG.")
        array = stored.colours
        if array.shape[2] != 3 or array.dtype != np.uint8:
            raise ImageError(name, f"it has {array.shape[2]} channels of {array.dtype}, which are no colours")
        shifted = array.astype(np.int32)
        return Values((shifted[..., 0] << 16) | (shifted[..., 1] << 8) | shifted[..., 2], "colours", stored.form)
    if array.dtype.kind == "f":
        whole = np.rint(array)
        if np.abs(array).max(initial=0) >= 2**31:
            raise ImageError(name, f"it has the value {np.abs(array).max():g}, which is no label")
        off = np.abs(array - whole)
        if off.max(initial=0) > WHOLE:
            worst = float(array.ravel()[off.argmax()])
            raise ImageError(name, f"it has the value {worst:g}: labels are whole numbers", "Save them as such.")
        return Values(whole.astype(np.int32), "rounded" if off.any() else "", stored.form)
    if stored.palette is not None:
        return Values(array, "palette", stored.form)
    if stored.form == "JPEG" or (array.dtype == np.uint8 and np.count_nonzero(histogram(array)) >= _SOFT_FROM):
        two = _two_levels(array)
        if two is not None:
            return Values(two, "cut", stored.form)
        if stored.form == "JPEG":
            most = int(array.max())
            levels = f"its values go up to {most}" if most < _WHITE else "it has more levels than 0 and 255"
            raise ImageError(name, f"it is a JPEG, which has mixed its values, and {levels}", "Save it as PNG.")
    return Values(array, "", stored.form)


def _two_levels(array: np.ndarray) -> np.ndarray | None:
    """Cut a mask of two levels with soft edges: uint8 (h, w) of 0 and 255; None where it has another level."""
    most = int(array.max(initial=0))
    between = ((array > _DARK) & (array < _BRIGHT)).astype(np.uint8)
    if 0 < most < _WHITE or cv2.erode(between, _BROAD, borderType=cv2.BORDER_CONSTANT, borderValue=0).any():
        return None
    return cv2.threshold(array, CUT, 255, cv2.THRESH_BINARY)[1]


# Looking --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a mask holds: its size, its different values, how many pixels have each, and how it was read; as `Values`."""

    size: tuple[int, ...]
    values: tuple[int, ...]
    counts: tuple[int, ...]
    how: str
    form: str


def count(array: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the different values of whole numbers, sorted, and how many there are of each."""
    if array.dtype in (np.uint8, np.uint16):
        counts = histogram(array)
        values = np.flatnonzero(counts)
        return tuple(values.tolist()), tuple(counts[values].tolist())
    values, counts = np.unique(array, return_counts=True)
    return tuple(values.tolist()), tuple(counts.tolist())


def see(path: str, page: int | None, within: str, *, colours: bool) -> Seen:
    """Look at a mask once as long as its file stays the same; `within`: the field of view, whose pixels alone are counted.

    Raises:
        DataError: as `read`; or the field of view is of another size.
    """
    return _see(path, page, within, colours, _stamp(path), _stamp(within) if within else ())


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of a million is slow
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ino


@functools.lru_cache(maxsize=2**17)
def _see(path: str, page: int | None, within: str, colours: bool, *stamps: Any) -> Seen:
    found = read(path, page, colours=colours)
    array = found.array
    size = (int(array.shape[0]), int(array.shape[1]))
    if within:
        array = array[field_of_view(within, page, size)]
    return Seen(size, *count(array), found.how, found.form)


def field_of_view(path: str, page: int | None, size: tuple[int, ...]) -> np.ndarray:
    """Return which pixels a field of view leaves in: bool (h, w).

    Raises:
        DataError: it is of another size, or has more levels than two.
    """
    return two_levels(path, page, size)


def two_levels(path: str, page: int | None, size: tuple[int, ...]) -> np.ndarray:
    """Read a mask of one label or one object: bool (h, w).

    Raises:
        DataError: it is of another size, or has more levels than two.
    """
    found = read(path, page)
    if found.array.shape != tuple(size):
        raise ImageError(path, unequal(found.array.shape, size))
    values = [value for value in count(found.array)[0] if value]
    if len(values) > 1 or found.how == "colours":
        raise ImageError(path, f"it is for one label, and has the values {_some(values)} beside 0")
    return found.array != 0


def unequal(mask: Sequence[int], picture: Sequence[int]) -> str:
    """Say that a mask is of another size than its picture."""
    return f"it is {mask[1]} x {mask[0]} px, its picture {picture[1]} x {picture[0]}"


def _some(values: Sequence[Any], most: int = 6) -> str:
    return ", ".join(map(str, values[:most])) + (f" and {len(values) - most} more" if len(values) > most else "")


# Names ----------------------------------------------------------------------------------------------------------------


def told(root: Path, options: Mapping[str, Any]) -> Named | None:
    """Return what the values mean by the options of a card, or by a file in the data set's folder; None where nothing says it.

    Raises:
        DataError: they cannot be understood.
    """
    if "values" in options:
        return _table(options["values"], "The option `values`")
    if "labels" in options:
        labels = options["labels"]
        if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
            raise DataError('The option `labels` is a list of texts: labels = ["vessel"].')
        return _in_order(labels)
    for file in sorted(root.iterdir()) if root.is_dir() else ():
        if file.is_file() and (file.name.lower() in _FILES or file.suffix.lower() == ".csv"):
            found = _of_file(file)
            if found:
                return found
    return None


def _of_file(file: Path) -> Named | None:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    if file.suffix.lower() == ".csv":
        return _of_csv(text)
    if file.suffix.lower() == ".json":
        try:
            table = json.loads(text)
        except (ValueError, RecursionError):
            raise DataError(f"{file} is not JSON. Mend or remove it: it names the labels of the masks.") from None
        table = table.get("labels", table) if isinstance(table, dict) else table
        return _in_order(table) if isinstance(table, list) else _table(table, str(file))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = [re.fullmatch(r"(.+?)[:\t ,]+(\d+)[, ]+(\d+)[, ]+(\d+)[:\w, ]*", line) for line in lines]
    if lines and all(rows):
        return {row[1]: [(int(row[2]), int(row[3]), int(row[4]))] for row in rows if row}
    rows = [re.fullmatch(r"(\d+)[:=,\t ]+(.+)", line) for line in lines]
    if lines and all(rows):
        return {row[2].strip(): [int(row[1])] for row in rows if row}
    rows = [re.fullmatch(r"(.+?)[:=,\t ]+(\d+)", line) for line in lines]
    if lines and all(rows):
        return {row[1].strip(): [int(row[2])] for row in rows if row}
    return _in_order(lines) if lines else None


def _of_csv(text: str) -> Named | None:
    """Read a table of labels and colours, or of labels and values; None where it is another table."""
    rows = list(csv.reader(io.StringIO(text)))
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    name = next((k for k, cell in enumerate(header) if cell in ("name", "label", "class", "class_name")), None)
    if name is None:
        return None
    parts = [next((k for k, cell in enumerate(header) if cell in (c, c[0])), None) for c in ("red", "green", "blue")]
    value = next((k for k, cell in enumerate(header) if cell in ("value", "id", "index", "code")), None)
    columns = [k for k in parts if k is not None] if None not in parts else [value] if value is not None else []
    found: Named = {}
    for row in rows[1:]:
        cells = [row[k].strip() if k < len(row) else "" for k in columns]
        if not cells or not all(re.fullmatch(r"\d+", cell) for cell in cells):
            return None
        numbers = tuple(map(int, cells))
        found[row[name].strip()] = [numbers if len(numbers) == 3 else numbers[0]]
    return found or None


def _in_order(labels: Sequence[Any]) -> Named:
    first = 0 if str(labels[0]).strip().lower() in BACKGROUND else 1
    return {str(label).strip(): [first + k] for k, label in enumerate(labels)}


def _table(table: Any, what: str) -> Named:
    """Read {label: value}, {label: [values]}, {label: colour}, or {value: label}."""
    if isinstance(table, dict) and table and all(isinstance(value, str) for value in table.values()):
        table = {label: int(key) if re.fullmatch(r"\d+", str(key)) else key for key, label in table.items()}
    wrong = DataError(
        f"{what}: it says the value or the colour of each label: {{ vessel = 255 }} or {{ vessel = [250, 0, 0] }}."
    )
    if not isinstance(table, dict) or not table:
        raise wrong
    found: Named = {}
    for label, value in table.items():
        rows = value if isinstance(value, list) else [value]
        if len(rows) == 3 and all(type(part) is int and 0 <= part < 256 for part in rows) and isinstance(value, list):
            rows = [tuple(rows)]
        elif all(isinstance(row, list) and len(row) == 3 for row in rows):
            rows = [tuple(row) for row in rows]
        if not all(type(part) is int for row in rows for part in (row if isinstance(row, tuple) else (row,))):
            raise wrong
        found[str(label)] = rows
    if len({isinstance(value, tuple) for rows in found.values() for value in rows}) > 1:
        raise wrong
    return found


# Deciding -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coding:
    """How values become codes.

    Attributes:
        names: of the labels.
        codes: value -> code.
        other: the code of all other values; None where they are refused.
        colours: whether values are colours.
        objects: whether each value above 0 is an object of the only label.
        sets: the labels of files that hold one each: a value is the sum of 2**k for each that a pixel has; () of other files.
        regions: of the labels, as `cnnkit.tasks.segmentation.masks`.
        entries: of the inventory.
        slips: values that mean nothing, as one mask alone has them, in a few pixels.
        notes: lines on how values were taken that nobody named.
    """

    names: tuple[str, ...]
    codes: Mapping[int, int]
    other: int | None = None
    colours: bool = False
    objects: bool = False
    sets: tuple[str, ...] = ()
    regions: tuple[tuple[int, ...], ...] = ()
    entries: tuple[Entry, ...] = field(default=(), compare=False)
    slips: frozenset[int] = frozenset()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What values mean and nothing else: equal for codings that make the same masks, also of other releases."""
        kinds = (self.other, self.colours, self.objects, self.sets, self.regions)
        return (self.names, tuple(sorted(self.codes.items())), *kinds)

    def wrong(self, seen: Seen) -> str:
        """Return what is wrong with the values of a mask, "" where nothing is."""
        if self.objects or self.other is not None:
            return ""
        pixels = {value: number for value, number in zip(seen.values, seen.counts) if value not in self.codes}
        if not pixels:
            return ""
        if self.colours:
            red, green, blue = (max(pixels, key=pixels.__getitem__) >> shift & 255 for shift in (16, 8, 0))
            return (
                f"{sum(pixels.values()):,} of its pixels have a colour that nobody named, such as {red}, {green}, {blue}; "
                "soft edges have such"
            )
        if slips := self.slips & pixels.keys():
            value = min(slips)
            return (
                f"{pixels[value]:,} of its pixels have the value {value}, which no other mask has and nobody named: correct "
                f"them, or name the values in a card, `values = {{ NAME = 1, ignore = {value} }}` to leave these pixels out"
            )
        return f"it has the value {_some(list(pixels))}, where only {_some(list(self.codes))} mean something"

    def apply(self, array: np.ndarray, name: str) -> np.ndarray:
        """Return the code map of values, whole numbers (*sides): uint8.

        Raises:
            DataError: a value means nothing; `name` is the file.
        """
        if self.objects:
            return (array != 0).astype(np.uint8)
        seen = Seen((0, 0), *count(array), "", "")
        reason = self.wrong(seen)
        if reason:
            raise ImageError(name, reason, "Correct it, or name what it holds.")
        codes = np.array([self.codes.get(value, self.other or 0) for value in seen.values], np.uint8)
        if array.dtype == np.uint8:
            table = np.zeros(256, np.uint8)
            table[list(seen.values)] = codes
            return cv2.LUT(array, table) if array.ndim == 2 else table[array]
        return codes[np.searchsorted(np.array(seen.values), array)]


def decide(looked: Sequence[tuple[str, Seen]], names: Named | None, *, objects: bool | None = None) -> Coding:
    """Decide what values mean.

    Args:
        looked: (file, what was seen) of every mask.
        names: what was told.
        objects: whether values are numbers of objects; None: found out.

    Raises:
        DataError: colours without names, too many labels.
    """
    found = sorted({value for _, seen in looked for value in seen.values})
    entries = read_otherwise(looked)
    if objects or (objects is None and names is None and _are_objects(looked, found)):
        foreground = tuple(label for label in names or () if _plain(label) not in BACKGROUND | VOID)
        if len(foreground) > 1:
            raise DataError(
                f"The option `objects` makes each value the number of an object, and {', '.join(foreground)} are named as values."
                " Leave one of both out, or name one label."
            )
        most = max((sum(value != 0 for value in seen.values) for _, seen in looked), default=0)
        note = (
            f"Masks with up to {most:,} different values: they are taken for the numbers of objects. If they are labels, name "
            "them in a card: `values = { NAME = 1 }`."
        )
        notes = () if objects else (note,)
        return Coding(foreground[:1] or ("foreground",), {}, objects=True, entries=tuple(entries), notes=notes)
    if names is not None:
        return _as_told(looked, names, found, entries)
    coloured = [file for file, seen in looked if seen.how == "colours"]
    if coloured:
        raise DataError(
            f"{printable(coloured[0])} is a mask of colours, and nothing says what they mean. Name them in a file classes.csv "
            'with the columns name, red, green, blue beside the folders, or as "values" in a card.'
        )
    return _found_out(looked, found, entries)


def of_sets(looked: Sequence[tuple[str, Seen]], labels: Sequence[str]) -> Coding:
    """Give each set of labels that a pixel has a code: that of its only label, or one of its own where labels overlap.

    Args:
        looked: (file, what was seen); values are sets, as `Coding.sets` says.
        labels: of the files.

    Raises:
        DataError: too many labels or sets of them.
    """
    void = sum(1 << k for k, label in enumerate(labels) if _plain(label) in VOID)
    named = [k for k, label in enumerate(labels) if _plain(label) not in VOID | BACKGROUND]
    codes = {0: 0} | {1 << k: code for code, k in enumerate(named, 1)}
    known = sum(1 << k for k in named)
    found = {value for _, seen in looked for value in seen.values}
    for value in sorted(found, key=lambda value: (value & known).bit_count()):
        own = value & known
        if own not in codes:
            codes[own] = max(codes.values()) + 1
        codes[value] = IGNORE if value & void else codes[own]
    most = max((code for code in codes.values() if code != IGNORE), default=0)
    if not named or most > MOST:
        raise DataError(
            f"Masks have 1 to {MOST} labels and overlaps of them; here are {len(named)} labels, {most} with overlaps."
        )
    regions = tuple(tuple(sorted({c for v, c in codes.items() if v >> k & 1 and c != IGNORE})) for k in named)
    return Coding(tuple(labels[k] for k in named), codes, sets=tuple(labels), regions=regions)


def _plain(label: str) -> str:
    return re.sub(r"[^a-z]", "", label.lower())


def read_otherwise(looked: Sequence[tuple[str, Seen]]) -> list[Entry]:
    """Return the inventory's entries of masks that are read otherwise than written."""
    entries = []
    for how, reason in (
        ("cut", f"whose two levels have soft edges, as JPEG leaves them: cut at {CUT}"),
        ("rounded", "whose values were nearly whole: rounded"),
    ):
        files = [printable(file) for file, seen in looked if seen.how == how]
        entries += [entry("changed", "masks", reason, files)] if files else []
    return entries


def _are_objects(looked: Sequence[tuple[str, Seen]], found: list[int]) -> bool:
    """Say whether values are numbers of objects: many, or each mask has its own 1 to n."""
    if any(seen.how in ("colours", "palette", "cut") for _, seen in looked):
        return False
    values = [value for value in found if value]
    if len(values) > OBJECTS_FROM:
        return True
    rows = [[value for value in seen.values if value] for _, seen in looked]
    rows = [row for row in rows if row]
    return (
        len(values) >= _SOFT_FROM and len({len(row) for row in rows}) > 1 and all(row[-1] == len(row) for row in rows)
    )


def _as_told(looked: Sequence[tuple[str, Seen]], names: Named, found: list[int], entries: list[Entry]) -> Coding:
    colours = any(isinstance(value, tuple) for rows in names.values() for value in rows)
    codes: dict[int, int] = {}
    labels: list[str] = []
    for label, rows in names.items():
        plain = _plain(label)
        code = 0 if plain in BACKGROUND else IGNORE if plain in VOID else len(labels) + 1
        labels += [label] if 0 < code < IGNORE else []
        for row in rows:
            value = (row[0] << 16) | (row[1] << 8) | row[2] if colours else row
            if value in codes:
                raise DataError(f"The value {row} has two labels, and one of them is {label!r}. Name each value once.")
            codes[value] = code
    if not labels or len(labels) > MOST:
        raise DataError(f"Masks have 1 to {MOST} labels beside the background, and {len(labels)} are named.")
    if colours:
        codes.setdefault(0, 0)
        return Coding(tuple(labels), codes, colours=True, entries=tuple(entries))
    if codes.get(0):
        others = [value for value in found if value not in codes]
        if len(others) <= 1:
            codes |= dict.fromkeys(others, 0)
    else:
        codes.setdefault(0, 0)
    if len(labels) == 1:
        (value,) = [value for value, code in codes.items() if code == 1][:1]
        other = {1: 255, 255: 1}.get(value)
        if other is not None and other not in codes:
            files = [(file, set(seen.values)) for file, seen in looked]
            mixed = [printable(file) for file, values in files if other in values and value not in values]
            if mixed and not any({value, other} <= values for _, values in files):
                codes[other] = 1
                if any(value in values for _, values in files):
                    entries = [*entries, _mixed(mixed, labels[0], other, value)]
    if any(seen.how == "palette" for _, seen in looked) and 255 not in codes:
        codes[255] = IGNORE
    return Coding(tuple(labels), codes, entries=tuple(entries))


def _mixed(files: list[str], label: str, other: int, usual: int) -> Entry:
    return entry(
        "changed", "masks", f"in which {label} is {other}, where others have {usual}: read as one label", files
    )


def _found_out(looked: Sequence[tuple[str, Seen]], found: list[int], entries: list[Entry]) -> Coding:
    slips, notes = _rare(looked)
    found = [value for value in found if value not in slips]
    coding = _meaning(looked, found, entries, slips)
    kept = tuple(line for value, line in notes.items() if 0 < coding.codes.get(value, 0) < IGNORE)
    return replace(coding, slips=slips, notes=(*coding.notes, *kept))


def _rare(looked: Sequence[tuple[str, Seen]]) -> tuple[frozenset[int], dict[int, str]]:
    """Return values that one mask alone has, of several: those in a few pixels, and a line on each of the others."""
    having: dict[int, list[tuple[str, int]]] = {}
    for file, seen in looked:
        for value, number in zip(seen.values, seen.counts):
            if value and number:
                having.setdefault(value, []).append((file, number))
    drawn = sum(any(seen.values) for _, seen in looked)
    if drawn < MANY or len(having) < 2:
        return frozenset(), {}
    alone = {value: rows[0] for value, rows in having.items() if len(rows) == 1}
    if len(alone) == len(having):
        return frozenset(), {}
    slips = frozenset(value for value, (_, number) in alone.items() if number <= SLIP)
    notes = {
        value: f"The value {value} is in one of {drawn:,} masks, {printable(file)}, {number:,} px, and learnt as a label. If it "
        f"is a slip, correct it, or name the values in a card: `values = {{ NAME = 1, ignore = {value} }}`."
        for value, (file, number) in alone.items()
        if number > SLIP
    }
    return slips, notes


def _meaning(
    looked: Sequence[tuple[str, Seen]], found: list[int], entries: list[Entry], slips: frozenset[int]
) -> Coding:
    """Find out what values mean, but for slips."""
    values = [value for value in found if value]
    rows = [(file, {value for value in seen.values if value and value not in slips}) for file, seen in looked]
    if len(values) <= 1:
        return Coding(("foreground",), {0: 0, **dict.fromkeys(values, 1)}, entries=tuple(entries))
    if set(values) == {1, 255} and all(len(row) < 2 for _, row in rows):
        ones = [printable(file) for file, row in rows if 1 in row]
        full = [printable(file) for file, row in rows if 255 in row]
        fewer, other, usual = (ones, 1, 255) if len(ones) < len(full) else (full, 255, 1)
        return Coding(
            ("foreground",), {0: 0, 1: 1, 255: 1}, entries=(*entries, _mixed(fewer, "the foreground", other, usual))
        )
    if 0 not in found:
        raise DataError(
            f"The masks have the values {_some(found)} and no 0, so nothing says what is background. Name them in a card: "
            "`values = { NAME = 1, background = 2 }`."
        )
    codes = {0: 0}
    palette = any(seen.how == "palette" for _, seen in looked)
    beside = [file for file, row in rows if 255 in row and len(row) > 1]
    if beside and (palette or values[-2] <= _SMALL):
        alone = [file for file, row in rows if row == {255}]
        if len(alone) > len(beside):
            raise DataError(
                f"{printable(alone[0])} and {len(alone) - 1} more masks have 255 alone, {printable(beside[0])} beside other "
                "labels: it may be a label, or what nobody labelled. Name the values in a card: `values = { NAME = 255 }`."
            )
        values.remove(255)
        codes[255] = IGNORE
        files = [printable(file) for file, row in rows if 255 in row]
        entries = [*entries, entry("changed", "masks", "with 255: left out of loss and scores", files)]
    if len(values) > MOST or values[0] < 0:
        raise DataError(
            f'The masks have {len(values)} values, from {values[0]}: name their labels as "values" in a card.'
        )
    labels = ("foreground",) if len(values) == 1 else tuple(map(str, values))
    codes |= {value: code for code, value in enumerate(values, 1)}
    return Coding(labels, codes, entries=tuple(entries))

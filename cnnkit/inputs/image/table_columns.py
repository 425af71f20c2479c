"""Which column of a table of pixels holds the label, and which are neither label nor pixels.

Design choices:
- Told is told: a name, or a number from 0, -1 for the last. Else a header decides by its names.
- Without a header the first and the last column are held against each other over the whole file: a label takes few values
  that follow on one another and are spread; the corner of a picture is always 0, or takes as many values as there are. What
  was chosen is said.
- A running number in front (pandas writes one) and columns that the header does not call pixels are left out, and named.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cnnkit.errors import DataError

NAMES = ("label", "class", "target", "y", "labels", "classid", "class_id", "class id", "digit", "category")
PIXEL = re.compile(r"(pixel|pix|px|p|x|attr|attribute|col|column|feature|feat|f|v|var)?[ _.]?\d+([x_]\d+)?")
_RUNNING = frozenset(["", "index", "id", "idx", "unnamed: 0", "row", "no", "nr"])
_MOST = 100_000  # lines that are looked at


@dataclass(frozen=True)
class Columns:
    """The columns of a table: which is the label, which are left out, and a line on what was found out."""

    label: int
    left: tuple[int, ...] = ()
    note: str = ""


def choose(
    head: list[str],
    header: bool,
    asked: Any,
    rows: Callable[[], Iterable[list[str]]],
    fail: Callable[[int, str], DataError],
) -> Columns:
    """Choose the columns of a table.

    Args:
        head: the cells of the first line.
        header: whether they are names.
        asked: the label that was asked for: a name, a number, or a number as text; None: found out.
        rows: gives the first, second and last cell of the lines that hold pixels.
        fail: makes an error of (line, text).

    Raises:
        DataError: no such column, or none can be told from the others.
    """
    names = [name.lower() for name in head]
    others = [k for k, name in enumerate(names) if header and not PIXEL.fullmatch(name)]
    if len(head) - len(others) < len(head) / 2:  # names of its own kind say nothing of pixels
        others = [k for k in others if names[k] in _RUNNING or k == _known(names)]
    if asked is not None:
        place = _asked(head, header, asked, fail)
        return Columns(place, *_left(head, header, [k for k in others if k != place], place, rows))
    if not header:
        return _found(head, rows)
    label = _known(names)
    if label is None:
        candidates = [k for k in others if names[k] not in _RUNNING]
        if len(candidates) > 1:
            shown = ", ".join(head[k] for k in candidates[:6])
            raise fail(1, f"names no label, but several columns that are no pixels: {shown}. Say which with `label`")
        if not candidates and all(PIXEL.fullmatch(name) or name in _RUNNING for name in names):
            raise fail(1, f"names {len(names)} columns of pixels and no label. A test set without labels?")
        label = candidates[0] if candidates else 0
    left, told = _left(head, header, [k for k in others if k != label], label, rows)
    known = names[label] in NAMES
    return Columns(
        label, left, told if known else f"Labels: the column {head[label]} (--label names another). {told}".strip()
    )


def _known(names: list[str]) -> int | None:
    return next((names.index(name) for name in NAMES if name in names), None)


def _asked(head: list[str], header: bool, asked: Any, fail: Callable[[int, str], DataError]) -> int:
    if header and asked in head:
        return head.index(asked)
    number = int(asked) if isinstance(asked, str) and re.fullmatch(r"-?\d+", asked) else asked
    if type(number) is int and -len(head) <= number < len(head):
        return number % len(head)
    raise fail(1, f"has no column {asked!r}, which the option `label` names")


def _left(
    head: list[str], header: bool, others: list[int], label: int, rows: Callable[[], Iterable[list[str]]]
) -> tuple[tuple[int, ...], str]:
    """Return the columns that are neither, and a line that names them."""
    if header:
        shown = ", ".join(head[k] or "one without a name" for k in others[:4]) + (", ..." if len(others) > 4 else "")
        return tuple(others), f"Columns left out, as they are no pixels: {shown}." if others else ""
    first = 1 if label == 0 else 0
    if _is_running(cells[first] for cells in islice(rows(), _MOST) if len(cells) == 3):
        return (first,), f"Column {first} left out, as it only counts the lines."
    return (), ""


def _found(head: list[str], rows: Callable[[], Iterable[list[str]]]) -> Columns:
    """Tell the label from pixels where there is no header."""
    ends: tuple[list[str], list[str], list[str]] = ([], [], [])
    for cells in islice(rows(), _MOST):
        if len(cells) == 3:
            for values, cell in zip(ends, cells):
                values.append(cell)
    running = len(head) > 3 and _is_running(iter(ends[0]))
    first, last = (1, len(head) - 1) if running else (0, len(head) - 1)
    one, other = _likeness(ends[1] if running else ends[0]), _likeness(ends[2])
    label = last if other > one else first
    left = (0,) if running else ()
    if max(one, other) == 0:  # told from nothing: the usual place
        return Columns(first, left, "")
    count = len(set(ends[2] if label == last else ends[1] if running else ends[0]))
    place = "last" if label == last else "second" if running else "first"
    note = f"Labels: the {place} column, of {count:,} values (--label N names another, from 0; -1 is the last)."
    return Columns(label, left, note + (" Column 0 left out, as it only counts the lines." if running else ""))


def _is_running(cells: Iterable[str]) -> bool:
    """Whether cells count up by one, 20 and more."""
    before: int | None = None
    count = 0
    for cell in cells:
        if not cell.isdigit() or (before is not None and int(cell) != before + 1):
            return False
        before, count = int(cell), count + 1
    return count >= 20


def _likeness(cells: list[str]) -> float:
    """Say how much a column is like one of labels: 0 not at all, 3 texts, numbers the more the closer and more even they are."""
    counts = Counter(cells)
    if len(cells) < 8 or not 2 <= len(counts) <= max(2, len(cells) / 2):
        return 0
    try:
        values = [float(cell) for cell in counts]
    except ValueError:
        return 3
    if any(value % 1 for value in values):
        return 0
    most = counts.most_common(1)[0][1] / len(cells)
    if most > 0.95:
        return 0.1
    close = max(values) - min(values) + 1 == len(values)
    uneven = most * len(counts)  # 1 where all occur alike
    return (2 if close else 1) * min(1, 3 / uneven) * (1 if len(counts) <= 100 else 0.5)

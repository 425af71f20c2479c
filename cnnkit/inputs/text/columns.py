"""Which column of a table, or field of JSON lines, is the text and which the label; told, or guessed and said.

Design choices:
- A separator is judged by the first 256 KB: the one that gives the most lines the same number of columns, two or more. Quotes
  count as such if that gives at least as even a table and no quote is left open; tab-separated files that hold
  quotes inside texts, as the SMS collection does, are common. A first line `sep=;`, as Excel has it, says the separator.
- Columns are judged by pieces from all over the file: one that is sorted by label begins with one label only.
- The first line is a header if a column of it is asked for by name, has a name that texts or labels usually have, or if
  it looks unlike the rest: its label is not among the labels below and the cells are short, different and no numbers.
- A number that is asked for is a position, never what a cell holds.
- A column is found by what it is usually called; else the text is the column with the longest cells, and the label the one
  with the fewest different values among the others. What was chosen is said in the plan. Several columns of 0 and 1 are
  several labels; where another column may be the label as well, or none looks like one, the choice is the user's.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.errors import DataError
from cnnkit.inputs.text.formats import LABEL_NAMES, NO, ONE, TEXT_NAMES, YES, JsonLines, Table

SAMPLE = 1 << 18  # bytes looked at, at the start
_PIECES, _PIECE = 24, 1 << 15  # looked at elsewhere: so many, of so many bytes
_ROWS = 4000  # by which columns are judged
_FEW_KINDS = 20  # different values that a column of labels may have, or
_KINDS = 0.2  # of the rows
_NO_LABEL = 0.5  # of the rows: a column with more different values is none of labels
_DELIMITERS = (",", "\t", ";", "|")
_EVEN = 0.8  # of the lines have as many columns as most


@dataclass(frozen=True)
class Choice:
    """How a file is read, the lines that say so, and how many bytes at its start are no rows: `sep=;`, which is no header."""

    form: Any
    header: bool
    notes: tuple[str, ...]
    skip: int = 0


@dataclass(frozen=True)
class _Found:
    """Which columns were found, and a line that says so."""

    text: int
    label: int | tuple[int, ...] | None
    said: str
    exclusive: bool = False


def pieces(path: Path, start: int) -> list[bytes]:
    """Return pieces of a file from all over it behind its start, each of whole lines."""
    size = path.stat().st_size
    if size <= start:
        return []
    found = []
    with path.open("rb") as file:
        for place in range(start, size, max(_PIECE, (size - start) // _PIECES)):
            file.seek(place)
            block = file.read(_PIECE)
            inside = block.split(b"\n", 1)[-1]  # the first line may be half of one
            found.append(inside if place + len(block) >= size else inside[: inside.rfind(b"\n") + 1])
    return found


def table(
    path: Path, head: bytes, options: dict[str, Any], *, more: Sequence[bytes] = (), labelled: bool = True
) -> Choice:
    """Find separator, quotes, header and columns of a table.

    Args:
        path: the file.
        head: its first bytes.
        options: `text`, `label` (names, or numbers from 0), `separator`, `header` of the user.
        more: pieces of the rest, of whole lines.
        labelled: whether it needs a column of labels.

    Raises:
        DataError: no separator, or a column that is not there; the line names those that are.
    """
    whole = len(head) < SAMPLE
    if not whole:
        head = head[: head.rfind(b"\n") + 1] or head
    told = re.match(rb'"?sep=(.)"?[ ,;\t]*\r?\n', head, re.IGNORECASE)
    skip, forced = (told.end(), told[1].decode("latin-1")) if told else (0, "")
    delimiter, quoting, rows = _delimiter(path, head[skip:].decode("latin-1"), whole, forced, labelled)
    width = len(rows[0])
    asked = {key: options.get(key) for key in ("text", "label")[: 1 + labelled]}
    body = [row for row in rows[1:] if len(row) == width]
    for piece in more:
        body += [row for row in _parsed(piece.decode("latin-1"), delimiter, quoting, True)[0] if len(row) == width]
    header = options.get("header")
    if header is None:
        header = _is_header(_shown(rows[0]), body, asked)
    names = _shown(rows[0]) if header else [str(number) for number in range(width)]
    sample = body if header else [rows[0], *body]
    sample = sample[:: max(1, len(sample) // _ROWS)]
    separator = options.get("separator") or None
    found = _columns(path, names, [_shown(row) for row in sample], asked, header, separator=separator)
    columns = found.label if isinstance(found.label, tuple) else (() if found.label is None else (found.label,))
    kinds = Counter(row[column].strip() for row in sample for column in columns)
    form = Table(
        *(delimiter, quoting, found.text, found.label, width, separator),
        names=tuple(
            rows[0][column].strip().encode("latin-1") if header else names[column].encode() for column in columns
        )
        if isinstance(found.label, tuple)
        else (),
        exclusive=found.exclusive,
        header=tuple(cell.strip().lower() for cell in rows[0]) if header else (),
        labels=frozenset(kind for kind, count in kinds.items() if count > 1 and kind),
    )
    quotes = "quotes around cells" if quoting else "quotes are part of the text"
    notes = [f"{form.name.capitalize()}, {'with' if header else 'without'} a header, {quotes}.", found.said]
    return Choice(form, header, tuple(notes), skip)


def json_lines(path: Path, head: bytes, options: dict[str, Any], *, labelled: bool = True) -> Choice:
    """Find the fields of JSON lines; as `table`."""
    rows = []
    for line in head.split(b"\n")[:_ROWS]:
        try:
            row = json.loads(line)
        except ValueError:  # the last one may be cut, bad ones are named later
            continue
        if isinstance(row, dict):
            rows.append(row)
    if not rows:
        raise DataError(f'{path} has no line that is a JSON object, such as {{"text": "...", "label": "..."}}.')
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    asked = {key: options.get(key) for key in ("text", "label")[: 1 + labelled]}
    separator = options.get("separator") or None
    found = _columns(path, names, cells, asked, True, "field", separator=separator)
    label: Any = found.label
    if label is not None:
        label = tuple(names[column] for column in label) if isinstance(label, tuple) else names[label]
    form = JsonLines(names[found.text], label, separator, found.exclusive)
    return Choice(form, False, ("JSON lines.", found.said))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(row: list[str]) -> list[str]:
    """Turn cells back from Latin-1, for people to read."""
    return [cell.strip().encode("latin-1").decode("utf-8", "replace") for cell in row]


def _delimiter(
    path: Path, text: str, whole: bool, forced: str = "", labelled: bool = True
) -> tuple[str, bool, list[list[str]]]:
    """Choose separator and quoting; return them and the rows of the sample."""
    best: tuple[Any, ...] | None = None
    for order, delimiter in enumerate((forced,) if forced in _DELIMITERS else _DELIMITERS):
        if delimiter not in text:
            continue
        for quoting in (True, False):
            rows, closed = _parsed(text, delimiter, quoting, whole)
            widths = [len(row) for row in rows]
            if not rows or len(rows[0]) < 2:
                continue
            even = widths.count(len(rows[0])) / len(widths)
            expected = delimiter == "\t" if path.suffix.lower() in (".tsv", ".tab") else delimiter != "\t"
            rank = (even >= 0.999, round(even, 3), closed, quoting, expected, -order)
            if best is None or rank > best[0]:
                best = rank, delimiter, quoting, rows, even
    if (best is None or best[4] < _EVEN) and not labelled:  # texts alone
        return ONE, True, _parsed(text, ONE, True, whole)[0]
    if best is None or best[4] < _EVEN:
        raise DataError(
            f"{path} is no table of texts and labels: its lines do not have the same two or more columns, separated by "
            "comma, semicolon, tab or |."
        )
    return best[1], best[2], best[3]


def _parsed(text: str, delimiter: str, quoting: bool, whole: bool) -> tuple[list[list[str]], bool]:
    """Return the rows of a sample, and whether every quote that is opened is closed before the next separator."""
    kind: Any = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    lines = text.split("\n")
    lines = [line + "\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])
    if quoting and '"' not in text:
        return _parsed(text, delimiter, False, whole)
    rows: list[list[str]] = []
    closed = True
    try:
        rows += (row for row in csv.reader(lines, delimiter=delimiter, quoting=kind) if "".join(row).strip())
    except csv.Error:
        closed = False
    if quoting:
        try:
            for _ in csv.reader(lines, delimiter=delimiter, quoting=kind, strict=True):
                pass
        except csv.Error as error:
            cut = "unexpected end" in str(error) and not whole
            closed = closed and cut
            if cut:
                rows = rows[:-1]
    return rows, closed


def _is_header(first: list[str], body: list[list[str]], asked: dict[str, Any]) -> bool:
    """Say whether the first line is a header."""
    names = [cell.lower() for cell in first]
    for name in asked.values():
        if isinstance(name, str) and not _POSITION.fullmatch(name):
            parts = [name, *(part.strip() for part in name.split(","))]
            if any(part in first and not _is_number(part) for part in parts):
                return True
    if any(name in TEXT_NAMES + LABEL_NAMES for name in names):
        return True
    if not body or len(set(names)) < len(names) or any(_is_number(cell) or not 0 < len(cell) <= 30 for cell in first):
        return False
    kinds = [len({row[column] for row in body}) for column in range(len(first))]
    label = kinds.index(min(kinds))
    return kinds[label] <= len(body) / 2 and first[label] not in {row[label] for row in body}


def _columns(
    path: Path,
    names: list[str],
    rows: list[list[str]],
    asked: dict[str, Any],
    header: bool,
    what: str = "column",
    *,
    separator: str | None = None,
) -> _Found:
    """Choose the columns of text and label, the latter if it is among what is `asked`."""
    found: dict[str, Any] = {}
    why: dict[str, str] = {}
    for key, wanted in asked.items():
        if wanted is not None:
            found[key] = _asked(path, names, wanted, key, header, what)
            why[key] = "as told"
    lower = [name.lower() for name in names]
    for key, usual in (("label", LABEL_NAMES), ("text", TEXT_NAMES)):
        free = [name for name in usual if name in lower and lower.index(name) not in _each(found)]
        if key in asked and key not in found and header and free:
            found[key] = lower.index(free[0])
            why[key] = "by its name"
    rest = [column for column in range(len(names)) if column not in _each(found)]
    marks = [column for column in rest if _is_mark([row[column] for row in rows])]
    if "text" not in found and rest:
        found["text"] = max(
            rest, key=lambda column: (column not in marks, sum(len(row[column]) for row in rows), -column)
        )
        why["text"] = "by its long cells"
        rest.remove(found["text"])
    marks = [column for column in marks if column in rest]
    if "label" in asked and "label" not in found and rest:
        found["label"], why["label"] = _guessed(path, names, rows, rest, marks, header, what)
    if len(found) < len(asked) or found["text"] in _each({**found, "text": None}):
        raise DataError(
            f"{path} needs a {what} of texts and one of labels. It has {', '.join(names[:20])}. Name them with the options "
            "`text` and `label`."
        )
    named = {key: _named(names, column, header) for key, column in found.items()}
    label, exclusive = found.get("label"), False
    told = [f"text is the {what} {named['text']} ({why['text']})"]
    if isinstance(label, tuple):
        held = [sum(row[column].strip().encode() in YES for column in label) for row in rows]
        exclusive = all(count == 1 for count in held)
        kind = "each text has one" if exclusive else "several a text"
        told.append(f"labels are the {what}s of 0 and 1 {named['label']} ({why['label']}; {kind})")
    elif label is not None:
        told.append(f"label is the {what} {named['label']} ({why['label']})")
    said = "; ".join(told)
    return _Found(found["text"], label, f"T{said[1:]}.", exclusive)


def _each(found: dict[str, Any]) -> list[int]:
    """Return all columns of a choice in a row."""
    parts = (value if isinstance(value, tuple) else (value,) for value in found.values() if value is not None)
    return [column for part in parts for column in part]


def _named(names: list[str], column: int | tuple[int, ...], header: bool) -> str:
    if isinstance(column, tuple):
        shown = [_named(names, part, header) for part in column]
        return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
    return repr(names[column]) if header else f"number {column}"


def _is_mark(cells: list[str]) -> bool:
    """Say whether a column holds nothing but 0 and 1."""
    return bool(cells) and all(cell.strip().encode() in YES | NO for cell in cells)


def _guessed(
    path: Path,
    names: list[str],
    rows: list[list[str]],
    rest: list[int],
    marks: list[int],
    header: bool,
    what: str,
) -> tuple[int | tuple[int, ...], str]:
    """Find the column of labels, or the columns of 0 and 1, among those that are left; and say why.

    Raises:
        DataError: several may be meant, or none looks like labels.
    """
    kinds = {column: len({row[column] for row in rows} - {""}) for column in rest}
    most = max(_FEW_KINDS, _KINDS * len(rows))
    fit = [column for column in rest if 2 <= kinds[column] <= most]
    others = [column for column in fit if column not in marks]
    if len(marks) >= 2 and not others:
        if header:
            return tuple(marks), "by their values"
        numbers = ",".join(map(str, marks))
        raise DataError(
            f"{path} has no header, and several {what}s of 0 and 1, the numbers {numbers}. Name one as the label, or all of "
            f"them for several labels a text: `label={numbers}`."
        )
    if len(marks) >= 2:
        joined = ",".join(names[column] for column in marks)
        raise DataError(
            f"{path}: which {what} is the label? {_named(names, tuple(marks), header)} hold 0 and 1: `label={joined}` takes "
            f"them as several labels a text. Or one of {_named(names, tuple(others), header)}, with `label`."
        )
    if rest and len(rows) > _FEW_KINDS and min(kinds.values()) > max(most, _NO_LABEL * len(rows)):
        shown = ", ".join(f"{_named(names, column, header)} {kinds[column]:,}" for column in rest[:10])
        raise DataError(
            f"{path}: no {what} looks like labels, which few different values would: of {len(rows):,} rows looked at "
            f"{shown}. Name it with `label`."
        )
    chosen = [column for column in rest if kinds[column] >= 2] or rest
    return min(fit or chosen, key=lambda column: kinds[column]), "by its few values"


_POSITION = re.compile(r"-?\d{1,4}")


def _asked(path: Path, names: list[str], wanted: Any, key: str, header: bool, what: str) -> Any:
    """Find the column that a user names, by name or by number from 0 (-1 is the last); of labels also several, with commas."""
    text = str(wanted).strip()
    if _POSITION.fullmatch(text) and what == "column":
        if -len(names) <= int(text) < len(names):
            return int(text) % len(names)
    elif header and text in names:
        return names.index(text)
    else:
        same = [column for column, name in enumerate(names) if name.lower() == text.lower()]
        if header and len(same) == 1:
            return same[0]
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if key == "label" and len(parts) > 1:
            columns = [_asked(path, names, part, key, header, what) for part in parts]
            return tuple(dict.fromkeys(columns))
    has = (
        f"It has {', '.join(names[:20])}" if header else f"It has no header, and {len(names)} columns, numbered from 0"
    )
    raise DataError(f"{path} has no {what} {wanted!r}, which the option `{key}` names. {has}.")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

"""Which column of a table, or field of JSON lines, is the text and which the label; told, or guessed and said.

Design choices:
- A separator is judged by the first 256 KB: the one that gives the most lines the same number of columns, two or more. Quotes
  count as such if that gives at least as even a table and no quote is left open; tab-separated files that hold
  quotes inside texts, as the SMS collection does, are common.
- The first line is a header if a column of it is asked for by name, has a name that texts or labels usually have, or if
  it looks unlike the rest: its label is not among the labels below and the cells are short, different and no numbers.
- A column is found by what it is usually called; else the text is the column with the longest cells, and the label the one
  with the fewest different values among the others. What was chosen is said in the plan.
"""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.data.text_formats import JsonLines, Table
from cnnkit.errors import DataError

SAMPLE = 1 << 18  # bytes looked at
TEXT_NAMES = (
    *("text", "sentence", "review", "message", "content", "sms", "tweet", "comment", "body", "document", "question"),
    *("description", "title", "headline", "utterance", "query", "v2"),
)
LABEL_NAMES = (
    *(
        "label",
        "labels",
        "class",
        "classes",
        "category",
        "categories",
        "target",
        "sentiment",
        "polarity",
        "topic",
        "intent",
    ),
    *("tag", "tags", "genre", "emotion", "type", "rating", "stars", "y", "v1"),
)
_DELIMITERS = (",", "\t", ";", "|")
_EVEN = 0.8  # of the lines have as many columns as most


@dataclass(frozen=True)
class Choice:
    """How a file is read, and the lines that say so."""

    form: Any
    header: bool
    notes: tuple[str, ...]


def table(path: Path, head: bytes, options: dict[str, Any]) -> Choice:
    """Find separator, quotes, header and columns of a table.

    Args:
        path: the file.
        head: its first bytes.
        options: `text`, `label` (names, or numbers from 0), `separator`, `header` of the user.

    Raises:
        DataError: no separator, or a column that is not there; the line names those that are.
    """
    whole = len(head) < SAMPLE
    if not whole:
        head = head[: head.rfind(b"\n") + 1] or head
    delimiter, quoting, rows = _delimiter(path, head.decode("latin-1"), whole)
    width = len(rows[0])
    asked = {key: options.get(key) for key in ("text", "label")}
    body = [row for row in rows[1:] if len(row) == width]
    header = options.get("header")
    if header is None:
        header = _is_header(_shown(rows[0]), body, asked)
    names = _shown(rows[0]) if header else [str(number) for number in range(width)]
    sample = body if header else [rows[0], *body]
    columns, how = _columns(path, names, [_shown(row) for row in sample[:1000]], asked, header)
    form = Table(delimiter, quoting, columns["text"], columns["label"], width, options.get("separator") or None)
    told = "quotes around cells" if quoting else "quotes are part of the text"
    notes = [f"{form.name.capitalize()}, {'with' if header else 'without'} a header, {told}.", how]
    return Choice(form, header, tuple(notes))


def json_lines(path: Path, head: bytes, options: dict[str, Any]) -> Choice:
    """Find the fields of JSON lines; as `table`."""
    rows = []
    for line in head.split(b"\n")[:200]:
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
    asked = {key: options.get(key) for key in ("text", "label")}
    columns, how = _columns(path, names, cells, asked, True, "field")
    form = JsonLines(names[columns["text"]], names[columns["label"]], options.get("separator") or None)
    return Choice(form, False, ("JSON lines.", how))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(row: list[str]) -> list[str]:
    """Turn cells back from Latin-1, for people to read."""
    return [cell.strip().encode("latin-1").decode("utf-8", "replace") for cell in row]


def _delimiter(path: Path, text: str, whole: bool) -> tuple[str, bool, list[list[str]]]:
    """Choose separator and quoting; return them and the rows of the sample."""
    best: tuple[Any, ...] | None = None
    for order, delimiter in enumerate(_DELIMITERS):
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
    if any(isinstance(name, str) and name in first for name in asked.values()):
        return True
    if any(name in TEXT_NAMES + LABEL_NAMES for name in names):
        return True
    if not body or len(set(names)) < len(names) or any(_is_number(cell) or not 0 < len(cell) <= 30 for cell in first):
        return False
    kinds = [len({row[column] for row in body}) for column in range(len(first))]
    label = kinds.index(min(kinds))
    return kinds[label] <= len(body) / 2 and first[label] not in {row[label] for row in body}


def _columns(
    path: Path, names: list[str], rows: list[list[str]], asked: dict[str, Any], header: bool, what: str = "column"
) -> tuple[dict[str, int], str]:
    """Choose the columns of text and label; return them and a line that says so."""
    found: dict[str, int] = {}
    why: dict[str, str] = {}
    for key, wanted in asked.items():
        if wanted is not None:
            found[key] = _asked(path, names, wanted, key, header, what)
            why[key] = "as told"
    lower = [name.lower() for name in names]
    for key, usual in (("label", LABEL_NAMES), ("text", TEXT_NAMES)):
        free = [name for name in usual if name in lower and lower.index(name) not in found.values()]
        if key not in found and header and free:
            found[key] = lower.index(free[0])
            why[key] = "by its name"
    rest = [column for column in range(len(names)) if column not in found.values()]
    if "text" not in found and rest:
        found["text"] = max(rest, key=lambda column: sum(len(row[column]) for row in rows))
        why["text"] = "by its long cells"
        rest.remove(found["text"])
    if "label" not in found and rest:
        kinds = {column: len({row[column] for row in rows} - {""}) for column in rest}
        fit = [column for column in rest if kinds[column] >= 2] or rest
        found["label"] = min(fit, key=lambda column: kinds[column])
        why["label"] = "by its few values"
    if len(found) < 2 or found["text"] == found["label"]:
        raise DataError(
            f"{path} needs a {what} of texts and one of labels. It has {', '.join(names[:20])}. Name them with the options "
            "`text` and `label`."
        )
    named = {key: repr(names[column]) if header else f"number {column}" for key, column in found.items()}
    told = "; ".join(f"{key} is the {what} {named[key]} ({why[key]})" for key in ("text", "label"))
    return found, f"T{told[1:]}."


def _asked(path: Path, names: list[str], wanted: Any, key: str, header: bool, what: str) -> int:
    """Find the column that a user names, by name or by number from 0 (-1 is the last)."""
    if isinstance(wanted, str) and header and wanted in names:
        return names.index(wanted)
    same = [column for column, name in enumerate(names) if name.lower() == str(wanted).strip().lower()]
    if header and len(same) == 1:
        return same[0]
    number = re.fullmatch(r"-?\d{1,4}", str(wanted))
    if number and -len(names) <= int(wanted) < len(names) and what == "column":
        return int(wanted) % len(names)
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

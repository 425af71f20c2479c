"""How a text and its label are written in a record of a file: tables, JSON lines, fastText, `label sentence` lines.

Design choices:
- A format does two things: it walks once through a file (`rows`), and it takes the text out of the bytes of one record
  (`text`). So a file is indexed once, and later only what is needed is read, by position.
- The walk works on bytes, because the encoding is known only at the end of it. Tables go through Python's csv as Latin-1,
  where a byte is a character; what comes out is turned back into bytes. Separators, quotes and line ends are ASCII, so
  this is exact for UTF-8 and Windows-1252 alike.
- A line ends at \\n, and at nothing else that Unicode or Latin-1 call a line end: MR has \\x85 inside sentences.
- A quote that is never closed would swallow the rest of a table. After 2 MB, or at the end of the file, the line that
  opened it is bad, and the walk goes on with the next.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

MOST_BYTES = 1_000_000  # of a text
_MOST_RECORD = 2 * MOST_BYTES
_RUNAWAYS = 100  # quotes that are never closed, after which the file is given up
MARK = b"__label__"  # of fastText

csv.field_size_limit(max(csv.field_size_limit(), 2 * _MOST_RECORD))  # 131,072 characters otherwise

Row = tuple[int, int, Any, bytes, str | None]
"""(size in bytes, lines, label, text, problem): the label is bytes, a list of bytes, or None where there is none."""


class Source:
    """The lines of an open file; says which have bytes beyond ASCII."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.beyond: list[bytes] = []  # lines of the current record that are not ASCII

    def line(self) -> tuple[bytes, int]:
        """Return the next line and its size; of one above 2 MB only the start. Empty at the end."""
        line = self.file.readline(_MOST_RECORD)
        size = len(line)
        if size == _MOST_RECORD and line[-1] != 10:
            while part := self.file.readline(_MOST_RECORD):
                size += len(part)
                if part[-1] == 10:
                    break
        if not line.isascii():
            self.beyond.append(line)
        return line, size


class LineFormat:
    """A format with one record a line."""

    def rows(self, source: Source) -> Iterator[Row]:
        """Yield what each line holds; blank lines have neither label nor text nor problem."""
        split, line_of = self.split, source.line
        while True:
            line, size = line_of()
            if not size:
                return
            if line.isspace():
                yield size, 1, None, b"", None
                continue
            try:
                label, text = split(line)
            except ValueError as error:
                yield size, 1, None, b"", str(error)
                continue
            if not text:
                yield size, 1, None, b"", "no text"
            elif label is None:
                yield size, 1, None, b"", "no label"
            else:
                yield size, 1, label, text, None

    def split(self, line: bytes) -> tuple[Any, bytes]:
        """Return label and text of a line that is not blank, both stripped; a ValueError says what is wrong with it."""
        raise NotImplementedError

    def text(self, record: bytes, encoding: str) -> str:
        """Return the text of a record."""
        return self.split(record)[1].decode(encoding)


class LabelSentence(LineFormat):
    """`label sentence`: the first word of a line is its label. As MR, Subj, TREC and SST-2 are passed on."""

    name = "`label sentence` lines"

    def split(self, line: bytes) -> tuple[Any, bytes]:
        parts = line.split(None, 1)
        return parts[0], parts[1].rstrip() if len(parts) == 2 else b""


class FastText(LineFormat):
    """fastText: `__label__a __label__b text`."""

    name = "fastText's lines"

    def split(self, line: bytes) -> tuple[Any, bytes]:
        labels = []
        rest = line.strip()
        while rest.startswith(MARK):
            label, *after = rest.split(None, 1)
            labels.append(label[len(MARK) :])
            rest = after[0] if after else b""
        if not labels or not all(labels):
            return None, rest
        return (labels[0] if len(labels) == 1 else labels), rest


@dataclass(frozen=True)
class JsonLines(LineFormat):
    """One JSON object a line; a label that is a list means several labels, or none.

    Attributes:
        text_field, label_field: the keys.
        separator: between labels written in one string; None for one label.
    """

    text_field: str
    label_field: str
    separator: str | None = None
    name = "JSON lines"

    def split(self, line: bytes) -> tuple[Any, bytes]:
        row = _json(line)
        text, label = row.get(self.text_field), row.get(self.label_field)
        if not isinstance(text, str):
            raise ValueError(f"{self.text_field!r} is no text" if text is not None else "no text")
        if isinstance(label, list):
            found: Any = [as_label(part) for part in label]
        elif isinstance(label, str) and self.separator is not None:
            found = [part.strip().encode() for part in label.split(self.separator) if part.strip()]
        else:
            found = as_label(label) or None
        return found, text.strip().encode("utf-8", "replace")  # "\ud800" is allowed in JSON, and is no character

    def text(self, record: bytes, encoding: str) -> str:
        return self.split(record)[1].decode()


def _json(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("invalid UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return row


def as_label(value: Any) -> bytes:
    """Write a label of a JSON file as text: true, 1 and "1" may be labels; null is none."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return str(value).lower().encode()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float):
        raise ValueError("the label is no text, number or list of them")
    return str(value).strip().encode("utf-8", "replace")


@dataclass(frozen=True)
class Table:
    """A table with separators (csv, tsv): a record is a line, or several where quotes hold line ends.

    Attributes:
        delimiter: between columns.
        quoting: whether quotes around a cell are no part of it.
        text_column, label_column: from 0.
        width: columns of the first line.
        separator: between several labels in one cell; None for one label.
    """

    delimiter: str
    quoting: bool
    text_column: int
    label_column: int
    width: int
    separator: str | None = None

    @property
    def name(self) -> str:
        return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[self.delimiter] + "-separated table"

    def parse(self, lines: Any) -> Any:
        """Return a csv reader of lines (str)."""
        return csv.reader(
            lines, delimiter=self.delimiter, quoting=csv.QUOTE_MINIMAL if self.quoting else csv.QUOTE_NONE
        )

    def rows(self, source: Source) -> Iterator[Row]:
        """Yield what each record holds; as `LineFormat.rows`."""
        position, runaways = source.file.tell(), 0
        while True:
            feed = _Feed(source)
            reason = None
            try:
                for cells in self.parse(feed):
                    if feed.open:
                        reason = "a quote is opened and never closed"
                        break
                    position += feed.size
                    yield feed.size, feed.lines, *self.cells(cells, feed.size)
                    feed.restart()
            except csv.Error as error:
                reason = f"cannot be parsed ({error})"
            if reason is None:
                return
            runaways += 1
            if runaways > _RUNAWAYS:
                raise csv.Error("too many quotes that are never closed")
            position += feed.first
            source.beyond.clear()
            source.file.seek(position)
            yield feed.first, 1, None, b"", reason

    def cells(self, cells: list[str], size: int) -> tuple[Any, bytes, str | None]:
        if len(cells) <= 1 and not "".join(cells).strip():
            return None, b"", None
        if size > _MOST_RECORD:
            return None, b"", f"a record of {size / 1e6:.1f} MB"
        count = len(cells)
        if count != self.width and (count <= max(self.text_column, self.label_column) or any(cells[self.width :])):
            return None, b"", f"{count} columns where the first line has {self.width}"
        text = cells[self.text_column].strip(" \t\r\n\f\v").encode("latin-1")
        label: Any = cells[self.label_column].strip(" \t\r\n\f\v").encode("latin-1")
        if not text:
            return None, b"", "no text"
        if not label and self.separator is None:
            return None, b"", "no label"
        if self.separator is not None:  # of several labels a text may have none
            label = [part.strip() for part in label.split(self.separator.encode()) if part.strip()]
        return label, text, None

    def text(self, record: bytes, encoding: str) -> str:
        """Return the text of a record."""
        (cells,) = self.parse([record.decode(encoding)])
        return cells[self.text_column].strip(" \t\r\n\f\v")


class _Feed:
    """Gives a csv reader its lines, and knows how many of them make the current record."""

    def __init__(self, source: Source):
        self.source = source
        self.restart()

    def restart(self) -> None:
        self.size = self.lines = self.first = 0
        self.open = False  # the file ended, or grew too long, inside quotes

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.lines and self.size > _MOST_RECORD:
            self.open = True
            raise StopIteration
        line, size = self.source.line()
        if not size:
            self.open = self.lines > 0
            raise StopIteration
        self.size += size
        self.lines += 1
        self.first = self.first or size
        return line.decode("latin-1")

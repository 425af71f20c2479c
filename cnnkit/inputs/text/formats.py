"""How a text and its label are written in a record of a file: tables, JSON lines, fastText, `label sentence` lines.

Design choices:
- A format does two things: it walks once through a file (`rows`), and it takes the text out of the bytes of one record
  (`text`). So a file is indexed once, and later only what is needed is read, by position.
- The walk works on bytes, because the encoding is known only at the end of it. Tables go through Python's csv as Latin-1,
  where a byte is a character; what comes out is turned back into bytes. Separators, quotes and line ends are ASCII, so
  this is exact for UTF-8 and Windows-1252 alike.
- A line ends at \\n, and at nothing else that Unicode or Latin-1 call a line end: MR has \\x85 inside sentences.
- A quote that is never closed would swallow the rest of a table. After 2 MB, or at the end of the file, the line that
  opened it is bad, and the walk goes on with the next. So is one that is closed in a later text by chance: the lines between
  look like rows of their own, with a label that other rows have.
- A label that is written as missing (`nan`, `null`) is none. Labels in columns of 0 and 1 are those whose column has a 1.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

MOST_BYTES = 1_000_000  # of a text
_MOST_RECORD = 2 * MOST_BYTES
_RUNAWAYS = 100  # quotes that are never closed, after which the file is given up
MARK = b"__label__"  # of fastText
ONE = "\x1f"  # the separator of a table of one column: what no text holds
STRAY = "a quote would join it with lines that are rows of their own"
REPEATED = b"\0header"  # the text of a row that is the header once more
MISSING = frozenset(
    [
        b"nan",
        b"NaN",
        b"NAN",
        b"-nan",
        b"-NaN",
        b"<NA>",
        b"#N/A",
        b"#NA",
        b"N/A",
        b"n/a",
        b"null",
        b"NULL",
        b"Null",
        b"<null>",
    ]
)  # labels that are none; `None` and `NA` may be classes
YES = frozenset([b"1", b"1.0", b"true", b"True", b"TRUE", b"yes", b"Yes", b"YES"])  # in a column of its own
NO = frozenset([b"0", b"0.0", b"false", b"False", b"FALSE", b"no", b"No", b"NO"])

csv.field_size_limit(max(csv.field_size_limit(), 2 * _MOST_RECORD))  # 131,072 characters otherwise

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
_MARKED = "\xef\xbb\xbf"  # a byte order mark, as Latin-1 reads it

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
            elif isinstance(label, bytes) and label in MISSING:
                yield size, 1, None, b"", f"no label: {label.decode()}"
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
        text_field, label_field: the keys; of labels in fields of 0 and 1 all of these. None: there are no labels.
        separator: between labels written in one string; None for one label.
        exclusive: whether every text has exactly one of the labels in fields of 0 and 1.
    """

    text_field: str
    label_field: str | tuple[str, ...] | None
    separator: str | None = None
    exclusive: bool = False
    name = "JSON lines"

    def split(self, line: bytes) -> tuple[Any, bytes]:
        row = _json(line)
        text = row.get(self.text_field)
        if not isinstance(text, str):
            raise ValueError(f"{self.text_field!r} is no text" if text is not None else "no text")
        if not isinstance(self.label_field, str):
            values = {name: as_label(row.get(name)) for name in self.label_field or ()}
            found: Any = marked([name.encode() for name in values], list(values.values()), self.exclusive)
            return found if self.label_field else b"", text.strip().encode("utf-8", "replace")
        label = row.get(self.label_field)
        if isinstance(label, list):
            found = [name for part in label if (name := as_label(part))]
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
    if isinstance(value, float) and value != value:  # NaN, which Python writes into JSON
        return b""
    if not isinstance(value, str | int | float):
        raise ValueError("the label is no text, number or list of them")
    return str(value).strip().encode("utf-8", "replace")


def marked(names: Sequence[bytes], values: Sequence[bytes], exclusive: bool) -> Any:
    """Return the labels whose column has a 1: one label where each text has exactly one, else a list.

    Raises:
        ValueError: a column holds something else than 0 and 1.
    """
    found = []
    for name, value in zip(names, values, strict=True):
        if value in YES:
            found.append(name)
        elif value not in NO:
            shown = value[:20].decode("latin-1")
            raise ValueError(
                f"{shown!r} in the column {name.decode('latin-1')!r}, where 0 or 1 says whether it has the label"
            )
    return found[0] if exclusive and len(found) == 1 else found


@dataclass(frozen=True)
class Table:
    """A table with separators (csv, tsv): a record is a line, or several where quotes hold line ends.

    Attributes:
        delimiter: between columns.
        quoting: whether quotes around a cell are no part of it.
        text_column: from 0.
        label_column: from 0; of labels in columns of 0 and 1 all of these; None: there are no labels.
        width: columns of the first line.
        separator: between several labels in one cell; None for one label.
        names: the labels of columns of 0 and 1, as they are in the header.
        exclusive: whether every text has exactly one of these.
        header: the cells of the header, stripped and in lower case; a later row that is the same is none.
        labels: some that rows have, by which a row is known.
    """

    delimiter: str
    quoting: bool
    text_column: int
    label_column: int | tuple[int, ...] | None
    width: int
    separator: str | None = None
    names: tuple[bytes, ...] = ()
    exclusive: bool = False
    header: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        known = {",": "comma-separated table", ";": "semicolon-separated table", "\t": "tab-separated table"}
        return {**known, "|": "bar-separated table", ONE: "table of one column"}[self.delimiter]

    @property
    def last(self) -> int:
        """The last column that is needed."""
        labels = self.label_column if isinstance(self.label_column, tuple) else (self.label_column or 0,)
        return max(self.text_column, *labels)

    def parse(self, lines: Any) -> Any:
        """Return a csv reader of lines (str)."""
        return csv.reader(
            lines, delimiter=self.delimiter, quoting=csv.QUOTE_MINIMAL if self.quoting else csv.QUOTE_NONE
        )

    def rows(self, source: Source) -> Iterator[Row]:
        """Yield what each record holds; as `LineFormat.rows`."""
        position, runaways = source.file.tell(), 0
        beside = self.quoting and self.labels
        while True:
            feed = _Feed(source)
            reason = None
            try:
                for cells in self.parse(feed):
                    if feed.open:
                        reason = "a quote is opened and never closed"
                        break
                    if feed.lines > 1 and beside and self.stray(feed.raw):
                        reason = STRAY
                        break
                    found = self.cells(cells, feed.size)
                    if (
                        feed.lines > 1 and found[2] and len(cells) != self.width
                    ):  # its quote may be stray: the rest may be rows
                        reason = found[2]
                        break
                    position += feed.size
                    yield feed.size, feed.lines, *found
                    feed.restart()
            except csv.Error as error:
                reason = f"cannot be parsed ({error})"
            if reason is None:
                return
            runaways += feed.open
            if runaways > _RUNAWAYS:
                raise csv.Error("too many quotes that are never closed")
            position += feed.first
            source.beyond.clear()
            source.file.seek(position)
            yield feed.first, 1, None, b"", reason

    def stray(self, lines: Sequence[str]) -> bool:
        """Say whether the lines of one record look like rows of their own."""
        alone = [
            self._alone(line, csv.QUOTE_NONE) or (0 < k < len(lines) - 1 and self._alone(line, csv.QUOTE_MINIMAL))
            for k, line in enumerate(lines)
        ]
        return alone[0] and alone[-1] and sum(alone) >= 0.5 * len(alone)

    def _alone(self, line: str, quoting: Any) -> bool:
        try:
            cells = next(csv.reader([line], delimiter=self.delimiter, quoting=quoting), [])
        except csv.Error:
            return False
        if len(cells) != self.width or self.label_column is None:
            return False
        columns = self.label_column if isinstance(self.label_column, tuple) else (self.label_column,)
        return all(cells[column].strip().strip('"') in self.labels for column in columns)

    def cells(self, cells: list[str], size: int) -> tuple[Any, bytes, str | None]:
        if len(cells) <= 1 and not "".join(cells).strip():
            return None, b"", None
        if size > _MOST_RECORD:
            return None, b"", f"a record of {size / 1e6:.1f} MB"
        count = len(cells)
        if count != self.width and (count <= self.last or any(cells[self.width :])):
            return None, b"", f"{count} columns where the first line has {self.width}"
        if (
            self.header
            and cells[0].strip().removeprefix(_MARKED).strip('"').lower() == self.header[0]
            and self.is_header(cells)
        ):
            return None, REPEATED, None
        text = cells[self.text_column].strip(" \t\r\n\f\v").encode("latin-1")
        label: Any = b""
        if self.label_column is None:
            return label, text, None if text else "no text"
        if isinstance(self.label_column, tuple):
            try:
                values = [cells[column].strip().encode("latin-1") for column in self.label_column]
                return marked(self.names, values, self.exclusive), text, None if text else "no text"
            except ValueError as error:
                return None, b"", str(error)
        label = cells[self.label_column].strip(" \t\r\n\f\v").encode("latin-1")
        if len(text) < 20 and not self.header and _named(text, TEXT_NAMES) and _named(label, LABEL_NAMES):
            return None, REPEATED, None  # the header of a table behind one that has none
        if not text:
            return None, b"", "no text"
        if label in MISSING:
            return None, b"", f"no label: {label.decode()}"
        if not label and self.separator is None:
            return None, b"", "no label"
        if self.separator is not None:  # of several labels a text may have none
            label = [part.strip() for part in label.split(self.separator.encode()) if part.strip()]
        return label, text, None

    def is_header(self, cells: Sequence[str]) -> bool:
        """Say whether a row is the header once more, as in files that were put one behind the other."""
        return tuple(cell.strip().removeprefix(_MARKED).strip('"').lower() for cell in cells) == self.header

    def text(self, record: bytes, encoding: str) -> str:
        """Return the text of a record."""
        (cells,) = self.parse([record.decode(encoding)])
        return cells[self.text_column].strip(" \t\r\n\f\v")


def _named(cell: bytes, names: Sequence[str]) -> bool:
    return cell.decode("latin-1").lower() in names


class _Feed:
    """Gives a csv reader its lines, and knows how many of them make the current record."""

    def __init__(self, source: Source):
        self.source = source
        self.restart()

    def restart(self) -> None:
        self.size = self.lines = self.first = 0
        self.raw: list[str] = []  # the lines of the record
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
        self.raw.append(line.decode("latin-1"))
        return self.raw[-1]

"""Files that are not lines of UTF-8 as they are: named, or turned into such lines in a copy that goes when nobody reads it.

Design choices:
- Texts are read by position from lines in UTF-8, Windows-1252 or Latin-1. A file whose lines end in CR, one JSON array, or one in
  an encoding that a person names becomes a temporary file of lines in UTF-8; names and line numbers stay those of the file.
- What is no text at all is called by its name, with what to do: an Excel workbook, Parquet, PDF, an archive.
"""

import codecs
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cnnkit.errors import DataError
from cnnkit.inputs.text import encodings

MOST_JSON = 500_000_000  # bytes of a JSON array: it is read at once
_BLOCK = 1 << 20
_START = 8192  # bytes that say what a file is
_DIRECT = ("utf-8", "latin-1", "iso8859-1", "ascii")  # as `codecs` calls them; read as they are
_CSV = "Save its sheet as CSV UTF-8 and give that"
_MAGIC = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook, or a document, of old Office", _CSV),
    (b"PAR1", "a Parquet file", "Write its table as CSV and give that"),
    (b"ARROW1", "a Feather file", "Write its table as CSV and give that"),
    (b"ORC", "an ORC file", "Write its table as CSV and give that"),
    (b"Obj\x01", "an Avro file", "Write its rows as JSON lines and give those"),
    (b"SQLite format 3\0", "an SQLite database", "Write its table as CSV and give that"),
    (b"\x89HDF", "an HDF5 file", "Write its table as CSV and give that"),
    (b"\x80\x04\x95", "a Python pickle", "Write its rows as CSV and give that"),
    (b"%PDF", "a PDF", "Save its text as .txt and give that"),
    (b"{\\rtf", "an RTF document", "Save its text as .txt and give that"),
    (b"<!doctype html", "a web page", "Save its text as .txt or its table as CSV, and give that"),
    (b"<html", "a web page", "Save its text as .txt or its table as CSV, and give that"),
    (b"<?xml", "an XML file", "Write its texts as CSV or JSON lines and give those"),
    (b"RIFF", "a picture, sound or film", "Give a file of texts"),
    (b"\x89PNG", "a picture", "Give a file of texts"),
    (b"\xff\xd8\xff", "a picture", "Give a file of texts"),
)
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a")
_ZIPPED = (
    ("xl/", "an Excel workbook", _CSV),
    ("word/", "a Word document", "Save its text as .txt and give that"),
    ("ppt/", "a PowerPoint file", "Save its text as .txt and give that"),
    ("content.xml", "an OpenDocument file", _CSV),
)


@dataclass(frozen=True)
class Plain:
    """Where the lines of a file are read.

    Attributes:
        path: the file itself, or a copy.
        encoding: of the lines there, if it is known.
        notes: what was turned, in lines.
        unit: what a person counts: lines, or records of a JSON array.
        kept: holds the copy as long as it is read.
    """

    path: Path
    encoding: str | None
    notes: tuple[str, ...] = ()
    unit: str = "line"
    kept: Any = None


def start_of(path: Path, size: int = _START) -> bytes:
    """Return the first bytes of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def unmarked(path: Path, size: int) -> tuple[bytes, int]:
    """Return the first bytes of a file behind a byte order mark, and how long that is; errors as `start_of`."""
    head = start_of(path, size)
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    return head[mark:], mark


def refuse_foreign(path: Path, *, encoding: str | None = None) -> bytes:
    """Refuse a file that holds no lines of text; return its first bytes.

    Args:
        path: the file.
        encoding: as a person names it; then UTF-16 is text too.

    Raises:
        DataError: naming what it is, and what to do.
    """
    head = start_of(path)
    for magic, what, do in _MAGIC:
        begins = head[: len(magic)].lower() == magic.lower() if magic.startswith(b"<") else head.startswith(magic)
        if begins and (b"\0" in head or not magic.isalnum()):  # a text may begin with a word like ORC
            raise DataError(f"{path} is {what}, not lines of text. {do}.")
    if head.startswith(b"PK\x03\x04"):
        for inside, what, do in _ZIPPED:
            if any(name.startswith(inside) for name in _zipped(path)):
                raise DataError(f"{path} is {what}, not lines of text. {do}.")
    if head.startswith(_PACKED):
        raise DataError(f"{path} is packed, and texts are read by position. Unpack it first.")
    if encoding is None:
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(
                f"{path} is UTF-16. Convert it: iconv -f UTF-16 -t UTF-8 {path.name} > NEW. Or name it: `encoding=utf-16`."
            )
        if b"\x1b$" in head:
            raise DataError(f"{path} is in an encoding with escapes, such as iso2022_jp. Name it with `encoding`.")
        if b"\0" in head:
            raise DataError(f"{path} is not a file of text: it holds bytes of 0.")
    return head


def _zipped(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def plain(path: Path, encoding: str | None = None, *, json_lines: bool = False) -> Plain:
    """Return where the lines of a file are read: itself, or a copy in UTF-8.

    Args:
        path: the file.
        encoding: as a person names it; None: to be found out.
        json_lines: whether it is one of JSON.

    Raises:
        DataError: it holds no text, does not decode, is JSON of another form, or there is no such encoding.
    """
    encoding = encoding and encodings.named(encoding)
    head = refuse_foreign(path, encoding=encoding)
    found = Plain(path, encoding)
    if encoding is not None and encoding not in _DIRECT:
        copy = _copy()
        _transcode(path, copy, encoding)
        found = Plain(Path(copy.name), "utf-8", kept=copy)
        head = start_of(found.path)
    if json_lines and _is_document(found.path, head):
        copy = _copy()
        _unroll(path, found.path, copy)
        return Plain(Path(copy.name), "utf-8", (*found.notes, "One JSON array of objects."), "record", copy)
    if b"\n" not in head and b"\r" in head:
        copy = _copy()
        _end_lines(found.path, copy)
        return Plain(Path(copy.name), found.encoding, (*found.notes, "Its lines end in CR."), kept=copy)
    return found


def _copy() -> Any:
    return tempfile.NamedTemporaryFile(prefix="cnnkit-texts-", suffix=".txt")


def _transcode(path: Path, copy: IO[bytes], encoding: str) -> None:
    """Write a file as UTF-8.

    Raises:
        DataError: naming the line that does not decode; or it is UTF-8, which any encoding of single bytes would spoil.
    """
    decoder, lines = codecs.getincrementaldecoder(encoding)("strict"), 1
    other, utf8, beyond = codecs.getincrementaldecoder("utf-8")("strict"), True, False
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            utf8, beyond = utf8 and _goes_on(other, block), beyond or not block.isascii()
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line = lines + error.object[: error.start].count(b"\n")
                raise DataError(
                    f"{path}, line {line:,} is not {encoding}. Name another `encoding`, or repair it."
                ) from None
            lines += text.count("\n")
            copy.write(text.encode("utf-8", "replace"))
            if not block:
                break
    copy.flush()
    if utf8 and beyond and not encoding.startswith("utf"):
        raise DataError(f"{path} is UTF-8, and {encoding} would read it wrongly. Leave out `encoding`.")


def _goes_on(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block, not block)
    except UnicodeDecodeError:
        return False
    return True


def _end_lines(path: Path, copy: IO[bytes]) -> None:
    with path.open("rb") as file:
        held = b""
        while block := file.read(_BLOCK):
            block = held + block
            held = block[-1:] if block.endswith(b"\r") else b""
            block = block[: len(block) - len(held)]
            copy.write(block.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        copy.write(b"\n" if held else b"")
    copy.flush()


def _is_document(path: Path, head: bytes) -> bool:
    """Say whether a file of JSON is one document and not one a line."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return True
    first, *rest = start.split(b"\n", 1)
    try:
        return start.startswith(b"{") and not isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):  # an object over several lines, or a long or bad first line
        return bool(rest) and b'"' not in first


def _unroll(shown: Path, path: Path, copy: IO[bytes]) -> None:
    """Write the objects of a JSON array, a line each.

    Raises:
        DataError: it is too large, no JSON, or no array of objects.
    """
    if path.stat().st_size > MOST_JSON:
        raise DataError(
            f"{shown} is one JSON array of more than {MOST_JSON // 10**6} MB. Write an object a line (.jsonl)."
        )
    try:
        document = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        raise DataError(f"{shown} is JSON and not UTF-8. Name its encoding with `encoding`.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{shown}, line {error.lineno:,} is not JSON ({error.msg}). Repair it.") from None
    except RecursionError:
        raise DataError(f"{shown} is JSON too deep to be texts and labels.") from None
    if isinstance(document, dict):
        lists = [
            value for value in document.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        document = lists[0] if len(lists) == 1 else document
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        raise DataError(
            f"{shown} is JSON, but no list of objects such as "
            '[{"text": "...", "label": "..."}, ...], and no line that is a JSON object. Write it so, or an object a line.'
        )
    out = io.TextIOWrapper(copy, encoding="utf-8", errors="replace", newline="\n")
    for row in document:
        out.write(json.dumps(row) + "\n")
    out.flush()
    out.detach()

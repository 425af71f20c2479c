"""What a person gives `predict` for texts: the text itself, a file of a text a line, a table, standard input.

Design choices:
- A name with a slip in it is not a text: what looks like a path, and is none, is an error that names what lies there.
- Of a table the column of texts is read, as in training; not its header, its numbers and its labels.
"""

import difflib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from cnnkit.errors import CnnkitError, DataError, DataNotFound
from cnnkit.reporter import SILENT, Reporter

MOST_BYTES = 1 << 20  # of a line; what is longer is not a text
_NEAR = 0.75  # as alike a name has to be to be meant
_SUFFIX = re.compile(
    r"\.(txt|text|csv|tsv|tab|jsonl?|ndjson|xlsx?|ods|parquet|gz|bz2|xz|zip|zst|md|log|xml|html?|pdf|docx?|rtf|npz|pkl"
    r"|tflite|keras|h5|toml|train|test|dev|all)$",
    re.IGNORECASE,
)


def is_file(entry: str) -> bool:
    """Say whether a text is the name of a file."""
    try:
        return Path(entry).is_file()
    except (OSError, ValueError):  # a text that cannot be a path
        return False


def check(entry: str) -> None:
    """Refuse what looks like a path and is none, or is a folder.

    Raises:
        DataError: naming what is nearest to it.
    """
    if entry == "-" or len(entry) > 1000 or "://" in entry or "\n" in entry or "\0" in entry or is_file(entry):
        return
    path = Path(entry)
    try:
        if entry.strip() and path.is_dir():
            raise DataError(f"{entry} is a folder. Give files of a text a line, texts, or - for standard input.")
        spaced = len(entry.split()) != 1
        below = os.sep in entry and not spaced and path.parent.is_dir() and path.parent != Path("/")
        folder = path.parent if path.parent.is_dir() else None
        there = [other.name for other in folder.iterdir()] if folder and (_SUFFIX.search(entry) or below) else []
    except CnnkitError:
        raise
    except (OSError, ValueError):
        return
    near = difflib.get_close_matches(path.name, there, 1, _NEAR)
    if below or (_SUFFIX.search(entry) and (near or not spaced)):
        meant = f" Is {path.parent / near[0]} meant?" if near else ""
        raise DataNotFound(
            f"There is no file {entry}.{meant} To name such a text itself, give it on standard input, with -."
        )


def every(
    inputs: Sequence[str], column: str | None = None, encoding: str | None = None, tell: Reporter = SILENT
) -> Iterator[str]:
    """Yield the texts that inputs name, in order.

    Args:
        inputs: as `cnnkit.inputs.text.predict.Texts` has them.
        column: of the texts, in tables; None: found out, and said.
        encoding: of files; None: UTF-8.
        tell: hears of the column.
    """
    for entry in inputs:
        if entry == "-":
            yield from _lines(sys.stdin.buffer, "standard input")
        elif is_file(entry):
            from cnnkit.inputs.text import containers, rows  # a text alone is answered sooner without

            path = Path(entry)
            plain = containers.plain(path, encoding)
            if rows.has_columns(path):
                texts, note = rows.texts(path, column, encoding)
                tell.note(note)
                yield from texts
                continue
            with plain.path.open("rb") as file:
                yield from _lines(file, entry)
        else:
            yield entry


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            raise DataError(f"{name}, line {number} is longer than 1 MB. Give a text a line.")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{name}, line {number} is not UTF-8. Convert it first, or name its `encoding`.") from None
        yield text.rstrip("\r\n")

"""Word vectors for an embedding: word2vec (.bin and text), GloVe, fastText .vec; each also packed as .gz.

Design choices:
- A file is streamed once, and only the vectors of the words asked for are kept: 3.6 GB need no more memory than those rows.
- What kind it is, its first bytes say, not its name: a line of two whole numbers is a header (word2vec, fastText), and
  where bytes follow that are no such line, it is word2vec's binary format; otherwise it is GloVe's, which has no header.
- The numbers are the last fields of a line, so that a word may hold spaces (some of GloVe's 840B do).
- A word has the vector of its own spelling; else that of the first form in the file which differs by case alone: the most
  frequent, since such files are sorted by frequency. The first of two equal words wins.
- Only the lines that are kept are parsed number by number; of the others the number of fields is checked. So a broken
  number in a row that nobody asked for passes.
"""

import contextlib
import dataclasses
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnnkit.data.cards import there
from cnnkit.errors import DataError, DataNotFound

MOST_DIMENSIONS = 10_000
LONGEST_WORD = 10_000  # bytes
_BLOCK = 1 << 18  # bytes read at once
_HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,9})[ \t]*\r?\n?")


@dataclasses.dataclass(frozen=True)
class Vectors:
    """The vectors that a file has of the words asked for.

    Attributes:
        matrix: float32 (found, dimensions), finite.
        places: int64 (found,), position of each row's word among those asked for, ascending.
        kind: "word2vec binary", "word2vec text" (fastText's .vec is the same) or "GloVe text".
    """

    matrix: np.ndarray = dataclasses.field(repr=False)
    places: np.ndarray = dataclasses.field(repr=False)
    kind: str

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self.matrix.shape[1]


def read(path: Path | str, words: Sequence[str]) -> Vectors:
    """Read the vectors of some words.

    Args:
        path: the file.
        words: the words asked for; empty ones are never found.

    Returns:
        the vectors, in the order of `words`.

    Raises:
        DataError: the file is missing, empty, damaged or of no such format; the line or entry is named.
    """
    path = Path(path)
    wanted = {word: place for place, word in reversed(list(enumerate(words))) if word}
    found = _Found(wanted)
    with _opened(path) as file:
        kind = _read(path, file, found, *_begin(path, file, found))
    rows = found.cased | found.exact
    places = np.array(sorted(rows), np.int64)
    matrix = np.array([rows[place] for place in places], np.float32).reshape(len(places), found.dimensions)
    return Vectors(matrix, places, kind)


def dimensions(path: Path | str) -> int:
    """Return how many numbers a vector of a file has, from its first line; errors as `read`."""
    found = _Found({})
    with _opened(Path(path)) as file:
        _begin(Path(path), file, found)
    return found.dimensions


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file, plain or .gz."""
    if not there(path) or not path.is_file():
        raise DataNotFound(f"There is no file {path}. Name a file of word vectors: word2vec, GloVe or fastText .vec.")
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is a damaged .gz ({error}). Get it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error


class _Found:
    """Rows found so far."""

    def __init__(self, wanted: dict[str, int]):
        self.wanted = wanted
        self.by_lower: dict[str, list[str]] = {}
        for word in wanted:
            self.by_lower.setdefault(word.lower(), []).append(word)
        self.dimensions = 0
        self.exact: dict[int, np.ndarray] = {}
        self.cased: dict[int, np.ndarray] = {}

    def rows_for(self, raw: bytes) -> list[tuple[dict[int, np.ndarray], int]]:
        """Return where the row of a word of the file belongs; nowhere if nobody asked for it, or it is there already."""
        word = raw.decode("utf-8", "replace")
        found = []
        for other in self.by_lower.get(word.lower(), ()):
            rows, place = self.exact if other == word else self.cased, self.wanted[other]
            if place not in rows:
                found.append((rows, place))
        return found


def _begin(path: Path, file: IO[bytes], found: _Found) -> tuple[bytes, int | None]:
    """Read the first line, which says how many numbers a vector has; return it, and the entries that a header states."""
    first = file.readline(_BLOCK).removeprefix(b"\xef\xbb\xbf")
    if not first.strip():
        raise DataError(f"{path} is empty, or begins with an empty line. It should hold a word and its numbers a line.")
    header = _HEADER.fullmatch(first)
    if header is None:
        fields = first.split()
        numbers = next((k for k, field in enumerate(reversed(fields[1:])) if not _is_number(field)), len(fields) - 1)
        if b"\0" in first or numbers == 0:
            raise DataError(f"{path}: line 1 is neither a header `words dimensions` nor a word and its numbers.")
        found.dimensions = _checked(path, numbers)
        return first, None
    count = int(header[1])
    found.dimensions = _checked(path, int(header[2]))
    if count == 0:
        raise DataError(f"{path}: its header says that it holds no words.")
    return first, count


def _read(path: Path, file: IO[bytes], found: _Found, first: bytes, count: int | None) -> str:
    """Read the rest of a file of any kind; return its kind."""
    if count is None:
        _text(path, file, found, first, None)
        return "GloVe text"
    start = file.read(min(_BLOCK, LONGEST_WORD + 16 * found.dimensions))
    if _looks_binary(start, found.dimensions):
        _binary(path, file, found, start, count)
        return "word2vec binary"
    _text(path, file, found, start, count)
    return "word2vec text"


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _checked(path: Path, dimensions: int) -> int:
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise DataError(f"{path} says its vectors have {dimensions} numbers; 1 to {MOST_DIMENSIONS} can be read.")
    return dimensions


def _looks_binary(start: bytes, dimensions: int) -> bool:
    """Say whether numbers as bytes follow a header: no line of written numbers, but characters that no text has."""
    line = start.split(b"\n", 1)[0].split()
    if len(line) > dimensions and all(_is_number(field) for field in line[-dimensions:]):
        return False
    return any(byte < 9 or 13 < byte < 32 for byte in start)


def _text(path: Path, file: IO[bytes], found: _Found, start: bytes, count: int | None) -> None:
    """Read lines `word number number ...`; the first `start` bytes were read already."""
    dimensions, entries = found.dimensions, 0
    longest = LONGEST_WORD + 40 * dimensions
    offset = 1 if count is None else 2  # the number of the first line here
    for line in _lines(file, start, longest):
        number = entries + offset
        if len(line) > longest:
            raise DataError(
                f"{path}: line {number} is longer than a word and {dimensions} numbers can be. Is it damaged?"
            )
        line = line.rstrip(b" \t\r\n")
        if line.count(b" ") == dimensions and not found.rows_for(line[: line.index(b" ")]):
            entries += 1  # nobody asked for it
            continue
        fields = line.rsplit(None, dimensions)  # what is left over is the word, spaces and all
        if not fields:
            raise DataError(f"{path}: line {number} is empty; a word and {dimensions} numbers were expected.")
        if len(fields) <= dimensions:
            raise DataError(f"{path}: line {number} has {len(fields) - 1} numbers, not {dimensions}. Is it damaged?")
        if len(fields[0].split()) > 1 and _is_number(fields[0].split()[-1]):
            raise DataError(f"{path}: line {number} has more than {dimensions} numbers. Is it damaged?")
        for rows, place in found.rows_for(fields[0].strip(b" \t")):
            rows[place] = _numbers(path, fields[1:], number)
        entries += 1
    if count is not None and entries != count:
        raise DataError(f"{path}: its header says {count} words, it holds {entries}. Is it cut off? Get it again.")


def _lines(file: IO[bytes], start: bytes, longest: int) -> Iterator[bytes]:
    """Yield lines, no longer than a little more than `longest`."""
    if start and not start.endswith(b"\n"):
        start += file.readline(longest + 2)
    yield from start.removesuffix(b"\n").split(b"\n") if start else ()
    while line := file.readline(longest + 2):
        yield line


def _numbers(path: Path, fields: list[bytes], number: int) -> np.ndarray:
    try:
        row = np.array([float(field) for field in fields], np.float64)
    except ValueError:
        wrong = next(field for field in fields if not _is_number(field))[:40].decode("utf-8", "replace")
        raise DataError(f"{path}: line {number} has {wrong!r} where a number was expected. Is it damaged?") from None
    return _finite(path, row, f"line {number}")


def _finite(path: Path, row: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        row = row.astype(np.float32)
    if not np.isfinite(row).all():
        raise DataError(f"{path}: {where} has a number that is not finite (nan or inf). Is it damaged?")
    return row


def _binary(path: Path, file: IO[bytes], found: _Found, start: bytes, count: int) -> None:
    """Read entries `word, space, dimensions x float32 (little-endian), perhaps a line end`."""
    width = 4 * found.dimensions
    buffer, at = start, 0
    for entry in range(count):
        if len(buffer) - at < LONGEST_WORD + width + 1:
            buffer, at = buffer[at:] + file.read(max(_BLOCK, 2 * (LONGEST_WORD + width))), 0
        while buffer[at : at + 1] == b"\n":  # the original tool ends entries with one, Google's file does not
            at += 1
        space = buffer.find(b" ", at, at + LONGEST_WORD)
        if space < 0 or len(buffer) - space - 1 < width:
            if len(buffer) - at >= LONGEST_WORD:
                raise DataError(f"{path}: word {entry + 1} of {count} has no end. Is it damaged? Get it again.")
            raise DataError(f"{path} ends within word {entry + 1} of the {count} that its header says. Get it again.")
        begin = space + 1
        for rows, place in found.rows_for(buffer[at:space]):
            rows[place] = _finite(path, np.frombuffer(buffer, "<f4", found.dimensions, begin), f"word {entry + 1}")
        at = begin + width
    if (buffer[at:] + file.read(64)).strip():
        raise DataError(f"{path}: its header says {count} words, more bytes follow them. Get it again.")


def random_like(vectors: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Draw rows for words without a vector: uniform in [-a, a], with the variance of the numbers found, a = sqrt(3 variance).

    Args:
        vectors: (found, dimensions), at least one row.
        count: rows wanted.
        seed: of the draw.

    Returns:
        float32 (count, dimensions).

    Source: Kim 2014, section 4.3: "such that the randomly initialized vectors have the same variance as the pre-trained".
    """
    if vectors.ndim != 2 or vectors.size == 0:
        raise ValueError(f"`vectors` is a matrix of at least one row. Received: shape {vectors.shape}.")
    limit = float(np.sqrt(3 * np.var(vectors, dtype=np.float64)))
    return np.random.default_rng(seed).uniform(-limit, limit, (count, vectors.shape[1])).astype(np.float32)

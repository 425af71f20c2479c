"""Images in tables: one image a line, a label and its pixels, as .csv, .tsv, spaced text or LIBSVM lines.

Design choices:
- A file is parsed once, a few hundred lines at a time, into the cache; then it is read by position like any array.
- Found by itself: compression (.gz, .bz2, .xz), separator (comma, semicolon, tab, space), a header line, LIBSVM's
  `index:value`, and which columns hold label and pixels (`table_columns`).
- Which values are black and white is found out from all of them, as `value_range.py` says, or stated by the option
  `value_range`. The first block is believed until the others say otherwise; then the file is parsed again.
"""

import bz2
import gzip
import io
import json
import lzma
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnnkit.data.cards import there
from cnnkit.data.records import Progress
from cnnkit.errors import DataError
from cnnkit.inputs.image import arrays, table_columns
from cnnkit.inputs.image.value_range import BYTE, Limits, Measured, Range, decide, of_split, scaling

SUFFIXES = (".csv", ".tsv", ".txt", ".libsvm", ".svm")
_PACKED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LINES = 256  # parsed at once: some 2 MB for MNIST
_LONGEST = 2**26  # characters of a line


def is_table(path: Path) -> bool:
    """Say whether a file is a table by its name, compressed or not."""
    name = path.name.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return name.endswith(SUFFIXES)


def images_and_labels(
    path: Path, *, options: dict[str, Any], train_range: Limits | None = None, progress: Progress | None = None
) -> tuple[arrays.ArrayImages, list[str]]:
    """Read a table of pixels.

    Args:
        path: the file.
        options: `label`, `image_shape`, `value_range` of the card.
        train_range: what is black and white in the training split, for another split.
        progress: called while it is parsed.

    Returns:
        the images, and the label of each as it is written.

    Raises:
        DataError: the file or a line of it is not such a table, the line number is named; or what is black and white in it
            cannot be told.
    """
    if not there(path):
        raise DataError(f"There is no file {path}.")
    asked = options.get("value_range")
    what = json.dumps(
        {
            "columns": 2,
            "train": train_range,
            **{key: options.get(key) for key in ("label", "image_shape", "value_range")},
        }
    )

    def decided(found: Measured) -> Range:
        return decide(found, path.name) if train_range is None else of_split(found, path.name, train_range)

    def build(file: IO[bytes]) -> None:
        found = Measured()
        if asked:
            values, labels, note = _parsed(path, options, file, found, Range(asked), progress, known=True)
        else:
            believed, labels, note = _parsed(path, options, file, found, None, progress, known=False)
            values = decided(found)
            if values.limits != believed.limits:
                file.seek(0)
                file.truncate()
                _, labels, note = _parsed(path, options, file, Measured(), values, progress, known=True)
        file.write(arrays.written(replace(values, note=f"{values.note} {note}".strip())))
        file.write("\n".join(labels).encode())  # behind the pixels: one file, so never a half of it

    stored = arrays.cached(path, what, path.stat().st_size, build)
    images = arrays.open_cached(stored, title=path.name)
    with stored.open("rb") as file:
        file.seek(images.end)
        images.values = arrays.read_range(file.readline())
        return images, file.read().decode().split("\n")


def _parsed(
    path: Path,
    options: dict[str, Any],
    file: IO[bytes],
    found: Measured,
    values: Range | None,
    progress: Progress | None,
    *,
    known: bool,
) -> tuple[Range, list[str], str]:
    """Write the pixels of a table, and what was found out of its values into `found`.

    Args:
        path: the table.
        options: of the card.
        file: takes the pixels.
        found: takes the values.
        values: what is black and white; None: as the first block asks for.
        progress: called while it goes.
        known: whether values outside are an error, and not only a sign that the range is another.

    Returns:
        the range that was used, the labels, and a line on the columns.
    """
    table = _Table(path, options)
    count, shape, labels = 0, None, []
    scale: Any = None
    for names, block in table.blocks():
        found.add(block)
        if values is None:
            try:
                values = decide(found, path.name)
            except DataError:  # all of it may say what its beginning does not
                values = Range(BYTE)
        if shape is None:
            shape = arrays.image_shape((1, block.shape[1]), path.name, options.get("image_shape"))
            arrays.write_header(file, 0, shape)
            scale = scaling(values.limits)
        try:
            pixels = scale(block if known else np.nan_to_num(block).clip(*values.limits))
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        file.write(pixels.tobytes())
        labels.extend(names)
        count += len(names)
        if progress:
            progress(f"Parsing {path.name}: {count:,} images", count, None)
    if shape is None or values is None:
        raise DataError(f"{path} holds no image: it is empty.")
    file.seek(0)
    arrays.write_header(file, count, shape)
    file.seek(0, io.SEEK_END)
    return values, labels, table.columns.note


class _Table:
    """Parses the lines of one file."""

    def __init__(self, path: Path, options: dict[str, Any]):
        self.path = path
        self.shape = options.get("image_shape")
        self.asked = options.get("label")
        self.columns = table_columns.Columns(0)
        self.separator: str | None = None

    def fail(self, line: int, text: str) -> DataError:
        return DataError(f"{self.path}, line {line}: {text}.")

    def lines(self) -> Iterator[str]:
        opened: Any = _PACKED.get(self.path.suffix.lower(), open)
        try:
            with opened(self.path, "rt", encoding="utf-8-sig", errors="strict") as file:
                while line := file.readline(_LONGEST):
                    if "\0" in line:
                        raise DataError(f"{self.path} is not a table of text.")
                    if line.strip():
                        yield line.strip("\r\n")
        except UnicodeDecodeError:
            raise DataError(f"{self.path} is not a table of text.") from None
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            raise DataError(f"{self.path} is damaged or truncated ({error}). Fetch it again.") from None

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield labels and float values (lines, pixels), a block of lines at a time."""
        lines = self.lines()
        first = next(lines, None)
        if first is None:
            return
        if re.match(r"\s*\S+(\s+\d+:\S+)+\s*$", first):
            yield from self.sparse(first, lines)
            return
        self.separator = next((mark for mark in (",", ";", "\t") if mark in first), None)
        head = self.split(first)
        if len(head) < 2:
            raise self.fail(1, "needs a label and pixels, separated by commas, semicolons, tabs or spaces")
        header = sum(_is_number(cell) for cell in head) < len(head) / 2
        self.columns = table_columns.choose(head, header, self.asked, lambda: self.ends(header), self.fail)
        number, width = 1 + header, len(head) - 1 - len(self.columns.left)
        block = [] if header else [first]
        while block := block + list(islice(lines, _LINES - len(block))):
            yield self.parse(block, number, width)
            number += len(block)
            block = []

    def split(self, line: str) -> list[str]:
        return [cell.strip().strip('"') for cell in line.split(self.separator)]

    def ends(self, header: bool) -> Iterator[list[str]]:
        """Yield the first, second and last cell of the lines that hold pixels, from the start."""
        lines = self.lines()
        if header:
            next(lines, None)
        for line in lines:
            cells = [*line.split(self.separator, 2)[:2], *line.rsplit(self.separator, 1)[-1:]]
            yield [cell.strip().strip('"') for cell in cells]

    def parse(self, block: list[str], number: int, width: int) -> tuple[list[str], np.ndarray]:
        labels, rows = [], []
        for k, line in enumerate(block):
            cells = self.split(line) if self.columns.label or self.columns.left or '"' in line else None
            if cells is None:
                label, _, row = line.strip().partition(self.separator or " ")
            else:
                label, cells = self.parted(cells, width)
                row = (self.separator or " ").join(cells)
            if not label.strip():
                raise self.fail(number + k, "has no label")
            labels.append(_tidy(label.strip()))
            rows.append(row)
        try:
            values = np.loadtxt(rows, np.float32, delimiter=self.separator, ndmin=2, comments=None)
            if values.shape != (len(block), width):
                raise ValueError
        except ValueError:
            raise self.complaint(block, number, width) from None
        return labels, values

    def parted(self, cells: list[str], width: int) -> tuple[str, list[str]]:
        """Return the label and the pixels of a line; of one with another number of cells anything that has not `width`."""
        if len(cells) != width + 1 + len(self.columns.left):
            return cells[0], []
        away = {self.columns.label, *self.columns.left}
        return cells[self.columns.label], [cell for k, cell in enumerate(cells) if k not in away]

    def complaint(self, block: list[str], number: int, width: int) -> DataError:
        """Find the line that does not parse."""
        for k, line in enumerate(block):
            cells = self.split(line)
            count = width + 1 + len(self.columns.left)
            if len(cells) != count:
                return self.fail(number + k, f"has {len(cells)} columns where the first has {count}")
            for cell in self.parted(cells, width)[1]:
                if not _is_number(cell):
                    return self.fail(number + k, f"{cell[:20]!r} is not a pixel value")
        return self.fail(number, "cannot be parsed")

    def sparse(self, first: str, lines: Iterator[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """LIBSVM: `label index:value ...`, indices from 1, those left out are 0."""
        width, number, block = math.prod(self.shape or [0]), 1, [first]
        while block := block + list(islice(lines, _LINES - len(block))):
            labels, rows = [], []
            for k, line in enumerate(block):
                try:
                    label, *cells = line.split()
                    pairs = [cell.split(":") for cell in cells]
                    rows.append(([int(index) - 1 for index, _ in pairs], [float(value) for _, value in pairs]))
                except ValueError:
                    raise self.fail(number + k, "is not `label index:value ...`") from None
                labels.append(_tidy(label))
            width = width or 1 + max(max(indices, default=0) for indices, _ in rows)
            values = np.zeros((len(block), width), np.float32)
            for k, (indices, given) in enumerate(rows):
                if indices and not 0 <= min(indices) <= max(indices) < width:
                    raise self.fail(number + k, f"has an index outside 1 to {width}")
                values[k, indices] = given
            yield labels, values
            number += len(block)
            block = []


def _is_number(cell: str) -> bool:
    try:
        return np.isfinite(float(cell))
    except ValueError:
        return False


def _tidy(label: str) -> str:
    """5.0 and 5.0000 are the label 5."""
    whole = re.fullmatch(r"([+-]?\d+)\.0*", label)
    return str(int(whole[1])) if whole else label.removeprefix("+") if label[1:].isdigit() else label

"""What a report is made of: sections of blocks, each plain data that the page's template knows how to draw.

Choices:
- Text in a block is text: the template escapes it. Only charts carry markup (SVG), and only this package draws those.
- Blocks know nothing of classes, boxes or words, so every app's report is made of the same ones.
"""

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cnnkit.report import drawing
from cnnkit.score import SHARE

THIN = "\u202f"  # a narrow space that does not break, as between a number and its unit
MINUS = "\u2212"
TIMES = "\u00d7"
LARGEST = 200  # px; larger pictures are shrunk for the page


class Block:
    """Anything that a section shows; the template draws it by its class's name."""

    @property
    def kind(self) -> str:
        """The name of the macro that draws it."""
        return type(self).__name__.lower()


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: a few words.
        text: how to read it, a few sentences.
        blocks: what it shows.
        wide: over the full width of the page, for tables with many columns.
    """

    title: str
    text: str
    blocks: Sequence[Block]
    wide: bool = False

    @property
    def anchor(self) -> str:
        """The section's name in links."""
        return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in self.title.lower())


@dataclasses.dataclass(frozen=True)
class Facts(Block):
    """Names and values, such as those of a model card."""

    title: str
    pairs: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A table's cell. `share` in [0, 1] draws a dot on a line before it; `tone` is good, bad, quiet or empty."""

    text: str
    share: float | None = None
    tone: str = ""


@dataclasses.dataclass(frozen=True)
class Table(Block):
    """Rows of cells or texts. `numbers`: the columns aligned to the right. `total`: a last row set apart."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    numbers: Sequence[int] = ()
    total: Sequence[Cell | str] = ()
    caption: str = ""

    def cells(self, row: Sequence[Cell | str]) -> list[Cell]:
        """A row, every entry as a `Cell`."""
        return [entry if isinstance(entry, Cell) else Cell(str(entry)) for entry in row]


@dataclasses.dataclass(frozen=True)
class Chart(Block):
    """SVG that this package drew. `legend`: pairs of a colour's name (one, two, ink) and what is drawn in it."""

    svg: str
    title: str
    description: str
    legend: Sequence[tuple[str, str]] = ()
    axes: str = ""


@dataclasses.dataclass(frozen=True)
class Charts(Block):
    """Charts side by side where there is room."""

    charts: Sequence[Chart]


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image with what to write below it. `source`: a data URI as `picture` makes it. `tone`: bad or empty."""

    source: str
    description: str
    title: str = ""
    note: str = ""
    tone: str = ""


@dataclasses.dataclass(frozen=True)
class Pictures(Block):
    """Images in rows. `smooth`: not drawn as square pixels. `side`: the width of one, px."""

    pictures: Sequence[Picture]
    title: str = ""
    smooth: bool = False
    side: int = 104


@dataclasses.dataclass(frozen=True)
class Legend(Block):
    """What colours in pictures stand for: RGB in [0, 255], and a word."""

    colours: Sequence[tuple[tuple[int, int, int], str]]


@dataclasses.dataclass(frozen=True)
class Lines(Block):
    """A list of sentences."""

    lines: Sequence[str]
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Contact(Block):
    """A contact sheet: a row of originals, rows of variants below."""

    rows: Sequence[tuple[str, Sequence[Picture]]]


@dataclasses.dataclass(frozen=True)
class Piece:
    """Part of a text. `share` in [-1, 1] colours it: above 0 for the answer, below 0 against it. `note`: shown beside it."""

    text: str
    share: float = 0.0
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Passage:
    """A text in pieces, with a title and what to write below it. `tone`: bad or empty."""

    pieces: Sequence[Piece]
    title: str = ""
    note: str = ""
    tone: str = ""


@dataclasses.dataclass(frozen=True)
class Passages(Block):
    """Texts below one another, their words coloured."""

    passages: Sequence[Passage]
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Matrix(Block):
    """A confusion matrix: `counts[true][predicted]`. Many classes are drawn as a picture, made by `matrix_picture`."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]

    @property
    def shares(self) -> list[list[float]]:
        """Each count as a share of its true class, in [0, 1]."""
        return [[count / max(1, sum(row)) for count in row] for row in self.counts]

    def tint(self, share: float) -> float:
        """How strongly a share is coloured, in [0, 1]: a single error in a thousand must still be seen."""
        return 0 if share <= 0 else 0.08 + 0.92 * math.sqrt(min(1.0, share))


@dataclasses.dataclass(frozen=True)
class Interval:
    """A score with its confidence interval; `main` is the model that the page is about."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    main: bool = False


@dataclasses.dataclass(frozen=True)
class Intervals(Block):
    """Scores on one common scale: of shares up to 1, of others as far as they and their intervals reach."""

    entries: Sequence[Interval]
    unit: str = SHARE

    @property
    def ends(self) -> list[float]:
        """Every number that has a place on the scale."""
        return [value for e in self.entries for value in (e.low, e.value, e.high) if value is not None]

    @property
    def start(self) -> float:
        """Where the scale begins."""
        return scale_start(self.ends) if self.unit == SHARE else min(self.ends)

    @property
    def end(self) -> float:
        """Where the scale ends."""
        return 1.0 if self.unit == SHARE else max(self.ends)

    def place(self, value: float) -> float:
        """A score's place on the scale, in percent of its width."""
        return round(100 * (value - self.start) / ((self.end - self.start) or 1.0), 2)


@dataclasses.dataclass(frozen=True)
class Tile:
    """A number that matters, with its name and a word about it."""

    name: str
    value: str
    note: str = ""


def scale_start(values: Sequence[float]) -> float:
    """A round number at which a scale up to 1 may begin, low enough for every value."""
    lowest = min(values)
    step = 0.005 if lowest > 0.985 else 0.02 if lowest > 0.9 else 0.1
    return max(0.0, math.floor((lowest - step / 4) / step) * step)


def picture(image: np.ndarray, *, largest: int = LARGEST) -> str:
    """Turn an image into a data URI: PNG where pixels count, JPEG for photos.

    Args:
        image: (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) in [0, 255]; `cnnkit.report.drawing.visible` says what is drawn of it.
        largest: longer sides are shrunk to this many px.
    """
    array = drawing.visible(image)
    if array.dtype != np.uint8:
        array = np.clip(np.round(array), 0, 255).astype(np.uint8)
    longest = max(array.shape[:2])
    if longest > largest:
        size = (max(1, array.shape[1] * largest // longest), max(1, array.shape[0] * largest // longest))
        array = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    photo = array.ndim == 3 and array.shape[2] == 3 and max(array.shape[:2]) > 64
    if photo:
        _, content = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, 82])
    else:
        _, content = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return f"data:image/{'jpeg' if photo else 'png'};base64,{base64.b64encode(content.tobytes()).decode()}"


def matrix_picture(matrix: Matrix) -> str:
    """Draw a large confusion matrix, a px a pair of classes, as a data URI: right answers blue, errors orange."""
    shares = np.array(matrix.shares)
    tint = np.vectorize(matrix.tint)(shares)
    pixels = np.zeros((*shares.shape, 4), np.uint8)
    pixels[..., :3] = (232, 119, 34)
    pixels[np.eye(len(shares), dtype=bool), :3] = (62, 99, 221)
    pixels[..., 3] = np.round(255 * tint)
    return picture(pixels, largest=4096)


def percent(value: float, digits: int = 2) -> str:
    """`0.98765` -> `98.77 %`."""
    return "unknown" if not math.isfinite(value) else f"{100 * value:.{digits}f}{THIN}%"


def measured(value: float, unit: str = SHARE, digits: int = 2) -> str:
    """Write a number with its unit: a share as `percent` does, `2.31` in years as `2.31 years`."""
    if unit == SHARE:
        return percent(value, digits)
    return f"{value:.4g}{THIN}{unit}".strip() if math.isfinite(value) else "unknown"


def points(value: float) -> str:
    """Points with their sign: `+0.12`, `-0.30`, `0.00`."""
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", MINUS)


def size(count: int) -> str:
    """`81920` bytes -> `81.9 kB`."""
    if count < 1000:
        return f"{count}{THIN}B"
    return f"{count / 1000:.1f}{THIN}kB" if count < 1e6 else f"{count / 1e6:.2f}{THIN}MB"


def duration(seconds: float) -> str:
    """`95` s -> `1 min 35 s`."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f}{THIN}s"
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60}{THIN}min"


def plain(value: Any) -> str:
    """Write any setting for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "not set"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(entry) for entry in value) or "none"
    return str(value)

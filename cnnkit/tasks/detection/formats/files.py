"""What all formats of annotations are read with: drafts, faults, and files read with limits.

Design choices:
- A reader finds the parts of a data set (its splits) and reads one of them into drafts: pictures as the file states them,
  each box with the line it stands on. What the images themselves say is held against the drafts by `annotations`.
- `voc`, `yolo` and `lists` (COCO, gt.txt) are built from what is here.
- All files have a limit on bytes.
- A file name from a file is used only if it leads to an image that a walk below the data set's folder met, so neither ".."
  nor an absolute path leads out.
"""

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cnnkit.data import walks
from cnnkit.data.inventory import Entry
from cnnkit.data.naming import SPLITS
from cnnkit.data.records import Progress
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.detection.boxes import Box

MOST_TEXT_BYTES = 256 * 2**20  # of a YOLO label file, a list of images, a gt.txt
IMAGE_FOLDERS = ("images", "JPEGImages", "Images", "imgs", "img")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(slots=True)
class Draft:
    """A picture as its file of annotations states it.

    Attributes:
        file: path of the image below the root, with /.
        where: the file, or file and line, that states it.
        size: (width, height) in px as stated, or None.
        boxes: (where, box).
        fractions: whether the corners are fractions of the image's size.
        extra: as `Picture.extra`.
    """

    file: str
    where: str
    size: tuple[int, int] | None = None
    boxes: list[tuple[str, Box]] = field(default_factory=list)
    fractions: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """What a reader makes of one split: its drafts, the labels in the source's order or (), and `Annotations.extra`."""

    drafts: list[Draft]
    labels: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Faults:
    """What is wrong with the data: an error at once, or with `skip` a list."""

    def __init__(self, skip: bool):
        self.skip = skip
        self.bad: list[tuple[str, str]] = []
        self.entries: list[Entry] = []  # of the inventory

    def add(self, where: str, reason: str) -> None:
        where = printable(where)
        if not self.skip:
            raise DataError(f"{where}: {printable(reason)}. Repair it, or leave out what is bad with `skip_bad`.")
        self.bad.append((where, printable(reason)))


class Fault(Exception):
    """A fault within a file, whose name is known to whoever catches it."""

    def __init__(self, reason: str, line: int | None = None):
        super().__init__(reason)
        self.reason, self.line = reason, line


class Missing(Fault):
    """There is no such file."""


class Part(Protocol):
    """A split as its format finds it. `root`: the folder that its images lie below; `title`: what it is read from."""

    @property
    def root(self) -> Path: ...

    @property
    def title(self) -> str: ...


@dataclass(frozen=True)
class Format:
    """A format: `fits` says whether a path looks like it, `parts` finds the splits there, `read` reads one."""

    fits: Callable[[Path], bool]
    parts: Callable[[Path], dict[str, Any]]
    read: Callable[[Any, Faults, Progress | None], Found]


def number(text: str) -> float:
    """Return the number that a text is; a text that is none, NaN and infinity are a Fault."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise Fault(f"{text[:40]!r} is not a number")
    value = float(text)
    if not math.isfinite(value):
        raise Fault(f"{text[:40]!r} is too large a number")
    return value


def at(path: Path | str, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Turn a fault within `path` into an error that names it: for files without which nothing can be read."""
    try:
        yield
    except Fault as fault:
        raise DataError(f"{printable(at(path, fault.line))}: {printable(fault.reason)}.") from None


def small_file(path: Path | str, most: int) -> bytes:
    """Read a file of at most `most` bytes; what prevents it is a Fault."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a Path for each of a million is slow
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, most) + 1)
    except FileNotFoundError:
        raise Missing("there is no such file") from None
    except OSError as error:
        raise Fault(f"it cannot be read ({error.strerror})") from None
    if len(data) > most:
        raise Fault(f"it is larger than the {most:,} bytes that such a file may have")
    return data


def text_lines(path: Path | str) -> list[str]:
    """Read a text file of annotations: its lines, without a byte order mark."""
    try:
        return small_file(path, MOST_TEXT_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Fault(f"it is not UTF-8 text (byte {error.start + 1})") from None


def walk(root: Path, below: str = "") -> Iterator[str]:
    """Yield all files below a folder as paths with /, sorted; links to folders are followed, but for circles."""
    for _, path in walks.files(str(root), below, walks.Left()):
        yield path.replace(os.sep, "/")


def images_below(root: Path, below: str = "") -> list[str]:
    return [path for path in walk(root, below) if image.is_named(path)]


def subfolder(root: Path, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if (root / name).is_dir()), None)


def split_of(word: str) -> str | None:
    """Return "train", "validation" or "test" for how a split is called in any source, such as val or Training."""
    word = re.sub(r"\d{4}$", "", word.lower()).rstrip("-_")
    return next((split for split, spellings in SPLITS.items() if word in spellings), None)

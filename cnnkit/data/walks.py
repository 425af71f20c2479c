"""Walks through the folders of a data set: which files are its own, links followed, circles not.

Design choices:
- A link to a folder is followed: data often lies on another disk. One that leads to a folder it lies in, or to one that the
  walk has followed already, would give the same files again without an end; it is left out, and named.
- What a system or a program leaves beside data (`__MACOSX`, `._1.png`, `.DS_Store`, Thumbs.db, `@eaDir`, hidden files) is no
  data, and never a class; it is counted.
"""

import array
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnkit.data import inventory
from cnnkit.errors import DataError
from cnnkit.files import printable

_SYSTEM = frozenset(
    [
        "__macosx",
        "thumbs.db",
        "thumbs.db:encryptable",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "#recycle",
        "@recycle",
        "@recently-snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__pycache__",
        "network trash folder",
        "temporary items",
    ]
)


class Paths(Sequence[str]):
    """Paths below a folder, in one block of bytes: a million cost about 60 MB, not the 300 MB of as many strings."""

    def __init__(self, paths: Iterable[str] = ()):
        self._packed, self._ends = bytearray(), array.array("q")
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        self._packed += os.fsencode(path)
        self._ends.append(len(self._packed))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self._ends[index - 1] if index else 0
        return os.fsdecode(bytes(self._packed[start : self._ends[index]]))

    def take(self, places: np.ndarray) -> "Paths":
        """Return the paths at these places, int (n,), in this order."""
        return Paths(self[place] for place in places.tolist())


def is_system(name: str) -> bool:
    """Say whether a file or folder of this name is hidden, or one that a system makes by itself."""
    return name.startswith(".") or name.lower() in _SYSTEM


@dataclass
class Left:
    """What a walk left out: names of the first, and how many there are."""

    system: list[str] = field(default_factory=list)
    systems: int = 0
    circles: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)

    def add_system(self, path: str, is_folder: bool) -> None:
        """Count a file, or all files in a folder."""
        count = sum(len(names) for _, _, names in os.walk(path)) if is_folder else 1
        self.systems += count
        if count and len(self.system) < inventory.EXAMPLES:
            self.system.append(printable(path))

    def entries(self) -> list[inventory.Entry]:
        """Return what the inventory says of it."""
        rows = (
            ("files", "that are hidden or that a system left beside the data", self.system, self.systems),
            ("links", "to folders that are walked through already", self.circles, len(self.circles)),
            ("links", "that lead nowhere", self.dead, len(self.dead)),
        )
        return [inventory.entry("left out", what, why, names, count) for what, why, names, count in rows if count]


def is_circle(root: str, path: str) -> bool:
    """Say whether a link in a folder leads to that folder, or to one that it lies in."""
    return os.path.islink(path) and _identity(path) in _around(root)  # noqa: PTH114


def files(root: str, below: str, left: Left) -> Iterator[tuple[str, str]]:
    """Yield (path, path below `root`) of all files in a folder and its subfolders, sorted by name; links are followed.

    Args:
        root: a folder.
        below: the folder to walk through, below `root`; "" for all of it.
        left: takes what is left out.

    Raises:
        DataError: a folder cannot be read.
    """
    start = os.path.join(root, below) if below else root  # noqa: PTH118 - a Path for each of a million is slow
    around = _around(root if below else os.path.dirname(root)) | _around(os.path.dirname(os.path.realpath(start)))  # noqa: PTH120
    yield from _below(start, below, around, set(), left)


def _below(
    folder: str, below: str, around: frozenset[tuple[int, int]], followed: set[tuple[int, int]], left: Left
) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            rows = sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in entries)
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    around = around | {_identity(folder)}
    for name, is_folder, is_link in rows:
        path, child = f"{folder}{os.sep}{name}", f"{below}{os.sep}{name}" if below else name
        if is_system(name):
            left.add_system(path, is_folder and not is_link)
        elif is_folder and is_link:
            place = _identity(path)
            if place in around or place in followed:
                left.circles.append(printable(path))
            else:
                followed.add(place)
                yield from _below(path, child, around, followed, left)
        elif is_folder:
            yield from _below(path, child, around, followed, left)
        elif is_link and not os.path.exists(path):  # noqa: PTH110
            left.dead.append(printable(path))
        else:
            yield path, child


def _identity(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder)  # noqa: PTH116
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    return status.st_dev, status.st_ino


def _around(folder: str) -> frozenset[tuple[int, int]]:
    """Identify a folder and all that it lies in."""
    found, here = set(), os.path.realpath(folder)
    while True:
        found.add(_identity(here))
        above = os.path.dirname(here)  # noqa: PTH120
        if above == here:
            return frozenset(found)
        here = above

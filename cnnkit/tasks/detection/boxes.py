"""Boxes around objects in images: what every format of annotations is read into and written from.

Design choices:
- Corners are kept as the source states them, as floats in px from the left and top edge of the image, so that a format that
  has fractions and one that has whole numbers both come back as they were.
- What a source says beyond label and corners (difficult, truncated, iscrowd, ids) is kept in `extra`, by the source's own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.data.inventory import Entry

MOST = 16  # boxes of one view; of more the largest are kept
NOT_ASKED = -2  # in place of a box's kind: the class is not known to be absent where it has no box
IGNORED = frozenset(  # plain names of what excuses a box: of Pascal VOC; of COCO; of COCO's kin; of Open Images
    ["difficult", "iscrowd", "ignore", "isgroupof", "groupof"]
)
_YES = frozenset(["true", "yes", "y", "t", "on"])


def says_yes(value: Any) -> bool:
    """Say whether a flag of a source is set: true, yes, or a number that is not 0, also as text.

    Anything else is no: tools write `Unspecified`, `False` or "0" where nobody said that an object is difficult.
    """
    if isinstance(value, str):
        text = value.strip().casefold()
        try:
            value = float(text)
        except ValueError:
            return text in _YES
    return isinstance(value, bool | int | float) and value == value and value != 0  # not NaN


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()


@dataclass(frozen=True)
class Box:
    """An object in an image. Corners in px from the left and top edge; right and bottom lie beyond the last pixel."""

    label: str
    left: float
    top: float
    right: float
    bottom: float
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ignored(self) -> bool:
        """Whether it is neither to be found nor wrong to find: called so by one of `IGNORED`, and by a value that says yes."""
        return any(_plain(key) in IGNORED and says_yes(value) for key, value in self.extra.items())


@dataclass(frozen=True)
class Picture:
    """An image with its boxes. `file` is its path below the root, with /; width and height in px."""

    file: str
    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Annotations:
    """The annotated images below a folder.

    Attributes:
        root: the folder.
        pictures: sorted by file.
        labels: in the source's order where it has one, else sorted.
        bad: (where, reason) of what was left out: a file, or a file and line.
        extra: what else the source says of the whole.
        entries: counts of what was left out or read otherwise, for the inventory; see `cnnkit.data.inventory`.
    """

    root: Path
    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]
    bad: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

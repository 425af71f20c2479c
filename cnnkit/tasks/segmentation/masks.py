"""What masks are: a code for each pixel, and what the codes mean.

Design choices:
- A mask is a code map: 0 is background, k + 1 the k-th label, `IGNORE` what was left out on purpose. So a mask is one byte a
  pixel, whatever its files look like.
- Labels may overlap, as a whole tumour and its core: then a label is a region, a set of codes. The usual label is the region of
  its own code. Codes tell apart what overlaps, regions say what belongs together, and one map still says it all.
- Masks are read when they are asked for, as pictures are.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

IGNORE = 255  # left out of loss and scores
MOST = 254  # codes beside background and `IGNORE`

Regions = tuple[tuple[int, ...], ...]
"""For each label the codes of the pixels that it has."""


class Masks(Protocol):
    """Where the masks of pictures are. Safe to share between threads.

    Attributes:
        names: of the labels, without the background.
        regions: of the labels.
    """

    names: tuple[str, ...]
    regions: Regions

    def __len__(self) -> int: ...

    def native(self, index: int) -> np.ndarray:
        """Return the code map of one picture, uint8 (h, w), of the size of the picture.

        Raises:
            DataError: it is missing or damaged, does not fit its picture, or has values that mean nothing.
        """

    def objects(self, index: int) -> np.ndarray | None:
        """Return which object each pixel is of, int32 (h, w), 0 for none; None where masks do not tell objects apart."""

    def spacing(self, index: int) -> tuple[float, ...] | None:
        """Return the distance of neighbouring pixels along each axis, mm; None where it is not known."""

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Feed what identifies these masks to `add`."""


def alone(count: int) -> Regions:
    """Return the regions of so many labels of which none overlaps another."""
    return tuple((code,) for code in range(1, count + 1))


def overlapping(regions: Sequence[Sequence[int]]) -> bool:
    """Return whether a code is in more than one region: then each label is asked for on its own."""
    codes = [code for region in regions for code in set(region)]
    return len(codes) != len(set(codes))


def planes(codes: np.ndarray, regions: Sequence[Sequence[int]]) -> np.ndarray:
    """Return where each label is: bool (labels, *shape of the code map)."""
    return np.stack([np.isin(codes, region) for region in regions]) if regions else np.zeros((0, *codes.shape), bool)

"""Objects that are to be told apart: what a network is taught of them, and what is found out of their masks.

Design choices:
- A network is taught two labels that exclude each other: the inside of objects and their border, a rim that lies inside of each,
  so that the insides of neighbours are apart wherever they touch. Inside and border together are the object.
- A rim is a fifth of a diameter wide. Touching discs of 10 to 20 px had an AP at IoU 0.5 of 0.62 with rims of 1 px, 0.94 with 2,
  0.97 with 3, 0.96 with 4; of 22 to 36 px 0.93 with 3, 0.98 with 5; of 6 to 10 px 0.97 with 2 (a U-Net of 40 s; seeds from 0.5).
- What lies between two objects stays background. Taught as border too, where it is up to 2 or 4 px wide, it made AP at IoU 0.5 of
  touching discs of 10 to 20 px 0.93 and 0.92 for 0.94, and Dice 0.983 and 0.966 for 0.984.
- An object that would be all rim keeps an inside, its middle. Where the picture ends, an object has no border.
- Masks of two levels tell objects apart only where these do not touch. Pieces with a narrow part between deep ones, as
  two discs have where they meet, are counted and named: such masks teach to leave together what is to be parted.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from cnnkit.device.objects import renumbered
from cnnkit.tasks.segmentation.masks import IGNORE

INSIDE, BORDER = 1, 2
TAUGHT = ((INSIDE,), (BORDER,))  # the regions that a network learns
WIDTHS = (1, 5)  # px of the network's input that a rim is wide
RIM = 0.19  # of an object's diameter
NECK, ALIKE = (
    0.6,
    0.7,
)  # shares of a piece's depth: that its narrow parts have less of, and that each of several objects has
THICK = 3.0  # px that it is deep at least
OFTEN = 0.02  # share of the pieces, from which that is worth a warning


def numbered(mask: np.ndarray, region: Sequence[int], objects: np.ndarray | None) -> np.ndarray:
    """Return which object each pixel is of: int32 (h, w), numbered from 1 without gaps, 0 for none.

    Args:
        mask: code map, uint8 (h, w).
        region: the codes of the label.
        objects: the same as a mask tells them apart; None: it does not, and what hangs together is an object.
    """
    plane = np.isin(mask, region)
    if objects is None:
        return cv2.connectedComponents(plane.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]
    return renumbered(np.where(plane, objects, 0))


def rimmed(numbers: np.ndarray, rim: int) -> np.ndarray:
    """Return what a network is taught: uint8 (h, w), 0 outside, `INSIDE`, `BORDER`.

    Args:
        numbers: which object each pixel is of, int32 (h, w), 0 for none.
        rim: px that the border of an object is wide.
    """
    there = numbers > 0
    own = numbers.astype(np.float32)  # exact up to 16 million objects
    codes = np.where(there, np.uint8(BORDER), np.uint8(0))
    have = np.zeros(int(numbers.max(initial=0)) + 1, bool)
    for width in range(rim, -1, -1):  # an object all of rim has a thinner one
        around = _disc(width)
        inside = there & (cv2.dilate(own, around) == own) & (cv2.erode(own, around) == own) & ~have[numbers]
        codes[inside] = INSIDE
        have[numbers[inside]] = True
    return codes


def _disc(radius: int) -> np.ndarray:
    """Return which pixels are at most so far from the middle: uint8 (2 * radius + 1,) * 2."""
    steps = np.arange(-radius, radius + 1)
    return (steps[:, None] ** 2 + steps**2 <= (radius + 0.25) ** 2).astype(np.uint8)


def diameters(numbers: np.ndarray) -> np.ndarray:
    """Return the diameter of each object, that of a disc of its area, px: float (n,)."""
    areas = np.bincount(numbers.ravel())[1:]
    return 2 * np.sqrt(areas[areas > 0] / np.pi)


def rim_of(diameter: float) -> int:
    """Return how wide the rims of objects of this diameter should be, both px of the network's input."""
    low, high = WIDTHS
    return int(np.clip(round(RIM * diameter), low, high))


def merged(planes: Iterable[np.ndarray]) -> tuple[int, int]:
    """Count pieces of masks, bool (h, w) each, that look like several objects in one; and all pieces."""
    several = every = 0
    for plane in planes:
        mask = plane.astype(np.uint8)
        count, pieces = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        deepest = _deepest(depth, pieces, count)
        thick = NECK * np.maximum(deepest, THICK)
        parts, cores = cv2.connectedComponents((depth > thick[pieces]).astype(np.uint8), ltype=cv2.CV_32S)
        owner = np.zeros(parts, np.int64)  # the piece that each core lies in
        owner[cores.ravel()] = pieces.ravel()
        alike = _deepest(depth, cores, parts) >= ALIKE * np.maximum(deepest, THICK)[owner]
        several += int(np.count_nonzero(np.bincount(owner[1:][alike[1:]], minlength=count)[1:] > 1))
        every += count - 1
    return several, every


def _deepest(depth: np.ndarray, pieces: np.ndarray, count: int) -> np.ndarray:
    """Return how deep each piece is at its deepest: float32 (count,), 0 for the background."""
    found = np.zeros(count, np.float32)
    np.maximum.at(found, pieces.ravel(), np.where(pieces > 0, depth, 0).ravel())
    return found


def codes_of(answer: np.ndarray) -> np.ndarray:
    """Return the code map, uint8, of an answer: such a map, or numbers of objects."""
    return answer if answer.dtype == np.uint8 else (answer > 0).astype(np.uint8)


def outlines_apart(numbers: np.ndarray) -> np.ndarray:
    """Return a code map of objects, uint8 (h, w), that leaves out a line where two touch, so that each has its outline."""
    codes = (numbers > 0).astype(np.uint8)
    for one, other in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        codes[one][(numbers[one] != numbers[other]) & (numbers[other] > 0)] = 0
    return codes


def drawn_apart(found: Sequence[np.ndarray], truth: Sequence[Any]) -> tuple[list[np.ndarray], list[Any]]:
    """Return answers and cases as code maps in which objects that are told apart have an outline each; others as they are."""
    pairs = [
        (answer, case)
        if answer.dtype == np.uint8 or case.objects is None
        else (outlines_apart(answer), dataclasses.replace(case, codes=_outlined(case)))
        for answer, case in zip(found, truth, strict=True)
    ]
    return [answer for answer, _ in pairs], [case for _, case in pairs]


def _outlined(case: Any) -> np.ndarray:
    return np.where(case.codes == IGNORE, np.uint8(IGNORE), outlines_apart(case.objects))

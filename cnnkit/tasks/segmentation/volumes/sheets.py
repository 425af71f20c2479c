"""Volumes as pictures: slices with outlines, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from cnnkit.device.contours import outlined
from cnnkit.device.resampling import sampled
from cnnkit.device.segmentation import TAILS
from cnnkit.tasks.segmentation.masks import planes

GAP = 4  # px between slices


def fullest(records: Any, volumes: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
    """Return of each volume the slice that shows most of its labels, with outlines: uint8 (n, h, w, 3).

    Args:
        records: whose labels and regions count.
        volumes: float (n, d, h, w, c) in [0, 255].
        codes: uint8 (n, d, h, w).
    """
    drawn = []
    for volume, mask in zip(volumes, codes, strict=True):
        place = fullest_slice(planes(mask, records.taught))
        picture = np.rint(volume[place, ..., 0]).astype(np.uint8)
        drawn.append(outlined(picture, planes(mask[place], records.taught), line=1))
    return np.stack(drawn)


def fullest_slice(labels: np.ndarray) -> int:
    """Return the slice that shows most of all labels, each counted alike: `labels` bool (labels, d, h, w)."""
    counts = labels.sum(axis=(2, 3)).astype(float)
    total = counts / np.maximum(counts.max(axis=1, keepdims=True), 1)
    return int(total.sum(0).argmax()) if counts.any() else labels.shape[1] // 2


def spread(has: np.ndarray, count: int) -> list[int]:
    """Return slices spread over those that have a label, bool (slices,); over all where none has: at most so many, in order."""
    places = np.flatnonzero(has) if has.any() else np.arange(len(has))
    count = min(count, len(places))
    return [int(places[int((k + 0.5) * len(places) / count)]) for k in range(count)]


def labelled(codes: np.ndarray, regions: Sequence[Sequence[int]]) -> tuple[np.ndarray, ...]:
    """Return for each axis which slices across it have a label, bool (slices,); a slice at a time.

    Args:
        codes: uint8 (d, h, w).
        regions: the codes of each label.
    """
    table = np.isin(np.arange(256), [code for region in regions for code in region])
    found = tuple(np.zeros(length, bool) for length in codes.shape)
    for place, part in enumerate(codes):
        there = table[part]
        found[0][place] = there.any()
        found[1][:] |= there.any(1)
        found[2][:] |= there.any(0)
    return found


class Sheet:
    """Slices of a volume in three planes, side by side: from above, from the front, from the side, a row each.

    Volume, masks and maps are laid out alike, so that what is drawn of pictures can be drawn of them.

    Args:
        extent: of the volume; its axes run to the head, to the back and to the left.
        spacing: mm along each axis; all slices are at one scale in mm.
        places: slices across each axis.
        side: px of the longest side of a slice.
    """

    def __init__(self, extent: Sequence[int], spacing: Sequence[float], places: Sequence[Sequence[int]], side: int):
        self._extent, self._places = tuple(extent), places
        lengths = [length * step for length, step in zip(extent, spacing, strict=True)]
        self._sides = [max(1, round(side / max(lengths) * length)) for length in lengths]

    @classmethod
    def of(
        cls, codes: np.ndarray, regions: Sequence[Sequence[int]], spacing: Sequence[float], count: int, side: int
    ) -> "Sheet":
        """Return a sheet of so many slices a plane, spread over what is labelled in codes, uint8 (d, h, w)."""
        return cls(codes.shape, spacing, [spread(has, count) for has in labelled(codes, regions)], side)

    def laid(
        self,
        values: np.ndarray,
        change: Callable[[np.ndarray], np.ndarray] = lambda part: part,
        *,
        between: float = 0.0,
    ) -> np.ndarray:
        """Lay slices out: float32 (height, width).

        Args:
            values: numbers (d, h, w), or at a lower resolution.
            change: of a slice, before it is enlarged.
            between: value between slices.
        """
        rows = []
        for axis, places in enumerate(self._places):
            down, along = (self._sides[k] for k in range(3) if k != axis)
            drawn = []
            for place in places:
                at = int((place + 0.5) * values.shape[axis] / self._extent[axis])
                part = np.ascontiguousarray(change(values.take(at, axis)), np.float32)
                large = cv2.resize(part, (along, down), interpolation=cv2.INTER_LINEAR)
                drawn.append(large[::-1] if axis else large)  # the head is above
            rows.append(_joined(drawn, 1, between))
        return _joined(rows, 0, between)

    def planes(self, codes: np.ndarray, regions: Sequence[Sequence[int]]) -> np.ndarray:
        """Lay out where each label is in codes, uint8 (d, h, w): bool (labels, height, width)."""
        tables = [np.isin(np.arange(256), region) for region in regions]
        return np.stack([self.laid(codes, table.__getitem__) >= 0.5 for table in tables])

    def picture(self, volume: np.ndarray) -> np.ndarray:
        """Lay out the first channel of a volume, numbers (d, h, w, c): uint8 (height, width, 3), white between slices."""
        low, high = np.percentile(sampled(volume[..., :1]), TAILS)
        seen = (self.laid(volume[..., 0], between=float(high)) - low) * (255 / max(float(high - low), 1e-6))
        return np.repeat(np.clip(np.rint(seen), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _joined(parts: Sequence[np.ndarray], axis: int, between: float) -> np.ndarray:
    """Join pictures along an axis with a gap between them; along the other they are filled up."""
    longest = max(part.shape[1 - axis] for part in parts)
    found = []
    for number, part in enumerate(parts):
        after, beside = GAP * (number + 1 < len(parts)), longest - part.shape[1 - axis]
        around = [(0, after), (0, beside)] if axis == 0 else [(0, beside), (0, after)]
        found.append(np.pad(part, around, constant_values=between))
    return np.concatenate(found, axis)


def sheet(
    volume: np.ndarray,
    codes: np.ndarray,
    regions: Sequence[Sequence[int]],
    spacing: Sequence[float],
    *,
    count: int = 4,
    side: int = 220,
) -> np.ndarray:
    """Return slices of a volume in three planes with outlines: uint8 (h, w, 3).

    Args:
        volume: numbers (d, h, w, c), axes to the head, to the back and to the left; the first channel is shown.
        codes: uint8 (d, h, w).
        regions: the codes of each label.
        spacing: mm along each axis.
        count: slices of each plane, spread over what is labelled.
        side: px of the longest side of a slice.
    """
    laid = Sheet.of(codes, regions, spacing, count, side)
    return outlined(laid.picture(volume), laid.planes(codes, regions), line=1)

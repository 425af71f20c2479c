"""Volumes as pictures: slices with outlines, side by side."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cnnkit.device.contours import outlined
from cnnkit.device.resampling import sampled
from cnnkit.device.segmentation import TAILS
from cnnkit.tasks.segmentation.masks import planes

GAP = 4  # px between slices


def fullest(records: Any, volumes: np.ndarray, codes: np.ndarray) -> np.ndarray:
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


def spread(labels: np.ndarray, count: int) -> Sequence[int]:
    """Return slices spread over those that have a label: at most so many, in order."""
    has = np.flatnonzero(labels.any(axis=(0, 2, 3)))
    if not len(has):
        has = np.arange(labels.shape[1])
    count = min(count, len(has))
    return [int(has[int((k + 0.5) * len(has) / count)]) for k in range(count)]


def sheet(
    volume: np.ndarray, labels: np.ndarray, spacing: Sequence[float], *, count: int = 4, side: int = 220
) -> np.ndarray:
    """Return slices of a volume in three planes with outlines: uint8 (h, w, 3).

    A row a plane (from above, from the front, from the side), slices spread over what is labelled, all at one scale in mm.

    Args:
        volume: numbers (d, h, w, c), axes to the head, to the back and to the left; the first channel is shown.
        labels: bool (labels, d, h, w).
        spacing: mm along each axis.
        count: slices of each plane.
        side: px of the longest side of a slice.
    """
    grey = volume[..., 0].astype(np.float32)
    low, high = np.percentile(sampled(volume[..., :1]), TAILS)
    extent = [length * step for length, step in zip(grey.shape, spacing, strict=True)]
    scale = side / max(extent)
    rows = []
    for axis in range(3):
        planes_of = np.moveaxis(labels, axis + 1, 1)
        slices = np.moveaxis(grey, axis, 0)
        down, along = (max(1, round(scale * extent[k])) for k in range(3) if k != axis)
        drawn = []
        for place in spread(planes_of, count):
            shown = np.clip((slices[place] - low) * (255 / max(float(high - low), 1e-6)), 0, 255).astype(np.uint8)
            large = cv2.resize(shown, (along, down), interpolation=cv2.INTER_LINEAR)
            there = [
                cv2.resize(plane.astype(np.uint8), (along, down), interpolation=cv2.INTER_NEAREST) > 0
                for plane in planes_of[:, place]
            ]
            part = outlined(large, np.stack(there), line=1)
            drawn.append(part[::-1] if axis else part)  # the head is above
        row = np.zeros((down, count * (along + GAP) - GAP, 3), np.uint8)
        for number, part in enumerate(drawn):
            row[:, number * (along + GAP) : number * (along + GAP) + along] = part
        rows.append(row)
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(padded)[:-GAP]

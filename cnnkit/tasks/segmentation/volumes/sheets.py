"""Volumes as pictures: slices with outlines, side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnkit.device.contours import outlined
from cnnkit.tasks.segmentation.masks import planes


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
    return sorted({int(has[k]) for k in np.linspace(0, len(has) - 1, min(count, len(has))).round().astype(int)})

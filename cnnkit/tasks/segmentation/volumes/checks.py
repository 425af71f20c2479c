"""What would spoil the training on masks of volumes, found before training; as `cnnkit.tasks.segmentation.checks`."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnkit.data.findings import Finding, listed
from cnnkit.data.reading import Part


def findings(parts: Mapping[str, Part]) -> list[Finding]:
    """Return what is said of volumes alone: leak, duplicate, spacing."""
    return [*_same(parts), *_spacing(parts)]


def _same(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Find volumes that are there twice, in one split or in two."""
    where = defaultdict(list)
    for split, part in parts.items():
        for index in range(len(part.images)):
            digest = hashlib.blake2b(np.ascontiguousarray(part.images.native(index)).tobytes(), digest_size=16).digest()
            where[digest].append((split, part.images.name(index)))
    twice = [rows for rows in where.values() if len(rows) > 1]
    leaks = [rows for rows in twice if len({split for split, _ in rows}) > 1]
    if leaks:
        text = f"{len(leaks)} volumes are in two splits: scores are too good. Leave one of each out."
        yield from listed("error", "leak", text, [" = ".join(name for _, name in rows) for rows in leaks])
    same = [rows for rows in twice if rows not in leaks]
    if same:
        text = f"{len(same)} volumes are there twice. Leave one of each out, or name their patients."
        yield from listed("warning", "duplicate", text, [" = ".join(name for _, name in rows) for rows in same])


def _spacing(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Say how far the sizes of voxels differ."""
    volumes: list[Any] = [part.images for part in parts.values()]
    sizes = np.array([source.spacing(index) for source in volumes for index in range(len(source))])
    if not len(sizes):
        return
    least, most = sizes.min(0), sizes.max(0)
    if (most > 1.5 * least).any():
        spans = " x ".join(f"{low:.3g} to {high:.3g}" for low, high in zip(least, most, strict=True))
        yield Finding("note", "spacing", f"Voxels have {spans} mm; all are resampled to one size.", ())

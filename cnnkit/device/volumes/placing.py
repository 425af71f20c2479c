"""A map of codes laid on the grid of its volume."""

from pathlib import Path

import numpy as np

from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import ROUNDING, Geometry


def onto(
    codes: np.ndarray,
    geometry: Geometry,
    like: Geometry | None,
    path: Path | str,
    *,
    tolerance: float = ROUNDING,
    resample: bool = False,
    part: bool = False,
) -> np.ndarray:
    """Lay a map on a grid.

    Args:
        codes: (z, y, x).
        geometry: of the map.
        like: the grid; None: the map's own.
        path: of the map, for the error.
        tolerance, resample: as `read_labels`.
        part: whether the map may cover a part of the grid, or more than it, as those of Slicer do.

    Raises:
        VolumeError: the map has voxels that are none of the grid's.
    """
    if like is None:
        return codes
    found = geometry.onto(like, tolerance)
    if found is not None:
        turn, start = found
        turned = turn.apply(codes)
        if start == (0, 0, 0) and turned.shape == like.shape:
            return np.ascontiguousarray(turned)
        if part:
            placed = within(turned, start, like.shape)
            if placed is not None:
                return placed
            raise VolumeError(path, "it has labels outside of its volume", "Is it of this volume?")
    if resample:
        return _nearest(codes, geometry, like)
    raise VolumeError(
        path, _elsewhere(geometry, like, part), "Is it of this volume? Resample it to it, or mend its header."
    )


def within(turned: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray | None:
    """Put a map into an empty one of another shape, at an index; None where labels would lie outside."""
    placed = np.zeros(shape, turned.dtype)
    there = tuple(slice(max(0, s), max(0, min(side, s + n))) for s, n, side in zip(start, turned.shape, shape))
    here = tuple(slice(t.start - s, max(t.start, t.stop) - s) for t, s in zip(there, start))
    inside = turned[here]
    if inside.size and all(t.stop > t.start for t in there):
        placed[there] = inside
        count = int(np.count_nonzero(inside))
    else:
        count = 0
    return placed if count == int(np.count_nonzero(turned)) else None


def _nearest(codes: np.ndarray, geometry: Geometry, like: Geometry) -> np.ndarray:
    """Take the nearest voxel of another grid, 0 outside of it; a slice at a time."""
    found = np.zeros(like.shape, codes.dtype)
    rows, columns = np.meshgrid(np.arange(like.shape[1]), np.arange(like.shape[2]), indexing="ij")
    for k in range(like.shape[0]):
        at = np.stack([np.full(rows.size, k), rows.ravel(), columns.ravel()], 1)
        index = np.floor(geometry.indices(like.points(at)) + 0.5 + 1e-6).astype(np.int64)
        inside = ((index >= 0) & (index < geometry.shape)).all(axis=1)
        plane = np.zeros(rows.size, codes.dtype)
        plane[inside] = codes[tuple(index[inside].T)]
        found[k] = plane.reshape(rows.shape)
    return found


def _elsewhere(geometry: Geometry, like: Geometry, part: bool) -> str:
    """Say how a mask does not lie on its volume."""
    one, other = geometry.canonical(), like.canonical()
    if np.abs(one.direction - other.direction).max() > 0.01:
        return "it is tilted against its volume"
    if not np.allclose(one.spacing, other.spacing, rtol=0.01):
        return f"its voxels are {_sizes(one.spacing)} mm, and those of its volume {_sizes(other.spacing)} mm"
    if part:
        return "its voxels lie between those of its volume"
    if one.shape != other.shape:
        return f"it has {_sizes(one.shape)} voxels, and its volume {_sizes(other.shape)}"
    return f"it lies {one.apart(other):.3g} mm away from its volume"


def _sizes(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values[::-1])

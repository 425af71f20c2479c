"""How far the borders of two masks are apart.

Design choices:
- A border runs between pixels: it has an element at every corner where the pixels around are not all alike, and the element
  has the length of the contour through that corner. Pixels on a border, counted, would make slanted borders shorter than
  straight ones, and know no spacing.
- Beyond the picture nothing is there: what touches a side has a border on it.
- Shares and means are of length or area, not of elements.
- Only the smallest box around both masks is looked at.
- Distances are OpenCV's where pixels are square, six times as fast as SciPy's, and SciPy's otherwise; both are exact.

Sources: Nikolov et al. 2018, arXiv:1809.04430 (elements of borders, surface Dice at a tolerance).
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_ROUNDING = 1e-6  # relative: three pixels of 0.1 mm are no further than 0.3 mm


class Distances(NamedTuple):
    """From each element of either border to the other border; infinite where the other mask is empty.

    Attributes:
        first, second: of the first border to the second, and back, float (n,), in the unit of the spacing.
        first_sizes, second_sizes: of the elements: lengths in 2-D, in the same unit, areas in 3-D, in its square.
    """

    first: np.ndarray
    second: np.ndarray
    first_sizes: np.ndarray
    second_sizes: np.ndarray


def surface_distances(first: np.ndarray, second: np.ndarray, spacing: Sequence[float] | None = None) -> Distances:
    """Measure from border to border.

    Args:
        first, second: masks of one size, bool (*sides).
        spacing: of neighbouring pixels along each axis; None: 1, so that distances are in px.
    """
    spacing = (1.0,) * first.ndim if spacing is None else tuple(float(step) for step in spacing)
    if first.shape != second.shape or len(spacing) != first.ndim:
        raise ValueError(
            "Masks need one size, and a spacing for each axis. "
            f"Received: {first.shape}, {second.shape} and spacing={spacing}."
        )
    box = _box(first | second)
    sizes = element_sizes(spacing)
    codes = [_codes(mask[box]) for mask in (first, second)]
    borders = [(code > 0) & (code < len(sizes) - 1) for code in codes]
    far = [_to(borders[1 - side], spacing)(borders[side]) for side in (0, 1)]
    return Distances(*far, *(sizes[code[border]] for code, border in zip(codes, borders, strict=True)))


def hausdorff(distances: Distances, share: float = 0.95) -> float:
    """Return the larger of the distances that this share of either border does not exceed; nan where there is none."""
    return max(
        _quantile(distances.first, distances.first_sizes, share),
        _quantile(distances.second, distances.second_sizes, share),
        key=lambda value: (value == value, value),  # nan is the least
    )


def surface_dice(distances: Distances, tolerance: float) -> float:
    """Return the share of both borders that is no further from the other than the tolerance, in [0, 1]; nan without any."""
    total = distances.first_sizes.sum() + distances.second_sizes.sum()
    if not total:
        return float("nan")
    most = tolerance * (1 + _ROUNDING)
    near = distances.first_sizes[distances.first <= most].sum() + distances.second_sizes[distances.second <= most].sum()
    return float(near / total)


def mean_distance(distances: Distances) -> float:
    """Return the mean distance along both borders; nan without any."""
    total = distances.first_sizes.sum() + distances.second_sizes.sum()
    if not total:
        return float("nan")
    every = (distances.first * distances.first_sizes).sum() + (distances.second * distances.second_sizes).sum()
    return float(every / total)


def element_sizes(spacing: Sequence[float]) -> np.ndarray:
    """Return how much border goes through a corner, for each code of the pixels or voxels around it.

    A code has a bit for each of the 2 x 2 pixels: 8 upper left, 4 upper right, 2 lower left, 1 lower right. The contour goes
    from middle to middle of the pixels' edges: straight through, slanted around one pixel, or both of these around two that
    touch at the corner. Likewise of 2 x 2 x 2 voxels, whose first is the highest bit: the surface goes through the middles of
    the cube's edges.

    Args:
        spacing: along each axis.

    Returns:
        lengths, float (16,), or areas, float (256,), in the unit of the spacing or its square.
    """
    if len(spacing) == 3:
        return _areas(np.asarray(spacing, np.float64))
    down, along = spacing
    slanted = 0.5 * float(np.hypot(down, along))
    sizes = np.full(16, slanted)
    sizes[[0b0000, 0b1111]] = 0
    sizes[[0b0011, 0b1100]] = along  # the upper pixels are unlike the lower ones
    sizes[[0b0101, 0b1010]] = down
    sizes[[0b0110, 0b1001]] = 2 * slanted
    return sizes


def _areas(spacing: np.ndarray) -> np.ndarray:
    """Return the area of the surface in a cube of eight voxels, for each code.

    Where two voxels of a face touch at an edge alone, the kind that has fewer of the eight is kept apart. What is no plane is
    cut into triangles of the largest area that cubes allow. Both give the very table of Nikolov et al.
    """
    found = np.zeros(256)
    for code, triangles in enumerate(_triangles()):
        for triangle in triangles:
            first, second, third = triangle * spacing
            found[code] += np.linalg.norm(np.cross(second - first, third - first)) / 2
    return found


@functools.cache
def _triangles() -> tuple[tuple[np.ndarray, ...], ...]:
    """Return the surface of each code as triangles, float (3 points, 3 axes) each, in a cube of side 1."""
    every = []
    for code in range(256):
        rarer = code if code.bit_count() <= 4 else 255 - code
        found: list[np.ndarray] = []
        for points in _loops(rarer):
            cuts = [[points[list(corners)] for corners in way] for way in _ways(0, len(points) - 1)]
            sizes = [sum(float(np.linalg.norm(np.cross(t[1] - t[0], t[2] - t[0]))) for t in cut) for cut in cuts]
            found += cuts[int(np.argmax(np.round(sizes, 9)))]
        every.append(tuple(found))
    return tuple(every)


def _ways(first: int, last: int) -> list[list[tuple[int, int, int]]]:
    """Return all ways to cut the part of a polygon from one corner to another into triangles."""
    if last - first < 2:
        return [[]]
    return [
        [*one, *other, (first, middle, last)]
        for middle in range(first + 1, last)
        for one in _ways(first, middle)
        for other in _ways(middle, last)
    ]


def _loops(code: int) -> list[np.ndarray]:
    """Return the closed lines along which a surface cuts the faces of a cube: float (points, 3) each, middles of edges."""
    next_to: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for axis, side in itertools.product(range(3), (0, 1)):
        face = [np.insert(place, axis, side) for place in ([0, 0], [0, 1], [1, 1], [1, 0])]
        inside = [bool(code >> (7 - int(corner @ (4, 2, 1))) & 1) for corner in face]
        middles = [tuple(((face[k] + face[(k + 1) % 4]) / 2).tolist()) for k in range(4)]
        cut = [middles[k] for k in range(4) if inside[k] != inside[(k + 1) % 4]]
        pairs = [cut] if len(cut) == 2 else [[middles[k - 1], middles[k]] for k in range(4) if cut and inside[k]]
        for one, other in pairs:
            next_to.setdefault(one, []).append(other)
            next_to.setdefault(other, []).append(one)
    loops = []
    while next_to:
        loop = [next(iter(next_to))]
        while ways := [point for point in next_to.pop(loop[-1]) if point in next_to and point not in loop]:
            loop.append(ways[0])
        loops.append(np.array(loop))
    return loops


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box around a mask."""
    box = []
    for axis in range(mask.ndim):
        places = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(places[0], places[-1] + 1) if len(places) else slice(0, 0))
    return tuple(box)


def _codes(mask: np.ndarray) -> np.ndarray:
    """Return the code of the pixels around each corner, uint8 (*sides + 1); the first pixel is the highest bit."""
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([side + 1 for side in mask.shape], np.uint8)
    for offset in np.ndindex((2,) * mask.ndim):
        part = padded[tuple(slice(start, start + side) for start, side in zip(offset, codes.shape, strict=True))]
        codes = codes * np.uint8(2) | part
    return codes


def _to(border: np.ndarray, spacing: Sequence[float]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that measures from chosen corners to a border."""
    if not border.any():
        return lambda chosen: np.full(np.count_nonzero(chosen), np.inf)
    if border.ndim == 2 and spacing[0] == spacing[1]:
        import cv2

        far = cv2.distanceTransform((~border).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return lambda chosen: far[chosen].astype(np.float64) * spacing[0]
    from scipy import ndimage

    exact = ndimage.distance_transform_edt(~border, sampling=spacing)
    return lambda chosen: exact[chosen]


def _quantile(values: np.ndarray, sizes: np.ndarray, share: float) -> float:
    """Return the least value that has at least this share of the sizes at or below it."""
    if not len(values):
        return float("nan")
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(sizes[order])
    place = np.searchsorted(reached, share * reached[-1] * (1 - _ROUNDING))
    return float(values[order[place]])

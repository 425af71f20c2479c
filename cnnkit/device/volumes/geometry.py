"""Where the voxels of a volume are in the patient.

Design choices:
- Arrays are (z, y, x), as NumPy holds what files store: x varies fastest. An affine goes from these indices to millimetres in
  DICOM's system, LPS: to the patient's left, to the back, to the head. NIfTI's RAS is turned at its reader, and nowhere else.
- Two geometries are the same if no corner of the volume lies elsewhere by more than a part of a voxel. So rounding is no fault,
  whichever number of the matrix it is in, and a tilt that moves a far corner is one.
- A volume is turned by permutation and flips alone, so that there is an exact way back and no voxel is made up.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROUNDING = 0.05  # of the smallest side of a voxel: corners that lie apart by less are the same place
LEANING = 1e-3  # cosine between two axes: from here on they are not at right angles (0.06 degrees)

Matrix = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Turn:
    """A permutation of the three axes of an array and flips after it. Exact, both ways.

    Attributes:
        order: axis k of the result is axis `order[k]` of the array.
        flips: whether axis k of the result runs backwards.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Turn an array (z, y, x) or (z, y, x, channels); a view."""
        return array.transpose(*self.order, *range(3, array.ndim))[self._slices]

    def undo(self, array: np.ndarray) -> np.ndarray:
        """Turn an array back: `undo(apply(array))` is the array; a view."""
        return array[self._slices].transpose(*np.argsort(self.order), *range(3, array.ndim))

    def geometry(self, geometry: "Geometry") -> "Geometry":
        """Return the geometry of what `apply` returns of an array of `geometry`."""
        matrix = geometry.matrix[:, [*self.order, 3]].copy()
        shape = tuple(geometry.shape[axis] for axis in self.order)
        for axis, flip in enumerate(self.flips):
            if flip:
                matrix[:3, 3] += matrix[:3, axis] * (shape[axis] - 1)
                matrix[:3, axis] *= -1
        return Geometry.of(matrix, shape)


@dataclass(frozen=True)
class Geometry:
    """Where each voxel is.

    Attributes:
        affine: 4 x 4, from the index in the array (z, y, x, 1) to (left, posterior, superior, 1) in mm.
        shape: of the array, (z, y, x).
    """

    affine: Matrix
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, matrix: np.ndarray, shape: Sequence[int]) -> "Geometry":
        """Return the geometry of a matrix (4, 4) and a shape of three."""
        rows = tuple(tuple(float(value) + 0.0 for value in row) for row in np.asarray(matrix, float))
        return cls(rows, tuple(int(side) for side in shape))  # type: ignore[arg-type]

    @classmethod
    def plain(cls, shape: Sequence[int], spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> "Geometry":
        """Return a geometry along the patient's axes, from the origin; `spacing` in mm along (z, y, x)."""
        matrix = np.eye(4)
        matrix[:3, :3] = 0
        for axis, row in enumerate((2, 1, 0)):
            matrix[row, axis] = spacing[axis]
        return cls.of(matrix, shape)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The affine as an array, float64 (4, 4)."""
        return np.array(self.affine, float)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The distance of neighbouring voxels along (z, y, x), mm."""
        return tuple(float(size) for size in np.linalg.norm(self.matrix[:3, :3], axis=0))  # type: ignore[return-value]

    @property
    def direction(self) -> np.ndarray:
        """Where each array axis points in the patient: float64 (3, 3), a column of length 1 an axis, rows L, P, S."""
        return self.matrix[:3, :3] / np.linalg.norm(self.matrix[:3, :3], axis=0)

    @property
    def origin(self) -> tuple[float, float, float]:
        """Where the centre of the first voxel is: (left, posterior, superior), mm."""
        return tuple(float(value) for value in self.matrix[:3, 3])  # type: ignore[return-value]

    @property
    def millilitres(self) -> float:
        """The volume of one voxel, ml."""
        return float(abs(np.linalg.det(self.matrix[:3, :3]))) / 1000

    @property
    def leaning(self) -> float:
        """The largest cosine between two axes: 0 where all are at right angles."""
        return float(np.abs(np.triu(self.direction.T @ self.direction, 1)).max())

    def points(self, indices: np.ndarray) -> np.ndarray:
        """Return where indices (n, 3) are in the patient: float64 (n, 3), LPS mm."""
        return np.asarray(indices, float) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Return the indices, with fractions, of points (n, 3) in LPS mm: float64 (n, 3)."""
        return (np.asarray(points, float) - self.matrix[:3, 3]) @ np.linalg.inv(self.matrix[:3, :3]).T

    def corners(self) -> np.ndarray:
        """Return where the eight outermost voxels are: float64 (8, 3), LPS mm."""
        return self.points(np.array(list(itertools.product(*((0, side - 1) for side in self.shape)))))

    def apart(self, other: "Geometry") -> float:
        """Return how far apart the same voxel lies by two geometries of one shape, mm, at the corner where it is farthest."""
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())

    def same(self, other: "Geometry", tolerance: float = ROUNDING) -> bool:
        """Return whether each voxel lies in the same place, but for rounding.

        Args:
            other: a geometry.
            tolerance: of the smallest side of a voxel, that a corner may lie apart.
        """
        if self.shape != other.shape:
            return False
        # A side of one voxel shows no direction by its corners, so the axes are looked at as well.
        axes = np.linalg.norm(self.matrix[:3, :3] - other.matrix[:3, :3], axis=0).max()
        return max(self.apart(other), float(axes)) <= tolerance * min(self.spacing)

    def turn(self) -> Turn:
        """Return the turn after which the axes of the array run as nearly as can be to the head, to the back and to the left."""
        along = np.abs(self.direction)
        best = max(itertools.permutations(range(3)), key=lambda order: sum(along[2 - k, order[k]] for k in range(3)))
        flips = tuple(bool(self.direction[2 - k, best[k]] < 0) for k in range(3))
        return Turn(best, flips)  # type: ignore[arg-type]

    def canonical(self) -> "Geometry":
        """Return the geometry after `turn`."""
        return self.turn().geometry(self)

    def onto(self, other: "Geometry", tolerance: float = ROUNDING) -> tuple[Turn, tuple[int, int, int]] | None:
        """Return how an array of this geometry is laid on one of `other` without resampling; None where that cannot be.

        Returns:
            The turn, and the index in the other array of the first voxel of the turned one: (0, 0, 0) where it begins there. It
            may be negative, and the turned array may end behind the other.
        """
        steps = (
            np.linalg.inv(other.matrix[:3, :3]) @ self.matrix[:3, :3]
        )  # columns: axes of this one, in voxels of the other
        best = max(itertools.permutations(range(3)), key=lambda order: sum(abs(steps[k, order[k]]) for k in range(3)))
        turn = Turn(best, tuple(bool(steps[k, best[k]] < 0) for k in range(3)))  # type: ignore[arg-type]
        turned = turn.geometry(self)
        start = np.rint(other.indices(np.array([turned.origin]))[0])
        if not np.isfinite(start).all() or np.abs(start).max() > 2**31:
            return None
        moved = other.matrix.copy()
        moved[:3, 3] = other.points(start[None])[0]
        if not turned.same(Geometry.of(moved, turned.shape), tolerance):
            return None
        return turn, tuple(int(value) for value in start)  # type: ignore[return-value]


def to_reference(array: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, Geometry]:
    """Turn an array so that its axes run as nearly as can be to the head, to the back and to the left.

    Args:
        array: (z, y, x) or (z, y, x, channels).
        geometry: of it.

    Returns:
        A view of the array, and its geometry.
    """
    turn = geometry.turn()
    return turn.apply(array), turn.geometry(geometry)


def from_reference(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Turn an array back as it was before `to_reference`, where `geometry` is that of the array before; a view."""
    return geometry.turn().undo(array)

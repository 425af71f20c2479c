"""Views of volumes with masks: what a network sees in training; as `cnnkit.tasks.segmentation.views`, along three axes.

Design choices:
- Volume and mask are resampled once, together: a turn around each axis, a zoom, a bend, mirrors, the place of the window.
- A thick axis is not turned out of its plane: voxels that are three times as long as wide would be smeared over one another.
- Values are changed after that, and stay in [0, 255].
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnkit.tasks.segmentation.views import STILL_FOCUS, exchanged, middle_of_window

ACROSS = 2  # the axis from right to left
THICK = 2.5  # times as long as wide, from which voxels are not turned out of their plane


@dataclasses.dataclass(eq=False)
class VolumeViews:
    """Views of records: (indices, step) -> (volumes, code maps).

    Attributes:
        records: volumes with masks, as `VolumeRecords`; their plan says at which size of voxels they are seen.
        seed: of every random number.
        rotation: largest angle either way, degrees, around each axis.
        zoom: largest change of size either way, natural logarithm.
        elastic: standard deviation of the elastic displacement, voxels.
        smoothness: distance over which that changes, voxels.
        flips: axes along which half of the views are mirrored.
        focus: share of the views around a voxel of a label.
        gamma, contrast: largest changes either way, of the exponent (natural logarithm) and as a share.
        light: largest change of all values either way, of 255.
        noise: largest standard deviation of noise, of 255; in a share `often` of the views, as are the next two.
        blur: largest standard deviation of a blur, voxels.
        coarse: lowest resolution that a view is brought to and back from, as a share.
        often: the share of the views that have each of these.
        still: show each record always alike, and nothing of the above.
    """

    records: Any
    seed: int
    _: dataclasses.KW_ONLY
    rotation: float = 15.0
    zoom: float = 0.15
    elastic: float = 1.0
    smoothness: float = 16.0
    flips: tuple[int, ...] = ()
    focus: float = 0.33
    gamma: float = 0.25
    contrast: float = 0.2
    light: float = 15.0
    noise: float = 10.0
    blur: float = 0.8
    coarse: float = 0.6
    often: float = 0.15
    still: bool = False

    def __post_init__(self) -> None:
        self._swap = exchanged(self.records.label_names)
        crosses = self._swap is None
        self._flips = tuple(axis for axis in self.flips if not (crosses and axis == ACROSS))

    def __call__(self, indices: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Make the views of one step: float32 (b, d, h, w, c) in [0, 255], uint8 (b, d, h, w) codes."""
        *sides, channels = self.records.input_shape
        volumes = np.empty((len(indices), *sides, channels), np.float32)
        codes = np.empty((len(indices), *sides), np.uint8)
        for place, index in enumerate(np.asarray(indices).tolist()):
            rng = np.random.default_rng((self.seed, index) if self.still else (self.seed, step, place))
            volume, mask = self.records.seen(index)
            if self.still:
                volumes[place], codes[place] = self._window(volume, mask, index, sides, rng)
            else:
                volumes[place], codes[place] = self._moved(volume, mask, index, sides, rng)
                volumes[place] = self._light(volumes[place], rng)
        return volumes, codes

    def _window(
        self, volume: np.ndarray, mask: np.ndarray, index: int, sides: Sequence[int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a window as it is."""
        middle = self._middle(mask.shape, index, sides, rng)
        starts = [max(0, round(at - (side - 1) / 2)) for at, side in zip(middle, sides, strict=True)]
        box = tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))
        part, drawn = volume[box], mask[box]
        beyond = [(0, side - have) for side, have in zip(sides, drawn.shape, strict=True)]
        if not any(more for _, more in beyond):
            return part, drawn
        return np.pad(part, [*beyond, (0, 0)], mode="symmetric"), np.pad(drawn, beyond, mode="symmetric")

    def _moved(
        self, volume: np.ndarray, mask: np.ndarray, index: int, sides: Sequence[int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        from scipy import ndimage

        middle = self._middle(mask.shape, index, sides, rng)
        flips = tuple(axis for axis in self._flips if rng.random() < 0.5)
        matrix = self._matrix(rng) * math.exp(rng.uniform(-self.zoom, self.zoom))
        for axis in flips:
            matrix[:, axis] *= -1
        ways = [np.arange(side, dtype=np.float32) - (side - 1) / 2 for side in sides]
        grid = np.stack(np.meshgrid(*ways, indexing="ij"))
        if self.elastic:
            knots = [max(2, round(side / self.smoothness) + 2) for side in sides]
            bend = rng.normal(0, self.elastic, (3, *knots)).astype(np.float32)
            grid += _spread(bend, sides)
        at = np.tensordot(matrix.astype(np.float32), grid, 1)
        at += np.asarray(middle, np.float32)[:, None, None, None]
        low = [max(0, math.floor(float(axis.min())) - 1) for axis in at]
        high = [min(side, math.ceil(float(axis.max())) + 2) for axis, side in zip(at, mask.shape, strict=True)]
        if all(first < last for first, last in zip(low, high, strict=True)) and _inside(at, mask.shape):
            box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
            volume, mask = volume[box], mask[box]
            at -= np.asarray(low, np.float32)[:, None, None, None]
        seen = np.stack(
            [
                ndimage.map_coordinates(volume[..., k], at, np.float32, order=1, mode="reflect")
                for k in range(volume.shape[-1])
            ],
            axis=-1,
        )
        drawn = ndimage.map_coordinates(mask, at, np.uint8, order=0, mode="reflect")
        if ACROSS in flips and self._swap is not None:
            drawn = self._swap[drawn]
        return seen, drawn

    def _matrix(self, rng: np.random.Generator) -> np.ndarray:
        """Return a turn around each axis, float (3, 3), of voxels."""
        voxel = np.asarray(self.records.plan.voxel or (1.0, 1.0, 1.0))
        thick = voxel > THICK * voxel.min()
        matrix = np.eye(3)
        for axis in range(3):
            angle = math.radians(rng.uniform(-self.rotation, self.rotation))
            one, other = (k for k in range(3) if k != axis)
            if thick[one] != thick[other]:
                continue
            turn = np.eye(3)
            turn[[one, one, other, other], [one, other, one, other]] = (
                math.cos(angle),
                -math.sin(angle),
                math.sin(angle),
                math.cos(angle),
            )
            matrix = turn @ matrix
        return matrix * voxel[None, :] / voxel[:, None]  # turns are of mm

    def _middle(self, extent: Sequence[int], index: int, sides: Sequence[int], rng: np.random.Generator) -> list[float]:
        """Return where in a volume the middle of a view lies."""
        return middle_of_window(self.records, index, extent, sides, STILL_FOCUS if self.still else self.focus, rng)

    def _light(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change contrast, gamma, light; add what bad scans have."""
        from scipy import ndimage

        for channel in range(view.shape[-1]):
            part = view[..., channel]
            exponent = math.exp(rng.uniform(-self.gamma, self.gamma))
            part = 255 * (part / 255) ** exponent
            mean = float(part.mean())
            part = (part - mean) * (1 + rng.uniform(-self.contrast, self.contrast)) + mean
            part += rng.uniform(-self.light, self.light)
            if rng.random() < self.often:
                part = ndimage.gaussian_filter(part, rng.uniform(0, self.blur))
            if rng.random() < self.often:
                share = rng.uniform(self.coarse, 1)
                small = ndimage.zoom(part, share, order=1, mode="nearest", grid_mode=True)
                part = ndimage.zoom(small, np.divide(part.shape, small.shape), order=1, mode="nearest", grid_mode=True)
            if rng.random() < self.often:
                part = part + rng.normal(0, rng.uniform(0, self.noise), part.shape).astype(np.float32)
            view[..., channel] = part
        return np.clip(view, 0, 255)


def _inside(at: np.ndarray, extent: Sequence[int]) -> bool:
    """Return whether no place lies beyond a volume's edges, where it is mirrored."""
    return all(float(axis.min()) >= 0 and float(axis.max()) <= side - 1 for axis, side in zip(at, extent, strict=True))


def _spread(knots: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Return values at knots (3, *k) spread smoothly over sides: float32 (3, *sides)."""
    found = knots
    for axis, side in enumerate(sides, 1):
        place = np.linspace(0, found.shape[axis] - 1, side)
        low = np.minimum(place.astype(int), found.shape[axis] - 2)
        share = place - low
        share = (share * share * (3 - 2 * share)).astype(np.float32)  # smoothstep: no kinks at knots
        shape = [1] * found.ndim
        shape[axis] = side
        share = share.reshape(shape)
        found = found.take(low, axis) * (1 - share) + found.take(low + 1, axis) * share
    return found

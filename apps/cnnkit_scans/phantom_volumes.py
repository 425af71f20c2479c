"""Volumes of phantoms: grey boxes of voxels as from CT and MR, and what is where in them.

Design choices:
- A volume is a box around the organ of one patient, so that a window shows most of it: what the box leaves out costs time and
  tells nothing. The body is that of the slices (`cnnkit_scans.phantom_parts`), but for vessels, of which a few are grown wide
  enough to be some voxels across.
- Everything is drawn on a grid of planes about as far apart as pixels; slices are means of neighbouring planes. So a thick slice
  shows parts of what it cuts, and a mask holds what has most of a voxel.
- Voxels of each patient have a size of their own, and slices are up to twice as thick as pixels are wide.
- Volume p is a pure function of (seed, p): it is drawn when it is read, in any order, from any thread, and kept.
- Greys are those of the slices, seen through a window too, so CT and MR are of one range: a scan's own range is stretched anyway.
"""

import math
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from cnnkit.device.volumes.geometry import Geometry
from cnnkit_scans.phantom_parts import ANY, Body, Ellipsoid, Growth, Lesion, Tubes, body, grown
from cnnkit_scans.phantom_slices import LESION, ORGAN, VESSEL, Canvas, Look, look

SIDES = (40, 48)  # px of a slice, down and right
DEEP = 96.0  # mm, of all slices
PIXELS = (3.1, 3.5)  # mm
SLICES = (3.5, 4, 4, 4.5, 6)  # mm, of which each patient has one
MIDDLE = (-52.0, -6.0, 9.0)  # mm, of the box, about: right of the body's middle, where the organ is
WIDE = Growth(6, 3, (6.0, 7.0))
NOISE = 1.5  # times that of a slice

_BENT = 15.0  # mm, by which a shape may be larger than its radii, as space is bent

Voxels = np.ndarray
"""float32 (d, h, w), or a window of it."""

Window = tuple[slice, slice, slice]
_ALL = (slice(None),) * 3


class Box:
    """Where the voxels of a patient's volume are.

    Attributes:
        geometry: of the volume; axes run to the head, to the back and to the left.
        planes: that a slice is the mean of.
    """

    def __init__(self, seed: int, patient: int):
        rng = np.random.default_rng((seed, patient, 7))
        pixel, thick = rng.uniform(*PIXELS), float(rng.choice(SLICES))
        shape = (round(DEEP / thick), *SIDES)
        spacing = np.array([thick, pixel, pixel])
        made = body(seed, patient)
        middle = np.array([MIDDLE[2], MIDDLE[1] + made.shift[1], MIDDLE[0] + made.shift[0]]) + rng.uniform(-6, 6, 3)
        first = middle - spacing * (np.array(shape) - 1) / 2
        matrix = Geometry.plain(shape, spacing.tolist()).matrix.copy()
        matrix[:3, 3] = first[::-1]
        self.geometry = Geometry.of(matrix, shape)
        self.planes = max(1, round(thick / pixel))

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return z of the planes, y and x of the pixels, mm, float32."""
        (thick, pixel, _), (count, high, wide) = self.geometry.spacing, self.geometry.shape
        x, y, z = self.geometry.origin
        step = thick / self.planes
        heights = z - thick / 2 + step * (np.arange(count * self.planes) + 0.5)
        found = heights, y + pixel * np.arange(high), x + pixel * np.arange(wide)
        return tuple(axis.astype(np.float32) for axis in found)  # type: ignore[return-value]


class Scene:
    """Where everything is in a box.

    Attributes:
        x, y, z: of each place of the planes, as shapes are defined, mm, float32; they broadcast.
        organ, vessel: how much of each is of it: float32 (planes, h, w) in [0, 1].
        lesions: of each a window around it and the distance to its surface there, mm.
    """

    def __init__(self, made: Body, box: Box, tubes: Tubes):
        self.made, self.box = made, box
        self.pixel = box.geometry.spacing[1]
        z, y, x = box.axes()
        self._straight = made.turned(x[None, :], y[:, None])
        self.z = z[:, None, None]
        self.x, self.y, _ = made.bent(*self._straight, self.z)
        self._axes = z, y, x
        self.organ = self.soft(made.organ(self.x, self.y, self.z))
        self.vessel = self._tubes(tubes) * (self.organ > 0.5)
        self.lesions = [self.off(lesion) for lesion in made.lesions]

    @cached_property
    def codes(self) -> np.ndarray:
        """The code map of the slices: uint8 (d, h, w)."""
        shares = [self.sliced(part) for part in (self.organ, self.vessel)]
        codes = np.where(shares[0] > 0.5, np.uint8(ORGAN), np.uint8(0))
        codes[(shares[1] > 0.5) & (codes > 0)] = VESSEL
        for window, off in self.lesions:
            share = np.zeros_like(self.organ)
            share[window] = self.soft(off)
            codes[(self.sliced(share) > 0.5) & (codes > 0)] = LESION
        return codes

    def depth(self) -> Voxels:
        """Return how deep below the skin each place is, mm."""
        return self.made.depth(self.x, self.y)

    def sliced(self, planes: Voxels) -> Voxels:
        """Return the means of the planes of each slice."""
        return planes.reshape(-1, self.box.planes, *planes.shape[1:]).mean(1)

    def soft(self, off: Voxels, edge: float | None = None) -> Voxels:
        """Return how much of each place is inside, from the distance in mm, for a surface that is so thick, or a pixel."""
        return np.clip(0.5 - off * np.float32(1 / (edge or self.pixel)), 0, 1)

    def off(self, shape: Ellipsoid | Lesion) -> tuple[Window, Voxels]:
        """Return a window around a shape, and the distance to its surface there, mm; an empty one where it is outside."""
        a, b, c = shape.centre
        heights = self._axes[0]
        at = self.made.placed(a, b, np.clip(c, heights[0], heights[-1]))
        window = tuple(
            slice(*np.searchsorted(axis, (middle - reach, middle + reach)).tolist())
            for axis, middle, reach in zip(
                self._axes, (c, at[1], at[0]), (float(shape.reach[k]) + _BENT for k in (2, 1, 0)), strict=True
            )
        )
        assert len(window) == 3
        return window, shape.at(self.x[window], self.y[window], self.z[window[0]])

    def _tubes(self, tubes: Tubes) -> Voxels:
        """Return how much of each place is of a vessel."""
        z, y, x = self._axes
        right, down = self.made.placed(*tubes.centres.T)
        places = np.stack([tubes.centres[:, 2], down, right], 1)
        steps = np.array([z[1] - z[0], self.pixel, self.pixel])
        indices = (places - [z[0], y[0], x[0]]) / steps
        most = float(tubes.radii.max()) + self.pixel
        near = [np.arange(-math.ceil(most / step), math.ceil(most / step) + 1) for step in steps]
        around = np.stack(np.meshgrid(*near, indexing="ij"), -1).reshape(-1, 3)
        sides = np.array(self.organ.shape)
        seen = ((indices > -near[0][-1]) & (indices < sides + near[0][-1])).all(1)
        indices, radii = indices[seen], tubes.radii[seen]
        nearest = np.rint(indices).astype(np.int64)
        at = nearest[:, None] + around[None]
        far = np.sqrt((np.square((at - indices[:, None]) * steps)).sum(-1)) - radii[:, None]
        inside = ((at >= 0) & (at < sides)).all(-1) & (far < self.pixel)
        off = np.full(self.organ.size, 2 * self.pixel, np.float32)
        np.minimum.at(off, np.ravel_multi_index(tuple(at[inside].T), self.organ.shape), far[inside].astype(np.float32))
        return self.soft(off.reshape(self.organ.shape))


class _Canvas(Canvas):
    """Paints the planes of a box as it does a slice."""

    def __init__(self, seen: Scene, shown: Look):
        self.edge = 1.5 * seen.pixel
        super().__init__(seen, shown)

    def soft(self, off: Voxels, edge: float | None = None) -> Voxels:
        return self.seen.soft(off, edge)

    def paint(self, share: Voxels, value: float | Voxels, window: Window = _ALL) -> None:
        under = self.page[window]
        under += share * (np.float32(value) - under)

    def within(self, value: float | Voxels, window: Window) -> float | Voxels:
        return value[window[0]] if isinstance(value, np.ndarray) else value

    def table(self) -> None: ...  # lies outside of the box

    def gas(self) -> None: ...

    def lungs(self) -> None:
        seen = self.seen
        lungs = self.cavity * seen.soft(-self.made.domes(seen.x, seen.y, seen.z))
        window, off = seen.off(self.made.shapes["mediastinum"])
        lungs[window] *= seen.soft(-off)
        self.paint(lungs * (seen.z > 0), self.grey["lung"])

    def ribs(self) -> None:
        """Paint the ribs of the right: those of the left lie outside of the box."""
        made, scene = self.made, self.seen
        a, b = made.half
        x, y = scene._straight
        for turn, rise, long in made.ribs.tolist():
            turns = turn + rise * scene.z
            right, down = -np.cos(turns), np.sin(turns)
            far = made.skin(right, down) - made.fat - 0.5 * made.wall
            tilt = np.arctan2(down * a * a, right * b * b) + math.pi / 2
            u, v = x - right * far, y - down * far
            c, s = np.cos(tilt), np.sin(tilt)
            away = np.sqrt(np.square((c * u + s * v) / long) + np.square((c * v - s * u) / 4.6))
            off = ((away - 1) * 4.6).astype(np.float32)
            seen = (turns > -1.1) & (turns < 1.35)
            self.paint(scene.soft(off) * seen, self.grey["bone"])
            self.paint(scene.soft(off + 2.2) * seen, self.grey["marrow"])


class Drawn(NamedTuple):
    volume: np.ndarray
    """uint8 (d, h, w, 1), grey in [0, 255]."""
    codes: np.ndarray
    """uint8 (d, h, w), the code map."""


def draw(seed: int, patient: int) -> Drawn:
    """Draw the volume of a patient; nothing of it is to be written to."""
    made, box, shown = body(seed, patient, ANY), Box(seed, patient), look(seed, patient)
    scene = Scene(made, box, grown(np.random.default_rng((seed, patient, 8)), made, WIDE))
    page = scene.sliced(_Canvas(scene, shown).page)
    rng = np.random.default_rng((seed, patient, 9))
    page *= 1 + 0.04 * _smooth(rng, page.shape, 4)  # no tissue is the same everywhere
    page = _scanned_ct(page, shown, rng) if shown.ct else _scanned_mr(page, shown, rng)
    found = Drawn(page[..., None], scene.codes)
    for part in found:
        part.flags.writeable = False
    return found


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], knots: int) -> Voxels:
    """Return noise that changes over so many voxels: float32, of about unit variance at its knots."""
    deep, high, wide = shape
    coarse = rng.standard_normal((deep // knots + 2, high // knots + 1, wide // knots + 1), np.float32)
    large = np.stack([cv2.resize(part, (wide, high), interpolation=cv2.INTER_CUBIC) for part in coarse])
    place = np.linspace(0, len(large) - 1.001, deep, dtype=np.float32)
    low = place.astype(int)
    share = (place - low)[:, None, None]
    found: Voxels = large[low] * (1 - share) + large[low + 1] * share
    return found


def _blurred(voxels: Voxels, sigma: float) -> Voxels:
    """Blur every slice in its plane; px."""
    return np.stack([cv2.GaussianBlur(part, (0, 0), sigma) for part in voxels])


def _scanned_ct(page: Voxels, shown: Look, rng: np.random.Generator) -> np.ndarray:
    page = _blurred(np.clip(page, -60, 500), 0.5)
    noise = (_blurred(rng.standard_normal(page.shape, np.float32), 0.6)) * np.float32(2.2 * NOISE)
    if shown.streaks:  # between dense bones few rays arrive
        rows = rng.standard_normal((len(page), page.shape[1], 3), np.float32)
        streaks = [cv2.resize(part, page.shape[:0:-1], interpolation=cv2.INTER_CUBIC) for part in rows]
        noise += np.stack(streaks) * np.float32(shown.streaks / shown.noise)
    return np.clip(np.rint(page + shown.noise * noise), 0, 255).astype(np.uint8)


def _scanned_mr(page: Voxels, shown: Look, rng: np.random.Generator) -> np.ndarray:
    page = _blurred(page, 0.45)
    z, y, x = (
        np.linspace(-1, 1, side, dtype=np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        for axis, side in enumerate(page.shape)
    )
    a, b, c, d, e = shown.bias.tolist()
    page *= np.exp(a * x + b * y + c * z + d * (x * x - 0.3) + e * (y * y - 0.3))
    if shown.ghost:  # breathing, along the direction of phase
        page += shown.ghost * np.roll(page, page.shape[1] // 5, 1) - 0.5 * shown.ghost * page
    real, other = (rng.standard_normal(page.shape, np.float32) * np.float32(NOISE * shown.noise) for _ in range(2))
    return np.clip(np.rint(np.hypot(page + real, other)), 0, 255).astype(np.uint8)

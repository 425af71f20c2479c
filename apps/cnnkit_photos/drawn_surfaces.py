"""Drawn surfaces of rolled metal with six kinds of defects, as a camera over an inspection line sees them. The embedded data set.

Design choices:
- The kinds are those that steel mills tell apart, called as in the NEU surface data set (Song and Yan 2013), so that a model of
  drawn surfaces can be scored on real ones. The drawings are cnnkit's own.
- Picture k is a pure function of (seed, k): drawn when it is read, in any order, from any thread, in some ms. All are kept while
  they fit into `KEPT` bytes, as a training comes to each many times.
- Ground, light, focus and noise are drawn first and alike for all kinds, so that they tell nothing. Dust, bands and rims are on
  all kinds too, and other faint marks. Some defects are faint or small: these are the hard ones.
- The fingerprint is of the parameters and `VERSION`, not of the pixels, which another release of OpenCV or NumPy may round
  otherwise. A change that one can see in the pictures needs another `VERSION`.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

import cnnkit

VERSION = 1
SIDE = 200  # px
KEPT = 1 << 26  # bytes
SHIFT = 4  # bits behind the point of a place

Rng = np.random.Generator


def draw(seed: int, index: int) -> np.ndarray:
    """Draw picture `index`: uint8 (200, 200), grey in [0, 255]; it shows `LABELS[index % 6]`."""
    rng = np.random.default_rng((seed, index))
    level, light = rng.uniform(55, 200), _light(rng)
    surface = _ground(rng)
    for _ in range(rng.poisson(1.5)):
        _dust(rng, surface)
    strength = float(rng.beta(1.6, 2.0))  # from hard to see to plain
    contrast = 0.5 + level / 200  # dark metal shows less
    surface += contrast * _KINDS[LABELS[index % len(LABELS)]](rng, strength)
    if rng.random() < 0.25:
        surface += 0.3 * contrast * _inclusion(rng, 0.0)
    surface = (level + surface) * light
    focus = rng.uniform(-0.6, 1.3)  # not often soft
    if focus > 0.3:
        surface = cv2.GaussianBlur(surface, (0, 0), focus)
    surface += rng.uniform(1, 6) * _noise(rng)
    return np.clip(surface, 0, 255).astype(np.uint8)


# What all surfaces have -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _spreading(cells: int) -> np.ndarray:
    """Return the weights of cells at each pixel of a side, by cubic B-splines: float32 (200, cells + 3)."""
    place = (np.arange(SIDE) + 0.5) * cells / SIDE
    far = np.abs(place[:, None] + 1 - np.arange(cells + 3))
    near = 2 / 3 - far**2 + far**3 / 2
    return np.where(far < 1, near, np.clip(2 - far, 0, None) ** 3 / 6).astype(np.float32)


def _cloud(rng: Rng, down: int, across: int) -> np.ndarray:
    """Return smooth noise float32 (200, 200) of about mean 0 and deviation 1, from so many cells along each axis."""
    coarse = rng.standard_normal((down + 3, across + 3), np.float32)
    rows = np.einsum("yc,ca->ya", _spreading(down), 2.1 * coarse)  # not by `@`, whose threads wait for one another
    return np.einsum("ya,xa->yx", rows, _spreading(across))


def _noise(rng: Rng) -> np.ndarray:
    """Return noise of deviation 1, float32 (200, 200). Bytes are drawn much faster than normal numbers."""
    return (np.frombuffer(rng.bytes(SIDE * SIDE), np.uint8).reshape(SIDE, SIDE).astype(np.float32) - 127.5) / 73.9


def _grain(rng: Rng, across: float, down: float) -> np.ndarray:
    """Return noise of deviation 1 with grains of such a size, px (standard deviation of a Gaussian along each axis)."""
    noise = cv2.GaussianBlur(_noise(rng), (0, 0), sigmaX=across, sigmaY=down)
    return noise / max(float(noise.std()), 1e-6)


def _ground(rng: Rng) -> np.ndarray:
    """Return a surface without defects, float32 around 0: rolled along the picture, with bands, grain and shade."""
    surface = rng.uniform(1, 7) * _grain(rng, rng.uniform(0.4, 1.2), rng.uniform(2, 14))
    surface += rng.uniform(1, 16) * _grain(rng, *rng.uniform(0.5, 1.8, 2))
    surface += rng.uniform(0, 9) * _cloud(rng, 1, int(rng.integers(4, 24)))
    surface += rng.uniform(0, 12) * _cloud(rng, 3, 3)
    if rng.random() < 0.12:  # past the rim of the strip, or a step of its coating
        edge = rng.uniform(0.02, 0.25) * SIDE + 2 * _cloud(rng, 8, 1)[:, :1]
        beyond = np.arange(SIDE)[None, :: rng.choice([-1, 1])] < edge
        surface += rng.uniform(-40, 60) * cv2.GaussianBlur(beyond.astype(np.float32), (0, 0), 1)
    return surface


def _light(rng: Rng) -> np.ndarray:
    """Return by how much light falls on each place, float32 (200, 200) around 1: brighter to one side."""
    along = np.linspace(-1, 1, SIDE, dtype=np.float32)
    angle, fall = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.3)
    return rng.uniform(0.7, 1.15) + fall * (math.cos(angle) * along + math.sin(angle) * along[:, None])


def _dust(rng: Rng, surface: np.ndarray) -> None:
    centre = tuple(rng.integers(0, SIDE << SHIFT, 2).tolist())
    spot = np.zeros_like(surface)
    cv2.circle(spot, centre, int(rng.uniform(0.6, 2.2) * (1 << SHIFT)), 1.0, cv2.FILLED, cv2.LINE_8, SHIFT)
    surface += rng.uniform(-45, 45) * cv2.GaussianBlur(spot, (0, 0), 0.7)


# Kinds of defects: (rng, strength in [0, 1]) -> what is added to the surface, float32 (200, 200) ----------------------


def _lines(page: np.ndarray, points: np.ndarray, width: int, value: float = 1.0) -> None:
    places = np.round(points * (1 << SHIFT)).astype(np.int32)
    cv2.polylines(page, [places], False, value, width, cv2.LINE_8, SHIFT)


def _somewhere(rng: Rng, share: float) -> np.ndarray:
    """Return where a defect that lies all over is seen, float32 (200, 200) in [0, 1]: on about such a share of the surface."""
    cloud = _cloud(rng, 3, 3)
    least = np.quantile(cloud[::8, ::8], 1 - share)
    return np.clip((cloud - least) * 2.5 + 0.5, 0, 1)


def _crazing(rng: Rng, strength: float) -> np.ndarray:
    """A net of fine cracks, which wander and branch."""
    page = np.zeros((SIDE, SIDE), np.float32)
    lie = rng.normal(0, 0.5)  # they lie across the direction of rolling
    for _ in range(rng.integers(22, 70)):
        place, angle = rng.uniform(-10, SIDE + 10, 2), lie + rng.normal(0, 0.5)
        steps, bends = rng.uniform(2, 5, 14), rng.normal(0, 0.55, 14)
        angles = angle + np.cumsum(bends) * 0.7
        path = np.stack([np.cos(angles), np.sin(angles)], 1) * steps[:, None]
        points = place + np.cumsum(path, 0)
        length = int(rng.integers(4, 15))
        depth = rng.uniform(0.4, 1)
        _lines(page, points[:length], 1, depth)
        if rng.random() < 0.5:  # a branch turns off
            turn = (
                np.array([[0.5, -0.87], [0.87, 0.5]]) if rng.random() < 0.5 else np.array([[0.5, 0.87], [-0.87, 0.5]])
            )
            at = int(rng.integers(1, length))
            _lines(page, points[at] + np.cumsum(path[: length // 2 + 1] @ turn, 0), 1, 0.7 * depth)
    page = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.5, 0.9))
    return -(36 + 75 * strength) * page * (0.35 + 0.65 * _somewhere(rng, rng.uniform(0.5, 1)))


def _inclusion(rng: Rng, strength: float) -> np.ndarray:
    """Dark spindles, drawn out by rolling, a few beside and below one another."""
    page = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(rng.integers(1, 4)):
        column, spread = rng.uniform(0.08, 0.92) * SIDE, rng.uniform(2, 12)
        middle, far = rng.uniform(0.1, 0.9) * SIDE, rng.uniform(15, 70)
        for _ in range(rng.integers(1, 7)):
            centre = rng.normal(column, spread), rng.normal(middle, far)
            axes = rng.uniform(0.8, 3.2), rng.uniform(4, 22)
            whole = [tuple(int(v * (1 << SHIFT)) for v in pair) for pair in (centre, axes)]
            cv2.ellipse(page, *whole, rng.normal(0, 4), 0, 360, rng.uniform(0.5, 1), cv2.FILLED, cv2.LINE_8, SHIFT)
    page = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.6, 1.4), sigmaY=rng.uniform(1, 3))
    return -(25 + 70 * strength) * page


def _patches(rng: Rng, strength: float) -> np.ndarray:
    """Large blots with ragged edges, longer along the direction of rolling."""
    across = int(rng.integers(3, 7))
    cloud = (
        _cloud(rng, max(2, across - int(rng.integers(0, 3))), across)
        + 0.2 * _cloud(rng, 16, 22)
        + 0.12 * _grain(rng, 1, 1)
    )
    least = np.quantile(cloud[::8, ::8], rng.uniform(0.6, 0.92))
    blots = np.clip((cloud - least) * rng.uniform(1, 5), 0, 1)
    return -(28 + 75 * strength) * blots * (1 + 0.12 * _grain(rng, 0.8, 0.8))


def _pitted(rng: Rng, strength: float) -> np.ndarray:
    """Many small round pits, lit from a side: dark with a bright rim."""
    size = rng.uniform(1, 2.6)
    noise = _grain(rng, size, size * rng.uniform(1, 1.25))
    pits = np.clip((noise - rng.uniform(0.5, 1.6)) * 2, 0, 1) * _somewhere(rng, rng.uniform(0.25, 1))
    if rng.random() < 0.5:  # some ran together
        large = _grain(rng, 2 * size, 2.4 * size)
        pits = np.maximum(pits, np.clip((large - 2) * 2, 0, 1) * rng.uniform(0.6, 1))
    right, down = (1 if rng.random() < 0.5 else -1), (1 if rng.random() < 0.5 else -1)
    rims = np.maximum(np.roll(pits, (2 * down, 2 * right), (0, 1)) - pits, 0)
    return (22 + 65 * strength) * (rng.uniform(0, 0.5) * rims - pits)


def _scale(rng: Rng, strength: float) -> np.ndarray:
    """Flecks of scale that were rolled in: short, across the direction of rolling, dark above and bright below, in clumps."""
    size = rng.uniform(0.9, 1.5)
    noise = _grain(rng, size * rng.uniform(2.2, 3.6), size)
    where = _somewhere(rng, rng.uniform(0.25, 0.8))
    flecks = np.clip((noise - rng.uniform(1.1, 1.7)) * 1.6, 0, 1) * where
    turned = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.normal(0, 14), 1)
    flecks = cv2.warpAffine(flecks, turned, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
    bright = np.roll(flecks, int(rng.integers(2, 4)), 0)
    return (32 + 85 * strength) * (rng.uniform(0.2, 0.7) * np.maximum(bright - flecks, 0) - flecks)


def _scratches(rng: Rng, strength: float) -> np.ndarray:
    """Long lines, nearly straight, mostly along the direction of rolling, mostly bright; worn in places."""
    page = np.zeros((SIDE, SIDE), np.float32)
    lie = 0.0 if rng.random() < 0.75 else rng.uniform(-math.pi / 2, math.pi / 2)
    middle = rng.uniform(0.1, 0.9, 2) * SIDE
    for _ in range(rng.integers(1, 7)):
        angle = lie + rng.normal(0, 0.06)
        along, across = np.array([math.sin(angle), math.cos(angle)]), np.array([math.cos(angle), -math.sin(angle)])
        start, length = rng.uniform(-0.6, -0.1), rng.uniform(0.4, 1.4)
        t = np.linspace(start, start + length, 9)[:, None]
        points = (
            middle + rng.normal(0, 22) * across + SIDE * t * along + 18 * rng.normal(0, 0.5) * (t - start) ** 2 * across
        )
        _lines(page, points, 1 + int(rng.integers(0, 3)) ** 2 // 2 if rng.random() < 0.85 else int(rng.integers(4, 12)),
               rng.uniform(0.4, 1))  # fmt: skip
    page = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.4, 0.8))
    worn = np.clip(1 + 0.4 * _cloud(rng, int(rng.integers(2, 40)), 3), 0.2, 1.3)
    return (1 if rng.random() < 0.8 else -1) * (34 + 100 * strength) * page * worn


_KINDS: dict[str, Callable[[Rng, float], np.ndarray]] = {
    "crazing": _crazing,
    "inclusion": _inclusion,
    "patches": _patches,
    "pitted_surface": _pitted,
    "rolled-in_scale": _scale,
    "scratches": _scratches,
}
LABELS = tuple(_KINDS)


# Data -----------------------------------------------------------------------------------------------------------------


class Surfaces(cnnkit.ImageSource):
    """Pictures of each kind in turn: picture k shows `LABELS[k % 6]`.

    Args:
        each: pictures of each kind.
        seed: another seed, other pictures.
    """

    def __init__(self, each: int, seed: int = 0):
        super().__init__(shape=(SIDE, SIDE, 1))
        self._each, self._seed = each, seed
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._each * len(LABELS)

    def codes(self) -> np.ndarray:
        """Return which of `LABELS` each picture shows: int32 (n,)."""
        return np.tile(np.arange(len(LABELS), dtype=np.int32), self._each)

    def native(self, index: int) -> np.ndarray:
        """Draw picture `index`: uint8 (200, 200), grey in [0, 255], not to be written to."""
        found = self._kept.get(index)
        if found is None:
            found = draw(self._seed, index)
            found.flags.writeable = False
            if len(self) * found.nbytes <= KEPT:
                self._kept[index] = found
        return found

    def name(self, index: int) -> str:
        return f"drawn-surfaces[{index}]"

    def digest(self, indices: np.ndarray, add: Callable[[object], None]) -> None:
        add(repr(("drawn surfaces", VERSION, self._seed)).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


def read(request: cnnkit.Request) -> cnnkit.Part:
    """Surfaces that are drawn when they are read; the options say how many of each kind, and from which seed."""
    pictures = Surfaces(request.whole("each", 200, 1, 100_000), request.whole("seed", 0, 0, 2**32 - 1))
    return cnnkit.Part(pictures, pictures.codes(), LABELS)


DRAWN_SURFACES = cnnkit.Reader(read, "classification", options=frozenset(["each", "seed"]))

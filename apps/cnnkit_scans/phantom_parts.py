"""The body of a phantom: smooth shapes in space, which a plane cuts.

Design choices:
- A body is a 3-D object in mm: x from the patient's right to the left (as a radiologist sees them, right on the left of the
  picture), y from front to back, z from foot to head, 0 in the middle of the organ. A slice is what a plane of constant z cuts;
  more planes make a volume of the same body.
- Shapes are functions of (x, y, z) that are about the distance to their surface, negative inside, so that they can be joined
  smoothly, cut out of one another and drawn with soft edges. Vessels are balls along curves: a plane cuts each in a disc.
- Positions are bent by a few smooth waves before shapes are asked, so no organ is an ellipsoid.
- What is drawn of a patient comes from streams of random numbers of its own; nothing is drawn that is not asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

LEAST = 6.0  # mm, of the disc that a plane cuts from a lesion: of less there is nothing to see
SPAN = (-36.0, 56.0)  # mm, the heights at which a body is cut
SLAB = 5.0  # mm, the thickness of a slice

Coordinates = tuple[Any, Any, Any]
"""x, y and z in mm, numbers or arrays that broadcast."""


class Ellipsoid(NamedTuple):
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]

    @property
    def reach(self) -> tuple[float, float, float]:
        return self.radii

    def at(self, x: Any, y: Any, z: Any) -> Any:
        """Return about the distance to the surface, mm, negative inside."""
        (a, b, c), (u, v, w) = self.centre, self.radii
        far = np.sqrt(np.square((x - a) / u) + np.square((y - b) / v) + np.square((z - c) / w))
        return (far - 1) * min(u, v)


def joined(parts: Sequence[Any], blend: float) -> Any:
    """Return the union of shapes, smooth over `blend` mm where they meet."""
    if len(parts) == 2:
        one, other = parts
        near = np.maximum(blend - np.abs(one - other), 0)
        return np.minimum(one, other) - np.square(near) / (4 * blend)
    return joined([joined(parts[:2], blend), *parts[2:]], blend)


class Disease(NamedTuple):
    """How many lesions patients have, and how large they are."""

    shares: tuple[float, float, float]
    """Of patients with none, with at most one, with at most two; there are never more than three."""
    radius: tuple[float, float]
    """mm, least and most."""


class Growth(NamedTuple):
    """What trees of vessels are like."""

    trees: int
    generations: int
    radius: tuple[float, float]
    """mm at the root, least and most."""


FINE = Growth(12, 5, (3.5, 4.2))

ANY = Disease((0.1, 0.34, 0.68), (9.5, 25))
PLAIN = Disease((0.3, 0.9, 1), (13, 23))


class Lesion(NamedTuple):
    centre: tuple[float, float, float]
    radius: float
    waves: np.ndarray
    """float (k, 5): direction of a bump on the surface (3), its phase, its height as a part of the radius."""
    stretch: tuple[float, float, float]

    @property
    def reach(self) -> tuple[float, float, float]:
        """Along each axis, with the bumps, mm."""
        return (1.5 * self.radius,) * 3

    def disc(self, z: float) -> float:
        """Return the radius, mm, of what the plane at z cuts; 0 where it passes by."""
        return math.sqrt(max(self.radius**2 - ((z - self.centre[2]) / self.stretch[2]) ** 2, 0))

    def at(self, x: Any, y: Any, z: Any) -> Any:
        """Return about the distance to the surface, mm, negative inside."""
        u, v, w = (
            (value - middle) / by for value, middle, by in zip((x, y, z), self.centre, self.stretch, strict=True)
        )
        bumps = sum(
            high * np.sin((u * a + v * b + w * c) / self.radius + phase) for a, b, c, phase, high in self.waves.tolist()
        )
        return np.sqrt(u * u + v * v + w * w) - self.radius * (1 + bumps)


class Tubes(NamedTuple):
    """Balls along the curves of vessels."""

    centres: np.ndarray
    """float (n, 3), mm."""
    radii: np.ndarray
    """float (n,), mm."""

    def cut(self, z: float) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y, (k, 2), and the radii, (k,), of the discs in a slab around the plane at z."""
        off = np.maximum(np.abs(self.centres[:, 2] - z) - SLAB / 2, 0)
        hit = off < 0.9 * self.radii
        return self.centres[hit, :2], np.sqrt(self.radii[hit] ** 2 - off[hit] ** 2)


@dataclass
class Body:
    """A patient. Lengths in mm.

    Attributes:
        seed: of what is drawn later.
        half: half of the body's width and depth.
        fat, wall: thickness of the fat below the skin, and of the muscles around the cavity.
        shift, roll: how the patient lies: (x, y), and radians.
        waves: float (k, 6), what bends space: direction (3) as radians a mm, phase, and by how much x and y are moved.
        shapes: by name.
        gut: loops of the bowel, and what is in each, from 0 to 1.
        ribs: float (k, 3): angle in radians, how far it turns by mm of height, and length of each pair.
        lesions: in the organ.
        spared: places where a lesion might as well be, and is none.
    """

    seed: tuple[int, ...]
    half: tuple[float, float]
    fat: float
    wall: float
    shift: tuple[float, float]
    roll: float
    waves: np.ndarray
    shapes: dict[str, Ellipsoid]
    dome: float
    gut: list[tuple[Ellipsoid, float]] = field(default_factory=list)
    ribs: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    lesions: list[Lesion] = field(default_factory=list)
    spared: list[Lesion] = field(default_factory=list)

    @cached_property
    def vessels(self) -> Tubes:
        """The vessels of the organ."""
        return grown(np.random.default_rng((*self.seed, 2)), self, FINE)

    def turned(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return where places of the picture would be in a body that lies straight."""
        x, y = x - self.shift[0], y - self.shift[1]
        c, s = math.cos(self.roll), math.sin(self.roll)
        return c * x + s * y, c * y - s * x

    def bent(self, x: Any, y: Any, z: Any) -> Coordinates:
        """Return where the shapes are asked about a place of a body that lies straight."""
        u, v = x, y
        for a, b, c, phase, right, down in self.waves.tolist():
            wave = np.sin(a * x + b * y + (c * z + phase))
            u, v = u + right * wave, v + down * wave
        return u, v, z

    def placed(self, x: Any, y: Any, z: Any) -> tuple[Any, Any]:
        """Return x and y in the picture of places of the body; the inverse of bending and turning."""
        u, v = x, y
        for _ in range(3):
            du, dv, _ = self.bent(u, v, z)
            u, v = x - (du - u), y - (dv - v)
        c, s = math.cos(self.roll), math.sin(self.roll)
        return c * u - s * v + self.shift[0], s * u + c * v + self.shift[1]

    def depth(self, x: Any, y: Any) -> Any:
        """Return about how deep below the skin a place is, mm, negative outside."""
        a, b = self.half
        x, y = np.abs(x / a), np.abs(y / b)
        far = np.power(x * x * np.sqrt(x) + y * y * np.sqrt(y), 0.4)  # rounder than a box, squarer than an ellipse
        return (1 - far) * (0.5 * (a + b))

    def skin(self, right: Any, down: Any) -> Any:
        """Return how far the skin is from the middle in a direction, mm."""
        return (np.abs(right / self.half[0]) ** 2.5 + np.abs(down / self.half[1]) ** 2.5) ** -0.4

    def cavity(self, x: Any, y: Any) -> Any:
        """Return about the distance to the wall of the cavity, negative inside."""
        return self.fat + self.wall - self.depth(x, y)

    def domes(self, x: Any, y: Any, z: Any) -> Any:
        """Return about the distance to the diaphragm, negative below it; the lungs are above."""
        part = np.sqrt(np.maximum((self.dome - z) / 75, 1e-4))
        sides = [(np.sqrt(np.square((x - way * 64) / 66) + np.square((y - 2) / 80)) - part) * 60 for way in (-1, 1)]
        sides[1] = sides[1] + 6  # the left one is lower
        return joined(sides, 20)

    def organ(self, x: Any, y: Any, z: Any) -> Any:
        """Return about the distance to the surface of the organ, negative inside."""
        parts = [self.shapes[name].at(x, y, z) for name in ("right lobe", "left lobe", "tail")]
        lobes = joined(parts, 14)
        around = [-4 - self.cavity(x, y), -3 - self.domes(x, y, z)]
        around += [self.shapes[name].at(x, y, z) - 3 for name in ("gall bladder", "right kidney", "cava", "spine")]
        for other in around:
            lobes = -joined((-lobes, other), 10)  # rounded, so that nothing thin is left at an edge or between two
        return lobes


@lru_cache(maxsize=1024)
def body(seed: int, patient: int, disease: Disease = ANY) -> Body:
    """Return a patient, always the same for the same numbers."""
    rng = np.random.default_rng((seed, patient, 0))
    size = rng.uniform(0.92, 1.06)
    half = (rng.uniform(136, 154) * size, rng.uniform(100, 114) * size)
    waves = np.empty((4, 6))
    waves[:, :3] = rng.normal(size=(4, 3)) * [0.022, 0.022, 0.016]
    waves[:, 3] = rng.uniform(0, 2 * math.pi, 4)
    waves[:, 4:] = rng.normal(0, 3, (4, 2))
    made = Body(
        seed=(seed, patient),
        half=half,
        fat=rng.uniform(7, 17),
        wall=rng.uniform(8, 11),
        shift=(rng.normal(0, 4), rng.normal(-6, 3)),
        roll=rng.normal(0, 0.04),
        waves=waves,
        shapes=_shapes(rng, size, half),
        dome=rng.uniform(78, 96),
    )
    made.gut = _gut(rng, made)
    turn, step = rng.uniform(0, 0.3), rng.uniform(0.40, 0.5)
    made.ribs = np.stack([turn - 0.9 + step * np.arange(6), rng.normal(0.008, 0.0006, 6), rng.uniform(11, 16, 6)], 1)
    made.lesions, made.spared = _lesions(np.random.default_rng((seed, patient, 1)), made, disease)
    return made


def _shapes(rng: np.random.Generator, size: float, half: tuple[float, float]) -> dict[str, Ellipsoid]:
    width, depth = half[0] / 145, half[1] / 107

    def near(x: float, y: float, z: float, u: float, v: float, w: float, spread: float = 4) -> Ellipsoid:
        x, y, z = (value + rng.normal(0, spread) for value in (x * width, y * depth, z * size))
        u, v, w = (value * size * rng.uniform(0.9, 1.1) for value in (u, v, w))
        return Ellipsoid((x, y, z), (u, v, w))

    spine = Ellipsoid((rng.normal(0, 2), 48 * depth, 0), (21 * size, 17 * size, 1e6))
    back = spine.centre[1]
    aorta, cava = rng.uniform(9, 12), rng.uniform(9, 13)
    return {
        "right lobe": near(-72, -2, 6, 68, 74, 100),
        "left lobe": near(-20, -44, 6, 56, 30, 50, 5),
        "tail": near(-84, 16, -30, 36, 42, 60, 5),
        "spleen": near(90, 24, 14, 34, 46, 58),
        "stomach": near(62, -20, 20, 40, 36, 52, 5),
        "right kidney": near(-58, 44, -52, 25, 28, 50),
        "left kidney": near(62, 44, -40, 25, 28, 50),
        "gall bladder": near(-34, -22, -40, 14, 22, 24, 5),
        "pancreas": near(20, -8, -22, 46, 10, 15, 5),
        "heart": near(18, -26, 86, 58, 46, 52),
        "mediastinum": Ellipsoid((4, -8, 0), (22 * size, 66 * depth, 1e6)),
        "spine": spine,
        "canal": Ellipsoid((spine.centre[0], back + 25 * size, 0), (9.5 * size, 8 * size, 1e6)),
        "process": Ellipsoid((spine.centre[0], back + 42 * size, 0), (6 * size, 13 * size, 1e6)),
        "left back": Ellipsoid((32 * size, back + 26 * size, 0), (26 * size, 19 * size, 1e6)),
        "right back": Ellipsoid((-32 * size, back + 26 * size, 0), (26 * size, 19 * size, 1e6)),
        "aorta": Ellipsoid((rng.normal(12, 3), back - 17 * size - aorta, 0), (aorta, aorta, 1e6)),
        "cava": Ellipsoid((rng.normal(-20, 2), back - 16 * size - cava, 0), (cava * 1.15, cava, 1e6)),
    }


def _gut(rng: np.random.Generator, made: Body) -> list[tuple[Ellipsoid, float]]:
    half = made.half
    loops = []
    for _ in range(24):
        x, y, z = rng.uniform(-0.45, 0.72) * half[0], rng.uniform(-0.62, 0.2) * half[1], rng.uniform(-88, -16)
        u, v, w = rng.uniform(11, 19, 3).tolist()
        content = rng.random()
        if made.organ(x, y, z) > 0.8 * max(u, v):
            loops.append((Ellipsoid((x, y, z), (u, v, 1.4 * w)), content))
    return loops


def _lesions(rng: np.random.Generator, made: Body, disease: Disease) -> tuple[list[Lesion], list[Lesion]]:
    """Place up to three lesions deep in the organ, apart from one another; then those that are none, wherever one might be."""
    many = int(np.searchsorted(disease.shares, rng.random()))
    found: list[Lesion] = []
    spared: list[Lesion] = []
    places = rng.uniform((-130, -80, SPAN[0] + 8), (40, 70, SPAN[1] - 8), (400, 3))
    x, y, z = places.T
    middle = made.organ(x, y, z)
    for number in range(many + 4):
        radius = rng.uniform(*disease.radius)
        waves = np.empty((4, 5))
        waves[:, :3] = rng.normal(0, 1.7, (4, 3))
        waves[:, 3], waves[:, 4] = rng.uniform(0, 2 * math.pi, 4), rng.normal(0, 0.05, 4)
        stretch = tuple(rng.uniform(0.85, 1.15, 3).tolist())
        ends = np.maximum(made.organ(x, y, z - 0.8 * radius), made.organ(x, y, z + 0.8 * radius))
        inside = (middle < -0.75 * radius) & (ends < -0.45 * radius)
        free = [place for place in places[inside].tolist() if number >= many or _apart(place, radius, found)]
        if free:
            place = free[0] if number < many else free[int(rng.integers(len(free)))]
            (found if number < many else spared).append(Lesion(tuple(place), radius, waves, stretch))
    return found, spared


def _apart(place: list[float], radius: float, others: list[Lesion]) -> bool:
    return all(math.dist(place, other.centre) > 1.4 * (radius + other.radius) for other in others)


def grown(rng: np.random.Generator, made: Body, growth: Growth) -> Tubes:
    """Grow trees of vessels from the gate of the organ and from the great vein, a generation at a time."""
    trees = growth.trees
    levels = np.linspace(-44, 62, trees) + rng.uniform(-4, 4, trees)  # a tree of each fills about a plane
    right = rng.uniform(-40, -14, trees) + 0.7 * np.minimum(levels + 15, 0)  # below, the organ is further to the side
    starts = np.stack([right, rng.uniform(-14, 12, trees), levels], 1)
    turn = rng.uniform(-0.6, 1.0, trees)
    ways = np.stack([-np.cos(turn), -np.sin(turn), rng.normal(0, 0.1, trees)], 1)
    radius, steps = rng.uniform(*growth.radius), 30
    centres, radii = [], []
    for generation in range(growth.generations):
        wide = radius * 0.88**generation
        count = max(8, int(steps * 0.86**generation))
        turns = rng.normal(0, 0.1, (len(starts), count, 3)) * [1, 1, 0.6]
        path = _unit(_unit(ways)[:, None] + turns.cumsum(1))
        points = starts[:, None] + 1.3 * path.cumsum(1)
        inside = made.organ(*np.moveaxis(points, 2, 0)) < (12 if generation == 0 else -2 - wide)
        kept = np.logical_and.accumulate(inside, axis=1)
        centres.append(points[kept])
        radii.append(np.broadcast_to(wide * np.linspace(1, 0.86, count), kept.shape)[kept])
        last = np.maximum(kept.sum(1) - 1, 0)
        rows = np.flatnonzero(kept[:, 0] & (last > 5))
        starts, ways = points[rows, last[rows]].repeat(2, 0), path[rows, last[rows]].repeat(2, 0)
        aside = _unit(np.cross(ways, _unit(rng.normal(0, [0.35, 0.35, 1], ways.shape))))
        ways = ways + aside * rng.uniform(0.45, 0.9, (len(ways), 1)) * np.tile([[1], [-1]], (len(rows), 1))
        ways[:, 2] *= 0.6
    return Tubes(np.concatenate(centres).astype(np.float32), np.concatenate(radii).astype(np.float32))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

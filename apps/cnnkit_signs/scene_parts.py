"""What road scenes are put together from: signs in many variants, and what stands around them.

Design choices:
- Signs of one kind share shape and colours (Vienna Convention, 1968), not what is on them: numbers, pictograms and bars are
  drawn at random, so that a detector learns the kind and not twenty drawings. Some are the exact ones of `drawn_signs`.
- Trees, houses, cars and plates that are no signs are drawn once a process into a `stock`, from a seed of its own, so a
  scene costs only placing them. Plates look like signs on purpose: what is blue, round or red is not yet a sign.
- Stock is kept as the square root of light, in 8 bits: half the memory of floats, and near what a screen shows.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from cnnkit_signs.drawn_signs import BLACK, BLUE, RED, STROKES, WHITE, YELLOW, Colour, Plate, arc, regular, sign
from cnnkit_signs.sign_views import texture

LABELS = ("prohibitory", "mandatory", "danger", "stop", "give way", "priority road", "no entry")
"""Kinds of signs, by shape and colour: no parking is prohibitory though it is blue, and the end of a limit is no kind."""

_EXACT = (
    ("speed limit 30", "speed limit 50", "speed limit 70", "speed limit 100", "no overtaking"),
    ("ahead only", "turn left", "turn right", "keep right", "roundabout"),
    ("general danger", "bend left", "bend right", "crossroads", "pedestrians", "roadworks"),
    ("stop",),
    ("give way",),
    ("priority road",),
    ("no entry",),
)
_NUMBERS = ("5", "10", "20", "30", "40", "50", "60", "70", "80", "90", "100", "110", "120", "130")
_LETTERS = "AEHLMNOPRSTX0123456789"


# ---- signs


def sign_variant(code: int, rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw one sign of a kind, flat and from the front.

    Args:
        code: in `LABELS`.
        rng: every random number comes from it.
        side: px.

    Returns:
        uint8 (s, s, 4), RGBA in [0, 255], not premultiplied, s from `side` to 15 more; transparent where it is outside
        `outline(code)`.
    """
    if rng.random() < 0.25:
        # few sizes, so that they are kept
        return sign(_EXACT[code][rng.integers(len(_EXACT[code]))], side + -side % 16)
    plate = Plate(side, 4 if side < 32 else 3 if side < 48 else 2)
    _KINDS[code](plate, rng)
    return plate.finished()


@lru_cache(maxsize=16)
def outline(code: int) -> np.ndarray:
    """Return the edge of a kind of sign: float32 (n, 2), x and y in [-0.5, 0.5] of its side, convex."""
    corners, radius = {
        2: (regular(0.63, 0.51, 3, 90), 0.048),
        3: (regular(0.5, 0.53, 8, 22.5), 0.0),
        4: (regular(0.37, 0.51, 3, -90), 0.048),
        5: (regular(0.5, 0.455, 4, 0), 0.035),
    }.get(code, ([(0.5, 0.5)], 0.49))
    steps = 1 if radius == 0 else 32 if len(corners) == 1 else 16
    angles = np.arange(steps) * (2 * math.pi / steps)
    ring = radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    points = (np.array(corners)[:, None] + ring).reshape(-1, 2).astype(np.float32)
    edge = cv2.convexHull(points)[:, 0] - np.float32(0.5)
    edge.flags.writeable = False
    return edge


def _shade(rng: np.random.Generator, colour: Colour, far: float = 14) -> Colour:
    """Another shade of a colour, as other makers and countries have it."""
    more = rng.normal(0, far, 3).tolist()
    red, green, blue = (int(min(max(part + by, 0), 255)) for part, by in zip(colour, more))
    return red, green, blue


def _prohibitory(plate: Plate, rng: np.random.Generator) -> None:
    red = _shade(rng, RED)
    plate.disc(0.5, 0.5, 0.49, None)
    plate.disc(0.5, 0.5, 0.5 if rng.random() < 0.5 else 0.475, red)
    inner = rng.uniform(0.34, 0.42)
    kind = rng.random()
    if kind < 0.14:  # no parking, no stopping
        plate.disc(0.5, 0.5, inner, _shade(rng, BLUE, 20))
        for way in (1, -1) if rng.random() < 0.5 else (1,):
            plate.line([(0.5 - 0.28, 0.5 - 0.28 * way), (0.5 + 0.28, 0.5 + 0.28 * way)], rng.uniform(0.07, 0.11), red)
        return
    plate.disc(0.5, 0.5, inner, _shade(rng, (250, 215, 90)) if rng.random() < 0.08 else _shade(rng, WHITE, 6))
    if kind < 0.6:
        _number(plate, rng, inner)
    elif kind < 0.94:
        bar = rng.random() < 0.6
        if rng.random() < 0.5:
            pictogram(plate, rng, 0.5, 0.5, inner * 0.72, BLACK)
        else:
            pictogram(plate, rng, 0.39, 0.5, inner * 0.42, red if rng.random() < 0.5 else BLACK)
            pictogram(plate, rng, 0.62, 0.5, inner * 0.42, BLACK)
        if bar:
            way = 1 if rng.random() < 0.7 else -1
            far = inner * 0.72
            plate.line([(0.5 - far, 0.5 - far * way), (0.5 + far, 0.5 + far * way)], rng.uniform(0.05, 0.09), red)


def _number(plate: Plate, rng: np.random.Generator, inner: float) -> None:
    text = _NUMBERS[rng.integers(len(_NUMBERS))]
    width = inner * (0.62, 1.3, 1.62)[len(text) - 1] * rng.uniform(0.85, 1.05)
    weight = rng.uniform(0.045, 0.075) * (0.85 if len(text) > 2 else 1)
    ink = _shade(rng, BLUE) if rng.random() < 0.06 else BLACK
    plate.text(text, width, inner * rng.uniform(0.85, 1.1), weight, ink)


def _mandatory(plate: Plate, rng: np.random.Generator) -> None:
    blue = _shade(rng, BLUE, 20)
    plate.disc(0.5, 0.5, 0.49, None)
    if rng.random() < 0.3:
        plate.disc(0.5, 0.5, 0.5, blue)
    plate.disc(0.5, 0.5, rng.uniform(0.44, 0.48), blue)
    kind, width = rng.random(), rng.uniform(0.08, 0.13)
    if kind < 0.35:  # an arrow of any direction
        turn = rng.integers(8) * math.pi / 4
        right, down = math.cos(turn), math.sin(turn)
        tail, neck = -0.3, rng.uniform(0.02, 0.1)
        path = [(0.5 + right * tail, 0.5 + down * tail), (0.5 + right * neck, 0.5 + down * neck)]
        plate.arrow(path, width, (0.26, 0.36), WHITE)
    elif kind < 0.6:  # bent, or two heads
        way = 1 if rng.random() < 0.5 else -1
        high = rng.uniform(0.36, 0.5)
        x = 0.5 - way * rng.uniform(0.02, 0.16)
        plate.arrow([(x, 0.78), (x, high), (0.5 + way * 0.08, high)], width, (0.22, 0.32), WHITE)
        if rng.random() < 0.5:
            plate.arrow([(x, 0.78), (x, 0.38)], width, (0.22, 0.32), WHITE)
    elif kind < 0.68:
        first = rng.uniform(0, 120)
        for start in (0, 120, 240):
            plate.arrow(arc(0.5, 0.5, 0.27, first + start, first + start + 62), 0.08, (0.15, 0.2), WHITE)
    elif kind < 0.75:
        plate.text(_NUMBERS[rng.integers(1, 8)], 0.48, 0.34, 0.06, WHITE)
    elif kind < 0.87:
        pictogram(plate, rng, 0.5, 0.5, 0.32, WHITE)
    else:  # two ways for two
        stacked = rng.random() < 0.5
        for place in (0.31, 0.69):
            pictogram(plate, rng, *((0.5, place) if stacked else (place, 0.5)), 0.17, WHITE)
        plate.line([(0.08, 0.5), (0.92, 0.5)] if stacked else [(0.5, 0.08), (0.5, 0.92)], 0.03, WHITE)


def _triangle(plate: Plate, rng: np.random.Generator, y: float, first: float) -> None:
    plate.area(regular(y, 0.51, 3, first), None, 0.048)
    red = _shade(rng, RED)
    if rng.random() < 0.4:
        plate.area(regular(y, 0.51, 3, first), red, 0.05)
    plate.area(regular(y, 0.51, 3, first), red, 0.038)
    inside = _shade(rng, (252, 205, 60)) if rng.random() < 0.12 else _shade(rng, WHITE, 6)
    wide = rng.random() < 0.08  # as in America
    plate.area(regular(y, rng.uniform(0.24, 0.3) if wide else rng.uniform(0.33, 0.42), 3, first), inside, 0.012)


def _danger(plate: Plate, rng: np.random.Generator) -> None:
    _triangle(plate, rng, 0.63, 90)
    if rng.random() < 0.85:
        pictogram(plate, rng, 0.5, rng.uniform(0.63, 0.68), rng.uniform(0.15, 0.2), BLACK)
    else:
        plate.area([(0.455, 0.42), (0.545, 0.42), (0.522, 0.66), (0.478, 0.66)], BLACK, 0.008)
        plate.disc(0.5, 0.745, 0.045, BLACK)


def _stop(plate: Plate, rng: np.random.Generator) -> None:
    plate.area(regular(0.5, 0.53, 8, 22.5), None)
    plate.area(regular(0.5, rng.uniform(0.48, 0.52), 8, 22.5), _shade(rng, RED))
    text = "STOP" if rng.random() < 0.75 else ("ALTO", "PARE", "ARRET")[rng.integers(3)]
    plate.text(text, rng.uniform(0.68, 0.82), rng.uniform(0.22, 0.36), rng.uniform(0.045, 0.066), WHITE)


def _give_way(plate: Plate, rng: np.random.Generator) -> None:
    _triangle(plate, rng, 0.37, -90)
    if rng.random() < 0.1:  # some countries write on it
        plate.text("STOP", 0.3, 0.09, 0.02, BLACK)


def _priority_road(plate: Plate, rng: np.random.Generator) -> None:
    plate.area(regular(0.5, 0.455, 4, 0), None, 0.035)
    inner = rng.uniform(0.32, 0.385)
    if rng.random() < 0.6:
        plate.area(regular(0.5, inner + 0.013, 4, 0), BLACK, 0.012)
    if rng.random() < 0.2:
        plate.area(regular(0.5, 0.455, 4, 0), BLACK, 0.04)
        plate.area(regular(0.5, 0.44, 4, 0), WHITE, 0.03)
    plate.area(regular(0.5, inner, 4, 0), _shade(rng, YELLOW), 0.012)


def _no_entry(plate: Plate, rng: np.random.Generator) -> None:
    plate.disc(0.5, 0.5, 0.49, None)
    plate.disc(0.5, 0.5, 0.5 if rng.random() < 0.4 else 0.47, _shade(rng, RED))
    half, wide = rng.uniform(0.065, 0.1), rng.uniform(0.3, 0.38)
    plate.box(0.5 - wide, 0.5 - half, 0.5 + wide, 0.5 + half, WHITE)
    if rng.random() < 0.1:  # as in America
        for y in (0.22, 0.66):
            _scribble(plate.rgb, rng, 0.32 * plate.size, y * plate.size, 0.4 * plate.size, 0.12 * plate.size, WHITE)


_KINDS: tuple[Callable[[Plate, np.random.Generator], None], ...] = (
    _prohibitory,
    _mandatory,
    _danger,
    _stop,
    _give_way,
    _priority_road,
    _no_entry,
)


def pictogram(plate: Plate, rng: np.random.Generator, x: float, y: float, r: float, colour: Colour) -> None:
    """Draw something small and plain within r of (x, y): a person, a vehicle, a beast, a bend, or no matter what."""

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + way * across * r, y + down * r) for across, down in points]

    way = 1 if rng.random() < 0.5 else -1
    kind = rng.integers(9)
    if kind == 0:  # a person
        plate.disc(*at((0.05, -0.8))[0], 0.2 * r, colour)
        plate.line(at((0.05, -0.45), (0, 0.1)), 0.4 * r, colour)
        plate.line(at((0, 0.1), (0.25, 0.5), (0.3, 0.95)), 0.22 * r, colour)
        plate.line(at((0, 0.1), (-0.2, 0.5), (-0.45, 0.9)), 0.22 * r, colour)
        plate.line(at((0.1, -0.4), (0.45, 0.1)), 0.15 * r, colour)
        plate.line(at((0, -0.4), (-0.4, 0.05)), 0.15 * r, colour)
    elif kind == 1:  # a car
        plate.area(at((-0.6, -0.45), (0.6, -0.45), (0.85, 0.05), (-0.85, 0.05)), colour, 0.05 * r)
        plate.area(at((-0.95, 0), (0.95, 0), (0.95, 0.45), (-0.95, 0.45)), colour, 0.05 * r)
        for wheel in (-0.65, 0.65):
            plate.area(at((wheel - 0.2, 0.4), (wheel + 0.2, 0.4), (wheel + 0.2, 0.75), (wheel - 0.2, 0.75)), colour)
    elif kind == 2:  # a lorry, from the side
        plate.area(at((-1, -0.6), (0.35, -0.6), (0.35, 0.4), (-1, 0.4)), colour)
        plate.area(at((0.42, -0.3), (0.8, -0.3), (1, 0.05), (1, 0.4), (0.42, 0.4)), colour)
        for wheel in (-0.7, -0.2, 0.7):
            plate.disc(*at((wheel, 0.5))[0], 0.2 * r, colour)
    elif kind == 3:  # a bicycle
        for wheel in (-0.55, 0.55):
            cx, cy = at((wheel, 0.3))[0]
            plate.line(arc(cx, cy, 0.38 * r, 0, 360), 0.12 * r, colour)
        plate.line(at((-0.55, 0.3), (-0.2, -0.3), (0.35, -0.3), (0.55, 0.3)), 0.12 * r, colour)
        plate.line(at((-0.2, -0.3), (0, 0.3), (0.35, -0.3)), 0.12 * r, colour)
        plate.line(at((-0.4, -0.42), (-0.1, -0.42)), 0.12 * r, colour)
    elif kind == 4:  # a beast
        plate.line(at((-0.6, 0.05), (0.4, -0.05)), 0.5 * r, colour)
        plate.line(at((0.4, -0.1), (0.75, -0.6), (0.95, -0.5)), 0.25 * r, colour)
        for leg in (-0.7, -0.45, 0.25, 0.5):
            plate.line(at((leg, 0.1), (leg + rng.uniform(-0.2, 0.2), 0.85)), 0.15 * r, colour)
    elif kind == 5:  # a bend or two
        points = [(0.0, 1.0), (0.0, 0.4), (0.35, 0.0), (rng.uniform(-0.3, 0.5), -0.5)]
        plate.arrow(at(*points), 0.3 * r, (0.5 * r, 0.8 * r), colour)
    elif kind == 6:  # humps, a crossing, a narrow road
        if rng.random() < 0.5:
            plate.area(
                [*arc(x - 0.5 * r, y + 0.3 * r, 0.45 * r, 0, 180), *arc(x + 0.5 * r, y + 0.3 * r, 0.45 * r, 0, 180)][
                    ::-1
                ],
                colour,
            )
        else:
            plate.line(at((-0.5, 0.9), (-0.5, 0.3), (-0.25, -0.2), (-0.25, -0.9)), 0.25 * r, colour)
            plate.line(at((0.5, 0.9), (0.5, 0.3), (0.25, -0.2), (0.25, -0.9)), 0.25 * r, colour)
    elif kind == 7:  # arrows up and down
        for side in (-0.45, 0.45):
            up = 1 if side * way > 0 else -1
            plate.arrow(at((side, 0.8 * up), (side, -0.2 * up)), 0.25 * r, (0.6 * r, 0.7 * r), colour)
    else:
        for _ in range(rng.integers(1, 4)):
            points = at(*rng.uniform(-0.9, 0.9, (rng.integers(3, 6), 2)).tolist())
            if rng.random() < 0.5:
                plate.area(points, colour, 0.05 * r)
            else:
                plate.line(points, rng.uniform(0.12, 0.35) * r, colour)


# ---- what is no sign


class Thing:
    """Something to place, at three sizes; light in 8 bits as its square root, premultiplied."""

    def __init__(self, page: np.ndarray):
        """`page` is uint8 (h, w, 3), which fills its rectangle, or (h, w, 4), RGBA, which need not."""
        alpha = np.ascontiguousarray(page[..., 3]) if page.shape[2] == 4 else None
        rgb = np.ascontiguousarray(page[..., :3])
        if alpha is not None:
            rgb = (rgb.astype(np.uint16) * alpha[..., None] // 255).astype(np.uint8)
        self.levels = [(rgb, alpha)]
        for _ in range(2):
            rgb, alpha = _halved(rgb), None if alpha is None else _halved(alpha)
            self.levels.append((rgb, alpha))
        self.ratio = page.shape[0] / page.shape[1]

    def level(self, wide: float, high: float) -> tuple[np.ndarray, np.ndarray | None]:
        """Return RGB and alpha at the least size that is not much below wide x high px."""
        for rgb, alpha in self.levels[:0:-1]:
            if rgb.shape[1] >= 0.8 * wide and rgb.shape[0] >= 0.8 * high:
                return rgb, alpha
        return self.levels[0]


def _halved(page: np.ndarray) -> np.ndarray:
    return cv2.resize(page, (page.shape[1] // 2, page.shape[0] // 2), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Stock:
    """Things to place. Nothing in it may be written to."""

    skies: list[np.ndarray]
    """uint8 (192, 192, 3), the square root of light; so are leaves, (512, 512, 3)."""
    leaves: list[np.ndarray]
    grounds: list[np.ndarray]
    """uint8 (512, 512, 3), multipliers times 128."""
    trees: list[Thing]
    woods: list[Thing]
    facades: list[Thing]
    cars: list[Thing]
    people: list[Thing]
    plates: list[Thing]
    grain: np.ndarray
    """float32 (512, 512, 3), mean 0 and deviation 1."""
    mottle: np.ndarray
    """float32 (512, 512, 3), rough at every scale, mean 0 and deviation 1."""


_LOCK = threading.Lock()


def stock() -> Stock:
    """Draw everything, once a process: it takes one or two seconds and 60 MB."""
    with _LOCK:  # one thread draws, the others wait
        return _drawn()


@lru_cache(maxsize=1)
def _drawn() -> Stock:
    rng = np.random.default_rng(1968)
    leaves = [_leaves(rng, _LEAVES[k % len(_LEAVES)]) for k in range(10)]
    crowns = [_crown(rng, leaves[k % len(leaves)]) for k in range(14)]
    bare = [_bare(rng) for _ in range(10)]
    woods = [_wood(rng, crowns) for _ in range(8)] + [_wood(rng, bare) for _ in range(8)]
    mottle = np.sum([texture(rng, 512, cells) * cells**-0.15 for cells in (4, 9, 20, 45, 100, 220, 512)], axis=0)
    return Stock(
        [_sky(rng) for _ in range(16)],
        leaves,
        [_ground(rng) for _ in range(6)],
        [Thing(tree) for tree in crowns + bare],
        [Thing(wood) for wood in woods],
        [Thing(_facade(rng)) for _ in range(28)],
        [Thing(_car(rng)) for _ in range(32)],
        [Thing(_person(rng)) for _ in range(16)],
        [Thing(_plate(rng)) for _ in range(200)],
        rng.standard_normal((512, 512, 3), np.float32),
        (mottle / mottle.std()).astype(np.float32).repeat(3, 2),
    )


def _coded(light: np.ndarray) -> np.ndarray:
    return np.rint(np.sqrt(light.clip(0, 1)) * 255).astype(np.uint8)


_SKIES = ((0.12, 0.28, 0.7), (0.25, 0.45, 0.85), (0.3, 0.5, 0.75), (0.15, 0.3, 0.45))


def _sky(rng: np.random.Generator) -> np.ndarray:
    side = 192
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    base: np.ndarray = np.ones((side, side, 3), np.float32)
    if rng.random() < 0.35:  # overcast
        base *= rng.uniform(0.5, 1.1)
        base *= 1 + 0.15 * texture(rng, side, 4) * down + 0.06 * texture(rng, side, 12)
    else:
        top = np.array(_SKIES[rng.integers(len(_SKIES))], np.float32)
        base *= top + (np.array((0.75, 0.85, 0.95), np.float32) - top) * down ** rng.uniform(0.7, 2)
        clouds = (
            texture(rng, side, 4)
            + 0.5 * texture(rng, side, 9)
            + 0.3 * texture(rng, side, 22)
            + 0.15 * texture(rng, side, 50)
        )
        wide = np.asarray(cv2.resize(clouds, (side, side * 2)))[:side, :, None]
        part = ((wide - rng.uniform(-0.3, 1.2)) * rng.uniform(1, 3)).clip(0, 1)
        base += (rng.uniform(0.6, 1.1) * (1 - 0.12 * part * texture(rng, side, 5)) - base) * part
        if rng.random() < 0.15:  # the sun low
            base *= np.array((1.1, 0.85, 0.65), np.float32)
    return _coded(base)


_LEAVES = (
    (0.3, 0.42, 0.12),
    (0.16, 0.26, 0.1),
    (0.4, 0.34, 0.12),
    (0.22, 0.32, 0.08),
    (0.45, 0.25, 0.08),
    (0.27, 0.34, 0.14),
    (0.3, 0.3, 0.26),
)


def _leaves(rng: np.random.Generator, light: tuple[float, float, float]) -> np.ndarray:
    side = 512
    # leaves that shine beside gaps that do not
    fine = rng.uniform(0.9, 2) * texture(rng, side, int(rng.integers(180, 420)))
    masses = 1.1 * texture(rng, side, 60) + 0.8 * texture(rng, side, 14) + 0.5 * texture(rng, side, 5)
    leaf = 0.45 * np.exp(fine + masses).clip(0, 4)
    hues = np.array(light, np.float32) * (1 + 0.2 * rng.standard_normal((side, side, 3), np.float32))
    return _coded(np.array((0.015, 0.02, 0.012), np.float32) + hues * leaf)


def _ground(rng: np.random.Generator) -> np.ndarray:
    """A multiplier around 128, for asphalt and grass."""
    side = 512
    field = 1 + 0.12 * texture(rng, side, 8) + 0.08 * texture(rng, side, 60) + 0.1 * texture(rng, side, 400)
    return np.rint(field * 128).clip(0, 255).astype(np.uint8).repeat(3, 2)


def _crown(rng: np.random.Generator, leaves: np.ndarray) -> np.ndarray:
    side = 320
    place = np.linspace(-1, 1, side, dtype=np.float32)
    wide, high = rng.uniform(0.6, 0.85), rng.uniform(0.6, 0.8)
    middle = high - 1
    away = (place[None, :] / wide) ** 2 + ((place[:, None] - middle) / high) ** 2
    if rng.random() < 0.25:  # a fir
        away = np.abs(place[None, :]) / (0.06 + 0.3 * (place[:, None] + 1)) - (place[:, None] > 0.75)
    field = (
        1 - away + (0.45 * texture(rng, side, 6) + 0.3 * texture(rng, side, 20) + 0.6 * texture(rng, side, 110))[..., 0]
    )
    mask = (field > rng.uniform(0, 0.35)).astype(np.uint8) * 255
    light = (1.15 - 0.35 * place[:, None, None] - 0.25 * place[None, :, None] * rng.choice([-1, 1])).clip(0.3, 1.5)
    top, left = rng.integers(0, 512 - side, 2).tolist()
    crown = (leaves[top : top + side, left : left + side] * light).clip(0, 255).astype(np.uint8)
    back = np.zeros((side, side), np.uint8)
    bark = rng.uniform(30, 100)
    trunk = rng.uniform(0.01, 0.03) * side
    cv2.line(back, (side // 2, side // 2), (side // 2, side), 255, round(trunk * 2), cv2.LINE_AA)
    crown[mask == 0] = (bark, bark * 0.92, bark * 0.85)
    return np.dstack([crown, cv2.max(mask, back)])


def _bare(rng: np.random.Generator) -> np.ndarray:
    side = 320
    alpha = np.zeros((side, side), np.uint8)
    spread, many = rng.uniform(0.3, 0.6), rng.integers(2, 4)

    def grow(x: float, y: float, angle: float, length: float, width: float) -> None:
        x1, y1 = x + length * math.cos(angle), y - length * math.sin(angle)
        ends = np.rint(np.array([(x, y), (x1, y1)]) * 16).astype(int).tolist()
        strength = int(255 * min(1.0, 0.35 + width / 2))
        cv2.line(alpha, ends[0], ends[1], strength, max(1, round(width)), cv2.LINE_AA, 4)
        if length < side * 0.027:
            return
        for _ in range(many if length > side * 0.05 else 2):
            grow(x1, y1, angle + rng.normal(0, spread), length * rng.uniform(0.6, 0.85), width * 0.68)

    grow(side / 2, side, math.pi / 2 + rng.normal(0, 0.05), side * rng.uniform(0.17, 0.23), rng.uniform(4, 9))
    bark = np.float32(rng.uniform(25, 110)) * np.array((1, 0.93, 0.86), np.float32)
    rgb = (bark * (1 + 0.15 * texture(rng, side, 40))).clip(0, 255).astype(np.uint8)
    return np.dstack([rgb, alpha])


def _wood(rng: np.random.Generator, trees: list[np.ndarray]) -> np.ndarray:
    """Put trees of a kind in a row: uint8 (160, 480, 4)."""
    page = np.zeros((160, 480, 4), np.uint8)
    even = rng.uniform(0.6, 0.95)
    few = [trees[k] for k in rng.integers(0, len(trees), 2)]
    for _ in range(26):
        tall = int(160 * min(rng.normal(even, 0.1), 0.99))
        tree = cv2.resize(few[rng.integers(2)], (int(tall * 0.7), tall), interpolation=cv2.INTER_AREA)
        x = int(rng.integers(0, 480 - tree.shape[1]))
        under = page[160 - tall :, x : x + tree.shape[1]]
        alpha = tree[..., 3:] / 255 * (0.6 + 0.4 * rng.random())
        under[..., :3] = tree[..., :3] * alpha * rng.uniform(0.7, 1) + under[..., :3] * (1 - alpha)
        under[..., 3:] = 255 - (255 - under[..., 3:]) * (1 - alpha)
    foot, place = rng.uniform(0.03, 0.3), np.linspace(-1, 1, 480)
    bushes = (1 - place**4) * foot * (1 + 0.4 * texture(rng, 480, 24)[0, :, 0])  # below them
    below = np.linspace(1, 0, 160)[:, None] < bushes
    page[below] = np.maximum(page[below], np.array([18, 22, 12, 255], np.uint8))
    page[below, 3] = 255
    return page


def _person(rng: np.random.Generator) -> np.ndarray:
    plate = Plate(64, 2)
    coat, legs, skin = _loud(rng) if rng.random() < 0.3 else _grey(rng, 10, 120), _grey(rng, 10, 80), (190, 140, 115)
    step = rng.uniform(0.01, 0.08)
    for x in (0.5 - step, 0.5 + step):
        for colour in (None, legs):
            plate.area([(0.48, 0.5), (0.52, 0.5), (x + 0.01, 0.97), (x - 0.01, 0.97)], colour, 0.025)
    for colour in (None, coat):
        plate.area([(0.44, 0.2), (0.56, 0.2), (0.57, 0.55), (0.43, 0.55)], colour, 0.03)
    for colour in (None, skin):
        plate.disc(0.5, 0.1, 0.05, colour)
    return plate.finished()[:, 16:48]


def _facade(rng: np.random.Generator) -> np.ndarray:
    """Draw the front of a house: uint8 (256, 256, 3)."""
    side = 256
    wall = rng.uniform(0.08, 0.75) * np.array([1, rng.uniform(0.7, 1), rng.uniform(0.45, 1)], np.float32)
    if rng.random() < 0.25:
        wall = rng.uniform(0.12, 0.4) * np.array((1, 0.5, 0.38), np.float32)  # brick
    stains = (1 + 0.12 * texture(rng, side, 100)) * (1 + 0.2 * texture(rng, side, 4))
    if rng.random() < 0.4:  # courses of bricks, boards
        stains[:: int(rng.integers(3, 7))] *= rng.uniform(0.6, 1.4)
    page = _coded(np.broadcast_to(wall, (side, side, 3)) * stains)
    rows, columns = int(rng.integers(2, 9)), int(rng.integers(2, 10))
    shop = rng.random() < 0.45
    bottom = int(side * (0.78 if shop else 0.97))
    down, right = bottom / rows, side / columns
    wide, high = int(rng.uniform(0.35, 0.95) * right), int(rng.uniform(0.45, 0.85) * down)
    frame = _grey(rng, 90, 240)
    even = _grey(rng, 15, 110)
    balconies = rng.random() < 0.25
    for row in range(rows):
        y = int((row + 0.12) * down)
        if rng.random() < 0.3:
            cv2.line(page, (0, y - 2), (side, y - 2), _grey(rng, 60, 220), 3)
        for column in range(columns):
            x = int((column + 0.5) * right - wide / 2)
            glass = even if rng.random() < 0.6 else _grey(rng, 15, 220)
            cv2.rectangle(page, (x, y), (x + wide, y + high), glass, cv2.FILLED)
            if rng.random() < 0.5:  # the sky in it
                cv2.rectangle(page, (x, y), (x + wide, y + high // 2), _shade(rng, glass, 14), cv2.FILLED)
            cv2.rectangle(page, (x, y), (x + wide, y + high), frame, 2)
            if wide > 14:
                cv2.line(page, (x + wide // 2, y), (x + wide // 2, y + high), frame, 1)
            if balconies and (column + row) % 2:
                cv2.rectangle(page, (x - 2, y + high // 2), (x + wide + 2, y + high), _grey(rng, 60, 230), cv2.FILLED)
    if shop:
        cv2.rectangle(page, (0, bottom), (side, side), _grey(rng, 20, 120), cv2.FILLED)
        each = int(side / rng.integers(1, 5))
        for x in range(0, side - each + 1, each):
            cv2.rectangle(page, (x + 4, bottom + 22), (x + each - 6, side), _grey(rng, 30, 200), cv2.FILLED)
            board = _loud(rng)
            cv2.rectangle(page, (x, bottom), (x + each - 1, bottom + 18), board, cv2.FILLED)
            _scribble(page, rng, x + 6, bottom + 3, each - 12, 12, WHITE if sum(board) < 380 else BLACK)
    return page


def _grey(rng: np.random.Generator, low: float, high: float) -> Colour:
    value = rng.uniform(low, high)
    red, green, blue = (value + rng.normal(0, 5, 3)).clip(0, 255).astype(int).tolist()
    return red, green, blue


def _loud(rng: np.random.Generator) -> Colour:
    """A colour of advertisements, mostly those of signs."""
    colours = (RED, BLUE, YELLOW, WHITE, (0, 120, 70), (230, 110, 20), (30, 30, 30), (120, 30, 110))
    return _shade(rng, colours[rng.integers(len(colours))], 25)


def _scribble(
    page: np.ndarray, rng: np.random.Generator, x: float, y: float, wide: float, high: float, colour: Colour
) -> None:
    """Write letters, or signs of a script that nobody knows, from (x, y) to (x + wide, y + high) px at most."""
    step = max(3.0, high * rng.uniform(0.6, 1.0))
    weight = max(1, round(high * rng.uniform(0.08, 0.2)))
    foreign = rng.random() < 0.3
    many = int(wide / step * rng.uniform(0.4, 1))
    for left in np.arange(many) * step + x:
        if rng.random() < 0.1:
            continue
        if foreign:
            strokes = [rng.integers(0, 3, (2, 2)) / 2 for _ in range(rng.integers(2, 6))]
        else:
            strokes = [np.array(stroke) for stroke in STROKES[_LETTERS[rng.integers(len(_LETTERS))]]]
        for stroke in strokes:
            places = np.rint((stroke * (0.7 * step, high) + (left, y)) * 16).astype(np.int32)
            cv2.polylines(page, [places], False, colour, weight, cv2.LINE_AA, 4)


def _car(rng: np.random.Generator) -> np.ndarray:
    """Seen from behind, from the front or from the side."""
    paints = ((20, 20, 24), (60, 62, 66), (130, 132, 136), (215, 215, 215), (150, 20, 25), (30, 55, 130), (90, 100, 90))
    paint = _shade(rng, paints[rng.integers(len(paints))], 10)
    dark = tuple(int(c * 0.55) for c in paint)
    glass, tyre = _grey(rng, 25, 90), (16, 16, 16)
    kind = rng.random()
    wide, high = (240, 96) if kind > 0.7 else (140, 124)
    page, alpha = np.zeros((high, wide, 3), np.uint8), np.zeros((high, wide), np.uint8)

    def area(points: Any, colour: Any) -> None:
        places = np.rint(np.array(points) * (wide, high)).astype(np.int32)
        cv2.fillPoly(page, [places], colour, cv2.LINE_AA)
        cv2.fillPoly(alpha, [places], 255, cv2.LINE_AA)

    if kind > 0.7:
        roof = rng.uniform(0.05, 0.2)
        area(
            [
                (0.02, 0.55),
                (0.2, 0.45),
                (0.32, roof),
                (0.7, roof),
                (0.84, 0.45),
                (0.98, 0.5),
                (0.98, 0.82),
                (0.02, 0.82),
            ],
            paint,
        )
        area([(0.25, 0.45), (0.34, roof + 0.06), (0.51, roof + 0.06), (0.51, 0.45)], glass)
        area([(0.54, 0.45), (0.54, roof + 0.06), (0.68, roof + 0.06), (0.78, 0.45)], glass)
        area([(0.02, 0.72), (0.98, 0.72), (0.98, 0.84), (0.02, 0.84)], dark)
        area([(0.02, 0.55), (0.05, 0.54), (0.05, 0.63), (0.02, 0.63)], (190, 30, 20))
        for x in (0.2, 0.8):
            for radius, colour in ((0.085, tyre), (0.05, (150, 150, 150))):
                cv2.circle(
                    page, (round(x * wide), round(0.79 * high)), round(radius * wide), colour, cv2.FILLED, cv2.LINE_AA
                )
                cv2.circle(
                    alpha, (round(x * wide), round(0.79 * high)), round(radius * wide), 255, cv2.FILLED, cv2.LINE_AA
                )
        return np.dstack([page, alpha])[:, :: -1 if rng.random() < 0.5 else 1].copy()
    van = rng.random() < 0.25
    top, lean = (0.02, 0.06) if van else (rng.uniform(0.05, 0.15), rng.uniform(0.12, 0.2))
    for x in (0.08, 0.76):
        area([(x, 0.75), (x + 0.16, 0.75), (x + 0.16, 0.99), (x, 0.99)], tyre)
    area(
        [
            (lean, top),
            (1 - lean, top),
            (0.96, 0.45),
            (0.99, 0.5),
            (0.98, 0.86),
            (0.02, 0.86),
            (0.01, 0.5),
            (0.04, 0.45),
        ],
        paint,
    )
    area([(lean + 0.05, top + 0.07), (0.95 - lean, top + 0.07), (0.87, 0.43), (0.13, 0.43)], glass)
    area([(0.03, 0.72), (0.97, 0.72), (0.97, 0.88), (0.03, 0.88)], dark)
    behind = rng.random() < 0.7
    light = (255, 60, 30) if rng.random() < 0.3 else (150, 20, 16)
    light = light if behind else (240, 240, 225)
    for x in (0.04, 0.8):
        area([(x, 0.5), (x + 0.16, 0.5), (x + 0.16, 0.62), (x, 0.62)], light)
    area([(0.36, 0.62), (0.64, 0.62), (0.64, 0.7), (0.36, 0.7)], (225, 225, 220))
    _scribble(page, rng, 54, 79, 36, 7, (30, 30, 30))
    return np.dstack([page, alpha])


_PLATE_SHARES = np.cumsum([8, 8, 8, 8, 8, 10, 10, 12, 7, 3, 8, 8, 12])
"""Of boards (0 to 4), crossings, other blue plates, backs, ends, clocks, marks, chevrons and lights."""


def _plate(rng: np.random.Generator) -> np.ndarray:
    """Something to be mistaken for a sign: other plates, backs, clocks, lights, marks of shops."""
    plate = Plate(96, 2)
    kind = int(np.searchsorted(_PLATE_SHARES, rng.random() * _PLATE_SHARES[-1], side="right"))
    if kind < 5:  # a rectangle with writing or a drawing
        wide, high = rng.uniform(0.3, 0.5), rng.uniform(0.12, 0.5)
        if rng.random() < 0.5:
            high = wide
        board = _loud(rng)
        ink = WHITE if sum(board) < 420 else BLACK
        _board(plate, wide, high, board, ink)
        if rng.random() < 0.6:
            rows = max(1, int(high * 8 * rng.uniform(0.5, 1)))
            for row in range(rows):
                tall = 2 * high / rows
                top = 0.5 - high + row * tall
                x, y, across, letters = (
                    np.array([0.5 - wide * 0.85, top + 0.2 * tall, wide * 1.7, 0.6 * tall]) * plate.size
                )
                _scribble(plate.rgb, rng, x, y, across, letters, ink)
        else:
            pictogram(plate, rng, 0.5, 0.5, min(wide, high) * 0.75, ink)
    elif kind == 5:  # a crossing for pedestrians: blue, with a white triangle
        _board(plate, 0.47, 0.47, _shade(rng, BLUE, 20), WHITE)
        plate.area(regular(0.58, 0.36, 3, 90), WHITE, 0.02)
        pictogram(plate, rng, 0.5, 0.58, 0.17, BLACK)
    elif kind == 6:  # parking, a bus stop, a one-way street
        board = _shade(rng, BLUE, 20)
        wide, high = ((0.45, 0.45), (0.48, 0.18), (0.3, 0.45))[rng.integers(3)]
        _board(plate, wide, high, board, WHITE)
        if high < 0.3:
            plate.arrow([(0.1, 0.5), (0.7, 0.5)], 0.1, (0.2, 0.26), WHITE)
        elif rng.random() < 0.5:
            plate.text("P", 0.3, 0.55, 0.1, WHITE)
        else:
            plate.arrow([(0.5, 0.85), (0.5, 0.4)], 0.12, (0.2, 0.36), WHITE)
    elif kind == 7:  # the back of a sign
        shape = rng.integers(4)
        edge = ([(0.5, 0.5)], regular(0.63, 0.51, 3, 90), regular(0.37, 0.51, 3, -90), regular(0.5, 0.49, 8, 22.5))[
            shape
        ]
        grey = _grey(rng, 70, 170)
        for colour in (None, grey):
            if shape:
                plate.area(edge, colour, 0.04)
            else:
                plate.disc(0.5, 0.5, 0.49, colour)
        for y in (0.4, 0.65):
            plate.box(0.2, y, 0.8, y + 0.04, _shade(rng, grey, 10))
    elif kind == 8:  # the end of a limit: white, with grey or black bars
        plate.disc(0.5, 0.5, 0.49, None)
        plate.disc(0.5, 0.5, 0.49, BLACK)
        plate.disc(0.5, 0.5, 0.46, WHITE)
        if rng.random() < 0.7:
            _grey_number(plate, rng)
        for shift in (-0.09, -0.045, 0, 0.045, 0.09):
            plate.line([(0.22 + shift, 0.78 + shift), (0.78 + shift, 0.22 + shift)], 0.02, BLACK)
    elif kind == 9:  # a clock
        plate.disc(0.5, 0.5, 0.49, None)
        plate.disc(0.5, 0.5, 0.5, _grey(rng, 10, 120))
        plate.disc(0.5, 0.5, 0.44, _grey(rng, 200, 250))
        for turn, far in zip(rng.uniform(0, 6.28, 2).tolist(), (0.22, 0.36)):
            plate.line([(0.5, 0.5), (0.5 + far * math.cos(turn), 0.5 + far * math.sin(turn))], 0.04, BLACK)
    elif kind == 10:  # the mark of a shop
        shape = rng.integers(3)
        for colour in (None, _loud(rng)):
            if shape == 0:
                plate.disc(0.5, 0.5, 0.48, colour)
            elif shape == 1:
                plate.area(regular(0.5, 0.46, int(rng.integers(4, 7)) if colour is None else 4, 45), colour, 0.02)
            else:
                plate.area(regular(0.5, 0.4, 5, 90), colour, 0.08)
        letters = "".join(_LETTERS[k] for k in rng.integers(0, 12, rng.integers(1, 4)))
        plate.text(letters, 0.2 * len(letters), 0.3, 0.06, WHITE if rng.random() < 0.7 else YELLOW)
    elif kind == 11:  # chevrons and beacons, red and white
        wide, high = ((0.12, 0.48), (0.48, 0.16), (0.4, 0.4))[rng.integers(3)]
        _board(plate, wide, high, WHITE, WHITE)
        red = _shade(rng, RED if rng.random() < 0.7 else BLACK)
        for k in np.arange(-1, 2, 0.24).tolist():
            plate.line([(k, 1), (k + 1, 0)], 0.085, red)
    else:  # traffic lights
        _board(plate, 0.19, 0.48, _grey(rng, 8, 50), _grey(rng, 8, 120))
        lit = rng.integers(3)
        bright = ((255, 70, 50), (255, 200, 60), (90, 255, 190))
        for k, (r, g, b) in enumerate(bright):
            lamp = (r, g, b) if k == lit else (r // 6, g // 6, b // 6)
            plate.disc(0.5, 0.2 + 0.3 * k, 0.115, lamp)
    return plate.finished()


def _board(plate: Plate, wide: float, high: float, colour: Colour, edge: Colour) -> None:
    def box(inset: float) -> list[tuple[float, float]]:
        w, h = wide - inset, high - inset
        return [(0.5 - w, 0.5 - h), (0.5 + w, 0.5 - h), (0.5 + w, 0.5 + h), (0.5 - w, 0.5 + h)]

    plate.area(box(0), None)
    plate.area(box(0), edge)
    plate.area(box(0.025), colour)


def _grey_number(plate: Plate, rng: np.random.Generator) -> None:
    plate.text(_NUMBERS[rng.integers(1, 10)], 0.46, 0.34, 0.05, (120, 120, 120))

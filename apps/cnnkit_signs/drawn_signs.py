"""Drawn traffic signs: flat, as the law has them, and an embedded data set of pictures of them.

Design choices:
- The signs are those of the Vienna Convention on Road Signs and Signals (1968), in proportions that European countries
  use; drawn here from lines, discs and polygons, so nothing is downloaded and no licence is owed.
- A flat sign is drawn at four times its size and reduced by area. Its colour goes on outside its shape, where alpha is
  0, so that resampling darkens no edge. Right-hand twins are the mirrored left-hand ones.
- Picture k (by `sign_views.py`) is a pure function of (seed, k): it is drawn when it is read, in any order, from any
  thread, in about 1 ms. No two share a background or a light, so there are no groups to keep together.
- The fingerprint is of the parameters and `VERSION`, not of the pixels, which another release of OpenCV or NumPy may
  round differently. A change that one can see in the pictures needs another `VERSION`.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from cnnkit.data.records import Shape
from cnnkit.device import image
from cnnkit_signs.sign_views import view

VERSION = 1
SIDE = 64  # px, of a picture
_FLAT = 128  # px, of the flat sign that pictures are made from
_FINER = 4  # times a flat sign's size, at which it is drawn

RED, BLUE, YELLOW = (193, 18, 28), (0, 91, 154), (246, 182, 0)  # about RAL 3020, 5017 and 1023, in sRGB
WHITE, BLACK = (244, 244, 244), (22, 22, 22)

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
"""(x, y) in [0, 1] of the sign's side, from the top left."""


class Plate:
    """A square to draw a sign on. All lengths are parts of its side; the colour None draws the shape of the plate."""

    def __init__(self, side: int, finer: int = _FINER):
        self.finer, self.size = finer, side * finer
        self.rgb = np.empty((self.size, self.size, 3), np.uint8)
        self.rgb.fill(WHITE[0])  # `np.full` takes ten times as long
        self.alpha = np.zeros((self.size, self.size), np.uint8)

    def area(self, points: Points, colour: Colour | None, radius: float = 0.0) -> None:
        """Fill a polygon, widened by `radius` with round corners."""
        page, value = self._target(colour)
        cv2.fillPoly(page, [self._places(points)], value, cv2.LINE_AA, 4)
        if radius:
            cv2.polylines(page, [self._places(points)], True, value, round(2 * radius * self.size), cv2.LINE_AA, 4)

    def line(self, points: Points, width: float, colour: Colour = BLACK) -> None:
        cv2.polylines(self.rgb, [self._places(points)], False, colour, round(width * self.size), cv2.LINE_AA, 4)

    def disc(self, x: float, y: float, radius: float, colour: Colour | None) -> None:
        page, value = self._target(colour)
        (centre,) = self._places([(x, y)]).tolist()
        cv2.circle(page, centre, round(radius * self.size * 16), value, cv2.FILLED, cv2.LINE_AA, 4)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.area([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def arrow(self, path: Points, width: float, head: tuple[float, float], colour: Colour) -> None:
        """Draw a line that ends in a head of (length, width), which begins at the last point."""
        (x0, y0), (x, y) = path[-2:]
        far = math.hypot(x - x0, y - y0)
        right, down = (x - x0) / far, (y - y0) / far
        length, half = head[0], head[1] / 2
        self.line(path, width, colour)
        tip = (x + right * length, y + down * length)
        self.area([tip, (x - down * half, y + right * half), (x + down * half, y - right * half)], colour)

    def text(self, text: str, width: float, height: float, weight: float, colour: Colour) -> None:
        """Write in the middle, in letters of equal width; the ink fills width x height, its lines are `weight` wide."""
        gap = 0.75 * weight
        each = (width - gap * (len(text) - 1)) / len(text)
        for place, letter in enumerate(text):
            left, top = 0.5 - width / 2 + place * (each + gap) + weight / 2, 0.5 - height / 2 + weight / 2
            for stroke in STROKES[letter]:
                points = [(left + x * (each - weight), top + y * (height - weight)) for x, y in stroke]
                self.line(points, weight, colour)

    def finished(self) -> np.ndarray:
        """Return what was drawn, RGBA, at the size that was asked for."""
        size = (self.size // self.finer,) * 2
        return cv2.merge([cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (self.rgb, self.alpha)])

    def _target(self, colour: Colour | None) -> tuple[np.ndarray, Any]:
        return (self.alpha, 255) if colour is None else (self.rgb, colour)

    def _places(self, points: Points) -> np.ndarray:
        size = self.size  # 4 bits behind the point
        return np.array([(round((x * size - 0.5) * 16), round((y * size - 0.5) * 16)) for x, y in points], np.int32)


def arc(x: float, y: float, radius: float, start: float, end: float, *, high: float = 0.0) -> list[tuple[float, float]]:
    """Return points on a circle, or an ellipse `high` up, by angles in degrees counter-clockwise from the right."""
    angles = np.radians(np.linspace(start, end, 13))
    return [(x + radius * math.cos(a), y - (high or radius) * math.sin(a)) for a in angles.tolist()]


# The middle of the pen's way, in [0, 1] x [0, 1]. OpenCV's own fonts differ between its releases.
_OVAL = [*arc(0.5, 0.3, 0.5, 0, 180, high=0.3), *arc(0.5, 0.7, 0.5, 180, 360, high=0.3), (1.0, 0.3)]
STROKES: dict[str, list[Points]] = {
    "0": [_OVAL],
    "1": [[(0.15, 0.24), (0.62, 0), (0.62, 1)]],
    "2": [[*arc(0.48, 0.27, 0.5, 165, -35, high=0.27), (0, 1), (1, 1)]],
    "3": [[*arc(0.46, 0.25, 0.48, 155, -90, high=0.25), *arc(0.46, 0.75, 0.54, 90, -155, high=0.25)]],
    "4": [[(0.72, 1), (0.72, 0), (0, 0.7), (1, 0.7)]],
    "5": [[(0.92, 0), (0.14, 0), (0.08, 0.46), *arc(0.46, 0.68, 0.54, 130, -155, high=0.32)]],
    "6": [[(0.8, 0), (0.04, 0.62), *arc(0.5, 0.69, 0.5, 180, -180, high=0.31)]],
    "7": [[(0, 0), (1, 0), (0.36, 1)]],
    "8": [arc(0.5, 0.24, 0.43, 90, 450, high=0.24), arc(0.5, 0.74, 0.5, 90, 450, high=0.26)],
    "9": [[(0.2, 1), (0.96, 0.38), *arc(0.5, 0.31, 0.5, 0, 360, high=0.31)]],
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.65), (0.8, 0.65)]],
    "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, 0.48), (0.85, 0.48)]],
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.5), (1, 0.5)]],
    "L": [[(0, 0), (0, 1), (1, 1)]],
    "M": [[(0, 1), (0, 0), (0.5, 0.6), (1, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
    "O": [_OVAL],
    "P": [[(0, 1), (0, 0), *arc(0.55, 0.27, 0.45, 90, -90, high=0.27), (0, 0.54)]],
    "R": [[(0, 1), (0, 0), *arc(0.55, 0.27, 0.45, 90, -90, high=0.27), (0, 0.54)], [(0.5, 0.54), (1, 1)]],
    "S": [[*arc(0.5, 0.25, 0.47, 25, 270, high=0.25), *arc(0.5, 0.75, 0.5, 90, -155, high=0.25)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
}


def regular(y: float, radius: float, count: int, first: float) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon around (0.5, y); `first` is the angle of one, in degrees."""
    angles = [math.radians(first + 360 * k / count) for k in range(count)]
    return [(0.5 + radius * math.cos(a), y - radius * math.sin(a)) for a in angles]


def _prohibition(plate: Plate) -> None:
    plate.disc(0.5, 0.5, 0.49, None)
    plate.disc(0.5, 0.5, 0.48, RED)
    plate.disc(0.5, 0.5, 0.38, WHITE)


def _mandatory(plate: Plate) -> None:
    plate.disc(0.5, 0.5, 0.49, None)
    plate.disc(0.5, 0.5, 0.472, BLUE)


def _triangle(plate: Plate, y: float = 0.63, first: float = 90) -> None:
    plate.area(regular(y, 0.51, 3, first), None, 0.048)
    plate.area(regular(y, 0.51, 3, first), RED, 0.04)
    plate.area(regular(y, 0.39, 3, first), WHITE, 0.012)


def _speed_limit(plate: Plate, number: str) -> None:
    _prohibition(plate)
    width, weight = (0.48, 0.066) if len(number) == 2 else (0.6, 0.057)
    plate.text(number, width, 0.36, weight, BLACK)


def _no_entry(plate: Plate) -> None:
    _mandatory(plate)
    plate.disc(0.5, 0.5, 0.475, RED)
    plate.box(0.14, 0.41, 0.86, 0.59, WHITE)


def _no_overtaking(plate: Plate) -> None:
    _prohibition(plate)
    for x, colour in ((0.355, RED), (0.645, BLACK)):
        plate.area([(x - 0.065, 0.41), (x + 0.065, 0.41), (x + 0.1, 0.51), (x - 0.1, 0.51)], colour, 0.012)
        plate.area([(x - 0.05, 0.43), (x + 0.05, 0.43), (x + 0.066, 0.49), (x - 0.066, 0.49)], WHITE)
        plate.area([(x - 0.11, 0.51), (x + 0.11, 0.51), (x + 0.11, 0.58), (x - 0.11, 0.58)], colour, 0.01)
        for wheel in (x - 0.085, x + 0.085):
            plate.box(wheel - 0.028, 0.58, wheel + 0.028, 0.63, colour)


def _stop(plate: Plate) -> None:
    plate.area(regular(0.5, 0.53, 8, 22.5), None)
    plate.area(regular(0.5, 0.502, 8, 22.5), RED)
    plate.text("STOP", 0.78, 0.32, 0.061, WHITE)


def _give_way(plate: Plate) -> None:
    _triangle(plate, 0.37, -90)


def _priority_road(plate: Plate) -> None:
    plate.area(regular(0.5, 0.455, 4, 0), None, 0.035)
    plate.area(regular(0.5, 0.355, 4, 0), BLACK, 0.012)
    plate.area(regular(0.5, 0.342, 4, 0), YELLOW, 0.012)


def _general_danger(plate: Plate) -> None:
    _triangle(plate)
    plate.area([(0.455, 0.42), (0.545, 0.42), (0.522, 0.66), (0.478, 0.66)], BLACK, 0.008)
    plate.disc(0.5, 0.745, 0.045, BLACK)


def _bend_left(plate: Plate) -> None:
    _triangle(plate)
    plate.arrow([(0.57, 0.78), *arc(0.46, 0.66, 0.11, 0, 90), (0.435, 0.55)], 0.075, (0.11, 0.185), BLACK)


def _pedestrians(plate: Plate) -> None:
    _triangle(plate)
    plate.disc(0.515, 0.4, 0.042, BLACK)
    plate.line([(0.512, 0.49), (0.5, 0.62)], 0.085)
    plate.line([(0.5, 0.63), (0.55, 0.7), (0.575, 0.79)], 0.045)
    plate.line([(0.495, 0.63), (0.45, 0.715), (0.405, 0.785)], 0.045)
    plate.line([(0.53, 0.475), (0.58, 0.55), (0.615, 0.59)], 0.032)
    plate.line([(0.495, 0.475), (0.445, 0.545), (0.425, 0.61)], 0.032)


def _roadworks(plate: Plate) -> None:
    _triangle(plate)
    plate.disc(0.505, 0.425, 0.04, BLACK)
    plate.line([(0.485, 0.5), (0.435, 0.61)], 0.08)
    plate.line([(0.425, 0.62), (0.4, 0.7), (0.37, 0.79)], 0.045)
    plate.line([(0.44, 0.62), (0.49, 0.69), (0.475, 0.79)], 0.045)
    plate.line([(0.495, 0.5), (0.545, 0.575)], 0.038)
    plate.line([(0.45, 0.54), (0.66, 0.7)], 0.024)
    plate.area([(0.55, 0.805), (0.625, 0.735), (0.67, 0.705), (0.77, 0.805)], BLACK)


def _crossroads(plate: Plate) -> None:
    _triangle(plate)
    for way in (-1, 1):
        plate.line([(0.5 - 0.11 * way, 0.545), (0.5 + 0.11 * way, 0.765)], 0.075)


def _ahead(plate: Plate) -> None:
    _mandatory(plate)
    plate.arrow([(0.5, 0.78), (0.5, 0.42)], 0.115, (0.27, 0.4), WHITE)


def _turn_left(plate: Plate) -> None:
    _mandatory(plate)
    plate.arrow([(0.64, 0.77), *arc(0.5, 0.5, 0.14, 0, 90), (0.42, 0.36)], 0.115, (0.25, 0.37), WHITE)


def _roundabout(plate: Plate) -> None:
    _mandatory(plate)
    for start in (100, 220, 340):
        end = start + 58
        plate.arrow(arc(0.5, 0.5, 0.27, start, end), 0.09, (0.16, 0.21), WHITE)


def _keep_right(plate: Plate) -> None:
    _mandatory(plate)
    plate.arrow([(0.29, 0.29), (0.54, 0.54)], 0.115, (0.26, 0.38), WHITE)


_DRAW: dict[str, Callable[[Plate], None]] = {
    "speed limit 30": lambda plate: _speed_limit(plate, "30"),
    "speed limit 50": lambda plate: _speed_limit(plate, "50"),
    "speed limit 70": lambda plate: _speed_limit(plate, "70"),
    "speed limit 100": lambda plate: _speed_limit(plate, "100"),
    "no entry": _no_entry,
    "no overtaking": _no_overtaking,
    "stop": _stop,
    "give way": _give_way,
    "priority road": _priority_road,
    "general danger": _general_danger,
    "bend left": _bend_left,
    "bend right": _bend_left,
    "crossroads": _crossroads,
    "pedestrians": _pedestrians,
    "roadworks": _roadworks,
    "ahead only": _ahead,
    "turn left": _turn_left,
    "turn right": _turn_left,
    "keep right": _keep_right,
    "roundabout": _roundabout,
}
_MIRRORED = frozenset(["bend right", "turn right"])
LABELS = tuple(_DRAW)


@lru_cache(maxsize=64)
def sign(label: str, side: int = _FLAT) -> np.ndarray:
    """Draw a sign, flat and from the front.

    Args:
        label: one of `LABELS`.
        side: px, from 16 to 512.

    Returns:
        uint8 (side, side, 4), RGBA in [0, 255], not premultiplied and read-only; alpha is 0 outside the sign.
    """
    if label not in _DRAW:
        raise ValueError(f"`label` needs to be one of {', '.join(LABELS)}. Received: label={label!r}.")
    if not 16 <= side <= 512:
        raise ValueError(f"`side` needs a value from 16 to 512 px. Received: side={side}.")
    plate = Plate(side)
    _DRAW[label](plate)
    drawn = plate.finished()
    drawn = np.ascontiguousarray(drawn[:, ::-1]) if label in _MIRRORED else drawn
    drawn.flags.writeable = False
    return drawn


class Drawn:
    """Pictures that are drawn when they are read: what sources of them have in common.

    Args:
        about: what decides what they are.
    """

    def __init__(self, *about: Any):
        self._about = about

    def native(self, index: int) -> np.ndarray:
        """Draw picture `index`: uint8 (h, w, 3), RGB in [0, 255]."""
        raise NotImplementedError

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        return image.fit_images(map(self.native, np.asarray(indices).tolist()), len(indices), shape)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(self._about).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


class DrawnSigns(Drawn):
    """Pictures of every sign in turn: picture k shows `LABELS[k % len(LABELS)]`. A `Source`.

    Args:
        views: pictures of each sign.
        seed: another seed, other pictures.
        side: px, of a picture.
    """

    def __init__(self, views: int, seed: int = 0, side: int = SIDE):
        super().__init__("drawn signs", VERSION, LABELS, seed, side)
        self._views, self._seed, self._side = views, seed, side

    def __len__(self) -> int:
        return self._views * len(LABELS)

    @property
    def shape(self) -> Shape:
        return self._side, self._side, 3

    def codes(self) -> np.ndarray:
        """Return which of `LABELS` each picture shows: int32 (n,)."""
        return np.tile(np.arange(len(LABELS), dtype=np.int32), self._views)

    def native(self, index: int) -> np.ndarray:
        rng = np.random.default_rng((self._seed, index))
        return view(sign(LABELS[index % len(LABELS)], _FLAT), rng, self._side)

    def name(self, index: int) -> str:
        return f"drawn-signs[{index}]"

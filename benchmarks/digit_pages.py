"""Pages to measure and test `read` on: numbers among words and doodles with what is true of them, and pages without a digit.

They are made as `cnnkit_digits.pages` makes its sample; a test overrides one setting by name, e.g. `page(3, x, y, angle=8.0)`.
Truth boxes are the tight boxes of each digit's own ink after turning, not of its 28x28 frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cnnkit_digits import pages
from cnnkit_digits.pages import Box, Look

# Words of two to nine letters, common ones first: what stands on real pages beside numbers.
_WORDS = """
    the and that have for not with you this but his from they say her she will one all would there their what out
    about who get which when make can like time just him know take people into year your good some could them see other
    than then now look only come its over think also back after use two how our work first well way even new want because
    any these give day most us is it to of in be as at so we he by or on do if me my up an go no am big bob oil silo
    solos boss goose loss lobby hello Boil Bills Zoo Total Date Name Sum Room Notes Milk Bread Sugar Eggs Ollie Isis
    Monday Tuesday April August Invoice Paid Street Berlin Paris Zebra Quartz Pixel jolly fuzzy lazy quick brown fox jumps
    dog school lesson figure answer table sketch garden window"""
WORDS = tuple(_WORDS.split())
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_COMPLEX | cv2.FONT_ITALIC,
)


@dataclass(frozen=True)
class TrueDigit:
    """One digit on a page: its label and the tight box (x0, y0, x1, y1) of its ink, in px of the image."""

    text: str
    box: Box


@dataclass(frozen=True)
class TrueNumber:
    """One number on a page, its digits from left to right."""

    text: str
    box: Box
    digits: tuple[TrueDigit, ...]


@dataclass(frozen=True)
class Truth:
    """What stands on a page, in reading order, and how the page was made."""

    numbers: tuple[TrueNumber, ...]
    look: Look


def page(seed: int, images: np.ndarray, labels: np.ndarray, **settings) -> tuple[np.ndarray, Truth]:
    """Write numbers of 1 to 8 digits on a page.

    Args:
        seed: chooses the page's look, the digits and every accident.
        images: digits to write with, uint8 (n, 28, 28) or (n, 28, 28, 1), white on black as MNIST has them.
        labels: integers (n,).
        settings: fields of `Look` that shall not be drawn at random.

    Returns:
        The page, uint8 RGB (h, w, 3), and what stands on it.

    Raises:
        ValueError: no images, or images and labels that differ in number.
    """
    rng = np.random.default_rng([seed, 0])
    look = replace(Look.draw(rng), **settings)
    sheet = Sheet(look, rng)
    numbers = sheet.write(images, labels)
    for _ in range(look.words):
        sheet.place(_DOODLES[rng.integers(2)] if rng.random() < 0.8 else _squiggle)
    return sheet.photograph(), Truth(tuple(sheet.truth(n) for n in numbers), look)


def blank_page(seed: int, **settings) -> tuple[np.ndarray, Truth]:
    """Make a page that holds no digit: words, cursive lines, scribbles, drawings, stains, bars, or paper alone.

    Args:
        seed: chooses the page's look and what is on it.
        settings: fields of `Look` that shall not be drawn at random.

    Returns:
        The page, uint8 RGB (h, w, 3), and a `Truth` without numbers.
    """
    rng = np.random.default_rng([seed, 1])
    look = replace(Look.draw(rng), **settings)
    sheet = Sheet(look, rng)
    kinds = rng.permutation(len(_DOODLES))[: rng.integers(1, 5)] if rng.random() > 0.08 else ()
    for _ in range(int(rng.integers(6, 26)) if len(kinds) else 0):
        sheet.place(_DOODLES[rng.choice(kinds)])
    for _ in range(rng.integers(0, 3)):
        _stain(sheet)
    return sheet.photograph(), Truth((), look)


class Sheet(pages.Sheet):
    """A sheet with doodles, that says what is true of its numbers."""

    def place(self, doodle: Callable[[Sheet, float, float], tuple[float, float]]) -> None:
        """Put a doodle where nothing stands yet; give up after a few tries."""
        keep = self.ink.copy()
        for _ in range(12):
            x, y = (float(self.rng.uniform(self.area[i], max(self.area[i] + 1, self.area[i + 2]))) for i in (0, 1))
            self.ink[:] = 0
            doodle(self, x, y)
            rows, columns = np.nonzero(self.ink > 0.2)
            new, self.ink = self.ink, keep
            if not len(rows):
                continue
            box = (columns.min(), rows.min(), columns.max(), rows.max())
            inside = box[0] > self.area[0] and box[2] < self.area[2] and box[1] > self.area[1] and box[3] < self.area[3]
            if inside and not any(_near(box, other, 0.8 * self.h) for other in self.taken):
                np.maximum(self.ink, new, out=self.ink)
                self.taken.append(box)
                return
            keep = self.ink
            self.ink = new
        self.ink = keep

    def stroke(self, points: np.ndarray, width: float, closed: bool = False) -> None:
        """Draw a line through points (n, 2), in px of the sheet."""
        lines = [np.round(np.asarray(points) * 8).astype(np.int32).reshape(-1, 1, 2)]
        cv2.polylines(self.ink, lines, closed, 1.0, max(1, round(width)), cv2.LINE_AA, 3)

    def truth(self, number: list[tuple[str, np.ndarray]]) -> TrueNumber:
        digits = []
        for text, points in number:
            seen = cv2.perspectiveTransform(points[None] + 0.0, self.warp)[0]
            digits.append(TrueDigit(text, (*(float(v) for v in seen.min(0)), *(float(v) + 1 for v in seen.max(0)))))
        boxes = np.array([d.box for d in digits])
        box = tuple(float(v) for v in (*boxes[:, :2].min(0), *boxes[:, 2:].max(0)))
        return TrueNumber("".join(d.text for d in digits), box, tuple(digits))  # type: ignore[arg-type]


def _near(a: Box, b: Box, room: float) -> bool:
    return a[0] - room < b[2] and b[0] - room < a[2] and a[1] - room < b[3] and b[1] - room < a[3]


# Doodles: functions of (sheet, x, y) that draw into `sheet.ink`. `u` is the height of a digit, the unit of everything.


def _word(sheet: Sheet, x: float, y: float) -> None:
    """One to four words in a Hershey font, x-height or capitals about as high as the digits."""
    rng, u = sheet.rng, sheet.h * sheet.rng.uniform(0.7, 1.3)
    text = " ".join(rng.choice(WORDS, rng.integers(1, 5)))
    text = text.upper() if rng.random() < 0.25 else text
    pen = max(1, round(u * rng.uniform(0.05, 0.12)))
    written = np.zeros(sheet.size, np.uint8)  # cv2 writes text on 8 bit alone
    cv2.putText(written, text, (int(x), int(y)), int(rng.choice(FONTS)), u / 22, 255, pen, cv2.LINE_AA)
    np.maximum(sheet.ink, written.astype(np.float32) / 255, out=sheet.ink)


def _cursive(sheet: Sheet, x: float, y: float) -> None:
    """A line of joined handwriting-like strokes: loops and arches of changing height."""
    rng, u = sheet.rng, sheet.h * sheet.rng.uniform(0.6, 1.2)
    pen = u * rng.uniform(0.06, 0.12)
    for _ in range(rng.integers(1, 4)):
        letters = rng.integers(3, 9)
        t = np.linspace(0, letters * 2 * math.pi, letters * 24)
        height = np.interp(t, np.linspace(0, t[-1], letters + 1), rng.choice((0.35, 0.4, 0.9, 1.0), letters + 1))
        loop = np.interp(t, np.linspace(0, t[-1], letters + 1), rng.uniform(0.05, 0.3, letters + 1))
        xs = x + u * (0.09 * t + loop * np.sin(t)) + 0.25 * u * height * (1 - np.cos(t)) / 2
        ys = y - u * height * (1 - np.cos(t)) / 2 + u * 0.04 * np.sin(0.7 * t)
        sheet.stroke(np.stack([xs, ys], 1), pen)
        x = xs.max() + u * rng.uniform(0.6, 1.2)


def _scribble(sheet: Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    size = np.array([rng.uniform(1.5, 5), rng.uniform(0.8, 2.5)]) * u
    knots = rng.uniform(0, 1, (rng.integers(10, 30), 2)) * size + (x, y)
    sheet.stroke(_smooth(knots), u * rng.uniform(0.05, 0.12))


def _squiggle(sheet: Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    t = np.linspace(0, 1, 60)
    wave = np.sin(t * rng.uniform(12, 40)) * rng.uniform(0.1, 0.5) * u
    sheet.stroke(np.stack([x + t * rng.uniform(3, 8) * u, y + wave], 1), u * rng.uniform(0.05, 0.12))


def _drawing(sheet: Sheet, x: float, y: float) -> None:
    """A house, a sun, a face, a star, a flower, a fish, a cube or a graph, three to six digits high."""
    rng = sheet.rng
    u, pen = sheet.h * rng.uniform(3, 6), sheet.h * rng.uniform(0.05, 0.12)

    def line(*points, closed=False):
        sheet.stroke(np.array(points) * u + (x, y), pen, closed)

    def ring(cx, cy, rx, ry=None):
        t = np.linspace(0, 2 * math.pi, 40)
        line(*np.stack([cx + rx * np.cos(t), cy + (ry or rx) * np.sin(t)], 1), closed=True)

    turn = np.linspace(0, 2 * math.pi, 11)
    match rng.integers(8):
        case 0:  # house
            line((0, 0.4), (0.4, 0), (0.8, 0.4), (0.8, 1), (0, 1), closed=True)
            line((0.3, 1), (0.3, 0.6), (0.5, 0.6), (0.5, 1))
            line((0, 0.4), (0.8, 0.4))
        case 1:  # sun
            ring(0.5, 0.5, 0.28)
            for a in turn:
                line(*(np.array([0.5, 0.5]) + r * np.array([math.cos(a), math.sin(a)]) for r in (0.34, 0.5)))
        case 2:  # face
            ring(0.5, 0.5, 0.5)
            ring(0.33, 0.38, 0.05)
            ring(0.67, 0.38, 0.05)
            line((0.3, 0.65), (0.4, 0.74), (0.6, 0.74), (0.7, 0.65))
        case 3:  # star
            line(
                *(
                    (0.5 + 0.5 * math.sin(4 * math.pi * k / 5), 0.5 - 0.5 * math.cos(4 * math.pi * k / 5))
                    for k in range(5)
                ),
                closed=True,
            )
        case 4:  # flower
            for a in turn[:6]:
                ring(0.5 + 0.2 * math.cos(a * 1.67), 0.3 + 0.2 * math.sin(a * 1.67), 0.13)
            line((0.5, 0.55), (0.5, 1))
        case 5:  # fish
            ring(0.4, 0.4, 0.4, 0.22)
            line((0.8, 0.4), (1.0, 0.2), (1.0, 0.6), closed=True)
            ring(0.2, 0.34, 0.03)
        case 6:  # cube
            line((0, 0.3), (0.7, 0.3), (0.7, 1), (0, 1), closed=True)
            line((0, 0.3), (0.3, 0), (1, 0), (1, 0.7), (0.7, 1))
            line((0.7, 0.3), (1, 0))
        case _:  # graph
            line((0, 0), (0, 1), (1.2, 1))
            t = np.linspace(0, 1.1, 30)
            line(*np.stack([t, 0.9 - 0.7 * t**2 + 0.06 * np.sin(20 * t)], 1))


def _bars(sheet: Sheet, x: float, y: float) -> None:
    """A bar code."""
    rng, u = sheet.rng, sheet.h
    height = u * rng.uniform(0.8, 3)
    for _ in range(rng.integers(12, 40)):
        width = u * rng.choice((0.05, 0.1, 0.16))
        cv2.rectangle(sheet.ink, (round(x), round(y)), (round(x + width), round(y + height)), 1.0, -1)
        x += width + u * rng.choice((0.08, 0.14, 0.22))


def _table(sheet: Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    rows, columns = rng.integers(2, 6, 2)
    cell, pen = u * rng.uniform(1, 2.5), u * 0.05
    for i in range(rows + 1):
        sheet.stroke(np.array([[x, y + i * cell], [x + columns * cell * 1.5, y + i * cell]]), pen)
    for i in range(columns + 1):
        sheet.stroke(np.array([[x + i * cell * 1.5, y], [x + i * cell * 1.5, y + rows * cell]]), pen)


def _blobs(sheet: Sheet, x: float, y: float) -> None:
    """Filled spots and a logo: a filled disc with a piece cut out."""
    rng, u = sheet.rng, sheet.h
    for _ in range(rng.integers(1, 5)):
        knots = np.stack([np.cos(np.linspace(0, 6, 9)), np.sin(np.linspace(0, 6, 9))], 1) * rng.uniform(0.5, 1, (9, 1))
        shape = _smooth(knots * u * rng.uniform(0.1, 0.7) + (x, y), closed=True)
        cv2.fillPoly(sheet.ink, [np.round(shape * 8).astype(np.int32)], 1.0, cv2.LINE_AA, 3)
        x += u * rng.uniform(1, 2.5)


def _hatching(sheet: Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    lean, step = rng.uniform(-1.2, 1.2), u * rng.uniform(0.15, 0.4)
    for i in range(rng.integers(5, 16)):
        length = u * rng.uniform(0.8, 1.8)
        sheet.stroke(np.array([[x + i * step, y], [x + i * step + lean * length, y + length]]), u * 0.07)


def _mark(sheet: Sheet, x: float, y: float) -> None:
    """An arrow, a tick with a long arm, an underline, a bracket or a cross."""
    rng, u, pen = sheet.rng, sheet.h, sheet.h * 0.09
    shapes = (
        [[(0, 0), (3, 0)], [(2.6, -0.3), (3, 0), (2.6, 0.3)]],
        [[(0, 0), (4, 0.05)], [(0, 0.2), (4, 0.22)]],
        [[(0.3, -1), (0, -1), (0, 1), (0.3, 1)]],
        [[(0, 0), (1, 1)], [(0, 1), (1, 0)]],
        [[(0, 0.6), (0.4, 1), (1.8, -0.6)]],
    )
    for line in shapes[rng.integers(len(shapes))]:
        sheet.stroke(np.array(line) * u + (x, y), pen)


def _stain(sheet: Sheet) -> None:
    """A pale spot with a darker rim, or a coffee ring."""
    rng, (rows, columns) = sheet.rng, sheet.size
    centre = (int(rng.uniform(0, columns)), int(rng.uniform(0, rows)))
    radius = int(sheet.h * rng.uniform(1.5, 5))
    stain = np.zeros(sheet.size, np.float32)
    if rng.random() < 0.5:
        cv2.circle(stain, centre, radius, 0.12, -1, cv2.LINE_AA)
        cv2.circle(stain, centre, radius, 0.35, max(1, radius // 14), cv2.LINE_AA)
    else:
        cv2.ellipse(stain, centre, (radius, radius), 0, 20, 330, 0.45, max(1, radius // 10), cv2.LINE_AA)
    stain = cv2.GaussianBlur(stain, (0, 0), max(1.0, sheet.h * 0.04))
    np.maximum(sheet.stains, stain, out=sheet.stains)


def _smooth(knots: np.ndarray, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through knots (n, 2), 12 points a piece."""
    ends = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    p = np.concatenate([ends[0], knots, ends[1]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.transpose(1, 0, 2).reshape(-1, 2)


_DOODLES = (_word, _cursive, _scribble, _squiggle, _drawing, _bars, _table, _blobs, _hatching, _mark)

"""Glyphs: pieces of ink that may be digits, how they are found, joined, cut and made to look like MNIST.

Design choices:
- A glyph carries its own ink, cut free of its neighbours, so joining and cutting are a maximum and a mask.
- Thresholds are relative to the darkest ink nearby, never to the page: a pencil beside a felt pen is still found.
- `normalised` does what MNIST's makers did (LeCun et al. 1998): aspect kept, longest side 20 px, grey from the smaller size,
  centre of mass in the middle of 28x28. Strokes much thinner or thicker than MNIST's are brought into its range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 28  # px, MNIST's picture
LONGEST = 20  # px, the longest side of a digit in it
STROKES = (1.7, 4.4)  # px at 20 px; 90 % of MNIST's digits lie between 1.7 and 3.8
SMALLEST = 5  # px; a mark without a side this long is dirt


@dataclass(frozen=True, eq=False)
class Glyph:
    """A piece of ink at (x, y) px; `ink` float32 (h, w) in [0, 1] fits its box tightly."""

    x: int
    y: int
    ink: np.ndarray
    level: float = 1.0  # how dark it is on the page, before `ink` was scaled to 1

    @property
    def width(self) -> int:
        return self.ink.shape[1]

    @property
    def height(self) -> int:
        return self.ink.shape[0]

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def amount(self) -> float:
        return float(self.ink.sum())

    def points(self) -> np.ndarray:
        """Corners of the ink's convex hull, float32 (n, 2), px."""
        ys, xs = np.nonzero(self.ink > 0.4)
        if not len(ys):
            ys, xs = np.nonzero(self.ink > 0)
        corners = np.concatenate([np.stack([xs + dx, ys + dy], 1) for dx in (0, 1) for dy in (0, 1)])
        return cv2.convexHull(corners.astype(np.float32))[:, 0] + np.array([self.x, self.y], np.float32)


def tight(ink: np.ndarray, x: int = 0, y: int = 0, level: float = 1.0) -> Glyph | None:
    """The glyph that holds all the ink of a patch at (x, y); None where there is none."""
    ys, xs = np.nonzero(ink > 0.25)
    if not len(ys):
        return None
    y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    return Glyph(x + int(x0), y + int(y0), ink[y0:y1, x0:x1], level)


def marks(ink: np.ndarray, sigma: np.ndarray, rules: np.ndarray) -> list[Glyph]:
    """Find every connected piece of ink.

    Args:
        ink: float32 (h, w), rules taken away.
        sigma: noise, float32 (h, w).
        rules: what they were, float32 (h, w).

    Returns:
        Glyphs in no order; specks are left out.
    """
    soft = cv2.GaussianBlur(ink, (0, 0), 0.7)
    # The pen's own darkness around every pixel: the darkest ink within about a digit, carried a little further.
    small = cv2.resize(cv2.GaussianBlur(ink, (0, 0), 1.0), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    pen = cv2.blur(cv2.dilate(small, np.ones((25, 25), np.uint8)), (15, 15))
    pen = cv2.resize(pen, ink.shape[::-1], interpolation=cv2.INTER_LINEAR)
    floor = np.maximum(3.2 * sigma, 0.055)
    mask = (soft > np.maximum(0.36 * pen, floor)).astype(np.uint8)
    _, names, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    side = np.maximum(stats[:, 2], stats[:, 3])
    for i in np.nonzero((side >= SMALLEST) & (stats[:, 4] >= 2 * SMALLEST))[0]:
        if not i:
            continue
        x, y, w, h, _ = stats[i]
        x0, y0 = max(0, x - 1), max(0, y - 1)
        own = names[y0 : y + h + 1, x0 : x + w + 1] == i
        patch = soft[y0 : y + h + 1, x0 : x + w + 1]
        level = float(np.percentile(patch[own], 85))
        if level < 1.5 * float(floor[y + h // 2, x + w // 2]):
            continue
        # What is left of a rule lies on it and is about as pale.
        rule = rules[y0 : y + h + 1, x0 : x + w + 1]
        chance = float((rule > 0).mean())  # of lying on a rule, on squared paper more than half
        rule = rule[own]
        if (rule > 0).mean() > 0.6 + 0.35 * chance and level < 1.5 * float(np.median(rule[rule > 0])):
            continue
        # One pixel of soft edge belongs to the stroke, unless it is a neighbour's.
        edge = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        edge &= (names[y0 : y + h + 1, x0 : x + w + 1] == 0) | own
        glyph = tight(np.clip((patch / level - 0.12) / 0.75, 0, 1) * edge, int(x0), int(y0), level)
        if glyph is not None:
            found.append(glyph)
    return found


def joined(glyphs: Iterable[Glyph]) -> Glyph:
    """One glyph with the ink of several."""
    glyphs = list(glyphs)
    x, y = min(g.x for g in glyphs), min(g.y for g in glyphs)
    ink = np.zeros((max(g.bottom for g in glyphs) - y, max(g.right for g in glyphs) - x), np.float32)
    for g in glyphs:
        view = ink[g.y - y : g.bottom - y, g.x - x : g.right - x]
        np.maximum(view, g.ink, out=view)
    return Glyph(x, y, ink, max(g.level for g in glyphs))


def cuts(glyph: Glyph, most: int = 6) -> list[tuple[Glyph, Glyph, float]]:
    """The best places to cut a glyph in two, upright or leaning.

    Returns:
        (left, right, price): the price is the ink cut through, in heights of the glyph. Cheapest first.
    """
    h, w = glyph.ink.shape
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    found = []
    for lean in (-0.45, -0.2, 0.0, 0.2, 0.45):
        along = xs + lean * (ys - h / 2)
        column = np.clip(np.round(along).astype(int), 0, w - 1)
        profile = np.bincount(column.ravel(), glyph.ink.ravel(), w)
        profile = np.convolve(profile, [0.25, 0.5, 0.25], "same")
        side = max(3, int(0.18 * h))
        for c in range(side, w - side):
            if profile[c] <= profile[max(0, c - 3) : c + 4].min() + 1e-6:
                found.append((float(profile[c]) / h + 0.04 * abs(lean), c, lean))
    out, seen = [], []
    for price, c, lean in sorted(found):
        if any(abs(c - d) < 0.06 * h + 1 and lean == m for d, m in seen):
            continue
        seen.append((c, lean))
        left = xs + lean * (ys - h / 2) <= c
        parts = [_largest(tight(glyph.ink * m, glyph.x, glyph.y, glyph.level)) for m in (left, ~left)]
        if all(p is not None for p in parts):
            out.append((*parts, price))
        if len(out) == most:
            break
    return out


def _largest(glyph: Glyph | None) -> Glyph | None:
    """The glyph without crumbs that a cut left behind."""
    if glyph is None:
        return None
    count, names, stats, _ = cv2.connectedComponentsWithStats((glyph.ink > 0.2).astype(np.uint8), connectivity=8)
    if count <= 2:
        return glyph
    keep = [i for i in range(1, count) if stats[i, 4] > 0.1 * stats[1:, 4].max()]
    return tight(glyph.ink * np.isin(names, keep), glyph.x, glyph.y, glyph.level)


def stroke_width(glyph: Glyph) -> float:
    """Width of the pen, px: twice the area over the outline's length."""
    grown = cv2.resize(np.pad(glyph.ink, 1), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    mask = (grown > 0.45).astype(np.uint8)
    lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(line, True) for line in lines)
    return float(mask.sum()) / max(length, 1.0)


def holes(glyph: Glyph) -> int:
    """Number of holes in a glyph, without those that are as small as a gap in the ink."""
    grown = cv2.resize(np.pad(glyph.ink, 2), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    count, _, stats, _ = cv2.connectedComponentsWithStats((grown < 0.4).astype(np.uint8), connectivity=4)
    return int((stats[1:count, 4] > 0.03 * glyph.height**2).sum()) - 1


def roundness(glyph: Glyph) -> float:
    """How far the outline is from a circle: the spread of its radius over the radius; 0 is a circle."""
    lines, _ = cv2.findContours((np.pad(glyph.ink, 1) > 0.4).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not lines:
        return 1.0
    outline = max(lines, key=len)[:, 0].astype(np.float32)
    radius = np.hypot(*(outline - outline.mean(0)).T)
    return float(radius.std() / max(radius.mean(), 1.0))


def normalised(ink: np.ndarray, stroke: float | None = None) -> np.ndarray:
    """Make a digit look as MNIST's do.

    Args:
        ink: float (h, w) in [0, 1], cut to the digit's box.
        stroke: width of its pen, px; None leaves the strokes as they are.

    Returns:
        uint8 (28, 28), white on black: longest side 20 px, centre of mass at (14, 14).
    """
    h, w = ink.shape
    scale = LONGEST / max(h, w)
    ink = np.ascontiguousarray(ink, np.float32)
    if stroke is not None:
        ink = _restroked(ink, stroke, 1 / scale)
        h, w = ink.shape
        scale = LONGEST / max(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    total = float(small.sum())
    image = np.zeros((SIDE, SIDE), np.uint8)
    if total <= 0:
        return image
    rows, columns = small.sum(1), small.sum(0)
    y = round(SIDE / 2 - float((rows * np.arange(size[1])).sum()) / total)
    x = round(SIDE / 2 - float((columns * np.arange(size[0])).sum()) / total)
    y, x = min(max(y, 0), SIDE - size[1]), min(max(x, 0), SIDE - size[0])
    image[y : y + size[1], x : x + size[0]] = np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)
    return image


def _restroked(ink: np.ndarray, stroke: float, unit: float) -> np.ndarray:
    """Thicken hair lines and thin felt pens towards MNIST's range; `unit` is a normalised px in px of `ink`."""
    low, high = STROKES
    width = stroke / unit
    if width < low:
        grow = max(0, round((low + 0.3 - width) * unit))
        if grow:
            side = grow + 1
            ink = np.pad(ink, side)
            ink = cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
            ink = ink[np.ix_(ink.max(1) > 0.25, ink.max(0) > 0.25)]
    elif width > high:
        shrink = round((width - high) * unit)
        thin = cv2.erode(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (shrink + 1, shrink + 1)))
        if shrink and thin.sum() > 0.3 * ink.sum():
            ink = thin[np.ix_(thin.max(1) > 0.25, thin.max(0) > 0.25)]
    return ink


def variants(images: np.ndarray) -> np.ndarray:
    """Six looks at each digit: as it is, turned, leaning, smaller, bolder.

    Args:
        images: uint8 (n, 28, 28).

    Returns:
        uint8 (n, 6, 28, 28); the first is the digit itself.
    """
    out = np.empty((len(images), len(_LOOKS) + 2, SIDE, SIDE), np.uint8)
    for i, image in enumerate(images):
        out[i, 0] = image
        for k, matrix in enumerate(_LOOKS):
            out[i, k + 1] = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        out[i, -1] = cv2.addWeighted(image, 0.4, cv2.dilate(image, np.ones((2, 2), np.uint8)), 0.6, 0)
    return out


def _look(turn: float, lean: float, size: float) -> np.ndarray:
    a = np.deg2rad(turn)
    m = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.array([[1, lean], [0, 1]]) * size
    middle = np.array([SIDE / 2, SIDE / 2])
    return np.c_[m, middle - m @ middle]


_LOOKS = (_look(9, 0, 1.0), _look(-9, 0, 1.0), _look(0, 0.15, 0.95), _look(0, -0.15, 1.05))

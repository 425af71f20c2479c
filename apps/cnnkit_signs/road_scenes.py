"""Road scenes with boxes around the traffic signs in them: the embedded data set for detection.

Design choices:
- The kinds of signs are by shape and colour (Vienna Convention, 1968), not by meaning: what a detector can tell in few px.
- Scene k is a pure function of (seed, k). Where the signs are is drawn first, from a stream of its own, so that boxes
  are known without rendering; each sign and what is around them have streams of their own too, so a scene without one
  of its signs is the same elsewhere.
- What is drawn around signs is plain, but it holds what is mistaken for them: see `scene_parts`.
- A box is around the part of a sign that can be seen. A sign of which less than 40 % could be seen is not there.
- The scene is put together as the square root of light in 8 bits, signs and camera in linear light, as in `sign_views`.
- Signs are 16 to 128 px, and more than on most roads: a detector learns from signs, not from sky. That holds whatever the
  size of the scene: a larger scene shows more, not more of each.
"""

import bisect
import math
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from cnnkit.data.records import Shape
from cnnkit_signs.drawn_signs import Drawn
from cnnkit_signs.scene_parts import LABELS, Stock, Thing, outline, sign_variant, stock
from cnnkit_signs.sign_views import mount, moved, weathered

VERSION = 1
SIDE = (320, 448)
"""(height, width) px of a scene."""

_SHARES = np.cumsum([0.22, 0.15, 0.15, 0.12, 0.12, 0.12, 0.12]).tolist()  # rare kinds are learnt late
_EMPTY = 0.145  # of scenes; some more come out empty, where signs fell outside
MOST = 6  # signs of a scene
_SEEN = 0.4  # of a sign's area, at least
_LEAST = 6.0  # px, of a box's shorter side


class _Sign(NamedTuple):
    code: int
    corners: np.ndarray
    """float32 (4, 2), x and y in px, of its square, clockwise from the top left."""
    box: tuple[float, float, float, float]
    cut: tuple[int, int, float] | None
    """What is hidden: (axis, way, place): beyond `place` along the axis, on the far side (1) or near (-1)."""


class _Post(NamedTuple):
    x: float
    top: float
    size: float
    """px, of the signs on it."""
    many: int
    hangs: bool


class _Layout(NamedTuple):
    horizon: float
    vanishing: float
    posts: list[_Post]
    signs: list[_Sign]


def scene(seed: int, index: int, size: tuple[int, int] = SIDE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render a road scene.

    Args:
        seed: another seed, other scenes.
        index: which of them.
        size: (height, width) px, each at least 64.

    Returns:
        uint8 (h, w, 3), RGB in [0, 255]; float32 (k, 4), left, top, right and bottom of each sign's visible part, px;
        int32 (k,), its place in `LABELS`.
    """
    layout = _layout(seed, index, size)
    light, gain = _light(layout, seed, index, size)
    return _photograph(light, gain, seed, index), *_targets(layout)


class RoadScenes(Drawn):
    """Road scenes with boxes. A `Source`.

    Args:
        count: scenes.
        seed: another seed, other scenes.
        size: (height, width) px, of a scene.
    """

    def __init__(self, count: int, seed: int = 0, size: tuple[int, int] = SIDE):
        self._count, self._seed, self._size = count, seed, (int(size[0]), int(size[1]))
        super().__init__("road scenes", VERSION, LABELS, seed, self._size)

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> Shape:
        return *self._size, 3

    def boxes(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (k, 4), left, top, right, bottom in px of a scene, and int32 (k,), without rendering it."""
        return _targets(_layout(self._seed, index, self._size))

    def native(self, index: int) -> np.ndarray:
        return scene(self._seed, index, self._size)[0]

    def name(self, index: int) -> str:
        return f"road-scenes[{index}]"


def _targets(layout: _Layout) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([sign.box for sign in layout.signs], np.float32).reshape(-1, 4)
    return boxes, np.array([sign.code for sign in layout.signs], np.int32)


class _Stream(np.random.Generator):
    """The same numbers; but NumPy takes five times as long for one between two limits, of which a scene needs 120."""

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return float(low + (high - low) * self.random()) if size is None else super().uniform(low, high, size)


def _stream(*seed: int) -> np.random.Generator:
    return _Stream(np.random.PCG64(seed))


# ---- where the signs are


def _layout(seed: int, index: int, size: tuple[int, int]) -> _Layout:
    rng = _stream(seed, index, 0)
    high, wide = size
    horizon = high * (rng.uniform(0.4, 0.68) if rng.random() < 0.6 else rng.uniform(0.6, 1.1))
    vanishing = wide * min(max(rng.normal(0.5, 0.15), 0.1), 0.9)
    layout = _Layout(horizon, vanishing, [], [])
    if rng.random() < _EMPTY:
        return layout
    many = rng.random()
    for _ in range(2 if many < 0.4 else 3 if many < 0.75 else 4):
        _post(layout, rng, size)
    return layout


def _post(layout: _Layout, rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Place a post with one to three signs on it."""
    high, wide = size
    low, top = (20.0, 72.0) if rng.random() < 0.65 else (16.0, 128.0)
    side = min(low * (top / low) ** rng.random(), 0.45 * min(size))
    hangs = rng.random() < 0.12
    way = -1 if rng.random() < 0.4 else 1
    if rng.random() < 0.5:  # as far from the road as perspective has it
        x = layout.vanishing + way * side * rng.uniform(3, 9)
        if not 0 < x < wide:
            x = rng.uniform(0, wide)
    else:
        x = rng.uniform(0, wide)
    y = layout.horizon - side * rng.uniform(0.6, 4) if rng.random() < 0.7 else rng.uniform(0.05, 0.8) * high
    if hangs:
        y = layout.horizon - side * rng.uniform(4, 8)
    if not side * 0.3 < y < high - side * 0.3:
        y = rng.uniform(0.1, 0.8) * high
    many = rng.random()
    yaw = rng.normal(0, 18)
    first = len(layout.signs)
    for k in range(1 if many < 0.68 else 2 if many < 0.92 else 3):
        if len(layout.signs) == MOST:
            break
        code = bisect.bisect_right(_SHARES, rng.random() * _SHARES[-1])
        each = side * rng.uniform(0.9, 1.1)
        placed = _sign(layout, rng, size, code, (x, y + k * side * 1.12), each, yaw)
        if placed is not None:
            layout.signs.append(placed)
        elif k == 0:
            break
    if len(layout.signs) > first:
        layout.posts.append(_Post(x, y, side, len(layout.signs) - first, hangs))


def _sign(
    layout: _Layout,
    rng: np.random.Generator,
    size: tuple[int, int],
    code: int,
    middle: tuple[float, float],
    side: float,
    yaw: float,
) -> _Sign | None:
    """Place a sign, or return None where too little of it would be seen, or it would cover another."""
    yaw, pitch, roll = (math.radians(min(max(by, -55), 55)) for by in (yaw, rng.normal(0, 6), rng.normal(0, 4)))
    flat = _cornered(code)
    a, b, c = math.cos(yaw), math.cos(pitch), math.cos(roll)
    d, e, f = math.sin(yaw), math.sin(pitch), math.sin(roll)
    # about the x axis, then y, then z
    turn = np.array([(a * c, d * e * c - b * f), (a * f, d * e * f + b * c), (-d, a * e)])
    seen = flat @ turn.T
    seen = seen[:, :2] * (side / (1 + seen[:, 2:] / 3)) + middle
    edge, corners = seen[:-4], seen[-4:].astype(np.float32)
    whole = edge
    high, wide = size
    cut = None
    (left, upper), (right, lower) = edge.min(0).tolist(), edge.max(0).tolist()
    if rng.random() < 0.12 and all(other.cut is None for other in layout.signs):  # something in front of one
        axis = int(rng.random() < 0.3)
        way = 1 if axis or rng.random() < 0.5 else -1
        low, top = (upper, lower) if axis else (left, right)
        hidden = rng.uniform(0.08, 0.5)
        cut = axis, way, top - hidden * (top - low) if way > 0 else low + hidden * (top - low)
        edge = _clipped(edge, *cut)
    if left < 0 or upper < 0 or right > wide or lower > high:
        for limit in ((0, 1, float(wide)), (0, -1, 0.0), (1, 1, float(high)), (1, -1, 0.0)):
            edge = _clipped(edge, *limit)
    if edge is not whole:
        if len(edge) < 3 or _area(edge) < _SEEN * _area(whole):
            return None
        (left, upper), (right, lower) = edge.min(0).clip(0).tolist(), edge.max(0).tolist()  # below 0 by the last digit
        right, lower = min(right, float(wide)), min(lower, float(high))
    if min(right - left, lower - upper) < _LEAST:
        return None
    for other in layout.signs:
        if (
            left < other.box[2] + 1
            and other.box[0] < right + 1
            and upper < other.box[3] + 1
            and other.box[1] < lower + 1
        ):
            return None
    return _Sign(code, corners, (left, upper, right, lower), cut)


@lru_cache(maxsize=16)
def _cornered(code: int) -> np.ndarray:
    return np.concatenate([outline(code), _SQUARE]).astype(np.float64)


_SQUARE = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], np.float32)


def _area(edge: np.ndarray) -> float:
    x, y = edge[:, 0], edge[:, 1]
    return abs(float(x @ np.concatenate([y[-1:], y[:-1]]) - y @ np.concatenate([x[-1:], x[:-1]]))) / 2


def _clipped(edge: np.ndarray, axis: int, way: int, place: float) -> np.ndarray:
    """Cut off what of a convex polygon lies beyond a place along an axis."""
    beyond = (edge[:, axis] - place) * way
    if not (beyond > 0).any():
        return edge
    kept = []
    points, far = edge.tolist(), beyond.tolist()
    for (x0, y0), (x, y), one, other in zip(points[-1:] + points, points, far[-1:] + far, far):
        if (one > 0) != (other > 0):
            part = one / (one - other)
            kept.append((x0 + (x - x0) * part, y0 + (y - y0) * part))
        if other <= 0:
            kept.append((x, y))
    return np.array(kept).reshape(-1, 2)


# ---- what is around them


def _light(layout: _Layout, seed: int, index: int, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Return the scene before the camera and its brightness.

    Returns:
        float32 (h, w, 3), RGB, linear in light, about [0, 1]; the light on what stands in front of the sky.
    """
    rng = _stream(seed, index, 1)
    parts = stock()
    night = rng.random() < 0.04
    gain = rng.uniform(0.02, 0.12) if night else 0.2 * (1.1 / 0.2) ** rng.random()
    page = _surroundings(layout, rng, parts, size, gain, night)
    for post in layout.posts:
        _stand(page, post, rng, parts, gain)
    light = cv2.LUT(page, _LINEAR)
    if rng.random() < 0.7:  # nothing is as even as a drawing
        y, x = rng.integers(0, 512, 2).tolist()
        # but the sky is: what is bright stays as it is
        rough = np.float32(1) - light
        cv2.multiply(rough, _patch(parts.mottle, y, x, size), rough)
        cv2.multiply(rough, light, rough)
        cv2.scaleAdd(rough, 0.02 * 15 ** rng.random(), light, light)
    on_signs = rng.uniform(0.25, 0.8) if night else gain**0.6 * rng.uniform(0.7, 1.1)
    # the covered one first: others stand in front of what covers it
    for place, sign in sorted(enumerate(layout.signs), key=lambda one: one[1].cut is None):
        _show(light, sign, _stream(seed, index, 2, place), parts, on_signs)
    if night or rng.random() < 0.04:
        _lamps(light, layout, rng)
    return light, gain


_LINEAR = (np.arange(256, dtype=np.float32) / 255) ** 2


def _pick(rng: np.random.Generator, things: list[Any]) -> Any:
    return things[rng.integers(len(things))]


def _patch(field: np.ndarray, y: int, x: int, size: tuple[int, int]) -> np.ndarray:
    """Return size px of a field of 512 x 512 that goes on for ever, from (y, x) on."""
    high, wide = size
    y, x = y % max(1, 513 - high), x % max(1, 513 - wide)
    if y + high <= 512 and x + wide <= 512:
        return field[y : y + high, x : x + wide]
    return np.tile(field, (-(-high // 512), -(-wide // 512), 1))[:high, :wide]


def _surroundings(
    layout: _Layout, rng: np.random.Generator, parts: Stock, size: tuple[int, int], gain: float, night: bool
) -> np.ndarray:
    """Draw everything that is not on a post with signs: uint8 (h, w, 3), the square root of light."""
    high, wide = size
    horizon, middle = layout.horizon, layout.vanishing
    sky = _pick(rng, parts.skies)
    if night:
        sky = cv2.convertScaleAbs(sky, alpha=rng.uniform(0.05, 0.35))
    start = int(rng.integers(0, 96))
    page = cv2.resize(sky[:, start : start + 96], (wide, high), interpolation=cv2.INTER_LINEAR)
    town = rng.random() < 0.5
    if rng.random() < 0.2:
        _backdrop(page, rng, parts, gain)
    for _ in range(rng.integers(0, 3)):
        tall = high * rng.uniform(0.06, 0.5)
        across = tall * rng.uniform(2, 4)
        x = rng.uniform(-across, wide) if rng.random() < 0.4 else middle - (rng.random() < 0.5) * across
        _place(page, _pick(rng, parts.woods), x, horizon + 3 - tall, across, tall, gain * rng.uniform(0.4, 0.9))
    for _ in range(rng.integers(1, 5) if town else rng.integers(0, 2)):
        _house(page, layout, rng, parts, gain)
    _ground(page, layout, rng, parts, gain)
    if rng.random() < 0.05:  # a bridge
        low, deep = horizon - high * rng.uniform(0.1, 0.5), high * rng.uniform(0.06, 0.25)
        shade = _tone(rng.uniform(0.05, 0.4) * gain)
        cv2.rectangle(page, (0, int(low - deep)), (wide, int(low)), (shade,) * 3, cv2.FILLED)
        cv2.rectangle(page, (0, int(low - deep * 0.3)), (wide, int(low)), (shade * 0.6,) * 3, cv2.FILLED)
    if rng.random() < 0.3:
        _fence(page, layout, rng, gain)
    for _ in range(rng.integers(0, 8)):
        tall = high * rng.uniform(0.15, 1.2)
        foot = horizon + tall * rng.uniform(0.02, 0.2)
        x = middle + (1 if rng.random() < 0.5 else -1) * tall * rng.uniform(0.35, 1.6)
        tree = _pick(rng, parts.trees)
        _place(page, tree, x - tall / 2, foot - tall, tall, tall, gain * rng.uniform(0.5, 1.1))
    for _ in range(rng.integers(0, 4)):
        _clutter(page, layout, rng, gain)
    for _ in range(rng.integers(0, 4)):
        _lamp_post(page, layout, rng, gain)
    for _ in range(rng.integers(0, 4) if town else rng.integers(0, 2)):
        shade = _tone(rng.uniform(0.01, 0.1))
        a, b, c = rng.uniform(-0.3, 0.8, 3) * horizon
        x = rng.uniform(0.2, 0.8) * wide
        ends = np.rint([(0, a), (x, c), (wide, b)]).astype(np.int32)
        cv2.polylines(page, [ends], False, (shade,) * 3, 1, cv2.LINE_AA)
    cars = sorted((10 * (240 / 10) ** rng.random(rng.integers(0, 6)) ** 1.2).tolist())
    for across in cars:
        foot = horizon + across * rng.uniform(0.3, 0.6)
        x = middle + across * rng.uniform(-3.5, 3) - across / 2
        car = _pick(rng, parts.cars)
        across *= 0.9 if car.ratio > 0.6 else 1.9
        tall = across * car.ratio
        under = np.rint([(x, foot), (x + across, foot), (x + across * 0.9, foot - tall * 0.12)]).astype(np.int32)
        cv2.fillConvexPoly(page, under, (_tone(0.02 * gain),) * 3)
        _place(page, car, x, foot - tall, across, tall, gain * rng.uniform(0.6, 1.2))
    for _ in range(rng.integers(0, 5) if town else 0):
        tall = high * 0.06 * 5 ** rng.random()
        x, foot = rng.uniform(0, wide), horizon + tall * rng.uniform(0.1, 0.2)
        _place(page, _pick(rng, parts.people), x, foot - tall, tall / 2, tall, gain * rng.uniform(0.5, 1))
    for _ in range(rng.integers(0, 8)):
        across = 8 * (90 / 8) ** rng.random() ** 1.3
        tall = across * (1 if rng.random() < 0.6 else rng.uniform(0.75, 1.2))
        x, y = rng.uniform(-0.5 * across, wide), horizon - across * rng.uniform(-0.3, 4)
        y = y if -across < y < high else rng.uniform(0, 0.8) * high
        if rng.random() < 0.7:
            shade, half = _tone(gain * rng.uniform(0.05, 0.6)), max(0.5, across * rng.uniform(0.02, 0.07))
            _bar(page, x + across / 2, half, y + tall / 2, y + across * rng.uniform(3, 6), shade)
        _place(page, _pick(rng, parts.plates), x, y, across, tall, gain * rng.uniform(0.6, 1.3))
    return page


def _backdrop(page: np.ndarray, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    """Fill the page with something near: a wood, a hedge, a wall, as behind a sign photographed by itself."""
    high, wide = page.shape[:2]
    kind = rng.random()
    if kind < 0.4:
        for _ in range(2):
            tall = high * rng.uniform(0.9, 1.8)
            across = max(3.0 * tall, 1.0 * wide)
            x, y = rng.uniform(wide - across, 0), high * rng.uniform(0.9, 1.2) - tall
            _place(page, _pick(rng, parts.woods), x, y, across, tall, gain * rng.uniform(0.4, 1))
    elif kind < 0.7:
        scale = rng.uniform(0.5, 1)
        rows, columns = (min(int(side * scale), 512) for side in (high, wide))
        y, x = int(rng.integers(0, 513 - rows)), int(rng.integers(0, 513 - columns))
        leaves = cv2.resize(_pick(rng, parts.leaves)[y : y + rows, x : x + columns], (wide, high))
        leaves = cv2.convertScaleAbs(leaves, alpha=math.sqrt(gain * rng.uniform(0.3, 1.2)))
        edge = rng.uniform(-0.5, 0.6) * high + rng.normal(0, 0.06 * high, 24)
        edge = np.stack([np.linspace(0, wide, 24), edge], 1)
        mask = np.zeros((high, wide), np.uint8)
        cv2.fillPoly(mask, [np.rint(np.concatenate([edge, [(wide, high), (0, high)]])).astype(np.int32)], 1)
        cv2.copyTo(leaves, mask, page)
    else:
        across = wide * rng.uniform(1, 2)
        x, y = rng.uniform(wide - across, 0), high * rng.uniform(-0.3, 0.2)
        _place(page, _pick(rng, parts.facades), x, y, across, high * 1.3, gain * rng.uniform(0.4, 1.2))


def _tone(light: float) -> float:
    return 255 * math.sqrt(min(max(light, 0.0), 1.0))


def _bar(page: np.ndarray, x: float, half: float, top: float, bottom: float, shade: float) -> None:
    """Draw a tube, lit from one side."""
    for part, value in ((1.0, shade), (0.4, min(255.0, shade * 1.25))):
        points = [
            (x - half, top),
            (x + half * (2 * part - 1), top),
            (x + half * (2 * part - 1), bottom),
            (x - half, bottom),
        ]
        cv2.fillConvexPoly(page, np.rint(np.array(points) * 16).astype(np.int32), (value,) * 3, cv2.LINE_AA, 4)


def _place(page: np.ndarray, thing: Thing, x: float, y: float, wide: float, high: float, gain: float) -> None:
    """Lay a thing over the page, scaled to wide x high px, its top left at (x, y), lit by `gain`."""
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(page.shape[1], round(x + wide)), min(page.shape[0], round(y + high))
    if right <= left or bottom <= top:
        return
    rgb, alpha = thing.level(wide, high)
    tall, across = rgb.shape[:2]
    columns = _part(left - x, right - x, across / wide, across)
    rows = _part(top - y, bottom - y, tall / high, tall)
    size = right - left, bottom - top
    seen = cv2.resize(rgb[rows, columns], size, interpolation=cv2.INTER_LINEAR)
    cv2.convertScaleAbs(seen, seen, math.sqrt(gain))
    under = page[top:bottom, left:right]
    if alpha is None:
        under[:] = seen
        return
    clear = cv2.resize(alpha[rows, columns], size, interpolation=cv2.INTER_LINEAR)
    clear = cv2.cvtColor(cv2.bitwise_not(clear, clear), cv2.COLOR_GRAY2RGB)
    cv2.add(cv2.multiply(under, clear, clear, 1 / 255), seen, under)


def _part(start: float, end: float, scale: float, count: int) -> slice:
    """Return which of `count` rows or columns to take, at least one, for those from `start` to `end`."""
    first = min(max(int(start * scale), 0), count - 1)
    return slice(first, max(first + 1, math.ceil(end * scale)))


def _house(page: np.ndarray, layout: _Layout, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    high, wide = page.shape[:2]
    light = gain * rng.uniform(0.4, 1.2)
    facade = _pick(rng, parts.facades)
    if rng.random() < 0.55:  # along the road
        way = 1 if rng.random() < 0.5 else -1
        near, far = rng.uniform(0.5, 1.4) * wide / 2, rng.uniform(0.08, 0.45) * wide / 2
        rise, drop = rng.uniform(0.3, 1.6), rng.uniform(0.08, 0.3)
        points = [(far, -rise * far), (near, -rise * near), (near, drop * near), (far, drop * far)]
        corners = np.array([(layout.vanishing + way * x, layout.horizon + y) for x, y in points], np.float32)
        rgb, _ = facade.level((near - far) * 0.8, rise * near * 0.8)
        side = len(rgb) - 1
        ends = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
        low = np.maximum(corners.min(0), 0).astype(int)
        top = np.minimum(np.ceil(corners.max(0)), (wide, high)).astype(int)
        (x0, y0), (x1, y1) = low.tolist(), top.tolist()
        if x1 <= x0 or y1 <= y0:
            return
        matrix = cv2.getPerspectiveTransform(ends, corners - low.astype(np.float32))
        lit = cv2.convertScaleAbs(rgb, alpha=math.sqrt(light))
        part = page[y0:y1, x0:x1]
        cv2.warpPerspective(lit, matrix, (x1 - x0, y1 - y0), part, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
        return
    across, tall = rng.uniform(0.12, 0.6) * wide, rng.uniform(0.08, 0.6) * high
    x, y = rng.uniform(-0.2, 0.9) * wide, layout.horizon - tall
    _place(page, facade, x, y, across, tall * 1.1, light)
    if rng.random() < 0.5:  # a roof
        roof = (
            np.sqrt(light * np.array(((0.35, 0.12, 0.08), (0.12, 0.12, 0.13), (0.25, 0.2, 0.16))[rng.integers(3)]))
            * 255
        )
        inset, rise = rng.uniform(0, 0.5) * across, rng.uniform(0.15, 0.5) * across
        points = [(x - 3, y + 1), (x + inset, y - rise), (x + across - inset, y - rise), (x + across + 3, y + 1)]
        cv2.fillConvexPoly(page, np.rint(points).astype(np.int32), roof.clip(0, 255).tolist(), cv2.LINE_AA)


def _fence(page: np.ndarray, layout: _Layout, rng: np.random.Generator, gain: float) -> None:
    """Draw a rail, a fence or a wall along the road, towards where it vanishes."""
    way = 1 if rng.random() < 0.5 else -1
    far, shade = page.shape[1] * 1.2, _tone(gain * rng.uniform(0.1, 0.7))
    low, top = rng.uniform(0.12, 0.3), rng.uniform(0.02, 0.1)

    def rail(upper: float, lower: float, value: float) -> None:
        points = [(0, 0), (way * far, upper * far), (way * far, lower * far)]
        places = np.rint([(layout.vanishing + x, layout.horizon + y) for x, y in points]).astype(np.int32)
        cv2.fillConvexPoly(page, places, (value,) * 3, cv2.LINE_AA)

    if rng.random() < 0.3:
        rail(top, low, shade)
        return
    for place in np.linspace(top, low * 0.8, rng.integers(1, 4)).tolist():
        rail(place, place + 0.02, shade)
    away = rng.uniform(10, 30)
    while away < far:
        x, y = layout.vanishing + way * away, layout.horizon
        ends = np.rint([(x, y + top * away), (x, y + low * away)]).astype(int).tolist()
        cv2.line(page, ends[0], ends[1], (shade * 0.8,) * 3, max(1, int(away / 80)))
        away *= 1.22


def _clutter(page: np.ndarray, layout: _Layout, rng: np.random.Generator, gain: float) -> None:
    """Draw many small edges in one place: twigs, a scaffold, bicycles, goods before a shop, who knows."""
    high, wide = page.shape[:2]
    middle = rng.uniform(0, wide), layout.horizon + rng.normal(0.0, 0.06) * high
    across = np.array((rng.uniform(0.03, 0.3) * wide, rng.uniform(0.03, 0.2) * high))
    many = int(rng.integers(10, 45))
    starts = middle + rng.normal(0, 0.5, (many, 2)) * across
    steps = rng.normal(0, 0.25, (many, 2)) * across.min()
    if rng.random() < 0.5:  # upright and level
        steps[np.arange(many), rng.integers(0, 2, many)] = 0
    tones = (np.sqrt(gain * 0.7 * rng.random(many) ** 2) * 255).clip(0, 255).tolist()
    tint = rng.uniform(0.6, 1, 3).tolist() if rng.random() < 0.7 else rng.uniform(0, 1, 3).tolist()
    filled = rng.random() < 0.2
    starts, ends = np.rint(starts).astype(int).tolist(), np.rint(starts + steps).astype(int).tolist()
    for start, end, tone in zip(starts, ends, tones):
        colour = [tone * part for part in tint]
        if filled:
            cv2.rectangle(page, start, end, colour, cv2.FILLED)
        else:
            cv2.line(page, start, end, colour, 1, cv2.LINE_AA)


def _lamp_post(page: np.ndarray, layout: _Layout, rng: np.random.Generator, gain: float) -> None:
    high, wide = page.shape[:2]
    x, tall = rng.uniform(0, wide), high * rng.uniform(0.15, 0.9)
    foot = layout.horizon + tall * rng.uniform(0.03, 0.2)
    shade, half = _tone(gain * rng.uniform(0.03, 0.5)), tall * rng.uniform(0.004, 0.014)
    _bar(page, x, half, foot - tall, foot, shade)
    if rng.random() < 0.6:
        arm = tall * rng.uniform(-0.25, 0.25)
        ends = np.rint([(x, foot - tall), (x + arm * 0.6, foot - tall * 1.06), (x + arm, foot - tall * 1.06)]).astype(
            np.int32
        )
        cv2.polylines(page, [ends], False, (shade,) * 3, max(1, round(half * 1.5)), cv2.LINE_AA)


def _ground(page: np.ndarray, layout: _Layout, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    high, wide = page.shape[:2]
    start = int(layout.horizon)
    if start >= high:
        return

    def shade(low: float, top: float, tint: Any = (1, 1, 1)) -> list[float]:
        light = gain * rng.uniform(low, top)
        return [_tone(light * part) for part in tint]

    x0, depth = layout.vanishing, high * 1.0

    def strip(left: float, right: float, colour: Any, near: float = 1.0, far: float = 0.0) -> None:
        points = [(x0 + left * far * depth, start + far * depth), (x0 + right * far * depth, start + far * depth)]
        points += [(x0 + right * near * depth, start + near * depth), (x0 + left * near * depth, start + near * depth)]
        cv2.fillConvexPoly(page, np.rint(np.array(points) * 16).astype(np.int32), colour, cv2.LINE_AA, 4)

    tints = ((0.6, 0.8, 0.3), (0.8, 0.7, 0.45), (1, 0.95, 0.9), (0.95, 0.97, 1))
    cv2.rectangle(page, (0, start), (wide, high), shade(0.08, 0.5, tints[rng.integers(4)]), cv2.FILLED)
    left, right = -rng.uniform(0.8, 3), rng.uniform(0.8, 3)
    if rng.random() < 0.6:
        strip(left - rng.uniform(0.3, 1), right + rng.uniform(0.3, 1), shade(0.15, 0.6))
        strip(left - 0.06, right + 0.06, shade(0.2, 0.7))
    strip(left, right, shade(0.06, 0.4))
    paint = shade(0.5, 0.9)
    if rng.random() < 0.5:
        strip(left + 0.1, left + 0.16, paint)
        strip(right - 0.16, right - 0.1, paint)
    middle = rng.uniform(-0.4, 0.4)
    if rng.random() < 0.7:
        far = 0.03
        while far < 1:
            strip(middle - 0.05, middle + 0.05, paint, far * 1.35, far)
            far *= 1.9
    if rng.random() < 0.2:  # a crossing
        far = rng.uniform(0.08, 0.4)
        for stripe in np.arange(left, right, rng.uniform(0.25, 0.4)).tolist():
            strip(stripe, stripe + 0.16, paint, far * 1.3, far)
    for _ in range(rng.integers(0, 4)):  # cracks, and what mended them
        away = rng.uniform(0.05, 0.9, 4) ** 1.5
        across = rng.uniform(left, right) + rng.normal(0, 0.15, 4)
        points = np.stack([x0 + across * away * depth, start + away * depth], 1)
        cv2.polylines(page, [np.rint(points).astype(np.int32)], False, shade(0.02, 0.25), 1, cv2.LINE_AA)
    if rng.random() < 0.4:  # shadows of trees and houses
        for _ in range(rng.integers(1, 5)):
            far, wide_at = rng.uniform(0.03, 0.8), rng.uniform(-3, 3)
            strip(wide_at, wide_at + rng.uniform(0.5, 4), shade(0.02, 0.12), far * rng.uniform(1.1, 1.6), far)
    field = _pick(rng, parts.grounds)
    part = page[start:]
    rows = min(len(part), 512)
    y = int(rng.integers(0, 513 - rows))
    rough = cv2.resize(field[y : y + rows, 128:384], (wide, len(part)))
    cv2.multiply(part, rough, part, 1 / 128)


def _stand(page: np.ndarray, post: _Post, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    """Draw what signs are on, and what else is on it."""
    shade = _tone(gain * rng.uniform(0.04, 0.7))
    half = max(0.6, post.size * rng.uniform(0.03, 0.06))
    if rng.random() < 0.2:
        half = post.size * rng.uniform(0.08, 0.25)  # the post of a lamp, or wood
    end = post.top + post.size * (1.12 * post.many - 0.5)
    if post.hangs:
        _bar(page, post.x, half, post.top - post.size * rng.uniform(0.5, 1), end - 0.3 * post.size, shade)
        y, way = post.top - post.size * rng.uniform(0.5, 0.7), 1 if rng.random() < 0.5 else -1
        far, thick = post.x + way * page.shape[1], max(1, round(half * 2))
        cv2.line(
            page, (round(post.x - way * post.size), round(y)), (round(far), round(y)), (shade,) * 3, thick, cv2.LINE_AA
        )
    else:
        top = -10.0 if rng.random() < 0.2 else post.top - post.size * rng.uniform(0, 0.5)
        _bar(page, post.x, half, top, end + post.size * rng.uniform(2, 6), shade)
    if rng.random() < 0.06:  # a bright board behind
        board, wide = (
            ((0.9, 0.9, 0.3), (0.85, 0.85, 0.85), (0.3, 0.3, 0.3))[rng.integers(3)],
            post.size * rng.uniform(0.55, 0.75),
        )
        colour = (np.sqrt(gain**0.6 * np.array(board)) * 255).clip(0, 255).tolist()
        box = (
            np.rint([(post.x - wide, post.top - wide), (post.x + wide, end + wide - 0.5 * post.size)])
            .astype(int)
            .tolist()
        )
        cv2.rectangle(page, box[0], box[1], colour, cv2.FILLED)
    if rng.random() < 0.35:
        across = post.size * rng.uniform(0.7, 1.2)
        y = end + post.size * 0.05 if rng.random() < 0.8 else post.top - post.size * 0.55 - across
        plate = _pick(rng, parts.plates)
        _place(page, plate, post.x - across / 2, y, across, across, gain**0.6 * rng.uniform(0.6, 1.1))


def _show(light: np.ndarray, sign: _Sign, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    """Lay a sign into the scene, and what is in front of it."""
    high, wide = light.shape[:2]
    low, top = sign.corners.min(0), sign.corners.max(0)
    across = max(10, math.ceil(float((top - low).max())))
    flat = sign_variant(sign.code, rng, min(max(across, 24), 96))
    paint = weathered(cv2.resize(flat, (across, across), interpolation=cv2.INTER_AREA), rng)
    paint[:3] *= np.float32(gain)
    if rng.random() < 0.12:  # a shadow with an edge
        place = np.linspace(-1, 1, across, dtype=np.float32)
        side = place[None, :] * rng.normal() + place[:, None] * rng.normal() + rng.uniform(-0.5, 0.5) > 0
        paint[:3] *= np.where(side, np.float32(rng.uniform(0.25, 0.6)), np.float32(1))
    x0, y0 = np.maximum(np.floor(low).astype(int) - 1, 0).tolist()
    x1, y1 = np.minimum(np.ceil(top).astype(int) + 2, (wide, high)).tolist()
    part = light[y0:y1, x0:x1]
    mount(part, paint, sign.corners - np.array([x0, y0], np.float32))
    if sign.cut is not None:
        _cover(light, sign.cut, (x0, y0, x1, y1), rng, parts, gain)
    elif rng.random() < 0.1:  # twigs: too thin to count
        tone = rng.uniform(0.01, 0.15) * gain
        for _ in range(rng.integers(1, 5)):
            points = np.rint(rng.uniform((x0, y0), (x1, y1), (3, 2))).astype(np.int32)
            cv2.polylines(light, [points], False, (tone, tone * 0.9, tone * 0.7), max(1, across // 48), cv2.LINE_AA)


def _cover(
    light: np.ndarray,
    cut: tuple[int, int, float],
    around: tuple[int, int, int, int],
    rng: np.random.Generator,
    parts: Stock,
    gain: float,
) -> None:
    """Hide what lies beyond a place along an axis: behind leaves, a trunk, a lorry."""
    axis, way, place = cut
    x0, y0, x1, y1 = around
    across = max(x1 - x0, y1 - y0)
    start, more = round(place), int(rng.integers(2, across + 3))
    left, right, upper, lower = x0 - more, x1 + more, y0 - more, y1 + int(rng.integers(across, 4 * across))
    if axis == 0:
        left, right = (start, x1 + more) if way > 0 else (x0 - more, start)
        upper = upper if rng.random() < 0.5 else 0
    else:
        upper = start
    left, right, upper, lower = max(left, 0), min(right, light.shape[1]), max(upper, 0), min(lower, light.shape[0])
    if right <= left or lower <= upper:
        return
    wide, high = right - left, lower - upper
    cover = light[upper:lower, left:right]
    if rng.random() < 0.6:
        leaves = _pick(rng, parts.leaves)
        scale = rng.uniform(0.5, 2)
        rows, columns = (min(max(int(side / scale), 8), 512) for side in (high, wide))
        seen = cv2.LUT(
            cv2.resize(leaves[:rows, :columns], (wide, high)), _LINEAR * np.float32(gain * rng.uniform(0.4, 1.2))
        )
        # ragged edges, but leaves enough where the sign is that its box holds
        ragged = max(1.0, 0.06 * across)
        edge = cv2.resize(rng.random((max(2, high // 4), max(2, wide // 4)), np.float32), (wide, high))
        x, y = np.arange(wide, dtype=np.float32)[None], np.arange(high, dtype=np.float32)[:, None]
        inside = (y, wide - 1 - x, high - 1 - y, x) if axis == 0 else (y, x, wide - 1 - x, high - 1 - y)
        inside = inside if axis or way > 0 else (y, x, high - 1 - y, wide - 1 - x)
        depth = inside[0] if axis else inside[3]
        far = np.minimum(np.minimum(inside[1], inside[2]), inside[3] if axis else inside[0])
        mask = (depth + ragged > 2 * ragged * edge) & (far > more * edge)
        cv2.copyTo(seen, mask.astype(np.uint8), cover)
        return
    tint = np.array(((0.3, 0.25, 0.2), (0.4, 0.4, 0.4), (0.6, 0.6, 0.62), (0.1, 0.1, 0.1))[rng.integers(4)])
    turn = np.linspace(0.6, 1.2, wide, dtype=np.float32) if rng.random() < 0.7 else np.ones(wide, np.float32)
    cover[:] = (turn[:, None] * (tint * gain * rng.uniform(0.3, 1.2)).astype(np.float32))[None]


def _lamps(light: np.ndarray, layout: _Layout, rng: np.random.Generator) -> None:
    """Switch on what shines at night: head lamps, tail lamps, street lamps."""
    high, wide = light.shape[:2]
    glow = np.zeros((high // 4, wide // 4, 3), np.float32)
    spots = np.zeros_like(light)
    colours = ((1.0, 0.9, 0.7), (1.0, 0.75, 0.4), (1.0, 0.1, 0.05), (0.8, 0.9, 1.0))
    for _ in range(rng.integers(2, 12)):
        x, y = rng.uniform(0, wide), layout.horizon + rng.normal(0, 0.15) * high
        colour = (np.array(colours[rng.integers(4)]) * rng.uniform(0.6, 3)).tolist()
        radius = int(rng.integers(1, 6))
        cv2.circle(spots, (int(x), int(y)), radius, colour, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(glow, (int(x / 4), int(y / 4)), radius, colour, cv2.FILLED)
    glow = cv2.GaussianBlur(glow, (0, 0), rng.uniform(1.5, 5))
    light += spots
    light += cv2.resize(glow, (wide, high)) * np.float32(rng.uniform(0.1, 0.6))


# ---- the camera


def _photograph(light: np.ndarray, gain: float, seed: int, index: int) -> np.ndarray:
    """Turn light into a picture: float32 (h, w, 3) to uint8 of that shape, through haze, lens, sensor, file."""
    rng = _stream(seed, index, 3)
    size = high, wide = light.shape[:2]
    exposure = gain ** -rng.uniform(0, 0.7) * math.exp(min(rng.normal(0, 0.35), 0.7))
    if rng.random() < 0.06:
        exposure *= rng.uniform(0.2, 0.5)
    mix = np.diag(exposure * np.exp(rng.normal(0, 0.08, 3)))
    vivid = rng.normal(1.05, 0.2) if rng.random() < 0.98 else 0.0  # a few without colour
    mix = (vivid * np.eye(3) + (1 - vivid) / 3) @ mix
    haze = min(gain, 1) * rng.uniform(0, 0.15) * rng.uniform(0.8, 1.2, 3) if rng.random() < 0.25 else np.zeros(3)
    light = cv2.transform(light, np.column_stack([mix, haze]).astype(np.float32))
    kind = rng.random()
    if kind < 0.15:  # few px, made more
        part = rng.uniform(0.45, 0.8)
        light = cv2.resize(light, (round(wide * part), round(high * part)), interpolation=cv2.INTER_AREA)
        light = cv2.resize(light, (wide, high), interpolation=cv2.INTER_LINEAR)
    else:
        sigma = rng.uniform(0.3, 0.65) if kind < 0.85 else rng.uniform(0.65, 1.4)
        light = cv2.GaussianBlur(light, (3, 3) if sigma < 0.5 else (5, 5) if sigma < 1 else (7, 7), sigma)
    if rng.random() < 0.08:
        _windscreen(light, rng)
    if rng.random() < 0.1:
        light = moved(light, rng.uniform(1, 4.5), rng.uniform(0, math.pi))
    cv2.threshold(light, 1, 0, cv2.THRESH_TRUNC, light)
    cv2.sqrt(cv2.threshold(light, 0, 0, cv2.THRESH_TOZERO, light)[1], light)
    if rng.random() < 0.75:
        y, x = rng.integers(0, 512, 2).tolist()
        cv2.scaleAdd(_patch(stock().grain, y, x, size), 0.03 * rng.random() ** 2, light, light)
    if rng.random() < 0.35:  # sharpened, as telephones do
        much = rng.uniform(0.3, 1.3)
        cv2.addWeighted(light, 1 + much, cv2.GaussianBlur(light, (5, 5), 1), -much, 0, light)
        cv2.threshold(light, 0, 0, cv2.THRESH_TOZERO, light)
    photo = cv2.convertScaleAbs(light, alpha=255)
    if rng.random() < 0.4:  # a steeper curve, or a flatter one
        bend = rng.uniform(-0.25, 0.35) / math.pi / 2
        steps = np.arange(256) / 255
        photo = cv2.LUT(photo, np.rint((steps - bend * np.sin(2 * math.pi * steps)).clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.5:
        coded = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))])[1]
        photo = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return photo


def _windscreen(light: np.ndarray, rng: np.random.Generator) -> None:
    """Put glass before the lens: a reflection on it, rain on it, the bonnet below."""
    high, wide = light.shape[:2]
    kind = rng.random()
    if kind < 0.4:
        field = rng.random((3, 4), np.float32) ** 3 * np.float32(rng.uniform(0.05, 0.4))
        light += cv2.resize(field, (wide, high), interpolation=cv2.INTER_LINEAR)[..., None]
    elif kind < 0.75:
        small = cv2.resize(light, (max(wide // 16, 1), max(high // 16, 1)), interpolation=cv2.INTER_AREA)
        smeared = cv2.resize(small[::-1], (wide, high), interpolation=cv2.INTER_LINEAR)  # a drop turns things over
        mask = np.zeros((high, wide), np.uint8)
        for x, y, radius in (rng.random((rng.integers(5, 50), 3)) * (wide, high, 3.5)).tolist():
            cv2.circle(mask, (int(x), int(y)), 1 + int(radius), 1, cv2.FILLED)
        cv2.copyTo(smeared, mask, light)
    else:
        tone = rng.uniform(0.01, 0.2)
        middle, axes = (
            (int(rng.uniform(0.2, 0.8) * wide), high),
            (int(wide * rng.uniform(0.5, 0.9)), int(high * rng.uniform(0.03, 0.15))),
        )
        cv2.ellipse(light, middle, axes, 0, 180, 360, (tone, tone, tone * 1.05), cv2.FILLED, cv2.LINE_AA)

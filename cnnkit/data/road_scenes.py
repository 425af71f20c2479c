"""Road scenes with boxes around the traffic signs in them: the embedded data set for detection.

Design choices:
- The kinds of signs are by shape and colour (Vienna Convention, 1968), not by meaning: what a detector can tell in few px.
- Scene k is a pure function of (seed, k). Where the signs are is drawn first, from a stream of its own, so that boxes
  are known without rendering; each sign and what is around them have streams of their own too, so a scene without one
  of its signs is the same elsewhere.
- What is drawn around signs is plain, but it holds what is mistaken for them: see `scene_parts`.
- A box is around the part of a sign that can be seen. A sign of which less than 40 % could be seen is not there.
- The scene is put together as the square root of light in 8 bits, signs and camera in linear light, as in `sign_views`.
- Signs are 10 to 120 px whatever the size of the scene: a larger scene shows more, not more of each.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from cnnkit.data.records import Shape
from cnnkit.data.scene_parts import LABELS, Stock, outline, sign_variant, stock
from cnnkit.data.sign_views import mount, moved, weathered
from cnnkit.device import image

__all__ = ["LABELS", "SIDE", "RoadScenes", "scene"]

VERSION = 1
SIDE = (320, 448)
"""(height, width) px of a scene."""

_SHARES = np.cumsum([0.28, 0.19, 0.19, 0.07, 0.11, 0.08, 0.08])
_EMPTY = 0.13  # of scenes; some more come out empty, where signs fell outside
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
    return _photograph(_light(layout, seed, index, size), seed, index), *_targets(layout)


class RoadScenes:
    """Road scenes with boxes. An `Images` source.

    Args:
        count: scenes.
        seed: another seed, other scenes.
        size: (height, width) px, of a scene.
    """

    def __init__(self, count: int, seed: int = 0, size: tuple[int, int] = SIDE):
        self._count, self._seed, self._size = count, seed, (int(size[0]), int(size[1]))

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> Shape:
        return *self._size, 3

    def boxes(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (k, 4), left, top, right, bottom in px of a scene, and int32 (k,), without rendering it."""
        return _targets(_layout(self._seed, index, self._size))

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        pictures = np.empty((len(indices), *shape), np.uint8)
        for place, index in enumerate(np.asarray(indices).tolist()):
            pictures[place] = image.fit_image(self.native(index), shape)
        return pictures

    def native(self, index: int) -> np.ndarray:
        return scene(self._seed, index, self._size)[0]

    def name(self, index: int) -> str:
        return f"road-scenes[{index}]"

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(("road scenes", VERSION, LABELS, self._seed, self._size)).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


def _targets(layout: _Layout) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([sign.box for sign in layout.signs], np.float32).reshape(-1, 4)
    return boxes, np.array([sign.code for sign in layout.signs], np.int32)


# ---- where the signs are


def _layout(seed: int, index: int, size: tuple[int, int]) -> _Layout:
    rng = np.random.default_rng((seed, index, 0))
    high, wide = size
    horizon = high * (rng.uniform(0.4, 0.68) if rng.random() < 0.6 else rng.uniform(0.6, 1.1))
    vanishing = wide * min(max(rng.normal(0.5, 0.15), 0.1), 0.9)
    layout = _Layout(horizon, vanishing, [], [])
    if rng.random() < _EMPTY:
        return layout
    many = rng.random()
    for _ in range(1 if many < 0.55 else 2 if many < 0.85 else 3):
        _post(layout, rng, size)
    return layout


def _post(layout: _Layout, rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Place a post with one to three signs on it."""
    high, wide = size
    low, top = (16.0, 64.0) if rng.random() < 0.65 else (10.0, 120.0)
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
        if len(layout.signs) == 4:
            break
        code = min(int(np.searchsorted(_SHARES, rng.random() * _SHARES[-1], side="right")), len(LABELS) - 1)
        each = side * rng.uniform(0.9, 1.1)
        placed = _sign(layout, rng, size, code, (x, y + k * side * 1.12), each, yaw)
        if placed is not None:
            layout.signs.append(placed)
        elif k == 0:
            break
    if len(layout.signs) > first:
        layout.posts.append(_Post(x, y, side, hangs))


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
    yaw, pitch, roll = np.radians((yaw, rng.normal(0, 6), rng.normal(0, 4))).clip(-0.95, 0.95).tolist()
    edge = outline(code)
    flat = np.concatenate([edge, _SQUARE])
    a, b, c = math.cos(yaw), math.cos(pitch), math.cos(roll)
    d, e, f = math.sin(yaw), math.sin(pitch), math.sin(roll)
    x, y = flat[:, 0], flat[:, 1]
    y, z = y * b, y * e  # about the x axis, then y, then z
    x, z = x * a + z * d, z * a - x * d
    x, y = x * c - y * f, x * f + y * c
    scale = side / (1 + z / 3)
    seen = np.stack([x * scale + middle[0], y * scale + middle[1]], 1)
    edge, corners = seen[:-4], seen[-4:].astype(np.float32)
    whole = _area(edge)
    high, wide = size
    cut = None
    if rng.random() < 0.1:  # something in front
        axis = int(rng.random() < 0.3)
        way = 1 if axis or rng.random() < 0.5 else -1
        low, top = float(edge[:, axis].min()), float(edge[:, axis].max())
        hidden = rng.uniform(0.08, 0.5)
        cut = axis, way, top - hidden * (top - low) if way > 0 else low + hidden * (top - low)
        edge = _clipped(edge, *cut)
    for limit in ((0, 1, float(wide)), (0, -1, 0.0), (1, 1, float(high)), (1, -1, 0.0)):
        edge = _clipped(edge, *limit)
    if len(edge) < 3 or _area(edge) < _SEEN * whole:
        return None
    left, upper = edge.min(0).tolist()
    right, lower = edge.max(0).tolist()
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


_SQUARE = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], np.float32)


def _area(edge: np.ndarray) -> float:
    x, y = edge[:, 0], edge[:, 1]
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _clipped(edge: np.ndarray, axis: int, way: int, place: float) -> np.ndarray:
    """Cut off what of a convex polygon lies beyond a place along an axis."""
    beyond = (edge[:, axis] - place) * way
    if not (beyond > 0).any():
        return edge
    kept = []
    for k in range(len(edge)):
        one, other = beyond[k - 1], beyond[k]
        if (one > 0) != (other > 0):
            kept.append(edge[k - 1] + (edge[k] - edge[k - 1]) * (one / (one - other)))
        if other <= 0:
            kept.append(edge[k])
    return np.array(kept).reshape(-1, 2)


# ---- what is around them


def _light(layout: _Layout, seed: int, index: int, size: tuple[int, int]) -> np.ndarray:
    """Return the scene before the camera: float32 (h, w, 3), RGB, linear in light, about [0, 1]."""
    rng = np.random.default_rng((seed, index, 1))
    parts = stock()
    page = _surroundings(layout, rng, parts, size)
    for post in layout.posts:
        _stand(page, post, rng)
    light = cv2.LUT(page, _LINEAR * np.float32(rng.uniform(0.7, 1.3)))
    for place, sign in enumerate(layout.signs):
        _show(light, sign, np.random.default_rng((seed, index, 2, place)), parts)
    return light


_LINEAR = (np.arange(256, dtype=np.float32) / 255) ** 2


def _pick(rng: np.random.Generator, things: list[np.ndarray]) -> np.ndarray:
    return things[rng.integers(len(things))]


def _surroundings(layout: _Layout, rng: np.random.Generator, parts: Stock, size: tuple[int, int]) -> np.ndarray:
    high, wide = size
    horizon, middle = layout.horizon, layout.vanishing
    sky = _pick(rng, parts.skies)
    page = cv2.resize(sky, (wide, high), interpolation=cv2.INTER_LINEAR)
    gain = rng.uniform(0.35, 1.1)  # of what stands in front of the sky
    if rng.random() < 0.55:  # far woods
        top = int(horizon - rng.uniform(0.02, 0.25) * high)
        leaves = _dimmed(_pick(rng, parts.leaves), gain * rng.uniform(0.5, 1.0))
        for x in range(-40, wide, 60):
            across = int(rng.integers(60, 120))
            _place(page, leaves[:across, :across], x, top + int(rng.integers(-12, 12)), across, high)
    for _ in range(rng.integers(0, 4)):
        _house(page, layout, rng, parts, gain)
    _ground(page, layout, rng, parts, gain)
    for _ in range(rng.integers(0, 7)):
        tall = high * rng.uniform(0.15, 1.1)
        foot = horizon + tall * rng.uniform(0.02, 0.2)
        tree = _dimmed(_pick(rng, parts.trees), gain * rng.uniform(0.6, 1.1))
        x = middle + (1 if rng.random() < 0.5 else -1) * tall * rng.uniform(0.4, 1.6)
        _place(page, tree, int(x - tall / 2), int(foot - tall), int(tall), int(tall))
    for _ in range(rng.integers(0, 4)):
        x, top, grey = int(rng.uniform(0, wide)), int(rng.uniform(-0.2, 0.9) * horizon), int(rng.uniform(30, 170))
        cv2.line(
            page,
            (x, top),
            (x + int(rng.normal(0, 2)), int(horizon + rng.uniform(2, 60))),
            (grey,) * 3,
            int(rng.integers(1, 6)),
            cv2.LINE_AA,
        )
    for _ in range(rng.integers(0, 3)):
        grey = int(rng.uniform(20, 120))
        a, b = rng.uniform(-0.2, 0.8, 2) * horizon
        cv2.line(page, (0, int(a)), (wide, int(b)), (grey,) * 3, 1, cv2.LINE_AA)
    for _ in range(rng.integers(0, 5)):
        across = 12 * (110 / 12) ** rng.random()
        foot = horizon + across * rng.uniform(0.3, 0.6)
        car = _dimmed(_pick(rng, parts.cars), gain * rng.uniform(0.8, 1.3))
        tall = across * car.shape[0] / car.shape[1]
        _place(page, car, int(rng.normal(middle, wide / 4)), int(foot - tall), int(across), int(tall))
    for _ in range(rng.integers(0, 7)):
        across = 10 * 11 ** rng.random()
        tall = across * rng.uniform(0.8, 1.2)
        x, y = rng.uniform(0, wide), horizon - across * rng.uniform(-0.3, 4)
        plate = _dimmed(_pick(rng, parts.plates), gain * rng.uniform(0.7, 1.3))
        if rng.random() < 0.7:
            grey = int(rng.uniform(40, 150))
            cv2.line(
                page,
                (int(x + across / 2), int(y + tall / 2)),
                (int(x + across / 2), int(y + 5 * across)),
                (grey,) * 3,
                max(1, round(across / 14)),
            )
        _place(page, plate, int(x), int(y), int(across), int(tall))
    return page


def _dimmed(thing: np.ndarray, gain: float) -> np.ndarray:
    """Give a thing less or more light; alpha stays."""
    dim = cv2.convertScaleAbs(thing[..., :3], alpha=math.sqrt(gain))
    return dim if thing.shape[2] == 3 else np.dstack([dim, thing[..., 3]])


def _place(page: np.ndarray, thing: np.ndarray, x: int, y: int, wide: int, high: int) -> None:
    """Lay a thing over the page, scaled to wide x high px, its top left at (x, y)."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(page.shape[1], x + wide), min(page.shape[0], y + high)
    if right <= left or bottom <= top:
        return
    scaled = cv2.resize(
        thing, (wide, high), interpolation=cv2.INTER_AREA if wide < thing.shape[1] else cv2.INTER_LINEAR
    )
    scaled = scaled[top - y : bottom - y, left - x : right - x]
    under = page[top:bottom, left:right]
    if thing.shape[2] == 3:
        under[:] = scaled
        return
    alpha = scaled[..., 3:].astype(np.uint16)
    under[:] = ((scaled[..., :3] * alpha + under * (255 - alpha) + 127) // 255).astype(np.uint8)


def _house(page: np.ndarray, layout: _Layout, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    high, wide = page.shape[:2]
    facade = _dimmed(_pick(rng, parts.facades), gain * rng.uniform(0.6, 1.2))
    if rng.random() < 0.5:  # along the road
        way = 1 if rng.random() < 0.5 else -1
        near, far = rng.uniform(0.5, 1.2) * wide / 2, rng.uniform(0.1, 0.45) * wide / 2
        rise, drop = rng.uniform(0.3, 1.6), rng.uniform(0.08, 0.3)
        points = [(far, -rise * far), (near, -rise * near), (near, drop * near), (far, drop * far)]
        corners = np.array([(layout.vanishing + way * x, layout.horizon + y) for x, y in points], np.float32)
        ends = np.array([(0, 0), (255, 0), (255, 255), (0, 255)], np.float32)
        matrix = cv2.getPerspectiveTransform(ends, corners)
        cv2.warpPerspective(facade, matrix, (wide, high), page, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    else:
        across, tall = rng.uniform(0.15, 0.6) * wide, rng.uniform(0.1, 0.7) * high
        _place(
            page, facade, int(rng.uniform(-0.2, 0.9) * wide), int(layout.horizon - tall), int(across), int(tall * 1.1)
        )


def _ground(page: np.ndarray, layout: _Layout, rng: np.random.Generator, parts: Stock, gain: float) -> None:
    high, wide = page.shape[:2]
    start = int(layout.horizon)
    if start >= high:
        return

    def shade(low: float, top: float, tint: Any = (1, 1, 1)) -> list[float]:
        return (np.sqrt(gain * rng.uniform(low, top) * np.array(tint)).clip(0, 1) * 255).tolist()

    x0, depth = layout.vanishing, high * 1.0

    def strip(left: float, right: float, colour: Any, near: float = 1.0, far: float = 0.0) -> None:
        points = [(x0 + left * far * depth, start + far * depth), (x0 + right * far * depth, start + far * depth)]
        points += [(x0 + right * near * depth, start + near * depth), (x0 + left * near * depth, start + near * depth)]
        cv2.fillPoly(page, [np.rint(np.array(points) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    tints = ((0.6, 0.8, 0.3), (0.8, 0.7, 0.45), (1, 0.95, 0.9), (0.95, 0.97, 1))
    page[start:] = np.rint(shade(0.1, 0.5, tints[rng.integers(4)])).astype(np.uint8)
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
    field = _pick(rng, parts.grounds)
    part = page[start:]
    y, x = rng.integers(0, 512 - min(511, high), 2).tolist()
    rough = cv2.resize(field[y : y + len(part), x : x + 256], (wide, len(part)))
    cv2.multiply(part, rough, part, 1 / 128)


def _stand(page: np.ndarray, post: _Post, rng: np.random.Generator) -> None:
    grey = rng.uniform(40, 190)
    half = max(0.6, post.size * rng.uniform(0.03, 0.06))
    if rng.random() < 0.2:
        half = post.size * rng.uniform(0.08, 0.2)  # the post of a lamp, or wood
    top = -10.0 if post.hangs or rng.random() < 0.2 else post.top - post.size * rng.uniform(0, 0.45)
    bottom = post.top if post.hangs else post.top + post.size * rng.uniform(3, 7)
    for part, value in ((1.0, grey), (0.4, grey * 1.25)):
        points = [
            (post.x - half * part, top),
            (post.x + half * part, top),
            (post.x + half * part, bottom),
            (post.x - half * part, bottom),
        ]
        cv2.fillConvexPoly(page, np.rint(np.array(points) * 16).astype(np.int32), (value,) * 3, cv2.LINE_AA, 4)


def _show(light: np.ndarray, sign: _Sign, rng: np.random.Generator, parts: Stock) -> None:
    """Lay a sign into the scene, and what is in front of it."""
    high, wide = light.shape[:2]
    low, top = sign.corners.min(0), sign.corners.max(0)
    across = max(10, math.ceil(float((top - low).max())))
    flat = sign_variant(sign.code, rng, min(max(across, 24), 96))
    paint = weathered(cv2.resize(flat, (across, across), interpolation=cv2.INTER_AREA), rng)
    x0, y0 = np.maximum(np.floor(low).astype(int) - 1, 0).tolist()
    x1, y1 = np.minimum(np.ceil(top).astype(int) + 2, (wide, high)).tolist()
    part = light[y0:y1, x0:x1]
    mount(part, paint, sign.corners - np.float32((x0, y0)))
    if sign.cut is None:
        return
    axis, way, place = sign.cut
    start = round(place)
    reach = rng.integers(across // 2, across * 2 + 1)
    left, right, upper, lower = x0 - 3, x1 + 3, y0 - across // 2, y1 + across
    if axis == 0:
        left, right = (start, start + max(reach, x1 - start)) if way > 0 else (min(start - reach, x0), start)
    else:
        upper, lower = start, high
    left, right, upper, lower = max(left, 0), min(right, wide), max(upper, 0), min(lower, high)
    if right <= left or lower <= upper:
        return
    cover = light[upper:lower, left:right]
    if rng.random() < 0.6:
        leaves = _pick(rng, parts.leaves)
        cover[:] = cv2.LUT(cv2.resize(leaves[:128, :128], (right - left, lower - upper)), _LINEAR) * np.float32(
            rng.uniform(0.4, 1)
        )
    else:
        cover[:] = rng.uniform(0.02, 0.4)


# ---- the camera


def _photograph(light: np.ndarray, seed: int, index: int) -> np.ndarray:
    rng = np.random.default_rng((seed, index, 3))
    high, wide = light.shape[:2]
    exposure = math.exp(min(rng.normal(0, 0.45), 0.9)) if rng.random() < 0.85 else rng.uniform(0.08, 0.3)
    light = light * (exposure * np.exp(rng.normal(0, 0.08, 3))).astype(np.float32)
    if rng.random() < 0.25:
        light += np.float32(rng.uniform(0, 0.12))
    blur = rng.uniform(0.3, 0.8) if rng.random() < 0.75 else rng.uniform(0.8, 1.4)
    light = cv2.GaussianBlur(light, (0, 0), blur)
    if rng.random() < 0.1:
        light = moved(light, rng.uniform(1, 4), rng.uniform(0, math.pi))
    np.sqrt(light, light)
    if rng.random() < 0.8:
        grain = stock().grain
        y, x = rng.integers(0, 64, 2).tolist()
        tiled = grain if high <= 448 and wide <= 448 else np.tile(grain, (-(-high // 448), -(-wide // 448), 1))
        light += tiled[y : y + high, x : x + wide] * np.float32(rng.uniform(0, 0.025))
    photo = cv2.convertScaleAbs(np.maximum(light, 0, light), alpha=255)
    if rng.random() < 0.7:
        coded = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])[1]
        photo = np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1])
    return photo

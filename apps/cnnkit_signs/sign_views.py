"""Pictures of a flat sign, as a camera sees it: one crop each, as a detector would cut it out of a photograph.

Design choices:
- What varies is what varies in photographs of signs: background, pose, backlight, shadow, exposure, faded paint, dirt,
  leaves in front, blur, few pixels, noise, JPEG. Some pictures come out too dark or too small to read, as real ones do.
- The scene is put together in linear light and becomes a picture last, in the order of a camera: exposure, lens, sensor,
  file. A bright sky then bleaches out, and a sign in front of it is dark.
- Lengths are parts of the picture's side, so a larger picture shows the same kind of scene in more detail.
"""

import math
from typing import Any

import cv2
import numpy as np


def view(rgba: np.ndarray, rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """Take a picture of a sign: one crop, as a detector would cut it out of a photograph.

    Args:
        rgba: uint8 (s, s, 4), a flat sign as `drawn_signs.sign` draws it.
        rng: every random number comes from it.
        side: px, of the picture, at least 16.

    Returns:
        uint8 (side, side, 3), RGB in [0, 255]. The sign's longer side is 60 to 95 % of the picture's.
    """
    scene = background(rng, side) * np.float32(math.exp(rng.normal(0.05, 0.45)))
    corners = _pose(rng, side)
    _stand(scene, corners, rng)
    across = max(8, math.ceil(float(np.ptp(corners, axis=0).max())))
    mount(scene, weathered(cv2.resize(rgba, (across, across), interpolation=cv2.INTER_AREA), rng), corners)
    if rng.random() < 0.15:
        _cover(scene, corners, rng)
    return _photograph(scene, rng)


def background(rng: np.random.Generator, side: int) -> np.ndarray:
    """Make what may stand behind a sign: float32 (side, side, 3), RGB, linear in light, about [0, 1]."""
    kind = rng.choice(4, p=[0.2, 0.4, 0.25, 0.15])
    scene = (_sky, _foliage, _building, _road)[kind](rng, side)
    if rng.random() < 0.25:  # a car, a shop, another sign
        x, y = rng.integers(0, side, 2).tolist()
        w, h = rng.integers(side // 8, side // 2, 2).tolist()
        cv2.rectangle(scene, (x, y), (x + w, y + h), rng.uniform(0, 0.8, 3).tolist(), cv2.FILLED)
    return cv2.GaussianBlur(scene, (0, 0), side / 64 * rng.uniform(0.4, 2))


def texture(rng: np.random.Generator, side: int, cells: int) -> np.ndarray:
    """Return smooth noise of so many cells a side: float32 (side, side, 1), mean 0, about [-1, 1]."""
    noise = rng.random((cells, cells), np.float32) * 2 - 1
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)[..., None]


def between(low: Any, high: Any, part: np.ndarray) -> np.ndarray:
    return np.float32(low) + (np.float32(high) - np.float32(low)) * part


def _sky(rng: np.random.Generator, side: int) -> np.ndarray:
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    clouds = (down + 0.6 * texture(rng, side, 4)).clip(0, 1)
    grey = rng.uniform(0.5, 1.1)
    return between((0.25, 0.45, 0.85) if rng.random() < 0.6 else (grey,) * 3, (0.9, 0.95, 1.0), clouds)


def _foliage(rng: np.random.Generator, side: int) -> np.ndarray:
    leaves = 0.5 + 0.35 * texture(rng, side, 5) + 0.4 * texture(rng, side, 16) + 0.4 * texture(rng, side, 32)
    light = ((0.3, 0.42, 0.12), (0.45, 0.34, 0.12), (0.3, 0.3, 0.26), (0.16, 0.26, 0.1))[rng.integers(4)]
    scene = between((0.015, 0.025, 0.01), light, leaves.clip(0, 1.3))
    gaps = ((texture(rng, side, 12) - rng.uniform(0.3, 1.4)) * 6).clip(0, 1)  # the sky between the leaves
    return between(scene, rng.uniform(0.6, 1.2), gaps)


def _building(rng: np.random.Generator, side: int) -> np.ndarray:
    wall = rng.uniform(0.12, 0.7) * np.array([1, rng.uniform(0.75, 1), rng.uniform(0.5, 1)], np.float32)
    scene = wall * (1 + 0.15 * texture(rng, side, 24)) * (1 + 0.2 * texture(rng, side, 3))
    wide, high, x0, y0 = rng.uniform(0.2, 0.6, 4) * side
    dark, shift = (rng.uniform(0.01, 0.3),) * 3, rng.uniform(-0.15, 0.15) * side
    for row in range(-1, 5):
        for column in range(-1, 5):
            x, y = x0 + column * wide * 1.5, y0 + row * high * 1.6 + shift * column
            box = [(x, y), (x + wide * 0.8, y + shift * 0.5), (x + wide * 0.8, y + high + shift * 0.5), (x, y + high)]
            cv2.fillConvexPoly(scene, np.rint(box).astype(np.int32), dark)
    return scene


def _road(rng: np.random.Generator, side: int) -> np.ndarray:
    scene = (_sky if rng.random() < 0.5 else _foliage)(rng, side)
    horizon = int(rng.uniform(0.3, 0.8) * side)
    scene[horizon:] = rng.uniform(0.1, 0.5) * (1 + 0.2 * texture(rng, side, 20)[horizon:])
    start, end = rng.uniform(0, side, 2).tolist()
    cv2.line(scene, (int(start), horizon), (int(end), side), (0.8, 0.8, 0.8), max(1, side // 32))
    return scene


def _pose(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return where the corners of the sign are: float32 (4, 2), x and y in px, clockwise from the top left."""
    yaw, pitch, roll = (rng.normal(0, 1, 3) * (17, 7, 4)).clip(-42, 42)
    turn = cv2.Rodrigues(np.radians([0.0, yaw, 0.0]))[0] @ cv2.Rodrigues(np.radians([pitch, 0.0, 0.0]))[0]
    turn = cv2.Rodrigues(np.radians([0.0, 0.0, roll]))[0] @ turn
    flat = turn @ np.array([[-0.5, 0.5, 0.5, -0.5], [-0.5, -0.5, 0.5, 0.5], [0, 0, 0, 0]])
    seen = (flat[:2] / (1 + flat[2] / 2.5)).T  # from 2.5 times its side away
    low, high = seen.min(0), seen.max(0)
    seen *= rng.uniform(0.6, 0.95) * side / (high - low).max()
    low, high = seen.min(0), seen.max(0)
    return (seen - (low + high) / 2 + side / 2 + rng.uniform(-0.4, 0.4, 2) * (side - high + low)).astype(np.float32)


def _stand(scene: np.ndarray, corners: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a pole behind the sign, and perhaps a plate below it or above."""
    middle, right, down = corners.mean(0), corners[1] - corners[0], corners[3] - corners[0]
    grey = rng.uniform(0.08, 0.6)

    def bar(half: float, top: float, bottom: float, colour: Any) -> None:
        box = [middle + right * x + down * y for x, y in ((-half, top), (half, top), (half, bottom), (-half, bottom))]
        cv2.fillConvexPoly(scene, np.rint(np.array(box) * 16).astype(np.int32), colour, cv2.LINE_AA, 4)

    if rng.random() < 0.75:
        half, top = rng.uniform(0.03, 0.06), rng.choice([-2.0, 0.0], p=[0.2, 0.8])
        bar(half, top, 2.0, (grey,) * 3)
        bar(half * 0.4, top, 2.0, (grey * 1.4,) * 3)  # the light on a tube
    if rng.random() < 0.2:
        top = 0.53 if rng.random() < 0.6 else -1.53
        bar(rng.uniform(0.3, 0.5), top, top + 1.0, (0.75, 0.75, 0.72))


def weathered(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the sign as it reflects light, faded and dirty.

    Returns:
        float32 (4, s, s), red, green and blue, linear in light, and alpha in [0, 1]: planes, as NumPy is slow on pixels.
    """
    side = len(rgba)
    paint = np.multiply(rgba.transpose(2, 0, 1), np.float32(1 / 255), order="C")
    colour = paint[:3]
    colour *= colour  # about what undoes the gamma of a screen
    if rng.random() < 0.4:
        bleach = rng.uniform(0, 0.35) * np.array([[[1]], [[0.9]], [[0.8]]], np.float32)
        white = np.array([[[0.75]], [[0.7]], [[0.66]]], np.float32)
        colour += (white - colour) * bleach * (1 + 0.3 * texture(rng, side, 3)[..., 0])
    if rng.random() < 0.3:
        dirt = (texture(rng, side, 8)[..., 0] * 0.6 - rng.uniform(0, 0.3)).clip(0, 0.6)
        colour += (np.array([[[0.09]], [[0.08]], [[0.06]]], np.float32) - colour) * dirt
    colour *= math.exp(min(rng.normal(-0.15, 0.35), 0.3)) * (1 + rng.uniform(0, 0.25) * texture(rng, side, 2)[..., 0])
    if rng.random() < 0.1:  # the sun in the sheeting
        x, y, wide = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.1, 0.3)
        place = np.linspace(0, 1, side, dtype=np.float32)
        glow = np.exp(-((place[None, :] - x) ** 2 + (place[:, None] - y) ** 2) / (2 * wide**2))
        colour += rng.uniform(0.2, 0.7) * glow
    return paint


def mount(scene: np.ndarray, paint: np.ndarray, corners: np.ndarray) -> None:
    """Lay the sign, in planes as `weathered` returns it, into the scene, its corners where `corners` says."""
    ends = paint.shape[1] - 0.5
    flat = np.array([(-0.5, -0.5), (ends, -0.5), (ends, ends), (-0.5, ends)], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, corners - np.float32(0.5))
    size = (scene.shape[1], scene.shape[0])
    edge = (*paint[:3, 0, 0].tolist(), 0.0)
    seen = cv2.warpPerspective(cv2.merge(tuple(paint)), matrix, size, flags=cv2.INTER_LINEAR, borderValue=edge)
    more: Any = cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB)
    more -= scene
    more *= cv2.cvtColor(cv2.extractChannel(seen, 3), cv2.COLOR_GRAY2RGB)
    scene += more


def _cover(scene: np.ndarray, corners: np.ndarray, rng: np.random.Generator) -> None:
    """Hang a few leaves and a twig over an edge of the sign."""
    side = len(scene)
    middle, angle = corners.mean(0), rng.uniform(0, 2 * math.pi)
    edge = middle + 0.42 * float(np.ptp(corners, axis=0).max()) * np.array([math.cos(angle), math.sin(angle)])
    green = np.array([0.1, 0.16, 0.04]) * rng.uniform(0.3, 2)
    for _ in range(rng.integers(3, 7)):
        x, y = np.rint(edge + rng.normal(0, side / 14, 2)).astype(int).tolist()
        axes = rng.integers(max(1, side // 32), max(2, side // 12) + 1, 2).tolist()
        leaf = (green * rng.uniform(0.6, 1.4)).tolist()
        cv2.ellipse(scene, (x, y), axes, rng.uniform(0, 180), 0, 360, leaf, cv2.FILLED, cv2.LINE_AA)
    far = np.rint(edge + (edge - middle) * 2).astype(int).tolist()
    cv2.line(scene, np.rint(edge).astype(int).tolist(), far, (green * 0.5).tolist(), 1, cv2.LINE_AA)


def _photograph(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn light into a picture: float32 (side, side, 3) to uint8 of that shape, through shadow, lens, sensor, file."""
    side = len(scene)
    if rng.random() < 0.3:
        angle, place = rng.uniform(0, 2 * math.pi), np.arange(side, dtype=np.float32) / side - np.float32(0.5)
        across = place[None, :] * math.cos(angle) + place[:, None] * math.sin(angle) + rng.uniform(-0.25, 0.25)
        shade = (across / rng.uniform(0.02, 0.3) + 0.5).clip(0, 1)
        scene *= 1 - np.float32(rng.uniform(0.3, 0.7)) * shade[..., None]
    # a meter weighs the whole photo, so one part of it may be far too dark, but a sign seldom far too bright
    exposure = math.exp(min(rng.normal(-0.2, 0.6), 0.6)) if rng.random() < 0.7 else rng.uniform(0.06, 0.25)
    scene *= np.float32(exposure * np.exp(rng.normal(0, 0.08, 3)))
    if rng.random() < 0.3:  # haze, or light on the lens
        scene += np.float32(rng.uniform(0, 0.06) * np.exp(rng.normal(0, 0.1, 3)))
    native = round(math.exp(rng.uniform(math.log(24), math.log(65))))  # px, of the crop in the photograph
    scene = cv2.GaussianBlur(scene, (0, 0), side / native * rng.uniform(0.3, 0.8))
    if rng.random() < 0.2:
        scene = moved(scene, rng.uniform(1, 3) * side / native, rng.uniform(0, math.pi))
    small = cv2.resize(scene, (native, native), interpolation=cv2.INTER_AREA)
    small = np.sqrt(small.clip(0, 1)) * np.float32(255)
    small += rng.uniform(0, 5) * rng.standard_normal(small.shape, np.float32)
    photo = np.rint(small.clip(0, 255)).astype(np.uint8)
    if rng.random() < 0.6:
        coded = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])[1]
        photo = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return cv2.resize(photo, (side, side), interpolation=cv2.INTER_LINEAR_EXACT)


def moved(scene: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Blur along a straight line of `length` px."""
    reach = math.ceil(length / 2)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for part in np.linspace(-length / 2, length / 2, 4 * reach + 1).tolist():
        kernel[reach + round(part * math.sin(angle)), reach + round(part * math.cos(angle))] += 1
    return cv2.filter2D(scene, -1, kernel / kernel.sum())

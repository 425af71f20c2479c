"""From a photo of a page to its ink: even light, level lines, no rules.

Design choices:
- Ink is the share of the paper's light that is missing, so shadow and coloured paper cancel. Light-on-dark pages are
  inverted first.
- The paper's own light is a grey closing of the shrunken picture: unlike a blur it neither follows ink nor rounds off
  the edge of a sheet.
- The page is turned once, by the angle at which its rows (rules or writing) are sharpest; all that follows works on
  level rows.
- Rules are followed, not assumed straight, and taken away only where no stroke crosses them.
- numpy and OpenCV only: this runs on the device.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

LONGEST = 2400  # px; A4 at 200 dpi. Larger pictures are shrunk to it


def ink_of(image: np.ndarray, longest: int = LONGEST) -> tuple[np.ndarray, float]:
    """Measure the ink in every pixel.

    Args:
        image: uint8 (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA.
        longest: longest side to work at, px.

    Returns:
        Ink, float32 (h', w') up to 1, about 0 on paper (noise may be negative); and the scale h' / h.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] == 4:  # as seen on white paper
        alpha = image[..., 3:].astype(np.float32) / 255
        image = (image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    scale = min(1.0, longest / max(image.shape[:2]))
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        image = image if image.ndim == 3 else image[..., None]
    sheet = _sheet_of(image)
    if _is_light_on_dark(image, sheet):
        image = 255 - image
    planes = [_missing_light(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    ink = planes[0] if len(planes) == 1 else 0.5 * sum(planes) / len(planes) + 0.5 * np.maximum.reduce(planes)
    ink = np.clip(ink - np.median(ink[::4, ::4]), -0.3, 1)
    if sheet is not None:
        ink = ink * cv2.resize(sheet, ink.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return ink, scale


def _sheet_of(image: np.ndarray) -> np.ndarray | None:
    """Where the sheet is, float32 (h', w') in [0, 1], shrunk; None where the picture shows nothing but paper.

    A sheet on a desk has sharp edges all around; a shadow, which may be as dark as a desk, has soft ones.
    """
    small, kernel = _shrunk(np.ascontiguousarray(image.mean(2).astype(np.uint8)))
    side = kernel.shape[0]
    wide = cv2.copyMakeBorder(small, side, side, side, side, cv2.BORDER_REPLICATE)  # a narrow strip of desk goes on
    light = cv2.medianBlur(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, kernel), 9)[side:-side, side:-side]
    near = np.ones((7, 7), np.uint8)
    high, low = cv2.dilate(light, near).astype(np.float32), cv2.erode(light, near).astype(np.float32)
    smooth = ((high - low) / (high + 8) < 0.28).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=4)
    if count < 3:
        return None
    i = 1 + int(np.argmax(stats[1:, 4]))
    line, _ = cv2.findContours((names == i).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    sheet = cv2.drawContours(np.zeros(small.shape, np.uint8), [max(line, key=len)], -1, 1, -1)  # without holes
    rest = smooth * (1 - sheet)
    if not 0.25 < float(sheet.mean()) < 0.97 or rest.mean() < 0.01:
        return None
    # The desk is darker than the sheet, whatever the light does across it.
    if float(np.median(light[rest > 0])) > 0.85 * float(np.median(light[sheet > 0])):
        return None
    # A turned sheet is convex; a shadow with a hard edge mostly cuts it into something else.
    hull = cv2.convexHull(max(line, key=len))
    if cv2.contourArea(hull) * 0.93 > float(sheet.sum()):
        return None
    return cv2.erode(np.pad(sheet, 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(np.float32)


def _shrunk(plane: np.ndarray, longest: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """A smaller, smoother plane, and the kernel that is wider than any stroke on it."""
    scale = min(1.0, longest / max(plane.shape))
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    small = cv2.GaussianBlur(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    side = max(9, max(size) // 20) | 1
    return small, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _is_light_on_dark(image: np.ndarray, sheet: np.ndarray | None) -> bool:
    """Whether what stands out of its surroundings is brighter than they are: ink is always the smaller part."""
    small, kernel = _shrunk(np.ascontiguousarray(image.mean(2).astype(np.uint8)))
    around = cv2.medianBlur(small, kernel.shape[0]).astype(np.float32)
    details = (small - around) / (around + 24)
    if sheet is not None:
        details, small = details[sheet > 0], small[sheet > 0]
    floor = 4 * float(np.median(np.abs(details))) + 0.04
    light, dark = details[details > floor], details[details < -floor]
    # A dark desk beside bright paper is no blackboard: light writing stands on a page that is dark itself.
    return float(light.sum()) > 1.5 * float(-dark.sum()) and float(np.median(small)) < 150


def _missing_light(plane: np.ndarray) -> np.ndarray:
    small, kernel = _shrunk(plane)
    paper = cv2.GaussianBlur(cv2.medianBlur(cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel), 5), (0, 0), 2.0)
    paper = np.maximum(paper, max(12.0, 0.12 * float(np.percentile(paper, 95))))
    paper = cv2.resize(paper.astype(np.float32), plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return 1 - plane / paper


def noise_of(ink: np.ndarray, block: int = 32) -> np.ndarray:
    """Sigma of the noise around every pixel, float32 (h, w): it grows where shadow was divided away."""
    rough = np.abs(ink - cv2.GaussianBlur(ink, (0, 0), 2.5))
    h, w = (max(1, s // block) for s in ink.shape)
    cut = rough[: h * block, : w * block]
    if cut.shape[0] < block or cut.shape[1] < block:
        return np.full(ink.shape, 2.4 * float(np.quantile(rough, 0.35)) + 1e-3, np.float32)
    tiles = cut.reshape(h, block, w, block).transpose(0, 2, 1, 3).reshape(h, w, -1)
    sigma = 2.4 * np.quantile(tiles, 0.35, axis=2).astype(np.float32) + 1e-3
    sigma = cv2.blur(sigma, (3, 3))
    return cv2.resize(sigma, ink.shape[::-1], interpolation=cv2.INTER_LINEAR)


def skew_of(ink: np.ndarray, limit: float = 15.0) -> float:
    """Estimate the turn of the rows, in degrees within +- limit; positive is clockwise.

    Projects the ink along every angle and takes the one whose profile changes most from row to row (Postl 1986).
    """
    scale = min(1.0, 800 / max(ink.shape))
    small = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    floor = 3 * float(np.median(np.abs(small - np.median(small)))) + 0.04
    small = np.minimum(small, 0.5)
    ys, xs = np.nonzero(small > floor)
    if len(ys) < 20:
        return 0.0
    weights = small[ys, xs]
    middle = (small.shape[1] / 2, small.shape[0] / 2)
    x, y = (xs - middle[0]).astype(np.float32), (ys - middle[1]).astype(np.float32)
    if len(y) > 60_000:
        keep = np.random.default_rng(0).choice(len(y), 60_000, replace=False)
        x, y, weights = x[keep], y[keep], weights[keep]
    reach = int(math.hypot(*small.shape) / 2) + 2

    def sharpness(degrees: float) -> float:
        a = math.radians(degrees)
        rows = (y * math.cos(a) - x * math.sin(a) + reach).astype(np.int32)
        profile = np.bincount(rows, weights, 2 * reach)
        return float((np.diff(profile) ** 2).sum())

    coarse = np.arange(-limit, limit + 0.01, 0.5)
    best = coarse[int(np.argmax([sharpness(a) for a in coarse]))]
    fine = best + np.arange(-0.5, 0.51, 0.1)
    return float(fine[int(np.argmax([sharpness(a) for a in fine]))])


def turned(ink: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn ink by -degrees about its middle, so that rows at `degrees` become level; the picture grows to keep all.

    Returns:
        The turned ink, and the affine (2, 3) from it back to `ink`.
    """
    h, w = ink.shape
    a = math.radians(degrees)
    size = (
        math.ceil(w * abs(math.cos(a)) + h * abs(math.sin(a))),
        math.ceil(h * abs(math.cos(a)) + w * abs(math.sin(a))),
    )
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
    matrix[:, 2] += (size[0] - w) / 2, (size[1] - h) / 2
    if abs(degrees) < 0.05:
        return ink, np.array([[1.0, 0, 0], [0, 1.0, 0]])
    return cv2.warpAffine(ink, matrix, size, flags=cv2.INTER_LINEAR), cv2.invertAffineTransform(matrix)


def without_rules(ink: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take away level and upright rules, keep the strokes that cross them.

    Args:
        ink: float32 (h, w), rows level within about two degrees.
        sigma: noise, float32 (h, w).

    Returns:
        The ink, and what the rules were: their own ink where they ran, 0 elsewhere; both float32 (h, w).
    """
    rules = np.zeros_like(ink)
    for _ in range(2):  # rows, then columns
        ink, rules = _without_level_rules(ink, sigma, rules)
        ink, sigma, rules = (np.ascontiguousarray(a.T) for a in (ink, sigma, rules))
    return ink, rules


def _without_level_rules(ink: np.ndarray, sigma: np.ndarray, rules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w = ink.shape[1]
    length = 41
    along = cv2.blur(np.minimum(ink, 0.6), (length, 1))
    # A ridge: higher than 3 px above and below, by more than noise leaves after averaging.
    drop = 3
    side = np.maximum(np.roll(along, drop, 0), np.roll(along, -drop, 0))
    thick = np.maximum(np.roll(along, 2 * drop, 0), np.roll(along, -2 * drop, 0))
    rise = along - np.minimum(side, thick)
    peak = along >= cv2.dilate(along, np.ones((5, 1), np.uint8)) - 1e-6
    ridge = (peak & (rise > 0.02 + 0.5 * sigma)).astype(np.uint8)
    ridge[:drop], ridge[-drop:] = 0, 0
    ridge = cv2.dilate(ridge, np.ones((3, 5), np.uint8))  # bridges steps of a slanted rule
    count, names, stats, _ = cv2.connectedComponentsWithStats(ridge, connectivity=8)
    long = [i for i in range(1, count) if stats[i, 2] > max(0.18 * w, 90) and stats[i, 3] < 0.08 * stats[i, 2] + 8]
    out = ink.copy()
    for i in long:
        x0, y0, ww, hh, _ = stats[i]
        part = names[y0 : y0 + hh, x0 : x0 + ww] == i
        _erase(ink, out, rules, along, part, x0, y0)
    return out, rules


def _erase(
    ink: np.ndarray, out: np.ndarray, rules: np.ndarray, along: np.ndarray, part: np.ndarray, x0: int, y0: int
) -> None:
    """Take one rule, found as the mask `part` at (x0, y0), out of `out`."""
    h, w = ink.shape
    filled = part.any(0)
    middle = (part * np.arange(part.shape[0])[:, None]).sum(0) / np.maximum(part.sum(0), 1) + y0
    xs = np.nonzero(filled)[0]
    # Straight pieces: a rule bends slowly, while a stroke that runs along it pulls the ridge aside.
    knots = np.linspace(x0, x0 + part.shape[1] - 1, max(2, part.shape[1] // 200 + 2))
    ys = _piecewise(xs + x0, middle[xs], knots)
    (left, left_y), (right, right_y) = _followed(along, knots[::-1], ys[::-1]), _followed(along, knots, ys)
    knots, ys = np.concatenate([left[::-1], knots, right]), np.concatenate([left_y[::-1], ys, right_y])
    columns = np.arange(max(0, int(knots[0])), min(w, int(knots[-1]) + 1))
    path = np.interp(columns, knots, ys)
    reach = 8
    rows = np.round(path).astype(int)
    offsets = np.arange(-reach, reach + 1)[:, None]
    index = np.clip(rows[None] + offsets, 0, h - 1)
    patch = ink[index, columns[None]]
    profile = np.median(patch, axis=1)
    profile = profile - np.minimum(profile[0], profile[-1])
    peak = float(profile[reach - 2 : reach + 3].max())
    if peak <= 0.01:
        return
    on = profile > 0.2 * peak
    top = reach
    while top > 3 and on[top - 1]:
        top -= 1
    bottom = reach
    while bottom < 2 * reach - 3 and on[bottom + 1]:
        bottom += 1
    if bottom - top > 8:  # a bar, not a rule
        return
    top, bottom = top - 1, bottom + 1
    local = cv2.blur(np.minimum(patch[reach - 1 : reach + 2].max(0), 2 * peak)[None], (61, 1))[0].clip(
        0.6 * peak, 1.5 * peak
    )
    wide = np.maximum(np.maximum(profile[:-2], profile[1:-1]), profile[2:])  # the path is right to half a px
    model = np.pad(wide, 1)[:, None].clip(0) * (local / peak)[None]
    above, below = patch[max(0, top - 2) : top].max(0), patch[bottom + 1 : bottom + 3].max(0)
    three = np.ones((1, 5), np.uint8)
    above, below = cv2.dilate(above[None], three)[0], cv2.dilate(below[None], three)[0]
    # A stroke on the rule is darker than the rule; where the rule is as dark as the pen, it goes on above and below.
    crossing = np.minimum(above, below)
    zone = slice(top, bottom + 1)
    pen = cv2.dilate(cv2.blur(patch, (3, 3)).max(0)[None], np.ones((1, 61), np.uint8))[0]
    excess = patch[zone] - model[zone]
    room = np.maximum(pen[None] - model[zone], 0.02)
    stroke = np.clip(excess / (0.6 * room) - 0.3, 0, 1) * (room > 0.25 * pen)
    kept = np.maximum(stroke * patch[zone], np.minimum(crossing[None], patch[zone]))
    target = index[zone]
    out[target, columns[None]] = np.minimum(out[target, columns[None]], kept)
    rules[target, columns[None]] = np.maximum(rules[target, columns[None]], local[None])


def _followed(along: np.ndarray, knots: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow a rule on beyond its last knot, over places where writing hides it; further knots (x, y)."""
    h, w = along.shape
    step = 24.0 if knots[-1] > knots[0] else -24.0
    back = max(0, len(knots) - 3)
    slope = (ys[-1] - ys[back]) / (knots[-1] - knots[back])
    seen = [(float(knots[-1]), float(ys[-1]))]
    x, misses = seen[0][0], 0
    while misses < 7 and 0 < x < w - 1:
        x = min(max(x + step, 0.0), w - 1.0)
        y = seen[-1][1] + slope * (x - seen[-1][0])
        row = round(y)
        if not 8 <= row < h - 8:
            break
        strip = along[row - 8 : row + 9, int(x)]
        off = int(np.argmax(strip[6:11])) - 2
        rise = strip[8 + off] - max(strip[8 + off - 6 : 8 + off - 3].min(), strip[8 + off + 4 : 8 + off + 7].min())
        if rise > 0.03:
            seen.append((x, y + 0.5 * off))
            misses = 0
        else:
            misses += 1
    # The average along a rule falls short of its ends.
    last = seen[-1]
    seen.append((last[0] + 1.8 * step, last[1] + slope * 1.8 * step))
    more = np.array(seen[1:])
    return more[:, 0], more[:, 1]


def _piecewise(x: np.ndarray, y: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Heights at the knots of the broken line nearest to (x, y); outliers are dropped once."""
    x, y = x[::4], y[::4]
    near = np.clip(np.searchsorted(knots, x) - 1, 0, len(knots) - 2)
    share = (x - knots[near]) / (knots[near + 1] - knots[near])
    base = np.zeros((len(x), len(knots)))
    base[np.arange(len(x)), near], base[np.arange(len(x)), near + 1] = 1 - share, share
    bend = np.diff(np.eye(len(knots)), 2, axis=0) * 3  # a rule is stiff
    stiff = bend.T @ bend + 1e-6 * np.eye(len(knots))
    keep = np.ones(len(x), bool)
    for _ in range(3):
        own = base[keep]
        ys = np.linalg.solve(own.T @ own + stiff, own.T @ (y[keep] - y.mean())) + y.mean()
        off = np.abs(base @ ys - y)
        keep = off <= max(1.0, 2.5 * float(np.median(off)))
    return ys

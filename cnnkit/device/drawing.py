"""Drawing what was found onto images: boxes with labels that can be read.

Design choices:
- Lines and letters scale with the image, down to one pixel and 9 px, so that a photo and a thumbnail read alike.
- Lines lie outside of the box as far as the image goes: an object of 10 px stays visible inside its own.
- A label is dark or white on a plate of the box's colour, whichever reads better. It goes above its box, below, beside or
  inside, to the first place where it is inside the image and covers neither another label nor another box.
- A text wider than the image is cut off with three dots.
- OpenCV 5 has a TrueType font for every script; OpenCV 4 only strokes for ASCII, so that accents are dropped there.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from cnnkit.device.image import fit_image

Colour = tuple[int, int, int]

# RGB; apart from each other also for colour-blind eyes (Okabe and Ito 2008), the ones that stand out in a street first
COLOURS: tuple[Colour, ...] = (
    (0, 158, 115),
    (230, 159, 0),
    (204, 121, 167),
    (86, 180, 233),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
    (255, 255, 255),
)
LINE = 1 / 240  # of the image's shorter side
LETTER = 1 / 36
SMALLEST, LARGEST = 9, 96  # letters, px
_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)


def colour(number: int) -> Colour:
    """Return a colour for the class or object of a number, RGB in [0, 255]; they repeat after `len(COLOURS)`."""
    return COLOURS[number % len(COLOURS)]


def annotate(
    image: np.ndarray,
    boxes: np.ndarray | Sequence[Sequence[float]],
    texts: Sequence[str],
    colours: Sequence[Colour] | None = None,
) -> np.ndarray:
    """Draw boxes with labels.

    Args:
        image: uint8 (h, w) grey, (h, w, 3) RGB or (h, w, 4) RGBA, in [0, 255]; it is not changed.
        boxes: (k, 4): left, top, right, bottom, px; what lies beyond the image is cut off.
        texts: of each box, one line; "" for a box without a label.
        colours: of each box, RGB; default: `colour` of its place.

    Returns:
        uint8 RGB (h, w, 3).
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    colours = [colour(k) for k in range(len(boxes))] if colours is None else colours
    if not len(boxes) == len(texts) == len(colours):
        raise ValueError(
            f"`boxes`, `texts` and `colours` need one length. Received: {len(boxes)}, {len(texts)}, {len(colours)}."
        )
    height, width = image.shape[:2]
    canvas = np.array(fit_image(image, (height, width, 3)))
    line = max(1, round(min(height, width) * LINE))
    size = int(np.clip(round(min(height, width) * LETTER), SMALLEST, LARGEST))
    corners = [_outline(box, line, height, width) for box in boxes]
    # The last drawn lies on top: large boxes first, labels after all boxes.
    for k in sorted(range(len(boxes)), key=lambda k: -_area(corners[k])):
        left, top, right, bottom = corners[k]
        for inset in range(min(line, (right - left + 1) // 2 or 1, (bottom - top + 1) // 2 or 1)):
            first, last = (left + inset, top + inset), (right - inset, bottom - inset)
            cv2.rectangle(canvas, first, last, colours[k], 1)
    plates: list[tuple[int, int, int, int]] = []
    for k, text in enumerate(texts):
        if text:
            others = [corner for n, corner in enumerate(corners) if n != k]
            plates.append(_label(canvas, text, corners[k], colours[k], size, line, others, plates))
    return canvas


def _outline(box: np.ndarray, line: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the outermost pixels of a box's line, inside the image."""
    left, top = np.floor(box[:2]) - line
    right, bottom = np.ceil(box[2:]) + line - 1
    left, right = np.clip([left, right], 0, width - 1)
    top, bottom = np.clip([top, bottom], 0, height - 1)
    return int(left), int(top), int(max(left, right)), int(max(top, bottom))


def _area(corner: tuple[int, int, int, int]) -> int:
    return (corner[2] - corner[0]) * (corner[3] - corner[1])


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> int:
    wide = min(first[2], second[2]) - max(first[0], second[0]) + 1
    tall = min(first[3], second[3]) - max(first[1], second[1]) + 1
    return max(0, wide) * max(0, tall)


def _label(
    canvas: np.ndarray,
    text: str,
    corner: tuple[int, int, int, int],
    paint: Colour,
    size: int,
    line: int,
    others: list[tuple[int, int, int, int]],
    plates: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Draw a label at the best place for it; returns its plate."""
    height, width = canvas.shape[:2]
    pad = max(1, size // 4)
    text = _shortened(" ".join(text.split()), size, width - 2 * pad)
    ascent, descent = round(size * 0.78), round(size * 0.24)
    wide = min(width, line_width(text, size) + 2 * pad)
    tall = min(height, ascent + descent + pad)
    left, top, right, bottom = corner
    places = [
        (left, top - tall),  # above
        (left, bottom + 1),
        (right - wide + 1, top - tall),
        (right - wide + 1, bottom + 1),
        (right + 1, top),  # beside
        (left - wide, top),
        (left + line, top + line),  # inside
    ]
    # A place that has to be moved into the image would cover the box itself: such come last.
    best: tuple[float, tuple[int, int, int, int]] | None = None
    for rank, (x, y) in enumerate(places):
        inside_x, inside_y = min(max(0, x), width - wide), min(max(0, y), height - tall)
        plate = (inside_x, inside_y, inside_x + wide - 1, inside_y + tall - 1)
        own = 0.25 * _overlap(plate, corner)
        covered = 4 * sum(_overlap(plate, p) for p in plates) + sum(_overlap(plate, o) for o in others)
        cost = (own + covered) / (wide * tall) + 0.01 * rank
        if best is None or cost < best[0]:
            best = cost, plate
    assert best is not None
    plate = best[1]
    cv2.rectangle(canvas, plate[:2], plate[2:], paint, -1)
    luminance = 0.2126 * paint[0] + 0.7152 * paint[1] + 0.0722 * paint[2]
    write_line(canvas, text, (plate[0] + pad, plate[1] + pad // 2 + ascent), _DARK if luminance > 110 else _LIGHT, size)
    return plate


def _shortened(text: str, size: int, room: int) -> str:
    if line_width(text, size) <= room:
        return text
    for count in range(len(text) - 1, 0, -1):
        short = text[:count].rstrip() + "..."
        if line_width(short, size) <= room:
            return short
    return ""


@lru_cache(maxsize=1)
def _font() -> Any:
    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None


def _strokes(size: int) -> tuple[float, int]:
    """Return scale and thickness of OpenCV 4's strokes: its capitals are 22 px high at a scale of 1."""
    return size * 0.72 / 22, max(1, round(size / 14))


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


@lru_cache(maxsize=4096)
def line_width(text: str, size: int) -> int:
    """Return the width of a line of text in letters of this size, px."""
    if not text:
        return 0
    if _font() is not None:
        return int(cv2.getTextSize((1, 1), text, (0, 0), _font(), size, 500)[2])
    return int(cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, *_strokes(size))[0][0])


def write_line(canvas: np.ndarray, text: str, origin: tuple[int, int], paint: Colour, size: int) -> None:
    """Write a line of text into uint8 (h, w, 3); origin: the left end of its base line, px."""
    if not text:
        return
    if _font() is not None:
        cv2.putText(canvas, text, origin, paint, _font(), size, 500)
    else:
        scale, thickness = _strokes(size)
        cv2.putText(canvas, _ascii(text), origin, cv2.FONT_HERSHEY_SIMPLEX, scale, paint, thickness, cv2.LINE_AA)

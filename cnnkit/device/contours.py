"""Masks drawn over pictures: outlines and a tint, a colour a label, and what the colours mean below.

An outline lies inside of its mask: what is thin looks no wider than it is. Where a mask reaches the edge of the picture it has
none.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from cnnkit.device.drawing import COLOURS, LETTER, Colour, colour, line_width, write_line

TINT = 0.3  # of the colour, inside a mask
LINE = 1 / 300  # of the picture's shorter side
LETTERS = (11, 32)  # px, of what stands below a picture


def as_shown(picture: np.ndarray) -> np.ndarray:
    """Return a picture of any values as a person sees it: uint8 (h, w, 3)."""
    picture = picture[..., None] if picture.ndim == 2 else picture
    picture = picture[..., :3] if picture.shape[2] >= 3 else np.repeat(picture[..., :1], 3, axis=2)
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    low, high = np.percentile(picture[::2, ::2], [0.5, 99.5])
    spread = (picture.astype(np.float32) - low) * (255 / max(float(high - low), 1e-6))
    return np.clip(np.rint(spread), 0, 255).astype(np.uint8)


def outlined(
    picture: np.ndarray,
    planes: np.ndarray,
    colours: Sequence[tuple[int, int, int]] | None = None,
    *,
    tint: float = TINT,
    line: int | None = None,
) -> np.ndarray:
    """Draw masks over a picture.

    Args:
        picture: uint8, uint16 or float (h, w) or (h, w, c); it is not changed.
        planes: bool (labels, h, w).
        colours: RGB, of each label; None: `cnnkit.device.drawing.colour`.
        tint: share of the colour inside.
        line: px; None: as suits the picture; 0: none.

    Returns:
        uint8 (h, w, 3).
    """
    drawn = np.array(as_shown(picture))
    width = max(1, round(LINE * min(drawn.shape[:2]))) if line is None else line
    for place, plane in enumerate(planes):
        own = colours[place] if colours is not None else colour(place)
        if tint:
            inside = drawn[plane].astype(np.float32) * (1 - tint) + np.array(own, np.float32) * tint
            drawn[plane] = np.rint(inside).astype(np.uint8)
        if width:
            drawn[rim(plane, width)] = own
    return drawn


def rim(plane: np.ndarray, width: int) -> np.ndarray:
    """Return the pixels of a mask, bool (h, w), that are no further than so many px from its border: bool (h, w)."""
    inner = cv2.erode(plane.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
    return plane & (inner == 0)


def outlined_objects(picture: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Draw objects over a picture, each with a tint and an outline of its own colour; colours repeat.

    Args:
        picture: as `outlined`.
        numbers: which object each pixel is of, int32 (h, w), 0 for none.

    Returns:
        uint8 (h, w, 3).
    """
    drawn = np.array(as_shown(picture))
    own = np.array(COLOURS, np.uint8)[(numbers - 1) % len(COLOURS)]
    there, flat = numbers > 0, numbers.astype(np.float32)
    drawn[there] = cv2.addWeighted(drawn, 1 - TINT, own, TINT, 0)[there]
    around = np.ones((2 * max(1, round(LINE * min(numbers.shape) / 2)) + 1,) * 2, np.uint8)
    edge = there & (cv2.dilate(flat, around) > cv2.erode(flat, around))
    drawn[edge] = own[edge]
    return drawn


def captioned(picture: np.ndarray, colours: Sequence[tuple[Colour, str]], line: str) -> np.ndarray:
    """Write below a picture what its colours mean, and a line.

    Args:
        picture: uint8 (h, w, 3).
        colours: RGB, and a name.
        line: of text.

    Returns:
        uint8 (taller, w, 3), white beside the text; wider where the text is.
    """
    size = int(np.clip(round(min(picture.shape[:2]) * LETTER), *LETTERS))
    pad, step = size // 2, round(1.6 * size)
    parts = [(2 * size + line_width(name, size), paint, name) for paint, name in colours]
    wide = max(picture.shape[1], 2 * pad + max([line_width(line, size), *(width for width, _, _ in parts)]))
    places, left, row = [], pad, 0
    for width, paint, name in parts:
        if left > pad and left + width > wide:
            left, row = pad, row + 1
        places.append((left, row, paint, name))
        left += width + size
    height = picture.shape[0]
    canvas = np.full((height + pad + (row + 1 + bool(parts)) * step, wide, 3), 255, np.uint8)
    canvas[:height, : picture.shape[1]] = picture
    for left, row, paint, name in places:
        base = height + pad + row * step + size
        cv2.rectangle(canvas, (left, base - size), (left + size, base), paint, -1)
        write_line(canvas, name, (left + size + pad, base), (0, 0, 0), size)
    write_line(canvas, line, (pad, canvas.shape[0] - pad), (0, 0, 0), size)
    return canvas

"""Masks drawn over pictures: outlines and a tint, a colour a label."""

from collections.abc import Sequence

import cv2
import numpy as np

from cnnkit.device.drawing import colour

TINT = 0.3  # of the colour, inside a mask
LINE = 1 / 300  # of the picture's shorter side


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
            found, _ = cv2.findContours(plane.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(drawn, found, -1, own, width)
    return drawn

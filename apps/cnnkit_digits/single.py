"""One digit in a picture, made to look as the model's training data does.

A picture that is of the model's own size and dark around its edge is taken to look so already, and goes in as it is.
"""

from typing import Any

import cv2
import numpy as np

from cnnkit.device.image import fit_image
from cnnkit_digits.glyphs import normalised, stroke_width, tight

LAYOUT = "mnist"  # what `describe` writes into artifacts trained on white digits, centred on black, in 28x28
LONGEST = 400  # px; a single digit needs no more


def describe(records: Any, model: str) -> dict[str, Any]:
    """Say whether these records look like MNIST: 28x28, grey, black around the edge."""
    if tuple(records.image_shape) != (28, 28, 1) or not len(records):
        return {}
    images, _ = records.read(np.arange(min(len(records), 200)))
    edge = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    return {"layout": LAYOUT} if edge.mean() < 10 and images.mean() > 10 else {}


def single_digit(image: np.ndarray, model: Any) -> np.ndarray:
    """Cut the digit out of a picture and normalise it as MNIST does, if that is what the model was trained on.

    Args:
        image: uint8 (h, w), (h, w, 3) RGB or (h, w, 4) RGBA: dark on light or light on dark, uneven light allowed.
        model: an artifact; without the layout `mnist` in its metadata the picture is only fitted into its shape.

    Returns:
        uint8 (h, w, c) of the model's input shape.
    """
    fitted = fit_image(image, model.input_shape)
    if model.metadata.get("layout") != LAYOUT:
        return fitted
    if image.shape[:2] == model.input_shape[:2] and np.median(_edge(fitted[..., 0])) < 64:
        return fitted
    digit = _ink(image)
    return fitted if digit is None else digit[..., None]


def _edge(plane: np.ndarray) -> np.ndarray:
    return np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])


def _ink(image: np.ndarray) -> np.ndarray | None:
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    plane = fit_image(image, (max(1, round(height * scale)), max(1, round(width * scale)), 1))[..., 0].astype(
        np.float32
    )
    if np.median(_edge(plane)) > np.median(plane) or np.median(_edge(plane)) > 127:
        plane = 255 - plane
    side = max(plane.shape) // 2 * 2 + 1
    shade = cv2.GaussianBlur(cv2.erode(plane, np.ones((max(3, side // 8),) * 2)), (0, 0), max(1.0, side / 8))
    ink = np.clip(plane - shade, 0, None)
    peak = float(np.percentile(ink, 99.5))
    if peak < 12:  # of 255: an empty picture
        return None
    ink = np.clip(ink / peak, 0, 1)
    level, mask = cv2.threshold((ink * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, names, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(names, 1 + np.flatnonzero(areas >= 0.06 * areas.max()))
    kept = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    glyph = tight(
        np.where(kept, np.clip((ink - 0.5 * level / 255) / max(0.05, 1 - level / 255), 0, 1), 0).astype(np.float32)
    )
    return None if glyph is None else normalised(glyph.ink, stroke_width(glyph))

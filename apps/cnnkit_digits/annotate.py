"""A page with what was read drawn onto it."""

import cv2
import numpy as np

from cnnkit_digits.reader import Number, Page

GOOD, DOUBTFUL, POOR = (20, 120, 70), (190, 120, 0), (190, 40, 40)  # RGB
SURE, HALF_SURE = 0.85, 0.6  # confidence from which a number is drawn in the first and the second colour
FONT = cv2.FONT_HERSHEY_DUPLEX


def annotate(image: np.ndarray, page: Page) -> np.ndarray:
    """Draw every number's box, turned as its line is, with its text and confidence above it.

    Args:
        image: the page as it was read, uint8 (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA.
        page: what `read_page` found on it.

    Returns:
        uint8 RGB (h, w, 3); green where it is sure, amber and red where it is less so.
    """
    canvas = _rgb(image)
    scale = max(canvas.shape[:2]) / 1000
    thickness = max(1, round(1.6 * scale))
    for number in page.numbers:
        _outline(canvas, number, thickness)
    for number in page.numbers:  # labels lie above all boxes
        _label(canvas, number, [other for other in page.numbers if other is not number], scale)
    return canvas


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB)
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.float32) / 255
        return (image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.array(image)


def _colour(number: Number) -> tuple[int, int, int]:
    if number.confidence >= SURE and "uncertain" not in number.flags:
        return GOOD
    return DOUBTFUL if number.confidence >= HALF_SURE else POOR


def _corners(number: Number) -> np.ndarray:
    x0, y0, x1, y1 = number.box
    return np.array(number.corners or ((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float32)


def _outline(canvas: np.ndarray, number: Number, thickness: int) -> None:
    corners = np.rint(_corners(number)).astype(np.int32)
    cv2.polylines(canvas, [corners], True, (255, 255, 255), thickness + 2, cv2.LINE_AA)
    cv2.polylines(canvas, [corners], True, _colour(number), thickness, cv2.LINE_AA)


def _label(canvas: np.ndarray, number: Number, others: list[Number], scale: float) -> None:
    text = f"{number.text}  {100 * number.confidence:.0f}%"
    size = max(0.38, 0.5 * scale)
    weight = max(1, round(size))
    (width, height), below = cv2.getTextSize(text, FONT, size, weight)
    margin = max(2, round(3 * scale))
    wide, high = width + 2 * margin, height + below + 2 * margin
    corners = _corners(number)
    x = int(np.clip(corners[:, 0].min(), 0, max(0, canvas.shape[1] - wide)))
    above, under = int(corners[:, 1].min()) - high, int(corners[:, 1].max()) + 1
    fits = [y for y in (above, under) if 0 <= y <= canvas.shape[0] - high] or [max(0, above)]
    y = min(fits, key=lambda top: sum(_shared((x, top, x + wide, top + high), other.box) for other in others))
    cv2.rectangle(canvas, (x, y), (x + wide, y + high), _colour(number), cv2.FILLED, cv2.LINE_AA)
    origin = (x + margin, y + margin + height)
    cv2.putText(canvas, text, origin, FONT, size, (255, 255, 255), weight, cv2.LINE_AA)


def _shared(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the area that two boxes share, in px."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)

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
    taken = [_corners(number) for number in page.numbers]
    for number in page.numbers:  # labels lie above all boxes
        taken.append(_label(canvas, number, taken, scale))
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


def _label(canvas: np.ndarray, number: Number, taken: list[np.ndarray], scale: float) -> np.ndarray:
    """Write a number's label where it hides least of what is taken; return the label's corners."""
    text = f"{number.text}  {100 * number.confidence:.0f}%"
    size = max(0.36, 0.42 * scale)
    weight = max(1, round(size))
    (width, height), below = cv2.getTextSize(text, FONT, size, weight)
    margin = max(2, round(2 * scale))
    wide, high = width + 2 * margin, height + below + 2 * margin
    top_left, top_right, bottom_right, bottom_left = _corners(number)
    middle = (top_right[1] + bottom_right[1]) / 2 - high / 2
    spots = (
        (top_left[0], min(top_left[1], _edge(top_left, top_right, top_left[0] + wide)) - high - margin),
        (top_right[0] - wide, min(top_right[1], _edge(top_left, top_right, top_right[0] - wide)) - high - margin),
        (bottom_left[0], max(bottom_left[1], _edge(bottom_left, bottom_right, bottom_left[0] + wide)) + margin),
        (max(top_right[0], bottom_right[0]) + 2 * margin, middle),
        (min(top_left[0], bottom_left[0]) - wide - 2 * margin, middle),
    )
    room = np.array([max(0, canvas.shape[1] - wide), max(0, canvas.shape[0] - high)])
    boxes = []
    for spot in spots:
        x, y = np.clip(np.rint(spot), 0, room)
        boxes.append(np.array([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], np.float32))
    best = min(boxes, key=lambda box: sum(cv2.intersectConvexConvex(box, other)[0] for other in taken))
    x, y = (int(v) for v in best[0])
    cv2.rectangle(canvas, (x, y), (x + wide, y + high), _colour(number), cv2.FILLED, cv2.LINE_AA)
    origin = (x + margin, y + margin + height)
    cv2.putText(canvas, text, origin, FONT, size, (255, 255, 255), weight, cv2.LINE_AA)
    return best


def _edge(start: np.ndarray, end: np.ndarray, x: float) -> float:
    """Return the height at x of the line through two corners."""
    return float(start[1] + (end[1] - start[1]) * np.clip((x - start[0]) / max(end[0] - start[0], 1e-6), 0, 1))

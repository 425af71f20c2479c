"""Finding objects with an exported detector: tiles, decoding, suppression and merging, in NumPy.

Design choices:
- One plan, which travels inside the file, says how an image meets the detector: fitted whole into its input, or cut into
  overlapping tiles at a fixed scale, where objects are small in large images. Training cuts its views the same way.
- An image fitted whole keeps its aspect; it lies in the top left corner and the rest of the input is grey.
- Where tiles are cut, the whole image is looked at for what no tile holds, and for nothing smaller.
- A tile sees some objects only in part. Boxes that end at an inner edge of a tile come after all others, and go where
  another box of their class covers most of them; so an object seen whole in one tile is never cut by its neighbour.
- Raw outputs are what MediaPipe's raw detector decodes: one anchor a cell, its size the stride, offsets in strides, sizes
  exponential. `boxes` and `scores` are separate tensors, so that each keeps a scale of its own in int8.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cnnkit.device.image import fit_image

GREY = 114  # beyond the image's edges
CANDIDATES = 1000  # boxes of an image that enter suppression, the highest scores first
AT_ONCE = 16  # inputs that a model is given together
IOU = 0.6  # above which two boxes of a class are one object
LARGEST = 6.0  # of the exponent of a size: 403 strides
EDGE = 2.0  # px of the input: a box that ends so near to a tile's inner edge may go on beyond it
LONG = 0.8  # of the overlap of tiles: a shorter object is left to the tiles
COVERED = 0.6  # of such a box, by another of its class: it is then a part of that


@dataclass(frozen=True)
class Plan:
    """How images meet a detector.

    Attributes:
        strides: of the detector's maps, px of its input.
        scale: px of the input for one px of the image, where tiles are cut; None: the whole image is fitted in.
        overlap: px of the input that neighbouring tiles share, at least; objects up to this size are seen whole by one.
        whole: besides tiles, find in the whole image too, for objects that no tile holds.
        threshold: score from which a box is shown; chosen on validation data, 0.5 without any.
    """

    strides: tuple[int, ...] = (8, 16, 32)
    scale: float | None = None
    overlap: float = 0.0
    whole: bool = False
    threshold: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `cnnkit.json` holds them."""
        return {**asdict(self), "strides": list(self.strides)}

    @property
    def seen(self) -> str:
        """How pictures meet the detector, for people; goes on after "pictures are"."""
        if self.scale is None:
            return "fitted in whole, their aspect kept"
        return f"cut into overlapping tiles at a scale of {self.scale:.3g}" + ", and seen whole" * self.whole

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """Return the plan that `to_dict` described; unknown keys are left out."""
        known = {key: value for key, value in values.items() if key in cls.__dataclass_fields__}
        if "strides" in known:
            known["strides"] = tuple(int(stride) for stride in known["strides"])
        return cls(**known)


class Detections(NamedTuple):
    """What was found in an image, the highest score first.

    boxes: float32 (k, 4): left, top, right, bottom, px of the image. scores: float32 (k,) in [0, 1]. codes: int32 (k,).
    """

    boxes: np.ndarray
    scores: np.ndarray
    codes: np.ndarray

    def take(self, chosen: Any) -> "Detections":
        """Return some of them, by index or mask."""
        return Detections(self.boxes[chosen], self.scores[chosen], self.codes[chosen])


def nothing() -> Detections:
    """Return no detections."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@lru_cache(maxsize=16)
def cells(height: int, width: int, strides: tuple[int, ...]) -> np.ndarray:
    """Return the cells of a detector's maps, in the order of its outputs: float32 (n, 3), centre x, centre y, stride, px.

    Maps come in the order of `strides`, cells row by row.
    """
    rows = []
    for stride in strides:
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        rows.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(x.shape, stride)], -1).reshape(-1, 3))
    found = np.concatenate(rows).astype(np.float32)
    found.flags.writeable = False
    return found


def decode(raw: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Turn raw boxes into corners.

    Args:
        raw: float (..., 4): offset of the centre down, right, logarithm of height, width; all in strides of the cell.
        grid: float (..., 3), as `cells` makes it.

    Returns:
        float32 (..., 4): left, top, right, bottom, px of the input.
    """
    x, y, stride = grid[..., 0], grid[..., 1], grid[..., 2]
    middle_y, middle_x = y + raw[..., 0] * stride, x + raw[..., 1] * stride
    half_h = np.exp(np.minimum(raw[..., 2], LARGEST)) * stride / 2
    half_w = np.exp(np.minimum(raw[..., 3], LARGEST)) * stride / 2
    corners = [middle_x - half_w, middle_y - half_h, middle_x + half_w, middle_y + half_h]
    return np.stack(corners, -1).astype(np.float32)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes (..., 4), px^2; those without extent have 0."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)


def intersections(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the areas that boxes (n, 4) and (m, 4) share: (n, m), px^2."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]


def ious(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes (n, 4) and (m, 4): (n, m) in [0, 1]."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - shared
    return shared / np.maximum(union, 1e-9)


def suppress(found: Detections, *, iou: float = IOU, limit: int = 100, cut: np.ndarray | None = None) -> Detections:
    """Keep of boxes of a class that overlap the one with the highest score (non-maximum suppression).

    Args:
        found: boxes of one image.
        iou: intersection over union above which two boxes are one object.
        limit: most boxes to return.
        cut: bool (k,), boxes that may be a part of an object. They come last, and go where they lie mostly inside another.
    """
    cut = np.zeros(len(found.scores), bool) if cut is None else cut
    order = np.lexsort((-found.scores, cut))[:CANDIDATES]
    found, cut = found.take(order), cut[order]
    left, top, right, bottom = found.boxes.astype(np.float32).T
    size = areas(found.boxes).astype(np.float32)
    waiting = np.arange(len(order))  # those that no kept box has taken away
    kept: list[int] = []
    solid = 0
    while len(waiting):
        best, rest = int(waiting[0]), waiting[1:]
        solid += not cut[best]
        if solid <= limit or cut[best]:
            kept.append(best)
        wide = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        high = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        union = np.maximum(size[best] + size[rest] - shared, 1e-9)
        part = cut[rest] & (shared > COVERED * np.maximum(size[rest], 1e-9))  # lies mostly inside the best
        same = found.codes[rest] == found.codes[best]
        waiting = rest[~(same & ((shared > iou * union) | part))]
    result = found.take(np.array(kept, int))
    return result.take(np.argsort(-result.scores, kind="stable")[:limit])


def tiles(height: int, width: int, shape: Sequence[int], overlap: float) -> list[tuple[int, int]]:
    """Return where tiles lie on an image: (top, left) px, evenly spread, the first and the last at its edges.

    Args:
        height, width: of the image at the scale of the tiles, px.
        shape: (height, width) of a tile.
        overlap: px that neighbours share, at least.
    """

    def starts(length: int, side: int) -> list[int]:
        if length <= side:
            return [0]
        count = int(np.ceil((length - side) / max(1.0, side - overlap))) + 1
        return [round(place) for place in np.linspace(0, length - side, count).tolist()]

    return [(top, left) for top in starts(height, shape[0]) for left in starts(width, shape[1])]


def fitted(image: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, float]:
    """Fit a whole image into a shape, its aspect kept: the input, uint8 of that shape, and its px for one of the image."""
    height, width = image.shape[:2]
    scale = min(shape[0] / height, shape[1] / width)
    return _padded(scaled(image, scale, shape[2]), 0, 0, shape), scale


def scaled(image: np.ndarray, scale: float, channels: int) -> np.ndarray:
    """Return an image at another scale, uint8 (h, w, channels)."""
    height, width = _sides(image.shape[0], image.shape[1], scale)
    if (height, width, channels) == image.shape:
        return image
    return fit_image(image, (height, width, channels))


def _sides(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(1, round(height * scale)), max(1, round(width * scale))


def _padded(image: np.ndarray, top: int, left: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Cut a window out of an image; grey beyond its edges."""
    part = image[top : top + shape[0], left : left + shape[1]]
    if part.shape == tuple(shape):
        return part
    page = np.full(shape, GREY, np.uint8)
    page[: part.shape[0], : part.shape[1]] = part
    return page


def find(model: Any, image: np.ndarray, plan: Plan, **options: Any) -> Detections:
    """Find the objects in an image; arguments as `find_each`."""
    return next(find_each(model, [image], plan, **options))


def find_each(
    model: Any,
    images: Iterable[np.ndarray],
    plan: Plan,
    *,
    threshold: float | None = None,
    iou: float = IOU,
    limit: int = 100,
) -> Iterator[Detections]:
    """Find the objects in images, one after the other; the model is given some inputs at once, as Keras works best.

    Args:
        model: has `input_shape` (h, w, c) and `predict(images uint8 (n, h, w, c))` -> `boxes` (n, cells, 4), raw, and
            `scores` (n, cells, classes) in [0, 1].
        images: uint8 (h, w), (h, w, 3) RGB or (h, w, 4), of any sizes.
        plan: how an image meets the model.
        threshold: score from which a box counts; None: the plan's.
        iou: intersection over union above which two boxes are one object.
        limit: most boxes of an image to return.
    """
    threshold = plan.threshold if threshold is None else threshold
    grid = cells(model.input_shape[0], model.input_shape[1], plan.strides)
    waiting: list[np.ndarray] = []  # inputs that the model has not seen yet
    opened: deque[tuple[tuple[int, ...], list[_Place]]] = deque()  # images, and where their inputs lie
    answers: deque[tuple[np.ndarray, np.ndarray]] = deque()

    def answered() -> None:
        outputs = model.run_batch(np.stack(waiting))
        answers.extend(zip(outputs["boxes"], outputs["scores"], strict=True))
        waiting.clear()

    def finished(every: bool) -> Iterator[Detections]:
        while opened and (every or len(answers) >= len(opened[0][1])):
            shape, places = opened.popleft()
            parts = [_read(*answers.popleft(), place, grid, threshold, model.input_shape, shape) for place in places]
            if plan.scale is not None and plan.whole:
                parts[0] = _longer(parts[0], LONG * plan.overlap / plan.scale)
            found = Detections(*(np.concatenate(arrays) for arrays in zip(*(part for part, _ in parts))))
            cut = np.concatenate([cut for _, cut in parts])
            solid = (found.boxes[:, 2] > found.boxes[:, 0]) & (found.boxes[:, 3] > found.boxes[:, 1])
            yield suppress(found.take(solid), iou=iou, limit=limit, cut=cut[solid])

    for image in images:
        places = []
        for page, place in inputs(image, plan, model.input_shape):
            waiting.append(page)
            places.append(place)
            if len(waiting) == AT_ONCE:
                answered()
        opened.append((image.shape, places))
        yield from finished(every=False)
    if waiting:
        answered()
    yield from finished(every=True)


def _longer(part: tuple[Detections, np.ndarray], least: float) -> tuple[Detections, np.ndarray]:
    """Leave out boxes whose longer side is below `least`, px of the image."""
    found, cut = part
    chosen = (found.boxes[:, 2:] - found.boxes[:, :2]).max(1, initial=0) >= least
    return found.take(chosen), cut[chosen]


class _Place(NamedTuple):
    """Where an input lies on the scaled image, and the size of that, px."""

    top: int
    left: int
    height: int
    width: int


def inputs(image: np.ndarray, plan: Plan, shape: tuple[int, int, int]) -> Iterator[tuple[np.ndarray, _Place]]:
    """Yield what a model is to see of an image."""
    height, width = image.shape[:2]
    if plan.scale is None or plan.whole:
        page, scale = fitted(image, shape)
        yield page, _Place(0, 0, *_sides(height, width, scale))
    if plan.scale is not None:
        large = scaled(image, plan.scale, shape[2])
        for top, left in tiles(large.shape[0], large.shape[1], shape[:2], plan.overlap):
            yield _padded(large, top, left, shape), _Place(top, left, large.shape[0], large.shape[1])


def _read(
    raw: np.ndarray,
    scores: np.ndarray,
    place: _Place,
    grid: np.ndarray,
    threshold: float,
    shape: tuple[int, ...],
    image: tuple[int, ...],
) -> tuple[Detections, np.ndarray]:
    """Return what a model says of one input, in px of the image, and which boxes end at an inner edge."""
    chosen, codes = np.nonzero(scores >= threshold)
    values = scores[chosen, codes]
    if len(values) > CANDIDATES:
        best = np.argpartition(-values, CANDIDATES)[:CANDIDATES]
        chosen, codes, values = chosen[best], codes[best], values[best]
    boxes = decode(raw[chosen], grid[chosen])
    top, left, height, width = place
    inner = [left > 0, top > 0, left + shape[1] < width, top + shape[0] < height]
    near = np.concatenate([boxes[:, :2] < EDGE, boxes[:, 2:] > np.array([shape[1], shape[0]]) - EDGE], axis=1)
    # A scaled image has whole pixels, so its two scales differ a little from the plan's, and from each other.
    scales = np.array([width / image[1], height / image[0]] * 2, np.float32)
    boxes = (boxes + np.array([left, top] * 2, np.float32)) / scales
    boxes = np.clip(boxes, 0, np.array([image[1], image[0]] * 2, np.float32))
    return Detections(boxes, values.astype(np.float32), codes.astype(np.int32)), (near & np.array(inner)).any(1)

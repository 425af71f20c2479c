"""Views of images with boxes: what a detector sees in training, cut from the native image in one resampling.

Design choices:
- Small objects in large photos are learnt from crops at full resolution, mostly around one; a whole photo shrunk to the
  detector's input would leave nothing of them. Scale, aspect and place vary; four views in one (mosaic) show more objects,
  and smaller ones, against more backgrounds.
- What fills a mosaic beside its first image is drawn by how rare its classes are (`rarity`): each image is still seen once an
  epoch, and rare classes more often.
- Every view is a pure function of (seed, step, place in the batch), like all augmentation here.
- A box of which less than a third is left in the view is ignored there: neither an object to be found nor background.
- Keras's layers with boxes take a batch of one size; these take images of any size, so they are made here, with OpenCV.
- Light, contrast, colours and blur are changed here too: one matrix on bytes, 5 ms a batch of 16 at 320 px. Keras's three layers
  took 0.22 s, a quarter of a training step.
"""

import dataclasses
import math
from typing import Any

import cv2
import numpy as np

from cnnkit.device.detection import GREY, areas
from cnnkit.device.image import fit_image
from cnnkit.tasks.detection.boxes import MOST, NOT_ASKED

VISIBLE = 1 / 3  # of a box's area: with less of it in the view it is ignored
WHOLE = 0.15  # of the views show a whole image, where the plan looks at it beside its tiles
SMALLEST = 3.0  # px of the view: a shorter side is ignored


@dataclasses.dataclass(eq=False)
class Views:
    """Views of records: (indices, step) -> (images, boxes), as `BoxRecords.read` returns them.

    Attributes:
        records: images with boxes, as `BoxRecords`; their plan says at which scale they are seen.
        seed: of every random number.
        scale: lowest and highest factor on the plan's scale.
        aspect: most by which width is stretched against height, or height against width.
        focus: share of the views placed around a box, where there is one.
        mosaic: share of the views made of four.
        stops: most by which the light is changed either way, in photographic stops.
        contrast, saturation: most by which they are changed, as a share.
        tint: most by which a colour is changed against the others, as a share.
        blur: share of the views that are blurred a little.
        mirror: mirror half of them.
        still: show each record always alike, and nothing of the above.
    """

    records: Any
    seed: int
    _: dataclasses.KW_ONLY
    scale: tuple[float, float] = (0.6, 1.6)
    aspect: float = 1.15
    focus: float = 0.8
    mosaic: float = 0.5
    stops: float = 0.7
    contrast: float = 0.4
    saturation: float = 0.5
    tint: float = 0.06
    blur: float = 0.1
    mirror: bool = False
    still: bool = False

    def __post_init__(self) -> None:
        self._unasked = self.records.unasked()
        four = self.mosaic and not self.still and len(self.records)
        self._chances = np.cumsum(rarity(self.records)) if four else np.zeros(0)

    def __call__(self, indices: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Make the views of one step."""
        images = np.empty((len(indices), *self.records.input_shape), np.uint8)
        targets = np.zeros((len(indices), MOST + len(self._unasked), 6), np.float32)
        for place, index in enumerate(np.asarray(indices).tolist()):
            rng = np.random.default_rng((self.seed, index) if self.still else (self.seed, step, place))
            found = self._fill(images[place], index, rng)
            if not self.still:
                self._light(images[place], rng)
            unasked = np.unique(found[found[:, 5] == NOT_ASKED, 4])
            found = found[found[:, 5] != NOT_ASKED]
            largest = np.argsort(-areas(found), kind="stable")[:MOST]
            targets[place, : len(largest)] = found[largest]
            targets[place, MOST : MOST + len(unasked), 4:] = np.stack([unasked, np.full(len(unasked), NOT_ASKED)], 1)
        return images, targets

    def _fill(self, page: np.ndarray, index: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a view, or four, into `page`; return its boxes, float (k, 6)."""
        height, width = page.shape[:2]
        if self.still or rng.random() >= self.mosaic:
            found = self._view(page, index, rng)
        else:
            y, x = (round(side * rng.uniform(0.3, 0.7)) for side in (height, width))
            parts = []
            for top, bottom, left, right in ((0, y, 0, x), (0, y, x, width), (y, height, 0, x), (y, height, x, width)):
                part = self._view(page[top:bottom, left:right], index, rng)
                parts.append(part + np.array([left, top, left, top, 0, 0]))
                index = int(np.searchsorted(self._chances[:-1], rng.random() * self._chances[-1], "right"))
            found = np.concatenate(parts)
        if self.mirror and not self.still and rng.random() < 0.5:
            page[:] = page[:, ::-1].copy()
            found[:, [0, 2]] = width - found[:, [2, 0]]
        return found

    def _light(self, page: np.ndarray, rng: np.random.Generator) -> None:
        """Change light, contrast and colours of a view, in place: a line through the mean of its greys for each colour."""
        channels = page.shape[2]
        gain = 2 ** rng.uniform(-self.stops, self.stops)
        contrast = 1 + rng.uniform(-self.contrast, self.contrast)
        colour = 1 + rng.uniform(-self.saturation, self.saturation) if channels == 3 else 1.0
        tints = 1 + rng.uniform(-self.tint, self.tint, (channels, 1))
        mixed = colour * np.eye(channels) + (1 - colour) / channels
        matrix = gain * contrast * tints * mixed
        middle = gain * float(page[::8, ::8].mean())
        shift = np.full((channels, 1), (1 - contrast) * middle)
        page[:] = cv2.transform(page, np.hstack([matrix, shift])).reshape(page.shape)
        if rng.random() < self.blur:
            page[:] = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.4, 1.2)).reshape(page.shape)

    def _view(self, page: np.ndarray, index: int, rng: np.random.Generator) -> np.ndarray:
        image = self.records.native(index)
        image = fit_image(image, (*image.shape[:2], page.shape[2]))
        corners, codes, ignored = self.records.boxes(index)
        height, width = image.shape[:2]
        whole = not self.still and self.records.plan.whole and rng.random() < WHOLE
        x_scale = y_scale = self._fit(height, width) if whole else self._scale(height, width)
        if not self.still:
            by = math.exp(rng.uniform(*np.log(self.scale)))
            stretch = self.aspect ** rng.uniform(-0.5, 0.5)
            x_scale, y_scale = x_scale * by * stretch, y_scale * by / stretch
        across, down = page.shape[1] / x_scale, page.shape[0] / y_scale  # px of the image that the view shows
        sure = not ignored.all() and (self.still or rng.random() < self.focus)
        box = corners[rng.choice(np.flatnonzero(~ignored))] if sure and len(corners) else None
        corner = self.still and self.records.plan.scale is None
        left = 0.0 if corner else _start(rng, across, width, None if box is None else (box[0], box[2]))
        top = 0.0 if corner else _start(rng, down, height, None if box is None else (box[1], box[3]))
        left, top = _draw(page, image, left, top, x_scale, y_scale)
        scales, shift = np.array([x_scale, y_scale] * 2), np.array([left, top] * 2)
        seen = _seen((corners - shift) * scales, codes, ignored, page.shape)
        asked = self.records.asked(np.array([index]))
        if asked is None:
            return seen
        unasked = np.flatnonzero(~asked[0])
        rows = np.zeros((len(unasked), 6))
        rows[:, 4], rows[:, 5] = unasked, NOT_ASKED
        return np.concatenate([seen, rows])

    def _scale(self, height: int, width: int) -> float:
        """Return the px of a view for one of an image, before it is varied."""
        if self.records.plan.scale is not None:
            return self.records.plan.scale
        return self._fit(height, width)

    def _fit(self, height: int, width: int) -> float:
        shape = self.records.input_shape
        return min(shape[0] / height, shape[1] / width)


def rarity(records: Any) -> np.ndarray:
    """Return how often each image should be seen against one that holds the commonest class: float (n,), 1 or more.

    As the repeat factors of Gupta et al. 2019 (LVIS), section 4.2, but measured against the commonest class and without
    the root: of a class that is in one image where the commonest is in six, 6. An image counts as its rarest class does, and
    one without boxes as one of the commonest.
    """
    here = [np.unique(codes[~ignored]) for _, codes, ignored in map(records.boxes, range(len(records)))]
    images = np.bincount(np.concatenate([np.zeros(0, int), *here]), minlength=len(records.label_names))
    return np.array([images.max() / images[codes].min() if len(codes) else 1.0 for codes in here])


def _start(rng: np.random.Generator, length: float, side: int, span: tuple[float, float] | None) -> float:
    """Choose where a window of `length` begins on a side; where it can, it holds `span` and stays inside."""
    low, high = min(0.0, side - length), max(0.0, side - length)
    if span is not None:  # a span that is longer than the window fills it
        ends = span[1] - length, span[0]
        inner_low, inner_high = max(low, min(ends)), min(high, max(ends))
        if inner_low <= inner_high:
            low, high = inner_low, inner_high
    return rng.uniform(low, high)


def _draw(page: np.ndarray, image: np.ndarray, left: float, top: float, x_scale: float, y_scale: float) -> Any:
    """Fill a page with the window of an image that begins at (left, top); return where it begins, to whole pixels."""
    left, top = round(left), round(top)
    height, width = image.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1 = min(width, left + math.ceil(page.shape[1] / x_scale))
    y1 = min(height, top + math.ceil(page.shape[0] / y_scale))
    if x0 >= x1 or y0 >= y1:
        page[:] = GREY
        return left, top
    size = max(1, round((x1 - x0) * x_scale)), max(1, round((y1 - y0) * y_scale))
    way = cv2.INTER_AREA if min(x_scale, y_scale) < 0.9 else cv2.INTER_LINEAR
    part = cv2.resize(image[y0:y1, x0:x1], size, interpolation=way).reshape(size[1], size[0], page.shape[2])
    x, y = round((x0 - left) * x_scale), round((y0 - top) * y_scale)
    part = part[: page.shape[0] - y, : page.shape[1] - x]
    if part.shape != page.shape:
        page[:] = GREY
    page[y : y + part.shape[0], x : x + part.shape[1]] = part
    return left, top


def _seen(corners: np.ndarray, codes: np.ndarray, ignored: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cut boxes at the edges of a view and leave out those outside: float (k, 6)."""
    limits = np.array([shape[1], shape[0]] * 2, float)
    cut = np.clip(corners, 0, limits)
    left = areas(cut)
    short = (cut[:, 2:] - cut[:, :2]).min(1, initial=math.inf) < SMALLEST
    unclear = ignored | short | (left < VISIBLE * areas(corners))
    found = np.concatenate([cut, codes[:, None], np.where(unclear, -1, 1)[:, None]], axis=1)
    return found[left > 0]

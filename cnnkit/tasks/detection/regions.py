"""A detector without a network, as a bar for those with one: regions that stand out, told apart by a linear model.

Design choices:
- Regions are connected areas of one brightness, one strength of colour or one hue at several levels, as in MSER (Matas et al.
  2002), and their bounding boxes. Nothing in them is about one kind of object.
- Of each region its colours and gradients on a small grid are looked at, and where it lies and how large it is.
  Regions that overlap a box of training are its class; a sample of the others, and the most mistaken of these in a second round,
  are background (Dalal and Triggs 2005).
- It learns from a hundred images, spread over the classes, and takes some 30 ms of a core for each: large ones are shrunk first.
- Its settings were chosen on three folds of training images of two data sets (`benchmarks/box_baseline.py`). Boxes put where
  training has theirs had AP50 0.01 on drawn scenes. A network has to be better than this to be worth its training.
"""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from cnnkit.device.detection import Detections, ious, suppress

SIDE = 512  # px of the longer side, at most, in which regions are looked for
TRAINED = 100  # images, at most, that are learnt from
REGIONS = 400  # of an image, at most
_GRID, _CELL = 24, 6
_MARGIN = 0.0  # of a region's sides, that is looked at around it
_FEATURES = (8 + 2 * 12) * (_GRID // _CELL) ** 2 + 4
_LEAST, _MOST = 8, 0.8  # px of a region's side; of the image's
_AROUND = 12  # regions of background of an image that are learnt


def regions(image: np.ndarray) -> np.ndarray:
    """Return the bounding boxes of what stands out in an image, uint8 RGB: float32 (k, 4), px."""
    smooth = cv2.GaussianBlur(image, (3, 3), 0).astype(np.int16)
    high, low = smooth.max(2), smooth.min(2)
    red, green, blue = smooth[..., 0], smooth[..., 1], smooth[..., 2]
    maps = [high - low, red - np.maximum(green, blue), blue - np.maximum(red, green), np.minimum(red, green) - blue]
    masks = [chroma > level for chroma in maps for level in (25, 50, 90)]
    grey = smooth.mean(2)
    masks += [part for level in (50, 90, 130, 170, 210) for part in (grey > level, grey <= level)]
    found = []
    for mask in masks:
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
        found.append(stats[1:])
    left, top, width, height, area = np.concatenate(found).T
    limit = _MOST * max(image.shape[:2])
    keep = (np.minimum(width, height) >= _LEAST) & (np.maximum(width, height) <= limit)
    keep &= (np.maximum(width, height) <= 5 * np.minimum(width, height)) & (area >= 0.15 * width * height)
    boxes = np.stack([left, top, left + width, top + height], 1)[keep].astype(np.float32)
    full = (area / (width * height))[keep]
    scores = (0.5 + 0.5 * full).astype(np.float32)
    return suppress(Detections(boxes, scores, np.zeros(len(boxes), int)), iou=0.8, limit=REGIONS).boxes


def looks(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return what regions look like: float32 (k, features)."""
    height = image.shape[0]
    parts = np.zeros((len(boxes), _GRID, _GRID, 3), np.uint8)
    for k, (left, top, right, bottom) in enumerate(boxes):
        x, y = _MARGIN * (right - left), _MARGIN * (bottom - top)
        part = image[max(0, int(top - y)) : int(bottom + y) + 1, max(0, int(left - x)) : int(right + x) + 1]
        if part.size:  # a box of training may lie outside
            parts[k] = cv2.resize(part, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    grey = parts.mean(3, dtype=np.float32) / 255
    dy, dx = np.gradient(grey, axis=(1, 2))
    strength, angle = np.hypot(dx, dy), (np.arctan2(dy, dx) % np.pi * (8 / np.pi)).astype(np.int8) % 8
    cells = _GRID // _CELL
    bins = [np.where(angle == k, strength, 0).reshape(-1, cells, _CELL, cells, _CELL).sum((2, 4)) for k in range(8)]
    gradients = np.stack(bins, 3).reshape(len(boxes), cells * cells * 8)
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True) + 0.1
    half = _CELL // 2
    colours = parts.reshape(-1, 2 * cells, half, 2 * cells, half, 3).mean((2, 4), dtype=np.float32) / 255
    plain = colours - colours.mean((1, 2), keepdims=True)
    left, top, right, bottom = boxes.T
    shape = [np.log((right - left) / (bottom - top)), np.log((bottom - top) / height), (top + bottom) / (2 * height)]
    flat = [values.reshape(len(boxes), 12 * cells * cells) for values in (colours, plain)]
    features = np.concatenate([2 * gradients, *flat, np.stack([*shape, strength.mean((1, 2))], 1)], axis=1)
    return features.astype(np.float32)


class Regions:
    """A detector of regions, fitted to images and their boxes.

    Args:
        examples: of each image its pixels uint8 (h, w), (h, w, 3) or (h, w, 4), and its boxes: corners in px, codes, ignored.
    """

    def __init__(self, examples: Iterable[tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]]):
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        rng = np.random.default_rng(0)
        kinds: list[np.ndarray] = []
        seen: list[np.ndarray] = []
        others: list[np.ndarray] = []
        for image, (corners, codes, ignored) in examples:
            small, scale = _small(image)
            found = regions(small)
            corners = (corners * scale).astype(np.float32)
            overlap = ious(found, corners) if len(corners) and len(found) else np.zeros((len(found), 1))
            best = overlap.argmax(1)
            hit = overlap.max(1, initial=0) >= 0.5
            far = np.flatnonzero(overlap.max(1, initial=0) < 0.3)
            far = rng.permutation(far)[: 4 * _AROUND]
            good = np.flatnonzero(hit)[~ignored[best[hit]]] if len(codes) else np.zeros(0, int)
            drawn = corners[~ignored] if len(corners) else np.zeros((0, 4), np.float32)
            features = looks(small, np.concatenate([found[good], drawn, found[far[:_AROUND]]]))
            seen.append(features)
            hits = codes[best[good]] if len(good) else codes[:0]
            kinds.append(np.concatenate([hits, codes[~ignored], np.full(len(far[:_AROUND]), -1)]))
            others.append(looks(small, found[far[_AROUND:]]))
        x = np.concatenate([np.zeros((0, _FEATURES), np.float32), *seen])
        y = np.concatenate([np.zeros(0, int), *kinds]).astype(int)
        self._codes = np.unique(y)
        self._model: Any = None
        if len(self._codes) < 2:
            return
        self._model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1))
        self._model.fit(x, y)
        rest = np.concatenate([x[:0], *others])
        if len(rest) and -1 in y:
            mistaken = 1 - self._model.predict_proba(rest)[:, list(self._model.classes_).index(-1)]
            hard = rest[np.argsort(-mistaken, kind="stable")[: len(y)]]
            self._model.fit(np.concatenate([x, hard]), np.concatenate([y, np.full(len(hard), -1)]))

    def find(self, image: np.ndarray) -> Detections:
        """Find in an image: the best class of each region, with its probability."""
        small, scale = _small(image)
        found = regions(small)
        if not len(found) or not (self._codes >= 0).any():
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
        chances = np.full((len(found), 1), 0.5)
        if self._model is not None:
            chances = self._model.predict_proba(looks(small, found))
        chances[:, self._codes == -1] = -1
        best = chances.argmax(1)
        scores = chances[np.arange(len(best)), best].astype(np.float32)
        every = Detections((found / scale).astype(np.float32), scores, self._codes[best].astype(int))
        return suppress(every.take(scores >= 0.01), iou=0.4, limit=100)


def _small(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return an image as RGB, shrunk to `SIDE`, and by how much."""
    from cnnkit.device.image import fit_image

    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    return fit_image(image, (max(1, round(height * scale)), max(1, round(width * scale)), 3)), scale

"""A detector that needs no training: it finds what is bright red or bright blue, to the pixel."""

from pathlib import Path

import cv2
import numpy as np

from cnnkit.device import detection

STRIDES = (8, 16, 32)
BACKGROUND = (90, 100, 90)


class RedFinder:
    """Reports patches of red as class 0 and of blue as class 1, as raw outputs of one detector.

    Args:
        shape: of its input.
        scores: it gives red and blue.
        plan: as `cnnkit.json` has it.
    """

    path = Path("red.tflite")
    labels = ("red", "blue")

    def __init__(self, shape, scores=(0.9, 0.8), plan=None):
        self.input_shape, self.values, self.calls = shape, scores, 0
        self.metadata = {
            "app": "signs",
            "task": "detection",
            "labels": list(self.labels),
            "detection": (plan or detection.Plan(strides=STRIDES)).to_dict(),
        }

    def predict(self, images):
        grid = detection.cells(*self.input_shape[:2], STRIDES)
        scores = np.zeros((len(images), len(grid), 2), np.float32)
        boxes = np.zeros((len(images), len(grid), 4), np.float32)
        for n, image in enumerate(images):
            self.calls += 1
            r, g, b = (image[..., k].astype(int) for k in range(3))
            for code, mask in enumerate(((r > 150) & (g < 90) & (b < 90), (b > 150) & (g < 90) & (r < 90))):
                count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
                for left, top, width, height, area in stats[1:count]:
                    if area < 4:
                        continue
                    x, y = left + width / 2, top + height / 2
                    cell = int(np.hypot(grid[:, 0] - x, grid[:, 1] - y).argmin())
                    cx, cy, stride = grid[cell]
                    boxes[n, cell] = (
                        (y - cy) / stride,
                        (x - cx) / stride,
                        np.log(height / stride),
                        np.log(width / stride),
                    )
                    scores[n, cell, code] = self.values[code]
        return {"boxes": boxes, "scores": scores}


def scene(height, width, *boxes, colours=None):
    """Draw boxes (left, top, right, bottom), red unless told otherwise, on a dull ground: uint8 RGB."""
    image = np.full((height, width, 3), BACKGROUND, np.uint8)
    for box, colour in zip(boxes, colours or [(255, 0, 0)] * len(boxes), strict=True):
        left, top, right, bottom = (round(side) for side in box)
        image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = colour
    return image

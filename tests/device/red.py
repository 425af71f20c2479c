"""Detectors that need no training: one finds what is bright red or bright blue, to the pixel; one is a real .tflite."""

import json
import shutil
import zipfile
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

    def run_batch(self, images):
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


def write_tflite(path, labels=("red",), **metadata):
    """Write a detector of 64 x 64 px that LiteRT runs: redness of each of 16 cells, whose boxes are the cells."""
    shutil.copy(Path(__file__).with_name("red.tflite"), path)
    plan = detection.Plan(strides=(16,), threshold=0.5)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        document = {"app": "signs", "task": "detection", "labels": labels, "input": {"kind": "image"}}
        document |= {"detection": plan.to_dict(), **metadata}
        archive.writestr("cnnkit.json", json.dumps(document))
    return path


def convert():
    """Make `red.tflite` again: `python -c "from tests.device import red; red.convert()"`."""
    import tempfile

    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 64, 64, 3), tf.float32, name="image")])
    def find(image):
        r, g, b = tf.split(tf.nn.avg_pool2d(image, 16, 16, "VALID"), 3, -1)
        scores = tf.reshape(tf.nn.relu(r - tf.maximum(g, b)) / 255.0, (1, 16, 1))
        return {"boxes": tf.zeros((1, 16, 4)) + 0 * scores, "scores": scores}

    module = tf.Module()
    module.find = find
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": find.get_concrete_function()})
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    Path(__file__).with_name("red.tflite").write_bytes(content)

"""A stand-in for detection: red squares and blue discs on noise, in memory, found by a narrow detector in seconds."""

import dataclasses

import cv2
import numpy as np

from cnnkit.data.records import Splits
from cnnkit.device.detection import Plan
from cnnkit.settings import joined
from cnnkit.tasks.detection.records import Boxes, BoxRecords
from cnnkit.tasks.detection.settings import BOXES
from cnnkit.training import settings as of_training
from tests.toys import MemoryImages

Settings = joined(of_training.Settings, *BOXES)  # of its runs

LABELS = ("square", "disc")
SIDE = 64


def shapes(count, seed=0, plan=None):
    """Records of images with one or two shapes of 12 to 28 px, one in each half."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (count, SIDE, SIDE, 3)).astype(np.uint8)
    rows, ends = [], []
    for image in images:
        for half in rng.permutation(2)[: rng.integers(1, 3)]:
            side, code = int(rng.integers(12, 29)), int(rng.integers(2))
            left, top = (
                half * SIDE // 2 + int(rng.integers(0, SIDE // 2 - side + 1)),
                int(rng.integers(0, SIDE - side + 1)),
            )
            bright, dim = int(rng.integers(190, 256)), int(rng.integers(20, 90))
            colour = (dim, dim, bright) if code else (bright, dim, dim)
            if code:
                mask = np.hypot(*(np.mgrid[:side, :side] + 0.5 - side / 2)) < side / 2
                image[top : top + side, left : left + side][mask] = colour
            else:
                cv2.rectangle(image, (left, top), (left + side - 1, top + side - 1), colour, -1)
            rows.append((left, top, left + side, top + side, code))
        ends.append(len(rows))
    table = np.array(rows, float)
    boxes = Boxes(ends, table[:, :4], table[:, 4], np.zeros(len(rows), bool), np.full((count, 2), SIDE))
    return BoxRecords(
        MemoryImages(images), boxes.strata(2), LABELS, boxes=boxes, plan=plan or Plan(), input_shape=(SIDE, SIDE, 3)
    )


def splits(train=256, validation=16, test=100, strides=(8, 16, 32)):
    """The toy data set, divided."""
    card = {"name": "shapes", "title": "Shapes", "licence": "", "source": "", "citation": ""}
    return Splits(*(shapes(n, seed, Plan(strides)) for seed, n in enumerate((train, validation, test), 1)), card)


def recipe(data):
    """The recipe of finding signs, around the toy data."""
    from cnnkit_signs.cli import detection

    return dataclasses.replace(detection(), app="toy", data="shapes", load=lambda source, **_: data)

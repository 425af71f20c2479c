"""A digit drawn in the browser is laid out there as Python lays it out."""

import itertools

import cv2
import numpy as np

from cnnkit.demo.page import halves
from cnnkit.inputs.image.device import KIND
from cnnkit.tasks.classification import device as classification
from cnnkit_digits.single import DIGIT
from tests import programs

CODE = """import { layout } from "./app/index.js";
export default (pictures) => pictures.map((image) => {
  const found = layout({ ...image, data: Uint8Array.from(image.data) });
  return found && Array.from(found.data);
})"""


def drawn(rng, height, width, pen, corners, ink=20, paper=255, noise=0.0):
    picture = np.full((height, width, 3), paper, np.uint8)
    points = (rng.uniform(0.2, 0.8, (corners, 2)) * [width, height]).astype(int).tolist()
    for one, other in itertools.pairwise(points):
        cv2.line(picture, one, other, (ink,) * 3, pen, cv2.LINE_AA)
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def test_a_drawn_digit_is_laid_out_as_in_python(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [
        drawn(rng, 280, 280, 20, 4),
        drawn(rng, 280, 280, 3, 4),  # a hair line
        drawn(rng, 280, 280, 45, 3),  # a felt pen
        drawn(rng, 60, 50, 5, 4),
        drawn(rng, 600, 500, 30, 4, noise=6),
        drawn(rng, 300, 200, 16, 4, ink=230, paper=30),  # chalk
        np.full((50, 60, 3), 200, np.uint8),  # nothing
    ]
    ring = np.full((280, 280, 3), 255, np.uint8)
    cv2.circle(ring, (140, 140), 70, (0, 0, 0), 20, cv2.LINE_AA)
    small = np.zeros((28, 28, 1), np.uint8)
    small[4:24, 12:16] = 255  # as MNIST's are, and the same dark on light
    corner = np.roll(small, 4, 1)
    corner[21:24, 16:23] = 200
    pictures += [ring, small, 255 - small, corner]
    given = [
        {"data": p.ravel().tolist(), "height": p.shape[0], "width": p.shape[1], "channels": p.shape[2]}
        for p in pictures
    ]
    _, files = halves(KIND, classification.KIND, DIGIT)
    found = programs.javascript(tmp_path, files, CODE, given)
    for number, (picture, values) in enumerate(zip(pictures, found, strict=True)):
        wanted = DIGIT(picture)
        assert (values is None) == (wanted is None), number
        if wanted is not None:
            off = np.abs(np.array(values) - wanted.ravel().astype(int))
            assert off.max() <= 2 and (off > 0).mean() < 0.02, number
    assert found[6] is None and found[8] == found[9] == small.ravel().tolist()

"""A detector in the browser sees the tiles that Python sees, and finds the boxes that Python finds."""

import numpy as np
import pytest

from cnnkit.demo.page import PAGE, halves
from cnnkit.device.detection import Plan, cells
from cnnkit.inputs.image.device import KIND as IMAGE
from cnnkit.tasks.detection.device import KIND
from cnnkit.tasks.detection.predict import answered
from tests import programs

SHAPE = (64, 96, 3)
LABELS = ("stop", "yield", "bus")

CODE = """import { answer } from "./tasks/detection/index.js";
export default async ({ about, image, outputs }) => {
  const pages = [];
  const model = {
    ...about,
    run: async (page) => {
      const { boxes, scores } = outputs[pages.length];
      pages.push(Array.from(page));
      return { boxes: Float32Array.from(boxes), scores: Float32Array.from(scores) };
    },
  };
  return { found: await answer(model, { ...image, data: Uint8Array.from(image.data) }), pages };
}"""


class Network:
    """A detector whose answers are drawn at random: most scores are low, and those of neighbours alike."""

    path, input_shape, labels = "x.tflite", SHAPE, LABELS

    def __init__(self, plan, seed, often):
        self.metadata = {"app": "app", "detection": plan.to_dict(), "task": "detection"}
        self._rng, self._often = np.random.default_rng(seed), often
        self._cells = len(cells(*SHAPE[:2], plan.strides))
        self.pages, self.outputs = [], []

    def run_batch(self, images):
        for image in images:
            boxes = self._rng.normal(0, 0.6, (self._cells, 4)).astype(np.float32)
            scores = self._rng.random((self._cells, len(LABELS)), np.float32)
            scores = np.where(self._rng.random(scores.shape) < self._often, scores, scores * 0.4).astype(np.float32)
            self.pages.append(image)
            self.outputs.append({"boxes": boxes, "scores": scores})
        return {name: np.stack([row[name] for row in self.outputs[-len(images) :]]) for name in ("boxes", "scores")}


@pytest.mark.parametrize(
    ("plan", "size", "often"),
    [
        (Plan((8, 16, 32)), (120, 90), 0.1),  # fitted whole, grey beside
        (Plan((8, 16, 32), threshold=0.8), (64, 96), 0.05),
        (Plan((4, 8, 16), 1.0, 24.0, True), (150, 210), 0.05),  # tiles, and the whole image
        (Plan((8, 16), 1.7, 32.0, False, 0.6), (90, 70), 0.05),  # enlarged
        (Plan((8, 16), 0.5, 16.0, True), (333, 401), 0.05),  # shrunk
        (Plan((4, 8), threshold=0.1), (64, 96), 1.0),  # more candidates than enter suppression
        (Plan((8, 16, 32), 1.0, 16.0), (20, 30), 0.1),  # smaller than a tile
    ],
)
def test_it_sees_the_same_tiles_and_finds_the_same_boxes(plan, size, often, tmp_path):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    network = Network(plan, 6, often)
    (wanted,) = answered(network, [image])
    about = {
        "about": {"known": KIND.for_page(network.metadata)},
        "metadata": network.metadata,
        "labels": LABELS,
        "shape": SHAPE,
    }
    outputs = [{name: values.ravel().tolist() for name, values in row.items()} for row in network.outputs]
    picture = {"data": image.ravel().tolist(), "height": size[0], "width": size[1], "channels": 3}
    files = {**halves(IMAGE, KIND)[1], **{path.name: path.read_bytes() for path in PAGE.glob("*.js")}}
    given = {"about": about, "image": picture, "outputs": outputs}
    found = programs.javascript(tmp_path, files, CODE, given)
    assert len(found["pages"]) == len(network.pages)
    for own, page in zip(found["pages"], network.pages, strict=True):
        off = np.abs(np.array(own) - page.ravel().astype(int))
        assert off.max() <= 1 and (off > 0).mean() < 0.002
    boxes = found["found"]["boxes"]
    assert wanted["boxes"] and [box["label"] for box in boxes] == [box["label"] for box in wanted["boxes"]]
    assert np.allclose([box["score"] for box in boxes], [box["score"] for box in wanted["boxes"]], atol=1e-6)
    assert np.allclose([box["box"] for box in boxes], [box["box"] for box in wanted["boxes"]], atol=0.02)
    assert (found["found"]["height"], found["found"]["width"]) == size

"""A mask in the browser is the mask of Python: scaling, windows, blending, codes and what is cleaned of them."""

import numpy as np
import pytest

from cnnkit.demo.page import PAGE, halves
from cnnkit.device.segmentation import ALIKE, EACH, Plan, segment
from cnnkit.device.segmentation import unlike as far_from_training
from cnnkit.errors import ConfigError
from cnnkit.inputs.image.device import KIND as IMAGE
from cnnkit.tasks.segmentation.device import KIND
from cnnkit.tasks.segmentation.predict import answered
from tests import programs

CODE = """import { answer, unlike } from "./tasks/segmentation/index.js";
export default async ({ about, image, count }) => {
  const model = {
    ...about,
    run: async (page) => {  // the network of the test below
      const channels = about.shape[2];
      const scores = new Float32Array((page.length / channels) * count);
      for (let place = 0; place < page.length / channels; place++) {
        const value = page[place * channels] / 255;
        for (let channel = 0; channel < count; channel++) {
          scores[place * count + channel] = count === 1 ? value : Math.max(0, 1 - Math.abs(value * (count - 1) - channel));
        }
      }
      return { scores };
    },
  };
  const picture = { ...image, data: Uint8Array.from(image.data) };
  const found = await answer(model, picture);
  const plan = { ...about.about.known.plan, ...about.metadata.segmentation };
  return { found, codes: Array.from(model.codes), far: unlike(picture, plan, about.about.known) };
}"""


class Network:
    """Scores are near to what the first channel of a pixel says."""

    path = "x.tflite"

    def __init__(self, plan, labels, shape):
        self.metadata = {"app": "scans", "task": "segmentation", "segmentation": plan.to_dict()}
        self.labels, self.input_shape, self.count = labels, shape, plan.channels(len(labels))

    def run_batch(self, images):
        value = images[..., :1].astype(np.float32) / 255
        near = np.maximum(0, 1 - np.abs(value * (self.count - 1) - np.arange(self.count)))
        return {"scores": (value if self.count == 1 else near).astype(np.float32)}


def scene(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = 70 + 60 * np.sin(x / 9) * np.cos(y / 11) + rng.integers(0, 30, (height, width))
    for _ in range(5):
        top, left, side = rng.integers(0, height - 12), rng.integers(0, width - 12), rng.integers(5, 25)
        picture[top : top + side, left : left + side] = rng.integers(120, 256)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return picture if channels == 1 else np.stack([picture, picture // 2, 255 - picture], -1)


@pytest.mark.parametrize(
    ("plan", "labels", "shape", "size"),
    [
        (Plan(), ("lesion",), (64, 64, 1), (100, 140)),  # fitted whole
        (Plan(), ("a", "b", "c"), (64, 64, 3), (40, 50)),  # enlarged
        (Plan(scale=1.0), ("lesion",), (48, 64, 1), (110, 150)),  # windows
        (Plan(scale=0.6, overlap=0.25, mirrors=(0, 1)), ("a", "b"), (32, 32, 1), (110, 150)),
        (Plan(values=EACH), ("lesion",), (64, 64, 1), (90, 64)),
        (Plan(values=ALIKE, low=(20.0,), high=(180.0,)), ("lesion",), (64, 64, 1), (90, 64)),
        (Plan(regions=((1, 2), (2,)), order=(1, 2), threshold=0.4), ("whole", "core"), (64, 64, 1), (80, 80)),
        (Plan(smallest={"lesion": 30}), ("lesion",), (64, 64, 1), (100, 140)),
        (Plan(largest=("a",), smallest={"b": 9}, spacing=(0.5, 0.7)), ("a", "b"), (64, 64, 1), (100, 140)),
        (Plan(lengths=(60, 64, 70), slender=1.2), ("lesion",), (64, 64, 1), (60, 290)),  # far more slender
        (Plan(background=True), ("lesion",), (64, 64, 1), (64, 64)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_mask_is_that_of_python(plan, labels, shape, size, channels, tmp_path):
    picture, network = scene(*size, channels, seed=3), Network(plan, labels, shape)
    if channels == 3 and plan.values == ALIKE:
        network.input_shape = shape = (*shape[:2], 3)
    codes, (wanted,) = segment(network, picture, plan, labels), answered(network, [picture])
    about = {
        "about": {"known": KIND.for_page(network.metadata)},
        "metadata": network.metadata,
        "labels": labels,
        "shape": shape,
    }
    image = {"data": picture.ravel().tolist(), "height": size[0], "width": size[1], "channels": channels}
    files = {**halves(IMAGE, KIND)[1], **{path.name: path.read_bytes() for path in PAGE.glob("*.js")}}
    found = programs.javascript(tmp_path, files, CODE, {"about": about, "image": image, "count": network.count})
    own = np.array(found["codes"], np.uint8).reshape(size)
    assert len(np.unique(codes)) > 1 and (own != codes).mean() < 0.002
    assert (found["found"]["width"], found["found"]["height"]) == (size[1], size[0])
    for label, entry in wanted["labels"].items():
        mine = found["found"]["labels"][label]
        assert set(mine) == set(entry)
        assert abs(mine["area"] - entry["area"]) <= 0.002 * codes.size
        assert (own == codes).all() <= (mine["pieces"] == entry["pieces"] and mine["share"] == entry["share"])
    said = far_from_training(size, plan)
    assert found["far"] == (f"{said[0].upper()}{said[1:]}." if said else "")


def test_a_model_that_tells_objects_apart_is_refused_in_a_line():
    with pytest.raises(ConfigError, match="does not tell objects apart"):
        KIND.for_page({"segmentation": {**Plan(rim=2).to_dict()}})

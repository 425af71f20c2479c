"""Pictures in the browser are those that Python prepares, pixel by pixel."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit.demo.page import scripts
from cnnkit.device import image as own
from cnnkit.device.preparation import blank
from cnnkit.inputs.image import device
from tests import programs

CODE = """import { blank, byArea, enlarged, fitImage, linear } from "./inputs/image/pixels.js";
export default (cases) => cases.map(({ how, image, shape }) => {
  const data = (image.floats ? Float32Array : Uint8Array).from(image.data);
  const found = { fitImage, blank, byArea, linear }[how]({ ...image, data }, ...shape);
  return how === "blank" ? found : Array.from(found.data);
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return what runs functions of the browser's half on pictures: (name, picture, arguments) each."""

    def run(cases):
        given = []
        for how, picture, shape in cases:
            channels = 1 if picture.ndim == 2 else picture.shape[2]
            about = {"height": picture.shape[0], "width": picture.shape[1], "channels": channels}
            values = {"data": picture.ravel().tolist(), "floats": picture.dtype == np.float32}
            given.append({"how": how, "image": {**about, **values}, "shape": shape})
        files = scripts(device.KIND.demo, "inputs/image")
        return programs.javascript(tmp_path_factory.mktemp("js"), files, CODE, given)

    return run


SIZES = [  # height, width, channels, and the model's shape
    (61, 97, 3, (32, 32, 3)),
    (64, 96, 3, (32, 32, 3)),
    (64, 64, 3, (32, 32, 1)),
    (96, 96, 1, (32, 32, 1)),
    (20, 33, 3, (64, 64, 3)),
    (20, 133, 3, (64, 64, 3)),
    (133, 20, 4, (64, 64, 1)),
    (28, 28, 1, (64, 64, 3)),
    (28, 28, 4, (28, 28, 1)),
    (240, 320, 3, (224, 224, 3)),
    (100, 50, 3, (100, 25, 3)),
    (1, 1, 3, (5, 4, 3)),
    (7, 5, 4, (9, 3, 4)),
]


def test_a_picture_of_any_size_and_colours_is_fitted_as_python_fits_it(browser):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (h, w, c), np.uint8) for h, w, c, _ in SIZES]
    found = browser([("fitImage", picture, [list(size[3])]) for picture, size in zip(pictures, SIZES, strict=True)])
    for picture, size, values in zip(pictures, SIZES, found, strict=True):
        off = np.abs(np.array(values).reshape(size[3]) - own.fit_image(picture, size[3]).astype(int))
        assert off.max() <= 1 and (off > 0).mean() < 0.002, size


def test_what_is_transparent_shows_on_the_page_that_python_lays_it_over(browser):
    chalk = np.full((9, 11, 4), 255, np.uint8)
    chalk[..., 3] = np.arange(99, dtype=np.uint8).reshape(9, 11) * 2
    ink = chalk.copy()
    ink[..., :3] = 10
    for picture in (chalk, ink):
        (found,) = browser([("fitImage", picture, [[9, 11, 1]])])
        assert np.abs(np.array(found).reshape(9, 11, 1) - own.fit_image(picture, (9, 11, 1)).astype(int)).max() <= 1


def test_what_shows_nothing_is_blank_in_both(browser):
    page = np.full((8, 8, 3), 200, np.uint8)
    faint, seen, clear = page.copy(), page.copy(), np.zeros((8, 8, 4), np.uint8)
    faint[3, 3], seen[3, 3] = 200 - own.FAINT, 199 - own.FAINT
    pictures = [page, faint, seen, clear, seen[..., 0]]
    found = browser([("blank", picture, [own.FAINT]) for picture in pictures])
    assert found == [blank(picture) for picture in pictures] == [True, True, False, True, False]


def test_floats_and_bytes_are_resized_as_opencv_does(browser):
    rng = np.random.default_rng(1)
    floats, small = rng.random((40, 60), np.float32), rng.integers(0, 256, (13, 17, 3), np.uint8)
    cases = [
        ("byArea", floats, [20, 20]),
        ("byArea", floats, [17, 19]),
        ("linear", floats, [90, 70]),
        ("linear", small, [40, 31]),
    ]
    for (how, picture, (width, height)), values in zip(cases, browser(cases), strict=True):
        wanted = cv2.resize(
            picture, (width, height), interpolation=cv2.INTER_AREA if how == "byArea" else cv2.INTER_LINEAR
        )
        off = np.abs(np.array(values).reshape(wanted.shape) - wanted.astype(float))
        assert off.max() <= (1 if picture.dtype == np.uint8 else 1e-5), (how, width, height)
        assert picture.dtype != np.uint8 or (off > 0).mean() < 0.01


def test_numbers_that_both_halves_state_are_the_same():
    texts = [path.read_text(encoding="utf-8") for path in Path(device.KIND.demo).glob("*.js")]
    stated = {match for text in texts for match in re.findall(r"const FAINT = (\d+);", text)}
    assert stated == {str(own.FAINT)}
    assert f"MOST_PIXELS = {own.MAX_PIXELS:_};" in "".join(texts)

"""The same picture gets the same answer from `predict` and `evaluate`, however it is stored; what is drawn is what is seen."""

import io
import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cnnkit.device.image import read_image
from cnnkit.device.preparation import ready
from cnnkit.inputs.image.loading import load

KINDS = (
    "rgb",
    "rgba",
    "sixteen",
    "palette",
    "grey",
    "grey alpha",
    "turned",
    "wide",
    "tall",
    "gif",
    "bmp",
    "tiff",
    "cmyk",
)


def scene(height, width, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def stored(kind, seed):
    """The bytes of a picture, and the suffix that belongs to them."""
    size = {"wide": (9, 61), "tall": (83, 7)}.get(kind, (30 + seed, 40 - seed))
    pixels = scene(*size, seed)
    picture, form, options = Image.fromarray(pixels), "PNG", {}
    if kind in ("rgba", "grey alpha"):
        picture.putalpha(Image.fromarray(pixels[..., 1]))
        picture = picture.convert("LA") if kind == "grey alpha" else picture
    elif kind == "sixteen":
        return cv2.imencode(".png", pixels.astype(np.uint16) * 201)[1].tobytes(), "png"
    elif kind == "palette":
        picture = picture.quantize(17)
    elif kind == "grey":
        picture = picture.convert("L")
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        form, options = "JPEG", {"exif": exif, "quality": 95}
    elif kind in ("gif", "bmp", "tiff"):
        form = kind.upper()
        if kind != "gif":
            picture.putalpha(Image.fromarray(pixels[..., 2]))
    elif kind == "cmyk":
        picture, form = picture.convert("CMYK"), "JPEG"
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue(), form.lower()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    for label in ("a", "b", "c"):
        (root / label).mkdir()
        for number, kind in enumerate(KINDS):
            content, suffix = stored(kind, number)
            (root / label / f"{kind}-{label}.{suffix}").write_bytes(content)
    return root


@pytest.mark.parametrize("shape", [(24, 24, 1), (24, 24, 3), (24, 24, 4), (40, 30, 3), (7, 99, 3)])
def test_a_data_set_reads_every_picture_as_predict_does(folder, shape):
    records = load(folder, validation=0).train.with_shape(shape)
    for index in range(len(records)):
        seen, shown = ready(read_image(records.name(index)), shape)
        assert shown and np.array_equal(records.read(np.array([index]))[0][0], seen), records.name(index)


def test_evaluate_and_predict_name_the_same_classes(folder, tmp_path):
    from cnnkit.export.convert import convert
    from cnnkit_signs.cli import main
    from tests.toys import tiny_cnn

    labels = ["a", "b", "c"]
    about = {
        "app": "signs",
        "task": "classification",
        "labels": labels,
        "input": {"kind": "image", "shape": [32, 32, 3]},
    }
    model = tmp_path / "m.tflite"
    model.write_bytes(convert(tiny_cnn((32, 32, 3), 3), "float32", np.zeros((1, 32, 32, 3)), about))

    def run(*words):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    table = np.zeros((3, 3), int)
    for row in run("predict", model, folder, "--json")["predictions"]:
        table[labels.index(Path(row["input"]).parent.name), labels.index(row["label"])] += 1
    assert table.sum() == 3 * len(KINDS)
    assert run("evaluate", model, "--data", folder, "--json")["confusion"] == table.tolist()


def test_a_fourth_channel_that_is_no_transparency_is_kept(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 4)).astype(np.uint8)
    clear = planes.copy()
    clear[..., 3] = np.where(planes[..., 3] > 127, 255, 0)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "planes.npz", x=planes, y=np.arange(30) % 3)
        save(tmp_path / "clear.npz", x=clear, y=np.arange(30) % 3)
        assert load(tmp_path / "planes.npz").train.input_shape == (8, 8, 4)
        assert load(tmp_path / "clear.npz").train.input_shape == (8, 8, 3)


def test_four_channels_are_drawn_as_what_a_model_sees():
    from cnnkit.report.blocks import picture
    from cnnkit.report.drawing import visible

    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4)).astype(np.uint8)
    drawn = visible(image)
    assert drawn.shape == (10, 14)
    parts = (drawn[:5, :7], drawn[:5, 7:], drawn[5:, :7], drawn[5:, 7:])
    assert all(np.array_equal(part, image[..., k]) for k, part in enumerate(parts))
    import base64

    content = base64.b64decode(picture(image).split(",")[1])
    assert np.array_equal(read_image_bytes(content), drawn)
    assert struct.unpack(">II", content[16:24]) == (14, 10)


def read_image_bytes(content):
    from cnnkit.device.image import read_bytes

    return read_bytes(content)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_without_three_colours_are_augmented_without_changing_colours(channels):
    from cnnkit import augment
    from cnnkit_signs.model import augmentation

    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12, channels)).astype("float32")
    targets = np.eye(2, dtype="float32")
    for pipeline in (augmentation(0), augment.Pipeline(augment.rand_augment(), seed=0)):
        seen = pipeline({"images": images, "labels": targets}, step=0)["images"]
        assert np.asarray(seen).shape == images.shape and np.isfinite(np.asarray(seen)).all()

"""Ink on a transparent page is read as on paper, whatever program saved it; Pillow writes what other programs do."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from cnnkit.device import image
from cnnkit.errors import DataError

BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (200, 40, 20)


def ink(hard=False, height=40, width=30):
    """How much ink is where: uint8, a slanted stroke with soft edges."""
    found = np.zeros((height, width), np.uint8)
    cv2.line(found, (8, 6), (20, 33), 255, 5, cv2.LINE_AA)
    return np.where(found > 127, 255, 0).astype(np.uint8) if hard else found


def drawn(colour, hard=False):
    """RGBA, (40, 30, 4)."""
    return np.dstack([np.full((40, 30, 3), colour, np.uint8), ink(hard)])


def on(paper, colour, hard=False):
    """The same ink on paper: RGB."""
    share = ink(hard)[..., None] / 255
    return np.rint(share * colour + (1 - share) * paper).astype(np.uint8)


def saved(pixels, form, **options):
    """The bytes that Pillow writes; of two channels, grey and alpha."""
    stream = io.BytesIO()
    mode = "LA" if pixels.shape[2] == 2 else "RGBA"
    if mode == "LA":
        picture = Image.merge("LA", [Image.fromarray(np.ascontiguousarray(pixels[..., k])) for k in (0, 1)])
    else:
        picture = Image.fromarray(pixels)
    picture.save(stream, form, **options)
    return stream.getvalue()


def seen(data, channels=3):
    """What a model of 40x30 sees."""
    return image.fit_image(image.read_bytes(data), (40, 30, channels))


FORMS = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff-differences": ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
}


@pytest.mark.parametrize("colour", [BLACK, RED])
@pytest.mark.parametrize("form", FORMS)
def test_ink_on_a_transparent_page_is_read_as_on_paper(form, colour):
    name, options = FORMS[form]
    assert np.abs(seen(saved(drawn(colour), name, **options)).astype(int) - on(255, colour)).max() <= 2


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("bmp", "webp")])
@pytest.mark.parametrize("grey", [0, 90])
def test_grey_ink_with_alpha_is_read_as_on_paper(form, grey):
    name, options = FORMS[form]
    pixels = np.dstack([np.full((40, 30), grey, np.uint8), ink()])
    assert np.abs(seen(saved(pixels, name, **options)).astype(int) - on(255, (grey,) * 3)).max() <= 1


def test_a_gif_with_a_transparent_colour_is_read_as_on_paper():
    assert np.array_equal(seen(saved(drawn(BLACK, hard=True), "GIF")), on(255, BLACK, hard=True))
    stream = io.BytesIO()
    frames = [Image.fromarray(drawn(BLACK, hard=True)), Image.fromarray(drawn(RED, hard=True))]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(seen(stream.getvalue()), on(255, BLACK, hard=True)), "of an animation the first picture"


def test_a_gif_without_transparency_has_three_channels():
    stream = io.BytesIO()
    Image.fromarray(on(255, RED, hard=True)).save(stream, "GIF")
    assert image.read_bytes(stream.getvalue()).shape == (40, 30, 3)


@pytest.mark.parametrize("form", FORMS)
def test_chalk_on_a_transparent_page_is_laid_over_black(form):
    name, options = FORMS[form]
    assert np.abs(seen(saved(drawn(WHITE), name, **options)).astype(int) - on(0, WHITE)).max() <= 1
    assert np.abs(seen(saved(drawn(WHITE), name, **options), 1)[..., 0].astype(int) - ink()).max() <= 1


@pytest.mark.parametrize("colour", [BLACK, WHITE, RED])
def test_a_page_without_ink_is_white(colour):
    pixels = drawn(colour)
    pixels[..., 3] = 0
    for name, options in FORMS.values():
        if name != "BMP":  # all of its fourth bytes are 0, as in one without alpha
            assert seen(saved(pixels, name, **options)).min() == 255


def bmp(pixels, alpha, *, masks):
    """A BMP by hand: without masks the fourth byte means nothing; with them the header says that it is alpha."""
    height, width = alpha.shape
    body = np.dstack([pixels[..., ::-1], alpha])[::-1].tobytes()
    places = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108 if masks else 40, width, height, 1, 32, 3 if masks else 0, 0, 0, 0, 0, 0)
    if masks:
        head += struct.pack("<IIII", *places) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def test_the_alpha_that_a_bmp_states_by_masks_is_read():
    hard = ink(hard=True)
    data = bmp(np.zeros((40, 30, 3), np.uint8), hard, masks=True)
    assert np.array_equal(seen(data), on(255, BLACK, hard=True))


@pytest.mark.parametrize("fourth", [0, 255])
def test_a_fourth_byte_that_never_varies_is_no_alpha(fourth):
    pixels = on(255, RED)
    data = bmp(pixels, np.full((40, 30), fourth, np.uint8), masks=False)
    assert np.array_equal(image.read_bytes(data), pixels)


def test_a_grey_png_in_which_one_grey_is_transparent():
    stream = io.BytesIO()
    Image.fromarray(np.where(ink(hard=True) > 0, 30, 0).astype(np.uint8)).save(stream, "PNG", transparency=0)
    found = seen(stream.getvalue(), 1)[..., 0]
    assert np.array_equal(found, np.where(ink(hard=True) > 0, 30, 255))


@pytest.mark.parametrize("extra", [1, 2])
def test_colours_that_a_tiff_holds_multiplied_come_back_as_they_were(extra):
    pixels = drawn(RED)
    if extra == 1:
        pixels[..., :3] = np.rint(pixels[..., :3] * (pixels[..., 3:] / 255))
    data = bytearray(saved(pixels, "TIFF"))
    place = data.index(struct.pack("<HHI", 338, 3, 1))
    struct.pack_into("<H", data, place + 8, extra)
    assert np.abs(seen(bytes(data)).astype(int) - on(255, RED)).max() <= 2


def test_transparency_in_a_form_that_is_not_read_is_refused_by_name():
    data = bytearray(saved(np.dstack([ink(), ink()]), "TIFF"))
    place = data.index(struct.pack("<HHI", 284, 3, 1))
    struct.pack_into("<H", data, place + 8, 2)  # in planes
    with pytest.raises(
        DataError, match=r"note.tif cannot be used: its transparency is stored in planes.* Save it as PNG"
    ):
        image.read_bytes(bytes(data), "note.tif")


@pytest.mark.parametrize("name", ["BMP", "TIFF", "GIF", "PNG"])
def test_what_is_cut_short_is_refused_in_a_line(name):
    data = saved(drawn(BLACK, hard=True), name)
    for kept in (0.3, 0.6, 0.9):
        with pytest.raises(DataError, match="cut cannot be used"):
            image.read_bytes(data[: int(kept * len(data))], "cut")


def test_training_folders_read_the_same_as_predict(tmp_path):
    from cnnkit.inputs.image.loading import load

    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(10):
            form = ("BMP", "GIF", "TIFF")[number % 3]
            pixels = drawn(BLACK, hard=True)
            (tmp_path / label / f"{number}.{form.lower()}").write_bytes(saved(np.roll(pixels, number, 1), form))
    splits = load(tmp_path)
    images, _ = splits.train.read(np.arange(len(splits.train)))
    assert splits.train.input_shape == (40, 30, 1)
    assert (images[:, 0, 0] > 250).mean() > 0.5 and images.min() < 50

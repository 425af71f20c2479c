"""Reading and fitting images: every format, every fault."""

import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from cnnkit.device import image
from cnnkit.errors import DataError


def picture(height=20, width=30, channels=3, seed=0):
    """A smooth picture that uses the whole range."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).reshape(height, width, channels)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).reshape(height, width, channels)


def encoded(pixels, suffix, *flags):
    """Encode RGB(A) or grey pixels."""
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(suffix, pixels, list(flags))[1].tobytes()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, *extra):
    """Build a PNG by hand: what OpenCV does not write."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + data + chunk(b"IEND", b"")


@pytest.fixture
def file(tmp_path):
    def write(content, name="image.png"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    "name, is_one", [("a.png", True), ("b/a.b.JPG", True), ("png", False), (".png", False), ("", False)]
)
def test_an_image_is_known_by_its_name(name, is_one):
    assert image.is_named(name) is is_one


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_colours_come_back_as_rgb(file, suffix):
    pixels = picture()
    assert np.array_equal(image.read_image(file(encoded(pixels, suffix), "a" + suffix)), pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".gif"])
def test_lossy_colours_come_back_as_rgb(file, suffix):
    pixels = picture(64, 96)
    pixels[..., 0] = 200
    found = image.read_image(file(encoded(pixels, suffix), "a" + suffix))
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).mean() < 25
    assert abs(int(found[..., 0].mean()) - 200) < 15


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".pgm", ".jpg"])
def test_grey_stays_grey(file, suffix):
    path = file(encoded(picture(channels=1)[..., 0], suffix), "a" + suffix)
    assert image.read_image(path).shape == (20, 30)
    assert image.read_header(path).channels == (3 if suffix == ".bmp" else 1)  # its palette is not looked at


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_alpha_is_kept(file, suffix):
    pixels = picture(channels=4)
    found = image.read_image(file(encoded(pixels, suffix, cv2.IMWRITE_WEBP_QUALITY, 101), "a" + suffix))
    assert np.array_equal(found[..., 3], pixels[..., 3])
    opaque = pixels[..., 3] > 0
    assert np.array_equal(found[opaque], pixels[opaque])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_scaled_to_eight(file, suffix):
    wide = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    assert image.read_image(file(encoded(wide, suffix), "a" + suffix)).tolist() == [[0, 0, 1, 1, 128, 255]]
    colour = np.stack([wide, wide // 2, wide // 4], -1)
    found = image.read_image(file(encoded(colour, suffix), "b" + suffix))
    assert found.dtype == np.uint8 and found[0, 5].tolist() == [255, 127, 64]


def test_a_palette_png_is_read_in_its_colours(file):
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))
    found = image.read_image(file(png(2, 1, 8, 3, [b"\0\1"], palette)))
    assert found.tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_a_palette_png_with_transparency_keeps_it(file):
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))
    path = file(png(2, 1, 8, 3, [b"\0\1"], palette, chunk(b"tRNS", bytes([255, 0]))))
    assert image.read_header(path).channels == 4
    assert image.read_image(path)[0, :, 3].tolist() == [255, 0]


def test_a_one_bit_png_is_black_and_white(file):
    assert image.read_image(file(png(8, 1, 1, 0, [b"\xaa"]))).tolist() == [[255, 0, 255, 0, 255, 0, 255, 0]]


def test_exif_orientation_is_applied(file):
    pixels = picture(20, 30)
    data = encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 6) + bytes(4)  # turn by 90 degrees
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + data[2:]
    found = image.read_image(file(turned, "a.jpg"))
    assert np.array_equal(found, np.rot90(image.read_image(file(data, "b.jpg")), -1))


SHOWN = {  # how pixels as they are stored are shown, by orientation; Exif 2.32, section 4.6.4
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "L", {}),
        ("TIFF", "RGBA", {}),
        ("TIFF", "1", {}),
        ("TIFF", "I;16", {}),
    ],
)
def test_size_and_pixels_are_turned_alike_in_every_format(file, form, mode, options):
    pixels = picture(20, 30, 4)
    pixels[..., 3] = np.maximum(pixels[..., 3], 40)
    source = PIL.Image.fromarray(pixels if "A" in mode else pixels[..., :3])
    if mode == "I;16":
        source = PIL.Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        source = source.convert(mode)
    tags, found = PIL.Image.Exif(), {}
    none = (0, 9) if "compression" not in options else ()  # libtiff does not write them
    for orientation in (*SHOWN, *none):
        tags[274] = orientation
        data = io.BytesIO()
        source.save(data, form, exif=tags, **options)
        path = file(data.getvalue(), "photo")
        found[orientation] = image.read_image(path)
        head = image.read_header(path)
        assert head.shown == found[orientation].shape[1::-1] and (head.width, head.height) == (30, 20)
    for orientation, shown in SHOWN.items():
        assert np.array_equal(found[orientation], shown(found[1])), orientation
    assert all(np.array_equal(found[orientation], found[1]) for orientation in none)


def test_exif_behind_the_pixels_of_a_png_and_in_a_late_segment_of_a_jpeg_is_found(file):
    tag = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 6) + bytes(4)
    data = encoded(picture(20, 30), ".png")
    behind = file(data[:-12] + chunk(b"eXIf", tag) + data[-12:])
    assert image.read_header(behind).shown == (20, 30) == image.read_image(behind).shape[1::-1]
    data = encoded(picture(20, 30), ".jpg")
    segment = b"\xff\xe2" + struct.pack(">H", 2**15) + bytes(2**15 - 2)
    exif = b"\xff\xe1" + struct.pack(">H", len(tag) + 8) + b"Exif\0\0" + tag
    late = file(data[:2] + 3 * segment + exif + data[2:], "late.jpg")
    assert image.read_header(late).shown == (20, 30) == image.read_image(late).shape[1::-1]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp", ".gif", ".ppm"])
@pytest.mark.parametrize("kept", [0.97, 0.5, 0.05])
def test_a_truncated_file_is_refused(file, suffix, kept):
    data = encoded(picture(100, 100), suffix)
    path = file(data[: int(len(data) * kept)], "photo" + suffix)
    with pytest.raises(DataError, match=r"photo.*cannot be used: .*(truncated|damaged)"):
        image.read_image(path)


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_refused(file):
    data = encoded(picture(100, 100), ".jpg")
    thumbnail = b"Exif\0\0" + encoded(picture(8, 8), ".jpg")
    both = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    assert image.read_image(file(both, "whole.jpg")).shape == (100, 100, 3)
    path = file(both[:-50], "cut.jpg")
    assert not image.read_header(path).complete
    with pytest.raises(DataError, match=r"cut\.jpg cannot be used: it is truncated"):
        image.read_image(path)


def damaged(data, kind):
    """Damage the data of a JPEG behind its first third, and leave its end marker."""
    start = data.find(b"\xff\xda") + 20
    count = len(data) - 2 - start
    at, rest = start + count * 3 // 10, start + count // 2
    return {
        "cut": data[:at] + b"\xff\xd9",
        "gone": data[:at] + data[rest:],
        "zeros": data[:at] + bytes(rest - at) + data[rest:],
        "ones": data[:at] + b"\xff" * (rest - at) + data[rest:],
        "noise": data[:at] + np.random.default_rng(0).bytes(rest - at) + data[rest:],
    }[kind]


@pytest.mark.parametrize("kind", ["cut", "gone", "zeros", "ones", "noise"])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": True}, {"restart_marker_blocks": 8}, {"quality": 30}, {"quality": 98, "subsampling": 0}],
)
def test_a_jpeg_of_which_a_part_is_missing_is_refused(file, kind, flat, options, capfd):
    pixels = picture(240, 320)
    if flat:
        pixels[100:] = 200
    data = io.BytesIO()
    PIL.Image.fromarray(pixels).save(data, "JPEG", **options)
    assert image.read_image(file(data.getvalue(), "whole.jpg")).shape == (240, 320, 3)
    assert image.read_image(file(data.getvalue() + b"trailer", "whole.jpg")).shape == (240, 320, 3)
    with pytest.raises(DataError, match=r"photo\.jpg cannot be used: it is damaged"):
        image.read_image(file(damaged(data.getvalue(), kind), "photo.jpg"))
    assert kind in ("noise", "gone") or not capfd.readouterr().err


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.6, 0.85])
def test_a_progressive_jpeg_without_its_last_scans_is_refused(file, kept):
    data = io.BytesIO()
    PIL.Image.fromarray(picture(240, 320)).save(data, "JPEG", progressive=True)
    whole = data.getvalue()
    assert image.read_image(file(whole, "whole.jpg")).shape == (240, 320, 3)
    last = whole.rfind(b"\xff\xda")
    cut = whole[: min(int(len(whole) * kept), last)] + b"\xff\xd9"
    with pytest.raises(DataError, match=r"photo\.jpg cannot be used: it is damaged"):
        image.read_image(file(cut, "photo.jpg"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_jpeg_is_decoded_as_ever(file, mode, capfd):
    rng = np.random.default_rng(5)
    for k in range(24):
        pixels = picture(*rng.integers(1, 200, 2), seed=k)
        if k % 3 == 0:
            pixels[len(pixels) // 3 :] = 255
        if k % 4 == 0:
            pixels[:] = int(rng.integers(256))
        options = {"quality": int(rng.integers(5, 100)), "progressive": k % 5 == 0, "optimize": k % 2 == 0}
        options |= {"restart_marker_blocks": 3} if k % 7 == 0 else {}
        data = io.BytesIO()
        PIL.Image.fromarray(pixels).convert(mode).save(data, "JPEG", **options)
        found = image.read_image(file(data.getvalue(), "a.jpg"))
        plain = cv2.imdecode(np.frombuffer(data.getvalue(), np.uint8), cv2.IMREAD_ANYCOLOR)
        assert np.array_equal(found if found.ndim == 2 else found[..., ::-1], plain)
    assert not capfd.readouterr().err


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "GIF"])
def test_what_was_cut_and_given_an_end_again_is_refused(file, form):
    data = io.BytesIO()
    options = {"TIFF": {"compression": "tiff_lzw"}}.get(form, {})
    PIL.Image.fromarray(picture(120, 160)).save(data, form, **options)
    whole = data.getvalue()
    half = len(whole) // 2
    riff = whole[:4] + struct.pack("<I", half - 8) + whole[8:16] + struct.pack("<I", half - 20) + whole[20:half]
    cut = {
        "PNG": png(160, 120, 8, 2, [bytes(480)] * 50),
        "WEBP": riff,
        "TIFF": whole[:half],
        "GIF": whole[:half] + b"\0;",
    }[form]
    with pytest.raises(DataError, match=r"photo cannot be used: .*(damaged|truncated)"):
        image.read_image(file(cut, "photo"))


def test_a_file_with_bytes_behind_its_end_is_read(file):
    for suffix in (".png", ".jpg"):
        path = file(encoded(picture(), suffix) + b"appended by a camera", "a" + suffix)
        assert not image.read_header(path).complete
        assert image.read_image(path).shape == (20, 30, 3)


def test_a_changed_byte_in_a_png_is_found(file):
    data = bytearray(encoded(picture(), ".png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(DataError, match="wrong checksum"):
        image.read_image(file(bytes(data)))


def bombs():
    """Small files that claim 100,000 x 100,000 px."""
    side = 100_000
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + struct.pack("<HHII", 256, 4, 1, side)
    tiff += struct.pack("<HHII", 257, 4, 1, side) + bytes(4)
    return {
        "png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + bytes(64),
        "jpg": b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", 65535, 65535) + b"\x03" + bytes(64),
        "gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(64),
        "bmp": b"BM" + struct.pack("<IHHI", 80, 0, 0, 54) + struct.pack("<Iii", 40, side, -side) + bytes(64),
        "tiff": tiff,
        "webp": b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2,
        "ppm": b"P6\n# a comment\n100000 100000\n255\n" + bytes(64),
    }


@pytest.mark.parametrize("suffix", bombs())
def test_a_decompression_bomb_is_refused_before_it_is_decoded(file, suffix, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    path = file(bombs()[suffix], "bomb." + suffix)
    for read in (image.read_image, image.read_header, lambda p: image.read_bytes(p.read_bytes(), "bomb")):
        with pytest.raises(DataError, match=r"bomb.* claims .* px, more than the 100,000,000"):
            read(path)


def test_the_limit_of_pixels_can_be_set(file):
    path = file(encoded(picture(20, 30), ".png"))
    assert image.read_image(path, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(DataError, match="30 x 20 px, more than the 599"):
        image.read_image(path, max_pixels=599)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"hello, this is a text", "it is not an image"),
        (b"\x89PNG\r\n\x1a\n", "header is damaged"),
        (b"\xff\xd8\xff", "header is damaged"),
        (b"RIFF\0\0\0\0WAVE" + bytes(40), "header is damaged"),
        (b"BM", "header is damaged"),
        (b"II*\0\xff\xff\xff\x7f", "header is damaged"),
        (b"P6\nabc", "header is damaged"),
        (b"P6\n0 5\n255\n", "claims 0 x 5"),
    ],
)
def test_what_is_no_image_is_named_with_its_reason(file, content, reason):
    path = file(content, "note.png")
    for read in (image.read_image, image.read_header):
        with pytest.raises(DataError, match=reason) as error:
            read(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_random_bytes_behind_any_magic_never_fail_otherwise(file):
    rng = np.random.default_rng(0)
    starts = [bombs()[k][:12] for k in bombs()] + [
        b"MM\0*",
        b"II+\0\x08\0\0\0",
        b"GIF87a",
        b"P1 ",
        b"RIFF\0\0\0\0WEBPVP8L",
    ]
    for start in starts:
        for count in (0, 5, 30, 300):
            data = start + rng.bytes(count)
            try:
                image.read_bytes(data, "noise", max_pixels=10_000)
            except DataError as error:
                assert "noise cannot be used" in str(error)


def test_missing_files_and_folders_are_said_clearly(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        image.read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="it is a folder"):
        image.read_image(tmp_path)
    with pytest.raises(DataError, match="cannot be opened"):
        image.read_image("nul\0byte.png")


def test_floating_point_samples_are_refused(file):
    path = file(cv2.imencode(".tiff", np.ones((4, 4), np.float32))[1].tobytes(), "a.tiff")
    with pytest.raises(DataError, match="samples are float32"):
        image.read_image(path)


def test_standard_input_is_read_by_a_dash(monkeypatch):
    pixels = picture()
    stream = io.TextIOWrapper(io.BytesIO(encoded(pixels, ".png")))
    monkeypatch.setattr(sys, "stdin", stream)
    assert np.array_equal(image.read_image("-"), pixels)


def test_nothing_is_printed_for_damaged_files(file):
    names = []
    for suffix in (".png", ".jpg", ".tiff", ".webp", ".gif", ".bmp"):
        data = encoded(picture(50, 50), suffix)
        names.append(str(file(data[: len(data) // 2], "cut" + suffix)))
    code = (
        "import sys\nfrom cnnkit.device import image\nfor name in sys.argv[1:]:\n"
        "    try:\n        image.read_image(name)\n    except image.ImageError: pass\n    else: sys.exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Fitting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", [(20, 30), (10, 10), (40, 60), (40, 10), (7, 61), (1, 1)])
def test_an_image_is_fitted_to_exactly_the_shape(channels, shape):
    for has in ((20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)):
        fitted = image.fit_image(np.full(has, 255, np.uint8), (*shape, channels))
        assert fitted.shape == (*shape, channels) and fitted.dtype == np.uint8
        assert fitted.min() == 255, "white stays white, whatever is done to it"


def test_an_image_of_the_right_shape_is_not_changed():
    pixels = picture()
    assert np.array_equal(image.fit_image(pixels, (20, 30, 3)), pixels)


def test_shrinking_averages_the_area():
    board = np.indices((32, 32)).sum(0) % 2 * 255  # every second pixel: sampling would give 0 or 255
    assert set(np.unique(image.fit_image(board.astype(np.uint8), (16, 16, 1)))) <= {127, 128}


def test_enlarging_is_bilinear():
    found = image.fit_image(np.array([[0, 100]], np.uint8), (1, 4, 1))
    assert found[0, :, 0].tolist() == [0, 25, 75, 100]


def test_alpha_is_laid_over_white():
    pixels = np.array([[[0, 0, 0, 255], [0, 0, 0, 0], [10, 20, 30, 128]]], np.uint8)
    assert image.fit_image(pixels, (1, 3, 3)).tolist() == [[[0, 0, 0], [255, 255, 255], [132, 137, 142]]]
    assert image.fit_image(pixels, (1, 3, 1))[0, 1].tolist() == [255]
    assert np.array_equal(image.fit_image(pixels, (1, 3, 4)), pixels)


def test_colours_become_grey_by_their_brightness():
    found = image.fit_image(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8), (1, 3, 1))
    assert found[0, :, 0].tolist() == [76, 150, 29]


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((2, 4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)])
def test_an_array_that_is_no_image_is_refused(wrong):
    with pytest.raises(ValueError, match="`image` needs to be uint8"):
        image.fit_image(wrong, (4, 4, 1))


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        image.fit_image(np.zeros((4, 4, 2), np.uint8), (4, 4, 1))


def test_a_picture_is_the_same_in_whatever_encoding(file):
    pixels = np.kron(np.random.default_rng(3).integers(60, 140, (15, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    pixels[40:80, 24:64] = (225, 20, 20)
    source = PIL.Image.fromarray(pixels)
    other = PIL.Image.new("RGB", source.size)
    forms = [
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"quality": 95, "progressive": True}),
        ("JPEG", "CMYK", {"quality": 95}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "CMYK", {}),
        ("WEBP", "RGB", {"quality": 95}),
        ("WEBP", "RGB", {"save_all": True, "append_images": [other], "lossless": True}),
        ("GIF", "RGB", {"save_all": True, "append_images": [other]}),
        ("BMP", "RGB", {}),
        ("PPM", "RGB", {}),
        ("MPO", "RGB", {"quality": 95, "save_all": True, "append_images": [source.resize((80, 60))]}),
    ]
    files = {}
    for form, mode, options in forms:
        data = io.BytesIO()
        source.convert(mode).save(data, form, **options)
        files[form, mode, str(options)] = data.getvalue()
    files["trailer"] = files["JPEG", "RGB", "{'quality': 95}"] + b"SEFT" + bytes(300)
    palette = io.BytesIO()
    source.quantize(64).save(palette, "PNG")
    files["palette"] = palette.getvalue()
    for name, data in files.items():  # all called alike: content decides
        found = image.read_image(file(data, "photo.jpg"))[..., :3].astype(int)
        assert found.shape == pixels.shape and np.abs(found - pixels).mean() < 6, name
        assert image.read_header(file(data, "photo.jpg")).shown == (160, 120)

"""What a picture's file stores is what is read: samples unscaled, indices of palettes, every page, inverted TIFF."""

import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cnnkit.device import stored
from cnnkit.errors import DataError, MissingExtra

PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 9, 9], [1, 2, 3], [77, 88, 99], [255, 255, 255]], np.uint8)


@pytest.fixture
def noise():
    return np.random.default_rng(0).random((50, 61))


def with_palette(indices, colours):
    picture = Image.fromarray(indices, "P")
    picture.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return picture


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [0, 3, 5])
@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"byteorder": ">", "bigtiff": True}, {"tile": (16, 16)}])
def test_a_tiff_is_read_as_tifffile_reads_it(tmp_path, noise, kind, channels, how):
    pixels = (noise * 200).astype(kind)
    if channels:
        pixels = np.stack([pixels + k for k in range(channels)], axis=-1).astype(kind)
        how = {**how, "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if channels == 3 else "minisblack", **how)
    read = stored.read_native(tmp_path / "a.tif")
    assert read.dtype == (kind if kind in ("uint8", "uint16") else "float32")
    np.testing.assert_array_equal(read, tifffile.imread(tmp_path / "a.tif").astype(read.dtype))


def test_planes_are_read_as_channels(tmp_path, noise):
    pixels = (np.stack([noise, noise**2, noise**3]) * 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(stored.read_native(tmp_path / "a.tif"), np.moveaxis(pixels, 0, 2))


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_where_zero_is_white_a_picture_is_as_shown_and_a_mask_as_stored(tmp_path, noise, kind, compression):
    pixels = (noise * 200).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite", compression=compression)
    np.testing.assert_array_equal(stored.read_native(tmp_path / "a.tif"), np.iinfo(kind).max - pixels)
    np.testing.assert_array_equal(stored.read_indices(tmp_path / "a.tif"), pixels)


def test_the_answer_does_not_hang_on_who_decodes_the_inverted_file(tmp_path, noise, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", (noise * 200).astype(np.uint8), photometric="miniswhite")
    before = stored.read_native(tmp_path / "a.tif"), stored.read_indices(tmp_path / "a.tif")
    monkeypatch.setattr(stored, "_by_opencv", lambda *page: False)
    after = stored.read_native(tmp_path / "a.tif"), stored.read_indices(tmp_path / "a.tif")
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("form", ["one series", "appended", "imagej", "imagej in one", "in one"])
@pytest.mark.parametrize("large", [False, True])
def test_every_page_of_a_stack_is_read(tmp_path, monkeypatch, form, large):
    if large:  # read by parts
        monkeypatch.setattr(stored, "_LARGE", 0)
    pages = np.random.default_rng(1).integers(0, 4096, (5, 20, 30)).astype(np.uint16)
    path = tmp_path / "a.tif"
    if form == "appended":
        for page in pages:
            tifffile.imwrite(path, page, append=True)
    else:
        how = {"imagej": "imagej" in form, "truncate": "in one" in form}
        tifffile.imwrite(path, pages, photometric="minisblack", **how)
    assert stored.look(path).sizes == ((20, 30),) * 5
    np.testing.assert_array_equal(stored.read_pages(path), pages)
    np.testing.assert_array_equal(stored.read_native(path, 3), pages[3])
    with pytest.raises(DataError, match=r"a\.tif cannot be used: it has no page 6, but 5"):
        stored.read_native(path, 5)


def test_a_smaller_version_of_a_page_is_no_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.full((20, 30), 7, np.uint8))
        file.write(np.full((10, 15), 7, np.uint8), subfiletype=1)
    assert stored.look(tmp_path / "a.tif").sizes == ((20, 30),)


def test_lzw_and_what_opencv_reads_need_no_tifffile(tmp_path, noise, monkeypatch):
    pixels = (np.dstack([noise] * 3) * 200).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    tifffile.imwrite(tmp_path / "odd.tif", noise.astype(np.float16))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    np.testing.assert_array_equal(stored.read_native(tmp_path / "lzw.tif"), pixels)
    with pytest.raises(
        MissingExtra, match=r'odd\.tif is a kind of TIFF that needs tifffile\. Run `pip install "cnnkit\[scans\]"'
    ):
        stored.read_native(tmp_path / "odd.tif")


def test_reading_loads_no_tifffile_until_a_picture_needs_it(tmp_path, noise):
    tifffile.imwrite(tmp_path / "a.tif", (noise * 200).astype(np.uint16))
    code = (
        "import sys; from cnnkit.device import stored; stored.read_native(sys.argv[1]);"
        "print(sorted({'tifffile', 'tensorflow', 'scipy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code, tmp_path / "a.tif"], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
@pytest.mark.parametrize("count", [2, 4, 7])
def test_a_palette_is_colours_of_a_picture_and_numbers_of_a_mask(tmp_path, noise, suffix, count):
    indices = (noise * count).astype(np.uint8)
    with_palette(indices, PALETTE[:count]).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(stored.read_native(tmp_path / f"a.{suffix}"), PALETTE[indices])
    mask = stored.read_stored(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(mask.values, np.array(Image.open(tmp_path / f"a.{suffix}")))
    np.testing.assert_array_equal(mask.colours, PALETTE[indices])


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp"])
def test_greys_in_another_order_than_their_indices_are_greys(tmp_path, noise, suffix):
    white_first = (noise < 0.8).astype(np.uint8)
    with_palette(white_first, [[255] * 3, [0] * 3]).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(stored.read_indices(tmp_path / f"a.{suffix}"), np.where(white_first, 0, 255))
    grey = stored.read_native(tmp_path / f"a.{suffix}")
    assert grey.shape == white_first.shape


def test_greys_in_the_order_of_their_indices_are_indices(tmp_path, noise):
    indices = (noise * 3).astype(np.uint8)
    with_palette(indices, [[3] * 3, [100] * 3, [250] * 3]).save(tmp_path / "a.gif")
    np.testing.assert_array_equal(stored.read_indices(tmp_path / "a.gif"), indices)


def test_sixteen_bits_stay_sixteen_bits(tmp_path, noise):
    pixels = (noise * 700).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    (tmp_path / "a.pgm").write_bytes(b"P5\n61 50\n4095\n" + pixels.astype(">u2").tobytes())
    for name in ("a.png", "a.pgm"):
        np.testing.assert_array_equal(stored.read_native(tmp_path / name), pixels)
        np.testing.assert_array_equal(stored.read_indices(tmp_path / name), pixels)


def test_one_bit_is_black_and_white(tmp_path, noise):
    drawn = noise > 0.7
    for name, how in (("a.png", {}), ("a.tif", {"compression": "group4"})):
        Image.fromarray(drawn).save(tmp_path / name, **how)
        np.testing.assert_array_equal(stored.read_native(tmp_path / name), drawn * np.uint8(255))
        np.testing.assert_array_equal(stored.read_indices(tmp_path / name) > 0, drawn)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_picture_is_turned_as_it_is_shown(tmp_path, orientation, suffix):
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:8, :8] = (250, 0, 0)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif)
    read = stored.read_native(tmp_path / f"a.{suffix}")
    assert stored.look(tmp_path / f"a.{suffix}").sizes == (read.shape[:2],)
    down, right = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    corner = read[-4 if down else 3, -4 if right else 3].astype(int)
    assert corner[0] > 200 > 60 > corner[1] and read.shape == ((40, 24, 3) if orientation > 4 else (24, 40, 3))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_dropped_where_it_is_opaque_and_refused_where_not(tmp_path, noise, suffix):
    grey = (noise * 200).astype(np.uint8)
    colours = np.dstack([grey, grey // 2, grey // 3])
    for name, pixels in (("grey", grey), ("rgb", colours)):
        path, full = tmp_path / f"{name}.{suffix}", np.full_like(grey, 255)
        Image.fromarray(np.dstack([pixels, full]), "LA" if name == "grey" else "RGBA").save(path)
        np.testing.assert_array_equal(stored.read_native(path), pixels)
        np.testing.assert_array_equal(stored.read_indices(path), pixels)
        full[:5] = 0
        Image.fromarray(np.dstack([pixels, full]), "LA" if name == "grey" else "RGBA").save(path)
        for read in (stored.read_native, stored.read_indices):
            with pytest.raises(
                DataError, match=rf"{name}\.{suffix} cannot be used: it has an alpha channel, by which 10 %"
            ):
                read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_named(tmp_path, value):
    pixels = np.ones((9, 9), np.float32)
    pixels[2, 3:5] = value
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert stored.look(tmp_path / "a.tif").doubtful
    for read in (stored.read_native, stored.read_indices):
        with pytest.raises(DataError, match=r"a\.tif cannot be used: 2 of its values are no numbers"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_file_that_was_cut_off_is_doubtful_and_refused(tmp_path, noise, suffix):
    path = tmp_path / f"a.{suffix}"
    pixels = (noise * 255).astype(np.uint8)
    if suffix == "tif":
        tifffile.imwrite(path, pixels)  # its directory lies in front
    else:
        cv2.imwrite(str(path), pixels)
    assert not stored.look(path).doubtful
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert stored.look(path).doubtful
    with pytest.raises(DataError, match=rf"a\.{suffix} cannot be used"):
        stored.read_native(path)


def test_a_broken_chain_of_pages_ends(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((2, 9, 9), np.uint8), photometric="minisblack", metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)  # the next one is the first again
    (tmp_path / "a.tif").write_bytes(data)
    assert len(stored.look(tmp_path / "a.tif").sizes) == 1


@pytest.mark.parametrize("most", [200, 300, 65535])
@pytest.mark.parametrize(
    ("name", "written"), [("a.png", "a.png"), ("a.tif", "a.tif"), ("a.jpg", "a.png"), ("a.gif", "a.png")]
)
def test_a_mask_is_written_without_loss(tmp_path, noise, most, name, written):
    mask = (noise * most).astype(np.int32)
    path = stored.write_mask(tmp_path / name, mask)
    assert path == tmp_path / written and [file.name for file in tmp_path.iterdir()] == [written]
    read = stored.read_indices(path)
    assert read.dtype == (np.uint8 if most < 256 else np.uint16)
    np.testing.assert_array_equal(read, mask)


def test_a_mask_of_pages_is_written_as_a_stack(tmp_path):
    masks = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    np.testing.assert_array_equal(stored.read_pages(stored.write_mask(tmp_path / "a.tif", masks)), masks)
    for name, mask in (("a.png", masks), ("a.png", masks[0] - 1.0), ("a.png", masks[0].astype(int) - 1)):
        with pytest.raises(ValueError, match="Received"):
            stored.write_mask(tmp_path / name, mask)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_values_are_counted_exactly(noise, kind):
    values = (noise * np.iinfo(kind).max).astype(kind)
    np.testing.assert_array_equal(
        stored.histogram(values), np.bincount(values.ravel(), minlength=np.iinfo(kind).max + 1)
    )
    many = np.ones(2**24 + 3, kind)  # more than float32 counts
    assert stored.histogram(many)[1] == 2**24 + 3 and stored.histogram(values[:0]).sum() == 0


@pytest.mark.parametrize("shape", [(30, 40), (3, 30, 40)])
@pytest.mark.parametrize("most", [200, 3000])
def test_masks_as_tiff_are_read_by_tifffile_alone(tmp_path, shape, most):
    mask = np.random.default_rng(0).integers(0, most, shape).astype(np.uint16)
    path = stored.write_mask(tmp_path / "a.tif", mask)
    np.testing.assert_array_equal(tifffile.imread(path), mask)

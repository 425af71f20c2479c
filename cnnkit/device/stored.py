"""Pictures and masks with the numbers that their files store: 8 or 16 bits or floats, one page or many.

Design choices:
- `read_native` is for pictures: as they are shown (turned by EXIF, white where zero is white, colours of a palette), not scaled.
  Training and `predict` read by it, so both see the same.
- `read_stored` is for masks: what a file stores and not how it is shown. A palette gives its indices, and a TIFF whose zero is
  white its numbers, whoever opens it: ImageJ's inverted masks hold 255 where the object is.
- A palette of greys in another order than its indices is only a way to store greys, as GIF needs one; then the greys are it.
- OpenCV decodes. What it would change is undone in the bytes that it is handed: a palette's image is called grey, a table of
  colours becomes a ramp, zero is called black, the page asked for is made the first one. So LZW needs nothing else.
- TIFF that OpenCV does not read (planes, many channels, 12 bits, float16, stacks with one directory) is read by tifffile, where
  that is installed; where it is not, the error says how to get it.
- Transparency is nothing that a network is to learn: an opaque alpha channel is dropped, any other refused.
- NaN and infinity are refused here, in front of all else, so that no reader can hide them.

Source: TIFF 6.0; PNG (W3C, 2003), 11.2; GIF89a, 18 to 23.
"""

import io
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit import files
from cnnkit.device import orientation
from cnnkit.device.image import MAX_PIXELS, Header, ImageError, decode, read_file, read_header
from cnnkit.device.tags import Directory, Read, chunks, directories, put_first, within
from cnnkit.errors import CnnkitError, MissingExtra
from cnnkit.files import printable

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _DESCRIPTION = 256, 257, 258, 262, 270
_SAMPLES, _PLANES, _COLOURS, _EXTRA, _FORMAT, _SUBFILE = 277, 284, 320, 338, 339, 254
_REDUCED = 1  # a subfile that repeats another one, smaller
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_UNSIGNED, _FLOAT = 1, 3
_COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT = 259, 322, 323
_PLACES = ((273, 279), (324, 325))  # where strips and tiles are, and how long
_LARGE = 16 << 20  # bytes of a file that is not read whole for one of its pages
_MOST_TEXT = 65536  # bytes of a TIFF's description


@dataclass(frozen=True)
class Stored:
    """What a mask's file stores.

    Attributes:
        values: (h, w) numbers: uint8, uint16, int32, uint32 or float32; or (h, w, 3), uint8 or uint16, RGB colours.
        palette: uint8 (n, 3), the colours that `values` are the indices of; None where they are none.
        form: "PNG", "JPEG", ...
    """

    values: np.ndarray
    palette: np.ndarray | None
    form: str

    @property
    def colours(self) -> np.ndarray:
        """The colours as they are shown, uint8 or uint16 (h, w, 3)."""
        if self.palette is not None:
            return self.palette[np.minimum(self.values, len(self.palette) - 1)]
        return self.values if self.values.ndim == 3 else np.repeat(self.values[..., None], 3, 2)


@dataclass(frozen=True)
class Look:
    """What is known of a file of pictures before any is decoded.

    Attributes:
        form: "PNG", "JPEG", ...
        sizes: (height, width) of each page as it is shown, px; of one where the file is no TIFF.
        doubtful: whether it may be cut off, or may hold NaN: it is worth decoding to find out.
    """

    form: str
    sizes: tuple[tuple[int, int], ...]
    doubtful: bool


def read_native(path: Path | str, page: int = 0, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a picture as it is shown, its samples as they are stored.

    Args:
        path: PNG, JPEG, GIF, BMP, TIFF, WebP or PNM; "-" for standard input.
        page: of a TIFF with several, counted from 0.
        max_pixels: largest width * height that is decoded.

    Returns:
        uint8, uint16 or float32, (h, w) grey or (h, w, c), three channels in the order RGB. Not scaled: 12 bits in a file of
        16 stay below 4096. Whole numbers with a sign, and those above 65,535, become float32.

    Raises:
        DataError: missing, damaged or too large, with transparency, or with NaN or infinity in it.
        MissingExtra: it is a TIFF that needs tifffile.
    """
    data, head, name = _opened(path, max_pixels)
    if head.format == "TIFF":
        return _finite(_tiff(data, page, name, max_pixels)[0], name)
    if page:
        raise ImageError(name, f"it has no page {page + 1}")
    image = _opaque(decode(data, head, name), name)
    grey = head.format == "PNG" and data[25] in (0, 4)
    if image.ndim == 3 and (grey or (_has_palette(data, head) and _all_grey(image))):
        image = image[..., 0]
    return np.ascontiguousarray(image)


def read_pages(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> list[np.ndarray]:
    """Read every page of a TIFF, one picture of all other files; each as `read_native`."""
    if str(path) == "-":
        return [read_native(path, max_pixels=max_pixels)]
    return [read_native(path, page, max_pixels=max_pixels) for page in range(len(look(path).sizes))]


def read_stored(path: Path | str, page: int = 0, *, max_pixels: int = MAX_PIXELS) -> Stored:
    """Read what a mask's file stores: the indices of a palette, numbers or colours; turned as it is shown.

    Raises:
        DataError, MissingExtra: as `read_native`.
    """
    data, head, name = _opened(path, max_pixels)
    if head.format == "TIFF":
        values, palette = _tiff(data, page, name, max_pixels, stored=True)
        values = _finite(values, name)
    else:
        plain, palette, levels = _without_palette(data, head)
        if palette is None:
            values = _opaque(decode(data, head, name), name)
        else:
            values = decode(plain, Header(head.format, 1, 1, 1, orientation=head.orientation), name)
            values = np.ascontiguousarray(values if values.ndim == 2 else values[..., 0])
            values = values if levels == 255 else values // (255 // levels)
    if values.ndim == 3 and (values.shape[2] < 3 or _all_grey(values)):
        values = np.ascontiguousarray(values[..., 0])
    if palette is not None:
        used = palette[np.minimum(np.flatnonzero(histogram(values)), len(palette) - 1)].astype(int)
        if (np.ptp(used, axis=1) == 0).all() and (np.diff(used[:, 0]) <= 0).any():
            values, palette = palette[np.minimum(values, len(palette) - 1)][..., 0], None
    return Stored(values, palette, head.format)


def read_indices(path: Path | str, page: int = 0) -> np.ndarray:
    """Return the `values` of `read_stored`."""
    return read_stored(path, page).values


def histogram(values: np.ndarray) -> np.ndarray:
    """Return how many of uint8 or uint16 values are 0, 1, ...: int64 (256 or 65536,)."""
    if values.size >= 2**24:  # OpenCV counts in float32
        return np.bincount(values.ravel(), minlength=np.iinfo(values.dtype).max + 1)
    count = int(np.iinfo(values.dtype).max) + 1
    return cv2.calcHist([values.reshape(1, -1)], [0], None, [count], [0, count]).ravel().astype(np.int64)


def look(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Look:
    """Look at a file of pictures without decoding any.

    Raises:
        DataError: missing, empty, no image, or of more than `max_pixels`.
    """
    head = read_header(path, max_pixels=max_pixels)
    if head.format != "TIFF":
        return Look(head.format, (head.shown[::-1],), not head.complete)
    with Path(path).open("rb", buffering=0) as file:

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count)

        found = _pages(read, str(path), max_pixels)
        stack = _in_one(found[0][1], read) if len(found) == 1 else 0
        sizes = [_shown(page) for _, page in found] * (stack or 1)
        size = file.seek(0, 2)
        return Look(head.format, tuple(sizes), any(_is_doubtful(page, size) for _, page in found))


_DEFLATE = (cv2.IMWRITE_TIFF_COMPRESSION, 8)  # OpenCV's own choice, LZW, is not read everywhere, as by tifffile alone


def write_mask(path: Path | str, mask: np.ndarray, *, deep: bool = False) -> Path:
    """Write a mask atomically, without loss: PNG or TIFF, as the name says, and a PNG for every other name.

    Args:
        path: its suffix is replaced by .png where it is that of a format that loses something, or that holds no 16 bits.
        mask: whole numbers from 0 to 65,535, (h, w), or (pages, h, w) for a TIFF; stored with 8 bits where they suffice.
        deep: store 16 bits also then.

    Returns:
        the path that was written.
    """
    if (
        mask.dtype.kind not in "biu"
        or mask.ndim not in (2, 3)
        or (mask.size and not 0 <= mask.min() <= mask.max() < 65536)
    ):
        raise ValueError(f"`mask` needs whole numbers from 0 to 65535, (h, w). Received: {mask.dtype} {mask.shape}.")
    path = Path(path)
    if path.suffix.lower() not in (".png", ".tif", ".tiff"):
        path = path.with_suffix(".png")
    mask = np.ascontiguousarray(mask, np.uint8 if mask.max(initial=0) < 256 and not deep else np.uint16)
    suffix = path.suffix.lower()
    if mask.ndim == 3:
        if suffix == ".png":
            raise ValueError(f"A PNG has one page. Received: a mask of shape {mask.shape} for {path}.")
        done, data = cv2.imencodemulti(suffix, list(mask), list(_DEFLATE))
    else:
        done, data = cv2.imencode(suffix, mask, [] if suffix == ".png" else list(_DEFLATE))
    if not done:
        raise ValueError(f"OpenCV cannot write a mask of shape {mask.shape} as {suffix}.")
    files.write_bytes(path, data.tobytes())
    return path


def _opened(path: Path | str, max_pixels: int) -> tuple[Any, Header, str]:
    """Return the bytes of a file, its header and what errors call it; of a large TIFF only what is asked for is read."""
    if str(path).lower().endswith((".tif", ".tiff")):
        head = read_header(path, max_pixels=max_pixels)
        if Path(path).stat().st_size > _LARGE:
            return np.memmap(path, np.uint8, "c"), head, str(path)
    return read_file(path, max_pixels=max_pixels)


def _finite(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype.kind == "f":
        bad = image.size - np.count_nonzero(np.isfinite(image))
        if bad:
            raise ImageError(name, f"{bad:,} of its values are no numbers (NaN or infinity)")
    return image


def _opaque(image: np.ndarray, name: str) -> np.ndarray:
    """Drop an alpha channel that says nothing.

    Raises:
        ImageError: it says something.
    """
    if image.ndim == 2 or image.shape[2] != 4:
        return image
    most = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1
    clear = np.count_nonzero(image[..., 3] != most)
    if clear:
        share = 100 * clear / image[..., 3].size
        raise ImageError(
            name,
            f"it has an alpha channel, by which {share:.3g} % of it is transparent",
            "Save it without transparency.",
        )
    return np.ascontiguousarray(image[..., :3])


def _all_grey(image: np.ndarray) -> bool:
    return bool((image[..., 1] == image[..., 0]).all() and (image[..., 2] == image[..., 0]).all())


# Palettes -------------------------------------------------------------------------------------------------------------


def _has_palette(data: bytes, head: Header) -> bool:
    if head.format == "PNG":
        return data[25] == 3
    return head.format == "GIF" or (head.format == "BMP" and len(data) > 30 and data[14] >= 40 and data[28] <= 8)


def _without_palette(data: bytes, head: Header) -> tuple[bytes, np.ndarray | None, int]:
    """Return a file that decodes to the indices of a palette, times 255 / levels; that palette; levels.

    The palette is None where the file has none.
    """
    if not _has_palette(data, head):
        return data, None, 255
    try:
        return {"PNG": _grey_png, "GIF": _grey_gif, "BMP": _grey_bmp}[head.format](data)
    except CnnkitError:
        raise
    except (struct.error, IndexError, ValueError):
        return data, None, 255  # the decoder says what is wrong with it


def _grey_png(data: bytes) -> tuple[bytes, np.ndarray | None, int]:
    """Call a PNG with a palette a grey one: the same bits are its samples."""
    header = bytearray(data[16:29])
    header[9] = 0
    parts = [data[:8], _chunk(b"IHDR", bytes(header))]
    palette = None
    for kind, place, count in chunks(within(data)):
        if kind == b"PLTE":
            palette = np.frombuffer(data, np.uint8, count // 3 * 3, place).reshape(-1, 3)
        elif kind in (b"IDAT", b"IEND"):
            parts.append(data[place - 8 : place + count + 4])
    return b"".join(parts), palette, 2 ** data[24] - 1


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _grey_gif(data: bytes) -> tuple[bytes, np.ndarray | None, int]:
    """Make the tables of colours of a GIF's first picture a ramp, and nothing of it transparent."""
    plain, palette, place = bytearray(data), None, 13

    def ramp(flags: int, place: int) -> tuple[np.ndarray | None, int]:
        if not flags & 0x80:
            return None, place
        count = 2 << (flags & 7)
        table = np.frombuffer(data, np.uint8, 3 * count, place).reshape(-1, 3)
        plain[place : place + 3 * count] = np.repeat(np.arange(count, dtype=np.uint8), 3).tobytes()
        return table, place + 3 * count

    palette, place = ramp(data[10], place)
    while data[place] == 0x21:
        if data[place + 1] == 0xF9:
            plain[place + 3] &= 0xFE
        place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    if data[place] == 0x2C:
        own, _ = ramp(data[place + 9], place + 10)
        palette = palette if own is None else own
    return bytes(plain), palette, 255


def _grey_bmp(data: bytes) -> tuple[bytes, np.ndarray | None, int]:
    start, (pixels,) = 14 + struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 10)
    count = min((pixels - start) // 4, 256)
    palette = np.frombuffer(data, np.uint8, 4 * count, start).reshape(-1, 4)[:, 2::-1]
    plain = bytearray(data)
    plain[start : start + 4 * count] = np.repeat(np.arange(count, dtype=np.uint8), 4).tobytes()
    return bytes(plain), palette, 255


# TIFF -----------------------------------------------------------------------------------------------------------------


def _pages(read: Read, name: str, max_pixels: int) -> list[tuple[int, Directory]]:
    """Return where the pages of a TIFF are, without smaller versions of others."""
    found = [(place, page) for place, page in directories(read) if not page.value(_SUBFILE, 0) & _REDUCED]
    if not found:
        raise ImageError(name, "it has no picture")
    for number, (_, page) in enumerate(found, 1):
        height, width = _shown(page)
        if height * width > max_pixels or height * width < 1:
            raise ImageError(name, f"its page {number} claims {width:,} x {height:,} px")
    return found


def _shown(page: Directory) -> tuple[int, int]:
    sides = page.value(_HEIGHT, 0), page.value(_WIDTH, 0)
    return sides[::-1] if page.value(orientation.TAG, 1) in orientation.SWAPPED else sides


def _is_doubtful(page: Directory, size: int) -> bool:
    """Say whether a page may hold NaN, or ends behind the end of its file."""
    ends = [page.value(start, 0, -1) + page.value(count, 0, -1) for start, count in _PLACES]
    return page.value(_FORMAT, _UNSIGNED) == _FLOAT or not 0 < max(ends) <= size


def _in_one(page: Directory, read: Read) -> int:
    """Return how many pictures the only directory of a TIFF stands for, by its description; 0 where for one."""
    if _DESCRIPTION not in page.texts:
        return 0
    place, count = page.texts[_DESCRIPTION]
    text = read(place, min(count, _MOST_TEXT)).decode("latin-1")
    said = re.search(r"^images=(\d+)", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    if said:
        return int(said[1]) if int(said[1]) > 1 else 0
    shape = re.search(r'"shape": \[([\d, ]+)\]', text) if '"truncated": true' in text else None
    sides = [int(side) for side in shape[1].split(",")] if shape else []
    height = page.value(_HEIGHT, 0)
    return int(np.prod(sides[: sides.index(height)])) if height in sides[1:] else 0


def _tiff(
    file: Any, number: int, name: str, max_pixels: int, *, stored: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode one page of a TIFF: as it is shown, or, `stored`, its numbers and the palette that they are indices of."""
    data: Any = file if isinstance(file, np.memmap) else bytearray(file)

    def read(offset: int, count: int) -> bytes:
        return bytes(data[offset : offset + count])

    found = _pages(read, name, max_pixels)
    stack = _in_one(found[0][1], read) if len(found) == 1 else 0
    if not 0 <= number < (stack or len(found)):
        raise ImageError(name, f"it has no page {number + 1}, but {stack or len(found)}")
    place, page = found[0 if stack else number]
    kind, samples, turned = page.value(_PHOTOMETRIC, 1), page.value(_SAMPLES, 1), page.value(orientation.TAG, 1)
    bits, form = page.value(_BITS, 1), page.value(_FORMAT, _UNSIGNED)
    palette = None
    if kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR):
        raise ImageError(name, f"its colours are stored as TIFF's kind {kind}", "Save it as grey or RGB.")
    put_first(data, place)
    alpha = (samples == 4 and kind == _RGB) or (samples == 2 and kind in (_WHITE_IS_ZERO, _BLACK_IS_ZERO))
    if alpha and not stack and page.value(_EXTRA, 0) in (1, 2) and page.value(_PLANES, 1) == 1:
        image = _opaque(decode(bytes(data), Header("TIFF", 1, 1, 4, orientation=turned), name), name)
        return (image[..., 0] if samples == 2 else image), None
    if kind == _PALETTE:
        palette = _tiff_palette(page)
    if not stack and _by_opencv(page, kind, samples, bits, form):
        shown_as = kind
        if kind in (_WHITE_IS_ZERO, _PALETTE):
            page.put(data, _PHOTOMETRIC, _BLACK_IS_ZERO)
            shown_as = _BLACK_IS_ZERO
        page.put(data, orientation.TAG, 1)
        image = decode(data, Header("TIFF", 1, 1, 1 if shown_as == _BLACK_IS_ZERO else 3), name)
        if bits == 1:
            image = image // 255
    else:
        image = _by_tifffile(bytes(data), number if stack else 0, name)
    image = orientation.upright(image, turned) if 1 < turned <= 8 else image
    if image.dtype.kind == "f":
        image = image.astype(np.float32)
    if stored:
        return image.astype(np.uint8) if image.dtype == bool else image, palette
    if palette is not None:
        image = palette[np.minimum(image, len(palette) - 1)]
        image = image[..., 0] if _all_grey(image) else image
    elif kind == _WHITE_IS_ZERO and image.dtype.kind in "bu":
        image = (2**bits - 1) - image
    if bits == 1:
        image = image.astype(np.uint8) * np.uint8(255)
    if image.dtype not in (np.uint8, np.uint16):
        image = image.astype(np.float32)
    return np.ascontiguousarray(image), None


def _by_opencv(page: Directory, kind: int, samples: int, bits: int, form: int) -> bool:
    """Say whether OpenCV reads a page as it is stored."""
    if bits not in (1, 8, 16, 32, 64) or (form == _FLOAT and bits < 32) or (bits == 64 and form != _FLOAT):
        return False
    tile = page.value(_TILE_WIDTH, 0) * page.value(_TILE_HEIGHT, 0) * samples * bits // 8
    if 0 < tile < 1024 and page.value(_COMPRESSION, 1) == 1:  # libtiff takes so small ones in memory for damaged
        return False
    if samples == 1:
        return kind in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE) and (bits > 1 or kind != _PALETTE)
    return samples == 3 and kind in (_RGB, _YCBCR) and page.value(_PLANES, 1) == 1 and bits > 1


def _tiff_palette(page: Directory) -> np.ndarray:
    """Return the colours of a page's palette, uint8 (n, 3)."""
    place, _, count = page.tags.get(_COLOURS, (0, "H", 0))
    word = "Q" if page.big else "I"
    try:
        (start,) = struct.unpack(page.order + word, page.read(place + (12 if page.big else 8), struct.calcsize(word)))
        values = np.frombuffer(page.read(start, 2 * count), page.order + "u2", count)
    except (struct.error, ValueError):
        values = np.zeros(0, np.uint16)
    if not len(values):
        return np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(-1, 3)
    table = values[: len(values) // 3 * 3].reshape(3, -1).T
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8)


def _by_tifffile(data: bytes, number: int, name: str) -> np.ndarray:
    """Decode the first directory of a TIFF, or picture `number` of the stack that it stands for: (h, w) or (h, w, c)."""
    try:
        import tifffile
    except ImportError:
        raise MissingExtra(
            f'{printable(name)} is a kind of TIFF that needs tifffile. Run `pip install "cnnkit[scans]"`.'
        ) from None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            height, width = page.imagelength, page.imagewidth
            series = file.series[0]
            if series.size > page.size:
                whole = series.asarray()
                return whole.reshape(-1, *whole.shape[-len(page.shape) :])[number]
            image, axes = page.asarray(), page.axes
    except Exception as error:  # whatever a damaged file makes it stumble over
        raise ImageError(
            name, f"tifffile cannot read it ({' '.join(str(error).split())[:100]})", "Save it as PNG."
        ) from None
    if image.ndim == 3 and axes == "SYX":
        image = np.moveaxis(image, 0, 2)
    if image.ndim > 3 or image.shape[:2] != (height, width):
        raise ImageError(name, f"it has the axes {axes}, which are not those of a picture")
    return image

"""Read an image file and fit it to a model: the same code trains, scores and runs on the device.

Design choices:
- The header is read first, by this module and not by a decoder, so that a decompression bomb (a small file that claims
  100,000 x 100,000 px) is refused before any of it is decoded.
- A truncated file is refused, never half decoded: PNG chunks are checked by their CRC and as many rows as it has, JPEG as
  `cnnkit.device.jpeg` says; the decoders find the rest.
- Grey stays grey; alpha is kept until the image is fitted and then laid over white, as a browser would show it. What would
  vanish there, as chalk does, is laid over black.
- Where OpenCV leaves transparency out, `cnnkit.device.transparency` reads it.
- 16-bit samples are scaled from 0..65535 to 0..255 by rounding. A picture that uses only 12 of its 16 bits looks dark.
- A photo comes out as it was held, whatever its format and with alpha too: `cnnkit.device.orientation` says how it is turned,
  for its size in `Header.shown` as for its pixels. Of an animation or a multi-page file, the first picture is read.
- `fit_image` stretches to the model's shape: by pixel area where it shrinks, bilinear (OpenCV's bit-exact version,
  alike on every processor) where it enlarges. Who wants the aspect kept crops or pads before.
- OpenCV's own messages are silenced: what is wrong with a file is said once, by the error.
"""

import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit.device import jpeg, orientation
from cnnkit.device.tags import Read, chunks, directory, within
from cnnkit.device.transparency import Unreadable, with_alpha
from cnnkit.errors import CnnkitError, DataError, DataNotFound
from cnnkit.files import printable

MAX_PIXELS = 100_000_000  # a page of 29 x 42 cm (A3) at 600 dpi has 70 million
FAINT = 8  # of 255: what differs by no more is not seen
FORMATS = "PNG, JPEG, GIF, BMP, TIFF, WebP or PNM"
SUFFIXES = frozenset(  # what a folder of images is searched for
    [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib"]
    + [".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"]
)

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class ImageError(DataError):
    """An image that cannot be used. `.reason` is the short form for a list of files."""

    def __init__(self, name: str, reason: str, advice: str = "Replace it or delete it."):
        super().__init__(f"{printable(name)} cannot be used: {reason}. {advice}")
        self.reason = reason


class ImageNotFound(ImageError, DataNotFound):
    """An image that is not there."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image file say.

    Attributes:
        format: "PNG", "JPEG", "GIF", "BMP", "TIFF", "WebP" or "PNM".
        width, height: in px, as they are stored.
        channels: 1 grey, 3 colour, 4 colour with alpha (grey with alpha counts as 4).
        complete: False where the file does not end as its format does, so that it may be truncated.
        orientation: 1 to 8, as EXIF counts: how the picture is turned to be shown.
    """

    format: str
    width: int
    height: int
    channels: int
    complete: bool = True
    orientation: int = 1

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height in px of the picture as it is shown: of what `read_image` returns."""
        swapped = self.orientation in orientation.SWAPPED
        return (self.height, self.width) if swapped else (self.width, self.height)


def is_named(name: str) -> bool:
    """Whether a name ends as those of images do."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a Path for each of a million is slow


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file, or standard input where `path` is "-".

    Args:
        path: a PNG, JPEG, GIF, BMP, TIFF, WebP or PNM file of any size, grey, palette, RGB or RGBA, of 1 to 16 bits.
        max_pixels: largest width * height that is decoded.

    Returns:
        uint8 in [0, 255]: (height, width) grey, (height, width, 3) RGB or (height, width, 4) RGBA.

    Raises:
        DataError: missing, empty, truncated, not an image, or of more than `max_pixels`.
    """
    return as_bytes(*read_file(path, max_pixels=max_pixels))


def read_bytes(data: bytes, name: str = "The image", *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image held in memory; `name` is what errors call it. Returns and raises as `read_image`."""
    head = _header(within(data), len(data), name)
    _check_size(head, len(data), name, max_pixels)
    return as_bytes(data, head, name)


def read_file(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, Header, str]:
    """Read an image file without decoding it: its bytes, its header and what errors call it; raises as `read_image`."""
    if str(path) == "-":
        limit, name = _max_bytes(max_pixels), "Standard input"
        data = sys.stdin.buffer.read(limit + 1)
        if len(data) > limit:
            raise ImageError(name, f"it is larger than {limit:,} bytes", "Send one image.")
        head = _header(within(data), len(data), name)
        _check_size(head, len(data), name, max_pixels)
        return data, head, name
    name = str(path)
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = _header(_reader(file), size, name)
        _check_size(head, size, name, max_pixels)
        file.seek(0)
        return file.read(), head, name


def read_header(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Read only the header of an image file: some 20 microseconds, whatever its size.

    Raises:
        DataError: missing, empty, not an image, or of more than `max_pixels`.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = _header(_reader(file), size, str(path))
    _check_size(head, size, str(path), max_pixels)
    return head


def fit_image(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring an image to a model's shape: colours first, then size.

    Args:
        image: uint8 (h, w), (h, w, 1) grey, (h, w, 3) RGB or (h, w, 4) RGBA, in [0, 255].
        shape: (height, width, channels), channels 1, 3 or 4. Alpha is laid over white unless 4 are asked.

    Returns:
        uint8 of exactly `shape`, in [0, 255]; it may share memory with `image`.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"`image` needs to be uint8 (h, w) or (h, w, channels). Received: {image.dtype} of shape {image.shape}."
        )
    height, width, channels = shape
    image = _to_channels(image, channels)
    if image.shape[:2] != (height, width):
        image = _resize(np.ascontiguousarray(image), height, width)
    return image.reshape(height, width, channels)


def fit_images(images: Iterable[np.ndarray], count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Bring so many images to a model's shape, as `fit_image`: uint8 (count, *shape)."""
    fitted = np.empty((count, *shape), np.uint8)
    for place, image in enumerate(images):
        fitted[place] = fit_image(image, shape)
    return fitted


def over_page(image: np.ndarray) -> np.ndarray:
    """Lay RGBA uint8 (h, w, 4) over a white page, or over a black one if it shows there only: uint8 RGB (h, w, 3)."""
    page = _over(image, 255)
    if np.ptp(page) <= FAINT < np.ptp(image[..., 3]):
        black = _over(image, 0)
        return black if np.ptp(black) > FAINT else page
    return page


def _over(image: np.ndarray, paper: int) -> np.ndarray:
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + paper * (255 - alpha) + 127) // 255).astype(np.uint8)


def _to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Grey, RGB or RGBA -> `channels` (1, 3 or 4), the last axis dropped where it is 1."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    has = 1 if image.ndim == 2 else image.shape[2]
    if channels not in (1, 3, 4) or has not in (1, 3, 4):
        raise ValueError(f"Images have 1, 3 or 4 channels. Received: image of {has}, `shape` of {channels}.")
    if has == 4 and channels != 4:
        image, has = over_page(image), 3
    if has == channels:
        return image
    codes = {
        (1, 3): cv2.COLOR_GRAY2RGB,
        (1, 4): cv2.COLOR_GRAY2RGBA,
        (3, 1): cv2.COLOR_RGB2GRAY,
        (3, 4): cv2.COLOR_RGB2RGBA,
    }
    return cv2.cvtColor(np.ascontiguousarray(image), codes[has, channels])


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink by pixel area, then enlarge bilinearly: an axis at a time where one shrinks and the other grows."""
    smaller = min(height, image.shape[0]), min(width, image.shape[1])
    if smaller != image.shape[:2]:
        image = cv2.resize(image, smaller[::-1], interpolation=cv2.INTER_AREA)
    if smaller != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return image


def _opened(path: Path | str):
    """Open a file to read, its absence and the like as one clear line."""
    try:
        return open(path, "rb", buffering=0)  # noqa: PTH123 - a Path costs as much as the header
    except FileNotFoundError:
        raise ImageNotFound(str(path), "there is no such file", "Check the path.") from None
    except IsADirectoryError:
        raise ImageError(str(path), "it is a folder, not an image", "Name a file in it.") from None
    except PermissionError:
        raise ImageError(str(path), "it may not be read", "Change its permissions.") from None
    except (OSError, ValueError) as error:
        raise ImageError(str(path), f"it cannot be opened ({error})", "Check the path.") from None


def _reader(file) -> Read:
    block = file.read(4096)  # most headers lie in it: one system call

    def read(offset: int, count: int) -> bytes:
        if offset + count <= len(block):
            return block[offset : offset + count]
        file.seek(max(0, offset))
        return file.read(count)

    return read


def _max_bytes(max_pixels: int) -> int:
    return max_pixels * 8 + 2**26  # four 16-bit samples a pixel, and room for metadata


def _check_size(head: Header, size: int, name: str, max_pixels: int) -> None:
    if head.width * head.height > max_pixels:
        raise ImageError(
            name,
            f"it claims {head.width:,} x {head.height:,} px, more than the {max_pixels:,} that are decoded",
            "Scale it down first.",
        )
    if head.width < 1 or head.height < 1:
        raise ImageError(name, f"it claims {head.width} x {head.height} px")
    if size > _max_bytes(max_pixels):
        raise ImageError(name, f"a file of {size:,} bytes is too large for an image", "Scale it down first.")


def as_bytes(data: bytes, head: Header, name: str) -> np.ndarray:
    """Decode an image file to uint8; as `read_image`."""
    image = decode(data, head, name)
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    if image.dtype != np.uint8:
        raise ImageError(name, f"its samples are {image.dtype}", "Save it with 8 or 16 bits a sample.")
    return image


def decode(data: Any, head: Header, name: str) -> np.ndarray:
    """Decode an image file, as shown, its samples as they are stored: uint8 or uint16, of a TIFF floats and others too.

    Args:
        data, head, name: as `read_file` returns them; the bytes of a TIFF may be any buffer.

    Returns:
        (height, width) grey, (height, width, 3) RGB or (height, width, 4) RGBA.
    """
    if head.format == "PNG":
        _check_png(data, name)
    elif head.format == "JPEG" and not head.complete and data.rfind(b"\xff\xd9", _jpeg_scan(data)) < 0:
        raise ImageError(name, "it is truncated (a JPEG without its end marker)")
    if head.format == "JPEG":
        looked = jpeg.look(data)
        if looked.wrong:
            raise ImageError(name, f"it is damaged or truncated: {looked.wrong}")
        if looked.doubt is not None and _pixels(looked.doubt, cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None:
            raise ImageError(name, "it is damaged: a part of it is missing (zeros instead of data)")
        data = looked.data
    alpha = head.channels == 4 or head.format == "GIF"  # a GIF says so in front of each of its pictures
    flags = cv2.IMREAD_UNCHANGED  # which turns nothing
    if not alpha:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    if head.format == "TIFF" and head.orientation != 1:
        data = orientation.without_tag(data)
    image = _pixels(data, flags)
    if image is None:
        raise ImageError(name, f"it is damaged or truncated (its {head.format} data does not decode)")
    if alpha and image.dtype in (np.uint8, np.uint16):
        try:
            image = with_alpha(image, data, head.format)
        except Unreadable as error:
            raise ImageError(name, str(error), "Save it as PNG.") from None
    if image.ndim == 3 and image.dtype in (np.uint8, np.uint16):
        image = cv2.cvtColor(image, {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[image.shape[2]])
    elif image.ndim == 3:
        image = np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])
    return image if head.orientation == 1 else orientation.upright(image, head.orientation)


def _pixels(data: Any, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _header(read: Read, size: int, name: str) -> Header:
    """Find the format by its first bytes and read width, height and channels."""
    if size == 0:
        raise ImageError(name, "it is empty")
    start = read(0, 32)
    for magic, parse in _PARSERS:
        if start.startswith(magic):
            try:
                return parse(read, size)
            except CnnkitError:
                raise
            except (struct.error, IndexError, ValueError, ZeroDivisionError):
                raise ImageError(name, "its header is damaged or truncated") from None
    raise ImageError(name, f"it is not an image ({FORMATS})")


def _png(read: Read, size: int) -> Header:
    start = read(0, 4096)
    if start[12:16] != b"IHDR":
        raise ValueError
    width, height, _, colour = struct.unpack(">IIBB", start[16:26])
    alpha = colour in (4, 6)
    for kind, _, _ in chunks(read):  # a tRNS chunk, if any, comes before the first IDAT
        if alpha or kind == b"IDAT":
            break
        alpha = kind == b"tRNS"
    channels = 4 if alpha else 1 if colour == 0 else 3
    return Header("PNG", width, height, channels, read(size - 8, 4) == b"IEND", orientation.of_png(read))


def _check_png(data: bytes, name: str) -> None:
    """Walk the chunks: libpng would print its own message for a damaged one."""
    position = 8
    while position + 12 <= len(data):
        count, kind = struct.unpack_from(">I4s", data, position)
        end = position + count + 12
        if end > len(data):
            break
        if zlib.crc32(data[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise ImageError(name, "it is damaged (a PNG chunk with a wrong checksum)")
        if kind == b"IEND":
            return
        position = end
    raise ImageError(name, "it is truncated (a PNG without its end)")


def _jpeg_markers(read: Read, size: int):
    """Yield (marker, offset of its content) up to the scan."""
    position = 2
    while position + 4 <= size:
        start = read(position, 4)
        if len(start) < 4 or start[0] != 0xFF:
            raise ValueError
        if start[1] == 0xFF:  # a fill byte
            position += 1
            continue
        if start[1] == 0x01 or 0xD0 <= start[1] <= 0xD8:  # markers without content
            position += 2
            continue
        yield start[1], position + 4
        if start[1] == 0xDA:
            return
        position += 2 + struct.unpack(">H", start[2:])[0]
    raise ValueError


def _jpeg(read: Read, size: int) -> Header:
    turned = 1
    for marker, position in _jpeg_markers(read, size):
        if marker == 0xE1 and turned == 1 and read(position, 6) == b"Exif\0\0":
            turned = orientation.of_exif(read(position, min(2**16, *struct.unpack(">H", read(position - 2, 2)))))
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _, height, width, components = struct.unpack(">BHHB", read(position, 6))
            ended = read(size - 2, 2) == b"\xff\xd9"
            return Header("JPEG", width, height, 1 if components == 1 else 3, ended, turned)
    raise ValueError


def _jpeg_scan(data: bytes) -> int:
    """Where the picture itself starts: an end marker before it belongs to the EXIF thumbnail."""
    try:
        for marker, position in _jpeg_markers(within(data), len(data)):
            if marker == 0xDA:
                return position
    except (ValueError, struct.error):
        pass
    return len(data)


def _gif(read: Read, size: int) -> Header:
    width, height = struct.unpack("<HH", read(6, 4))
    return Header("GIF", width, height, 3, read(size - 1, 1) == b";")


def _bmp(read: Read, size: int) -> Header:
    start = read(0, 30)
    if struct.unpack("<I", start[14:18])[0] == 12:  # the OS/2 header
        width, height = struct.unpack("<HH", start[18:22])
    else:
        width, height = struct.unpack("<ii", start[18:26])
    alpha = start[28:30] == b"\x20\0"  # 32 bits a pixel: there may be some
    return Header("BMP", abs(width), abs(height), 4 if alpha else 3, struct.unpack("<I", start[2:6])[0] <= size)


def _tiff(read: Read, size: int) -> Header:
    found = directory(read)
    if found is None or not {256, 257} <= found.tags.keys():
        raise ValueError
    width, height, kind, samples = (found.value(tag, usual) for tag, usual in ((256, 0), (257, 0), (262, -1), (277, 1)))
    rgb, grey = kind == 2, kind in (0, 1)
    channels = 4 if (rgb and samples >= 4) or (grey and samples == 2) else 1 if grey and samples == 1 else 3
    return Header("TIFF", width, height, channels, orientation=orientation.of_tiff(read))


def _webp(read: Read, size: int) -> Header:
    start = read(0, 30)
    if start[8:12] != b"WEBP":
        raise ValueError
    kind, complete = start[12:16], struct.unpack("<I", start[4:8])[0] + 8 <= size
    if kind == b"VP8X":
        width, height = (int.from_bytes(start[k : k + 3], "little") + 1 for k in (24, 27))
        return Header("WebP", width, height, 4 if start[20] & 0x10 else 3, complete, orientation.of_webp(read))
    if kind == b"VP8L":
        bits = struct.unpack("<I", start[21:25])[0]
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4 if bits >> 28 & 1 else 3, complete)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", start[26:30])
        return Header("WebP", width & 0x3FFF, height & 0x3FFF, 3, complete)
    raise ValueError


def _pnm(read: Read, size: int) -> Header:
    lines = (line.partition(b"#")[0] for line in read(0, 4096).split(b"\n"))
    kind, width, height = b" ".join(lines).split()[:3]
    return Header("PNM", int(width), int(height), 3 if kind in (b"P3", b"P6") else 1)


_PARSERS: tuple[tuple[bytes, Callable[[Read, int], Header]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF87a", _gif),
    (b"GIF89a", _gif),
    (b"BM", _bmp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"II+\0", _tiff),
    (b"MM\0+", _tiff),
    (b"RIFF", _webp),
    *((b"P%d" % kind, _pnm) for kind in range(1, 7)),
)

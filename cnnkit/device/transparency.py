"""Transparency that OpenCV's decoders leave out or give back multiplied, read from the files themselves.

Design choices:
- Colours come from OpenCV; here only what it drops is added, so that a picture has its transparency whatever program saved it.
- A grey TIFF with alpha is the same bytes as a grey one of twice the width. Its tags are changed to say so, in a copy, and
  OpenCV unpacks it, whatever its compression.
- libtiff multiplies 8-bit colours with their alpha before it hands them on; that is undone, as `cnnkit.device.image` lays
  colours as they are over a page.
"""

import struct

import cv2
import numpy as np

from cnnkit.device.tags import Directory, chunks, directory, within

_BMP_DIRECT, _BMP_MASKS = 0, (3, 6)  # kinds of compression without any
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _PLANES, _PREDICTOR, _TILE_WIDTH, _EXTRA = 277, 284, 317, 322, 338


class Unreadable(ValueError):
    """Transparency that is stored in a way that nothing here can read; its text says which."""


def with_alpha(image: np.ndarray, data: bytes, form: str) -> np.ndarray:
    """Add what the file says of transparency to a picture that OpenCV decoded from it.

    Args:
        image: uint8 or uint16 (h, w), (h, w, 3) BGR or (h, w, 4) BGRA, as decoded with `IMREAD_UNCHANGED`.
        data: the file.
        form: its format, as `cnnkit.device.image.Header` calls it.

    Returns:
        The same, with a fourth channel where the file has transparency.

    Raises:
        Unreadable: it has some that cannot be read.
    """
    if form == "BMP" and image.ndim == 3 and image.shape[2] == 3:
        return _joined(image, _bmp(data, *image.shape[:2]))
    if form == "PNG" and image.ndim == 2:
        return _joined(image, _png(data, image))
    if form == "TIFF":
        return _tiff(data, image)
    if form == "GIF" and image.ndim == 3 and image.shape[2] == 4 and (image[..., 3] == 255).all():
        return np.ascontiguousarray(image[..., :3])
    return image


def _joined(image: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    if alpha is None:
        return image
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.dstack([image, alpha])


def _bmp(data: bytes, height: int, width: int) -> np.ndarray | None:
    """Read the alpha of an uncompressed BMP: uint8 (h, w); None where it has none.

    Without masks the fourth byte is not defined, and programs that know no alpha leave it 0: it counts where it varies.
    """
    if len(data) < 54 or struct.unpack_from("<I", data, 14)[0] < 40:
        return None
    start = struct.unpack_from("<I", data, 10)[0]
    size, _, rows, _, bits, packed = struct.unpack_from("<IiiHHI", data, 14)
    if bits != 32 or packed not in (_BMP_DIRECT, *_BMP_MASKS):
        return None
    mask = struct.unpack_from("<I", data, 66)[0] if size >= 56 and packed in _BMP_MASKS and len(data) >= 70 else 0
    if packed == _BMP_DIRECT:
        mask = 0xFF000000
    if not mask or len(data) < start + 4 * width * height:
        return None
    values = np.frombuffer(data, "<u4", width * height, start).reshape(height, width)
    shift = (mask & -mask).bit_length() - 1
    alpha = ((values & np.uint32(mask)) >> np.uint32(shift)) * (255.0 / (mask >> shift))
    # rows from the bottom up, unless their number is negative
    alpha = np.rint(alpha).astype(np.uint8)[:: -1 if rows > 0 else 1]
    told = packed in _BMP_MASKS and bool(alpha.any())
    return alpha if told or alpha.min() != alpha.max() else None


def _png(data: bytes, image: np.ndarray) -> np.ndarray | None:
    """Make the alpha of a grey PNG in which one grey is transparent; OpenCV knows that of colours only."""
    depth, colour = data[24], data[25]
    for kind, place, count in chunks(within(data)) if colour == 0 else ():
        if kind == b"tRNS" and count >= 2:
            value = struct.unpack_from(">H", data, place)[0]
            clear = value * 255 // (2**depth - 1) if depth < 8 else value
            return np.where(image == clear, 0, np.iinfo(image.dtype).max).astype(image.dtype)
        if kind == b"IDAT":
            break
    return None


# TIFF -----------------------------------------------------------------------------------------------------------------


def _tiff(data: bytes, image: np.ndarray) -> np.ndarray:
    found = directory(within(data))
    if found is None or _EXTRA not in found.tags:
        return image
    extra, samples = found.value(_EXTRA, 0), found.value(_SAMPLES, 1)
    if samples == 2 and found.value(_PHOTOMETRIC, 1) in (0, 1):
        image = _grey_and_alpha(data, found)
        multiplied = extra == 1
    elif image.ndim == 3 and image.shape[2] == 4:
        multiplied = extra == 1 or (extra == 2 and image.dtype == np.uint8)
    else:
        return image
    return _divided(image) if multiplied else image


def _grey_and_alpha(data: bytes, found: Directory) -> np.ndarray:
    """Decode a TIFF of grey and alpha: BGRA."""
    bits, predictor = found.value(_BITS, 1), found.value(_PREDICTOR, 1)
    width, height = found.value(_WIDTH, 0), found.value(_HEIGHT, 0)
    if found.value(_PLANES, 1) != 1 or bits not in (8, 16) or predictor not in (1, 2):
        raise Unreadable("its transparency is stored in planes or bits that are not read")
    if predictor == 2 and _TILE_WIDTH in found.tags:
        raise Unreadable("its transparency is stored in tiles of differences, which are not read")
    plain = bytearray(data)
    found.put(plain, _WIDTH, 2 * width)
    found.put(plain, _SAMPLES, 1)
    found.put(plain, _BITS, bits)
    found.put(plain, _PREDICTOR, 1)
    found.put(plain, _PHOTOMETRIC, 1)
    if _TILE_WIDTH in found.tags:
        found.put(plain, _TILE_WIDTH, 2 * found.value(_TILE_WIDTH, 0))
    place, _, _ = found.tags[_EXTRA]
    struct.pack_into(found.order + "H", plain, place, 65000)  # a private tag, which readers pass over
    both = cv2.imdecode(np.frombuffer(bytes(plain), np.uint8), cv2.IMREAD_UNCHANGED)
    if both is None or both.shape != (height, 2 * width):
        raise Unreadable("its transparency cannot be read")
    both = both.reshape(height, width, 2)
    if predictor == 2:
        both = np.cumsum(both, axis=1, dtype=both.dtype)  # each pixel is stored as what it adds to the one before
    grey, alpha = both[..., 0], both[..., 1]
    if found.value(_PHOTOMETRIC, 1) == 0:  # 0 is white
        grey = (255 if bits == 8 else 65535) - grey
    return np.dstack([grey, grey, grey, alpha])


def _divided(image: np.ndarray) -> np.ndarray:
    """Undo the multiplication of colours by their alpha."""
    most = 255 if image.dtype == np.uint8 else 65535
    alpha = np.maximum(image[..., 3:].astype(np.uint32), 1)
    colours = (image[..., :3].astype(np.uint32) * most + alpha // 2) // alpha
    return np.dstack([np.minimum(colours, most).astype(image.dtype), image[..., 3]])

"""How a picture was held when it was taken: the orientation that its file states, and the pixels turned by it.

Design choices:
- A file's width and height, its boxes and its pixels are all turned by what is read here, and by nothing else: OpenCV is told
  to leave pixels as they are stored, since versions and decoders of it differ in what they turn.
- Read are EXIF in JPEG, PNG (`eXIf`) and WebP, and the tag of TIFF. GIF, BMP and PNM have none. A value that is none of 1 to 8
  is taken for 1, as viewers do.
- TIFF decoders turn whatever they are told, so the tag is set to 1 in the bytes that are handed to them.

Source: Exif 2.32 (CIPA DC-008), section 4.6.4, tag 0x0112; TIFF 6.0, tag 274.
"""

import numpy as np

from cnnkit.device.tags import Read, chunks, directory, within

TAG = 274
SWAPPED = frozenset([5, 6, 7, 8])  # width is shown as height
_EXIF = b"Exif\0\0"
_MOST = 4096  # chunks of a file that are looked at


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror pixels (h, w, ...) as they are stored, so that they are as shown; 5 to 8 swap h and w."""
    if orientation in SWAPPED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def upright_box(
    box: tuple[float, float, float, float], width: float, height: float, orientation: int
) -> tuple[float, float, float, float]:
    """Turn a box that was drawn on the picture as it is stored.

    Args:
        box: left, top, right, bottom, in any unit.
        width, height: of the picture as it is stored, in the same unit.
        orientation: 1 to 8.

    Returns:
        the box in the picture as it is shown.
    """
    left, top, right, bottom = box
    if orientation in SWAPPED:
        left, top, right, bottom, width, height = top, left, bottom, right, height, width
    if orientation in (3, 4, 7, 8):
        top, bottom = height - bottom, height - top
    if orientation in (2, 3, 6, 7):
        left, right = width - right, width - left
    return left, top, right, bottom


def of_exif(block: bytes) -> int:
    """Return the orientation that a block of EXIF states, with or without `Exif` in front; 1 where it states none."""
    return of_tiff(within(block.removeprefix(_EXIF)))


def of_png(read: Read) -> int:
    """Return the orientation of a PNG, whose eXIf may stand before or behind its pixels."""
    for kind, place, count in chunks(read):
        if kind == b"eXIf":
            return of_exif(read(place, min(count, 2**16)))
        if kind == b"IEND":
            break
    return 1


def of_webp(read: Read) -> int:
    """Return the orientation of a WebP; only one that begins with VP8X and says so has EXIF."""
    if read(12, 4) != b"VP8X" or not read(20, 1)[0] & 0x08:
        return 1
    position = 12
    for _ in range(_MOST):
        head = read(position, 8)
        if len(head) < 8:
            break
        count = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return of_exif(read(position + 8, min(count, 2**16)))
        position += 8 + count + count % 2
    return 1


def without_tag(data: bytes) -> bytes:
    """Return a TIFF whose orientation is 1: its pixels are then decoded as they are stored."""
    found, plain = directory(within(data)), bytearray(data)
    if found is not None:
        found.put(plain, TAG, 1)
    return bytes(plain)


def of_tiff(read: Read) -> int:
    """Return the orientation of a TIFF's first picture, or that of EXIF, which is one."""
    found = directory(read)
    value = 1 if found is None else found.value(TAG, 1)
    return value if 1 <= value <= 8 else 1

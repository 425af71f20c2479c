"""Files packed by gzip, unpacked a piece at a time: no more than is asked for, and no second copy of it."""

import zlib
from collections.abc import Iterator
from typing import IO

RATIO = 1040  # deflate packs no better
GZIP, ZLIB = 31, 15  # as zlib's `wbits` has it
MAGIC = b"\x1f\x8b"
_READ, _PIECE = 1 << 18, 1 << 20  # bytes


class Damaged(Exception):
    """Packed bytes that cannot be unpacked; the message says why, as the reason in a line."""


def pieces(file: IO[bytes], form: int = GZIP) -> Iterator[bytes]:
    """Unpack from where a file stands to the end of its last part; what follows that is left alone.

    Args:
        file: open, at the first packed byte.
        form: `GZIP`, which may have several parts, or `ZLIB`.

    Yields:
        Up to a mebibyte each.

    Raises:
        Damaged: it ends before it is unpacked, or cannot be.
    """
    waiting, unpacker = file.read(_READ), zlib.decompressobj(form)
    try:
        while True:
            if not waiting:
                waiting = file.read(_READ)
            piece = unpacker.decompress(waiting, _PIECE)
            if not piece and not waiting and not unpacker.eof:
                raise Damaged("it is cut off: it ends before it is unpacked")
            waiting = unpacker.unconsumed_tail
            if unpacker.eof:
                waiting = unpacker.unused_data
                if len(waiting) < len(MAGIC):
                    waiting += file.read(_READ)
                if form == ZLIB or not waiting.startswith(MAGIC):
                    yield piece
                    return
                unpacker = zlib.decompressobj(form)
            yield piece
    except zlib.error:
        raise Damaged("it is damaged: it cannot be unpacked") from None


def count(file: IO[bytes], most: int, form: int = GZIP) -> int:
    """Return how many bytes are unpacked from where a file stands, its checksum included: `most` where there are more.

    Raises:
        Damaged: as `pieces`.
    """
    found = 0
    for piece in pieces(file, form):
        found += len(piece)
        if found > most:
            return most
    return found

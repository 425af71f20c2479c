"""The parts that an image file is made of: the tags of a TIFF, which EXIF is too, and the chunks of a PNG."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Read = Callable[[int, int], bytes]  # (offset, count) -> at most `count` bytes

_FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # of a TIFF's numbers
_TEXT = 2
_MOST = 4096  # entries of a directory, sixteen times as many chunks of a file
_MOST_PAGES = 100_000


def within(data: bytes) -> Read:
    """Return what reads a file that is in memory."""
    return lambda offset, count: data[offset : offset + count]


def chunks(read: Read) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk of a PNG, where its content begins and how long that is."""
    position = 8
    for _ in range(16 * _MOST):
        head = read(position, 8)
        if len(head) < 8:
            return
        count = int.from_bytes(head[:4], "big")
        yield head[4:], position + 8, count
        position += 12 + count


@dataclass
class Directory:
    """The tags of one picture of a TIFF: where each entry is in the file, the form of its values, how many; where texts are."""

    read: Read
    order: str
    big: bool
    tags: dict[int, tuple[int, str, int]]
    texts: dict[int, tuple[int, int]]

    def value(self, tag: int, otherwise: int, which: int = 0) -> int:
        """Return a number of a tag, the first or `which` (-1: the last); another where it is not there, or not in the file."""
        if tag not in self.tags:
            return otherwise
        place, form, count = self.tags[tag]
        word, place = ("Q", place + 12) if self.big else ("I", place + 8)
        which = which % max(count, 1) * struct.calcsize(form)
        try:
            if count * struct.calcsize(form) > struct.calcsize(word):
                (place,) = struct.unpack(self.order + word, self.read(place, struct.calcsize(word)))
            return int(struct.unpack(self.order + form, self.read(place + which, struct.calcsize(form)))[0])
        except (struct.error, OverflowError):
            return otherwise

    def put(self, data: bytearray, tag: int, value: int) -> None:
        """Make a tag have one value, where it is there."""
        if tag in self.tags:
            place, form, _ = self.tags[tag]
            struct.pack_into(self.order + ("Q" if self.big else "I"), data, place + 4, 1)
            struct.pack_into(self.order + form, data, place + (12 if self.big else 8), value)


def directory(read: Read) -> Directory | None:
    """Read the first directory of a TIFF or EXIF; None where there is none, or it ends too early."""
    return next((found for _, found in directories(read)), None)


def directories(read: Read) -> Iterator[tuple[int, Directory]]:
    """Yield where each directory of a TIFF is, one a page, and what it says; ends where the chain of them does, or is broken."""
    start = read(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        return
    try:
        big = struct.unpack_from(order + "H", start, 2)[0] == 43
        place = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)[0]
    except struct.error:
        return
    seen: set[int] = set()
    form, word, length = ("Q", "Q", 20) if big else ("H", "I", 12)
    while place and place not in seen and len(seen) < _MOST_PAGES:
        seen.add(place)
        try:
            (count,) = struct.unpack(order + form, read(place, struct.calcsize(form)))
        except (struct.error, OverflowError):
            return
        first = place + struct.calcsize(form)
        table = read(first, min(count, _MOST) * length)
        tags, texts = {}, {}
        for k in range(0, len(table) - length + 1, length):
            tag, kind = struct.unpack_from(order + "HH", table, k)
            if kind in _FORMS:
                tags[tag] = first + k, _FORMS[kind], struct.unpack_from(order + word, table, k + 4)[0]
            elif kind == _TEXT:
                size, start = struct.unpack_from(order + 2 * word, table, k + 4)
                short = size <= struct.calcsize(word)
                texts[tag] = (first + k + 4 + struct.calcsize(word) if short else start), size
        yield place, Directory(read, order, big, tags, texts)
        try:
            (place,) = struct.unpack(order + word, read(first + count * length, struct.calcsize(word)))
        except (struct.error, OverflowError):
            return


def put_first(data: bytearray, place: int) -> None:
    """Make the directory at a place the first of a TIFF: decoders then read that page."""
    order = "<" if bytes(data[:2]) == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    struct.pack_into(order + ("Q" if big else "I"), data, 8 if big else 4, place)

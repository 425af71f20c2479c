"""Images in arrays: raw pixels in a file, read by position; .npz and .idx files, plain or compressed.

Design choices:
- An uncompressed uint8 array is read where it lies. Anything else (deflated .npz members, .gz, 16-bit, float) is
  unpacked once into the cache, as an uncompressed .npy named by the source's path, size and time.
- Nothing is pickled or unpickled: an array of Python objects is refused.
- Which values are black and white is found out from all of them, as `value_range.py` says, or named by the option
  `value_range`. What was found is kept behind the pixels in the cache.
"""

import contextlib
import gzip
import hashlib
import json
import math
import os
import struct
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from cnnkit import files
from cnnkit.data.cards import there, writing_the_cache
from cnnkit.data.records import Progress, Shape
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.inputs.image.value_range import BYTE, DARK, Limits, Measured, Range, decide, of_split, scaling

LARGEST_SIDE = 224  # px, of the shape that is chosen where none is asked for
_CHUNK = 1 << 20  # bytes
_HEADER = 128  # bytes before the pixels of a file in the cache


class ArrayImages:
    """n images of one shape, uint8, one after another in a file.

    Args:
        path: the file.
        offset: where the first image starts, in bytes.
        count: number of images.
        shape: (height, width, channels), channels 1, 3 or 4.
        title: what `name` puts before [17].
        values: what was black and white before the pixels became 0 to 255.
    """

    def __init__(
        self, path: Path, offset: int, count: int, shape: Shape, *, title: str = "", values: Range | None = None
    ):
        self.values = values or Range(BYTE)
        self.planes = False  # whether a fourth channel is no transparency, so that a model needs all four
        self._path, self._offset, self._count, self._native = path, offset, count, shape
        self._size = math.prod(shape)
        self._title = title or path.name
        try:
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        weakref.finalize(self, os.close, self._file)
        self._lock = threading.Lock()
        self._pread: Callable[[int, int, int], bytes] = getattr(os, "pread", self._seek_and_read)  # Windows has none
        if os.fstat(self._file).st_size < offset + count * self._size:
            raise DataError(f"{path} is truncated. Delete it and fetch it again.")

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> Shape:
        height, width, channels = self._native
        scale = min(1, LARGEST_SIDE / max(height, width))
        return (
            max(1, round(height * scale)),
            max(1, round(width * scale)),
            3 if channels == 4 and not self.planes else channels,
        )

    @property
    def stored(self) -> Shape:
        """The shape of each image in the file."""
        return self._native

    @property
    def end(self) -> int:
        """Where the pixels end in the file, in bytes."""
        return self._offset + self._count * self._size

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        images = self._raw(indices)
        return images if shape == self._native else image.fit_images(images, len(images), shape)

    def native(self, index: int) -> np.ndarray:
        one = self._raw(np.array([index]))[0]
        return one[..., 0] if self._native[2] == 1 else one

    def name(self, index: int) -> str:
        return f"{self._title}[{index}]"

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        step = max(1, _CHUNK // self._size)
        for start in range(0, len(indices), step):
            add(self._raw(indices[start : start + step]))

    def _raw(self, indices: np.ndarray) -> np.ndarray:
        """Read without decoding; neighbours in the file that are neighbours in the batch come in one call."""
        size = self._size
        indices = np.asarray(indices, np.int64)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(indices) != 1) + 1]) if len(indices) else indices
        counts = np.diff(np.append(starts, len(indices))) * size
        places = (indices[starts] * size + self._offset).tolist()
        pread, file = self._pread, self._file
        pixels = bytearray().join([pread(file, n, place) for n, place in zip(counts.tolist(), places)])
        if len(pixels) != len(indices) * size:
            raise DataError(f"{self._path} was truncated while in use. Fetch it again.")
        return np.frombuffer(pixels, np.uint8).reshape(-1, *self._native)

    def _seek_and_read(self, file: int, count: int, place: int) -> bytes:
        with self._lock:
            os.lseek(file, place, os.SEEK_SET)
            return os.read(file, count)


@dataclass(frozen=True)
class Stored:
    """An array somewhere in a file: its shape and type, and how to open a stream of its values in C order.

    `offset` is where the values lie in `path`, None where they are compressed.
    """

    path: Path
    title: str
    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], "contextlib.AbstractContextManager[IO[bytes]]"]
    offset: int | None

    def array(self) -> np.ndarray:
        """Read the whole array: for labels, which are small."""
        with _damage(self.path), self.open() as stream:
            data = _exactly(stream, math.prod(self.shape) * self.dtype.itemsize, self.path)
        return np.frombuffer(data, self.dtype).reshape(self.shape)


def images_of(
    stored: Stored, *, options: dict[str, Any], train_range: Limits | None = None, progress: Progress | None = None
) -> ArrayImages:
    """Make the images of a stored array readable by position, unpacking it into the cache where needed.

    Args:
        stored: an array (n, h, w), (n, h, w, channels) or (n, pixels).
        options: `image_shape`, `value_range` and `transpose` of the card.
        train_range: what is black and white in the training split, for another split.
        progress: called while it is unpacked.

    Raises:
        DataError: it holds no images, or what is black and white in them cannot be told.
    """
    shape = image_shape(stored.shape, stored.title, options.get("image_shape"))
    turn = bool(options.get("transpose", False))
    limits = options.get("value_range")
    if stored.dtype.kind not in "biuf":
        raise DataError(f"{stored.title} holds {stored.dtype}, not numbers.")

    def measured() -> Range:
        found = _measured(stored)
        return decide(found, stored.title) if train_range is None else of_split(found, stored.title, train_range)

    if stored.offset is not None and stored.dtype == np.uint8 and not turn and not limits:
        found = measured()
        if found.limits == BYTE:
            images = ArrayImages(stored.path, stored.offset, stored.shape[0], shape, title=stored.title, values=found)
            images.planes = _four_planes(images)
            return images

    def build(file: IO[bytes]) -> None:
        with _damage(stored.path):
            found = Range(limits) if limits else measured()
            scale = _scale(stored, found.limits)
            write_header(file, stored.shape[0], (shape[1], shape[0], shape[2]) if turn else shape)
            for values in _rows(stored, "Unpacking", progress):
                pixels = scale(values).reshape(-1, *shape)
                file.write((pixels.transpose(0, 2, 1, 3) if turn else pixels).tobytes())
            file.write(written(found))

    what = f"{stored.title} {shape} {turn} {limits} {train_range}"
    path = cached(stored.path, what, stored.shape[0] * math.prod(shape) + _HEADER, build)
    height, width, channels = shape
    shape = (width, height, channels) if turn else shape
    images = ArrayImages(path, _HEADER, stored.shape[0], shape, title=stored.title)
    with path.open("rb") as file:
        file.seek(images.end)
        images.values = read_range(file.read())
    images.planes = _four_planes(images)
    return images


def _four_planes(images: ArrayImages) -> bool:
    """Say whether images have four channels of which the last is no transparency: that is all or nothing almost everywhere."""
    if images.stored[2] != 4 or not len(images):
        return False
    few = images.read(np.unique(np.linspace(0, len(images) - 1, 16).astype(int)), images.stored)
    return bool(np.isin(few[..., 3], (0, 255)).mean() < 0.5)


def written(found: Range) -> bytes:
    """Return a range as the line that stands behind the pixels of a file in the cache."""
    return json.dumps({"limits": found.limits, "note": found.note}).encode() + b"\n"


def read_range(line: bytes) -> Range:
    """Read what `written` wrote."""
    document = json.loads(line)
    low, high = document["limits"]
    return Range((low, high), document["note"])


def _measured(stored: Stored) -> Measured:
    """Look at all values of an array; of bytes only until one says that they are used to their half."""
    found = Measured()
    with _damage(stored.path):
        for values in _rows(stored, "Measuring", None):
            found.add(values)
            if stored.dtype == np.uint8 and found.high >= DARK:
                break
    return found


def image_shape(shape: tuple[int, ...], title: str, asked: Any = None) -> Shape:
    """Find (height, width, channels) of the images in an array of `shape`; `asked` decides where it fits."""
    pixels = math.prod(shape[1:])
    if asked is not None:
        found = tuple(asked)
        if math.prod(found) != pixels:
            raise DataError(f"{title} has {pixels} values an image, which `image_shape` = {list(found)} does not fit.")
    elif len(shape) == 3:
        found = (*shape[1:], 1)
    elif len(shape) == 4:
        found = shape[1:]
    elif len(shape) == 2 and math.isqrt(pixels) ** 2 == pixels:
        found = (math.isqrt(pixels), math.isqrt(pixels), 1)
    elif len(shape) == 2 and pixels % 3 == 0 and math.isqrt(pixels // 3) ** 2 == pixels // 3:
        found = (math.isqrt(pixels // 3), math.isqrt(pixels // 3), 3)
    else:
        raise DataError(
            f"{title} has the shape {shape}, which holds no images: it needs (n, height, width), (n, height, width, "
            "channels) or (n, pixels) of squares. Name `image_shape` in the card's options."
        )
    if len(found) != 3 or found[2] not in (1, 3, 4) or min(found) < 1:
        raise DataError(f"{title} has the shape {shape}: images are (height, width, channels) with 1, 3 or 4 channels.")
    if found[0] * found[1] > image.MAX_PIXELS:
        raise DataError(f"{title} has images of {found[0]:,} x {found[1]:,} px, more than {image.MAX_PIXELS:,} pixels.")
    return found  # type: ignore[return-value]


def npz_arrays(path: Path) -> dict[str, Stored]:
    """List the arrays of an .npz file without reading them."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    name = member.filename.removesuffix(".npy")
                    found[name] = _npz_member(path, archive, member, name)
            return found
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except zipfile.BadZipFile:
        raise DataError(f"{path} is truncated or not an .npz file. Delete it and fetch it again.") from None
    except (OSError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete it and fetch it again.") from None


def _npz_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Stored:
    title = f"{path.name}:{name}"
    with archive.open(member) as stream:
        try:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
        except ValueError as error:
            raise DataError(f"{path} is damaged: its array {name} has no valid header ({error}).") from None
        start = stream.tell()
    if dtype.hasobject:
        raise DataError(f"{title} holds Python objects, which are never loaded. Save it as numbers or texts.")
    if fortran and len(shape) > 1:
        raise DataError(f"{title} is stored in Fortran order. Save it again with numpy.ascontiguousarray.")
    if start + math.prod(shape) * dtype.itemsize > member.file_size:
        raise DataError(f"{path} is damaged: its array {name} is shorter than it says. Fetch it again.")
    offset = None
    if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
        with path.open("rb") as file:
            file.seek(member.header_offset)
            head = file.read(30)
        name_length, extra_length = struct.unpack("<HH", head[26:30])
        offset = member.header_offset + 30 + name_length + extra_length + start

    @contextlib.contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as again, again.open(member.filename) as stream:
            stream.read(start)
            yield stream

    return Stored(path, title, shape, dtype, opened, offset)


_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx_array(path: Path) -> Stored:
    """Read the header of an .idx file, plain or .gz, as the MNIST family is published."""
    packed = path.suffix.lower() == ".gz"

    @contextlib.contextmanager
    def opened(skip: int | None = None) -> Iterator[IO[bytes]]:
        with gzip.open(path) if packed else path.open("rb") as stream:
            stream.read(start if skip is None else skip)
            yield stream  # type: ignore[misc]

    if not there(path):
        raise DataError(f"There is no file {path}.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    with _damage(path), opened(0) as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES or not 1 <= magic[3] <= 4:
            raise DataError(f"{path} is not an idx file (it starts with {magic.hex(' ') or 'nothing'}).")
        sizes = stream.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path} is truncated. Delete it and fetch it again.")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    start = 4 + len(sizes)
    dtype = np.dtype(_IDX_TYPES[magic[2]])
    if not packed and path.stat().st_size < start + math.prod(shape) * dtype.itemsize:
        raise DataError(f"{path} is truncated. Delete it and fetch it again.")
    return Stored(path, path.name, shape, dtype, opened, None if packed else start)


def cached(source: Path, what: str, size: int, build: Callable[[IO[bytes]], None]) -> Path:
    """Return the file in the cache that holds `what` of `source`; have it built, atomically, where it is not there.

    Args:
        source: the file it is made from: another path, size or time makes another file, and the old one is deleted.
        what: everything else that decides the content.
        size: in bytes, to be checked against the free space first.
        build: writes it to the open file it is given.
    """
    status = source.stat()
    origin = hashlib.sha256(f"{source.resolve()}|{what}".encode()).hexdigest()[:12]
    state = hashlib.sha256(f"2|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = files.cache_folder() / "unpacked"
    path = folder / f"{source.name.partition('.')[0][:40]}-{origin}-{state}.npy"
    if path.is_file():
        return path
    with writing_the_cache():
        folder.mkdir(parents=True, exist_ok=True)
    room = os.statvfs(folder) if hasattr(os, "statvfs") else None
    if room and size > room.f_bavail * room.f_frsize:
        raise DataError(
            f"{source} needs {size / 1e9:.1f} GB in {folder}, where {room.f_bavail * room.f_frsize / 1e9:.1f} GB are "
            "free. Set CNNKIT_CACHE to a folder with room."
        )
    with writing_the_cache(), files.atomic(path) as file:
        build(file)
    for old in folder.glob(f"*-{origin}-*.npy"):
        if old != path:
            with contextlib.suppress(OSError):
                old.unlink()
    return path


def write_header(file: IO[bytes], count: int, shape: Shape) -> None:
    """Write the .npy header of uint8 images, always 128 bytes: it can be written again when the count is known."""
    head = repr({"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}).encode().ljust(_HEADER - 11) + b"\n"
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)


def open_cached(path: Path, *, title: str) -> ArrayImages:
    """Open a file that `write_header` began."""
    with path.open("rb") as file:
        npy.read_magic(file)
        (count, *shape), _, _ = npy.read_array_header_1_0(file)
    return ArrayImages(path, _HEADER, count, tuple(shape), title=title)  # type: ignore[arg-type]


def _scale(stored: Stored, limits: Limits) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes pixels of an array's values; its errors name the array."""
    if stored.dtype == np.uint8 and limits == BYTE:
        return lambda values: values
    scaled = scaling(limits)

    def named(values: np.ndarray) -> np.ndarray:
        try:
            return scaled(values)
        except DataError as error:
            raise DataError(f"{stored.title}: {error}") from None

    return named


def _rows(stored: Stored, what: str, progress: Progress | None) -> Iterator[np.ndarray]:
    """Stream an array, about a megabyte at a time."""
    count, row = stored.shape[0], math.prod(stored.shape[1:])
    step = max(1, _CHUNK // max(1, row * stored.dtype.itemsize))
    with stored.open() as stream:
        for start in range(0, count, step):
            rows = min(step, count - start)
            data = _exactly(stream, rows * row * stored.dtype.itemsize, stored.path)
            yield np.frombuffer(data, stored.dtype).reshape(rows, row)
            if progress:
                progress(f"{what} {stored.title}", start + rows, count)


def _exactly(stream: IO[bytes], count: int, path: Path) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise DataError(f"{path} is truncated. Delete it and fetch it again.")
    return data


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say in one line that a compressed file is damaged."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged or truncated ({error}). Delete it and fetch it again.") from None

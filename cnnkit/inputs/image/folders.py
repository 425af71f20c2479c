"""Images in class folders: FOLDER/CLASS/*.png, or FOLDER/train/CLASS/*.png with test/ and validation/ beside it.

Design choices:
- The paths are kept in one block of bytes (`walks.Paths`), sizes in small integers.
- At load every header is read (20 microseconds an image): empty, foreign and oversized files and files that end too
  early are known before training starts, all at once. Only files that look cut off are decoded then.
- Files without the suffix of an image are not part of the data, nor is what `walks` says a system left there; a class
  folder may have subfolders, and links to folders are followed.
- What belongs together, as the frames of a track, is found out by `groups`, from names and pictures.
"""

import array
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import inventory, naming, walks
from cnnkit.data.inventory import Entry, none_usable
from cnnkit.data.reading import Part, Request
from cnnkit.data.records import Progress, Shape
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.files import ends_of, printable
from cnnkit.inputs.image import groups
from cnnkit.inputs.image.arrays import LARGEST_SIDE

_WHITE = 65535  # of 16 bits
_DEEP = (".png", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")  # that may have 16 bits


class FolderImages:
    """Image files below a folder, decoded as they are read. Make one with `scan`."""

    def __init__(self, root: Path, paths: walks.Paths, shape: Shape):
        self._root, self.paths, self.shape = os.fspath(root), paths, shape

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        return image.fit_images(map(self.native, indices.tolist()), len(indices), shape)

    def native(self, index: int) -> np.ndarray:
        return image.read_image(self.path(index))

    def name(self, index: int) -> str:
        return printable(self.path(index))

    def path(self, index: int) -> str:
        return os.path.join(self._root, self.paths[index])  # noqa: PTH118

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        for index in indices.tolist():
            path = self.path(index)
            try:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as the reading
                    size, ends = ends_of(file)
                    add(size.to_bytes(8, "little"))
                    add(ends)
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def files(root: Path, names: list[str]) -> FolderImages:
    """Return the images of a list of paths below `root`, written with /."""
    return FolderImages(root, walks.Paths(name.replace("/", os.sep) for name in names), (1, 1, 3))


def beside(root: Path, used: Collection[str]) -> list[Entry]:
    """Return the inventory's entries of what lies beside the folders that are used: class folders of no split, loose images."""
    places: list[str] = []
    for path in sorted(root.iterdir()):
        if path.name in used or walks.is_system(path.name):
            continue
        if path.is_dir():
            left = walks.Left()
            names = [name for name, _ in walks.files(str(root), path.name, left)]
            count = sum(image.is_named(name) for name in names)
            places += [printable(f"{path.name}{os.sep}")] * count
        elif image.is_named(path.name):
            places.append(printable(path.name))
    if not places:
        return []
    return [inventory.entry("left out", "images", "that lie in no split", list(dict.fromkeys(places)), len(places))]


def scan(root: Path, request: Request) -> Part:
    """Walk the class folders of `root` and read the header of every image.

    Args:
        root: the folder that holds one folder a class.
        request: whether to decode every image once, in threads, instead of those that look cut off; its option `groups` says
            which belong together, as `groups.find` takes it.

    Returns:
        the good images, sorted by class, then by path; the class folders are the names, those without a good image too.

    Raises:
        DataError: no class folders, or no image in them.
    """
    found = _Found()
    classes = _class_folders(root, found.left, found.ignored)
    counts = []
    for name in classes:
        before = len(found.paths)
        for path, child in walks.files(str(root), name, found.left):
            if not image.is_named(path):
                found.ignored.append(printable(path))
                continue
            found.add(path, child)
            if request.progress and len(found.paths) % 1000 == 0:
                request.progress(f"Looking at images: {len(found.paths):,}", len(found.paths), None)
        counts.append(len(found.paths) - before)
    codes = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
    return _looked_through(root, found, codes, tuple(classes), request)[0]


def scan_files(
    root: Path,
    files: Sequence[str],
    codes: np.ndarray,
    names: tuple[str, ...],
    bad: list[tuple[str, str]],
    request: Request,
    together: Sequence[str] | None = None,
) -> tuple[Part, np.ndarray]:
    """Read the header of every image of a list; as `scan`. Return also which of the files can be used: int64 (k,), ascending.

    Args:
        root: the folder that the files lie in.
        files: paths below it, with /.
        codes: int32 (n,), which of `names` each file has.
        names: the labels.
        bad: (name, reason) of what is known to be unusable.
        request: as `scan`.
        together: of each file, equal for those that belong together, such as a patient; None: as `scan`.
    """
    found = _Found()
    found.bad += bad
    added = np.zeros(len(files), bool)
    for k, name in enumerate(files):
        before = len(found.paths)
        child = name.replace("/", os.sep)
        found.add(f"{root}{os.sep}{child}", child)
        added[k] = len(found.paths) > before
        if request.progress and k % 1000 == 999:
            request.progress(f"Looking at images: {k + 1:,}", k + 1, len(files))
    own = None if together is None else np.array(together)[added]
    part, good = _looked_through(root, found, codes[added], names, request, own)
    return part, np.flatnonzero(added)[good]


def _looked_through(
    root: Path,
    found: "_Found",
    codes: np.ndarray,
    classes: tuple[str, ...],
    request: Request,
    together: np.ndarray | None = None,
) -> tuple[Part, np.ndarray]:
    """Make of what was gathered the good images and what belongs together; return also which of them are good."""
    images = FolderImages(root, found.paths, (1, 1, 1))
    _decode_suspects(images, found, range(len(images)) if request.verify else found.suspects, request.progress)
    good = np.setdiff1d(np.arange(len(images)), np.array(sorted(found.broken), np.int64))
    if not len(good):
        if found.bad:
            raise none_usable("image", f"in {root}", found.bad)
        raise DataError(f"The class folders of {root} ({', '.join(classes[:5])}) hold no image ({image.FORMATS}).")
    if len(good) < len(images):
        images.paths = found.paths.take(good)
    images.shape = _suitable_shape(images, found, good)
    pattern = request.options.get("groups")
    if together is not None and pattern is None:
        grouping = groups.told(together[good])
    else:
        grouping = groups.find(images.paths, codes[good], images.native, pattern)
    part = Part(
        *(images, codes[good], classes, grouping.groups, found.bad, found.ignored, found.left.entries()),
        group_note=grouping.note,
        notes=_dark(images),
    )
    return part, good


class _Found:
    """What a walk gathers, compactly."""

    def __init__(self) -> None:
        self.paths = walks.Paths()
        self.sizes = array.array("I")  # width, height, width, height, ...
        self.grey = bytearray()
        self.suspects: list[int] = []
        self.broken: set[int] = set()
        self.bad: list[tuple[str, str]] = []
        self.ignored: list[str] = []
        self.left = walks.Left()

    def add(self, path: str, child: str) -> None:
        try:
            head = image.read_header(path)
        except image.ImageError as error:
            self.bad.append((printable(path), error.reason))
            return
        if not head.complete:
            self.suspects.append(len(self.paths))
        self.paths.add(child)
        self.sizes.extend(head.shown)
        self.grey.append(head.channels == 1)


def _class_folders(root: Path, left: walks.Left, ignored: list[str]) -> list[str]:
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.")
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"The folder {root} cannot be read: {error.strerror}.") from None
    classes = []
    for entry in entries:
        if walks.is_system(entry.name):
            left.add_system(entry.path, entry.is_dir(follow_symlinks=False))
        elif entry.is_dir() and walks.is_circle(str(root), entry.path):
            left.circles.append(printable(entry.path))
        elif entry.is_dir():
            classes.append(entry.name)
        elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
            left.dead.append(printable(entry.path))
        else:
            ignored.append(printable(entry.path))
    if not classes:
        loose = any(image.is_named(entry.name) for entry in entries)
        what = "images, but no class folders" if loose else "no class folders with images"
        raise DataError(
            f"{root} holds {what}. Put the images of each class in a folder of its own: {root}/CLASS/1.png. "
            "(Masks need folders images and masks, a detector boxes beside the images: VOC, COCO, YOLO or GTSDB.)"
        )
    return sorted(classes, key=naming.class_order(classes))


def _decode_suspects(images: FolderImages, found: _Found, suspects, progress: Progress | None) -> None:
    """Decode some images once, in threads (OpenCV frees the interpreter), and move the broken ones to `found.bad`."""

    def problem(index: int) -> str | None:
        try:
            images.native(index)
        except image.ImageError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(suspects), 1024):  # `map` would queue a million at once
            part = suspects[start : start + 1024]
            for index, reason in zip(part, pool.map(problem, part), strict=True):
                if reason:
                    found.broken.add(index)
                    found.bad.append((images.name(index), reason))
            if progress and len(suspects) > 1024:
                progress("Decoding images", start + len(part), len(suspects))


def _suitable_shape(images: FolderImages, found: _Found, good: np.ndarray) -> Shape:
    """Choose the shape to read at.

    One size for all: that size. Otherwise a square, its side the median of all sides rounded up to a multiple of 8.
    Neither above 224 px. Grey where all headers say so, or where a sample of colour images holds only greys.
    """
    sizes = np.frombuffer(found.sizes, np.uint32).reshape(-1, 2)[good]
    if (sizes == sizes[0]).all():
        width, height = (int(side) for side in sizes[0])
        scale = min(1, LARGEST_SIDE / max(width, height))
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
    else:
        height = width = min(LARGEST_SIDE, int(-(-np.median(sizes) // 8) * 8))
    coloured = np.flatnonzero(np.frombuffer(found.grey, np.uint8)[good] == 0)
    sample = coloured[np.linspace(0, len(coloured) - 1, min(16, len(coloured))).astype(int)]
    return height, width, 1 if all(_is_grey(images, int(index)) for index in sample) else 3


def _dark(images: FolderImages) -> list[str]:
    """Return a line where pictures of 16 bits use little of their range, as those of cameras and scanners with 12 bits."""
    brightest = 0
    for index in np.unique(np.linspace(0, len(images) - 1, min(8, len(images))).astype(int)).tolist():
        path = images.path(index)
        if not path.lower().endswith(_DEEP):
            continue
        try:
            pixels = image.decode(*image.read_file(path))
        except image.ImageError:  # found when it is read
            continue
        if pixels.dtype == np.uint16:
            brightest = max(brightest, int(pixels.max()))
    if not 0 < brightest < _WHITE // 4:
        return []
    left = brightest * 256 // (_WHITE + 1) + 1
    return [
        f"Pictures of 16 bits are read with {_WHITE:,} as white, and the brightest value of those looked at is {brightest:,}: "
        f"of 256 greys {left} are left. Stretch their values, all alike, before training and `predict`."
    ]


def _is_grey(images: FolderImages, index: int) -> bool:
    try:
        pixels = images.native(index)
    except image.ImageError:  # found when it is read
        return True
    return pixels.ndim == 2 or bool((pixels[..., :3] == pixels[..., :1]).all())

"""Pictures and masks in files, read when they are asked for: `Pictures` is the source of inputs, `MaskFiles` of masks.

Design choices:
- Whatever a scan of the data set left to chance is checked when a mask is read: its size against its picture's, and that each
  value means something.
- Of objects that overlap the smaller lies on top, so that none vanishes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cnnkit.device import image
from cnnkit.device.stored import read_native
from cnnkit.errors import DataError
from cnnkit.files import ends_of, printable
from cnnkit.tasks.segmentation.formats import values
from cnnkit.tasks.segmentation.formats.cases import CLASSES, OBJECTS, Case
from cnnkit.tasks.segmentation.formats.values import Coding
from cnnkit.tasks.segmentation.masks import IGNORE, Regions, alone


class Pictures:
    """Picture files below a folder, decoded as they are read.

    Args:
        root: the folder.
        cases: whose pictures they are.
        sizes: int32 (n, 2), height and width of each as shown, px.
        channels: what its channels are called, where each has a file; else ().
    """

    noun = "pictures"

    def __init__(self, root: Path, cases: Sequence[Case], sizes: np.ndarray, channels: Sequence[str] = ()):
        self.root, self.cases, self.sizes, self.channels = root, tuple(cases), sizes, tuple(channels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The median size, one channel for each file or else as many as the first picture has."""
        height, width = np.median(self.sizes, axis=0).astype(int).tolist() if len(self.sizes) else (1, 1)
        first = self.native(0).shape if len(self) else (1, 1)
        return height, width, first[2] if len(first) > 2 else 1

    def __len__(self) -> int:
        return len(self.cases)

    def native(self, index: int) -> np.ndarray:
        """Return one picture: uint8, uint16 or float32, (h, w) or (h, w, c), as stored and as shown, not scaled.

        Raises:
            DataError: a file is missing or damaged, or the channels differ in size.
        """
        case = self.cases[index]
        parts = [read_native(self.root / name, case.page or 0) for name in case.pictures]
        if len(parts) == 1:
            return parts[0]
        if any(part.shape != parts[0].shape for part in parts) or parts[0].ndim > 2:
            sizes = ", ".join("x".join(map(str, part.shape)) for part in parts)
            raise DataError(f"The channels of {self.name(index)} differ in size or are not grey: {sizes}.")
        return np.stack(parts, axis=-1)

    def read(self, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return pictures brought to a shape and stretched from their darkest to their brightest value: uint8."""
        return image.fit_images((seen_as_bytes(self.native(index)) for index in indices.tolist()), len(indices), shape)

    def name(self, index: int) -> str:
        return printable(str(self.root / self.cases[index].name))

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        for index in indices.tolist():
            case = self.cases[index]
            add(repr((case.page, len(case.pictures))).encode())
            for name in case.pictures:
                add_file(self.root / name, add)


def seen_as_bytes(picture: np.ndarray) -> np.ndarray:
    """Return a picture as uint8 of 1 or 3 channels, to be looked at; one of other samples is stretched over 0 to 255."""
    if picture.ndim == 3 and picture.shape[2] not in (1, 3):
        picture = picture[..., 0]
    if picture.dtype == np.uint8:
        return picture
    low, high = float(picture.min()), float(picture.max())
    return np.rint((picture.astype(np.float32) - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def add_file(path: Path, add: Callable[[Any], None]) -> None:
    """Feed the size and the ends of a file to `add`."""
    try:
        with path.open("rb", buffering=0) as file:
            size, ends = ends_of(file)
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read: {error.strerror}.") from None
    add(size.to_bytes(8, "little"))
    add(ends)


class MaskFiles:
    """Masks in files.

    Args:
        root: the folder that they lie below.
        cases: whose masks they are.
        sizes: int32 (n, 2), height and width of the pictures, px.
        coding: what their values mean.
        holds: what a file holds: `VALUES`, `CLASSES` or `OBJECTS`.
        counts: int32 (n, 256), how many pixels of each have each code.
        spacing: between pixels along each axis, mm.

    Attributes:
        keys: what folds call each: names of pictures without suffix, or their paths where names are not unique.
        folds: (keys to train on, keys to validate on) of each fold that the data set states.
    """

    def __init__(
        self,
        root: Path,
        cases: Sequence[Case],
        sizes: np.ndarray,
        coding: Coding,
        holds: str,
        counts: np.ndarray,
        spacing: tuple[float, ...] | None = None,
    ):
        self.root, self.cases, self.sizes = root, tuple(cases), sizes
        self.coding, self.holds, self.counts = coding, holds, counts
        self._spacing = spacing
        self.names: tuple[str, ...] = coding.names
        self.regions: Regions = coding.regions or alone(len(coding.names))
        self.keys = keys_of(self.cases)
        self.folds: list[tuple[list[str], list[str]]] = []

    def __len__(self) -> int:
        return len(self.cases)

    def native(self, index: int) -> np.ndarray:
        """Return the code map of one picture; as `cnnkit.tasks.segmentation.masks.Masks`."""
        case, size = self.cases[index], tuple(self.sizes[index].tolist())
        if self.holds == OBJECTS:
            codes = (self._numbers(case, size) > 0).astype(np.uint8)
        elif self.holds == CLASSES:
            sets, name = label_sets(self.root, case, self.coding.sets, size), case.name
            codes = self.coding.apply(sets, name)
        else:
            codes = self._codes(case.masks[0][0], case.page, size)
        return self._within(codes, case, size)

    def objects(self, index: int) -> np.ndarray | None:
        """Return which object each pixel is of: int32 (h, w), 0 for none; None where masks do not tell objects apart."""
        case, size = self.cases[index], tuple(self.sizes[index].tolist())
        if self.holds == OBJECTS:
            return self._numbers(case, size)
        array = self.numbers(index)
        if array is None:
            return None
        different, numbers = np.unique(array, return_inverse=True)
        numbers = numbers.reshape(array.shape).astype(np.int32)
        return numbers if len(different) and different[0] == 0 else numbers + 1

    def numbers(self, index: int) -> np.ndarray | None:
        """Return the numbers of objects as a file has them, whole (h, w); None where its values are none."""
        if not self.coding.objects or self.holds == OBJECTS:
            return None
        case = self.cases[index]
        return values.read(self.root / case.masks[0][0], case.page).array

    def second(self, index: int) -> np.ndarray | None:
        """Return the code map of a second observer; None where there is none."""
        case, size = self.cases[index], tuple(self.sizes[index].tolist())
        if not case.second:
            return None
        if len(self.names) > 1:
            return self._within(self._codes(case.second, case.page, size), case, size)
        found = values.two_levels(
            str(self.root / case.second), case.page, size
        )  # his foreground may have another value
        return self._within(found.astype(np.uint8), case, size)

    def spacing(self, index: int) -> tuple[float, ...] | None:
        return self._spacing

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr((self.coding.meaning, self.holds, self.regions, self._spacing)).encode())
        for index in indices.tolist():
            case = self.cases[index]
            add(repr((case.page, [label for _, label in case.masks], bool(case.ignore))).encode())
            for name in (*(name for name, _ in case.masks), case.ignore):
                if name:
                    add_file(self.root / name, add)

    def _codes(self, name: str, page: int | None, size: tuple[int, ...]) -> np.ndarray:
        path = self.root / name
        found = values.read(path, page, colours=self.coding.colours)
        if found.array.shape != size:
            raise image.ImageError(str(path), values.unequal(found.array.shape, size), "Correct it.")
        return self.coding.apply(found.array, str(path))

    def _within(self, codes: np.ndarray, case: Case, size: tuple[int, ...]) -> np.ndarray:
        if case.ignore:
            codes[~values.field_of_view(str(self.root / case.ignore), case.page, size)] = IGNORE
        return codes

    def _numbers(self, case: Case, size: tuple[int, ...]) -> np.ndarray:
        return numbered([values.two_levels(str(self.root / name), case.page, size) for name, _ in case.masks], size)


def keys_of(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return what folds call cases, each another name."""
    paths = [PurePosixPath(case.pictures[0]).with_suffix("") for case in cases]
    pages = ["" if case.page is None else f"_{case.page + 1}" for case in cases]
    names = [(case.key or path.name) + page for case, path, page in zip(cases, paths, pages)]
    return tuple(names) if len(set(names)) == len(names) else tuple(f"{path}{page}" for path, page in zip(paths, pages))


def numbered(masks: Sequence[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """Number objects, bool (h, w) each, from 1 in their order without empty ones: int32 (h, w)."""
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    kept = [k for k, area in enumerate(areas) if area]
    numbers = np.zeros(size, np.int32)
    for k in sorted(kept, key=lambda k: -areas[k]):
        numbers[masks[k]] = kept.index(k) + 1
    return numbers


def label_sets(root: Path, case: Case, labels: Sequence[str], size: tuple[int, ...]) -> np.ndarray:
    """Return which labels each pixel has: int32 (h, w), bit k for label k."""
    sets = np.zeros(size, np.int32)
    for name, label in case.masks:
        sets |= values.two_levels(str(root / name), case.page, size).astype(np.int32) << labels.index(label)
    return sets

"""Volumes and their masks in files, read when they are asked for; as `cnnkit.tasks.segmentation.sources`.

Design choices:
- Both are turned so that their axes run to the head, to the back and to the left; a mask is laid on its volume by geometry.
- Of a file nothing is shown but its name.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import read_labels
from cnnkit.device.volumes.reading import read_channels, read_volume
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.segmentation.formats.cases import Case
from cnnkit.tasks.segmentation.formats.values import Coding
from cnnkit.tasks.segmentation.masks import Regions, alone
from cnnkit.tasks.segmentation.sources import add_file


class Volumes:
    """Volumes in files below a folder.

    Args:
        root: the folder.
        cases: whose volumes they are.
        geometries: of each, as it is stored.
        channels: what its channels are called; ("",) where it has one.
    """

    noun = "volumes"

    def __init__(self, root: Path, cases: Sequence[Case], geometries: Sequence[Geometry], channels: Sequence[str]):
        self.root, self.cases, self.geometries = root, tuple(cases), tuple(geometries)
        self._count = len(channels)
        apart = bool(cases) and len(cases[0].pictures) > 1
        self.channels = tuple(channels) if apart else ()  # what those are called that have a file each

    @property
    def shape(self) -> tuple[int, ...]:
        """The median extent, turned, and the channels."""
        sides = [geometry.canonical().shape for geometry in self.geometries] or [(1, 1, 1)]
        return (*np.median(np.array(sides), axis=0).astype(int).tolist(), self._count)

    def __len__(self) -> int:
        return len(self.cases)

    def native(self, index: int) -> np.ndarray:
        """Return one volume, turned: numbers (d, h, w, c).

        Raises:
            DataError: a file is missing or damaged, or channels lie elsewhere than the first.
        """
        case, own = self.cases[index], self.geometries[index]
        return own.turn().apply(joined([self.root / name for name in case.pictures], self._count, own))

    def spacing(self, index: int) -> tuple[float, ...]:
        """Return the distance of neighbouring voxels of a turned volume, mm."""
        return self.geometries[index].canonical().spacing

    def read(self, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError("Volumes are seen through windows, never at once. Read records of them.")

    def name(self, index: int) -> str:
        return printable(str(self.root / self.cases[index].name))

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        for index in indices.tolist():
            case = self.cases[index]
            add(repr(len(case.pictures)).encode())
            for name in case.pictures:
                add_files(self.root / name, add)


def joined(paths: Sequence[Path], channels: int, geometry: Geometry | None = None) -> np.ndarray:
    """Read a volume whose channels are in one file, or in a file each: numbers (z, y, x, channels).

    Raises:
        DataError: a file cannot be read, channels lie apart, or the volume lies elsewhere than `geometry` says.
    """
    found = read_volume(paths[0], channels) if len(paths) == 1 else read_channels(paths)
    if geometry is not None and not found.geometry.same(geometry):
        raise DataError(f"{printable(str(paths[0]))} has changed since it was looked at. Start again.")
    return found.array


def add_files(path: Path, add: Callable[[Any], None]) -> None:
    """Feed the size and the ends of a file to `add`, or of all files of a folder."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            add_file(file, add)


def read_mask(path: Path, own: Geometry, segments: Sequence[str], volume: Path) -> np.ndarray:
    """Read the values of a mask, laid on its volume: whole numbers (z, y, x).

    Args:
        path: its file.
        own: geometry of the volume.
        segments: labels that files name: a value is then the sum of 2**k for each label k that a voxel has; () of other files.
        volume: file or folder of it.

    Raises:
        DataError: it cannot be read, does not lie on its volume, or names nothing where others do.
    """
    codes, named = read_labels(path, own, source=volume if volume.is_dir() else None)
    if not segments:
        return codes
    if named is None:
        raise VolumeError(path, "it does not say what its values mean, as others do", "Save all masks in one format.")
    sets = np.zeros(codes.shape, np.int32)
    for label, own_codes in named.items():
        sets |= np.isin(codes, own_codes).astype(np.int32) << segments.index(label)
    return sets


class VolumeMasks:
    """Masks of volumes in files.

    Args:
        volumes: whose they are.
        coding: what their values mean.
        segments: labels, where files name what they hold.
        counts: int64 (n, 256), how many voxels of each have each code.

    Attributes:
        keys: what folds call each: names of volumes.
        folds: (keys to train on, keys to validate on) of each fold that the data set states.
    """

    def __init__(
        self,
        volumes: Volumes,
        coding: Coding,
        counts: np.ndarray,
        keys: Sequence[str],
        segments: Sequence[str] = (),
    ):
        self._volumes, self.coding, self.counts, self.keys = volumes, coding, counts, tuple(keys)
        self._segments = segments
        self.names: tuple[str, ...] = coding.names
        self.regions: Regions = coding.regions or alone(len(coding.names))
        self.folds: list[tuple[list[str], list[str]]] = []

    def __len__(self) -> int:
        return len(self._volumes)

    def native(self, index: int) -> np.ndarray:
        """Return the code map of one volume, turned: uint8 (d, h, w)."""
        case, own = self._volumes.cases[index], self._volumes.geometries[index]
        path = self._volumes.root / case.masks[0][0]
        labels = read_mask(path, own, self._segments, self._volumes.root / case.pictures[0])
        return own.turn().apply(self.coding.apply(labels, str(path)))

    def objects(self, index: int) -> np.ndarray | None:
        return None

    def spacing(self, index: int) -> tuple[float, ...] | None:
        return self._volumes.spacing(index)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr((self.coding.meaning, self.regions)).encode())
        for index in indices.tolist():
            add_files(self._volumes.root / self._volumes.cases[index].masks[0][0], add)

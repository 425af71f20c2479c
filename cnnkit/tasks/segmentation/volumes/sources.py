"""Volumes and their masks in files, read when they are asked for; as `cnnkit.tasks.segmentation.sources`.

Design choices:
- Both are turned so that their axes run to the head, to the back and to the left; a mask is laid on its volume by geometry.
- Of a file nothing is shown but its name, below the data's folder. Files of ours have a number in its place, as names, also of
  files that are no DICOM, are often a patient's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import read_labels
from cnnkit.device.volumes.reading import read_channels, read_volume
from cnnkit.device.volumes.segments import quoted
from cnnkit.device.volumes.values import varied
from cnnkit.errors import DataError
from cnnkit.files import printable, sha256
from cnnkit.tasks.segmentation.formats.cases import Case
from cnnkit.tasks.segmentation.formats.values import Coding
from cnnkit.tasks.segmentation.masks import Regions, alone
from cnnkit.tasks.segmentation.sources import add_file
from cnnkit.tasks.segmentation.volumes.series import opened


def has_volumes(source: Any) -> bool:
    """Say whether what a source holds are volumes, in files or drawn: three sides and channels."""
    return len(source.shape) == 4


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
            DataError: a file is missing or damaged, channels lie elsewhere than the first, or all voxels are alike.
        """
        case, own = self.cases[index], self.geometries[index]
        try:
            volume = joined([self.root / name for name in case.pictures], self._count, own)
        except VolumeError as error:
            advice = "Replace it or delete it, or go on without it with `skip_bad`."
            said = within(case.pictures[0], error)
            raise DataError(f"{self.name(index)} cannot be used: {said}. {advice}") from error
        return own.turn().apply(volume)

    def spacing(self, index: int) -> tuple[float, ...]:
        """Return the distance of neighbouring voxels of a turned volume, mm."""
        return self.geometries[index].canonical().spacing

    def read(self, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError("Volumes are seen through windows, never at once. Read records of them.")

    def name(self, index: int) -> str:
        return printable(self.cases[index].name)

    def alias(self, index: int) -> str:
        return self.cases[index].alias

    def content(self, index: int, add: Callable[[Any], None]) -> None:
        """Feed all that decides what `native` returns to `add`, the whole content of files."""
        add(repr(self.geometries[index]).encode())
        for name in self.cases[index].pictures:
            add_content(self.root / name, add)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        for index in indices.tolist():
            case = self.cases[index]
            add(repr(len(case.pictures)).encode())
            for name in case.pictures:
                add_files(self.root / name, add)


def joined(paths: Sequence[Path], channels: int, geometry: Geometry | None = None) -> np.ndarray:
    """Read a volume whose channels are in one file, or in a file each: numbers (z, y, x, channels).

    Raises:
        DataError: a file cannot be read, channels lie apart, all voxels are alike, or the volume lies elsewhere than `geometry`
            says.
    """
    found = read_volume(opened(paths[0]), channels) if len(paths) == 1 else read_channels(paths)
    if geometry is not None and not found.geometry.same(geometry):
        raise DataError(f"{printable(str(paths[0]))} has changed since it was looked at. Start again.")
    return varied(found.array, paths[0])


def within(name: str, error: VolumeError) -> str:
    """Return the reason of an error; with its file, where that is one of several of a case of this name."""
    file = PurePath(error.name).name
    return error.reason if file == PurePath(name).name else f"{file}: {error.reason}"


def add_files(path: Path, add: Callable[[Any], None]) -> None:
    """Feed the size and the ends of a file to `add`, or of all files of a folder or of a series in it."""
    for file in _files(path):
        add_file(file, add)


def add_content(path: Path, add: Callable[[Any], None]) -> None:
    """Feed the checksum of a file to `add`, or of all files of a folder or of a series in it.

    Raises:
        DataError: one cannot be read.
    """
    try:
        for file in _files(path):
            add(sha256(file).encode())
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read: {error.strerror}.") from None


def _files(path: Path) -> list[Path]:
    """Return the files of a volume: itself, those of a folder, or of a series in one."""
    if path.is_file():
        return [path]
    source = opened(path)
    return [
        file for file in sorted(source.iterdir() if isinstance(source, Path) else set(source.paths)) if file.is_file()
    ]


def read_mask(
    paths: Sequence[Path],
    own: Geometry,
    segments: Sequence[str],
    volume: Path,
    warn: Callable[[str], None] | None = None,
) -> np.ndarray:
    """Read the values of a mask, laid on its volume: whole numbers (z, y, x).

    Args:
        paths: its file; or several, of which each names what it holds.
        own: geometry of the volume.
        segments: labels that files name: a value is then the sum of 2**k for each label k that a voxel has; () of other files.
        volume: its file, folder or series, as `opened` takes it.
        warn: told in a line that numbers were rounded.

    Raises:
        DataError: it cannot be read, does not lie on its volume, names nothing where others do or what is no label; or two
            files differ in a label.
    """
    source = opened(volume)
    if not segments:
        return read_labels(paths[0], own, source=source, warn=warn)[0]
    sets = np.zeros(own.shape, np.int32 if len(segments) < 32 else np.int64)
    drawn: dict[str, Path] = {}
    for path in paths:
        codes, named = read_labels(path, own, source=source)
        if named is None:
            said = "it does not say what its values mean, as others do"
            raise VolumeError(path, said, "Save all masks in one format.")
        for label, own_codes in named.items():
            there = np.isin(codes, own_codes)
            if label not in segments:
                if there.any():
                    said = f"it has a segment called {quoted(label)}, and the labels are {quoted(*segments)}"
                    raise VolumeError(path, said, "Call it as the label is called, or name it among them.")
                continue
            bit = segments.index(label)
            if label in drawn and ((sets >> bit & 1) != there).any():
                said = f"it draws {quoted(label)} otherwise than {printable(drawn[label].name)} of the same volume"
                raise VolumeError(path, said, "Take one of them away.")
            drawn.setdefault(label, path)
            sets |= there.astype(sets.dtype) << bit
    return sets


class VolumeMasks:
    """Masks of volumes in files.

    Args:
        volumes: whose they are.
        coding: what their values mean.
        segments: labels, where files name what they hold.
        counts: int64 (n, 256), how many voxels of each have each code.

    Attributes:
        keys: what folds of the data set call each: names of volumes.
        written: what folds that we write call each: a number, or in the layout of nnU-Net, which could not read them otherwise,
            the name of the case.
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
        self.written = [case.key or case.alias for case in volumes.cases]
        self._segments = segments
        self.names: tuple[str, ...] = coding.names
        self.regions: Regions = coding.regions or alone(len(coding.names))
        self.folds: list[tuple[list[str], list[str]]] = []

    def __len__(self) -> int:
        return len(self._volumes)

    def native(self, index: int) -> np.ndarray:
        """Return the code map of one volume, turned: uint8 (d, h, w)."""
        case, own = self._volumes.cases[index], self._volumes.geometries[index]
        paths = [self._volumes.root / name for name, _ in case.masks]
        labels = read_mask(paths, own, self._segments, self._volumes.root / case.pictures[0])
        return own.turn().apply(self.coding.apply(labels, str(paths[0])))

    def objects(self, index: int) -> np.ndarray | None:
        return None

    def spacing(self, index: int) -> tuple[float, ...] | None:
        return self._volumes.spacing(index)

    def content(self, index: int, add: Callable[[Any], None]) -> None:
        """Feed all that decides what `native` returns to `add`; as `Volumes`."""
        coding = self.coding
        add(repr((sorted(coding.codes.items()), coding.other, coding.meaning, self.regions, self._segments)).encode())
        for name, _ in self._volumes.cases[index].masks:
            add_content(self._volumes.root / name, add)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr((self.coding.meaning, self.regions)).encode())
        for index in indices.tolist():
            for name, _ in self._volumes.cases[index].masks:
                add_files(self._volumes.root / name, add)

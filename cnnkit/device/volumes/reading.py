"""Volumes of any format: which files are one, how large they are, their voxels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.volumes import dicom, nifti, seg, seg_nrrd, simpleitk
from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.headers import oriented, read_text
from cnnkit.device.volumes.placing import onto
from cnnkit.device.volumes.values import finite

NIFTI = (".nii", ".nii.gz")
SUFFIXES = (*NIFTI, *simpleitk.SUFFIXES, ".dcm")

Channels = int | Sequence[str] | None


@dataclass
class Volume:
    """A volume as its file has it.

    Attributes:
        array: (z, y, x, channels), the stored type of numbers; int16 or int32 where the file scales them to whole numbers,
            float32 where to fractions or where floats are stored. Without NaN and infinity.
        geometry: where its voxels are.
        facts: "format" ("NIfTI", "MetaImage", "NRRD", "DICOM"), "modality" ("CT", ...; None: not known), "patient" (a key that
            tells patients apart and says nothing of them; None: not known), "channels" (their names, or None), "oriented"
            (False: the file does not say how it lies in the patient), "labels" (names of segments in its header, or None),
            "warnings" (lines, without the name of the file).
    """

    array: np.ndarray
    geometry: Geometry
    facts: dict[str, Any] = field(default_factory=dict)


def suffix_of(path: Path | str) -> str:
    """Return the ending of a volume's name in small letters, `.nii.gz` and `.seg.nrrd` whole; "" of a folder."""
    name = Path(path).name.lower()
    for double in (".nii.gz", ".seg.nrrd", ".seg.nhdr"):
        if name.endswith(double):
            return double
    return Path(name).suffix


def stem_of(path: Path | str) -> str:
    """Return the name of a volume without its ending: what a case is called."""
    name = Path(path).name
    ending = suffix_of(path)
    return name[: -len(ending)] if ending in (*SUFFIXES, ".seg.nrrd", ".seg.nhdr") else name


def is_volume(path: Path | str) -> bool:
    """Say whether a file or folder is a volume: by the ending of its name, or because there is DICOM in it."""
    path = Path(path)
    if path.is_dir():
        return dicom.holds_dicom(path)
    if not path.is_file() or path.name.startswith("."):  # macOS leaves `._case_1.nii.gz` in archives
        return False
    name = path.name.lower()
    return name.endswith(SUFFIXES) or (suffix_of(path) not in _PICTURES and dicom.is_dicom(path))


_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npz", ".npy", ".csv", ".json", ".txt"}


def extent_of(path: Path | str | dicom.Series, *, warn: Callable[[str], None] | None = None) -> tuple[Geometry, int]:
    """Return the geometry of a volume and how many channels it has, from headers alone.

    Args:
        path: a file, a folder of one DICOM series, or one of `series_in`.
        warn: told in a line, without a name, of each of a volume's "warnings".

    Raises:
        VolumeError: it cannot be read, or its geometry cannot be trusted.
        MissingExtra: it needs a package that is not installed.
    """
    if isinstance(path, dicom.Series):
        return dicom.extent(path, warn), 1
    name = Path(path).name.lower()
    if name.endswith(NIFTI):
        head = nifti.read_header(path)
        return head.geometry, head.channels
    if name.endswith(simpleitk.SUFFIXES):
        return simpleitk.extent(path)
    return (seg.extent(path) if seg.is_seg(path) else dicom.extent(path, warn)), 1


def read_volume(path: Path | str | dicom.Series, channels: Channels = None) -> Volume:
    """Read a volume.

    Args:
        path: a file, a folder of one DICOM series, or one of `series_in`.
        channels: how many there are to be, or their names; None: one. A fourth axis is taken for channels only where it is told
            here or by the file itself, for it may as well be time.

    Raises:
        VolumeError: it cannot be read, its geometry cannot be trusted, it has other channels, or NaN or infinity in it.
        MissingExtra: it needs a package that is not installed.
    """
    where = path.folder if isinstance(path, dicom.Series) else Path(path)
    name = "" if isinstance(path, dicom.Series) else where.name.lower()
    facts: dict[str, Any] = {"modality": None, "patient": None, "oriented": True, "labels": None, "warnings": []}
    told = False
    if name.endswith(NIFTI):
        array, head = nifti.read(where)
        geometry, told = head.geometry, head.vector
        facts |= {"format": "NIfTI", "oriented": head.oriented}
        if head.seconds and channels is None:
            raise VolumeError(
                where,
                f"its fourth axis is time ({head.channels} pictures)",
                "Save one volume a file, or name its channels.",
            )
    elif name.endswith(simpleitk.SUFFIXES):
        array, geometry = simpleitk.read(where)
        said = read_text(where)
        facts["oriented"] = oriented(said)
        told = "list" not in said.get("kinds", "").split()  # lists of Slicer may be times
        segments = seg_nrrd.segments_of(where)
        facts["labels"] = None if segments is None else [one.name for one in segments]
        facts["format"] = "MetaImage" if name.endswith(simpleitk.META) else "NRRD"
    else:
        array, geometry, more = dicom.read(path)
        facts |= more | {"format": "DICOM"}
    _fits(array.shape[3], channels, told, where)
    names = None if channels is None or isinstance(channels, int) else tuple(channels)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return Volume(finite(array, where), geometry, {**facts, "channels": names})


def read_channels(paths: Sequence[Path | str | dicom.Series], names: Sequence[str] | None = None) -> Volume:
    """Read a volume whose channels are files of their own.

    Args:
        paths: a file a channel, each of one channel. The first says where the volume lies.
        names: of the channels.

    Returns:
        As `read_volume`; a channel that is the same grid turned over is laid on the first.

    Raises:
        VolumeError, MissingExtra: as `read_volume`; or a channel lies elsewhere than the first.
    """
    first, *others = (read_volume(path, 1) for path in paths)
    arrays = [first.array[..., 0]]
    for path, other in zip(paths[1:], others):
        where = path.folder if isinstance(path, dicom.Series) else path
        arrays.append(onto(other.array[..., 0], other.geometry, first.geometry, where))
    array = np.stack(arrays, -1)
    kept = array.astype(np.float32) if array.dtype.kind == "f" or array.dtype.itemsize > 4 else array
    return Volume(kept, first.geometry, {**first.facts, "channels": None if names is None else tuple(names)})


def _fits(count: int, channels: Channels, told: bool, path: Path | str) -> None:
    """Refuse channels that are others than are due."""
    if channels is None:
        if count > 1 and not told:
            raise VolumeError(
                path, f"it has {count} pictures along a fourth axis", "Save one volume a file, or name its channels."
            )
        return
    due = channels if isinstance(channels, int) else len(channels)
    if count != due:
        named = "" if isinstance(channels, int) else f" ({', '.join(channels)})"
        raise VolumeError(
            path,
            f"it has {count} {'picture' if count == 1 else 'pictures along a fourth axis'} where {due}{named} "
            f"{'is' if due == 1 else 'are'} due",
            "Save it with its channels, or name them.",
        )

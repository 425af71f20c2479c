"""MHA, MHD, NRRD and NHDR, read and written by SimpleITK."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import files
from cnnkit.device.volumes.faults import MOST_VOXELS, VolumeError, missing
from cnnkit.device.volumes.geometry import LEANING, Geometry
from cnnkit.device.volumes.headers import META, NRRD, read_text

SUFFIXES = (*META, *NRRD)


def extent(path: Path | str) -> tuple[Geometry, int]:
    """Return the geometry and how many channels there are, from the header alone.

    Raises:
        VolumeError: it cannot be read, or its axes are not at right angles.
        MissingExtra: SimpleITK is not installed.
    """
    reader = _reader(path)
    return _extent(reader, path)


def read(path: Path | str) -> tuple[np.ndarray, Geometry]:
    """Read the voxels as they are stored: (z, y, x, channels), and where they are. NaN is not looked for.

    Raises:
        VolumeError, MissingExtra: as `extent`; or the file is cut off or damaged.
    """
    sitk = _sitk(path)
    reader = _reader(path)
    geometry, channels = _extent(reader, path)
    try:
        image = reader.Execute()
    except RuntimeError:
        raise VolumeError(path, "it is damaged or cut off", "Copy it anew.") from None
    array = sitk.GetArrayFromImage(image)
    array = array.reshape(*geometry.shape, channels)
    return array, geometry


def write(path: Path | str, array: np.ndarray, geometry: Geometry, keys: dict[str, str] | None = None) -> None:
    """Write voxels with their geometry, packed, whole or not at all.

    Args:
        path: `.mha` or `.nrrd`; of `.mhd` and `.nhdr` the voxels go into the same file.
        array: (z, y, x) or (z, y, x, channels).
        geometry: of it.
        keys: more for the header.
    """
    sitk, path = _sitk(path), Path(path)
    if array.shape[:3] != geometry.shape:
        raise ValueError(f"an array of {array.shape[:3]} is not of the geometry {geometry.shape}")
    array = array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array
    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=array.ndim == 4)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction[:, ::-1].ravel().tolist())
    for key, value in (keys or {}).items():
        image.SetMetaData(key, value)
    suffix = {".mhd": ".mha", ".nhdr": ".nrrd"}.get(path.suffix.lower(), path.suffix.lower())
    with tempfile.TemporaryDirectory() as folder:
        try:
            sitk.WriteImage(image, f"{folder}/volume{suffix}", useCompression=True)
        except RuntimeError as error:
            raise VolumeError(path, "it could not be written", f"SimpleITK: {_short(error)}.") from None
        with files.atomic(path) as file:
            file.write(Path(folder, f"volume{suffix}").read_bytes())


def _sitk(path: Path | str) -> Any:
    try:
        import SimpleITK
    except ImportError:
        raise missing(path, "SimpleITK") from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # it would write to the console
    return SimpleITK


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[-120:].rstrip(".")


def _reader(path: Path | str) -> Any:
    sitk = _sitk(path)
    if "time" in read_text(path).get("kinds", "").split():
        raise VolumeError(path, "one of its axes is time", "Save one volume a file.")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if Path(path).suffix.lower() in META else "NrrdImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise VolumeError(path, "its header cannot be read") from None
    return reader


def _extent(reader: Any, path: Path | str) -> tuple[Geometry, int]:
    if _sitk(path).GetPixelIDValueAsString(reader.GetPixelIDValue()).startswith("complex"):
        raise VolumeError(path, "its voxels are complex numbers", "Save it with whole numbers or floats.")
    rank, sides = reader.GetDimension(), [*reader.GetSize()]
    channels = reader.GetNumberOfComponents()
    if rank == 4 and sides[3] == 1:
        rank = 3
    if rank not in (2, 3):
        raise VolumeError(
            path, f"it has {rank} axes ({' x '.join(map(str, sides))})", "Save a volume of three axes a file."
        )
    count = int(np.prod(sides, dtype=object)) * channels
    if count > MOST_VOXELS:
        raise VolumeError(path, f"its header claims {count:,} voxels", "Cut it, or save it at a coarser spacing.")
    size = len(reader.GetSpacing())
    direction = np.array(reader.GetDirection()).reshape(size, size)
    matrix = np.eye(4)
    matrix[:rank, :rank] = direction[:rank, :rank] * np.array(reader.GetSpacing())[:rank]
    matrix[:rank, 3] = reader.GetOrigin()[:rank]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise VolumeError(path, "where it lies is not a number, or its voxels have no size")
    geometry = Geometry.of(matrix[:, [2, 1, 0, 3]], [*sides[:rank], 1][:3][::-1])
    if geometry.leaning > LEANING:
        raise VolumeError(path, "its axes are not at right angles", "Resample it to a straight grid.")
    return geometry, channels

"""A DICOM file opened: its header, its stored pixels whatever they are compressed by.

Design choices:
- pydicom reads; what it warns of may quote a patient, and is not heard.
- A file that is packed as a whole, and could fill the memory, is refused: pydicom unpacks all of it for its header.
- What pydicom has no decoder for, SimpleITK may; it is handed the pixels alone.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.volumes.faults import VolumeError, missing, unreadable

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_DEFLATED = 4 << 20  # bytes, of which 4 GB may come
_OF_PIXELS = (
    *("SOPClassUID", "SOPInstanceUID", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelData"),
)


def library(path: Path | str) -> Any:
    """Return pydicom, silenced, to read this file."""
    try:
        import pydicom
    except ImportError:
        raise missing(path, "pydicom") from None
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE  # what it warns of may quote a patient
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    return pydicom


def _looked_at(path: Path) -> None:
    """Refuse a file that is packed as a whole and could fill the memory: pydicom unpacks all of it for its header."""
    try:
        with path.open("rb") as file:
            packed = _DEFLATED in file.read(2048)
            size = file.seek(0, 2)
    except OSError as error:
        raise unreadable(path, error) from None
    if packed and size > _MOST_DEFLATED:
        raise VolumeError(path, f"it is deflated, and larger than {_MOST_DEFLATED >> 20} MB", "Export it uncompressed.")


def whole(path: Path, *, pixels: bool = True, **how: Any) -> Any:
    """Return all of a file's data set; `pixels=False`: without its pixels; `how`: as `pydicom.dcmread`.

    Raises:
        VolumeError: it cannot be read.
        MissingExtra: pydicom is not installed.
    """
    pydicom = library(path)
    _looked_at(path)
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels, force=path.suffix.lower() == ".dcm", **how)
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception:  # whatever a damaged file makes it stumble over
        raise VolumeError(path, "it is no DICOM file, or damaged", "Copy it anew.") from None


def decoded(whole: Any, path: Path, frame: int | None = None) -> np.ndarray:
    """Return the stored numbers of a data set, or of one of its frames, whatever they are compressed by.

    Raises:
        VolumeError: they are damaged, or compressed in a way that nothing here reads.
    """
    try:
        if "PixelData" not in whole and "FloatPixelData" not in whole and "DoubleFloatPixelData" not in whole:
            raise VolumeError(path, "it has no pixels, or is cut off", "Copy it anew.")
        if not getattr(whole, "file_meta", None) or "TransferSyntaxUID" not in whole.file_meta:
            import pydicom

            whole.file_meta = getattr(whole, "file_meta", None) or pydicom.dataset.FileMetaDataset()
            whole.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        return np.asarray(whole.pixel_array if frame is None else library(path).pixels.pixel_array(whole, index=frame))
    except (MemoryError, VolumeError):
        raise
    except Exception:  # whatever a damaged file makes it stumble over
        syntax = _compressed(whole)
        other = _by_simpleitk(whole) if syntax else None
        if other is not None:
            return other
        if syntax:
            raise VolumeError(
                path,
                f"it is compressed as {syntax}, which cannot be read here",
                "Export it uncompressed, or install pylibjpeg with its decoders.",
            ) from None
        raise VolumeError(path, "its pixels are damaged or cut off", "Copy it anew.") from None


def _compressed(whole: Any) -> str | None:
    """Return what the pixels of a data set are compressed by; None where by nothing."""
    syntax = whole.file_meta.get("TransferSyntaxUID") if getattr(whole, "file_meta", None) else None
    try:
        return str(syntax.name) if syntax is not None and syntax.is_compressed else None
    except ValueError:
        return "something unknown"


def _by_simpleitk(whole: Any) -> np.ndarray | None:
    """Decode one picture by SimpleITK, which knows JPEG without loss; None where it cannot, or is not installed.

    It is handed the pixels alone: of a whole file it would scale the numbers and turn them over itself.
    """
    try:
        import SimpleITK
        from pydicom.dataset import Dataset
    except ImportError:
        return None
    if int(whole.get("NumberOfFrames", 1) or 1) > 1:
        return None
    plain = Dataset()
    for keyword in _OF_PIXELS:
        if keyword in whole:
            plain[keyword] = whole[keyword]
    plain.file_meta, plain.PhotometricInterpretation = whole.file_meta, "MONOCHROME2"
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as folder:
        try:
            plain.save_as(f"{folder}/one.dcm", enforce_file_format=True)
            image = SimpleITK.ReadImage(f"{folder}/one.dcm", imageIO="GDCMImageIO")
        except Exception:  # SimpleITK cannot either; what pydicom lacks is then said
            return None
    array = SimpleITK.GetArrayFromImage(image)
    return array[0] if array.ndim == 3 else array

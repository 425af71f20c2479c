"""DICOM SEG: read by where its frames lie, written by highdicom with the patient of its source.

Design choices:
- A frame is put where it says that it lies, or where the picture that it names does; how many frames there are says nothing, for
  empty ones are left out, and each segment has its own.
- A fraction is no label: segments of probabilities are read where each voxel is in or out.
- What is written keeps the patient, study and frame of reference of its source, as the standard has it. That is the only file of
  ours that holds them.

Source: DICOM PS3.3 (2024e), C.8.20 and A.51.
"""

import functools
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import __version__, files
from cnnkit.device.volumes import dicom, dicom_file
from cnnkit.device.volumes.dicom import Series, Stack
from cnnkit.device.volumes.faults import MOST_VOXELS, VolumeError, damaged, missing
from cnnkit.device.volumes.geometry import ROUNDING, Geometry
from cnnkit.device.volumes.placing import onto, within
from cnnkit.device.volumes.segments import (
    Colour,
    Names,
    Segment,
    Together,
    as_tuples,
    colours_for,
    layered,
    plane,
)
from cnnkit.errors import CnnkitError

CLASSES = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}  # Segmentation, Label Map Segmentation
_MAY_BE_EMPTY = (  # attributes of type 2, by the standard
    *("AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex", "PositionReferenceIndicator"),
    *("ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime"),
)
_OTHERS = (".nii", ".gz", ".mha", ".mhd", ".nrrd", ".nhdr")


def is_seg(path: Path | str) -> bool:
    """Say whether a file is a DICOM SEG.

    Raises:
        MissingExtra: it is DICOM, and pydicom is not installed.
    """
    path = Path(path)
    if path.suffix.lower() in _OTHERS or not path.is_file() or not dicom.is_dicom(path):
        return False
    with damaged(path):
        return str(dicom.header(path).get("SOPClassUID", "")) in CLASSES


def segments_of(path: Path | str) -> list[Segment]:
    """Return the segments that a SEG names, from its header.

    Raises:
        VolumeError: it cannot be read.
    """
    with damaged(path):
        return _segments(_opened(path, pixels=False), path)


def sources_of(path: Path | str) -> tuple[set[str], set[str]]:
    """Return what a SEG was drawn on: the UIDs of series, and of pictures, that it names. Neither is to be shown.

    Raises:
        VolumeError: it cannot be read.
    """
    series, pictures = set(), set()
    with damaged(path):
        whole = _opened(path, pixels=False)
        studies = [whole, *(whole.get("StudiesContainingOtherReferencedInstancesSequence") or [])]
        named = [*(whole.get("SourceImageSequence") or [])]
        for one in (one for study in studies for one in study.get("ReferencedSeriesSequence") or []):
            series.add(str(one.get("SeriesInstanceUID", "") or ""))
            named += one.get("ReferencedInstanceSequence") or []
        for frame in whole.get("PerFrameFunctionalGroupsSequence") or []:
            for derived in frame.get("DerivationImageSequence") or []:
                named += derived.get("SourceImageSequence") or []
        pictures = {str(one.get("ReferencedSOPInstanceUID", "") or "") for one in named}
    return series - {""}, pictures - {""}


def extent(path: Path | str) -> Geometry:
    """Return the smallest even grid that has all frames of a SEG.

    Raises:
        VolumeError: it cannot be read, or its frames do not say where they are.
    """
    with damaged(path):
        whole = _opened(path, pixels=False)
        return _grid([_place(whole, k, None, path) for k in range(_count(whole, path))], whole, path)


def read_seg(
    path: Path | str,
    like: Geometry | None = None,
    names: Names | None = None,
    *,
    source: Series | Path | str | None = None,
    tolerance: float = ROUNDING,
) -> tuple[np.ndarray, dict[str, tuple[int, ...]]]:
    """Read a DICOM SEG onto the grid of its volume.

    Args:
        path: its file.
        like: geometry of the volume; None: that of `source`, else the smallest grid that has all frames (`extent`).
        names: label -> its code or codes; None: as the file counts.
        source: the series that it is of, for frames that name pictures and not places.
        tolerance: of the smallest side of a voxel, that a frame may lie apart from a slice.

    Returns:
        Codes (z, y, x), 0 where no frame is; label -> its codes.

    Raises:
        VolumeError: it cannot be read, its frames lie on no slices of the volume, or its segments are not among the names.
        MissingExtra: pydicom is not installed.
    """
    with damaged(path):
        together = _together(path, like, source, tolerance)
    return together.codes(names, path)


def write_seg(
    path: Path | str,
    codes: np.ndarray,
    geometry: Geometry,
    names: Names,
    colours: Mapping[str, Colour] | None = None,
    *,
    source: Series | Path | str,
) -> None:
    """Write a map as DICOM SEG of a series, whole or not at all, with the patient module of its source.

    Args:
        path: `.dcm`.
        codes: (z, y, x), 0 for background.
        geometry: of the map: the series' own, or that turned over.
        names: label -> its code or codes.
        colours: label -> (red, green, blue), 0 to 255.
        source: the series: a folder, a file, or one of `series_in`.

    Raises:
        VolumeError: the map does not lie on the series, or the series lacks what a SEG needs of it.
        MissingExtra: highdicom is not installed.
    """
    try:
        import highdicom
        from pydicom.sr.codedict import codes as known
    except ImportError:
        raise missing(path, "highdicom") from None
    stack = dicom.stacked(source)
    laid = onto(codes, geometry, stack.geometry, path)
    of, shades = as_tuples(names), colours_for(names, colours)
    if not of:
        raise ValueError("a SEG has one segment at least")
    by = highdicom.AlgorithmIdentificationSequence("cnnkit", known.cid7162.ArtificialIntelligence, __version__)
    described = [
        highdicom.seg.SegmentDescription(
            number,
            name[:64],
            known.SCT.Tissue,
            known.SCT.Tissue,
            "AUTOMATIC",
            by,
            display_color=highdicom.color.CIELabColor.from_rgb(*shades[name]),
        )
        for number, name in enumerate(of, 1)
    ]
    if len(layered(of)) == 1:
        pixels = np.zeros(laid.shape, np.uint8 if len(of) < 256 else np.uint16)
        for number, each in enumerate(of.values(), 1):
            pixels[plane(laid, each)] = number
    else:
        pixels = np.stack([plane(laid, each) for each in of.values()], -1).astype(np.uint8)
    sources = _sources(stack)
    if stack.slices[0].frame is not None:
        pixels = _as_frames(pixels, stack, int(sources[0].NumberOfFrames))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote a patient
            written = highdicom.seg.Segmentation(
                sources,
                pixels,
                "BINARY",
                described,
                series_instance_uid=highdicom.UID(),
                series_number=1,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="cnnkit",
                manufacturer_model_name="cnnkit",
                software_versions=__version__,
                device_serial_number="0",
            )
            content = io.BytesIO()
            written.save_as(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        keyword = next((word for word in str(error).split() if word.strip("'\".,").isalpha() and word[:1] == "'"), "")
        lacks = f" ({keyword.strip(chr(39))})" if keyword else ""
        raise VolumeError(
            stack.series.folder, f"a DICOM SEG cannot be made of it{lacks}", "Write its mask as .nii.gz."
        ) from None
    files.write_bytes(path, content.getvalue())


def _sources(stack: Stack) -> list[Any]:
    """Return the data sets of a series, with what may be empty there where it is missing."""
    found = []
    for path in dict.fromkeys(one.path for one in stack.slices):
        whole = dicom_file.whole(path, pixels=False)
        for keyword in _MAY_BE_EMPTY:
            if keyword not in whole:
                setattr(whole, keyword, "")
        found.append(whole)
    return found


def _as_frames(pixels: np.ndarray, stack: Stack, count: int) -> np.ndarray:
    """Return slices as a source of many frames has them."""
    if len({one.path for one in stack.slices}) > 1:
        raise VolumeError(
            stack.series.folder, "a DICOM SEG cannot be made of several files of frames", "Write its mask as .nii.gz."
        )
    placed = np.zeros((count, *pixels.shape[1:]), pixels.dtype)
    for k, one in enumerate(stack.slices):
        placed[one.frame] = pixels[k]
    return placed


# Reading -------------------------------------------------------------------------------------------------------------


def _together(
    path: Path | str, like: Geometry | None, source: Series | Path | str | None, tolerance: float
) -> Together:
    """Read all frames onto a grid."""
    whole = _opened(path, pixels=True)
    segments = _segments(whole, path)
    stack = None if source is None else functools.cache(lambda: dicom.stacked(source))  # few frames ask for it
    if like is None and stack is not None:
        like = stack().geometry
    count = _count(whole, path)
    places = [_place(whole, k, stack, path) for k in range(count)]
    own = _grid(places, whole, path)
    grid = like or own
    if int(np.prod(grid.shape, dtype=object)) > MOST_VOXELS:
        raise VolumeError(path, "its frames lie too far apart", "Is it of this volume?")
    named = {one.value: one.name for one in segments}
    together = Together(grid.shape, [one.name for one in segments])
    frames = _frames(whole, path)
    across = own.matrix[:3, 0]
    for k, (matrix, values) in enumerate(zip(places, frames)):
        if not values.any():
            continue
        table = named
        if whole.get("SegmentationType") != "LABELMAP":
            number = dicom.of_frame(whole, k, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
            if number is None or int(number) not in named:
                raise VolumeError(path, f"its frame {k + 1} is of no segment", "Save it anew.")
            table = {1: named[int(number)]}
        where, turned = _laid(values, matrix, across, grid, tolerance, path)
        strange = together.add(turned, table, where)
        if strange:
            raise VolumeError(path, f"it has voxels of {strange[0]}, which is no segment of it", "Save it anew.")
    return together


def _opened(path: Path | str, *, pixels: bool) -> Any:
    whole = dicom_file.whole(Path(path), pixels=pixels)
    if str(whole.get("SOPClassUID", "")) not in CLASSES:
        raise VolumeError(path, "it is no DICOM SEG", "Check its name.")
    return whole


def _segments(whole: Any, path: Path | str) -> list[Segment]:
    found = []
    try:
        for one in whole.get("SegmentSequence") or []:
            number, name = int(one.SegmentNumber), str(one.get("SegmentLabel", "") or one.SegmentNumber)
            if number == 0 and whole.get("SegmentationType") == "LABELMAP":
                continue  # its background
            found.append(Segment(name, number, 0, _colour(one)))
    except (AttributeError, TypeError, ValueError):
        raise VolumeError(path, "what it says of its segments is damaged", "Save it anew.") from None
    if not found or len({one.value for one in found}) < len(found):
        raise VolumeError(path, "it has no segments, or two of one number", "Save it anew.")
    return found


def _colour(one: Any) -> Colour | None:
    """Return a segment's colour: CIELab as DICOM stores it, by the formulas of CIE 15 with D65 and sRGB."""
    value = one.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return None
    light, a, b = value[0] / 65535 * 100, value[1] / 65535 * 255 - 128, value[2] / 65535 * 255 - 128
    y = (light + 16) / 116
    xyz = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(xyz > 6 / 29, xyz**3, (xyz - 4 / 29) * 3 * (6 / 29) ** 2) * (0.95047, 1.0, 1.08883)
    linear = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ xyz
    linear = linear.clip(0, 1)
    red, green, blue = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear) * 255
    return round(float(red)), round(float(green)), round(float(blue))


def _count(whole: Any, path: Path | str) -> int:
    groups = whole.get("PerFrameFunctionalGroupsSequence")
    count = int(whole.get("NumberOfFrames", 0) or 0)
    if not groups or len(groups) != count:
        raise VolumeError(path, "it does not say what each of its frames is", "Save it anew.")
    return count


def _place(whole: Any, k: int, stack: Callable[[], Stack] | None, path: Path | str) -> np.ndarray:
    """Return where a frame lies: (4, 4) from (0, row, column, 1) to LPS mm; its first column is a normal of length 1."""
    try:
        position = dicom.of_frame(whole, k, "PlanePositionSequence", "ImagePositionPatient")
        axes = dicom.of_frame(whole, k, "PlaneOrientationSequence", "ImageOrientationPatient")
        size = dicom.of_frame(whole, k, "PixelMeasuresSequence", "PixelSpacing")
        if position is None or axes is None or size is None:
            return _by_source(whole, k, stack, path)
        across, down = np.array([float(value) for value in axes]).reshape(2, 3)
        matrix = np.eye(4)
        matrix[:3, 0] = np.cross(across, down)
        matrix[:3, 1], matrix[:3, 2] = down * float(size[0]), across * float(size[1])
        matrix[:3, 3] = [float(value) for value in position]
    except CnnkitError:
        raise
    except (TypeError, ValueError):
        raise VolumeError(path, f"where its frame {k + 1} lies is not a number", "Save it anew.") from None
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise VolumeError(path, f"where its frame {k + 1} lies is not a number", "Save it anew.")
    return matrix


def _by_source(whole: Any, k: int, of: Callable[[], Stack] | None, path: Path | str) -> np.ndarray:
    """Return where the picture lies that a frame was drawn on."""
    if of is None:
        raise VolumeError(path, f"its frame {k + 1} does not say where it lies", "Read it with its series beside it.")
    stack = of()
    groups = whole.PerFrameFunctionalGroupsSequence[k].get("DerivationImageSequence") or []
    uids = set()
    for one in (one for group in groups for one in group.get("SourceImageSequence") or []):
        frames = one.get("ReferencedFrameNumber")
        numbers = [None] if frames is None else [int(n) - 1 for n in (frames if np.iterable(frames) else [frames])]
        uids |= {(str(one.get("ReferencedSOPInstanceUID", "")), number) for number in numbers}
    found = [n for n, one in enumerate(stack.slices) if one.uid in uids]
    if len(found) != 1:
        raise VolumeError(path, f"its frame {k + 1} is of no one picture of the series", "Is it of this series?")
    matrix = stack.geometry.matrix.copy()
    matrix[:3, 3] = stack.geometry.points(np.array([[found[0], 0, 0]]))[0]
    matrix[:3, 0] /= np.linalg.norm(matrix[:3, 0])
    return matrix


def _grid(places: list[np.ndarray], whole: Any, path: Path | str) -> Geometry:
    """Return the smallest even grid that has all frames."""
    if not places:
        raise VolumeError(path, "it has no frames", "Save it anew.")
    matrix = places[0].copy()
    normal = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    along = np.array([float(place[:3, 3] @ normal) for place in places])
    steps = np.diff(np.unique(np.round(along, 4)))
    steps = steps[steps > 1e-3]
    said = [
        dicom.of_frame(whole, 0, "PixelMeasuresSequence", word) for word in ("SpacingBetweenSlices", "SliceThickness")
    ]
    sizes = [float(value) for value in said if value not in (None, "") and float(value) > 0]
    gap = float(steps.min()) if len(steps) else (sizes or [1.0])[0]
    if len(steps) and sizes and np.abs(steps / sizes[0] - np.rint(steps / sizes[0])).max() < ROUNDING:
        gap = sizes[0]  # where only every second slice has a frame
    first = places[int(along.argmin())]
    matrix[:3, 0], matrix[:3, 3] = normal * gap, first[:3, 3]
    count = int(np.rint((along.max() - along.min()) / gap)) + 1
    return Geometry.of(matrix, (count, int(whole.Rows), int(whole.Columns)))


def _laid(
    values: np.ndarray, matrix: np.ndarray, across: np.ndarray, grid: Geometry, tolerance: float, path: Path | str
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the part of a grid that a frame covers, and the frame turned as the grid is."""
    own = matrix.copy()
    normal = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    towards = np.abs(normal @ grid.direction)
    own[:3, 0] = normal * grid.spacing[int(towards.argmax())]
    one = Geometry.of(own, (1, *values.shape))
    found = one.onto(grid, tolerance)
    if found is None:
        raise VolumeError(path, "its frames lie on no slices of its volume", "Is it of this volume?")
    turn, start = found
    turned = turn.apply(values[None])
    if all(s >= 0 and s + n <= side for s, n, side in zip(start, turned.shape, grid.shape)):
        return tuple(slice(s, s + n) for s, n in zip(start, turned.shape)), turned
    placed = within(turned, start, grid.shape)
    if placed is None:
        raise VolumeError(path, "it has labels outside of its volume", "Is it of this volume?")
    return tuple(slice(0, side) for side in grid.shape), placed


def _frames(whole: Any, path: Path | str) -> np.ndarray:
    """Return the frames (n, rows, columns): 0 and 1, or numbers of segments."""
    count, rows, columns = _count(whole, path), int(whole.Rows), int(whole.Columns)
    if count * rows * columns > MOST_VOXELS:
        raise VolumeError(path, f"its header claims {count * rows * columns:,} voxels")
    stored = dicom_file.decoded(whole, Path(path)).reshape(-1, rows, columns)
    if len(stored) != count:
        raise VolumeError(path, "its pixels are damaged or cut off", "Copy it anew.")
    if whole.get("SegmentationType") == "FRACTIONAL":
        most = int(whole.get("MaximumFractionalValue", 255) or 255)
        if np.isin(stored, (0, most), invert=True).any():
            raise VolumeError(path, "its segments are fractions, and no labels", "Save it as a binary one.")
        stored = (stored > 0).astype(np.uint8)
    return stored

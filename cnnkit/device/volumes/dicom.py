"""DICOM series and single pictures, read by pydicom with slices in the order of their positions.

Design choices:
- Where a slice is decides its place: not its file's name, its number, nor its thickness. The gap is measured between positions.
- What is no straight, even stack of one picture a place is refused, in a line that says how it is not: a slice missing, gaps
  that differ, two phases, a tilted gantry. What can be mended without a guess is, and it is said: slices that came twice with
  the same pixels count once, scouts among the slices are left out.
- A file of many frames that say where they are (enhanced CT, MR) is a slice a frame; one of frames that do not is refused.
- Each slice is scaled by its own slope and intercept. Where all come out whole the volume is whole numbers, else float32.
- MONOCHROME1 is turned over, so that more is brighter, but for numbers with a unit of their own (CT, PET): these are not shown
  values.
- Names, numbers and UIDs of patients stay inside: a patient is an opaque key.

Source: DICOM PS3.3 (2024e), C.7.6.1 to C.7.6.3 and C.11.1.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.volumes import dicom_file
from cnnkit.device.volumes.faults import MOST_VOXELS, VolumeError, damaged, unreadable
from cnnkit.device.volumes.geometry import LEANING, Geometry
from cnnkit.device.volumes.values import scaled

UNEVEN = 0.05  # of a gap: gaps that differ by less are rounding
_ROUNDED = 0.11  # mm: so are these, as places are often written with one decimal; but no fifth of a gap is
TILT = 0.1  # degrees, and this share of a pixel over the whole stack: from here on a stack leans
_MOST_FILES = 20_000
_LOOKED_AT = 50  # files of a folder before it is said to have no DICOM
_NO_PICTURES = {"SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "DOC", "FID", "AU"}
_OF_A_UNIT = {"CT", "PT", "NM"}
_DIFFER = {  # what may tell pictures of one place apart
    "TemporalPositionIdentifier": "their time",
    "EchoTime": "their echo time",
    "EchoNumbers": "their echo",
    "DiffusionBValue": "their b-value",
    "TriggerTime": "their trigger time",
    "AcquisitionNumber": "their acquisition",
    "AcquisitionTime": "their time",
    "ContrastBolusAgent": "their contrast",
    "ImageType": "their type",
}
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID", "ImageType", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation", "BitsStored"),
    *("BitsAllocated", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *_DIFFER,
]


@dataclass
class Slice:
    """One picture of a series: its file and the header that came with it."""

    path: Path
    head: Any
    position: np.ndarray | None  # of the first pixel, LPS mm
    axes: np.ndarray | None  # (2, 3): where columns, then rows, count up
    spacing: tuple[float, float] | None  # mm from row to row, from column to column
    frame: int | None = None  # of its file, from 0; None: the file has this picture only

    @property
    def uid(self) -> tuple[str, int | None]:
        """What others call this picture; never shown."""
        return str(self.head.get("SOPInstanceUID", "") or id(self)), self.frame


@dataclass
class Series:
    """The pictures of one DICOM series in a folder, as they were found.

    Attributes:
        folder: where they are.
        slices: in no order.
        modality: "CT", "MR", ...; "" where it is not said.
        patient: a key that tells patients apart and says nothing of them to a reader; None where the file names none. It is not
            to be written: who knows a patient's number could compute it.
        uid: of the series, for those that refer to it; never shown.
    """

    folder: Path
    slices: list[Slice]
    modality: str = ""
    patient: str | None = None
    uid: str = field(default="", repr=False)

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [slice_.path for slice_ in self.slices]


@dataclass
class Stack:
    """A series in order: one slice a place, from the first along the normal to the last.

    Attributes:
        series: the series.
        slices: in the order of their positions.
        geometry: of them.
        oriented: False where a single picture does not say where it is.
        warnings: what was mended, a line each.
    """

    series: Series
    slices: list[Slice]
    geometry: Geometry
    oriented: bool
    warnings: list[str]


def is_dicom(path: Path | str) -> bool:
    """Say whether a file begins as DICOM does; or is called `.dcm`, for old ones begin with nothing."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM" or path.suffix.lower() == ".dcm"
    except OSError:
        return False


def holds_dicom(folder: Path | str) -> bool:
    """Say whether there is DICOM right in a folder, by its first files."""
    inside = sorted(path for path in Path(folder).iterdir() if path.is_file() and not path.name.startswith("."))
    return any(is_dicom(path) for path in inside[:_LOOKED_AT])


def series_in(folder: Path | str) -> list[Series]:
    """Find the series of pictures right in a folder, by their SeriesInstanceUID, in the order of their first files.

    Files that are no DICOM are passed over, and so are those without pictures of a patient (SEG, reports, plans).

    Raises:
        VolumeError: it cannot be read, a DICOM file in it is damaged, or there is none.
        MissingExtra: pydicom is not installed.
    """
    folder = Path(folder)
    try:
        if not folder.exists():
            raise VolumeError(folder, "there is no such folder", "Check its name.")
        inside = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else [folder]
    except OSError as error:
        raise unreadable(folder, error) from None
    inside = [path for path in inside if not path.name.startswith(".") and path.name.upper() != "DICOMDIR"]
    if len(inside) > _MOST_FILES:
        raise VolumeError(folder, f"it has {len(inside):,} files", "Put each series into a folder of its own.")
    found: dict[str, Series] = {}
    for path in inside:
        if folder.is_dir() and not is_dicom(path):
            continue
        with damaged(path):
            head = header(path)
            if not has_picture(path, head):
                continue
            modality, uid = (str(head.get(keyword, "") or "") for keyword in ("Modality", "SeriesInstanceUID"))
            one = found.setdefault(uid, Series(folder, [], modality, patient_of(head), uid))
            one.slices += _frames(path, head) if int(head.get("NumberOfFrames", 1) or 1) > 1 else [_slice(path, head)]
    if not found:
        raise VolumeError(folder, "there is no DICOM picture of a patient in it", "Check its name.")
    return list(found.values())


def extent(source: Path | str | Series, warn: Callable[[str], None] | None = None) -> Geometry:
    """Return the geometry of a series or of one file, from headers; of slices that came twice the pixels are compared.

    Args:
        source: as `read`.
        warn: told in a line, without a name, of each thing that is taken otherwise than it lies there.

    Raises:
        VolumeError: it cannot be read, or is no straight, even stack.
    """
    stack = stacked(source)
    if warn is not None:
        for line in stack.warnings:
            warn(line)
    return stack.geometry


def read(source: Path | str | Series) -> tuple[np.ndarray, Geometry, dict[str, Any]]:
    """Read a series, or one file, as a volume.

    Args:
        source: a folder of one series, a file, or one of `series_in`.

    Returns:
        (z, y, x, 1), z along the normal of the slices, int16 or int32 or another stored type, or float32 where a slope or
        intercept has a fraction; the geometry; "modality", "patient", "oriented" and "warnings".

    Raises:
        VolumeError: as `extent`; or pixels are damaged, compressed in a way that nothing here reads, or colours.
    """
    stack = stacked(source)
    opened: dict[Path, Any] = {}
    planes = [_pixels(slice_, opened) for slice_ in stack.slices]
    kind = np.result_type(*{plane.dtype for plane in planes})
    if kind.kind == "f" or kind.itemsize > 4:
        kind = np.dtype(np.float32)
    array = np.empty((*stack.geometry.shape, 1), kind)
    for k in reversed(range(len(planes))):  # each is let go, so that there is no second volume
        array[k, :, :, 0] = planes.pop()
    facts = {
        "modality": stack.series.modality or None,
        "patient": stack.series.patient,
        "oriented": stack.oriented,
        "warnings": stack.warnings,
    }
    return array, stack.geometry, facts


def stacked(source: Path | str | Series) -> Stack:
    """Put the slices of a series in order, and look whether they are a straight, even stack.

    Raises:
        VolumeError: they are not.
    """
    warnings: list[str] = []
    series = source if isinstance(source, Series) else _only(source, warnings)
    with damaged(series.folder):
        return _stacked(series, warnings)


def _stacked(series: Series, warnings: list[str]) -> Stack:
    name = series.folder
    slices = _without_scouts(series, warnings)
    _alike(slices, name)
    if len(slices) == 1:
        return _single(series, slices[0], warnings)
    unplaced = sum(one.position is None or one.axes is None for one in slices)
    if unplaced:
        raise VolumeError(name, f"{unplaced} of its {len(slices)} slices do not say where they are", "Export it anew.")
    across, down = slices[0].axes  # type: ignore[misc]
    normal = np.cross(across, down)
    slices = sorted(slices, key=lambda one: float(one.position @ normal))  # type: ignore[operator]
    slices = _once(slices, normal, name, warnings)
    if len(slices) == 1:
        return _single(series, slices[0], warnings)
    gap = _gap(slices, normal, name)
    rows, columns = int(slices[0].head.Rows), int(slices[0].head.Columns)
    shape = (len(slices), rows, columns)
    if rows * columns * len(slices) > MOST_VOXELS:
        raise VolumeError(name, f"its headers claim {rows * columns * len(slices):,} voxels", "Export fewer slices.")
    by_row, by_column = slices[0].spacing  # type: ignore[misc]
    _straight(slices, normal, min(by_row, by_column), name)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = normal * gap, down * by_row, across * by_column
    matrix[:3, 3] = slices[0].position
    return Stack(series, slices, Geometry.of(matrix, shape), True, warnings)


# Headers -------------------------------------------------------------------------------------------------------------


def header(path: Path) -> Any:
    """Return what is asked for of a file's header; as `dicom_file.whole`."""
    return dicom_file.whole(path, pixels=False, specific_tags=_TAGS)


def _numbers(head: Any, keyword: str, count: int, path: Path) -> np.ndarray | None:
    """Return the numbers of an attribute; None where it is not there."""
    try:
        value = head.get(keyword)
        if value is None or value == "":
            return None
        numbers = np.array([float(one) for one in ([value] if count == 1 and not _many(value) else value)])
    except Exception:  # texts that are no numbers
        numbers = np.zeros(0)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise VolumeError(path, f"its {keyword} is not {count} number{'s' if count > 1 else ''}", "Export it anew.")
    return numbers


def _many(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _slice(path: Path, head: Any) -> Slice:
    axes = _numbers(head, "ImageOrientationPatient", 6, path)
    if axes is not None:
        axes = axes.reshape(2, 3)
        lengths = np.linalg.norm(axes, axis=1)
        if (np.abs(lengths - 1) > 0.01).any() or abs(float(axes[0] @ axes[1])) > LEANING:
            raise VolumeError(path, "its rows and columns are not at right angles", "Export it anew.")
        axes = axes / lengths[:, None]
        axes[1] -= axes[0] * (axes[0] @ axes[1])
        axes[1] /= np.linalg.norm(axes[1])
    spacing = _numbers(head, "PixelSpacing", 2, path)
    spacing = _numbers(head, "ImagerPixelSpacing", 2, path) if spacing is None else spacing
    if spacing is not None and (spacing <= 0).any():
        raise VolumeError(path, "its pixels are 0 mm wide", "Export it anew.")
    position = _numbers(head, "ImagePositionPatient", 3, path)
    return Slice(path, head, position, axes, None if spacing is None else (float(spacing[0]), float(spacing[1])))


_OF_FRAMES = {  # attributes of a frame's functional groups: where they stand, what they are called in a file of one picture
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {key: key for key in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")},
    "PixelValueTransformationSequence": {key: key for key in ("RescaleSlope", "RescaleIntercept", "RescaleType")},
    "FrameContentSequence": {"TemporalPositionIndex": "TemporalPositionIdentifier"},
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "MRDiffusionSequence": {"DiffusionBValue": "DiffusionBValue"},
}


def of_frame(whole: Any, k: int, sequence: str, keyword: str) -> Any:
    """Return an attribute of a frame's functional groups, else of those that all frames share; None where it has none."""
    groups = [whole.PerFrameFunctionalGroupsSequence[k], *(whole.get("SharedFunctionalGroupsSequence") or [])]
    for group in groups:
        for item in group.get(sequence) or []:
            if item.get(keyword) is not None:
                return item.get(keyword)
    return None


def _frames(path: Path, head: Any) -> list[Slice]:
    """Return a slice for each frame of a file that says where each is; of another file one, which is refused later."""
    full = dicom_file.whole(path, pixels=False)
    count = int(head.NumberOfFrames)
    if len(full.get("PerFrameFunctionalGroupsSequence") or []) != count:
        return [_slice(path, head)]
    found = []
    for k in range(count):
        own = dicom_file.library(path).Dataset()
        own.update({element.tag: element for element in head if element.keyword != "NumberOfFrames"})
        for sequence, keywords in _OF_FRAMES.items():
            for keyword, called in keywords.items():
                value = of_frame(full, k, sequence, keyword)
                if value is not None:
                    setattr(own, called, value)
        one = _slice(path, own)
        one.frame = k
        found.append(one)
    return found


def has_picture(path: Path, head: Any) -> bool:
    """Say by its header whether a file is a picture of a patient, and no SEG, report or plan.

    Raises:
        VolumeError: it is to be one, and is cut off.
    """
    if str(head.get("Modality", "") or "") in _NO_PICTURES:
        return False
    if not head.get("Rows") or not head.get("Columns"):
        raise VolumeError(path, "it is cut off, or has no picture", "Copy it anew, or take it away.")
    return True


def patient_of(head: Any) -> str | None:
    """Return a key of the patient that names nobody; None where a header names none. It is not to be written."""
    number = str(head.get("PatientID", "") or "").strip()
    issuer = str(head.get("IssuerOfPatientID", "") or "").strip()
    who = f"{issuer}\0{number}" if number else ""
    if not who:
        name, birth = (str(head.get(key, "") or "").strip() for key in ("PatientName", "PatientBirthDate"))
        who = f"{name}\0{birth}" if name and birth else ""
    return (
        hashlib.blake2b(who.encode("utf-8", "replace"), digest_size=16, person=b"patient").hexdigest() if who else None
    )


def _only(source: Path | str, warnings: list[str]) -> Series:
    """Return the one series of a folder; scouts in a series of their own are passed over."""
    found = series_in(source)
    if len(found) > 1:
        others = [one for one in found if not all(is_scout(slice_.head) for slice_ in one.slices)]
        if len(others) == 1:
            count = sum(len(one.slices) for one in found) - len(others[0].slices)
            warnings.append(f"{_counted(count, 'scout')} left out")
            found = others
    if len(found) > 1:
        sizes = ", ".join(str(len(one.slices)) for one in found)
        raise VolumeError(
            source, f"it has {len(found)} series (of {sizes} slices)", "Put each series into a folder of its own."
        )
    return found[0]


def _counted(count: int, what: str) -> str:
    return f"{count} {what} was" if count == 1 else f"{count} {what}s were"


# A straight, even stack ----------------------------------------------------------------------------------------------


def is_scout(head: Any) -> bool:
    """Say by its header whether a picture is a scout."""
    kinds = head.get("ImageType") or ()
    return "LOCALIZER" in [str(kind).upper() for kind in ([kinds] if isinstance(kinds, str) else kinds)]


def _without_scouts(series: Series, warnings: list[str]) -> list[Slice]:
    """Leave out scouts among slices: those that say so, or single ones that lie across the rest."""
    slices = series.slices
    rest = [one for one in slices if not is_scout(one.head)]
    if not rest:
        rest = slices
    if len(rest) > 3:
        axes = [None if one.axes is None else tuple(np.round(one.axes.ravel(), 2) + 0.0) for one in rest]
        normals = [None if one.axes is None else np.cross(*one.axes) for one in rest]
        usual = Counter(axes).most_common(1)[0][0]
        main = next(normal for key, normal in zip(axes, normals) if key == usual)
        if main is not None:
            kept = [one for one, n in zip(rest, normals) if n is not None and abs(float(n @ main)) > 0.9]
            if len(kept) < len(rest) <= len(kept) + max(3, len(kept) // 10):
                rest = kept
    if len(rest) < len(slices):
        warnings.append(f"{_counted(len(slices) - len(rest), 'scout')} left out")
    return rest


def _alike(slices: list[Slice], name: Path) -> None:
    """Refuse slices that do not belong together, and pictures of kinds that are no volume."""
    first = slices[0]
    for one in slices:
        if int(one.head.get("NumberOfFrames", 1) or 1) > 1:
            raise VolumeError(
                one.path, "it has several frames that do not say where they are", "Export one file a slice."
            )
        if int(one.head.get("SamplesPerPixel", 1) or 1) > 1 or "MONOCHROME" not in str(
            one.head.get("PhotometricInterpretation", "MONOCHROME2")
        ):
            raise VolumeError(one.path, "its pixels are colours", "Export it in grey.")
        if (one.head.get("Rows"), one.head.get("Columns")) != (first.head.get("Rows"), first.head.get("Columns")):
            raise VolumeError(
                name,
                f"its slices are of different sizes ({first.head.Rows} x {first.head.Columns}, "
                f"{one.head.Rows} x {one.head.Columns} px)",
                "Put each series into a folder of its own.",
            )
    if len(slices) == 1:
        return
    if len({str(one.head.get("FrameOfReferenceUID", "")) for one in slices}) > 1:
        raise VolumeError(name, "its slices are placed in different frames of reference", "Export it anew.")
    if any(one.spacing is None for one in slices):
        raise VolumeError(name, "its slices do not say how wide a pixel is", "Export it anew.")
    sizes = np.array([one.spacing for one in slices])
    if (np.ptp(sizes, axis=0) > 1e-3 * sizes[0]).any():
        raise VolumeError(
            name, "the pixels of its slices are of different widths", "Put each series into its own folder."
        )
    axes = [one.axes for one in slices if one.axes is not None]
    if axes and max(float(np.abs(other - axes[0]).max()) for other in axes) > 0.005:
        raise VolumeError(
            name, "its slices lie in different directions", "Put each direction into a folder of its own."
        )


def _single(series: Series, one: Slice, warnings: list[str]) -> Stack:
    """Return a stack of one slice; one that does not say where it is lies along the patient's axes."""
    shape = (1, int(one.head.Rows), int(one.head.Columns))
    thick = _numbers(one.head, "SpacingBetweenSlices", 1, one.path)
    thick = _numbers(one.head, "SliceThickness", 1, one.path) if thick is None or thick[0] <= 0 else thick
    gap = float(thick[0]) if thick is not None and thick[0] > 0 else 1.0
    by_row, by_column = one.spacing or (1.0, 1.0)
    if one.position is None or one.axes is None:
        return Stack(series, [one], Geometry.plain(shape, (gap, by_row, by_column)), False, warnings)
    across, down = one.axes
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = np.cross(across, down) * gap, down * by_row, across * by_column
    matrix[:3, 3] = one.position
    return Stack(series, [one], Geometry.of(matrix, shape), True, warnings)


def _once(slices: list[Slice], normal: np.ndarray, name: Path, warnings: list[str]) -> list[Slice]:
    """Return one slice a place. Copies count once; other pictures in the same place are refused."""
    along = np.array([float(one.position @ normal) for one in slices])  # type: ignore[operator]
    steps = np.diff(along)
    apart = steps[steps > 1e-3]
    near = 0.02 * float(np.median(apart)) if len(apart) else 1e-3
    places: list[list[Slice]] = [[slices[0]]]
    for one, step in zip(slices[1:], steps):
        if step <= near:
            places[-1].append(one)
        else:
            places.append([one])
    if len(places) == len(slices):
        return slices
    twice = 0
    for place in places:
        uids = {one.uid for one in place}
        if len(uids) > 1 and len({_fingerprint(one) for one in place}) > 1:
            counts = {len(other) for other in places}
            by = _what_differs(place)
            if len(counts) == 1:
                raise VolumeError(
                    name,
                    f"it has {len(place)} pictures at every place{by}",
                    "They are phases, times or echoes: put each into a folder of its own.",
                )
            raise VolumeError(
                name,
                f"it has {len(place)} different pictures at {_place(place[0], normal)}{by}",
                "Put each series into a folder of its own.",
            )
        twice += len(place) - 1
    warnings.append(f"{_counted(twice, 'slice')} there twice, and counted once")
    return [place[0] for place in places]


def _what_differs(place: list[Slice]) -> str:
    for keyword, said in _DIFFER.items():
        if len({str(one.head.get(keyword, "")) for one in place}) > 1:
            return f", which differ in {said}"
    return ""


def _fingerprint(one: Slice) -> bytes:
    plane = _pixels(one)
    return hashlib.sha256(np.ascontiguousarray(plane, np.float64).tobytes()).digest()


def _place(one: Slice, normal: np.ndarray) -> str:
    axis = int(np.abs(normal).argmax())
    return f"{'xyz'[axis]} = {one.position[axis]:.4g} mm"  # type: ignore[index]


def _gap(slices: list[Slice], normal: np.ndarray, name: Path) -> float:
    """Return the distance of neighbouring slices, mm."""
    along = np.array([float(one.position @ normal) for one in slices])  # type: ignore[operator]
    steps = np.diff(along)
    usual = float(
        np.sort(steps)[(len(steps) - 1) // 2]
    )  # of an even number the smaller one: where a slice is missing it is larger
    tolerance = max(UNEVEN * usual, min(_ROUNDED, 0.2 * usual))
    lost = np.rint(steps / usual).astype(int) - 1
    if (lost > 0).any() and (np.abs(steps - (lost + 1) * usual) <= tolerance * (lost + 1)).all():
        first = int((lost > 0).argmax())
        count = int(lost[lost > 0].sum())
        what = "a slice is missing" if count == 1 else f"{count} slices are missing, the first"
        raise VolumeError(name, f"{what} after {_place(slices[first], normal)}", "Export it anew with all its slices.")
    even = np.linspace(along[0], along[-1], len(along))
    if np.abs(steps - usual).max() > tolerance or np.abs(along - even).max() > 2 * tolerance:
        raise VolumeError(
            name,
            f"its slices are unevenly apart, by {steps.min():.4g} to {steps.max():.4g} mm",
            "Export it anew, or resample it to even gaps.",
        )
    return float(along[-1] - along[0]) / (len(along) - 1)


def _straight(slices: list[Slice], normal: np.ndarray, pixel: float, name: Path) -> None:
    """Refuse a stack that leans: the table moved straight, and the slices are tilted against its way."""
    places = np.array([one.position for one in slices])
    way = places[-1] - places[0]
    high = float(way @ normal)
    drift = float(np.linalg.norm(way - high * normal))
    tilt = float(np.degrees(np.arctan2(drift, high)))
    if tilt > TILT and drift > 0.1 * pixel:
        raise VolumeError(
            name, f"its slices lean (gantry tilt {tilt:.3g} degrees)", "Resample it to a straight stack first."
        )
    rest = places - places[0]
    rest = rest - np.outer(rest @ normal, normal)
    if np.linalg.norm(rest, axis=1).max() > 0.5 * pixel:
        raise VolumeError(name, "its slices are shifted against each other", "Resample it to a straight stack first.")


# Pixels --------------------------------------------------------------------------------------------------------------


def _pixels(one: Slice, opened: dict[Path, Any] | None = None) -> np.ndarray:
    """Return the values of one slice: (rows, columns), scaled, more is brighter. `opened`: files of many frames, kept there."""
    with damaged(one.path):
        return _values(one, {} if opened is None else opened)


def _values(one: Slice, opened: dict[Path, Any]) -> np.ndarray:
    data = opened.get(one.path) or dicom_file.whole(one.path)
    if one.frame is not None:
        opened[one.path] = data
    head = one.head
    stored = dicom_file.decoded(data, one.path, one.frame)
    if stored.shape != (int(head.Rows), int(head.Columns)):
        raise VolumeError(one.path, f"its pixels are of the shape {stored.shape}", "Export it anew.")
    if str(head.get("PhotometricInterpretation", "")) == "MONOCHROME1" and head.get("Modality") not in _OF_A_UNIT:
        stored = _turned_over(stored, int(head.get("BitsStored", 16)), int(head.get("PixelRepresentation", 0)))
    if data.get("ModalityLUTSequence"):
        try:
            return np.asarray(dicom_file.library(one.path).pixels.apply_modality_lut(stored, data))
        except Exception:  # pydicom raises what its parts do
            raise VolumeError(one.path, "the table of its values is damaged", "Export it anew.") from None
    slope, intercept = (_numbers(head, f"Rescale{part}", 1, one.path) for part in ("Slope", "Intercept"))
    by = 1.0 if slope is None else float(slope[0]) or 1.0
    return scaled(stored, by, 0.0 if intercept is None else float(intercept[0]))


def _turned_over(stored: np.ndarray, bits: int, signed: int) -> np.ndarray:
    if stored.dtype.kind == "f":
        return -stored
    return (-1 - stored if signed else (2**bits - 1) - stored.astype(np.int64)).astype(stored.dtype)

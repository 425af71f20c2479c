"""Masks of volumes: read onto their volume by geometry, written so that they open over it.

Design choices:
- A mask lies where its own header says. If that is its volume's grid, but for rounding, or that grid turned over, it is laid on
  it without resampling; if not, it is refused by name: a mask of the same size elsewhere is no mask of this volume.
- Numbers that are nearly whole are rounded, others refused: a label that was saved through floats is one still, 1.5 is none.
- Segments that a file names are known by these names.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cnnkit.device.volumes import nifti, seg, seg_nrrd, simpleitk
from cnnkit.device.volumes.dicom import Series
from cnnkit.device.volumes.faults import VolumeError, shown
from cnnkit.device.volumes.geometry import ROUNDING, Geometry
from cnnkit.device.volumes.placing import onto
from cnnkit.device.volumes.reading import NIFTI, read_volume, suffix_of
from cnnkit.device.volumes.segments import Colour, Names, Segment, Together, as_tuples, narrow, quoted
from cnnkit.device.volumes.values import whole


def segments_of(path: Path | str) -> list[Segment] | None:
    """Return the segments that a mask names, from its header alone; None where it has numbers only.

    Raises:
        VolumeError, MissingExtra: it cannot be read.
    """
    return seg.segments_of(path) if seg.is_seg(path) else seg_nrrd.segments_of(path)


def read_labels(
    path: Path | str,
    like: Geometry | None = None,
    names: Names | None = None,
    *,
    tolerance: float = ROUNDING,
    resample: bool = False,
    source: Series | Path | str | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[np.ndarray, dict[str, tuple[int, ...]] | None]:
    """Read a mask, laid on the grid of its volume.

    Args:
        path: NIfTI, MHA, NRRD, `.seg.nrrd` or DICOM SEG.
        like: geometry of the volume; None: the mask's own (`extent_of`).
        names: label -> its code, or its codes where labels overlap. Segments of a file are then given these codes; numbers of
            other files have to be among them, or 0. None: codes as the file has them.
        tolerance: of the smallest side of a voxel, that a mask may lie apart from its volume.
        resample: take the nearest voxel of a mask whose grid is another one, rather than refuse it.
        source: of a DICOM SEG: its series, for frames that name their pictures and not their places.
        warn: told in a line, with the file's name, that numbers were rounded.

    Returns:
        Codes (z, y, x), uint8, int16 or int32, 0 for background; and label -> its codes, where the file or `names` names labels,
        else None.

    Raises:
        VolumeError: it cannot be read, has numbers that are no labels or not among the names, or does not lie on its volume.
        MissingExtra: it needs a package that is not installed.
    """
    if seg.is_seg(path):
        return seg.read_seg(path, like, names, source=source, tolerance=tolerance)
    segments = seg_nrrd.segments_of(path)
    if segments is not None:
        layers, geometry, segments = seg_nrrd.read(path)
        together = Together(geometry.shape, [one.name for one in segments])
        for k in range(layers.shape[3]):
            named = {one.value: one.name for one in segments if one.layer == k}
            strange = together.add(whole(layers[..., k], path), named)
            if strange:
                raise VolumeError(
                    path, f"it has voxels of {strange[0]}, which no segment of its header is", "Save it anew."
                )
        codes, of = together.codes(names, path)
        return onto(codes, geometry, like, path, tolerance=tolerance, resample=resample, part=True), of
    volume = read_volume(path, channels=1)
    codes = narrow(whole(volume.array[..., 0], path))
    if warn is not None and volume.array.dtype.kind == "f" and (codes != volume.array[..., 0]).any():
        warn(f"{shown(path)}: its labels are nearly whole numbers, and were rounded.")
    labels = None
    if names is not None:
        labels = as_tuples(names)
        known = {0, *(code for each in labels.values() for code in each)}
        strange = sorted(set(np.unique(codes).tolist()) - known)
        if strange:
            raise VolumeError(
                path,
                f"it has voxels of {', '.join(map(str, strange[:5]))}, and the labels are {quoted(*labels)}",
                "Name them, or mend the mask.",
            )
    return onto(codes, volume.geometry, like, path, tolerance=tolerance, resample=resample), labels


def ending_for(source: Path | str | Series) -> str:
    """Return the ending of the file that an answer to a volume is written to: the volume's own, `.dcm` for DICOM."""
    if isinstance(source, Series) or Path(source).is_dir():
        return ".dcm"
    ending = suffix_of(source)
    changed = {".mhd": ".mha", ".nhdr": ".nrrd", ".seg.nhdr": ".nrrd", ".seg.nrrd": ".nrrd"}
    return changed.get(ending, ending if ending in (*NIFTI, *simpleitk.SUFFIXES) else ".dcm")


def write_labels(
    path: Path | str,
    codes: np.ndarray,
    geometry: Geometry,
    names: Names | None = None,
    colours: Mapping[str, Colour] | None = None,
    *,
    source: Series | Path | str | None = None,
) -> None:
    """Write a map of codes, whole or not at all, in the format that the name ends in; it opens over its volume.

    Args:
        path: `.nii`, `.nii.gz`, `.mha`, `.nrrd`; `.seg.nrrd` or `.dcm`, which hold names and colours.
        codes: (z, y, x), whole numbers, 0 for background.
        geometry: of the map: the volume's.
        names: label -> its code or codes; needed for `.seg.nrrd` and `.dcm`.
        colours: label -> (red, green, blue), 0 to 255.
        source: the volume's file or series; needed for `.dcm`. Of a NIfTI, what its forms are relative to is kept.

    Raises:
        VolumeError: the ending is of no format, or what the format needs is missing.
        MissingExtra: it needs a package that is not installed.
    """
    codes = narrow(codes)
    ending = suffix_of(path)
    if ending in NIFTI:
        forms = (1, 1)
        if source is not None and not isinstance(source, Series) and suffix_of(source) in NIFTI:
            forms = nifti.read_header(source).forms
        nifti.write(path, codes, geometry, forms=forms)
    elif ending in (".seg.nrrd", ".dcm") and names is None:
        raise ValueError(f"{ending} needs the names of labels")
    elif ending == ".seg.nrrd":
        seg_nrrd.write(path, codes, geometry, names or {}, colours)
    elif ending in simpleitk.SUFFIXES:
        simpleitk.write(path, codes, geometry)
    elif ending == ".dcm":
        if source is None:
            raise VolumeError(path, "a DICOM SEG belongs to a DICOM series", "Write it as .nii.gz.")
        seg.write_seg(path, codes, geometry, names or {}, colours, source=source)
    else:
        raise VolumeError(path, "its name ends in no format of volumes", "Call it .nii.gz, .mha, .nrrd or .dcm.")

"""Segmentations of 3D Slicer, `.seg.nrrd`: names, numbers and colours stand in the header.

A segment is known by its name: numbers are given anew in each file. Overlapping segments lie in layers, along a first axis. Such
a file may cover a part of its volume only.

Source: 3D Slicer's user guide, Segmentations, "Segmentation file format (.seg.nrrd)"; older ones have a layer a segment.
"""

import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnkit import files
from cnnkit.device.volumes import simpleitk
from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.headers import NRRD, read_text
from cnnkit.device.volumes.segments import Colour, Names, Segment, as_tuples, colours_for, layered, plane

_MOST = 10_000  # segments


def segments_of(path: Path | str) -> list[Segment] | None:
    """Return the segments that the header of an NRRD file names; None where it names none.

    Raises:
        VolumeError: it cannot be read, or two segments have the same number.
    """
    if Path(path).suffix.lower() not in NRRD:
        return None
    said = read_text(path)
    numbers = sorted(int(found[1]) for key in said if (found := re.fullmatch(r"Segment(\d{1,6})_Name", key)))
    if not numbers:
        return None
    if len(numbers) > _MOST:
        raise VolumeError(path, f"it names {len(numbers):,} segments")
    segments = []
    for k in numbers:
        value, layer = said.get(f"Segment{k}_LabelValue"), said.get(f"Segment{k}_Layer")
        try:  # before layers had numbers, each segment was a layer
            whole = (1 if value is None else int(value)), (k if layer is None and value is None else int(layer or 0))
        except ValueError:
            raise VolumeError(path, f"the number of its segment {k} is none") from None
        segments.append(Segment(said[f"Segment{k}_Name"], *whole, _colour(said.get(f"Segment{k}_Color", ""))))
    places = [(one.layer, one.value) for one in segments]
    if len(set(places)) < len(places) or any(one.value == 0 or one.layer < 0 for one in segments):
        raise VolumeError(path, "two of its segments have the same number, or one has 0", "Save it anew.")
    return segments


def _colour(text: str) -> Colour | None:
    try:
        red, green, blue = (round(255 * min(max(float(part), 0.0), 1.0)) for part in text.split())
    except (ValueError, OverflowError):
        return None
    return red, green, blue


def read(path: Path | str) -> tuple[np.ndarray, Geometry, list[Segment]]:
    """Read the layers: whole numbers (z, y, x, layers), their geometry, and the segments.

    Raises:
        VolumeError: it cannot be read, or a segment is in a layer that is not there.
        MissingExtra: SimpleITK is not installed.
    """
    segments = segments_of(path) or []
    layers, geometry = simpleitk.read(path)
    if any(one.layer >= layers.shape[3] for one in segments):
        raise VolumeError(path, f"a segment is in a layer beyond its {layers.shape[3]}", "Save it anew.")
    return layers, geometry, segments


def write(
    path: Path | str,
    codes: np.ndarray,
    geometry: Geometry,
    names: Names,
    colours: Mapping[str, Colour] | None = None,
) -> None:
    """Write a map for 3D Slicer, with names and colours, packed, whole or not at all.

    Args:
        path: `.seg.nrrd`.
        codes: (z, y, x), 0 for background.
        geometry: of it.
        names: label -> its codes. Labels that overlap go into layers of their own.
        colours: label -> (red, green, blue), 0 to 255; None, or one left out: a colour is chosen.

    Raises:
        VolumeError: a name has a line break in it.
    """
    if codes.shape != geometry.shape:
        raise ValueError(f"a map of {codes.shape} is not of the geometry {geometry.shape}")
    of, layers = as_tuples(names), layered(names) or [[]]
    for name in of:
        if not name.isprintable():
            raise VolumeError(path, "the name of a label has a line break or the like in it", "Call it otherwise.")
    most = max((len(layer) for layer in layers), default=0)
    kind = np.dtype("u1" if most < 256 else "<u2")
    several = len(layers) > 1
    sides = geometry.shape[::-1]
    head = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {'unsigned char' if kind.itemsize == 1 else 'unsigned short'}",
        f"dimension: {4 if several else 3}",
        "space: left-posterior-superior",
        f"sizes: {f'{len(layers)} ' if several else ''}{' '.join(map(str, sides))}",
        "space directions: " + ("none " if several else "") + " ".join(map(_vector, geometry.matrix[:3, [2, 1, 0]].T)),
        f"kinds: {'list ' if several else ''}domain domain domain",
        *(["endian: little"] if kind.itemsize > 1 else []),
        "encoding: gzip",
        f"space origin: {_vector(geometry.matrix[:3, 3])}",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    shades = colours_for(of, colours)
    extent = " ".join(f"0 {side - 1}" for side in sides)
    places = {name: (value, layer) for layer, inside in enumerate(layers) for value, name in enumerate(inside, 1)}
    for k, name in enumerate(of):
        value, layer = places[name]
        head += [
            f"Segment{k}_ID:=Segment_{k + 1}",
            f"Segment{k}_Name:={name}",
            f"Segment{k}_NameAutoGenerated:=0",
            f"Segment{k}_Color:={' '.join(f'{part / 255:.6g}' for part in shades[name])}",
            f"Segment{k}_ColorAutoGenerated:=0",
            f"Segment{k}_LabelValue:={value}",
            f"Segment{k}_Layer:={layer}",
            f"Segment{k}_Extent:={extent}",
        ]
    packer = zlib.compressobj(4, zlib.DEFLATED, 31)
    with files.atomic(path) as file:
        file.write("\n".join(head).encode() + b"\n\n")
        for part in codes:  # a slice at a time, so that memory holds no second map
            slices = np.zeros((*part.shape, len(layers)), kind)
            for layer, inside in enumerate(layers):
                for value, name in enumerate(inside, 1):
                    slices[plane(part, of[name]), layer] = value
            file.write(packer.compress(slices.tobytes()))
        file.write(packer.flush())


def _vector(values: np.ndarray) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"

"""NIfTI-1 and NIfTI-2 in one file, `.nii` and `.nii.gz`, read and written by their published layout.

Design choices:
- SimpleITK reads NaN of a NIfTI as 0 and takes one of two quarrelling forms without a word, so it does not read these. What this
  reader takes, it reads as SimpleITK does.
- A header alone is read for what a header says: of a `.nii.gz` its first kilobytes.
- Of a packed file no more is unpacked than its header claims, and a header that claims more than its file can hold is refused
  before anything is set aside for it.
- Where a file has both forms (sform and qform), they have to agree: they are two hands that tell where left is.
- Files are written with both forms, equal, so that no reader takes another one.

Source: nifti1.h (NIfTI-1.1, 2007) and nifti2.h (2011), NIfTI Data Format Working Group.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnnkit import files
from cnnkit.device.volumes.faults import MOST_VOXELS, VolumeError, unreadable
from cnnkit.device.volumes.geometry import LEANING, ROUNDING, Geometry
from cnnkit.device.volumes.packed import MAGIC, RATIO, Damaged, pieces
from cnnkit.device.volumes.values import scaled

_KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_CODES = {np.dtype(kind): code for code, kind in _KINDS.items()}
_OTHER = {
    1: "bits",
    32: "complex numbers",
    128: "colours",
    1536: "128-bit floats",
    1792: "complex numbers",
    2304: "colours",
}
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # of one unit of length: unknown, m, mm, micrometre
_TIMES = (8, 16, 24)  # units of the fourth axis: s, ms, us
_VECTOR = 1007  # intent: each voxel has several values, along the fifth axis
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SPARE = 1 << 20  # bytes behind the last voxel that are unpacked, to see the checksum
_LEVEL = 4  # of zlib: 6 takes up to four times as long for a twentieth less
_MOST_BEFORE = 64 << 20  # bytes before the first voxel


@dataclass(frozen=True)
class Header:
    """What the header of a NIfTI file says.

    Attributes:
        geometry: of its voxels.
        channels: values a voxel.
        kind: NumPy's type of the stored numbers, with its byte order.
        start: byte of the first voxel.
        slope, intercept: of the stored numbers; 1 and 0 where they are values already.
        oriented: False where the file does not say how it lies in the patient.
        forms: (qform_code, sform_code).
        vector: the channels are values of a voxel by the file's own word, and not pictures in a row.
        seconds: the fourth axis has a unit of time.
    """

    geometry: Geometry
    channels: int
    kind: np.dtype
    start: int
    slope: float
    intercept: float
    oriented: bool
    forms: tuple[int, int]
    vector: bool
    seconds: bool


def read_header(path: Path | str) -> Header:
    """Read the header alone.

    Raises:
        VolumeError: it is missing or no NIfTI, its forms quarrel, its axes are not at right angles, or it claims the impossible.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(4096)
            size = file.seek(0, 2)
    except OSError as error:
        raise unreadable(path, error) from None
    return _header(data, size, path)


def read(path: Path | str) -> tuple[np.ndarray, Header]:
    """Read the voxels, scaled as the header says.

    Returns:
        (z, y, x, channels), of the stored type or, where it is scaled, of int16, int32 or float32; NaN is not looked for. And
        the header.

    Raises:
        VolumeError: as `read_header`; or the file is cut off or damaged.
    """
    try:
        with Path(path).open("rb") as file:
            first = file.read(4096)
            head = _header(first, file.seek(0, 2), path)
            shape = (head.channels, *head.geometry.shape)
            count = int(np.prod(shape)) * head.kind.itemsize
            file.seek(0)
            raw = np.empty(count, np.uint8)
            found = (_unpacked if _is_packed(first) else _plain)(file, head.start, raw)
    except OSError as error:
        raise unreadable(path, error) from None
    except Damaged as error:
        raise VolumeError(path, str(error), "Copy it anew.") from None
    if found < count:
        raise VolumeError(
            path, f"it is cut off: {found:,} bytes of voxels are there, and {count:,} are due", "Copy it anew."
        )
    stored = raw.view(head.kind).reshape(shape)
    stored = np.ascontiguousarray(np.moveaxis(stored, 0, -1), stored.dtype.newbyteorder("="))
    return scaled(stored, head.slope, head.intercept), head


def write(
    path: Path | str,
    array: np.ndarray,
    geometry: Geometry,
    *,
    forms: tuple[int, int] = (1, 1),
    name: str = "",
) -> None:
    """Write voxels with their geometry, whole or not at all; packed where the name ends in `.gz`.

    Args:
        path: `.nii` or `.nii.gz`.
        array: (z, y, x) or (z, y, x, channels), any whole numbers or floats.
        geometry: of it.
        forms: what the two forms are said to be relative to: 1 the scanner, 2 another volume, 3 and 4 atlases.
        name: up to 15 characters of what it is.
    """
    array = array[..., None] if array.ndim == 3 else array
    if array.shape[:3] != geometry.shape:
        raise ValueError(f"an array of {array.shape[:3]} is not of the geometry {geometry.shape}")
    plain = array.astype(np.uint8) if array.dtype == bool else array
    plain = plain.astype(np.float32) if plain.dtype == np.float16 else plain
    channels = plain.shape[3]
    sides = [*geometry.shape[::-1], *([1, channels] if channels > 1 else [])]
    affine = _TO_LPS @ geometry.matrix[:, [2, 1, 0, 3]]
    size = np.linalg.norm(affine[:3, :3], axis=0)
    flip, quaternion = _quaternion(affine[:3, :3] / size)
    forms = (max(forms[0], 1), max(forms[1], 1))
    code = _CODES[plain.dtype.newbyteorder("=")]
    intent = _VECTOR if channels > 1 else 0
    text = name.encode("ascii", "replace")[:15]
    if max(sides) < 2**15:
        head = bytearray(352)
        struct.pack_into("<i", head, 0, 348)
        struct.pack_into("<8h", head, 40, len(sides), *sides, *[1] * (7 - len(sides)))
        struct.pack_into("<3h", head, 68, intent, code, 8 * plain.dtype.itemsize)
        struct.pack_into("<8f", head, 76, flip, *size, *[1.0] * 4)
        struct.pack_into("<3f", head, 108, 352, 1, 0)
        head[123] = 2
        struct.pack_into("<2h6f", head, 252, *forms, *quaternion, *affine[:3, 3])
        struct.pack_into("<12f", head, 280, *affine[:3].ravel())
        head[328 : 328 + len(text)] = text
        head[344:348] = b"n+1\0"
    else:
        head = bytearray(544)
        struct.pack_into("<i8s2h", head, 0, 540, b"n+2\0\r\n\x1a\n", code, 8 * plain.dtype.itemsize)
        struct.pack_into("<8q", head, 16, len(sides), *sides, *[1] * (7 - len(sides)))
        struct.pack_into("<8d", head, 104, flip, *size, *[1.0] * 4)
        struct.pack_into("<q2d", head, 168, 544, 1, 0)
        struct.pack_into("<2i6d", head, 344, *forms, *quaternion, *affine[:3, 3])
        struct.pack_into("<12d", head, 400, *affine[:3].ravel())
        struct.pack_into("<3i", head, 500, 2, intent, 0)
        head[508 : 508 + len(text)] = text
    little = plain.dtype.newbyteorder("<")
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31) if str(path).lower().endswith(".gz") else None
    with files.atomic(path) as file:
        file.write(packer.compress(bytes(head)) if packer else bytes(head))
        for channel in range(channels):
            for slab in plain[..., channel]:  # a slice at a time, so that memory holds no second volume
                content = np.ascontiguousarray(slab, little).tobytes()
                file.write(packer.compress(content) if packer else content)
        if packer:
            file.write(packer.flush())


# The header ----------------------------------------------------------------------------------------------------------


def _is_packed(data: bytes) -> bool:
    return data.startswith(MAGIC)


def _header(data: bytes, size: int, path: Path | str) -> Header:
    """Read a header from the first bytes of a file of `size` bytes."""
    packed = _is_packed(data)
    if packed:
        data = _first(data, path)
    said = _fields(data, path)
    dim = said["dim"]
    if not 1 <= dim[0] <= 7 or any(side < 1 for side in dim[1 : dim[0] + 1]):
        raise VolumeError(path, "its header claims sides that cannot be")
    sides = [*dim[1 : dim[0] + 1], *[1] * (7 - dim[0])]
    if max(sides[5:]) > 1 or min(sides[3], sides[4]) > 1:
        raise VolumeError(
            path,
            f"it has {dim[0]} axes ({' x '.join(map(str, sides[: dim[0]]))})",
            "Save a volume of three axes a file.",
        )
    channels = sides[3] * sides[4]
    count = int(np.prod([int(side) for side in sides], dtype=object))
    if said["datatype"] not in _KINDS:
        what = _OTHER.get(said["datatype"], f"numbers of the kind {said['datatype']}")
        raise VolumeError(path, f"its voxels are {what}", "Save it with whole numbers or floats.")
    kind = np.dtype(said["order"] + _KINDS[said["datatype"]])
    start = said["vox_offset"]
    start = int(start) if np.isfinite(start) else -1
    if not 0 <= start <= _MOST_BEFORE:
        raise VolumeError(path, "its header says a wrong place of the first voxel")
    start = max(start, said["length"])
    if count > MOST_VOXELS:
        raise VolumeError(path, f"its header claims {count:,} voxels", "Cut it, or save it at a coarser spacing.")
    if start + count * kind.itemsize > size * (RATIO if packed else 1) + (1024 if packed else 0):
        raise VolumeError(
            path, f"it is cut off: {size:,} bytes cannot hold the {count:,} voxels of its header", "Copy it anew."
        )
    slope, intercept = said["scale"]
    if slope == 0 or not np.isfinite(slope):  # no scaling, by the standard
        slope, intercept = 1.0, 0.0
    elif not np.isfinite(intercept):
        raise VolumeError(path, "the intercept of its values is not a number")
    geometry, oriented = _geometry(said, sides[:3], path)
    seconds = sides[3] > 1 and said["units"] & 0x38 in _TIMES
    return Header(geometry, channels, kind, start, slope, intercept, oriented, said["forms"], sides[4] > 1, seconds)


def _fields(data: bytes, path: Path | str) -> dict[str, Any]:
    """Return what is needed of the header's fields."""
    for order in "<>":
        length = struct.unpack_from(order + "i", data)[0] if len(data) >= 4 else 0
        if length == 348 and len(data) >= 348:
            one = lambda form, place: struct.unpack_from(order + form, data, place)  # noqa: B023, E731
            magic = data[344:348]
            if magic == b"ni1\0":
                raise VolumeError(path, "it is half of a pair of files", "Save it as one file, .nii.gz.")
            if magic != b"n+1\0":
                raise VolumeError(path, "it is Analyze 7.5, which does not say where left is", "Save it as NIfTI.")
            forms, rest = one("2h", 252), one("6f", 256)
            return {
                "order": order,
                "length": 348,
                "dim": one("8h", 40),
                "datatype": one("h", 70)[0],
                "pixdim": one("8f", 76),
                "vox_offset": one("f", 108)[0],
                "scale": one("2f", 112),
                "units": data[123],
                "forms": forms,
                "quaternion": rest[:3],
                "offset": rest[3:],
                "rows": one("12f", 280),
            }
        if length == 540 and len(data) >= 540 and data[4:7] == b"n+2":
            one = lambda form, place: struct.unpack_from(order + form, data, place)  # noqa: B023, E731
            forms, rest = one("2i", 344), one("6d", 352)
            return {
                "order": order,
                "length": 540,
                "dim": one("8q", 16),
                "datatype": one("h", 12)[0],
                "pixdim": one("8d", 104),
                "vox_offset": one("q", 168)[0],
                "scale": one("2d", 176),
                "units": one("i", 500)[0],
                "forms": forms,
                "quaternion": rest[:3],
                "offset": rest[3:],
                "rows": one("12d", 400),
            }
    raise VolumeError(path, "it is no NIfTI file, or cut off")


def _geometry(said: dict[str, Any], sides: list[int], path: Path | str) -> tuple[Geometry, bool]:
    """Return where the voxels are, and whether the file says how they lie in the patient."""
    shape = sides[::-1]
    unit = _MILLIMETRES.get(said["units"] & 7, 1.0)
    size = np.abs(np.array(said["pixdim"][1:4], float))
    quaternion, offset = (np.array(said[key], float) for key in ("quaternion", "offset"))
    rows = np.array(said["rows"], float).reshape(3, 4)
    has_q, has_s = (code > 0 for code in said["forms"])
    used = [*([size, quaternion, offset] if has_q else []), *([rows.ravel()] if has_s else [])] or [size]
    if not all(np.isfinite(values).all() for values in used):
        raise VolumeError(path, "where it lies is not a number", "Write its header anew.")
    if not has_s and (size == 0).any():
        raise VolumeError(path, "its voxels are 0 mm wide", "Write its header anew.")

    def placed(matrix: np.ndarray) -> Geometry:
        whole = np.eye(4)
        whole[:3] = matrix * unit
        return Geometry.of((_TO_LPS @ whole)[:, [2, 1, 0, 3]], shape)

    by_q = by_s = None
    if has_q:
        turned = _rotation(quaternion) * [1, 1, -1 if said["pixdim"][0] < 0 else 1]
        by_q = placed(np.column_stack([turned * size, offset]))
    if has_s:
        if abs(np.linalg.det(rows[:, :3])) < 1e-12 * max(1e-12, np.abs(rows[:, :3]).max() ** 3):
            raise VolumeError(path, "its sform has no volume", "Write its header anew.")
        by_s = placed(rows)
        if by_s.leaning > LEANING:
            raise VolumeError(path, "its axes are not at right angles", "Resample it to a straight grid.")
    if by_q and by_s and not by_q.same(by_s, ROUNDING):
        raise VolumeError(
            path,
            f"its two forms (sform and qform) tell of places {_apart(by_q, by_s):.4g} mm apart",
            "Find out which is right, and write its header anew.",
        )
    if by_s and not by_q and (size > 0).all():
        apart = np.abs(np.array(by_s.spacing)[::-1] - size * unit) * np.array(sides)
        if (apart > np.maximum(ROUNDING * size * unit, 1e-3 * size * unit * np.array(sides))).any():
            raise VolumeError(
                path,
                f"its voxels are {_sizes(size * unit)} mm, and by its sform {_sizes(by_s.spacing[::-1])} mm",
                "Find out which is right, and write its header anew.",
            )
    found = by_s or by_q
    if found:
        return found, True
    return placed(np.column_stack([np.diag(size * [-1, -1, 1]), np.zeros(3)])), False  # as SimpleITK has it


def _apart(one: Geometry, other: Geometry) -> float:
    return max(one.apart(other), float(np.linalg.norm(one.matrix[:3, :3] - other.matrix[:3, :3], axis=0).max()))


def _sizes(values: Any) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) of a unit quaternion whose first number is left out."""
    b, c, d = quaternion
    rest = 1 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn: rounding may have made it too long
        b, c, d = quaternion / np.linalg.norm(quaternion)
        rest = 0.0
    a = np.sqrt(rest)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _quaternion(direction: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the sign of the third axis and the last three numbers of the unit quaternion of a direction matrix (3, 3)."""
    left, _, right = np.linalg.svd(direction)
    turned = left @ right  # the nearest one at right angles
    flip = 1.0 if np.linalg.det(turned) > 0 else -1.0
    r = turned * [1, 1, flip]
    symmetric = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    longest = np.linalg.eigh(symmetric)[1][:, -1]  # Bar-Itzhack 2000; stable for half turns too
    longest = longest if longest[3] >= 0 else -longest
    return flip, longest[:3]


def _first(data: bytes, path: Path | str) -> bytes:
    """Unpack the first kilobyte of a packed file, of its first bytes."""
    found = b""
    try:
        for piece in pieces(io.BytesIO(data)):
            found += piece
            if len(found) >= 1024:
                break
    except Damaged as error:
        if len(found) < 540:
            raise VolumeError(path, str(error), "Copy it anew.") from None
    return found


def _plain(file: IO[bytes], start: int, raw: np.ndarray) -> int:
    """Read bytes from `start` into an array; return how many were there."""
    file.seek(start)
    return file.readinto(raw)  # type: ignore[attr-defined, no-any-return]


def _unpacked(file: IO[bytes], start: int, raw: np.ndarray) -> int:
    """Unpack bytes from `start` into an array; return how many were there. The file is looked through to its checksum."""
    place = -start
    for piece in pieces(file):
        inside = piece[max(0, -place) : max(0, len(raw) - place)]
        at = max(0, place)
        raw[at : at + len(inside)] = np.frombuffer(inside, np.uint8)
        place += len(piece)
        if place >= len(raw) + _SPARE:
            break
    return max(0, min(place, len(raw)))

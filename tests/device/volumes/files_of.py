"""Volumes of tests, made byte by byte or by the packages that others use; no file of anyone."""

import gzip
import itertools
import struct

import numpy as np

CODES = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int8": 256, "uint16": 512, "uint32": 768}
TO_LPS = np.diag([-1.0, -1, 1, 1])


def rotated(angles=(0.2, -0.3, 0.4)):
    """A rotation (3, 3) about x, y, z by angles in radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        matrix = one @ matrix
    return matrix


def affine(spacing=(0.8, 0.9, 3.0), origin=(-11.0, 7.0, 30.0), direction=None):
    """From x, y, z to millimetres."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if direction is None else direction) * spacing
    matrix[:3, 3] = origin
    return matrix


def directions():
    """Directions of volumes: all 48 ways to lie along the patient's axes, and some that lie across."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield np.eye(3)[:, order] * signs
    yield rotated()
    yield rotated((1.1, 0.7, -2.0)) * (1, 1, -1)


def quaternion(direction):
    """(b, c, d) and the sign of the third axis: by the standard's own formula where it is well behaved, else by trying."""
    flip = 1.0 if np.linalg.det(direction) > 0 else -1.0
    r = direction * (1, 1, flip)
    a = np.sqrt(max(0, 1 + np.trace(r))) / 2
    if a > 0.05:
        return np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / (4 * a), flip
    b, c, d = np.sqrt(np.maximum(0, 1 + np.diag(r) - (np.trace(r) - np.diag(r)))) / 2
    if b >= max(c, d):
        return np.array([b, (r[0, 1] + r[1, 0]) / (4 * b), (r[0, 2] + r[2, 0]) / (4 * b)]), flip
    if c >= d:
        return np.array([(r[0, 1] + r[1, 0]) / (4 * c), c, (r[1, 2] + r[2, 1]) / (4 * c)]), flip
    return np.array([(r[0, 2] + r[2, 0]) / (4 * d), (r[1, 2] + r[2, 1]) / (4 * d), d]), flip


def nifti(
    path,
    voxels,
    *,
    qform=None,
    sform=None,
    order="<",
    version=1,
    slope=0.0,
    inter=0.0,
    units=2,
    size=None,
    dim=None,
    vox_offset=None,
    magic=None,
    cut=None,
    intent=0,
):
    """Write `voxels[x, y, z, ...]` with affines from x, y, z to RAS, mm."""
    place = qform if qform is not None else sform if sform is not None else np.eye(4)
    size = np.linalg.norm(place[:3, :3], axis=0) if size is None else np.asarray(size)
    with np.errstate(invalid="ignore"):  # of what is wrong on purpose
        (b, c, d), flip = quaternion(place[:3, :3] / np.linalg.norm(place[:3, :3], axis=0))
    dim = [voxels.ndim, *voxels.shape, *[1] * (7 - voxels.ndim)] if dim is None else dim
    code, bits = CODES[voxels.dtype.name], 8 * voxels.dtype.itemsize
    rows = (sform if sform is not None else np.zeros((4, 4)))[:3].ravel()
    offset = place[:3, 3] if qform is not None else (0, 0, 0)
    forms = int(qform is not None), int(sform is not None)
    if version == 1:
        head = bytearray(352)
        struct.pack_into(order + "i", head, 0, 348)
        struct.pack_into(order + "8h", head, 40, *dim)
        struct.pack_into(order + "3h", head, 68, intent, code, bits)
        struct.pack_into(order + "8f", head, 76, flip, *size, *[1.0] * 4)
        struct.pack_into(order + "3f", head, 108, 352 if vox_offset is None else vox_offset, slope, inter)
        head[123] = units
        struct.pack_into(order + "2h6f", head, 252, *forms, b, c, d, *offset)
        struct.pack_into(order + "12f", head, 280, *rows)
        head[344:348] = magic or b"n+1\0"
    else:
        head = bytearray(544)
        struct.pack_into(order + "i8s2h", head, 0, 540, magic or b"n+2\0\r\n\x1a\n", code, bits)
        struct.pack_into(order + "8q", head, 16, *dim)
        struct.pack_into(order + "8d", head, 104, flip, *size, *[1.0] * 4)
        struct.pack_into(order + "q2d", head, 168, 544 if vox_offset is None else vox_offset, slope, inter)
        struct.pack_into(order + "2i6d", head, 344, *forms, b, c, d, *offset)
        struct.pack_into(order + "12d", head, 400, *rows)
        struct.pack_into(order + "2i", head, 500, units, intent)
    data = bytes(head) + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
    data = data if cut is None or str(path).endswith(".gz") else data[:cut]
    packed = gzip.compress(data, 6, mtime=0) if str(path).endswith(".gz") else data
    path.write_bytes(packed if cut is None else packed[:cut])
    return path

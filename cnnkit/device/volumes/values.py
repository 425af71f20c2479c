"""Stored numbers become values: scaled, whole where they can be, and never NaN."""

from pathlib import Path

import numpy as np

from cnnkit.device.volumes.faults import VolumeError

# Labels this near to a whole number are it. A byte's header scales twenty labels to steps of 20/255, half of which is 0.04; what
# linear resampling leaves lies anywhere between.
NEARLY = 0.05


def scaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return `stored * slope + intercept`: whole numbers where all three are and they fit, else float32.

    Args:
        stored: numbers of a file, any shape.
        slope, intercept: finite.
    """
    if slope == 1 and intercept == 0:
        return stored.astype(np.float32) if stored.dtype.kind == "f" else stored
    if stored.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer() and stored.size:
        ends = sorted(int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max()))
        kind = next(
            (k for k in (np.int16, np.int32) if np.iinfo(k).min <= ends[0] and ends[1] <= np.iinfo(k).max), None
        )
        if kind is not None and abs(int(slope)) < 2**31 and abs(int(intercept)) < 2**31:
            whole = np.empty(stored.shape, kind)
            for k in range(len(stored)):
                whole[k] = stored[k].astype(np.int64) * int(slope) + int(intercept)
            return whole
    values = np.empty(stored.shape, np.float32)
    for k in range(len(stored)):  # in double, a slice at a time: the whole would be twice as large as what is returned
        values[k] = stored[k] * float(slope) + float(intercept)
    return values


def finite(array: np.ndarray, path: Path | str) -> np.ndarray:
    """Return an array that has no NaN and no infinity.

    Raises:
        VolumeError: it has some.
    """
    if array.dtype.kind == "f" and not np.isfinite(np.sum(array, dtype=np.float64)):  # finite only if all are
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise VolumeError(path, f"{bad:,} of its values are NaN or infinite", "Fill them, or leave the case out.")
    return array


def varied(array: np.ndarray, path: Path | str) -> np.ndarray:
    """Return a volume whose values differ.

    Raises:
        VolumeError: all are one, so that nothing is to be seen in it.
    """
    if array.size > 1 and array.min() == array.max():
        raise VolumeError(path, f"every voxel of it is {array.flat[0]:g}", "Replace it, or leave the case out.")
    return array


def whole(array: np.ndarray, path: Path | str, nearly: float = NEARLY) -> np.ndarray:
    """Return labels as whole numbers, those that are nearly so rounded: 0.996 is 1, and 1.5 is none.

    Args:
        array: numbers of a mask.
        path: its file, for the error.
        nearly: how far a label may be from a whole number.

    Returns:
        An integer array of the same shape: as it is, or uint8, int16 or int32.

    Raises:
        VolumeError: it has numbers that are no labels.
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        if array.dtype.itemsize >= 4 and array.size and (array.max() > 2**31 - 1 or array.min() < -(2**31)):
            raise VolumeError(path, f"its labels go up to {int(array.max()):,}", "Is it a mask?")
        return array
    rounded = np.rint(array)
    off = np.abs(array - rounded)
    if off.size and off.max() > nearly:
        some = sorted({float(f"{value:.4g}") for value in np.unique(array[off > nearly])[:3]})
        count = int((off > nearly).sum())
        raise VolumeError(
            path,
            f"{count:,} of its voxels are {', '.join(map(str, some))}, which are no labels",
            "Save it with whole numbers, and where it was resampled do that by the nearest voxel.",
        )
    if not rounded.size:
        return rounded.astype(np.uint8)
    low, high = float(rounded.min()), float(rounded.max())
    for kind in (np.uint8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return rounded.astype(kind)
    raise VolumeError(path, f"its labels go up to {max(abs(low), high):.4g}", "Is it a mask?")

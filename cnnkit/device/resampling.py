"""Arrays at another size, a part at a time, and their values in [0, 255].

Design choices:
- Along an axis that grows, values are linear between the middles of places; along one that shrinks, the mean of what a new place
  covers. Both are what OpenCV does with pictures, for any number of axes.
- A part of the whole is made when it is asked for, so that a large volume is never there twice.
"""

import math
from collections.abc import Sequence

import numpy as np

SAMPLE = 250_000  # values that percentiles are of, about


class Resampled:
    """An array at another size, mirrored beyond its edges.

    Args:
        array: numbers (*sides, channels).
        extent: the sides that are wanted.
    """

    def __init__(self, array: np.ndarray, extent: Sequence[int]):
        self.array, self.extent = array, tuple(extent)

    def cut(self, place: Sequence[int], sides: Sequence[int]) -> np.ndarray:
        """Return a part, float32 (*sides, channels), that begins at `place` >= 0 and may reach beyond the end."""
        stops = [min(start + side, length) for start, side, length in zip(place, sides, self.extent, strict=True)]
        reach = [_reach(*axis) for axis in zip(self.array.shape, self.extent, place, stops)]
        part = self.array[tuple(slice(*ends) for ends in reach)]
        for axis, (first, _) in enumerate(reach):
            part = _along(part, axis, first, self.array.shape[axis], self.extent[axis], place[axis], stops[axis])
        beyond = [max(0, start + side - length) for start, side, length in zip(place, sides, self.extent, strict=True)]
        part = np.asarray(part, np.float32)
        return np.pad(part, [*((0, more) for more in beyond), (0, 0)], mode="symmetric") if any(beyond) else part


def resampled(values: np.ndarray, axis: int, wanted: int) -> np.ndarray:
    """Return values whose axis has another length, float32 unless it is the same.

    Args:
        values: numbers (...).
        axis: that changes.
        wanted: its new length.
    """
    return _along(values, axis, 0, values.shape[axis], wanted, 0, wanted)


def _reach(length: int, wanted: int, start: int, stop: int) -> tuple[int, int]:
    """Return which places of an axis the new ones from `start` to `stop` are made of."""
    if length == wanted:
        return start, stop
    step = length / wanted
    margin = 0.5 if step < 1 else 0.0  # between middles of places, or what places cover
    return max(0, math.floor(start * step - margin)), min(length, math.ceil(stop * step + margin))


def _along(values: np.ndarray, axis: int, first: int, length: int, wanted: int, start: int, stop: int) -> np.ndarray:
    """Return the new places from `start` to `stop` of an axis of `length`, of which `values` has those from `first` on."""
    if length == wanted:
        return values
    step, count = length / wanted, values.shape[axis]
    shape = [1] * values.ndim
    if step < 1:
        at = np.clip((np.arange(start, stop) + 0.5) * step - 0.5, 0, length - 1) - first
        low = np.floor(at).astype(int)
        shape[axis] = stop - start
        share = (at - low).astype(np.float32).reshape(shape)
        return values.take(low, axis) * (1 - share) + values.take(np.minimum(low + 1, count - 1), axis) * share
    values = values.astype(np.float64)
    sums = np.concatenate([np.zeros_like(values.take([0], axis)), np.cumsum(values, axis)], axis)
    at = np.clip(np.arange(start, stop + 1) * step, 0, length) - first
    low = np.minimum(np.floor(at).astype(int), count - 1)
    shape[axis] = len(at)
    share = (at - low).reshape(shape)
    reached = sums.take(low, axis) * (1 - share) + sums.take(low + 1, axis) * share
    return (np.diff(reached, axis=axis) / step).astype(np.float32)


# Values ---------------------------------------------------------------------------------------------------------------


def sampled(picture: np.ndarray) -> np.ndarray:
    """Return some values of a picture or a volume, spread over all of it: (n, channels)."""
    channels = 1 if picture.ndim == 2 else picture.shape[-1]
    rank = max(2, picture.ndim - 1)
    step = max(1, int((picture.size / channels / SAMPLE) ** (1 / rank)))
    return picture[(slice(None, None, step),) * rank].reshape(-1, channels)


def as_values(part: np.ndarray, limits: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Return a part of a volume as a network takes it: float32 (d, h, w, c) in [0, 255].

    Args:
        part: float32 (d, h, w, c).
        limits: of each channel, the values that become 0 and 255, float32 (channels,) each; None: they are so already.
    """
    if limits is not None:
        low, high = limits
        part = (part - low) * (255 / np.maximum(high - low, 1e-6))
    return np.clip(part, 0, 255, dtype=np.float32)

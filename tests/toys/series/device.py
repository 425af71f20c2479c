"""Series, on a device: a file has a line of numbers with commas between them, and nothing where one is missing."""

import numpy as np

from cnnkit.device.kinds import InputKind
from cnnkit.errors import DataError


class Series(InputKind):
    """Windows float32 (steps, 2): the values, 0 in gaps and beyond the end; and 1 where they are known."""

    name = "series"

    def read(self, path):
        """Return a series, float32 (t,), NaN in its gaps."""
        try:
            return np.genfromtxt(path, np.float32, delimiter=",", ndmin=1)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no line of numbers with commas between them ({error}).") from None

    def windows(self, sample, shape, preparation=None):
        """Return windows that overlap by half."""
        starts = range(0, max(1, len(sample) - shape[0] // 2), shape[0] // 2)
        return np.stack([window(sample, start, shape[0]) for start in starts])


def window(series, start, steps):
    """Return a window of a series, float32 (steps, 2)."""
    part = np.full(steps, np.nan, np.float32)
    cut = series[start : start + steps]
    part[: len(cut)] = cut
    return np.stack([np.nan_to_num(part), np.isfinite(part)], 1).astype(np.float32)


KIND = Series()

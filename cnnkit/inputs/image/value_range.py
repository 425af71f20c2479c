"""Which values of an array are black and which are white: found out from all of them, or refused with their range named.

Design choices:
- A model sees pixels from 0 to 255, whatever the numbers are in a file, so that a photo given to `predict` is in the same range.
- Only what leaves no doubt is scaled: whole numbers by the bits they use (0/1, 0 to 16, 8, 10, 12, 14, 16 bits), fractions in
  [0, 1], and ranges around 0 that programs use ([-1, 1], [-0.5, 0.5], [-128, 127]). Standardised pixels have lost their black
  and white. A few values far above all others are damage, and no wider range.
- Training decides; the other splits of the same source are read by it, or refused where they cannot be of that range.
- Whole numbers from 17 to 127 could be dark pictures of 8 bits or full ones of 7: they are taken as 8 bits, and it is said.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.errors import DataError

Limits = tuple[float, float]

BYTE: Limits = (0, 255)
TOPS = (1, 3, 7, 15, 16)  # of whole numbers that are not 8 bits of a dark picture
DARK = 128  # below it 8 bits are not used to their half
WIDE = (1023, 4095, 16383, 65535)  # 10, 12, 14 and 16 bits
CENTRED: tuple[Limits, ...] = ((-1, 1), (-0.5, 0.5), (-128, 127), (-127.5, 127.5))
NEAR = 0.04  # of its width: how far the values of a range around 0 may end from its limits
RARE = 1e-3  # of the values: fewer beyond 8 bits are damage
FEWER = 8  # times less than the white of training: a split that asks for so little is of another range
DOUBLE = 1 / 60  # fractions that stay below were divided by 255 twice
HOW = "Save pixels as they were (0 to 255, or 0 to 1), or say in a card what is black and white: value_range = [lowest, highest]"


class Measured:
    """The values of an array, as far as they were added: their range, mean and deviation, and whether all are whole."""

    def __init__(self) -> None:
        self.low, self.high, self.whole, self.finite = math.inf, -math.inf, True, True
        self._count, self._sum, self._squares, self._wide = 0, 0.0, 0.0, 0

    def add(self, values: np.ndarray) -> None:
        """Add values of any numeric type and shape."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            self.finite = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        if values.dtype.kind == "f":
            self.whole = self.whole and not bool((values % 1).any())
        if high > BYTE[1]:
            self._wide += int(np.count_nonzero(values > BYTE[1]))
        self._count += values.size
        self._sum += float(values.sum(dtype=np.float64))
        self._squares += float(np.square(values, dtype=np.float64).sum())

    @property
    def damaged(self) -> int:
        """How many values lie beyond 8 bits, where they are too few to speak of a wider range; else 0."""
        return self._wide if self._wide < RARE * self._count else 0

    @property
    def mean(self) -> float:
        return self._sum / max(1, self._count)

    @property
    def deviation(self) -> float:
        return math.sqrt(max(0.0, self._squares / max(1, self._count) - self.mean**2))

    def told(self) -> str:
        """Describe the values in a few words."""
        kind = "whole numbers" if self.whole else "values"
        return f"{kind} from {self.low:.4g} to {self.high:.4g} (mean {self.mean:.3g}, deviation {self.deviation:.3g})"


@dataclass(frozen=True)
class Range:
    """What is black and what is white, and a line for people where that was not plain; `limits` as `value_range` in a card."""

    limits: Limits
    note: str = ""


def decide(found: Measured, title: str) -> Range:
    """Choose the range of an array's values.

    Args:
        found: all of its values.
        title: what the array is called, for errors and notes.

    Raises:
        DataError: what is black and white cannot be told from them; the line names their range.
    """
    if not found.finite:
        raise DataError(f"{title} holds values that are no numbers (NaN or infinite). Repair it.")
    if found.low > found.high:  # no value at all
        return Range(BYTE)
    if found.low == found.high and not (found.whole and 0 <= found.low <= BYTE[1]):
        raise DataError(f"{title} holds one value only, {found.low:g}: there is nothing on its pictures. {HOW}.")
    if found.low < 0:
        return _with_negative(found, title)
    if found.damaged:
        raise DataError(
            f"{title} has {found.told()}: {found.damaged:,} are outside [0, 255] and the others are not. Repair it."
        )
    if not found.whole:
        return _of_fractions(found, title)
    if found.high > WIDE[-1]:
        raise DataError(f"{title} has {found.told()}, more than 16 bits hold. {HOW}.")
    if found.high >= 256:
        top = next(top for top in WIDE if found.high <= top)
        bits = f"{title} has {found.told()}: white is taken as {top:,}, of {top.bit_length()} bits."
        return Range((0, top), "" if top == WIDE[-1] else bits)
    if found.high >= DARK:
        return Range(BYTE)
    if found.low == found.high:
        return Range(BYTE, f"{title} holds one value only, {found.high:g}: there is nothing on its pictures.")
    if found.high <= TOPS[-1]:
        top = next(top for top in TOPS if found.high <= top)
        return Range((0, top), f"{title} has {found.told()}: white is taken as {top}.")
    return Range(
        BYTE, f"{title} has {found.told()}: taken as dark pictures, white being 255. If it is not, {HOW.lower()}."
    )


def _with_negative(found: Measured, title: str) -> Range:
    for low, high in CENTRED:
        slack = NEAR * (high - low)
        if low - 1e-3 <= found.low <= low + slack and high - slack <= found.high <= high + 1e-3:
            return Range((low, high), f"{title} has {found.told()}: black is taken as {low:g}, white as {high:g}.")
    standard = abs(found.mean) < 0.5 and 0.3 < found.deviation < 3 and not found.whole
    why = ", as pixels that were standardised have, and what was black and white is lost" if standard else ""
    raise DataError(f"{title} has {found.told()}{why}. {HOW}.")


def _of_fractions(found: Measured, title: str) -> Range:
    if found.high <= DOUBLE:
        raise DataError(f"{title} has {found.told()}, as pixels that were divided by 255 twice. {HOW}.")
    if found.high <= 1.002:
        return Range((0, 1))
    if DARK <= found.high <= 255.5:
        return Range(BYTE)
    raise DataError(f"{title} has {found.told()}: what is white cannot be told. {HOW}.")


def of_split(found: Measured, title: str, asked: Limits) -> Range:
    """Return the range that training decided for another split of the same source.

    Raises:
        DataError: the values of this split are of another range.
    """
    if not found.finite:
        raise DataError(f"{title} holds values that are no numbers (NaN or infinite). Repair it.")
    low, high = asked
    slack = (high - low) / 510
    other = found.low < low - slack or found.high > high + slack or (low < 0 <= found.low < found.high)
    if not other and found.low < found.high:
        with contextlib.suppress(DataError):  # by itself it says too little
            other = FEWER * decide(found, title).limits[1] < high
    if other:
        raise DataError(
            f"{title} has {found.told()}, but black and white are {low:g} and {high:g} in the training split. Save both alike."
        )
    return Range(asked)


def scaling(limits: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from values in the range `limits` = (low, high) to uint8 in [0, 255].

    Raises:
        DataError: `limits` are none; the function raises it for values outside of them.
    """
    ok = isinstance(limits, (list, tuple)) and len(limits) == 2 and all(type(x) in (int, float) for x in limits)
    if not ok or not limits[0] < limits[1]:
        raise DataError(f"The option `value_range` is [lowest, highest], not {limits!r}.")
    low, high = limits
    slack = (high - low) / 255 / 2

    def scaled(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        if not (values.min() >= low - slack and values.max() <= high + slack):  # NaN fails both
            raise DataError(f"It has values outside [{low}, {high}]. Name their range in the option `value_range`.")
        return np.rint((values - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)

    return scaled

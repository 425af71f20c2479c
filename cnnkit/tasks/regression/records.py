"""Records of pictures with numbers: what the values are called, their units, which have a side."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from cnnkit.data.records import JoinedTargets, Records
from cnnkit.errors import DataError
from cnnkit.inputs.image.records import ImageRecords
from cnnkit.tasks.regression.device import with_units

FLAT_PIXELS = 1024  # of a picture for a linear model, about


@dataclasses.dataclass(frozen=True)
class Values:
    """What values are.

    Attributes:
        names: of the values.
        units: of each; "" where it has none.
        negated: whether each changes its sign in a mirrored picture; None: nobody says.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    negated: tuple[bool, ...] | None = None


class Numbers:
    """Numbers as targets, in their units: float32 (n, k)."""

    def __init__(self, numbers: np.ndarray, values: Values):
        self.numbers, self.values = np.asarray(numbers, np.float32), values
        if self.numbers.ndim != 2 or self.numbers.shape[1] != len(values.names):
            raise ValueError(f"`numbers` needs the shape (n, {len(values.names)}). Received: {self.numbers.shape}.")

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.numbers[indices]

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(self.values.names).encode())
        add(self.numbers[indices].astype("<f4").tobytes())


class _JoinedNumbers(JoinedTargets):
    """The numbers of two sets of records, one after the other; what they are the first says."""

    def __init__(self, first: Any, second: Any):
        super().__init__(first, second)
        self.values = first.values


class ValueRecords(ImageRecords):
    """An immutable view of pictures with numbers; as `Records`. Targets are float32 (b, k), in their units."""

    @property
    def values(self) -> Values:
        """What the numbers are."""
        targets: Any = self._targets
        values: Values = targets.values
        return values

    def numbers(self) -> np.ndarray:
        """Return the numbers of all records, float64 (n, k)."""
        return np.asarray(self.targets(np.arange(len(self))), np.float64).reshape(len(self), len(self.values.names))

    def words(self, index: int) -> str:
        """Return the values of a record with their units, as people call them."""
        (row,) = self.targets(np.array([index]))
        return with_units(row, self.values.units)

    def flat(self, indices: np.ndarray) -> tuple[np.ndarray, str]:
        """Return pictures as a linear model reads them: in grey, of their own proportions, about `FLAT_PIXELS`; in [0, 1]."""
        height, width, _ = self.input_shape
        scale = min(1.0, (FLAT_PIXELS / (height * width)) ** 0.5)
        shape = (max(1, round(height * scale)), max(1, round(width * scale)), 1)
        images = self.with_shape(shape).read(indices)[0]
        return images.reshape(len(images), -1).astype(np.float32) / 255, f"{shape[0]}x{shape[1]} grey pixels"

    def plus(self, other: Records, names: Sequence[str]) -> Self:
        """Return these records and then others, read at this shape.

        Raises:
            DataError: the others have other values.
        """
        theirs = other.values if isinstance(other, ValueRecords) else None
        if theirs is None or len(theirs.names) != len(self.values.names):
            raise DataError(
                f"One data set has the values {', '.join(self.values.names)}, the other "
                f"{', '.join(theirs.names) if theirs else 'none'}. Choose the same ones with `values`."
            )
        return type(self)(
            self._joined(self, other),
            targets=_JoinedNumbers(self, other),
            groups=self._groups_with(other),
            input_shape=self.input_shape,
        )

"""What the axes of a layer's table stand for, where it is not their place: words of a vocabulary, classes.

A builder says so with `means`, and `cnnkit.models.weights` then finds the rows of an earlier table by what they stand for.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np


@dataclasses.dataclass(frozen=True)
class Axes:
    """What a layer's first weight, (rows, columns), is a table of.

    Attributes:
        rows: what rows stand for, in the plural; empty: nothing that has a name.
        of: what these belong to.
        hashed: whether rows are hashes of them, so that they mean nothing beside other ones.
        classes: whether the columns are the classes.
    """

    rows: str = ""
    of: str = ""
    hashed: bool = False
    classes: bool = False


class Rows(Protocol):
    """The names of rows, as an input has them. Equal ones have the same names at the same places."""

    def earlier(self, metadata: Mapping[str, Any], where: str) -> Self | None:
        """Return the names that an artifact with these metadata has for its rows; None where it does not say.

        Raises:
            ArtifactError: what it says is damaged; `where` names the artifact.
        """

    def shared(self, earlier: Self, count: int) -> tuple[np.ndarray, np.ndarray, str] | None:
        """Find the rows that an earlier table of `count` rows has too.

        Returns:
            places here, int (k,); places there, int (k,); how many that are, in words. None where the two have nothing to do
            with one another.
        """


def means(layer: Any, axes: Axes) -> Any:
    """Say what a layer's table stands for; returns the layer."""
    layer.table_axes = axes
    return layer


def axes_of(layer: Any) -> Axes:
    """Return what a layer's table stands for."""
    return getattr(layer, "table_axes", None) or Axes()

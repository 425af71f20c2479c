"""Records that may have several labels each, or none: a ragged row of codes beside them.

Targets are then float32 (b, classes) of zeros and ones, and the stratum of a record is its rarest label, so that a split spreads
what is rare.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cnnkit.data.asked import UNASKED
from cnnkit.data.records import Records, Source
from cnnkit.errors import DataError


@dataclass(frozen=True)
class Tags:
    """Several labels a record.

    Attributes:
        codes: int (m,), the labels of all records, one record after the other.
        ends: int (n,), where those of each record end.
    """

    codes: np.ndarray
    ends: np.ndarray

    def of(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes (k,) of these records, and of each code which of `indices` (by place) it belongs to."""
        return ragged(self.codes, self.ends, indices)

    def hot(self, indices: np.ndarray, classes: int) -> np.ndarray:
        """Return float32 (b, classes), 1 where a record has the label."""
        targets = np.zeros((len(indices), classes), np.float32)
        codes, rows = self.of(indices)
        targets[rows, codes] = 1
        return targets

    def renamed(self, codes: np.ndarray) -> "Tags":
        """Return tags whose class k is `codes[k]`."""
        return Tags(narrow(np.asarray(codes)[self.codes]), self.ends)

    def take(self, indices: np.ndarray) -> "Tags":
        """Return the tags of these records, in this order."""
        codes, rows = self.of(indices)
        return Tags(codes, np.cumsum(np.bincount(rows, minlength=len(indices))))

    def strata(self, classes: int) -> np.ndarray:
        """Return the rarest label of each record; of one without any the most frequent, which hides no rare one: int32 (n,)."""
        counts = np.bincount(self.codes, minlength=classes)
        order = np.argsort(counts[: max(classes, 1)], kind="stable")
        rank = np.empty(len(counts), np.int64)
        rank[order] = np.arange(len(order))
        found = np.full(len(self.ends), counts.argmax() if len(counts) else 0, np.int32)
        sizes = np.diff(self.ends, prepend=0)
        some = sizes > 0
        if some.any():
            starts = (self.ends - sizes)[some].astype(np.int64)
            found[some] = order[np.minimum.reduceat(rank[self.codes], starts)]
        return found


def ragged(values: np.ndarray, ends: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of some rows of a ragged array, and the place in `indices` that each belongs to."""
    indices = np.asarray(indices, np.int64)
    stops = ends[indices].astype(np.int64)
    starts = np.where(indices > 0, ends[np.maximum(indices - 1, 0)], 0).astype(np.int64)
    sizes = stops - starts
    rows = np.repeat(np.arange(len(indices)), sizes)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(starts, sizes)
    return values[places], rows


def narrow(values: np.ndarray) -> np.ndarray:
    """Return whole numbers from 0 in the smallest type that holds them."""
    most = int(values.max()) if len(values) else 0
    return np.ascontiguousarray(values, np.min_scalar_type(most))


class Tagged(Records):
    """Records with one label each, or with several.

    Args:
        source, labels, label_names: as `Records`; of several labels `labels` are the strata.
        tags: of every input in the source, where one may have several labels; None: each has one.
        others: as `Records`.
    """

    def __init__(
        self,
        source: Source,
        labels: np.ndarray | None = None,
        label_names: Sequence[str] = (),
        *,
        tags: Tags | None = None,
        **others: Any,
    ):
        super().__init__(source, labels, label_names, **others)
        self._tags = tags

    def _changed(self, **changes: Any) -> Any:
        return super()._changed(**{"tags": self._tags, **changes})

    @property
    def multi_label(self) -> bool:
        """Whether a record may have several labels, or none."""
        return self._tags is not None

    def targets(self, indices: np.ndarray) -> Any:
        """Return int32 (b,), the classes; or of several labels float32 (b, classes): 1, 0, or `UNASKED` where nobody asked."""
        indices = self._checked(indices)
        if self._tags is None:
            found = super().targets(indices)
            return found if self._targets is not None else np.asarray(found, np.int32)
        hot = self._tags.hot(self._index[indices], len(self.label_names))
        asked = self.asked(indices)
        return hot if asked is None else np.where(asked, hot, np.float32(UNASKED))

    def counts(self) -> np.ndarray:
        """Return the number of records that have each label: int64 (classes,)."""
        if self._tags is None:
            return super().counts()
        return np.bincount(self._tags.of(self._index)[0], minlength=len(self.label_names))

    def named(self, names: Sequence[str]) -> Self:
        """Return a view whose labels are the places of the same names in `names`; as `Records.named`."""
        if self._tags is None:
            return super().named(names)
        codes = np.array([list(names).index(name) for name in self.label_names], np.int32)
        asked = self._asked_as(names, codes)
        return self._changed(labels=codes[self.labels], label_names=names, tags=self._tags.renamed(codes), asked=asked)

    def plus(self, other: Records, names: tuple[str, ...]) -> Any:
        """Return these records and then others; as `Records.plus`.

        Raises:
            DataError: one of the two has one label a record, the other several.
        """
        ours, theirs, tags = self._tagged_with(other, names)
        if tags is None:
            return super().plus(other, names)
        return type(self)(
            self._joined(self, other),
            np.concatenate([ours.labels, theirs.labels]),
            names,
            groups=self._groups_with(other),
            asked=ours._asked_with(theirs),
            tags=tags,
            input_shape=self.input_shape,
        )

    def _tagged_with(self, other: Records, names: tuple[str, ...]) -> tuple[Self, Self, Tags | None]:
        """Return these records and others with the labels `names`, and the tags of both, one after the other."""
        if not isinstance(other, type(self)) or self.multi_label != other.multi_label:
            raise DataError(
                f"{self.noun.capitalize()} with one label and {self.noun} with several cannot be joined: one of the two needs "
                "the other form."
            )
        ours, theirs = self.named(names), other.named(names)
        if ours._tags is None or theirs._tags is None:
            return ours, theirs, None
        first, second = ours._tags.take(ours._index), theirs._tags.take(theirs._index)
        offset = int(first.ends[-1]) if len(first.ends) else 0
        codes = np.concatenate([first.codes, second.codes])
        return ours, theirs, Tags(codes, np.concatenate([first.ends, second.ends + offset]))

    def _digest(self, add: Callable[[Any], None]) -> None:
        super()._digest(add)
        if self._tags is not None:
            codes, rows = self._tags.of(self._index)
            add(codes.astype("<i4").tobytes() + rows.astype("<i4").tobytes())

"""Records: an immutable view of a data set that holds where the inputs are, never the inputs.

Design choices:
- Every read is positional (`os.pread`, or opening one image file), so any number of threads may read at once and
  memory does not grow with the data set: a record costs its label, its group and its place, some 16 to 60 bytes.
- Inputs are read through a `Source` and targets through a `Targets` source. For classification the targets are
  the labels themselves; masks, boxes or numbers bring a source of their own, and `labels` remain the strata, if there are any.
- Each kind of input has records of its own that extend these, where there is more to say of them.
- The fingerprint is of the content (pixels or file bytes, labels, their names, the shape), not of paths or times: the
  same data has the same fingerprint on every machine and in every container format.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from cnnkit.data import inventory
from cnnkit.data.asked import Asked, asked
from cnnkit.errors import DataError
from cnnkit.files import printable

Progress = Callable[[str, int, int | None], None]
"""Called as progress(what, done, total); total is None where it is not known."""

Shape = tuple[int, ...]
"""Of one input as a network takes it, without the batch: (height, width, channels) in px, (ids,) ..."""


class Source(Protocol):
    """Where inputs are. Safe to share between threads.

    Two methods may be there as well: `windows(indices, shape)`, where a network sees parts of an input, as `Records.windows`; and
    `as_read_by(artifact)`, the same inputs as a source that reads them as an artifact does, where more than a shape says how.
    """

    @property
    def shape(self) -> Shape:
        """The shape that suits them, unless another is asked for."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        """Return (b, *shape), what a network takes: of images uint8 in [0, 255]."""

    def native(self, index: int) -> Any:
        """Return one input as it is: of images uint8 (h, w), (h, w, 3) or (h, w, 4)."""

    def name(self, index: int) -> str:
        """Return what a person calls the input: its path, or its place in an array."""

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Feed what identifies these inputs to `add`."""


class Targets(Protocol):
    """What belongs to each input. Safe to share between threads."""

    def read(self, indices: np.ndarray) -> Any:
        """Return the targets of these inputs."""

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Feed what identifies these targets to `add`."""


class Records:
    """An immutable view of labelled inputs.

    Args:
        source: where the inputs are.
        labels: int (n,), the class of each record; for other tasks the strata to split by. None: there are no classes, and one
            stratum.
        label_names: what the classes are called, in order.
        groups: int (n,), equal for records that may not be torn apart by a split, or None.
        targets: where the targets are; None where they are the labels.
        input_shape: the shape to read at; by default what suits the inputs.
        asked: where a record may have several labels, which ones it was asked for; None: all of them.
    """

    noun = "records"  # what one is called, in the plural
    tokenizer: Any = None  # what makes ids of an input, where inputs are words
    passes = 1  # times that an epoch of training reads each, where it sees another part of it each time
    _PLACE: type = np.int64  # of where each record is in its source

    def advised(self, loaded: bool) -> dict[str, Any]:
        """Return settings of training that suit these records, unless the recipe or somebody says others.

        Args:
            loaded: whether training begins with loaded weights.
        """
        return {}

    @staticmethod
    def _joined(first: "Records", second: "Records") -> Source:
        """Return the inputs of two sets of records, one after the other."""
        return Joined(first, second)

    def __init__(
        self,
        source: Source,
        labels: np.ndarray | None = None,
        label_names: Sequence[str] = (),
        *,
        groups: np.ndarray | None = None,
        targets: Targets | None = None,
        input_shape: Shape | None = None,
        index: np.ndarray | None = None,
        asked: Asked | None = None,
    ):
        self._source = source
        self._targets, self._asked = targets, asked
        self._index: np.ndarray = np.asarray(np.arange(len(source)) if index is None else index, self._PLACE)
        self.labels = _frozen(np.asarray(np.zeros(len(self._index)) if labels is None else labels, np.int32))
        self.label_names = tuple(label_names)
        for name in map(str, self.label_names):
            if not name.isascii() and name != name.encode("utf-8", "replace").decode():
                raise DataError(
                    f"The label {printable(name)} is no text: bytes in its name are not UTF-8. Rename the folder or file of it."
                )
        self.groups = None if groups is None else _frozen(np.asarray(groups))
        self.input_shape: Shape = tuple(input_shape or source.shape)  # type: ignore[assignment]
        for name, values in (("labels", self.labels), ("groups", self.groups)):
            if values is not None and values.shape != (len(self),):
                raise ValueError(f"`{name}` needs the shape ({len(self)},). Received: {name} of {values.shape}.")
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < max(1, len(self.label_names)):
            raise ValueError(f"`labels` needs values below {len(self.label_names)}, as `label_names` has.")

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} inputs of {self.input_shape}, {len(self.label_names)} labels)"

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, Any]:
        """Read these records, in this order.

        Args:
            indices: int (b,), each below `len(self)`.

        Returns:
            inputs (b, *input_shape), as the source reads them; targets, for classification int32 (b,).

        Raises:
            DataError: an input is missing or damaged; the line names it.
        """
        indices = self._checked(indices)
        places = self._index[indices]
        return self._source.read(places, self.input_shape), self.targets(indices)

    def targets(self, indices: np.ndarray) -> Any:
        """Return the targets of these records, for classification int32 (b,)."""
        return self.labels[indices] if self._targets is None else self._targets.read(self._index[indices])

    def windows(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read every window through which a network sees these records; of most inputs the whole is one.

        Returns:
            inputs as `read` returns them, (m, ...); int (m,), which of `indices` (by place) each belongs to, ascending.
        """
        indices = self._checked(indices)
        cut = getattr(self._source, "windows", None)
        if cut is None:
            return self.read(indices)[0], np.arange(len(indices))
        return cut(self._index[indices], self.input_shape)

    def flat(self, indices: np.ndarray) -> tuple[np.ndarray, str]:
        """Return these inputs as a linear model reads them: float32 (b, numbers); and what the numbers are, in a few words."""
        inputs = self.read(indices)[0]
        rows = inputs.reshape(len(inputs), -1).astype(np.float32)
        return rows, f"{rows.shape[1]} numbers"

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the indices of all records in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield np.arange(start, min(len(self), start + size))

    def shown(self, indices: np.ndarray) -> list[dict[str, Any]]:
        """Return what can be shown of each of these records in a report: nothing."""
        return [{} for _ in indices]

    def sample(self, index: int) -> tuple[Any, Any]:
        """Return a record as it is stored, for people: its input, and its target in the measure of that."""
        return self.native(index), self.targets(np.array([index]))[0]

    def words(self, index: int) -> str:
        """Return what a person calls the target of a record: its label, or labels; "" where it has no words."""
        target = np.asarray(self.targets(np.array([index]))[0])
        if target.ndim == 0 and target.dtype.kind in "iu" and self.label_names:
            return self.label_names[int(target)]
        if target.ndim == 1 and len(target) == len(self.label_names):
            return ", ".join(self.label_names[code] for code in np.flatnonzero(target > 0)) or "no label"
        return f"{float(target):.4g}" if target.ndim == 0 else ""

    def drawn(self, index: int, side: int) -> np.ndarray | None:
        """Return a picture of a record with its target drawn in, for people; None: it has none.

        Args:
            index: which.
            side: px of the longer side.

        Returns:
            uint8 (h, w) or (h, w, 3) RGB.
        """
        return None

    def as_read_by(self, artifact: Any) -> Self:
        """Return a view whose inputs are read as an artifact takes them."""
        fitted = getattr(self._source, "as_read_by", None)
        if fitted is None:
            return self.with_shape(artifact.input_shape)
        return self._changed(source=fitted(artifact), input_shape=artifact.input_shape)

    def take(self, indices: np.ndarray) -> Self:
        """Return a view of these records, in this order; indices may repeat."""
        indices = self._checked(indices)
        groups = None if self.groups is None else self.groups[indices]
        return self._changed(labels=self.labels[indices], groups=groups, index=self._index[indices])

    @property
    def multi_label(self) -> bool:
        """Whether a record may have several labels, or none: of some kinds of records alone."""
        return False

    @property
    def in_parts(self) -> bool:
        """Whether training sees parts of the inputs around what is to be found, so that whole ones look otherwise."""
        return False

    def with_shape(self, input_shape: Shape) -> Self:
        """Return a view that reads its inputs at another shape."""
        return self if tuple(input_shape) == self.input_shape else self._changed(input_shape=tuple(input_shape))

    def named(self, names: Sequence[str]) -> Self:
        """Return a view whose labels are the places of the same names in `names`, which has them all."""
        codes = np.array([names.index(name) for name in self.label_names], np.int32)
        return self._changed(labels=codes[self.labels], label_names=names) if self.label_names else self

    def plus(self, other: "Records", names: tuple[str, ...]) -> Self:
        """Return these records and then others, read at this shape.

        Args:
            other: records with targets of the same kind.
            names: the labels of both, beginning with those of `self`.
        """
        return type(self)(
            self._joined(self, other),
            np.concatenate([self.labels, other.named(names).labels]),
            names,
            targets=None if self._targets is None else JoinedTargets(self, other),
            groups=self._groups_with(other),
            input_shape=self.input_shape,
        )

    def asked(self, indices: np.ndarray) -> np.ndarray | None:
        """Return bool (b, classes), the labels that these records were asked for; None where that is all of them.

        Only where a record may have several labels, or boxes: one label says no to all others.
        """
        return None if self._asked is None else self._asked.of(self._index[indices])

    def unasked(self) -> np.ndarray:
        """Return the codes of labels that some record was not asked for: int (k,)."""
        return np.zeros(0, int) if self._asked is None else self._asked.never()

    def _asked_as(self, names: Sequence[str], codes: np.ndarray) -> Asked | None:
        """Return what these records were asked for when class k is `codes[k]` of `names`: of the other names, nothing."""
        if self._asked is None and len(codes) == len(names):
            return None
        table = np.zeros((1 if self._asked is None else len(self._asked.table), len(names)), bool)
        table[:, codes] = True if self._asked is None else self._asked.table
        return Asked(np.zeros(len(self._source), np.uint8) if self._asked is None else self._asked.part, table)

    def _asked_with(self, other: "Records") -> Asked | None:
        """Return what these records and then others, which know the same names, were asked for."""
        if self._asked is None and other._asked is None:
            return None
        return asked(
            np.concatenate(
                [
                    np.ones((len(part), len(part.label_names)), bool)
                    if part._asked is None
                    else part._asked.of(part._index)
                    for part in (self, other)
                ]
            )
        )

    def _groups_with(self, other: "Records") -> np.ndarray | None:
        """Return the groups of these records and then of others, none in common; one without a group is one of its own."""
        if self.groups is None and other.groups is None:
            return None
        parts = [np.arange(len(part)) if part.groups is None else part.groups for part in (self, other)]
        parts = [np.unique(part, return_inverse=True)[1] for part in parts]
        return np.concatenate([parts[0], parts[1] + len(self)])

    def _changed(self, **changes: Any) -> Any:
        """Return a view that differs in some arguments of the constructor; subclasses add their own arguments."""
        return type(self)(
            **{
                "source": self._source,
                "labels": self.labels,
                "label_names": self.label_names,
                "groups": self.groups,
                "targets": self._targets,
                "input_shape": self.input_shape,
                "index": self._index,
                "asked": self._asked,
                **changes,
            }
        )

    def name(self, index: int) -> str:
        """Return what a person calls this record: the path of its input, or its place in an array."""
        return self._source.name(int(self._index[index]))

    def alias(self, index: int) -> str:
        """Return what files call this record that we write: its name, or a number where that may be of a person."""
        called = getattr(self._source, "alias", self._source.name)
        return called(int(self._index[index]))

    def native(self, index: int) -> Any:
        """Return the input as it is stored."""
        return self._source.native(int(self._index[index]))

    def counts(self) -> np.ndarray:
        """Return the number of records of each class: int64 (classes,)."""
        return np.bincount(self.labels, minlength=len(self.label_names))[: len(self.label_names)]

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content, as 64 hexadecimal digits: equal for equal data on any machine.

        Of files of images above 64 KiB only the size, the first and the last 32 KiB are taken.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        sha = hashlib.sha256(repr(("records 1", self.label_names, self.input_shape, len(self))).encode())
        self._digest(sha.update)
        return sha.hexdigest()

    def digests(self) -> np.ndarray:
        """Return what tells the inputs of these records apart, without their labels: uint64 (n,), equal for equal ones."""
        parts = getattr(self._source, "parts", None)
        if parts is not None:  # joined ones know themselves
            return np.concatenate([part.digests() for part in parts])[self._index]
        found = np.empty(len(self), np.uint64)
        for number in range(len(self)):
            sha = hashlib.sha256()
            self._source.digest(self._index[number : number + 1], sha.update)
            found[number] = int.from_bytes(sha.digest()[:8], "little")
        return found

    def _digest(self, add: Callable[[Any], None]) -> None:
        add(self.labels.astype("<i4").tobytes())
        self._source.digest(self._index, add)
        if self._targets is not None:
            self._targets.digest(self._index, add)
        if self._asked is not None:
            add(self._asked.of(self._index).tobytes())

    def _checked(self, indices: np.ndarray) -> np.ndarray:
        indices = np.atleast_1d(np.asarray(indices))
        if indices.size == 0:
            return indices.astype(np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(f"`indices` needs int (b,). Received: {indices.dtype} of shape {indices.shape}.")
        if not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(
                f"`indices` needs values from 0 to {len(self) - 1}. Received: {indices.min()} to {indices.max()}."
            )
        return indices


@dataclass(frozen=True)
class Splits:
    """A data set, divided. `card` says of it what a report needs: name, title, licence, splits, warnings."""

    train: Records
    validation: Records
    test: Records
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Records]:
        """The three of them by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def each(self, change: Callable[[Any], Records]) -> "Splits":
        """Return the splits with each of them changed."""
        return Splits(**{name: change(part) for name, part in self.parts.items()}, card=self.card)

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the data: files left out, classes too small to hold any out."""
        return list(self.card.get("warnings", []))


def join(first: Splits, second: Splits) -> Splits:
    """Put two data sets together, split by split; equal label names are one class, and new ones come last.

    Args:
        first: its labels keep their places, and its input shape is that of the whole.
        second: its card describes the whole.
    """
    names = first.train.label_names
    names += tuple(name for name in second.train.label_names if name not in names)
    parts = {split: part.plus(second.parts[split], names) for split, part in first.parts.items()}
    card = {**second.card, "warnings": [*first.warnings, *second.warnings]}
    card["private"] = any(part.card.get("private") for part in (first, second))
    if card["private"]:
        card["nameless"] = [line for part in (first, second) for line in part.card.get("nameless", part.warnings)]
    card["inventory"] = inventory.joined(first.card.get("inventory", {}), second.card.get("inventory", {}))
    return Splits(**parts, card=card)


class _Both:
    """Two sets of records, one after the other."""

    def __init__(self, first: Records, second: Records):
        self._parts = first, second

    def _split(self, indices: np.ndarray) -> list[tuple[Records, np.ndarray, np.ndarray]]:
        """Return (records, which of `indices` are theirs, their places in them), without those that have none."""
        count = len(self._parts[0])
        theirs = indices >= count
        both = zip(self._parts, (~theirs, theirs), (indices[~theirs], indices[theirs] - count))
        return [part for part in both if len(part[2])]

    def _put_together(self, indices: np.ndarray, read: Callable[[Records, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return an array with a row for each index, of what `read` returns of each set; the sets have the same type."""
        rows = [(chosen, read(part, places)) for part, chosen, places in self._split(indices)]
        if not rows:
            return read(self._parts[0], indices)
        found = np.empty((len(indices), *rows[0][1].shape[1:]), rows[0][1].dtype)
        for chosen, values in rows:
            found[chosen] = values
        return found


class JoinedTargets(_Both):
    """The targets of two sets of records, one after the other."""

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self._put_together(indices, lambda part, places: part.targets(places))

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Add nothing: the joined inputs stand for the records, targets too."""


class Joined(_Both):
    """The inputs of two sets of records, one after the other."""

    @property
    def parts(self) -> tuple[Records, Records]:
        """The two sets."""
        return self._parts

    @property
    def shape(self) -> Shape:
        return self._parts[0].input_shape

    def __len__(self) -> int:
        return len(self._parts[0]) + len(self._parts[1])

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        return self._put_together(indices, lambda part, places: part.with_shape(shape).read(places)[0])

    def windows(self, indices: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
        found = [(chosen, *part.with_shape(shape).windows(places)) for part, chosen, places in self._split(indices)]
        if not found:
            return self._parts[0].with_shape(shape).windows(indices)
        owners = np.concatenate([np.flatnonzero(chosen)[theirs] for chosen, _, theirs in found])
        order = np.argsort(owners, kind="stable")
        return np.concatenate([inputs for _, inputs, _ in found])[order], owners[order]

    def as_read_by(self, artifact: Any) -> Self:
        return type(self)(*(part.as_read_by(artifact) for part in self._parts))

    def native(self, index: int) -> Any:
        ((part, _, places),) = self._split(np.array([index]))
        return part.native(int(places[0]))

    def name(self, index: int) -> str:
        ((part, _, places),) = self._split(np.array([index]))
        return part.name(int(places[0]))

    def alias(self, index: int) -> str:
        ((part, _, places),) = self._split(np.array([index]))
        return part.alias(int(places[0]))

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        for part, _, places in self._split(indices):
            add(part.take(places).fingerprint().encode())


def _frozen(values: np.ndarray) -> np.ndarray:
    values = values.view()
    values.flags.writeable = False
    return values

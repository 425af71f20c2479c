"""Records of texts: where each text is, its labels, and the tokenizer that makes ids of it.

Design choices:
- A record costs its place (4 to 12 bytes), its label in the smallest type that holds it, and 4 bytes for its number: some
  10 to 17 bytes, whatever the length of the text. Ten million lines train in the memory of a hundred thousand.
- Ids of texts that fit into 32 MB are kept, as one ragged row of the smallest integers that hold them, made on first need.
  Beyond that a text is read and tokenised whenever it is needed.
- `read(..., margin=8)` cuts the padding that a whole batch has, to a multiple of 8: short sentences train faster, and the
  network sees few different widths.
- Several labels a text are a ragged row of codes; targets are then float32 (b, classes) of zeros and ones, and the stratum
  is the rarest label, so that a split spreads what is rare.
- The fingerprint is of texts, labels and their names: neither of the container format nor of the tokenizer.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from cnnkit.data.records import Records
from cnnkit.data.tags import Tagged, narrow, ragged
from cnnkit.device.text import Tokenizer, lengths, widths
from cnnkit.inputs.text.sources import JoinedTexts, Texts

MOST_CACHED = 32 * 2**20  # bytes of ids
_BLOCK = 2048  # texts at once
_PADDING = 0  # the id that fills a row up


class _Ids:
    """The ids of all texts of a source, made on first need and kept where they fit."""

    def __init__(self, texts: Texts, tokenizer: Any):
        self._texts, self._tokenizer = texts, tokenizer
        self._lock = threading.Lock()
        self._kept: tuple[np.ndarray, np.ndarray] | None = None
        self._fits = True

    def rows(self, places: np.ndarray) -> list[np.ndarray] | tuple[np.ndarray, np.ndarray]:
        """Return ids (k,) and the row each belongs to."""
        kept = self._filled()
        if kept is not None:
            return ragged(*kept, places)
        return self._tokenised(places)

    def _tokenised(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(self._tokenizer.batch(self._texts.read(places)))
        sizes = lengths(ids)
        real = np.arange(ids.shape[1]) < sizes[:, None]
        return ids[real], np.repeat(np.arange(len(ids)), sizes)

    def _filled(self) -> tuple[np.ndarray, np.ndarray] | None:
        if self._kept is not None or not self._fits:
            return self._kept
        with self._lock:
            if self._kept is None and self._fits:
                self._kept = self._fill()
                self._fits = self._kept is not None
        return self._kept

    def _fill(self) -> tuple[np.ndarray, np.ndarray] | None:
        kind = np.uint16 if self._tokenizer.size <= 2**16 else np.uint32
        count = len(self._texts)
        kept, ends = bytearray(), np.zeros(count, np.uint32)  # a bytearray grows in place
        for start in range(0, count, _BLOCK):
            places = np.arange(start, min(count, start + _BLOCK))
            ids, rows = self._tokenised(places)
            stop = len(kept) // kind().itemsize
            ends[places] = np.cumsum(np.bincount(rows, minlength=len(places))) + stop
            kept += ids.astype(kind).data
            done = start + len(places)
            most = MOST_CACHED * (1 if done == count else 1.25)  # as the first ones go
            if len(kept) / done * count + ends.nbytes > most:
                return None
        return np.frombuffer(kept, kind) if kept else np.zeros(0, kind), ends


class TextRecords(Tagged):
    """An immutable view of labelled texts.

    Args:
        source: where the texts are (a `Texts`).
        labels: int (n,), the class of each record; of several labels a text, the stratum.
        label_names: what the classes are called.
        tokenizer: makes ids; None until `with_tokenizer`.
        ids: what is kept of ids; made here.
        others: as `Tagged`; `input_shape` is (length,), the ids of one text.
    """

    noun = "texts"
    _PLACE = np.uint32  # 4,294,967,295 texts

    def __init__(
        self,
        source: Any,
        labels: np.ndarray,
        label_names: Sequence[str],
        *,
        tokenizer: Any = None,
        ids: _Ids | None = None,
        input_shape: Any = None,
        **others: Any,
    ):
        shape: Any = input_shape or (1,)
        super().__init__(source, labels, label_names, input_shape=shape, **others)
        self.labels = narrow(self.labels)
        self.labels.flags.writeable = False
        self.tokenizer = tokenizer
        self._ids = _Ids(source, tokenizer) if ids is None and tokenizer is not None else ids

    def __repr__(self) -> str:
        return f"TextRecords({len(self):,} texts, {len(self.label_names)} labels)"

    def _changed(self, **changes: Any) -> Self:
        kept = {"tokenizer": self.tokenizer, "ids": self._ids}
        return super()._changed(**{**kept, **changes})

    @property
    def source(self) -> Texts:
        """Where the texts are."""
        return self._source  # type: ignore[return-value]

    def with_tokenizer(self, tokenizer: Any) -> Self:
        """Return a view whose texts are read as ids of this tokenizer."""
        return self._changed(tokenizer=tokenizer, ids=None, input_shape=(int(tokenizer.length),))

    def as_read_by(self, artifact: Any) -> Self:
        """Return a view whose texts become ids as the artifact's file says, whatever vocabulary they were loaded with."""
        written = artifact.metadata.get("text")
        tokenizer = self.tokenizer if written is None else Tokenizer.from_dict(written)
        return self if tokenizer == self.tokenizer else self.with_tokenizer(tokenizer)

    def sharing(self, other: "TextRecords") -> "TextRecords":
        """Return a view with the tokenizer of `other`; of the same source, what is kept of ids is shared too."""
        same = self._source is other._source
        return self._changed(tokenizer=other.tokenizer, ids=other._ids if same else None, input_shape=other.input_shape)

    def with_shape(self, input_shape: Any) -> Self:
        """Return a view that reads so many ids of a text: (length,)."""
        if len(input_shape) != 1 or input_shape[0] < 1:
            raise ValueError(f"`input_shape` of texts is (length,). Received: input_shape={input_shape}.")
        longer = self.tokenizer is not None and input_shape[0] > self.tokenizer.length
        if longer:  # ids end at the tokenizer's length
            raise ValueError(
                f"`input_shape` needs at most the tokenizer's length, {self.tokenizer.length}. "
                f"Received: input_shape={input_shape}."
            )
        return self._changed(input_shape=tuple(input_shape))

    def texts(self, indices: np.ndarray) -> list[str]:
        """Return the texts of these records as they are written."""
        return self.source.read(self._index[self._checked(indices)])

    def every_text(self) -> Iterator[str]:
        """Yield all texts in order, a block at a time in memory."""
        for block in self.blocks(_BLOCK):
            yield from self.texts(block)

    def shown(self, indices: np.ndarray) -> list[dict[str, Any]]:
        """Return `text` of each of these records."""
        return [{"text": text} for text in self.texts(indices)]

    def read(self, indices: np.ndarray, *, margin: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Read these records, in this order.

        Args:
            indices: int (b,), each below `len(self)`.
            margin: end so many ids behind the longest of these texts, at a multiple of 8 (`cnnkit.device.text.widths`).

        Returns:
            ids int32 (b, length), filled up with 0; targets as `targets` has them.

        Raises:
            DataError: the file has changed, or cannot be read.
        """
        if self._ids is None:
            raise ValueError("`read` needs a tokenizer: records.with_tokenizer(tokenizer).")
        indices = self._checked(indices)
        places = self._index[indices]
        ids, rows = self._ids.rows(places)
        length = self.input_shape[0]
        sizes = np.bincount(rows, minlength=len(places)) if len(places) else np.zeros(0, np.int64)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        if margin is not None:
            length = int(widths(sizes.max(initial=0), length, margin))
        batch = np.full((len(places), length), _PADDING, np.int32)
        inside = columns < length
        batch[rows[inside], columns[inside]] = ids[inside]
        return batch, self.targets(indices)

    def native(self, index: int) -> Any:
        """Return the text of a record."""
        return self.texts(np.array([index]))[0]

    def plus(self, other: Records, names: tuple[str, ...]) -> "TextRecords":
        """Return these records and then others, with the tokenizer of these; as `Records.plus`."""
        ours, theirs, tags = self._tagged_with(other, names)
        return TextRecords(
            JoinedTexts(self, other),
            np.concatenate([ours.labels, theirs.labels]),
            names,
            groups=self._groups_with(other),
            asked=ours._asked_with(theirs),
            tokenizer=self.tokenizer,
            tags=tags,
            input_shape=self.input_shape,
        )

    @cached_property
    def _fingerprint(self) -> str:
        sha = hashlib.sha256(repr(("texts 1", self.label_names, len(self))).encode())
        self._digest(sha.update)
        return sha.hexdigest()

    def _digest(self, add: Callable[[Any], None]) -> None:
        for start in range(0, len(self), 1 << 16):
            part = slice(start, start + (1 << 16))
            add(self.labels[part].astype("<i4").tobytes())
            if self._tags is not None:
                codes, rows = self._tags.of(self._index[part])
                add(codes.astype("<i4").tobytes() + rows.astype("<i4").tobytes())
        self.source.digest(self._index, add)
        if self._asked is not None:
            add(self._asked.of(self._index).tobytes())

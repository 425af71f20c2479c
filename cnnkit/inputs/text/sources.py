"""Where texts are: in a file, in a folder of files, in memory, or in two places one after the other. Read by position.

Design choices:
- Of a text in a file only its place is kept, 4 bytes below 4 GB and 8 above, and 4 more for the ends where records between
  were left out. No Python object per text.
- A block of texts that lie together is read at once; single ones with `os.pread`, so any number of threads may read.
- What a person calls a text is "file, line N". Line numbers are counted when they are asked for.
- A file that has changed since it was indexed is refused: its places would point into the middle of other texts.
"""

import bisect
import csv
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnnkit.data.walks import Paths
from cnnkit.errors import DataError
from cnnkit.inputs.text.containers import Plain

_BLOCK = 1024  # texts at once
_GAP = 1 << 16  # bytes that may be read for nothing


class Texts(Protocol):
    """Where texts are. Safe to share between threads."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> list[str]:
        """Return these texts, in this order."""

    def name(self, index: int) -> str:
        """Return what a person calls the text: "file, line N"."""

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Feed these texts, each with its length, to `add`, a block at a time."""
        for start in range(0, len(indices), _BLOCK):
            for text in self.read(indices[start : start + _BLOCK]):
                raw = text.encode("utf-8", "replace")
                add(len(raw).to_bytes(4, "little"))
                add(raw)


class FileTexts(Texts):
    """The texts of one file.

    Args:
        path: the file.
        form: takes the text out of a record's bytes, as `cnnkit.inputs.text.formats` has it.
        starts: int (n,), where each record begins, rising.
        ends: int (n,), where each ends; or the one place where the last ends, if each ends where the next begins.
        encoding: of the texts.
        stamp: size and time of change of the file as it was indexed.
        plain: where its lines are, if that is another file.
    """

    def __init__(
        self,
        path: Path,
        form: Any,
        starts: np.ndarray,
        ends: np.ndarray,
        encoding: str,
        stamp: tuple[int, int],
        plain: Plain | None = None,
    ):
        self.path, self.form, self.encoding = path, form, encoding
        self._plain = plain or Plain(path, encoding)
        narrow = np.uint32 if stamp[0] < 2**32 else np.int64
        self._starts, self._ends = np.asarray(starts, narrow), np.atleast_1d(np.asarray(ends, narrow))
        self._stamp = stamp
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._marks: list[tuple[int, int]] = [(0, 1)]  # (place, number of the line there)

    def __len__(self) -> int:
        return len(self._starts)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)  # type: ignore[arg-type]

    def read(self, indices: np.ndarray) -> list[str]:
        if not len(indices):
            return []
        indices = np.asarray(indices, np.int64)
        starts = self._starts[indices].astype(np.int64)
        last = len(self._starts) - 1
        if len(self._ends) > 1 or last == 0:
            ends = self._ends[indices].astype(np.int64)
        else:
            ends = np.where(indices == last, self._ends[0], self._starts[np.minimum(indices + 1, last)]).astype(
                np.int64
            )
        first, final = int(starts.min()), int(ends.max())
        if final - first <= 2 * int((ends - starts).sum()) + _GAP:
            block = self._pread(final - first, first)
            raw = [block[a:b] for a, b in zip((starts - first).tolist(), (ends - first).tolist(), strict=True)]
        else:
            raw = [self._pread(b - a, a) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        text, encoding = self.form.text, self.encoding
        try:
            return [text(record, encoding) for record in raw]
        except (ValueError, IndexError, csv.Error):
            raise self._changed() from None

    def _pread(self, size: int, place: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.pread(self._open(), size, place)
            except OSError as error:
                raise DataError(f"{self.path} cannot be read: {error.strerror}.") from None
            if not part:
                raise self._changed()
            parts.append(part)
            size, place = size - len(part), place + len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _open(self) -> int:
        if self._descriptor is None:
            with self._lock:
                if self._descriptor is None:
                    descriptor = os.open(self._plain.path, os.O_RDONLY)
                    if stamp(os.fstat(descriptor)) != self._stamp:
                        os.close(descriptor)
                        raise self._changed()
                    self._descriptor = descriptor
        return self._descriptor

    def _changed(self) -> DataError:
        return DataError(f"{self.path} has changed since it was looked through. Start again.")

    def name(self, index: int) -> str:
        return f"{self.path.name}, {self._plain.unit} {self._line(int(self._starts[index])):,}"

    def _line(self, place: int) -> int:
        """Count lines up to a place, from the nearest place that is known."""
        with self._lock:
            at, number = self._marks[bisect.bisect_right(self._marks, (place, 1 << 62)) - 1]
        while at < place:
            block = self._pread(min(1 << 20, place - at), at)
            at, number = at + len(block), number + block.count(b"\n")
        with self._lock:
            bisect.insort(self._marks, (at, number))
        return number


def stamp(status: os.stat_result) -> tuple[int, int]:
    """Return size and time of change of a file."""
    return status.st_size, status.st_mtime_ns


class FolderTexts(Texts):
    """Files below a folder, one text each.

    Args:
        root: the folder.
        paths: below it.
        encoding: of all files.
    """

    def __init__(self, root: Path, paths: Paths, encoding: str):
        self._root, self._paths, self.encoding = os.fspath(root), paths, encoding

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, indices: np.ndarray) -> list[str]:
        return [self._text(index) for index in np.asarray(indices).tolist()]

    def _text(self, index: int) -> str:
        path = os.path.join(self._root, self.name(index))  # noqa: PTH118 - as fast as the reading
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                return " ".join(file.read().removeprefix(b"\xef\xbb\xbf").decode(self.encoding).split())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}).") from None

    def name(self, index: int) -> str:
        return str(self._paths[index])


class ListTexts(Texts):
    """Texts that are in memory, with a name each."""

    def __init__(self, texts: Sequence[str], names: Sequence[str] | None = None):
        self._texts, self._names = list(texts), names

    def __len__(self) -> int:
        return len(self._texts)

    def read(self, indices: np.ndarray) -> list[str]:
        return [self._texts[index] for index in np.asarray(indices).tolist()]

    def name(self, index: int) -> str:
        return f"text {index + 1:,}" if self._names is None else self._names[index]


class JoinedTexts(Texts):
    """The texts of two sets of records, one after the other. They have `texts`, `name` and a length."""

    def __init__(self, first: Any, second: Any):
        self._parts = first, second

    def __len__(self) -> int:
        return len(self._parts[0]) + len(self._parts[1])

    def read(self, indices: np.ndarray) -> list[str]:
        indices = np.asarray(indices, np.int64)
        count = len(self._parts[0])
        theirs = indices >= count
        first = iter(self._parts[0].texts(indices[~theirs]))
        second = iter(self._parts[1].texts(indices[theirs] - count))
        return [next(second if other else first) for other in theirs.tolist()]

    def name(self, index: int) -> str:
        count = len(self._parts[0])
        return self._parts[0].name(index) if index < count else self._parts[1].name(index - count)

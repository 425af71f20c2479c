"""What a reader is: it says which data it fits, and reads a split of it as a `Part`.

A package registers a `Reader` under the entry point group `cnnkit.readers`; the name there is what cards call it by.

Design choices:
- A reader is told one split and returns one `Part`; what the labels mean across splits is settled afterwards, once.
- `needs` names which entries of a split are paths, so a form of a data set is there when all of them are.
- A reader that finds data by itself says so in two steps: `fits` looks whether it is its kind, cheaply; `splits` makes the
  tables that a card would hold, and tells what is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.inventory import Entry
from cnnkit.data.records import Progress, Source
from cnnkit.errors import DataError

CERTAIN = 0  # what is in the files says what they are
NAMED = 1  # names of files say it
LAST = 2  # any folder may be it


@dataclass
class Part:
    """One split as its reader found it.

    Attributes:
        images: where the images, or the texts, are.
        codes: int32, which of `names` each record has (n,), or, where `more` are boxes, each box (m,).
        names: the labels as the source writes them, in the order that a card without a list of labels takes.
        groups: int (n,) or None.
        bad: (file, reason) of every file that was left out because it cannot be used.
        ignored: files that are no data.
        entries: what was left out, ignored or read otherwise than written, beyond `bad` and `ignored`; see `inventory`.
        notes: lines on what was found out and not told.
        value_range: the values that are black and white in an array or a table of pixels; None of image files.
        group_note: a line on what `groups` are, and why.
        more: what else there is of the task that the reader is for, as its loader takes it; None of classification.
    """

    images: Source
    codes: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray | None = None
    bad: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    value_range: tuple[float, float] | None = None
    group_note: str = ""
    more: Any = None


@dataclass(frozen=True)
class Request:
    """What a reader is asked.

    Attributes:
        root: the folder of the data set; None for data that comes with a library.
        split: the card's table of this split.
        options: the card's options.
        verify: decode every image once.
        progress: called while it goes.
        train_range: what is black and white in the training split, where this is another one.
        train: what was read of the training split, where this is another one.
    """

    root: Path | None
    split: dict[str, Any]
    options: dict[str, Any]
    verify: bool = False
    progress: Progress | None = None
    train_range: tuple[float, float] | None = None
    train: "Part | None" = None

    def path(self, key: str) -> Path:
        """Return the file or folder that the split names under `key`."""
        if not isinstance(self.split.get(key), str) or self.root is None:
            raise DataError(f"The card needs `{key}` in each table of [splits].")
        return self.root / self.split[key]

    def text(self, key: str, otherwise: str) -> str:
        return str(self.split.get(key, otherwise))

    def whole(self, key: str, otherwise: int, low: int, high: int, given: Mapping[str, Any] | None = None) -> int:
        """Return a whole number of the options, or of `given`, from `low` to `high`."""
        value = (self.options if given is None else given).get(key, otherwise)
        if type(value) is not int or not low <= value <= high:
            what = f"The option `{key}`" if given is None else f"`{key}`"
            raise DataError(f"{what} is a whole number from {low} to {high:,}, not {value!r}.")
        return value


@dataclass(frozen=True)
class Reader:
    """A way to read data.

    Attributes:
        read: returns what a split holds.
        task: what the data is for.
        needs: entries of a split that are paths.
        keys: what else a split may say.
        options: what the card may set.
        about: what it reads, as an error lists it: "an .npz".
        fits: says whether a user's folder or file is its kind; `named`: a card asks for this reader, so no other is meant. None
            for what is never found by itself.
        splits: returns the split tables of such a folder or file, relative to it or to the file's folder.
        rank: how sure `fits` is, `CERTAIN`, `NAMED` or `LAST`: the surest are asked first, and of them one may fit.
        waits: it looks only at data that is said to be for its task: a file of texts may be a table of pixels as well.
        beside: what lies beside a file that a split names belongs to the data too, as images beside their boxes.
        private: its files may be called after patients: what we write of them has numbers, or nothing, in place of names.
        left: returns the inventory's entries of what lies in the root beside what the splits (the tables) name.
    """

    read: Callable[[Request], Part]
    task: str
    needs: tuple[str, ...] = ()
    keys: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    about: str = ""
    fits: Callable[[Path, bool], bool] | None = None
    splits: Callable[[Path], dict[str, dict[str, Any]]] | None = None
    rank: int = CERTAIN
    waits: bool = False
    beside: bool = False
    private: bool = False
    left: Callable[[Path, list[dict[str, Any]]], list[Entry]] | None = None

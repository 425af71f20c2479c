"""Arrays and lists that somebody has in Python, kept as a data set in files: so that they are trained on as any other data is.

Design choices:
- They are written into the cache once, below a name that follows from their content. So the same arrays are the same data, and
  a run that learnt from them finds them again in another process, while the cache is there.
- A kind says whether arrays are its own, and in which form of file its reader takes them (`Kept`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import files
from cnnkit.data.cards import writing_the_cache
from cnnkit.errors import DataError

Pairs = Mapping[str, tuple[Any, Any]]
"""Inputs and targets of each split: "train", and perhaps "validation" and "test"."""

SPLITS = ("train", "validation", "test")
FOLDER = "arrays"  # of the cache
CARD = "data.toml"
NEED = (
    "Arrays are (inputs, targets), ((inputs, targets) to train, (inputs, targets) to test), or a dictionary of such pairs with "
    "the keys train, validation and test"
)


@dataclasses.dataclass(frozen=True)
class Kept:
    """How arrays of a kind become files.

    Attributes:
        task: what they are for, as readers say it.
        reader: of the files.
        title: what a person calls them.
        tables: of each split what its reader is told.
        arrays: what is written, for the name that follows from it.
        write: writes the files into a folder.
        options: of the reader.
        labels: what the labels are called, in order; none: the files say it.
    """

    task: str
    reader: str
    title: str
    tables: Mapping[str, Mapping[str, Any]]
    arrays: Sequence[Any]
    write: Callable[[Path], None]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def card(self) -> str:
        """Return the card, as TOML."""
        rows = [f"{key} = {_toml(getattr(self, key))}" for key in ("title", "task", "reader")]
        rows += [f"labels = {_toml(list(self.labels))}"] if self.labels else []
        for name, table in (("options", self.options), ("splits", self.tables)):
            rows += ["", f"[{name}]", *(f"{_toml(key)} = {_toml(value)}" for key, value in table.items())]
        return "\n".join(rows) + "\n"

    def keep(self) -> Path:
        """Write the data set, where it is not there, and return its card.

        Raises:
            DataError: a name is no text, or the cache cannot be written to.
        """
        card = self.card()
        folder = files.cache_folder() / FOLDER / _digest(card, self.arrays)
        path = folder / CARD
        if not path.is_file():
            with writing_the_cache():
                folder.mkdir(parents=True, exist_ok=True)
                self.write(folder)
                files.write_text(path, card)  # last: where it is, all is
        return path


def is_kept(path: Path | str) -> bool:
    """Whether data at a path were arrays in Python."""
    return Path(path).name == CARD and Path(path).parent.parent.name == FOLDER


def pairs(given: Any) -> Pairs | None:
    """Return the splits that arrays are meant as; None: they are no arrays.

    Raises:
        DataError: they are no pairs of inputs and targets, or of another length.
    """
    if isinstance(given, Mapping):
        found = dict(given)
        if any(str(key)[:2] in ("x_", "y_") for key in found):  # as .npz files of MNIST are
            words = {str(key)[2:] for key in found}
            found = {word: (found.get(f"x_{word}"), found.get(f"y_{word}")) for word in sorted(words)}
    elif isinstance(given, list | tuple) and len(given) in (2, 3):
        several = all(isinstance(part, list | tuple) and len(part) == 2 and all(map(_is_row, part)) for part in given)
        names = SPLITS if len(given) == 3 else ("train", "test")
        found = dict(zip(names, given, strict=True)) if several else {"train": given}
    elif hasattr(given, "__array__") or isinstance(given, list | tuple):
        raise DataError(f"{NEED}. Got {_said(given)}.")
    else:
        return None
    if "train" not in found or not set(found) <= set(SPLITS):
        raise DataError(f"{NEED}. Got the keys {', '.join(map(str, found)) or '(none)'}.")
    return {split: _pair(found[split], split) for split in SPLITS if split in found}


def numbers(values: Any, what: str) -> np.ndarray:
    """Return an array of finite numbers, or of `bool`, as it is.

    Raises:
        DataError: it is none.
    """
    try:
        found = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{what} have rows of different lengths. Give one array.") from error
    if found.dtype.kind not in "iufb":
        raise DataError(f"{what} are an array of {found.dtype}, and need to be numbers.")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        count = int((~np.isfinite(found)).sum())
        raise DataError(f"{what} hold {count:,} values that are NaN or infinity. Repair or leave them out.")
    return found


def is_words(values: Any) -> bool:
    """Whether values are a row of `str`."""
    if isinstance(values, list | tuple):
        return bool(values) and all(isinstance(value, str) for value in values)
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    return kind in ("U", "T") or (kind == "O" and is_words(np.asarray(values).tolist()))


def _is_row(values: Any) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str | bytes | Mapping)


def _pair(given: Any, split: str) -> tuple[Any, Any]:
    if not isinstance(given, list | tuple) or len(given) != 2 or not all(_is_row(part) for part in given):
        raise DataError(f"{NEED}. Got for {split} {_said(given)}.")
    inputs, targets = given
    if len(inputs) != len(targets):
        raise DataError(
            f"The {split} split has {len(inputs):,} inputs and {len(targets):,} targets. Give one for each."
        )
    if not len(inputs):
        raise DataError(f"The {split} split is empty. Leave it out, or give records.")
    return inputs, targets


def _said(given: Any) -> str:
    if hasattr(given, "shape"):
        return f"an array of shape {tuple(given.shape)}"
    return f"a {type(given).__name__} of {len(given)}" if isinstance(given, list | tuple) else type(given).__name__


def _digest(card: str, values: Sequence[Any]) -> str:
    sha = hashlib.sha256(card.encode())
    for value in values:
        if isinstance(value, np.ndarray):
            sha.update(repr((value.shape, value.dtype.str)).encode())
            sha.update(np.ascontiguousarray(value).data if value.size else b"")
        else:
            sha.update(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return sha.hexdigest()[:24]


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # Texts, numbers and truth are written as in JSON, but for its pairs of surrogates and a bare delete.
    written = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        return written.encode().decode()
    except UnicodeEncodeError:
        raise DataError(f"{value!r} is no text: it has half of a character. Call it otherwise.") from None

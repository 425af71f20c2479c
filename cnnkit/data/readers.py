"""The readers that are installed: found by name, or by asking each whether it fits a user's folder or file."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit import plugins
from cnnkit.data.reading import LAST, Reader
from cnnkit.errors import DataError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "cnnkit.readers"


def names() -> list[str]:
    """Return the names of all readers, sorted."""
    return list(_entries())


def find(name: str) -> Reader:
    """Return the reader of that name.

    Raises:
        DataError: there is none (the error lists them all), two packages have one, or it cannot be loaded.
    """
    entry = _entries().get(name)
    if entry is None:
        raise DataError(f"There is no reader {name!r}. There are {', '.join(names())}.")
    reader = plugins.load(entry)
    if reader is None:
        raise DataError(f"The reader {name!r} of {plugins.package(entry)} cannot be loaded. Install it anew.")
    return reader


def fits(path: Path, task: str) -> bool:
    """Return whether a reader for this task fits a user's folder or file; whether it can read all of it, is another question."""
    loaded = [plugins.load(entry) for entry in _entries().values()]
    return any(reader is not None and reader.task == task and _ask(reader, path) for reader in loaded)


def detect(path: Path, name: str = "", task: str = "") -> tuple[Path, str, dict[str, dict[str, Any]]]:
    """Find out how a user's folder or file is read, by asking the readers.

    Args:
        path: a folder or file that exists.
        name: the reader that a card asks for, or "" to choose one.
        task: what the data is said to be for, or "".

    Returns:
        the data set's folder, the name of its reader, and the tables that a card would hold under [splits].

    Raises:
        DataError: no reader fits, or several do.
    """
    root = path if path.is_dir() else path.parent
    if name:
        reader = find(name)
        if reader.fits is None or reader.splits is None or not _ask(reader, path, named=True):
            raise DataError(f"{path} holds nothing that the reader {name!r} finds by itself. Name it under [splits].")
        return root, name, reader.splits(path)
    asked = _asked(task)
    for rank in sorted({reader.rank for reader in asked.values()}):
        found, faults = {}, []
        for each, reader in asked.items():
            try:
                if reader.rank == rank and _ask(reader, path):
                    found[each] = reader
            except DataError as error:
                faults.append(error)
        if len(found) > 1:
            raise DataError(
                f"{path} may be read by two readers: {' and '.join(found)}. Move one's files away, or say which is meant "
                "with `reader` and `path` in a card (.toml)."
            )
        for each, reader in found.items():
            return root, each, reader.splits(path)  # type: ignore[misc]
        if faults:
            raise faults[0]
    usual = sorted(asked.values(), key=lambda reader: -reader.rank)
    about = dict.fromkeys(reader.about for reader in usual if reader.about)
    raise DataError(f"{path} is no data set: it needs to be {', '.join(about)} or a card (.toml).")


def likeliest(path: Path) -> str:
    """Return what a user's folder or file is for, where nobody says it; "": what `detect` makes of it.

    A reader that waits for its task is heard where it is surer than all that do not wait, or where none of these fits: a folder
    of `images` and `masks` is no pair of classes.

    Raises:
        DataError: it may be for several tasks.
    """
    fitting: dict[tuple[bool, int], set[str]] = {}
    for entry in _entries().values():
        reader = plugins.load(entry)
        if reader is not None and reader.fits is not None:
            with contextlib.suppress(DataError):  # said by whoever reads it
                if _ask(reader, path):
                    fitting.setdefault((reader.waits, reader.rank), set()).add(reader.task)
    at_once = min((rank for waits, rank in fitting if not waits), default=LAST + 1)
    waiting = min((rank for waits, rank in fitting if waits), default=LAST + 1)
    if waiting >= at_once or (path.is_file() and at_once <= LAST):  # a table of pictures is one of words too
        return ""
    first, *others = sorted(fitting[True, waiting])
    if others:
        raise DataError(f"{path} may be for {first} or for {others[0]}. Say which with `task`.")
    return first


def _asked(task: str) -> dict[str, Reader]:
    """Return the readers that look at data which is said to be for `task`: {name: reader}."""
    loaded = {name: plugins.load(entry) for name, entry in _entries().items()}
    every = {name: reader for name, reader in loaded.items() if reader is not None and reader.fits is not None}
    waiting = any(reader.waits and reader.task == task for reader in every.values())
    return {name: reader for name, reader in every.items() if (reader.task == task if waiting else not reader.waits)}


def _entries() -> "dict[str, EntryPoint]":
    """Return what is installed, by name.

    Raises:
        DataError: two packages have a reader of the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in plugins.installed(GROUP):
        if entry.name in found:
            packages = f"{plugins.package(found[entry.name])} and {plugins.package(entry)}"
            raise DataError(f"There are two readers {entry.name!r}, of {packages}. Uninstall one of them.")
        found[entry.name] = entry
    return found


def _ask(reader: Reader, path: Path, *, named: bool = False) -> bool:
    try:
        return reader.fits is not None and reader.fits(path, named)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None

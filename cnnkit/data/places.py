"""Where the data of a run lies, so that it is found again, and which files it is made of, so that a change can be named.

Design choices:
- A place is kept twice, absolute and relative to the run: runs and data that move together are found too. What the user wrote
  is only looked up from the present folder as a last resort; what decides is the fingerprint.
- The listing has the size and a digest of each file. A run keeps it, so that of other data one can say which files were added,
  are gone or have changed. Of files above 64 KiB in large sets only both ends are read, as for fingerprints.
- Of files that may be called after patients a run keeps no names: what was added can then be named, what is gone only counted.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnkit.data import cards, fetch, readers
from cnnkit.data.cards import Card, Form
from cnnkit.data.loading import some
from cnnkit.errors import DataError
from cnnkit.files import ends_of

MOST_FILES = 200_000  # of a listing; with more none is kept
WHOLE_BELOW = 100  # files, of which each is read whole

Listing = Mapping[str, list[Any]]
"""Path below the data's folder, with / -> [size in bytes, digest]."""
Kept = Listing | list[list[Any]]
"""A listing as a run keeps it: with names, or without."""


def describe(source: str | Path, run: Path) -> dict[str, Any]:
    """Return where a data set lies, as plain JSON values.

    Args:
        source: as `cnnkit.data.cards.load` takes it.
        run: folder that paths are relative to as well.

    Returns:
        `source`, as the user wrote it; `path` of the folder, file or card, where it is not the name of a card; `root`, the folder
        where a card's data was found, where it has one; both also relative to the run.
    """
    found: dict[str, Any] = {"source": str(source)}
    path = cards.path_of(source)
    if path is not None:
        found |= _both("path", path, run)
    if _is_card(source, path) and (path is not None or source in cards.names()):
        card = cards.load(source)
        where = fetch.locate(card)
        if card.root is None and where is not None and where[0] is not None:
            found |= _both("root", where[0], run)
    return found


def _is_card(source: str | Path, path: Path | None) -> bool:
    return path is None or path.suffix.lower() == ".toml"


def _both(key: str, path: Path, run: Path) -> dict[str, str]:
    path = path.resolve()
    both = {key: str(path)}
    try:
        return both | {f"{key}_relative": Path(os.path.relpath(path, run.resolve())).as_posix()}
    except ValueError:  # on another drive
        return both


def candidates(place: Mapping[str, Any], run: Path) -> list[Card | str]:
    """Return what may be the data of a run, likeliest first: cards or paths, for `Recipe.load`. Only what is there."""
    source = str(place["source"])
    paths = _known("path", place, run)
    if (now := cards.path_of(source)) is not None:
        paths.append(now)
    found: list[Card | str] = []
    for entry in (
        [str(path) for path in _distinct(paths) if cards.there(path)] if paths or "path" in place else [source]
    ):
        if _is_card(entry, cards.path_of(entry)):
            card = cards.load(entry)
            rooted = [replace(card, root=root) for root in _distinct(_known("root", place, run)) if card.root is None]
            found += [made for made in rooted if fetch.locate(made) is not None]
        found.append(entry)
    return found


def guess(place: Mapping[str, Any]) -> str | None:
    """Return what the words of the user mean now, in the present folder or in $CNNKIT_DATA; None where that is nothing."""
    path = cards.path_of(str(place["source"])) if "path" in place else None
    return None if path is None else str(path)


def _known(key: str, place: Mapping[str, Any], run: Path) -> list[Path]:
    known = [Path(place[key])] if key in place else []
    return known + ([run.resolve() / place[f"{key}_relative"]] if f"{key}_relative" in place else [])


def _distinct(paths: list[Path]) -> list[Path]:
    return list({Path(os.path.normpath(path)): None for path in paths})


def listing(source: Card | str | Path, task: str = "") -> dict[str, list[Any]] | None:
    """List the files that a data set is made of; None where they are not known, are too many or cannot be read."""
    try:
        where = fetch.locate(cards.load(source, task))
        if where is None or where[0] is None:
            return None
        root, form = where[0], where[1]
        paths = []
        for path in _files(root, form):
            paths.append(path)
            if len(paths) > MOST_FILES:
                return None
        whole = len(paths) < WHOLE_BELOW
        return {Path(os.path.relpath(path, root)).as_posix(): _entry(path, whole) for path in sorted(paths)}
    except (OSError, DataError):
        return None


def private(source: Card | str | Path, task: str = "") -> bool:
    """Say whether names of a data set's files are not to be kept."""
    where = fetch.locate(cards.load(source, task))
    return where is not None and readers.find(where[1].reader).private


def _files(root: Path, form: Form) -> Iterator[Path]:
    """Yield each file below what the form's splits name, and what belongs to the data beside it, as images beside their boxes."""
    seen: set[Path] = set()
    beside = readers.find(form.reader).beside
    for name in fetch.needed(form):
        path = root / name
        if beside and path.is_file():
            path = path.parent
        for file in [path] if path.is_file() else _below(path):
            if file not in seen:
                seen.add(file)
                yield file


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _entry(path: Path, whole: bool) -> list[Any]:
    with path.open("rb") as file:
        size, ends = ends_of(file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256") if whole else hashlib.sha256(ends)
    return [size, digest.hexdigest()[:16]]


def differences(before: Kept, now: Listing) -> str:
    """Say which files differ: "2 files added (a.png, b.png), 1 gone (c.png)"; empty where none does."""
    if not isinstance(before, Mapping):
        return _nameless_differences(before, now)
    kinds = {
        "added": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "changed": [name for name in now if name in before and list(now[name]) != list(before[name])],
    }
    parts = [f"{len(names):,} {kind} ({some(names, 3)})" for kind, names in kinds.items() if names]
    if not parts:
        return ""
    count, rest = parts[0].split(" ", 1)
    total = len(before)
    return f"{count} file{'s' * (count != '1')} {rest}{''.join(', ' + part for part in parts[1:])}, of {total:,} then"


def _nameless_differences(before: list[list[Any]], now: Listing) -> str:
    known = Counter(map(tuple, before))
    added = []
    for name, entry in now.items():
        if known[tuple(entry)] > 0:
            known[tuple(entry)] -= 1
        else:
            added.append(name)
    gone = sum(known.values())
    parts = [f"{len(added):,} new or changed ({some(added, 3)})"] if added else []
    parts += [f"{gone:,} gone or changed"] if gone else []
    return f"of its files, {len(before):,} then, {', '.join(parts)}" if parts else ""


def in_common(before: Kept, now: Listing) -> int:
    """Return how many files are in both, unchanged."""
    if not isinstance(before, Mapping):
        both = Counter(map(tuple, before)) & Counter(map(tuple, now.values()))
        return sum(both.values())
    return sum(name in now and list(now[name]) == list(entry) for name, entry in before.items())

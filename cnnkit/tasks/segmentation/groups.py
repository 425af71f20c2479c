"""Which pictures are of one patient, so that a split may not tear them apart.

Design choices:
- Told by a table or by a pattern over names, else the pages of a stack are one patient's. Without any of these nothing is known
  of patients, and that is said: splits are then by picture.
- Even then what lies side by side in one body stays together: names propose which pictures do, and pictures decide, as
  `cnnkit.inputs.image.groups` does for classes of photos.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from cnnkit.errors import DataError
from cnnkit.inputs.image import groups as by_pictures
from cnnkit.inputs.image.groups import Grouping
from cnnkit.tasks.segmentation.formats.cases import Case, stem_of

FEWEST = 3  # groups that pictures propose, below which nothing could be held out
_UNKNOWN = "No patients are known: splits are by picture. Name them in a column `patient` of a table, or by a pattern of names."
_NO_ONE = (
    "No patients are known: splits are by volume, and volumes of one person, as of both sides, may come into different ones. "
    "Name who is who in patients.csv (columns image, patient), or by a pattern of names."
)
_SIDES = ("left", "right"), ("lt", "rt"), ("lh", "rh"), ("l", "r")


def find(
    cases: Sequence[Case],
    read: Callable[[int], np.ndarray] | None,
    options: Mapping[str, Any],
    patients: Mapping[str, str],
    *,
    headers: bool = False,
) -> Grouping:
    """Find out which cases belong together.

    Args:
        cases: all of a split.
        read: returns the picture of case k to look at, uint8; called for some hundred of them, in threads. None: whether
            neighbours look alike says nothing.
        options: of the card: `groups` or `patients`, "none" or a regular expression over the paths of pictures.
        patients: name of a picture -> its patient, as a table has them.
        headers: whether the patients of cases are from headers of files, and not from a table: some may name none.

    Raises:
        DataError: the pattern is none or fits nothing, or the table leaves some pictures out.
    """
    pattern = options.get("patients", options.get("groups"))
    if pattern is not None and not isinstance(pattern, str):
        raise DataError(f'The option `patients` is a text, "none" or a regular expression, not {pattern!r}.')
    names = [case.pictures[0].replace("/", os.sep) for case in cases]
    classes = np.zeros(len(cases), np.int32)
    if not cases or pattern is not None:
        return by_pictures.find(names, classes, read or _unread, pattern or "none")
    told = [case.patient or _looked_up(case, patients) for case in cases]
    if any(told):
        missing = [case.name for case, patient in zip(cases, told) if not patient]
        if headers:
            groups = _numbered([patient or f"volume {k}" for k, patient in enumerate(told)])
            alone = f"; {len(missing):,} say none, and are taken for one patient each" if missing else ""
            said = f"Groups: {groups.max() + 1:,} patients of {len(cases):,} volumes, as their headers say{alone}."
            return Grouping(groups, said)
        if missing:
            raise DataError(f"The table of patients names none for {missing[0]} and {len(missing) - 1} more pictures.")
        groups = _numbered(told)
        return Grouping(groups, f"Groups: {groups.max() + 1:,} patients of {len(cases):,} pictures, as the table says.")
    if any(case.page is not None for case in cases):
        groups = _numbered(names)
        return Grouping(groups, f"Groups: {groups.max() + 1:,} stacks; all pages of one stay on one side of a split.")
    if read is None:
        return _by_sides(cases)
    found = by_pictures.find(names, classes, read)
    if found.groups is None or int(found.groups.max()) + 1 < FEWEST:
        return Grouping(None, _UNKNOWN)
    count = int(found.groups.max()) + 1
    return Grouping(
        found.groups,
        f"{_UNKNOWN} Neighbours that look alike stay together: {count:,} groups of {len(cases):,} pictures.",
    )


def _by_sides(cases: Sequence[Case]) -> Grouping:
    """Keep volumes together whose names differ in left and right alone."""
    names = [_without_side(case.pictures[0]) for case in cases]
    groups = _numbered([name for name, _ in names])
    sides = {(group, side) for group, (_, side) in zip(groups.tolist(), names)}
    both = [group for group in range(int(groups.max()) + 1) if {(group, 0), (group, 1)} <= sides]
    if not both or len(sides) < len(cases):
        return Grouping(None, _NO_ONE)
    return Grouping(
        groups,
        f"Groups: {groups.max() + 1:,} of {len(cases):,} volumes: {len(both):,} pairs of names differ in left and right alone. "
        "Nothing else is known of patients.",
    )


def _without_side(path: str) -> tuple[str, int | None]:
    """Return the path of a case without the word of its name that says a side, and which that is: 0 left, 1 right, None."""
    folder, _, name = path.rpartition("/")
    parts = re.split(r"([^A-Za-z]+)", stem_of(name))
    for words in _SIDES:
        for place, part in enumerate(parts):
            if part.lower() in words:
                return "/".join([folder, "".join([*parts[:place], "*", *parts[place + 1 :]])]), words.index(
                    part.lower()
                )
    return path, None


def _unread(index: int) -> np.ndarray:
    raise AssertionError("patterns ask for no picture")


def _looked_up(case: Case, patients: Mapping[str, str]) -> str:
    path = PurePosixPath(case.pictures[0])
    stem = stem_of(path.name)
    names = (path.as_posix(), path.name, path.with_name(stem).as_posix() if path.name else "", stem, case.key)
    return next((patients[name] for name in names if name in patients), "")


def _numbered(names: Sequence[str]) -> np.ndarray:
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int32)

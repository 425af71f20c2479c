"""Which images belong together, so that a split may not tear them apart: proposed by names, decided by pictures.

Design choices:
- Names propose: all but the last number (TRACK_FRAME, CLASS_TRACK_FRAME, track3-frame07), but the last two, but the last
  word (patient7_left), all behind the first number (frame7_track3), the folder. Each with the folder the file lies in.
- Pictures decide: in a small sample each picture is held against its neighbour in the would-be group and against pictures
  of other groups of the same class. Where frames of a track stand, the neighbour is the nearest of all most of the time (83 %
  of the traffic signs of the German benchmark against 40 others); where names are only numbered, hardly ever (2 to 12 % of
  photos of steel). Alike are either forms (16x16, free of brightness and contrast) or colours (quantiles, wherever they are).
  Nothing is decided by names alone. Chance counts independent things: pictures, or groups where groups are compared.
- A coarser proposal (the last two numbers) replaces a finer one only where pictures of its group that the finer one tells
  apart look alike too.
- The same name in two classes is one group only where the pictures say so: track 7 of two classes is two tracks, patient 7
  of two findings is one.
- Where a class is one numbered row whose neighbours look alike, as frames of a video do, no name says where one scene ends.
  Then blocks of neighbours stay together: a split then cuts at few places.
- Copies that a tool has made of one picture are known by its way of naming them (NAME.rf.HASH), flipped ones too.
"""

import itertools
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.device import image
from cnnkit.errors import DataError

CLASSES = 12  # looked at, and of each
POOL = 40  # pictures that others are held against
ANCHORS = 8  # pictures, each with its neighbour
FEWEST = 6  # anchors, below which nothing can be said
FEWEST_OTHERS = 4  # pictures to compare an anchor with
NEAREST = 0.5  # part of the anchors whose neighbour is the nearest: from here on the names say what belongs together
CHANCE = 1e-3  # that it would be as many if neighbours were like all others
BLOCKS = 10  # of a class that is one numbered row
_LOOKED_AT = 5000  # names of a class
_SIDE = 16
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_COPIES = re.compile(r"(.+)\.rf\.[0-9A-Za-z]+")
_LAST = re.compile(r".*(?<![0-9])([0-9]+)[^0-9]*", re.DOTALL)
_BETWEEN = " _-.,;:+#()[]{}"

Key = Callable[[str], str]


@dataclass(frozen=True)
class Grouping:
    """What belongs together.

    Attributes:
        groups: int32 (n,), equal for images that belong together; None where each stands alone.
        note: a line that says so, and why; "" where there was nothing to decide.
    """

    groups: np.ndarray | None
    note: str = ""


def find(
    names: Sequence[str], codes: np.ndarray, read: Callable[[int], np.ndarray], pattern: str | None = None
) -> Grouping:
    """Find out which images belong together.

    Args:
        names: of each image its path below the data set's folder.
        codes: int (n,), the class of each.
        read: returns image k, uint8; called for some hundred of them, in threads.
        pattern: "none" where each stands alone; or a regular expression: paths in which its groups, or else all of it, match
            the same text belong together, over all classes. None: found out.

    Raises:
        DataError: the pattern is none, or fits no path.
    """
    if pattern == "none":
        return Grouping(None, "Groups: none, as asked for.")
    if pattern is not None:
        return _by_pattern(names, pattern)
    numbers = _by_copies(names, codes)
    if numbers is not None:
        return Grouping(numbers, _said(numbers, "are called copies of one picture", _example(names, _copied)))
    sample = _Sample(names, codes, read)
    if not sample.classes:
        return Grouping(None)
    chosen, tried = _chosen(sample)
    if chosen is None:
        if sample.is_row():
            return _in_blocks(names, codes)
        told = f"Groups: none. Files such as {_example(names, tried)} are no more alike than others, whatever their names say."
        return Grouping(None, told if tried else "")
    name, key = chosen
    across = sample.across_classes(key)
    numbers = _numbered((key(n) for n in names), None if across else codes)
    note = _said(numbers, f"are called alike {name}, and look alike", _example(names, key))
    return Grouping(numbers, note + (" A group may hold several classes." if across else ""))


def told(names: np.ndarray) -> Grouping:
    """Return the groups that a table names: one text an image, equal for images that belong together."""
    found, numbers = np.unique(names, return_inverse=True)
    note = (
        f"Groups: {len(found):,} patients or others that the table names, of {len(names):,} images; none is torn apart."
    )
    return Grouping(numbers.astype(np.int32), note)


# Names ----------------------------------------------------------------------------------------------------------------


def _folder(name: str) -> str:
    return name.rpartition(os.sep)[0]


def _stem(name: str) -> tuple[str, str]:
    folder, _, file = name.rpartition(os.sep)
    return folder + os.sep, file.rpartition(".")[0] or file


def _cut(text: str) -> str:
    """All before the last number; the whole where there is none."""
    match = _LAST.fullmatch(text)
    return text[: match.start(1)].rstrip(_BETWEEN) if match else text


def _before_last(name: str) -> str:
    folder, stem = _stem(name)
    return folder + _cut(stem)


def _before_last_two(name: str) -> str:
    folder, stem = _stem(name)
    return folder + _cut(_cut(stem))


def _before_last_word(name: str) -> str:
    folder, stem = _stem(name)
    match = re.fullmatch(r"(.*[^\W_])[\W_]+[^\W_]+", stem, re.DOTALL)
    return folder + (match[1] if match else stem)


def _behind_first(name: str) -> str:
    folder, stem = _stem(name)
    match = re.fullmatch(r"\D*\d+(?!\d)[\W_]*(.+)", stem, re.DOTALL)
    return folder + (match[1] if match else stem)


def _copied(name: str) -> str:
    folder, stem = _stem(name)
    match = _COPIES.fullmatch(stem)
    return folder + (match[1] if match else stem)


_FINE: tuple[tuple[str, Key], ...] = (
    ("up to the last number", _before_last),
    ("up to the last word", _before_last_word),
    ("behind the first number", _behind_first),
    ("in their folder", _folder),
    ("up to the last two numbers", _before_last_two),
)
_COARSER: tuple[tuple[str, Key], ...] = (("up to the last two numbers", _before_last_two), ("in their folder", _folder))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which 2 comes before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"[0-9]+|[^0-9]+", name)]


def _by_copies(names: Sequence[str], codes: np.ndarray) -> np.ndarray | None:
    """Number the groups of copies where names are those of a tool that makes them; None where they are not."""
    if not len(names) or not _COPIES.fullmatch(_stem(names[0])[1]):
        return None
    numbers = _numbered((_copied(name) for name in names), codes)
    return numbers if numbers.max() + 1 < len(names) else None


def _by_pattern(names: Sequence[str], pattern: str) -> Grouping:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"`groups` needs none or a regular expression, and {pattern!r} is none: {error}.") from None
    keys: list[str] = []
    for name in names:
        match = compiled.search(name.replace(os.sep, "/"))
        keys.append("\0".join(part or "" for part in match.groups()) or match[0] if match else f"\0\0{name}")
    if all(key.startswith("\0\0") for key in keys):
        raise DataError(f"The pattern of groups, {pattern!r}, fits no path such as {names[0]!r}.")
    seen: dict[str, int] = {}
    numbers = np.array([seen.setdefault(key, len(seen)) for key in keys], np.int32)
    note = f"Groups: {len(seen):,} of {len(keys):,} images, by the pattern {pattern}. Each stays whole on one side of a split."
    return Grouping(numbers, note)


def _numbered(keys: Iterable[str], codes: np.ndarray | None) -> np.ndarray:
    """Number equal keys, of each class apart where `codes` are given: int32 (n,). Folders of classes are no part of keys."""
    seen: dict[tuple[int, str], int] = {}
    if codes is None:
        pairs: Iterable[tuple[int, str]] = ((-1, _below_class(key)) for key in keys)
    else:
        pairs = zip(codes.tolist(), keys)
    return np.fromiter((seen.setdefault(pair, len(seen)) for pair in pairs), np.int32)


def _below_class(key: str) -> str:
    return key.partition(os.sep)[2]


def _example(names: Sequence[str], key: Key | None) -> str:
    """Show the names of a group, the first that has two: FILE and FILE."""
    first: dict[str, str] = {}
    for name in itertools.islice(names, _LOOKED_AT):
        other = first.setdefault(key(name) if key else "", name)
        if other != name:
            return f"{os.path.basename(other)} and {os.path.basename(name)}"  # noqa: PTH119
    return os.path.basename(names[0])  # noqa: PTH119


def _said(numbers: np.ndarray, why: str, example: str) -> str:
    count = int(numbers.max()) + 1
    return (
        f"Groups: {count:,} of {len(numbers):,} images, {len(numbers) / count:.1f} each, that {why} ({example}). "
        "Each stays whole on one side of a split."
    )


# Pictures -------------------------------------------------------------------------------------------------------------


class _Sample:
    """Some classes of a data set, their names in natural order, their pictures read when they are asked for."""

    def __init__(self, names: Sequence[str], codes: np.ndarray, read: Callable[[int], np.ndarray]):
        self._names, self._read = names, read
        self._seen: dict[int, tuple[np.ndarray, np.ndarray] | None] = {}
        counts = np.bincount(codes) if len(codes) else np.zeros(0, int)
        there = np.flatnonzero(counts >= 4)
        picked = there[np.unique(np.linspace(0, len(there) - 1, min(CLASSES, len(there))).astype(int))]
        self.classes: list[list[int]] = []
        for code in picked.tolist():
            members = np.flatnonzero(codes == code)[:_LOOKED_AT].tolist()
            self.classes.append(sorted(members, key=lambda k: natural(names[k])))

    def keys(self, key: Key) -> list[list[str]]:
        return [[key(self._names[k]) for k in members] for members in self.classes]

    def groups(self, key: Key) -> bool:
        """Whether a class has two groups, and half of the images share theirs with others."""
        several, shared, total = False, 0, 0
        for keys in self.keys(key):
            counts: dict[str, int] = defaultdict(int)
            for value in keys:
                counts[value] += 1
            several |= len(counts) > 1
            shared += sum(count for count in counts.values() if count > 1)
            total += len(keys)
        return several and 2 * shared >= total

    def belong_together(self, key: Key, finer: Key | None = None) -> bool:
        """Whether pictures of a group look alike; with `finer`, also those that it tells apart."""
        questions = []
        for members, keys in zip(self.classes, self.keys(key)):
            units = [finer(self._names[k]) for k in members] if finer else [str(k) for k in members]
            pairs = _neighbours(keys, units)
            pool = _drawn(len(members))
            for a, b in _some(pairs, ANCHORS):
                others = [k for k in pool if keys[k] != keys[a]][:POOL]
                chance = 1 / (1 + len({units[k] for k in others}))
                questions.append((members[a], members[b], [members[k] for k in others], chance))
        return self._nearest(questions)

    def is_row(self) -> bool:
        """Whether neighbours in the numbered row of a class look alike, far ones not."""
        questions = []
        for members in self.classes:
            count = len(members)
            if count < 2 * BLOCKS or not re.search("[0-9]", _stem(self._names[members[0]])[1]):
                continue
            pool = _drawn(count)
            for a, b in _some([(k, k + 1) for k in range(count - 1)], ANCHORS):
                others = [members[k] for k in pool if abs(k - a) > count / BLOCKS][:POOL]
                questions.append((members[a], members[b], others, 1 / (1 + len(others))))
        return self._nearest(questions)

    def across_classes(self, key: Key) -> bool:
        """Whether groups of the same name in two classes look alike, more than groups of other names."""
        questions = []
        every = [[_below_class(value) for value in keys] for keys in self.keys(key)]
        for first in range(len(self.classes) - 1):
            place = {value: k for k, value in enumerate(every[first + 1])}
            firsts = {value: k for k, value in enumerate(every[first]) if value in place}
            pool = _drawn(len(every[first + 1]))
            for value, a in _some(list(firsts.items()), ANCHORS):
                others = [k for k in pool if every[first + 1][k] != value][:POOL]
                chance = 1 / (1 + len({every[first + 1][k] for k in others}))
                theirs = self.classes[first + 1]
                questions.append((self.classes[first][a], theirs[place[value]], [theirs[k] for k in others], chance))
        return self._nearest(questions)

    def _nearest(self, questions: list[tuple[int, int, list[int], float]]) -> bool:
        """Whether most pictures have their neighbour nearest to them, and none of the others; in one of the two ways.

        Args:
            questions: (picture, neighbour, others, chance that the neighbour is the nearest if it is like the others).
        """
        questions = [question for question in questions if len(question[2]) >= FEWEST_OTHERS]
        self._look({k for a, b, others, _ in questions for k in (a, b, *others)})
        won, chances = np.zeros(2, int), []
        for a, b, others, chance in questions:
            one, two = self._seen[a], self._seen[b]
            rows = [seen for k in others if (seen := self._seen[k]) is not None]
            if one is None or two is None or len(rows) < FEWEST_OTHERS:
                continue
            chances.append(chance)
            for way in range(2):
                distances = np.square(np.stack([row[way] for row in rows]) - one[way]).sum(1)
                won[way] += bool(np.square(two[way] - one[way]).sum() < distances.min())
        best = int(won.max())
        if len(chances) < FEWEST or best < NEAREST * len(chances):
            return False
        return 2 * _tail(best, len(chances), float(np.mean(chances))) < CHANCE

    def _look(self, wanted: set[int]) -> None:
        missing = sorted(wanted - self._seen.keys())

        def described(index: int) -> tuple[np.ndarray, np.ndarray] | None:
            try:
                pixels = image.fit_image(self._read(index), (_SIDE, _SIDE, 3)).astype(np.float32)
            except image.ImageError:  # it is named where it is used
                return None
            colours = np.quantile(pixels.reshape(-1, 3), _QUANTILES, axis=0).ravel()
            form = pixels.ravel() - pixels.mean()
            return form / max(float(np.linalg.norm(form)), 1.0), colours

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            self._seen.update(zip(missing, pool.map(described, missing)))


def _drawn(count: int) -> list[int]:
    """Draw places of pictures to compare with, always the same."""
    return np.sort(np.random.default_rng((count, 0x6709)).permutation(count)[: 2 * POOL]).tolist()


def _chosen(sample: _Sample) -> tuple[tuple[str, Key] | None, Key | None]:
    """Return the proposal that pictures confirm, and the first that was looked at."""
    tried = None
    for name, key in _FINE:
        if not sample.groups(key):
            continue
        tried = tried or key
        if not sample.belong_together(key):
            continue
        for wider, coarser in _COARSER:
            if coarser is not key and sample.groups(coarser) and sample.belong_together(coarser, key):
                name, key = wider, coarser
        return (name, key), tried
    return None, tried


def _neighbours(keys: list[str], units: list[str]) -> list[tuple[int, int]]:
    """Return pairs of neighbours with the same key and of two units, one pair for each unit at most."""
    last: dict[str, int] = {}
    pairs, begun = [], set()
    for k, value in enumerate(keys):
        before = last.get(value)
        if before is not None and units[before] != units[k] and (value, units[k]) not in begun:
            begun.add((value, units[k]))
            pairs.append((before, k))
        last[value] = k
    return pairs


def _some(pairs: list[Any], most: int) -> list[Any]:
    """Choose pairs that are spread over all."""
    if len(pairs) <= most:
        return pairs
    return [pairs[k] for k in np.linspace(0, len(pairs) - 1, most).astype(int)]


def _tail(won: int, count: int, chance: float) -> float:
    """Return the probability of at least `won` of `count`, each with `chance`."""
    return sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(won, count + 1))


def _in_blocks(names: Sequence[str], codes: np.ndarray) -> Grouping:
    """Put neighbours in the numbered row of each class into one of `BLOCKS` groups."""
    groups = np.empty(len(names), np.int32)
    count, size = 0, 0
    for code in np.unique(codes).tolist():
        members = sorted(np.flatnonzero(codes == code).tolist(), key=lambda k: natural(names[k]))
        blocks = min(BLOCKS, len(members))
        groups[members] = count + np.arange(len(members)) * blocks // len(members)
        count += blocks
        size = max(size, -(-len(members) // blocks))
    return Grouping(
        groups,
        f"Groups: blocks of up to {size:,} neighbours, as files are numbered and neighbours look alike, as in a recording "
        f"({_example(names, None)}). A scene that goes on in the next block flatters the score: put each into a folder "
        "CLASS/SCENE.",
    )

"""Divide texts: stratified, copies of a text on one side, held-out parts or folds, fixed by a seed.

Design choices:
- Texts that differ in case and spaces only are one group: a score on a test text that training has seen is flattered.
- A group goes where its first text's class has room, the largest groups last; each class is divided by itself, to the nearest
  text, and keeps one group in training. Without groups this is the house's way of dividing (`splits.spread`).
- Millions of texts are divided in some 30 bytes each: numbers have 4 bytes, and nothing is sorted with its places but the
  few texts that have copies.
- Folds deal out the groups of one class after the other in turn, so that sizes and classes differ by one text at most, where
  no group holds several.
"""

from collections.abc import Iterator

import numpy as np

from cnnkit.data import splits

_BLOCK = 1 << 16  # texts at once


def groups_of(*keys: np.ndarray | None) -> np.ndarray | None:
    """Join the keys of what belongs together into group numbers, in the order of the texts.

    Args:
        keys: int (n,), equal for texts that belong together, such as hashes; None for none. With several, the first that is
            not None rules, and the texts of two of its groups that share a later key become one group.

    Returns:
        int64 (n,), or uint32 below 2**32 texts; None where every text stands alone.
    """
    found: np.ndarray | None = None
    for key in keys:
        if key is None:
            continue
        numbered = _numbered(key)
        found = numbered if found is None else _joined(found, numbered)
    if found is None or len(found) == 0 or int(found.max()) + 1 == len(found):
        return None
    return found


def _numbered(keys: np.ndarray) -> np.ndarray:
    """Number keys in the order in which they first occur: hashes differ between runs, this does not."""
    ranked = np.sort(keys)
    double = np.unique(ranked[1:][ranked[1:] == ranked[:-1]])
    del ranked
    alone = np.ones(len(keys), bool)
    for start in range(0, len(keys) if len(double) else 0, _BLOCK):
        block = keys[start : start + _BLOCK]
        places = np.minimum(np.searchsorted(double, block), len(double) - 1)
        alone[start : start + _BLOCK] = double[places] != block
    members = np.flatnonzero(~alone)
    _, first, inverse = np.unique(keys[members], return_index=True, return_inverse=True)
    heads = members[first][inverse]  # the first text of each member's group
    alone[members] = heads == members
    numbers: np.ndarray = np.cumsum(alone, dtype=splits.place_type(len(keys)))
    numbers -= 1
    numbers[members] = numbers[heads]
    return numbers


def _joined(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Put groups together that share a member of `others`: the smallest number of a group spreads until nothing changes."""
    found = groups.copy()
    while True:
        least = np.full(int(others.max()) + 1, len(groups), np.int64)
        np.minimum.at(least, others, found)
        new = least[others]
        small = np.full(int(found.max()) + 1, len(groups), np.int64)
        np.minimum.at(small, found, new)
        new = small[found]
        if (new == found).all():
            return _numbered(found)
        found = new


def hold_out(labels: np.ndarray, groups: np.ndarray | None, part: float, *, seed: int) -> np.ndarray:
    """Choose a stratified part of texts, whole groups.

    Args:
        labels: int (n,), the strata.
        groups: int (n,), from 0, or None.
        part: of all texts, from 0 to 1.

    Returns:
        bool (n,), True for the chosen. Of each class some stay.
    """
    if part <= 0 or not len(labels):
        return np.zeros(len(labels), bool)
    if groups is None:
        return splits.hold_out_labels(labels, part, seed=seed)
    first, members, sizes = _groups(groups)
    taken = np.zeros(len(first), bool)
    for shuffled in _by_class(labels[first], seed):
        room = round(part * int(sizes[shuffled].sum()))
        for group in _each(shuffled[:-1]):
            if room <= 0:
                break
            if sizes[group] <= room:
                taken[group] = True
                room -= int(sizes[group])
    return taken[members]


def _each(numbers: np.ndarray) -> Iterator[int]:
    """Yield numbers as Python's, which are too large to have all at once."""
    for start in range(0, len(numbers), _BLOCK):
        yield from numbers[start : start + _BLOCK].tolist()


def fold(labels: np.ndarray, groups: np.ndarray | None, number: int, count: int, *, seed: int) -> np.ndarray:
    """Choose fold `number`, from 1 to `count`: bool (n,). Every text is in one fold."""
    alone = np.arange(len(labels))
    first, members, sizes = (alone, alone, np.ones(len(labels), np.int64)) if groups is None else _groups(groups)
    order = [
        shuffled[np.argsort(-sizes[shuffled].astype(np.int64), kind="stable")]
        for shuffled in _by_class(labels[first], seed)
    ]
    owner = np.empty(len(first), np.int64)
    owner[np.concatenate(order)] = np.arange(len(first)) % count
    return owner[members] == number - 1


def _groups(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first text of each group, the group of each text, numbered from 0 by value, and the size of each group."""
    kind = splits.place_type(len(groups))
    sizes: np.ndarray = np.bincount(groups).astype(kind)
    there = sizes > 0
    first: np.ndarray = np.zeros(len(sizes), kind)
    first[groups[::-1]] = np.arange(len(groups), dtype=kind)[::-1]  # what is written last stays
    if there.all():
        return first, groups, sizes
    rank: np.ndarray = np.cumsum(there, dtype=kind)
    rank -= 1
    return first[there], rank[groups], sizes[there]


def _by_class(labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the places of each class, shuffled."""
    shuffled = np.random.default_rng((seed, 0x7E87)).permutation(splits.places(len(labels)))
    ordered = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.split(ordered, np.cumsum(np.bincount(labels))[:-1])

"""Divide texts: stratified, copies of a text on one side, held-out parts or folds, fixed by a seed.

Design choices:
- Texts that differ in case and spaces only are one group: a score on a test text that training has seen is flattered.
- A group goes where its first text's class has room, the largest groups last; each class is divided by itself, to the nearest
  text, and keeps one group in training. Without groups this is the house's way of dividing (`splits.spread`).
- Folds deal out the groups of one class after the other in turn, so that sizes and classes differ by one text at most, where
  no group holds several.
"""

import numpy as np

from cnnkit.data import splits


def groups_of(*keys: np.ndarray | None) -> np.ndarray | None:
    """Join the keys of what belongs together into group numbers, in the order of the texts.

    Args:
        keys: int (n,), equal for texts that belong together, such as hashes; None for none. With several, the first that is
            not None rules, and the texts of two of its groups that share a later key become one group.

    Returns:
        int64 (n,), or None where every text stands alone.
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
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


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
        groups: int (n,), or None.
        part: of all texts, from 0 to 1.

    Returns:
        bool (n,), True for the chosen. Of each class some stay.
    """
    chosen = np.zeros(len(labels), bool)
    if part <= 0 or not len(labels):
        return chosen
    if groups is None:
        order = splits.spread(labels, seed=seed)
        _, last = np.unique(labels[order][::-1], return_index=True)
        alone = np.count_nonzero(np.bincount(labels) == 1)
        chosen[np.delete(order, len(order) - 1 - last)[: round(part * (len(labels) - alone))]] = True
        return chosen
    first, members, sizes = _groups(groups)
    taken = np.zeros(len(first), bool)
    for shuffled in _by_class(labels[first], seed):
        room = round(part * int(sizes[shuffled].sum()))
        for group in shuffled[:-1].tolist():
            if room <= 0:
                break
            if sizes[group] <= room:
                taken[group] = True
                room -= int(sizes[group])
    return taken[members]


def fold(labels: np.ndarray, groups: np.ndarray | None, number: int, count: int, *, seed: int) -> np.ndarray:
    """Choose fold `number`, from 1 to `count`: bool (n,). Every text is in one fold."""
    members = np.arange(len(labels)) if groups is None else None
    if members is None:
        first, members, sizes = _groups(groups)  # type: ignore[arg-type]
    else:
        first, sizes = members, np.ones(len(labels), np.int64)
    order = [shuffled[np.argsort(-sizes[shuffled], kind="stable")] for shuffled in _by_class(labels[first], seed)]
    owner = np.empty(len(first), np.int64)
    owner[np.concatenate(order)] = np.arange(len(first)) % count
    return owner[members] == number - 1


def _groups(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first text of each group, the group of each text, and the size of each group."""
    _, first, members, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    return first, members, sizes


def _by_class(labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the places of each class, shuffled."""
    shuffled = np.random.default_rng((seed, 0x7E87)).permutation(len(labels))
    ordered = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.split(ordered, np.cumsum(np.bincount(labels))[:-1])

"""Train, validation and test: stratified, group-aware, fixed by a seed.

Design choices:
- Stratified by spreading: each class is shuffled and laid out evenly over the whole, and a split takes the first part.
  Every class gets its share to the nearest image, a subset of 1 % lies inside that of 10 %, and a class of one image
  stays in training, where scikit-learn's splitter gives up. scikit-learn splits where groups hold several classes.
- A group never crosses. Where each group has one class (tracks of one object each), whole groups are dealt out class by
  class, at least one to each split where a class has three.
- The source's own test split is respected; validation is always cut from training.
"""

import itertools
import warnings
from fractions import Fraction

import numpy as np

from cnnkit.data.records import Records, Splits
from cnnkit.errors import MissingExtra

_SPREAD = 0x5B17  # of the seed, for the order of records


def make(
    records: Records,
    *,
    test: float | Records = 0.2,
    validation: float | Records = 0.1,
    seed: int = 0,
) -> Splits:
    """Divide records into training, validation and test.

    Args:
        records: what to divide.
        test: the part to hold out, of all; or the source's own test records.
        validation: the part to hold out, of all that is not the source's own test; or the source's own.
        seed: another seed, another division.

    Returns:
        `Splits` whose records keep the order they came in.
    """
    parts = [part for part in (test, validation) if not isinstance(part, Records)]
    if any(not 0 <= part < 1 for part in parts) or sum(parts) >= 1:
        raise ValueError(
            f"`test` and `validation` need to be parts that leave some for training. "
            f"Received: test={test}, validation={validation}."
        )
    rest = np.arange(len(records))
    held = {}
    for name, part in (("test", test), ("validation", validation)):
        if isinstance(part, Records):
            held[name] = part
            continue
        chosen = hold_out(records.take(rest), part * len(records) / max(1, len(rest)), seed=seed)
        held[name] = records.take(rest[chosen])
        rest = rest[~chosen]
    return Splits(records.take(rest), held["validation"], held["test"])


def hold_out(records: Records, part: float, *, seed: int = 0) -> np.ndarray:
    """Choose a stratified part of records, whole groups where there are groups.

    Returns:
        bool (n,), True for the chosen. Some always stay.
    """
    if part <= 0 or not len(records):
        return np.zeros(len(records), bool)
    if records.groups is None:
        return hold_out_labels(records.labels, part, seed=seed)
    groups, first, members = np.unique(records.groups, return_index=True, return_inverse=True)
    labels = records.labels[first]
    if (labels[members] == records.labels).all():
        return _deal_groups(labels, part, seed)[members]
    return _mixed_groups(records.labels, members, len(groups), part, seed)


def folds(records: Records, count: int, *, seed: int = 0) -> np.ndarray:
    """Say in which of so many folds each record is held out: stratified, whole groups where there are groups.

    Returns:
        int (n,), from 0; with fewer groups than folds some have none.
    """
    found = np.zeros(len(records), int)
    if records.groups is None:
        # Dealt class by class: of classes laid out evenly over the whole, every second or fifth may be of one class alone.
        found[_by_class(records.labels, np.random.default_rng((seed, _SPREAD)))] = np.arange(len(records)) % count
        return found
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError:
        raise MissingExtra('Folds of groups need scikit-learn. Run `pip install "cnnkit[train]"`.') from None
    members = np.unique(records.groups, return_inverse=True)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with fewer records than folds: they end up somewhere
        splitter = StratifiedGroupKFold(min(count, int(members.max()) + 1), shuffle=True, random_state=seed)
        for number, (_, held) in enumerate(splitter.split(found, records.labels, members)):
            found[held] = number
    return found


def hold_out_labels(labels: np.ndarray, part: float, *, seed: int = 0) -> np.ndarray:
    """Choose a stratified part of records that stand alone, by their labels, int (n,); as `hold_out`."""
    chosen = np.zeros(len(labels), bool)
    order = spread(labels, seed=seed)
    _, last = np.unique(labels[order][::-1], return_index=True)
    stays = len(order) - 1 - last  # one of each class
    alone = np.count_nonzero(np.bincount(labels) == 1)
    chosen[np.delete(order, stays)[: round(part * (len(labels) - alone))]] = True
    return chosen


def spread(labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Order records so that the first N are a stratified sample, for every N.

    The k-th of a class's m shuffled records comes at (k + 1/2) / m; equals come in random order.

    Args:
        labels: int (n,).

    Returns:
        int64 (n,), a permutation.
    """
    rng = np.random.default_rng((seed, _SPREAD))
    by_class = _by_class(labels, rng)
    counts = np.bincount(labels) if len(labels) else np.zeros(0, int)
    where = np.concatenate([np.zeros(0), *((np.arange(count) + 0.5) / count for count in counts if count)])
    return by_class[np.lexsort((rng.random(len(labels)), where))].astype(np.int64)


def _by_class(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the places of all records, class after class, each class shuffled."""
    shuffled = rng.permutation(places(len(labels)))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]


def place_type(count: int) -> type:
    """Return the smallest type of NumPy, of 4 or 8 bytes, that counts so far."""
    return np.uint32 if count < 2**32 else np.int64


def places(count: int) -> np.ndarray:
    """Return 0 to `count` - 1. A permutation of them is the same in each type."""
    return np.arange(count, dtype=place_type(count))


def balanced_weights(records: Records) -> np.ndarray:
    """Return a weight for each class, so that all classes weigh alike and the mean over records is 1.

    float32 (classes,), n / (classes with records * count); 0 for a class without records.
    """
    counts = records.counts()
    present = np.count_nonzero(counts)
    return np.where(counts > 0, len(records) / (present * np.maximum(counts, 1)), 0).astype(np.float32)


def _deal_groups(labels: np.ndarray, part: float, seed: int) -> np.ndarray:
    """Choose groups of one class each: the nearest whole number a class, at least one where it has three."""
    rng = np.random.default_rng((seed, 0x9209))
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        groups = rng.permutation(np.flatnonzero(labels == label))
        count = round(part * len(groups))
        if len(groups) >= 3:
            count = min(max(count, 1), len(groups) - 1)
        chosen[groups[: min(count, len(groups) - 1)]] = True
    return chosen


def _mixed_groups(labels: np.ndarray, members: np.ndarray, groups: int, part: float, seed: int) -> np.ndarray:
    """Choose groups that hold several classes, with scikit-learn's StratifiedGroupKFold."""
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError:
        raise MissingExtra('Groups of several classes need scikit-learn. Run `pip install "cnnkit[train]"`.') from None

    share = Fraction(part).limit_denominator(20)
    folds = min(max(share.denominator, 2), groups, int(np.bincount(labels).max()))
    if folds < 2:
        return np.zeros(len(labels), bool)
    taken = min(max(1, round(part * folds)), folds - 1)
    chosen = np.zeros(len(labels), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with fewer images than folds: they end up somewhere
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for _, fold in itertools.islice(splitter.split(labels, labels, members), taken):
            chosen[fold] = True
    return chosen

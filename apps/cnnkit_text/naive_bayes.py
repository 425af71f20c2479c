"""Where the default network for texts starts from: naive Bayes of words and of pairs of neighbours in the training texts.

Design choices:
- A word's weight is the log of how much larger its share in a class is than in the others. Of a pair it is shrunk by
  1 - 1 / texts: a pair in few texts owes much of its ratio to each of them, and training on those would trust it too much.
- Pairs in one text only are left out; they are most of all pairs, and say nothing of other texts.

Source: Wang and Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification", ACL.
"""

import dataclasses

import numpy as np

from cnnkit.device.text import FIRST

LEAST = 2  # texts that a pair is in
LOAD = 4  # buckets for each pair kept
MOST_BUCKETS = 1 << 20
MOST_NUMBERS = 1 << 22  # of the table of pairs: of many classes there are fewer buckets
_SHIFT = 24  # bits of an id


@dataclasses.dataclass(frozen=True)
class Priors:
    """What training texts say of words and pairs.

    Attributes:
        counts: int64 (size,), in how many places each id stands.
        words: float32 (size, classes), log ratios; 0 for padding and unknown words.
        pairs: int64 (k,), first id << 24 | second id, of pairs in two texts or more, ascending.
        ratios: float32 (k, classes), log ratios, shrunk.
        texts: int64 (k,), in how many texts each pair is.
    """

    counts: np.ndarray
    words: np.ndarray
    pairs: np.ndarray
    ratios: np.ndarray
    texts: np.ndarray


def priors(ids: np.ndarray, ends: np.ndarray, targets: np.ndarray, size: int) -> Priors:
    """Count words and pairs in training texts.

    Args:
        ids: int (m,), the ids of all texts, one after the other, without padding.
        ends: int (n,), where those of each text end.
        targets: float (n, classes), 1 for each label of a text, below 0 for one that it was not asked for.
        size: ids there are.
    """
    ids, lengths = np.asarray(ids, np.int64), np.diff(ends, prepend=0)
    text = np.repeat(np.arange(len(ends)), lengths)
    unique, present, absent, _ = _tally(ids, text, targets)
    inside, outside = np.zeros((2, size, targets.shape[1]))
    inside[unique], outside[unique] = present, absent
    words = _log_ratios(inside, outside)
    words[:FIRST] = 0
    within = text[1:] == text[:-1]
    first, second = ids[:-1][within], ids[1:][within]
    known = np.minimum(first, second) >= FIRST
    keys, rows = (first << _SHIFT | second)[known], text[1:][within][known]
    pairs, present, absent, texts = _tally(keys, rows, targets)
    keep = texts >= LEAST
    ratios = _log_ratios(present, absent)[keep] * (1 - 1 / texts[keep])[:, None]
    return Priors(np.bincount(ids, minlength=size), words, pairs[keep], ratios.astype(np.float32), texts[keep])


def _once(keys: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Return the places of the first of each key in each text, by key."""
    order = np.lexsort((text, keys))
    keys, text = keys[order], text[order]
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]) | (text[1:] != text[:-1])
    return order[new]


def _tally(keys: np.ndarray, text: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the different keys, ascending, in how many texts that have each label and that lack it they are, float
    (k, classes) each, and in how many at all, (k,).
    """
    places = _once(keys, text)
    if not len(places):
        return keys[:0], *np.zeros((2, 0, targets.shape[1])), np.zeros(0, np.int64)
    unique, starts, texts = np.unique(keys[places], return_index=True, return_counts=True)
    theirs = targets[text[places]]
    present, absent = (np.add.reduceat((theirs == value).astype(np.float64), starts, axis=0) for value in (1, 0))
    return unique, present, absent, texts


def _log_ratios(present: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Return the log ratio of each key's share in a class to its share in what is not of the class, one added to each count."""
    inside, outside = present + 1, absent + 1
    return np.log(inside / inside.sum(0)) - np.log(outside / outside.sum(0))


def buckets_for(pairs: int, classes: int) -> int:
    """Return the rows of a table for so many pairs: a power of two."""
    wanted = max(1 << 10, LOAD * pairs)
    most = min(MOST_BUCKETS, MOST_NUMBERS // classes)
    return 1 << min(int(np.ceil(np.log2(wanted))), int(np.log2(most)))


def table(found: Priors, buckets: int, prime: int) -> np.ndarray:
    """Return what a network's table of pairs holds.

    Args:
        found: the priors.
        buckets: rows.
        prime: of the hash.

    Returns:
        float32 (buckets, classes), the ratios, where several fall on a row their mean by texts.
    """
    first, second = found.pairs >> _SHIFT, found.pairs & ((1 << _SHIFT) - 1)
    rows = (first * prime + second) % buckets
    values = np.zeros((buckets, found.words.shape[1]))
    np.add.at(values, rows, found.ratios * found.texts[:, None])
    weights = np.bincount(rows, found.texts, buckets)[:, None]
    return (values / np.maximum(weights, 1)).astype(np.float32)

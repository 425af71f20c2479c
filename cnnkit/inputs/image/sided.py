"""Which labels a mirror exchanges, as "turn left" and "turn right".

Design choices:
- The pictures say so, not the names of labels: classes of many data sets are numbers.
- A linear classifier of small grey pictures is enough, and takes a second or two: what a mirror exchanges differs in where
  things are. It is fitted to half of the pictures and asked about the other half, as they are and mirrored.
- Two labels count only if pictures of each are told from those of all others, and in a mirror are taken for the other's, and
  seldom as they are. So textures, which a mirror leaves what they are, and classes that are hard to tell, do not count.
- In gtsrb-small it names turns to the right and left, ways past on the right and left, and trucks that face one another; of the
  drawn signs the turns; none of handwritten digits and of steel surfaces.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

SIDE = 16  # px, of the pictures that are compared
EACH = 48  # pictures of a label, at most
MOST = 2000  # pictures
LEAST = 4  # pictures of a label
SHARE = 0.3  # of a label's pictures, at least, that are named as they are, and as the other's in a mirror
TIMES = 3  # as many in a mirror as without
RIDGE = 0.2  # of the mean variance, added to every direction


def exchanged(records: Any) -> list[tuple[str, str]]:
    """Return the pairs of labels that a mirror exchanges.

    Args:
        records: pictures, one label each; of others nothing is known. At most `EACH` of a label are looked at.
    """
    labels = records.labels
    first = records.targets(np.arange(min(1, len(records))))
    if not isinstance(first, np.ndarray) or not np.array_equal(first, labels[: len(first)]):
        return []  # the labels are strata, to split by
    each = max(LEAST, min(EACH, MOST // max(1, len(records.label_names))))
    places = [np.flatnonzero(labels == code) for code in range(len(records.label_names))]
    known = [code for code, own in enumerate(places) if len(own) >= LEAST]
    if len(known) < 2:
        return []
    taken = [places[code][np.unique(np.linspace(0, len(places[code]) - 1, each).astype(int))] for code in known]
    few = records.take(np.concatenate(taken)).with_shape((SIDE, SIDE, records.input_shape[2]))
    pictures = few.read(np.arange(len(few)))[0].astype(np.float32).mean(-1)
    codes = np.repeat(np.arange(len(known)), [len(own) for own in taken])
    half = _halves(codes, few.groups)
    plain, mirrored = np.zeros((2, len(known), len(known)))  # pictures of each class, by what they are taken for
    for part in (0, 1):
        fit, ask = half == part, half != part
        if len(set(codes[fit])) < len(known) or len(set(codes[ask])) < len(known):
            return []
        said = _linear(_rows(pictures[fit]), codes[fit], len(known))
        np.add.at(plain, (codes[ask], said(_rows(pictures[ask]))), 1)
        np.add.at(mirrored, (codes[ask], said(_rows(pictures[ask][..., ::-1]))), 1)
    plain, mirrored = (counts / counts.sum(1, keepdims=True) for counts in (plain, mirrored))
    told = np.diag(plain) >= SHARE
    found = (mirrored >= np.maximum(SHARE, TIMES * plain)) & told & told[:, None]
    pairs = np.argwhere(np.triu(found & found.T, 1))
    return [(records.label_names[known[a]], records.label_names[known[b]]) for a, b in pairs.tolist()]


def _halves(codes: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return 0 or 1 for each picture: every other of a class, what belongs together on one side."""
    half = np.zeros(len(codes), int)
    for code in np.unique(codes):
        own = np.flatnonzero(codes == code)
        _, group = (None, np.arange(len(own))) if groups is None else np.unique(groups[own], return_inverse=True)
        half[own] = group % 2 if len(set(group.tolist())) > 1 else np.arange(len(own)) % 2
    return half


def _rows(pictures: np.ndarray) -> np.ndarray:
    """Return pictures as rows of numbers of mean 0 and deviation 1, whatever their light."""
    rows = pictures.reshape(len(pictures), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(rows.std(1, keepdims=True), 1e-3)


def _linear(rows: np.ndarray, codes: np.ndarray, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return rows -> the class of each, by linear discriminants with one covariance for all classes."""
    means = np.stack([rows[codes == code].mean(0) for code in range(count)])
    inside = rows - means[codes]
    covariance = inside.T @ inside / len(rows)
    covariance += (RIDGE * float(np.trace(covariance)) / len(covariance) + 1e-6) * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, means.T)
    offsets = -0.5 * (means * weights.T).sum(1)
    return lambda given: (given @ weights + offsets).argmax(1)

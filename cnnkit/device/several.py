"""Several labels an input: which are given, and how sure an answer is. The same on a device as where it was decided."""

from collections.abc import Sequence

import numpy as np


def given(scores: np.ndarray, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return which labels an input gets: bool (n, labels). None of them is an answer too.

    Args:
        scores: float (n, labels), probabilities.
        thresholds: (labels,).
    """
    return np.asarray(scores) >= np.asarray(thresholds)


def confidence(
    scores: np.ndarray, thresholds: Sequence[float] | np.ndarray, rare: Sequence[int] = (), asked: np.ndarray | None = None
) -> np.ndarray:
    """Return how sure each answer is, float (n,): the least probability that a label is rightly given, or rightly left out.

    Args:
        scores, thresholds: as `given`.
        rare: places of labels of which too little is known; an answer with one of them has 0.
        asked: bool (n, labels), what counts; None: all.
    """
    said = given(scores, thresholds)
    each = np.where(said, scores, 1 - np.asarray(scores))
    if len(rare):
        each[:, list(rare)] = np.where(said[:, list(rare)], 0, each[:, list(rare)])
    return np.where(True if asked is None else asked, each, 1).min(1)

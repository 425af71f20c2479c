"""Several labels an input: which are given, and how sure an answer is. The same on a device as where it was decided."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def thresholds_of(metadata: Mapping[str, Any] | None, labels: Sequence[str]) -> np.ndarray:
    """Return the threshold of each label that a file says, float (labels,); one half where it says none."""
    return np.array((metadata or {}).get("thresholds") or [0.5] * len(labels), np.float64)


def rare_of(metadata: Mapping[str, Any] | None, labels: Sequence[str]) -> list[int]:
    """Return the places of labels of which a file says that too little is known."""
    rare = (metadata or {}).get("rare") or {}
    return [place for place, label in enumerate(labels) if label in rare]


def given(scores: np.ndarray, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return which labels an input gets: bool (n, labels). None of them is an answer too.

    Args:
        scores: float (n, labels), probabilities.
        thresholds: (labels,).
    """
    return np.asarray(scores) >= np.asarray(thresholds)


def confidence(
    scores: np.ndarray,
    thresholds: Sequence[float] | np.ndarray,
    rare: Sequence[int] = (),
    asked: np.ndarray | None = None,
) -> np.ndarray:
    """Return how sure each answer is, float (n,) from 0.5 to 1, by the label whose probability is nearest to its threshold.

    The odds of a label over those of its threshold, or the other way round, as a probability: 0.5 is at the threshold.

    Args:
        scores, thresholds: as `given`.
        rare: places of labels of which too little is known; an answer with one of them has 0.
        asked: bool (n, labels), what counts; None: all.
    """
    said = given(scores, thresholds)
    each = 1 / (1 + np.exp(-np.abs(_logit(scores) - _logit(thresholds))))
    if len(rare):
        each[:, list(rare)] = np.where(said[:, list(rare)], 0, each[:, list(rare)])
    return np.where(True if asked is None else asked, each, 1).min(1)


def _logit(values: np.ndarray | Sequence[float]) -> np.ndarray:
    kept = np.clip(np.asarray(values, np.float64), 1e-7, 1 - 1e-7)
    return np.log(kept / (1 - kept))

"""The score below which an answer is unknown, which validation data decide."""

from typing import Any

import numpy as np

from cnnkit import metrics

HIGHEST = 1 - 1 / 128  # score below which an answer is unknown: one of eight bits is never higher than 255/256


def accepting(confidences: np.ndarray, share: float) -> dict[str, Any]:
    """Return the score below which an answer is unknown, so that at least such a share is not.

    It is halfway between two neighbouring scores, and `HIGHEST` at most.

    Args:
        confidences: float (n,), the highest score of each validation record, in [0, 1].
        share: of these that is accepted, in (0, 1).

    Returns:
        `below`, the score; `accepted`, the share that was asked for; `chosen_on`, how many records. Nothing where the records are
        so few that all have to be accepted.
    """
    ordered = np.sort(np.asarray(confidences, np.float64))
    count = int(np.floor((1 - share) * len(ordered) + 1e-9))
    if not count:
        return {}
    below = min(HIGHEST, float((ordered[count - 1] + ordered[count]) / 2))
    return {"below": below, "accepted": share, "chosen_on": len(ordered)}


def answered(confidences: np.ndarray, right: np.ndarray, least: float) -> dict[str, Any]:
    """Return how many answers are not unknown, and how many of these are right, with 95 % intervals (Wilson).

    Args:
        confidences: float (n,), the highest score of each record.
        right: bool (n,), whether its label is right.
        least: the score from which on it is given.

    Returns:
        `known_from`, `share`, `share_interval`, `accuracy` (None: nothing is answered), `accuracy_interval`.
    """
    known = confidences >= least
    count, hit = int(known.sum()), int((right & known).sum())
    return {
        "known_from": least,
        "share": count / len(right),
        "share_interval": list(metrics.wilson(count, len(right))),
        "accuracy": hit / count if count else None,
        "accuracy_interval": list(metrics.wilson(hit, count)),
    }

"""How sure answers are: a temperature, so that they are as often right as they say, and the score below which one is unknown.

Validation data decide both.
"""

from typing import Any

import numpy as np

from cnnkit import metrics

TEMPERATURES = np.geomspace(0.1, 10, 401)
PRIOR = 3.0  # records, as which a temperature of 1 counts


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, each row summing to 1."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def best_temperature(
    logits: np.ndarray, targets: np.ndarray, prior: float = 0.0, offset: np.ndarray | float = 0.0
) -> float:
    """Return the temperature, from 0.1 to 10, at which the targets are most likely (Guo et al. 2017, section 4.2).

    Args:
        logits: float (n, classes), up to a constant a row.
        targets: int (n,).
        prior: how strongly it is held at 1, in records: the square of its logarithm counts so many times. Few records that are
            all right would ask for 0.
        offset: float (classes,), what is added to logits once they are divided by it.
    """
    rows = np.arange(len(targets))
    losses = []
    for temperature in TEMPERATURES:
        scaled = logits / temperature + offset
        top = scaled.max(1)
        losses.append(
            float((top + np.log(np.exp(scaled - top[:, None]).sum(1)) - scaled[rows, targets]).mean())
            + prior / len(targets) * float(np.log(temperature)) ** 2
        )
    return float(TEMPERATURES[int(np.argmin(losses))])


def accepting(confidences: np.ndarray, share: float) -> dict[str, Any]:
    """Return the score below which an answer is unknown, so that at least such a share is not.

    It is halfway between two neighbouring scores.

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
    below = float((ordered[count - 1] + ordered[count]) / 2)
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

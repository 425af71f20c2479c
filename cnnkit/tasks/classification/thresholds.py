"""From which probability on a label is given, where a record may have several.

Design choices:
- A label's threshold is that of its best F1 on validation records. Of a label that few of them have that is a matter of chance,
  and it falls low: the only record with it may be the fortieth by probability. So a threshold counts only where most of what it
  gives is right, with one more wrong answer than was seen, and it is drawn up towards the common threshold, that of the best F1
  of all labels together: the less, the more records have the label.
- What so few records have that this says little is named, so that a person is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnkit.data.loading import some

FEW = 5  # validation records with a label; with fewer its threshold is too rare to say
DRAWN = 2.0  # records that the common threshold counts as; measured on texts made up, a label of 10 in 1,000 among them
LEAST = 0.5  # of the records that get a label have to have it, as far as validation records tell
CURVE = 40  # points of a curve, at most


@dataclass(frozen=True)
class Thresholds:
    """What was chosen.

    Attributes:
        values: float (labels,), in [0, 1].
        rare: places of the labels whose threshold says little: too few records have them.
        unreached: places of labels that no threshold gives rightly often enough; theirs lies above all that was wrong.
    """

    values: list[float]
    rare: tuple[int, ...]
    unreached: tuple[int, ...]


def choose(scores: np.ndarray, truth: np.ndarray, *, least: float | None = None) -> Thresholds:
    """Choose a threshold for each label.

    Args:
        scores: float (n, labels), probabilities.
        truth: (n, labels), above 0.5 where a record has the label, below 0 where it was not asked for it.
        least: share of what is given that has to be right, of every label; None: one half.
    """
    common = best_threshold(scores.ravel(), truth.ravel())
    values, rare, unreached = [], [], []
    for place, (column, answers) in enumerate(zip(scores.T, truth.T, strict=True)):
        asked = answers >= 0
        column, there = column[asked].astype(np.float64), answers[asked] > 0.5
        count = int(there.sum())
        found = _best(column, there, least=LEAST if least is None else least, more=1)
        if found is not None and found < common:
            share = count / (count + DRAWN)
            found = float(_probability(share * _logit(found) + (1 - share) * _logit(common)))
        if found is not None and least is not None:
            found = _raised(column, there, found, least)
        if found is None:
            wrong = float(column[~there].max(initial=0))
            found = max(common, (1 + wrong) / 2)
            if count >= FEW:
                unreached.append(place)
        if count < FEW:
            rare.append(place)
        values.append(float(found))
    return Thresholds(values, tuple(rare), tuple(unreached))


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold of the best F1: halfway between two neighbouring scores; 0.5 where the label never occurs.

    Args:
        scores: float (n,), in [0, 1].
        truth: (n,), above 0.5 where the label is there, below 0 where the record was not asked for it.
    """
    asked = np.asarray(truth) >= 0
    found = _best(scores[asked].astype(np.float64), np.asarray(truth)[asked] > 0.5, least=0, more=0)
    return 0.5 if found is None else found


def _best(scores: np.ndarray, there: np.ndarray, *, least: float, more: int) -> float | None:
    """Return the threshold of the best F1 among those that give enough rightly, were `more` given wrongly; None for none."""
    if not there.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hit, said = np.cumsum(there[order]), np.arange(1, len(order) + 1)
    ends = np.append(ranked[1:] < ranked[:-1], True)  # equal scores stay together
    fit = ends & (hit / (said + more) >= least)
    if not fit.any():
        return None
    best = int(np.argmax(np.where(fit, 2 * hit / (said + there.sum()), -1)))
    below = ranked[best + 1] if best + 1 < len(order) else 0.0
    return float((ranked[best] + below) / 2)


def _raised(scores: np.ndarray, there: np.ndarray, threshold: float, least: float) -> float | None:
    """Return the lowest threshold from this one on that gives enough rightly; None for none."""
    for value in (threshold, *np.unique(scores[scores > threshold])):
        said = scores >= value
        if said.any() and there[said].mean() >= least:
            return float(value)
    return None


def curve(scores: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    """Return `recall` rising and the `precision` there, of a label's thresholds: at most `CURVE` points."""
    asked = np.asarray(truth) >= 0
    scores, there = scores[asked], np.asarray(truth)[asked] > 0.5
    if not there.any():
        return {"recall": [], "precision": []}
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], np.cumsum(there[order])
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    ends = ends[hit[ends] > 0]
    if len(ends) > CURVE:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, CURVE).round().astype(int))]
    rounded = [np.round(values, 4).tolist() for values in (hit[ends] / there.sum(), hit[ends] / (ends + 1))]
    return {"recall": rounded[0], "precision": rounded[1]}


def cautions(rare: Mapping[str, int], unreached: Sequence[str]) -> list[str]:
    """Say which labels' thresholds say little, and which cannot be given rightly often enough.

    Args:
        rare: validation records of each label that has too few.
        unreached: labels.
    """
    lines = []
    if rare:
        named = some([f"{label} ({count})" for label, count in rare.items()], 8)
        lines.append(
            f"Too rare to say how often they are right: {named}; behind each its records for validation, fewer than {FEW}. "
            "Their thresholds are drawn towards the common one, and an answer with one of them is never sure. Collect more."
        )
    if unreached:
        named = some(unreached, 8)
        lines.append(
            f"No threshold gives these rightly often enough on validation records: {named}. Theirs lie above all that was wrong."
        )
    return lines


def _logit(value: float) -> float:
    value = min(max(value, 1e-6), 1 - 1e-6)
    return float(np.log(value / (1 - value)))


def _probability(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))

"""How well a score tells records with a finding from those without: the ROC curve, the area under it, a threshold.

Design choices:
- The area is the share of pairs, one record with the finding and one without, in which the first has the higher score; a pair of
  equal scores counts half (Hanley and McNeil 1982).
- Its interval resamples patients where these are known: pictures of one patient are no independent cases. Where nothing was
  confused, every draw is 1 and says nothing; then it is Wilson's of as many patients as have the rarer of the two.
- A threshold is halfway between two neighbouring scores, so that what decides is as far from it as it can be.
"""

from typing import Any

import numpy as np

from cnnkit import metrics

DRAWS = 2000  # of patients with replacement
POINTS = 200  # of a curve, at most


def parts(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return what each record is worth: float (n,), whose mean is the area, and whose spread is that of the area's estimate.

    Of a record the share of those of the other kind that it is on the right side of; its distance from the area counts as
    often as there are fewer records of its kind (the components of DeLong et al. 1988).

    Args:
        scores: float (n,), more for the finding.
        there: bool (n,), whether a record has it; some have, and some have not.
    """
    found = np.zeros(len(scores))
    for own, sign in ((there, 1), (~there, -1)):
        others = np.sort(sign * scores[~own])
        below, upto = (np.searchsorted(others, sign * scores[own], side) for side in ("left", "right"))
        found[own] = (below + upto) / (2 * len(others))
    whole = found[there].mean()
    counts = np.where(there, there.sum(), (~there).sum())
    return whole + (found - whole) * len(scores) / counts


def area(scores: np.ndarray, there: np.ndarray) -> float:
    """Return the area under the curve, in [0, 1]; arguments as `parts`."""
    return float(parts(scores, there).mean())


def interval(scores: np.ndarray, there: np.ndarray, patients: np.ndarray | None = None) -> tuple[float, float]:
    """Return the 95 % interval of the area: its quantiles over patients drawn again with replacement.

    Args:
        scores, there: as `parts`.
        patients: int (n,), equal for records that are no independent cases; None: each is one of its own.
    """
    own = np.arange(len(scores)) if patients is None else np.unique(patients, return_inverse=True)[1]
    count = int(own.max()) + 1
    levels = np.unique(scores, return_inverse=True)[1]
    most = int(levels.max()) + 1
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        weights = np.bincount(rng.integers(0, count, count), minlength=count)[own]
        with_it = np.bincount(levels, weights * there, most)
        without = np.bincount(levels, weights * ~there, most)
        pairs = with_it.sum() * without.sum()
        if pairs:
            drawn.append(float(with_it @ (np.cumsum(without) - without / 2)) / pairs)
    low, high = (float(np.quantile(drawn, q)) for q in (0.025, 0.975)) if drawn else (0.0, 1.0)
    rarer = min(len(np.unique(own[mask])) for mask in (there, ~there))
    if low == high == 1:
        low = metrics.wilson(rarer, rarer)[0]
    elif low == high == 0:
        high = metrics.wilson(0, rarer)[1]
    return low, high


def curve(scores: np.ndarray, there: np.ndarray) -> dict[str, list[float]]:
    """Return the ROC curve from (0, 0) to (1, 1): `false`, 1 - specificity, and `true`, sensitivity; `POINTS` at most."""
    _, hit, wrong = _steps(scores, there)
    x, y = np.append(0, wrong / wrong[-1]), np.append(0, hit / hit[-1])
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int))
    return {"false": np.round(x[kept], 4).tolist(), "true": np.round(y[kept], 4).tolist()}


def youden(scores: np.ndarray, there: np.ndarray) -> float:
    """Return the threshold at which sensitivity + specificity is most; of several as good the most sensitive.

    It lies halfway between two neighbouring scores, or between the lowest and 0. Arguments as `parts`; scores in [0, 1].

    Source: Youden 1950.
    """
    levels, hit, wrong = _steps(scores, there)
    gain = hit / hit[-1] - wrong / wrong[-1]
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    below = levels[best + 1] if best + 1 < len(levels) else 0.0
    return float((levels[best] + below) / 2)


def specific(scores: np.ndarray, there: np.ndarray, specificity: float) -> float:
    """Return the lowest threshold that lets at least such a share of the records without the finding go.

    It lies halfway between two neighbouring scores; above the highest one, where that is of too many records without it.
    Arguments as `parts`; scores in [0, 1].

    Args:
        specificity: that is to be reached, in (0, 1).
    """
    levels, _, wrong = _steps(scores, there)
    enough = np.flatnonzero(wrong <= (1 - specificity) * wrong[-1] + 1e-9)
    if not len(enough):
        return float((levels[0] + 1) / 2)
    last = int(enough[-1])
    below = levels[last + 1] if last + 1 < len(levels) else 0.0
    return float((levels[last] + below) / 2)


def _steps(scores: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, Any, Any]:
    """Return the scores that occur, falling, and how many records with and without the finding reach each."""
    levels, place = np.unique(-np.asarray(scores, np.float64), return_inverse=True)
    hit, wrong = (np.cumsum(np.bincount(place[mask], minlength=len(levels))) for mask in (there, ~there))
    return -levels, hit, wrong

"""Scores and their uncertainty, in NumPy."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

CHANCE = 0.05  # p below which a difference is hardly by chance
BINS = 15  # of a reliability diagram, of equal width
CELLS = 64  # parts of a bin, within which chances are taken for equal where answers are drawn
DRAWS = 400  # of a bootstrap


def wilson(right: float, count: float, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share.

    Args:
        right: how many were right.
        count: of how many.
        z: quantile of the normal distribution.

    Returns:
        (low, high), in [0, 1]; (0, 1) where nothing was counted.

    Source: Wilson 1927, the score interval: it holds near 0 and 1, where the usual one does not.
    """
    if not 0 <= right <= count:
        raise ValueError(f"`right` needs to lie in [0, count]. Received: right={right}, count={count}.")
    if count == 0:
        return 0.0, 1.0
    share = right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (max(0.0, centre - half) if right else 0.0), (min(1.0, centre + half) if right < count else 1.0)


def wilson_of_groups(right: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of records that come in groups, such as those of one patient.

    It is Wilson's of as many independent records as these are worth: fewer by the factor by which the share varies more over
    groups than it would over independent records. Where all or none are right that cannot be seen, and the groups are counted.

    Args:
        right: bool (n,).
        groups: int (n,), equal for records of one group; None: each record is one of its own.

    Returns:
        (low, high), in [0, 1]; (0, 1) where nothing was counted.

    Source: Rao and Scott 1992, the ratio estimator's effective sample size.
    """
    count, hit = len(right), int(np.count_nonzero(right))
    if groups is None or not count:
        return wilson(hit, count)
    own = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(own)
    many, share = len(sizes), hit / count
    if share in (0, 1) or many == 1:
        return wilson(share * many, many)
    apart = np.bincount(own, right) - share * sizes
    spread = many / (many - 1) * float((apart**2).sum()) / count**2
    worth = min(float(count), share * (1 - share) / spread) if spread else float(count)
    return wilson(share * worth, worth)


def sign_test(lost: int, won: int) -> float:
    """Return how likely so many losses or more are where losing and winning are equally likely: in (0, 1].

    Args:
        lost, won: records that only one of two models had right.

    Source: McNemar 1947, in its exact one-sided form.
    """
    if lost < 0 or won < 0:
        raise ValueError(f"`lost` and `won` need to be at least 0. Received: lost={lost}, won={won}.")
    total = lost + won
    ways = math.comb(total, lost)
    sum_ways = ways
    for k in range(lost, total):
        ways = ways * (total - k) // (k + 1)
        sum_ways += ways
    return sum_ways / 2**total


def sign_flips(losses: np.ndarray, draws: int = 9999) -> float:
    """Return how likely so large a mean loss or a larger one is where each record's loss might as well be a gain: in (0, 1].

    Args:
        losses: by how much a second model is worse than a first on each record, float (n,).
        draws: signs are drawn so many times, always the same ones.

    Source: Fisher 1935, the randomisation test of pairs, by Monte Carlo; exact where all losses are of one size.
    """
    losses = np.asarray(losses, np.float64)
    losses = losses[losses != 0]
    if not len(losses):
        return 1.0
    if (np.abs(losses) == np.abs(losses[0])).all():
        return sign_test(int((losses > 0).sum()), int((losses < 0).sum()))
    rng = np.random.default_rng(0)
    least = losses.sum() - 1e-9 * np.abs(losses).sum()
    together = max(1, 2_000_000 // len(losses))  # so that memory does not grow with the records
    reached = 0
    for start in range(0, draws, together):
        flips = rng.random((min(together, draws - start), len(losses))) < 0.5
        reached += int((np.where(flips, losses, -losses).sum(1) >= least).sum())
    return (1 + reached) / (1 + draws)


def mcnemar(won: int, lost: int) -> float:
    """Return the p of a difference between two models' answers to the same records, two-sided and exact: in (0, 1].

    Args:
        won, lost: records that only the one or only the other had right.

    Source: McNemar 1947.
    """
    return min(1.0, 2 * sign_test(max(won, lost), min(won, lost)))


def difference_interval(
    value: float, interval: Sequence[float], other: float, other_interval: Sequence[float]
) -> tuple[float, float]:
    """Return the 95 % interval of `value` - `other` from the intervals of both, as if they were measured on different records.

    Source: Newcombe 1998, method 10.
    """
    difference = value - other
    below = math.hypot(value - interval[0], other_interval[1] - other)
    above = math.hypot(interval[1] - value, other - other_interval[0])
    return difference - below, difference + above


def reliability(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Return the points of a reliability diagram.

    Args:
        confidences: (n,), the probability given to the prediction, in [0, 1].
        right: (n,), whether it was right.
        bins: of equal width; a confidence on an edge belongs to the bin below it.

    Returns:
        For each bin that is not empty: mean confidence, accuracy, count.

    Source: Guo et al. 2017.
    """
    number = _bin(confidences, bins)
    points = []
    for index in range(bins):
        inside = number == index
        if inside.any():
            points.append(
                {
                    "confidence": float(confidences[inside].mean()),
                    "accuracy": float(right[inside].mean()),
                    "count": int(inside.sum()),
                }
            )
    return points


def _bin(confidences: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(np.asarray(confidences, np.float64) * bins).astype(int) - 1, 0, bins - 1)


def expected_calibration_error(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Return the mean gap between confidence and accuracy over bins, weighted by their counts, in [0, 1].

    Arguments and source as `reliability`.
    """
    points = reliability(confidences, right, bins)
    total = sum(point["count"] for point in points)
    return (
        sum(point["count"] * abs(point["accuracy"] - point["confidence"]) for point in points) / total if total else 0.0
    )


def calibration_interval(
    confidences: np.ndarray, right: np.ndarray, owners: np.ndarray | None = None, bins: int = BINS
) -> tuple[float, float]:
    """Return the 95 % interval of the expected calibration error: its quantiles over records drawn again with replacement.

    A draw has chance of its own, so the interval lies rather high: see what `calibration_by_chance` says as well.

    Args:
        confidences, right, bins: as `reliability`.
        owners: int (n,), equal for answers to one record; None: each is to one of its own.
    """
    if not len(right):
        return 0.0, 1.0
    own = np.arange(len(right)) if owners is None else np.unique(owners, return_inverse=True)[1]
    gaps = np.zeros((int(own.max()) + 1, bins))
    np.add.at(gaps, (own, _bin(confidences, bins)), np.asarray(right, np.float64) - confidences)
    counts = np.bincount(own)
    drawn = np.concatenate([np.abs(w @ gaps).sum(1) / (w @ counts) for w in drawn_again(len(counts))])
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = expected_calibration_error(confidences, right, bins)
    return min(float(low), found), max(float(high), found)


def calibration_by_chance(confidences: np.ndarray, bins: int = BINS) -> tuple[float, float]:
    """Return what a perfectly calibrated model of these confidences has as its expected calibration error, in 95 % of draws.

    Answers are drawn, each right with the chance that it claims; few answers have a large error by chance alone. Chances that
    are no further apart than a 64th of a bin are taken for equal.

    Args:
        confidences, bins: as `reliability`.

    Returns:
        (low, high), in [0, 1]. An error above `high` is more than chance.

    Source: Broecker and Smith 2007 (consistency resampling), of the error.
    """
    if not len(confidences):
        return 0.0, 1.0
    cells, inverse, counts = np.unique(_bin(confidences, bins * CELLS), return_inverse=True, return_counts=True)
    chances = np.clip(np.bincount(inverse, confidences) / counts, 0, 1)
    gaps = np.random.default_rng(0).binomial(counts, chances, (DRAWS, len(cells))) - counts * chances
    inside = cells[:, None] // CELLS == np.arange(bins)
    low, high = np.quantile(np.abs(gaps @ inside).sum(1) / len(confidences), [0.025, 0.975])
    return float(low), float(high)


def drawn_again(count: int, draws: int = DRAWS) -> Iterator[np.ndarray]:
    """Yield how often each of so many records is in a draw with replacement: float (some draws, count), always the same ones."""
    rng = np.random.default_rng(0)
    together = max(1, 2_000_000 // max(1, count))  # so that memory does not grow with the records
    for start in range(0, draws, together):
        drawn = rng.integers(0, count, (min(together, draws - start), count))
        yield np.stack([np.bincount(row, minlength=count) for row in drawn]).astype(np.float64)


def confusion(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return counts, int64 (classes, classes): a row a true class, a column a predicted one."""
    return np.bincount(targets.astype(np.int64) * classes + predictions, minlength=classes * classes).reshape(
        classes, classes
    )


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall, f1 (0 where undefined) and support of each class from a confusion matrix."""
    return {**rates(np.diag(matrix), matrix.sum(0), matrix.sum(1)), "support": matrix.sum(1)}


def rates(right: np.ndarray, said: np.ndarray, there: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall and f1, 0 where undefined, from counts of what was rightly said, what was said, what is there."""
    return {
        "precision": right / np.maximum(said, 1),
        "recall": right / np.maximum(there, 1),
        "f1": 2 * right / np.maximum(said + there, 1),
    }

"""What predicted numbers are worth: errors, their intervals, and the interval that holds a new value.

Design choices:
- Neighbours in time are alike, so that a thousand frames of a drive are no thousand pieces of evidence. Intervals resample what
  belongs together (drives, patients) where there are enough of these, else blocks of consecutive records (Kuensch 1989).
- The interval of an answer is split conformal (Vovk et al. 2005; Lei et al. 2018): the quantile of validation errors, one
  larger than
  the share asks for. It holds as often as it says where new data are as the validation data were.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit import metrics

DRAWS = 2000  # resamples
GROUPS = 10  # from so many on they are resampled themselves
BLOCKS = 40  # of consecutive records, about, where there are fewer
LEAST = 10  # records of a block, where there are enough of them
LEVEL = 0.9  # of the interval of an answer
BINS = 8  # ranges of true values, about
POINTS = 400  # of a scatter plot, at most


@dataclass(frozen=True)
class Clusters:
    """What is resampled together.

    Attributes:
        places: int (n,), from 0: which one each record is in.
        count: of them.
        about: in a few words.
    """

    places: np.ndarray
    count: int
    about: str


def clusters(groups: np.ndarray | None, count: int) -> Clusters:
    """Say what of so many records is resampled together.

    Args:
        groups: int (n,), equal for what belongs together; None: not known.
        count: n; records are in their order in time.
    """
    members = np.zeros(count, int) if groups is None else np.unique(groups, return_inverse=True)[1]
    known = int(members.max(initial=-1)) + 1
    if known >= GROUPS:
        return Clusters(members, known, f"{known:,} groups")
    size = max(1, min(LEAST, count // LEAST), math.ceil(count / BLOCKS))
    order = np.argsort(members, kind="stable")
    starts = np.searchsorted(members[order], np.arange(known))
    within = np.empty(count, int)
    within[order] = np.arange(count) - starts[members[order]]
    _, places = np.unique(members * (count + 1) + within // size, return_inverse=True)
    number = int(places.max(initial=-1)) + 1
    if size == 1:
        return Clusters(places, number, f"{number:,} records")
    return Clusters(places, number, f"{number:,} blocks of up to {size} consecutive records")


@dataclass(frozen=True)
class Measured:
    """Errors of one value.

    Attributes:
        mae, rmse, bias: mean absolute error, root of the mean squared one, mean error (predicted less true).
        r2: the share of the variance that is explained; None where the true values do not vary.
        intervals: of 95 %, by name.
    """

    mae: float
    rmse: float
    bias: float
    r2: float | None
    intervals: dict[str, tuple[float, float]]


def measured(predicted: np.ndarray, true: np.ndarray, among: Clusters) -> Measured:
    """Measure predictions float (n,) of true values (n,)."""
    errors = np.asarray(predicted, np.float64) - true
    centred = np.asarray(true, np.float64) - np.mean(true)  # so that a variance is no difference of large numbers
    rows = np.stack([np.ones_like(errors), np.abs(errors), errors, errors**2, centred, centred**2], 1)
    sums = _sums(rows, among)
    found = _of_sums(sums.sum(0, keepdims=True))
    drawn = _of_sums(resampled(sums))
    intervals = {}
    for name, values in drawn.items():
        low, high = np.nanquantile(values, [0.025, 0.975]) if np.isfinite(values).any() else (math.nan, math.nan)
        whole = float(found[name][0])
        intervals[name] = (min(float(low), whole), max(float(high), whole))
    r2 = float(found["r2"][0])
    mae, rmse, bias = (float(found[name][0]) for name in ("mae", "rmse", "bias"))
    return Measured(mae, rmse, bias, r2 if math.isfinite(r2) else None, intervals)


def _of_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    count, absolute, signed, squared, centred, spread = sums.T
    variance = spread - centred**2 / count
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(variance > 1e-12 * np.maximum(spread, 1e-300), 1 - squared / variance, np.nan)
    return {"mae": absolute / count, "rmse": np.sqrt(squared / count), "bias": signed / count, "r2": r2}


def _sums(rows: np.ndarray, among: Clusters) -> np.ndarray:
    """Return the sum over each cluster of rows (n, m): (clusters, m)."""
    found = np.zeros((among.count, rows.shape[1]))
    np.add.at(found, among.places, rows)
    return found


def resampled(sums: np.ndarray) -> np.ndarray:
    """Return sums over clusters drawn with replacement, always the same ones: (draws, m) of (clusters, m)."""
    rng = np.random.default_rng(0)
    count = len(sums)
    together = max(1, 4_000_000 // count)
    parts = []
    for start in range(0, DRAWS, together):
        weights = rng.multinomial(count, np.full(count, 1 / count), size=min(together, DRAWS - start))
        parts.append(weights @ sums)
    return np.concatenate(parts)


def mean_interval(values: np.ndarray, among: Clusters) -> tuple[float, float]:
    """Return the 95 % interval of the mean of values (n,)."""
    drawn = resampled(_sums(np.stack([np.ones(len(values)), values], 1), among))
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [0.025, 0.975])
    mean = float(np.mean(values))
    return min(float(low), mean), max(float(high), mean)


def worse(losses: np.ndarray, among: Clusters) -> float:
    """Return how likely so large a mean loss (n,) is by chance, one-sided: clusters may as well have the other sign."""
    return metrics.sign_flips(_sums(losses[:, None], among)[:, 0])


def apart(losses: np.ndarray, among: Clusters) -> float:
    """Return the p of a mean difference (n,), two-sided."""
    return min(1.0, 2 * min(worse(losses, among), worse(-losses, among)))


def half_width(errors: np.ndarray, level: float = LEVEL) -> float | None:
    """Return by how much answers may lie off as often as `level` says; None: too few errors (n,) tell.

    The k-th smallest absolute error, k = ceil((n + 1) level).
    """
    place = math.ceil((len(errors) + 1) * level)
    if place > len(errors):
        return None
    return float(np.sort(np.abs(errors))[place - 1])


def edges(true: np.ndarray) -> list[float]:
    """Return round numbers that cut true values (n,) into about `BINS` ranges; the outermost ranges are open."""
    low, high = np.quantile(true, [0.01, 0.99])
    span = float(high - low)
    if span <= 0:
        return []
    step = 10.0 ** math.floor(math.log10(span / BINS))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if factor * step >= span / BINS)
    first, last = math.floor(low / step) + 1, math.ceil(high / step) - 1
    return [float(f"{step * k:.6g}") for k in range(first, last + 1)]


def by_range(predicted: np.ndarray, true: np.ndarray) -> list[dict[str, Any]]:
    """Return the errors in each range of true values: `low`, `high` (None: open), `count`, `mae`, `bias`."""
    cuts = edges(true)
    places = np.searchsorted(cuts, true, side="right")
    rows = []
    for place in range(len(cuts) + 1):
        errors = (predicted - true)[places == place]
        if len(errors):
            rows.append(
                {
                    "low": cuts[place - 1] if place else None,
                    "high": cuts[place] if place < len(cuts) else None,
                    "count": len(errors),
                    "mae": float(np.abs(errors).mean()),
                    "bias": float(errors.mean()),
                }
            )
    return rows


def points(predicted: np.ndarray, true: np.ndarray) -> dict[str, list[float]]:
    """Return `true` and `predicted` of some records, evenly chosen by their true values, for a scatter plot."""
    order = np.argsort(true, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(POINTS, len(order))).round().astype(int))]
    return {
        name: [float(f"{value:.4g}") for value in values[chosen]]
        for name, values in (("true", true), ("predicted", predicted))
    }

"""How good a mask is: of each label of a case, and over cases.

Design choices:
- Every measure is of one case and one label first; means come after. All pixels of all pictures together would be the large
  objects' score.
- What cannot be said is nan, left out of means and counted, never 0 or 1 by choice of a smoothing: all overlaps and distances
  where both masks are empty, sensitivity where nothing is there, precision where nothing was answered.
- Where one mask alone is empty, overlaps are 0 and the distance is the picture's diagonal: the worst that the picture allows.
- Pixels that are `IGNORE` in the truth are in neither mask.
- Objects are what hangs together, corners too, or what maps of objects say. Each answers for one other at most, those that
  overlap most first. What hangs together is found at an IoU of 0.1: whether a lesion was seen is asked, not how well it was
  drawn (nnDetection asks the same). Where maps tell objects apart it takes 0.5.
- A few distances are very large where an object was missed, so the median stands beside the mean.
- Intervals resample patients where they are known: pictures of one are no independent cases.

Sources: Baumgartner et al. 2021, arXiv:2106.00817 (IoU 0.1); Schmidt et al. 2018, arXiv:1806.03535 (AP of separate objects).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.tasks.segmentation import surfaces
from cnnkit.tasks.segmentation.masks import IGNORE, planes

SEEN, APART = 0.1, 0.5  # least IoU of an object that is found: of what hangs together, of what maps tell apart
COUNTS = ("found", "missed", "invented")
MEASURES = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "HD95",
    "nsd": "surface Dice",
    "sensitivity": "sensitivity",
    "precision": "precision",
    "error": "pixel error",
    "f1": "F1 of objects",
    "ap50": "AP at IoU 0.5",
    "count_error": "count error",
}
DRAWS = 2000
TOLERANCE = 2.0  # mm or px, at which borders still agree
OF_VOLUMES = 1.0  # the same of volumes, mm
nan = float("nan")
Case = dict[str, dict[str, float]]
Objects = tuple[np.ndarray | None, np.ndarray | None]


def case_measures(
    answer: np.ndarray,
    truth: np.ndarray,
    regions: Sequence[Sequence[int]],
    *,
    names: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
    tolerance: float = TOLERANCE,
    objects: Objects | None = None,
    full: bool = True,
) -> Case:
    """Measure an answer.

    Args:
        answer, truth: code maps of one size, uint8 (*sides).
        regions: the codes of each label.
        names: of the labels; None: "1", "2", and so on.
        spacing: of neighbouring pixels along each axis, mm; None: distances are in px, areas in pixels.
        tolerance: distance at which borders still agree, mm or px.
        objects: which object each pixel of answer and truth is of, int (*sides), 0 for none; None: what hangs together.
        full: False leaves out what takes time, borders and objects.

    Returns:
        for each label `dice`, `iou`, `sensitivity`, `precision`, all in [0, 1]; `error`, the share of pixels that differ; `area`
        and `true_area`; `hd95`, the larger of the two directed 95th percentiles; `nsd`, surface Dice at the tolerance;
        `surface_distance`, its mean; objects `found`, `missed`, `invented` and their `f1`. Where the truth's objects are given,
        also `ap50`, found of found, missed and invented at an IoU of 0.5, and `count_error`, by how many there are too many or
        too few.
    """
    if answer.shape != truth.shape:
        raise ValueError(f"Answer and truth need one size. Received: {answer.shape} and {truth.shape}.")
    names = [str(k + 1) for k in range(len(regions))] if names is None else names
    known = truth != IGNORE
    size = float(np.prod(spacing)) if spacing is not None else 1.0
    found, there = planes(answer, regions) & known, planes(truth, regions) & known
    every = int(np.count_nonzero(known))
    case = {}
    for k, name in enumerate(names):
        case[name] = _areas(found[k], there[k], every, size)
        if full:
            case[name] |= _borders(found[k], there[k], spacing, tolerance) | _objects(found[k], there[k], objects)
    return case


def _areas(found: np.ndarray, there: np.ndarray, known: int, size: float) -> dict[str, float]:
    """Return what follows from counts of pixels."""
    said, true, both = (int(np.count_nonzero(mask)) for mask in (found, there, found & there))
    return {
        "dice": _share(2 * both, said + true),
        "iou": _share(both, said + true - both),
        "sensitivity": _share(both, true),
        "precision": _share(both, said),
        "error": _share(said + true - 2 * both, known),
        "area": said * size,
        "true_area": true * size,
    }


def _borders(
    found: np.ndarray, there: np.ndarray, spacing: Sequence[float] | None, tolerance: float
) -> dict[str, float]:
    if not found.any() and not there.any():
        return {"hd95": nan, "nsd": nan, "surface_distance": nan}
    if not found.any() or not there.any():
        steps = np.ones(found.ndim) if spacing is None else np.asarray(spacing, np.float64)
        diagonal = float(np.linalg.norm(steps * found.shape))
        return {"hd95": diagonal, "nsd": 0.0, "surface_distance": diagonal}
    distances = surfaces.surface_distances(found, there, spacing)
    return {
        "hd95": surfaces.hausdorff(distances),
        "nsd": surfaces.surface_dice(distances, tolerance),
        "surface_distance": surfaces.mean_distance(distances),
    }


def _objects(found: np.ndarray, there: np.ndarray, objects: Objects | None) -> dict[str, float]:
    given = objects or (None, None)
    said, true = (
        components(mask) if which is None else _numbered(np.where(mask, which, 0))
        for mask, which in zip((found, there), given, strict=True)
    )
    apart = given[1] is not None
    right, missed, invented = matches(said, true, APART if apart else SEEN)
    counts = dict(zip(COUNTS, map(float, (right, missed, invented)), strict=True))
    counts["f1"] = _share(2 * right, 2 * right + missed + invented)
    if apart:
        counts["ap50"] = _share(right, right + missed + invented)
        counts["count_error"] = float(abs(invented - missed))
    return counts


def components(mask: np.ndarray) -> np.ndarray:
    """Return what hangs together in a mask, corners too: int32 (*sides), numbered from 1, 0 outside."""
    from scipy import ndimage

    return ndimage.label(mask, np.ones((3,) * mask.ndim))[0]


def matches(found: np.ndarray, there: np.ndarray, least: float) -> tuple[int, int, int]:
    """Count objects found, missed and invented.

    Args:
        found, there: which object each pixel is of, int (*sides), numbered from 1 without gaps, 0 for none.
        least: IoU of an object that is found, above 0.
    """
    areas = [np.bincount(objects.ravel()) for objects in (found, there)]
    count, true = (len(area) - 1 for area in areas)
    both = (found > 0) & (there > 0)
    pairs, shared = np.unique(found[both].astype(np.int64) * (true + 1) + there[both], return_counts=True)
    first, second = np.divmod(pairs, true + 1)
    ious = shared / (areas[0][first] + areas[1][second] - shared)
    taken: tuple[set[int], set[int]] = (set(), set())
    for k in np.argsort(-ious, kind="stable"):
        if ious[k] < least:
            break
        one, other = int(first[k]), int(second[k])
        if one not in taken[0] and other not in taken[1]:
            taken[0].add(one)
            taken[1].add(other)
    right = len(taken[0])
    return right, true - right, count - right


def _numbered(objects: np.ndarray) -> np.ndarray:
    """Return the same objects, numbered from 1 without gaps."""
    if objects.size and int(objects.max()) <= objects.size:
        there = np.bincount(np.maximum(objects, 0).ravel()) > 0
        there[0] = False
        return np.where(there, np.cumsum(there), 0)[np.maximum(objects, 0)]
    values = np.unique(objects)  # a sort: five times as long
    values = values[values > 0]
    return np.where(objects > 0, np.searchsorted(values, objects) + 1, 0)


def summary(
    cases: Sequence[Mapping[str, Mapping[str, float]]], groups: Sequence[int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Say of all cases together how good they are.

    Args:
        cases: of `case_measures`.
        groups: the patient of each case; None: each case is a patient.
        seed: of the resampling.

    Returns:
        `cases` and `groups`, how many; `labels`: for each label and measure its `mean`, its `median`, the 95 % `interval` of the
        mean (None of fewer than two patients), `count` of the cases it is of, `left_out` those of which nothing can be said, and
        the `sum` of counted objects; `mean`: for each measure the mean over labels of mean and median, with the interval of it.
        A mean of nothing is None.
    """
    patients = np.arange(len(cases)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(patients) != len(cases):
        raise ValueError(f"`groups` needs one for each case. Received: {len(patients)} for {len(cases)} cases.")
    labels = list(dict.fromkeys(label for case in cases for label in case))
    measures = list(dict.fromkeys(key for case in cases for label in case.values() for key in label))
    values = np.array(
        [[[case.get(label, {}).get(key, nan) for key in measures] for label in labels] for case in cases], np.float64
    ).reshape(len(cases), len(labels), len(measures))
    count = int(patients.max()) + 1 if len(cases) else 0
    draws = _draws(values, patients, count, seed) if count > 1 else None
    means, medians = _mean(values, 0), _median(values)
    result: dict[str, Any] = {"cases": len(cases), "groups": count, "labels": {}, "mean": {}}
    for k, label in enumerate(labels):
        result["labels"][label] = {}
        for m, key in enumerate(measures):
            said = int(np.count_nonzero(~np.isnan(values[:, k, m])))
            entry = {
                "mean": _plain(means[k, m]),
                "median": _plain(medians[k, m]),
                "interval": None if draws is None else _interval(draws[:, k, m]),
                "count": said,
                "left_out": len(cases) - said,
            }
            if key in COUNTS:
                entry["sum"] = int(np.nansum(values[:, k, m]))
            result["labels"][label][key] = entry
    for m, key in enumerate(measures):
        result["mean"][key] = {
            "mean": _plain(_mean(means[:, m], 0)),
            "median": _plain(_mean(medians[:, m], 0)),
            "interval": None if draws is None else _interval(_mean(draws[:, :, m], 1)),
        }
    return result


def _draws(values: np.ndarray, patients: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the means of patients drawn with replacement: float (draws, labels, measures)."""
    flat = values.reshape(len(values), -1)
    said = ~np.isnan(flat)
    sums, counts = np.zeros((2, count, flat.shape[1]))
    np.add.at(sums, patients, np.where(said, flat, 0))
    np.add.at(counts, patients, said)
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return ((times @ sums) / (times @ counts)).reshape(DRAWS, *values.shape[1:])


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of what can be said; nan where nothing can."""
    said = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(said, values, 0).sum(axis) / said.sum(axis)


def _median(values: np.ndarray) -> np.ndarray:
    """Return the median over cases of what can be said, float (labels, measures)."""
    flat = values.reshape(len(values), values.shape[1] * values.shape[2])
    columns = [column[~np.isnan(column)] for column in flat.T]
    return np.array([np.median(c) if len(c) else nan for c in columns]).reshape(values.shape[1:])


def _interval(draws: np.ndarray) -> list[float] | None:
    """Return the 2.5th and the 97.5th percentile of the draws of which something can be said."""
    draws = draws[~np.isnan(draws)]
    return [float(bound) for bound in np.percentile(draws, (2.5, 97.5))] if len(draws) else None


def _share(part: float, whole: float) -> float:
    return part / whole if whole else nan


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)

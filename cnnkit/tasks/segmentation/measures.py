"""How good a mask is: of each label of a case, and over cases.

Design choices:
- Every measure is of one case and one label first; means come after. All pixels of all pictures together would be the large
  objects' score.
- What cannot be said is nan, left out of means and counted, never 0 or 1 by choice of a smoothing: all overlaps where
  both masks are empty, sensitivity where nothing is there, precision where nothing was answered.
- Where one mask alone is empty, overlaps are 0 and the distance is the picture's diagonal: the worst that the picture allows.
- Pixels that are `IGNORE` in the truth are in neither mask.
"""

from collections.abc import Sequence

import numpy as np

from cnnkit.tasks.segmentation.masks import IGNORE, planes

nan = float("nan")


def case_measures(
    answer: np.ndarray,
    truth: np.ndarray,
    regions: Sequence[Sequence[int]],
    *,
    names: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
    tolerance: float = 2.0,
) -> dict[str, dict[str, float]]:
    """Measure an answer.

    Args:
        answer, truth: code maps of one size, uint8 (*sides).
        regions: the codes of each label.
        names: of the labels; None: "1", "2", and so on.
        spacing: of neighbouring pixels along each axis, mm; None: distances and areas are in px.
        tolerance: distance at which surfaces still agree, mm or px.

    Returns:
        for each label `dice`, `iou`, `sensitivity`, `precision`, `error` (share of pixels that differ), `area` and `true_area`.
    """
    if answer.shape != truth.shape:
        raise ValueError(f"Answer and truth need one size. Received: {answer.shape} and {truth.shape}.")
    names = [str(k + 1) for k in range(len(regions))] if names is None else names
    known = truth != IGNORE
    size = float(np.prod(spacing)) if spacing is not None else 1.0
    found, there = planes(answer, regions) & known, planes(truth, regions) & known
    every = int(np.count_nonzero(known))
    return {name: _areas(found[k], there[k], every, size) for k, name in enumerate(names)}


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


def _share(part: float, whole: float) -> float:
    return part / whole if whole else nan

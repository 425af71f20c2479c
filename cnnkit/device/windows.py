"""Windows on an input of any rank, and answers for windows blended into one for the whole; NumPy alone.

Design choices:
- An answer near the edge of a window saw little around it, so windows overlap and their middles count most: a Gaussian whose
  deviation is an eighth of the side, as nnU-Net has it (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z).
- Windows come in rows along the first axis. A slab of the whole is given away as soon as no later window reaches it, so memory
  holds a row of windows and not the whole, however large that is.
- What is blended are scores and not labels, and they are brought to another size as scores, too, slab by slab.
- Nothing here knows pictures from volumes: an extent has as many axes as it has.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

OVERLAP = 0.5  # share of a window that the next one covers again
DEVIATION = 1 / 8  # of the Gaussian, of the side
LEAST = 1e-3  # weight, of the largest: the edge of the whole is seen by the edges of windows alone
AT_ONCE = 8  # windows that a model is given together

Slab = tuple[int, np.ndarray]
"""Where it begins along the first axis, and scores float32 (n, *other sides, channels)."""


def starts(length: int, side: int, overlap: float = OVERLAP) -> list[int]:
    """Return where windows begin along an axis; the last ends at its end.

    Args:
        length: of the axis.
        side: of a window; a longer one begins at 0 and reaches beyond.
        overlap: share of the side, in [0, 1).
    """
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    count = -(-(length - side) // step) + 1
    return [min(number * step, length - side) for number in range(count)]


def gaussian(sides: Sequence[int]) -> np.ndarray:
    """Return how much each place of a window counts: float32 (*sides), 1 in the middle."""
    weights = np.ones((), np.float32)
    for side in sides:
        place = np.arange(side, dtype=np.float32) - (side - 1) / 2
        line = np.exp(-0.5 * (place / (side * DEVIATION)) ** 2).astype(np.float32)
        weights = weights[..., None] * line
    return np.maximum(weights, LEAST)


def blended(
    extent: Sequence[int],
    sides: Sequence[int],
    answer: Callable[[list[tuple[int, ...]]], np.ndarray],
    *,
    overlap: float = OVERLAP,
    at_once: int = AT_ONCE,
) -> Iterator[Slab]:
    """Blend the scores of overlapping windows.

    Args:
        extent: of the whole, each side at least that of a window.
        sides: of a window.
        answer: is given where some windows begin; returns their scores, float (n, *sides, channels).
        overlap: as `starts`.
        at_once: windows that are asked for together.

    Yields:
        slabs that follow one another and fill the whole.
    """
    rows = starts(extent[0], sides[0], overlap)
    across = list(itertools.product(*(starts(length, side, overlap) for length, side in zip(extent[1:], sides[1:]))))
    weights = gaussian(sides)
    line = np.zeros((sides[0], *extent[1:]), np.float32)  # what all windows of a row weigh together, alike for each row
    for place in across:
        line[_window(place, sides)] += weights
    total = np.zeros_like(line)
    sums: np.ndarray | None = None
    for number, top in enumerate(rows):
        total += line
        for first in range(0, len(across), at_once):
            part = across[first : first + at_once]
            for place, scores in zip(part, answer([(top, *place) for place in part]), strict=True):
                if sums is None:
                    sums = np.zeros((*line.shape, scores.shape[-1]), np.float32)
                    # repeated, so that both factors lie in memory alike: three times as fast
                    weights = np.repeat(weights[..., None], scores.shape[-1], axis=-1)
                    weighed = np.empty_like(weights)
                np.multiply(scores, weights, out=weighed)
                sums[_window(place, sides)] += weighed
        assert sums is not None
        done = (rows[number + 1] if number + 1 < len(rows) else extent[0]) - top
        slab = np.empty((done, *sums.shape[1:]), np.float32)
        for channel in range(sums.shape[-1]):
            np.divide(sums[:done, ..., channel], total[:done], out=slab[..., channel])
        yield top, slab
        if number + 1 < len(rows):
            for values in (sums, total):  # what the next row still reaches moves up
                values[: sides[0] - done] = values[done:]
                values[sides[0] - done :] = 0


def _window(place: Sequence[int], sides: Sequence[int]) -> tuple[slice, ...]:
    """Return where a window of a row lies, by the axes but the first."""
    return (slice(None), *(slice(low, low + side) for low, side in zip(place, sides[1:])))


def resized(slabs: Iterable[Slab], extent: Sequence[int], wanted: Sequence[int]) -> Iterator[Slab]:
    """Bring scores to another size, linearly along each axis, a slab at a time.

    Args:
        slabs: as `blended` yields them.
        extent: of the whole that they fill.
        wanted: the extent that is wanted.

    Yields:
        slabs of that.
    """
    if tuple(extent) == tuple(wanted):
        yield from slabs
        return
    low, high, share = _between(extent[0], wanted[0])
    before: np.ndarray | None = None  # the last row of the slab before
    given = 0
    for start, slab in slabs:
        for axis, (length, other) in enumerate(zip(extent[1:], wanted[1:], strict=True), 1):
            slab = _along(slab, axis, length, other)
        first = start
        if before is not None:
            slab, first = np.concatenate([before, slab]), start - 1
        end = first + len(slab)
        until = len(low) if end == extent[0] else int(np.searchsorted(high, end, "left"))
        rows = slice(given, until)
        if until > given:
            part = share[rows].reshape(-1, *[1] * (slab.ndim - 1))
            yield given, slab[low[rows] - first] * (1 - part) + slab[high[rows] - first] * part
            given = until
        before = slab[-1:]


def _between(length: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each wanted place the two places that it lies between, and how near it is to the second, in [0, 1]."""
    place = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, length - 1)
    low = np.floor(place).astype(np.int64)
    return low, np.minimum(low + 1, length - 1), (place - low).astype(np.float32)


def _along(values: np.ndarray, axis: int, length: int, wanted: int) -> np.ndarray:
    if length == wanted:
        return values
    low, high, share = _between(length, wanted)
    part = share.reshape(-1, *[1] * (values.ndim - axis - 1))
    return values.take(low, axis) * (1 - part) + values.take(high, axis) * part

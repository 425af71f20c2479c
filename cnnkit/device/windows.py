"""Windows on an input of any rank, and answers for windows blended into one for the whole; NumPy alone.

Design choices:
- An answer near the edge of a window saw little around it, so windows overlap and their middles count most: a Gaussian whose
  deviation is an eighth of the side, as nnU-Net has it (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z).
- Windows come in rows along the first axis. A row that is small is held whole, which is faster; else a column
  of it, along the second axis, and what the next row still adds to, which goes through a file where it is much. A block of the
  whole is given away as soon as no later window reaches it, so a volume ten times as large takes hardly more memory.
- What is blended are scores and not labels, and they are brought to another size as scores, too, block by block.
- Nothing here knows pictures from volumes: an extent has as many axes as it has.
"""

import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

OVERLAP = 0.5  # share of a window that the next one covers again
DEVIATION = 1 / 8  # of the Gaussian, of the side
LEAST = 1e-3  # weight, of the largest: the edge of the whole is seen by the edges of windows alone
AT_ONCE = 8  # windows that a model is given together
HELD = 4 << 20  # bytes of a row of windows that is held whole, and of what waits in memory for the next row

Place = tuple[int, ...]
Block = tuple[Place, np.ndarray]
"""Where it begins along each axis, and scores float32 (*sides, channels)."""


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


def held_least(extent: Sequence[int], sides: Sequence[int], overlap: float = OVERLAP) -> tuple[int, ...]:
    """Return the order of axes, two or more, in which `blended` holds least. Arguments as there."""

    def held(order: tuple[int, ...]) -> float:
        long = [extent[axis] for axis in order]
        rows = starts(long[0], sides[order[0]], overlap)
        least = min(after - before for before, after in itertools.pairwise(rows)) if len(rows) > 1 else sides[order[0]]
        kept = (sides[order[0]] - least) * math.prod(long[1:])
        return kept + 1.5 * sides[order[0]] * sides[order[1]] * math.prod(long[2:])  # a column, and what is done of it

    return min(itertools.permutations(range(len(extent))), key=held)


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
    answer: Callable[[list[Place]], np.ndarray],
    *,
    overlap: float = OVERLAP,
    at_once: int = AT_ONCE,
) -> Iterator[Block]:
    """Blend the scores of overlapping windows.

    Args:
        extent: of the whole, each side at least that of a window.
        sides: of a window.
        answer: is given where some windows begin; returns their scores, float (n, *sides, channels).
        overlap: as `starts`.
        at_once: windows that are asked for together.

    Yields:
        blocks that fill the whole, each once: row by row along the first axis, in each along the second. All rows are cut alike.
        Where a row is small its block is all of it.
    """
    rows, *others = (starts(length, side, overlap) for length, side in zip(extent, sides, strict=True))
    across = list(itertools.product(*others))
    first = answer([(rows[0], *place) for place in across[:at_once]])
    answers = itertools.chain([first], _asked(rows, across, answer, at_once))
    if len(extent) == 1 or 4 * sides[0] * math.prod(extent[1:]) * first.shape[-1] <= HELD:
        yield from _by_rows(extent, sides, rows, across, answers)
    else:
        yield from _by_columns(extent, sides, rows, across, answers)


def _asked(
    rows: Sequence[int], across: Sequence[Place], answer: Callable[[list[Place]], np.ndarray], at_once: int
) -> Iterator[np.ndarray]:
    """Yield the scores of windows, row by row, some at once, without the very first."""
    for top in rows:
        for first in range(0, len(across), at_once):
            if top != rows[0] or first:
                yield answer([(top, *place) for place in across[first : first + at_once]])


def _by_rows(
    extent: Sequence[int],
    sides: Sequence[int],
    rows: Sequence[int],
    across: Sequence[Place],
    answers: Iterable[np.ndarray],
) -> Iterator[Block]:
    """Blend rows of windows whose sums are held whole; arguments as `_by_columns`."""
    scores = itertools.chain.from_iterable(answers)
    weights = gaussian(sides)
    line = np.zeros((sides[0], *extent[1:]), np.float32)  # what all windows of a row weigh together, alike for each row
    for place in across:
        line[(slice(None), *_box(place, sides[1:]))] += weights
    total = np.zeros_like(line)
    sums = factors = weighed = np.empty(0, np.float32)
    for top, bottom in zip(rows, [*rows[1:], extent[0]], strict=True):
        total += line
        for place, found in zip(across, scores):
            if not sums.size:
                sums = np.zeros((*line.shape, found.shape[-1]), np.float32)
                # repeated, so that both factors lie in memory alike: three times as fast
                factors = np.repeat(weights[..., None], found.shape[-1], axis=-1)
                weighed = np.empty_like(factors)
            np.multiply(found, factors, out=weighed)
            sums[(slice(None), *_box(place, sides[1:]))] += weighed
        done = bottom - top
        block = np.empty((done, *sums.shape[1:]), np.float32)
        for channel in range(sums.shape[-1]):
            np.divide(sums[:done, ..., channel], total[:done], out=block[..., channel])
        yield (top, *[0] * (len(extent) - 1)), block
        for values in (sums, total):  # what the next row still reaches moves up
            values[: sides[0] - done] = values[done:]
            values[sides[0] - done :] = 0


def _by_columns(
    extent: Sequence[int],
    sides: Sequence[int],
    rows: Sequence[int],
    across: Sequence[Place],
    answers: Iterable[np.ndarray],
) -> Iterator[Block]:
    """Blend rows of windows whose sums are held for one column of windows.

    Args:
        extent: of the whole.
        sides: of a window.
        rows: where rows of windows begin, along the first axis.
        across: where the windows of a row begin, by the other axes.
        answers: scores of windows, some at once, in this order.
    """
    scores_of = itertools.chain.from_iterable(answers)
    columns = sorted({place[0] for place in across})
    ends = [[*axis[1:], length] for axis, length in zip((rows, columns), extent)]  # up to where a row or column is done
    weights = gaussian(sides)
    factors = weighed = sums = np.empty(0, np.float32)
    kept = _Kept((0,))
    for number, (top, bottom) in enumerate(zip(rows, ends[0], strict=True)):
        given, done, right = top + sides[0] - bottom, bottom - top, 0
        before = rows[number - 1] + sides[0] - top if number else 0  # of this one, what the row above adds to
        windows = iter(across)
        for left, stop in zip(columns, ends[1], strict=True):
            for place in itertools.islice(windows, len(across) // len(columns)):
                scores = next(scores_of)
                if not sums.size:
                    sums = np.empty((*sides[:2], *extent[2:], scores.shape[-1]), np.float32)
                    deepest = max(low + sides[0] - end for low, end in zip(rows, ends[0], strict=True))
                    kept = _Kept((extent[1], deepest, *extent[2:], scores.shape[-1]))
                    # repeated, so that both factors lie in memory alike: three times as fast
                    factors = np.repeat(weights[..., None], scores.shape[-1], axis=-1)
                    weighed = np.empty_like(factors)
                if right < left + sides[1]:  # what the windows of this column reach first
                    sums[:before, right - left :] = kept.taken(right, left + sides[1], before)
                    sums[before:, right - left :] = 0
                    right = left + sides[1]
                np.multiply(scores, factors, out=weighed)
                sums[_inside(place[1:], sides[2:])] += weighed
            wide = stop - left
            total = _total((top, bottom), (left, stop), rows[: number + 1], across, weights, extent)
            block = np.empty((done, wide, *sums.shape[2:]), np.float32)
            for channel in range(sums.shape[-1]):
                np.divide(sums[:done, :wide, ..., channel], total, out=block[..., channel])
            del total
            yield (top, left, *[0] * (len(extent) - 2)), block
            del block
            if given:
                kept.put(left, sums[done:, :wide])
            for row in range(len(sums)):  # one by one: what overlaps is copied aside
                sums[row, : sides[1] - wide] = sums[row, wide:]


class _Kept:
    """What the next row of windows still adds to: in memory, or where that is more than `HELD` in a file without a name.

    Args:
        shape: along the second axis of the whole, the first, the others, and channels.
    """

    def __init__(self, shape: Sequence[int]):
        self._shape = tuple(shape)
        self._bytes = 4 * math.prod(shape[1:])  # of a place along the second axis
        self._array: np.ndarray | None = None
        if self._bytes * shape[0] > HELD:
            try:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with this object
                return
            except OSError:  # no place for one
                pass
        self._array = np.empty(self._shape, np.float32)

    def taken(self, left: int, right: int, depth: int) -> np.ndarray:
        """Return what was put from `left` to `right`: float32 (depth, right - left, *others, channels)."""
        if self._array is not None:
            return self._array[left:right, :depth].swapaxes(0, 1)
        size = (right - left) * self._bytes
        self._file.seek(left * self._bytes)
        data = self._file.read(size) if depth else bytes(size)
        if len(data) != size:
            raise OSError("A temporary file is shorter than what was written into it.")
        found = np.frombuffer(data, np.float32).reshape(-1, *self._shape[1:])
        return found[:, :depth].swapaxes(0, 1)

    def put(self, left: int, values: np.ndarray) -> None:
        """Keep values float32 (depth, wide, *others, channels) from `left` on."""
        depth, wide = values.shape[:2]
        if self._array is not None:
            self._array[left : left + wide, :depth] = values.swapaxes(0, 1)
            return
        whole = np.zeros((wide, *self._shape[1:]), np.float32)
        whole[:, :depth] = values.swapaxes(0, 1)
        self._file.seek(left * self._bytes)
        self._file.write(whole.data.cast("B"))


def _total(
    down: tuple[int, int],
    reach: tuple[int, int],
    rows: Sequence[int],
    across: Sequence[Place],
    weights: np.ndarray,
    extent: Sequence[int],
) -> np.ndarray:
    """Return what windows weigh together in a part of a row: float32 (*sides of the part).

    Args:
        down: from where to where the part reaches, along the first axis: where a row begins, and the next.
        reach: the same along the second axis.
        rows: where rows begin, up to this one.
        across: where windows of a row begin, by the other axes.
        weights: of a window.
        extent: of the whole.
    """
    side, wide, *others = weights.shape
    (top, bottom), (left, stop) = down, reach
    line = np.zeros((side, stop - left, *extent[2:]), np.float32)  # of one row
    for column, *place in across:
        low, high = max(left, column), min(stop, column + wide)
        if low < high:
            own = line[:, low - left : high - left]
            own[_inside(place, others)] += weights[:, low - column : high - column]
    total = np.zeros((bottom - top, *line.shape[1:]), np.float32)
    for row in rows:
        if row + side > top:
            total[: row + side - top] += line[top - row : bottom - row]
    return total


def _inside(place: Sequence[int], sides: Sequence[int]) -> tuple[slice, ...]:
    """Return where a window lies in a part that has all of it along the first two axes."""
    return slice(None), slice(None), *_box(place, sides)


def _box(place: Sequence[int], sides: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(low, low + side) for low, side in zip(place, sides, strict=True))


def there(place: Place, block: np.ndarray) -> tuple[slice, ...]:
    """Return where in the whole a block lies."""
    return _box(place, block.shape[: len(place)])


def resized(blocks: Iterable[Block], extent: Sequence[int], wanted: Sequence[int]) -> Iterator[Block]:
    """Bring scores to another size, linearly along each axis, a block at a time.

    Args:
        blocks: as `blended` yields them.
        extent: of the whole that they fill.
        wanted: the extent that is wanted.

    Yields:
        blocks of that, in the same order.
    """
    if tuple(extent) == tuple(wanted):
        yield from blocks
        return
    down: dict[int, _Axis] = {}  # by where a column begins
    along: _Axis | None = None
    for place, block in blocks:
        for axis, (length, other) in enumerate(zip(extent[2:], wanted[2:], strict=True), 2):
            block = _along(block, axis, length, other)
        left = 0
        if len(extent) > 1:
            if along is None or place[1] == 0:
                along = _Axis(1, extent[1], wanted[1])
            left, block = along(place[1], block)
            if not block.size:
                continue
        if left not in down:
            down[left] = _Axis(0, extent[0], wanted[0])
        top, block = down[left](place[0], block)
        if block.size:
            yield (top, left, *[0] * (len(extent) - 2))[: len(extent)], block


class _Axis:
    """Blocks that follow one another along an axis, brought to another length; each is given what may be said after it."""

    def __init__(self, axis: int, length: int, wanted: int):
        self._axis, self._length, self._wanted = axis, length, wanted
        self._low, self._high, self._share = _between(length, wanted)
        self._before: np.ndarray | None = None  # the last place of the block before
        self._given = 0

    def __call__(self, start: int, block: np.ndarray) -> tuple[int, np.ndarray]:
        """Return where what can be said now begins, and that; it may be empty."""
        if self._length == self._wanted:
            return start, block
        if self._before is not None:
            block, start = np.concatenate([self._before, block], self._axis), start - 1
        end, given = start + block.shape[self._axis], self._given
        self._given = self._wanted if end == self._length else int(np.searchsorted(self._high, end, "left"))
        self._before = block.take([-1], self._axis)
        rows = slice(given, self._given)
        part = self._share[rows].reshape(-1, *[1] * (block.ndim - 1 - self._axis))
        low, high = (block.take(places[rows] - start, self._axis) for places in (self._low, self._high))
        return given, low * (1 - part) + high * part


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

"""Training, validation and test of pictures in time: neighbours look alike, so single pictures would leak.

Design choices:
- What belongs together (drives, patients) is held out whole, where there are enough groups for each split to have one.
- Else records in their order in time are cut into blocks of neighbours, and whole blocks are held out. Between a block and
  training
  some are left out, as the last picture of one is nearly the first of the other.
- The test is drawn first, then validation: a run that holds nothing out for validation has the same test.
"""

import math

import numpy as np

TRAIN, VALIDATION, TEST, GAP = 0, 1, 2, -1
BLOCKS = 40  # of all records, about
FEWEST = 5  # records of a block, where there are enough
WITHIN = 10  # of a block a gap is one part of so many


def divided(
    groups: np.ndarray | None,
    places: np.ndarray,
    *,
    test: float,
    validation: float,
    seed: int = 0,
    by_time: bool = True,
    gap: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Say which split each record belongs to.

    Args:
        groups: int (n,), equal for records that may not be torn apart; None: nobody says.
        places: int (n,), where each is in time among those of its group; equal for pictures of one moment.
        test, validation: parts to hold out, of all.
        seed: another seed, another division.
        by_time: whether neighbours stay together; else each moment stands alone, where there are too few groups.
        gap: places left out between blocks of two splits; None: a tenth of a block.

    Returns:
        int8 (n,), `TRAIN`, `VALIDATION`, `TEST` or `GAP`, which is none of them; int (n,), the block of neighbours of each, None
        where there are no blocks; and a line that says how.
    """
    rng = np.random.default_rng((seed, 0x71E5))
    parts = (test > 0) + (validation > 0)
    members = np.zeros(len(places), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(members.max(initial=-1)) + 1
    if not parts:
        return np.zeros(len(places), np.int8), None, ""
    if groups is not None and count > parts + 1:
        dealt = _dealt(np.bincount(members), rng.permutation(count), test, validation)
        return dealt[members], None, f"Splits: whole groups, of {count:,}."
    if not by_time:
        _, alone = np.unique(members * (int(places.max(initial=0)) + 1) + places, return_inverse=True)
        sizes = np.bincount(alone)
        dealt = _dealt(sizes, rng.permutation(len(sizes)), test, validation)
        what = "single pictures" if len(sizes) == len(places) else "pictures of a moment together"
        return dealt[alone], None, f"Splits: {what}, drawn at random."
    moments = sum(int(places[members == group].max(initial=-1)) + 1 for group in range(count))
    size = max(1, min(FEWEST, moments // (2 * (parts + 1))), math.ceil(moments / BLOCKS))
    lengths = 1 + int(places.max(initial=0)) // size
    _, blocks = np.unique(members * lengths + places // size, return_inverse=True)
    number = int(blocks.max(initial=-1)) + 1
    dealt = _dealt(np.bincount(blocks), rng.permutation(number), test, validation)
    split = dealt[blocks]
    around = max(int(size > WITHIN // 2), size // WITHIN) if gap is None else gap
    left = np.zeros(len(places), bool)
    for group in range(count):
        inside = np.flatnonzero(members == group)
        for held, others in ((TEST, (VALIDATION, TRAIN)), (VALIDATION, (TRAIN,))):
            taken = np.unique(places[inside][split[inside] == held])
            near = _near(places[inside], taken, around)
            left[inside] |= near & np.isin(split[inside], others)
    split = np.where(left, GAP, split).astype(np.int8)
    note = f"Splits: blocks of {size:,} neighbours in time, of {number:,}"
    note += f"; {around:,} left out on either side of what is held out." if around else "."
    return split, blocks, note


def _dealt(sizes: np.ndarray, order: np.ndarray, test: float, validation: float) -> np.ndarray:
    """Deal groups of these sizes to splits, in this order: as many as come nearest to each part, one at least; some stay."""
    total = int(sizes.sum())
    found = np.full(len(sizes), TRAIN, np.int8)
    position = 0
    for name, part, after in ((TEST, test, 1 + (validation > 0)), (VALIDATION, validation, 1)):
        if part <= 0:
            continue
        wanted, taken = part * total, 0
        while position < len(order) - after:
            size = int(sizes[order[position]])
            if taken and taken + size / 2 > wanted:
                break
            found[order[position]] = name
            taken += size
            position += 1
    return found


def _near(places: np.ndarray, taken: np.ndarray, around: int) -> np.ndarray:
    """Whether each place lies at most so many from one of those taken, sorted."""
    if not len(taken) or around < 1:
        return np.zeros(len(places), bool)
    after = np.searchsorted(taken, places)
    above = taken[np.minimum(after, len(taken) - 1)] - places
    below = places - taken[np.maximum(after - 1, 0)]
    return (np.abs(above) <= around) | (np.abs(below) <= around)

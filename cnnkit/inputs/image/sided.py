"""Whether pictures are the same in a mirror, so that training may see them mirrored too.

Design choices:
- The pictures say so, not the names of labels: classes of many data sets are numbers. No model is fitted that might take a left
  turn for a right one: of few pictures, such as two tracks of a sign, it learns too little to say anything.
- Of small grey pictures the part is taken that changes its sign in a mirror. If a mirror changes nothing in what a class shows,
  either sign is as likely for each picture (or for each group of them), and these parts have a mean of nothing. How much of
  them is common to a class is compared with what chance gives: the same with signs drawn by lot. That is exact for any number of
  pictures, and adds up over classes.
- A slope of light from left to right is left out: a lamp stands on one side of many machines. With it, the steel surfaces of
  neu-surfaces have a side (0.05 of that part is common), without it they have none.
- A mirror is taken for harmless only where a side would have been seen: chance alone gives a small common part. Three pictures
  each of two classes are too few for that, ten are enough.
- Also of a class whose mirrored pictures are no other class's: nobody may ever see them, and mirrored writing is none.
- Measured (common part; p): gtsrb-small 0.10; 0.001. Two tracks a class of it, three draws: 0.10 to 0.11; 0.001. Drawn signs
  0.03; 0.001. Ten pictures a class of them 0.02; 0.007. Handwritten digits 0.42; 0.001. neu-surfaces -0.01; 0.89. Ten pictures a
  class of it, three draws: 0.00 to 0.01; 0.3 to 0.5. Drawn surfaces 0.00; 0.4.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

SIDE = 16  # px, of the pictures that are compared
EACH = 24  # pictures of a class, at most
MOST = 600  # pictures
LEAST = 4  # pictures of a class, where there are many classes
DRAWS = 999  # of signs
CHANCE = 0.01  # p, up to which the pictures have a side
SEEN = 0.05  # deviation of the common part by chance, up to which a side would have been seen
_BLOCK = 16  # pictures that a thread reads at once


def against_mirrors(records: Any) -> str:
    """Say what speaks against mirroring pictures, as the beginning of a sentence; "": nothing does.

    Args:
        records: pictures with a class each, or a stratum. At most `EACH` of a class are looked at, and `MOST` in all.
    """
    groups = np.arange(len(records)) if records.groups is None else records.groups
    own = [np.flatnonzero(records.labels == code) for code in range(max(1, len(records.label_names)))]
    several = [code for code, places in enumerate(own) if len(np.unique(groups[places])) > 1]
    codes = [several[k] for k in _spread(len(several), MOST // LEAST)]
    unknown = "There are too few pictures to see whether they are the same in a mirror"
    if not codes:
        return unknown
    ordered = [own[code][np.argsort(groups[own[code]], kind="stable")] for code in codes]
    taken = [places[_spread(len(places), min(EACH, MOST // len(codes)))] for places in ordered]
    pictures = _pictures(records, np.concatenate(taken))
    rng = np.random.default_rng(0)
    shares, drawn = [], np.zeros(DRAWS)
    for places, parts in zip(taken, np.split(_changing(pictures), np.cumsum([len(places) for places in taken])[:-1])):
        _, group = np.unique(groups[places], return_inverse=True)
        means = np.stack([parts[group == k].mean(0) for k in range(group.max() + 1)])
        common = means @ means.T / max(1e-9, float(np.square(parts).sum(1).mean()))
        np.fill_diagonal(common, 0)  # what a group has in common with itself says nothing
        common /= len(means) * (len(means) - 1)
        signs = rng.choice([-1.0, 1.0], (DRAWS, len(means)))
        shares.append(float(common.sum()))
        drawn += ((signs @ common) * signs).sum(1) / len(codes)
    if (1 + np.count_nonzero(drawn >= np.mean(shares) - 1e-9)) / (1 + DRAWS) <= CHANCE:
        names = [records.label_names[code] for code in codes] if records.label_names else [""]
        most = names[int(np.argmax(shares))]
        return f"Pictures are not the same in a mirror{f', such as those of {most}' if most else ''}"
    return unknown if drawn.std() > SEEN else ""


def _spread(count: int, most: int) -> np.ndarray:
    """Return places below `count`, evenly spread, so many at most."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _pictures(records: Any, places: np.ndarray) -> np.ndarray:
    """Read pictures, small and grey: float64 (n, SIDE, SIDE)."""
    few = records.take(places).with_shape((SIDE, SIDE, records.input_shape[2]))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        blocks = pool.map(lambda block: few.read(block)[0], few.blocks(_BLOCK))
        return np.concatenate([block.astype(float).mean(-1) for block in blocks])


def _changing(pictures: np.ndarray) -> np.ndarray:
    """Return the part of pictures that changes its sign in a mirror, whatever their light and its slope: float64 (n, numbers)."""
    rows = pictures - pictures.mean((1, 2), keepdims=True)
    rows /= np.maximum(rows.std((1, 2), keepdims=True), 1e-3)
    parts = (rows - rows[..., ::-1]) / 2
    slope = np.linspace(-1, 1, SIDE)
    slope /= np.sqrt(SIDE * np.square(slope).sum())
    parts -= (parts @ slope).sum(1)[:, None, None] * slope
    return parts.reshape(len(parts), -1)

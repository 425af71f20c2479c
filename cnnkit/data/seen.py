"""Which records a model has seen: a score on those is too hopeful, whatever file they come in.

A run keeps eight bytes a record of what it was trained on or chosen by, so that this is known where the data itself is gone.
"""

from pathlib import Path

import numpy as np

from cnnkit import files
from cnnkit.data.records import Records, Splits

MOST = 500_000  # records of which digests are made; of more none, which takes too long


def keep(path: Path, splits: Splits) -> None:
    """Write the digests of training and validation records to a file, .npy; nothing where there are too many."""
    parts = [part for part in (splits.train, splits.validation) if len(part)]
    if sum(len(part) for part in parts) > MOST:
        return
    with files.atomic(path) as file:
        np.save(file, np.unique(np.concatenate([part.digests() for part in parts])))


def count(path: Path, records: Records) -> int | None:
    """Return how many records are among those of a file that `keep` below wrote; None where that is not known."""
    try:
        known = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if len(records) > MOST or known.ndim != 1 or known.dtype != np.uint64:
        return None
    return int(np.isin(records.digests(), known).sum())

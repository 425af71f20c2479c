"""Volumes as training sees them, on the disk: read, resampled and brought to 0 to 255 once, and mapped into memory from then on.

Design choices:
- An entry is named by a hash of all that made it: the whole content of its files, what their values mean, the plan, `VERSION`.
  So an entry is never out of date, and no name of a file or a patient is in the cache.
- Entries are written whole or not at all, so that processes share them; a broken one is made anew. Of all entries those that were
  not used for longest go, where they are more than `MOST`. A cache that cannot be written costs time and nothing else.
- Reading and resampling a packed volume takes far longer than hashing its file and mapping what was made of it. Sets that
  memory holds (`cnnkit.tasks.segmentation.records.KEPT`) need no file: they are read once a run either way.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cnnkit import files
from cnnkit.errors import CnnkitError

MOST = 20 << 30  # bytes
VERSION = "1"  # of what is written; another one makes all entries anew


def kept(key: str, make: Callable[[], Sequence[np.ndarray]], count: int) -> list[np.ndarray]:
    """Return arrays from the cache, mapped and not to be written to; made where they are not there, or broken.

    Args:
        key: what decides their content, as a hash.
        make: makes so many arrays.
        count: of the arrays.

    Raises:
        What `make` raises.
    """
    paths = [_folder() / f"{key}-{number}.npy" for number in range(count)]
    found = _opened(paths)
    if found is not None:
        return found
    made = list(make())
    try:
        for path, array in zip(paths, made, strict=True):
            with files.atomic(path) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    except (OSError, CnnkitError):
        return made
    _thin_out({path.name for path in paths})
    return _opened(paths) or made


def _folder() -> Path:
    return files.cache_folder() / "volumes"


def _opened(paths: Sequence[Path]) -> list[np.ndarray] | None:
    """Return the arrays of files, mapped; None where one is not there or broken."""
    try:
        found = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
    except (OSError, ValueError, EOFError):
        return None
    for path in paths:
        with contextlib.suppress(OSError):
            os.utime(path)
    return [np.asarray(array) for array in found]


def _thin_out(new: set[str]) -> None:
    """Remove the entries that were not used for longest, where all are too many; never a new one."""
    entries = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(_folder()):
            with contextlib.suppress(OSError):
                status = entry.stat()
                entries.append((status.st_mtime_ns, status.st_size, entry.path, entry.name))
    total = sum(size for _, size, _, _ in entries)
    for _, size, path, name in sorted(entries):
        if total <= MOST:
            return
        if name not in new and name.endswith(".npy"):
            with contextlib.suppress(OSError):
                Path(path).unlink()
                total -= size

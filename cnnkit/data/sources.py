"""Where inputs and targets are that need nothing special: files of a kind, and numbers.

Records(FileInputs(paths, device.KIND, shape=(32, 2)), targets=Values(ages))
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.records import Shape
from cnnkit.device.kinds import InputKind


class FileInputs:
    """Inputs in files of their own, read and cut into windows as on a device.

    Args:
        paths: of the files.
        kind: the device half of their kind.
        shape: of what a network takes, where nothing else is asked for.
    """

    def __init__(self, paths: Sequence[Path], kind: InputKind, shape: Shape):
        self.paths, self.kind, self.shape = paths, kind, shape

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        """Return of each input the window in the middle."""
        found = [windows[len(windows) // 2] for windows in self._cut(indices, shape)]
        return np.stack(found) if found else np.zeros((0, *shape), np.float32)

    def windows(self, indices: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
        found = self._cut(indices, shape)
        owners = np.repeat(np.arange(len(found)), [len(windows) for windows in found])
        return np.concatenate([np.zeros((0, *shape), np.float32), *found]), owners

    def _cut(self, indices: np.ndarray, shape: Shape) -> list[np.ndarray]:
        return [self.kind.windows(self.native(index), shape) for index in indices]

    def native(self, index: int) -> Any:
        return self.kind.read(self.paths[index])

    def name(self, index: int) -> str:
        return str(self.paths[index])

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        for index in indices:
            add(self.paths[index].read_bytes())


class Values:
    """Numbers as targets, of records of any input.

    Args:
        values: float (n,), or (n, k) of several a record.
    """

    def __init__(self, values: Any):
        self.values = np.asarray(values, np.float32)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.values[indices]

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(self.values[indices].astype("<f4").tobytes())

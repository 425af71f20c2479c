"""Pictures that are no files of their own: in memory, or drawn when they are read."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnkit.data.records import Shape
from cnnkit.device.image import fit_image


class ImageSource:
    """Where the pictures of records are; for readers (`cnnkit.Reader`).

    A class that draws says `native` and `__len__`, and may say `shape`; everything else follows.

    Args:
        images: uint8 arrays (h, w), (h, w, 3) RGB or (h, w, 4), of any sizes; or an array of them.
        shape: (height, width, channels) that suits them, px; None: that of the first.

    Safe to share between threads, if `native` is.
    """

    def __init__(self, images: Sequence[np.ndarray] | np.ndarray = (), shape: Shape | None = None):
        self._images, self._shape = images, shape

    @property
    def shape(self) -> Shape:
        """The shape that suits them, unless another is asked for: (height, width, channels), px."""
        if self._shape is not None:
            return self._shape
        first = self.native(0)
        return (*first.shape[:2], 1 if first.ndim == 2 else first.shape[2])

    def __len__(self) -> int:
        return len(self._images)

    def native(self, index: int) -> np.ndarray:
        """Return one picture as it is, uint8."""
        return np.asarray(self._images[index])

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        """Return pictures as a network takes them: uint8 (b, *shape)."""
        found = [fit_image(self.native(int(index)), shape) for index in indices]
        return np.stack(found) if found else np.zeros((0, *shape), np.uint8)

    def name(self, index: int) -> str:
        """Return what a person calls a picture: its place."""
        return f"picture {index}"

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Feed what identifies these pictures to `add`."""
        for index in indices:
            picture = np.ascontiguousarray(self.native(int(index)))
            add(repr(picture.shape).encode() + picture.tobytes())

"""Images that an app prepares as they are read, as `predict` does.

What is made is small and costs more than reading it: it is kept in memory while all of it fits into `KEPT` bytes. Images that
are stored in the size of the layout are read in one piece, and only those that are not laid out yet are prepared.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnkit.data.cards import Card
from cnnkit.data.records import Shape, Source
from cnnkit.device.image import fit_images
from cnnkit.device.preparation import Preparation, ready

KEPT = 1 << 26  # bytes, of one split's images


def prepare_parts(
    card: Card, parts: Mapping[str, Any], preparation: Preparation | None, prepare: bool | None
) -> tuple[Shape | None, list[str]]:
    """Have the images of all parts of a source prepared, where an app prepares its own and these are not prepared already.

    Args:
        card: of the data.
        parts: with `images`, which are replaced.
        preparation: what the app does to an image; None: nothing.
        prepare: whether it is done; None: unless the card says that its images are prepared.

    Returns:
        Their shape, and a line on it; None and no line where nothing is done.
    """
    if preparation is None or not (not card.prepared if prepare is None else prepare):
        return None, []
    for part in parts.values():
        part.images = PreparedImages(part.images, preparation)
    return preparation.shape, [f"Pictures are {preparation.about}. --no-prepare takes them as they are."]


class PreparedImages:
    """The images of another source, prepared."""

    prepared = True

    def __init__(self, images: Source, preparation: Preparation):
        self._images, self._preparation = images, preparation
        fits = len(images) * math.prod(preparation.shape) <= KEPT
        self._kept = np.zeros((len(images), *preparation.shape), np.uint8) if fits else None
        self._known = np.zeros(len(images), bool)

    @property
    def shape(self) -> Shape:
        return self._preparation.shape

    def __len__(self) -> int:
        return len(self._images)

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        made = self._made(np.asarray(indices, np.int64))
        return made if shape == self.shape else fit_images(made, len(made), shape)

    def native(self, index: int) -> np.ndarray:
        return self._images.native(index)

    def name(self, index: int) -> str:
        return self._images.name(index)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        self._images.digest(indices, add)

    def _made(self, indices: np.ndarray) -> np.ndarray:
        """Return prepared images; two threads may make the same one, and make it alike."""
        if self._kept is None:
            return self._new(indices)
        missing = np.unique(indices[~self._known[indices]])
        if len(missing):
            self._kept[missing] = self._new(missing)
            self._known[missing] = True
        return self._kept[indices]

    def _new(self, indices: np.ndarray) -> np.ndarray:
        if getattr(self._images, "stored", None) == self.shape:
            images = self._images.read(indices, self.shape)
            left = np.flatnonzero(~self._preparation.laid_out(images))
        else:
            images, left = np.empty((len(indices), *self.shape), np.uint8), np.arange(len(indices))
        for k in left:
            images[k], _ = ready(self._images.native(int(indices[k])), self.shape, self._preparation)
        return images

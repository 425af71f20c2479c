"""What an app does to a picture before its model sees it: one path for training, scoring, exporting and `predict`.

Design choices:
- A preparation belongs to an app and runs on devices: NumPy and OpenCV alone.
- Which layout a model was trained on is in its metadata; `wanted` is the only place that decides by it.
- `ready` is what every command uses, so that a picture in a data set gets the same pixels as one given to `predict`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from cnnkit.device.image import FAINT, fit_image, over_page

LAYOUT = "layout"  # of an artifact's metadata: the name of the layout that its pictures have


class Preparation(Protocol):
    """How an app lays out a picture.

    Attributes:
        layout: its name, as metadata have it.
        shape: (height, width, channels) of what it makes, px.
        about: what it does to a picture, for people; goes on after "Pictures are".
        demo: may be there: folder of the same in JavaScript (`cnnkit.demo`), `index.js` with `layout(picture)`, and a `pad` where
            a person can draw one.
    """

    layout: str
    shape: tuple[int, int, int]
    about: str

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        """Lay a picture out.

        Args:
            image: uint8 (h, w), (h, w, 3) RGB or (h, w, 4) RGBA, of any size.

        Returns:
            uint8 of `shape`; one that is laid out already comes back as it is. None: nothing is on it.
        """

    def laid_out(self, images: np.ndarray) -> np.ndarray:
        """Say which pictures uint8 (n, *shape) are laid out already: bool (n,)."""


def wanted(preparation: Preparation | None, metadata: Mapping[str, Any], asked: bool | None = None) -> bool:
    """Say whether pictures for a model are prepared: as asked, else where it was trained on pictures of that layout."""
    if preparation is None:
        return False
    return metadata.get(LAYOUT) == preparation.layout if asked is None else asked


def ready(image: np.ndarray, shape: tuple[int, ...], preparation: Preparation | None = None) -> tuple[np.ndarray, bool]:
    """Make of a picture what a model sees.

    Args:
        image: as `cnnkit.device.image.read_image` returns it.
        shape: (height, width, channels) of the model's input, px.
        preparation: of the app, where the model wants it.

    Returns:
        uint8 of `shape`, in [0, 255], and whether anything is on the picture.
    """
    if preparation is None:
        return fit_image(image, shape), not blank(image)
    found = preparation(image)
    if found is None:
        return fit_image(np.zeros(preparation.shape, np.uint8), shape), False
    return fit_image(found, shape), True


def blank(image: np.ndarray) -> bool:
    """Say whether a picture shows nothing: one colour all over, as far as can be seen."""
    if image.ndim == 3 and image.shape[2] == 4:
        image = over_page(image)
    flat = image.reshape(-1, 1 if image.ndim == 2 else image.shape[2])
    return bool((flat.max(0) - flat.min(0) <= FAINT).all())

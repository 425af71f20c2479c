"""Pictures and masks in arrays, kept as PNG files (`cnnkit.data.kept`)."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cnnkit import files
from cnnkit.data.kept import Kept, Pairs, is_words, numbers
from cnnkit.errors import DataError
from cnnkit.tasks.segmentation.masks import IGNORE


def kept(parts: Pairs, labels: Sequence[str]) -> Kept | None:
    """Return how these arrays become files; None: they are no pictures with masks.

    Args:
        parts: inputs uint8 (n, h, w), (n, h, w, 1) or (n, h, w, 3) RGB in [0, 255]; targets int (n, h, w) or (n, h, w, 1): 0 for
            background, k for the k-th label, 255 for what is left out.
        labels: what the values 1, 2, ... are called; none: as they are.

    Raises:
        DataError: shapes, types or values that cannot be used.
    """
    if any(is_words(inputs) or np.ndim(targets) < 3 for inputs, targets in parts.values()):
        return None
    arrays: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    most = 0
    for split, (inputs, targets) in parts.items():
        pictures, masks = numbers(inputs, f"The inputs of {split}"), numbers(targets, f"The masks of {split}")
        masks = masks[..., 0] if masks.ndim == 4 and masks.shape[3] == 1 else masks
        pictures = pictures[..., 0] if pictures.ndim == 4 and pictures.shape[3] == 1 else pictures
        if masks.ndim != 3 or pictures.shape[:3] != masks.shape or pictures.shape[3:] not in ((), (3,)):
            raise DataError(
                f"Pictures of {split} are (n, h, w) or (n, h, w, 3), and masks (n, h, w). Got {pictures.shape} and {masks.shape}."
            )
        if pictures.dtype != np.uint8:
            raise DataError(f"Pictures of {split} with masks are uint8, 0 to 255. Got {pictures.dtype}: convert them.")
        if (masks != np.rint(masks)).any() or masks.min() < 0 or masks.max() > IGNORE:
            raise DataError(f"The masks of {split} hold values that are no whole numbers from 0 to {IGNORE}.")
        masks = masks.astype(np.uint8)
        most = max(most, int(masks[masks < IGNORE].max(initial=0)))
        arrays[split] = pictures, masks
    if most == 0 or (labels and len(labels) < most):
        what = "nothing but background" if most == 0 else f"{most} labels, and `labels` names {len(labels)}"
        raise DataError(f"The masks hold {what}. Give masks of something, and all names.")
    names = list(labels) or [str(value) for value in range(1, most + 1)]

    def write(folder: Path) -> None:
        for split, (pictures, masks) in arrays.items():
            for number, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
                for kind, values in (("images", picture), ("masks", mask)):
                    path = folder / split / kind / f"{number:06}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    files.write_bytes(
                        path, cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)[1].tobytes()
                    )

    values = {name: place for place, name in enumerate(names, start=1)}
    tables = {split: {"path": ".", "split": split} for split in parts}
    pictures = arrays["train"][0]
    return Kept(
        "segmentation",
        "masks",
        f"{len(pictures):,} pictures of {pictures.shape[2]} x {pictures.shape[1]} px with masks",
        tables,
        [values for pair in arrays.values() for values in pair],
        write,
        options={"values": values, "objects": False},
    )

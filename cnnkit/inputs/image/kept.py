"""Pictures in arrays, with a label each, kept as an .npz (`cnnkit.data.kept`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import files
from cnnkit.data.kept import Kept, Pairs, is_words, numbers
from cnnkit.errors import DataError
from cnnkit.inputs.image.arrays import image_shape
from cnnkit.inputs.image.readers import label_codes


def kept(parts: Pairs, labels: Sequence[str]) -> Kept | None:
    """Return how these arrays become files; None: they are no pictures with a label each.

    Args:
        parts: inputs (n, h, w), (n, h, w, 1), (n, h, w, 3) RGB, (n, h, w, 4) or (n, pixels) of squares; targets int (n,), (n, 1),
            one-hot (n, classes), or `str`.
        labels: what whole numbers are called, from 0; none: as they are.

    Raises:
        DataError: shapes, values or labels that cannot be used.
    """
    if any(is_words(inputs) or np.ndim(targets) > 2 for inputs, targets in parts.values()):
        return None
    arrays: dict[str, Any] = {}
    for split, (inputs, targets) in parts.items():
        images, what = numbers(inputs, f"The inputs of {split}"), f"What was given as {split}"
        images = images.astype(np.uint8) * 255 if images.dtype.kind == "b" else images
        image_shape(images.shape, what)
        found, names = label_codes(np.asarray(targets), f"The targets of {split}")
        wrong = [
            name for name in names if labels and name not in labels and not (name.isdigit() and int(name) < len(labels))
        ]
        if wrong:
            raise DataError(f"{what} has the label {wrong[0]}, and `labels` names {len(labels)}. Name all of them.")
        arrays |= {f"x_{split}": images, f"y_{split}": np.array(names)[found]}

    def write(folder: Path) -> None:
        with files.atomic(folder / "arrays.npz") as file:
            np.savez(file, **arrays)

    tables = {split: {"file": "arrays.npz", "images": f"x_{split}", "labels": f"y_{split}"} for split in parts}
    title = f"{len(arrays['x_train']):,} arrays of {' x '.join(map(str, arrays['x_train'].shape[1:]))}"
    return Kept("classification", "npz", title, tables, list(arrays.values()), write, labels=tuple(labels))

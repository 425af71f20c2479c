"""The teaching view: what a 3x3 filter does to an image, before any learning.

Choices:
- The arithmetic is that of `Conv2D(padding="valid")`: the kernel is not flipped, the picture loses a px on every side.
- The pixel worked out step by step is the one with the strongest edge: there is something to see.
"""

from typing import Any

import numpy as np

KERNELS = {
    "average": (np.full((3, 3), 1 / 9), "every pixel becomes the mean of its neighbourhood: noise and detail fade"),
    "sharpen": (
        np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        "five times the pixel less its four neighbours, shown cut to 0 ... 255: edges stand out",
    ),
    "vertical edges": (
        np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        "right less left: strong where brightness changes sideways, zero on plain areas (Sobel)",
    ),
    "horizontal edges": (
        np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        "below less above: strong where brightness changes downwards, zero on plain areas (Sobel)",
    ),
}


def classic_filters(image: np.ndarray) -> dict[str, Any]:
    """Slide the classic 3x3 filters over an image and work out one pixel by hand.

    Args:
        image: (h, w), (h, w, 1) or (h, w, 3) in [0, 255], at least 3x3 px; colours are averaged to grey.

    Returns:
        `image`: float32 (h, w) in [0, 255]. `pixel`: (row, column). `neighbourhood`: float32 (3, 3) around it.
        `filters`: for each filter its `name`, `meaning`, `kernel` float32 (3, 3), `output` float32 (h - 2, w - 2)
        (edges in [-1020, 1020]), `steps` (nine texts "weight * pixel") and `result`, their sum: the output at `pixel`.

    Errors: `ValueError` for an image below 3x3 px.
    """
    grey = np.asarray(image, np.float32)
    if grey.ndim == 3:
        grey = grey.mean(axis=-1)
    if grey.ndim != 2 or min(grey.shape) < 3:
        raise ValueError(f"`image` needs (h, w) or (h, w, c), at least 3x3 px. Received: image.shape={image.shape}.")
    windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))  # (h - 2, w - 2, 3, 3)
    outputs = {name: (windows * kernel).sum(axis=(2, 3)).astype(np.float32) for name, (kernel, _) in KERNELS.items()}
    telling = np.abs(outputs["vertical edges"]) + np.abs(outputs["horizontal edges"])
    row, column = (int(index) + 1 for index in np.unravel_index(telling.argmax(), telling.shape))
    around = grey[row - 1 : row + 2, column - 1 : column + 2]
    return {
        "image": grey,
        "pixel": (row, column),
        "neighbourhood": around.copy(),
        "filters": [
            {
                "name": name,
                "meaning": meaning,
                "kernel": kernel.astype(np.float32),
                "output": outputs[name],
                "steps": [f"{_weight(w)} * {_plain(float(v))}" for w, v in zip(kernel.flat, around.flat)],
                "result": float(outputs[name][row - 1, column - 1]),
            }
            for name, (kernel, meaning) in KERNELS.items()
        ],
    }


def _weight(weight: float) -> str:
    return "1/9" if 0 < weight < 1 else f"{weight:g}"


def _plain(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

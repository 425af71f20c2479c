"""Pictures, on a device: a camera's bytes go in as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.kinds import InputKind


class Image(InputKind):
    """Arrays (h, w, c) in [0, 255]."""

    name = "image"

    def dtype(self, precision: str) -> str:
        return "uint8" if precision == "int8" else "float32"

    def noise(self, metadata: Mapping[str, Any], shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 256, shape)


KIND = Image()

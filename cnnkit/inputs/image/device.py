"""Pictures, on a device: a camera's bytes go in as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import InputKind
from cnnkit.inputs.image.named import image_files


class Image(InputKind):
    """Arrays (h, w, c) in [0, 255]."""

    name = "image"
    given = "image files, folders, or - for an image on standard input"
    unsaid = True

    def unnamed(self, metadata: Mapping[str, Any]) -> bool:
        return "range" in metadata["input"]

    def found(self, folder: Path) -> list[Path]:
        return list(image_files([folder]))

    def read(self, path: Path) -> np.ndarray:
        from cnnkit.device.image import read_image

        return read_image(path)

    def prepares(self, preparation: Any, metadata: Mapping[str, Any], asked: bool | None) -> Any:
        from cnnkit.device.preparation import wanted

        return preparation if wanted(preparation, metadata, asked) else None

    def windows(self, sample: np.ndarray, shape: Sequence[int], preparation: Any = None) -> np.ndarray:
        from cnnkit.device.preparation import ready

        pixels, shown = ready(sample, (shape[0], shape[1], shape[2]), preparation)
        return pixels[None][: int(shown)]

    def dtype(self, precision: str) -> str:
        return "uint8" if precision == "int8" else "float32"

    def noise(self, metadata: Mapping[str, Any], shape: Sequence[int], rng: "np.random.Generator") -> np.ndarray:
        return rng.integers(0, 256, shape)


KIND = Image()

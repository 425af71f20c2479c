"""Pictures, on a device: a camera's bytes go in as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import InputKind, numbers
from cnnkit.errors import DataError
from cnnkit.inputs.image.named import image_files


class Image(InputKind):
    """Arrays (h, w, c) in [0, 255]."""

    name = "image"
    given = "image files, folders, or - for an image on standard input"
    unsaid = True
    demo = Path(__file__).with_name("demo")

    def unnamed(self, metadata: Mapping[str, Any]) -> bool:
        return "range" in metadata["input"]

    def found(self, folder: Path) -> list[Path]:
        return list(image_files([folder]))

    def read(self, path: Path) -> np.ndarray:
        from cnnkit.device.image import read_image

        return read_image(path)

    def samples(self, values: np.ndarray, shape: Sequence[int], stored: bool = False) -> tuple[list[Any], bool]:
        """Return pictures: (h, w), (h, w, 3) RGB, (h, w, 4) RGBA, or of the model's channels; as `InputKind.samples`.

        Pixels are numbers in [0, 255], rounded to whole ones; `stored`: any. A batch has one axis more: of (n, h, w) the last is
        none of 1, 3 or 4.
        """
        need = "A picture is an array (height, width) or (height, width, channels)"
        values = numbers(values, need)
        channels = (1, 3, 4, int(shape[-1]))
        one = values.ndim == 2 or (values.ndim == 3 and values.shape[2] in channels)
        if not one and not (values.ndim == 3 or (values.ndim == 4 and values.shape[3] in channels)):
            raise DataError(f"{need} of 1, 3 or 4 channels, and a batch has one axis more. Got {list(values.shape)}.")
        if not stored:
            low, high = float(values.min()), float(values.max())
            if low < 0 or high > 255:
                raise DataError(f"{need} of numbers from 0 to 255. Got numbers from {low:g} to {high:g}.")
            if 0 < high <= 1 and values.dtype.kind == "f":  # shares; but bytes are a camera's, however dark it is
                raise DataError(
                    f"{need} of numbers from 0 to 255. Got numbers from {low:g} to {high:g}: multiply them by 255."
                )
            values = np.rint(values) if values.dtype.kind == "f" else values
            values = values.astype(np.uint8)
        return ([values], True) if one else (list(values), False)

    def needs_app(self, metadata: Mapping[str, Any]) -> bool:
        from cnnkit.device.preparation import LAYOUT

        return LAYOUT in metadata

    def prepares(self, preparation: Any, metadata: Mapping[str, Any], asked: bool | None) -> Any:
        from cnnkit.device.preparation import wanted

        return preparation if wanted(preparation, metadata, asked) else None

    def windows(self, sample: np.ndarray, shape: Sequence[int], preparation: Any = None) -> np.ndarray:
        from cnnkit.device.preparation import ready

        pixels, shown = ready(sample, (shape[0], shape[1], shape[2]), preparation)
        return pixels[None][: int(shown)]

    def examples(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> list[Any]:
        """Return pictures with a stroke and a spot, of other sizes than the model's, RGB, grey and with transparency."""
        import cv2

        found = []
        for number, (height, width, channels) in enumerate([(97, 131, 3), (150, 90, 1), (64, 64, 4)]):
            y, x = np.mgrid[0:height, 0:width].astype(np.float32)
            waves = [200 + 40 * np.sin(x / 17 + channel) * np.cos(y / (13 + number)) for channel in range(channels)]
            picture = np.ascontiguousarray(np.stack(waves, -1).astype(np.uint8))
            place = (width // 2, height // 5), (width // 2 - 9, 4 * height // 5)
            cv2.line(picture, *place, (30,) * 3 + (255,), max(3, width // 16))
            cv2.circle(picture, (width // 3, height // 3), width // 9, (90, 40, 160, 255), -1)
            found.append(picture[..., 0] if channels == 1 else picture)
        return found

    def dtype(self, precision: str) -> str:
        return "uint8" if precision == "int8" else "float32"

    def noise(self, metadata: Mapping[str, Any], shape: Sequence[int], rng: "np.random.Generator") -> np.ndarray:
        return rng.integers(0, 256, shape)


KIND = Image()

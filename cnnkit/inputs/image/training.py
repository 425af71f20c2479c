"""Pictures: what a graph takes, raw and in [0, 255]."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.preparation import LAYOUT
from cnnkit.export.forms import Pixels
from cnnkit.inputs.graph import InputGraph


class Image(InputGraph):
    """float32 (1, h, w, c), or in int8 files uint8, so that a camera's bytes go in as they are."""

    rounded = True
    limits = (0.0, 255.0)
    reads = "classification"

    def load(self, source: Any, **how: Any) -> Any:
        from cnnkit.inputs.image import loading

        return loading.load(source, **how)

    def inputs(self) -> Any:
        from cnnkit.inputs.image.images import Images

        return Images()

    def kept(self, parts: Any, labels: Sequence[str]) -> Any:
        from cnnkit.inputs.image import kept

        return kept.kept(parts, labels)

    def calibration(self, inputs: np.ndarray) -> np.ndarray:
        """Give the first image a 0 and a 255 in its corners, so that the input's scale is exactly 1."""
        images = np.array(inputs, np.float32)
        images[0, 0, 0, :], images[0, -1, -1, :] = 0, 255
        return images

    def given(self, model: Any) -> Any:
        import keras

        return keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image", dtype="float32")

    def seen(self, sample: Any, metadata: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
        from cnnkit.device.image import fit_image

        return fit_image(sample, tuple(shape))

    def drawn(self, metadata: Mapping[str, Any], shape: Sequence[int], count: int) -> list[Any]:
        """Return discs before a ramp: the first larger than the input along one axis and smaller along the other, and so on."""
        rng, found = np.random.default_rng(0), []
        for number in range(count):
            factors = ((3, 5), (7, 2), (4, 4), (6, 9))[number % 4]
            height, width = (max(8, side * factor // 4 + number % 2) for side, factor in zip(shape[:2], factors))
            y, x = np.mgrid[:height, :width]
            picture = np.stack([x * 200 // width, y * 200 // height, (x + y) * 200 // (width + height)], -1)
            for _ in range(3):
                middle, radius = rng.uniform(0, 1, 2) * (height, width), rng.uniform(0.1, 0.3) * min(height, width)
                picture[np.hypot(y - middle[0], x - middle[1]) < radius] = rng.integers(0, 256, 3)
            found.append(picture[..., np.arange(shape[2]) % 3].astype(np.uint8))
        return found

    def simpler(self, sample: np.ndarray, most: int) -> np.ndarray:
        """Lay what is transparent over a page, too."""
        from cnnkit.device.image import fit_image, over_page

        if sample.dtype == np.uint8 and sample.ndim == 3 and sample.shape[2] == 4:
            sample = over_page(sample)
        if sample.dtype != np.uint8 or sample.size <= most:
            return sample
        scale = (most / sample.size) ** 0.5
        height, width = (max(1, int(side * scale)) for side in sample.shape[:2])
        return fit_image(sample, (height, width, 1 if sample.ndim == 2 else sample.shape[2]))

    def layers(self) -> None:
        import cnnkit.models.eight_bits  # noqa: F401 - Keras knows our activation only once it is imported

    def form(self, metadata: Mapping[str, Any]) -> Pixels | None:
        return Pixels(cut="laid out as the training pictures are" if LAYOUT in metadata else "")


KIND = Image()

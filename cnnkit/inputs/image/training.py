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

    def form(self, metadata: Mapping[str, Any]) -> Pixels | None:
        return Pixels(cut="laid out as the training pictures are" if LAYOUT in metadata else "")


KIND = Image()

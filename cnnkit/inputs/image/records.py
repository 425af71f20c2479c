"""Records of images: what is more to say of them than of any inputs."""

from typing import Any, Self

import numpy as np

from cnnkit.data.records import Joined, Records, Shape
from cnnkit.data.tags import Tagged

FLAT_SIDE = 32  # px, of images for a linear model


class ImageRecords(Tagged):
    """An immutable view of labelled images; as `Tagged`. They are read as uint8 (b, h, w, c) in [0, 255]."""

    noun = "images"

    @staticmethod
    def _joined(first: Records, second: Records) -> "JoinedImages":
        return JoinedImages(first, second)

    def flat(self, indices: np.ndarray) -> tuple[np.ndarray, str]:
        """Return images as a linear model reads them, in [0, 1] and at most 32 px a side; as `Records.flat`."""
        height, width, channels = self.input_shape
        shape = (min(height, FLAT_SIDE), min(width, FLAT_SIDE), channels)
        images = self.with_shape(shape).read(indices)[0]
        return images.reshape(len(images), -1).astype(np.float32) / 255, f"{shape[0]}x{shape[1]} pixels"

    def shown(self, indices: np.ndarray) -> list[dict[str, Any]]:
        """Return `image`, uint8 (h, w, c), of each of these records."""
        return [{"image": image} for image in self.read(indices)[0]]

    @property
    def prepared(self) -> bool:
        """Whether the app lays these images out as they are read."""
        return bool(getattr(self._source, "prepared", False))

    def with_shape(self, input_shape: Shape) -> Self:
        """Return a view that reads its images at another (height, width, channels); channels 1, 3 or 4."""
        if len(input_shape) != 3 or min(input_shape) < 1 or input_shape[2] not in (1, 3, 4):
            raise ValueError(
                f"`input_shape` needs height, width and 1, 3 or 4 channels. Received: input_shape={input_shape}."
            )
        return super().with_shape(input_shape)

    def drawn(self, index: int, side: int) -> np.ndarray:
        """Return the image, its longer side `side` px; as `Records.drawn`."""
        image = self.native(index)
        return at_side(image[..., :3] if image.ndim == 3 and image.shape[2] > 3 else image, side)

    def native(self, index: int) -> np.ndarray:
        """Return the image as it is stored: uint8 (h, w), (h, w, 3) RGB or (h, w, 4) RGBA, of its own size."""
        return super().native(index)


def at_side(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image whose longer side has `side` px; smaller ones are made larger, their pixels to be seen."""
    import cv2

    scale = side / max(image.shape[:2])
    width, height = (max(1, round(length * scale)) for length in image.shape[1::-1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


class JoinedImages(Joined):
    """The images of two sets of records, one after the other."""

    @property
    def prepared(self) -> bool:
        return any(getattr(part, "prepared", False) for part in self.parts)

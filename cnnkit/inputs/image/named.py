"""Opening the images that a command names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cnnkit import console
from cnnkit.device.image import read_image
from cnnkit.errors import DataError

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm"}


def image_files(inputs: Sequence[Path]) -> Iterator[Path]:
    """Yield the image files that inputs name: files as they are, folders searched in order, - as it is."""
    for path in inputs:
        if not path.is_dir():
            yield path
            continue
        found = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGES and not p.name.startswith(".")]
        if not found:
            raise DataError(f"{path} holds no image. Give files or folders of {', '.join(sorted(IMAGES))}.")
        yield from found


def readable_images(inputs: Sequence[Path], skipped: list[str] | None) -> Iterator[tuple[Path, np.ndarray]]:
    """Yield the image files that inputs name, with their images, uint8, as `read_image` gives them.

    Args:
        inputs: as in `image_files`.
        skipped: takes the complaint about each file that cannot be read, which is warned about and left out; None: the
            first such file is an error.
    """
    for path in image_files(inputs):
        try:
            image = read_image(path)
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(str(error))
            console.warning(f"skipped: {error}")
            continue
        yield path, image

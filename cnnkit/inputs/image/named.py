"""Image files in what a command is given."""

from collections.abc import Iterator, Sequence
from pathlib import Path

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

"""Opening what a command names: the artifact, and the images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console
from cnnkit.device.image import read_image
from cnnkit.device.model import DeviceModel, read_metadata
from cnnkit.errors import ArtifactError, DataError
from cnnkit.run import EXPORT, MODEL, Run, latest

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm"}


def is_artifact(path: Path) -> bool:
    """Whether a path is meant as a model: a `.keras`, a `.tflite` or a run folder."""
    return path.suffix in (".keras", ".tflite") or (path / "run.json").is_file()


def split(app: str, paths: Sequence[Path]) -> tuple[Path, tuple[Path, ...]]:
    """Split `[ARTIFACT] INPUT...` into the artifact, by default the app's latest run, and the inputs."""
    if paths and is_artifact(paths[0]):
        return paths[0], tuple(paths[1:])
    return latest(app), tuple(paths)


def exported(path: Path, app: str) -> Path:
    """Return the file to run for an artifact: of a run, its exported float32 model, or what else it has."""
    if not path.is_dir():
        return path
    run = Run.open(path, app)
    files = sorted((run.path / EXPORT).glob("*.tflite"), key=lambda file: ("float32" not in file.name, file.name))
    return files[0] if files else run.file(MODEL)


def open_model(path: Path, app: str, threads: int | None = None) -> Any:
    """Open an artifact to predict with, the exported model where there is one.

    Raises:
        ArtifactError: there is no such artifact, or another app made it.
    """
    path = exported(path, app)
    if path.suffix == ".tflite":
        model = DeviceModel.open(path, threads=threads)
        made_by = model.metadata.get("app")
        if made_by not in (None, app):
            raise ArtifactError(
                f"{path} is a model of `cnnkit {made_by}`, not of `cnnkit {app}`. Use `cnnkit {made_by}` on it."
            )
        return model
    from cnnkit.evaluation.artifacts import open_artifact

    return open_artifact(path, app)


def task_of(app: str, path: Path | None = None) -> str:
    """Return what an artifact, by default the app's latest run, is for, without opening the model.

    Returns:
        "detection", say; "classification" where it does not say, as where there is no such file.

    Raises:
        ArtifactError: there is no run, it is one of another app, or it is damaged.
    """
    path = latest(app) if path is None else path
    if path.is_dir():
        task = Run.open(path, app).document.get("task")
        if task:
            return str(task)
        path = exported(path, app)
    return str(read_metadata(path).get("task", "classification")) if path.is_file() else "classification"


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

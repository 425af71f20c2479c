"""What the commands do that run an exported model: predict and bench. No TensorFlow, unless a `.keras` is all there is."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console
from cnnkit.device.image import fit_image, read_image
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, DataError
from cnnkit.run import EXPORT, MODEL, Run, latest

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm"}
BATCH = 64


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


def predict(
    app: str,
    inputs: Sequence[Path],
    *,
    prepare: Callable[..., np.ndarray] | None,
    top: int,
    skip_bad: bool,
    threads: int | None,
) -> None:
    """Name the class of each picture, as a table or as JSON."""
    artifact, paths = split(app, inputs)
    if not paths:
        raise DataError("There is nothing to predict. Give image files, folders, or - for an image on standard input.")
    model = open_model(artifact, app, threads)
    names: list[str] = []
    images: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []

    def flush() -> None:
        scores = model.predict(np.stack(images))["scores"] if images else np.zeros((0, len(model.labels)))
        for name, row in zip(names, scores, strict=True):
            order = np.argsort(-row, kind="stable")[:top]
            best = [{"label": model.labels[i], "score": round(float(row[i]), 6)} for i in order]
            rows.append({"input": name, **best[0], **({"top": best} if top > 1 else {})})
        names.clear()
        images.clear()

    for path, image in readable_images(paths, skipped if skip_bad else None):
        images.append(prepare(image, model) if prepare else fit_image(image, model.input_shape))
        names.append(str(path))
        if len(images) == BATCH:
            flush()
    flush()
    console.document({"artifact": str(model.path), "predictions": rows, "skipped": skipped})
    if not console.is_json():
        show = [
            [row["input"], *(f"{entry['label']}  {entry['score']:.1%}" for entry in row.get("top", [row]))]
            for row in rows
        ]
        console.table(["input", "prediction", *(f"{n}." for n in range(2, min(top, len(model.labels)) + 1))], show)


def bench(app: str, artifact: Path | None, *, runs: int, threads: int | None) -> None:
    """Measure one exported model, or all of a run: latency of one input, size, memory."""
    path = artifact or latest(app)
    files = [path]
    if path.is_dir():
        run = Run.open(path, app)
        files = sorted((run.path / EXPORT).glob("*.tflite"))
        if not files:
            raise ArtifactError(f"{run.path} has no exported model yet. Make one with `cnnkit {app} export`.")
    rows = [_measure(file, app, runs, threads) for file in files]
    console.document({"models": rows, "runs": runs})
    if not console.is_json():
        console.table(
            ["model", "size kB", "load ms", "median ms", "95 % ms", "a second", "memory MB"],
            [
                [
                    row["file"],
                    f"{row['bytes'] / 1000:.1f}",
                    f"{row['load_ms']:.1f}",
                    f"{row['median_ms']:.3f}",
                    f"{row['p95_ms']:.3f}",
                    f"{1000 / row['median_ms']:.0f}",
                    "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}",
                ]
                for row in rows
            ],
        )


def _measure(path: Path, app: str, runs: int, threads: int | None) -> dict[str, Any]:
    began = time.perf_counter()
    model = open_model(path, app, threads)
    if not isinstance(model, DeviceModel):
        raise ArtifactError(
            f"{path} is not an exported model. Export it with `cnnkit {app} export`, then bench the .tflite."
        )
    loaded = time.perf_counter()
    image = np.random.default_rng(0).integers(0, 256, model.input_shape, np.uint8)
    for _ in range(min(20, runs)):
        model.run(image)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        model.run(image)
        times.append(time.perf_counter() - start)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "load_ms": 1000 * (loaded - began),
        "median_ms": 1000 * float(np.median(times)),
        "p95_ms": 1000 * float(np.quantile(times, 0.95)),
        "peak_memory_mb": _peak_memory(),
    }


def _peak_memory() -> float | None:
    """Return the peak resident memory of this process in MB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)

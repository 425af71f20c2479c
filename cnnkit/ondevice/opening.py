"""Opening the artifact that a command names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnnkit import console
from cnnkit.device.model import DeviceModel, read_metadata
from cnnkit.errors import ArtifactError
from cnnkit.quiet import quiet
from cnnkit.registry import DEVICE, TASKS
from cnnkit.run import EXPORT, MODEL, Run, latest

UNSAID: dict[str, Any] = {"input": {"kind": "image"}, "task": "classification"}  # what a file is that says nothing


def is_artifact(path: Path) -> bool:
    """Whether a path is meant as a model: a `.keras`, a `.tflite` or a run folder."""
    try:
        return path.suffix in (".keras", ".tflite") or (path / "run.json").is_file()
    except OSError:  # a text that is too long to be a path
        return False


def split(app: str, inputs: Sequence[Any]) -> tuple[Path, tuple[Any, ...]]:
    """Split `[ARTIFACT] INPUT...` into the artifact, by default the app's latest run, and the inputs.

    Inputs are paths, or texts, `str`, which come back as they are: a path would lose `//` and a last `/`.
    """
    if inputs and inputs[0] and is_artifact(Path(inputs[0])):
        return Path(inputs[0]), tuple(inputs[1:])
    return latest(app), tuple(inputs)


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
        if model.doubt:
            console.warning(model.doubt)
        return model
    with quiet():  # TensorFlow greets on standard error
        from cnnkit.evaluation.artifacts import open_artifact

        return open_artifact(path, app)


def task_of(app: str, path: Path | None = None) -> str:
    """Return what an artifact, by default the app's latest run, is for, without opening the model.

    Returns:
        its name; that of `UNSAID` where it does not say, as where there is no such file.

    Raises:
        ArtifactError: there is no run, it is one of another app, or it is damaged.
    """
    path = latest(app) if path is None else path
    if path.is_dir():
        task = Run.open(path, app).document.get("task")
        if task:
            return str(task)
        path = exported(path, app)
    return str(read_metadata(path).get("task", UNSAID["task"]) if path.is_file() else UNSAID["task"])


def answering(app: str, path: Path | None = None) -> Callable[..., None] | None:
    """Return what `predict` runs for an artifact, by default the app's latest run, in place of the usual; None: the usual.

    Raises:
        ArtifactError: as `task_of`, or its task is not known here.
    """
    return TASKS.half(task_of(app, path), DEVICE, path or app).predicts()

"""Opening the artifact that a command names: a run folder, a `.keras` or a `.tflite`.

No TensorFlow, unless a `.keras` is all there is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit.device.kinds import InputKind, TaskKind
from cnnkit.device.model import DeviceModel, glance
from cnnkit.errors import ArtifactError
from cnnkit.quiet import quiet
from cnnkit.registry import DEVICE, INPUTS, TASKS, names_input
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import EXPORT, MODEL, Run, latest


def is_artifact(path: Path) -> bool:
    """Whether a path is meant as a model: a `.keras`, a `.tflite` or a run folder."""
    try:
        return path.suffix in (".keras", ".tflite") or (path / "run.json").is_file()
    except OSError:  # a text that is too long to be a path
        return False


def split(app: str, inputs: Sequence[Any], tell: Reporter = SILENT) -> tuple[Path, tuple[Any, ...]]:
    """Split `[ARTIFACT] INPUT...` into the artifact, by default the app's latest run, and the inputs.

    Inputs are paths, or texts, `str`, which come back as they are: a path would lose `//` and a last `/`.

    Raises:
        ArtifactError: there is no run that could be meant; where the first path is nothing at all, that is said instead.
    """
    if inputs and inputs[0] and is_artifact(Path(inputs[0])):
        return Path(inputs[0]), tuple(inputs[1:])
    try:
        return latest(app, tell), tuple(inputs)
    except ArtifactError as error:
        first = inputs[0] if inputs else None
        if isinstance(first, Path) and str(first) != "-" and not first.exists():
            there = str(error)
            raise ArtifactError(f"{first} is neither a file nor a run. Check the path. {there}") from error
        raise


def exported(path: Path, app: str) -> Path:
    """Return the file to run for an artifact: of a run, its exported float32 model, or what else it has."""
    if not path.is_dir():
        return path
    run = Run.open(path, app)
    files = sorted(
        (run.path / EXPORT).glob("*.tflite"),
        key=lambda file: ("float32" not in file.name, "int16" in file.name, file.name),
    )
    return files[0] if files else run.file(MODEL)


def open_model(path: Any, app: str, threads: int | None = None, tell: Reporter = SILENT) -> Any:
    """Open an artifact to predict with, the exported model where there is one; one that is open already comes back as it is.

    Raises:
        ArtifactError: there is no such artifact, or another app made it.
    """
    if not isinstance(path, Path):
        return path
    path = exported(path, app)
    if path.suffix == ".tflite":
        model = DeviceModel.open(path, threads=threads)
        _refuse_other(model.metadata.get("app"), path, app)
        if model.doubt:
            tell.warning(model.doubt)
        return model
    with quiet():  # TensorFlow greets on standard error
        from cnnkit.evaluation.artifacts import open_artifact

        return open_artifact(path, app)


def _refuse_other(made_by: Any, path: Path, app: str) -> None:
    if made_by not in (None, app):
        raise ArtifactError(
            f"{path} is a model of `cnnkit {made_by}`, not of `cnnkit {app}`. Use `cnnkit {made_by}` on it."
        )


def task_of(app: str, path: Path | None = None, tell: Reporter = SILENT) -> str:
    """Return what an artifact, by default the app's latest run, is for, without opening the model.

    Returns:
        its name; that of the task which files without one are for, where it does not say or there is no such file.

    Raises:
        ArtifactError: there is no run, it is one of another app, or it is damaged.
    """
    path = latest(app, tell) if path is None else path
    return str(_task_of_run(app, path) or _metadata(app, path).get("task") or TASKS.unsaid())


def kinds_of(app: str, path: Path, unsaid: str = "") -> tuple[TaskKind, InputKind]:
    """Return the device halves of an artifact's task and of its kind of input, without opening the model.

    Args:
        app: whose it must be.
        path: of it.
        unsaid: the kind of input that is meant where it names none, or is not there; "": that of files without one.

    Raises:
        ArtifactError: it is of another app, damaged, or of a kind that is not known here.
    """
    metadata = _metadata(app, path)
    _refuse_other(metadata.get("app"), path, app)
    task = _task_of_run(app, path) or metadata.get("task") or TASKS.unsaid()
    given = metadata["input"]["kind"] if names_input(metadata) else unsaid or INPUTS.unsaid()
    return TASKS.half(task, DEVICE, path), INPUTS.half(given, DEVICE, path)


def _task_of_run(app: str, path: Path) -> Any:
    return Run.open(path, app).document.get("task") if path.is_dir() else None


def _metadata(app: str, path: Path) -> dict[str, Any]:
    """Return what the file to run says of itself; nothing where there is none."""
    path = exported(path, app)
    return glance(path) if path.is_file() else {}

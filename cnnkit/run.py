"""A run folder: everything about one training in one place, each file written whole or not at all.

runs/<app>/<time>-<model>/
    run.json          settings, seed, versions, machine, data, scores; a valid `--config`
    data_files.json   the files of its data, each with size and digest, to say what changed
    data_records.npy  a digest of each record it was trained on, to say which others it has seen
    history.csv       a line an epoch
    checkpoint.npz    to resume from
    model.keras       the best weights, with labels inside
    unrounded.keras   what a quantise-aware phase began with, and a later training from this run begins with
    rounding.npz      to resume that phase from
    refit/            the same of the training on validation records too, where there was one; its model is model.keras
    export/           .tflite files and gate.json
    report.html
runs/<app>/latest     the one that is meant where none is named: the newest, unless an exported one is better
runs/<app>/started    the one that began last, to go on with
"""

import contextlib
import datetime
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from cnnkit import __version__
from cnnkit.errors import ArtifactError, ArtifactNotFound, CnnkitError
from cnnkit.files import atomic, locked, read_json, system_errors, write_json
from cnnkit.registry import today
from cnnkit.reporter import Reporter
from cnnkit.score import headline
from cnnkit.settings import Room, of_run

MODEL, UNROUNDED, DOCUMENT, CHECKPOINT, ROUNDING, HISTORY, REPORT, EXPORT, REFIT, DATA_FILES, DATA_RECORDS = (
    "model.keras",
    "unrounded.keras",
    "run.json",
    "checkpoint.npz",
    "rounding.npz",
    "history.csv",
    "report.html",
    "export",
    "refit",
    "data_files.json",
    "data_records.npy",
)
SECTIONS = (
    "settings",
    "versions",
    "machine",
    "data",
    "model",
    "training",
    "pruned",
    "quantise_aware",
    "scores",
    "weights",
    "weights_choice",
    "refit",
)  # of `run.json`


class Run:
    """An existing run folder.

    Attributes:
        path: the folder.
        document: the content of `run.json`.
    """

    def __init__(self, path: Path, document: dict[str, Any]):
        self.path, self.document = path, document
        self.made = False  # whether its folder was made for it

    @classmethod
    def create(
        cls,
        path: Path,
        app: str,
        settings: Room,
        *,
        held: contextlib.ExitStack | None = None,
        fresh: bool = False,
        **document: Any,
    ) -> "Run":
        """Make the folder and its `run.json`.

        Args:
            path: of the folder.
            app: whose run it is.
            settings: of the training.
            held: holds the folder for this process alone; None: nobody does.
            fresh: whether the folder is there already, made for this run by `new_path`.
            document: more of `run.json`.

        Raises:
            CnnkitError: the folder exists and is not empty, another process trains into it, or it cannot be written.
        """
        made = fresh or not path.exists()
        refusal = f"{path} exists already. Choose another `out`, delete it, or go on with it by `resume`."
        if path.exists() and not path.is_dir():
            raise CnnkitError(refusal)
        with system_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        if held is not None:
            held.enter_context(holding(path))
        if any(path.iterdir()):
            raise CnnkitError(refusal)
        run = cls(
            path,
            {
                "app": app,
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "settings": settings.to_dict(),
                "versions": versions(),
                "machine": machine(),
                **document,
            },
        )
        run.made = made
        try:
            run.save()
        except BaseException:
            run.discard()
            raise
        return run

    def discard(self) -> None:
        """Remove what the run has written; the folder itself only where it was made for it."""
        with contextlib.suppress(OSError):
            for entry in self.path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            if self.made:
                self.path.rmdir()

    @classmethod
    def open(cls, path: Path, app: str | None = None) -> "Run":
        """Read a run folder.

        Raises:
            ArtifactError: there is none, its `run.json` is damaged, or another app made it.
        """
        try:
            document = read_json(path / DOCUMENT, "Train again.")
        except FileNotFoundError:
            raise ArtifactNotFound(
                f"{path} is not a run folder: it has no {DOCUMENT}. Give one that `train` made."
            ) from None
        made_by = document.get("app")
        odd = [name for name in SECTIONS if not isinstance(document.get(name) or {}, dict)]
        if not isinstance(made_by, str) or odd:
            raise ArtifactError(
                f"{path / DOCUMENT} is damaged ({(odd or ['app'])[0]!r} is not what it was). Train again."
            )
        if app is not None and made_by != app:
            raise ArtifactError(
                f"{path} is a run of `cnnkit {made_by}`, not of `cnnkit {app}`. Use `cnnkit {made_by}` on it."
            )
        if isinstance(document.get("task"), str):
            document["task"] = today(document["task"])
        return cls(path, document)

    def settings(self, kind: type[Room]) -> Any:
        """Return what it was trained with, as settings of that class: `Recipe.Settings`."""
        return kind(**of_run(kind, self.document, str(self.path / DOCUMENT)))

    def save(self, **changes: Any) -> None:
        """Write `run.json` with `changes` made to its top level."""
        self.document |= changes
        write_json(self.path / DOCUMENT, self.document)

    def computed_otherwise(self) -> list[str]:
        """Return what computes differently here than where the run began, so that it goes on to other bits; a few words each."""
        before, now = self.document.get("versions", {}), versions()
        words = [
            f"{name} {before[name]} (now {now[name]})"
            for name in ("tensorflow", "keras", "jax")
            if name in before and name in now and before[name] != now[name]
        ]
        had, has = self.document.get("machine", {}).get("onednn"), machine().get("onednn")
        if had is not None and has is not None and had != has:
            words.append(
                f"oneDNN {'on' if had else 'off'} (now {'on' if has else 'off'}; TF_ENABLE_ONEDNN_OPTS={int(had)})"
            )
        return words

    def file(self, name: str, verb: str = "train --resume") -> Path:
        """Return a file of the run; where it is not there yet, say which verb makes it."""
        path = self.path / name
        if not path.exists():
            raise ArtifactError(f"{self.path} has no {name} yet. Make it with `cnnkit {self.document['app']} {verb}`.")
        return path


def versions() -> dict[str, str]:
    """Return the versions that decide how a run comes out."""
    import importlib.metadata

    found = {"cnnkit": __version__, "python": platform.python_version()}
    for package in ("keras", "tensorflow", "jax", "numpy", "opencv-python-headless", "ai-edge-litert", "scikit-learn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine() -> dict[str, Any]:
    """Return what a benchmark's reader needs to know of this machine; nothing that names it or its user.

    `onednn`, whether TensorFlow uses oneDNN's kernels, is there once TensorFlow has been imported.
    """
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    found = {"system": platform.system(), "processor": name, "cores": os.cpu_count()}
    port = sys.modules.get("tensorflow.python.util._pywrap_util_port")  # it alone knows, and has no public name
    if port is not None and hasattr(port, "IsMklEnabled"):
        found["onednn"] = bool(port.IsMklEnabled())
    return found


def root(app: str) -> Path:
    """Return where an app's runs are: `runs/<app>` below the current folder, or $CNNKIT_RUNS/<app>."""
    return Path(os.environ.get("CNNKIT_RUNS", "runs")) / app


def holding(path: Path) -> contextlib.AbstractContextManager[None]:
    """Return what holds a run folder for this process alone, so that two trainings never write into one.

    Errors: `CnnkitError` where another process holds it.
    """
    return locked(path, taken=f"Another training is writing into {path}. Wait for it, or train into another `out`.")


def new_path(app: str, name: str) -> Path:
    """Make a folder for a new run, one that nobody has, and return it.

    Errors: `CnnkitError` where it cannot be made.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    number = 1
    with system_errors(root(app)):
        root(app).mkdir(parents=True, exist_ok=True)
    while True:
        path = root(app) / (f"{stamp}-{name}" + (f"-{number}" if number > 1 else ""))
        try:
            with system_errors(path):
                path.mkdir()
            return path
        except CnnkitError:  # trainings that begin in the same second must not share a folder
            if not path.exists():
                raise
            number += 1


LATEST, STARTED = "latest", "started"


def begin(path: Path, app: str) -> None:
    """Note that a run below `runs/<app>` begins: `train --resume` goes on with it.

    It is the latest too, unless that was exported: a training that fails, or comes out worse, must not take the place of a model
    that is in use.
    """
    _mark(STARTED, path, app)
    before = _marked(LATEST, app)
    if before is None or not before.is_dir() or not is_exported(before):
        _mark(LATEST, path, app)


def finish(run: Run) -> str:
    """Let `runs/<app>/latest` lead to a run that has its scores, unless an exported one is better.

    Returns:
        a line to be said where there was an exported one; else "".
    """
    app = run.document["app"]
    before = _marked(LATEST, app)
    if not _is_below(run.path, app) or (before is not None and before.resolve() == run.path.resolve()):
        return ""
    if before is None or not before.is_dir() or not is_exported(before):
        _mark(LATEST, run.path, app)
        return ""
    try:
        why = _worse(run, Run.open(before, app))
    except CnnkitError:
        why = ""
    if why:
        return f"{root(app) / LATEST} stays {before}, which is exported: {why}. Name {run.path} to use it all the same."
    _mark(LATEST, run.path, app)
    return f"{root(app) / LATEST} is this run now; before it was {before}, which is exported."


def _worse(run: Run, before: Run) -> str:
    """Say why a run should not take the place of an earlier one; empty where nothing speaks against it."""
    new, old = (entry.document.get("scores", {}).get("test", {}) for entry in (run, before))
    if new.get("verdict", {}).get("bad"):
        return "this run is a bad one"
    score = headline(new)
    prints = [entry.document.get("data", {}).get("fingerprints", {}).get("test") for entry in (run, before)]
    if score is None or score.name not in old or prints[0] != prints[1]:
        return ""
    if score.gain(old[score.name], score.value) < 0:
        earlier = score.said(old[score.name])
        return f"it has {score.name} {earlier}, this run {score.said(score.value)} on the same test data"
    return ""


def is_exported(path: Path) -> bool:
    """Whether a run folder has a model for devices."""
    return any((path / EXPORT).glob("*.tflite"))


def _is_below(path: Path, app: str) -> bool:
    return path.resolve().parent == root(app).resolve()


def _mark(name: str, path: Path, app: str) -> None:
    """Let `runs/<app>/NAME` lead to a run below it; runs elsewhere are not marked."""
    link = root(app) / name
    if not _is_below(path, app):
        return
    temporary = link.with_name(f".{name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path.name, target_is_directory=True)
        temporary.replace(link)
    except OSError:  # a file system without links: a text file does as well
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        with contextlib.suppress(CnnkitError, OSError), atomic(link, "w") as file:
            file.write(path.name)


def _marked(name: str, app: str) -> Path | None:
    """Return what `runs/<app>/NAME` leads to, whether it is there or not; None where there is no such mark."""
    link = root(app) / name
    if link.is_symlink():
        return link.parent / link.readlink()
    if link.is_file():
        return link.parent / link.read_text(encoding="utf-8").strip()
    return link if link.exists() else None


def latest(app: str, tell: Reporter) -> Path:
    """Return the run of an app that is meant where none is named, and say so once.

    Raises:
        ArtifactError: there is none yet, or it was deleted.
    """
    path = _marked(LATEST, app)
    if path is None or not path.is_dir():
        there = [entry.parent for entry in root(app).glob(f"*/{DOCUMENT}") if not entry.parent.is_symlink()]
        if path is None and not there:
            raise ArtifactNotFound(
                f"There is no run in {root(app)} yet. Train one with `cnnkit {app} train`, or name an artifact."
            )
        gone = f"{root(app) / LATEST} leads to {path}, which is gone" if path else f"There is no {root(app) / LATEST}"
        other = f"the newest is {max(there)}" if there else f"there is none besides; make one with `cnnkit {app} train`"
        raise ArtifactError(f"{gone}. Name a run: {other}.")
    tell.once(f"The run is {path}, the latest.")
    return path


def to_resume(app: str, tell: Reporter) -> Path:
    """Return the run that `train --resume` goes on with: the one that began last, if it is not finished, else the latest."""
    path = _marked(STARTED, app)
    if path is not None and (path / DOCUMENT).is_file():
        with contextlib.suppress(CnnkitError):
            if not Run.open(path, app).document.get("scores"):
                tell.once(f"The run is {path}, the one that began last.")
                return path
    return latest(app, tell)

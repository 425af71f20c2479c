"""A run folder: everything about one training in one place, each file written whole or not at all.

runs/<app>/<time>-<model>/
    run.json          settings, seed, versions, machine, data, scores; a valid `--config`
    data_files.json   the files of its data, each with size and digest, to say what changed
    history.csv       a line an epoch
    checkpoint.npz    to resume from
    model.keras       the best weights, with labels inside
    refit/            the same of the training on validation records too, where there was one; its model is model.keras
    export/           .tflite files and gate.json
    report.html
runs/<app>/latest     the newest of them
"""

import contextlib
import datetime
import os
import platform
import sys
from pathlib import Path
from typing import Any

from cnnkit import __version__, config
from cnnkit.errors import ArtifactError, CnnkitError
from cnnkit.files import atomic, read_json, system_errors, write_json

MODEL, DOCUMENT, CHECKPOINT, HISTORY, REPORT, EXPORT, REFIT, DATA_FILES = (
    "model.keras",
    "run.json",
    "checkpoint.npz",
    "history.csv",
    "report.html",
    "export",
    "refit",
    "data_files.json",
)
SECTIONS = (
    "settings",
    "versions",
    "machine",
    "data",
    "model",
    "training",
    "scores",
    "weights",
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

    @classmethod
    def create(cls, path: Path, app: str, settings: config.Settings, **document: Any) -> "Run":
        """Make the folder and its `run.json`.

        Raises:
            CnnkitError: the folder exists and is not empty, or cannot be written.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise CnnkitError(f"{path} exists already. Choose another --out, delete it, or go on with it by --resume.")
        with system_errors(path):
            path.mkdir(parents=True, exist_ok=True)
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
        run.save()
        return run

    @classmethod
    def open(cls, path: Path, app: str | None = None) -> "Run":
        """Read a run folder.

        Raises:
            ArtifactError: there is none, its `run.json` is damaged, or another app made it.
        """
        try:
            document = read_json(path / DOCUMENT, "Train again.")
        except FileNotFoundError:
            raise ArtifactError(
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
        return cls(path, document)

    @property
    def settings(self) -> config.Settings:
        """The settings it was trained with."""
        return config.Settings(**config.checked(self.document.get("settings", {}), str(self.path / DOCUMENT)))

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


def new_path(app: str, name: str) -> Path:
    """Return a folder for a new run that does not exist yet."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = root(app) / f"{stamp}-{name}"
    number = 1
    while path.exists():
        number += 1
        path = root(app) / f"{stamp}-{name}-{number}"
    return path


def mark_latest(path: Path, app: str) -> None:
    """Let `runs/<app>/latest` lead to a run below it; runs elsewhere are not marked."""
    latest = root(app) / "latest"
    if path.resolve().parent != latest.parent.resolve():
        return
    temporary = latest.with_name(f".latest.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path.name, target_is_directory=True)
        temporary.replace(latest)
    except OSError:  # a file system without links: a text file does as well
        temporary.unlink(missing_ok=True)
        with contextlib.suppress(CnnkitError, OSError), atomic(latest, "w") as file:
            file.write(path.name)


def latest(app: str) -> Path:
    """Return the newest run of an app.

    Raises:
        ArtifactError: there is none yet.
    """
    link = root(app) / "latest"
    if link.is_file():
        link = link.parent / link.read_text(encoding="utf-8").strip()
    if not link.exists():
        raise ArtifactError(
            f"There is no run in {root(app)} yet. Train one with `cnnkit {app} train`, or name an artifact."
        )
    return link.parent / link.readlink() if link.is_symlink() else link

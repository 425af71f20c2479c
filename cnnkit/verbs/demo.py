"""`demo`: a page that runs an exported model in the browser."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import inspect
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any

from cnnkit import files, opening, own_files
from cnnkit.demo import golden, litertjs, server
from cnnkit.demo.page import contents
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, DataError
from cnnkit.registry import DEVICE, task_of
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import Run, latest
from cnnkit.verbs.predict import in_memory

TOP = 5  # labels of an answer


@dataclasses.dataclass(frozen=True)
class Page:
    """A page in memory.

    Attributes:
        content: its files by name.
    """

    content: Mapping[str, bytes]

    def write(self, folder: Path) -> Path:
        """Write it into a folder.

        Raises:
            DataError: it is a file.
            CnnkitError: it has files of these names that are not ours, or cannot be written.
        """
        if folder.exists() and not folder.is_dir():
            raise DataError(f"`out={folder}` is a file; a folder is needed for the page. Choose another.")
        paths = {folder / name: content for name, content in self.content.items()}
        with own_files.replacing(*paths):
            for path, content in paths.items():
                files.write_bytes(path, content)
        return folder

    def serving(self, port: int | None = None) -> contextlib.AbstractContextManager[str]:
        """Serve it on this machine while a block runs; gives its address. As `cnnkit.demo.server.serving`."""
        return server.serving(self.content, port)


def page(
    app: str, artifact: Path | None = None, *, title: str = "", preparation: Any = None, tell: Reporter = SILENT
) -> Page:
    """Make the page of a model.

    Args:
        app: whose it must be.
        artifact: a `.tflite`, or a run, of which the float32 file is taken; None: the latest run.
        title: what the app does, a sentence.
        preparation: what the app does to inputs.
        tell: hears of what is fetched, and of what may be wrong with a file.

    Raises:
        ArtifactError: there is no exported model, or one that cannot be used.
        ConfigError: a page cannot run such a model.
        CnnkitError: LiteRT.js cannot be fetched.
    """
    path = artifact or latest(app, tell)
    where = path
    path = opening.exported(path, app)
    if path.suffix != ".tflite":
        whole = Run.open(where, app).path if where.is_dir() else where
        raise ArtifactError(
            f"{whole} has no exported model, which a browser runs. Make one with `cnnkit {app} export`."
        )
    model = opening.open_model(path, app, tell=tell)
    if not model.metadata:
        raise ArtifactError(f"{path} does not say what it is for. Give one that `cnnkit {app} export` wrote.")
    kind, task = model.kind, task_of(model.metadata, DEVICE, path)
    preparation = kind.prepares(preparation, model.metadata, None)
    content = contents(model, kind, task, title=title, preparation=preparation)
    content |= golden.golden(
        model, kind.examples(model.metadata, model.input_shape), _answers(kind, task, preparation), _litert()
    )
    return Page({**content, **litertjs.runtime(tell)})


def _litert() -> str:
    return importlib.metadata.version("ai-edge-litert")


def _answers(kind: Any, task: Any, preparation: Any) -> Any:
    """Return what answers samples in memory: that of the task, of the input, or the usual."""
    own: Any = task.answers() or kind.answers()
    usual: Any = functools.partial(in_memory, task=task, kind=kind, preparation=preparation)

    def answers(model: DeviceModel, samples: Any) -> Iterator[Mapping[str, Any]]:
        chosen = own or usual
        top = {"top": TOP} if "top" in inspect.signature(chosen).parameters else {}
        return iter(chosen(model, samples, **top))

    return answers


def wait(address: str, *, browser: bool = True) -> None:
    """Open a page in the browser, and wait until the user has had enough of it (Ctrl-C)."""
    if browser:
        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        Event().wait()

"""`load_model`: a trained or exported model that answers, on a device without TensorFlow too.

model = cnnkit.load_model("digits-int8.tflite")
model.predict("one.png")  # {"label": "1", "score": 0.998}
model.predict(images)     # uint8 (n, h, w) or (n, h, w, 3): a list of them

Design choices:
- Any number of threads may ask one model: an interpreter must not be shared, so each thread has one of its own, made at its first
  question. A Keras model answers one thread at a time.
- Answers are the plain values that `predict --json` prints, so both faces say the same.
"""

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit import opening
from cnnkit.api.apps import app_of, meant, plain, saying_what_is_missing, truths
from cnnkit.device.kinds import InputKind, TaskKind
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, ArtifactNotFound, ConfigError, DataError
from cnnkit.registry import DEVICE, INPUTS, TASKS, names_input
from cnnkit.run import Run

SUFFIXES = (".keras", ".tflite")
GIVEN = (
    "app",
    "artifact",
    "inputs",
    "model",
    "samples",
    "task",
    "kind",
    "tell",
    "preparation",
)  # what is not asked for


class Model:
    """A model that answers. Make one with `cnnkit.load_model`; any number of threads may use it.

    Attributes:
        path: the file.
        metadata: what it says of itself: `app`, `task`, `labels`, `input` and more.
        task: what it is for, such as "classification".
        labels: what it can answer, in the order of its outputs.
        input_shape: of what the network itself sees, such as (height, width, channels) in px; inputs may have any size.
        notice: what everyone is to know who sees its answers; "": nothing.
    """

    def __init__(self, path: Path, artifact: Any = None, threads: int | None = None):
        self.path, self._threads = path, threads
        self._lock = threading.RLock()
        self._own = threading.local()
        self._shared = artifact
        first = self._opened()
        self.metadata: dict[str, Any] = first.metadata
        self.labels: tuple[str, ...] = first.labels
        self.input_shape: tuple[int, ...] = first.input_shape
        self.notice = str(self.metadata.get("notice") or "")
        self._kind: InputKind = INPUTS.half(
            self.metadata["input"]["kind"] if names_input(self.metadata) else INPUTS.unsaid(), DEVICE, path
        )
        self._task: TaskKind = TASKS.half(self.metadata.get("task") or TASKS.unsaid(), DEVICE, path)
        self.task: str = self._task.name
        self.warning = getattr(first, "doubt", None) or ""

    def __repr__(self) -> str:
        return f"<model {self.path}: {self.task}, {len(self.labels)} labels>"

    @saying_what_is_missing
    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answer one input, or many.

        Args:
            inputs: of pictures an array (h, w) grey, (h, w, 3) RGB or (h, w, 4) RGBA, of any size, numbers from 0 to 255; a
                batch with one axis more; the path of a file or a folder; a list of any of these. Of texts a `str`, or a list of
                them. Of volumes an array (z, y, x) with `spacing=` in mm, or a path.
            options: what `predict` takes on the command line, such as `top=3`, `threshold=0.4`, `min_confidence=0.8`.

        Returns:
            A dictionary for one input, a list of them for a batch, a list or a folder: `label` and `score`; `boxes`, each with
            `label`, `score` and `box` (left, top, right, bottom in px); `labels` with areas, and of arrays `codes`, the mask; of
            texts `sure` too. Of a file its name as `input`.

        Raises:
            DataError: an input of another shape, type or range, NaN, nothing at all; `DataNotFound`: no such file.
            ConfigError: an option that this model does not take.
        """
        options = {name: plain(value) for name, value in options.items()}
        if isinstance(inputs, str) and self._kind.worded:
            return next(iter(self._in_memory([_worded(inputs)], options)))
        if isinstance(inputs, str | Path):
            return self._of_path(inputs, options)
        if isinstance(inputs, list | tuple) or (isinstance(inputs, Iterator) and not hasattr(inputs, "__array__")):
            return self._of_each(list(inputs), options)
        if (
            self._kind.worded
            and getattr(getattr(inputs, "dtype", None), "kind", "") in "OUT"
            and hasattr(inputs, "tolist")
        ):
            return self._of_each(inputs.tolist(), options)
        samples, one = self._samples(inputs)
        answers = self._in_memory(samples, options)
        return answers[0] if one else answers

    def _of_each(self, inputs: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
        if not inputs:
            raise DataError("There is nothing to predict in an empty list. Give an input.")
        if self._kind.worded:
            return self._in_memory([_worded(entry) for entry in inputs], options)
        if all(isinstance(entry, str | Path) for entry in inputs):
            return self._of_paths(inputs, options)
        if any(isinstance(entry, str | Path) for entry in inputs):
            raise DataError("A list holds paths or arrays, and this one holds both. Give one kind at a time.")
        samples: list[Any] = []
        for number, entry in enumerate(inputs):
            found, one = self._samples(entry)
            if not one:
                raise DataError(
                    f"Entry {number} of the list is a batch. Give a list of single inputs, or the batch alone."
                )
            samples += found
        return self._in_memory(samples, options)

    def _samples(self, given: Any) -> tuple[list[Any], bool]:
        if self._kind.worded:
            raise DataError(f"This model takes texts: a str, or a list of them. Got {type(given).__name__}.")
        if not hasattr(given, "__array__"):
            raise DataError(f"An input is an array or a path. Got {type(given).__name__}.")
        return self._kind.samples(given, self.input_shape, self._task.stored)

    def _in_memory(self, samples: Sequence[Any], options: Mapping[str, Any]) -> list[dict[str, Any]]:
        from cnnkit.verbs.predict import in_memory

        usual = functools.partial(in_memory, task=self._task, kind=self._kind, preparation=self._preparation)
        answers = self._task.answers() or self._kind.answers() or usual
        _check(answers, options)
        model = self._opened()
        with contextlib.nullcontext() if isinstance(model, DeviceModel) else self._lock:
            return list(answers(model, samples, **options))

    def _of_path(self, given: str | Path, options: Mapping[str, Any]) -> Any:
        found = self._of_paths([given], options)
        return found[0] if len(found) == 1 and not Path(given).is_dir() else found

    def _of_paths(self, paths: Sequence[str | Path], options: Mapping[str, Any]) -> list[dict[str, Any]]:
        from cnnkit.verbs.predict import Each

        if any(not str(path) for path in paths):
            raise DataError("There is nothing to predict in an empty path. Name a file or a folder.")
        each = functools.partial(Each, task=self._task, kind=self._kind, preparation=self._preparation)
        predicts = self._task.predicts() or self._kind.predicts() or each
        _check(predicts, options)
        model = self._opened()
        with contextlib.nullcontext() if isinstance(model, DeviceModel) else self._lock:
            return list(predicts(self.metadata.get("app") or "", model, [Path(path) for path in paths], **options))

    @functools.cached_property
    def _preparation(self) -> Any:
        """What the app does to an input beyond fitting it into the model's shape; None: nothing."""
        if not self._kind.needs_app(self.metadata) or not self.metadata.get("app"):
            return None
        made = app_of(str(self.metadata["app"])).preparation
        return made() if made is not None else None

    def _opened(self) -> Any:
        """Return the model of this thread."""
        if self._shared is not None:
            return self._shared
        found = getattr(self._own, "model", None)
        if found is None:
            with self._lock:
                known = hasattr(self, "metadata")  # another thread has opened it, after a trial where it needed one
                found = DeviceModel.open(self.path, threads=self._threads, known=known)
            self._own.model = found
        return found


@saying_what_is_missing
def load_model(path: str | Path, *, threads: int | None = None) -> Model:
    """Open a model to predict with: a `.tflite`, a `.keras`, or a run folder, of which an exported file goes first.

    Args:
        path: of it.
        threads: of each interpreter; None: as many as the process may use, at most 4.

    Raises:
        ArtifactNotFound: there is no such file or run.
        ArtifactError: it is damaged, no model, or of a kind that is not installed here.
    """
    if not isinstance(path, str | Path) or not str(path):
        raise ArtifactError(f"A model is named by a path: of a .tflite, a .keras or a run folder. Got {path!r}.")
    threads = plain(threads)
    if threads is not None and (type(threads) is not int or not 1 <= threads <= 64):
        raise ConfigError(f"`threads` must lie in [1, 64]. Got {threads!r}.")
    file = Path(path)
    if not file.exists():
        raise ArtifactNotFound(f"{file} does not exist. Give a run folder, a .keras or a .tflite file.")
    if file.is_dir():
        file = opening.exported(file, Run.open(file).document["app"])
    if file.suffix not in SUFFIXES:
        raise ArtifactError(f"{file} is not an artifact. Give a run folder, a .keras or a .tflite file.")
    if file.suffix == ".tflite":
        return Model(file, threads=threads)
    from cnnkit.evaluation.artifacts import open_artifact
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        artifact = open_artifact(file)
    return Model(file, artifact)


def _worded(given: Any) -> str:
    if not isinstance(given, str):
        raise DataError(f"This model takes texts: a str, or a list of them. Got {type(given).__name__}.")
    if not given.strip():
        raise DataError("There is nothing to predict in an empty text.")
    return given


def _check(answers: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that a model does not take, and values that they do not have.

    Raises:
        ConfigError: naming the option.
    """
    truths(answers, options)
    known = [name for name in inspect.signature(answers).parameters if name not in GIVEN]
    for name, value in options.items():
        if name not in known:
            raise ConfigError(
                f"This model takes no option `{name}` here.{meant(name, known)} It takes {', '.join(known)}."
            )
        if name == "top" and (type(value) is not int or value < 1):
            raise ConfigError(f"`top` needs a whole number of at least 1. Got {value!r}.")
        share = name in ("threshold", "iou", "min_confidence") and value is not None
        if share and not (type(value) in (int, float) and 0 <= value <= 1):
            raise ConfigError(f"`{name}` must lie in [0, 1]. Got {value!r}.")

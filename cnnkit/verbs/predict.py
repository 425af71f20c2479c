"""`predict`: what a model answers, input by input.

for answer in predict("digits", ["runs/digits/latest", "photos"]):
    print(answer["input"], answer["label"], answer["score"])

Reading, cutting and answering are the device halves' of the input and the task that the artifact names (`cnnkit.device.kinds`). A
kind whose answers are more than one for each file brings what predicts them (`InputKind.predicts`, `TaskKind.predicts`).
"""

import functools
import inspect
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import opening
from cnnkit.device.kinds import InputKind, TaskKind, merged
from cnnkit.errors import ConfigError, DataError
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Answers, Shown, Table

BATCH = 64
NOTHING = "nothing on it"  # in place of an answer


class ForeignOption(ConfigError):
    """An option that what the model finds has no use for.

    Args:
        name: of the option.
    """

    def __init__(self, name: str):
        super().__init__(f"`{name}` is nothing that this model takes.")
        self.name = name


def predict(app: str, inputs: Sequence[Any], *, unsaid: str = "", tell: Reporter = SILENT, **options: Any) -> Answers:
    """Answer inputs, each as it is asked for.

    Args:
        app: whose model it must be.
        inputs: an artifact, where one is named, else the latest run is meant; then what is to be answered: files, folders, texts.
        unsaid: the kind of input that is meant where the artifact names none; "": that of files without one.
        tell: hears of warnings and progress.
        options: of what predicts, such as `threads` of the interpreter: those of `Each`, or of what the kind has in its place.

    Raises:
        DataError: there is nothing to predict, or later, an input cannot be read.
        ArtifactError: there is no such artifact, or it cannot be used.
        ForeignOption: an option that means nothing for this model.
    """
    artifact, given = opening.split(app, inputs, tell)
    task, kind = opening.kinds_of(app, artifact, unsaid)
    predicts = task.predicts() or kind.predicts() or functools.partial(Each, task=task, kind=kind)
    known = inspect.signature(predicts).parameters
    if foreign := [name for name in options if name not in known]:
        raise ForeignOption(foreign[0])
    return predicts(app, artifact, given, tell=tell, **options)


class Each(Answers):
    """One answer a file: which class a picture shows, or that there is nothing on it; a number, say.

    Args:
        app: whose model it must be.
        artifact: the model.
        inputs: files, folders, or what else the kind of input reads.
        task, kind: of the artifact.
        preparation: what the app does to inputs.
        prepare: whether it is done; None: as the artifact says.
        top: classes named of each, where there are classes.
        skip_bad: go on without files that cannot be read.
        threads: of the interpreter.
        tell: hears of files that are left out.

    Attributes:
        skipped: a line on each file that was left out so far.
    """

    def __init__(
        self,
        app: str,
        artifact: Path,
        inputs: Sequence[Path],
        *,
        task: TaskKind,
        kind: InputKind,
        preparation: Any = None,
        prepare: bool | None = None,
        top: int = 1,
        skip_bad: bool = False,
        threads: int | None = None,
        tell: Reporter = SILENT,
    ):
        if not inputs:
            raise DataError(f"There is nothing to predict. Give {kind.given}.")
        self.model = opening.open_model(artifact, app, threads, tell)
        self.task, self.kind, self.top = task, kind, top
        self.how = kind.prepares(preparation, self.model.metadata, prepare)
        self.skipped: list[str] = []
        paths = [Path(entry) for entry in inputs]
        super().__init__(self._each(readable(kind, paths, self.skipped if skip_bad else None, tell)))

    def _each(self, samples: Iterator[tuple[Path, Any]]) -> Generator[dict[str, Any], None, None]:
        names: list[str] = []
        seen: list[np.ndarray] = []
        for path, sample in samples:
            seen.append(self.kind.windows(sample, self.model.input_shape, self.how))
            names.append(str(path))
            if len(names) == BATCH:
                yield from self._answered(names, seen)
                names, seen = [], []
        yield from self._answered(names, seen)

    def _answered(self, names: Sequence[str], seen: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        """Yield the answers to inputs, from their windows (m, *shape of the model's input)."""
        for name, answer in zip(names, of_windows(self.model, self.task, seen, self.top), strict=True):
            yield {"input": name, **answer}

    def shown(self) -> Shown:
        rows = list(self)
        cells = [[NOTHING] if row.get("nothing") else self.task.told(row) for row in rows]
        columns = max([1, *map(len, cells)])
        table = [[row["input"], *told, *[""] * (columns - len(told))] for row, told in zip(rows, cells, strict=True)]
        titles = ["input", "prediction", *(f"{n}." for n in range(2, columns + 1))]
        document = {"artifact": str(self.model.path), "predictions": rows, "skipped": self.skipped}
        notice = self.model.metadata.get("notice")
        if not notice:
            return Shown(document, [Table(titles, table)])
        return Shown({**document, "notice": str(notice)}, [Table(titles, table), str(notice)])


def in_memory(
    model: Any,
    samples: Sequence[Any],
    *,
    task: TaskKind,
    kind: InputKind,
    preparation: Any = None,
    top: int = 1,
    prepare: bool | None = None,
) -> list[dict[str, Any]]:
    """Return the answers to samples, one each; arguments as `Each`."""
    how = kind.prepares(preparation, model.metadata, prepare)
    return of_windows(model, task, [kind.windows(sample, model.input_shape, how) for sample in samples], top)


def of_windows(model: Any, task: TaskKind, seen: Sequence[np.ndarray], top: int) -> list[dict[str, Any]]:
    """Return the answers to inputs, from the windows of each, (m, *shape of the model's input)."""
    shown = [number for number, windows in enumerate(seen) if len(windows)]
    answers: dict[int, Any] = {}
    if shown:
        found = model.run_batch(np.concatenate([seen[number] for number in shown]))
        owners = np.repeat(np.arange(len(shown)), [len(seen[number]) for number in shown])
        found = merged(found, owners, len(shown), task.merge)
        for place, number in enumerate(shown):
            outputs = {name: values[place] for name, values in found.items()}
            answers[number] = task.answer(outputs, model.metadata, model.labels, top)
    return [answers.get(number, {**task.nothing, "nothing": True}) for number in range(len(seen))]


def readable(
    kind: InputKind, inputs: Sequence[Path], skipped: list[str] | None, tell: Reporter = SILENT
) -> Iterator[tuple[Path, Any]]:
    """Yield the files that inputs name, with what is in them, as their kind reads it.

    Args:
        kind: of the inputs.
        inputs: files as they are, folders searched in order, - as it is.
        skipped: takes the complaint about each file that cannot be read, which is warned about and left out; None: the
            first such file is an error.
        tell: hears of these.
    """
    for path in (file for entry in inputs for file in (kind.found(entry) if entry.is_dir() else [entry])):
        try:
            sample = kind.read(path)
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(str(error))
            tell.warning(f"skipped: {error}")
            continue
        yield path, sample

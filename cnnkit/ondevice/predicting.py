"""`predict` for models with one answer an input: which class a picture shows, or that there is nothing on it; a number, say.

Reading, cutting and answering are the device halves' of the input and the task that the file names (`cnnkit.device.kinds`). A
file that says nothing of itself is taken for a classifier of pictures.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console, ondevice
from cnnkit.device.kinds import InputKind, TaskKind, merged
from cnnkit.errors import DataError
from cnnkit.registry import DEVICE, INPUTS, TASKS

BATCH = 64
NOTHING = "nothing on it"  # in place of an answer


def predict(
    app: str,
    inputs: Sequence[Path],
    *,
    preparation: Any = None,
    prepare: bool | None = None,
    top: int,
    skip_bad: bool,
    threads: int | None,
) -> None:
    """Answer for each input, as a table or as JSON.

    Args:
        app: whose model it must be.
        inputs: an artifact, where one is named, then files, folders or -.
        preparation: what the app does to inputs.
        prepare: whether it is done; None: as the artifact says.
        top: classes shown of each, where there are classes.
        skip_bad: go on without files that cannot be read.
        threads: of the interpreter.
    """
    artifact, paths = ondevice.split(app, inputs)
    if not paths:
        raise DataError("There is nothing to predict. Give image files, folders, or - for an image on standard input.")
    model = ondevice.open_model(artifact, app, threads)
    about = {**ondevice.UNSAID, **model.metadata}
    kind: InputKind = INPUTS.half(about["input"]["kind"], DEVICE, model.path)
    task: TaskKind = TASKS.half(about["task"], DEVICE, model.path)
    how = kind.prepares(preparation, model.metadata, prepare)
    names: list[str] = []
    seen: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []

    def flush() -> None:
        shown = [number for number, windows in enumerate(seen) if len(windows)]
        answers: dict[int, Any] = {}
        if shown:
            found = model.predict(np.concatenate([seen[number] for number in shown]))
            owners = np.repeat(np.arange(len(shown)), [len(seen[number]) for number in shown])
            found = merged(found, owners, len(shown), task.merge)
            for place, number in enumerate(shown):
                outputs = {name: values[place] for name, values in found.items()}
                answers[number] = task.answer(outputs, model.metadata, model.labels, top)
        for number, name in enumerate(names):
            rows.append({"input": name, **answers.get(number, {**task.nothing, "nothing": True})})
        names.clear()
        seen.clear()

    for path, sample in readable(kind, paths, skipped if skip_bad else None):
        seen.append(kind.windows(sample, model.input_shape, how))
        names.append(str(path))
        if len(names) == BATCH:
            flush()
    flush()
    console.document({"artifact": str(model.path), "predictions": rows, "skipped": skipped})
    if not console.is_json():
        cells = [[NOTHING] if row.get("nothing") else task.told(row) for row in rows]
        columns = max([1, *map(len, cells)])
        table = [[row["input"], *shown, *[""] * (columns - len(shown))] for row, shown in zip(rows, cells, strict=True)]
        console.table(["input", "prediction", *(f"{n}." for n in range(2, columns + 1))], table)


def readable(kind: InputKind, inputs: Sequence[Path], skipped: list[str] | None) -> Iterator[tuple[Path, Any]]:
    """Yield the files that inputs name, with what is in them, as their kind reads it.

    Args:
        kind: of the inputs.
        inputs: files as they are, folders searched in order, - as it is.
        skipped: takes the complaint about each file that cannot be read, which is warned about and left out; None: the
            first such file is an error.
    """
    for path in (file for entry in inputs for file in (kind.found(entry) if entry.is_dir() else [entry])):
        try:
            sample = kind.read(path)
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(str(error))
            console.warning(f"skipped: {error}")
            continue
        yield path, sample

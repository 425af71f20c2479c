"""`predict` for numbers: as any answer, and as a file of a line a picture."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit import files, own_files
from cnnkit.device.kinds import InputKind
from cnnkit.errors import DataError
from cnnkit.registry import DEVICE, INPUTS, TASKS
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Answers, Shown
from cnnkit.verbs.predict import Each

COLUMNS = ("input", "name", "value", "unit", "low", "high", "level")


def measure(
    app: str,
    artifact: Path,
    inputs: Sequence[Path],
    *,
    results: Path | None = None,
    preparation: Any = None,
    prepare: bool | None = None,
    skip_bad: bool = False,
    threads: int | None = None,
    tell: Reporter = SILENT,
) -> Answers:
    """Tell the numbers of pictures, as they are asked for.

    Args:
        app: whose model it must be.
        artifact: the model.
        inputs: files, folders, - for a picture on standard input.
        results: file of the answers, .json or .csv; written once all are there.
        preparation, prepare, skip_bad, threads, tell: as `cnnkit.verbs.predict.Each`.

    Raises:
        DataError: there is nothing to predict, `results` is no such file, or later, an input cannot be read.
    """
    write = None if results is None else writer(results)
    own_files.check([results] if results else [])
    kind: InputKind = INPUTS.half("image", DEVICE, artifact)
    how = {"preparation": preparation, "prepare": prepare, "skip_bad": skip_bad, "threads": threads, "tell": tell}
    found = Measurements(app, artifact, inputs, task=TASKS.half("regression", DEVICE, artifact), kind=kind, **how)
    found.write, found.results = write, results
    return found


class Measurements(Each):
    """The numbers of pictures; `results` has them once all are shown."""

    write: Callable[[Mapping[str, Any]], None] | None = None
    results: Path | None = None

    def shown(self) -> Shown:
        found = super().shown()
        about = self.model.metadata["regression"].get("interval")
        parts = list(found.parts)
        if about:
            parts.append(
                f"In brackets: where the true value lies in {100 * about['level']:.0f} % of validation pictures."
            )
        if self.write is not None and self.results is not None:
            names = self.model.metadata["regression"]["names"]
            self.write({**found.document, "names": names})
            own_files.note([self.results])
            parts.append(f"Results: {self.results}")
        return Shown(found.document, parts)


def writer(path: Path) -> Callable[[Mapping[str, Any]], None]:
    """Return what writes a document into a file of this name, whole or not at all.

    Raises:
        DataError: its suffix is none that is known, or it is a folder.
    """
    forms = {".json": files.write_json, ".csv": _csv}
    write = forms.get(path.suffix.lower())
    if write is None:
        raise DataError(f"`results={path}`: no format has this suffix. End it in .json or .csv.")
    if path.is_dir():
        raise DataError(f"`results={path}` is a folder. Give the name of a file.")
    return lambda document: write(path, document)


def _csv(path: Path, document: Mapping[str, Any]) -> None:
    with files.atomic(path, "w") as file:
        table = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for entry in document["predictions"]:
            values = entry.get("values") or {document["names"][0]: entry}
            for name, about in values.items():
                low, high = about.get("interval", ("", ""))
                table.writerow({**about, "input": entry["input"], "name": name, "low": low, "high": high})

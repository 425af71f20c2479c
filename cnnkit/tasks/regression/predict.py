"""`predict` for numbers: as any answer, and as a file of a line a picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit import files, own_files
from cnnkit.device.kinds import InputKind
from cnnkit.registry import DEVICE, INPUTS, TASKS
from cnnkit.reporter import SILENT, Reporter
from cnnkit.results import form_of, write_table
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
    write = None if results is None else form_of(results, {".json": files.write_json, ".csv": _csv})
    own_files.check([] if results is None else [results], "results")
    kind: InputKind = INPUTS.half("image", DEVICE, artifact)
    how = {"preparation": preparation, "prepare": prepare, "skip_bad": skip_bad, "threads": threads, "tell": tell}
    found = Measurements(app, artifact, inputs, task=TASKS.half("regression", DEVICE, artifact), kind=kind, **how)
    found.write, found.results = write, results
    return found


class Measurements(Each):
    """The numbers of pictures; `results` has them once all are shown."""

    write: Callable[..., None] | None = None
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
            self.write(self.results, {**found.document, "names": names})
            own_files.note([self.results])
            parts.append(f"Results: {self.results}")
        return Shown(found.document, parts)


def _csv(path: Path, document: Mapping[str, Any]) -> None:
    rows = (
        {**about, "input": entry["input"], "name": name, **dict(zip(("low", "high"), about.get("interval", ())))}
        for entry in document["predictions"]
        for name, about in (entry.get("values") or {document["names"][0]: entry}).items()
    )
    write_table(path, COLUMNS, rows)

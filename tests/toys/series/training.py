"""Series: where they are, how they are divided, what the commands ask of them."""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from cnnkit.data import splits
from cnnkit.data.records import Records
from cnnkit.data.sources import FileInputs
from cnnkit.errors import DataError
from cnnkit.inputs.contract import Input
from cnnkit.inputs.graph import InputGraph
from cnnkit.inputs.image.checks import Finding
from tests.toys.series import device

KIND = InputGraph()
STEPS = 32  # of a window


class Series(Input):
    """Series, and the folder they lie in: `targets.csv` has a line for each, with the name of its file and its target."""

    kind, noun = "series", "series"

    def sketch(self, sample):
        return f"{len(sample)} steps, {np.isnan(sample).sum()} of them missing"

    def check(self, source, progress, looked, **columns):
        paths, _ = listed(source)
        looked.append(f"{len(paths):,} series were read.")
        empty = [path.name for path in paths if np.isnan(device.KIND.read(path)).all()]
        return [Finding("error", "series without a value", empty)] if empty else []


def listed(source):
    """Return the paths of a folder's series and their targets, as texts."""
    with (Path(source) / "targets.csv").open(encoding="utf-8", newline="") as file:
        rows = [(Path(source) / name, target) for name, target in csv.reader(file)]
    if missing := [path for path, _ in rows if not path.is_file()]:
        raise DataError(f"{missing[0]} is not there.")
    return [path for path, _ in rows], [target for _, target in rows]


def load(source, *, targets, validation=None, split_seed=0, limit=None, whole=False, **_):
    """Return the series of a folder, divided; `targets` makes of texts what `Records` has besides inputs."""
    paths, texts = listed(source)
    records = Records(FileInputs(paths, device.KIND, (STEPS, 2)), **targets(texts))
    return divided(records, source, validation=validation, seed=split_seed, limit=limit, whole=whole)


def divided(records, source, *, validation, seed, limit, whole):
    parts = {"test": 0.0, "validation": 0.0} if whole else {"test": 0.2, "validation": validation or 0.1}
    made = splits.make(records, **parts, seed=seed)
    card = {"name": Path(source).name, "title": Path(source).name, "licence": "", "source": "", "citation": ""}
    return dataclasses.replace(made, train=made.train.take(np.arange(len(made.train))[:limit]), card=card)


def views(records, settings):
    """Return what training sees: a window of each series, drawn anew in each step."""

    def drawn(indices, step):
        rng, steps = np.random.default_rng((settings.seed, step)), records.input_shape[0]
        found = [records.native(index) for index in indices]
        starts = [rng.integers(0, max(1, len(series) - steps + 1)) for series in found]
        cut = [device.window(series, start, steps) for series, start in zip(found, starts, strict=True)]
        return np.stack(cut), records.targets(indices)

    return drawn

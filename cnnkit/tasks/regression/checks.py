"""What would spoil training on pictures with numbers, found before it.

Design choices:
- Lines that cannot be used are findings here, and not the end. Every picture is decoded once to find those that are damaged.
- A value far off is one beyond ten times the middle half of all values: a unit that changed, a missing number written as -999.
- Duplicates across splits are looked for as in other data of pictures; of neighbours in time the gap between splits takes care.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import inventory
from cnnkit.data.findings import Finding, ranked
from cnnkit.data.loading import Asked
from cnnkit.data.records import Progress, Splits
from cnnkit.errors import DataError
from cnnkit.tasks.regression import loading
from cnnkit.tasks.regression.device import figure
from cnnkit.tasks.regression.readers import by_reason, said
from cnnkit.tasks.regression.records import ValueRecords
from cnnkit.tasks.regression.settings import READ_BY

FAR = 10.0  # ranges between the quartiles, from the nearer of them
FEW = 200  # training pictures below which little is learnt
SAME = 0.8  # of the values are equal: most of the data says one thing


def check(
    source: Path | str, *, looked: list[str] | None = None, progress: Progress | None = None, **columns: Any
) -> list[Finding]:
    """Look for what spoils training on pictures with numbers.

    Args:
        source: name of a card, or path of a card, a folder or a table.
        looked: takes lines on what was looked at.
        progress: called as progress(what, done, total).
        columns: settings of data: `unit`, `negate`, `by_time`, `gap` and what columns hold, as `loading.load`.

    Returns:
        findings, errors first; none for a clean data set.

    Raises:
        DataError: there is no such data at all, or none of it can be read.
    """
    findings: list[Finding] = []
    splits = _opened(source, columns, progress, findings)
    if splits is None:
        return ranked(findings)
    told: list[str] = inventory.lines(splits.card.get("inventory", {}))
    for split, part in splits.parts.items():
        if isinstance(part, ValueRecords) and len(part):
            told += [f"{split}: {line}" for line in _described(part)]
    findings += _values(splits)
    findings += _copies(splits, progress)
    if looked is not None:
        looked += told
    return ranked(findings)


def _opened(
    source: Path | str, columns: Mapping[str, Any], progress: Progress | None, findings: list[Finding]
) -> Splits | None:
    """Load the data, with every picture decoded once; what is wrong becomes findings. None: it cannot be loaded at all."""
    asked = Asked(skip_bad=True, progress=progress)
    options = {name: columns.get(name) for name in READ_BY}
    card, parts, held_out = asked.read(loading.with_options(source, options), loading.TASK)
    for reason, names in by_reason(loading.bad_of(parts)).items():
        text = f"{said([(name, reason) for name in names])}. Mend them, or `skip_bad`."
        findings.append(Finding("error", "bad-line", text, names))
    try:
        return loading.of_parts(
            card, parts, held_out, asked, **{k: columns[k] for k in columns.keys() - options.keys()}
        )
    except DataError as error:
        findings.append(Finding("error", "values", str(error)))
        return None


def _described(records: ValueRecords) -> Iterable[str]:
    numbers = records.numbers()
    for name, column in zip(loading.names_said(records.values), numbers.T, strict=True):
        found = (*np.quantile(column, [0, 0.25, 0.5, 0.75, 1]), column.mean())
        low, quarter, median, three, high, mean = (figure(value, 4) for value in found)
        yield (
            f"{name} from {low} to {high}, half of them from {quarter} to {three}, median {median}, mean {mean}, of "
            f"{len(column):,} pictures."
        )


def _values(splits: Splits) -> Iterable[Finding]:
    train: Any = splits.train
    if len(train) < FEW:
        yield Finding(
            "warning", "few", f"There are {len(train):,} training pictures; little is learnt of fewer than {FEW}."
        )
    for place, name in enumerate(train.values.names):
        column = train.numbers()[:, place]
        values, counts = np.unique(column, return_counts=True)
        most = int(counts.argmax())
        if counts[most] > SAME * len(column):
            text = (
                f"{100 * counts[most] / len(column):.0f} % of the training values `{name}` are "
                f"{figure(values[most], 6)}: a model may learn to say always that. Leave some of these out, or collect others."
            )
            yield Finding("warning", "one-value", text)
        quarter, three = np.quantile(column, [0.25, 0.75])
        reach = FAR * float(three - quarter)
        if reach > 0:
            far = np.flatnonzero((column < quarter - reach) | (column > three + reach))
            if len(far):
                files = [f"{train.name(int(k))} ({figure(column[k], 6)})" for k in far[:20]]
                text = f"{len(far):,} values `{name}` lie far off all others. A number for what is missing, or another unit?"
                yield Finding("warning", "far-off", text, files)
        for split in ("validation", "test"):
            part: Any = splits.parts[split]
            if not len(part):
                continue
            other = part.numbers()[:, place]
            outside = int(((other < column.min()) | (other > column.max())).sum())
            if outside > 0.05 * len(other):
                text = f"{outside:,} of {len(other):,} values `{name}` of the {split} split lie beyond all of training."
                yield Finding("warning", "beyond", text)


def _copies(splits: Splits, progress: Progress | None) -> Iterable[Finding]:
    """Name equal pictures, in two splits or under two values."""
    total = sum(len(part) for part in splits.parts.values())
    if not total:
        return
    if progress:
        progress("Looking for copies", 0, total)
    parts: dict[str, Any] = dict(splits.parts)
    digests = np.concatenate([part.digests() for part in parts.values()])
    numbers = np.concatenate([part.numbers() for part in parts.values()])
    names = [(split, part, k) for split, part in parts.items() for k in range(len(part))]
    order = np.argsort(digests, kind="stable")
    cuts = np.flatnonzero(digests[order][1:] != digests[order][:-1]) + 1
    across, apart = [], []
    for members in np.split(order, cuts):
        if len(members) < 2:
            continue
        row = " = ".join(names[m][1].name(names[m][2]) for m in members[:4].tolist())
        if len({names[m][0] for m in members.tolist()}) > 1:
            across.append(row)
        if np.ptp(numbers[members], axis=0).max() > 0:
            apart.append(row)
    if across:
        text = (
            f"{len(across):,} pictures are in two splits: the score would count what was learnt by heart. Delete one."
        )
        yield Finding("error", "leak", text, across)
    if apart:
        yield Finding("warning", "two-values", f"{len(apart):,} pictures stand there with two values.", apart)

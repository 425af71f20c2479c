"""The sections of a report on one class an input: what is taken for what, and how sure the model may be.

As everywhere in a report, a section appears where its data is there, and says in plain words how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.report import figures, sections
from cnnkit.report.blocks import Chart, Section, percent


def confusion(scores: Mapping[str, Any], labels: Sequence[str]) -> Section | None:
    """The confusion matrix and the pairs confused most."""
    counts = scores.get("confusion")
    if not counts:
        return None
    array = np.array(counts)
    total, errors = int(array.sum()), int(array.sum() - np.trace(array))
    text = (
        f"Each row is a true class, each column an answer. {total - errors:,} of {total:,} lie on the diagonal, in "
        f"blue: they are right. The {errors:,} errors are orange, coloured by their share of the row."
    )
    return sections.confusion(labels, counts, text)


def calibration(scores: Mapping[str, Any]) -> Section | None:
    """The reliability diagram."""
    bins = scores.get("reliability")
    if not bins:
        return None
    total = sum(point["count"] for point in bins)
    gap = sum(point["count"] * (point["confidence"] - point["accuracy"]) for point in bins) / total
    leaning = "more often right than it claims" if gap < 0 else "more confident than it should be"
    text = (
        "Does 90 % sure mean right nine times in ten? On the dashed line it does; below it the model is too sure of "
        "itself. The pale bars are 95 % intervals: long where few answers fall. The columns count the answers."
    )
    if "ece" in scores:
        text += f" The expected calibration error is {scores['ece']:.3f}; on the whole the model is {leaning}."
    described = "; ".join(f"{percent(p['confidence'], 0)} sure, {percent(p['accuracy'], 0)} right" for p in bins)
    described = f"Reliability diagram: {described}."
    chart = Chart(figures.reliability(bins), "Right, by how sure the model is", described, axes="how sure")
    return Section("Calibration", text, [chart])

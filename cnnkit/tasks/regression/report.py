"""The sections of a report on numbers: predicted against true, errors by range, what plain answers score, the largest errors.

As everywhere in a report, a section appears where its data is there, and says in plain words how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from cnnkit.report import drawing
from cnnkit.report.blocks import (
    THIN,
    Block,
    Cell,
    Chart,
    Charts,
    Facts,
    Picture,
    Pictures,
    Section,
    Table,
    measured,
    percent,
    picture,
)
from cnnkit.report.drawing import VARIABLES
from cnnkit.score import headline
from cnnkit.tasks.regression.device import figure, with_unit


def scatter(scores: Mapping[str, Any]) -> Section | None:
    """Predicted against true values, and how often the interval of an answer holds."""
    values = scores.get("values")
    if not values:
        return None
    charts = []
    for place, (name, about) in enumerate(values.items()):
        unit = f", {about['unit']}" if about["unit"] else ""
        r2 = "" if about.get("r2") is None else f"; R2 {about['r2']:.3f}"
        error = with_unit(about["mean_absolute_error"], about["unit"])
        described = f"Predicted over true {name}: mean absolute error {error}{r2}."
        half = (scores.get("coverage") or {}).get("half")
        svg = scatter_chart(about["points"], half[place] if half else None, name=f"scatter-{place}")
        charts.append(Chart(svg, f"{name}{unit}: predicted \u2191 over true \u2192", described))
    text = (
        "Each dot is a held-out picture: to the right its true value, upwards what the model says. On the line "
        "it is right. A cloud that "
        "is flatter than the line means that extremes are told too small."
    )
    content: list[Block] = [Charts(charts)]
    coverage = scores.get("coverage")
    if coverage:
        low, high = coverage["interval"]
        text += (
            f" Between the dashed lines lie the answers that the interval of {percent(coverage['level'], 0)} promises."
        )
        halves = ", ".join(
            f"\u00b1{with_unit(half, about['unit'])}"
            for half, about in zip(coverage["half"], values.values(), strict=True)
        )
        content.append(
            Facts(
                "The interval of an answer",
                {
                    "Width": f"{halves}, as {percent(coverage['level'], 0)} of {coverage['chosen_on']:,} "
                    "validation pictures have it",
                    "Holds": f"for {percent(coverage['share'], 1)} of the test ({percent(low, 1)} to {percent(high, 1)})",
                },
            )
        )
    return Section("Predicted and true", text, content)


def scatter_chart(points: Mapping[str, Sequence[float]], half: float | None, *, name: str) -> str:
    """Draw predicted over true values.

    Args:
        points: `true` and `predicted`.
        half: how far the dashed lines lie from the diagonal; None: there are none.
        name: unique on the page.

    Returns:
        SVG.
    """
    canvas, ax = drawing.chart((4.6, 4.6))
    true, predicted = (np.asarray(points[key], float) for key in ("true", "predicted"))
    low, high = float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))
    margin = 0.04 * ((high - low) or 1.0)
    ends = np.array([low - margin, high + margin])
    ax.plot(ends, ends, color=VARIABLES["quiet"], linewidth=1)
    for shift in (half, -half) if half else ():
        ax.plot(ends, ends + shift, color=VARIABLES["quiet"], linewidth=0.8, dashes=(3, 3))
    ax.plot(true, predicted, "o", color=VARIABLES["one"], markersize=4, markeredgewidth=0, alpha=0.5)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return drawing.inline_svg(canvas, name)


def by_value(scores: Mapping[str, Any]) -> Section | None:
    """The errors in each range of true values."""
    values = scores.get("values")
    if not values:
        return None
    content: list[Block] = []
    for name, about in values.items():
        unit = about["unit"]
        worst = max((row["mae"] for row in about["ranges"]), default=0.0) or 1.0
        rows: list[list[Cell | str]] = [
            [
                _range(row, unit),
                f"{row['count']:,}",
                Cell(figure(row["mae"]), row["mae"] / worst),
                figure(row["bias"], sign="+").replace("-", "\u2212"),
            ]
            for row in about["ranges"]
        ]
        behind = f", {unit}" if unit else ""
        head = [f"true {name}", "pictures", f"mean absolute error{behind}", f"bias{behind}"]
        content.append(Table(head, rows, numbers=(1, 2, 3)))
    text = (
        "How wrong it is where. The bias is the mean of what it says less what is true: where it points to the "
        "middle at both ends, the "
        "model is too careful. Ranges with few pictures say little."
    )
    return Section("Errors by value", text, content)


def _range(row: Mapping[str, Any], unit: str) -> str:
    behind = f"{THIN}{unit}" if unit else ""
    if row["low"] is None and row["high"] is None:
        return "all"
    if row["low"] is None:
        return f"below {figure(row['high'], 6)}{behind}"
    if row["high"] is None:
        return f"from {figure(row['low'], 6)}{behind}"
    return f"{figure(row['low'], 6)} to {figure(row['high'], 6)}{behind}"


def bars(scores: Mapping[str, Any]) -> Section | None:
    """What answers without a network score."""
    score, baseline = headline(scores), scores.get("baseline") or {}
    if score is None or score.name not in baseline:
        return None
    rows = {baseline["name"]: baseline[score.name], **(baseline.get("others") or {})}
    ranked: list[list[Cell | str]] = [["this model", measured(score.value, score.unit)]]
    ranked += [[name, measured(value, score.unit)] for name, value in sorted(rows.items(), key=lambda row: row[1])]
    text = (
        "What the same error is of answers that need no network: the best of them is the baseline. Intervals and tests resample "
        f"{scores.get('resampled', 'records')}, as neighbours are alike."
    )
    return Section("Plain answers", text, [Table(["answer", "error"], ranked, numbers=(1,))])


def largest_errors(entries: Sequence[Mapping[str, Any]]) -> Section | None:
    """The pictures with the largest errors."""
    shown = [entry for entry in entries if entry.get("image") is not None]
    if not shown:
        return None
    pictures = []
    for entry in shown:
        described = f"{entry['true']} told as {entry['predicted']}, {entry['note']}: {entry.get('name', '')}"
        title = f"{entry['true']}, told as {entry['predicted']}"
        pictures.append(Picture(picture(entry["image"]), described, title, entry["note"], "bad"))
    text = (
        "The pictures of which the model is most wrong, worst first: what is true, what it says, how far these "
        "are apart. Some show a gap "
        "in the data, some a value that was written down wrongly."
    )
    return Section("Largest errors", text, [Pictures(pictures, smooth=True, side=150)])


def evidence(examples: Sequence[Mapping[str, Any]]) -> Section | None:
    """Where pictures speak for the answer; each example as `cnnkit.inputs.image.explain.images.examples` makes it."""
    if not examples:
        return None
    pictures = []
    for example in examples:
        described = f"Grad-CAM for the answer {example['predicted']} where {example['label']} is true."
        note = f"true: {example['label']}"
        pictures.append(Picture(picture(example["image"], largest=240), described, str(example["predicted"]), note))
    text = (
        "Grad-CAM: in orange, where a picture pulls the answer away from the mean of training, to the side where "
        "it lies: samples first, "
        "then the largest errors. A model that looks beside what matters has learnt the wrong thing, however well it scores."
    )
    return Section("Evidence", text, [Pictures(pictures, smooth=True, side=180)])

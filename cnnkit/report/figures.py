"""The charts of the report, and the contact sheet of samples.

Choices:
- A chart function takes plain numbers and returns SVG; nothing in it is the user's text, so nothing needs escaping.
- Charts have no title or legend of their own: the page writes both, where they can be read, searched and translated.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from cnnkit.report import drawing
from cnnkit.report.drawing import VARIABLES

ROWS = Sequence[Mapping[str, float]]


def curve(
    history: ROWS, names: Sequence[str], *, best: int | None = None, phases: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Draw one or two columns of a history over its epochs; the first is drawn quieter, as training beside validation.

    Args:
        history: two rows or more, one an epoch, with `epoch` and the columns; a missing value leaves a gap.
        names: one or two columns.
        best: the epoch whose weights were kept; marked.
        phases: `start` and `end` epoch of each phase of training; every other one is shaded.

    Returns:
        SVG.
    """
    figure, ax = drawing.chart()
    epochs = [row["epoch"] for row in history]
    for index, phase in enumerate(phases):
        if index % 2:
            ax.axvspan(phase["start"] - 0.5, phase["end"] + 0.5, color=VARIABLES["rule"], alpha=0.35, linewidth=0)
    colours = ["two", "one"] if len(names) > 1 else ["one"]
    low, high, seen = math.inf, -math.inf, math.inf  # seen: the least that must not lie below the chart
    for name, colour in zip(names, colours):
        values = np.array([row.get(name, math.nan) for row in history], float)
        if not np.isfinite(values).any():
            continue
        low, high = min(low, np.nanmin(values)), max(high, np.nanmax(values))
        seen = min(seen, values[np.isfinite(values)][-1])
        ax.plot(epochs, values, color=VARIABLES[colour], linewidth=1.8, solid_capstyle="round")
        if best is not None and best in epochs and name.startswith("val_"):
            ax.axvline(best, color=VARIABLES["quiet"], linewidth=0.8, dashes=(3, 3))
            ax.plot([best], [values[epochs.index(best)]], "o", color=VARIABLES[colour], markersize=5.5)
    _scale(ax, names[-1], low, high, seen)
    ax.set_xlim(epochs[0], epochs[-1])
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(min(6, len(epochs)), integer=True))
    return drawing.inline_svg(figure, names[-1].replace("_", "-"))


def _scale(ax: Any, name: str, low: float, high: float, seen: float) -> None:
    """A scale on which the end of training can be told from its middle: errors logarithmic, scores up to 100 %."""
    kind = name.removeprefix("val_")
    if kind == "learning_rate":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    elif "loss" in kind or high > 1.001 or low < 0:
        if low > 0 and high / low > 8:
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.tick_params(which="minor", length=0)
    else:
        # the first epochs would press the rest against the top
        floor = max(low, min(seen, 1 - 12 * max(1 - high, 0.004)))
        span = max(high - floor, 0.01)
        ax.set_ylim(max(0.0, floor - 0.05 * span), min(1.0, high + 0.12 * span) if high < 1 else 1.002)
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        digits = 0 if span > 0.08 else 1
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.{digits}f} %"))


def reliability(points: ROWS) -> str:
    """Draw how often a model is right, for each confidence it claims, with 95 % intervals, over how often it claims it.

    Args:
        points: for each bin that is not empty: mean `confidence` and `accuracy` in [0, 1], `count`.

    Returns:
        SVG.
    """
    from cnnkit.metrics import wilson

    width, height = 4.6, 4.6
    figure, ax = drawing.chart((width, height))
    ax.set_position((0.5 / width, 1.3 / height, 1 - 0.66 / width, 1 - 1.46 / height))
    ax.plot([0, 1], [0, 1], color=VARIABLES["quiet"], linewidth=1, dashes=(3, 3))
    for point in points:
        low, high = wilson(round(point["accuracy"] * point["count"]), int(point["count"]))
        ax.plot(
            [point["confidence"]] * 2,
            [low, high],
            color=VARIABLES["one"],
            alpha=0.45,
            linewidth=4,
            solid_capstyle="round",
        )
    confidences, accuracies = ([point[key] for point in points] for key in ("confidence", "accuracy"))
    ax.plot(confidences, accuracies, "o", color=VARIABLES["one"], markersize=6)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    percent = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ""))
    ax.yaxis.set_major_formatter(percent)
    below = figure.add_axes((0.5 / width, 0.36 / height, 1 - 0.66 / width, 0.78 / height))
    drawing.calm(below)
    below.bar(confidences, [point["count"] for point in points], width=0.045, color=VARIABLES["two"])
    below.set_yscale("log")
    below.set_ylim(bottom=0.7)
    below.set_xlim(-0.02, 1.02)
    below.xaxis.set_major_formatter(percent)
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    below.yaxis.set_minor_formatter(NullFormatter())
    below.tick_params(which="minor", length=0)
    return drawing.inline_svg(figure, "reliability")


def precision_recall(
    lines: Sequence[tuple[Mapping[str, Sequence[float]], str, tuple[float, float] | None]],
    *,
    behind: Sequence[Mapping[str, Sequence[float]]] = (),
    name: str = "precision-recall",
) -> str:
    """Draw precision over recall.

    Args:
        lines: of each the curve, `recall` and `precision` in [0, 1]; its colour's name (one, two); and a point (recall,
            precision) to mark, or None. A curve ends where its precision falls to 0.
        behind: curves drawn pale behind them.
        name: unique on the page.

    Returns:
        SVG.
    """
    figure, ax = drawing.chart()

    def ended(curve: Mapping[str, Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
        recall, precision = np.asarray(curve["recall"], float), np.asarray(curve["precision"], float)
        reached = int(np.count_nonzero(precision > 0))
        return np.append(recall[:reached], recall[reached - 1] if reached else 0), np.append(precision[:reached], 0)

    for curve in behind:
        ax.plot(*ended(curve), color=VARIABLES["quiet"], linewidth=0.8, alpha=0.4)
    for curve, colour, _ in lines:
        ax.plot(*ended(curve), color=VARIABLES[colour], linewidth=1.8, solid_joinstyle="round")
    for _, colour, point in lines:
        if point is not None:
            ax.plot(*[[value] for value in point], "o", color=VARIABLES[colour], markersize=6, clip_on=False)
    ax.set_xlim(0, 1.005)
    ax.set_ylim(0, 1.01)
    percent = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.25))
        axis.set_major_formatter(percent)
    return drawing.inline_svg(figure, name)


def roc(
    curve: Mapping[str, Sequence[float]],
    point: tuple[tuple[float, float], Sequence[float], Sequence[float]],
    *,
    name: str = "roc",
) -> str:
    """Draw the share that is found over the share of false alarms.

    Args:
        curve: `false` and `true`, rising from 0 to 1.
        point: the threshold in use: (false alarms, found), and the interval of each.
        name: unique on the page.

    Returns:
        SVG.
    """
    figure, ax = drawing.chart((4.6, 4.6))
    ax.plot([0, 1], [0, 1], color=VARIABLES["quiet"], linewidth=1, dashes=(3, 3))
    ax.plot(curve["false"], curve["true"], color=VARIABLES["one"], linewidth=1.8, solid_joinstyle="round")
    (x, y), across, up = point
    for places, heights in ((across, [y, y]), ([x, x], up)):
        ax.plot(places, heights, color=VARIABLES["two"], alpha=0.6, linewidth=3, solid_capstyle="round")
    ax.plot([x], [y], "o", color=VARIABLES["two"], markersize=7, clip_on=False)
    percent = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")
    for axis, limits in ((ax.xaxis, ax.set_xlim), (ax.yaxis, ax.set_ylim)):
        limits(-0.01, 1.01)
        axis.set_major_locator(MultipleLocator(0.25))
        axis.set_major_formatter(percent)
    return drawing.inline_svg(figure, name)


def spread(values: Sequence[float], *, name: str = "spread") -> str:
    """Draw shares in [0, 1], a dot each, stacked where they are alike, with a line at the mean and a dashed one at the median.

    Args:
        values: one or more.
        name: unique on the page.

    Returns:
        SVG.
    """
    from cnnkit.report.blocks import scale_start

    size = (drawing.CHART[0], 2.1)
    figure, ax = drawing.chart(size)
    array = np.sort(np.asarray(values, float))
    start = min(scale_start([float(array[0])]), 0.9)
    count = int(np.clip(4 * math.sqrt(len(array)), 16, 60))
    places = np.minimum(((array - start) / (1 - start) * count).astype(int), count - 1)
    stacked = np.arange(len(array)) - np.searchsorted(places, places)  # how many lie below in the same place
    wide, tall = (size[0] - 0.58) * 72 / count, (size[1] - 0.58) * 72  # px
    room = max(tall / min(wide, 10), float(stacked.max()) + 1.5)
    ax.plot(
        start + (places + 0.5) * (1 - start) / count,
        stacked + 0.6,
        "o",
        color=VARIABLES["one"],
        markersize=min(wide, 10) * 0.82,
        markeredgewidth=0,
        alpha=0.6,
        clip_on=False,
    )
    ax.axvline(float(array.mean()), color=VARIABLES["ink"], linewidth=1.4)
    ax.axvline(float(np.median(array)), color=VARIABLES["two"], linewidth=1.6, dashes=(4, 2.5))
    ax.grid(visible=False)
    ax.set_ylim(0, room)
    ax.set_yticks([])
    ax.set_xlim(start, 1)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    return drawing.inline_svg(figure, name)


def differences(
    means: Sequence[float], values: Sequence[float], lines: tuple[float, float, float], *, name: str = "differences"
) -> str:
    """Draw how far two measurements of the same things are apart over how large these are (Bland and Altman 1986).

    Args:
        means: of both measurements.
        values: their differences.
        lines: the mean difference, and the lower and the upper limit of agreement.
        name: unique on the page.

    Returns:
        SVG.
    """
    figure, ax = drawing.chart()
    middle, low, high = lines
    ax.axhline(0, color=VARIABLES["quiet"], linewidth=0.8)
    ax.axhline(middle, color=VARIABLES["ink"], linewidth=1.4)
    for limit in (low, high):
        ax.axhline(limit, color=VARIABLES["two"], linewidth=1.4, dashes=(4, 2.5))
    ax.plot(means, values, "o", color=VARIABLES["one"], markersize=5, markeredgewidth=0, alpha=0.55, clip_on=False)
    ax.set_xlim(0, 1.04 * (max(means) or 1.0))
    ends = [*values, low, high, 0.0]
    span = (max(ends) - min(ends)) or 1.0
    ax.set_ylim(min(ends) - 0.08 * span, max(ends) + 0.08 * span)
    short = FuncFormatter(lambda value, _: f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(short)
    return drawing.inline_svg(figure, name)


def samples(
    images: np.ndarray,
    names: Sequence[str],
    rounds: np.ndarray,
    titles: Sequence[str] = ("augmented",),
    *,
    tile: float = 1.0,
) -> Figure:
    """Draw samples as they are, and below each what augmentation makes of it.

    Args:
        images: uint8 (n, h, w, c).
        names: the label of each.
        rounds: uint8 (rounds, n, h, w, c); no rounds: no augmentation.
        titles: what stands beside the first rounds; the others have none.
        tile: width of an image, inches.

    Returns:
        matplotlib figure.
    """
    count, tall = len(images), images.shape[1] / images.shape[2]
    gap, left = 0.08, 1.15
    rows = 1 + len(rounds)
    width = left + count * (tile + gap) + 0.15
    height = 1.15 + rows * (tile * tall + gap) + (0.15 if len(rounds) else 0)
    note = "The first row is the data; below it is what training makes of it, anew in every epoch."
    figure = drawing.paper(width, height, "Samples", note if len(rounds) else "The data as it is; no augmentation.")
    for row, batch in enumerate([images, *rounds]):
        bottom = height - 1.05 - (row + 1) * (tile * tall + gap) - (0.12 if row else 0)
        text = ["as it is", *titles][row] if row <= len(titles) else ""
        if text:
            place = (0.2 / width, (bottom + tile * tall / 2) / height)
            figure.text(*place, text, fontsize=8.5, color=drawing.QUIET, va="center")
        for column, image in enumerate(batch):
            x = left + column * (tile + gap)
            ax = figure.add_axes((x / width, bottom / height, tile / width, tile * tall / height))
            drawing.show(ax, image)
            if row == 0:
                ax.set_title(
                    str(names[column])[: round(14 * tile)], fontsize=8.5, color=drawing.INK, pad=4, parse_math=False
                )
    return figure

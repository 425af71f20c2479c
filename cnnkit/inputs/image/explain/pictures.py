"""The pictures of `explain`: each function returns a matplotlib figure, drawn without pyplot or any other global state.

Choices:
- Signed values (weights, edges) run from blue through white to orange, with 0 white; amounts run dark to light.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnkit.report.drawing import BLUE, INK, ORANGE, QUIET, RULE, frame, grid, paper, show

SIGNED = colors.LinearSegmentedColormap.from_list("signed", [BLUE, "#ffffff", ORANGE])
AMOUNT = "magma"


def filters_figure(filters: np.ndarray, name: str = "the first convolution") -> Figure:
    """Draw first-layer filters, (kernel height, kernel width, channels, filters): one tile each, in colour for RGB."""
    *kernel, channels, count = filters.shape
    coloured = channels == 3
    # Other depths have no colour of their own: each filter is shown as the mean over its channels.
    tiles = np.moveaxis(filters, -1, 0) if coloured else filters.mean(axis=2).transpose(2, 0, 1)
    reach = float(np.abs(tiles).max()) or 1.0
    note = f"{count} filters of {kernel[0]}x{kernel[1]} px. "
    note += "Mid grey is weight 0." if coloured else f"Orange adds, blue subtracts, white is 0, the most {reach:.2g}."
    figure, axes = grid(count, f"What {name} looks for", note, tile=0.95)
    for ax, tile in zip(axes, tiles):
        if coloured:
            ax.imshow(tile / (2 * reach) + 0.5, interpolation="nearest")
        else:
            ax.imshow(tile, cmap=SIGNED, vmin=-reach, vmax=reach, interpolation="nearest")
        frame(ax)
    return figure


def feature_maps_figure(maps: np.ndarray, layer: str, *, limit: int = 64) -> Figure:
    """Draw what one layer puts out, (height, width, maps), the `limit` strongest maps; a vector becomes bars."""
    if maps.ndim != 3:
        values = maps.ravel()
        figure = paper(8.0, 3.2, f"What {layer} puts out", f"{values.size} numbers, not a picture any more.")
        ax = figure.add_axes((0.07, 0.14, 0.9, 0.54))
        ax.bar(np.arange(values.size), values, width=0.8, color=ORANGE)
        _quiet(ax)
        return figure
    shown = sorted(np.argsort(-np.abs(maps).mean(axis=(0, 1)), kind="stable")[:limit])
    height, width, count = maps.shape
    note = f"{count} maps of {height}x{width}; bright is a strong answer, each map on its own scale."
    if len(shown) < count:
        note = f"The {len(shown)} strongest of {note}"
    figure, axes = grid(len(shown), f"What {layer} sees", note, tile=0.95, aspect=height / width)
    for ax, index in zip(axes, shown):
        ax.imshow(maps[..., index], cmap=AMOUNT, interpolation="nearest")
        ax.set_title(str(index), fontsize=6.5, color=QUIET, pad=2)
        frame(ax)
    return figure


def journey_figure(image: np.ndarray, maps: Mapping[str, np.ndarray], *, across: int = 8, rows: int = 12) -> Figure:
    """Draw an image's way through a model: each layer's `across` strongest maps; `maps` by name, (height, width, n)."""
    names = list(maps)
    if len(names) > rows:  # keep the first and the last, thin out between them
        names = [names[round(index)] for index in np.linspace(0, len(names) - 1, rows)]
    tile, left = 0.82, 2.1
    height = len(names) * (tile + 0.08) + 0.95
    note = "Each row is a layer, with its strongest maps first; the sides shrink, the meaning grows."
    figure = paper(left + tile * 0.65 + across * (tile + 0.06) + 0.14, height, "The way through the model", note)
    width = figure.get_figwidth()
    start = figure.add_axes((0.2 / width, 1 - (0.85 + tile) / height, tile / width, tile / height))
    show(start, image)
    for row, name in enumerate(names):
        layer = maps[name]
        bottom = 1 - (0.85 + tile + row * (tile + 0.08)) / height
        text = f"{name[-32:]}\n{layer.shape[0]}x{layer.shape[1]}x{layer.shape[2]}"
        place = ((left + tile * 0.55) / width, bottom + 0.5 * tile / height)
        figure.text(*place, text, ha="right", va="center", fontsize=7, color=INK, linespacing=1.5, parse_math=False)
        for column, index in enumerate(np.argsort(-np.abs(layer).mean(axis=(0, 1)), kind="stable")[:across]):
            x = left + tile * 0.65 + column * (tile + 0.06)
            ax = figure.add_axes((x / width, bottom, tile / width, tile / height))
            ax.imshow(layer[..., index], cmap=AMOUNT, interpolation="nearest")
            frame(ax)
    return figure


def grad_cam_figure(image: np.ndarray, heatmap: np.ndarray, label: str, confidence: float | None = None) -> Figure:
    """Draw an image, its heatmap (h, w) in [0, 1] and both laid over one another."""
    from cnnkit.inputs.image.explain.activations import overlay

    sure = "" if confidence is None else f", {confidence:.1%} sure"
    note = "Where the image speaks for this answer (Grad-CAM, position by position). Dark areas played no part."
    figure = paper(8.0, 3.45, f"Why {label}{sure}", note)
    for index, name in enumerate(["image", "evidence", "together"]):
        ax = figure.add_axes((0.03 + index * 0.325, 0.03, 0.29, 0.66))
        if name == "image":
            show(ax, image)
        elif name == "evidence":
            ax.imshow(heatmap, cmap=AMOUNT, vmin=0, vmax=1, interpolation="bilinear")
        else:
            ax.imshow(overlay(image, heatmap, side=400), interpolation="nearest")
        frame(ax)
        ax.set_title(name, fontsize=8.5, color=QUIET, loc="left", pad=4)
    return figure


def classic_filters_figure(classic: Mapping[str, Any]) -> Figure:
    """Draw the teaching view that `classic_filters` computes: image, kernel, result and one pixel worked out."""
    image, (row, column) = classic["image"], classic["pixel"]
    count = len(classic["filters"])
    width, height = 9.9, 1.0 + 2.05 * count
    note = "Lay the kernel on the marked 3x3 pixels, multiply each pair, add up: one pixel of the result. Slide on."
    figure = paper(width, height, "What a 3x3 filter does to an image", note)
    for index, entry in enumerate(classic["filters"]):
        bottom = 1 - (1.08 + 2.05 * (index + 1) - 0.42) / height
        size = 1.5 / height

        def axes(left: float, side: float, bottom: float = bottom, size: float = size) -> Axes:
            return figure.add_axes((left / width, bottom, side / width, size))

        heading = bottom + size + 0.2 / height
        name = entry["name"].capitalize()
        figure.text(0.3 / width, heading, name, fontsize=9.5, weight="bold", color=INK, va="center")
        figure.text(2.05 / width, heading, entry["meaning"], fontsize=8, color=QUIET, va="center")
        ax = axes(0.3, 1.5)
        show(ax, image)
        ax.add_patch(Rectangle((column - 1.5, row - 1.5), 3, 3, fill=False, edgecolor=ORANGE, linewidth=1.6))
        ax = axes(2.05, 1.5)
        _numbers(ax, classic["neighbourhood"], colormap="gray", low=0, high=255, form="{:.0f}")
        ax = axes(3.8, 1.5)
        reach = float(np.abs(entry["kernel"]).max())
        ninths = 0 < reach < 1
        _numbers(ax, entry["kernel"], colormap=SIGNED, low=-reach, high=reach, form="1/9" if ninths else "{:.0f}")
        ax = axes(5.55, 1.5)
        output = entry["output"]
        if "edges" in entry["name"]:
            reach = float(np.abs(output).max()) or 1.0
            ax.imshow(output, cmap=SIGNED, vmin=-reach, vmax=reach, interpolation="nearest")
        else:
            ax.imshow(output, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.add_patch(Rectangle((column - 1.5, row - 1.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=1.6))
        frame(ax)
        for x, sign in [(1.925, ":"), (3.675, "\N{MULTIPLICATION SIGN}"), (5.425, "\N{RIGHTWARDS ARROW}")]:
            figure.text(x / width, bottom + size / 2, sign, fontsize=11, color=QUIET, ha="center", va="center")
        steps = entry["steps"]
        lines = [" +".join(f"{step:>10}" for step in steps[start : start + 3]) for start in (0, 3, 6)]
        result = f"sum = {entry['result']:.1f}".removesuffix(".0")
        text, place = " +\n".join(lines), (7.1 / width, bottom + size * 0.48)
        figure.text(*place, text, fontsize=7, family="monospace", color=INK, va="bottom", linespacing=1.9)
        place = (7.25 / width, bottom + size * 0.36)
        figure.text(*place, result, fontsize=10, weight="bold", color=ORANGE, va="top")
    return figure


def layer_table_figure(rows: Sequence[Mapping[str, Any]], title: str = "The layers") -> Figure:
    """Draw a layer table with its totals."""
    head = ["layer", "kind", "kernel", "stride", "padding", "output", "output size, worked out", "sees", "parameters"]
    columns = [0.0, 2.15, 3.9, 4.6, 5.25, 6.0, 7.15, 10.6]
    right = {8: 12.3, 9: 13.5}
    line, top = 0.26, 1.12
    width, height = 13.9, top + line * (len(rows) + 1) + 0.25
    note = "Sees: the receptive field, in px of the image. Multiply-adds: the arithmetic for one image."
    figure = paper(width, height, title, note)

    def cell(column: int, y: float, text: str, **style: Any) -> None:
        x = right[column] if column in right else columns[column]
        anchor = "right" if column in right else "left"
        style = {"fontsize": 7.5, "color": INK, **style}
        figure.text((x + 0.2) / width, 1 - y / height, text, ha=anchor, va="center", parse_math=False, **style)

    for column, name in enumerate([*head, "multiply-adds"]):
        cell(column, top - 0.2, name, color=QUIET)
    for index, row in enumerate(rows):
        y = top + line * (index + 0.4)
        if index % 2 == 0:
            place = (0.1 / width, 1 - (y + line / 2) / height)
            box = Rectangle(place, 1 - 0.2 / width, line / height, color="#f5f6f8", zorder=-1)
            figure.add_artist(box)
        macs = "unknown" if row["multiply_adds"] is None else f"{row['multiply_adds']:,}"
        texts = [
            row["name"][-30:],
            row["kind"][:22],
            sides_text(row["kernel"]),
            sides_text(row["stride"]),
            row["padding"] or "",
            sides_text(row["output_size"]),
            row["formula"][:60],
            sides_text(row["receptive_field"]) or "unknown",
            f"{row['parameters']:,}",
            macs,
        ]
        for column, text in enumerate(texts):
            size = 6.2 if column == 6 and len(text) > 40 else 7.5
            cell(column, y, text, fontsize=size)
    y = top + line * (len(rows) + 0.5)
    cell(0, y, "total", weight="bold")
    cell(8, y, f"{sum(row['parameters'] for row in rows):,}", weight="bold")
    cell(9, y, f"{sum(row['multiply_adds'] or 0 for row in rows):,}", weight="bold")
    return figure


def sides_text(sides: Sequence[float | None] | None) -> str:
    """Write sizes for people: `3x3`, `28x28x16`, `3` for one side, `n` for an open one, nothing for None."""
    return "x".join("n" if side is None else f"{side:g}" for side in sides or ())


def _numbers(ax: Axes, values: np.ndarray, *, colormap: Any, low: float, high: float, form: str) -> None:
    """A small matrix as coloured cells with their numbers."""
    ax.imshow(values, cmap=colormap, vmin=low, vmax=high, interpolation="nearest", alpha=0.9)
    for (row, column), value in np.ndenumerate(values):
        dark = colormap == "gray" and value < 140
        ax.text(column, row, form.format(value), ha="center", va="center", fontsize=8.5, color="white" if dark else INK)
    frame(ax)


def _quiet(ax: Axes) -> None:
    ax.tick_params(labelsize=7.5, colors=QUIET, length=0)
    ax.axhline(0, color=RULE, linewidth=0.8)
    for spine in ax.spines.values():
        spine.set_visible(False)

"""Drawing with matplotlib, without pyplot or any other global state.

Choices:
- Pictures (PNG) are on white paper: a title that says what is seen, and a line below it that says how to read it.
- Charts (SVG) go into the HTML page. They are drawn in stand-in colours that become CSS variables, and their text takes
  the page's font, so that one drawing serves light, dark and print.
- The same input gives the same bytes: no dates, no random names.
- Names come from users' models and labels, so no text is read as mathematics.
"""

import io
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cnnkit import files, own_files

INK, QUIET, RULE, ORANGE, BLUE = "#1c2024", "#6b7280", "#d9dce1", "#d9600a", "#2f5fd0"  # on paper

# Stand-ins in charts, each replaced by the CSS variable of the page.
VARIABLES = {"ink": "#010102", "quiet": "#010103", "rule": "#010104", "one": "#010105", "two": "#010106"}
CHART = (4.6, 2.9)  # inches at 72 px: three to a row of the page, one to a row of a phone, text near its real size


def paper(width: float, height: float, title: str, note: str) -> Figure:
    """Start a picture of `width` x `height` inches with its title and how to read it; they take the top 0.8 inch."""
    figure = Figure(figsize=(width, height), facecolor="white")
    style: dict[str, Any] = {"va": "center", "parse_math": False}
    figure.text(0.2 / width, 1 - 0.32 / height, title, fontsize=12.5, weight="bold", color=INK, **style)
    figure.text(0.2 / width, 1 - 0.6 / height, note, fontsize=8.5, color=QUIET, **style)
    return figure


def grid(count: int, title: str, note: str, *, tile: float, aspect: float = 1.0) -> tuple[Figure, list[Axes]]:
    """Start a picture with `count` tiles of `tile` inches; `aspect`: height / width of a tile."""
    columns = min(count, max(8, math.ceil(math.sqrt(2 * count))))
    rows = math.ceil(count / columns)
    gap, top, tall = 0.16, 0.95, tile * aspect
    width = max(6.6, 0.4 + columns * (tile + gap))
    height = top + rows * (tall + gap) + 0.1
    figure = paper(width, height, title, note)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        left, bottom = 0.2 + column * (tile + gap), height - top - (row + 1) * tall - row * gap
        axes.append(figure.add_axes((left / width, bottom / height, tile / width, tall / height)))
    return figure, axes


def legend(figure: Figure, colours: Sequence[tuple[tuple[int, int, int], str]]) -> None:
    """Say at the top right of a picture what colours stand for: RGB in [0, 255], and a word."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor="#{:02x}{:02x}{:02x}".format(*colour), edgecolor=RULE) for colour, _ in colours]
    box = figure.legend(
        patches,
        [str(number) for number in range(len(patches))],
        loc="upper right",
        ncols=min(len(patches), 6),
        frameon=False,
        fontsize=8.5,
        handlelength=1.1,
        handleheight=1.1,
        columnspacing=1.4,
        borderaxespad=0.7,
    )
    for text, (_, name) in zip(box.get_texts(), colours, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
        text.set_color(INK)


def visible(image: np.ndarray) -> np.ndarray:
    """Return what can be drawn of an image: (h, w) or (h, w, 3).

    Four channels are four numbers a pixel to a model, not colours on a page: they come back as four grey pictures, two by two,
    (2 h, 2 w). Of two channels it is the first.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 4:
        first, second, third, fourth = np.moveaxis(image, 2, 0)
        return np.block([[first, second], [third, fourth]])
    return image[..., 0] if image.ndim == 3 and image.shape[2] < 3 else image


def show(ax: Axes, image: np.ndarray) -> None:
    """Draw an image, (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) in [0, 255], its pixels square; `visible` says of what."""
    array = visible(image).astype(np.float32)
    ax.imshow((array / 255).clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    frame(ax)


def frame(ax: Axes) -> None:
    """A thin frame and no ticks."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(RULE)
        spine.set_linewidth(0.6)


def save(figure: Figure, path: Path | str) -> None:
    """Write a picture as PNG, atomically.

    Errors: `CnnkitError` where it cannot be written, or is there already and not ours.
    """
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(), own_files.replacing(Path(path)), files.atomic(path) as file:
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a label in a script the font does not have
        figure.savefig(file, format="png", dpi=140, metadata={"Software": None})


def chart(size: tuple[float, float] = CHART) -> tuple[Figure, Axes]:
    """Start a chart for the page: quiet axes, horizontal rules only."""
    figure = Figure(figsize=size)
    figure.patch.set_alpha(0)
    width, height = size
    ax = figure.add_axes((0.46 / width, 0.36 / height, 1 - 0.58 / width, 1 - 0.58 / height))
    calm(ax)
    return figure, ax


def calm(ax: Axes) -> None:
    """Axes that stand back: no box, pale horizontal rules, small grey numbers."""
    ax.patch.set_alpha(0)
    for name, spine in ax.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(VARIABLES["rule"])
    ax.grid(axis="y", color=VARIABLES["rule"], linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=9, labelcolor=VARIABLES["quiet"], pad=5)


def inline_svg(figure: Figure, name: str) -> str:
    """Turn a chart into SVG for a page: CSS variables for colours, the page's font, identifiers unique to `name`."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' (xmlns:xlink|xmlns|version)="[^"]*"', "", text, count=3)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1
    )
    text = re.sub(r"font: ?(?:\w+ )*([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: ?[^;\"]*;? ?", "", text)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\1{name}-", text).replace("xlink:href", "href")
    for variable, colour in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r"\n\s*", "\n", text).strip()

"""The sections of a report on a detector, from the scores that `evaluation.coco` makes and from pictures.

Choices:
- One or two classes share a chart; of more each has its own, with the others or their mean pale behind it, so that no
  colour needs looking up. Of many classes the weakest are shown.
- An error is a crop with the box drawn in, enlarged before it is drawn: objects are often smaller than a letter of this page.
- Scenes are shrunk first and drawn after, so that lines stay sharp.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cnnkit.device.drawing import annotate
from cnnkit.device.image import fit_image
from cnnkit.report import blocks, figures
from cnnkit.report import sections as shared
from cnnkit.tasks.detection import coco

CURVES = 12  # classes with a chart of their own, the weakest first
FEW = 6  # classes: of more, their mean lies behind each chart
CROP = 192  # px: side of an error's picture
AROUND = 2.2  # sides of the box that a crop shows
LEAST = 40  # px of the image that a crop shows, at least
WRONG, MISSED = (213, 94, 0), (240, 228, 66)  # apart from each other for colour-blind eyes too
NONE = "\u2013"
AXES = "precision \u2191 over recall \u2192"
KINDS = {
    "false alarm": ("False alarms", "nothing of the kind is there, or lies too far off (IoU below 0.5)"),
    "wrong class": ("Wrong names", "found, under a wrong name"),
    "missed": ("Missed", "not found, under any name"),
}


def confusion(scores: Mapping[str, Any], labels: Sequence[str]) -> blocks.Section | None:
    """The confusion matrix; its last row is false alarms, its last column what was missed."""
    counts = scores.get("confusion")
    if not counts:
        return None
    array = np.array(counts)
    total, errors = int(array.sum()), int(array.sum() - np.trace(array))
    boxes, alarms = int(array[:-1].sum()), int(array[-1].sum())
    text = (
        f"Each row is a true class, each column an answer; the last column is what was missed, the last row false "
        f"alarms. {total - errors:,} of {boxes:,} objects are found under their own name, in blue; {alarms:,} answers "
        f"are about nothing. Errors are orange, coloured by their share of the row."
    )
    nothing = ("nothing (false alarm)", "nothing (missed)")
    return shared.confusion([*labels, coco.BACKGROUND], counts, text, nothing)


def curves(scores: Mapping[str, Any]) -> blocks.Section | None:
    """Precision over recall of each class, or of the weakest, with a dot at the threshold."""
    by_class, found = scores["per_class"], scores.get("curves")
    if not found:
        return None
    names = sorted(found, key=lambda label: by_class[label]["ap50"])
    text = (
        "With a lower threshold more is found (recall, to the right) and more of it is wrong (precision, downwards). The "
        "dot is where the threshold stands. The area below a curve is the class's AP50; a curve that ends early has "
        "objects that no threshold finds. Curves show the best precision from each recall on, so a dot may lie below its own."
    )
    charts: list[blocks.Chart] = []
    if len(names) <= 2:
        colours = ["one", "two"][: len(names)]
        legend = list(zip(colours, names)) if len(names) > 1 else []
        lines = [(found[label], colour, _dot(by_class[label])) for label, colour in zip(names, colours)]
        title = "Precision over recall" if legend else _titled(names[0], by_class)
        described = "; ".join(_described(label, by_class) for label in names)
        charts.append(blocks.Chart(figures.precision_recall(lines, name="pr"), title, described, legend, axes=AXES))
    else:
        never = [label for label in names if not by_class[label]["ap50"]]
        shown = [label for label in names if label not in never][:CURVES]
        mean = {key: np.mean([found[label][key] for label in names], axis=0) for key in ("recall", "precision")}
        for number, label in enumerate(shown):
            behind = [found[other] for other in names if other != label] if len(names) <= FEW else [mean]
            svg = figures.precision_recall(
                [(found[label], "one", _dot(by_class[label]))], behind=behind, name=f"pr-{number}"
            )
            charts.append(blocks.Chart(svg, _titled(label, by_class), _described(label, by_class), axes=AXES))
        text += f" Pale behind each: {'the other classes' if len(names) <= FEW else 'the mean of all classes'}."
        if len(shown) + len(never) < len(names):
            text += f" Of {len(names)} classes the {CURVES} weakest are shown."
        if never:
            text += f" Never found under their own name: {', '.join(never[:CURVES])}"
            text += f" and {len(never) - CURVES} more." if len(never) > CURVES else "."
    threshold = {
        "Score": f"{scores['threshold']:.3f}",
        "Precision": f"{blocks.percent(scores['precision'], 1)} of what is shown is right",
        "Recall": f"{blocks.percent(scores['recall'], 1)} of {scores['boxes']:,} objects are found",
        "F1": blocks.percent(scores["f1"], 1),
    }
    content: list[blocks.Block] = [blocks.Charts(charts)] if charts else []
    content.append(blocks.Facts("At the threshold", threshold))
    return blocks.Section("Precision and recall", text, content, wide=len(charts) > 2)


def sizes(scores: Mapping[str, Any]) -> blocks.Section | None:
    """What is found of small and of large objects."""
    rows = scores.get("sizes")
    if not rows:
        return None

    def cell(value: float | None, share: bool = False) -> blocks.Cell:
        if value is None:
            return blocks.Cell(NONE, tone="quiet")
        return blocks.Cell(blocks.percent(value, 1), value if share else None)

    table: list[list[blocks.Cell | str]] = [
        [f"{row['side']} px", f"{row['boxes']:,}", cell(row["recall"], share=True), cell(row["ap50"])] for row in rows
    ]
    text = (
        "A detector's limit is the size of what it looks for. The side is the square root of an object's area, in px of the "
        "image as it came from the camera. Found: the share of these objects at the threshold, on a line from 0 to "
        f"100 %. AP50 leaves out whatever is of another size. {_least(rows)}"
    )
    head = ["side", "objects", "found", "AP50"]
    return blocks.Section("By size", text.strip(), [blocks.Table(head, table, numbers=(1, 2, 3))])


def errors(entries: Sequence[Mapping[str, Any]]) -> blocks.Section | None:
    """False alarms, wrong names and misses as crops; entries as in `sections`."""
    shown = [entry for entry in entries if entry.get("picture") is not None]
    content: list[blocks.Block] = []
    for kind, (title, meaning) in KINDS.items():
        pictures = [_error(entry) for entry in shown if entry["kind"] == kind]
        if pictures:
            content.append(blocks.Pictures(pictures, f"{title}: {meaning}", smooth=True, side=124))
    if not content:
        return None
    text = (
        "What went wrong, the surest answers and the largest misses first. Look for what they share: a size, a light, an "
        "object that looks alike. Some are objects that the data's labels forgot."
    )
    return blocks.Section("Errors", text, content)


def crop(image: np.ndarray, box: Sequence[float], colour: tuple[int, int, int] = WRONG) -> np.ndarray:
    """Cut a square around a box out of an image, and draw the box in.

    Args:
        image: uint8 (h, w), (h, w, 1) or (h, w, 3) RGB.
        box: left, top, right, bottom, px; it may reach beyond the image.
        colour: RGB.

    Returns:
        uint8 (192, 192, 3); less high or wide where the image is. At an edge the window moves inside.
    """
    height, width = image.shape[:2]
    side = max(LEAST, AROUND * max(box[2] - box[0], box[3] - box[1]))
    spans = []
    for low, high, length in ((box[1], box[3], height), (box[0], box[2], width)):
        extent = min(length, round(side))
        start = min(max(0, round((low + high - extent) / 2)), length - extent)
        spans.append((start, extent))
    (top, tall), (left, wide) = spans
    scale = CROP / max(tall, wide)
    shape = (max(1, round(tall * scale)), max(1, round(wide * scale)))
    part = fit_image(image[top : top + tall, left : left + wide], (tall, wide, 3))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    part = cv2.resize(part, shape[::-1], interpolation=how)
    place = (np.asarray(box, float) - [left, top, left, top]) * scale
    rims = [place + step * np.array([-1, -1, 1, 1]) for step in range(4)]
    return annotate(part, rims, [""] * 4, [colour] * 3 + [(0, 0, 0)])  # a dark rim: the line stands out from any ground


def _error(entry: Mapping[str, Any]) -> blocks.Picture:
    kind, true, found, box = entry["kind"], entry["label"], entry["found"], entry["box"]
    size = f"{round(box[2] - box[0])}{blocks.TIMES}{round(box[3] - box[1])}{blocks.THIN}px"
    if kind == "missed":
        title, note, said = str(true), size, f"A {true} that was missed"
    else:
        sure = f"{blocks.percent(entry['score'], 0)} sure"
        title = f"{true} read as {found}" if kind == "wrong class" else str(found)
        said = f"A {title}" if kind == "wrong class" else f"A false alarm: {found}"
        note, said = f"{sure}, {size}", f"{said}, {sure}"
    colour = MISSED if kind == "missed" else WRONG
    source = blocks.picture(crop(entry["picture"], box, colour), largest=CROP)
    return blocks.Picture(source, f"{said}, {size}, in image {entry['image']}.", title, note, "bad")


def _dot(values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Recall and precision at the threshold, where there are any."""
    return (values["recall"], values["precision"]) if values["recall"] else None


def _titled(label: str, by_class: Mapping[str, Any]) -> str:
    return f"{label}: AP50 {blocks.percent(by_class[label]['ap50'], 1)}"


def _described(label: str, by_class: Mapping[str, Any]) -> str:
    values = by_class[label]
    at = f"at the threshold recall {blocks.percent(values['recall'], 1)}, precision {blocks.percent(values['precision'], 1)}"
    return f"Precision over recall of {label}: AP50 {blocks.percent(values['ap50'], 1)}; {at}."


def _least(rows: Sequence[Mapping[str, Any]]) -> str:
    """From which size on nine of ten are found; nothing where no size says so."""
    good = ""
    for row in reversed([row for row in rows if row["boxes"]]):
        if row["recall"] < 0.9:
            break
        good = row["side"].split()[0]
    if not good:
        return ""
    return "At every size nine of ten are found." if good == "0" else f"From {good} px on nine of ten are found."

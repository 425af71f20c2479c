"""The sections of a report that show masks, from the scores that `scoring` makes and from pictures.

Design choices:
- A case is shown three times: with the truth, with the answer, with both. It is cut to where these are, with a margin: a lesion
  of ten px is nothing in a picture of a thousand.
- Truth and answer have a colour each, apart from each other for colour-blind eyes too, and where both have their outline it is
  white. Where there are several labels, each has its own colour in the first two pictures.
- A volume is shown so as a contact sheet: slices in three planes, spread over what is there or drawn.
- A case of which nothing can be said, as neither truth nor answer have anything, is neither a good nor a bad one.
- Of many labels the weakest are drawn, of many cases some that are spread evenly over all, the extremes among them.
- Names of files are shown without their folders, or with the last where that alone tells them apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np

from cnnkit.device.contours import as_shown, outlined, rim
from cnnkit.device.drawing import colour
from cnnkit.report import blocks, figures
from cnnkit.score import unit
from cnnkit.tasks.segmentation.masks import IGNORE, planes
from cnnkit.tasks.segmentation.objects import drawn_apart
from cnnkit.tasks.segmentation.scoring import CASE
from cnnkit.tasks.segmentation.volumes.sheets import Sheet

TRUTH, ANSWER, BOTH = (86, 180, 233), (240, 228, 66), (255, 255, 255)
OUTLINE, TINT = 2, 0.15  # px; share of the colour inside
WORST, BEST = 6, 3  # cases that are shown
CHARTS = 12  # labels with a chart of their own
DOTS = 400  # cases of a chart
PANEL, GAP = 260, 8  # px
AROUND, LEAST = 0.15, 48  # what a cut shows around: a share of its side; px that it has at least
SLICES, SLICE, NEAR = (
    2,
    150,
    24,
)  # of a volume, slices of each plane; px of the longest side of one; mm that it shows at least
LONGEST = 40  # letters of a name
NONE = "\u2013"
_WHICH = (
    "Objects are what hangs together, corners too. One is found where an answer overlaps it with an IoU of 0.1",
    "Objects are those that masks tell apart. One is found where an answer overlaps it with an IoU of 0.5",
)
_PRECISION = (
    "AP at IoU 0.5 is the share of objects found, of all found, missed and invented (Schmidt et al. 2018), the mean over cases. "
    "The count error is by how many objects a case has too many or too few, also as a share of those there."
)


def sections(scores: Mapping[str, Any]) -> list[Any]:
    """Return what scores are made of."""
    return [labels(scores), cases(scores), areas(scores)]


def made(task: Any, splits: Any, artifact: Any, scores: Any, found: Any, truth: Any) -> list[Any]:
    """Return the sections that are made of pictures, what numbers mean, and why pictures are seen as they are."""
    regions = task.regions or splits.test.regions
    found, truth = drawn_apart(found, truth)
    shown = extremes(scores, splits.test, found, truth, regions, artifact.labels)
    return [shown, conventions(scores), reasons(splits.card)]


# Numbers --------------------------------------------------------------------------------------------------------------


def labels(scores: Mapping[str, Any]) -> blocks.Section | None:
    """What each label is scored."""
    classes, others = scores.get("per_class"), scores.get("labels")
    if not classes or not others:
        return None
    known = [values["dice"] for values in classes.values() if values["dice"] is not None]
    lowest = min(known, default=0.0)
    start, length = blocks.scale_start([lowest]), unit(scores, "hd95")
    overlap: list[list[blocks.Cell | str]] = []
    objects: list[list[blocks.Cell | str]] = []
    apart = "ap50" in scores
    for label, values in classes.items():
        about, dice = others[label], values["dice"]
        weakest = len(known) > 1 and dice == lowest < 1
        share = None if dice is None else (dice - start) / (1 - start)
        overlap.append(
            [
                label,
                blocks.Cell(_percent(dice), share, "bad" if weakest else "quiet" if dice is None else ""),
                _range(about["dice_interval"]),
                *(_cell(values[key], _percent) for key in ("iou", "nsd", "sensitivity", "precision")),
                _cell(values["hd95"], _length),
                _cell(about["hd95_median"], _length),
            ]
        )
        counts = [f"{about[key]:,}" for key in ("found", "missed", "invented")]
        objects.append(
            [label, f"{values['support']:,}", f"{about['left_out']:,}", *counts, _cell(values["f1"], _percent)]
        )
        if apart:
            parts = (("ap50", _percent), ("count_error", _length), ("count_error_share", _percent))
            objects[-1] += [_cell(values[key], write) for key, write in parts]
    tolerance = scores.get("tolerance", "the tolerance")
    text = (
        "Each score is the mean over cases, of each label on its own. Dice and IoU say how far truth and answer cover each "
        "other, surface Dice how much of their borders agree, HD95 how far apart the borders are where they are far apart. "
        "Sensitivity: how much of what is there was drawn. Precision: how much of what was drawn is there. "
        f"{'Objects are told apart.' if apart else 'Objects are what hangs together.'} "
        f"The dots are on a scale from {blocks.percent(start, 0)} to 100{blocks.THIN}%."
    )
    head = [
        "label",
        "Dice",
        f"95{blocks.THIN}% interval",
        "IoU",
        f"surface Dice at {tolerance}",
        "sensitivity",
        "precision",
    ]
    head += [f"HD95 mean, {length}", f"HD95 median, {length}"]
    count = ["label", "cases with it", "left out: in neither", "objects found", "missed", "invented", "F1 of objects"]
    count += ["AP at IoU 0.5", "count error", "of the count"] if apart else []
    tables = [
        blocks.Table(head, overlap, numbers=range(1, 9)),
        blocks.Table(count, objects, numbers=range(1, len(count))),
    ]
    return blocks.Section("Labels", text, tables, wide=True)


def _first(scores: Mapping[str, Any]) -> tuple[int, str]:
    """Return where the score that stands first is among those of a case, and what it is called; of early runs it is Dice."""
    rows: Sequence[Any] = next(iter((scores.get("per_case") or {}).values()), [])
    return (
        (len(CASE), "AP at IoU 0.5") if "ap50" in scores and all(len(row) > len(CASE) for row in rows) else (0, "Dice")
    )


def cases(scores: Mapping[str, Any]) -> blocks.Section | None:
    """The score of each case that stands first, a chart a label."""
    rows = scores.get("per_case") or {}
    place, name = _first(scores)
    known = {label: [row[place] for row in own if row[place] is not None] for label, own in rows.items()}
    names, many = _weakest({label: values for label, values in known.items() if values})
    charts = []
    most = 0
    for number, label in enumerate(names):
        values = np.sort(known[label])
        mean, median = blocks.percent(values.mean(), 1), blocks.percent(float(np.median(values)), 1)
        most = max(most, len(values))
        some = values[np.unique(np.linspace(0, len(values) - 1, DOTS).astype(int))] if len(values) > DOTS else values
        none = f", {blocks.percent(np.mean(values == 0), 0)} of them 0" if values[0] == 0 else ""
        described = (
            f"{name} of {len(values):,} cases{none}: mean {mean}, median {median}, from {blocks.percent(values[0], 1)} to "
            f"{blocks.percent(values[-1], 1)}."
        )
        legend = (("ink", f"mean {mean}"), ("two", f"median {median}"))
        svg = figures.spread(some.tolist(), name=f"cases-{number}")
        charts.append(blocks.Chart(svg, f"{label}: {len(values):,} cases", described, legend, axes=f"{name} \u2192"))
    if not charts:
        return None
    text = (
        "Each dot is a case; those that are alike lie on one another. A mean hides what a few cases at the left do: look at them "
        "below. Cases in which a label is neither there nor drawn have no dot."
    )
    if most > DOTS:
        text += f" Of more than {DOTS} cases so many are drawn, evenly from the worst to the best; mean and median are of all."
    return blocks.Section("Case by case", text + many, [blocks.Charts(charts)], wide=len(charts) > 2)


def areas(scores: Mapping[str, Any]) -> blocks.Section | None:
    """Area drawn against area there (Bland and Altman 1986), a chart a label."""
    rows = scores.get("per_case") or {}
    measure = size_unit(scores)
    solid = measure in ("ml", "voxels")
    area = "Volume" if solid else "Area"
    found = {}
    for label, own in rows.items():
        pairs = np.array([row[1:3] for row in own if row[1] or row[2]], float).reshape(-1, 2)
        if len(pairs) > 1:
            found[label] = pairs
    names, many = _weakest({label: [row[0] or 0.0 for row in rows[label]] for label in found})
    charts, table = [], []
    for number, label in enumerate(names):
        true, said = found[label].T
        low, middle, high = agreement(true, said)
        means, apart = (true + said) / 2, said - true
        order = np.argsort(means, kind="stable")
        order = order[np.unique(np.linspace(0, len(order) - 1, DOTS).astype(int))] if len(order) > DOTS else order
        svg = figures.differences(
            means[order].tolist(), apart[order].tolist(), (middle, low, high), name=f"areas-{number}"
        )
        told = f"mean difference {_signed(middle)}{blocks.THIN}{measure}, limits {_signed(low)} to {_signed(high)}"
        legend = (("ink", f"mean {_signed(middle)}"), ("two", f"limits {_signed(low)} to {_signed(high)}"))
        axes = f"answer less truth \u2191 over the mean of both \u2192, {measure}"
        charts.append(
            blocks.Chart(
                svg, label, f"{area} of {label}, answer less truth, of {len(true):,} cases: {told}.", legend, axes
            )
        )
        of_truth = f"{_signed(100 * (said.sum() / true.sum() - 1))}{blocks.THIN}%" if true.sum() else NONE
        table.append([label, f"{len(true):,}", _signed(middle), f"{_signed(low)} to {_signed(high)}", of_truth])
    if not charts:
        return None
    text = (
        f"Is {'a volume' if solid else 'an area'} measured right? Each dot is a case: how much larger the answer is than the "
        f"truth, in {measure}, over how large both are. The line is the mean difference, what is measured too much or too little "
        "as a rule; between the dashed lines, the limits of agreement, lie 95 of 100 cases if differences are spread as a bell. "
        "Dots that fan out say that errors grow with size. Cases without the label in truth and answer are left out."
    )
    head = [
        "label",
        "cases",
        f"mean difference, {measure}",
        f"95{blocks.THIN}% limits of agreement",
        f"of all {area.lower()}",
    ]
    content = [blocks.Charts(charts), blocks.Table(head, table, numbers=range(1, 5))]
    return blocks.Section(f"{area} against truth", text + many, content, wide=len(charts) > 2)


def size_unit(scores: Mapping[str, Any]) -> str:
    """Return the unit of areas or volumes; early runs did not say it."""
    return str(scores.get("sizes") or ("mm\u00b2" if unit(scores, "hd95") == "mm" else "px"))


def agreement(true: np.ndarray, said: np.ndarray) -> tuple[float, float, float]:
    """Return the lower limit of agreement, the mean difference and the upper limit: mean and 1.96 standard deviations.

    Args:
        true, said: measurements of the same things, two or more.
    """
    apart = np.asarray(said, float) - np.asarray(true, float)
    middle, wide = float(apart.mean()), 1.96 * float(apart.std(ddof=1))
    return middle - wide, middle, middle + wide


def conventions(scores: Mapping[str, Any]) -> blocks.Section | None:
    """What the numbers mean, in words."""
    others = scores.get("labels")
    if not others:
        return None
    length, tolerance = unit(scores, "hd95"), scores.get("tolerance", "the tolerance")
    left_out = sum(about["left_out"] for about in others.values())
    patients = scores.get("patients", scores.get("count", 0))
    sizes = size_unit(scores)
    solid = sizes in ("ml", "voxels")
    one = f", one a {'volume' if solid else 'picture'}"
    cut = (
        "A surface is cut into elements between voxels, one at each corner where the eight voxels around are not all alike, each "
        "as large as the surface that runs through it"
        if solid
        else "A border is cut into elements between pixels, one at each corner where the four pixels around are not all alike, "
        "each as long as the contour that runs through it"
    )
    lines = [
        "Dice is twice what truth and answer share, of the sum of both. It is taken of each case and label, then the mean over "
        "cases, then over labels: a large object counts no more than a small one.",
        f"Where a label is neither there nor drawn, nothing can be said: such a case is left out and counted ({left_out:,} here, "
        "over all labels).",
        "Where it is there and not drawn, or drawn and not there, Dice, IoU and surface Dice are 0, and HD95 is the diagonal of "
        f"the {'volume' if solid else 'picture'}.",
        f"{cut} (Nikolov et al. 2018). Distances are from the elements of one border to the nearest of the other.",
        f"Surface Dice is the share of both borders that lies no further than {tolerance} from the other.",
        "HD95: 95 % of the border of the answer is no further from that of the truth than one distance, 95 % of that of the "
        "truth no further from that of the answer than another; HD95 is the larger of the two. Missed cases weigh on its mean: "
        "read its median beside it.",
        f"Distances are in mm, {'volumes' if solid else 'areas'} in {sizes}, by the distance of "
        f"{'voxels' if solid else 'pixels'} that the data states."
        if length == "mm"
        else "Distances and areas are in px: the distance of pixels is not known for every picture.",
        f"{_WHICH['ap50' in scores]} or more, each answer for one object; what is left of the truth is missed, what is "
        "left of the answer invented.",
        *([_PRECISION] if "ap50" in scores else []),
        f"Intervals hold 95 % of 2,000 means over patients drawn again with replacement; {patients:,} "
        f"{'is' if patients == 1 else 'are'} told apart here{'' if patients != scores.get('count') else one}.",
        f"{'Voxels' if solid else 'Pixels'} that are marked to be ignored count nowhere.",
    ]
    return blocks.Section("How it is measured", "What the numbers on this page mean.", [blocks.Lines(lines)])


def reasons(card: Mapping[str, Any]) -> blocks.Section | None:
    """Why pictures are seen as they are, as the data's fingerprint has it, and what was warned of."""
    warnings = card.get("nameless", card.get("warnings"))
    content = [
        blocks.Lines(lines, title)
        for lines, title in ((card.get("notes"), "Found, and what follows"), (warnings, "Warnings"))
        if lines
    ]
    text = (
        "How the network sees its input was chosen from what the training data is like, unless it was asked for. Each of "
        "these can be chosen otherwise: `train --help` names the options."
    )
    return blocks.Section("Why it is seen so", text, content) if content else None


# Pictures -------------------------------------------------------------------------------------------------------------


def extremes(
    scores: Mapping[str, Any],
    records: Any,
    found: Sequence[np.ndarray],
    truth: Sequence[Any],
    regions: Sequence[Sequence[int]],
    labels: Sequence[str],
) -> blocks.Section | None:
    """The worst and the best cases: truth, answer, both."""
    rows = scores.get("per_case") or {}
    if not rows or any(len(own) != len(found) for own in rows.values()):
        return None
    place, name = _first(scores)
    table, overlap = (
        np.array([[np.nan if row[column] is None else row[column] for row in rows[label]] for label in labels], float).T
        for column in (place, 0)
    )
    said = np.flatnonzero(~np.isnan(table).all(1))
    if not len(said):
        return None
    order = said[np.lexsort([np.nanmean(overlap[said], axis=1), np.nanmean(table[said], axis=1)])].tolist()
    worst = order[:WORST]
    best = [index for index in order[::-1][:BEST] if index not in worst]
    names = shortened([case.name for case in truth])
    solid = truth[0].codes.ndim == 3
    content: list[blocks.Block] = [blocks.Legend([(TRUTH, "truth"), (ANSWER, "answer"), (BOTH, "both alike")])]
    if len(labels) > 1:
        own = [(colour(place), label) for place, label in enumerate(labels)]
        content = [blocks.Legend([*own, (TRUTH, "truth alone"), (ANSWER, "answer alone"), (BOTH, "both alike")])]
    for title, chosen in (("Worst, the worst first", worst), ("Best, the best first", best)):
        pictures = []
        for index in chosen:
            if solid:
                spacing = records.spacing(index)
                picture = sheets(records.native(index), truth[index].codes, found[index], regions, spacing)
            else:
                picture = triptych(records.native(index), truth[index].codes, found[index], regions)
            known = {label: value for label, value in zip(labels, table[index].tolist()) if not np.isnan(value)}
            each = ", ".join(f"{label} {blocks.percent(value, 0)}" for label, value in known.items())
            mean = f"{name} {blocks.percent(float(np.nanmean(table[index])), 1)}"
            if place:
                mean += f", Dice {blocks.percent(float(np.nanmean(overlap[index])), 1)}"
            note = f"{mean} ({each})" if len(labels) > 1 else mean
            described = f"{names[index]}, {note}: truth, answer, and both."
            source = blocks.picture(picture, largest=max(3 * PANEL + 2 * GAP, *(picture.shape[:2] if solid else (0,))))
            pictures.append(blocks.Picture(source, described, names[index], note))
        if pictures:
            side = 620 if solid else 420
            content.append(blocks.Pictures(pictures, f"{title}: truth, answer, both", smooth=True, side=side))
    slices = "Slices from above, from the front and from the side, a row each, spread over what is there or drawn. "
    text = (
        "Each case three times: with the outline of the truth, of the answer, and of both, white where they are the same, cut to "
        f"where these are. {slices if solid else ''}Look for what bad cases share: a place, a size, a contrast, a device. Some "
        "truths are wrong, too."
    )
    return blocks.Section("Worst and best cases", text, content, wide=True)


def triptych(
    picture: np.ndarray, truth: np.ndarray, answer: np.ndarray, regions: Sequence[Sequence[int]]
) -> np.ndarray:
    """Draw a case three times beside each other: with its truth, its answer, and both.

    Args:
        picture: uint8, uint16 or float (h, w) or (h, w, c).
        truth, answer: code maps, uint8 (h, w).
        regions: the codes of each label.

    Returns:
        uint8 (height, width, 3), each part at most 260 px a side.
    """
    known = truth != IGNORE
    masks = [planes(codes, regions) & known for codes in (truth, answer)]
    window = around((masks[0] | masks[1]).any(0))
    shown = as_shown(picture)[window]
    scale = PANEL / max(shown.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in shown.shape[1::-1])
    shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    sharp = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    there, said = (
        np.stack([cv2.resize(plane[window].astype(np.float32), size, interpolation=sharp) >= 0.5 for plane in own])
        for own in masks
    )
    return _three(shown, there, said)


def sheets(
    volume: np.ndarray,
    truth: np.ndarray,
    answer: np.ndarray,
    regions: Sequence[Sequence[int]],
    spacing: Sequence[float],
) -> np.ndarray:
    """Draw a volume three times beside each other, as contact sheets: with its truth, its answer, and both.

    Args:
        volume: numbers (d, h, w, c), axes to the head, to the back and to the left.
        truth, answer: code maps, uint8 (d, h, w).
        regions: the codes of each label.
        spacing: mm along each axis.

    Returns:
        uint8 (height, width, 3).
    """
    every = sorted({code for region in regions for code in region})
    has = np.isin(truth, every) | (np.isin(answer, every) & (truth != IGNORE))
    window = around(has, [round(NEAR / step) for step in spacing])
    volume, there, said = volume[window], truth[window], np.where(truth == IGNORE, 0, answer)[window]
    sheet = Sheet.of(has[window].astype(np.uint8), ((1,),), spacing, SLICES, SLICE)
    return _three(sheet.picture(volume), sheet.planes(there, regions), sheet.planes(said, regions))


def _three(shown: np.ndarray, there: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Draw a picture, uint8 (h, w, 3), with outlines of bool (labels, h, w) each: of what is there, of what is said, of both."""
    own = [colour(place) for place in range(len(there))] if len(there) > 1 else None
    parts = [
        outlined(shown, there, own or [TRUTH], tint=TINT, line=OUTLINE),
        outlined(shown, said, own or [ANSWER], tint=TINT, line=OUTLINE),
        shown.copy(),
    ]
    lines = [np.any([rim(plane, OUTLINE) for plane in planes], axis=0) for planes in (there, said)]
    for where, paint in ((lines[0], TRUTH), (lines[1], ANSWER), (lines[0] & lines[1], BOTH)):
        parts[2][where] = paint
    gap = np.full((len(shown), GAP, 3), 128, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)


def around(mask: np.ndarray, least: Sequence[int] = (LEAST, LEAST)) -> tuple[slice, ...]:
    """Return a box around a mask, bool (*sides), with a margin, of `least` sides; everything where the mask is empty."""
    if not mask.any():
        return tuple(slice(0, side) for side in mask.shape)
    box = []
    for axis, length in enumerate(mask.shape):
        places = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        low, high = int(places[0]), int(places[-1]) + 1
        side = min(length, max(least[axis], round((high - low) * (1 + 2 * AROUND))))
        start = min(max(0, (low + high - side) // 2), length - side)
        box.append(slice(start, start + side))
    return tuple(box)


def shortened(names: Sequence[str]) -> list[str]:
    """Return names without folders, or with the last one where names alone are not all different; 40 letters at most."""
    parts = [PurePath(name).parts or ("",) for name in names]
    last = [part[-1] for part in parts]
    if len(set(last)) < len(last):
        last = ["/".join(part[-2:]) for part in parts]
    return [name if len(name) <= LONGEST else f"{name[:18]}\u2026{name[-21:]}" for name in last]


# Words ----------------------------------------------------------------------------------------------------------------


def _weakest(values: Mapping[str, Sequence[float]]) -> tuple[list[str], str]:
    """Return the labels that have a chart, and a sentence where others have none."""
    if len(values) <= CHARTS:
        return list(values), ""
    order = sorted(values, key=lambda label: float(np.mean(values[label])))
    return order[:CHARTS], f" Of {len(values)} labels the {CHARTS} weakest are drawn."


def _cell(value: float | None, write: Any) -> blocks.Cell:
    return blocks.Cell(NONE, tone="quiet") if value is None else blocks.Cell(write(value))


def _percent(value: float | None) -> str:
    return NONE if value is None else blocks.percent(value, 1)


def _length(value: float) -> str:
    return f"{value:.1f}"


def _range(interval: Sequence[float] | None) -> blocks.Cell:
    if interval is None:
        return blocks.Cell(NONE, tone="quiet")
    return blocks.Cell(" to ".join(f"{100 * bound:.1f}" for bound in interval))


def _signed(value: float) -> str:
    text = f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.3g}"
    return text.replace("-", blocks.MINUS)

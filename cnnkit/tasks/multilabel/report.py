"""The section of a report about several labels an input: their thresholds, and precision over recall."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.excerpts import printable
from cnnkit.report import blocks, figures

CURVES = 6  # labels with a curve, the weakest
LABELS = 60  # thresholds shown, those of the rarest labels left out
NONE = "\u2013"


def thresholds(scores: Mapping[str, Any]) -> blocks.Section | None:
    """The threshold of each label, where an input may have several, and precision over recall beside it."""
    found = scores.get("thresholds")
    if not isinstance(found, Mapping) or not found:
        return None
    by_label, rare = scores.get("per_class") or {}, scores.get("rare") or {}
    ordered = sorted(found, key=lambda label: -by_label.get(label, {}).get("support", 0))
    rows: list[list[blocks.Cell | str]] = []
    for label in ordered[:LABELS]:
        values = by_label.get(label, {})
        cells = [
            blocks.Cell(blocks.percent(values[key], 1) if key in values else NONE) for key in ("precision", "recall")
        ]
        shown = printable(label) + (", too rare to say" if label in rare else "")
        rows.append([shown, blocks.Cell(f"{found[label]:.3f}", min(1.0, max(0.0, found[label]))), *cells])
    text = (
        "An input gets every label whose probability reaches the label's own threshold; so it may get several, or none. The "
        "thresholds were chosen on validation data, for the best F1 of each label; those of rare labels are drawn towards the "
        "common one. The dots are on a scale from 0 to 1."
    )
    text += " A higher threshold gives a label less often, and is then more often right." if rows else ""
    if rare:
        text += f" Too few validation records have {len(rare)} of the labels to say how often these are right."
    if len(ordered) > LABELS:
        text += f" Of {len(ordered)} labels the {LABELS} most frequent are shown."
    head = ["label", "threshold", "right of those given", "found of those due"]
    content: list[blocks.Block] = [blocks.Table(head, rows, numbers=(1, 2, 3))]
    charts = _curves(scores.get("curves") or {}, by_label, ordered)
    if charts:
        content.append(blocks.Charts(charts))
        text += (
            " The curves show how often a label is right (precision, upwards) where more of what is due is found (recall, to the "
            "right), on the test records; the dot is where its threshold stands."
        )
    return blocks.Section("Thresholds", text, content, wide=len(charts) > 2)


def _curves(
    curves: Mapping[str, Any], by_label: Mapping[str, Any], ordered: Sequence[str], most: int = CURVES
) -> list[blocks.Chart]:
    """Draw precision over recall of the labels with the lowest F1."""
    there = [label for label in ordered if label in curves and len(curves[label]["recall"]) > 1]
    weakest = sorted(there, key=lambda label: by_label.get(label, {}).get("f1", 0.0))[:most]
    charts = []
    for number, label in enumerate(weakest):
        values = by_label.get(label, {})
        dot = (values["recall"], values["precision"]) if values.get("recall") else None
        svg = figures.precision_recall([(curves[label], "one", dot)], name=f"label-pr-{number}")
        title = f"{printable(label)}, F1 {blocks.percent(values.get('f1', 0.0), 1)}"
        described = f"Precision over recall of {printable(label)}"
        charts.append(blocks.Chart(svg, title, described, axes="precision \u2191 over recall \u2192"))
    return charts

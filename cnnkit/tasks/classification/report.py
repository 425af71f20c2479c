"""The sections of a report on one class an input: what is taken for what, and how sure the model may be.

As everywhere in a report, a section appears where its data is there, and says in plain words how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.report import figures, sections
from cnnkit.report.blocks import Chart, Charts, Facts, Section, percent
from cnnkit.tasks.classification import operating


def characteristic(scores: Mapping[str, Any]) -> Section | None:
    """The ROC curve of a finding, with the point that the threshold gives, and what that point means."""
    curve = scores.get("roc")
    if not curve:
        return None
    what, threshold = scores["finding"], scores["threshold"]
    pair = [(scores[name], scores[f"{name}_interval"]) for name in ("sensitivity", "specificity")]
    said = [f"{percent(value, 1)} ({percent(low, 1)} to {percent(high, 1)})" for value, (low, high) in pair]
    low, high = scores["auc_interval"]
    area = f"{percent(scores['auc'], 1)} ({percent(low, 1)} to {percent(high, 1)})"
    (sensitivity, first), (specificity, second) = pair
    described = f"ROC curve; area {area}; at the threshold sensitivity {said[0]}, specificity {said[1]}."
    point = ((1 - specificity, sensitivity), (1 - second[1], 1 - second[0]), tuple(first))
    chart = Chart(figures.roc(curve, point), "Found, over false alarms", described, axes="false alarms")
    chosen_on = scores.get("chosen_on")
    asked = scores.get("asked_specificity")
    rule = "Youden's J" if asked is None else f"for a specificity of {percent(asked, 1)} there"
    if operating.missed(asked, scores.get("reached_specificity")):
        rule += f"; only {percent(scores['reached_specificity'], 1)} could be had"
    how = f"chosen on {chosen_on:,} validation records ({rule})" if chosen_on else "as nothing chose another"
    groups = scores["patients"] != scores["count"]
    facts = {
        "Finding": what,
        "Threshold": f"{threshold:.4f} of its score, {how}",
        "Sensitivity": f"{said[0]}: so many with it are found",
        "Specificity": f"{said[1]}: so many without it are let go",
        "Area under the curve": area,
        "Records": f"{scores['count']:,}" + (f", of {scores['patients']:,} groups, such as patients" if groups else ""),
    }
    text = (
        "Every threshold is a point: how many records with the finding it finds, over how many without it it takes for one. "
        "The dot is the threshold in use, with 95 % intervals of both; the dashed line is a score by lot. The area is the "
        "share of pairs, one with the finding and one without, whose scores are in the right order."
    )
    if groups:
        text += " Records of one group are no independent cases: the intervals count groups."
    return Section("Finding it", text, [Charts([chart]), Facts("At the threshold", facts)])


def answered(scores: Mapping[str, Any]) -> Section | None:
    """How many answers are given, and what these are worth, where the others are "unknown"."""
    found = scores.get("answered")
    if not found:
        return None

    def said(name: str) -> str:
        if found[name] is None:
            return "nothing is answered"
        low, high = found[f"{name}_interval"]
        return f"{percent(found[name], 1)} ({percent(low, 1)} to {percent(high, 1)})"

    facts = {
        "Answered from": f"a score of {percent(found['known_from'], 1)} on",
        "Answered": said("share"),
        "Of these right": said("accuracy"),
    }
    asked = percent(found["asked"], 1)
    text = (
        f'Below this score the answer is "unknown". It was chosen so that {asked} of the validation records are answered; these '
        "are its shares of the test records, each of which shows a class. They do not say how many records that show none are "
        "found out: `evaluate --unknown FOLDER` does. One that looks like a class to the model has a high score and is not "
        "found out. The other sections count unknown records by the class that is nearest."
    )
    return Section("Answered, or unknown", text, [Facts("Answers", facts)])


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

"""Whether a score is worth anything: beside the baseline, and beside an answer that needs no model at all.

Design choices:
- Answers to the same records are compared one by one where that is known (McNemar's exact test): on 300 records it tells a
  difference of 4 points from chance where two intervals still overlap. Elsewhere the interval of the difference decides.
- "Always the same answer" is the other bar: 87 % is nothing where 87 of 100 texts are of one class.
- A model that is below one of the two is bad, and so is one that is not above the second as far as its records can tell.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnkit import metrics

CHANCE = 0.05  # p below which a difference is hardly by chance


def judge(key: str, scores: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> dict[str, Any]:
    """Judge a score.

    Args:
        key: of the headline score, such as "accuracy"; `scores` has it with its interval.
        scores: as a task scores.
        baseline: the same score of a baseline, with `against` where answers were compared one by one; None: there is none.

    Returns:
        `kind`: "below" the baseline, at "chance", "level" with the baseline (not above it, which may be chance), "ahead" (above
        it, which may be chance), "better", or "alone" where there is none; `bad`, for the first two; `text`, a sentence;
        `difference` to the baseline with its 95 % `interval`, in [-1, 1], and `p` of the paired test, where they are known.
    """
    value: float = scores[key]
    low, high = scores[f"{key}_interval"]
    known: dict[str, Any] = {}
    kind, text = "alone", "There is no baseline to compare it with."
    if baseline is not None and key in baseline:
        known["difference"] = value - baseline[key]
        other = baseline.get(f"{key}_interval", (baseline[key], baseline[key]))
        known["interval"] = list(metrics.difference_interval(value, (low, high), baseline[key], other))
        found = baseline.get("against")
        if found:
            known["p"] = found["p"]
        sure = found["p"] < CHANCE if found else not known["interval"][0] <= 0 <= known["interval"][1]
        kind, text = _beside(known["difference"], sure)
    simple = _without_a_model(key, scores)
    if simple is not None and (kind != "below" or value <= simple["value"]):
        name, share = simple["name"], simple["value"]
        if value <= share:
            kind, text = "chance", f"No better than chance: {_percent(value)}; {name} has {_percent(share)}."
        elif not simple["sure"]:
            kind = "chance"
            text = (
                f"As far as {scores.get('count', 0):,} records can tell no better than chance: {_percent(value)}; {name} "
                f"has {_percent(share)}."
            )
    return {"kind": kind, "bad": kind in ("below", "chance"), "text": text, **known}


def _beside(difference: float, sure: bool) -> tuple[str, str]:
    points = f"{abs(100 * difference):.1f} points"
    if sure and difference < 0:
        return "below", f"Worse than the baseline by {points}, and not by chance: the plain model is the better one."
    if sure:
        return "better", f"Better than the baseline by {points}, hardly by chance."
    if difference <= 0:
        less = f"{points} below the baseline, which may be chance" if difference else "As good as the baseline"
        return "level", f"{less}: the network is not shown to be worth more than a plain model."
    return "ahead", f"Better than the baseline by {points}, which may be chance."


def _without_a_model(key: str, scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the best answer that is always the same scores: `name`, `value`, and whether the model is surely above it."""
    low = scores[f"{key}_interval"][0]
    labels = list(scores.get("per_class", {}))
    if key == "accuracy" and labels and len(scores.get("confusion", ())) == len(labels):
        matrix = np.array(scores["confusion"])
        most = int(matrix.sum(1).argmax())
        won = int(np.trace(matrix) - matrix[most, most])
        lost = int(matrix[most].sum() - matrix[most, most])
        sure = won > lost and metrics.mcnemar(won, lost) < CHANCE
        value = float(matrix[most].sum() / max(1, matrix.sum()))
        return {"name": f"always answering {labels[most]}", "value": value, "sure": sure}
    if key == "micro_f1" and labels and scores.get("count"):
        there = np.sort([entry["support"] for entry in scores["per_class"].values()])[::-1]
        given = scores["count"] * np.arange(1, len(there) + 1)
        value = float((2 * np.cumsum(there) / np.maximum(1, given + there.sum())).max())
        return {"name": "always giving the most frequent labels", "value": value, "sure": low > value}
    return {"name": "finding nothing", "value": 0.0, "sure": True} if scores[key] == 0 else None


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"

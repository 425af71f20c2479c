"""Whether a score is worth anything: beside the baseline, and beside an answer that needs no model at all.

Design choices:
- Answers to the same records are compared one by one where that is known (McNemar's exact test): on 300 records it tells a
  difference of 4 points from chance where two intervals still overlap. Elsewhere the interval of the difference decides.
- "Always the same answer" is the other bar: 87 % is nothing where 87 of 100 texts are of one class.
- What that answer scores the task itself says (`constant` of its scores), as it knows what is always there.
- A model that is below one of the two is bad, and so is one that is not above the second as far as its records can tell.
"""

from collections.abc import Mapping
from typing import Any

from cnnkit import metrics
from cnnkit.metrics import CHANCE
from cnnkit.score import Score, headline


def judge(scores: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> dict[str, Any]:
    """Judge a score.

    Args:
        scores: as a task scores, or as `run.json` has them; `cnnkit.score.Scores` says what is looked at.
        baseline: the same score of a baseline, with `against` where answers were compared one by one; None: there is none.

    Returns:
        `kind`: "below" the baseline, at "chance", "level" with the baseline (not above it, which may be chance), "ahead" (above
        it, which may be chance), "better", or "alone" where there is none; `bad`, for the first two; `text`, a sentence;
        `difference` to the baseline with its 95 % `interval`, as the score's values are, above 0 where the model is the better
        one, and `p` of the paired test, where they are known.

    Raises:
        ValueError: there is no score that stands first.
    """
    score = headline(scores)
    if score is None:
        raise ValueError(f"`scores` need one that stands first. Received: {', '.join(scores) or 'none'}.")
    if scores.get("undefined"):
        return {"kind": "alone", "bad": True, "text": scores["undefined"]}
    known: dict[str, Any] = {}
    kind, text = "alone", "There is no baseline to compare it with."
    if baseline is not None and score.name in baseline:
        known, sure = _against(score, score.of(baseline), baseline.get("against"))
        kind, text = _beside(score, known["difference"], sure)
    constant = scores.get("constant")
    if constant is not None and (kind != "below" or score.gain(constant["value"], score.value) <= 0):
        beside = f"{score.said(score.value, 1)}; {constant['name']} has {score.said(constant['value'], 1)}."
        if score.gain(constant["value"], score.value) <= 0:
            kind, text = "chance", f"No better than chance: {beside}"
        elif not constant["sure"]:
            kind = "chance"
            text = f"As far as {scores.get('count', 0):,} records can tell no better than chance: {beside}"
    return {"kind": kind, "bad": kind in ("below", "chance"), "text": text, **known}


def behind(judged: Mapping[str, Any]) -> bool:
    """Whether a score that was judged is on the wrong side of its baseline's, be it by chance."""
    return judged["kind"] == "level" and judged["difference"] < 0


def _against(score: Score, other: Score, paired: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """Return what is known of the difference to a baseline, and whether it is hardly by chance."""
    known: dict[str, Any] = {"difference": score.gain(other.value, score.value)}
    if score.interval is not None:
        wide = other.interval or (other.value, other.value)
        ends = metrics.difference_interval(score.value, score.interval, other.value, wide)
        known["interval"] = sorted(score.gain(0, end) for end in ends)
    if paired:
        known["p"] = paired["p"]
        return known, paired["p"] < CHANCE
    return known, "interval" in known and not known["interval"][0] <= 0 <= known["interval"][1]


def _beside(score: Score, difference: float, sure: bool) -> tuple[str, str]:
    apart = score.apart(difference)
    if sure and difference < 0:
        return "below", f"Worse than the baseline by {apart}, and not by chance: the plain model is the better one."
    if sure:
        return "better", f"Better than the baseline by {apart}, hardly by chance."
    if difference <= 0:
        less = f"{apart} {score.behind} the baseline, which may be chance" if difference else "As good as the baseline"
        return "level", f"{less}: the network is not shown to be worth more than a plain model."
    return "ahead", f"Better than the baseline by {apart}, which may be chance."

"""One class an input, on a device.

Design choices:
- An input that shows none of the classes gets one all the same, often with a low score. So where validation data chose a score
  that a share of them reach (`unknown` of the metadata: `below`, `accepted`, `chosen_on`), an answer with a lower one is
  "unknown". That is one rule for inputs of no class and for those that the model is not sure of, which a score cannot tell apart.
- What is compared is the highest score, which every file answers with, so no file has another output for it. With classes left
  out of three sets of pictures (`benchmarks/unknown.py`) it is about as good as any score of what a file answers, and it is weak:
  area under the ROC curve 0.56 to 0.85 for pictures of other classes, 0.10 to 0.86 for pictures of another kind altogether. The
  angle to the nearest training picture among the features has 0.54 to 0.92, and 0.99 or more; it needs these as a second output.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import Scores

UNKNOWN = "unknown"  # the answer, and the entry of the metadata that holds the threshold
OTHERS = (UNKNOWN, "other", "others", "background")  # classes that mean the same


def least(metadata: Mapping[str, Any] | None) -> float | None:
    """Return the highest score from which on an input counts as known; None: every input does."""
    about = (metadata or {}).get(UNKNOWN)
    return float(about["below"]) if about else None


class Classification(Scores):
    """Scores (n, classes), each row summing to 1.

    Of two labels one may be a finding (`screening` of the metadata: `finding`, `threshold`): then it is the answer from a
    threshold on that validation data chose, and `score` is always that of the finding.
    """

    name = "classification"
    demo = Path(__file__).with_name("demo")
    unsaid = True
    entry = "screening"

    def labels(self, metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        found = super().labels(metadata, shapes)
        about = metadata.get(self.entry)
        if about:
            if len(found) != 2 or about.get("finding") not in found:
                raise ValueError(f"looks for {about.get('finding')!r}, which is none of two labels")
            _refuse_no_share(about.get("threshold"))
        strange = metadata.get(UNKNOWN, {})
        if not isinstance(strange, Mapping):
            raise ValueError(f"has the entry `{UNKNOWN}` {strange!r}, which is no object")
        for name in ("below", "accepted") if strange else ():
            _refuse_no_share(strange.get(name))
        return found

    def answer(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> Any:
        """As `Scores.answer`; of a finding: `label`, `score` of the `finding`, and its `threshold`.

        Where a file can say so, also `known`, and `known_from`, the highest score from which on it is; what is not has the label
        "unknown", and the label that it would have as `nearest`.
        """
        found = self._named(outputs, metadata, labels, top)
        limit = least(metadata)
        if limit is None:
            return found
        about = {"known": bool(float(outputs["scores"].max()) >= limit), "known_from": round(limit, 6)}
        return {**found, **about} if about["known"] else {**found, "label": UNKNOWN, **about, "nearest": found["label"]}

    def _named(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> dict[str, Any]:
        about = metadata.get(self.entry)
        if not about:
            named: dict[str, Any] = super().answer(outputs, metadata, labels, top)
            return named
        finding, threshold = about["finding"], about["threshold"]
        place = labels.index(finding)
        score = float(outputs["scores"][place])
        label = labels[place if score >= threshold else 1 - place]
        return {"label": label, "score": round(score, 6), "finding": finding, "threshold": round(threshold, 6)}

    def told(self, answer: Mapping[str, Any]) -> list[str]:
        if "nearest" not in answer:
            return self._told(answer)
        first, *others = self._told({**answer, "label": answer["nearest"]})
        return [f"{UNKNOWN}  (nearest: {first}; known from {answer['known_from']:.1%} on)", *others]

    def _told(self, answer: Mapping[str, Any]) -> list[str]:
        if "finding" not in answer:
            return super().told(answer)
        found, threshold = answer["finding"], answer["threshold"]
        return [f"{answer['label']}  ({found} {answer['score']:.1%}, from {threshold:.1%} on)"]

    def unknown(self, metadata: Mapping[str, Any], labels: Sequence[str]) -> Callable[[Mapping[str, Any]], bool] | None:
        """As `TaskKind.unknown`: by the threshold, or by a class that is called unknown, other or background."""
        if least(metadata) is None and not any(_is_other(label) for label in labels):
            return None
        return lambda answer: not answer.get("known", True) or _is_other(answer["label"])


def _is_other(label: str) -> bool:
    return label.strip().lower() in OTHERS


def _refuse_no_share(threshold: Any) -> None:
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ValueError(f"has the threshold {threshold!r}, which is no share")


KIND = Classification()

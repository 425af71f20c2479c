"""One class an input, on a device."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.kinds import Scores


class Classification(Scores):
    """Scores (n, classes), each row summing to 1.

    Of two labels one may be a finding (`screening` of the metadata: `finding`, `threshold`): then it is the answer from a
    threshold on that validation data chose, and `score` is always that of the finding.
    """

    name = "classification"
    unsaid = True
    entry = "screening"

    def labels(self, metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        found = super().labels(metadata, shapes)
        about = metadata.get(self.entry)
        if about:
            threshold = about.get("threshold")
            if len(found) != 2 or about.get("finding") not in found:
                raise ValueError(f"looks for {about.get('finding')!r}, which is none of two labels")
            if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
                raise ValueError(f"has the threshold {threshold!r}, which is no share")
        return found

    def answer(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> Any:
        """As `Scores.answer`; of a finding: `label`, `score` of the `finding`, and its `threshold`."""
        about = metadata.get(self.entry)
        if not about:
            return super().answer(outputs, metadata, labels, top)
        finding, threshold = about["finding"], about["threshold"]
        place = labels.index(finding)
        score = float(outputs["scores"][place])
        label = labels[place if score >= threshold else 1 - place]
        return {"label": label, "score": round(score, 6), "finding": finding, "threshold": round(threshold, 6)}

    def told(self, answer: Mapping[str, Any]) -> list[str]:
        if "finding" not in answer:
            return super().told(answer)
        found, threshold = answer["finding"], answer["threshold"]
        return [f"{answer['label']}  ({found} {answer['score']:.1%}, from {threshold:.1%} on)"]


KIND = Classification()

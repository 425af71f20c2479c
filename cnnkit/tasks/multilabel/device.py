"""Several labels an input, or none, on a device."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import Scores
from cnnkit.device.several import confidence, given, rare_of, thresholds_of


class Multilabel(Scores):
    """Scores (n, labels), each in [0, 1]; a label is given from its own threshold on, `thresholds` of the metadata."""

    name = "multilabel"
    demo = Path(__file__).with_name("demo")
    early = ("multi-label",)
    nothing: Mapping[str, Any] = {"label": None, "score": None, "sure": False, "top": []}

    def labels(self, metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        found = super().labels(metadata, shapes)
        thresholds = metadata.get("thresholds")
        if thresholds is None:
            return found
        if len(thresholds) != len(found):
            raise ValueError(f"has {len(thresholds)} thresholds for {len(found)} labels")
        if any(not isinstance(value, int | float) or not 0 <= value <= 1 for value in thresholds):
            raise ValueError("has thresholds that are no shares")
        return found

    def answer(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> Any:
        """Return `top`, all labels that are given, the best first, whatever was asked for; `label` and `score` of the first.

        Also `sure`, whether the answer is; where none is given, `label` is None, and `nearest` is the label nearest to it.
        """
        scores = np.asarray(outputs["scores"], np.float64)
        thresholds, rare = thresholds_of(metadata, labels), rare_of(metadata, labels)
        chosen = given(scores, thresholds)
        best = [
            {"label": labels[place], "score": round(float(scores[place]), 6)}
            for place in np.argsort(-scores, kind="stable").tolist()
            if chosen[place]
        ]
        sure = bool(confidence(scores[None], thresholds, rare)[0] >= (metadata.get("sure") or 0.0))
        if best:
            return {**best[0], "sure": sure, "top": best}
        nearest = labels[int((scores - thresholds).argmax())]
        return {"label": None, "score": None, "sure": sure, "top": [], "nearest": nearest}

    def told(self, answer: Mapping[str, Any]) -> list[str]:
        named = ", ".join(f"{entry['label']}  {entry['score']:.1%}" for entry in answer["top"]) or "none of the labels"
        return [named if answer["sure"] else f"not sure: {named}"]


KIND = Multilabel()

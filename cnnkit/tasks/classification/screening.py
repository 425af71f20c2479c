"""The task of saying whether an input shows a finding: two labels, of which one is looked for.

Design choices:
- It is classification in all but its scores and its answer. The area under the ROC curve stands first: it asks for no threshold,
  and what is rare does not flatter it.
- Which label is looked for, its threshold, sensitivity and specificity are those of any two labels
  (`cnnkit.tasks.classification.operating`). The threshold is Youden's, unless a specificity is asked for; without validation data
  it is 0.5.
- Scores are calibrated by one temperature, fitted on validation data. Where training weighed the rarer label up, the odds that it
  added are taken away again, so that a score says how often the finding is there in data like those of training.
- With more than two labels it is plain classification.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.data.records import Records
from cnnkit.errors import DataError
from cnnkit.evaluation.task import Metadata
from cnnkit.score import Score, Scores
from cnnkit.tasks.classification import operating, roc
from cnnkit.tasks.classification.linear import linear
from cnnkit.tasks.classification.operating import finding
from cnnkit.tasks.classification.scoring import Classification, Outputs, chosen

RARE = 1 / 3  # of the training records: a label of fewer is weighed up


def is_rare(records: Records) -> bool:
    """Whether one of two labels has so few of the training records that it is to be weighed up."""
    counts = records.counts()
    return len(counts) == 2 and bool(counts.min() < RARE * counts.sum())


def said_of(records: Records, positive: str | None = None) -> list[str]:
    """Return a line on what is looked for, perhaps by its name; none where there are other than two labels."""
    labels = records.label_names
    if len(labels) != 2:
        return []
    place = operating.place_of(labels, positive)
    count = records.counts()[place]
    return [f"The finding is {labels[place]!r}: {count:,} of {len(records):,} training {records.noun} show it."]


class Screening(Classification):
    """Whether an input shows a finding. Attributes as `Classification`.

    Args:
        odds: logarithm of how much oftener the training data have the finding than not; None: not known yet.
    """

    headline = "auc"
    tolerance = (0.5, 2.0)

    def __init__(self, odds: float | None = None):
        self.odds = odds

    def fitted(self, splits: Any, earlier: Mapping[str, Any]) -> Classification:
        """Return the task as it fits data: plain classification of more than two labels.

        Raises:
            DataError: the test split has one of the labels only, so that nothing could be scored.
        """
        labels = splits.train.label_names
        if len(labels) != 2:
            return Classification()
        counts = splits.test.counts()
        if len(splits.test) and not counts.all():
            lacking = labels[int(np.argmin(counts))]
            raise DataError(f"The test split has no {splits.test.noun} of {lacking!r}. Hold out more, or give others.")
        counts = splits.train.counts()
        place = finding(labels)
        return type(self)(float(np.log(counts[place] / counts[1 - place])) if counts.all() else None)

    def asked(self, settings: Any) -> dict[str, Any]:
        return {"weighted": bool(settings.class_weights), **super().asked(settings)}

    def answers(self, outputs: Outputs, labels: Sequence[str], metadata: Metadata = None) -> np.ndarray:
        if "said" in outputs or len(labels) != 2:
            return super().answers(outputs, labels, metadata)
        return operating.answers(outputs["scores"], labels, metadata)

    def calibrate(
        self,
        artifact: Any,
        records: Records,
        *,
        weighted: bool = False,
        specificity: float | None = None,
        positive: str | None = None,
        accept: float | None = None,
    ) -> dict[str, Any]:
        """Fit the temperature on validation data, and choose the threshold of the calibrated score.

        Args:
            artifact: the trained model.
            records: of the validation split.
            weighted: whether training weighed labels by the inverse of their frequency.
            specificity: that is to be reached; None: the threshold is Youden's.
            positive: the label that is looked for; None: as `operating.finding` says.
            accept: as `Classification.calibrate`, of the calibrated scores.

        Returns:
            `temperature`; `offset` (labels,), what is added to logits then; and as `scoring.chosen`.
        """
        labels = artifact.labels
        place = operating.place_of(labels, positive)
        offset = np.zeros(2)
        if weighted and self.odds is not None:
            offset[place] = self.odds if place == finding(labels) else -self.odds
        decided, scores, targets = self.tempered(artifact, records, offset if offset.any() else None)
        return decided | chosen(scores, targets, labels, place, specificity, accept)

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities and answers.

        Args:
            outputs: `scores`, float32 (n, 2); perhaps `said`, int (n,), and `patients`, int (n,).
            targets: int32 (n,).
            labels: names of both.
            metadata: of the artifact, for its threshold.

        Returns:
            as `Classification.score`, with the `auc` first, and per class sensitivity and specificity.

        Raises:
            DataError: no record has one of the labels, so that there is nothing to tell apart.
        """
        if len(labels) == 2 and len(np.unique(targets)) < 2:
            raise DataError(
                f"All {len(targets):,} records are of {labels[int(targets[0])]!r}. Give data with both labels."
            )
        return super().score(outputs, targets, labels, metadata)

    def arranged(self, scores: list[Score], facts: dict[str, Any]) -> tuple[list[Score], dict[str, Any]]:
        accuracy, _, area, *others = scores
        if area.name != self.headline:  # there are other than two labels
            return scores, facts
        constant = {"name": "a score by lot", "value": 0.5, "sure": (area.interval or (0.0, 1.0))[0] > 0.5}
        first = dataclasses.replace(area, per_class=accuracy.per_class)
        return [first, *others[:2], accuracy, *others[2:]], {**facts, "constant": constant}

    def compared(self, baseline: Mapping[str, Any]) -> str:
        if "auc" not in baseline or not (found := baseline.get("against")):
            return super().compared(baseline)
        number = "p < 0.001" if found["p"] < 0.001 else f"p = {found['p']:.3f}"
        verdict = "may be" if found["p"] >= metrics.CHANCE else "is hardly"
        return f"The difference of the two areas {verdict} chance ({number}, patients exchanged by lot)."

    def baseline(
        self, train: Records, test: Records, validation: Any = None, found: Any = None, whole: Records | None = None
    ) -> dict[str, Any]:
        """Score a linear model of the same inputs; as `Classification.baseline`, by the area under its curve.

        Returns:
            `name`, `auc` with its interval; with `found` also `against`: the p of the difference, two-sided.
        """
        labels = test.label_names
        if len(labels) != 2:
            return super().baseline(train, test, validation, found, whole)
        name, fitted = linear(train if whole is None else whole)
        scores = fitted(test)
        targets = test.targets(np.arange(len(test)))
        place = finding(labels)  # the area is the same whichever of two is looked for
        there = targets == place
        result: dict[str, Any] = {
            "name": name,
            "auc": roc.area(scores[:, place], there),
            "auc_interval": list(roc.interval(scores[:, place], there, test.groups)),
        }
        if found is None:
            return result
        apart = roc.parts(found["scores"][:, place], there) - roc.parts(scores[:, place], there)
        if test.groups is not None:
            apart = np.bincount(np.unique(test.groups, return_inverse=True)[1], apart)
        p = min(1.0, 2 * min(metrics.sign_flips(apart), metrics.sign_flips(-apart)))
        return {**result, "against": {"p": p}}

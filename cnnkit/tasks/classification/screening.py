"""The task of saying whether an input shows a finding: two labels, of which one is looked for.

Design choices:
- It is classification in all but its scores and its answer. The area under the ROC curve stands first: it asks for no threshold,
  and what is rare does not flatter it.
- The label that is looked for is the one that is not called none, normal, healthy and the like; else the second.
- An answer is the finding from a threshold on, which validation data chose (`cnnkit.tasks.classification.roc`); without them 0.5.
- Scores are calibrated by one temperature, fitted on validation data. Where training weighed the rarer label up, the odds that it
  added are taken away again, so that a score says how often the finding is there in data like those of training.
- With more than two labels it is plain classification.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.data.records import Records
from cnnkit.errors import DataError
from cnnkit.evaluation.task import Done, Metadata
from cnnkit.score import LESS, Score, Scores
from cnnkit.tasks.classification import roc
from cnnkit.tasks.classification.calibration import PRIOR, best_temperature, softmax
from cnnkit.tasks.classification.scoring import Classification, Outputs, linear

MIDDLE = 0.5  # threshold where nothing chose one
FEW = 10  # validation records of a label; with fewer a threshold is much a matter of chance
RARE = 1 / 3  # of the training records: a label of fewer is weighed up
_ABSENT = re.compile(
    r"(no|non|not|without|-?0|neg|negative|none|nothing|normals?|healthy|benign|clear|clean|absent|controls?|false|good|ok)"
    r"(?![a-z0-9]).*"
)
_NOT = ("no", "non", "not", "un")  # before the other label's name


def finding(labels: Sequence[str]) -> int:
    """Return which of two labels is looked for: the one that is not called none, normal ...; else the second."""
    first, second = (str(label).strip().lower() for label in labels)
    absent = [
        bool(_ABSENT.fullmatch(own)) or own in [word + other for word in _NOT]
        for own, other in ((first, second), (second, first))
    ]
    return 0 if absent == [False, True] else 1


def is_rare(records: Records) -> bool:
    """Whether one of two labels has so few of the training records that it is to be weighed up."""
    counts = records.counts()
    return len(counts) == 2 and bool(counts.min() < RARE * counts.sum())


def said_of(records: Records) -> list[str]:
    """Return a line on what is looked for; none where there are other than two labels."""
    labels = records.label_names
    if len(labels) != 2:
        return []
    count = records.counts()[finding(labels)]
    return [
        f"The finding is {labels[finding(labels)]!r}: {count:,} of {len(records):,} training {records.noun} show it."
    ]


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
        return {"weighted": bool(settings.class_weights)}

    def outputs(
        self, artifact: Any, records: Records, progress: Done = lambda done: None
    ) -> tuple[Outputs, np.ndarray]:
        """As `Classification.outputs`; also `said`, the label that each record gets, and `patients`, where these are known."""
        found, targets = super().outputs(artifact, records, progress)
        if len(artifact.labels) == 2:
            found["said"] = self.answers(found, artifact.labels, artifact.metadata)
        if records.groups is not None:
            found["patients"] = np.asarray(records.groups)
        return found, targets

    def answers(self, outputs: Outputs, labels: Sequence[str], metadata: Metadata = None) -> np.ndarray:
        if "said" in outputs or len(labels) != 2:
            return outputs.get("said", outputs["scores"].argmax(1))
        place = finding(labels)
        return np.where(outputs["scores"][:, place] >= _threshold(metadata), place, 1 - place)

    def calibrate(self, artifact: Any, records: Records, *, weighted: bool = False) -> dict[str, Any]:
        """Fit the temperature on validation data, and choose the threshold of the calibrated score.

        Args:
            artifact: the trained model.
            records: of the validation split.
            weighted: whether training weighed labels by the inverse of their frequency.

        Returns:
            `temperature`; `offset` (labels,), what is added to logits then; `screening`: `finding`, its `threshold`, and
            `chosen_on`, how many validation records had each label.
        """
        place = finding(artifact.labels)
        counts = records.counts().tolist() if len(records) else [0, 0]
        offset = np.zeros(2)
        if weighted and self.odds is not None:
            offset[place] = self.odds
        decided: dict[str, Any] = {"offset": offset.tolist()} if offset.any() else {}
        screening = {
            "finding": artifact.labels[place],
            "threshold": MIDDLE,
            "chosen_on": dict(zip(artifact.labels, counts, strict=True)),
        }
        if len(records):
            found, targets = self.outputs(artifact, records)
            earlier = artifact.metadata
            logits = np.log(np.maximum(found["scores"].astype(np.float64), 1e-12)) - earlier.get("offset", 0.0)
            logits = logits * earlier.get("temperature", 1.0)
            temperature = round(best_temperature(logits, targets, PRIOR, offset), 4)
            decided["temperature"] = temperature
            if all(counts):
                chances = softmax(logits / temperature + offset)[:, place]
                screening["threshold"] = roc.youden(chances, targets == place)
        return {**decided, "screening": screening}

    def cautions(self, decided: Mapping[str, Any]) -> list[str]:
        """Say where the threshold rests on few records, or on none."""
        about = decided.get("screening")
        if not about or min(about["chosen_on"].values()) >= FEW:
            return []
        counts = " and ".join(f"{count:,} of {label}" for label, count in about["chosen_on"].items())
        how = f"is {MIDDLE}" if not min(about["chosen_on"].values()) else "is much a matter of chance"
        return [f"The threshold {how}: the validation split has {counts} only. Hold out more to choose it."]

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities and answers.

        Args:
            outputs: `scores`, float32 (n, 2); perhaps `said`, int (n,), and `patients`, int (n,).
            targets: int32 (n,).
            labels: names of both.
            metadata: of the artifact, for its threshold.

        Returns:
            `auc` with its 95 % interval (resampled patients), per class sensitivity and specificity; `sensitivity`,
            `specificity`, `accuracy` with Wilson's intervals; `ece` and `reliability` of the score of the finding; `finding`,
            `threshold`, `chosen_on` (validation records that chose it), `roc`, `patients`, and what `Classification.score` has
            beside them.

        Raises:
            DataError: no record has one of the labels, so that there is nothing to tell apart.
        """
        plain = super().score(outputs, targets, labels, metadata)
        if len(labels) != 2:
            return plain
        place = finding(labels)
        there, chances = targets == place, outputs["scores"][:, place].astype(np.float64)
        if there.all() or not there.any():
            raise DataError(
                f"All {len(there):,} records are of {labels[int(targets[0])]!r}. Give data with both labels."
            )
        said = self.answers(outputs, labels, metadata) == place
        patients = outputs.get("patients")
        low, high = roc.interval(chances, there, patients)
        shares = {}
        for name, mask, right in (("sensitivity", there, said), ("specificity", ~there, ~said)):
            hit, count = int((right & mask).sum()), int(mask.sum())
            shares[name] = Score(name, hit / count, interval=metrics.wilson(hit, count))
        own = {labels[place]: shares["sensitivity"].value, labels[1 - place]: shares["specificity"].value}
        worth = roc.parts(chances, there)
        return Scores(
            Score(
                "auc",
                float(worth.mean()),
                interval=(low, high),
                per_class={label: own[label] for label in labels},
                per_record=worth,
            ),
            *shares.values(),
            Score("accuracy", plain["accuracy"], interval=plain.headline.interval),
            Score("ece", metrics.expected_calibration_error(chances, there), unit="", better=LESS),
            count=len(there),
            patients=len(there) if patients is None else len(np.unique(patients)),
            finding=labels[place],
            threshold=_threshold(metadata),
            chosen_on=_chosen_on(metadata),
            roc=roc.curve(chances, there),
            per_class=plain["per_class"],
            confusion=plain["confusion"],
            reliability=metrics.reliability(chances, there),
            constant={"name": "a score by lot", "value": 0.5, "sure": low > 0.5},
        )

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        if "sensitivity" not in scores:
            return super().columns(scores)

        def said(name: str) -> str:
            low, high = scores[f"{name}_interval"]
            return f"{100 * scores[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"

        shares = {f"{name} %": said(name) for name in ("sensitivity", "specificity")}
        return {**shares, "ECE": f"{scores['ece']:.4f}", "records": f"{scores['count']:,}"}

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
        name, scores = linear(train if whole is None else whole, test)
        place, targets = finding(labels), test.targets(np.arange(len(test)))
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


def _threshold(metadata: Metadata) -> float:
    return float(((metadata or {}).get("screening") or {}).get("threshold", MIDDLE))


def _chosen_on(metadata: Metadata) -> int:
    counts = ((metadata or {}).get("screening") or {}).get("chosen_on") or {"": 0}
    return sum(counts.values()) if min(counts.values()) else 0

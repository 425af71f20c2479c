"""The task of several labels an input, or none, whatever kind that is of.

Design choices:
- Of several labels each has its own threshold, chosen on validation data (`thresholds`), inside the artifact; an answer is
  sure where each label is surely given or surely left out.
- What a record is given is an output of its own, by the file's thresholds: records that several models answered are scored by
  what each of these gave.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.device.several import confidence, given, rare_of, thresholds_of
from cnnkit.errors import ConfigError
from cnnkit.evaluation.calibration import (
    TEMPERATURE,
    Chances,
    as_learnt,
    best_temperature_of_each,
    calibrated,
    floor_of,
    raw_odds,
    sigmoid,
)
from cnnkit.evaluation.settings import Answers, Classes, Tags
from cnnkit.evaluation.task import WORST, Done, Metadata
from cnnkit.score import Score, Scores
from cnnkit.settings import fields
from cnnkit.tasks.classification import thresholds as choosing
from cnnkit.tasks.classification.linear import linear
from cnnkit.tasks.classification.scoring import SEVERAL, Classification, OneClass, Outputs

SURE = 0.95  # of the answers at a confidence, or a higher one, have to be right for it to count as sure
CURVES = 60  # labels with a curve of precision over recall, the most frequent
LEAST_ANSWERED = 0.5  # of the records get an answer, however unsure


class Tagging(OneClass):
    """Several labels an input, or none: each has a probability and a threshold of its own.

    Attributes as `OneClass`; the headline is F1 over all labels and records together (micro-F1).
    """

    name = SEVERAL
    headline = "micro_f1"
    tolerance = (0.5, 2.0)
    several = True

    def encoder(self, classes: int) -> Callable[[Any], Any]:
        """Return what leaves targets, float32 (b, classes) of zeros and ones, as they are."""
        return lambda targets: targets

    def loss(self, settings: Any) -> Any:
        """Return binary cross-entropy of logits, with label smoothing, of the labels that a record was asked for."""
        from cnnkit.tasks.classification.asked import AskedCrossentropy

        return AskedCrossentropy(settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """Return what training shows: the share of labels asked for that are right, at a probability of one half."""
        from cnnkit.tasks.classification.asked import AskedAccuracy

        return [AskedAccuracy()]

    def refuse(self, settings: Any, splits: Any) -> None:
        """As `OneClass.refuse`; also weights of classes: a record has several labels, so it has no class to be weighed by."""
        super().refuse(settings, splits)
        if getattr(settings, "class_weights", False):
            raise ConfigError(f"`class_weights` is for one label {self.one}: here each may have several.")

    def sample_weights(self, records: Any, settings: Any) -> None:
        """Return nothing: `refuse` lets no weights be asked for."""

    def words(self, target: Any, labels: Sequence[str]) -> str:
        """Return the labels of a record."""
        return ", ".join(labels[code] for code in np.flatnonzero(np.asarray(target) > 0.5).tolist()) or "none"

    def outputs(self, artifact: Any, records: Any, progress: Done = lambda done: None) -> tuple[Outputs, np.ndarray]:
        """As `Task.outputs`; also `given`, the labels that each record gets by the artifact's thresholds: bool (n, labels)."""
        found, targets = super().outputs(artifact, records, progress)
        return {**found, "given": self.answers(found, artifact.labels, artifact.metadata)}, targets

    def answers(self, outputs: Outputs, labels: Sequence[str], metadata: Metadata = None) -> np.ndarray:
        """Return the labels that each record gets, bool (n, labels)."""
        if "given" in outputs:
            return outputs["given"]
        return given(outputs["scores"], thresholds_of(metadata, labels))

    def asked(self, settings: Any) -> dict[str, Any]:
        return {} if settings.min_precision is None else {"min_precision": settings.min_precision}

    def calibrate(self, artifact: Any, records: Any, *, min_precision: float | None = None) -> dict[str, Any]:
        """Fit the temperature on validation data, choose a threshold for each label, and from which confidence on one is sure.

        Args:
            artifact: the trained model.
            records: of the validation split.
            min_precision: share of what is given that has to be right, of every label; None: as `thresholds.choose`.

        Returns:
            `temperature`; `thresholds` (labels,); `sure`; `rare`: validation records of each label that has too few for its
            threshold to say much; `unreached`: labels that no threshold gives rightly often enough.
        """
        if not len(records):
            return {}
        found, targets = self.outputs(artifact, records)
        logits = raw_odds(found["scores"], artifact.metadata)
        answered = found["scores"].any(
            1, keepdims=True
        )  # an input that shows nothing has zeros, whatever the temperature
        known, decided = (targets >= 0) & answered, {}
        if known.any():
            decided = {TEMPERATURE: best_temperature_of_each(logits[known], targets[known] > 0.5)}
        scores = sigmoid(logits / decided.get(TEMPERATURE, 1.0)) * answered
        chosen = choosing.choose(scores, targets, least=min_precision)
        right: Any = _right(given(scores, chosen.values), targets).all(1)
        sure = sure_from(confidence(scores, chosen.values, chosen.rare, targets >= 0), right)
        names = artifact.labels
        return {
            **decided,
            "thresholds": chosen.values,
            "sure": float(np.floor(sure * 1e4) / 1e4),
            "rare": {names[k]: int((targets[:, k] > 0.5).sum()) for k in chosen.rare},
            "unreached": [names[k] for k in chosen.unreached],
        }

    def cautions(self, decided: Mapping[str, Any]) -> list[str]:
        """Say which labels' thresholds say little, and which are not given rightly as often as was asked for."""
        return choosing.cautions(decided.get("rare") or {}, decided.get("unreached") or ())

    def chances(
        self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None
    ) -> Chances:
        """As `Task.chances`: of each label that a record was asked for, that it is there."""
        rows, places = np.nonzero(targets >= 0)
        return Chances(
            outputs["scores"][rows, places], targets[rows, places] > 0.5, owners=rows, least=floor_of(metadata)
        )

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities, at the artifact's thresholds.

        Returns:
            `micro_f1` with its 95 % interval (bootstrap over records), `macro_f1` over labels that occur, `exact` (share of
            records whose labels are all right), `ece`, `nll`, `count`, `per_class` (precision, recall, f1, support by label),
            `thresholds`,
            `curves` (of each label that occurs, precision over recall), what `Chances.facts` has, and of a model that says so
            `sure` and `rare`.
        """
        about, thresholds = metadata or {}, thresholds_of(metadata, labels)
        known, there = targets >= 0, targets > 0.5
        said = self.answers(outputs, labels, metadata) & known
        hit = said & there
        right: Any = _right(said, targets).all(1)
        worth: dict[str, Any] = {}
        if about.get("sure") is not None:
            confidences = confidence(outputs["scores"], thresholds, rare_of(metadata, labels), known)
            worth = {"sure": sure_of(about["sure"], confidences, right), "rare": dict(about.get("rare") or {})}
        by_label = metrics.rates(hit.sum(0), said.sum(0), there.sum(0))
        rows = np.stack([hit.sum(1), said.sum(1), there.sum(1)], axis=1)
        rng = np.random.default_rng(0)
        drawn = [rows[rng.integers(0, len(rows), len(rows))].sum(0) for _ in range(400)]
        several = metrics.rates(*np.array(drawn).T)["f1"]
        present: Any = there.any(0)
        value = float(metrics.rates(*rows.sum(0))["f1"])
        chances, before = self.chances(outputs, targets, labels), None
        if calibrated(metadata):
            before = self.chances({"scores": as_learnt(outputs["scores"], metadata)}, targets, labels)
        low, high = (float(np.quantile(several, q)) for q in (0.025, 0.975))
        return Scores(
            Score(
                "micro_f1",
                value,
                interval=(low, high),
                per_class={label: float(by_label["f1"][k]) for k, label in enumerate(labels) if present[k]},
            ),
            Score("macro_f1", float(by_label["f1"][present].mean()) if present.any() else 0.0),
            Score("exact", float(right.mean())),
            *chances.scores(),
            count=len(there),
            per_class={
                label: {
                    **{key: float(values[k]) for key, values in by_label.items()},
                    "support": int(there[:, k].sum()),
                }
                for k, label in enumerate(labels)
            },
            thresholds={label: float(value) for label, value in zip(labels, thresholds, strict=True)},
            curves={
                labels[k]: choosing.curve(outputs["scores"][:, k], targets[:, k])
                for k in np.argsort(-there.sum(0), kind="stable")[:CURVES].tolist()
                if present[k]
            },
            constant=_constant(there.sum(0), len(there), low),
            **chances.facts(before, metadata),
            **worth,
        )

    def changes(
        self, before: Outputs, after: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None
    ) -> dict[str, tuple[int, int]]:
        """Compare two models' outputs on the same records, at the artifact's thresholds.

        Returns:
            for each label the number of records of which only the first, and only the second, rightly said or left it out.
        """
        first, second = (_right(self.answers(outputs, labels, metadata), targets) for outputs in (before, after))
        lost, won = (first & ~second).sum(0), (second & ~first).sum(0)
        return {label: (int(lost[k]), int(won[k])) for k, label in enumerate(labels)}

    def top_losses(
        self, outputs: Outputs, targets: np.ndarray, records: Any, labels: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the labels that were given or missed most confidently, with their records."""
        wrong = np.argwhere(~_right(self.answers(outputs, labels), targets))
        wrongness = np.abs(outputs["scores"] - targets)
        order = np.argsort(-wrongness[tuple(wrong.T)], kind="stable")[:WORST]
        chosen = [(int(row), int(kind)) for row, kind in wrong[order]]
        shown = records.shown(np.array([row for row, _ in chosen], np.int64))
        return [
            {
                "index": row,
                "name": records.name(row),
                "true": labels[kind] if targets[row, kind] else f"not {labels[kind]}",
                "predicted": f"not {labels[kind]}" if targets[row, kind] else labels[kind],
                "confidence": float(wrongness[row, kind]),
                **more,
            }
            for (row, kind), more in zip(chosen, shown, strict=True)
        ]

    def baseline(
        self, train: Any, test: Any, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score what plain linear models make of the same inputs: a logistic regression for each label.

        They see at most 10,000 training records, as `Records.flat` has them, and their thresholds are chosen on validation data,
        as the network's are. Where the model was trained on the `whole`, so are they then.

        Returns:
            `name`, `micro_f1` with its interval, `macro_f1`.
        """
        targets, thresholds, fitted = test.targets(np.arange(len(test))), None, None
        if validation is not None and len(validation):
            fitted = linear(train)
            chosen = choosing.choose(fitted[1](validation), validation.targets(np.arange(len(validation))))
            thresholds = chosen.values
        name, scores = fitted if fitted and whole is None else linear(train if whole is None else whole)
        made = self.score({"scores": scores(test)}, targets, test.label_names, {"thresholds": thresholds})
        return {"name": name, **{key: made[key] for key in ("micro_f1", "micro_f1_interval", "macro_f1")}}

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        return {
            "macro F1 %": f"{100 * scores['macro_f1']:.2f}",
            "all labels right %": f"{100 * scores['exact']:.2f}",
            "records": f"{scores['count']:,}",
            **sure_column(scores, "all right"),
        }


ROOMS = (Classes, Answers, Tags)  # where the data decide how many labels there are


class ImageClassification(Classification):
    """One label an image, of an app that takes data with several too. Attributes as `Classification`."""

    rooms = ROOMS
    one = "an image"


class ImageTagging(Tagging):
    """Several labels an image, or none. Attributes as `Tagging`."""

    rooms = ROOMS
    noun, one = "images", "an image"

    def refuse(self, settings: Any, splits: Any) -> None:
        """As `Tagging.refuse`; also what is for one label."""
        super().refuse(settings, splits)
        given = [field.name for field in fields(Answers) if getattr(settings, field.name) not in (None, False)]
        if given:
            raise ConfigError(f"`{given[0]}` is for one label an image; these may have several.")


def _right(said: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return which labels are rightly given or left out, bool (n, labels); those that were not asked for are right."""
    return (said == (targets > 0.5)) | (targets < 0)


def sure_of(least: float, confidences: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Return what the answers are worth that are `least` confident: how many get one, and how many of these are right."""
    chosen = confidences >= least
    accuracy = float(right[chosen].mean()) if chosen.any() else None
    return {"confidence": least, "answered": float(chosen.mean()), "accuracy": accuracy}


def sure_column(scores: Mapping[str, Any], right: str) -> dict[str, str]:
    sure = scores.get("sure")
    if not sure or sure["accuracy"] is None:
        return {}
    return {"sure": f"{100 * sure['answered']:.0f} %, {100 * sure['accuracy']:.1f} % {right}"}


def _constant(there: np.ndarray, count: int, low: float) -> dict[str, Any]:
    """Return what always giving the most frequent labels scores at best, and whether the model is surely better.

    Args:
        there: records that have each label, int (labels,).
        count: of records.
        low: end of the interval of the model's score.
    """
    frequent = np.sort(there)[::-1]
    given = count * np.arange(1, len(frequent) + 1)
    value = float((2 * np.cumsum(frequent) / np.maximum(1, given + frequent.sum())).max(initial=0.0))
    return {"name": "always giving the most frequent labels", "value": value, "sure": low > value}


def sure_from(confidences: np.ndarray, right: np.ndarray) -> float:
    """Return the lowest confidence from which on 95 % of the answers are right, 0 where all of them are that good.

    At least half of the records get an answer: where 95 % cannot be had, the confidence of the middle one.
    """
    order = np.argsort(-confidences, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(confidences[order]) < 0, True)  # equal ones are sure together
    enough = np.flatnonzero((shares >= SURE) & ends)
    count = max(int(enough[-1]) + 1 if len(enough) else 0, round(LEAST_ANSWERED * len(order)), 1)
    return 0.0 if count >= len(order) else float(confidences[order[count - 1]])

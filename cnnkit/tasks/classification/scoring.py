"""The task of naming one class an input: its loss, its scores, its baseline.

A task is what training, evaluation and the export gate need to know of a domain, and all they know. Detection and
segmentation are other tasks with the same methods.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.data.records import Records
from cnnkit.data.splits import balanced_weights
from cnnkit.errors import ConfigError, DataError
from cnnkit.evaluation.calibration import (
    OFFSET,
    TEMPERATURE,
    Chances,
    best_temperature,
    calibrated,
    floor_of,
    raw_logits,
    softmax,
)
from cnnkit.evaluation.settings import Answers, Classes
from cnnkit.evaluation.task import WORST, Done, Metadata, Task
from cnnkit.score import Score, Scores
from cnnkit.settings import Room
from cnnkit.tasks.classification import operating
from cnnkit.tasks.classification.calibration import accepting, answered
from cnnkit.tasks.classification.device import UNKNOWN, least
from cnnkit.tasks.classification.linear import linear

SEVERAL = "multilabel"  # the task of several labels an input
Outputs = dict[str, np.ndarray]


class OneClass(Task):
    """One class an input, whatever kind that is of.

    Attributes as `Task`, and:
        one: what a record is.
        several: whether it may have several labels.
    """

    name = "classification"
    rooms: tuple[type[Room], ...] = (Classes,)
    headline = "accuracy"
    explains = True
    one = "a record"
    several = False

    def refuse(self, settings: Any, splits: Any) -> None:
        """As `Task.refuse`: what is for another number of labels.

        Raises:
            DataError: records may have several labels where one is learnt, or the other way round.
        """
        _refuse_form(splits.train, self.several, self.one, "what is learnt here is")
        if not self.several and getattr(settings, "min_precision", None) is not None:
            raise ConfigError(f"`min_precision` is for several labels {self.one}; these have one. Leave it out.")

    def as_read_by(self, artifact: Any, records: Any) -> Any:
        """As `Task.as_read_by`.

        Raises:
            DataError: records with several labels for a model of one, or the other way round.
        """
        task = artifact.metadata.get("task")
        if task is not None:
            _refuse_form(records, task == SEVERAL, self.one, "the model was trained on")
        return super().as_read_by(artifact, records)

    def encoder(self, classes: int) -> Callable[[Any], Any]:
        """Return what turns int32 labels (b,) into float32 one-hot targets (b, classes), inside tf.data."""
        import tensorflow as tf

        return lambda labels: tf.one_hot(labels, classes)

    def loss(self, settings: Any) -> Any:
        """Return cross-entropy of logits and one-hot targets, with label smoothing (Szegedy et al. 2016)."""
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """Return what training shows: accuracy."""
        import keras

        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def sample_weights(self, records: Records, settings: Any) -> Callable[[Any], Any] | None:
        """Return what weighs encoded targets (b, classes) by the inverse frequency of their class, where settings ask for it.

        The mean weight is 1.
        """
        if not settings.class_weights:
            return None
        import tensorflow as tf

        weights = tf.constant(balanced_weights(records))
        return lambda targets: tf.linalg.matvec(targets, weights)

    def answers(self, outputs: Outputs, labels: Sequence[str], metadata: Metadata = None) -> np.ndarray:
        """Return the class that each record is answered with, int (n,): that of the highest score."""
        return outputs["scores"].argmax(1)

    def beside(
        self, outputs: Outputs, targets: np.ndarray, said: np.ndarray, labels: Sequence[str], metadata: Metadata
    ) -> tuple[list[Score], dict[str, Any]]:
        """Return scores of how sure the answers `said` may be, and facts: as `Chances.scores` and `Chances.facts`."""
        found, before = self.chances({**outputs, "said": said}, targets, labels, metadata), None
        if calibrated(metadata):
            raw = softmax(raw_logits(outputs["scores"], metadata))
            before = self.chances({**outputs, "scores": raw, "said": said}, targets, labels, metadata)
        return found.scores(), found.facts(before, metadata)

    def chances(
        self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None
    ) -> Chances:
        """As `Task.chances`: of the answer, that it is right."""
        rows, scores = np.arange(len(targets)), outputs["scores"]
        said = outputs["said"] if "said" in outputs else self.answers(outputs, labels, metadata)
        return Chances(scores[rows, said], said == targets, scores[rows, targets], least=floor_of(metadata))

    def tempered(
        self, artifact: Any, records: Any, offset: np.ndarray | None = None
    ) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """Fit the temperature on validation records.

        Args:
            artifact: the trained model; one that has a temperature gets another in its place.
            records: of the validation split.
            offset: float (classes,), what is added to its logits once they are divided; None: nothing.

        Returns:
            the entries of the metadata; calibrated scores, float64 (n, classes); targets, int (n,).
        """
        decided: dict[str, Any] = {} if offset is None else {OFFSET: offset.tolist()}
        if not len(records):
            return decided, np.zeros((0, len(artifact.labels))), np.zeros(0, np.int64)
        found, targets = self.outputs(artifact, records)
        logits, added = raw_logits(found["scores"], artifact.metadata), 0.0 if offset is None else offset
        temperature = best_temperature(logits, targets, offset=added)
        return decided | {TEMPERATURE: temperature}, softmax(logits / temperature + added), targets

    def arranged(self, scores: list[Score], facts: dict[str, Any]) -> tuple[list[Score], dict[str, Any]]:
        """Return scores in their order, the headline first, and facts; given `accuracy`, `macro_f1` and what `beside` has."""
        return scores, facts

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities.

        Args:
            outputs: `scores`, float32 (n, classes).
            targets: int32 (n,).
            labels: names of the classes.
            metadata: of the artifact.

        Returns:
            `accuracy` with its 95 % interval, of a class its recall; `macro_f1`, `count`, `per_class` (precision,
            recall, f1, support by label), `confusion` (a row a true class), and what `beside` has.
        """
        predictions = self.answers(outputs, labels, metadata)
        right = predictions == targets
        matrix = metrics.confusion(targets, predictions, len(labels))
        by_class = metrics.per_class(matrix)
        present = by_class["support"] > 0
        beside, facts = self.beside(outputs, targets, predictions, labels, metadata)
        accuracy = Score(
            "accuracy",
            float(right.mean()),
            interval=metrics.wilson(int(right.sum()), len(right)),
            per_class={label: float(by_class["recall"][k]) for k, label in enumerate(labels) if present[k]},
            per_record=right.astype(np.float64),
        )
        macro_f1 = Score("macro_f1", float(by_class["f1"][present].mean()))
        scores, facts = self.arranged([accuracy, macro_f1, *beside], {"constant": _constant(matrix, labels), **facts})
        return Scores(
            *scores,
            count=len(right),
            per_class={
                label: {name: values[number].item() for name, values in by_class.items()}
                for number, label in enumerate(labels)
            },
            confusion=matrix.tolist(),
            **facts,
        )

    def changes(
        self, before: Outputs, after: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None
    ) -> dict[str, tuple[int, int]]:
        """Compare two models' outputs on the same records; `metadata` is the artifact's.

        Returns:
            for each label the number of its records that only the first had right, and that only the second had right.
        """
        first, second = (self.answers(outputs, labels, metadata) == targets for outputs in (before, after))
        lost = np.bincount(targets[first & ~second], minlength=len(labels))
        won = np.bincount(targets[second & ~first], minlength=len(labels))
        return {label: (int(lost[k]), int(won[k])) for k, label in enumerate(labels)}

    def top_losses(
        self, outputs: Outputs, targets: np.ndarray, records: Records, labels: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the most confident errors: index, name, true and predicted label, confidence, and what the records show."""
        scores = outputs["scores"]
        predictions = self.answers(outputs, labels)
        wrong = np.flatnonzero(predictions != targets)
        wrong = wrong[np.argsort(-scores[wrong, predictions[wrong]], kind="stable")][:WORST]
        if not len(wrong):
            return []
        return [
            {
                "index": int(index),
                "name": records.name(int(index)),
                "true": labels[targets[index]],
                "predicted": labels[predictions[index]],
                "confidence": float(scores[index, predictions[index]]),
                **shown,
            }
            for index, shown in zip(wrong, records.shown(wrong), strict=True)
        ]

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        f1, ece = f"{100 * scores['macro_f1']:.2f}", f"{scores['ece']:.4f}"
        return {"macro F1 %": f1, "ECE": ece, "records": f"{scores['count']:,}"}

    def compared(self, baseline: Mapping[str, Any]) -> str:
        """Return a line on model and baseline beside each other, beyond their scores; empty for none."""
        found = baseline.get("against")
        if not found:
            return ""
        won, lost, p = found["only_model"], found["only_baseline"], found["p"]
        better = "model" if won > lost else "baseline"
        verdict = "The difference may be chance" if p >= metrics.CHANCE else f"The {better} is better"
        number = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        alone = f"{self.noun.capitalize()} that only the model had right: {won:,}; only the baseline: {lost:,}"
        return f"{alone}. {verdict} ({number})."

    def baseline(
        self, train: Records, test: Records, validation: Any = None, found: Any = None, whole: Records | None = None
    ) -> dict[str, Any]:
        """Score what a plain linear model makes of the same inputs: scikit-learn's logistic regression.

        It sees at most 10,000 training records, as `Records.flat` has them; both are stated in its name.
        `validation` is for other tasks. Where the model was trained on the `whole`, validation records too, so is this one.

        Returns:
            `name`, `accuracy` with its interval; with what a model `found` in the test records also `against`: records that only
            the model and only the baseline had right, and the p of McNemar's exact test.
        """
        name, scores = linear(train if whole is None else whole)
        return bar(name, scores(test).argmax(1), test.targets(np.arange(len(test))), found)

    def baselines(self, parts: Sequence[tuple[int, Mapping[str, Any]]], name: str) -> dict[str, Any]:
        """As `Task.baselines`; of an accuracy with its interval, and `against` where all parts have it."""
        made = super().baselines(parts, name)
        if name == "accuracy":
            count = sum(count for count, _ in parts)
            made["accuracy_interval"] = list(metrics.wilson(round(made[name] * count), count))
        if all("against" in part for _, part in parts):
            won, lost = (sum(part["against"][key] for _, part in parts) for key in ("only_model", "only_baseline"))
            made["against"] = {"only_model": won, "only_baseline": lost, "p": metrics.mcnemar(won, lost)}
        return made


class Classification(OneClass):
    """One class an input, such as a picture; two classes may have a threshold.

    Of two classes, sensitivity and specificity are scored beside the accuracy (`operating`).
    """

    rooms: tuple[type[Room], ...] = (Classes, Answers)

    def refuse(self, settings: Any, splits: Any) -> None:
        """As `OneClass.refuse`; also what is for two classes, where there are others."""
        super().refuse(settings, splits)
        operating.refuse(settings, splits.train.label_names)

    def outputs(
        self, artifact: Any, records: Records, progress: Done = lambda done: None
    ) -> tuple[Outputs, np.ndarray]:
        """As `Task.outputs`; of two classes also `patients`, groups of records where these are known, and `said`, the answers by
        a file's threshold.
        """
        found, targets = super().outputs(artifact, records, progress)
        if len(artifact.labels) == 2:
            found.update(operating.groups_of(records))
            if operating.entry(artifact.metadata):
                found["said"] = self.answers(found, artifact.labels, artifact.metadata)
        return found, targets

    def answers(self, outputs: Outputs, labels: Sequence[str], metadata: Metadata = None) -> np.ndarray:
        """As `OneClass.answers`; of two classes that which is looked for, from its threshold on, where a file has one."""
        if "said" in outputs:
            return outputs["said"]
        if len(labels) == 2 and operating.entry(metadata):
            return operating.answers(outputs["scores"], labels, metadata)
        return super().answers(outputs, labels, metadata)

    def asked(self, settings: Any) -> dict[str, Any]:
        accept = getattr(settings, "accept", None)
        return {**operating.asked(settings), **({} if accept is None else {"accept": accept})}

    def calibrate(
        self,
        artifact: Any,
        records: Records,
        *,
        specificity: float | None = None,
        positive: str | None = None,
        accept: float | None = None,
    ) -> dict[str, Any]:
        """Fit the temperature on validation data, and choose what was asked for of the calibrated scores.

        That is the threshold of two classes, and the score below which one is unknown.

        Args:
            artifact: the trained model.
            records: of the validation split.
            specificity: that is to be reached; None: the answer is the class of the higher score.
            positive: the class that is looked for; None: as `operating.finding` says.
            accept: share of the records that are not to be unknown; None: no record is.

        Returns:
            `temperature`; and as `chosen`.
        """
        # answers stay as they are where a class is named alone
        named = {} if positive is None else {operating.ENTRY: {"finding": positive, "threshold": operating.MIDDLE}}
        labels = artifact.labels
        decided, scores, targets = self.tempered(artifact, records)
        place = None if specificity is None else operating.place_of(labels, positive)
        return decided | named | chosen(scores, targets, labels, place, specificity, accept)

    def cautions(self, decided: Mapping[str, Any]) -> list[str]:
        """Say where what was chosen rests on few records, or on none."""
        lines = operating.cautions(decided.get(operating.ENTRY))
        if decided.get(UNKNOWN) == {}:
            lines.append(
                "No answer will be `unknown`: there are too few validation records to choose the score below which it is. Hold "
                "out more, or ask for a smaller `accept`."
            )
        return lines

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """As `OneClass.score`, whose answers are the labels that unknown records are nearest to; also what `answered` has."""
        scores = super().score(outputs, targets, labels, metadata)
        add_answered(scores, outputs, self.answers(outputs, labels, metadata) == targets, metadata)
        return scores

    def beside(
        self, outputs: Outputs, targets: np.ndarray, said: np.ndarray, labels: Sequence[str], metadata: Metadata
    ) -> tuple[list[Score], dict[str, Any]]:
        """As `OneClass.beside`; where records of both of two classes are there, `operating.scored` stands before."""
        scores, facts = super().beside(outputs, targets, said, labels, metadata)
        if not _both(targets, labels):
            return scores, facts
        first, about = operating.scored(outputs, targets, said, labels, metadata)
        return [*first, *scores], about | facts

    def chances(
        self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None
    ) -> Chances:
        """As `OneClass.chances`; where records of both of two classes are there, of that which is looked for."""
        if not _both(targets, labels):
            return super().chances(outputs, targets, labels, metadata)
        place, patients = operating.looked_for(labels, metadata), outputs.get("patients")
        owners = None if patients is None else np.unique(patients, return_inverse=True)[1]
        return Chances(outputs["scores"][:, place], targets == place, owners=owners, least=floor_of(metadata))

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        found = operating.columns(scores) if "sensitivity" in scores else super().columns(scores)
        return found | answered_columns(scores)


def _both(targets: np.ndarray, labels: Sequence[str]) -> bool:
    return len(labels) == 2 and len(np.unique(targets)) == 2


def chosen(
    scores: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
    place: int | None,
    specificity: float | None,
    accept: float | None,
) -> dict[str, Any]:
    """Return what validation data choose of answers.

    Args:
        scores: float (n, classes), in [0, 1].
        targets: int (n,).
        labels: of the classes.
        place: of the one of two that gets a threshold; None: none does.
        specificity: as `operating.decide`.
        accept: as `calibration.accepting`; None: no record is to be unknown.

    Returns:
        `screening`, as `operating.decide`; `unknown`, as `calibration.accepting`; only what was asked for.
    """
    found: dict[str, Any] = {} if accept is None else {UNKNOWN: accepting(scores.max(1), accept)}
    if place is not None:
        found[operating.ENTRY] = operating.decide(scores[:, place], targets, labels, place, specificity)
    return found


def _refuse_form(records: Any, several: bool, one: str, due: str) -> None:
    """Refuse records with another number of labels each than is `due`, such as "the model was trained on"; `one`: a record."""
    found = records.multi_label
    if found != several:
        kinds = f"one label {one}", f"several labels {one}"
        raise DataError(f"The data has {kinds[found]}, {due} {kinds[several]}. Give data of that kind.")


def add_answered(scores: Scores, outputs: Outputs, right: np.ndarray, metadata: Metadata) -> None:
    """Add `answered` to scores, as `calibration.answered` has it, and the share that was asked for, where some are unknown."""
    limit = least(metadata)
    if limit is not None and metadata is not None:
        found = answered(outputs["scores"].max(1), right, limit)
        scores["answered"] = {**found, "asked": metadata[UNKNOWN]["accepted"]}


def answered_columns(scores: Mapping[str, Any]) -> dict[str, str]:
    """Return what a table shows of answers that are not unknown."""
    found = scores.get("answered")
    if not found:
        return {}

    def said(name: str) -> str:
        if found[name] is None:
            return ""
        low, high = found[f"{name}_interval"]
        return f"{100 * found[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    return {"answered %": said("share"), "of these right %": said("accuracy")}


def bar(name: str, predicted: np.ndarray, targets: np.ndarray, found: Outputs | None) -> dict[str, Any]:
    """Return what a plain model's answers are worth, int (n,), and what a model `found` beside them; as `baseline`."""
    theirs = predicted == targets
    result = {
        "name": name,
        "accuracy": float(theirs.mean()),
        "accuracy_interval": list(metrics.wilson(int(theirs.sum()), len(theirs))),
    }
    return (
        result
        if found is None
        else {**result, "against": against(found.get("said", found["scores"].argmax(1)) == targets, theirs)}
    )


def against(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Compare two models' right answers, bool (n,), to the same records: McNemar's exact test.

    Returns:
        `only_model`, `only_baseline`: records that one alone had right; `p`, two-sided.
    """
    won, lost = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    return {"only_model": won, "only_baseline": lost, "p": metrics.mcnemar(won, lost)}


def _constant(matrix: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return what always answering the most frequent class scores, and whether the model is better beyond chance.

    Args:
        matrix: counts, a row a true class.
        labels: of its rows.
    """
    most = int(matrix.sum(1).argmax())
    won = int(np.trace(matrix) - matrix[most, most])
    lost = int(matrix[most].sum() - matrix[most, most])
    return {
        "name": f"always answering {labels[most]}",
        "value": float(matrix[most].sum() / max(1, matrix.sum())),
        "sure": won > lost and metrics.mcnemar(won, lost) < metrics.CHANCE,
    }

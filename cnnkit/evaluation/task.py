"""What training, evaluation and export need to know of a task; each task overrides what differs.

Design choices:
- The defaults are those of a task with one answer an input, which is scored by itself: so a new task says little.
- An input may be seen through several windows; by default its answer is their mean (`cnnkit.device.kinds.TaskKind.merge`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.kinds import merged
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import Chances
from cnnkit.registry import DEVICE, task_of
from cnnkit.score import MORE, Scores
from cnnkit.settings import Room

BATCH = 256  # records that are read at once
WORST = 24  # errors that a report shows
Metadata = Mapping[str, Any] | None  # of an artifact
Done = Callable[[int], None]  # takes how many records are done


class Task:
    """What is learnt, and how it is scored.

    Attributes:
        name: of the task, as artifacts carry it.
        headline: name of the score that stands first; what training shows too, where it measures it.
        tolerance: what an exported model may lose of it overall and in a class, unless others are asked for: points of a
            share, else in its unit.
        calibrated: px, where places in an input are answered: int8 is calibrated on so many, and on no more inputs than it takes;
            None: on as many inputs as the gate takes, whatever their size.
        keeps_best: whether training keeps the weights of its best epoch; otherwise of its last.
        noun, counted: what is scored, and what a class has some of, in the plural.
        rooms: its settings.
        explains: whether places in an input speak for what a model answers.
    """

    name = ""
    headline = ""
    tolerance: tuple[float, float] = (0.5, 0.5)
    calibrated: int | None = None
    keeps_best = True
    noun = "records"
    counted = "records"
    rooms: tuple[type[Room], ...] = ()
    explains = False

    # Training ---------------------------------------------------------------------------------------------------------

    def fitted(self, splits: Any, earlier: Mapping[str, Any]) -> "Task":
        """Return the task as it fits data, such as with the scale of its targets.

        Args:
            splits: the data.
            earlier: metadata of what training goes on from, of which it keeps what the weights mean; empty: it begins anew.
        """
        return self

    def refuse(self, settings: Any, splits: Any) -> None:
        """Refuse settings of this task that mean nothing for the data.

        Raises:
            ConfigError: naming the setting.
        """

    def facts(self) -> dict[str, Any]:
        """Return what `fitted` found out, as plain values that artifacts carry: nothing."""
        return {}

    def units(self, labels: Sequence[str]) -> int:
        """Return how many numbers the last layer of a builder has: one a label, or one."""
        return max(1, len(labels))

    def encoder(self, classes: int) -> Callable[[Any], Any]:
        """Return what turns targets as records have them into what the loss takes, inside tf.data: they stay as they are."""
        return lambda targets: targets

    def loss(self, settings: Any) -> Any:
        """Return the loss of the model's output and encoded targets."""
        raise NotImplementedError

    def metrics(self) -> list[Any]:
        """Return what training shows beside the loss: nothing."""
        return []

    def sample_weights(self, records: Any, settings: Any) -> Callable[[Any], Any] | None:
        """Return what weighs encoded targets, where settings ask for it: nothing."""
        return None

    # Scoring ----------------------------------------------------------------------------------------------------------

    def as_read_by(self, artifact: Any, records: Any) -> Any:
        """Return records whose inputs are read as an artifact takes them."""
        return records.as_read_by(artifact)

    def outputs(self, artifact: Any, records: Any, progress: Done = lambda done: None) -> tuple[Any, Any]:
        """Return an artifact's outputs for all records, by name, and their targets."""
        records = self.as_read_by(artifact, records)
        merge = task_of(artifact.metadata, DEVICE, artifact.path).merge
        found: list[dict[str, np.ndarray]] = []
        targets: list[Any] = []
        for indices in records.blocks(BATCH):
            inputs, owners = records.windows(indices)
            found.append(merged(artifact.run_batch(inputs), owners, len(indices), merge))
            targets.append(records.targets(indices))
            progress(int(indices[-1]) + 1)
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}, np.concatenate(targets)

    def answering(self, artifact: Any, index: int) -> Any:
        """Return what answers a record that `calibrate` looks at by itself: the artifact, or a part that never saw the record."""
        return artifact

    def asked(self, settings: Any) -> dict[str, Any]:
        """Return what `calibrate` takes of the settings."""
        return {}

    def calibrate(self, artifact: Any, records: Any) -> dict[str, Any]:
        """Return what validation data add to the artifact's metadata: nothing."""
        return {}

    def cautions(self, decided: Mapping[str, Any]) -> list[str]:
        """Return lines of warning about what validation data decided: none."""
        return []

    def score(self, outputs: Any, targets: Any, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score an artifact's outputs for records with these targets."""
        raise NotImplementedError

    def chances(self, outputs: Any, targets: Any, labels: Sequence[str], metadata: Metadata = None) -> Chances | None:
        """Return what chances answers claim to have, and what came true; None: they claim none."""
        return None

    def changes(self, before: Any, after: Any, targets: Any, labels: Sequence[str], metadata: Metadata = None) -> Any:
        """Return by label the errors that only the second and only the first of two models makes; None: there are no classes."""
        return None

    def words(self, target: Any, labels: Sequence[str]) -> str:
        """Return what a person calls a target."""
        return labels[int(target)] if labels else f"{target}"

    def top_losses(self, outputs: Any, targets: Any, records: Any, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return the records that are scored worst: index, name, true and predicted, and a note on how bad it is."""
        score = self.score(outputs, targets, labels).headline
        if score.per_record is None:
            return []
        order = np.argsort(score.per_record if score.better == MORE else -score.per_record, kind="stable")[:WORST]
        (output,) = outputs.values()
        return [
            {
                "index": int(index),
                "name": records.alias(int(index)),
                "true": self.words(targets[index], labels),
                "predicted": self.words(output[index], labels),
                "note": score.said(float(score.per_record[index])),
                **shown,
            }
            for index, shown in zip(order, records.shown(order), strict=True)
        ]

    def tolerated(self, metadata: Mapping[str, Any]) -> tuple[float, float]:
        """Return what an exported model may lose, as `tolerance`, where that depends on the artifact with these metadata."""
        return self.tolerance

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        return {"records": f"{scores['count']:,}"}

    def compared(self, baseline: Mapping[str, Any]) -> str:
        """Return a line on model and baseline beside each other, beyond their scores; empty for none."""
        return ""

    def explained(self, model: Any) -> tuple[Any, list[str]]:
        """Return the model that explanations look at, and the names of classes it adds.

        Raises:
            CnnkitError: nothing in an input speaks for what it answers.
        """
        if not self.explains:
            raise CnnkitError(f"There is nothing to explain in the answers of a model of {self.name}.")
        return model, []

    def baseline(
        self, train: Any, test: Any, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score what a plain model makes of the same inputs.

        Args:
            train: records it learns from; where the model was trained on the `whole`, validation records too, that.
            test: records it is scored on.
            validation: for what has to be chosen.
            found: what the model answers to the test records.
            whole: training and validation records.

        Returns:
            `name`, the headline score with its interval, and what compares it with what was `found`.
        """
        raise NotImplementedError

    def baselines(self, parts: Sequence[tuple[int, Mapping[str, Any]]], name: str) -> dict[str, Any]:
        """Return the baselines of several parts of the data as one.

        Args:
            parts: how many records each was scored on, and what `baseline` returned.
            name: of the score.

        Returns:
            `name`, and this score: the mean over records.
        """
        value = sum(count * part[name] for count, part in parts) / sum(count for count, _ in parts)
        return {"name": parts[0][1]["name"], name: value}

"""Cross-validation: the runs of the folds, their models as one, and what each says of the records that it never saw.

Design choices:
- A fold is a run as any other, in the folder `fold-N` of the whole: it can be killed, resumed, looked at and exported by itself.
- The whole is a run too. Its model is the mean of the folds' models; its scores are those of each record by the model of the fold
  that held it out, so nothing is left of the data that was not scored, and nothing scored by a model that had seen it.
- Where folds hold something out to choose by, each calibrates its own model by that, and its answers are scored as it gives them.
  The whole has no such records: it is calibrated by the answers of the folds to what they never saw, as they are before their
  own calibration. So the scores are of no record that calibrated the model which answered it.
"""

import copy
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.evaluation.calibration import TEMPERATURE
from cnnkit.reporter import Reporter
from cnnkit.run import MODEL, Run
from cnnkit.score import Scores
from cnnkit.verbs.scoring import keras_of, noted


@dataclasses.dataclass(frozen=True)
class Outside:
    """All records, each scored by the model of the fold that held it out.

    Attributes:
        scores: as the task has them.
        found, targets: as its `outputs` has them.
        splits: the data, whose test split are the records in this order.
    """

    scores: Scores
    found: Any
    targets: Any
    splits: Any


def fold_path(run: Run, number: int) -> Path:
    """Return the folder of a fold's run."""
    return run.path / f"fold-{number}"


def folds_of(run: Run) -> Iterator[Run]:
    """Yield the runs of the folds."""
    for number in range(run.document["settings"]["folds"]):
        yield Run.open(fold_path(run, number))


def trained_folds(run: Run) -> list[dict[str, Any]]:
    """Return what the folds' `run.json` say of their training."""
    return [fold.document["training"] for fold in folds_of(run)]


def baseline_of_folds(task: Any, run: Run, name: str) -> dict[str, Any] | None:
    """Return the folds' baselines as one, with the score of this name, as the task says; None where one has none."""
    tests = [fold.document["scores"]["test"] for fold in folds_of(run)]
    if not all(test.get("baseline") for test in tests):
        return None
    return task.baselines([(test["count"], test["baseline"]) for test in tests], name)


def put_together(recipe: Any, settings: Any, splits: Any, run: Run) -> Any:
    """Write the mean of the folds' models as the model of the whole run; return it."""
    from cnnkit import training
    from cnnkit.training.ensemble import ensemble

    artifacts = [keras_of(fold.path / MODEL, recipe.app) for fold in folds_of(run)]
    model = ensemble([artifact.model for artifact in artifacts])
    training.save(model, run.path / MODEL, training.describe(recipe, settings, splits.train))
    return model


def calibrated(recipe: Any, settings: Any, splits: Any, run: Run, tell: Reporter) -> Any:
    """Open the model of the whole, once what the folds answer to records that they never saw has decided what that decides."""
    from cnnkit import training
    from cnnkit.evaluation.artifacts import KerasArtifact

    artifact = keras_of(run.path / MODEL, recipe.app)
    if not any(fold.document["data"]["sizes"]["validation"] for fold in folds_of(run)):
        return artifact
    text = "Calibrating on all folds"
    answers = functools.cache(lambda: _answers(recipe, run, splits, text, tell, artifact.metadata))
    known = copy.copy(recipe.task)
    known.outputs = lambda *given, **more: answers()  # where it asks for them
    held = np.sort(splits.card["folds"])  # of the records, as `_held_out` has them

    @functools.lru_cache(1)
    def of(number: int) -> Any:
        model = keras_of(fold_path(run, number) / MODEL, recipe.app).model
        return KerasArtifact(artifact.path, model, artifact.metadata)

    known.answering = lambda artifact, index: of(int(held[index]))  # where it asks for them one by one
    decided = known.calibrate(artifact, _held_out(splits), **recipe.task.asked(settings))
    for line in recipe.task.cautions(decided):
        tell.warning(line)
    before = artifact.metadata
    artifact.finalize(decided)
    if artifact.metadata != before:
        training.save(artifact.model, run.path / MODEL, artifact.metadata)
    return artifact


def out_of_fold(recipe: Any, run: Run, splits: Any, metadata: Mapping[str, Any], tell: Reporter) -> Outside:
    """Score each record by the model of the fold that held it out.

    Args:
        recipe: of the app, as it fits the data.
        run: the whole.
        splits: its data.
        metadata: of the whole's model.
        tell: hears of progress.
    """
    found, targets = _answers(recipe, run, splits, "Scoring each fold", tell)
    known = {key: value for key, value in metadata.items() if key != TEMPERATURE}  # each answered with its own
    scores = noted(recipe, recipe.task.score(found, targets, splits.train.label_names, known))
    return Outside(scores, found, targets, dataclasses.replace(splits, test=_held_out(splits)))


def _held_out(splits: Any) -> Any:
    """Return all records, fold after fold."""
    return splits.train.take(np.argsort(splits.card["folds"], kind="stable"))


def _answers(
    recipe: Any, run: Run, splits: Any, text: str, tell: Reporter, metadata: Mapping[str, Any] | None = None
) -> tuple[Any, Any]:
    """Return what the folds answer to the records that each held out, in the order of `_held_out`, and the targets.

    Args:
        recipe, run, splits, tell: as `out_of_fold`.
        text: what is being done.
        metadata: by which the models answer; None: each by its own.
    """
    from cnnkit.evaluation import scoring
    from cnnkit.evaluation.artifacts import KerasArtifact

    held = np.array(splits.card["folds"])
    found: list[Any] = []
    targets: list[Any] = []
    with tell.progress(text, len(held)) as update:
        for number, fold in enumerate(folds_of(run)):
            artifact = keras_of(fold.path / MODEL, recipe.app)
            if metadata is not None:
                artifact = KerasArtifact(artifact.path, artifact.model, dict(metadata))
            records = splits.train.take(np.flatnonzero(held == number))
            update(int((held < number).sum()), f"fold {number + 1}")
            said, there = scoring.outputs(artifact, records, recipe.task)
            found.append(said)
            targets.append(there)
    return _joined(found), _joined(targets)


def _joined(parts: Sequence[Any]) -> Any:
    """Return outputs or targets of several sets of records, one after the other: arrays, lists, or arrays by name."""
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [entry for part in parts for entry in part]

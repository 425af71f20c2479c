"""Cross-validation: the runs of the folds, their models as one, and what each says of the records that it never saw.

Design choices:
- A fold is a run as any other, in the folder `fold-N` of the whole: it can be killed, resumed, looked at and exported by itself.
- The whole is a run too. Its model is the mean of the folds' models; its scores are those of each record by the model of the fold
  that held it out, so nothing is left of the data that was not scored, and nothing scored by a model that had seen it.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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


def baseline_of_folds(run: Run, name: str) -> dict[str, Any] | None:
    """Return the score of this name of the folds' baselines, the mean over records; None where a fold has none."""
    tests = [fold.document["scores"]["test"] for fold in folds_of(run)]
    if not all(test.get("baseline") for test in tests):
        return None
    count = sum(test["count"] for test in tests)
    value = sum(test["count"] * test["baseline"][name] for test in tests) / count
    return {"name": tests[0]["baseline"]["name"], name: value}


def put_together(recipe: Any, settings: Any, splits: Any, run: Run) -> Any:
    """Write the mean of the folds' models as the model of the whole run; return it."""
    from cnnkit import training
    from cnnkit.training.ensemble import ensemble

    artifacts = [keras_of(fold.path / MODEL, recipe.app) for fold in folds_of(run)]
    model = ensemble([artifact.model for artifact in artifacts])
    training.save(model, run.path / MODEL, training.describe(recipe, settings, splits.train))
    return model


def out_of_fold(recipe: Any, run: Run, splits: Any, tell: Reporter) -> Outside:
    """Score each record by the model of the fold that held it out.

    Args:
        recipe: of the app, as it fits the data.
        run: the whole.
        splits: its data.
        tell: hears of progress.
    """
    from cnnkit.evaluation import scoring

    held = np.array(splits.card["folds"])
    order = np.argsort(held, kind="stable")
    found: list[Any] = []
    targets: list[Any] = []
    with tell.progress("Scoring each fold", len(order)) as update:
        for number, fold in enumerate(folds_of(run)):
            artifact = keras_of(fold.path / MODEL, recipe.app)
            records = splits.train.take(np.flatnonzero(held == number))
            update(len(found), f"fold {number + 1}")
            said, there = scoring.outputs(artifact, records, recipe.task)
            found += list(said)
            targets += list(there)
    together = dataclasses.replace(splits, test=splits.train.take(order))
    labels = splits.train.label_names
    scores = noted(recipe, recipe.task.score(found, targets, labels, artifact.metadata))
    return Outside(scores, found, targets, together)

"""What several commands do with a model that is there: open the trained one, score it, say what its scores are worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import ArtifactError, DataError
from cnnkit.evaluation import verdict
from cnnkit.quiet import quiet
from cnnkit.reporter import Reporter
from cnnkit.score import MORE, Scores

SAID = 3  # of the worst records, where files call these otherwise than a person does


def keras_of(path: Path, app: str) -> Any:
    """Open a trained model, a `cnnkit.evaluation.artifacts.KerasArtifact`.

    Raises:
        ArtifactError: there is none, it is of another app, or it is an exported one.
    """
    from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact

    with quiet():
        artifact = open_artifact(path, app)
    if not isinstance(artifact, KerasArtifact):
        raise ArtifactError(
            f"{path} is an exported model; this needs the trained one: a run folder or its model.keras."
        )
    return artifact


def score(recipe: Any, artifact: Any, records: Any, text: str, tell: Reporter) -> tuple[Scores, Any, Any]:
    """Score an artifact on records, under `text`; return the scores, what it answered, and the targets.

    Raises:
        DataError: there are no records.
        ArtifactError: the artifact's classes are not those of the records.
    """
    from cnnkit.evaluation import scoring

    if not len(records):
        raise DataError("There is nothing to score: this split is empty. Give data with a test split.")
    with tell.progress(text, len(records)) as update:
        found, targets = scoring.outputs(artifact, records, recipe.task, update)
    scores = noted(recipe, recipe.task.score(found, targets, artifact.labels, artifact.metadata))
    _say_which(scores, records, tell)
    return scores, found, targets


def _say_which(scores: Scores, records: Any, tell: Reporter) -> None:
    """Say which of the worst records those are that our files call otherwise, as names may be of persons."""
    head = scores.headline
    if head.per_record is None or records.alias(0) == records.name(0):
        return
    order = np.argsort(head.per_record if head.better == MORE else -head.per_record, kind="stable")[:SAID].tolist()
    rows = [f"{records.alias(k)} is {records.name(k)} ({head.said(float(head.per_record[k]))})" for k in order]
    tell.message(f"The worst, as files call them: {', '.join(rows)}")


def noted(recipe: Any, scores: Scores) -> Scores:
    """Return scores with what everyone is to know who sees them, where the app says something."""
    if recipe.notice:
        scores["notice"] = recipe.notice
    return scores


def with_verdict(scores: Mapping[str, Any], baseline: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a run keeps of a split: its scores, the baseline's, and what they are worth."""
    return {**scores, "baseline": baseline, "verdict": verdict.judge(scores, baseline)}

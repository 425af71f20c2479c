"""What several commands do with a model that is there: open the trained one, score it, say what its scores are worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.errors import ArtifactError, DataError
from cnnkit.evaluation import verdict
from cnnkit.quiet import quiet
from cnnkit.reporter import Reporter
from cnnkit.score import Scores


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
    return noted(recipe, recipe.task.score(found, targets, artifact.labels, artifact.metadata)), found, targets


def noted(recipe: Any, scores: Scores) -> Scores:
    """Return scores with what everyone is to know who sees them, where the app says something."""
    if recipe.notice:
        scores["notice"] = recipe.notice
    return scores


def with_verdict(scores: Mapping[str, Any], baseline: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a run keeps of a split: its scores, the baseline's, and what they are worth."""
    return {**scores, "baseline": baseline, "verdict": verdict.judge(scores, baseline)}

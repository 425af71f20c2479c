"""Runs an artifact over records and lets the task score what comes out."""

from typing import Any

from cnnkit.data.records import Records
from cnnkit.errors import ArtifactError
from cnnkit.evaluation.artifacts import Artifact
from cnnkit.evaluation.task import Done


def outputs(artifact: Artifact, records: Records, task: Any, progress: Done = lambda done: None) -> tuple[Any, Any]:
    """Return an artifact's outputs for all records, and their targets, as the task has them.

    Raises:
        ArtifactError: the artifact's classes are not those of the records.
    """
    if tuple(artifact.labels) != tuple(records.label_names):
        raise ArtifactError(
            f"{artifact.path} knows the classes {_short(artifact.labels)}; the data has {_short(records.label_names)}. "
            "Evaluate it on data with its own classes, or train on this."
        )
    return task.outputs(artifact, records, progress)


def score(artifact: Artifact, records: Records, task: Any, progress: Done = lambda done: None) -> dict[str, Any]:
    """Score an artifact on records: the task's scores, each with its interval."""
    found, targets = outputs(artifact, records, task, progress)
    return task.score(found, targets, artifact.labels, artifact.metadata)


def _short(labels: Any) -> str:
    names = ", ".join(map(str, labels[:6]))
    return f"{names}, ... ({len(labels)})" if len(labels) > 6 else names

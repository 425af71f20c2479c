"""Runs an artifact over records and lets the task score what comes out."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.data.records import Records
from cnnkit.errors import ArtifactError
from cnnkit.evaluation.artifacts import Artifact

BATCH = 256


def outputs(
    artifact: Artifact, records: Records, progress: Callable[[int], None] = lambda done: None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return an artifact's outputs for all records, and their targets.

    Raises:
        ArtifactError: the artifact's classes are not those of the records.
    """
    if tuple(artifact.labels) != tuple(records.label_names):
        raise ArtifactError(
            f"{artifact.path} knows the classes {_short(artifact.labels)}; the data has {_short(records.label_names)}. "
            "Evaluate it on data with its own classes, or train on this."
        )
    records = records.with_shape(artifact.input_shape)
    found: list[dict[str, np.ndarray]] = []
    targets: list[np.ndarray] = []
    for start in range(0, len(records), BATCH):
        images, truth = records.read(np.arange(start, min(len(records), start + BATCH)))
        found.append(artifact.predict(images))
        targets.append(truth)
        progress(min(len(records), start + BATCH))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}, np.concatenate(targets)


def score(
    artifact: Artifact, records: Records, task: Any, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Score an artifact on records: the task's scores, each with its interval."""
    found, targets = outputs(artifact, records, progress)
    return task.score(found, targets, artifact.labels)


def _short(labels: Any) -> str:
    names = ", ".join(map(str, labels[:6]))
    return f"{names}, ... ({len(labels)})" if len(labels) > 6 else names

"""The export gate: a file is released only if it scores as the trained model does, on real held-out data.

The rule: overall and in each class, an exported model may lose at most `tolerance` points of the task's score. Overall a loss of
one example is not held against it. In a class a loss counts where it is more than chance: where a sign test over the class's
examples that only one of the two models has right is below 0.05 (5 lost and none won, 7 and 1, 9 and 2). With 60 examples in each
of 43 classes some class loses two examples, 3.3 points, to any rounding at all; a gate that refused for that would refuse
by lot. What each class lost and won is written down either way.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.records import Records
from cnnkit.device.model import DeviceModel
from cnnkit.errors import GateRefused
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.evaluation.scoring import outputs
from cnnkit.export.convert import convert
from cnnkit.files import write_bytes, write_json
from cnnkit.metrics import sign_test

CALIBRATION_IMAGES = 512
GATE = "gate.json"
CHANCE = 0.05


def compare(
    reference: dict[str, Any],
    exported: dict[str, Any],
    tolerance: float,
    changes: Mapping[str, tuple[int, int]] | None = None,
    class_tolerance: float | None = None,
) -> dict[str, Any]:
    """Compare two gate views of a task.

    Args:
        reference, exported: `score` in [0, 1] with its `count`; `per_class` and `class_count` by label.
        tolerance: points (hundredths) that may be lost.
        changes: by label the examples that only the first and only the second had right. Without them two lost examples
            of a class are taken for more than chance.
        class_tolerance: points that a class may lose; None: `tolerance`.

    Returns:
        `difference` in points (negative: worse), the worst class and its difference, `refused`: reasons, empty if it passed.
    """

    def lost(before: float, after: float, count: int, most: float) -> bool:
        return 100 * (before - after) > most + 1e-9 and round((before - after) * count) > 1

    class_tolerance = tolerance if class_tolerance is None else class_tolerance

    refused = []
    if lost(reference["score"], exported["score"], reference["count"], tolerance):
        refused.append(f"{100 * (reference['score'] - exported['score']):.2f} points lost overall")
    differences = {
        label: 100 * (exported["per_class"][label] - value) for label, value in reference["per_class"].items()
    }
    for label, value in reference["per_class"].items():
        chance = changes is not None and sign_test(*changes[label]) >= CHANCE
        count = reference["class_count"][label]
        if lost(value, exported["per_class"][label], count, class_tolerance) and not chance:
            refused.append(f"{-differences[label]:.2f} points lost in class {label}")
    worst = min(differences, key=lambda label: differences[label], default="")
    return {
        "score": exported["score"],
        "difference": 100 * (exported["score"] - reference["score"]),
        "worst_class": worst,
        "worst_class_difference": differences.get(worst, 0.0),
        "per_class": exported["per_class"],
        **({} if changes is None else {"lost_and_won": {k: list(v) for k, v in changes.items() if any(v)}}),
        "passed": not refused,
        "refused": refused,
    }


def export(
    artifact: KerasArtifact,
    folder: Path,
    *,
    train: Records,
    held_out: Records,
    task: Any,
    precisions: Sequence[str],
    tolerance: float | None = None,
    name: str = "model",
    progress: Any = lambda completed, text="": None,
) -> dict[str, Any]:
    """Convert a trained model and let each file through the gate.

    Args:
        artifact: the trained model.
        folder: where `NAME-PRECISION.tflite` and `gate.json` are written. A refused file is not left there.
        train: calibration images for int8 are drawn from these.
        held_out: what both models are scored on.
        task: scores them.
        precisions: which files to make.
        tolerance: points of the score that may be lost, overall and in a class; None: the task's own.
        name: of the files.
        progress: called with (steps done, text), one step a model scored.

    Returns:
        The content of `gate.json`.

    Raises:
        GateRefused: a file lost more; `gate.json` says which and where.
    """
    progress(0, "scoring the trained model")
    tolerance, class_tolerance = task.tolerance if tolerance is None else (tolerance, tolerance)
    trained, targets = outputs(artifact, held_out, task)
    reference = task.gate_view(task.score(trained, targets, artifact.labels, artifact.metadata))
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:CALIBRATION_IMAGES])
    calibration = task.as_read_by(artifact, train).read(chosen)[0]
    verdicts: dict[str, Any] = {}
    for number, precision in enumerate(precisions, 1):
        progress(number, precision)
        content = convert(artifact.model, precision, calibration, artifact.metadata)
        path = folder / f"{name}-{precision}.tflite"
        candidate = path.with_suffix(".candidate.tflite")
        write_bytes(candidate, content)
        try:
            found, _ = outputs(DeviceModel.open(candidate), held_out, task)
            exported = task.gate_view(task.score(found, targets, artifact.labels, artifact.metadata))
            changes = task.changes(trained, found, targets, artifact.labels)
            verdict = compare(reference, exported, tolerance, changes, class_tolerance)
            verdicts[precision] = {"file": path.name, "bytes": len(content), **verdict}
            if verdict["passed"]:
                candidate.replace(path)
            else:
                path.unlink(missing_ok=True)  # an older one must not pass for this one
        finally:
            candidate.unlink(missing_ok=True)
    document = {
        "tolerance": tolerance,
        "class_tolerance": class_tolerance,
        "images": len(held_out),
        "reference": reference,
        "artifacts": verdicts,
    }
    write_json(folder / GATE, document)
    failed = [f"{precision}: {', '.join(v['refused'])}" for precision, v in verdicts.items() if not v["passed"]]
    if failed:
        raise GateRefused(
            f"The gate refused {'; '.join(failed)} (tolerance {tolerance:g}, {class_tolerance:g} in a class). Details in "
            f"{folder / GATE}. Export another precision, train with more data, or raise --tolerance if you can accept the loss."
        )
    return document

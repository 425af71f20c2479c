"""`report`: one page about a run."""

import csv
from pathlib import Path
from typing import Any

from cnnkit import own_files
from cnnkit.errors import ArtifactError
from cnnkit.files import read_json
from cnnkit.registry import TRAINING, task_of
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import EXPORT, HISTORY, MODEL, REPORT, Run, latest
from cnnkit.run_data import own_data
from cnnkit.verbs.folds import out_of_fold
from cnnkit.verbs.scoring import keras_of, score, with_verdict


def report(
    recipe: Any,
    artifact: Path | None = None,
    *,
    data: str | None = None,
    out: Path | None = None,
    tell: Reporter = SILENT,
) -> Path:
    """Write the report of a run anew.

    Args:
        recipe: of the app.
        artifact: the run; None: the latest.
        data: where the run's data is now, if that is not known.
        out: the page; None: `report.html` in the run.
        tell: hears of progress and warnings.

    Returns:
        the page.
    """
    run = Run.open(artifact or latest(recipe.app, tell), recipe.app)
    own_files.check([out] if out else [])
    model = keras_of(run.file(MODEL), recipe.app)
    splits = own_data(recipe, run, tell=tell, source=data).splits
    if run.document.get("training", {}).get("folds"):
        outside = out_of_fold(recipe.fitting(recipe, splits), run, splits, model.metadata, tell)
        about = run.document["scores"]["folds"]
        return write_report(
            recipe, run, outside.splits, model, outside.found, outside.targets, out, scores=about, tell=tell
        )
    scores, found, targets = score(recipe, model, splits.test, "Scoring on the test split", tell)
    baseline = run.document.get("scores", {}).get("test", {}).get("baseline") or recipe.task.baseline(
        splits.train, splits.test, splits.validation, found
    )
    run.document["scores"] = {"test": with_verdict(scores, baseline)}
    return write_report(recipe, run, splits, model, found, targets, out, tell=tell)


def write_report(
    recipe: Any,
    run: Run,
    splits: Any,
    artifact: Any,
    found: Any,
    targets: Any,
    out: Path | None = None,
    *,
    scores: Any = None,
    tell: Reporter,
) -> Path:
    """Write the page about a run whose scores are known; return where it is.

    Args:
        recipe: of the app.
        run: with its scores.
        splits: its data.
        artifact: its model.
        found: what the model answers to the test split.
        targets: of the test split.
        out: the page; None: `report.html` in the run.
        scores: what it is about; None: the run's of the test split.
        tell: hears of progress.
    """
    from cnnkit.report import page

    recipe = recipe.fitting(recipe, splits)
    path = out or run.path / REPORT
    gate, gates = run.path / EXPORT / "gate.json", sorted((run.path / EXPORT).glob("*/gate.json"))
    scores = scores or run.document["scores"]["test"]
    with tell.progress("Writing the report", 1):
        task = task_of(artifact.metadata, TRAINING, artifact.path)
        parts = recipe.inputs.reported(recipe, run.settings(recipe.Settings), splits, artifact, scores, found, targets)
        made = [*task.sections(scores, artifact.labels), *parts.pop("made")]
        page.write(
            path,
            run=run.document,
            history=read_history(run.path / HISTORY) if (run.path / HISTORY).exists() else [],
            gate=read_json(gate, "Export again, or delete it.") if gate.exists() else None,
            gates=[read_json(path, "Export again, or delete it.") for path in gates],
            made=made,
            **parts,
            intended_use=recipe.intended_use,
            limits=recipe.limits,
            silent=task.silent(artifact.labels, parts["record"], artifact.metadata),
            notice=recipe.notice,
        )
    own_files.note([path])
    return path


def read_history(path: Path) -> list[dict[str, float]]:
    """Read `history.csv`: a row an epoch.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items() if value != ""} for row in csv.DictReader(file)]
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}. Train again.") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise ArtifactError(f"{path} is damaged ({error}). Train again.") from error

"""`evaluate`: what any artifact scores on data, beside a baseline."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import metrics
from cnnkit.errors import CnnkitError, ConfigError, DataError
from cnnkit.evaluation import verdict
from cnnkit.quiet import quiet
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import MODEL, Run, latest
from cnnkit.run_data import Loaded, data_for, everything, named_as, own_data, say_drawn, seen, those_given
from cnnkit.score import Scores
from cnnkit.verbs.folds import out_of_fold
from cnnkit.verbs.scoring import score


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Scores of an artifact.

    Attributes:
        artifact: the file that was scored.
        split: on which part of the data; "all": on the whole; "folds": each record by the model of the fold that held it out.
        data: name of its card.
        own_data: whether that is what the artifact was trained on.
        seen_in_training: records of other data that it was trained on or chosen by; None: not known, or its own data.
        scores: as the task has them.
        baseline: the scores of a plain model, with its `name`; None: there is none.
        verdict: what the scores are worth, as `cnnkit.evaluation.verdict.judge`.
        next: what to do about it; "": nothing.
        task: that scored.
        unknown: what becomes of inputs that show none of the labels: `folder`, `count`, `found`, the share that is said to be
            unknown, and `interval`; None: there are none.
    """

    artifact: Path
    split: str
    data: str | None
    own_data: bool
    seen_in_training: int | None
    scores: Scores
    baseline: dict[str, Any] | None
    verdict: dict[str, Any]
    next: str
    task: Any
    unknown: dict[str, Any] | None = None


def evaluate(
    recipe: Any,
    artifact: Path | None = None,
    *,
    data: str | None = None,
    split: str | None = None,
    skip_bad: bool = False,
    columns: Mapping[str, Any] | None = None,
    unknown: Path | None = None,
    tell: Reporter = SILENT,
) -> Evaluated:
    """Score an artifact.

    Args:
        recipe: of the app.
        artifact: a run, a `.keras` or a `.tflite`; None: the latest run.
        data: other data than the run's own, or where that is now.
        split: "test", "validation", "train" or "all"; None: the test split of the run's own data, or what its folds held out
            where that is all there is, and all of other data.
        skip_bad: whether what cannot be read is left out, with a warning.
        columns: where other data has texts and labels.
        unknown: folder of inputs that show none of the labels.
        tell: hears of progress and warnings.

    Raises:
        ArtifactError: there is no such artifact, or it is one of another app.
        DataError: the data is not there, has labels that the artifact does not know, or is a validation split that was
            trained on too; `unknown` has nothing in it.
        ConfigError: `unknown`, and a model that never says so.
    """
    from cnnkit.evaluation.artifacts import open_artifact

    path = artifact or latest(recipe.app, tell)
    with quiet():
        opened = open_artifact(path, recipe.app)
    if doubt := getattr(opened, "doubt", None):
        tell.warning(doubt)
    strange = None if unknown is None else _of_none(recipe, opened, unknown, skip_bad, tell)
    changes = {**those_given(columns or {}), **({"skip_bad": True} if skip_bad else {})}
    loaded = data_for(recipe, path, data, tell=tell, whole=split in (None, "all"), **changes)
    split = split or ("test" if loaded.own else "all")
    about = loaded.run.document if loaded.run else {}
    if split == "validation" and about.get("refit") and loaded.own:
        raise DataError(
            f"{path} was trained on its validation split too, so a score on that says nothing. Score the test split, or "
            "train with `refit=False`."
        )
    splits = named_as(loaded.splits, opened.labels, tell)
    if split == "test" and loaded.own and loaded.run and path.is_dir() and _held_out_by_folds(loaded.run, splits):
        outside = out_of_fold(recipe, loaded.run, splits, opened.metadata, tell)
        known = about.get("scores", {}).get("folds", {})
        judged = verdict.judge(outside.scores, known.get("baseline"))
        return Evaluated(
            opened.path,
            "folds",
            splits.card.get("name"),
            True,
            None,
            outside.scores,
            known.get("baseline"),
            judged,
            next=_next(recipe.app, path, loaded, data) if judged["bad"] or verdict.behind(judged) else "",
            task=recipe.task,
            unknown=strange,
        )
    records = everything(splits) if split == "all" else getattr(splits, split)
    if loaded.own and split in ("train", "all"):
        tell.warning(f"{path} was trained on these records, so the score says nothing of new ones.")
    elif not loaded.own and split != "all":
        say_drawn(splits, split, tell)
    known_records = None if loaded.own else seen(loaded.run, records, tell)
    text = "Scoring all of the data" if split == "all" else f"Scoring on the {split} split"
    scores, found, _ = score(recipe, opened, records, text, tell)
    baseline = _known_baseline(about, split, opened) if loaded.own else None
    baseline = baseline or _baseline(recipe, loaded, splits, split, records, found, tell)
    judged = verdict.judge(scores, baseline)
    return Evaluated(
        artifact=opened.path,
        split=split,
        data=splits.card.get("name"),
        own_data=loaded.own,
        seen_in_training=known_records,
        scores=scores,
        baseline=baseline,
        verdict=judged,
        next=_next(recipe.app, path, loaded, data) if judged["bad"] or verdict.behind(judged) else "",
        task=recipe.task,
        unknown=strange,
    )


def _of_none(recipe: Any, opened: Any, folder: Path, skip_bad: bool, tell: Reporter) -> dict[str, Any]:
    """Return how many inputs in a folder, which show none of the labels, are said to be unknown, as `predict` answers them."""
    from cnnkit.registry import DEVICE, input_of, task_of
    from cnnkit.verbs.predict import Each

    metadata = opened.metadata
    kind, task = input_of(metadata, DEVICE, opened.path), task_of(metadata, DEVICE, opened.path)
    says = None if task.predicts() or kind.predicts() else task.unknown(metadata, opened.labels)
    if says is None:
        raise ConfigError(
            f"{opened.path} never answers that an input is unknown, so `unknown` means nothing to it. Of a model that names one "
            "class, train with `accept=0.95`, or with a class `unknown`."
        )
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Give a folder of inputs that show none of the labels.")
    preparation = getattr(recipe.inputs, "preparation", None)
    answers = Each(
        recipe.app, opened, [folder], task=task, kind=kind, preparation=preparation, skip_bad=skip_bad, tell=tell
    )
    with tell.progress(f"Answering {folder}", 1):
        found = [bool(answer.get("nothing")) or says(answer) for answer in answers]
    if not found:
        raise DataError(f"{folder} has nothing in it that could be answered. Give a folder of {recipe.inputs.noun}.")
    count = sum(found)
    interval = list(metrics.wilson(count, len(found)))
    return {"folder": str(folder), "count": len(found), "found": count / len(found), "interval": interval}


def _held_out_by_folds(run: Run, splits: Any) -> bool:
    """Whether each record was held out by one of a run's folds, and there are no others to score it on."""
    return bool(run.document.get("training", {}).get("folds")) and not len(splits.test)


def _known_baseline(about: Mapping[str, Any], split: str, opened: Any) -> dict[str, Any] | None:
    """Return the baseline that was scored after training; what it was compared with one by one was the trained model alone."""
    known = (about.get("scores", {}).get(split) or {}).get("baseline")
    if known and opened.path.name != MODEL:
        return {key: value for key, value in known.items() if key != "against"}
    return known


def _baseline(
    recipe: Any, loaded: Loaded, splits: Any, split: str, records: Any, found: Any, tell: Reporter
) -> dict[str, Any] | None:
    """Score a baseline on records: fitted where the model was trained, or, where that is not here, beside the records."""
    fitted, where = splits, None
    if not loaded.own:
        try:
            if loaded.run is None:
                raise DataError("There is no run.")
            own = own_data(recipe, loaded.run, tell=tell, here=True, warn=False).splits
            fitted, where = named_as(own, records.label_names, tell), f"the training data, {own.card.get('title')}"
        except CnnkitError:
            where = f"the training part of {splits.card.get('title')}"
            if split in ("all", "train"):
                tell.note("There is no baseline beside it: the data that the model was trained on is not here.")
                return None
    with tell.progress("Fitting the baseline", 1):
        made = recipe.task.baseline(fitted.train, records, fitted.validation, found)
    return made if where is None else {**made, "name": f"{made['name']}, fitted on {where}"}


def _next(app: str, path: Path, loaded: Loaded, data: str | None) -> str:
    """Return what to do about a score that is a bad one."""
    if loaded.own:
        return f"train longer or on more data, and look at its errors: cnnkit {app} report"
    weights = loaded.run.path if loaded.run else path
    return (
        f"see what differs from its training data with `cnnkit {app} data show {data}`; or train on data like "
        f"these: cnnkit {app} train --weights {weights} --data ..."
    )

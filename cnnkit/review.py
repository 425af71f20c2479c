"""What the commands do with a model that is there: score it, report on it, explain it."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cnnkit import console, own_files
from cnnkit.errors import ArtifactError, CnnkitError, DataError
from cnnkit.files import read_json
from cnnkit.quiet import quiet
from cnnkit.registry import TRAINING, task_of
from cnnkit.reporter import Reporter
from cnnkit.run import EXPORT, HISTORY, MODEL, REPORT, Run, latest
from cnnkit.run_data import Loaded, data_for, everything, named_as, own_data, say_drawn, seen, those_given
from cnnkit.score import Score, Scores, unit


def keras_of(path: Path, app: str) -> Any:
    from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact

    with quiet():
        artifact = open_artifact(path, app)
    if not isinstance(artifact, KerasArtifact):
        raise ArtifactError(
            f"{path} is an exported model; this needs the trained one: a run folder or its model.keras."
        )
    return artifact


def score(recipe: Any, artifact: Any, records: Any, text: str, tell: Reporter) -> tuple[Scores, Any, Any]:
    from cnnkit.evaluation import scoring

    if not len(records):
        raise DataError("There is nothing to score: this split is empty. Give data with a test split.")
    with tell.progress(text, len(records)) as update:
        found, targets = scoring.outputs(artifact, records, recipe.task, update)
    return recipe.task.score(found, targets, artifact.labels, artifact.metadata), found, targets


def with_verdict(scores: Mapping[str, Any], baseline: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a run keeps of a split: its scores, the baseline's, and what they are worth."""
    from cnnkit.evaluation import verdict

    return {**scores, "baseline": baseline, "verdict": verdict.judge(scores, baseline)}


def evaluate(
    recipe: Any,
    artifact: Path | None,
    *,
    data: str | None,
    split: str | None,
    skip_bad: bool,
    columns: Mapping[str, Any],
) -> None:
    """Score any artifact on a split: by default the test split of the run's own data, and all of other data.

    `columns` say where other data has texts and labels.
    """
    path = artifact or latest(recipe.app, console)
    from cnnkit.evaluation import verdict
    from cnnkit.evaluation.artifacts import open_artifact

    with quiet():
        opened = open_artifact(path, recipe.app)
    if doubt := getattr(opened, "doubt", None):
        console.warning(doubt)
    changes = {**those_given(columns), **({"skip_bad": True} if skip_bad else {})}
    loaded = data_for(recipe, path, data, tell=console, whole=split in (None, "all"), **changes)
    split = split or ("test" if loaded.own else "all")
    about = loaded.run.document if loaded.run else {}
    if split == "validation" and about.get("refit") and loaded.own:
        raise DataError(
            f"{path} was trained on its validation split too, so a score on that says nothing. Score the test split, or "
            "train with `refit=False`."
        )
    splits = named_as(loaded.splits, opened.labels, console)
    records = everything(splits) if split == "all" else getattr(splits, split)
    if loaded.own and split in ("train", "all"):
        console.warning(f"{path} was trained on these records, so the score says nothing of new ones.")
    elif not loaded.own and split != "all":
        say_drawn(splits, split, console)
    known_records = None if loaded.own else seen(loaded.run, records, console)
    text = "Scoring all of the data" if split == "all" else f"Scoring on the {split} split"
    scores, found, _ = score(recipe, opened, records, text, console)
    known = _known_baseline(about, split, opened) if loaded.own else None
    known = known or _baseline(recipe, loaded, splits, split, records, found)
    judged = verdict.judge(scores, known)
    console.document(
        {
            "artifact": str(opened.path),
            "split": split,
            "data": splits.card.get("name"),
            "own_data": loaded.own,
            "seen_in_training": known_records,
            **scores,
            "baseline": known,
            "verdict": judged,
        }
    )
    print_scores(recipe, {opened.path.name: scores}, known, per_class=True)
    said = say_verdict(judged)
    if said and not loaded.own:
        console.message(
            f"Next: see what differs from its training data with `cnnkit {recipe.app} data show {data}`; or train on data like "
            f"these: cnnkit {recipe.app} train --weights {loaded.run.path if loaded.run else path} --data ..."
        )
    elif said:
        console.message(f"Next: train longer or on more data, and look at its errors: cnnkit {recipe.app} report")


def say_verdict(judged: Mapping[str, Any]) -> bool:
    """Tell of a bad model, in red, or of one that is not above its baseline; return whether there was something to tell."""
    if judged["bad"]:
        console.alarm(judged["text"])
    elif behind(judged):
        console.warning(judged["text"])
    elif judged["kind"] == "level":
        console.message(judged["text"])
    return judged["bad"] or behind(judged)


def behind(judged: Mapping[str, Any]) -> bool:
    """Whether a score is below its baseline, be it by chance."""
    return judged["kind"] == "level" and judged["difference"] < 0


def _known_baseline(about: Mapping[str, Any], split: str, opened: Any) -> dict[str, Any] | None:
    """Return the baseline that was scored after training; what it was compared with one by one was the trained model alone."""
    known = (about.get("scores", {}).get(split) or {}).get("baseline")
    if known and opened.path.name != MODEL:
        return {key: value for key, value in known.items() if key != "against"}
    return known


def _baseline(recipe: Any, loaded: Loaded, splits: Any, split: str, records: Any, found: Any) -> dict[str, Any] | None:
    """Score a baseline on records: fitted where the model was trained, or, where that is not here, beside the records."""
    fitted, where = splits, None
    if not loaded.own:
        try:
            if loaded.run is None:
                raise DataError("There is no run.")
            own = own_data(recipe, loaded.run, tell=console, here=True, warn=False).splits
            fitted, where = named_as(own, records.label_names, console), f"the training data, {own.card.get('title')}"
        except CnnkitError:
            where = f"the training part of {splits.card.get('title')}"
            if split in ("all", "train"):
                console.note("There is no baseline beside it: the data that the model was trained on is not here.")
                return None
    with console.progress("Fitting the baseline", 1):
        made = recipe.task.baseline(fitted.train, records, fitted.validation, found)
    return made if where is None else {**made, "name": f"{made['name']}, fitted on {where}"}


def print_scores(
    recipe: Any, scores: Mapping[str, Scores], baseline: dict[str, Any] | None, per_class: bool = False
) -> None:
    """Print a table of scores, the baseline's last, and of one artifact a table of its classes."""
    if console.is_json():
        return
    score = next(iter(scores.values())).headline
    columns = {model: recipe.task.columns(s) for model, s in scores.items()}
    titles = list(next(iter(columns.values())))

    def row(name: str, shown: Score, others: Iterable[str]) -> list[str]:
        return [name, shown.number(shown.value), shown.range(shown.interval), *others]

    rows = [row(model, s.headline, columns[model].values()) for model, s in scores.items()]
    if baseline is not None:
        rows.append(row(f"baseline: {baseline['name']}", score.of(baseline), [""] * len(titles)))
    console.table(["", score.title, "95 % interval", *titles], rows)
    if baseline is not None and (line := recipe.task.compared(baseline)):
        console.message(line)
    if per_class:
        (first,) = scores.values()
        _print_classes(first, recipe.task.counted)


def _print_classes(scores: Scores, counted: str) -> None:
    """Print a table of the classes' scores, where there are classes; `counted` is what a class has some of."""
    classes = scores.get("per_class")
    if not classes:
        return
    names = {"f1": "F1", "ap": "AP", "ap50": "AP50"}
    shown = [Score(name, 0.0, unit(scores, name)) for name in next(iter(classes.values())) if name != "support"]
    titles = [dataclasses.replace(score, name=names.get(score.name, score.name)).title for score in shown]
    lines = [
        [label, *("" if v[s.name] is None else s.number(v[s.name]) for s in shown), v["support"]]
        for label, v in classes.items()
    ]
    console.table(["class", *titles, counted], lines)


def report(recipe: Any, artifact: Path | None, *, out: Path | None, data: str | None = None) -> None:
    """Write the report of a run anew; `data` is where the run's data is now, if that is not known."""
    run = Run.open(artifact or latest(recipe.app, console), recipe.app)
    own_files.check([out] if out else [])
    model = keras_of(run.file(MODEL), recipe.app)
    splits = own_data(recipe, run, tell=console, source=data).splits
    scores, found, targets = score(recipe, model, splits.test, "Scoring on the test split", console)
    baseline = run.document.get("scores", {}).get("test", {}).get("baseline") or recipe.task.baseline(
        splits.train, splits.test, splits.validation, found
    )
    run.document["scores"] = {"test": with_verdict(scores, baseline)}
    page = write_report(recipe, run, splits, model, found, targets, out, tell=console)
    console.document({"report": str(page)})
    console.message(f"Report: {page}")


def write_report(
    recipe: Any,
    run: Run,
    splits: Any,
    artifact: Any,
    found: Any,
    targets: Any,
    out: Path | None = None,
    *,
    tell: Reporter,
) -> Path:
    from cnnkit.report import page

    path = out or run.path / REPORT
    gate = run.path / EXPORT / "gate.json"
    scores = run.document["scores"]["test"]
    with tell.progress("Writing the report", 1):
        task = task_of(artifact.metadata, TRAINING, artifact.path)
        parts = recipe.inputs.reported(recipe, run.settings(recipe.Settings), splits, artifact, scores, found, targets)
        made = [*task.sections(scores, artifact.labels), *parts.pop("made")]
        page.write(
            path,
            run=run.document,
            history=read_history(run.path / HISTORY),
            gate=read_json(gate, "Export again, or delete it.") if gate.exists() else None,
            made=made,
            **parts,
            intended_use=recipe.intended_use,
            limits=recipe.limits,
            silent=task.silent(artifact.labels, parts["record"]),
        )
    own_files.note([path])
    return path


def read_history(path: Path) -> list[dict[str, float]]:
    """Read `history.csv`: a row an epoch.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    import csv

    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items() if value != ""} for row in csv.DictReader(file)]
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}. Train again.") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise ArtifactError(f"{path} is damaged ({error}). Train again.") from error

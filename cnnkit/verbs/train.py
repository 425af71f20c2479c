"""`train`: from data to a run with its model, scores and report.

Design choices:
- A run that goes on takes the way of a new one, from its data to its report: what is done already is found done.
- No other process trains into its folder at the same time.
- What follows from the data (a preset, options of the builder, a learning rate that was looked for) is in the run's settings;
  what was asked for stands beside it, so that `resume` knows the same words again.
"""

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import time_budget, training
from cnnkit.data import inventory
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.verdict import behind
from cnnkit.quiet import quiet
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import HISTORY, MODEL, Run, begin, finish, holding
from cnnkit.score import Scores
from cnnkit.training.settings import starts_loaded
from cnnkit.verbs.asked import Asked, asked_for, like_earlier, resumable
from cnnkit.verbs.folds import baseline_of_folds, calibrated, fold_path, out_of_fold, put_together, trained_folds
from cnnkit.verbs.report import write_report
from cnnkit.verbs.scoring import keras_of, score, with_verdict
from cnnkit.verbs.work import Work, begun, fitted, gone_on


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        run: it made.
        scores: of the test split, as the task has them.
        baseline: the scores of a plain model, with its `name`.
        verdict: what the scores are worth, as `cnnkit.evaluation.verdict.judge`.
        report: the page about it.
        taken: what is to be said of the latest run, where an exported one was before; else "".
        next: what to do now.
        task: that scored.
    """

    run: Run
    scores: Scores
    baseline: dict[str, Any]
    verdict: dict[str, Any]
    report: Path
    taken: str
    next: str
    task: Any


def train(
    recipe: Any,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    out: Path | None = None,
    config: Path | None = None,
    resume: bool = False,
    began: float | None = None,
    within: bool = False,
    tell: Reporter = SILENT,
) -> Trained:
    """Train a run, score it beside a baseline, and write its report.

    Args:
        recipe: of the app.
        settings: by name; a `learning_rate` may be "auto". What is left out is as the recipe's preset has it.
        options: of the model's builder.
        out: folder of the run; None: a new one below `runs/<app>`, or with `resume` the one that began last.
        config: file of more settings, or an earlier run or its `run.json`; `settings` go before it.
        resume: whether the run in `out` goes on, if it has begun.
        began: when the command did, as `time.monotonic` has it; a budget of time counts from there. None: now.
        within: whether it is a part of another run, which stays the latest.
        tell: hears of progress, of what is trained on what, and of warnings.

    Raises:
        ConfigError: settings that there are not, that do not fit, or that differ from those of the run that is to go on.
        DataError: the data is not there, or cannot be trained on.
        ArtifactError: weights or a run that cannot be used.
        CnnkitError: `out` holds something, or another process trains into it.
    """
    began = time.monotonic() if began is None else began
    asked = asked_for(recipe, settings or {}, options or {}, config, out)
    with contextlib.ExitStack() as held:
        run = _resumed(recipe, asked, held, tell) if resume else None
        if run is None:
            asked = like_earlier(recipe, asked)
            _refuse_what_holds_something(out)
        with quiet():
            from cnnkit.training import fitting  # noqa: F401 - whatever is slow to import is timed as starting
        starting = time.monotonic() - began
        finished = run is not None and bool(run.document.get("scores"))
        work = begun(recipe, asked, held, tell) if run is None else gone_on(recipe, asked, run, tell)
        work = dataclasses.replace(work, within=within)
        _say_what_is_trained(work)
        if _is_of_folds(work):
            return _in_folds(work, finished)
        budget, baseline = _timed(work, began, starting)
        _fit(work, budget)
        artifact = _calibrated_and_refit(work, budget)
        scores, found, targets = score(work.recipe, artifact, work.splits.test, "Scoring on the test split", tell)
        if baseline is None or getattr(work.recipe.task, "compares", False):  # with what the model found, one by one
            baseline = _baseline(work, _repeated(work), found)
        kept = with_verdict(scores, baseline)
        work.run.save(scores={"test": kept})
        taken = "" if finished or within else finish(work.run)
        page = write_report(work.recipe, work.run, work.splits, artifact, found, targets, tell=tell)
    judged = kept["verdict"]
    return Trained(work.run, scores, baseline, judged, page, taken, _next(work, judged), work.recipe.task)


# The run --------------------------------------------------------------------------------------------------------------


def _refuse_what_holds_something(out: Path | None) -> None:
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CnnkitError(f"{out} exists already. Choose another `out`, delete it, or go on with it by `resume`.")


def _resumed(recipe: Any, asked: Asked, held: contextlib.ExitStack, tell: Reporter) -> Run | None:
    """Return the run that goes on, held for this process alone; None: it has not begun."""
    found = resumable(recipe, asked.out, asked.words, tell)
    if found is None:
        return None
    held.enter_context(holding(found.path))
    run = Run.open(found.path, recipe.app)  # as it is now that nobody else writes it
    if run.document.get("scores"):
        tell.message(f"{run.path} is finished already; its scores are below.")
    return run


def _say_what_is_trained(work: Work) -> None:
    splits, noun, tell = work.splits, work.recipe.inputs.noun, work.tell
    for line in (*inventory.lines(splits.card.get("inventory", {})), *splits.card.get("notes", ())):
        tell.message(line)
    for line in work.recipe.inputs.looked_at(splits):
        tell.warning(line)
    held = f"{len(splits.validation):,} for validation, {len(splits.test):,} for the test"
    if _is_of_folds(work):
        held = f"each held out in one of {work.settings.folds} folds" + (
            f", {len(splits.test):,} more for the test" if len(splits.test) else ""
        )
    tell.message(
        f"Training {work.settings.model} on {work.run.document['data']['title']}: {len(splits.train):,} {noun}, {held} "
        f"-> {work.run.path}"
    )


def _is_of_folds(work: Work) -> bool:
    """Whether each fold of the data is trained as a run, and not one of them or none."""
    return bool(getattr(work.settings, "folds", None)) and work.settings.fold is None


# Training -------------------------------------------------------------------------------------------------------------


def _timed(work: Work, began: float, starting: float) -> tuple[Any, dict[str, Any] | None]:
    """Return the budget of the whole command, and the baseline: it learns nothing of the model, and its time is then known.

    Both are None where training is as long as its epochs.
    """
    if work.settings.minutes is None:
        return None, None
    again = len(work.whole.train) / len(work.splits.train) if work.whole else 0.0
    budget = training.Budget(60 * work.settings.minutes, began, again=again)
    budget.after = time_budget.REPORT * starting
    return budget, _baseline(work, work.whole)


def _fit(work: Work, budget: Any) -> None:
    """Train; a run that fails before it has begun is not left behind."""
    run, settings, tell = work.run, work.settings, work.tell
    if run.document.pop("refit", None):  # until the second training is done again, `model.keras` is of the first
        run.save()
    from cnnkit.training import pruning

    if run.document.get("weights") and not work.within:
        begin(run.path, work.recipe.app)

    def on_load(loaded: Any) -> None:
        if not work.within:
            begin(run.path, work.recipe.app)
        for line in loaded.lines() if starts_loaded(settings) else ():
            tell.message(line)
        if "pruned" in run.document:
            tell.message(pruning.line(run.document["pruned"]))

    try:
        with tell.progress("Training", 1, to_the_end=False) as update:
            training.fit(
                work.recipe,
                settings,
                work.splits,
                run,
                on_epoch=lambda state: update(*_where(work, state, budget)),
                on_step=update,
                on_load=on_load,
                on_start=lambda lines: tell.message("\n".join(lines)) if lines else None,
                on_download=lambda what, done, total: update(done / total if total else 0, what),
                on_model=lambda model: _foretell(work, model, budget),
                budget=budget,
            )
    except CnnkitError:
        if not (run.path / HISTORY).exists():  # it has not begun, so there is nothing to go on with
            run.discard()
        raise
    done = run.document["training"]
    epochs = f"{done['epochs']} of {done['planned_epochs']}" if "planned_epochs" in done else f"{done['epochs']:g}"
    steps = f" ({done['steps']:,} steps)" if "steps" in done else ""
    tell.message(
        f"Trained {epochs} epochs{steps} in {done['seconds']:.0f} s "
        f"({done['stopped']}); best: epoch {done['best_epoch']:g}; {run.document['model']['parameters']:,} parameters"
    )
    if again := run.document.get("quantise_aware"):
        tell.message(
            f"Then {again['epochs']} epochs with the rounding of an int8 file, in {again['seconds']:.0f} s; best: "
            f"epoch {again['best_epoch']}" + (f" ({again['stopped']})" if again.get("stopped") else "")
        )


def _where(work: Work, state: Any, budget: Any) -> tuple[float, str]:
    """Return how far training is, in [0, 1], and a few words on it."""
    headline = work.recipe.task.headline
    monitor = f"val_{headline}" if len(work.splits.validation) else headline
    row = state.history[-1]
    shown = monitor if monitor in row else "val_loss"
    text = f"loss {row['loss']:.4f}" + (f"  {shown} {row[shown]:.4f}" if shown in row else "")
    if not budget:
        return state.epoch / state.epochs, f"epoch {state.epoch}/{state.epochs}  {text}"
    left = time_budget.in_words(max(0.0, budget.seconds - budget.used()))
    return state.share, f"epoch {state.epoch:g}, {left} min until all is done  {text}"


def _foretell(work: Work, model: Any, budget: Any) -> None:
    """Measure what scoring will take, with the model as it begins, and say when all will be done."""
    from cnnkit.evaluation.artifacts import KerasArtifact

    splits = work.splits
    artifact = KerasArtifact(work.run.path, model, training.describe(work.recipe, work.settings, splits.train))
    most = time_budget.MEASURING * budget.seconds
    first, each = time_budget.scoring_seconds(work.recipe, artifact, splits.test, most)
    budget.after += first + each * (len(splits.test) + len(splits.validation))
    time_budget.foretell(budget, work.settings, work.tell)


def _calibrated_and_refit(work: Work, budget: Any) -> Any:
    """Open the trained model, once validation data have decided what they decide, and perhaps were trained on too."""
    artifact, decided = _calibrated(work)
    whole = _repeated(work)
    if whole is None:
        return artifact
    if budget and not training.refit_fits(work.run, budget):
        work.tell.message(
            "There is no time left to train anew on validation data too: the model is that of the first training."
        )
        return artifact
    return _refit(work, whole, decided, budget)


def _calibrated(work: Work) -> tuple[Any, dict[str, Any]]:
    """Open the trained model, after what validation data decide was written into it; return that too."""
    task, path = work.recipe.task, work.run.path / MODEL
    artifact = keras_of(path, work.recipe.app)
    with work.tell.progress("Calibrating on validation data", 1):
        decided = task.calibrate(artifact, work.splits.validation, **task.asked(work.settings))
    for line in task.cautions(decided):
        work.tell.warning(line)
    before = artifact.metadata
    artifact.finalize(decided)
    if artifact.metadata != before:
        training.save(artifact.model, path, artifact.metadata)
    return artifact, decided


def _repeated(work: Work) -> Any:
    """Return the data of a second training; None where there is none, as where a loss was never a number."""
    return work.whole if work.run.document["training"]["best_epoch"] else None


def _refit(work: Work, whole: Any, decided: dict[str, Any], budget: Any) -> Any:
    """Train on validation records too, and open the model."""
    recipe, run = work.recipe, work.run
    epochs = run.document["training"]["best_epoch"]
    with work.tell.progress("Training on validation data too", 1) as update:
        training.refit(
            fitted(recipe, whole, recipe.task.facts()),
            whole,
            run,
            decided,
            budget=budget,
            on_epoch=lambda state: update(state.share or state.epoch / epochs, f"epoch {state.epoch:g} of {epochs:g}"),
            on_step=update if budget else None,
        )
    done = run.document["refit"]
    epochs = done.get("epochs", epochs)
    work.tell.message(
        f"Trained anew on all {done['records']:,} {recipe.inputs.noun}, those of validation too, for {epochs:g} "
        f"epoch{'s' * (epochs != 1)} in {done['seconds']:.0f} s (`refit=False` leaves this out)"
    )
    return keras_of(run.path / MODEL, recipe.app)


# Cross-validation -----------------------------------------------------------------------------------------------------


def _in_folds(work: Work, finished: bool) -> Trained:
    """Train a run for each fold, put their models together, and score each record by the model that never saw it."""
    run, tell, count = work.run, work.tell, work.settings.folds
    begin(run.path, work.recipe.app)
    work.recipe.inputs.write_folds(run.path, work.splits.train, work.splits.card["folds"])
    settings = work.settings.to_dict()
    options = settings.pop("options")
    if settings["minutes"]:
        settings["minutes"] /= count
    for number in range(count):
        tell.message(f"Fold {number + 1} of {count}")
        own = {**settings, "fold": number}
        train(work.recipe, own, options, out=fold_path(run, number), resume=True, within=True, tell=tell)
    model = put_together(work.recipe, work.settings, work.splits, run)
    artifact = calibrated(work.recipe, work.settings, work.splits, run, tell)
    outside = out_of_fold(work.recipe, run, work.splits, artifact.metadata, tell)
    kept = with_verdict(outside.scores, baseline_of_folds(work.recipe.task, run, outside.scores.headline.name))
    scored = {"folds": kept}
    scores, baseline = outside.scores, kept["baseline"]
    if len(work.splits.test):
        scores, _, _ = score(
            work.recipe, artifact, work.splits.test, "Scoring all folds together on the test split", tell
        )
        baseline = _baseline(work, None)
    scored["test"] = with_verdict(scores, baseline)
    run.save(
        scores=scored,
        model={"name": work.settings.model, "parameters": model.count_params()},
        training={"folds": count, "seconds": round(sum(entry["seconds"] for entry in trained_folds(run)), 2)},
    )
    taken = "" if finished else finish(run)
    page = write_report(
        work.recipe, run, outside.splits, artifact, outside.found, outside.targets, scores=kept, tell=tell
    )
    judged = scored["test"]["verdict"]
    return Trained(run, scores, baseline, judged, page, taken, f"cnnkit {work.recipe.app} export", work.recipe.task)


# What it is worth -----------------------------------------------------------------------------------------------------


def _baseline(work: Work, whole: Any, found: Any = None) -> dict[str, Any]:
    splits = work.splits
    with work.tell.progress("Fitting the baseline", 1):
        return work.recipe.task.baseline(
            splits.train, splits.test, splits.validation, found, whole.train if whole else None
        )


def _next(work: Work, judged: Mapping[str, Any]) -> str:
    """Return what to do next: export a good model; of one that is not, what may make it better."""
    app = work.recipe.app
    if not judged["bad"] and not behind(judged):
        return f"cnnkit {app} export"
    done, minutes = work.run.document["training"], work.settings.minutes
    parts = []
    if done["best_epoch"] and done["best_epoch"] == done["epochs"]:
        longer = f"`minutes={3 * minutes:g}`" if minutes else f"`epochs={3 * done['epochs']}`"
        parts.append(f"train longer, its last epoch was its best ({longer})")
    parts += [
        f"look for faults in the data (cnnkit {app} data check {work.settings.data})",
        "look at its worst errors in the report",
        "train on more data",
    ]
    return "; ".join(parts) + "."

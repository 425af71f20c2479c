"""What the commands do that need the training extra: they tie data, training, evaluation, export and report together."""

import contextlib
import dataclasses
import inspect
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import console, opening, time_budget
from cnnkit.device.model import read_metadata
from cnnkit.errors import ArtifactError, CnnkitError, ConfigError
from cnnkit.quiet import quiet
from cnnkit.review import behind, keras_of, print_scores, say_verdict, score, with_verdict, write_report
from cnnkit.run import DATA_RECORDS, HISTORY, MODEL, Run, begin, finish, holding, new_path, to_resume
from cnnkit.run_data import (
    describe_data,
    load,
    own_data,
    remember_place,
    settings_in,
    undivided,
)
from cnnkit.settings import checked, fields, rooms

BACKBONE = "backbone"  # the builder, in every app that has it, of a classifier on a network of keras.applications


# Tasks ----------------------------------------------------------------------------------------------------------------


def task_of_data(source: str) -> str:
    """Return what a data set is for, such as "detection"."""
    from cnnkit.data import cards

    return cards.load(source).task


def task_for(
    app: str, given: dict[str, Any], *, config_file: Path | None, out: Path | None, resume: bool
) -> str | None:
    """Return what an app with several tasks should train: what a resumed run did, what the data is for, what weights know."""
    if resume:
        path = out or to_resume(app, console)
        if (path / "run.json").is_file():
            return Run.open(path, app).document.get("task")
    source = given.get("data") or (settings_in(config_file).get("data") if config_file else None)
    if source:
        return task_of_data(source)
    weights = Path(given.get("weights", "none"))
    return opening.task_of(app, weights) if weights.is_dir() else None


# Training -------------------------------------------------------------------------------------------------------------


def train(
    recipe: Any,
    given: dict[str, Any],
    options: dict[str, Any],
    *,
    out: Path | None,
    config_file: Path | None,
    resume: bool,
    began: float | None = None,
) -> None:
    """Train a run, score it, write its report. No other process trains into its folder at the same time.

    `began` is when the command did, as `time.monotonic` has it; a budget of time counts from there.
    """
    began = time.monotonic() if began is None else began
    with contextlib.ExitStack() as held:
        _train(recipe, given, options, out=out, config_file=config_file, resume=resume, began=began, held=held)


def _train(
    recipe: Any,
    given: dict[str, Any],
    options: dict[str, Any],
    *,
    out: Path | None,
    config_file: Path | None,
    resume: bool,
    began: float,
    held: contextlib.ExitStack,
) -> None:
    rate = given.pop("learning_rate", None)
    if rate is not None and rate != "auto":
        given["learning_rate"] = _number(rate)
    asked_in_file = settings_in(config_file, recipe.Settings) if config_file else {}
    given = asked_in_file | checked(recipe.Settings, given, "the command line")
    if options:
        given["options"] = {**given.get("options", {}), **options}
    if Path(given.get("weights", "none")).is_dir():
        given["weights"] = str(Path(given["weights"]).resolve())  # `latest` will lead elsewhere
    asked = {**given, **({"learning_rate": "auto"} if rate == "auto" else {})}  # before anything follows from the data
    run = _resumable(recipe, out, asked) if resume else None
    if run is None:
        given = _like_earlier(recipe, given)
    if run is not None:
        held.enter_context(holding(run.path))
        run = Run.open(run.path, recipe.app)  # as it is now that nobody else writes it
    if run is not None and run.document.get("scores"):
        console.message(f"{run.path} is finished already; its scores are below.")
    elif out is not None and out.exists() and run is None and (not out.is_dir() or any(out.iterdir())):
        raise CnnkitError(f"{out} exists already. Choose another `out`, delete it, or go on with it by `resume`.")
    finished = bool(run is not None and run.document.get("scores"))
    with quiet():
        from cnnkit import training
        from cnnkit.data import inventory, seen
        from cnnkit.data.loading import check_divided
    starting = time.monotonic() - began

    if run is not None and not run.document.get("scores") and (otherwise := run.computed_otherwise()):
        console.warning(
            f"{run.path} was started with {', '.join(otherwise)}; it goes on, but not to the very same weights."
        )
    if run is None:
        model = given.get("model") or _model_for(recipe, given)
        if model not in recipe.builders:
            raise ConfigError(f"There is no model `{model}`. Models: {', '.join(recipe.builders)}.")
        side = recipe.side(model)
        given = {**({"image_size": side} if side else {}), **given, "model": model}
    known = (
        own_data(recipe, run, tell=console, source=given.get("data")) if run else None
    )  # the same data may lie elsewhere by now
    splits = known.splits if known else load(recipe, given, tell=console)
    check_divided(splits)
    recipe = _fitted(recipe, splits, run.document.get("fitted", {}) if run else _known_to_weights(given))
    if run is None:
        preset = recipe.preset(model, len(splits.train), given.get("weights", "none") != "none")
        preset = checked(recipe.Settings, preset, f"the preset of {model}")
        if any(field.name in preset for room in rooms(recipe.Settings) if room.of_data for field in fields(room)):
            raise ValueError(
                f"a preset cannot change the data, which is loaded before it is known. Received: {preset}."
            )
        _warn_of_seen_validation(given, splits)
        made = recipe.options(splits.train, model)
        follow = {name: made[name] for name in recipe.follows if name in made}
        given["options"] = {**made, **given.get("options", {}), **follow}
        settings = recipe.Settings(**{**preset, **given, "data": given.get("data") or recipe.data})
        if rate == "auto":
            settings = _with_found_rate(training, recipe, settings, splits)
        about = {"task": recipe.task.name, "data": describe_data(splits), "asked": asked, "asked_in": str(Path.cwd())}
        if facts := recipe.task.facts():
            about["fitted"] = facts  # the same when it goes on, wherever its weights came from
        path = out or new_path(recipe.app, settings.model)
        run = Run.create(path, recipe.app, settings, held=held, fresh=out is None, **about)
        try:
            remember_place(run, settings.data)
            seen.keep(run.path / DATA_RECORDS, splits)
        except CnnkitError:
            run.discard()
            raise
    settings = run.settings(recipe.Settings)
    whole = undivided(recipe, settings, splits, known.source if known else None, console)
    for line in (*inventory.lines(splits.card.get("inventory", {})), *splits.card.get("plan", ())):
        console.message(line)
    for line in recipe.inputs.looked_at(splits):
        console.warning(line)
    console.message(
        f"Training {settings.model} on {run.document['data']['title']}: {len(splits.train):,} {recipe.inputs.noun}, "
        f"{len(splits.validation):,} for validation, {len(splits.test):,} for the test -> {run.path}"
    )
    if run.document.pop("refit", None):  # until the second training is done again, `model.keras` is of the first
        run.save()
    budget = before = None
    if settings.minutes is not None:
        budget = training.Budget(
            60 * settings.minutes, began, again=len(whole.train) / len(splits.train) if whole else 0.0
        )
        budget.after = time_budget.REPORT * starting
        before = _baseline(recipe, splits, whole)  # its time is then known; it learns nothing of the model
    try:
        _fit(training, recipe, settings, splits, run, budget)
    except CnnkitError:
        if not (run.path / HISTORY).exists():  # it has not begun, so there is nothing to go on with
            run.discard()
        raise
    artifact, decided = _settled(training, recipe, run, splits)
    if not run.document["training"]["best_epoch"]:  # its loss was never a number, so there is nothing to do again
        whole = None
    everything = whole  # of the baseline, which is fitted already where there is a budget
    if whole and budget and not training.refit_fits(run, budget):
        whole = None
        console.message(
            "There is no time left to train anew on validation data too: the model is that of the first training."
        )
    if whole:
        artifact = _refit(training, recipe, run, whole, decided, budget)
    scores, found, targets = score(recipe, artifact, splits.test, "Scoring on the test split", console)
    compares = getattr(recipe.task, "compares", False)  # with what the model found, one by one
    baseline = _baseline(recipe, splits, everything, found) if before is None or compares else before
    kept = with_verdict(scores, baseline)
    run.save(scores={"test": kept})
    taken = "" if finished else finish(run)
    page = write_report(recipe, run, splits, artifact, found, targets, tell=console)
    console.document(
        {"run": str(run.path), **{k: run.document[k] for k in ("model", "training", "scores")}, "report": str(page)}
    )
    print_scores(recipe, {settings.model: scores}, baseline)
    console.message(f"Run: {run.path}\nReport: {page}")
    say_verdict(kept["verdict"])
    if taken:
        console.message(taken)
    console.message(f"Next: {_next(recipe, run, kept['verdict'])}")


def _baseline(recipe: Any, splits: Any, whole: Any, found: Any = None) -> dict[str, Any]:
    with console.progress("Fitting the baseline", 1):
        return recipe.task.baseline(splits.train, splits.test, splits.validation, found, whole.train if whole else None)


def _next(recipe: Any, run: Run, judged: dict[str, Any]) -> str:
    """Return what to do next: export a good model; of one that is not, what may make it better."""
    if not judged["bad"] and not behind(judged):
        return f"cnnkit {recipe.app} export"
    done, settings = run.document["training"], run.settings(recipe.Settings)
    parts = []
    if done["best_epoch"] and done["best_epoch"] == done["epochs"]:
        minutes = settings.minutes
        longer = f"--minutes {3 * minutes:g}" if minutes else f"--epochs {3 * done['epochs']}"
        parts.append(f"train longer, its last epoch was its best ({longer})")
    parts += [
        f"look for faults in the data (cnnkit {recipe.app} data check {settings.data})",
        "look at its worst errors in the report",
        "train on more data",
    ]
    return "; ".join(parts) + "."


def _settled(training: Any, recipe: Any, run: Run, splits: Any) -> tuple[Any, dict[str, Any]]:
    """Open the trained model, after what validation data decide was written into it; return that too."""
    artifact = keras_of(run.path / MODEL, recipe.app)
    with console.progress("Settling on validation data", 1):
        asked = recipe.task.asked(run.settings(recipe.Settings))
        decided = recipe.task.settle(artifact, splits.validation, **asked)
    for line in recipe.task.cautions(decided):
        console.warning(line)
    before = artifact.metadata
    artifact.settle(decided)
    if artifact.metadata != before:
        training.save(artifact.model, run.path / MODEL, artifact.metadata)
    return artifact, decided


def _refit(training: Any, recipe: Any, run: Run, whole: Any, decided: dict[str, Any], budget: Any) -> Any:
    """Train on validation records too, and open the model."""
    epochs = run.document["training"]["best_epoch"]
    with console.progress("Training on validation data too", 1) as update:
        training.refit(
            _fitted(recipe, whole, recipe.task.facts()),
            whole,
            run,
            decided,
            budget=budget,
            on_epoch=lambda state: update(state.share or state.epoch / epochs, f"epoch {state.epoch:g} of {epochs:g}"),
            on_step=update if budget else None,
        )
    done = run.document["refit"]
    epochs = done.get("epochs", epochs)
    console.message(
        f"Trained anew on all {done['records']:,} {recipe.inputs.noun}, those of validation too, for {epochs:g} "
        f"epoch{'s' * (epochs != 1)} in {done['seconds']:.0f} s (--no-refit leaves this out)"
    )
    return keras_of(run.path / MODEL, recipe.app)


def _fitted(recipe: Any, splits: Any, earlier: Mapping[str, Any]) -> Any:
    """Return the recipe that fits data; its task keeps what `earlier` says, metadata of an artifact or a run's."""
    found = recipe.fitting(recipe, splits)
    return dataclasses.replace(found, task=found.task.fitted(splits, earlier))


def _known_to_weights(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the weights that training begins with; empty where they say nothing of themselves."""
    path = Path(given.get("weights", "none"))
    path = path / MODEL if path.is_dir() else path
    return read_metadata(path) if path.suffix == ".keras" and path.is_file() else {}


def _like_earlier(recipe: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Where weights come from a run of this app and task, take its model and image size too, unless others are given."""
    path = Path(given.get("weights", "none"))
    earlier = Run.open(path) if path.is_dir() else None
    if earlier is None or earlier.document["app"] != recipe.app:
        return given
    if earlier.document.get("task") not in (recipe.tasks or (recipe.task.name,)):  # only some of its layers may fit
        return given
    before = earlier.settings(recipe.Settings)
    same = given.get("model", before.model) == before.model
    options = {**(before.options if same else {}), **given.get("options", {})}
    shape = recipe.inputs.taken_over(earlier.document["data"]["shape"])
    return {"model": before.model, **shape, **given, "options": options}


def _warn_of_seen_validation(given: dict[str, Any], splits: Any) -> None:
    path = Path(given.get("weights", "none"))
    earlier = Run.open(path).document if path.is_dir() else {}
    if earlier.get("refit") and len(splits.validation) and earlier["data"]["fingerprint"] == splits.train.fingerprint():
        console.warning(
            f"{path} was trained on these validation records too, so what they decide now is too hopeful. The "
            "test split is as new to it as before."
        )


def _model_for(recipe: Any, given: dict[str, Any]) -> str:
    """Return the model that is meant where none is named: weights that Keras publishes belong to a backbone.

    The app's `default` has no layer that they fit.
    """
    weights = given.get("weights", "none")
    published = weights == "imagenet" or weights.endswith(".h5")
    meant = BACKBONE in recipe.builders and (published or "backbone" in given.get("options", {}))
    return BACKBONE if meant else recipe.Settings.model


def _number(text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"`learning_rate` needs a number or `auto`. Got {text!r}.") from None


def _with_found_rate(training: Any, recipe: Any, settings: Any, splits: Any) -> Any:
    with console.progress("Looking for a learning rate", 1):
        rate, _ = training.find_learning_rate(recipe, settings, splits.train)
    console.message(f"Learning rate found: {rate:.2g} (a tenth of where the loss is lowest)")
    return dataclasses.replace(settings, learning_rate=float(f"{rate:.2g}"))


def _resumable(recipe: Any, out: Path | None, asked: dict[str, Any]) -> Run | None:
    path = out or to_resume(recipe.app, console)
    if not (path / "run.json").exists():
        if out is None:
            raise ArtifactError(
                f"{path} has no run.json to go on from. Start it again with `cnnkit {recipe.app} train`."
            )
        return None
    run = Run.open(path, recipe.app)
    changed = _changed(recipe, run, asked)
    if changed:
        name, before, now = changed
        raise ConfigError(
            f"{path} was started with {name}={before!r}, not {now!r}. Resume it without that option, or train into a new `out`."
        )
    return run


def _changed(recipe: Any, run: Run, asked: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first setting that is asked for otherwise than when the run was started: its name, then and now.

    The same words mean the same run, whatever followed from the data then; so does what the run came to have.
    """
    folder = Path(run.document.get("asked_in", "."))

    def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
        options = {f"options.{name}": value for name, value in settings.get("options", {}).items()}
        return {**{name: value for name, value in settings.items() if name != "options"}, **options}

    def same(now: Any, before: Any) -> bool:
        if isinstance(now, str) and isinstance(before, str):  # one file may be named from two folders
            return now == before or (Path(now).exists() and Path(now).resolve() == (folder / before).resolve())
        return json.dumps(now) == json.dumps(before) or now == before

    settings = run.settings(recipe.Settings)
    builder = inspect.signature(recipe.builders[settings.model]).parameters.values()
    defaults = {"options": {p.name: p.default for p in builder if p.kind is p.KEYWORD_ONLY}}
    first, became = flat(run.document.get("asked", {})), {**flat(defaults), **flat(settings.to_dict())}
    for name, now in flat(asked).items():
        known = [before[name] for before in (first, became) if name in before]
        if name != "data" and not any(same(now, before) for before in known):  # the content of data decides
            return name, (known or [None])[0], now
    return None


def _fit(training: Any, recipe: Any, settings: Any, splits: Any, run: Run, budget: Any) -> None:
    """Train; `budget` is the time of the whole command, or None."""
    monitor = f"val_{recipe.task.headline}" if len(splits.validation) else recipe.task.headline
    if run.document.get("weights"):
        begin(run.path, recipe.app)

    def on_load(loaded: Any) -> None:
        begin(run.path, recipe.app)
        for line in loaded.lines() if settings.weights != "none" else ():
            console.message(line)

    def on_model(model: Any) -> None:
        from cnnkit.evaluation.artifacts import KerasArtifact

        artifact = KerasArtifact(run.path, model, training.describe(recipe, settings, splits.train))
        first, each = time_budget.scoring_seconds(recipe, artifact, splits.test, time_budget.MEASURING * budget.seconds)
        budget.after += first + each * (len(splits.test) + len(splits.validation))
        time_budget.foretell(budget, settings)

    with console.progress("Training", 1, to_the_end=False) as update:

        def on_epoch(state: Any) -> None:
            row = state.history[-1]
            shown = monitor if monitor in row else "val_loss"
            text = f"loss {row['loss']:.4f}" + (f"  {shown} {row[shown]:.4f}" if shown in row else "")
            if budget:
                left = time_budget.in_words(max(0.0, budget.seconds - budget.used()))
                update(state.share, f"epoch {state.epoch:g}, {left} min until all is done  {text}")
            else:
                update(state.epoch / state.epochs, f"epoch {state.epoch}/{state.epochs}  {text}")

        training.fit(
            recipe,
            settings,
            splits,
            run,
            on_epoch=on_epoch,
            on_step=update,
            on_load=on_load,
            on_start=lambda lines: console.message("\n".join(lines)) if lines else None,
            on_download=lambda what, done, total: update(done / total if total else 0, what),
            on_model=on_model,
            budget=budget,
        )
    done = run.document["training"]
    epochs = f"{done['epochs']} of {done['planned_epochs']}" if "planned_epochs" in done else f"{done['epochs']:g}"
    steps = f" ({done['steps']:,} steps)" if "steps" in done else ""
    console.message(
        f"Trained {epochs} epochs{steps} in {done['seconds']:.0f} s "
        f"({done['stopped']}); best: epoch {done['best_epoch']:g}; {run.document['model']['parameters']:,} parameters"
    )

"""Training a run from its first step to its model; training it anew on validation records too."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnkit.data.pipeline import Order
from cnnkit.data.records import Records, Splits
from cnnkit.device.model import with_decided
from cnnkit.errors import ArtifactError
from cnnkit.files import write_bytes
from cnnkit.models import weights as model_weights
from cnnkit.models.norm import recalibrate
from cnnkit.optimizers import copied
from cnnkit.registry import TRAINING, input_of
from cnnkit.run import CHECKPOINT, DOCUMENT, MODEL, REFIT, ROUNDING, UNROUNDED, Run
from cnnkit.training import pruning
from cnnkit.training.batches import Batches
from cnnkit.training.building import Sized, build, built, describe, save
from cnnkit.training.checkpoint import State, assign, read_checkpoint
from cnnkit.training.compiling import compiled, schedule
from cnnkit.training.eight_bits import SHARE, Network, epochs_of
from cnnkit.training.loop import SMALL, Chunks, Epochs, Rounding
from cnnkit.training.pace import TICKS, Budget, Pace, second_fits
from cnnkit.training.phases import Phase, planned, set_free
from cnnkit.training.settings import Settings, starts_loaded

RECALIBRATION = 5120  # plain training inputs from which batch norm gets its last statistics; of large ones fewer
ENDLESS = 10**9  # time decides
RECALIBRATION_BATCH = 32  # inputs at once, at least: a call costs as much as a few of them


def fit(
    recipe: Any,
    settings: Settings,
    splits: Splits,
    run: Run,
    *,
    on_epoch: Callable[[State], None] = lambda state: None,
    on_step: Callable[[float], None] | None = None,
    on_load: Callable[[model_weights.Loaded], None] = lambda loaded: None,
    on_start: Callable[[list[str]], None] = lambda lines: None,
    on_download: Callable[[str, float, float | None], None] | None = None,
    on_model: Callable[[keras.Model], None] = lambda model: None,
    until: int | None = None,
    budget: Budget | None = None,
    **paced: Any,
) -> keras.Model:
    """Train, or go on training, the model of a run folder.

    Args:
        recipe: what the app does: its builders, augmentation and task.
        settings: of the run.
        splits: the data.
        run: the folder; where it holds a checkpoint, training goes on from there.
        on_epoch: called after each epoch.
        on_step: called with the share of the training that is done now and then.
        on_load: called with what was loaded of the weights to start from, once, when a run begins.
        on_start: called with lines on what else the model begins with, before that.
        on_download: called with (what, bytes done, bytes in total or None) while they are downloaded.
        on_model: called with the model as it begins, before training, where there is a budget of time.
        until: stop after so many of the settings' epochs; None: after all.
        budget: the time of the whole command; None: there is none, or the settings' `minutes` begin now.
        **paced: `log` of an earlier training to repeat, `course` and `steps`, as `Pace` takes them.

    Returns:
        The model with its best weights, which `model.keras` in the folder holds too.

    Raises:
        ConfigError: settings that do not fit the model or the data.
        ArtifactError: a checkpoint of another model, or weights that do not fit.
    """
    keras.backend.clear_session()  # so that layer names, and with them seeds, do not depend on earlier models
    keras.utils.set_random_seed(settings.seed)
    checkpoint = read_checkpoint(run.path / CHECKPOINT)
    pruned = run.document.get("pruned", {}) if checkpoint else pruning.earlier(settings)
    model = built(recipe, settings, splits.train, pruning.widths_in(pruned))
    about = describe(recipe, settings, splits.train)
    limits = input_of(about, TRAINING, "The model").limits
    if about.get("quantise_aware"):
        Network(model, limits)  # what it cannot be is said before anything is trained
    order = Order(len(splits.train), settings.batch_size, settings.seed, splits.train.passes)
    state = checkpoint[0] if checkpoint else State(epochs=settings.epochs)
    if checkpoint is None:
        on_start(recipe.start(model, splits.train, settings))
        found = model_weights.load(
            model,
            settings.weights if starts_loaded(settings) else "none",
            labels=splits.train.label_names,
            rows=recipe.inputs.rows(splits.train),
            progress=on_download,
        )
        if share := getattr(settings, "prune", None):
            pruning.check_loaded(settings, found)
            model, pruned = pruning.Network(model).pruned(share)
        run.save(weights=found.to_dict(), **({"pruned": pruned} if pruned else {}))
        on_load(found)
    recorded = run.document.get("weights", {}).get("layers", ())
    loaded = frozenset(n for n, name in enumerate(model_weights.weighted_layers(model)) if name in recorded)
    widths = pruning.widths_in(pruned)
    sized = Sized(recipe, settings, splits, model, widths)
    norms = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers())
    settling = min(order.steps_per_epoch, -(-_recalibrating(splits.train) // order.batch_size)) if norms else 0
    pace = None
    if settings.minutes is not None:
        budget = budget or Budget(60 * settings.minutes, time.monotonic())
        if checkpoint is not None:
            budget.before = max(budget.before, state.used)
        state.epochs = 0
        if not (state.share >= 1.0 or state.stopped):
            on_model(model)
        held_out = len(splits.validation)
        pace = Pace(budget, state, settings, order, validation=held_out, settling=settling, **paced)
    phases = planned(settings, TICKS if pace else state.epochs)
    now = best = copied(model.variables)
    optimizer: list[np.ndarray] = []
    if checkpoint:
        now, best, optimizer = checkpoint[1]["model"], checkpoint[1]["best"], checkpoint[1]["optimizer"]
        assign(model.variables, best)  # which tells whether they are of this model
    for phase in phases:
        end = min(phase.end, until or phase.end)
        place = pace.position() if pace else state.epoch
        if place >= end or state.stopped or (pace and pace.over()):
            continue
        model, parts = sized(phase.size)
        assign(model.variables, now)
        if pace:
            rate: Any = settings.learning_rate
        else:
            rate = schedule(settings, (phase.last - phase.first) * order.steps_per_epoch)
        compiled(model, recipe.task, settings, rate, set_free(model, settings, phase, loaded))
        model.optimizer.build(model.trainable_variables)
        if place > phase.first:
            assign(model.optimizer.variables, optimizer)
        if place == phase.start == phase.sized:
            state.best_loss = math.inf  # a loss on smaller images says nothing of one on larger ones
        given = (recipe, settings, parts, run, state, best, order, phase, on_epoch, on_step)
        loop = Chunks(*given, pace=pace, phases=phases) if pace else Epochs(*given)
        callbacks: list[keras.callbacks.Callback] = [loop]
        if settings.tensorboard:
            callbacks.append(_tensorboard(run.path / "tensorboard"))
        batches = Batches(recipe, settings, parts.train, order)
        fixed = {"callbacks": callbacks, "shuffle": False, "verbose": 0}  # the batches come in their order already
        if isinstance(loop, Chunks):
            loop.set_model(model)
            loop.pace.compiled()
            loop.decide()
            while not loop.over():
                model.fit(
                    batches(state.steps, state.steps + ENDLESS),
                    initial_epoch=len(state.log),
                    epochs=ENDLESS,
                    steps_per_epoch=loop.chunk.steps,
                    **fixed,
                )
        else:
            model.fit(
                batches(int(state.epoch) * order.steps_per_epoch, end * order.steps_per_epoch),
                initial_epoch=int(state.epoch),
                epochs=end,
                steps_per_epoch=order.steps_per_epoch,
                **fixed,
            )
        now, best, optimizer = copied(model.variables), loop.best, copied(model.optimizer.variables)
    model, _ = sized(1.0)
    if settings.mixed_precision:  # what is saved and exported computes in float32
        model = build(recipe, settings, splits.train, widths)
    rates = set_free(model, settings, phases[-1], loaded)
    assign(model.variables, best)
    seen = Batches(recipe, settings, splits.train, order)
    last = state.steps if pace else state.epochs * order.steps_per_epoch
    own = splits.train.in_parts and seen.views is not None

    def plainly(steps: int) -> Iterator[np.ndarray]:
        batches = seen(last, last + steps) if own else seen.plain(0, steps)  # views that no step had
        return _joined((np.asarray(batch[0]) for batch in batches), RECALIBRATION_BATCH)

    recalibrate(model, plainly(settling))
    if about.get("quantise_aware"):
        network = Network(model, limits)
        _movable(model)
        save(model, run.path / UNROUNDED, {name: value for name, value in about.items() if name != "quantise_aware"})
        looked_at = min(order.steps_per_epoch, -(-_recalibrating(splits.train) // order.batch_size))
        ranges = network.measured(plainly(looked_at))
        keras.utils.set_random_seed(settings.seed)  # its dropout must not depend on whether a run was killed before
        learnt = _rounding(
            network.learning(ranges), recipe, settings, splits, run, state, order, rates, on_epoch, on_step
        )
        model = network.settled(ranges, learnt)
    _movable(model)
    save(model, run.path / MODEL, about)
    run.save(
        model={"name": settings.model, "parameters": model.count_params()},
        training=_account(state, settings, phases, pace),
    )
    return model


def _movable(model: keras.Model) -> None:
    """Set all layers free: what stood still in this run need not in the next."""
    for layer in model_weights.weighted_layers(model).values():
        layer.trainable = True


def _rounding(
    model: keras.Model,
    recipe: Any,
    settings: Settings,
    splits: Splits,
    run: Run,
    before: State,
    order: Order,
    rates: dict[str, float],
    on_epoch: Callable[[State], None],
    on_step: Callable[[float], None] | None,
) -> keras.Model:
    """Train a rounding network, or go on; return it with its best weights (`cnnkit.training.eight_bits`).

    Args:
        before: where the ordinary training ended.
        rates: of its layers that had learning rates of their own, by the path of a variable.
        recipe, settings, splits, run, order, on_epoch, on_step: as in `fit`.
    """
    first = int(before.epoch)
    count = epochs_of(settings.epochs, order.steps_per_epoch)
    phase = Phase("rounded to eight bits", first, first + count, 1.0, 1.0, first, first + count, first)
    own = dataclasses.replace(settings, patience=0, learning_rate=SHARE * settings.learning_rate)
    by_layer = {path.rpartition("/")[0]: rate for path, rate in rates.items()}
    known = {w.path: by_layer[layer.name] for layer in model.layers for w in layer.weights if layer.name in by_layer}
    compiled(model, recipe.task, own, schedule(own, count * order.steps_per_epoch), known)
    model.optimizer.build(model.trainable_variables)
    checkpoint = read_checkpoint(run.path / ROUNDING)
    state, best = State(epoch=first, epochs=first + count), copied(model.variables)
    if checkpoint:
        state, best = checkpoint[0], checkpoint[1]["best"]
        assign(model.variables, checkpoint[1]["model"])
        assign(model.optimizer.variables, checkpoint[1]["optimizer"])
    if state.epoch < state.epochs and not state.stopped:
        loop = Rounding(recipe, own, splits, run, state, best, order, phase, on_epoch, on_step)
        place = int(state.epoch) * order.steps_per_epoch
        model.fit(
            Batches(recipe, own, splits.train, order)(place, state.epochs * order.steps_per_epoch),
            initial_epoch=int(state.epoch),
            epochs=state.epochs,
            steps_per_epoch=order.steps_per_epoch,
            callbacks=[loop],
            shuffle=False,
            verbose=0,
        )
        best = loop.best
    assign(model.variables, best)
    done = {"epochs": int(state.epoch) - first, "best_epoch": max(0, int(state.best_epoch) - first)}
    stopped = {"stopped": state.stopped} if state.stopped else {}
    run.save(quantise_aware={**done, "seconds": round(state.seconds, 2), **stopped})
    return model


def _account(state: State, settings: Settings, phases: list[Phase], pace: Pace | None) -> dict[str, Any]:
    """Return what `run.json` says of a training."""
    named = phases if len(phases) > 1 or phases[0].name != "all layers" else ()
    place = pace.position() if pace else state.epoch
    about = {
        "epochs": state.epoch,
        "planned_epochs": state.epochs,
        "best_epoch": state.best_epoch,
        "seconds": round(state.seconds, 2),
        "stopped": state.stopped or "all epochs done",
        "phases": [
            {"name": phase.name, "start": phase.start + 1, "end": min(phase.end, state.epoch)}
            if pace is None
            else {"name": phase.name, "start": pace.epoch_at(phase.start), "end": pace.epoch_at(phase.end)}
            for phase in named
            if phase.start < place
        ],
    }
    if pace:
        del about["planned_epochs"]
        about |= {"steps": state.steps, "rate_at_end": state.history[-1]["learning_rate"] / settings.learning_rate}
        if not state.stopped:
            about["stopped"] = f"time budget of {settings.minutes:g} minutes used"
    return about


def refit(
    recipe: Any, whole: Splits, run: Run, decided: dict[str, Any], *, budget: Budget | None = None, **callbacks: Any
) -> keras.Model:
    """Train anew on training and validation records together, for as many epochs as were best in a finished run.

    It is a run of its own in the folder `refit` of that run, with its settings, so it can be killed and resumed as any other. Its
    model takes the place of the run's in one step.

    Args:
        recipe: as in `fit`.
        whole: the same data with nothing held out for validation.
        run: the finished run.
        decided: what its validation records decided beside the epoch, such as a temperature; for the model's file.
        budget: where there is one, the time of the command; steps are left out where they would not fit.
        callbacks: as in `fit`.

    Returns:
        The model, which `model.keras` of `run` holds too.
    """
    settings, first = run.settings(recipe.Settings), run.document["training"]
    paced: dict[str, Any] = {}
    if settings.minutes is None:
        plan_of_first: dict[str, Any] = {"minutes": None, "epochs": first["planned_epochs"]}
    else:
        plan_of_first, paced = {}, _course(run, settings, whole.train)
    made = recipe.options(whole.train, settings.model)
    follow = {name: made[name] for name in recipe.follows if name in made}  # a vocabulary of more texts is larger
    own = dataclasses.replace(
        settings,
        refit=False,
        validation=0.0,
        patience=0,
        options={**settings.options, **follow},
        **plan_of_first,
    )
    path = run.path / REFIT
    again = Run.open(path) if (path / DOCUMENT).is_file() else Run.create(path, recipe.app, own, task=recipe.task.name)
    until = first["best_epoch"] if settings.minutes is None else None
    budget = dataclasses.replace(budget, again=0.0) if budget else Budget(math.inf, 0.0)
    model = fit(recipe, own, whole, again, until=until, budget=budget, **paced, **callbacks)
    if (path / UNROUNDED).exists():
        write_bytes(run.path / UNROUNDED, (path / UNROUNDED).read_bytes())
    save(model, run.path / MODEL, with_decided(describe(recipe, own, whole.train), decided))
    done = again.document["training"]
    about = {"records": len(whole.train), "seconds": done["seconds"], "epochs": done["epochs"]}
    run.save(refit=about, model=again.document["model"])
    return model


def refit_fits(run: Run, budget: Budget) -> bool:
    """Whether there is time to train a finished run anew, or that has begun already."""
    if (run.path / REFIT / CHECKPOINT).exists():
        return True
    checkpoint = read_checkpoint(run.path / CHECKPOINT)
    return checkpoint is not None and second_fits(checkpoint[0], budget)


def _course(run: Run, settings: Settings, records: Records) -> dict[str, Any]:
    """Return how these records repeat the schedule of a run until its best weights; the rest of it is left out."""
    checkpoint = read_checkpoint(run.path / CHECKPOINT)
    if checkpoint is None:
        raise ArtifactError(f"{run.path} has no {CHECKPOINT}, which says when its weights were best. Train it anew.")
    state = checkpoint[0]
    log = state.log[: state.best_chunk]
    steps = np.cumsum([0, *(row[0] for row in log)])
    fixed = settings.batch_size, settings.seed, records.passes
    before = Order(run.document["data"]["sizes"]["train"], *fixed).steps_per_epoch
    now = Order(len(records), *fixed).steps_per_epoch
    shares = (steps / steps[-1]).tolist(), [0.0, *(row[1] for row in log)]
    return {"course": shares, "steps": max(1, round(int(steps[-1]) * now / before))}


def _recalibrating(records: Records) -> int:
    """Return from how many inputs batch norm is measured: few large ones have as many places as many small ones."""
    share = SMALL / max(SMALL, math.prod(records.input_shape[:-1]))
    return max(RECALIBRATION // 16, round(RECALIBRATION * share**2))


def _joined(batches: Iterable[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Put batches together until they have so many inputs; the last may have fewer."""
    waiting: list[np.ndarray] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= least:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _tensorboard(folder: Path) -> keras.callbacks.Callback:
    from cnnkit.errors import MissingExtra

    try:
        return keras.callbacks.TensorBoard(folder)
    except ImportError as error:
        raise MissingExtra('`tensorboard` needs TensorBoard: pip install "cnnkit[tensorboard]".') from error

"""Training a run from its first step to its model; training it anew on validation records too."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnkit.config import Settings
from cnnkit.data.pipeline import Order
from cnnkit.data.records import Records, Splits
from cnnkit.device.model import with_decided
from cnnkit.models import weights as model_weights
from cnnkit.models.norm import recalibrate
from cnnkit.optimizers import copied
from cnnkit.run import CHECKPOINT, DOCUMENT, MODEL, REFIT, Run
from cnnkit.training.batches import Batches
from cnnkit.training.building import Sized, build, built, describe, save
from cnnkit.training.checkpoint import State, assign, read_checkpoint
from cnnkit.training.compiling import compiled, schedule
from cnnkit.training.loop import SMALL_IMAGE, Epochs
from cnnkit.training.phases import plan, set_free

RECALIBRATION_IMAGES = 5120  # plain training images from which batch norm gets its last statistics; of large ones fewer
RECALIBRATION_BATCH = 32  # images at once, at least: a call costs as much as a few of them


def fit(
    recipe: Any,
    settings: Settings,
    splits: Splits,
    run: Run,
    *,
    on_epoch: Callable[[State], None] = lambda state: None,
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
    on_load: Callable[[model_weights.Loaded], None] = lambda loaded: None,
    on_start: Callable[[list[str]], None] = lambda lines: None,
    on_download: Callable[[str, float, float | None], None] | None = None,
    until: int | None = None,
) -> keras.Model:
    """Train, or go on training, the model of a run folder.

    Args:
        recipe: what the app does: its builders, augmentation and task.
        settings: of the run.
        splits: the data.
        run: the folder; where it holds a checkpoint, training goes on from there.
        on_epoch: called after each epoch.
        on_step: called with (steps done, steps in all, running metrics) now and then.
        on_load: called with what was loaded of the weights to start from, once, when a run begins.
        on_start: called with lines on what else the model begins with, before that.
        on_download: called with (what, bytes done, bytes in total or None) while they are downloaded.
        until: stop after so many of the settings' epochs; None: after all.

    Returns:
        The model with its best weights, which `model.keras` in the folder holds too.

    Raises:
        ConfigError: settings that do not fit the model or the data.
        ArtifactError: a checkpoint of another model, or weights that do not fit.
    """
    keras.backend.clear_session()  # so that layer names, and with them seeds, do not depend on earlier models
    keras.utils.set_random_seed(settings.seed)
    model = built(recipe, settings, splits.train)
    checkpoint = read_checkpoint(run.path / CHECKPOINT)
    order = Order(len(splits.train), settings.batch_size, settings.seed)
    state = checkpoint[0] if checkpoint else State(epochs=settings.epochs)
    if checkpoint is None:
        on_start(recipe.start(model, splits.train, settings))
        found = model_weights.load(
            model,
            settings.weights,
            labels=splits.train.label_names,
            tokenizer=getattr(splits.train, "tokenizer", None),
            progress=on_download,
        )
        run.save(weights=found.to_dict())
        on_load(found)
    recorded = run.document.get("weights", {}).get("layers", ())
    loaded = frozenset(n for n, name in enumerate(model_weights.weighted_layers(model)) if name in recorded)
    sized = Sized(recipe, settings, splits, model)
    if settings.minutes is not None and checkpoint is None:
        state.epochs = _epochs_within(settings, recipe, sized, order, loaded)
    phases = plan(settings, state.epochs)
    now = best = copied(model.variables)
    optimizer: list[np.ndarray] = []
    if checkpoint:
        now, best, optimizer = checkpoint[1]["model"], checkpoint[1]["best"], checkpoint[1]["optimizer"]
        assign(model.variables, best)  # which tells whether they are of this model
    for phase in phases:
        end = min(phase.end, until or phase.end)
        if state.epoch >= end or state.stopped:
            continue
        model, parts = sized(phase.size)
        assign(model.variables, now)
        total = (phase.last - phase.first) * order.steps_per_epoch
        compiled(model, recipe.task, settings, schedule(settings, total), set_free(model, settings, phase, loaded))
        model.optimizer.build(model.trainable_variables)
        if state.epoch > phase.first:
            assign(model.optimizer.variables, optimizer)
        if state.epoch == phase.start == phase.sized:
            state.best_loss = math.inf  # a loss on smaller images says nothing of one on larger ones
        loop = Epochs(recipe, settings, parts, run, state, best, order, phase, on_epoch, on_step)
        callbacks: list[keras.callbacks.Callback] = [loop]
        if settings.tensorboard:
            callbacks.append(_tensorboard(run.path / "tensorboard"))
        batches = Batches(recipe, settings, parts.train, order)
        model.fit(
            batches(state.epoch * order.steps_per_epoch, end * order.steps_per_epoch),
            initial_epoch=state.epoch,
            epochs=end,
            steps_per_epoch=order.steps_per_epoch,
            callbacks=callbacks,
            shuffle=False,  # the batches come in their order already
            verbose=0,
        )
        now, best, optimizer = copied(model.variables), loop.best, copied(model.optimizer.variables)
    model, _ = sized(1.0)
    if settings.mixed_precision:  # what is saved and exported computes in float32
        model = build(recipe, settings, splits.train)
    set_free(model, settings, phases[-1], loaded)
    assign(model.variables, best)
    seen = Batches(recipe, settings, splits.train, order)
    count = min(order.steps_per_epoch, -(-_recalibration_images(splits.train) // order.batch_size))
    last = state.epochs * order.steps_per_epoch
    own = splits.train.in_parts and seen.views is not None
    batches = seen(last, last + count) if own else seen.plain(0, count)  # views that no step had
    recalibrate(model, _joined((np.asarray(batch[0]) for batch in batches), RECALIBRATION_BATCH))
    model = recipe.settled(model, splits.train, settings)
    for layer in model_weights.weighted_layers(model).values():
        layer.trainable = True  # what stood still in this run need not in the next
    save(model, run.path / MODEL, describe(recipe, settings, splits.train))
    run.save(
        model={"name": settings.model, "parameters": model.count_params()},
        training={
            "epochs": state.epoch,
            "planned_epochs": state.epochs,
            "best_epoch": state.best_epoch,
            "seconds": round(state.seconds, 2),
            "stopped": state.stopped or "all epochs done",
            "phases": [
                {"name": phase.name, "start": phase.start + 1, "end": min(phase.end, state.epoch)}
                for phase in (phases if len(phases) > 1 or phases[0].name != "all layers" else ())
                if phase.start < state.epoch
            ],
        },
    )
    return model


def refit(recipe: Any, whole: Splits, run: Run, decided: dict[str, Any], **callbacks: Any) -> keras.Model:
    """Train anew on training and validation records together, for as many epochs as were best in a finished run.

    It is a run of its own in the folder `refit` of that run, with its settings, so it can be killed and resumed as any other. Its
    model takes the place of the run's in one step.

    Args:
        recipe: as in `fit`.
        whole: the same data with nothing held out for validation.
        run: the finished run.
        decided: what its validation records decided beside the epoch, such as a temperature; for the model's file.
        callbacks: as in `fit`.

    Returns:
        The model, which `model.keras` of `run` holds too.
    """
    settings, first = run.settings, run.document["training"]
    made = recipe.options(whole.train, settings.model)
    follow = {name: made[name] for name in recipe.follows if name in made}  # a vocabulary of more texts is larger
    own = dataclasses.replace(
        settings,
        refit=False,
        validation=0.0,
        patience=0,
        minutes=None,
        epochs=first["planned_epochs"],
        options={**settings.options, **follow},
    )
    path = run.path / REFIT
    again = Run.open(path) if (path / DOCUMENT).is_file() else Run.create(path, recipe.app, own, task=recipe.task.name)
    model = fit(recipe, own, whole, again, until=first["best_epoch"], **callbacks)
    save(model, run.path / MODEL, with_decided(describe(recipe, own, whole.train), decided))
    about = {"records": len(whole.train), "seconds": again.document["training"]["seconds"]}
    run.save(refit=about, model=again.document["model"])
    return model


def _epochs_within(
    settings: Settings, recipe: Any, sized: Sized, order: Order, loaded: frozenset[int] = frozenset()
) -> int:
    """Plan how many epochs fit into the time budget, from the speed of a few steps of each phase; the model is as before."""
    before = copied(sized.model.variables)
    many = plan(settings, 10_000)
    step = 0.0
    for phase in many:
        model, parts = sized(phase.size)
        assign(model.variables, before)
        compiled(model, recipe.task, settings, schedule(settings, 1000), set_free(model, settings, phase, loaded))
        step_seconds = []
        batches = Batches(recipe, settings, parts.train, order)
        for batch in batches(0, min(max(9, 30 // len(many)), 3 + order.steps_per_epoch)):
            began = time.perf_counter()
            model.train_on_batch(*batch)
            step_seconds.append(time.perf_counter() - began)
        seconds = float(np.median(step_seconds[len(step_seconds) // 3 :]))  # the first ones compile
        step += seconds * (phase.end - phase.start) / 10_000
    assign(sized.model.variables, before)
    epoch = step * (order.steps_per_epoch + 0.4 * len(sized.splits.validation) / order.batch_size)
    return max(1, min(10_000, int(0.95 * 60 * (settings.minutes or 0) / epoch)))


def _recalibration_images(records: Records) -> int:
    """Return from how many images batch norm is measured: few large ones have as many places as many small ones."""
    share = SMALL_IMAGE / max(SMALL_IMAGE, math.prod(records.image_shape[:2]))
    return max(RECALIBRATION_IMAGES // 16, round(RECALIBRATION_IMAGES * share**2))


def _joined(batches: Iterable[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Put batches together until they have so many images; the last may have fewer."""
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
        raise MissingExtra('--tensorboard needs TensorBoard: pip install "cnnkit[tensorboard]".') from error

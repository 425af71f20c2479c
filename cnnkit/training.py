"""Training: seeds, trains, validates, checkpoints, resumes, writes the run.

Design choices:
- Weights are drawn after the seed is set, so `fit` takes a builder, not a model.
- A checkpoint is one file, written atomically at the end of an epoch: weights, optimizer, averages, best weights and
  history. As every batch is a function of (seed, step), a run killed at any moment and resumed ends in the same weights,
  bit for bit, as one that never stopped.
- The best epoch is that of the lowest validation loss, measured with the averaged weights where there is an average.
- The best weights then get batch norm statistics from plain images (`cnnkit.models.norm`): those that training left
  behind belong to augmented images. On held-out training images of MNIST the change was -0.05 to +0.23 points, mostly up.
  Where training cuts tiles around what is to be found, they come from such tiles: with those of whole photos, which are mostly
  background, a detector had AP50 0.756 on held-out training images, of plain tiles 0.798, of training's own 0.817 (one run).
- AdamW without decay on biases, batch norm and embeddings; linear warm-up, then cosine to zero (`cnnkit.optimizers`).
- Fine-tuning is a list of phases, each a range of epochs in which some of the loaded layers learn on images of one size.
  Phases with the same layers share an optimizer and a schedule; others begin with their own, from averaged weights.
  Training without loaded weights is one phase of the same mechanism. What a phase trains is a function of the settings
  and of what was loaded, so a resumed run goes on inside its phase.
- What validation decides (the best epoch; temperature and thresholds, by the task) can be kept while the weights are trained
  anew on the validation records too: `refit`.
- XLA is off on a CPU (it trains three to seven times slower there) and on elsewhere.
"""

import dataclasses
import inspect
import io
import itertools
import json
import math
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from cnnkit import augment
from cnnkit.config import Settings
from cnnkit.data.pipeline import Order, evaluation_batches, training_batches
from cnnkit.data.records import Records, Splits
from cnnkit.device.model import with_decided
from cnnkit.errors import ArtifactError, ConfigError
from cnnkit.files import atomic, write_bytes
from cnnkit.models import weights as model_weights
from cnnkit.models.norm import recalibrate
from cnnkit.optimizers import LayerwiseAdamW, WarmupCosine, copied
from cnnkit.run import CHECKPOINT, DOCUMENT, HISTORY, MODEL, REFIT, Run

EVALUATION_BATCH = 256  # of images up to 128 px; of larger ones fewer
RECALIBRATION_IMAGES = 5120  # plain training images from which batch norm gets its last statistics; of large ones fewer
RECALIBRATION_BATCH = 32  # images at once, at least: a call costs as much as a few of them
SMALL_IMAGE = 128 * 128  # px


@dataclasses.dataclass
class State:
    """Where training is, beside the weights: what a checkpoint holds as JSON."""

    epoch: int = 0  # epochs done
    epochs: int = 0  # epochs planned; a time budget decides them once
    best_epoch: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0  # of training so far, over all resumes
    stopped: str = ""  # why it ended
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A range of epochs in which the same layers learn, on images of one size.

    Attributes:
        name: for the report.
        start, end: epochs, [start, end), counted from 0.
        free: share of the loaded layers that learn, from the top; all others always do.
        size: side of the images as a share of the model's input.
        first, last: epochs, [first, last), of the phases that share its optimizer and schedule: those with the same layers.
        sized: epoch from which images have this size: losses of earlier ones cannot be compared with its own.
    """

    name: str
    start: int
    end: int
    free: float
    size: float
    first: int
    last: int
    sized: int = 0


def plan(settings: Settings, epochs: int) -> list[Phase]:
    """Divide the epochs into phases: the head alone, then more and more of the loaded layers, from the top.

    Args:
        settings: `weights`, `freeze`, `unfreeze` and `progressive` decide.
        epochs: of the whole training.

    Returns:
        Phases that follow one another and fill the epochs; those that would have no epoch are left out.
    """
    parts = [("all layers", 0, epochs, 1.0)]
    if settings.weights != "none":
        head = round(settings.freeze * epochs)
        if 0 < settings.freeze < 1:
            head = min(max(1, head), epochs - 1)  # something of both, unless there is one epoch: it trains all
        steps = settings.unfreeze
        cuts = [head + (epochs - head) * step // steps for step in range(steps + 1)]
        parts = [("head only", 0, head, 0.0)]
        for step, (start, end) in enumerate(itertools.pairwise(cuts), 1):
            name = "all layers" if step == steps else f"head and top {step}/{steps} of the loaded layers"
            parts.append((name, start, end, step / steps))
    sizes = settings.progressive
    phases = []
    for name, first, last, free in parts:
        for number in range(sizes):
            start, end = max(first, number * epochs // sizes), min(last, (number + 1) * epochs // sizes)
            size = (sizes + number) / (2 * sizes - 1)  # from about a half to the whole
            title = name if size == 1 else f"{name}, images at {size:.0%} of their size"
            if start < end:
                phases.append(Phase(title, start, end, free, size, first, last, number * epochs // sizes))
    return phases


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
    model = _built(recipe, settings, splits.train)
    checkpoint = _read_checkpoint(run.path / CHECKPOINT)
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
    sized = _Sized(recipe, settings, splits, model)
    if settings.minutes is not None and checkpoint is None:
        state.epochs = _epochs_within(settings, recipe, sized, order, loaded)
    phases = plan(settings, state.epochs)
    now = best = copied(model.variables)
    optimizer: list[np.ndarray] = []
    if checkpoint:
        now, best, optimizer = checkpoint[1]["model"], checkpoint[1]["best"], checkpoint[1]["optimizer"]
        _assign(model.variables, best)  # which tells whether they are of this model
    for phase in phases:
        end = min(phase.end, until or phase.end)
        if state.epoch >= end or state.stopped:
            continue
        model, parts = sized(phase.size)
        _assign(model.variables, now)
        total = (phase.last - phase.first) * order.steps_per_epoch
        _compile(model, recipe.task, settings, _schedule(settings, total), _set_free(model, settings, phase, loaded))
        model.optimizer.build(model.trainable_variables)
        if state.epoch > phase.first:
            _assign(model.optimizer.variables, optimizer)
        if state.epoch == phase.start == phase.sized:
            state.best_loss = math.inf  # a loss on smaller images says nothing of one on larger ones
        loop = _Epochs(recipe, settings, parts, run, state, best, order, phase, on_epoch, on_step)
        callbacks: list[keras.callbacks.Callback] = [loop]
        if settings.tensorboard:
            callbacks.append(_tensorboard(run.path / "tensorboard"))
        batches = _Batches(recipe, settings, parts.train, order)
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
    _set_free(model, settings, phases[-1], loaded)
    _assign(model.variables, best)
    seen = _Batches(recipe, settings, splits.train, order)
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


def _built(recipe: Any, settings: Settings, records: Records) -> keras.Model:
    """Build the model as it trains: in mixed precision, where that is asked for."""
    precise = keras.config.dtype_policy()
    if settings.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return build(recipe, settings, records)
    finally:
        keras.config.set_dtype_policy(precise)


class _Sized:
    """The model and the data at a share of the full image size; the models share weights by being given them."""

    def __init__(self, recipe: Any, settings: Settings, splits: Splits, model: keras.Model):
        self.recipe, self.settings, self.splits, self.model = recipe, settings, splits, model
        self.made: dict[float, tuple[keras.Model, Splits]] = {1.0: (model, splits)}

    def __call__(self, size: float) -> tuple[keras.Model, Splits]:
        if size not in self.made:
            height, width, channels = self.splits.train.image_shape
            step = self.recipe.side_step
            shape = (*(step * max(1, round(size * side / step)) for side in (height, width)), channels)
            parts = {name: getattr(self.splits, name).with_shape(shape) for name in ("train", "validation", "test")}
            splits = dataclasses.replace(self.splits, **parts)
            model = _built(self.recipe, self.settings, splits.train)
            if [v.shape for v in model.variables] != [v.shape for v in self.model.variables]:
                raise ConfigError(
                    f"The weights of `{self.settings.model}` depend on the size of its images, so it cannot be trained on "
                    "smaller ones first. Leave out --progressive, or choose a model that averages its last map."
                )
            self.made[size] = model, splits
        return self.made[size]


def _set_free(model: keras.Model, settings: Settings, phase: Phase, loaded: frozenset[int]) -> dict[str, float]:
    """Let the layers of a phase learn and the others stand still; return the learning rates that differ, by variable.

    `loaded` are the places of loaded layers in `weighted_layers`.
    """
    known = enumerate(model_weights.weighted_layers(model).items())
    layers = [layer for place, (name, layer) in known if place in loaded and name != model_weights.HEAD]
    still = len(layers) - round(phase.free * len(layers))
    rates: dict[str, float] = {}
    for number, layer in enumerate(layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= still and not (is_norm and settings.freeze_norm)
        depth = (len(layers) - 1 - number) / max(1, len(layers) - 1)  # 0 at the top, 1 at the bottom
        rates |= {w.path: settings.backbone_rate * settings.layer_decay**depth for w in layer.weights}
    return rates


def build(recipe: Any, settings: Settings, records: Records) -> keras.Model:
    """Build the model that the settings name for these records; its errors are the user's."""
    if settings.model not in recipe.builders:
        raise ConfigError(f"There is no model `{settings.model}`. Models: {', '.join(recipe.builders)}.")
    builder = recipe.builders[settings.model]
    known = [p.name for p in inspect.signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in settings.options if name not in known]
    if unknown:
        raise ConfigError(
            f"The model `{settings.model}` has no option `{unknown[0]}`. It has {', '.join(known) or 'none'}."
        )
    try:
        return builder(records.image_shape, len(records.label_names), **settings.options)
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        option = "--length" if len(records.image_shape) == 1 else "--image-size"
        hint = f" Choose a larger {option}, or another --model." if "image_shape=" in reason else ""
        raise ConfigError(f"The model `{settings.model}` cannot be built: {reason}{hint}") from error


def describe(recipe: Any, settings: Settings, records: Records) -> dict[str, Any]:
    """Return what travels inside an artifact: who made it and what its input and scores mean."""
    return {
        "format": 1,
        "app": recipe.app,
        "task": recipe.task.name,
        "model": settings.model,
        "data": settings.data,
        "labels": list(records.label_names),
        "input": {"shape": list(records.image_shape), "range": [0, 255]},
        **recipe.describe(records, settings.model),
    }


def save(model: keras.Model, path: Path, metadata: dict[str, Any]) -> None:
    """Write a `.keras` file atomically, with `cnnkit.json` inside."""
    import tempfile

    from cnnkit.device.model import members

    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / MODEL
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, text in members(metadata).items():
                archive.writestr(name, text, zipfile.ZIP_DEFLATED)
        write_bytes(path, temporary.read_bytes())


def steps(recipe: Any, settings: Settings, records: Records) -> "tuple[keras.Model, _Batches, Order]":
    """Make a compiled model and its batches for work that is not a run: benchmarks, the learning-rate finder."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(settings.seed)
    model = build(recipe, settings, records)
    order = Order(len(records), settings.batch_size, settings.seed)
    _compile(model, recipe.task, settings, _schedule(settings, settings.epochs * order.steps_per_epoch))
    return model, _Batches(recipe, settings, records, order), order


def find_learning_rate(
    recipe: Any, settings: Settings, records: Records, *, low: float = 1e-5, high: float = 1.0, count: int = 100
) -> tuple[float, list[tuple[float, float]]]:
    """Suggest a learning rate: raise it step by step until the loss runs away (Smith 2017).

    Args:
        recipe, settings, records: as in `fit`.
        low, high: the learning rates tried, evenly spaced in their logarithm.
        count: steps.

    Returns:
        The suggestion (a tenth of the rate at which the smoothed loss is lowest) and the curve of (rate, smoothed loss).
    """
    model, batches, _ = steps(recipe, settings, records)
    ramp = keras.optimizers.schedules.ExponentialDecay(low, decay_steps=max(1, count - 1), decay_rate=high / low)
    _compile(model, recipe.task, settings, ramp)
    curve: list[tuple[float, float]] = []
    average = 0.0
    for number, batch in enumerate(batches(0, count)):
        rate = low * (high / low) ** (number / max(1, count - 1))
        model.reset_metrics()
        loss = float(np.asarray(model.train_on_batch(*batch, return_dict=True)["loss"]))
        average = 0.9 * average + 0.1 * loss
        smoothed = average / (1 - 0.9 ** (number + 1))
        if not math.isfinite(loss) or (curve and smoothed > 4 * min(value for _, value in curve)):
            break
        curve.append((rate, smoothed))
    start = min(len(curve) - 1, 10)  # the first few are noise
    lowest = min(curve[start:], key=lambda point: point[1])
    return lowest[0] / 10, curve


class _Batches:
    """The training batches of a run, for any range of steps."""

    def __init__(self, recipe: Any, settings: Settings, records: Records, order: Order):
        self.recipe, self.settings, self.records, self.order = recipe, settings, records, order
        self.encode = recipe.task.encoder(len(records.label_names))
        self.augmentation = _augmentation(recipe, settings)
        self.views = recipe.views(records, settings) if settings.augment and recipe.views is not None else None
        self.weights = recipe.task.sample_weights(records) if settings.class_weights else None

    def __call__(self, start: int, stop: int) -> Any:
        return training_batches(
            self.records,
            self.order,
            start=start,
            stop=stop,
            encode=self.encode,
            augmentation=self.augmentation,
            weights=self.weights,
            views=self.views,
        )

    def plain(self, start: int, stop: int) -> Any:
        """The same batches without augmentation."""
        return training_batches(self.records, self.order, start=start, stop=stop, encode=self.encode)


def _augmentation(recipe: Any, settings: Settings) -> Callable[..., Any] | None:
    layers = []
    boxed = recipe.views is not None  # mirroring is then up to the views, which move the boxes too
    for name in ("rand_augment", "mixup", "cutmix"):
        if boxed and getattr(settings, name):
            raise ConfigError(f"--{name.replace('_', '-')} is for classification of images.")
    if settings.rand_augment:
        layers.append(augment.rand_augment())
    if settings.mixup:
        layers.append(augment.mixup(settings.mixup))
    if settings.cutmix:
        layers.append(augment.cutmix(settings.cutmix))
    own = recipe.augmentation(settings.seed) if settings.augment and recipe.augmentation is not None else None
    parts = (
        [augment.on_images(keras.layers.RandomFlip("horizontal"), seed=settings.seed + 2)]
        if settings.mirror and not boxed
        else []
    )
    parts += [own] if own is not None else []
    parts += [augment.on_images(*layers, seed=settings.seed + 1)] if layers else []

    def one_after_the_other(images: Any, targets: Any, step: Any) -> tuple[Any, Any]:
        for part in parts:
            images, targets = part(images, targets, step)
        return images, targets

    return one_after_the_other if parts else None


def _schedule(settings: Settings, total_steps: int) -> WarmupCosine:
    return WarmupCosine(settings.learning_rate, total_steps, settings.warmup)


def averaging(settings: Settings, total_steps: int) -> float:
    """Return the momentum of averaged weights: over a third of the steps at most, else they hold too much of the start."""
    return min(settings.ema, 1 - 3 / max(4, total_steps))


def _compile(
    model: keras.Model, task: Any, settings: Settings, learning_rate: Any, rates: dict[str, float] | None = None
) -> None:
    momentum = settings.ema
    if isinstance(learning_rate, WarmupCosine):
        momentum = averaging(settings, learning_rate.steps)
    optimizer = LayerwiseAdamW(
        learning_rate,
        rates=rates,
        weight_decay=settings.weight_decay,
        use_ema=momentum > 0,
        ema_momentum=momentum or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "embeddings"])
    model.compile(
        optimizer,
        loss=task.loss(settings),
        metrics=task.metrics(),
        jit_compile=_accelerated(),
        steps_per_execution=settings.steps_per_execution,
    )


def _accelerated() -> bool | str:
    if keras.backend.backend() == "jax":
        return "auto"  # JAX always compiles
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"))


def _epochs_within(
    settings: Settings, recipe: Any, sized: _Sized, order: Order, loaded: frozenset[int] = frozenset()
) -> int:
    """Plan how many epochs fit into the time budget, from the speed of a few steps of each phase; the model is as before."""
    before = copied(sized.model.variables)
    many = plan(settings, 10_000)
    step = 0.0
    for phase in many:
        model, parts = sized(phase.size)
        _assign(model.variables, before)
        _compile(model, recipe.task, settings, _schedule(settings, 1000), _set_free(model, settings, phase, loaded))
        step_seconds = []
        batches = _Batches(recipe, settings, parts.train, order)
        for batch in batches(0, min(max(9, 30 // len(many)), 3 + order.steps_per_epoch)):
            began = time.perf_counter()
            model.train_on_batch(*batch)
            step_seconds.append(time.perf_counter() - began)
        seconds = float(np.median(step_seconds[len(step_seconds) // 3 :]))  # the first ones compile
        step += seconds * (phase.end - phase.start) / 10_000
    _assign(sized.model.variables, before)
    epoch = step * (order.steps_per_epoch + 0.4 * len(sized.splits.validation) / order.batch_size)
    return max(1, min(10_000, int(0.95 * 60 * (settings.minutes or 0) / epoch)))


def _fewer(count: int, records: Records) -> int:
    """Return how many images are handled at once: fewer where they are large, for memory and time, but a sixteenth at least."""
    return max(count // 16, count * SMALL_IMAGE // max(SMALL_IMAGE, math.prod(records.image_shape[:2])))


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


class _Epochs(keras.callbacks.Callback):
    """What happens around epochs: validate the averaged weights, keep the best, checkpoint, stop."""

    def __init__(
        self,
        recipe: Any,
        settings: Settings,
        splits: Splits,
        run: Run,
        state: State,
        best: list[np.ndarray],
        order: Order,
        phase: Phase,
        on_epoch: Callable[[State], None],
        on_step: Callable[[int, int, dict[str, float]], None] | None,
    ):
        super().__init__()
        self.phase = phase
        self.settings, self.splits, self.run_folder, self.state, self.best = settings, splits, run, state, best
        self.order, self.on_epoch, self.on_step = order, on_epoch, on_step
        self.encode = recipe.task.encoder(len(splits.train.label_names))
        self.keeps_best = recipe.task.keeps_best
        self.began = time.monotonic() - state.seconds
        self._shown = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if self.settings.minutes is not None and now - self.began > 60 * self.settings.minutes:
            self.state.stopped = f"time budget of {self.settings.minutes:g} minutes used"
            self.model.stop_training = True
        if self.on_step is not None and now - self._shown > 0.2:
            self._shown = now
            done = self.state.epoch * self.order.steps_per_epoch + batch + 1
            self.on_step(done, self.state.epochs * self.order.steps_per_epoch, {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        state, model = self.state, self.model
        steps = int(ops.convert_to_numpy(model.optimizer.iterations))
        rate = float(ops.convert_to_numpy(model.optimizer._learning_rate(max(0, steps - 1))))
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        training = self._swap_in_averages()
        row |= self._validate()
        loss = row.get("val_loss", row["loss"])
        if not math.isfinite(row["loss"]):
            state.stopped = f"the loss was {row['loss']} in epoch {epoch + 1}; try a smaller learning rate"
            model.stop_training = True
        elif loss < state.best_loss or not self.keeps_best or not len(self.splits.validation):
            state.best_loss, state.best_epoch, self.best = loss, epoch + 1, copied(model.variables)
        if epoch + 1 < self.phase.last:  # phases with other layers begin with the averages of these
            for variable, value in training:
                variable.assign(value)
        state.epoch, state.seconds = epoch + 1, time.monotonic() - self.began
        state.history.append({**row, "learning_rate": rate, "seconds": round(state.seconds, 3)})
        seen = state.history[self.phase.sized :]  # on images of this size
        lowest = min(seen, key=lambda row: row.get("val_loss", row["loss"]))["epoch"]
        waited = state.epoch - max(state.best_epoch if self.keeps_best else int(lowest), self.phase.start)
        last = self.phase.end == state.epochs  # an earlier phase leads to the next
        if self.settings.patience and last and waited >= self.settings.patience and not state.stopped:
            state.stopped = f"no better validation loss for {self.settings.patience} epochs"
            model.stop_training = True
        self._write()
        self.on_epoch(state)

    def _swap_in_averages(self) -> list[tuple[Any, np.ndarray]]:
        if not self.settings.ema:
            return []
        trainable = self.model.trainable_variables
        before = list(zip(trainable, copied(trainable), strict=True))
        _assign(trainable, self.model.optimizer.averages())
        return before

    def _validate(self) -> dict[str, float]:
        if not len(self.splits.validation):
            return {}
        size = _fewer(EVALUATION_BATCH, self.splits.validation)
        batches = evaluation_batches(self.splits.validation, batch_size=size, encode=self.encode)
        scores = self.model.evaluate(batches, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in scores.items()}

    def _write(self) -> None:
        _write_checkpoint(self.run_folder.path / CHECKPOINT, self.state, self.model, self.best)
        write_history(self.run_folder.path / HISTORY, self.state.history)


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `history.csv`: a line an epoch, a column a number."""
    import csv

    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic(path, "w") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_checkpoint(path: Path, state: State, model: keras.Model, best: list[np.ndarray]) -> None:
    arrays = {"state": np.frombuffer(json.dumps(dataclasses.asdict(state)).encode(), np.uint8)}
    for name, values in (
        ("model", copied(model.variables)),
        ("optimizer", copied(model.optimizer.variables)),
        ("best", best),
    ):
        arrays |= {f"{name}{number}": value for number, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def _read_checkpoint(path: Path) -> tuple[State, dict[str, list[np.ndarray]]] | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = State(**json.loads(bytes(arrays.pop("state"))))
        groups: dict[str, list[np.ndarray]] = {"model": [], "optimizer": [], "best": []}
        for name, values in groups.items():
            while f"{name}{len(values)}" in arrays:
                values.append(arrays[f"{name}{len(values)}"])
        return state, groups
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is damaged ({error}). Delete it to train this run from the start.") from error


def _assign(variables: Any, values: list[np.ndarray]) -> None:
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise ArtifactError(
            "The checkpoint is of another model. Give the settings it was trained with, or a new --out."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _tensorboard(folder: Path) -> keras.callbacks.Callback:
    from cnnkit.errors import MissingExtra

    try:
        return keras.callbacks.TensorBoard(folder)
    except ImportError as error:
        raise MissingExtra('--tensorboard needs TensorBoard: pip install "cnnkit[tensorboard]".') from error

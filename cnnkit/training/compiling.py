"""A model made ready to train: optimizer, schedule, loss; and the search for a learning rate."""

import math
from typing import Any

import keras
import numpy as np

from cnnkit.data.pipeline import Order
from cnnkit.data.records import Records
from cnnkit.optimizers import LayerwiseAdamW, WarmupCosine
from cnnkit.training.batches import Batches
from cnnkit.training.building import build
from cnnkit.training.settings import Settings


def schedule(settings: Settings, total_steps: int) -> WarmupCosine:
    return WarmupCosine(settings.learning_rate, total_steps, settings.warmup)


def averaging(settings: Settings, total_steps: int) -> float:
    """Return the momentum of averaged weights: over a third of the steps at most, else they hold too much of the start."""
    return min(settings.ema, 1 - 3 / max(4, total_steps))


def compiled(
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


def steps(recipe: Any, settings: Settings, records: Records) -> "tuple[keras.Model, Batches, Order]":
    """Make a compiled model and its batches for work that is not a run: benchmarks, the learning-rate finder."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(settings.seed)
    model = build(recipe, settings, records)
    order = Order(len(records), settings.batch_size, settings.seed, records.passes)
    compiled(model, recipe.task, settings, schedule(settings, settings.epochs * order.steps_per_epoch))
    return model, Batches(recipe, settings, records, order), order


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
    # A schedule of its own: the rate of an optimizer that was built with one cannot be set.
    ramp = keras.optimizers.schedules.ExponentialDecay(low, decay_steps=max(1, count - 1), decay_rate=high / low)
    compiled(model, recipe.task, settings, ramp)
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

"""The optimizer and its schedule: AdamW with a rate for each layer, embeddings by rows, averages; warm-up, then a cosine.

Design choices:
- It is Keras's own optimizer with what differs, averages (EMA) included, so there is one state to checkpoint.

Source: Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled weight decay).
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops


def copied(variables: Any) -> list[np.ndarray]:
    """Return copies of what variables hold."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


@keras.saving.register_keras_serializable("cnnkit")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW whose learning rate differs between variables, and which leaves averaged weights to its caller.

    Keras puts the averages in place whenever `fit` ends; here a `fit` may end within a phase, and a run that was cut between
    two of them would end in other weights. Of an embedding only the rows that a batch has words of are updated, their moments
    too, so a step costs the same whatever the size of the vocabulary; Keras's own makes a whole matrix of the gradient. (A row's
    moments then rest while its word does not occur, as in LazyAdam of TensorFlow Addons.) The average of a row is brought up to
    date when its word occurs again and whenever averages are asked for: a row that does not change only draws its average closer,
    so they are those of Keras's own pass over everything.

    Args:
        rates: what the learning rate is multiplied by, by the path of a variable; 1 for all others.
        *args, **kwargs: as `keras.optimizers.AdamW`.
    """

    def __init__(self, *args: Any, rates: dict[str, float] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.rates = dict(rates or {})
        self._rate_of: tuple[float, ...] = ()
        self._momentum: Any = None  # of the averages
        self._averaged: dict[int, Any] = {}  # by place of an embedding: the steps that each row's average knows of
        self._by_rows: set[int] = set()  # places whose averages the step being built has seen to

    def build(self, variables: Any) -> None:
        super().build(variables)
        self._rate_of = tuple(self.rates.get(variable.path, 1.0) for variable in variables)
        self._averaged = {}
        if self.use_ema:
            self._momentum = self.add_variable((), dtype="float32", name="ema_momentum")
            self._momentum.assign(self.ema_momentum)
        for place, variable in enumerate(variables if self.use_ema else ()):
            if variable.name == "embeddings":
                self._model_variables_moving_average[place].assign(variable)
                name = f"{variable.path.replace('/', '_')}_averaged"
                self._averaged[place] = self.add_variable(variable.shape[:1], dtype="int32", name=name)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Do nothing."""

    def averages(self) -> list[np.ndarray]:
        """Return the averages of all variables that learn, as of the last step."""
        found = copied(self._model_variables_moving_average)
        for place, steps in self._averaged.items():
            value, waited = copied([self._trainable_variables[place], self.iterations - steps])
            found[place] -= value  # in place: an embedding can be large
            found[place] *= np.power(copied([self._momentum])[0], waited.astype(np.float32))[:, None]
            found[place] += value
        return found

    def set_averaging(self, momentum: float) -> None:
        """Change the momentum of the averages from the next step on."""
        if not self.use_ema or copied([self._momentum])[0] == np.float32(momentum):
            return
        for place, value in enumerate(self.averages() if self._averaged else ()):  # with the momentum that held so far
            if place in self._averaged:
                self._model_variables_moving_average[place].assign(value)
                steps = self._averaged[place]
                steps.assign(ops.ones_like(steps) * ops.cast(self.iterations, "int32"))
        self._momentum.assign(momentum)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        rate = learning_rate * self._rate_of[place]
        if hasattr(gradient, "indices") and keras.backend.backend() == "tensorflow":
            self._update_rows(gradient, variable, place, rate)
        else:
            super().update_step(gradient, variable, rate)

    def _update_rows(self, gradient: Any, variable: Any, place: int, rate: Any) -> None:
        """Take an Adam step in the rows that a gradient, `tf.IndexedSlices`, has values of."""
        import tensorflow as tf

        rows, of_values = tf.unique(gradient.indices)
        slope = tf.math.unsorted_segment_sum(gradient.values, of_values, tf.size(rows))
        momentum, velocity = self._momentums[place].value, self._velocities[place].value
        step = tf.cast(self.iterations + 1, variable.dtype)
        first = self.beta_1 * tf.gather(momentum, rows) + (1 - self.beta_1) * slope
        second = self.beta_2 * tf.gather(velocity, rows) + (1 - self.beta_2) * tf.square(slope)
        alpha = rate * tf.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        momentum.scatter_update(tf.IndexedSlices(first, rows))
        velocity.scatter_update(tf.IndexedSlices(second, rows))
        before = tf.gather(variable, rows) if place in self._averaged else None
        variable.scatter_sub(tf.IndexedSlices(alpha * first / (tf.sqrt(second) + self.epsilon), rows))
        if before is not None:
            self._average_rows(variable, before, rows, place)

    def _average_rows(self, variable: Any, before: Any, rows: Any, place: int) -> None:
        """Bring the averages of rows up to date: as many steps of their value before as they waited, and one of the present."""
        import tensorflow as tf

        average, steps = self._model_variables_moving_average[place].value, self._averaged[place].value
        done = tf.cast(self.iterations, "int32")
        momentum = tf.cast(self._momentum, variable.dtype)
        waited = tf.cast(done - tf.gather(steps, rows), variable.dtype)
        old = before + (momentum**waited)[:, None] * (tf.gather(average, rows) - before)
        kept = tf.where(done > 0, momentum, 0.0)  # as Keras: the average begins with the values after the first step
        now = tf.gather(variable, rows)
        average.scatter_update(tf.IndexedSlices(now + kept * (old - now), rows))
        steps.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), done + 1), rows))
        self._by_rows.add(place)

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Average what has no rows of its own, as Keras does with all of it."""
        by_rows, self._by_rows = self._by_rows, set()
        kept = ops.where(self.iterations > 0, ops.convert_to_tensor(self._momentum), 0.0)
        for place, variable in enumerate(trainable_variables):
            if place in by_rows:
                continue
            average = self._model_variables_moving_average[place]
            average.assign(kept * average + (1 - kept) * variable)
            if place in self._averaged:
                steps = self._averaged[place]
                steps.assign(ops.ones_like(steps) * ops.cast(self.iterations + 1, "int32"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rates": dict(self.rates)}


def rising_and_falling(share: float, warmup: float) -> float:
    """Return the learning rate, as a share of its peak, at a share of the training: `WarmupCosine` without its steps."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / max(1e-9, 1 - warmup)))


@keras.saving.register_keras_serializable("cnnkit")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a line from 0 to `peak`, then falls along a cosine to 0.

    Args:
        peak: the highest learning rate.
        steps: of the whole training.
        warmup: share of the steps in which it rises.

    Source: Goyal et al. 2017 (warm-up), Loshchilov and Hutter 2017 (cosine).
    """

    def __init__(self, peak: float, steps: int, warmup: float):
        self.peak, self.steps, self.warmup = peak, steps, warmup

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32") + 1  # the first step learns something too
        rising = max(1.0, self.warmup * self.steps)
        share = ops.clip((step - rising) / max(1.0, self.steps - rising), 0.0, 1.0)
        return self.peak * ops.minimum(step / rising, 0.5 * (1 + ops.cos(math.pi * share)))

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}

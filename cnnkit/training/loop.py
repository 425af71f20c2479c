"""What happens around epochs: validation, the best weights, the checkpoint, stopping.

Where time decides, what Keras calls an epoch is a chunk of steps, and validation follows some of them.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from cnnkit.data.pipeline import Order, evaluation_batches
from cnnkit.data.records import Records, Splits
from cnnkit.optimizers import copied
from cnnkit.run import CHECKPOINT, HISTORY, ROUNDING, Run
from cnnkit.training.checkpoint import State, assign, write_checkpoint, write_history
from cnnkit.training.pace import Pace
from cnnkit.training.phases import Phase
from cnnkit.training.settings import Settings

EVALUATION_BATCH = 256  # of small inputs; of larger ones fewer
SMALL = 128 * 128  # places of a small input: pixels of an image


class Epochs(keras.callbacks.Callback):
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
        on_step: Callable[[float], None] | None,
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
        if self.on_step is not None and now - self._shown > 0.2:
            self._shown = now
            self.on_step(self._share(batch + 1))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.state.epoch = epoch + 1
        self._round({name: float(value) for name, value in (logs or {}).items()})

    # What differs where time decides:

    def _share(self, steps: int) -> float:
        """Return how much of the training is done, so many steps into an epoch."""
        return (self.state.epoch + steps / self.order.steps_per_epoch) / self.state.epochs

    def _rate(self) -> float:
        """Return the learning rate of the last step."""
        steps = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        return float(ops.convert_to_numpy(self.model.optimizer._learning_rate(max(0, steps - 1))))

    def _handed_on(self) -> bool:
        """Whether phases with other layers follow: they begin with the averages of these."""
        return self.state.epoch >= self.phase.last

    def _is_last(self) -> bool:
        """Whether this phase is the last: an earlier one leads to the next."""
        return self.phase.end == self.state.epochs

    def _epoch_at(self, place: int) -> float:
        """Return the epochs done at a place of the plan."""
        return place

    # ------------------------------------------------------------------------------------------------------------------

    def _round(self, row: dict[str, float]) -> None:
        """Validate, keep the best weights, write a checkpoint."""
        state, model = self.state, self.model
        row = {"epoch": state.epoch, **row}
        rate = self._rate()
        training = self._swap_in_averages()
        row |= self._validate()
        loss = row.get("val_loss", row["loss"])
        if not math.isfinite(row["loss"]):
            state.stopped = f"the loss was {row['loss']} in epoch {math.ceil(state.epoch)}; try a smaller learning rate"
            model.stop_training = True
        elif loss < state.best_loss or not self.keeps_best or not len(self.splits.validation):
            state.best_loss, state.best_epoch, self.best = loss, state.epoch, copied(model.variables)
            state.best_trained, state.best_chunk = state.trained, len(state.log)
        if not self._handed_on():
            for variable, value in training:
                variable.assign(value)
        state.seconds = time.monotonic() - self.began
        state.history.append({**row, "learning_rate": rate, "seconds": round(state.seconds, 3)})
        sized = self._epoch_at(self.phase.sized)
        seen = [row for row in state.history if row["epoch"] > sized]  # on images of this size
        lowest = min(seen, key=lambda row: row.get("val_loss", row["loss"]))["epoch"]
        waited = state.epoch - max(state.best_epoch if self.keeps_best else lowest, self._epoch_at(self.phase.start))
        if self.settings.patience and self._is_last() and waited >= self.settings.patience and not state.stopped:
            state.stopped = f"no better validation loss for {self.settings.patience} epochs"
            model.stop_training = True
        self._write()
        self.on_epoch(state)

    def _swap_in_averages(self) -> list[tuple[Any, np.ndarray]]:
        if not self.settings.ema:
            return []
        trainable = self.model.trainable_variables
        before = list(zip(trainable, copied(trainable), strict=True))
        assign(trainable, self.model.optimizer.averages())
        return before

    def _validate(self) -> dict[str, float]:
        if not len(self.splits.validation):
            return {}
        size = fewer(EVALUATION_BATCH, self.splits.validation)
        batches = evaluation_batches(self.splits.validation, batch_size=size, encode=self.encode)
        scores = self.model.evaluate(batches, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in scores.items()}

    def _write(self) -> None:
        write_checkpoint(self.run_folder.path / CHECKPOINT, self.state, self.model, self.best)
        write_history(self.run_folder.path / HISTORY, self.state.history)


class Rounding(Epochs):
    """The same of the quantise-aware phase: its checkpoint is its own, the history that of the training before."""

    def _write(self) -> None:
        write_checkpoint(self.run_folder.path / ROUNDING, self.state, self.model, self.best)


class Chunks(Epochs):
    """The same where time decides: `pace` says how far each chunk of steps goes, and what follows it."""

    def __init__(self, *given: Any, pace: Pace, phases: Sequence[Phase]):
        super().__init__(*given)
        self.pace, self.phases = pace, phases
        self._sums: dict[str, float] = {}
        self._counted = 0

    def decide(self) -> int:
        """Decide on the next chunk, and make the optimizer ready for it; return its steps."""
        self.chunk = self.pace.chunk(self.phase, self.phases)
        self.rate = self.pace.rate(self.chunk, self.phase)
        optimizer = self.model.optimizer
        optimizer.learning_rate = self.rate
        optimizer.set_averaging(self.chunk.ema)
        return self.chunk.steps

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.ends: list[float] = []
        self.started = self.pace.budget.clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(self.pace.budget.clock())
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pace, model = self.pace, self.model
        chunk = pace.done(self.chunk, self.ends, self.started, self.phase)
        for name, value in (logs or {}).items():
            self._sums[name] = self._sums.get(name, 0.0) + chunk.steps * float(value)
        self._counted += chunk.steps
        row = {name: value / self._counted for name, value in self._sums.items()}
        if chunk.validated or not math.isfinite(row["loss"]):
            began = pace.budget.clock()
            self.state.used = pace.budget.used()
            self._round(row)
            pace.validated(pace.budget.clock() - began)
            self._sums, self._counted = {}, 0
        if self.over() or self.decide() != chunk.steps:  # Keras makes chunks of one size
            model.stop_training = True

    def over(self) -> bool:
        """Whether this phase is over."""
        return self.pace.over() or self.pace.position() >= self.phase.end or bool(self.state.stopped)

    def _share(self, steps: int) -> float:
        return self.state.share + (self.chunk.share - self.state.share) * min(1.0, steps / self.chunk.steps)

    def _rate(self) -> float:
        return self.rate

    def _handed_on(self) -> bool:
        return self.pace.over() or self.pace.position() >= self.phase.last

    def _is_last(self) -> bool:
        return self.phase.end == self.phases[-1].end

    def _epoch_at(self, place: int) -> float:
        return self.pace.epoch_at(place)


def fewer(count: int, records: Records) -> int:
    """Return how many inputs are handled at once: fewer where they are large, for memory and time, but a sixteenth at least."""
    return max(count // 16, count * SMALL // max(SMALL, math.prod(records.input_shape[:-1])))

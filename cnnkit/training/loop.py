"""What happens around epochs: validation, the best weights, the checkpoint, stopping."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from cnnkit.config import Settings
from cnnkit.data.pipeline import Order, evaluation_batches
from cnnkit.data.records import Records, Splits
from cnnkit.optimizers import copied
from cnnkit.run import CHECKPOINT, HISTORY, Run
from cnnkit.training.checkpoint import State, assign, write_checkpoint, write_history
from cnnkit.training.phases import Phase

EVALUATION_BATCH = 256  # of images up to 128 px; of larger ones fewer
SMALL_IMAGE = 128 * 128  # px


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


def fewer(count: int, records: Records) -> int:
    """Return how many images are handled at once: fewer where they are large, for memory and time, but a sixteenth at least."""
    return max(count // 16, count * SMALL_IMAGE // max(SMALL_IMAGE, math.prod(records.image_shape[:2])))

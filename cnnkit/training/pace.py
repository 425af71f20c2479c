"""How far a training is: by epochs, or by the share of its time that is used.

With a time budget the learning rate, the phases and the end follow the share of time used, so that a machine that slows down
midway still brings the rate to rest in time. Time is looked at every few steps: a chunk, a two-hundredth of the training or
so. What was decided then (steps of the chunk, the share it ends at, momentum of the averages, whether validation followed) is
a row of `State.log`, and rates are a function of that log alone: with the same log the same weights come out, bit for bit.

Time that passes elsewhere (starting, compiling, validation, checkpoints) needs no forecast to be counted: each chunk takes
the share of what is left of the schedule that its seconds are of the seconds left. Epochs guessed at the start used 5.1 of 8
minutes, and 17.5 of 30.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from cnnkit.data.pipeline import Order
from cnnkit.optimizers import rising_and_falling
from cnnkit.training.checkpoint import Chunk, State
from cnnkit.training.phases import Phase
from cnnkit.training.settings import Settings

TICKS = 10_000  # of a whole training, in which phases are planned where time decides how long it is
CHUNKS = 200  # that time is looked at in a training
PROBE = 4  # steps of the first chunk after compiling; their speed says how many steps the next has
PROBE_SHARE = 0.002
ROUNDS = 20  # validations at least, where epochs are long
VALIDATION = 8  # seconds of training for one of validation, at least
EVALUATING = 0.4  # seconds of a batch in validation for one of a training step, until it was measured
COMPARED = 10  # chunks whose median says how fast the machine is
SLOWEST = 4.0  # times as long that what comes after training is expected to take, where the machine slows down
LATE = 1.3  # a second training that lacks so much time is not begun; it is shortened where it lacks less


@dataclasses.dataclass
class Budget:
    """The time of a whole command, from its start to its report.

    Attributes:
        seconds: there are.
        began: what the clock said at the start.
        clock: seconds.
        before: seconds that earlier commands used on the same run.
        after: seconds needed once the model is trained: scoring, report; as measured before training.
        slowed: how many times as long as at first a training step takes by now, and so will what comes after, at least 1.
        again: records of a second training (a refit) for each of the first; 0: there is none.
    """

    seconds: float
    began: float
    clock: Callable[[], float] = time.monotonic
    before: float = 0.0
    after: float = 0.0
    again: float = 0.0
    slowed: float = 1.0

    def used(self) -> float:
        """Return the seconds used so far."""
        return self.before + self.clock() - self.began

    def left(self) -> float:
        """Return the seconds left until the model must be there."""
        return self.seconds - self.slowed * self.after - self.used()


class Pace:
    """The pace of a training that has a budget of time.

    Args:
        budget: of time.
        state: of the training; its log grows.
        settings: of the run.
        order: of the records.
        validation: records to validate on.
        settling: batches of a forward pass when all steps are done (batch norm).
        log: what was decided in an earlier training, to be repeated as it was.
        course: (shares of this training, shares of the schedule there), where it repeats the beginning of another's schedule.
        steps: at most so many.
    """

    def __init__(
        self,
        budget: Budget,
        state: State,
        settings: Settings,
        order: Order,
        *,
        validation: int,
        settling: int,
        log: Sequence[Sequence[float]] = (),
        course: tuple[Sequence[float], Sequence[float]] = ((0.0, 1.0), (0.0, 1.0)),
        steps: int | None = None,
    ):
        self.budget, self.state, self.settings, self.order = budget, state, settings, order
        self.validation, self.settling, self.course, self.steps = validation, settling, course, steps
        self.log = [Chunk(int(n), share, ema, bool(validated)) for n, share, ema, validated in log]
        self.step: float | None = None  # seconds
        self.start: float = 0.0  # seconds until the first step of a phase is done
        self.round: float | None = None  # seconds of a validation and a checkpoint
        self.size = 0
        self.begun = 0.0  # what the clock said before the model was compiled
        self.speeds: list[float] = []  # seconds of a step in each chunk since then
        self.before = 1.0  # `budget.slowed` then
        self.since = 0.0  # seconds of training since the last validation

    # Where ----------------------------------------------------------------------------------------------------------

    def position(self) -> float:
        """Return where in the schedule the training is, in ticks."""
        return self._tick(self.state.share)

    def over(self) -> bool:
        """Whether all steps are done."""
        return self.state.share >= 1.0

    def _tick(self, share: float) -> float:
        return round(TICKS * float(np.interp(share, *self.course)), 6)

    def epoch_at(self, tick: int) -> float:
        """Return after how many epochs the training was at a place of its schedule; so far, where it has not been there yet."""
        steps = 0
        for chunk in self.state.log:
            if self._tick(chunk[1]) > tick:
                break
            steps += int(chunk[0])
        return self.epochs(steps)

    def epochs(self, steps: int) -> float:
        """Return steps as epochs."""
        return round(steps / self.order.steps_per_epoch, 2)

    def rate(self, chunk: Chunk, phase: Phase) -> float:
        """Return the learning rate of a chunk: that of its middle; of the last, that near its end, which is at rest."""
        within = 0.5 if chunk.share < 1.0 else 0.9
        place = self._tick(self.state.share + within * (chunk.share - self.state.share))
        share = (place - phase.first) / (phase.last - phase.first)
        return self.settings.learning_rate * float(rising_and_falling(min(1.0, max(0.0, share)), self.settings.warmup))

    # What next ------------------------------------------------------------------------------------------------------

    def compiled(self) -> None:
        """Note that the next chunk is the first of a newly compiled model: what a step takes is not known."""
        self.step, self.size, self.begun = None, 0, self.budget.clock()
        self.speeds, self.before = [], self.budget.slowed

    def chunk(self, phase: Phase, phases: Sequence[Phase]) -> Chunk:
        """Decide how far the next steps go."""
        state = self.state
        if len(state.log) < len(self.log):
            return self.log[len(state.log)]
        inverse = self.course[1], self.course[0]
        end = float(np.interp(phase.end / TICKS, *inverse)) if phase.end < TICKS else 1.0
        if self.step is None:
            steps, share = self._whole(PROBE), state.share + PROBE_SHARE
        else:
            later = sum(1 for other in phases if other.start >= phase.end and other.start < TICKS)
            left = max(0.0, self.left(later))
            steps = self._whole(self._size(left))
            seconds = steps * self.step
            share = 1.0 if left <= 1.5 * seconds else state.share + (1 - state.share) * seconds / left
        if self.steps is not None:
            steps = self._whole(min(steps, max(1, self.steps - state.steps)))
            share = 1.0 if state.steps + steps >= self.steps else max(share, state.share + steps / self.steps)
        if share < 1.0 or end == 1.0:
            share = min(share, end)
        return Chunk(steps, share, self._averaging(phase, steps, share), False)

    def _whole(self, steps: int) -> int:
        """Return steps that Keras can execute together."""
        at_once = self.settings.steps_per_execution
        return -(-steps // at_once) * at_once

    def _size(self, left: float) -> int:
        """Return the steps of a chunk; the same as before, unless the speed has changed much."""
        assert self.step is not None
        if self.steps is not None:
            return max(1, round(self.steps / CHUNKS))
        steps = max(1, round((self.state.trained + left) / CHUNKS / self.step))
        if not self.size or not 0.5 <= steps / self.size <= 2:
            self.size = steps
        return self.size

    def _averaging(self, phase: Phase, steps: int, share: float) -> float:
        """Return the momentum of averaged weights; it changes where validation has just put the averages in order."""
        from cnnkit.training.compiling import averaging

        state = self.state
        if state.log and self.since and len(state.log) > 2:
            return float(state.log[-1][2])
        whole = self.steps or (state.steps + steps) / max(share, 1e-6)
        if self.steps is None and self.step is not None:
            whole = state.steps + max(self.left(0), 0.0) / self.step
        return averaging(self.settings, max(4, round(whole * (phase.last - phase.first) / TICKS)))

    def left(self, later: int = 0) -> float:
        """Return the seconds left for steps.

        Validation, the end of this training and the `later` phases that are still to be compiled are kept back, and a second
        training, where there is to be one: as long as this, unless the best weights were found well before and the schedule is
        half over; then that long. Where it would not fit any more, there is none.
        """
        budget, state = self.budget, self.state
        left = budget.left() - self.finishing() - later * self.start
        if not math.isfinite(left):
            return left
        every = self.interval(left)
        training = every / (every + self.costs())
        if not budget.again:
            return training * left
        left -= self.start + self.finishing()  # of the second
        best = budget.again * state.best_trained
        if best > LATE * left:
            return training * (left + self.start + self.finishing())
        if state.share > 0.5 and state.trained - state.best_trained > 0.3 * state.trained:
            return training * (left - 1.1 * best)
        return (left - budget.again * state.trained) / (1 / training + budget.again)

    def costs(self) -> float:
        """Return the seconds of a validation and a checkpoint."""
        if self.round is not None or not self.validation:
            return self.round or 0.0
        return EVALUATING * (self.step or 0.0) * self.validation / self.order.batch_size

    def finishing(self) -> float:
        """Return the seconds from the last step to the saved model: a validation, batch norm, saving."""
        return self.costs() + 0.3 * self.start + EVALUATING * (self.step or 0.0) * self.settling

    def interval(self, left: float) -> float:
        """Return the seconds of training between two validations: an epoch, if that is neither too long nor too short."""
        whole = max(1e-9, self.state.trained + left)
        epoch = self.order.steps_per_epoch * (self.step or 0.0)
        return max(VALIDATION * self.costs(), whole / CHUNKS, min(epoch, whole / ROUNDS))

    # What was -------------------------------------------------------------------------------------------------------

    def done(self, chunk: Chunk, ends: Sequence[float], began: float, phase: Phase) -> Chunk:
        """Note a chunk that is done; return it, with whether validation follows.

        Args:
            chunk: as decided.
            ends: what the clock said after each of its steps.
            began: and before the first.
            phase: of it.
        """
        state = self.state
        gaps = np.diff(ends)
        if self.step is None:
            once = float(np.median(gaps)) if len(gaps) else ends[-1] - began
            self.step = once / self.settings.steps_per_execution
            self.start = max(0.0, ends[0] - self.begun - self.step)
            seconds = self.step * chunk.steps
        else:
            seconds = ends[-1] - began
            self.step = 0.5 * self.step + 0.5 * seconds / chunk.steps
            self.speeds.append(seconds / chunk.steps)
            first, last = (float(np.median(part)) for part in (self.speeds[:COMPARED], self.speeds[-COMPARED:]))
            self.budget.slowed = min(SLOWEST, max(1.0, self.before * last / first))
        self.since += seconds
        state.trained += seconds
        state.steps += chunk.steps
        state.share = chunk.share
        state.epoch = self.epochs(state.steps)
        if len(state.log) >= len(self.log):
            ended = chunk.share >= 1.0 or self.position() >= phase.end
            due = ended or self.since >= self.interval(max(0.0, self.left()))
            chunk = chunk._replace(validated=due)
        state.log.append(list(chunk))
        return chunk

    def validated(self, seconds: float) -> None:
        """Note what a validation and a checkpoint took; the first was compiled, the next ones are faster."""
        self.round = max(self.costs(), 0.3 * seconds) if self.round is None else seconds
        self.since = 0.0


def second_fits(state: State, budget: Budget) -> bool:
    """Whether a second training, as long as the first took to its best weights, fits into what is left."""
    return budget.again * state.best_trained <= LATE * budget.left()

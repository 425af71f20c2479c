"""A budget of time is used, whatever the machine does; what time decided is recorded, and gives the same weights again."""

import dataclasses
import itertools

import numpy as np
import pytest

from cnnkit import training
from cnnkit.data.pipeline import Order
from cnnkit.run import CHECKPOINT, HISTORY, Run
from cnnkit.training.checkpoint import State, read_checkpoint
from cnnkit.training.pace import TICKS, Budget, Pace, second_fits
from cnnkit.training.phases import planned
from tests import toys
from tests.test_training import fit, same, weights

SETTINGS = toys.Settings(data="bars", batch_size=24, learning_rate=0.01, ema=0.9, minutes=1.0)
SECONDS = 60.0


class Clock:
    """A clock that somebody turns, or that goes on by `step` seconds whenever it is looked at."""

    def __init__(self, step=0.0):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


class Simulated:
    """A training without a network: steps, compiling, validation and settling take what they are told to."""

    def __init__(self, step=0.05, compiling=2.0, validating=0.3, settings=SETTINGS, records=2400, **budget):
        self.clock, self.step = Clock(), step if callable(step) else lambda now: step
        self.compiling, self.validating = compiling, validating
        self.state, self.settings = State(), settings
        self.order = Order(records, settings.batch_size, 0)
        self.budget = Budget(SECONDS, 0.0, self.clock, **budget)
        self.pace = Pace(self.budget, self.state, settings, self.order, validation=240, settling=10)
        self.rates, self.phases = [], planned(settings, TICKS)

    def run(self, better=lambda share: True):
        pace, clock, state = self.pace, self.clock, self.state
        self.trained = []
        for phase in self.phases:
            if pace.over() or pace.position() >= phase.end:
                continue
            self.trained.append(phase)
            pace.compiled()
            clock.now += self.compiling
            while not (pace.over() or pace.position() >= phase.end):
                chunk = pace.chunk(phase, self.phases)
                self.rates.append(pace.rate(chunk, phase) / self.settings.learning_rate)
                began, ends = clock.now, []
                for _ in range(chunk.steps):
                    clock.now += self.step(clock.now)
                    ends.append(clock.now)
                if pace.done(chunk, ends, began, phase).validated:
                    clock.now += self.validating
                    pace.validated(self.validating)
                    state.history.append({"epoch": state.epoch})
                    if better(state.share):
                        state.best_trained, state.best_chunk = state.trained, len(state.log)
        clock.now += self.settling()
        return self

    def settling(self):
        """Seconds that batch norm takes after the last step: ten batches."""
        return 10 * 0.3 * self.step(self.clock.now)


LOADS = {
    "steady": 0.05,
    "slow": 0.7,
    "fast": 0.004,
    "slower midway": lambda now: 0.05 if now < 25 else 0.15,
    "faster midway": lambda now: 0.15 if now < 25 else 0.05,
    "now and then": lambda now: 0.05 if int(now) % 7 else 0.2,
    "stops for a while": lambda now: 6.0 if 30 < now < 31 else 0.05,
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("after", [0.0, 9.0])
def test_the_time_is_used_and_the_rate_comes_to_rest_whatever_the_machine_does(load, after):
    done = Simulated(LOADS[load], after=after).run()
    slowed = 3.0 if load == "slower midway" else 1.0  # and what comes after training takes as much longer
    assert 0.92 * SECONDS < done.clock.now + slowed * after < 1.05 * SECONDS
    assert done.state.share == 1.0 and done.rates[-1] < 0.02
    assert max(done.rates) > 0.8, "and was high before"
    assert all(one >= other - 0.05 for one, other in itertools.pairwise(done.rates[len(done.rates) // 3 :])), "it falls"
    assert sum(row[0] for row in done.state.log) == done.state.steps


@pytest.mark.parametrize("validating", [0.01, 2.0])
@pytest.mark.parametrize("records", [24, 240, 2_400, 2_400_000])
def test_validation_takes_a_small_part_and_comes_often_enough(validating, records):
    done = Simulated(validating=validating, records=records).run()
    count = sum(row[3] for row in done.state.log)
    assert count * validating < 0.2 * SECONDS, "epochs of a step, and epochs longer than all the time"
    assert count >= (15 if validating < 1 else 2)
    assert done.state.log[-1][3], "the last weights are validated"
    assert 0.92 * SECONDS < done.clock.now < 1.05 * SECONDS


def test_phases_have_their_shares_of_the_time_and_compiling_is_inside():
    settings = dataclasses.replace(SETTINGS, weights="x", freeze=0.2, unfreeze=2, progressive=2)
    done = Simulated(settings=settings).run()
    assert done.trained == done.phases and len(done.phases) > 3
    assert 0.92 * SECONDS < done.clock.now < 1.05 * SECONDS
    ends = [phase.end for phase in done.phases]
    reached = [round(TICKS * row[1]) for row in done.state.log]
    assert set(ends) <= set(reached), "each ends where it should"
    epochs = [done.pace.epoch_at(end) for end in ends]
    assert epochs == sorted(epochs) and epochs[-1] == done.state.epoch


@pytest.mark.parametrize("best", [0.1, 0.3, 0.7, 1.0])
def test_a_second_training_fits_in_as_well(best):
    """As long as the first took to its best weights; where these were early, the first has more of the time."""
    first = Simulated(again=1.1, after=5.0).run(lambda share: share <= best)
    left = SECONDS - 5.0 - first.clock.now
    needed = 1.1 * first.state.best_trained + first.compiling + first.settling()
    assert second_fits(first.state, first.budget)
    assert needed < left + 0.1 * SECONDS and left - needed < 0.15 * SECONDS
    steps = round(1.1 * sum(row[0] for row in first.state.log[: first.state.best_chunk]))
    second = State()
    budget = dataclasses.replace(first.budget, again=0.0)
    again = Simulated()
    again.state, again.clock, again.budget = second, first.clock, budget
    again.pace = Pace(budget, second, SETTINGS, again.order, validation=0, settling=10, steps=steps)
    again.run()
    assert 0.8 * steps <= second.steps <= steps and second.share == 1.0
    assert 0.85 * SECONDS < first.clock.now + 5.0 < 1.05 * SECONDS


def test_a_second_training_is_shortened_where_the_machine_has_slowed_down():
    clock, state = Clock(), State()
    budget = Budget(SECONDS, 0.0, clock)
    slow = Simulated(0.1)
    slow.clock, slow.state, slow.budget = clock, state, budget
    slow.pace = Pace(budget, state, SETTINGS, slow.order, validation=0, settling=10, steps=1000)
    slow.run()
    assert state.steps < 600 and state.share == 1.0 and clock.now < 1.05 * SECONDS


def test_where_there_is_no_time_the_fewest_steps_are_taken():
    done = Simulated(after=59.0).run()
    assert done.state.share == 1.0 and done.state.steps < 10 and done.rates[-1] < 0.1


# With a network -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """The folder of a run whose time was told by a clock, and its weights; read only."""
    path = tmp_path_factory.mktemp("timed") / "run"
    model = fit(path, SETTINGS, budget=Budget(SECONDS, 0.0, Clock(0.2)))
    return path, weights(model)


def state_of(path):
    return read_checkpoint(path / CHECKPOINT)[0]


def stop_at(round_):
    def stop(state):
        if len(state.history) == round_:
            raise KeyboardInterrupt

    return stop


def test_a_run_says_how_long_it_was_and_that_its_rate_is_at_rest(timed):
    done = Run.open(timed[0]).document["training"]
    state = state_of(timed[0])
    assert done["stopped"] == "time budget of 1 minutes used" and "planned_epochs" not in done
    assert done["steps"] == state.steps == sum(row[0] for row in state.log) > 30
    assert done["epochs"] == pytest.approx(state.steps / 10, abs=0.01)
    assert done["rate_at_end"] < 0.02 and state.share == 1.0
    assert 0.9 * SECONDS < state.used < 1.02 * SECONDS
    rows = (timed[0] / HISTORY).read_text().splitlines()
    assert len(rows) - 1 == len(state.history) == sum(row[3] for row in state.log) > 3


def test_the_same_decisions_give_the_same_weights_whatever_the_time(timed, tmp_path):
    log = state_of(timed[0]).log
    again = fit(tmp_path / "again", SETTINGS, budget=Budget(SECONDS, 0.0, Clock(7.0)), log=log)
    assert same(timed[1], weights(again))
    assert state_of(tmp_path / "again").log == log


@pytest.mark.slow
def test_two_runs_that_were_interrupted_and_resumed_end_as_one(timed, tmp_path):
    log = state_of(timed[0]).log
    for name, stops in (("one", (1, 3)), ("other", (2,))):
        for round_ in stops:
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / name, SETTINGS, log=log, on_epoch=stop_at(round_))
        assert same(timed[1], weights(fit(tmp_path / name, SETTINGS, log=log)))


def test_a_resumed_run_keeps_what_was_decided_and_has_the_time_that_was_left(timed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", SETTINGS, budget=Budget(SECONDS, 0.0, Clock(0.2)), on_epoch=stop_at(3))
    before = state_of(tmp_path / "cut")
    clock = Clock(0.2)
    clock.now = 1000.0  # of another start of the machine
    fit(tmp_path / "cut", SETTINGS, budget=Budget(SECONDS, 1000.0, clock))
    after = state_of(tmp_path / "cut")
    assert after.log[: len(before.log)] == before.log and after.share == 1.0
    assert 0.9 * SECONDS < after.used < 1.02 * SECONDS and clock.now - 1000.0 < SECONDS - before.used + 3
    model = weights(fit(tmp_path / "cut", SETTINGS))
    assert state_of(tmp_path / "cut").log == after.log, "a finished run resumed is the same run"
    assert same(model, weights(fit(tmp_path / "cut", SETTINGS)))


@pytest.mark.slow
def test_phases_and_sizes_follow_time_and_resume_too(toy_run, tmp_path):
    settings = dataclasses.replace(SETTINGS, weights=str(toy_run), freeze=0.3, unfreeze=2, progressive=2)
    whole = weights(fit(tmp_path / "whole", settings, budget=Budget(SECONDS, 0.0, Clock(0.3))))
    state = state_of(tmp_path / "whole")
    phases = Run.open(tmp_path / "whole").document["training"]["phases"]
    assert len(phases) == len(planned(settings, TICKS)) and phases[-1]["end"] == state.epoch
    assert [phase["start"] for phase in phases[1:]] == [phase["end"] for phase in phases[:-1]]
    for round_ in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "cut", settings, log=state.log, on_epoch=stop_at(round_))
    assert same(whole, weights(fit(tmp_path / "cut", settings, log=state.log)))


def test_a_second_training_repeats_the_schedule_to_where_it_was_best(timed, tmp_path):
    import shutil

    path = shutil.copytree(timed[0], tmp_path / "run")
    every = toys.splits(train=300)
    every = dataclasses.replace(every, validation=every.validation.take(np.zeros(0, int)))
    run = Run.open(path)
    run.save(data={"sizes": {"train": 240}})
    state = state_of(path)
    training.refit(toys.recipe(), every, run, {}, budget=Budget(SECONDS, 0.0, Clock(0.001)))
    steps = sum(row[0] for row in state.log[: state.best_chunk])
    again = state_of(path / "refit")
    assert again.steps == round(steps * 12 / 10) and again.share == 1.0
    assert run.document["refit"]["epochs"] == pytest.approx(state.best_epoch, abs=0.2)
    first = weights(training.refit(toys.recipe(), every, run, {}))
    assert state_of(path / "refit").log == again.log, "nothing is trained again"
    assert same(first, weights(training.refit(toys.recipe(), every, run, {})))

"""Training learns, repeats bit for bit, and goes on after a kill as if nothing had happened."""

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from cnnkit import training
from cnnkit.data.pipeline import Order, evaluation_batches, training_batches
from cnnkit.errors import ArtifactError, CnnkitError, ConfigError
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.evaluation.scoring import score
from cnnkit.inputs.image.images import with_targets
from cnnkit.run import CHECKPOINT, HISTORY, MODEL, Run
from tests import toys

SETTINGS = toys.Settings(data="bars", epochs=4, batch_size=24, learning_rate=0.01, ema=0.9, label_smoothing=0.05)


def fit(path, settings=SETTINGS, recipe=None, **kwargs):
    run = Run.open(path) if path.exists() else Run.create(path, "toy", settings)
    return training.fit(recipe or toys.recipe(), settings, toys.splits(), run, **kwargs)


def weights(model):
    return [np.array(value) for value in model.get_weights()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished run, and its weights; read only."""
    path = tmp_path_factory.mktemp("whole") / "run"
    return path, weights(fit(path))


@pytest.fixture
def run(whole, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(whole[0], tmp_path / "run")


def test_it_learns_what_is_held_out(tmp_path):
    model = fit(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=12))
    artifact = KerasArtifact(tmp_path, model, {**toys.ABOUT, "labels": ["horizontal", "vertical", "square"]})
    assert score(artifact, toys.splits().test, toys.recipe().task)["accuracy"] > 0.93
    assert Run.open(tmp_path / "run").document["training"]["epochs"] == 12


def test_it_repeats_bit_for_bit_and_another_seed_differs(whole, tmp_path):
    assert same(whole[1], weights(fit(tmp_path / "again")))
    assert not same(whole[1], weights(fit(tmp_path / "other", dataclasses.replace(SETTINGS, seed=1))))


def test_it_repeats_and_resumes_bit_for_bit_with_several_threads(tmp_path):
    program = textwrap.dedent(
        """
        import dataclasses, pathlib, sys
        from cnnkit.run import Run
        from tests.test_training import SETTINGS, fit, same, weights
        settings = dataclasses.replace(SETTINGS, epochs=2)
        folder = pathlib.Path(sys.argv[1])
        first, again = (weights(fit(folder / name, settings)) for name in "ab")
        assert same(first, again)
        def stop(state):
            if state.epoch == 1:
                raise KeyboardInterrupt
        try:
            fit(folder / "c", settings, on_epoch=stop)
        except KeyboardInterrupt:
            assert same(first, weights(fit(folder / "c", settings)))
        assert Run.open(folder / "c").document["machine"]["onednn"]
        """
    )
    # Tests that run side by side have one thread each, which would hide what depends on the order of threads.
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "4", "TF_NUM_INTEROP_THREADS": "4"}
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_run_stopped_after_an_epoch_resumes_to_the_same_weights(whole, tmp_path):
    def stop(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", on_epoch=stop)
    assert not (tmp_path / "cut" / MODEL).exists()
    resumed = fit(tmp_path / "cut")
    assert same(whole[1], weights(resumed))
    assert (whole[0] / HISTORY).read_text().count("\n") == (tmp_path / "cut" / HISTORY).read_text().count("\n") == 5


def test_a_finished_run_resumed_is_the_same_run(whole, run):
    seconds = Run.open(run).document["training"]["seconds"]
    assert same(whole[1], weights(fit(run)))
    assert Run.open(run).document["training"]["seconds"] == seconds


@pytest.mark.parametrize("cut", [False, True])
def test_a_refit_is_a_training_on_all_records_for_the_best_number_of_epochs(run, tmp_path, cut):
    every = toys.splits(train=300)
    every = dataclasses.replace(every, validation=every.validation.take(np.zeros(0, int)))
    own = Run.open(run)
    own.save(training={**own.document["training"], "best_epoch": 3})
    before = weights(open_artifact(run / MODEL).model)

    def stop(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    if cut:
        with pytest.raises(KeyboardInterrupt):
            training.refit(toys.recipe(), every, own, {"temperature": 2.0}, on_epoch=stop)
        assert same(before, weights(open_artifact(run / MODEL).model)), (
            "the first model stays until the second is there"
        )
    found = weights(training.refit(toys.recipe(), every, own, {"temperature": 2.0}))
    settings = dataclasses.replace(SETTINGS, validation=0.0)
    alone = Run.create(tmp_path / "alone", "toy", settings)
    assert same(found, weights(training.fit(toys.recipe(), settings, every, alone, until=3)))
    written = open_artifact(run / MODEL)
    assert same(found, weights(written.model)) and not same(found, before)
    assert written.metadata["temperature"] == 2.0 and written.metadata["labels"] == list(every.train.label_names)
    assert Run.open(run).document["refit"]["records"] == 300
    assert alone.document["training"]["epochs"] == 3 and alone.document["training"]["planned_epochs"] == 4


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights(whole, tmp_path):
    program = textwrap.dedent(
        """
        import sys, time, pathlib
        from tests.test_training import fit
        fit(pathlib.Path(sys.argv[1]), on_step=lambda *_: time.sleep(0.05))
        """
    )
    path = tmp_path / "killed"
    for wait in (0.0, 0.35, 0.8):  # after the first checkpoint, and again after each resume
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        before = (path / CHECKPOINT).stat().st_mtime if (path / CHECKPOINT).exists() else None
        while process.poll() is None:
            now = (path / CHECKPOINT).stat().st_mtime if (path / CHECKPOINT).exists() else None
            if now != before:
                time.sleep(wait)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.02)
        process.wait()
    assert same(whole[1], weights(fit(path)))


def test_a_checkpoint_of_another_model_is_refused(run):
    with pytest.raises(ArtifactError, match="another model"):
        fit(run, dataclasses.replace(SETTINGS, options={"width": 4}, epochs=6))


def test_a_damaged_checkpoint_is_named(run):
    path = run / CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"checkpoint\.npz is damaged"):
        fit(run)


@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.25), (4, 0.25), (30, 0.9), (600, 0.995), (50_000, 0.995)])
def test_an_average_is_over_a_third_of_the_steps_at_most(steps, momentum):
    settings = dataclasses.replace(SETTINGS, ema=0.995)
    assert training.averaging(settings, steps) == pytest.approx(momentum)
    assert training.averaging(dataclasses.replace(SETTINGS, ema=0.0), steps) == 0


def test_the_optimizer_averages_no_longer_than_a_short_training():
    model, _, order = training.steps(toys.recipe(), dataclasses.replace(SETTINGS, ema=0.999), toys.splits().train)
    expected = 1 - 3 / (SETTINGS.epochs * order.steps_per_epoch)
    assert model.optimizer.ema_momentum == pytest.approx(expected) and expected < 0.999


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=60, patience=2, learning_rate=0.05, augment=False, ema=0.0)
    fit(tmp_path / "run", settings)
    done = Run.open(tmp_path / "run").document["training"]
    assert done["epochs"] < 60
    assert done["best_epoch"] == done["epochs"] - 2
    assert "no better validation loss for 2 epochs" in done["stopped"]


def test_early_stopping_looks_at_the_loss_also_where_the_last_weights_are_kept(tmp_path):
    from cnnkit.tasks.classification.scoring import Classification

    class Last(Classification):
        keeps_best = False

    settings = dataclasses.replace(SETTINGS, epochs=60, patience=2, learning_rate=0.05, augment=False, ema=0.0)
    fit(tmp_path / "run", settings, toys.recipe(task=Last()))
    done = Run.open(tmp_path / "run").document["training"]
    with (tmp_path / "run" / HISTORY).open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert done["epochs"] < 60 and done["best_epoch"] == done["epochs"]
    assert int(np.argmin(losses)) + 1 == done["epochs"] - 2
    assert "no better validation loss for 2 epochs" in done["stopped"]


def test_a_loss_that_runs_away_stops_with_a_word(tmp_path):
    settings = dataclasses.replace(SETTINGS, learning_rate=1e30, epochs=3, augment=False, warmup=0.0)
    fit(tmp_path / "run", settings)
    assert "smaller learning rate" in Run.open(tmp_path / "run").document["training"]["stopped"]


def test_class_weights_mixup_and_cutmix_train(tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=1, class_weights=True, mixup=0.2, cutmix=1.0, rand_augment=True)
    fit(tmp_path / "run", settings)
    rows = (tmp_path / "run" / HISTORY).read_text().splitlines()
    assert len(rows) == 2 and "nan" not in rows[1]


def test_mixed_precision_trains_and_leaves_a_float32_model(tmp_path):
    model = fit(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=2, mixed_precision=True))
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    history = (tmp_path / "run" / HISTORY).read_text().splitlines()
    assert len(history) == 3 and "nan" not in history[-1]
    again = fit(tmp_path / "again", dataclasses.replace(SETTINGS, epochs=2))
    assert model.count_params() == again.count_params()


def test_the_learning_rate_finder_suggests_one_that_learns():
    rate, curve = training.find_learning_rate(toys.recipe(), SETTINGS, toys.splits().train, count=60)
    assert 1e-4 < rate < 0.3
    assert len(curve) > 20
    assert min(loss for _, loss in curve) < curve[0][1]


def test_the_model_written_is_the_model_returned_with_labels_inside(tmp_path):
    model = fit(tmp_path / "run")
    opened = open_artifact(tmp_path / "run", "toy")
    images = toys.splits().test.read(np.arange(9))[0]
    direct = KerasArtifact(tmp_path, model, toys.ABOUT).run_batch(images)["scores"]
    assert np.array_equal(opened.run_batch(images)["scores"], direct)
    assert opened.labels == ("horizontal", "vertical", "square")


def test_an_unknown_model_or_option_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no model `none`. Models: default"):
        fit(tmp_path / "a", dataclasses.replace(SETTINGS, model="none"))
    with pytest.raises(ConfigError, match=r"'default' has no option `wings`. It has width, dropout\."):
        fit(tmp_path / "b", dataclasses.replace(SETTINGS, options={"wings": 2}))
    with pytest.raises(ConfigError, match="cannot be built"):
        fit(tmp_path / "c", dataclasses.replace(SETTINGS, options={"width": -1}))


def test_a_run_folder_is_not_overwritten(tmp_path):
    fit(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=1))
    with pytest.raises(CnnkitError, match="exists already"):
        Run.create(tmp_path / "run", "toy", SETTINGS)
    with pytest.raises(ArtifactError, match="a run of `cnnkit toy`, not of `cnnkit digits`"):
        Run.open(tmp_path / "run", "digits")


def test_the_order_is_a_permutation_of_each_epoch_and_a_function_of_the_step():
    order = Order(10, 3, seed=5)
    assert order.steps_per_epoch == 3
    first = np.concatenate([order.indices(step) for step in range(3)])
    assert len(set(first)) == 9
    assert np.array_equal(Order(10, 3, seed=5).indices(7), order.indices(7))
    assert not np.array_equal(order.indices(0), order.indices(3))
    assert Order(2, 100, seed=0).steps_per_epoch == 1


def test_batches_from_the_middle_are_those_of_the_whole():
    recipe, records = toys.recipe(), toys.splits().train
    order = Order(len(records), 24, seed=0)
    encode, augmentation = recipe.task.encoder(3), with_targets(recipe.augmentation(3))

    def batches(start):
        made = training_batches(records, order, start=start, stop=8, encode=encode, augmentation=augmentation)
        return [tuple(np.array(part) for part in batch) for batch in made]

    whole, tail = batches(0), batches(5)
    assert len(whole) == 8 and len(tail) == 3
    assert all(same(a, b) for a, b in zip(whole[5:], tail, strict=True))


def test_evaluation_sees_every_record_once_in_order():
    records = toys.bars(50)
    made = list(evaluation_batches(records, batch_size=16, encode=lambda labels: labels))
    assert [len(images) for images, _ in made] == [16, 16, 16, 2]
    assert np.array_equal(np.concatenate([np.array(labels) for _, labels in made]), records.labels)


@pytest.mark.slow
def test_another_backend_trains_too(tmp_path):
    program = textwrap.dedent(
        """
        import pathlib, sys
        from tests.test_training import fit
        import keras
        fit(pathlib.Path(sys.argv[1]))
        print(keras.backend.backend(), (pathlib.Path(sys.argv[1]) / "history.csv").read_text().splitlines()[-1])
        """
    )
    pytest.importorskip("jax", reason="needs jax: pip install 'cnnkit[jax]'")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    backend, row = done.stdout.split()[-2:]
    assert backend == "jax"
    assert float(row.split(",")[3]) > 0.8  # accuracy on validation


def test_a_tensorboard_log_is_written_on_request(tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install 'cnnkit[tensorboard]'")
    fit(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=1, tensorboard=True))
    assert list((tmp_path / "run" / "tensorboard").rglob("events.out.tfevents.*"))

"""Fine-tuning in phases: what stands still stands still, and a run stopped anywhere resumes to the same weights."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cnnkit import training
from cnnkit.errors import ArtifactError, ConfigError
from cnnkit.run import MODEL, Run
from cnnkit.training.batches import augmentation_of
from cnnkit.training.checkpoint import read_checkpoint
from cnnkit.training.loop import Epochs
from cnnkit.training.phases import set_free
from tests import toys
from tests.test_training import fit, same, weights

SETTINGS = toys.Settings(data="bars", epochs=6, batch_size=24, learning_rate=0.01, ema=0.9, freeze=0.3, unfreeze=2)


def tuned(toy_run, **changes):
    return dataclasses.replace(SETTINGS, weights=str(toy_run), **changes)


def names_and_ends(settings, epochs):
    phases = training.planned(settings, epochs)
    assert [phase.start for phase in phases] == [0, *(phase.end for phase in phases[:-1])]
    return [(phase.name, phase.end) for phase in phases]


def test_the_plan_is_the_head_then_layers_from_the_top_then_all(toy_run):
    assert names_and_ends(tuned(toy_run), 6) == [
        ("head only", 2),
        ("head and top 1/2 of the loaded layers", 4),
        ("all layers", 6),
    ]
    assert names_and_ends(tuned(toy_run, freeze=1.0), 6) == [("head only", 6)]
    assert names_and_ends(tuned(toy_run, freeze=0.0, unfreeze=1), 6) == [("all layers", 6)]


def test_few_epochs_leave_phases_out_but_never_the_last(toy_run):
    assert names_and_ends(tuned(toy_run), 1) == [("all layers", 1)]
    assert names_and_ends(tuned(toy_run, unfreeze=1), 2) == [("head only", 1), ("all layers", 2)]
    assert names_and_ends(tuned(toy_run, freeze=0.99, unfreeze=5), 4)[-1] == ("all layers", 4)


def test_without_loaded_weights_there_is_one_phase():
    assert names_and_ends(SETTINGS, 6) == [("all layers", 6)]


def test_progressive_sizes_rise_to_the_whole_across_the_phases(toy_run):
    phases = training.planned(tuned(toy_run, progressive=3, unfreeze=1), 9)
    assert [(p.start, p.end, p.free, p.size) for p in phases] == [
        (0, 3, 0.0, 0.6),
        (3, 6, 1.0, 0.8),
        (6, 9, 1.0, 1.0),
    ]
    assert [(p.first, p.last) for p in phases] == [(0, 3), (3, 9), (3, 9)]  # the last two share a schedule
    assert phases[0].name == "head only, images at 60% of their size" and phases[2].name == "all layers"


@pytest.mark.slow
def test_progressive_training_learns_and_resumes_to_the_same_weights(tmp_path):
    from cnnkit.evaluation.artifacts import KerasArtifact
    from cnnkit.evaluation.scoring import score

    settings = dataclasses.replace(SETTINGS, progressive=2, epochs=10)
    model = fit(tmp_path / "whole", settings)
    artifact = KerasArtifact(tmp_path, model, {**toys.ABOUT, "labels": ["horizontal", "vertical", "square"]})
    assert model.input_shape == (None, 12, 12, 1)
    assert score(artifact, toys.splits().test, toys.recipe().task)["accuracy"] > 0.9
    document = Run.open(tmp_path / "whole").document["training"]
    assert [(phase["start"], phase["end"]) for phase in document["phases"]] == [(1, 5), (6, 10)]
    assert document["best_epoch"] > 5  # an epoch on small images is never the best

    def stop(state):
        if state.epoch in stops:
            stops.remove(state.epoch)
            raise KeyboardInterrupt

    stops = [3, 5, 7]
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "cut", settings, on_epoch=stop)
    assert same(weights(model), weights(fit(tmp_path / "cut", settings)))


@pytest.mark.parametrize("keeps_best", [True, False])
@pytest.mark.parametrize("tail, epochs", [((0.5, 0.4, 0.3), 10), ((0.9, 0.9, 0.9), 9)])
def test_patience_counts_on_images_of_the_last_size_alone(tmp_path, monkeypatch, keeps_best, tail, epochs):
    losses = [0.2, 0.1, 0.1, 0.1, 0.1, 0.9, 0.8, *tail]  # on small images they are lower from the start

    def validate(self):
        return {"val_loss": losses[len(self.state.history)]}

    monkeypatch.setattr(Epochs, "_validate", validate)
    recipe = toys.recipe()
    monkeypatch.setattr(recipe.task, "keeps_best", keeps_best)
    fit(tmp_path / "run", dataclasses.replace(SETTINGS, progressive=2, epochs=10, patience=2), recipe)
    document = Run.open(tmp_path / "run").document["training"]
    assert document["epochs"] == epochs
    assert document["best_epoch"] == (epochs if epochs == 10 or not keeps_best else 7)


@pytest.mark.slow
def test_averages_are_handed_on_where_the_layers_change_but_not_where_the_size_does(toy_run, tmp_path):
    def handed_on(settings, epoch):
        """Whether the weights after an epoch are those that the optimizer keeps as averages."""

        def stop(state):
            if state.epoch == epoch:
                raise KeyboardInterrupt

        path = tmp_path / f"{settings.progressive}-{epoch}"
        with pytest.raises(KeyboardInterrupt):
            fit(path, settings, on_epoch=stop)
        _, groups = read_checkpoint(path / "checkpoint.npz")
        head = next(value for value in groups["model"] if value.shape == (16, 3))
        return any(np.array_equal(head, value) for value in groups["optimizer"])

    layers = tuned(toy_run, unfreeze=1)  # the head alone for two epochs of six
    assert not handed_on(layers, 1) and handed_on(layers, 2) and not handed_on(layers, 3)
    assert not handed_on(dataclasses.replace(SETTINGS, progressive=2), 3)  # the size changes, the schedule goes on


def test_a_model_whose_weights_depend_on_the_size_refuses_progressive_training(tmp_path):
    def flat(image_shape, classes):
        import keras

        image = keras.Input(image_shape, name="image")
        return keras.Model(image, keras.layers.Dense(classes, name="logits")(keras.layers.Flatten()(image)))

    with pytest.raises(ConfigError, match="depend on the size of its images.*Leave out `progressive`"):
        recipe = toys.recipe(builders={"default": flat})
        fit(tmp_path / "run", dataclasses.replace(SETTINGS, progressive=2), recipe)


def test_mirroring_flips_half_of_the_images_and_only_if_told():
    import tensorflow as tf

    recipe = toys.recipe(augmentation=None)
    images = np.random.default_rng(0).integers(0, 256, (64, 6, 6, 1)).astype("float32")
    targets = np.eye(3, dtype="float32")[np.zeros(64, int)]
    assert augmentation_of(recipe, SETTINGS) is None
    flip = augmentation_of(recipe, dataclasses.replace(SETTINGS, mirror=True))
    changed, same_targets = flip(tf.constant(images), tf.constant(targets), tf.constant(3, tf.int64))
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(np.array(changed), images)]
    assert all(m or np.array_equal(a, b) for m, a, b in zip(mirrored, np.array(changed), images))
    assert 16 < sum(mirrored) < 48
    assert np.array_equal(np.array(same_targets), targets)


def test_without_validation_every_image_trains_and_the_last_epoch_is_kept(tmp_path):
    from cnnkit.data.records import Splits

    whole = toys.splits()
    splits = Splits(whole.train, whole.train.take(np.arange(0)), whole.test, whole.card)
    settings = dataclasses.replace(SETTINGS, validation=0.0, epochs=3)
    run = Run.create(tmp_path / "run", "toy", settings)
    training.fit(toys.recipe(), settings, splits, run)
    assert run.document["training"]["best_epoch"] == 3


def test_loaded_layers_stand_still_in_the_first_phase_averages_too(toy_run, tmp_path):
    import keras

    source = keras.saving.load_model(toy_run / MODEL, compile=False)
    model = fit(tmp_path / "run", tuned(toy_run, freeze=1.0, epochs=2))
    for name in ("conv", "norm", "conv2"):
        assert same(source.get_layer(name).get_weights(), model.get_layer(name).get_weights()), name
        assert model.get_layer(name).trainable
    assert not same(source.get_layer("logits").get_weights(), model.get_layer("logits").get_weights())
    assert Run.open(tmp_path / "run").document["training"]["phases"] == [{"name": "head only", "start": 1, "end": 2}]


def test_all_learn_in_the_end_but_batch_norm_only_if_told(toy_run, tmp_path):
    import keras

    source = keras.saving.load_model(toy_run / MODEL, compile=False)

    def moved(model):
        known = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
        return {name for name, value in known.items() if not same(value, model.get_layer(name).get_weights())}

    # after fine-tuning, not only its best epoch, which may be an early one
    settings = tuned(toy_run, epochs=3, unfreeze=1, learning_rate=0.001)
    seen = {}

    def watch(name):
        def on_epoch(state):
            seen[name] = state

        return on_epoch

    first = fit(tmp_path / "a", settings, on_epoch=watch("a"))
    assert seen["a"].epoch == 3
    assert "norm" not in moved(first)
    arrays = np.load(tmp_path / "a" / "checkpoint.npz")
    last = [arrays[f"model{number}"] for number in range(len(first.variables))]
    by_name = {variable.path: value for variable, value in zip(first.variables, last)}
    assert not np.array_equal(by_name["conv/kernel"], source.get_layer("conv").get_weights()[0])
    fit(tmp_path / "b", dataclasses.replace(settings, freeze_norm=False), on_epoch=watch("b"))
    arrays = np.load(tmp_path / "b" / "checkpoint.npz")
    by_name = {v.path: arrays[f"model{number}"] for number, v in enumerate(first.variables)}
    assert not np.array_equal(by_name["norm/moving_mean"], source.get_layer("norm").get_weights()[2])


def test_a_run_stopped_in_any_phase_resumes_to_the_same_weights(toy_run, tmp_path):
    settings = tuned(toy_run)
    whole = weights(fit(tmp_path / "whole", settings))

    def stop_after(epoch):
        def on_epoch(state):
            if state.epoch == epoch:
                raise KeyboardInterrupt

        return on_epoch

    for epoch in (1, 2, 3, 5):  # inside a phase, at its end, inside the next, inside the last
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "cut", settings, on_epoch=stop_after(epoch))
    assert same(whole, weights(fit(tmp_path / "cut", settings)))
    documents = [Run.open(tmp_path / name).document["training"]["phases"] for name in ("whole", "cut")]
    assert documents[0] == documents[1]
    assert [(phase["start"], phase["end"]) for phase in documents[0]] == [(1, 2), (3, 4), (5, 6)]


def test_a_run_without_weights_records_no_phases(tmp_path):
    fit(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=1))
    document = Run.open(tmp_path / "run").document
    assert document["training"]["phases"] == [] and document["weights"]["source"] == "none"


def test_what_was_loaded_is_told_once_and_recorded(toy_run, tmp_path):
    told = []
    settings = tuned(toy_run, epochs=2)
    fit(tmp_path / "run", settings, on_load=told.append)
    fit(tmp_path / "run", settings, on_load=told.append)
    assert len(told) == 1
    assert Run.open(tmp_path / "run").document["weights"]["parameters"] == told[0].parameters > 0


def test_the_lowest_loaded_layer_has_the_lowest_rate():
    model = toys.tiny_cnn((12, 12, 1), 3)
    settings = dataclasses.replace(SETTINGS, weights="x", backbone_rate=0.5, layer_decay=0.01, freeze_norm=False)
    phase = training.Phase("half", 0, 1, 2 / 3, size=1.0, first=0, last=1)
    rates = set_free(model, settings, phase, frozenset(range(4)))
    assert rates["conv2/kernel"] == 0.5
    assert rates["norm/gamma"] == pytest.approx(0.05)
    assert rates["conv/kernel"] == pytest.approx(0.005)
    assert not any(path.startswith("logits") for path in rates)
    assert [model.get_layer(name).trainable for name in ("conv", "norm", "conv2", "logits")] == [
        False,
        True,
        True,
        True,
    ]


def test_weights_that_are_not_there_and_settings_out_of_range_are_one_line(tmp_path):
    with pytest.raises(ArtifactError, match="does not exist. Weights come from imagenet, none"):
        fit(tmp_path / "run", dataclasses.replace(SETTINGS, weights=str(tmp_path / "none.h5")))
    with pytest.raises(ConfigError, match=r"`freeze` must lie in \[0, 1\]\. Got 1\.5\."):
        dataclasses.replace(SETTINGS, freeze=1.5)


@pytest.mark.parametrize("source", ["none", "imagenet"])
def test_a_folder_that_is_called_like_a_source_is_not_meant(tmp_path, monkeypatch, source):
    from cnnkit.training.settings import weights_of

    monkeypatch.chdir(tmp_path)
    (tmp_path / source).mkdir()
    assert weights_of({"weights": source}) is None
    assert weights_of({}) is None
    assert weights_of({"weights": "run"}) == Path("run")

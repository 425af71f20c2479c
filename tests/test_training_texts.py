"""Training on texts: batches cut to their longest text; it learns, repeats and resumes."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest

from cnnkit import training
from cnnkit.data.pipeline import Order, training_batches
from cnnkit.errors import ConfigError
from cnnkit.evaluation.scoring import score
from cnnkit.models import text
from cnnkit.models import weights as model_weights
from cnnkit.run import Run
from cnnkit_text import model as app
from tests import toy_texts

tf = pytest.importorskip("tensorflow")

SETTINGS = toy_texts.Settings(data="sentences", epochs=4, batch_size=24, learning_rate=0.03, weight_decay=0.01)
MODELS = ("kim-rand", "default")


# batches --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return toy_texts.splits()


def settings_for(name, data, **changes):
    """Settings of a small model of that name."""
    small = toy_texts.small(data.train.tokenizer)
    known = inspect.signature(app.BUILDERS[name]).parameters
    options = {**app.options(data.train, name), **small}
    return dataclasses.replace(
        SETTINGS, model=name, options={k: v for k, v in options.items() if k in known}, **changes
    )


def test_training_batches_end_behind_their_longest_text(data):
    views = app.views(data.train, dataclasses.replace(SETTINGS, model="kim-rand"))
    order = Order(len(data.train), 3, seed=0)
    encode = toy_texts.recipe(data).task.encoder(3)
    made = list(training_batches(data.train, order, start=0, stop=40, encode=encode, views=views))
    found = set()
    for step, (ids, targets) in enumerate(made):
        whole, truth = data.train.read(order.indices(step))
        width = ids.shape[1]
        found.add(width)
        assert width < toy_texts.LENGTH and width % 8 == 0 and width >= (whole > 0).sum(1).max() + text.MARGIN
        assert np.array_equal(ids, whole[:, :width]) and np.array_equal(np.argmax(targets, 1), truth)
        assert ids.dtype == tf.int32
    assert len(found) > 1


@pytest.mark.parametrize("name", app.BUILDERS)
def test_only_networks_that_take_any_length_are_given_cut_batches(name, data):
    views = app.views(data.train, dataclasses.replace(SETTINGS, model=name))
    whole = name in app.WHOLE
    assert views.shape == (data.train.input_shape if whole else (None,))
    assert (views(np.arange(4), 0)[0].shape[1] == toy_texts.LENGTH) == whole


def test_what_training_sees_is_a_function_of_the_step(data):
    for name in MODELS:
        views = [app.views(data.train, dataclasses.replace(SETTINGS, model=name)) for _ in range(2)]
        first, again = (view(np.arange(9), 5) for view in views)
        assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])


def test_going_on_from_a_run_begins_with_its_answers(data, tmp_path):
    settings = settings_for("default", data, epochs=2)
    first = fit(tmp_path / "first", data, settings)
    on = dataclasses.replace(settings, weights=str(tmp_path / "first"))
    model = training.build(toy_texts.recipe(data), on, data.train)
    app.start(model, data.train, on)
    labels = data.train.label_names
    loaded = model_weights.load(model, on.weights, labels=labels, rows=text.WordRows(data.train.tokenizer))
    assert not loaded.left
    ids, _ = data.test.read(np.arange(50))
    np.testing.assert_allclose(model(ids), first(ids), rtol=1e-4, atol=1e-5)


def test_the_default_of_short_texts_averages(data):
    preset = toy_texts.recipe(data).preset("default", 5000, False)
    assert (preset["ema"], preset["label_smoothing"]) == (app.SHORT.ema, app.SHORT.smoothing)


def test_small_sets_are_seen_more_often():
    epochs = {count: app.preset("default", count, False)["epochs"] for count in (1, 1000, 4500, 8635)}
    assert epochs == {1: 16, 1000: 16, 4500: 7, 8635: 4}


def test_the_default_needs_no_padding_behind_the_longest_text(data):
    views = app.views(data.train, dataclasses.replace(SETTINGS, model="default"))
    ids, _ = views(np.arange(4), 0)
    longest = (data.train.read(np.arange(4))[0] > 0).sum(1).max()
    assert longest < ids.shape[1] <= -(-(longest + 1) // 8) * 8
    assert app.describe(data.train, "default")["text"]["margin"] == text.MASKED_MARGIN
    assert app.describe(data.train, "kim-rand")["text"]["margin"] == text.MARGIN


# training -------------------------------------------------------------------------------------------------------------


def fit(path, data, settings, **given):
    run = Run.open(path) if path.exists() else Run.create(path, "text", settings)
    return training.fit(toy_texts.recipe(data), settings, data, run, **given)


def weights(model):
    return [np.array(value) for value in model.get_weights()]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_repeats_and_goes_on_after_a_kill(name, data, tmp_path):
    settings = settings_for(name, data)
    model = fit(tmp_path / "whole", data, settings)
    found = score(toy_texts.artifact(model, data.test), data.test, toy_texts.recipe(data).task)
    assert found["accuracy"] > 0.9

    def stop(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", data, settings, on_epoch=stop)
    assert same(weights(model), weights(fit(tmp_path / "cut", data, settings)))
    assert not same(weights(model), weights(fit(tmp_path / "other", data, dataclasses.replace(settings, seed=1))))


def test_rows_of_words_that_never_come_stay_as_they_were_drawn(data, tmp_path):
    settings = settings_for("kim-rand", data, weight_decay=0.5, epochs=1)
    keras.backend.clear_session()
    keras.utils.set_random_seed(settings.seed)
    drawn = training.build(toy_texts.recipe(data), settings, data.train).get_layer(text.EMBEDDING).get_weights()[0]
    rare = data.train.take(np.arange(24))
    learnt = fit(tmp_path / "run", dataclasses.replace(data, train=rare), settings)
    there = np.unique(rare.read(np.arange(24))[0])
    never = np.setdiff1d(np.arange(len(drawn)), there)
    after = learnt.get_layer(text.EMBEDDING).get_weights()[0]
    assert len(never) and np.array_equal(after[never], drawn[never]), "no decay either"
    assert (after[there] != drawn[there]).any(1).mean() > 0.5


def test_several_labels_a_text_are_learnt(tmp_path):
    data = toy_texts.splits(make=toy_texts.tagged)
    recipe = toy_texts.recipe(data)
    assert recipe.task.name == "multilabel"
    model = fit(tmp_path / "run", data, settings_for("kim-rand", data, epochs=6))
    artifact = toy_texts.artifact(model, data.test)
    artifact.finalize(recipe.task.calibrate(artifact, data.validation))
    assert len(artifact.metadata["thresholds"]) == 3
    assert score(artifact, data.test, recipe.task)["micro_f1"] > 0.85


def test_a_network_of_one_length_trains_on_whole_texts(data, tmp_path):
    settings = dataclasses.replace(settings_for("dpcnn", data, epochs=1), learning_rate=0.005)
    model = fit(tmp_path / "run", data, settings)
    assert model.input_shape == (None, toy_texts.LENGTH)


def test_a_text_too_short_for_a_network_names_the_option(data):
    settings = dataclasses.replace(SETTINGS, model="char-cnn", options={"size": 71})
    with pytest.raises(ConfigError, match=r"at least 123 characters.*larger `max_length`"):
        training.build(toy_texts.recipe(data), settings, data.train)

"""Recalibrating batch norm."""

import keras
import numpy as np

from cnnkit.models.classic import simple_cnn
from cnnkit.models.norm import recalibrate
from cnnkit.models.small import micro_cnn
from tests.contracts import images


def norms(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_statistics_become_those_of_all_images_together():
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.BatchNormalization()(image))
    pixels = images(30, 4, 4, 2) * np.linspace(0, 3, 30, dtype="float32")[:, None, None, None]  # batches differ a lot
    recalibrate(model, [pixels[:10], pixels[10:20], pixels[20:]])
    (norm,) = norms(model)
    np.testing.assert_allclose(np.array(norm.moving_mean), pixels.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(np.array(norm.moving_variance), pixels.var((0, 1, 2)), rtol=1e-4)


def test_weights_and_momentum_stay_and_every_norm_changes():
    model = micro_cnn((28, 28, 1), 10)
    weights = [np.array(w) for w in model.trainable_variables]
    before = [np.array(v) for v in model.non_trainable_variables]
    recalibrate(model, [images(40, 28, 28, 1)])
    assert all(np.array_equal(a, np.array(b)) for a, b in zip(weights, model.trainable_variables, strict=True))
    changed = [not np.array_equal(a, np.array(b)) for a, b in zip(before, model.non_trainable_variables, strict=True)]
    assert len(changed) == 6 and all(changed)
    assert {layer.momentum for layer in norms(model)} == {0.9}


def test_the_same_batches_give_the_same_result_whatever_was_there_before():
    results = []
    for start in (0.0, 5.0):
        keras.utils.set_random_seed(0)
        model = micro_cnn((28, 28, 1), 10)
        for layer in norms(model):
            layer.moving_mean.assign(np.full(16, start, "float32"))
        recalibrate(model, [images(40, 28, 28, 1), images(40, 28, 28, 1, seed=1)])
        results.append(model.predict(images(3, 28, 28, 1), verbose=0))
    np.testing.assert_array_equal(*results)


def test_without_batches_or_without_batch_norm_nothing_changes():
    for model, batches in ((micro_cnn((28, 28, 1), 10), []), (simple_cnn((28, 28, 1), 10), [images(4, 28, 28, 1)])):
        before = [np.array(v) for v in model.variables]
        recalibrate(model, batches)
        assert all(np.array_equal(a, np.array(b)) for a, b in zip(before, model.variables, strict=True))


def test_dropout_rests_meanwhile():
    image = keras.Input((4, 4, 2))
    dropped = keras.layers.Dropout(0.5)
    model = keras.Model(image, keras.layers.BatchNormalization()(dropped(image)))
    pixels = images(20, 4, 4, 2)
    recalibrate(model, [pixels])
    np.testing.assert_allclose(np.array(norms(model)[0].moving_mean), pixels.mean((0, 1, 2)), rtol=1e-5)
    assert dropped.rate == 0.5

"""Rounding of weights: on the converter's steps, better than nearest, and nothing left for the converter to round."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.export.rounding import STEPS, round_filters, rounded
from tests.contracts import images


def nearest(weights):
    steps = np.abs(weights).max(0) / STEPS
    return np.round(weights / steps) * steps


def damage(before, after, moments):
    """Mean squared change of the outputs."""
    change = after - before
    return np.einsum("if,ij,jf->f", change, moments, change)


def test_two_inputs_that_go_together_by_hand():
    # x1 = x2 always, so only the sum of the weights matters: 0.4 + 0.4 steps are 1 + 0, where nearest gives 0 + 0
    weights = np.array([[127.0], [0.4], [0.4]])
    moments = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]) * 1000
    assert sorted(round_filters(weights, moments)[:, 0].tolist()) == [0.0, 1.0, 127.0]
    alone = round_filters(weights, np.eye(3) * 1000)  # inputs that have nothing to do with each other: nearest
    np.testing.assert_allclose(alone[:, 0], [127, 0, 0], atol=1e-6)


def test_weights_lie_on_the_steps_and_the_largest_stays():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((18, 30))
    inputs = rng.standard_normal((500, 18)) + 2  # as after ReLU: a mean that all share
    moments = inputs.T @ inputs
    found = round_filters(weights, moments)
    steps = np.abs(weights).max(0) / STEPS
    np.testing.assert_allclose(found / steps, np.round(found / steps), atol=1e-6)
    assert np.array_equal(np.abs(found).max(0), np.abs(weights).max(0))
    assert damage(weights, found, moments).mean() < 0.3 * damage(weights, nearest(weights), moments).mean()


@pytest.mark.parametrize("dead", [0, 1])
def test_filters_and_inputs_that_are_zero_stay_finite(dead):
    weights = np.zeros((4, 2))
    weights[:, 1 - dead] = [1, 0.3, -0.2, 0.11]
    found = round_filters(weights, np.zeros((4, 4)))
    assert np.isfinite(found).all() and not found[:, dead].any()


def test_a_model_is_copied_and_its_convolutions_are_rounded():
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, name="depthwise")(x)
    x = layers.Conv2D(6, 1, groups=2, name="grouped")(x)
    model = keras.Model(image, layers.Dense(2, name="dense")(layers.Flatten()(x)))
    before = {layer.name: layer.get_weights() for layer in model.layers}
    copy = rounded(model, images(20, 12, 12, 3))
    for layer in model.layers:
        assert all(np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
    for name in ("conv", "depthwise"):
        kernel = copy.get_layer(name).get_weights()[0]
        kernel = kernel[..., 0] if name == "depthwise" else kernel
        steps = kernel / (np.abs(kernel).max((0, 1) if name == "depthwise" else (0, 1, 2)) / STEPS)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert not np.array_equal(copy.get_layer(name).get_weights()[0], before[name][0])
    for name in ("grouped", "dense", "norm"):
        assert all(np.array_equal(a, b) for a, b in zip(before[name], copy.get_layer(name).get_weights(), strict=True))


def test_the_converter_finds_the_same_steps():
    from ai_edge_litert.interpreter import Interpreter

    from cnnkit.export.convert import convert

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.Conv2D(5, 3, use_bias=False, name="conv")(image))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    calibration = images(20, 8, 8, 3)
    kernel = rounded(model, calibration).get_layer("conv").get_weights()[0]
    about = {"task": "classification", "input": {"kind": "image", "range": [0, 255]}}
    interpreter = Interpreter(model_content=convert(model, "int8", calibration, about))
    interpreter.allocate_tensors()
    for tensor in interpreter.get_tensor_details():
        if tuple(tensor["shape"]) == (5, 3, 3, 3):
            scales = tensor["quantization_parameters"]["scales"].reshape(-1, 1, 1, 1)
            values = interpreter.get_tensor(tensor["index"]) * scales
            np.testing.assert_allclose(values, kernel.transpose(3, 0, 1, 2), rtol=1e-4, atol=1e-7)
            return
    raise AssertionError("no kernel found in the file")

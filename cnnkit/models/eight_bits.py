"""Numbers as an int8 file holds them: rounding of what layers put out, and of the kernels that they learn.

Design choices:
- What a layer puts out is rounded by Keras's fake quantisation, which the converter of LiteRT knows: an int8 file has these very
  ranges, whatever inputs it is calibrated on. It is an activation, so a layer that is asked for by its name has rounded outputs,
  and a `.keras` file needs no layer of our own. Ranges are plain numbers of its configuration: nothing is left to be learnt.
- Kernels get 127 even steps to either side of 0 up to the largest weight of each filter, as the converter gives them, also the
  columns of a dense layer. Fake quantisation of kernels would say the same to it, but of a dense layer it refuses columns of
  their own. So while it learns a layer rounds its kernel itself, and gradients pass; in a file lie the rounded numbers.
- Biases get the steps of a kernel's filter times that of its input. Left out, three of a thousand outputs of a first layer were a
  level apart from the int8 file's, and of later ones ever more.

Source: Jacob et al. 2018, arXiv:1712.05877 (fake quantisation); Bengio et al. 2013, arXiv:1308.3432 (gradients pass).
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

STEPS = 127  # of a weight, to either side of 0
LEVELS = 255  # of a layer's outputs


@keras.saving.register_keras_serializable("cnnkit")
class Rounded:
    """Round numbers to 256 even levels of a range, and cut off what lies outside: an activation.

    Args:
        low, high: ends of the range; 0 is one of its levels.
    """

    def __init__(self, low: float, high: float):
        self.low, self.high = float(low), float(high)

    def __call__(self, x: Any) -> Any:
        return keras.quantizers.fake_quant_with_min_max_vars(x, self.low, self.high, num_bits=8)

    def get_config(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high}

    @classmethod
    def from_config(cls, config: dict[str, float]) -> "Rounded":
        return cls(**config)


def range_of(low: float, high: float) -> tuple[float, float]:
    """Return the range nearest to one that has 0 among its 256 levels."""
    low, high = min(0.0, float(low)), max(0.0, float(high))
    step = max(high - low, 1e-6) / LEVELS
    below = round(-low / step)
    return -below * step, (LEVELS - below) * step


def on_steps(kernel: Any, bias: Any, step: float, axes: tuple[int, ...]) -> list[Any]:
    """Return a kernel and a bias on their steps; gradients are those of the two.

    Args:
        kernel: tensor or array.
        bias: the same, (filters,).
        step: of the inputs.
        axes: over which the largest weight is looked for: all but those that tell filters apart.
    """
    own = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), 1e-12) / STEPS
    both = ops.reshape(own, ops.shape(bias)) * step
    return [v + ops.stop_gradient(ops.round(v / s) * s - v) for v, s in ((kernel, own), (bias, both))]


class _OnSteps:
    """A layer that computes with its weights on steps, and learns them between these.

    Attributes:
        step: of its inputs.
        plain: layer whose place it has.
    """

    step = 1.0
    plain: type
    weights: list[Any]  # kernel and bias

    def call(self, inputs: Any) -> Any:
        kernel, bias = (ops.convert_to_tensor(weight) for weight in self.weights)
        after = on_steps(kernel, bias, self.step, AXES[self.plain])
        with keras.StatelessScope(list(zip(self.weights, after, strict=True))):
            return super().call(inputs)  # type: ignore[misc]


AXES: dict[type, tuple[int, ...]] = {
    layers.Conv2D: (0, 1, 2),
    layers.Conv2DTranspose: (0, 1, 3),
    layers.Dense: (0,),
    layers.DepthwiseConv2D: (0, 1),
}
"""Layers that multiply by a kernel -> the axes of it that one filter has."""

LEARNING = {plain: type(f"{plain.__name__}OnSteps", (_OnSteps, plain), {"plain": plain}) for plain in AXES}
"""The same -> what learns in their place."""


def settled(layer: Any) -> list[np.ndarray]:
    """Return the weights of a layer that learnt in place of a plain one, on their steps."""
    kernel, bias = layer.get_weights()
    found = on_steps(kernel, bias, layer.step, AXES[layer.plain])
    return [np.asarray(ops.convert_to_numpy(weight), np.float32) for weight in found]


def ranges(model: keras.Model) -> dict[str, tuple[float, float]]:
    """Return the range of each layer that rounds, by its name; empty: it was not trained for eight bits."""
    found = {layer.name: getattr(layer, "activation", None) for layer in model.layers}
    return {name: (one.low, one.high) for name, one in found.items() if isinstance(one, Rounded)}


def as_it_is(model: keras.Model) -> keras.Model:
    """Return a copy that is converted as it is at every precision."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.on_steps = True
    return copy


def unrounded(model: keras.Model) -> keras.Model:
    """Return a model of the same weights that does not round what its layers put out, as float files do not."""

    def plain(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(getattr(layer, "activation", None), Rounded):
            config["activation"] = "linear"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=plain)
    copy.set_weights(model.get_weights())
    return copy

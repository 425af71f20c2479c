"""Quantisation-aware training: the last phase of a training, in which a network learns with the rounding of its int8 file.

Design choices:
- After the ordinary training batch norm is folded into the convolutions before it and the scaling of the input into the first, as
  a converter does. Then each operator that a device has rounds what it puts out, once, after the ReLU that a device joins with
  it: rounding elsewhere would teach what never happens. Weights are on their steps (`cnnkit.models.eight_bits`).
- A device gives some operators the scale of what they read: pooling, padding, reshaping. They have no range of their own here
  either; a mean of places is rounded to that of its input. What is put side by side has one range, else the converter would give
  it another one, and so has a layer that is used several times.
- Ranges come from plain training inputs before the phase and stay: means of the extremes of batches, so that one outlier does
  not take levels from all; of what the network answers the extremes themselves, as the largest of these are often wanted.
- The phase is a tenth of the epochs, at a tenth of the learning rate. Moving statistics are gone with batch norm.
- `model.keras` of the run is the rounding network, its kernels on their steps: made of Keras's layers and one activation, it is
  scored, explained, calibrated and exported as it is. `unrounded.keras` beside it is what the phase began with, and what a later
  training with `weights=RUN` begins with: what is folded cannot be taken apart again.
- The int8 file has the trained ranges, whatever it is calibrated on, and no weight is left to be rounded. The gate holds it
  against the rounding network by the interpreter's reference kernels. Files in float32 and float16 have the same weights and do
  not round between layers.
- The phase has a checkpoint of its own. What it begins with is computed anew from the training's, so a killed run goes on to the
  same weights.
- A layer that is not known here is refused by name before the training, as a network that rounds all but one of its layers
  would pass for what it is not.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from cnnkit.errors import ConfigError
from cnnkit.explain import graph
from cnnkit.models.eight_bits import AXES, LEARNING, LEVELS, Rounded, range_of, settled
from cnnkit.models.norm import affine

SHARE = 0.1  # of the epochs, that the phase takes in addition, and of the learning rate
FEWEST = 100  # steps of it
BATCH = 8  # inputs whose extremes are one
SUFFIX = "_rounded"

Limits = tuple[float, float] | None
Ranges = dict[str, tuple[float, float]]

_SAME = (  # what they put out has the scale of what they read
    layers.Cropping2D,
    layers.Flatten,
    layers.GlobalMaxPooling2D,
    layers.Identity,
    layers.MaxPooling2D,
    layers.Permute,
    layers.Reshape,
    layers.ZeroPadding2D,
)
_UNSEEN = (layers.Dropout, layers.GaussianDropout, layers.GaussianNoise, layers.SpatialDropout2D)  # nothing on a device
_MEANS = (layers.AveragePooling2D,)  # the same, but for rounding
_OWN = (layers.GlobalAveragePooling2D,)  # a range of their own
_FIXED = {"tanh": (-1.0, 127 / 128), "sigmoid": (0.0, 255 / 256)}  # ranges that a device gives them
_RELU = {"relu": None, "relu6": 6.0}
_PADDED = (layers.ZeroPadding2D,)


def epochs_of(epochs: int, steps_per_epoch: int) -> int:
    """Return how many epochs the phase has after so many."""
    return max(1, round(SHARE * epochs), math.ceil(FEWEST / steps_per_epoch))


def refuse(settings: Any) -> None:
    """Refuse settings that the phase does not go with.

    Raises:
        ConfigError: which, and what to do.
    """
    if settings.minutes is not None:
        raise ConfigError("`quantise_aware` has a number of epochs, and no time. Give `epochs` instead of `minutes`.")
    if getattr(settings, "folds", None):
        raise ConfigError(
            "`quantise_aware` trains one network, and the model of `folds` is the mean of several. Leave one of them out."
        )


class Network:
    """A network that is to learn with rounding.

    Args:
        model: functional `keras.Model` of one input.
        limits: of its input, where these are known; None: they are measured.

    Raises:
        ConfigError: it has a layer that is not known here, or a batch norm that cannot be folded, by name.
    """

    def __init__(self, model: keras.Model, limits: Limits = None):
        self.model, self.limits = model, limits
        made: list[_Use] = []

        def note(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
            for one in keras.tree.flatten((args, kwargs)):
                if isinstance(one, _Use):
                    one.count += 1
            made.append(_Use())
            return made[-1]

        if len(self.model.inputs) != 1:
            raise ConfigError(
                f"`quantise_aware` needs a network of one input, and {self.model.name} has "
                f"{len(self.model.inputs)}. Leave it out."
            )
        for one in graph.interpret(self.model, [_Use()], note):
            one.count += 1
        self.uses = [one.count for one in made]  # of what each layer puts out, in the order in which they are computed
        self.folded()

    def _build(self, ranges: Ranges | None, learns: bool = False) -> "tuple[keras.Model, _Building]":
        (given,) = self.model.inputs
        one = keras.Input(given.shape[1:], name=given.name, dtype=given.dtype)
        building = _Building(iter(self.uses), ranges, learns, self.limits)
        found = graph.interpret(self.model, [building.input(one)], building)
        for value in found:
            building.answered(value)
        answers = [value.tensor for value in found]
        made = keras.Model(one, keras.tree.pack_sequence_as(self.model.output, answers), name=self.model.name)
        for layer, weights in building.weights:
            layer.set_weights(weights)
        return made, building

    def folded(self) -> keras.Model:
        """Return the network without batch norm: it computes the same."""
        return self._build(None)[0]

    def measured(self, batches: Iterable[np.ndarray]) -> Ranges:
        """Return the range of each layer that rounds, from plain training inputs."""
        made, building = self._build(None)
        keys, ends = [], []
        for key, tensors in building.measured.items():
            for tensor in tensors:
                over = tuple(range(1, tensor.ndim))
                keys.append(key)
                ends += [ops.min(tensor, axis=over), ops.max(tensor, axis=over)]
        measuring = keras.Model(made.input, ends)
        found: dict[str, list[tuple[float, float]]] = {key: [] for key in keys}
        for batch in batches:
            for start in range(0, len(batch), BATCH):
                ends = measuring.predict_on_batch(np.asarray(batch[start : start + BATCH], np.float32))
                now: dict[str, list[float]] = {key: [0.0] for key in keys}
                for key, low, high in zip(keys, ends[::2], ends[1::2], strict=True):
                    now[key] += [float(np.min(low)), float(np.max(high))]
                for key, numbers in now.items():
                    found[key].append((min(numbers), max(numbers)))
        ranges = dict(building.known)
        for key, pairs in found.items():
            lows, highs = np.array(pairs, np.float64).T
            whole = key in building.answers
            ranges[key] = range_of(lows.min() if whole else lows.mean(), highs.max() if whole else highs.mean())
        for names in building.alike:
            together = _joined(names, building.alike)
            low, high = min(ranges[name][0] for name in together), max(ranges[name][1] for name in together)
            ranges |= dict.fromkeys(together, range_of(low, high))
        return ranges

    def learning(self, ranges: Ranges) -> keras.Model:
        """Return the network as it learns: what layers put out is rounded, weights are used on their steps."""
        return self._build(ranges, learns=True)[0]

    def settled(self, ranges: Ranges, learnt: keras.Model) -> keras.Model:
        """Return the rounding network with the weights of one that learnt, its kernels on their steps, of Keras's layers."""
        made, _ = self._build(ranges)
        known = {layer.name: layer for layer in learnt.layers}
        for layer in made.layers:
            if layer.weights:
                own = known[layer.name]
                layer.set_weights(settled(own) if hasattr(own, "plain") else own.get_weights())
        return made


def _joined(names: set[str], groups: list[set[str]]) -> set[str]:
    """Return names with all that are in a group with one of them, and so on."""
    while True:
        more = names.union(*(group for group in groups if group & names))
        if more == names:
            return names
        names = more


class _Use:
    """Counts how often a tensor is read."""

    def __init__(self) -> None:
        self.count = 0


class _Value:
    """What a layer puts out.

    Args:
        tensor: it, rounded.
        key: of its range.
        padded: whether zeros were put around it.
    """

    def __init__(self, tensor: Any, key: str, padded: bool = False):
        self._tensor, self.key, self.padded = tensor, key, padded

    @property
    def tensor(self) -> Any:
        return self._tensor


class _Open(_Value):
    """What an operator puts out that may yet be joined with a ReLU; rounded when it is asked for."""

    def __init__(self, building: "_Building", key: str, raw: Any, uses: int):
        super().__init__(None, key)
        self.building, self.raw, self.uses = building, raw, uses

    @property
    def tensor(self) -> Any:
        if self._tensor is None:
            self._tensor = self._made()
        return self._tensor

    def _made(self) -> Any:
        return self.building.rounded(self.key, self.raw)

    def before_relu(self) -> Any:
        return self.raw


class _Convolved(_Open):
    """The same of a layer that multiplies by a kernel; made when it is asked for, so that a batch norm may change the weights."""

    def __init__(
        self, building: "_Building", layer: Any, given: _Value, weights: list[np.ndarray], uses: int, norm: Any = None
    ):
        super().__init__(building, layer.name, None, uses)
        self.layer, self.given, self.weights, self.norm = layer, given, weights, norm

    def normalised(self, norm: Any, uses: int) -> "_Convolved":
        kernel, bias = self.weights
        scale, offset = affine(norm)
        if isinstance(self.layer, layers.DepthwiseConv2D):
            kernel = kernel * scale.reshape(kernel.shape[2:])
        else:
            kernel = kernel * (scale[:, None] if isinstance(self.layer, layers.Conv2DTranspose) else scale)
        return _Convolved(self.building, self.layer, self.given, [kernel, bias * scale + offset], uses, norm)

    def _made(self) -> Any:
        return self.building.multiplied(self, rounds=True)

    def before_relu(self) -> Any:
        return self.building.multiplied(self, rounds=False)


class _Scaled(_Value):
    """The input times numbers and with others added, which the next layer's weights take in where they can.

    Elsewhere it is a layer of one weight and one bias a channel: a product and a sum on their own would be rounded twice.
    """

    def __init__(self, building: "_Building", layer: Any, before: _Value):
        super().__init__(None, layer.name, before.padded)
        self.building, self.layer, self.before = building, layer, before

    @property
    def tensor(self) -> Any:
        if self._tensor is None:
            self._tensor = self.building.rounded(self.key, self.building.scaled(self.layer, self.before.tensor))
        return self._tensor

    def weights(self, layer: Any, weights: list[np.ndarray]) -> tuple[_Value, list[np.ndarray]] | None:
        """Return what the layer reads then, and its weights; None where they cannot take the scaling in."""
        scale, offset = (np.asarray(value, np.float64) for value in (self.layer.scale, self.layer.offset))
        alone = layer.padding == "valid" and not self.padded
        if isinstance(layer, layers.Conv2DTranspose) or (
            offset.any() and not alone
        ):  # zeros around it mean others before it
            return None
        kernel, bias = weights
        channels = kernel.shape[2]
        scale, offset = (np.broadcast_to(value, channels)[:, None] for value in (scale, offset))
        if isinstance(layer, layers.DepthwiseConv2D):
            return self.before, [kernel * scale, bias + (kernel * offset).sum((0, 1)).ravel()]
        return self.before, [kernel * scale, bias + (kernel * offset).sum((0, 1, 2))]


class _Building:
    """Makes of each layer what stands for it; called by `cnnkit.explain.graph.interpret`.

    Args:
        uses: of what each layer puts out.
        ranges: of those that round; None: nothing is rounded, and what would be is in `measured`.
        learns: whether kernels are learnt.
        limits: of the input.

    Attributes:
        measured: what each range is of.
        known: ranges that nothing has to be measured for.
        alike: ranges that are one, as what has them is put side by side.
        answers: ranges of what the network answers.
        weights: of layers, to be set.
    """

    def __init__(self, uses: Iterator[int], ranges: Ranges | None, learns: bool, limits: Limits):
        self.uses, self.ranges, self.learns, self.limits = uses, ranges, learns, limits
        self.measured: dict[str, list[Any]] = {}
        self.known: Ranges = {}
        self.answers: set[str] = set()
        self.alike: list[set[str]] = []
        self.weights: list[tuple[Any, list[np.ndarray]]] = []
        self._made: dict[Any, Any] = {}

    def input(self, tensor: Any) -> _Value:
        value = _Value(None, tensor.name)
        if self.limits:
            self.known[value.key] = range_of(*self.limits)
        self.source = value
        value._tensor = self.rounded(value.key, tensor)
        return value

    def answered(self, value: _Value) -> None:
        self.answers.add(value.key)

    def rounded(self, key: str, raw: Any) -> Any:
        """Round by a layer of its own."""
        if self.ranges is None:
            if key not in self.known:
                self.measured.setdefault(key, []).append(raw)
            return raw
        limits = self.ranges[key]
        return self._layer(("rounded", key), lambda: layers.Activation(Rounded(*limits), name=key + SUFFIX))(raw)

    def _layer(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return the layer that stands for one, made once."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def copy(self, layer: Any) -> Any:
        """Return a layer's copy, or an operation itself."""
        if not isinstance(layer, keras.Layer):
            return layer
        return self._layer(id(layer), lambda: type(layer).from_config(layer.get_config()))

    def scaled(self, layer: Any, tensor: Any) -> Any:
        """Scale by a layer whose weights are not learnt."""
        channels = tensor.shape[-1]

        def make() -> Any:
            made = layers.DepthwiseConv2D(1, name=layer.name, dtype=layer.dtype_policy, trainable=False)
            scale, offset = (np.broadcast_to(np.float32(value), channels) for value in (layer.scale, layer.offset))
            self.weights.append((made, [scale.reshape(1, 1, channels, 1), offset]))
            return made

        return self._layer(id(layer), make)(tensor)

    def multiplied(self, value: _Convolved, rounds: bool) -> Any:
        """Apply a layer of other weights, whose outputs are rounded inside or not at all."""
        plain = type(value.layer)

        def make() -> Any:
            activation: Any = value.layer.activation
            if rounds:
                activation = "linear" if self.ranges is None else Rounded(*self.ranges[value.key])
            config = {**_given(value.layer), "use_bias": True, "activation": activation}
            made = (LEARNING[plain] if self.learns else plain)(**config)
            if self.learns and self.ranges is not None:
                low, high = self.ranges[value.given.key]
                made.step = (high - low) / LEVELS
            self.weights.append((made, [weight.astype("float32") for weight in value.weights]))
            return made

        found = self._layer((id(value.layer), id(value.norm)), make)(value.given.tensor)
        if rounds and self.ranges is None:
            self.measured.setdefault(value.key, []).append(found)
        return found

    def __call__(self, name: str, node: Any, args: tuple, kwargs: dict) -> Any:
        layer, uses = node.operation, next(self.uses)
        values = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Value)]
        first = values[0]
        kind = type(layer)
        if getattr(layer, "in_training_alone", False):
            for value in values:
                self.answered(value)
            return _Value(self._apply(layer, args, kwargs), first.key)
        if kind in AXES:
            return self._multiplying(name, layer, first, uses)
        if kind is layers.BatchNormalization:
            if isinstance(first, _Convolved) and first.uses == 1 and first.norm is None and layer.axis in (-1, 3):
                return first.normalised(layer, uses)
            raise _refusal(name, layer, "follows no convolution of its own that it could be folded into")
        if kind is layers.Rescaling:
            return self._rescaled(name, layer, first)
        if kind in _UNSEEN or kind in _SAME:
            if isinstance(first, _Scaled) and first._tensor is None and kind in _PADDED:
                padded = _Value(self.copy(layer)(first.before.tensor), first.before.key, padded=True)
                return _Scaled(self, first.layer, padded)
            return _Value(self._apply(layer, args, kwargs), first.key, first.padded or kind in _PADDED)
        if kind in _MEANS or (kind is layers.UpSampling2D and layer.interpolation in ("nearest", "bilinear")):
            found = self._apply(layer, args, kwargs)
            exact = kind is layers.UpSampling2D and layer.interpolation == "nearest"
            return _Value(found if exact else self.rounded(first.key, found), first.key)
        if kind in _OWN:
            return _Open(self, layer.name, self._apply(layer, args, kwargs), uses)
        if kind in (layers.Add, layers.Subtract, layers.Multiply) and len(values) == 2:
            return _Open(self, layer.name, self._apply(layer, args, kwargs), uses)
        if kind is layers.Concatenate:
            self.alike.append({value.key for value in values})
            return _Value(self._apply(layer, args, kwargs), first.key)
        if kind is layers.ReLU:
            if layer.negative_slope or layer.threshold or layer.max_value not in (None, 6):
                raise _refusal(name, layer, "has other numbers than a ReLU or ReLU6")
            return self._rectified(layer, first)
        if kind is layers.Activation:
            return self._activated(name, layer, layer.activation, first)
        raise _refusal(name, layer, "is not known to it")

    def _apply(self, layer: Any, args: tuple, kwargs: dict) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda value: value.tensor if isinstance(value, _Value) else value, (args, kwargs)
        )
        return self.copy(layer)(*args, **kwargs)

    def _multiplying(self, name: str, layer: Any, given: _Value, uses: int) -> _Value:
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _refusal(name, layer, "has its channels first")
        if getattr(layer, "groups", 1) != 1 or set(np.ravel(getattr(layer, "dilation_rate", 1))) != {1}:
            raise _refusal(name, layer, "has groups or is dilated")
        if getattr(layer, "depth_multiplier", 1) != 1:
            raise _refusal(name, layer, "makes several channels of one")
        weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
        if not layer.use_bias:
            kernel = weights[0]
            filters = (
                kernel.shape[2]
                if isinstance(layer, (layers.DepthwiseConv2D, layers.Conv2DTranspose))
                else kernel.shape[-1]
            )
            weights.append(np.zeros(filters))
        read = given.weights(layer, weights) if isinstance(given, _Scaled) and hasattr(layer, "padding") else None
        source, weights = read or (given, weights)
        found = _Convolved(self, layer, source, weights, uses)
        if layer.activation is keras.activations.linear:
            return found
        if getattr(layer.activation, "__name__", "") in _RELU:
            return _Value(self.rounded(found.key, found.before_relu()), found.key)
        own = self._layer(
            ("activation", id(layer)), lambda: layers.Activation(layer.activation, name=f"{layer.name}_activation")
        )
        return self._activated(name, own, layer.activation, found)

    def _rectified(self, layer: Any, given: _Value) -> _Value:
        joined = isinstance(given, _Open) and given.uses == 1 and given._tensor is None
        raw = self.copy(layer)(given.before_relu() if joined else given.tensor)  # type: ignore[attr-defined]
        return _Value(self.rounded(layer.name, raw), layer.name)

    def _activated(self, name: str, layer: Any, activation: Any, given: _Value) -> _Value:
        known = getattr(activation, "__name__", "")
        if known == "linear":
            return _Value(self.copy(layer)(given.tensor), given.key, given.padded)
        if known in _RELU:
            return self._rectified(layer, given)
        if known in _FIXED:
            self.known[layer.name] = _FIXED[known]
            return _Value(self.rounded(layer.name, self.copy(layer)(given.tensor)), layer.name)
        raise _refusal(name, layer, f"is {known or activation}, which is not known to it")

    def _rescaled(self, name: str, layer: Any, given: _Value) -> _Value:
        if given is not self.source:
            raise _refusal(name, layer, "scales something else than the input")
        if self.limits:
            scale, offset = (np.asarray(value, np.float64) for value in (layer.scale, layer.offset))
            inputs = np.linspace(*range_of(*self.limits), LEVELS + 1)[:, None]
            self.known[layer.name] = _untied(scale * inputs + offset)
        return _Scaled(self, layer, given)


def _untied(values: np.ndarray) -> tuple[float, float]:
    """Return a range that holds numbers, of whose levels none has one of the numbers in the middle to the next.

    Where 0 lies between two of the numbers, all would, and what is rounded up here may be rounded down elsewhere.
    """
    found = [range_of(values.min() * wider, values.max() * wider) for wider in np.linspace(1, 1.02, 201)]

    def apart(limits: tuple[float, float]) -> float:
        places = (values - limits[0]) / (limits[1] - limits[0]) * LEVELS
        return round(float(np.min(np.abs(places - np.floor(places) - 0.5))), 6)

    return max(found, key=apart)


def _given(layer: Any) -> dict[str, Any]:
    """Return the arguments of a layer; how its weights begin does not matter."""
    unwanted = ("_initializer", "_regularizer", "_constraint")
    config = {name: value for name, value in layer.get_config().items() if not name.endswith(unwanted)}
    return {**config, "dtype": layer.dtype_policy}


def _refusal(name: str, layer: Any, what: str) -> ConfigError:
    return ConfigError(
        f"`quantise_aware` cannot train this network: the layer {name} ({type(layer).__name__}) {what}. Leave it out; `export` "
        "makes an int8 file of the trained network all the same."
    )

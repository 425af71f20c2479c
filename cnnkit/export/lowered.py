"""Three-dimensional operators as two-dimensional ones, the slices of a volume as the batch.

Design choices:
- LiteRT leaves Conv3D in float32 even where int8 is asked for, folds no batch norm into it and runs it slowly. Its convolutions
  of pictures have none of this. So a volume (1, d, h, w, c) becomes maps (d, h, w, c), and a convolution along the slices one of
  a picture whose channels are those of neighbouring slices side by side, the weights likewise. The sums are the same ones.
- One convolution of all neighbours, and not one each that are added: in int8 each sum would be rounded. It takes as long, and so
  did neighbours laid side by side by a transposition, and doubling by a shuffle of channels: convolutions take most of the time.
  `benchmarks/lowered.py`: a U-Net's int8 file takes a ninth of the time of the plain float32 one, and 119 MB for a patch of a
  million voxels instead of 3.9 GB; its float32 file half the time at most, and 414 MB.
- A stride along the slices takes rows of a reshaped tensor: a slice of stride 1, which fast kernels have.
- A transposed convolution whose parts do not overlap along the slices is one of pictures for each of them, interleaved.
- Batch norm is folded into the convolution before it here, as the converter would not see past an interleaving.
- Layers that work on each number alone take the maps; what else there is takes the volume, put together again. What LiteRT has
  in no form is refused by name.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from cnnkit.errors import CnnkitError
from cnnkit.explain import graph
from cnnkit.models.norm import affine

_CONVOLUTIONS = (layers.Conv3D, layers.Conv3DTranspose)
_ALONE = (  # each number, or those at one place, decide
    layers.Activation,
    layers.Add,
    layers.Average,
    layers.ELU,
    layers.Identity,
    layers.LeakyReLU,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.ReLU,
    layers.Rescaling,
    layers.Subtract,
)
_UNSEEN = (layers.Dropout, layers.GaussianDropout, layers.GaussianNoise, layers.SpatialDropout3D)  # nothing on a device
_CHANNELS = (-1, 4)  # the axis of a volume's channels


def volumetric(model: Any) -> bool:
    """Whether a model has operators of three dimensions that LiteRT keeps in float32, or lacks."""
    return any(
        volumetric(layer) if isinstance(layer, keras.Model) else isinstance(layer, _CONVOLUTIONS) or _pools(layer)
        for layer in model.layers
    )


def lowered(model: Any) -> Any:
    """Return a model that computes the same with two-dimensional operators, for one volume at a time.

    Args:
        model: functional `keras.Model` of one input (b, d, h, w, c); what it answers has any structure.

    Returns:
        `keras.Model` of its own weights: (1, d, h, w, c) -> the same answers.

    Raises:
        CnnkitError: a layer that cannot be written so, by name; or sides that are open.
    """
    (given,) = model.inputs
    if None in given.shape[1:]:
        raise CnnkitError(f"Model {model.name} leaves sides of its input open, {tuple(given.shape)[1:]}. Fix them.")
    one = keras.Input(batch_shape=(1, *given.shape[1:]), name=given.name, dtype=given.dtype)
    found = graph.interpret(model, [_Value(whole=one)], _Lowering())
    answers = [value.whole for value in found]
    return keras.Model(one, keras.tree.pack_sequence_as(model.output, answers), name=model.name)


class _Value:
    """A tensor of the model: as it is (`whole`), as maps with slices as the batch (`maps`), or both; each made when asked for."""

    def __init__(self, whole: Any = None, maps: Any = None):
        self._whole, self._maps = whole, maps

    @property
    def sliced(self) -> bool:
        return self._maps is not None

    @property
    def maps(self) -> Any:
        if self._maps is None:
            self._maps = ops.reshape(self._whole, self._whole.shape[1:])
        return self._maps

    @property
    def whole(self) -> Any:
        if self._whole is None:
            self._whole = ops.reshape(self.maps, (1, *self.maps.shape))
        return self._whole


class _Convolved(_Value):
    """What a convolution makes of maps; made when it is asked for, so that a batch norm may still change the weights.

    Attributes:
        make: weights -> maps.
        kernel: of it, filters along the last axis, or along the last but one of a transposed one.
        bias: (filters,).
    """

    def __init__(self, make: Any, kernel: np.ndarray, bias: np.ndarray, transposed: bool):
        super().__init__()
        self.make, self.kernel, self.bias, self.transposed = make, kernel, bias, transposed

    @property
    def sliced(self) -> bool:
        return True

    @property
    def maps(self) -> Any:
        if self._maps is None:
            self._maps = self.make(self.kernel, self.bias)
        return self._maps

    def normalised(self, scale: np.ndarray, offset: np.ndarray) -> "_Convolved":
        """Return it with each filter times a number and another one added."""
        kernel = self.kernel * (scale[:, None] if self.transposed else scale)
        return _Convolved(self.make, kernel, self.bias * scale + offset, self.transposed)


class _Lowering:
    """Makes of each layer what stands for it; called by `cnnkit.explain.graph.interpret`."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}  # layers taken over, by the id of the model's own
        self._names: dict[str, int] = {}

    def __call__(self, name: str, node: Any, args: tuple, kwargs: dict) -> Any:
        layer = node.operation
        values = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Value)]
        if _pools(layer):
            raise _refusal(name, layer, "pools", "Halve maps by convolutions of stride 2 instead")
        if isinstance(layer, _CONVOLUTIONS):
            return self._convolved(name, layer, values[0])
        if isinstance(layer, _UNSEEN):
            return values[0]
        sliced = all(value.sliced for value in values)
        if isinstance(layer, layers.BatchNormalization) and layer.axis in _CHANNELS and sliced:
            (value,) = values
            if isinstance(value, _Convolved):
                return value.normalised(*affine(layer))
            scale, offset = affine(layer)
            return _Value(maps=value.maps * scale.astype("float32") + offset.astype("float32"))
        places = {tuple(value.maps.shape)[:-1] for value in values if value.sliced}
        joined = isinstance(layer, layers.Concatenate) and layer.axis in _CHANNELS
        if sliced and len(places) == 1 and (joined or isinstance(layer, _ALONE)):
            return _Value(maps=self._apply(layer, args, kwargs, "maps", {"axis": -1} if joined else {}))
        found = self._apply(layer, args, kwargs, "whole", {})
        return [_Value(whole=tensor) for tensor in keras.tree.flatten(found)]

    def _apply(self, layer: Any, args: tuple, kwargs: dict, form: str, changed: dict[str, Any]) -> Any:
        """Call a copy of a layer, with its weights, on tensors of a form."""
        args, kwargs = keras.tree.map_structure(
            lambda value: getattr(value, form) if isinstance(value, _Value) else value, (args, kwargs)
        )
        if not isinstance(layer, keras.Layer):
            return layer(*args, **kwargs)
        if id(layer) not in self._made:
            config = {**layer.get_config(), "name": self._name(layer.name), **changed}
            self._made[id(layer)] = type(layer).from_config(config)
        copy = self._made[id(layer)]
        found = copy(*args, **kwargs)
        copy.set_weights(layer.get_weights())
        return found

    def _name(self, name: str) -> str:
        """Return a name that no layer of the new model has yet."""
        self._names[name] = self._names.get(name, 0) + 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"

    def _convolved(self, name: str, layer: Any, value: _Value) -> _Value:
        transposed = isinstance(layer, layers.Conv3DTranspose)
        _check(name, layer, transposed)
        weights = [np.asarray(array, np.float64) for array in layer.get_weights()]
        kernel, bias = weights[0], weights[1] if layer.use_bias else np.zeros(layer.filters)

        def make(kernel: np.ndarray, bias: np.ndarray) -> Any:
            return (self._interleaved if transposed else self._joined)(layer, value.maps, kernel, bias)

        found = _Convolved(make, kernel, bias, transposed)
        return found if layer.activation is keras.activations.linear else _Value(maps=found.maps)

    def _layer(self, kind: Any, layer: Any, kernel: np.ndarray, bias: np.ndarray, maps: Any) -> Any:
        """Apply a convolution of pictures with the options of one of volumes along the other two axes."""
        made = kind(
            layer.filters,
            layer.kernel_size[1:],
            strides=layer.strides[1:],
            padding=layer.padding,
            activation=layer.activation,
            dtype=layer.dtype_policy,
            name=self._name(layer.name),
        )
        found = made(maps)
        made.set_weights([kernel.astype("float32"), bias.astype("float32")])
        return found

    def _joined(self, layer: Any, maps: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
        """Convolve with the neighbouring slices' channels side by side."""
        size, stride = layer.kernel_size[0], layer.strides[0]
        if size > 1 or stride > 1:
            name = self._name(f"{layer.name}_neighbours")
            maps = _Neighbours(size, stride, layer.padding, name=name, dtype=layer.dtype_policy)(maps)
        deep, high, wide, channels, filters = kernel.shape
        kernel = kernel.transpose(1, 2, 0, 3, 4).reshape(high, wide, deep * channels, filters)
        return self._layer(layers.Conv2D, layer, kernel, bias, maps)

    def _interleaved(self, layer: Any, maps: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
        """Convolve each slice to as many as the kernel is deep, one after the other."""
        parts = [self._layer(layers.Conv2DTranspose, layer, part, bias, maps) for part in kernel]
        if len(parts) == 1:
            return parts[0]
        return _Interleaved(name=self._name(f"{layer.name}_interleaved"), dtype=layer.dtype_policy)(parts)


class _Neighbours(keras.Layer):
    """Lays the slices side by side that each place of a kernel reads: (d, h, w, c) -> (slices out, h, w, size * c).

    A layer, so that what a file has of it has a name.

    Args:
        size, stride: of the kernel along the slices.
        padding: "same" or "valid". "same" pads at the end what cannot be halved: of an even number of slices only there.
    """

    def __init__(self, size: int, stride: int, padding: str, **options: Any):
        super().__init__(**options)
        self.size, self.stride, self.padding = size, stride, padding

    def call(self, maps: Any) -> Any:
        size, stride = self.size, self.stride
        slices, high, wide, channels = maps.shape
        same = self.padding == "same"
        out = -(-slices // stride) if same else (slices - size) // stride + 1
        before = max(0, (out - 1) * stride + size - slices) // 2 if same else 0
        rows = out + (size - 1) // stride  # of `stride` slices each, that are read or passed by
        after = rows * stride - slices - before
        if after < 0:
            maps, after = ops.slice(maps, (0, 0, 0, 0), (slices + after, high, wide, channels)), 0
        if before or after:
            maps = ops.pad(maps, ((before, after), (0, 0), (0, 0), (0, 0)))
        if stride > 1:
            maps = ops.reshape(maps, (rows, stride * high, wide, channels))
        starts = [(place // stride, place % stride * high, 0, 0) for place in range(size)]
        near = [ops.slice(maps, start, (out, high, wide, channels)) for start in starts]
        return ops.concatenate(near, axis=-1) if size > 1 else near[0]


class _Interleaved(keras.Layer):
    """Puts maps slice by slice one after the other: n times (d, h, w, c) -> (d * n, h, w, c)."""

    def call(self, parts: Any) -> Any:
        slices, high, wide, channels = parts[0].shape
        return ops.reshape(ops.concatenate(parts, axis=1), (slices * len(parts), high, wide, channels))


def _pools(layer: Any) -> bool:
    """Whether a layer pools places of a volume; over all of them it is a mean, which LiteRT has."""
    kind = type(layer).__name__
    return kind.endswith("Pooling3D") and not kind.startswith("Global")


def _check(name: str, layer: Any, transposed: bool) -> None:
    """Refuse a convolution that cannot be written as one of pictures."""
    if type(layer) not in _CONVOLUTIONS:
        raise _refusal(name, layer, "is a convolution of its own kind", "Use those of Keras")
    if layer.data_format != "channels_last":
        raise _refusal(name, layer, "has its channels first", "Put them last")
    if set(layer.dilation_rate) != {1}:
        raise _refusal(name, layer, "is dilated", "Use strides instead")
    if getattr(layer, "groups", 1) != 1:
        raise _refusal(name, layer, "has groups", "Leave them out")
    if transposed and layer.output_padding is not None:
        raise _refusal(name, layer, "has an output padding", "Leave it out")
    if transposed and layer.kernel_size[0] != layer.strides[0]:
        what = f"has a kernel of {layer.kernel_size[0]} and a stride of {layer.strides[0]} along the slices"
        raise _refusal(name, layer, what, "Make them alike")


def _refusal(name: str, layer: Any, what: str, instead: str) -> CnnkitError:
    return CnnkitError(
        f"The layer {name} ({type(layer).__name__}) {what}, which no device file has of volumes. {instead}, and train anew."
    )

"""Pruning: a trained network loses whole filters, as a training that goes on from it begins.

Design choices:
- There is no training loop of its own. A training that begins with a run is given a narrower network, with the filters of the
  run's that are worth most; epochs, rounding, calibration and export are those of any training.
- What goes is a function of the weights alone, so a run repeats bit for bit, and no data decides.
- Channels are followed by number through the graph: what is added is tied together, what is flattened is there once a place, what
  is put side by side keeps its place. A channel goes with all that makes it and reads it, so that a network whose channel was 0
  computes the same without it. What the network answers stays, and what is made of its input alone.
- Widths are multiples of 8 and at least 8: kernels of devices compute 8 channels at once, or 16.
- Every layer loses about the same share. Where the layers lost what their norms said was worth least for its multiply-adds,
  digits were as often right, and LiteRT was slower, though it had less to multiply: layers of 8 filters are slow for what they
  compute.
- It is for networks that are there. The same widths from nothing were as good on digits (`benchmarks/pruning.py`).
- Training goes on as one from nothing; at a tenth of its learning rate digits were less often right.
- A layer that is not known here is refused by name: what it does with channels might be another thing than is done to them.

Sources: Li et al. 2017, arXiv:1608.08710 (filters by the norm of their weights); Renda et al. 2020, arXiv:2003.02389 (training
goes on at the learning rate of one from nothing).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from cnnkit.data.loading import some
from cnnkit.errors import ConfigError
from cnnkit.explain import graph
from cnnkit.explain import layers as table
from cnnkit.models.norm import affine
from cnnkit.models.weights import HEAD, Loaded
from cnnkit.run import Run
from cnnkit.training.settings import Settings, weights_of

STEP = 8  # of widths
# All layers learn as in a training from nothing, batch norm with them.
PRESET = {"freeze": 0.0, "backbone_rate": 1.0, "freeze_norm": False}

_SAME = (  # channel by channel
    *table.CROPPING,
    *table.GLOBAL_POOLING,
    *table.POOLING,
    *table.UPSAMPLING,
    *table.ZERO_PADDING,
    layers.Activation,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.LeakyReLU,
    layers.ReLU,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
)
_ACTIVATIONS = {
    *(
        "elu",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "leaky_relu",
        "linear",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
    ),
    *("softplus", "softsign", "tanh"),
}  # the same: none looks at other channels
_MERGING = (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract)
_MAKING = (*table.CONVOLUTIONS, *table.TRANSPOSED, layers.Dense)
_KEEPING = (*table.DEPTHWISE, layers.BatchNormalization)  # weights by channel


def refuse(settings: Mapping[str, Any]) -> None:
    """Refuse settings that name no run to be cut.

    Raises:
        ConfigError: what to do.
    """
    path = weights_of(settings)
    if settings.get("prune") and (path is None or not path.is_dir()):
        raise ConfigError(
            "`prune` cuts the network of an earlier run: name its folder with `weights`. Got "
            f"`weights={settings.get('weights')}`."
        )


def check_loaded(settings: Settings, loaded: Loaded) -> None:
    """Refuse to cut a network that is not the run's.

    Raises:
        ConfigError: a layer beside the last found no weights.
    """
    if left := [name for name in loaded.left if name != HEAD]:
        raise ConfigError(
            f"`prune` cuts the network of a run, and {settings.weights} has another one: nothing in it fits {some(left, 2)} of "
            f"{settings.model!r}. Leave out `model` and its options, or name another run."
        )


def earlier(settings: Settings) -> dict[str, Any]:
    """Return what `run.json` of the run that training begins with says of a pruning; {}: nothing, or it is another network."""
    path = weights_of(settings.to_dict())
    if path is None or not path.is_dir():
        return {}
    document = Run.open(path).document
    return document.get("pruned", {}) if document["settings"].get("model") == settings.model else {}


def widths_in(pruned: Mapping[str, Any]) -> dict[str, int]:
    """Return the widths after a pruning, of what `run.json` says of it."""
    return {name: after for name, (_, after) in pruned.get("widths", {}).items()}


def line(pruned: Mapping[str, Any]) -> str:
    """Return in words what was cut."""
    (before, after), (had, has) = pruned["multiply_adds"], pruned["parameters"]
    cut = [f"{name} {a} -> {b}" for name, (a, b) in pruned["widths"].items() if a != b]
    return (
        f"Pruned: {before:,} -> {after:,} multiply-adds ({after / before:.0%}), {had:,} -> {has:,} parameters; filters: "
        f"{some(cut, 5)}."
    )


class _Map:
    """The channels of a tensor, along its last axis; `of`: the layer that made it, where nothing came between."""

    def __init__(self, channels: np.ndarray, of: "_Layer | None" = None):
        self.channels, self.of = channels, of


@dataclasses.dataclass
class _Layer:
    """A layer, the channels that it reads and those that it puts out; `norm`: the batch norm behind it."""

    layer: Any
    read: np.ndarray
    made: np.ndarray
    norm: Any = None

    @property
    def kernel(self) -> np.ndarray:
        """Weights of a layer that makes channels, float64 (places, channels read, channels made)."""
        kernel = np.asarray(self.layer.kernel, np.float64)
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        return kernel.swapaxes(1, 2) if isinstance(self.layer, table.TRANSPOSED) else kernel

    def copy(self, kept: np.ndarray) -> Any:
        """Return the layer with the channels that are kept, bool by channel, and initial weights."""
        config, width = self.layer.get_config(), int(kept[self.made].sum())
        if isinstance(self.layer, _MAKING):
            config["units" if isinstance(self.layer, layers.Dense) else "filters"] = width
        if isinstance(self.layer, layers.Reshape):
            config["target_shape"] = (*config["target_shape"][:-1], width)
        return type(self.layer).from_config(config)

    def weights(self, kept: np.ndarray) -> list[np.ndarray]:
        """Return the weights of the channels that are kept."""
        read, made = kept[self.read], kept[self.made]
        weights = self.layer.get_weights()
        if isinstance(self.layer, table.TRANSPOSED):
            return [weights[0][..., made, :][..., read], *(bias[made] for bias in weights[1:])]
        if isinstance(self.layer, _MAKING):
            return [weights[0][..., read, :][..., made], *(bias[made] for bias in weights[1:])]
        if isinstance(self.layer, table.DEPTHWISE):
            return [weights[0][..., read, :], *(bias[read] for bias in weights[1:])]
        return [weight[read] for weight in weights] if isinstance(self.layer, _KEEPING) else weights


class Network:
    """A network that is to lose filters.

    Args:
        model: functional `keras.Model`.

    Attributes:
        groups: channels that are filters of the same layers, by the name of the first of these: int (filters,).

    Raises:
        ConfigError: it has a layer that is not known here, by name.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self._tied: list[int] = []  # what each channel is tied to: one before it, or itself
        self._fixed: set[int] = set()
        self._layers: dict[int, _Layer] = {}
        used: list[_Layer] = []

        def follow(name: str, node: Any, args: tuple, kwargs: dict) -> list[_Map]:
            maps = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Map)]
            found = self._followed(name, node, maps)
            given = maps[0].channels if maps else np.zeros(0, int)
            first = self._layers.setdefault(id(node.operation), _Layer(node.operation, given, found[0].channels))
            if isinstance(node.operation, _MAKING + _KEEPING):  # used again, it reads the same channels
                self._tie(first.read, given)
            if isinstance(node.operation, _MAKING):  # and makes the same
                found = [_Map(first.made, first)]
            used.append(dataclasses.replace(first, read=given, made=found[0].channels))
            return found

        given = [_Map(self._new(tensor.shape[-1])) for tensor in graph.graph_of(model).inputs]
        self._fixed.update(*(value.channels for value in given))
        self._fixed.update(*(value.channels for value in graph.interpret(model, given, follow)))
        ends = np.array([self._end(channel) for channel in range(len(self._tied))])
        for one in (*used, *self._layers.values()):
            one.read, one.made = ends[one.read], ends[one.made]
        self.channels, self._fixed = len(ends), set(ends[list(self._fixed)])
        rows = [row for row in table.layer_table(model) if row["kind"] != "InputLayer"]
        self._costs = [(row["multiply_adds"], one) for row, one in zip(rows, used, strict=True) if row["multiply_adds"]]
        self.groups = self._grouped()

    def _new(self, count: int | None) -> np.ndarray:
        start = len(self._tied)
        self._tied += range(start, start + (count or 1))
        return np.arange(start, len(self._tied))

    def _end(self, channel: int) -> int:
        while self._tied[channel] != channel:
            self._tied[channel] = channel = self._tied[self._tied[channel]]
        return channel

    def _tie(self, *maps: np.ndarray) -> None:
        for channels in zip(*maps, strict=True):
            first, *others = sorted(map(self._end, channels))
            for other in others:
                self._tied[other] = first

    def _followed(self, name: str, node: Any, given: list[_Map]) -> list[_Map]:
        """Return the channels of what an operation puts out."""
        layer, kind, shape, maps = (
            node.operation,
            type(node.operation),
            node.outputs[0].shape,
            [m.channels for m in given],
        )
        last, trained = (-1, len(shape) - 1), getattr(layer, "in_training_alone", False)
        if trained or (kind not in _MAKING and all(map(self._fixed.issuperset, maps))):
            self._fixed.update(*maps)
            made = [self._new(tensor.shape[-1]) for tensor in node.outputs]
            self._fixed.update(*made)
            return [_Map(one) for one in made]
        activation = getattr(layer, "activation", None)
        if activation is not None and (known := getattr(activation, "__name__", str(activation))) not in _ACTIVATIONS:
            raise _refusal(name, layer, f"is {known}, which is not known to it")
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _refusal(name, layer, "has its channels first")
        if getattr(layer, "groups", 1) != 1:
            raise _refusal(name, layer, "has groups")
        if getattr(layer, "depth_multiplier", 1) != 1:
            raise _refusal(name, layer, "makes several channels of one")
        if kind in _MAKING:
            return [_Map(self._new(shape[-1]))]
        if kind is layers.BatchNormalization and layer.axis in last and given[0].of:
            given[0].of.norm = layer
        if kind in _SAME or (kind in _KEEPING and getattr(layer, "axis", -1) in last):
            return [_Map(maps[0])]
        if kind is layers.Reshape and shape[-1] == len(maps[0]):
            return [_Map(maps[0])]
        if kind is layers.Flatten:
            return [_Map(np.tile(maps[0], shape[-1] // len(maps[0])))]
        if kind is layers.Concatenate and layer.axis in last:
            return [_Map(np.concatenate(maps))]
        if kind in (*_MERGING, layers.Concatenate) and len({len(one) for one in maps}) == 1:
            self._tie(*maps)
            return [_Map(maps[0])]
        raise _refusal(name, layer, "is not known to it")

    def _grouped(self) -> dict[str, np.ndarray]:
        makers: dict[int, list[str]] = {}
        for one in self._layers.values():
            if isinstance(one.layer, _MAKING):
                for channel in dict.fromkeys(one.made.tolist()):
                    makers.setdefault(channel, []).append(one.layer.name)
        alike: dict[tuple[str, ...], list[int]] = {}
        for channel, names in makers.items():
            if channel not in self._fixed:
                alike.setdefault(tuple(names), []).append(channel)
        groups: dict[str, np.ndarray] = {}
        for together, channels in alike.items():
            groups[together[0] if together[0] not in groups else " + ".join(together)] = np.array(channels)
        return groups

    def multiply_adds(self, kept: np.ndarray) -> int:
        """Return those of the network with the channels that are kept, bool by channel."""
        total = 0.0
        for count, one in self._costs:
            both = kept[one.read].mean() if isinstance(one.layer, _MAKING) else 1.0
            total += count * kept[one.made].mean() * both
        return round(total)

    def worth(self) -> np.ndarray:
        """Return what each channel is worth beside others of its group: float (channels,)."""
        found = np.zeros(self.channels)
        for one in self._layers.values():
            if isinstance(one.layer, _MAKING):
                squares = (one.kernel**2).sum((0, 1))
                np.add.at(found, one.made, squares if one.norm is None else squares * affine(one.norm)[0] ** 2)
        return found

    def kept(self, share: float) -> np.ndarray:
        """Choose the channels that stay: bool (channels,).

        Args:
            share: of the multiply-adds, that go at least.

        Raises:
            ConfigError: so many cannot go.
        """
        kept, worth = np.ones(self.channels, bool), self.worth()
        whole = now = self.multiply_adds(kept)
        while now > (1 - share) * whole:
            widths = {name: (int(kept[channels].sum()) - 1) // STEP * STEP for name, channels in self.groups.items()}
            left = {name: width / len(self.groups[name]) for name, width in widths.items() if width}
            if not left:
                raise ConfigError(
                    f"`prune` cannot leave out {share:.0%} of the multiply-adds of this network: with {STEP} filters a layer it "
                    f"still has {now / whole:.0%} of them. "
                    + (f"Give {(whole - now) / whole:.2g} at most." if now < whole else "Leave it out.")
                )
            name = max(left, key=left.__getitem__)
            channels = self.groups[name][kept[self.groups[name]]]
            kept[channels[np.argsort(worth[channels], kind="stable")[: len(channels) - widths[name]]]] = False
            now = self.multiply_adds(kept)
        return kept

    def pruned(self, share: float) -> tuple[keras.Model, dict[str, Any]]:
        """Return the network without the filters of least worth, and what was cut, for `run.json`.

        Args:
            share: as `kept`.

        Raises:
            ConfigError: as `kept`.
        """
        kept, whole = self.kept(share), np.ones(self.channels, bool)
        model = self.cut(kept)
        return model, {
            "widths": {name: [len(channels), int(kept[channels].sum())] for name, channels in self.groups.items()},
            "multiply_adds": [self.multiply_adds(whole), self.multiply_adds(kept)],
            "parameters": [self.model.count_params(), model.count_params()],
        }

    def cut(self, kept: np.ndarray) -> keras.Model:
        """Return the network with the channels that are kept, bool by channel, and their weights."""
        model, copies = self._built(kept)
        for key, copy in copies.items():
            if copy.weights:
                copy.set_weights(self._layers[key].weights(kept))
        return model

    def narrowed(self, widths: Mapping[str, int]) -> keras.Model:
        """Return the network with so many filters a group and initial weights; those that are not named stay as many.

        Raises:
            ConfigError: it has no such group, or fewer filters.
        """
        kept = np.ones(self.channels, bool)
        for name, width in widths.items():
            if not 0 < width <= len(self.groups.get(name, ())):
                raise ConfigError(
                    f"The run in `weights` was pruned, and {self.model.name} has no {width} filters of {name} as it has. Leave "
                    "out options of `model`, or name another run."
                )
            kept[self.groups[name][width:]] = False
        return self._built(kept)[0]

    def _built(self, kept: np.ndarray) -> tuple[keras.Model, dict[int, Any]]:
        copies: dict[int, Any] = {}

        def made(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
            layer = node.operation
            if not isinstance(layer, keras.Layer):
                return layer(*args, **kwargs)
            if id(layer) not in copies:
                copies[id(layer)] = self._layers[id(layer)].copy(kept)
            return copies[id(layer)](*args, **kwargs)

        given: Sequence[Any] = [keras.Input(t.shape[1:], name=t.name, dtype=t.dtype) for t in self.model.inputs]
        answers = keras.tree.pack_sequence_as(self.model.output, graph.interpret(self.model, given, made))
        return keras.Model(keras.tree.pack_sequence_as(self.model.input, given), answers, name=self.model.name), copies


def _refusal(name: str, layer: Any, what: str) -> ConfigError:
    return ConfigError(
        f"`prune` cannot cut this network: the layer {name} ({type(layer).__name__}) {what}. Leave it out, or train a narrower "
        "network from nothing."
    )

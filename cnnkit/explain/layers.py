"""The layer table: what every layer does to the size, what it sees of the image, what it costs.

Choices:
- Sizes are worked out with the textbook formula, numbers filled in, so that a reader can check each by hand.
- Receptive field r and jump j (distance, in input px, between neighbouring outputs) follow r + (k - 1) j and j s,
  for each side. Where branches meet, the largest receptive field counts. A vector sees what all the positions behind
  it see, at most the whole image. What cannot be known (a custom layer with weights) is None, and so is what follows.
- Multiply-adds are those of inference: convolutions and dense layers. Batch norm is folded into the convolution before
  it on a device, and biases, activations and pooling are not multiply-adds, so they count 0.
- Plain data, so the command line prints it as JSON and the report draws it without Keras.

Source: Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning"; Araujo et al. 2019, "Computing
Receptive Fields of Convolutional Neural Networks".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers as kl

from cnnkit.explain import graph

CONVOLUTIONS = (kl.Conv1D, kl.Conv2D, kl.Conv3D)
DEPTHWISE = (kl.DepthwiseConv1D, kl.DepthwiseConv2D)
SEPARABLE = (kl.SeparableConv1D, kl.SeparableConv2D)
TRANSPOSED = (kl.Conv1DTranspose, kl.Conv2DTranspose, kl.Conv3DTranspose)
MAX_POOLING = (kl.MaxPooling1D, kl.MaxPooling2D, kl.MaxPooling3D)
POOLING = MAX_POOLING + (kl.AveragePooling1D, kl.AveragePooling2D, kl.AveragePooling3D)
GLOBAL_MAX = (kl.GlobalMaxPooling1D, kl.GlobalMaxPooling2D, kl.GlobalMaxPooling3D)
GLOBAL_POOLING = GLOBAL_MAX + (kl.GlobalAveragePooling1D, kl.GlobalAveragePooling2D, kl.GlobalAveragePooling3D)
UPSAMPLING = (kl.UpSampling1D, kl.UpSampling2D, kl.UpSampling3D)
ZERO_PADDING = (kl.ZeroPadding1D, kl.ZeroPadding2D, kl.ZeroPadding3D)
CROPPING = (kl.Cropping1D, kl.Cropping2D, kl.Cropping3D)
POINTWISE = (  # layers with weights that mix channels at most, never positions
    kl.Dense,
    kl.BatchNormalization,
    kl.LayerNormalization,
    kl.GroupNormalization,
    kl.UnitNormalization,
    kl.Normalization,
    kl.PReLU,
    kl.Embedding,
)

Sides = tuple[Any, ...]  # one number for each side, height first; a size is None where the model leaves it open


@dataclass(frozen=True)
class Seen:
    """A tensor as the table knows it: its shape without the batch, and what one of its positions sees of the image."""

    shape: Sides
    dtype: str
    field: Sides | None  # receptive field, px
    jump: Sides  # px of the image between neighbouring positions
    image: Sides  # the model's input size, px

    @property
    def sides(self) -> Sides | None:
        """The sizes of the sides; None for a vector."""
        return self.shape[:-1] if len(self.shape) == len(self.image) + 1 else None

    def all_positions(self) -> "Seen":
        """What all positions together see: the field of a vector made from this tensor."""
        if self.field is None or self.sides is None:
            return self
        field = [
            whole if None in (size, whole) else min(whole, r + (size - 1) * j)
            for whole, r, size, j in zip(self.image, self.field, self.sides, self.jump)
        ]
        return replace(self, field=tuple(field), jump=self.image)


def layer_table(model: keras.Model, shape: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Describe every layer of a model, nested models included, in the order in which they are computed.

    Args:
        model: functional or built Sequential `keras.Model` with one input, (b, h, w, c) or (b, length).
        shape: of the input without the batch, where the model leaves it open; default: as the model has it.

    Returns:
        One dict a layer: `name`, `kind`; `kernel`, `stride` (a list of one number a side, or None), `padding`;
        `input_size`, `output_size` (without the batch, None where open); `formula`, the output size worked out;
        `receptive_field` and `jump` in px of the image (a list of one number a side, or None where unknown);
        `parameters` (0 for a layer already counted, shared); `multiply_adds` (None where unknown).

    Errors: `ArtifactError` for a model without a graph of layers.
    """
    rows: list[dict[str, Any]] = []
    counted: set[int] = set()

    def describe(name: str, node: Any, args: tuple, kwargs: dict) -> list[Seen]:
        layer = node.operation
        inputs = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, Seen)]
        shapes = _output_shapes(node, inputs, args, kwargs)
        outputs = [_see(layer, inputs, shape) for shape in shapes]
        window = _window(layer)
        seen = outputs[0]
        rows.append(
            {
                "name": name,
                "kind": type(layer).__name__,
                "kernel": list(window["kernel"]) if window else None,
                "stride": list(window["stride"]) if window else None,
                "padding": window["padding"] if window else None,
                "input_size": list(inputs[0].shape) if inputs else None,
                "output_size": list(seen.shape),
                "formula": _formula(layer, inputs, seen),
                "receptive_field": None if seen.field is None else [_whole(side) for side in seen.field],
                "jump": None if seen.sides is None else [_whole(side) for side in seen.jump],
                "parameters": 0 if id(layer) in counted or not hasattr(layer, "count_params") else layer.count_params(),
                "multiply_adds": _multiply_adds(layer, inputs, seen),
            }
        )
        counted.add(id(layer))
        return outputs

    starts = []
    for tensor in graph.graph_of(model).inputs:
        whole = tuple(tensor.shape[1:] if shape is None else shape)
        image = whole[:-1] if len(whole) > 1 else whole
        one = (1,) * len(image)
        starts.append(Seen(whole, keras.backend.standardize_dtype(tensor.dtype), one, one, image))
        rows.append(
            {
                "name": tensor._keras_history.operation.name,
                "kind": "InputLayer",
                **dict.fromkeys(["kernel", "stride", "padding", "input_size"]),
                "output_size": list(whole),
                "formula": "",
                "receptive_field": list(one),
                "jump": list(one),
                "parameters": 0,
                "multiply_adds": 0,
            }
        )
    graph.interpret(model, starts, describe)
    return rows


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum a layer table: `layers`, `parameters`, `multiply_adds`; `unknown` names the layers without the last."""
    return {
        "layers": len(rows),
        "parameters": sum(row["parameters"] for row in rows),
        "multiply_adds": sum(row["multiply_adds"] or 0 for row in rows),
        "unknown": [row["name"] for row in rows if row["multiply_adds"] is None],
    }


def _output_shapes(node: Any, inputs: list[Seen], args: tuple, kwargs: dict) -> list[Sides]:
    """Shapes without the batch: those of the graph, unless a nested model is used at another size than it was built."""
    if [tuple(tensor.shape[1:]) for tensor in node.input_tensors] == [value.shape for value in inputs]:
        return [tuple(tensor.shape[1:]) for tensor in node.outputs]

    def symbol(value: Any) -> Any:
        return keras.KerasTensor((None, *value.shape), value.dtype) if isinstance(value, Seen) else value

    args, kwargs = keras.tree.map_structure(symbol, (args, kwargs))
    specs = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
    return [tuple(spec.shape[1:]) for spec in specs]


def _window(layer: Any) -> dict[str, Any] | None:
    """Kernel, stride, padding and dilation of a layer that slides a window."""
    if isinstance(layer, POOLING):
        return {
            "kernel": layer.pool_size,
            "stride": layer.strides,
            "padding": layer.padding,
            "dilation": (1,) * len(layer.pool_size),
        }
    if isinstance(layer, CONVOLUTIONS + DEPTHWISE + SEPARABLE + TRANSPOSED):
        sides = len(layer.kernel_size)
        stride, dilation = _per_side(layer.strides, sides), _per_side(layer.dilation_rate, sides)
        return {"kernel": layer.kernel_size, "stride": stride, "padding": layer.padding, "dilation": dilation}
    return None


def _per_side(value: Any, sides: int) -> Sides:
    return (value,) * sides if isinstance(value, int) else tuple(value)


def _see(layer: Any, inputs: list[Seen], shape: Sides) -> Seen:
    """What a position of the layer's output sees of the image."""
    if not inputs:  # a constant
        return Seen(shape, "float32", None, (), ())
    first = replace(inputs[0], shape=shape)
    window = _window(layer)
    if window and inputs[0].field is not None and len(window["kernel"]) == len(inputs[0].jump):
        kernel, stride, jump = window["kernel"], window["stride"], inputs[0].jump
        if isinstance(layer, TRANSPOSED):  # an output is reached by every stride-th weight of the kernel
            reached = [math.ceil(k / s) for k, s in zip(kernel, stride)]
            jump_after = tuple(j / s for j, s in zip(jump, stride))
        else:
            reached = [(k - 1) * d + 1 for k, d in zip(kernel, window["dilation"])]
            jump_after = tuple(j * s for j, s in zip(jump, stride))
        field = tuple(r + (k - 1) * j for r, k, j in zip(inputs[0].field, reached, jump))
        return replace(first, field=field, jump=jump_after)
    if isinstance(layer, UPSAMPLING) and inputs[0].field is not None:
        factor = _per_side(layer.size, len(inputs[0].jump))
        blend = 0 if getattr(layer, "interpolation", "nearest") == "nearest" else 1  # bilinear reads one neighbour more
        field = tuple(r + blend * j for r, j in zip(inputs[0].field, inputs[0].jump))
        return replace(first, field=field, jump=tuple(j / s for j, s in zip(inputs[0].jump, factor)))
    if isinstance(layer, ZERO_PADDING + CROPPING):
        return first
    merged = replace(_merge(inputs), shape=shape)
    has_weights = bool(getattr(layer, "weights", ())) and not isinstance(layer, POINTWISE)
    if has_weights or window:
        return replace(merged, field=None)
    if merged.sides is not None and any(value.sides == merged.sides for value in inputs):
        return merged  # position by position
    if merged.sides is None or set(merged.sides) == {1}:  # flattened, averaged, reduced
        return replace(_merge([value.all_positions() for value in inputs]), shape=shape)
    return merged if all(value.sides is None for value in inputs) else replace(merged, field=None)


def _merge(inputs: list[Seen]) -> Seen:
    """Where branches meet: the largest receptive field, the jump of the branch with the most positions."""
    widest = max(inputs, key=lambda value: math.prod(side or 1 for side in value.sides or (0,)))
    fields = [value.field for value in inputs]
    return replace(
        widest, field=None if None in fields else tuple(None if None in sides else max(sides) for sides in zip(*fields))
    )


def _multiply_adds(layer: Any, inputs: list[Seen], output: Seen) -> int | None:
    if not getattr(layer, "weights", ()):
        # TensorFlow's own matrix products have no weights but do multiply; attention has such operations inside.
        return None if type(layer).__name__ in ("Matmul", "Einsum", "Dot", "Attention") else 0
    before, after = inputs[0].shape, output.shape
    window = math.prod(getattr(layer, "kernel_size", (0,)))
    multiplier = getattr(layer, "depth_multiplier", 1)
    if isinstance(layer, TRANSPOSED):
        factors = [*before[:-1], window, before[-1], after[-1]]
    elif isinstance(layer, CONVOLUTIONS):
        factors = [*after[:-1], window, before[-1] // layer.groups, after[-1]]
    elif isinstance(layer, DEPTHWISE):
        factors = [*after[:-1], window, before[-1] * multiplier]
    elif isinstance(layer, SEPARABLE):  # depthwise, then 1x1 across the channels
        factors = [*after[:-1], before[-1] * multiplier, window + after[-1]]
    elif isinstance(layer, kl.Dense):
        factors = [*after[:-1], before[-1], after[-1]]
    else:
        return 0 if isinstance(layer, POINTWISE) else None
    return None if None in factors else math.prod(factors)


def _formula(layer: Any, inputs: list[Seen], output: Seen) -> str:
    """The output size, worked out with the numbers filled in."""
    before = inputs[0] if inputs else output
    window = _window(layer)
    if window and before.sides is not None and output.sides is not None:
        sides = [
            _window_formula(layer, *numbers)
            for numbers in zip(before.sides, window["kernel"], window["stride"], window["dilation"], output.sides)
        ]
    elif isinstance(layer, UPSAMPLING) and before.sides is not None and output.sides is not None:
        factor = _per_side(layer.size, len(before.sides))
        sides = [f"{_text(n)}*{s} = {_text(out)}" for n, s, out in zip(before.sides, factor, output.sides)]
    elif isinstance(layer, ZERO_PADDING + CROPPING) and before.sides is not None and output.sides is not None:
        sign, edges = ("+", layer.padding) if isinstance(layer, ZERO_PADDING) else ("-", layer.cropping)
        edges = [edges] if isinstance(edges[0], int) else edges
        sides = [
            f"{_text(n)} {sign} {a} {sign} {b} = {_text(out)}"
            for n, (a, b), out in zip(before.sides, edges, output.sides)
        ]
    else:
        return _vector_formula(layer, inputs, output)
    return sides[0] if len(set(sides)) == 1 else "; ".join(f"{axis}: {text}" for axis, text in zip("hwd", sides))


def _window_formula(layer: Any, size: int | None, kernel: int, stride: int, dilation: int, out: int | None) -> str:
    n, result, width = _text(size), _text(out), (kernel - 1) * dilation + 1
    if isinstance(layer, TRANSPOSED):
        text = f"{n}*{stride}" if layer.padding == "same" else f"({n} - 1)*{stride} + {max(kernel, stride)}"
    elif layer.padding == "causal":
        text = f"floor(({n} + {width - 1} - {width})/{stride}) + 1"
    elif layer.padding == "same" and (stride > 1 or width % 2 == 0):  # Keras pads unevenly here
        text = f"ceil({n}/{stride})"
    else:
        padding = (width - 1) // 2 if layer.padding == "same" else 0
        text = f"floor(({n} + 2*{padding} - {width})/{stride}) + 1"
    return f"{text} = {result}"


def _vector_formula(layer: Any, inputs: list[Seen], output: Seen) -> str:
    if not inputs:
        return ""
    before = inputs[0].shape
    if isinstance(layer, GLOBAL_POOLING):
        of = "maximum" if isinstance(layer, GLOBAL_MAX) else "mean"
        return f"{of} of {_times(before[:-1])} positions, {_text(before[-1])} channels"
    if isinstance(layer, kl.Flatten):
        return f"{_times(before)} = {_times(output.shape)}"
    if isinstance(layer, kl.Dense):
        return f"{_text(before[-1])} -> {_text(output.shape[-1])}"
    if isinstance(layer, kl.Concatenate):
        return " + ".join(_text(value.shape[-1]) for value in inputs) + f" = {_text(output.shape[-1])} channels"
    return "" if before == output.shape else f"{_times(before)} -> {_times(output.shape)}"


def _text(size: int | None) -> str:
    return "n" if size is None else str(size)


def _times(sizes: Sides) -> str:
    return "*".join(_text(size) for size in sizes)


def _whole(number: Any) -> Any:
    return int(number) if number is not None and number == int(number) else number

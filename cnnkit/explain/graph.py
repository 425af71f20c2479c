"""Walking a Keras model layer by layer, nested models included.

Choices:
- One interpreter serves everything here: given arrays it computes feature maps, given descriptions it fills
  the layer table. No sub-model is built or compiled, so looking at one image costs one plain pass.
- Every use of Keras's own graph (`_nodes_by_depth`, `_functional`), which is not public, is in this file.
- A layer inside a nested model is named with its path: `backbone/conv1`.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from cnnkit.errors import ArtifactError, CnnkitError

Apply = Callable[[str, Any, tuple, dict], Any]


def graph_of(model: keras.Model) -> Any:
    """Return the graph of layers behind a functional or a built Sequential model.

    Errors: `ArtifactError` for a model that only its own `call` method describes.
    """
    graph = getattr(model, "_functional", None) or model  # a Sequential keeps its graph inside
    if not hasattr(graph, "_nodes_by_depth"):
        raise ArtifactError(
            f"Model {model.name} has no graph of layers to look into. Build it with keras.Model(inputs, outputs)."
        )
    return graph


def interpret(model: keras.Model, inputs: Sequence[Any], apply: Apply, prefix: str = "") -> list[Any]:
    """Run a model's graph on any kind of value, one layer at a time, in an order in which it can be computed.

    Args:
        model: functional or Sequential `keras.Model`.
        inputs: one value for each of the model's inputs: tensors, or anything else `apply` understands.
        apply: `apply(name, node, args, kwargs) -> outputs` does the work of one layer; `node.operation` is the layer,
            `node.outputs` its symbolic outputs, `args` and `kwargs` the values it is called with.
        prefix: the path of a nested model.

    Returns:
        One value for each of the model's outputs.
    """
    graph = graph_of(model)
    values = {id(tensor): value for tensor, value in zip(graph.inputs, inputs)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            name = prefix + node.operation.name
            args, kwargs = node.arguments.fill_in(values)
            if isinstance(node.operation, keras.Model):
                outputs = interpret(node.operation, keras.tree.flatten(args), apply, f"{name}/")
            else:
                outputs = keras.tree.flatten(apply(name, node, args, kwargs))
            values.update({id(tensor): value for tensor, value in zip(node.outputs, outputs)})
    return [values[id(tensor)] for tensor in graph.outputs]


def followed(model: keras.Model, layer: str, most: int = 3) -> list[str]:
    """Return a layer and those behind it, by their names without paths: as long as each is all that reads the one before.

    A layer that multiplies by a kernel of its own ends them.
    """
    readers: dict[str, set[str]] = {}
    multiply: set[str] = set()

    def note(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
        for made_by in keras.tree.flatten((args, kwargs)):
            if isinstance(made_by, str):
                readers.setdefault(made_by, set()).add(node.operation.name)
        if hasattr(node.operation, "kernel"):
            multiply.add(node.operation.name)
        return [node.operation.name] * len(node.outputs)

    interpret(model, [""] * len(graph_of(model).inputs), note)
    found = [layer]
    while len(found) < most and len(behind := readers.get(found[-1], set())) == 1 and not behind & multiply:
        found += behind
    return found


def run(node: Any, args: tuple, kwargs: dict, name: str | None = None) -> Any:
    """Call one layer as in inference: no dropout, no augmentation, batch norm with its moving averages.

    Args:
        node, args, kwargs: as `interpret` gives them.
        name: of a graph that is made anew, where names of functions, which are unique in a model, may meet those of a nested one.
    """
    if name is not None and not isinstance(node.operation, keras.Layer):
        operation = copy.copy(node.operation)
        operation.name, operation._inbound_nodes, operation._outbound_nodes = name.replace("/", "_"), [], []
        return operation(*args, **kwargs)
    call = getattr(node.operation, "call", node.operation)
    if "training" in inspect.signature(call).parameters:
        kwargs = {**kwargs, "training": False}
    return node.operation(*args, **kwargs)


def gradient_of(function: Any, at: Any) -> np.ndarray:
    """Return the gradient of a function, tensor -> one number, at a tensor: float32, of its shape."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(at)
            score = function(at)
        gradient = tape.gradient(score, at, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    elif backend == "jax":
        import jax

        gradient = jax.grad(function)(at)
    else:
        raise CnnkitError(f"Gradients need the tensorflow or jax backend, not {backend}. Set KERAS_BACKEND=tensorflow.")
    return keras.ops.convert_to_numpy(keras.ops.cast(gradient, "float32"))

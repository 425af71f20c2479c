"""What a model computes on its way: its first filters, its feature maps, and where a decision comes from (Grad-CAM).

Choices:
- Nothing is changed or rebuilt in the model; one layer is listened to during one plain pass.
- Grad-CAM adds zeros to a layer's output and differentiates the class score by them. That is the gradient of the
  feature maps, also with skip connections and inside nested models, and it is the same for TensorFlow and JAX.
- Results are NumPy arrays without the batch axis.
"""

from typing import Any

import cv2
import keras
import numpy as np
from keras import layers as kl

from cnnkit.errors import CnnkitError
from cnnkit.explain import graph

FILTERS = (kl.Conv2D, kl.DepthwiseConv2D, kl.SeparableConv2D)
# Coarser or as the layer before:
NOT_EVIDENCE = (
    *(kl.MaxPooling2D, kl.AveragePooling2D, kl.Dropout, kl.SpatialDropout2D),
    *(kl.MaxPooling3D, kl.AveragePooling3D, kl.SpatialDropout3D),
)
COARSEST = 5  # positions a side


def first_filters(model: keras.Model) -> np.ndarray:
    """Return the weights of the first layer that slides filters over the image.

    Args:
        model: functional or Sequential `keras.Model`.

    Returns:
        float32 (kernel height, kernel width, input channels, filters), any value. Depthwise layers have one channel.

    Errors: `CnnkitError` for a model without a 2-D convolution.
    """
    for layer in _layers(model).values():
        if isinstance(layer, kl.SeparableConv2D):
            kernel = layer.depthwise_kernel
        elif isinstance(layer, FILTERS):
            kernel = layer.kernel
        else:
            continue
        weights = keras.ops.convert_to_numpy(kernel).astype(np.float32)
        if isinstance(layer, kl.Conv2D):
            return weights
        height, width, channels, multiplier = weights.shape
        return weights.reshape(height, width, 1, channels * multiplier)
    raise CnnkitError(f"Model {model.name} has no 2-D convolution, so there are no filters to show.")


def feature_maps(model: keras.Model, image: np.ndarray, layer: str) -> np.ndarray:
    """Compute what one layer puts out for one image.

    Args:
        model: functional or Sequential `keras.Model`, (b, h, w, c) in [0, 255].
        image: (h, w) or (h, w, c) at the model's size, in [0, 255].
        layer: the layer's name; `backbone/conv1` for a layer of a nested model.

    Returns:
        float32 (height, width, maps) for a layer that keeps the image's sides, otherwise the layer's own shape.

    Errors: `CnnkitError` for a name the model does not have, with those that exist.
    """
    return all_feature_maps(model, image, [layer])[layer]


def all_feature_maps(model: keras.Model, image: np.ndarray, layers: list[str] | None = None) -> dict[str, np.ndarray]:
    """Compute what several layers put out for one image, in one pass; without `layers`, all that keep a picture.

    Args, returns and errors as `feature_maps`; the result is a dict from name to maps, in the order of computation.
    """
    for layer in layers or ():
        _require(model, layer)
    maps: dict[str, np.ndarray] = {}

    def listen(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
        outputs = graph.run(node, args, kwargs)
        first = keras.tree.flatten(outputs)[0]
        if name not in maps and (name in layers if layers is not None else len(first.shape) == 4):
            maps[name] = keras.ops.convert_to_numpy(keras.ops.cast(first, "float32"))[0]
        return outputs

    graph.interpret(model, [_batch(model, image)], listen)
    return maps


def grad_cam(
    model: keras.Model, image: np.ndarray, class_index: int | None = None, layer: str | None = None
) -> np.ndarray:
    """Show which parts of an image speak for a class.

    Every position is weighed by its own gradient (HiResCAM). Before global average pooling that is Grad-CAM as published; before
    `Flatten`, where a map can speak for a class in one place and against it in another, the published mean over positions lights
    up plain background (seen on `default` and `simple_cnn`).

    Args:
        model: functional or Sequential classifier, (b, h, w, c) in [0, 255] -> logits (b, classes).
        image: (h, w) or (h, w, c) at the model's size, in [0, 255].
        class_index: the class asked about; without it, the one the model answers.
        layer: name of a layer with feature maps; without it, `last_maps`.

    Returns:
        float32 (h, w) heatmap in [0, 1] at the image's size, 1 where the evidence is strongest; all 0 where no position
        speaks for the class.

    Errors: `CnnkitError` for a class or layer that the model does not have, a model that is no classifier, or a Keras
    backend other than TensorFlow and JAX.

    Source: Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization";
    Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations".
    """
    batch = _batch(model, image)
    if layer is None:
        layer = last_maps(model)
    else:
        _require(model, layer)
    features: list[Any] = []

    def scores(nudge: Any = None) -> Any:
        features.clear()

        def listen(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
            outputs = graph.run(node, args, kwargs)
            if name != layer or features:
                return outputs
            first, *others = keras.tree.flatten(outputs)
            features.append(first)
            return [first if nudge is None else first + nudge, *others]

        return graph.interpret(model, [batch], listen)[0]

    logits = keras.ops.convert_to_numpy(scores())
    if logits.ndim != 2:
        raise CnnkitError(f"Grad-CAM needs a classifier; model {model.name} puts out the shape {logits.shape[1:]}.")
    maps = keras.ops.convert_to_numpy(keras.ops.cast(features[0], "float32"))[0]
    if maps.ndim != 3:
        raise CnnkitError(f"Grad-CAM needs feature maps; layer {layer} puts out a vector. Try {last_maps(model)}.")
    if class_index is None:
        class_index = int(logits[0].argmax())
    elif not 0 <= class_index < logits.shape[1]:
        raise CnnkitError(f"The model has no class {class_index}. Its classes are 0 to {logits.shape[1] - 1}.")
    gradient = graph.gradient_of(lambda nudge: scores(nudge)[0, class_index], keras.ops.zeros_like(features[0]))
    heat = np.maximum((maps * gradient[0]).sum(axis=-1), 0)
    heat = cv2.resize(heat, (batch.shape[2], batch.shape[1]), interpolation=cv2.INTER_LINEAR)
    peak = heat.max()
    return (heat / peak if peak > 0 else np.zeros_like(heat)).astype(np.float32)


def last_maps(model: keras.Model) -> str:
    """Name the last layer whose output still has a place in the image, pooling left out.

    Maps below 5x5 say too little of where; they are taken only where there are no larger ones.

    Errors: `CnnkitError` for a model without such a layer.
    """
    found = [
        (path, min(side or COARSEST for side in shape[1:3]))
        for path, (layer, shape) in _shapes(model).items()
        if len(shape) == 4 and not isinstance(layer, NOT_EVIDENCE) and set(shape[1:3]) != {1}
    ]
    if not found:
        raise CnnkitError(f"Model {model.name} has no layer with feature maps, so there is nothing to explain.")
    fine = [path for path, side in found if side >= COARSEST]
    return fine[-1] if fine else found[-1][0]


def overlay(image: np.ndarray, heatmap: np.ndarray, *, side: int = 168) -> np.ndarray:
    """Lay a heatmap over its image.

    Args:
        image: (h, w), (h, w, 1) or (h, w, 3) in [0, 255].
        heatmap: (h, w) in [0, 1].
        side: a smaller image is enlarged, its pixels kept square, until its shorter side is about this many px.

    Returns:
        uint8 (height, width, 3) RGB: the image in grey, orange where the evidence is.
    """
    grey = np.asarray(image, np.float32).reshape(*heatmap.shape, -1).mean(axis=-1)
    factor = max(1, round(side / min(grey.shape)))
    size = (grey.shape[1] * factor, grey.shape[0] * factor)
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST)[..., None]
    heat = cv2.resize(np.asarray(heatmap, np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None].clip(0, 1)
    orange = np.array([255, 122, 24], np.float32)
    strength = 0.9 * heat**0.7
    mixed = (0.25 * 128 + 0.75 * grey) * (1 - strength) + (0.65 * orange + 0.35 * grey * orange / 255) * strength
    return mixed.round().clip(0, 255).astype(np.uint8)


def _batch(model: keras.Model, image: np.ndarray) -> Any:
    """The image as a batch of one, checked against the model's input."""
    inputs = graph.graph_of(model).inputs
    shape = tuple(inputs[0].shape[1:])
    array = np.asarray(image)
    if array.ndim == 2 and len(shape) == 3:
        array = array[..., None]
    fits = array.ndim == len(shape) and all(need in (None, side) for need, side in zip(shape, array.shape))
    if not fits or len(inputs) > 1:
        raise ValueError(f"`image` needs the shape {shape} of the model's input. Received: image.shape={image.shape}.")
    return keras.ops.convert_to_tensor(array[None].astype(inputs[0].dtype))


def _shapes(model: keras.Model) -> dict[str, tuple[Any, tuple]]:
    """Every layer by name, with its first output's shape, in the order of computation."""
    found: dict[str, tuple[Any, tuple]] = {}

    def note(name: str, node: Any, args: tuple, kwargs: dict) -> list[None]:
        found.setdefault(name, (node.operation, tuple(node.outputs[0].shape)))
        return [None] * len(node.outputs)

    graph.interpret(model, [None] * len(graph.graph_of(model).inputs), note)
    return found


def _layers(model: keras.Model) -> dict[str, Any]:
    return {name: layer for name, (layer, _) in _shapes(model).items()}


def _require(model: keras.Model, layer: str) -> None:
    names = _layers(model)
    if layer not in names:
        raise CnnkitError(f"The model has no layer {layer}. It has: {', '.join(names)}.")

"""Round weights to eight bits by what rounding does to a layer's output, not each to its nearest step.

Design choices:
- The converter gives each filter 255 even steps up to its largest weight, and takes the nearest step for each weight. Errors
  of neighbouring weights then add up wherever inputs go together: a pixel and the one beside it, or all in a dark image.
  Here weights are rounded one after the other, and what one leaves behind is made good by those that follow, as far as the
  inputs of calibration images allow. The largest weight of a filter stays, so the converter finds the same steps, and its
  own rounding has nothing left to do.
- On a fine-tuned MobileNetV2 0.35 (43 signs, 2,580 test images) the int8 file with nearest steps answered 51 images otherwise
  than the trained model and lost 1.1 points; with these 31 and 0.6 (one seed).
- Convolutions, of volumes too, and depthwise ones, where small models have their weights. Dense layers are left to the converter.

Source: Frantar et al. 2022, arXiv:2210.17323 (OPTQ); Nagel et al. 2020, arXiv:2004.10568 (why nearest is not best).
"""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

STEPS = 127  # to either side of 0
POSITIONS = 256  # of a map, at most about so many, at which a layer's input is looked at
DAMPING = 0.01  # of the mean squared input, on the diagonal: keeps directions that no image shows from running away
_BATCH = 16
_NUMBERS = 2**28  # of all layers' inputs, for which a batch is smaller: 1 GB; a volume has many


def rounded(model: Any, images: np.ndarray, but: Collection[str] = ()) -> Any:
    """Return a copy of a model whose convolutions have weights on the converter's eight-bit steps.

    Args:
        model: `keras.Model` of one image input.
        images: (n, h, w, c) in [0, 255], or volumes (n, d, h, w, c), as the model meets them; 100 are enough.
        but: layers whose weights stay as they are.
    """
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    layers = [layer for layer in copy.layers if _fits(layer) and layer.name not in but]
    for layer, second_moments in zip(layers, _second_moments(copy, layers, images), strict=True):
        kernel, *others = layer.get_weights()
        if second_moments.ndim == 3:  # depthwise: each channel has its own
            flat = kernel.reshape(-1, kernel.shape[2])
            found = [round_filters(flat[:, [c]], moments) for c, moments in enumerate(second_moments)]
            flat = np.concatenate(found, axis=1)
        else:
            flat = round_filters(kernel.reshape(-1, kernel.shape[-1]), second_moments)
        layer.set_weights([flat.reshape(kernel.shape).astype("float32"), *others])
    copy.on_steps = True
    return copy


def disturbance(model: Any, copy: Any, images: np.ndarray) -> tuple[float, str]:
    """Return how much a rounded copy's filters do otherwise than the model's, at most, and in which layer.

    Args:
        model: `keras.Model` of one image input.
        copy: of it, by `rounded`.
        images: as `rounded` takes them.

    Returns:
        The largest mean squared change of a filter's output over that of nearest rounding, which is a twelfth of a squared step
        times the inputs' energy, and a ten-thousandth of the output's own; rounded by its effect it is about or below 1, in small
        filters some more. Infinite where other weights changed.
    """
    layers = [layer for layer in model.layers if _fits(layer)]
    names = {layer.name for layer in layers}
    for one, other in zip(model.layers, copy.layers, strict=True):
        before, after = one.get_weights(), other.get_weights()
        kept = slice(1 if one.name in names else 0, None)
        if not all(np.array_equal(a, b) for a, b in zip(before[kept], after[kept], strict=True)):
            return float("inf"), one.name
    worst, where = 0.0, ""
    for layer, moments in zip(layers, _second_moments(model, layers, images), strict=True):
        before, after = (source.get_layer(layer.name).get_weights()[0].astype("float64") for source in (model, copy))
        if moments.ndim == 3:
            before, change = (k.reshape(-1, len(moments)).T[..., None] for k in (before, after - before))
        else:
            moments = moments[None]
            before, change = (k.reshape(1, -1, k.shape[-1]) for k in (before, after - before))
        found = np.einsum("cif,cij,cjf->cf", change, moments, change, optimize=True)
        steps = np.abs(before).max(axis=1) / STEPS
        energy = np.trace(moments, axis1=1, axis2=2)[:, None]
        # Where few inputs go together, what the largest weight, which stays, cannot make good is left: little of the output.
        signal = np.einsum("cif,cij,cjf->cf", before, moments, before, optimize=True)
        expected = steps**2 / 12 * energy + 1e-4 * signal + 1e-30
        ratio = float((found / expected).max(initial=0.0))
        if ratio > worst:
            worst, where = ratio, layer.name
    return worst, where


def round_filters(weights: np.ndarray, second_moments: np.ndarray) -> np.ndarray:
    """Round filters to 127 even steps either side of 0, up to the largest weight of each.

    Args:
        weights: float (inputs, filters).
        second_moments: float (inputs, inputs), the sum of x xT over what the filters read.

    Returns:
        float64 (inputs, filters), near the least of the summed squared change of the filters' outputs.
    """
    count, columns = len(weights), np.arange(weights.shape[1])
    left = weights.astype("float64")
    largest = np.abs(left).argmax(axis=0)
    kept = left[largest, columns]
    steps = np.maximum(np.abs(kept) / STEPS, 1e-12)
    damping = DAMPING * np.trace(second_moments) / count + 1e-6
    order = np.argsort(-np.diag(second_moments), kind="stable")  # the inputs that matter most first
    moments = (second_moments + damping * np.eye(count))[np.ix_(order, order)]
    upper = np.linalg.cholesky(np.linalg.inv(moments)).T
    left = left[order]
    result = np.zeros_like(left)
    for row in range(count):
        result[row] = np.clip(np.round(left[row] / steps), -STEPS, STEPS) * steps
        error = (left[row] - result[row]) / upper[row, row]
        left[row + 1 :] -= np.outer(upper[row, row + 1 :], error)
    result[order] = result.copy()
    result[largest, columns] = kept
    return result


def _fits(layer: Any) -> bool:
    import keras

    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return layer.depth_multiplier == 1
    if type(layer) is keras.layers.Conv3D:
        return layer.groups == 1 and set(layer.dilation_rate) == {1}
    return type(layer) is keras.layers.Conv2D and layer.groups == 1


def _second_moments(model: Any, layers: list[Any], images: np.ndarray) -> list[np.ndarray]:
    """Return of each layer the sum of x xT over its inputs x: (inputs, inputs), or for depthwise (c, inputs, inputs)."""
    import keras

    if not layers:
        return []
    inputs = keras.Model(model.inputs[0], [layer.input for layer in layers])
    totals: list[Any] = [0.0] * len(layers)
    numbers = sum(math.prod(side or 1 for side in layer.input.shape[1:]) for layer in layers)
    batch = max(1, min(_BATCH, _NUMBERS // numbers))
    for start in range(0, len(images), batch):
        maps = keras.tree.flatten(inputs(np.asarray(images[start : start + batch], "float32"), training=False))
        for number, (layer, values) in enumerate(zip(layers, maps, strict=True)):
            patches = _patches(values, layer)
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                by_channel = patches.reshape(len(patches), -1, values.shape[-1]).transpose(2, 1, 0)
                totals[number] = totals[number] + by_channel @ by_channel.transpose(0, 2, 1)
            else:
                totals[number] = totals[number] + patches.T @ patches
    return [np.asarray(total, "float64") for total in totals]


def _patches(values: Any, layer: Any) -> np.ndarray:
    """Return what a layer's filters read, float32 (n, inputs), at evenly spread positions of its maps."""
    import tensorflow as tf

    sides = [side // stride for side, stride in zip(values.shape[1:-1], layer.strides, strict=True)]
    spread = (math.prod(sides) / POSITIONS) ** (1 / len(sides))
    spread = max(
        1, round(spread) if layer.rank == 3 else int(spread)
    )  # along three axes, 1.9 taken for 1 is seven times as many
    sizes, strides = [1, *layer.kernel_size, 1], [1, *(stride * spread for stride in layer.strides), 1]
    if layer.rank == 3:
        found = tf.extract_volume_patches(values, sizes, strides, layer.padding.upper())
    else:
        rates = [1, *layer.dilation_rate, 1]
        found = tf.image.extract_patches(values, sizes, strides, rates, layer.padding.upper())
    return found.numpy().reshape(-1, found.shape[-1])

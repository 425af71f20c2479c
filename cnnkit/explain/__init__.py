"""Look into a model: its layers worked out by hand, its filters, its feature maps, and what a decision rests on.

Works on every functional or Sequential Keras model, float32 (b, h, w, c) in [0, 255] -> logits (b, classes), with the
TensorFlow and the JAX backend. The functions return plain data and NumPy arrays; the `*_figure` functions draw them;
`explain` does everything for one image and writes PNGs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnkit.explain.activations import all_feature_maps, feature_maps, first_filters, grad_cam, last_maps, overlay
from cnnkit.explain.classic import classic_filters
from cnnkit.explain.layers import layer_table, totals
from cnnkit.explain.pictures import (
    classic_filters_figure,
    feature_maps_figure,
    filters_figure,
    grad_cam_figure,
    journey_figure,
    layer_table_figure,
    sides_text,
)
from cnnkit.report.drawing import save

__all__ = [
    "all_feature_maps",
    "classic_filters",
    "classic_filters_figure",
    "explain",
    "feature_maps",
    "feature_maps_figure",
    "filters_figure",
    "first_filters",
    "grad_cam",
    "grad_cam_figure",
    "journey_figure",
    "last_maps",
    "layer_table",
    "layer_table_figure",
    "overlay",
    "probabilities",
    "save",
    "sides_text",
    "totals",
]


def explain(
    model: keras.Model,
    image: np.ndarray,
    out: Path | str,
    *,
    labels: Sequence[str] | None = None,
    class_index: int | None = None,
    layer: str | None = None,
) -> dict[str, Any]:
    """Explain one image and write every picture.

    Grad-CAM weighs every position by its own gradient here. Before global average pooling that is the published method;
    before `Flatten` the published mean over positions lights up plain background (seen on `default` and `simple_cnn`).

    Args:
        model: functional or Sequential classifier, float32 (b, h, w, c) in [0, 255] -> logits (b, classes).
        image: (h, w) or (h, w, c) at the model's size, in [0, 255].
        out: folder for the pictures; made where it does not exist.
        labels: the classes' names; without them, their numbers.
        class_index: the class that Grad-CAM asks about; without it, the one the model answers.
        layer: a layer for feature maps and Grad-CAM; without it, every layer's maps, and Grad-CAM on the last.

    Returns:
        `label` and `confidence` in [0, 1] of the class asked about, `layers` (the layer table), `totals`, and
        `pictures`: dict from `layers`, `filters`, `feature_maps`, `grad_cam`, `classic_filters` to the path written.

    Errors: `CnnkitError` for a layer or class the model does not have, and where a picture cannot be written.
    """
    out = Path(out)
    rows = layer_table(model)
    if layer is None:
        shown = [row["name"] for row in rows if row["kernel"]]  # what learns and what pools; the rest repeats them
        maps = {name: values for name, values in all_feature_maps(model, image).items() if name in shown}
        maps_figure = journey_figure(image, maps)
        cam_layer = None
    else:
        values = feature_maps(model, image, layer)
        maps_figure = feature_maps_figure(values, layer)
        cam_layer = layer if values.ndim == 3 and min(values.shape[:2]) > 1 else None
    scores = probabilities(model, image)
    heatmap = grad_cam(model, image, class_index, cam_layer, average=False)
    asked = int(scores.argmax()) if class_index is None else class_index
    label = str(asked) if labels is None else labels[asked]
    figures = {
        "layers": layer_table_figure(rows, f"The layers of {model.name}"),
        "filters": filters_figure(first_filters(model)),
        "feature_maps": maps_figure,
        "grad_cam": grad_cam_figure(image, heatmap, label, float(scores[asked])),
        "classic_filters": classic_filters_figure(classic_filters(image)),
    }
    paths = {name: out / f"{name.replace('_', '-')}.png" for name in figures}
    for name, figure in figures.items():
        save(figure, paths[name])
    return {
        "label": label,
        "confidence": float(scores[asked]),
        "layers": rows,
        "totals": totals(rows),
        "pictures": paths,
    }


def probabilities(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Return a classifier's answer to one image, (h, w) or (h, w, c) in [0, 255]: float32 (classes,) in [0, 1]."""
    array = np.asarray(image, np.float32).reshape(1, *image.shape[:2], -1)
    logits = keras.ops.cast(model(array, training=False), "float32")
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]

"""Explaining a classifier of images: every picture of one image, and examples for a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnkit.errors import CnnkitError
from cnnkit.explain.layers import layer_table, totals
from cnnkit.inputs.image.explain import pictures
from cnnkit.inputs.image.explain.activations import all_feature_maps, feature_maps, first_filters, grad_cam, overlay
from cnnkit.inputs.image.explain.classic import classic_filters
from cnnkit.report.drawing import save

SAMPLES, ERRORS = 6, 6  # of a report; a row each


def explain(
    model: keras.Model,
    image: np.ndarray,
    out: Path | str,
    *,
    labels: Sequence[str] | None = None,
    layer: str | None = None,
) -> dict[str, Any]:
    """Explain one image and write every picture.

    Args:
        model: functional or Sequential classifier, float32 (b, h, w, c) in [0, 255] -> logits (b, classes).
        image: (h, w) or (h, w, c) at the model's size, in [0, 255].
        out: folder for the pictures; made where it does not exist.
        labels: the classes' names; without them, their numbers.
        layer: a layer for feature maps and Grad-CAM; without it, every layer's maps, and Grad-CAM on the last.

    Returns:
        `label` and `confidence` in [0, 1] of the answer, `layers` (the layer table), `totals`, and
        `pictures`: dict from `layers`, `filters`, `feature_maps`, `grad_cam`, `classic_filters` to the path written.

    Errors: `CnnkitError` for a layer that the model does not have, and where a picture cannot be written.
    """
    out = Path(out)
    rows = layer_table(model)
    if layer is None:
        shown = [row["name"] for row in rows if row["kernel"]]  # what learns and what pools; the rest repeats them
        maps = {name: values for name, values in all_feature_maps(model, image).items() if name in shown}
        maps_figure = pictures.journey_figure(image, maps)
        cam_layer = None
    else:
        values = feature_maps(model, image, layer)
        maps_figure = pictures.feature_maps_figure(values, layer)
        cam_layer = layer if values.ndim == 3 and min(values.shape[:2]) > 1 else None
    scores = probabilities(model, image)
    heatmap = grad_cam(model, image, layer=cam_layer)
    asked = int(scores.argmax())
    label = str(asked) if labels is None else labels[asked]
    figures = {
        "layers": pictures.layer_table_figure(rows, f"The layers of {model.name}"),
        "filters": pictures.filters_figure(first_filters(model)),
        "feature_maps": maps_figure,
        "grad_cam": pictures.grad_cam_figure(image, heatmap, label, float(scores[asked])),
        "classic_filters": pictures.classic_filters_figure(classic_filters(image)),
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


def examples(
    model: keras.Model,
    labels: Sequence[str],
    worst: Sequence[Mapping[str, Any]],
    samples: tuple[np.ndarray, Sequence[str], np.ndarray],
) -> list[dict[str, Any]]:
    """Explain some samples and the worst errors, where they have the model's size.

    Args:
        model: as `explain` takes it.
        labels: the classes' names.
        worst: the worst errors, as `cnnkit.report.page.render` takes them.
        samples: images uint8 (n, h, w, c), their labels, and what a report has beside them.

    Returns:
        For each: `image` uint8 (h, w, 3), orange where the evidence is; `label`; `predicted`; `confidence` in [0, 1]. None
        of a model without feature maps, or with another backend than Grad-CAM knows.
    """
    shape = tuple(model.input_shape[1:])
    chosen = [(image, str(name)) for image, name in zip(*samples[:2])][:SAMPLES]
    for entry in [entry for entry in worst if entry.get("image") is not None][:ERRORS]:
        true = entry["true"]
        chosen.append((entry["image"], str(labels[int(true)]) if isinstance(true, (int, np.integer)) else str(true)))
    found = []
    for image, label in chosen:
        if np.shape(image) != shape:
            continue
        try:
            scores = probabilities(model, image)
            heatmap = grad_cam(model, image)
        except CnnkitError:  # no feature maps or another backend: the report is written without this section
            return []
        answer = int(scores.argmax())
        found.append(
            {
                "image": overlay(image, heatmap),
                "label": label,
                "predicted": labels[answer] if answer < len(labels) else str(answer),
                "confidence": float(scores[answer]),
            }
        )
    return found

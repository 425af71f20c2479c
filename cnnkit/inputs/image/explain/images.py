"""Explaining a classifier of images: every picture of one image, and examples for a report.

Of the mean of several models, as of folds, the evidence is the mean of theirs, and the layers are those of the first.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from cnnkit.device.kinds import Scores
from cnnkit.errors import CnnkitError
from cnnkit.explain.layers import layer_table, totals
from cnnkit.inputs.image.explain import pictures
from cnnkit.inputs.image.explain.activations import all_feature_maps, feature_maps, first_filters, grad_cam, overlay
from cnnkit.inputs.image.explain.classic import classic_filters
from cnnkit.registry import DEVICE, task_of
from cnnkit.report.drawing import save
from cnnkit.training.ensemble import members


class Answered(NamedTuple):
    """What a model answers to an image.

    Attributes:
        place: of the output that is asked for its evidence: the class.
        sure: how sure the answer is, in [0, 1]; None where that is not known.
        words: what the answer is called; "": as the label of its place.
    """

    place: int
    sure: float | None
    words: str = ""


Answer = Callable[[np.ndarray], Answered]  # of an image (h, w, c)
SAMPLES, ERRORS = 6, 6  # of a report; a row each


def explain(
    model: keras.Model,
    image: np.ndarray,
    out: Path | str,
    *,
    labels: Sequence[str] | None = None,
    layer: str | None = None,
    answer: Answer | None = None,
    listed: keras.Model | None = None,
) -> dict[str, Any]:
    """Explain one image and write every picture.

    Args:
        model: functional or Sequential classifier, float32 (b, h, w, c) in [0, 255] -> logits (b, classes).
        image: (h, w) or (h, w, c) at the model's size, in [0, 255].
        out: folder for the pictures; made where it does not exist.
        labels: the classes' names; without them, their numbers.
        layer: a layer for feature maps and Grad-CAM; without it, every layer's maps, and Grad-CAM on the last.
        answer: as `predict` answers; without it the class of the largest logit.
        listed: whose layers are listed, where `model` has some more that only explain; None: its own.

    Returns:
        `label` of the answer and its `confidence` in [0, 1], or None; `layers` (the layer table), `totals`, and
        `pictures`: dict from `layers`, `filters`, `feature_maps`, `grad_cam`, `classic_filters` to the path written.

    Errors: `CnnkitError` for a layer that the model does not have, and where a picture cannot be written.
    """
    out = Path(out)
    each = members(model) or [model]
    one = each[0]
    rows = layer_table(one if listed is None or listed is model else listed)
    if layer is None:
        shown = [row["name"] for row in rows if row["kernel"]]  # what learns and what pools; the rest repeats them
        maps = {name: values for name, values in all_feature_maps(one, image).items() if name in shown}
        maps_figure = pictures.journey_figure(image, maps)
        cam_layer = None
    else:
        values = feature_maps(one, image, layer)
        maps_figure = pictures.feature_maps_figure(values, layer)
        cam_layer = layer if values.ndim == 3 and min(values.shape[:2]) > 1 else None
    asked, sure, words = (answer or largest(model))(image)
    heatmap = _evidence(each, image, asked, cam_layer)
    label = words or (str(asked) if labels is None else labels[asked])
    figures = {
        "layers": pictures.layer_table_figure(rows, f"The layers of {one.name}"),
        "filters": pictures.filters_figure(first_filters(one)),
        "feature_maps": maps_figure,
        "grad_cam": pictures.grad_cam_figure(image, heatmap, label, sure),
        "classic_filters": pictures.classic_filters_figure(classic_filters(image)),
    }
    paths = {name: out / f"{name.replace('_', '-')}.png" for name in figures}
    for name, figure in figures.items():
        save(figure, paths[name])
    return {
        "label": label,
        "confidence": sure,
        "layers": rows,
        "totals": totals(rows),
        "pictures": paths,
    }


def _evidence(models: Sequence[keras.Model], image: np.ndarray, asked: int, layer: str | None = None) -> np.ndarray:
    """Return the mean of what `grad_cam` shows of several models, its peak 1; `layer` is one of the first."""
    if len(models) == 1:
        return grad_cam(models[0], image, asked, layer=layer)
    first = f"{models[0].name}_"
    named = [layer and f"{model.name}_{layer.removeprefix(first)}" for model in models]
    heat = np.mean([grad_cam(m, image, asked, layer=name) for m, name in zip(models, named, strict=True)], axis=0)
    return heat / max(float(heat.max()), 1e-9)


def largest(model: keras.Model) -> Answer:
    """Return what answers an image, (h, w) or (h, w, c) in [0, 255], by the class of the largest logit, and its softmax."""

    def answer(image: np.ndarray) -> Answered:
        array = np.asarray(image, np.float32).reshape(1, *image.shape[:2], -1)
        logits = keras.ops.cast(model(array, training=False), "float32")
        scores = keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]
        return Answered(int(scores.argmax()), float(scores.max()))

    return answer


def as_predicted(artifact: Any) -> Answer | None:
    """Return what answers an image as `predict` does with an artifact; None where that is not one of its labels."""
    task = task_of(artifact.metadata, DEVICE, artifact.path)
    if not isinstance(task, Scores) or tuple(task.outputs) != tuple(Scores.outputs):  # one row of scores an image
        return None

    def answer(image: np.ndarray) -> Answered:
        scores = artifact.run_batch(np.asarray(image).reshape(1, *artifact.input_shape))["scores"][0]
        found = task.answer({"scores": scores}, artifact.metadata, artifact.labels, 1)
        place = artifact.labels.index(found.get("nearest", found["label"]))  # what is unknown is nearest to one
        return Answered(place, float(scores[place]))

    return answer


def examples(
    model: keras.Model,
    labels: Sequence[str],
    worst: Sequence[Mapping[str, Any]],
    samples: tuple[np.ndarray, Sequence[str], np.ndarray],
    answer: Answer | None = None,
) -> list[dict[str, Any]]:
    """Explain some samples and the worst errors, where they have the model's size.

    Args:
        model: as `explain` takes it.
        labels: the classes' names.
        worst: the worst errors, as `cnnkit.report.page.render` takes them.
        samples: images uint8 (n, h, w, c), their labels, and what a report has beside them.
        answer: as `explain`.

    Returns:
        For each: `image` uint8 (h, w, 3), orange where the evidence is; `label`; `predicted`; `confidence` in [0, 1] or
            None. Nothing
        of a model without feature maps, or with another backend than Grad-CAM knows.
    """
    shape = tuple(model.input_shape[1:])
    each = members(model) or [model]
    chosen = [(image, str(name)) for image, name in zip(*samples[:2])][:SAMPLES]
    for entry in [entry for entry in worst if entry.get("image") is not None][:ERRORS]:
        true = entry["true"]
        chosen.append((entry["image"], str(labels[int(true)]) if isinstance(true, (int, np.integer)) else str(true)))
    found = []
    for image, label in chosen:
        if np.shape(image) != shape:
            continue
        try:
            asked, sure, words = (answer or largest(model))(image)
            heatmap = _evidence(each, image, asked)
        except CnnkitError:  # no feature maps or another backend: the report is written without this section
            return []
        found.append(
            {
                "image": overlay(image, heatmap),
                "label": label,
                "predicted": words or (labels[asked] if asked < len(labels) else str(asked)),
                "confidence": sure,
            }
        )
    return found

"""What a model that draws masks looks at (Grad-CAM), and where it is unsure.

Design choices:
- A picture is seen as always: fitted whole or through windows, blended (`cnnkit.device.segmentation.scores`). What is looked for
  stands in the model's place there, so that windows, scales and edges are the same.
- Grad-CAM asks of each label what speaks for the pixels that were answered with it: the gradient of the sum of their logits by
  the coarsest maps, each place weighed by its own gradient (`cnnkit.inputs.image.explain.activations`). Finer maps show the
  answer once more and not what it rests on. Where objects are told apart, a pixel speaks by the larger of its logits, of inside
  or border.
- A model is unsure where it says otherwise of the same place seen otherwise: mirrored, or, of several folds, by another fold. One
  that never saw a mirrored view is shown the same windows moved a little, mirrored beyond their edges; of what was moved out of
  sight nothing else is said.
  The number is the standard deviation of a score in [0, 1], of the label whose is largest: 0 where all agree, 0.5 where half of
  them say yes and the others no. It is no probability of an error: what all overlook alike is not seen by it.
- Where mirrored labels would be others, left and right, pictures are not mirrored that way.
- Volumes are looked at in the same way, along three axes, and drawn as contact sheets of slices in three planes.

Source: Vinogradova et al. 2020, arXiv:2002.11434 (Grad-CAM of a region of pixels).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.contours import as_shown, outlined
from cnnkit.device.drawing import colour
from cnnkit.device.resampling import resampled
from cnnkit.device.segmentation import Plan, cleaned, decoded, scores, segment
from cnnkit.device.windows import there
from cnnkit.errors import CnnkitError
from cnnkit.explain import graph
from cnnkit.inputs.image.explain import activations, pictures
from cnnkit.report import drawing
from cnnkit.tasks.segmentation import NOTICE
from cnnkit.tasks.segmentation.masks import planes
from cnnkit.tasks.segmentation.views import mirrors
from cnnkit.tasks.segmentation.volumes.sheets import Sheet

MOVED = 3  # px of the input, by which windows are moved each way; a quarter of a side at most
WAYS = {"folds": "folds", "mirrors": "mirrored views", "moves": "views moved a little"}
LOGITS = "logits"
OVERLAP = 0.25  # of the windows of Grad-CAM, each of which takes a pass a label
COARSEST = 5  # places a side that maps have at least
SIDE, SOLID = 900, 256  # px of what is drawn of pictures, at most; places of maps of volumes along an axis
SLICES, SLICE = 4, 220  # of each plane of a volume; px of its longest side
MOST = 0.5  # of a standard deviation of scores in [0, 1]


@dataclass(frozen=True)
class Doubt:
    """What the views of a picture or a volume say.

    Attributes:
        map: standard deviation of their scores, float32, every `step`-th pixel or voxel along each axis, in [0, 0.5].
        step: px or voxels.
        mean: of all pixels or voxels.
        areas: of each label the pixels or voxels that each view answers with it, int64 (labels, views).
        differ: share of them that not all views answer alike.
    """

    map: np.ndarray
    step: int
    mean: float
    areas: np.ndarray
    differ: float


class _Seen:
    """Stands in a model's place: what `answer` makes of windows are the scores that are blended."""

    def __init__(self, model: Any, answer: Callable[[np.ndarray], np.ndarray]):
        self.input_shape, self._answer = model.input_shape, answer

    def run_batch(self, seen: np.ndarray) -> dict[str, np.ndarray]:
        return {"scores": self._answer(seen)}


def doubt(models: Sequence[Any], picture: np.ndarray, plan: Plan, labels: Sequence[str], **options: Any) -> Doubt:
    """Look at a picture or a volume in several ways, and say how far these are apart.

    Args:
        models: of one network: several folds, each of which is a view; or one, whose views are those of the mirrored picture.
        picture: uint8, uint16 or float (h, w) or (h, w, c); of volumes any numbers (d, h, w, c).
        plan: how pictures meet the models.
        labels: of the models.
        options: as `scores`.
    """
    ways = mirrors(plan, labels) if len(models) == 1 else ()
    flips = [
        some for count in range(len(ways) + 1) for some in itertools.combinations([axis + 1 for axis in ways], count)
    ]
    moves = _moves(models[0].input_shape[:-1]) if len(models) == 1 and not ways else [(0, 0)]
    views = len(models) * len(flips) * len(moves)

    def answer(seen: np.ndarray) -> np.ndarray:
        found: list[np.ndarray] = []
        for model, axes, (axis, by) in itertools.product(models, flips, moves):
            shown = _moved(np.flip(seen, axes), axis, by)
            said = np.flip(model.run_batch(np.ascontiguousarray(shown))["scores"], axes)
            found.append(_back(said, axis, by, found[0]) if by else said)
        return np.concatenate(found, axis=-1)

    extent = _extent(picture, plan)
    step = _step(extent, plan)
    codes = np.empty((views, *extent), np.uint8)
    map_, total = _thin(extent, step), 0.0
    for place, block in scores(_Seen(models[0], answer), picture, replace(plan, mirrors=()), **options):
        apart = block.reshape(*block.shape[:-1], views, -1)
        far = apart.std(axis=-2).max(-1)
        total += float(far.sum(dtype=np.float64))
        for view in range(views):
            codes[view][there(place, far)] = decoded(apart[..., view, :], plan)
        _thinned(map_, place, far, step)
    differ = np.zeros(extent, bool)
    areas = np.empty((len(labels), views), np.int64)
    for view in range(views):
        codes[view] = cleaned(codes[view], plan, labels)
        differ |= codes[view] != codes[0]
        counts = np.bincount(codes[view].ravel(), minlength=256)
        areas[:, view] = [counts[list(region)].sum() for region in plan.codes_of(len(labels))]
    return Doubt(map_, step, total / differ.size, areas, float(differ.mean()))


def _moves(sides: Sequence[int]) -> list[tuple[int, int]]:
    """Return the axis of a batch and the px by which windows are moved along it, both ways; first not at all."""
    ways = [(axis, min(MOVED, side // 4)) for axis, side in enumerate(sides, 1)]
    return [(1, 0), *((axis, sign * by) for axis, by in ways if by for sign in (1, -1))]


def _moved(seen: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Return windows (n, *sides, c) moved along an axis, and mirrored beyond their edges."""
    if not by:
        return seen
    length = seen.shape[axis]
    at = np.arange(length) - by
    return seen.take(np.where(at < 0, -1 - at, np.where(at >= length, 2 * length - 1 - at, at)), axis)


def _back(said: np.ndarray, axis: int, by: int, still: np.ndarray) -> np.ndarray:
    """Return the scores of moved windows in their place; of what was moved out of sight those of `still`, as it lies there."""
    found = still.copy()
    length = said.shape[axis]
    here, place = ((slice(None),) * axis + (slice(max(0, way), length + min(0, way)),) for way in (-by, by))
    found[here] = said[place]
    return found


def evidence(
    models: Sequence[Any],
    picture: np.ndarray,
    plan: Plan,
    labels: Sequence[str],
    layer: str | None = None,
    **options: Any,
) -> np.ndarray:
    """Say which places of a picture or a volume speak for what is answered of it.

    Args:
        models: Keras artifacts; of several it is the mean.
        picture, plan, labels, options: as `doubt`.
        layer: whose maps are looked at; None: the coarsest.

    Returns:
        float32 (labels, *sides), every some pixels or voxels, in [0, 1]: 1 where most speaks for a label; all 0 of a label that
        nothing is answered with, or for which nothing speaks.

    Raises:
        CnnkitError: the layer has no maps, or the backend no gradients.
    """
    extent = _extent(picture, plan)
    step = _step(extent, plan)
    own = replace(plan, mirrors=(), overlap=min(plan.overlap, OVERLAP))
    total = _thin(extent, step, len(labels))
    for model in models:
        where = layer or deepest(model.model)

        def answer(seen: np.ndarray, model: Any = model, where: str = where) -> np.ndarray:
            codes = decoded(model.run_batch(seen)["scores"], plan)
            has = np.moveaxis(planes(codes, plan.codes_of(len(labels))), 0, -1)
            return _heat(model.model, seen, has, where)

        heat = np.empty_like(total)
        for place, block in scores(_Seen(model, answer), picture, own, **options):
            _thinned(heat, place, block, step)
        total += heat / max(1, len(models))
    total = np.moveaxis(total, -1, 0)
    peaks = total.reshape(len(labels), -1).max(1)
    return (total / np.where(peaks > 0, peaks, 1).reshape(-1, *[1] * len(extent))).astype(np.float32)


def deepest(model: Any) -> str:
    """Name the last layer with the coarsest maps, of at least five places a side where there are such.

    Raises:
        CnnkitError: there is no layer with maps.
    """
    found = []

    def note(name: str, node: Any, args: tuple, kwargs: dict) -> list[None]:
        shape = tuple(node.outputs[0].shape)
        sides = sorted(shape[1:-1])
        maps = len(shape) == len(model.inputs[0].shape) > 2 and set(sides) != {1}
        if maps and not isinstance(node.operation, activations.NOT_EVIDENCE):
            found.append((name, sides[-2]))  # of a volume the middle one: a thick axis has few places in any layer
        return [None] * len(node.outputs)

    graph.interpret(model, [None] * len(graph.graph_of(model).inputs), note)
    if not found:
        raise CnnkitError(f"Model {model.name} has no layer with feature maps, so there is nothing to explain.")
    fine = [side for _, side in found if side >= COARSEST]
    wanted = min(fine) if fine else max(side for _, side in found)
    return [name for name, side in found if side == wanted][-1]


def _heat(model: Any, seen: np.ndarray, has: np.ndarray, layer: str) -> np.ndarray:
    """Return what speaks for the places that have each label, at the size of the windows: float32 (n, *sides, labels), from 0."""
    from keras import ops

    batch = ops.convert_to_tensor(seen.astype(np.float32))
    features: list[Any] = []
    heat = np.zeros(has.shape, np.float32)

    def logits(nudge: Any = None) -> Any:
        features.clear()
        ends: list[Any] = []

        def listen(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
            outputs = graph.run(node, args, kwargs)
            if name == layer and not features:
                first, *others = outputs if isinstance(outputs, list | tuple) else [outputs]
                features.append(first)
                outputs = [first if nudge is None else first + nudge, *others]
            if name == LOGITS:
                ends.append(outputs[0] if isinstance(outputs, list | tuple) else outputs)
            return outputs

        graph.interpret(model, [batch], listen)
        return ends[0]

    logits()
    if not features:
        raise CnnkitError(f"The model has no layer {layer}. `layers` of its report names those that it has.")
    if len(features[0].shape) != seen.ndim:
        raise CnnkitError(f"Grad-CAM needs feature maps; layer {layer} puts out a vector. Try {deepest(model)}.")
    maps = np.asarray(ops.convert_to_numpy(ops.cast(features[0], "float32")))
    for label in np.flatnonzero(has.any(tuple(range(seen.ndim - 1)))).tolist():
        wanted = ops.convert_to_tensor(has[..., label].astype(np.float32))

        def wanted_of(nudge: Any, label: int = label, wanted: Any = wanted) -> Any:
            found = ops.cast(logits(nudge), "float32")
            own = found[..., label] if found.shape[-1] == has.shape[-1] else ops.max(found, axis=-1)
            return ops.sum(own * wanted)

        gradient = graph.gradient_of(wanted_of, ops.zeros_like(features[0]))
        own = np.maximum((maps * gradient).sum(-1), 0)
        for axis, side in enumerate(seen.shape[1:-1], 1):
            own = resampled(own, axis, side)
        heat[..., label] = own
    return heat


def _extent(picture: np.ndarray, plan: Plan) -> tuple[int, ...]:
    return picture.shape[:2] if plan.voxel is None else picture.shape[:-1]


def _step(extent: Sequence[int], plan: Plan) -> int:
    """Return which pixels or voxels are drawn: every so many."""
    return max(1, -(-max(extent) // (SIDE if plan.voxel is None else SOLID)))


def _thin(extent: Sequence[int], step: int, *channels: int) -> np.ndarray:
    """Return an empty map of every `step`-th place, float32 (*sides, *channels)."""
    return np.zeros((*(-(-length // step) for length in extent), *channels), np.float32)


def _thinned(into: np.ndarray, place: Sequence[int], block: np.ndarray, step: int) -> None:
    """Put every `step`-th place of a block into such a map."""
    some = block[tuple(slice(-low % step, None, step) for low in place)]
    into[there(tuple(-(-low // step) for low in place), some)] = some


# A picture explained --------------------------------------------------------------------------------------------------


def explain(
    artifact: Any,
    members: Sequence[Any],
    picture: np.ndarray,
    plan: Plan,
    folder: Path,
    *,
    layer: str | None = None,
    spacing: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Explain one picture or volume and write `grad-cam.png` and `unsure.png`.

    Args:
        artifact: Keras artifact.
        members: artifacts of the folds that it is the mean of; () of others.
        picture: uint8, uint16 or float (h, w) or (h, w, c); of volumes any numbers (d, h, w, c).
        plan: how it meets the artifact.
        folder: of the pictures; made where it does not exist.
        layer: whose maps Grad-CAM looks at; None: the coarsest.
        spacing: of a volume's voxels, mm along each axis.

    Returns:
        `labels`: of each its `area` in px or `voxels`, `least` and `most` that a view says, of volumes also its `ml`; `views`,
        their number, and `of`, "mirrors", "moves" or "folds"; `unsure`, the mean standard deviation; `differ`, the share of the
        pixels or voxels that not all views answer alike; `pictures`, the paths written; `notice`.
    """
    labels = artifact.labels
    options: dict[str, Any] = {} if spacing is None else {"spacing": spacing}
    codes = segment(artifact, picture, plan, labels, **options)
    regions = plan.codes_of(len(labels))
    found = doubt(members or [artifact], picture, plan, labels, **options)
    heat = evidence([artifact] if layer else members or [artifact], picture, plan, labels, layer, **options)
    if spacing is None:
        shown = as_shown(picture)[:: found.step, :: found.step]
        drawn = planes(codes[:: found.step, :: found.step], regions)
    else:
        sheet = Sheet.of(codes, regions, spacing, SLICES, SLICE)
        shown, drawn = sheet.picture(picture), sheet.planes(codes, regions)
        heat = np.stack([sheet.laid(own, between=np.nan) for own in heat])
    of = "folds" if members else "mirrors" if mirrors(plan, labels) else "moves"
    paths = {"grad_cam": folder / "grad-cam.png", "unsure": folder / "unsure.png"}
    drawing.save(grad_cam_figure(shown, drawn, heat, labels, plan.noun), paths["grad_cam"])
    unsure = found if spacing is None else replace(found, map=sheet.laid(found.map, between=np.nan))
    drawing.save(doubt_figure(shown, drawn, unsure, labels, of, plan.noun), paths["unsure"])
    areas = np.bincount(codes.ravel(), minlength=256)
    said: dict[str, dict[str, Any]] = {}
    for label, region, views in zip(labels, regions, found.areas, strict=True):
        area = int(areas[list(region)].sum())
        said[label] = {
            "area" if spacing is None else "voxels": area,
            "least": int(views.min()),
            "most": int(views.max()),
        }
        if spacing is not None:
            said[label]["ml"] = round(area * float(np.prod(spacing)) / 1000, 4)
    return {
        "labels": said,
        "views": found.areas.shape[1],
        "of": of,
        "unsure": round(found.mean, 6),
        "differ": round(found.differ, 6),
        "pictures": paths,
        "notice": NOTICE,
    }


def told(name: str, about: Mapping[str, Any]) -> list[str]:
    """Return what is said of an explained picture, as cells: its name, each label's area and what the views say, the rest."""
    cells = []
    for own in about["labels"].values():
        if "ml" in own:
            each = own["ml"] / max(1, own["voxels"])
            least, most = (f"{own[key] * each:,.3f}" for key in ("least", "most"))
            cells.append(f"{own['ml']:,.3f} ml ({least} to {most})")
        else:
            cells.append(f"{own['area']:,} px ({own['least']:,} to {own['most']:,})")
    return [name, *cells, f"{about['differ']:.2%}"]


# Drawing --------------------------------------------------------------------------------------------------------------


def grad_cam_figure(
    picture: np.ndarray, there: np.ndarray, heat: np.ndarray, labels: Sequence[str], noun: str = "picture"
) -> Any:
    """Draw what speaks for each label that was answered: picture with outline, evidence, both.

    Args:
        picture: uint8 (h, w, 3).
        there: bool (labels, h, w), what was answered.
        heat: float32 (labels, h, w) in [0, 1], or NaN where there is no picture.
        labels: their names.
        noun: what the picture shows.
    """
    have = [number for number, plane in enumerate(there) if plane.any()] or [0]
    left = [label for number, label in enumerate(labels) if number not in have]
    note = (
        f"Where the {noun} speaks for what was drawn of a label (Grad-CAM, place by place). Dark areas played no part."
    )
    if not there.any():
        note = f"Nothing was drawn in this {noun}."
    elif left:
        note += f" Not drawn: {', '.join(left)}."
    figure, rows = _panels(len(have), picture.shape[:2], "What speaks for each label", note)
    for axes, number in zip(rows, have):
        own = outlined(picture, there[number : number + 1], [colour(number)], tint=0.15)
        over = activations.overlay(picture, np.nan_to_num(heat[number]), side=1)
        _row(axes, [(labels[number], own), ("evidence", heat[number]), ("together", over)], 1.0)
    _scale(figure, rows[0][1], ("nothing", "most"))
    return figure


def doubt_figure(
    picture: np.ndarray, there: np.ndarray, found: Doubt, labels: Sequence[str], of: str, noun: str = "picture"
) -> Any:
    """Draw where the views of a picture disagree: picture with what was answered, disagreement, both. Arguments as above."""
    count = found.areas.shape[1]
    what = f"{count} {WAYS[of]}"
    note = f"How far {what} are apart about this {noun} (standard deviation of a score). What all overlook alike is dark too."
    figure, rows = _panels(1, picture.shape[:2], "Where it is unsure", note)
    own = outlined(picture, there, tint=0.15)
    over = activations.overlay(picture, np.nan_to_num(found.map) / MOST, side=1)
    _row(rows[0], [("answer", own), ("unsure", found.map), ("together", over)], MOST)
    drawing.legend(figure, [(colour(number), label) for number, label in enumerate(labels)])
    _scale(figure, rows[0][1], ("0: all agree", "0.5: half say no"))
    return figure


def _panels(rows: int, sides: Sequence[int], title: str, note: str) -> tuple[Any, list[list[Any]]]:
    """Start a figure of rows of three pictures of this size."""
    wide = 3.1
    tall = min(5.0, wide * sides[0] / sides[1])
    width, height = 0.4 + 3 * (wide + 0.15), 1.35 + rows * (tall + 0.3) + 0.3
    figure = drawing.paper(width, height, title, note)
    figure.text(0.2 / width, 1 - 0.84 / height, NOTICE, fontsize=8.5, color=drawing.ORANGE, va="center")
    found = []
    for row in range(rows):
        bottom = height - 1.3 - tall - row * (tall + 0.3)
        found.append(
            [
                figure.add_axes(((0.2 + n * (wide + 0.15)) / width, bottom / height, wide / width, tall / height))
                for n in range(3)
            ]
        )
    return figure, found


def _row(axes: Sequence[Any], parts: Sequence[tuple[str, np.ndarray]], most: float) -> None:
    for ax, (name, values) in zip(axes, parts, strict=True):
        if values.ndim == 2:
            ax.imshow(values, cmap=pictures.AMOUNT, vmin=0, vmax=most, interpolation="nearest")
            drawing.frame(ax)
        else:
            drawing.show(ax, values)
        ax.set_title(name, fontsize=8.5, color=drawing.QUIET, loc="left", pad=4, parse_math=False)


def _scale(figure: Any, above: Any, ends: tuple[str, str]) -> None:
    """Draw what the colours of amounts mean, at the bottom of the figure below these axes."""
    place = above.get_position()
    height = figure.get_figheight()
    ax = figure.add_axes((place.x0, 0.2 / height, place.width, 0.1 / height))
    ax.imshow(np.linspace(0, 1, 256)[None], cmap=pictures.AMOUNT, aspect="auto")
    drawing.frame(ax)
    for x, text, side in ((-0.02, ends[0], "right"), (1.02, ends[1], "left")):
        ax.text(x, 0.5, text, transform=ax.transAxes, ha=side, va="center", fontsize=8, color=drawing.QUIET)

"""Scores of detections: average precision as COCO measures it, and what is found and missed at one threshold.

Design choices:
- Every average precision comes from COCO's own reference code, pycocotools. The interval needs hundreds of them, so the
  accumulation is done here once more, for all resamples at a time; tests hold the two to the same numbers.
- Precision at COCO's 101 recalls is interpolated: at each it is the best precision at that recall or beyond.
- What a user meets is one threshold, not a curve: precision, recall, confusions and errors are those at a threshold, by
  default the one with the best F1. Choose it on validation data; chosen on the scored data it flatters a little.
- A box is first given to a detection of its own name, as COCO does; what is left over is then matched across names. So a
  wrong name shows as one, and the diagonal of the confusion matrix holds just what counts as found.
- A class without boxes has no scores (None) and is left out of the means, as in COCO.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from cnnkit import metrics
from cnnkit.device.detection import Detections
from cnnkit.errors import MissingExtra

LIMIT = 100  # detections of a class in an image that COCO looks at, the highest scores first
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
SIDES = (0, 16, 32, 64, 128)  # px: where the bins of the table of sizes begin
AT_ONCE = 4_000_000  # detections x resamples that the bootstrap holds, some 100 MB
BACKGROUND = "background"


class Truth(NamedTuple):
    """What is to be found in an image.

    boxes: float64 (k, 4): left, top, right, bottom, px of the image. codes: int32 (k,), the classes. ignored: bool (k,),
    crowds and objects too difficult: neither to be found nor wrong to find. An ignored box excuses detections of its class
    of whose area at least the IoU lies inside it; with code -1, of every class.
    """

    boxes: np.ndarray
    codes: np.ndarray
    ignored: np.ndarray


class Match(NamedTuple):
    """Which box each detection of an image found.

    boxes: int64 (k,), the number of the box, -1: none. ignored: bool (k,), it is an ignored one: the detection does not count.
    """

    boxes: np.ndarray
    ignored: np.ndarray


class _Ranked(NamedTuple):
    """The detections of a class that count, over all images, the highest score first; and the boxes in each image."""

    images: np.ndarray  # int64 (d,)
    scores: np.ndarray  # float64 (d,)
    hits: np.ndarray  # bool (d,)
    boxes: np.ndarray  # int64 (images,)


def score(
    found: Sequence[Detections],
    truth: Sequence[Truth],
    labels: Sequence[str],
    *,
    threshold: float | None = None,
    bootstrap: int = 200,
) -> dict[str, Any]:
    """Score detections.

    Args:
        found: for each image what was found, down to a low score: average precision needs the whole curve.
        truth: for each image what is there.
        labels: of the codes.
        threshold: score from which a detection counts in `precision`, `recall`, `f1`, `confusion`, `sizes`; None: the one
            with the best F1.
        bootstrap: resamples of the images behind the interval; 0: Wilson's interval over the boxes.

    Returns:
        Plain values; scores in [0, 1], or None where there is no box to score:
        `ap50` (mean over classes of average precision at IoU 0.5) with `ap50_interval`, its 95 % interval;
        `ap` (mean over IoU 0.5 to 0.95, COCO's own), `ap75`; `ap_small`, `ap_medium`, `ap_large` and `ap50_small` ...: of boxes
        below 32^2 px, up to 96^2 px, above; `precision`, `recall`, `f1` over all boxes at `threshold` and IoU 0.5;
        `count` (images), `boxes` (those not ignored);
        `per_class`: by label `ap50`, `ap`, `recall`, `precision`, `support` (boxes);
        `confusion`: a row a true class, a column a predicted one, and `background` as the last of both, for false alarms
        (row) and misses (column);
        `curves`: by label, for classes with boxes, `recall` (101 values), `precision` and `score` there, at IoU 0.5;
        `sizes`: rows of `side` (px, square root of the area), `boxes`, `recall` at the threshold, `ap50`.
        Without any box at all `ap50`, `ap` and `ap75` are 0 and the interval is (0, 1).

    Raises:
        ValueError: `found` and `truth` differ in length, or a code has no label.
        MissingExtra: pycocotools is not installed.

    Source: Lin et al. 2014 and cocoeval.py, with at most 100 detections of a class in an image. The area of a box is that
        of its rectangle; COCO's own annotations have the area of the outline. The interval is the bootstrap's (Efron 1979),
        percentiles over resampled images; where resamples do not differ, as at 0 and 1, Wilson's interval stands in.
    """
    _check(found, truth, labels)
    found = [_limited(entry) for entry in found]
    precision, levels = _reference(found, truth, len(labels), np.linspace(0.5, 0.95, 10), list(AREAS.values()))
    by_side, _ = _reference(found, truth, len(labels), np.array([0.5]), _side_areas())
    matched = matches(found, truth)
    ranked = _ranked(found, truth, matched, len(labels))
    boxes = int(sum(entry.boxes.sum() for entry in ranked))
    if threshold is None:
        threshold = _best(ranked)
    confusion, seen = _at(found, truth, len(labels), threshold)
    hits, answers = int(np.trace(confusion)), int(confusion[:, :-1].sum())

    def mean(*index: Any) -> float | None:
        values = precision[index]
        values = values[values > -1]
        return float(values.mean()) if values.size else None

    everything = slice(None)
    lead = mean(0, everything, everything, 0) or 0.0
    result: dict[str, Any] = {
        "ap50": lead,
        "ap50_interval": _interval(lead, ranked, boxes, bootstrap),
        "ap": mean(everything, everything, everything, 0) or 0.0,
        "ap75": mean(5, everything, everything, 0) or 0.0,
    }
    sizes = list(enumerate(AREAS))[1:]
    result |= {f"ap_{name}": mean(everything, everything, everything, number) for number, name in sizes}
    result |= {f"ap50_{name}": mean(0, everything, everything, number) for number, name in sizes}
    result |= {
        "precision": hits / answers if answers else 0.0,
        "recall": hits / boxes if boxes else 0.0,
        "f1": 2 * hits / (boxes + answers) if boxes + answers else 0.0,
        "threshold": float(threshold),
        "count": len(found),
        "boxes": boxes,
    }
    per_class: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, list[float]]] = {}
    for code, label in enumerate(labels):
        support, told = int(ranked[code].boxes.sum()), int(confusion[:, code].sum())
        hit = int(confusion[code, code])
        per_class[label] = {
            "ap50": mean(0, everything, code, 0),
            "ap": mean(everything, everything, code, 0),
            "recall": hit / support if support else None,
            "precision": (hit / told if told else 0.0) if support else None,
            "support": support,
        }
        if support:
            curves[label] = {
                "recall": RECALLS.round(2).tolist(),
                "precision": precision[0, :, code, 0].round(4).tolist(),
                "score": levels[0, :, code, 0].round(4).tolist(),
            }
    rows = []
    for number, (start, end) in enumerate(zip(SIDES, [*SIDES[1:], None])):
        values = by_side[0, :, :, number]
        values = values[values > -1]
        inside = seen[_bins(truth) == number]
        rows.append(
            {
                "side": f"{start} to {end}" if end else f"{start} and more",
                "boxes": len(inside),
                "recall": float(inside.mean()) if len(inside) else None,
                "ap50": float(values.mean()) if values.size else None,
            }
        )
    return result | {"per_class": per_class, "confusion": confusion.tolist(), "curves": curves, "sizes": rows}


def best_threshold(found: Sequence[Detections], truth: Sequence[Truth], labels: Sequence[str]) -> float:
    """Return the score from which detections count so that F1 over all boxes, at IoU 0.5, is highest.

    It lies halfway between the last score that should count and the next; with no right detection at all it is 0.5. Scores and
    boxes as in `score`; pycocotools is not needed.
    """
    _check(found, truth, labels)
    found = [_limited(entry) for entry in found]
    return _best(_ranked(found, truth, matches(found, truth), len(labels)))


def matches(
    found: Sequence[Detections], truth: Sequence[Truth], iou: float = 0.5, *, across: bool = False
) -> list[Match]:
    """Give each detection its box, as COCO does: the highest score chooses first, the box of its class with the largest IoU.

    Args:
        found, truth: for each image.
        iou: intersection over union, at least. With an ignored box: the share of the detection that lies inside it.
        across: then match what is left over across classes, so that boxes found under a wrong name show.

    Returns:
        for each image a `Match`. A box that is not ignored is found once; an ignored one any number of times.
    """
    return [_match(entry, there, iou, across) for entry, there in zip(found, truth, strict=True)]


def top_losses(
    found: Sequence[Detections], truth: Sequence[Truth], labels: Sequence[str], threshold: float, count: int = 24
) -> list[dict[str, Any]]:
    """Return the most confident false alarms and wrong names, then the largest missed boxes; up to half of each kind.

    Returns:
        at most `count` entries: `kind` (`false alarm`, `wrong class` or `missed`), `image` (its number), `box` (left, top,
        right, bottom, px; the one found, or the one missed), `score` in [0, 1] (None: missed), `label` (the true one; None: false
        alarm), `found` (the predicted one; None: missed). Where one half has too few, the other has more.
    """
    _check(found, truth, labels)
    wrong: list[dict[str, Any]] = []
    missed: list[tuple[float, dict[str, Any]]] = []
    shown = [entry.take(entry.scores >= threshold) for entry in found]
    for image, (entry, there, match) in enumerate(zip(shown, truth, matches(shown, truth, across=True))):
        for box, value, code, number, ignored in zip(*entry, *match):
            true = None if number < 0 else int(there.codes[number])
            if ignored or true == code:
                continue
            wrong.append(
                {
                    "kind": "false alarm" if true is None else "wrong class",
                    "image": image,
                    "box": [float(side) for side in box],
                    "score": float(value),
                    "label": None if true is None else labels[true],
                    "found": labels[int(code)],
                }
            )
        left = ~there.ignored
        left[match.boxes[match.boxes >= 0]] = False
        for box, code in zip(there.boxes[left], there.codes[left]):
            sides = [float(side) for side in box]
            entry_missed = {"kind": "missed", "image": image, "box": sides, "score": None}
            area = (sides[2] - sides[0]) * (sides[3] - sides[1])
            missed.append((area, {**entry_missed, "label": labels[int(code)], "found": None}))
    wrong.sort(key=lambda error: -error["score"])
    missed.sort(key=lambda error: -error[0])
    half = max(count - count // 2, count - len(missed))
    wrong = wrong[:half]
    return wrong + [error for _, error in missed[: count - len(wrong)]]


def _check(found: Sequence[Any], truth: Sequence[Truth], labels: Sequence[str]) -> None:
    if len(found) != len(truth):
        raise ValueError(f"`found` and `truth` need one entry an image. Received: {len(found)} and {len(truth)}.")
    for name, codes in [(n, e.codes) for n, part in (("found", found), ("truth", truth)) for e in part]:
        low = codes.min(initial=0)
        if codes.max(initial=-1) >= len(labels) or low < (-1 if name == "truth" else 0):
            raise ValueError(f"`{name}` has a code that is none of {len(labels)} labels: {codes.tolist()}.")
    for there in truth:
        if ((there.codes < 0) & ~there.ignored).any():
            raise ValueError("Code -1 is for ignored boxes only; a box to be found needs a class.")


def _limited(entry: Detections) -> Detections:
    """Detections of an image, the highest score first, at most `LIMIT` of each class."""
    order = np.argsort(-entry.scores, kind="stable")
    entry = entry.take(order)
    if len(order) <= LIMIT:
        return entry
    kept = [np.flatnonzero(entry.codes == code)[:LIMIT] for code in np.unique(entry.codes)]
    return entry.take(np.sort(np.concatenate(kept)))


def _overlaps(boxes: np.ndarray, there: Truth) -> np.ndarray:
    """IoU of detections (n, 4) and true boxes: (n, k). With ignored boxes: the share of the detection inside.

    The order of operations is that of pycocotools, on left, top, width, height, so that an IoU of just 0.5 falls alike.
    """
    first, second = boxes.astype(np.float64)[:, None], np.asarray(there.boxes, np.float64).reshape(1, -1, 4)
    size, other = _sizes(first), _sizes(second)
    high = np.minimum(size + first[..., :2], other + second[..., :2])
    sides = high - np.maximum(first[..., :2], second[..., :2])
    shared = np.where((sides > 0).all(-1), sides[..., 0] * sides[..., 1], 0.0)
    area, other_area = size[..., 0] * size[..., 1], other[..., 0] * other[..., 1]
    union = np.where(there.ignored[None], area, area + other_area - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _sizes(boxes: np.ndarray) -> np.ndarray:
    """Width and height; a box whose ends are swapped has none, and counts as a false alarm as any other would."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0)


def _match(entry: Detections, there: Truth, iou: float, across: bool) -> Match:
    boxes, ignored = np.full(len(entry.scores), -1, np.int64), np.zeros(len(entry.scores), bool)
    if not len(there.codes) or not len(entry.scores):
        return Match(boxes, ignored)
    overlaps = _overlaps(entry.boxes, there)
    same = (entry.codes[:, None] == there.codes[None]) | (there.codes < 0)[None]
    free = ~there.ignored
    order = np.argsort(-entry.scores, kind="stable")
    iou = min(iou, 1 - 1e-10)

    def best(row: np.ndarray) -> int:
        """The largest overlap; of equal ones the last, as in COCO."""
        return len(row) - 1 - int(row[::-1].argmax()) if row.max() >= iou else -1

    candidates = np.where(same & (overlaps >= iou), overlaps, -1.0)
    for i in order[(candidates[order] >= 0).any(1)]:
        chosen = best(np.where(free, candidates[i], -1.0))
        if chosen < 0:
            chosen = best(np.where(there.ignored, candidates[i], -1.0))
        boxes[i] = chosen
        if chosen >= 0:
            ignored[i] = there.ignored[chosen]
            free[chosen] = False
    if across:
        candidates = np.where(overlaps >= iou, overlaps, -1.0)
        for i in order[boxes[order] < 0]:
            chosen = best(np.where(free, candidates[i], -1.0))
            boxes[i] = chosen
            if chosen >= 0:
                free[chosen] = False
    return Match(boxes, ignored)


def _ranked(
    found: Sequence[Detections], truth: Sequence[Truth], matched: Sequence[Match], classes: int
) -> list[_Ranked]:
    """The detections of each class that count. `found` is sorted within an image."""

    def joined(arrays: list[np.ndarray], kind: Any) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *arrays]).astype(kind)

    images = np.repeat(np.arange(len(found)), [len(entry.scores) for entry in found])
    scores = joined([entry.scores for entry in found], np.float64)
    codes = joined([entry.codes for entry in found], np.int64)
    hits = joined([match.boxes >= 0 for match in matched], bool)
    counted = ~joined([match.ignored for match in matched], bool)
    boxes = np.zeros((classes, len(found)), np.int64)
    for number, there in enumerate(truth):
        np.add.at(boxes[:, number], there.codes[~there.ignored], 1)
    result = []
    for code in range(classes):
        chosen = np.flatnonzero(counted & (codes == code))
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
        result.append(_Ranked(images[chosen], scores[chosen], hits[chosen], boxes[code]))
    return result


def _best(ranked: Sequence[_Ranked]) -> float:
    scores, hits = (
        np.concatenate([np.zeros(0), *(getattr(entry, name) for entry in ranked)]) for name in ("scores", "hits")
    )
    if not hits.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(hits[order])
    boxes = sum(entry.boxes.sum() for entry in ranked)
    f1 = 2 * hits / (boxes + np.arange(1, len(hits) + 1))
    ends = np.append(scores[1:] < scores[:-1], True)  # equal scores count together
    at = int(np.where(ends, f1, -1.0).argmax())
    return float((scores[at] + scores[at + 1]) / 2 if at + 1 < len(scores) else scores[at])


def _at(
    found: Sequence[Detections], truth: Sequence[Truth], classes: int, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """The confusion matrix at a threshold, and for each box that is not ignored whether it was found, bool (boxes,)."""
    shown = [entry.take(entry.scores >= threshold) for entry in found]
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    seen = [np.zeros(0, bool)]
    for entry, there, match in zip(shown, truth, matches(shown, truth, across=True)):
        counted = ~match.ignored
        number, told = match.boxes[counted], entry.codes[counted]
        true = np.full(len(told), classes)
        true[number >= 0] = there.codes[number[number >= 0]]
        np.add.at(matrix, (true, told), 1)
        right = np.zeros(len(there.codes), bool)
        right[number[true == told]] = True
        missed = ~there.ignored
        missed[number[number >= 0]] = False
        np.add.at(matrix[:, classes], there.codes[missed], 1)
        seen.append(right[~there.ignored])
    return matrix, np.concatenate(seen)


def _average_precisions(entry: _Ranked, weights: np.ndarray) -> np.ndarray:
    """Average precision of a class, each image counted as often as its weight.

    Args:
        entry: the class.
        weights: int (images, resamples).

    Returns:
        float64 (resamples,) in [0, 1]; NaN where a resample holds no box.

    Only right detections matter to the curve's upper hull, so it is worked out at these; equal to `COCOeval.accumulate`.
    """
    boxes = entry.boxes @ weights
    found = np.cumsum(weights[entry.images], axis=0)[entry.hits]
    right = np.cumsum(weights[entry.images[entry.hits]], axis=0)
    hull = np.maximum.accumulate((right / (found + np.spacing(1)))[::-1])[::-1]
    result = np.full(len(boxes), np.nan)
    for k in np.flatnonzero(boxes):
        places = np.searchsorted(right[:, k] / boxes[k], RECALLS)
        result[k] = np.append(hull[:, k], 0.0)[places].mean()
    return result


def _interval(ap50: float, ranked: Sequence[_Ranked], boxes: int, bootstrap: int) -> list[float]:
    if not boxes:
        return [0.0, 1.0]
    images = len(ranked[0].boxes)
    rng = np.random.default_rng(0)
    means = []
    largest = max(1, max(len(entry.images) for entry in ranked))
    step = max(1, AT_ONCE // largest)  # resamples at a time
    for start in range(0, bootstrap, step):
        drawn = rng.integers(0, images, (min(step, bootstrap - start), images))
        weights = np.stack([np.bincount(row, minlength=images) for row in drawn], axis=1).astype(np.int32)
        each = np.stack([_average_precisions(entry, weights) for entry in ranked])
        there = np.isfinite(each)
        means.append((np.where(there, each, 0.0).sum(0) / np.maximum(there.sum(0), 1))[there.any(0)])
    values = np.concatenate([np.zeros(0), *means])
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (ap50, ap50)
    if high - low < 1e-9:
        low, high = metrics.wilson(round(ap50 * boxes), boxes)
    return [float(min(low, ap50)), float(max(high, ap50))]


def _side_areas() -> list[tuple[float, float]]:
    """The areas of the bins of the table of sizes; COCO's ranges hold both their ends, so the upper one is a little less."""
    ends = [*(float(np.nextafter(side * side, 0)) for side in SIDES[1:]), 1e10]
    return [(float(start * start), end) for start, end in zip(SIDES, ends)]


def _bins(truth: Sequence[Truth]) -> np.ndarray:
    """The bin of each box that is not ignored, int (boxes,)."""
    boxes = np.concatenate([np.zeros((0, 4)), *(np.asarray(there.boxes)[~there.ignored] for there in truth)])
    return np.searchsorted([side * side for side in SIDES], _sizes(boxes).prod(1), side="right") - 1


def _reference(
    found: Sequence[Detections],
    truth: Sequence[Truth],
    classes: int,
    ious: np.ndarray,
    areas: Sequence[tuple[float, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Let pycocotools work out precision, and the scores there: (ious, 101, classes, areas); -1: no box of this class."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingExtra('Average precision is measured by pycocotools. Run `pip install "cnnkit[train]"`.') from None

    def annotations(
        image: int, boxes: np.ndarray, codes: np.ndarray, crowd: np.ndarray, scores: np.ndarray
    ) -> Iterator[dict[str, Any]]:
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        sizes = _sizes(corners)
        bboxes = np.concatenate([corners[:, :2], sizes], axis=1).tolist()
        rows = zip(bboxes, sizes.prod(1).tolist(), codes.tolist(), crowd.tolist(), scores.tolist(), strict=True)
        for bbox, area, code, ignored, value in rows:
            entry = {"image_id": image, "bbox": bbox, "area": area, "iscrowd": int(ignored), "score": value}
            for category in [code] if code >= 0 else range(classes):
                yield {**entry, "category_id": category}

    there = (annotations(i, *values, np.zeros(len(values.codes))) for i, values in enumerate(truth))
    told = (annotations(i, e.boxes, e.codes, np.zeros(len(e.codes)), e.scores) for i, e in enumerate(found))
    indices = []
    with contextlib.redirect_stdout(io.StringIO()):
        for part in (there, told):
            listed = list(chain.from_iterable(part))
            index = COCO()
            index.dataset = {
                "images": [{"id": number} for number in range(len(found))],
                "annotations": [{**entry, "id": number} for number, entry in enumerate(listed, 1)],  # 0 means: no match
                "categories": [{"id": code} for code in range(classes)],
            }
            index.createIndex()
            indices.append(index)
        evaluation = COCOeval(*indices, iouType="bbox")
        evaluation.params.iouThrs = ious
        evaluation.params.areaRng = [list(area) for area in areas]
        evaluation.params.areaRngLbl = [str(number) for number in range(len(areas))]
        evaluation.params.maxDets = [LIMIT]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][..., 0], evaluation.eval["scores"][..., 0]

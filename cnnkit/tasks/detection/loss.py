"""The loss of a detector.

Design choices:
- Which cell answers for which box is decided anew in every step, by how well the cell does already: its score for the box's
  class and the overlap of its box (task alignment). So no sizes are set by hand, and score and overlap grow together: a
  good score then means a well-placed box.
- A score is taught the quality it should state, not 0 or 1; background counts the less the surer it is already, and cells that
  answer for a box count by their quality (varifocal loss). Quality focal loss holds back these too, when targets are still
  low: with it, with rarer kinds and half the rate, 1,400 steps reached AP50 0.5 on drawn scenes; with this loss, batches of 8
  and a rate of 5e-3 they reach 0.87 (changed together).
- Of a class that an image was not asked for, cells that answer for no box are left out: nobody knows that it is not there.
- Everything is in `keras.ops` and of fixed shape, so it runs and compiles under every backend.
"""

from typing import Any

import keras
from keras import ops

from cnnkit.tasks.detection.boxes import NOT_ASKED

TOP = 10  # cells that learn one box, at most
CLASS_POWER, OVERLAP_POWER = 0.5, 6.0  # of score and overlap, in how well a cell suits a box
REACH = 1.0  # strides from a box's middle within which a cell may answer for it, however small the box
BOX_GAIN = 2.0  # of the box loss against the class loss
_SMALL = 1e-9


@keras.saving.register_keras_serializable("cnnkit")
class DetectionLoss(keras.losses.Loss):
    """The loss of a detector: varifocal loss of the classes, generalised IoU of the boxes.

    Takes boxes float32 (b, m, 6) as `BoxRecords.read` has them, and predictions (b, cells, 4 + classes + 3)
    as `cnnkit.models.detector` has them. Both parts are divided by the sum of the target scores of the batch.

    Sources: Feng et al. 2021, arXiv:2108.07755 (task alignment); Zhang et al. 2021, arXiv:2008.13367 (varifocal loss);
    Rezatofighi et al. 2019, arXiv:1902.09630 (GIoU).
    """

    def __init__(self, name: str = "detection", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, (b,); their mean is the loss of the batch."""
        raw, logits, grid = y_pred[..., :4], y_pred[..., 4:-3], y_pred[..., -3:]
        boxes = decoded(raw, grid)
        scores, target_boxes, ignored = assign(
            ops.stop_gradient(boxes), ops.stop_gradient(ops.sigmoid(logits)), grid, y_true
        )
        weights = ops.max(scores, axis=-1)  # (b, n), 0 for background
        total = ops.maximum(ops.mean(ops.sum(weights, axis=-1)), 1.0)
        known = ops.where(scores > 0, 1.0, asked(y_true, logits.shape[-1])[:, None])
        by_class = ops.sum(varifocal(scores, logits) * known, axis=-1) * (1 - ignored)
        by_box = (1 - giou(target_boxes, boxes)) * weights
        return (ops.sum(by_class, axis=-1) + BOX_GAIN * ops.sum(by_box, axis=-1)) / total


def asked(targets: Any, classes: int) -> Any:
    """Return float (b, classes) of targets (b, m, 6): 0 for classes that an image was not asked for, else 1."""
    rows = ops.cast(targets[..., 5] == NOT_ASKED, "float32")[..., None]
    return 1 - ops.max(rows * ops.one_hot(ops.cast(targets[..., 4], "int32"), classes, dtype="float32"), axis=1)


def decoded(raw: Any, grid: Any) -> Any:
    """As `cnnkit.device.detection.decode`, in `keras.ops`."""
    x, y, stride = grid[..., 0], grid[..., 1], grid[..., 2]
    middle_y, middle_x = y + raw[..., 0] * stride, x + raw[..., 1] * stride
    half_h = ops.exp(ops.minimum(raw[..., 2], 6.0)) * stride / 2
    half_w = ops.exp(ops.minimum(raw[..., 3], 6.0)) * stride / 2
    return ops.stack([middle_x - half_w, middle_y - half_h, middle_x + half_w, middle_y + half_h], axis=-1)


def varifocal(targets: Any, logits: Any, background: float = 0.75, power: float = 2.0) -> Any:
    """Return the varifocal loss of logits against target scores in [0, 1], element by element; 0 is background."""
    weights = ops.where(targets > 0, targets, background * ops.sigmoid(logits) ** power)
    return ops.stop_gradient(weights) * ops.binary_crossentropy(targets, logits, from_logits=True)


def overlaps(first: Any, second: Any) -> tuple[Any, Any]:
    """Return intersection and union of boxes (..., 4) that broadcast against each other: left, top, right, bottom."""
    wide = ops.minimum(first[..., 2], second[..., 2]) - ops.maximum(first[..., 0], second[..., 0])
    high = ops.minimum(first[..., 3], second[..., 3]) - ops.maximum(first[..., 1], second[..., 1])
    shared = ops.maximum(wide, 0.0) * ops.maximum(high, 0.0)
    area = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (first, second)]
    return shared, area[0] + area[1] - shared


def giou(first: Any, second: Any) -> Any:
    """Return the generalised intersection over union of boxes (..., 4): in [-1, 1]."""
    shared, union = overlaps(first, second)
    wide = ops.maximum(first[..., 2], second[..., 2]) - ops.minimum(first[..., 0], second[..., 0])
    high = ops.maximum(first[..., 3], second[..., 3]) - ops.minimum(first[..., 1], second[..., 1])
    around = wide * high
    return shared / (union + _SMALL) - (around - union) / (around + _SMALL)


def assign(boxes: Any, scores: Any, grid: Any, targets: Any) -> tuple[Any, Any, Any]:
    """Decide which cells answer for which boxes.

    Args:
        boxes: what the cells predict now, float (b, n, 4), px.
        scores: the same, (b, n, classes) in [0, 1].
        grid: the cells (b, n, 3).
        targets: (b, m, 6): box, class, 1 for a box, -1 for an ignored one, 0 for none.

    Returns:
        the scores to learn (b, n, classes); the boxes to learn (b, n, 4), meaningful where a score is above 0; 1 for cells in an
        ignored box that answer for no other (b, n).
    """
    true, codes, kind = targets[..., :4], ops.cast(targets[..., 4], "int32"), targets[..., 5]
    real = ops.cast(kind > 0, "float32")[..., None]  # (b, m, 1)
    middles, strides = grid[:, None, :, :2], grid[:, None, :, 2:]
    centre = (true[..., :2] + true[..., 2:]) / 2
    half = ops.maximum((true[..., 2:] - true[..., :2])[:, :, None] / 2, REACH * strides)
    near = ops.all(ops.abs(middles - centre[:, :, None]) < half, axis=-1)  # (b, m, n)
    shared, union = overlaps(true[:, :, None], boxes[:, None])
    iou = shared / (union + _SMALL)
    chosen = ops.one_hot(codes, scores.shape[-1], dtype="float32")  # (b, m, classes)
    own = ops.matmul(chosen, ops.transpose(scores, (0, 2, 1)))  # (b, m, n): the score for the box's class
    fit = own**CLASS_POWER * iou**OVERLAP_POWER + _SMALL * _SMALL
    fit = fit * ops.cast(near, "float32") * real
    least = ops.top_k(fit, min(TOP, fit.shape[-1] or TOP))[0][..., -1:]
    answers = ops.cast(ops.logical_and(fit >= least, fit > 0), "float32")
    best = ops.one_hot(ops.argmax(answers * (iou + _SMALL), axis=1), answers.shape[1], axis=1, dtype="float32")
    answers = answers * best  # a cell that suits several boxes answers for the one it overlaps most
    fit = fit * answers
    quality = (
        fit / (ops.max(fit, axis=-1, keepdims=True) + _SMALL * _SMALL) * ops.max(iou * answers, axis=-1, keepdims=True)
    )
    learnt = ops.matmul(ops.transpose(quality, (0, 2, 1)), chosen)  # (b, n, classes)
    target_boxes = ops.matmul(ops.transpose(answers, (0, 2, 1)), true)
    inside = ops.all(middles > true[:, :, None, :2], axis=-1) & ops.all(middles < true[:, :, None, 2:], axis=-1)
    unclear = ops.max(ops.cast(inside, "float32") * ops.cast(kind < 0, "float32")[..., None], axis=1)
    return learnt, target_boxes, unclear * (1 - ops.max(answers, axis=1))

"""What a network that draws masks is taught by.

Design choices:
- The target is the code map itself, one byte a pixel; planes are made in the graph, so batches stay small.
- Labels that exclude each other compete in a softmax with the background; labels that overlap are a sigmoid each.
- Overlap and cross-entropy are added, each the mean it is known by: over labels without the background, over pixels. Dice is
  the case alpha = beta = 0.5 of Tversky, cross-entropy the case gamma = 0 of focal loss, so each pair is one formula.
- Overlap is of the whole batch by default: a picture without a label then says nothing odd. Where nearly all have every label,
  `fingerprint.advised` chooses that of each picture.
- Boundary loss wants the distance to the true border. It is measured in the graph by growing the mask step by step, in turn to
  8 and to 4 neighbours (octagonal distance), and ends at `REACH`: no target but the code map has to travel.
- Pixels that are `IGNORE` weigh nothing in any part; a batch of them alone has loss 0.
- All is float32, whatever the network computes in, in `keras.ops` and for any number of axes.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from cnnkit.tasks.segmentation.masks import IGNORE, alone, overlapping

REACH = 8  # steps from the border at which the distance of boundary loss ends
SMOOTH = 1.0  # px, added to both parts of an overlap: an empty mask has an overlap, and a slope
_SMALL = 1e-7


@keras.saving.register_keras_serializable("cnnkit")
class MaskLoss(keras.losses.Loss):
    """Overlap, cross-entropy and distance to the border, added.

    Takes code maps (b, *sides), any number type, and logits (b, *sides, units). Units are the labels, and before them the
    background where labels exclude each other (`cnnkit.tasks.segmentation.masks.overlapping`); where `regions` are given and
    the background's is left out, its logit is 0.

    Args:
        regions: the codes of each label; None: one code a label, as many as there are units without the background.
        dice: weight of the overlap.
        cross_entropy: weight of the cross-entropy.
        focal: gamma of focal loss in place of cross-entropy, at least 0; 0 is cross-entropy.
        tversky: weights of false and of missed pixels, (alpha, beta), in place of Dice.
        boundary: weight of the boundary loss.
        class_weights: weight of each unit in the cross-entropy.
        batch_dice: the overlap is of the batch, not of each sample.
        resizes: logits of another size than the target get the target made smaller, as `resized`: for deep supervision.

    Sources: Milletari et al. 2016, arXiv:1606.04797 (Dice); Salehi et al. 2017, arXiv:1706.05721 (Tversky); Lin et al. 2017,
    arXiv:1708.02002 (focal); Kervadec et al. 2019, arXiv:1812.07032 (boundary; there with Euclidean distance without an end).
    """

    def __init__(
        self,
        regions: Sequence[Sequence[int]] | None = None,
        dice: float = 1.0,
        cross_entropy: float = 1.0,
        focal: float = 0.0,
        tversky: Sequence[float] | None = None,
        boundary: float = 0.0,
        class_weights: Sequence[float] | None = None,
        batch_dice: bool = True,
        resizes: bool = False,
        name: str = "masks",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        if focal < 0:
            raise ValueError(f"`focal` needs to be at least 0. Received: focal={focal}.")
        if tversky is not None and (len(tversky) != 2 or min(tversky) < 0 or not sum(tversky)):
            raise ValueError(f"`tversky` needs to be two weights, not both 0. Received: tversky={tversky}.")
        self.regions = None if regions is None else tuple(tuple(int(code) for code in region) for region in regions)
        self.dice, self.cross_entropy, self.focal, self.boundary = dice, cross_entropy, focal, boundary
        self.tversky = None if tversky is None else tuple(float(weight) for weight in tversky)
        self.class_weights = None if class_weights is None else tuple(float(weight) for weight in class_weights)
        self.batch_dice, self.resizes = batch_dice, resizes

    def get_config(self) -> dict[str, Any]:
        keys = ("regions", "dice", "cross_entropy", "focal", "tversky", "boundary", "class_weights", "batch_dice")
        return {**super().get_config(), **{key: getattr(self, key) for key in (*keys, "resizes")}}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample, (b,); their mean is the loss of the batch."""
        logits = ops.cast(y_pred, "float32")
        codes = ops.cast(y_true, "int32")
        if self.resizes:
            codes = resized(codes, ops.shape(logits)[1:-1])
        if len(codes.shape) != len(logits.shape) - 1:
            raise ValueError(f"Logits need one axis more than codes. Received: {logits.shape} and {codes.shape}.")
        regions = alone(logits.shape[-1] - 1) if self.regions is None else self.regions
        known = ops.cast(codes != IGNORE, "float32")[..., None]  # (b, *sides, 1)
        labels = _planes(codes, regions)  # (b, *sides, labels)
        sigmoids = overlapping(regions)
        if not sigmoids and logits.shape[-1] == len(regions):
            logits = ops.pad(logits, (*[(0, 0)] * (len(logits.shape) - 1), (1, 0)))  # the background's is 0
        units = len(regions) + (not sigmoids)
        if logits.shape[-1] != units:
            raise ValueError(f"{len(regions)} labels need {units} units. Received: {logits.shape[-1]} units.")
        if self.class_weights is not None and len(self.class_weights) != units:
            raise ValueError(f"`class_weights` needs {units} weights. Received: {self.class_weights}.")
        if sigmoids:
            chances, by_pixel = ops.sigmoid(logits), self._of_sigmoids(labels, logits)
        else:
            chances, by_pixel = ops.softmax(logits)[..., 1:], self._of_softmax(labels, logits)
        loss = ops.zeros_like(ops.sum(known, axis=_but_first(known)))
        if self.dice:
            loss += self.dice * self._overlap(labels, chances, known)
        if self.cross_entropy:
            loss += self.cross_entropy * _mean(by_pixel, known)
        if self.boundary:
            far = ops.stop_gradient(signed_distance(labels))
            loss += self.boundary * _mean(ops.mean(far * chances, axis=-1, keepdims=True), known)
        return loss

    def _overlap(self, labels: Any, chances: Any, known: Any) -> Any:
        """Return 1 less the Tversky index, the mean over labels: (b,)."""
        axes = tuple(range(0 if self.batch_dice else 1, len(known.shape) - 1))
        both = ops.sum(labels * chances * known, axis=axes)  # (labels,) or (b, labels)
        false = ops.sum((1 - labels) * chances * known, axis=axes)
        missed = ops.sum(labels * (1 - chances) * known, axis=axes)
        alpha, beta = self.tversky or (0.5, 0.5)
        index = (both + SMOOTH / 2) / (both + alpha * false + beta * missed + SMOOTH / 2)
        return 1 - ops.mean(index, axis=-1)

    def _of_softmax(self, labels: Any, logits: Any) -> Any:
        """Return the cross-entropy or focal loss of each pixel, (b, *sides, 1)."""
        targets = ops.concatenate([1 - ops.sum(labels, axis=-1, keepdims=True), labels], axis=-1)
        log = ops.log_softmax(logits)
        losses = -targets * log * self._weights()
        if self.focal:
            losses *= (1 - ops.exp(log) + _SMALL) ** self.focal
        return ops.sum(losses, axis=-1, keepdims=True)

    def _of_sigmoids(self, labels: Any, logits: Any) -> Any:
        """Return the same where each label is asked for on its own, the mean over labels."""
        right = (2 * labels - 1) * logits  # the logit of what is true
        losses = ops.softplus(-right) * self._weights()
        if self.focal:
            losses *= (ops.sigmoid(-right) + _SMALL) ** self.focal
        return ops.mean(losses, axis=-1, keepdims=True)

    def _weights(self) -> Any:
        return 1.0 if self.class_weights is None else ops.convert_to_tensor(self.class_weights, "float32")


def resized(codes: Any, shape: Sequence[int]) -> Any:
    """Return code maps (b, *sides) at other sides, (b, *shape): the code of the pixel that lies nearest the new one's middle."""
    for axis, (old, new) in enumerate(zip(ops.shape(codes)[1:], shape, strict=True), start=1):
        if isinstance(old, int) and isinstance(new, int) and old == new:
            continue
        places = (2 * ops.arange(new, dtype="int32") + 1) * old // (2 * new)
        codes = ops.take(codes, places, axis=axis)
    return codes


def signed_distance(planes: Any) -> Any:
    """Return how far each pixel is from the border of a mask: negative inside, in [-1, 1], 1 for `REACH` px and all beyond.

    A pixel beside the border is half a step from it. A mask that is empty is far from everywhere, a full one around everything.

    Args:
        planes: 0 or 1, float (b, *sides, labels).
    """
    return _steps(planes) - _steps(1 - planes)


def _steps(planes: Any) -> Any:
    """Return the distance of pixels outside a mask from it, 0 inside, in [0, 1]."""
    grown = planes
    steps = (1 - planes) * 0.5
    for step in range(REACH - 1):
        grown = _grown(grown, corners=step % 2 == 0)
        steps += 1 - grown
    return ops.minimum(steps, REACH - 0.5) / (REACH - 0.5)


def _grown(planes: Any, corners: bool) -> Any:
    """Return masks that are one step larger."""
    rank = len(planes.shape) - 2
    sizes = [(3,) * rank] if corners else [tuple(3 if k == axis else 1 for k in range(rank)) for axis in range(rank)]
    pools = [ops.max_pool(planes, size, 1, "same", "channels_last") for size in sizes]
    grown = pools[0]
    for pool in pools[1:]:
        grown = ops.maximum(grown, pool)
    return grown


def _planes(codes: Any, regions: Sequence[Sequence[int]]) -> Any:
    """Return 1 where a label is, else 0: float32 (b, *sides, labels)."""
    planes = []
    for region in regions:
        plane = ops.zeros_like(codes, dtype="bool")
        for code in region:
            plane = ops.logical_or(plane, codes == code)
        planes.append(plane)
    return ops.cast(ops.stack(planes, axis=-1), "float32")


def _mean(by_pixel: Any, known: Any) -> Any:
    """Return the sum of each sample's known pixels, (b,), over the mean count of them: their mean is that of all pixels."""
    axes = _but_first(known)
    counts = ops.sum(known, axis=axes)
    return ops.sum(by_pixel * known, axis=axes) / ops.maximum(ops.mean(counts), 1.0)


def _but_first(array: Any) -> tuple[int, ...]:
    return tuple(range(1, len(array.shape)))

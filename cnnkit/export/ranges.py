"""Ranges of the layers of a file of integers: those that calibration images give, and what validation images lose by them.

Design choices:
- The float32 file of the same weights is run on the calibration images, keeping what every layer puts out. The converter did the
  same, so the ranges have to agree but for half a step at either end.
- Ranges of 16 bits lie evenly about 0, so of them the larger end counts.
- Layers that share a scale, as those around a concatenation do, share the range of them all.
- The converter's calibration looks at what an operator reads after it has run. One that writes over its input, as a sum of two
  maps does, so gives that the range of both. So an end may lie anywhere between the layer's own and that of what is made of it.
- The least and largest number say little of how much is lost beyond them. What is measured on validation images is the share of a
  layer's energy (the sum of its squares) that is cut off.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnkit.export.checks import WEIGHTED, Check
from cnnkit.export.graph import Graph, Tensor, pairs, watched

WIDTHS = 0.01  # of a range, that its ends may lie from those of the calibration images; half a step of 255 is 0.002
SAME = 1e-4  # the same, of a range that the model was trained with
CUT = 0.25  # of the energy of a layer, that may be cut off on validation images
_EIGHT = {
    "SOFTMAX": (1 / 256, -128),
    "LOGISTIC": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "L2_NORMALIZATION": (1 / 128, 0),
}
FIXED = {"INT8": _EIGHT, "INT16": dict.fromkeys(("SOFTMAX", "LOGISTIC", "TANH"), (1 / 32768, 0))}
"""What a layer puts out -> operators whose range is fixed -> their scale and zero."""


def ranges(
    base: bytes,
    first: Graph,
    second: Graph,
    calibration: np.ndarray,
    validation: np.ndarray,
    trained: Mapping[str, tuple[float, float]] | None = None,
) -> list[Check]:
    """Check the ranges of a file of integers.

    Args:
        base: the float32 file of the same weights.
        first, second: graphs of that and of the file; the same network.
        calibration: inputs that the file was calibrated on, as the converter got them.
        validation: other inputs.
        trained: ranges that the model was trained with, by layer; the file has to have these, whatever calibration inputs give.

    Returns:
        A check of the ranges on calibration inputs, and one of what validation inputs lose.
    """
    made_of: dict[int, list[int]] = {}  # what is made of a tensor, in its place
    groups: dict[tuple[float, int], list[tuple[Tensor, Tensor, str]]] = {}
    worst, where = 0.0, ""
    for a, b in pairs(first, second):
        if a.kind not in WEIGHTED:
            for read in a.inputs:
                if read is not None and read.data is None:
                    made_of.setdefault(read.index, []).extend(one.index for one in a.outputs if one.kind == "FLOAT32")
        for one, left, other in zip(
            a.inputs, b.inputs, b.given
        ):  # what a float layer put out is rounded where it is read
            if one and left and other and left.kind == "FLOAT32" and left.data is None and other.limits is not None:
                groups.setdefault((other.scales[0], int(other.zeros[0])), []).append((one, other, a.place))
        for one, other in zip(a.outputs, b.outputs, strict=True):
            if b.kind in FIXED.get(other.kind, ()):
                scale, zero = FIXED[other.kind][b.kind]
                if abs(other.scales[0] - scale) > 1e-6 or other.zeros[0] != zero:
                    worst, where = 1.0, a.place
            if one.kind == "FLOAT32" and other.limits is not None:
                groups.setdefault((other.scales[0], int(other.zeros[0])), []).append((one, other, a.place))
    fixed = {ends for kinds in FIXED.values() for ends in kinds.values()}
    tensors = [one for members in groups.values() for one, _, _ in members]
    seen = _seen(base, tensors, calibration)
    held = {one.index: other.limits for members in groups.values() for one, other, _ in members}
    lost = _seen(base, tensors, validation, held)
    cut, cut_where = 0.0, ""
    for key, members in groups.items():
        low, high = members[0][1].limits or (0.0, 0.0)
        least = min(seen[one.index][0] for one, _, _ in members)
        most = max(seen[one.index][1] for one, _, _ in members)
        behind = [seen[index] for one, _, _ in members for index in made_of.get(one.index, ()) if index in seen]
        lowest, highest = min([least, *(ends[0] for ends in behind)]), max([most, *(ends[1] for ends in behind)])
        if members[0][1].kind == "INT16":
            most, highest = max(most, -least), max(highest, -lowest)
            least, lowest = -most, -highest
        span = max(high - low, most - least, 1e-30)
        apart = max(low - least, lowest - low, most - high, high - highest) / span
        # Zeros alone may have any range, and an activation's own range is fixed, whatever goes into it.
        if most - least > 1e-9 and key not in fixed and apart > worst:
            worst, where = float(apart), members[0][2]
        for one, _, place in members:
            energy, gone = lost[one.index][2:]
            if energy > 0 and most - least > 1e-9 and gone / energy > cut:
                cut, cut_where = float(gone / energy), place
    what = "distance from the range of the calibration inputs, in ranges"
    return [
        _trained(second, trained) if trained else Check("ranges", what, worst, WIDTHS, where),
        Check("clipping", "share of a layer's energy cut off on validation inputs", cut, CUT, cut_where),
    ]


def _trained(graph: Graph, trained: Mapping[str, tuple[float, float]]) -> Check:
    """Say whether a file has each range that its model was trained with."""
    had = {tensor.limits for step in graph.steps for tensor in (*step.given, *step.outputs) if tensor is not None}
    worst, where = 0.0, ""
    for name, (low, high) in trained.items():
        apart = min((max(abs(low - ends[0]), abs(high - ends[1])) for ends in had if ends), default=math.inf)
        if apart / (high - low) > worst:
            worst, where = apart / (high - low), name
    return Check("ranges", "distance of a trained range from the nearest of the file, in ranges", worst, SAME, where)


def _seen(
    content: bytes, tensors: list[Tensor], inputs: np.ndarray, limits: dict[int, Any] | None = None
) -> dict[int, tuple[float, float, float, float]]:
    """Return of each tensor the least and the largest number, 0 among them, the energy, and the energy beyond `limits`."""
    interpreter = watched(content)
    given = interpreter.get_input_details()[0]
    found = {tensor.index: (0.0, 0.0, 0.0, 0.0) for tensor in tensors}
    for example in inputs:
        interpreter.set_tensor(given["index"], np.asarray(example[None], given["dtype"]))
        interpreter.invoke()
        for index, (low, high, energy, gone) in found.items():
            numbers = interpreter.get_tensor(index).ravel()
            if not numbers.size:
                continue
            least, most = float(numbers.min()), float(numbers.max())
            if limits is not None:
                energy += float(numbers @ numbers)
                if least < limits[index][0] or most > limits[index][1]:
                    beyond = numbers - np.clip(numbers, *limits[index])
                    gone += float(beyond @ beyond)
            found[index] = min(low, least), max(high, most), energy, gone
    return found

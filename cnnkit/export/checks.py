"""Direct comparisons of an exported file with what it was made from, which see what scores cannot: named, measured, with a bar.

Design choices:
- A fault that leaves the largest score where it was, such as a missing softmax, costs no accuracy. So answers are compared as
  numbers, and of a file whose numbers are coarse (int8) the constants and the ranges, one by one.
- Scores are compared by their logarithms, so that a change shows though all of them are near 0 or 1.
- Sound files lie far below each bar and planted faults far above (`benchmarks/faults.py` has both, measured).
"""

import dataclasses
import json
import math
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.export.graph import Graph, Step, Tensor, along, mismatch, pairs, values

LEAST = 1e-12  # of a score; smaller ones are alike
FLOAT32 = 1e-3  # of the logarithm of a score, or of a raw box, that an answer may differ by, where answers vary by 0.1 or more
NARROW = 0.01  # the same where they vary less: this share of what they vary by, as a fault shows less there
NOISE = 2e-5  # never less than this, which is arithmetic
FLOAT16 = 0.2  # the same; a changed constant is seen by itself
KERNELS = (
    4.0  # times what rounding changes, squared, that an int8 file may be apart from the model that was trained to round
)
STEPS = 0.52  # of its precision, that a constant may lie from what it stands for; half a step is rounding
UNEQUAL = 0.005  # of answers, that two sets of kernels may give otherwise, as their rounding differs
SUM = 0.02  # that scores may miss 1 by, and a step of int8 for each two classes
LARGE = {"INT8": 0.4, "INT16": 0.6}
"""What layers put out -> of the bytes of the float32 weights, that a file may have. A quarter is what weights of eight bits are
made of, and a half tables that are read by row, of 16."""
HUNDREDTH = 0.01  # of the step of a layer's output of 16 bits: a bias that is so far off changes nothing
LARGEST_BIAS = 2.0**29  # steps: a bias beyond makes the converter take coarser weights


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: of it.
        what: that was measured, with its unit.
        measured: the number; NaN or infinite where there is none that makes sense.
        bar: up to which it passes.
        where: the layer, output or field with this number.
        passed: whether it did.
    """

    name: str
    what: str
    measured: float
    bar: float
    where: str = ""

    @property
    def passed(self) -> bool:
        return self.measured <= self.bar

    @property
    def reason(self) -> str:
        """Return one clause on a check that failed."""
        at = f" at {self.where}" if self.where else ""
        number = f": {self.measured:.3g}, at most {self.bar:.3g}" if math.isfinite(self.measured) and self.bar else ""
        return f"{self.name} ({self.what}{number}){at}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `gate.json` holds them."""
        measured = self.measured if math.isfinite(self.measured) else None
        return {**dataclasses.asdict(self), "measured": measured, "passed": self.passed}


def failed(name: str, what: str, where: str = "") -> Check:
    """Return a check that could not even be measured."""
    return Check(name, what, math.inf, 0.0, where)


def narrow(before: Mapping[str, np.ndarray], shares: Sequence[str]) -> float:
    """Return what answers of a float32 file may differ by: less where inputs hardly change them, as in a barely trained model.

    Args:
        before: the trained model's outputs for several inputs; what they vary by is the largest standard deviation of a number.
        shares: as in `answers`.
    """
    varied = max(
        (float(_comparable(array, name in shares).std(0).max(initial=0.0)) for name, array in before.items()),
        default=0.0,
    )
    return float(np.clip(NARROW * varied, NOISE, FLOAT32)) if math.isfinite(varied) else FLOAT32


def _comparable(array: np.ndarray, shares: bool) -> np.ndarray:
    numbers = np.asarray(array, np.float64)
    return np.log(np.maximum(numbers, LEAST)) if shares else numbers


def answers(
    name: str, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], bar: float, shares: Sequence[str]
) -> Check:
    """Compare the outputs of two models for the same inputs: the largest difference, relative to 1 + the size of the number.

    Args:
        name: of the check.
        before, after: outputs by name.
        bar: that the difference may reach.
        shares: outputs in [0, 1], of which the logarithms are compared; others are compared as they are.
    """
    what = "largest relative difference of an answer"
    if set(before) != set(after):
        return failed(name, f"outputs are {', '.join(sorted(after))} instead of {', '.join(sorted(before))}")
    worst, where = 0.0, ""
    for output, first in before.items():
        second = after[output]
        if second.shape != first.shape:
            return failed(name, f"shape {list(second.shape)} instead of {list(first.shape)}", output)
        a, b = _comparable(first, output in shares), _comparable(second, output in shares)
        if output in shares:
            beyond = np.maximum(np.maximum(-second, second - 1), 0)  # no probability
            b = b + np.where(beyond > 1e-4, 10.0, 0.0)
        apart = np.abs(a - b) / (1 + np.abs(a))
        apart = np.where(np.isfinite(apart), apart, math.inf)
        if apart.size and apart.max() > worst:
            worst, where = (
                float(apart.max()),
                f"{output} of input {int(np.unravel_index(apart.argmax(), apart.shape)[0])}",
            )
    return Check(name, what, worst, bar, where)


def kernels(
    rounding: Mapping[str, np.ndarray],
    plain: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    shares: Sequence[str],
) -> Check:
    """Compare the answers of an int8 file with those of the model that was trained to round as it does.

    Where a number lies just between two levels, arithmetic decides (the reference kernels round twice), and a level apart in one
    layer is several in the next. So sound ones are apart by about as much as rounding changes, which is what is measured with.

    Args:
        rounding, plain: outputs by name of the model, and of the same without rounding between layers.
        after: those of the file.
        shares: as in `answers`; a file rounds these once more.
    """
    what = "squared difference from the rounding model, in those that rounding makes"
    worst, where = 0.0, ""
    for output in rounding:
        a, b, c = (np.asarray(found[output], np.float64) for found in (rounding, plain, after))
        changed = np.square(a - b).mean() + (1 / 256**2 if output in shares else 0.0) + LEAST
        apart = float(np.square(a - c).mean() / changed)
        if not apart <= worst:
            worst, where = (apart if math.isfinite(apart) else math.inf), output
    return Check("kernels", what, worst, KERNELS, where)


def probabilities(output: str, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> Check:
    """Say whether an output has probabilities: in [0, 1], and with a sum of 1 where the trained model's have one."""
    name, what = "probabilities", f"by how much {output} leave [0, 1] or their sum misses 1"
    if output not in after or after[output].shape != before[output].shape:
        return failed(name, f"there are no {output} of the trained model's shape")
    scores = np.asarray(after[output], np.float64)
    if not np.isfinite(scores).all():
        return failed(name, "a score is no number")
    beyond = float(np.maximum(np.maximum(-scores, scores - 1), 0).max(initial=0.0))
    bar = 0.0 if not scores.size else SUM
    if scores.ndim == 2 and np.abs(before[output].sum(1) - 1).max(initial=0.0) < 1e-3:
        bar += scores.shape[1] / 512
        beyond = max(beyond, float(np.abs(scores.sum(1) - 1).max(initial=0.0)))
    return Check(name, what, beyond, bar)


def tables(graph: Graph, weights: Sequence[np.ndarray]) -> Check | None:
    """Compare tables that are read by row with the weights they are: rows that no input of a test asks for as well.

    Args:
        graph: of a float32 file.
        weights: of the trained model.

    Returns:
        None where there is no such table.
    """
    worst, where, found = 0.0, "", False
    for step in graph.steps:
        table = step.inputs[0] if step.kind == "GATHER" else None
        if table is None or table.data is None or table.kind != "FLOAT32":
            continue
        alike = [weight for weight in weights if weight.shape == table.data.shape]
        apart = min((float(np.abs(weight - table.data).max(initial=0.0)) for weight in alike), default=math.inf)
        found = True
        if apart >= worst:
            worst, where = apart, step.place
    what = "largest difference of a table's number from the trained one"
    return Check("tables", what, worst, 1e-6, where) if found else None


def network(base: Graph, other: Graph) -> Check:
    """Say whether a file has the operators of the float32 file, fed alike."""
    found = mismatch(base, other)
    if found:
        return failed("network", found)
    return Check("network", "operators that are not those of the float32 file", 0.0, 0.0)


def constants(base: Graph, other: Graph) -> Check:
    """Compare each constant with the float32 file's: how many steps of its precision it lies from it, half a step being rounding.

    A step of an eight-bit constant is a 127th of its largest number, in each channel where it has a scale of its own; of a
    float16 its spacing. A bias is read with the scale that the kernel gives it, which is that of its input times its weights'.
    """
    worst, where = 0.0, ""
    for first, second in pairs(base, other):
        for place, tensor in enumerate(first.inputs):
            twin = second.inputs[place] if place < len(second.inputs) else None
            apart = _apart(tensor, twin, first, second, place)
            if apart > worst:
                worst, where = apart, f"{first.place}, {_role(first, place)}"
        for place in range(len(first.inputs), len(second.inputs)):
            apart = _apart(None, second.inputs[place], first, second, place)
            if apart > worst:
                worst, where = apart, f"{first.place}, {_role(first, place)}"
    return Check("constants", "steps of rounding from the float32 file", worst, STEPS, where)


BIASES = ("INT32", "INT64")  # what they are in files of integers
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_3D")


CONVOLVED = {**dict.fromkeys(WEIGHTED, (0, 1)), "TRANSPOSE_CONV": (2, 1), "CONV_3D_TRANSPOSE": (2, 1)}
"""Operators that multiply by weights -> where their input and their weights are among what they are given."""


def integers(graph: Graph, layers: str = "INT8", kept: Collection[int] = ()) -> Check:
    """Say whether every convolution of a file computes in integers: 2-D, depthwise, transposed, 3-D, fully connected.

    One that is given numbers in float32 is right in all its answers, and none of a microcontroller's, so nothing else sees it.

    Args:
        graph: of the file.
        layers: what its layers put out; weights are int8.
        kept: numbers of operators that were to stay float, and have to be.
    """
    wrong = []
    for number, step in enumerate(graph.steps):
        for place, what in zip(CONVOLVED.get(step.kind, ()), ("input", "weights")):
            tensor = step.given[place] if place < len(step.given) else None
            wanted = "FLOAT32" if number in kept else layers if what == "input" else "INT8"
            if tensor is not None and tensor.kind != wanted:
                wrong.append(f"{step.place}, {what} {tensor.kind.lower()}")
    shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    kinds = " and ".join(dict.fromkeys((layers.lower(), "int8")))
    kinds += ", or float32 where they are to stay so" if kept else ""
    return Check("integers", f"inputs and weights of convolutions that are not {kinds}", float(len(wrong)), 0.0, shown)


def size(base: Graph, other: Graph, layers: str = "INT8", kept: Collection[int] = ()) -> Check:
    """Compare the bytes of the weights of a file of integers with the float32 file's, biases left out, which are no smaller.

    The file itself says less: of a small one most is what it says of itself. `layers` and `kept`, which
    are left out, as `integers` has them.
    """
    before = after = largest = 0
    where = ""
    for number, (first, second) in enumerate(pairs(base, other)):
        for place, (tensor, twin) in enumerate(zip(first.inputs, second.inputs)):
            if number in kept or tensor is None or tensor.data is None or twin is None or twin.data is None:
                continue
            if tensor.kind != "FLOAT32" or twin.kind in BIASES:
                continue
            before += tensor.data.nbytes
            after += twin.data.nbytes
            if twin.kind == "FLOAT32" and twin.data.nbytes > largest:
                largest, where = twin.data.nbytes, f"{first.place}, {_role(first, place)}"
    share = after / before if before else 0.0
    return Check("size", "bytes of the weights, as a share of the float32 file's", share, LARGE[layers], where)


def _role(step: Step, place: int) -> str:
    return {1: "weights", 2: "bias"}.get(place, f"input {place}") if step.kind in WEIGHTED else f"input {place}"


def _apart(tensor: Tensor | None, twin: Tensor | None, first: Step, second: Step, place: int) -> float:
    """Steps that a constant lies from another one; 0 where neither is one."""
    known, new = tensor is not None and tensor.data is not None, twin is not None and twin.data is not None
    if not known and not new:
        return 0.0
    if not known or not new:  # a bias of zeros may be left out, on either side
        left = tensor if known else twin
        missing = twin if known else tensor
        zero = missing is None and not values(left).any()  # type: ignore[arg-type]
        return 0.0 if zero else math.inf
    assert tensor is not None and twin is not None
    exact = values(tensor)
    if exact.size != values(twin).size:
        return math.inf
    if tensor.kind not in ("FLOAT32", "FLOAT16"):
        return 0.0 if np.array_equal(exact.ravel(), values(twin).ravel()) else math.inf
    if not np.isfinite(values(twin)).all():
        return math.inf
    largest = float(np.abs(exact).max(initial=0.0))
    if twin.kind == "FLOAT16":
        steps = np.maximum(np.abs(exact) * 2.0**-10, 2.0**-24)
        found = values(twin)
    elif not len(twin.scales):
        steps, found = np.full(exact.shape, max(1e-5 * largest, 1e-30)), values(twin)
    elif twin.kind in BIASES:
        scales = _kernel_scales(second, twin)
        least = HUNDREDTH * second.outputs[0].scales[:1] if twin.kind == "INT64" else 0.0  # rounded twice, where shared
        steps, found = along(np.maximum(scales, least), exact.ndim, twin.axis), values(twin, scales)
    else:
        steps, found = _steps(exact, twin, first, second, place), values(twin)
    found = found.reshape(exact.shape)
    if not exact.size:
        return 0.0
    # What float32 itself cannot hold is no fault: a bias may be a thousand million of its steps.
    return float((np.maximum(np.abs(found - exact) - 1e-6 * np.abs(exact), 0) / steps).max())


def _kernel_scales(step: Step, bias: Tensor) -> np.ndarray:
    given, weights = step.given[0], step.given[1]
    if (
        step.kind not in WEIGHTED
        or given is None
        or weights is None
        or len(given.scales) != 1
        or not len(weights.scales)
    ):
        return bias.scales
    return given.scales[0] * weights.scales


def _steps(exact: np.ndarray, twin: Tensor, first: Step, second: Step, place: int) -> np.ndarray:
    """Steps that a constant of eight bits should have, in a shape that divides it."""
    own = np.maximum(along(twin.scales, exact.ndim, twin.axis), 1e-30)
    shared = [t for k, t in enumerate((*second.given, *second.outputs)) if t is not None and t.data is None]
    if len(twin.scales) == 1 and any(
        len(t.scales) == 1 and t.scales[0] == twin.scales[0] and t.zeros[0] == twin.zeros[0] for t in shared
    ):
        return own  # it has the scale of what it is put beside
    others = tuple(k for k in range(exact.ndim) if len(twin.scales) == 1 or k != twin.axis)
    largest = np.abs(exact).max(axis=others, keepdims=True) if exact.ndim else np.abs(exact)
    steps = np.maximum(largest, 1e-5 * largest.max(initial=1e-25)) / (32767 if twin.kind == "INT16" else 127)
    bias = first.inputs[2] if second.kind in WEIGHTED and place == 1 and len(first.inputs) > 2 else None
    if bias is not None and bias.data is not None and len(twin.scales) > 1 and second.given[0] is not None:
        forced = np.abs(values(bias).ravel()) / (second.given[0].scales[0] * np.ravel(steps)) > LARGEST_BIAS
        steps = np.where(along(forced, exact.ndim, twin.axis), own, steps)
    return steps


def described(expected: Mapping[str, Any], path: Path, found: Mapping[str, Any]) -> Check:
    """Compare what a file says of itself with what it has to say, field by field, and the lists that travel beside it.

    Args:
        expected: metadata that the file should hold.
        path: of the file.
        found: metadata that it holds.
    """
    wanted = json.loads(json.dumps(expected))
    wrong = _fields(wanted, json.loads(json.dumps(found)), "")
    try:
        with zipfile.ZipFile(path) as archive:
            lines = archive.read("labels.txt").decode("utf-8")
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, OSError):
        wrong.append("labels.txt")
    else:
        if lines != "".join(f"{label}\n" for label in wanted.get("labels", [])) and wanted.get("labels"):
            wrong.append("labels.txt")
    shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    return Check("metadata", "fields that are not those of the trained model", float(len(wrong)), 0.0, shown)


def _fields(wanted: Any, found: Any, name: str) -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = [*wanted, *(key for key in found if key not in wanted)]
        return [
            wrong
            for key in keys
            for wrong in (
                _fields(wanted[key], found[key], f"{name}.{key}" if name else key)
                if key in wanted and key in found
                else [f"{name}.{key}" if name else key]
            )
        ]
    return [] if type(wanted) is type(found) and wanted == found else [name]


def operators(graph: Graph, lacks: Callable[[Step], str | None]) -> Check:
    """Say whether a file's clients have its operators, and else which they lack, and where.

    Args:
        graph: of a file.
        lacks: says which one they lack.
    """
    wrong = [step.place for step in graph.steps if lacks(step)]
    shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    return Check("operators", "operators that its clients lack", float(len(wrong)), 0.0, shown)


def agreement(counts: Mapping[str, tuple[int, int]]) -> Check:
    """Say how many answers are not the very same with LiteRT's reference kernels.

    Args:
        counts: by output (answers, those that are not the same).
    """
    shares = {output: apart / total for output, (total, apart) in counts.items() if total}
    where = max(shares, key=lambda output: shares[output], default="")
    what = "share of answers that are not those of LiteRT's reference kernels"
    return Check("client's answers", what, shares.get(where, 0.0), UNEQUAL, where)


def facing(
    graph: Graph, shape: Sequence[int], dtypes: tuple[str, str], task: Any, labels: Sequence[str], pixels: bool = False
) -> Check:
    """Say whether a file's input and its outputs have the shape and the type that its metadata promise.

    Args:
        graph: of the file.
        shape: of one input.
        dtypes: of the input and of the outputs, as NumPy names them.
        task: the device half (`cnnkit.device.kinds.TaskKind`).
        labels: of the outputs that name some.
        pixels: whether int8 inputs are numbers in [0, 255] less 128.
    """
    name, what = "input and output", "sides, types and scales that are not those promised"
    wrong = []
    dtype, answered = dtypes
    given = graph.inputs[0] if len(graph.inputs) == 1 else None
    if given is None or given.kind != dtype.upper():
        wrong.append("type of the input")
    elif given.shape != (1, *shape):
        wrong.append("shape of the input")
    elif (dtype == "uint8" or (pixels and dtype == "int8")) and (
        (given.scales.tolist(), given.zeros.tolist()) != ([1.0], [np.iinfo(dtype).min])
    ):
        wrong.append("scale of the input")
    for output in task.outputs:
        found = graph.outputs.get(output)
        if found is None:
            wrong.append(f"name of the {output}")
            continue
        if found[0].kind != answered.upper():
            wrong.append(f"type of the {output}")
        if output == task.named and found[0].shape[-1:] != (len(labels),):
            wrong.append(f"number of the {output}")
    return Check(name, what, float(len(wrong)), 0.0, ", ".join(wrong))

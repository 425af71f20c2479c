"""Which layers of a file of integers lose most by rounding: `export --explain`.

Design choices:
- The file that the gate judges is itself held against the float32 file of the same weights: the gate has found the two to have
  the same operators one by one. TensorFlow's debugger (`tf.lite.experimental.QuantizationDebugger`) converts the model once more,
  and gives each layer what the rounded network has there.
- `alone`: both files are taken apart. Each operator is given what the float network gives it, rounded to the levels of the file
  of integers, and what the two make of that is compared: so rounding is charged to the layer whose answers are rounded.
  `so_far`: what the whole file has there, with all that was lost before.
- Both are shares: squared error over squared numbers, of each channel, at most 1; the root of their mean. 1 % is a signal 40 dB
  above noise. In all channels together one with large numbers would hide that the others are gone.
- An operator whose answers have the levels of its input, such as a pooling, rounds nothing anew and is not listed. To blame are
  those that stand out: with three times the median, and two parts in a hundred.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.export import container
from cnnkit.export.graph import Graph, Step, Tensor, graph_of, pairs, plain, watched

LEAST = 1e-4  # of its numbers, that a layer loses to be listed
BLAMED = 0.02  # the same, to be to blame
NAMED = 5  # layers, of those that stand out
OUT = 3  # times the median, that stand out


def losses(base: bytes, content: bytes, inputs: np.ndarray, layers: Collection[str]) -> list[dict[str, Any]]:
    """Return what each layer of a file of integers loses, the worst first.

    Args:
        base: the float32 file of the same weights, with the same operators.
        content: the file.
        inputs: as both take them, (n, *shape).
        layers: names of the model's layers, by which they are called.

    Returns:
        Of each operator that rounds `layer`, `operator`, `alone` and `so_far`.
    """
    first, second = graph_of(base), graph_of(content)
    both = list(pairs(first, second))
    places = [
        (number, place)
        for number, (a, b) in enumerate(both)
        for place, (one, other) in enumerate(zip(a.given, b.given))
        if one is not None and other is not None and one.data is None and other.data is None
    ]
    exact, whole = watched(base), watched(content)
    files = ((base, first, exact), (content, second, whole))
    taken = [_taken_apart(file, graph, places, run) for file, graph, run in files]
    in_floats, apart = (watched(file) for file, _ in taken)
    rounds = [(a, b) for a, b in both if _rounds(b)]
    totals = [np.zeros((3, (1, *b.outputs[0].shape)[-1])) for _, b in rounds]
    for example in inputs:
        for _, graph, run in files:
            run.set_tensor(graph.inputs[0].index, _stored(example[None], graph.inputs[0]))
            run.invoke()
        for (number, place), one, other in zip(places, *(indices for _, indices in taken), strict=True):
            a, b = both[number]
            form = b.given[place]
            levels = _stored(exact.get_tensor(a.inputs[place].index), form)
            for run, source, index, values in (
                (in_floats, (exact, a), one, _numbers(levels, form).astype(np.dtype(a.given[place].kind.lower()))),
                (apart, (whole, b), other, levels),
            ):
                run.set_tensor(index, values.reshape(source[0].get_tensor(source[1].given[place].index).shape))
        in_floats.invoke()
        apart.invoke()
        for total, (a, b) in zip(totals, rounds):
            (one,), (other,) = a.outputs[:1], b.outputs[:1]
            numbers = exact.get_tensor(one.index)
            rounded, whole_file = (_numbers(run.get_tensor(other.index), other) for run in (apart, whole))
            for row, values in zip(total, (numbers, rounded - in_floats.get_tensor(one.index), whole_file - numbers)):
                row += np.square(values, dtype=np.float64).reshape(-1, len(row)).sum(0)
    ends = {second.steps[source[0]]: name for name, (_, source) in second.outputs.items() if isinstance(source[0], int)}
    rows: list[dict[str, Any]] = []
    for (_, b), (signal, *errors) in zip(rounds, totals):
        there = signal > 0
        if not there.any():
            continue
        alone, so_far = (float(np.sqrt(np.minimum(e[there] / signal[there], 1).mean())) for e in errors)
        name = next(iter(names_of(b, layers)), ends.get(b) or plain(b.outputs[0].name))
        rows.append({"layer": name, "operator": b.kind, "alone": alone, "so_far": so_far})
    return sorted((row for row in rows if row["alone"] >= LEAST), key=lambda row: -row["alone"])


def said(rows: Sequence[Mapping[str, Any]], sixteen: bool, floats: bool) -> str:
    """Return what to do about losses, in sentences; whether int16x8 and layers that stay float are left to be tried."""
    worst = blamed(rows)
    more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
    which = f"Most is lost in {', '.join(worst[:NAMED])}{more}." if worst else "No layer stands out: they lose alike."
    tries = ["try `precision` int16x8"] * sixteen + [f"`keep_float` {name}" for name in worst[:1] if floats]
    tries += ["train with `quantise_aware` where the app has it"]
    return f"{which} What may help, in this order: {'; '.join(tries)}."


def _rounds(step: Step) -> bool:
    """Whether an operator gives numbers levels that its inputs do not have."""
    made = step.outputs[0]
    read = [t for t in step.given if t is not None and t.data is None and t.limits is not None]
    return made.limits is not None and all((t.scales[0], t.zeros[0]) != (made.scales[0], made.zeros[0]) for t in read)


def blamed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the layers that stand out, the worst first."""
    if not rows:
        return []
    bar = max(BLAMED, OUT * float(np.median([row["alone"] for row in rows])))
    return list(dict.fromkeys(row["layer"] for row in rows if row["alone"] >= bar))


def names_of(step: Step, layers: Collection[str]) -> list[str]:
    """Return the layers of a model that an operator computes: what is joined, such as a convolution with its ReLU, has several.

    A converter calls a layer "conv_1" where it is called once more in the exported graph.
    """
    found = []
    for part in reversed(step.outputs[0].name.split(";") if step.outputs else []):
        for piece in reversed(part.split("/")):
            head, _, tail = piece.rpartition("_")
            own = next((name for name in (head if tail.isdigit() else piece, piece) if name in layers), None)
            if own is not None:
                found.append(own)
                break
    return list(dict.fromkeys(found))


def _taken_apart(
    content: bytes, graph: Graph, places: Sequence[tuple[int, int]], whole: Any
) -> tuple[bytes, list[int]]:
    """Return a file in which operators read inputs of their own.

    Args:
        content: of the file.
        graph: the same.
        places: which inputs: (number of the operator, place among what it is given).
        whole: an interpreter of the file, which knows all shapes.

    Returns:
        The flatbuffer, and the index of each input.
    """
    model = container.read(content)
    (found,) = model.subgraphs
    operators = {int(operator.outputs[0]): operator for operator in found.operators}
    kept = [operators[step.outputs[0].index] for step in graph.steps]
    found.operators, found.inputs = kept, []
    for number, place in places:
        index = int(kept[number].inputs[place])
        own = copy.copy(found.tensors[index])
        own.buffer, own.shapeSignature = 0, None
        own.shape = np.array(whole.get_tensor(index).shape, np.int32)
        found.inputs.append(len(found.tensors))
        read = list(kept[number].inputs)
        read[place] = len(found.tensors)
        kept[number].inputs = read
        found.tensors.append(own)
    found.outputs = [int(index) for operator in kept for index in operator.outputs]
    model.signatureDefs = model.metadata = None
    return container.packed(model), list(found.inputs)


def _stored(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return numbers as a tensor holds them."""
    kind = np.dtype(tensor.kind.lower())
    if tensor.limits is None:
        return numbers.astype(kind)
    levels = np.rint(numbers / tensor.scales[0] + tensor.zeros[0])
    return np.clip(levels, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)


def _numbers(stored: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return what stored numbers stand for."""
    return stored if tensor.limits is None else (stored.astype(np.float64) - tensor.zeros[0]) * tensor.scales[0]

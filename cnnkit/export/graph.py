"""What a `.tflite` computes: its operators in order, what they read, and their constants as numbers.

Design choices:
- Two files of one model at two precisions have the same operators in the same order, but for those that change the form of
  numbers (QUANTIZE, DEQUANTIZE). Those are looked through here, so operators and constants of the two can be held against each
  other one by one, without names, which converters change. So is a RESHAPE before a fully connected layer, which the converter
  leaves out in one file and not in the other.
- The flatbuffer is read with the schema of the interpreter that runs it.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

FORMS = ("QUANTIZE", "DEQUANTIZE")
HELD = ("quantizedBiasType", "potScaleInt16")  # options that say in which form numbers are held
_FLOATS = {"FLOAT32": "<f4", "FLOAT16": "<f2", "FLOAT64": "<f8"}
_INTEGERS = {"INT8": "<i1", "UINT8": "<u1", "INT16": "<i2", "UINT16": "<u2", "INT32": "<i4", "UINT32": "<u4"}
_TYPES = {**_FLOATS, **_INTEGERS, "INT64": "<i8", "UINT64": "<u8", "BOOL": "?"}


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of a graph.

    Attributes:
        index: of it in the file.
        name: as the converter left it.
        kind: type of its numbers, such as "INT8".
        shape: of it; -1 where it is open.
        scales, zeros: of its quantisation, one number each or one a slice along `axis`; empty: none.
        axis: the same.
        data: its numbers as they are stored, where it is a constant.
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    scales: np.ndarray
    zeros: np.ndarray
    axis: int
    data: np.ndarray | None

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the largest number that it can hold; None where it is not quantised with one scale."""
        if len(self.scales) != 1 or self.kind not in _INTEGERS:
            return None
        held = np.iinfo(_INTEGERS[self.kind])
        scale, zero = float(self.scales[0]), int(self.zeros[0])
        return scale * (held.min - zero), scale * (held.max - zero)


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """An operator.

    Attributes:
        kind: its name, such as "CONV_2D".
        options: what it was built with, such as strides.
        inputs: what it reads, past changes of form: constants, inputs of the graph, outputs of earlier steps; None: left out.
        given: the same tensors as the operator itself is given them, changes of form included.
        outputs: what it makes.
        sources: where each input comes from: (number of the step, place among its outputs), ("input", place), "constant", None.
    """

    kind: str
    options: dict[str, Any]
    inputs: tuple[Tensor | None, ...]
    given: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    sources: tuple[Any, ...]

    @property
    def place(self) -> str:
        """What a person finds it by: its name in the model and its kind."""
        return f"{plain(self.outputs[0].name)} ({self.kind})" if self.outputs else self.kind


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A `.tflite`.

    Attributes:
        steps: its operators in order, but for `FORMS` where these are looked through.
        inputs: tensors it reads.
        outputs: by signature name, the tensor and where it comes from, as `Step.sources`.
        order: indices of the outputs as the file lists them.
    """

    steps: tuple[Step, ...]
    inputs: tuple[Tensor, ...]
    outputs: dict[str, tuple[Tensor, Any]]
    order: tuple[int, ...] = ()


def plain(name: str) -> str:
    """Return the name of a layer out of that of a tensor: "relu;device_1/conv_1/convolution" -> "conv"."""
    parts = [part for part in name.split(";")[-1].split("/") if part and not part.startswith("device")]
    found = parts[0] if parts else name
    head, _, tail = found.rpartition("_")
    return head if head and tail.isdigit() else found


def graph_of(content: bytes, forms: bool = False) -> Graph:
    """Read a file's graph.

    Args:
        content: of a file.
        forms: whether operators that change the form of numbers are steps too.

    Raises:
        ValueError: it has more than one, or something in it that no export of ours has.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    if len(model.subgraphs) != 1:
        raise ValueError(f"The file has {len(model.subgraphs)} graphs instead of one.")
    kinds = {number: name for name, number in vars(schema.TensorType).items() if name.isupper()}
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    whole = model.subgraphs[0]
    tensors = [_tensor(index, entry, kinds, model.buffers) for index, entry in enumerate(whole.tensors)]
    sources: dict[int, Any] = {int(index): ("input", place) for place, index in enumerate(whole.inputs)}
    before: dict[int, int] = {}  # a tensor that changes the form of another -> that one
    steps: list[Step] = []

    def origin(index: int) -> int:
        while index in before:
            index = before[index]
        return index

    def source(index: int) -> Any:
        return "constant" if tensors[index].data is not None else sources.get(index)

    def kind_of(operator: Any) -> str:
        code = model.operatorCodes[operator.opcodeIndex]
        return names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")

    readers: dict[int, set[str]] = {int(index): {"output"} for index in whole.outputs}
    for operator in reversed(whole.operators or []):  # what only changes the form is looked through: who reads that
        kind = kind_of(operator)
        reading = readers.get(int(operator.outputs[0]), set()) if kind in FORMS else {kind}
        for index in operator.inputs:
            readers.setdefault(int(index), set()).update(reading)
    for operator in whole.operators or []:
        kind = kind_of(operator)
        read = [int(index) for index in operator.inputs]
        made = [int(index) for index in operator.outputs]
        flat = kind == "RESHAPE" and readers.get(made[0]) == {"FULLY_CONNECTED"}
        if not forms and (kind in FORMS or flat):
            before[made[0]] = read[0]
            continue
        origins = [None if index < 0 else origin(index) for index in read]
        options = {} if operator.builtinOptions is None else vars(operator.builtinOptions)
        steps.append(
            Step(
                kind,
                {name: _comparable(value) for name, value in options.items() if name not in HELD},
                tuple(None if index is None else tensors[index] for index in origins),
                tuple(None if index < 0 else tensors[index] for index in read),
                tuple(tensors[index] for index in made),
                tuple(None if index is None else source(index) for index in origins),
            )
        )
        sources.update({index: (len(steps) - 1, place) for place, index in enumerate(made)})
    named = {}
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            name = entry.name.decode() if isinstance(entry.name, bytes) else entry.name
            index = int(entry.tensorIndex)
            named[name] = tensors[index], source(origin(index))
    order = tuple(int(index) for index in whole.outputs)
    return Graph(tuple(steps), tuple(tensors[int(index)] for index in whole.inputs), named, order)


def _comparable(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _tensor(index: int, entry: Any, kinds: dict[int, str], buffers: Any) -> Tensor:
    def array(values: Any, kind: Any) -> np.ndarray:
        return np.zeros(0, kind) if values is None else np.asarray(values, kind)

    kind, quantization = kinds[entry.type], entry.quantization
    open_shape = entry.shapeSignature if entry.shapeSignature is not None else entry.shape
    shape = () if open_shape is None else tuple(int(side) for side in open_shape)
    stored, data = buffers[entry.buffer].data, None
    if stored is not None and len(stored):
        if kind not in _TYPES:
            raise ValueError(f"A constant is of the type {kind}.")
        data = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), _TYPES[kind]).reshape(shape)
    return Tensor(
        index,
        entry.name.decode() if isinstance(entry.name, bytes) else str(entry.name),
        kind,
        shape,
        array(quantization.scale if quantization else None, np.float64),
        array(quantization.zeroPoint if quantization else None, np.int64),
        int(quantization.quantizedDimension) if quantization else 0,
        data,
    )


def watched(content: bytes) -> Any:
    """Return an interpreter of a file that keeps what every operator puts out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from cnnkit.quiet import quiet

    with quiet():
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,  # one would keep what is inside
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    return interpreter


def without_forms(content: bytes) -> bytes:
    """Return the flatbuffer of a float32 file without the operators that only change the form of numbers, and so round them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    forms = {getattr(schema.BuiltinOperator, name) for name in FORMS}
    (graph,) = model.subgraphs
    before: dict[int, int] = {}
    kept = []
    for operator in graph.operators:  # each after what it reads
        operator.inputs = [before.get(int(index), int(index)) for index in operator.inputs]
        if kinds[operator.opcodeIndex] in forms:
            before[int(operator.outputs[0])] = operator.inputs[0]
        else:
            kept.append(operator)
    graph.operators = kept
    graph.outputs = [before.get(int(index), int(index)) for index in graph.outputs]
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = before.get(int(entry.tensorIndex), int(entry.tensorIndex))
    builder = flatbuffers.Builder(len(content) + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_own_biases(content: bytes) -> bytes:
    """Return the flatbuffer of an int16x8 file in which each convolution has a bias of its own scale.

    Kernels take that of the input times that of the weights. Of a layer that is used on several inputs the converter writes one
    bias, which is right for the first.
    """
    import copy

    from cnnkit.export.container import packed, read

    model, steps = read(content), graph_of(content, forms=True).steps
    (graph,) = model.subgraphs
    for operator, step in zip(graph.operators, steps, strict=True):
        bias = next((tensor for tensor in step.given if tensor is not None and tensor.kind == "INT64"), None)
        if bias is None or bias.data is None or step.given[1] is None:
            continue
        given = next(tensor for tensor in step.given if tensor is not None and tensor.kind == "INT16")
        scales = given.scales[0] * step.given[1].scales
        if not len(scales) or np.allclose(scales, bias.scales, rtol=1e-5, atol=0):
            continue
        own, buffer = (
            copy.deepcopy(graph.tensors[bias.index]),
            copy.copy(model.buffers[graph.tensors[bias.index].buffer]),
        )
        numbers = np.rint(values(bias).ravel() / scales)
        buffer.data = numbers.astype("<i8").view(np.uint8)
        own.quantization.scale, own.buffer = scales.astype(np.float32), len(model.buffers)
        model.buffers.append(buffer)
        graph.tensors.append(own)
        operator.inputs = [len(graph.tensors) - 1 if index == bias.index else index for index in operator.inputs]
    return packed(model)


def values(tensor: Tensor, scales: np.ndarray | None = None) -> np.ndarray:
    """Return a constant's numbers, float64 of its shape.

    Args:
        tensor: a constant.
        scales: to use instead of its own.
    """
    if tensor.data is None:
        raise ValueError("`tensor` needs to be a constant.")
    data = tensor.data.astype(np.float64)
    if not len(tensor.scales) or tensor.kind in _FLOATS:
        return data
    zeros = along(tensor.zeros if len(tensor.zeros) else np.zeros(1), data.ndim, tensor.axis)
    return (data - zeros) * along(tensor.scales if scales is None else scales, data.ndim, tensor.axis)


def along(numbers: np.ndarray, dimensions: int, axis: int) -> np.ndarray:
    """Return one number, or one a slice along an axis, in a shape that multiplies an array of so many dimensions."""
    if len(numbers) == 1 or not dimensions:
        return numbers.reshape((1,) * dimensions)
    return numbers.reshape(tuple(-1 if place == axis else 1 for place in range(dimensions)))


def mismatch(first: Graph, second: Graph) -> str | None:
    """Say where two graphs are not the same network, whatever their numbers; None where they are.

    Operators, what they are built with, what feeds what, and which outputs have which names are compared.
    """
    for number, (a, b) in enumerate(zip(first.steps, second.steps)):
        if a.kind != b.kind:
            return f"operator {number + 1} is {b.kind} instead of {a.kind}, at {a.place}"
        if a.options != b.options:
            changed = next(name for name in a.options if a.options[name] != b.options.get(name))
            return f"{changed} of {a.place} is {b.options.get(changed)} instead of {a.options[changed]}"
        if _fed(a) != _fed(b):
            return f"{a.place} reads something else"
    if len(first.steps) != len(second.steps):
        return f"{len(second.steps)} operators instead of {len(first.steps)}"
    if set(first.outputs) != set(second.outputs):
        return f"outputs are {', '.join(sorted(second.outputs))} instead of {', '.join(sorted(first.outputs))}"
    for name, (tensor, source) in first.outputs.items():
        if second.outputs[name][1] != source:
            return f"the output {name} comes from another operator"
        if second.outputs[name][0].shape != tensor.shape:
            return f"the output {name} is {list(second.outputs[name][0].shape)} instead of {list(tensor.shape)}"
    return None


def _fed(step: Step) -> tuple[Any, ...]:
    fed = list(step.sources)
    while fed and fed[-1] is None:  # a bias of zeros may be left out
        fed.pop()
    return tuple(fed)


def pairs(first: Graph, second: Graph) -> Iterator[tuple[Step, Step]]:
    """Return the steps of two graphs side by side."""
    return zip(first.steps, second.steps, strict=True)


def oldest_runtime(content: bytes) -> str:
    """Return the first version of TensorFlow Lite that has every operator of a file, as its converter says; "": it does not."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for entry in model.metadata or []:
        if entry.name in (b"min_runtime_version", "min_runtime_version"):
            return bytes(bytearray(model.buffers[entry.buffer].data)).split(b"\0")[0].decode("ascii", "replace")
    return ""

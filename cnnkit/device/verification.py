"""Whether a `.tflite` that carries no checksum is one: what the schema demands of it, and one run. Meant for `cnnkit.trials`.

What cannot be found so is a weight that is another number than it was; only a checksum tells.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import ArtifactError

MOST_BYTES = 1 << 31  # of all tensors that are not constants; those of a model for phones are a hundredth of it
SIZES = {  # bits of a number, by the name of its type
    **dict.fromkeys(["FLOAT64", "INT64", "UINT64", "COMPLEX64"], 64),
    **dict.fromkeys(["FLOAT32", "INT32", "UINT32"], 32),
    **dict.fromkeys(["FLOAT16", "BFLOAT16", "INT16", "UINT16"], 16),
    **dict.fromkeys(["INT8", "UINT8", "BOOL"], 8),
    **dict.fromkeys(["INT4", "UINT4"], 4),
    "INT2": 2,
}
FLOATS = {"FLOAT64": "<f8", "FLOAT32": "<f4", "FLOAT16": "<f2"}


def check(path: Path) -> None:
    """Verify a `.tflite` and run it on inputs of zeros, of ones and of noise; in a process of its own, which it may end.

    Raises:
        Exception: of any kind; it is damaged, or not for this runtime.
    """
    verify(path.read_bytes())
    from cnnkit.device.model import DeviceModel

    model = DeviceModel.open(path, known=True)
    model.run_batch(model.kind.trials(model))


def verify(content: bytes) -> None:
    """Hold a flatbuffer against the schema of LiteRT: every index, size, scale and constant.

    Raises:
        ArtifactError: what is wrong with it, without the name of the file.
        Exception: of many kinds, where it cannot even be read as a flatbuffer.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:  # an older LiteRT; it verifies the structure itself
        return
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    types = {number: name for name, number in vars(schema.TensorType).items() if name.isupper()}
    buffers, graphs = model.buffers or [], model.subgraphs or []
    _need(graphs, "it has no graph")
    for number, graph in enumerate(graphs):
        tensors = graph.tensors or []
        total = sum(_tensor(tensor, types, buffers) for tensor in tensors)
        _need(total <= MOST_BYTES, f"its tensors need {total / 2**30:.1f} GiB")
        used = [_list(graph.inputs), _list(graph.outputs)]
        for operator in graph.operators or []:
            _within([operator.opcodeIndex], len(model.operatorCodes or []), "operator")
            used += [[k for k in _list(operator.inputs) if k != -1], _list(operator.outputs)]
        _within(itertools.chain.from_iterable(used), len(tensors), f"tensor of graph {number}")
    for signature in model.signatureDefs or []:
        _within([signature.subgraphIndex], len(graphs), "graph")
        places = [entry.tensorIndex for entry in [*(signature.inputs or []), *(signature.outputs or [])]]
        _within(places, len(graphs[signature.subgraphIndex].tensors or []), "tensor of a signature")


def _tensor(tensor: Any, types: dict[int, str], buffers: list[Any]) -> int:
    """Verify a tensor; return how many bytes it needs that are not in the file."""
    name = _text(tensor.name)
    _need(tensor.type in types, f"the tensor {name} is of an unknown type")
    _within([tensor.buffer], len(buffers), "buffer")
    shape = _list(tensor.shape)
    open_ = [k for k in _list(tensor.shapeSignature) if k != -1]
    _need(all(n >= 0 for n in [*shape, *open_]), f"the tensor {name} has the shape {shape}")
    quantization = tensor.quantization
    if quantization is not None:
        scales = np.asarray(_list(quantization.scale), np.float64)
        _need(np.isfinite(scales).all() and (scales >= 0).all(), f"the tensor {name} has no sound scale")
        axis, zeros = quantization.quantizedDimension, _list(quantization.zeroPoint)
        _need(len(zeros) in (0, 1, len(scales)), f"the tensor {name} has another number of zero points than of scales")
        if len(scales) > 1:
            _need(0 <= axis < len(shape) and shape[axis] == len(scales), f"the tensor {name} lacks scales")
    kind = types[tensor.type]
    bits = SIZES.get(kind)
    size = -(-int(np.prod([1, *map(int, shape)], dtype=object)) * (bits or 0) // 8)
    data = buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        return size
    if bits is not None and tensor.sparsity is None:
        _need(len(data) == size, f"the tensor {name} has {len(data)} bytes of {size}")
        if kind in FLOATS:
            values = np.frombuffer(bytes(data), FLOATS[kind])
            _need(np.isfinite(values).all(), f"the tensor {name} holds values that are not numbers")
    return 0


def _list(values: Any) -> list[Any]:
    return [] if values is None else np.asarray(values).ravel().tolist()


def _text(name: Any) -> str:
    return ascii(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name))[1:-1][:60]


def _within(numbers: Any, count: int, what: str) -> None:
    worst = next((number for number in numbers if not 0 <= number < count), None)
    _need(worst is None, f"it names a {what}, {worst}, of {count}")


def _need(fine: Any, complaint: str) -> None:
    if not fine:
        raise ArtifactError(complaint)

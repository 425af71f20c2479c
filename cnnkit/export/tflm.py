"""TensorFlow Lite Micro (TFLM): which operators it has, a file run by it, and the memory that it takes there.

Design choices:
- What runs here is TFLM's own interpreter, as the package `tflite-micro` has it: its reference kernels on a 64-bit host. A board
  computes the same numbers with these kernels. Its structures there are smaller, and other kernels, such as CMSIS-NN's, may
  take more for themselves.
- It has the face of LiteRT's interpreter, so that `DeviceModel` runs both.
- It writes what is wrong to standard error, past Python; that is what an error here says.
"""

import bisect
import contextlib
import dataclasses
import importlib.metadata
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, MissingExtra
from cnnkit.export import container
from cnnkit.export.graph import Step, Tensor, graph_of
from cnnkit.files import write_bytes
from cnnkit.quiet import heard
from cnnkit.trials import refusal

# `micro_mutable_op_resolver.h` of TFLM at 90b983c (August 2026); the package of October 2026 has the same.
_LISTED = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CALL_ONCE
CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL
HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX
MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX
REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
OPERATORS = frozenset(_LISTED.split())
FLOATS = {"CEIL", "COS", "EXP", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "LOG", "ROUND", "SIN", "SQRT", "SQUARE"}
"""Operators of these that it has of float32 alone, by its kernels of the same day."""

_NAMED = {  # methods of its resolver that are not called after the operator
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
TRIAL = "cnnkit.export.tflm:trial"
ROOM = 1 << 28  # bytes of an arena to try a file in; what is not used of it is never touched
KIB = 1024  # bytes, of which arenas are multiples
SHARE = 16  # of what is used, the part that is added
MORE = 8  # times at most


def method(operator: str) -> str:
    """Return what adds an operator to a `MicroMutableOpResolver`: "CONV_2D" -> "AddConv2D"."""
    words = (part if part[0].isdigit() else part.capitalize() for part in operator.split("_"))
    return "Add" + _NAMED.get(operator, "".join(words))


def lacks(step: Step) -> str | None:
    """Say which operator TFLM lacks, where it lacks one; of another type than in the file it may still lack it."""
    if step.kind not in OPERATORS:
        return step.kind
    kind = step.given[0].kind if step.given and step.given[0] is not None else "FLOAT32"
    return f"{step.kind} of {kind.lower()}" if step.kind in FLOATS and kind != "FLOAT32" else None


def needed() -> Any:
    """Return the package's runtime.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        from tflite_micro import runtime
    except ImportError as error:
        # LiteRT's reference kernels would do nearly the same. But nearly is what a gate is to find out, and the arena is TFLM's.
        raise MissingExtra(
            "Files for microcontrollers are run and measured in TensorFlow Lite Micro, which is not installed: "
            'pip install "cnnkit[micro]". There are packages for Linux on x86-64 alone; export there.'
        ) from error
    return runtime


def named() -> str:
    """Return what runs a file here, for people."""
    version = importlib.metadata.version("tflite-micro")
    return f"TensorFlow Lite Micro {version}, its reference kernels on a 64-bit host"


class _Interpreter:
    """TFLM with the face of LiteRT's interpreter, as far as `DeviceModel` looks at it.

    Args:
        content: of a file.
        arena: bytes of it.

    Raises:
        ArtifactError: it has an operator or a type that TFLM lacks, or the arena is too small.
    """

    def __init__(self, content: bytes, arena: int = ROOM):
        graph = graph_of(content)
        runtime = needed()
        with heard() as said:
            try:
                self._inner = runtime.Interpreter.from_bytes(content, arena_size=arena)
                failed = False
            except (RuntimeError, ValueError):
                failed = True
        if failed:
            reason = next((line for line in said if line.strip()), "it says no more")
            raise ArtifactError(reason.strip()[:200])
        self._inputs = {"input": _details(graph.inputs[0], 0)}
        places = {index: place for place, index in enumerate(graph.order)}
        self._outputs = {name: _details(tensor, places[tensor.index]) for name, (tensor, _) in graph.outputs.items()}

    def get_signature_runner(self) -> "_Interpreter":
        return self

    def get_input_details(self) -> Mapping[str, Any]:
        return self._inputs

    def get_output_details(self) -> Mapping[str, Any]:
        return self._outputs

    def set_tensor(self, place: int, values: np.ndarray) -> None:
        self._inner.set_input(np.ascontiguousarray(values), place)

    def get_tensor(self, place: int) -> np.ndarray:
        return np.asarray(self._inner.get_output(place))

    def invoke(self) -> None:
        self._inner.invoke()

    def allocations(self) -> str:
        """Return what its recording allocator says after a run."""
        with heard() as said:
            self._inner.print_allocations()
        return "\n".join(said)


def _details(tensor: Tensor, place: int) -> dict[str, Any]:
    scaled = len(tensor.scales) == 1
    return {
        "index": place,
        "shape": np.array(tensor.shape),
        "dtype": np.dtype(tensor.kind.lower()),
        "quantization": (float(tensor.scales[0]), int(tensor.zeros[0])) if scaled else (0.0, 0),
    }


def opened(path: Path, metadata: Mapping[str, Any]) -> DeviceModel:
    """Open a file in TFLM.

    Args:
        path: of a file with nothing but a graph in it.
        metadata: what it is.

    Raises:
        ArtifactError: TFLM cannot run it.
    """
    content = path.read_bytes()
    if why := refusal(path, content, TRIAL):  # what it does not expect may end the process
        raise ArtifactError(f"TensorFlow Lite Micro cannot run it: it stops at {_stop(content)} ({why}).")
    return DeviceModel(path, _Interpreter(content), dict(metadata))


def trial(path: Path) -> None:
    """Run a file once; for `cnnkit.trials`."""
    arena(path.read_bytes())


def _stop(content: bytes) -> str:
    """Return the layer and the operator that a file cannot be run beyond: the last of the shortest part that fails."""
    graph = graph_of(content, forms=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.tflite"

        def fails(count: int) -> bool:
            write_bytes(path, container.beginning(content, count))
            return refusal(path, path.read_bytes(), TRIAL) is not None

        count = bisect.bisect_left(range(1, len(graph.steps)), True, key=fails) + 1
    return graph.steps[count - 1].place


@dataclasses.dataclass(frozen=True)
class Arena:
    """The memory that a file takes beside itself, bytes, measured by TFLM's recording allocator on a 64-bit host.

    Attributes:
        size: that an arena should have: what is used and some more, which TFLM takes while it lays out the rest. The file ran in
            one of this size, and answered as in a large one.
        tensors: used for numbers between operators.
        kept: used for what TFLM itself has to know.
    """

    size: int
    tensors: int
    kept: int


def arena(content: bytes) -> Arena:
    """Run a file and measure the memory that it takes.

    Raises:
        ArtifactError: TFLM cannot run it.
    """

    def answers(size: int) -> tuple[list[bytes], str]:
        interpreter = _Interpreter(content, size)
        given = interpreter.get_input_details()["input"]
        noise = np.random.default_rng(0).integers(0, 2, given["shape"]).astype(given["dtype"])
        interpreter.set_tensor(0, noise)
        interpreter.invoke()
        outputs = interpreter.get_output_details().values()
        return [interpreter.get_tensor(output["index"]).tobytes() for output in outputs], interpreter.allocations()

    first, said = answers(ROOM)
    total, tensors, kept = (_bytes(said, part) for part in ("total", "head", "tail"))
    for more in range(1, MORE + 1):  # too small by little, it may run and answer wrong
        size = -(-(total + more * (total // SHARE + KIB)) // KIB) * KIB
        with contextlib.suppress(ArtifactError, RuntimeError):
            if answers(size)[0] == first:
                return Arena(size, tensors, kept)
    raise ArtifactError(f"It uses {total:,} bytes of an arena, and does not run in one of {size:,}.")


def _bytes(said: str, part: str) -> int:
    found = re.search(rf"Arena allocation {part} (\d+) bytes", said)
    if found is None:
        raise ArtifactError(
            f"TensorFlow Lite Micro does not say how large its {part} is. Install another version of it."
        )
    return int(found[1])

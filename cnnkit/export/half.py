"""A float file as the graphics processors of phones run it: in half precision.

Design choices:
- It is the float32 file itself that is run, by LiteRT, one layer after the other: its constants are rounded to float16, and
  behind each operator stand two that round what it puts out. Sums of products stay in float32, as in these processors. So it is
  known of any model that can be exported, layers are fused as in the file, and it takes as long as scoring the file.
- A number beyond 65,504 becomes infinite. Most answers are then no numbers; the layer that such numbers come from first is named.
- It refuses no file: a processor (CPU) runs each as it is in float32, where it was scored too. What half precision loses is said.
- Files that take ids and no numbers are left out: these processors have no operator for them.
"""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError
from cnnkit.export import container
from cnnkit.export.graph import graph_of, watched
from cnnkit.export.profiles import Profile
from cnnkit.export.profiles.profile import Faced

LARGEST = 65_504.0  # finite number of float16
_INFINITE = 65_520.0  # rounds to infinity


def in_half(content: bytes) -> bytes:
    """Return the flatbuffer of a float32 file that rounds constants, and what each operator puts out, to float16."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = container.read(content)
    (graph,) = model.subgraphs
    for number in {tensor.buffer for tensor in graph.tensors if tensor.type == schema.TensorType.FLOAT32}:
        buffer = model.buffers[number]
        if buffer.data is not None and len(buffer.data):
            with np.errstate(over="ignore"):
                numbers = np.asarray(buffer.data, np.uint8).view("<f4").astype(np.float16)
            buffer.data = numbers.astype("<f4").view(np.uint8)
    cast = schema.OperatorCodeT()
    cast.builtinCode = cast.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    cast.version = 1
    model.operatorCodes.append(cast)
    rounded: dict[int, int] = {}
    operators = []

    def read(index: Any) -> int:
        return rounded.get(int(index), int(index))

    def like(tensor: Any, kind: int) -> int:
        other = copy.copy(tensor)
        other.type, other.buffer = kind, 0
        graph.tensors.append(other)
        return len(graph.tensors) - 1

    for operator in graph.operators:  # each after what it reads
        operator.inputs = [read(index) for index in operator.inputs]
        operators.append(operator)
        for index in map(int, operator.outputs):
            tensor = graph.tensors[index]
            if tensor.type != schema.TensorType.FLOAT32:
                continue
            small, again = (like(tensor, kind) for kind in (schema.TensorType.FLOAT16, schema.TensorType.FLOAT32))
            for given, made in ((index, small), (small, again)):
                step = schema.OperatorT()
                step.opcodeIndex, step.inputs, step.outputs = len(model.operatorCodes) - 1, [given], [made]
                operators.append(step)
            rounded[index] = again
    graph.operators = operators
    graph.outputs = [read(index) for index in graph.outputs]
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = read(entry.tensorIndex)
    model.metadata = None  # what it says of itself belongs to the file
    return container.packed(model)


def beyond(content: bytes, inputs: np.ndarray, most: float = _INFINITE) -> str:
    """Return the first layer of a float32 file that puts out what is no number, or one that is too large; "": none does.

    Args:
        content: of the file; for what float16 does not hold, one of `in_half`.
        inputs: as the file takes them, (n, *shape).
        most: what a number may not reach.
    """
    steps = [step for step in graph_of(content).steps if step.outputs[0].kind == "FLOAT32"]
    interpreter = watched(content)
    given = interpreter.get_input_details()[0]
    first = len(steps)
    for example in inputs:
        interpreter.set_tensor(given["index"], np.asarray(example[None], given["dtype"]))
        interpreter.invoke()
        for number, step in enumerate(steps[:first]):
            if not (np.abs(interpreter.get_tensor(step.outputs[0].index)) < most).all():
                first = number
                break
    return steps[first].place if first < len(steps) else ""


@dataclasses.dataclass
class Halved:
    """A float32 file in half precision, with the face of the trained model: what the gate scores.

    Attributes:
        content: as `in_half` makes it.
        faced: the same, opened.
    """

    content: bytes
    faced: Faced
    from_where: str = ""

    def __post_init__(self) -> None:
        self.path, self.labels, self.metadata = self.faced.path, self.faced.labels, self.faced.metadata
        self.input_shape = self.faced.input_shape

    @classmethod
    def of(cls, content: bytes, folder: Path, profile: Profile, labels: tuple[str, ...]) -> "Halved | None":
        """Open a float32 file so; None: it does not take numbers.

        Args:
            content: of the file.
            folder: for a file of its own, that is needed while it is opened.
            profile: that the file was made for.
            labels: of the trained model.
        """
        if any(tensor.kind != "FLOAT32" for tensor in graph_of(content).inputs):
            return None
        content, path = in_half(content), folder / "half.tflite"
        path.write_bytes(content)
        device = DeviceModel.open(path, known=True, metadata=profile.described("float32"))
        return cls(content, Faced(device, profile, labels))

    def beyond(self, inputs: np.ndarray) -> str:
        """Return the first layer whose numbers float16 does not hold, for inputs of the trained model; as `beyond`."""
        return beyond(self.content, self.faced.profile.inputs(inputs))

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; as `DeviceModel.run_batch`.

        Raises:
            ArtifactError: an answer is no number; `from_where` then says from which layer on.
        """
        try:
            return self.faced.run_batch(inputs)
        except ArtifactError:
            self.from_where = self.beyond(inputs)
            raise

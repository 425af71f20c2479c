"""Microcontrollers: a file for TensorFlow Lite Micro (TFLM), and C++ to take along.

Design choices:
- int8 in and out, sides that are fixed, and nothing behind the graph: what a board has no use for takes no flash. What a file
  does not say of itself, the C++ beside it does.
- It is opened and scored in TFLM itself, and its answers have to be those of LiteRT's reference kernels. XNNPACK, which runs
  other files, rounds otherwise.
- Pixels are bytes less 128: the input's scale is 1, so a camera's picture needs no arithmetic.
- Doubling a map is written as one operator that TFLM has, where LiteRT would tile, which it has not: the same numbers, copied.
- A model that needs an operator that TFLM lacks is refused before anything that takes long.
"""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.device.model import DeviceModel
from cnnkit.export import container, cpp, tflm
from cnnkit.export.forms import Tokens
from cnnkit.export.graph import Step, graph_of
from cnnkit.export.profiles.profile import Profile
from cnnkit.files import write_text


class Micro(Profile):
    """Files for microcontrollers."""

    name = "micro"
    title = "microcontrollers"
    precisions, more = ("int8",), ()
    bare = foreign = True

    def __init__(self, model: Any, metadata: Mapping[str, Any]):
        super().__init__(model, metadata)
        tflm.needed()
        fixed = types.SimpleNamespace(input_shape=(1, *self.shape))  # what a file takes, whatever the model takes
        self.metadata = self.kind.described(fixed, self.metadata)

    def lacks(self, step: Step) -> str | None:
        return tflm.lacks(step)

    def wrapped(self, model: Any) -> Any:
        import keras

        from cnnkit.explain import graph

        (given,) = model.inputs
        one = keras.Input(batch_shape=(1, *self.shape), name=given.name, dtype=given.dtype)
        found = graph.interpret(model, [one], _rewritten)
        return keras.Model(one, keras.tree.pack_sequence_as(model.output, found), name="device")

    def dtypes(self, precision: str) -> tuple[str, str]:
        if precision != "int8":
            return super().dtypes(precision)
        return "int32" if isinstance(self.given, Tokens) else "int8", "int8"

    def finished(self, content: bytes, precision: str) -> bytes:
        """Return the graph alone; of another precision, which is only compared with, a file as others are."""
        if precision != "int8":
            return container.whole(content, None, self.described(precision))
        return container.aligned(content, None, {})

    def opened(self, path: Path, precision: str) -> DeviceModel:
        return tflm.opened(path, self.described(precision)) if precision == "int8" else super().opened(path, precision)

    def runtime(self, device: DeviceModel) -> str:
        return tflm.named()

    def plainly(self, path: Path, precision: str) -> DeviceModel:
        return DeviceModel.open(path, known=True, kernels="reference", metadata=self.described(precision))

    def named_beside(self, name: str, precision: str) -> list[str]:
        return cpp.names(name.removesuffix(f"-{precision}"))

    def beside(self, folder: Path, name: str, precision: str, content: bytes) -> list[str]:
        arena = tflm.arena(content)
        how = "Measured by TFLM's recording allocator, with its reference kernels on a 64-bit host."
        described = self.for_cpp(name, precision, content)
        code = cpp.code(dataclasses.replace(described, arena=arena.size, about_arena=how))
        for file, text in code.items():
            write_text(folder / file, text)
        return [
            f"It takes {len(content):,} bytes of flash and an arena of {arena.size:,} bytes (used: {arena.tensors:,} for "
            f"numbers, {arena.kept:,} for TFLM itself), measured in {tflm.named()}. Beside it: {', '.join(code)}."
        ]

    def for_cpp(self, name: str, precision: str, content: bytes) -> cpp.Described:
        """Return what C++ beside a file says, but for the arena."""
        graph = graph_of(content)
        return cpp.Described(
            name=name.removesuffix(f"-{precision}"),
            file=f"{name}.tflite",
            content=content,
            methods=[tflm.method(kind) for kind in kinds(content)],
            graph=graph,
            given=self.given,
            answer=self.answer,
            labels=self.labels,
        )


def kinds(content: bytes) -> list[str]:
    """Return the names of a file's operators, each once."""
    return list(dict.fromkeys(step.kind for step in graph_of(content, forms=True).steps))


def _rewritten(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
    """Call a layer, or one that computes the same by an operator that TFLM has."""
    from keras import layers

    from cnnkit.explain import graph

    layer = node.operation
    if isinstance(layer, layers.UpSampling2D) and (layer.interpolation, layer.data_format) == (
        "nearest",
        "channels_last",
    ):
        high, wide = (side * times for side, times in zip(args[0].shape[1:3], layer.size))
        doubled = layers.Resizing(high, wide, interpolation="nearest", name=layer.name, dtype=layer.dtype_policy)
        return doubled(args[0])
    return graph.run(node, args, kwargs, name)


PROFILE = Micro

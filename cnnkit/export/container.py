"""The bytes of a `.tflite`: buffers that lie where kernels expect them, entries of metadata, and files behind the flatbuffer.

Design choices:
- Everything a client needs travels inside the file: `cnnkit.json`, `labels.txt`, and what the kind of input has as files, in a
  ZIP that is appended (`cnnkit.device.model`). The order is: align the buffers, append the ZIP, add the checksum of it all.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnkit.device.model import LABELS, SEALED, members
from cnnkit.files import one_line
from cnnkit.seals import sealed

ALIGNMENT = 16  # bytes; what the schema asks of buffers, and what kernels that read four floats at once expect


def read(content: bytes) -> Any:
    """Return the model in a flatbuffer as objects that can be changed."""
    from tensorflow.lite.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def packed(model: Any) -> bytes:
    """Return the flatbuffer of a model, its buffers aligned to 16 bytes, which Python's flatbuffers do not see to."""
    import flatbuffers

    class Builder(flatbuffers.Builder):
        def StartVector(self, size, count, alignment):
            return super().StartVector(size, count, ALIGNMENT if size == 1 else alignment)

    builder = Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def aligned(content: bytes, stated: tuple[int, ...] | None, entries: Mapping[str, bytes]) -> bytes:
    """Return a model, packed again, with these entries.

    Args:
        content: a flatbuffer.
        stated: shape of the input, where the graph's own is open and may still be resized; None: it is the graph's.
        entries: metadata of the flatbuffer, by name.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = read(content)
    if stated is not None:
        graph = model.subgraphs[0]
        tensor = graph.tensors[graph.inputs[0]]
        tensor.shape, tensor.shapeSignature = np.array(stated, np.int32), None
    for name, value in entries.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        buffer.data = np.frombuffer(value, np.uint8)
        model.buffers.append(buffer)
        entry.name, entry.buffer = name, len(model.buffers) - 1
        model.metadata = [*(model.metadata or []), entry]
    return packed(model)


def beginning(content: bytes, count: int) -> bytes:
    """Return the model of the first so many operators of a file: what the last of them makes is its output."""
    model = read(content)
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:count]
    graph.outputs, model.signatureDefs = graph.operators[-1].outputs, None
    return packed(model)


def whole(
    content: bytes,
    stated: tuple[int, ...] | None,
    metadata: Mapping[str, Any],
    entries: Mapping[str, bytes] | None = None,
    files: Mapping[str, str] | None = None,
) -> bytes:
    """Return a file with all that travels inside it, and its checksum; as `aligned`.

    Args:
        content, stated, entries: the same.
        metadata: of the artifact.
        files: more texts that travel in it, by name.
    """
    return sealed(aligned(content, stated, {**(entries or {}), SEALED: b"1"}) + appendix(metadata, files))


def appendix(metadata: Mapping[str, Any], more: Mapping[str, str] | None = None) -> bytes:
    """Return a ZIP with stored entries and fixed dates, so that equal exports are equal files."""
    buffer = io.BytesIO()
    files = {
        **members(metadata),
        LABELS: "".join(one_line(str(label)) + "\n" for label in metadata.get("labels", [])),
        **(more or {}),
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()

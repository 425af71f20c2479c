"""Keras to LiteRT.

Design choices:
- One conversion path, `TFLiteConverter.from_keras_model`, at every precision; built-in operators only, so that an operator no
  device has fails here and not on the device. Keras's `export(format="litert")` allows SELECT_TF_OPS, and wrote a file that
  LiteRT refuses to load.
- What the exported graph takes is the kind of input's own (`cnnkit.inputs.graph`), what it ends in the task's
  (`cnnkit.tasks.training`); both are found by the names that the metadata have.
- int8 weights of images are rounded by what it does to the layers' outputs (`cnnkit.export.rounding`) before the converter sees
  them.
- Operators of three dimensions, which LiteRT keeps in float32, are written as those of two (`cnnkit.export.lowered`), at every
  precision, so that files can be held against each other.
- int8 is full integer quantisation inside; the input is what the kind's device half says: of images uint8, of scale 1.
- Labels and the meaning of input and outputs travel in a ZIP behind the flatbuffer (`cnnkit.device.model`). The order is: align
  the buffers, append the ZIP, add the checksum of it all (`cnnkit.seals`).
"""

import io
import zipfile
from typing import Any

import numpy as np

from cnnkit.device.model import LABELS, SEALED, members
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.artifacts import outputs
from cnnkit.export.rounding import rounded
from cnnkit.quiet import quiet
from cnnkit.registry import DEVICE, TRAINING, input_of
from cnnkit.seals import sealed

ALIGNMENT = 16  # bytes; what the schema asks of buffers, and what kernels that read four floats at once expect
ROUNDING_IMAGES = 256  # at most
PRECISIONS = ("float32", "float16", "int8")


def convert(model: Any, precision: str, calibration: np.ndarray, metadata: dict[str, Any]) -> bytes:
    """Convert a trained model.

    Args:
        model: `keras.Model` as an app builds it.
        precision: one of `PRECISIONS`.
        calibration: inputs (n, *shape) as the model meets them; int8 ranges come from them.
        metadata: goes into the file as `cnnkit.json`; its `labels` also as `labels.txt`, and what its kind of input has as
            files, such as a vocabulary.

    Returns:
        The content of a `.tflite` file with the signature `serving_default`: one input -> outputs by name, float32; of a
        classifier of images image [1, h, w, c], float32 or (int8) uint8, in [0, 255] -> scores [1, classes], summing to 1.

    Raises:
        CnnkitError: the model has an operator that LiteRT lacks, or one that cannot be lowered, or the metadata name kinds that
            are not known here.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` needs to be one of {PRECISIONS}. Received: precision={precision!r}.")
    import keras
    import tensorflow as tf

    from cnnkit.export.lowered import lowered, volumetric

    kind = input_of(metadata, TRAINING, "The model")
    metadata = described(model, precision, metadata)
    model = fitted(model, precision, calibration, metadata)
    given = kind.given(model)
    answering = outputs(model, metadata)
    if volumetric(answering):
        answering = lowered(answering)
    whole = keras.Model(given, answering(kind.guarded(given, metadata)), name="device")
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if (dtype := input_of(metadata, DEVICE, "The model").dtype(precision)) == "uint8":
            converter.inference_input_type = tf.as_dtype(dtype)
        examples = kind.calibration(calibration)
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # the converter raises many kinds
        raise CnnkitError(
            f"The model cannot be converted to {precision}: {str(error).strip().splitlines()[0][:300]}"
        ) from error
    return sealed(_aligned(content, kind.stated(metadata)) + _appendix(metadata))


def described(model: Any, precision: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of this precision says of itself."""
    return {**input_of(metadata, TRAINING, "The model").described(model, metadata), "precision": precision}


def fitted(model: Any, precision: str, calibration: np.ndarray, metadata: dict[str, Any]) -> Any:
    """Return the model whose weights a file of this precision has: a rounded copy where they are rounded by their effect.

    A copy that was made here stays as it is.
    """
    kind = input_of(metadata, TRAINING, "The model")
    if precision != "int8" or not kind.rounded or getattr(model, "on_steps", False):
        return model
    return rounded(model, for_rounding(calibration))


def for_rounding(calibration: np.ndarray) -> np.ndarray:
    """Return the calibration images that rounding looks at: over all of them, as records often come class by class."""
    return np.asarray(calibration)[:: -(-len(calibration) // ROUNDING_IMAGES)]


def _aligned(content: bytes, stated: tuple[int, ...] | None) -> bytes:
    """Return a model with its buffers aligned to 16 bytes, which Python's flatbuffers do not see to, and the mark `SEALED`.

    Args:
        content: a flatbuffer.
        stated: shape of the input, where the graph's own is open and may still be resized; None: it is the graph's.
    """
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    class Builder(flatbuffers.Builder):
        def StartVector(self, size, count, alignment):
            return super().StartVector(size, count, ALIGNMENT if size == 1 else alignment)

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    if stated is not None:
        graph = model.subgraphs[0]
        tensor = graph.tensors[graph.inputs[0]]
        tensor.shape, tensor.shapeSignature = np.array(stated, np.int32), None
    mark, value = schema.MetadataT(), schema.BufferT()
    value.data = np.frombuffer(b"1", np.uint8)
    model.buffers.append(value)
    mark.name, mark.buffer = SEALED, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), mark]
    builder = Builder(len(content) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _appendix(metadata: dict[str, Any]) -> bytes:
    """Return a ZIP with stored entries and fixed dates, so that equal exports are equal files."""
    buffer = io.BytesIO()
    files = {**members(metadata), LABELS: "\n".join(map(str, metadata.get("labels", []))) + "\n"}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()

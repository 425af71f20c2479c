"""Keras to LiteRT.

Design choices:
- One conversion path, `TFLiteConverter.from_keras_model`, at every precision; built-in operators only, so that an operator no
  device has fails here and not on the device.
- The exported graph takes one raw image, [0, 255], and ends in probabilities, named `scores`.
- int8 weights are rounded by what it does to the layers' outputs (`cnnkit.export.rounding`) before the converter sees them.
- A network that reads texts of any length is converted with its length open, and the file then says that an input has as many
  ids as the tokenizer gives: clients find the static input they expect, and ours may read short texts in batches.
- int8 of images is full integer quantisation with a uint8 input, so that a camera's bytes go in as they are. Its scale is
  exactly 1: the calibration images are made to hold a 0 and a 255. Ids stay int32.
- Ids that no word has, which other clients may feed, are brought into range inside the graph: the interpreter would crash.
- Labels and the meaning of input and scores travel in a ZIP behind the flatbuffer (`cnnkit.device.model`). The order is: align
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
from cnnkit.seals import sealed

ALIGNMENT = 16  # bytes; what the schema asks of buffers, and what kernels that read four floats at once expect
ROUNDING_IMAGES = 256  # at most
PRECISIONS = ("float32", "float16", "int8")


def convert(model: Any, precision: str, calibration: np.ndarray, metadata: dict[str, Any]) -> bytes:
    """Convert a classifier.

    Args:
        model: `keras.Model`, float32 image (b, h, w, c) in [0, 255], or int32 ids (b, length), -> logits (b, classes).
        precision: one of `PRECISIONS`.
        calibration: uint8 or float32 images (n, h, w, c) in [0, 255], or int32 ids (n, length), as the model meets them; int8
            ranges come from them.
        metadata: goes into the file as `cnnkit.json`; its `labels` also as `labels.txt`, a vocabulary as `vocabulary.txt`.

    Returns:
        The content of a `.tflite` file with the signature `serving_default`: image [1, h, w, c], float32 or (int8) uint8, in
        [0, 255], or ids [1, length], int32, -> scores [1, classes], float32, each row summing to 1.

    Raises:
        CnnkitError: the model has an operator that LiteRT lacks.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` needs to be one of {PRECISIONS}. Received: precision={precision!r}.")
    import keras
    import tensorflow as tf

    texts = "text" in metadata
    metadata = described(model, precision, metadata)
    model = fitted(model, precision, calibration, metadata)
    shape = (1, *model.input_shape[1:]) if not texts else model.input_shape
    given = keras.Input(batch_shape=shape, name="ids" if texts else "image", dtype="int32" if texts else "float32")
    safe = keras.ops.clip(given, 0, metadata["text"]["size"] - 1) if texts else given
    whole = keras.Model(given, outputs(model, metadata)(safe), name="device")
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not texts:
            converter.inference_input_type = tf.uint8
        examples = np.asarray(calibration, np.int32) if texts else _full_range(calibration)
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # the converter raises many kinds
        raise CnnkitError(
            f"The model cannot be converted to {precision}: {str(error).strip().splitlines()[0][:300]}"
        ) from error
    aligned = _aligned(content, metadata["input"]["shape"][0] if texts else None)
    return sealed(aligned + _appendix(metadata))


def described(model: Any, precision: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of this precision says of itself."""
    if "text" in metadata and model.input_shape[1] is not None:
        # A network of one length reads all of its padding: none may be cut.
        metadata = {**metadata, "text": {**metadata["text"], "margin": 0}}
    return {**metadata, "precision": precision}


def fitted(model: Any, precision: str, calibration: np.ndarray, metadata: dict[str, Any]) -> Any:
    """Return the model whose weights a file of this precision has: a rounded copy where they are rounded by their effect.

    A copy that was made here stays as it is.
    """
    if precision != "int8" or "text" in metadata or getattr(model, "on_steps", False):
        return model
    return rounded(model, for_rounding(calibration))


def for_rounding(calibration: np.ndarray) -> np.ndarray:
    """Return the calibration images that rounding looks at: over all of them, as records often come class by class."""
    return np.asarray(calibration)[:: -(-len(calibration) // ROUNDING_IMAGES)]


def _aligned(content: bytes, length: int | None) -> bytes:
    """Return a model with its buffers aligned to 16 bytes, which Python's flatbuffers do not see to, and the mark `SEALED`.

    Args:
        content: a flatbuffer.
        length: of a model of texts, whose input, open in batch and length, is stated as int32 [1, length]; it may still be
            resized.
    """
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    class Builder(flatbuffers.Builder):
        def StartVector(self, size, count, alignment):
            return super().StartVector(size, count, ALIGNMENT if size == 1 else alignment)

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    if length is not None:
        graph = model.subgraphs[0]
        tensor = graph.tensors[graph.inputs[0]]
        tensor.shape, tensor.shapeSignature = np.array([1, length], np.int32), None
    mark, value = schema.MetadataT(), schema.BufferT()
    value.data = np.frombuffer(b"1", np.uint8)
    model.buffers.append(value)
    mark.name, mark.buffer = SEALED, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), mark]
    builder = Builder(len(content) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _full_range(images: np.ndarray) -> np.ndarray:
    """Give the first image a 0 and a 255 in its corners, so that the input's scale is exactly 1."""
    images = np.array(images, np.float32)
    images[0, 0, 0, :], images[0, -1, -1, :] = 0, 255
    return images


def _appendix(metadata: dict[str, Any]) -> bytes:
    """Return a ZIP with stored entries and fixed dates, so that equal exports are equal files."""
    buffer = io.BytesIO()
    files = {**members(metadata), LABELS: "\n".join(map(str, metadata.get("labels", []))) + "\n"}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()

"""Keras to LiteRT.

Design choices:
- One conversion path, `TFLiteConverter.from_keras_model`, at every precision; built-in operators only, so that an operator no
  device has fails here and not on the device.
- The exported graph takes one raw image, [0, 255], and ends in probabilities, named `scores`.
- int8 weights are rounded by what it does to the layers' outputs (`cnnkit.export.rounding`) before the converter sees them.
- int8 is full integer quantisation with a uint8 input, so that a camera's bytes go in as they are. Its scale is exactly 1: the
  calibration images are made to hold a 0 and a 255.
- Labels and the meaning of input and scores travel in a ZIP behind the flatbuffer (`cnnkit.device.model`).
"""

import io
import json
import zipfile
from typing import Any

import numpy as np

from cnnkit.device.model import METADATA
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.artifacts import outputs
from cnnkit.export.rounding import rounded
from cnnkit.quiet import quiet

ROUNDING_IMAGES = 256  # at most
PRECISIONS = ("float32", "float16", "int8")


def convert(model: Any, precision: str, calibration: np.ndarray, metadata: dict[str, Any]) -> bytes:
    """Convert a classifier.

    Args:
        model: `keras.Model`, float32 image (b, h, w, c) in [0, 255] -> logits (b, classes).
        precision: one of `PRECISIONS`.
        calibration: uint8 or float32 images (n, h, w, c) in [0, 255], as the model meets them; int8 ranges come from them.
        metadata: goes into the file as `cnnkit.json`; its `labels` also as `labels.txt`.

    Returns:
        The content of a `.tflite` file with the signature `serving_default`: image [1, h, w, c], float32 or (int8) uint8, in
        [0, 255] -> scores [1, classes], float32, each row summing to 1.

    Raises:
        CnnkitError: the model has an operator that LiteRT lacks.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` needs to be one of {PRECISIONS}. Received: precision={precision!r}.")
    import keras
    import tensorflow as tf

    if precision == "int8":
        spread = -(-len(calibration) // ROUNDING_IMAGES)  # over all of them: records often come class by class
        model = rounded(model, np.asarray(calibration)[::spread])
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    whole = keras.Model(image, outputs(model)(image), name="device")
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.representative_dataset = lambda: ([example[None]] for example in _full_range(calibration))
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # the converter raises many kinds
        raise CnnkitError(
            f"The model cannot be converted to {precision}: {str(error).strip().splitlines()[0][:300]}"
        ) from error
    return content + _appendix({**metadata, "precision": precision})


def _full_range(images: np.ndarray) -> np.ndarray:
    """Give the first image a 0 and a 255 in its corners, so that the input's scale is exactly 1."""
    images = np.array(images, np.float32)
    images[0, 0, 0, :], images[0, -1, -1, :] = 0, 255
    return images


def _appendix(metadata: dict[str, Any]) -> bytes:
    """Return a ZIP with stored entries and fixed dates, so that equal exports are equal files."""
    buffer = io.BytesIO()
    files = {
        METADATA: json.dumps(metadata, indent=2),
        "labels.txt": "\n".join(map(str, metadata.get("labels", []))) + "\n",
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()

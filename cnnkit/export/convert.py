"""Keras to LiteRT.

Design choices:
- One conversion path, `TFLiteConverter.from_keras_model`, at every precision; built-in operators only, so that an operator no
  device has fails here and not on the device. Keras's `export(format="litert")` allows SELECT_TF_OPS, and wrote a file that
  LiteRT refuses to load.
- What the exported graph takes is the kind of input's own (`cnnkit.inputs.graph`), what it ends in the task's
  (`cnnkit.tasks.training`); both are found by the names that the metadata have.
- int8 weights of images are rounded by what it does to the layers' outputs (`cnnkit.export.rounding`) before the converter sees
  them.
- A model that was trained with the rounding of its int8 file (`cnnkit.models.eight_bits`) is converted as it is: the file has the
  ranges that it was trained with. Float files have the same weights and no rounding.
- Operators of three dimensions, which LiteRT keeps in float32, are written as those of two (`cnnkit.export.lowered`), at every
  precision, so that files can be held against each other.
- int8 is full integer quantisation inside; the input is what the kind's device half says: of images uint8, of scale 1.
- int16x8 has layers of 16 bits and weights of eight, for networks that lose too much with layers of eight. Its ranges lie evenly
  about 0. A model that was trained with the rounding of an int8 file is converted without it, as for float files.
- Layers that are to stay float in an int8 file are kept out of the converter's last step, which gives calibrated operators
  integers, by the names of what they put out. Joined layers, such as a convolution with its batch norm and ReLU, are one operator
  and stay float together; their weights are not rounded.
- What else a client needs, the profile sees to (`cnnkit.export.profiles`): another face of the graph, other types, metadata.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.evaluation.artifacts import outputs
from cnnkit.explain.graph import followed
from cnnkit.export.blame import names_of
from cnnkit.export.graph import Graph, graph_of, plain, with_own_biases, without_forms
from cnnkit.export.profiles import Profile
from cnnkit.export.profiles.profile import QUANTISED
from cnnkit.export.rounding import rounded
from cnnkit.models import eight_bits
from cnnkit.quiet import quiet
from cnnkit.registry import TRAINING, input_of

ROUNDING_IMAGES = 256  # at most
PRECISIONS = (*Profile.precisions, *Profile.more)
INTEGERS = ("int8", "uint8")


def convert(
    model: Any,
    precision: str,
    calibration: np.ndarray,
    metadata: dict[str, Any],
    profile: Profile | None = None,
    keep_float: Collection[str] = (),
) -> bytes:
    """Convert a trained model.

    Args:
        model: `keras.Model` as an app builds it.
        precision: one of `PRECISIONS`.
        calibration: inputs (n, *shape) as the model meets them; int8 ranges come from them.
        metadata: goes into the file as `cnnkit.json`; its `labels` also as `labels.txt`, and what its kind of input has as
            files, such as a vocabulary.
        profile: for whom; None: LiteRT.
        keep_float: layers that stay float in an int8 file.

    Returns:
        The content of a `.tflite` file with the signature `serving_default`: one input -> outputs by name, float32 but for
        profiles that have others; of a classifier of images image [1, h, w, c], float32 or (int8) uint8, in [0, 255] -> scores
        [1, classes], summing to 1.

    Raises:
        CnnkitError: the model has an operator that LiteRT lacks, or one that cannot be lowered, or the metadata name kinds that
            are not known here.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` needs to be one of {PRECISIONS}. Received: precision={precision!r}.")
    import keras
    import tensorflow as tf

    from cnnkit.export.lowered import lowered, volumetric

    profile = profile or Profile(model, metadata)
    kind, metadata = profile.kind, profile.trained
    model = fitted(model, precision, calibration, metadata, keep_float)
    given = kind.given(model)
    answering = outputs(model, profile.metadata)
    if volumetric(answering):
        answering = lowered(answering)
    whole = profile.wrapped(keras.Model(given, answering(kind.guarded(given, metadata)), name="device"))
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision in QUANTISED:
        kinds = tf.lite.OpsSet
        sixteen = kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [kinds.TFLITE_BUILTINS_INT8 if precision == "int8" else sixteen]
        first, last = profile.dtypes(precision)
        if first in INTEGERS:
            converter.inference_input_type = tf.as_dtype(first)
        if last in INTEGERS:
            converter.inference_output_type = tf.as_dtype(last)
        examples = profile.inputs(kind.calibration(calibration))
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
    try:
        with quiet():
            if keep_float and precision == "int8":
                content = _mixed(converter, model, keep_float)
            else:
                content = converter.convert()
    except CnnkitError:
        raise
    except Exception as error:  # the converter raises many kinds
        raise CnnkitError(
            f"The model cannot be converted to {precision}: {str(error).strip().splitlines()[0][:300]}"
        ) from error
    if precision == "float32" and eight_bits.ranges(model):
        content = without_forms(content)
    if precision == "int16x8":
        content = with_own_biases(content)
    return profile.finished(content, precision)


def _mixed(converter: Any, model: Any, keep_float: Collection[str]) -> bytes:
    """Convert to int8, but for some layers."""
    from tensorflow.lite.python.convert import mlir_quantize

    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    types = {"input_data_type": converter.inference_input_type, "output_data_type": converter.inference_output_type}
    steps = graph_of(calibrated).steps
    kept = kept_steps(graph_of(calibrated), model, keep_float)
    nodes = [steps[number].outputs[0].name for number in kept]
    content: bytes = mlir_quantize(calibrated, **types, denylisted_nodes=nodes)
    for number, step in enumerate(graph_of(content).steps):
        if number in kept and step.outputs[0].limits is not None:  # it makes some anew before it looks at names
            name = plain(step.outputs[0].name)
            raise ConfigError(
                f"`keep_float`: the converter leaves no layer of the kind {step.kind} float, as {name} is. Leave it out."
            )
    return content


def kept_steps(graph: Graph, model: Any, keep_float: Collection[str]) -> list[int]:
    """Return the operators, by number, that compute layers which stay float.

    Raises:
        ConfigError: a layer is in no operator.
    """
    if not keep_float:
        return []
    layers = {layer.name for layer in model._flatten_layers()}
    named = [names_of(step, layers) for step in graph.steps]
    found: set[int] = set()
    for layer in keep_float:
        for one in followed(model, layer):  # a convolution may be called as the batch norm that was joined with it
            own = [number for number, names in enumerate(named) if one in names]
            found.update(own)
            if own:
                break
        else:
            raise ConfigError(
                f"`keep_float`: no operator of the file computes the layer {layer}. `explain` lists those that round."
            )
    return sorted(found)


def unrounded(model: Any, keep_float: Collection[str]) -> set[str]:
    """Return the layers whose weights stay as they are where some stay float: these, and what is joined with them."""
    kept = set(keep_float)
    return {layer.name for layer in model.layers if kept and kept.intersection(followed(model, layer.name))}


def admitted(model: Any, metadata: dict[str, Any], profile: Profile) -> None:
    """Raise where a model needs an operator that the profile's clients lack: before anything that takes long.

    The float32 file, which is made in seconds, has the operators of all others.

    Raises:
        ConfigError: which one, and the layer that needs it.
        CnnkitError: as `convert`.
    """
    if not profile.foreign:
        return
    nothing = np.zeros(0)
    failed: CnnkitError | None = None
    try:
        content = convert(model, "float32", nothing, metadata, profile)
    except CnnkitError as error:  # for LiteRT it may still be made, and says what is in it
        failed, content = error, convert(model, "float32", nothing, metadata)
    for step in graph_of(content).steps:
        if lacking := profile.lacks(step):
            layer = plain(step.outputs[0].name)
            raise profile.refused(
                f"They have no operator {lacking}, as its {layer} needs. Use another layer, and train anew."
            )
    if failed is not None:
        raise failed


def fitted(
    model: Any, precision: str, calibration: np.ndarray, metadata: dict[str, Any], keep_float: Collection[str] = ()
) -> Any:
    """Return the model that a file of this precision computes: a rounded copy where weights are rounded by their effect.

    A copy that was made here stays as it is.
    """
    kind = input_of(metadata, TRAINING, "The model")
    if getattr(model, "on_steps", False):
        return model
    if eight_bits.ranges(model):
        return model if precision == "int8" else eight_bits.unrounded(model)
    if precision not in QUANTISED or not kind.rounded:
        return model
    return rounded(model, for_rounding(calibration), unrounded(model, keep_float))


def for_rounding(calibration: np.ndarray) -> np.ndarray:
    """Return the calibration images that rounding looks at: over all of them, as records often come class by class."""
    return np.asarray(calibration)[:: -(-len(calibration) // ROUNDING_IMAGES)]

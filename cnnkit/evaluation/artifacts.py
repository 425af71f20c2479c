"""Anything that predicts, opened the same way: a run folder, a `.keras` or a `.tflite` file.

An artifact has `path`, `metadata`, `labels`, `input_shape` (h, w, c) and `predict(images (n, h, w, c) in [0, 255])`, which
returns outputs by name; for a classifier `{"scores": float32 (n, classes)}`, probabilities. Of texts `input_shape` is (ids,), and
`predict` takes int32 (n, ids).

A `.keras` file is looked into before Keras opens it; see `cnnkit.keras_files`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from cnnkit.device.model import DeviceModel, read_metadata, refuse_no_numbers, with_decided
from cnnkit.device.several import MULTI_LABEL
from cnnkit.errors import ArtifactError
from cnnkit.keras_files import refuse_code
from cnnkit.run import MODEL, Run


class Artifact(Protocol):
    """What evaluation, explanation and export need of a model."""

    path: Path
    metadata: dict[str, Any]
    labels: tuple[str, ...]
    input_shape: tuple[int, ...]

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]: ...


def outputs(model: Any, metadata: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Return a model of what a device reads, by name, from one of what training needs.

    Args:
        model: `keras.Model`, float32 image (b, h, w, c) in [0, 255], or int32 ids (b, length) of texts, -> logits (b, classes),
            or a detector.
        metadata: of the artifact: `temperature`, by which logits are divided, so that probabilities are as often right as they
            say (Guo et al. 2017, arXiv:1706.04599); `task`, by which labels exclude each other or not.

    Returns:
        `keras.Model` of the same input: `scores` (b, classes), each row summing to 1, or of several labels a text each in [0, 1];
        of a detector `boxes` (b, cells, 4), raw, and `scores` (b, cells, classes) in [0, 1]. All float32.
    """
    import keras
    from keras import layers

    def plain(tensor: Any, name: str) -> Any:
        return layers.Activation("linear", dtype="float32", name=name)(tensor)

    if any(layer.name == "every_logit" for layer in model.layers):
        boxes, logits = (model.get_layer(name).output for name in ("boxes", "every_logit"))
        scores = layers.Activation("sigmoid", dtype="float32", name="scores")(plain(logits, "float_logits"))
        found = {"boxes": plain(boxes, "raw_boxes"), "scores": scores}
        return keras.Model(model.input, found, name="device")
    logits = plain(model.output, "float_logits")
    if "temperature" in metadata:
        logits = layers.Rescaling(1 / metadata["temperature"], name="temperature", dtype="float32")(logits)
    exclusive = metadata.get("task") != MULTI_LABEL
    last = layers.Softmax(name="scores", dtype="float32") if exclusive else layers.Activation("sigmoid", name="scores")
    return keras.Model(model.input, {"scores": last(logits)}, name="device")


class KerasArtifact:
    """A Keras model, whose logits become probabilities as in its exported form."""

    def __init__(self, path: Path, model: Any, metadata: dict[str, Any]):
        self.path, self.model, self.metadata = path, model, metadata
        written = metadata.get("input", {}).get("shape") or model.input_shape[1:]  # a model of texts takes any length
        self.input_shape: tuple[int, ...] = tuple(int(n) for n in written)
        self.labels = tuple(str(label) for label in metadata.get("labels") or range(model.output_shape[-1]))
        self.settle({})

    def settle(self, decided: Mapping[str, Any]) -> None:
        """Add what was decided after training to the metadata; scores follow it."""
        self.metadata = with_decided(self.metadata, decided)
        self._outputs = outputs(self.model, self.metadata)

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Score a batch; as `DeviceModel.predict`."""
        from keras import ops

        if images.shape[1:] != self.input_shape:
            raise ValueError(f"`images` need the shape (n, *{self.input_shape}). Received: {images.shape}.")
        if not len(images):
            return {name: np.zeros((0, *tensor.shape[1:]), np.float32) for name, tensor in self._outputs.output.items()}
        if "text" in self.metadata:  # a compiled step would be made anew for every number of texts
            found = self._outputs(np.asarray(images, np.int32), training=False)
        else:
            found = self._outputs.predict_on_batch(np.asarray(images, np.float32))
        arrays = {name: np.asarray(ops.convert_to_numpy(values)) for name, values in found.items()}
        for array in arrays.values():
            refuse_no_numbers(array, self.path)
        return arrays


def open_artifact(path: Path, app: str | None = None) -> Artifact:
    """Open a run folder, a `.keras` or a `.tflite` file.

    Args:
        path: of it.
        app: which app's it must be; default: any.

    Raises:
        ArtifactError: missing, damaged, of another app, or holding code.
    """
    if path.is_dir():
        return open_artifact(Run.open(path, app).file(MODEL), app)
    if not path.exists():
        raise ArtifactError(f"{path} does not exist. Give a run folder, a .keras or a .tflite file.")
    artifact: Artifact = DeviceModel.open(path) if path.suffix == ".tflite" else _open_keras(path)
    made_by = artifact.metadata.get("app")
    if app is not None and made_by is not None and made_by != app:
        raise ArtifactError(
            f"{path} is a model of `cnnkit {made_by}`, not of `cnnkit {app}`. Use `cnnkit {made_by}` on it."
        )
    return artifact


def _open_keras(path: Path) -> KerasArtifact:
    if path.suffix != ".keras":
        raise ArtifactError(f"{path} is not an artifact. Give a run folder, a .keras or a .tflite file.")
    refuse_code(path)
    import keras

    import cnnkit.models.detector
    import cnnkit.models.text  # noqa: F401 - Keras knows our layers only once they are imported

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path} cannot be loaded: {reason[:200]} Train it again.") from error
    for variable in model.variables:
        values = np.asarray(keras.ops.convert_to_numpy(variable))
        if not np.isfinite(values.astype(np.float32)).all():
            raise ArtifactError(
                f"{path} is damaged: {variable.path} holds values that are not numbers. Train it again."
            )
    metadata = read_metadata(path)
    try:
        artifact = KerasArtifact(path, model, metadata)
        classes = int(artifact._outputs.output["scores"].shape[-1])
    except Exception as error:  # of layers that are given what they cannot be
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(
            f"{path}: what it says of itself does not fit it ({reason[:120]}). Train it again."
        ) from error
    if len(artifact.labels) != classes:
        raise ArtifactError(f"{path} names {len(artifact.labels)} labels and scores {classes}. Train it again.")
    return artifact

"""Anything that predicts, opened the same way: a run folder, a `.keras` or a `.tflite` file.

An artifact has `path`, `metadata`, `labels`, `input_shape`, such as (h, w, c), and `predict(inputs (n, *input_shape))`, which
returns outputs by name; for a classifier `{"scores": float32 (n, classes)}`, probabilities. What differs between tasks and
between kinds of inputs, the halves of those say that its metadata name (`cnnkit.registry`).

A `.keras` file is looked into before Keras opens it; see `cnnkit.keras_files`.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnnkit.device.model import DeviceModel, read_metadata, refuse_no_numbers, with_decided
from cnnkit.errors import ArtifactError, ArtifactNotFound, CnnkitError
from cnnkit.files import system_errors
from cnnkit.keras_files import refuse_code
from cnnkit.registry import DEVICE, TRAINING, input_of, task_of
from cnnkit.run import MODEL, Run


class Artifact(Protocol):
    """What evaluation, explanation and export need of a model."""

    path: Path
    metadata: dict[str, Any]
    labels: tuple[str, ...]
    input_shape: tuple[int, ...]

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]: ...


def outputs(model: Any, metadata: Mapping[str, Any], where: Path | str = "The model") -> Any:
    """Return a model of what a device reads, by name, from one of what training needs.

    Args:
        model: `keras.Model` as an app builds it, such as float32 image (b, h, w, c) in [0, 255] -> logits (b, classes).
        metadata: of the artifact: its task decides what the graph ends in.
        where: it is, for messages.

    Returns:
        `keras.Model` of the same input to float32 outputs by name: those that the task's device half names.

    Raises:
        ArtifactError: the metadata name no task, or one that is not known here.
    """
    import keras

    return keras.Model(model.input, task_of(metadata, TRAINING, where).finish(model, metadata), name="device")


class KerasArtifact:
    """A Keras model, whose outputs become those of its exported form."""

    def __init__(self, path: Path, model: Any, metadata: dict[str, Any]):
        self.path, self.model, self.metadata = path, model, metadata
        self.kind = input_of(metadata, TRAINING, path)
        written = metadata.get("input", {}).get("shape") or model.input_shape[1:]  # a model may take any length
        self.input_shape: tuple[int, ...] = tuple(int(n) for n in written)
        self.finalize({})
        shapes = {name: tuple(tensor.shape) for name, tensor in self._outputs.output.items()}
        try:
            self.labels = task_of(metadata, DEVICE, path).labels(metadata, shapes)
        except ValueError as error:
            raise ArtifactError(f"{path} {error}. Train it again.") from error

    def finalize(self, decided: Mapping[str, Any]) -> None:
        """Add what was decided after training to the metadata; outputs follow it."""
        self.metadata = with_decided(self.metadata, decided)
        self._outputs = outputs(self.model, self.metadata, self.path)

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; as `DeviceModel.run_batch`."""
        from keras import ops

        if inputs.shape[1:] != self.input_shape:
            raise ValueError(f"`inputs` need the shape (n, *{self.input_shape}). Received: {inputs.shape}.")
        if not len(inputs):
            return {name: np.zeros((0, *tensor.shape[1:]), np.float32) for name, tensor in self._outputs.output.items()}
        found = self.kind.run(self._outputs, inputs)
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
        raise ArtifactNotFound(f"{path} does not exist. Give a run folder, a .keras or a .tflite file.")
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
    metadata = read_metadata(path)
    import keras

    for kind in (task_of(metadata, TRAINING, path), input_of(metadata, TRAINING, path)):
        kind.layers()
    try:
        with system_errors(tempfile.gettempdir()):  # Keras unpacks the weights there
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except CnnkitError:
        raise
    except Exception as error:  # Keras raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path} cannot be loaded: {reason[:200]} Train it again.") from error
    for variable in model.variables:
        values = np.asarray(keras.ops.convert_to_numpy(variable))
        if not np.isfinite(values.astype(np.float32)).all():
            raise ArtifactError(
                f"{path} is damaged: {variable.path} holds values that are not numbers. Train it again."
            )
    try:
        return KerasArtifact(path, model, metadata)
    except ArtifactError:
        raise
    except Exception as error:  # of layers that are given what they cannot be
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(
            f"{path}: what it says of itself does not fit it ({reason[:120]}). Train it again."
        ) from error

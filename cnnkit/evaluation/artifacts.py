"""Anything that predicts, opened the same way: a run folder, a `.keras` or a `.tflite` file.

An artifact has `path`, `metadata`, `labels`, `input_shape` (h, w, c) and `predict(images (n, h, w, c) in [0, 255])`, which
returns outputs by name; for a classifier `{"scores": float32 (n, classes)}`, probabilities.

A `.keras` file is looked into before Keras opens it; see `cnnkit.keras_files`.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnnkit.device.model import DeviceModel, read_metadata
from cnnkit.errors import ArtifactError
from cnnkit.keras_files import refuse_code
from cnnkit.run import MODEL, Run


class Artifact(Protocol):
    """What evaluation, explanation and export need of a model."""

    path: Path
    metadata: dict[str, Any]
    labels: tuple[str, ...]
    input_shape: tuple[int, int, int]

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]: ...


class KerasArtifact:
    """A Keras model, whose logits become probabilities as in its exported form."""

    def __init__(self, path: Path, model: Any, metadata: dict[str, Any]):
        self.path, self.model, self.metadata = path, model, metadata
        self.input_shape: tuple[int, int, int] = tuple(int(n) for n in model.input_shape[1:])  # type: ignore[assignment]
        self.labels = tuple(str(label) for label in metadata.get("labels") or range(model.output_shape[-1]))

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Score a batch; as `DeviceModel.predict`."""
        from keras import ops

        if images.shape[1:] != self.input_shape:
            raise ValueError(f"`images` need the shape (n, *{self.input_shape}). Received: {images.shape}.")
        if not len(images):
            return {"scores": np.zeros((0, len(self.labels)), np.float32)}
        logits = self.model.predict_on_batch(np.asarray(images, np.float32))
        return {"scores": np.asarray(ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32"))))}


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

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path} cannot be loaded: {reason[:200]} Train it again.") from error
    return KerasArtifact(path, model, read_metadata(path))

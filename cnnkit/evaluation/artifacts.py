"""Anything that predicts, opened the same way: a run folder, a `.keras` or a `.tflite` file.

An artifact has `path`, `metadata`, `labels`, `input_shape` (h, w, c) and `predict(images (n, h, w, c) in [0, 255])`, which
returns outputs by name; for a classifier `{"scores": float32 (n, classes)}`, probabilities.

A `.keras` file is looked into before Keras is: layers that carry code (Lambda, pickles) or come from outside Keras and
cnnkit are refused and never executed.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnnkit.device.model import DeviceModel, read_metadata
from cnnkit.errors import ArtifactError
from cnnkit.run import MODEL, Run

MAX_CONFIG = 64 << 20  # bytes
MAX_UNPACKED = 4 << 30
_CODE = {
    "Lambda",
    "function",
    "TorchModuleWrapper",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "Functional_pickle",
    "__lambda__",
}


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
    _refuse_code(path)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path} cannot be loaded: {reason[:200]} Train it again.") from error
    return KerasArtifact(path, model, read_metadata(path))


def _refuse_code(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if (
                archive.getinfo("config.json").file_size > MAX_CONFIG
                or sum(e.file_size for e in entries) > MAX_UNPACKED
            ):
                raise ArtifactError(
                    f"{path} unpacks to more than cnnkit loads. Get it again from where it was trained."
                )
            configuration = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise ArtifactError(f"{path} is not a .keras model, or is damaged ({error}). Train it again.") from error
    pickles = [name for name in names if name.endswith((".pkl", ".pickle", ".npz", ".npy"))]
    if pickles:
        raise ArtifactError(
            f"{path} holds {pickles[0]}, which may run code when loaded; refused. Load only models you trained."
        )
    for module, name in _classes(configuration):
        trusted = module is None or module == "builtins" or module.split(".")[0] in ("keras", "cnnkit")
        if name in _CODE or not trusted:
            raise ArtifactError(
                f"{path} holds a {name} layer, which runs code of its own; refused, nothing was executed. "
                "Load only models made of Keras's layers."
            )


def _classes(node: Any) -> list[tuple[str | None, Any]]:
    """Return (module, class name) of every serialised object in a Keras configuration."""
    found = []
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                found.append((item.get("module"), item["class_name"]))
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found

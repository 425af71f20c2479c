"""A `.keras` file is looked into before anything opens it: what carries code is refused and never executed.

Layers that hold code (Lambda, pickles) or come from outside Keras and cnnkit are named in the error. The file is a ZIP of
`config.json`, `metadata.json` and `model.weights.h5`; its sizes are checked before anything is unpacked.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

from cnnkit.errors import ArtifactError

MAX_CONFIG = 64 << 20  # bytes
MAX_UNPACKED = 4 << 30
CODE = {
    "Lambda",
    "function",
    "TorchModuleWrapper",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "Functional_pickle",
    "__lambda__",
}


def refuse_code(path: Path) -> None:
    """Read the list of contents and the configuration of a `.keras` file.

    Raises:
        ArtifactError: not a `.keras` file, damaged, too large, or holding code.
    """
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
        if name in CODE or not trusted:
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

"""A `.keras` file is looked into before anything opens it: what carries code is refused and never executed.

Layers that hold code (Lambda, pickles) or come from outside Keras and cnnkit are named in the error. The file is a ZIP of
`config.json`, `metadata.json` and `model.weights.h5`; its sizes are checked before anything is unpacked, its checksums before
anything is believed. What cnnkit writes has one of the whole file (`cnnkit.seals`); others have those of a ZIP.
"""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from cnnkit import h5_files
from cnnkit.errors import ArtifactError
from cnnkit.seals import is_sealed

MAX_CONFIG = 64 << 20  # bytes
MAX_UNPACKED = 4 << 30
MAX_ENTRIES = 1000
MAX_RATIO = 100  # of an entry's size to the bytes it takes, where it is large
LARGE = 256 << 20
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


DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    KeyError,
    ValueError,
    EOFError,
    OSError,
    NotImplementedError,  # a method or version that no ZIP of Keras has
    RuntimeError,  # the flag of encryption; RecursionError is one too
)


def refuse_code(path: Path) -> None:
    """Read the list of contents, the configuration and the weights of a `.keras` file.

    Raises:
        ArtifactError: not a `.keras` file, damaged, too large, or holding code.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if (
                archive.getinfo("config.json").file_size > MAX_CONFIG
                or sum(e.file_size for e in entries) > MAX_UNPACKED
                or len(entries) > MAX_ENTRIES
                or any(e.file_size > max(LARGE, MAX_RATIO * e.compress_size) for e in entries)
            ):
                raise ArtifactError(
                    f"{path} unpacks to more than cnnkit loads. Get it again from where it was trained."
                )
            configuration = json.loads(archive.read("config.json"))
            _compare(archive)
            (listed,) = struct.unpack_from("<H", content, content.rindex(b"PK\x05\x06") + 10)
            if listed != len(entries) & 0xFFFF:
                raise zipfile.BadZipFile(f"it lists {len(entries)} entries of {listed}")
            weights = sum(e.file_size for e in entries if e.filename == h5_files.WEIGHTS)
    except DAMAGED as error:
        reason = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
        raise ArtifactError(f"{path} is not a .keras model, or is damaged ({reason}). Train it again.") from error
    pickles = [name for name in names if name.endswith((".pkl", ".pickle", ".npz", ".npy"))]
    if pickles:
        raise ArtifactError(
            f"{path} holds {pickles[0]}, which may run code when loaded; refused. Load only models you trained."
        )
    found = _classes(configuration)
    for module, name, _ in found:
        trusted = module is None or module == "builtins" or module.split(".")[0] in ("keras", "cnnkit")
        if not isinstance(name, str) or name in CODE or not trusted:
            raise ArtifactError(
                f"{path} holds a {name} layer, which runs code of its own; refused, nothing was executed. "
                "Load only models made of Keras's layers."
            )
    whole = is_sealed(content, path, "Copy it again from where it is whole, or train it again.")
    h5_files.refuse_unsafe(path, content, vouched=whole)
    for _, name, settings in found:
        if _parameters(settings) > weights:
            raise ArtifactError(
                f"{path} describes a {name} layer of more weights than it holds; refused. Get it again from where it was trained."
            )


def _compare(archive: zipfile.ZipFile) -> None:
    """Read every entry, a piece at a time, so that its checksum is compared."""
    for entry in archive.infolist():
        with archive.open(entry) as file:
            while file.read(1 << 20):
                pass


def _parameters(settings: Any) -> int:
    """Return how many weights a layer has at least, by its settings; 0 where they do not say."""
    if not isinstance(settings, dict):
        return 0

    def number(name: str) -> int:
        value = settings.get(name)
        return value if isinstance(value, int) else 0

    return max(number("units"), number("filters"), number("input_dim") * number("output_dim"))


def _classes(node: Any) -> list[tuple[str | None, Any, Any]]:
    """Return (module, class name, settings) of every serialised object in a Keras configuration."""
    found = []
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                module = item.get("module")
                found.append((None if module is None else str(module), item["class_name"], item.get("config")))
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found

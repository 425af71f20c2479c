"""The files of a page: those that are the same for all models, the halves of the model's kinds, the model, and what it is."""

import json
from pathlib import Path
from typing import Any

import cnnkit.report
from cnnkit.demo import litertjs
from cnnkit.demo.server import POLICY
from cnnkit.device.kinds import InputKind, TaskKind
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ConfigError

HALF = "index.js"
PAGE = Path(__file__).parent / "static"
STYLE = Path(cnnkit.report.__file__).parent / "templates" / "page.css"  # colours and type as in reports


def scripts(folder: Path, place: str) -> dict[str, bytes]:
    """Return the JavaScript of a half, by its place in a page."""
    return {f"{place}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.js"))}


def halves(kind: InputKind, task: TaskKind, preparation: Any = None) -> tuple[dict[str, str | None], dict[str, bytes]]:
    """Return which module is which half, and the files of all of them.

    Args:
        kind, task: of the model.
        preparation: what the app does to inputs, where the model wants it.

    Raises:
        ConfigError: one has no half in JavaScript.
    """
    places = {"input": (kind.demo, f"inputs/{kind.name}"), "task": (task.demo, f"tasks/{task.name}")}
    lacking = [part for part in (kind, task) if part.demo is None]
    if lacking:
        raise ConfigError(
            f"The page cannot run this model: {lacking[0].name!r} has no half in JavaScript. Use `predict`."
        )
    if preparation is not None:
        places["app"] = (getattr(preparation, "demo", None), "app")
        if places["app"][0] is None:
            raise ConfigError("The page cannot run this model: its app lays inputs out by Python alone. Use `predict`.")
    found: dict[str, bytes] = {}
    for folder, place in places.values():
        assert folder is not None
        found |= scripts(folder, place)
    return {name: f"{places[name][1]}/{HALF}" if name in places else None for name in ("input", "task", "app")}, found


def contents(
    model: DeviceModel, kind: InputKind, task: TaskKind, *, title: str, preparation: Any = None
) -> dict[str, bytes]:
    """Return the files of a page by name, without LiteRT.js and what it is checked by.

    Args:
        model: an exported file.
        kind, task: its own.
        title: what the app does, a sentence.
        preparation: what the app does to inputs, where the model wants it.

    Raises:
        ConfigError: a half is missing, or LiteRT.js does not take the model's numbers.
    """
    modules, found = halves(kind, task, preparation)
    dtype = model.input_dtype.name
    if dtype not in ("float32", "int32", "uint8"):
        raise ConfigError(
            f"LiteRT.js takes float32, int32 and uint8, and {model.path.name} takes {dtype}. Use another file."
        )
    content = model.path.read_bytes()
    about = {
        "app": str(model.metadata.get("app") or "model"),
        "title": title,
        "notice": str(model.metadata.get("notice") or ""),
        "file": "model.tflite",
        "name": model.path.name,
        "bytes": len(content),
        "labels": list(model.labels),
        "shape": list(model.input_shape),
        "input": model.face["input"],
        "outputs": model.face["outputs"],
        "nothing": dict(task.nothing),
        "known": {**kind.for_page(model.metadata), **task.for_page(model.metadata)},
        "metadata": model.metadata,
        "modules": modules,
        "runtime": litertjs.VERSION,
    }
    for path in sorted(PAGE.iterdir()):
        text = path.read_text(encoding="utf-8")
        found[path.name] = text.replace("@POLICY@", POLICY).encode()
    found |= {"base.css": STYLE.read_bytes(), "model.tflite": content}
    found["model.json"] = json.dumps(about, ensure_ascii=False, allow_nan=False).encode()
    return found

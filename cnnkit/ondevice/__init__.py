"""What the commands do that run an exported model: predict and bench. No TensorFlow, unless a `.keras` is all there is.

A part is imported when it is used: one that names a text needs neither OpenCV nor videos, and starts sooner.
"""

import importlib
from typing import Any

_PARTS = {
    "bench": "benchmark",
    "predict": "predicting",
    "UNSAID": "opening",
    "answering": "opening",
    "exported": "opening",
    "is_artifact": "opening",
    "open_model": "opening",
    "split": "opening",
    "task_of": "opening",
}

__all__ = sorted(_PARTS)


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PARTS[name]}"), name)

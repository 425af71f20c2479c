"""Data: cards, readers, records, splits, batches; and the tf.data pipeline, which alone needs TensorFlow.

What is named here is imported when it is used: the texts of a table are read on devices without OpenCV.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnkit.data.findings import Finding
    from cnnkit.data.records import Records, Splits, join

_PARTS = {"Finding": "findings", **dict.fromkeys(("Records", "Splits", "join"), "records")}

__all__ = ["Finding", "Records", "Splits", "join"]


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PARTS[name]}"), name)

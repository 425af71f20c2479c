"""Data: cards, readers, records, splits, checks; and the tf.data pipeline, which alone needs TensorFlow.

splits = data.load("mnist", seed=0)
images, labels = splits.train.read(np.arange(32))  # uint8 (32, 28, 28, 1), int32 (32,)

What is named here is imported when it is used: the texts of a table are read on devices without OpenCV.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnkit.data.checks import check
    from cnnkit.data.findings import Finding
    from cnnkit.data.image_loading import load
    from cnnkit.data.records import Records, Splits, join

_PARTS = {
    "check": "checks",
    "Finding": "findings",
    "load": "image_loading",
    **dict.fromkeys(("Records", "Splits", "join"), "records"),
}

__all__ = ["Finding", "Records", "Splits", "check", "join", "load"]


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PARTS[name]}"), name)

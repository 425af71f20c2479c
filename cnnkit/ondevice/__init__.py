"""What the commands do that run an exported model: predict and bench. No TensorFlow, unless a `.keras` is all there is."""

from cnnkit.ondevice.benchmark import bench
from cnnkit.ondevice.classification import BATCH, predict
from cnnkit.ondevice.detection import find
from cnnkit.ondevice.opening import (
    IMAGES,
    exported,
    image_files,
    is_artifact,
    open_model,
    readable_images,
    split,
    task_of,
)
from cnnkit.ondevice.texts import predict_texts

__all__ = [
    "BATCH",
    "IMAGES",
    "bench",
    "exported",
    "find",
    "image_files",
    "is_artifact",
    "open_model",
    "predict",
    "predict_texts",
    "readable_images",
    "split",
    "task_of",
]

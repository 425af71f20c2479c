"""What is special about photos of anything: how cameras see the same thing, sizes of pictures, settings that suit each model.

Design choices:
- Half of the pictures are mirrored, unless the pictures show that left is not right (`cnnkit` looks), or `--no-mirror`.
- A backbone sees pictures at the size that it was made for, 224 px, and smaller ones enlarged: its last map has 1/32 of the side.
- The plain network looks for something anywhere in a picture, as photos are not cut out around what is asked for.
"""

from collections.abc import Callable
from typing import Any

from cnnkit import Candidate, augment, models

FEW = 500  # pictures
BUILDERS: dict[str, Callable[..., Any]] = {"default": models.spot_cnn, "backbone": models.classifier}
STARTS = Candidate.of(("efficientnet_lite0",), ("mobilenet_v2", 0.35), ("mobilenet", 0.25, 0.5, 0.75, 1.0))


def side(model: str) -> tuple[int, int]:
    """Return between which sides a model's input may be, px; the data decide."""
    return (128, 224) if model == "backbone" else (64, 128)


def augmentation(seed: int) -> augment.Pipeline:
    """Turn a picture a little, cut it closer or wider, change its light and its colours, as a second photo would."""
    from keras import layers

    pixels = (0, 255)
    return augment.Pipeline(
        augment.RandomWarp(rotation=10, translation=0.1, zoom=0.25, shear=0.05, fill_mode="nearest"),
        augment.RandomExposure(0.6),
        layers.RandomContrast(0.4, value_range=pixels),
        layers.RandomSaturation((0.3, 0.65), value_range=pixels),
        seed=seed,
    )


def preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a model, a number of training pictures, and whether it starts from loaded weights.

    Few pictures are seen in more epochs, and by smaller steps. What is loaded stands still at first, while the new layer learns
    what its features say; then all of it learns, more slowly, and keeps its batch norm.
    """
    settings = {"warmup": 0.1, "label_smoothing": 0.1, "weight_decay": 0.05, "ema": 0.99, "mirror": True}
    settings["batch_size"] = 16 if count < FEW else 32
    if loaded:
        settings["epochs"] = max(4, min(30, 10_000 // count))
        return {**settings, "learning_rate": 2e-3, "freeze": 0.3, "backbone_rate": 0.3, "freeze_norm": True}
    return {**settings, "learning_rate": 5e-3, "epochs": max(4, min(60, 38_000 // count))}

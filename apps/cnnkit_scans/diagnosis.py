"""What is special about telling whether a scan shows a finding: the networks, what training sees, settings that suit.

Design choices:
- No flips unless asked for (`--mirror`): left is not right in a body.
- The side is 128 px: a finding may be small, and a step at 192 px costs more than twice as much.
- The default network takes maxima and means of its last map, as a finding may be anywhere.
- Small findings are learnt late: on drawn slices the loss stood at that of guessing for a quarter of the training, and AUC was
  0.88 after 24,000 views and 0.9997 after 48,000 (one seed).
- A label with less than a third of the pictures is weighed up, unless `--no-class-weights` says otherwise.
"""

import dataclasses
import functools
import math
from typing import Any

from cnnkit import augment
from cnnkit.models.images import MODELS
from cnnkit.models.small import spot_cnn
from cnnkit.recipe import Candidate
from cnnkit.tasks.classification.screening import is_rare, said_of

BUILDERS = {**MODELS, "default": spot_cnn}
STARTS = Candidate.of(("efficientnet_lite0",), ("mobilenet_v2", 0.35), ("mobilenet", 0.25, 0.5, 0.75, 1.0))
SIDE = 128  # px
VIEWS = 48_000  # that a training has, about


def augmentation(seed: int) -> augment.Pipeline:
    """Turn, shift and scale a little, change the light."""
    from keras import layers

    pixels = (0, 255)
    return augment.Pipeline(
        augment.RandomWarp(rotation=10, translation=0.06, zoom=0.1, fill_mode="nearest"),
        layers.RandomBrightness(0.1, value_range=pixels),
        layers.RandomContrast(0.2, value_range=pixels),
        seed=seed,
    )


def options(records: Any, model: str) -> dict[str, Any]:
    """Return options of a builder that suit the size of the input."""
    if model != "default":
        return {}
    return {"depth": max(1, min(4, int(math.log2(min(records.input_shape[:2]))) - 2))}


def preset(model: str, count: int, loaded: bool, rare: bool = False) -> dict[str, Any]:
    """Return settings that suit a model, a number of training pictures, and whether it starts from loaded weights.

    Args:
        model: a name in `BUILDERS`.
        count: training pictures.
        loaded: whether weights are loaded.
        rare: whether one of two labels is.
    """
    settings: dict[str, Any] = {"batch_size": 16, "warmup": 0.1, "weight_decay": 0.02, "ema": 0.99}
    settings |= {"learning_rate": 3e-3, "class_weights": rare, "epochs": max(3, min(60, round(VIEWS / max(count, 1))))}
    if loaded:
        settings |= {"learning_rate": 2e-3, "freeze": 0.1, "backbone_rate": 0.5, "freeze_norm": True}
    return settings


def fitting(recipe: Any, splits: Any) -> Any:
    """Return the recipe that fits data."""
    return dataclasses.replace(recipe, preset=functools.partial(preset, rare=is_rare(splits.train)))


def start(model: Any, records: Any, settings: Any) -> list[str]:
    """Return lines on what is looked for."""
    return said_of(records, settings.positive)

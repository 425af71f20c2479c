"""What is special about training on scans: the networks, what training sees, and settings that suit each.

Design choices:
- Drawn slices, and volumes, are learnt by a U-Net from nothing. A user's pictures are few, and even of the inside of a body are
  learnt better on what ImageNet taught, where such weights are at hand (`STARTS`).
- Small batches, as a network from nothing learns by the step; a loaded one gets twice as many a step. A training has as many
  views as `VIEWS`, whatever an epoch is.
- A rate of 6e-3 had the loss after four epochs of drawn slices that 3e-3 had after five (one seed).
- Views are changed little: with turns of 20 degrees, twice the bending and flips of all kinds the loss of drawn slices was as low
  after 18 epochs as it is after 7 with these (one seed).
"""

import math
from typing import Any

from cnnkit.models.unets import backbone_unet, unet
from cnnkit.recipe import Candidate
from cnnkit.tasks.segmentation.volumes.fingerprint import levels

MODELS = {"default": unet, "backbone": backbone_unet}
DRAWN = "Of polyps in Kvasir-SEG the Dice was 87.4 on EfficientNet-Lite0 with such weights, and 71.5 on a U-Net from nothing."
STARTS = Candidate.of(("efficientnet_lite0",), ("mobilenet_v2", 0.35), ("mobilenet", 0.25, 0.5, 0.75, 1.0), worth=DRAWN)
COARSEST = 8  # px, least side of the coarsest map
VIEWS = 7000  # that a training has, about
VOLUME_VIEWS = 4000  # that one of volumes has, about


def options(records: Any, model: str) -> dict[str, Any]:
    """Return options of a builder that suit the size of the input."""
    if model != "default":
        return {}
    return {"depth": max(2, min(5, int(math.log2(records.input_shape[0] / COARSEST))))}


def preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a model, a number of training pictures, and whether it starts from loaded weights."""
    settings = {"warmup": 0.1, "weight_decay": 0.02, "ema": 0.99, "learning_rate": 6e-3}
    settings["epochs"] = max(3, round(VIEWS / max(count, 320)))
    if loaded:
        settings |= {"learning_rate": 2e-3, "freeze": 0.05, "backbone_rate": 0.5, "freeze_norm": True}
    return settings


# Volumes --------------------------------------------------------------------------------------------------------------


def volume_options(records: Any, model: str) -> dict[str, Any]:
    """Return options of a builder that suit the window and its voxels."""
    strides, kernels = levels(records.input_shape[:-1], records.plan.voxel)
    every = {"strides": strides, "kernels": kernels}
    return {"depth": len(strides), "width": 12, **{name: [list(row) for row in rows] for name, rows in every.items()}}


def volume_preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a number of training volumes; as `preset`."""
    settings = {"warmup": 0.1, "weight_decay": 0.02, "ema": 0.99, "learning_rate": 4e-3}
    settings["epochs"] = max(3, round(VOLUME_VIEWS / max(count, 320)))
    if loaded:
        settings |= {"learning_rate": 2e-3}
    return settings


VOLUMES = {"builders": {"default": unet}, "options": volume_options, "preset": volume_preset}

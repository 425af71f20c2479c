"""What is special about training on traffic signs: what a camera does to a sign, and settings that suit each model.

Design choices:
- No flips: a mirrored "keep right" is "keep left". Who has classes that allow it says so (`--mirror`).
- Signs are small in photos, 15 to 250 px, so their images are blurred, cast in odd light, and cut out a little off. The
  augmentation does the same.
- The input is 96 px, though signs are often smaller: the last map of a backbone, at stride 32, then has 3x3 places.
"""

from typing import Any

from cnnkit import augment
from cnnkit.models import MODELS, classifier

SIDE = 96  # px, of the input unless --image-size says otherwise
BUILDERS = {**MODELS, "default": classifier}


def augmentation(seed: int) -> augment.Augmentation:
    """Turn, shift, scale and slant a sign, change its light and colours, blur it.

    Args:
        seed: of every random number.

    Returns:
        (images float32 (b, h, w, c) in [0, 255], targets float32 (b, classes), step) -> (images, targets).
    """
    from keras import layers

    return augment.on_images(
        augment.RandomWarp(rotation=12, translation=0.1, zoom=0.18, shear=0.15, fill_mode="nearest"),
        layers.RandomBrightness(0.25, value_range=(0, 255)),
        layers.RandomContrast(0.4, value_range=(0, 255)),
        seed=seed,
    )


def preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a model, a number of training images, and whether it starts from loaded weights."""
    shared = {"batch_size": 32, "warmup": 0.1, "label_smoothing": 0.1, "weight_decay": 0.05, "ema": 0.99, "epochs": 40}
    if loaded:
        return {**shared, "learning_rate": 2e-3, "freeze": 0.1, "backbone_rate": 0.5, "freeze_norm": False}
    return {**shared, "learning_rate": 3e-3}

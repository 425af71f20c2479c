"""What is special about training on traffic signs: what a camera does to a sign, and settings that suit each model.

Design choices:
- No flips: a mirrored "keep right" is "keep left". Who has classes that allow it says so (`--mirror`).
- Signs in photos are small, blurred, cut out a little off, and in odd light. The augmentation does the same.
- A backbone's input is 128 px, though signs are often smaller: its last map, at stride 32, then has 4x4 places. With one
  held-out track of each class of GTSRB's small set, 128 px gave 94 % where 96 px gave 87 % and 64 px 76 % (one seed).
- Without loaded weights a plain CNN on 48 px is the default: from 5 tracks a class it reached 84 % in four minutes, the
  backbone from scratch 43 % in five (`benchmarks/finetune.py`).
- Detectors of drawn scenes are a plain network: a step of it takes 0.4 of the processor time of one of MobileNetV2 0.35 (8
  pictures of 256 px), and there are scenes enough. A user's photos are few, and are learnt on a network that knows photos,
  where its weights are at hand (`STARTS`).
- Settings were chosen on held-out tracks of the training images; no test image was looked at.
"""

from collections.abc import Sequence
from typing import Any

from cnnkit import augment
from cnnkit.models.arguments import takes
from cnnkit.models.backbones import FAMILIES
from cnnkit.models.detectors import OWN, detector
from cnnkit.models.images import MODELS
from cnnkit.recipe import Candidate
from cnnkit.tasks.detection.views import Views

BUILDERS = MODELS
NAMED = (
    "Of 43 signs, from 5 tracks each, MobileNetV2 0.35 with such weights named 94.1 % right, a plain network 83.9 %."
)
SMALL: tuple[tuple[str, *tuple[float, ...]], ...] = (("mobilenet_v2", 0.35), ("mobilenet", 0.25, 0.5, 0.75, 1.0))
STARTS = Candidate.of(("efficientnet_lite0",), *SMALL, worth=NAMED)


def side(model: str) -> int:
    """Return the side of a model's input in px, unless --image-size says otherwise."""
    return 128 if model == "backbone" else 48


def augmentation(seed: int) -> augment.Pipeline:
    """Turn, shift, scale and slant a sign, change its light and colours, blur it.

    Args:
        seed: of every random number.

    Returns:
        A layer for images (b, h, w, c) in [0, 255], with labels if there are some.
    """
    from keras import layers

    pixels = (0, 255)
    return augment.Pipeline(
        augment.RandomWarp(rotation=15, translation=0.12, zoom=0.25, shear=0.2, fill_mode="nearest"),
        augment.RandomExposure(0.8),
        layers.RandomContrast(0.5, value_range=pixels),
        layers.RandomSaturation((0.2, 0.65), value_range=pixels),  # 0: grey, 0.5: as it is; one number is the upper end
        layers.RandomGaussianBlur(factor=0.5, kernel_size=5, sigma=1.0, value_range=pixels),
        seed=seed,
    )


def preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a model, a number of training images, and whether it starts from loaded weights.

    Args:
        model: a name in `BUILDERS`.
        count: training images. Few get more epochs, many get fewer.
        loaded: whether weights are loaded. The head then learns alone at first, and loaded batch norm keeps its averages.
    """
    settings = {"batch_size": 32, "warmup": 0.1, "label_smoothing": 0.1, "weight_decay": 0.05, "ema": 0.99}
    settings["epochs"] = 40 if count < 2000 else 20 if count < 20_000 else 10
    if loaded:
        return {**settings, "learning_rate": 2e-3, "freeze": 0.1, "backbone_rate": 1.0, "freeze_norm": True}
    return {**settings, "learning_rate": 3e-3}


# Detection ------------------------------------------------------------------------------------------------------------


def plain_detector(
    image_shape: tuple[int, int, int], classes: int, *, strides: Sequence[int] = (8, 16, 32), width: int = 48
) -> Any:
    """Build a detector on a plain network of our own; as `cnnkit.models.detector`."""
    return detector(image_shape, classes, strides=strides, width=width)


@takes(backbone=(OWN, *FAMILIES))
def backbone_detector(
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    backbone: str = "mobilenet_v2",
    alpha: float | None = None,
    strides: Sequence[int] = (8, 16, 32),
    width: int = 64,
) -> Any:
    """Build a detector on a network of `keras.applications`; as `cnnkit.models.detector`."""
    return detector(image_shape, classes, backbone=backbone, alpha=alpha, strides=strides, width=width)


MANY = 5000  # images
VIEWS = 30_000  # of photos that training sees, about; drawn scenes are seen twice
FOUND = "On 614 photos of road-signs-877, in 20 minutes, AP50 was 86.5 on MobileNetV2 0.35 with such weights, from nothing 85.0."
# In these 20 minutes EfficientNet-Lite0 reached 85.0 as well, with five times the parameters: who wants it names it.
DETECTION_STARTS = Candidate.of(*SMALL, worth=FOUND)
DETECTORS = {"default": plain_detector, "backbone": backbone_detector}


def views(records: Any, settings: Any) -> Any:
    """Return what a detector sees in training: crops at varied scale, mostly around signs, some made of four.

    Of many images each is seen but a few times, so little needs to be varied; drawn scenes are as varied as they are many.
    """
    if len(records) >= MANY:
        little = {"stops": 0.3, "contrast": 0.2, "saturation": 0.2, "tint": 0.03, "blur": 0.0, "mosaic": 0.0}
        return Views(records, settings.seed, scale=(0.75, 1.35), focus=0.5, mirror=settings.mirror, **little)
    return Views(records, settings.seed, mirror=settings.mirror)


def detection_preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a detector; as `preset`.

    Where a run is continued, all layers and their batch norm learn: photos are not drawings. A backbone of ImageNet learns
    slower than what stands on it, and keeps its batch norm.
    """
    settings = {"batch_size": 8, "warmup": 0.05, "weight_decay": 0.05, "ema": 0.995, "learning_rate": 5e-3}
    settings["epochs"] = 2 if count >= MANY else min(150, max(5, VIEWS // count))
    if loaded:
        settings |= {"learning_rate": 2e-3, "backbone_rate": 1.0, "freeze_norm": False, "progressive": 2}
    if loaded and model == "backbone":
        settings |= {"backbone_rate": 0.2, "freeze_norm": True}
    return settings

"""Augmentation of images with what belongs to them: `Pipeline`, and layers beside Keras's own."""

from cnnkit.augment.layers import RandomExposure, RandomWarp, cutmix, mixup, rand_augment
from cnnkit.augment.pipeline import Pipeline

__all__ = ["Pipeline", "RandomExposure", "RandomWarp", "cutmix", "mixup", "rand_augment"]

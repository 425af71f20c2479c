"""What is special about steering: a network of the road's shape, mirrored roads, and settings that suit them.

Design choices:
- The default is PilotNet (Bojarski et al. 2016, arXiv:1604.07316) at half its width and with batch norm: strided
  convolutions without
  padding, and layers that read where things are; an average over places would throw that away.
- Half of the pictures are mirrored, and their angle with them: a road to the left is one to the right.
- Nothing is shifted or turned: that would change the angle by what nobody knows.
"""

from typing import Any


def pilot_net(image_shape: tuple[int, int, int], units: int, *, width: int = 16) -> Any:
    """Build a small PilotNet.

    Args:
        image_shape: (height, width, channels), px; each side 53 at least.
        units: numbers that it answers.
        width: filters of the first convolution; the others have up to three times as many.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> (b, units).
    """
    import keras
    from keras import layers

    if min(image_shape[:2]) < 53:
        raise ValueError(f"`pilot_net` needs sides of at least 53 px. Received: image_shape={tuple(image_shape)}.")
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    plan = [(width, 5, 2), (width * 3 // 2, 5, 2), (width * 2, 3, 2), (width * 3, 3, 1), (width * 3, 3, 1)]
    for level, (filters, kernel, stride) in enumerate(plan, 1):
        x = layers.Conv2D(
            filters, kernel, strides=stride, use_bias=False, kernel_initializer="he_normal", name=f"conv{level}"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{level}")(x)
        x = layers.ReLU(name=f"relu{level}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    x = layers.Dense(4 * width, activation="relu", name="dense1")(x)
    x = layers.Dense(width, activation="relu", name="dense2")(x)
    return keras.Model(image, layers.Dense(units, dtype="float32", name="logits")(x), name="pilot_net")


def on_backbone(
    image_shape: tuple[int, int, int],
    units: int,
    *,
    backbone: str = "mobilenet_v2",
    alpha: float | None = None,
    dropout: float = 0.1,
) -> Any:
    """Build a network on one of `keras.applications`, whose weights may be loaded (`--weights imagenet`)."""
    import keras
    from keras import layers

    from cnnkit import models

    features = models.backbone(backbone, image_shape, alpha=alpha or (0.35 if backbone == "mobilenet_v2" else None))
    x = layers.Conv2D(32, 1, activation="relu", name="narrow")(features.output["stride32"])
    x = layers.Dropout(dropout, name="dropout")(layers.Flatten(name="flatten")(x))
    model = keras.Model(features.input, layers.Dense(units, dtype="float32", name="logits")(x), name=backbone)
    model.pretrained = features.pretrained
    return model


def augmentation(seed: int) -> Any:
    """Change the light and the colours of pictures."""
    from keras import layers

    from cnnkit import augment

    pixels = (0, 255)
    return augment.Pipeline(
        augment.RandomExposure(0.5),
        layers.RandomContrast(0.3, value_range=pixels),
        layers.RandomSaturation((0.3, 0.6), value_range=pixels),
        seed=seed,
    )


def preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a model, a number of training pictures, and whether it starts from loaded weights."""
    settings = {"batch_size": 32, "warmup": 0.1, "weight_decay": 0.05, "ema": 0.99, "mirror": True}
    settings["epochs"] = 30 if count < 1500 else 14 if count < 6000 else 8
    if loaded:
        return {**settings, "learning_rate": 1e-3, "freeze": 0.1, "backbone_rate": 1.0}
    return {**settings, "learning_rate": 3e-3}

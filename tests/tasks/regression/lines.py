"""Pictures of a line that leans, its angle the value; and an app that learns it."""

import csv

import cv2
import numpy as np

import cnnkit


def picture(angle, rng):
    """Draw a line that leans so many degrees to the right: uint8 (24, 48, 3)."""
    image = rng.integers(0, 40, (24, 48, 3)).astype(np.uint8)
    top = 24 + 20 * np.tan(np.radians(angle))
    cv2.line(image, (24, 23), (round(float(top)), 3), (220, 220, 200), 3)
    return image


def angles(count, seed=0):
    """Angles as of a drive: each near the one before, in [-40, 40]."""
    rng = np.random.default_rng(seed)
    found, angle = [], 0.0
    for _ in range(count):
        angle = 0.9 * angle + rng.normal(0, 8)
        found.append(round(float(np.clip(angle, -40, 40)), 2))
    return found


def write(folder, count=240, seed=0, header=("image", "angle"), more=lambda k: ()):
    """Write pictures, and values.csv with their angles; return the folder."""
    rng = np.random.default_rng(seed)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    rows = []
    for k, angle in enumerate(angles(count, seed)):
        cv2.imwrite(str(folder / "pictures" / f"{k:04d}.png"), picture(angle, rng))
        rows.append((f"pictures/{k:04d}.png", angle, *more(k)))
    table(folder / "values.csv", header, rows)
    return folder


def table(path, header, rows):
    """Write a table; without a header where that is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)


def net(image_shape, units, *, width=12):
    """Build a small CNN."""
    import keras
    from keras import layers

    given = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(given)
    for level in range(3):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{level}")(x)
        x = layers.ReLU(name=f"relu{level}")(x)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(given, layers.Dense(units, name="logits")(x), name="net")


def preset(model, count, loaded):
    return {"epochs": 15, "batch_size": 16, "learning_rate": 0.01, "ema": 0.9, "mirror": True}


def fields():
    return {
        "data": "lines",
        "builders": {"default": net},
        "preset": preset,
        "numbers": {"unit": "degrees", "zero": "upright", "negated": ("angle",)},
    }


APP = cnnkit.App("Tell how lines lean.", fields, name="lines", kind=cnnkit.kinds.image_regression)

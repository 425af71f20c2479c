"""Apps that no package has, from toy kinds and those of the core crosswise, and their data; registered as packages do."""

import csv
from pathlib import Path

import cv2
import numpy as np

from cnnkit import cli
from cnnkit.evaluation.settings import Answers, Classes
from cnnkit.inputs.image import commands
from cnnkit.inputs.image import settings as image_settings

REGISTERED = """[cnnkit.tasks]
number = tests.toys.number

[cnnkit.inputs]
series = tests.toys.series
"""


def register(folder):
    """Install the toy kinds as a package's metadata would, in a folder that is to be in `sys.path`."""
    about = folder / "toys-0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 0\n")
    (about / "entry_points.txt").write_text(REGISTERED)
    return str(folder)


# Data -----------------------------------------------------------------------------------------------------------------


def write_series(folder, count, target, seed=0):
    """Write waves of 40 to 100 steps, a tenth of them missing, whose height and period the target may be of."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        height, period = rng.uniform(1, 5), (6, 12)[number % 2]
        steps = np.arange(rng.integers(40, 101))
        values = height * np.sin(2 * np.pi * (steps / period + rng.random())) + rng.normal(0, 0.1, len(steps))
        shown = ["" if missing else f"{value:.3f}" for value, missing in zip(values, rng.random(len(steps)) < 0.1)]
        rows.append((f"{seed}-{number}.csv", target(height, period)))
        write(folder / rows[-1][0], ",".join(shown) + "\n")
    _write_targets(folder, rows)
    return folder


def write_pictures(folder, count, seed=0):
    """Write pictures of a disc; its radius in px is the target."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        radius = rng.uniform(2, 9)
        picture = rng.integers(0, 40, (24, 24, 1)).astype(np.uint8)
        place = np.hypot(*(np.mgrid[:24, :24] - rng.uniform(9, 14, (2, 1, 1))))
        picture[place < radius] = 200
        rows.append((f"{seed}-{number}.png", f"{radius:.3f}"))
        write(folder / rows[-1][0], cv2.imencode(".png", picture)[1].tobytes())
    _write_targets(folder, rows)
    return folder


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _write_targets(folder, rows):
    with (folder / "targets.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def heights(height, period):
    return f"{height:.3f}"


def speeds(height, period):
    return "fast" if period < 8 else "slow"


# Apps -----------------------------------------------------------------------------------------------------------------


def series_cnn(input_shape, units, *, width=16):
    """Build a CNN over steps."""
    import keras
    from keras import layers

    given = keras.Input(input_shape, name="series")
    x = given
    for level in range(3):
        x = layers.Conv1D(width, 5, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{level}")(x)
        x = layers.ReLU(name=f"relu{level}")(x)
    x = layers.Concatenate(name="gather")(
        [layers.GlobalMaxPooling1D(name="most")(x), layers.GlobalAveragePooling1D(name="mean")(x)]
    )
    return keras.Model(given, layers.Dense(units, name="logits")(x), name="series_cnn")


def picture_cnn(input_shape, units, *, width=12):
    """Build a small CNN."""
    import keras
    from keras import layers

    given = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(given)
    for level in range(2):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{level}")(x)
        x = layers.ReLU(name=f"relu{level}")(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = layers.GlobalAveragePooling2D(name="gather")(x)
    return keras.Model(given, layers.Dense(units, name="logits")(x), name="picture_cnn")


def preset(model, count, loaded):
    return {"epochs": 30, "batch_size": 16, "learning_rate": 0.02}


def classes(texts):
    """Return what `Records` has of one class each besides inputs."""
    names = sorted(set(texts))
    return {"labels": np.array([names.index(text) for text in texts]), "label_names": names}


def series_with_number():
    import functools

    from cnnkit.recipe import Recipe
    from tests.toys.number import training as number
    from tests.toys.series import training as series

    return Recipe(
        app="heights",
        data="heights",
        task=number.Number("V", tolerance=0.05),
        inputs=series.Series(),
        load=functools.partial(series.load, targets=number.targets),
        builders={"default": series_cnn},
        views=series.views,
        preset=preset,
    )


def series_with_classes():
    import functools

    from cnnkit.recipe import Recipe
    from cnnkit.tasks.classification.scoring import Classification
    from tests.toys.series import training as series

    return Recipe(
        app="speeds",
        data="speeds",
        task=Classification(),
        inputs=series.Series(),
        load=functools.partial(series.load, targets=classes),
        builders={"default": series_cnn},
        views=series.views,
        preset=preset,
    )


def pictures_with_number():
    from cnnkit import augment
    from cnnkit.inputs.image.images import Images
    from cnnkit.recipe import Recipe
    from tests.toys.number import training as number

    def load(source, *, validation=None, split_seed=0, limit=None, whole=False, **_):
        from cnnkit.inputs.image import folders
        from cnnkit.inputs.image.records import ImageRecords
        from tests.toys.series.training import divided, listed

        paths, texts = listed(source)
        images = folders.files(Path(source), [path.name for path in paths])
        records = ImageRecords(images, input_shape=(24, 24, 1), **number.targets(texts))
        return divided(records, source, validation=validation, seed=split_seed, limit=limit, whole=whole)

    return Recipe(
        app="radii",
        data="radii",
        task=number.Number("px", tolerance=0.05),
        inputs=Images(),
        load=load,
        builders={"default": picture_cnn},
        augmentation=lambda seed: augment.Pipeline(augment.RandomWarp(translation=0.05), seed=seed),
        preset=preset,
    )


APPS = {
    "heights": cli.app("Tell the height of waves.", series_with_number, name="heights", rooms=lambda: ()),
    "speeds": cli.app(
        "Tell slow waves from fast ones.", series_with_classes, name="speeds", rooms=lambda: (Classes, Answers)
    ),
    "radii": cli.app(
        "Tell the radius of discs.",
        pictures_with_number,
        name="radii",
        rooms=lambda: image_settings.IMAGES,
        commands=commands.IMAGES,
    ),
}

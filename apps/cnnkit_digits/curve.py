"""The classic experiment: how sure a model becomes of one image as it sees more and more data."""

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console, opening, own_files, training
from cnnkit.device.image import read_image
from cnnkit.device.preparation import ready, wanted
from cnnkit.errors import DataError
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.evaluation.scoring import score
from cnnkit.run import Run
from cnnkit.run_data import load

FRACTIONS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FEWEST_STEPS = 150  # a handful of images gets more passes: the curve shows the data's worth, not the number of steps


def learning_curve(
    recipe: Any,
    image: Path,
    *,
    data: str | None,
    model: str,
    epochs: int,
    seed: int,
    out: Path,
) -> None:
    """Train on growing fractions of the data, each holding the one before; draw the confidences and the test accuracy.

    Raises:
        DataError: the image cannot be read, or is a folder.
    """
    if image.is_dir() or opening.is_artifact(image):
        raise DataError(f"{image} is not an image. Give one picture of a digit.")
    own_files.check([out])
    picture = read_image(image)
    splits = load(recipe, {"data": data, "seed": seed}, tell=console)
    order = np.random.default_rng(seed).permutation(len(splits.train))
    rows: list[dict[str, Any]] = []
    with console.progress("Training", len(FRACTIONS)) as update:
        for number, fraction in enumerate(FRACTIONS):
            count = max(1, round(fraction * len(order)))
            update(number, f"{fraction:.1%}: {count:,} images")
            part = dataclasses.replace(splits, train=splits.train.take(np.sort(order[:count])))
            trained = _train(recipe, part, model, epochs, seed)
            how = recipe.inputs.preparation if wanted(recipe.inputs.preparation, trained.metadata) else None
            prepared, _ = ready(picture, trained.input_shape, how)
            confidences = trained.run_batch(prepared[None])["scores"][0]
            accuracy = score(trained, splits.test, recipe.task)
            rows.append(
                {
                    "fraction": fraction,
                    "images": count,
                    "confidences": {label: float(c) for label, c in zip(trained.labels, confidences, strict=True)},
                    "prediction": trained.labels[int(confidences.argmax())],
                    "accuracy": accuracy["accuracy"],
                    "accuracy_interval": accuracy["accuracy_interval"],
                }
            )
    _draw(rows, prepared[..., 0], out)
    console.document({"image": str(image), "model": model, "curve": rows, "picture": str(out)})
    if not console.is_json():
        console.table(
            ["data", "images", "prediction", "confidence", "test accuracy %"],
            [
                [
                    f"{row['fraction']:.1%}",
                    f"{row['images']:,}",
                    row["prediction"],
                    f"{row['confidences'][row['prediction']]:.1%}",
                    f"{100 * row['accuracy']:.2f}",
                ]
                for row in rows
            ],
        )
        console.message(f"Drawn: {out}")


def _train(recipe: Any, splits: Any, model: str, epochs: int, seed: int) -> KerasArtifact:
    preset = recipe.preset(model, len(splits.train), False)
    steps = max(1, len(splits.train) // preset.get("batch_size", recipe.Settings.batch_size))
    epochs = max(epochs, math.ceil(FEWEST_STEPS / steps))
    settings = recipe.Settings(**{**preset, "model": model, "epochs": epochs, "seed": seed, "patience": 0})
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", recipe.app, settings)
        quiet_splits = dataclasses.replace(splits, validation=splits.validation.take(np.arange(0)))
        trained = training.fit(recipe, settings, quiet_splits, run)
        return KerasArtifact(run.path, trained, training.describe(recipe, settings, splits.train))


def _draw(rows: list[dict[str, Any]], picture: np.ndarray, out: Path) -> None:
    from matplotlib.figure import Figure

    from cnnkit.report.drawing import save

    labels = list(rows[0]["confidences"])
    figure = Figure(figsize=(11, 1.0 * len(rows) + 1.6), layout="constrained")
    grid = figure.add_gridspec(len(rows), 3, width_ratios=(1.1, 2.6, 2.8))
    shown = figure.add_subplot(grid[:2, 0])
    shown.imshow(picture, cmap="gray", vmin=0, vmax=255)
    shown.set_title("the image", fontsize=10)
    shown.axis("off")
    for number, row in enumerate(rows):
        axis = figure.add_subplot(grid[number, 1])
        values = list(row["confidences"].values())
        colours = ["#2f6fde" if label == row["prediction"] else "#b9c2cf" for label in labels]
        axis.bar(labels, values, color=colours, width=0.75)
        axis.set_ylim(0, 1)
        axis.set_yticks([0, 1])
        axis.tick_params(labelsize=8, length=0)
        axis.set_ylabel(f"{row['fraction']:.1%}\n{row['images']:,}", rotation=0, ha="right", va="center", fontsize=9)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        if number < len(rows) - 1:
            axis.set_xticklabels([])
        if number == 0:
            axis.set_title("confidence in each digit, by share of the data", fontsize=10)
    axis = figure.add_subplot(grid[:, 2])
    counts = [row["images"] for row in rows]
    accuracy = np.array([row["accuracy"] for row in rows])
    low, high = np.array([row["accuracy_interval"] for row in rows]).T
    axis.fill_between(counts, 100 * low, 100 * high, color="#2f6fde", alpha=0.15, lw=0)
    axis.plot(counts, 100 * accuracy, "o-", color="#2f6fde", ms=4)
    for count, value in zip(counts, accuracy, strict=True):
        axis.annotate(
            f"{100 * value:.1f}",
            (count, 100 * value),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axis.set_xscale("log")
    axis.set_ylim(0, 105)
    axis.set_xlabel("training images")
    axis.set_title("test accuracy %, with its 95 % interval", fontsize=10)
    axis.grid(alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    save(figure, out)

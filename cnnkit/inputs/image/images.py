"""Images with one label each: the kind of inputs that a recipe has unless it says otherwise."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.preparation import Preparation, ready, wanted
from cnnkit.inputs.contract import Input, chosen
from cnnkit.inputs.image import settings as image_settings
from cnnkit.report.record import Record
from cnnkit.reporter import Reporter
from cnnkit.settings import Room
from cnnkit.shown import Shown, Table

SHOWN, ROUNDS = 8, 5  # samples, augmented versions of each
LOOKED_AT = 200  # pictures, before a training


class Images(Input):
    """One label an image.

    Args:
        preparation: what the app does to a picture before a model sees it; None: it is fitted into the model's shape.
    """

    kind = "image"
    preparation: Preparation | None = None
    noun = "images"
    columns: tuple[str, ...] = ("label", "separator")
    size_setting = "image_size"
    record = Record("image", "an", "px", "on augmented images", "{sides}, values 0 to 255")
    sound = (
        "Nothing found: every file reads, no duplicates across the splits, no starved class, no label that looks wrong."
    )

    rooms: tuple[type[Room], ...] = image_settings.IMAGES

    def __init__(self, preparation: Preparation | None = None):
        self.preparation = preparation
        if preparation is not None:
            self.rooms = (*self.rooms, image_settings.Preparation)

    def published(self, options: Mapping[str, Any], shape: Sequence[int] | None = None) -> list[Any]:
        """Return the published weights of a backbone, for images of a shape or of any; of a name without any: none."""
        from cnnkit.models.backbones import FAMILIES, SMALLEST

        family, alpha = FAMILIES.get(options.get("backbone", "")), float(options.get("alpha") or 1.0)
        if family is None or (not family.alphas and alpha != 1) or (shape is not None and min(shape[:-1]) < SMALLEST):
            return []
        shapes = [(side, side, 3) for side in family.sides] if shape is None else [shape]
        found = [family.pretrained(entry, alpha) for entry in shapes]
        return [file for file in found if file is not None]

    def stated(self, records: Any) -> dict[str, Any]:
        """Return what artifacts say of their input."""
        return {**super().stated(records), "range": [0, 255]}

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `Recipe.load` is asked for beyond what all kinds of data take."""
        columns = {key: settings[key] for key in ("label", "separator", "groups") if settings.get(key) is not None}
        asked = settings.get("prepare")
        if self.preparation is None:
            return columns
        return {**columns, "preparation": self.preparation, **({} if asked is None else {"prepare": asked})}

    def prepares(self, metadata: Mapping[str, Any]) -> bool | None:
        """Return whether data for an artifact is prepared: None, as its card says, or False where it knows no layout."""
        return None if self.preparation is None or wanted(self.preparation, metadata) else False

    def augmentations(self, own: Any, settings: Any) -> list[Any]:
        """Return what is done to a batch of training, one after the other: the app's own, or None, and what settings add."""
        import keras

        from cnnkit import augment

        layers = []
        if settings.rand_augment:
            layers.append(augment.rand_augment())
        if settings.mixup:
            layers.append(augment.mixup(settings.mixup))
        if settings.cutmix:
            layers.append(augment.cutmix(settings.cutmix))
        parts = []
        if settings.mirror:
            parts.append(augment.Pipeline(keras.layers.RandomFlip("horizontal"), seed=settings.seed + 2))
        parts += [own] if own is not None else []
        parts += [augment.Pipeline(*layers, seed=settings.seed + 1)] if layers else []
        return [with_targets(part) for part in parts]  # one row would number its draws otherwise, and seed them alike

    def suited(self, preset: Mapping[str, Any], records: Any) -> tuple[dict[str, Any], list[str]]:
        """Return a preset that mirrors pictures only where nothing speaks against it; as `Input.suited`."""
        from cnnkit.inputs.image.sided import against_mirrors

        why = against_mirrors(records) if preset.get("mirror") else ""
        if not why:
            return dict(preset), []
        return {**preset, "mirror": False}, [f"{why}, so none is mirrored in training. `mirror` mirrors them."]

    def shaped(self, splits: Any, settings: Mapping[str, Any]) -> Any:
        """Return splits whose images are read at the size that the settings ask for."""
        side = settings.get("image_size")
        return splits.each(lambda part: part.with_shape((side, side, part.input_shape[2]))) if side else splits

    def looked_at(self, splits: Any) -> list[str]:
        """Return what is wrong with training pictures once they are prepared, by a look at some of them."""
        train = splits.train
        if self.preparation is None or not train.prepared:
            return []
        few = train.take(np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(int)))
        images, _ = few.with_shape(self.preparation.shape).read(np.arange(len(few)))
        empty = np.flatnonzero(~images.any((1, 2, 3)))
        if not len(empty):
            return []
        return [
            f"Nothing is on {len(empty)} of {len(few)} training pictures looked at, such as {few.name(int(empty[0]))}."
        ]

    def write_folds(self, path: Path, records: Any, folds: Sequence[int]) -> None:
        """Write `folds.csv`: image, fold."""
        import csv
        import io

        from cnnkit.files import write_text

        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows(
            [("image", "fold"), *((records.alias(index), fold) for index, fold in enumerate(folds))]
        )
        write_text(path / "folds.csv", rows.getvalue())

    def taken_over(self, shape: Sequence[int]) -> dict[str, Any]:
        """Return the settings that a run takes over from an earlier one, whose data had this shape."""
        height, width, _ = shape
        return {"image_size": height} if height == width else {}

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        """Look for what would spoil training; `looked` takes lines on what was looked at."""
        from cnnkit.inputs.image import checks

        return checks.check(source, progress=progress, looked=looked, **columns)

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path) -> Shown:
        """Draw samples as they are, as the model sees them, and with what the options for more augmentation add."""
        from cnnkit.report import drawing, figures

        drawing.save(figures.samples(*self._every_augmentation(recipe, splits.train, settings)), out)
        return drawn(out)

    def _every_augmentation(
        self, recipe: Any, records: Any, settings: Any
    ) -> tuple[np.ndarray, list[str], np.ndarray, list[str]]:
        """Return samples, with rows for what --rand-augment, --mixup and --cutmix add, and the rows' titles."""
        import tensorflow as tf

        from cnnkit import augment

        images, names, rounds = self.samples(recipe, records, settings)
        titles = ["augmented" if number == 0 else "" for number in range(len(rounds))]
        encoded = recipe.task.encoder(len(records.label_names))(records.targets(chosen(records, settings, SHOWN)))
        rows = list(rounds)
        for title, layer in (
            ("RandAugment", augment.rand_augment()),
            ("MixUp", augment.mixup(1.0)),
            ("CutMix", augment.cutmix(1.0)),
        ):
            batch = {"images": tf.cast(images, tf.float32), "labels": encoded}
            changed = augment.Pipeline(layer, seed=settings.seed)(batch, step=0)["images"]
            rows.append(np.clip(np.asarray(changed), 0, 255).astype(np.uint8))
            titles.append(title)
        return images, names, np.stack(rows), titles

    def samples(self, recipe: Any, records: Any, settings: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Return plain images uint8 (n, h, w, c), their labels, and augmented versions (rounds, n, h, w, c)."""
        import tensorflow as tf

        images, targets = records.read(chosen(records, settings, SHOWN))
        names = [recipe.task.words(target, records.label_names) for target in targets]
        made = []
        if recipe.augmentation is not None:
            augmentation = recipe.augmentation(settings.seed)
            encoded = recipe.task.encoder(len(records.label_names))(targets)
            for step in range(ROUNDS):
                batch = {"images": tf.cast(images, tf.float32), "labels": encoded}
                seen = augmentation(batch, step=step)["images"]
                made.append(np.clip(np.asarray(seen), 0, 255).astype(np.uint8))
        return images, names, np.stack(made) if made else np.zeros((0, *images.shape), np.uint8)

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        """Return the parts of a report that these inputs bring; as `cnnkit.report.page.render` takes them."""
        from cnnkit import explain
        from cnnkit.inputs.image import report as reporting
        from cnnkit.inputs.image.explain import images as explaining
        from cnnkit.training.ensemble import members

        worst = recipe.task.top_losses(found, targets, splits.test, artifact.labels)
        samples = self.samples(recipe, splits.train, settings)
        evidence = []
        if recipe.task.explains:
            answer = self.answer(artifact)
            evidence = explaining.examples(artifact.model, artifact.labels, worst, samples, answer)
        return {
            "record": self.record,
            "made": [reporting.top_losses(worst, artifact.labels), reporting.evidence(evidence)],
            "samples": reporting.samples(*samples),
            "layers": explain.layer_table((members(artifact.model) or [artifact.model])[0]),
        }

    def answer(self, artifact: Any) -> Any:
        """Return what answers a picture as `predict` does, for `explain` and the report; None: the class of the largest score."""
        from cnnkit.inputs.image.explain import images as explaining

        return explaining.as_predicted(artifact)

    def explain(
        self,
        recipe: Any,
        artifact: Any,
        inputs: Sequence[Path],
        *,
        layer: str | None,
        folder: Path,
        test: Any,
        prepare: bool | None,
        tell: Reporter,
    ) -> Shown:
        """Draw what the model looks at in images, or in one of the test split.

        Args:
            recipe: of the app.
            artifact: the trained model.
            inputs: image files and folders; empty for an image of the test split.
            layer: whose maps are drawn; None: the first and last that have some.
            folder: where the pictures go, a folder an image.
            test: returns the test split, where it is needed.
            prepare: whether images are prepared; None: as the artifact says.
            tell: hears of progress.
        """
        from cnnkit.device.image import read_image
        from cnnkit.inputs.image.explain import images as explaining
        from cnnkit.inputs.image.named import image_files

        if inputs:
            how = self.preparation if wanted(self.preparation, artifact.metadata, prepare) else None
            pictures = {
                file.stem: ready(read_image(file), artifact.input_shape, how)[0] for file in image_files(inputs)
            }
        else:
            pictures = {"test-0": test().read(np.array([0]))[0][0]}
        done = {}
        model, added = recipe.task.explained(artifact.model)
        answer = self.answer(artifact)
        labels = [*artifact.labels, *added]
        for name, image in pictures.items():
            with tell.progress(f"Explaining {name}", 1):
                given: dict[str, Any] = {"labels": labels, "layer": layer, "answer": answer, "listed": artifact.model}
                done[name] = explaining.explain(model, image, folder / name, **given)
        images = {name: {**d, "pictures": {k: str(p) for k, p in d["pictures"].items()}} for name, d in done.items()}
        lines = [
            f"{name}: {result['label']}{_sure(result['confidence'])}; pictures in {folder / name}"
            for name, result in done.items()
        ]
        first = next(iter(done.values()))
        return Shown({"folder": str(folder), "images": images}, [layer_table(first["layers"]), *lines])


def _sure(confidence: float | None) -> str:
    return "" if confidence is None else f" ({confidence:.1%})"


def drawn(picture: Path) -> Shown:
    """Return where a picture of samples is."""
    return Shown({"picture": str(picture)}, [f"Samples as they are and as the model sees them in training: {picture}"])


def layer_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the layers of a model."""
    return Table(
        ["layer", "kind", "kernel", "stride", "padding", "output", "receptive field", "parameters", "multiply-adds"],
        [_layer_row(row) for row in rows],
    )


def _layer_row(row: Mapping[str, Any]) -> list[str]:
    def sides(value: Any) -> str:
        if isinstance(value, list | tuple):
            return "x".join(f"{side:g}" if side is not None else "?" for side in value)
        return "" if value is None else str(value)

    return [
        row["name"],
        row["kind"],
        sides(row["kernel"]),
        sides(row["stride"]),
        row["padding"] or "",
        sides(row["output_size"]),
        sides(row["receptive_field"]),
        f"{row['parameters']:,}",
        f"{row['multiply_adds']:,}" if row["multiply_adds"] is not None else "",
    ]


def with_targets(pipeline: Any) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Return a `cnnkit.augment.Pipeline` as a function (images, targets, step) -> (images, targets), as training takes it."""

    def augmented(images: Any, targets: Any, step: Any) -> tuple[Any, Any]:
        found = pipeline({"images": images, "labels": targets}, training=True, step=step)
        return found["images"], found["labels"]

    return augmented

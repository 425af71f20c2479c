"""Pictures with masks: how they are seen follows from the masks, so the size of the input and the windows are asked of `load`."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.contours import outlined
from cnnkit.device.drawing import colour
from cnnkit.device.segmentation import unlike
from cnnkit.errors import CnnkitError, DataError
from cnnkit.inputs.contract import chosen
from cnnkit.inputs.image.images import Images, drawn, layer_table, with_targets
from cnnkit.reporter import Reporter
from cnnkit.shown import Shown, Table
from cnnkit.tasks.segmentation import settings as mask_settings
from cnnkit.tasks.segmentation.masks import planes

SHOWN, ROUNDS = 6, 3
SIDE = 320  # px of a sample


class Masked(Images):
    """A mask a picture; as `Images`."""

    noun = "pictures"
    sound = "Nothing found: every picture has its mask, of its size, with values that mean something."
    columns = ("groups", "objects")
    rooms = mask_settings.MASKS

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        names = ("patches", "scale", "values", "image_size", "groups", "objects", "flips")
        return {key: settings[key] for key in names if settings.get(key) is not None}

    def augmentations(self, own: Any, settings: Any) -> list[Any]:
        return [] if own is None else [with_targets(own)]  # `Recipe.views` move masks too

    def shaped(self, splits: Any, settings: Mapping[str, Any]) -> Any:
        return splits

    def taken_over(self, shape: Sequence[int]) -> dict[str, Any]:
        return {}  # the new masks ask for a size of their own

    def write_folds(self, path: Path, records: Any, folds: Sequence[int]) -> None:
        from cnnkit.tasks.segmentation.formats import nnunet

        keys = [records.key(index) for index in range(len(records))]
        rows = [
            (
                [key for key, fold in zip(keys, folds) if fold != number],
                [key for key, fold in zip(keys, folds) if fold == number],
            )
            for number in range(max(folds) + 1)
        ]
        nnunet.write_folds(path / nnunet.SPLITS, rows)

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        from cnnkit.tasks.segmentation import checks

        return checks.check(source, looked=looked, progress=progress, **columns)

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path) -> Shown:
        from cnnkit.report import drawing, figures

        figure = figures.samples(*self.samples(recipe, splits.train, settings), tile=2.0)
        drawing.legend(figure, _colours(splits.train))
        drawing.save(figure, out)
        return drawn(out)

    def samples(self, recipe: Any, records: Any, settings: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Return samples with outlines, the labels that each has, and augmented versions."""
        indices = chosen(records, settings, SHOWN)
        pictures, codes = records.read(indices)
        views = recipe.views(records, settings)
        made = [self.outlined(records, *views(indices, step)) for step in range(ROUNDS)]
        names = [recipe.task.words(mask, records.label_names) for mask in codes]
        return self.outlined(records, pictures, codes), names, np.stack(made)

    def outlined(self, records: Any, pictures: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Return pictures with the outlines of their masks, uint8 (n, h, w, 3)."""
        return np.stack(
            [outlined(picture, planes(mask, records.taught), line=1) for picture, mask in zip(pictures, codes)]
        )

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        from cnnkit import explain
        from cnnkit.inputs.image import report as images
        from cnnkit.report.blocks import Legend
        from cnnkit.tasks.segmentation import report
        from cnnkit.training.ensemble import members

        samples = images.samples(*self.samples(recipe, splits.train, settings))
        if samples is not None:
            legend = Legend(_colours(splits.train))
            samples = dataclasses.replace(samples, blocks=[legend, *samples.blocks])
        return {
            "record": self.record,
            "made": report.made(recipe.task, splits, artifact, scores, found, targets),
            "samples": samples,
            "layers": explain.layer_table((members(artifact.model) or [artifact.model])[0]),
        }

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
        """Draw what speaks for each label in pictures, or in one of the test split, and where the model is unsure.

        Args:
            recipe: of the app.
            artifact: the trained model.
            inputs: picture files and folders; empty for a picture of the test split.
            layer: whose maps Grad-CAM looks at; None: the coarsest.
            folder: where the pictures go, a folder a picture.
            test: returns the test split, where it is needed.
            prepare: nothing here.
            tell: hears of progress.
        """
        from cnnkit import explain
        from cnnkit.evaluation.artifacts import KerasArtifact
        from cnnkit.inputs.image.explain.pictures import layer_table_figure
        from cnnkit.report.drawing import save
        from cnnkit.tasks.segmentation import explain as explaining
        from cnnkit.tasks.segmentation.scoring import plan_of
        from cnnkit.training.ensemble import members

        plan = plan_of(artifact)
        folds = [KerasArtifact(artifact.path, model, artifact.metadata) for model in members(artifact.model)]
        one = folds[0].model if folds else artifact.model  # folds have the same layers
        rows = explain.layer_table(one)
        done = {}
        for name, picture, options in _given(inputs, test, artifact, plan, tell):
            with tell.progress(f"Explaining {name}", 1):
                try:
                    done[name] = explaining.explain(
                        artifact, folds, picture, plan, folder / name, layer=layer, **options
                    )
                except CnnkitError:
                    raise
                except ValueError as error:
                    raise DataError(f"{name} cannot be used: {error}.") from error
        save(layer_table_figure(rows, f"The layers of {one.name}"), folder / "layers.png")
        about = next(iter(done.values()))
        views = explaining.WAYS[about["of"]]
        head = [plan.noun, *(f"{label}, least to most" for label in artifact.labels), "views differ"]
        table = Table(head, [explaining.told(name, found) for name, found in done.items()])
        shown = {name: {**d, "pictures": {k: str(p) for k, p in d["pictures"].items()}} for name, d in done.items()}
        lines = [f"Least to most: of {about['views']} {views}. Pictures: {folder}", explaining.NOTICE]
        document = {"folder": str(folder), "images": shown, "layers": rows, "notice": explaining.NOTICE}
        return Shown(document, [layer_table(rows), table, *lines])


def _given(
    inputs: Sequence[Path], test: Any, artifact: Any, plan: Any, tell: Reporter
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """Yield what is explained, with a name each, no two alike, and what is known of it, as options of `scores`.

    Args:
        inputs: files and folders; empty for the first record of the test split.
        test: returns the test split.
        artifact: the model.
        plan: how pictures or volumes meet it.
        tell: hears of what is unlike the training data.
    """
    if not inputs:
        records = test()
        if not len(records):
            raise DataError(f"The test split is empty. Name a {plan.noun} to explain.")
        yield "test-0", records.native(0), {} if plan.voxel is None else {"spacing": records.spacing(0)}
        return
    if plan.voxel is None:
        opened: Iterator[tuple[str, np.ndarray, dict[str, Any]]] = _pages(inputs)
    else:
        from cnnkit.tasks.segmentation.volumes.drawn import each

        opened = each(inputs, artifact.input_shape[-1], plan, tell)
    taken: dict[str, int] = {}
    for stem, picture, options in opened:
        taken[stem] = taken.get(stem, 0) + 1
        name = stem if taken[stem] == 1 else f"{stem}-{taken[stem]}"
        extent = picture.shape[: 2 if plan.voxel is None else 3]
        if far := unlike(extent, plan, options.get("spacing")):
            tell.warning(f"{name}: {far}.")
        yield name, picture, options


def _pages(inputs: Sequence[Path]) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """Yield the pictures of files and folders, page by page, each with the name of its file."""
    from cnnkit.device.stored import read_pages
    from cnnkit.files import LONGEST, shortened
    from cnnkit.inputs.image.named import image_files

    for path in image_files(inputs):
        pages = read_pages(path)
        for number, page in enumerate(pages, 1):
            stem = shortened(path.stem, LONGEST - 24)
            yield f"{stem}-page{number}" if len(pages) > 1 else stem, page, {}


def _colours(records: Any) -> list[tuple[tuple[int, int, int], str]]:
    """Return what the colours of samples mean: what the network is taught."""
    taught = ("inside", "border") if records.plan.rim else records.label_names
    return [(colour(place), name) for place, name in enumerate(taught)]

"""`predict` for masks: what is where in pictures, as files and as numbers.

Design choices:
- A mask is written for each picture, of its size, with the codes of the labels as values; beside it the picture, or its first
  page, with outlines. What the codes mean is said in `labels.json` beside them, as nnU-Net says it. Where objects are told
  apart, values are their numbers, in 16 bits, and each has a colour of its own.
- Areas are in px. A file of pixels does not say how large these are: areas in mm^2 are those of pixels as the training pictures
  had them, and it is said that they are. Pieces are counted as what hangs together.
- What is wrong with options and inputs is said before any work. `results` is written at the end, also of what was found up to
  an error.
- What values mean is written with the first mask, and a folder that nothing came into goes again.
- All that is written or shown says that it is no medical device.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import files, opening, own_files
from cnnkit.device.segmentation import Plan, segment, separate
from cnnkit.errors import ArtifactError, CnnkitError, ConfigError, DataError, DataNotFound
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Answers
from cnnkit.tasks.segmentation import views as seen
from cnnkit.tasks.segmentation.drawn import LABELS, STANDARD_INPUT, Drawn, measured
from cnnkit.tasks.segmentation.results import writer


def answered(
    model: Any, samples: Sequence[np.ndarray], *, mirrors: bool = False, spacing: Sequence[float] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what is in pictures or volumes: what `Drawn` has of each, and `codes`, the mask itself.

    Args:
        model: that draws masks.
        samples: pictures (h, w) or (h, w, c) as they are stored, or volumes (z, y, x) or (z, y, x, c).
        mirrors: as `draw`.
        spacing: mm between voxels along z, y, x; volumes need it.

    Returns:
        with `codes` uint8 (h, w) or (z, y, x), 0 for nothing, k + 1 for the k-th label (or as `labels.json` says, where labels
        overlap); int32, the number of an object each, where objects are told apart.

    Raises:
        DataError: a sample does not fit the model; a volume without `spacing`.
        ConfigError: `mirrors` of a model that never saw a mirrored view; `spacing` that is none.
    """
    plan = _plan(model, model.metadata.get("app") or "APP")
    plan = _mirrored(plan, model.labels) if mirrors else plan
    if plan.voxel is not None:
        from cnnkit.tasks.segmentation.volumes.drawn import measured as measured_volume

        if spacing is None:
            raise DataError(
                "An array does not say how large its voxels are. Give `spacing`, mm along z, y, x; or name a file."
            )
        sides = tuple(float(side) for side in spacing)
        if len(sides) != 3 or not all(0 < side < 1000 for side in sides):
            raise ConfigError(f"`spacing` needs three numbers above 0, mm along z, y, x. Got {spacing!r}.")
    elif spacing is not None:
        raise ConfigError("`spacing` is for volumes; this model takes pictures. Leave it out.")
    find = separate if plan.rim else segment
    for sample in samples:
        try:
            if plan.voxel is None:
                codes = find(model, sample, plan, model.labels)
                yield {**measured(codes, plan, model.labels), "codes": codes}
            else:
                volume = sample if sample.ndim == 4 else sample[..., None]
                codes = segment(model, volume, plan, model.labels, spacing=sides)
                yield {**measured_volume(codes, plan, model.labels, sides), "codes": codes}
        except CnnkitError:
            raise
        except ValueError as error:
            raise DataError(f"The array cannot be used: {error}.") from error


def _plan(model: Any, app: str) -> Plan:
    if model.metadata.get("task") != "segmentation":
        raise ArtifactError(f"{model.path} draws no masks. Give a model that `cnnkit {app} train` made for them.")
    try:
        return Plan.from_dict(model.metadata["segmentation"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{model.path} does not say how pictures meet it ({error}). Export it again.") from error


def _mirrored(plan: Plan, labels: Sequence[str]) -> Plan:
    axes = seen.mirrors(plan, labels)
    if not axes:
        raise ConfigError("`mirrors`: this model never saw a mirrored view, so that one says nothing. Leave it out.")
    return dataclasses.replace(plan, mirrors=axes)


def draw(
    app: str,
    artifact: Path,
    inputs: Sequence[Path],
    *,
    out: Path | None = None,
    results: Path | None = None,
    mirrors: bool = False,
    top: int = 1,
    skip_bad: bool = False,
    threads: int | None = None,
    tell: Reporter = SILENT,
) -> Answers:
    """Draw masks of pictures, as they are asked for.

    Args:
        app: whose models.
        artifact: the model.
        inputs: pictures, folders of them, - for a picture on standard input.
        out: folder that masks and pictures with outlines go to; None: nothing is written.
        results: file of areas and counts, written at the end: .json or .csv.
        mirrors: look at each picture mirrored too, which takes four times as long; not from side to side where labels say left
            or right.
        top: 1: a mask has all its labels.
        skip_bad: go on without pictures that cannot be read.
        threads: of the interpreter.
        tell: hears of progress and warnings.

    Raises:
        DataError: there is no input, `results` has an unknown suffix, or later, an input cannot be read.
        ConfigError: more than one label is asked for.
        ArtifactError: the artifact draws no masks.
    """
    if top != 1:
        raise ConfigError("`top` is for models that name a whole picture; a mask has all its labels. Leave it out.")
    write = None if results is None else writer(results)
    if out is not None and out.exists() and not out.is_dir():
        raise DataError(f"`out={out}` is a file; a folder is needed for the masks. Choose another.")
    if not inputs:
        raise DataError("There is nothing to predict. Give pictures or folders.")
    given = [Path(entry) for entry in inputs]
    missing = [path for path in given if path != STANDARD_INPUT and not path.exists()]
    if missing and not skip_bad:
        raise DataNotFound(f"{missing[0]}: there is no such file. Check the path.")
    model = opening.open_model(artifact, app, threads, tell)
    plan = _plan(model, app)
    kind: type[Drawn] = Drawn
    if plan.voxel is not None:
        from cnnkit.tasks.segmentation.volumes.drawn import DrawnVolumes as kind
    channels = kind.channels(kind.found(given, tell), plan.files)
    paths = list(channels)
    targets = kind.targets(paths, out) if out is not None else {}
    written = [file for pair in targets.values() for file in pair]
    own_files.check([*written, *([out / LABELS] if out is not None else [])])
    own_files.check([] if results is None else [results], "results")
    if mirrors:
        plan = _mirrored(plan, model.labels)
    # hours of work would be lost if it turned out at their end
    new = files.make_folders(out, None if results is None else results.parent)
    return kind(model, plan, channels, targets, skip_bad, tell, out=out, results=results, write=write, new=new)

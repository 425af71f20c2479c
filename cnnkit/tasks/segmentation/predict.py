"""`predict` for masks: what is where in pictures, as files and as numbers.

Design choices:
- A mask is written for each picture, of its size, with the codes of the labels as values; beside it the picture with outlines.
  What the codes mean is said in `labels.json` beside them.
- Areas are in px, and in mm^2 where the distance of the pixels is known; pieces are counted as what hangs together.
- What is wrong with options and inputs is said before any work.
"""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit import files, opening, own_files
from cnnkit.device.contours import outlined
from cnnkit.device.segmentation import Plan, segment
from cnnkit.device.stored import read_pages, write_mask
from cnnkit.errors import ArtifactError, DataError
from cnnkit.inputs.image.named import image_files
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Answers, Shown, Table
from cnnkit.tasks.segmentation import NOTICE

MIRRORS = (0, 1)


def draw(
    app: str,
    artifact: Path,
    inputs: Sequence[Path],
    *,
    out: Path | None = None,
    mirrors: bool = False,
    skip_bad: bool = False,
    threads: int | None = None,
    tell: Reporter = SILENT,
) -> Answers:
    """Draw masks of pictures, as they are asked for.

    Args:
        app: whose models.
        artifact: the model.
        inputs: pictures, and folders of them.
        out: folder that masks and pictures with outlines go to; None: nothing is written.
        mirrors: look at each picture mirrored too, which takes four times as long.
        skip_bad: go on without pictures that cannot be read.
        threads: of the interpreter.
        tell: hears of progress and warnings.

    Raises:
        DataError: there is no input, or later, one cannot be read.
        ArtifactError: the artifact draws no masks.
    """
    if not inputs:
        raise DataError("There is nothing to predict. Give pictures or folders.")
    model = opening.open_model(artifact, app, threads, tell)
    if model.metadata.get("task") != "segmentation":
        raise ArtifactError(f"{model.path} draws no masks. Give a model that `cnnkit {app} train` made for them.")
    try:
        plan = Plan.from_dict(model.metadata["segmentation"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{model.path} does not say how pictures meet it ({error}). Export it again.") from error
    if mirrors:
        import dataclasses

        plan = dataclasses.replace(plan, mirrors=MIRRORS)
    paths = list(image_files([Path(entry) for entry in inputs]))
    targets = _targets(paths, out) if out is not None else {}
    own_files.check([file for pair in targets.values() for file in pair])
    if out is not None:
        with files.system_errors(out):
            out.mkdir(parents=True, exist_ok=True)
    return Drawn(model, plan, paths, targets, out, skip_bad, tell)


class Drawn(Answers):
    """Masks, picture by picture: `input`, `width`, `height`, and of each label `area`, `share` and `pieces`."""

    def __init__(
        self,
        model: Any,
        plan: Plan,
        paths: Sequence[Path],
        targets: dict[Path, tuple[Path, Path]],
        out: Path | None,
        skip_bad: bool,
        tell: Reporter,
    ):
        self.model, self.plan, self.out = model, plan, out
        self.skipped: list[str] = []
        super().__init__(self._each(paths, targets, skip_bad, tell))

    def _each(
        self, paths: Sequence[Path], targets: dict[Path, tuple[Path, Path]], skip_bad: bool, tell: Reporter
    ) -> Generator[dict[str, Any], None, None]:
        labels = self.model.labels
        for path in paths:
            try:
                pages = read_pages(path)
                try:
                    found = [segment(self.model, page, self.plan, labels) for page in pages]
                except ValueError as error:
                    raise DataError(f"{path} cannot be used: {error}.") from error
            except DataError as error:
                if not skip_bad:
                    raise
                self.skipped.append(str(error))
                tell.warning(f"skipped: {error}")
                continue
            written = self._written(pages, found, *targets[path]) if path in targets else {}
            for number, codes in enumerate(found, 1):
                page = {"page": number} if len(found) > 1 else {}
                yield {"input": str(path), **page, **self._answer(codes), **written}

    def _written(
        self, pages: Sequence[np.ndarray], found: Sequence[np.ndarray], mask: Path, overlay: Path
    ) -> dict[str, str]:
        """Write the masks of a file, and its first page with outlines."""
        write_mask(mask, found[0] if len(found) == 1 else np.stack(found))
        drawn = outlined(pages[0], self._planes(found[0]))
        files.write_bytes(overlay, cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes())
        own_files.note([mask, overlay])
        return {"mask": str(mask), "overlay": str(overlay)}

    def _planes(self, codes: np.ndarray) -> np.ndarray:
        regions = self.plan.codes_of(len(self.model.labels))
        return np.stack([np.isin(codes, region) for region in regions])

    def _answer(self, codes: np.ndarray) -> dict[str, Any]:
        found = {}
        known = self.plan.spacing
        for label, plane in zip(self.model.labels, self._planes(codes), strict=True):
            area = int(plane.sum())
            pieces = cv2.connectedComponents(plane.astype(np.uint8), connectivity=8)[0] - 1
            found[label] = {"area": area, "share": round(area / codes.size, 6), "pieces": pieces}
            if known is not None:
                found[label]["mm2"] = round(area * float(np.prod(known)), 3)
        return {"width": codes.shape[1], "height": codes.shape[0], "labels": found}

    def shown(self) -> Shown:
        rows = list(self)
        table = []
        for row in rows:
            cells = [
                f"{about['area']:,} px ({about['share']:.1%}), {about['pieces']} piece{'s' * (about['pieces'] != 1)}"
                for about in row["labels"].values()
            ]
            page = f", page {row['page']}" if "page" in row else ""
            table.append([row["input"] + page, *cells])
        document = {"artifact": str(self.model.path), "predictions": rows, "skipped": self.skipped, "notice": NOTICE}
        parts: list[str | Table] = [Table(["input", *self.model.labels], table)]
        if self.out is not None and rows:
            parts.append(f"Masks and pictures with outlines: {self.out}")
        return Shown(document, [*parts, NOTICE])


def _targets(paths: Sequence[Path], out: Path) -> dict[Path, tuple[Path, Path]]:
    """Return where the mask of each picture goes, and the picture with outlines.

    Raises:
        DataError: one would replace an input.
    """
    taken: set[str] = set()
    inputs = {path.resolve() for path in paths}
    found = {}
    for path in paths:
        stem, number = path.stem, 1
        while stem.lower() in taken:
            number += 1
            stem = f"{path.stem}-{number}"
        taken.add(stem.lower())
        suffix = path.suffix if path.suffix.lower() in (".tif", ".tiff") else ".png"  # what loses nothing
        pair = out / f"{stem}_mask{suffix}", out / f"{stem}_overlay.png"
        if inputs & {file.resolve() for file in pair}:
            raise DataError(f"`out={out}`: the mask of {path} would replace an input. Choose another folder.")
        found[path] = pair
    return found

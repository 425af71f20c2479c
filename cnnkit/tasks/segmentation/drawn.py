"""What `predict` finds in pictures: masks as files, areas and counts as numbers."""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit import files, own_files
from cnnkit.device.contours import captioned, outlined, outlined_objects
from cnnkit.device.drawing import colour
from cnnkit.device.segmentation import Plan, extent_of, segment, separate, unlike
from cnnkit.device.stored import read_native, read_pages, write_mask
from cnnkit.errors import CnnkitError, DataError
from cnnkit.inputs.image.named import image_files
from cnnkit.reporter import Reporter
from cnnkit.shown import Answers, Shown, Table
from cnnkit.tasks.segmentation import NOTICE, objects
from cnnkit.tasks.segmentation.formats.pairs import not_pictures

LABELS = "labels.json"
STANDARD_INPUT = Path("-")
MOST = 65_535  # objects that a mask tells apart
ENDS = 24  # bytes of a file's name that come behind that of its picture
SAID = 3  # pictures that are named as unlike those of training; more are counted


def meaning(model: Any, plan: Plan) -> dict[str, Any]:
    """Return what the values of masks mean: the value of each label, or values where labels overlap; or that they are numbers."""
    about = {"model": str(model.path), "notice": NOTICE}
    if plan.rim:
        return {
            "labels": {"background": 0},
            "objects": model.labels[0],
            "values": "the number of an object each",
            **about,
        }
    values = {
        label: region[0] if len(region) == 1 else list(region)
        for label, region in zip(model.labels, plan.codes_of(len(model.labels)), strict=True)
    }
    return {"labels": {"background": 0, **values}, **about}


def measured(answer: np.ndarray, plan: Plan, labels: Sequence[str]) -> dict[str, Any]:
    """Return `width`, `height` and `labels` of a mask, as `segment` or `separate` returns one; as `Drawn` has them."""
    found: dict[str, dict[str, Any]] = {}
    known, codes = plan.spacing, objects.codes_of(answer)
    for label, region in zip(labels, plan.codes_of(len(labels)), strict=True):
        area, pieces = extent_of(codes, region)
        found[label] = {"area": area, "share": round(area / codes.size, 6), "pieces": pieces}
        if plan.rim:
            areas = np.bincount(answer.ravel())[1:]
            median = float(np.median(areas)) if len(areas) else None
            found[label] |= {"pieces": len(areas), "median_area": median}
            if known is not None and median is not None:
                found[label]["median_mm2"] = round(median * float(np.prod(known)), 3)
        if known is not None:
            found[label]["mm2"] = round(area * float(np.prod(known)), 3)
    return {"width": codes.shape[1], "height": codes.shape[0], "labels": found}


class Drawn(Answers):
    """Masks, picture by picture: `input`, `width`, `height`, and of each label `area`, `share`, `pieces` and perhaps `mm2`;
    where objects are told apart, `pieces` are these, and `median_area` is that of half of them at most.
    """

    @staticmethod
    def found(inputs: Sequence[Path], tell: Reporter) -> list[Path]:
        """Return the files that inputs name."""
        return _pictures(inputs, tell)

    noun = "picture"

    @staticmethod
    def parts(path: Path) -> tuple[str, str]:
        """Return the name of a file without its suffix, and that."""
        return ("stdin", "") if path == STANDARD_INPUT else (path.stem, path.suffix)

    @staticmethod
    def ends(path: Path) -> tuple[str, ...]:
        """Return what the names of the files that are written of one end in."""
        suffix = path.suffix if path.suffix.lower() in (".tif", ".tiff") else ".png"  # what loses nothing
        return f"_mask{suffix}", "_overlay.png"

    @classmethod
    def channels(cls, paths: Sequence[Path], count: int) -> dict[Path, list[Path]]:
        """Return the files of each, a channel each, by the first of them.

        Raises:
            DataError: a channel is missing; it names it.
        """
        if count == 1:
            return {path: [path] for path in paths}
        found: dict[Path, list[Path]] = {}
        for path in paths:
            name, suffix = cls.parts(path)
            stem, _, number = name.rpartition("_")
            if len(number) != 4 or not number.isdigit():
                raise DataError(
                    f"{path}: this model takes {count} channels, a file each, named like NAME_0000{suffix}."
                )
            if int(number) == 0:
                found[path] = [path.with_name(f"{stem}_{channel:04d}{suffix}") for channel in range(count)]
                missing = [part for part in found[path] if not part.exists()]
                if missing:
                    raise DataError(
                        f"{missing[0]} is missing: a channel of {path}. This model takes {count} of each {cls.noun}."
                    )
        return found

    @classmethod
    def targets(cls, paths: Sequence[Path], out: Path) -> dict[Path, tuple[Path, ...]]:
        """Return where what is found in each goes.

        Raises:
            DataError: one would replace an input.
        """
        taken: set[str] = set()
        inputs = {path.resolve() for path in paths}
        found = {}
        for path in paths:
            own = files.shortened(cls.parts(path)[0], files.LONGEST - ENDS)
            stem, number = own, 1
            while stem.lower() in taken:
                number += 1
                stem = f"{own}-{number}"
            taken.add(stem.lower())
            every = tuple(out / f"{stem}{end}" for end in cls.ends(path))
            if inputs & {file.resolve() for file in (*every, out / LABELS)}:
                raise DataError(f"`out={out}`: the mask of {path} would replace an input. Choose another folder.")
            found[path] = every
        return found

    def __init__(
        self,
        model: Any,
        plan: Plan,
        channels: Mapping[Path, Sequence[Path]],
        targets: Mapping[Path, tuple[Path, ...]],
        skip_bad: bool,
        tell: Reporter,
        *,
        out: Path | None,
        results: Path | None,
        write: Callable[[Mapping[str, Any]], None] | None,
        new: Sequence[Path] = (),
    ):
        self.model, self.plan, self.out, self.results = model, plan, out, results
        self.skipped: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.said = False  # whether what values mean is written
        self.far = 0  # pictures whose size is unlike any of training
        work = self._each(channels, targets, skip_bad, tell)
        work = work if results is None or write is None else self._kept(work, results, write, tell)
        super().__init__(files.none_empty(work, new))

    def _each(
        self,
        channels: Mapping[Path, Sequence[Path]],
        targets: Mapping[Path, tuple[Path, ...]],
        skip_bad: bool,
        tell: Reporter,
    ) -> Generator[dict[str, Any], None, None]:
        with contextlib.ExitStack() as held:
            update = held.enter_context(tell.progress("Drawing", len(channels))) if len(channels) > 1 else None
            for done, (path, parts) in enumerate(channels.items(), 1):
                try:
                    rows = self._of(path, parts, targets.get(path, ()), tell)
                except DataError as error:
                    if not skip_bad:
                        raise
                    self.skipped.append(str(error))
                    tell.warning(f"skipped: {error}")
                    continue
                if update is not None:
                    update(done)
                for row in rows:
                    self.rows.append({"input": str(path), **row})
                    yield self.rows[-1]
        if self.far > SAID:
            tell.warning(f"{self.far - SAID:,} more {self.noun}s are as far from the size of those of training.")

    def _of(self, path: Path, parts: Sequence[Path], target: Sequence[Path], tell: Reporter) -> list[dict[str, Any]]:
        """Draw the masks of a file's pages, write them, and return what is said of each."""
        pages = read_pages(path) if len(parts) == 1 else [_joined(parts)]
        find = separate if self.plan.rim else segment
        try:
            found = [find(self.model, page, self.plan, self.model.labels) for page in pages]
        except CnnkitError:
            raise
        except ValueError as error:
            raise DataError(f"{path} cannot be used: {error}.") from error
        if target and (most := max(int(answer.max(initial=0)) for answer in found)) > MOST:
            raise DataError(f"{path} has {most:,} objects; a mask tells {MOST:,} apart. Leave out `out`.")
        self._tell_far(path, next((text for page in pages if (text := unlike(page.shape[:2], self.plan))), ""), tell)
        written = self._written(pages, found, *target) if target else {}
        numbered = [{"page": number} if len(found) > 1 else {} for number in range(1, len(found) + 1)]
        return [
            {**page, **measured(answer, self.plan, self.model.labels), **written}
            for page, answer in zip(numbered, found, strict=True)
        ]

    def _tell_far(self, path: Path, far: str, tell: Reporter) -> None:
        """Tell that an input's size is far from those of training, of some inputs."""
        self.far += bool(far)
        if far and self.far <= SAID:
            tell.warning(f"{path}: {far}.")

    def _kept(
        self,
        work: Generator[dict[str, Any], None, None],
        results: Path,
        write: Callable[[Mapping[str, Any]], None],
        tell: Reporter,
    ) -> Generator[dict[str, Any], None, None]:
        """Do the work, and write its results; what it found up to there where it is stopped."""
        try:
            yield from work
        except (CnnkitError, OSError, KeyboardInterrupt, GeneratorExit):
            if self.rows:
                write(self.document())
                own_files.note([results])
                tell.warning(f"{results} holds what was found up to here.")
            raise
        write(self.document())
        own_files.note([results])

    def _written(
        self, pages: Sequence[np.ndarray], found: Sequence[np.ndarray], mask: Path, overlay: Path
    ) -> dict[str, str]:
        """Write the masks of a file, and its first page with outlines."""
        colours = [(colour(place), label) for place, label in enumerate(self.model.labels)]
        if self.plan.rim:
            drawn = captioned(outlined_objects(pages[0], found[0]), [], NOTICE)
        else:
            drawn = captioned(outlined(pages[0], self._planes(found[0])), colours, NOTICE)
        masks, deep = found[0] if len(found) == 1 else np.stack(found), self.plan.rim > 0
        self._together(
            {mask: lambda path: write_mask(path, masks, deep=deep), overlay: lambda path: write_picture(path, drawn)}
        )
        return {"mask": str(mask), "overlay": str(overlay)}

    def _together(self, written: Mapping[Path, Callable[[Path], Any]]) -> None:
        """Write files, all or none; before the first what values mean."""
        first = [] if self.out is None or self.said else [self.out / LABELS]
        before = {path for path in (*first, *written) if path.exists()}
        try:
            for path in first:
                files.write_json(path, meaning(self.model, self.plan))
            for path, write in written.items():
                write(path)
        except BaseException:
            for path in {*first, *written} - before:
                path.unlink(missing_ok=True)
            raise
        self.said = True
        own_files.note([*first, *written])

    def _planes(self, codes: np.ndarray) -> np.ndarray:
        regions = self.plan.codes_of(len(self.model.labels))
        return np.stack([np.isin(codes, region) for region in regions])

    def document(self) -> dict[str, Any]:
        """Return what was found up to now, as `--json` prints it at the end."""
        known = self.plan.spacing
        spacing = {} if known is None else {"spacing": list(known), "spacing_of": "the training pictures"}
        about = {"artifact": str(self.model.path), "predictions": self.rows, "skipped": self.skipped}
        return {**about, **spacing, "notice": NOTICE}

    def shown(self) -> Shown:
        for _ in self:
            pass
        known = self.plan.spacing
        table = []
        for row in self.rows:
            name = row["input"] + (f", page {row['page']}" if "page" in row else "")
            for label, about in row["labels"].items():
                area = [f"{about['area']:,}", *([f"{about['mm2']:,.1f}"] if known is not None else [])]
                table.append([name, label, *area, f"{about['share']:.2%}", f"{about['pieces']:,}"])
                if self.plan.rim:
                    table[-1].append("" if about["median_area"] is None else f"{about['median_area']:,.0f}")
                name = ""
        head = [
            "input",
            "label",
            "px",
            *(["mm^2"] if known is not None else []),
            "of the picture",
            *(["objects", "median px"] if self.plan.rim else ["pieces"]),
        ]
        parts: list[str | Table] = [Table(head, table)]
        if known is not None:
            sides = " x ".join(f"{side:g}" for side in known)
            parts.append(
                f"mm^2 are of pixels of {sides} mm, as the training pictures have them; other pixels have others."
            )
        if self.out is not None and self.rows:
            parts.append(f"Masks, pictures with outlines, and {LABELS}, which says what the values mean: {self.out}")
        if self.results is not None:
            parts.append(f"Results: {self.results}")
        return Shown(self.document(), [*parts, NOTICE])


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture, uint8 (h, w, 3), as PNG."""
    files.write_bytes(path, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def _pictures(inputs: Sequence[Path], tell: Reporter) -> list[Path]:
    """Return the pictures that inputs name; of folders, without masks that lie there beside pictures, and what `draw` wrote."""
    found = []
    for given in inputs:
        paths = list(image_files([given]))
        if given.is_dir():
            masks = {given / name for name in not_pictures(given)}
            kept = [path for path in paths if path not in masks and not _is_drawn(path)]
            if kept and len(kept) < len(paths):
                out = len(paths) - len(kept)
                tell.warning(
                    f"{given}: {out:,} of {len(paths):,} files are masks or drawn ones by their names, and left out."
                )
                paths = kept
        found += paths
    return found


def _is_drawn(path: Path) -> bool:
    """Say whether a file looks like one that `draw` wrote: there is a mask and an overlay of one name, and what values mean."""
    stem, _, what = path.stem.rpartition("_")
    if what not in ("mask", "overlay") or not path.with_name(LABELS).exists():
        return False
    return path.with_name(f"{stem}_overlay.png").exists() and any(
        path.with_name(f"{stem}_mask{suffix}").exists() for suffix in (".png", ".tif", ".tiff")
    )


def _joined(parts: Sequence[Path]) -> np.ndarray:
    """Read a picture whose channels are files: (h, w, c)."""
    pictures = [read_native(part) for part in parts]
    for part, picture in zip(parts, pictures, strict=True):
        if picture.ndim > 2 or picture.shape != pictures[0].shape:
            raise DataError(f"{part} cannot be used: it is not grey, or not of the size of {parts[0]}.")
    return np.stack(pictures, axis=-1)

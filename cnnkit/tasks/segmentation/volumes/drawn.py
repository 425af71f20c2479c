"""`predict` for volumes: masks in the format of each, placed as it is; millilitres; slices with outlines.

Design choices:
- A mask opens over its volume in any viewer: it has its geometry, its order of axes and its format. Beside it lies the same as
  `.seg.nrrd`, with names and colours, for 3D Slicer.
- Volumes are looked at turned, as in training, and masks are turned back: an exchange and reversal of axes, which is exact.
- Sizes are those of the volume itself, in ml, as its header says how large voxels are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import files
from cnnkit.device.contours import captioned
from cnnkit.device.drawing import colour
from cnnkit.device.segmentation import Plan, extent_of, segment, unlike
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import ending_for, write_labels
from cnnkit.device.volumes.reading import Volume, read_channels, read_volume, stem_of, suffix_of
from cnnkit.device.volumes.values import varied
from cnnkit.errors import CnnkitError, DataError
from cnnkit.inputs.volume.named import volume_files
from cnnkit.reporter import Reporter
from cnnkit.shown import Shown, Table
from cnnkit.tasks.segmentation import NOTICE
from cnnkit.tasks.segmentation.drawn import ENDS, LABELS, Drawn, write_picture
from cnnkit.tasks.segmentation.volumes.sheets import sheet


def opened(path: Path, parts: Sequence[Path], channels: int, tell: Reporter) -> Volume:
    """Read a volume as it is stored, and tell what is to be said of it.

    Args:
        path: what it is called.
        parts: its file, or a file a channel.
        channels: that the model takes.
        tell: hears of warnings.

    Raises:
        DataError: it cannot be read, or all its voxels are alike.
    """
    if len(parts) == 1:
        volume = read_volume(parts[0], channels if channels > 1 else None)
    else:
        volume = read_channels(parts)
    varied(volume.array, path)
    for line in volume.facts.get("warnings") or ():
        tell.warning(f"{path}: {line}")
    return volume


def each(
    inputs: Sequence[Path], channels: int, plan: Plan, tell: Reporter
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """Yield the volumes that inputs name, turned, each with its name and its `spacing`.

    Args:
        inputs: files, folders of DICOM, and folders of these.
        channels: that the model takes.
        plan: how volumes meet it.
        tell: hears of warnings.
    """
    for path, parts in DrawnVolumes.channels(DrawnVolumes.found(inputs, tell), plan.files).items():
        volume = opened(path, parts, channels, tell)
        turn, spacing = volume.geometry.turn(), volume.geometry.canonical().spacing
        yield files.shortened(stem_of(path), files.LONGEST - ENDS), turn.apply(volume.array), {"spacing": spacing}


def measured(codes: np.ndarray, plan: Plan, names: Sequence[str], spacing: Sequence[float]) -> dict[str, Any]:
    """Return `sides`, `spacing` (mm) and `labels` of a code map (z, y, x); as `DrawnVolumes` has them."""
    labels = {}
    for label, region in zip(names, plan.codes_of(len(names)), strict=True):
        voxels, pieces = extent_of(codes, region)
        labels[label] = {
            "voxels": voxels,
            "ml": round(voxels * float(np.prod(spacing)) / 1000, 4),
            "share": round(voxels / codes.size, 6),
            "pieces": pieces,
        }
    return {"sides": list(codes.shape), "spacing": [round(side, 4) for side in spacing], "labels": labels}


class DrawnVolumes(Drawn):
    """Masks, volume by volume: `input`, `sides`, `spacing` (mm), and of each label `voxels`, `ml`, `share`, `pieces`."""

    noun = "volume"

    @staticmethod
    def found(inputs: Sequence[Path], tell: Reporter) -> list[Path]:
        return volume_files(inputs)

    @staticmethod
    def parts(path: Path) -> tuple[str, str]:
        return stem_of(path), suffix_of(path)

    @staticmethod
    def ends(path: Path) -> tuple[str, ...]:
        return f"_mask{ending_for(path)}", "_mask.seg.nrrd", "_overlay.png"

    def _of(self, path: Path, parts: Sequence[Path], target: Sequence[Path], tell: Reporter) -> list[dict[str, Any]]:
        """Draw the mask of a volume, write it, and return what is said of it."""
        volume = opened(path, parts, self.model.input_shape[-1], tell)
        turn, geometry = volume.geometry.turn(), volume.geometry.canonical()
        turned = turn.apply(volume.array)
        try:
            found = segment(self.model, turned, self.plan, self.model.labels, spacing=geometry.spacing)
        except CnnkitError:
            raise
        except ValueError as error:
            raise DataError(f"{path} cannot be used: {error}.") from error
        self._tell_far(path, unlike(turned.shape[:-1], self.plan, geometry.spacing), tell)
        written = (
            self._saved(path, turned, found, geometry, turn.undo(found), volume.geometry, target) if target else {}
        )
        return [{**measured(found, self.plan, self.model.labels, geometry.spacing), **written}]

    def _saved(
        self,
        path: Path,
        volume: np.ndarray,
        codes: np.ndarray,
        geometry: Geometry,
        stored: np.ndarray,
        own: Geometry,
        target: Sequence[Path],
    ) -> dict[str, str]:
        """Write the mask of a volume, the same for Slicer, and its slices with outlines."""
        mask, slicer, overlay = target
        regions = self.plan.codes_of(len(self.model.labels))
        names = dict(zip(self.model.labels, regions, strict=True))
        colours = {label: colour(place) for place, label in enumerate(self.model.labels)}
        legend = [(paint, label) for label, paint in colours.items()]
        drawn = captioned(sheet(volume, codes, regions, geometry.spacing), legend, NOTICE)
        self._together(
            {
                mask: lambda file: write_labels(file, stored, own, names, colours, source=path),
                slicer: lambda file: write_labels(file, stored, own, names, colours),
                overlay: lambda file: write_picture(file, drawn),
            }
        )
        return {"mask": str(mask), "slicer": str(slicer), "overlay": str(overlay)}

    def document(self) -> dict[str, Any]:
        about = {"artifact": str(self.model.path), "predictions": self.rows, "skipped": self.skipped}
        return {**about, "notice": NOTICE}

    def shown(self) -> Shown:
        for _ in self:
            pass
        table = []
        for row in self.rows:
            name = row["input"]
            for label, about in row["labels"].items():
                table.append([name, label, f"{about['ml']:,.3f}", f"{about['share']:.2%}", f"{about['pieces']:,}"])
                name = ""
        parts: list[str | Table] = [Table(["input", "label", "ml", "of the volume", "pieces"], table)]
        if self.out is not None and self.rows:
            parts.append(f"Masks, the same for 3D Slicer (.seg.nrrd), slices with outlines, and {LABELS}: {self.out}")
        if self.results is not None:
            parts.append(f"Results: {self.results}")
        return Shown(self.document(), [*parts, NOTICE])

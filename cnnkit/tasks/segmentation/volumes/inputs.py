"""Volumes with masks, for the commands: what differs from pictures with masks (`cnnkit.tasks.segmentation.images`)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.report.record import Record
from cnnkit.tasks.segmentation.images import Masked


class MaskedVolumes(Masked):
    """A mask a volume; as `Masked`."""

    kind = "volume"
    noun = "volumes"
    sound = "Nothing found: every volume has its mask, where it lies, with values that mean something."
    record = Record("volume", "a", "voxels", "on augmented windows", "{sides} voxels, values 0 to 255")

    def stated(self, records: Any) -> dict[str, Any]:
        return {"kind": self.kind, "shape": list(records.input_shape), "range": [0, 255]}

    def outlined(self, records: Any, pictures: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Return of each volume the slice that shows most of its labels."""
        from cnnkit.tasks.segmentation.volumes import sheets

        return sheets.fullest(records, pictures, codes)


def fitting(recipe: Any, splits: Any, changes: Mapping[str, Any] | None = None) -> Any:
    """Return the recipe that fits the data: pictures as it is, volumes with their inputs and with `changes`.

    Published weights are of pictures.
    """
    if splits.train.plan.voxel is None:
        return recipe
    return dataclasses.replace(recipe, inputs=MaskedVolumes(), pretrained=(), **(changes or {}))

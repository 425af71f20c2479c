"""Volumes with masks, for the commands: what differs from pictures with masks (`cnnkit.tasks.segmentation.images`)."""

from typing import Any

import numpy as np

from cnnkit.inputs.contract import chosen
from cnnkit.report.record import Record
from cnnkit.tasks.segmentation.images import Masked

SHOWN, ROUNDS = 6, 3


class MaskedVolumes(Masked):
    """A mask a volume; as `Masked`."""

    kind = "volume"
    noun = "volumes"
    sound = "Nothing found: every volume has its mask, where it lies, with values that mean something."
    record = Record("volume", "a", "voxels", "on augmented windows", "{sides} voxels, values 0 to 255")

    def stated(self, records: Any) -> dict[str, Any]:
        return {"kind": self.kind, "shape": list(records.input_shape), "range": [0, 255]}

    def samples(self, recipe: Any, records: Any, settings: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Return the fullest slices of samples with outlines, the labels that each has, and augmented versions."""
        from cnnkit.tasks.segmentation.volumes import sheets

        indices = chosen(records, settings, SHOWN)
        volumes, codes = records.read(indices)
        views = recipe.views(records, settings)
        made = [sheets.fullest(records, *views(indices, step)) for step in range(ROUNDS)]
        names = [recipe.task.words(mask, records.label_names) for mask in codes]
        return sheets.fullest(records, volumes, codes), names, np.stack(made)

"""Volumes, on a device: arrays of a scanner's numbers, brought to 0 to 255 and seen through windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import InputKind, numbers
from cnnkit.errors import DataError


class Volume(InputKind):
    """Windows (d, h, w, c), float32 in [0, 255]."""

    name = "volume"
    given = "volumes (.nii, .nii.gz, .mha, .nrrd), folders of DICOM, or folders of these"

    def found(self, folder: Path) -> list[Path]:
        from cnnkit.inputs.volume.named import volume_files

        return volume_files([folder])

    def read(self, path: Path) -> np.ndarray:
        from cnnkit.device.volumes.reading import read_volume

        return read_volume(path).array

    def samples(self, values: np.ndarray, shape: Sequence[int], stored: bool = False) -> tuple[list[Any], bool]:
        """Return volumes (z, y, x) or (z, y, x, c) of the model's channels; a batch has one axis more. As `InputKind.samples`."""
        need = "A volume is an array (z, y, x) or (z, y, x, channels)"
        values = numbers(values, need)
        one = values.ndim == 3 or (values.ndim == 4 and values.shape[3] == shape[-1])
        if not one and not (values.ndim == 4 or (values.ndim == 5 and values.shape[4] == shape[-1])):
            raise DataError(f"{need} of {shape[-1]} channels, and a batch has one axis more. Got {list(values.shape)}.")
        return ([values], True) if one else (list(values), False)

    def windows(self, sample: np.ndarray, shape: Sequence[int], preparation: Any = None) -> np.ndarray:
        """Return the middle of a volume, brought to its own range; tasks that look at all of it cut windows of their own."""
        from cnnkit.device.resampling import Resampled, as_values, sampled

        *sides, _ = shape
        starts = [max(0, (length - side) // 2) for length, side in zip(sample.shape, sides)]
        part = Resampled(sample, sample.shape[:-1]).cut(starts, sides)
        low, high = np.percentile(sampled(sample), (0.5, 99.5), axis=0).astype(np.float32)
        return as_values(part, (low, high))[None]

    def noise(self, metadata: Mapping[str, Any], shape: Sequence[int], rng: "np.random.Generator") -> np.ndarray:
        return rng.uniform(0, 255, shape).astype(np.float32)


KIND = Volume()

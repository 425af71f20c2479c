"""Records of volumes with masks.

Design choices:
- What is said of pictures holds here (`cnnkit.tasks.segmentation.records`), along three axes: a record shows volume and mask in
  voxels of the plan's size, in [0, 255]. Nothing is ever fitted in whole, as sizes in mm mean something.
- Of sets that are too large for memory what is seen goes through a cache on the disk (`volumes.cache`), mapped into memory: a
  window reads its part alone. Packed volumes are then unpacked and resampled once, and not in every epoch.
- Volumes are turned, by exchanging and reversing axes alone, so that their axes run to the head, to the back and to the left.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from cnnkit.data.records import Shape
from cnnkit.device.resampling import Resampled, as_values
from cnnkit.device.segmentation import extent_at, stretch
from cnnkit.errors import CnnkitError, DataError
from cnnkit.tasks.segmentation import records
from cnnkit.tasks.segmentation.masks import IGNORE
from cnnkit.tasks.segmentation.records import MaskRecords, nearest
from cnnkit.tasks.segmentation.volumes import cache
from cnnkit.tasks.segmentation.volumes.sheets import fullest_slice
from cnnkit.tasks.segmentation.volumes.views import VolumeViews

SLICES = 64  # of a volume, at most, that what knows pictures alone looks at


class VolumeRecords(MaskRecords):
    """An immutable view of volumes with masks; as `MaskRecords`. They are read as float32 (b, d, h, w, c) in [0, 255]."""

    noun = "volumes"

    def with_shape(self, input_shape: Shape) -> Self:
        """Return a view with windows of other sides (d, h, w, c), at the same size of voxels."""
        if len(input_shape) != 4:
            raise ValueError(f"`input_shape` needs three sides and channels. Received: input_shape={input_shape}.")
        return self._changed(input_shape=input_shape)

    def seen(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return volume and mask in voxels of the plan's size, not to be changed: float32 (d, h, w, c), uint8 (d, h, w)."""
        if not self._large:
            return super().seen(index)
        found = self._mapped.get(int(index))
        if found is None:
            sha = hashlib.sha256()
            place = int(self._index[index])
            self._source.content(place, sha.update)  # type: ignore[attr-defined]
            self._masks.content(place, sha.update)  # type: ignore[attr-defined]
            plan = self.plan
            what = (
                cache.VERSION,
                plan.voxel,
                plan.values,
                plan.low,
                plan.high,
                self.spacing(index),
                self.input_shape[-1],
            )
            sha.update(repr(what).encode())
            volume, mask = cache.kept(sha.hexdigest(), lambda: self._seen(index), 2)
            found = self._mapped[int(index)] = volume, mask
        return found

    @cached_property
    def _mapped(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    @cached_property
    def _large(self) -> bool:
        """Whether these records together are more than is kept in memory, and can say what they are made of."""
        if not (hasattr(self._source, "content") and hasattr(self._masks, "content")):
            return False
        voxels = 0
        for index, place in enumerate(self._index.tolist()):
            own = self._source.geometries[place].canonical()  # type: ignore[attr-defined]
            voxels += math.prod(extent_at(own.shape, self.spacing(index), self.plan))
        return voxels * (4 * self.input_shape[-1] + 1) > records.KEPT

    def _seen(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        volume, mask = self.native(index), self.mask(index)
        if volume.shape[:-1] != mask.shape:
            raise DataError(
                f"{self.name(index)} has {_sizes(volume.shape[:-1])} voxels, its mask {_sizes(mask.shape)}."
            )
        if volume.shape[-1] != self.input_shape[-1]:
            raise DataError(
                f"{self.name(index)} has {volume.shape[-1]} channels, the others {self.input_shape[-1]}. Leave it out."
            )
        try:
            extent = extent_at(mask.shape, self.spacing(index), self.plan)
            limits = stretch(volume, self.plan)
        except CnnkitError:
            raise
        except ValueError as error:
            raise DataError(
                f"{self.name(index)} cannot be used: {error}. Leave it out, or make it like the others."
            ) from error
        seen = as_values(Resampled(volume, extent).cut((0, 0, 0), extent), limits)
        return seen, nearest(mask, extent)

    @staticmethod
    def flattened(picture: np.ndarray, *masks: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the slice of a volume that shows most of its masks, and these there: (h, w, c), (h, w) each."""
        there = np.stack([(mask > 0) & (mask != IGNORE) for mask in masks])
        place = fullest_slice(there)
        return picture[place], *(mask[place] for mask in masks)

    @staticmethod
    def by_pictures(picture: np.ndarray, find: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what `find` says of slices, some spread over a volume where it has many: uint8 (d, h, w)."""
        step = -(-len(picture) // SLICES)
        found = [find(part) for part in picture[step // 2 :: step]]
        places = np.minimum(np.arange(len(picture)) // step, len(found) - 1)
        return np.stack(found)[places]

    def _views(self, **options: Any) -> VolumeViews:
        return VolumeViews(self, **options)

    def shown(self, indices: np.ndarray) -> list[dict[str, Any]]:
        """Return `volume`, float32 (d, h, w, c), of each of these records."""
        return [{"volume": volume} for volume in self.read(indices)[0]]

    def _digest(self, add: Callable[[Any], None]) -> None:
        super()._digest(add)
        add(repr((self.plan.voxel, self.input_shape)).encode())


def _sizes(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))

"""Slices and volumes of phantoms: grey as from CT and MR, and what is where in them. The embedded data sets.

Design choices:
- Slice s of patient p is a pure function of (seed, p, s): it is drawn when it is read, in any order, from any thread, in about
  4 ms.
- Volume p is one of (seed, p), in about 60 ms; all are kept, as a training comes to each many times.
- The organ, its vessels and its lesions are the labels. The rest of the body is there to be told from them: other organs, blood
  and bowel of the same greys, ribs, gas, the table. So no threshold finds the organ, and a vessel outside of it is background.
- For diagnosis, half of the slices show a lesion. None is small then, and slices are aimed at one or past all, so that what
  is asked is never in doubt.
- Pictures that were drawn are kept while all of a split fit into `KEPT` bytes: to draw one again takes longer than a small
  network needs to learn from it.
- The fingerprint is of the parameters and `VERSION`, not of the pixels, which another release of OpenCV or NumPy may round
  otherwise. A change that one can see in the pictures needs another `VERSION`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from cnnkit.data.records import Shape
from cnnkit.device import image
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.tasks.segmentation.masks import Regions, alone
from cnnkit_scans.phantom_parts import ANY, LEAST, PLAIN, SPAN, body
from cnnkit_scans.phantom_slices import SIDE, SPACING, Cut, cut, picture
from cnnkit_scans.phantom_volumes import Box, Drawn, draw

VERSION = 1
LABELS = ("organ", "vessel", "lesion")
FINDINGS = ("none", "lesion")
KEPT = 1 << 26  # bytes


@lru_cache(maxsize=2048)
def heights(seed: int, patient: int, slices: int, aimed: bool) -> list[float]:
    """Return where the slices of a patient lie, mm: through all of the organ, or aimed.

    They are aimed at lesions and at places where one might as well be, alike, so that a height tells next to nothing; and none
    cuts just the rim of a lesion.
    """
    rng = np.random.default_rng((seed, patient, 3))
    low, high = SPAN
    if not aimed:
        return [low + (high - low) * (k + rng.uniform(0.15, 0.85)) / slices for k in range(slices)]
    made = body(seed, patient, PLAIN)
    found: list[float] = []
    while len(found) < slices:
        aims = (made.lesions if rng.random() < 0.5 else made.spared) or made.lesions or made.spared
        aim = aims[int(rng.integers(len(aims)))] if aims else None
        z = aim.centre[2] + 0.4 * aim.radius * rng.uniform(-1, 1) if aim else rng.uniform(low, high)
        cut = [lesion.disc(z) / lesion.radius for lesion in made.lesions]
        if max(cut, default=0) == 0 or max(cut) > 0.8:
            found.append(float(z))
    return found


class Phantoms:
    """Slices of patients, in order of patients. A `Source`.

    Args:
        patients: how many.
        slices: of each.
        seed: another seed, other patients.
        aimed: slices are aimed at lesions, or past them, so that about half show one.
    """

    def __init__(self, patients: int, slices: int = 4, seed: int = 0, aimed: bool = False):
        self._patients, self._slices, self.seed, self._aimed = patients, slices, seed, aimed
        self._disease = PLAIN if aimed else ANY
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._patients * self._slices

    @property
    def shape(self) -> Shape:
        return SIDE, SIDE, 1

    @property
    def groups(self) -> np.ndarray:
        """Return which patient each slice is of: int64 (n,). No two seeds share one."""
        return self.seed * 10**7 + np.arange(self._patients, dtype=np.int64).repeat(self._slices)

    def place(self, index: int) -> tuple[int, int, float]:
        """Return the patient of a slice, its number there, and its height in mm."""
        patient, number = divmod(index, self._slices)
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} slices; {index} is none of them.")
        return patient, number, heights(self.seed, patient, self._slices, self._aimed)[number]

    def findings(self) -> np.ndarray:
        """Return which of `FINDINGS` each slice shows: int32 (n,)."""
        places = (self.place(index) for index in range(len(self)))
        seen = [
            any(lesion.disc(z) >= LEAST for lesion in body(self.seed, patient, self._disease).lesions)
            for patient, _, z in places
        ]
        return np.array(seen, np.int32)

    def native(self, index: int) -> np.ndarray:
        """Draw slice `index`: uint8 (h, w), grey in [0, 255], not to be written to."""
        found = self._kept.get(index)
        if found is None:
            found = picture(self.seed, *self.place(index), self._disease)
            found.flags.writeable = False
            if len(self) * found.nbytes <= KEPT:
                self._kept[index] = found
        return found

    def cut(self, index: int) -> Cut:
        patient, _, z = self.place(index)
        return cut(self.seed, patient, z, self._disease)

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        return image.fit_images(map(self.native, np.asarray(indices).tolist()), len(indices), shape)

    def name(self, index: int) -> str:
        patient, number, _ = self.place(index)
        return f"phantoms[{patient}-{number}]"

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(("phantoms", VERSION, self.seed, self._slices, self._aimed)).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


class PhantomMasks:
    """The masks of slices. `cnnkit.tasks.segmentation.masks.Masks`."""

    names = LABELS
    regions: Regions = alone(len(LABELS))

    def __init__(self, slices: Phantoms):
        self._slices = slices

    def __len__(self) -> int:
        return len(self._slices)

    def native(self, index: int) -> np.ndarray:
        return self._slices.cut(index).codes.copy()

    def objects(self, index: int) -> None:
        return None

    def spacing(self, index: int) -> tuple[float, ...]:
        return SPACING, SPACING

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(LABELS).encode())
        self._slices.digest(indices, add)

    def second(self, index: int) -> np.ndarray:
        """Return the code map that another observer would draw: outlines about a pixel off. uint8 (h, w)."""
        rng = np.random.default_rng((self._slices.seed, index, 6))
        coarse = rng.normal(0, 0.9, (2, SIDE // 8, SIDE // 8)).astype(np.float32)
        right, down = (cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for part in coarse)
        place = np.arange(SIDE, dtype=np.float32)
        return cv2.remap(self.native(index), right + place, down + place[:, None], cv2.INTER_NEAREST)


class PhantomVolumes:
    """Volumes of patients, one each. A `Source`, as `cnnkit.tasks.segmentation.volumes.sources.Volumes`.

    Args:
        patients: how many.
        seed: another seed, other patients.
    """

    noun = "volumes"

    def __init__(self, patients: int, seed: int = 0):
        self._patients, self.seed = patients, seed
        self._kept: dict[int, Drawn] = {}

    def __len__(self) -> int:
        return self._patients

    @property
    def shape(self) -> Shape:
        """The median extent, and the channel."""
        sides = np.array([self.geometry(index).shape for index in range(len(self))])
        return (*np.median(sides, axis=0).astype(int).tolist(), 1)

    @property
    def groups(self) -> np.ndarray:
        """Return which patient each volume is of: int64 (n,). No two seeds share one."""
        return self.seed * 10**7 + np.arange(self._patients, dtype=np.int64)

    def drawn(self, index: int) -> Drawn:
        """Draw volume `index`, unless that was done."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} volumes; {index} is none of them.")
        found = self._kept.get(index)
        if found is None:
            found = self._kept[index] = draw(self.seed, index)
        return found

    def native(self, index: int) -> np.ndarray:
        """Return volume `index`: uint8 (d, h, w, 1), grey in [0, 255], not to be written to."""
        return self.drawn(index).volume

    def geometry(self, index: int) -> Geometry:
        """Return where its voxels are; their axes run to the head, to the back and to the left."""
        return Box(self.seed, index).geometry

    def spacing(self, index: int) -> tuple[float, ...]:
        """Return the distance of neighbouring voxels, mm."""
        return self.geometry(index).spacing

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        raise NotImplementedError("Volumes are seen through windows, never at once. Read records of them.")

    def name(self, index: int) -> str:
        return f"phantoms[{index}]"

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(("phantom volumes", VERSION, self.seed)).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


class PhantomVolumeMasks:
    """The masks of volumes. `cnnkit.tasks.segmentation.masks.Masks`."""

    names = LABELS
    regions: Regions = alone(len(LABELS))

    def __init__(self, volumes: PhantomVolumes):
        self._volumes = volumes

    def __len__(self) -> int:
        return len(self._volumes)

    def native(self, index: int) -> np.ndarray:
        return self._volumes.drawn(index).codes.copy()

    def objects(self, index: int) -> None:
        return None

    def spacing(self, index: int) -> tuple[float, ...]:
        return self._volumes.spacing(index)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(LABELS).encode())
        self._volumes.digest(indices, add)

"""Slices of phantoms: grey pictures as from CT and MR, and what is where in them. The embedded data set.

Design choices:
- Slice s of patient p is a pure function of (seed, p, s): it is drawn when it is read, from any thread, in a few ms. Its mask is
  made without its picture.
- The organ, its vessels and its lesions are the labels. The rest of the body is there to be told from them: other organs, blood
  and bowel of the same greys, ribs, gas, the table. So no threshold finds the organ, and a vessel outside of it is background.
- CT is in Hounsfield units, seen through the window of an abdomen, with noise of the grain of a reconstruction, and streaks.
  MR is in arbitrary units with a bias field, Rician noise and a ghost; each patient has one kind and its own contrasts. A
  lesion is darker or brighter than the organ, as the patient's contrast has it.
- The fingerprint is of the parameters and `VERSION`, not of the pixels, which another release of OpenCV or NumPy may round
  otherwise. A change that one can see in the pictures needs another `VERSION`.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from cnnkit.data.records import Shape
from cnnkit.device import image
from cnnkit.tasks.segmentation.masks import Regions, alone
from cnnkit_scans.phantom_parts import LEAST, SPAN, Body, Ellipsoid, Lesion, body

VERSION = 1
SIDE = 192  # px
SPACING = 1.8  # mm of a pixel
LABELS = ("organ", "vessel", "lesion")
ORGAN, VESSEL, LESION = 1, 2, 3
FINDINGS = ("none", "lesion")

_FINE = 3  # times the size of a slice, at which vessels are drawn
_SHIFT = 4  # bits of places behind the point, for OpenCV

Page = np.ndarray
"""float32 (SIDE, SIDE)."""


Window = tuple[slice, slice]
_ALL = slice(0, SIDE), slice(0, SIDE)


class Cut:
    """A plane through a body: where everything is in it.

    Attributes:
        x, y: float32 (h, w), mm, of each pixel in the body as its shapes are defined.
        organ, vessel: how much of each pixel is of it: float32 (h, w) in [0, 1].
        lesions: those that are seen, each with a window around it and the distance to its surface there, mm.
        codes: uint8 (h, w), the code map.
    """

    def __init__(self, made: Body, z: float):
        self.made, self.z = made, z
        half = ((np.arange(0, SIDE, 2, dtype=np.float32) + 1) - SIDE / 2) * SPACING  # space bends slowly
        x, y = made.turned(half[None, :], half[:, None])
        x, y, _ = made.bent(x, y, z)
        self._half = x.astype(np.float32), y.astype(np.float32)
        self.x, self.y = (_doubled(part) for part in self._half)
        self.organ = self.inside(made.organ)[1]
        self.vessel = self._tubes() * (self.organ > 0.5)
        self.lesions = [(lesion, *self._near(lesion)) for lesion in made.lesions if lesion.disc(z) >= LEAST]
        codes = (self.organ > 0.5).astype(np.uint8)
        codes[self.vessel > 0.5] = VESSEL
        for _, window, off in self.lesions:
            seen = codes[window]
            seen[(off < 0) & (seen > 0)] = LESION
        self.codes = codes

    def inside(self, shape: Any, inward: float = 0.0) -> tuple[Window, Page]:
        """Return how much of each pixel is of a shape made smaller by so many mm; of an ellipsoid, in a window around it."""
        window = half = _ALL
        if isinstance(shape, Ellipsoid):
            window = self._window(shape.centre, shape.radii)
            half = tuple(slice(part.start // 2, part.stop // 2) for part in window)  # type: ignore[assignment]
            shape = shape.at
        x, y = (part[half] for part in self._half)
        if not x.size:
            return window, x
        return window, soft(_doubled(shape(x, y, np.float32(self.z)).astype(np.float32)) + np.float32(inward))

    def part(self, name: str, inward: float = 0.0) -> tuple[Window, Page]:
        return self.inside(self.made.shapes[name], inward)

    def _window(self, centre: Sequence[float], reach: Sequence[float]) -> Window:
        """Return the pixels around a place of the body, even ones; none where the plane does not come near."""
        if abs(self.z - centre[2]) > reach[2] + SPACING:
            return slice(0, 0), slice(0, 0)
        right, down = self.placed(centre[:2])
        most = max(reach[:2]) / SPACING + 8
        rows, columns = (
            slice(max(0, int(at - most) // 2 * 2), max(0, min(SIDE, int(at + most) // 2 * 2))) for at in (down, right)
        )
        return rows, columns

    def placed(self, points: Any) -> np.ndarray:
        """Return where places (..., 2) of the body's plane are in the picture: column and row, px."""
        points = np.asarray(points, np.float64)
        placed = self.made.placed(points[..., 0], points[..., 1], self.z)
        return np.stack(placed, -1) / SPACING + (SIDE - 1) / 2

    def _near(self, lesion: Lesion) -> tuple[Window, Page]:
        window = self._window((*lesion.centre[:2], self.z), [1.6 * lesion.radius] * 3)
        return window, lesion.at(self.x[window], self.y[window], np.float32(self.z)).astype(np.float32)

    def _tubes(self) -> Page:
        centres, radii = self.made.vessels.cut(self.z)
        page = np.zeros((SIDE * _FINE, SIDE * _FINE), np.uint8)
        places = (((self.placed(centres) + 0.5) * _FINE - 0.5) * 2**_SHIFT).round().astype(int)
        wide = (radii * (_FINE * 2**_SHIFT / SPACING)).round().astype(int)
        for place, radius in zip(places.tolist(), wide.tolist(), strict=True):
            cv2.circle(page, place, radius, 255, cv2.FILLED, cv2.LINE_8, _SHIFT)
        return cv2.resize(page, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def soft(off: Page) -> Page:
    """Return how much of each pixel is inside, from the distance in mm."""
    return np.clip(0.5 - off * np.float32(1 / SPACING), 0, 1)


def _doubled(half: np.ndarray) -> Page:
    return cv2.resize(half, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


def heights(seed: int, patient: int, slices: int, aimed: bool) -> list[float]:
    """Return where the slices of a patient lie, mm: through all of the organ, or aimed at lesions and past them."""
    rng = np.random.default_rng((seed, patient, 3))
    low, high = SPAN
    if not aimed:
        return [low + (high - low) * (k + rng.uniform(0.15, 0.85)) / slices for k in range(slices)]
    lesions = body(seed, patient).lesions
    found = []
    for _ in range(slices):
        wanted = rng.random() < 0.63
        tries = rng.uniform(low, high, 64).tolist()
        if wanted and lesions:
            lesion = lesions[int(rng.integers(len(lesions)))]
            found.append(lesion.centre[2] + 0.55 * lesion.radius * rng.uniform(-1, 1) * lesion.stretch[2])
        else:
            past = [z for z in tries if all(lesion.disc(z) == 0 for lesion in lesions)]
            found.append((past or tries)[0])
    return found


@lru_cache(maxsize=64)
def cut(seed: int, patient: int, z: float) -> Cut:
    """Return a plane through a patient; the last ones are kept, as a picture and its mask are asked for one after another."""
    return Cut(body(seed, patient), z)


# ---- what is seen of it

_CT = {  # Hounsfield units: the middle, and half the range of patients
    "air": (-1000, 0), "fat": (-102, 8), "muscle": (54, 6), "organ": (104, 9), "vessel": (166, 14), "spleen": (114, 10),
    "cortex": (178, 18), "medulla": (135, 15), "fluid": (10, 6), "blood": (168, 14), "marrow": (190, 40), "bone": (560, 80),
    "canal": (30, 6), "lung": (-840, 30), "wall": (66, 8), "heart": (140, 14), "table": (-120, 60),
}  # fmt: skip
_T1 = {  # MR after contrast: grey of 255
    "air": (2, 1), "fat": (178, 30), "muscle": (78, 8), "organ": (126, 9), "vessel": (186, 14), "spleen": (118, 12),
    "cortex": (190, 15), "medulla": (150, 15), "fluid": (34, 8), "blood": (196, 12), "marrow": (98, 14), "bone": (16, 5),
    "canal": (48, 8), "lung": (9, 4), "wall": (104, 12), "heart": (160, 20), "table": (2, 1),
}  # fmt: skip
_T2 = {
    "air": (2, 1), "fat": (172, 25), "muscle": (46, 6), "organ": (84, 8), "vessel": (26, 8), "spleen": (132, 14),
    "cortex": (150, 14), "medulla": (176, 14), "fluid": (236, 12), "blood": (20, 8), "marrow": (94, 12), "bone": (14, 5),
    "canal": (218, 20), "lung": (7, 3), "wall": (92, 10), "heart": (62, 14), "table": (2, 1),
}  # fmt: skip


class Look:
    """How a patient was scanned: CT or MR, the contrast of each tissue, noise."""

    def __init__(self, seed: int, patient: int):
        rng = np.random.default_rng((seed, patient, 4))
        self.ct = rng.random() < 0.55
        table = _CT if self.ct else _T1 if rng.random() < 0.5 else _T2
        self.grey = {name: middle + half * rng.uniform(-1, 1) for name, (middle, half) in table.items()}
        if self.ct:
            width, middle = rng.uniform(360, 430), rng.uniform(35, 65)
            self.grey = {name: (hu - middle + width / 2) * (255 / width) for name, hu in self.grey.items()}
        darker = rng.random() < 0.82 if table is not _T2 else False
        self.lesion = self.grey["organ"] + (-1 if darker else 1) * rng.uniform(17, 32)
        self.rim = rng.uniform(0, 14) if rng.random() < 0.4 else 0.0
        self.noise = rng.uniform(7, 11) if self.ct else rng.uniform(5, 9)
        self.streaks = rng.uniform(2, 6) if rng.random() < 0.5 else 0.0
        self.bias = rng.normal(0, 0.13, 5)
        self.ghost = rng.uniform(0, 0.07)


def picture(seed: int, patient: int, number: int, z: float) -> np.ndarray:
    """Draw a slice: uint8 (SIDE, SIDE), grey in [0, 255]."""
    seen, look = cut(seed, patient, z), _look(seed, patient)
    rng = np.random.default_rng((seed, patient, 5, number))
    page = _tissues(seen, look, rng)
    return _scanned_ct(page, look, rng) if look.ct else _scanned_mr(page, look, rng)


_look = lru_cache(maxsize=512)(Look)


def _tissues(seen: Cut, look: Look, rng: np.random.Generator) -> Page:
    """Paint every tissue in its grey, from the skin inwards."""
    made, grey = seen.made, look.grey
    depth = made.depth(seen.x, seen.y)
    page = np.full((SIDE, SIDE), grey["air"], np.float32)

    def paint(part: tuple[Window, Page], value: float) -> None:
        window, share = part
        if share.size:
            under = page[window]
            under += share * (value - under)

    def within(part: tuple[Window, Page], other: Page) -> tuple[Window, Page]:
        window, share = part
        return window, share * other[window] if share.size else share

    if look.ct:
        _table(page, made, grey["table"])
    paint((_ALL, soft(-depth)), grey["fat"])
    paint((_ALL, soft(1.8 - depth) - soft(4 - depth)), grey["muscle"])  # the skin
    paint((_ALL, soft(made.fat - depth)), grey["muscle"])
    cavity = soft(made.fat + made.wall - depth)
    for name in ("left back", "right back"):
        paint(seen.part(name), grey["muscle"])
    paint((_ALL, cavity), grey["fat"])
    paint(seen.part("pancreas"), grey["wall"])
    for name in ("left kidney", "right kidney"):
        for inward, tissue in ((0, "cortex"), (7, "medulla"), (17, "fat")):
            paint(seen.part(name, inward), grey[tissue])
    for loop, content in made.gut:
        tissue = "air" if content < 0.2 else "fluid" if content < 0.6 else "muscle"
        paint(within(seen.inside(loop), cavity), grey["wall"])
        paint(within(seen.inside(loop, 3.5), cavity), grey[tissue])
    paint(within(seen.part("spleen"), cavity), grey["spleen"])
    paint(within(seen.part("stomach"), cavity), grey["wall"])
    inner = within(seen.part("stomach", 5), cavity)
    paint(inner, grey["fluid"])
    paint(within(inner, soft(seen.y - (made.shapes["stomach"].centre[1] - 12))), grey["air"])
    paint(seen.part("gall bladder"), grey["fluid"])
    if seen.z > 0:
        paint((_ALL, cavity * (1 - seen.inside(made.domes)[1])), grey["lung"])
    paint(within(seen.part("heart"), cavity), grey["heart"])
    _organ(seen, look, paint)
    for name in ("cava", "aorta"):
        paint(seen.part(name), grey["blood"])
    _bones(seen, look, paint)
    return page


Paint = Callable[[tuple[Window, Page], float], None]


def _organ(seen: Cut, look: Look, paint: Paint) -> None:
    paint((_ALL, seen.organ), look.grey["organ"])
    paint((_ALL, seen.vessel), look.grey["vessel"])
    for _, window, off in seen.lesions:
        inside = seen.organ[window]
        paint((window, np.clip(0.5 - off / 3.5, 0, 1) * inside), look.lesion)  # its edge is less sharp than the organ's
        if look.rim:
            paint((window, np.exp(-np.square(off / 2.5)) * inside * 0.8), look.grey["organ"] + look.rim)


def _bones(seen: Cut, look: Look, paint: Paint) -> None:
    made, grey = seen.made, look.grey
    disc = 0.5 + 0.5 * math.tanh(
        4 * math.sin(2 * math.pi * (seen.z + 9) / 34) + 3
    )  # between vertebrae there is no bone
    bone, marrow = (grey[name] * disc + grey["muscle"] * (1 - disc) for name in ("bone", "marrow"))
    for name, bark in (("process", 3.0), ("spine", 2.6)):
        paint(seen.part(name), bone)
        paint(seen.part(name, bark), marrow)
    paint(seen.part("canal", -3), bone)
    paint(seen.part("canal"), grey["canal"])
    whole, core = np.zeros((2, SIDE, SIDE), np.uint8)
    a, b = made.half
    turns = made.ribs[:, 0] + made.ribs[:, 1] * seen.z
    long = made.ribs[(turns > -1.1) & (turns < 1.35), 2].tolist()
    turns = turns[(turns > -1.1) & (turns < 1.35)]
    c, s = np.cos(turns), np.sin(turns)
    far = ((c / a) ** 2.5 + (np.abs(s) / b) ** 2.5) ** -0.4 - made.fat - 0.5 * made.wall
    for way in (-1, 1):
        places = (seen.placed(np.stack([way * c * far, s * far], 1)) * 2**_SHIFT).round().astype(int).tolist()
        tilts = np.degrees(np.arctan2(s * a * a, way * c * b * b) + made.roll) + 90
        for place, tilt, size in zip(places, tilts.tolist(), long, strict=True):
            for page, thin in ((whole, 0.0), (core, 2.2)):
                axes = [round((half - thin) * 2**_SHIFT / SPACING) for half in (size, 4.6)]
                cv2.ellipse(page, place, axes, tilt, 0, 360, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    paint((_ALL, whole.astype(np.float32) / 255), grey["bone"])
    paint((_ALL, core.astype(np.float32) / 255), grey["marrow"])


def _table(page: Page, made: Body, grey: float) -> None:
    """Draw the table below the back, a shell that is hardly seen."""
    y = (made.half[1] + made.shift[1] + 7) / SPACING + SIDE / 2
    for by, shade in ((0, 1.0), (9, 0.8)):
        centre = (SIDE * 8, round((y + by - 330) * 16))
        cv2.ellipse(page, centre, (330 * 16, 330 * 16), 0, 72, 108, 30 + 50 * shade, 1, cv2.LINE_AA, _SHIFT)


def _scanned_ct(page: Page, look: Look, rng: np.random.Generator) -> np.ndarray:
    page = cv2.GaussianBlur(np.clip(page, -400, 900), (0, 0), 0.65)
    noise = rng.standard_normal((SIDE, SIDE), np.float32)
    noise = (cv2.GaussianBlur(noise, (0, 0), 0.75) - 0.5 * cv2.GaussianBlur(noise, (0, 0), 2.2)) * 3.2
    if look.streaks:  # between dense bones few rays arrive
        rows = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE), np.float32), (0, 0), 16, sigmaY=0.6)
        noise += rows * (look.streaks * 6 / look.noise)
    return np.clip(np.rint(page + look.noise * noise), 0, 255).astype(np.uint8)


def _scanned_mr(page: Page, look: Look, rng: np.random.Generator) -> np.ndarray:
    page = cv2.GaussianBlur(page, (0, 0), 0.6)
    side = np.linspace(-1, 1, SIDE, dtype=np.float32)
    x, y = side[None, :], side[:, None]
    a, b, c, d, e = look.bias.tolist()
    page *= np.exp(a * x + b * y + c * x * y + d * (x * x - 0.3) + e * (y * y - 0.3))
    if look.ghost:  # breathing, along the direction of phase
        page += look.ghost * np.roll(page, SIDE // 5, 0) - 0.5 * look.ghost * page
    real, other = rng.standard_normal((2, SIDE, SIDE), np.float32) * look.noise
    return np.clip(np.rint(cv2.magnitude(page + real, other)), 0, 255).astype(np.uint8)


# ---- the data set


class Phantoms:
    """Slices of patients, in order of patients. A `Source`.

    Args:
        patients: how many.
        slices: of each.
        seed: another seed, other patients.
        aimed: slices are aimed at lesions, or past them, so that about half show one.
    """

    def __init__(self, patients: int, slices: int = 4, seed: int = 0, aimed: bool = False):
        self._patients, self._slices, self._seed, self._aimed = patients, slices, seed, aimed

    def __len__(self) -> int:
        return self._patients * self._slices

    @property
    def shape(self) -> Shape:
        return SIDE, SIDE, 1

    @property
    def groups(self) -> np.ndarray:
        """Return which patient each slice is of: int64 (n,). No two seeds share one."""
        return self._seed * 10**7 + np.arange(self._patients, dtype=np.int64).repeat(self._slices)

    def place(self, index: int) -> tuple[int, int, float]:
        """Return the patient of a slice, its number there, and its height in mm."""
        patient, number = divmod(index, self._slices)
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} slices; {index} is none of them.")
        return patient, number, _heights(self._seed, patient, self._slices, self._aimed)[number]

    def findings(self) -> np.ndarray:
        """Return which of `FINDINGS` each slice shows: int32 (n,)."""
        places = (self.place(index) for index in range(len(self)))
        seen = [
            any(lesion.disc(z) >= LEAST for lesion in body(self._seed, patient).lesions) for patient, _, z in places
        ]
        return np.array(seen, np.int32)

    def native(self, index: int) -> np.ndarray:
        """Draw slice `index`: uint8 (h, w), grey in [0, 255]."""
        return picture(self._seed, *self.place(index))

    def cut(self, index: int) -> Cut:
        patient, _, z = self.place(index)
        return cut(self._seed, patient, z)

    def read(self, indices: np.ndarray, shape: Shape) -> np.ndarray:
        return image.fit_images(map(self.native, np.asarray(indices).tolist()), len(indices), shape)

    def name(self, index: int) -> str:
        patient, number, _ = self.place(index)
        return f"phantoms[{patient}-{number}]"

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(repr(("phantoms", VERSION, self._seed, self._slices, self._aimed)).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


_heights = lru_cache(maxsize=512)(heights)


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

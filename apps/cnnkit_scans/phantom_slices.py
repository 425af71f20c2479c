"""Slices of a body: what a plane cuts, what is where in it, and how a scanner would show it.

Design choices:
- What is where (`Cut`) is known without a picture: a mask takes a third of the time of a slice.
- Space is bent and distances are asked at every second place, and enlarged: shapes are smooth. Vessels are thin, so they are
  drawn at three times the size and reduced by area. Other parts are asked and painted only in a window around them.
- CT is in Hounsfield units, seen through the window of an abdomen, with noise of the grain of a reconstruction, and streaks.
  MR is in arbitrary units with a bias field, Rician noise and a ghost. Each patient has one kind and its own contrasts.
- In all of them vessels are brighter than the organ and lesions darker, as other things in the body are too.
"""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from cnnkit_scans.phantom_parts import ANY, LEAST, Body, Disease, Ellipsoid, Lesion, body

SIDE = 192  # px
SPACING = 1.8  # mm of a pixel
ORGAN, VESSEL, LESION = 1, 2, 3  # codes

_FINE = 3  # times the size of a slice, at which vessels are drawn
_SHIFT = 4  # bits of places behind the point, for OpenCV
_FEWEST = 24  # px of a lesion that is seen
_BENT = 8  # px, by which a shape may be larger than its radii, as space is bent

Page = np.ndarray
"""float32 (SIDE, SIDE), or a window of it."""

Window = tuple[slice, slice]
_ALL = slice(0, SIDE), slice(0, SIDE)
_NONE = slice(0, 0), slice(0, 0)


class Cut:
    """A plane through a body: where everything is in it.

    Attributes:
        y: float32 (h, w), mm, of each pixel in the body as its shapes are defined.
        organ, vessel: how much of each pixel is of it: float32 (h, w) in [0, 1].
        lesions: of each that is seen, a window around it and the distance to its surface there, mm.
        codes: uint8 (h, w), the code map.
    """

    def __init__(self, made: Body, z: float):
        self.made, self.z = made, z
        half = ((np.arange(0, SIDE, 2, dtype=np.float32) + 1) - SIDE / 2) * SPACING
        x, y = made.turned(half[None, :], half[:, None])
        x, y, _ = made.bent(x, y, z)
        self._half = x.astype(np.float32), y.astype(np.float32)
        self.y = _doubled(self._half[1])
        whole: list[Ellipsoid | Lesion] = [*made.shapes.values(), *(loop for loop, _ in made.gut), *made.lesions]
        places = self.placed(np.array([shape.centre[:2] for shape in whole])).tolist()
        self._places = {shape.centre: place for shape, place in zip(whole, places, strict=True)}
        self.organ = soft(self.everywhere(made.organ(*self._half, np.float32(z))))
        self.vessel = self._tubes() * (self.organ > 0.5)
        self.lesions = []
        self.codes = (self.organ > 0.5).astype(np.uint8)
        self.codes[self.vessel > 0.5] = VESSEL
        for window, off in (self.off(lesion) for lesion in made.lesions if lesion.disc(z) >= LEAST):
            seen = self.codes[window]
            inside = (off < 0) & (seen > 0)
            if inside.sum() >= _FEWEST:
                seen[inside] = LESION
                self.lesions.append((window, off))

    def everywhere(self, half: np.ndarray) -> Page:
        """Enlarge what was asked at every second place."""
        return _doubled(half.astype(np.float32))

    def depth(self) -> Page:
        """Return how deep below the skin each pixel is, mm."""
        return self.everywhere(self.made.depth(*self._half))

    def domes(self) -> Page:
        """Return the distance to the diaphragm, mm, negative below it."""
        return self.everywhere(self.made.domes(*self._half, self.z))

    def off(self, shape: Ellipsoid | Lesion) -> tuple[Window, Page]:
        """Return a window around a shape, and the distance to its surface there, mm; an empty one where it is not cut."""
        radii = shape.reach
        if abs(self.z - shape.centre[2]) > radii[2] + SPACING:
            return _NONE, np.zeros((0, 0), np.float32)
        right, down = self._places[shape.centre]
        most = max(radii[:2]) / SPACING + _BENT
        halves = [
            slice(max(0, int(at - most) // 2), max(0, min(SIDE // 2, int(at + most) // 2))) for at in (down, right)
        ]
        x, y = (part[halves[0], halves[1]] for part in self._half)
        window = slice(2 * halves[0].start, 2 * halves[0].stop), slice(2 * halves[1].start, 2 * halves[1].stop)
        return window, self.everywhere(shape.at(x, y, np.float32(self.z))) if x.size else x

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Return where places (n, 2) of the body's plane are in the picture: column and row, px."""
        placed = self.made.placed(points[:, 0], points[:, 1], self.z)
        return np.stack(placed, 1) / SPACING + (SIDE - 1) / 2

    def _tubes(self) -> Page:
        centres, radii = self.made.vessels.cut(self.z)
        page = np.zeros((SIDE * _FINE, SIDE * _FINE), np.uint8)
        places = (((self.placed(centres) + 0.5) * _FINE - 0.5) * 2**_SHIFT).round().astype(int)
        wide = (radii * (_FINE * 2**_SHIFT / SPACING)).round().astype(int)
        for place, radius in zip(places.tolist(), wide.tolist(), strict=True):
            cv2.circle(page, place, radius, 255, cv2.FILLED, cv2.LINE_8, _SHIFT)
        return cv2.resize(page, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def soft(off: Page, edge: float = SPACING) -> Page:
    """Return how much of each pixel is inside, from the distance in mm, for a surface that is so thick."""
    return np.clip(0.5 - off * np.float32(1 / edge), 0, 1)


def _doubled(half: np.ndarray) -> Page:
    return cv2.resize(half, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


@lru_cache(maxsize=64)
def cut(seed: int, patient: int, z: float, disease: Disease = ANY) -> Cut:
    """Return a plane through a patient; the last are kept, as a picture and its mask are asked for one after another."""
    return Cut(body(seed, patient, disease), z)


# ---- what is seen of it

_CT = {  # Hounsfield units: the middle, and half the range of patients
    "air": (-1000, 0), "fat": (-102, 8), "muscle": (54, 6), "organ": (104, 9), "vessel": (184, 14), "spleen": (114, 10),
    "cortex": (190, 18), "medulla": (135, 15), "fluid": (2, 6), "blood": (186, 14), "marrow": (190, 40), "bone": (560, 80),
    "canal": (30, 6), "lung": (-840, 30), "wall": (66, 8), "heart": (140, 14),
}  # fmt: skip
_T1 = {  # MR after contrast: grey of 255
    "air": (2, 1), "fat": (178, 30), "muscle": (78, 8), "organ": (126, 9), "vessel": (186, 14), "spleen": (118, 12),
    "cortex": (190, 15), "medulla": (150, 15), "fluid": (34, 8), "blood": (196, 12), "marrow": (98, 14), "bone": (16, 5),
    "canal": (48, 8), "lung": (9, 4), "wall": (104, 12), "heart": (160, 20),
}  # fmt: skip
_BALANCED = {  # MR whose fluids are bright, those that flow as well
    "air": (2, 1), "fat": (150, 25), "muscle": (56, 6), "organ": (112, 8), "vessel": (196, 14), "spleen": (136, 14),
    "cortex": (150, 14), "medulla": (176, 14), "fluid": (232, 12), "blood": (208, 12), "marrow": (84, 12), "bone": (14, 5),
    "canal": (218, 20), "lung": (7, 3), "wall": (88, 10), "heart": (156, 20),
}  # fmt: skip


class Look:
    """How a patient was scanned: CT or MR, the contrast of each tissue, noise."""

    def __init__(self, seed: int, patient: int):
        rng = np.random.default_rng((seed, patient, 4))
        self.ct = rng.random() < 0.55
        table = _CT if self.ct else _T1 if rng.random() < 0.5 else _BALANCED
        self.grey = {name: middle + half * rng.uniform(-1, 1) for name, (middle, half) in table.items()}
        if self.ct:
            width, middle = rng.uniform(340, 400), rng.uniform(45, 70)
            self.grey = {name: (hu - middle + width / 2) * (255 / width) for name, hu in self.grey.items()}
        self.lesion = self.grey["organ"] - rng.uniform(32, 46)
        self.rim = rng.uniform(0, 14) if rng.random() < 0.4 else 0.0
        self.noise = rng.uniform(4, 7) if self.ct else rng.uniform(3.5, 7)
        self.streaks = rng.uniform(1, 4) if rng.random() < 0.5 else 0.0
        self.bias = rng.normal(0, 0.13, 5)
        self.ghost = rng.uniform(0, 0.07)


def picture(seed: int, patient: int, number: int, z: float, disease: Disease = ANY) -> np.ndarray:
    """Draw a slice.

    Args:
        seed: another seed, other patients.
        patient: which of them.
        number: of the slice, for its noise.
        z: its height, mm.
        disease: how many lesions patients have.

    Returns:
        uint8 (SIDE, SIDE), grey in [0, 255].
    """
    seen, shown = cut(seed, patient, z, disease), look(seed, patient)
    rng = np.random.default_rng((seed, patient, 5, number))
    page = Canvas(seen, shown).page
    coarse = rng.standard_normal((SIDE // 8, SIDE // 8), np.float32)  # no tissue is the same everywhere
    page *= 1 + 0.03 * cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return _scanned_ct(page, shown, rng) if shown.ct else _scanned_mr(page, shown, rng)


look = lru_cache(maxsize=1024)(Look)


class Canvas:
    """Paints every tissue in its grey, from the skin inwards, what is later over what is earlier.

    Args:
        seen: a plane through a body, or a box of it.
        shown: how it looks.
    """

    edge = 3.5  # mm, of a lesion, which is less sharp than the organ's

    def __init__(self, seen: Any, shown: Look):
        self.seen, self.made, self.shown, self.grey = seen, seen.made, shown, shown.grey
        self.page = np.full(seen.organ.shape, self.grey["air"], np.float32)
        depth = seen.depth()
        self.cavity = self.soft(self.made.fat + self.made.wall - depth)
        self.skin(depth)
        self.entrails()
        self.lungs()
        self.layers("heart", (0, "heart"), kept=True)
        self.organ()
        self.layers("cava", (0, "blood"))
        self.layers("aorta", (0, "blood"))
        self.bones()

    def soft(self, off: Page, edge: float = SPACING) -> Page:
        return soft(off, edge)

    def paint(self, share: Page, value: Any, window: Any = _ALL) -> None:
        under = self.page[window]
        under += share * np.float32(value) - share * under

    def within(self, value: Any, window: Any) -> Any:
        """Return a grey, or one a plane, in a window."""
        return value

    def layers(self, shape: str | Ellipsoid, *layers: tuple[float, Any], kept: bool = False) -> None:
        """Paint a shape in layers: so many mm inside of its surface begins a tissue. `kept`: inside the cavity."""
        window, off = self.seen.off(self.made.shapes[shape] if isinstance(shape, str) else shape)
        if off.size:
            for inward, tissue in layers:
                share = self.soft(off + np.float32(inward))
                value = self.grey[tissue] if isinstance(tissue, str) else self.within(tissue, window)
                self.paint(share * self.cavity[window] if kept else share, value, window)

    def skin(self, depth: Page) -> None:
        self.table()
        self.paint(self.soft(-depth), self.grey["muscle"])
        self.paint(self.soft(2.2 - depth), self.grey["fat"])
        self.paint(self.soft(self.made.fat - depth), self.grey["muscle"])
        self.layers("left back", (0, "muscle"))
        self.layers("right back", (0, "muscle"))
        self.paint(self.cavity, self.grey["fat"])

    def table(self) -> None:
        if self.shown.ct:
            _table(self.page, self.made)

    def entrails(self) -> None:
        self.layers("pancreas", (0, "wall"))
        for side in ("left", "right"):
            self.layers(f"{side} kidney", (0, "cortex"), (7, "medulla"), (17, "fat"))
        for loop, content in self.made.gut:
            inner = "air" if content < 0.2 else "fluid" if content < 0.6 else "muscle"
            self.layers(loop, (0, "wall"), (3.5, inner), kept=True)
        self.layers("spleen", (0, "spleen"), kept=True)
        self.layers("stomach", (0, "wall"), (5, "fluid"), kept=True)
        self.gas()
        self.layers("gall bladder", (0, "fluid"))

    def gas(self) -> None:
        """Paint the air above the fluid of the stomach."""
        stomach = self.made.shapes["stomach"]
        window, off = self.seen.off(stomach)
        if off.size:
            level = self.seen.y[window] - (stomach.centre[1] - 12)
            self.paint(soft(np.maximum(off + 5, level)) * self.cavity[window], self.grey["air"], window)

    def lungs(self) -> None:
        if self.seen.z <= 0:
            return
        lungs = self.cavity * soft(-self.seen.domes())
        window, off = self.seen.off(self.made.shapes["mediastinum"])
        lungs[window] *= soft(-off)
        self.paint(lungs, self.grey["lung"])

    def organ(self) -> None:
        seen, organ = self.seen, self.grey["organ"]
        self.paint(seen.organ, organ)
        self.paint(seen.vessel, self.grey["vessel"])
        for window, off in seen.lesions:
            inside = seen.organ[window]
            self.paint(self.soft(off, self.edge) * inside, self.shown.lesion, window)
            if self.shown.rim:
                self.paint(np.exp(-np.square(off / 2.5)) * inside * 0.8, organ + self.shown.rim, window)

    def bones(self) -> None:
        grey, z = self.grey, self.seen.z
        there = 0.5 + 0.5 * np.tanh(4 * np.sin(2 * math.pi * (z + 9) / 34) + 3)  # between vertebrae is a disc
        bone, marrow = (grey[name] * there + grey["muscle"] * (1 - there) for name in ("bone", "marrow"))
        self.layers("process", (0, bone), (3, marrow))
        self.layers("spine", (0, bone), (2.6, marrow))
        self.layers("canal", (-3, bone), (0, "canal"))
        self.ribs()

    def ribs(self) -> None:
        grey = self.grey
        whole, core = np.zeros((2, SIDE, SIDE), np.uint8)
        for place, long, tilt in self._ribs():
            for page, thin in ((whole, 0.0), (core, 2.2)):
                axes = [round((radius - thin) * 2**_SHIFT / SPACING) for radius in (long, 4.6)]
                cv2.ellipse(page, place, axes, tilt, 0, 360, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        self.paint(whole.astype(np.float32) / 255, grey["bone"])
        self.paint(core.astype(np.float32) / 255, grey["marrow"])

    def _ribs(self) -> list[tuple[list[int], float, float]]:
        """Return where the plane cuts ribs, in parts of a pixel; half their length, mm; their tilt, degrees."""
        made, z = self.made, self.seen.z
        turns = made.ribs[:, 0] + made.ribs[:, 1] * z
        near = (turns > -1.1) & (turns < 1.35)
        turns, long = turns[near], made.ribs[near, 2]
        right, down = np.concatenate([np.cos(turns), -np.cos(turns)]), np.tile(np.sin(turns), 2)
        a, b = made.half
        far = made.skin(right, down) - made.fat - 0.5 * made.wall
        places = (self.seen.placed(np.stack([right, down], 1) * far[:, None]) * 2**_SHIFT).round().astype(int)
        tilts = np.degrees(np.arctan2(down * a * a, right * b * b) + made.roll) + 90
        return list(zip(places.tolist(), np.tile(long, 2).tolist(), tilts.tolist(), strict=True))


def _table(page: Page, made: Body) -> None:
    """Draw the table that the back lies on, a hollow board."""
    y = (made.half[1] + made.shift[1] + 5) / SPACING + SIDE / 2
    for by, grey in ((0, 120), (10, 80)):
        centre = (SIDE * 8, round((y + by - 330) * 16))
        cv2.ellipse(page, centre, (330 * 16, 330 * 16), 0, 74, 106, grey, 2, cv2.LINE_8, _SHIFT)


def _scanned_ct(page: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    page = cv2.GaussianBlur(np.clip(page, -60, 900), (0, 0), 0.65)
    noise: np.ndarray = rng.standard_normal((SIDE, SIDE), np.float32)
    noise = (cv2.GaussianBlur(noise, (0, 0), 0.75) - 0.5 * cv2.GaussianBlur(noise, (0, 0), 2.2)) * 3.2
    if look.streaks:  # between dense bones few rays arrive
        rows = cv2.resize(
            rng.standard_normal((SIDE, SIDE // 24), np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
        )
        noise += rows * np.float32(look.streaks / look.noise)
    return np.clip(np.rint(page + look.noise * noise), 0, 255).astype(np.uint8)


def _scanned_mr(page: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    page = cv2.GaussianBlur(page, (0, 0), 0.6)
    side = np.linspace(-1, 1, SIDE, dtype=np.float32)
    x, y = side[None, :], side[:, None]
    a, b, c, d, e = look.bias.tolist()
    page *= np.exp(a * x + b * y + c * x * y + d * (x * x - 0.3) + e * (y * y - 0.3))
    if look.ghost:  # breathing, along the direction of phase
        page += look.ghost * np.roll(page, SIDE // 5, 0) - 0.5 * look.ghost * page
    real = rng.standard_normal((SIDE, SIDE), np.float32) * np.float32(look.noise)
    other = np.roll(real, (61, 83), (0, 1))  # as good as new, and drawn in no time
    return np.clip(np.rint(cv2.magnitude(page + real, other)), 0, 255).astype(np.uint8)

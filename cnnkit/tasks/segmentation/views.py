"""Views of pictures with masks: what a network sees in training, picture and mask moved together in one resampling.

Design choices:
- Every view is a pure function of (seed, step, place in the batch), like all augmentation here.
- The mask moves as its picture does, by the nearest pixel, so it never holds a code that was not there. Beyond the edges both
  are mirrored, as `cnnkit.device.segmentation` does when it answers.
- Where windows are cut, a part of the views is around a pixel of a label that is drawn first, so that what is rare is seen.
- A flip turns what lies left into what lies right. Labels that say so are exchanged then, or, where one has no counterpart, no
  view is flipped that way (`sides`). No view is turned so far that left and right would change.
- Light, contrast and colours change by one matrix, gamma by a table; blur, noise and a lower resolution are what bad pictures
  have. Amounts are those of nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z), less where it trains for days.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

PLACES = 4096  # foreground pixels of each label that a view may be around, of a picture
STILL_FOCUS = 0.5  # of views that stand still
SIDES = (("left", "right"), ("l", "r"))


@dataclasses.dataclass(eq=False)
class Views:
    """Views of records: (indices, step) -> (pictures, code maps).

    Attributes:
        records: pictures with masks, as `MaskRecords`; their plan says at which scale they are seen.
        seed: of every random number.
        rotation: largest angle either way, degrees.
        zoom: largest change of size either way, natural logarithm.
        shift: largest shift of a whole picture either way, as a share of its side.
        elastic: standard deviation of the elastic displacement, px of the network's input.
        smoothness: distance over which that changes, px.
        flips: axes along which half of the views are mirrored.
        focus: share of the views around a pixel of a label, where windows are cut.
        gamma: largest change of the exponent either way, natural logarithm.
        light, contrast, saturation, tint: largest changes either way: of the light in photographic stops, others as a share.
        noise: largest standard deviation of noise, of 255; in a share `often` of the views, as are the next two.
        blur: largest standard deviation of a blur, px.
        coarse: lowest resolution that a view is brought to and back from, as a share.
        often: the share of the views that have each of these.
        still: show each record always alike, and nothing of the above.
    """

    records: Any
    seed: int
    _: dataclasses.KW_ONLY
    rotation: float = 15.0
    zoom: float = 0.2
    shift: float = 0.1
    elastic: float = 1.0
    smoothness: float = 24.0
    flips: tuple[int, ...] = (0, 1)
    focus: float = 0.33
    gamma: float = 0.3
    light: float = 0.3
    contrast: float = 0.25
    saturation: float = 0.25
    tint: float = 0.05
    noise: float = 12.0
    blur: float = 1.0
    coarse: float = 0.5
    often: float = 0.15
    still: bool = False

    def __post_init__(self) -> None:
        self._swap = exchanged(self.records.label_names)
        crosses = self._swap is None
        self._flips = tuple(axis for axis in self.flips if not (crosses and axis == 1))

    def __call__(self, indices: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Make the views of one step: uint8 (b, h, w, c) in [0, 255], uint8 (b, h, w) codes."""
        height, width, channels = self.records.input_shape
        pictures = np.empty((len(indices), height, width, channels), np.uint8)
        codes = np.empty((len(indices), height, width), np.uint8)
        for place, index in enumerate(np.asarray(indices).tolist()):
            rng = np.random.default_rng((self.seed, index) if self.still else (self.seed, step, place))
            picture, mask = self.records.seen(index)
            pictures[place], codes[place] = self._view(picture, mask, index, (height, width), rng)
            if not self.still:
                pictures[place] = self._light(pictures[place], rng)
        return pictures, codes

    def _view(
        self, picture: np.ndarray, mask: np.ndarray, index: int, sides: tuple[int, int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        middle = self._middle(mask.shape, index, sides, rng)
        if self.still:
            place = [round(at - (side - 1) / 2) for at, side in zip(middle, sides, strict=True)]
            return _cut(picture, place, sides).reshape(*sides, -1), _cut(mask, place, sides)
        flips = tuple(axis for axis in self._flips if rng.random() < 0.5)
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        by = math.exp(rng.uniform(-self.zoom, self.zoom))  # px of the picture for one of the view
        cos, sin = math.cos(angle) * by, math.sin(angle) * by
        matrix = np.array([[cos, -sin], [sin, cos]], np.float32)  # of (x, y)
        matrix[:, 0] *= -1 if 1 in flips else 1
        matrix[:, 1] *= -1 if 0 in flips else 1
        ways = [np.arange(side, dtype=np.float32) - (side - 1) / 2 for side in reversed(sides)]
        x, y = np.meshgrid(*ways)
        if self.elastic:
            grid = [max(2, round(side / self.smoothness) + 3) for side in sides]
            bend = rng.normal(0, self.elastic, (2, *grid)).astype(np.float32)
            x, y = (
                values + cv2.resize(part, sides[::-1], interpolation=cv2.INTER_CUBIC)
                for values, part in zip((x, y), bend, strict=True)
            )
        across = matrix[0, 0] * x + matrix[0, 1] * y + np.float32(middle[1])
        down = matrix[1, 0] * x + matrix[1, 1] * y + np.float32(middle[0])
        seen = cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        drawn = cv2.remap(mask, across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        if 1 in flips and self._swap is not None:
            drawn = self._swap[drawn]
        return seen.reshape(*sides, -1), drawn

    def _middle(
        self, extent: Sequence[int], index: int, sides: Sequence[int], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Return where in a picture the middle of a view lies: (row, column)."""
        whole = self.records.plan.scale is None
        if whole:
            middle = [
                (side - 1) / 2 for side in sides
            ]  # the picture lies at the top left, as it does when it is answered
            if not self.still:
                middle = [(length - 1) / 2 for length in extent]
                middle = [
                    at + rng.uniform(-self.shift, self.shift) * side for at, side in zip(middle, sides, strict=True)
                ]
            return middle[0], middle[1]
        at = middle_of_window(self.records, index, extent, sides, STILL_FOCUS if self.still else self.focus, rng)
        if self.still:  # the very pixels of the picture
            at = [round(place - (side - 1) / 2) + (side - 1) / 2 for place, side in zip(at, sides, strict=True)]
        return at[0], at[1]

    def _light(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change light, contrast, colours, gamma; add what bad pictures have."""
        channels = view.shape[2]
        gain = 2 ** rng.uniform(-self.light, self.light)
        contrast = 1 + rng.uniform(-self.contrast, self.contrast)
        colour = 1 + rng.uniform(-self.saturation, self.saturation) if channels == 3 else 1.0
        tints = 1 + rng.uniform(-self.tint, self.tint, (channels, 1))
        exponent = math.exp(rng.uniform(-self.gamma, self.gamma))
        table = (255 * (np.arange(256) / 255) ** exponent).astype(np.float32)
        mixed = colour * np.eye(channels) + (1 - colour) / channels
        matrix = gain * contrast * tints * mixed
        seen = table[view]
        middle = gain * float(seen[::8, ::8].mean())
        shift = np.full((channels, 1), (1 - contrast) * middle)
        seen = cv2.transform(seen, np.hstack([matrix, shift])).reshape(view.shape)
        if rng.random() < self.often:
            share = rng.uniform(self.coarse, 1)
            small = [max(4, round(share * side)) for side in view.shape[1::-1]]
            seen = cv2.resize(cv2.resize(seen, small, interpolation=cv2.INTER_AREA), view.shape[1::-1])
        if rng.random() < self.often:
            seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, max(0.31, self.blur)))
        seen = seen.reshape(view.shape)
        if rng.random() < self.often:
            seen = seen + rng.normal(0, rng.uniform(0, self.noise), view.shape).astype(np.float32)
        return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def middle_of_window(
    records: Any, index: int, extent: Sequence[int], sides: Sequence[int], focus: float, rng: np.random.Generator
) -> list[float]:
    """Return where in a record the middle of a window lies, inside it as far as it is large enough.

    Args:
        records: which know where labels are, `point(index, rng)`.
        index: of the record.
        extent: of it, at the plan's scale.
        sides: of the window.
        focus: share of the windows around a place of a label.
        rng: draws.
    """
    lows = [(side - 1) / 2 for side in sides]
    highs = [max(low, length - 1 - low) for low, length in zip(lows, extent, strict=True)]
    if rng.random() < focus:
        point = records.point(index, rng)
        if point is not None:
            jitter = rng.uniform(-0.25, 0.25, len(sides)) * sides
            return [
                float(np.clip(p + j, low, high)) for p, j, low, high in zip(point, jitter, lows, highs, strict=True)
            ]
    return [float(rng.uniform(low, high)) for low, high in zip(lows, highs, strict=True)]


def _cut(values: np.ndarray, place: Sequence[int], sides: Sequence[int]) -> np.ndarray:
    """Cut a window that begins at `place`, mirrored beyond the edges."""
    below, beside = (max(0, at + side - length) for at, side, length in zip(place, sides, values.shape))
    if below or beside:
        values = cv2.copyMakeBorder(values, 0, below, 0, beside, cv2.BORDER_REFLECT)
    return values[place[0] : place[0] + sides[0], place[1] : place[1] + sides[1]]


def exchanged(labels: Sequence[str]) -> np.ndarray | None:
    """Return what each code becomes when left and right change, uint8 (256,); None where a label has no counterpart."""
    table = np.arange(256, dtype=np.uint8)
    for place, label in enumerate(labels):
        words = [word for word in re.split(r"[\W_]+", label.lower()) if word]
        for pair in SIDES:
            for one, other in (pair, pair[::-1]):
                if one not in words:
                    continue
                turned = [other if word == one else word for word in words]
                found = [number for number, name in enumerate(labels) if _words(name) == turned]
                if not found:
                    return None
                table[place + 1] = found[0] + 1
    return table


def mirrors(plan: Any, labels: Sequence[str]) -> tuple[int, ...]:
    """Return the axes along which a mirrored picture or volume says something: those along which training saw it mirrored too.

    Not from side to side where labels say left or right. A file that does not say what training saw is trusted along all others.

    Args:
        plan: of a model, `cnnkit.device.segmentation.Plan`.
        labels: of it.
    """
    across = 1 if plan.voxel is None else 2
    table = exchanged(labels)
    sided = table is None or not (table == np.arange(256)).all()
    seen = range(across + 1) if plan.mirrored is None else plan.mirrored
    return tuple(axis for axis in seen if not (sided and axis == across))


def _words(label: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", label.lower()) if word]

"""Seeded pages: handwritten digits set as numbers on paper, as `read --sample` and `make digits` read one.

Design choices:
- A page is a pure function of its seed, the digit images handed in and its look; nothing is downloaded.
- It is made as a camera sees one: ink on paper (reflectance), then the sheet is turned, then light, blur, noise and JPEG.
- Everything hard is drawn at random by `Look.draw`. Pages that are measured and tested on have words and doodles too, and say
  what is true of them: `benchmarks/digit_pages.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

Box = tuple[float, float, float, float]

PAPERS = ("blank", "ruled", "squared")


@dataclass(frozen=True)
class Look:
    """How a page is made. Lengths in px of the finished image unless they are said to be relative."""

    digit_height: float = 36.0  # of a tall digit; every digit also varies by +- 12 %
    count: int = 12  # numbers on the page
    width: int = 1000
    height: int = 1000
    angle: float = 0.0  # degrees; positive turns the page clockwise
    perspective: float = 0.0  # how far the corners move, relative to the width
    paper: str = "ruled"  # one of PAPERS
    paper_colour: tuple[float, float, float] = (0.96, 0.95, 0.92)
    rule_colour: tuple[float, float, float] = (0.55, 0.66, 0.82)
    rule_strength: float = 0.6  # opacity of the rules
    rule_width: int = 1
    pitch: float = 1.6  # between lines of writing, relative to the digit height
    cell: float = 0.8  # side of a square of squared paper, relative to the digit height
    ink_colour: tuple[float, float, float] = (0.12, 0.14, 0.22)
    ink_strength: float = 0.95
    ink_grain: float = 0.1  # how uneven the ink is: 0 is a felt pen, 0.5 a pencil
    gap: tuple[float, float] = (0.06, 0.32)  # between two digits of one number, relative to the digit height
    touching: float = 0.02  # probability that two neighbours overlap instead
    shading: float = 0.4  # darkest light, as a loss: 0 is an even scan
    noise: float = 5.0  # sigma, in grey levels
    blur: float = 0.5  # sigma
    jpeg: int = 80  # quality; 0 leaves the pixels alone
    dirt: int = 10  # specks
    words: int = 0  # words and doodles among the numbers
    desk: bool = False  # the edge of the sheet is in the picture
    inverted: bool = False  # light on dark, as on a blackboard

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Look:
        """Draw a page's settings: scale, paper, ink, light and camera, each independent of the others."""
        h = float(np.exp(rng.uniform(math.log(18), math.log(80))))
        ink = _INKS[rng.integers(len(_INKS))]
        return cls(
            digit_height=h,
            count=int(rng.integers(6, 21)),
            width=int(np.clip(h * rng.uniform(20, 34), 640, 1900)),
            height=int(np.clip(h * rng.uniform(18, 34), 600, 2100)),
            angle=float(rng.uniform(-10, 10)),
            perspective=float(rng.uniform(0, 0.02)),
            paper=str(rng.choice(PAPERS, p=(0.25, 0.45, 0.3))),
            paper_colour=_PAPER_COLOURS[rng.integers(len(_PAPER_COLOURS))],
            rule_colour=_RULE_COLOURS[rng.integers(len(_RULE_COLOURS))],
            rule_strength=float(rng.uniform(0.3, 0.85)),
            rule_width=int(rng.integers(1, 3 if h > 30 else 2)),
            pitch=float(rng.uniform(1.35, 2.1)),
            cell=float(rng.uniform(0.55, 1.1)),
            ink_colour=ink,
            ink_strength=float(rng.uniform(0.75, 1.0)),
            ink_grain=float(rng.uniform(0, 0.35)),
            shading=float(rng.uniform(0.1, 0.65)),
            noise=float(rng.uniform(1, 10)),
            blur=float(rng.uniform(0.2, 0.9)) * (1.0 if h > 24 else 0.7),
            jpeg=int(rng.integers(45, 96)),
            dirt=int(rng.integers(0, 30)),
            words=int(rng.integers(1, 4)) if rng.random() < 0.25 else 0,
            desk=bool(rng.random() < 0.15),
            inverted=bool(rng.random() < 0.1),
        )


_INKS = (
    (0.10, 0.10, 0.12),
    (0.08, 0.14, 0.42),
    (0.14, 0.18, 0.50),
    (0.30, 0.30, 0.32),
    (0.05, 0.05, 0.05),
    (0.45, 0.10, 0.12),
)
_PAPER_COLOURS = ((0.97, 0.97, 0.96), (0.96, 0.94, 0.88), (0.93, 0.90, 0.78), (0.88, 0.89, 0.90), (0.90, 0.95, 0.90))
_RULE_COLOURS = ((0.55, 0.66, 0.82), (0.62, 0.62, 0.64), (0.80, 0.60, 0.62), (0.45, 0.55, 0.70))


SAMPLE = {  # ruled, shaded and slightly turned
    "digit_height": 44.0,
    "count": 12,
    "width": 1200,
    "height": 900,
    "angle": -4.0,
    "perspective": 0.0,
    "paper": "ruled",
    "pitch": 1.8,
    "shading": 0.35,
    "noise": 4.0,
    "blur": 0.6,
    "jpeg": 85,
    "dirt": 8,
    "words": 0,
    "desk": False,
    "inverted": False,
    "ink_colour": (0.10, 0.14, 0.40),
    "ink_strength": 0.95,
    "ink_grain": 0.1,
    "gap": (0.1, 0.32),
    "touching": 0.0,
    "rule_colour": (0.55, 0.66, 0.82),
    "rule_strength": 0.6,
    "rule_width": 1,
    "paper_colour": (0.97, 0.96, 0.92),
}


def sample_page(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Make the page that `make digits` reads, uint8 RGB (900, 1200, 3), of held-out digits (see `Sheet.write`)."""
    rng = np.random.default_rng([1, 0])
    sheet = Sheet(replace(Look.draw(rng), **SAMPLE), rng)
    sheet.write(images, labels)
    return sheet.photograph()


class Sheet:
    """A sheet of paper being written on, upright; `photograph` turns, lights and films it."""

    def __init__(self, look: Look, rng: np.random.Generator):
        unknown = [f.name for f in fields(look) if getattr(look, f.name) is None]
        if look.paper not in PAPERS or unknown:
            raise ValueError(f"`paper` needs one of {PAPERS}. Received: paper={look.paper!r}.")
        self.look, self.rng, self.h = look, rng, look.digit_height
        w, h = look.width, look.height
        turn = abs(math.sin(math.radians(look.angle)))
        # The sheet is larger than the picture, so that a turned picture still shows paper in its corners.
        self.bleed = int(0.5 * turn * max(w, h) + 0.03 * w + 4)
        self.size = (h + 2 * self.bleed, w + 2 * self.bleed)
        side = self.h * 0.6 + look.perspective * w
        inset_x, inset_y = 0.5 * h * turn + side, 0.5 * w * turn + side  # what every turn keeps in the picture
        self.area = (self.bleed + inset_x, self.bleed + inset_y, self.bleed + w - inset_x, self.bleed + h - inset_y)
        self.ink = np.zeros(self.size, np.float32)  # opacity of the writing
        self.stains = np.zeros(self.size, np.float32)
        self.baselines = self._rule()
        self.taken: list[Box] = []
        self.warp = self._warp()

    def _rule(self) -> np.ndarray:
        """Draw the rules; return the heights of the lines of writing inside the area."""
        look, rng, (rows, columns) = self.look, self.rng, self.size
        self.rules = np.zeros(self.size, np.float32)
        step = look.pitch * self.h
        start = self.area[1] + self.h * 1.1
        if look.paper == "squared":
            cell = look.cell * self.h
            step = math.ceil(1.35 / look.cell) * cell
        lines = np.arange(start, self.area[3], step)
        if look.paper == "ruled":
            ys, xs = np.arange(start - step * (start // step), rows, step), []
            if rng.random() < 0.4:
                xs = [self.area[0] - 0.3 * self.h]  # a margin
        elif look.paper == "squared":
            ys = np.arange(start - cell * (start // cell), rows, cell)
            xs = np.arange(rng.uniform(0, cell), columns, cell)
        else:
            ys, xs = [], []
        shift = 3  # cv2 draws to 1/8 px
        for y in ys:
            cv2.line(self.rules, (0, int(y * 8)), (columns * 8, int(y * 8)), 1.0, look.rule_width, cv2.LINE_AA, shift)
        for x in xs:
            cv2.line(self.rules, (int(x * 8), 0), (int(x * 8), rows * 8), 1.0, look.rule_width, cv2.LINE_AA, shift)
        return lines

    def write(self, images: np.ndarray, labels: np.ndarray) -> list[list[tuple[str, np.ndarray]]]:
        """Set numbers of 1 to 8 digits along the lines.

        Args:
            images: digits to write with, uint8 (n, 28, 28) or (n, 28, 28, 1), white on black as MNIST has them.
            labels: integers (n,).

        Returns:
            each number as its digits' (label, ink points (n, 2) on the sheet).

        Raises:
            ValueError: no images, or images and labels that differ in number.
        """
        images, labels = np.asarray(images), np.asarray(labels)
        if not len(images) or len(images) != len(labels):
            raise ValueError(f"`images` needs one label each. Received: {len(images)} images, {len(labels)} labels.")
        images = images.reshape(len(images), *images.shape[1:3])
        look, rng = self.look, self.rng
        spots = [(y, x) for y in self.baselines for x in (self.area[0],)]
        lengths = rng.integers(1, 9, look.count)
        numbers: list[list[tuple[str, np.ndarray]]] = []
        if not spots:
            return numbers
        # Numbers are dealt to the lines, so that a page with few of them is not only written at its top.
        lines = np.sort(rng.integers(0, len(spots), look.count))
        cursor = {i: self.area[0] + rng.uniform(0, 0.35) ** 1.5 * self.look.width for i in range(len(spots))}
        for length, line in zip(lengths, lines, strict=True):
            chosen = rng.integers(0, len(images), length)
            tiles = [self._tile(images[i]) for i in chosen]
            gaps = [self._gap() for _ in tiles]
            width = sum(t.shape[1] for t in tiles) + sum(gaps[1:])
            for offset in range(len(spots)):  # the first line from here on with room
                i = (line + offset) % len(spots)
                if cursor[i] + width < self.area[2]:
                    break
            else:
                continue
            slope = math.tan(math.radians(rng.uniform(-1.5, 1.5)))
            x, y = cursor[i], spots[i][0] + self.h * rng.uniform(-0.12, 0.1)
            number = []
            for position, (tile, gap, index) in enumerate(zip(tiles, gaps, chosen, strict=True)):
                x += gap if position else 0.0
                base = y + slope * (x - cursor[i]) + self.h * rng.uniform(-0.05, 0.05)
                number.append((str(int(labels[index])), self._stamp(tile, x, base - tile.shape[0])))
                x += tile.shape[1]
            points = np.concatenate([p for _, p in number])
            self.taken.append((*points.min(0), *points.max(0)))
            numbers.append(number)
            cursor[i] = x + self.h * rng.uniform(1.2, 4.0)
        return sorted(numbers, key=lambda n: (np.searchsorted(self.baselines, n[0][1][:, 1].mean()), n[0][1][0, 0]))

    def _gap(self) -> float:
        low, high = (-0.10, -0.03) if self.rng.random() < self.look.touching else self.look.gap
        return self.h * float(self.rng.uniform(low, high))

    def _tile(self, digit: np.ndarray) -> np.ndarray:
        """Scale a digit's ink to this page; float32 opacity, cut to its box."""
        ys, xs = np.nonzero(digit > 60)
        if not len(ys):
            ys, xs = np.nonzero(digit >= 0)
        cut = np.pad(digit[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(np.float32) / 255, 1)
        scale = self.h / 20 * self.rng.uniform(0.88, 1.12)
        size = (max(3, round(cut.shape[1] * scale)), max(3, round(cut.shape[0] * scale)))
        tile = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        crisp = max(1.0, 0.7 * scale)  # an enlarged digit keeps the edge of a pen
        return np.clip((tile - 0.4) * crisp + 0.4, 0, 1)

    def _stamp(self, tile: np.ndarray, x: float, y: float) -> np.ndarray:
        left, top = round(x), round(y)
        view = self.ink[top : top + tile.shape[0], left : left + tile.shape[1]]
        tile = tile[: view.shape[0], : view.shape[1]]
        np.maximum(view, tile, out=view)
        ys, xs = np.nonzero(tile > 0.3)
        return np.stack([xs + left, ys + top], 1).astype(np.float64)

    def _warp(self) -> np.ndarray:
        """Homography (3, 3) from the sheet to the picture: a turn about the middle, and a little perspective."""
        look, rng = self.look, self.rng
        middle = (self.size[1] / 2, self.size[0] / 2)
        turn = np.vstack([cv2.getRotationMatrix2D(middle, -look.angle, 1.0), [0, 0, 1]])
        turn = np.array([[1, 0, -self.bleed], [0, 1, -self.bleed], [0, 0, 1.0]]) @ turn
        corners = np.array([[0, 0], [look.width, 0], [look.width, look.height], [0, look.height]], np.float32)
        moved = corners + rng.uniform(-1, 1, (4, 2)).astype(np.float32) * look.perspective * look.width
        return cv2.getPerspectiveTransform(corners, moved.astype(np.float32)) @ turn

    def photograph(self) -> np.ndarray:
        """Turn the sheet, light it, and take the picture: uint8 RGB (h, w, 3)."""
        look, rng = self.look, self.rng
        size = (look.width, look.height)
        ink = self.ink
        if look.ink_grain:
            ink = ink * (
                1 - look.ink_grain * cv2.GaussianBlur(rng.random(self.size, np.float32), (0, 0), 0.8) * 2
            ).clip(0, 1)
        ink, rules, stains = (
            cv2.warpPerspective(a, self.warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for a in (ink, self.rules, self.stains)
        )
        fibre = cv2.GaussianBlur(rng.standard_normal((look.height, look.width), np.float32), (0, 0), 1.2)
        paper, rule, pen = (np.array(c, np.float32) for c in (look.paper_colour, look.rule_colour, look.ink_colour))
        if look.inverted:
            paper, rule, pen = 0.22 * paper, 0.22 * paper + 0.25 * rule, 0.95 - 0.3 * pen
        scene = paper * (1 + 0.02 * fibre)[..., None]
        scene = scene * (1 - stains[..., None] * np.array((0.35, 0.5, 0.75), np.float32))
        scene += (look.rule_strength * rules)[..., None] * (rule - scene)
        scene += (look.ink_strength * ink)[..., None] * (pen - scene)
        if look.desk:
            scene = self._desk(scene)
        scene *= self._light()[..., None]
        for _ in range(look.dirt):
            centre = (int(rng.integers(look.width)), int(rng.integers(look.height)))
            tone = tuple(float(v) for v in scene[centre[1], centre[0]] * rng.uniform(0.3, 0.8))
            cv2.circle(scene, centre, int(rng.integers(0, max(1, round(self.h * 0.05)) + 1)), tone, -1, cv2.LINE_AA)
        scene = cv2.GaussianBlur(scene, (0, 0), look.blur) if look.blur else scene
        noise = rng.standard_normal(scene.shape, np.float32) * 0.5 + rng.standard_normal(
            (*scene.shape[:2], 1), np.float32
        )
        image = np.clip(scene * 255 + look.noise * 0.9 * noise, 0, 255).astype(np.uint8)
        if look.jpeg:
            image = cv2.imdecode(
                cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, look.jpeg))[1], cv2.IMREAD_COLOR
            )
        return image

    def _desk(self, scene: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = self.area
        room = 0.45 * self.h
        edge = np.array(
            [[x0 - room, y0 - room], [x1 + room, y0 - room], [x1 + room, y1 + room], [x0 - room, y1 + room]]
        )
        edge = cv2.perspectiveTransform(edge[None], self.warp)[0]
        sheet = np.zeros(scene.shape[:2], np.float32)
        cv2.fillPoly(sheet, [np.round(edge * 8).astype(np.int32)], 1.0, cv2.LINE_AA, 3)
        wood = np.array((0.42, 0.32, 0.24), np.float32) * self.rng.uniform(0.5, 1.1)
        grain = cv2.resize(self.rng.standard_normal((scene.shape[0] // 4, 8), np.float32), scene.shape[1::-1])
        return scene * sheet[..., None] + (1 - sheet[..., None]) * wood * (1 + 0.06 * grain)[..., None]

    def _light(self) -> np.ndarray:
        """A gradient, and a soft shadow with one edge, as a hand or a phone throws it."""
        look, rng = self.look, self.rng
        y, x = np.mgrid[0 : look.height, 0 : look.width].astype(np.float32)
        x, y = x / look.width - 0.5, y / look.height - 0.5
        a, b = rng.uniform(0, 2 * math.pi, 2)
        gradient = (x * math.cos(a) + y * math.sin(a)) / 1.4 + 0.5
        edge = x * math.cos(b) + y * math.sin(b) - rng.uniform(-0.2, 0.4) + 0.1 * np.sin(3 * x + 5 * y)
        shadow = 1 / (1 + np.exp(-edge / rng.uniform(0.02, 0.12)))
        share = rng.uniform(0.2, 0.8)
        return (1 - look.shading * (share * gradient + (1 - share) * shadow)).astype(np.float32)

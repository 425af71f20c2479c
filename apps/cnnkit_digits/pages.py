"""Seeded test pages: handwritten digits set as numbers on paper, and pages that hold no digit at all.

Design choices:
- A page is a pure function of its seed, the digit images handed in and the settings named in the call; nothing is downloaded.
- It is made as a camera sees one: ink on paper (reflectance), then the sheet is turned, then light, blur, noise and JPEG.
- Everything hard is drawn at random by `Look.draw`; a test overrides one setting by name, e.g. `page(3, x, y, angle=8.0)`.
- Truth boxes are the tight boxes of each digit's own ink after turning, not of its 28x28 frame.
- Used by `benchmarks/read_pages.py`, by the tests, and by `make digits` (`sample_page`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

Box = tuple[float, float, float, float]

PAPERS = ("blank", "ruled", "squared")

# Words of two to nine letters, common ones first: what stands on real pages beside numbers.
_WORDS = """
    the and that have for not with you this but his from they say her she will one all would there their what out
    about who get which when make can like time just him know take people into year your good some could them see other
    than then now look only come its over think also back after use two how our work first well way even new want because
    any these give day most us is it to of in be as at so we he by or on do if me my up an go no am big bob oil silo
    solos boss goose loss lobby hello Boil Bills Zoo Total Date Name Sum Room Notes Milk Bread Sugar Eggs Ollie Isis
    Monday Tuesday April August Invoice Paid Street Berlin Paris Zebra Quartz Pixel jolly fuzzy lazy quick brown fox jumps
    dog school lesson figure answer table sketch garden window"""
WORDS = tuple(_WORDS.split())
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_COMPLEX | cv2.FONT_ITALIC,
)


@dataclass(frozen=True)
class TrueDigit:
    """One digit on a page: its label and the tight box (x0, y0, x1, y1) of its ink, in px of the image."""

    text: str
    box: Box


@dataclass(frozen=True)
class TrueNumber:
    """One number on a page, its digits from left to right."""

    text: str
    box: Box
    digits: tuple[TrueDigit, ...]


@dataclass(frozen=True)
class Truth:
    """What stands on a page, in reading order, and how the page was made."""

    numbers: tuple[TrueNumber, ...]
    look: Look


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


def page(seed: int, images: np.ndarray, labels: np.ndarray, **settings) -> tuple[np.ndarray, Truth]:
    """Write numbers of 1 to 8 digits on a page.

    Args:
        seed: chooses the page's look, the digits and every accident.
        images: digits to write with, uint8 (n, 28, 28) or (n, 28, 28, 1), white on black as MNIST has them.
        labels: integers (n,).
        settings: fields of `Look` that shall not be drawn at random.

    Returns:
        The page, uint8 RGB (h, w, 3), and what stands on it.

    Raises:
        ValueError: no images, or images and labels that differ in number.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if not len(images) or len(images) != len(labels):
        raise ValueError(f"`images` needs one label each. Received: {len(images)} images, {len(labels)} labels.")
    images = images.reshape(len(images), *images.shape[1:3])
    rng = np.random.default_rng([seed, 0])
    look = replace(Look.draw(rng), **settings)
    sheet = _Sheet(look, rng)
    numbers = sheet.write(images, labels)
    for _ in range(look.words):
        sheet.place(_DOODLES[rng.integers(2)] if rng.random() < 0.8 else _squiggle)
    return sheet.photograph(), Truth(tuple(sheet.truth(n) for n in numbers), look)


def blank_page(seed: int, **settings) -> tuple[np.ndarray, Truth]:
    """Make a page that holds no digit: words, cursive lines, scribbles, drawings, stains, bars, or paper alone.

    Args:
        seed: chooses the page's look and what is on it.
        settings: fields of `Look` that shall not be drawn at random.

    Returns:
        The page, uint8 RGB (h, w, 3), and a `Truth` without numbers.
    """
    rng = np.random.default_rng([seed, 1])
    look = replace(Look.draw(rng), **settings)
    sheet = _Sheet(look, rng)
    kinds = rng.permutation(len(_DOODLES))[: rng.integers(1, 5)] if rng.random() > 0.08 else ()
    for _ in range(int(rng.integers(6, 26)) if len(kinds) else 0):
        sheet.place(_DOODLES[rng.choice(kinds)])
    for _ in range(rng.integers(0, 3)):
        _stain(sheet)
    return sheet.photograph(), Truth((), look)


def sample_page(images: np.ndarray, labels: np.ndarray, seed: int = 1) -> tuple[np.ndarray, Truth]:
    """Make the ruled, shaded, slightly turned page that `make digits` reads.

    Args:
        images: held-out digits, uint8 (n, 28, 28) or (n, 28, 28, 1), white on black.
        labels: integers (n,).
        seed: chooses the digits.

    Returns:
        The page, uint8 RGB (900, 1200, 3), and what stands on it.
    """
    easy = {
        "digit_height": 44.0,
        "count": 12,
        "width": 1200,
        "height": 900,
        "angle": -4.0,
        "perspective": 0.0,
        "paper": "ruled",
        "pitch": 1.8,
    }
    light = {
        "shading": 0.35,
        "noise": 4.0,
        "blur": 0.6,
        "jpeg": 85,
        "dirt": 8,
        "words": 0,
        "desk": False,
        "inverted": False,
    }
    pen = {
        "ink_colour": (0.10, 0.14, 0.40),
        "ink_strength": 0.95,
        "ink_grain": 0.1,
        "gap": (0.1, 0.32),
        "touching": 0.0,
    }
    rules = {
        "rule_colour": (0.55, 0.66, 0.82),
        "rule_strength": 0.6,
        "rule_width": 1,
        "paper_colour": (0.97, 0.96, 0.92),
    }
    return page(seed, images, labels, **easy, **light, **pen, **rules)


class _Sheet:
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
        """Set the numbers along the lines; return each as its digits' (label, ink points (n, 2) on the sheet)."""
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

    def place(self, doodle: Callable[[_Sheet, float, float], tuple[float, float]]) -> None:
        """Put a doodle where nothing stands yet; give up after a few tries."""
        keep = self.ink.copy()
        for _ in range(12):
            x, y = (float(self.rng.uniform(self.area[i], max(self.area[i] + 1, self.area[i + 2]))) for i in (0, 1))
            self.ink[:] = 0
            doodle(self, x, y)
            rows, columns = np.nonzero(self.ink > 0.2)
            new, self.ink = self.ink, keep
            if not len(rows):
                continue
            box = (columns.min(), rows.min(), columns.max(), rows.max())
            inside = box[0] > self.area[0] and box[2] < self.area[2] and box[1] > self.area[1] and box[3] < self.area[3]
            if inside and not any(_near(box, other, 0.8 * self.h) for other in self.taken):
                np.maximum(self.ink, new, out=self.ink)
                self.taken.append(box)
                return
            keep = self.ink
            self.ink = new
        self.ink = keep

    def stroke(self, points: np.ndarray, width: float, closed: bool = False) -> None:
        """Draw a line through points (n, 2), in px of the sheet."""
        lines = [np.round(np.asarray(points) * 8).astype(np.int32).reshape(-1, 1, 2)]
        cv2.polylines(self.ink, lines, closed, 1.0, max(1, round(width)), cv2.LINE_AA, 3)

    def _warp(self) -> np.ndarray:
        """Homography (3, 3) from the sheet to the picture: a turn about the middle, and a little perspective."""
        look, rng = self.look, self.rng
        middle = (self.size[1] / 2, self.size[0] / 2)
        turn = np.vstack([cv2.getRotationMatrix2D(middle, -look.angle, 1.0), [0, 0, 1]])
        turn = np.array([[1, 0, -self.bleed], [0, 1, -self.bleed], [0, 0, 1.0]]) @ turn
        corners = np.array([[0, 0], [look.width, 0], [look.width, look.height], [0, look.height]], np.float32)
        moved = corners + rng.uniform(-1, 1, (4, 2)).astype(np.float32) * look.perspective * look.width
        return cv2.getPerspectiveTransform(corners, moved.astype(np.float32)) @ turn

    def truth(self, number: list[tuple[str, np.ndarray]]) -> TrueNumber:
        digits = []
        for text, points in number:
            seen = cv2.perspectiveTransform(points[None] + 0.0, self.warp)[0]
            digits.append(TrueDigit(text, (*(float(v) for v in seen.min(0)), *(float(v) + 1 for v in seen.max(0)))))
        boxes = np.array([d.box for d in digits])
        box = tuple(float(v) for v in (*boxes[:, :2].min(0), *boxes[:, 2:].max(0)))
        return TrueNumber("".join(d.text for d in digits), box, tuple(digits))  # type: ignore[arg-type]

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


def _near(a: Box, b: Box, room: float) -> bool:
    return a[0] - room < b[2] and b[0] - room < a[2] and a[1] - room < b[3] and b[1] - room < a[3]


# Doodles: functions of (sheet, x, y) that draw into `sheet.ink`. `u` is the height of a digit, the unit of everything.


def _word(sheet: _Sheet, x: float, y: float) -> None:
    """One to four words in a Hershey font, x-height or capitals about as high as the digits."""
    rng, u = sheet.rng, sheet.h * sheet.rng.uniform(0.7, 1.3)
    text = " ".join(rng.choice(WORDS, rng.integers(1, 5)))
    text = text.upper() if rng.random() < 0.25 else text
    pen = max(1, round(u * rng.uniform(0.05, 0.12)))
    written = np.zeros(sheet.size, np.uint8)  # cv2 writes text on 8 bit alone
    cv2.putText(written, text, (int(x), int(y)), int(rng.choice(FONTS)), u / 22, 255, pen, cv2.LINE_AA)
    np.maximum(sheet.ink, written.astype(np.float32) / 255, out=sheet.ink)


def _cursive(sheet: _Sheet, x: float, y: float) -> None:
    """A line of joined handwriting-like strokes: loops and arches of changing height."""
    rng, u = sheet.rng, sheet.h * sheet.rng.uniform(0.6, 1.2)
    pen = u * rng.uniform(0.06, 0.12)
    for _ in range(rng.integers(1, 4)):
        letters = rng.integers(3, 9)
        t = np.linspace(0, letters * 2 * math.pi, letters * 24)
        height = np.interp(t, np.linspace(0, t[-1], letters + 1), rng.choice((0.35, 0.4, 0.9, 1.0), letters + 1))
        loop = np.interp(t, np.linspace(0, t[-1], letters + 1), rng.uniform(0.05, 0.3, letters + 1))
        xs = x + u * (0.09 * t + loop * np.sin(t)) + 0.25 * u * height * (1 - np.cos(t)) / 2
        ys = y - u * height * (1 - np.cos(t)) / 2 + u * 0.04 * np.sin(0.7 * t)
        sheet.stroke(np.stack([xs, ys], 1), pen)
        x = xs.max() + u * rng.uniform(0.6, 1.2)


def _scribble(sheet: _Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    size = np.array([rng.uniform(1.5, 5), rng.uniform(0.8, 2.5)]) * u
    knots = rng.uniform(0, 1, (rng.integers(10, 30), 2)) * size + (x, y)
    sheet.stroke(_smooth(knots), u * rng.uniform(0.05, 0.12))


def _squiggle(sheet: _Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    t = np.linspace(0, 1, 60)
    wave = np.sin(t * rng.uniform(12, 40)) * rng.uniform(0.1, 0.5) * u
    sheet.stroke(np.stack([x + t * rng.uniform(3, 8) * u, y + wave], 1), u * rng.uniform(0.05, 0.12))


def _drawing(sheet: _Sheet, x: float, y: float) -> None:
    """A house, a sun, a face, a star, a flower, a fish, a cube or a graph, three to six digits high."""
    rng = sheet.rng
    u, pen = sheet.h * rng.uniform(3, 6), sheet.h * rng.uniform(0.05, 0.12)

    def line(*points, closed=False):
        sheet.stroke(np.array(points) * u + (x, y), pen, closed)

    def ring(cx, cy, rx, ry=None):
        t = np.linspace(0, 2 * math.pi, 40)
        line(*np.stack([cx + rx * np.cos(t), cy + (ry or rx) * np.sin(t)], 1), closed=True)

    turn = np.linspace(0, 2 * math.pi, 11)
    match rng.integers(8):
        case 0:  # house
            line((0, 0.4), (0.4, 0), (0.8, 0.4), (0.8, 1), (0, 1), closed=True)
            line((0.3, 1), (0.3, 0.6), (0.5, 0.6), (0.5, 1))
            line((0, 0.4), (0.8, 0.4))
        case 1:  # sun
            ring(0.5, 0.5, 0.28)
            for a in turn:
                line(*(np.array([0.5, 0.5]) + r * np.array([math.cos(a), math.sin(a)]) for r in (0.34, 0.5)))
        case 2:  # face
            ring(0.5, 0.5, 0.5)
            ring(0.33, 0.38, 0.05)
            ring(0.67, 0.38, 0.05)
            line((0.3, 0.65), (0.4, 0.74), (0.6, 0.74), (0.7, 0.65))
        case 3:  # star
            line(
                *(
                    (0.5 + 0.5 * math.sin(4 * math.pi * k / 5), 0.5 - 0.5 * math.cos(4 * math.pi * k / 5))
                    for k in range(5)
                ),
                closed=True,
            )
        case 4:  # flower
            for a in turn[:6]:
                ring(0.5 + 0.2 * math.cos(a * 1.67), 0.3 + 0.2 * math.sin(a * 1.67), 0.13)
            line((0.5, 0.55), (0.5, 1))
        case 5:  # fish
            ring(0.4, 0.4, 0.4, 0.22)
            line((0.8, 0.4), (1.0, 0.2), (1.0, 0.6), closed=True)
            ring(0.2, 0.34, 0.03)
        case 6:  # cube
            line((0, 0.3), (0.7, 0.3), (0.7, 1), (0, 1), closed=True)
            line((0, 0.3), (0.3, 0), (1, 0), (1, 0.7), (0.7, 1))
            line((0.7, 0.3), (1, 0))
        case _:  # graph
            line((0, 0), (0, 1), (1.2, 1))
            t = np.linspace(0, 1.1, 30)
            line(*np.stack([t, 0.9 - 0.7 * t**2 + 0.06 * np.sin(20 * t)], 1))


def _bars(sheet: _Sheet, x: float, y: float) -> None:
    """A bar code."""
    rng, u = sheet.rng, sheet.h
    height = u * rng.uniform(0.8, 3)
    for _ in range(rng.integers(12, 40)):
        width = u * rng.choice((0.05, 0.1, 0.16))
        cv2.rectangle(sheet.ink, (round(x), round(y)), (round(x + width), round(y + height)), 1.0, -1)
        x += width + u * rng.choice((0.08, 0.14, 0.22))


def _table(sheet: _Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    rows, columns = rng.integers(2, 6, 2)
    cell, pen = u * rng.uniform(1, 2.5), u * 0.05
    for i in range(rows + 1):
        sheet.stroke(np.array([[x, y + i * cell], [x + columns * cell * 1.5, y + i * cell]]), pen)
    for i in range(columns + 1):
        sheet.stroke(np.array([[x + i * cell * 1.5, y], [x + i * cell * 1.5, y + rows * cell]]), pen)


def _blobs(sheet: _Sheet, x: float, y: float) -> None:
    """Filled spots and a logo: a filled disc with a piece cut out."""
    rng, u = sheet.rng, sheet.h
    for _ in range(rng.integers(1, 5)):
        knots = np.stack([np.cos(np.linspace(0, 6, 9)), np.sin(np.linspace(0, 6, 9))], 1) * rng.uniform(0.5, 1, (9, 1))
        shape = _smooth(knots * u * rng.uniform(0.1, 0.7) + (x, y), closed=True)
        cv2.fillPoly(sheet.ink, [np.round(shape * 8).astype(np.int32)], 1.0, cv2.LINE_AA, 3)
        x += u * rng.uniform(1, 2.5)


def _hatching(sheet: _Sheet, x: float, y: float) -> None:
    rng, u = sheet.rng, sheet.h
    lean, step = rng.uniform(-1.2, 1.2), u * rng.uniform(0.15, 0.4)
    for i in range(rng.integers(5, 16)):
        length = u * rng.uniform(0.8, 1.8)
        sheet.stroke(np.array([[x + i * step, y], [x + i * step + lean * length, y + length]]), u * 0.07)


def _mark(sheet: _Sheet, x: float, y: float) -> None:
    """An arrow, a tick with a long arm, an underline, a bracket or a cross."""
    rng, u, pen = sheet.rng, sheet.h, sheet.h * 0.09
    shapes = (
        [[(0, 0), (3, 0)], [(2.6, -0.3), (3, 0), (2.6, 0.3)]],
        [[(0, 0), (4, 0.05)], [(0, 0.2), (4, 0.22)]],
        [[(0.3, -1), (0, -1), (0, 1), (0.3, 1)]],
        [[(0, 0), (1, 1)], [(0, 1), (1, 0)]],
        [[(0, 0.6), (0.4, 1), (1.8, -0.6)]],
    )
    for line in shapes[rng.integers(len(shapes))]:
        sheet.stroke(np.array(line) * u + (x, y), pen)


def _stain(sheet: _Sheet) -> None:
    """A pale spot with a darker rim, or a coffee ring."""
    rng, (rows, columns) = sheet.rng, sheet.size
    centre = (int(rng.uniform(0, columns)), int(rng.uniform(0, rows)))
    radius = int(sheet.h * rng.uniform(1.5, 5))
    stain = np.zeros(sheet.size, np.float32)
    if rng.random() < 0.5:
        cv2.circle(stain, centre, radius, 0.12, -1, cv2.LINE_AA)
        cv2.circle(stain, centre, radius, 0.35, max(1, radius // 14), cv2.LINE_AA)
    else:
        cv2.ellipse(stain, centre, (radius, radius), 0, 20, 330, 0.45, max(1, radius // 10), cv2.LINE_AA)
    stain = cv2.GaussianBlur(stain, (0, 0), max(1.0, sheet.h * 0.04))
    np.maximum(sheet.stains, stain, out=sheet.stains)


def _smooth(knots: np.ndarray, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through knots (n, 2), 12 points a piece."""
    ends = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    p = np.concatenate([ends[0], knots, ends[1]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.transpose(1, 0, 2).reshape(-1, 2)


_DOODLES = (_word, _cursive, _scribble, _squiggle, _drawing, _bars, _table, _blobs, _hatching, _mark)

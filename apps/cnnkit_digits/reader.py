"""Read every handwritten number on a photo or scan of a page.

Design choices:
- The classifier is a function, `classify(images) -> probabilities`, so the reader runs from a `.tflite` with numpy and
  OpenCV alone, from a Keras model, or from a stub in a test.
- Nothing depends on an absolute size: marks are judged against their neighbours, so a page may mix several scales.
- Where strokes break or touch, pieces are joined and cut in plausible ways and the classifier chooses; a cut is
  always flagged.
- A digit is what the classifier calls the same under six looks. A classifier of ten digits finds one in any letter, so
  a number is judged as a whole, and more strictly on a page where most marks are not digits.
- Numbers are ordered as they are written: lines follow the slant of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cnnkit_digits import glyphs as gl
from cnnkit_digits import ink as ink_
from cnnkit_digits.glyphs import Glyph

Box = tuple[float, float, float, float]
Classify = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Reading:
    """How a page is read.

    Attributes:
        gap: numbers are apart where the gap between digits exceeds this many digit heights.
        certain: a number with a digit below this confidence is flagged "uncertain".
        accept: log odds above which marks are taken for a number; more is stricter.
        convincing: log odds a digit that the best number of a page needs; without one the page has none. It keeps long
            rows of scribble from adding up to a number where there is nothing to compare them with. On made pages (seeds
            from 1000) the best number had 3.1 or more on each of 20 with digits, 0.8 or less on each of 140 without.
        longest: the page is shrunk to this longest side, px.
        smallest: digits lower than this are not read, px at that size.
    """

    gap: float = 0.75
    certain: float = 0.6
    accept: float = 0.0
    convincing: float = 2.0
    longest: int = ink_.LONGEST
    smallest: int = 9


@dataclass(frozen=True)
class Digit:
    """One digit: its box (x0, y0, x1, y1) in px of the page as given, and the classifier's confidence in [0, 1]."""

    text: str
    box: Box
    confidence: float
    corners: tuple[tuple[float, float], ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Number:
    """One number.

    Attributes:
        text: its digits.
        box: (x0, y0, x1, y1), px of the page as given, upright.
        angle: degrees its line is turned; positive is clockwise.
        confidence: of its least certain digit, in [0, 1].
        digits: from left to right.
        flags: "touching" (digits were cut apart), "uncertain", "mark" (a point or a dash inside was left out).
        corners: the box turned with the line, four (x, y).
    """

    text: str
    box: Box
    angle: float
    confidence: float
    digits: tuple[Digit, ...]
    flags: tuple[str, ...] = ()
    corners: tuple[tuple[float, float], ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Page:
    """What a page says: its numbers in reading order, its turn in degrees, its size (width, height) in px."""

    numbers: tuple[Number, ...]
    angle: float
    size: tuple[int, int]

    def to_dict(self) -> dict:
        """The page as plain lists, numbers and strings, for JSON."""
        return {
            "width": self.size[0],
            "height": self.size[1],
            "angle": round(self.angle, 2),
            "numbers": [
                {
                    "text": n.text,
                    "box": [round(v, 1) for v in n.box],
                    "angle": round(n.angle, 2),
                    "confidence": round(n.confidence, 4),
                    "flags": list(n.flags),
                    "digits": [
                        {"text": d.text, "box": [round(v, 1) for v in d.box], "confidence": round(d.confidence, 4)}
                        for d in n.digits
                    ],
                }
                for n in self.numbers
            ],
        }


@dataclass(eq=False)
class _Unit:
    """A glyph on its way to be a digit."""

    glyph: Glyph
    quick: np.ndarray | None = None  # probabilities (10,) of one look
    scores: np.ndarray | None = None  # mean over all looks
    looks: np.ndarray | None = None  # (looks, 10)
    cut: bool = False
    wide: bool = False  # looks like touching digits that no cut explains

    @property
    def quality(self) -> float:
        return float(self.quick.max()) if self.quick is not None else 0.0


def read_page(image: np.ndarray, classify: Classify, reading: Reading | None = None) -> Page:
    """Read a page.

    Args:
        image: uint8 (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA.
        classify: uint8 (n, 28, 28, 1), white ink on black as in MNIST -> probabilities float (n, 10).
        reading: settings.

    Returns:
        The page; one without numbers where there are none.

    Raises:
        ValueError: `image` has another shape or type.
    """
    reading = reading or Reading()
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(f"`image` needs uint8 (h, w), (h, w, 3) or (h, w, 4). Received: {image.dtype} {image.shape}.")
    size = (image.shape[1], image.shape[0])
    if min(size) < 8:
        return Page((), 0.0, size)
    ink, scale = ink_.ink_of(image, reading.longest)
    angle = ink_.skew_of(ink)
    ink, back = ink_.turned(ink, angle)
    ink, rules = ink_.without_rules(ink, ink_.noise_of(ink))
    sigma = ink_.noise_of(ink)
    marks = gl.marks(ink, sigma, rules)
    words = _words(marks, reading)
    scorer = _Scorer(classify)
    for word in words:
        _drop_dirt(word)
    scorer.quick([u for w in words for u in w.units])
    _join(words, scorer)
    _cut(words, scorer)
    for word in words:
        _drop_dirt(word)
    scorer.full([u for w in words for u in w.units])
    words = _judge(words, reading)
    place = _Place(back, scale, angle)
    numbers = [_number(word, place, reading) for word in _in_reading_order(words)]
    return Page(tuple(numbers), angle, size)


@dataclass(eq=False)
class _Word:
    """Units that stand together on a line, from left to right."""

    units: list[_Unit]
    height: float  # of its digits, px
    marks: list[Glyph] = field(default_factory=list)  # small ink that is no digit
    evidence: float = 0.0  # log odds that it is a number

    def sort(self) -> None:
        self.units.sort(key=lambda u: u.glyph.x + u.glyph.width / 2)


class _Scorer:
    """Asks the classifier about many glyphs at once."""

    def __init__(self, classify: Classify):
        self.classify = classify

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if not len(images):
            return np.zeros((0, 10), np.float32)
        return np.asarray(self.classify(images[..., None]), np.float32).reshape(len(images), 10)

    def quick(self, units: Sequence[_Unit]) -> None:
        units = [u for u in units if u.quick is None]
        if units:
            for unit, row in zip(units, self(np.stack([_picture(u.glyph) for u in units])), strict=True):
                unit.quick = row

    def full(self, units: Sequence[_Unit]) -> None:
        if units:
            looks = gl.variants(np.stack([_picture(u.glyph) for u in units]))
            rows = self(looks.reshape(-1, gl.SIDE, gl.SIDE)).reshape(len(units), looks.shape[1], 10)
            for unit, row in zip(units, rows, strict=True):
                unit.looks, unit.scores = row, row.mean(0)


def _picture(glyph: Glyph) -> np.ndarray:
    return gl.normalised(glyph.ink, gl.stroke_width(glyph))


def _words(marks: list[Glyph], reading: Reading) -> list[_Word]:
    """Gather marks that stand closer than the gap between numbers."""
    marks = [m for m in marks if m.height >= 3 or m.width >= 3]
    if not marks:
        return []
    x0, y0, x1, y1 = (
        np.array(v, np.float32) for v in zip(*((m.x, m.y, m.right, m.bottom) for m in marks), strict=True)
    )
    h = y1 - y0
    order = np.argsort(x0, kind="stable")
    group = np.arange(len(marks))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for position, i in enumerate(order):
        rest = order[position + 1 :]
        tall = np.maximum(h[rest], h[i])
        gap = x0[rest] - x1[i]
        overlap = np.minimum(y1[rest], y1[i]) - np.maximum(y0[rest], y0[i])
        apart = np.abs(y1[rest] + y0[rest] - y1[i] - y0[i]) / 2
        ratio = np.minimum(h[rest], h[i]) / tall
        peers = (ratio > 0.42) & (overlap > 0.3 * ratio * tall) & (gap < reading.gap * tall) & (apart < 0.65 * tall)
        bits = (ratio <= 0.6) & (gap < 0.2 * tall) & (apart < 0.8 * tall) & (tall < 12 * np.minimum(h[rest], h[i]))
        inside = gap < -0.6 * np.minimum(x1[rest] - x0[rest], x1[i] - x0[i])
        peers |= bits & (inside | (overlap > 0))
        long = np.maximum(np.minimum(h[rest], h[i]), np.where(h[rest] < h[i], (x1 - x0)[rest], x1[i] - x0[i]))
        peers |= (ratio <= 0.42) & (long > 0.25 * tall) & (gap < 0.4 * tall) & (overlap > 0)  # the flag of a 5
        for j in rest[peers]:
            group[root(int(j))] = root(int(i))
    members: dict[int, list[Glyph]] = {}
    for i, mark in enumerate(marks):
        members.setdefault(root(i), []).append(mark)
    words = []
    for own in members.values():
        word = _Word([_Unit(g) for g in own], _height(own))
        word.sort()
        if word.height >= reading.smallest:
            words.append(word)
    return words


def _height(glyphs: Sequence[Glyph]) -> float:
    """Height of the digits among glyphs: the median, in which a tall glyph counts for more than a speck."""
    heights = np.sort([g.height for g in glyphs]).astype(float)
    weight = np.cumsum(heights**2)
    return float(heights[np.searchsorted(weight, weight[-1] / 2)])


def _drop_dirt(word: _Word) -> None:
    """Set aside what is too small to be a digit of this word."""
    keep = []
    for unit in word.units:
        g = unit.glyph
        if unit.quick is None:
            small = max(g.height, g.width) < 0.12 * word.height
        else:
            small = g.height < 0.42 * word.height
        (word.marks.append(g) if small else keep.append(unit))
    word.units = keep


def _join(words: list[_Word], scorer: _Scorer) -> None:
    """Join broken strokes where the classifier likes the whole better than its parts."""
    for _ in range(3):
        trials: list[tuple[_Word, _Unit, _Unit, _Unit]] = []
        for word in words:
            for a, b in _pairs(word):
                trials.append((word, a, b, _Unit(gl.joined((a.glyph, b.glyph)), cut=a.cut or b.cut)))
        scorer.quick([t[3] for t in trials])
        gains = sorted(((_gain(*t), k) for k, t in enumerate(trials)), reverse=True)
        used: set[int] = set()
        for gain, k in gains:
            word, a, b, whole = trials[k]
            if gain <= 0:
                break
            if id(a) in used or id(b) in used:
                continue
            used |= {id(a), id(b)}
            word.units = [u for u in word.units if u is not a and u is not b] + [whole]
            word.sort()
        if not used:
            return


def _pairs(word: _Word) -> list[tuple[_Unit, _Unit]]:
    out = []
    for i, a in enumerate(word.units):
        for b in word.units[i + 1 : i + 5]:
            g, k = a.glyph, b.glyph
            gap = max(g.x, k.x) - min(g.right, k.right)
            drop = max(g.y, k.y) - min(g.bottom, k.bottom)
            width, height = max(g.right, k.right) - min(g.x, k.x), max(g.bottom, k.bottom) - min(g.y, k.y)
            if (
                gap < 0.16 * word.height
                and drop < 0.4 * word.height
                and width < 1.3 * word.height
                and height < 1.7 * word.height
            ):
                out.append((a, b))
    return out


def _gain(word: _Word, a: _Unit, b: _Unit, whole: _Unit) -> float:
    """How much better a joined glyph is than its parts; positive joins."""
    big, small = (a, b) if a.glyph.amount >= b.glyph.amount else (b, a)
    share = small.glyph.amount / max(big.glyph.amount, 1e-6)
    overlap = min(a.glyph.right, b.glyph.right) - max(a.glyph.x, b.glyph.x)
    stacked = overlap >= 0.5 * min(a.glyph.width, b.glyph.width)
    bit = small.glyph.height < 0.5 * word.height
    if bit and share < 0.08:  # perhaps dirt: must not harm
        return whole.quality - big.quality + 0.02
    if bit or (stacked and min(a.glyph.height, b.glyph.height) < 0.75 * word.height):
        return whole.quality - min(big.quality, 0.75) + 0.15
    if stacked:
        return whole.quality - max(big.quality, small.quality)
    if min(big.quality, small.quality) < 0.6:
        return whole.quality - max(big.quality, 0.6) - 0.1
    return -1.0


def _cut(words: list[_Word], scorer: _Scorer) -> None:
    """Cut touching digits apart where the classifier likes the parts better than the whole."""
    suspects = [(w, u) for w in words for u in w.units if _may_touch(w, u)]
    for _ in range(3):
        trials = []
        for word, unit in suspects:
            for left, right, price in gl.cuts(unit.glyph):
                if (
                    min(left.height, right.height) > 0.45 * word.height
                    and min(left.amount, right.amount) > 0.12 * unit.glyph.amount
                ):
                    trials.append((word, unit, _Unit(left, cut=True), _Unit(right, cut=True), price))
        scorer.quick([u for t in trials for u in t[2:4]])
        best: dict[int, tuple] = {}
        for trial in trials:
            value = _value(*trial)
            if value > best.get(id(trial[1]), (0.0,))[0]:
                best[id(trial[1])] = (value, trial)
        again = []
        for word, unit in suspects:
            if id(unit) not in best:
                unit.wide = unit.glyph.width > 1.25 * max(unit.glyph.height, 0.8 * word.height)
                continue
            _, (_, _, left, right, _) = best[id(unit)]
            word.units = [u for u in word.units if u is not unit] + [left, right]
            word.sort()
            again += [(word, u) for u in (left, right) if _may_touch(word, u)]
        suspects = again
        if not suspects:
            return


def _may_touch(word: _Word, unit: _Unit) -> bool:
    g = unit.glyph
    if g.width > 4.5 * g.height or g.height < 0.5 * word.height:
        return False
    if g.width > 1.15 * g.height:
        return True
    return g.width > 0.55 * g.height and unit.quality < (0.8 if g.width > 0.85 * g.height else 0.6)


def _value(word: _Word, unit: _Unit, left: _Unit, right: _Unit, price: float) -> float:
    """How much better two parts are than the whole; positive cuts."""
    worst, mean = min(left.quality, right.quality), (left.quality + right.quality) / 2
    g = unit.glyph
    broad = g.width / max(g.height, 0.8 * word.height)
    whole = unit.quality - max(0.0, broad - 1.05)
    again = [u for u in (left, right) if u.glyph.width > 1.15 * u.glyph.height]  # to be cut once more
    if again:
        worst = mean = max(left.quality, right.quality) - 0.1
    # Half of a digit looks like a 1, so a 1 beside a full digit must be paid for.
    ones = 0.12 * sum(int(u.quick.argmax()) == 1 for u in (left, right))
    low = max(0.0, 0.8 - min(left.glyph.height, right.glyph.height) / max(left.glyph.height, right.glyph.height))
    return 0.5 * worst + 0.5 * mean - whole - price - ones - 0.5 * low - 0.12


# Evidence is a log-likelihood ratio, digit against other ink, set by hand after looking at the pages of `pages.py` with
# seeds from 1000.
# By share of the classifier's peak confidence, meaned over six looks:
_BY_CONFIDENCE = ((0.3, 0.5, 0.65, 0.8, 0.9, 0.97), (-4.0, -3.2, -2.0, -0.7, 0.7, 2.2))
# By label: bars, hatching and every upright line are a 1 to a classifier of ten digits.
_BY_LABEL = (0.0, -2.4, -0.2, 0.3, 0.0, 0.3, 0.3, 0.3, -0.3, 0.3)
# By label and number of holes (0, 1, 2, more):
_BY_HOLES = {
    0: (-1.2, 0.4, -3.0, -4.0),
    6: (-0.4, 0.5, -2.0, -4.0),
    8: (-1.6, 0.6, 1.5, -2.5),
    9: (-0.6, 0.6, -2.0, -4.0),
}
_FEW_HOLES = (0.0, 0.0, -2.5, -4.0)


def _evidence(unit: _Unit, peak: float) -> float:
    """How much a glyph looks like a digit rather than other ink."""
    g, label = unit.glyph, int(unit.scores.argmax())
    confidence = float(unit.scores[label]) / peak
    value = float(np.interp(confidence, *_BY_CONFIDENCE)) + _BY_LABEL[label]
    value += _BY_HOLES.get(label, _FEW_HOLES)[min(gl.holes(g), 3)]
    agreement = float(unit.looks[:, label].min()) / peak
    value += min(0.0, 2.5 * (agreement - 0.6))
    pen = gl.stroke_width(g) / max(g.height, 0.8 * g.width)
    value -= 12 * max(0.0, pen - 0.27) + 60 * max(0.0, 0.05 - pen)
    broad = g.width / g.height
    value -= 4 * max(0.0, broad - 1.45)
    if label == 0:  # the round o of print, a ring of coffee
        value -= 60 * max(0.0, 0.06 - gl.roundness(g))
    if label == 1:
        value -= 12 * max(0.0, 0.14 - broad) + 3 * max(0.0, broad - 0.85)
    return max(value, -5.0) - (1.6 if unit.cut else 0.0)


def _togetherness(word: _Word) -> float:
    """How little a row of glyphs looks like one number: unlike heights, boxes that overlap, rows of ones. 0 or less."""
    gs = [u.glyph for u in word.units]
    labels = [int(u.scores.argmax()) for u in word.units]
    value = 0.0
    if len(gs) > 1:
        heights = np.log([max(g.height, 0.7 * g.width) for g in gs])
        value -= 5 * max(0.0, float(heights.std()) - 0.22)
        middles = np.array([g.middle for g in gs]) / word.height
        slope = np.polyfit(np.arange(len(gs)), middles, 1) if len(gs) > 2 else (0, middles.mean())
        value -= 6 * max(0.0, float((middles - np.polyval(slope, np.arange(len(gs)))).std()) - 0.16)
        for a, b in pairwise(gs):
            value -= 4 * max(0.0, (a.right - b.x) / max(min(a.width, b.width), 1) - 0.35)
    run = 0
    for label in labels:
        run = run + 1 if label == 1 else 0
        value -= 0.8 * (run > 2)
    value -= 0.5 * max(0, len(gs) - 10)  # telephone numbers end about here; rows of junk do not
    return value


def _judge(words: list[_Word], reading: Reading) -> list[_Word]:
    """Keep the words that are numbers.

    Each word's evidence is weighed with what the page is like: on a page of words and drawings the odd letter that looks like a 0
    is a letter, on a page of numbers a plain stroke is a 1. The page's share of digits is found by a few rounds of EM.
    """
    words = [w for w in words if w.units]
    if not words:
        return []
    best = np.array([u.scores.max() for w in words for u in w.units])
    peak = float(np.clip(np.quantile(best, 0.85), 0.75, 1.0))
    evidence = np.array([sum(_evidence(u, peak) for u in w.units) + _togetherness(w) for w in words])
    weight = np.array([min(len(w.units), 8) for w in words], float)
    level = np.array([np.median([u.glyph.level for u in w.units]) for w in words])
    height = np.array([w.height for w in words])
    prior, bias = 0.0, np.zeros(len(words))
    for _ in range(6):
        sure = 1 / (1 + np.exp(-np.clip(evidence + bias + prior, -30, 30)))
        yes, no = float((sure * weight).sum()), float(((1 - sure) * weight).sum())
        prior = float(np.clip(1.8 * np.log((yes + 1) / (no + 1)), -6, 3.2))
        if yes > 2:  # numbers on a page are mostly of one pen and of sizes that do not differ tenfold
            share = sure * weight / yes
            pen, size = float((share * level).sum()), float(np.exp((share * np.log(height)).sum()))
            bias = -8 * np.maximum(0, 0.6 - level / pen) - 3 * np.maximum(0, np.log(size / height) - 0.5)
            bias -= 3 * np.maximum(0, np.log(height / size) - 1.0)
    total = evidence + bias + prior
    for word, value in zip(words, total, strict=True):
        word.evidence = float(value)
    if max(value / len(w.units) for w, value in zip(words, total, strict=True)) < reading.convincing:
        return []
    return [w for w, value in zip(words, total, strict=True) if value > reading.accept]


def _in_reading_order(words: list[_Word]) -> list[_Word]:
    """Lines from top to bottom, each from left to right. A line goes on to the next word that overlaps it in height."""
    if not words:
        return []
    box = np.array(
        [
            (
                min(u.glyph.x for u in w.units),
                min(u.glyph.y for u in w.units),
                max(u.glyph.right for u in w.units),
                max(u.glyph.bottom for u in w.units),
            )
            for w in words
        ],
        float,
    )
    line = np.arange(len(words))
    for i in np.argsort(box[:, 0], kind="stable"):
        left = [j for j in range(len(words)) if box[j, 0] < box[i, 0]]
        overlap = [min(box[i, 3], box[j, 3]) - max(box[i, 1], box[j, 1]) for j in left]
        close = [
            (box[i, 0] - box[j, 2], j)
            for j, o in zip(left, overlap, strict=True)
            if o > 0.5 * min(box[i, 3] - box[i, 1], box[j, 3] - box[j, 1])
        ]
        if close:
            line[i] = line[min(close)[1]]
    heights = {k: float(np.mean((box[line == k, 1] + box[line == k, 3]) / 2)) for k in set(line)}
    return [words[i] for i in sorted(range(len(words)), key=lambda i: (heights[line[i]], line[i], box[i, 0]))]


class _Place:
    """From the level, shrunk page back to the page as given."""

    def __init__(self, back: np.ndarray, scale: float, angle: float):
        self.back, self.scale, self.angle = back, scale, angle

    def __call__(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64)
        return (points @ self.back[:, :2].T + self.back[:, 2]) / self.scale


def _box(points: np.ndarray) -> Box:
    low, high = points.min(0), points.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _corners(points: np.ndarray, place: _Place) -> tuple[tuple[float, float], ...]:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    turned = place(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    return tuple((float(x), float(y)) for x, y in turned)


def _number(word: _Word, place: _Place, reading: Reading) -> Number:
    digits = []
    for unit in word.units:
        points = unit.glyph.points()
        scores = unit.scores
        digits.append(
            Digit(str(int(scores.argmax())), _box(place(points)), float(scores.max()), _corners(points, place))
        )
    points = np.concatenate([u.glyph.points() for u in word.units])
    confidence = min(d.confidence for d in digits)
    flags = []
    if any(u.cut or u.wide for u in word.units):
        flags.append("touching")
    x0, x1 = min(u.glyph.x for u in word.units), max(u.glyph.right for u in word.units)
    if any(x0 < m.x and m.right < x1 and max(m.width, m.height) > 0.1 * word.height for m in word.marks):
        flags.append("mark")
    if confidence < reading.certain or any(u.wide for u in word.units):
        flags.append("uncertain")
    return Number(
        "".join(d.text for d in digits),
        _box(place(points)),
        place.angle,
        confidence,
        tuple(digits),
        tuple(flags),
        _corners(points, place),
    )

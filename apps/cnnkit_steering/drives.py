"""Drives on drawn roads, and how far the wheel is turned at each moment: the embedded data set.

Design choices:
- A drive is a car on a smooth random track, simulated: a driver steers at a point of the lane ahead (pure pursuit, Coulter
  1992), and gusts push the car aside. What is noted is the angle that brings the car back, so that what is learnt holds the lane.
- The angle is that of the steering wheel in degrees, negative to the left: it follows from the bend ahead, the place in the lane
  and the heading, which can all be seen, and not from the speed, which cannot.
- Frame k of drive d is a pure function of (seed, d, k); what stays through a drive (surface, marks, verge, light, camera)
  is drawn first.
- Nothing but the road tells the angle: colours, light, trees, other cars, shadows and wear are drawn whatever the bend.
- Frames that were drawn are kept, as a training comes to each many times.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

import cnnkit

VERSION = 1
SHAPE = (60, 160, 3)  # (height, width, channels) px of a frame
WHEELBASE, RATIO = 2.7, 15.0  # m between axles; turns of the steering wheel for one of the wheels
STEP = 0.2  # s between frames
SIGHT = 110  # m of the road that are drawn
AHEAD = 12  # m, the point of the lane that is steered at: the same at any speed, which no picture shows
MOST = 90.0  # degrees that the wheel is turned, at most
KEPT = 1 << 28  # bytes

_FAR = np.geomspace(1.6, SIGHT, 40)  # m ahead, where the road is drawn through


class Drive(NamedTuple):
    """A drive: what happens at each frame, and what stays the same.

    Attributes:
        place: float (n,), m along the track.
        aside: float (n,), m to the right of the lane's middle.
        heading: float (n,), radians to the right of the road.
        angle: float (n,), degrees of the steering wheel.
        bends: float (m,), curvature of the track at every metre, 1/m, above 0 to the right.
        rises: float (m,), slope of the track at every metre.
        look: what stays the same, by name.
        things: float (t, 7), what stands beside the road: place, aside, kind, size, and colour RGB.
    """

    place: np.ndarray
    aside: np.ndarray
    heading: np.ndarray
    angle: np.ndarray
    bends: np.ndarray
    rises: np.ndarray
    look: dict[str, Any]
    things: np.ndarray


def _smooth(rng: np.random.Generator, count: int, width: float) -> np.ndarray:
    """Return smooth noise of deviation 1 along so many metres; `width`: m over which it changes."""
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(rng.normal(size=count + 2 * reach), kernel / np.sqrt((kernel**2).sum()), "valid")


@lru_cache(maxsize=512)
def drive(seed: int, number: int, frames: int) -> Drive:
    """Simulate a drive of so many frames."""
    rng = np.random.default_rng((seed, number, 0))
    speed = rng.uniform(9, 20)
    metres = int(speed * STEP * frames * 1.1) + SIGHT + 40
    bends = np.clip(_smooth(rng, metres, rng.uniform(14, 30)) * rng.uniform(0.006, 0.018), -0.04, 0.04)
    rises = _smooth(rng, metres, 45) * rng.uniform(0.0, 0.03)
    place, aside, heading, push = 5.0, rng.normal(0, 0.4), rng.normal(0, 0.02), 0.0
    gusts = rng.normal(size=(frames, 4))
    found = np.zeros((4, frames))
    for k in range(frames):
        for part in range(4):
            angle = _pursued(bends, place, aside, heading)
            if part == 0:
                found[:, k] = place, aside, heading, np.clip(np.degrees(angle) * RATIO, -MOST, MOST)
            push += -0.25 * push + 0.012 * gusts[k, part]
            turned = np.tan(np.clip(angle + push, -0.3, 0.3)) / WHEELBASE
            step = speed * STEP / 4
            bend = bends[int(place)]
            aside += step * np.sin(heading)
            heading += step * (turned - bend)
            place += step * np.cos(heading)
    return Drive(*found, bends, rises, _look(rng), _things(rng, metres))


def _pursued(bends: np.ndarray, place: float, aside: float, heading: float) -> float:
    """Return the angle of the front wheels, radians, that leads to the lane's middle `AHEAD` metres further."""
    steps = np.arange(AHEAD)
    turned = np.cumsum(bends[int(place) + steps])
    across, along = np.sin(turned).sum() - aside, np.cos(turned).sum()
    right = across * np.cos(heading) - along * np.sin(heading)
    forward = across * np.sin(heading) + along * np.cos(heading)
    distance = np.hypot(right, forward)
    return float(np.arctan(2 * WHEELBASE * (right / distance) / distance))


# What stays the same ------------------------------------------------------------------------------------------------------


def _look(rng: np.random.Generator) -> dict[str, Any]:
    """Draw what a drive looks like."""
    tarmac = rng.uniform(55, 150)
    grass = np.array([rng.uniform(50, 120), rng.uniform(80, 150), rng.uniform(30, 80)])
    dry = np.array([rng.uniform(120, 190), rng.uniform(100, 160), rng.uniform(60, 120)])
    ground = grass if rng.random() < 0.65 else dry if rng.random() < 0.7 else np.full(3, rng.uniform(160, 225))
    yellow = rng.random() < 0.25
    return {
        "lane": rng.uniform(3.0, 3.8),
        "two": rng.random() < 0.75,
        "tarmac": np.full(3, tarmac) + rng.normal(0, 5, 3),
        "ground": ground,
        "verge": 0.5 * (ground + tarmac) + rng.normal(0, 16) + rng.normal(0, 5, 3),
        "shoulder": rng.uniform(0.2, 1.6),
        "paint": np.array([225, 190, 60.0]) if yellow else np.full(3, rng.uniform(190, 245)),
        "edges": rng.random() < 0.8,
        "dash": (rng.uniform(2, 4), rng.uniform(7, 13)) if rng.random() < 0.8 else (1.0, 1.0),
        "thick": rng.uniform(0.10, 0.2),
        "worn": rng.uniform(0.25, 1.0),
        "sky": np.array([rng.uniform(110, 200), rng.uniform(140, 215), rng.uniform(170, 250)]),
        "haze": np.full(3, rng.uniform(190, 245)),
        "hills": _smooth(rng, 720, 14) * rng.uniform(1, 5) + _smooth(rng, 720, 4),
        "hill": rng.uniform(50, 150, 3),
        "height": rng.uniform(1.15, 1.6),
        "focal": rng.uniform(88, 104),
        "horizon": rng.uniform(15, 22),
        "gain": rng.uniform(0.45, 1.1) if rng.random() < 0.92 else rng.uniform(0.15, 0.3),
        "tint": rng.normal(1, 0.04, 3),
        "noise": rng.uniform(1, 7),
        "blur": rng.random() < 0.2,
        "shade": rng.uniform(0.35, 0.75) if rng.random() < 0.6 else 1.0,
        "shadows": np.sort(rng.uniform(0, 4000, 160)),
        "mottle": cv2.GaussianBlur(rng.normal(0, 1, (128, 256)).astype(np.float32), (0, 0), 1.2),
        "lead": (rng.uniform(10, 45), rng.uniform(60, 230, 3)) if rng.random() < 0.3 else None,
        "oncoming": (rng.uniform(0, 90, 40).cumsum() * 8, rng.uniform(60, 230, (40, 3))),
        "frame": int(rng.integers(0, 2**31)),
    }


def _things(rng: np.random.Generator, metres: int) -> np.ndarray:
    """Draw what stands beside the road: trees, bushes, posts, walls."""
    count = int(metres / rng.uniform(4, 16))
    kinds = rng.choice(4, count, p=rng.dirichlet([1.2, 1.0, 0.8, 0.35]))
    away = rng.uniform(1.2, 3) + rng.exponential(5, count)
    size = np.choose(
        kinds,
        [
            rng.uniform(3, 9, count),
            rng.uniform(0.6, 2, count),
            rng.uniform(0.9, 3.5, count),
            rng.uniform(2.5, 6, count),
        ],
    )
    green = np.stack([rng.uniform(20, 80, count), rng.uniform(50, 120, count), rng.uniform(15, 60, count)], 1)
    other = rng.uniform(60, 230, (count, 3))
    colour = np.where((kinds < 2)[:, None], green, other)
    side = rng.choice([-1, 1], count)
    return np.column_stack([np.sort(rng.uniform(0, metres, count)), side * away, kinds, size, colour])


# A frame ------------------------------------------------------------------------------------------------------------------


class _View:
    """The road ahead of one frame, and where its points are on the picture."""

    def __init__(self, made: Drive, k: int, rng: np.random.Generator):
        self.look = made.look
        place = float(made.place[k])
        first = int(place)
        bends, rises = made.bends[first : first + SIGHT + 2], made.rises[first : first + SIGHT + 2]
        metres = np.arange(len(bends)) - (place - first)
        turned = np.cumsum(bends) - bends[0] * (1 - (place - first))
        across, along = np.cumsum(np.sin(turned)), np.cumsum(np.cos(turned))
        high = np.cumsum(rises - rises[0])
        self.metres, self.turned = metres, turned
        self.across, self.along = across - np.interp(0, metres, across), along - np.interp(0, metres, along)
        self.high = high - np.interp(0, metres, high)
        self.aside, self.heading = float(made.aside[k]), float(made.heading[k])
        self.horizon = self.look["horizon"] + rng.normal(0, 0.5)
        self.whole = self._at(_FAR)

    def points(self, ahead: np.ndarray, right: Any, above: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Return where points of the road are on the picture, px (n, 2), and their depth, m.

        Args:
            ahead: m along the road, (n,).
            right: m to the right of the lane's middle.
            above: m above the road.
        """
        turned, across, along, high = self.whole if ahead is _FAR else self._at(ahead)
        x = across + right * np.cos(turned) - self.aside
        z = along - right * np.sin(turned)
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        depth = np.maximum(x * sin + z * cos, 0.8)
        focal = self.look["focal"] / depth
        found = np.empty((len(ahead), 2))
        found[:, 0] = SHAPE[1] / 2 + focal * (x * cos - z * sin)
        found[:, 1] = self.horizon + focal * (self.look["height"] - high - above)
        return found, depth

    def _at(self, ahead: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.interp(ahead, self.metres, part) for part in (self.turned, self.across, self.along, self.high))

    def strip(
        self, page: np.ndarray, left: float, right: float, colour: Any, first: float = 0.0, last: float = SIGHT
    ) -> None:
        """Fill the road's surface between two lines along it."""
        whole = first <= 0 and last >= SIGHT
        ahead = _FAR if whole else np.linspace(max(first, 1.6), max(last, 1.7), 4 if last - first < 8 else 8)
        one, _ = self.points(ahead, left)
        other, _ = self.points(ahead, right)
        _fill(page, np.concatenate([one, other[::-1]]), colour)


def _fill(page: np.ndarray, corners: np.ndarray, colour: Any) -> None:
    fixed = np.rint(corners.clip(-2000, 2000) * 16).astype(np.int32)
    cv2.fillPoly(page, [fixed], [min(max(float(c), 0.0), 255.0) for c in colour], cv2.LINE_AA, shift=4)


def frame(seed: int, number: int, k: int, frames: int) -> np.ndarray:
    """Draw a frame: uint8 (60, 160, 3), RGB in [0, 255]."""
    made = drive(seed, number, frames)
    look = made.look
    rng = np.random.default_rng((seed, number, 1, k))
    view = _View(made, k, rng)
    page = _surroundings(view, made, k)
    lane, place = look["lane"], float(made.place[k])
    left = (-1.5 if look["two"] else -0.5) * lane
    right = 0.5 * lane
    view.strip(page, left - 2.5 - look["shoulder"], right + 2.5 + look["shoulder"], look["verge"])
    view.strip(page, left - look["shoulder"], right + look["shoulder"], look["tarmac"])
    _wear(page, view, place, left, right)
    _marks(page, view, place, left, right)
    _shadows(page, view, place)
    _beside(page, view, made, k, left, right)
    return _photograph(page, look, rng)


def _surroundings(view: _View, made: Drive, k: int) -> np.ndarray:
    """Draw sky, hills and the ground."""
    look, (high, wide, _) = view.look, SHAPE
    share = np.clip(np.arange(high) / max(view.horizon, 1), 0, 1)[:, None, None] ** 1.5
    page = np.ascontiguousarray(np.broadcast_to(look["sky"] * (1 - share) + look["haze"] * share, SHAPE), np.float32)
    turned = float(np.cumsum(made.bends)[int(made.place[k])]) + view.heading
    first = int(np.degrees(turned) * 3) % 720
    tops = view.horizon - 3 - np.abs(np.take(look["hills"], first + np.arange(wide) // 2, mode="wrap"))
    line = np.concatenate([np.stack([np.arange(wide), tops], 1), [(wide, high), (0, high)]])
    _fill(page, line, 0.5 * look["hill"] + 0.5 * look["haze"])
    rows = np.arange(high, dtype=np.float32)[:, None, None]
    below = rows > view.horizon
    near = np.clip((rows - view.horizon) / (high - view.horizon), 0, 1)
    page = np.where(below, look["ground"] * (0.75 + 0.25 * near) + 20 * (1 - near), page).astype(np.float32)
    view.strip(page, -45, 45, look["ground"] * 0.9)
    depth = look["focal"] * look["height"] / np.maximum(np.arange(high) - view.horizon, 0.6)
    grid = ((depth + float(made.place[k])) * 3).astype(int)[:, None] % 128, (np.arange(wide) * 2 % 256)[None]
    return page + np.where(below, look["mottle"][grid][..., None] * 14 * near, 0).astype(np.float32)


def _wear(page: np.ndarray, view: _View, place: float, left: float, right: float) -> None:
    """Draw patches and cracks, and the tracks of wheels."""
    look = view.look
    for at in (-0.8, 0.8):
        view.strip(page, at - 0.25, at + 0.25, look["tarmac"] * 0.93)
    rng = np.random.default_rng(look["frame"])
    starts = np.sort(rng.uniform(0, 4000, 260))
    sides = rng.uniform(left, right, 260)
    tones = rng.uniform(0.7, 1.18, 260)
    for n in np.flatnonzero((starts > place + 2) & (starts < place + 45))[::-1]:
        first = starts[n] - place
        view.strip(page, sides[n], sides[n] + 0.3 + tones[n], look["tarmac"] * tones[n], first, first + 6 * tones[n])


def _marks(page: np.ndarray, view: _View, place: float, left: float, right: float) -> None:
    """Draw the lines of the lanes, as far as they are not worn away."""
    look = view.look
    colour = look["worn"] * look["paint"] + (1 - look["worn"]) * look["tarmac"]
    half = look["thick"] / 2
    if look["edges"]:
        for at in (left + 0.15, right - 0.15):
            view.strip(page, at - half, at + half, colour)
    if look["two"]:
        mark, period = look["dash"]
        middle = -0.5 * look["lane"]
        if mark == period:
            view.strip(page, middle - half, middle + half, colour)
            return
        first = -(place % period)
        for start in np.arange(first, 70, period)[::-1]:
            if start + mark > 1.7:
                view.strip(page, middle - half, middle + half, colour, max(start, 1.6), start + mark)


def _shadows(page: np.ndarray, view: _View, place: float) -> None:
    look = view.look
    if look["shade"] == 1.0:
        return
    mask = np.zeros(SHAPE[:2], np.float32)
    for start in look["shadows"]:
        first = start - place
        if 2 < first < 60:
            reach = 4 + start % 9
            view.strip(mask, -reach if start % 2 < 1 else -1, reach, (1.0,), first, first + 0.5 + start % 3)
    page *= (1 - (1 - look["shade"]) * cv2.GaussianBlur(mask, (3, 3), 0))[..., None]


def _beside(page: np.ndarray, view: _View, made: Drive, k: int, left: float, right: float) -> None:
    """Draw what stands beside the road and other cars, far ones first."""
    look, place = view.look, float(made.place[k])
    rows = [
        (
            thing[0] - place,
            (left if thing[1] < 0 else right) + thing[1] + np.sign(thing[1]) * look["shoulder"],
            *thing[2:],
        )
        for thing in made.things[(made.things[:, 0] > place + 2.5) & (made.things[:, 0] < place + 95)]
    ]
    if look["lead"] is not None:
        gap, colour = look["lead"]
        rows.append((gap + 5 * np.sin(k / 17), 0.0, 4, 1.5, *colour))
    if look["two"]:
        for start, colour in zip(*look["oncoming"], strict=True):
            ahead = start - place - 14 * STEP * k
            if 4 < ahead < 90:
                rows.append((ahead, -look["lane"], 4, 1.5, *colour))
    for ahead, aside, kind, size, *colour in sorted(rows, key=lambda row: -row[0]):
        (foot, top), depth = view.points(np.full(2, ahead), aside, np.array([0.0, size]))
        tall = foot[1] - top[1]
        far = min(1.0, float(depth[0]) / 130)
        tone = (1 - far) * np.array(colour) + far * look["haze"]
        x, y = float(foot[0]), float(foot[1])
        if kind == 0:
            trunk = np.array(
                [
                    (x - tall * 0.04, y),
                    (x + tall * 0.04, y),
                    (x + tall * 0.03, y - tall * 0.5),
                    (x - tall * 0.03, y - tall * 0.5),
                ]
            )
            _fill(page, trunk, tone * 0.6 + 20)
            _blob(page, x, y - tall * 0.65, tall * 0.3, tall * 0.38, tone)
        elif kind == 1:
            _blob(page, x, y - tall * 0.4, tall * 0.8, tall * 0.5, tone)
        else:
            wide = tall * (0.06 if kind == 2 else 1.2 if kind == 4 else 1.6) / 2
            box = np.array([(x - wide, y), (x + wide, y), (x + wide, y - tall), (x - wide, y - tall)])
            _fill(page, box, tone)
            if kind == 4:
                glass = np.array(
                    [
                        (x - wide * 0.8, y - tall * 0.55),
                        (x + wide * 0.8, y - tall * 0.55),
                        (x + wide * 0.65, y - tall * 0.95),
                        (x - wide * 0.65, y - tall * 0.95),
                    ]
                )
                _fill(page, glass, tone * 0.3)
                _fill(
                    page,
                    np.array([(x - wide, y), (x + wide, y), (x + wide, y - tall * 0.15), (x - wide, y - tall * 0.15)]),
                    tone * 0.2,
                )


def _blob(page: np.ndarray, x: float, y: float, across: float, down: float, colour: Any) -> None:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    reach = 1 + 0.15 * np.sin(3 * angles + x)
    _fill(page, np.stack([x + across * reach * np.cos(angles), y + down * reach * np.sin(angles)], 1), colour)


def _photograph(page: np.ndarray, look: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Take the picture: light, tint, blur and noise."""
    page *= (look["gain"] * (1 + rng.normal(0, 0.03)) * look["tint"]).astype(np.float32)
    if look["blur"]:
        page = cv2.GaussianBlur(page, (3, 3), 0)
    page += rng.standard_normal(SHAPE[:2], np.float32)[..., None] * np.float32(look["noise"])
    return np.clip(np.rint(page), 0, 255).astype(np.uint8)


# The data set -------------------------------------------------------------------------------------------------------------


class RoadDrives(cnnkit.ImageSource):
    """The frames of so many drives, one after the other; each follows from the seed, the drive and its place in it alone.

    Args:
        drives: of them.
        frames: of a drive.
        seed: another seed, other drives.
    """

    shape = SHAPE

    def __init__(self, drives: int, frames: int, seed: int):
        super().__init__()
        self.drives, self.frames, self.seed = drives, frames, seed
        fits = len(self) * int(np.prod(SHAPE)) <= KEPT
        self._kept = np.zeros((len(self), *SHAPE), np.uint8) if fits else None
        self._known = np.zeros(len(self), bool)

    def __len__(self) -> int:
        return self.drives * self.frames

    def native(self, index: int) -> np.ndarray:
        """Draw a frame; two threads may draw the same one, and draw it alike."""
        if self._kept is not None and self._known[index]:
            return self._kept[index]
        made = frame(self.seed, *divmod(index, self.frames), self.frames)
        if self._kept is not None:
            self._kept[index] = made
            self._known[index] = True
        return made

    def angles(self) -> np.ndarray:
        """Return how far the wheel is turned in each frame, degrees: float (n, 1)."""
        return np.concatenate([drive(self.seed, d, self.frames).angle for d in range(self.drives)])[:, None]

    def groups(self) -> np.ndarray:
        """Return which drive each frame is of: int (n,)."""
        return np.repeat(np.arange(self.drives), self.frames)

    def name(self, index: int) -> str:
        return "drive {}, frame {}".format(*divmod(index, self.frames))

    def digest(self, indices: np.ndarray, add: Any) -> None:
        """Feed what the frames follow from: not pixels, which another release of OpenCV may round otherwise."""
        add(repr(("road drives", VERSION, self.frames, self.seed)).encode())
        add(np.asarray(indices).astype("<i8").tobytes())


def read(request: Any) -> Any:
    """Frames of drives, drawn when they are read; the split says of how many drives, and from which seed."""
    own = {**request.options, **request.split}
    found = RoadDrives(
        request.whole("drives", 30, 1, 100_000, own),
        request.whole("frames", 100, 2, 10_000, own),
        request.whole("seed", 0, 0, 2**32 - 1, own),
    )
    more = {"units": ["degrees"], "negated": [True]}
    return cnnkit.Part(found, found.angles(), ("angle",), groups=found.groups(), more=more)


ROAD_DRIVES = cnnkit.Reader(
    read, "regression", keys=frozenset(["drives", "seed"]), options=frozenset(["drives", "frames", "seed"])
)

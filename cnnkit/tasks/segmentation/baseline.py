"""Masks without a network, as a bar for those with one: a level of brightness, or a classifier of pixels.

Design choices:
- `Otsu` cuts each picture at its own level (Otsu 1979): which channel it cuts, and on which side the label lies, training says.
- `Pixels` sees of a pixel its colours, and brightness and edges around it at a few scales, and nothing of where it lies: a
  small perceptron (scikit-learn) of a sample of pixels, as many of each code as of the next. So that what is rare is not
  overdone, the background then gets the weight by which Dice on pictures not learnt from is best. On DRIVE, ISBI-2012 and
  kvasir-seg its Dice was 0.75, 0.70 and 0.43; boosted trees had 0.73, 0.69 and 0.42 and took two to five times as long.
- Both are judged on the same sampled pixels of training, weighted by how many each stands for, `Pixels` by pictures that it
  did not learn from; the better is the baseline. So pictures are read once, and none is kept.
- Pictures are taken as bytes, as the plan of their records makes them. Large ones are shrunk first, so that a picture takes some
  0.2 s of a core at most; what is found is drawn at their own size.
- Where labels overlap, codes are predicted as they are.
"""

import warnings
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from cnnkit.data import splits
from cnnkit.device.segmentation import as_bytes, stretch
from cnnkit.errors import DataError
from cnnkit.tasks.segmentation.masks import IGNORE, alone, planes

if TYPE_CHECKING:
    from cnnkit.tasks.segmentation.records import MaskRecords

PICTURES, PIXELS = 40, 40_000  # that are learnt from, at most
AREA = 2**19  # px of a picture, at most, that are looked at
SCALES = (1.0, 2.0, 4.0, 8.0)  # px
SCORES = ("ap50", "ap50_interval", "count_error", "dice", "dice_interval", "iou", "nsd", "hd95")
_WEIGHTS = np.geomspace(1 / 16, 16, 25)  # of the background that are tried


class Finder(Protocol):
    """What finds masks.

    Attributes:
        name: what it is, in words.
        dice: the mean over labels and training pictures, as estimated, in [0, 1]; nan where no label was there.
    """

    name: str
    dice: float

    def find(self, picture: np.ndarray) -> np.ndarray:
        """Return the code map, uint8 (h, w), of a picture, uint8 (h, w) or (h, w, c)."""


class Sample:
    """Pixels of training pictures: what is there, what is seen, and how many pixels each stands for."""

    def __init__(self, pictures: Iterable[tuple[np.ndarray, np.ndarray]], count: int, seed: int = 0):
        """Draw pixels of pictures, at most `PICTURES`: uint8 (h, w) or (h, w, c), each with its code map of `count` codes."""
        rng = np.random.default_rng(seed)
        codes, seen, levels, weights, owners = [], [], [], [], []
        for owner, (picture, mask) in enumerate(islice(pictures, PICTURES)):
            small = _shrunk(picture)
            mask = _resized(mask, small.shape[:2])
            places, stands_for = _drawn(mask, count, rng)
            codes.append(mask.ravel()[places])
            seen.append(looks(small)[places])
            levels.append(np.stack([part.ravel()[places] for part in _cuts(small)], 1))
            weights.append(stands_for)
            owners.append(np.full(len(places), owner))
        if not codes or not sum(map(len, codes)):
            raise ValueError("`pictures` need a pixel that is not left out. Received none.")
        self.codes, self.owners, self.weights = (np.concatenate(part) for part in (codes, owners, weights))
        self.seen, self.cuts = np.concatenate(seen), np.concatenate(levels)
        self.count = count

    def dice(self, answers: np.ndarray, regions: Sequence[Sequence[int]]) -> float:
        """Return the mean Dice over labels and pictures of answers to all pixels, uint8 (n,)."""
        found, there = planes(answers, regions), planes(self.codes, regions)
        pictures = int(self.owners.max()) + 1
        values = []
        for said, true in zip(found, there, strict=True):
            both, either = (
                np.bincount(self.owners, self.weights * part, pictures) for part in (said & true, said * 1.0 + true)
            )
            values += (2 * both[either > 0] / either[either > 0]).tolist()
        return float(np.mean(values)) if values else float("nan")


def _drawn(mask: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw pixels of a mask, as many of each code: their places in the flat mask, in order, and how many each stands for."""
    flat = mask.ravel()
    there = [code for code in np.unique(flat) if code <= count and code != IGNORE]
    places, weights = [], []
    for code in there:
        every = np.flatnonzero(flat == code)
        some = rng.choice(every, min(len(every), max(1, PIXELS // PICTURES // len(there))), replace=False)
        places.append(some)
        weights.append(np.full(len(some), len(every) / len(some)))
    if not places:
        return np.zeros(0, int), np.zeros(0)
    order = np.argsort(np.concatenate(places))
    return np.concatenate(places)[order], np.concatenate(weights)[order]


class Otsu:
    """Cuts each picture at its own level of one channel; the label that is most common in training lies on one side."""

    def __init__(self, sample: Sample, regions: Sequence[Sequence[int]]):
        inside = (sample.codes > 0) & (sample.codes != IGNORE)
        common = np.bincount(sample.codes[inside], sample.weights[inside], minlength=2)
        self.code = int(common.argmax()) if inside.any() else 1
        channels = sample.cuts.shape[1]
        tried = [
            (sample.dice(self._codes(sample.cuts[:, k] == up), regions), k, up)
            for k in range(channels)
            for up in (1, 0)
        ]
        self.dice, self.channel, self.up = max(tried, key=lambda entry: entry[0])
        channel = f"channel {self.channel} of {channels - 1}" if self.channel else "brightness"
        self.name = f"Otsu's level of {channel}, {'bright' if self.up else 'dark'} pixels"

    def _codes(self, inside: np.ndarray) -> np.ndarray:
        return np.where(inside, np.uint8(self.code), np.uint8(0))

    def find(self, picture: np.ndarray) -> np.ndarray:
        return _resized(self._codes(_cuts(_shrunk(picture))[self.channel] == self.up), picture.shape[:2])


class Pixels:
    """A classifier that says of each pixel what it is."""

    def __init__(self, sample: Sample, regions: Sequence[Sequence[int]], seed: int = 0, of: str = "pictures"):
        self._codes = np.unique(sample.codes)
        pictures = int(sample.owners.max()) + 1
        chances = np.zeros((len(sample.codes), len(self._codes)))
        for fold in range(2):
            held = sample.owners % 2 == fold
            learnt = ~held if pictures > 1 else held | ~held
            if held.any() and learnt.any():
                chances[held] = self._chances(_learnt(sample, learnt, seed), sample.seen[held])
        tried = [(sample.dice(self._chosen(chances, weight), regions), weight) for weight in _WEIGHTS]
        self.dice, self._weight = max(tried, key=lambda entry: (entry[0], -abs(np.log(entry[1]))))
        self._classifier = _learnt(sample, np.ones(len(sample.codes), bool), seed)
        self.name = f"a classifier of pixels, taught by {len(sample.codes):,} pixels of {pictures:,} {of}"

    def _chances(self, classifier: Any, seen: np.ndarray) -> np.ndarray:
        """Return chances of all codes, those that it was not taught too, float (n, codes)."""
        chances = np.zeros((len(seen), len(self._codes)))
        chances[:, np.searchsorted(self._codes, classifier.classes_)] = classifier.predict_proba(seen)
        return chances

    def _chosen(self, chances: np.ndarray, weight: float) -> np.ndarray:
        return self._codes[(chances * np.where(self._codes == 0, weight, 1)).argmax(1)]

    def find(self, picture: np.ndarray) -> np.ndarray:
        small = _shrunk(picture)
        codes = self._chosen(self._chances(self._classifier, looks(small)), self._weight)
        return _resized(codes.reshape(small.shape[:2]).astype(np.uint8), picture.shape[:2])


def _learnt(sample: Sample, chosen: np.ndarray, seed: int) -> Any:
    """Return a classifier of chosen pixels; where they are all of one code, one that says so."""
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(sample.codes[chosen])) < 2:
        return DummyClassifier().fit(sample.seen[chosen], sample.codes[chosen])
    batch = min(512, int(chosen.sum()))
    perceptron = MLPClassifier((32, 16), batch_size=batch, learning_rate_init=5e-3, max_iter=15, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to end early
        return make_pipeline(StandardScaler(), perceptron).fit(sample.seen[chosen], sample.codes[chosen])


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture of `AREA` px at most: uint8 (h, w, c)."""
    high, wide, channels = picture.reshape(*picture.shape[:2], -1).shape
    share = (AREA / (high * wide)) ** 0.5
    if share < 1:
        sides = max(1, int(wide * share)), max(1, int(high * share))
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    return picture.reshape(*picture.shape[:2], channels)


def _resized(codes: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Return a code map at another size, by the nearest pixel."""
    if codes.shape == tuple(sides):
        return codes
    return cv2.resize(codes, tuple(sides)[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def looks(picture: np.ndarray) -> np.ndarray:
    """Return of each pixel its colours, and brightness and edges around it at a few scales: float32 (n, features)."""
    picture = picture.astype(np.float32)
    grey = np.ascontiguousarray(picture.mean(2))
    maps = [picture[..., k] for k in range(picture.shape[2])]
    finer = grey
    for scale in SCALES:
        smooth = cv2.GaussianBlur(picture, (0, 0), scale)
        smooth = smooth.reshape(picture.shape)
        maps += [smooth[..., k] for k in range(picture.shape[2])]
        coarser = np.ascontiguousarray(smooth.mean(2))
        across, down = (cv2.Sobel(coarser, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        maps += [finer - coarser, cv2.magnitude(across, down)]
        finer = coarser
    return np.stack([part.ravel() for part in maps], 1)


def _cuts(picture: np.ndarray) -> list[np.ndarray]:
    """Return where a picture is above its level: bool (h, w), of its brightness and, if there are more, of each channel."""
    channels = [np.ascontiguousarray(picture[..., k]) for k in range(picture.shape[2])]
    if len(channels) > 1:
        channels.insert(0, np.rint(picture.mean(2)).astype(np.uint8))
    return [channel > cv2.threshold(channel, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0] for channel in channels]


def baseline(
    pictures: Iterable[tuple[np.ndarray, np.ndarray]],
    count: int,
    regions: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
    of: str = "pictures",
) -> Finder:
    """Return what finds masks best without a network.

    Args:
        pictures: of training, uint8 (h, w) or (h, w, c), with their code maps; the first `PICTURES` of them are read, once.
        count: of codes beside the background.
        regions: of the labels; None: one code each.
        seed: of the sample.
        of: what the pictures are called.
    """
    regions = alone(count) if regions is None else regions
    sample = Sample(pictures, count, seed)
    finders: tuple[Finder, ...] = (Pixels(sample, regions, seed, of), Otsu(sample, regions))
    return max(finders, key=lambda finder: np.nan_to_num(finder.dice))


def scored(task: Any, train: "MaskRecords", test: "MaskRecords", truth: Sequence[Any]) -> dict[str, Any]:
    """Score what finds masks best without a network; return its name and its scores.

    Args:
        task: that scores code maps.
        train: what is learnt from: `PICTURES` of it, spread over the labels.
        test: what is scored.
        truth: what is there in each record of `test`, as the task has it.
    """
    chosen = np.sort(splits.spread(train.labels)[:PICTURES]).tolist()

    def taught(index: int) -> tuple[np.ndarray, np.ndarray]:
        picture, mask = train.flattened(_bytes(train, index, train), train.mask(index))
        return picture, mask

    of = "pictures" if train.plan.voxel is None else "slices, one a volume"
    finder = baseline(map(taught, chosen), len(train.label_names), train.regions, of=of)
    found = [test.by_pictures(_bytes(test, index, train), finder.find) for index in range(len(test))]
    about = {"segmentation": test.plan.to_dict()}
    scores = task.score(found, truth, train.label_names, about)
    return {"name": finder.name, **{key: scores[key] for key in SCORES if key in scores}}


def _bytes(records: "MaskRecords", index: int, like: "MaskRecords") -> np.ndarray:
    """Return the native picture or volume of a record as bytes, made as those of other records are."""
    picture = records.native(index)
    try:
        return as_bytes(picture, stretch(picture, like.plan), like.input_shape[-1])
    except ValueError as error:
        raise DataError(f"{records.name(index)} cannot be used: {error}.") from error

"""Masks without a network: which level, which pixels, and which of both."""

import cv2
import numpy as np
import pytest

from cnnkit.device.segmentation import ALIKE, Plan
from cnnkit.tasks.segmentation import baseline as module
from cnnkit.tasks.segmentation.baseline import Otsu, Pixels, Sample, baseline, looks, scored
from cnnkit.tasks.segmentation.masks import IGNORE, alone
from cnnkit.tasks.segmentation.measures import case_measures
from cnnkit.tasks.segmentation.records import MaskRecords
from cnnkit.tasks.segmentation.scoring import Case, Segmentation

SHAPE = (48, 56)


def disc(rng):
    codes = np.zeros(SHAPE, np.uint8)
    cv2.circle(codes, tuple(int(place) for place in rng.integers(14, 34, 2)), int(rng.integers(7, 12)), 1, -1)
    return codes


def bright(seed, channel=0, up=True, count=1):
    """A disc that one channel shows, and noise in the others: uint8 (48, 56, count) and its code map."""
    rng = np.random.default_rng(seed)
    codes = disc(rng)
    picture = rng.normal(120, 30, (*SHAPE, count))
    picture[..., channel] = 120 + (60 if up else -60) * (2 * codes.astype(float) - 1) + rng.normal(0, 10, SHAPE)
    return np.clip(picture, 0, 255).astype(np.uint8), codes


def textured(seed):
    """A disc that is as bright as its surroundings, and rough."""
    rng = np.random.default_rng(seed)
    codes = disc(rng)
    return np.clip(120 + rng.normal(0, 1, SHAPE) * (5 + 40 * codes), 0, 255).astype(np.uint8), codes


def dice(finder, pairs, regions=((1,),)):
    return np.mean([case_measures(finder.find(p), c, regions, full=False)["1"]["dice"] for p, c in pairs])


@pytest.mark.parametrize("up", [True, False])
def test_otsu_finds_channel_and_side_by_training(up):
    pairs = [bright(seed, channel=2, up=up, count=3) for seed in range(6)]
    finder = Otsu(Sample(pairs[:4], 1), alone(1))
    assert finder.name == f"Otsu's level of channel 3 of 3, {'bright' if up else 'dark'} pixels"
    assert finder.dice > 0.98 and dice(finder, pairs[4:]) > 0.98
    answer = finder.find(pairs[4][0])
    assert answer.dtype == np.uint8 and answer.shape == SHAPE


def test_otsu_answers_the_label_that_is_most_common():
    picture, codes = bright(0)
    codes = codes * 2
    codes[:2, :2] = 1
    assert np.unique(Otsu(Sample([(picture, codes)], 2), alone(2)).find(picture)).tolist() == [0, 2]


def test_pixels_see_texture_that_no_level_sees():
    pairs = [textured(seed) for seed in range(12)]
    sample = Sample(pairs[:8], 1)
    pixels, otsu = Pixels(sample, alone(1)), Otsu(sample, alone(1))
    assert dice(pixels, pairs[8:]) > 0.8 > 0.6 > dice(otsu, pairs[8:])
    assert pixels.dice == pytest.approx(dice(pixels, pairs[8:]), abs=0.1)
    assert otsu.dice == pytest.approx(dice(otsu, pairs[:8]), abs=0.05)
    assert baseline(pairs[:8], 1).name == pixels.name
    assert "8 pictures" in pixels.name


def test_the_better_of_both_is_taken(monkeypatch):
    pairs = [bright(seed) for seed in range(4)]
    assert isinstance(baseline(pairs, 1), Pixels | Otsu)
    monkeypatch.setattr(
        module, "looks", lambda picture: np.zeros((picture.shape[0] * picture.shape[1], 3), np.float32)
    )  # sees nothing
    assert isinstance(baseline(pairs, 1), Otsu)


def test_what_is_rare_is_not_overdone():
    def dots(seed):
        rng = np.random.default_rng(seed)
        codes = (rng.random((64, 64)) < 0.01).astype(np.uint8)
        return np.clip(100 + 40 * codes + rng.normal(0, 20, codes.shape), 0, 255).astype(np.uint8), codes

    pairs = [dots(seed) for seed in range(16)]
    finder = Pixels(Sample(pairs[:12], 1), alone(1))
    shares = [finder.find(picture).mean() for picture, _ in pairs[12:]]
    assert 0.002 < np.mean(shares) < 0.03  # balanced samples alone would say 10 % and more


def test_ignored_pixels_are_not_learnt():
    pairs = []
    for seed in range(4):
        picture, codes = bright(seed)
        picture[:10], codes[:10] = 255 * (seed % 2), IGNORE
        pairs.append((picture, codes))
    sample = Sample(pairs, 1)
    assert set(np.unique(sample.codes)) == {0, 1}
    there = sum(int((codes == 1).sum()) for _, codes in pairs)
    assert sample.weights[sample.codes == 1].sum() == pytest.approx(there)
    assert IGNORE not in np.unique(Pixels(sample, alone(1)).find(pairs[0][0]))


def test_codes_of_overlapping_labels_are_predicted_as_they_are():
    pairs = []
    for seed in range(6):
        picture, codes = bright(seed)
        inner = cv2.erode(codes, np.ones((9, 9), np.uint8))
        picture[inner > 0] = 20
        pairs.append((picture, codes + inner))
    regions = ((1, 2), (2,))
    finder = baseline(pairs[:4], 2, regions)
    got = case_measures(finder.find(pairs[5][0]), pairs[5][1], regions, full=False)
    assert got["1"]["dice"] > 0.9 and got["2"]["dice"] > 0.9


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 5])
def test_any_number_of_channels(channels):
    shape = (30, 20) if channels is None else (30, 20, channels)
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    codes = (picture.reshape(30, 20, -1)[..., 0] > 127).astype(np.uint8)
    finder = baseline([(picture, codes)] * 2, 1)
    assert dice(finder, [(picture, codes)]) > 0.95 and finder.find(picture).shape == (30, 20)


def test_looks_are_those_of_each_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (30, 20, 3)).astype(np.uint8)
    seen = looks(picture)
    assert np.array_equal(seen[:, :3], picture.reshape(-1, 3))
    assert np.allclose(seen[:, 3:6], cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1).reshape(-1, 3))
    assert np.allclose(looks(np.full((9, 9, 1), 7, np.uint8))[:, 1:], np.tile([7, 0, 0], 4), atol=1e-4)


def test_large_pictures_are_shrunk_and_masks_drawn_at_their_size(monkeypatch):
    pairs = [bright(seed, count=3) for seed in range(4)]
    monkeypatch.setattr(module, "AREA", 28 * 24)
    sample = Sample(pairs[:3], 1)
    assert sample.weights[sample.owners == 0].sum() == pytest.approx(28 * 24)
    for finder in (Pixels(sample, alone(1)), Otsu(sample, alone(1))):
        assert finder.find(pairs[3][0]).shape == SHAPE and dice(finder, pairs[3:]) > 0.85


def test_the_same_seed_is_the_same_baseline():
    pairs = [textured(seed) for seed in range(4)]
    first, second = (Pixels(Sample(pairs, 1, seed=3), alone(1), seed=3).find(pairs[0][0]) for _ in range(2))
    assert np.array_equal(first, second)


def test_pictures_are_read_once_and_no_more_than_are_learnt_from():
    read = []

    def pairs():
        for seed in range(1000):
            read.append(seed)
            yield np.full((4, 4), seed % 256, np.uint8), np.eye(4, dtype=np.uint8)

    assert len(np.unique(Sample(pairs(), 1).owners)) == module.PICTURES
    assert len(read) == module.PICTURES


def test_training_without_a_label_finds_nothing():
    pairs = [(bright(seed)[0], np.zeros(SHAPE, np.uint8)) for seed in range(3)]
    finder = baseline(pairs, 1)
    assert not finder.find(pairs[0][0]).any() and np.isnan(finder.dice)


def test_a_label_in_one_picture_alone():
    pairs = [bright(0), (bright(1)[0], np.zeros(SHAPE, np.uint8))]
    assert dice(baseline(pairs, 1), pairs[:1]) > 0.9


def test_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="a pixel that is not left out"):
        baseline([(np.zeros((4, 4), np.uint8), np.full((4, 4), IGNORE, np.uint8))], 1)


class Records:
    """As much of `MaskRecords` as a baseline asks for; pictures of 16 bits."""

    label_names, regions, input_shape = ("disc",), alone(1), (48, 56, 1)
    plan = Plan(values=ALIKE, low=(0.0,), high=(25_500.0,))
    flattened, by_pictures = staticmethod(MaskRecords.flattened), staticmethod(MaskRecords.by_pictures)

    def __init__(self, seeds):
        self.pairs = [bright(seed) for seed in seeds]
        self.labels = np.zeros(len(self.pairs), int)

    def __len__(self):
        return len(self.pairs)

    def native(self, index):
        return self.pairs[index][0].astype(np.uint16) * 100

    def mask(self, index):
        return self.pairs[index][1]


def test_it_is_scored_as_a_network_is():
    train, test = Records(range(4)), Records(range(4, 8))
    truth = [Case(codes, None, None, patient, str(patient)) for patient, (_, codes) in enumerate(test.pairs)]
    got = scored(Segmentation(test.regions), train, test, truth)
    finder = baseline(train.pairs, 1)
    assert got["name"] == finder.name and got["dice"] == pytest.approx(dice(finder, test.pairs))
    low, high = got["dice_interval"]
    assert 0.9 < low <= got["dice"] <= high and set(got) == {"name", "dice", "dice_interval", "iou", "nsd", "hd95"}


class InColour(Records):
    """The same pictures in colour."""

    input_shape = (48, 56, 3)

    def native(self, index):
        grey = super().native(index)
        return np.concatenate([grey, grey, grey], axis=-1)


def test_pictures_of_other_channels_are_seen_as_those_of_training():
    train, test = Records(range(4)), InColour(range(4, 8))
    truth = [Case(codes, None, None, patient, str(patient)) for patient, (_, codes) in enumerate(test.pairs)]
    grey = scored(Segmentation(test.regions), train, Records(range(4, 8)), truth)
    assert scored(Segmentation(test.regions), train, test, truth)["dice"] == pytest.approx(grey["dice"], abs=0.01)

"""Code maps by a model: scaling, bytes, windows, mirrors, decoding, cleaning."""

import json
import re

import cv2
import numpy as np
import pytest

from cnnkit.device.segmentation import (
    ALIKE,
    EACH,
    Plan,
    as_bytes,
    cleaned,
    decoded,
    extent_of,
    scores,
    segment,
    stretch,
    unlike,
)
from cnnkit.device.windows import there


class ByPixel:
    """A model whose answer to a pixel depends on that pixel alone, so that windows cannot matter."""

    def __init__(self, sides=(32, 32), channels=3, labels=2, seed=0):
        self.input_shape = (*sides, channels)
        self.weights = np.random.default_rng(seed).normal(size=(channels, labels + 1)).astype(np.float32)
        self.seen = []

    def run_batch(self, images):
        assert images.dtype == np.uint8
        self.seen.append(images)
        logits = images.astype(np.float32) / 64 @ self.weights
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        return {"scores": shares / shares.sum(-1, keepdims=True)}


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (75, 50, 3), np.uint8)


def whole(blocks):
    parts = list(blocks)
    found = np.empty(
        (*np.max([np.add(place, part.shape[:-1]) for place, part in parts], axis=0), parts[0][1].shape[-1])
    )
    for place, part in parts:
        found[there(place, part)] = part
    return found


def test_windows_of_a_picture_say_what_the_whole_says(noise):
    model = ByPixel()
    found = whole(scores(model, noise, Plan(scale=1.0)))
    assert found == pytest.approx(model.run_batch(noise[None])["scores"][0], abs=1e-5)
    assert len(model.seen) - 1 == 4, "rows of windows, each run together"


def test_a_picture_smaller_than_a_window_is_mirrored_beyond_its_edges():
    picture = np.random.default_rng(1).integers(0, 256, (20, 25, 3), np.uint8)
    model = ByPixel()
    found = whole(scores(model, picture, Plan(scale=1.0)))
    assert found.shape == (20, 25, 3)
    (seen,) = model.seen
    assert (seen[0] == cv2.copyMakeBorder(picture, 0, 12, 0, 7, cv2.BORDER_REFLECT)).all()


def test_a_whole_picture_keeps_its_aspect():
    picture = np.zeros((64, 32, 3), np.uint8)
    model = ByPixel()
    found = whole(scores(model, picture, Plan()))
    assert found.shape == (64, 32, 3)
    assert model.seen[0].shape == (1, 32, 32, 3)


def test_scores_come_back_at_the_size_of_the_picture_before_they_become_codes():
    """An edge halfway between two pixels of the small picture lies where it lay in the large one."""

    class Bright:
        input_shape = (32, 32, 1)

        def run_batch(self, images):
            return {"scores": images.astype(np.float32) / 255}

    picture = np.zeros((64, 64), np.uint8)
    picture[:, 21:] = 255
    found = segment(Bright(), picture, Plan(), ["bright"])
    assert (found[:, :21] == 0).all()
    assert (found[:, 21:] == 1).all()


def test_mirrors_are_means_of_what_is_said_turned_back():
    class Left:
        """Says the column that a pixel is in, so that it is wrong about mirrored pictures."""

        input_shape = (4, 4, 1)
        calls = 0

        def run_batch(self, images):
            self.calls += 1
            column = np.broadcast_to(np.arange(4, dtype=np.float32) / 4, images.shape[:3])
            return {"scores": column[..., None]}

    model = Left()
    found = whole(scores(model, np.zeros((4, 4), np.uint8), Plan(mirrors=(0, 1))))
    assert model.calls == 4
    assert found == pytest.approx(np.full((4, 4, 1), 3 / 8))


class Bright:
    """Says how bright a pixel is."""

    input_shape = (64, 64, 1)

    def run_batch(self, images):
        return {"scores": images.astype(np.float32) / 255}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("lengths", [(64, 64, 64), (50, 128, 200)])
def test_what_is_in_a_slender_picture_is_found(turned, lengths):
    picture = np.zeros((32, 2000), np.uint8)
    picture[8:20, 1000:1012] = picture[10:22, 1900:1912] = 255
    picture = picture.T if turned else picture
    plan = Plan(lengths=lengths, slender=1.2)
    found = segment(Bright(), picture, plan, ["bright"])
    assert np.count_nonzero(found != (picture > 0)) <= 60, "but for edges at half the size"
    assert not segment(Bright(), picture, Plan(), ["bright"]).any(), "fitted in whole it would be gone"
    assert unlike(picture.shape, plan) == ""


def test_a_picture_as_slender_as_those_of_training_is_seen_whole():
    picture = np.zeros((32, 2000), np.uint8)
    model = ByPixel(sides=(64, 64), channels=1)
    whole(scores(model, picture, Plan(lengths=(1000, 1500, 2000), slender=50.0)))
    assert len(model.seen) == 1
    assert len(model.seen[0]) == 1


@pytest.mark.parametrize(
    ("extent", "plan", "words"),
    [
        ((90, 100), Plan(lengths=(80, 100, 120), slender=1.2), None),
        ((350, 300), Plan(lengths=(80, 100, 120), slender=1.2), None),
        ((400, 300), Plan(lengths=(80, 100, 120), slender=1.2), "it has 300x400 px, .* 80 to 120, and is seen whole"),
        ((20, 26), Plan(lengths=(80, 100, 120), slender=1.2), "it has 26x20 px"),
        ((200, 4000), Plan(lengths=(80, 100, 120), slender=1.2), None),
        ((400, 4000), Plan(lengths=(80, 100, 120), slender=1.2), "a pixel shows as much"),
        ((2000, 2000), Plan(scale=1.0, lengths=(584, 584, 584), slender=1.1), "584. .* a pixel shows as much"),
        ((200, 9000), Plan(scale=1.0, lengths=(584, 584, 584), slender=1.1), None),
        ((9000, 9000), Plan(), None),
    ],
)
def test_a_size_far_from_any_of_training_is_said(extent, plan, words):
    found = unlike(extent, plan)
    assert re.search(words, found) if words else found == ""
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("extent", "spacing", "words"),
    [
        ((36, 50, 36), (1, 1, 1), None),
        ((300, 512, 512), (1, 0.8, 0.8), "it is 410 mm long, training volumes 44 to 60 mm"),
        ((12, 14, 12), (1, 1, 1), "it is 14 mm long"),
        ((8, 60, 60), (6.5, 0.9, 0.9), "its voxels are 6.5 mm long, those of the network 1 mm"),
    ],
)
def test_a_volume_far_from_those_of_training_is_said(extent, spacing, words):
    plan = Plan(scale=1.0, voxel=(1.0, 1.0, 1.0), lengths=(44, 50, 60))
    found = unlike(extent, plan, spacing)
    assert re.search(words, found) if words else found == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_values_are_spread_over_bytes(dtype):
    picture = np.linspace(0, 200, 100).reshape(10, 10).astype(dtype)
    plan = Plan(values=ALIKE, low=(50.0,), high=(150.0,))
    found = as_bytes(picture, stretch(picture, plan), 1)[..., 0]
    expected = np.clip(np.rint((picture.astype(float) - 50) * 2.55), 0, 255)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_twelve_bits_in_sixteen_are_not_lost():
    picture = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    found = as_bytes(picture, stretch(picture, Plan(values=EACH)), 1)
    assert len(np.unique(found)) == 256


@pytest.mark.parametrize(("have", "want"), [(1, 3), (3, 1), (3, 3), (1, 1), (2, 2)])
def test_channels_are_fitted(have, want):
    picture = np.random.default_rng(0).integers(0, 256, (5, 4, have), np.uint8)
    found = as_bytes(picture, None, want)
    assert found.shape == (5, 4, want)
    if have == want:
        assert (found == picture).all()


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="it has 2 channels, the model takes 3"):
        as_bytes(np.zeros((4, 4, 2), np.uint8), None, 3)


@pytest.mark.parametrize(
    ("picture", "plan", "words"),
    [
        (np.array([[9, 300]], np.uint16), Plan(), "its values lie from 9 to 300, and the model takes bytes"),
        (np.array([[0, 0.5]], np.float32), Plan(), "from 0 to 0.5"),
        (np.array([[-100, 90]], np.float32), Plan(), "from -100 to 90"),
        (np.array([[0, 255]], np.uint8), Plan(values=ALIKE, low=(0.0,), high=(4095.0,)), "values of 0 to 4095"),
    ],
)
def test_values_of_another_range_are_refused(picture, plan, words):
    with pytest.raises(ValueError, match=words):
        stretch(picture, plan)


@pytest.mark.parametrize(
    "picture", [np.array([[0, 255]], np.uint16), np.array([[0, 255.4]], np.float32), np.zeros((2, 2), np.float32)]
)
def test_bytes_of_another_type_are_bytes(picture):
    assert stretch(picture, Plan()) is None


# Codes ----------------------------------------------------------------------------------------------------------------


def test_the_largest_score_is_the_code():
    said = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], np.float32)
    assert decoded(said, Plan()).tolist() == [0, 1, 2]


def test_one_label_counts_from_its_threshold():
    said = np.array([0.2, 0.4, 0.6], np.float32)[:, None]
    assert decoded(said, Plan()).tolist() == [0, 0, 1]
    assert decoded(said, Plan(threshold=0.4)).tolist() == [0, 1, 1]


def test_regions_are_written_in_their_order():
    """The whole is codes 1 and 2, its core code 2: where both are said, the core is written over the whole."""
    plan = Plan(regions=((1, 2), (2,)), order=(1, 2))
    said = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]], np.float32)
    assert decoded(said, plan).tolist() == [0, 1, 2]


def test_small_pieces_go_and_all_but_the_largest():
    codes = np.zeros((10, 20), np.uint8)
    codes[1:4, 1:4] = 1  # 9 px
    codes[6, 6] = 1
    codes[1:3, 10:12] = 2  # 4 px
    codes[5:9, 14:18] = 2  # 16 px
    found = cleaned(codes, Plan(smallest={"a": 2}, largest=("b",)), ["a", "b"])
    assert (found == 1).sum() == 9
    assert (found == 2).sum() == 16
    assert (cleaned(codes, Plan(), ["a", "b"]) == codes).all()


@pytest.mark.parametrize("rows", [1, 2, 7, 64, 1000])
def test_pieces_are_counted_strip_by_strip(rows):
    rng = np.random.default_rng(rows)
    for size in (1, 3, 5):
        noise = cv2.GaussianBlur(rng.normal(size=(90, 70)), (0, 0), size)
        codes = np.where(noise > 0.3 * noise.std(), 2, 0).astype(np.uint8)
        codes[rng.random(codes.shape) < 0.02] = 1
        for region in ((2,), (1, 2), (3,)):
            plane = np.isin(codes, region).astype(np.uint8)
            expected = int(plane.sum()), cv2.connectedComponents(plane, connectivity=8)[0] - 1
            assert extent_of(codes, region, rows) == expected


def test_a_plan_survives_its_way_through_a_file():
    import json

    plan = Plan(
        scale=0.5, values=ALIKE, low=(1.0,), high=(2.0,), mirrors=(1,), regions=((1, 2), (2,)), order=(1, 2),
        smallest={"a": 3}, largest=("b",), spacing=(0.5, 0.5),
    )  # fmt: skip
    assert Plan.from_dict(json.loads(json.dumps({**plan.to_dict(), "later": 1}))) == plan

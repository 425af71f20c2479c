"""Records of pictures with masks: seen as a plan says, joined, renamed, kept."""

import numpy as np
import pytest

from cnnkit.device.segmentation import ALIKE, Plan
from cnnkit.errors import DataError
from cnnkit.tasks.segmentation.masks import IGNORE
from cnnkit.tasks.segmentation.records import _Kept
from tests.tasks.segmentation.test_views import records


def squares(*codes, size=(40, 30)):
    """A code map with a square of 8 px of each code, one below the other."""
    mask = np.zeros(size, np.uint8)
    for place, code in enumerate(codes):
        mask[2 + 10 * place : 10 + 10 * place, 4:12] = code
    return mask


def made(*masks, labels=("a", "b"), **how):
    return records([np.where(mask > 0, 200, 20).astype(np.uint8) for mask in masks], list(masks), labels, **how)


def test_a_record_is_seen_at_the_scale_of_its_plan():
    found = made(squares(1, 2), plan=Plan(scale=0.5))
    picture, mask = found.seen(0)
    assert picture.shape == (20, 15, 1)
    assert mask.shape == (20, 15)
    assert (mask == 1).sum() == (mask == 2).sum() == 16
    assert (picture[..., 0][mask > 0] > 150).all()
    assert found.native(0).shape == found.mask(0).shape == (40, 30)


def test_values_are_spread_as_its_plan_says():
    plan = Plan(scale=1.0, values=ALIKE, low=(20.0,), high=(220.0,))
    found = made(squares(1), plan=plan)
    picture, mask = found.seen(0)
    assert set(np.unique(picture[mask == 1])) == {230}
    assert set(np.unique(picture[mask == 0])) == {0}


def test_points_are_of_labels_and_of_each_as_often():
    mask = squares(1, 2)
    mask[22:26, 4:8] = 0  # less of the second
    found = made(mask, plan=Plan(scale=1.0))
    rng = np.random.default_rng(0)
    codes = [int(mask[found.point(0, rng)]) for _ in range(200)]
    assert set(codes) == {1, 2}
    assert 70 < codes.count(1) < 130
    assert made(squares(), plan=Plan(scale=1.0)).point(0, rng) is None


def test_a_mask_of_another_size_is_refused_by_name():
    found = records([np.zeros((30, 40), np.uint8)], [squares(1)], ("a",))
    with pytest.raises(DataError, match=r"picture 0 has 40x30 px, its mask 30x40"):
        found.read(np.array([0]))


def test_labels_of_two_sets_are_joined_by_name():
    """What is ignored stays so, and pictures of the second set have no more of a label than they had."""
    first, second = made(squares(1, 2)), made(squares(2, 1, IGNORE), labels=("c", "a"))
    names = ("a", "b", "c")
    both = first.plus(second, names)
    assert len(both) == 2
    assert both.label_names == names
    assert both.regions == ((1,), (2,), (3,))
    assert np.unique(both.mask(0)).tolist() == [0, 1, 2]
    assert np.unique(both.mask(1)).tolist() == [0, 1, 3, IGNORE]
    assert (both.mask(1)[2:10] == 1).any(), "the code 2 of the second set is its label a"
    assert both.counts().tolist() == [2, 1, 1]
    assert both.take(np.array([1])).mask(0).tolist() == both.mask(1).tolist()
    assert both.read(np.array([0, 1]))[1].shape == (2, 32, 32)


def test_masks_plan_and_labels_are_in_the_fingerprint():
    before = made(squares(1)).fingerprint()
    assert made(squares(1)).fingerprint() == before
    assert made(squares(2)).fingerprint() != before
    assert made(squares(1), plan=Plan(scale=1.0)).fingerprint() != before
    assert made(squares(1), labels=("a", "c")).fingerprint() != before


def test_an_epoch_sees_each_picture_so_often_as_it_says():
    from cnnkit.data.pipeline import Order

    order = Order(3, 4, seed=0, passes=8)
    assert order.steps_per_epoch == 6
    seen = np.concatenate([order.indices(step) for step in range(6)])
    assert np.bincount(seen).tolist() == [8, 8, 8]
    assert (Order(3, 4, seed=0, passes=8).indices(4) == order.indices(4)).all()


def test_what_is_read_is_kept_while_it_is_small():
    calls = []

    def make(index):
        calls.append(index)
        return np.zeros(100, np.uint8)

    kept = _Kept(250)
    for index in (0, 1, 2, 0, 1, 2):
        kept("pixels", index, make)
    assert calls == [0, 1, 2, 2], "the third is one too many"

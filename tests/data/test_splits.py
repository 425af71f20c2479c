"""Splits: stratified, whole groups, fixed by the seed."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.data import splits
from cnnkit.errors import MissingExtra
from cnnkit.inputs.image.loading import load
from cnnkit.inputs.image.records import ImageRecords


class Nothing:
    """Images that are never read."""

    shape = (1, 1, 1)

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count


def records(labels, groups=None):
    labels = np.asarray(labels)
    names = [str(k) for k in range(int(labels.max(initial=0)) + 1)]
    return ImageRecords(Nothing(len(labels)), labels, names, groups=groups)


def members(part):
    return part._index.tolist()


LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=200)
PART = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.45])


@given(LABELS, PART, PART, st.integers(0, 10))
def test_every_record_is_in_exactly_one_split(labels, test, validation, seed):
    found = splits.make(records(labels), test=test, validation=validation, seed=seed)
    parts = [members(part) for part in (found.train, found.validation, found.test)]
    assert sorted(itertools.chain(*parts)) == list(range(len(labels)))
    assert all(part == sorted(part) for part in parts)
    alone = np.count_nonzero(np.bincount(labels) == 1)
    assert abs(len(parts[2]) - test * (len(labels) - alone)) <= 0.5


@given(LABELS, PART, st.integers(0, 10))
def test_every_class_gets_its_share_to_the_nearest_image(labels, part, seed):
    chosen = splits.hold_out(records(labels), part, seed=seed)
    counts = np.bincount(labels, minlength=6)
    held = np.bincount(np.array(labels)[chosen], minlength=6)
    assert (np.abs(held - part * counts) <= 1).all()
    assert ((counts - held)[counts > 0] >= 1).all(), "every class stays in training"


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=4, max_size=150), PART, PART)
def test_a_group_never_crosses_whatever_its_classes(rows, test, validation):
    groups, labels = np.array(rows).T
    found = splits.make(records(labels, groups), test=test, validation=validation)
    parts = [set(part.groups.tolist()) for part in (found.train, found.validation, found.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert len(found.train) + len(found.validation) + len(found.test) == len(rows)


@given(st.lists(st.tuples(st.integers(3, 12), st.integers(1, 5)), min_size=2, max_size=6), st.integers(0, 5))
def test_each_class_of_three_groups_or_more_is_in_both_splits(classes, seed):
    rows = [
        (label, 100 * label + g)
        for label, (count, size) in enumerate(classes)
        for g in range(count)
        for _ in range(size)
    ]
    labels, groups = np.array(rows).T
    found = splits.make(records(labels, groups), test=0, validation=0.1, seed=seed)
    assert (found.validation.counts() > 0).all() and (found.train.counts() > 0).all()


def test_mixed_groups_are_stratified_by_scikit_learn():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 10)  # 100 writers of 10 digits
    labels = rng.permutation(np.tile(np.arange(10), 100))
    found = splits.make(records(labels, groups), test=0.2, validation=0.1)
    assert 180 <= len(found.test) <= 220 and 80 <= len(found.validation) <= 120
    assert found.test.counts().min() >= 15


@pytest.mark.parametrize("what", ["groups", "digits"])
def test_without_scikit_learn_the_missing_extra_is_named(monkeypatch, what):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(MissingExtra, match=r'pip install "cnnkit\[train\]"'):
        load("digits") if what == "digits" else splits.make(records([0, 1] * 20, np.arange(40) // 4))


def test_the_seed_decides_and_nothing_else():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    first, again, other = (splits.make(records(labels), seed=seed) for seed in (3, 3, 4))
    assert members(first.test) == members(again.test) != members(other.test)
    assert members(first.validation) == members(again.validation)


def test_validation_does_not_move_the_test_split():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    a, b = (splits.make(records(labels), validation=part) for part in (0, 0.3))
    assert members(a.test) == members(b.test)


def test_the_source_s_own_test_split_is_respected():
    own = records(np.zeros(7, int))
    found = splits.make(records(np.arange(100) % 2), test=own, validation=0.1)
    assert found.test is own and len(found.validation) == 10 and len(found.train) == 90


def test_classes_of_one_and_two_images_stay_in_training():
    found = splits.make(records([0] * 50 + [1] + [2] * 2), test=0.2, validation=0.1)
    assert found.train.counts()[1:].tolist() == [1, 2]


@given(LABELS, st.integers(0, 5))
def test_a_smaller_limit_is_a_subset_of_a_larger(labels, seed):
    order = splits.spread(np.array(labels), seed=seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    for count in (1, len(labels) // 2):
        held = np.bincount(np.array(labels)[order[:count]], minlength=6)
        share = np.bincount(labels, minlength=6) * count / len(labels)
        assert (np.abs(held - share) <= 1).all()


def test_ten_images_of_ten_classes_are_one_each():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), np.arange(100, 200, 10)))
    assert sorted(labels[splits.spread(labels)[:10]]) == list(range(10))


def test_weights_balance_the_classes():
    weights = splits.balanced_weights(records([0] * 90 + [2] * 10))
    assert np.allclose(weights, [100 / 180, 0, 5])
    assert weights.dtype == np.float32


@pytest.mark.parametrize("parts", [(0.5, 0.5), (1.0, 0), (-0.1, 0.1)])
def test_parts_that_leave_nothing_are_refused(parts):
    with pytest.raises(ValueError, match="leave some for training"):
        splits.make(records([0, 1]), test=parts[0], validation=parts[1])

"""Splits by time and by groups."""

import numpy as np
import pytest

from cnnkit.tasks.regression import division
from cnnkit.tasks.regression.division import GAP, TEST, TRAIN, VALIDATION


def test_neighbours_stay_together_and_a_gap_lies_between():
    split, blocks, note = division.divided(None, np.arange(400), test=0.2, validation=0.1, gap=3)
    assert "blocks of 10 neighbours in time, of 40; 3 left out" in note
    assert 0.18 < np.mean(split == TEST) < 0.22 and np.mean(split == VALIDATION) > 0.03
    held = np.flatnonzero((split == TEST) | (split == VALIDATION))
    train = np.flatnonzero(split == TRAIN)
    assert min(abs(held[:, None] - train[None]).min(1)) > 3
    for block in np.unique(blocks):
        assert len({int(s) for s in split[blocks == block] if s != GAP}) <= 1


def test_the_test_is_the_same_whatever_is_held_out_for_validation():
    first, second = (division.divided(None, np.arange(300), test=0.2, validation=v)[0] for v in (0.0, 0.1))
    assert np.array_equal(first == TEST, second == TEST)
    other = division.divided(None, np.arange(300), test=0.2, validation=0.1, seed=1)[0]
    assert not np.array_equal(second, other)


def test_groups_are_held_out_whole_where_there_are_enough():
    groups = np.repeat(np.arange(10), 30)
    split, _, note = division.divided(groups, np.tile(np.arange(30), 10), test=0.2, validation=0.1)
    assert "whole groups" in note and not (split == GAP).any()
    assert all(len(set(split[groups == g])) == 1 for g in range(10))
    assert (split == TEST).sum() == 60 and (split == VALIDATION).sum() == 30


def test_few_groups_are_cut_in_time_each_by_itself():
    groups = np.repeat([0, 1], 100)
    split, blocks, note = division.divided(groups, np.tile(np.arange(100), 2), test=0.2, validation=0.0)
    assert "neighbours" in note and {TEST, TRAIN} <= set(split)
    assert all(len(set(groups[blocks == block])) == 1 for block in np.unique(blocks))


@pytest.mark.parametrize("by_time", [True, False])
@pytest.mark.parametrize("drives", [1, 2])  # too few to hold whole ones out
def test_pictures_of_one_moment_are_never_torn_apart(by_time, drives):
    moments = np.tile(np.repeat(np.arange(60), 3), drives)
    groups = np.repeat(np.arange(drives), 180)
    split, _, note = division.divided(groups, moments, test=0.2, validation=0.1, by_time=by_time)
    assert ("of a moment together, drawn at random" in note) is not by_time
    for group in range(drives):
        assert all(len(set(split[(groups == group) & (moments == m)])) == 1 for m in range(60))
    assert 0.15 < np.mean(split == TEST) < 0.25 and np.mean(split == VALIDATION) > 0.05


def test_single_pictures_where_nobody_minds_time():
    split, _, note = division.divided(None, np.arange(100), test=0.2, validation=0.1, by_time=False)
    assert (split == TEST).sum() == 20 and (split == VALIDATION).sum() == 10 and "at random" in note


@pytest.mark.parametrize("count", [3, 5, 12])
def test_few_records_leave_some_to_train_on(count):
    split, _, _ = division.divided(None, np.arange(count), test=0.2, validation=0.1)
    assert (split == TEST).any() and (split == TRAIN).any()


def test_nothing_is_held_out_where_nothing_is_asked_for():
    split, _, note = division.divided(None, np.arange(7), test=0, validation=0)
    assert (split == TRAIN).all() and not note

"""What belongs together is proposed by names and decided by pictures."""

import itertools
import os

import numpy as np
import pytest

from cnnkit.data import inventory
from cnnkit.device.image import ImageError
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image import groups
from cnnkit.inputs.image.loading import load


def scene(*seed):
    """A picture of its own for every seed: uint8 (20, 24, 3)."""
    rng = np.random.default_rng([hash(str(part)) % 2**32 if isinstance(part, str) else part for part in (7, *seed)])
    return rng.integers(0, 256, (20, 24, 3), np.uint8)


def frame(picture, number):
    """The same scene a moment later: light and noise differ."""
    noise = np.random.default_rng(number).normal(0, 12, picture.shape)
    return (picture * (0.6 + 0.02 * (number % 10)) + noise).clip(0, 255).astype(np.uint8)


def found(rows):
    """Judge rows of (name, class, picture); the names come in any order."""
    names = [name.replace("/", os.sep) for name, _, _ in rows]
    return groups.find(names, np.array([code for _, code, _ in rows]), lambda k: rows[k][2])


def tracks(name, *, classes=3, count=5, frames=6):
    """Rows of frames that are called by a function of (class, track, frame)."""
    every = itertools.product(range(classes), range(count), range(frames))
    return [(name(c, t, f), c, frame(scene(c, t), f)) for c, t, f in every]


SCHEMES = {
    "TRACK_FRAME": lambda c, t, f: f"{c}/{t:05}_{f:05}.png",
    "CLASS_TRACK_FRAME": lambda c, t, f: f"{c}/{c:05}_{t:05}_{f:05}.png",
    "words and dashes": lambda c, t, f: f"class {c}/track{t}-frame{f:02}.jpg",
    "no zeros in front": lambda c, t, f: f"{c}/clip_{t}_{7 * f}.png",
    "frame first": lambda c, t, f: f"{c}/frame{f}_track{t}.png",
    "a word last": lambda c, t, f: f"{c}/id{t}_{('left', 'right', 'top', 'low', 'near', 'far')[f]}.png",
    "a word behind the frame": lambda c, t, f: f"{c}/{t}_{f}_crop.png",
    "folders": lambda c, t, f: f"{c}/scene {t}/{f}.png",
    "date and time": lambda c, t, f: f"{c}/202403{t + 1:02}_{101500 + f}.png",
    "letters": lambda c, t, f: f"{c}/{'abcdefgh'[t]}{f:03}.png",
}


@pytest.mark.parametrize("name", SCHEMES.values(), ids=SCHEMES)
def test_frames_of_a_track_are_one_group_whatever_they_are_called(name):
    rows = tracks(name)
    result = found(rows)
    expected = [(c, t) for c, t, _ in itertools.product(range(3), range(5), range(6))]
    assert result.groups is not None, result.note
    pairs = set(zip(result.groups.tolist(), expected))
    assert len(pairs) == len({group for group, _ in pairs}) == 15
    assert result.note.startswith("Groups: 15 of 90 images, 6.0 each") and "\n" not in result.note


@pytest.mark.parametrize("name", SCHEMES.values(), ids=SCHEMES)
def test_pictures_that_are_not_alike_are_no_groups_whatever_they_are_called(name):
    every = list(itertools.product(range(3), range(5), range(6)))
    result = found([(name(c, t, f), c, scene(c, t, f)) for c, t, f in every])
    assert result.groups is None and "none" in result.note


@pytest.mark.parametrize(
    "name",
    [
        lambda c, k: f"{c}/{c}_{k:04}.png",
        lambda c, k: f"{c}/202403{c + 1:02}_{101500 + k}.png",
        lambda c, k: f"{c}/IMG_{k}.png",
        lambda c, k: f"{c}/{k}.png",
        lambda c, k: f"{c}/scan-{k:03}.png",
    ],
)
def test_numbered_files_are_no_groups(name):
    result = found([(name(c, k), c, scene(c, k)) for c in range(3) for k in range(40)])
    assert result.groups is None and result.note == ""


def test_crops_of_frames_of_tracks_are_in_the_group_of_their_track():
    every = list(itertools.product(range(3), range(5), range(4), range(3)))
    rows = [(f"{c}/{t}_{f}_{k}.png", c, frame(scene(c, t), 10 * f + k)) for c, t, f, k in every]
    result = found(rows)
    assert len(set(result.groups.tolist())) == 15 and "last two numbers" in result.note


def test_a_coarser_group_needs_likeness_of_its_own():
    """Sessions hold many tracks that show other things."""
    every = list(itertools.product(range(3), range(4), range(3), range(4)))
    rows = [(f"{c}/{s}_{t}_{f}.png", c, frame(scene(c, s, t), f)) for c, s, t, f in every]
    assert len(set(found(rows).groups.tolist())) == 36


def test_the_same_name_in_two_classes_is_one_group_only_if_pictures_say_so():
    every = list(itertools.product(range(3), range(6), range(5)))
    apart = found([(f"{c}/{t}_{f}.png", c, frame(scene(c, t), f)) for c, t, f in every])
    assert len(set(apart.groups.tolist())) == 18
    same = found([(f"{c}/p{t}_{f}.png", c, frame(scene(t), 5 * c + f)) for c, t, f in every])
    assert len(set(same.groups.tolist())) == 6 and "several classes" in same.note


def test_a_row_of_frames_without_names_of_scenes_is_cut_into_blocks():
    rows = [(f"{c}/frame_{k}.png", c, frame(scene(c, k // 7), k)) for c in range(2) for k in range(63)]
    result = found(rows[::-1])
    assert result.groups is not None and "recording" in result.note
    numbers = result.groups[::-1].reshape(2, 63)
    assert [len(np.unique(row)) for row in numbers] == [groups.BLOCKS] * 2, "of each class"
    assert all((np.diff(row) >= 0).all() for row in numbers), "neighbours by number, not by spelling"


def test_copies_that_a_tool_made_are_known_by_their_names():
    rows = [
        (f"{c}/img{k}_jpg.rf.{c}{k}{n}abc.jpg", c, scene(c, k, n)) for c in range(2) for k in range(9) for n in "12"
    ]
    result = found(rows)
    assert len(set(result.groups.tolist())) == 18 and "copies of one picture" in result.note


def test_a_single_version_of_each_picture_is_no_group():
    assert found([(f"0/img{k}_jpg.rf.{k}abc.jpg", 0, scene(k)) for k in range(9)]).groups is None


def test_pictures_that_cannot_be_read_do_not_stop_the_look():
    rows = tracks(SCHEMES["TRACK_FRAME"])

    def read(index):
        if index % 7 == 0:
            raise ImageError("x.png", "it is damaged")
        return rows[index][2]

    result = groups.find([row[0] for row in rows], np.array([row[1] for row in rows]), read)
    assert len(set(result.groups.tolist())) == 15


def test_little_is_read_of_a_large_set():
    seen = set()
    names = [f"{c}/{k:06}_{f:03}.png" for c in range(40) for k in range(50) for f in range(5)]

    def read(index):
        seen.add(index)
        return scene(index)

    assert groups.find(names, np.repeat(np.arange(40), 250), read).groups is None
    assert len(seen) < 1500


def test_nothing_and_single_pictures_have_no_groups():
    assert groups.find([], np.zeros(0, int), scene).groups is None
    assert found([(f"{c}/1_1.png", c, scene(c)) for c in range(5)]).groups is None


@pytest.fixture
def folder(tmp_path, save):
    """Write rows of (name, class, picture) below a folder; returns it."""

    def write(rows):
        for name, _, pixels in rows:
            save(tmp_path / "set" / name, pixels)
        return tmp_path / "set"

    return write


def test_tracks_are_on_one_side_and_that_is_said_before_training(folder):
    splits = load(folder(tracks(SCHEMES["CLASS_TRACK_FRAME"], count=8)), validation=0.2)
    sides = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert any(line.startswith("Groups: 24 of 144 images") for line in inventory.lines(splits.card["inventory"]))


def test_numbered_files_are_split_like_any(folder):
    rows = [(f"{c}/{c}_{k:04}.png", c, scene(c, k)) for c in range(3) for k in range(30)]
    splits = load(folder(rows))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [63, 9, 18]


@pytest.mark.parametrize("cut", [True, False])
def test_groups_are_said_where_something_is_cut_from_training(folder, tmp_path, save, cut):
    rows = tracks(SCHEMES["TRACK_FRAME"])
    folder([(f"train/{name}", code, pixels) for name, code, pixels in rows])
    folder([(f"test/{name}", code, pixels) for name, code, pixels in rows])
    if not cut:
        folder([(f"val/{name}", code, pixels) for name, code, pixels in rows])
    notes = load(tmp_path / "set").card["inventory"]["notes"]
    assert len(notes) == cut


def test_a_set_that_groups_leave_no_test_of_is_refused_before_training(folder):
    from cnnkit.data.loading import check_divided

    splits = load(folder(tracks(SCHEMES["TRACK_FRAME"], classes=6, count=2)))
    assert splits.train.groups is not None and not len(splits.test)
    with pytest.raises(
        DataError, match="no class has more than 2 groups .* test data of its own .* `groups=none`"
    ) as error:
        check_divided(splits)
    assert "\n" not in str(error.value)


def test_groups_can_be_told_or_switched_off(folder):
    root = folder(tracks(SCHEMES["TRACK_FRAME"]))
    assert load(root, groups="none").train.groups is None
    splits = load(root, groups=r"/0*(\d)_", test=0.4, validation=0)
    kept, held = ({part.name(k)[-11] for k in range(len(part))} for part in (splits.train, splits.test))
    assert len(kept) == 3 and len(held) == 2 and not kept & held, "over all classes"
    assert any("by the pattern" in line for line in splits.card["inventory"]["notes"])


@pytest.mark.parametrize(("pattern", "line"), [("(", "regular expression"), ("xyz", "fits no path")])
def test_a_pattern_that_means_nothing_is_refused(folder, pattern, line):
    with pytest.raises(DataError, match=line):
        load(folder(tracks(SCHEMES["TRACK_FRAME"], classes=2, count=2)), groups=pattern)


def test_options_for_other_data_are_refused(class_folders, tmp_path):
    with pytest.raises(ConfigError, match="`label=x`: .* no columns"):
        load(class_folders({"a": 5, "b": 5}), label="x")
    assert load(tmp_path / "pictures", label="x", whole=True), "a run's own options may not fit other data"
    with pytest.raises(ConfigError, match="`groups=none`: .* no files"):
        load("digits", groups="none")

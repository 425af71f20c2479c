"""One sign seen in many frames is one sign."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.device.detection import Detections, nothing
from cnnkit.device.tracking import Tracker


def seen(*rows):
    """Make detections of rows (centre x, centre y, side, score, code)."""
    rows = np.array(rows, np.float32).reshape(-1, 5)
    half = rows[:, 2:3] / 2
    boxes = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1)
    return Detections(boxes, rows[:, 3], rows[:, 4].astype(np.int32))


def follow(tracker, frames):
    return [tracker.update(found, number).tolist() for number, found in enumerate(frames)]


def test_what_stands_still_is_one_object():
    tracker = Tracker()
    ids = follow(tracker, [seen((50, 50, 20, 0.5 + k / 100, 3)) for k in range(10)])
    assert ids == [[1]] * 10
    (track,) = tracker.tracks()
    assert (track.id, track.code, track.first, track.last, track.hits) == (1, 3, 0, 9, 10)
    assert track.frame == 9 and track.score == pytest.approx(0.59)
    np.testing.assert_allclose(track.box, [40, 40, 60, 60])


def test_a_small_fast_box_that_never_overlaps_itself_is_one_object():
    # 12 px, 20 px a frame: no two frames overlap
    tracker = Tracker()
    assert follow(tracker, [seen((20 * k, 50 - 5 * k, 12, 0.8, 0)) for k in range(12)]) == [[1]] * 12


def test_a_sign_that_one_drives_towards_is_one_object():
    # distance 40 m to 4 m at 1.5 m a frame: it grows tenfold and leaves the image ever faster
    tracker = Tracker()
    frames = []
    for k in range(24):
        near = 1 / (40 - 1.5 * k)
        frames.append(seen((640 + 3000 * near, 360 - 1200 * near, 600 * near, 0.9, 0)))
    assert follow(tracker, frames) == [[1]] * 24


def test_two_that_cross_keep_their_numbers():
    tracker = Tracker()
    frames = [seen((10 * k, 50, 16, 0.9, 0), (200 - 10 * k, 58, 16, 0.9, 0)) for k in range(21)]
    assert follow(tracker, frames) == [[1, 2]] * 21


def test_two_on_one_pole_are_two():
    tracker = Tracker()
    frames = [seen((100 + 6 * k, 50, 20 + k, 0.9, 0), (100 + 6 * k, 74 + k, 20 + k, 0.8, 0)) for k in range(15)]
    assert follow(tracker, frames) == [[1, 2]] * 15


def test_order_of_boxes_does_not_matter():
    tracker = Tracker()
    one, two = (50, 50, 20, 0.9, 0), (150, 50, 20, 0.8, 1)
    assert follow(tracker, [seen(one, two), seen(two, one), seen(two, one)]) == [[1, 2], [2, 1], [2, 1]]


def test_out_of_sight_for_a_while_and_for_too_long():
    def run(gap):
        tracker = Tracker(patience=5)
        for k in range(10 + gap):
            tracker.update(nothing() if 5 <= k < 5 + gap else seen((50 + 8 * k, 50, 20, 0.9, 0)), k)
        return [track.id for track in tracker.tracks()]

    assert run(4) == [1]  # the speed bridges the gap
    assert run(6) == [1, 2]


def test_frames_without_boxes_count_as_time():
    tracker = Tracker(patience=3)
    frames = [seen((50, 50, 20, 0.9, 0))] * 3 + [nothing()] * 5 + [seen((50, 50, 20, 0.9, 0))] * 3
    assert follow(tracker, frames)[-1] == [2]
    assert [(track.first, track.last) for track in tracker.tracks()] == [(0, 2), (8, 10)]


def test_it_counts_after_so_many_frames_only():
    tracker = Tracker(hits=3)
    tracker.update(seen((50, 50, 20, 0.9, 0)), 0)
    tracker.update(seen((50, 50, 20, 0.9, 0)), 1)
    assert tracker.tracks() == [] and tracker.current() == {}
    tracker.update(seen((50, 50, 20, 0.9, 0), (400, 400, 20, 0.9, 0)), 2)
    assert [track.id for track in tracker.tracks()] == [1] and list(tracker.current()) == [1]
    for k in range(3, 30):
        tracker.update(nothing(), k)
    assert [track.id for track in tracker.tracks()] == [1] and tracker.current() == {}


def test_the_label_is_a_vote_weighted_by_score():
    tracker = Tracker()
    follow(tracker, [seen((50, 50, 20, 0.3, 1))] * 4 + [seen((50, 50, 20, 0.9, 2))] * 2)
    (track,) = tracker.tracks()
    assert track.code == 2  # 1.8 against 1.2, though seen less often
    np.testing.assert_allclose(track.votes, [0, 1.2, 1.8], rtol=1e-6)


def test_one_object_under_two_names_is_one():
    tracker = Tracker()
    frames = [seen((50 + k, 50, 20, 0.6, 0), (51 + k, 50, 20, 0.5, 1)) for k in range(5)]
    assert follow(tracker, frames) == [[1, 1]] * 5
    assert [track.code for track in tracker.tracks()] == [0]


def test_low_scores_continue_and_never_start():
    tracker = Tracker(start=0.5)
    frames = [seen((50, 50, 20, 0.3, 0)), seen((50, 50, 20, 0.6, 0))]
    frames += [seen((50, 50, 20, 0.3, 0), (300, 300, 20, 0.4, 0))] * 3
    assert follow(tracker, frames) == [[-1], [1]] + [[1, -1]] * 3
    # a box of high score is taken before a better placed one of low score
    assert tracker.update(seen((50, 50, 20, 0.3, 0), (52, 50, 20, 0.7, 0)), 5).tolist() == [1, 1]
    assert tracker.tracks()[0].score == pytest.approx(0.7)


def test_a_jump_or_another_size_is_another_object():
    tracker = Tracker()
    frames = [seen((50, 50, 20, 0.9, 0))] * 3 + [seen((140, 50, 20, 0.9, 0)), seen((140, 50, 90, 0.9, 0))]
    assert follow(tracker, frames) == [[1]] * 3 + [[2], [3]]


def test_extra_votes_are_summed():
    tracker = Tracker()
    for k, extra in enumerate(([[0.2, 0.7]], [[0.6, 0.3]], [[0.1, 0.8]])):
        tracker.update(seen((50, 50, 20, 0.9, 0)), k, np.array(extra))
    np.testing.assert_allclose(tracker.tracks()[0].extra, [0.9, 1.8])


def test_frames_left_out_are_predicted_over():
    tracker = Tracker()
    ids = [tracker.update(seen((30 * k, 50, 24, 0.9, 0)), k).tolist() for k in (0, 1, 2, 4, 5, 7, 9)]
    assert ids == [[1]] * 7


def test_frames_never_looked_at_are_not_out_of_sight():
    tracker = Tracker(patience=3)  # every tenth frame, say
    assert [tracker.update(seen((50 + k / 5, 50, 20, 0.9, 0)), k).tolist() for k in range(0, 100, 10)] == [[1]] * 10
    assert len(tracker.tracks()) == 1


def test_wrong_use():
    tracker = Tracker()
    tracker.update(nothing(), 3)
    with pytest.raises(ValueError, match="larger than 3"):
        tracker.update(nothing(), 3)
    for wrong in ({"iou": 0}, {"patience": -1}, {"hits": 0}):
        with pytest.raises(ValueError, match="Received"):
            Tracker(**wrong)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_any_boxes_have_one_track_each_and_shaking_boxes_keep_theirs(seed):
    rng = np.random.default_rng(seed)
    tracker = Tracker()
    speed = rng.uniform(-8, 8, (6, 2))
    for k in range(15):
        middle = np.array([[100 * n, 100 * (n % 2)] for n in range(6)]) + k * speed * 0.5 + rng.normal(0, 1, (6, 2))
        there = rng.random(6) < 0.9 if k > 2 else np.ones(6, bool)
        rows = [(x, y, 30 * np.exp(rng.normal(0, 0.05)), 0.8, 0) for x, y in middle]
        ids = tracker.update(seen(*[row for row, is_there in zip(rows, there) if is_there]), k)
        assert ids.tolist() == (np.flatnonzero(there) + 1).tolist()
    assert len(tracker.tracks()) == 6


@pytest.mark.parametrize("rate,seeds", [(30, 1), (10, 3)])
def test_a_road_with_a_camera_that_shakes(rate, seeds):
    # 20 signs of 65 cm along a road at 50 km/h, 640 px focal length; a tenth of the boxes is missed, all shake by 2 px
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        ahead, aside, above = np.arange(20) * 35 + 60.0, rng.choice([-4, 4], 20), rng.uniform(1.5, 3, 20)
        tracker = Tracker(patience=round(0.6 * rate))
        owners = {}
        for frame in range(int(750 / 14 * rate)):
            away, shake = ahead - 14 * frame / rate, rng.normal(0, 2, 2)
            rows, signs = [], []
            for sign in np.flatnonzero((away > 5) & (away < 50) & (rng.random(20) < 0.9)):
                x, y = 640 * aside[sign] / away[sign], -640 * above[sign] / away[sign]
                rows.append((x + shake[0], y + shake[1], 640 * 0.65 / away[sign] * rng.normal(1, 0.04), 0.8, 0))
                signs.append(int(sign))
            for sign, number in zip(signs, tracker.update(seen(*rows), frame).tolist()):
                owners.setdefault(number, set()).add(sign)
        counted = [owners[track.id] for track in tracker.tracks()]
        assert len(counted) <= 21
        assert len(set().union(*counted)) == 20
        assert np.mean([len(signs) for signs in counted]) < 1.2

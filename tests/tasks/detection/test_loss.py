"""The loss of a detector: its parts by hand, what it teaches, and that nothing it meets makes it other than a number."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.device.detection import Detections, cells, decode, ious, suppress
from cnnkit.tasks.detection import loss as losses

QUICK = settings(max_examples=25)
FIRST = (0.0, 0.0, np.log(3.0), np.log(3.0))  # what an untrained detector says of every box


def numpy(value):
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value))


def table(*rows, most=6):
    """Boxes (1, most, 6) from rows of left, top, right, bottom, class and, if it is not 1, kind."""
    boxes = np.zeros((1, most, 6), np.float32)
    for place, row in enumerate(rows):
        boxes[0, place] = (*row, 1)[:6]
    return boxes


def raw_of(box, grid):
    """What every cell has to say to mean this box: float32 (n, 4)."""
    left, top, right, bottom = box
    x, y, stride = np.moveaxis(grid, -1, 0)
    high, wide = np.log((bottom - top) / stride), np.log((right - left) / stride)
    return np.stack([((top + bottom) / 2 - y) / stride, ((left + right) / 2 - x) / stride, high, wide], -1)


def assigned(boxes, scores, grid, targets):
    """`assign` of one image, without the batch axis."""
    arrays = (np.asarray(array, np.float32)[None] for array in (boxes, scores, grid))
    return [numpy(part)[0] for part in losses.assign(*arrays, np.asarray(targets, np.float32))]


def predicted(grid, classes=3, seed=0, spread=0.3, batch=1):
    """Raw boxes and logits that scatter around those of an untrained detector: float32 (batch, n, 4 + classes + 3)."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, spread, (batch, len(grid), 4)) + FIRST
    logits = rng.normal(-2, 1, (batch, len(grid), classes))
    every = np.concatenate([raw, logits, np.broadcast_to(grid, (batch, *grid.shape))], -1)
    return every.astype(np.float32)


def some_boxes(count, seed=0, side=64, classes=3, most=None, ignored=0):
    """Boxes (1, most, 6) anywhere in an image, the first of them ignored."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(3, 30, (count, 2))
    corner = rng.uniform(0, side - size)
    kinds = np.where(np.arange(count) < ignored, -1, 1)
    rows = np.concatenate([corner, corner + size, rng.integers(0, classes, (count, 1)), kinds[:, None]], 1)
    return table(*rows, most=most or count + 3)


def loss_of(targets, predictions):
    return numpy(losses.DetectionLoss().call(targets, predictions))


def test_the_focal_loss_by_hand():
    targets = np.array([0.0, 1.0, 0.5, 0.8, 0.25], np.float32)
    logits = np.array([0.0, 0.0, 0.0, np.log(4), 0.0], np.float32)  # 0.5, and 0.8 once
    surely = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    # background counts by 0.75 * 0.5^2, the others by their target, of a cross-entropy of log 2 where the score is 0.5
    expected = [0.1875 * np.log(2), np.log(2), 0.5 * np.log(2), 0.8 * surely, 0.25 * np.log(2)]
    np.testing.assert_allclose(numpy(losses.varifocal(targets, logits)), expected, atol=1e-6)


def test_the_focal_loss_is_least_where_a_score_states_its_target():
    logits = np.linspace(-5, 5, 201).astype(np.float32)
    for target in (0.1, 0.5, 0.9):
        least = logits[numpy(losses.varifocal(np.full(201, target, np.float32), logits)).argmin()]
        assert 1 / (1 + np.exp(-least)) == pytest.approx(target, abs=0.02)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1.0),
        ((0, 0, 5, 10), 0.5),  # nested: half of it, and nothing else around
        ((5, 0, 15, 10), 1 / 3),  # 50 shared of 150, which are all there is around them
        ((20, 0, 30, 10), -1 / 3),  # apart: 300 around them, 100 of it empty
        ((20, 20, 30, 30), -700 / 900),
    ],
)
def test_the_generalised_overlap_by_hand(other, expected):
    first, second = np.array([[0, 0, 10, 10]], np.float32), np.array([other], np.float32)
    assert numpy(losses.giou(first, second))[0] == pytest.approx(expected, abs=1e-6)
    assert numpy(losses.giou(second, first))[0] == pytest.approx(expected, abs=1e-6)


def test_the_generalised_overlap_is_at_most_the_overlap_that_scoring_uses():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (2, 200, 2))
    first, second = np.concatenate([corners, corners + rng.uniform(1, 40, (2, 200, 2))], -1).astype(np.float32)
    found, usual = numpy(losses.giou(first, second)), ious(first, second).diagonal()
    assert (found <= usual + 1e-6).all() and (found > -1).all()
    shared, union = (numpy(part) for part in losses.overlaps(first, second))
    np.testing.assert_allclose(shared / union, usual, atol=1e-5)


def test_training_decodes_as_a_device_does():
    grid = cells(96, 64, (8, 16, 32))
    raw = np.random.default_rng(0).normal(0, 4, (3, len(grid), 4)).astype(np.float32)
    assert raw[..., 2:].max() > 6, "where sizes are held down"
    np.testing.assert_allclose(numpy(losses.decoded(raw, grid)), decode(raw, grid), rtol=1e-5, atol=1e-3)


def test_raw_values_made_for_a_box_decode_to_it():
    grid = cells(64, 64, (8, 16))
    assert np.abs(decode(raw_of((3, 5, 40, 21), grid), grid) - [3, 5, 40, 21]).max() < 1e-3


class TestWhoAnswers:
    grid = cells(8, 8, (8,))  # one cell

    def test_one_cell_learns_one_box_as_well_as_it_has_it(self):
        for box, expected in (((0, 0, 8, 8), 1.0), ((0, 0, 8, 4), 0.5)):
            learnt, boxes, unclear = assigned([(0, 0, 8, 8)], [[0.5, 0.5, 0.5]], self.grid, table((*box, 1)))
            np.testing.assert_allclose(learnt, [[0, expected, 0]], atol=1e-6)
            np.testing.assert_allclose(boxes, [box])
            assert unclear.tolist() == [0]

    def test_of_two_boxes_a_cell_takes_the_one_that_it_overlaps_more(self):
        targets = table((0, 0, 8, 6, 0), (0, 0, 8, 7, 1))
        for scores in ([0.9, 0.1, 0], [0.1, 0.9, 0]):  # whatever it calls them
            learnt, boxes, _ = assigned([(0, 0, 8, 8)], [scores], self.grid, targets)
            np.testing.assert_allclose(learnt, [[0, 7 / 8, 0]], atol=1e-6)
            np.testing.assert_allclose(boxes, [(0, 0, 8, 7)])

    def test_a_box_whose_middle_is_far_away_is_not_answered(self):
        learnt, _, _ = assigned([(0, 0, 8, 8)], [[0.5, 0.5, 0.5]], self.grid, table((12, 12, 14, 14, 0)))
        assert not learnt.any()

    def test_of_equal_cells_the_one_that_overlaps_more_is_taught_more(self):
        grid = cells(8, 16, (8,))
        learnt, _, _ = assigned([(0, 0, 12, 8), (0, 0, 16, 8)], [[0.5], [0.5]], grid, table((0, 0, 14, 8, 0)))
        fit = np.array([12 / 14, 14 / 16]) ** 6
        np.testing.assert_allclose(learnt[:, 0], fit / fit.max() * 14 / 16, rtol=1e-4)

    def test_a_cell_that_scores_higher_is_taught_more(self):
        grid = cells(8, 16, (8,))
        learnt, _, _ = assigned([(0, 0, 16, 8)] * 2, [[0.1], [0.4]], grid, table((0, 0, 16, 8, 0)))
        np.testing.assert_allclose(learnt[:, 0], [0.5, 1.0], rtol=1e-4)  # the root of 0.1 / 0.4


@QUICK
@given(st.floats(0, 60), st.floats(0, 60), st.floats(3, 8), st.floats(3, 8))
def test_a_box_smaller_than_a_stride_still_gets_a_cell(left, top, wide, high):
    grid = cells(64, 64, (8, 16, 32))
    box = (left, top, min(64, left + wide), min(64, top + high))
    boxes = decode(np.broadcast_to(np.float32(FIRST), (len(grid), 4)), grid)
    learnt, targets, _ = assigned(boxes, np.full((len(grid), 2), 0.01), grid, table((*box, 1)))
    assert learnt[:, 1].max() > 0 and not learnt[:, 0].any()
    assert np.abs(targets[learnt[:, 1].argmax()] - box).max() < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_no_more_than_a_few_cells_learn_a_box_and_none_more_than_the_best_overlap(seed):
    grid = cells(64, 64, (8, 16, 32))
    truth = [(2, 3, 62, 60, 0), (10, 12, 30, 34, 1), (40, 41, 60, 63, 2)]
    rng = np.random.default_rng(seed)
    raw = np.array([raw_of(truth[n][:4], cell[None])[0] for n, cell in zip(rng.integers(0, 3, len(grid)), grid)])
    boxes = decode(raw + rng.normal(0, 0.1, raw.shape), grid)
    learnt, targets, _ = assigned(boxes, rng.uniform(0.05, 0.9, (len(grid), 3)), grid, table(*truth))
    overlap = ious(boxes, np.array(truth, np.float32)[:, :4])
    for code, box in enumerate(truth):
        taught = learnt[:, code] > 1e-6  # cells that miss it altogether have less
        assert 1 <= taught.sum() <= losses.TOP
        assert learnt[:, code].max() == pytest.approx(overlap[taught, code].max(), rel=1e-3)
        np.testing.assert_allclose(targets[taught], np.tile(box[:4], (taught.sum(), 1)), atol=1e-4)
    assert (learnt.max(0) <= 1).all() and (learnt >= 0).all()
    assert ((learnt > 0).sum(1) <= 1).all(), "a cell answers for one box"


def test_rows_without_a_box_change_nothing():
    grid, targets = cells(64, 64, (8, 16)), some_boxes(4, most=4)
    predictions = predicted(grid)
    more = np.concatenate([targets, np.zeros((1, 5, 6), np.float32)], 1)
    noise = more.copy()
    noise[:, 4:, :5] = np.random.default_rng(0).uniform(0, 2, (5, 5))
    expected = loss_of(targets, predictions)
    assert expected > 0
    for padded in (more, noise):
        np.testing.assert_allclose(loss_of(padded, predictions), expected, rtol=1e-5)


@settings(max_examples=8)
@given(st.permutations(range(6)))
def test_the_order_of_the_boxes_changes_nothing(order):
    grid, targets = cells(64, 64, (8, 16)), some_boxes(6, ignored=2, most=6)
    predictions = predicted(grid)
    np.testing.assert_allclose(loss_of(targets[:, order], predictions), loss_of(targets, predictions), rtol=1e-5)


def test_an_ignored_box_silences_its_cells_and_no_others():
    grid = cells(64, 64, (8,))
    box, ignored = (4, 4, 20, 20, 0), (24, 24, 60, 60, 1, -1)
    predictions = predicted(grid)
    rest = [predictions[0, :, :4], predictions[0, :, 4:-3]]
    boxes, scores = decode(rest[0], grid), 1 / (1 + np.exp(-rest[1]))
    alone, with_ignored = (assigned(boxes, scores, grid, table(*rows)) for rows in ((box,), (box, ignored)))
    np.testing.assert_array_equal(alone[0], with_ignored[0])
    inside = ((grid[:, :2] > 24) & (grid[:, :2] < 60)).all(1)
    assert inside.sum() == 16
    np.testing.assert_array_equal(with_ignored[2].astype(bool), inside)
    louder = predictions.copy()
    louder[:, inside, 4:-3] = 9.0  # a loud false alarm, for all that is known
    targets = table(box, ignored)
    np.testing.assert_allclose(loss_of(targets, louder), loss_of(targets, predictions), rtol=1e-6)
    assert loss_of(table(box), louder) > loss_of(table(box), predictions) + 1


def test_a_box_inside_an_ignored_one_is_still_learnt():
    grid = cells(64, 64, (8,))
    boxes, scores = decode(np.float32([FIRST] * len(grid)), grid), np.full((len(grid), 2), 0.1)
    learnt, _, unclear = assigned(boxes, scores, grid, table((0, 0, 64, 64, 1, -1), (20, 20, 44, 44, 0)))
    taught = learnt[:, 0] > 0
    assert taught.any() and not unclear[taught].any()
    assert unclear[~taught].mean() > 0.8


def test_a_batch_has_the_mean_of_its_images_over_what_they_are_taught_together():
    grid = cells(64, 64, (8, 16))
    targets = np.concatenate([some_boxes(count, seed=count, most=12) for count in (0, 2, 12)])
    predictions = predicted(grid, batch=3)
    logits = 6 * predictions[..., 4:-3].copy()
    predictions[..., 4:-3] = logits
    parts, taught = [], []
    for image, boxes in zip(predictions, targets, strict=True):
        place, scores = decode(image[:, :4], grid), 1 / (1 + np.exp(-image[:, 4:-3]))
        learnt, _, _ = assigned(place, scores, grid, boxes[None])
        taught.append(learnt.max(1).sum())
        parts.append(loss_of(boxes[None], image[None])[0] * max(taught[-1], 1))
    assert np.mean(taught) > 1 and taught[0] == 0 and parts[0] > 0
    expected = np.array(parts) / np.mean(taught)
    np.testing.assert_allclose(loss_of(targets, predictions), expected, rtol=1e-4)
    whole = numpy(losses.DetectionLoss()(targets, predictions))
    assert whole == pytest.approx(expected.mean(), rel=1e-4)


def test_following_its_gradient_finds_the_boxes():
    import keras
    import tensorflow as tf

    grid = cells(64, 64, (8, 16))
    truth = [(6, 8, 26, 30, 0), (34, 30, 60, 58, 1), (40, 4, 47, 12, 1)]
    start = predicted(grid, classes=2, spread=0.01)
    values, rest = tf.Variable(start[..., :-3]), tf.constant(start[..., -3:])
    optimizer, loss = keras.optimizers.Adam(0.1), losses.DetectionLoss()

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            now = loss(table(*truth), tf.concat([values, rest], -1))
        optimizer.apply_gradients([(tape.gradient(now, values), values)])
        return now

    history = [float(step()) for _ in range(150)]
    assert history[-1] < 0.25 * history[0]
    assert np.mean(history[50:60]) < np.mean(history[:10])
    raw, scores = numpy(values)[0, :, :4], 1 / (1 + np.exp(-numpy(values)[0, :, 4:]))
    cell, code = np.nonzero(scores > 0.5)
    found = suppress(Detections(decode(raw[cell], grid[cell]), scores[cell, code], code))
    assert sorted(found.codes.tolist()) == [0, 1, 1]
    overlap = ious(found.boxes, np.array(truth, np.float32)[:, :4])
    assert (overlap.max(0) > 0.9).all()


def gradient(targets, predictions):
    import tensorflow as tf

    predictions = tf.constant(predictions)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        value = losses.DetectionLoss()(targets, predictions)
    return float(value), numpy(tape.gradient(value, predictions))


@pytest.mark.parametrize("count", [0, 1, 32])
@pytest.mark.parametrize("extreme", [0.0, 30.0, 1e4, -1e4])
def test_loss_and_gradient_are_numbers_whatever_comes(count, extreme):
    grid = cells(64, 64, (8, 16, 32))
    predictions = predicted(grid)
    predictions[..., :-3] += np.random.default_rng(1).normal(extreme, abs(extreme), predictions[..., :-3].shape)
    value, slope = gradient(some_boxes(count, most=32), predictions)
    assert np.isfinite(value) and value >= 0
    assert np.isfinite(slope).all()
    assert extreme or slope.any()


def test_boxes_without_extent_and_outside_are_numbers_too():
    targets = table(
        (5, 5, 5, 5, 0), (-20, -20, -4, -4, 1), (10, 10, 30, 10, 2), (0, 0, 64, 64, 0, -1), (9, 9, 9, 9, 1, -1)
    )
    value, slope = gradient(targets, predicted(cells(64, 64, (8, 16, 32))))
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_without_a_box_all_that_is_learnt_is_to_be_silent():
    grid = cells(64, 64, (8,))
    predictions = predicted(grid)
    value, slope = gradient(table(), predictions)
    assert value > 0
    assert not slope[..., :4].any() and (slope[..., 4:-3] > 0).all()


def test_it_comes_back_from_its_configuration():
    import keras

    loss = losses.DetectionLoss()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is losses.DetectionLoss and again.name == "detection"


def case():
    """A batch with boxes, ignored ones and an image without any."""
    grid = cells(64, 64, (8, 16, 32))
    targets = np.concatenate([some_boxes(*pair, most=9, ignored=1) for pair in ((5, 0), (0, 1), (9, 2))])
    return targets, predicted(grid, batch=3)


def test_another_backend_has_the_same_loss():
    pytest.importorskip("jax", reason="needs jax: pip install 'cnnkit[jax]'")
    program = (
        "import json, keras; from tests.tasks.detection.test_loss import case, loss_of\n"
        "print(json.dumps([keras.backend.backend(), loss_of(*case()).tolist()]))"
    )
    command, environment = [sys.executable, "-c", program], {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    backend, values = json.loads(done.stdout.splitlines()[-1])
    assert backend == "jax" and len(values) == 3
    np.testing.assert_allclose(values, loss_of(*case()), rtol=1e-4)

"""Finding objects with a detector: what goes in, what comes out, and where it lies on the image."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.device import detection
from cnnkit.device.detection import Detections, Plan
from tests.device.red import RedFinder, scene


def found(*rows):
    """Make detections of rows (left, top, right, bottom, score, code)."""
    rows = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int32))


# Cells and decoding ---------------------------------------------------------------------------------------------------


def test_cells_come_map_by_map_and_row_by_row():
    grid = detection.cells(32, 48, (16, 32))
    assert grid.dtype == np.float32 and grid.shape == (2 * 3 + 1 * 2, 3)
    by_hand = [
        (8, 8, 16),
        (24, 8, 16),
        (40, 8, 16),
        (8, 24, 16),
        (24, 24, 16),
        (40, 24, 16),
        (16, 16, 32),
        (48, 16, 32),
    ]
    np.testing.assert_array_equal(grid, by_hand)
    with pytest.raises(ValueError):
        grid[0] = 0  # cached, so shared


def test_decode_by_hand():
    grid = np.array([[8, 24, 16]], np.float32)
    raw = np.array([[0.5, -0.25, np.log(2), np.log(0.5)]], np.float32)  # down, right, height, width
    np.testing.assert_allclose(detection.decode(raw, grid), [[4 - 4, 32 - 16, 4 + 4, 32 + 16]], rtol=1e-6)
    np.testing.assert_allclose(detection.decode(np.zeros((2, 1, 4)), grid), [[[0, 16, 16, 32]]] * 2)


def test_decode_of_an_absurd_size_stays_finite():
    boxes = detection.decode(np.array([[0, 0, 1e9, 1e9]], np.float32), np.array([[8, 8, 16]], np.float32))
    assert np.isfinite(boxes).all() and boxes.dtype == np.float32


def test_ious_by_hand():
    first = np.array([[0, 0, 10, 10], [5, 5, 5, 9]], float)
    second = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]], float)
    np.testing.assert_allclose(detection.ious(first, second), [[1 / 3, 1, 0], [0, 0, 0]])
    assert detection.ious(first, np.zeros((0, 4))).shape == (2, 0)


# Suppression ----------------------------------------------------------------------------------------------------------


def test_of_boxes_that_overlap_the_best_is_kept():
    boxes = found((0, 0, 10, 10, 0.6, 0), (1, 0, 11, 10, 0.9, 0), (30, 0, 40, 10, 0.7, 0))
    kept = detection.suppress(boxes, iou=0.6)  # the first two share 90 of 110
    np.testing.assert_allclose(kept.scores, [0.9, 0.7])
    np.testing.assert_array_equal(kept.boxes, [[1, 0, 11, 10], [30, 0, 40, 10]])
    assert len(detection.suppress(boxes, iou=0.85).scores) == 3


def test_boxes_of_other_classes_are_kept():
    assert len(detection.suppress(found((0, 0, 10, 10, 0.6, 0), (0, 0, 10, 10, 0.9, 1))).scores) == 2


def test_suppression_is_not_transitive():
    # the second falls to the first, so it cannot take the third with it
    boxes = found((0, 0, 10, 10, 0.9, 0), (4, 0, 14, 10, 0.8, 0), (8, 0, 18, 10, 0.7, 0))
    np.testing.assert_allclose(detection.suppress(boxes, iou=0.4).scores, [0.9, 0.7])


def test_a_part_gives_way_to_the_whole_though_its_score_is_higher():
    boxes = found((0, 0, 20, 20, 0.5, 0), (0, 0, 8, 20, 0.9, 0))
    kept = detection.suppress(boxes, cut=np.array([False, True]))
    np.testing.assert_array_equal(kept.boxes, [[0, 0, 20, 20]])
    assert len(detection.suppress(boxes).scores) == 2  # not cut: a small sign in front of a large one


def test_a_part_with_nothing_around_it_is_kept():
    kept = detection.suppress(found((0, 0, 8, 20, 0.9, 0)), cut=np.array([True]))
    assert len(kept.scores) == 1


def test_limit_order_and_nothing():
    boxes = found(*[(20 * k, 0, 20 * k + 10, 10, score, 0) for k, score in enumerate((0.3, 0.9, 0.5))])
    np.testing.assert_allclose(detection.suppress(boxes, limit=2).scores, [0.9, 0.5])
    assert len(detection.suppress(detection.nothing()).scores) == 0


@given(st.integers(0, 2**32 - 1))
def test_what_is_kept_does_not_overlap_and_what_goes_is_covered(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 50, (30, 2))
    rows = np.concatenate([corners, corners + rng.uniform(1, 30, (30, 2))], 1)
    boxes = Detections(
        rows.astype(np.float32), rng.random(30).astype(np.float32), rng.integers(0, 3, 30).astype(np.int32)
    )
    kept = detection.suppress(boxes, iou=0.5)
    assert (np.diff(kept.scores) <= 0).all()
    same = kept.codes[:, None] == kept.codes[None]
    over = detection.ious(kept.boxes, kept.boxes) * same
    assert (over[~np.eye(len(over), dtype=bool)] <= 0.5).all()
    for box, score, code in zip(*boxes):
        clash = (detection.ious(box[None], kept.boxes)[0] > 0.5) & (kept.codes == code) & (kept.scores >= score)
        assert clash.any() or (kept.boxes == box).all(1).any()


# Tiles ----------------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 500), st.integers(1, 500), st.integers(32, 200), st.integers(32, 200), st.floats(0, 0.8)
)  # fmt: skip
def test_tiles_cover_everything_and_overlap_as_asked(height, width, tall, wide, share):
    overlap = share * min(tall, wide)
    places = detection.tiles(height, width, (tall, wide), overlap)
    for axis, (length, side) in enumerate(((height, tall), (width, wide))):
        starts = sorted({place[axis] for place in places})
        assert starts[0] == 0
        assert starts[-1] == max(0, length - side)
        for before, after in itertools.pairwise(starts):
            assert before + side - after >= int(overlap)  # places are whole px
    assert len(places) == len(set(places))


def test_a_tile_that_holds_everything_is_one():
    assert detection.tiles(100, 60, (128, 128), 32) == [(0, 0)]
    assert detection.tiles(100, 200, (100, 100), 0) == [(0, 0), (0, 100)]


# The whole image ------------------------------------------------------------------------------------------------------


def test_a_fitted_image_keeps_its_aspect_and_lies_top_left():
    image = np.full((50, 100, 3), 200, np.uint8)
    page, scale = detection.fitted(image, (64, 64, 3))
    assert page.shape == (64, 64, 3) and page.dtype == np.uint8 and scale == 0.64
    assert (page[:32] == 200).all() and (page[32:] == detection.GREY).all()


@pytest.mark.parametrize(
    "image", [np.zeros((1, 1), np.uint8), np.zeros((3, 1000, 4), np.uint8), np.zeros((999, 2, 3), np.uint8)]
)
def test_any_image_fits(image):
    for shape in ((64, 96, 3), (32, 32, 1)):
        page, scale = detection.fitted(image, shape)
        assert page.shape == shape and scale > 0


# Finding --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(128, 128), (256, 512), (251, 509), (1079, 1919), (90, 40)])
def test_boxes_come_back_to_where_they_are_on_the_image(size):
    height, width = size
    box = (width // 2, height // 2, width // 2 + width // 3, height // 2 + height // 3)
    result = detection.find(RedFinder((128, 128, 3)), scene(height, width, box), Plan())
    assert len(result.scores) == 1
    tolerance = 1.6 * max(1, max(size) / 128)  # the fake sees whole px of its input
    np.testing.assert_allclose(result.boxes[0], box, atol=tolerance)


def test_both_scales_of_a_fitted_image_are_the_true_ones():
    # 1000 x 3 px in 100 x 100: a width of 0.3 px is one px of the input, not 0.3
    class Column:
        input_shape = (100, 100, 3)

        def run_batch(self, images):
            grid = detection.cells(100, 100, (8, 16, 32))
            scores = np.zeros((1, len(grid), 1), np.float32)
            scores[0, 0] = 1
            raw = np.zeros((1, len(grid), 4), np.float32)  # (0, 0, 8, 8)
            return {"scores": scores, "boxes": raw}

    image = np.zeros((1000, 3, 3), np.uint8)
    np.testing.assert_allclose(detection.find(Column(), image, Plan()).boxes, [[0, 0, 3, 80]])


@pytest.mark.parametrize("kind", ["grey", "rgba", "tiny"])
def test_images_of_every_kind(kind):
    model = RedFinder((64, 64, 3))
    image = {
        "grey": np.full((40, 50), 90, np.uint8),
        "rgba": np.dstack([scene(80, 120, (30, 20, 60, 50)), np.full((80, 120), 255, np.uint8)]),
        "tiny": np.zeros((1, 2, 3), np.uint8),
    }[kind]
    for plan in (Plan(), Plan(scale=1.0, overlap=16), Plan(scale=0.5, overlap=16, whole=True)):
        result = detection.find(model, image, plan)
        assert len(result.scores) == (kind == "rgba"), plan
        if kind == "rgba":
            np.testing.assert_allclose(result.boxes[0], (30, 20, 60, 50), atol=3)
        assert result.boxes.dtype == np.float32 and result.codes.dtype == np.int32


def test_transparent_is_white():
    rgba = np.dstack([scene(64, 64, (10, 10, 40, 40)), np.zeros((64, 64), np.uint8)])
    assert len(detection.find(RedFinder((64, 64, 3)), rgba, Plan()).scores) == 0


@pytest.mark.parametrize("left", range(70, 130, 3))
def test_an_object_cut_by_a_tile_comes_out_once_and_whole(left):
    box = (left, 40, left + 24, 64)
    model = RedFinder((96, 96, 3))
    result = detection.find(model, scene(96, 200, box), Plan(scale=1.0, overlap=32))
    np.testing.assert_allclose(result.boxes, [box], atol=0.01)
    assert model.calls == 3  # 96 px of 200, sharing at least 32


def test_whole_and_tiles_together_find_an_object_once():
    plan = Plan(scale=1.0, overlap=32, whole=True)
    for box in ((20, 20, 44, 44), (10, 10, 150, 150)):  # the second fits no tile
        result = detection.find(RedFinder((96, 96, 3)), scene(192, 192, box), plan)
        assert len(result.scores) == 1, result
        np.testing.assert_allclose(result.boxes[0], box, atol=3)


def test_classes_threshold_and_limit():
    boxes = [(10, 10, 30, 30), (60, 10, 80, 30)]
    image = scene(96, 96, *boxes, colours=[(255, 0, 0), (0, 0, 255)])
    model = RedFinder((96, 96, 3), scores=(0.9, 0.4))
    result = detection.find(model, image, Plan(threshold=0.3))
    assert result.codes.tolist() == [0, 1] and result.scores.tolist() == pytest.approx([0.9, 0.4])
    assert detection.find(model, image, Plan(threshold=0.5)).codes.tolist() == [0]
    assert detection.find(model, image, Plan(threshold=0.5), threshold=0.1).codes.tolist() == [0, 1]
    assert detection.find(model, image, Plan(), limit=1).codes.tolist() == [0]


def test_boxes_never_leave_the_image():
    class Huge:
        input_shape = (64, 64, 3)

        def run_batch(self, images):
            cells = len(detection.cells(64, 64, (8, 16, 32)))
            return {"scores": np.ones((1, cells, 2), np.float32), "boxes": np.full((1, cells, 4), 3, np.float32)}

    result = detection.find(Huge(), np.zeros((30, 50, 3), np.uint8), Plan(), limit=1000)
    assert (result.boxes >= 0).all() and (result.boxes <= [50, 30, 50, 30]).all()
    assert (detection.areas(result.boxes) > 0).all()


# The plan -------------------------------------------------------------------------------------------------------------


def test_a_plan_travels_as_json():
    plan = Plan(strides=(4, 8), scale=0.75, overlap=48.0, whole=True, threshold=0.42)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert Plan.from_dict({}) == Plan()
    assert Plan.from_dict({**plan.to_dict(), "of a later version": 1}) == plan


def test_the_model_is_given_bytes_of_its_shape():
    seen = []

    def run_batch(images):
        assert images.shape[1:] == (64, 64, 3) and images.dtype == np.uint8
        seen.extend(images)
        return RedFinder((64, 64, 3)).run_batch(images)

    model = SimpleNamespace(input_shape=(64, 64, 3), run_batch=run_batch)
    image = scene(64, 160, (100, 20, 120, 40))
    result = detection.find(model, image, Plan(scale=1.0, overlap=16))
    np.testing.assert_array_equal(np.stack(seen), [image[:, :64], image[:, 48:112], image[:, 96:]])
    assert len(result.scores) == 1

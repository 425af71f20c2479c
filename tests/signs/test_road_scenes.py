"""Road scenes: boxes that agree with the pixels, shares of what is in them, that they repeat."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnnkit_signs import road_scenes, scene_parts
from cnnkit_signs.road_scenes import LABELS, SIDE, RoadScenes, scene

SHAPE = (*SIDE, 3)


@pytest.fixture(scope="module")
def layouts():
    scenes = RoadScenes(2000, seed=3)
    return [scenes.boxes(k) for k in range(len(scenes))]


def test_a_scene_is_a_picture_with_boxes():
    picture, boxes, codes = scene(0, 1)
    assert picture.shape == SHAPE and picture.dtype == np.uint8
    assert boxes.shape == (len(codes), 4) and boxes.dtype == np.float32 and codes.dtype == np.int32


@pytest.mark.parametrize("size", [(64, 64), (96, 300), (640, 800)])
def test_a_scene_has_the_size_asked_for(size):
    for index in range(8):
        picture, boxes, _ = scene(1, index, size)
        assert picture.shape == (*size, 3)
        assert (boxes >= 0).all() and (boxes <= (*size[::-1], *size[::-1])).all()


def test_scenes_repeat_in_any_order_and_from_any_thread():
    size, shape = (128, 176), (128, 176, 3)
    images = RoadScenes(16, size=size)
    expected = images.read(np.arange(16), shape)
    order = np.random.default_rng(0).permutation(16)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda part: images.read(part, shape), np.array_split(order, 7)))
    assert np.array_equal(np.concatenate(parts), expected[order])
    scene_parts._drawn.cache_clear()
    again = RoadScenes(100, size=size).native(7)
    assert np.array_equal(again, expected[7]), "more scenes change none, nor does drawing the parts anew"
    assert not np.array_equal(RoadScenes(16, seed=1, size=size).native(7), expected[7])
    assert len(np.unique(expected.reshape(16, -1), axis=0)) == 16


def test_rendering_changes_no_part():
    parts = scene_parts.stock()
    things = [*parts.trees, *parts.woods, *parts.facades, *parts.cars, *parts.people, *parts.plates]
    pages = [*parts.skies, *parts.leaves, *parts.grounds, parts.grain, parts.mottle, *(t.levels[0][0] for t in things)]

    def state():
        sha = hashlib.sha256()
        for page in pages:
            sha.update(np.ascontiguousarray(page).tobytes())
        return sha.hexdigest()

    before = state()
    for index in range(30):
        scene(9, index)
    assert state() == before


def test_boxes_are_known_without_rendering():
    images = RoadScenes(20, seed=2)
    for index in range(20):
        _, boxes, codes = scene(2, index)
        again, kinds = images.boxes(index)
        assert np.array_equal(boxes, again) and np.array_equal(codes, kinds)


def test_what_a_sign_changes_is_its_box():
    apart = []
    for index in range(50):
        layout = road_scenes._layout(4, index, SIDE)
        if not layout.signs:
            continue
        last = layout.signs[-1]  # each sign has random numbers by its place, so the last can go
        light, _ = road_scenes._light(layout, 4, index, SIDE)
        without, _ = road_scenes._light(layout._replace(signs=layout.signs[:-1]), 4, index, SIDE)
        ys, xs = np.nonzero(np.abs(light - without).max(2) > 0.01)
        if last.cut is not None or len(xs) < 20:  # covered, or of the colour of what is behind it
            continue
        changed = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        apart.append(np.abs(np.array(changed) - last.box).max())
    assert len(apart) > 20
    assert np.quantile(apart, 0.9) <= 2 and max(apart) <= 4, "a few stand on a board of their own"


def test_of_a_covered_sign_the_box_holds_what_can_be_seen():
    covered = 0
    for index in range(400):
        layout = road_scenes._layout(6, index, SIDE)
        for placed in layout.signs:
            if placed.cut is None:
                continue
            covered += 1
            axis, way, place = placed.cut
            assert (placed.box[axis + 2] <= place + 1e-3) if way > 0 else (placed.box[axis] >= place - 1e-3)
            whole = np.ptp(placed.corners, axis=0).max()
            assert max(placed.box[2] - placed.box[0], placed.box[3] - placed.box[1]) >= 0.35 * whole
    assert covered > 20


def test_boxes_lie_inside_and_apart(layouts):
    high, wide = SIDE
    for boxes, _ in layouts:
        assert (boxes >= 0).all() and (boxes[:, ::2] <= wide).all() and (boxes[:, 1::2] <= high).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 6).all()
        for k, one in enumerate(boxes):
            for other in boxes[:k]:
                across = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
                assert across.min() <= 0, "one sign does not cover another"


def test_kinds_sizes_and_counts_are_those_of_roads(layouts):
    boxes, codes = (np.concatenate([layout[part] for layout in layouts]) for part in (0, 1))
    shares = np.bincount(codes, minlength=len(LABELS)) / len(codes)
    assert len(shares) == len(LABELS) and shares.min() > 0.04 and shares.max() < 0.4
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(1)
    assert sizes.min() >= 6 and sizes.max() <= 1.1 * 128
    assert ((sizes > 16) & (sizes < 64)).mean() > 0.6 and (sizes > 64).mean() > 0.04 and (sizes < 24).mean() > 0.15
    many = np.bincount([len(kinds) for _, kinds in layouts])
    assert len(many) == road_scenes.MOST + 1 and 0.1 < many[0] / len(layouts) < 0.2, "none to six"
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.histogram(middles[:, 0], 8, (0, SIDE[1]))[0].min() > 0.05 * len(codes)


@pytest.mark.parametrize("code", range(len(LABELS)))
def test_a_variant_fills_its_outline(code):
    edge = (scene_parts.outline(code) + 0.5) * 64
    rng = np.random.default_rng(code)
    drawn = [scene_parts.sign_variant(code, rng, 64) for _ in range(24)]
    for flat in drawn:
        ys, xs = np.nonzero(flat[..., 3] > 127)
        ends = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert np.abs(ends - [*edge.min(0), *edge.max(0)]).max() <= 1.5
    assert len({flat.tobytes() for flat in drawn}) > 12, "they differ"


def test_the_fingerprint_is_of_the_parameters():
    def digest(images, indices=(0, 1)):
        sha = hashlib.sha256()
        images.digest(np.array(indices), sha.update)
        return sha.hexdigest()

    assert digest(RoadScenes(5)) == digest(RoadScenes(9))
    others = [digest(RoadScenes(5, seed=1)), digest(RoadScenes(5, size=(96, 96))), digest(RoadScenes(5), (0, 2))]
    assert len({digest(RoadScenes(5)), *others}) == 4


def test_it_is_a_source_of_images():
    images = RoadScenes(3, size=(96, 128))
    assert len(images) == 3 and images.shape == (96, 128, 3) and images.name(2) == "road-scenes[2]"
    assert images.read(np.array([2, 0]), (48, 64, 3)).shape == (2, 48, 64, 3)
    assert images.read(np.array([1]), (96, 128, 1)).shape == (1, 96, 128, 1)
    assert np.array_equal(images.read(np.array([1]), images.shape)[0], images.native(1))


def test_a_scene_takes_milliseconds_and_its_boxes_less():
    images = RoadScenes(1000)
    images.native(0)  # the parts are drawn once
    start = time.process_time()
    for index in range(40):
        images.native(index)
    assert (time.process_time() - start) / 40 < 0.06  # s, a fifth of that on an idle core
    start = time.process_time()
    for index in range(500):
        images.boxes(index)
    assert (time.process_time() - start) / 500 < 0.004  # s

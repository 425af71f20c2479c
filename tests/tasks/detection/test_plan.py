"""How a detector sees the images follows from the sizes of the boxes, and it says why."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.device.detection import Plan, tiles
from cnnkit.tasks.detection.plan import ENLARGED, ENOUGH, FINE, TILE, WHOLE_SIDES, choose


def of(sides, image, **forced):
    """Choose for square boxes of these sides in images of one size."""
    sides = np.asarray(sides, float)
    return choose(sides, np.full(len(sides), float(image)), sides, **forced)


@pytest.mark.parametrize(
    ("side", "image", "input_side", "strides"),
    [
        (40, 320, 256, (8, 16, 32)),  # 32 px at 256
        (30, 800, 416, (8, 16, 32)),  # 12 px at 320, 15.6 at 416
        (14, 256, 256, (8, 16, 32)),  # 14 px, which is enough
        (20, 800, 512, (8, 16, 32)),  # 12.8 px: not enough, but near
        (17, 800, 512, (8, 16, 32)),  # 10.9 px: the maps still begin at stride 8
    ],
)
def test_whole_images_go_into_the_smallest_input_that_leaves_enough(side, image, input_side, strides):
    choice = of([side] * 20, image)
    assert (choice.side, choice.plan) == (input_side, Plan(strides))
    assert any(f"fitted into {input_side} px" in line for line in choice.why)


@pytest.mark.parametrize(
    ("side", "scale", "overlap", "strides"),
    [
        (16, 1.0, 32, (8, 16, 32)),  # enough as it is
        (8, 1.75, 32, (8, 16, 32)),  # enlarged to 14 px
        (4, 2.0, 32, (4, 8, 16)),  # 8 px, however enlarged
    ],
)
def test_small_boxes_in_large_images_mean_tiles(side, scale, overlap, strides):
    choice = of([side] * 20, 2048)
    assert choice.side == TILE and choice.plan == Plan(strides, scale, overlap, False)
    assert any(f"Tiles of {TILE} px at {scale:g} times" in line for line in choice.why)


def test_the_small_tenth_decides_and_not_the_rest():
    assert of([8] * 11 + [200] * 89, 2048).plan.scale is not None
    assert of([8] * 9 + [200] * 91, 2048).plan.scale is None


def test_the_share_of_each_boxs_own_image_counts():
    sides = np.full(20, 20.0)
    small, large = (choose(sides, np.full(20, image), sides) for image in (160.0, 2000.0))
    assert small.plan.scale is None and large.plan.scale is not None


def test_tiles_overlap_by_the_size_of_nearly_all_boxes():
    choice = of([16] * 80 + [100] * 20, 2048)
    assert choice.plan.overlap == 112 and not choice.plan.whole  # the next sixteen after 100
    for place in np.linspace(0, 2048 - 100, 50):  # a box of 100 px lies whole in some tile
        starts = [left for _, left in tiles(TILE, 2048, (TILE, TILE), choice.plan.overlap)]
        assert any(left <= place and place + 100 <= left + TILE for left in starts)
    assert any("112 px, so that nearly all" in line for line in choice.why)


def test_boxes_too_large_for_the_overlap_are_looked_for_in_the_whole_image():
    choice = of([16] * 97 + [1000] * 3, 2048)
    assert choice.plan.whole and choice.plan.overlap == 32
    assert any("the whole image too" in line for line in choice.why)
    most = of([16] * 50 + [900] * 50, 2048)
    assert most.plan.whole and most.plan.overlap == TILE // 2


def test_a_side_that_is_given_is_kept():
    whole = of([20] * 20, 800, side=640)
    assert whole.side == 640 and whole.plan == Plan()  # 16 px
    tiled = of([16] * 20, 2048, side=256)
    assert tiled.side == 256 and tiled.plan.scale == 1.0
    assert of([], 1, side=96).side == 96


def test_tiles_that_are_asked_for_or_refused_are_so():
    refused = of([8] * 20, 2048, tiles=False)
    assert refused.side == WHOLE_SIDES[-1] and refused.plan == Plan((4, 8, 16))  # 2 px are left
    assert any("less than the 14 px" in line for line in refused.why)
    asked = of([50] * 20, 100, tiles=True)
    assert asked.plan.scale == 1.0 and asked.side == TILE
    both = of([50] * 20, 100, tiles=True, side=64)
    assert both.side == 64 and both.plan.overlap == 32 and both.plan.whole


def test_the_scale_of_tiles_can_be_asked_for():
    asked = of([50] * 20, 100, scale=1.5)
    assert asked.plan.scale == 1.5 and asked.side == TILE
    assert any("at 1.5 times" in line and "in a tile it has 75" in line for line in asked.why)


def test_tiles_that_are_asked_for_have_no_untrue_reason():
    (line,) = (line for line in of([50] * 20, 100, tiles=True).why if line.startswith("Tiles"))
    assert "fewer than" not in line


def test_without_boxes_it_is_as_usual_and_says_so():
    choice = of([], 1)
    assert choice.plan == Plan() and choice.side == 320 and choice.why == ("No boxes to choose by.",)


def test_the_reasons_name_what_was_measured():
    why = of([10] * 10 + [20] * 80 + [30] * 10, 2048).why
    assert re.match(r"Boxes: 100; a tenth is smaller than 1\d px, half than 20 px, nine tenths than 2\d px", why[0])
    assert "images: 2048 px" in why[0]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.floats(1, 400), st.floats(1.0, 4.0)), min_size=1, max_size=40),
    st.integers(400, 4000),
    st.sampled_from([None, 64, 320, 640]),
    st.sampled_from([None, False, True]),
)
def test_every_choice_can_be_built_and_is_explained(boxes, image, side, tiled):
    extents, aspects = np.array(boxes).T
    choice = choose(extents, np.full(len(extents), float(image)), extents * np.sqrt(aspects), side=side, tiles=tiled)
    plan = choice.plan
    assert choice.side % 32 == 0 and choice.side == (side or choice.side)
    assert plan.strides in ((4, 8, 16), (8, 16, 32))
    assert tiled is None or (plan.scale is not None) == tiled
    small = np.quantile(extents, 0.1)
    if plan.scale is not None:
        assert 1 <= plan.scale <= ENLARGED and 0 < plan.overlap <= choice.side / 2
        small_seen = small * plan.scale
        assert small_seen >= ENOUGH - 1e-6 or plan.scale == ENLARGED
    else:
        assert not plan.whole
        small_seen = np.quantile(extents / image, 0.1) * choice.side
    assert (plan.strides[0] == 8) == (small_seen >= FINE)
    assert len(choice.why) >= 3 and all(line.endswith(".") and "\n" not in line for line in choice.why)
    assert all("px" in line for line in choice.why[:-1])
    assert "stride" in choice.why[-1]

"""Distances between borders: by hand, and as other libraries have them."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit.tasks.segmentation.surfaces import (
    element_sizes,
    hausdorff,
    mean_distance,
    surface_dice,
    surface_distances,
)

ORACLES = json.loads((Path(__file__).parent / "oracles.json").read_text(encoding="utf-8"))


def box(top, left, high, wide, shape=(30, 30)):
    mask = np.zeros(shape, bool)
    mask[top : top + high, left : left + wide] = True
    return mask


def bits(text):
    shape = ORACLES["shape"]
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).reshape(shape).astype(bool)


@pytest.mark.parametrize("case", ORACLES["masks"], ids=lambda case: f"{case['spacing']}-{case['nsd']:.3f}")
def test_other_libraries_agree(case):
    between = surface_distances(bits(case["first"]), bits(case["second"]), case["spacing"])
    assert [between.first_sizes.sum(), between.second_sizes.sum()] == pytest.approx(case["lengths"])
    assert hausdorff(between) == pytest.approx(case["hd95"], rel=1e-6)
    assert hausdorff(between, 1.0) == pytest.approx(case["hd100"], rel=1e-6)
    assert surface_dice(between, case["tolerance"]) == pytest.approx(case["nsd"])
    assert surface_dice(between, case["tolerance"]) == pytest.approx(case["nsd_monai"], rel=1e-5)
    assert mean_distance(between) == pytest.approx(case["mean"], rel=1e-6)
    averages = [between.first @ between.first_sizes, between.second @ between.second_sizes]
    averages = [part / length for part, length in zip(averages, case["lengths"], strict=True)]
    assert averages == pytest.approx(case["averages"], rel=1e-6)


def test_the_fixture_asks_something():
    shares = [case["nsd"] for case in ORACLES["masks"]]
    assert len(shares) == 15 and max(shares) - min(shares) > 0.2
    assert len({tuple(case["spacing"]) for case in ORACLES["masks"]}) == 4


def test_contours_have_their_length():
    slanted = np.hypot(2, 3) / 2
    between = surface_distances(box(5, 5, 4, 6), box(5, 5, 1, 1), (2.0, 3.0))
    # Between corners: 3 rows and 5 columns straight, twice; a slant at each of four corners.
    assert between.first_sizes.sum() == pytest.approx(2 * 3 * 2 + 2 * 5 * 3 + 4 * slanted)
    assert between.second_sizes.sum() == pytest.approx(4 * slanted)


def test_two_pixels_that_touch_at_a_corner_have_two_contours_there():
    assert element_sizes((3.0, 4.0))[[0b0110, 0b1001]].tolist() == [5.0, 5.0]
    assert element_sizes((3.0, 4.0))[[0, 15, 3, 12, 5, 10, 1, 7]].tolist() == [0, 0, 4, 4, 3, 3, 2.5, 2.5]


def test_a_side_of_the_picture_is_a_border():
    whole = np.ones((10, 10), bool)
    between = surface_distances(whole, whole)
    assert between.first_sizes.sum() == pytest.approx(4 * 9 + 4 * np.sqrt(0.5))


def test_a_mask_that_moved():
    between = surface_distances(box(5, 5, 20, 10), box(8, 5, 20, 10), (2.0, 1.0))
    # Ends are 6 mm apart, of 10 mm each; sides lie on each other but for 6 mm at an end.
    assert hausdorff(between) == 6.0
    assert hausdorff(between, 0.5) == 0.0
    share = between.first_sizes[between.first > 0].sum() / between.first_sizes.sum()
    assert surface_dice(between, 0.5) == pytest.approx(1 - share)
    assert surface_dice(between, 6.0) == 1.0


def test_thick_slices_count_in_millimetres():
    truth = box(4, 12, 6, 20, (14, 48))  # slices of 6 mm, columns of 0.8 mm
    spacing = (6.0, 0.8)
    assert hausdorff(surface_distances(truth, np.roll(truth, 1, 0), spacing)) == pytest.approx(6.0, abs=1e-3)
    assert hausdorff(surface_distances(truth, np.roll(truth, 2, 1), spacing)) == pytest.approx(1.6, abs=1e-3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.1, 0.1), (0.1, 0.3)])
def test_a_tolerance_holds_the_distance_it_names(spacing):
    first, second = box(5, 5, 10, 10), box(5, 5, 10, 13)
    assert surface_dice(surface_distances(first, second, spacing), round(3 * spacing[1], 6)) == 1.0
    assert surface_dice(surface_distances(first, second, spacing), 2.9 * spacing[1]) < 1.0


def test_distances_of_square_and_of_hardly_square_pixels_agree():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 60, 50)) > 0.98
    square, oblong = (surface_distances(first, second, (0.5, side)) for side in (0.5, 0.5 * (1 + 1e-9)))
    assert np.allclose(square.first, oblong.first, rtol=1e-6) and np.allclose(square.second, oblong.second, rtol=1e-6)


def test_only_one_of_two_borders_may_be_far():
    both = box(2, 2, 5, 5) | box(20, 20, 5, 5)
    there_and_back = surface_distances(box(2, 2, 5, 5), both), surface_distances(both, box(2, 2, 5, 5))
    assert hausdorff(there_and_back[0]) == hausdorff(there_and_back[1]) > 15


def test_empty_masks_are_infinitely_far():
    none, some = np.zeros((9, 9), bool), box(2, 2, 3, 3, (9, 9))
    for between in (surface_distances(none, some), surface_distances(some, none)):
        assert hausdorff(between) == mean_distance(between) == np.inf
        assert surface_dice(between, 100.0) == 0
    between = surface_distances(none, none)
    assert np.isnan([hausdorff(between), mean_distance(between), surface_dice(between, 1.0)]).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="one size"):
        surface_distances(np.ones((3, 3), bool), np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="a spacing for each axis"):
        surface_distances(np.ones((3, 3), bool), np.ones((3, 3), bool), (1.0,))


# Volumes --------------------------------------------------------------------------------------------------------------


def voxels(*places):
    """The code of a cube of eight voxels of which those at these places, (z, y, x), are of a mask."""
    return sum(1 << (7 - (4 * z + 2 * y + x)) for z, y, x in places)


def test_surfaces_of_a_cube_by_hand():
    sizes = element_sizes((2.0, 3.0, 4.0))
    # A corner alone is cut off by a triangle through the middles of its edges, (1, 0, 0), (0, 1.5, 0), (0, 0, 2).
    corner = np.linalg.norm(np.cross([-1, 1.5, 0], [-1, 0, 2])) / 2
    assert sizes[voxels((0, 0, 0))] == pytest.approx(corner)
    assert sizes[255 - voxels((1, 0, 1))] == pytest.approx(corner)
    # An edge along x: a strip from (1, 0) to (0, 1.5), 4 long; a face: its whole area; two corners apart: two triangles.
    assert sizes[voxels((0, 0, 0), (0, 0, 1))] == pytest.approx(4 * np.hypot(1, 1.5))
    assert sizes[voxels((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1))] == pytest.approx(3 * 4)
    assert sizes[voxels((0, 0, 0), (1, 1, 1))] == pytest.approx(2 * corner)
    assert sizes[voxels((0, 0, 0), (0, 1, 1))] == pytest.approx(2 * corner)
    assert sizes[0] == sizes[255] == 0


@pytest.mark.parametrize("case", ORACLES["volumes"], ids=lambda case: f"{case['spacing']}-{case['nsd']:.3f}")
def test_another_library_agrees_on_volumes(case):
    shape = ORACLES["volume_shape"]
    size = int(np.prod(shape))
    first, second = (
        np.unpackbits(np.frombuffer(bytes.fromhex(case[key]), np.uint8))[:size].reshape(shape).astype(bool)
        for key in ("first", "second")
    )
    between = surface_distances(first, second, case["spacing"])
    assert [between.first_sizes.sum(), between.second_sizes.sum()] == pytest.approx(case["areas"])
    assert hausdorff(between) == pytest.approx(case["hd95"], rel=1e-6)
    assert surface_dice(between, case["tolerance"]) == pytest.approx(case["nsd"])


def test_a_ball_has_its_surface():
    z, y, x = np.ogrid[-12:13, -12:13, -12:13]
    ball = z**2 + y**2 + x**2 <= 10.5**2
    between = surface_distances(ball, ball)
    assert between.first_sizes.sum() == pytest.approx(4 * np.pi * 10.5**2, rel=0.1)

"""Where voxels are: turned and laid exactly, and the same but for rounding."""

import numpy as np
import pytest

from cnnkit.device.volumes.geometry import Geometry, from_reference, to_reference
from tests.device.volumes import files_of

SHAPE = (4, 5, 6)


def geometry(direction=None, **how):
    return Geometry.of(files_of.affine(direction=direction, **how)[:, [2, 1, 0, 3]], SHAPE)


def test_spacing_direction_and_origin_are_those_of_the_matrix():
    one = geometry(files_of.rotated())
    np.testing.assert_allclose(one.spacing, (3.0, 0.9, 0.8))
    np.testing.assert_allclose(one.direction, files_of.rotated()[:, ::-1])
    np.testing.assert_allclose(one.origin, (-11, 7, 30))
    assert one.millilitres == pytest.approx(3.0 * 0.9 * 0.8 / 1000)
    points = one.points(np.array([[0, 0, 0], [1, 2, 3]]))
    np.testing.assert_allclose(one.indices(points), [[0, 0, 0], [1, 2, 3]], atol=1e-9)


def test_there_is_an_exact_way_to_the_reference_and_back():
    array = np.random.default_rng(0).random((*SHAPE, 2))
    for direction in files_of.directions():
        one = geometry(direction)
        turned, there = to_reference(array, one)
        assert there == one.canonical() and turned.shape[:3] == there.shape
        assert there.canonical() == there  # nothing is left to turn
        assert all(there.direction[2 - axis, axis] > 0.5 for axis in range(3))
        np.testing.assert_array_equal(from_reference(turned, one), array)
        index = np.array([[1, 2, 3]])
        at = np.rint(there.indices(one.points(index)))[0].astype(int)
        np.testing.assert_array_equal(turned[tuple(at)], array[1, 2, 3])


def test_the_same_but_for_rounding():
    one = geometry(files_of.rotated())
    near = Geometry.of(one.matrix + 1e-5 * np.random.default_rng(0).random((4, 4)) * [[1], [1], [1], [0]], SHAPE)
    assert one.same(near) and not one.same(near, 1e-9)
    assert not one.same(Geometry(one.affine, (4, 5, 7)))
    for axis in range(3):
        moved = one.matrix.copy()
        moved[axis, 3] += 0.1
        assert not one.same(Geometry.of(moved, SHAPE))


def test_a_flip_along_a_side_of_one_voxel_is_seen():
    one = Geometry.of(geometry().matrix, (1, 5, 6))
    other = one.matrix.copy()
    other[:, 0] *= -1
    assert not one.same(Geometry.of(other, (1, 5, 6)))


def test_one_grid_is_laid_on_another_by_turning_it():
    array = np.random.default_rng(0).random(SHAPE)
    like = geometry()
    for direction in files_of.directions():
        if not np.isin(direction, (-1, 0, 1)).all():
            continue
        spacing = np.abs(direction.T) @ (0.8, 0.9, 3.0)
        other = geometry(direction, spacing=spacing)
        turn, start = other.onto(like)
        assert turn.geometry(other).shape == turn.apply(array).shape
        first = like.points(np.array([start]))[0]
        np.testing.assert_allclose(first, turn.geometry(other).origin, atol=1e-9)
    coarse = geometry(spacing=(1.6, 1.8, 6.0))
    between = geometry(origin=(-11.4, 7.0, 30.0))
    assert coarse.onto(like) is None and between.onto(like) is None and geometry(files_of.rotated()).onto(like) is None

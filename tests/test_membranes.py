"""V_rand of `benchmarks/membranes.py`, by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parent.parent / "benchmarks" / "membranes.py"


@pytest.fixture(scope="module")
def membranes():
    specification = importlib.util.spec_from_file_location("membranes", FILE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def grid(width, gap=0):
    """Membranes along the middle row and the middle column, with a gap in the right half of the row."""
    mask = np.zeros((41, 41), bool)
    half = width // 2
    mask[20 - half : 21 + half], mask[:, 20 - half : 21 + half] = True, True
    if gap:
        mask[:, 30 : 30 + gap] = False
    return mask


def test_wide_membranes_become_lines_that_reach_the_sides(membranes):
    assert np.array_equal(membranes.thinned(grid(1)), grid(1))
    lines = membranes.thinned(grid(7))
    assert membranes.cells(lines).max() == 4 and lines.sum() < 1.2 * grid(1).sum()


def test_the_truth_is_right_whatever_its_width(membranes):
    for width in (1, 3, 7):
        assert membranes.v_rand(grid(width), grid(1)) == pytest.approx(1, abs=0.03)
    assert membranes.v_rand(grid(3), grid(3)) == 1


def test_cells_that_run_together(membranes):
    # Four cells of 400 px; through the gap two of them are one.
    pairs, said = 4 * 400 * 399, 2 * 400 * 399 + 800 * 799
    assert membranes.v_rand(grid(1, gap=4), grid(1)) == pytest.approx(2 * pairs / (pairs + said), abs=0.005)
    assert membranes.v_rand(np.zeros((41, 41), bool), grid(1)) == pytest.approx(
        2 * pairs / (pairs + 1600 * 1599), abs=0.001
    )

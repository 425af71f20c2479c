"""Arrays of whole numbers that a camera gives are pictures, however dark; shares of white are refused."""

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.inputs.image.device import KIND

SHAPE = (8, 8, 3)


@pytest.mark.parametrize("top", [0, 1, 2, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_whole_numbers_are_taken_as_they_are(top, dtype):
    frame = (np.arange(192).reshape(SHAPE) % (top + 1)).astype(dtype)
    (found,), one = KIND.samples(frame, SHAPE)
    assert one and found.dtype == np.uint8 and np.array_equal(found, frame)


@pytest.mark.parametrize("top", [1e-3, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_shares_are_refused_and_other_fractions_rounded(top, dtype):
    shares = np.linspace(0, top, 192).reshape(SHAPE).astype(dtype)
    with pytest.raises(DataError, match="multiply them by 255"):
        KIND.samples(shares, SHAPE)
    ((found,), _) = KIND.samples(np.full(SHAPE, 99.6, dtype), SHAPE)
    assert (found == 100).all()

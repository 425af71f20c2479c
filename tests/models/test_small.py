"""Our own small networks."""

import pytest

from cnnkit.models.images import MODELS
from cnnkit.models.small import micro_cnn, small_cnn, spot_cnn
from tests.contracts import ModelContract, images


def conv(kernel, before, after):
    """Parameters of a convolution without bias and a batch norm of scale, shift and two moving averages."""
    return kernel**2 * before * after + 4 * after


class TestSmallCnn(ModelContract):
    inputs, output_shape, too_small = images(4, 28, 28, 1), (4, 10), (28, 19, 1)
    parameters = (
        conv(3, 1, 24) + conv(3, 24, 24)  # 28 -> 26 -> 24, pooled to 12
        + conv(3, 24, 40) + conv(3, 40, 40)  # -> 10 -> 8, pooled to 4
        + conv(3, 40, 32)  # -> 2
        + (2 * 2 * 32 * 10 + 10)
    )  # fmt: skip

    def builder(self, image_shape, classes):
        return small_cnn(image_shape, classes)

    def test_it_stays_below_fifty_thousand_parameters(self):
        assert MODELS["default"] is small_cnn
        assert self.parameters <= 50_000

    def test_depth_decides_the_smallest_image(self):
        assert small_cnn((10, 10, 1), 10, depth=1).output.shape == (None, 10)
        with pytest.raises(ValueError, match=r"`depth=3` needs sides of at least 52 px\. Received.*\(51, 64, 3\)"):
            small_cnn((51, 64, 3), classes=10, depth=3)

    def test_a_depth_below_one_is_refused(self):
        with pytest.raises(ValueError, match=r"`depth` needs a whole number above 0\. Received: depth=0\."):
            small_cnn((28, 28, 1), 10, depth=0)


class TestSpotCnn(ModelContract):
    inputs, output_shape, too_small = images(4, 32, 48, 1), (4, 2), (48, 15, 1)
    parameters = (
        conv(3, 1, 16) + conv(3, 16, 16)  # 32 -> 16, pooled to 8
        + conv(3, 16, 24) + conv(3, 24, 24)  # pooled to 4
        + conv(3, 24, 32) + conv(3, 32, 32)  # pooled to 2
        + conv(3, 32, 40) + conv(3, 40, 40)
        + (2 * 40 * 2 + 2)  # maxima and means
    )  # fmt: skip

    def builder(self, image_shape, classes):
        return spot_cnn(image_shape, classes)

    def test_what_is_seen_counts_wherever_it_is(self):
        """Far from the edges a spot that is moved by the stride of the last map changes no score."""
        import numpy as np

        model = spot_cnn((96, 96, 1), 2, depth=2)
        spots = np.full((2, 96, 96, 1), 128, np.float32)
        spots[0, 40:46, 40:46], spots[1, 48:54, 56:62] = 10, 10
        first, second = np.asarray(model(spots, training=False))
        assert first == pytest.approx(second, abs=1e-5)
        assert np.asarray(model(spots[:1] * 0 + 128, training=False))[0] != pytest.approx(first, abs=1e-5)


class TestMicroCnn(ModelContract):
    inputs, output_shape, too_small = images(4, 28, 28, 1), (4, 10), (7, 28, 1)
    parameters = (
        (9 * 16 + 3 * 16)  # stem, and batch norm without scale
        + 2 * (25 * 16 + 16 * 16 + 3 * 16)  # two separable blocks, 5x5
        + 3 * 3 * 16  # learned pooling of what is left: 28 -> 14 -> 7 -> 3
        + (16 * 10 + 10)
    )

    def builder(self, image_shape, classes):
        return micro_cnn(image_shape, classes)

    def test_it_stays_below_two_thousand_parameters_moving_averages_included(self):
        assert MODELS["micro"] is micro_cnn
        assert self.parameters == 1_914

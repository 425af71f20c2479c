"""LeNet-5 and the introductory CNN."""

import pytest

from cnnkit.models.classic import lenet5, simple_cnn
from tests.contracts import ModelContract, images


class TestLenet5(ModelContract):
    inputs, output_shape, too_small = images(4, 28, 28, 1), (4, 10), (28, 11, 1)
    parameters = (
        (25 * 6 + 6)  # c1, 5x5 on one channel
        + (25 * 6 * 16 + 16)  # c3
        + (5 * 5 * 16 * 120 + 120)  # c5 on what is left of 28 px: 28 -> 14 -> 10 -> 5
        + (120 * 84 + 84)  # f6
        + (84 * 10 + 10)
    )

    def builder(self, image_shape, classes):
        return lenet5(image_shape, classes)

    def test_it_has_about_sixty_thousand_parameters_as_published(self):
        assert self.parameters == 61_706

    def test_it_squashes_and_averages_as_published(self):
        kinds = [type(layer).__name__ for layer in self.build().layers]
        assert kinds.count("AveragePooling2D") == 2
        assert [layer.activation.__name__ for layer in self.build().layers if hasattr(layer, "activation")] == [
            "tanh", "tanh", "tanh", "tanh", "linear"
        ]  # fmt: skip


class TestSimpleCnn(ModelContract):
    inputs, output_shape, too_small = images(4, 28, 28, 1), (4, 10), (3, 28, 1)
    parameters = (9 * 16 + 16) + (9 * 16 * 32 + 32) + (7 * 7 * 32 * 10 + 10)

    def builder(self, image_shape, classes):
        return simple_cnn(image_shape, classes)

    def test_it_has_exactly_20490_parameters(self):
        counts = [layer.count_params() for layer in self.build().layers if layer.count_params()]
        assert counts == [160, 4_640, 15_690]
        assert sum(counts) == 20_490

    def test_width_sets_the_filters(self):
        assert simple_cnn((28, 28, 1), 10, width=4).get_layer("conv2").filters == 8

    def test_a_width_below_one_is_refused(self):
        with pytest.raises(ValueError, match=r"`width` needs a whole number above 0\. Received: width=0\."):
            simple_cnn((28, 28, 1), 10, width=0)

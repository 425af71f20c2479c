"""Residual and densely connected networks."""

import pytest

from cnnkit.models.classic import densenet, resnet
from tests.contracts import ModelContract, images


def conv(kernel, before, after):
    """Parameters of a convolution without bias and a batch norm of its output."""
    return kernel**2 * before * after + 4 * after


class TestResnet(ModelContract):
    inputs, output_shape, too_small = images(4, 16, 16, 1), (4, 10), (16, 7, 1)
    parameters = (
        conv(3, 1, 4)
        + 2 * conv(3, 4, 4)
        + (conv(3, 4, 8) + conv(3, 8, 8) + conv(1, 4, 8))  # the last is the shortcut that changes the shape
        + (conv(3, 8, 16) + conv(3, 16, 16) + conv(1, 8, 16))
        + (16 * 10 + 10)
    )

    def builder(self, image_shape, classes):
        return resnet(image_shape, classes, width=4, depth=1)

    def test_the_default_is_resnet20(self):
        model = resnet((28, 28, 1), 10)
        stages = [2 * 3 * conv(3, width, width) for width in (16, 32, 64)]
        changes = [conv(3, w, 2 * w) - conv(3, 2 * w, 2 * w) + conv(1, w, 2 * w) for w in (16, 32)]
        assert model.count_params() == conv(3, 1, 16) + sum(stages) + sum(changes) + 64 * 10 + 10 == 273_754
        convolutions = [
            layer for layer in model.layers if type(layer).__name__ == "Conv2D" and layer.kernel_size == (3, 3)
        ]
        assert len(convolutions) + 1 == 20  # and the linear layer

    def test_a_depth_below_one_is_refused(self):
        with pytest.raises(ValueError, match=r"`depth` needs a whole number above 0\. Received: depth=0\."):
            resnet((28, 28, 1), 10, depth=0)


class TestDensenet(ModelContract):
    inputs, output_shape, too_small = images(4, 16, 16, 1), (4, 10), (16, 3, 1)

    @staticmethod
    def layer(before, growth=4):
        """Batch norm and 1x1 to four times the growth, batch norm and 3x3 to the growth."""
        return 4 * before + before * 4 * growth + 4 * 4 * growth + 9 * 4 * growth * growth

    # two stages of two layers: 8 -> 12 -> 16 channels, halved to 8, -> 12 -> 16
    parameters = 9 * 8 + 2 * (layer(8) + layer(12)) + (4 * 16 + 16 * 8) + 4 * 16 + (16 * 10 + 10)

    def builder(self, image_shape, classes):
        return densenet(image_shape, classes, width=4, depth=2, stages=2)

    def test_every_layer_reads_all_before_it(self):
        model = self.build()
        assert [model.get_layer(f"stage0_layer{i}").output.shape[-1] for i in (0, 1)] == [12, 16]

    def test_a_number_of_stages_below_one_is_refused(self):
        with pytest.raises(ValueError, match=r"`stages` needs a whole number above 0\. Received: stages=0\."):
            densenet((28, 28, 1), 10, stages=0)

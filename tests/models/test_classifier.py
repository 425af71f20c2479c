"""A classifier on a backbone keeps the contract of every model."""

import numpy as np
import pytest

from cnnkit.models.images import classifier
from tests.contracts import ModelContract, images


class TestClassifier(ModelContract):
    inputs, output_shape, too_small = images(4, 40, 40, 1), (4, 10), (40, 31, 1)
    # MobileNetV2 at 0.35 as Keras publishes it has 410,208 with three channels; a grey image saves two thirds of the stem
    parameters = 410_208 - 2 * 9 * 16 + (1_280 * 10 + 10)

    def builder(self, image_shape, classes):
        return classifier(image_shape, classes)

    def test_rescaling_is_its_first_layer(self):
        first = self.build().layers[1]
        assert type(first).__name__ == "Rescaling"
        assert (first.scale, first.offset) == (1 / 127.5, -1)  # what its weights were trained with

    def test_with_43_classes_it_stays_below_seven_hundred_thousand_parameters(self):
        assert classifier((48, 48, 3), 43).count_params() == 465_291 <= 700_000

    def test_another_backbone_is_an_option(self):
        model = classifier((32, 32, 3), 5, backbone="mobilenet", alpha=0.25, dropout=0.0)
        assert model.count_params() == 218_544 + 256 * 5 + 5
        assert model.pretrained.file == "mobilenet_2_5_224_tf_no_top.h5"
        assert np.array(model(images(2, 32, 32, 3))).shape == (2, 5)

    def test_wrong_options_are_refused_with_what_came(self):
        with pytest.raises(ValueError, match=r"`dropout` needs a share .* Received: dropout=1\."):
            classifier((32, 32, 3), 5, dropout=1)
        with pytest.raises(ValueError, match=r"`name` needs one of mobilenet.*'alexnet'"):
            classifier((32, 32, 3), 5, backbone="alexnet")

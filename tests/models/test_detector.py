"""Detectors: one prediction a cell, from any backbone; and what every one of them keeps."""

import json
import zipfile
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pytest

from cnnkit.device.detection import cells, decode
from cnnkit.device.model import METADATA
from cnnkit.evaluation.artifacts import outputs
from cnnkit.keras_files import refuse_code
from cnnkit.models import weights
from cnnkit.models.detectors import FIRST_SCORE, FIRST_SIZE, Cells, detector
from cnnkit.tasks.detection.loss import DetectionLoss
from tests.contracts import images, told


class DetectorContract:
    """What every detector keeps: its output, its cells, its first answers; that all of it learns, is saved and repeats.

    Attributes:
        inputs: images as `images` makes them, (b, h, w, c).
        options: of `detector`.
        strides: that these mean.
        parameters: of three classes.
    """

    inputs: np.ndarray
    options: Mapping = MappingProxyType({})
    strides = (8, 16, 32)
    parameters: int

    def build(self, classes=3, **changes):
        import keras

        keras.utils.set_random_seed(0)
        return detector(self.inputs.shape[1:], classes, **{**self.options, **changes})

    @pytest.fixture(scope="class")
    def model(self):
        return self.build()

    @pytest.fixture(scope="class")
    def answers(self, model):
        return told(model, self.inputs)

    @property
    def grid(self):
        return cells(*self.inputs.shape[1:3], self.strides)

    def test_it_says_of_every_cell_a_box_logits_and_the_cell(self, model, answers):
        assert model.output_shape == (None, len(self.grid), 4 + 3 + 3) and model.output.dtype == "float32"
        assert answers.dtype == np.float32
        assert answers.shape == (len(self.inputs), len(self.grid), 10) and np.isfinite(answers).all()
        for image in answers:
            np.testing.assert_array_equal(image[:, -3:], self.grid)
        assert np.ptp(answers[..., :-3], axis=0).max() > 0, "it does not depend on the image"

    def test_boxes_and_logits_are_layers_of_their_own(self, model, answers):
        import keras

        parts = keras.Model(model.input, [model.get_layer(name).output for name in ("boxes", "every_logit")])
        boxes, logits = told(parts, self.inputs)
        np.testing.assert_allclose(boxes, answers[..., :4], atol=1e-6)
        np.testing.assert_allclose(logits, answers[..., 4:-3], atol=1e-6)

    def test_rescaling_is_its_first_layer(self, model):
        import keras

        assert isinstance(model.layers[1], keras.layers.Rescaling)
        assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Rescaling)] == ["rescale"]

    def test_its_first_scores_are_low_and_its_first_boxes_lie_about_their_cells(self, answers):
        scores = 1 / (1 + np.exp(-answers[..., 4:-3]))
        assert np.median(scores) == pytest.approx(FIRST_SCORE, rel=0.3)
        assert scores.min() > 0.3 * FIRST_SCORE and scores.max() < 3 * FIRST_SCORE
        boxes = decode(answers[0, :, :4], self.grid)
        side, stride = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], 1)), self.grid[:, 2]
        np.testing.assert_allclose(side / stride, FIRST_SIZE, rtol=0.3)
        assert (np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - self.grid[:, :2]).max(1) < stride / 2).all()

    def test_one_class_and_other_sizes_work(self):
        height, width = self.inputs.shape[1:3]
        largest = self.strides[-1]
        model = detector((height + largest, width, 3), 1, **self.options)
        assert model.output_shape == (None, len(cells(height + largest, width, self.strides)), 4 + 1 + 3)

    def test_its_weights_do_not_depend_on_the_size_of_the_image(self, model):
        height, width, channels = self.inputs.shape[1:]
        other = detector((height + 64, width + 32, channels), 3, **self.options)
        assert [w.shape for w in other.weights] == [w.shape for w in model.weights]

    def test_it_has_the_parameters_that_were_counted(self, model):
        assert model.count_params() == self.parameters

    def test_the_same_seed_builds_the_same_weights(self, model):
        pairs = list(zip(model.get_weights(), self.build().get_weights(), strict=True))
        assert all(np.array_equal(a, b) for a, b in pairs)

    def test_it_comes_back_from_a_file_that_holds_no_code_unchanged(self, model, answers, tmp_path):
        import keras

        model.save(tmp_path / "model.keras")
        refuse_code(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
        np.testing.assert_array_equal(told(loaded, self.inputs), answers)

    def test_a_training_step_reaches_every_weight(self):
        import keras

        model = self.build()
        before = [np.array(w) for w in model.trainable_variables]
        model.compile(keras.optimizers.Adam(0.01), DetectionLoss(), run_eagerly=True)  # compiling takes longer
        side = min(self.inputs.shape[1:3])
        boxes = np.zeros((len(self.inputs), 4, 6), np.float32)
        boxes[:, 0] = (4, 5, 22, 20, 0, 1)
        boxes[:, 1] = (1, 2, side - 2, side - 1, 2, 1)
        loss = model.train_on_batch(self.inputs, boxes)
        still = [w.path for w, b in zip(model.trainable_variables, before) if np.array_equal(np.array(w), b)]
        assert np.isfinite(loss) and not still

    def test_a_device_reads_boxes_and_scores(self, model, answers):
        device = outputs(model, {"task": "detection"})
        found = told(device, self.inputs)
        assert set(found) == {"boxes", "scores"}
        np.testing.assert_allclose(found["boxes"], answers[..., :4], atol=1e-5)
        np.testing.assert_allclose(found["scores"], 1 / (1 + np.exp(-answers[..., 4:-3])), atol=1e-6)

    def test_it_computes_without_lambda_layers(self, model):
        assert not [layer.name for layer in model.layers if type(layer).__name__ == "Lambda"]


def separable(inputs, filters):
    """Parameters of a separable block: depthwise 3x3, pointwise, batch norm without scale."""
    return 9 * inputs + inputs * filters + 3 * filters


def convolution(inputs, filters, kernel):
    """Parameters of a convolution without bias, and its batch norm."""
    return kernel * kernel * inputs * filters + 4 * filters


def head(maps, classes, width):
    """Parameters above the backbone, of maps with so many channels."""
    lateral = sum(convolution(channels, width, 1) for channels in maps)
    blocks = 2 * (len(maps) - 1) + 3 * len(maps)  # down and up, and three a map
    return lateral + blocks * separable(width, width) + (width + 1) * (4 + classes)


def plain_body(widths=(16, 24, 48, 96, 128), channels=3):
    """Parameters of the plain backbone: one convolution a stride, from 8 on two more."""
    pairs = zip((channels, *widths), widths)
    first = sum(convolution(a, b, 3) for a, b in pairs)
    return first + sum(2 * convolution(b, b, 3) for b in widths[2:])


class TestPlain(DetectorContract):
    inputs = images(2, 64, 96, 3)
    parameters = plain_body() + head((48, 96, 128), 3, 64)


class TestPlainFineAndNarrow(DetectorContract):
    inputs = images(2, 64, 64, 1)
    options = MappingProxyType({"strides": (4, 8, 16), "width": 24})
    strides = (4, 8, 16)
    # The map at stride 32 is not read, so its layers are not part of the model.
    parameters = plain_body((16, 24, 48, 96), 1) + head((24, 48, 96), 3, 24)


class TestMobileNet(DetectorContract):
    inputs = images(2, 64, 64, 3)
    options = MappingProxyType({"backbone": "mobilenet_v2", "alpha": 0.35})
    parameters = 410_208 + head((96, 192, 1280), 3, 64)

    def test_it_knows_its_published_weights(self, model):
        assert "mobilenet_v2" in model.pretrained.file and "0.35" in model.pretrained.file


def test_a_single_map_has_the_same_layers_by_name():
    model = detector((32, 32, 3), 2, strides=(16,), width=8)
    assert model.output_shape == (None, 4, 9)
    assert {"boxes", "every_logit", "logits", "predictions"} <= {layer.name for layer in model.layers}


@pytest.mark.parametrize("strides", [(), (8, 32), (16, 8), (32,), (2, 4), (16, 32, 64), (8, 16, 32, 64)])
def test_strides_that_do_not_follow_are_refused_with_what_came(strides):
    with pytest.raises(ValueError, match=r"`strides` .* Received: strides=\("):
        detector((64, 64, 3), 2, strides=strides)


@pytest.mark.parametrize("shape", [(64, 72, 3), (63, 64, 3), (64, 64), (0, 64, 3)])
def test_sides_that_maps_do_not_divide_are_refused_with_what_came(shape):
    with pytest.raises(ValueError, match=r"multiples of 32 px, at least 32\. Received: image_shape=\("):
        detector(shape, 2)


def test_with_finer_maps_a_side_needs_less():
    assert detector((48, 64, 3), 2, strides=(4, 8, 16), width=8).output_shape == (None, 12 * 16 + 6 * 8 + 3 * 4, 9)
    with pytest.raises(ValueError, match=r"multiples of 16 px, at least 32"):
        detector((16, 64, 3), 2, strides=(4, 8, 16))


@pytest.mark.parametrize("option", [{"classes": 0}, {"width": 0}, {"width": 2.5}])
def test_other_wrong_arguments_are_named(option):
    name, value = next(iter(option.items()))
    with pytest.raises(ValueError, match=f"`{name}` needs a whole number above 0. Received: {name}={value}"):
        detector((64, 64, 3), **{"classes": 2, **option})


def test_an_unknown_backbone_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="mobilenet_v2"):
        detector((64, 64, 3), 2, backbone="nothing")


def test_cells_stay_float32_under_mixed_precision():
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = detector((96, 96, 3), 2, width=8)
    finally:
        keras.config.set_dtype_policy("float32")
    found = told(model, images(1, 96, 96, 3))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0, :, -3:], cells(96, 96, (8, 16, 32)))


def test_the_layer_of_cells_keeps_its_configuration():
    layer = Cells((32, 64), (8, 16))
    again = Cells.from_config(layer.get_config())
    assert (again.shape, again.strides) == ((32, 64), (8, 16))
    assert layer.compute_output_shape([(None, 40, 4), (None, 40, 5)]) == (None, 40, 12)


class TestAnotherRun:
    """Weights of an earlier detector, with classes of its own."""

    def saved(self, folder, labels, **options):
        import keras

        keras.utils.set_random_seed(1)
        model = detector((64, 64, 3), len(labels), width=16, **options)
        model.set_weights([value + 0.5 for value in model.get_weights()])
        model.save(folder / "model.keras")
        with zipfile.ZipFile(folder / "model.keras", "a") as archive:
            archive.writestr(METADATA, json.dumps({"labels": list(labels)}))
        return model

    def head_of(self, model):
        return [np.array(value) for value in model.get_layer("logits").get_weights()]

    def test_columns_of_the_same_name_are_copied_and_the_rest_is_loaded_whole(self, tmp_path):
        earlier = self.saved(tmp_path, ["stop", "yield", "danger"])
        model = detector((96, 96, 3), 3, width=16)
        fresh = self.head_of(model)
        loaded = weights.load(model, tmp_path / "model.keras", labels=["danger", "new", "stop"])
        assert not loaded.left and not loaded.unused and loaded.parameters == model.count_params()
        assert "2 of 3 classes copied by name; new, at their initial values: new." in loaded.notes[0]
        for known, first, now in zip(self.head_of(earlier), fresh, self.head_of(model)):
            np.testing.assert_array_equal(now[..., [0, 2]], known[..., [2, 0]])
            np.testing.assert_array_equal(now[..., 1], first[..., 1])
        for layer in earlier.layers:
            if layer.weights and layer.name != "logits":
                pairs = zip(layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True)
                assert all(np.array_equal(a, b) for a, b in pairs), layer.name

    def test_another_width_leaves_the_head_and_says_so(self, tmp_path):
        self.saved(tmp_path, ["stop"])
        model = detector((64, 64, 3), 1, width=24)
        loaded = weights.load(model, tmp_path / "model.keras", labels=["stop"])
        assert "stride16_first_conv" in loaded.layers
        assert "of another shape" in loaded.left["logits"] and "of another shape" in loaded.left["to_boxes"]

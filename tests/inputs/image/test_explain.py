"""Explain: the layer table against sums done by hand, Grad-CAM against planted evidence, pictures that are pictures."""

import json

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from cnnkit import explain
from cnnkit.errors import ArtifactError, CnnkitError
from cnnkit.inputs.image.explain import activations, classic, images, pictures
from cnnkit.report import drawing


def simple_cnn():
    """Conv16-pool-Conv32-pool-Dense10 at 28x28x1: 160 + 4,640 + 15,690 = 20,490 parameters."""
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="simple_cnn")


def lenet5():
    """LeCun et al. 1998, with every C3 map connected to every S2 map."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 1), name="image"),
            layers.Conv2D(6, 5, activation="tanh", name="c1"),
            layers.AveragePooling2D(2, name="s2"),
            layers.Conv2D(16, 5, activation="tanh", name="c3"),
            layers.AveragePooling2D(2, name="s4"),
            layers.Conv2D(120, 5, activation="tanh", name="c5"),
            layers.Flatten(name="flatten"),
            layers.Dense(84, activation="tanh", name="f6"),
            layers.Dense(10, name="logits"),
        ]
    )


def corner_model(*, nested=False):
    """Two planted classes: class 0 answers to bright places, class 1 to red ones."""
    image = keras.Input((32, 24, 3), name="image")
    finder = layers.Conv2D(2, 3, padding="same", activation="relu", name="finder")
    if nested:
        inner = keras.Input((32, 24, 3), name="inner")
        x = keras.Model(inner, finder(inner), name="backbone")(image)
    else:
        x = finder(image)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(x))
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[1, 1, :, 0] = 1 / 3, 1 / 3, 1 / 3
    kernel[1, 1, :, 1] = 1, -1, -1
    finder.set_weights([kernel, np.zeros(2, np.float32)])
    model.get_layer("logits").set_weights([np.eye(2, dtype=np.float32), np.zeros(2, np.float32)])
    return model


def by_name(rows):
    return {row["name"]: row for row in rows}


class TestLayerTable:
    def test_simple_cnn_is_as_worked_out_by_hand(self):
        rows = by_name(explain.layer_table(simple_cnn()))
        assert rows["conv1"]["formula"] == "floor((28 + 2*1 - 3)/1) + 1 = 28"
        assert rows["pool1"]["formula"] == "floor((28 + 2*0 - 2)/2) + 1 = 14"
        assert rows["flatten"]["formula"] == "7*7*32 = 1568"
        assert [rows[name]["receptive_field"] for name in ("image", "conv1", "pool1", "conv2", "pool2", "logits")] == [
            [1, 1],
            [3, 3],
            [4, 4],
            [8, 8],
            [10, 10],
            [28, 28],
        ]
        assert [rows[name]["jump"] for name in ("conv1", "pool1", "pool2", "logits")] == [[1, 1], [2, 2], [4, 4], None]
        assert [rows[name]["parameters"] for name in ("conv1", "conv2", "logits")] == [160, 4640, 15690]
        assert rows["conv1"]["multiply_adds"] == 28 * 28 * 9 * 16 == 112_896
        assert rows["conv2"]["multiply_adds"] == 14 * 14 * 9 * 16 * 32 == 903_168
        assert rows["logits"]["multiply_adds"] == 1568 * 10

    def test_simple_cnn_has_20490_parameters_and_1031744_multiply_adds(self):
        sums = explain.totals(explain.layer_table(simple_cnn()))
        assert sums == {"layers": 8, "parameters": 20_490, "multiply_adds": 1_031_744, "unknown": []}

    def test_lenet5_is_as_worked_out_by_hand(self):
        rows = by_name(explain.layer_table(lenet5()))
        assert [rows[name]["output_size"] for name in ("c1", "s2", "c3", "s4", "c5", "f6")] == [
            [28, 28, 6],
            [14, 14, 6],
            [10, 10, 16],
            [5, 5, 16],
            [1, 1, 120],
            [84],
        ]
        assert rows["c3"]["formula"] == "floor((14 + 2*0 - 5)/1) + 1 = 10"
        assert [rows[name]["receptive_field"][0] for name in ("c1", "s2", "c3", "s4", "c5")] == [5, 6, 14, 16, 32]
        assert [rows[name]["parameters"] for name in ("c1", "c3", "c5", "f6")] == [156, 2416, 48_120, 10_164]
        sums = explain.totals(rows.values())
        assert sums["parameters"] == 61_706
        assert sums["multiply_adds"] == 117_600 + 240_000 + 48_000 + 10_080 + 840

    def test_stride_dilation_and_even_kernels_are_worked_out(self):
        image = keras.Input((17, 20, 4))
        x = layers.Conv2D(8, 3, strides=2, padding="same", name="strided")(image)
        x = layers.ZeroPadding2D(((1, 2), (0, 1)), name="padded")(x)
        x = layers.Conv2D(8, 3, dilation_rate=2, groups=4, name="dilated")(x)
        x = layers.UpSampling2D(3, name="enlarged")(x)
        x = layers.Conv2DTranspose(2, 2, strides=2, name="transposed")(x)
        x = layers.Cropping2D(1, name="cropped")(x)
        model = keras.Model(image, layers.MaxPooling2D(2, strides=1, padding="same", name="even")(x))
        rows = by_name(explain.layer_table(model))
        assert rows["strided"]["formula"] == "h: ceil(17/2) = 9; w: ceil(20/2) = 10"
        assert rows["padded"]["formula"] == "h: 9 + 1 + 2 = 12; w: 10 + 0 + 1 = 11"
        assert rows["dilated"]["formula"] == "h: floor((12 + 2*0 - 5)/1) + 1 = 8; w: floor((11 + 2*0 - 5)/1) + 1 = 7"
        assert rows["dilated"]["multiply_adds"] == 8 * 7 * 9 * (8 // 4) * 8
        assert rows["enlarged"]["formula"] == "h: 8*3 = 24; w: 7*3 = 21"
        assert rows["transposed"]["formula"] == "h: (24 - 1)*2 + 2 = 48; w: (21 - 1)*2 + 2 = 42"
        assert rows["cropped"]["formula"] == "h: 48 - 1 - 1 = 46; w: 42 - 1 - 1 = 40"
        assert rows["even"]["formula"] == "h: ceil(46/1) = 46; w: ceil(40/1) = 40"
        assert [rows[name]["receptive_field"][0] for name in ("strided", "dilated", "enlarged", "transposed")] == [
            3,
            3 + 4 * 2,
            11,
            11,
        ]
        assert rows["enlarged"]["jump"][0] == pytest.approx(2 / 3)
        for row in rows.values():
            assert row["formula"].endswith(str(row["output_size"][1])) or not row["formula"]

    def test_depthwise_and_separable_multiply_adds_are_as_worked_out_by_hand(self):
        image = keras.Input((10, 10, 8))
        x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(image)
        model = keras.Model(image, layers.SeparableConv2D(5, 3, padding="same", name="separable")(x))
        rows = by_name(explain.layer_table(model))
        assert rows["depthwise"]["multiply_adds"] == 100 * 9 * 8 * 2
        assert rows["separable"]["multiply_adds"] == 100 * (9 * 16 + 16 * 5)
        assert rows["separable"]["parameters"] == 9 * 16 + 16 * 5 + 5
        assert rows["separable"]["receptive_field"] == [5, 5]

    def test_where_branches_meet_the_largest_receptive_field_counts(self):
        image = keras.Input((16, 16, 4))
        narrow = layers.Conv2D(4, 1, name="narrow")(image)
        wide = layers.Conv2D(4, 5, padding="same", name="wide")(layers.Conv2D(4, 3, padding="same")(image))
        x = layers.Add(name="sum")([narrow, wide])
        x = layers.Concatenate(name="both")([x, narrow])
        model = keras.Model(image, x)
        rows = by_name(explain.layer_table(model))
        assert rows["narrow"]["receptive_field"] == [1, 1]
        assert rows["sum"]["receptive_field"] == rows["both"]["receptive_field"] == [7, 7]
        assert rows["both"]["formula"] == "4 + 4 = 8 channels"

    def test_a_gate_over_the_whole_image_sees_the_whole_image(self):
        image = keras.Input((16, 12, 4))
        x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
        gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x))
        rows = by_name(explain.layer_table(keras.Model(image, layers.Multiply(name="gated")([x, gate]))))
        assert rows["squeeze"]["receptive_field"] == rows["gated"]["receptive_field"] == [16, 12]
        assert rows["gated"]["jump"] == [2, 2]

    def test_an_average_does_not_see_a_border_that_pooling_cut_off(self):
        image = keras.Input((28, 28, 1))
        x = layers.MaxPooling2D()(layers.Conv2D(2, 3)(layers.MaxPooling2D()(layers.Conv2D(2, 3)(image))))
        model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x))
        assert by_name(explain.layer_table(model))["mean"]["receptive_field"] == [26, 26]  # 10 + 4 * 4

    def test_nested_models_are_opened_at_the_size_they_are_used(self):
        inner = keras.Input((None, None, 3))
        backbone = keras.Model(inner, layers.Conv2D(4, 3, name="conv", strides=2)(inner), name="backbone")
        image = keras.Input((21, 21, 3))
        rows = by_name(explain.layer_table(keras.Model(image, layers.Conv2D(2, 3, name="head")(backbone(image)))))
        assert rows["backbone/conv"]["output_size"] == [10, 10, 4]
        assert rows["backbone/conv"]["multiply_adds"] == 10 * 10 * 27 * 4
        assert rows["head"]["receptive_field"] == [7, 7]

    def test_open_sizes_stay_open(self):
        image = keras.Input((None, None, 3))
        row = explain.layer_table(keras.Model(image, layers.Conv2D(4, 3, name="conv")(image)))[1]
        assert row["output_size"] == [None, None, 4]
        assert row["multiply_adds"] is None
        assert row["formula"] == "floor((n + 2*0 - 3)/1) + 1 = n"

    def test_sequences_have_one_side(self):
        words = keras.Input((12,))
        x = layers.Conv1D(7, 3, padding="same", name="conv")(layers.Embedding(100, 5, name="embed")(words))
        rows = by_name(explain.layer_table(keras.Model(words, layers.GlobalMaxPooling1D(name="max")(x))))
        assert rows["conv"]["receptive_field"] == [3]
        assert rows["conv"]["multiply_adds"] == 12 * 3 * 5 * 7
        assert rows["max"]["receptive_field"] == [12]

    def test_a_shared_layer_counts_once_and_works_twice(self):
        image = keras.Input((8, 8, 4))
        shared = layers.Conv2D(4, 3, padding="same", name="shared")
        model = keras.Model(image, shared(shared(image)))
        rows = explain.layer_table(model)
        assert [row["parameters"] for row in rows] == [0, 148, 0]
        assert explain.totals(rows)["parameters"] == model.count_params()
        assert rows[2]["multiply_adds"] == 8 * 8 * 9 * 16

    def test_what_cannot_be_known_is_none(self):
        @keras.saving.register_keras_serializable("tests")
        class Mystery(layers.Layer):
            def build(self, shape):
                self.factor = self.add_weight(shape=(shape[-1],))

            def call(self, x):
                return x * self.factor

        image = keras.Input((8, 8, 4))
        rows = explain.layer_table(keras.Model(image, layers.Conv2D(2, 3)(Mystery(name="mystery")(image))))
        assert [row["receptive_field"] for row in rows] == [[1, 1], None, None]
        assert explain.totals(rows)["unknown"] == ["mystery"]

    def test_the_table_is_plain_data(self):
        rows = explain.layer_table(lenet5())
        assert json.loads(json.dumps(rows)) == rows

    def test_a_model_without_a_graph_is_refused_in_one_line(self):
        class Opaque(keras.Model):
            def call(self, x):
                return x

        with pytest.raises(ArtifactError, match=r"no graph of layers.*keras\.Model\(inputs, outputs\)") as error:
            explain.layer_table(Opaque())
        assert "\n" not in str(error.value)


class TestFilters:
    def test_first_filters_are_the_first_convolutions_weights(self):
        model = simple_cnn()
        np.testing.assert_array_equal(activations.first_filters(model), model.get_layer("conv1").get_weights()[0])

    def test_depthwise_filters_have_one_channel(self):
        image = keras.Input((8, 8, 3))
        model = keras.Model(image, layers.SeparableConv2D(5, 3, depth_multiplier=2)(image))
        assert activations.first_filters(model).shape == (3, 3, 1, 6)

    def test_a_model_without_convolution_is_refused(self):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        with pytest.raises(CnnkitError, match="no 2-D convolution"):
            activations.first_filters(model)


class TestFeatureMaps:
    def test_they_are_what_the_layer_puts_out(self):
        model, image = simple_cnn(), np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
        expected = keras.Model(model.inputs, model.get_layer("pool1").output)(image[None, ..., None].astype("float32"))
        maps = activations.feature_maps(model, image, "pool1")
        assert maps.shape == (14, 14, 16)
        np.testing.assert_allclose(maps, keras.ops.convert_to_numpy(expected)[0], rtol=1e-5, atol=1e-6)

    def test_layers_of_nested_models_are_found_by_path(self):
        image = np.zeros((32, 24, 3), np.float32)
        image[3, 4] = 255
        maps = activations.feature_maps(corner_model(nested=True), image, "backbone/finder")
        assert maps[3, 4, 0] == pytest.approx(255)
        assert maps.sum() == pytest.approx(255)

    def test_an_unknown_layer_is_answered_with_those_that_exist(self):
        with pytest.raises(CnnkitError, match=r"no layer conv9\. It has: scale, conv1, pool1, conv2") as error:
            activations.feature_maps(simple_cnn(), np.zeros((28, 28)), "conv9")
        assert "\n" not in str(error.value)

    def test_dropout_and_augmentation_are_off(self):
        image = keras.Input((8, 8, 1))
        x = layers.RandomFlip(name="flip")(layers.Dropout(0.5, name="drop")(image))
        pixels = np.random.default_rng(0).uniform(0, 255, (8, 8, 1)).astype(np.float32)
        maps = activations.feature_maps(keras.Model(image, x), pixels, "flip")
        np.testing.assert_array_equal(maps, pixels)

    def test_an_image_of_another_size_is_a_programmer_error(self):
        with pytest.raises(ValueError, match=r"`image` needs the shape \(28, 28, 1\).*\(20, 20\)"):
            activations.feature_maps(simple_cnn(), np.zeros((20, 20)), "conv1")


class TestGradCam:
    @pytest.mark.parametrize("nested", [False, True])
    def test_it_lights_up_where_the_planted_evidence_is(self, nested):
        image = np.zeros((32, 24, 3), np.uint8)
        image[2:9, 15:22] = 250  # top right
        heatmap = activations.grad_cam(corner_model(nested=nested), image, class_index=0)
        assert heatmap.shape == (32, 24)
        assert heatmap.dtype == np.float32
        assert (heatmap.min(), heatmap.max()) == (0, 1)
        assert heatmap[2:9, 15:22].sum() > 0.9 * heatmap.sum()

    def test_each_class_has_its_own_evidence(self):
        image = np.zeros((32, 24, 3), np.uint8)
        image[2:9, 2:9] = 250  # white, top left
        image[24:30, 16:22, 0] = 250  # red, bottom right
        heatmap = activations.grad_cam(corner_model(), image, class_index=1)
        assert heatmap[24:30, 16:22].max() == 1
        assert heatmap[:20].max() == 0

    def test_without_a_class_it_explains_the_answer(self):
        image = np.zeros((32, 24, 3), np.uint8)
        image[24:30, 16:22, 0] = 250
        model = corner_model()
        np.testing.assert_array_equal(
            activations.grad_cam(model, image), activations.grad_cam(model, image, class_index=1)
        )

    def test_every_position_is_weighed_by_its_own_gradient(self):
        keras.utils.set_random_seed(3)
        model, image = simple_cnn(), np.random.default_rng(1).integers(0, 256, (28, 28, 1), np.uint8)
        maps = activations.feature_maps(model, image, "conv2")  # 14x14x32
        # By hand: each dense weight reaches the one winner of its 2x2 pool.
        winner = maps == maps.reshape(7, 2, 7, 2, 32).max((1, 3)).repeat(2, 0).repeat(2, 1)
        dense = model.get_layer("logits").get_weights()[0].reshape(7, 7, 32, 10)
        compared = 0
        for index in range(10):
            gradient = winner * dense[..., index].repeat(2, 0).repeat(2, 1)
            heat = np.maximum((maps * gradient).sum(-1), 0)
            result = activations.grad_cam(model, image, index, "conv2")
            heat = cv2.resize(heat, (28, 28), interpolation=cv2.INTER_LINEAR)
            np.testing.assert_allclose(result, heat / (heat.max() or 1), atol=1e-4)
            compared += heat.max() > 0
        assert compared > 2

    def test_no_evidence_is_a_dark_map(self):
        assert activations.grad_cam(corner_model(), np.zeros((32, 24, 3)), 0).max() == 0

    def test_the_default_layer_is_the_last_before_pooling(self):
        assert activations.last_maps(simple_cnn()) == "conv2"
        assert activations.last_maps(lenet5()) == "c3"

    def test_maps_too_coarse_to_say_where_are_passed_over(self):
        image = keras.Input((24, 24, 1))
        x = layers.Conv2D(4, 3, strides=3, name="fine")(image)  # 8x8
        x = layers.Conv2D(4, 3, strides=3, name="coarse")(x)  # 2x2
        assert activations.last_maps(keras.Model(image, layers.Flatten()(x))) == "fine"
        small = keras.Input((4, 4, 1))
        assert activations.last_maps(keras.Model(small, layers.Conv2D(2, 2, name="only")(small))) == "only"

    def test_a_class_or_layer_that_does_not_exist_is_one_clear_line(self):
        model, image = corner_model(), np.zeros((32, 24, 3))
        with pytest.raises(CnnkitError, match=r"no class 2\. Its classes are 0 to 1"):
            activations.grad_cam(model, image, 2)
        with pytest.raises(CnnkitError, match=r"no layer nope\. It has: finder"):
            activations.grad_cam(model, image, 0, "nope")
        with pytest.raises(CnnkitError, match=r"logits puts out a vector\. Try finder"):
            activations.grad_cam(model, image, 0, "logits")


class TestClassicFilters:
    def test_they_compute_what_a_convolution_layer_computes(self):
        image = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
        found = classic.classic_filters(image)
        for entry in found["filters"]:
            kernel = keras.ops.convert_to_tensor(entry["kernel"][..., None, None])
            pixels = keras.ops.convert_to_tensor(image[None, ..., None].astype("float32"))
            expected = keras.ops.convert_to_numpy(keras.ops.conv(pixels, kernel, padding="valid"))[0, ..., 0]
            np.testing.assert_allclose(entry["output"], expected, atol=1e-3)

    def test_a_vertical_edge_answers_to_the_vertical_filter_alone(self):
        image = np.zeros((8, 8), np.uint8)
        image[:, 4:] = 200
        outputs = {entry["name"]: entry["output"] for entry in classic.classic_filters(image)["filters"]}
        assert outputs["vertical edges"].max() == 800
        assert np.abs(outputs["horizontal edges"]).max() == 0
        assert outputs["average"].max() == pytest.approx(200)

    def test_the_steps_add_up_to_the_pixel(self):
        image = np.random.default_rng(4).integers(0, 256, (6, 6, 3), np.uint8)
        found = classic.classic_filters(image)
        row, column = found["pixel"]
        around = image.mean(axis=-1)[row - 1 : row + 2, column - 1 : column + 2]
        np.testing.assert_allclose(found["neighbourhood"], around, rtol=1e-6)
        for entry in found["filters"]:
            assert len(entry["steps"]) == 9
            weights = [1 / 9 if text.startswith("1/9") else float(text.split(" * ")[0]) for text in entry["steps"]]
            total = np.dot(weights, found["neighbourhood"].ravel())
            assert entry["result"] == pytest.approx(total, abs=1e-2)
            assert entry["output"][row - 1, column - 1] == pytest.approx(total, abs=1e-2)

    def test_a_tiny_image_is_refused(self):
        with pytest.raises(ValueError, match="at least 3x3"):
            classic.classic_filters(np.zeros((2, 5)))


class TestPictures:
    def test_explain_writes_every_picture_and_says_where(self, tmp_path):
        image = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
        found = images.explain(
            simple_cnn(), image, tmp_path / "new" / "folder", labels=[f"digit {n}" for n in range(10)]
        )
        assert set(found["pictures"]) == {"layers", "filters", "feature_maps", "grad_cam", "classic_filters"}
        assert found["label"].startswith("digit ")
        assert 0.1 <= found["confidence"] <= 1
        for path in found["pictures"].values():
            picture = cv2.imread(str(path))
            assert min(picture.shape[:2]) > 200, path
            assert picture.std() > 5, path  # something is drawn
        assert len(list((tmp_path / "new" / "folder").iterdir())) == 5  # no half-written file stays behind

    def test_pictures_are_the_same_bytes_every_time(self, tmp_path):
        for name in ("a.png", "b.png"):
            drawing.save(pictures.layer_table_figure(explain.layer_table(lenet5())), tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_names_are_drawn_as_they_are_not_as_mathematics(self, tmp_path):
        image = np.zeros((8, 8, 3), np.uint8)
        drawing.save(pictures.grad_cam_figure(image, np.zeros((8, 8)), "$\\frac{1", 0.5), tmp_path / "cam.png")
        assert (tmp_path / "cam.png").stat().st_size > 1000

    def test_one_layer_can_be_asked_about(self, tmp_path):
        image = np.zeros((28, 28, 1), np.uint8)
        for layer in ("conv1", "logits"):
            found = images.explain(simple_cnn(), image, tmp_path / layer, layer=layer)
            assert found["pictures"]["feature_maps"].exists()

    def test_colour_filters_and_deep_filters_are_drawn(self):
        rng = np.random.default_rng(0)
        for channels, count in [(3, 40), (1, 3), (7, 1)]:
            figure = pictures.filters_figure(rng.normal(size=(3, 3, channels, count)).astype(np.float32))
            assert len(figure.axes) == count

    def test_a_grid_of_maps_shows_the_strongest(self):
        maps = np.zeros((4, 6, 100), np.float32)
        maps[..., 70] = 5
        figure = pictures.feature_maps_figure(maps, "conv", limit=8)
        assert len(figure.axes) == 8
        assert "70" in [ax.get_title() for ax in figure.axes]

    def test_an_overlay_is_orange_where_the_evidence_is(self):
        heatmap = np.zeros((10, 10), np.float32)
        heatmap[7:, 7:] = 1
        picture = activations.overlay(np.full((10, 10, 1), 120, np.uint8), heatmap, side=100)
        assert picture.shape == (100, 100, 3)
        red, green, blue = picture[95, 95].astype(int)
        assert red > green + 50 > blue + 50
        assert len(set(picture[5, 5])) == 1  # grey

    def test_sizes_are_written_for_people(self):
        assert pictures.sides_text([28, 28, 1]) == "28x28x1"
        assert pictures.sides_text([None, 3]) == "nx3"
        assert pictures.sides_text(None) == ""

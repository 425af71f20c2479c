"""Quantise-aware training: what is folded computes the same, what rounds rounds as a device does, and a run learns with it."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers

from cnnkit.device.detection import Plan
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, CnnkitError, ConfigError
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.export import gate
from cnnkit.export.convert import PRECISIONS, convert
from cnnkit.export.graph import graph_of
from cnnkit.inputs.image.training import KIND
from cnnkit.models import eight_bits, weights
from cnnkit.models.blocks import conv_block, separable_block
from cnnkit.models.detectors import detector
from cnnkit.models.images import MODELS
from cnnkit.models.small import spot_cnn
from cnnkit.models.unets import unet
from cnnkit.run import MODEL, ROUNDING, UNROUNDED
from cnnkit.training import fitting
from cnnkit.training.eight_bits import Network, epochs_of
from tests import toys

SIDE = 32


def pictures(count=48, channels=3, seed=0):
    """Smooth pictures, uint8 as float32."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, SIDE // 4, SIDE // 4, channels))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.float32)


def awake(model, images):
    """Give batch norm statistics and numbers that are not those that it begins with."""
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            count = layer.moving_mean.shape[0]
            for weight in (layer.gamma, layer.beta):
                if weight is not None:
                    weight.assign(np.float32(rng.uniform(0.2, 1, count)))
            layer.momentum = 0.0
    model(images, training=True)
    return model


def scaled(scale, offset, padding):
    """Build a network whose input is scaled, and padded or not."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Rescaling(scale, offset, name="rescale")(image)
    x = conv_block(x, 6, padding=padding, name="first")
    x = separable_block(x, 8, name="second")
    x = layers.AveragePooling2D(2, name="means")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x), name="scaled")


def read_twice():
    """Build a network with a convolution that a ReLU and a sum read, and one layer on two maps."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.ZeroPadding2D(1, name="pad")(layers.Rescaling(1 / 255, name="rescale")(image))
    x = layers.Conv2D(6, 3, name="conv")(x)
    y = layers.ReLU(max_value=6, name="relu6")(x)
    shared = layers.Conv2D(6, 1, name="shared")
    x = layers.Concatenate(name="join")([shared(x), shared(y), layers.Add(name="sum")([x, y])])
    x = layers.Activation("tanh", name="tanh")(x)
    x = layers.GlobalMaxPooling2D(name="gather")(x)
    return keras.Model(image, layers.Dense(4, activation="relu", name="logits")(x), name="read_twice")


NETWORKS = {
    "small_cnn": lambda: MODELS["default"]((SIDE, SIDE, 3), 4, width=6),
    "micro_cnn": lambda: MODELS["micro"]((SIDE, SIDE, 3), 4),
    "lenet5": lambda: MODELS["lenet5"]((SIDE, SIDE, 3), 4),
    "resnet": lambda: MODELS["resnet"]((SIDE, SIDE, 3), 4, width=4, depth=1),
    "spot_cnn": lambda: spot_cnn((SIDE, SIDE, 3), 4, width=4, depth=2),
    "detector": lambda: detector((SIDE, SIDE, 3), 4, width=8),
    "unet": lambda: unet((SIDE, SIDE, 3), 4, width=4, depth=2),
    "read_twice": read_twice,
    "scaled": lambda: scaled(1 / 255, 0.0, "same"),
    "scaled_and_shifted": lambda: scaled(1 / 127.5, -1.0, "valid"),
    "shifted_before_zeros": lambda: scaled(1 / 127.5, -1.0, "same"),
    "each_channel_otherwise": lambda: scaled([1 / 255, 1 / 128, 1 / 64], [0.1, -0.2, -1.0], "valid"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """Return a network that is no more at its beginning, and pictures."""
    keras.utils.set_random_seed(0)
    images = pictures()
    return awake(NETWORKS[request.param](), images), images


def answers(model, images):
    return np.asarray(model.predict_on_batch(images), np.float64)


class TestFolding:
    def test_a_folded_network_computes_the_same_without_batch_norm(self, network):
        model, images = network
        folded = Network(model, KIND.limits).folded()
        assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
        before = answers(model, images)
        assert np.abs(answers(folded, images) - before).max() <= 1e-5 * max(1.0, np.abs(before).max())

    @pytest.mark.parametrize(
        ("scale", "offset", "padding", "left"),
        [(1 / 255, 0.0, "same", False), (1 / 127.5, -1.0, "valid", False), (1 / 127.5, -1.0, "same", True)],
    )
    def test_scaling_is_folded_where_zeros_around_it_mean_the_same(self, scale, offset, padding, left):
        folded = Network(scaled(scale, offset, padding), KIND.limits).folded()
        assert ("rescale" in {layer.name for layer in folded.layers}) == left

    def test_layers_keep_their_names(self, network):
        model, _ = network
        kept = {layer.name for layer in model.layers if isinstance(layer, tuple(eight_bits.AXES))}
        assert kept <= {layer.name for layer in Network(model, KIND.limits).folded().layers}


class TestRounding:
    def test_it_learns_as_it_is_kept_in_a_file(self, network, tmp_path):
        model, images = network
        made = Network(model, KIND.limits)
        ranges = made.measured([images])
        learning = made.learning(ranges)
        settled = made.settled(ranges, learning)
        found = answers(settled, images)
        apart = np.abs(answers(learning, images) - found)
        span = np.abs(found - answers(eight_bits.unrounded(settled), images)).max()
        assert np.median(apart) <= 1e-6 + 0.05 * span, "but for numbers between two levels"
        settled.save(tmp_path / MODEL)
        opened = keras.saving.load_model(tmp_path / MODEL, compile=False, safe_mode=True)
        np.testing.assert_array_equal(answers(opened, images), found)
        assert eight_bits.ranges(opened) == eight_bits.ranges(settled) != {}

    def test_weights_are_on_their_steps_and_stay_there(self, network):
        model, images = network
        made = Network(model, KIND.limits)
        ranges = made.measured([images])
        settled = made.settled(ranges, made.learning(ranges))
        for layer in settled.layers:
            if type(layer) in eight_bits.AXES:
                kernel = layer.get_weights()[0]
                largest = np.abs(kernel).max(eight_bits.AXES[type(layer)], keepdims=True)
                steps = kernel / np.maximum(largest, 1e-12) * 127
                np.testing.assert_allclose(steps, np.round(steps), atol=1e-3, err_msg=layer.name)

    def test_every_range_has_a_zero_and_holds_what_is_answered(self, network):
        model, images = network
        made = Network(model, KIND.limits)
        for name, (low, high) in made.measured([images]).items():
            zero = -low / (high - low) * 255
            assert low <= 0 <= high and abs(zero - round(zero)) < 1e-6, name

    def test_gradients_pass_to_weights_between_steps(self):
        model = scaled(1 / 255, 0.0, "valid")
        made = Network(model, KIND.limits)
        learning = made.learning(made.measured([pictures()]))
        learning.compile("sgd", "mse")
        before = [np.array(w) for w in learning.trainable_variables]
        learning.fit(pictures(), np.ones((48, 4)), epochs=1, verbose=0)
        assert all(np.any(np.array(w) != b) for w, b in zip(learning.trainable_variables, before, strict=True))


def test_trained_ranges_survive_calibration_on_black():
    images = pictures()
    made = Network(awake(scaled(1 / 127.5, -1.0, "same"), images), KIND.limits)
    ranges = made.measured([images])
    settled = made.settled(ranges, made.learning(ranges))
    about = {**toys.ABOUT, "format": 1, "labels": list("abcd"), "input": {"kind": "image", "shape": [SIDE, SIDE, 3]}}
    content = convert(settled, "int8", np.zeros_like(images), about)
    had = [t.limits for step in graph_of(content).steps for t in (*step.given, *step.outputs) if t is not None]
    for name, (low, high) in eight_bits.ranges(settled).items():
        assert any(ends and np.allclose(ends, (low, high), atol=1e-5 * (high - low)) for ends in had), name


@pytest.mark.parametrize(
    ("scale", "offset"), [(1 / 127.5, -1.0), (1 / 255, -0.5), ([1 / 255, 1 / 128, 1 / 64], [0.1, -0.2, -1.0])]
)
def test_what_the_input_is_scaled_to_is_rounded_once_and_alike_in_the_file(scale, offset):
    made = Network(awake(scaled(scale, offset, "same"), pictures()), KIND.limits)
    ranges = made.measured([pictures()])
    settled = made.settled(ranges, made.learning(ranges))
    shape = (1, SIDE, SIDE, 3)
    every = np.resize(np.arange(256, dtype=np.float32).repeat(3), shape)  # each number that a pixel can be
    about = {**toys.ABOUT, "format": 1, "labels": list("abcd"), "input": {"kind": "image", "shape": list(shape[1:])}}
    content = convert(settled, "int8", pictures(), about)
    file = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    file.allocate_tensors()
    file.set_tensor(file.get_input_details()[0]["index"], every.astype(np.uint8))
    file.invoke()
    first = next(details for details in file._get_ops_details() if details["op_name"] != "QUANTIZE")
    assert first["op_name"] == "DEPTHWISE_CONV_2D"
    (place,) = first["outputs"]
    ((step, zero),) = (each["quantization"] for each in file.get_tensor_details() if each["index"] == place)
    found = (file.get_tensor(place).astype(np.float64) - zero) * step
    wanted = keras.Model(settled.input, settled.get_layer("rescale_rounded").output).predict_on_batch(every)
    assert np.mean(np.abs(found - wanted) > 0.01 * step) <= 1 / 768, "but for one in the middle between two levels"


@pytest.mark.parametrize("name", ["micro_cnn", "spot_cnn", "read_twice", "detector"])
def test_files_pass_every_comparison_with_a_temperature_in_the_graph(name, tmp_path):
    keras.utils.set_random_seed(0)
    images = pictures()
    made = Network(awake(NETWORKS[name](), images), KIND.limits)
    ranges = made.measured([images])
    settled = made.settled(ranges, made.learning(ranges))
    about = {"format": 1, "app": "toy", "labels": list("abcd"), "temperature": 1.3}
    about |= {"task": "classification", "input": {"kind": "image", "shape": [SIDE, SIDE, 3]}}
    if name == "detector":
        about |= {"task": "detection", "detection": Plan((8, 16, 32)).to_dict()}
    artifact = KerasArtifact(tmp_path / MODEL, settled, about)
    chain = gate.Chain(artifact, images, images[::2], images[1::2])
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}.tflite"
        path.write_bytes(content := chain.content(precision))
        found = chain.checks(precision, content, path)
        assert not [check.reason for check in found if not check.passed], precision
        assert ("kernels" in {check.name for check in found}) == (precision == "int8")


class TestRefusals:
    @pytest.mark.parametrize(
        ("layer", "what"),
        [
            (lambda: layers.Conv2D(4, 3, dilation_rate=2, name="odd"), "dilated"),
            (lambda: layers.Conv2D(3, 3, groups=3, name="odd"), "groups"),
            (lambda: layers.Conv2D(4, 3, activation="gelu", name="odd"), "gelu"),
            (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="odd"), "several channels"),
            (lambda: layers.BatchNormalization(name="odd"), "no convolution"),
            (lambda: layers.LeakyReLU(name="odd"), "not known"),
            (lambda: layers.ReLU(max_value=3, name="odd"), "ReLU6"),
            (lambda: layers.LayerNormalization(name="odd"), "not known"),
            (lambda: layers.Rescaling(2.0, name="odd"), "than the input"),
        ],
    )
    def test_a_layer_that_is_not_known_is_named(self, layer, what):
        image = keras.Input((SIDE, SIDE, 3))
        x = layers.MaxPooling2D(name="first")(image)
        with pytest.raises(ConfigError, match=f"the layer odd .*{what}"):
            Network(keras.Model(image, layer()(x)), KIND.limits)

    def test_volumes_are_refused_by_their_first_convolution(self):
        with pytest.raises(ConfigError, match="Conv3D"):
            Network(unet((8, 16, 16, 1), 1, depth=1), None)

    @pytest.mark.parametrize(
        ("changes", "what"), [({"minutes": 1.0}, "`epochs` instead of `minutes`"), ({"folds": 3}, "`folds`")]
    )
    def test_settings_that_it_does_not_go_with_are_refused_before_there_is_a_run(self, tmp_path, changes, what):
        from cnnkit.verbs.train import train

        with pytest.raises(ConfigError, match=what):
            train(toys.recipe(), {"quantise_aware": True, **changes}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_network_that_it_cannot_train_leaves_no_run(self, tmp_path):
        from cnnkit.verbs.train import train

        def odd(shape, classes):
            image = keras.Input(shape)
            x = layers.Flatten()(layers.LeakyReLU(name="leaky")(layers.Conv2D(2, 3)(image)))
            return keras.Model(image, layers.Dense(classes, name="logits")(x))

        recipe = toys.recipe(builders={"default": odd})
        with pytest.raises(ConfigError, match="leaky"):
            train(recipe, {"quantise_aware": True}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_texts_have_no_such_setting(self):
        from tests.toy_texts import Settings

        assert not hasattr(Settings, "quantise_aware") and hasattr(toys.Settings, "quantise_aware")


SETTINGS = {"data": "bars", "epochs": 10, "batch_size": 24, "learning_rate": 0.01, "quantise_aware": True}


def fit(path, until=None, **changes):
    """Train the toy with rounding at the end; `until`: stop as if killed after so many epochs."""
    return toys.fit(path, {**SETTINGS, **changes}, until)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("aware") / "run")


class TestRun:
    def test_it_learns_and_its_files_pass_the_gate(self, run, tmp_path):
        data, recipe = toys.splits(), toys.recipe()
        artifact = open_artifact(run.path)
        artifact.finalize({"temperature": 1.5})
        names = {"train": data.train, "held_out": data.test, "validation": data.validation}
        document = gate.export(artifact, tmp_path, task=recipe.task, precisions=["float32", "float16", "int8"], **names)
        assert document["reference"]["score"] >= 0.95
        found = {name: {c["name"] for c in v["checks"]} for name, v in document["artifacts"].items()}
        assert "kernels" in found["int8"] and "rounding" not in found["int8"]
        assert "kernels" not in found["float32"] and "answers" in found["float32"]
        file = DeviceModel.open(tmp_path / "model-int8.tflite", kernels="reference")
        images = np.asarray(toys.bars(1000, seed=9).read(np.arange(1000))[0])
        first, second = (one.run_batch(images)["scores"].argmax(1) for one in (artifact, file))
        assert len(np.unique(first)) == 3 and (first != second).sum() <= 1, "alike in 999 of 1,000"

    def test_a_range_that_was_not_trained_is_refused_by_the_gate(self, run, tmp_path, monkeypatch):
        data, recipe = toys.splits(), toys.recipe()
        artifact = open_artifact(run.path)

        def wrong(model, precision, calibration, metadata, profile=None):
            if precision == "int8":
                model = keras.models.clone_model(model, clone_function=wider)
                model.set_weights(artifact.model.get_weights())
            return convert(model, precision, calibration, metadata, profile)

        def wider(layer):
            config = layer.get_config()
            if layer.name == "relu_rounded":
                low, high = eight_bits.ranges(artifact.model)[layer.name]
                config["activation"] = eight_bits.Rounded(low, 1.5 * high)
                return layers.Activation(config["activation"], name=layer.name)
            return type(layer).from_config(config)

        monkeypatch.setattr(gate, "convert", wrong)
        names = {"train": data.train, "held_out": data.test, "validation": data.validation}
        with pytest.raises(CnnkitError, match=r"ranges .*relu_rounded"):
            gate.export(artifact, tmp_path, task=recipe.task, precisions=["int8"], **names)

    def test_the_run_says_what_was_done(self, run):
        document = json.loads((run.path / "run.json").read_text())
        assert document["quantise_aware"]["epochs"] == epochs_of(10, 10) == 10  # a hundred steps
        assert open_artifact(run.path).metadata["quantise_aware"] is True
        assert "quantise_aware" not in open_artifact(run.path / UNROUNDED).metadata

    @pytest.mark.parametrize("until", [10, 12])
    def test_a_killed_run_goes_on_to_the_same_weights(self, run, tmp_path, until):
        path = tmp_path / "run"
        fit(path, until=until)
        assert (path / ROUNDING).exists() == (until > 10) and not (path / MODEL).exists()
        fit(path)
        first, second = (open_artifact(folder / MODEL).model for folder in (run.path, path))
        for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert eight_bits.ranges(first) == eight_bits.ranges(second)

    def test_a_later_training_begins_with_what_the_phase_began_with(self, run):
        model = toys.tiny_cnn((12, 12, 1), 3)
        labels = toys.splits().train.label_names
        loaded = weights.load(model, run.path, labels=labels)
        assert not loaded.left and not loaded.unused
        before = open_artifact(run.path / UNROUNDED).model
        for a, b in zip(model.get_weights(), before.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.raises(ArtifactError, match=f"Give its run, or {UNROUNDED}"):
            weights.load(model, run.path / MODEL, labels=labels)

    def test_trained_anew_on_validation_records_it_rounds_too(self, tmp_path):
        run = fit(tmp_path / "run", epochs=2)
        whole = toys.splits(train=300, validation=0)
        model = fitting.refit(toys.recipe(), whole, run, {"temperature": 1.5})
        assert eight_bits.ranges(model)
        assert open_artifact(run.path).metadata["temperature"] == 1.5
        again = open_artifact(run.path / "refit" / UNROUNDED).model
        for a, b in zip(open_artifact(run.path / UNROUNDED).model.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

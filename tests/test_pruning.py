"""Pruning: what was dead goes and the network computes the same, widths are those of devices, and a run goes on from it."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.explain.layers import layer_table, totals
from cnnkit.export import gate
from cnnkit.models.detectors import detector
from cnnkit.models.images import MODELS
from cnnkit.models.small import spot_cnn
from cnnkit.models.unets import unet
from cnnkit.report import sections
from cnnkit.run import MODEL, UNROUNDED
from cnnkit.training import fitting, pruning
from cnnkit.training.pruning import Network
from cnnkit.verbs.train import train
from tests import toys
from tests.test_eight_bits import awake, pictures

SIDE = 32


def squeezed():
    """Build a network in which one branch scales the channels of another, with a dense layer on maps and one used twice."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Conv2D(16, 3, activation="silu", name="first")(image)
    y = layers.GlobalAveragePooling2D(name="means")(x)
    y = layers.Reshape((1, 1, 16), name="as_map")(y)
    y = layers.Conv2D(16, 1, activation="sigmoid", name="gate")(y)
    x = layers.Multiply(name="gated")([x, y])
    twice, norm = layers.Conv2D(16, 1, name="twice"), layers.BatchNormalization(name="norm")
    x = layers.Dense(16, name="dense")(norm(twice(norm(twice(x)))))
    x = layers.Flatten(name="flatten")(layers.MaxPooling2D(6, name="pool")(x))
    return keras.Model(image, layers.Dense(4, name="logits")(x), name="squeezed")


NETWORKS = {
    "small_cnn": lambda: MODELS["default"]((SIDE, SIDE, 3), 4),
    "micro_cnn": lambda: MODELS["micro"]((SIDE, SIDE, 3), 4),
    "simple_cnn": lambda: MODELS["simple_cnn"]((SIDE, SIDE, 3), 4),
    "lenet5": lambda: MODELS["lenet5"]((SIDE, SIDE, 3), 4),
    "resnet": lambda: MODELS["resnet"]((SIDE, SIDE, 3), 4, depth=1),
    "densenet": lambda: MODELS["densenet"]((SIDE, SIDE, 3), 4, depth=2, stages=2),
    "mobilenet_v2": lambda: MODELS["backbone"]((SIDE, SIDE, 3), 4),
    "spot_cnn": lambda: spot_cnn((SIDE, SIDE, 3), 4, depth=2),
    "detector": lambda: detector((SIDE, SIDE, 3), 4, width=16),
    "unet": lambda: unet((SIDE, SIDE, 3), 4, width=16, depth=2, supervised=1),
    "volumes": lambda: unet((8, SIDE, SIDE, 3), 4, width=16, depth=1),
    "squeezed": squeezed,
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """Return a network that is no more at its beginning, and inputs."""
    keras.utils.set_random_seed(0)
    model = NETWORKS[request.param]()
    images = pictures(8)
    if len(model.input_shape) == 5:
        images = np.repeat(images[:, None], 8, 1) * np.linspace(0.2, 1, 8, dtype=np.float32)[:, None, None, None]
    return awake(model, images), images


def answers(model, images):
    return np.asarray(model(images, training=False), np.float64)


def killed(network, kept):
    """Make channels that are not kept 0 for any input: by the weights of what makes them, and of batch norm behind it."""
    for name, layer in {layer.name: layer for layer in network.model._flatten_layers(include_self=False)}.items():
        if not layer.weights:
            continue
        (one,) = [known for known in network._layers.values() if known.layer.name == name]
        dead = ~kept[one.made]
        for weight in layer.weights:
            value = np.array(weight)
            if isinstance(layer, layers.BatchNormalization):
                if weight.name in ("gamma", "beta", "moving_mean"):
                    value[dead] = 0
            elif weight.name == "kernel" and "Transpose" in type(layer).__name__:
                value[..., dead, :] = 0
            elif weight.name in ("kernel", "bias") and "Depthwise" not in type(layer).__name__:
                value[..., dead] = 0
            weight.assign(value)


class TestCutting:
    def test_dead_filters_go_and_the_answers_stay(self, network):
        model, images = network
        made = Network(model)
        rng = np.random.default_rng(1)
        kept = np.ones(made.channels, bool)
        for channels in made.groups.values():
            kept[rng.permutation(channels)[: len(channels) // 3]] = False
        before = model.get_weights()
        killed(made, kept)
        wanted = answers(model, images)
        found = made.cut(kept)
        assert found.count_params() < model.count_params()
        assert np.abs(answers(found, images) - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())
        assert np.ptp(wanted) > 0
        model.set_weights(before)
        assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]

    def test_as_many_multiply_adds_go_as_asked_for_and_widths_are_multiples(self, network):
        model, images = network
        made = Network(model)
        narrowest = made.multiply_adds(~np.isin(np.arange(made.channels), others(made)))
        share = 0.5 * (1 - narrowest / totals(layer_table(model))["multiply_adds"])
        found, about = made.pruned(share)
        before, after = (totals(layer_table(one))["multiply_adds"] for one in (model, found))
        assert about["multiply_adds"] == [before, after] and after <= (1 - share) * before
        assert about["parameters"] == [model.count_params(), found.count_params()]
        for name, (had, has) in about["widths"].items():
            assert has == had or (has < had and has % 8 == 0 and has >= 8), name
        assert answers(found, images).shape == answers(model, images).shape
        with pytest.raises(ConfigError, match=r"at most\.$"):
            made.pruned(0.999)

    def test_a_narrow_network_from_nothing_has_the_same_shapes_and_other_weights(self, network):
        model, _ = network
        made = Network(model)
        widths = {name: max(1, len(channels) // 2) for name, channels in made.groups.items()}
        kept = np.ones(made.channels, bool)
        for channels in made.groups.values():
            kept[channels[max(1, len(channels) // 2) :]] = False
        cut, fresh = made.cut(kept), made.narrowed(widths)
        assert [v.shape for v in cut.variables] == [v.shape for v in fresh.variables]
        assert any(np.any(a != b) for a, b in zip(cut.get_weights(), fresh.get_weights(), strict=True))


def test_a_network_of_narrow_layers_has_nothing_to_lose():
    with pytest.raises(ConfigError, match="Leave it out"):
        Network(MODELS["default"]((SIDE, SIDE, 3), 4, width=4)).pruned(0.01)


def others(made):
    """Return the channels that go where every group keeps 8."""
    return np.concatenate([np.zeros(0, int), *(channels[8:] for channels in made.groups.values())])


def test_the_filters_of_least_weight_go():
    keras.utils.set_random_seed(0)
    model = MODELS["default"]((SIDE, SIDE, 3), 4)
    kernel = model.get_layer("level0_first_conv").kernel
    weak = np.array([2, 3, 5, 7, 11, 13, 17, 19])
    kernel.assign(np.array(kernel) * np.where(np.isin(np.arange(24), weak), 0.1, 1.0))
    found, about = Network(model).pruned(0.5)
    assert about["widths"]["level0_first_conv"] == [24, 16]
    stays = np.setdiff1d(np.arange(24), weak)
    np.testing.assert_array_equal(found.get_layer("level0_first_conv").get_weights()[0], np.array(kernel)[..., stays])


class TestRefusals:
    @pytest.mark.parametrize(
        ("layer", "what"),
        [
            (lambda: layers.Conv2D(12, 3, groups=3, name="odd"), "has groups"),
            (lambda: layers.Conv2D(12, 3, activation="softmax", name="odd"), "softmax"),
            (lambda: layers.Activation("softmax", name="odd"), "softmax"),
            (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="odd"), "several channels"),
            (lambda: layers.BatchNormalization(axis=1, name="odd"), "not known"),
            (lambda: layers.LayerNormalization(name="odd"), "not known"),
            (lambda: layers.Reshape((-1, 3), name="odd"), "not known"),
            (lambda: layers.Permute((3, 1, 2), name="odd"), "not known"),
            (lambda: layers.PReLU(name="odd"), "not known"),
            (lambda: layers.SeparableConv2D(4, 3, name="odd"), "not known"),
            (lambda: layers.Rescaling([0.5] * 12, name="odd"), "not known"),
        ],
    )
    def test_a_layer_that_is_not_known_is_named(self, layer, what):
        image = keras.Input((SIDE, SIDE, 3))
        x = layer()(layers.Conv2D(12, 3, name="first")(image))
        with pytest.raises(ConfigError, match=f"the layer odd .*{what}"):
            Network(keras.Model(image, x))

    def test_what_is_done_to_the_input_alone_may_be_anything(self):
        image = keras.Input((SIDE, SIDE, 3))
        x = keras.ops.flip(layers.Rescaling([0.1, 0.2, 0.3])(layers.Permute((2, 1, 3))(image)), axis=-1)
        x = layers.GlobalMaxPooling2D()(layers.Conv2D(16, 3, name="first")(x))
        model = keras.Model(image, layers.Dense(2)(x))
        made = Network(model)
        assert {name: len(channels) for name, channels in made.groups.items()} == {"first": 16}
        kept = np.ones(made.channels, bool)
        np.testing.assert_allclose(answers(made.cut(kept), pictures(4)), answers(model, pictures(4)), rtol=1e-6)

    @pytest.mark.parametrize("weights", ["none", "auto", "imagenet", MODEL])
    def test_without_a_run_there_is_nothing_to_cut(self, run, tmp_path, weights):
        weights = str(run.path / MODEL) if weights == MODEL else weights
        with pytest.raises(ConfigError, match="`prune` cuts the network of an earlier run: name its folder"):
            train(toys.recipe(), {"prune": 0.5, "weights": weights}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 2])
    def test_a_share_lies_between_none_and_all(self, run, tmp_path, share):
        with pytest.raises(ConfigError, match=r"`prune` must lie in \(0, 1\)"):
            train(toys.recipe(), {"prune": share, "weights": str(run.path)}, out=tmp_path / "run")

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"options": {"width": 24}}, "nothing that fits tiny_cnn"),
            ({"model": "deeper"}, "has another one: nothing in it fits conv3 of 'deeper'"),
            ({"prune": 0.99}, "of this network: with 8 filters a layer"),
        ],
    )
    def test_what_cannot_be_cut_leaves_no_run(self, run, tmp_path, changes, what):
        def deeper(shape, classes, *, width=16):
            model = toys.tiny_cnn(shape, classes, width=width)
            x = layers.Conv2D(32, 3, name="conv3")(model.get_layer("conv2").output)
            x = layers.Dense(classes, name="logits")(layers.GlobalMaxPooling2D(name="gather")(x))
            return keras.Model(model.input, x)

        recipe = toys.recipe(builders={"default": toys.tiny_cnn, "deeper": deeper})
        with pytest.raises(CnnkitError, match=what):
            train(recipe, {"prune": 0.3, "weights": str(run.path), **changes}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_network_that_is_not_known_leaves_no_run(self, tmp_path):
        def odd(shape, classes):
            image = keras.Input(shape)
            x = layers.Flatten()(layers.LayerNormalization(name="odd")(layers.Conv2D(16, 3, name="conv")(image)))
            return keras.Model(image, layers.Dense(classes, name="logits")(x))

        recipe = toys.recipe(builders={"default": odd})
        earlier = train(recipe, {"epochs": 1}, out=tmp_path / "earlier").run
        with pytest.raises(ConfigError, match="the layer odd"):
            train(recipe, {"prune": 0.3, "weights": str(earlier.path)}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_texts_have_no_such_setting(self):
        from tests.toy_texts import Settings

        assert not hasattr(Settings, "prune") and hasattr(toys.Settings, "prune")


SETTINGS = {"data": "bars", "epochs": 4, "batch_size": 24, "learning_rate": 0.01, "options": {"width": 16}}


def fit(path, until=None, **changes):
    """Train the toy; `until`: stop as if killed after so many epochs, 0: before the first."""
    return toys.fit(path, {**SETTINGS, **changes}, until)


def same(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose network has filters to lose."""
    settings = {name: value for name, value in SETTINGS.items() if name != "options"}
    return train(toys.recipe(), settings, SETTINGS["options"], out=tmp_path_factory.mktemp("earlier") / "run").run


@pytest.fixture(scope="module")
def pruned(run, tmp_path_factory):
    return fit(tmp_path_factory.mktemp("pruned") / "run", weights=str(run.path), prune=0.5, **pruning.PRESET)


class TestRun:
    def test_it_says_what_was_cut(self, run, pruned):
        document = json.loads((pruned.path / "run.json").read_text())["pruned"]
        had, has = (open_artifact(one.path).model for one in (run, pruned))
        assert document["widths"] == {"conv": [16, 8], "conv2": [32, 24]}
        counts = [totals(layer_table(model))["multiply_adds"] for model in (had, has)]
        assert document["multiply_adds"] == counts and counts[1] <= 0.5 * counts[0]
        assert document["parameters"] == [had.count_params(), has.count_params()]
        said = pruning.line(document)
        assert f"{counts[0]:,} -> {counts[1]:,} multiply-adds" in said and "conv2 32 -> 24" in said
        history = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
        shown = str(sections.training(json.loads((pruned.path / "run.json").read_text()), history))
        assert f"{counts[1]:,} of {counts[0]:,}" in shown and "conv2" in shown

    @pytest.mark.parametrize("until", [0, 2])
    def test_a_killed_run_goes_on_to_the_same_weights(self, run, pruned, tmp_path, until):
        given = {"weights": str(run.path), "prune": 0.5, **pruning.PRESET}
        fit(tmp_path / "run", until=until, **given)
        assert not (tmp_path / "run" / MODEL).exists()
        fit(tmp_path / "run", **given)
        same(open_artifact(pruned.path).model, open_artifact(tmp_path / "run").model)

    def test_a_run_goes_on_from_it_and_may_cut_it_again(self, pruned, tmp_path):
        again = fit(tmp_path / "again", weights=str(pruned.path), epochs=1)
        assert again.document["pruned"] == pruned.document["pruned"] and not again.document["weights"]["left"]
        assert open_artifact(again.path).model.count_params() == open_artifact(pruned.path).model.count_params()
        less = fit(tmp_path / "less", weights=str(pruned.path), epochs=1, prune=0.1)
        assert less.document["pruned"]["widths"] == {"conv": [8, 8], "conv2": [24, 16]}
        last = fit(tmp_path / "last", weights=str(less.path), epochs=1)
        assert open_artifact(last.path).model.count_params() == less.document["pruned"]["parameters"][1]

    def test_images_of_other_sizes_and_sixteen_bits_are_learnt_by_the_same_network(self, run, pruned, tmp_path):
        given = {"weights": str(run.path), "prune": 0.5, "progressive": 2, "mixed_precision": True, "epochs": 2}
        small = open_artifact(fit(tmp_path / "run", **given).path).model
        assert small.count_params() == open_artifact(pruned.path).model.count_params()
        assert all(layer.compute_dtype == "float32" for layer in small.layers)

    def test_trained_anew_on_validation_records_it_is_as_narrow(self, run, pruned, tmp_path):
        own = fit(tmp_path / "run", weights=str(run.path), prune=0.5, epochs=1)
        model = fitting.refit(toys.recipe(), toys.splits(train=300, validation=0), own, {"temperature": 1.5})
        assert model.count_params() == open_artifact(pruned.path).model.count_params()

    def test_it_learns_with_rounding_and_its_files_pass_the_gate(self, run, tmp_path):
        given = {"weights": str(run.path), "prune": 0.5, "quantise_aware": True, "epochs": 4, **pruning.PRESET}
        small = fit(tmp_path / "run", **given)
        assert open_artifact(small.path / UNROUNDED).model.count_params() == small.document["pruned"]["parameters"][1]
        artifact, data = open_artifact(small.path), toys.splits()
        names = {"train": data.train, "held_out": data.test, "validation": data.validation}
        document = gate.export(
            artifact, tmp_path, task=toys.recipe().task, precisions=["float32", "float16", "int8"], **names
        )
        assert document["reference"]["score"] >= 0.95
        assert all(found["passed"] for found in document["artifacts"].values())

    def test_all_layers_learn_as_in_a_training_from_nothing(self, run, tmp_path):
        asked = []

        def preset(model, count, loaded):
            asked.append(loaded)
            return {"epochs": 1, "batch_size": 24, "learning_rate": 0.01, **({"freeze": 0.5} if loaded else {})}

        recipe = toys.recipe(preset=preset)
        found = train(recipe, {"prune": 0.5, "weights": str(run.path)}, out=tmp_path / "run").run.document["settings"]
        assert asked == [False] and {name: found[name] for name in pruning.PRESET} == pruning.PRESET
        assert found["options"] == {"width": 16}, "of the run that was cut"
        given = {"prune": 0.5, "weights": str(run.path), "backbone_rate": 0.3}
        assert train(recipe, given, out=tmp_path / "other").run.document["settings"]["backbone_rate"] == 0.3

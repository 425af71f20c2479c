"""`export --keep-float`: the layers that are named stay float in an int8 file, and no others; what cannot be is one line."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.errors import ConfigError, GateRefused
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.explain.graph import followed
from cnnkit.export import convert, gate
from cnnkit.export.graph import graph_of
from cnnkit.models import eight_bits
from cnnkit.verbs.export import export
from tests import toys
from tests.export.test_blame import planted
from tests.test_gate import Case


@pytest.fixture(scope="module")
def images(toy_run):
    return Case(open_artifact(toy_run), toys.splits(80, 24, 60), toys.recipe().task)


def exported(case, folder, **how):
    names = {"train": case.data.train, "held_out": case.data.test, "validation": case.data.validation}
    return gate.export(case.artifact, folder, task=case.task, precisions=["int8"], **names, **how)


def forms(path):
    """Return what each operator with weights reads and multiplies by."""
    steps = graph_of(path.read_bytes()).steps
    return [{tensor.kind for tensor in step.given[:2]} for step in steps if step.kind in ("CONV_2D", "FULLY_CONNECTED")]


def test_just_the_layers_that_are_named_stay_float_and_the_file_passes(images, tmp_path):
    verdict = exported(images, tmp_path, keep_float=["conv2"], explain=True)["artifacts"]["int8"]
    assert verdict["passed"] and verdict["keep_float"] == ["conv2"]
    assert forms(tmp_path / "model-int8.tflite") == [{"INT8"}, {"FLOAT32"}, {"INT8"}]
    assert "conv2" not in {row["layer"] for row in verdict["explained"]["layers"]}, "it rounds nothing"
    model = images.artifact.model
    stored = graph_of((tmp_path / "model-int8.tflite").read_bytes()).steps[2].inputs[1].data
    np.testing.assert_allclose(stored, model.get_layer("conv2").get_weights()[0].transpose(3, 0, 1, 2), rtol=1e-6)


def test_layers_that_lose_all_in_eight_bits_may_stay_float(images, tmp_path):
    case = planted(images)
    with pytest.raises(GateRefused):
        exported(case, tmp_path, tolerance=0.5)
    document = exported(case, tmp_path, tolerance=0.5, keep_float=["conv2", "gather", "logits"])
    assert document["artifacts"]["int8"]["passed"]


@pytest.mark.parametrize(
    ("asked", "made"), [(["conv2"], []), (["conv2"], ["conv2", "logits"]), (["conv2"], ["logits"])], ids=str
)
def test_a_file_with_other_float_layers_than_those_asked_for_is_stopped(images, tmp_path, monkeypatch, asked, made):
    whole = convert.convert

    def other(model, precision, calibration, metadata, profile, keep_float=()):
        return whole(model, precision, calibration, metadata, profile, made if keep_float else ())

    monkeypatch.setattr(gate, "convert", other)
    with pytest.raises(GateRefused, match="integers"):
        exported(images, tmp_path, keep_float=asked)


def test_a_joined_operator_is_found_by_each_of_its_layers(images):
    model = images.artifact.model
    content = images.sound(model, "float32", np.zeros((1, 12, 12, 1)), images.artifact.metadata)
    assert [convert.kept_steps(graph_of(content), model, [name]) for name in ("conv", "norm", "conv2", "logits")] == [
        [0],
        [0],
        [2],
        [4],
    ]
    assert convert.unrounded(model, ["norm"]) == {"conv", "norm"} and convert.unrounded(model, []) == set()
    with pytest.raises(ConfigError, match="no operator of the file computes the layer dropout"):
        convert.kept_steps(graph_of(content), model, ["dropout"])


def test_layers_are_followed_up_to_one_with_a_kernel_or_two_readers():
    given = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, name="a")(given)
    x = layers.ReLU(name="c")(layers.BatchNormalization(name="b")(x))
    y = layers.Conv2D(2, 1, name="d")(x)
    model = keras.Model(given, layers.Add(name="e")([y, layers.Activation("tanh", name="f")(x)]))
    assert followed(model, "a") == ["a", "b", "c"] and followed(model, "d") == ["d", "e"]
    assert followed(model, "b", 9) == ["b", "c"] and followed(model, "f", 9) == ["f", "e"]
    chain = keras.Sequential([keras.Input((4,)), layers.ReLU(name="r"), layers.Dense(2, name="s")])
    assert followed(chain, "r") == ["r"], "a kernel is no part of an operator before it"


class TestRefusals:
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"keep_float": ["conv3"]}, "the model has no layer conv3. Near are conv, conv2"),
            ({"keep_float": ["conv2"], "precision": "float32"}, "`keep_float` is for int8 files"),
            (
                {"keep_float": ["conv2"], "profile": "micro"},
                "not for microcontrollers, whose files are int8 throughout",
            ),
            ({"keep_float": ["conv2"], "profile": "ethos-u"}, "not for an Ethos-U, whose files are int8 throughout"),
        ],
    )
    def test_what_cannot_stay_float_is_one_line(self, toy_run, how, message):
        with pytest.raises(ConfigError, match=message) as caught:
            export(toys.recipe(), toy_run, **how)
        assert "\n" not in str(caught.value)

    def test_a_model_that_was_trained_to_round_has_no_float_layers(self, toy_run, monkeypatch):
        monkeypatch.setattr(eight_bits, "ranges", lambda model: {"conv2": (0.0, 1.0)})
        with pytest.raises(ConfigError, match="trained with `quantise_aware`"):
            export(toys.recipe(), toy_run, keep_float=["conv2"])


@pytest.mark.parametrize("kept", [["logits"], ["conv"], ["depthwise"], ["conv", "depthwise", "logits"]], ids=str)
def test_operators_of_every_kind_stay_float_beside_those_of_integers(kept, tmp_path):
    """A reshape lies before the dense layer, and the converter leaves it out where both compute in one form."""
    keras.utils.set_random_seed(0)
    given = keras.Input((12, 12, 1), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(given)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Flatten(name="flat")(layers.AveragePooling2D(2, name="pool")(x))
    model = keras.Model(given, layers.Dense(3, name="logits")(x))
    some = toys.splits(60, 3, 3).train.read(np.arange(60))[0]
    about = toys.ABOUT | {"labels": ["a", "b", "c"], "temperature": 1.3}
    chain = gate.Chain(KerasArtifact(tmp_path / "model.keras", model, about), some, some[:9], some[9:20], None, kept)
    path = tmp_path / "x.tflite"
    path.write_bytes(content := chain.content("int8"))
    found = {check.name: check for check in chain.checks("int8", content, path)}
    assert {"network", "constants", "integers", "size", "ranges"} <= set(found)
    assert not [check.reason for check in found.values() if not check.passed]
    assert not set(kept) & {row["layer"] for row in chain.explained("int8", content)["layers"]}


def test_a_kind_of_layer_that_the_converter_cannot_leave_float_is_one_line():
    given = keras.Input((12, 12, 1), name="image")
    x = layers.Conv2DTranspose(3, 2, strides=2, name="up")(given)
    model = keras.Model(given, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))
    some, about = np.ones((4, 12, 12, 1), np.float32), toys.ABOUT | {"labels": ["a", "b", "c"]}
    with pytest.raises(ConfigError, match="no layer of the kind TRANSPOSE_CONV float, as up is") as caught:
        convert.convert(model, "int8", some, about, None, ["up"])
    assert "\n" not in str(caught.value)

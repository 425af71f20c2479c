"""Networks of volumes are written with operators of pictures: the same numbers, and int8 throughout."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.device.model import DeviceModel
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.export import gate
from cnnkit.export.convert import PRECISIONS, convert
from cnnkit.export.graph import graph_of, values
from cnnkit.export.lowered import lowered, volumetric
from cnnkit.export.rounding import STEPS
from cnnkit.models.unets import unet
from tests.contracts import told
from tests.toys import apps

FLAT = {"strides": [(1, 2, 2), (2, 2, 2)], "kernels": [(1, 3, 3), (3, 3, 3), (3, 3, 3)]}


def trained(model):
    """Return a model whose weights, moving averages too, are any numbers."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            trained(layer)
        elif isinstance(layer, layers.BatchNormalization):
            near = {"moving_variance": (0.5, 2), "gamma": (0.5, 1.5)}
            layer.set_weights([rng.uniform(*near.get(w.name, (-0.5, 0.5)), w.shape) for w in layer.weights])
        elif layer.get_weights():
            layer.set_weights([rng.normal(0, w.std() or 0.3, w.shape) for w in layer.get_weights()])
    return model


def network(shape, *steps, ends=None):
    """Return a model of layers, one after the other."""
    given = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    return trained(keras.Model(given, ends(given, x) if ends else x))


def volumes(n, *shape):
    return np.random.default_rng(1).uniform(0, 255, (n, *shape)).astype(np.float32)


def apart(model, low):
    """Return the largest difference of two models' answers, in what the first's vary by."""
    worst = 0.0
    for volume in volumes(2, *model.input_shape[1:]):
        pair = (keras.tree.flatten(told(one, volume[None])) for one in (model, low))
        for first, second in zip(*pair, strict=True):
            assert first.shape == second.shape
            worst = max(worst, float(np.abs(first - second).max() / first.std()))
    return worst


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 12, 4, 1), {"width": 4, "depth": 2}),
        ((16, 8, 24, 2), {"width": 3, "depth": 3, "residual": False}),
        ((6, 8, 12, 1), {"width": 4, "depth": 2, **FLAT}),
        ((5, 8, 8, 1), {"width": 4, "depth": 2, "strides": [(1, 2, 2)] * 2, "kernels": [(1, 3, 3)] * 3}),
        ((4, 12, 9, 1), {"width": 4, "depth": 1, "strides": [(2, 3, 1)], "kernels": [(5, 3, 1), (3, 1, 3)]}),
    ],
)
def test_unets_of_volumes_answer_as_before(shape, options):
    model = trained(unet(shape, 2, **options))
    low = lowered(model)
    assert apart(model, low) < 1e-4
    kinds = {type(layer) for layer in low.layers} - {type(layer) for layer in model.layers}
    assert {layers.Conv2D, layers.Conv2DTranspose} <= kinds and not volumetric(low)
    assert low.input_shape == (1, *shape) and low.inputs[0].dtype == "float32"


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("slices", [6, 7])
def test_any_kernel_along_the_slices_reads_what_it_did(slices, stride, size, padding):
    """'same' pads one at the end of an even number of slices, one at both ends of an odd one."""
    conv = layers.Conv3D(2, (size, 3, 1), strides=(stride, 1, 1), padding=padding, use_bias=False)
    model = network((slices, 4, 3, 2), conv)
    assert apart(model, lowered(model)) < 1e-5


def two_paths(given, x):
    norm = layers.BatchNormalization(scale=False)(x)
    return {"both": layers.Add()([norm, x]), "alone": layers.Concatenate(axis=4)([x, layers.ReLU()(norm)])}


def head(given, x):
    scores = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling3D()(x))
    gated = x * layers.GlobalAveragePooling3D(keepdims=True)(x)
    return [scores, layers.Activation("softmax")(gated), keras.ops.pad(gated, [(0, 0)] * 4 + [(1, 0)])]


def twice(given, x):
    conv, norm = layers.Conv3D(4, 3, padding="same"), layers.BatchNormalization()
    return norm(conv(layers.LeakyReLU()(norm(conv(x)))))


def inside(given, x):
    one = keras.Input(x.shape[1:])
    return keras.Model(one, layers.BatchNormalization()(layers.Conv3D(2, 2)(one)))(layers.Dropout(0.5)(x))


def doubled(given, x):
    norm = layers.BatchNormalization(center=False)(x)
    y = layers.Conv3DTranspose(3, (3, 3, 2), strides=(3, 2, 2), padding="same", activation="relu")(norm)
    return layers.BatchNormalization()(y)


@pytest.mark.parametrize("ends", [two_paths, head, twice, inside, doubled])
def test_whatever_is_around_them_stays(ends):
    start = layers.Conv3DTranspose if ends is doubled else layers.Conv3D
    model = network((4, 6, 5, 2), layers.Rescaling(1 / 100), start(4, 2, strides=2, padding="same"), ends=ends)
    before = [array.copy() for array in model.get_weights()]
    low = lowered(model)
    assert apart(model, low) < 1e-4
    assert not volumetric(low)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert [layer.output for layer in model.layers], "a layer would have two outputs, had it been used again"


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (layers.MaxPooling3D(name="wide"), r"wide \(MaxPooling3D\) pools.*stride 2"),
        (layers.AveragePooling3D(2, name="wide"), r"wide \(AveragePooling3D\) pools"),
        (layers.Conv3D(2, 3, dilation_rate=2, name="wide"), r"wide \(Conv3D\) is dilated"),
        (layers.Conv3D(2, 3, groups=2, name="wide"), r"wide \(Conv3D\) has groups"),
        (layers.Conv3DTranspose(2, 3, strides=2, name="wide"), r"wide .*a kernel of 3 and a stride of 2"),
        (layers.Conv3DTranspose(2, 2, strides=2, output_padding=1, name="wide"), r"wide .*output padding"),
    ],
)
def test_what_cannot_be_lowered_is_a_line_that_names_it(layer, said):
    model = network((8, 8, 8, 2), layer)
    assert volumetric(model)
    with pytest.raises(CnnkitError, match=said) as caught:
        lowered(model)
    assert "\n" not in str(caught.value)


def test_open_sides_are_refused():
    with pytest.raises(CnnkitError, match=r"sides of its input open, \(None, 8, 8, 1\)"):
        lowered(network((None, 8, 8, 1), layers.Conv3D(2, 3)))


def test_a_network_of_pictures_has_nothing_to_lower():
    assert not volumetric(unet((8, 8, 1), 1, width=2, depth=1))


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory):
    """Install a kind of input that is arrays of numbers, as those of volumes are."""
    folder = apps.register(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


SHAPE = (8, 12, 8, 1)


def made(width, depth):
    keras.utils.set_random_seed(0)
    model = trained(unet(SHAPE, 2, width=width, depth=depth))
    about = {"task": "segmentation", "labels": ["a", "b"], "input": {"kind": "series", "shape": list(SHAPE)}}
    return KerasArtifact(Path("model.keras"), model, about)


@pytest.fixture(scope="module")
def chain():
    some = volumes(8, *SHAPE)
    return gate.Chain(made(16, 2), some[:6], some[6:], some[6:])


@pytest.fixture(scope="module")
def files(chain, tmp_path_factory):
    """Return the files by precision, as (content, path)."""
    found = {}
    for precision in PRECISIONS:
        path = tmp_path_factory.mktemp(precision) / "model.tflite"
        path.write_bytes(chain.content(precision))
        found[precision] = path.read_bytes(), path
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_files_of_volumes_pass_the_comparisons_of_the_gate(chain, files, precision):
    content, path = files[precision]
    found = chain.checks(precision, content, path)
    assert not [check.reason for check in found if not check.passed]
    names = {check.name for check in found}
    assert precision != "int8" or {"network", "constants", "integers", "size", "ranges", "clipping"} <= names
    steps = graph_of(content).steps
    assert {step.place for step in steps if step.kind == "SLICE"} >= {"down0_first_conv_neighbours (SLICE)"}
    assert {step.kind for step in steps}.isdisjoint({"CONV_3D", "CONV_3D_TRANSPOSE", "CUSTOM"})


def test_each_convolution_of_an_int8_file_is_int8_and_its_input_is_not(files):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=files["int8"][0])
    interpreter.allocate_tensors()
    kind = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    convolutions = [step for step in interpreter._get_ops_details() if "CONV" in step["op_name"]]
    assert len(convolutions) == 9 + 2 * 2  # two transposed ones, of two slices each
    for step in convolutions:
        weights, given = step["inputs"][:2] if step["op_name"] == "CONV_2D" else step["inputs"][1:3]
        assert kind[weights] == kind[given] == kind[step["outputs"][0]] == np.int8
    assert interpreter.get_input_details()[0]["dtype"] == np.float32
    assert tuple(interpreter.get_input_details()[0]["shape"]) == (1, *SHAPE)


def test_int8_is_less_than_two_fifths_of_the_float_file_and_answers_nearly_alike(chain, files):
    assert len(files["int8"][0]) < 0.4 * len(files["float32"][0])
    some = volumes(2, *SHAPE)
    exact, found = (one.run_batch(some)["scores"] for one in (chain.artifact, DeviceModel.open(files["int8"][1])))
    assert np.abs(exact - found).mean() < 0.03


def test_a_file_whose_slices_are_the_wrong_way_round_is_seen(chain, files, tmp_path):
    model = chain.artifact.model
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    kernel, *rest = other.get_layer("down1_first_conv").get_weights()
    other.get_layer("down1_first_conv").set_weights([kernel[::-1], *rest])
    content = convert(other, "float16", chain.calibration, chain.artifact.metadata)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert "constants" in [check.name for check in chain.checks("float16", content, path) if not check.passed]


def test_weights_of_volumes_are_rounded_by_their_effect_and_stay_on_the_steps_when_lowered(tmp_path, monkeypatch):
    from tests.toys.series import training

    monkeypatch.setattr(training.KIND, "rounded", True, raising=False)
    some = volumes(6, *SHAPE)
    chain = gate.Chain(made(3, 1), some[:4], some[4:], some[4:])
    before, after = chain.artifact.model, chain.model("int8")
    for layer in before.layers:
        old, new = layer.get_weights(), after.get_layer(layer.name).get_weights()
        if isinstance(layer, layers.Conv3D):
            steps = new[0] / (np.abs(old[0]).max((0, 1, 2, 3)) / STEPS)
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
            assert not np.array_equal(old[0], new[0])
        else:
            assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    content, path = chain.content("int8"), tmp_path / "model.tflite"
    path.write_bytes(content)
    found = chain.checks("int8", content, path)
    assert "rounding" in [check.name for check in found] and not [check.reason for check in found if not check.passed]
    pair = [graph_of(one).steps for one in (content, chain._base("int8")[0])]
    kernels = [[step.inputs[1] for step in steps if step.kind == "CONV_2D"] for steps in pair]
    for stored, exact in zip(*kernels, strict=True):
        np.testing.assert_allclose(values(stored), values(exact), rtol=1e-3, atol=1e-6)  # nothing was left to round


def test_a_layer_that_cannot_be_lowered_is_named_where_files_are_made():
    model = network(SHAPE, layers.Conv3D(2, 3, dilation_rate=2, padding="same", name="wide"))
    with pytest.raises(CnnkitError, match=r"wide \(Conv3D\) is dilated"):
        convert(
            model,
            "int8",
            volumes(2, *SHAPE),
            {"task": "number", "number": {"mean": 0, "std": 1}, "input": {"kind": "series"}},
        )

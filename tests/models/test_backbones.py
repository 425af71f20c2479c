"""Backbones: one interface over `keras.applications`, equal to it feature for feature; and EfficientNet-Lite."""

import importlib
import inspect

import numpy as np
import pytest

from cnnkit.models.backbones import FAMILIES, STRIDES, backbone, taps
from cnnkit.models.norm import recalibrate
from tests.contracts import images

# A variant of each family that builds in a second or two, and where Keras has its `preprocess_input`
QUICK = {
    "mobilenet": "mobilenet",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3",
    "mobilenet_v3_large_minimalistic": "mobilenet_v3",
    "efficientnet_b0": "efficientnet",
    "efficientnet_v2_b0": "efficientnet_v2",
    "resnet50": "resnet",
    "resnet50_v2": "resnet_v2",
    "densenet121": "densenet",
    "convnext_tiny": "convnext",
    "vgg16": "vgg16",
}
OWN = [name for name, family in FAMILIES.items() if not isinstance(family.constructor, str)]  # not in Keras


def randomised(model, seed=0):
    """Give every weight a value that shows, and batch norm the statistics that go with them."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [np.abs(w + 0.05 * rng.standard_normal(w.shape)) if w.ndim == 1 else w for w in model.get_weights()]
    )
    recalibrate(model, [images(8, *model.input_shape[1:], seed=1).astype("float32")])
    return model


def run(model, pixels):
    """Call a model as in inference; nothing is compiled, which would take longer than the call."""
    return np.array(model(pixels.astype("float32"), training=False))


@pytest.mark.parametrize("name", [*QUICK, *OWN])
def test_taps_halve_from_a_quarter_to_a_thirty_second(name):
    found = backbone(name, (64, 96, 3)).output
    assert list(found) == [f"stride{stride}" for stride in STRIDES]
    assert [tuple(found[f"stride{s}"].shape[1:3]) for s in STRIDES] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def some(names, fast):
    """Mark all but a few as slow."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", some(QUICK, ("mobilenet_v2", "resnet50")))
def test_features_are_those_of_keras_on_its_own_preprocessing(name):
    import keras

    keras.utils.set_random_seed(0)
    ours = randomised(backbone(name, (64, 64, 3), pooled=True))
    family = FAMILIES[name]
    constructor = getattr(keras.applications, family.constructor)
    theirs = constructor(include_top=False, weights=None, input_shape=(64, 64, 3), **family.options)
    pixels = images(2, 64, 64, 3)
    if name == "efficientnet_b0":  # its scaling is inside, and complete only with its ImageNet weights
        mean, variance = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)
        theirs.set_weights([np.array(mean), np.array(variance), np.array(0), *ours.get_weights()])
        theirs.get_layer(index=2).finalize_state()
        scaled = pixels
    else:
        theirs.set_weights(ours.get_weights())
        scaled = importlib.import_module(f"keras.applications.{QUICK[name]}").preprocess_input(pixels.copy())
    if name in ("mobilenet_v3_small", "mobilenet_v3_large_minimalistic"):
        scaled = pixels / 127.5 - 1  # Keras' `preprocess_input` does nothing: the layer left out here did
    if name in ("efficientnet_v2_b0", "convnext_tiny"):
        scaled = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = run(theirs, scaled).mean((1, 2))
    spread = expected.std()
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * spread, "the features do not depend on the image"
    # Scaling rounds differently, and random weights, unlike trained ones, blow rounding up through fifty layers.
    assert np.abs(run(ours, pixels) - expected).max() < 5e-3 * spread


@pytest.mark.parametrize("name", some([name for name in QUICK if not FAMILIES[name].scaling.alike], ("vgg16",)))
def test_a_grey_image_is_repeated_where_channels_are_scaled_apart(name):
    colour = randomised(backbone(name, (32, 32, 3), pooled=True))
    grey = backbone(name, (32, 32, 1), pooled=True)
    grey.set_weights(colour.get_weights())
    pixels = images(2, 32, 32, 1)
    expected = run(colour, np.repeat(pixels, 3, axis=-1))
    np.testing.assert_allclose(run(grey, pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("name", some(["mobilenet_v2", "resnet50", *OWN], ["mobilenet_v2"]))
def test_any_number_of_channels_and_odd_sizes_are_taken(name, channels):
    pixels = images(1, 33, 50, channels)
    found = backbone(name, (33, 50, channels))(pixels)
    assert [found[f"stride{s}"].shape[0] for s in STRIDES] == [1] * 4
    for stride in STRIDES:
        height, width = found[f"stride{stride}"].shape[1:3]
        assert height in (33 // stride, -(-33 // stride)) and width in (50 // stride, -(-50 // stride))


def test_the_graph_is_flat_and_reads_the_image():
    model = backbone("mobilenet_v2", (32, 32, 3), alpha=0.35)
    assert [layer.name for layer in model.layers[:3]] == ["image", "rescale", "Conv1"]
    assert model.count_params() == 410_208
    assert backbone("mobilenet", (32, 32, 3), alpha=0.25).count_params() == 218_544


def test_scaling_stands_once_in_the_graph():
    for name in ("efficientnet_b0", "efficientnet_v2_b0", "mobilenet_v3_small"):
        kinds = [type(layer).__name__ for layer in backbone(name, (32, 32, 3)).layers]
        assert kinds.count("Rescaling") == 1 and "Normalization" not in kinds


def test_batch_norm_has_the_momentum_of_the_house():
    import keras

    model = backbone("mobilenet_v2", (32, 32, 3), alpha=0.35)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.9}


def test_it_comes_back_from_a_file_unchanged(tmp_path):
    import keras

    for name, channels in (("mobilenet_v2", 1), ("resnet50", 3)):
        model = backbone(name, (32, 32, channels), pooled=True)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
        pixels = images(2, 32, 32, channels)
        np.testing.assert_array_equal(run(model, pixels), run(loaded, pixels))


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "vgg16"])
def test_the_file_it_names_is_the_one_that_keras_downloads(name, monkeypatch):
    import keras

    asked = {}

    class Asked(Exception):
        pass

    def download(file, origin, cache_subdir, file_hash=None):
        asked.update(file=file, url=origin, hash=file_hash)
        raise Asked

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", download)
    family = FAMILIES[name]
    for side, alpha in ((128, 1.0), (48, 1.0), (224, 0.75))[: 3 if family.alphas else 1]:
        with pytest.raises(Asked):
            options = {"alpha": alpha, **family.options} if family.alphas else family.options
            getattr(keras.applications, family.constructor)(
                include_top=False, weights="imagenet", input_shape=(side, side, 3), **options
            )
        ours = family.pretrained((side, side, 1), alpha)
        assert asked == {"file": ours.file, "url": ours.url, "hash": ours.md5 or ours.sha256}


def test_every_checksum_and_address_is_one_that_keras_states():
    import keras

    for name, family in FAMILIES.items():
        if name in OWN:
            continue
        source = inspect.getsource(inspect.getmodule(getattr(keras.applications, family.constructor)))
        if name.startswith("resnet") and "v2" in name:
            source = inspect.getsource(importlib.import_module("keras.src.applications.resnet"))
        for checksum in (*family.md5.values(), *family.sha256.values()):
            assert f'"{checksum}"' in source, name
        joined = source.replace('"\n    "', "")
        folder = family.folder.removeprefix("https://storage.googleapis.com/")
        assert folder in joined or folder.split("/")[-2] in joined, name
    checksums = [c for family in FAMILIES.values() for c in (*family.md5.values(), *family.sha256.values())]
    assert len(set(checksums)) == len(checksums)


def test_a_width_without_published_weights_says_so():
    assert backbone("mobilenet_v2", (32, 32, 3), alpha=0.4).pretrained is None
    assert "0.35_96_no_top" in backbone("mobilenet_v2", (96, 96, 1), alpha=0.35).pretrained.file


def test_wrong_arguments_are_refused_with_what_came():
    with pytest.raises(ValueError, match=r"`name` needs one of mobilenet, .* Received: name='alexnet'\."):
        backbone("alexnet", (32, 32, 3))
    with pytest.raises(ValueError, match=r"`mobilenet` needs sides of at least 32 px\. Received: .*\(31, 40, 3\)"):
        backbone("mobilenet", (31, 40, 3))
    with pytest.raises(ValueError, match=r"`resnet50` has one width\. Received: alpha=0\.5\."):
        backbone("resnet50", (32, 32, 3), alpha=0.5)
    with pytest.raises(ValueError, match=r"`alpha` needs a number above 0\. Received: alpha=-1\."):
        backbone("mobilenet", (32, 32, 3), alpha=-1)


def test_a_network_without_a_stride_has_no_taps():
    from cnnkit.models.classic import simple_cnn

    with pytest.raises(ValueError, match=r"maps at strides .* Received: simple_cnn, without \[8, 16, 32\]\."):
        taps(simple_cnn((28, 28, 1), 10))

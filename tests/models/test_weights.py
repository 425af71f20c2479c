"""Weights: loaded layer for layer or refused; what was not loaded is named."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from cnnkit.errors import ArtifactError, ConfigError, DataError
from cnnkit.models import weights
from cnnkit.models.backbones import backbone
from cnnkit.models.text import WordRows
from tests import toys
from tests.contracts import images

OLDER = "weights/mobilenet_2_5_224_tf_no_top.h5"
NEWER = "weights/mobilenet_v2_0.35_224_no_top.weights.h5"


def features(model, pixels):
    return np.array(model(pixels, training=False))


def tiny(classes=3, shape=(12, 12, 1), **options):
    import keras

    keras.utils.set_random_seed(classes)
    return toys.tiny_cnn(shape, classes, **options)


def values(model, name):
    return [np.array(value) for value in model.get_layer(name).get_weights()]


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other))


@pytest.mark.parametrize(
    ("name", "alpha", "file", "parameters"),
    [("mobilenet", 0.25, OLDER, 218_544), ("mobilenet_v2", 0.35, NEWER, 410_208)],
)
def test_a_file_of_keras_gives_the_features_that_keras_gives(research_data, name, alpha, file, parameters):
    import keras

    path = research_data(file)
    ours = backbone(name, (96, 96, 3), alpha=alpha, pooled=True)
    loaded = weights.load(ours, path)
    assert loaded.parameters == parameters and not loaded.left and not loaded.unused and not loaded.notes
    constructor = {"mobilenet": keras.applications.MobileNet, "mobilenet_v2": keras.applications.MobileNetV2}[name]
    theirs = constructor(input_shape=(96, 96, 3), alpha=alpha, include_top=False, weights=str(path), pooling="avg")
    for layer in theirs.layers:
        if layer.weights:
            assert same(values(ours, layer.name), layer.get_weights()), layer.name
    pixels = images(2, 96, 96, 3)
    expected = features(theirs, pixels / 127.5 - 1)
    assert expected.std() > 0.01
    np.testing.assert_allclose(features(ours, pixels), expected, atol=1e-5, rtol=1e-5)


def test_a_grey_image_gives_what_it_gave_in_colour_and_says_so(research_data):
    grey = backbone("mobilenet", (64, 64, 1), alpha=0.25, pooled=True)
    colour = backbone("mobilenet", (64, 64, 3), alpha=0.25, pooled=True)
    five = backbone("mobilenet", (64, 64, 5), alpha=0.25, pooled=True)
    notes = [weights.load(model, research_data(OLDER)).notes for model in (grey, colour, five)]
    assert notes[0][0].startswith("conv1: the kernel is summed over its 3 input channels") and not notes[1]
    assert notes[2][0].endswith("are repeated for 5 and scaled by 3/5.")
    pixels = images(2, 64, 64, 1)
    expected = features(colour, np.repeat(pixels, 3, -1))
    np.testing.assert_allclose(features(grey, pixels), expected, atol=1e-4, rtol=1e-4)
    kernel, wide = values(colour, "conv1")[0], values(five, "conv1")[0]
    np.testing.assert_allclose(wide, kernel[:, :, [0, 1, 2, 0, 1]] * 0.6, rtol=1e-6)


def test_another_width_is_refused_and_changes_nothing(research_data):
    model = backbone("mobilenet", (32, 32, 3), alpha=0.5)
    before = [np.array(value) for value in model.get_weights()]
    with pytest.raises(ArtifactError, match="nothing that fits mobilenet.*same `backbone` and width"):
        weights.load(model, research_data(OLDER))
    assert same(before, model.get_weights())


def test_another_network_is_refused(research_data):
    with pytest.raises(ArtifactError, match="nothing that fits tiny_cnn"):
        weights.load(tiny(), research_data(OLDER))


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_every_format_of_keras_comes_back(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    one, other = tiny(), tiny(width=8, dropout=0.5)
    other.set_weights([value + 1 for value in other.get_weights()])
    (one.save_weights if suffix == ".weights.h5" else one.save)(path)
    loaded = weights.load(other, path)
    assert set(loaded.layers) == {"conv", "norm", "conv2"}
    assert "not named" in loaded.left["logits"]  # of which classes, only our own files say
    for name in loaded.layers:
        assert same(values(one, name), values(other, name))


def test_a_file_without_names_is_read_by_its_paths(tmp_path):
    one, other = tiny(), tiny(4)
    one.save_weights(tmp_path / "one.weights.h5")
    with h5py.File(tmp_path / "one.weights.h5", "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    assert set(weights.load(other, tmp_path / "one.weights.h5").layers) == {"conv", "norm", "conv2"}
    assert same(values(one, "conv2"), values(other, "conv2"))


def test_an_older_file_with_other_names_is_read_by_order_and_says_so(tmp_path):
    import keras
    from keras import layers

    image = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(image)
    x = layers.BatchNormalization(name="second")(x)
    x = layers.Conv2D(16, 3, padding="same", name="third")(x)
    theirs = keras.Model(image, x)
    theirs.save(tmp_path / "other.h5")
    model = tiny()
    loaded = weights.load(model, tmp_path / "other.h5")
    assert "found by their order" in loaded.notes[0]
    assert set(loaded.layers) == {"conv", "norm", "conv2"}
    assert same(values(model, "conv2"), theirs.get_layer("third").get_weights())


def trained(path, labels, model):
    """Write a model as training does, with its labels inside."""
    from cnnkit import training

    training.save(model, path, {"labels": list(labels)})
    return path


def test_the_head_is_kept_where_the_classes_are_the_same(tmp_path):
    one, other = tiny(), tiny()
    one.set_weights([value + 1 for value in one.get_weights()])
    loaded = weights.load(other, trained(tmp_path / "a.keras", "abc", one), labels="abc")
    assert not loaded.left and not loaded.notes
    assert same(one.get_weights(), other.get_weights())


def test_a_head_of_several_columns_a_class_is_kept_whole_or_left(tmp_path):
    one, other, third = tiny(2), tiny(2), tiny(1)
    one.set_weights([value + 1 for value in one.get_weights()])
    path = trained(tmp_path / "a.keras", ["cell"], one)
    assert not weights.load(other, path, labels=["cell"]).left
    assert same(values(one, "logits"), values(other, "logits"))
    assert weights.load(third, path, labels=["cell"]).left["logits"].startswith("of another shape")
    assert weights.load(other, path, labels=["cell", "more"]).left["logits"].startswith("of another shape")


def test_rows_of_classes_of_the_same_name_are_copied(tmp_path):
    one, other = tiny(3), tiny(4)
    one.set_weights([value + 1 for value in one.get_weights()])
    fresh = values(other, "logits")
    loaded = weights.load(other, trained(tmp_path / "a.keras", "abc", one), labels=["c", "new", "a", "more"])
    (kernel, bias), (old_kernel, old_bias) = values(other, "logits"), values(one, "logits")
    assert same([kernel[:, [0, 2]], bias[[0, 2]]], [old_kernel[:, [2, 0]], old_bias[[2, 0]]])
    assert same([kernel[:, [1, 3]], bias[[1, 3]]], [fresh[0][:, [1, 3]], fresh[1][[1, 3]]])
    assert loaded.notes == ("logits: 2 of 4 classes copied by name; new, at their initial values: new, more.",)


def test_a_head_of_other_classes_is_replaced(tmp_path):
    one, other = tiny(), tiny()
    fresh = values(other, "logits")
    loaded = weights.load(other, trained(tmp_path / "a.keras", "abc", one), labels="xyz")
    assert loaded.left == {"logits": "no class of the same name in the file"}
    assert same(fresh, values(other, "logits"))


def test_a_run_is_gone_on_with(toy_run):
    model = tiny()
    loaded = weights.load(model, toy_run, labels=["horizontal", "vertical", "square"])
    assert loaded.file.endswith("model.keras") and not loaded.left
    assert loaded.lines()[0].startswith(f"Weights: {model.count_params():,} parameters of 4 layers loaded from ")


def test_a_layer_of_another_shape_is_left_whole_and_named(tmp_path):
    one, other = tiny(), tiny(width=6)
    path = trained(tmp_path / "a.keras", "abc", one)
    with pytest.raises(ArtifactError, match="nothing that fits"):
        weights.load(other, path, labels="abc")
    import keras
    from keras import layers

    image = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image)
    part = keras.Model(image, layers.Conv2D(5, 3, name="conv2")(x), name="part")
    loaded = weights.load(part, path)
    assert set(loaded.layers) == {"conv"}
    assert loaded.left["conv2"].startswith("of another shape in the file")
    assert set(loaded.unused) == {"norm", "conv2", "logits"}
    lines = "\n".join(loaded.lines())
    assert "Left at initial values: conv2 (of another shape" in lines and "In the file, not used: " in lines
    json.dumps(loaded.to_dict())


def test_none_loads_nothing_and_says_so():
    loaded = weights.load(tiny(), "none")
    assert loaded.parameters == 0 and "none loaded" in loaded.lines()[0]


def test_what_is_not_a_file_of_weights_is_one_line(tmp_path, toy_run):
    (tmp_path / "text.h5").write_text("this is no model")
    (tmp_path / "model.tflite").write_text("")
    content = (toy_run / "model.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    for name, complaint in (
        ("none.h5", "does not exist. Weights come from imagenet"),
        ("text.h5", "is damaged, or holds no weights"),
        ("model.tflite", "is not a file of weights"),
        ("cut.keras", "is damaged"),
    ):
        with pytest.raises(ArtifactError, match=complaint) as caught:
            weights.load(tiny(), tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError, match="not a run folder"):
        weights.load(tiny(), tmp_path)


def test_a_damaged_file_changes_nothing(tmp_path):
    one, other = tiny(), tiny(4)
    one.save_weights(tmp_path / "a.weights.h5")
    before = [np.array(value) for value in other.get_weights()]
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        file["layers/conv2d_1/vars/0"][0, 0, 0, 0] = np.nan
    with pytest.raises(ArtifactError, match="values that are not numbers"):
        weights.load(other, tmp_path / "a.weights.h5")
    assert same(before, other.get_weights())


@pytest.mark.parametrize("kind", ["link", "elsewhere"])
def test_a_file_that_leads_elsewhere_is_refused(tmp_path, kind):
    path = tmp_path / "a.weights.h5"
    tiny().save_weights(path)
    with h5py.File(path, "r+") as file:
        group = file["layers/conv2d/vars"]
        del group["0"]
        if kind == "link":
            group["0"] = h5py.ExternalLink("/etc/other.h5", "secret")
        else:
            group.create_dataset("0", (3, 3, 1, 8), "f4", external=[(str(tmp_path / "raw"), 0, 288)])
    with pytest.raises(ArtifactError, match="refused"):
        weights.load(tiny(4), path)


def test_a_model_that_holds_code_is_refused(tmp_path, toy_run):
    path = tmp_path / "bad.keras"
    path.write_bytes((toy_run / "model.keras").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("weights.pkl", b"cos\nsystem\n(S'touch executed'\ntR.")
    with pytest.raises(ArtifactError, match=r"weights\.pkl, which may run code"):
        weights.load(tiny(), path)


class TestImagenet:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch, tmp_path):
        import urllib.error

        from cnnkit.data import fetch

        def refuse(*_, **__):
            raise urllib.error.URLError("no network")

        monkeypatch.setattr("urllib.request.urlopen", refuse)
        monkeypatch.setattr(fetch, "PAUSE", 0)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def test_offline_it_names_the_file_and_where_to_put_it(self, tmp_path):
        with pytest.raises(DataError) as caught:
            weights.load(backbone("mobilenet", (128, 128, 3), alpha=0.25), "imagenet")
        line = str(caught.value)
        address = (
            "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet_2_5_128_tf_no_top.h5"
        )
        assert f"get mobilenet_2_5_128_tf_no_top.h5 from {address}" in line
        assert f"put it into {tmp_path / 'models'}" in line and "\n" not in line

    def test_a_file_that_keras_has_is_used(self, research_data, tmp_path):
        (tmp_path / "models").mkdir()
        model = backbone("mobilenet", (64, 64, 3), alpha=0.25)
        (tmp_path / "models" / model.pretrained.file).write_bytes(research_data(OLDER).read_bytes())
        assert weights.load(model, "imagenet").parameters == 218_544

    def test_the_wrong_file_in_its_place_is_refused(self, research_data, tmp_path):
        (tmp_path / "models").mkdir()
        model = backbone("mobilenet", (64, 64, 3), alpha=0.5)
        (tmp_path / "models" / model.pretrained.file).write_bytes(research_data(OLDER).read_bytes())
        with pytest.raises(ArtifactError, match="is not the file that Keras publishes for mobilenet"):
            weights.load(model, "imagenet")

    def test_without_published_weights_it_says_so(self):
        with pytest.raises(ConfigError, match="publishes no ImageNet weights for tiny_cnn"):
            weights.load(tiny(), "imagenet")


# words ----------------------------------------------------------------------------------------------------------------


def reader(words, *, kind="kim", classes=("bad", "good")):
    """A network of texts, its tokenizer, and its rows by word."""
    import keras

    from cnnkit.device.text import learn
    from cnnkit.models import text

    made = learn([" ".join(words)], max_length=8).tokenizer
    keras.utils.set_random_seed(len(words))
    if kind == "kim":
        return text.kim((8,), len(classes), size=made.size, width=4, regions=[2], maps=3), made
    return text.wide_cnn((8,), len(classes), size=made.size, width=4, regions=[2], maps=3, pair_buckets=32), made


def saved(path, model, made, classes=("bad", "good")):
    from cnnkit import training

    training.save(model, path, {"labels": list(classes), "input": {"kind": "text"}, "text": made.to_dict()})
    return path


@pytest.mark.parametrize("words", [["train", "bridge", "river"], ["a", "film", "of", "a", "bridge", "here"]])
def test_rows_of_words_go_by_the_word_and_not_by_their_place(tmp_path, words):
    one, first = reader(["film", "bridge", "plot"])
    other, second = reader(words)
    fresh = values(other, "embedding")[0]
    loaded = weights.load(other, saved(tmp_path / "a.keras", one, first), labels=["good", "bad"], rows=WordRows(second))
    (rows,), (old,) = values(other, "embedding"), values(one, "embedding")
    for word in words:
        expected = old[first.table[word]] if word in first.table else fresh[second.table[word]]
        assert np.array_equal(rows[second.table[word]], expected), word
    known = len({word for word in words if word in first.table})
    assert f"embedding: {known} of {len(set(words))} words copied by name" in " ".join(loaded.notes)
    assert np.array_equal(values(other, "logits")[0][:, ::-1], values(one, "logits")[0])


def test_linear_weights_go_by_word_and_class_and_hashes_of_words_are_left(tmp_path):
    one, first = reader(["film", "bridge", "plot"], kind="wide")
    for name in ("word_weights", "pair_weights"):
        layer = one.get_layer(name)
        layer.set_weights([np.arange(v.size, dtype=np.float32).reshape(v.shape) + 1 for v in layer.get_weights()])
    other, second = reader(["bridge", "train", "film"], kind="wide", classes=("good", "new"))
    loaded = weights.load(other, saved(tmp_path / "a.keras", one, first), labels=["good", "new"], rows=WordRows(second))
    (rows,), (old,) = values(other, "word_weights"), values(one, "word_weights")
    assert rows[second.table["film"]].tolist() == [old[first.table["film"], 1], 0]
    assert rows[second.table["train"]].tolist() == [0, 0]
    assert "pair_weights" in loaded.left
    assert not values(other, "pair_weights")[0].any()


def test_rows_that_nobody_names_are_left(tmp_path):
    one, first = reader(["film", "bridge", "plot"])
    one.save(tmp_path / "foreign.keras")
    one.save_weights(tmp_path / "a.weights.h5")
    other, second = reader(["train", "river", "bridge"])  # as many words
    fresh = values(other, "embedding")[0]
    for name in ("foreign.keras", "a.weights.h5"):
        loaded = weights.load(other, tmp_path / name, labels=["bad", "good"], rows=WordRows(second))
        assert "the words of a vocabulary, and the file does not say which" in loaded.left["embedding"]
        assert np.array_equal(values(other, "embedding")[0], fresh) and "region2" in loaded.layers
    weights.load(other, saved(tmp_path / "b.keras", one, first), labels=["bad", "good"])
    assert np.array_equal(values(other, "embedding")[0], fresh), "nor the model's own"


def test_the_same_vocabulary_comes_whole(tmp_path):
    one, first = reader(["film", "bridge", "plot"], kind="wide")
    other, _ = reader(["film", "bridge", "plot"], kind="wide")
    one.set_weights([value + 1 for value in one.get_weights()])
    loaded = weights.load(other, saved(tmp_path / "a.keras", one, first), labels=["bad", "good"], rows=WordRows(first))
    assert not loaded.left and not loaded.notes and same(one.get_weights(), other.get_weights())

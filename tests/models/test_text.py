"""Networks for texts: Kim's four, one of characters, a deep pyramid, the app's default."""

import itertools

import keras
import numpy as np
import pytest

from cnnkit.device.text import FIRST, PAD, learn, lengths, widths
from cnnkit.errors import DataError
from cnnkit.models import text
from cnnkit_text.model import BUILDERS
from tests.contracts import TextModelContract

WIDTH = 10  # numbers of a word's vector
WORDS = ["<PAD>", "<UNKNOWN>", *(f"w{k}" for k in range(2, 40))]


@pytest.fixture(scope="module")
def glove(tmp_path_factory):
    """A file of vectors of the even words."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    rows = [f"w{k} " + " ".join(f"{x:.4f}" for x in rng.normal(0, 0.3, WIDTH)) for k in range(2, 40, 2)]
    path.write_text("\n".join(rows) + "\n")
    return path


def conv(kernel, before, after):
    return kernel * before * after + after


class Kim(TextModelContract):
    variant: str
    channels = 1

    @pytest.fixture(autouse=True, scope="class")
    def vectors(self, request, glove):
        request.cls.file = str(glove)

    @property
    def parameters(self):
        found = self.channels * self.size * WIDTH
        for region in (2, 3):
            found += conv(region, self.channels * WIDTH, 16)
        return found + 32 * 3 + 3

    def builder(self, image_shape, classes, *, size):
        given = {} if self.variant == "rand" else {"vectors": self.file}
        whole = BUILDERS[f"kim-{self.variant}"]
        return whole(image_shape, classes, size=size, width=WIDTH, regions=(2, 3), maps=16, **given)

    def started(self, model):
        if self.variant != "rand":
            text.start_from_vectors(model, self.file, WORDS)
        return model


class TestKimRand(Kim):
    variant = "rand"

    def test_the_published_network_has_the_parameters_that_its_docstring_states(self):
        made = text.kim((56,), 2, size=18_765 + FIRST)
        by_hand = 18_767 * 300 + conv(3, 300, 100) + conv(4, 300, 100) + conv(5, 300, 100) + 300 * 2 + 2
        assert made.count_params() == by_hand
        assert f"{by_hand:,} parameters for 18,765 words" in text.kim.__doc__

    def test_the_norm_of_a_classs_weights_is_held(self):
        for most in (0.5, 0.0):
            made = text.kim((8,), 3, size=20, width=4, maps=8, max_norm=most)
            made.compile(keras.optimizers.SGD(5.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            ids = np.random.default_rng(0).integers(2, 20, (9, 8))
            for _ in range(3):
                made.train_on_batch(ids, np.arange(9) % 3)
            norms = np.linalg.norm(np.array(made.get_layer("logits").kernel), axis=0)
            assert norms.shape == (3,) and (norms.max() <= 0.5 + 1e-5) == bool(most)

    @pytest.mark.parametrize("regions", [(), (0,), (9,), (3, 4.0)])
    def test_regions_are_sizes_that_the_margin_covers(self, regions):
        with pytest.raises(ValueError, match=r"`regions` needs sizes of 1 to 8 words\. Received: regions="):
            text.kim((8,), 2, size=20, regions=regions)

    def test_a_variant_and_its_vectors_belong_together(self):
        with pytest.raises(ValueError, match="the variant rand has random vectors"):
            text.kim((8,), 2, size=20, vectors="glove.txt")
        for variant in ("static", "non-static", "multichannel"):
            with pytest.raises(ValueError, match=f"the variant {variant} needs given vectors"):
                text.kim((8,), 2, size=20, variant=variant)
        with pytest.raises(ValueError, match="`variant` is rand, static"):
            text.kim((8,), 2, size=20, variant="deep")


class TestKimStatic(Kim):
    variant = "static"

    def test_given_vectors_are_those_of_their_words_and_do_not_learn(self, glove):
        made = self.build()
        table = made.get_layer(text.STATIC).get_weights()[0]
        given = {line.split()[0]: np.array(line.split()[1:], np.float32) for line in glove.read_text().splitlines()}
        rows, found = np.stack(list(given.values())), table[[WORDS.index(word) for word in given]]
        assert np.sqrt((found**2).mean()) == pytest.approx(text.SPREAD, rel=1e-5), "so that a step of Adam's moves them"
        np.testing.assert_allclose(found, rows * (text.SPREAD / np.sqrt((rows**2).mean())), rtol=1e-5)
        others = table[3::2]
        assert others.std() == pytest.approx(found.std(), rel=0.15) and np.ptp(others) > 0
        assert not table[PAD].any()
        assert [w.path for w in made.non_trainable_variables if "seed" not in w.path] == ["vectors/embeddings"]

    def test_vectors_of_zeros_stay_zeros(self, tmp_path):
        path = tmp_path / "zeros.txt"
        path.write_text(f"{WORDS[2]} {' '.join(['0'] * WIDTH)}\n")
        made = self.build()
        text.start_from_vectors(made, str(path), WORDS)
        assert not made.get_layer(text.STATIC).get_weights()[0].any()

    def test_how_many_words_were_found_is_said(self, glove):
        line = text.start_from_vectors(self.build(), str(glove), WORDS)
        assert line.startswith("Vectors of 19 of 38 words from") and "GloVe text, 10 numbers each" in line

    def test_a_file_that_has_none_of_the_words_is_one_line(self, glove):
        with pytest.raises(DataError, match=r"glove\.txt has a vector of none of the 3 words"):
            text.start_from_vectors(self.build(), str(glove), ["<PAD>", "<UNKNOWN>", "fremd"])


class TestKimNonStatic(Kim):
    variant = "non-static"


class TestKimMultichannel(Kim):
    variant, channels = "multichannel", 2

    def test_both_channels_begin_with_the_same_vectors(self):
        made = self.build()
        first, second = (made.get_layer(name).get_weights()[0] for name in (text.EMBEDDING, text.STATIC))
        assert np.array_equal(first, second) and first.any()


class TestCharCnn(TextModelContract):
    length, size, any_length = 130, 71, False
    # 130 characters -> 124, pooled to 41 -> 35, pooled to 11 -> 9 -> 7 -> 5 -> 3, pooled to 1
    parameters = (
        71 * 69
        + conv(7, 69, 8) + conv(7, 8, 8) + 4 * conv(3, 8, 8)
        + (1 * 8 * 16 + 16) + (16 * 16 + 16) + (16 * 3 + 3)
    )  # fmt: skip

    def builder(self, image_shape, classes, *, size):
        return text.char_cnn(image_shape, classes, size=size, maps=8, units=16)

    def test_its_shapes_are_those_of_the_paper(self):
        made = text.char_cnn((1014,), 4, size=71)
        sizes = [made.get_layer(f"{kind}{k}").output.shape[1] for kind, k in (("pool", 1), ("pool", 2), ("pool", 6))]
        assert sizes == [336, 110, 34]
        assert made.get_layer("pool6").output.shape == (None, 34, 256)
        assert made.get_layer("flatten").output.shape == (None, 34 * 256)

    def test_a_character_is_one_one_and_the_others_are_none(self):
        table = self.build().get_layer("alphabet").get_weights()[0]
        assert np.array_equal(table[FIRST:], np.eye(69)) and not table[:FIRST].any()

    def test_the_shortest_text_is_the_one_that_the_error_names(self):
        with pytest.raises(ValueError, match=r"at least 123 characters\. Received: image_shape=\(122,\)"):
            self.builder((122,), 2, size=71)
        assert self.builder((123,), 2, size=71).output.shape == (None, 2)


class TestDpcnn(TextModelContract):
    any_length = False
    # 24 places are halved to 12, 6, 3 and 2: five pairs of convolutions
    parameters = 40 * 8 + conv(3, 8, 12) + 5 * 2 * conv(3, 12, 12) + 12 * 3 + 3

    def builder(self, image_shape, classes, *, size):
        return text.dpcnn(image_shape, classes, size=size, width=8, maps=12)

    def test_every_level_has_half_the_places(self):
        made = self.build()
        assert [made.get_layer(f"pair{k}_add").output.shape[1] for k in range(5)] == [24, 12, 6, 3, 2]

    def test_a_text_that_is_too_short_is_refused(self):
        with pytest.raises(ValueError, match=r"at least 8 ids\. Received: image_shape=\(7,\)"):
            self.builder((7,), 2, size=20)


class TestWideCnn(TextModelContract):
    buckets = 50
    margin = text.MASKED_MARGIN
    parameters = (
        40 * 8 + conv(1, 8, 6) + conv(3, 8, 6)
        + (6 + 6 + 8) * 3 + 3  # largest values of two regions and the mean vector
        + 40 * 3 + 50 * 3  # words, pairs
    )  # fmt: skip

    def builder(self, image_shape, classes, *, size):
        return text.wide_cnn(
            image_shape, classes, size=size, pair_buckets=self.buckets, width=8, regions=(1, 3), maps=6
        )

    def started(self, model):
        rng = np.random.default_rng(3)
        for name in (text.WIDE, text.PAIRS):
            layer = model.get_layer(name)
            layer.set_weights([rng.normal(size=layer.get_weights()[0].shape)])
        return model

    def linear(self, ids):
        """What the tables of words and pairs add to the logits, in NumPy."""
        made = self.build()
        words, pairs = (made.get_layer(name).get_weights()[0] for name in (text.WIDE, text.PAIRS))
        found = np.zeros((len(ids), self.classes))
        for row, entries in enumerate(ids.tolist()):
            found[row] += sum(words[k] for k in entries if k)
            for a, b in itertools.pairwise(entries):
                if min(a, b) > 1:  # neither padding nor unknown
                    found[row] += pairs[(a * text.PRIME + b) % self.buckets]
        return found

    def test_words_and_pairs_add_their_own_weights_to_the_logits(self):
        made, ids = self.build(), self.texts()
        whole = made.predict(ids, verbose=0)
        for name in (text.WIDE, text.PAIRS):
            layer = made.get_layer(name)
            layer.set_weights([np.zeros_like(layer.get_weights()[0])])
        np.testing.assert_allclose(whole - made.predict(ids, verbose=0), self.linear(ids), atol=1e-4)

    def test_classes_of_another_run_are_found_by_their_names(self, tmp_path):
        from cnnkit import training
        from cnnkit.models import weights

        before, after = self.build(0), self.build(1)
        words = learn([" ".join(WORDS[2:])], max_length=24).tokenizer
        assert words.size == self.size
        about = {"labels": ["a", "b", "c"], "input": {"kind": "text"}, "text": words.to_dict()}
        training.save(before, tmp_path / "model.keras", about)
        old = {name: after.get_layer(name).get_weights() for name in ("logits", text.WIDE, text.PAIRS)}
        found = weights.load(after, tmp_path / "model.keras", labels=["b", "d", "a"], rows=text.WordRows(words))
        for name, values in old.items():
            for first, other, kept in zip(
                before.get_layer(name).get_weights(), after.get_layer(name).get_weights(), values
            ):
                assert np.array_equal(other[..., 0], first[..., 1]) and np.array_equal(other[..., 2], first[..., 0]), (
                    name
                )
                assert np.array_equal(other[..., 1], kept[..., 1]), name
        assert sum("2 of 3 classes copied by name" in note for note in found.notes) == 3

    def test_the_first_words_can_be_features(self):
        made = text.wide_cnn((24,), 3, size=40, pair_buckets=50, width=8, regions=(1, 3), maps=6, first=2)
        assert made.count_params() == self.parameters + 2 * 8 * 3
        plain = np.array([[5, 6, 7, 8, 9, 10, 11, 0, 0]], np.int32)
        moved = np.array([[6, 5, 7, 8, 9, 10, 11, 0, 0]], np.int32)
        features = keras.Model(made.input, made.get_layer("features").output)
        first, second = (features.predict(ids, verbose=0)[0, -16:] for ids in (plain, moved))
        np.testing.assert_array_equal(first, np.roll(second, 8))
        with pytest.raises(ValueError, match=r"`first` needs 0 to 8 words\. Received: first=9\."):
            text.wide_cnn((24,), 3, size=40, first=9)

    def test_without_buckets_there_are_no_pairs(self):
        made = text.wide_cnn((24,), 3, size=40, width=8, regions=(1, 3), maps=6)
        assert made.count_params() == self.parameters - 50 * 3
        assert text.PAIRS not in {layer.name for layer in made.layers}
        with pytest.raises(
            ValueError, match=r"`pair_buckets` are for vocabularies up to 200,000 ids\. Received: size=200001\."
        ):
            text.wide_cnn((24,), 3, size=200_001, pair_buckets=8)


def test_a_model_of_before_that_asks_which_pairs_training_had_is_read(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    first, second = ids[:, :-1], ids[:, 1:]
    weights = text.WordEmbedding(50, 3, name=text.PAIRS)(keras.ops.mod(first * 7919 + second, 50))
    seen = text.WordEmbedding(50, 1, trainable=False, name="pair_seen")(keras.ops.mod(first * 10007 + second, 50))
    before = keras.Model(ids, keras.ops.sum(weights * seen, axis=1))
    before.get_layer("pair_seen").set_weights([np.arange(50).reshape(-1, 1) % 2])
    before.save(tmp_path / "model.keras")
    given = np.random.default_rng(0).integers(1, 40, (20, 9)).astype(np.int32)
    read = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(read.predict(given, verbose=0), before.predict(given, verbose=0))


# padding --------------------------------------------------------------------------------------------------------------


def cut_and_whole(margin):
    """Pooled features of each region at the widths for this margin, and at the full length: (texts, regions, maps)."""
    keras.utils.set_random_seed(1)
    regions = range(1, text.MARGIN + 1)
    made = text.kim((48,), 2, size=30, width=6, regions=tuple(regions), maps=12)
    pooled = keras.Model(made.input, [made.get_layer(f"pool{region}").output for region in regions])
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 30, (49, 48)) * (np.arange(48) < np.arange(49)[:, None])  # of every length
    whole = np.stack(pooled.predict(ids, verbose=0), 1)
    cuts = widths(lengths(ids), 48, margin)
    cut = np.zeros_like(whole)
    for width in sorted({int(cut) for cut in cuts if cut}):
        cut[cuts == width] = np.stack(pooled.predict(ids[cuts == width, :width], verbose=0), 1)
    return cut, whole, cuts


def test_with_the_margin_every_region_gives_the_same_at_every_length():
    cut, whole, cuts = cut_and_whole(text.MARGIN)
    assert set(cuts.tolist()) == {8, 16, 24, 32, 40, 48}
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def test_without_the_margin_texts_of_some_length_differ_in_every_region():
    cut, whole, cuts = cut_and_whole(0)
    differ = (np.abs(cut - whole) > 1e-3).any(2)[cuts > 0]
    assert differ.any(0).all(), "so the margin is needed"


# all builders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
def test_every_builder_of_the_app_makes_a_small_network_of_logits(name, glove):
    import inspect

    known = inspect.signature(BUILDERS[name]).parameters
    small = {"maps": 4, "width": 6, "units": 8} if "static" not in name and "multi" not in name else {"maps": 4}
    given = {key: value for key, value in small.items() if key in known}
    if small == {"maps": 4}:
        given["vectors"] = str(glove)
    length = 130 if name == "char-cnn" else 16
    made = BUILDERS[name]((length,), 2, size=71, **given)
    ids = np.random.default_rng(0).integers(0, 71, (3, length)).astype(np.int32)
    assert made.predict(ids, verbose=0).shape == (3, 2)
    assert all(p.kind is p.KEYWORD_ONLY for key, p in known.items() if key not in ("image_shape", "classes"))


class TestRows:
    """The embedding that reads rows."""

    def test_it_is_kerass_embedding_row_by_row(self):
        ids = np.array([[3, 0, 3], [1, 2, 0]], np.int32)
        ours, plain = text.WordEmbedding(5, 4), keras.layers.Embedding(5, 4)
        for layer in (ours, plain):
            layer.build()
        plain.set_weights(ours.get_weights())
        assert np.array_equal(np.array(ours(ids)), np.array(plain(ids)))

    def test_its_gradient_is_of_the_rows_that_were_read(self):
        tf = pytest.importorskip("tensorflow")
        layer = text.WordEmbedding(1000, 4)
        layer.build()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.constant([[3, 7, 3]])))
        gradient = tape.gradient(loss, layer.embeddings.value)
        assert isinstance(gradient, tf.IndexedSlices)
        assert sorted(gradient.indices.numpy().ravel().tolist()) == [3, 3, 7]

"""Why a network of texts answers: influence that is known exactly, and filters set by hand."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit import console
from cnnkit.device.text import UNKNOWN, Tokenizer, characters, spans, split
from cnnkit.device.text_spans import placed
from cnnkit.errors import ArtifactError, ConfigError
from cnnkit.excerpts import GAP, excerpt, printable
from cnnkit.inputs.text import explain as explaining

keras = pytest.importorskip("keras")
TEXTS = st.one_of(
    st.text(), st.text(st.characters(exclude_categories=()), max_size=40), st.text("ab .,\0\u00e9\n", max_size=30)
)
WORDS = {"good": 2, "Good": 2, "bad": 3, "not": 4, "film": 5}
# what each id adds to the logit of "up"; UNKNOWN has a value of its own, so that a baseline of zeros would be seen
VALUES = np.array([0.0, 0.25, 1.5, -2.0, -0.5, 0.0])


def artifact(model, tokenizer, labels=("down", "up"), **metadata):
    from pathlib import Path

    from cnnkit.evaluation.artifacts import KerasArtifact

    written = {"task": "classification", "labels": list(labels), "text": tokenizer.to_dict()}
    written["input"] = {"kind": "text", "shape": [tokenizer.length]}
    return KerasArtifact(Path("model.keras"), model, written | metadata)


def words(length=8, **options):
    return Tokenizer("words", length, WORDS, 6 + options.get("buckets", 0), **options)


def linear(size=6, length=8, values=VALUES):
    """Logits (0, sum of the values of the ids): both influences are known in closed form."""
    ids = keras.Input((length,), dtype="int32")
    vectors = keras.layers.Embedding(size, 2, name="embedding")(ids)
    logits = keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling1D()(vectors))
    model = keras.Model(ids, logits)
    model.get_layer("embedding").set_weights([np.stack([values, -values], 1).astype(np.float32)])
    kernel = np.array(
        [[0, length], [0, 0]], np.float32
    )  # the mean times the length is the sum; the second number is idle
    model.get_layer("logits").set_weights([kernel, np.zeros(2, np.float32)])
    return model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Records:
    """As little of records as `ngrams` needs."""

    def __init__(self, texts):
        self._texts = list(texts)

    def __len__(self):
        return len(self._texts)

    def texts(self, indices):
        return [self._texts[int(index)] for index in indices]


class TestPlaces:
    @given(TEXTS)
    def test_the_words_are_those_that_become_ids(self, text):
        assert [text[start:end] for start, end in spans(text)] == split(text)

    @given(TEXTS, st.integers(1, 12), st.sampled_from(["words", "hashed", "characters"]))
    def test_every_id_has_its_word(self, text, length, kind):
        made = {"words": words(length), "hashed": words(length, buckets=7), "characters": characters(length)}[kind]
        found = placed(made, text)
        assert found.ids == made.ids(text) and len(found.owners) == len(found.ids)
        everything = text.split() if kind == "characters" else split(text)
        read = [text[start:end] for start, end in found.words]
        assert len(read) + found.unread == len(everything)
        assert all(whole.startswith(part) and part for part, whole in zip(read, everything))
        assert sorted(set(found.owners) - {-1}) == list(range(len(read)))
        assert found.owners == sorted(found.owners) or kind == "characters"

    def test_n_grams_belong_to_the_word_that_they_are_of(self):
        found = placed(words(8, buckets=7, ngram=4), "good grand film")  # <grand> has four n-grams
        assert found.owners == [0, 1, 1, 1, 1, 2] and found.words == [(0, 4), (5, 10), (11, 15)]

    def test_characters_belong_to_words_with_their_punctuation(self):
        found = placed(characters(8), "No, no. Yes")
        assert found.owners == [0, 0, 0, -1, 1, 1, 1, -1] and found.unread == 1


class TestExcerpt:
    @given(TEXTS)
    def test_a_short_text_stays_whole(self, text):
        marked = [(start, end, 0.5) for start, end in spans(text)]
        pieces = excerpt(text, marked)
        assert "".join(piece for piece, _ in pieces) == printable(text)
        assert [piece for piece, value in pieces if value is not None] == [printable(word) for word in split(text)]

    def test_a_long_text_keeps_its_strongest_word(self):
        text = "word " * 50_000 + "decisive " + "word " * 50_000
        marked = [(s, e, 0.9 if text[s:e] == "decisive" else 0.001) for s, e in spans(text)]
        pieces = excerpt(text, marked, 600)
        assert ("decisive", 0.9) in pieces and pieces[0][0] == "word"
        assert pieces[-1] == (GAP, None) and sum(piece == GAP for piece, _ in pieces) == 2
        assert sum(len(piece) for piece, _ in pieces) < 700

    def test_one_word_of_a_megabyte_is_cut(self):
        pieces = excerpt("x" * 1_000_000, [(0, 1_000_000, 0.4)], 600)
        assert sum(len(piece) for piece, _ in pieces) < 700 and pieces[0][1] == 0.4

    def test_what_steers_a_terminal_is_replaced_one_by_one(self):
        text = "a\x1b[31mb\u202ec\ud800d\te\nf"
        assert printable(text) == "a\ufffd[31mb\ufffdc\ufffdd\te\nf" and len(printable(text)) == len(text)


class TestExplain:
    def test_both_influences_of_a_linear_network_are_exact(self):
        found = explaining.explain(artifact(linear(), words()), "Good film, bad good!", target="up")
        total = 1.5 + 0 - 2.0 + 1.5
        assert found.label == "up" and found.probability == pytest.approx(sigmoid(total), abs=1e-6)
        assert [found.text[w.start : w.end] for w in found.words] == ["Good", "film", "bad", "good"]
        values = [1.5, 0.0, -2.0, 1.5]
        for word, value in zip(found.words, values):
            without = total - value + 0.25
            assert word.occlusion == pytest.approx(sigmoid(total) - sigmoid(without), abs=1e-6)
            assert word.gradient == pytest.approx(value - 0.25, abs=1e-5)
        assert sum(found.scores.values()) == pytest.approx(1, abs=1e-6)

    def test_without_a_target_it_is_about_the_answer(self):
        found = explaining.explain(artifact(linear(), words()), "bad film")
        assert found.label == "down" and found.words[0].occlusion > 0.3

    def test_the_shares_add_up_to_what_the_words_change_where_nothing_is_linear(self):
        keras.utils.set_random_seed(3)
        ids = keras.Input((8,), dtype="int32")
        given_vectors = keras.layers.Embedding(6, 3, name="vectors")(ids)
        vectors = keras.layers.Concatenate()([keras.layers.Embedding(6, 4, name="embedding")(ids), given_vectors])
        maps = keras.layers.Conv1D(5, 3, padding="same", activation="tanh", name="region3")(vectors)
        model = keras.Model(ids, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling1D()(maps)))
        model.get_layer("embedding").set_weights([np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)])
        model.get_layer("vectors").set_weights([np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)])
        made = words()
        found = explaining.explain(artifact(model, made), "not good not bad film", target=1)
        logits = [
            np.asarray(model(np.array([row + [0] * 3], np.int32)))[0, 1]
            for row in (made.ids("not good not bad film"), [UNKNOWN] * 5)
        ]
        assert sum(word.gradient for word in found.words) == pytest.approx(logits[0] - logits[1], abs=0.05)
        assert abs(logits[0] - logits[1]) > 0.2

    def test_a_pair_s_share_goes_to_both_of_its_words(self):
        ids = keras.Input((8,), dtype="int32")
        known = keras.ops.cast(keras.ops.minimum(ids[:, :-1], ids[:, 1:]) > UNKNOWN, "float32")
        pairs = keras.layers.Embedding(60, 2, name="pairs")(ids[:, :-1] * 10 + ids[:, 1:])
        pairs = keras.ops.sum(pairs * keras.ops.expand_dims(known, -1), axis=1)
        alone = keras.ops.sum(keras.layers.Embedding(6, 2, name="words")(ids), axis=1)
        model = keras.Model(ids, keras.layers.Add()([pairs, alone]))
        rows = np.zeros((60, 2), np.float32)
        rows[42, 1], rows[11] = 3.0, 5.0  # "not good"; and what two unknown words would be, were they known
        single = np.stack([0 * VALUES, VALUES], 1).astype(np.float32)
        model.get_layer("pairs").set_weights([rows])
        model.get_layer("words").set_weights([single])
        found = explaining.explain(artifact(model, words()), "film not good", target="up")
        expected = [0 - 0.25, -0.5 - 0.25 + 1.5, 1.5 - 0.25 + 1.5]
        assert [word.gradient for word in found.words] == pytest.approx(expected, abs=1e-5)
        whole = sigmoid(0 - 0.5 + 1.5 + 3)
        assert found.words[1].occlusion == pytest.approx(whole - sigmoid(0 + 0.25 + 1.5), abs=1e-6)

    def test_an_empty_text_has_an_answer_and_no_words(self):
        found = explaining.explain(artifact(linear(), words()), "  ... ", target="up")
        assert found.words == () and found.probability == pytest.approx(0.5, abs=1e-6)

    def test_unknown_words_alone_have_no_influence(self):
        found = explaining.explain(artifact(linear(), words()), "quite otherwise", target="up")
        assert [(w.known, w.occlusion, w.gradient) for w in found.words] == [(False, 0.0, 0.0)] * 2
        assert found.probability == pytest.approx(sigmoid(0.5), abs=1e-6)

    def test_of_a_long_text_what_is_read_counts(self):
        found = explaining.explain(artifact(linear(), words()), "good " * 3 + "film " * 400_000, target="up")
        assert len(found.words) == 8 and found.unread == 400_003 - 8
        assert found.probability == pytest.approx(sigmoid(4.5), abs=1e-6)

    def test_a_word_of_hashed_n_grams_is_taken_out_whole(self):
        values = np.append(VALUES, np.full(7, 0.5))
        made = artifact(linear(13, values=values), words(buckets=7))
        found = explaining.explain(made, "good grand", target="up")
        good, grand = found.words
        total = 1.5 + 4 * 0.5  # <grand> has four n-grams
        assert grand.known and grand.gradient == pytest.approx(4 * (0.5 - 0.25), abs=1e-5)
        assert grand.occlusion == pytest.approx(sigmoid(total) - sigmoid(1.5 + 4 * 0.25), abs=1e-6)
        assert good.gradient == pytest.approx(1.25, abs=1e-5)

    def test_characters_are_put_together_to_words(self):
        tokenizer = characters(16)
        values = np.zeros(tokenizer.size)
        values[tokenizer.table["!"]], values[UNKNOWN] = 2.0, 0.0
        found = explaining.explain(
            artifact(linear(tokenizer.size, 16, values), tokenizer), "so good!! really", target="up"
        )
        assert [w.text for w in found.words] == ["so", "good!!", "really"]
        assert [w.gradient for w in found.words] == pytest.approx([0, 4, 0], abs=1e-5)
        assert found.words[1].occlusion == pytest.approx(sigmoid(4) - 0.5, abs=1e-6)

    def test_several_labels_are_asked_about_one_by_one(self):
        made = artifact(linear(), words(), labels=("calm", "glad"), task="multilabel")
        found = explaining.explain(made, "good", target="glad")
        assert found.words[0].occlusion == pytest.approx(sigmoid(1.5) - sigmoid(0.25), abs=1e-6)
        assert found.scores["calm"] == pytest.approx(0.5, abs=1e-6)

    def test_an_artifact_that_only_predicts_has_no_gradients(self):
        whole = artifact(linear(), words())

        class Exported:
            path, metadata, labels, input_shape = whole.path, whole.metadata, whole.labels, whole.input_shape
            run_batch = staticmethod(whole.run_batch)

        found = explaining.explain(Exported(), "good", target="up")
        assert found.words[0].gradient is None and found.words[0].occlusion > 0.2

    def test_a_label_it_does_not_have_is_refused(self):
        with pytest.raises(ConfigError, match="no label 'sideways'. It has: down, up"):
            explaining.explain(artifact(linear(), words()), "good", target="sideways")

    def test_a_model_of_images_is_refused(self):
        made = artifact(linear(), words())
        del made.metadata["text"]
        with pytest.raises(ArtifactError, match="not a model of texts"):
            explaining.explain(made, "good")

    def test_it_becomes_json(self):
        import json

        found = explaining.explain(artifact(linear(), words()), "good")
        assert json.loads(json.dumps(found.to_dict()))["words"][0]["text"] == "good"


def convolution(kernel, *, bias=0.0, padding="same", weights=((-1.0, 1.0),), length=8, size=6, activation="relu"):
    """A network whose embedding is one-hot, so that a filter's kernel says which id it wants at which place."""
    width, _, maps = kernel.shape
    ids = keras.Input((length,), dtype="int32")
    vectors = keras.layers.Embedding(size, size, name="embedding")(ids)
    x = keras.layers.Conv1D(maps, width, padding=padding, activation=activation, name=f"region{width}")(vectors)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalMaxPooling1D()(x))
    model = keras.Model(ids, keras.layers.Dense(len(weights[0]), name="logits")(x))
    model.get_layer("embedding").set_weights([np.eye(size, dtype=np.float32)])
    model.get_layer(f"region{width}").set_weights([kernel.astype(np.float32), np.full(maps, bias, np.float32)])
    model.get_layer("logits").set_weights([np.array(weights, np.float32), np.zeros(len(weights[0]), np.float32)])
    return model


def wanting(*places, size=6):
    """The kernel of filters, each a list of ids wanted one after the other."""
    kernel = np.zeros((len(places[0]), size, len(places)))
    for number, ids in enumerate(places):
        for place, wanted in enumerate(ids):
            kernel[place, wanted, number] = 1
    return kernel


class TestNgrams:
    TEXTS = ("film not good", "the Not GOOD film", "bad film", "not bad", "quite bad", "")

    def test_a_filter_s_n_grams_are_those_it_was_made_for(self):
        model = convolution(wanting((4, 2), (3, 5)), weights=((1.0, -1.0), (-0.25, 0.25)))
        found = explaining.ngrams(artifact(model, words()), Records(self.TEXTS), per_filter=3)
        first, second = found
        assert (first.layer, first.number, first.size) == ("region2", 0, 2)
        assert first.ngrams[0] == explaining.Ngram("not good", 2.0)
        assert second.ngrams[0] == explaining.Ngram("bad film", 2.0)
        assert (first.label, first.weight, second.label) == ("down", 1.0, "up")
        texts = [ngram.text.casefold() for ngram in first.ngrams]
        assert texts == ["not good", "not bad"]  # "Not GOOD" is no n-gram of its own

    def test_the_order_is_that_of_what_filters_can_change(self):
        model = convolution(wanting((4, 2), (3, 5)), weights=((0.1, -0.1), (-3.0, 3.0)))
        found = explaining.ngrams(artifact(model, words()), Records(self.TEXTS))
        assert [entry.number for entry in found] == [1, 0]
        assert len(explaining.ngrams(artifact(model, words()), Records(self.TEXTS), filters=1)) == 1
        ids = words().batch(self.TEXTS)
        pooled = keras.Model(model.input, model.layers[-2].output).predict_on_batch(ids)
        assert found[0].importance == pytest.approx(3 * np.std(pooled[:, 1]), rel=1e-5)

    @pytest.mark.parametrize("padding", ["same", "valid", "causal"])
    def test_the_words_are_found_whatever_the_padding(self, padding):
        model = convolution(wanting((4, 0, 2)), padding=padding, weights=((1.0, 0.0),))
        (found,) = explaining.ngrams(artifact(model, words()), Records(["film film not film good film"]), per_filter=1)
        assert found.ngrams == (explaining.Ngram("not film good", 2.0),)

    def test_places_behind_a_text_are_no_n_grams(self):
        model = convolution(wanting((0, 0)))  # wants padding
        (found,) = explaining.ngrams(artifact(model, words()), Records(["good", "bad film"]))
        assert [ngram.text for ngram in found.ngrams] == ["good", "film"] and found.ngrams[0].activation == 1.0

    def test_a_filter_that_never_fires_is_left_out(self):
        model = convolution(wanting((4, 2), (3, 5)), bias=-1.5, weights=((1, 0), (1, 0)))
        found = explaining.ngrams(artifact(model, words()), Records(["not good", "good"]))
        assert [entry.number for entry in found] == [0] and len(found[0].ngrams) == 1

    def test_unknown_words_are_all_the_same(self):
        model = convolution(wanting((UNKNOWN, 2)), weights=((1.0, 0.0),))
        (found,) = explaining.ngrams(artifact(model, words()), Records(["quite good", "rather good", "bad"]))
        assert [ngram.text for ngram in found.ngrams if ngram.activation == 2] == ["(unknown) good"]

    def test_hashed_n_grams_are_shown_as_the_words_they_are_of(self):
        made = words(buckets=7)
        kernel = wanting((made.ids("grand")[3], 5), size=13)  # the end of the word, and "film"
        found = explaining.ngrams(artifact(convolution(kernel, size=13), made), Records(["good grand film"]))
        assert found[0].ngrams[0] == explaining.Ngram("grand film", 2.0)

    def test_characters_are_shown_with_their_spaces(self):
        made = characters(12)
        kernel = wanting((made.table["o"], 0, made.table["g"]), size=made.size)
        found = explaining.ngrams(artifact(convolution(kernel, size=made.size, length=12), made), Records(["so good"]))
        assert found[0].ngrams[0] == explaining.Ngram("o\u2423g", 3.0)

    def test_more_than_pooling_before_the_last_layer_leaves_the_spread(self):
        ids = keras.Input((8,), dtype="int32")
        x = keras.layers.Conv1D(3, 2, padding="same", name="region")(keras.layers.Embedding(6, 4)(ids))
        x = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(3, 3, padding="same")(x))
        found = explaining.ngrams(artifact(keras.Model(ids, keras.layers.Dense(2)(x)), words()), Records(self.TEXTS))
        assert found and all(entry.label is None and entry.layer == "region" for entry in found)
        assert [entry.importance for entry in found] == sorted((e.importance for e in found), reverse=True)

    def test_every_network_that_ships_is_read(self):
        from cnnkit.models import text

        shipped = {
            "kim": text.kim((16,), 2, size=6, width=4, maps=3),
            "wide": text.wide_cnn((16,), 2, size=6, width=4, maps=3, pair_buckets=32),
            "dpcnn": text.dpcnn((16,), 2, size=6, width=4, maps=3),
        }
        for name, model in shipped.items():
            made = artifact(model, words(16))
            found = explaining.ngrams(made, Records(self.TEXTS), per_filter=2)
            assert found and all(1 <= len(entry.ngrams) <= 2 for entry in found), name
            assert (found[0].label is not None) == (name != "dpcnn")
            assert all(np.isfinite(w.gradient) for w in explaining.explain(made, "not good").words)
        letters = characters(123)
        made = artifact(text.char_cnn((123,), 2, size=letters.size, maps=3, units=4), letters)
        assert explaining.ngrams(made, Records(self.TEXTS))[0].size == 7
        assert len(explaining.explain(made, "not good!").words) == 2

    def test_without_texts_there_is_nothing(self):
        assert explaining.ngrams(artifact(convolution(wanting((4, 2))), words()), Records([])) == []


class TestLayers:
    def test_a_network_of_any_length_is_worked_out_for_one(self):
        from cnnkit.explain import layer_table
        from cnnkit.models.text import kim

        model = kim((16,), 2, size=6, width=4, maps=3, regions=(2, 3))
        rows = {row["name"]: row for row in layer_table(model, (16,))}
        assert rows["region3"]["output_size"] == [16, 3] and rows["region3"]["receptive_field"] == [3]
        assert rows["region3"]["multiply_adds"] == 16 * 3 * 4 * 3 and rows["logits"]["receptive_field"] == [16]
        open_rows = {row["name"]: row for row in layer_table(model)}
        assert open_rows["region3"]["multiply_adds"] is None and open_rows["logits"]["receptive_field"] == [None]


class TestConsole:
    def test_without_colour_the_strongest_words_have_points(self, capsys):
        console.coloured("good, bad film", [(0, 4, 0.31), (6, 9, -0.042), (10, 14, 0.0)])
        assert capsys.readouterr().out == "good, bad film\n  points for: good +31.0; against: bad -4.2\n"

    def test_where_no_word_matters_it_is_said(self, capsys):
        console.coloured("so so", [(0, 2, 0.0), (3, 5, 0.0)])
        console.coloured("", [])
        out = capsys.readouterr().out
        assert out.count("no word alone changes the answer") == 2 and "(an empty text)" in out

    def test_on_a_terminal_words_are_coloured(self, monkeypatch):
        class Terminal(io.StringIO):
            encoding = "utf-8"

            def isatty(self):
                return True

        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLORTERM", "truecolor")
        console.coloured("good evil film \x1b[2J", [(0, 4, 0.31), (5, 9, -0.2), (10, 14, 0.0001)])
        out = terminal.getvalue()
        assert "48;2;87;190;112mgood\x1b[0m" in out  # the strongest: full green
        assert "\x1b[4;" in out and "evil\x1b[0m film" in out  # underlined; a weak word is plain
        assert "\x1b[2J" not in out

    def test_no_colour_is_respected(self, monkeypatch, capsys):
        monkeypatch.setenv("NO_COLOR", "1")
        console.coloured("good", [(0, 4, 0.31)])
        assert capsys.readouterr().out == "good\n  points for: good +31.0\n"

    def test_with_json_nothing_is_on_standard_output(self, capsys):
        console.use_json(True)
        try:
            console.coloured("good", [(0, 4, 0.31)])
        finally:
            console.use_json(False)
        captured = capsys.readouterr()
        assert captured.out == "" and "good +31.0" in captured.err

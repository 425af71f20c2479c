# ruff: noqa: RUF001 - other alphabets are meant
"""What `predict` reads and says of texts: files with a slip, tables, unknown words, several labels, none."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit import opening
from cnnkit.device.several import confidence, given
from cnnkit.device.text import learn
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.text import predict
from cnnkit.inputs.text.named import check, every
from cnnkit_text.cli import main
from tests.tasks.classification.test_texts import Counting

WORDS = ["goal match team", "soup bread", "drum choir"]
LABELS = ("sport", "food", "music")


class Model(Counting):
    """A label's logit is how many of its words are in a text."""

    def __init__(self, sigmoid=False, **metadata):
        made = learn(WORDS, max_length=8).tokenizer
        self.labels, self.path, self.factor, self.sigmoid = LABELS, "model", 3.0, sigmoid
        self.metadata = {"text": made.to_dict(), **metadata}
        self.made = made

    def run_batch(self, ids):
        ids = np.asarray(ids)
        own = [[self.made.table[word] for word in line.split()] for line in WORDS]
        counts = np.stack([np.isin(ids, keys).sum(1) for keys in own], 1).astype(float)
        if self.sigmoid:
            return {"scores": (1 / (1 + np.exp(4 - 8 * np.minimum(counts, 1)))).astype(np.float32)}
        powers = np.exp(3 * counts)
        return {"scores": (powers / powers.sum(1, keepdims=True)).astype(np.float32)}


def answers(given_texts, model=None, **options):
    made = predict._Answers(model or Model(sure=0.0), 1, options.pop("sure", None), **options)
    return [row for part in made.blocks(iter(given_texts)) for row in made.rows(*part)]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Run `predict` with a model in memory; return (exit code, output)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "open_model", lambda *_: Model(sure=0.5))
    monkeypatch.setattr(opening, "split", lambda app, inputs, tell: (tmp_path / "none.tflite", tuple(inputs)))

    def run(*words):
        result = CliRunner().invoke(main, ["predict", *map(str, words)])
        return result.exit_code, result.output

    return run


@pytest.mark.parametrize(
    "text", ["", "   ", "👍👍", "مرحبا بالعالم", "你好世界", "khdcuc4wcc5jlcnw", "goal " + "xyzzy " * 6]
)
@pytest.mark.parametrize("sure", [None, 0.0])
def test_a_text_without_known_words_is_never_sure(text, sure):
    (row,) = answers([text], sure=sure)
    assert not row["sure"] and not row["known"] and "hardly a word is known" in predict._told(row)
    made = predict._Answers(Model(sure=0.0), 1, sure)
    (part,) = made.blocks(iter([text]))
    assert next(made.lines(*part)).split("\t")[2] == "not sure"


def test_a_text_with_known_words_is_as_sure_as_before():
    rows = answers(["goal by the team", "soup"], Model(sure=0.9))
    assert [row["sure"] for row in rows] == [True, True] and all(row["known"] for row in rows)
    assert not answers(["goal"], Model(sure=0.99))[0]["sure"]


class TestSeveral:
    model = staticmethod(lambda **more: Model(True, task="multilabel", thresholds=[0.5] * 3, sure=0.9, **more))

    def test_none_is_an_answer_and_may_be_sure(self):
        model = self.model()
        model.made.table["the"] = model.made.size - 1
        rows = answers(["team soup", "goal"], model)
        assert [[entry["label"] for entry in row["top"]] for row in rows] == [["sport", "food"], ["sport"]]
        made = predict._Answers(model, 1, None)
        scores = np.array([[0.01, 0.02, 0.01], [0.45, 0.02, 0.01]], np.float32)
        none, near = made.rows(["a", "b"], scores, np.array([True, True]))
        assert none["label"] is None and none["sure"] and predict._told(none) == "none of the labels"
        assert near["label"] is None and not near["sure"]
        assert list(made.lines(["a"], scores[:1], np.array([True]))) == ["none\t\tsure\ta"]

    def test_a_text_without_known_words_has_none_and_is_not_sure(self):
        model = self.model()
        model.metadata["thresholds"] = [0.01] * 3  # which any text reaches
        none, known = answers(["xyzzy", "goal"], model)
        assert none["label"] is None and not none["sure"] and not none["known"] and len(known["top"]) == 3
        assert predict._told(none) == "not sure, hardly a word is known: none of the labels"

    def test_an_answer_near_a_threshold_or_with_a_rare_label_is_not_sure(self):
        low = np.array([[0.08, 0.09, 0.1]], np.float32)
        model = self.model()
        model.metadata["thresholds"] = [0.07] * 3
        (row,) = predict._Answers(model, 1, None).rows(["ok"], low, np.array([True]))
        assert len(row["top"]) == 3 and not row["sure"]
        rare = self.model(rare={"food": 2})
        rows = answers(["team", "soup"], rare)
        assert [row["sure"] for row in rows] == [True, False]

    def test_thresholds_can_be_asked_for(self):
        scores, known = np.array([[0.5, 0.7, 0.2]], np.float32), np.array([True])

        def labels(*asked):
            (row,) = predict._Answers(self.model(), 1, None, thresholds=asked).rows(["a"], scores, known)
            return {entry["label"] for entry in row["top"]}

        assert labels() == {"sport", "food"} and labels("sport=0.6") == {"food"}
        assert labels("0") == set(LABELS) and labels("0.9", "music=0.1") == {"music"}
        for wrong, message in (("art=0.5", "no label 'art'"), ("sport=2", "from 0 to 1"), ("sport", "LABEL=NUMBER")):
            with pytest.raises(ConfigError, match=message):
                labels(wrong)
        with pytest.raises(ConfigError, match="for models of several labels"):
            predict._Answers(Model(), 1, None, thresholds=["0.5"])

    def test_confidence_by_hand(self):
        scores = np.array([[0.5, 0.9], [0.1, 0.8]])
        assert given(scores, [0.5, 0.95]).tolist() == [[True, False], [False, False]]
        odds = (0.95 / 0.05) / (0.8 / 0.2)
        assert confidence(scores, [0.5, 0.95]).tolist() == pytest.approx([0.5, odds / (1 + odds)])
        assert confidence(scores, [0.5, 0.95], rare=[0])[0] == 0


class TestInputs:
    @pytest.mark.parametrize(
        "text",
        [
            "soup and bread",
            "and/or",
            "either/or that",
            "24/7",
            "soup.",
            "e.g.",
            "see http://a.example/x.html",
            "a.b",
            "v1.2",
        ]
        + ["please send me report.csv", "-1", "", "soup " * 3000, "~", "km/h"],
    )
    def test_a_text_is_no_path(self, text, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        if text != "~":
            check(text)

    @pytest.mark.parametrize(
        "entry",
        [
            "reveiws.csv",
            "messages/june.txt",
            "data/lines",
            "my revews.csv",
            "model.tflit.tflite",
            "a.xlsx",
            "DATA.JSONL",
        ],
    )
    def test_a_file_that_is_not_there_is_no_text(self, entry, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "data").mkdir()
        for name in ("reviews.csv", "my reviews.csv"):
            (tmp_path / name).write_text("x")
        with pytest.raises(DataError, match=f"There is no file {entry}") as error:
            check(entry)
        if "re" in entry:
            assert "reviews.csv meant?" in str(error.value)

    def test_a_folder_is_no_text(self, tmp_path, monkeypatch):
        with pytest.raises(DataError, match="is a folder"):
            check(f"{tmp_path}")

    def test_of_a_table_the_column_of_texts_is_read(self, asked, tmp_path):
        body = 'id,text,label\n1,"goal, team",sport\n2,"soup\nbread",food\n3,,food\nid,text,label\n4,drum,music\n'
        (tmp_path / "a.csv").write_text(body)
        code, output = asked("a.csv")
        assert code == 0 and "Text is the column 'text' (by its name)" in output
        found = json.loads(re.sub(r"^[^{]*", "", asked("a.csv", "--json")[1]))["predictions"]
        assert [row["input"] for row in found] == ["goal, team", "soup\nbread", "", "drum"]
        assert [row["label"] for row in found] == ["sport", "food", found[2]["label"], "music"] and not found[2]["sure"]
        assert "'label' (as told)" in asked("a.csv", "--text", "label")[1]
        assert "no column 'x'" in asked("a.csv", "--text", "x")[1]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.csv", "text\ngoal\nsoup\n"),
            ("a.csv", "goal\nsoup\n"),
            ("a.tsv", "nr\treview\n1\tgoal\n2\tsoup\n"),
            ("a.jsonl", '{"text": "goal", "n": 1}\n{"text": "soup"}\n'),
            ("a.json", '[{"text": "goal"}, {"text": "soup"}]'),
            ("a.csv", "sep=;\rid;text\r1;goal\r2;soup\r"),
            ("a.csv", '\ufeff"text","stars"\n"goal","5"\n"soup","1"\n'),
            ("a.txt", "goal\nsoup\n"),
        ],
    )
    def test_tables_of_any_form_give_their_texts(self, asked, tmp_path, name, content):
        (tmp_path / name).write_bytes(content.encode())
        assert list(every([str(tmp_path / name)])) == ["goal", "soup"]

    def test_what_holds_no_texts_is_one_line(self, asked, tmp_path):
        (tmp_path / "a.csv").write_bytes("text,label\nschön,a\n".encode("latin-1"))
        (tmp_path / "b.txt").write_bytes(b"%PDF-1.4 ")
        assert "a.csv, line 2 is not UTF-8" in asked("a.csv")[1]
        assert "is a PDF" in asked("b.txt")[1]
        (tmp_path / "messages").mkdir()
        assert "messages is a folder" in asked("messages")[1]

    def test_files_in_another_encoding_are_read_where_it_is_named(self, asked, tmp_path):
        for name, content in (("a.txt", "привет goal\nsoup\n"), ("a.csv", "text,n\nпривет goal,1\nsoup,2\n")):
            (tmp_path / name).write_bytes(content.encode("cp1251"))
            assert "is not UTF-8" in asked(name)[1]
            assert list(every([name], None, "cp1251")) == ["привет goal", "soup"]
            code, output = asked(name, "--encoding", "cp1251")
            assert code == 0, output

"""The report of a network of texts: real scores of made-up answers, on a page that stays well-formed and escaped."""

import json
from typing import ClassVar

import numpy as np
import pytest

from cnnkit.inputs.text import report as texts
from cnnkit.inputs.text.explain import Explanation, Filter, Ngram, Word
from cnnkit.inputs.text.texts import Texts
from cnnkit.registry import TASKS, TRAINING
from cnnkit.report import figures, page
from cnnkit.score import headline
from cnnkit.tasks.classification.scoring import against
from cnnkit.tasks.classification.texts import TextClassification, TextTagging
from cnnkit.tasks.multilabel.report import thresholds
from tests.test_report import EVIL, Page

TEXTS = ("a good film", "not a bad film", "so good", "quite bad", EVIL, "")


class Records:
    def __init__(self, written):
        self._texts = list(written)

    def shown(self, indices):
        return [{"text": self._texts[int(index)]} for index in indices]

    def name(self, index):
        return f"reviews.tsv, line {index + 1}"


def explained(text, label="negative", values=(0.4, -0.2)):
    """An explanation with influences for the first words."""
    places, start = [], 0
    for word, value in zip(text.split(), values):
        start = text.index(word, start)
        places.append(Word(word, start, start + len(word), True, value, value))
        start += len(word)
    return Explanation(text, label, 0.9, tuple(places), 0, {label: 0.9})


FILTERS = [
    Filter("region3", 17, 3, 0.9, "positive", 1.2, (Ngram("a good film", 3.21), Ngram(EVIL, 2.5))),
    Filter("region4", 2, 4, 0.5, "positive", -0.7, (Ngram("not (unknown) at all", 1.25),)),
]


def single(labels=("negative", "positive"), count=120, wrong=9, lost=14):
    """Scores of one label a text, with a baseline, and the worst errors."""
    rng = np.random.default_rng(0)
    targets = np.arange(count) % len(labels)
    answers = targets.copy()
    answers[:wrong] = (answers[:wrong] + 1) % len(labels)
    outputs = np.full((count, len(labels)), 0.1 / (len(labels) - 1))
    outputs[np.arange(count), answers] = 0.9
    outputs += rng.uniform(0, 0.01, outputs.shape)
    task, found = TextClassification(), {"scores": (outputs / outputs.sum(1, keepdims=True)).astype(np.float32)}
    written = [TEXTS[n % len(TEXTS)] for n in range(count)]
    scores = task.score(found, targets, labels, {"sure": 0.5, "task": task.name})
    right = np.ones(count, bool)
    right[-lost:] = False
    share = float(right.mean())
    scores["baseline"] = {
        "name": "TF-IDF of words and pairs, logistic regression",
        "accuracy": share,
        "accuracy_interval": [share - 0.05, share + 0.05],
        "macro_f1": share,
        "against": against(answers == targets, right),
    }
    return json.loads(json.dumps(scores)), task.top_losses(found, targets, Records(written), labels)


def several(labels=("joy", "anger", "fear"), count=90):
    """Scores of several labels a text, with a baseline, and the worst errors."""
    rng = np.random.default_rng(0)
    targets = (rng.random((count, len(labels))) < 0.4).astype(np.float32)
    outputs = np.clip(targets * 0.6 + rng.uniform(0, 0.4, targets.shape), 0, 1).astype(np.float32)
    outputs[:3] = 1 - outputs[:3]
    task = TextTagging()
    scores = task.score({"scores": outputs}, targets, labels, {"thresholds": [0.5, 0.42, 0.61][: len(labels)]})
    scores["baseline"] = {"name": "TF-IDF", "micro_f1": 0.7, "micro_f1_interval": [0.66, 0.75], "macro_f1": 0.69}
    written = [TEXTS[n % len(TEXTS)] for n in range(count)]
    return json.loads(json.dumps(scores)), task.top_losses({"scores": outputs}, targets, Records(written), labels)


def rendered(labels, scores, made, **parts):
    run = {
        "app": "text",
        "data": {"title": "Reviews", "labels": list(labels), "shape": [56], "sizes": {"test": scores["count"]}},
        "model": {"name": "kim", "parameters": 1234},
        "scores": {"test": scores},
    }
    task = TASKS.half("multilabel" if "thresholds" in scores else "classification", TRAINING, "a run")
    own, record = [*task.sections(scores, labels), *made], Texts.record
    return page.render(run=run, made=own, record=record, silent=task.silent(labels, record, {}), **parts)


class TestPage:
    LABELS: ClassVar = ("negative", "positive")

    @pytest.fixture(scope="class")
    def one_label(self):
        scores, worst = single(self.LABELS)
        explanations = [explained("a good film"), explained("another text", "positive")]
        made = texts.sections(scores, worst, explanations, FILTERS)
        history = [{"epoch": n, "loss": 1 / n, "val_loss": 1 / n} for n in (1, 2)]
        gate = {
            "tolerance": 0.3,
            "records": 120,
            "reference": {"score": 0.93},
            "artifacts": {"int8": {"bytes": 99, "score": 0.93, "difference": 0.0, "worst_class": "positive"}},
        }
        gate["artifacts"]["int8"] |= {"worst_class_difference": 0.0, "passed": True}
        layer = {"name": "region3", "kind": "Conv1D", "kernel": [3], "stride": [1], "padding": "same"}
        layer |= {
            "output_size": [None, 100],
            "formula": "n",
            "receptive_field": [3],
            "parameters": 9,
            "multiply_adds": None,
        }
        return rendered(self.LABELS, scores, made, history=history, gate=gate, layers=[layer])

    def test_it_is_well_formed_and_has_every_section(self, one_label):
        names = [attributes["id"] for tag, attributes in Page(one_label).tags if tag == "section"]
        own = ["beside-the-baseline", "worst-errors", "words-that-decide"]
        own += ["what-the-filters-read"]
        before = ["training", "what-counts-as-sure", "confusions", "classes", "calibration"]
        assert names == [*before, *own, "export-gate", "layers", "model-card"]

    def test_it_speaks_of_texts_and_not_of_images(self, one_label):
        words = Page(one_label).words
        assert "image" not in words and " px" not in words and "augmented" not in words
        assert "56 ids of a text" in words and "a text of none of them gets one all the same" in words
        assert "120 held-out texts" in words and "how much of the text" in words

    def test_texts_labels_and_n_grams_are_escaped(self):
        labels = (EVIL, "positive")
        scores, worst = single(labels, wrong=6)
        assert EVIL in [entry["text"] for entry in worst]
        explanations = [explained(EVIL, EVIL), explained(f"{EVIL} {EVIL}", EVIL)]
        text = rendered(labels, scores, texts.sections(scores, worst, explanations, FILTERS))
        read = Page(text)
        assert not [tag for tag, attributes in read.tags if tag == "script" or "onerror" in attributes]
        assert read.words.count("alert(1)") > 3

    def test_words_are_coloured_with_their_points(self, one_label):
        marks = [attributes for tag, attributes in Page(one_label).tags if tag == "mark"]
        assert [(mark["class"], mark["style"], mark["title"]) for mark in marks[:2]] == [
            ("for", "--share:1.000", "+40.00 points"),
            ("against", "--share:0.500", "\u221220.00 points"),
        ]

    def test_several_labels_have_thresholds_and_no_confusions(self):
        labels = ("joy", "anger", "fear")
        scores, worst = several(labels)
        made = texts.sections(scores, worst, [explained("a good film", "joy")])
        text = rendered(labels, scores, made)
        read = Page(text)
        names = [attributes["id"] for tag, attributes in read.tags if tag == "section"]
        assert names == ["classes", "thresholds", "calibration", "beside-the-baseline", "worst-errors", "model-card"]
        assert "Micro F1" in read.words and "All labels right" in read.words and "0.610" in read.words
        assert "any number of its 3 labels" in read.words and "Compared text by text" not in read.words

    def test_labels_have_curves_the_weakest_first_and_rare_ones_say_so(self):
        scores, _ = several()
        scores["rare"] = {"fear": 2}
        scores["per_class"]["anger"]["f1"] = 0.1
        section = thresholds(scores)
        table, charts = section.blocks
        assert charts.charts[0].title.startswith("anger") and len(charts.charts) == 3
        assert any(str(row[0]) == "fear, too rare to say" for row in table.rows) and "1 of the labels" in section.text
        assert "<svg" in charts.charts[0].svg and "the dot is where its threshold stands" in section.text

    def test_what_no_file_can_hold_is_replaced(self, tmp_path):
        scores, worst = single()
        worst[0]["text"] = "half \ud83d a pair, \x00 and \x1b[2J"
        run = {"scores": {"test": scores}, "data": {"labels": ["negative", "positive"], "shape": [56]}}
        page.write(tmp_path / "report.html", run=run, made=texts.sections(scores, worst))
        written = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "half \ufffd a pair" in written and "\x00" not in written and "\x1b" not in written

    def test_a_megabyte_stays_off_the_page(self):
        scores, worst = single()
        worst[0]["text"] = "word " * 200_000
        worst[1]["text"] = "x" * 1_000_000
        assert len(rendered(["a", "b"], scores, texts.sections(scores, worst))) < 100_000

    def test_the_same_scores_give_the_same_bytes(self):
        def made():
            scores, worst = single()
            return rendered(
                ("negative", "positive"), scores, texts.sections(scores, worst, [explained("so good")], FILTERS)
            )

        assert made() == made()

    def test_the_summary_trusts_the_paired_comparison_more_than_intervals(self):
        scores, _ = single(wrong=5, lost=20)
        low = scores["accuracy_interval"][0]
        scores["baseline"]["accuracy_interval"][1] = low + 0.01  # the intervals overlap
        assert scores["baseline"]["against"]["p"] < 0.05
        assert "may be chance" not in page._summary(scores, headline(scores), "text")
        scores["baseline"]["against"]["p"] = 0.4
        assert "Compared text by text, the difference may be chance." in page._summary(scores, headline(scores), "text")


def test_a_validation_that_falls_far_behind_stays_on_its_chart():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    figures._scale(ax, "val_accuracy", 0.54, 0.99, 0.7)
    assert ax.get_ylim()[0] < 0.7


class TestSections:
    def test_the_comparison_counts_what_one_alone_had_right(self):
        scores, _ = single(count=120, wrong=9, lost=14)
        (section,) = filter(None, texts.sections(scores))
        table, facts = section.blocks
        assert table.columns[1:] == ["Accuracy", "Macro F1"] and table.rows[2][1] == "+4.17"
        assert facts.pairs["Only the network right"] == "14" and facts.pairs["Only the baseline right"] == "9"
        assert facts.pairs["Both right, or both wrong"] == "97"

    @pytest.mark.parametrize(
        "won, lost, p, said",
        [
            (80, 55, 0.038, "about 4 times in 100; so it is hardly chance that the network does better."),
            (2, 40, 1e-9, "less than once in 1,000 times; so it is hardly chance that the baseline does better."),
            (9, 5, 0.42, "about 4 times in 10; so these texts do not tell which of the two is better."),
            (7, 7, 1.0, "Each had 7 texts right that the other had wrong: these texts do not tell"),
            (0, 0, 1.0, "Both answer every text alike."),
            (1, 0, 1.0, "The network alone had 1 text right, the baseline alone 0."),
        ],
    )
    def test_p_is_said_in_words(self, won, lost, p, said):
        assert said in texts.verdict(won, lost, p)

    def test_errors_say_what_they_are_coloured_for(self):
        entry = {"text": "a good film", "true": "joy", "predicted": "not joy", "confidence": 0.97}
        section = texts.errors([entry], [explained("a good film", "fear"), explained("a good film", "joy")])
        (passage,) = section.blocks[0].passages
        assert passage.title == "joy missed" and passage.note.endswith("coloured: what speaks for joy")
        assert [(piece.text, piece.share) for piece in passage.pieces] == [
            ("a", 1.0),
            (" ", 0.0),
            ("good", -0.5),
            (" film", 0.0),
        ]

    def test_weak_words_have_no_colour(self):
        pieces = texts.coloured("good film", [(0, 4, 0.3), (5, 9, 0.02)])
        assert [(piece.text, round(piece.share, 3)) for piece in pieces] == [("good", 1.0), (" ", 0.0), ("film", 0.0)]
        assert (
            texts.coloured("good", [(0, 4, -0.00012)])[0].note == "\u22120.01 points"
        )  # the surest answers hardly move
        assert all(piece.share == 0 for piece in texts.coloured("good film", [(0, 4, 1e-7), (5, 9, 0.0)]))
        assert texts.coloured("")[0].text == "(an empty text)"

    def test_filters_say_what_they_speak_for(self):
        table = texts.filters(FILTERS).blocks[0]
        assert table.columns == ["filter", "reads", "speaks for", "fires on"]
        assert table.rows[0][:3] == ["region3 17", "3", "positive"] and table.rows[1][2] == "not positive"
        assert table.rows[1][3].text == "not (unknown) at all (1.25)"
        without = [Filter("region", 0, 3, 0.1, None, None, (Ngram("so good", 1.0),))]
        assert texts.filters(without).blocks[0].columns == ["filter", "reads", "fires on"]

    def test_without_data_there_is_no_section(self):
        assert not any(texts.sections({"accuracy": 0.9, "accuracy_interval": [0.8, 0.95]}))

"""The tasks of texts: what validation decides, scores worked out by hand, the linear model beside them."""

from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from cnnkit.errors import ConfigError, DataError
from cnnkit.evaluation.calibration import best_temperature, raw_odds, sigmoid, softmax
from cnnkit.tasks.classification import texts as evaluation
from cnnkit.tasks.classification.scoring import against
from cnnkit.tasks.classification.tagging import LEAST_ANSWERED, SURE, sure_from
from cnnkit.tasks.classification.texts import TextClassification, TextTagging, linear
from cnnkit.tasks.classification.thresholds import best_threshold, choose, curve
from tests import toy_texts

ONE, SEVERAL = TextClassification(), TextTagging()


def f1(predicted, truth):
    hit = (predicted & truth).sum()
    return 2 * hit / max(predicted.sum() + truth.sum(), 1)


class Counting:
    """An artifact without a network: a label's logit is how many of its telling words are in the text, times a factor."""

    def __init__(self, records, factor=3.0, sigmoid=False, **metadata):
        self.path, self.labels, self.input_shape = Path("model.keras"), records.label_names, records.input_shape
        task = "multilabel" if records.multi_label else "classification"
        self.metadata = {"task": task, "text": records.tokenizer.to_dict(), **metadata}
        self.sigmoid = sigmoid
        self.table = np.zeros((records.tokenizer.size, len(self.labels)))
        for code, name in enumerate(self.labels):
            for word in toy_texts.TELLING[name]:
                if word in records.tokenizer.table:
                    self.table[records.tokenizer.table[word], code] = factor

    def run_batch(self, ids):
        logits = self.table[ids].sum(1) / self.metadata.get("temperature", 1.0)
        scores = 1 / (1 + np.exp(1.5 - logits)) if self.sigmoid else softmax(logits)
        return {"scores": scores.astype(np.float32)}


def mislabelled(records, share=0.2):
    """The records, a share of them with the label that follows their own."""
    labels = records.labels.astype(int)
    wrong = np.random.default_rng(0).random(len(labels)) < share
    codes = np.where(wrong, (labels + 1) % len(records.label_names), labels)
    found = [(records.label_names[code], text) for code, text in zip(codes, records.every_text())]
    return toy_texts.records(found, records.tokenizer)


# what validation decides ----------------------------------------------------------------------------------------------


def test_sure_is_the_confidence_from_which_19_of_20_are_right():
    confidences = np.linspace(0.99, 0.8, 20)
    right = np.arange(20) < 18
    assert sure_from(confidences, right) == confidences[17], "18 of 18, but 18 of 19 are fewer than 95 %"
    assert sure_from(confidences, np.arange(20) < 19) == 0, "19 of 20 are enough"
    assert sure_from(confidences, np.arange(20) != 0) == 0, "an error among the surest counts once"
    assert sure_from(confidences, np.zeros(20, bool)) == confidences[9], "half of the texts get an answer"
    assert sure_from(np.array([0.7]), np.array([False])) == 0


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=2, max_size=60))
def test_sure_answers_are_right_in_19_of_20_unless_that_leaves_less_than_half(pairs):
    confidences, right = np.array([k / 30 for k, _ in pairs]), np.array([r for _, r in pairs])
    half = max(1, round(LEAST_ANSWERED * len(pairs)))
    answered = confidences >= sure_from(confidences, right)
    assert answered.sum() >= half
    if right[answered].mean() < SURE:
        fewer = confidences > confidences[answered].min()
        assert fewer.sum() < half
    for other in confidences:
        more = confidences >= other
        assert more.sum() <= answered.sum() or right[more].mean() < SURE


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40))
def test_no_threshold_has_a_better_f1(pairs):
    scores = np.array([k / 12 for k, _ in pairs], np.float32)
    truth = np.array([t for _, t in pairs])
    found = best_threshold(scores, truth.astype(np.float32))
    if not truth.any():
        assert found == 0.5
        return
    assert 0 <= found <= 1
    best = max(f1(scores >= other, truth) for other in scores)
    assert f1(scores >= found, truth) == pytest.approx(best)


def test_a_threshold_is_halfway_between_scores():
    assert best_threshold(np.array([0.9, 0.7, 0.2, 0.1]), np.array([1, 1, 0, 0])) == pytest.approx(0.45)
    assert best_threshold(np.array([0.9, 0.7]), np.array([1, 1])) == pytest.approx(0.35)


def drawn(seed, due, count=400, sharp=1.5):
    """Probabilities of labels that `due` of `count` texts have, as a network has them: rare ones lower."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((count, len(due)), np.float32)
    for k, n in enumerate(due):
        truth[rng.permutation(count)[:n], k] = 1
    base = np.log(np.array(due) / (count - np.array(due)))
    logits = base + sharp * rng.normal(size=truth.shape) + 4 * truth
    return (1 / (1 + np.exp(-logits))).astype(np.float32), truth


def test_what_a_rare_label_is_given_is_mostly_right_or_it_is_called_rare():
    """800 texts: of 80 for validation one or two have the label; what its threshold gives, the other texts tell."""
    hit, said, given_before, rare = 0, 0, 0, 0
    for seed in range(30):
        scores, truth = drawn(seed, (300, 160, 80, 8), 800)
        found = choose(scores[:80], truth[:80])
        rare += 3 in found.rare
        assert 3 in found.rare or truth[:80, 3].sum() >= 5
        predicted = scores[80:, 3] >= found.values[3]
        hit, said = hit + (predicted & (truth[80:, 3] > 0)).sum(), said + predicted.sum()
        given_before += (scores[80:, 3] >= best_threshold(scores[:80, 3], truth[:80, 3])).sum()
    assert rare == 30 and hit / max(1, said) >= 0.5
    assert given_before > 3 * said, "the threshold of the best F1 alone gives it to many"


def test_a_threshold_of_many_texts_is_that_of_the_best_f1_and_of_few_is_drawn_towards_the_common_one():
    scores, truth = drawn(3, (2000, 400), 5000)
    found = choose(scores, truth)
    own = [best_threshold(s, t) for s, t in zip(scores.T, truth.T)]
    assert found.values == pytest.approx(own, abs=0.02) and not found.rare and not found.unreached
    scores, truth = drawn(4, (2000, 12), 5000, sharp=0.3)
    common, own = best_threshold(scores.ravel(), truth.ravel()), best_threshold(scores[:, 1], truth[:, 1])
    assert own < choose(scores, truth).values[1] < common


def test_a_precision_that_is_asked_for_is_had_on_validation_texts_or_said_to_be_out_of_reach():
    scores, truth = drawn(5, (200, 100, 40))
    found = choose(scores, truth, least=0.9)
    for k in range(3):
        predicted = scores[:, k] >= found.values[k]
        assert k in found.unreached or truth[predicted, k].mean() >= 0.9
    truth[:, 2] = np.random.default_rng(0).permutation(truth[:, 2])
    found = choose(scores, truth, least=0.9)
    assert 2 in found.unreached and not truth[scores[:, 2] >= found.values[2], 2].sum() > 5


def test_labels_that_a_text_was_not_asked_for_decide_nothing():
    scores, truth = drawn(6, (100, 30))
    more, unasked = np.vstack([scores, scores[:50]]), np.vstack([truth, np.full((50, 2), -1, np.float32)])
    assert choose(more, unasked).values == choose(scores, truth).values
    assert curve(more[:, 1], unasked[:, 1]) == curve(scores[:, 1], truth[:, 1])


def test_a_curve_by_hand():
    found = curve(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 1, 0, 1]))
    assert found == {"recall": [0.3333, 0.6667, 1.0], "precision": [1.0, 0.6667, 0.75]}
    assert curve(np.array([0.9]), np.array([0])) == {"recall": [], "precision": []}


def test_answers_of_several_labels_are_sure_where_each_is_surely_given_or_left_out():
    records = toy_texts.records(toy_texts.tagged(200, 4))
    decided = SEVERAL.calibrate(Counting(records), records)
    scores = SEVERAL.outputs(Counting(records), records)[0]
    found = SEVERAL.score(scores, records.targets(np.arange(200)), records.label_names, decided)
    assert found["sure"]["answered"] >= 0.5 and found["sure"]["accuracy"] >= found["exact"]
    assert set(found["curves"]) == set(records.label_names) and decided["rare"] == {}


def test_texts_without_known_words_are_scored_as_predict_answers_them():
    data = toy_texts.records(toy_texts.tagged(20, 4))
    strange = toy_texts.records([(("food",), "xyzzy plugh"), (("music", "sport"), "qwerty")], data.tokenizer)
    scores = SEVERAL.outputs(Counting(strange, sigmoid=True), strange)[0]["scores"]
    assert not scores.any() and SEVERAL.outputs(Counting(data, sigmoid=True), data)[0]["scores"].all(0).any()


def test_an_answer_with_a_label_too_rare_to_say_is_never_sure():
    records = toy_texts.records(toy_texts.tagged(40, 4))
    targets = records.targets(np.arange(40))
    few = np.flatnonzero(targets[:, 0] == 0)
    few = records.take(np.sort(np.concatenate([few, np.flatnonzero(targets[:, 0])[:2]])))
    decided = SEVERAL.calibrate(Counting(few), few)
    label = few.label_names[0]
    assert decided["rare"] == {label: 2}
    assert f"Too rare to say how often they are right: {label} (2);" in SEVERAL.cautions(decided)[0]
    scores, targets = SEVERAL.outputs(Counting(few), few)
    given = scores["scores"][:, 0] >= decided["thresholds"][0]
    alone = SEVERAL.score({"scores": scores["scores"][given]}, targets[given], few.label_names, decided)
    assert given.any() and alone["sure"]["answered"] == 0


def test_settling_finds_the_temperature_once_and_again():
    records = mislabelled(toy_texts.records(toy_texts.rows(300)))
    artifact = Counting(records, factor=10.0)
    decided = ONE.calibrate(artifact, records)
    targets = records.targets(np.arange(300))
    logits = artifact.table[records.read(np.arange(300))[0]].sum(1)
    assert decided["temperature"] == pytest.approx(best_temperature(logits, targets), rel=0.01)
    assert decided["temperature"] > 4, "eight of ten right, and ten apart"
    before = ONE.score(*_found(ONE, artifact, records), artifact.metadata)
    artifact.metadata |= decided
    after = ONE.score(*_found(ONE, artifact, records), artifact.metadata)
    assert after["ece"] < 0.7 * before["ece"] and after["accuracy"] == before["accuracy"]
    again = ONE.calibrate(artifact, records)
    assert again["temperature"] == pytest.approx(decided["temperature"], rel=0.01), "not the product of both"
    assert again["sure"] == pytest.approx(decided["sure"], abs=0.005)


def _found(task, artifact, records):
    outputs, targets = task.outputs(artifact, records)
    return outputs, targets, artifact.labels


def test_the_confidence_that_was_chosen_is_reached_by_the_answers_it_was_chosen_for(monkeypatch):
    records = toy_texts.records(toy_texts.rows(60))
    artifact = Counting(records)
    scores = np.full((60, 3), 1e-5, np.float32)
    targets = records.targets(np.arange(60))
    scores[np.arange(60), targets] = 0.99998
    scores[:6] = (0.34, 0.33, 0.33)
    scores[:6, targets[:6]] -= 0.02  # a tenth, and the least sure, are wrong
    monkeypatch.setattr(artifact, "run_batch", lambda ids: {"scores": scores})
    monkeypatch.setattr("cnnkit.tasks.classification.scoring.best_temperature", lambda *_, **more: 1.0)
    decided = ONE.calibrate(artifact, records)
    sure = ONE.score({"scores": scores}, targets, records.label_names, decided)["sure"]
    assert sure["answered"] == pytest.approx(0.9) and sure["accuracy"] == 1.0


def test_thresholds_of_rare_labels_are_not_rounded_away(monkeypatch):
    records = toy_texts.records(toy_texts.tagged(60, 4))
    truth = records.targets(np.arange(60))
    scores = np.where(truth > 0.5, 4e-5, 2e-5).astype(np.float32)
    artifact = Counting(records)
    monkeypatch.setattr(artifact, "run_batch", lambda ids: {"scores": scores})
    decided = SEVERAL.calibrate(artifact, records)
    scores = sigmoid(raw_odds(scores) / decided["temperature"])
    assert SEVERAL.score({"scores": scores}, truth, records.label_names, decided)["exact"] == 1.0


def test_without_validation_nothing_is_decided():
    records = toy_texts.records(toy_texts.rows(6))
    for task in (ONE, SEVERAL):
        assert task.calibrate(Counting(records), records.take(np.arange(0))) == {}


# scores ---------------------------------------------------------------------------------------------------------------


def test_accuracy_f1_and_what_sure_answers_are_worth_by_hand():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], np.float32)
    targets = np.array([0, 1, 0, 1])
    found = ONE.score({"scores": scores}, targets, ("a", "b"), {"sure": 0.75})
    # a: 2 of 3 said are right, 2 of 2 found: F1 4/5; b: 1 of 1, 1 of 2: F1 2/3
    assert found["accuracy"] == 0.75 and found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found["confusion"] == [[2, 0], [1, 1]]
    assert found["sure"] == {"confidence": 0.75, "answered": 0.5, "accuracy": 0.5}
    assert "sure" not in ONE.score({"scores": scores}, targets, ("a", "b"))
    nobody = ONE.score({"scores": scores}, targets, ("a", "b"), {"sure": 0.95})["sure"]
    assert nobody["answered"] == 0 and nobody["accuracy"] is None
    assert "sure" in ONE.columns(found) and "50 %" in ONE.columns(found)["sure"]


def test_micro_and_macro_f1_at_each_labels_threshold_by_hand():
    scores = np.array([[0.9, 0.2, 0.1], [0.6, 0.4, 0.1], [0.2, 0.3, 0.1], [0.8, 0.1, 0.1]], np.float32)
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    found = SEVERAL.score({"scores": scores}, truth, ("a", "b", "c"), {"thresholds": [0.5, 0.25, 0.5]})
    # said: a in 0, 1, 3; b in 1, 2; c nowhere. Right: a in 0, 1; b in 1.
    assert found["micro_f1"] == pytest.approx(2 * 3 / (5 + 3))
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2), "of labels that occur"
    assert found["exact"] == 0.5 and found["count"] == 4
    a = found["per_class"]["a"]
    assert (a["precision"], a["recall"], a["support"]) == (pytest.approx(2 / 3), 1.0, 2)
    assert found["thresholds"] == {"a": 0.5, "b": 0.25, "c": 0.5}
    low, high = found["micro_f1_interval"]
    assert 0 <= low < found["micro_f1"] < high <= 1
    at_half = SEVERAL.score({"scores": scores}, truth, ("a", "b", "c"))
    assert at_half["micro_f1"] == pytest.approx(2 * 2 / (3 + 3)), "without thresholds one half"
    assert found.headline.value == found["micro_f1"] and set(found.headline.per_class) == {"a", "b"}


def test_the_worst_errors_come_with_their_texts_the_most_confident_first():
    records = toy_texts.records([("food", "one soup"), ("music", "two songs"), ("sport", "three goals")])
    scores = np.array([[0.1, 0.7, 0.2], [0.05, 0.9, 0.05], [0.95, 0.05, 0.0]], np.float32)
    worst = ONE.top_losses({"scores": scores}, records.targets(np.arange(3)), records, records.label_names)
    assert [(row["text"], row["true"], row["predicted"]) for row in worst] == [
        ("three goals", "sport", "food"),
        ("one soup", "food", "music"),
    ]
    several = toy_texts.records([(("food",), "one soup"), ((), "nothing"), (("music",), "two songs")])
    truth = several.targets(np.arange(3))
    scores = np.array([[0.2, 0.1, 0.1], [0.1, 0.1, 0.9], [0.1, 0.8, 0.4]], np.float32)
    worst = SEVERAL.top_losses({"scores": scores}, truth, several, several.label_names)
    assert [(row["text"], row["true"], row["predicted"]) for row in worst] == [
        ("nothing", "not sport", "sport"),
        ("one soup", "food", "not food"),
    ]
    assert SEVERAL.top_losses({"scores": truth}, truth, several, several.label_names) == []


def test_data_of_the_other_kind_is_one_line():
    one, several = toy_texts.records(toy_texts.rows(9)), toy_texts.records(toy_texts.tagged(40))
    with pytest.raises(DataError, match="has several labels a text, the model was trained on one label a text"):
        ONE.as_read_by(Counting(one, task="classification"), several)
    with pytest.raises(DataError, match="has one label a text, the model was trained on several"):
        ONE.as_read_by(Counting(one, task=SEVERAL.name), one)


def test_texts_become_ids_by_the_artifacts_own_vocabulary():
    records = toy_texts.records(toy_texts.rows(60))
    artifact = Counting(records)
    other = toy_texts.records(toy_texts.rows(30, 9)[::-1])
    assert other.tokenizer != records.tokenizer
    outputs, targets = ONE.outputs(artifact, other)
    assert (outputs["scores"].argmax(1) == targets).mean() == 1.0
    outputs, targets = ONE.outputs(Counting(records, text=other.tokenizer.to_dict()), other)  # a planted fault
    assert (outputs["scores"].argmax(1) == targets).mean() < 0.9


# beside it ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("won", "lost"), [(8, 1), (1, 8), (5, 0), (3, 3), (0, 0)])
def test_mcnemars_exact_test_by_hand(won, lost):
    ours = np.array([True] * (won + 4) + [False] * (lost + 2))
    theirs = np.array([False] * won + [True] * (4 + lost) + [False] * 2)
    found = against(ours, theirs)
    tail = sum(comb(won + lost, k) for k in range(min(won, lost) + 1))
    assert (found["only_model"], found["only_baseline"]) == (won, lost)
    assert found["p"] == pytest.approx(min(1, 2 * tail / 2 ** (won + lost)))
    if (won, lost) == (8, 1):
        assert found["p"] == pytest.approx(2 * (1 + 9) / 2**9)


def test_the_linear_model_learns_and_is_compared_text_by_text():
    data = toy_texts.splits(120, 30, 60)
    targets = data.test.targets(np.arange(60))
    nothing = {"scores": np.eye(3, dtype=np.float32)[(targets + 1) % 3]}
    found = ONE.baseline(data.train, data.test, data.validation, nothing)
    assert found["accuracy"] > 0.9 and found["macro_f1"] > 0.9 and "TF-IDF" in found["name"] and "120" in found["name"]
    low, high = found["accuracy_interval"]
    assert low < found["accuracy"] <= high
    assert found["against"]["only_model"] == 0 and found["against"]["p"] < 1e-9
    assert "against" not in ONE.baseline(data.train, data.test)


def test_the_linear_model_is_fitted_on_the_whole_at_the_strength_that_validation_chose(monkeypatch):
    data = toy_texts.splits(90, 60, 60)
    whole = toy_texts.splits(150, 9, 60).train
    chosen = linear(data.train, data.test, data.validation)[1]
    answers, name = linear(data.train, data.test, data.validation, whole)
    assert name == chosen.replace("90 texts", "150 texts") != chosen
    monkeypatch.setattr(evaluation, "STRENGTHS", (float(chosen.split("(C ")[1].split(")")[0]),))
    assert np.array_equal(answers, linear(whole, data.test, data.validation)[0])


def test_the_linear_model_of_several_labels_and_of_a_label_that_training_lacks():
    data = toy_texts.splits(150, 40, 60, make=toy_texts.tagged)
    found = SEVERAL.baseline(data.train, data.test, data.validation)
    assert found["micro_f1"] > 0.75 and {"micro_f1_interval", "macro_f1", "name"} <= found.keys()
    lacking = data.train.take(np.flatnonzero(data.train.targets(np.arange(150))[:, 2] == 0))
    less = SEVERAL.baseline(lacking, data.test, data.validation)
    assert 0.3 < less["micro_f1"] < found["micro_f1"]


def test_what_is_for_the_other_number_of_labels_is_refused_before_a_run_begins():
    one, several = toy_texts.splits(9, 6, 6), toy_texts.splits(40, 9, 9, make=toy_texts.tagged)
    with pytest.raises(ConfigError, match="`class_weights` is for one label a text"):
        SEVERAL.refuse(toy_texts.Settings(class_weights=True), several)
    with pytest.raises(ConfigError, match="`min_precision` is for several labels a text"):
        ONE.refuse(toy_texts.Settings(min_precision=0.9), one)
    for task, data in ((ONE, several), (SEVERAL, one)):
        with pytest.raises(DataError, match="The data has (one|several) labels? a text, what is learnt here"):
            task.refuse(toy_texts.Settings(), data)
    ONE.refuse(toy_texts.Settings(class_weights=True), one)
    SEVERAL.refuse(toy_texts.Settings(min_precision=0.9), several)


class TestBaselineOfALargeSet:
    def test_hashes_weigh_as_a_table_of_what_two_texts_have(self, monkeypatch):
        monkeypatch.setattr(evaluation, "SMALL", 3)
        seen = ["red fox runs", "red fox", "blue sky", "blue sky sleeps", "a fox"]
        table = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", min_df=2)
        large = evaluation.features_of(5, 1)
        found, expected = large.fit_transform(seen).toarray(), table.fit_transform(seen).toarray()
        assert found.shape == expected.shape == (5, 6)
        np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=1e-6)
        assert large.transform(["nothing known"]).nnz == 0

    def test_of_too_many_those_that_most_texts_have(self, monkeypatch):
        monkeypatch.setattr(evaluation, "SMALL", 3)
        monkeypatch.setattr(evaluation, "WEIGHTS", 2)
        found = evaluation.features_of(6, 1).fit_transform(["red", "red fox", "red fox", "fox red", "sky", "sky"])
        assert found.shape == (6, 2)  # red and fox
        assert (np.diff(found.indptr) > 0).tolist() == [True] * 4 + [False] * 2

    def test_a_small_set_has_every_word(self):
        assert evaluation.features_of(5, 1).fit_transform(["red fox", "sky"]).shape == (2, 4)


def test_a_line_says_what_mcnemar_says():
    def said(won, lost, p):
        return ONE.compared({"against": {"only_model": won, "only_baseline": lost, "p": p}})

    assert said(30, 5, 1e-5).endswith("only the baseline: 5. The model is better (p < 0.001).")
    assert said(5, 30, 0.04).endswith("The baseline is better (p = 0.040).")
    assert said(9, 5, 0.42).endswith("The difference may be chance (p = 0.420).")
    assert ONE.compared({}) == SEVERAL.compared({}) == ""

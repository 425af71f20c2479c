"""A model that is below its baseline, or at chance, is called bad; as far as its records can tell."""

import json

import numpy as np
import pytest

from cnnkit import metrics
from cnnkit.evaluation.verdict import judge
from cnnkit.score import Score, Scores
from cnnkit.tasks.classification.scoring import Classification
from cnnkit.tasks.classification.texts import TextTagging


def scored(counts, rights):
    """Scores of a classifier that has so many of so many right in each class; errors are of the next class."""
    targets, answers = [], []
    for code, (count, right) in enumerate(zip(counts, rights, strict=True)):
        targets += [code] * count
        answers += [code] * right + [(code + 1) % len(counts)] * (count - right)
    outputs = np.eye(len(counts), dtype=np.float32)[answers]
    return Classification().score({"scores": outputs}, np.array(targets), [f"c{k}" for k in range(len(counts))])


def bar(right, count, **more):
    return {"name": "plain", "accuracy": right / count, "accuracy_interval": list(metrics.wilson(right, count)), **more}


def against(won, lost):
    return {"only_model": won, "only_baseline": lost, "p": metrics.mcnemar(won, lost)}


@pytest.mark.parametrize(
    ("rights", "baseline", "kind"),
    [
        ((90, 90, 90), bar(200, 300), "better"),
        ((60, 60, 60), bar(270, 300), "below"),
        ((88, 88, 88), bar(270, 300), "level"),  # 6 of 300 less
        ((88, 88, 88), bar(270, 300, against=against(2, 8)), "level"),
        ((88, 88, 88), bar(270, 300, against=against(0, 6)), "below"),  # the same scores, compared one by one
        ((92, 92, 92), bar(270, 300), "ahead"),
        ((92, 92, 92), bar(270, 300, against=against(6, 0)), "better"),
        ((90, 90, 90), bar(270, 300), "level"),
        ((90, 90, 90), None, "alone"),
        ((34, 33, 33), bar(60, 300), "chance"),  # above a bad baseline, and nothing all the same
        ((20, 20, 20), bar(270, 300), "chance"),
    ],
)
def test_what_a_score_is_worth(rights, baseline, kind):
    found = judge(scored((100, 100, 100), rights), baseline)
    assert found["kind"] == kind, found
    assert found["bad"] == (kind in ("below", "chance"))
    assert found["text"].endswith(".")
    if baseline:
        low, high = found["interval"]
        assert low <= found["difference"] <= high


def test_a_frequent_class_is_the_bar_where_there_is_one():
    found = judge(scored((870, 130), (860, 5)), None)
    assert found["bad"] and found["kind"] == "chance" and "always answering c0 has 87.0 %" in found["text"]
    assert judge(scored((870, 130), (860, 60)), None)["kind"] == "alone"


def test_few_records_can_say_little():
    found = judge(scored((5, 5), (4, 3)), None)
    assert found["kind"] == "chance" and "As far as 10 records can tell" in found["text"]
    assert not judge(scored((6, 6), (6, 6)), None)["bad"]


def test_of_several_labels_the_most_frequent_ones_are_the_bar():
    rng = np.random.default_rng(0)
    truth = (rng.random((400, 3)) < (0.6, 0.3, 0.1)).astype(np.float32)
    task, labels = TextTagging(), ["a", "b", "c"]
    good = task.score({"scores": np.clip(truth * 0.8 + 0.1, 0, 1)}, truth, labels)
    always = task.score({"scores": np.tile(np.float32([0.9, 0.1, 0.1]), (400, 1))}, truth, labels)
    assert judge(good, None)["kind"] == "alone"
    assert judge(always, None)["kind"] == "chance"
    below = {"micro_f1": 1.0, "micro_f1_interval": [0.999, 1.0]}
    worse = task.score({"scores": np.where(rng.random(truth.shape) < 0.1, 1 - truth, truth)}, truth, labels)
    assert judge(worse, below)["kind"] == "below"


def test_finding_nothing_is_bad():
    nothing = {"name": "finding nothing", "value": 0.0, "sure": True}
    assert judge(Scores(Score("ap50", 0.0, interval=(0.0, 0.0)), count=9, constant=nothing), None)["bad"]
    assert not judge(Scores(Score("ap50", 0.4, interval=(0.3, 0.5)), count=9, constant=nothing), None)["bad"]


def years(value, half=0.1, **more):
    """Scores of a task whose errors are in years."""
    about = {"unit": "years", "better": "less", "interval": (value - half, value + half)}
    return Scores(Score("mean_absolute_error", value, **about), count=50, **more)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1.0, "better", "Better than the baseline by 1 years, hardly by chance."),
        (1.95, "ahead", "Better than the baseline by 0.05 years, which may be chance."),
        (2.05, "level", "0.05 years above the baseline, which may be chance"),
        (2.5, "below", "Worse than the baseline by 0.5 years, and not by chance"),
        (4.2, "chance", "No better than chance: 4.2 years; always answering the mean has 4 years."),
    ],
)
def test_of_an_error_less_is_better(value, kind, text):
    mean = {"name": "always answering the mean", "value": 4.0, "sure": True}
    scores = years(value, constant=mean)
    found = judge(scores, {"name": "plain", **years(2.0)})
    assert found["kind"] == kind and text in found["text"]
    assert found["difference"] == pytest.approx(2.0 - value)
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert judge(json.loads(json.dumps(scores)), None)["kind"] == ("chance" if value > 4 else "alone")


def test_the_baseline_of_images_is_compared_one_by_one():
    from tests import toys

    data = toys.splits(train=120, validation=30, test=60)
    truth = data.test.labels
    outputs = {"scores": np.eye(3, dtype=np.float32)[truth]}
    found = Classification().baseline(data.train, data.test, None, outputs)
    wrong = round((1 - found["accuracy"]) * 60)
    assert found["against"]["only_model"] == wrong and found["against"]["only_baseline"] == 0
    assert f"only the model had right: {wrong}" in Classification().compared(found)


def test_the_interval_of_a_difference_is_newcombes():
    # Newcombe 1998, table II, example (a): 56/70 - 48/80
    low, high = metrics.difference_interval(56 / 70, metrics.wilson(56, 70), 48 / 80, metrics.wilson(48, 80))
    assert low == pytest.approx(0.0524, abs=2e-4) and high == pytest.approx(0.3339, abs=2e-4)

"""A score is said with its unit, and told better from worse; one of which less is better goes through tables and the gate."""

import json

import numpy as np
import pytest

from cnnkit import console
from cnnkit.cli import printing
from cnnkit.evaluation.verdict import judge
from cnnkit.export import gate
from cnnkit.score import Score, Scores, headline, unit


class Ages:
    """The age of what is on a record, in years: a task without labels. The scores of records are their errors."""

    headline, tolerance, counted = "mean_absolute_error", (0.1, 0.1), "records"

    def score(self, outputs, targets, labels=(), metadata=None):
        errors = np.abs(outputs["values"] - targets)
        half = 1.96 * errors.std() / len(errors) ** 0.5
        about = {"unit": "years", "better": "less"}
        return Scores(
            Score("mean_absolute_error", errors.mean(), interval=(errors.mean() - half, errors.mean() + half), **about),
            Score("largest_error", float(errors.max()), **about),
            count=len(errors),
            constant={"name": "always answering the mean", "value": float(np.abs(targets - targets.mean()).mean())}
            | {"sure": True},
        )

    def columns(self, scores):
        return {"largest error years": f"{scores['largest_error']:.1f}", "records": str(scores["count"])}

    def compared(self, baseline):
        return ""


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    targets = rng.uniform(0, 80, 200)
    return targets, {"values": targets + rng.normal(0, 3, 200)}


def test_a_share_is_said_in_percent_and_a_number_in_its_unit():
    share, error = Score("accuracy", 0.9725), Score("error", 2.3149, unit="years", better="less")
    assert (share.title, share.said(0.9725), share.number(0.9, 1), share.step) == (
        "accuracy %",
        "97.25 %",
        "90.0",
        "points",
    )
    assert (error.title, error.said(2.3149), error.number(12345.6), error.step) == (
        "error years",
        "2.315 years",
        "12,346",
        "years",
    )
    assert (share.apart(-0.0153), error.apart(-0.25)) == ("1.5 points", "0.25 years")
    assert (share.change(0.0012), error.change(-0.25)) == ("+0.12", "-0.25")
    assert (share.range((0.5, 0.75)), error.range((1.0, 2.5)), error.range(None)) == ("50.00 to 75.00", "1 to 2.5", "")
    assert Score("ece", 0.03, unit="").title == "ece"


def test_which_way_is_better_is_the_scores_own():
    assert Score("accuracy", 0.9).gain(0.8, 0.9) == pytest.approx(0.1)
    assert Score("error", 2.0, better="less").gain(2.5, 2.0) == 0.5
    with pytest.raises(ValueError, match="better='higher'"):
        Score("error", 2.0, better="higher")


def test_scores_are_plain_values_that_can_be_read_again(answers):
    targets, outputs = answers
    scores = Ages().score(outputs, targets)
    again = json.loads(json.dumps(scores))
    assert again == scores and next(iter(again)) == "mean_absolute_error"
    assert headline(again) == Score(
        "mean_absolute_error", scores["mean_absolute_error"], "years", "less", scores.headline.interval
    )
    assert unit(again, "largest_error") == unit(again, "mean_absolute_error") == "years" and unit(again, "f1") == "%"
    assert headline({}) is None and headline({"f1": 0.5, "f1_interval": [0.4, 0.6]}).interval == (0.4, 0.6)


def test_a_task_of_which_less_is_better_goes_through_verdict_and_gate(answers):
    targets, outputs = answers
    task = Ages()
    scores, plain = (
        task.score(outputs, targets),
        {"name": "ridge", **task.score({"values": 0.5 * targets + 20}, targets)},
    )
    judged = judge(scores, plain)
    assert judged["kind"] == "better" and judged["difference"] > 0 and "years, hardly by chance" in judged["text"]
    assert judge(plain, {"name": "network", **scores})["kind"] == "below"
    assert judge(task.score({"values": targets.mean() + 0 * targets}, targets), None)["kind"] == "chance"
    worse = task.score({"values": outputs["values"] + 4}, targets)
    verdict = gate.compare(scores, worse, task.tolerance[0], None, task.tolerance[1])
    (refused,) = verdict["refused"]
    assert refused.endswith("years more overall") and verdict["difference"] > 1
    assert gate.compare(worse, scores, 0.1)["passed"]


def test_its_table_says_the_unit_and_has_no_classes(answers, monkeypatch):
    targets, outputs = answers
    tables = []
    monkeypatch.setattr(console, "is_json", lambda: False)  # which commands of other tests may have asked for
    monkeypatch.setattr(console, "table", lambda columns, rows: tables.append((columns, rows)))
    scores = Ages().score(outputs, targets)
    printing.scores(Ages(), "model.keras", scores, {"name": "ridge", **scores}, per_class=True)
    ((columns, (own, other)),) = tables
    assert columns == ["", "mean_absolute_error years", "95 % interval", "largest error years", "records"]
    assert own[0] == "model.keras" and own[1] == f"{scores.headline.value:.4g}" and own[4] == "200"
    assert other == ["baseline: ridge", own[1], own[2], "", ""]

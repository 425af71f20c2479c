"""Whether an input shows a finding: which label it is, the threshold, the scores, what a device answers."""

import itertools

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.export import gate
from cnnkit.metrics import wilson
from cnnkit.tasks.classification import roc
from cnnkit.tasks.classification.device import KIND
from cnnkit.tasks.classification.scoring import Classification
from cnnkit.tasks.classification.screening import Screening, finding, is_rare
from cnnkit.tasks.classification.training import KIND as TRAINING
from tests import toys

LABELS = ("none", "lesion")


def outputs(chances, **more):
    chances = np.asarray(chances, np.float32)
    return {"scores": np.stack([1 - chances, chances], axis=1), **more}


def metadata(threshold):
    return {"screening": {"finding": "lesion", "threshold": threshold}}


class Known:
    """An artifact whose scores are known: of record k that of its place in the table."""

    path, input_shape = "known", (1, 1, 1)

    def __init__(self, chances, labels=LABELS, **about):
        self.chances, self.labels, self.metadata = chances, labels, {"task": "classification", **about}

    def run_batch(self, inputs):
        return outputs(self.chances[inputs.reshape(-1).astype(int)])


class Places:
    """Inputs that are their own places."""

    shape = (1, 1, 1)

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def read(self, indices, shape):
        return np.asarray(indices, np.float32).reshape(-1, 1, 1, 1)


def records(labels, names=LABELS, groups=None):
    from cnnkit.data.records import Records

    return Records(Places(len(labels)), np.asarray(labels), names, groups=groups)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("none", "lesion"), 1),
        (("disease", "healthy"), 0),
        (("PNEUMONIA", "NORMAL"), 0),
        (("benign", "malignant"), 1),
        (("malignant", "Benign"), 0),
        (("Parasitized", "Uninfected"), 0 + 1),  # neither is a word that is known
        (("infected", "uninfected"), 0),
        (("notumor", "tumor"), 1),
        (("tumor", "notumor"), 0),
        (("no_dr", "dr"), 1),
        (("normality", "oddity"), 1),
        (("0", "1"), 1),
        (("1", "0"), 0),
        (("nodule", "none"), 0),
        (("a", "b"), 1),
        (("healthy", "normal"), 1),
    ],
)
def test_the_finding_is_the_label_that_is_not_called_none(labels, expected):
    assert finding(labels) == expected


def test_scores_by_hand():
    # 0.8 beats all three, 0.5 beats 0.2, ties with 0.5, loses to 0.6; from 0.55 on: found 1 of 2, let go 2 of 3
    scores = Screening().score(outputs([0.8, 0.5, 0.2, 0.5, 0.6]), np.array([1, 1, 0, 0, 0]), LABELS, metadata(0.55))
    assert scores["auc"] == pytest.approx(4.5 / 6)
    assert scores["sensitivity"] == 0.5 and scores["specificity"] == pytest.approx(2 / 3)
    assert scores["sensitivity_interval"] == pytest.approx(wilson(1, 2))
    assert scores["accuracy"] == 0.6 and scores["confusion"] == [[2, 1], [1, 1]]
    assert scores.headline.per_record.mean() == pytest.approx(4.5 / 6)
    assert scores.headline.per_class == {"none": pytest.approx(2 / 3), "lesion": 0.5}
    assert scores["threshold"] == 0.55 and scores["finding"] == "lesion" and scores["patients"] == 5
    # the score of the finding, not of the answer: 0.8, 0.5, 0.2, 0.5, 0.6, where 1, 1/2 (two), 0, 0 have it
    assert scores["ece"] == pytest.approx((0.2 + 0.2 + 2 * 0.0 + 0.6) / 5, abs=1e-6)


def test_a_scoring_resamples_patients_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(roc, "interval", lambda *given: drawn.append(given) or (0.6, 0.8))
    for task in (Classification(), Screening()):
        scores = task.score(outputs([0.8, 0.5, 0.2]), np.array([1, 1, 0]), LABELS, metadata(0.55))
        assert scores["auc_interval"] == [0.6, 0.8] and len(drawn) == 1
        drawn.clear()


def test_the_finding_may_come_first():
    found = {"scores": outputs([0.8, 0.5, 0.2])["scores"][:, ::-1]}
    scores = Screening().score(found, np.array([0, 0, 1]), ("lesion", "none"), {"screening": {"threshold": 0.6}})
    assert scores["auc"] == 1 and scores["sensitivity"] == 0.5 and scores["specificity"] == 1


def test_swapped_labels_are_seen():
    chances = np.linspace(0.1, 0.9, 20)
    right = (chances > 0.45).astype(int)
    good, swapped = (Screening().score(outputs(chances), truth, LABELS)["auc"] for truth in (right, 1 - right))
    assert good == 1 and swapped == 0


def test_data_of_one_label_cannot_be_scored():
    with pytest.raises(DataError, match=r"All 3 records are of 'none'. Give data with both labels."):
        Screening().score(outputs([0.1, 0.2, 0.3]), np.zeros(3, int), LABELS)


def test_more_than_two_labels_are_plain_classification():
    found = {"scores": np.eye(3, dtype=np.float32)}
    scores = Screening().score(found, np.array([0, 1, 1]), ("a", "b", "c"))
    assert scores.headline.name == "accuracy" and "auc" not in scores
    assert type(Screening().fitted(toys.splits(), {})) is Classification


# Validation -----------------------------------------------------------------------------------------------------------


def test_the_threshold_is_that_of_validation_records_alone():
    validation = records([0, 0, 0, 1, 1, 1])
    decided = Screening().calibrate(Known(np.array([0.1, 0.2, 0.7, 0.8, 0.85, 0.9])), validation)
    about = decided["screening"]
    assert about["finding"] == "lesion" and about["chosen_on"] == {"none": 3, "lesion": 3}
    temperature = decided["temperature"]
    between = [1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature)) for p in (0.7, 0.8)]
    assert about["threshold"] == pytest.approx(np.mean(between), abs=1e-4)
    # other records are answered by it, whatever would suit them better
    test = records([0, 1])
    scores = Screening().score(*Screening().outputs(Known(np.array([0.3, 0.6]), **decided), test), LABELS, decided)
    assert scores["auc"] == 1 and scores["sensitivity"] == 0 and scores["specificity"] == 1


def test_without_validation_or_with_one_label_of_it_the_threshold_is_a_half():
    for validation in (records([]), records([0, 0, 0])):
        decided = Screening().calibrate(Known(np.array([0.1, 0.2, 0.7])), validation)
        assert decided["screening"]["threshold"] == 0.5
        (line,) = Screening().cautions(decided)
        assert "0 of lesion" in line and "is 0.5" in line


def test_overconfident_scores_are_calibrated_and_calibrating_again_changes_nothing():
    rng = np.random.default_rng(0)
    true = rng.uniform(-3, 3, 4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-true))).astype(int)
    loud = 1 / (1 + np.exp(-3 * true))
    decided = Screening().calibrate(Known(loud), records(labels))
    assert decided["temperature"] == pytest.approx(3, rel=0.1) and "offset" not in decided
    calm = 1 / (1 + np.exp(-3 * true / decided["temperature"]))
    again = Screening().calibrate(Known(calm, **decided), records(labels))
    assert again["temperature"] == pytest.approx(decided["temperature"], rel=0.02)
    assert again["screening"]["threshold"] == pytest.approx(decided["screening"]["threshold"], abs=0.01)


def test_odds_that_weights_added_are_taken_away_again():
    """Of a finding in one of ten, weights make a score of one half of what is there in one of ten."""
    rng = np.random.default_rng(1)
    true = rng.normal(-3, 1.5, 6000)
    labels = (rng.random(6000) < 1 / (1 + np.exp(-true))).astype(int)
    odds = float(np.log(labels.mean() / (1 - labels.mean())))
    weighed = 1 / (1 + np.exp(-(true - odds)))
    decided = Screening(odds).calibrate(Known(weighed), records(labels), weighted=True)
    assert decided["offset"] == [0, pytest.approx(odds)] and decided["temperature"] == pytest.approx(1, abs=0.1)
    plain = Screening(odds).calibrate(Known(weighed), records(labels))
    assert "offset" not in plain


def test_temperature_and_offset_are_in_the_graph():
    import keras

    logits = keras.Input((2,))
    model = keras.Model(logits, keras.layers.Activation("linear")(logits))
    graph = keras.Model(logits, TRAINING.finish(model, {"temperature": 2.0, "offset": [0.0, -1.0]})["scores"])
    found = np.asarray(graph(np.array([[0.0, 4.0]], np.float32)))
    assert found[0, 1] == pytest.approx(1 / (1 + np.exp(-1)))  # 4 / 2 - 1


def test_a_rare_label_is_known():
    assert is_rare(records([1] * 3 + [0] * 7)) and not is_rare(records([1] * 4 + [0] * 6))
    assert not is_rare(records([0, 1, 1, 2], ("a", "b", "c")))


def test_intervals_are_of_patients():
    rng = np.random.default_rng(2)
    labels = (rng.random(40) < 0.5).astype(int)
    chances = 1 / (1 + np.exp(-(rng.normal(0, 1, 40) + labels)))
    copies = np.repeat(np.arange(40), 6)
    test = records(labels[copies], groups=copies)
    found, targets = Screening().outputs(Known(chances[copies]), test)
    known = Screening().score(found, targets, LABELS)
    alone = Screening().score({"scores": found["scores"]}, targets, LABELS)
    assert known["patients"] == 40 and alone["patients"] == 240
    width, narrow = (np.diff(scores["auc_interval"])[0] for scores in (known, alone))
    assert width > 1.8 * narrow


# The gate -------------------------------------------------------------------------------------------------------------


def compared(before, after, truth, threshold=0.5):
    task, about = Screening(), metadata(threshold)
    first, second = (task.score(outputs(chances), truth, LABELS, about) for chances in (before, after))
    changes = task.changes(outputs(before), outputs(after), truth, LABELS, about)
    return gate.compare(first, second, task.tolerance[0], changes, task.tolerance[1])


def some(count=400, seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.random(count) < 0.5).astype(int)
    return 1 / (1 + np.exp(-rng.normal(2 * truth - 1, 1))), truth


def test_the_gate_lets_noise_pass_and_stops_a_worse_order():
    chances, truth = some()
    assert compared(chances, chances, truth)["passed"]
    shaken = np.clip(chances + np.random.default_rng(1).normal(0, 0.01, 400), 0, 1)
    assert compared(chances, shaken, truth)["passed"]
    worse = np.clip(chances + np.random.default_rng(1).normal(0, 0.4, 400), 0, 1)
    refused = compared(chances, worse, truth)["refused"]
    assert any("overall" in line for line in refused)


def test_the_gate_stops_scores_that_drift_past_the_threshold():
    chances, truth = some()
    refused = compared(chances, chances * 0.6, truth)["refused"]  # the same order
    assert len(refused) == 1 and "in class lesion" in refused[0]


def test_a_small_test_does_not_refuse_by_lot():
    chances, truth = some(16)
    order = np.argsort(chances)
    swapped = chances.copy()
    pair = next((a, b) for a, b in itertools.pairwise(order) if truth[a] < truth[b])
    swapped[list(pair)] = swapped[list(pair[::-1])]  # one pair of 64 is lost: 1.6 points
    found = compared(chances, swapped, truth)
    assert found["difference"] < -0.5 and found["passed"]


# A device -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("score", "label"), [(0.29, "none"), (0.3, "lesion"), (0.45, "lesion")])
def test_the_answer_is_the_finding_from_the_threshold_on(score, label):
    answer = KIND.answer({"scores": np.array([1 - score, score])}, metadata(0.3), LABELS, 1)
    assert answer == {"label": label, "score": score, "finding": "lesion", "threshold": 0.3}
    assert KIND.told(answer) == [f"{label}  (lesion {score:.1%}, from 30.0% on)"]


@pytest.mark.parametrize("about", [{"finding": "cat", "threshold": 0.5}, {"finding": "lesion", "threshold": "high"}])
def test_a_damaged_entry_is_refused(about):
    with pytest.raises(ValueError, match="looks for 'cat'|the threshold 'high'"):
        KIND.labels({"labels": list(LABELS), "screening": about}, {"scores": (1, 2)})


def test_other_models_answer_as_before():
    answer = KIND.answer({"scores": np.array([0.6, 0.4])}, {}, LABELS, 1)
    assert answer == {"label": "none", "score": 0.6}

"""The classification task, by hand."""

import numpy as np
import pytest

from cnnkit.export import gate
from cnnkit.tasks.classification.scoring import Classification
from tests import toys

SCORES = {"scores": np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]], np.float32)}
TARGETS = np.array([0, 1, 1, 2], np.int32)


def test_scores_by_hand():
    scores = Classification().score(SCORES, TARGETS, ("a", "b", "c"))
    assert scores["accuracy"] == 0.75 and scores["count"] == 4
    assert scores["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert scores["per_class"]["b"] == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2})
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    # confidences 0.9 right, 0.7 right, 0.6 wrong, 0.8 right, each alone in one of 15 bins
    assert scores["ece"] == pytest.approx((0.1 + 0.3 + 0.6 + 0.2) / 4, abs=1e-6)


def test_a_class_without_examples_does_not_lower_the_mean():
    scores = Classification().score(SCORES, np.array([0, 1, 0, 1]), ("a", "b", "c"))
    assert scores["per_class"]["c"]["support"] == 0
    assert scores["macro_f1"] == pytest.approx((scores["per_class"]["a"]["f1"] + scores["per_class"]["b"]["f1"]) / 2)


def test_loss_by_hand():
    import keras

    loss = Classification().loss(toys.Settings(label_smoothing=0.3))
    value = float(loss(keras.ops.array([[1.0, 0.0, 0.0]]), keras.ops.array([[np.log(2.0), 0.0, 0.0]])))
    # softmax (1/2, 1/4, 1/4), smoothed target (0.8, 0.1, 0.1)
    assert value == pytest.approx(0.8 * np.log(2) + 0.2 * np.log(4), abs=1e-6)


def test_rare_classes_weigh_more_and_the_mean_weight_is_one():
    records = toys.bars(30)
    chosen = np.array([*np.flatnonzero(records.labels == 0), *np.flatnonzero(records.labels == 1)[:5]])
    part = records.take(chosen)  # 10 and 5 of two classes, none of the third
    task = Classification()
    weights = np.array(task.sample_weights(part, toys.Settings(class_weights=True))(task.encoder(3)(part.labels)))
    assert weights[:10] == pytest.approx(np.full(10, 0.75))
    assert weights[10:] == pytest.approx(np.full(5, 1.5))
    assert weights.mean() == pytest.approx(1.0)


def test_the_worst_errors_come_first_with_their_pictures():
    records = toys.bars(4)
    worst = Classification().top_losses(SCORES, TARGETS, records, ("a", "b", "c"))
    assert [(w["index"], w["true"], w["predicted"]) for w in worst] == [(2, "b", "a")]
    assert worst[0]["confidence"] == pytest.approx(0.6)
    assert worst[0]["image"].shape == (12, 12, 1)


def test_the_baseline_is_a_linear_model_with_its_interval():
    data = toys.splits()
    baseline = Classification().baseline(data.train, data.test)
    assert 0.3 < baseline["accuracy"] < 1
    low, high = baseline["accuracy_interval"]
    assert low < baseline["accuracy"] < high
    assert "240 images" in baseline["name"]


def test_what_the_gate_compares_is_recall_and_counts():
    task = Classification()
    view = gate.written(task.score(SCORES, TARGETS, ("a", "b", "c")))
    assert view["score"] == 0.75
    assert view["per_class"] == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert view["class_count"] == {"a": 1, "b": 2, "c": 1}

"""A label that nobody asked a record for is neither yes nor no: in targets, losses, thresholds, scores and baselines."""

import numpy as np
import pytest

from cnnkit.data import records as data
from cnnkit.data.asked import UNASKED, asked
from cnnkit.data.records import Splits
from cnnkit.data.tags import Tags
from cnnkit.inputs.text.records import TextRecords
from cnnkit.inputs.text.sources import ListTexts
from cnnkit.tasks.classification import asked as asked_losses
from cnnkit.tasks.classification.linear import ByLabel
from cnnkit.tasks.classification.texts import TextTagging
from cnnkit.tasks.classification.thresholds import best_threshold
from cnnkit.tasks.detection import loss as detection_loss
from cnnkit.tasks.detection.boxes import MOST, NOT_ASKED
from cnnkit.tasks.detection.views import Views
from tests.tasks.detection.test_join import GO, STOP, joined, records


def numpy(value):
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value))


class TestRecords:
    def test_where_all_was_asked_nothing_is_kept(self):
        assert asked(np.ones((3, 2), bool)) is None
        rows = np.array([[1, 1, 0], [1, 1, 1], [1, 1, 0]], bool)
        kept = asked(rows)
        assert np.array_equal(kept.of(np.array([2, 1, 0])), rows[[2, 1, 0]]) and kept.never().tolist() == [2]

    def test_boxes_of_a_class_that_came_later_were_not_asked_for(self):
        first, second = records([[STOP], [GO]], ("stop", "go")), records([[STOP]], ("yield", "stop"), first=9)
        whole = joined(first, second).train
        assert whole.asked(np.arange(3)).tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 1]], "new data knows no `go`"
        assert whole.take(np.array([2])).asked(np.array([0])).tolist() == [[1, 0, 1]]
        assert first.asked(np.array([0])) is None and whole.fingerprint() != first.fingerprint()
        again = joined(whole, records([[STOP]], ("stop",), first=20)).train
        assert again.asked(np.array([0, 3])).tolist() == [[1, 1, 0], [1, 0, 0]]

    def test_a_model_may_know_more_names_than_the_data(self):
        seen = records([[STOP]], ("stop",)).named(("go", "stop"))
        assert seen.asked(np.array([0])).tolist() == [[False, True]]
        assert records([[STOP]], ("stop", "go")).named(("go", "stop")).asked(np.array([0])) is None


class TestViews:
    def test_a_view_says_what_its_images_were_not_asked_for(self):
        whole = joined(records([[STOP], [GO]], ("stop", "go")), records([[STOP]], ("yield", "stop"), first=9)).train
        _, targets = whole.read(np.array([0, 2]))
        assert targets.shape == (2, MOST + 2, 6)
        unasked = [sorted(row[4] for row in rows if row[5] == NOT_ASKED) for rows in targets]
        assert unasked == [[2], [1]] and (targets[0, 0, 4:] == (0, 1)).all()
        _, mosaics = Views(whole, seed=0, mosaic=1.0)(np.array([0] * 40), 0)
        found = {tuple(sorted(row[4] for row in rows if row[5] == NOT_ASKED)) for rows in mosaics}
        assert found == {(2,), (1, 2)}, "four images were asked for what all of them were"


class TestDetectionLoss:
    def test_cells_are_not_taught_that_an_unasked_class_is_absent(self):
        import keras

        rng = np.random.default_rng(0)
        grid = np.array([[(4 + 8 * (k % 4), 4 + 8 * (k // 4), 8) for k in range(16)]], np.float32)
        logits = keras.Variable(rng.normal(size=(1, 16, 3)).astype(np.float32))
        boxes = np.zeros((1, 3, 6), np.float32)
        boxes[0, 0], boxes[0, 1, 4:] = (2, 2, 14, 14, 0, 1), (2, NOT_ASKED)
        assert numpy(detection_loss.asked(boxes, 3)).tolist() == [[1, 1, 0]]
        import tensorflow as tf

        with tf.GradientTape() as tape:
            raw = np.zeros((1, 16, 4), np.float32)
            loss = detection_loss.DetectionLoss()(boxes, keras.ops.concatenate([raw, logits, grid], -1))
        gradient = numpy(tape.gradient(loss, logits.value))[0]
        assert np.abs(gradient[:, 2]).max() == 0 and (np.abs(gradient[:, :2]).max(0) > 0).all()
        boxes[0, 2] = (18, 18, 30, 30, 2, 1)  # another image of the mosaic has one
        with tf.GradientTape() as tape:
            loss = detection_loss.DetectionLoss()(boxes, keras.ops.concatenate([raw, logits, grid], -1))
        assert (np.abs(numpy(tape.gradient(loss, logits.value))[0, :, 2]) > 0).any(), "what is there is learnt"


class TestSeveralLabels:
    def texts(self, names, codes, texts):
        ends = np.cumsum([len(row) for row in codes])
        flat = np.concatenate([np.array(row, int) for row in codes])
        tags = Tags(flat, ends)
        return TextRecords(ListTexts(texts), tags.strata(len(names)), names, tags=tags)

    @pytest.fixture
    def whole(self):
        first = self.texts(("a", "b"), [[0], [], [0, 1]], ["one", "two", "three"])
        second = self.texts(("a", "b", "c"), [[2], [0]], ["four", "five"])
        return data.join(Splits(first, first, first), Splits(second, second, second)).train

    def test_targets_say_what_was_not_asked(self, whole):
        no = UNASKED
        assert whole.targets(np.arange(5)).tolist() == [[1, 0, no], [0, 0, no], [1, 1, no], [0, 0, 1], [1, 0, 0]]
        assert whole.counts().tolist() == [3, 1, 1]

    def test_the_loss_leaves_it_out_and_is_else_that_of_keras(self):
        import keras

        rng = np.random.default_rng(0)
        truth, logits = (rng.random((6, 4)) > 0.5).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
        for smoothing in (0.0, 0.1):
            plain = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)(truth, logits)
            assert float(asked_losses.AskedCrossentropy(smoothing)(truth, logits)) == float(plain)
        one = asked_losses.AskedCrossentropy()(np.array([[1, UNASKED]], np.float32), np.array([[0.0, 9.0]], np.float32))
        assert float(one) == pytest.approx(np.log(2) / 2), "by hand: half of the loss of one coin"
        (metric,) = TextTagging().metrics()
        metric.update_state(np.array([[1, UNASKED], [0, 1]], np.float32), np.array([[2.0, 9], [3, 1]], np.float32))
        assert float(metric.result()) == pytest.approx(2 / 3)

    def test_scores_thresholds_and_errors_leave_it_out(self):
        truth = np.array([[1, UNASKED], [0, UNASKED], [1, 1], [0, 0]], np.float32)
        found = {"scores": np.array([[0.9, 0.9], [0.1, 0.8], [0.8, 0.7], [0.2, 0.1]], np.float32)}
        scores = TextTagging().score(found, truth, ("a", "c"), {"thresholds": [0.5, 0.5]})
        assert scores["micro_f1"] == 1 and scores["exact"] == 1 and scores["per_class"]["c"]["precision"] == 1
        assert scores["per_class"]["c"]["support"] == 1
        assert 0.1 < best_threshold(found["scores"][:, 1], truth[:, 1]) < 0.7

    def test_the_baseline_is_fitted_on_those_that_were_asked(self):
        from sklearn.linear_model import LogisticRegression

        features = np.array([[0.0], [1], [0], [1], [1], [1]])
        truth = np.array([[0, 0], [1, 1], [0, 0], [1, 1], [1, UNASKED], [1, UNASKED]], np.float32)
        model = ByLabel(LogisticRegression(C=100)).fit(features, truth)
        assert model.predict(np.array([[1.0], [0]])).tolist() == [[1, 1], [0, 0]]
        assert ByLabel(LogisticRegression()).fit(features[:1], truth[:1]).predict(features[:2]).tolist() == [[0, 0]] * 2

"""The task of detection: its scores from tiles and whole images, its threshold, its baseline, what the gate sees."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit.device.detection import Detections, Plan
from cnnkit.device.model import with_decided
from cnnkit.errors import ArtifactError
from cnnkit.evaluation import scoring
from cnnkit.evaluation.calibration import raw_odds, sigmoid
from cnnkit.export import gate
from cnnkit.score import Scores
from cnnkit.tasks.detection.records import Boxes, BoxRecords
from cnnkit.tasks.detection.scoring import LOWEST, Detection, lowest, plan_of
from cnnkit.tasks.detection.training import KIND
from tests.device.red import STRIDES, RedFinder, scene

pytest.importorskip("pycocotools")

LABELS = ("red", "blue")
COLOURS = ((255, 0, 0), (0, 0, 255))
TASK = Detection()


class Scenes:
    """Images of any sizes, in a list."""

    shape = (64, 64, 3)

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def native(self, index):
        return self.images[index]

    def name(self, index):
        return f"scene[{index}]"


def records(*rows, size=(64, 64), drawn=None, plan=None):
    """Records of scenes, a list of (left, top, right, bottom, code[, ignored]) each; `drawn`: what is there to see."""
    drawn = rows if drawn is None else drawn
    images = [
        scene(size[1], size[0], *(box[:4] for box in boxes), colours=[COLOURS[box[4]] for box in boxes])
        for boxes in drawn
    ]
    table = np.array([(*box, 0)[:6] for boxes in rows for box in boxes], float).reshape(-1, 6)
    ends = np.cumsum([len(boxes) for boxes in rows])
    boxes = Boxes(ends, table[:, :4], table[:, 4], table[:, 5], np.tile(size, (len(rows), 1)))
    return BoxRecords(
        Scenes(images), boxes.strata(2), LABELS, boxes=boxes, plan=plan or Plan(), input_shape=(64, 64, 3)
    )


def some(count, size, most, seed=0):
    """Rows of two boxes an image, one in its left and one in its right half, so that they are apart."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        boxes = []
        for part in range(2):
            wide, high = rng.integers(8, most, 2)
            low = part * size[0] // 2
            left, top = rng.integers(low, low + size[0] // 2 - wide - 1), rng.integers(0, size[1] - high)
            boxes.append((left, top, left + wide, top + high, (number + part) % 2))
        found.append(boxes)
    return found


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        ((64, 64), Plan(STRIDES)),
        ((32, 24), Plan(STRIDES)),  # seen twice as large
        ((300, 200), Plan(STRIDES, scale=1.0, overlap=32.0)),
        ((300, 200), Plan(STRIDES, scale=1.0, overlap=32.0, whole=True)),
        ((90, 70), Plan(STRIDES, scale=2.0, overlap=32.0)),
    ],
)
def test_an_artifact_that_sees_all_scores_one(size, plan):
    most = 15 if plan.scale == 2 or size[0] < 40 else 28
    data = records(*some(6, size, min(most, size[0] // 2 - 2, size[1] - 1)), size=size)
    artifact = RedFinder((64, 64, 3), plan=plan)
    scores = scoring.score(artifact, data, TASK)
    assert scores["ap50"] == pytest.approx(1) and scores["recall"] == 1.0
    assert scores["precision"] == 1.0 or (plan.whole and scores["precision"] > 0.9)  # a box of 2 px may be far off
    assert scores["boxes"] == 12 and scores["count"] == 6
    if not plan.whole:
        assert scores["ap"] > (
            0.99 if plan.scale != 2 and size[0] > 40 else 0.7
        )  # where it is seen larger, to half a pixel


def test_an_artifact_that_sees_half_scores_half():
    data = records([(5, 5, 25, 25, 0)], [(30, 30, 60, 55, 1)], drawn=[[(5, 5, 25, 25, 0)], []])
    scores = scoring.score(RedFinder((64, 64, 3)), data, TASK)
    assert scores["ap50"] == pytest.approx(0.5)
    assert scores["per_class"]["red"]["ap50"] == pytest.approx(1) and scores["per_class"]["blue"]["ap50"] == 0.0


def test_ignored_boxes_are_neither_missed_nor_wrong_to_find():
    missed = records([(5, 5, 25, 25, 0), (30, 30, 60, 55, 1, 1)], drawn=[[(5, 5, 25, 25, 0)]])
    found = records([(5, 5, 25, 25, 0), (30, 30, 60, 55, 1, 1)])
    for data in (missed, found):
        scores = scoring.score(RedFinder((64, 64, 3)), data, TASK)
        assert scores["precision"] == scores["recall"] == 1.0 and scores["boxes"] == 1
        assert scores["ap50"] == pytest.approx(1)


def test_the_file_says_how_images_are_seen_and_not_the_data():
    data = records(*some(3, (300, 200), 28), size=(300, 200), plan=Plan(STRIDES, scale=1.0, overlap=32.0))
    whole = RedFinder((64, 64, 3), plan=Plan(STRIDES))
    scoring.outputs(whole, data, TASK)
    assert whole.calls == 3, "each image once"
    assert plan_of(whole, data) == Plan(STRIDES)
    silent = SimpleNamespace(metadata={})
    assert plan_of(silent, data) == data.plan and plan_of(silent) == Plan()


def test_all_that_is_found_at_all_comes_out_and_progress_is_told():
    done = []
    data = records([(5, 5, 25, 25, 0)], [], [(5, 5, 25, 25, 1)])
    artifact = RedFinder((64, 64, 3), scores=(LOWEST, LOWEST / 2), plan=Plan(STRIDES, threshold=0.9))
    found, truth = scoring.outputs(artifact, data, TASK, done.append)
    assert [len(entry.scores) for entry in found] == [1, 0, 0] and done == [1, 2, 3]
    assert [there.codes.tolist() for there in truth] == [[0], [], [1]]


def test_an_artifact_of_other_classes_is_refused():
    artifact = RedFinder((64, 64, 3))
    artifact.labels = ("red", "green")
    with pytest.raises(ArtifactError, match="knows the classes red, green; the data has red, blue"):
        scoring.outputs(artifact, records([(5, 5, 25, 25, 0)]), TASK)


class TestThreshold:
    """Red is found with 0.9 and always right; blue with 0.8 and right once in three times."""

    data = records(
        [(5, 5, 25, 25, 0), (30, 30, 60, 55, 1)],
        [(8, 5, 25, 25, 0)],
        [(3, 9, 25, 29, 0)],
        drawn=[
            [(5, 5, 25, 25, 0), (30, 30, 60, 55, 1)],
            [(8, 5, 25, 25, 0), (30, 30, 60, 55, 1)],
            [(3, 9, 25, 29, 0), (30, 30, 60, 55, 1), (40, 2, 60, 20, 1)],
        ],
    )

    def test_it_is_chosen_by_the_best_f1_and_written_beside_the_plan(self):
        plan = Plan(STRIDES, scale=1.0, overlap=16.0, threshold=0.3)
        finder = RedFinder((64, 64, 3), plan=plan)
        decided = TASK.calibrate(finder, self.data)
        written = with_decided(finder.metadata, decided)
        # above 0.8: 3 right of 3, 3 of 4 found, F1 6/7; from 0.8: 4 right of 7, F1 8/11
        calm = sigmoid(raw_odds(np.array([0.8, 0.9])) / decided["temperature"] + decided["offset"])
        assert written["detection"]["threshold"] == pytest.approx(calm.mean(), abs=1e-3)
        again = Plan.from_dict(written["detection"])
        assert again == Plan(STRIDES, 1.0, 16.0, False, written["detection"]["threshold"])

    def test_it_decides_what_counts_as_found(self):
        low, high = (
            scoring.score(RedFinder((64, 64, 3), plan=Plan(STRIDES, threshold=threshold)), self.data, TASK)
            for threshold in (0.5, 0.85)
        )
        assert (low["precision"], low["recall"]) == (pytest.approx(4 / 7), 1.0)
        assert (high["precision"], high["recall"]) == (1.0, 0.75)
        assert low["ap50"] == high["ap50"] and (low["threshold"], high["threshold"]) == (0.5, 0.85)

    def test_without_boxes_to_choose_by_it_stays(self):
        artifact = RedFinder((64, 64, 3))
        assert TASK.calibrate(artifact, self.data.take(np.array([], int))) == {}
        assert TASK.calibrate(artifact, records([], [])) == {}


class Claiming(RedFinder):
    """Red with 0.9 and blue with 0.8, each as its temperature and offset have it."""

    def __init__(self, **about):
        super().__init__((64, 64, 3))
        self.metadata.update(about)

    def run_batch(self, images):
        found = super().run_batch(images)
        raw = raw_odds(found["scores"]) / self.metadata.get("temperature", 1.0) + self.metadata.get("offset", 0.0)
        return {**found, "scores": np.where(found["scores"] > 0, sigmoid(raw), 0).astype(np.float32)}


class TestCalibration:
    """Of 200 red boxes 180 are right, of 200 blue ones 100; the others are drawn where there is no box."""

    drawn = tuple([(5, 5, 25, 25, 0), (30, 30, 60, 55, 1)] for _ in range(200))
    data = records(
        *([box for box, there in zip(boxes, (k % 10 != 0, k % 2 == 0)) if there] for k, boxes in enumerate(drawn)),
        drawn=drawn,
    )

    def decided(self, finder):
        return {"detection": {**finder.metadata["detection"], "threshold": 0.01}}

    def test_a_score_is_the_chance_that_the_box_is_right(self):
        finder = Claiming()
        scores = TASK.score(*TASK.outputs(finder, self.data), LABELS, self.decided(finder))
        assert scores["ece"] == pytest.approx((0.0 + 0.3) / 2, abs=1e-3)  # 0.9 sure and right, 0.8 and 0.5
        decided = TASK.calibrate(finder, self.data)
        after = Claiming(**{key: decided[key] for key in ("temperature", "offset")})
        found, truth = TASK.outputs(after, self.data)
        calibrated = TASK.score(found, truth, LABELS, {**decided, **self.decided(finder)})
        assert calibrated["ece"] < 0.05 and calibrated["ece"] <= calibrated["calibration"]["by_chance"][1]
        assert calibrated["nll"] < scores["nll"] and calibrated["ap50"] == scores["ap50"]
        before = calibrated["calibration"]["before"]
        assert (before["ece"], before["nll"]) == (pytest.approx(scores["ece"], abs=1e-4), pytest.approx(scores["nll"]))

    def test_calibrating_again_changes_nothing_and_the_threshold_keeps_its_place(self):
        first = TASK.calibrate(Claiming(), self.data)
        again = TASK.calibrate(Claiming(temperature=first["temperature"], offset=first["offset"]), self.data)
        assert again["temperature"] == pytest.approx(first["temperature"], rel=1e-3)
        assert again["offset"] == pytest.approx(first["offset"], abs=1e-3)
        assert again["detection"]["threshold"] == pytest.approx(first["detection"]["threshold"], abs=1e-3)

    def test_few_boxes_leave_scores_nearly_as_they_are(self):
        decided = TASK.calibrate(Claiming(), self.data.take(np.array([1])))
        assert 0.5 < decided["temperature"] < 1.5 and abs(decided["offset"]) < 0.5

    def test_as_low_scores_enter_average_precision_as_before(self):
        low = RedFinder((64, 64, 3), scores=(LOWEST, LOWEST / 2))
        for about in ({}, {"temperature": 0.4, "offset": -1.0}, {"temperature": 3.0}):
            limit = lowest(about)
            said = sigmoid(
                raw_odds(np.array([LOWEST, LOWEST / 2])) / about.get("temperature", 1) + about.get("offset", 0)
            )
            assert said[0] >= limit - 1e-12 > said[1], about
        assert lowest(low.metadata) == LOWEST

    def test_a_detector_that_is_always_right_keeps_a_threshold_that_eight_bits_can_say(self):
        data = records(*([(5, 5, 25, 25, 0), (30, 30, 60, 55, 1)] for _ in range(300)))
        assert TASK.calibrate(Claiming(), data)["detection"]["threshold"] <= 255 / 256 - 1 / 512

    def test_boxes_that_find_what_is_ignored_claim_nothing(self):
        data = records([(5, 5, 25, 25, 0), (30, 30, 60, 55, 1, 1)])
        found, truth = TASK.outputs(Claiming(), data)
        assert TASK.chances(found, truth, LABELS).right.tolist() == [True]


def test_temperature_and_offset_are_in_the_graph():
    import keras

    from cnnkit_signs.model import DETECTORS

    keras.utils.set_random_seed(0)
    model = DETECTORS["default"]((64, 64, 3), 2, strides=(8,), width=8)
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype("float32")
    plain, whole = (
        keras.Model(model.input, KIND.finish(model, about))(images)
        for about in ({}, {"temperature": 0.5, "offset": -1.0})
    )
    expected = sigmoid(raw_odds(np.asarray(plain["scores"])) / 0.5 - 1.0)
    assert np.asarray(whole["scores"]) == pytest.approx(expected, rel=1e-3)
    assert np.array_equal(plain["boxes"], whole["boxes"])


def test_what_is_found_of_a_class_that_the_data_does_not_name_is_not_scored():
    rows = [[(5, 5, 25, 25, 0), (30, 30, 60, 55, 1)]] * 2
    part = records(*[row[:1] for row in rows], drawn=rows)
    assert scoring.score(RedFinder((64, 64, 3)), part, TASK)["precision"] == 0.5
    part.label_names = LABELS[:1]
    scores = scoring.score(RedFinder((64, 64, 3)), part.named(LABELS), TASK)
    assert scores["precision"] == scores["recall"] == 1


class TestBaseline:
    def test_what_stands_out_and_looks_like_training_is_found_wherever_it_lies(self):
        train, test = records(*some(12, (64, 64), 24)), records(*some(12, (64, 64), 24, seed=1))
        scores = TASK.baseline(train, test)
        assert scores["ap50"] > 0.9 and scores["ap50_interval"][0] < 1 and "12 images" in scores["name"]

    def test_without_pixels_to_see_nothing_is_found(self):
        rows = some(12, (64, 64), 24)
        assert TASK.baseline(records(*rows), records(*rows, drawn=[[]] * 12))["ap50"] == 0

    def test_another_class_is_no_hit(self):
        train = records(*[[(10, 10, 30, 30, 0)], [(40, 8, 60, 28, 1)]] * 3)
        named = records([(10, 10, 30, 30, 1)], drawn=[[(10, 10, 30, 30, 0)]])
        assert TASK.baseline(train, named)["ap50"] == 0

    def test_ignored_boxes_and_no_boxes_teach_nothing(self):
        for train in (records([(10, 10, 30, 30, 0, 1)]), records([], [])):
            assert TASK.baseline(train, records([(10, 10, 30, 30, 0)]))["ap50"] == 0


def test_the_gate_sees_boxes_of_classes_that_are_there():
    data = records([(5, 5, 25, 25, 0)], [(30, 30, 60, 55, 0)])
    scores = scoring.score(RedFinder((64, 64, 3)), data, TASK)
    view = gate.written(scores)
    assert (view["score"], view["count"]) == (pytest.approx(1), 2)
    assert view["per_class"] == {"red": pytest.approx(1)} and view["class_count"] == {"red": 2}
    assert gate.compare(scores, scores, *TASK.tolerance[:1], None, TASK.tolerance[1])["passed"]
    worse = Scores(dataclasses.replace(scores.headline, value=0.0, per_class={"red": 0.0}), count=2)
    assert len(gate.compare(scores, worse, 1.0)["refused"]) == 2


def test_a_table_has_points_and_leaves_empty_what_was_not_measured():
    data = records([(5, 5, 25, 25, 0)])  # no box is medium or large
    columns = TASK.columns(scoring.score(RedFinder((64, 64, 3)), data, TASK))
    assert columns["AP50 small"] == columns["precision %"] == "100.00"
    assert columns["medium"] == columns["large"] == "" and columns["images"] == "1"


def test_the_worst_errors_come_with_picture_and_name():
    data = records([(5, 5, 25, 25, 0)], [(30, 30, 60, 55, 1)], drawn=[[(5, 5, 25, 25, 0)], [(2, 2, 20, 20, 0)]])
    found, truth = scoring.outputs(RedFinder((64, 64, 3)), data, TASK)
    alarm, miss = TASK.top_losses(found, truth, data, LABELS, threshold=0.5)
    assert (alarm["kind"], alarm["found"], alarm["box"]) == (
        "false alarm",
        "red",
        pytest.approx([2, 2, 20, 20], abs=0.01),
    )
    assert (miss["kind"], miss["label"], miss["box"]) == ("missed", "blue", [30, 30, 60, 55])
    for entry in (alarm, miss):
        assert entry["name"] == "scene[1]" and np.array_equal(entry["picture"], data.native(1))


def test_what_is_shown_for_an_explanation_is_the_best_box_of_each_class():
    from cnnkit.models.detectors import detector
    from tests.contracts import images

    model = detector((32, 32, 3), 2, strides=(8, 16), width=8)
    shown, added = TASK.explained(model)
    pixels = images(2, 32, 32, 3)
    found, whole = np.array(shown(pixels, training=False)), np.array(model(pixels, training=False))
    np.testing.assert_allclose(found[:, :2], whole[..., 4:-3].max(1), atol=1e-6)
    assert found.shape == (2, 3) and not found[:, 2].any() and added == ["nothing"]


def test_training_is_told_what_there_is():
    from cnnkit.tasks.detection.loss import DetectionLoss

    assert isinstance(TASK.loss(None), DetectionLoss) and TASK.metrics() == []
    boxes = np.ones((2, 3, 6))
    assert TASK.encoder(5)(boxes) is boxes
    assert TASK.sample_weights(None, None) is None


def test_scores_without_a_file_have_the_threshold_of_the_best_f1():
    found = [Detections(np.array([[5, 5, 25, 25]], np.float32), np.array([0.6], np.float32), np.array([0], np.int32))]
    _, truth = scoring.outputs(RedFinder((64, 64, 3)), records([(5, 5, 25, 25, 0)]), TASK)
    for metadata in (None, {}, {"detection": None}):
        scores = TASK.score(found, truth, LABELS, metadata)
        assert scores["recall"] == 1.0 and scores["threshold"] == pytest.approx(0.6)
    assert TASK.score(found, truth, LABELS, {"detection": {"threshold": 0.7}})["recall"] == 0.0

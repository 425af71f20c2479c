"""The task of drawing masks: what a score is of, what validation data decide, which cases are worst."""

import dataclasses
import math

import numpy as np
import pytest

from cnnkit.device.segmentation import Plan
from cnnkit.errors import ConfigError
from cnnkit.evaluation.verdict import judge
from cnnkit.tasks.segmentation.masks import IGNORE
from cnnkit.tasks.segmentation.scoring import Case, Segmentation, cases, mean_dice
from tests.tasks.segmentation.test_views import records


def case(codes, patient=0, spacing=None):
    return Case(np.asarray(codes, np.uint8), None, spacing, patient, "a case")


def boxes(*places, size=(20, 20)):
    """A code map with squares of 4 px: (code, row, column)."""
    codes = np.zeros(size, np.uint8)
    for code, row, column in places:
        codes[row : row + 4, column : column + 4] = code
    return codes


TRUTH = [boxes((1, 2, 2), (2, 10, 10)), boxes((1, 2, 2)), boxes()]
FOUND = [boxes((1, 2, 4), (2, 10, 10)), boxes((1, 2, 2)), boxes()]


def test_a_score_is_of_cases_and_labels_first():
    scores = Segmentation().score(FOUND, [case(codes, k) for k, codes in enumerate(TRUTH)], ("a", "b"))
    assert scores["per_class"]["a"]["dice"] == pytest.approx((0.5 + 1) / 2)
    assert scores["per_class"]["b"]["dice"] == 1
    assert scores["dice"] == pytest.approx((0.75 + 1) / 2)
    assert scores.headline.per_class == {"a": pytest.approx(0.75), "b": 1}
    assert scores["labels"]["b"]["left_out"] == 2
    assert scores["per_class"]["b"]["support"] == 1
    assert scores.headline.per_record.tolist() == pytest.approx([0.75, 1, 1])
    assert mean_dice(FOUND, [case(codes) for codes in TRUTH], Plan(), ("a", "b")) == pytest.approx(scores["dice"])


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
@pytest.mark.parametrize("count", [1, 3])
def test_pictures_without_anything_in_them_are_said_to_tell_nothing(kind, count):
    """Where nothing is drawn either; what is invented scores nothing."""
    labels = ("a", "b") if kind == np.uint8 else ("a",)
    nothing = [boxes().astype(kind)] * count
    truth = [case(boxes(), k) for k in range(count)]
    scores = Segmentation().score(nothing, truth, labels)
    assert all(scores["per_class"][label]["dice"] is None for label in labels)
    judged = judge(scores, {"name": "a plain one", scores.headline.name: 0.0})
    assert judged["bad"]
    assert "Nothing can be scored" in judged["text"]
    invented = Segmentation().score([boxes((1, 2, 2)).astype(kind), *nothing[1:]], truth, labels)
    assert "undefined" not in invented
    assert invented.headline.value == 0
    assert "No better than chance" in judge(invented, None)["text"]


def test_a_label_that_never_occurs_leaves_the_others_their_scores():
    truth = [case(boxes((1, 2, 2)), k) for k in range(3)]
    scores = Segmentation().score([boxes((1, 2, 2))] * 3, truth, ("a", "b"))
    assert scores["dice"] == scores["per_class"]["a"]["dice"] == 1
    assert scores["per_class"]["b"]["dice"] is None
    assert "undefined" not in scores


def test_what_is_ignored_counts_nowhere():
    truth = boxes((1, 2, 2))
    truth[:, 10:] = IGNORE
    scores = Segmentation().score([boxes((1, 2, 2), (1, 2, 14))], [case(truth)], ("a",))
    assert scores["dice"] == 1
    assert scores["per_class"]["a"]["precision"] == 1


def test_intervals_resample_patients():
    """Four cases of one patient say no more of others than one case does."""
    truth = [boxes((1, 2, 2))] * 8
    found = [boxes((1, 2, 2))] * 4 + [boxes((1, 2, 4))] * 4
    of_patients = Segmentation().score(found, [case(codes, k // 4) for k, codes in enumerate(truth)], ("a",))
    of_cases = Segmentation().score(found, [case(codes, k) for k, codes in enumerate(truth)], ("a",))
    width = [np.ptp(scores["dice_interval"]) for scores in (of_patients, of_cases)]
    assert width[0] > 1.3 * width[1]
    assert (of_patients["patients"], of_cases["patients"]) == (2, 8)


def test_distances_are_in_mm_where_they_are_known():
    found, truth = [boxes((1, 2, 4))], boxes((1, 2, 2))
    plain = Segmentation().score(found, [case(truth)], ("a",))
    scaled = Segmentation().score(found, [case(truth, spacing=(0.5, 0.5))], ("a",))
    assert plain["units"]["hd95"] == "px"
    assert scaled["units"]["hd95"] == "mm"
    assert scaled["hd95"] == pytest.approx(plain["hd95"] / 2)


def test_labels_that_contain_one_another_are_scored_as_they_are():
    truth, found = boxes((1, 2, 2)), boxes((1, 2, 2))
    truth[3:5, 3:5] = 2
    scores = Segmentation(((1, 2), (2,))).score([found], [case(truth)], ("whole", "core"))
    assert scores["per_class"]["whole"]["dice"] == 1
    assert scores["per_class"]["core"]["dice"] == 0


def test_nothing_there_and_nothing_answered_is_no_score():
    scores = Segmentation().score([boxes()], [case(boxes())], ("a",))
    assert not math.isnan(scores["dice"])
    assert scores["labels"]["a"]["left_out"] == 1


def test_the_worst_cases_come_first():
    made = records([np.zeros((20, 20), np.uint8)] * 3, TRUTH, ("a", "b"))
    found = [FOUND[0], boxes(), boxes((2, 1, 1))]
    worst = Segmentation().top_losses(found, cases(made), made, ("a", "b"))
    assert [entry["index"] for entry in worst] == [1, 2, 0]
    assert (worst[1]["true"], worst[1]["predicted"]) == ("nothing", "b")
    assert (worst[0]["answer"] == 0).all()


class Says:
    """An artifact that answers with masks that it was given, whatever it sees: one window is a picture."""

    path = "says"

    def __init__(self, planes, labels):
        self.planes, self.labels, self.metadata = planes, labels, {}
        self.input_shape = (*planes[0].shape, 1)

    def run_batch(self, images):
        return {
            "scores": np.stack([self.planes[int(image[0, 0, 0])] for image in images])[..., None].astype(np.float32)
        }


def specked():
    """Return squares, the same each with a speck beside it, and records of the squares."""
    truth = [boxes((1, 2 + k, 2), size=(64, 64)) for k in range(4)]
    pictures = [np.full((64, 64), k, np.uint8) for k in range(4)]
    specks = [codes.copy() for codes in truth]
    for codes in specks:
        codes[50:52, 50:52] = 1
    return truth, specks, records(pictures, truth, ("a",), shape=(64, 64, 1))


def test_validation_data_decide_whether_small_pieces_count():
    """Each answer has a speck beside its square; without it all is right."""
    truth, specks, made = specked()
    decided = Segmentation(((1,),)).calibrate(Says(specks, ("a",)), made)
    assert decided["segmentation"]["smallest"] or decided["segmentation"]["largest"]
    untouched = Segmentation(((1,),)).calibrate(Says(truth, ("a",)), made)
    assert not untouched["segmentation"]["smallest"] and not untouched["segmentation"]["largest"]


def test_each_record_is_answered_by_what_never_saw_it():
    """The whole knows all records by heart; what answers them in its place has specks."""
    truth, specks, made = specked()
    task, asked = Segmentation(((1,),)), []
    task.answering = lambda artifact, index: asked.append(index) or Says(specks, ("a",))
    decided = task.calibrate(Says(truth, ("a",)), made)
    assert asked == [0, 1, 2, 3]
    assert decided["segmentation"]["smallest"] or decided["segmentation"]["largest"]


def test_without_validation_data_nothing_is_decided():
    made = records([], [], ("a",))
    assert Segmentation().calibrate(Says([np.zeros((4, 4))], ("a",)), made) == {}


def test_a_loss_that_there_is_not_is_refused():
    @dataclasses.dataclass
    class Settings:
        loss: str

    with pytest.raises(ConfigError, match="dice, tversky, focal, boundary. Got 'hinge'"):
        Segmentation().loss(Settings("hinge"))
    for name in ("dice", "tversky", "focal", "boundary"):
        assert Segmentation(((1,),)).loss(Settings(name)) is not None

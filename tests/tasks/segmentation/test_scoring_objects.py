"""Scores of masks, and what validation data decide: where objects are told apart."""

import numpy as np
import pytest

from cnnkit.device.segmentation import Plan
from cnnkit.evaluation.verdict import judge
from cnnkit.score import LESS, headline
from cnnkit.tasks.segmentation.records import MaskRecords
from cnnkit.tasks.segmentation.scoring import Case, Segmentation


def case(objects, patient=0):
    return Case((objects > 0).astype(np.uint8), objects, None, patient, f"case {patient}")


def row(*numbers):
    """Squares of 6 px in a row that touch, with these numbers, 0 for none: int32 (8, 6 * n)."""
    return np.pad(np.repeat(np.array(numbers, np.int32), 6)[None].repeat(6, 0), ((1, 1), (0, 0)))


@pytest.fixture
def task():
    return Segmentation(((1,),), apart=True)


def test_objects_come_first_in_the_scores(task):
    """Found 3 of 3; then one found, two merged: IoU 0.5 of the larger... is found with one of both, the other missed."""
    truth = [case(row(1, 2, 3), 0), case(row(1, 2, 0, 3), 1)]
    found = [row(4, 9, 7), row(1, 1, 0, 2)]
    scores = task.score(found, truth, ["cell"])
    assert headline(scores).name == "ap50"
    assert scores["ap50"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.headline.per_record.tolist() == pytest.approx([1, 2 / 3])
    assert scores["count_error"] == pytest.approx(0.5)
    assert scores["count_error_share"] == pytest.approx((0 + 1 / 3) / 2)
    assert scores["dice"] == 1
    assert scores["units"]["count_error"] == "objects"
    assert scores["per_class"]["cell"]["ap50"] == scores["ap50"]
    assert [scores["labels"]["cell"][key] for key in ("found", "missed", "invented")] == [5, 1, 0]
    assert task.columns(scores)["count error"] == "0.5"


def test_what_hangs_together_is_the_answer_of_a_code_map(task):
    truth = [case(row(1, 2, 3))]
    merged = (row(1, 1, 1) > 0).astype(np.uint8)
    assert task.score([merged], truth, ["cell"])["ap50"] == 0
    scores = task.score([row(1, 2, 3)], truth, ["cell"])
    assert judge(scores, {"name": "Otsu", "ap50": 0.0})["kind"] != "below"


def test_numbers_of_objects_are_scored_as_such_by_a_task_that_knows_no_data():
    found, truth = [row(1, 2, 3)], [case(row(1, 2, 3))]
    plan = {"segmentation": Plan(rim=1).to_dict()}
    assert Segmentation().score(found, truth, ["cell"]).headline.name == "ap50"
    assert Segmentation().score([(found[0] > 0).astype(np.uint8)], truth, ["cell"], plan)["ap50"] == 0
    assert Segmentation().score([(found[0] > 0).astype(np.uint8)], truth, ["cell"]).headline.name == "dice"


def test_a_picture_without_objects_that_is_answered_so_is_left_out(task):
    scores = task.score([row(1, 2), row(0, 0)], [case(row(1, 2), 0), case(row(0, 0), 1)], ["cell"])
    assert scores["ap50"] == 1
    assert scores.headline.per_record.tolist() == [1, 1]
    scores = task.score([row(1, 2), row(0, 1)], [case(row(1, 2), 0), case(row(0, 0), 1)], ["cell"])
    assert scores["ap50"] == 0.5


def test_fewer_miscounted_is_better():
    from cnnkit.tasks.segmentation.scoring import _kind_of

    assert _kind_of("count_error") == {"unit": "objects", "better": LESS}
    assert _kind_of("dice") == {}


def test_the_task_learns_inside_and_border():
    task = Segmentation(((1,),), apart=True)
    assert task.units(["cell"]) == 2
    assert task.headline == "ap50"
    assert Segmentation(((1,),)).units(["cell"]) == 1
    assert Plan(rim=2).channels(1) == Plan(rim=2).channels(2) == 3


class Records:
    """Pictures whose grey is what the network says of the inside."""

    plan = Plan(scale=1.0, rim=1)

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def native(self, index):
        return self.rows[index][0]

    def numbered(self, index):
        return self.rows[index][1]

    def spacing(self, index):
        return None


class Grey:
    input_shape = (32, 32, 1)
    labels = ("cell",)

    def __init__(self):
        self.metadata = {"segmentation": Records.plan.to_dict()}

    def run_batch(self, images):
        inside = images[..., 0].astype(np.float32) / 255
        there = (images[..., 0] > 0).astype(np.float32)
        return {"scores": np.stack([1 - there, inside, there - inside], -1)}


def test_validation_data_decide_where_objects_begin_and_how_small_they_are(task):
    """Between the cells the inside has 0.62; specks of 0.9 are none."""
    rows = []
    for shift in range(3):
        numbers = np.zeros((32, 32), np.int32)
        picture = np.zeros((32, 32), np.uint8)
        for k, left in enumerate((2, 10, 18), 1):
            numbers[4:12, left : left + 8] = k
            picture[4:12, left : left + 8] = 230
            picture[4:12, left + 7] = 158
        for k in range(4):
            picture[20 + shift, 4 + 6 * k : 7 + 6 * k] = 230
        rows.append((picture, numbers))
    decided = task.calibrate(Grey(), Records(rows))["segmentation"]
    assert decided["seed"] == 0.7
    assert 3 < decided["smallest"]["cell"] <= 22
    assert decided["threshold"] == 0.5
    assert task.calibrate(Grey(), Records([])) == {}


def test_the_report_orders_cases_by_the_score_that_stands_first(task):
    """In the first picture two objects are one, and every pixel is right; in the second a part of each is missing."""
    from cnnkit.tasks.segmentation import report

    class Shown:
        flattened = staticmethod(MaskRecords.flattened)

        @staticmethod
        def native(index):
            return np.full((8, 18), 100, np.uint8)

    truth = [case(row(1, 2, 0), 0), case(row(1, 0, 2), 1)]
    part = row(1, 0, 2)
    part[:3] = 0
    found = [row(1, 1, 0), part]
    scores = task.score(found, truth, ["cell"])
    assert [entry[0] for entry in scores["per_case"]["cell"]] == [1, pytest.approx(0.8)]
    section = report.extremes(scores, Shown, [(one > 0).astype(np.uint8) for one in found], truth, ((1,),), ["cell"])
    (pictures, *_) = (block for block in section.blocks if hasattr(block, "pictures"))
    notes = [picture.note for picture in pictures.pictures]
    assert [note.split(",")[0].split()[:4] for note in notes] == [["AP", "at", "IoU", "0.5"]] * 2
    assert ["Dice 100" in note for note in notes] == [True, False], (
        "the worst first, though all of its pixels are right"
    )
    early = {**scores, "per_case": {"cell": [entry[:3] for entry in scores["per_case"]["cell"]]}}
    section = report.extremes(early, Shown, [(one > 0).astype(np.uint8) for one in found], truth, ((1,),), ["cell"])
    (pictures, *_) = (block for block in section.blocks if hasattr(block, "pictures"))
    assert "Dice 80" in pictures.pictures[0].note
    assert report.cases(scores).blocks[0].charts[0].axes.startswith("AP at IoU 0.5")

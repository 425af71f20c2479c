"""Two data sets with boxes become one: labels united, boxes renamed, images seen as the first set has them."""

import numpy as np
import pytest

from cnnkit.data import records as data
from cnnkit.data.records import Splits
from cnnkit.device.detection import Plan
from cnnkit.tasks.detection.records import Boxes, BoxRecords


class Pages:
    """Grey images of one size; each has its number for a value."""

    def __init__(self, first, count, size=(40, 60)):
        self.first, self.count, self.size = first, count, size

    shape = (40, 60, 3)

    def __len__(self):
        return self.count

    def native(self, index):
        return np.full((*self.size, 3), self.first + index, np.uint8)

    def name(self, index):
        return f"page-{self.first + index}"

    def digest(self, indices, add):
        add(repr((self.first, list(indices))).encode())


def records(rows, names, *, first=0, plan=None, side=32, groups=None):
    """Records whose image k has boxes `rows[k]`: (left, top, right, bottom, class, ignored)."""
    flat = np.array([row for boxes in rows for row in boxes], float).reshape(-1, 6)
    sizes = np.array([(60, 40)] * len(rows))
    boxes = Boxes(np.cumsum([len(row) for row in rows]), flat[:, :4], flat[:, 4], flat[:, 5], sizes)
    strata = boxes.strata(len(names))
    shape = (side, side, 3)
    pages = Pages(first, len(rows))
    return BoxRecords(pages, strata, names, boxes=boxes, plan=plan or Plan(), input_shape=shape, groups=groups)


STOP, GO = (1, 2, 11, 12, 0, 0), (20, 5, 50, 35, 1, 0)


@pytest.fixture
def both():
    first = records([[STOP], [], [GO, STOP]], ("stop", "go"), plan=Plan((8, 16), scale=1.0, overlap=8.0))
    second = records([[(3, 3, 13, 13, 0, 1), (4, 4, 24, 24, 1, 0)], [STOP]], ("yield", "stop"), first=100, side=64)
    return first, second


def joined(first, second):
    card = {"title": "second", "warnings": ["odd"]}
    return data.join(Splits(first, first, first, {"warnings": ["old"]}), Splits(second, second, second, card))


def test_labels_are_united_and_boxes_have_the_classes_that_they_had(both):
    whole = joined(*both)
    assert whole.train.label_names == ("stop", "go", "yield") and len(whole.train) == 5
    assert whole.train.label_names == ("stop", "go", "yield") and whole.warnings == ["old", "odd"]
    found = [[whole.train.label_names[code] for code in whole.train.boxes(index)[1]] for index in range(5)]
    assert found == [["stop"], [], ["go", "stop"], ["yield", "stop"], ["yield"]]
    corners, _, ignored = whole.train.boxes(3)
    assert corners.tolist() == [[3, 3, 13, 13], [4, 4, 24, 24]] and ignored.tolist() == [True, False]
    assert whole.train.counts().tolist() == [3, 1, 1]


def test_images_follow_their_boxes_and_are_seen_as_the_first_set_has_them(both):
    whole = joined(*both).train
    assert whole.plan == both[0].plan and whole.input_shape == (32, 32, 3)
    assert [whole.name(index) for index in range(5)] == ["page-0", "page-1", "page-2", "page-100", "page-101"]
    assert [int(whole.native(index)[0, 0, 0]) for index in range(5)] == [0, 1, 2, 100, 101]
    images, targets = whole.read(np.array([4, 0]))
    assert images.shape == (2, 32, 32, 3) and 101 in images[0] and 101 not in images[1]
    assert targets[0, 0, 4] == 2 and targets[1, 0, 4] == 0


def test_views_of_records_are_joined_as_they_are_seen(both):
    first, second = both
    whole = joined(first.take(np.array([2, 0])), second.take(np.array([1]))).train
    assert [whole.name(index) for index in range(3)] == ["page-2", "page-0", "page-101"]
    assert [len(whole.boxes(index)[0]) for index in range(3)] == [2, 1, 1]
    assert whole.boxes(2)[1].tolist() == [2]
    assert whole.take(np.array([2, 1])).boxes(0)[1].tolist() == [2]


def test_the_whole_has_a_fingerprint_of_its_own(both):
    first, second = both
    prints = {joined(a, b).train.fingerprint() for a, b in ((first, second), (second, first), (first, first))}
    assert len(prints | {first.fingerprint(), second.fingerprint()}) == 5
    assert joined(first, second).train.fingerprint() == joined(first, second).train.fingerprint()


def test_groups_stay_apart(both):
    first = records([[STOP], [GO]], ("stop", "go"), groups=np.array([7, 7]))
    whole = joined(first, both[1]).train
    assert whole.groups[0] == whole.groups[1]
    assert len(set(whole.groups.tolist())) == 3


def test_a_stratum_is_the_rarest_class_of_both(both):
    whole = joined(*both).train
    assert [whole.label_names[code] for code in whole.labels] == ["stop", "stop", "go", "yield", "yield"]


def test_sets_without_a_box_or_an_image_can_be_joined(both):
    empty = both[1].take(np.array([], int))
    assert len(joined(both[0], empty).train) == 3
    assert joined(empty, both[0]).train.label_names == ("yield", "stop", "go")
    bare = records([[], []], ("stop",))
    assert joined(bare, both[1]).train.counts().tolist() == [1, 1]

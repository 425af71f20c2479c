"""Records with boxes: flat arrays that behave as lists of boxes, and views that keep them with their images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.data.records import Splits, join
from cnnkit.device.detection import Plan
from cnnkit.tasks.detection.boxes import MOST, Annotations, Box, Picture
from cnnkit.tasks.detection.records import Boxes, BoxRecords, boxes_of
from tests.toys import MemoryImages

LABELS = ("stop", "yield", "danger")
QUICK = settings(max_examples=40)


def boxes(*images, size=(80, 60)):
    """Boxes of images, each a list of (left, top, right, bottom, code[, ignored])."""
    rows = [(*row, 0)[:6] for image in images for row in image]
    table = np.array(rows, float).reshape(-1, 6)
    ends = np.cumsum([len(image) for image in images])
    return Boxes(ends, table[:, :4], table[:, 4], table[:, 5], np.tile(size, (len(images), 1)))


def listed(found):
    """The boxes of each image as (corners, code, ignored)."""
    images = (found.of(index) for index in range(len(found)))
    return [list(zip(corners.tolist(), codes.tolist(), ignored.tolist())) for corners, codes, ignored in images]


def records(found=None, plan=None, shape=(64, 64, 3), pixels=None, labels=LABELS):
    found = found or boxes([(10, 10, 40, 40, 0)], [], [(5, 5, 20, 20, 1), (30, 30, 60, 50, 2, 1)])
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (len(found), 60, 80, 3)).astype(np.uint8)
    strata = found.strata(len(labels))
    return BoxRecords(MemoryImages(pixels), strata, labels, boxes=found, plan=plan or Plan(), input_shape=shape)


IMAGES = st.lists(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=4), min_size=1, max_size=6)


def drawn(images):
    """Boxes of drawn lists of (code, ignored); where a box lies says which it is."""
    number = iter(range(1000))
    return boxes(*([(n := next(number), n, n + 5, n + 6, *row) for row in image] for image in images))


def test_each_image_has_its_own_boxes():
    found = boxes([(0, 1, 2, 3, 2)], [], [(4, 5, 6, 7, 0, 1), (8, 9, 10, 11, 1)])
    assert len(found) == 3
    assert listed(found) == [
        [([0, 1, 2, 3], 2, False)],
        [],
        [([4, 5, 6, 7], 0, True), ([8, 9, 10, 11], 1, False)],
    ]


@QUICK
@given(IMAGES, IMAGES)
def test_putting_together_puts_lists_together(first, second):
    one, other = drawn(first), drawn(second)
    both = one.plus(other)
    assert listed(both) == listed(one) + listed(other)
    assert both.sizes.tolist() == one.sizes.tolist() + other.sizes.tolist()


@QUICK
@given(IMAGES, st.data())
def test_taking_images_takes_their_lists_in_order(images, source):
    found = drawn(images)
    chosen = source.draw(st.lists(st.integers(0, len(images) - 1), max_size=6))
    part = found.take(np.array(chosen, int))
    assert listed(part) == [listed(found)[index] for index in chosen]
    assert len(part.sizes) == len(chosen)


@QUICK
@given(IMAGES, st.tuples(*[st.integers(-1, 3)] * 3))
def test_renaming_leaves_out_what_has_no_name(images, codes):
    found = drawn(images)
    expected = [[(c, codes[k], i) for c, k, i in image if codes[k] >= 0] for image in listed(found)]
    assert listed(found.renamed(codes)) == expected
    assert listed(found) == listed(drawn(images)), "the boxes it came from are as before"


def test_the_stratum_is_the_rarest_class_of_an_image():
    every = (
        [(0, 0, 9, 9, 0)],
        [(0, 0, 9, 9, 0), (0, 0, 9, 9, 1)],
        [],
        [(0, 0, 9, 9, 0), (0, 0, 9, 9, 2), (1, 1, 9, 9, 2)],
    )
    assert boxes(*every).strata(3).tolist() == [0, 1, 0, 2]


def test_annotations_become_boxes_with_codes_in_the_order_of_their_labels(tmp_path):
    pictures = (
        Picture("a.png", 40, 30, (Box("yield", 1, 2, 3.5, 4), Box("stop", 5, 6, 7, 8, {"difficult": 1}))),
        Picture("b.png", 20, 10),
    )
    found = boxes_of(Annotations(tmp_path, pictures, ("stop", "yield")))
    assert listed(found) == [[([1, 2, 3.5, 4], 1, False), ([5, 6, 7, 8], 0, True)], []]
    assert found.sizes.tolist() == [[40, 30], [20, 10]]


def test_annotations_without_any_box_become_images_without_boxes(tmp_path):
    found = boxes_of(Annotations(tmp_path, (Picture("a.png", 4, 3), Picture("b.png", 5, 6)), ("stop",)))
    assert listed(found) == [[], []]
    assert found.strata(1).tolist() == [0, 0]


def test_taking_takes_boxes_sizes_and_pixels_along():
    whole = records()
    part = whole.take(np.array([2, 0, 2]))
    for place, index in enumerate((2, 0, 2)):
        for one, other in zip(part.boxes(place), whole.boxes(index), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(part.native(place), whole.native(index))
        assert part.size(place) == whole.size(index) == (80, 60) and part.name(place) == whole.name(index)
    for one, other in zip(part.read(np.array([0, 1])), whole.read(np.array([2, 0])), strict=True):
        np.testing.assert_array_equal(one, other)
    assert part.labels.tolist() == [1, 0, 1]


def test_boxes_are_counted_without_ignored_ones():
    assert records().counts().tolist() == [1, 1, 0]
    assert records().take(np.array([2, 2])).counts().tolist() == [0, 2, 0]


def test_reading_gives_images_and_padded_boxes():
    images, targets = records().read(np.array([2, 1]))
    assert images.shape == (2, 64, 64, 3) and images.dtype == np.uint8
    assert targets.shape == (2, MOST, 6) and targets.dtype == np.float32
    scale = 64 / 80
    by_size = sorted(targets[0, :2].tolist(), key=lambda row: row[4])
    np.testing.assert_allclose(by_size[0], [5 * scale, 5 * scale, 20 * scale, 20 * scale, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(by_size[1], [30 * scale, 30 * scale, 60 * scale, 50 * scale, 2, -1], rtol=1e-6)
    assert not targets[0, 2:].any() and not targets[1].any()


def test_reading_wants_numbers_of_records():
    with pytest.raises(IndexError, match="from 0 to 2"):
        records().read(np.array([3]))


def test_another_size_of_whole_images_scales_their_boxes():
    half = records().with_shape((32, 32, 3))
    assert half.plan == Plan()
    _, before = records().read(np.arange(3))
    images, after = half.read(np.arange(3))
    assert images.shape[1:] == (32, 32, 3)
    np.testing.assert_allclose(after[0, 0, :4], before[0, 0, :4] / 2, rtol=1e-6)


def test_tiles_at_half_the_side_are_cut_at_half_the_scale_and_back():
    tiled = records(plan=Plan(scale=2.0, overlap=16.0, whole=True))
    half = tiled.with_shape((32, 32, 3))
    assert (half.plan.scale, half.plan.overlap, half.plan.whole) == (1.0, 8.0, True)
    assert half.input_shape == (32, 32, 3) and tiled.plan.scale == 2.0
    assert half.with_shape((64, 64, 3)).plan == tiled.plan
    assert tiled.with_shape((64, 64, 3)).plan == tiled.plan


def test_a_plan_comes_with_the_shape_of_the_input():
    plan = Plan((4, 8, 16), scale=1.5)
    changed = records().with_plan(plan, (96, 96, 3))
    assert changed.plan is plan and changed.read(np.array([0]))[0].shape == (1, 96, 96, 3)


class TestJoined:
    """Two data sets, with one class in common, put together split by split."""

    first = records(boxes([(1, 1, 30, 30, 0)], [(2, 2, 40, 40, 1)], size=(80, 60)), labels=("stop", "yield"))
    second = records(boxes([(3, 3, 50, 50, 0), (4, 4, 20, 20, 1, 1)], [], [(5, 5, 9, 9, 1)]), labels=("tram", "stop"))

    def whole(self):
        chosen = [np.array(index, int) for index in ([1, 0], [], [0])]
        parts = [Splits(*(part.take(index) for index in chosen)) for part in (self.first, self.second)]
        return join(*parts)

    def test_classes_of_one_name_are_one_and_boxes_stay_with_their_images(self):
        train = self.whole().train
        assert train.label_names == ("stop", "yield", "tram") and len(train) == 4
        names = [[train.label_names[code] for code in train.boxes(index)[1]] for index in range(4)]
        assert names == [["yield"], ["stop"], [], ["tram", "stop"]]
        assert train.boxes(3)[0].tolist() == [[3, 3, 50, 50], [4, 4, 20, 20]]
        assert train.boxes(3)[2].tolist() == [False, True]
        for index, (part, place) in enumerate([(self.first, 1), (self.first, 0), (self.second, 1), (self.second, 0)]):
            np.testing.assert_array_equal(train.native(index), part.native(place))
            assert train.size(index) == (80, 60)

    def test_the_whole_is_read_taken_and_counted_as_ever(self):
        whole = self.whole()
        assert whole.train.counts().tolist() == [1, 1, 1] and len(whole.validation) == 0
        assert whole.test.counts().tolist() == [1, 0, 1]
        part = whole.train.take(np.array([3]))
        images, targets = part.read(np.array([0]))
        assert images.shape == (1, 64, 64, 3) and sorted(targets[0, :2, 4:].tolist()) == [[0, -1], [2, 1]]
        assert part.fingerprint() != whole.train.fingerprint()


class TestFingerprint:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 60, 80, 3)).astype(np.uint8)

    def of(self, *rows, **changes):
        found = boxes(list(rows) or [(10, 10, 40, 40, 0)], [(1, 2, 30, 40, 1)])
        return records(found, pixels=self.pixels, **changes).fingerprint()

    def test_it_is_the_same_for_the_same_data(self):
        assert self.of() == self.of() and len(self.of()) == 64

    def test_it_changes_with_all_that_training_sees(self):
        others = [
            self.of(),
            self.of((10, 10, 40, 40.5, 0)),
            self.of((10, 10, 40, 40, 2)),
            self.of((10, 10, 40, 40, 0, 1)),
            self.of((10, 10, 40, 40, 0), (10, 10, 40, 40, 0)),
            self.of(plan=Plan(scale=2.0)),
            self.of(plan=Plan((4, 8, 16))),
            self.of(shape=(96, 96, 3)),
            self.of(labels=("stop", "yield", "other")),
            records(boxes([(10, 10, 40, 40, 0)], [(1, 2, 30, 40, 1)]), pixels=self.pixels + 1).fingerprint(),
        ]
        assert len(set(others)) == len(others)

    def test_it_does_not_change_with_the_path(self, tmp_path, save, picture):
        from cnnkit.inputs.image import folders

        found = []
        for name in ("here", "there"):
            save(tmp_path / name / "a.png", picture(0, 60, 80))
            images = folders.files(tmp_path / name, ["a.png"])
            one = boxes([(10, 10, 40, 40, 0)])
            made = BoxRecords(images, one.strata(3), LABELS, boxes=one, plan=Plan(), input_shape=(64, 64, 3))
            found.append(made.fingerprint())
        assert found[0] == found[1]

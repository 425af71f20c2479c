"""Views of pictures with masks: a function of (seed, step), picture and mask moved alike, left and right kept."""

import cv2
import numpy as np
import pytest

from cnnkit.device.segmentation import Plan
from cnnkit.tasks.segmentation.masks import alone
from cnnkit.tasks.segmentation.records import MaskRecords
from cnnkit.tasks.segmentation.views import Views, exchanged


class Held:
    """Pictures, or masks, in memory."""

    def __init__(self, arrays, names=(), regions=()):
        self.arrays, self.names, self.regions = arrays, names, regions

    shape = property(lambda self: (32, 32, 1))

    def __len__(self):
        return len(self.arrays)

    def native(self, index):
        return self.arrays[index]

    def name(self, index):
        return f"picture {index}"

    def objects(self, index):
        return None

    def spacing(self, index):
        return None

    def digest(self, indices, add):
        add(b"".join(self.arrays[index].tobytes() for index in indices))


def records(pictures, masks, labels, plan=None, shape=(32, 32, 1)):
    held = Held(masks, labels, alone(len(labels)))
    return MaskRecords(Held(pictures), None, labels, masks=held, plan=plan or Plan(), input_shape=shape)


@pytest.fixture
def two():
    """Two pictures that are brightest where their masks are: what moves them apart is seen."""
    rng = np.random.default_rng(0)
    pictures, masks = [], []
    for _ in range(2):
        mask = np.zeros((60, 48), np.uint8)
        cv2.ellipse(mask, (int(rng.integers(14, 34)), int(rng.integers(16, 44))), (11, 6), 30, 0, 360, 1, -1)
        cv2.rectangle(mask, (2, 2), (9, 12), 2, -1)
        masks.append(mask)
        pictures.append((20 + 110 * mask).astype(np.uint8))
    return pictures, masks


QUIET = {"gamma": 0, "light": 0, "contrast": 0, "often": 0, "tint": 0, "saturation": 0}


@pytest.mark.parametrize("scale", [None, 1.0, 0.7])
def test_a_mask_moves_as_its_picture_does(two, scale):
    views = Views(records(*two, ("disc", "box"), Plan(scale=scale)), seed=1, **QUIET)
    apart, mixed = [], []
    for step in range(12):
        pictures, codes = views(np.array([0, 1]), step)
        assert set(np.unique(codes)) <= {0, 1, 2}, "no code that was not there"
        differences = [np.abs(pictures[..., 0] - (20.0 + 110 * mask)).mean() for mask in (codes, codes[:, ::-1])]
        apart.append(differences[0])
        mixed.append(differences[1])
    assert np.mean(apart) < 5, "but for a rim, where the picture is between two values"
    assert np.mean(mixed) > 3 * np.mean(apart)


def test_a_view_is_a_function_of_seed_step_and_place(two):
    made = records(*two, ("disc", "box"))
    first, again, other = Views(made, seed=1), Views(made, seed=1), Views(made, seed=2)
    first(np.array([1, 0]), 3)
    for part in (0, 1):
        assert (first(np.array([0, 1]), 7)[part] == again(np.array([0, 1]), 7)[part]).all()
        assert (first(np.array([0, 1]), 7)[part] != again(np.array([0, 1]), 8)[part]).any()
        assert (first(np.array([0, 1]), 7)[part] != other(np.array([0, 1]), 7)[part]).any()
        assert (first(np.array([0, 0]), 7)[part][0] != first(np.array([0, 0]), 7)[part][1]).any()


def test_without_changes_a_whole_picture_is_what_is_answered(two):
    """The middle of a view is the middle of the picture, pixel for pixel."""
    pictures = [picture[:32, :32] for picture in two[0]]
    masks = [mask[:32, :32] for mask in two[1]]
    made = records(pictures, masks, ("disc", "box"))
    views = Views(made, seed=0, rotation=0, zoom=0, shift=0, elastic=0, flips=(), **QUIET)
    seen, codes = views(np.array([0, 1]), 0)
    assert (seen[..., 0] == np.stack(pictures)).all()
    assert (codes == np.stack(masks)).all()


def test_windows_lie_inside_and_often_around_a_label(two):
    picture = np.zeros((400, 400), np.uint8)
    mask = np.zeros((400, 400), np.uint8)
    mask[10:13, 380:390] = 1
    made = records([picture], [mask], ("small",), Plan(scale=1.0))
    rare = Views(made, seed=0, focus=0.0, **QUIET)
    often = Views(made, seed=0, focus=1.0, **QUIET)
    steps = range(60)
    counts = [sum(bool(views(np.array([0]), step)[1].any()) for step in steps) for views in (rare, often)]
    assert counts[0] < 12
    assert counts[1] > 50


def test_records_are_read_alike_each_time_and_pixel_for_pixel(two):
    made = records(*two, ("disc", "box"), Plan(scale=1.0))
    pictures, codes = made.read(np.array([0, 1]))
    assert (pictures == made.read(np.array([0, 1]))[0]).all()
    for picture, mask, native in zip(pictures[..., 0], codes, two[0], strict=True):
        places = [
            (top, left)
            for top in range(native.shape[0] - 31)
            for left in range(native.shape[1] - 31)
            if (native[top : top + 32, left : left + 32] == picture).all()
        ]
        assert places, "a window of the very pixels"
        assert ((picture > 20) == (mask > 0)).all()


# Left and right -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("vessel", "lesion"), [1, 2]),
        (("left kidney", "right kidney", "liver"), [2, 1, 3]),
        (("kidney_right", "kidney_left"), [2, 1]),
        (("Lung L", "Lung R"), [2, 1]),
        (("left kidney", "liver"), None),
        (("left kidney", "right lung"), None),
        (("bright", "upright", "cleft"), [1, 2, 3]),
    ],
)
def test_labels_that_say_left_or_right_have_counterparts_or_none(labels, expected):
    table = exchanged(labels)
    assert (None if table is None else table[1 : len(labels) + 1].tolist()) == expected
    if table is not None:
        assert table[0] == 0
        assert table[255] == 255


def sides(labels):
    """A picture whose left is dark and whose right is bright, masked so; of code 1 in the left half, 2 in the right."""
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 4:12], mask[8:24, 20:28] = 1, 2
    return records([np.where(mask == 2, 200, 40 * mask).astype(np.uint8)], [mask], labels)


def test_a_flip_across_exchanges_left_and_right():
    views = Views(sides(("left", "right")), seed=0, rotation=10, flips=(0, 1), **QUIET)
    flipped = 0
    for step in range(20):
        pictures, codes = views(np.array([0]), step)
        columns = [np.nonzero(codes[0] == code)[1] for code in (1, 2)]
        assert columns[0].mean() < columns[1].mean(), "left stays left"
        flipped += pictures[0, :, :, 0][codes[0] == 1].mean() > 100
    assert 3 < flipped < 17, "what was bright on the right is on the left now, and called left"


def test_without_a_counterpart_nothing_is_flipped_across():
    views = Views(sides(("left kidney", "tumour")), seed=0, rotation=10, flips=(0, 1), **QUIET)
    for step in range(20):
        _, codes = views(np.array([0]), step)
        columns = [np.nonzero(codes[0] == code)[1] for code in (1, 2)]
        assert columns[0].mean() < columns[1].mean()

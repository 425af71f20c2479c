"""Views: boxes go where their pixels go, whatever is done to an image, and every view is a function of seed and step."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.device.detection import Plan, fitted
from cnnkit.tasks.detection.boxes import MOST
from cnnkit.tasks.detection.records import Boxes, BoxRecords
from cnnkit.tasks.detection.views import SMALLEST, Views, rarity

SIDE = 96
WHOLE, TILED = Plan(), Plan(scale=1.0, overlap=32.0)
AS_IT_IS = {"stops": 0.0, "contrast": 0.0, "saturation": 0.0, "tint": 0.0, "blur": 0.0}
QUICK = settings(max_examples=60)


class AnyImages:
    """Images of any sizes, in a list."""

    shape = (SIDE, SIDE, 3)

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def native(self, index):
        return self.images[index]


def records(images, rows, plan=WHOLE, side=SIDE):
    """Records of images, each with a list of (left, top, right, bottom, code[, ignored])."""
    table = np.array([(*row, 0)[:6] for image in rows for row in image], float).reshape(-1, 6)
    ends = np.cumsum([len(image) for image in rows])
    sizes = [image.shape[1::-1] for image in images]
    boxes = Boxes(ends, table[:, :4], table[:, 4], table[:, 5], sizes)
    strata = np.zeros(len(images), int)
    return BoxRecords(AnyImages(images), strata, ("a", "b", "c"), boxes=boxes, plan=plan, input_shape=(side, side, 3))


def bright(height, width, box):
    """A black image with one white rectangle."""
    image = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


def extent(image):
    """The bounding box of what is bright, or None."""
    y, x = np.nonzero(image[..., 0] > 127)  # half of it: an edge that is enlarged runs through there
    return (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else None


def some(count=5, plan=WHOLE, seed=0):
    """Records of noise with some boxes."""
    rng = np.random.default_rng(seed)
    images = [
        rng.integers(0, 256, (rng.integers(40, 200), rng.integers(40, 200), 3)).astype(np.uint8) for _ in range(count)
    ]
    rows = [[(*(corner := rng.uniform(0, 20, 2)), *(corner + rng.uniform(8, 20, 2)), n % 3)] for n in range(count)]
    return records(images, rows, plan)


@st.composite
def scenes(draw):
    """Height, width and a rectangle inside."""
    height, width = draw(st.integers(10, 700)), draw(st.integers(10, 700))
    left, top = draw(st.integers(0, width - 4)), draw(st.integers(0, height - 4))
    return height, width, (left, top, draw(st.integers(left + 3, width)), draw(st.integers(top + 3, height)))


def check(image, target):
    """Whether the one box of a view lies where the view is bright."""
    there, seen = extent(image), target[target[:, 5] != 0]
    assert len(seen) <= 1
    if len(seen) and seen[0, 5] == 1:
        assert there is not None, "a box without its pixels"
        assert np.abs(seen[0, :4] - there).max() <= 1.5, (seen, there)
    elif there is not None and len(seen) == 0:
        assert min(there[2] - there[0], there[3] - there[1]) <= 1, "pixels without their box"


@QUICK
@given(scenes(), st.sampled_from([WHOLE, TILED, Plan(scale=1.7)]), st.integers(0, 1000), st.booleans())
def test_a_box_lies_where_its_pixels_lie(scene, plan, step, mirror):
    height, width, box = scene
    data = records([bright(height, width, box)], [[(*box, 1)]], plan)
    views = Views(data, 3, mosaic=0.0, mirror=mirror, **AS_IT_IS)
    images, targets = views(np.zeros(2, int), step)
    for image, target in zip(images, targets, strict=True):
        check(image, target)


@QUICK
@given(scenes(), st.sampled_from([WHOLE, TILED]))
def test_a_box_in_a_still_view_lies_where_its_pixels_lie(scene, plan):
    height, width, box = scene
    images, targets = records([bright(height, width, box)], [[(*box, 1)]], plan).read(np.array([0]))
    check(images[0], targets[0])


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("plan", [WHOLE, TILED])
def test_boxes_lie_where_their_pixels_lie_in_mosaics(plan, mirror):
    rng = np.random.default_rng(1)
    images, rows = [], []
    for code in range(3):
        height, width = rng.integers(90, 300, 2)
        left, top = rng.integers(0, width - 40), rng.integers(0, height - 40)
        box = (left, top, left + rng.integers(25, 40), top + rng.integers(25, 40))
        image = np.zeros((height, width, 3), np.uint8)
        image[box[1] : box[3], box[0] : box[2], code] = 255  # its colour says which it is
        images.append(image)
        rows.append([(*box, code)])
    views = Views(records(images, rows, plan), 0, mosaic=1.0, mirror=mirror, **AS_IT_IS)
    several = found = 0
    for step in range(60):
        pages, targets = views(np.arange(3), step)
        for page, target in zip(pages, targets, strict=True):
            seen = target[target[:, 5] == 1]
            several += len(seen) > 1
            for left, top, right, bottom, code, _ in seen:
                mine, others = page[..., int(code)].astype(int), np.delete(page, int(code), 2).max(2)
                mask = (mine > 127) & (others < 100)
                window = mask[max(0, round(top) - 1) : round(bottom) + 1, max(0, round(left) - 1) : round(right) + 1]
                core = mask[round(top) + 2 : round(bottom) - 2, round(left) + 2 : round(right) - 2]
                assert core.all(), "a box without its pixels"
                y, x = np.nonzero(window)
                wide, high = x.max() - x.min() + 1, y.max() - y.min() + 1
                assert abs(wide - (right - left)) <= 1.5 and abs(high - (bottom - top)) <= 1.5
                found += 1
    assert several > 30 and found > 150


def test_a_view_is_a_function_of_seed_step_and_place():
    data = some()
    views, again = Views(data, 7, mirror=True), Views(data, 7, mirror=True)
    later = views(np.array([3, 1, 4, 1]), 12)
    views(np.array([0]), 5)
    for one, other in zip(later, again(np.array([3, 1, 4, 1]), 12), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(later, views(np.array([3, 1]), 12), strict=True):
        np.testing.assert_array_equal(one[:2], other)  # of the place, not of the batch
    pages = later[0]
    assert not np.array_equal(pages[1], pages[3]), "one record, two places"
    assert not np.array_equal(pages, views(np.array([3, 1, 4, 1]), 13)[0])
    assert not np.array_equal(pages, Views(data, 8, mirror=True)(np.array([3, 1, 4, 1]), 12)[0])


def test_still_views_are_alike_in_every_step_and_place():
    for plan in (WHOLE, TILED):
        data = some(plan=plan)
        first = data.read(np.array([2, 0]))
        for one, other in zip(first, Views(data, 0, still=True)(np.array([0, 2]), 99), strict=True):
            np.testing.assert_array_equal(one, other[::-1])


@QUICK
@given(st.integers(10, 700), st.integers(10, 700))
def test_still_views_of_whole_images_are_what_a_device_sees(height, width):
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(np.uint8)
    seen = records([image], [[]]).read(np.array([0]))[0][0].astype(int)
    expected, scale = fitted(image, (SIDE, SIDE, 3))
    if scale < 0.9 or scale == 1:
        np.testing.assert_array_equal(seen, expected)
    elif scale > 1:
        assert np.abs(seen - expected).max() <= 1  # the two ways to enlarge round otherwise
    else:
        assert np.abs(seen - expected).mean() < 15  # shrunk a little, by another filter


def test_a_still_view_of_a_tiled_plan_holds_a_box_where_there_is_one():
    rng = np.random.default_rng(0)
    images, rows = [], []
    for code in range(40):
        height, width = rng.integers(30, 600, 2)
        size = rng.integers(6, 28, 2)
        left, top = rng.integers(0, width - size[0] + 1), rng.integers(0, height - size[1] + 1)
        images.append(np.zeros((height, width, 3), np.uint8))
        rows.append([(left, top, left + size[0], top + size[1], code % 3)])
    _, targets = records(images, rows, TILED).read(np.arange(40))
    assert (targets[:, 0, 5] == 1).all()
    for target, ((left, top, right, bottom, code),) in zip(targets, rows, strict=True):
        shown = target[0, 2:4] - target[0, :2]
        assert np.abs(shown - (right - left, bottom - top)).max() <= 1 and target[0, 4] == code  # whole, to rounding


def test_training_looks_mostly_at_boxes():
    image = np.zeros((900, 900, 3), np.uint8)
    data = records([image], [[(400, 410, 420, 430, 0)]], TILED)
    shares = []
    for focus in (0.0, 0.8, 1.0):
        views = Views(data, 0, focus=focus, mosaic=0.0)
        shares.append(np.mean([(views(np.zeros(10, int), step)[1][:, 0, 5] == 1).mean() for step in range(20)]))
    assert shares[0] < 0.15 and 0.7 < shares[1] < 0.95 and shares[2] > 0.99


def test_a_box_of_which_little_is_seen_is_ignored():
    image = np.zeros((96, 200, 3), np.uint8)
    data = records([image], [[(90, 10, 120, 40, 0), (86, 50, 116, 80, 1), (96, 20, 126, 40, 2)]])
    page = np.zeros((96, 96, 3), np.uint8)
    views = Views(data, 0, still=True)
    views._scale = lambda height, width: 1.0  # the view is then the left of the image, which it ends at 96
    found = views._view(page, 0, np.random.default_rng(0))
    assert found.tolist() == [[90, 10, 96, 40, 0, -1], [86, 50, 96, 80, 1, 1]]  # 6 of 30 px; 10 of 30; none


def test_a_box_too_small_to_tell_is_ignored():
    image = np.zeros((960, 960, 3), np.uint8)  # seen at a tenth
    low = 10 * SMALLEST
    data = records([image], [[(100, 100, 100 + low + 1, 200, 0), (300, 300, 300 + low - 1, 400, 1)]])
    target = data.read(np.array([0]))[1][0]
    assert {int(row[4]): int(row[5]) for row in target if row[5]} == {0: 1, 1: -1}


def test_ignored_boxes_stay_ignored_and_are_not_looked_for():
    image = np.zeros((900, 900, 3), np.uint8)
    data = records([image], [[(400, 410, 420, 430, 0, 1)]], TILED)
    views = Views(data, 0, focus=1.0, mosaic=0.0)
    kinds = np.concatenate([views(np.zeros(10, int), step)[1][:, 0, 5] for step in range(20)])
    assert set(kinds.tolist()) == {-1.0, 0.0} and (kinds == -1).mean() < 0.2
    data = records([image], [[(400, 410, 420, 430, 0, 1), (700, 100, 720, 120, 1)]], TILED)
    targets = np.concatenate([Views(data, 0, focus=1.0, mosaic=0.0)(np.zeros(10, int), step)[1] for step in range(5)])
    assert (targets[:, 0, 4:] == (1, 1)).all()


def test_of_too_many_boxes_the_largest_are_kept():
    image = np.zeros((96, 96, 3), np.uint8)
    rng = np.random.default_rng(0)
    sides = rng.permutation(np.linspace(4, 60, MOST + 8))
    target = records([image], [[(1, 1, 1 + side, 1 + side, 0) for side in sides]]).read(np.array([0]))[1][0]
    kept = target[:, 2] - target[:, 0]
    np.testing.assert_allclose(kept, np.sort(sides)[::-1][:MOST], rtol=1e-5)


def test_half_of_the_views_are_mirrored_where_that_is_asked_for_only():
    image = np.zeros((96, 96, 3), np.uint8)
    image[:, :48] = 255
    data = records([image], [[(2, 2, 94, 94, 0)]])
    ways = dict.fromkeys((False, True))
    for mirror in ways:
        views = Views(data, 0, scale=(1.0, 1.0 + 1e-9), aspect=1.0, mosaic=0.0, mirror=mirror, **AS_IT_IS)
        pages = np.concatenate([views(np.zeros(20, int), step)[0] for step in range(5)])
        ways[mirror] = (pages[:, 48, 90, 0] > 127).mean()
    assert ways[False] == 0 and 0.35 < ways[True] < 0.65


def test_images_without_boxes_grey_and_transparent_ones_are_shown_too():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape).astype(np.uint8) for shape in ((50, 70), (70, 50, 4), (3, 400, 3), (1, 1, 3))]
    for plan in (WHOLE, TILED):
        data = records(images, [[], [], [], []], plan)
        for step in range(5):
            pages, targets = Views(data, 0, mirror=True)(np.arange(4), step)
            assert pages.shape == (4, SIDE, SIDE, 3) and not targets.any()
        assert np.ptp(data.read(np.array([0]))[0]) > 100


class TestLight:
    """Colours of a view; the geometry is held still by a scale of one on an image of the view's own size."""

    geometry = MappingProxyType({"scale": (1.0, 1.0), "aspect": 1.0, "mosaic": 0.0})

    def page(self, image, seed=0, **changed):
        data = records([image], [[]])
        return Views(data, seed, **{**self.geometry, **AS_IT_IS, **changed})(np.array([0]), 3)[0][0].astype(float)

    def image(self, low=60, high=120):
        return np.random.default_rng(0).integers(low, high, (SIDE, SIDE, 3)).astype(np.uint8)

    def test_without_change_an_image_is_as_it_is(self):
        np.testing.assert_array_equal(self.page(self.image()), self.image())

    @pytest.mark.parametrize("seed", range(4))
    def test_light_is_the_same_factor_everywhere(self, seed):
        image = self.image()
        page = self.page(image, seed, stops=0.7)
        gain = page.mean() / image.mean()
        assert 2**-0.71 < gain < 2**0.71 and abs(gain - 1) > 0.01
        assert np.abs(page - gain * image).max() <= 1.5

    def test_contrast_keeps_the_mean(self):
        image = self.image()
        pages = [self.page(image, seed, contrast=0.4) for seed in range(8)]
        assert max(abs(page.mean() - image.mean()) for page in pages) < 1.5
        spread = np.array([page.std() / image.std() for page in pages])
        assert 0.59 < spread.min() < 0.9 and 1.1 < spread.max() < 1.41

    @pytest.mark.parametrize("seed", range(4))
    def test_saturation_leaves_grey_and_brightness(self, seed):
        grey = np.repeat(self.image()[..., :1], 3, -1)
        assert np.abs(self.page(grey, seed, saturation=0.5) - grey).max() <= 1
        page, image = self.page(self.image(), seed, saturation=0.5), self.image().astype(float)
        assert np.abs(page.mean(-1) - image.mean(-1)).max() <= 1
        assert 0.49 < np.ptp(page, -1).mean() / np.ptp(image, -1).mean() < 1.51

    def test_a_tint_changes_colours_against_one_another_a_little(self):
        image = self.image()
        shares = (self.page(image, tint=0.06) / image).mean((0, 1))
        assert np.ptp(shares) > 0.005 and np.abs(shares - 1).max() < 0.07

    def test_some_views_are_blurred(self):
        image = self.image()
        sharpness = [np.abs(np.diff(self.page(image, seed, blur=0.5), axis=1)).mean() for seed in range(20)]
        sharp = np.abs(np.diff(image.astype(float), axis=1)).mean()
        blurred = np.mean(np.array(sharpness) < 0.9 * sharp)
        assert 0.2 < blurred < 0.8

    def test_a_grey_input_changes_too(self):
        data = records([self.image()], [[(4, 4, 30, 30, 0)]]).with_shape((SIDE, SIDE, 1))
        first, second = (Views(data, 0)(np.array([0]), step)[0] for step in (0, 1))
        assert first.shape == (1, SIDE, SIDE, 1) and not np.array_equal(first, second)

    def test_a_still_view_has_its_own_colours(self):
        images, _ = records([self.image()], [[]]).read(np.array([0]))
        np.testing.assert_array_equal(images[0], self.image())


def test_rare_classes_are_seen_more_often_in_mosaics():
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    common, rare, never = (10, 10, 40, 40, 0), (50, 10, 80, 40, 1), (10, 50, 40, 80, 2, 1)
    rows = [[common]] * 6 + [[common, rare], [], [rare, never]]  # class 0 in 7 images, 1 in 2, 2 only to be ignored
    data = records([image] * len(rows), rows)
    np.testing.assert_allclose(rarity(data), [1] * 6 + [3.5, 1, 3.5])
    drawn = np.zeros(len(rows))
    views = Views(data, 0, mosaic=1.0)
    seen = data.boxes
    views.records.boxes = lambda index: drawn.__setitem__(index, drawn[index] + 1) or seen(index)
    for step in range(300):
        views(np.zeros(8, int), step)
    drawn[0] -= 300 * 8  # the first of each mosaic
    assert drawn.sum() == 300 * 8 * 3
    np.testing.assert_allclose(drawn / drawn.sum(), rarity(data) / rarity(data).sum(), atol=0.02)

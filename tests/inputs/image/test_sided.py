"""Pictures are mirrored in training only where a mirror leaves them what they are, as far as they show it."""

import numpy as np
import pytest

from cnnkit.inputs.image.images import Images
from cnnkit.inputs.image.loading import load
from cnnkit.inputs.image.pictures import ImageSource
from cnnkit.inputs.image.records import ImageRecords
from cnnkit.inputs.image.sided import against_mirrors


def arrow(rng, points):
    """A triangle that points left (-1), right (1) or up (0), of many sizes, in noise."""
    picture = rng.integers(0, 90, (24, 24)).astype(np.uint8)
    size, middle = rng.integers(6, 10), rng.integers(10, 14, 2)
    y, x = np.mgrid[:24, :24] - middle[:, None, None]
    along, across = (y, x) if points == 0 else (points * x, y)
    picture[(np.abs(along) < size) & (np.abs(across) < (size - along) / 2)] = 220
    return picture


def stripes(rng, kind):
    """A texture: stripes down or across, which a mirror leaves what they are."""
    picture = np.tile(rng.integers(0, 255, 24).astype(np.uint8), (24, 1))
    return picture if kind == 0 else picture.T


def half(rng, side):
    """A picture whose one half is bright."""
    picture = rng.integers(0, 90, (24, 24)).astype(np.uint8)
    picture[:, 12 * side : 12 * side + 12] += 120
    return picture


def lit(rng, kind):
    """A texture in light from the left, more or less of it."""
    light = np.linspace(1, rng.uniform(0.2, 0.8), 24)
    return (stripes(rng, kind) * light).astype(np.uint8)


def records(draw, kinds, each=24, groups=None):
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(len(kinds)), each)
    pictures = np.stack([draw(rng, kinds[code]) for code in codes])
    names = [str(kind) for kind in kinds]
    return ImageRecords(
        ImageSource(pictures), codes, names, groups=None if groups is None else np.arange(len(codes)) // groups
    )


TOO_FEW = "There are too few pictures to see whether they are the same in a mirror"
SIDED = "Pictures are not the same in a mirror, such as those of "


@pytest.mark.parametrize("each, groups", [(24, None), (24, 3), (12, None), (400, None)])
@pytest.mark.parametrize(
    "draw, kinds, named", [(arrow, (0, -1, 1), ("-1", "1")), (arrow, (0, 1), ("1",)), (half, (0, 1), "01")]
)
def test_pictures_with_a_side_are_found_and_named(draw, kinds, named, each, groups):
    why = against_mirrors(records(draw, kinds, each, groups))
    assert why.startswith(SIDED) and why.removeprefix(SIDED) in named


@pytest.mark.parametrize("each", [10, 24, 200])
@pytest.mark.parametrize("draw", [stripes, lit])
def test_what_a_mirror_leaves_alone_has_none(draw, each):
    assert against_mirrors(records(draw, (0, 1), each)) == ""


def test_pictures_without_anything_on_them_have_none():
    assert against_mirrors(records(lambda rng, kind: np.full((24, 24), 40 * kind, np.uint8), (0, 1))) == ""


@pytest.mark.parametrize(
    "draw, kinds, each, groups",
    [
        *(
            (draw, kinds, each, groups)
            for draw, kinds in ((stripes, (0, 1)), (arrow, (-1, 1)))
            for each, groups in ((1, None), (3, None), (24, 24))
        ),
        (arrow, (-1, 1), 24, 12),
        (arrow, (-1, 1), 24, 8),
    ],
)
def test_few_pictures_or_groups_do_not_say_it(draw, kinds, each, groups):
    assert against_mirrors(records(draw, kinds, each, groups)) == TOO_FEW


def test_of_many_classes_and_pictures_some_are_read():
    class Counted(ImageSource):
        read_so_far = 0

        def read(self, indices, shape):
            type(self).read_so_far += len(indices)
            return super().read(indices, shape)

    few = records(stripes, tuple(range(2)) * 200, each=6)
    many = ImageRecords(Counted(np.stack([few.native(k) for k in range(len(few))])), few.labels, few.label_names)
    assert against_mirrors(many) == "" and Counted.read_so_far == 600


def test_a_side_is_found_in_pictures_whatever_is_learnt_of_them():
    class Numbers:
        def read(self, indices):
            return np.ones((len(indices), 2), np.float32)

        def digest(self, indices, add):
            pass

    known = records(arrow, (-1, 1))
    assert against_mirrors(ImageRecords(known._source, known.labels, known.label_names, targets=Numbers()))
    assert (
        against_mirrors(ImageRecords(known._source, targets=Numbers())) == ""
    )  # as many of each, and one class of all


def test_a_preset_mirrors_only_where_nothing_speaks_against_it():
    inputs = Images()
    preset = {"mirror": True, "epochs": 3}
    for given, why in (((arrow, (0, 1)), SIDED + "1"), ((stripes, (0, 1), 3), TOO_FEW)):
        suited, lines = inputs.suited(preset, records(*given))
        assert suited == {"mirror": False, "epochs": 3}
        assert lines == [f"{why}, so none is mirrored in training. `mirror` mirrors them."]
    assert inputs.suited(preset, records(stripes, (0, 1))) == (preset, [])
    assert inputs.suited({"epochs": 3}, records(arrow, (-1, 1))) == ({"epochs": 3}, [])  # it is not looked for


def drawn(records, each, seed):
    """So many groups of each class, drawn by a seed."""
    rng = np.random.default_rng(seed)
    groups = np.arange(len(records)) if records.groups is None else records.groups
    chosen = [
        rng.permutation(np.unique(groups[records.labels == code]))[:each] for code in range(len(records.label_names))
    ]
    return records.take(np.flatnonzero(np.isin(groups, np.concatenate(chosen))))


@pytest.mark.parametrize("name, few, sided", [("gtsrb-small", 2, True), ("neu-surfaces", 10, False)])
def test_traffic_signs_have_a_side_and_steel_has_none(name, few, sided, research_data):
    train = load(research_data(name)).train
    for part in (train, drawn(train, few, 0), drawn(train, few, 1)):
        assert against_mirrors(part).startswith(SIDED) if sided else not against_mirrors(part)


@pytest.mark.parametrize("count", [60, 120, 1200])
def test_drawn_surfaces_are_mirrored(count):
    assert against_mirrors(load("drawn-surfaces", limit=count).train) == ""

"""Labels that a mirror exchanges are found in the pictures, and pictures are not mirrored then."""

import numpy as np
import pytest

from cnnkit.inputs.image.images import Images
from cnnkit.inputs.image.pictures import ImageSource
from cnnkit.inputs.image.records import ImageRecords
from cnnkit.inputs.image.sided import exchanged


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


def records(draw, kinds, each=24, groups=None):
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(len(kinds)), each)
    pictures = np.stack([draw(rng, kinds[code]) for code in codes])
    names = [str(kind) for kind in kinds]
    return ImageRecords(
        ImageSource(pictures), codes, names, groups=None if groups is None else np.arange(len(codes)) // groups
    )


@pytest.mark.parametrize("groups", [None, 3])
def test_left_and_right_are_found_and_what_a_mirror_leaves_alone_is_not(groups):
    assert exchanged(records(arrow, (0, -1, 1), groups=groups)) == [("-1", "1")]


@pytest.mark.parametrize("draw, kinds", [(arrow, (0, 1)), (stripes, (0, 1))])
def test_without_a_counterpart_nothing_is_exchanged(draw, kinds):
    assert exchanged(records(draw, kinds)) == []


def test_classes_of_too_few_pictures_say_nothing():
    assert exchanged(records(arrow, (-1, 1), each=3)) == []


def test_pictures_with_other_targets_have_no_such_labels():
    class Numbers:
        def read(self, indices):
            return np.ones((len(indices), 2), np.float32)

    known = records(arrow, (-1, 1))
    measured = ImageRecords(known._source, known.labels, known.label_names, targets=Numbers())
    assert exchanged(known) and exchanged(measured) == []


def test_a_preset_that_mirrors_does_not_where_labels_are_exchanged():
    inputs = Images()
    preset = {"mirror": True, "epochs": 3}
    suited, lines = inputs.suited(preset, records(arrow, (0, -1, 1)))
    assert suited == {"mirror": False, "epochs": 3}
    assert lines == ["In a mirror -1 looks like 1, so no picture is mirrored in training. `mirror` mirrors them."]
    assert inputs.suited(preset, records(stripes, (0, 1))) == (preset, [])
    assert inputs.suited({"epochs": 3}, records(arrow, (-1, 1))) == ({"epochs": 3}, [])  # it is not looked for

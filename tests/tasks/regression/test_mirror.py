"""Mirrored pictures, whose values change sign where they have a side; losses in units."""

import numpy as np
import pytest

from cnnkit import augment
from cnnkit.tasks.regression.losses import ScaledError, ScaledLoss
from cnnkit.tasks.regression.mirror import RandomMirror
from cnnkit.tasks.regression.records import Values
from cnnkit.tasks.regression.scoring import Regression


def test_a_mirrored_picture_has_the_negative_angle_and_the_same_speed():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 6, 8, 3)).astype("float32")
    values = rng.normal(0, 9, (16, 2)).astype("float32")
    pipeline = augment.Pipeline(RandomMirror([True, False]), seed=1)
    found = pipeline({"images": images, "labels": values}, training=True, step=4)
    made, told = np.asarray(found["images"]), np.asarray(found["labels"])
    mirrored = np.array([np.array_equal(image, other[:, ::-1]) for image, other in zip(made, images)])
    assert 3 <= mirrored.sum() <= 13
    assert all(np.array_equal(image, other) for image, other in zip(made[~mirrored], images[~mirrored]))
    np.testing.assert_array_equal(told[:, 0], np.where(mirrored, -values[:, 0], values[:, 0]))
    np.testing.assert_array_equal(told[:, 1], values[:, 1])
    again = augment.Pipeline.from_config(pipeline.get_config())
    np.testing.assert_array_equal(
        np.asarray(again({"images": images, "labels": values}, training=True, step=4)["labels"]), told
    )


@pytest.mark.parametrize(
    ("names", "told", "words", "expected"),
    [
        (("angle",), None, ("angle",), (True,)),
        (("column 1",), None, ("angle",), (True,)),  # the only value of an app whose values have a side
        (("age",), None, (), (False,)),
        (("Steering", "speed"), None, ("steer",), (True, False)),
        (("Steering", "speed"), (False, True), ("steer",), (False, True)),
    ],
)
def test_which_values_have_a_side(names, told, words, expected):
    known = Regression(negated=words).known(Values(names, ("",) * len(names), told))
    assert known.negated == expected


@pytest.mark.parametrize(("kind", "expected"), [("absolute", 0.5), ("squared", 0.5), ("huber", 0.1875)])
def test_losses_are_of_deviations(kind, expected):
    loss = ScaledLoss(kind, mean=[10.0, 0.0], std=[4.0, 1.0])
    # errors of 0 and 1 deviation: |e| 0, 1; Huber with a delta of 0.5: 0 and 0.5 * (1 - 0.25)
    found = loss(np.array([[14.0, 2.0]], "float32"), np.array([[1.0, 1.0]], "float32"))
    assert float(found) == pytest.approx(expected)
    assert ScaledLoss.from_config(loss.get_config()).get_config() == loss.get_config()


def test_the_metric_is_in_the_unit():
    metric = ScaledError([10.0], [4.0], [1.0], name="mean_absolute_error")
    metric.update_state(np.array([[14.0], [10.0]], "float32"), np.array([[0.0], [0.5]], "float32"))
    assert float(metric.result()) == pytest.approx(3.0)


def test_what_never_changes_its_sign_is_not_mirrored_by_a_preset():
    from cnnkit.inputs.image.pictures import ImageSource
    from cnnkit.tasks.regression.images import Measured
    from cnnkit.tasks.regression.records import Numbers, ValueRecords

    def records(numbers):
        values = Values(("age",), ("years",))
        pictures = ImageSource(np.zeros((3, 4, 4, 3), np.uint8))
        return ValueRecords(pictures, targets=Numbers(np.array(numbers, float)[:, None], values))

    inputs = Measured(negated=[True])
    preset, (line,) = inputs.suited({"mirror": True, "epochs": 3}, records([1, 2, 3]))
    assert preset == {"mirror": False, "epochs": 3} and "`age` are all of one sign" in line
    preset, (line,) = inputs.suited({"mirror": True}, records([-1, 2, 3]))
    assert preset["mirror"] and "age with the other sign" in line
    assert inputs.suited({}, records([1, 2, 3])) == ({}, [])
    assert Measured(negated=[False]).suited({"mirror": True}, records([1, 2, 3]))[0]["mirror"]

"""Errors and their intervals, by hand."""

import numpy as np
import pytest

from cnnkit.data.records import Splits
from cnnkit.inputs.image.pictures import ImageSource
from cnnkit.tasks.regression import measures
from cnnkit.tasks.regression.records import Numbers, ValueRecords, Values
from cnnkit.tasks.regression.scoring import Regression, Scale, Truth

TRUE = np.array([0.0, 2.0, 4.0, 6.0])
SAID = np.array([1.0, 2.0, 3.0, 9.0])  # errors 1, 0, -1, 3


def alone(count):
    return measures.Clusters(np.arange(count), count, "records")


def test_errors_by_hand():
    found = measures.measured(SAID, TRUE, alone(4))
    assert found.mae == pytest.approx(5 / 4)
    assert found.rmse == pytest.approx((11 / 4) ** 0.5)
    assert found.bias == pytest.approx(3 / 4)
    assert found.r2 == pytest.approx(1 - 11 / 20)
    for name in ("mae", "rmse", "bias", "r2"):
        low, high = found.intervals[name]
        assert low <= getattr(found, name) <= high


def test_where_nothing_varies_there_is_no_r2():
    assert measures.measured(np.ones(5), np.full(5, 3.0), alone(5)).r2 is None


def test_groups_are_resampled_where_there_are_enough_else_blocks_of_neighbours():
    groups = np.repeat(np.arange(12), 5)
    found = measures.clusters(groups, 60)
    assert found.count == 12 and found.about == "12 groups" and np.array_equal(found.places, groups)
    found = measures.clusters(np.repeat([7, 3], [100, 100]), 200)
    assert found.about == "20 blocks of up to 10 consecutive records"
    for place in range(found.count):
        members = np.flatnonzero(found.places == place)
        assert np.ptp(members) == len(members) - 1 and len({m // 100 for m in members}) == 1


def test_intervals_of_blocks_are_wider_where_neighbours_are_alike():
    rng = np.random.default_rng(0)
    errors = np.repeat(rng.normal(0, 1, 40), 25)  # 25 frames each have the same error
    blocks = measures.measured(errors, np.zeros(1000), measures.clusters(None, 1000)).intervals["mae"]
    single = measures.measured(errors, np.zeros(1000), alone(1000)).intervals["mae"]
    assert np.ptp(blocks) > 3 * np.ptp(single)


def test_the_half_width_of_an_interval_is_the_quantile_one_rank_further():
    assert measures.half_width(np.array([-9.0, *range(1, 9)]), level=0.9) == 9  # rank ceil(10 * 0.9) = 9 of 9
    assert measures.half_width(np.arange(1.0, 20), level=0.9) == 18  # ceil(20 * 0.9) = 18
    assert measures.half_width(np.ones(8), level=0.9) is None


def test_the_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [np.mean(np.abs(rng.normal(0, 1, 500)) <= measures.half_width(rng.normal(0, 1, 60))) for _ in range(300)]
    assert 0.895 < np.mean(held) < 0.92


def test_errors_by_range_are_of_round_numbers_and_miss_nobody():
    true = np.linspace(-20, 20, 401)
    rows = measures.by_range(true + np.where(true < 0, 1.0, 2.0), true)
    assert rows[0]["low"] is None and rows[-1]["high"] is None and sum(row["count"] for row in rows) == 401
    assert [row["high"] for row in rows[:-1]] == [-15, -10, -5, 0, 5, 10, 15]
    assert rows[0]["mae"] == pytest.approx(1) and rows[-1]["bias"] == pytest.approx(2)
    assert measures.by_range(np.ones(4), np.ones(4)) == [
        {"low": None, "high": None, "count": 4, "mae": 0.0, "bias": 0.0}
    ]


def task(names=("angle",), units=("degrees",), zero="straight"):
    scale = Scale(*((value,) * len(names) for value in (-3.0, 2.0, 1.0, 2.0, 2.0)))
    return Regression("", zero, (), Values(names, units), scale)


def test_scores_name_what_needs_no_model():
    scores = task().score({"values": SAID[:, None]}, Truth(TRUE[:, None], None, Values(("angle",), ("degrees",))), ())
    assert scores["mean_absolute_error"] == pytest.approx(1.25) and scores.headline.unit == "degrees"
    assert scores["always"] == {
        "always the mean (1 degrees)": pytest.approx(2.5),
        "always the median (2 degrees)": pytest.approx(2),
        "always 0 (straight)": pytest.approx(3),
    }
    assert scores["constant"]["name"] == "always the median (2 degrees)"
    assert list(scores.headline.per_record) == [1, 0, 1, 3]


@pytest.mark.parametrize("earlier", [{}, {"regression": {"mean": [-7.0], "std": [5.0]}}])
def test_plain_answers_are_those_of_the_data_whatever_weights_go_on(earlier):
    values = Values(("angle",), ("degrees",))
    pictures = ImageSource(np.zeros((4, 4, 4, 3), np.uint8))
    records = ValueRecords(pictures, targets=Numbers(np.array([[0.0], [0], [2], [6]]), values))
    fitted = Regression(zero="straight").fitted(Splits(records, records, records), earlier)
    facts = fitted.facts()["regression"]
    assert (facts["mean"], facts["std"]) == (([-7.0], [5.0]) if earlier else ([2.0], [pytest.approx(6**0.5)]))
    always = fitted.score({"values": SAID[:, None]}, Truth(TRUE[:, None], None, values), ())["always"]
    assert list(always) == ["always the mean (2 degrees)", "always the median (1 degrees)", "always 0 (straight)"]
    assert list(always.values()) == pytest.approx([2, 2.5, 3])
    assert facts["spread"] == [2]


def test_several_units_are_put_together_as_shares_of_the_error_of_the_median():
    two = task(("angle", "speed"), ("degrees", "km/h"))
    numbers = np.stack([TRUE, 10 * TRUE], 1)
    said = np.stack([SAID, 10 * TRUE], 1)
    scores = two.score({"values": said}, Truth(numbers, None, two.values), ())
    assert scores.headline.name == "relative_error" and scores["relative_error"] == pytest.approx((1.25 / 2 + 0) / 2)
    assert scores.headline.per_class == {"angle, degrees": pytest.approx(0.625), "speed, km/h": 0}
    assert two.tolerated(two.facts()) == (2.0, 4.0)


@pytest.mark.parametrize(("own", "of_data"), [("%", ""), ("", "%")])
def test_values_in_percent_are_no_shares_of_one(own, of_data):
    known = Regression(own).known(Values(("humidity",), (of_data,)))
    assert known.units == ("percent",)
    percent = task(known.names, known.units)
    scores = percent.score({"values": SAID[:, None]}, Truth(TRUE[:, None], None, known), ())
    assert scores.headline.said(scores.headline.value) == "1.25 percent"


def test_the_tolerance_follows_the_spread_of_the_values():
    assert task().tolerated(task().facts()) == (0.04, 0.08)

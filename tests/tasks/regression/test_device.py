"""Numbers as people read them."""

import re

import numpy as np
import pytest

from cnnkit.tasks.regression import checks, device, report
from cnnkit.tasks.regression.scoring import Regression
from tests.tasks.regression import lines


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (-0.0, "0"),
        (-10, "-10"),
        (3.14159, "3.14"),
        (-0.0123456, "-0.0123"),
        (999.4, "999"),
        (999.6, "1,000"),
        (-12345.6, "-12,346"),
        (1e7, "10,000,000"),
        (1e-7, "1e-07"),
    ],
)
def test_a_figure_has_three_digits_that_mean_something(value, said):
    assert device.figure(value) == device.figure(np.float32(value)) == said
    assert device.with_unit(value, "") == said and device.with_unit(value, "m") == f"{said} m"
    assert device.figure(abs(value), sign="+") == "+" + said.lstrip("-")


def test_a_figure_may_have_more_digits():
    assert [device.figure(value, 6) for value in (0.1 + 1e-9, 1012.5, 1e6)] == ["0.1", "1,012.5", "1,000,000"]


def test_large_numbers_are_written_alike_everywhere(tmp_path):
    entry = {"value": 54321.0, "unit": "m", "interval": [12345.6, 999999.0], "level": 0.9}
    assert device.KIND.told(entry) == ["54,321 m  (12,346 to 999,999)"]
    row = {"low": 2e6, "high": None, "count": 3, "mae": 12345.6, "bias": -2345.6}
    about = {"unit": "m", "ranges": [row], "root_mean_squared_error": 23456.7, "bias": -2345.6}
    (_, _, error, bias) = report.by_value({"values": {"far": about}}).blocks[0].rows[0]
    assert (error.text, bias) == ("12,346", "\u22122,346")
    assert report._range(row, "") == "from 2,000,000"
    coverage = {"half": [12345.6], "share": 0.9}
    columns = Regression().columns({"values": {"far": about}, "coverage": coverage, "count": 3})
    assert {"RMSE m": "23,457", "bias m": "-2,346", "\u00b112,346 m holds": "90.0 %"}.items() <= columns.items()
    baseline = {"unit": "m", "others": {"always 0": 12345.6}}
    assert Regression().compared(baseline) == "For comparison: always 0 12,346 m."
    looked = []
    data = lines.write(tmp_path, 30)
    lines.table(data / "values.csv", ("image", "far"), [(f"pictures/{k:04d}.png", 1e6 + 10 * k) for k in range(30)])
    checks.check(data, looked=looked)
    assert any(re.search(r"far from 1,000,\d{3} to 1,000,\d{3}, half", line) for line in looked)

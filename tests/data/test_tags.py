"""Records with several labels each, or none."""

import numpy as np
import pytest

from cnnkit.data.tags import Tags


def tags(*rows):
    return Tags(np.array([code for row in rows for code in row], np.int32), np.cumsum([len(row) for row in rows]))


@pytest.mark.parametrize(
    ("rows", "classes", "strata"),
    [
        ([(0, 1), (1,), (1, 2), (1, 2)], 3, [0, 1, 2, 2]),
        ([(), (0,), (1,), (), (1,)], 2, [1, 0, 1, 1, 1]),  # those without any are no members of what is rare
        ([(), (2,), (0, 2)], 3, [2, 2, 0]),
        ([(), ()], 2, [0, 0]),
        ([(), ()], 0, [0, 0]),
        ([], 2, []),
    ],
)
def test_the_stratum_of_a_record_is_its_rarest_label_and_without_any_the_most_frequent(rows, classes, strata):
    found = tags(*rows).strata(classes)
    assert found.dtype == np.int32 and found.tolist() == strata

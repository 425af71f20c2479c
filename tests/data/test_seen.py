"""Records that a model has seen are known by their content, in whatever file they come."""

import dataclasses

import numpy as np
import pytest

from cnnkit.data import seen
from cnnkit.data.records import join
from cnnkit.inputs.text.loading import load
from tests import toy_texts, toys


def test_images_are_known_again_whatever_their_order_and_labels(tmp_path):
    data = toys.splits(train=30, validation=9, test=12)
    seen.keep(tmp_path / "known.npy", data)
    assert seen.count(tmp_path / "known.npy", data.train.take(np.arange(29, 9, -1))) == 20
    assert seen.count(tmp_path / "known.npy", data.validation.named(("square", "vertical", "horizontal"))) == 9
    assert seen.count(tmp_path / "known.npy", data.test) == 0


def test_joined_records_are_known_by_their_parts(tmp_path):
    first, second = toys.splits(train=12, validation=3, test=6), toys.splits(train=9, validation=3, test=9)
    second = dataclasses.replace(second, train=toys.bars(9, 7))
    seen.keep(tmp_path / "known.npy", join(first, second))
    assert seen.count(tmp_path / "known.npy", second.train) == 9
    assert seen.count(tmp_path / "known.npy", first.train) == 12


def test_a_table_that_lost_a_line_and_changed_its_name(tmp_path):
    rows = toy_texts.rows(60)
    (tmp_path / "a.csv").write_text(toy_texts.table(rows))
    (tmp_path / "b.csv").write_text(toy_texts.table(rows[:-1] + toy_texts.rows(6, seed=5)))
    old, new = load(tmp_path / "a.csv"), load(tmp_path / "b.csv", whole=True)
    seen.keep(tmp_path / "known.npy", old)
    held = set(old.test.every_text())
    expected = sum(text not in held for _, text in rows[:-1])
    assert seen.count(tmp_path / "known.npy", new.train) == pytest.approx(expected, abs=2)
    assert len(new.train) == 65


@pytest.mark.parametrize("content", [None, b"", b"no numbers"])
def test_where_it_is_not_known_there_is_no_answer(tmp_path, content):
    path = tmp_path / "known.npy"
    if content is not None:
        path.write_bytes(content)
    assert seen.count(path, toys.bars(3)) is None

"""Arrays kept as files: their card is TOML whatever labels are called."""

import tomllib

import numpy as np
import pytest

from cnnkit.data.kept import Kept
from cnnkit.errors import DataError
from cnnkit.files import cache_folder

ODD = ("😀", "é", "a\"b\\c'", "\x7f", "\x00\x1f\t\n\r", "\u2028\u0085\ufeff", "a.b", "", "#", "true", "\U0001d518")


def kept(names):
    values = {name: place for place, name in enumerate(names)}
    tables = {"train": {"path": "."}}
    return Kept(
        "segmentation", "masks", names[0], tables, [np.arange(3)], lambda folder: None, {"values": values}, names
    )


@pytest.mark.parametrize("names", [ODD, tuple(map(chr, range(256))), *((name,) for name in ODD)], ids=repr)
def test_labels_come_back_from_the_card_as_they_were_given(names, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path))
    card = tomllib.loads(kept(names).keep().read_text(encoding="utf-8"))
    assert card["title"] == names[0] and tuple(card["labels"]) == names
    assert card["options"]["values"] == {name: place for place, name in enumerate(names)}


def test_a_label_that_is_no_text_is_named_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"'a\\ud800'"):
        kept(("b", "a\ud800")).keep()
    assert not list(cache_folder().rglob("*"))

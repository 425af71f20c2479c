"""Where the data of a run lies, and which of its files differ."""

import numpy as np
import pytest

from cnnkit.data import places


@pytest.fixture
def shared(tmp_path, monkeypatch, toy_arrays):
    x, y = toy_arrays()
    folder = tmp_path / "shared/toy"
    folder.mkdir(parents=True)
    np.savez(folder / "toy.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    card = tmp_path / "toy.toml"
    splits = "".join(
        f'{split} = {{ file = "toy.npz", images = "x_{split}", labels = "y_{split}" }}\n' for split in ("train", "test")
    )
    card.write_text(
        f'title = "Toy"\nreader = "npz"\n[splits]\n{splits}[[files]]\nname = "toy.npz"\n'
        'url = "http://127.0.0.1:9/toy.npz"\n'
    )
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path / "shared"))
    return card


def test_the_place_is_remembered(shared, tmp_path, monkeypatch):
    place = places.describe(str(shared), tmp_path / "run")
    assert place["root"] == str(tmp_path / "shared/toy")
    monkeypatch.delenv("CNNKIT_DATA")
    card, source = places.candidates(place, tmp_path / "run")
    assert card.root == tmp_path / "shared/toy" and source == str(shared)
    (tmp_path / "shared").rename(tmp_path / "gone")
    assert places.candidates(place, tmp_path / "run") == [str(shared)]


def test_differences_are_in_files():
    before = {"a": [1, "x"], "b": [2, "y"], "c": [3, "z"]}
    assert places.differences(before, before) == ""
    assert places.differences(before, {"a": [1, "x"], "b": [2, "n"], "d": [1, "x"], "e": [1, "x"]}) == (
        "2 files added (d, e), 1 gone (c), 1 changed (b), of 3 then"
    )
    assert places.in_common(before, {"a": [1, "x"], "b": [2, "n"]}) == 1

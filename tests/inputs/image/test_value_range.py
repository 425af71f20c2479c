"""Pixels are 0 to 255 whatever numbers a file holds, or its range is named and refused."""

import gzip
import struct

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.inputs.image.loading import load
from cnnkit.inputs.image.value_range import Measured, decide, of_split


def pictures(count=40, seed=0):
    """Pictures that use all of 0 to 255: uint8 (count, 6, 6), half of each black."""
    found = np.random.default_rng(seed).integers(0, 256, (count, 6, 6)).astype(np.uint8)
    found[:, ::2] = 0
    found[0, 1, :2] = 1, 255
    return found


X = pictures()
F = X.astype(np.float32) / 255
SIXTEEN = np.rint(F * 16)

SCALED = {  # what is saved, and what of it a model sees
    "bytes": (X, X),
    "fractions": (F, X),
    "half floats": (F.astype(np.float16), X),
    "floats to 255": (X.astype(np.float64) * 0.999, np.rint(X * 0.999)),
    "whole floats to 255": (X.astype(np.float32), X),
    "8 bits in 16": (X.astype(np.uint16), X),
    "8 bits in 64": (X.astype(np.int64), X),
    "10 bits": (np.rint(F * 1023).astype(np.uint16), X),
    "12 bits": (np.rint(F * 4095).astype(np.uint16), X),
    "12 bits, signed": (np.rint(F * 4095).astype(np.int16), X),
    "16 bits": (X.astype(np.uint16) * 257, X),
    "bool": (X > 127, np.where(X > 127, 255, 0)),
    "0 and 1": ((X > 127).astype(np.uint8), np.where(X > 127, 255, 0)),
    "0 and 1, floats": ((X > 127).astype(np.float32), np.where(X > 127, 255, 0)),
    "0 to 16": (SIXTEEN, np.rint(SIXTEEN * 255 / 16)),
    "0 to 16, bytes": (SIXTEEN.astype(np.uint8), np.rint(SIXTEEN * 255 / 16)),
    "0 to 15": (np.rint(F * 15).astype(np.uint8), np.rint(np.rint(F * 15) * 17)),
    "-1 to 1": (F * 2 - 1, X),
    "-0.5 to 0.5": (F - 0.5, X),
    "-128 to 127": ((X.astype(np.int16) - 128).astype(np.int8), X),
}
REFUSED = {
    "standardised": ((F - 0.1307) / 0.3081, r"from -0\.424\d? to 2\.82\d? .*standardised"),
    "standardised by itself": ((F - F.mean()) / F.std(), "standardised"),
    "divided twice": (F / 255, r"divided by 255 twice"),
    "to 16, fractions": (F * 16, "what is white cannot be told"),
    "negative": (X.astype(np.int32) - 40, "whole numbers from -40 to 215"),
    "too wide": (X.astype(np.int64) * 1000, "more than 16 bits hold"),
    "not a number": (np.where(X == 255, np.nan, F), "no numbers"),
    "infinite": (np.where(X == 255, np.inf, F), "no numbers"),
}


def labels(count=40):
    return np.arange(count) % 2


def seen(path):
    splits = load(path, validation=0, test=0)
    images, _ = splits.train.read(np.arange(len(splits.train)))
    return images[..., 0], splits


def idx(path, array):
    kinds = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    head = bytes([0, 0, kinds[array.dtype.name], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(array.dtype.newbyteorder(">")).tobytes()))


@pytest.mark.parametrize("name", SCALED)
def test_arrays_in_a_plain_range_are_scaled(tmp_path, name):
    saved, expected = SCALED[name]
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=saved, y=labels())
        for _ in range(2):  # made, then from the cache
            assert np.array_equal(seen(tmp_path / "a.npz")[0], expected)


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_in_another_range_are_refused_with_it(tmp_path, name):
    saved, message = REFUSED[name]
    np.savez(tmp_path / "a.npz", x=saved, y=labels())
    for _ in range(2):
        with pytest.raises(DataError, match=r"a\.npz:x .*" + message) as error:
            load(tmp_path / "a.npz")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["0 to 16", "0 and 1", "-1 to 1", "12 bits", "fractions"])
def test_tables_are_scaled_alike_wherever_their_range_shows(tmp_path, name):
    saved, expected = SCALED[name]
    order = np.argsort(X.max((1, 2)), kind="stable")  # the first block alone may look otherwise
    rows = [",".join([str(y), *map(str, row.ravel().tolist())]) for y, row in zip(labels(), saved[order])]
    quiet = ",".join(["0", *["0"] * 36])
    (tmp_path / "a.csv").write_text("\n".join([quiet] * 300 + rows))
    assert np.array_equal(seen(tmp_path / "a.csv")[0][300:], expected[order])


def test_a_table_of_standardised_pixels_is_refused(tmp_path):
    rows = [",".join([str(y), *map(str, row.ravel().tolist())]) for y, row in zip(labels(), REFUSED["standardised"][0])]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match=r"a\.csv has values from -0\.424.*standardised"):
        load(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["0 and 1", "0 to 16, bytes", "-128 to 127", "fractions"])
def test_idx_files_are_scaled_alike(tmp_path, name):
    saved, expected = SCALED[name]
    idx(tmp_path / "train-images-idx3-ubyte.gz", saved)
    idx(tmp_path / "train-labels-idx1-ubyte.gz", labels().astype(np.uint8))
    assert np.array_equal(seen(tmp_path)[0], expected)


def test_a_few_values_far_beyond_are_damage(tmp_path):
    wide = np.concatenate([X] * 10).astype(np.uint16)
    wide[7, 1, 3] = 999
    np.savez(tmp_path / "a.npz", x=wide, y=labels(400))
    with pytest.raises(DataError, match=r"1 are outside \[0, 255\]"):
        load(tmp_path / "a.npz")


def test_what_was_taken_for_white_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", x=SIXTEEN, y=labels())
    splits = seen(tmp_path / "a.npz")[1]
    assert "white is taken as 16" in str(splits.card["inventory"])
    np.savez(tmp_path / "b.npz", x=(X // 3).astype(np.uint8), y=labels())
    images, splits = seen(tmp_path / "b.npz")
    assert np.array_equal(images, X // 3) and "dark pictures" in str(splits.card["inventory"])


def test_all_splits_are_read_by_the_range_of_training(tmp_path):
    small = np.minimum(SIXTEEN[:10], 9)  # by itself it would be 0 to 15
    np.savez(tmp_path / "a.npz", x_train=SIXTEEN, y_train=labels(), x_test=small, y_test=labels(10))
    images, _ = load(tmp_path / "a.npz").test.read(np.arange(10))
    assert np.array_equal(images[..., 0], np.rint(small * 255 / 16))


@pytest.mark.parametrize("other", [F, (X > 127).astype(np.uint8), X.astype(np.uint16) * 257, F * 2 - 1])
def test_a_split_in_another_range_than_training_is_refused(tmp_path, other):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=labels(), x_test=other, y_test=labels())
    with pytest.raises(DataError, match=r"a\.npz:x_test has .*0 and 255 in the training split"):
        load(tmp_path / "a.npz")


def test_a_card_may_name_the_range(tmp_path):
    np.savez(tmp_path / "a.npz", x=REFUSED["standardised"][0], y=labels())
    low, high = (0 - 0.1307) / 0.3081, (1 - 0.1307) / 0.3081
    (tmp_path / "card.toml").write_text(f'path = "a.npz"\n[options]\nvalue_range = [{low}, {high}]')
    assert np.array_equal(seen(tmp_path / "card.toml")[0], X)


def test_a_constant_split_takes_the_range_of_training():
    found = Measured()
    found.add(np.zeros(9))
    assert of_split(found, "a", (0, 16)).limits == (0, 16)
    assert "nothing on its pictures" in decide(found, "a").note

"""The label of a table of pixels is found wherever it stands, and said; other columns are left out by name."""

import numpy as np
import pytest

from cnnkit.data import inventory
from cnnkit.errors import DataError
from cnnkit.inputs.image.loading import load


@pytest.fixture
def ink():
    """Images (240, 36) of 0 to 15 whose corner is 0, and labels of 4 classes."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 16, (240, 36))
    x[:, [0, -1]] = 0
    return x, rng.integers(0, 4, 240)


def write(path, *columns, header=None, separator=","):
    lines = [separator.join(map(str, row)) for row in np.column_stack([np.asarray(c, object) for c in columns])]
    path.write_text("\n".join([separator.join(header or [])] * (header is not None) + lines) + "\n")
    return path


def same(source, x, y, **options):
    """Whether the data are these images and labels; returns the notes."""
    splits = load(source, test=0, validation=0, **options)
    pixels, labels = splits.train.read(np.arange(len(y)))
    assert [splits.train.label_names[k] for k in labels] == [str(value) for value in y]
    flat = pixels.reshape(len(y), -1).astype(int)
    assert (flat.argsort(1, kind="stable") == np.asarray(x).argsort(1, kind="stable")).all()
    return " ".join(inventory.lines(splits.card["inventory"]))


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("first", [True, False])
def test_a_label_at_either_end_is_found_without_a_header(tmp_path, ink, separator, first):
    x, y = ink
    path = write(tmp_path / "a.csv", *((y, x) if first else (x, y)), separator=separator)
    assert f"Labels: the {'first' if first else 'last'} column" in same(path, x, y)


@pytest.mark.parametrize("first", [True, False])
def test_a_label_is_told_from_a_busy_corner_and_from_a_sorted_file(tmp_path, ink, first):
    x, y = ink
    x = np.random.default_rng(1).integers(0, 256, x.shape)
    y = np.sort(y) + 1
    same(write(tmp_path / "a.csv", *((y, x) if first else (x, y))), x, y)


def test_labels_as_texts_are_found(tmp_path, ink):
    x, y = ink
    y = np.array(["cat", "dog", "cow", "hen"])[y]
    same(write(tmp_path / "a.csv", x, y), x, y)


def test_a_running_number_is_left_out(tmp_path, ink):
    x, y = ink
    pixels = [f"pixel{k}" for k in range(36)]
    index = np.arange(240)
    told = same(write(tmp_path / "a.csv", index, y, x, header=["", "label", *pixels]), x, y)
    assert "one without a name" in told
    assert "only counts" in same(write(tmp_path / "b.csv", index, y, x), x, y)
    assert "only counts" in same(write(tmp_path / "c.csv", index + 1, x, y), x, y)


def test_columns_that_are_no_pixels_are_named(tmp_path, ink):
    x, y = ink
    header = ["file", *[f"p{k}" for k in range(36)], "label", "split"]
    told = same(write(tmp_path / "a.csv", [f"{k}.png" for k in y], x, y, ["train"] * 240, header=header), x, y)
    assert "left out, as they are no pixels: file, split" in told


def test_the_only_column_that_is_no_pixel_is_the_label(tmp_path, ink):
    x, y = ink
    told = same(write(tmp_path / "a.csv", x, y, header=[*[f"px_{k}" for k in range(36)], "animal"]), x, y)
    assert "the column animal" in told


@pytest.mark.parametrize("label", ["36", 36, "-1", -1])
def test_the_label_can_be_told_by_its_place(tmp_path, ink, label):
    x, y = ink
    same(write(tmp_path / "a.csv", x, y), x, y, label=label)


def test_the_label_can_be_told_by_its_name(tmp_path, ink):
    x, y = ink
    header = [*[f"p{k}" for k in range(36)], "kind", "label"]
    same(write(tmp_path / "a.csv", x, y, y * 0, header=header), x, y, label="kind")


def test_several_columns_that_could_be_the_label_are_offered(tmp_path, ink):
    x, y = ink
    path = write(tmp_path / "a.csv", x, y, y, header=[*[f"p{k}" for k in range(36)], "stop", "yield"])
    with pytest.raises(DataError, match=r"line 1: .*stop, yield. Say which with `label`"):
        load(path)


@pytest.mark.parametrize("label", ["animal", 99, "-99"])
def test_a_label_that_is_not_there_is_refused(tmp_path, ink, label):
    with pytest.raises(DataError, match="has no column"):
        load(write(tmp_path / "a.csv", *ink), label=label)

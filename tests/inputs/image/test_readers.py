"""Every reader gives back what was written."""

import bz2
import gzip
import os
import struct
import zipfile

import numpy as np
import pytest

from cnnkit.data import naming
from cnnkit.errors import DataError
from cnnkit.inputs.image import arrays, readers
from cnnkit.inputs.image.loading import load


def everything(splits):
    """Read all records of all splits."""
    parts = [part.read(np.arange(len(part))) for part in (splits.train, splits.validation, splits.test)]
    return np.concatenate([images for images, _ in parts]), np.concatenate([targets for _, targets in parts])


def same_set(images, targets, x, y):
    """Whether the same images stand under the same labels, in any order."""
    x = np.asarray(x).reshape(len(x), -1)
    found = sorted((row.tobytes(), int(t)) for row, t in zip(images.reshape(len(images), -1), targets))
    return found == sorted((row.tobytes(), int(t)) for row, t in zip(x, y))


def idx(array, code=0x08):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def cached_files(folder):
    return sorted((folder / "unpacked").glob("*")) if (folder / "unpacked").exists() else []


# npz ------------------------------------------------------------------------------------------------------------------


def test_an_uncompressed_npz_is_read_where_it_lies(tmp_path, toy_arrays, fresh_cache):
    x, y = toy_arrays()
    np.savez(tmp_path / "a.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    splits = load(tmp_path / "a.npz")
    assert same_set(*everything(splits), x, y)
    assert splits.train.input_shape == (8, 10, 1)
    assert np.array_equal(splits.test.read(np.arange(20))[0][..., 0], x[40:])
    assert cached_files(fresh_cache) == []


def test_a_compressed_npz_is_unpacked_once(tmp_path, toy_arrays, fresh_cache, monkeypatch):
    x, y = toy_arrays()
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y)
    assert same_set(*everything(load(tmp_path / "a.npz")), x, y)
    (unpacked,) = cached_files(fresh_cache)
    assert np.array_equal(np.load(unpacked)[..., 0], x), "the cache holds plain .npy files"
    monkeypatch.setattr(arrays, "_rows", lambda *_: pytest.fail("it was unpacked again"))
    assert same_set(*everything(load(tmp_path / "a.npz")), x, y)


def test_a_changed_file_is_unpacked_again_and_the_old_copy_goes(tmp_path, toy_arrays, fresh_cache):
    path = tmp_path / "a.npz"
    for seed in (0, 1):
        x, y = toy_arrays(seed=seed)
        np.savez_compressed(path, x=x, y=y)
        os.utime(path, ns=(seed, seed))
        assert same_set(*everything(load(path)), x, y)
        assert len(cached_files(fresh_cache)) == 1


@pytest.mark.parametrize("names", [("{}_images", "{}_labels"), ("x_{}", "y_{}")])
@pytest.mark.parametrize("words", [("train", "val", "test"), ("training", "dev", "testing")])
def test_all_three_splits_of_an_npz_are_respected(tmp_path, toy_arrays, names, words):
    x, y = toy_arrays()
    parts = dict(zip(words, (slice(0, 30), slice(30, 42), slice(42, 60)), strict=True))
    content = {}
    for split, part in parts.items():
        content |= {names[0].format(split): x[part], names[1].format(split): y[part, None]}
    np.savez(tmp_path / "a.npz", **content)
    splits = load(tmp_path / "a.npz")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 12, 18)
    assert np.array_equal(splits.validation.read(np.arange(12))[0][..., 0], x[30:42])
    assert splits.card["splits"] == {"validation": "the source's own", "test": "the source's own"}


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([0, 128, 129, 65535], np.uint16), [0, 0, 1, 255]),
        (np.array([0, 0.5, 0.1, 1], np.float32), [0, 128, 26, 255]),
        (np.array([0, 127.6, 3, 255], np.float64), [0, 128, 3, 255]),
        (np.array([0, 7, 200, 255], np.int64), [0, 7, 200, 255]),
        (np.array([False, True, True, False]), [0, 255, 255, 0]),
    ],
    ids=["16-bit", "unit floats", "floats to 255", "int64", "bool"],
)
def test_other_types_become_eight_bits(tmp_path, x, expected):
    images = np.stack([x.reshape(2, 2)] * 10)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(10) % 2)
    found, _ = everything(load(tmp_path / "a.npz", validation=0, test=0))
    assert found[0].ravel().tolist() == expected


@pytest.mark.parametrize("value", [-1.0, 300.0, np.nan])
def test_values_of_an_unknown_range_are_refused(tmp_path, value):
    np.savez(tmp_path / "a.npz", x=np.full((10, 2, 2), value), y=np.arange(10) % 2)
    with pytest.raises(DataError, match=r"a\.npz:x holds (one value only, (-1|300)|values that are no numbers)"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 49), (7, 7, 1)), ((6, 48), (4, 4, 3)), ((6, 5, 4, 3), (5, 4, 3)), ((6, 5, 4, 4), (5, 4, 3))],
)
def test_the_shape_of_the_images_is_found(tmp_path, shape, expected):
    np.savez(tmp_path / "a.npz", x=np.zeros(shape, np.uint8), y=np.arange(6) % 2)
    assert load(tmp_path / "a.npz").train.input_shape == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros((6, 2, 2), np.uint8), "y": np.arange(5)}, "6 images, but .* 5 labels"),
        ({"x": np.zeros((6, 2, 2), np.uint8), "y": np.arange(6) / 2}, "no whole numbers"),
        ({"x": np.zeros((6, 2, 2), np.uint8), "y": np.zeros((6, 4))}, "labels are"),
        ({"x": np.zeros((6, 47), np.uint8), "y": np.arange(6) % 2}, "holds no images"),
        ({"x": np.zeros((6, 3, 32, 32), np.uint8), "y": np.arange(6) % 2}, "1, 3 or 4 channels"),
        ({"x": np.array([{}] * 6), "y": np.arange(6) % 2}, "Python objects, which are never loaded"),
        ({"x": np.zeros((0, 2, 2), np.uint8), "y": np.arange(0)}, "holds no image"),
        ({"x": np.array(["a"] * 6).reshape(6, 1), "y": np.arange(6) % 2}, "not numbers"),
        ({"pictures": np.zeros((6, 2, 2))}, "has the arrays pictures; it needs x_train"),
    ],
)
def test_an_npz_that_is_no_data_set_is_refused(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path / "a.npz")
    assert "a.npz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.9])
def test_a_truncated_npz_is_refused(tmp_path, toy_arrays, save, kept):
    x, y = toy_arrays()
    path = tmp_path / "a.npz"
    save(path, x=x, y=y)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(DataError, match=r"a\.npz .*(truncated|damaged|cannot be read)"):
        load(path)


def test_a_damaged_member_is_refused_and_leaves_nothing_in_the_cache(tmp_path, toy_arrays, fresh_cache):
    x, y = toy_arrays(n=600)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=x, y=y)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("x.npy").header_offset
    content = bytearray(path.read_bytes())
    content[start + 20000 : start + 20100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or truncated"):
        load(path)
    assert cached_files(fresh_cache) == []


def test_labels_may_be_texts_or_one_hot(tmp_path):
    x = np.zeros((6, 2, 2), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.array(["dog", "cat", "dog", "cat", "dog", "cat"]))
    splits = load(tmp_path / "a.npz", validation=0, test=0)
    assert splits.train.label_names == ("cat", "dog") and splits.train.labels.tolist() == [1, 0] * 3
    np.savez(tmp_path / "b.npz", x=x, y=np.eye(3)[[2, 1, 0, 2, 1, 0]])
    assert load(tmp_path / "b.npz", validation=0, test=0).train.labels.tolist() == [2, 1, 0, 2, 1, 0]


def test_names_that_are_numbers_sort_as_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2, 2), np.uint8), y=np.array([10, 9, 10, 9]))
    assert load(tmp_path / "a.npz", test=0, validation=0).train.label_names == ("9", "10")


# idx ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_in_the_names_of_mnist(tmp_path, toy_arrays, packed):
    x, y = toy_arrays()
    for split, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        for kind, array in (("images-idx3", x[part]), ("labels-idx1", y[part].astype(np.uint8))):
            content = idx(array)
            path = tmp_path / f"{split}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)
    for source in (tmp_path, tmp_path / f"train-images-idx3-ubyte{'.gz' if packed else ''}"):
        splits = load(source)
        if source == tmp_path:
            assert np.array_equal(splits.test.read(np.arange(20))[0][..., 0], x[40:])
            assert same_set(*everything(splits), x, y)
        else:
            assert same_set(*everything(splits), x[:40], y[:40])


def test_only_a_whole_word_makes_a_pair_of_idx_files_a_split(tmp_path, toy_arrays):
    x, y = toy_arrays()
    for start, part in (("train-", slice(0, 40)), ("latest-", slice(40, 60))):
        for kind, array in (("images-idx3", x[part]), ("labels-idx1", y[part].astype(np.uint8))):
            (tmp_path / f"{start}{kind}-ubyte").write_bytes(idx(array))
    assert same_set(*everything(load(tmp_path)), x[:40], y[:40])
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{kind}-ubyte").rename(tmp_path / f"oldest-{kind}-ubyte")
    with pytest.raises(DataError, match="several pairs of idx files: latest-images.*oldest-images.*Name the one"):
        load(tmp_path)


def test_the_same_data_has_the_same_fingerprint_in_any_container(tmp_path, toy_arrays):
    x, y = toy_arrays()
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(x))
    (tmp_path / "labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(y.astype(">i4"), 0x0C)))
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y)
    rows = "\n".join(",".join(map(str, [label, *row])) for label, row in zip(y, x.reshape(60, -1).tolist()))
    (tmp_path / "a.csv").write_text(rows)
    (tmp_path / "card.toml").write_text('reader = "csv"\npath = "a.csv"\n[options]\nimage_shape = [8, 10, 1]')
    sources = [tmp_path / "images-idx3-ubyte", tmp_path / "a.npz", tmp_path / "card.toml"]
    prints = {load(source, test=0, validation=0).train.fingerprint() for source in sources}
    assert len(prints) == 1 and len(min(prints)) == 64
    x[3] += 1
    np.savez(tmp_path / "b.npz", x=x, y=y)
    assert load(tmp_path / "b.npz", test=0, validation=0).train.fingerprint() not in prints


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 10, 2000])
def test_a_truncated_idx_is_refused(tmp_path, toy_arrays, packed, kept):
    x, y = toy_arrays()
    suffix = ".gz" if packed else ""
    content = idx(x)[:kept]
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(gzip.compress(content) if packed else content)
    labels = idx(y.astype(np.uint8))
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(gzip.compress(labels) if packed else labels)
    with pytest.raises(DataError, match=r"train-images.* (truncated|not an idx file)"):
        load(tmp_path)


def test_an_idx_file_without_labels_is_named(tmp_path, toy_arrays):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(toy_arrays()[0]))
    with pytest.raises(DataError, match="has no partner"):
        load(tmp_path)


def test_transposed_images_are_turned_back(tmp_path, toy_arrays):
    x, y = toy_arrays()
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.ascontiguousarray(x.transpose(0, 2, 1)))))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(y.astype(np.uint8)))
    (tmp_path / "card.toml").write_text('reader = "idx"\npath = "."\n[options]\ntranspose = true')
    splits = load(tmp_path / "card.toml")
    assert splits.train.input_shape == (8, 10, 1)
    assert same_set(*everything(splits), x, y)


# csv ------------------------------------------------------------------------------------------------------------------


def table(x, y, separator=",", header=None, last=False):
    rows = [list(map(str, row)) for row in x.reshape(len(x), -1).tolist()]
    lines = [[*row, str(label)] if last else [str(label), *row] for row, label in zip(rows, y)]
    return "\n".join(separator.join(line) for line in ([header] if header else []) + lines) + "\n"


@pytest.fixture
def square(toy_arrays):
    return toy_arrays(n=700, height=5, width=5)


PIXELS = [f"pixel{k}" for k in range(25)]


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("header", [None, ["label", *PIXELS]])
def test_a_csv_is_read_with_any_separator_with_or_without_header(tmp_path, square, separator, header):
    x, y = square
    (tmp_path / "a.csv").write_text(table(x, y, separator, header))
    assert same_set(*everything(load(tmp_path / "a.csv")), x, y)


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_csv_is_read(tmp_path, square, ending, pack):
    x, y = square
    (tmp_path / f"a.csv{ending}").write_bytes(pack(table(x, y).encode()))
    assert same_set(*everything(load(tmp_path / f"a.csv{ending}")), x, y)


def test_the_label_column_is_found_by_its_name_wherever_it_is(tmp_path, square):
    x, y = square
    (tmp_path / "a.csv").write_text(table(x, [f"class {k}" for k in y], header=[*PIXELS, "Label"], last=True))
    splits = load(tmp_path / "a.csv")
    assert splits.train.label_names == ("class 0", "class 1", "class 2")
    assert same_set(*everything(splits), x, y)


@pytest.mark.parametrize("label", ["-1", '"animal"'])
def test_a_card_can_name_the_label_column(tmp_path, square, label):
    x, y = square
    (tmp_path / "a.csv").write_text(table(x, y, header=[*PIXELS, "animal"], last=True))
    (tmp_path / "card.toml").write_text(f'reader = "csv"\npath = "a.csv"\n[options]\nlabel = {label}')
    assert same_set(*everything(load(tmp_path / "card.toml")), x, y)


def test_a_csv_is_parsed_once(tmp_path, square, monkeypatch):
    x, y = square
    (tmp_path / "a.csv").write_text(table(x, y))
    load(tmp_path / "a.csv")
    monkeypatch.setattr(np, "loadtxt", lambda *_, **__: pytest.fail("it was parsed again"))
    assert same_set(*everything(load(tmp_path / "a.csv")), x, y)


def test_a_folder_of_two_csv_files_is_train_and_test(tmp_path, square):
    x, y = square
    (tmp_path / "mnist_train.csv").write_text(table(x[:600], y[:600]))
    (tmp_path / "mnist_test.csv").write_text(table(x[600:], y[600:]))
    splits = load(tmp_path)
    assert np.array_equal(splits.test.read(np.arange(100))[0][..., 0], x[600:])


@pytest.mark.parametrize("other", ["latest.csv", "contested.csv", "interval.csv"])
def test_only_a_whole_word_makes_a_table_a_split(tmp_path, square, other):
    x, y = square
    (tmp_path / "train.csv").write_text(table(x[:600], y[:600]))
    (tmp_path / other).write_text(table(x[600:], y[600:]))
    splits = load(tmp_path)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 600
    assert splits.card["splits"]["test"].startswith("held out")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("mnist_train.csv", "train"),
        ("TestSet.csv", "test"),
        ("signs-val2017.csv", "validation"),
        ("my test (1).csv", "test"),
        ("dev.csv", "validation"),
        ("latest.csv", None),
        ("attestation.csv", None),
        ("contrast.csv", None),
        ("values.csv", None),
        ("train_test.csv", None),
    ],
)
def test_the_split_that_a_name_says(name, split):
    assert naming.split_of_name(name) == split


@pytest.mark.parametrize(
    "word, split", [(" VAL ", "validation"), ("dev", "validation"), ("Training", "train"), ("trainer", None)]
)
def test_the_split_that_a_word_says(word, split):
    assert naming.split_of_word(word) == split


def test_the_columns_of_a_table_are_looked_for_once(tmp_path, picture, save, monkeypatch):
    for k in range(4):
        save(tmp_path / f"{k}.png", picture(k, 8, 8))
    (tmp_path / "labels.csv").write_text("file,label,split\n0.png,a,train\n1.png,b,train\n2.png,a,dev\n3.png,b,test\n")
    asked, columns = [], readers.listed.columns
    monkeypatch.setattr(readers.listed, "columns", lambda path, *told: asked.append(path) or columns(path, *told))
    assert list(readers.LISTED.splits(tmp_path)) == ["train", "validation", "test"]
    assert asked == [tmp_path / "labels.csv"]


def test_fractions_are_scaled(tmp_path, square):
    x, y = square
    (tmp_path / "a.csv").write_text(table(x / 255, y))
    assert same_set(*everything(load(tmp_path / "a.csv")), x, y)


def test_libsvm_lines_with_a_range_and_labels_from_one_are_read(tmp_path, square):
    x, y = square
    scaled = np.round(x.reshape(len(x), -1) / 127.5 - 1, 6)
    lines = [f"{y + 1} " + " ".join(f"{k + 1}:{v}" for k, v in enumerate(row)) for y, row in zip(y, scaled.tolist())]
    (tmp_path / "usps.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))
    (tmp_path / "card.toml").write_text(
        'reader = "csv"\nlabels = ["zero", "one", "two"]\n[splits]\ntrain = { file = "usps.bz2" }\n'
        "[options]\nfirst_label = 1\nvalue_range = [-1, 1]"
    )
    splits = load(tmp_path / "card.toml")
    assert same_set(*everything(splits), x, y)
    assert splits.train.label_names == ("zero", "one", "two")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no image"),
        ("1,2,3,4,x\n", r"line 1: 'x' is not a pixel value"),
        ("1,2,3,4,5\n1,2,3\n", "line 2: has 3 columns where the first has 5"),
        ("1,2,3,4,5\n" * 300 + "1,2,,4,5\n", "line 301: '' is not a pixel value"),
        ("1,2,3,4,5\n,2,3,4,5\n", "line 2: has no label"),
        ("1,2,3,4,99999\n2,2,3,4,5\n", r"whole numbers from 2 to 1e\+05 .* more than 16 bits hold"),
        ("hello\n", "needs a label and pixels"),
        ("1,2,3\n", "holds no images"),
        ("pixel0,pixel1,pixel2,pixel3\n1,2,3,4\n", "no label. A test set without labels"),
    ],
)
def test_a_bad_line_of_a_csv_is_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path / "a.csv")
    assert "a.csv" in str(error.value) and "\n" not in str(error.value)


def test_a_binary_file_is_no_csv(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(DataError, match="is not a table of text"):
        load(tmp_path / "a.csv")


# folders --------------------------------------------------------------------------------------------------------------


def test_class_folders_are_read(class_folders, picture):
    root = class_folders({"cat": 10, "dog": 20}, height=20, width=20)
    splits = load(root)
    assert splits.train.label_names == ("cat", "dog") and splits.train.input_shape == (20, 20, 3)
    assert sum(len(part) for part in (splits.train, splits.validation, splits.test)) == 30
    names = [splits.train.name(k) for k in range(len(splits.train))]
    assert names == sorted(names)
    images, targets = splits.train.read(np.array([5, 0]))
    for image, target, k in zip(images, targets, (5, 0)):
        _, kind, number = names[k].rsplit(os.sep, 2)
        assert target == ("cat", "dog").index(kind)
        assert np.array_equal(image, picture((0, int(target), int(number[:3])), 20, 20))


@pytest.mark.parametrize("names", [("train", "test", "val"), ("Training", "Testing", "validation")])
def test_subfolders_for_the_splits_are_respected(class_folders, tmp_path, names):
    for k, (name, count) in enumerate(zip(names, (6, 4, 3))):
        class_folders({"a": count, "b": count}, tmp_path / "set" / name, seed=k)
    splits = load(tmp_path / "set")
    assert (len(splits.train), len(splits.test), len(splits.validation)) == (12, 8, 6)
    assert names[1] in splits.test.name(0)


def test_hidden_files_and_foreign_files_are_no_images(class_folders):
    root = class_folders({"a": 5, "b": 5})
    (root / "a" / ".DS_Store").write_text("x")
    (root / "a" / "._000.png").write_text("x")
    (root / ".git").mkdir()
    (root / "b" / "Thumbs.db").write_text("x")
    (root / "b" / "list.csv").write_text("x")
    splits = load(root, validation=0)
    assert splits.train.label_names == ("a", "b")
    row, system = splits.card["inventory"]["entries"]
    assert system["count"] == 3 and row["count"] == 1 and row["examples"] == [str(root / "b" / "list.csv")]


def test_images_of_every_kind_come_in_one_shape(tmp_path, save, picture):
    root = tmp_path / "mixed"
    save(root / "a" / "rgb.png", picture(0, 30, 40))
    save(root / "a" / "rgba.png", picture(1, 10, 12, 4))
    save(root / "a" / "deep" / "grey.jpg", picture(2, 64, 50, 1)[..., 0])
    save(root / "b" / "wide.tif", picture(3, 31, 33, 1)[..., 0].astype(np.uint16) * 257)
    save(root / "b" / "photo.JPG", picture(4, 35, 35))
    splits = load(root, test=0, validation=0)
    assert len(splits.train) == 5
    assert splits.train.input_shape == (40, 40, 3)  # the median side of 34 rounded up to a multiple of 8
    assert splits.train.read(np.arange(5))[0].shape == (5, 40, 40, 3)
    assert splits.train.with_shape((16, 24, 1)).read(np.arange(5))[0].shape == (5, 16, 24, 1)


def test_grey_pictures_saved_in_colour_are_seen_as_grey(tmp_path, save, picture):
    for name in ("a", "b"):
        for k in range(3):
            save(tmp_path / "grey" / name / f"{k}.jpg", picture(k, 28, 28, 1)[..., 0])
            save(tmp_path / "grey" / name / f"{k}.bmp", np.repeat(picture(k, 28, 28, 1), 3, 2))
    assert load(tmp_path / "grey").train.input_shape == (28, 28, 1)


def test_large_photos_are_read_at_224(tmp_path, save, picture):
    save(tmp_path / "big" / "a" / "0.jpg", picture(0, 500, 640))
    save(tmp_path / "big" / "b" / "0.jpg", picture(1, 480, 640))
    assert load(tmp_path / "big", test=0).train.input_shape == (224, 224, 3)


def test_tracks_are_groups(tmp_path, save, picture):
    root = tmp_path / "signs"
    for label in range(2):
        for track in range(6):
            for frame in range(4):
                pixels = (picture((label, track)) * (0.7 + 0.1 * frame)).astype(np.uint8)
                save(root / f"{label:05}" / f"{track:05}_{frame:05}.ppm", pixels)
    splits = load(root, test=0.2, validation=0.2)
    groups = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert [len(group) for group in groups] == [8, 2, 2]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def test_numbers_without_tracks_are_no_groups(class_folders):
    assert load(class_folders({"a": 5, "b": 5})).train.groups is None


def test_a_folder_that_holds_no_classes_says_how_to_lay_it_out(tmp_path, save, picture):
    with pytest.raises(DataError, match=r"holds no class folders with images\. Put the images of each class"):
        load(tmp_path)
    save(tmp_path / "a.png", picture(0))
    with pytest.raises(DataError, match="holds images, but no class folders"):
        load(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match=r"class folders of .* \(cat\) hold no image"):
        load(tmp_path)


# embedded -------------------------------------------------------------------------------------------------------------


def test_the_embedded_digits_are_made_like_mnist():
    splits = load("digits")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1258, 180, 359)
    assert splits.train.label_names == tuple("0123456789") and splits.train.input_shape == (28, 28, 1)
    images, _ = everything(splits)
    assert images.shape == (1797, 28, 28, 1) and images.max() == 255
    mass = images[..., 0].astype(float)
    rows = (mass.sum(2) @ np.arange(28)) / mass.sum((1, 2))
    columns = (mass.sum(1) @ np.arange(28)) / mass.sum((1, 2))
    assert np.abs(rows - 13.5).max() <= 0.5 and np.abs(columns - 13.5).max() <= 0.5
    assert (images[:, [0, -1]] == 0).mean() > 0.99


def test_the_embedded_digits_are_the_ones_of_scikit_learn():
    from sklearn.datasets import load_digits

    splits = load("digits", test=0, validation=0)
    assert np.array_equal(splits.train.labels, load_digits().target)
    ink = splits.train.read(np.arange(1797))[0].mean((1, 2, 3))
    assert np.corrcoef(ink, load_digits().images.mean((1, 2)))[0, 1] > 0.99


# real data ------------------------------------------------------------------------------------------------------------


def test_mnist_is_used_from_the_shared_folder(research_data, monkeypatch, fresh_cache):
    path = research_data("mnist") / "mnist.npz"
    monkeypatch.setenv("CNNKIT_DATA", str(path.parents[1]))
    splits = load("mnist")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (54_000, 6_000, 10_000)
    with np.load(path, allow_pickle=False) as content:
        x, y = content["x_test"], content["y_test"]
    images, targets = splits.test.read(np.arange(10_000))
    assert np.array_equal(images[..., 0], x) and np.array_equal(targets, y)
    assert not list(fresh_cache.glob("mnist*")), "nothing is copied"


def test_traffic_signs_are_split_by_track(research_data):
    splits = load(research_data("gtsrb-small"))
    assert len(splits.train) + len(splits.validation) == 3225 and len(splits.test) == 2580
    assert len(splits.train.label_names) == 43 and splits.train.input_shape == (32, 32, 3)
    assert splits.validation.counts().tolist() == [15] * 43
    assert not set(splits.train.groups.tolist()) & set(splits.validation.groups.tolist())

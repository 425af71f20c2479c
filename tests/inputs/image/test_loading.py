"""From a name to splits, and every bad data set in one clear line."""

import os

import numpy as np
import pytest

from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image.loading import load


def refused(source, message, **options):
    """Whether loading fails with one line that says so; returns the line."""
    with pytest.raises(DataError, match=message) as error:
        load(source, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_card_says_what_a_report_needs(class_folders):
    splits = load(class_folders({"cat": 20, "dog": 20}))
    assert splits.train.label_names == ("cat", "dog") and splits.train.input_shape == (24, 24, 3)
    assert splits.card["inventory"]["used"] == {"train": 28, "validation": 4, "test": 8}
    assert splits.card["splits"]["test"] == "held out, seed 0"
    assert splits.card["name"] == "pictures" and splits.warnings == []


def test_loading_twice_gives_the_same(class_folders):
    root = class_folders({"cat": 20, "dog": 20})
    first, again, other = (load(root, split_seed=seed, limit=10) for seed in (0, 0, 1))
    assert first.train.fingerprint() == again.train.fingerprint() != other.train.fingerprint()
    assert first.test.fingerprint() == again.test.fingerprint() != other.test.fingerprint()


def test_a_limit_keeps_a_stratified_part_of_training_only(class_folders):
    root = class_folders({"cat": 30, "dog": 10})
    whole, half, other = (load(root, limit=limit, seed=seed) for limit, seed in ((None, 0), (14, 0), (14, 1)))
    assert len(whole.train) == 28 and half.train.counts().tolist() in ([10, 4], [11, 3])
    assert half.test.fingerprint() == whole.test.fingerprint()
    assert half.train.fingerprint() != other.train.fingerprint(), "the seed chooses which"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "it is empty"),
        ("text.jpg", b"this is no picture at all", "it is not an image"),
        ("cut.png", None, "truncated"),
        ("bomb.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\x86\xa0\0\1\x86\xa0\x08\2\0\0\0", "100,000 x 100,000 px"),
    ],
)
def test_a_bad_file_is_named_and_can_be_left_out(class_folders, name, content, reason):
    root = class_folders({"a": 10, "b": 10})
    (root / "a" / name).write_bytes((root / "a" / "000.png").read_bytes()[:-40] if content is None else content)
    line = refused(root, f"1 of 21 images cannot be used: .*{name} .*{reason}.*`skip_bad`")
    assert str(root / "a" / name) in line
    splits = load(root, skip_bad=True)
    assert sum(len(part) for part in (splits.train, splits.validation, splits.test)) == 20
    assert len(splits.warnings) == 1 and name in splits.warnings[0] and "Left out" in splits.warnings[0]


def test_many_bad_files_are_counted_and_the_first_are_named(class_folders):
    root = class_folders({"a": 10, "b": 10})
    for k in range(12):
        (root / "b" / f"x{k:02}.jpg").write_bytes(b"")
    line = refused(root, "12 of 32 images cannot be used: .* and 7 more")
    assert line.count("it is empty") == 5


def damaged(path):
    """Change the picture so that its header and its end stay whole."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    return path


def test_damage_behind_the_header_is_found_when_it_is_read_or_looked_for(class_folders):
    root = class_folders({"a": 10, "b": 10})
    path = damaged(root / "b" / "004.png")
    records = load(root, test=0, validation=0).train
    with pytest.raises(DataError, match=r"004\.png cannot be used: it is damaged"):
        records.read(np.arange(20))
    assert str(path) in load(root, skip_bad=True).warnings[0]


def test_a_class_folder_without_images_is_refused(class_folders):
    root = class_folders({"a": 5, "b": 5, "empty": 0})
    refused(root, "no training image of empty. Add some, or remove the class")


def test_a_class_of_bad_files_only_is_refused_even_when_they_are_left_out(class_folders):
    root = class_folders({"a": 5, "b": 5, "c": 1})
    (root / "c" / "000.png").write_bytes(b"")
    refused(root, "no training image of c", skip_bad=True)


def test_nothing_but_bad_files_is_refused(class_folders):
    root = class_folders({"a": 2, "b": 2})
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    refused(root, r"No image in .* can be used: .*\(it is empty\) and 3 more", skip_bad=True)


def test_one_class_is_refused(class_folders, tmp_path):
    refused(class_folders({"only": 5}), "has one class only, only; there is nothing to tell apart")
    np.savez(tmp_path / "a.npz", x=np.zeros((5, 2, 2), np.uint8), y=np.ones(5, int))
    refused(tmp_path / "a.npz", "has one class only, 1")


def test_labels_outside_the_card_s_are_refused(class_folders, tmp_path):
    class_folders({"cat": 5, "dog": 5, "cow": 5})
    card = tmp_path / "card.toml"
    card.write_text('title = "Pets"\nreader = "folder"\npath = "pictures"\nlabels = ["cat", "dog"]')
    refused(card, "train split of Pets has labels that the card does not have: cow. The card has cat, dog")
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 2, 2), np.uint8), y=[0, 1, 2, 0, 1, 2])
    card.write_text('title = "Bits"\npath = "a.npz"\nlabels = ["no", "yes"]')
    refused(card, "labels that the card does not have: 2")


def test_labels_of_the_test_split_that_training_lacks_are_refused(class_folders, tmp_path):
    class_folders({"a": 3, "b": 3}, tmp_path / "set" / "train")
    class_folders({"a": 3, "c": 3}, tmp_path / "set" / "test")
    refused(tmp_path / "set", "test split .* has labels that the training split does not have: c")


def test_labels_follow_the_order_of_the_card(class_folders, tmp_path):
    class_folders({"cat": 5, "dog": 5})
    (tmp_path / "card.toml").write_text('reader = "folder"\npath = "pictures"\nlabels = ["dog", "cat"]')
    records = load(tmp_path / "card.toml", test=0, validation=0).train
    assert records.label_names == ("dog", "cat")
    assert all(("dog", "cat")[label] in records.name(k) for k, label in enumerate(records.labels))


def test_numbered_folders_take_the_names_of_the_card(class_folders, tmp_path):
    class_folders({"00000": 5, "00001": 5})
    (tmp_path / "card.toml").write_text('reader = "folder"\npath = "pictures"\nlabels = ["speed 20", "speed 30"]')
    records = load(tmp_path / "card.toml", test=0, validation=0).train
    assert records.label_names == ("speed 20", "speed 30") and records.counts().tolist() == [5, 5]


def test_a_class_too_small_to_hold_out_is_mentioned(class_folders):
    splits = load(class_folders({"a": 30, "b": 30, "rare": 1}))
    assert splits.train.counts()[2] == 1
    assert "The test split has no image of rare: too few to hold any out." in splits.warnings


@pytest.mark.parametrize("parts", [{"validation": 1.5}, {"test": -0.1}, {"validation": 0.5, "test": 0.5}])
def test_parts_that_cannot_be_are_refused(class_folders, parts):
    with pytest.raises(ConfigError, match="validation|test"):
        load(class_folders({"a": 5, "b": 5}), **parts)


def test_a_name_of_any_bytes_is_one_line_of_text(class_folders):
    root = class_folders({"a": 5, "b": 5})
    odd = os.fsencode(root / "a") + b"/b\xff\nd.png"
    with open(odd, "wb"):
        pass
    line = refused(root, r"1 of 11 images cannot be used")
    assert line.isprintable() and line.encode()
    os.replace(root / "a" / "000.png", odd)  # noqa: PTH105
    records = load(root, test=0, validation=0).train
    assert len(records.read(np.arange(9))[0]) == 9 and records.name(4).isprintable()


def test_a_class_called_train_is_a_class(class_folders):
    splits = load(class_folders({"bus": 5, "train": 5, "tram": 5}))
    assert splits.train.label_names == ("bus", "train", "tram")


def test_a_folder_in_the_shared_data_is_found_by_its_name(class_folders, tmp_path, monkeypatch):
    class_folders({"a": 5, "b": 5})
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path))
    assert len(load("pictures", test=0, validation=0).train) == 10


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody/data", ""])
def test_an_impossible_name_is_one_line(name):
    refused(name, "There is no data set|is no data set|no class folders")


def test_nothing_left_to_train_on_is_refused(class_folders):
    refused(class_folders({"a": 2, "b": 2}), "Nothing of .* is left to train on", limit=0)


def test_what_is_not_there_is_refused_with_the_known_names(tmp_path):
    line = refused("mnits", "There is no data set 'mnits'")
    assert all(name in line for name in ("digits", "mnist", "fashion-mnist", "kmnist", "emnist-digits", "usps"))
    refused(tmp_path / "none", "There is no data set")
    (tmp_path / "notes.docx").write_text("x")
    refused(tmp_path / "notes.docx", r"is no data set: it needs to be a folder of class folders")


def test_progress_is_called_for_long_work(tmp_path, toy_arrays):
    x, y = toy_arrays(n=5000)
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y)
    calls = []
    load(tmp_path / "a.npz", progress=lambda what, done, total: calls.append((what, done, total)))
    assert calls[-1] == ("Unpacking a.npz:x", 5000, 5000)


def test_a_full_cache_is_said_before_anything_is_written(tmp_path, toy_arrays, monkeypatch, fresh_cache):
    x, y = toy_arrays()
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y)
    real = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:4], 0, *real[5:10])))
    refused(tmp_path / "a.npz", "0.0 GB are free. Set CNNKIT_CACHE")
    assert not list((fresh_cache / "unpacked").iterdir())

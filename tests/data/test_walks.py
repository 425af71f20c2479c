"""Links are followed, circles are not, and what a system left is no data; all of it is counted."""

import os

import numpy as np
import pytest

from cnnkit.data import walks
from cnnkit.inputs.image.checks import check
from cnnkit.inputs.image.loading import load
from cnnkit.tasks.detection.formats import files


def told(splits):
    """The inventory's counts by reason."""
    return {row["reason"]: row["count"] for row in splits.card["inventory"]["entries"]}


HIDDEN = "that are hidden or that a system left beside the data"


def total(splits):
    return sum(len(part) for part in (splits.train, splits.validation, splits.test))


def test_linked_folders_of_images_are_read(class_folders, tmp_path):
    root = class_folders({"a": 10, "b": 10})
    disk = class_folders({"more": 8, "c": 10}, tmp_path / "disk", seed=1)
    (root / "a" / "more").symlink_to(disk / "more", target_is_directory=True)
    (root / "c").symlink_to(disk / "c", target_is_directory=True)
    splits = load(root)
    assert total(splits) == 38 and splits.train.label_names == ("a", "b", "c") and told(splits) == {}


def test_a_link_inside_a_linked_folder_is_followed_too(class_folders, tmp_path):
    root = class_folders({"a": 5, "b": 5})
    one = class_folders({"x": 3}, tmp_path / "one", seed=1)
    two = class_folders({"y": 2}, tmp_path / "two", seed=2)
    (one / "x" / "further").symlink_to(two / "y", target_is_directory=True)
    (root / "a" / "more").symlink_to(one / "x", target_is_directory=True)
    assert total(load(root)) == 15


@pytest.mark.parametrize("place", ["a/loop", "a/deep/loop", "loop"])
@pytest.mark.parametrize("target", [".", "a", ".."])
def test_a_circle_of_links_ends_and_is_named(class_folders, place, target):
    root = class_folders({"a": 10, "b": 10})
    link = root / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to((root / target).resolve(), target_is_directory=True)
    if place == "loop" and target == "a":
        assert total(load(root)) == 30, "a second name of a class is no circle"
        return
    splits = load(root)
    assert total(splits) == 20 and told(splits) == {"to folders that are walked through already": 1}
    assert str(link) in splits.card["inventory"]["entries"][0]["examples"]


def test_two_links_to_one_folder_give_its_images_once(class_folders, tmp_path):
    root = class_folders({"a": 5, "b": 5})
    disk = class_folders({"x": 4}, tmp_path / "disk", seed=1)
    for name in ("one", "two"):
        (root / "a" / name).symlink_to(disk / "x", target_is_directory=True)
    splits = load(root)
    assert total(splits) == 14 and told(splits) == {"to folders that are walked through already": 1}


def test_links_that_lead_nowhere_are_named(class_folders):
    root = class_folders({"a": 5, "b": 5})
    (root / "a" / "gone").symlink_to("nowhere")
    (root / "c").symlink_to("nowhere")
    assert told(load(root)) == {"that lead nowhere": 2}


def test_what_systems_leave_is_no_data_and_no_class(class_folders):
    root = class_folders({"a": 10, "b": 10})
    for name in (
        "__MACOSX/a/._000.png",
        "__MACOSX/._a",
        ".DS_Store",
        "a/._001.png",
        "a/Thumbs.db",
        "b/@eaDir/001.png/SYNO_THUMB.png",
        "@eaDir/x.png",
        "b/.ipynb_checkpoints/001-checkpoint.png",
        "$RECYCLE.BIN/a.png",
        "desktop.ini",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\0\5\x16\7")
    splits = load(root)
    assert total(splits) == 20 and splits.train.label_names == ("a", "b")
    assert told(splits) == {HIDDEN: 10}
    assert "error" not in {finding.severity for finding in check(root)}


def test_what_systems_leave_is_no_split_and_no_table(class_folders, tmp_path):
    class_folders({"a": 5, "b": 5}, tmp_path / "set" / "train")
    class_folders({"a": 5, "b": 5}, tmp_path / "set" / "test", seed=1)
    (tmp_path / "set" / "__MACOSX" / "train").mkdir(parents=True)
    (tmp_path / "set" / "._train.csv").write_bytes(b"\0\5\x16\7")
    (tmp_path / "set" / "train" / ".DS_Store").write_bytes(b"\0")
    splits = load(tmp_path / "set")
    assert len(splits.test) == 10 and total(splits) == 20


def test_images_in_no_split_are_counted(class_folders, tmp_path, picture, save):
    class_folders({"a": 5, "b": 5}, tmp_path / "set" / "train")
    class_folders({"a": 3, "b": 3}, tmp_path / "set" / "test", seed=1)
    class_folders({"a": 4}, tmp_path / "set" / "unlabelled", seed=2)
    save(tmp_path / "set" / "icon.png", picture(9))
    splits = load(tmp_path / "set")
    assert told(splits) == {"that lie in no split": 5}
    assert splits.card["inventory"]["entries"][0]["examples"] == ["icon.png", "unlabelled" + os.sep]


def test_annotations_walk_through_links_as_class_folders_do(class_folders, tmp_path):
    disk = class_folders({"photos": 3}, tmp_path / "disk")
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "images" / "more").symlink_to(disk / "photos", target_is_directory=True)
    (root / "images" / "loop").symlink_to(root, target_is_directory=True)
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "x.png").write_bytes(b"")
    assert list(files.walk(root)) == [f"images/more/{k:03}.png" for k in range(3)]


def test_a_folder_of_many_links_to_each_other_ends(tmp_path):
    folders = [tmp_path / "set" / str(k) for k in range(6)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(b"x")
    for folder in folders:
        for other in folders:
            if folder != other:
                (folder / f"to {other.name}").symlink_to(other, target_is_directory=True)
    left = walks.Left()
    found = list(walks.files(str(tmp_path / "set"), "", left))
    assert len(found) <= 12 and len({os.path.realpath(path) for path, _ in found}) == 6 and left.circles
    assert np.all([not os.path.isabs(child) for _, child in found])  # noqa: PTH117

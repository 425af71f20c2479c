"""What became of the data is counted, named and said."""

import pytest

from cnnkit.data import inventory
from cnnkit.data import records as data
from cnnkit.data.inventory import Entry, entry
from cnnkit.inputs.image.loading import load


def test_entries_of_one_fate_are_counted_together_and_a_few_are_named():
    rows = [entry("left out", "images", "that cannot be used", [f"{k}.png" for k in range(9)]) for _ in range(2)]
    found = inventory.describe("images", {"train": 80, "validation": 0, "test": 20}, rows, ["a line", "a line"])
    assert found["found"] == 118 and found["used"]["train"] == 80 and found["notes"] == ["a line"]
    assert found["entries"][0]["count"] == 18 and len(found["entries"][0]["examples"]) == inventory.EXAMPLES
    assert inventory.lines(found) == [
        "Data: 118 images found, 100 used (80 train, 20 test).",
        "Left out: 18 images that cannot be used (0.png, 1.png, 2.png, ...).",
        "a line",
    ]


def test_what_is_not_an_image_does_not_count_as_one():
    rows = [Entry("left out", 3, "files", "that are no images"), Entry("background", 1, "images", "without a box")]
    found = inventory.describe("images", {"train": 5}, rows)
    assert found["found"] == 5
    assert inventory.lines(found)[1:] == [
        "Left out: 3 files that are no images.",
        "Learnt as background: 1 image without a box.",
    ]


def test_nothing_is_said_of_nothing():
    assert inventory.describe("images", {"train": 5}, [Entry("ignored", 0, "boxes", "")])["entries"] == []
    assert inventory.lines({}) == [] and inventory.joined({}, {}) == {}


def test_an_unknown_fate_is_refused():
    with pytest.raises(ValueError, match="left out"):
        Entry("lost", 1, "images", "somewhere")


def test_a_folder_says_what_it_left_out(class_folders):
    root = class_folders({"a": 10, "b": 10})
    (root / "a" / "list.csv").write_text("x")
    (root / "b" / "cut.png").write_bytes(b"")
    splits = load(root, skip_bad=True, limit=5)
    found = splits.card["inventory"]
    told = {(row["what"], row["reason"]): row["count"] for row in found["entries"]}
    assert told == {
        ("files", "that are no images by their names"): 1,
        ("images", "that cannot be used"): 1,
        ("images", "of training, by the limit asked for"): 9,
    }
    assert found["found"] == 21 and found["used"] == {"train": 5, "validation": 2, "test": 4}
    lines = inventory.lines(found)
    assert len(lines) == 2 and "cut.png" in lines[1] and "list.csv" in lines[1]


def test_two_data_sets_have_one_inventory(class_folders, tmp_path):
    first = load(class_folders({"a": 10, "b": 10}, tmp_path / "one"))
    second = load(class_folders({"b": 10, "c": 10}, tmp_path / "two"), limit=3)
    found = data.join(first, second).card["inventory"]
    assert found["found"] == 40 and found["used"]["train"] == 14 + 3 and found["entries"][0]["count"] == 11

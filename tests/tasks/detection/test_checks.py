"""Every fault that is planted in boxes is found, and a clean data set has none."""

import cv2
import numpy as np
import pytest

from cnnkit.data import inventory
from cnnkit.device.detection import ious
from cnnkit.tasks.detection.boxes import Annotations, Box, Picture
from cnnkit.tasks.detection.checks import _alike, check_boxes
from cnnkit.tasks.detection.formats import annotations


@pytest.fixture
def split(tmp_path):
    """Make a split of 12 images with a stop and a go sign each, changed as told: {number: boxes or extra}."""

    def make(name, changes=None, labels=("go", "stop"), **kinds):
        pictures = []
        for k in range(12):
            path = tmp_path / name / f"{k}.png"
            path.parent.mkdir(exist_ok=True)
            value = k + 20 * ("train", "validation", "test").index(name)
            path.write_bytes(cv2.imencode(".png", np.full((30, 40, 3), value, np.uint8))[1].tobytes())
            boxes = (Box("stop", 1, 1, 11, 11), Box("go", 20, 5, 30, 25))
            pictures.append(Picture(f"{k}.png", 40, 30, (changes or {}).get(k, boxes)))
        return Annotations(tmp_path / name, tuple(pictures), labels, **kinds)

    return make


def found(splits):
    findings = check_boxes(splits)
    assert all("\n" not in finding.text and finding.text.endswith(".") for finding in findings)
    return {finding.kind: finding for finding in findings}


def test_a_clean_data_set_has_no_findings(split):
    assert check_boxes({name: split(name) for name in ("train", "validation", "test")}) == []
    assert check_boxes({}) == [] and check_boxes({"test": split("test")}) == []


@pytest.mark.parametrize(
    ("boxes", "kind", "severity", "text"),
    [
        ((Box("stop", 5, 5, 5, 9),), "box-size", "error", "stop at 5, 5, 5, 9 (0 x 4 px)"),
        ((Box("stop", 5, 5, 6.5, 9),), "box-size", "error", "(1.5 x 4 px)"),
        ((Box("stop", 5, 5, float("nan"), 9),), "box-size", "error", "nan"),
        ((Box("stop", 41, 5, 50, 9),), "box-outside", "error", "(the image has 40 x 30 px)"),
        ((Box("stop", 1, -9, 9, -1),), "box-outside", "error", "stop at 1, -9"),
        ((Box("stop", 30, 5, 45, 9),), "box-leads-out", "warning", "stop at 30, 5, 45, 9"),
        ((Box("stop", -3, 5, 4, 9),), "box-leads-out", "warning", "(the image has"),
        ((Box("stop", 1, 1, 35, 4),), "box-aspect", "warning", "(34 x 3 px)"),
        ((Box("stop", 1, 1, 11, 11), Box("stop", 1, 1, 11, 11.5)), "box-twice", "warning", "stop at 1, 1, 11, 11.5"),
        (
            (Box("stop", 1, 1, 11, 11), Box("go", 1, 1, 11, 11.5)),
            "two-labels",
            "error",
            "go at 1, 1, 11, 11.5, and stop",
        ),
        ((), "empty-image", "note", "3.png"),
    ],
)
def test_a_planted_fault_is_found_and_named(split, boxes, kind, severity, text):
    findings = found({"train": split("train", {3: boxes})})
    assert list(findings) == [kind] and findings[kind].severity == severity
    (file,) = findings[kind].files
    assert "train/3.png" in file and text in file
    assert findings[kind].text.startswith("1 ")


@pytest.mark.parametrize(
    "boxes", [(Box("stop", -0.5, 0, 40.5, 30.9),), (Box("stop", 1, 1, 11, 11), Box("stop", 5, 1, 15, 11))]
)
def test_what_is_no_fault_is_not_found(split, boxes):
    assert found({"train": split("train", {3: boxes})}) == {}


def test_labels_that_training_does_not_know_or_knows_too_few_of(split):
    train = split("train", {k: (Box("stop", 1, 1, 9, 9),) for k in range(5)}, labels=("go", "stop", "yield"))
    test = split("test", {2: (Box("turn", 1, 1, 9, 9),)})
    findings = found({"train": train, "test": test})
    assert set(findings) == {"unknown-label", "few-boxes", "unused-label"}
    assert "turn" in findings["unknown-label"].text and "test/2.png: turn" in findings["unknown-label"].files[0]
    assert "go (7)" in findings["few-boxes"].text and "yield" in findings["unused-label"].text


def test_no_boxes_at_all_is_an_error(split):
    findings = found({"train": split("train", dict.fromkeys(range(12), ()))})
    assert findings["no-boxes"].severity == "error" and findings["empty-image"].text.startswith("12 images have")


def test_images_without_labels_are_told_from_those_without_boxes(split):
    train = split("train", extra={"unannotated": ["x.png"]})
    pictures = (Picture("0.png", 40, 30, (), {"unlabelled": True}), *train.pictures[1:])
    findings = found({"train": Annotations(train.root, pictures, train.labels, extra=train.extra)})
    assert set(findings) == {"unlabelled", "unannotated"}
    assert "train/0.png" in findings["unlabelled"].files[0] and "x.png" in findings["unannotated"].files[0]


def test_what_was_left_out_is_a_finding(split):
    findings = found({"train": split("train", bad=(("a.xml, line 3", "no number"),))})
    assert findings["bad-file"].files == ("a.xml, line 3 (no number)",)


def test_the_same_image_twice(split):
    train, test = split("train"), split("test")
    (test.root / "5.png").write_bytes((train.root / "7.png").read_bytes())
    (train.root / "1.png").write_bytes((train.root / "2.png").read_bytes())
    findings = found({"train": train, "test": test})
    assert set(findings) == {"leak", "duplicate"} and findings["leak"].severity == "error"
    (row,) = findings["leak"].files
    assert "train/7.png (train)" in row and "test/5.png (test)" in row
    assert "train/1.png" in findings["duplicate"].files[0]


def test_labels_that_look_misspelt(split):
    boxes = (Box("Stop", 1, 1, 11, 11), Box("go", 20, 5, 30, 25))
    findings = found({"train": split("train", dict.fromkeys(range(11), boxes))})
    assert "Stop (11 boxes) and stop (1)" in findings["similar-labels"].text


@pytest.mark.parametrize(
    ("labels", "pairs"),
    [
        (["stop", "Stop", "give way", "giveway", "give_way"], 4),
        (["crosswalk", "croswalk", "crosswalks", "crossvalk"], 6),
        (["speed limit 30", "speed limit 50", "speed limit 130", "pl30", "pl3"], 0),
        (["A", "B", "go", "no", "bus", "but"], 0),
        (["turn left", "turn right", "keep left", "keep right"], 0),
    ],
)
def test_misspelt_labels_are_told_from_others(labels, pairs):
    found = _alike(labels)
    assert len(found) == pairs or (pairs == 6 and len(found) >= 3)


def test_iou():
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [5, 5, 5, 5]], float)
    assert np.allclose(ious(boxes, boxes)[0], [1, 1 / 3, 0, 0]) and ious(boxes, boxes)[3, 3] == 0


def test_the_real_sets_have_what_is_known_of_them(research_data):
    signs = found({"train": annotations.read(research_data("road-signs-877"))})
    assert not {"bad-file", "box-size", "box-outside", "leak", "similar-labels"} & signs.keys()
    german = found({"train": annotations.read(research_data("gtsdb-200"))})
    assert "few-boxes" in german and not {"box-size", "box-outside", "two-labels"} & german.keys()


def test_ignored_boxes_are_counted_and_a_label_that_has_no_others_is_a_warning(split):
    boxes = (Box("stop", 1, 1, 11, 11), Box("go", 20, 5, 30, 25, {"difficult": "1"}))
    some = check_boxes({"train": split("train", {3: boxes})})
    assert [(f.kind, f.severity) for f in some] == [("ignored", "note")]
    assert "1 box is ignored, of 24" in some[0].text and "3.png: go at 20" in some[0].files[0]
    every = check_boxes({"train": split("train", dict.fromkeys(range(12), boxes))})
    assert [(f.kind, f.severity) for f in every] == [("ignored", "warning"), ("ignored", "note")]
    assert "All training boxes of go are ignored" in every[0].text
    not_said = tuple(
        Box(box.label, box.left, box.top, box.right, box.bottom, {"difficult": "Unspecified"}) for box in boxes
    )
    assert check_boxes({"train": split("train", dict.fromkeys(range(12), not_said))}) == []


def test_what_was_read_otherwise_than_written_is_told(split):
    entries = (inventory.entry("changed", "images", "that are called otherwise", ["a.jpg is a.png"]),)
    finding = found({"train": split("train", entries=entries)})["read-otherwise"]
    assert finding.severity == "note" and "1 images that are called otherwise" in finding.text
    assert finding.files == ("a.jpg is a.png",)

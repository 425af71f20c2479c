"""Annotations: every format gives back what was written, whatever it passed through, and every fault has its place."""

import fnmatch
import itertools
import json
import math
import os
import shutil
import time
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnkit.data import cards
from cnnkit.errors import DataError
from cnnkit.tasks.detection.boxes import Annotations, Box, Picture
from cnnkit.tasks.detection.formats import annotations, lists

FORMATS = ("voc", "coco", "yolo", "gtsdb")
NAMES = lists.GTSDB_NAMES


def png(path, width=40, height=30, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.full((height, width, 3), value, np.uint8))[1].tobytes())


def voc_xml(name="a.png", size=(40, 30), corners=(1, 2, 11, 12), label="stop", extra=""):
    xmin, ymin, xmax, ymax = corners
    return (
        f"<annotation>\n<filename>{name}</filename>\n"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>\n"
        f"<object>\n<name>{label}</name>{extra}\n<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>\n</object>\n</annotation>\n"
    )


@pytest.fixture
def voc(tmp_path):
    """Write a folder of Pascal VOC with one image, of which the XML is given."""

    def make(text=None, **kinds):
        png(tmp_path / "data" / "images" / "a.png")
        (tmp_path / "data" / "annotations").mkdir(exist_ok=True)
        text = voc_xml(**kinds) if text is None else text
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "data" / "annotations" / "a.xml").write_bytes(data)
        return tmp_path / "data"

    return make


@pytest.fixture
def yolo(tmp_path):
    """Write a folder of YOLO with one image, of which the lines are given."""

    def make(lines="0 0.5 0.5 0.2 0.2\n", yaml="train: images\nnames: [stop, go]\n"):
        root = tmp_path / "data"
        png(root / "images" / "a.png")
        (root / "labels").mkdir(exist_ok=True)
        if lines is not None:
            (root / "labels" / "a.txt").write_text(lines)
        (root / "data.yaml").write_text(yaml)
        return root

    return make


@pytest.fixture
def coco(tmp_path):
    """Write a COCO file of one image and one box, changed as told."""

    def make(change=None, text=None):
        root = tmp_path / "data"
        png(root / "images" / "a.png")
        table = {
            "info": {"year": 2024},
            "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 30, "license": 1}],
            "annotations": [{"id": 3, "image_id": 7, "category_id": 5, "bbox": [1, 2, 10.5, 10], "iscrowd": 1}],
            "categories": [{"id": 5, "name": "stop", "supercategory": "sign"}, {"id": 9, "name": "go"}],
        }
        if change:
            change(table)
        (root / "train.json").write_text(json.dumps(table) if text is None else text)
        return root

    return make


@pytest.fixture
def gtsdb(tmp_path):
    """Write a gt.txt beside two images."""

    def make(text="00000.ppm;1;2;11;12;14\n"):
        root = tmp_path / "data"
        for k in range(2):
            png(root / f"{k:05}.ppm")
        (root / "gt.txt").write_text(text)
        return root

    return make


def message(path, **kinds):
    """Return the one line that reading ends with."""
    with pytest.raises(DataError) as error:
        annotations.read(path, **kinds)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    return str(error.value)


def content(found):
    """Reduce annotations to what every format must give back: {name: (size, boxes, extra)}, labels, extra."""
    pictures = {p.file.rpartition("/")[2]: (p.width, p.height, p.boxes, p.extra) for p in found.pictures}
    return pictures, found.labels, found.extra


# Each format by itself ------------------------------------------------------------------------------------------------


def test_voc_keeps_all_that_is_said_of_a_box(voc):
    extra = "<pose>Left</pose><truncated>1</truncated><difficult>1</difficult><part><name>pole</name></part>"
    found = annotations.read(voc(extra=extra))
    (picture,) = found.pictures
    assert (picture.file, picture.width, picture.height) == ("images/a.png", 40, 30)
    assert picture.boxes == (
        Box("stop", 1, 2, 11, 12, {"pose": "Left", "truncated": 1, "difficult": 1, "part": {"name": "pole"}}),
    )
    assert picture.boxes[0].ignored and picture.extra == {"depth": 3} and found.labels == ("stop",) and not found.bad


@pytest.mark.parametrize("images", ["images", "JPEGImages", ".", "annotations", "photos"])
def test_voc_finds_its_images_wherever_they_are(tmp_path, images):
    png(tmp_path / images / "a.png")
    (tmp_path / "annotations").mkdir(exist_ok=True)
    (tmp_path / "annotations" / "b.xml").write_text(voc_xml())
    assert len(annotations.read(tmp_path).pictures) == 1


def test_voc_takes_no_image_by_chance_for_a_file_name_without_a_suffix(voc):
    root = voc(name="a")
    png(root / "images" / "a.jpg")
    assert "its image may be images/a.jpg or images/a.png" in message(root)


def test_voc_reads_a_file_name_without_a_suffix_and_an_unknown_size(voc):
    root = voc(voc_xml(name="a", size=(0, 0)))
    assert annotations.read(root).pictures[0].width == 40


def test_voc_splits_are_those_of_its_image_sets(tmp_path):
    for name in "abc":
        png(tmp_path / "JPEGImages" / f"{name}.png")
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{name}.xml").write_text(voc_xml(f"{name}.png"))
    sets = tmp_path / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\nb\n")
    (sets / "val.txt").write_text("c\n")
    (sets / "stop_train.txt").write_text("a  1\nb -1\n")
    assert list(annotations.splits(tmp_path)) == ["train", "validation"]
    assert [p.file for p in annotations.read(tmp_path, split="validation").pictures] == ["JPEGImages/c.png"]
    (sets / "val.txt").write_text("c\nd\n")
    with pytest.raises(DataError, match=r"val.txt, line 2: there is no annotation 'd'"):
        annotations.splits(tmp_path)


def test_voc_names_images_without_xml(voc):
    root = voc()
    png(root / "images" / "b.png")
    found = annotations.read(root)
    assert found.extra == {"unannotated": ["images/b.png"]} and len(found.pictures) == 1


def test_yolo_boxes_become_px(yolo):
    found = annotations.read(yolo("1 0.5 0.5 0.5 0.2\n\n0 0.1 0.1 0.3 0.1 0.2 0.4\n"))
    boxes = found.pictures[0].boxes
    assert boxes[0] == Box("go", 10, 12, 30, 18) and found.labels == ("stop", "go")
    assert boxes[1] == Box("stop", 4, 3, 12, 12, {"polygon": [0.1, 0.1, 0.3, 0.1, 0.2, 0.4]})


def rows_of(kind, box, track):
    """Return what programs write behind a box (left, top, right, bottom as fractions)."""
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    middle = [((left + right) / 2, top), ((left + right) / 2, bottom), ((left + right) / 2, (top + bottom) / 2)]
    turned = [((left + right) / 2, top), (right, (top + bottom) / 2), ((left + right) / 2, bottom)]
    turned.append((left, (top + bottom) / 2))
    round_ = [(0.5 + math.cos(k / 3) / 2, 0.5 + math.sin(k / 3) / 2) for k in range(19)]
    outline = [(left + x * (right - left), top + y * (bottom - top)) for x, y in round_]
    behind = {
        "plain": [],
        "score": [0.25 + track / 100],
        "track": [track],
        "score and track": [0.93, track],
        "track and score": [track, 0.93],
        "keypoints": [v for point in corners + middle for v in point],
        "keypoints with flags": [v for k, point in enumerate(corners) for v in (*point, k % 3)],
        "three keypoints with flags": [v for point in middle for v in (*point, 2)],
        "one hidden": [*corners[0], 2, 0, 0, 0, *corners[1], 1],
    }
    if kind in behind:
        return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, *behind[kind]]
    points = {
        "corners": corners,
        "turned box": turned,
        "triangle": [corners[0], corners[1], middle[1]],
        "outline": outline,
        "outlines": outline[:: track % 2 + 1],
    }
    return [v for point in points[kind] for v in point]


@pytest.mark.parametrize(
    ("kind", "yaml", "told"),
    [
        ("plain", "", False),
        ("score", "", True),
        ("track", "", True),
        ("score and track", "", True),
        ("track and score", "", True),
        ("keypoints", "kpt_shape: [7, 2]\n", True),
        ("keypoints", "task: detect\n", True),
        ("keypoints", "", True),
        ("keypoints with flags", "kpt_shape: [4, 3]\n", True),
        ("keypoints with flags", "", True),
        ("three keypoints with flags", "", True),
        ("one hidden", "", True),
        ("corners", "", False),
        ("turned box", "", False),
        ("triangle", "", False),
        ("outline", "", False),
        ("outlines", "", False),
        ("outline", "task: segment\n", False),
    ],
)
def test_what_stands_behind_a_box_does_not_change_it(tmp_path, kind, yaml, told):
    rng = np.random.default_rng(len(kind))
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [stop]\ntrain: images\n" + yaml)
    truth = []
    for k in range(1, 7):
        side = rng.uniform(0.06, 0.15)
        left, top = rng.uniform(0.2, 0.7, 2)
        truth.append((left, top, left + side, top + side))
        png(tmp_path / "images" / f"{k}.png", 100, 100)
        row = " ".join(f"{value:.6f}" if value % 1 else f"{value:g}" for value in rows_of(kind, truth[-1], k))
        (tmp_path / "labels" / f"{k}.txt").write_text(f"0 {row}\n")
    found = annotations.read(tmp_path)
    for picture, box in zip(found.pictures, truth, strict=True):
        (got,) = picture.boxes
        assert np.allclose(
            (got.left, got.top, got.right, got.bottom), np.multiply(box, 100), atol=2 if "out" in kind else 0.01
        )
    assert bool(found.entries) == told


@pytest.mark.parametrize(
    ("rows", "yaml", "reason"),
    [
        (
            "0 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.55",
            "kpt_shape: [4, 2]\n",
            "9 values; with `kpt_shape: [4, 2]` a line has 13",
        ),
        ("0 0.5 0.5 0.2 0.2 0.45 0.45 640 0.55", "", "640 among them is no polygon"),
        (
            "0 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.45 0.5 0.6\n0 0.45 0.45 0.5 0.44 0.55 0.5 0.5 0.55 0.45 0.5",
            "",
            "may be polygons, or boxes with keypoints",
        ),
        ("0 0.5 0.5 0.2 0.2", "kpt_shape: 17\n", "`kpt_shape` is [number of keypoints, 2 or 3]"),
    ],
)
def test_rows_that_may_mean_several_things_are_refused(yolo, rows, yaml, reason):
    root = yolo(rows + "\n", "train: images\nnames: [stop, go]\n" + yaml)
    assert reason in message(root)


def test_one_bad_row_among_polygons_is_left_out(yolo):
    good = "0 0.1 0.1 0.3 0.1 0.2 0.4 0.1 0.3\n"
    root = yolo(3 * good + "0 0.1 0.1 300 0.1 0.2 0.4 0.1 0.3\n")
    assert "line 4: 300 is no fraction of the image's width or height" in message(root)
    assert len(annotations.read(root, skip_bad=True).pictures[0].boxes) == 3


def test_yolo_without_a_file_of_labels_has_no_boxes_and_says_so(yolo):
    (picture,) = annotations.read(yolo(None)).pictures
    assert picture.boxes == () and picture.extra == {"unlabelled": True}
    assert annotations.read(yolo("")).pictures[0].extra == {}


@pytest.mark.parametrize(
    ("yaml", "splits"),
    [
        ("path: .\ntrain: images\nval: images\nnames: [stop, go]", ["train"]),
        ("train: ../images\nval: ./images\nnames: {0: stop, 1: go}", ["train"]),
        ("train: [images, more]\nval: list.txt\ntest:\nnames: [stop, 3]", ["train", "validation"]),
        ("path: nowhere/on/this/machine\ntrain: images\nnames: [stop, go]\nroboflow: {version: 1}", ["train"]),
    ],
)
def test_yolo_splits(yolo, yaml, splits):
    root = yolo(yaml=yaml)
    png(root / "more" / "b.png")
    (root / "list.txt").write_text(f"./images/a.png\n\n{root}/images/a.png\n")
    assert list(annotations.splits(root)) == splits == list(annotations.splits(root / "data.yaml"))
    for split in splits:
        assert annotations.read(root, split=split).pictures[0].file == "images/a.png"


def test_coco_keeps_its_ids_and_what_is_beside(coco):
    found = annotations.read(coco())
    (picture,) = found.pictures
    assert picture.boxes == (Box("stop", 1, 2, 11.5, 12, {"id": 3, "iscrowd": 1}),) and picture.boxes[0].ignored
    assert picture.extra == {"id": 7, "license": 1} and found.labels == ("stop", "go")
    assert found.extra["info"] == {"year": 2024} and found.extra["categories"][0]["supercategory"] == "sign"


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("annotations/instances_{}2017.json", "{}2017"),
        ("annotations/instances_{}.json", "images/{}"),
        ("{}/_annotations.coco.json", "{}"),
        ("{}.json", "images"),
        ("{}.json", "photos/of/{}"),
    ],
)
def test_coco_splits(coco, file, folder, tmp_path):
    table = json.loads((coco() / "train.json").read_text())
    root = tmp_path / "set"
    for split in ("train", "valid" if "_annotations" in file else "val"):
        table["images"][0]["file_name"] = f"{split}.png"
        png(root / folder.format(split) / f"{split}.png")
        path = root / file.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(table))
        (path.parent / "captions.json").write_text("{}")
        assert annotations.read(path).pictures[0].file.endswith(f"{split}.png")
    assert list(annotations.splits(root)) == ["train", "validation"]
    for split, name in (("train", "train.png"), ("validation", "val")):
        (picture,) = annotations.read(root, split=split).pictures
        assert picture.file.rpartition("/")[2].startswith(name)


def test_gtsdb_has_images_without_signs_and_leaves_out_cut_out_ones(gtsdb):
    root = gtsdb()
    png(root / "14" / "00000.ppm")
    found = annotations.read(root)
    assert [(p.file, len(p.boxes)) for p in found.pictures] == [("00000.ppm", 1), ("00001.ppm", 0)]
    assert found.pictures[0].boxes[0] == Box("Stop", 1, 2, 11, 12) and found.labels == NAMES and len(set(NAMES)) == 43


def test_the_complete_gtsdb_has_600_images_for_training(tmp_path):
    png(tmp_path / "00000.ppm", 4, 3)
    for k in range(1, 900):
        os.link(tmp_path / "00000.ppm", tmp_path / f"{k:05}.ppm")
    (tmp_path / "gt.txt").write_text("00599.ppm;0;0;2;2;1\n00600.ppm;0;0;2;2;1\n")
    assert annotations.splits(tmp_path) == {"train": "gt.txt, 0-599", "test": "gt.txt, 600-last"}
    train, test = (annotations.read(tmp_path, split=split) for split in ("train", "test"))
    assert (len(train.pictures), len(test.pictures)) == (600, 300)
    assert len(train.pictures[-1].boxes) == len(test.pictures[0].boxes) == 1


def test_a_folder_with_boxes_in_two_formats_is_an_error_that_names_both(voc, yolo):
    voc()
    folder = yolo()
    assert "two formats: yolo and voc" in message(folder)
    with pytest.raises(DataError, match="two readers: voc and yolo"):
        cards.load(folder)


def test_formats_are_told_apart(voc, tmp_path):
    assert annotations.detect_format(voc()) == "voc"
    assert annotations.detect_format(tmp_path) is None and annotations.detect_format(tmp_path / "none") is None
    png(tmp_path / "classes" / "stop" / "a.png")
    (tmp_path / "classes" / "labels").mkdir()
    (tmp_path / "classes" / "labels" / "notes.xml").write_text("<html/>")
    (tmp_path / "classes" / "config.yaml").write_text("rate: 0.1")
    (tmp_path / "classes" / "run.json").write_text("{}")
    assert annotations.detect_format(tmp_path / "classes") is None
    assert "holds no boxes" in message(tmp_path / "classes")
    assert "There is no" in message(tmp_path / "nowhere")
    assert "no format of boxes 'pdf'" in message(tmp_path, format="pdf")
    assert "has no split 'test'. It has train." in message(tmp_path / "data", split="test")


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("<annotation>\n<filename>a.png\n</annotation>", 3, "not XML: mismatched tag"),
        ("", 1, "not XML: no element found"),
        ("<annotation>\n&boom;</annotation>", 2, "undefined entity"),
        ("<?xml version='1.0' encoding='klingon'?>\n<annotation/>", 1, "encoding"),
        ("<html/>", 1, "root is <html>"),
        (voc_xml(name="../../etc/passwd"), 2, "leads out of the data's folder"),
        (voc_xml(size=("x", 1)), 3, "<width> 'x' is not a number"),
        (voc_xml(size=(-1, 1)), 3, "not a number of px"),
        (voc_xml(size=(41, 30)), None, "says 41 x 30 px, but images/a.png has 40 x 30"),
        (voc_xml(corners=(1, 2, "ten", 12)), 4, "<xmax> of 'stop': 'ten' is not a number"),
        (voc_xml(corners=("nan", 2, 3, 12)), 4, "'nan' is not a number"),
        (voc_xml(corners=(1, 2, "1e999", 12)), 4, "too large a number"),
        (voc_xml(corners=(1, 2, "1_0", 12)), 4, "'1_0' is not a number"),
        (voc_xml(corners=(1, 2, 1, 12)), 4, "'stop' is 0 x 10 px: no box"),
        (voc_xml(corners=(5, 2, 1, 12)), 4, "'stop' is -4 x 10 px"),
        (voc_xml(label=""), 4, "has no <name>"),
        (voc_xml().replace("xmax", "right"), 4, "has no <xmax>"),
        (voc_xml().replace("bndbox", "box"), 4, "'stop' has no <bndbox>"),
        ("<a>" * 20 + "</a>" * 20, 1, "too deeply nested"),
    ],
)
def test_a_fault_in_xml_is_named(voc, text, line, reason):
    root = voc(text)
    where = f"{root / 'annotations' / 'a.xml'}" + (f", line {line}: " if line else ": ")
    found = message(root, format="voc")
    assert where in found and reason in found
    with_rest = voc_xml(name="c.png")
    png(root / "images" / "c.png")
    (root / "annotations" / "c.xml").write_text(with_rest)
    skipped = annotations.read(root, "voc", skip_bad=True)
    assert len(skipped.bad) == 1 and reason in skipped.bad[0][1] and where.rstrip(": ") == skipped.bad[0][0]
    assert len(skipped.pictures) == (2 if line == 4 else 1), "of a bad box the image stays"


BOMB = (
    "<!DOCTYPE x [\n<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{k} '{f'&a{k - 1};' * 10}'>" for k in range(1, 15))
    + "]>\n<annotation><filename>&a14;</filename></annotation>"
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>\n<annotation><filename>&f;</filename></annotation>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">\n<annotation/>',
        BOMB.encode("utf-16"),
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>\n<annotation/>',
    ],
)
def test_an_xml_bomb_or_an_outer_entity_is_refused_at_once(voc, text):
    root = voc(text)
    start = time.perf_counter()
    tracemalloc.start()
    found = message(root, format="voc")
    assert "a.xml, line 1: it has a DOCTYPE or an entity" in found and "root:" not in found
    assert time.perf_counter() - start < 0.5 and tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_files_that_are_too_large_are_refused(voc, yolo, monkeypatch):
    other = voc("<annotation>" + " " * 2**23 + "</annotation>")
    assert "larger than the 8,388,608 bytes" in message(other)
    shutil.rmtree(other)
    assert "larger than the 262,144 bytes" in message(yolo(yaml="names: [a]\ntrain: images\n#" + " " * 2**18))
    (yolo().parent / "big.json").write_text("{}" + " " * 100)
    monkeypatch.setattr(lists, "MOST_JSON_BYTES", 100)
    assert "big.json: it is larger than the 100 bytes" in message(yolo().parent / "big.json")


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2\n", 2, "4 values; a line is"),
        ("0 0.5 0.5 0.2 0.2 0.9 0.1 0.3\n", 1, "8 values"),
        ("0 0.5 0.5 0.2 0.2\n\nstop 0.5 0.5 0.2 0.2\n", 3, "'stop' is not a number"),
        ("2 0.5 0.5 0.2 0.2\n", 1, "the class 2 is not one of the 2 names (0 to 1)"),
        ("-1 0.5 0.5 0.2 0.2\n", 1, "the class -1"),
        ("0.5 0.5 0.5 0.2 0.2\n", 1, "the class 0.5"),
        ("0 nan 0.5 0.2 0.2\n", 1, "'nan' is not a number"),
        ("0 0.5 inf 0.2 0.2\n", 1, "'inf' is not a number"),
        ("0 0.5 0.5 0 0.2\n", 1, "it needs a width and a height above 0"),
        ("0 0.5 0.5 0.2 -0.2\n", 1, "it needs a width and a height above 0"),
        ("0 20 20 12 14\n", 1, "its values are px"),
        ("0 0.5 0.5 0.5 0.6 0.5 0.7\n", 1, "'stop' is 0 x 6 px"),
    ],
)
def test_a_fault_in_a_line_of_yolo_is_named(yolo, lines, line, reason):
    root = yolo(lines)
    found = message(root)
    assert f"{root / 'labels' / 'a.txt'}, line {line}: " in found and reason in found
    skipped = annotations.read(root, skip_bad=True)
    assert len(skipped.bad) == 1 and len(skipped.pictures[0].boxes) == ("0 0.5 0.5 0.2 0.2\n" in lines)


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("names: [a\ntrain: images", "data.yaml, line 2: it is not YAML"),
        ("names: &x [a]\ntrain: images\nval: *x", "data.yaml, line 3: it has YAML aliases"),
        ("names: !!python/object/apply:os.system ['echo hacked']\ntrain: images", "line 1: it is not YAML"),
        ("train: images", "needs `names` and `train`"),
        ("names: 3\ntrain: images", "`names` is a list"),
        ("names: [a, a]\ntrain: images", "an empty name or one twice"),
        ("names: [yes, no]\ntrain: images", "True is no text. Put it in quotes"),
        ("names: {1: a, 2: b}\ntrain: images", "are 0 to 1, one each"),
        ("names: [a]", "names no images"),
        ("names: [a]\ntrain: /etc", "lies outside the data's folder"),
        ("names: [a]\ntrain: ../../..", "lies outside the data's folder"),
        ("names: [a]\ntrain: nowhere", "nowhere, which is not there"),
        (f"path: {'x' * 999}\nnames: [a]\ntrain: {'y' * 999}", "which is not there"),
        ('names: [a]\ntrain: "a\\0b"', "which is not there"),
        ("names: [a]\ntrain: 5", "`train` is a folder, a list"),
        ("names: [a]\ntrain: list.txt", "list.txt, line 2: there is no image 'images/b.png'"),
        ("names: [a]\ntrain: out.txt", "out.txt, line 1: '../../secret.png' leads out"),
        ("names: " + "[" * 1000 + "\ntrain: images", "data.yaml"),
    ],
)
def test_a_fault_in_a_data_yaml_is_named(yolo, yaml, reason):
    root = yolo(yaml=yaml)
    (root / "list.txt").write_text("images/a.png\nimages/b.png\n")
    (root / "out.txt").write_text("../../secret.png\n")
    assert reason in message(root, format="yolo")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("categories"), "train.json: it is not COCO: it needs a list `categories`"),
        (lambda t: t["images"][0].update(file_name="../a.png"), "images[0]: `file_name` '../a.png' leads out"),
        (lambda t: t["images"][0].update(file_name="/etc/b.png"), "images[0]: there is no image '/etc/b.png'"),
        (lambda t: t["images"][0].update(file_name="b.png"), "images[0]: there is no image 'b.png'"),
        (lambda t: t["images"][0].update(width=30), "images[0]: it says 30 x 30 px"),
        (lambda t: t["images"][0].update(width="x"), "images[0]: its width or height is 'x'"),
        (lambda t: t["images"][0].pop("id"), "images[0]: an image needs an `id`"),
        (lambda t: t["images"].append(t["images"][0]), "images[1]: the image id 7 stands twice"),
        (
            lambda t: t["images"].append({"id": 8, "file_name": "a.png"}),
            "images[1]: images/a.png has its boxes already",
        ),
        (lambda t: t["annotations"][0].update(image_id=8), "annotations[0]: there is no image with the id 8"),
        (lambda t: t["annotations"][0].update(category_id=6), "annotations[0]: `category_id` 6 is none"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, 3]), "annotations[0]: `bbox` is [x, y, width, height]"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, "3", 4]), "annotations[0]: `bbox` is"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, 0, 4]), "annotations[0]: 'stop' is 0 x 4 px"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, -3, 4]), "annotations[0]: 'stop' is -3 x 4 px"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, float("nan"), 4]), "train.json: it has NaN"),
        (lambda t: t["annotations"][0].pop("bbox"), "annotations[0]: `bbox` is"),
        (lambda t: t["categories"].append({"id": 5, "name": "x"}), "categories[2]: the id 5"),
        (lambda t: t["categories"].append({"id": 6}), "categories[2] needs an `id` and a `name`"),
    ],
)
def test_a_fault_in_coco_is_named(coco, change, reason):
    assert reason in message(coco(change) / "train.json")


def test_broken_json_is_named_with_its_line(coco):
    assert "train.json, line 3: it is not JSON (" in message(
        coco(text='{"images": [],\n"annotations": [\n}') / "train.json"
    )
    assert "it is not JSON that can be read" in message(coco(text="[" * 100_000) / "train.json")
    (coco() / "train.json").write_bytes(b"\xff\xfe{}")
    assert "train.json: it is not" in message(coco(text="5") / "train.json")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("00000.ppm;1;2;11;12\n", 1, "5 values; a line is"),
        ("00000.ppm;1;2;11;12;14\n00000.ppm;1;2;x;12;14\n", 2, "'x' is not a number"),
        ("00000.ppm;1;2;11;12;43\n", 1, "the class 43 is not one of the 43 names"),
        ("00009.ppm;1;2;11;12;3\n", 1, "there is no image '00009.ppm'"),
        ("../a.ppm;1;2;11;12;3\n", 1, "leads out of the data's folder"),
        ("00000.ppm;11;2;11;12;3\n", 1, "is 0 x 10 px: no box"),
    ],
)
def test_a_fault_in_a_gt_txt_is_named(gtsdb, text, line, reason):
    root = gtsdb(text)
    found = message(root)
    assert f"{root / 'gt.txt'}, line {line}: " in found and reason in found
    assert len(annotations.read(root, skip_bad=True).pictures) == 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b""), "a.png: it is empty"),
        (lambda path: path.write_text("no image"), "a.png: it is not an image"),
        (lambda path: path.unlink(), "No image of"),
    ],
)
def test_a_bad_image_is_named(yolo, spoil, reason):
    root = yolo()
    spoil(root / "images" / "a.png")
    assert reason in message(root)
    assert "No image of" in message(root, skip_bad=True)


def test_an_image_of_which_a_part_is_missing_is_found_before_training_if_told(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    for name in "ab":
        noise = cv2.GaussianBlur(rng.integers(0, 256, (90, 120, 3), np.uint8), (0, 0), 2)
        data = cv2.imencode(".jpg", noise)[1].tobytes()
        data = data if name == "b" else data[: len(data) * 2 // 3] + b"\xff\xd9"
        (tmp_path / "images" / f"{name}.jpg").write_bytes(data)
        (tmp_path / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("names: [stop]\ntrain: images\n")
    assert "images/a.jpg: it is damaged or truncated" in message(tmp_path, verify=True)
    found = annotations.read(tmp_path, verify=True, skip_bad=True)
    assert [picture.file for picture in found.pictures] == ["images/b.jpg"] and len(found.bad) == 1


def test_a_file_of_labels_that_is_no_text_leaves_out_its_image(yolo):
    root = yolo()
    png(root / "images" / "b.png")
    (root / "labels" / "a.txt").write_bytes(b"0 0.5 \xff 0.2 0.2")
    assert "a.txt: it is not UTF-8 text (byte 7)" in message(root)
    found = annotations.read(root, skip_bad=True)
    assert [p.file for p in found.pictures] == ["images/b.png"] and len(found.bad) == 1


def exif(path, orientation):
    """Give a JPEG an EXIF orientation."""
    data = path.read_bytes()
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:])


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_a_turned_photo_has_the_size_it_is_shown_in(tmp_path, orientation, size):
    from cnnkit.device import image

    png(tmp_path / "images" / "a.jpg")
    exif(tmp_path / "images" / "a.jpg", orientation)
    assert image.read_image(tmp_path / "images" / "a.jpg").shape[:2] == size[::-1]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.xml").write_text(voc_xml(name="a.jpg", size=size))
    assert annotations.read(tmp_path).pictures[0].width == size[0]
    if size == (30, 40):  # a box that fits the shown photo alone: the size is wrong, not the box
        xml = voc_xml(name="a.jpg", size=(40, 30), corners=(1, 2, 11, 39))
        (tmp_path / "annotations" / "a.xml").write_text(xml)
        assert "says 40 x 30 px, but images/a.jpg has 30 x 40 as it is shown (turned by EXIF)" in message(tmp_path)


def red_photo(path, orientation, box=(5, 2, 15, 10), size=(40, 30)):
    """Save a photo with a red box, `size` and `box` as it is stored, that says to be turned."""
    pixels = np.full((*size[::-1], 3), 90, np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = (0, 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = Image.Exif()
    tags[274] = orientation
    Image.fromarray(pixels[..., ::-1]).save(path, exif=tags)
    return path


def red_place(path):
    """Return the box of what is red in a photo as everything reads it, px."""
    from cnnkit.device import image

    pixels = image.read_image(path)[..., :3].astype(int)
    rows, columns = np.nonzero((pixels[..., 0] > 170) & (pixels[..., 2] < 80))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_photo_as_shown_lie_on_what_they_were_drawn_around(tmp_path, suffix, orientation):
    path = red_photo(tmp_path / "images" / f"a{suffix}", orientation, (8, 8, 16, 24))
    left, top, right, bottom = place = red_place(path)
    width, height = (30, 40) if orientation > 4 else (40, 30)
    line = f"0 {(left + right) / 2 / width} {(top + bottom) / 2 / height} "
    line += f"{(right - left) / width} {(bottom - top) / height}\n"
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(line)
    (tmp_path / "data.yaml").write_text("names: [red]\ntrain: images\n")
    found = annotations.read(tmp_path)
    picture, box = found.pictures[0], found.pictures[0].boxes[0]
    assert (picture.width, picture.height) == (width, height)
    assert np.allclose((box.left, box.top, box.right, box.bottom), place, atol=0.01)
    assert [entry.count for entry in found.entries] == [1] * (orientation != 1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_drawn_on_the_photo_as_stored_are_turned_with_it(tmp_path, suffix, orientation):
    stored = (8, 8, 16, 24)
    path = red_photo(tmp_path / "images" / f"a{suffix}", orientation, stored)
    half = red_photo(tmp_path / "images" / f"b{suffix}", 3, stored)  # the same size either way: by the same tool
    for name in "ab":
        (tmp_path / f"{name}.xml").write_text(voc_xml(name=f"{name}{suffix}", corners=stored))
    found = annotations.read(tmp_path)
    for picture, photo in zip(found.pictures, (path, half), strict=True):
        box = picture.boxes[0]
        assert np.allclose((box.left, box.top, box.right, box.bottom), red_place(photo), atol=2)  # JPEG halves colours
    assert [(e.status, e.count) for e in found.entries] == [("changed", 2)]
    assert "drawn as stored" in found.entries[0].reason


def test_yolo_boxes_of_stored_photos_are_turned_if_told(tmp_path):
    path = red_photo(tmp_path / "images" / "a.png", 6, (10, 15, 20, 30))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.375 0.75 0.25 0.5\n")
    (tmp_path / "data.yaml").write_text("names: [red]\ntrain: images\n")
    annotations.convert(tmp_path, "voc", tmp_path / "turned", turn_boxes=True)
    box = annotations.read(tmp_path / "turned").pictures[0].boxes[0]
    assert (box.left, box.top, box.right, box.bottom) == red_place(path)


@pytest.mark.parametrize(
    ("on_disk", "said"),
    [
        ("a.JPG", "a.jpg"),
        ("a.png", "a.jpg"),
        ("A.Png", "a.JPEG"),
        ("a.jpg", r"C:\Users\me\signs\a.jpg"),
        ("a.jpg", "/home/me/signs/a.jpg"),
        ("a.webp", "/home/me/signs/a.jpg"),
    ],
)
def test_an_image_that_is_called_otherwise_than_its_annotation_says_is_found_and_told(tmp_path, on_disk, said):
    red_photo(tmp_path / "images" / on_disk, 1)
    red_photo(tmp_path / "images" / "other.png", 1)
    image = {"id": 1, "file_name": said, "width": 40, "height": 30}
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10]}
    table = {"images": [image], "annotations": [row], "categories": [{"id": 1, "name": "stop"}]}
    (tmp_path / "coco.json").write_text(json.dumps(table))
    (tmp_path / "voc.xml").write_text(voc_xml(name=said))
    (tmp_path / "list.txt").write_text(f"{said}\n")
    (tmp_path / "data.yaml").write_text("names: [stop]\ntrain: list.txt\n")
    for form in ("voc", "coco", "yolo"):
        found = annotations.read(tmp_path if form != "coco" else tmp_path / "coco.json", form)
        assert [picture.file for picture in found.pictures] == [f"images/{on_disk}"], form
        told = [entry for entry in found.entries if "called otherwise" in entry.reason]
        renamed = not said.endswith(on_disk)
        assert len(told) == renamed and all(on_disk in entry.examples[0] for entry in told)


def test_an_xml_that_was_renamed_with_its_image_is_read_by_its_own_name(tmp_path):
    red_photo(tmp_path / "images" / "0001.png", 1)
    (tmp_path / "0001.xml").write_text(voc_xml(name="IMG_2041.jpg"))
    assert [picture.file for picture in annotations.read(tmp_path).pictures] == ["images/0001.png"]


def test_who_is_named_rightly_has_the_image(tmp_path):
    red_photo(tmp_path / "images" / "a.png", 1)
    (tmp_path / "a.xml").write_text(voc_xml(name="gone.png", label="wrong"))
    (tmp_path / "b.xml").write_text(voc_xml(name="a.png", label="right"))
    assert "a.xml: images/a.png has its boxes already in" in message(tmp_path)
    assert annotations.read(tmp_path, skip_bad=True).labels == ("right",)


def test_one_of_two_images_that_are_nearly_called_so_is_not_guessed(tmp_path):
    for name in ("a.png", "a.webp"):
        red_photo(tmp_path / "images" / name, 1)
    (tmp_path / "a.xml").write_text(voc_xml(name="a.jpg"))
    assert "'a.jpg' may be images/a.png or images/a.webp" in message(tmp_path)


def test_a_gt_txt_finds_images_that_were_converted(tmp_path):
    red_photo(tmp_path / "00000.png", 1)
    (tmp_path / "gt.txt").write_text("00000.ppm;1;2;11;12;14\n00000.ppm;21;2;31;12;14\n")
    assert len(annotations.read(tmp_path).pictures[0].boxes) == 2


@pytest.mark.parametrize(
    "value", [0, "0", "0.0", "false", "False", "no", "No", "Unspecified", "", "n/a", None, False, 0.0]
)
@pytest.mark.parametrize("key", ["difficult", "iscrowd", "ignore", "IsGroupOf", "truncated"])
def test_a_box_counts_unless_its_source_says_true(key, value):
    assert not Box("stop", 1, 2, 11, 12, {key: value}).ignored


@pytest.mark.parametrize("value", [1, "1", "1.0", "true", "True", "yes", True, 1.0])
def test_only_what_excuses_a_box_excuses_it(value):
    for key in ("difficult", "iscrowd", "ignore", "IsGroupOf", "is_group_of"):
        assert Box("stop", 1, 2, 11, 12, {key: value}).ignored
    for key in ("truncated", "occluded", "IsOccluded", "IsTruncated", "isDepiction", "pose"):
        assert not Box("stop", 1, 2, 11, 12, {key: value}).ignored


# Round trips ----------------------------------------------------------------------------------------------------------

SIZES = ((40, 30), (333, 7), (64, 64))
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
keys = st.sampled_from(
    [
        "difficult",
        "iscrowd",
        "id",
        "pose",
        "area",
        "segmentation",
        "name",
        "bndbox",
        "image_id",
        "bbox",
        "polygon",
        "part",
    ]
)
polygons = st.lists(st.integers(-1, 40) | st.floats(-1, 2) | st.just("x"), min_size=6, max_size=8)
extras = st.dictionaries(keys | st.text(max_size=6), values | st.integers(0, 1) | polygons, max_size=4)


@st.composite
def boxes(draw, labels, width, height):
    (left, right), (top, bottom) = (
        (start, start + draw(st.integers(1, side) | st.floats(0.015625, side)))
        for side in (width, height)
        for start in [float(draw(st.integers(-5, 400) | st.floats(-5, 400, width=32) | st.floats(-5, 400)))]
    )
    return Box(draw(st.sampled_from(labels)), left, top, right, bottom, draw(extras))


@st.composite
def sets(draw):
    labels = draw(st.lists(words, min_size=1, max_size=4, unique=True) | st.just(list(NAMES)))
    pictures = []
    for k in range(draw(st.integers(1, 3))):
        width, height = SIZES[k]
        found = draw(st.lists(boxes(labels, width, height), max_size=3))
        found += found[:1] if draw(st.booleans()) else []
        pictures.append(Picture(f"images/{k}.png", width, height, tuple(found), draw(extras)))
    return tuple(pictures), tuple(labels), draw(extras)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    for k, (width, height) in enumerate(SIZES):
        png(root / "images" / f"{k}.png", width, height, 50 * k)
    return root


@pytest.mark.parametrize("first", FORMATS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_is_lost_on_any_way_there_and_back(images, tmp_path, first, data):
    pictures, labels, extra = data.draw(sets())
    source = Annotations(images, pictures, labels, extra=extra)
    second = data.draw(st.sampled_from(FORMATS))
    folder = tmp_path / "ways"
    shutil.rmtree(folder, ignore_errors=True)
    annotations.write(source, folder / "a", first)
    assert annotations.detect_format(folder / "a") == first
    assert content(annotations.read(folder / "a")) == content(source)
    annotations.convert(folder / "a", second, folder / "b")
    annotations.convert(folder / "b", first, folder / "c")
    assert content(annotations.read(folder / "c")) == content(source)


@pytest.mark.parametrize(("first", "second"), itertools.product(FORMATS, repeat=2))
def test_splits_and_pixels_survive(images, tmp_path, first, second):
    parts = {
        split: Annotations(
            images,
            (Picture(f"images/{k}.png", *SIZES[k], (Box("a;b", 0.5, 1, 3, 4, {"difficult": 1}),)),),
            ("a;b", split),
        )
        for k, split in enumerate(("train", "validation", "test"))
    }
    annotations.write(parts, tmp_path / "a", first)
    annotations.convert(tmp_path / "a", second, tmp_path / "b")
    assert list(annotations.splits(tmp_path / "b")) == list(parts)
    for split, part in parts.items():
        found = annotations.read(tmp_path / "b", split=split)
        assert content(found) == content(part)
        old, new = (images / part.pictures[0].file).read_bytes(), (found.root / found.pictures[0].file).read_bytes()
        assert old == new


def test_what_others_read_is_in_the_files_themselves(images, tmp_path):
    source = Annotations(
        images, (Picture("images/0.png", 40, 30, (Box("go", 1, 2, 11, 12, {"difficult": 1}),)),), ("go",)
    )
    for format in FORMATS:
        annotations.write(source, tmp_path / format, format)
    xml = (tmp_path / "voc" / "Annotations" / "0.xml").read_text()
    assert "<difficult>1</difficult>" in xml and "<xmax>11</xmax>" in xml and "<width>40</width>" in xml
    table = json.loads((tmp_path / "coco" / "annotations" / "instances_train.json").read_text())
    (row,) = table["annotations"]
    assert row["bbox"] == [1, 2, 10, 10] and row["iscrowd"] == 1 and row["area"] == 100 and row["id"] == 1
    assert (
        tmp_path / "yolo" / "labels" / "train" / "0.txt"
    ).read_text() == "0 0.15 0.23333333333333334 0.25 0.3333333333333333\n"
    assert (tmp_path / "gtsdb" / "gt.txt").read_text() == "0.png;1;2;11;12;0\n"
    assert "cnnkit-extra.json" not in {path.name for path in (tmp_path / "voc").iterdir()}, "VOC holds all of this"


def test_a_box_changed_after_writing_is_taken_as_it_stands(images, tmp_path):
    boxes = (Box("go", 1, 2, 11, 12, {"pose": "Left"}), Box("go", 3, 4, 9, 10, {"pose": "Right"}))
    annotations.write(Annotations(images, (Picture("images/0.png", 40, 30, boxes),), ("go",)), tmp_path / "a", "gtsdb")
    path = tmp_path / "a" / "gt.txt"
    path.write_text(path.read_text().replace("1;2;11;12", "1;2;11;13"))
    (picture,) = annotations.read(tmp_path / "a").pictures
    assert picture.boxes == (Box("go", 1, 2, 11, 13), boxes[1])


def test_a_side_file_of_another_kind_is_refused(images, tmp_path):
    annotations.write(Annotations(images, (Picture("images/0.png", 40, 30),), ("go",)), tmp_path / "a", "gtsdb")
    side = tmp_path / "a" / "cnnkit-extra.json"
    side.write_text('{"version": 2}')
    assert "is no side file that this version reads" in message(tmp_path / "a")
    for split in (
        {"pictures": 5},
        {"pictures": {"0.png": {"extra": 5}}},
        {"pictures": {"0.png": {"boxes": [[["go", 1, 2, 3, 4], ["go", 1, 2, "x", 4, None]]]}}},
        {"pictures": {"0.png": {"boxes": [[["go", 1, 2, 3, 4], ["go", 5, 2, 3, 4, None]]]}}},
        {"labels": 3},
    ):
        (tmp_path / "a" / "gt.txt").write_text("0.png;1;2;3;4;0\n")
        side.write_text(json.dumps({"version": 1, "names": ["go"], "splits": {"train": split}}))
        assert "cnnkit-extra.json is damaged" in message(tmp_path / "a")


def test_a_target_appears_whole_or_not_at_all(images, tmp_path):
    good = Annotations(images, (Picture("images/0.png", 40, 30),), ("go",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(DataError, match="is there already and not empty"):
        annotations.write(good, tmp_path / "full", "voc")
    gone = Annotations(images, (*good.pictures, Picture("images/none.png", 4, 4)), ("go",))
    with pytest.raises(DataError, match=r"none\.png is not there any more"):
        annotations.write(gone, tmp_path / "new", "voc")
    changed = Annotations(images, (Picture("images/0.png", 41, 30),), ("go",))
    with pytest.raises(DataError):
        annotations.write(changed, tmp_path / "new", "yolo")
    assert {path.name for path in tmp_path.iterdir()} == {"full"}
    (tmp_path / "empty").mkdir()
    annotations.write(good, tmp_path / "empty", "voc")
    assert annotations.detect_format(tmp_path / "empty") == "voc"
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_names_that_would_be_one_are_told_apart_or_refused(tmp_path):
    for name in ("images/a.png", "images/a.bmp", "images/b/a.png"):
        png(tmp_path / "in" / name)
    pictures = tuple(Picture(name, 40, 30) for name in ("images/a.bmp", "images/a.png", "images/b/a.png"))
    source = Annotations(tmp_path / "in", pictures, ("go",))
    annotations.write(source, tmp_path / "voc", "voc")
    assert len(annotations.read(tmp_path / "voc").pictures) == 3
    with pytest.raises(DataError, match=r"images/train/a\.bmp and images/train/a\.png would share one file of labels"):
        annotations.write(source, tmp_path / "yolo", "yolo")


# Real data ------------------------------------------------------------------------------------------------------------


def test_road_signs_in_pascal_voc(research_data, tmp_path):
    root = research_data("road-signs-877")
    start = time.perf_counter()
    found = annotations.read(root)
    assert time.perf_counter() - start < 5
    assert len(found.pictures) == 877 and sum(len(p.boxes) for p in found.pictures) == 1244
    assert found.labels == ("crosswalk", "speedlimit", "stop", "trafficlight") and not found.bad
    some = Annotations(root, found.pictures[::10], found.labels)
    annotations.write(some, tmp_path / "yolo", "yolo")
    assert content(annotations.read(tmp_path / "yolo")) == content(some)


def test_gtsdb_in_yolo(research_data, tmp_path):
    root = research_data("gtsdb-200")
    assert annotations.splits(root) == {"train": "images"}, "its val is the same folder"
    found = annotations.read(root)
    assert len(found.pictures) == 200 and found.labels == NAMES
    annotations.convert(root, "gtsdb", tmp_path / "gt")
    assert content(annotations.read(tmp_path / "gt")) == content(found)


# Cards ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gtsdb", "gtsrb", "road-signs-877", "tt100k"])
def test_a_card_of_signs_is_complete(name):
    card = cards.load(name)
    assert card.title and card.source.startswith("https://") and card.licence and len(card.citation) > 40 and card.notes
    assert card.task == ("classification" if name == "gtsrb" else "detection")
    for form in card.forms:
        assert form.reader in (("folder",) if name == "gtsrb" else FORMATS)
        assert {"train", "test"} <= set(form.splits) and all(file.urls and file.extract for file in form.files)
    if name.startswith("gts"):
        assert card.labels == NAMES


def test_the_card_of_gtsdb_reads_what_its_archive_holds(tmp_path):
    (form,) = cards.load("gtsdb").forms
    folder = tmp_path / "FullIJCNN2013"
    png(folder / "00000.ppm", 4, 3)
    for k in range(1, 900):
        os.link(folder / "00000.ppm", folder / f"{k:05}.ppm")
    (folder / "gt.txt").write_text("00600.ppm;0;0;2;2;1\n")
    for split, count in (("train", 600), ("test", 300)):
        table = form.splits[split]
        assert len(annotations.read(tmp_path / table["path"], form.reader, split=table["split"]).pictures) == count
    (patterns,) = (file.extract for file in form.files)
    members = ["FullIJCNN2013/00000.ppm", "FullIJCNN2013/14/00000.ppm", "FullIJCNN2013/gt.txt", "FullIJCNN2013/a.exe"]
    wanted = [member for member in members if any(fnmatch.fnmatch(member, pattern) for pattern in patterns)]
    assert wanted == ["FullIJCNN2013/00000.ppm", "FullIJCNN2013/gt.txt"]

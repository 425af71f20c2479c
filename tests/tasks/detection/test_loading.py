"""From a name to splits with boxes, and every data set that cannot be trained on in one clear line."""

import json

import numpy as np
import pytest

from cnnkit.device.detection import Plan
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image import loading
from cnnkit.tasks.detection.loading import load
from cnnkit.tasks.detection.records import BoxRecords

SIZE = (80, 60)  # width and height of the images of folders


def refused(source, message, kind=DataError, **options):
    """Whether loading fails with one line that says so."""
    with pytest.raises(kind, match=message) as error:
        load(source, **options)
    assert "\n" not in str(error.value)


def row(number):
    """The boxes of an image by its number: left, top, right, bottom, label; every fifth has none."""
    if number % 5 == 4:
        return []
    boxes = [(10 + number, 12, 40 + number, 36, ("stop", "yield")[number % 2])]
    return boxes + [(2, 3, 22, 23, "danger")] * (number % 3 == 0)


def voc(root, number, boxes):
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>\n"
        for left, top, right, bottom, label in boxes
    )
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{number:02}.xml").write_text(
        f"<annotation><filename>{number:02}.png</filename>\n<size><width>80</width><height>60</height>"
        f"<depth>3</depth></size>\n{objects}</annotation>\n"
    )


def yolo(root, number, boxes):
    names = ["stop", "yield", "danger"]
    lines = [
        f"{names.index(label)} {(left + right) / 160} {(top + bottom) / 120} {(right - left) / 80} {(bottom - top) / 60}"
        for left, top, right, bottom, label in boxes
    ]
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels" / f"{number:02}.txt").write_text("\n".join(lines) + "\n")
    (root / "data.yaml").write_text(f"train: images\nnames: {names}\n")


def coco(root, number, boxes):
    path = root / "train.json"
    names = ["stop", "yield", "danger"]
    empty = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, 1)],
    }
    table = json.loads(path.read_text()) if path.exists() else empty
    table["images"].append({"id": number, "file_name": f"{number:02}.png", "width": 80, "height": 60})
    for left, top, right, bottom, label in boxes:
        box = {"id": len(table["annotations"]), "image_id": number, "category_id": names.index(label) + 1}
        table["annotations"].append({**box, "bbox": [left, top, right - left, bottom - top], "iscrowd": 0})
    path.write_text(json.dumps(table))


@pytest.fixture
def folder(tmp_path, picture, save):
    """Write a folder of images with boxes, in a format."""

    def make(write, count=30, boxes=row, name="boxes"):
        root = tmp_path / name
        for number in range(count):
            save(root / "images" / f"{number:02}.png", picture(number, SIZE[1], SIZE[0]))
            write(root, number, boxes(number))
        return root

    return make


@pytest.fixture
def scenes(tmp_path):
    """Write a card of few road scenes."""

    def make(labels=("prohibitory", "mandatory", "danger", "stop", "give way", "priority road", "no entry"), count=40):
        path = tmp_path / "few.toml"
        path.write_text(
            f'title = "Few scenes"\ntask = "detection"\nreader = "road-scenes"\nlabels = {json.dumps(list(labels))}\n'
            f"[options]\nheight = 128\nwidth = 160\nseed = 3\n[splits]\ntrain = {{ count = {count} }}\ntest = 0.25\n"
        )
        return path

    return make


def parts(splits):
    return [getattr(splits, name) for name in ("train", "validation", "test")]


@pytest.mark.parametrize("write", [voc, yolo, coco])
def test_a_folder_of_any_format_has_its_boxes(folder, write):
    splits = load(folder(write))
    assert [len(part) for part in parts(splits)] == [21, 3, 6]
    assert all(isinstance(part, BoxRecords) for part in parts(splits))
    names = splits.train.label_names
    assert set(names) == {"stop", "yield", "danger"}
    for part in parts(splits):
        for index in range(len(part)):
            number = int(part.name(index).split("/")[-1].split(".")[0])
            corners, codes, ignored = part.boxes(index)
            found = [(*np.round(box, 3), names[code]) for box, code in zip(corners.tolist(), codes)]
            assert found == row(number) and not ignored.any()
            assert part.size(index) == SIZE and part.native(index).shape == (60, 80, 3)


def test_the_card_says_what_a_report_needs(folder):
    splits = load(folder(voc))
    card = splits.card
    assert card["inventory"]["used"] == {"train": 21, "validation": 3, "test": 6} and card["task"] == "detection"
    assert sum(part.counts().sum() for part in splits.parts.values()) == sum(len(row(n)) for n in range(30)) == 32
    assert splits.test.input_shape == (256, 256, 3)
    assert len(card["notes"]) == 3 and "px" in card["notes"][0]
    assert card["splits"] == dict.fromkeys(("validation", "test"), "held out, seed 0")
    assert card["warnings"] == [] and splits.train.plan == splits.test.plan == Plan()


def test_road_scenes_of_a_card_are_loaded_and_repeat(scenes):
    splits = load(scenes())
    assert [len(part) for part in parts(splits)] == [26, 4, 10]
    again, other = load(scenes()), load(scenes(), split_seed=1)
    assert splits.train.fingerprint() == again.train.fingerprint() != other.train.fingerprint()
    images, boxes = splits.train.read(np.arange(2))
    assert images.shape == (2, *splits.train.input_shape) and (boxes[..., 5] == 1).any()
    assert splits.train.native(0).shape == (128, 160, 3)


def test_size_and_tiles_can_be_asked_for_and_hold_in_every_split(folder):
    root = folder(voc)
    for part in parts(load(root, image_size=64, tiles=True)):
        assert part.input_shape == (64, 64, 3) and part.plan.scale is not None
    assert load(root, image_size=96, tiles=False).test.plan.scale is None
    assert load(root, image_size=64, tile_scale=1.5).test.plan.scale == 1.5
    with pytest.raises(ConfigError, match="`tile_scale` is the scale of tiles, and `tiles=False` wants none"):
        load(root, tiles=False, tile_scale=1.5)


def test_strides_of_a_model_that_is_there_are_kept_and_said(folder):
    splits = load(folder(voc), strides=[4, 8, 16])
    assert all(part.plan.strides == (4, 8, 16) for part in parts(splits))
    assert "strides 4, 8, 16" in splits.card["notes"][-1] and len(splits.card["notes"]) == 3


def test_a_limit_keeps_a_part_of_training_only(folder):
    root = folder(voc)
    whole, few, other = load(root), load(root, limit=9), load(root, limit=9, seed=1)
    assert len(few.train) == 9 and len(whole.train) == 21
    assert few.test.fingerprint() == whole.test.fingerprint()
    assert few.train.fingerprint() != other.train.fingerprint()


def test_groups_put_labels_together_and_leave_out_the_rest(folder, tmp_path):
    root = folder(voc)
    card = tmp_path / "grouped.toml"
    card.write_text(
        f'title = "Grouped"\ntask = "detection"\nreader = "voc"\npath = {json.dumps(str(root))}\n'
        '[options]\ngroups = { halt = ["stop", "danger"] }\n[splits]\ntrain = { path = "." }\n'
    )
    splits = load(card, test=0.0, validation=0.0)
    assert splits.train.label_names == ("halt",) and len(splits.train) == 30
    expected = sum(label != "yield" for n in range(30) for *_, label in row(n))
    assert splits.train.counts().tolist() == [expected] == [20]
    card.write_text(card.read_text().replace('{ halt = ["stop", "danger"] }', '["stop"]'))
    refused(card, "`groups` is a table of lists of labels")


def test_a_class_without_training_boxes_stays_with_a_warning(scenes):
    names = ("prohibitory", "mandatory", "danger", "stop", "give way", "priority road", "no entry", "unicorns")
    splits = load(scenes(labels=names))
    assert splits.train.label_names == names
    assert any("no training box of unicorns" in line for line in splits.warnings)


@pytest.mark.parametrize("write", [voc, yolo, coco])
def test_without_any_box_there_is_nothing_to_train_on(folder, write):
    refused(folder(write, boxes=lambda number: []), "no box to train on")


def test_with_ignored_boxes_alone_there_is_nothing_to_train_on(folder):
    root = folder(voc)
    for path in (root / "annotations").iterdir():
        path.write_text(path.read_text().replace("</name>", "</name><difficult>1</difficult>"))
    refused(root, "no box to train on")


def test_a_wrong_size_is_refused(folder):
    refused(folder(voc), "multiple of 32 px. Got 100", ConfigError, image_size=100)


@pytest.mark.parametrize("options", [{"test": 0.6, "validation": 0.5}, {"test": 1.0}, {"validation": -0.1}])
def test_parts_that_leave_nothing_are_refused(folder, options):
    refused(folder(voc), "hold out|Hold out", ConfigError, **options)


def test_a_label_that_the_card_does_not_have_is_named(scenes):
    line = "train split of Few scenes has labels that the card does not have: danger"
    refused(scenes(labels=("prohibitory", "mandatory")), line)


def test_a_label_that_only_the_test_split_has_is_named(folder, tmp_path):
    folder(voc)
    folder(voc, 6, lambda number: [(1, 2, 30, 40, "tram")], "others")
    card = tmp_path / "both.toml"
    card.write_text(
        f'title = "Both"\ntask = "detection"\nreader = "voc"\npath = {json.dumps(str(tmp_path))}\n'
        '[splits]\ntrain = { path = "boxes" }\ntest = { path = "others" }\n'
    )
    refused(card, "test split of Both has labels that the training split does not have: tram")


def test_a_test_split_of_the_source_is_kept(folder, tmp_path):
    folder(voc)
    folder(voc, 7, name="others")
    card = tmp_path / "both.toml"
    card.write_text(
        f'title = "Both"\ntask = "detection"\nreader = "voc"\npath = {json.dumps(str(tmp_path))}\n'
        '[splits]\ntrain = { path = "boxes" }\ntest = { path = "others" }\n'
    )
    splits = load(card)
    assert len(splits.test) == 7 and splits.card["splits"]["test"] == "the source's own"


def test_a_bad_file_is_named_and_can_be_left_out(folder):
    root = folder(voc)
    (root / "images" / "03.png").write_bytes(b"this is no picture")
    refused(root, r"1 of 30 images cannot be used: .*03\.png.*`skip_bad`")
    splits = load(root, skip_bad=True)
    assert sum(len(part) for part in parts(splits)) == 29
    assert len(splits.warnings) == 1 and "03.png" in splits.warnings[0]


def test_pictures_of_one_thing_each_are_not_for_detection(class_folders):
    refused(class_folders({"cat": 6, "dog": 6}), "is for classification; this command is for detection")


def test_pictures_with_boxes_are_not_for_classification(folder):
    with pytest.raises(DataError, match="is for detection; this command is for classification"):
        loading.load(folder(voc))

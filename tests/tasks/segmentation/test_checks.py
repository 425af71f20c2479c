"""Every fault that is planted in pictures with masks is found, and a clean data set has none."""

import shutil

import numpy as np
import pytest

from cnnkit.errors import ConfigError
from cnnkit.tasks.segmentation.checks import check
from tests.tasks.segmentation.small_masks import disc, pairs, picture, save


@pytest.fixture
def data(tmp_path):
    """Twelve pictures to train on, three of each held-out split, all different."""
    for split, count, start in (("train", 12, 0), ("val", 3, 20), ("test", 3, 30)):
        for k in range(start, start + count):
            mask = disc(k)
            save(tmp_path / f"set/{split}/images/{k}.png", picture(mask, k))
            save(tmp_path / f"set/{split}/masks/{k}.png", mask * np.uint8(255))
    return tmp_path / "set"


def found(root):
    findings = check(root)
    assert all("\n" not in finding.text and finding.text.endswith(".") for finding in findings)
    return {finding.kind: finding for finding in findings}


def test_clean_data_has_only_the_note_on_patients(data):
    looked: list[str] = []
    assert [finding.kind for finding in check(data, looked=looked)] == ["patients"]
    assert looked == ["18 pictures and their masks, foreground"]


def test_files_that_cannot_be_used_are_errors(data):
    (data / "train/masks/3.png").write_bytes(b"")
    save(data / "train/images/4.png", np.full((40, 56), 7, np.uint8))
    finding = found(data)["bad-file"]
    assert finding.severity == "error" and len(finding.files) == 2
    assert any("masks/3.png (it is empty)" in name for name in finding.files)
    assert any("images/4.png (every pixel of it is 7)" in name for name in finding.files)


def test_pictures_without_foreground_are_counted(data):
    save(data / "train/masks/2.png", np.zeros((40, 56), np.uint8))
    finding = found(data)["no-foreground"]
    assert finding.severity == "note" and len(finding.files) == 1 and finding.files[0].endswith("train/images/2.png")


def test_foreground_nearly_everywhere_is_doubted(data):
    for path in data.glob("*/masks/*.png"):
        save(path, ~disc(int(path.stem)) * np.uint8(255))
    assert "Foreground covers 91% of all pixels" in found(data)["mostly-foreground"].text


def test_tiny_pieces_are_told(data):
    mask = disc(5) * np.uint8(255)
    mask[1, 50:54] = mask[38, 1] = 255
    mask[36:39, 50:52] = 255  # six pixels are no slip
    save(data / "train/masks/5.png", mask)
    finding = found(data)["tiny"]
    assert len(finding.files) == 1 and finding.files[0].endswith("train/images/5.png (2)")


def test_a_label_that_a_split_lacks_is_told(data):
    save(data / "train/masks/0.png", disc(0) * np.uint8(3))
    told = [f"{finding.severity}: {finding.text}" for finding in check(data) if finding.kind == "missing-label"]
    assert told == [f"warning: The {split} split has no 3: it is not scored there." for split in ("validation", "test")]
    (data / "train/masks/0.png").unlink()
    save(data / "train/masks/0.png", disc(0) * np.uint8(255))
    save(data / "test/masks/30.png", disc(30) * np.uint8(3))
    assert [f.severity for f in check(data) if f.kind == "missing-label" and "No training picture has 3" in f.text] == [
        "error"
    ]


def test_sizes_that_differ_are_told(data):
    save(data / "test/images/30.png", picture(disc(30, 50, 60)))
    save(data / "test/masks/30.png", disc(30, 50, 60) * np.uint8(255))
    assert found(data)["sizes"].text == "Pictures are 56 to 60 px wide and 40 to 50 px high."


def test_channels_and_bits_that_differ_are_told_with_counts_and_an_example_each(data):
    for k in (3, 4):
        save(data / f"train/images/{k}.png", np.repeat(picture(disc(k), k)[..., None], 3, axis=2))
    save(data / "test/images/30.png", picture(disc(30), 30).astype(np.uint16) * 16)
    kinds = found(data)
    assert kinds["channels"].severity == kinds["bits"].severity == "warning"
    assert "differ in channels: 16 are grey, 2 are RGB." in kinds["channels"].text
    assert "differ in bits: 17 are of 8 bits, 1 is of 16 bits." in kinds["bits"].text
    assert kinds["channels"].files[1].endswith("train/images/3.png (RGB)")
    assert kinds["bits"].files[1].endswith("test/images/30.png (of 16 bits)")


def test_the_same_picture_twice_is_a_leak_across_splits_and_a_double_within(data):
    shutil.copy(data / "train/images/1.png", data / "train/images/2.png")
    shutil.copy(data / "train/images/3.png", data / "test/images/30.png")
    kinds = found(data)
    assert kinds["leak"].severity == "error" and "images/3.png (train) = " in kinds["leak"].files[0]
    assert kinds["duplicate"].severity == "warning" and "images/1.png (train) = " in kinds["duplicate"].files[0]


def test_few_pictures_are_told(tmp_path):
    pairs(tmp_path / "set", 4)
    assert "Training has 4 pictures" in found(tmp_path / "set")["few"].text


def test_objects_that_masks_merge_are_told_where_they_are_asked_for(tmp_path):
    for k in range(12):
        rows, columns = np.mgrid[:48, :64]
        mask = np.minimum(np.hypot(rows - 24, columns - 16), np.hypot(rows - 24, columns - 33)) < 9
        save(tmp_path / "images" / f"{k}.png", picture(mask, k))
        save(tmp_path / "masks" / f"{k}.png", mask.astype(np.uint8) * np.uint8(255))
    (finding,) = (finding for finding in check(tmp_path, objects=True) if finding.kind == "objects")
    assert "12 of 12 pieces look like several objects" in finding.text
    assert not [finding for finding in check(tmp_path) if finding.kind == "objects"]


def test_objects_of_several_labels_are_refused(data):
    for file in data.rglob("masks/*.png"):
        mask = disc(int(file.stem))
        mask[:4, :4] = 2
        save(file, mask)
    (data / "labels.txt").write_text("disc\nring\n")
    with pytest.raises(ConfigError, match="`objects` takes one label"):
        check(data, objects=True)


def test_a_pattern_of_patients_is_used(data):
    kinds = [finding.kind for finding in check(data, groups=r"(\d+)")]
    assert "patients" not in kinds

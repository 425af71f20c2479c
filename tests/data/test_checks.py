"""The data check finds what is planted, and nothing in clean data."""

import os

import cv2
import numpy as np
import pytest

from cnnkit import data
from cnnkit.data import checks


def kinds(findings):
    return {finding.kind for finding in findings}


def only(findings, kind):
    """Return the one finding of that kind."""
    (found,) = [finding for finding in findings if finding.kind == kind]
    return found


@pytest.fixture
def split_folders(class_folders, tmp_path):
    """Write train/, val/ and test/ with 12, 2 and 4 images of two classes, all different."""
    class_folders({"cat": 2, "dog": 2}, tmp_path / "set" / "val", seed=2, height=160, width=192)
    class_folders({"cat": 12, "dog": 12}, tmp_path / "set" / "train", seed=0, height=160, width=192)
    return class_folders({"cat": 4, "dog": 4}, tmp_path / "set" / "test", seed=1, height=160, width=192).parent


def test_clean_data_has_no_findings(split_folders):
    assert data.check(split_folders) == []


def test_clean_arrays_have_no_findings():
    assert data.check("digits") == []


def test_splits_that_are_loaded_can_be_checked(split_folders):
    assert data.check(data.load(split_folders)) == []


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_files_that_cannot_be_used_are_named(split_folders, content):
    path = split_folders / "train" / "cat" / "bad.png"
    whole = (split_folders / "train" / "cat" / "000.png").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    found = only(data.check(split_folders), "bad-file")
    assert found.severity == "error" and str(path) in found.files[0] and "1 file" in found.text


def test_damage_behind_the_header_is_found(split_folders):
    path = split_folders / "test" / "dog" / "003.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert str(path) in only(data.check(split_folders), "bad-file").files[0]


def test_odd_sizes_are_named(split_folders, save, picture):
    small = save(split_folders / "train" / "cat" / "small.png", picture(90, 12, 16))
    large = save(split_folders / "test" / "dog" / "large.png", picture(91, 1000, 1100))
    found = [finding for finding in data.check(split_folders) if finding.kind == "odd-size"]
    assert [finding.files for finding in found] == [(f"{small} (16 x 12)",), (f"{large} (1100 x 1000)",)]


def test_an_empty_class_and_a_starved_class_are_named(class_folders):
    found = data.check(class_folders({"a": 200, "b": 200, "c": 200, "few": 12, "none": 0}, height=12, width=12))
    assert "none" in only(found, "empty-class").text and only(found, "empty-class").severity == "error"
    assert only(found, "starved-class").text.startswith("few has")


def test_one_class_only_is_an_error(class_folders):
    assert only(data.check(class_folders({"a": 20})), "one-class").severity == "error"


def test_a_class_that_the_test_split_lacks_is_a_warning(split_folders, class_folders):
    class_folders({"cow": 20}, split_folders / "train", seed=7)
    found = [finding.text for finding in data.check(split_folders) if finding.kind == "missing-class"]
    assert found == [f"The {split} split has no image of cow." for split in ("validation", "test")]


def test_labels_outside_the_card_s_are_an_error(split_folders, tmp_path):
    (tmp_path / "card.toml").write_text('path = "set"\nlabels = ["cat", "cow"]')
    found = data.check(tmp_path / "card.toml")
    assert "labels that the card does not have: dog" in only(found, "labels").text
    assert found[0].severity == "error"


def test_foreign_files_are_noted(split_folders):
    (split_folders / "train" / "cat" / "notes.txt").write_text("x")
    assert only(data.check(split_folders), "ignored").severity == "note"


def test_exact_copies_across_splits_are_a_leak_whatever_the_format(split_folders, save):
    source = split_folders / "train" / "cat" / "005.png"
    copy = split_folders / "test" / "cat" / "copy.bmp"
    save(copy, cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2RGB))
    found = data.check(split_folders)
    assert kinds(found) == {"leak"}
    assert only(found, "leak").files == (f"{source} = {copy}",) and only(found, "leak").severity == "error"


def test_exact_copies_within_a_split_are_noted(split_folders):
    folder = split_folders / "train" / "cat"
    for k in range(5):
        os.link(folder / "005.png", folder / f"copy{k}.png")
    found = data.check(split_folders)
    assert kinds(found) == {"duplicate"}
    assert only(found, "duplicate").files[0].endswith("and 2 more") and only(found, "duplicate").severity == "note"


def test_a_picture_under_two_labels_is_an_error(split_folders):
    os.link(split_folders / "train" / "cat" / "005.png", split_folders / "train" / "dog" / "copy.png")
    assert only(data.check(split_folders), "two-labels").severity == "error"


def alter(pixels, how):
    """Copies as they come about: saved again, scaled, brightened, cropped by a pixel."""
    height, width = pixels.shape[:2]
    return {
        "recompressed": lambda: cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], 1),
        "halved": lambda: cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "doubled": lambda: cv2.resize(pixels, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC),
        "brightened": lambda: cv2.convertScaleAbs(pixels, alpha=0.8, beta=30),
        "noisy": lambda: np.clip(pixels + np.random.default_rng(0).normal(0, 5, pixels.shape), 0, 255).astype(np.uint8),
        "grey": lambda: cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY),
    }[how]()


@pytest.mark.parametrize("how", ["recompressed", "halved", "doubled", "brightened", "noisy", "grey"])
def test_near_copies_across_splits_are_found(split_folders, how):
    planted = set()
    for k in range(10):
        pixels = cv2.imread(str(split_folders / "train" / "cat" / f"{k:03}.png"))
        path = split_folders / "test" / "cat" / f"copy{k}.png"
        cv2.imwrite(str(path), alter(pixels, how))
        planted.add(f"{path} ~ {split_folders / 'train' / 'cat' / f'{k:03}.png'}")
    found = data.check(split_folders)
    assert kinds(found) == {"near-duplicate"}
    assert set(only(found, "near-duplicate").files) == planted


def test_pictures_of_one_colour_are_no_near_copies(split_folders, save):
    for k, split in enumerate(("train", "test")):
        save(split_folders / split / "cat" / "flat.png", np.full((160, 192, 3), 100 + k, np.uint8))
    assert data.check(split_folders) == []


def test_close_pairs_are_all_pairs_within_the_distance():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**63, 300, np.uint64)
    second = rng.integers(0, 2**63, 200, np.uint64)
    second[:50] = first[:50] ^ np.uint64(0b1011)
    a, b = checks.close_pairs(first, second, 3)
    assert sorted(zip(a.tolist(), b.tolist())) == [(k, k) for k in range(50)]
    a, b = checks.close_pairs(first, second, 2)
    assert len(a) == len(b) == 0


def test_mnist_s_ones_are_not_called_copies(research_data, monkeypatch):
    monkeypatch.setenv("CNNKIT_DATA", str(research_data("mnist").parent))
    splits = data.load("mnist", validation=0, limit=6000)
    assert data.check(splits) == []


def test_tracks_of_traffic_signs_do_not_leak_when_split_by_track(research_data):
    findings = data.check(research_data("gtsrb-small"))
    assert not kinds(findings) & {"leak", "two-labels", "bad-file"}

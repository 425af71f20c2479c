"""The data check finds what is planted, and nothing in clean data."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit.inputs.image import checks, label_check
from cnnkit.inputs.image.checks import check
from cnnkit.inputs.image.loading import load


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
    assert check(split_folders) == []


def test_clean_arrays_have_no_findings():
    assert check("digits") == []


def test_splits_that_are_loaded_can_be_checked(split_folders):
    assert check(load(split_folders)) == []


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_files_that_cannot_be_used_are_named(split_folders, content):
    path = split_folders / "train" / "cat" / "bad.png"
    whole = (split_folders / "train" / "cat" / "000.png").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    found = only(check(split_folders), "bad-file")
    assert found.severity == "error" and str(path) in found.files[0] and "1 file" in found.text


def test_damage_behind_the_header_is_found(split_folders):
    path = split_folders / "test" / "dog" / "003.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert str(path) in only(check(split_folders), "bad-file").files[0]


def test_odd_sizes_are_named(split_folders, save, picture):
    small = save(split_folders / "train" / "cat" / "small.png", picture(90, 12, 16))
    large = save(split_folders / "test" / "dog" / "large.png", picture(91, 1000, 1100))
    found = [finding for finding in check(split_folders) if finding.kind == "odd-size"]
    assert [finding.files for finding in found] == [(f"{small} (16 x 12)",), (f"{large} (1100 x 1000)",)]


def test_an_empty_class_and_a_starved_class_are_named(class_folders):
    found = check(class_folders({"a": 200, "b": 200, "c": 200, "few": 12, "none": 0}, height=12, width=12))
    assert "none" in only(found, "empty-class").text and only(found, "empty-class").severity == "error"
    assert only(found, "starved-class").text.startswith("few has")


def test_one_class_only_is_an_error(class_folders):
    assert only(check(class_folders({"a": 20})), "one-class").severity == "error"


def test_a_class_that_the_test_split_lacks_is_a_warning(split_folders, class_folders):
    class_folders({"cow": 20}, split_folders / "train", seed=7)
    found = [finding.text for finding in check(split_folders) if finding.kind == "missing-class"]
    assert found == [f"The {split} split has no image of cow." for split in ("validation", "test")]


def test_labels_outside_the_card_s_are_an_error(split_folders, tmp_path):
    (tmp_path / "card.toml").write_text('path = "set"\nlabels = ["cat", "cow"]')
    found = check(tmp_path / "card.toml")
    assert "labels that the card does not have: dog" in only(found, "labels").text
    assert found[0].severity == "error"


def test_foreign_files_are_noted(split_folders):
    (split_folders / "train" / "cat" / "notes.txt").write_text("x")
    assert only(check(split_folders), "ignored").severity == "note"


def test_exact_copies_across_splits_are_a_leak_whatever_the_format(split_folders, save):
    source = split_folders / "train" / "cat" / "005.png"
    copy = split_folders / "test" / "cat" / "copy.bmp"
    save(copy, cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2RGB))
    found = check(split_folders)
    assert kinds(found) == {"leak"}
    assert only(found, "leak").files == (f"{source} = {copy}",) and only(found, "leak").severity == "error"


def test_exact_copies_within_a_split_are_noted(split_folders):
    folder = split_folders / "train" / "cat"
    for k in range(5):
        os.link(folder / "005.png", folder / f"copy{k}.png")
    found = check(split_folders)
    assert kinds(found) == {"duplicate"}
    assert only(found, "duplicate").files[0].endswith("and 2 more") and only(found, "duplicate").severity == "note"


def test_a_picture_under_two_labels_is_an_error(split_folders):
    os.link(split_folders / "train" / "cat" / "005.png", split_folders / "train" / "dog" / "copy.png")
    assert only(check(split_folders), "two-labels").severity == "error"


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
    found = check(split_folders)
    assert kinds(found) == {"near-duplicate"}
    assert set(only(found, "near-duplicate").files) == planted


def test_pictures_of_one_colour_are_no_near_copies(split_folders, save):
    for k, split in enumerate(("train", "test")):
        save(split_folders / split / "cat" / "flat.png", np.full((160, 192, 3), 100 + k, np.uint8))
    assert check(split_folders) == []


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
    splits = load("mnist", validation=0, limit=6000)
    assert "near-duplicate" not in kinds(check(splits))


def test_tracks_of_traffic_signs_do_not_leak_when_split_by_track(research_data):
    findings = check(research_data("gtsrb-small"))
    assert not kinds(findings) & {"leak", "two-labels", "bad-file"}


@pytest.fixture
def signs(tmp_path, save):
    """Write train/CLASS/TRACK_FRAME.png: shapes of 4 classes, 6 tracks each, 8 frames a track; returns the root."""
    draw = {
        "bar": lambda p, c: cv2.rectangle(p, (6, 13), (26, 19), c, -1),
        "disc": lambda p, c: cv2.circle(p, (16, 16), 10, c, -1),
        "ring": lambda p, c: cv2.circle(p, (16, 16), 11, c, 3),
        "wedge": lambda p, c: cv2.fillPoly(p, [np.array([[16, 5], [27, 26], [5, 26]], np.int32)], c),
    }
    for k, (name, shape) in enumerate(draw.items()):
        for track in range(6):
            rng = np.random.default_rng((k, track))
            ground, ink = rng.integers(20, 90, 3).tolist(), rng.integers(150, 240, 3).tolist()
            for frame in range(8):
                pixels = np.full((32, 32, 3), ground, np.uint8)
                shape(pixels, ink)
                moved = np.float32([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]])
                pixels = cv2.warpAffine(pixels, moved, (32, 32), borderMode=cv2.BORDER_REPLICATE)
                pixels = np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
                save(tmp_path / "signs" / "train" / name / f"{k}{track:02}_{frame}.png", pixels)
    return tmp_path / "signs"


def test_no_label_of_clean_signs_is_doubted(signs):
    assert not kinds(check(signs)) & {"wrong-label", "wrong-group", "starved-class"}


def test_a_wrong_label_is_named_with_what_it_looks_like(signs):
    moved = (signs / "train" / "disc" / "103_4.png").rename(signs / "train" / "wedge" / "103_4.png")
    found = only(check(signs), "wrong-label")
    assert found.severity == "warning" and found.text.startswith("1 label looks wrong: ")
    assert len(found.files) == 1 and found.files[0].startswith(f"{moved} is wedge, looks like disc (")
    assert "look at each" in found.text


def test_a_whole_track_under_a_wrong_label_is_named(signs):
    for path in (signs / "train" / "bar").glob("002_*.png"):
        path.rename(signs / "train" / "ring" / path.name)
    found = only(check(signs), "wrong-group")
    assert len(found.files) == 1 and "002_0.png and the 7 others of its group are ring, look like bar" in found.files[0]


def test_wrong_labels_of_digits_are_found_and_few_right_ones():
    described, labels = _digits()
    assert len(label_check.wrong_images(described, labels).indices) <= 2
    rng = np.random.default_rng(100)
    wrong = rng.choice(len(labels), 70, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, 70)) % 10
    found = label_check.wrong_images(described, labels)
    right = np.isin(found.indices, wrong)
    assert right.sum() >= 63 and (~right).sum() <= 7
    assert right[:30].all() and 0.9 < found.catches <= 1


def _digits():
    train = load("digits", validation=0).train
    pixels, labels = train.with_shape((32, 32, 3)).read(np.arange(len(train)))
    return label_check.features(pixels), labels.copy()


def test_noise_has_no_labels_to_doubt():
    rng = np.random.default_rng(0)
    described = label_check.features(rng.integers(0, 256, (600, 32, 32, 3), np.uint8))
    assert label_check.wrong_images(described, np.arange(600) % 3).judged == 0


def test_features_do_not_change_with_brightness_and_contrast(picture):
    pixels = np.stack([picture(seed, 32, 32) for seed in range(4)]).astype(np.float32)
    one, other = (label_check.features((gain * pixels + add).astype(np.uint8)) for gain, add in ((0.9, 0), (0.45, 60)))
    assert one.shape == (4, label_check.FEATURES) and np.abs(one.astype(float) - other).mean() < 0.02
    assert np.abs(one[0].astype(float) - one[1]).mean() > 0.05


def test_a_class_of_one_track_is_named(signs):
    for path in (signs / "train" / "disc").iterdir():
        if not path.name.startswith("100_"):
            path.unlink()
    texts = [finding.text for finding in check(signs) if finding.kind == "starved-class"]
    assert any(text.startswith("class disc: 8 training images, but of one group (track)") for text in texts)


@pytest.mark.parametrize("how", ["recompressed", "doubled", "brightened"])
def test_near_copies_of_small_signs_are_found_and_no_frames_of_a_track(research_data, tmp_path, how):
    root = tmp_path / "set"
    sources = sorted(research_data("gtsrb-small").glob("train/000[01]*/*.png"))
    for path in sources:
        target = root / "train" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    planted = set()
    for k in np.random.default_rng(100).choice(len(sources), 40, replace=False).tolist():
        copy = root / "test" / sources[k].parent.name / f"{k:05}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(copy), alter(cv2.imread(str(sources[k])), how))
        planted.add(copy.name)
    found = {finding.text.split()[0] for finding in check(root) if finding.kind == "near-duplicate"}
    splits = load(root)
    pairs = checks.near_duplicates(splits)
    named = {Path(splits.test.name(b)).name for (_, second), rows in pairs.items() if second == "test" for _, b in rows}
    assert found and named == planted
    assert not pairs["train", "validation"]


def test_the_frames_of_one_track_are_no_evidence_against_another():
    """One track of another class looks like a right track, none of its own class does; many frames are one witness."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (3, label_check.FEATURES))  # two classes, and what two tracks share
    labels, groups, rows = [], [], []
    for group in range(24):
        label = group % 2
        centre = 2 if group in (4, 7) else label
        for _ in range(30):
            labels.append(label)
            groups.append(group)
            rows.append(0.3 * (centres[centre] + rng.normal(0, 0.3, label_check.FEATURES)))
    found = label_check.wrong_groups(np.array(rows, np.float16), np.array(labels), np.array(groups))
    assert not len(found.indices), "their labels are right, as far as anyone can tell"
    labels = np.where(np.array(groups) == 10, 1, labels)
    found = label_check.wrong_groups(np.array(rows, np.float16), labels, np.array(groups))
    assert found.indices.tolist() == [10] and found.probability[0] < 0.95

"""Images that a table names are read with its labels; what is in no table is named."""

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.inputs.image import listed
from cnnkit.inputs.image.listed import Places
from cnnkit.inputs.image.loading import load


def told(splits):
    return {row["reason"]: row["count"] for row in splits.card["inventory"]["entries"]}


@pytest.fixture
def kaggle(tmp_path, picture, save):
    """Train/CLASS/*.png with Train.csv, Test/*.png with Test.csv, and Meta/; returns the root."""
    root = tmp_path / "signs"
    rows = {"Train": [], "Test": []}
    for split, count in (("Train", 12), ("Test", 4)):
        for c in range(3):
            for k in range(count):
                name = f"Train/{c}/{c:05}_{k:05}.png" if split == "Train" else f"Test/{4 * c + k:05}.png"
                save(root / name, picture((c, k, split == "Test")))
                rows[split].append(f"24,24,{c},{name}")
    for c in range(3):
        save(root / "Meta" / f"{c}.png", picture((c, 99)))
    for split, lines in rows.items():
        (root / f"{split}.csv").write_text("\n".join(["Width,Height,ClassId,Path", *lines]) + "\n")
    return root


def test_tables_of_paths_beside_folders_are_the_splits(kaggle):
    splits = load(kaggle, validation=0)
    assert len(splits.train) == 36 and len(splits.test) == 12 and splits.train.label_names == ("0", "1", "2")
    for part in (splits.train, splits.test):
        assert part.counts().tolist() == [len(part) // 3] * 3
    numbers = [int(splits.test.name(k)[-9:-4]) // 4 for k in range(12)]
    assert numbers == splits.test.labels.tolist()


def test_without_tables_the_test_folder_without_classes_is_left_out_and_named(kaggle):
    for path in kaggle.glob("*.csv"):
        path.unlink()
    splits = load(kaggle, validation=0)
    assert splits.train.label_names == ("0", "1", "2") and len(splits.train) + len(splits.test) == 36
    assert told(splits) == {"that lie in no split": 15}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("suffix", ["", ".png"])
def test_one_table_names_images_and_labels(tmp_path, picture, save, separator, suffix):
    for k in range(20):
        save(tmp_path / "set" / "photos" / f"{k}.png", picture(k))
    lines = [f"photos/{k}{suffix}{separator}{'cat' if k % 2 else 'dog'}" for k in range(20)]
    path = tmp_path / "set" / "labels.csv"
    path.write_text("\n".join([f"Filename{separator}Label", *lines]))
    for source in (path, path.parent):
        train = load(source, test=0, validation=0).train
        assert train.label_names == ("cat", "dog") and train.labels.tolist() == [1, 0] * 10
        assert np.array_equal(train.native(3), picture(3))


def test_lines_without_an_image_are_named(kaggle):
    (kaggle / "Train" / "0" / "00000_00003.png").unlink()
    with pytest.raises(DataError, match=r"1 of 48 images cannot be used: .*Train.csv, line 5 \(there is no image"):
        load(kaggle)
    assert len(load(kaggle, skip_bad=True, validation=0).train) == 35


def test_a_path_never_leads_out_of_the_folder(tmp_path, picture, save):
    save(tmp_path / "secret.png", picture(0))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.csv").write_text("path,label\n../secret.png,a\n../secret.png,b\n")
    with pytest.raises(DataError, match="line 2"):
        load(tmp_path / "set" / "a.csv")


def test_a_table_of_pixels_with_an_id_is_none_of_paths(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{k},{k % 2}," + ",".join(map(str, rng.integers(0, 256, 16))) for k in range(40)]
    header = "id,label," + ",".join(f"pixel{k}" for k in range(16))
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]))
    assert load(tmp_path / "a.csv", test=0).train.label_names == ("0", "1")


def test_a_column_of_patients_says_what_belongs_together(tmp_path, picture, save):
    lines = ["image,patient_id,finding"]
    for k in range(60):
        save(tmp_path / "set" / f"{k}.png", picture(k))
        lines.append(f"{k}.png,p{k % 15},{'none' if k % 2 else 'lesion'}")
    path = tmp_path / "set" / "table.csv"
    path.write_text("\n".join(lines))
    splits = load(path)
    patients = [
        {int(part.name(k).split("/")[-1][:-4]) % 15 for k in range(len(part))} for part in splits.parts.values()
    ]
    assert all(patients) and sum(map(len, patients)) == 15 and set().union(*patients) == set(range(15))
    assert any("15 patients" in note for note in splits.card["inventory"]["notes"])
    assert load(path, groups="none", test=0, validation=0).train.groups is None
    path.write_text("\n".join(lines).replace("3.png,p3,", "3.png,,", 1))
    with pytest.raises(DataError, match=r"table.csv, line 5 \(it names no patient, though others do\)"):
        load(path)


@pytest.mark.parametrize(("white", "told"), [(4095, True), (60000, False)])
def test_deep_pictures_that_use_little_of_their_range_are_said(tmp_path, picture, save, white, told):
    for k in range(12):
        deep = (picture(k, channels=1)[..., 0].astype(np.uint16) * (white // 255)).astype(np.uint16)
        save(tmp_path / ("a", "b")[k % 2] / f"{k}.png", deep)
    notes = " ".join(load(tmp_path, test=0, validation=0).card["inventory"]["notes"])
    assert ("with 65,535 as white" in notes and "of 256 greys 16 are left" in notes) is told


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


FILES = (
    "a.jpg",
    "b.jpg",
    "images/a.jpg",
    "images/c.png",
    "more/c.png",
    "more/d.png",
    "more/deep/e.jpg",
    "f.jpg",
    "f.png",
)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("images/a.jpg", "images/a.jpg"),
        ("./images//a.jpg", "images/a.jpg"),
        ("images\\a", "images/a.jpg"),
        ("data/b.jpg", "b.jpg"),
        ("some/data/b", "b.jpg"),
        ("d", "more/d.png"),
        ("deep/e.jpg", "more/deep/e.jpg"),
        ("c.png", None),
        ("f", None),
        ("f.png", "f.png"),
        ("images", None),
        ("images/", None),
        ("../a.jpg", None),
        ("", None),
        ("a\0.jpg", None),
        ("\udc80/a\ud800.jpg", None),
        ("x" * 5000 + "/y.jpg", None),
    ],
)
def test_a_name_means_the_same_file_whatever_was_asked_before(tmp_path, name, file):
    root = tree(tmp_path, *FILES)
    assert Places(root).find(name) == file
    for before in FILES + ("data/b.jpg", "some/data/b.jpg", "d", "gone.jpg"):
        places = Places(root)
        places.find(before)
        assert places.find(name) == file


def test_pictures_of_lines_after_one_without_its_folder_are_their_own(tmp_path, picture, save):
    names = ["a.png", "b.png", "images/a.png"]
    for k, name in enumerate([*names, *(f"images/{k}.png" for k in range(20))]):
        save(tmp_path / name, picture(k, 8, 8))
    rows = ["data/b.png,x", "images/a.png,y", *(f"images/{k}.png,{'xy'[k % 2]}" for k in range(20))]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    train = load(tmp_path / "labels.csv", test=0, validation=0).train
    assert {train.name(k).removeprefix(f"{tmp_path}/") for k in range(len(train))} >= {"b.png", "images/a.png"}
    assert "a.png" not in {train.name(k).removeprefix(f"{tmp_path}/") for k in range(len(train))}


def test_each_folder_is_read_once(tmp_path, monkeypatch):
    root = tree(tmp_path, *(f"images/{k}.jpg" for k in range(50)))
    looked, scandir = [], listed.os.scandir
    monkeypatch.setattr(listed.os, "scandir", lambda path: looked.append(str(path)) or scandir(path))
    places = Places(root)
    assert all(places.find(f"{k}") == f"images/{k}.jpg" for k in range(50))
    assert places.find("51") is None and "no image 51" in places.why("51")
    assert len(looked) == len(set(looked)) <= 4


@pytest.mark.parametrize(
    ("name", "line"), [("c.png", "write its folder too"), ("f", "f.jpg or f.png; write its suffix too")]
)
def test_a_name_of_two_files_is_neither(tmp_path, name, line):
    places = Places(tree(tmp_path, *FILES))
    assert places.find(name) is None and line in places.why(name)

"""What is of one patient is never torn apart, or it is said that nothing is known of patients."""

import cv2
import numpy as np
import pytest

from cnnkit.data import loading, splits
from cnnkit.data.records import Records
from cnnkit.errors import DataError
from tests.tasks.segmentation.small_masks import card, disc, names, pairs, save, train


@pytest.fixture
def sections(tmp_path):
    """Eight sections of each of six patients, nearly the same picture, masks beside them."""
    rng = np.random.default_rng(5)
    for patient in range(6):
        body = cv2.GaussianBlur(rng.normal(90, 60, (40, 40)), (0, 0), 3)
        name = f"TCGA_{['AB', 'CD', 'EF'][patient % 3]}_{4900 + 37 * patient}_1996"
        for k in range(1, 9):
            lesion = disc(patient, 40, 40, radius=k % 5 + 1)
            grey = np.clip(body + 60 * lesion + rng.normal(0, 2, body.shape), 0, 255).astype(np.uint8)
            save(tmp_path / f"set/{name}/{name}_{k}.png", grey)
            save(tmp_path / f"set/{name}/{name}_{k}_mask.png", lesion * np.uint8(255))
    return tmp_path / "set"


def by_patient(part):
    found: dict[str, set[int]] = {}
    for name, group in zip(names(part), part.groups.tolist()):
        found.setdefault(name.rpartition("_")[0], set()).add(group)
    return found


def test_neighbours_that_look_alike_stay_together_and_it_is_said(sections):
    found = train(sections)
    groups = by_patient(found)
    assert len(found.images) == 48 and len(groups) == 6
    assert all(len(rows) == 1 for rows in groups.values()) and len(set.union(*groups.values())) == 6
    assert "splits are by picture" in found.group_note and "6 groups of 48" in found.group_note
    records = Records(found.images, np.zeros(48, np.int32), ["all"], groups=found.groups)
    for seed in range(20):
        held = splits.hold_out(records, 0.3, seed=seed)
        assert 0 < held.sum() < 48 and not set(found.groups[held]) & set(found.groups[~held])


def test_a_pattern_of_names_says_who_it_is(sections):
    for option in ("patients", "groups"):
        found = train(card(sections, **{option: r"TCGA_(\w\w)_"}))
        assert len(set(found.groups.tolist())) == 3
    assert train(card(sections, patients="none")).groups is None
    with pytest.raises(DataError, match="fits no path"):
        train(card(sections, patients="nobody"))
    with pytest.raises(DataError, match="regular expression, not 3"):
        train(card(sections, patients=3))


def test_a_table_of_patients_beside_the_folders_counts(tmp_path):
    pairs(tmp_path / "set", 6)
    rows = "".join(
        f"{name},{who}\n" for name, who in zip(("0", "1.png", "images/2.png", "images/3", "4", "5"), "abcabc")
    )
    (tmp_path / "set/patients.csv").write_text(f"image,patient\n{rows}")
    found = train(tmp_path / "set")
    assert found.groups.tolist() == [0, 1, 2, 0, 1, 2] and "3 patients of 6 pictures" in found.group_note
    (tmp_path / "set/patients.csv").write_text("image,patient\n0,a\n")
    with pytest.raises(DataError, match="names none for images/1.png and 4 more"):
        train(tmp_path / "set")
    (tmp_path / "set/patients.csv").write_text("a,b\n0,a\n")
    with pytest.raises(DataError, match="patients.csv needs the columns image and patient"):
        train(tmp_path / "set")


def test_pictures_that_have_nothing_in_common_stand_alone_and_it_is_said(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(30):
        save(tmp_path / f"set/images/{k}.png", cv2.GaussianBlur(rng.integers(0, 256, (40, 56), np.uint8), (0, 0), 2))
        save(tmp_path / f"set/masks/{k}.png", disc(k) * np.uint8(255))
    found = train(tmp_path / "set")
    assert found.groups is None and "splits are by picture" in found.group_note


def test_a_row_of_sections_is_kept_in_blocks(tmp_path):
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.normal(0, 9, (30, 40, 56)), axis=0)
    for k in range(30):
        save(
            tmp_path / f"set/images/{k}.png",
            np.clip(120 + cv2.GaussianBlur(drift[k], (0, 0), 3), 0, 255).astype(np.uint8),
        )
        save(tmp_path / f"set/masks/{k}.png", disc(k) * np.uint8(255))
    groups = train(tmp_path / "set").groups
    assert (np.diff(groups) >= 0).all() and len(np.unique(groups)) == 10
    assert loading.left_out({"train": train(tmp_path / "set")}, False, "images") == []

"""Masks find their pictures by name, in the layouts that people have, and what has no partner is named."""

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.tasks.segmentation.formats import pairs
from cnnkit.tasks.segmentation.formats.cases import CLASSES, OBJECTS, VALUES


def laid(root, *names):
    """Make files of these names; pairs are found without opening any."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def paired(root, split="train", **how):
    return {case.pictures[0]: case.masks[0][0] for case in pairs.find(root, **how).splits[split]}


LAYOUTS = {
    "folders": ("images/{}.png", "masks/{}.png"),
    "one word for another": ("imgs/{}.jpg", "annotations/{}.png"),
    "inputs": ("inputs/{}.tif", "targets/{}.tif"),
    "single": ("image/{}.png", "label/{}.png"),
    "manual": ("images/{}_training.tif", "1st_manual/{}_manual1.gif"),
    "suffix of the mask": ("images/scan_{}.png", "masks/scan_{}_mask.png"),
    "prefix of both": ("images/image_{}.png", "labels/mask_{}.png"),
    "glued": ("images/img{}.png", "masks/lbl{}.png"),
    "words of their own": ("images/{}_fundus.png", "masks/{}_vessels.png"),
    "zeros": ("images/case_{}.png", "masks/case_00{}.png"),
    "in one folder": ("x {}.png", "x {}_mask.png"),
    "in one folder, by class": ("benign/b ({}).png", "benign/b ({})_mask.png"),
    "in one folder, in front": ("x{}.png", "mask_x{}.png"),
    "by patient": ("data/p{}/p{}.tif", "data/p{}/p{}_seg.tif"),
    "folder an image": ("set/{}/images/a{}.png", "set/{}/masks/b.png"),
    "pictures without a folder": ("{}.jpg", "masks/{}.png"),
    "other words": ("ISIC_Training_Data/ISIC_{}.jpg", "ISIC_Training_GroundTruth/ISIC_{}_segmentation.png"),
    "another folder of pictures": ("CXR_png/MCU_{}.png", "masks/MCU_{}.png"),
    "observers in one folder": ("Image_{}L.jpg", "Image_{}L_1stHO.png"),
    "two words": ("Original/{}.tif", "Ground Truth/{}.tif"),
    "numbered folders": ("1. Original Images/{}.jpg", "2. All Segmentation Groundtruths/{}.tif"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mask_belongs_to_the_picture_of_its_name(tmp_path, layout):
    picture, mask = LAYOUTS[layout]
    want = {}
    for k in (1, 2, 10, 11):
        want[picture.replace("{}", str(k))] = mask.replace("{}", str(k))
    root = laid(tmp_path, *want, *want.values())
    assert pairs.looks_like(root)
    assert paired(root) == want and pairs.find(root).bad == {"train": []} and pairs.find(root).holds == VALUES


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - {"folder an image"}))
def test_a_mask_that_is_missing_shifts_no_other(tmp_path, layout):
    picture, mask = LAYOUTS[layout]
    pictures = {k: picture.replace("{}", str(k)) for k in (1, 2, 3, 10, 11)}
    masks = {k: mask.replace("{}", str(k)) for k in (1, 2, 10, 11, 20)}
    laid(tmp_path, *pictures.values(), *masks.values())
    assert paired(tmp_path) == {pictures[k]: masks[k] for k in (1, 2, 10, 11)}
    assert pairs.find(tmp_path).bad["train"] == [(pictures[3], "it has no mask"), (masks[20], "it has no picture")]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/images/{}.png train/masks/{}.png", "test/images/{}.png test/masks/{}.png"),
        ("images/training/{}.png masks/training/{}.png", "images/testing/{}.png masks/testing/{}.png"),
        ("train_images/{}.png train_masks/{}.png", "test_images/{}.png test_masks/{}.png"),
        ("a. Training Set/{}.png GT/a. Training Set/{}.png", "b. Testing Set/{}.png GT/b. Testing Set/{}.png"),
        ("train/{}.png train_masks/{}.png", "test/{}.png test_masks/{}.png"),
    ],
)
def test_splits_are_told_by_folders_above_or_below(tmp_path, train, test):
    for split, row in ((0, train), (5, test)):
        laid(tmp_path, *(name.format(k) for name in row.split(" ") if "." not in name[:3] for k in (split, split + 1)))
        if "Set" in row:
            folder = row[:2] + (" Training Set" if split == 0 else " Testing Set")
            laid(tmp_path, *(f"{above}{folder}/{k}.png" for above in ("", "GT/") for k in (split, split + 1)))
    found = pairs.find(tmp_path)
    assert {split: len(cases) for split, cases in found.splits.items()} == {"train": 2, "test": 2}
    assert list(found.splits) == ["train", "test"] and not any(found.bad.values())


def test_a_test_folder_without_masks_is_no_split_and_is_said(tmp_path):
    laid(tmp_path, "train/images/1.png", "train/masks/1.png", "test/images/2.png", "test/images/3.png")
    found = pairs.find(tmp_path)
    assert list(found.splits) == ["train"] and [(row.count, row.examples) for row in found.entries] == [
        (2, ("test/images/2.png", "test/images/3.png"))
    ]


def test_a_field_of_view_and_a_second_observer_are_no_labels(tmp_path):
    for k in ("21", "22"):
        laid(tmp_path, f"images/{k}_test.tif", f"1st_manual/{k}_manual1.gif", f"2nd_manual/{k}_manual2.gif")
        laid(tmp_path, f"mask/{k}_test_mask.gif")
    case = pairs.find(tmp_path).splits["train"][1]
    assert (case.pictures[0], case.masks) == ("images/22_test.tif", (("1st_manual/22_manual1.gif", ""),))
    assert (case.ignore, case.second) == ("mask/22_test_mask.gif", "2nd_manual/22_manual2.gif")
    assert pairs.find(tmp_path, ignore=False).splits["train"][1].ignore == ""


def test_a_second_observer_may_lie_in_the_same_folder(tmp_path):
    laid(tmp_path, *(f"Image_0{k}L{end}" for k in (1, 2) for end in (".jpg", "_1stHO.png", "_2ndHO.png")))
    found = pairs.find(tmp_path)
    assert [case.second for case in found.splits["train"]] == ["Image_01L_2ndHO.png", "Image_02L_2ndHO.png"]
    assert found.bad == {"train": []}


def test_both_lungs_have_a_folder_of_masks(tmp_path):
    folders = ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask")
    laid(tmp_path, *(f"set/{folder}/M_{k}.png" for k in (1, 2) for folder in folders))
    assert pairs.find(tmp_path).labels == ["leftMask", "rightMask"] and pairs.find(tmp_path).bad == {"train": []}


def test_a_word_in_the_name_of_a_whole_set_is_no_role(tmp_path):
    laid(tmp_path, *(f"Set_with_GT/benign/b ({k}){end}.png" for k in (1, 2) for end in ("", "_mask")))
    assert len(paired(tmp_path)) == 2 and pairs.find(tmp_path).bad == {"train": []}


def test_a_folder_called_fov_is_a_field_of_view(tmp_path):
    laid(tmp_path, "images/1.png", "masks/1.png", "fov/1.png")
    assert pairs.find(tmp_path).splits["train"][0].ignore == "fov/1.png"


def test_labels_may_have_a_folder_each(tmp_path):
    laid(tmp_path, "images/d_01.jpg", "images/d_02.jpg", "masks/1. Micro/d_01_MA.tif", "masks/2. Exudates/d_01_EX.tif")
    laid(tmp_path, "masks/2. Exudates/d_02_EX.tif")
    found = pairs.find(tmp_path)
    assert found.holds == CLASSES and found.labels == ["Exudates", "Micro"] and not found.bad["train"]
    assert [sorted(label for _, label in case.masks) for case in found.splits["train"]] == [
        ["Exudates", "Micro"],
        ["Exudates"],
    ]


def test_folders_of_patients_on_both_sides_are_no_labels(tmp_path):
    laid(tmp_path, *(f"{side}/p{p}/{k}.png" for side in ("images", "masks") for p in (1, 2) for k in (1, 2)))
    assert pairs.find(tmp_path).holds == VALUES
    assert paired(tmp_path) == {f"images/p{p}/{k}.png": f"masks/p{p}/{k}.png" for p in (1, 2) for k in (1, 2)}


@pytest.mark.parametrize("where", ["masks/", "images/"])
def test_labels_may_have_a_suffix_each(tmp_path, where):
    mark = "" if where == "masks/" else "mask_"
    laid(tmp_path, *(f"images/p_{k}.png" for k in (1, 2)))
    laid(tmp_path, *(f"{where}p_{k}_{mark}{label}.png" for k in (1, 2) for label in ("cup", "disc")))
    found = pairs.find(tmp_path)
    assert found.holds == CLASSES and found.labels == ["cup", "disc"] and not found.bad["train"]


def test_a_mask_an_object_lies_in_the_folder_of_its_picture(tmp_path):
    laid(
        tmp_path,
        *(f"train/{k}/images/{k}.png" for k in "ab"),
        *(f"train/{k}/masks/{m}.png" for k in "ab" for m in (1, 2, 3)),
    )
    found = pairs.find(tmp_path)
    assert found.holds == OBJECTS and [len(case.masks) for case in found.splits["train"]] == [3, 3]


def test_all_masks_are_objects_of_the_only_picture(tmp_path):
    laid(tmp_path, "images/a.png", "masks/1.png", "masks/2.png", "masks/3.png")
    assert [len(case.masks) for case in pairs.find(tmp_path).splits["train"]] == [3]
    laid(tmp_path, "images/b.png")
    assert len(pairs.find(tmp_path).bad["train"]) == 5


def test_a_surplus_mask_is_no_object_of_a_picture_that_has_its_own(tmp_path):
    laid(tmp_path, *(f"{side}/{name}.png" for side in ("images", "masks") for name in ("a", "p1/b", "p2/c")))
    laid(tmp_path, "masks/z.png", "masks/p1/y.png")
    found = pairs.find(tmp_path)
    assert found.holds == VALUES and [name for name, _ in found.bad["train"]] == ["masks/p1/y.png", "masks/z.png"]


def test_further_masks_of_a_picture_are_its_objects(tmp_path):
    laid(tmp_path, "b (1).png", "b (1)_mask.png", "b (1)_mask_1.png", "b (2).png", "b (2)_mask.png", "b (1)_mask_2.png")
    found = pairs.find(tmp_path)
    assert found.holds == OBJECTS and [len(case.masks) for case in found.splits["train"]] == [3, 1]


def test_a_numbered_mask_without_a_picture_is_no_object_of_another(tmp_path):
    laid(tmp_path, "images/s_1.png", "images/s_2.png", "masks/s_1.png", "masks/s_2.png", "masks/s_1_5.png")
    found = pairs.find(tmp_path)
    assert found.holds == VALUES and found.bad["train"] == [("masks/s_1_5.png", "it has no picture")]


def test_a_number_behind_a_name_is_no_label(tmp_path):
    laid(tmp_path, *(f"images/s_{k}.png" for k in (1, 2, 3)), "masks/s_1_5.png", "masks/s_2_5.png", "masks/s_3.png")
    found = pairs.find(tmp_path)
    assert found.holds == VALUES and [case.pictures[0] for case in found.splits["train"]] == ["images/s_3.png"]
    assert len(found.bad["train"]) == 4


def test_two_masks_for_one_picture_are_unclear(tmp_path):
    laid(tmp_path, "images/1.png", "images/2.png", "masks/1.png", "masks/1.tif", "masks/2.png")
    assert pairs.find(tmp_path).bad["train"] == [
        ("masks/1.tif", "masks/1.png would be the mask of images/1.png as well")
    ]


def test_files_of_a_system_are_nothing(tmp_path):
    laid(tmp_path, "images/1.png", "masks/1.png", "images/._1.png", "masks/.DS_Store", "__MACOSX/images/2.png")
    found = pairs.find(tmp_path)
    assert found.bad == {"train": []} and [row.examples for row in found.entries] == [()]


def test_folders_may_be_told(tmp_path):
    laid(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    assert not pairs.looks_like(tmp_path)
    told = {pairs.PICTURE: "a", pairs.MASK: "b"}
    assert paired(tmp_path, folders=told) == {"a/1.png": "b/1.png", "a/2.png": "b/2.png"}
    with pytest.raises(DataError, match="There is no folder .*c"):
        pairs.find(tmp_path, folders={**told, pairs.MASK: "c"})


def test_a_folder_of_classes_is_not_this(tmp_path):
    assert not pairs.looks_like(laid(tmp_path, "cat/1.png", "dog/1.png"))
    with pytest.raises(DataError, match="holds no pictures with masks: put them into folders images and masks"):
        pairs.find(tmp_path)


def test_names_in_another_spelling_of_unicode_are_one(tmp_path):
    laid(tmp_path, "images/Mu\u0308ller 1.png", "masks/M\u00fcller 1.png", "images/x 2.png", "masks/x 2.png")
    assert len(paired(tmp_path)) == 2


def test_words_and_numbers_of_a_name():
    assert pairs.words("TCGA_CS-4900 (12)a.b.tif") == ("tcga", "cs", "4900", "12", "a", "b")
    assert np.all([pairs.words("x.png") == ("x",)])

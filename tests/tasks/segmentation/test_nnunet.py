"""nnU-Net's 2-D layout: channels by case, labels and regions of dataset.json, its folds read and written."""

import json

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.tasks.segmentation.formats import nnunet
from cnnkit.tasks.segmentation.masks import IGNORE, planes
from tests.tasks.segmentation.small_masks import card, disc, masks_of, parts, picture, reasons, save, train


@pytest.fixture
def dataset(tmp_path):
    """Write a data set; returns a function that changes dataset.json."""
    root = tmp_path / "Dataset001_Toy"

    def make(
        labels=None, channels=("T2", "ADC"), cases=(1, 2, 3, 10), write=lambda k: disc(k).astype(np.uint8), **more
    ):
        for k in cases:
            for channel in range(len(channels)):
                grey = picture(disc(k), k) if channel == 0 else 255 - picture(disc(k), k)
                save(root / f"imagesTr/ca_{k:03d}_{channel:04d}.png", grey)
            save(root / f"labelsTr/ca_{k:03d}.png", write(k))
        table = {
            "channel_names": {str(k): name for k, name in enumerate(channels)},
            "labels": labels or {"background": 0, "lesion": 1},
            "numTraining": len(cases),
            "file_ending": ".png",
            **more,
        }
        (root / "dataset.json").write_text(json.dumps(table))
        return root

    return make


def test_channels_of_a_case_are_stacked_in_their_order(dataset):
    found = train(dataset())
    assert found.names == ("lesion",) and found.images.channels == ("T2", "ADC")
    assert found.more.keys == ("ca_001", "ca_002", "ca_003", "ca_010")
    first = found.images.native(3)
    assert first.shape == (40, 56, 2) and found.images.shape == (40, 56, 2)
    inside = found.more.native(3) == 1
    np.testing.assert_array_equal(inside, disc(10))
    assert first[inside, 0].mean() > first[~inside, 0].mean() + 50 > first[inside, 1].mean() - 100
    assert first[inside, 1].mean() < first[~inside, 1].mean() - 50


def test_a_case_that_lacks_a_channel_is_named_with_it(dataset):
    root = dataset()
    (root / "imagesTr/ca_002_0001.png").unlink()
    (root / "imagesTr/ca_010_0000.png").unlink()
    with pytest.raises(
        DataError, match=r"ca_002 \(its channel 0001 \(ADC\) is missing\).*ca_010 \(its channel 0000 \(T2\) is"
    ):
        train(root)
    assert train(root, skip=True).more.keys == ("ca_001", "ca_003")


def test_a_case_without_a_mask_and_a_mask_without_a_case_are_named(dataset):
    root = dataset()
    (root / "labelsTr/ca_002.png").rename(root / "labelsTr/ca_020.png")
    save(root / "imagesTr/ca_003_0002.png", picture(disc()))
    save(root / "imagesTr/odd.png", picture(disc()))
    with pytest.raises(DataError) as told:
        train(root)
    for text in (
        "0000.png (it has no mask",
        "ca_020.png (it has no picture",
        "0002.png (dataset.json names 2",
        "odd.png (its name",
    ):
        assert text in str(told.value)


def test_the_colours_of_one_file_are_its_channels(dataset):
    root = dataset(channels=("R", "G", "B"))
    for k in (1, 2, 3, 10):
        for channel in (1, 2):
            (root / f"imagesTr/ca_{k:03d}_{channel:04d}.png").unlink()
        save(root / f"imagesTr/ca_{k:03d}_0000.png", np.dstack([picture(disc(k))] * 3))
    found = train(root)
    assert found.images.native(0).shape == (40, 56, 3) and found.images.channels == ()


def test_mixed_1_and_255_are_one_label_and_named(dataset):
    root = dataset()
    save(root / "labelsTr/ca_002.png", disc(2) * np.uint8(255))
    found = train(root)
    np.testing.assert_array_equal(masks_of(found)["ca_002_0000.png"], disc(2))
    assert reasons(found) == ["1 in which lesion is 255, where others have 1: read as one label"]
    save(root / "labelsTr/ca_003.png", disc(3) * np.uint8(2))
    with pytest.raises(DataError, match=r"ca_003\.png \(it has the value 2"):
        train(root)


def test_the_label_ignore_is_left_out(dataset):
    root = dataset(
        {"background": 0, "a": 1, "b": 2, "ignore": 3}, write=lambda k: disc(k) * np.uint8(k if k < 4 else 1)
    )
    found = train(root)
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.more.native(2), disc(3) * np.uint8(IGNORE))


def test_labels_of_the_first_version_are_read(dataset):
    root = dataset({"0": "background", "1": "core", "2": "rim"}, write=lambda k: disc(k) * np.uint8(1 + k % 2))
    assert train(root).names == ("core", "rim")


REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": 3}


def test_regions_overlap_and_keep_the_order_they_are_painted_in(dataset):
    def rings(k):
        return disc(k, radius=9).astype(np.uint8) + disc(k, radius=6) + disc(k, radius=3)

    root = dataset(REGIONS, write=rings, regions_class_order=[1, 2, 3])
    found = train(root)
    assert found.names == ("whole", "core", "active") and found.more.regions == ((1, 2, 3), (2, 3), (3,))
    whole, core, active = planes(found.more.native(0), found.more.regions)
    for plane, radius in ((whole, 9), (core, 6), (active, 3)):
        np.testing.assert_array_equal(plane, disc(1, radius=radius))


def test_the_code_of_a_region_is_the_one_it_is_painted_with(dataset):
    root = dataset({"background": 0, "core": [2, 3], "whole": [1, 2, 3]}, regions_class_order=[3, 1])
    found = train(root)
    assert found.more.regions == ((1, 3), (1, 2, 3))  # 3 is code 1, 1 is code 2, 2 is code 3
    np.testing.assert_array_equal(found.more.native(0), disc(1) * np.uint8(2))


@pytest.mark.parametrize("order", [[1], [], ["a", 2, 3]])
def test_regions_without_an_order_are_refused(dataset, order):
    with pytest.raises(DataError, match="`regions_class_order` needs a value for each of the 3"):
        train(dataset(REGIONS, regions_class_order=order))


def test_a_test_set_counts_where_it_has_labels(dataset):
    root = dataset(channels=("grey",))
    save(root / "imagesTs/ca_100_0000.png", picture(disc()))
    assert list(parts(root)) == ["train"] and reasons(train(root)) == ["1 of imagesTs, which has no labelsTs"]
    save(root / "labelsTs/ca_100.png", disc().astype(np.uint8))
    assert parts(root)["test"].more.keys == ("ca_100",)


def test_folds_are_read_and_written_as_they_were(dataset, tmp_path):
    root = dataset()
    assert train(root).more.folds == []
    folds = [(["ca_001", "ca_002"], ["ca_003", "ca_010"]), (["ca_003", "ca_010"], ["ca_001", "ca_002"])]
    nnunet.write_folds(root / "splits_final.json", folds)
    assert json.loads((root / "splits_final.json").read_text())[1] == {"train": folds[1][0], "val": folds[1][1]}
    assert train(root).more.folds == folds
    for text in ("[1]", '{"train": []}', "[{}]", "["):
        (root / "splits_final.json").write_text(text)
        with pytest.raises(DataError, match=r"splits_final\.json is "):
            train(root)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"labels": []}, "needs `labels`"),
        ({"labels": {"a": "x"}}, "the label 'a' has 'x'"),
        ({"channel_names": {"1": "T2"}}, "needs `channel_names`"),
        ({"file_ending": ".mp4"}, r"is of files \.mp4, and these are not read"),
    ],
)
def test_a_dataset_json_that_says_nothing_is_refused(dataset, change, text):
    root = dataset()
    table = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**table, **change}))
    with pytest.raises(DataError, match=rf"dataset\.json.* {text}"):
        train(root)


def test_names_of_a_card_go_before_those_of_the_file(dataset):
    root = dataset()
    found = train(card(root, reader="nnunet", splits={"train": {}}, values={"tumour": 1}))
    assert found.names == ("tumour",)

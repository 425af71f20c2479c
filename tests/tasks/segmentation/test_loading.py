"""From a folder of pictures with masks to splits, and to how a network should see them."""

import functools
import json
import operator

import cv2
import numpy as np
import pytest

from cnnkit import kinds
from cnnkit.device.segmentation import ALIKE, AS_IS, EACH, Plan
from cnnkit.errors import ConfigError, DataError
from cnnkit.tasks.segmentation.fingerprint import Fingerprint, choose, measure, oriented, width_of
from cnnkit.tasks.segmentation.loading import load
from cnnkit.verbs import work
from tests.tasks.segmentation.small_masks import card, pairs, picture, save


@pytest.fixture
def discs(tmp_path):
    pairs(tmp_path / "discs", count=12)
    return tmp_path / "discs"


def test_splits_have_pictures_and_masks(discs):
    found = load(discs)
    assert [len(part) for part in found.parts.values()] == [9, 1, 2]
    assert found.train.label_names == ("foreground",)
    pictures, codes = found.train.read(np.arange(3))
    assert pictures.shape == (3, *found.train.input_shape)
    assert codes.shape == pictures.shape[:3]
    assert codes.dtype == np.uint8
    assert found.train.native(0).shape == found.train.mask(0).shape == (40, 56)
    notes = " ".join(found.card["notes"])
    assert "Whole pictures: they are small, 56 px" in notes
    assert "an epoch sees each" in notes
    assert found.train.plan.lengths == (56, 56, 56)
    assert found.train.plan.slender == 1.4
    assert found.train.passes == 36
    assert found.test.passes == 1


def test_data_has_the_same_fingerprint_wherever_it_lies_and_whatever_is_said_of_it(discs, tmp_path):
    """What was left out or taken otherwise is said with the names of files, and is no part of what data is."""
    import shutil

    before = load(discs).train.fingerprint()
    shutil.copytree(discs, tmp_path / "elsewhere")
    shutil.copy(next((tmp_path / "elsewhere" / "images").iterdir()), tmp_path / "elsewhere" / "notes.png")
    assert load(tmp_path / "elsewhere").train.fingerprint() == before


def test_masks_are_in_the_fingerprint(discs):
    before = load(discs).train.fingerprint()
    assert load(discs).train.fingerprint() == before
    path = sorted((discs / "masks").glob("*.png"))
    for file in path:
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        mask[0, 0] = 255 - mask[0, 0]
        cv2.imwrite(str(file), mask)
    assert load(discs).train.fingerprint() != before


def test_pictures_without_anything_in_them_can_be_scored_and_not_trained_on(discs):
    for file in (discs / "masks").glob("*.png"):
        save(file, np.zeros((40, 56), np.uint8))
    source = card(discs, values={"disc": 1})
    found = load(source, whole=True)
    assert found.card["warnings"] == ["No mask has disc."]
    with pytest.raises(DataError, match="No training mask of .* has anything in it"):
        load(source)


def test_what_is_asked_for_is_done(discs):
    found = load(discs, patches=True, image_size=32, values=EACH)
    assert found.train.input_shape == (32, 32, 1)
    assert found.train.plan.scale is not None
    assert found.train.plan.values == EACH
    found = load(discs, scale=0.5, image_size=32)
    assert found.train.plan.scale == 0.5
    assert found.train.in_parts


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"image_size": 50}, "multiple of 32 px here, of volumes of 8. Got 50"),
        ({"scale": 0.5, "patches": False}, "`scale` is that of windows"),
        ({"values": "some"}, "as it is, alike, each. Got 'some'"),
        ({"folds": 3, "fold": 3}, "counted from 0. Got fold=3, folds=3"),
        ({"fold": 1}, "folds=None"),
        ({"folds": 40}, "leaves a fold empty"),
    ],
)
def test_what_means_nothing_is_refused(discs, how, said):
    with pytest.raises(ConfigError, match=said):
        load(discs, **how)


def test_masks_without_anything_are_refused(discs):
    for file in (discs / "masks").glob("*.png"):
        cv2.imwrite(str(file), np.zeros((40, 56), np.uint8))
    with pytest.raises(DataError, match="has anything in it"):
        load(discs)


# Folds ----------------------------------------------------------------------------------------------------------------


def test_every_picture_is_held_out_once(discs):
    held = [load(discs, folds=3, fold=number) for number in range(3)]
    names = [sorted(part.test.name(k) for k in range(len(part.test))) for part in held]
    assert sorted(functools.reduce(operator.iadd, names, [])) == sorted({name for part in names for name in part})
    assert [len(part.train) for part in held] == [8, 8, 8]
    assert not any(len(part.validation) for part in held)
    every = load(discs, folds=3)
    assert len(every.train) == 12
    assert sorted(np.bincount(every.card["folds"])) == [4, 4, 4]
    assert {part.train.plan for part in held} == {every.train.plan}, "models of all folds see alike"


def test_folds_of_nnunet_are_taken_as_they_are(tmp_path):
    root = tmp_path / "Dataset001_Discs"
    pairs(root, 6, "imagesTr/c{}_0000.png", "labelsTr/c{}.png", value=1)
    about = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "disc": 1},
        "numTraining": 6,
        "file_ending": ".png",
    }
    (root / "dataset.json").write_text(json.dumps(about))
    folds = [["c0", "c5"], ["c1", "c2"], ["c3", "c4"]]
    every = {name for fold in folds for name in fold}
    rows = [{"train": sorted(every - set(fold)), "val": fold} for fold in folds]
    (root / "splits_final.json").write_text(json.dumps(rows))
    for number, fold in enumerate(folds):
        found = load(root, folds=3, fold=number)
        assert sorted(found.test.key(k) for k in range(2)) == fold
    with pytest.raises(ConfigError, match="has 3 folds of its own"):
        load(root, folds=5)
    (root / "splits_final.json").write_text(json.dumps(rows[:2]))
    with pytest.raises(DataError, match="holds c[34] out in none"):
        load(root, folds=2)


def test_patients_stay_in_one_fold(tmp_path):
    root = tmp_path / "patients"
    pairs(root, 12, "images/p{:02}.png", "masks/p{:02}.png")
    for k in range(12):
        for folder in ("images", "masks"):
            (root / folder / f"p{k:02}.png").rename(root / folder / f"p{k // 3}_{k}.png")
    found = load(root, groups=r"(p\d+)_", folds=2)
    folds = np.array(found.card["folds"])
    patients = [found.train.name(k).rsplit("/", 1)[-1].split("_")[0] for k in range(12)]
    for patient in set(patients):
        assert len({int(fold) for fold, name in zip(folds, patients, strict=True) if name == patient}) == 1


# The fingerprint ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9, 16])
def test_the_width_of_lines_is_measured(width):
    plane = np.zeros((100, 100), np.uint8)
    plane[20 : 20 + width, 10:90] = 1
    assert width - 0.6 <= width_of(plane) <= width + 1.1


def facts(**changes):
    given = {
        "count": 100, "sides": (500, 400), "channels": 3, "kind": "uint8", "low": (0.0,) * 3, "high": (250.0,) * 3, "spread": 0.1,
        "oriented": (False, False), "share": {"a": 0.1}, "pieces": {"a": 1.0}, "thin": {"a": 60.0}, "gap": 80.0,
        "empty": 0.0, "spacing": None, "seldom": ("a", 1.0),
    }  # fmt: skip
    return Fingerprint(**{**given, **changes})


def chosen(found, count=100, **options):
    return choose(found, count, ((1,),), **options)


def test_what_is_wide_is_seen_whole_and_small():
    choice = chosen(facts())
    assert choice.plan.scale is None
    assert choice.shape == (192, 192, 3)
    assert any("Whole pictures, made smaller: the thin parts of a, 60.0 px" in line for line in choice.why)


def test_what_is_thin_is_seen_through_windows_at_full_size():
    choice = chosen(facts(thin={"a": 3.0}))
    assert choice.plan.scale == 1.0
    assert any("Windows: of the thin parts of a, 3.0 px wide" in line for line in choice.why)


def test_thin_gaps_between_wide_things_count_too():
    choice = chosen(facts(gap=4.0))
    assert choice.plan.scale == 1.0
    assert any("what lies between labels" in line for line in choice.why)


def test_large_pictures_of_wide_things_are_made_smaller():
    choice = chosen(facts(sides=(4000, 3000), thin={"a": 16.0}, gap=400.0))
    assert choice.plan.scale == 0.25


def test_small_pictures_are_seen_whole_however_thin():
    assert chosen(facts(sides=(100, 120), thin={"a": 1.0})).shape == (128, 128, 3)


@pytest.mark.parametrize(
    ("changes", "values"),
    [({}, AS_IS), ({"kind": "uint16"}, ALIKE), ({"kind": "uint16", "spread": 0.9}, EACH), ({"kind": "float32"}, ALIKE)],
)
def test_values_become_bytes_as_the_pictures_ask_for(changes, values):
    assert chosen(facts(**changes)).plan.values == values


def test_pictures_are_mirrored_only_where_that_makes_such_as_there_are():
    assert chosen(facts()).flips == (0, 1)
    choice = chosen(facts(oriented=(True, False)))
    assert choice.flips == (1,)
    assert any("not mirrored up and down: labels lie elsewhere" in line for line in choice.why)
    assert chosen(facts(oriented=(True, True), thin={"a": 3.0})).flips == (0, 1), "a window has no up and down"


def test_whether_labels_lie_elsewhere_in_mirrored_pictures_is_measured():
    rng = np.random.default_rng(0)
    where = np.zeros((40, 1, 16, 16), np.float32)
    for plane in where:
        row, column = rng.integers(0, 6), rng.integers(0, 12)
        plane[0, row : row + 4, column : column + 4] = 1
    assert oriented(where, 0), "always in the upper half"
    assert not oriented(where, 1), "anywhere from left to right"
    assert not oriented(where[:4], 0), "four pictures are too few to tell"


def test_few_pictures_are_seen_more_often_and_rare_labels_too():
    assert chosen(facts(), count=20).passes == 16
    assert chosen(facts(), count=1000).passes == 1
    assert chosen(facts(share={"a": 0.001}, thin={"a": 3.0})).focus == 0.5


def test_overlapping_labels_are_asked_for_on_their_own():
    choice = choose(facts(), 100, ((1, 2), (2,)), (1, 2))
    assert choice.plan.regions == ((1, 2), (2,))
    assert choice.plan.order == (1, 2)
    assert choice.plan.channels(2) == 2
    assert Plan().channels(2) == 3
    assert Plan().channels(1) == 1


@pytest.mark.parametrize(("shape", "batch"), [((2000, 2000), 4), ((90, 60), 8), ((60, 30), 8), ((250, 250), 4)])
def test_large_inputs_come_fewer_a_step(shape, batch):
    choice = chosen(facts(sides=shape))
    assert choice.advice["batch_size"] == batch
    assert any(line.startswith(f"{batch} inputs a step") for line in choice.why)
    assert chosen(facts(), side=512).advice["batch_size"] == 2


@pytest.mark.parametrize(
    ("changes", "loss", "why"),
    [
        ({}, "dice", "of each input on its own"),
        ({"thin": {"a": 3.0}}, "batch-dice", "windows often have none"),
        ({"seldom": ("b", 0.4)}, "batch-dice", "60% of them do not have b"),
    ],
)
def test_overlap_is_of_each_input_where_nearly_all_have_every_label(changes, loss, why):
    choice = chosen(facts(**changes))
    assert choice.advice["loss"] == loss
    assert any(why in line for line in choice.why)


def test_an_app_of_the_kind_trains_as_the_masks_advise(discs):
    splits = load(discs)
    assert splits.train.advised(False) == {"batch_size": 8, "loss": "dice"}
    assert splits.train.advised(True)["batch_size"] == 16
    recipe = kinds.image_segmentation.recipe(app="discs", data="discs", builders={})
    settings = work._decided(recipe, {"model": "default", "weights": "none"}, splits)
    assert (settings.batch_size, settings.loss) == (8, "dice")
    settings = work._decided(recipe, {"model": "default", "weights": "none", "loss": "focal", "batch_size": 3}, splits)
    assert (settings.batch_size, settings.loss) == (3, "focal"), "asked for"
    assert recipe.fitting(recipe, splits) is recipe
    assert recipe.views(splits.train, settings)(np.arange(2), 0)[0].shape == (2, *splits.train.input_shape)


def test_it_is_measured_on_pictures(discs):
    found = measure(load(discs).train)
    assert found.sides == (40, 56)
    assert found.kind == "uint8"
    assert found.pieces == {"foreground": 1.0}
    assert found.share["foreground"] == pytest.approx(np.pi * 64 / (40 * 56), rel=0.05)
    assert 7 < found.thin["foreground"] < 15
    assert found.seldom == ("foreground", 1.0)


# Objects --------------------------------------------------------------------------------------------------------------


def cells(root, count=12, *, apart=True, square=12):
    """Write pictures of two squares that touch and one alone, their masks with a number each, or of two levels."""
    for k in range(count):
        numbers = np.zeros((48, 64), np.uint16)
        numbers[10 : 10 + square, 8 : 8 + square] = 1
        numbers[10 : 10 + square, 8 + square : 8 + 2 * square] = 2
        numbers[30 : 30 + square, 40 : 40 + square] = 3 + k % 2
        save(root / "images" / f"{k}.png", picture(numbers > 0, k))
        save(root / "masks" / f"{k}.png", numbers if apart else (255 * (numbers > 0)).astype(np.uint8))


def test_objects_are_seen_with_their_borders(tmp_path):
    cells(tmp_path / "cells")
    found = load(tmp_path / "cells", objects=True)
    train = found.train
    assert train.label_names == ("foreground",), "values that nobody named are numbers of objects"
    assert train.plan.rim == 3
    assert train.regions == ((1,),)
    assert train.taught == ((1,), (2,))
    codes = train.seen(0)[1]
    assert codes[15, 8:34].tolist() == [2] * 3 + [1] * 6 + [2] * 6 + [1] * 6 + [2, 2, 2, 0, 0]
    assert codes[11, 8:34].tolist() == [2] * 12 + [2] * 12 + [0, 0]
    assert set(np.unique(train.mask(0))) == {0, 1}
    assert sorted(np.unique(train.numbered(0))) == [0, 1, 2, 3]
    assert any("told apart by a border, 3 px" in line for line in found.card["notes"])
    assert any("14 px across" in line for line in found.card["notes"])
    (said,) = found.card["warnings"]
    assert "values 1, 2, 3, 4 of the masks are taken for the numbers of objects" in said
    assert "values = { NAME = 1 }" in said
    assert not load(card(tmp_path / "cells", objects=True), objects=True).card["warnings"], "nobody need be told that"
    assert train.fingerprint() != load(tmp_path / "cells").train.fingerprint()


def test_objects_that_masks_merge_are_warned_of(tmp_path):
    for k in range(12):
        rows, columns = np.mgrid[:48, :64]
        mask = np.minimum(np.hypot(rows - 24, columns - 16), np.hypot(rows - 24, columns - 33)) < 9
        save(tmp_path / "cells" / "images" / f"{k}.png", picture(mask, k))
        save(tmp_path / "cells" / "masks" / f"{k}.png", mask.astype(np.uint8) * np.uint8(255))
    found = load(tmp_path / "cells", objects=True)
    assert found.train.numbered(0).max() == 1
    (line,) = (line for line in found.card["warnings"] if "objects" in line)
    assert "9 of 9 pieces look like several objects" in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"values": {"cell": 1, "nucleus": 2, "other": [3, 4]}}, "takes one label, and .* has 3: cell, nucleus"),
        ({"regions": True}, "the labels cell, nucleus of .* overlap"),
    ],
)
def test_objects_of_several_labels_are_refused(tmp_path, given, said):
    root = tmp_path / "Dataset001_Cells"
    if "values" in given:
        cells(root)
        source = card(root, **given)
    else:
        pairs(root, 6, "imagesTr/c{}_0000.png", "labelsTr/c{}.png", value=1)
        about = {"labels": {"background": 0, "cell": [1, 2], "nucleus": 2}, "regions_class_order": [1, 2]}
        about |= {"channel_names": {"0": "grey"}, "numTraining": 6, "file_ending": ".png"}
        (root / "dataset.json").write_text(json.dumps(about))
        source = root
    with pytest.raises(ConfigError, match=said):
        load(source, objects=True)


def test_values_of_labels_are_no_objects(tmp_path):
    """Each value has several pieces."""
    for k in range(8):
        codes = np.zeros((48, 64), np.uint8)
        for place in range(6):
            codes[4:12, 2 + 10 * place : 10 + 10 * place] = 1 + place % 2
        save(tmp_path / "cells" / "images" / f"{k}.png", picture(codes > 0, k))
        save(tmp_path / "cells" / "masks" / f"{k}.png", codes)
    with pytest.raises(ConfigError, match="takes one label, and .* has 2: 1, 2"):
        load(tmp_path / "cells", objects=True)


def test_values_of_which_some_are_objects_and_one_a_label_are_refused(tmp_path):
    """An organ of one piece, and spots of another value."""
    for k in range(8):
        codes = np.zeros((48, 64), np.uint8)
        codes[4:24, 4:60] = 1
        codes[30:36, 4:10] = codes[30:36, 20:26] = 5
        for value in range(6, 12):
            codes[40:44, value * 5 : value * 5 + 4] = value
        save(tmp_path / "cells" / "images" / f"{k}.png", picture(codes > 0, k))
        save(tmp_path / "cells" / "masks" / f"{k}.png", codes)
    with pytest.raises(ConfigError, match="but 5 is in several pieces in . of . masks, as a label is"):
        load(tmp_path / "cells", objects=True)


def test_small_objects_ask_for_a_finer_look():
    large, small = (chosen(facts(across=(across, across))) for across in (60.0, 14.0))
    assert large.plan.scale is None
    assert large.plan.rim == 4
    assert small.plan.scale == 1.0
    assert any("thin parts of objects, 14.0 px wide" in line for line in small.why)

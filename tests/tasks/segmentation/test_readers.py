"""Pictures with masks as people have them are read right, or refused by name: never read wrong without a word."""

import json
import re

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cnnkit.data import loading
from cnnkit.errors import DataError
from cnnkit.tasks.segmentation import checks
from cnnkit.tasks.segmentation.masks import IGNORE
from tests.tasks.segmentation.small_masks import (
    card,
    disc,
    masks_of,
    names,
    pairs,
    parts,
    picture,
    reasons,
    save,
    train,
)


def same(found, wanted):
    assert list(found) == list(wanted)
    for name, mask in wanted.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)
        assert found[name].dtype == np.uint8


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_two_levels_are_one_label(tmp_path, value, suffix):
    masks = pairs(tmp_path / "set", mask_name="masks/{}." + suffix, value=value)
    found = train(tmp_path / "set")
    assert found.names == ("foreground",) and found.codes.tolist() == [0] and found.entries == []
    same(masks_of(found), {f"{k}.png": mask for k, mask in enumerate(masks)})
    assert found.more.regions == ((1,),) and found.more.objects(0) is None and found.more.second(0) is None
    assert (
        found.more.counts[:, 1].tolist() == [mask.sum() for mask in masks] == found.more.counts[:, 1:].sum(1).tolist()
    )


def test_masks_with_1_and_with_255_are_one_label_and_the_fewer_are_named(tmp_path):
    masks = pairs(tmp_path / "set", 5)
    save(tmp_path / "set/masks/1.png", masks[1].astype(np.uint8))
    found = train(tmp_path / "set")
    same(masks_of(found), {f"{k}.png": mask for k, mask in enumerate(masks)})
    assert reasons(found) == ["1 in which the foreground is 1, where others have 255: read as one label"]
    assert found.entries[0].examples == ("masks/1.png",)


def test_what_one_split_says_holds_for_all(tmp_path):
    pairs(tmp_path / "set", picture_name="train/images/{}.png", mask_name="train/masks/{}.png", value=1)
    save(tmp_path / "set/train/masks/0.png", disc(0) * np.uint8(2))
    masks = pairs(tmp_path / "set", picture_name="test/images/{}.png", mask_name="test/masks/{}.png", value=2)
    found = parts(tmp_path / "set")
    assert found["train"].names == found["test"].names == ("1", "2")
    np.testing.assert_array_equal(found["test"].more.native(1), masks[1] * np.uint8(2))


def test_indices_of_a_palette_are_labels_and_255_is_left_out(tmp_path):
    mask = disc().astype(np.uint8) + disc(radius=4)
    mask[cv2.dilate(mask, np.ones((3, 3))) != mask] = 255
    colours = np.random.default_rng(3).integers(0, 256, (256, 3), np.uint8)
    save(tmp_path / "set/images/a.png", picture(mask == 1))
    (tmp_path / "set/masks").mkdir()
    indexed = Image.fromarray(mask, "P")
    indexed.putpalette(colours.ravel().tolist())
    indexed.save(tmp_path / "set/masks/a.png")
    found = train(tmp_path / "set")
    assert found.names == ("1", "2") and IGNORE == 255
    same(masks_of(found), {"a.png": mask})
    assert reasons(found) == ["1 with 255: left out of loss and scores"]


def test_255_beside_other_labels_is_left_out_and_alone_a_label(tmp_path):
    masks = pairs(tmp_path / "set", 6)
    save(tmp_path / "set/masks/0.png", masks[0] * np.uint8(3))
    found = train(tmp_path / "set")
    assert found.names == ("3", "255") and (found.more.native(1) == masks[1] * 2).all()
    both = masks[0] * np.uint8(3)
    both[:2] = 255
    save(tmp_path / "set/masks/0.png", both)
    with pytest.raises(
        DataError, match=r"masks/1\.png and 4 more masks have 255 alone, masks/0\.png beside other labels"
    ):
        train(tmp_path / "set")


def test_evenly_spread_levels_are_labels_up_to_255(tmp_path):
    pairs(tmp_path / "set", 2)
    save(tmp_path / "set/masks/0.png", (disc(radius=9) * np.uint8(128)).clip(0, 128))
    found = train(tmp_path / "set")
    assert found.names == ("128", "255")
    np.testing.assert_array_equal(found.more.native(0), disc(radius=9))


COLOURS = {"background": (0, 0, 0), "vessel": (250, 0, 0), "nerve": (0, 127, 0), "bone": (0, 0, 250)}


@pytest.fixture
def coloured(tmp_path):
    """Write masks in colours, two of which are the same grey; returns the folder and the code map."""
    codes = np.zeros((48, 60), np.uint8)
    for code, (top, left) in enumerate(((4, 4), (20, 20), (30, 40)), 1):
        codes[top : top + 12, left : left + 14] = code
    table = np.array(list(COLOURS.values()), np.uint8)
    for k in range(2):
        save(tmp_path / f"set/images/{k}.png", picture(codes > 0, k))
        save(tmp_path / f"set/masks/{k}.png", table[codes])
        soft = cv2.GaussianBlur(table[codes], (3, 3), 0)
        save(tmp_path / f"set/soft/{k}.png", soft)
    return tmp_path / "set", codes


NAMINGS = {
    "classes.csv": "name,red,green,blue\n" + "".join(f"{n},{r},{g},{b}\n" for n, (r, g, b) in COLOURS.items()),
    "class_dict.csv": "name,r,g,b\n" + "".join(f"{n}, {r}, {g}, {b}\n" for n, (r, g, b) in COLOURS.items()),
    "labelmap.txt": "# label:color_rgb:parts:actions\n"
    + "".join(f"{n}:{r},{g},{b}::\n" for n, (r, g, b) in COLOURS.items()),
    "classes.json": json.dumps(COLOURS),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_colours_are_read_as_they_are_named(coloured, naming):
    root, codes = coloured
    (root / naming).write_text(NAMINGS[naming])
    found = train(root)
    assert found.names == ("vessel", "nerve", "bone")
    same(masks_of(found), {"0.png": codes, "1.png": codes})


def test_colours_may_be_named_in_a_card(coloured):
    root, codes = coloured
    named = {name: list(colour) for name, colour in COLOURS.items() if name != "background"}
    np.testing.assert_array_equal(train(card(root, values=named)).more.native(1), codes)


def test_colours_that_nobody_named_are_refused(coloured):
    root, _ = coloured
    with pytest.raises(
        DataError, match=r"masks/0\.png is a mask of colours, and nothing says what they mean\. Name them"
    ):
        train(root)
    (root / "classes.csv").write_text("name,red,green,blue\nvessel,250,0,0\nnerve,0,127,0\n")
    with pytest.raises(
        DataError, match=r"masks/0\.png \(168 of its pixels have a colour that nobody named, such as 0, 0, 250"
    ):
        train(root)


def test_soft_edges_of_colours_are_refused_with_their_number(coloured):
    root, _ = coloured
    (root / "classes.csv").write_text(NAMINGS["classes.csv"])
    soft = cv2.imread(str(root / "soft/0.png"))[..., ::-1]
    odd = np.count_nonzero(~np.isin((soft * [65536, 256, 1]).sum(2), [0, 250 << 16, 127 << 8, 250]))
    with pytest.raises(DataError, match=rf"soft/0\.png \({odd} of its pixels"):
        train(card(root, splits={"train": {"images": "images", "masks": "soft"}}))


def test_a_palette_of_named_colours_is_read_by_colour(coloured):
    root, codes = coloured
    (root / "classes.csv").write_text(NAMINGS["classes.csv"])
    turned = Image.fromarray(3 - codes, "P")
    turned.putpalette(np.array(list(COLOURS.values())[::-1], np.uint8).ravel().tolist())
    turned.save(root / "masks/0.png")
    same(masks_of(train(root)), {"0.png": codes, "1.png": codes})


def jpeg(path, mask, quality=60):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), mask, [cv2.IMWRITE_JPEG_QUALITY, quality])


def test_jpeg_masks_of_two_levels_are_cut_at_127_with_one_line(tmp_path):
    masks = pairs(tmp_path / "set", picture_name="images/{}.jpg")
    for k, mask in enumerate(masks):
        (tmp_path / f"set/masks/{k}.png").unlink()
        jpeg(tmp_path / f"set/masks/{k}.jpg", mask * np.uint8(255))
        stored = cv2.imread(str(tmp_path / f"set/masks/{k}.jpg"), 0)
        assert len(np.unique(stored)) > 10  # rims, as JPEG leaves them
        masks[k] = stored > 127
        assert (masks[k] == disc(k)).mean() > 0.99
    found = train(tmp_path / "set")
    same(masks_of(found), {f"{k}.jpg": mask for k, mask in enumerate(masks)})
    assert reasons(found) == ["4 whose two levels have soft edges, as JPEG leaves them: cut at 127"]


@pytest.mark.parametrize("levels", [(0, 40, 80), (0, 127, 255), (0, 1, 2), (0, 90, 255)])
def test_jpeg_masks_of_more_levels_are_refused(tmp_path, levels):
    pairs(tmp_path / "set", 3)
    wide = disc(radius=11).astype(np.uint8) + disc(radius=6)
    (tmp_path / "set/masks/0.png").unlink()
    jpeg(tmp_path / "set/masks/0.jpg", np.array(levels, np.uint8)[wide])
    with pytest.raises(DataError, match=r"masks/0\.jpg \(it is a JPEG, which has mixed its values, and "):
        train(tmp_path / "set")


def test_an_empty_jpeg_mask_is_empty(tmp_path):
    pairs(tmp_path / "set", 3)
    (tmp_path / "set/masks/0.png").unlink()
    jpeg(tmp_path / "set/masks/0.jpg", np.zeros((40, 56), np.uint8))
    assert not train(tmp_path / "set").more.native(0).any()


def test_twenty_labels_are_no_soft_edge(tmp_path):
    codes = np.repeat(np.arange(20, dtype=np.uint8), 60).reshape(30, 40)
    for k in range(2):
        save(tmp_path / f"set/images/{k}.png", picture(codes > 0, k))
        save(tmp_path / f"set/masks/{k}.png", codes)
    assert train(tmp_path / "set").names == tuple(str(k) for k in range(1, 20))
    np.testing.assert_array_equal(train(tmp_path / "set").more.native(0), codes)
    for k in range(2):
        save(tmp_path / f"set/masks/{k}.png", codes * np.uint8(13))
    np.testing.assert_array_equal(train(tmp_path / "set").more.native(0), codes)


def test_a_png_that_was_a_jpeg_is_cut_too(tmp_path):
    masks = pairs(tmp_path / "set", 2)
    jpeg(tmp_path / "mask.jpg", masks[0] * np.uint8(255))
    save(tmp_path / "set/masks/0.png", cv2.imread(str(tmp_path / "mask.jpg"), 0))
    found = train(tmp_path / "set")
    assert reasons(found)[0].startswith("1 whose two levels") and (found.more.native(0) == masks[0]).mean() > 0.99


def test_floats_that_are_nearly_whole_are_rounded_and_others_refused(tmp_path):
    codes = disc().astype(np.float32) + disc(radius=4)
    for name, values in (("a", codes * np.float32(0.9995)), ("b", codes)):
        save(tmp_path / f"set/images/{name}.png", picture(codes > 0))
        (tmp_path / "set/masks").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"set/masks/{name}.tif", values)
    found = train(tmp_path / "set")
    same(masks_of(found), {"a.png": codes.astype(np.uint8), "b.png": codes.astype(np.uint8)})
    assert reasons(found) == ["1 whose values were nearly whole: rounded"]
    tifffile.imwrite(tmp_path / "set/masks/b.tif", np.where(codes == 2, np.float32(1.5), codes))
    with pytest.raises(DataError, match=r"1 of 2 images cannot be used: .*masks/b\.tif \(it has the value 1\.5"):
        train(tmp_path / "set")
    assert names(train(tmp_path / "set", skip=True)) == ["a.png"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_a_picture_is_named(tmp_path, value):
    for name in "ab":
        save(tmp_path / f"set/masks/{name}.png", disc() * np.uint8(255))
        (tmp_path / "set/images").mkdir(exist_ok=True)
        pixels = picture(disc()).astype(np.float32)
        if name == "b":
            pixels[3, 4] = value
        tifffile.imwrite(tmp_path / f"set/images/{name}.tif", pixels)
    with pytest.raises(DataError, match=r"images/b\.tif \(1 of its values are no numbers \(NaN or infinity\)\)"):
        train(tmp_path / "set")
    assert names(train(tmp_path / "set", skip=True)) == ["a.tif"]


def test_labels_of_a_file_name_the_values(tmp_path):
    pairs(tmp_path / "set", value=2)
    for text, want in (
        ("vessel\nnerve\n", 2),
        ("background\nvessel\nnerve\n", 2),
        ("0 background\n2: vessel\n", 1),
        ("nerve=2", 1),
    ):
        (tmp_path / "set/labels.txt").write_text(text)
        found = train(tmp_path / "set")
        np.testing.assert_array_equal(found.more.native(0), disc(0) * want)
    (tmp_path / "set/labels.txt").write_text("vessel\n")
    with pytest.raises(DataError, match=r"masks/0\.png \(it has the value 2, where only 1, 0 mean something\)"):
        train(tmp_path / "set")


@pytest.mark.parametrize("void", ["ignore", "void", "Unlabelled", "unlabeled"])
def test_a_label_that_says_so_is_left_out(tmp_path, void):
    pairs(tmp_path / "set", 2, value=7)
    found = train(card(tmp_path / "set", values={"cell": 3, void: 7}))
    assert found.names == ("cell",)
    np.testing.assert_array_equal(found.more.native(1), disc(1) * np.uint8(IGNORE))


def test_what_is_dark_may_be_named(tmp_path):
    masks = pairs(tmp_path / "set", 3)
    found = train(card(tmp_path / "set", values={"membrane": 0}))
    assert found.names == ("membrane",)
    same(masks_of(found), {f"{k}.png": ~mask for k, mask in enumerate(masks)})


def test_masks_without_0_have_to_be_named(tmp_path):
    pairs(tmp_path / "set", 2)
    for k in range(2):
        save(tmp_path / f"set/masks/{k}.png", disc(k) * np.uint8(1) + np.uint8(1))
    with pytest.raises(DataError, match="the values 1, 2 and no 0, so nothing says what is background"):
        train(tmp_path / "set")
    found = train(card(tmp_path / "set", values={"background": 1, "cell": 2}))
    np.testing.assert_array_equal(found.more.native(0), disc(0))


def test_a_value_that_comes_later_is_refused_when_it_is_read(tmp_path):
    pairs(tmp_path / "set", 2)
    found = train(tmp_path / "set")
    save(tmp_path / "set/masks/1.png", disc(1) * np.uint8(7))
    with pytest.raises(DataError, match=r"masks/1\.png cannot be used: it has the value 7"):
        found.more.native(1)
    save(tmp_path / "set/masks/1.png", disc(1, height=50) * np.uint8(255))
    with pytest.raises(DataError, match=r"masks/1\.png cannot be used: it is 56 x 50 px, its picture 56 x 40"):
        found.more.native(1)


def test_masks_of_another_size_are_refused_by_name(tmp_path):
    masks = pairs(tmp_path / "set", 4)
    save(tmp_path / "set/masks/0.png", masks[0].T * np.uint8(255))
    save(tmp_path / "set/masks/1.png", masks[1][::2, ::2] * np.uint8(255))
    save(tmp_path / "set/masks/2.png", masks[2][4:] * np.uint8(255))
    with pytest.raises(DataError, match=r"3 of 4 images cannot be used") as told:
        train(tmp_path / "set")
    for name, size in (("0.png", "40 x 56"), ("1.png", "28 x 20"), ("2.png", "56 x 36")):
        assert f"masks/{name} (it is {size} px, its picture 56 x 40)" in str(told.value)
    same(masks_of(train(tmp_path / "set", skip=True)), {"3.png": masks[3]})


def test_damaged_and_constant_files_are_left_out_by_name(tmp_path):
    pairs(tmp_path / "set", 5)
    path = tmp_path / "set/masks/1.png"
    path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / "set/images/2.png").write_bytes(b"no image")
    save(tmp_path / "set/images/3.png", np.full((40, 56), 9, np.uint8))
    with pytest.raises(
        DataError, match=r"2 of 5 images .*masks/1\.png \(it is truncated.*images/2\.png \(it is not an image"
    ):
        train(tmp_path / "set")
    found = parts(tmp_path / "set", skip=True)
    assert names(found["train"]) == ["0.png", "4.png"]
    assert any("3.png (every pixel of it is 9)" in line for line in loading.left_out(found, True, "images"))


def test_a_missing_and_a_surplus_mask_are_named(tmp_path):
    masks = pairs(tmp_path / "set", 5, picture_name="images/s_{}.png", mask_name="masks/s_{}_mask.png")
    (tmp_path / "set/masks/s_2_mask.png").rename(tmp_path / "set/masks/s_20_mask.png")
    (tmp_path / "set/images/._s_1.png").write_bytes(b"\0\5\x16\7")
    with pytest.raises(DataError, match=r"images/s_2\.png \(it has no mask\), .*s_20_mask\.png \(it has no picture\)"):
        train(tmp_path / "set")
    found = train(tmp_path / "set", skip=True)
    same(masks_of(found), {f"s_{k}.png": masks[k] for k in (0, 1, 3, 4)})
    assert not any("._" in str(row) for row in found.entries)


# Range, decoders, objects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_and_300_cells_stay(tmp_path, suffix):
    cells = np.zeros((90, 210), np.uint16)
    for k in range(300):
        top, left = k // 30 * 9, k % 30 * 7
        cells[top + 1 : top + 8, left + 1 : left + 6] = k + 1
    grey = (100 + 500 * (cells > 0)).astype(np.uint16)
    grey[0, 0] = 4095
    save(tmp_path / "set/images/a.tif", grey)
    save(tmp_path / f"set/masks/a.{suffix}", cells)
    found = train(tmp_path / "set")
    np.testing.assert_array_equal(found.images.native(0), grey)
    assert found.images.native(0).dtype == np.uint16 and found.names == ("foreground",)
    np.testing.assert_array_equal(found.more.objects(0), cells)
    np.testing.assert_array_equal(found.more.native(0), cells > 0)


def test_few_numbers_are_labels_unless_they_are_said_to_be_objects(tmp_path):
    two = disc(0).astype(np.uint8)
    two[disc(3)] = 2
    save(tmp_path / "set/images/a.png", picture(two > 0))
    save(tmp_path / "set/masks/a.png", two)
    assert train(tmp_path / "set").names == ("1", "2")
    found = train(card(tmp_path / "set", objects=True, labels=["nucleus"]))
    assert found.names == ("nucleus",)
    np.testing.assert_array_equal(found.more.objects(0), two)
    np.testing.assert_array_equal(found.more.native(0), two > 0)
    with pytest.raises(DataError, match="The option `objects` is true or false, not 3"):
        train(card(tmp_path / "set", objects=3))


def test_values_that_are_named_as_labels_are_no_numbers_of_objects(tmp_path):
    pairs(tmp_path / "set", 3, value=2)
    with pytest.raises(
        DataError, match="`objects` makes each value the number of an object, and cell, nucleus are named"
    ):
        train(card(tmp_path / "set", objects=True, values={"cell": 1, "nucleus": 2}))


def strayed(root, count=6, value=7, pixels=3, masks=1):
    """Masks of discs, of which some have a few pixels of another value."""
    for k, mask in enumerate(pairs(root, count, value=1)):
        codes = mask.astype(np.uint8)
        codes[35, : pixels if k < masks else 0] = value
        save(root / "masks" / f"{k}.png", codes)
    return root


def test_a_value_in_a_few_pixels_of_one_mask_is_no_label(tmp_path):
    root = strayed(tmp_path / "set")
    with pytest.raises(
        DataError, match=r"0\.png \(3 of its pixels have the value 7, .*`values = { NAME = 1, ignore = 7 }`"
    ):
        train(root)
    found = train(root, skip=True)
    assert found.names == ("foreground",)
    assert names(found) == [f"{k}.png" for k in range(1, 6)]
    told = train(card(root, values={"disc": 1, "ignore": 7}))
    assert told.names == ("disc",)
    assert np.count_nonzero(told.more.native(0) == 255) == 3


def test_a_value_in_many_pixels_of_one_mask_is_a_label_and_is_said(tmp_path):
    found = train(strayed(tmp_path / "set", pixels=40))
    assert found.names == ("1", "7")
    (line,) = found.notes
    assert re.search(r"value 7 is in one of 6 masks, .*0\.png, 40 px", line)
    findings = [(row.severity, row.kind) for row in checks.check(tmp_path / "set")]
    assert ("warning", "values") in findings


@pytest.mark.parametrize("told", [{"masks": 2}, {"count": 3}])
def test_rare_values_of_several_masks_or_of_few_are_labels(tmp_path, told):
    found = train(strayed(tmp_path / "set", **told))
    assert found.names == ("1", "7")
    assert not found.notes


def test_numbers_that_begin_anew_in_each_mask_are_objects(tmp_path):
    for name, count in (("a", 20), ("b", 17)):
        cells = np.zeros((40, 200), np.uint8)
        for k in range(count):
            cells[5:30, k * 9 + 2 : k * 9 + 9] = k + 1
        save(tmp_path / f"set/images/{name}.png", picture(cells > 0))
        save(tmp_path / f"set/masks/{name}.png", cells)
    assert [train(tmp_path / "set").more.objects(k).max() for k in range(2)] == [20, 17]
    (line,) = train(tmp_path / "set").notes
    assert "up to 20 different values: they are taken for the numbers of objects" in line


def test_a_mask_an_object_touching_overlapping_and_empty(tmp_path):
    """Seven objects: two touch, one lies in another, one overlaps, two are alone, one is of two pixels."""
    for name in ("n0", "n1"):
        objects = [np.zeros((60, 80), bool) for _ in range(8)]
        objects[0][5:15, 5:15] = objects[1][5:15, 15:25] = True  # side by side
        objects[2][30:50, 5:25] = objects[3][35:40, 10:15] = True  # within
        objects[5][5:15, 50:60] = objects[6][12:22, 58:68] = True  # overlapping: 3 x 2 px
        objects[7][55, 70:72] = True
        save(tmp_path / f"set/stage1_train/{name}/images/{name}.png", picture(np.any(objects, axis=0)))
        for k, mask in enumerate(objects):
            save(tmp_path / f"set/stage1_train/{name}/masks/{k:04x}.png", mask * np.uint8(255))
    found = train(tmp_path / "set")
    assert names(found) == ["n0.png", "n1.png"] and found.names == ("foreground",)
    for k in range(2):
        numbers = found.more.objects(k)
        areas = np.bincount(numbers.ravel())[1:].tolist()
        assert (numbers.dtype == np.int32 and areas == [100, 100, 375, 25, 94, 100, 2]) or areas == [
            100,
            100,
            375,
            25,
            100,
            94,
            2,
        ]
        np.testing.assert_array_equal(found.more.native(k), np.any(objects, axis=0))
    assert found.more.counts[0, :2].tolist() == [4800 - 796, 796]


def test_a_small_object_lies_on_the_large_one_that_holds_it(tmp_path):
    save(tmp_path / "set/a/images/a.png", picture(disc()))
    save(tmp_path / "set/b/images/b.png", picture(disc()))
    for name, radius in (("1", 3), ("2", 9)):
        for case in "ab":
            save(tmp_path / f"set/{case}/masks/{name}.png", disc(radius=radius) * np.uint8(255))
    np.testing.assert_array_equal(
        train(tmp_path / "set").more.objects(1), np.where(disc(radius=3), 1, disc(radius=9) * 2)
    )


def test_a_picture_turned_by_exif_lies_under_its_plain_mask(tmp_path):
    for orientation in (1, 3, 6, 8):
        mask = disc(radius=9, height=48, width=48)
        shown = np.full((48, 48, 3), 60, np.uint8)
        shown[mask] = (220, 40, 40)
        turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
        exif = Image.Exif()
        exif[274] = orientation
        (tmp_path / "set/images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rot90(shown, turns)).save(tmp_path / f"set/images/w{orientation}.jpg", exif=exif, quality=95)
        save(tmp_path / f"set/masks/w{orientation}.png", mask * np.uint8(255))
    found = train(tmp_path / "set")
    for index in range(4):
        red = found.images.native(index)[..., 0].astype(int)
        inside = found.more.native(index) == 1
        assert red[inside].mean() - red[~inside].mean() > 100


@pytest.mark.parametrize("appended", [False, True])
def test_each_page_of_a_stack_is_a_record_of_one_group(tmp_path, appended):
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/masks").mkdir()
    masks = {}
    for name, count in (("a", 4), ("b", 3)):
        masks[name] = np.stack([disc(k) for k in range(count)]).astype(np.uint8)
        greys = np.stack([picture(mask, k) for k, mask in enumerate(masks[name])])
        for folder, pages in (("images", greys), ("masks", masks[name])):
            if appended:
                for page in pages:
                    tifffile.imwrite(tmp_path / f"set/{folder}/{name}.tif", page, append=True)
            else:
                tifffile.imwrite(tmp_path / f"set/{folder}/{name}.tif", pages, photometric="minisblack")
    found = train(tmp_path / "set")
    assert len(found.images) == 7 and found.groups.tolist() == [0, 0, 0, 0, 1, 1, 1] and "2 stacks" in found.group_note
    for index, mask in enumerate([*masks["a"], *masks["b"]]):
        np.testing.assert_array_equal(found.more.native(index), mask)
        assert found.images.native(index)[mask == 1].mean() > found.images.native(index)[mask == 0].mean() + 50
    assert found.images.name(5).endswith("b.tif, page 2") and found.more.keys[5] == "b_2"
    tifffile.imwrite(tmp_path / "set/masks/b.tif", masks["a"], photometric="minisblack")
    with pytest.raises(DataError, match=r"masks/b\.tif \(it has 4 pages, its picture 3\)"):
        train(tmp_path / "set")


def test_where_zero_is_white_pictures_are_as_shown_and_masks_as_stored(tmp_path):
    mask = disc()
    for folder, pixels in (("images", 255 - picture(mask)), ("masks", mask * np.uint8(255))):
        (tmp_path / "set" / folder).mkdir(parents=True)
        tifffile.imwrite(tmp_path / f"set/{folder}/a.tif", pixels, photometric="miniswhite", compression="zlib")
    found = train(tmp_path / "set")
    np.testing.assert_array_equal(found.images.native(0), picture(mask))
    np.testing.assert_array_equal(found.more.native(0), mask)


def test_outside_the_field_of_view_nothing_counts_and_a_second_observer_is_kept(tmp_path):
    view = disc(radius=12)
    for k in (21, 22):
        save(tmp_path / f"set/images/{k}_training.tif", picture(disc()))
        save(tmp_path / f"set/1st_manual/{k}_manual1.png", disc(radius=5) * np.uint8(255))
        save(tmp_path / f"set/2nd_manual/{k}_manual2.png", disc(radius=4) * np.uint8(1))
        save(tmp_path / f"set/mask/{k}_training_mask.png", view * np.uint8(255))
    found = train(tmp_path / "set")
    want = np.where(view, disc(radius=5), np.uint8(IGNORE)).astype(np.uint8)
    np.testing.assert_array_equal(found.more.native(0), want)
    np.testing.assert_array_equal(found.more.second(1), np.where(view, disc(radius=4), IGNORE))
    assert found.more.counts[0].tolist() == np.bincount(want.ravel(), minlength=256).tolist()
    assert not (train(card(tmp_path / "set", ignore=False)).more.native(0) == IGNORE).any()


@pytest.mark.parametrize("layout", ["masks/{label}/{k}.png", "masks/{k}_{label}.png"])
def test_a_mask_a_label_and_what_overlaps(tmp_path, layout):
    whole, core = disc(radius=10), disc(radius=4)
    other = np.zeros_like(whole)
    other[30:38, 40:50] = True
    for k in range(3):
        save(tmp_path / f"set/images/{k}.png", picture(whole, k))
        for label, mask in (("core", core), ("other", other), ("whole", whole)):
            save(tmp_path / "set" / layout.format(label=label, k=k), mask * np.uint8(255 if k else 1))
    found = train(tmp_path / "set")
    assert found.names == ("core", "other", "whole") and found.more.regions == ((1, 4), (2,), (3, 4))
    codes = found.more.native(1)
    for mask, region in ((core, (1, 4)), (other, (2,)), (whole, (3, 4))):
        np.testing.assert_array_equal(np.isin(codes, region), mask)
    save(tmp_path / "set" / layout.format(label="whole", k=0), (disc() * np.uint8(9)) + core)
    with pytest.raises(DataError, match=r"it is for one label, and has the values 9, 10 beside 0"):
        train(tmp_path / "set")


def test_pictures_with_transparency_are_named(tmp_path):
    pairs(tmp_path / "set", 2)
    clear = np.dstack([picture(disc())] * 3 + [np.full((40, 56), 255, np.uint8)])
    clear[:4, :, 3] = 0
    assert cv2.imwrite(str(tmp_path / "set/images/1.png"), clear)
    assert names(train(tmp_path / "set", skip=True)) == ["0.png"]
    with pytest.raises(DataError, match=r"images/1\.png cannot be used: it has an alpha channel"):
        train(tmp_path / "set").images.native(1)


def test_a_part_reads_in_threads_and_knows_its_content(tmp_path):
    pairs(tmp_path / "set", 6)
    found = train(tmp_path / "set")
    assert found.images.shape == (40, 56, 1) and found.images.sizes.tolist() == [[40, 56]] * 6
    assert found.images.read(np.array([2, 0]), (20, 28, 3)).shape == (2, 20, 28, 3)
    before: list[bytes] = []
    found.more.digest(np.arange(6), before.append)
    save(tmp_path / "set/masks/5.png", disc(4) * np.uint8(255))
    after: list[bytes] = []
    train(tmp_path / "set").more.digest(np.arange(6), after.append)
    assert before[:-1] != after[:-1] or before[-1] != after[-1]
    assert train(card(tmp_path / "set", spacing=[0.5, 0.25])).more.spacing(0) == (0.5, 0.25)
    with pytest.raises(DataError, match="`spacing` is a number of mm"):
        train(card(tmp_path / "set", spacing=-1))

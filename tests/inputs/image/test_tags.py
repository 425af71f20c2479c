"""Several labels an image: the forms that tables have them in, what is said of them, records with them."""

import numpy as np
import pytest

from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image import checks, listed
from cnnkit.inputs.image.loading import load

TAGS = {k: tuple(name for name, every in (("beach", 2), ("dog", 3), ("night", 4)) if k % every == 0) for k in range(24)}


@pytest.fixture
def table(tmp_path, picture, save):
    """Write 24 images below `images/` and a table of them beside, `row` making the cells of a line; returns the table."""

    def make(header, row, name="photos.csv", folder="images"):
        for k in range(24):
            save(tmp_path / "set" / folder / f"{k:02}.png", picture(k, 12, 12))
        path = tmp_path / "set" / name
        path.write_text("\n".join([header, *(row(k) for k in range(24))]) + "\n")
        return path

    return make


def whole(source, **how):
    """All records, in the order of the table, with the names of their labels."""
    train = load(source, test=0, validation=0, **how).train
    assert train.multi_label
    rows = [tuple(np.array(train.label_names)[row > 0.5]) for row in train.targets(np.arange(len(train)))]
    places = [int(train.name(k)[-6:-4]) for k in range(len(train))]
    return train, dict(zip(places, rows, strict=True))


def marks(k):
    return ",".join("1" if name in TAGS[k] else "0" for name in ("beach", "dog", "night"))


FORMS = {
    "columns": ("file,beach,dog,night", lambda k: f"{k:02}.png,{marks(k)}"),
    "columns of words": (
        "file,beach,dog,night",
        lambda k: f"{k:02},{marks(k).replace('1', 'True').replace('0', 'no')}",
    ),
    "bars": ("Image Index,Finding Labels", lambda k: f"{k:02}.png,{'|'.join(TAGS[k])}"),
    "semicolons": ("name,tags", lambda k: f"images/{k:02},{';'.join(TAGS[k])}"),
    "commas": ("picture,what", lambda k: f'{k:02},"{", ".join(TAGS[k])}"'),
    "spaces": ("photo,said,labels", lambda k: f"./images/{k:02}.png,text {k},{' '.join(TAGS[k])}"),
    "lines": ("photo,label", lambda k: "\n".join(f"{k:02}.png,{name}" for name in TAGS[k] or ("",))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_labels(table, form):
    header, row = FORMS[form]
    path = table(header, row)
    if form == "lines":  # a line without a label is a mistake there
        path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.endswith(",")) + "\n")
    for source in (path, path.parent):
        train, found = whole(source)
        assert set(train.label_names) == {"beach", "dog", "night"}
        expected = {k: set(tags) for k, tags in TAGS.items() if tags or form != "lines"}
        assert {k: set(tags) for k, tags in found.items()} == expected
    notes = " ".join(load(path).card["inventory"]["notes"])
    assert "3 labels, several an image" in notes


def test_columns_keep_their_order_and_those_of_one_each_are_one_label(table):
    path = table("file,zebra,ant", lambda k: f"{k:02}.png,{k % 2},{1 - k % 2}")
    train = load(path, test=0, validation=0).train
    assert not train.multi_label and train.label_names == ("ant", "zebra") and train.labels[:3].tolist() == [0, 1, 0]
    path = table("file,zebra,ant", lambda k: f"{k:02}.png,{k % 2},{int(k % 3 == 0)}")
    assert whole(path)[0].label_names == ("zebra", "ant")


def test_an_empty_cell_beside_zeros_is_neither_yes_nor_no(table):
    path = table("file,seen,other", lambda k: f"{k:02}.png,{('1', '0', '', '-1.0')[k % 4]},{k % 2 or ''}")
    train, found = whole(path)
    targets = train.targets(np.arange(4))
    assert targets.tolist() == [[1, 0], [0, 1], [-1, 0], [-1, 1]], "a column without zeros means them by empty cells"
    assert found[2] == () and train.take(np.array([2])).targets(np.array([0])).tolist() == [[-1, 0]]
    assert "12 cells are empty or -1" in " ".join(load(path).card["inventory"]["notes"])


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        ({"traffic light", "traffic sign", "stop sign"}, None),
        ({"tench, Tinca tinca", "goldfish, Carassius auratus"}, None),
        ({"Paris, France", "Lyon, France", "Rome, Italy", "Milan, Italy"}, None),
        ({"clear road", "haze road", "clear water", "haze", "clear haze", "water road"}, " "),
        ({"a,b", "b", "c,a"}, ","),
        ({"a|b", "c"}, "|"),
    ],
)
def test_names_are_told_from_lists(cells, separator):
    assert listed._separator(cells) == separator


def test_the_separator_is_told_where_it_cannot_be_found_out(table):
    path = table("file,label", lambda k: f"{k:02}.png,{('a b', 'c d')[k % 2]}")
    assert not load(path).train.multi_label
    assert whole(path, separator=" ")[0].label_names == ("a", "b", "c", "d")
    path = table("file,label", lambda k: f"{k:02}.png,{('a|b', 'b')[k % 2]}")
    assert load(path, separator="none", test=0).train.label_names == ("a|b", "b")
    with pytest.raises(ConfigError, match="no columns to choose from"):
        load("digits", separator="|")


def test_columns_are_asked_for_by_name(table):
    path = table("file,day,cat,dog", lambda k: f"{k:02}.png,{k % 2},{int(k % 3 == 0)},{int(k % 2 == 0)}")
    assert whole(path)[0].label_names == ("day", "cat", "dog")
    assert whole(path, label="cat,dog")[0].label_names == ("cat", "dog")
    assert load(path, label="day").train.label_names == ("0", "1"), "one column is one label"
    with pytest.raises(DataError, match=r"no column 'cow' .* It has: file,day,cat,dog"):
        load(path, label="cow")


def test_a_cell_that_is_no_mark_is_named(table):
    path = table("file,cat,dog", lambda k: f"{k:02}.png,{k % 2},{3 if k == 20 else 1}")
    with pytest.raises(DataError, match="line 22: dog is '3', and columns of several labels hold 0 or 1"):
        load(path, label="cat,dog")


def test_an_image_named_twice_counts_once_and_with_other_labels_is_named(table):
    path = table("file,label", lambda k: f"{k:02}.png,{'cat' if k % 2 else 'dog'}")
    text = path.read_text()
    path.write_text(text + "03.png,cat\n")
    splits = load(path, test=0, validation=0)
    assert len(splits.train) == 24
    reasons = [entry["reason"] for entry in splits.card["inventory"]["entries"]]
    assert "that name an image again, with the same label" in reasons
    path.write_text(text + "03,dog\n")
    with pytest.raises(DataError, match=r"1 of 25 images cannot be used: .*line 26 \(03 has other labels in line 5\)"):
        load(path)
    assert len(load(path, skip_bad=True, test=0, validation=0).train) == 24


def test_missing_images_are_one_line_with_their_number(table):
    path = table("file,tags", lambda k: f"{k:02}.png,{'|'.join(TAGS[k])}")
    for k in range(7):
        (path.parent / "images" / f"{k:02}.png").unlink()
    with pytest.raises(
        DataError, match=r"7 of 24 images cannot be used: .*there is no image 00.png .* and 2 more"
    ) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert len(load(path, skip_bad=True, test=0, validation=0).train) == 17


def test_a_name_that_two_files_have_is_not_guessed(table, picture, save):
    path = table("file,label", lambda k: f"{k:02}.png,{'cat' if k % 2 else 'dog'}")
    save(path.parent / "others" / "05.png", picture(99))
    with pytest.raises(DataError, match=r"05.png may be images/05.png or others/05.png; write its folder too"):
        load(path)


def test_paths_of_another_machine_are_found_by_their_end(table):
    path = table("Path,label", lambda k: f"photos-v1.0/images/{k:02}.png,{'cat' if k % 2 else 'dog'}")
    assert len(load(path, test=0, validation=0).train) == 24


def test_a_column_of_splits_divides(table):
    words = ("train", "train", "valid", "TEST")
    path = table("file,tags,split", lambda k: f"{k:02}.png,{'|'.join(TAGS[k])},{words[k % 4]}")
    for source in (path, path.parent):
        splits = load(source)
        assert [len(part) for part in splits.parts.values()] == [12, 6, 6]
        assert splits.card["splits"] == {"validation": "the source's own", "test": "the source's own"}
        assert {int(splits.test.name(k)[-6:-4]) % 4 for k in range(6)} == {3}
    path = table("file,label,set", lambda k: f"{k:02}.png,{'cat' if k % 2 else 'dog'},{k % 4}")
    assert len(load(path, test=0, validation=0).train) == 24, "numbers are no splits"


def test_class_folders_beside_a_table_of_other_labels_are_no_classes(tmp_path, picture, save):
    lines = ["file,label"]
    for k in range(24):
        save(tmp_path / "set" / f"day{k % 2}" / f"{k:02}.png", picture(k))
        lines.append(f"{k:02}.png,{'cat' if k % 3 else 'dog'}")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(lines))
    assert load(tmp_path / "set", test=0).train.label_names == ("cat", "dog")
    lines = [line if k == 0 else f"{line.split(',')[0]},day{(k - 1) % 2}" for k, line in enumerate(lines)]
    (tmp_path / "set" / "labels.csv").write_text("\n".join(lines))
    assert load(tmp_path / "set", test=0).train.label_names == ("day0", "day1")


def test_records_with_several_labels_are_joined_renamed_and_told_apart(table):
    train, _ = whole(table("file,tags", lambda k: f"{k:02}.png,{'|'.join(TAGS[k])}"))
    assert train.counts().tolist() == [12, 8, 6]
    some = train.take(np.array([6, 1, 12]))
    assert some.targets(np.arange(3)).tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    more = some.named(("night", "cat", "dog", "beach"))
    assert more.targets(np.arange(3)).tolist() == [[0, -1, 1, 1], [0, -1, 0, 0], [1, -1, 1, 1]]
    both = some.plus(train.take(np.array([4])), some.label_names)
    assert both.targets(np.arange(4))[3].tolist() == [1, 0, 1] and both.read(np.array([3]))[0].shape[0] == 1
    other = load(
        table("file,tags", lambda k: f"{k:02}.png,{'|'.join(TAGS[k]) if k else 'dog'}"), test=0, validation=0
    ).train
    assert other.fingerprint() != train.fingerprint(), "labels are part of it"


def test_a_label_that_no_training_image_has_is_refused_and_checked(table):
    path = table("file,cat,dog", lambda k: f"{k:02}.png,{k % 2},0")
    with pytest.raises(DataError, match="no training image of dog"):
        load(path)
    assert "empty-class" in {finding.kind for finding in checks.check(path)}


def test_copies_with_other_labels_are_an_error_of_the_data(table, picture, save):
    path = table("file,tags", lambda k: f"{k:02}.png,{'|'.join(TAGS[k])}")
    save(path.parent / "images" / "06.png", picture(12, 12, 12))
    assert "two-labels" in {finding.kind for finding in checks.check(path)}, "6 has two labels, 12 has three"
    save(path.parent / "images" / "12.png", picture(18, 12, 12))
    save(path.parent / "images" / "06.png", picture(18, 12, 12))
    found = {finding.kind for finding in checks.check(path) if finding.severity == "error"}
    assert "two-labels" in found


def test_the_training_table_says_how_others_are_read(table):
    table("file,tags", lambda k: f"{k:02}.png,{';'.join(TAGS[k])}", name="train.csv")
    test = table("file,tags", lambda k: f"{k:02}.png,{'night' if k % 2 else ''}", name="test.csv")
    splits = load(test.parent, validation=0)
    assert splits.test.multi_label and splits.test.targets(np.arange(2)).tolist() == [[0, 0, 0], [0, 0, 1]]

"""A table says which mask belongs to which picture, in which split, of whom."""

import numpy as np
import pytest

from cnnkit.errors import DataError
from tests.tasks.segmentation.small_masks import disc, masks_of, names, pairs, parts, train

ROWS = "image,mask,patient,split\nimages/0.png,masks/3.png,p1,train\nimages/1.png,masks/2.png,p1,train\n"
ROWS += "images/2.png,masks/1.png,p2,val\nimages/3.png,masks/0.png,p3,test\n"


@pytest.mark.parametrize("form", ["comma", "semicolon", "tab", "backslash", "mark", "dev"])
def test_a_table_pairs_as_it_says_whatever_names_say(tmp_path, form):
    masks = pairs(tmp_path / "set")
    rows = ROWS.replace(",val", ", Dev") if form == "dev" else ROWS
    text = {"semicolon": ROWS.replace(",", ";"), "tab": ROWS.replace(",", "\t"), "backslash": ROWS.replace("/", "\\")}
    (tmp_path / "set/list.csv").write_text(text.get(form, rows), encoding="utf-8-sig" if form == "mark" else "utf-8")
    for source in (tmp_path / "set", tmp_path / "set/list.csv"):
        found = parts(source)
        assert {split: names(part) for split, part in found.items()} == {
            "train": ["0.png", "1.png"],
            "validation": ["2.png"],
            "test": ["3.png"],
        }
        np.testing.assert_array_equal(masks_of(found["train"])["1.png"], masks[2])
        assert found["train"].groups.tolist() == [0, 0] and "patients" in found["train"].group_note


def test_faults_of_a_table_are_named_by_line(tmp_path):
    pairs(tmp_path / "set")
    rows = [
        "image,mask",
        "images/0.png,masks/0.png",
        "images/1.png,",
        "images/9.png,masks/1.png",
        "../1.png,masks/1.png",
    ]
    (tmp_path / "set/list.csv").write_text("\n".join([*rows, "images/0.png,masks/2.png", "images/2.png,masks/2.png"]))
    with pytest.raises(DataError, match="4 of 6 images cannot be used") as told:
        train(tmp_path / "set")
    for text in (
        "line 3: it has no mask",
        "line 4: there is no file images/9.png",
        "line 5: '../1.png' is no",
        "line 6: it stands",
    ):
        assert text in str(told.value)
    assert names(train(tmp_path / "set", skip=True)) == ["0.png", "2.png"]
    (tmp_path / "set/list.csv").write_text("image,mask,split\nimages/0.png,masks/0.png,third\n")
    with pytest.raises(DataError, match="line 2: 'third' is no split"):
        train(tmp_path / "set")


def test_a_table_of_other_things_is_no_list_of_masks(tmp_path):
    pairs(tmp_path / "set")
    (tmp_path / "set/ages.csv").write_text("image,label\nimages/0.png,3\n")
    assert len(train(tmp_path / "set").images) == 4
    np.testing.assert_array_equal(train(tmp_path / "set").more.native(0), disc(0))

"""Dataset cards: those that come along, and a user's own."""

import tomllib
from pathlib import Path

import pytest

from cnnkit.data import cards, readers
from cnnkit.errors import DataError
from cnnkit.inputs.image.loading import load

KNOWN = cards.known()


@pytest.mark.parametrize("card", KNOWN, ids=lambda card: card.name)
def test_a_known_card_is_complete(card):
    drawn = not any(readers.find(form.reader).needs for form in card.forms)  # or comes with a library
    assert card.title and (card.source.startswith("http") or drawn) and card.licence and len(card.citation) > 40
    assert card.task in ("classification", "detection", "regression", "segmentation", "text") and len(
        set(card.labels)
    ) == len(card.labels)
    if card.task == "classification":
        loose = {form.reader for form in card.forms} == {"folder"} and "image_shape" not in card.more  # of any size
        sized = len(card.labels) >= 10 and len(card.more.get("image_shape", ())) == 3
        assert drawn or sized or (loose and len(card.labels) >= 2)
    elif card.task == "text":  # the docstrings' labels depend on what is installed
        assert not card.more and (len(card.labels) >= 2 or card.name == "docstrings")
    elif card.task == "segmentation":
        assert card.labels and not card.more
    elif card.task == "regression":  # its values are named by its reader
        assert drawn and not card.labels
    else:  # images of every size, and often few kinds of objects
        names_them = {form.reader for form in card.forms} <= {"coco", "voc", "yolo"}
        assert len(card.labels) >= 2 or (names_them and not card.labels)
        assert not card.more
    for form in card.forms:
        assert form.reader in readers.names() and "test" in form.splits
        assert readers.find(form.reader).task == card.task
        assert all(file.urls for file in form.files)
        if not form.files and readers.find(form.reader).needs:  # who has to fetch it by hand is told what goes where
            assert len(card.notes) > 40


def test_the_cards_of_the_issue_are_there():
    names = {card.name for card in KNOWN}
    assert {"digits", "mnist", "fashion-mnist", "kmnist", "emnist-digits", "usps"} <= names
    assert {"docstrings", "mr", "subj", "trec", "sst2", "sms-spam"} <= {c.name for c in KNOWN if c.task == "text"}
    assert {"road-scenes", "gtsdb", "road-signs-877"} <= {card.name for card in KNOWN if card.task == "detection"}


def test_cards_hold_no_python_and_every_checksum_is_well_formed():
    root = Path(__file__).parents[2]
    found = [path for folder in (root / "datasets", *root.glob("apps/*/datasets")) for path in folder.iterdir()]
    assert len(found) == len(KNOWN) and {path.suffix for path in found} == {".toml"}
    for path in found:
        table = tomllib.loads(path.read_text())
        for file in [*table.get("files", []), *(f for part in table.get("alternatives", []) for f in part["files"])]:
            assert len(file.get("sha256", "0" * 64)) == 64 and len(file.get("md5", "0" * 32)) == 32


def test_mnist_states_the_checksum_of_its_source():
    (file,) = cards.load("mnist").forms[0].files
    assert file.sha256 == "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
    assert [len(file.sha256) for file in cards.load("mnist").forms[1].files] == [64] * 4


def test_cards_are_found_in_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "cnnkit"
    (package / "datasets").mkdir(parents=True)
    (package / "datasets" / "toy.toml").write_text('reader = "sklearn-digits"')
    monkeypatch.setattr(cards, "__file__", str(package / "data" / "cards.py"))
    assert "toy" in cards.names() and "mnist" not in cards.names()
    assert "drawn-signs" in cards.names(), "apps bring theirs"


def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cards.load("digits").root is None
    with pytest.raises(DataError, match="no class folders"):
        load("./digits")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "is not valid TOML"),
        ("title = 1\nreader = 'npz'", "`title` is a text"),
        ("reader = 'npz'\nlicense = 'MIT'", "a card has no key 'license'"),
        ("title = 'x'", "it needs `reader` and what it reads, or the `path`"),
        ("reader = 'npz'\nlabels = 'a b'", "`labels` is a list of texts"),
        ("reader = 'npz'\nlabels = ['a', 'a']", "a label twice"),
        (
            "reader = 'folder'\nimage_shape = [28, 28]\n[splits]\ntrain = { folder = '.' }",
            r"mine.toml is wrong: `image_shape` is \[height, width, channels\]",
        ),
        ("reader = 'npz'\n[splits]\nholdout = 0.1", r"\[splits\] has no key 'holdout'"),
        ("reader = 'npz'\n[splits]\ntest = 2", "`splits.test` is a table"),
        ("reader = 'npz'\n[splits]\ntrain = 0.8", "`splits.train` is a table"),
        ("reader = 'npz'\nfiles = 'a'", r"`files` is written as \[\[files\]\]"),
        ("reader = 'npz'\n[[files]]\nname = 'a'\nsha265 = 'x'", r"\[\[files\]\] has no key 'sha265'"),
        ("reader = 'npz'\n[[files]]\nname = 'a'\nsha256 = 'x'", "`sha256` of a is not 64 hexadecimal digits"),
        ("reader = 'npz'\n[[files]]\nname = 'a'\nbytes = 'x'", "`bytes` of a is a number"),
        ("reader = 'npz'\n[[files]]\nname = '../a'", "inside the data set's folder"),
        ("reader = 'npz'\n[[files]]\nname = '/etc/a'", "inside the data set's folder"),
        ("reader = 'npz'\n[[files]]\nurl = 'file:///etc/passwd'", "is no http"),
        ("reader = 'npz'\n[[alternatives]]\nfiles = []", r"\[\[alternatives\]\] needs a `reader`"),
        ("reader = 'npz'\npath = 'nowhere'", "there is no .*nowhere, which its `path` names"),
        ("reader = 'magic'\npath = '.'", "There is no reader 'magic'. There are .*csv, .*folder, .*idx"),
        ("reader = 'npz'\n[splits]\ntrain = { file = 'a.npz' }", r"names .*a\.npz, which is not there"),
        ("reader = 'folder'\n[options]\nlabel = 'x'\n[splits]\ntrain = { folder = '.' }", r"\[options\] .* not label"),
        ("reader = 'folder'\n[splits]\ntrain = { floder = '.' }", "may have folder, not floder"),
        ("reader = 'folder'\n[splits]\ntrain = {}", "needs `folder` in each table"),
        ("reader = 'folder'\n[splits]\ntest = { folder = '.' }", r"needs `train` under \[splits\]"),
        ("task = 'detection'\nreader = 'folder'\n[splits]\ntrain = { folder = '.' }", "is for detection"),
    ],
)
def test_a_mistake_in_a_card_is_named(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["path = 'pictures'\n", "reader = 'folder'\npath = './pictures'\n", ""])
def test_a_user_s_card_finds_its_data_relative_to_itself(class_folders, tmp_path, monkeypatch, path):
    class_folders({"a": 5, "b": 5})
    text = path or "reader = 'folder'\n[splits]\ntrain = { folder = 'pictures' }\n"
    (tmp_path / "mine.toml").write_text("title = 'Mine'\n" * (not path) + text)
    monkeypatch.chdir("/")
    splits = load(tmp_path / "mine.toml")
    assert len(splits.train) == 7 and splits.card["name"] == "mine"


def test_a_card_can_state_what_is_held_out(class_folders, tmp_path):
    class_folders({"a": 20, "b": 20})
    text = "reader = 'folder'\n[splits]\ntrain = { folder = 'pictures' }\ntest = 0.5\nvalidation = 0.25"
    (tmp_path / "mine.toml").write_text(text)
    splits = load(tmp_path / "mine.toml")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (10, 10, 20)
    assert len(load(tmp_path / "mine.toml", test=0.1).test) == 4, "what is asked for goes first"


@pytest.mark.parametrize("name", ["a/b.txt", "a", "a b/c..d"])
def test_names_inside(name):
    assert cards.inside(name)


@pytest.mark.parametrize("name", ["", "/a", "..", "a/../../b", "~/a", "C:\\a", "..\\a", "\\a", "a\0b"])
def test_names_outside(name):
    assert not cards.inside(name)

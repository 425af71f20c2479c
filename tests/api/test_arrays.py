"""Arrays and lists as data: trained on, scored and found again as data in files are."""

import numpy as np
import pytest

import cnnkit


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def bars(count, seed=0):
    """Return pictures of a bar, lying (0) or standing (1): uint8 (n, 16, 16), int (n,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.integers(0, 60, (count, 16, 16)).astype(np.uint8)
    for picture, label in zip(x, y):
        place = int(rng.integers(4, 11))
        picture[(slice(place, place + 2), slice(2, 14))[:: 1 - 2 * label]] = 220
    return x, y


class TestPictures:
    def test_a_pair_is_divided(self, cache):
        x, y = bars(100)
        data = cnnkit.load_data((x, y), labels=["lying", "standing"])
        assert data.task == "classification" and data.labels == ("lying", "standing") and sum(map(len, data)) == 100
        image, label = data.train[0]
        place = next(place for place in range(100) if (x[place] == image).all())
        assert int(label) == y[place] and data.train[0].words == data.labels[y[place]]

    @pytest.mark.parametrize(
        "form",
        [
            lambda x, y: ((x[:80], y[:80]), (x[80:], y[80:])),
            lambda x, y: {"train": (x[:80], y[:80]), "test": (x[80:], y[80:])},
            lambda x, y: {"x_train": x[:80], "y_train": y[:80], "x_test": x[80:], "y_test": y[80:]},
            lambda x, y: ((x[:80], y[:80, None]), (x[80:], np.eye(2)[y[80:]])),
            lambda x, y: ((x[:80] / 255, y[:80]), (x[80:] / 255, list(y[80:]))),
        ],
    )
    def test_a_test_split_of_ones_own_stays_whole(self, form):
        x, y = bars(100)
        data = cnnkit.load_data(form(x, y))
        assert len(data.test) == 20 and data.labels == ("0", "1")
        assert [int(sample.target) for sample in data.test] == y[80:].tolist()
        np.testing.assert_array_equal([sample.input for sample in data.test], x[80:])

    def test_they_are_trained_on_and_a_run_finds_them_again(self, tmp_path, cache):
        import shutil

        arrays = bars(120)
        run = cnnkit.train("digits", arrays, model="micro", epochs=2, seed=1, out=tmp_path / "run")
        assert run.report().is_file() and run.labels == ("0", "1")
        again = cnnkit.load_run(run.path)
        assert again.evaluate()["accuracy"] == run.scores["accuracy"]
        shutil.rmtree(cache / "arrays")
        with pytest.raises(cnnkit.DataNotFound, match="was arrays given in Python.*with `data` the same arrays"):
            again.evaluate()
        assert again.evaluate(arrays, split="test")["accuracy"] == run.scores["accuracy"]  # they are its own data
        assert again.evaluate(bars(40, seed=2))["count"] == 40

    def test_the_same_arrays_are_written_once(self, cache):
        for _ in range(2):
            cnnkit.load_data(bars(100))
        assert len(list((cache / "arrays").iterdir())) == 1
        cnnkit.load_data(bars(100, seed=1))
        assert len(list((cache / "arrays").iterdir())) == 2


class TestTexts:
    def test_lists_of_texts(self):
        texts = [f'{"good" if k % 2 else "bad"} film number {k},\n"yes"' for k in range(60)]
        labels = ["fine" if k % 2 else "poor" for k in range(60)]
        data = cnnkit.load_data((texts, labels))
        assert data.task == "text" and data.labels == ("fine", "poor")
        text, code = data.train[0]
        assert text in texts and data.labels[int(code)] == labels[texts.index(text)]
        coded = cnnkit.load_data((np.array(texts), np.arange(60) % 2), labels=["poor", "fine"])
        assert {sample.words for sample in coded.train} == {"fine", "poor"}

    def test_several_labels_each(self):
        texts = [f"word{k % 7} word{k % 3}" for k in range(60)]
        data = cnnkit.load_data((texts, [["a"], ["a", "b"], ["b"]] * 20))
        assert {sample.words for sample in data.train} == {"a", "b", "a, b"}


class TestMasks:
    def test_pictures_with_masks(self):
        x, _ = bars(30)
        masks = (x > 200).astype(np.int64)
        data = cnnkit.load_data((x, masks[..., None]), labels=["bar"])
        assert data.task == "segmentation" and data.labels == ("bar",)
        picture, mask = data.train[0]
        np.testing.assert_array_equal(mask, picture > 200)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (np.zeros((10, 8, 8)), "Arrays are .inputs, targets."),
        ((np.zeros((10, 8, 8)), np.zeros(9)), "10 inputs and 9 targets"),
        ((np.zeros((0, 8, 8)), np.zeros(0)), "train split is empty"),
        ((np.full((10, 8, 8), np.nan), np.arange(10) % 2), "640 values that are NaN"),
        ((np.zeros((10, 3, 8, 9)), np.arange(10) % 2), "1, 3 or 4 channels"),
        ((np.zeros((10, 8, 8)), np.linspace(0, 1, 10)), "no whole numbers"),
        ((np.array([[None] * 4] * 10), np.arange(10)), "array of object"),
        (([np.zeros((8, 8)), np.zeros((9, 8))], [0, 1]), "different lengths"),
        (([["a", "b"]], [0]), "numbers"),
        ((["a b", "c d"], [0.5, 1.5]), "A label is a text or a whole number"),
        ({"train": 3}, "Got for train int"),
        ({"training": (np.zeros((2, 8, 8)), [0, 1])}, "Got the keys training"),
        ({}, "Got the keys"),
        ((np.zeros((4, 8, 8), np.uint8), np.full((4, 8, 8), 0.5)), "no whole numbers from 0 to 255"),
        ((np.zeros((4, 8, 8)), np.ones((4, 8, 8), int)), "uint8"),
        ((np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8), int)), "nothing but background"),
        ((np.zeros((4, 8, 8), np.uint8), np.zeros((4, 9, 8), int)), r"\(4, 9, 8\)"),
        (3, "Data is named"),
        (None, "Data is named"),
    ],
)
def test_what_cannot_be_data_is_one_line(given, line, capfd):
    with pytest.raises(cnnkit.DataError, match=line) as error:
        cnnkit.load_data(given)
    assert "\n" not in str(error.value) and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "labels", "line"),
    [
        ("digits", ["a"], "`labels` names the labels of arrays"),
        (None, "ab", "list of names"),
        (None, ["a", "a"], "no two alike"),
        (None, ["a"], "label 1, and `labels` names 1"),
    ],
)
def test_names_that_do_not_fit_are_refused(given, labels, line):
    with pytest.raises(ValueError, match=line):
        cnnkit.load_data(bars(20) if given is None else given, labels=labels)

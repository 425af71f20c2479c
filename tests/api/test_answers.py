"""What models of boxes, masks and texts answer from arrays: the same as from files, in the words of `predict --json`."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import cnnkit
from cnnkit.api.answering import Model
from cnnkit.device.text import learn
from tests.device.red import RedFinder, scene
from tests.tasks.segmentation.test_predict import Levels, picture


class TestBoxes:
    @pytest.fixture
    def model(self):
        return Model(Path("red.tflite"), RedFinder((128, 128, 3)))

    def test_an_array_is_answered_as_its_file(self, model, tmp_path):
        image = scene(128, 128, (10, 20, 40, 60))
        cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        found = model.predict(image)
        assert {"width", "height", "boxes"} == set(found) and {"label", "score", "box"} == set(found["boxes"][0])
        assert model.predict(tmp_path / "a.png") == {"input": str(tmp_path / "a.png"), **found}
        assert model.predict(np.stack([image, image])) == [found, found] and model.predict(tmp_path)[0]["boxes"]
        assert model.predict(image, threshold=1.0)["boxes"] == []

    @pytest.mark.parametrize("options", [{"threshold": 2}, {"top": 2}, {"spacing": (1, 1, 1)}])
    def test_options_that_do_not_fit_are_refused(self, model, options):
        with pytest.raises(cnnkit.ConfigError):
            model.predict(np.zeros((64, 64, 3), np.uint8), **options)


class TestMasks:
    def test_an_array_is_answered_with_its_mask(self):
        model = Model(Path("levels.tflite"), Levels())
        found = model.predict(picture())
        assert found["labels"]["organ"]["area"] > 0 and found["codes"].shape == (16, 16)
        assert set(np.unique(found["codes"])) == {0, 1, 2}
        assert [len(found) for found in model.predict([picture(), picture()])] == [4, 4]

    def test_options_and_arrays_that_do_not_fit_are_refused(self):
        model = Model(Path("levels.tflite"), Levels())
        with pytest.raises(cnnkit.ConfigError, match="`spacing` is for volumes"):
            model.predict(picture(), spacing=(1, 1, 1))
        with pytest.raises(cnnkit.DataError, match="NaN"):
            model.predict(np.full((16, 16), np.nan))


class Keywords:
    """A text with the word good is good."""

    path = Path("words.tflite")
    labels = ("bad", "good")
    input_shape = (8,)

    def __init__(self):
        self.tokenizer = learn(["good bad film", "a good one"], max_length=8).tokenizer
        self.metadata = {
            "app": "text",
            "task": "classification",
            "labels": list(self.labels),
            "input": {"kind": "text", "shape": [8]},
            "text": self.tokenizer.to_dict(),
        }

    def run_batch(self, ids):
        good = (ids == self.tokenizer.table["good"]).any(1)
        return {"scores": np.stack([1 - good, good], 1).astype(np.float32)}


class TestTexts:
    @pytest.fixture
    def model(self):
        return Model(Path("words.tflite"), Keywords())

    def test_a_str_is_a_text_and_no_file(self, model, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("good").write_text("bad")
        found = model.predict("good")
        assert found["label"] == "good" and found["sure"] and found["known"]
        assert [answer["label"] for answer in model.predict(["a good film", "bad"])] == ["good", "bad"]
        assert model.predict(np.array(["a good film"]))[0]["label"] == "good"

    @pytest.mark.parametrize("given", ["", "  ", [], [3], np.zeros((2, 8)), None, ["good", ""]])
    def test_what_is_no_text_is_refused(self, model, given):
        with pytest.raises(cnnkit.DataError, match="text|predict"):
            model.predict(given)

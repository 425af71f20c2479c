"""What a stranger may give to the functions of Python: numbers of NumPy are numbers, and what cannot be used is one line of the
toolkit's own, which is a `ValueError` or a `FileNotFoundError` too; nothing is printed, nothing exits."""

import inspect
import types
from pathlib import Path

import numpy as np
import pytest

import cnnkit
from cnnkit.api.answering import Model
from cnnkit.api.runs import Run
from cnnkit.data.settings import Data as Settings
from tests.device.red import RedFinder


@pytest.fixture
def data():
    return cnnkit.load_data("digits", limit=30)


def run():
    """A run that answers for nothing: what is given to it is looked at first."""
    recipe = types.SimpleNamespace(Settings=Settings)
    folder = types.SimpleNamespace(path=Path("run"), document={"app": "digits"})
    return Run(folder, None, recipe)


@pytest.fixture
def model():
    return Model(Path("red.tflite"), RedFinder((128, 128, 3)))


class TestNumbersOfNumpy:
    def test_settings_and_options_take_them(self, data, model):
        assert len(cnnkit.load_data("digits", limit=np.int64(30), validation=np.float64(0.1)).train) == 30
        images, _ = next(iter(data.train.dataset(np.int32(4), seed=np.int64(2))))
        assert images.shape[0] == 4
        assert model.predict(np.full((64, 64, 3), 9, np.uint8), threshold=np.float32(0.5))["boxes"] == []

    def test_training_reads_them_as_its_own(self, monkeypatch):
        from cnnkit.verbs import train as verb

        class Heard(Exception):
            pass

        def heard(recipe, settings, options, **how):
            assert type(settings["epochs"]) is int and type(settings["seed"]) is int and type(options["width"]) is int
            raise Heard

        monkeypatch.setattr(verb, "train", heard)
        with pytest.raises(Heard):
            cnnkit.train("digits", model="default", epochs=np.int64(3), seed=np.uint8(1), width=np.int64(8))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda d: cnnkit.train("digits", out=3), "`out` needs the path"),
        (lambda d: cnnkit.train("digits", config=[1]), "`config` needs the path"),
        (lambda d: cnnkit.train("digits", out=""), "`out` needs the path"),
        (lambda d: run().evaluate(unknown=3), "`unknown` needs the path"),
        (lambda d: run().evaluate(unknown=""), "`unknown` needs the path"),
        (lambda d: run().export(out=["x"]), "`out` needs the path"),
        (lambda d: cnnkit.train("digits", task=3), "no task 3"),
        (lambda d: cnnkit.train("digits", epochs=True), "`epochs` needs int"),
        (lambda d: cnnkit.train("digits", batch_size=0), "`batch_size` must be at least 1"),
        (lambda d: cnnkit.train("digits", epochs=float("nan")), "`epochs` needs int"),
        (lambda d: cnnkit.train("digits", learning_rate="x"), "`learning_rate` needs a number"),
        (lambda d: cnnkit.train("digits", np.zeros((4, 8, 8))), "Arrays are"),
        (lambda d: cnnkit.train(None), "An app is a name"),
        (lambda d: cnnkit.load_data(b"digits"), "Data is named"),
        (lambda d: cnnkit.load_data("digits", limit="x"), "`limit` needs int"),
        (lambda d: cnnkit.load_data("digits", task="boxes"), "not for boxes"),
        (lambda d: cnnkit.load_data("nowhere/at/all"), "no data set"),
        (lambda d: d.train.dataset(0), "`batch_size` needs"),
        (lambda d: d.train.dataset(True), "`batch_size` needs"),
        (lambda d: d.train.dataset(8.0), "`batch_size` needs"),
        (lambda d: d.train.dataset(8, seed=-1), "`seed` needs"),
        (lambda d: run().evaluate(skip_bad="no"), "`skip_bad` needs True or False. Got 'no'"),
        (lambda d: cnnkit.load_data("digits", skip_bad="no"), "`skip_bad` needs bool"),
        (lambda d: cnnkit.train("scans", model="default", residual="no"), "`residual` needs True or False"),
        (lambda d: cnnkit.train("digits", augment="no"), "`augment` needs bool"),
        (lambda d: run().export(tolerance=float("nan")), "`tolerance` must be a number of at least 0"),
        (lambda d: run().export(tolerance="1"), "`tolerance` must be a number of at least 0"),
        (lambda d: cnnkit.load_run(3), "A run is named"),
        (lambda d: cnnkit.load_run("nowhere"), "nowhere"),
        (lambda d: cnnkit.load_model("nowhere.tflite"), "does not exist"),
        (lambda d: cnnkit.load_model("nowhere.tflite", threads=0), "`threads`"),
    ],
)
def test_what_cannot_be_used_is_one_line(call, line, data, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    with pytest.raises(cnnkit.CnnkitError, match=line) as error:
        call(data)
    assert isinstance(error.value, ValueError | FileNotFoundError) and "\n" not in str(error.value)
    assert capfd.readouterr().out == "" and list(tmp_path.iterdir()) == []


FACES = (cnnkit.Run, cnnkit.Model, cnnkit.Data, cnnkit.Split)
CALLS = [getattr(cnnkit, name) for name in ("apps", "load_data", "load_model", "load_run", "train")]
CALLS += [call for face in FACES for name, call in vars(face).items() if callable(call) and not name.startswith("_")]


def test_a_word_is_neither_true_nor_false():
    """Python takes "no" for True."""
    tried = 0
    for call in CALLS:
        for name, parameter in inspect.signature(call).parameters.items():
            if "bool" in str(parameter.annotation):
                tried += 1
                with pytest.raises(cnnkit.ConfigError, match=f"`{name}` needs True or False"):
                    call(**{name: "no"})
    assert tried >= 6


@pytest.mark.parametrize(("name", "value"), [("skip_bad", "no"), ("track", 1), ("skip_bad", None)])
def test_options_of_predict_are_true_or_false_as_well(model, name, value):
    with pytest.raises(cnnkit.ConfigError, match=f"`{name}` needs True or False"):
        model.predict("some.png", **{name: value})
    with pytest.raises(cnnkit.DataError, match="no such file"):
        model.predict("some.png", **{name: np.bool_(False)})


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (np.eye(64), "multiply them by 255"),
        (np.eye(64, dtype=bool), "an array of bool"),
        (np.full((64, 64, 3), -0.5), "numbers from -0.5"),
        (np.full((64, 64, 3), np.inf), "NaN or infinity"),
        (np.zeros((64, 64, 3), complex), "an array of complex128"),
        (b"bytes", "Got bytes"),
        ({"image": 1}, "Got dict"),
        ([np.zeros((64, 64, 3), np.uint8), "a.png"], "this one holds both"),
        ([np.zeros((2, 64, 64, 3), np.uint8)], "Entry 0 of the list is a batch"),
        ([[1, 2], [3]], "Got list"),
        ("gone.png", "no such file"),
        (Path("gone"), "no such file"),
    ],
)
def test_what_is_no_picture_is_one_line(given, line, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cnnkit.DataError, match=line) as error:
        model.predict(given)
    assert "\n" not in str(error.value)

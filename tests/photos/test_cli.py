"""`cnnkit photos`: the contract of every app, and what is special about pictures of anything."""

import json
from pathlib import Path

import cv2
import pytest

import cnnkit_photos
from cnnkit_photos.cli import main
from cnnkit_photos.drawn_surfaces import LABELS, draw
from tests.contracts import AppContract, private_names

KINDS = ("patches", "pitted_surface", "scratches")
HOUSE = Path(cnnkit_photos.__file__).parent
GENERATOR = "drawn_surfaces.py"


def write_surfaces(folder, each, first=0):
    """Write so many drawn surfaces of three kinds as PNG files of 100 px, a folder a kind."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(each):
            picture = draw(9, 6 * (first + number) + LABELS.index(kind))
            small = cv2.resize(picture, (100, 100), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / kind / f"{number:03}.png"), small)


class TestPhotos(AppContract):
    app = "photos"
    group = main.command_line

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, tmp_path_factory):
        folder = tmp_path_factory.mktemp("few")
        write_surfaces(folder / "train", 40)
        write_surfaces(folder / "test", 30, first=100)
        request.cls.small = ("--weights", "none", "--image-size", "64", "--epochs", "6", "--data", str(folder))
        return folder

    def inputs(self, folder):
        for number in range(3):
            cv2.imwrite(str(folder / f"{number}.png"), draw(1, number))
        return [str(folder / f"{number}.png") for number in range(3)]

    @pytest.mark.slow
    def test_surfaces_that_it_was_not_trained_on_are_told_apart(self, home, tmp_path):
        write_surfaces(tmp_path / "train", 200)
        write_surfaces(tmp_path / "test", 60, first=200)
        words = ("--weights", "none", "--image-size", "64", "--epochs", "25", "--data", tmp_path, "--out", "more")
        run = json.loads(self.run("train", *words, "--json").stdout)["run"]
        scores = json.loads((Path(run) / "run.json").read_text())["scores"]["test"]
        assert scores["count"] == 180 and scores["accuracy"] > 0.55  # chance is 0.33
        assert scores["accuracy"] > scores["baseline"]["accuracy"] + 0.05

    def test_pictures_are_mirrored_unless_told_otherwise(self, home, data):
        settings = json.loads(Path("runs/photos/latest/run.json").read_text())["settings"]
        assert settings["mirror"] is True
        words = ("--weights", "none", "--image-size", "32", "--epochs", "1", "--data", data, "--no-mirror")
        run = json.loads(self.run("train", *words, "--out", "straight", "--json").stdout)["run"]
        assert json.loads((Path(run) / "run.json").read_text())["settings"]["mirror"] is False


@pytest.mark.parametrize(
    "model, side, found", [("default", 48, 64), ("default", 90, 96), ("default", 300, 128), ("backbone", 48, 128)]
)
def test_the_size_of_the_input_follows_the_data(model, side, found, class_folders):
    from cnnkit.run_data import at_their_side, load

    recipe = main.recipes[""]()
    folder = class_folders({"a": 8, "b": 8}, height=side, width=side + 4)
    _, seen = at_their_side(recipe, model, {}, load(recipe, {"data": str(folder)}))
    assert seen.train.input_shape == (found, found, 3)


def test_few_pictures_are_seen_more_often_and_loaded_layers_learn_slowly():
    preset = main.recipes[""]().preset
    epochs = [preset("backbone", count, True)["epochs"] for count in (60, 500, 1400, 100_000)]
    assert epochs == sorted(epochs, reverse=True) and len(set(epochs)) == 4
    assert preset("default", 60, False)["epochs"] > epochs[0]
    loaded = preset("backbone", 60, True)
    assert 0 < loaded["freeze"] < 1 and loaded["backbone_rate"] < 1 and loaded["freeze_norm"] and loaded["mirror"]


# The app as an example ------------------------------------------------------------------------------------------------


def modules():
    return [path for path in sorted(HOUSE.rglob("*.py")) if "__pycache__" not in path.parts]


def test_beside_its_generator_the_app_has_at_most_a_hundred_lines():
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert GENERATOR in lines
    assert sum(count for name, count in lines.items() if name != GENERATOR) <= 100, lines


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.name)
def test_it_imports_public_names_only(path):
    assert not private_names(path)


def test_its_help_loads_neither_keras_nor_opencv():
    import subprocess
    import sys

    code = (
        "import sys, cnnkit_photos.cli; print([m for m in ('keras', 'tensorflow', 'cv2', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""`cnnkit digits`: the contract of every app, and what only digits do."""

import json
import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit_digits.cli import main
from tests import toys
from tests.contracts import AppContract


def held_out(count):
    from cnnkit.inputs.image.loading import load

    return load("digits").test.read(np.arange(count))


def redrawn(folder, count, *, inverted):
    """Draw held-out digits again, dark on light paper or light on dark, in sizes from 17 to 90 px; return their labels."""
    rng = np.random.default_rng(3)
    images, labels = held_out(count)
    for number, (digit, label) in enumerate(zip(images[..., 0], labels, strict=True)):
        ys, xs = np.nonzero(digit)
        digit = digit[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        height = int(rng.integers(14, 70))
        size = (max(3, round(height * digit.shape[1] / digit.shape[0])), height)
        ink = cv2.resize(digit, size, interpolation=cv2.INTER_CUBIC)
        ink = np.pad(ink, [tuple(rng.integers(1, 12, 2)), tuple(rng.integers(1, 12, 2))])
        page = np.clip(235 - 0.8 * ink + rng.normal(0, 2, ink.shape), 0, 255).astype(np.uint8)
        page = np.dstack([255 - page if inverted else page] * 3)
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(folder / str(label) / f"picture-{number}{'-light' * inverted}.{('png', 'jpg', 'bmp')[number % 3]}"),
            page,
        )
    return labels


class TestDigits(AppContract):
    app = "digits"
    group = main
    small = ("--epochs", "2", "--limit", "300")

    def inputs(self, folder):
        images, _ = held_out(3)
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / f"{number}.png"), image)
        return [str(folder / f"{number}.png") for number in range(3)]

    def test_an_image_on_standard_input_is_read(self, home, tmp_path):
        (path, *_) = self.inputs(tmp_path)
        run = Path("runs/digits/latest")
        words = ["predict", str(next(run.glob("export/*int8.tflite"))), "-", "--json"]
        piped = CliRunner().invoke(main, words, input=Path(path).read_bytes())
        direct = json.loads(self.run(*words[:2], path, "--json").stdout)["predictions"][0]
        assert json.loads(piped.stdout)["predictions"][0] | {"input": path} == direct

    def test_evaluate_and_predict_answer_alike_to_the_last_picture(self, home, tmp_path):
        redrawn(tmp_path / "own", 40, inverted=False)
        redrawn(tmp_path / "own", 40, inverted=True)
        model = next(Path("runs/digits/latest").glob("export/*int8.tflite"))
        found = {}
        for word in ("--prepare", "--no-prepare"):
            given = () if word == "--prepare" else (word,)  # it is what a model of digits asks for
            rows = json.loads(self.run("predict", model, tmp_path / "own", "--json", *given).stdout)["predictions"]
            right = sum(row["label"] == Path(row["input"]).parent.name for row in rows)
            scores = json.loads(self.run("evaluate", model, "--data", tmp_path / "own", "--json", *given).stdout)
            assert scores["count"] == len(rows) == 80
            assert round(scores["accuracy"] * 80) == right
            found[word] = right
        assert found["--prepare"] > 40 > found["--no-prepare"]  # 300 images and two epochs know little

    def test_an_empty_picture_has_nothing_on_it(self, home, tmp_path):
        cv2.imwrite(str(tmp_path / "paper.png"), np.full((90, 70, 3), 236, np.uint8))
        cv2.imwrite(str(tmp_path / "clear.png"), np.zeros((50, 50, 4), np.uint8))
        words = ("predict", tmp_path / "paper.png", tmp_path / "clear.png", *self.inputs(tmp_path)[:1], "--top", "3")
        rows = json.loads(self.run(*words, "--json").stdout)["predictions"]
        assert [row["label"] for row in rows[:2]] == ["nothing on it"] * 2 and all(row["nothing"] for row in rows[:2])
        assert "nothing" not in rows[2] and len(rows[2]["top"]) == 3
        assert self.run(*words).output.count("nothing on it") == 2

    def test_a_page_of_held_out_digits_is_read(self, home):
        document = json.loads(self.run("read", "--sample", "--out", "pages", "--json").stdout)
        (page,) = document["pages"]
        assert Path(page["annotated"]).exists()  # that it reads well is tested with the README's commands
        assert {"width", "height", "angle", "numbers"} <= page.keys()
        assert self.run("read", "--sample").output.strip()


class TestBadInput:
    """Everything that can be wrong with what a user gives is one clear line, exit 1, and nothing is lost."""

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    fails = AppContract.fails
    run = AppContract.run
    group = main

    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory):
        from cnnkit.export.convert import convert
        from cnnkit.models.images import MODELS

        path = tmp_path_factory.mktemp("model") / "x.tflite"
        labels = [str(digit) for digit in range(10)]
        network = MODELS["simple_cnn"]((28, 28, 1), 10)
        about = {**toys.ABOUT, "app": "digits", "labels": labels}
        path.write_bytes(convert(network, "float32", np.zeros((1, 28, 28, 1)), about))
        return path

    @pytest.mark.parametrize("verb", ["predict", "read"])
    def test_files_that_are_no_pictures(self, model, verb):
        Path("empty.png").touch()
        Path("text.png").write_text("this is no picture")
        digit = np.zeros((60, 60), np.uint8)
        cv2.imwrite("whole.png", digit)
        Path("cut.png").write_bytes(Path("whole.png").read_bytes()[:60])
        for name, word in (
            ("none.png", "no such file"),
            ("empty.png", "empty"),
            ("text.png", "image"),
            ("cut.png", "cut.png"),
        ):
            line = self.fails(verb, model, name)
            assert name in line and word in line, line
        mixed = self.run(verb, model, "whole.png", "text.png", "--skip-bad", "--json")
        document = json.loads(mixed.stdout)
        assert len(document["skipped"]) == 1 and "text.png" in document["skipped"][0]
        assert "text.png" in mixed.stderr

    @pytest.mark.parametrize("verb", ["predict", "read"])
    def test_a_decompression_bomb_is_refused_before_it_is_decoded(self, model, verb):
        header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
        chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        Path("bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        line = self.fails(verb, model, "bomb.png")
        assert "100,000 x 100,000" in line
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; decoded it has 10 GB

    def test_class_folders_that_cannot_be_trained_on(self):
        for label in ("0", "1"):
            Path("two", label).mkdir(parents=True)
            for number in range(12):
                cv2.imwrite(f"two/{label}/{number}.png", np.full((12, 12), 20 * int(label) + number, np.uint8))
        Path("two/2").mkdir()
        assert "2" in self.fails("train", "--data", "two")
        Path("one/0").mkdir(parents=True)
        cv2.imwrite("one/0/a.png", np.zeros((12, 12), np.uint8))
        assert "one class" in self.fails("train", "--data", "one").replace("a single class", "one class")

    def test_bad_files_in_a_data_set_are_named_and_can_be_left_out(self):
        for label in ("0", "1"):
            Path("data", label).mkdir(parents=True)
            for number in range(30):
                image = np.zeros((16, 16), np.uint8)
                image[4:12, 3 + 6 * int(label) : 7 + 6 * int(label)] = 150 + number
                cv2.imwrite(f"data/{label}/{number}.png", image)
        Path("data/0/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        line = self.fails("train", "--data", "data", "--epochs", "1")
        assert "broken.png" in line and "--skip-bad" in line
        done = self.run("train", "--data", "data", "--epochs", "1", "--skip-bad", "--model", "simple_cnn", "--json")
        assert "broken.png" in done.stderr
        assert json.loads(done.stdout)["scores"]["test"]["count"] == 12

    @pytest.mark.slow
    def test_photos_of_digits_of_odd_sizes_train_as_digits(self):
        redrawn(Path("photos"), 120, inverted=False)
        words = ("train", "--data", "photos", "--model", "micro", "--epochs", "30", "--out", "run", "--json")
        done = self.run(*words)
        assert "Pictures are laid out as MNIST's" in done.stderr
        document = json.loads(Path("run/run.json").read_text())
        assert document["data"]["shape"] == [28, 28, 1] and document["model"]["parameters"] < 10_000
        self.run("export", "run", "--precision", "int8", "--tolerance", "100")
        from cnnkit.device.model import read_metadata

        own = {
            word: json.loads(self.run("evaluate", "run", word, "--json").stdout)
            for word in ("--prepare", "--no-prepare")
        }
        assert own["--prepare"]["accuracy"] > own["--no-prepare"]["accuracy"] and own["--no-prepare"]["count"] == 24
        (file,) = Path("run/export").glob("*int8.tflite")
        assert read_metadata(file)["layout"] == "mnist"
        redrawn(Path("more"), 240, inverted=True)
        rows = json.loads(self.run("predict", file, "more", "--json").stdout)["predictions"][120:]
        right = [row["label"] == Path(row["input"]).parent.name for row in rows]
        assert np.mean(right) > 0.5  # from 90 pictures; 4 % where pictures are not prepared

    def test_a_keras_file_with_a_lambda_is_never_executed(self):
        import keras

        image = keras.Input((28, 28, 1))
        marker = str(Path("executed").absolute())
        x = keras.layers.Lambda(lambda x, to=marker: (open(to, "w").close(), x)[1])(image)
        model = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
        model.save("bad.keras")
        Path("executed").unlink(missing_ok=True)
        for words in (
            ["evaluate", "bad.keras", "--data", "digits"],
            ["export", "bad.keras"],
            ["explain", "bad.keras", "x.png"],
        ):
            assert "holds a Lambda layer" in self.fails(*words)
        assert not Path("executed").exists()

    def test_a_page_needs_a_model_of_digits(self, tmp_path):
        from cnnkit.export.convert import convert
        from cnnkit.models.images import MODELS

        network = MODELS["simple_cnn"]((16, 16, 3), 4)
        Path("signs.tflite").write_bytes(
            convert(network, "float32", np.zeros((1, 16, 16, 3)), {**toys.ABOUT, "labels": list("abcd")})
        )
        assert "pages need a model of 28x28 grey digits" in self.fails("read", "signs.tflite", "page.png")

    def test_nothing_to_predict_or_read(self, model):
        assert "nothing to predict" in self.fails("predict", model)
        assert "no page" in self.fails("read", model)
        Path("folder").mkdir()
        assert "no image" in self.fails("predict", model, "folder")


class TestOnlyDigits:
    """What digits have beside the standard verbs."""

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.mark.slow
    def test_the_learning_curve_grows_with_the_data(self):
        image, _ = held_out(1)
        cv2.imwrite("digit.png", image[0])
        words = ["learning-curve", "digit.png", "--epochs", "2", "--json"]
        curve = json.loads(self.run(*words).stdout)["curve"]
        assert [row["images"] for row in curve] == [1, 4, 13, 38, 126, 377, 1258]
        assert curve[0]["accuracy"] < 0.5 < 0.85 < curve[-1]["accuracy"]
        assert all(abs(sum(row["confidences"].values()) - 1) < 1e-4 for row in curve)
        assert Path("learning-curve.png").stat().st_size > 20_000
        assert "not an image" in self.fails("learning-curve", ".")

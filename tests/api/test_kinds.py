"""Every kind of `cnnkit.kinds` from Python: an app of public names alone is trained, scored, exported, opened and asked; so is a
model of one's own, and what cannot be one is refused in a line before anything is trained."""

import re

import cv2
import numpy as np
import pytest

import cnnkit
from tests import toy_texts
from tests.tasks.segmentation import small_masks


def app(kind, name, builder, **preset):
    """Return an app of one model."""

    def fields():
        return {
            "data": "digits",
            "builders": {"default": builder},
            "preset": lambda model, count, loaded: {"epochs": 1, "batch_size": 8, **preset},
        }

    return cnnkit.App(f"Try {name}.", fields, name=name, kind=kind)


def squares(folder, count=24):
    """Write pictures of 64 x 64 px with a bright square each, and its box, as YOLO has them."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        picture = rng.integers(0, 60, (64, 64, 3)).astype(np.uint8)
        left, top = rng.integers(4, 36, 2)
        picture[top : top + 20, left : left + 20] = 220
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text(
            f"0 {(left + 10) / 64} {(top + 10) / 64} {20 / 64} {20 / 64}\n"
        )
    (folder / "data.yaml").write_text("train: images\nnames: [square]\n")
    return folder


def texts(count=90):
    return [text for _, text in toy_texts.rows(count)], [label for label, _ in toy_texts.rows(count)]


def tagger(shape, classes, *, size):
    """A small network of one's own for texts: ids (length,) -> logits."""
    import keras
    from keras import layers

    ids = keras.Input(shape, dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(size, 8)(ids))
    return keras.Model(ids, layers.Dense(classes)(x), name="tagger")


def painter(shape, units):
    """A small network of one's own for masks: pictures -> a map of logits."""
    import keras
    from keras import layers

    image = keras.Input(shape)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Conv2D(units, 1)(x), name="painter")


def through(run, precision="float32"):
    """Score, export and open a run; return the model."""
    scores = run.evaluate()
    name = run.scores["headline"]["name"]
    assert scores[name] == pytest.approx(run.scores[name], abs=1e-6) and scores["count"] == run.scores["count"]
    assert run.report().is_file() and "<table>" in run._repr_html_()
    model = cnnkit.load_model(run.export(precision, tolerance=100.0))
    assert model.labels == run.labels
    return model


@pytest.mark.slow
class TestTexts:
    @pytest.fixture(scope="class")
    def run(self, tmp_path_factory):
        made = app(cnnkit.kinds.text_classification, "words", cnnkit.models.kim, learning_rate=0.01)
        return cnnkit.train(made, texts(), out=tmp_path_factory.mktemp("run") / "words", seed=1)

    def test_they_are_trained_through(self, run, capfd):
        model = through(run)
        answers = model.predict(texts()[0][:3])
        assert [set(answer) >= {"label", "score", "sure"} for answer in answers] == [True] * 3
        assert run.predict(texts()[0][0])["label"] == answers[0]["label"] and capfd.readouterr().out == ""

    def test_a_model_of_ones_own(self, tmp_path):
        made = app(cnnkit.kinds.text_classification, "words", cnnkit.models.kim)
        run = cnnkit.train(made, texts(), model=tagger, out=tmp_path / "run")
        assert run.model.name == "tagger" and through(run).predict("a text")["label"] in run.labels


@pytest.mark.slow
class TestMasks:
    def test_they_are_trained_through(self, tmp_path):
        small_masks.pairs(tmp_path / "data", count=16)
        made = app(cnnkit.kinds.image_segmentation, "discs", cnnkit.models.unet)
        run = cnnkit.train(made, tmp_path / "data", width=4, out=tmp_path / "run")
        picture = small_masks.picture(small_masks.disc(0))
        assert through(run).predict(picture)["codes"].shape == picture.shape

    def test_a_model_of_ones_own(self, tmp_path):
        x = np.stack([small_masks.picture(small_masks.disc(k), k) for k in range(24)])
        y = np.stack([small_masks.disc(k) for k in range(24)]).astype(np.uint8)
        made = app(cnnkit.kinds.image_segmentation, "discs", cnnkit.models.unet)
        run = cnnkit.train(made, cnnkit.load_data((x, y), labels=["disc"]), model=painter, out=tmp_path / "run")
        assert run.model.name == "painter" and through(run).predict(x[0])["codes"].shape == x[0].shape


@pytest.mark.slow
class TestBoxes:
    def test_they_are_trained_through(self, tmp_path):
        made = app(cnnkit.kinds.object_detection, "squares", cnnkit.models.detector)
        run = cnnkit.train(made, squares(tmp_path / "data"), width=8, out=tmp_path / "run")
        answer = through(run).predict(np.zeros((64, 64, 3), np.uint8))
        assert set(answer) >= {"boxes"} and isinstance(answer["boxes"], list)

    def test_a_model_of_ones_own(self, tmp_path):
        def narrow(shape, classes, *, strides=(8, 16, 32)):
            return cnnkit.models.detector(shape, classes, strides=strides, width=8)

        made = app(cnnkit.kinds.object_detection, "squares", cnnkit.models.detector)
        run = cnnkit.train(made, squares(tmp_path / "data"), model=narrow, out=tmp_path / "run")
        assert {layer.filters for layer in run.model.layers if re.fullmatch(r"lateral\d+_conv", layer.name)} == {8}
        assert isinstance(through(run).predict(np.zeros((64, 64, 3), np.uint8))["boxes"], list)


class TestRefused:
    """A model of one's own that does not fit, by task: one line that says what it lacks and what it has to be."""

    @staticmethod
    def line(builder, task, shape, units):
        from cnnkit.api.own import Own, checking

        with pytest.raises(cnnkit.ConfigError) as error:
            checking(Own(builder, "mine"), task)(shape, units)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_masks_need_a_map_of_the_pictures_size(self):
        import keras
        from keras import layers

        def flat(shape, units):
            image = keras.Input(shape)
            return keras.Model(image, layers.Dense(units)(layers.Flatten()(image)))

        def smaller(shape, units):
            image = keras.Input(shape)
            return keras.Model(image, layers.Conv2D(units, 3, strides=2, padding="same")(image))

        def softmax(shape, units):
            image = keras.Input(shape)
            return keras.Model(image, layers.Conv2D(units, 1, activation="softmax")(image))

        for builder, said in (
            (flat, "it ends in 2, and a mask has 32 x 32 x 2"),
            (smaller, "it ends in 16 x 16 x 2, and a mask has 32 x 32 x 2"),
            (softmax, "it ends in softmax"),
            (lambda shape, units: painter(shape, 5), "it ends in 5 numbers a pixel for 2 labels"),
        ):
            found = self.line(builder, "segmentation", (32, 32, 1), 2)
            assert said in found and "ends in a map of logits" in found

    def test_boxes_need_what_our_detectors_have(self):
        found = self.line(painter, "detection", (64, 64, 3), 2)
        assert "it has no layer `boxes`" in found and "cnnkit.models.detector" in found
        found = self.line(lambda shape, units: cnnkit.models.detector(shape, 5, width=8), "detection", (64, 64, 3), 2)
        assert "it scores 5 labels, and the data has 2" in found

    def test_boxes_need_scores_of_cells_and_labels(self):
        import keras
        from keras import layers

        def flat(shape, units):
            image = keras.Input(shape)
            scores = layers.Dense(units, name="every_logit")(layers.Flatten()(image))
            return keras.Model(image, layers.Dense(4, name="boxes")(scores))

        found = self.line(flat, "detection", (64, 64, 3), 2)
        assert "it has a layer `every_logit` that ends in 2, and not in cells x labels. A model" in found

    @pytest.mark.parametrize(("task", "units"), [("detection", 2), ("regression", 2), ("segmentation", 2)])
    def test_a_side_that_may_be_anything_is_called_any(self, task, units):
        import keras
        from keras import layers

        def opened(shape, units):
            image = keras.Input((None, None, 3))
            every = layers.Reshape((-1, units), name="every_logit")(layers.Conv2D(units, 1)(image))
            return keras.Model(image, layers.Conv1D(5, 1, name="boxes")(every))

        found = self.line(opened, task, (64, 64, 3), units)
        assert "it ends in any x 5" in found and "None" not in found

    def test_what_a_task_itself_says_stays_as_it_is(self, monkeypatch):
        from cnnkit.api.own import Own, checking
        from cnnkit.tasks.segmentation.training import Segmentation

        def lacking(self, model, metadata):
            raise cnnkit.ConfigError("`plan` is of another model.")

        monkeypatch.setattr(Segmentation, "finish", lacking)
        with pytest.raises(cnnkit.ConfigError, match=r"^`plan` is of another model\.$"):
            checking(Own(painter, "mine"), "segmentation")((32, 32, 1), 2)

    def test_what_is_checked_takes_what_the_builder_takes(self):
        import inspect

        from cnnkit.api.own import Own, checking

        for builder in (painter, painter((32, 32, 1), 2)):
            own = Own(builder, "mine")
            assert inspect.signature(checking(own, "segmentation")) == inspect.signature(own)

    def test_boxes_need_the_strides_that_the_data_asks_for(self, tmp_path):
        made = app(cnnkit.kinds.object_detection, "squares", cnnkit.models.detector)
        data = squares(tmp_path / "data")
        wanted = cnnkit.load_data(data, made).train.records.plan.strides
        other = (8, 16, 32) if wanted[0] == 4 else (4, 8, 16)
        model = cnnkit.models.detector((256, 256, 3), 1, strides=other, width=8)
        with pytest.raises(cnnkit.ConfigError) as error:
            cnnkit.train(made, data, model=model, out=tmp_path / "run")
        assert f"has maps at strides {other}" in str(error.value) and f"`strides={wanted}`" in str(error.value)
        assert not (tmp_path / "run").exists()

    def test_numbers_need_a_number_a_value(self):
        import keras
        from keras import layers

        from cnnkit.api.own import Own, checking

        def measure(shape, units):
            image = keras.Input(shape)
            return keras.Model(image, layers.Dense(units)(layers.Flatten()(image)))

        assert checking(Own(measure, "mine"), "regression")((16, 16, 3), 2).output_shape == (None, 2)
        found = self.line(lambda shape, units: measure(shape, 4), "regression", (16, 16, 3), 2)
        assert "it ends in 4 numbers for 2 values" in found and "mean 0 and deviation 1" in found

    def test_texts_need_a_number_a_label(self):
        found = self.line(lambda shape, units: tagger(shape, 5, size=9), "classification", (16,), 3)
        assert "it ends in 5 numbers for 3 labels" in found

    def test_masks_of_ones_own_layer_get_its_name(self):
        from cnnkit.api.own import Own, checking

        model = checking(Own(painter, "painter"), "segmentation")((32, 32, 1), 2)
        assert model.get_layer("logits").output.shape == (None, 32, 32, 2)


def test_every_kind_that_a_task_makes_is_listed():
    import importlib
    from pathlib import Path

    from cnnkit.app import Kind

    found = {}
    for path in Path(cnnkit.__file__).parent.glob("tasks/*/kinds.py"):
        module = f"cnnkit.tasks.{path.parent.name}.kinds"
        made = importlib.import_module(module)
        found |= {name: module for name, value in vars(made).items() if isinstance(value, Kind)}
    assert found == cnnkit.kinds.KINDS and set(dir(cnnkit.kinds)) == set(found)

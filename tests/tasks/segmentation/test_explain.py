"""Explaining masks: evidence that was planted is found, and views that say otherwise are told."""

from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.device.segmentation import Plan
from cnnkit.errors import CnnkitError, DataError
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.reporter import SILENT
from cnnkit.tasks.segmentation import NOTICE, explain
from cnnkit.tasks.segmentation.images import Masked
from cnnkit.training.ensemble import ensemble, members


class Fake:
    """A model whose scores are a function of its windows."""

    input_shape = (8, 8, 1)

    def __init__(self, scores):
        self.scores = scores

    def run_batch(self, seen):
        return {"scores": np.asarray(self.scores(seen), np.float32)}


def left_half(seen):
    scores = np.zeros((*seen.shape[:3], 1))
    scores[:, :, :4] = 1
    return scores


def planted(shift=0.0):
    """Label 0 lies where the first channel is bright, label 1 where the second is, in blocks of four px; 16x16x2."""
    image = keras.Input((16, 16, 2), name="image")
    x = layers.Conv2D(2, 4, strides=4, activation="relu", use_bias=False, name="coarse")(image)
    x = layers.UpSampling2D(4, name="large")(x)
    model = keras.Model(image, layers.Conv2D(2, 1, name="logits", dtype="float32")(x), name="planted")
    kernel = np.zeros((4, 4, 2, 2), np.float32)
    kernel[..., 0, 0] = kernel[..., 1, 1] = 1 / 16 / 255
    model.set_weights([kernel, np.eye(2, dtype=np.float32)[None, None] * 8, np.full(2, shift - 4, np.float32)])
    return model


def artifact(model, plan=None, labels=("organ", "lesion")):
    about = {"task": "segmentation", "input": {"kind": "image", "shape": [16, 16, 2]}, "labels": list(labels)}
    return KerasArtifact("model.keras", model, {**about, "segmentation": (plan or Plan()).to_dict()})


def corners():
    """A picture with an organ at the upper left and a lesion at the lower right."""
    picture = np.zeros((16, 16, 2), np.uint8)
    picture[:4, :4, 0] = 255
    picture[12:, 8:, 1] = 255
    return picture


class TestDoubt:
    def test_views_that_agree_leave_none(self):
        picture = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
        found = explain.doubt([Fake(lambda seen: seen / 255)], picture, Plan(), ["a"])
        assert found.map.shape == (8, 8) and found.map.max() < 1e-6 and found.differ == found.mean == 0
        assert found.areas.tolist() == [[int((picture >= 127.5).sum())] * 4]

    def test_half_of_the_mirrored_views_say_otherwise(self):
        found = explain.doubt([Fake(left_half)], np.zeros((8, 8), np.uint8), Plan(), ["a"])
        assert np.allclose(found.map, 0.5) and found.mean == pytest.approx(0.5) and found.differ == 1
        assert found.areas.tolist() == [[32, 32, 32, 32]]

    def test_what_lies_left_is_not_mirrored(self):
        found = explain.doubt([Fake(left_half)], np.zeros((8, 8), np.uint8), Plan(), ["left lung"])
        assert found.areas.shape == (1, 2) and found.differ == 0

    def test_what_never_saw_a_mirrored_view_is_moved(self):
        found = explain.doubt([Fake(left_half)], np.zeros((8, 8), np.uint8), Plan(mirrored=()), ["a"])
        # The left half of a view moved by 2 is another; of what was moved out of sight no other view says anything.
        assert found.areas.tolist() == [[32, 32, 32, 16, 48]] and found.differ == 0.5
        agreed = explain.doubt([Fake(lambda seen: seen / 255)], np.zeros((8, 8), np.uint8), Plan(mirrored=()), ["a"])
        assert agreed.areas.shape == (1, 5) and agreed.differ == 0

    def test_folds_are_views_and_not_mirrored(self):
        folds = [Fake(lambda seen, score=score: np.full((*seen.shape[:3], 1), score)) for score in (0.2, 0.8)]
        found = explain.doubt(folds, np.zeros((8, 8), np.uint8), Plan(), ["a"])
        assert np.allclose(found.map, 0.3) and found.areas.tolist() == [[0, 64]] and found.differ == 1

    def test_windows_cover_the_whole_picture_at_its_size(self):
        folds = [Fake(lambda seen, score=score: np.full((*seen.shape[:3], 1), score)) for score in (0.1, 0.9)]
        found = explain.doubt(folds, np.zeros((21, 30), np.uint8), Plan(scale=1.0), ["a"])
        assert found.map.shape == (21, 30) and np.allclose(found.map, 0.4) and found.areas.tolist() == [[0, 21 * 30]]

    def test_a_large_picture_is_drawn_smaller_and_counted_whole(self, monkeypatch):
        monkeypatch.setattr(explain, "SIDE", 10)
        found = explain.doubt([Fake(left_half)], np.zeros((8, 32), np.uint8), Plan(scale=1.0), ["a"])
        assert found.step == 4 and found.map.shape == (2, 8) and found.areas.sum(1).tolist()[0] > 8 * 32

    def test_views_are_cleaned_as_answers_are(self):
        def two(seen):
            scores = np.zeros((*seen.shape[:3], 1))
            scores[:, 0, 0] = scores[:, 4:, 4:] = 1
            return scores

        found = explain.doubt([Fake(two)] * 2, np.zeros((8, 8), np.uint8), Plan(largest=("a",)), ["a"])
        assert found.areas.tolist() == [[16, 16]]


class TestEvidence:
    def test_each_label_is_answered_where_its_own_channel_is_bright(self):
        heat = explain.evidence([artifact(planted())], corners(), Plan(), ["organ", "lesion"])
        assert heat.shape == (2, 16, 16) and heat.max() == 1
        organ, lesion = heat
        assert organ[1, 1] == 1 and organ[8:].max() == 0 and organ[:, 8:].max() == 0
        assert lesion[14, 12] == 1 and lesion[:8].max() == 0

    def test_a_label_that_is_not_answered_has_no_evidence(self):
        picture = corners()
        picture[..., 1] = 0
        heat = explain.evidence([artifact(planted())], picture, Plan(), ["organ", "lesion"])
        assert heat[0].max() == 1 and not heat[1].any()

    def test_windows_are_put_together(self):
        picture = np.zeros((40, 32, 2), np.uint8)
        picture[32:36, 20:24, 0] = 255
        plan = Plan(scale=1.0)
        heat = explain.evidence([artifact(planted(), plan)], picture, plan, ["organ", "lesion"])
        assert heat.shape == (2, 40, 32)
        row, column = np.unravel_index(heat[0].argmax(), heat[0].shape)
        assert 30 <= row < 38 and 18 <= column < 26 and heat[0][:24].max() == 0

    def test_objects_that_are_told_apart_are_explained_by_inside_and_border(self):
        plan = Plan(rim=1)
        heat = explain.evidence([artifact(planted(), plan, ("cell",))], corners(), plan, ["cell"])
        assert heat.shape == (1, 16, 16) and heat[0, 1, 1] == 1 and heat[0, 14, 12] > 0.9 and heat[0, :8, 8:].max() == 0

    def test_the_coarsest_maps_that_are_no_pooling_are_looked_at(self):
        image = keras.Input((32, 32, 1))
        x = layers.Conv2D(2, 3, strides=4, padding="same", name="fine")(image)
        x = layers.Conv2D(2, 3, padding="same", name="same")(x)
        x = layers.MaxPooling2D(4, name="pool")(x)
        x = layers.Conv2D(2, 3, padding="same", name="tiny")(x)  # of 2x2 places
        x = layers.UpSampling2D(16, name="large")(x)
        assert explain.deepest(keras.Model(image, layers.Conv2D(1, 1, name="logits")(x))) == "same"

    def test_a_layer_that_is_not_there_is_an_error(self):
        with pytest.raises(CnnkitError, match="no layer nothing"):
            explain.evidence([artifact(planted())], corners(), Plan(), ["organ", "lesion"], "nothing")

    def test_folds_are_found_in_their_mean(self):
        one, other = planted(), planted(shift=2.0)
        together = ensemble([one, other])
        seen = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 2)).astype(np.float32)
        found = members(together)
        assert len(found) == 2 and members(one) == []
        for model, own in zip((one, other), found, strict=True):
            np.testing.assert_allclose(own(seen), model(seen), atol=1e-5)
        heat = explain.evidence([artifact(model) for model in found], corners(), Plan(), ["organ", "lesion"])
        assert heat[0][1, 1] == 1


class TestExplain:
    def test_it_writes_its_pictures_and_says_what_the_views_say(self, tmp_path):
        found = explain.explain(artifact(planted()), (), corners(), Plan(), tmp_path)
        assert found["labels"]["organ"] == {"area": 16, "least": 16, "most": 16} and found["views"] == 4
        assert found["labels"]["lesion"]["area"] == 32 and found["of"] == "mirrors" and found["differ"] == 0
        for path in found["pictures"].values():
            assert cv2.imread(str(path)).std() > 10
        assert found["notice"] == NOTICE

    def test_a_picture_in_which_nothing_is_drawn_is_explained_too(self, tmp_path):
        found = explain.explain(artifact(planted()), (), np.zeros((16, 16, 2), np.uint8), Plan(), tmp_path)
        assert found["labels"]["organ"]["area"] == 0 and len(found["pictures"]) == 2

    def run(self, model, folder, inputs=(), test=None, labels=("organ", "lesion")):
        how = {"layer": None, "folder": folder, "test": test, "prepare": None, "tell": SILENT}
        return Masked().explain(SimpleNamespace(), artifact(model, labels=labels), inputs, **how)

    def grey(self):
        """A network of grey pictures."""
        image = keras.Input((16, 16, 2), name="image")
        x = layers.Conv2D(2, 4, strides=4, name="coarse")(image)
        return keras.Model(image, layers.Conv2D(2, 1, name="logits")(layers.UpSampling2D(4)(x)))

    def test_files_of_one_name_and_pages_have_a_folder_each(self, tmp_path):
        picture = np.full((20, 16), 90, np.uint8)
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            assert cv2.imwrite(str(tmp_path / folder / "x.png"), picture)
        assert cv2.imwritemulti(str(tmp_path / "pages.tiff"), [picture, picture])
        inputs = [tmp_path / "a", tmp_path / "b", tmp_path / "pages.tiff"]
        found = self.run(self.grey(), tmp_path / "out", inputs)
        assert list(found.document["images"]) == ["x", "x-2", "pages-page1", "pages-page2"]
        assert (tmp_path / "out" / "x-2" / "unsure.png").exists() and (tmp_path / "out" / "layers.png").exists()
        assert found.parts[-1] == found.document["notice"] == NOTICE
        assert found.parts[1].columns == ["picture", "organ, least to most", "lesion, least to most", "views differ"]

    def test_without_pictures_it_is_the_first_of_the_test_split(self, tmp_path):
        class Test:
            def __init__(self, pictures):
                self.pictures = pictures

            def __len__(self):
                return len(self.pictures)

            def native(self, index):
                return self.pictures[index]

        found = self.run(planted(), tmp_path, test=lambda: Test([corners()]))
        assert found.document["images"]["test-0"]["labels"]["organ"]["area"] == 16
        with pytest.raises(DataError, match="test split is empty"):
            self.run(planted(), tmp_path, test=lambda: Test([]))

    def test_a_picture_with_other_channels_is_named(self, tmp_path):
        assert cv2.imwrite(
            str(tmp_path / "colours.png"), np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
        )
        with pytest.raises(DataError, match="colours cannot be used: it has 3 channels, the model takes 2"):
            self.run(planted(), tmp_path / "out", [tmp_path / "colours.png"])

"""Cross-validation of pictures: folds by class and by group, each scored by what never saw it, their mean as one model."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import cnnkit
from cnnkit.errors import ConfigError
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.inputs.image.loading import load
from cnnkit.tasks.classification.scoring import Classification


def folded(root, count, **how):
    """The splits of each fold."""
    return [load(root, folds=count, fold=number, **how) for number in range(count)]


def names(records):
    return {records.name(k) for k in range(len(records))}


def test_every_image_is_held_out_once_and_each_class_alike(class_folders):
    root = class_folders({"cat": 15, "dog": 10})
    parts = folded(root, 5)
    assert [part.test.counts().tolist() for part in parts] == [[3, 2]] * 5
    assert sum(len(names(part.test)) for part in parts) == len(set().union(*(names(part.test) for part in parts))) == 25
    for part in parts:
        assert not names(part.train) & names(part.test) and not names(part.validation) & names(part.test)
        assert len(part.validation) == 2 and len(part.train) == 18, "a tenth of the rest chooses"
    whole = load(root, folds=5)
    assert (len(whole.train), len(whole.validation), len(whole.test)) == (25, 0, 0)
    held = np.array(whole.card["folds"])
    for number, part in enumerate(parts):
        assert names(whole.train.take(np.flatnonzero(held == number))) == names(part.test)
    assert parts[1].card["splits"]["test"] == "fold 1 of 5, seed 0"


def test_groups_stay_in_one_fold_and_out_of_its_validation(class_folders):
    root = class_folders({"cat": 24, "dog": 24})
    parts = folded(root, 3, groups=r"(\d)\d\.png$", validation=0.3)
    for part in parts:
        sides = [set(part.parts[name].groups) for name in ("train", "validation", "test")]
        assert all(sides), "no side is empty"
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert "Groups: 3 of 48 images" in " ".join(str(parts[0].card["inventory"]).split()), "it says what stays together"


def test_no_validation_is_held_out_where_none_is_asked_for(class_folders):
    (part, _) = folded(class_folders({"cat": 6, "dog": 6}), 2, validation=0)
    assert (len(part.train), len(part.validation), len(part.test)) == (6, 0, 6)


def test_splits_of_its_own_stay(class_folders, tmp_path):
    for split, count in (("train", 9), ("validation", 4), ("test", 5)):
        class_folders({"cat": count, "dog": count}, root=tmp_path / "data" / split, seed=count)
    whole, part = load(tmp_path / "data", folds=3), load(tmp_path / "data", folds=3, fold=2)
    assert [len(whole.parts[name]) for name in ("train", "validation", "test")] == [18, 8, 10]
    assert [len(part.parts[name]) for name in ("train", "validation", "test")] == [12, 8, 6]
    assert names(part.validation) == names(whole.validation)
    assert names(part.test) <= names(whole.train), "the test split of the data is of all folds together"


def test_a_limit_is_of_all_folds_together(class_folders):
    root = class_folders({"cat": 20, "dog": 20})
    whole, parts = load(root, folds=2, limit=12), folded(root, 2, limit=12)
    assert len(whole.train) == len(whole.card["folds"]) == 12
    assert set().union(*(names(part.test) for part in parts)) == names(whole.train)
    left = [entry for entry in whole.card["inventory"]["entries"] if "limit" in str(entry)]
    assert left and left[0]["count"] == 28


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"folds": 2, "fold": 2}, "counted from 0. Got fold=2, folds=2"),
        ({"fold": 0}, "folds=None"),
        ({"folds": 30}, "leaves a fold empty"),
        ({"folds": 4, "limit": 2}, "`limit=2` leaves a fold empty"),
    ],
)
def test_what_leaves_a_fold_empty_is_refused(class_folders, how, said):
    with pytest.raises(ConfigError, match=said):
        load(class_folders({"cat": 8, "dog": 8}), **how)


def test_baselines_of_folds_are_one_over_all_records():
    parts = [
        (10, {"name": "line", "accuracy": 0.5, "against": {"only_model": 4, "only_baseline": 1, "p": 0.4}}),
        (30, {"name": "line", "accuracy": 0.9, "against": {"only_model": 8, "only_baseline": 1, "p": 0.1}}),
    ]
    made = Classification().baselines(parts, "accuracy")
    assert made["accuracy"] == pytest.approx(0.8) and made["accuracy_interval"][0] < 0.8 < made["accuracy_interval"][1]
    assert made["against"] == {"only_model": 12, "only_baseline": 2, "p": pytest.approx(0.0129, abs=1e-3)}


def fields():
    from cnnkit import models

    return {
        "data": "digits",
        "builders": {"default": models.micro_cnn},
        "preset": lambda model, count, loaded: {"epochs": 2, "batch_size": 16, "learning_rate": 0.02},
    }


APP = cnnkit.App("Tell bright pictures from dark ones.", fields, name="lights", kind=cnnkit.kinds.image_classification)


class TestTraining:
    """Through the command line."""

    @staticmethod
    def run(*words, code=0):
        result = CliRunner().invoke(APP.command_line, [str(word) for word in words])
        assert result.exit_code == code, result.output
        return result

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        import cv2

        folder = tmp_path_factory.mktemp("lights")
        rng = np.random.default_rng(0)
        for split, count in (("train", 24), ("test", 6)):
            for number in range(count):
                for name, level in (("bright", 150), ("dark", 60)):
                    for root in ("alone", f"divided/{split}") if split == "train" else (f"divided/{split}",):
                        (folder / root / name).mkdir(parents=True, exist_ok=True)
                        pixels = rng.integers(level, level + 60, (12, 12), np.uint8)
                        cv2.imwrite(str(folder / root / name / f"{number}.png"), pixels)
        self.run("train", "--data", folder / "alone", "--groups", "none", "--folds", "2", "--out", folder / "run")
        return folder

    @pytest.fixture(autouse=True)
    def inside(self, home, monkeypatch):
        monkeypatch.chdir(home)

    @staticmethod
    def document(path):
        return json.loads((path / "run.json").read_text())

    def test_every_image_is_scored_by_a_model_that_never_saw_it(self, home):
        document = self.document(home / "run")
        scores = document["scores"]["folds"]
        assert scores["count"] == 48 and scores["accuracy_interval"][0] < scores["accuracy"]
        folds = [self.document(home / f"run/fold-{k}") for k in (0, 1)]
        assert [fold["data"]["sizes"] for fold in folds] == [{"train": 22, "validation": 2, "test": 24}] * 2
        mean = np.mean([fold["scores"]["test"]["accuracy"] for fold in folds])
        assert scores["accuracy"] == pytest.approx(mean)
        against = [fold["scores"]["test"]["baseline"]["against"]["only_model"] for fold in folds]
        assert scores["baseline"]["against"]["only_model"] == sum(against)
        assert document["scores"]["test"] == scores, "there are no other records to score"
        assert (home / "run/report.html").stat().st_size > 10_000

    def test_it_says_in_which_fold_each_image_was_held_out(self, home):
        with (home / "run/folds.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 48 and sorted({row["fold"] for row in rows}) == ["0", "1"]
        assert rows[0]["image"].endswith(".png")

    def test_the_models_together_say_the_mean_of_each(self, home):
        from cnnkit.evaluation.artifacts import open_artifact

        images = np.random.default_rng(0).integers(0, 255, (2, 12, 12, 1)).astype(np.float32)
        every, *each = (open_artifact(home / path).model for path in ("run", "run/fold-0", "run/fold-1"))
        said = [np.array(model(images, training=False)) for model in each]
        assert np.array(every(images, training=False)) == pytest.approx(np.mean(said, axis=0), abs=1e-5)

    def test_it_is_scored_again_explained_and_reported(self, home):
        found = json.loads(self.run("evaluate", "run", "--json").stdout)
        assert found["split"] == "folds"
        assert set(found["calibration"]) == {"by_chance"}, (
            "each fold has a temperature of its own, so none is taken back"
        )
        assert found["accuracy"] == self.document(home / "run")["scores"]["folds"]["accuracy"]
        assert found["baseline"] == self.document(home / "run")["scores"]["folds"]["baseline"]
        (home / "run/report.html").unlink()
        self.run("report", "run")
        assert (home / "run/report.html").exists()
        shown = json.loads(self.run("explain", "run", "--out", home / "why", "--json").stdout)
        assert (home / "why/test-0/grad-cam.png").exists()
        rows = next(iter(shown["images"].values()))["layers"]
        assert all(not row["name"].startswith("fold1_") for row in rows), "the layers of one of them"
        layer = next(row["name"] for row in rows if row["kernel"])
        self.run("explain", "run", "--layer", layer, "--out", home / "layer")

    def test_folds_answer_nothing_that_decides_nothing(self, home, monkeypatch):
        from cnnkit.reporter import SILENT
        from cnnkit.run import Run
        from cnnkit.verbs import folds

        class Silent(Classification):
            def calibrate(self, artifact, records, **asked):
                return {}

        recipe, run = dataclasses.replace(APP.for_task(None), task=Silent()), Run.open(home / "run")
        settings, splits = run.settings(recipe.Settings), load(home / "alone", folds=2, groups="none")
        monkeypatch.setattr(folds, "_answers", lambda *given: pytest.fail("they are not asked for"))
        before = (home / "run/model.keras").stat()
        assert folds.calibrated(recipe, settings, splits, run, SILENT).labels == ("bright", "dark")
        assert (home / "run/model.keras").stat().st_mtime_ns == before.st_mtime_ns

    def test_records_that_are_asked_one_by_one_are_answered_by_the_fold_that_held_them_out(self, home):
        from cnnkit.reporter import SILENT
        from cnnkit.run import Run
        from cnnkit.verbs import folds

        class Asking(Classification):
            def calibrate(self, artifact, records, **asked):
                for index in range(len(records)):
                    own = self.answering(artifact, index)
                    found[records.name(index)] = [np.array(w) for w in own.model.get_weights()]
                    assert own.metadata == artifact.metadata
                return {}

        found = {}
        recipe, run = dataclasses.replace(APP.for_task(None), task=Asking()), Run.open(home / "run")
        settings, splits = run.settings(recipe.Settings), load(home / "alone", folds=2, groups="none")
        folds.calibrated(recipe, settings, splits, run, SILENT)
        assert len(found) == len(splits.train)
        for number, fold in enumerate(folds.folds_of(run)):
            weights = open_artifact(fold.path / "model.keras").model.get_weights()
            for index in np.flatnonzero(np.array(splits.card["folds"]) == number):
                own = found[splits.train.name(int(index))]
                assert all(np.array_equal(a, b) for a, b in zip(own, weights, strict=True))

    def test_it_is_exported_through_the_gate(self, home):
        self.run("export", "run", "--precision", "int8", "--tolerance", "100")
        files = sorted((home / "alone").rglob("*.png"))
        found = json.loads(self.run("predict", next((home / "run/export").glob("*.tflite")), files[0], "--json").stdout)
        assert found["predictions"][0]["label"] in ("bright", "dark")

    def test_a_run_that_was_stopped_goes_on_to_equal_scores(self, home):
        shutil.copytree(home / "run", home / "stopped")
        for name in ("model.keras", "report.html"):
            (home / "stopped" / name).unlink()
        for name in ("model.keras", "history.csv", "checkpoint.npz", "report.html"):
            (home / "stopped/fold-1" / name).unlink()
        for path in (home / "stopped", home / "stopped/fold-1"):
            document = self.document(path)
            for key in ("scores", "training", "model"):
                document.pop(key, None)
            (path / "run.json").write_text(json.dumps(document))
        self.run("train", "--out", "stopped", "--resume")
        before, after = (self.document(home / name)["scores"]["folds"] for name in ("run", "stopped"))
        assert before == after

    def test_one_fold_alone_is_the_same_run(self, home):
        words = ("train", "--data", "alone", "--groups", "none", "--folds", "2", "--fold", "1", "--out", "alone-1")
        self.run(*words)
        first, second = (self.document(home / name)["scores"]["test"] for name in ("run/fold-1", "alone-1"))
        assert first == second

    @pytest.mark.slow
    def test_a_test_split_of_the_data_scores_all_folds_together(self, home):
        self.run(
            "train", "--data", "divided", "--folds", "2", "--groups", "none", "--epochs", "1", "--out", "divided-run"
        )
        scores = self.document(home / "divided-run")["scores"]
        assert scores["folds"]["count"] == 48 and scores["test"]["count"] == 12
        found = json.loads(self.run("evaluate", "divided-run", "--json").stdout)
        assert found["split"] == "test" and found["count"] == 12

    def test_an_earlier_run_cannot_be_rehearsed_in_folds(self):
        words = ("train", "--data", "alone", "--folds", "2", "--replay", "--weights", "run/fold-0", "--out", "none")
        line = self.run(*words, code=1).output
        assert "Leave one of them out" in line and "Traceback" not in line


class Sure(Classification):
    """A task that validation data decide: from which score on an answer is sure."""

    def calibrate(self, artifact, records):
        if not len(records):
            return {}
        found, targets = self.outputs(artifact, records)
        assert len(found["scores"]) == len(targets) == len(records)
        return {"sure_from": float(found["scores"].max(1).min()), "chosen_on": len(records)}


@pytest.mark.slow
def test_what_validation_decides_of_the_whole_all_folds_decide(class_folders, tmp_path):
    def own():
        return {**fields(), "task": Sure()}

    app = cnnkit.App("Certain.", own, name="certain", kind=cnnkit.kinds.image_classification)
    from cnnkit.device.model import read_metadata
    from cnnkit.verbs.train import train

    root = class_folders({"cat": 12, "dog": 12}, height=12, width=12, channels=1)
    recipe = app.for_task(None)
    train(recipe, {"data": str(root), "folds": 2, "epochs": 1, "groups": "none"}, out=tmp_path / "run")
    assert read_metadata(tmp_path / "run/fold-0/model.keras")["chosen_on"] == 1
    assert read_metadata(tmp_path / "run/model.keras")["chosen_on"] == 24
    train(
        recipe, {"data": str(root), "folds": 2, "epochs": 1, "groups": "none", "validation": 0.0}, out=tmp_path / "none"
    )
    assert "chosen_on" not in read_metadata(tmp_path / "none/model.keras")

"""`cnnkit scans --task diagnose`: the contract of every app, and what is special about telling whether there is a finding."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit.opening import open_model
from cnnkit.verbs.predict import predict
from cnnkit_scans import diagnosis
from cnnkit_scans.cli import main
from tests.contracts import AppContract, AugmentationContract, images


def drawn(seed, ill):
    """Draw noise, with or without a bright spot somewhere: uint8 (32, 32)."""
    rng = np.random.default_rng((seed, 9))
    picture = rng.normal(90, 20, (32, 32)).astype(np.float32)
    if ill:
        x, y = rng.integers(7, 25, 2).tolist()
        cv2.circle(picture, (x, y), 4, 170.0, -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.0).clip(0, 255).astype(np.uint8)


def written(folder, patients, each=4, share=0.5, first=0):
    """Write pictures and a table of them, in which every patient has some; return the table."""
    folder.mkdir(parents=True)
    lines = ["image,patient,diagnosis"]
    for patient in range(first, first + patients):
        for k in range(each):
            number = patient * each + k
            ill = np.random.default_rng((number, 8)).random() < share
            cv2.imwrite(str(folder / f"{number}.png"), drawn(number, ill))
            lines.append(f"{number}.png,p{patient},{'tumour' if ill else 'healthy'}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


@pytest.mark.slow
class TestDiagnose(AppContract):
    app = "scans"
    group = main

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, tmp_path_factory):
        table = written(tmp_path_factory.mktemp("few") / "set", 120)
        few = ("--model", "micro", "--image-size", "32", "--epochs", "12", "--learning-rate", "0.01")
        request.cls.small = ("--task", "diagnose", *few, "--validation", "0.2", "--data", str(table))
        return table

    def inputs(self, folder):
        files = []
        for number in range(4):
            files.append(str(folder / f"{number}.png"))
            cv2.imwrite(files[-1], drawn(9000 + number, number % 2))
        return files

    def test_what_it_learnt_is_told_apart_and_scored_by_patients(self, home):
        document = json.loads(Path("runs/scans/latest/run.json").read_text())
        scores = document["scores"]["test"]
        assert scores["finding"] == "tumour" and scores["auc"] > 0.8  # by lot 0.5
        assert scores["patients"] == 24 and scores["count"] == 96
        assert scores["auc_interval"][0] < scores["auc"] <= scores["auc_interval"][1]
        assert {"sensitivity", "specificity", "roc", "threshold", "reliability"} <= scores.keys()
        assert "auc" in scores["baseline"]

    def test_keras_and_tflite_answer_by_the_threshold_alike(self, home, tmp_path):
        run = Path("runs/scans/latest")
        inputs = self.inputs(tmp_path)
        answers = [
            list(predict("scans", [file, *inputs])) for file in (run / "model.keras", *run.glob("export/*.tflite"))
        ]
        assert len(answers) == 4
        about = open_model(run / "model.keras", "scans").metadata["screening"]
        assert about["finding"] == "tumour" and 0 < about["threshold"] < 1 and about["threshold"] != 0.5
        for found in answers:
            for answer, first in zip(found, answers[0], strict=True):
                assert answer["label"] == ("tumour" if answer["score"] >= about["threshold"] else "healthy")
                assert answer["score"] == pytest.approx(first["score"], abs=0.15 if found is answers[-1] else 1e-2)
        document = json.loads(self.run("predict", *inputs, "--json").stdout)
        assert "not a medical device" in document["notice"]
        assert "not a medical device" in self.run("predict", *inputs).output

    def test_explain_says_what_predict_says(self, home, tmp_path):
        inputs = self.inputs(tmp_path)
        model = Path("runs/scans/latest/model.keras")
        said = {Path(answer["input"]).stem: answer for answer in predict("scans", [model, *inputs])}
        found = json.loads(self.run("explain", model, *inputs, "--out", "why", "--json").stdout)["images"]
        for name, answer in said.items():
            score = answer["score"] if answer["label"] == "tumour" else 1 - answer["score"]
            assert found[name]["label"] == answer["label"]
            assert found[name]["confidence"] == pytest.approx(score, abs=1e-4)

    def test_the_report_shows_the_curve_and_the_notice(self, home):
        page = Path("runs/scans/latest/report.html").read_text()
        assert "Finding it" in page and "ROC curve; area" in page and "not a medical device" in page

    def test_a_split_without_the_finding_is_refused_before_training(self, home, tmp_path):
        written(tmp_path / "two", 20)
        (tmp_path / "two" / "table.csv").rename(tmp_path / "two" / "train.csv")
        (tmp_path / "two" / "test.csv").write_text("image,patient,diagnosis\n0.png,q,healthy\n1.png,q,healthy\n")
        line = self.fails("train", *self.small[:-1], str(tmp_path / "two"), "--out", "never")
        assert "The test split has no images of 'tumour'" in line and not Path("never").exists()


class TestAugmentation(AugmentationContract):
    inputs = images(8, 32, 32, 1)
    classes = 2

    def build(self, seed):
        return diagnosis.augmentation(seed)


def test_training_says_what_is_looked_for():
    from cnnkit.inputs.image.loading import load
    from cnnkit_scans.cli import diagnosis as recipe

    train = load("phantom-lesions", limit=10).train
    made = recipe()
    (line,) = made.start(None, train, made.Settings())
    assert line.startswith("The finding is 'lesion': ") and line.endswith(" of 10 training images show it.")


def test_a_rare_finding_is_weighed_up_by_default():
    assert diagnosis.preset("default", 1000, False, rare=True)["class_weights"] is True
    assert diagnosis.preset("default", 1000, False)["class_weights"] is False


@pytest.mark.parametrize(("side", "depth"), [(128, 4), (64, 4), (32, 3), (8, 1)])
def test_the_network_is_as_deep_as_its_input_allows(side, depth):
    from tests import toys

    records = toys.bars(4).with_shape((side, side, 1))
    assert diagnosis.options(records, "default")["depth"] == depth
    diagnosis.BUILDERS["default"]((side, side, 1), 2, **diagnosis.options(records, "default"))
    assert diagnosis.options(records, "resnet") == {}

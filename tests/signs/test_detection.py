"""`cnnkit signs` as a detector: the contract of every app, and what is special about finding signs."""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit.device.model import read_metadata
from cnnkit.tasks.detection import loading
from cnnkit.tasks.detection.boxes import Annotations, Box, Picture
from cnnkit.tasks.detection.formats import annotations
from cnnkit_signs.cli import main
from tests import toy_boxes
from tests.contracts import AppContract

SMALL = """
image_size = 64
epochs = 6
batch_size = 16
learning_rate = 0.01
ema = 0.9
options = { strides = [8], width = 16 }
"""
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "scipy", "h5py", "jax")


def write_shapes(path, form, names=toy_boxes.LABELS, **counts):
    """Write so many images of each split, with boxes around shapes, as a data set of that format; return its folder."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed, (split, count) in enumerate(counts.items(), 1):
            root = Path(folder) / split
            root.mkdir()
            shapes, pictures = toy_boxes.shapes(count, seed), []
            for k in range(count):
                name = f"{split}-{k:03}.png"
                cv2.imwrite(str(root / name), shapes.native(k)[..., ::-1])
                corners, codes, _ = shapes.boxes(k)
                boxes = (Box(names[code], *sides) for code, sides in zip(codes, corners.tolist(), strict=True))
                pictures.append(Picture(name, toy_boxes.SIDE, toy_boxes.SIDE, tuple(boxes)))
            found[split] = Annotations(root, tuple(pictures), tuple(names))
        annotations.write(found, path, form)
    return path


def write_video(path, count=12):
    """A video in which the first toy image moves to the right."""
    image = toy_boxes.shapes(1, 5).native(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (toy_boxes.SIDE + 32, toy_boxes.SIDE))
    assert writer.isOpened()
    for k in range(count):
        writer.write(cv2.copyMakeBorder(image[..., ::-1], 0, 0, k, 32 - k, cv2.BORDER_CONSTANT, value=(40, 40, 40)))
    writer.release()
    return path


class TestDetection(AppContract):
    """Everything that is done with one small detector."""

    app = "signs"
    group = main
    held_out_by_the_source = True

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, tmp_path_factory):
        """The data set, and the options that train on it in seconds."""
        folder = tmp_path_factory.mktemp("shapes")
        (folder / "small.toml").write_text(SMALL)
        shapes = write_shapes(folder / "shapes", "coco", train=128, validation=8, test=24)
        request.cls.small = ("--config", str(folder / "small.toml"), "--data", str(shapes))
        request.cls.int8 = Path("runs/signs/latest/export/signs-int8.tflite")
        return shapes

    def inputs(self, folder):
        for number in range(3):
            cv2.imwrite(str(folder / f"{number}.png"), toy_boxes.shapes(1, 10 + number).native(0)[..., ::-1])
        return [str(folder / f"{number}.png") for number in range(3)]

    def document(self, *words):
        return json.loads(self.run(*words, "--json").stdout)

    def test_the_detector_finds_what_it_was_not_trained_on(self, home):
        run = json.loads(Path("runs/signs/latest/run.json").read_text())
        scores = run["scores"]["test"]
        assert run["task"] == "detection" and run["data"]["labels"] == list(toy_boxes.LABELS)
        assert scores["ap50"] > 0.8 and scores["baseline"]["ap50"] > 0.3  # a bar, unlike boxes without a look
        assert all(entry["ap50"] > 0.5 for entry in scores["per_class"].values())

    def test_a_refit_keeps_the_threshold_that_validation_chose(self, tmp_path):
        shapes = write_shapes(tmp_path / "shapes", "coco", train=40, test=8)
        words = (
            *self.small,
            "--data",
            shapes,
            "--epochs",
            "1",
            "--refit",
            "--validation",
            "0.2",
            "--out",
            tmp_path / "run",
        )
        scores = self.document("train", *words)["scores"]["test"]
        run = json.loads((tmp_path / "run/run.json").read_text())
        assert run["refit"]["records"] == 40 and run["data"]["sizes"]["validation"] == 8
        first, last = (
            read_metadata(tmp_path / "run" / name)["detection"] for name in ("refit/model.keras", "model.keras")
        )
        assert first["threshold"] == 0.5 != last["threshold"] and last == {**first, "threshold": last["threshold"]}
        assert self.document("evaluate", tmp_path / "run")["ap50"] == pytest.approx(scores["ap50"], abs=1e-6)

    def test_maps_and_threshold_travel_inside_every_artifact(self, home):
        for path in (Path("runs/signs/latest/model.keras"), *Path("runs/signs/latest/export").glob("*.tflite")):
            plan = read_metadata(path)["detection"]
            assert plan["strides"] == [8] and plan["scale"] is None and 0 < plan["threshold"] < 1, path

    def test_export_refuses_a_model_that_loses_and_exits_with_3(self, home, monkeypatch):
        super().test_export_refuses_a_model_that_loses_and_exits_with_3(home, monkeypatch)
        gate = json.loads(Path("refused/gate.json").read_text())
        assert (gate["tolerance"], gate["class_tolerance"]) == (1.0, 3.0), "those of the task"
        assert gate["artifacts"]["int8"]["refused"] and set(gate["reference"]["per_class"]) == set(toy_boxes.LABELS)

    def test_a_file_that_answers_alike_passes(self, home):
        output = " ".join(self.run("export", "--precision", "float32", "--out", "own").output.split())
        assert "against the trained model" in output and "REFUSED" not in output
        verdict = json.loads(Path("own/gate.json").read_text())["artifacts"]["float32"]
        assert verdict["passed"] and abs(verdict["difference"]) < 0.01
        assert [path.name for path in Path("own").glob("*.tflite")] == ["signs-float32.tflite"]

    def test_the_report_speaks_of_boxes(self, home):
        page = Path("runs/signs/latest/report.html").read_text()
        for title in ("Precision and recall", "By size", "Confusions", "Samples", "Layers", "Model card"):
            assert f">{title}</h2>" in page, title
        assert "always answers with one of" not in page and "It looks for its 2 classes only" in page
        assert ">None<" not in page and ">nan" not in page.lower()

    def test_predict_from_int8_needs_no_tensorflow(self, home, tmp_path):
        (tmp_path / "folder").mkdir()
        image, *_ = self.inputs(tmp_path)
        self.inputs(tmp_path / "folder")
        write_video(tmp_path / "v.avi")
        code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))  # importing any of these now fails
from cnnkit_signs.cli import main
main(sys.argv[1:])
"""
        for results in ("found.csv", "found.coco.json"):
            words = [str(self.int8.resolve()), image, "folder", "v.avi", "--out", "out", "--results", results, "--json"]
            command = [sys.executable, "-c", code, "predict", *words]
            done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
            assert done.returncode == 0, done.stderr
            document = json.loads(done.stdout)
        entries = document["predictions"]
        assert len(entries) == 1 + 3 + 12 and sum(bool(entry["boxes"]) for entry in entries) >= 12
        for entry in entries[:4]:
            for box in entry["boxes"]:
                left, top, right, bottom = box["box"]
                assert 0 <= left < right <= 64 and 0 <= top < bottom <= 64 and box["label"] in toy_boxes.LABELS
        assert document["tracks"] and document["tracks"][0]["last_frame"] > document["tracks"][0]["first_frame"]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "0-2.png",
            "0.png",
            "1.png",
            "2.png",
            "v.mp4",
        ]
        with (tmp_path / "found.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        coco = json.loads((tmp_path / "found.coco.json").read_text())
        assert len(rows) == len(coco["annotations"]) == sum(len(entry["boxes"]) for entry in entries) > 0
        assert [entry["name"] for entry in coco["categories"]] == list(toy_boxes.LABELS)

    def test_int8_finds_the_boxes_that_were_drawn(self, home, tmp_path):
        shapes = toy_boxes.shapes(6, 77)
        right = total = 0
        for k in range(len(shapes)):
            cv2.imwrite(str(tmp_path / f"{k}.png"), shapes.native(k)[..., ::-1])
            found = self.document("predict", self.int8, tmp_path / f"{k}.png")["predictions"][0]["boxes"]
            corners, codes, _ = shapes.boxes(k)
            for sides, code in zip(corners, codes, strict=True):
                near = [b["label"] for b in found if np.abs(np.array(b["box"]) - sides).max() < 10]
                right += toy_boxes.LABELS[code] in near
                total += 1
        assert right >= 0.6 * total, (right, total)

    def test_a_video_that_ends_early_is_a_warning_and_the_rest_is_kept(self, home, tmp_path):
        path = write_video(tmp_path / "cut.avi", 20)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        document = self.document("predict", self.int8, path)
        (warning,) = document["warnings"]
        assert "cut.avi" in warning and "of the 20" in warning
        assert 5 < len(document["predictions"]) < 20

    def test_a_recogniser_names_what_the_detector_finds(self, home, tmp_path):
        folder = tmp_path / "cuts"
        shapes = toy_boxes.shapes(40, 3)
        for k in range(len(shapes)):
            for number, (sides, code) in enumerate(zip(*shapes.boxes(k)[:2], strict=True)):
                left, top, right, bottom = sides.astype(int)
                path = folder / ("round" if code else "square one") / f"{k:05d}_{number:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), shapes.native(k)[top:bottom, left:right, ::-1])
        line = self.fails("train", "--data", folder, "--task", "detect", "--out", tmp_path / "run")
        assert "is for classification; this command is for detection" in line and str(folder) in line
        assert not (tmp_path / "run").exists()
        options = ("--model", "micro", "--image-size", "16", "--epochs", "1")
        self.run("train", "--data", folder, *options, "--out", tmp_path / "run")  # what to learn follows the data
        assert json.loads((tmp_path / "run/run.json").read_text())["task"] == "classification"
        image, *_ = self.inputs(tmp_path)
        document = self.document("predict", self.int8, image, "--recogniser", tmp_path / "run", "--top", "2")
        (entry,) = document["predictions"]
        assert entry["boxes"] and all(box["recognised"] in ("round", "square one") for box in entry["boxes"])
        assert all(len(box["top"]) == 2 for box in entry["boxes"])
        line = self.fails("predict", self.int8, image, "--recogniser", self.int8)
        assert "is a detector" in line
        assert "is for detectors" in self.fails("predict", tmp_path / "run", image, "--iou", "0.5")
        assert "--tiles is for --task detect" in self.fails("train", "--data", folder, "--tiles")
        assert "--tile-scale is for --task detect" in self.fails("train", "--data", folder, "--tile-scale", "2")

    def test_other_data_is_scored_by_the_names_of_its_classes(self, home, tmp_path):
        disc, square = toy_boxes.LABELS[::-1]
        swapped = write_shapes(tmp_path / "swapped", "yolo", train=8, test=24)
        text = (swapped / "data.yaml").read_text()
        assert text.index(square) < text.index(disc)
        (swapped / "data.yaml").write_text(text.replace(square, "*").replace(disc, square).replace("*", disc))
        for path in (swapped / "labels").rglob("*.txt"):  # the same boxes under the same names, numbered otherwise
            path.write_text("".join(f"{1 - int(row[0])}{row[1:]}\n" for row in path.read_text().splitlines()))
        scores = self.document("evaluate", "--data", swapped)
        assert scores["ap50"] > 0.8
        other = write_shapes(tmp_path / "other", "coco", names=(square, "cone"), train=8, test=8)
        line = self.fails("evaluate", "--data", other)
        assert "labels that the model does not know: cone" in line

    @pytest.mark.slow
    def test_a_continued_detector_copies_its_classes_and_keeps_its_data(self, home, data, tmp_path):
        new = write_shapes(tmp_path / "new", "voc", names=("cone", "disc"), train=24, test=8)
        words = ("--epochs", "1", "--learning-rate", "0.00001", "--out", tmp_path / "run")
        document = self.document("train", "--data", new, "--weights", Path("runs/signs/latest"), "--replay", *words)
        run = json.loads((tmp_path / "run/run.json").read_text())
        assert run["data"]["labels"] == ["square", "disc", "cone"] and run["settings"]["image_size"] is None
        assert run["data"]["sizes"]["train"] > 128 and run["data"]["sizes"]["test"] == 24 + 8
        assert "2 of 3 classes copied by name" in " ".join(run["weights"]["notes"])
        assert run["settings"]["options"]["strides"] == [8]
        assert read_metadata(tmp_path / "run/model.keras")["detection"]["strides"] == [8]
        again = self.document("evaluate", tmp_path / "run")
        assert again["ap50"] == document["scores"]["test"]["ap50"]
        assert set(again["per_class"]) == {"square", "disc", "cone"} and again["per_class"]["square"]["ap50"] > 0.5

    @pytest.mark.parametrize(
        "options", [("--mixup", "0.2"), ("--cutmix", "1"), ("--rand-augment",), ("--class-weights",)]
    )
    def test_what_would_spoil_boxes_is_refused_in_one_line(self, options):
        line = self.fails("train", *self.small, *options, "--out", "run")
        assert f"{options[0]} is for --task recognise" in line
        assert not Path("run").exists()

    @pytest.mark.slow
    def test_tiles_are_cut_or_not_as_told(self, tmp_path):
        words = ("train", *self.small, "--epochs", "1", "--limit", "16")
        self.run(*words, "--tiles", "--out", "tiled")
        plan = read_metadata(Path("tiled/model.keras"))["detection"]
        assert plan["scale"] >= 1 and plan["overlap"] >= 32
        assert json.loads(Path("tiled/run.json").read_text())["settings"]["tiles"] is True
        large = np.tile(toy_boxes.shapes(1, 5).native(0), (3, 3, 1))
        cv2.imwrite("large.png", large)
        document = self.document("predict", "tiled", "large.png", "--threshold", "0")
        sides = np.array([box["box"] for box in document["predictions"][0]["boxes"]])
        assert sides[:, :2].min() < 64 and sides[:, 2:].max() > 128, "every part of the image is looked at"
        whole = self.run(*words, "--no-tiles", "--out", "whole").output
        assert "Whole images, fitted into 64 px" in whole and "Tiles of" not in whole

    def test_a_size_that_the_maps_do_not_divide_is_one_line(self):
        line = self.fails("train", "--image-size", "100")  # without --data and --task a detector is what is trained
        assert "multiple of 32" in line and "100" in line

    def test_strides_that_are_none_are_one_line(self, data):
        for strides in ("[3]", "'all'", "[8, 32]"):
            Path("bad.toml").write_text(f"options = {{ strides = {strides} }}")
            line = self.fails("train", "--config", "bad.toml", "--data", data, "--image-size", "64")
            assert "strides" in line, line

    def test_maps_are_those_that_the_model_has(self, data):
        own = loading.load(data, image_size=64)
        told = loading.load(data, image_size=64, strides=[8, 16])
        assert own.train.plan.strides == (8, 16, 32) and told.train.plan.strides == (8, 16)
        assert told.card["notes"][-1] == "Maps at strides 8, 16, as the model's settings say."


class TestData:
    """`data` and bad data, where no model is needed but the untrained one that evaluates."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_data_list_names_the_default(self):
        document = json.loads(self.run("data", "list", "--json").stdout)
        assert document["default"] == "road-scenes"
        assert {"drawn-signs", "gtsdb", "road-scenes"} <= {card["name"] for card in document["cards"]}

    def test_data_check_looks_at_boxes(self):
        write_shapes(Path("shapes"), "voc", train=20)
        path = next(Path("shapes").rglob("train-003.xml"))
        text = path.read_text()
        start = text.index("<object>")
        path.write_text(text.replace("</annotation>", text[start : text.index("</object>") + 9] + "</annotation>"))
        findings = json.loads(self.run("data", "check", "shapes", "--json").stdout)["findings"]
        (twice,) = [finding for finding in findings if finding["kind"] == "box-twice"]
        assert any("train-003" in file for file in twice["files"])
        assert "train-003" in self.run("data", "check", "shapes").output

    def test_data_check_of_drawn_scenes_finds_nothing(self):
        assert json.loads(self.run("data", "check", "--json").stdout)["findings"] == []

    def test_data_show_draws_samples_with_their_boxes(self):
        write_shapes(Path("shapes"), "yolo", train=12)
        self.run("data", "show", "shapes", "--out", "samples.png")
        picture = cv2.imread("samples.png")
        assert picture is not None and min(picture.shape[:2]) > 800
        green = (np.abs(picture.astype(int) - (115, 158, 0)).max(-1) < 12).sum()  # of the first class's boxes
        assert green > 500

    def test_data_convert_goes_round_all_formats(self):
        source = write_shapes(Path("voc"), "voc", train=12, test=5)
        for form, folder in (("coco", "b"), ("yolo", "c"), ("gtsdb", "d"), ("voc", "e")):
            document = json.loads(self.run("data", "convert", source, form, folder, "--json").stdout)
            assert document["splits"]["train"][0] == 12 and document["splits"]["test"][0] == 5
            source = folder
        before, after = (annotations.read("voc"), annotations.read("e"))
        assert [(p.file, p.boxes) for p in before.pictures] == [(p.file, p.boxes) for p in after.pictures]
        assert "not empty" in self.fails("data", "convert", "voc", "coco", "b")
        self.run("data", "convert", "voc", "excel", "f", code=2)
        assert "there is no none" in self.fails("data", "convert", "none", "coco", "f").lower()

    @pytest.fixture(scope="class")
    def untrained(self, tmp_path_factory):
        """A detector that has learnt nothing yet knows the classes."""
        from cnnkit import training
        from cnnkit.device.detection import Plan
        from cnnkit.models.detectors import detector

        path = tmp_path_factory.mktemp("untrained") / "model.keras"
        metadata = {"app": "signs", "task": "detection", "labels": list(toy_boxes.LABELS), "input": {"kind": "image"}}
        plan = {**Plan((8,)).to_dict(), "threshold": 0.5}
        training.save(detector((64, 64, 3), 2, strides=(8,), width=8), path, {**metadata, "detection": plan})
        return path

    @pytest.mark.parametrize(
        ("form", "pattern", "change", "where", "what"),
        [
            ("voc", "train-003.xml", lambda text: text.replace("</object>", "", 1), ", line ", "not XML"),
            ("voc", "train-003.xml", lambda text: '<!DOCTYPE a [<!ENTITY b "b">]>\n' + text, ", line 1", "DOCTYPE"),
            ("yolo", "train-003.txt", lambda text: "0 0.5 0.5 0.1\n", ", line 1", "4 values"),
            ("yolo", "train-003.txt", lambda text: text + "7 0.5 0.5 0.1 0.1\n", ", line ", "the class 7"),
            ("yolo", "train-003.txt", lambda text: text + "1 0.5 0.5 0 0.1\n", ", line ", "a box of 0 x 0.1"),
            ("coco", "train-003.png", lambda text: "no image", "", "is not an image"),
            ("coco", "train-003.png", None, "", "there is no"),
        ],
    )
    def test_a_fault_is_named_and_can_be_left_out(self, untrained, form, pattern, change, where, what):
        write_shapes(Path("shapes"), form, train=24)
        path = next(Path("shapes").rglob(pattern))
        if change is None:
            path.unlink()
        else:
            text = path.read_text() if path.suffix != ".png" else ""
            path.write_text(change(text))
        line = self.fails("train", "--data", "shapes", "--image-size", "64")
        assert "train-003" in line and where in line and what in line and "--skip-bad" in line, line
        assert not Path("runs").exists()
        result = self.run("evaluate", untrained, "--data", "shapes", "--skip-bad")
        assert "Left out" in result.stderr and "train-003" in " ".join(result.stderr.split())

    @pytest.mark.parametrize("skip", [(), ("--skip-bad",)])
    def test_json_that_is_broken_holds_nothing_to_go_on_with(self, skip):
        write_shapes(Path("shapes"), "coco", train=12)
        (path,) = Path("shapes/annotations").glob("*.json")
        path.write_text(path.read_text()[:1000])
        line = self.fails("train", "--data", "shapes", *skip)
        assert path.name in line and ", line " in line and "not JSON" in line

    def test_data_without_anything_to_find_is_one_line(self):
        write_shapes(Path("shapes"), "yolo", train=12)
        for path in Path("shapes/labels").rglob("*.txt"):
            path.write_text("")
        assert "no box" in self.fails("train", "--data", "shapes")
        for path in Path("shapes/images").rglob("*.png"):
            path.unlink()
        assert "shapes" in self.fails("train", "--data", "shapes")

    def test_a_class_of_the_test_that_training_does_not_have_is_one_line(self):
        write_shapes(Path("shapes"), "voc", train=12, test=6)
        path = next(path for path in Path("shapes").rglob("test-*.xml") if "disc" in path.read_text())
        path.write_text(path.read_text().replace("disc", "cone"))
        line = self.fails("train", "--data", "shapes")
        assert "test split" in line and "cone" in line

    @pytest.mark.parametrize("source", ["drawn-signs", "digits"])
    def test_detection_of_class_folders_is_one_line(self, source):
        line = self.fails("train", "--task", "detect", "--data", source)
        assert "is for classification; this command is for detection" in line
        assert "detection" in self.fails("train", "--task", "recognise", "--data", "road-scenes")

"""Numbers of pictures through every verb, from data to device, and from Python."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import cnnkit
from cnnkit.run import Run
from tests.tasks.regression import lines


def run(*words, code=0):
    found = CliRunner().invoke(lines.APP.command_line, [str(word) for word in words])
    assert found.exit_code == code, f"{words}: {found.output}\n{found.exception!r}"
    return found


def document(*words):
    return json.loads(run(*words, "--json").stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on 240 pictures, exported; its data."""
    folder = tmp_path_factory.mktemp("lines")
    data = lines.write(folder / "data")
    run("train", "--data", data, "--out", folder / "run")
    run("export", folder / "run", "--precision", "float32,int8")
    return folder / "run", data


def test_it_learns_beyond_what_needs_no_network(trained):
    scores = Run.open(trained[0]).document["scores"]["test"]
    assert scores["headline"] == {"name": "mean_absolute_error", "unit": "degrees", "better": "less"}
    assert scores["mean_absolute_error"] < 0.4 * scores["constant"]["value"] and scores["constant"]["sure"]
    assert set(scores["always"]) == {scores["constant"]["name"], *scores["always"]} and len(scores["always"]) == 3
    assert any(name.startswith("always 0 (upright)") for name in scores["always"])
    low, high = scores["mean_absolute_error_interval"]
    assert low < scores["mean_absolute_error"] < high
    assert scores["resampled"].endswith("consecutive records") or scores["resampled"].endswith("groups")
    assert "mean_absolute_error" in scores["baseline"] and 0 < scores["baseline"]["against"]["p"] <= 1


def test_every_artifact_scores_alike_and_int8_passes_the_gate(trained):
    path, _ = trained
    before = Run.open(path).document["scores"]["test"]["mean_absolute_error"]
    assert document("evaluate", path)["mean_absolute_error"] == pytest.approx(before, rel=1e-5)
    files = sorted((path / "export").glob("*.tflite"))
    assert [file.name for file in files] == ["lines-float32.tflite", "lines-int8.tflite"]
    assert document("evaluate", files[0])["mean_absolute_error"] == pytest.approx(before, rel=1e-3)
    gate = json.loads((path / "export" / "gate.json").read_text())
    spread = Run.open(path).document["fitted"]["regression"]["spread"][0]
    assert gate["tolerance"] == pytest.approx(0.02 * spread, rel=0.01)
    assert abs(gate["artifacts"]["int8"]["difference"]) < gate["tolerance"]


def test_the_answer_is_in_the_unit_of_the_data_with_an_interval(trained):
    path, data = trained
    with (data / "values.csv").open() as file:
        rows = list(csv.DictReader(file))[:40]
    files = [data / row["image"] for row in rows]
    for model in (path / "model.keras", path / "export" / "lines-int8.tflite"):
        found = document("predict", model, *files)["predictions"]
        errors = [abs(entry["value"] - float(row["angle"])) for entry, row in zip(found, rows, strict=True)]
        assert np.mean(errors) < 6, model
        assert all(entry["unit"] == "degrees" and entry["level"] == 0.9 for entry in found)
        half = [entry["interval"][1] - entry["value"] for entry in found]
        assert np.ptp(half) < 1e-3 and half[0] > 0
    assert "degrees" in run("predict", path, files[0]).output


def test_answers_are_written_as_csv_and_json(trained, tmp_path):
    path, data = trained
    run("predict", path, data / "pictures", "--results", tmp_path / "found.csv")
    with (tmp_path / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 240 and rows[0]["name"] == "angle" and rows[0]["unit"] == "degrees"
    assert float(rows[0]["low"]) < float(rows[0]["value"]) < float(rows[0]["high"])
    assert "End it in .json or .csv" in run("predict", path, data, "--results", tmp_path / "found.txt", code=1).output


def test_the_interval_of_answers_is_held_against_the_test(trained):
    scores = Run.open(trained[0]).document["scores"]["test"]
    coverage = scores["coverage"]
    low, high = coverage["interval"]
    assert coverage["level"] == 0.9 and low <= coverage["share"] <= high <= 1


def test_the_report_says_where_it_is_wrong(trained):
    page = (trained[0] / "report.html").read_text()
    for title in ("Predicted and true", "Errors by value", "Plain answers", "Largest errors", "Evidence"):
        assert f">{title}<" in page, title
    assert "always 0 (upright)" in page and "% of the test" in page.replace("\u202f", " ")


def test_explain_draws_where_a_number_comes_from(trained, tmp_path):
    path, data = trained
    found = document("explain", path, data / "pictures" / "0003.png", "--out", tmp_path / "drawn")
    assert "degrees" in found["images"]["0003"]["label"] and found["images"]["0003"]["confidence"] is None
    assert len(list((tmp_path / "drawn").rglob("*.png"))) == 5
    assert "both" not in [row["name"] for row in found["images"]["0003"]["layers"]]


def test_bench_and_show(trained, tmp_path):
    path, data = trained
    assert len(document("bench", path, "--runs", 3)["models"]) == 2
    run("data", "show", data, "--out", tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 5000


def test_the_same_from_python(trained):
    path, data = trained
    model = cnnkit.load_model(path)
    image = cv2.imread(str(data / "pictures" / "0005.png"))[..., ::-1]
    first = model.predict(image)
    assert first["value"] == pytest.approx(model.predict(data / "pictures" / "0005.png")["value"], rel=1e-4)
    assert len(model.predict(np.stack([image, image]))) == 2
    loaded = cnnkit.load_data(data, task="regression")
    inputs, targets = next(iter(loaded.train.dataset(batch_size=4)))
    assert inputs.shape == (4, 24, 48, 3) and targets.shape == (4, 1) and targets.dtype.name == "float32"
    assert loaded.train.records.words(0).replace(".", "").lstrip("-").isdigit()


def test_a_run_repeats_bit_for_bit_and_other_weights_keep_their_scale(trained, tmp_path):
    path, data = trained
    words = ("train", "--data", data, "--epochs", 1, "--limit", 60)
    for name in ("one", "two"):
        run(*words, "--out", tmp_path / name)
    with np.load(tmp_path / "one" / "checkpoint.npz") as one, np.load(tmp_path / "two" / "checkpoint.npz") as two:
        assert all(np.array_equal(one[name], two[name]) for name in one.files if name != "state")
    run(*words, "--out", tmp_path / "on", "--weights", path)
    scale = [Run.open(folder).document["fitted"]["regression"]["mean"] for folder in (path, tmp_path / "on")]
    assert scale[0] == scale[1]


def test_several_values_of_different_units_are_scored_each(tmp_path):
    data = lines.write(
        tmp_path / "data", 120, header=("image", "angle", "speed"), more=lambda k: (round(k % 7 + 0.5, 1),)
    )
    words = ("--values", "angle,speed", "--unit", "degrees,km/h", "--epochs", 2)
    found = document("train", "--data", data, *words, "--out", tmp_path / "run")["scores"]["test"]
    assert found["headline"]["name"] == "relative_error" and found["headline"]["unit"] == "%"
    assert set(found["per_class"]) == {"angle, degrees", "speed, km/h"}
    answer = document("predict", tmp_path / "run", data / "pictures" / "0001.png")["predictions"][0]["values"]
    assert answer["speed"]["unit"] == "km/h" and "interval" in answer["angle"]
    document("export", tmp_path / "run", "--precision", "float32", "--tolerance", 100)
    assert "Classes" in (tmp_path / "run" / "report.html").read_text()


def test_data_with_other_values_than_the_models_is_refused(trained, tmp_path):
    other = lines.write(tmp_path / "data", 40, header=("image", "angle", "speed"), more=lambda k: (k % 7,))
    line = run("evaluate", trained[0], "--data", other, "--values", "angle,speed", code=1).output
    assert "answers angle; the data has angle, speed" in line


@pytest.fixture(autouse=True)
def inside(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Path.cwd() == tmp_path

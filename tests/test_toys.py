"""The contract's test: kinds of input and task that no app has, crosswise with the core's own, through every verb."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit import training
from cnnkit.errors import DataError
from cnnkit.run import Run
from cnnkit.verbs.bench import bench
from cnnkit.verbs.predict import BATCH, ForeignOption, predict
from tests.toys import apps
from tests.toys.apps import APPS

ROOT = Path(__file__).parent.parent
EPOCHS = {"heights": 25, "speeds": 12, "radii": 25}


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory):
    """Install the toy kinds."""
    folder = apps.register(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, folder)
    yield folder
    sys.path.remove(folder)


def run(name, *words, code=0):
    """Run a command of an app; return what it printed."""
    found = CliRunner().invoke(APPS[name], [str(word) for word in words])
    assert found.exit_code == code, f"{words}: {found.output}\n{found.exception!r}"
    return found.output


def document(name, *words):
    output = CliRunner().invoke(APPS[name], [*(str(word) for word in words), "--json"]).stdout
    return json.loads(output)


def write(name, folder, count=120, seed=0):
    if name == "radii":
        return apps.write_pictures(folder, count, seed)
    return apps.write_series(folder, count, apps.heights if name == "heights" else apps.speeds, seed)


@pytest.fixture(scope="module", params=sorted(APPS))
def trained(request, tmp_path_factory):
    """Return the name of an app, its data, a run of it that is exported."""
    folder = tmp_path_factory.mktemp(request.param)
    data = write(request.param, folder / "data")
    run(request.param, "train", "--data", data, "--out", folder / "run", "--epochs", EPOCHS[request.param])
    run(request.param, "export", folder / "run")
    return request.param, data, folder / "run"


def test_it_learns(trained):
    name, _, path = trained
    scores = Run.open(path).document["scores"]["test"]
    if name == "speeds":
        assert scores["accuracy"] > 0.9 and scores["verdict"]["kind"] == "better"
    else:
        assert scores["headline"] == {
            "name": "mean_absolute_error",
            "unit": "V" if name == "heights" else "px",
            "better": "less",
        }
        assert scores["mean_absolute_error"] < 0.6 * scores["constant"]["value"]


def test_data_is_checked_and_shown(trained, tmp_path):
    name, data, _ = trained
    if name == "radii":
        run(name, "data", "show", data, "--out", tmp_path / "samples.png")
        assert (tmp_path / "samples.png").stat().st_size > 1000
        return
    assert "Nothing found" in run(name, "data", "check", data)
    assert "of them missing" in run(name, "data", "show", data)


def test_what_evaluate_says_is_what_training_said(trained):
    name, _, path = trained
    headline = "accuracy" if name == "speeds" else "mean_absolute_error"
    before = Run.open(path).document["scores"]["test"][headline]
    assert document(name, "evaluate", path)[headline] == pytest.approx(before, rel=1e-5)
    exported = document(name, "evaluate", path / "export" / f"{name}-float32.tflite")[headline]
    assert exported == pytest.approx(before, rel=1e-3)


def test_predict_answers_alike_from_a_run_and_from_its_files(trained):
    name, data, path = trained
    first = sorted(file for file in data.iterdir() if file.name != "targets.csv")[0]
    key = "score" if name == "speeds" else "number"
    found = [
        document(name, "predict", model, first)["predictions"][0][key]
        for model in (path / "model.keras", *(path / "export" / f"{name}-{p}.tflite" for p in ("float32", "int8")))
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-3) and found[2] == pytest.approx(found[0], rel=0.2)
    assert first.name in run(name, "predict", path, first)


def test_predict_and_bench_are_functions_that_print_nothing(trained, capfd):
    name, data, path = trained
    files = sorted(file for file in data.iterdir() if file.name != "targets.csv")[:3]
    expected = document(name, "predict", path, *files)["predictions"]
    capfd.readouterr()
    found = predict(name, [path, *files])
    first = next(found)
    assert [first, *found] == expected and not found.streams
    measured = bench(name, path, runs=3)
    assert len(measured.models) == 3 and all(row["median_ms"] > 0 for row in measured.models)
    assert capfd.readouterr() == ("", "")


def test_answers_come_before_all_inputs_are_read(trained, tmp_path):
    name, data, path = trained
    file = sorted(file for file in data.iterdir() if file.name != "targets.csv")[0]
    found = predict(name, [path, *[file] * BATCH, tmp_path / "none"])
    answers = [next(found) for _ in range(BATCH)]
    assert all(answer == answers[0] for answer in answers)
    with pytest.raises(DataError, match="none"):
        next(found)


def test_what_predict_cannot_do_is_said_in_the_words_of_the_kind(trained):
    name, data, path = trained
    what = "image files, folders, or - for an image on standard input" if name == "radii" else "files or folders"
    assert f"There is nothing to predict. Give {what}." in run(name, "predict", path, code=1)
    with pytest.raises(ForeignOption, match="`camera` is nothing that this model takes"):
        predict(name, [path, data], camera=0)


@pytest.mark.parametrize("name", sorted(APPS))
def test_only_inputs_that_are_drawn_have_a_picture_to_write(name):
    assert ("--out" in run(name, "data", "show", "--help")) == (name == "radii")
    assert ("contact sheet" in run(name, "data", "--help")) == (name == "radii")


def test_predict_needs_neither_tensorflow_nor_keras(trained, registered):
    name, data, path = trained
    first = sorted(file for file in data.iterdir() if file.name != "targets.csv")[0]
    code = (
        "import sys\nfor gone in ('tensorflow', 'keras', 'sklearn', 'matplotlib', 'h5py'): sys.modules[gone] = None\n"
        "from tests.toys.apps import APPS\nAPPS[sys.argv.pop(1)]()"
    )
    model = path / "export" / f"{name}-int8.tflite"
    done = subprocess.run(
        [sys.executable, "-c", code, name, "predict", model, first, "--json"],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'apps'}:{registered}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"] == document(name, "predict", model, first)["predictions"]


def test_explain_says_that_there_is_nothing_to_explain(trained):
    name, _, path = trained
    assert "nothing to explain" in run(name, "explain", path, code=1)


def test_every_precision_passes_the_gate(trained):
    name, _, path = trained
    found = json.loads((path / "export" / "gate.json").read_text())
    assert {precision: entry["passed"] for precision, entry in found["artifacts"].items()} == {
        "float32": True,
        "float16": True,
        "int8": True,
    }
    assert found["reference"]["headline"]["better"] == ("more" if name == "speeds" else "less")


def test_bench_measures_its_files(trained):
    name, _, path = trained
    assert len(document(name, "bench", path, "--runs", "3")["models"]) == 3


def test_the_report_speaks_of_it(trained):
    name, _, path = trained
    run(name, "report", path)
    page = (path / "report.html").read_text(encoding="utf-8")
    assert "Worst errors" in page or name == "speeds"
    if name != "speeds":
        assert "Mean absolute error" in page
    if name != "radii":
        assert "values 0 to 255" not in page


def test_a_second_data_set_is_learnt_beside_the_first(trained, tmp_path):
    name, _data, path = trained
    other = write(name, tmp_path / "other", 60, seed=9)
    words = "--data", other, "--weights", path, "--replay", "--epochs", "2", "--out", tmp_path / "run"
    run(name, "train", *words)
    first, both = Run.open(path).document, Run.open(tmp_path / "run").document
    assert both["data"]["sizes"]["train"] > first["data"]["sizes"]["train"] + 30
    assert both.get("fitted") == first.get("fitted")  # the weights mean the same
    run(name, "evaluate", tmp_path / "run")


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(trained, tmp_path):
    name, data, _path = trained
    words = "train", "--data", data, "--epochs", "4"
    run(name, *words, "--out", tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop(state):
        if state.epoch == 2:
            raise Stopped

    before = training.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "fit", lambda *given, on_epoch, **more: before(*given, on_epoch=stop, **more))
        assert isinstance(
            CliRunner().invoke(APPS[name], [*map(str, words), "--out", str(tmp_path / "cut")]).exception, Stopped
        )
    run(name, *words, "--out", tmp_path / "cut", "--resume")
    found = [np.load(tmp_path / folder / "checkpoint.npz") for folder in ("whole", "cut")]
    assert all(np.array_equal(found[0][key], found[1][key]) for key in found[0].files if key != "state")

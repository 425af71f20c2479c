"""`bench` measures files, each by itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnkit.cli import printing
from cnnkit.errors import ArtifactError
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.export.convert import convert
from cnnkit.reporter import Silent
from cnnkit.verbs import bench
from tests import toy_texts, toys


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a small file and, first in order, one of 8 MB."""
    from keras import Input, Model, layers

    folder = tmp_path_factory.mktemp("bench")
    (folder / "export").mkdir()
    (folder / "run.json").write_text(json.dumps({"app": "toy"}))
    about = {"app": "toy", "labels": ["a", "b"], **toys.ABOUT}
    for name, width in (("a-large", 20_000), ("b-small", 2)):
        image = Input((10, 10, 1))
        model = Model(image, layers.Dense(2)(layers.Dense(width)(layers.Flatten()(image))))
        content = convert(model, "float32", np.zeros((1, 10, 10, 1)), about)
        (folder / "export" / f"{name}.tflite").write_bytes(content)
    return folder


def measured(path):
    found = bench.bench("toy", path, runs=3, threads=1)
    assert found.runs == 3
    return {row["file"]: row for row in found.models}


def test_the_memory_of_a_file_is_its_own(run, capfd):
    held = np.ones(40_000_000)  # 320 MB of this process
    rows = measured(run)
    large, small = rows["a-large.tflite"], rows["b-small.tflite"]
    assert held.nbytes and large["bytes"] > 8e6
    assert small["peak_memory_mb"] < 8 < large["peak_memory_mb"] < 60
    assert max(row["runtime_memory_mb"] for row in rows.values()) < 200
    alone = measured(run / "export" / "b-small.tflite")["b-small.tflite"]
    assert abs(alone["peak_memory_mb"] - small["peak_memory_mb"]) < 3
    orders = [[row[name] for name in bench.QUANTILES] for row in rows.values()]
    assert all(order[0] > 0 and order == sorted(order) for order in orders) and large["load_ms"] > 0
    assert large["times_as_long"] == 1 > small["times_as_long"], "beside the first, within a turn"
    assert capfd.readouterr() == ("", ""), "as a function it prints nothing"


def test_a_table_says_what_is_measured(run, capsys):
    printing.measured(bench.bench("toy", run / "export" / "b-small.tflite", runs=1, threads=1))
    assert "Memory: what a file adds at its peak to a process of its own" in capsys.readouterr().out


def test_what_cannot_be_measured_is_one_line(run, tmp_path, monkeypatch):
    content = (run / "export" / "b-small.tflite").read_bytes()
    (tmp_path / "x.tflite").write_bytes(content[:-9] + b"000000000")
    with pytest.raises(ArtifactError, match="is damaged"):
        bench.bench("toy", tmp_path / "x.tflite", runs=1, threads=1)
    (tmp_path / "x.tflite").write_bytes(content)
    monkeypatch.setattr(bench.trials, "python", lambda *_: (["/bin/sh", "-c", "kill -ABRT $$"], {}))
    with pytest.raises(ArtifactError, match="ends the process that measures it") as caught:
        bench.bench("toy", tmp_path / "x.tflite", runs=1, threads=1)
    assert "\n" not in str(caught.value)
    says = json.dumps({"error": "ValueError: no"})
    monkeypatch.setattr(bench.trials, "python", lambda *_: (["/bin/echo", says], {}))
    with pytest.raises(ArtifactError, match=r"x\.tflite cannot be measured in LiteRT: ValueError: no\."):
        bench.bench("toy", tmp_path / "x.tflite", runs=1, threads=1)


class Heard(Silent):
    def __init__(self):
        self.warned = []

    def warning(self, text):
        self.warned.append(text)


def test_a_file_of_a_run_that_cannot_be_run_here_is_left_out_with_a_warning(run, tmp_path):
    """Such as one that is compiled for another processor."""
    shutil.copytree(run, tmp_path / "run")
    content = (run / "export" / "b-small.tflite").read_bytes()
    odd = tmp_path / "run" / "export" / "other" / "x.tflite"
    odd.parent.mkdir()
    odd.write_bytes(content[:-9] + b"000000000")
    tell = Heard()
    found = bench.bench("toy", tmp_path / "run", runs=1, threads=1, tell=tell)
    assert [row["file"] for row in found.models] == ["a-large.tflite", "b-small.tflite"]
    assert len(tell.warned) == 1 and tell.warned[0].startswith(f"Not measured: {odd}")
    for path in (tmp_path / "run" / "export").glob("*.tflite"):
        path.unlink()
    with pytest.raises(ArtifactError, match="is damaged"):
        bench.bench("toy", tmp_path / "run", runs=1, threads=1)


def test_threads_and_kernels_run_by_turns(run, capsys):
    told = []

    class Told(Silent):
        def note(self, text):
            told.append(text)

    found = bench.bench("toy", run / "export" / "b-small.tflite", runs=3, threads=[1, 2], beside=True, tell=Told())
    assert [(row["runs_in"], row["threads"]) for row in found.models] == [
        *(("LiteRT", 1), ("LiteRT without XNNPACK", 1)),
        *(("LiteRT", 2), ("LiteRT without XNNPACK", 2)),
    ]
    assert len(told) == 1 and "Keras and ONNX Runtime are not measured" in told[0]
    printing.measured(found)
    out = capsys.readouterr().out
    assert "XNNPACK" in out and "They ran by turns" in out


@pytest.mark.slow
def test_a_run_is_measured_beside_keras_and_onnx_runtime(toy_run, tmp_path):
    """One file of it, and the same model in the two others; all three answer alike."""
    path = tmp_path / "run"
    shutil.copytree(toy_run, path)
    artifact = open_artifact(path)
    content = convert(artifact.model, "float32", np.zeros((1, *artifact.input_shape)), artifact.metadata)
    (path / "export").mkdir(exist_ok=True)
    (path / "export" / "x.tflite").write_bytes(content)
    found = bench.bench(artifact.metadata["app"], path, runs=20, threads=1, beside=True)
    assert [row["runs_in"] for row in found.models] == ["LiteRT", "LiteRT without XNNPACK", "Keras", "ONNX Runtime"]
    by = {row["runs_in"]: row for row in found.models}
    assert by["Keras"]["times_as_long"] > 3 * by["LiteRT"]["times_as_long"], "a call of Keras takes a millisecond"


@pytest.mark.slow
def test_what_bench_says_agrees_with_the_benchmark_of_litert_itself(tmp_path):
    """On a model of several ms; it runs another interface, `CompiledModel`, and takes the mean."""
    from keras import Input, Model, layers

    image = x = Input((96, 96, 3))
    for _ in range(3):
        x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    model = Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    file = tmp_path / "x.tflite"
    file.write_bytes(
        convert(model, "float32", np.zeros((1, 96, 96, 3)), {"app": "toy", "labels": ["a", "b"], **toys.ABOUT})
    )
    ours, theirs = [], []
    for _ in range(3):  # by turns, as a machine has its moods
        (row,) = bench.bench("toy", file, runs=30, threads=1).models
        ours.append(row["median_ms"])
        tool = Path(sys.executable).with_name("litert-benchmark")
        words = ["--model", file, "--num_threads", "1", "--num_runs", "30", "--result_json", tmp_path / "theirs.json"]
        subprocess.run([tool, *words], capture_output=True, timeout=120, check=True)
        theirs.append(json.loads((tmp_path / "theirs.json").read_text())["latency"]["median_ms"])
    assert min(ours) > 2
    assert 0.7 < min(ours) / min(theirs) < 1.4


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_the_benchmark_of_litert_runs_a_file_of_texts_whatever_ids_it_makes_up(tmp_path, precision):
    from cnnkit.models.text import kim

    records = toy_texts.records(toy_texts.rows(60))
    network = kim((records.tokenizer.length,), 3, **toy_texts.small(records.tokenizer))
    ids = records.tokenizer.batch(records.texts(np.arange(32)))
    file = tmp_path / "x.tflite"
    file.write_bytes(convert(network, precision, ids, toy_texts.artifact(network, records).metadata))
    tool = Path(sys.executable).with_name("litert-benchmark")
    words = ["--model", file, "--num_threads", "1", "--num_runs", "20", "--result_json", tmp_path / "theirs.json"]
    subprocess.run([tool, *words], capture_output=True, timeout=120, check=True)
    assert json.loads((tmp_path / "theirs.json").read_text())["latency"]["num_runs"] == 20

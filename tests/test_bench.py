"""`bench` measures files, each by itself."""

import json

import numpy as np
import pytest

from cnnkit.cli import printing
from cnnkit.errors import ArtifactError
from cnnkit.export.convert import convert
from cnnkit.verbs import bench
from tests import toys


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
    assert all(row["load_ms"] > 0 and 0 < row["median_ms"] <= row["p95_ms"] for row in rows.values())
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

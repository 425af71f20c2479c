"""Training uses oneDNN's kernels, unless the user says otherwise, and nobody reads TensorFlow's words about it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cnnkit.run import Run
from tests import toys


def started(arguments, **environment):
    """Run Python with nothing set that TensorFlow reads."""
    plain = {
        key: value for key, value in os.environ.items() if key not in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL")
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=plain | environment, check=False)


def test_a_command_trains_with_it_and_its_streams_hold_no_word_of_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 12, 12)).astype(np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "noise.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    words = ["train", "--data", tmp_path / "noise.npz", "--model", "micro", "--epochs", 1, "--out", tmp_path / "run"]
    done = started(["-m", "cnnkit_digits.cli", *words])
    assert done.returncode == 0, done.stderr
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith("Warning: ")
    ]  # ours: a validation so small
    assert not lines
    assert "oneDNN" not in done.stdout + done.stderr and "TensorFlow" not in done.stdout
    assert json.loads((tmp_path / "run" / "run.json").read_text())["machine"]["onednn"] is True


@pytest.mark.parametrize(("given", "used"), [({}, True), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, False)])
def test_what_the_user_has_set_stays(given, used):
    program = "import cnnkit; import tensorflow; from cnnkit.run import machine; print(machine()['onednn'])"
    done = started(["-c", program], **given)
    assert done.stdout.strip() == str(used), done.stderr


def test_a_machine_says_nothing_of_it_before_tensorflow_is_there():
    done = started(["-c", "from cnnkit.run import machine; print('onednn' in machine())"])
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_a_run_knows_what_computes_otherwise_than_where_it_began(tmp_path):
    import tensorflow

    run = Run.create(tmp_path / "run", "toy", toys.Settings())
    assert run.computed_otherwise() == []
    run.document["machine"]["onednn"] = False
    run.document["versions"]["tensorflow"] = "2.0"
    assert run.computed_otherwise() == [
        f"tensorflow 2.0 (now {tensorflow.__version__})",
        "oneDNN off (now on; TF_ENABLE_ONEDNN_OPTS=0)",
    ]
    del run.document["machine"]["onednn"]  # a run of before this was recorded
    run.document["versions"] = {}
    assert run.computed_otherwise() == []

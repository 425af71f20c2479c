"""Kinds of inputs and tasks are found by the names in a file, ours and those that other packages register."""

import sys

import pytest

from cnnkit import opening
from cnnkit.errors import ArtifactError
from cnnkit.registry import DEVICE, INPUTS, TASKS, TRAINING, input_of, task_of


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package with a task of its own, as pip would."""

    def install(package, task, code="from cnnkit.device.kinds import TaskKind\nKIND = TaskKind()\n"):
        folder = tmp_path / package / "number"
        folder.mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (folder / "__init__.py").touch()
        (folder / "device.py").write_text(code)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[cnnkit.tasks]\n{task} = {package}.number\n")

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    for name in [name for name in sys.modules if name.startswith("toy_")]:
        del sys.modules[name]


def test_each_of_our_kinds_has_both_halves_and_its_own_name():
    for registry in (TASKS, INPUTS):
        for name in registry.ours():
            assert registry.half(name, DEVICE, "x").name == name
            assert registry.half(name, TRAINING, "x") is not None


def test_a_file_that_names_no_kind_is_one_of_those_that_say_so(tmp_path):
    assert (TASKS.unsaid(), INPUTS.unsaid()) == ("classification", "image")
    task, kind = opening.kinds_of("toy", tmp_path / "none.tflite")
    assert (task.name, kind.name) == ("classification", "image")
    assert opening.kinds_of("toy", tmp_path / "none.tflite", unsaid="text")[1].name == "text"


def test_a_kind_of_another_package_is_found(installed):
    installed("toy_ages", "number")
    kind = task_of({"task": "number"}, DEVICE, "x.tflite")
    assert kind.outputs == ("values",) and kind.labels({}, {"values": (1, 1)}) == ()


def test_one_that_is_not_known_is_a_line_that_names_those_that_are(installed):
    installed("toy_ages", "number")
    with pytest.raises(
        ArtifactError, match=r"x\.tflite: its task 'dreams' is not known here, only .*detection.*number"
    ):
        task_of({"task": "dreams"}, DEVICE, "x.tflite")
    with pytest.raises(ArtifactError, match=r"x\.keras does not say what it is for"):
        task_of({}, DEVICE, "x.keras")
    with pytest.raises(ArtifactError, match="does not say what kind of input"):
        input_of({"input": {"shape": [8]}}, DEVICE, "x.keras")
    for strange in ("os", "../image", 3, None):
        with pytest.raises(ArtifactError, match="not known here"):
            input_of({"input": {"kind": strange}}, DEVICE, "x.keras")


def test_one_that_two_packages_register_names_both(installed):
    installed("toy_ages", "number")
    installed("toy_years", "number")
    with pytest.raises(ArtifactError, match="is of both toy-ages and toy-years|is of both toy_ages and toy_years"):
        task_of({"task": "number"}, DEVICE, "x.tflite")


def test_one_that_cannot_be_loaded_is_a_line(installed):
    installed("toy_ages", "number", code="import something_that_is_not_there\n")
    with pytest.raises(ArtifactError, match="'number' of toy.ages cannot be loaded") as caught:
        task_of({"task": "number"}, DEVICE, "x.tflite")
    assert "\n" not in str(caught.value)

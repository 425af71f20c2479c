"""Artifacts open alike, and none that carries code is ever executed."""

import errno
import json
import tempfile
import zipfile

import keras
import numpy as np
import pytest

from cnnkit.device.model import with_decided
from cnnkit.errors import ArtifactError, CnnkitError
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.evaluation.scoring import score
from tests import toys


def test_a_run_folder_and_its_keras_file_open_alike(toy_run):
    images, _ = toys.splits().test.read(np.arange(5))
    one, other = open_artifact(toy_run, "toy"), open_artifact(toy_run / "model.keras", "toy")
    assert np.array_equal(one.run_batch(images)["scores"], other.run_batch(images)["scores"])
    assert one.labels == other.labels == ("horizontal", "vertical", "square")
    assert one.input_shape == (12, 12, 1)


def test_another_apps_model_is_refused_by_name(toy_run):
    with pytest.raises(ArtifactError, match="model of `cnnkit toy`, not of `cnnkit digits`"):
        open_artifact(toy_run / "model.keras", "digits")


def test_missing_and_foreign_files_are_one_line(tmp_path):
    for name, complaint in (
        ("none.keras", "does not exist"),
        ("x.txt", "not an artifact"),
        ("y.keras", "not a .keras model"),
        ("z.h5", "not an artifact"),
    ):
        path = tmp_path / name
        if "none" not in name:
            path.write_bytes(b"text")
        with pytest.raises(ArtifactError, match=complaint):
            open_artifact(path)
    with pytest.raises(ArtifactError, match="not a run folder"):
        open_artifact(tmp_path)


def test_a_keras_file_cut_short_is_one_line(toy_run, tmp_path):
    content = (toy_run / "model.keras").read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=r"cut\.keras"):
        open_artifact(path)


def test_weights_overwritten_inside_are_one_line(toy_run, tmp_path):
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(toy_run / "model.keras") as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info, b"not hdf5" if info.filename.endswith(".h5") else old.read(info))
    with pytest.raises(ArtifactError, match="cannot be loaded") as caught:
        open_artifact(path)
    assert "\n" not in str(caught.value)


def planted(toy_run, path, edit):
    """Copy a model with its configuration changed by `edit`."""
    with zipfile.ZipFile(toy_run / "model.keras") as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "config.json":
                configuration = json.loads(content)
                edit(configuration)
                content = json.dumps(configuration).encode()
            new.writestr(info, content)
    return path


def test_a_lambda_is_refused_and_never_run(tmp_path):
    import keras

    marker = tmp_path / "executed"
    image = keras.Input((4, 4, 1))
    x = keras.layers.Lambda(lambda x, to=str(marker): (open(to, "w").write("run"), x)[1], output_shape=(4, 4, 1))(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    marker.unlink(missing_ok=True)
    model.save(tmp_path / "bad.keras")
    with pytest.raises(ArtifactError, match="holds a Lambda layer.*nothing was executed"):
        open_artifact(tmp_path / "bad.keras")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("keras.src.utils", "get_file"),
        ("keras.layers", "TFSMLayer"),
        ("keras.layers", "TorchModuleWrapper"),
    ],
)
def test_objects_from_elsewhere_and_dangerous_ones_are_refused(toy_run, tmp_path, module, name):
    def edit(configuration):
        layer = configuration["config"]["layers"][1]
        layer["module"], layer["class_name"] = module, name

    with pytest.raises(ArtifactError, match=r"refused|cannot be loaded"):
        open_artifact(planted(toy_run, tmp_path / "bad.keras", edit))


def test_a_pickle_inside_is_refused(toy_run, tmp_path):
    path = tmp_path / "bad.keras"
    path.write_bytes((toy_run / "model.keras").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("weights.pkl", b"cos\nsystem\n(S'touch executed'\ntR.")
    with pytest.raises(ArtifactError, match=r"weights\.pkl, which may run code"):
        open_artifact(path)


def test_a_bomb_is_refused_before_it_is_unpacked(toy_run, tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 << 20))
    with pytest.raises(ArtifactError, match="unpacks to more"):
        open_artifact(path)


def test_data_of_other_classes_is_refused_by_name(toy_run):
    from cnnkit.inputs.image.records import ImageRecords

    test = toys.splits().test
    other = ImageRecords(test._source, test.labels, ("cat", "dog", "cow"))
    with pytest.raises(ArtifactError, match="horizontal, vertical, square; the data has cat, dog, cow"):
        score(open_artifact(toy_run), other, toys.recipe().task)


def test_what_was_decided_changes_only_what_it_names():
    before = {"temperature": 1.0, "labels": ["a"], "detection": {"strides": [8], "threshold": 0.5}}
    after = with_decided(before, {"temperature": 2.0, "sure": 0.9, "detection": {"threshold": 0.3}})
    assert after == {"temperature": 2.0, "labels": ["a"], "sure": 0.9, "detection": {"strides": [8], "threshold": 0.3}}
    assert before["detection"]["threshold"] == 0.5 and before["temperature"] == 1.0
    assert with_decided({}, {"detection": {"threshold": 0.3}}) == {"detection": {"threshold": 0.3}}


def test_a_disk_that_is_full_where_keras_unpacks_is_not_a_damaged_model(toy_run, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.saving, "load_model", full)
    with pytest.raises(CnnkitError, match=f"No space left on the device while writing {tempfile.gettempdir()}"):
        open_artifact(toy_run / "model.keras", "toy")
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: 1 / 0)
    with pytest.raises(ArtifactError, match="cannot be loaded: division by zero Train it again"):
        open_artifact(toy_run / "model.keras", "toy")

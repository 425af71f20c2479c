"""Damaged weights and run folders, planted bombs among them, are refused in one line, soon and in little memory."""

import io
import json
import shutil
import time
import zipfile

import h5py
import numpy as np
import pytest

from cnnkit import seals
from cnnkit.errors import ArtifactError
from cnnkit.evaluation.artifacts import open_artifact
from cnnkit.files import read_json
from cnnkit.models import weights
from cnnkit.run import Run
from cnnkit.training import checkpoint
from cnnkit.verbs.report import read_history
from tests import toys
from tests.test_damaged import one_line

FIRST = "layers/conv2d/vars/0"


def huge(file):
    """Declare 4 TB that were never written."""
    del file[FIRST]
    file.create_dataset(FIRST, (1 << 20, 1 << 20), "f4")


def packed(file):
    del file[FIRST]
    file.create_dataset(FIRST, data=np.zeros((1000, 1000), "f4"), chunks=(1000, 1000), compression="gzip")


def chunked(file):
    del file[FIRST]
    file.create_dataset(FIRST, (3, 3, 1, 8), "f4", maxshape=(None,) * 4, chunks=(256, 256, 256, 16))


def repeated(file):
    """A small array beside many that hold a fill value only."""
    for number in range(40):
        file.create_dataset(f"layers/more{number}/vars/0", (512, 512), "f4", fillvalue=1.0)


def parent(file):
    file["layers/conv2d/up"] = file["layers"]


def itself(file):
    file["layers/self"] = file["/"]


def soft(file):
    del file[FIRST]
    file[FIRST] = h5py.SoftLink("/layers")


def outside(file):
    del file[FIRST]
    file[FIRST] = h5py.ExternalLink("/etc/passwd", "x")


def deep(file):
    group = file["layers"]
    for _ in range(200):
        group = group.create_group("a")


def many(file):
    group = file["layers"].create_group("many")
    for number in range(3000):
        group.create_group(str(number))


def text(file):
    del file[FIRST]
    file.create_dataset(FIRST, data=["a", "b"], dtype=h5py.string_dtype())


PLANTED = [huge, packed, chunked, repeated, parent, itself, soft, outside, deep, many, text]


@pytest.fixture(scope="module")
def model():
    return toys.tiny_cnn((12, 12, 1), 3)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "plain.weights.h5"
    model.save_weights(path)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cnnkit.h5_files.MOST_GROUPS", 2000)


def plant(content, edit):
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        edit(opened)
    return file.getvalue()


@pytest.mark.parametrize("edit", PLANTED, ids=lambda edit: edit.__name__)
def test_planted_weights_are_refused_in_every_kind_of_file(model, saved, toy_run, tmp_path, edit):
    from cnnkit import h5_files

    content = plant(saved, edit)
    before = [np.array(value) for value in model.get_weights()]
    with pytest.raises(ArtifactError) as caught:  # as the child process does it
        h5_files._walk(content, read=True) if edit is not many else h5_files._walk(content)
    assert one_line(caught)
    path = tmp_path / "run.keras"
    with zipfile.ZipFile(toy_run / "model.keras") as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info, content if info.filename.endswith(".h5") else old.read(info))
    path.write_bytes(seals.sealed(path.read_bytes()))  # whoever plants may also seal
    began = time.perf_counter()
    for call in (lambda: open_artifact(path), lambda: weights.load(model, path)):
        with pytest.raises(ArtifactError, match=r"run\.keras") as caught:
            call()
        one_line(caught)
    assert time.perf_counter() - began < 10
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_planted_weights_without_a_checksum_are_refused_from_a_process_of_their_own(model, saved, tmp_path):
    for edit, complaint in ((huge, "declares more"), (itself, "without an end")):
        path = tmp_path / "x.weights.h5"
        path.write_bytes(plant(saved, edit))
        with pytest.raises(ArtifactError, match=complaint) as caught:
            weights.load(model, path)
        one_line(caught)
    path.write_bytes(saved)
    assert weights.load(model, path).layers


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.mark.parametrize("vouched", [True, False])
def test_a_flipped_bit_anywhere_in_a_keras_file_is_refused_or_changes_nothing(toy_run, tmp_path, monkeypatch, vouched):
    from cnnkit.keras_files import refuse_code

    monkeypatch.setattr("cnnkit.trials._tried", lambda *_: None)
    content = (toy_run / "model.keras").read_bytes()
    if not vouched:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, entry in entries(toy_run / "model.keras").items():
                archive.writestr(name, entry)
        content = file.getvalue()
    path, before, refused = tmp_path / "x.keras", entries(toy_run / "model.keras"), 0
    places = [*np.linspace(0, len(content) - 1, 60).astype(int), *range(len(content) - 120, len(content), 3)]
    for number, place in enumerate(places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << number % 8
        path.write_bytes(damaged)
        try:
            refuse_code(path)
        except ArtifactError as error:
            refused += 1
            one_line(error)
        else:
            assert entries(path) == before, place
    assert refused > (len(places) - 6 if vouched else len(places) // 2)


def test_a_zip_that_unpacks_to_gigabytes_is_refused_unread(toy_run, tmp_path):
    path, zeros = tmp_path / "bomb.keras", bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, entry in entries(toy_run / "model.keras").items():
            if not name.endswith(".h5"):
                archive.writestr(name, entry)
        with archive.open("model.weights.h5", "w", force_zip64=True) as file:
            for _ in range(257):
                file.write(zeros)
    for call in (lambda: open_artifact(path), lambda: weights.load(toys.tiny_cnn((12, 12, 1), 3), path)):
        began = time.perf_counter()
        with pytest.raises(ArtifactError, match="unpacks to more than cnnkit loads"):
            call()
        assert time.perf_counter() - began < 2


def test_a_configuration_of_more_weights_than_there_are_is_refused(toy_run, tmp_path):
    found = entries(toy_run / "model.keras")
    configuration = json.loads(found["config.json"])
    for layer in configuration["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer["config"]["units"] = 10**9
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        for name, entry in (found | {"config.json": json.dumps(configuration).encode()}).items():
            archive.writestr(name, entry)
    with pytest.raises(ArtifactError, match="a Dense layer of more weights than it holds") as caught:
        open_artifact(tmp_path / "x.keras")
    one_line(caught)


def test_weights_that_are_no_numbers_are_refused_by_name(toy_run, tmp_path):
    def spoil(file):
        file[FIRST][0, 0, 0, 0] = np.inf

    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        for name, entry in entries(toy_run / "model.keras").items():
            archive.writestr(name, plant(entry, spoil) if name.endswith(".h5") else entry)
    with pytest.raises(ArtifactError, match=r"x\.keras is damaged: .*not numbers") as caught:
        open_artifact(tmp_path / "x.keras")
    one_line(caught)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"labels": ["a", "b"]}, "names 2 labels and scores 3"),
        ({"temperature": 0}, "does not fit it"),
        ({"temperature": "hot"}, "does not fit it"),
        ({"input": {"kind": "image", "shape": ["wide"]}}, "does not fit it"),
        ({"task": "dreaming"}, "its task 'dreaming' is not known here"),
        ({"input": 7}, "input is a int"),
    ],
)
def test_what_a_keras_file_says_of_itself_fits_it_or_is_refused(toy_run, tmp_path, changes, complaint):
    found = entries(toy_run / "model.keras")
    found["cnnkit.json"] = json.dumps(json.loads(found["cnnkit.json"]) | changes).encode()
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        for name, entry in found.items():
            archive.writestr(name, entry)
    (tmp_path / "x.keras").write_bytes(seals.sealed((tmp_path / "x.keras").read_bytes()))
    with pytest.raises(ArtifactError, match=complaint) as caught:
        open_artifact(tmp_path / "x.keras")
    one_line(caught)


# Run folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(toy_run, tmp_path):
    return shutil.copytree(toy_run, tmp_path / "run")


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_refused(run):
    path = run / "checkpoint.npz"
    content = path.read_bytes()
    assert checkpoint.read_checkpoint(path)[1]["model"]
    for number, place in enumerate(np.linspace(0, len(content) - 1, 40).astype(int).tolist()):
        damaged = bytearray(content)
        damaged[place] ^= 1 << number % 8
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"checkpoint\.npz is damaged.*Delete it") as caught:
            checkpoint.read_checkpoint(path)
        one_line(caught)


def test_a_checkpoint_of_an_older_version_is_read_and_a_bomb_is_not(run):
    path = run / "checkpoint.npz"
    state, groups = checkpoint.read_checkpoint(path)
    found = entries(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, entry in found.items():
            archive.writestr(name, entry)
    again, same = checkpoint.read_checkpoint(path)
    assert again == state and all(np.array_equal(a, b) for a, b in zip(groups["model"], same["model"], strict=True))
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "<f4", "fortran_order": False, "shape": (1 << 42,)})
    with zipfile.ZipFile(path, "w") as archive:
        for name, entry in (found | {"model0.npy": array.getvalue()}).items():
            archive.writestr(name, entry)
    with pytest.raises(ArtifactError, match=r"checkpoint\.npz is damaged") as caught:
        checkpoint.read_checkpoint(path)
    one_line(caught)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in (found | {"model0.npy": bytes(1 << 24)}).items():
            archive.writestr(name, entry)
    with pytest.raises(ArtifactError, match="unpacks to more than it holds"):
        checkpoint.read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"app": 3}', b'{"settings": {}}', b"\0" * 90]
    + [json.dumps({"app": "toy", name: "odd"}).encode() for name in ("settings", "data", "training", "scores")],
)
def test_a_damaged_run_json_is_one_line(run, content):
    (run / "run.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"run\.json is damaged.*Train again") as caught:
        Run.open(run)
    one_line(caught)


def test_other_documents_of_a_run_are_one_line_too(run):
    for content in (b"", b'{"a": ', b"[]", b"\xff"):
        (run / "gate.json").write_bytes(content)
        with pytest.raises(ArtifactError, match=r"gate\.json is damaged.*Export again") as caught:
            read_json(run / "gate.json", "Export again.")
        one_line(caught)
    for content in (b"epoch,loss\n1,high\n", b"epoch\n1,2,3\n", b"\xff\n1\n"):
        (run / "history.csv").write_bytes(content)
        with pytest.raises(ArtifactError, match=r"history\.csv is damaged.*Train again") as caught:
            read_history(run / "history.csv")
        one_line(caught)

"""Installed packages add apps and readers; one that is broken spoils nothing else."""

import importlib
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit import cli
from cnnkit.data import readers
from cnnkit.errors import DataError
from cnnkit.inputs.image.loading import load

LEAF = """
import click
import numpy as np
from cnnkit.inputs.image.readers import FOLDER
from cnnkit.data.reading import Reader


def read(request):
    return FOLDER.read(request)


def fits(path, named):
    return (path / "leaf.txt").is_file()


def splits(path):
    return {"train": {"folder": "."}}


READER = Reader(read, "classification", ("folder",), frozenset(["folder"]), about="leaves", fits=fits, splits=splits)


@click.command()
def main():
    "Name leaves."
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install packages of one module each: install(package, source, {group: {name: object}})."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def make(package, source, groups):
        folder = site / f"{package}-1.0.dist-info"
        folder.mkdir(parents=True)
        lines = [f"[{group}]\n{name} = {value}\n" for group, names in groups.items() for name, value in names.items()]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (site / f"{package}.py").write_text(source)
        monkeypatch.delitem(sys.modules, package, raising=False)
        importlib.invalidate_caches()

    return make


@pytest.fixture
def leaves(class_folders):
    root = class_folders({"oak": 10, "elm": 10})
    (root / "leaf.txt").write_text("")
    return root


def test_a_package_adds_a_reader_that_is_asked_and_found_by_name(install, leaves, tmp_path):
    before = load(leaves)
    install("leaf", LEAF, {"cnnkit.readers": {"leaves": "leaf:READER"}})
    assert "leaves" in readers.names() and readers.find("leaves").about == "leaves"
    assert readers.detect(leaves) == (leaves, "leaves", {"train": {"folder": "."}})
    assert load(leaves).train.fingerprint() == before.train.fingerprint()
    with pytest.raises(DataError, match=r"no data set: it needs to be .*leaves.* or a card"):
        load(__file__)


def test_two_readers_that_fit_the_same_data_are_an_error_that_names_both(install, leaves, tmp_path):
    groups = {"cnnkit.readers": {"leaves": "leaf:READER", "foliage": "leaf:READER"}}
    install("leaf", LEAF, groups)
    with pytest.raises(DataError, match="may be read by two readers: foliage and leaves. .* `reader`") as error:
        load(leaves)
    assert "\n" not in str(error.value)
    (tmp_path / "mine.toml").write_text(f"reader = 'foliage'\npath = {str(leaves)!r}")
    assert len(load(tmp_path / "mine.toml").train) == 14, "who says which is meant is believed"


def test_two_readers_of_one_name_are_an_error_that_names_both_packages(install, leaves):
    for package in ("leaf", "tree"):
        install(package, LEAF, {"cnnkit.readers": {"leaves": f"{package}:READER"}})
    with pytest.raises(DataError, match="two readers 'leaves', of leaf and tree"):
        readers.find("leaves")
    with pytest.raises(DataError, match="two readers 'leaves', of leaf and tree"):
        load(leaves)


def test_arrays_in_two_forms_are_an_error_that_names_both(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 2, 2), np.uint8), y=np.arange(6) % 2)
    (tmp_path / "train.csv").write_text("0,1,2,3,4\n" * 9)
    with pytest.raises(DataError, match="csv and npz"):
        load(tmp_path)


def test_a_reader_that_fails_to_load_is_one_warning(install, leaves, capsys):
    install("leaf", "import nothing_of_that_name", {"cnnkit.readers": {"leaves": "leaf:READER"}})
    assert len(load(leaves).train) == 14
    told = capsys.readouterr().err
    assert told.count("Warning") == 1
    assert "The reader 'leaves' of leaf cannot be loaded: ModuleNotFoundError: No module named" in told
    with pytest.raises(DataError, match="The reader 'leaves' of leaf cannot be loaded"):
        readers.find("leaves")


def test_an_app_that_fails_to_load_is_one_warning_and_the_others_work(install):
    groups = {"cnnkit.apps": {"leaf": "leaf:main"}}
    install("leaf", "1 / 0", groups)
    install("tree", LEAF, {"cnnkit.apps": {"tree": "tree:main"}})
    done = CliRunner().invoke(cli.main, ["--help"])
    words = " ".join(done.output.split())
    assert done.exit_code == 0 and "tree Name leaves." in words and "digits Recognise" in words
    assert done.stderr.count("Warning") == 1
    assert "The app 'leaf' of leaf cannot be loaded: ZeroDivisionError: division by zero." in done.stderr
    assert CliRunner().invoke(cli.main, ["tree"]).exit_code == 0
    broken = CliRunner().invoke(cli.main, ["leaf", "train"])
    assert broken.exit_code == 1 and "Error: The app 'leaf' cannot be loaded: ZeroDivisionError" in broken.stderr
    assert "Traceback" not in broken.output

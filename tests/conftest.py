"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def research_data():
    """Return the folder that CNNKIT_DATA names; skip, naming it, where there is none."""

    def find(name):
        root = os.environ.get("CNNKIT_DATA")
        if not root:
            pytest.skip(f"needs the data set {name}: set CNNKIT_DATA to the folder that holds it")
        path = Path(root) / name
        assert path.exists(), f"CNNKIT_DATA is set, but {path} is not there"
        return path

    return find


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep a user's cache and runs out of tests."""
    folder = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("CNNKIT_CACHE", str(folder / "cache"))


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """Return the folder of a trained run of the toy recipe; read only."""
    from cnnkit import config, training
    from cnnkit.run import Run
    from tests import toys

    path = tmp_path_factory.mktemp("toy") / "run"
    settings = config.Settings(data="bars", epochs=10, batch_size=24, learning_rate=0.01)
    run = Run.create(path, "toy", settings)
    training.fit(toys.recipe(), settings, toys.splits(), run)
    return path

"""Fixtures shared by all tests, and how these are divided among processes."""

import os
import random
from pathlib import Path

import hypothesis
import pytest

import cnnkit  # noqa: F401 - it sets what TensorFlow reads when it is imported, which a test may do first
from cnnkit import console

hypothesis.settings.register_profile("cnnkit", deadline=None, derandomize=True)  # a run repeats, and slow machines pass
hypothesis.settings.load_profile("cnnkit")
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a process a core already. Threads of each on every core wait for one another, and spin while they do
    # (29 processor minutes on two cores, with one thread each 20). One test trains with several, in a process of its own: what
    # the order of threads could change must repeat all the same.
    # Set before any of these libraries is imported; what a test starts inherits it.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(name, "1")

PROCESSES = 4  # at most: each holds TensorFlow and what the tests made, 1.5 GB


def pytest_xdist_auto_num_workers():
    """Take a process a core."""
    return min(PROCESSES, os.cpu_count() or 1)


FIRST, LAST = (
    ("test_readme.py", "test_toys.py", "photos", "signs", "digits", "text"),
    ("device", "evaluation", "inputs", "tasks", "data"),
)


def pytest_collection_modifyitems(items):
    """Begin with files that run whole commands and end with those that train nothing, so that all processes end together."""

    def place(item):
        part = item.path.relative_to(Path(__file__).parent).parts[0]
        return FIRST.index(part) - len(FIRST) if part in FIRST else 1 + LAST.index(part) if part in LAST else 0

    items.sort(key=place)  # a file's own tests keep their order


def pytest_make_parametrize_id(config, val, argname):
    """Name a test by the name of its bytes, not by them: those of an archive hold the time, and processes must agree."""
    return argname if isinstance(val, bytes) else None


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
def same_chance():
    """Begin each test with the same chance: layers without a seed of their own draw theirs from here, as Keras does."""
    random.seed(0)


@pytest.fixture(autouse=True)
def quiet_start():
    """Begin each test as a command begins: nothing was said, and nobody asked for JSON."""
    console.begin()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep a user's cache and runs out of tests."""
    folder = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("CNNKIT_CACHE", str(folder / "cache"))


@pytest.fixture(scope="session", autouse=True)
def nothing_at_hand():
    """Let no training start from weights that happen to be installed, or in Keras's folder; tests of that undo it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnkit.verbs.pretrained.at_hand", lambda published: None)
        yield


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """Return the folder of a trained run of the toy recipe; read only."""
    from cnnkit import training
    from cnnkit.run import Run
    from tests import toys

    path = tmp_path_factory.mktemp("toy") / "run"
    settings = toys.Settings(data="bars", epochs=10, batch_size=24, learning_rate=0.01)
    run = Run.create(path, "toy", settings)
    training.fit(toys.recipe(), settings, toys.splits(), run)
    return path

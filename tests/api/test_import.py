"""`import cnnkit` costs nothing, shows its names, and its errors are those that Python's callers expect."""

import subprocess
import sys

import pytest

import cnnkit

HEAVY = (
    "tensorflow",
    "keras",
    "numpy",
    "cv2",
    "click",
    "rich",
    "sklearn",
    "matplotlib",
    "typing",
    "importlib.metadata",
)


def of_a_new_process(code):
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_it_loads_nothing_else_and_takes_no_time():
    root = cnnkit.__file__.rpartition("/cnnkit/")[0]
    code = (
        f"import sys, time; sys.path.insert(0, {root!r}); before = set(sys.modules); began = time.process_time(); import cnnkit; "
        f"took = time.process_time() - began; print(took < 0.1, sorted(set(sys.modules) - before - {{'cnnkit'}} & set({HEAVY})))"
    )
    assert of_a_new_process(code) == "True []"


def test_every_public_name_is_there_and_listed():
    assert set(cnnkit.__all__) <= set(dir(cnnkit))
    for name in cnnkit.__all__:
        assert getattr(cnnkit, name) is getattr(cnnkit, name)
        assert getattr(cnnkit, name).__doc__, name


def test_type_checkers_see_the_same_names():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(cnnkit.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert {alias.name for node in block.body for alias in node.names} == set(cnnkit.__all__)


def test_a_name_that_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'cnnkit' has no attribute 'trian'"):
        cnnkit.trian  # noqa: B018


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        ("DataError", (ValueError,)),
        ("DataNotFound", (ValueError, FileNotFoundError)),
        ("ArtifactError", ()),
        ("ArtifactNotFound", (FileNotFoundError,)),
        ("ConfigError", (ValueError,)),
        ("MissingExtra", (ImportError,)),
        ("GateRefused", ()),
    ],
)
def test_an_error_is_what_python_calls_it(error, bases):
    kind = getattr(cnnkit, error)
    assert issubclass(kind, (cnnkit.CnnkitError,)) and all(issubclass(kind, base) for base in bases)
    assert str(kind("One line. Do this.")) == "One line. Do this."


@pytest.mark.parametrize("inside", [ValueError, FileNotFoundError])
def test_what_is_missing_is_named_once(inside, tmp_path):
    """Errors that are `ValueError`s pass through code that turns other `ValueError`s into lines of its own."""
    from cnnkit.device.image import read_image

    with pytest.raises(inside, match=r"^\S*gone\.png cannot be used: there is no such file\. Check the path\.$"):
        read_image(tmp_path / "gone.png")


def test_a_mask_that_is_damaged_is_said_in_its_own_words(tmp_path):
    from types import SimpleNamespace

    from cnnkit.tasks.segmentation.scoring import _of

    def gone(index):
        raise cnnkit.DataError("a.png is damaged. Delete it.")

    with pytest.raises(cnnkit.DataError, match=r"^a\.png is damaged\. Delete it\.$"):
        _of(SimpleNamespace(native=gone, name=str), 0, lambda *_: None)


def test_silence_of_two_threads_ends():
    """Each restores the streams that the process had, and not the other's silence."""
    root = cnnkit.__file__.rpartition("/cnnkit/")[0]
    code = (
        f"import sys, threading, time; sys.path.insert(0, {root!r})\n"
        "from cnnkit.quiet import quiet\n"
        "def work(wait):\n"
        "    with quiet():\n"
        "        time.sleep(wait)\n"
        "threads = [threading.Thread(target=work, args=(wait,)) for wait in (0.05, 0.1, 0.01, 0.02)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print('heard')"
    )
    assert of_a_new_process(code) == "heard"

"""The guard's own parts: what it compares, and that a difference is seen. `benchmarks/same.py` itself trains; it runs by hand."""

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "same.py"


@pytest.fixture(scope="module")
def same():
    specification = importlib.util.spec_from_file_location("same", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["same"] = module  # its dataclass looks its own module up
    specification.loader.exec_module(module)
    yield module
    del sys.modules["same"]


def test_its_data_is_the_same_every_time(same, tmp_path):
    for name in ("one", "two"):
        same.make(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 300
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_every_case_that_goes_on_from_another_comes_after_it_and_brings_it(same):
    names = list(same.CASES)
    for name, case in same.CASES.items():
        assert not case.after or names.index(case.after) < names.index(name)
        assert f"{{runs}}/{case.after}" in case.words or not case.after
    assert same.needed(["digits-continued"]) == ["digits-micro", "digits-continued"]
    with pytest.raises(SystemExit, match=r"no case nothing.*digits-default"):
        same.needed(["nothing"])


def test_a_digest_is_of_shape_type_and_bytes(same):
    array = np.arange(6, dtype=np.float32)
    others = [array.reshape(2, 3), array.astype(np.float64), np.nextafter(array, 9)]
    assert same.digest([array]) == same.digest([array.copy()])
    assert len({same.digest([found]) for found in (array, *others)}) == 4


def test_clocks_and_places_are_left_out_of_what_a_command_said(same):
    def document(folder, score, seconds):
        return {"artifact": f"/tmp/{folder}/runs/a", "predictions": [{"score": score, "seconds": seconds}]}

    first = same.told_by(document("old", 0.5, 1), Path("/tmp/old"))
    assert first == same.told_by(document("new", 0.5, 2), Path("/tmp/new"))
    assert first != same.told_by(document("new", 0.6, 2), Path("/tmp/new"))


def test_a_tree_is_registered_with_its_own_plug_ins(same, tmp_path):
    text = '[project]\nname = "cnnkit"\n[project.entry-points."cnnkit.readers"]\nown = "cnnkit.elsewhere:READER"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    same.register(tmp_path)
    (distribution,) = importlib.metadata.distributions(name="cnnkit", path=[str(tmp_path)])
    (entry,) = distribution.entry_points.select(group="cnnkit.readers")
    assert (entry.name, entry.value) == ("own", "cnnkit.elsewhere:READER")


@pytest.fixture
def sides(tmp_path, same):
    """Write what two sides came to, one change apart; return the rows."""

    def write(before, after, **values):
        for name, array in (("old", before), ("new", after)):
            (tmp_path / name).mkdir()
            np.savez(tmp_path / name / "a.npz", **{"variables 0": array})
            found = {"variables": same.digest([array]), **{key: pair[name == "new"] for key, pair in values.items()}}
            (tmp_path / name / "a.json").write_text(json.dumps(found))
        return same.compared(tmp_path / "old", tmp_path / "new", "a")

    return write


def test_equal_sides_are_equal(same, sides):
    rows = sides(np.ones(3), np.ones(3))
    assert [row["equal"] for row in rows] == [True]
    assert same.told(rows, "HEAD", False).split() == ["a", "equal", "variables"]


def test_what_differs_is_named_with_how_far_it_is_apart(same, sides):
    rows = sides(np.ones(3), np.ones(3) + [0, 0.25, 0], scores=("0.5", "0.6"))
    text = same.told(rows, "HEAD", False)
    assert (
        "DIFFERS" in text and "variables: 1 of 1 arrays differ, by up to 0.25" in text and "scores: 0.5 | 0.6" in text
    )
    assert json.loads(same.told(rows, "HEAD", True))["equal"] is False


def test_other_shapes_are_named_and_an_error_on_both_sides_is_a_difference(sides):
    rows = sides(np.ones(3), np.ones((3, 1)), error=("no such option", "no such option"))
    assert "first other shape: (3,), now (3, 1)" in rows[0]["note"]
    assert [row["equal"] for row in rows] == [False, False]


def test_a_side_that_did_not_end_is_a_difference(same, tmp_path):
    assert not same.compared(tmp_path, tmp_path, "a")[0]["equal"]

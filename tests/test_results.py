"""What the benchmarks write: rows beside those of other runs, and the time of a whole command, which only it knows."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = ("results", "detection", "scans", "photos", "steering", "table")


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """These scripts, which write below `tmp_path`."""
    for name in (*SCRIPTS, "lowered", "membranes", "finetune"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(FOLDER))  # as a script has it
    found = {}
    for name in SCRIPTS:
        specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        found[name] = importlib.util.module_from_spec(specification)
        monkeypatch.setitem(sys.modules, name, found[name])
        specification.loader.exec_module(found[name])
    monkeypatch.setattr(found["results"], "FOLDER", tmp_path)
    return found


def trains(monkeypatch, results, times):
    """Let a command write a `run.json` and take so many minutes each time; return the runs that were trained."""
    clock, trained, times = [0.0], [], iter(times)

    def cnnkit(app, *words, threads):
        run = Path(words[words.index("--out") + 1])
        run.mkdir(parents=True, exist_ok=True)
        trained.append(run.name)
        (run / "run.json").write_text(json.dumps({"scores": {}}))
        clock[0] += 60 * next(times)

    monkeypatch.setattr(results, "cnnkit", cnnkit)
    monkeypatch.setattr(results.time, "perf_counter", lambda: clock[0])
    return trained


class TestTimed:
    def test_a_command_is_timed_once_and_its_time_stays_with_the_run(self, scripts, tmp_path, monkeypatch):
        results = scripts["results"]
        trained = trains(monkeypatch, results, [7, 5])
        for name, minutes in (("a-0.35", 7), ("a-0.35", 7), ("a-0.5", 5), ("a-0.35", 7)):
            assert results.timed("signs", tmp_path / name, threads=2) == ({"scores": {}}, minutes)
        assert trained == ["a-0.35", "a-0.5"]

    def test_nobody_knows_the_time_of_a_run_that_went_on_or_was_trained_elsewhere(self, scripts, tmp_path, monkeypatch):
        results = scripts["results"]
        trains(monkeypatch, results, [3])
        for name, document in (("begun", {}), ("elsewhere", {"scores": {}})):
            (tmp_path / name).mkdir()
            (tmp_path / name / "run.json").write_text(json.dumps(document))
            for _ in range(2):
                assert results.timed("signs", tmp_path / name, threads=2)[1] is None

    def test_a_run_that_begins_anew_has_not_the_time_of_the_one_before_it(self, scripts, tmp_path, monkeypatch):
        results = scripts["results"]
        (tmp_path / "run.minutes").write_text("3")
        monkeypatch.setattr(results, "trained", lambda *words, **how: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            results.timed("signs", tmp_path / "run", threads=2)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").write_text("{}")
        monkeypatch.setattr(results, "trained", lambda *words, **how: {})
        assert results.timed("signs", tmp_path / "run", threads=2) == ({}, None)


class TestBeside:
    def test_rows_of_other_runs_stay_and_those_of_the_same_are_exchanged(self, scripts):
        results = scripts["results"]
        rows = [{"seed": 1, "network": "b", "dice": 1}, {"seed": 0, "dice": 2}, {"seed": 0, "network": "b", "dice": 3}]
        by = ("network", "seed")
        results.write("x", {"runs": results.beside("x", "runs", rows, by)})
        found = results.beside("x", "runs", [{"seed": 0, "network": "b", "dice": 4}, {"seed": 2, "dice": 5}], by)
        assert [row["dice"] for row in found] == [2, 5, 4, 1]

    def test_runs_that_have_names_stay_in_their_order(self, scripts):
        results = scripts["results"]
        results.write("x", {"starts": {"b": {"ap50": 1}, "a": {"ap50": 2}}})
        found = results.beside("x", "starts", {"c": {"ap50": 3}, "b": {"ap50": 4}})
        assert list(found.items()) == [("b", {"ap50": 4}), ("a", {"ap50": 2}), ("c", {"ap50": 3})]

    def test_a_time_that_nobody_knows_now_stays_and_nothing_else_does(self, scripts):
        results = scripts["results"]
        for time in results.TIMES:
            results.write("x", {"rows": [{"seed": 0, time: 12.5, "baseline": 1}]})
            (row,) = results.beside("x", "rows", [{"seed": 0, time: None, "baseline": None}])
            assert row == {"seed": 0, time: 12.5, "baseline": None}
            for training in results.TRAINING:
                (row,) = results.beside("x", "rows", [{"seed": 0, time: None, training: 3}])
                assert row == {"seed": 0, time: None, training: 3}  # another training
            (row,) = results.beside("x", "rows", [{"seed": 0, time: 3.5}])
            assert row == {"seed": 0, time: 3.5}
            (row,) = results.beside("x", "rows", [{"seed": 0}])
            assert row == {"seed": 0}


class TestDetection:
    def arguments(self, monkeypatch, *words):
        monkeypatch.setattr(sys, "argv", ["detection.py", *words])

    def test_starts_say_what_they_need_before_anything_is_trained(self, scripts, tmp_path, monkeypatch):
        trained = trains(monkeypatch, scripts["results"], [1])
        self.arguments(monkeypatch, "starts", "--runs", str(tmp_path / "runs"))
        with pytest.raises(
            SystemExit, match=r"^--weights is needed: the file of .*MobileNetV2 0.35.*without mobilenet_v2\.$"
        ):
            scripts["detection"].main()
        assert not trained

    def test_each_start_is_written_once_it_is_done(self, scripts, tmp_path, monkeypatch):
        detection, file = scripts["detection"], tmp_path / "detection-starts.json"
        trained = trains(monkeypatch, scripts["results"], [20, 21])
        there = []

        def row(run, document, threads):
            there.append(list(json.loads(file.read_text())["starts"]) if file.exists() else [])
            return {"seed": 0, "ap50": len(there)}

        monkeypatch.setattr(detection, "row", row)
        words = ("starts", "--runs", str(tmp_path / "runs"), "--starts", "efficientnet_lite0", "none")
        self.arguments(monkeypatch, *words)
        detection.main()
        assert trained == ["start-efficientnet_lite0-0", "start-none-0"] and there == [[], ["efficientnet_lite0"]]
        found = json.loads(file.read_text())["starts"]
        assert {name: entry["command_minutes"] for name, entry in found.items()} == {
            "efficientnet_lite0": 20,
            "none": 21,
        }
        assert set(found["none"]) == {"seed", "ap50", "command_minutes", "command"}
        for run in (tmp_path / "runs").glob("*.minutes"):
            run.unlink()
        detection.main()
        assert json.loads(file.read_text())["starts"]["none"]["command_minutes"] == 21


@pytest.mark.parametrize("work", ["volume-speed", "volume-memory"])
def test_what_measures_a_file_says_that_it_needs_one(work, scripts, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scans.py", work])
    with pytest.raises(SystemExit, match="^--file is needed: an int8 file of volumes"):
        scripts["scans"].main()


def test_a_spread_is_of_the_interval_or_of_the_seeds(scripts):
    table = scripts["table"]
    assert table._spread([90.0], [88.04, 92.0]) == "88.0 to 92.0"
    assert table._spread([90.0, 91.0], [88, 92], places=2) == "sd 0.71, 2 seeds"
    assert table._minutes([2.0, None, 4.0]) == "3.0" and table._minutes([None]) == "unknown"


def test_research_data_that_is_not_here_is_one_line(scripts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNKIT_DATA", raising=False)
    for look in (lambda: scripts["results"].research("mr"), lambda: scripts["scans"].blocks(tmp_path / "blocks")):
        with pytest.raises(SystemExit, match="is not here: set CNNKIT_DATA to the folder that holds it"):
            look()
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path))
    (tmp_path / "mr").mkdir()
    assert scripts["results"].research("mr") == Path("mr")
    monkeypatch.chdir("/")
    assert scripts["results"].research("mr") == tmp_path / "mr"


def test_no_script_asks_for_the_folder_of_research_data_where_it_may_not_be_set():
    assert not [path.name for path in FOLDER.glob("*.py") if 'environ["CNNKIT_DATA"]' in path.read_text()]

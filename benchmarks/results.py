"""Where every benchmark writes what it measured: with its command, its settings and the machine."""

import datetime
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit.files import write_json
from cnnkit.run import machine, versions

FOLDER = Path(__file__).parent / "results"
# What nobody knows of a run but the command that trained it; and how long its training took, which every command knows.
TIMES, TRAINING = ("command_minutes", "whole_minutes", "whole_seconds"), ("minutes", "training_seconds")


def write(name: str, content: dict[str, Any], path: Path | None = None) -> Path:
    """Write `results/NAME.json` and return its path."""
    path = path or FOLDER / f"{name}.json"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_json(path, {"command": command(), "date": date, "machine": machine(), "versions": versions(), **content})
    print(f"-> {path}")
    return path


def beside(name: str, place: str, now: Any, by: Sequence[str] = ("seed",)) -> Any:
    """Return what was measured now beside what `results/NAME.json` has of other runs.

    A row of the same training keeps those of `TIMES` that only the command knew which trained it.

    Args:
        name: of the file.
        place: where the file has its runs, such as "rows".
        now: a row a run, by name; or a list of rows, which then comes back in the order of `by`.
        by: what tells rows of a list apart.
    """

    def named(rows: Any) -> dict[Any, Any]:
        if isinstance(rows, dict):
            return rows
        return {tuple("" if row.get(key) is None else row[key] for key in by): row for row in rows}

    path = FOLDER / f"{name}.json"
    old = named(json.loads(path.read_text(encoding="utf-8"))[place]) if path.exists() else {}
    every = {**old, **named(now)}
    for key, row in named(now).items():
        if key in old and all(old[key].get(what) == row.get(what) for what in TRAINING):
            known = {what: old[key].get(what) for what in TIMES if row.get(what, 0) is None}
            every[key] = {**row, **known}
    return every if isinstance(now, dict) else [every[key] for key in sorted(every)]


def research(name: str) -> Path:
    """Return a file or folder of research data, here or where $CNNKIT_DATA says, or end with a line."""
    for path in (Path(name), Path(os.environ.get("CNNKIT_DATA", ".")) / name):
        if path.exists():
            return path
    raise SystemExit(f"{name} is not here: set CNNKIT_DATA to the folder that holds it.")


def command() -> str:
    """Return how this benchmark was called, without where this machine keeps its data."""
    data = os.environ.get("CNNKIT_DATA")
    words = [word.replace(data, "$CNNKIT_DATA") if data else word for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def cnnkit(app: str, *words: str, threads: int) -> dict[str, Any]:
    """Run a command of an app with --json and return its document; a refusal by the export gate is no error."""
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
    line = [sys.executable, "-m", f"cnnkit_{app}.cli", *words, "--json"]
    done = subprocess.run(line, stdout=subprocess.PIPE, check=False, env=environment)
    document = json.loads(done.stdout)
    if done.returncode not in (0, 3):
        raise SystemExit(f"cnnkit {app} {' '.join(words)} ended with {done.returncode}: {document.get('error')}")
    return document


def trained(app: str, run: Path, *words: str, threads: int) -> dict[str, Any]:
    """Train a run, unless it is trained and scored already; return its `run.json`."""
    path = run / "run.json"
    if not path.exists() or "scores" not in json.loads(path.read_text(encoding="utf-8")):
        cnnkit(app, "train", *words, "--out", str(run), "--resume", threads=threads)
    return json.loads(path.read_text(encoding="utf-8"))


def timed(app: str, run: Path, *words: str, threads: int) -> tuple[dict[str, Any], float | None]:
    """Train a run, unless it is trained and scored already; return its `run.json`, and the minutes of the whole command.

    These are with start, scores and report, and are kept beside the run. None: another command began it, so nobody knows.
    """
    kept, began = run.with_name(f"{run.name}.minutes"), time.perf_counter()
    there = (run / "run.json").exists()
    if not there:
        kept.unlink(missing_ok=True)
    document = trained(app, run, *words, threads=threads)
    if not there:
        kept.write_text(f"{(time.perf_counter() - began) / 60}", encoding="utf-8")
    return document, float(kept.read_text(encoding="utf-8")) if kept.exists() else None


def needed(given: Any, option: str, what: str) -> Any:
    """Return the value of an option, or end in a line that says what it is to be."""
    if given is None:
        raise SystemExit(f"{option} is needed: {what}.")
    return given

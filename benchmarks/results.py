"""Where every benchmark writes what it measured: with its command, its settings and the machine."""

import datetime
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from cnnkit.files import write_json
from cnnkit.run import machine, versions

FOLDER = Path(__file__).parent / "results"


def write(name: str, content: dict[str, Any], path: Path | None = None) -> Path:
    """Write `results/NAME.json` and return its path."""
    path = path or FOLDER / f"{name}.json"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_json(path, {"command": command(), "date": date, "machine": machine(), "versions": versions(), **content})
    print(f"-> {path}")
    return path


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

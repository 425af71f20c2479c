"""`--minutes`: how long whole commands take, from start to report, with and without another job on the machine.

    python benchmarks/minutes.py [--minutes 2] [--apps digits signs text] [--alone] [--busy]

Each app trains on its embedded data with the default model. The other job keeps every core busy from a third of the time on, so
that the speed measured at the start holds no more. Told are the seconds of the process as a share of those asked for, and what
the learning rate was in the last steps, as a share of its peak.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import results


def spin() -> None:
    """Keep a core busy."""
    while True:
        sum(range(10_000))


def once(app: str, minutes: float, busy: bool, folder: Path) -> dict[str, Any]:
    """Run a command; return what it took and what came out."""
    run = folder / f"{app}-{busy}"
    line = [
        sys.executable,
        "-m",
        f"cnnkit_{app}.cli",
        "train",
        "--minutes",
        f"{minutes:g}",
        "--out",
        str(run),
        "--json",
    ]
    began = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)] if busy else []
    if others:
        time.sleep(60 * minutes / 3)
    for other in others:
        other.start()
    _, told = process.communicate()
    seconds = time.perf_counter() - began
    for other in others:
        other.terminate()
    if process.returncode:
        raise SystemExit(f"cnnkit {app} train --minutes {minutes:g} ended with {process.returncode}: {told[-500:]}")
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    done = document["training"]
    row = {
        "app": app,
        "other_job": busy,
        "minutes": minutes,
        "seconds": seconds,
        "share": seconds / (60 * minutes),
        "load_before": os.getloadavg()[2],
        **{key: done[key] for key in ("steps", "epochs", "best_epoch", "rate_at_end", "stopped")},
        "training_seconds": done["seconds"],
        "refit_seconds": document.get("refit", {}).get("seconds"),
        "foretold": next(
            (words for words in told.splitlines() if "minutes in all" in words or "too little" in words), ""
        ),
    }
    print(
        f"{app}{', another job' if busy else ''}: {seconds:.0f} s of {60 * minutes:.0f} ({row['share']:.0%})",
        flush=True,
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--apps", nargs="+", default=["digits", "signs", "text"])
    parser.add_argument("--alone", action="store_true", help="only without another job")
    parser.add_argument("--busy", action="store_true", help="only with one")
    arguments = parser.parse_args()
    jobs = [False] if arguments.alone else [True] if arguments.busy else [False, True]
    with tempfile.TemporaryDirectory() as name:
        rows = [once(app, arguments.minutes, busy, Path(name)) for app in arguments.apps for busy in jobs]
    results.write("minutes", {"rows": rows})


if __name__ == "__main__":
    main()

"""Test accuracy over several seeds, trained and exported, through the command line as a user would run it.

    python benchmarks/accuracy.py --data digits --model default --seeds 0 1 2 3 4     # a few minutes
    python benchmarks/accuracy.py --data mnist --model default                        # three seeds, up to 20 minutes each
    python benchmarks/accuracy.py --data mnist --model simple_cnn
    python benchmarks/accuracy.py --data mnist --model micro

For each seed: train, export at every precision through the gate, score float32 and int8 on the test split. Every seed also
draws its own split where the data has none of its own (`--split-seed`). Results are the mean, the spread (standard deviation)
and each seed's numbers; nothing is selected. A run that exists in --runs is gone on with, so the benchmark may be stopped.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import results


def cnnkit(*words: str) -> dict:
    """Run a `cnnkit digits` command with --json and return its document."""
    done = subprocess.run(
        [sys.executable, "-m", "cnnkit_digits.cli", *words, "--json"], stdout=subprocess.PIPE, check=False
    )
    document = json.loads(done.stdout)
    if done.returncode:
        print(f"cnnkit digits {' '.join(words)} ended with {done.returncode}: {document.get('error')}")
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--cores", default="2", help="how many cores the training may use, for the record")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        run = arguments.runs / f"{arguments.data}-{arguments.model}-{seed}"
        words = ["--data", arguments.data, "--model", arguments.model, "--seed", str(seed), "--split-seed", str(seed)]
        trained = cnnkit("train", *words, "--out", str(run), "--resume")
        gate = cnnkit("export", str(run), "--tolerance", "0.5")
        scores = trained["scores"]["test"]
        row = {
            "seed": seed,
            "parameters": trained["model"]["parameters"],
            "minutes": trained["training"]["seconds"] / 60,
            "epochs": trained["training"]["epochs"],
            "accuracy": scores["accuracy"],
            "interval": scores["accuracy_interval"],
            "ece": scores["ece"],
            "baseline": scores["baseline"]["accuracy"],
            "exported": {
                name: {"accuracy": verdict["score"], "bytes": verdict["bytes"]}
                for name, verdict in gate.get("artifacts", {}).items()
            },
            "gate": gate.get("error", "passed"),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
        write(arguments, rows)


def write(arguments: argparse.Namespace, rows: list[dict]) -> None:
    """Write what is measured so far."""
    accuracies = [row["accuracy"] for row in rows]
    int8 = [row["exported"]["int8"]["accuracy"] for row in rows if "int8" in row["exported"]]
    summary = {
        "data": arguments.data,
        "model": arguments.model,
        "cores": arguments.cores,
        "seeds": [row["seed"] for row in rows],
        "parameters": rows[0]["parameters"],
        "mean_accuracy": statistics.mean(accuracies),
        "standard_deviation": statistics.stdev(accuracies) if len(rows) > 1 else None,
        "mean_int8_accuracy": statistics.mean(int8) if int8 else None,
        "int8_minus_float_points": 100 * (statistics.mean(int8) - statistics.mean(accuracies))
        if len(int8) == len(rows)
        else None,
        "int8_bytes": max(
            (row["exported"]["int8"]["bytes"] for row in rows if "int8" in row["exported"]), default=None
        ),
        "mean_minutes": statistics.mean(row["minutes"] for row in rows),
        "rows": rows,
    }
    results.write(f"accuracy-{arguments.data}-{arguments.model}", summary)


if __name__ == "__main__":
    main()

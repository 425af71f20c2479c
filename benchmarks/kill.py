"""Kill training at random moments with SIGKILL, resume it, and compare the final weights with those of a run left alone.

    python benchmarks/kill.py [--kills 10] [--seed 0]

Trains on the embedded digits. Each of the runs is killed once, at a moment drawn from the whole length of the command:
importing, reading data, between batches, writing a checkpoint, scoring. `train --resume` must end in the same weights.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import results

WORDS = ["--model", "default", "--epochs", "6", "--limit", "600", "--seed", "3"]


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "cnnkit_digits.cli", "train", *WORDS, "--out", str(out), "--resume"]


def weights(run: Path) -> list[np.ndarray]:
    """Read the final weights of a run."""
    from cnnkit.evaluation.artifacts import open_artifact

    return open_artifact(run / "model.keras").model.get_weights()  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        subprocess.run(command(folder / "whole"), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        length = time.perf_counter() - began
        whole = weights(folder / "whole")
        for number in range(arguments.kills):
            moment = rng.uniform(0.05, 0.98) * length
            out = folder / str(number)
            process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(timeout=moment)
                killed = False
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed = True
            lines = (out / "history.csv").read_text().count("\n") - 1 if (out / "history.csv").exists() else 0
            subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            same = all(np.array_equal(a, b) for a, b in zip(whole, weights(out), strict=True))
            rows.append({"moment_s": round(moment, 2), "killed": killed, "epochs_done": lines, "identical": same})
            print(rows[-1], flush=True)
    identical = sum(row["identical"] for row in rows)
    print(f"identical: {identical} of {len(rows)}")
    results.write("kill", {"identical": identical, "kills": len(rows), "length_s": length, "rows": rows})


if __name__ == "__main__":
    main()

"""The first command of `cnnkit steering`: its error beside plain answers, its int8 file, how often its interval holds, its time.

    python benchmarks/steering.py --seeds 0 1 2
    python benchmarks/steering.py --seeds 0 1 2 --losses huber absolute squared   # which loss is best, by validation

Rows are written beside those of other seeds and losses. Runs are kept in --runs; one that exists is not trained again. The seed
is of weights, order and augmentation; the drives stay.
"""

import argparse
import json
from pathlib import Path

import results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--losses", nargs="+", default=["huber"])
    parser.add_argument("--runs", type=Path, default=Path("runs/steering-benchmark"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for loss in arguments.losses:
        for seed in arguments.seeds:
            run = arguments.runs / f"{loss}-{seed}"
            words = ("--seed", str(seed), "--loss", loss)
            document, whole = results.timed("steering", run, *words, threads=arguments.threads)
            if not (run / "export" / "gate.json").exists():
                results.cnnkit("steering", "export", str(run), threads=arguments.threads)
            gate = json.loads((run / "export" / "gate.json").read_text(encoding="utf-8"))
            validation = results.cnnkit(
                "steering", "evaluate", str(run), "--split", "validation", threads=arguments.threads
            )
            test = document["scores"]["test"]
            kept = ("mean_absolute_error", "mean_absolute_error_interval", "root_mean_squared_error", "bias", "r2")
            row = {
                "loss": loss,
                "seed": seed,
                **{key: test[key] for key in kept},
                "always": test["always"],
                "baseline": {key: test["baseline"][key] for key in ("name", "mean_absolute_error")},
                "coverage": test["coverage"],
                "validation": validation["mean_absolute_error"],
                "parameters": document["model"]["parameters"],
                "training_seconds": document["training"]["seconds"],
                "whole_seconds": None if whole is None else round(60 * whole, 1),
                "tolerance": gate["tolerance"],
                "files": {
                    name: {key: entry[key] for key in ("bytes", "difference", "passed")}
                    for name, entry in gate["artifacts"].items()
                },
            }
            results.write("steering", {"runs": results.beside("steering", "runs", [row], ("loss", "seed"))})


if __name__ == "__main__":
    main()

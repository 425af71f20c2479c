"""Seconds of training until MNIST's test accuracy is 99 %.

    python benchmarks/seconds_to_99.py [--seeds 0 1 2]

The recipe: `default` at half its width (11,014 parameters), two epochs of batches of 64, learning rate up to 0.01 and down to 0
along a cosine, averaged weights, no augmentation (in two epochs no image is seen often enough to be learnt by heart), no
label smoothing. The length is fixed beforehand; the clock runs from the first step, compiling included, to the last.
The test split is looked at once, after training.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import results
from accuracy import cnnkit

RECIPE = (
    "--data mnist --model default --width 12 --epochs 2 --batch-size 64 --learning-rate 0.01 --weight-decay 0.05 "
    "--label-smoothing 0 --ema 0.98 --no-augment"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            done = cnnkit("train", *RECIPE.split(), "--seed", str(seed), "--out", str(Path(folder) / str(seed)))
            rows.append(
                {"seed": seed, "seconds": done["training"]["seconds"], "accuracy": done["scores"]["test"]["accuracy"]}
            )
            print(rows[-1], flush=True)
    results.write(
        "seconds-to-99",
        {
            "recipe": f"cnnkit digits train {RECIPE}",
            "rows": rows,
            "mean_seconds": statistics.mean(row["seconds"] for row in rows),
            "mean_accuracy": statistics.mean(row["accuracy"] for row in rows),
            "lowest_accuracy": min(row["accuracy"] for row in rows),
        },
    )


if __name__ == "__main__":
    main()

"""Continue a run on new classes: what it knew before, and what it knows after.

    python benchmarks/continue_run.py --weights mobilenet_v2_0.35_224_no_top.weights.h5   # half an hour on one core

Data: gtsrb-small. For each seed ten of the 43 classes are drawn as new. A network is fine-tuned on the other 33 and scored on
their test images. Then `cnnkit signs train --weights RUN --data NEW --replay` continues it on a folder that holds the new
classes alone, and it is scored on the same test images, now among 43 classes, and on those of the new classes.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

import numpy as np

import results
from cnnkit.data import cards

NEW = 10  # classes


def classes(root: Path, folder: Path, names: list[str]) -> Path:
    """Make a data set of some classes, by links; return its folder."""
    if not folder.exists():
        temporary = folder.with_suffix(".part")
        shutil.rmtree(temporary, ignore_errors=True)
        for split in ("train", "test"):
            (temporary / split).mkdir(parents=True)
            for name in names:
                (temporary / split / name).symlink_to((root / split / name).resolve(), target_is_directory=True)
        temporary.rename(folder)
    return folder


def accuracy(scores: dict, names: list[str]) -> float:
    """Return the share of the test images of these classes that got their class."""
    own = [scores["per_class"][name] for name in names]
    return sum(entry["recall"] * entry["support"] for entry in own) / sum(entry["support"] for entry in own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="imagenet", help="imagenet, or the file of MobileNetV2 0.35")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2, help="of TensorFlow")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark/continue"))
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    root = Path(str(cards.load("gtsrb-small").root))
    names = sorted((path.name for path in (root / "train").iterdir()), key=int)
    rows = []
    for seed in arguments.seeds:
        new = sorted(np.random.default_rng(seed).permutation(names)[:NEW].tolist(), key=int)
        old = [name for name in names if name not in new]
        common = ("--validation", "0", "--seed", str(seed))
        first, second = arguments.runs / f"old-{seed}", arguments.runs / f"both-{seed}"
        old_data = classes(root, arguments.runs / f"old-classes-{seed}", old)
        new_data = classes(root, arguments.runs / f"new-classes-{seed}", new)
        words = ("--data", str(old_data), "--weights", arguments.weights, *common)
        before = results.trained("signs", first, *words, threads=arguments.threads)
        words = ("--data", str(new_data), "--weights", str(first), "--replay", *common)
        after = results.trained("signs", second, *words, threads=arguments.threads)
        row = {
            "seed": seed,
            "new_classes": new,
            "old_before": accuracy(before["scores"]["test"], old),
            "old_after": accuracy(after["scores"]["test"], old),
            "new_after": accuracy(after["scores"]["test"], new),
            "minutes": [document["training"]["seconds"] / 60 for document in (before, after)],
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    means = {key: statistics.mean(row[key] for row in rows) for key in ("old_before", "old_after", "new_after")}
    lowest = min(100 * (row["old_after"] - row["old_before"]) for row in rows)
    results.write("continue_run", {"mean": means, "lowest_change_points": lowest, "rows": rows})


if __name__ == "__main__":
    main()

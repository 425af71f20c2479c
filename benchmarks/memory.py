"""Peak memory of training on a data set and on one ten times as large: it may not grow by more than a tenth.

    python benchmarks/memory.py [--images 20000] [--factor 10]

Writes two data sets of random 28x28 images, as .npz, as compressed .npz and (a tenth as many) as a folder of pictures, trains
for the same number of steps on each in a process of its own, and compares the peaks of the resident memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

STEPS = 60


def make(path: Path, count: int, kind: str) -> None:
    """Write random images and labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    if kind == "folder":
        for digit in range(10):
            (path / str(digit)).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            cv2.imwrite(str(path / str(label) / f"{number}.png"), image)
        return
    save = np.savez_compressed if kind == "compressed npz" else np.savez
    save(path, x_train=images, y_train=labels, x_test=images[:500], y_test=labels[:500])


def train(path: Path) -> None:
    """Train a few steps and print the peak memory of this process in MB."""
    from cnnkit import training
    from cnnkit_digits.cli import recipe as digits

    recipe = digits()
    splits = recipe.load(str(path))
    settings = recipe.Settings(data=str(path), model="simple_cnn", batch_size=128, epochs=1)
    model, batches, _ = training.steps(recipe, settings, splits.train)
    model.fit(batches(0, STEPS), epochs=1, steps_per_epoch=STEPS, verbose=0, shuffle=False)
    print(
        json.dumps({"images": len(splits.train), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--factor", type=int, default=10)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train)
        return
    import results

    kinds = []
    for kind, images in (
        ("npz", arguments.images),
        ("compressed npz", arguments.images),
        ("folder", arguments.images // 10),
    ):
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for count in (images, images * arguments.factor):
                path = Path(folder) / (str(count) if kind == "folder" else f"{count}.npz")
                make(path, count, kind)
                command = [sys.executable, __file__, "--train", str(path)]
                environment = {**os.environ, "CNNKIT_CACHE": str(Path(folder) / "cache")}
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, env=environment
                )
                rows.append(json.loads(done.stdout))
                print(f"{kind}, {rows[-1]['images']:,} images: peak {rows[-1]['peak_mb']:.0f} MB")
        growth = rows[1]["peak_mb"] / rows[0]["peak_mb"] - 1
        print(f"{kind}: {100 * growth:+.1f} %")
        kinds.append({"kind": kind, "rows": rows, "growth": growth})
    results.write("memory", {"kinds": kinds})


if __name__ == "__main__":
    main()

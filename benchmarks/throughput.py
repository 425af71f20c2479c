"""Training throughput beside the same network in plain `keras.Model.fit` on in-memory arrays, in one run.

    python benchmarks/throughput.py [--data mnist] [--model default] [--rounds 5]

Both sides train the same network with the same optimizer, loss and batch size for the same number of steps; plain Keras has
float32 arrays in memory, ours streams records from disk through tf.data. Rounds alternate (plain, ours, ours with
augmentation, plain, ...) after one warm-up each; the ratio is taken round by round and its median reported, as the
machine's speed drifts.
"""

import argparse
import statistics
import time

import numpy as np

import results
from cnnkit import training
from cnnkit_digits.cli import recipe as digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--model", default="default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    import keras

    recipe = digits()
    splits = recipe.load(arguments.data)
    preset = recipe.preset(arguments.model, len(splits.train), False)
    settings = recipe.Settings(**{**preset, "model": arguments.model, "data": arguments.data})
    images, labels = splits.train.read(np.arange(len(splits.train)))
    images, targets = images.astype(np.float32), np.eye(len(splits.train.label_names), dtype=np.float32)[labels]
    count = min(arguments.steps, len(images) // settings.batch_size)

    sides = {}
    for name in ("plain", "streamed", "augmented"):
        own = (
            settings
            if name == "augmented"
            else recipe.Settings(**{**settings.to_dict(), "augment": False, "mixup": 0.0, "cutmix": 0.0})
        )
        sides[name] = training.steps(recipe, own, splits.train)

    def once(name: str, round_: int) -> float:
        model, batches, _ = sides[name]
        if name == "plain":
            chosen = slice(0, count * settings.batch_size)
            began = time.perf_counter()
            model.fit(images[chosen], targets[chosen], batch_size=settings.batch_size, epochs=1, verbose=0)
            return time.perf_counter() - began
        began = time.perf_counter()
        model.fit(
            batches(round_ * count, (round_ + 1) * count), epochs=1, steps_per_epoch=count, verbose=0, shuffle=False
        )
        return time.perf_counter() - began

    for name in sides:
        once(name, 0)  # compile
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(1, arguments.rounds + 1):
        for name in sides:
            seconds[name].append(once(name, round_))
    ratios = {
        name: [plain / ours for plain, ours in zip(seconds["plain"], seconds[name], strict=True)]
        for name in ("streamed", "augmented")
    }
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.3f} of plain Keras ({min(values):.3f} to {max(values):.3f})")
    rate = count * settings.batch_size / statistics.median(seconds["plain"])
    print(f"plain Keras: {rate:,.0f} images a second")
    results.write(
        f"throughput-{arguments.model}",
        {
            "model": arguments.model,
            "batch_size": settings.batch_size,
            "steps": count,
            "backend": keras.backend.backend(),
            "seconds": seconds,
            "ratios": ratios,
            "median_ratio": {name: statistics.median(values) for name, values in ratios.items()},
            "plain_images_per_second": rate,
        },
    )


if __name__ == "__main__":
    main()

"""Training with TensorFlow's own kernels and with oneDNN's: seconds a step of the networks of digits, signs and texts.

    python benchmarks/onednn.py [--rounds 3] [--steps 30]

TensorFlow decides once, when it is imported, so each side is a process of its own; they take turns, as the machine's speed
drifts, and each times the same steps of real training data, augmentation included, after a warm-up. The ratio of the two is
taken round by round and its median reported, of wall clock and of processor time, which other work on the machine disturbs
less. The second process of a side must have the weights of the first, bit for bit.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

import results

NETWORKS = {
    "digits default": ("cnnkit_digits.cli", "recipe", "default"),
    "digits micro": ("cnnkit_digits.cli", "recipe", "micro"),
    "signs detector": ("cnnkit_signs.cli", "detection", "default"),
    "signs recogniser": ("cnnkit_signs.cli", "recognition", "default"),
    "text default": ("cnnkit_text.cli", "classification", "default"),
    "text kim-rand": ("cnnkit_text.cli", "classification", "kim-rand"),
}
WARM_UP = 5  # steps


def measured(name: str, steps: int) -> dict[str, Any]:
    """Train for a few steps; return seconds of each and a fingerprint of the weights after them."""
    import importlib

    from cnnkit import run_data, training

    module, maker, model = NETWORKS[name]
    recipe = getattr(importlib.import_module(module), maker)()
    asked = {"data": recipe.data}
    _, splits = run_data.at_their_side(recipe, model, asked, run_data.load(recipe, asked, warn=False))
    recipe = recipe.fitting(recipe, splits)
    preset = recipe.preset(model, len(splits.train), False)
    options = {**recipe.options(splits.train, model), **preset.pop("options", {})}
    settings = recipe.Settings(**{**preset, "data": recipe.data, "model": model, "options": options})
    network, batches, _ = training.steps(recipe, settings, splits.train)
    seconds, processor = [], 0.0
    for number, batch in enumerate(batches(0, WARM_UP + steps)):
        if number == WARM_UP:
            processor = time.process_time()
        began = time.perf_counter()
        network.train_on_batch(*batch)
        seconds.append(time.perf_counter() - began)
    processor = (time.process_time() - processor) / steps
    weights = hashlib.sha256(b"".join(np.ascontiguousarray(value).tobytes() for value in network.get_weights()))
    return {
        "seconds": seconds[WARM_UP:],
        "processor": processor,
        "batch_size": settings.batch_size,
        "weights": weights.hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--network", choices=NETWORKS, help=argparse.SUPPRESS)  # what each process is asked
    arguments = parser.parse_args()
    if arguments.network:
        from cnnkit import run

        print(json.dumps(measured(arguments.network, arguments.steps) | {"onednn": run.machine()["onednn"]}))
        return

    rows = {}
    for name in NETWORKS:
        sides: dict[str, list[dict[str, Any]]] = {"0": [], "1": []}
        for _ in range(arguments.rounds):
            for side, found in sides.items():
                line = [sys.executable, __file__, "--network", name, "--steps", str(arguments.steps)]
                environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": side}
                done = subprocess.run(
                    line, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                found.append(json.loads(done.stdout.splitlines()[-1]))
                if found[-1]["onednn"] != (side == "1"):
                    raise SystemExit(f"TensorFlow did not do as TF_ENABLE_ONEDNN_OPTS={side} says.")
        middle = {side: [statistics.median(row["seconds"]) for row in found] for side, found in sides.items()}
        processor = {side: [row["processor"] for row in found] for side, found in sides.items()}
        ratios, cpu_ratios = (
            [off / on for off, on in zip(both["0"], both["1"], strict=True)] for both in (middle, processor)
        )
        repeats = all(len({row["weights"] for row in found}) == 1 for found in sides.values())
        rows[name] = {
            "batch_size": sides["1"][0]["batch_size"],
            "step_seconds": {"off": middle["0"], "on": middle["1"]},
            "step_processor_seconds": {"off": processor["0"], "on": processor["1"]},
            "ratios": ratios,
            "processor_ratios": cpu_ratios,
            "median_ratio": statistics.median(ratios),
            "median_processor_ratio": statistics.median(cpu_ratios),
            "weights_repeat": repeats,
        }
        print(
            f"{name}: {statistics.median(ratios):.2f} times as fast with oneDNN ({min(ratios):.2f} to {max(ratios):.2f}; "
            f"processor time {statistics.median(cpu_ratios):.2f}), weights {'repeat' if repeats else 'DIFFER'}",
            flush=True,
        )
    results.write("onednn", {"steps": arguments.steps, "rounds": arguments.rounds, "networks": rows})


if __name__ == "__main__":
    main()

"""Pruned networks beside the whole ones that they were cut from, and beside networks of the same widths from nothing.

    python benchmarks/pruning.py digits --seeds 0 1 2
    python benchmarks/pruning.py mnist-5000 --seeds 0 1 2    # 5,000 of MNIST's training images, all of its test
    python benchmarks/pruning.py mnist drawn-signs           # hours
    python benchmarks/pruning.py published --weights mobilenet_v2_0.35_224_no_top.weights.h5   # signs, from ImageNet's

A seed has four runs: `whole`, `pruned` from it with half of the multiply-adds or fewer, and twice the network of the pruned one's
widths with initial weights: `nothing` learns for as many epochs as the other two together, `short` for as many as the pruned one
after the cut. Float32 and int8 files of all are
scored on the test data; sign tests over the records that only one of two has right say whether they differ. Latency is that of
LiteRT with one thread, the files by turns in one `bench`: `faster` is how many times as long the whole network's file takes.

A run that is finished in --runs is not trained again; the whole ones have the names that `calibration.py` gives them.
"""

import argparse
import dataclasses
import functools
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import results
from calibration import CASES as OTHERS
from cnnkit.api.apps import app_of
from cnnkit.device.model import DeviceModel
from cnnkit.evaluation.scoring import outputs
from cnnkit.export.convert import convert, fitted
from cnnkit.export.gate import calibrating
from cnnkit.files import write_bytes
from cnnkit.metrics import sign_test
from cnnkit.reporter import SILENT
from cnnkit.run import EXPORT, MODEL, Run
from cnnkit.run_data import own_data
from cnnkit.verbs import work
from cnnkit.verbs.bench import bench
from cnnkit.verbs.scoring import keras_of
from cnnkit.verbs.train import train

CASES = {
    "digits": OTHERS["digits"],
    "mnist-5000": ("digits", ("--data", "mnist", "--limit", "5000")),
    "mnist": OTHERS["mnist"],
    "drawn-signs": OTHERS["drawn-signs"],
    "published": ("signs", ("--task", "recognise", "--data", "gtsrb-small", "--validation", "0")),
}
PRECISIONS = ("float32", "int8")
RUNS = ("whole", "pruned", "nothing", "short")
ASKED = ("data", "limit", "validation", "model", "options", "image_size", "seed")  # of the whole network's settings


def from_nothing(pruned: Run, epochs: int, path: Path) -> None:
    """Train a network of the widths of a pruned one, with its data and the settings of a training from nothing."""
    from cnnkit.training.pruning import Network, widths_in

    recipe = app_of(pruned.document["app"]).for_artifact(pruned.path)
    asked = {name: pruned.document["settings"][name] for name in ASKED}
    builder = recipe.builders[asked["model"]]

    @functools.wraps(builder)
    def narrow(shape: Any, units: int, **options: Any) -> Any:
        return Network(builder(shape, units, **options)).narrowed(widths_in(pruned.document["pruned"]))

    recipe = dataclasses.replace(recipe, builders={**recipe.builders, asked["model"]: narrow})
    train(recipe, {**asked, "weights": "none", "epochs": epochs}, out=path, resume=True)


def converted(artifact: Any, task: Any, records: Any, folder: Path) -> None:
    """Write the files of a trained model, calibrated as `export` does."""
    chosen = np.random.default_rng(0).permutation(len(records))[: calibrating(task, artifact)]
    inputs = task.as_read_by(artifact, records).read(np.sort(chosen))[0]
    for precision in PRECISIONS:
        model = fitted(artifact.model, precision, inputs, artifact.metadata)
        write_bytes(folder / f"{precision}.tflite", convert(model, precision, inputs, artifact.metadata))


def compared(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Return by how many points the first is better than the second, and whether that may be chance."""
    won, lost = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    points = 100 * float(np.mean(first) - np.mean(second))
    return {"points": points, "won": won, "lost": lost, "p": sign_test(lost, won)}


def measured(app: str, paths: dict[str, Path]) -> dict[str, Any]:
    """Return a row of a seed."""
    recipe = app_of(app).for_artifact(paths["whole"])
    run, pruned = (Run.open(paths[name], app) for name in ("whole", "pruned"))
    splits = own_data(recipe, run, tell=SILENT).splits
    task = work.fitted(recipe, splits, run.document.get("fitted", {})).task
    folder = pruned.path / EXPORT  # where `bench` looks for all files
    shutil.rmtree(folder, ignore_errors=True)
    for name, path in paths.items():
        (folder / name).mkdir(parents=True)
        converted(keras_of(path / MODEL, app), task, splits.train, folder / name)
    times = {entry["file"]: entry for entry in bench(app, pruned.path, runs=1000, threads=1).models}
    files: dict[str, Any] = {}
    for precision in PRECISIONS:
        right = {}
        for name in RUNS:
            found, targets = outputs(DeviceModel.open(folder / name / f"{precision}.tflite"), splits.test, task)
            right[name] = np.argmax(found["scores"], axis=1) == np.asarray(targets)
        of = {name: times[f"{name}/{precision}.tflite"] for name in RUNS}
        files[precision] = {
            **{
                name: {
                    "accuracy": float(np.mean(right[name])),
                    **{key: of[name][key] for key in ("median_ms", "bytes")},
                }
                for name in RUNS
            },
            **{f"against {name}": compared(right["pruned"], right[name]) for name in RUNS if name != "pruned"},
            "faster": of["whole"]["times_as_long"] / of["pruned"]["times_as_long"],
        }
    return {
        "seed": run.document["settings"]["seed"],
        "records": len(splits.test),
        "cut": pruned.document["pruned"],
        "epochs": {name: Run.open(path, app).document["settings"]["epochs"] for name, path in paths.items()},
        "files": files,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="after the cut; by default as many as the whole network's")
    parser.add_argument(
        "--weights", default="imagenet", help="of `published`: imagenet, or the file of MobileNetV2 0.35"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(arguments.threads), "TF_NUM_INTEROP_THREADS": "1"}
    for case in arguments.cases:
        app, words = CASES[case]
        for seed in arguments.seeds:
            paths = {"whole": arguments.runs / f"calibration-{case}-{seed}"}
            paths |= {name: arguments.runs / f"pruning-{name}-{case}-{seed}" for name in RUNS[1:]}
            chosen = (*words, "--seed", str(seed))
            start = ("--weights", arguments.weights) if case == "published" else ()
            before = results.trained(app, paths["whole"], *chosen, *start, threads=arguments.threads)["settings"][
                "epochs"
            ]
            cut = [*chosen, "--weights", str(paths["whole"]), "--prune", "0.5"]
            cut += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
            after = results.trained(app, paths["pruned"], *cut, threads=arguments.threads)["settings"]["epochs"]
            for name, epochs in (("nothing", before + after), ("short", after)):
                from_nothing(Run.open(paths["pruned"], app), epochs, paths[name])
            row = {"case": case, **measured(app, paths)}
            for precision, found in row["files"].items():
                accuracies = {name: found[name]["accuracy"] for name in RUNS}
                print(case, seed, precision, accuracies, f"{found['faster']:.2f}", flush=True)
            results.write("pruning", {"rows": results.beside("pruning", "rows", [row], by=("case", "seed"))})


if __name__ == "__main__":
    main()

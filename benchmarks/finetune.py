"""Traffic signs from few tracks: from scratch, on a frozen backbone, fine-tuned; a table, a plot, and the int8 files.

    python benchmarks/finetune.py --weights mobilenet_v2_0.35_224_no_top.weights.h5       # two hours on one core
    python benchmarks/finetune.py --weights ... --seeds 0 & python benchmarks/finetune.py --weights ... --seeds 1 2 ...
    python benchmarks/finetune.py --collect                                                # table and plot of all runs

Data: gtsrb-small (43 classes; training: 5 tracks a class of 15 frames each; test: 60 images a class), found as `cnnkit` finds it.
For each number of tracks and each seed: the seed draws the tracks of each class; the network, MobileNetV2 at width 0.35, is
fine-tuned, then trained with its backbone frozen for as many epochs, then from scratch, without loaded weights, for as
many minutes as fine-tuning took on this machine (the plan of `--minutes` keeps 5 % back, so it is told 5 % more); and the
app's plain CNN on 48 px likewise. All with the settings that `cnnkit signs train` chooses by itself, but nothing is held out
for validation (`--validation 0`): the last epoch counts. The settings were chosen beforehand on one held-out track of each
class, never on the test images. Fine-tuned runs of 5 tracks are exported through the gate at 1 point.

A run that exists in --runs is not trained again, so the benchmark may be stopped, and parts may run side by side.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

import numpy as np

import results
from cnnkit.data import cards

MODES = ("fine-tuned", "frozen", "scratch", "plain")
TITLES = {
    "fine-tuned": "fine-tuned",
    "frozen": "backbone frozen",
    "scratch": "from scratch",
    "plain": "plain CNN from scratch",
}
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "finetune.png"


def subset(root: Path, folder: Path, tracks: int, seed: int) -> Path:
    """Copy `tracks` tracks of each class, drawn by the seed, and lead to the test images; return the folder."""
    if folder.exists():
        return folder
    rng = np.random.default_rng(seed)
    temporary = folder.with_suffix(".part")
    shutil.rmtree(temporary, ignore_errors=True)
    for name in sorted(path.name for path in (root / "train").iterdir()):
        files = sorted((root / "train" / name).iterdir())
        known = sorted({file.name.split("_")[0] for file in files})
        chosen = set(rng.permutation(known)[:tracks].tolist())
        (temporary / "train" / name).mkdir(parents=True)
        for file in files:
            if file.name.split("_")[0] in chosen:
                shutil.copyfile(file, temporary / "train" / name / file.name)
    (temporary / "test").symlink_to((root / "test").resolve(), target_is_directory=True)
    temporary.rename(folder)
    return folder


def finished(run: Path) -> bool:
    """Whether a run is trained and scored."""
    path = run / "run.json"
    return path.exists() and "scores" in json.loads(path.read_text(encoding="utf-8"))


def measure(arguments: argparse.Namespace, root: Path) -> None:
    """Train what is not there yet."""
    for seed in arguments.seeds:
        for tracks in arguments.tracks:
            data = subset(root, arguments.runs / f"tracks-{tracks}-seed-{seed}", tracks, seed)
            minutes = 0.0
            for mode in arguments.modes:
                run = arguments.runs / f"{mode}-{tracks}-{seed}"
                words = ["--data", str(data), "--validation", "0", "--seed", str(seed), "--task", "recognise"]
                words += {
                    "fine-tuned": ["--weights", arguments.weights],
                    "frozen": ["--weights", arguments.weights, "--freeze", "1"],
                    "scratch": ["--weights", "none", "--model", "backbone", "--minutes", f"{1.05 * minutes:.3f}"],
                    "plain": ["--weights", "none", "--minutes", f"{1.05 * minutes:.3f}"],
                }[mode]
                if not finished(run):
                    results.cnnkit("signs", "train", *words, "--out", str(run), "--resume", threads=arguments.threads)
                document = json.loads((run / "run.json").read_text(encoding="utf-8"))
                if mode == "fine-tuned":
                    minutes = document["training"]["seconds"] / 60
                    if tracks == 5 and not (run / "export" / "gate.json").exists():
                        results.cnnkit("signs", "export", str(run), "--tolerance", "1", threads=arguments.threads)
                accuracy = 100 * document["scores"]["test"]["accuracy"]
                print(f"{tracks} tracks, seed {seed}, {mode}: {accuracy:.2f} %", flush=True)


def collect(arguments: argparse.Namespace) -> None:
    """Write what all runs reached, and draw it."""
    cells = []
    for tracks in (1, 2, 5):
        for mode in MODES:
            rows = []
            for run in sorted(arguments.runs.glob(f"{mode}-{tracks}-*")):
                if not finished(run):
                    continue
                document = json.loads((run / "run.json").read_text(encoding="utf-8"))
                test = document["scores"]["test"]
                row = {
                    "seed": document["settings"]["seed"],
                    "accuracy": test["accuracy"],
                    "interval": test["accuracy_interval"],
                    "baseline": test["baseline"]["accuracy"],
                    "minutes": document["training"]["seconds"] / 60,
                    "epochs": document["training"]["epochs"],
                    "parameters": document["model"]["parameters"],
                }
                gate = run / "export" / "gate.json"
                if gate.exists():
                    files = json.loads(gate.read_text(encoding="utf-8"))["artifacts"]
                    row["exported"] = {
                        name: {key: verdict[key] for key in ("score", "difference", "bytes", "passed")}
                        for name, verdict in files.items()
                    }
                rows.append(row)
            if rows:
                accuracies = [row["accuracy"] for row in rows]
                spread = statistics.stdev(accuracies) if len(rows) > 1 else None
                cells.append(
                    {
                        "tracks": tracks,
                        "mode": mode,
                        "mean_accuracy": statistics.mean(accuracies),
                        "standard_deviation": spread,
                        "mean_minutes": statistics.mean(row["minutes"] for row in rows),
                        "mean_baseline": statistics.mean(row["baseline"] for row in rows),
                        "rows": rows,
                    }
                )
    settings = {"data": "gtsrb-small", "backbone": "mobilenet_v2", "alpha": 0.35}
    results.write("finetune", {"settings": settings, "cells": cells})
    draw(cells)


def draw(cells: list[dict]) -> None:
    """Draw accuracy over tracks a class, a line a mode, its standard deviation as a bar."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4), dpi=120, layout="constrained")
    styles = {"fine-tuned": ("#1b6ca8", "o"), "frozen": ("#d08c1d", "s"), "scratch": ("#8a8a8a", "^")}
    styles["plain"] = ("#5a9367", "v")
    for mode in MODES:
        own = [cell for cell in cells if cell["mode"] == mode]
        colour, marker = styles[mode]
        x = [cell["tracks"] for cell in own]
        y = [100 * cell["mean_accuracy"] for cell in own]
        error = [100 * (cell["standard_deviation"] or 0) for cell in own]
        axes.errorbar(x, y, error, color=colour, marker=marker, capsize=3, label=TITLES[mode])
        if own:
            text = f"{TITLES[mode]}, {y[-1]:.1f} %"
            axes.annotate(
                text, (x[-1], y[-1]), (8, 0), textcoords="offset points", color=colour, va="center", fontsize=9
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 5], ["1", "2", "5"])
    axes.minorticks_off()
    axes.set_xlim(0.9, 14)
    axes.set_ylim(0, 100)
    axes.set_xlabel("training tracks a class (15 frames of one sign each)")
    axes.set_ylabel("test accuracy, %")
    axes.set_title("43 German traffic signs, MobileNetV2 0.35: mean and sd over seeds", fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="imagenet", help="imagenet, or the file of MobileNetV2 0.35")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tracks", type=int, nargs="+", default=[5, 2, 1])
    parser.add_argument("--modes", choices=MODES, nargs="+", default=MODES, help="the others follow the first")
    parser.add_argument("--threads", type=int, default=2, help="of TensorFlow")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark/finetune"))
    parser.add_argument("--collect", action="store_true", help="only gather what is there")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    if not arguments.collect:
        card = cards.load("gtsrb-small")
        measure(arguments, Path(str(card.root)))
    collect(arguments)


if __name__ == "__main__":
    main()

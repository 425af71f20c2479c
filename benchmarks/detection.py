"""Traffic-sign detection: the drawn scenes, real photos, small signs in large ones, int8, and the time a photo takes.

    python benchmarks/detection.py scenes --seeds 0 1 2      # the standard command
    python benchmarks/detection.py real                      # a detector that knows only drawn scenes, on real photos
    python benchmarks/detection.py road --weights ...        # road-signs-877, fine-tuned; an hour on two cores
    python benchmarks/detection.py starts --weights ...      # road-signs-877, 20 minutes from each of three starts
    python benchmarks/detection.py gtsdb                     # gtsdb-200, five folds, tiles against whole images; an hour
    python benchmarks/detection.py speed                     # predict on one photo of 1360x800 px, int8 against Keras

Each writes a file of its own in results/, beside what it has of other seeds. Runs are kept in --runs; one that exists is not
trained again.

scenes: `cnnkit signs train`, then `export` with the gate's own tolerances.
road: `cnnkit signs train --data road-signs-877 --weights WEIGHTS --tile-scale 1.5 --mirror` and so on; a stratified fifth is held
out for the test by the split seed 0. Settings were chosen on a fifth of the others. With no validation images the threshold of
`precision` and `recall` stays at the default (0.3 when these were measured, 0.5 since); average precision knows none.
starts: `cnnkit signs train --data road-signs-877 --minutes 20`, all else at its default: on EfficientNet-Lite0, on MobileNetV2
at width 0.35, its weights from --weights, and from nothing. 175 of the 877 photos, drawn by split seed 0, are the test.
gtsdb: the 200 images are dealt into five folds by a seed. Each fold is found by a model trained on the other four, from
--weights, by default the scenes' run of seed 0: once in tiles, as the plan for these boxes is, and once on whole images fitted
into the same input (`--no-tiles`), with the same number of epochs. The found boxes of all folds are scored together. The
classes are the benchmark's three super-classes; boxes of other signs are taken out, so finding one is a false alarm.
real: recall of all annotated signs whatever they are called, and AP50 of the three super-classes, at native resolution in tiles,
on gtsdb-200, by the scenes' runs as they were exported in float32, which have seen no photo.
"""

import argparse
import dataclasses
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import results

EPOCHS = 10  # of a fold
STARTS = ("efficientnet_lite0", "mobilenet_v2", "none")
# Chosen on a fifth of the training images; as many epochs as an hour allows, of all training images.
ROAD = ("--tile-scale", "1.5", "--mirror", "--progressive", "1", "--validation", "0", "--epochs", "72")
NUMBERS = {"prohibitory": [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16], "mandatory": [*range(33, 41)]}
NUMBERS["danger"] = [11, *range(18, 32)]
KEYS = ("ap50", "ap50_interval", "ap", "ap75", "ap50_small", "ap50_medium", "ap50_large", "precision", "recall")


def scenes(arguments: argparse.Namespace) -> None:
    """Train and export on the drawn scenes."""
    for seed in arguments.seeds:
        run = arguments.runs / f"scenes-{seed}"
        document, whole = results.timed("signs", run, "--seed", str(seed), threads=arguments.threads)
        write("scenes", {**row(run, document, arguments.threads), "command_minutes": whole})


def road(arguments: argparse.Namespace) -> None:
    """Fine-tune on road-signs-877."""
    for seed in arguments.seeds:
        run = arguments.runs / f"road-{seed}"
        words = ["--data", "road-signs-877", "--seed", str(seed), "--weights", str(weights(arguments)), *ROAD]
        document = results.trained("signs", run, *words, *arguments.options, threads=arguments.threads)
        write("road", row(run, document, arguments.threads))


def starts(arguments: argparse.Namespace) -> None:
    """Train on road-signs-877 for 20 minutes, from what there is to start from."""
    if "mobilenet_v2" in arguments.starts:
        what = "the file of ImageNet's weights for MobileNetV2 0.35, or `--starts` without mobilenet_v2"
        results.needed(arguments.weights, "--weights", what)
    words = {
        "efficientnet_lite0": ["--weights", "imagenet", "--backbone", "efficientnet_lite0"],
        "mobilenet_v2": ["--weights", str(arguments.weights), "--backbone", "mobilenet_v2", "--alpha", "0.35"],
        "none": ["--weights", "none"],
    }
    for name in arguments.starts:
        run = arguments.runs / f"start-{name}-{arguments.seeds[0]}"
        own = ["--data", "road-signs-877", "--minutes", "20", "--seed", str(arguments.seeds[0]), *words[name]]
        document, whole = results.timed("signs", run, *own, *arguments.options, threads=arguments.threads)
        found = {**row(run, document, arguments.threads), "command_minutes": whole, "command": results.command()}
        print(name, found["ap50"], flush=True)
        results.write("detection-starts", {"starts": results.beside("detection-starts", "starts", {name: found})})


def weights(arguments: argparse.Namespace) -> Path:
    """Return what to start from: as asked for, or the scenes' run of seed 0."""
    return arguments.weights or arguments.runs / "scenes-0"


def row(run: Path, document: dict[str, Any], threads: int) -> dict[str, Any]:
    """Return a run's scores and what its export lost."""
    gate = run / "export" / "gate.json"
    if not gate.exists():
        results.cnnkit("signs", "export", str(run), threads=threads)
    exported = json.loads(gate.read_text(encoding="utf-8"))["artifacts"]
    test = document["scores"]["test"]
    keys = ("bytes", "score", "difference", "worst_class", "worst_class_difference", "passed")
    return {
        "seed": document["settings"]["seed"],
        "minutes": document["training"]["seconds"] / 60,
        "epochs": document["training"]["epochs"],
        "parameters": document["model"]["parameters"],
        "shape": document["data"]["shape"],
        "tile_scale": document["settings"].get("tile_scale"),
        "images": document["data"]["sizes"],
        "threads": threads,
        **{key: test[key] for key in (*KEYS, "count", "boxes", "threshold")},
        "per_class": {label: values["ap50"] for label, values in test["per_class"].items()},
        "baseline": test["baseline"]["ap50"],
        "exported": {name: {key: entry[key] for key in keys} for name, entry in exported.items()},
    }


def write(name: str, found: dict[str, Any]) -> None:
    """Write a row with its command, beside those of other seeds that the file has, their means and spreads."""
    rows = results.beside(f"detection-{name}", "rows", [{**found, "command": results.command()}])
    summary = {}
    for key in ("ap50", "ap", "minutes"):
        values = [entry[key] for entry in rows]
        summary[key] = statistics.mean(values)
        summary[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
    results.write(f"detection-{name}", {"mean": summary, "rows": rows})


def super_classes(path: Path) -> Any:
    """Read gtsdb-200 with the benchmark's three classes; other boxes are left out."""
    from cnnkit.tasks.detection.formats import annotations

    found = annotations.read(path)
    place = {found.labels[number]: name for name, numbers in NUMBERS.items() for number in numbers}
    pictures = [
        dataclasses.replace(
            picture,
            boxes=tuple(dataclasses.replace(b, label=place[b.label]) for b in picture.boxes if b.label in place),
        )
        for picture in found.pictures
    ]
    return dataclasses.replace(found, pictures=tuple(pictures), labels=tuple(NUMBERS), extra={})


def gtsdb(arguments: argparse.Namespace) -> None:
    """Five folds, tiles against whole images."""
    from cnnkit.evaluation import artifacts, scoring
    from cnnkit.tasks.detection import coco, loading
    from cnnkit.tasks.detection.formats import annotations
    from cnnkit.tasks.detection.scoring import Detection

    every = super_classes(results.research("gtsdb-200"))
    folds = np.random.default_rng(0).permutation(len(every.pictures)) % 5
    modes = {"tiles": ["--tiles"], "whole": ["--no-tiles"]}
    found: dict[str, list[Any]] = {mode: [] for mode in modes}
    truth: dict[str, list[Any]] = {mode: [] for mode in modes}
    rows = []
    for fold in arguments.folds:
        folder = arguments.runs / f"gtsdb-fold-{fold}"
        if not folder.exists():
            parts = {"train": folds != fold, "test": folds == fold}
            chosen = {
                split: dataclasses.replace(
                    every, pictures=tuple(p for p, taken in zip(every.pictures, mask, strict=True) if taken)
                )
                for split, mask in parts.items()
            }
            annotations.write(chosen, folder, "yolo")
        for mode, options in modes.items():
            run = arguments.runs / f"gtsdb-{fold}-{mode}"
            words = ["--data", str(folder), "--validation", "0", "--image-size", "320", "--epochs", str(EPOCHS)]
            words += ["--weights", str(weights(arguments)), *options]
            document = results.trained("signs", run, *words, threads=arguments.threads)
            records = loading.load(folder, validation=0, image_size=320, tiles=mode == "tiles").test
            artifact = artifacts.open_artifact(run, "signs")
            one, there = scoring.outputs(artifact, records, Detection())
            found[mode] += one
            truth[mode] += there
            score = document["scores"]["test"]["ap50"]
            rows.append({"fold": fold, "mode": mode, "ap50": score, "minutes": document["training"]["seconds"] / 60})
            print(rows[-1], flush=True)
    together = {mode: coco.score(found[mode], truth[mode], every.labels) for mode in modes}
    keys = (*KEYS, "count", "boxes", "per_class", "sizes")
    scores = {mode: {key: score[key] for key in keys} for mode, score in together.items()}
    results.write("detection-gtsdb", {"epochs": EPOCHS, "folds": arguments.folds, "modes": scores, "rows": rows})


def real(arguments: argparse.Namespace) -> None:
    """What a detector that knows drawn scenes alone finds in real photos."""
    from cnnkit.device.detection import Detections, find_each
    from cnnkit.evaluation import artifacts
    from cnnkit.tasks.detection import coco, loading
    from cnnkit.tasks.detection.coco import Truth

    path = results.research("gtsdb-200")
    records = loading.load(path, validation=0, test=0, image_size=320, tiles=True).train
    place = {number: code for code, numbers in enumerate(NUMBERS.values()) for number in numbers}
    kinds = np.array([place.get(number, 3) for number in range(len(records.label_names))])
    labels = [*NUMBERS, "other"]
    rows = []
    for seed in arguments.seeds:
        export = arguments.runs / f"scenes-{seed}" / "export"
        artifact = artifacts.open_artifact(next(export.glob("*float32.tflite")), "signs")
        plan = dataclasses.replace(records.plan, threshold=artifact.metadata["detection"]["threshold"])
        ours = np.array([labels.index(label) if label in labels else 3 for label in artifact.labels])
        images = (records.native(index) for index in range(len(records)))
        found = [d._replace(codes=ours[d.codes]) for d in find_each(artifact, images, plan, threshold=0.01)]
        truth = [Truth(*records.boxes(index)) for index in range(len(records))]
        truth = [there._replace(codes=kinds[there.codes].astype(np.int32)) for there in truth]
        named = coco.score(found, truth, labels, threshold=plan.threshold)
        signs = [Detections(d.boxes, d.scores, np.zeros(len(d.codes), np.int32)) for d in found]
        there = [entry._replace(codes=np.zeros(len(entry.codes), np.int32)) for entry in truth]
        anything = coco.score(signs, there, ["sign"], threshold=plan.threshold)
        rows.append(
            {
                "seed": seed,
                "ap50": named["ap50"],
                "per_class": {label: values["ap50"] for label, values in named["per_class"].items()},
                "any_sign": {key: anything[key] for key in (*KEYS, "boxes", "threshold", "sizes")},
            }
        )
        print(rows[-1], flush=True)
    results.write("detection-real", {"images": len(records), "rows": rows})


def speed(arguments: argparse.Namespace) -> None:
    """Time `predict` on one photo, as a whole process: the int8 file, and the same model in Keras, by turns."""
    run = arguments.runs / "gtsdb-0-tiles"
    if not (run / "export").exists():
        words = ["--tolerance", "100", "--precision", "float32,int8"]
        results.cnnkit("signs", "export", str(run), *words, threads=arguments.threads)
    photo = arguments.runs / "photo.jpg"
    first = sorted((arguments.runs / "gtsdb-fold-0" / "images" / "test").iterdir())[0]
    shutil.copyfile(first, photo)
    commands = {
        "int8": [str(next((run / "export").glob("*int8.tflite")))],
        "float32": [str(next((run / "export").glob("*float32.tflite")))],
        "keras": [str(run / "model.keras")],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(arguments.repeats):
        for name, artifact in commands.items():
            words = ["-m", "cnnkit_signs.cli", "predict", *artifact, str(photo), "--threads", "2", "--json"]
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = [keras / int8 for keras, int8 in zip(times["keras"], times["int8"], strict=True)]
    content = {"seconds": times, "median": medians, "keras_over_int8": statistics.median(ratio), "lowest": min(ratio)}
    print(content)
    results.write("detection-speed", {"photo": "1360x800", "threads": 2, **content})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scenes", "real", "road", "starts", "gtsdb", "speed"])
    parser.add_argument("--runs", type=Path, default=Path("runs/detection"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="further options of train, last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    {"scenes": scenes, "real": real, "road": road, "starts": starts, "gtsdb": gtsdb, "speed": speed}[arguments.what](
        arguments
    )


if __name__ == "__main__":
    main()

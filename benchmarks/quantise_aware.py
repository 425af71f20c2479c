"""int8 files of networks that learnt with rounding, beside those of the same networks before that: quantise-aware or not.

    python benchmarks/quantise_aware.py --cases digits                                                 # minutes
    python benchmarks/quantise_aware.py --cases signs --weights mobilenet_v2_0.35_224_no_top.weights.h5

Each seed trains once: `unrounded.keras` of the run is the network before the phase, with fewer epochs behind it; its int8 file is
made after training. Both files are scored on the test data; a sign test over the records that only one has right says whether
they differ. `alike` is the share of test records that the int8 file, by LiteRT's reference kernels, answers as the rounding
network does.

A run that is finished in --runs is not trained again.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import results
from cnnkit.api.apps import app_of
from cnnkit.device.model import DeviceModel
from cnnkit.evaluation.scoring import outputs
from cnnkit.metrics import sign_test
from cnnkit.reporter import SILENT
from cnnkit.run import DOCUMENT, UNROUNDED, Run
from cnnkit.run_data import own_data
from cnnkit.verbs import work
from cnnkit.verbs.scoring import keras_of

CASES = {
    "digits": ("digits", ()),
    "signs": ("signs", ("--task", "recognise", "--data", "gtsrb-small", "--validation", "0")),
}


def exported(app: str, artifact: Path, folder: Path, threads: int) -> dict[str, Any]:
    """Export in int8; return the gate's verdict. A refused file is made again without tolerance, so that it can be scored."""
    words = ["export", str(artifact), "--precision", "int8", "--out", str(folder), "--no-code"]
    results.cnnkit(app, *words, threads=threads)
    verdict = json.loads((folder / "gate.json").read_text(encoding="utf-8"))["artifacts"]["int8"]
    if not verdict["passed"]:
        results.cnnkit(app, *words, "--tolerance", "100", threads=threads)
    return {key: verdict[key] for key in ("passed", "refused", "difference", "bytes")}


def measured(app: str, path: Path, threads: int) -> dict[str, Any]:
    """Return a row of a run."""
    recipe = app_of(app).for_artifact(path)
    run = Run.open(path, app)
    splits = own_data(recipe, run, tell=SILENT).splits
    task = work.fitted(recipe, splits, run.document.get("fitted", {})).task
    gates = {
        "aware": exported(app, path, path / "aware", threads),
        "after": exported(app, path / UNROUNDED, path / "after", threads),
    }
    artifacts = {
        "rounding": keras_of(path, app),
        "unrounded": keras_of(path / UNROUNDED, app),
        **{name: DeviceModel.open(path / name / f"{app}-int8.tflite") for name in gates},
        "reference": DeviceModel.open(path / "aware" / f"{app}-int8.tflite", kernels="reference"),
    }
    answered = {}
    for name, artifact in artifacts.items():
        found, targets = outputs(artifact, splits.test, task)
        answered[name] = np.argmax(found["scores"], axis=1)
    right = {name: answers == np.asarray(targets) for name, answers in answered.items()}
    won, lost = (int(np.sum(right[a] & ~right[b])) for a, b in (("aware", "after"), ("after", "aware")))
    return {
        "seed": run.document["settings"]["seed"],
        "records": len(splits.test),
        **{name: float(np.mean(values)) for name, values in right.items()},
        "won": won,
        "lost": lost,
        "p": sign_test(lost, won),
        "alike": float(np.mean(answered["rounding"] == answered["reference"])),
        "gates": gates,
        "phase": run.document["quantise_aware"],
        "minutes": run.document["training"]["seconds"] / 60,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["digits"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/quantise_aware"))
    parser.add_argument("--weights", default="imagenet", help="of signs: imagenet, or the file of MobileNetV2 0.35")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rows = {}
    for case in arguments.cases:
        app, words = CASES[case]
        if case == "signs":
            words = (*words, "--weights", arguments.weights)
        for seed in arguments.seeds:
            path = arguments.runs / f"{case}-{seed}"
            if not (path / DOCUMENT).exists() or not Run.open(path).document.get("scores"):
                options = (*words, "--quantise-aware", "--seed", str(seed), "--out", str(path), "--resume")
                results.cnnkit(app, "train", *options, threads=arguments.threads)
            row = measured(app, path, arguments.threads)
            rows[f"{case}-{seed}"] = {"case": case, **row}
            print(case, seed, {key: row[key] for key in ("rounding", "aware", "after", "p", "alike")}, flush=True)
    every = results.beside("quantise_aware", "rows", rows)
    cases = {}
    for case in sorted({row["case"] for row in every.values()}):
        of_case = [row for row in every.values() if row["case"] == case]
        cases[case] = {
            "seeds": len(of_case),
            **{
                name: statistics.mean(row[name] for row in of_case) for name in ("unrounded", "aware", "after", "alike")
            },
            "significantly worse": sum(row["p"] < 0.05 and row["lost"] > row["won"] for row in of_case),
            "passed": sum(row["gates"]["aware"]["passed"] for row in of_case),
        }
    results.write("quantise_aware", {"cases": cases, "rows": every})


if __name__ == "__main__":
    main()

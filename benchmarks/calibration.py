"""How true scores are, with the temperature and without: NLL and ECE of trained models, of their float32 and of their int8 files.

    python benchmarks/calibration.py digits sms-spam --seeds 0 1 2   # embedded digits; texts: minutes
    python benchmarks/calibration.py mnist --seeds 0 1 2             # an hour of training
    python benchmarks/calibration.py signs scenes --seeds 0          # the recogniser, and the detector on drawn scenes
    python benchmarks/calibration.py road --run RUN                  # a run that is there, trained by whatever command

Each run is trained as a user would, unless it is in --runs. What is scored is its test split. A run that was trained before there
were temperatures gets one here, from its own validation data, and its file stays as it is.

Without: the same weights, and of boxes the same boxes, with a temperature of 1. `nll` and `ece` have 95 % intervals (bootstrap
over records); `by_chance` is the ECE of a model whose scores are all true, in 95 % of draws; `within`: whether the ECE is no
larger. `gained` is by how many nats the temperature made what is true more likely, with an interval over the same records, all
chances taken from 1/512 to 255/256, as files of eight bits have them.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import results
from cnnkit.api.apps import app_of
from cnnkit.device.model import DeviceModel
from cnnkit.evaluation import scoring
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.evaluation.calibration import OFFSET, TEMPERATURE, as_learnt, held_against
from cnnkit.export.convert import convert, fitted
from cnnkit.export.gate import calibrating
from cnnkit.reporter import SILENT
from cnnkit.run import MODEL, Run
from cnnkit.run_data import own_data
from cnnkit.verbs import work
from cnnkit.verbs.scoring import keras_of

CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("digits", ()),
    "mnist": ("digits", ("--data", "mnist")),
    "signs": ("signs", ("--task", "recognise", "--data", "gtsrb-small")),
    "drawn-signs": ("signs", ("--task", "recognise", "--data", "drawn-signs")),
    "scenes": ("signs", ()),
    "road": ("signs", ("--data", "road-signs-877")),
    "surfaces": ("photos", ()),
    "sms-spam": ("text", ("--data", "sms-spam")),
    "trec": ("text", ("--data", "trec")),
    "texts": ("text", ()),
}
PRECISIONS = ("float32", "int8")


def without(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata without temperature and offset, whose threshold of boxes shows the same ones."""
    plain = {key: value for key, value in metadata.items() if key not in (TEMPERATURE, OFFSET)}
    about = plain.get("detection")
    if about and TEMPERATURE in metadata:
        plain["detection"] = {**about, "threshold": float(as_learnt(about["threshold"], metadata))}
    return plain


def judged(task: Any, artifacts: tuple[Any, Any], records: Any) -> dict[str, Any]:
    """Return what an artifact's scores are worth without and with its temperature."""
    answered = [scoring.outputs(artifact, records, task) for artifact in artifacts]
    scores, claims = (
        [make(*found, artifact.labels, artifact.metadata) for found, artifact in zip(answered, artifacts, strict=True)]
        for make in (task.score, task.chances)
    )
    row: dict[str, Any] = {}
    for name, score, chances in zip(("without", "with"), scores, claims, strict=True):
        about = held_against(chances, chances)
        keys = ("nll", "nll_interval", "ece", "ece_interval", "by_chance")
        row[name] = {
            score.headline.name: score.headline.value,
            **{key: about[key] for key in keys},
            "within": about["ece"] <= about["by_chance"][1],
        }
    apart = held_against(*claims)
    low, high = apart["worse_interval"]
    return row | {"answers": len(claims[1].right), "gained": -apart["worse"], "gained_interval": [-high, -low]}


def measured(path: Path, app: str) -> dict[str, Any]:
    """Return a row of a run: its model and its files."""
    recipe = app_of(app).for_artifact(path)
    run = Run.open(path, app)
    splits = own_data(recipe, run, tell=SILENT).splits
    task = work.fitted(recipe, splits, run.document.get("fitted", {})).task
    artifact = keras_of(path / MODEL, app)
    if TEMPERATURE not in artifact.metadata:
        artifact.finalize(task.calibrate(artifact, splits.validation, **task.asked(run.settings(recipe.Settings))))
    both = [without(artifact.metadata), artifact.metadata]
    models = tuple(KerasArtifact(artifact.path, artifact.model, metadata) for metadata in both)
    chosen = np.random.default_rng(0).permutation(len(splits.train))[: calibrating(task, artifact)]
    inputs = task.as_read_by(artifact, splits.train).read(np.sort(chosen))[0]
    row: dict[str, Any] = {
        "seed": run.document["settings"]["seed"],
        "temperature": artifact.metadata.get(TEMPERATURE),
        "offset": artifact.metadata.get(OFFSET),
        "records": {"validation": len(splits.validation), "test": len(splits.test)},
        "trained anew on validation data": bool(run.document.get("refit")),
        "trained": judged(task, models, splits.test),
    }
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            files = []
            model = fitted(artifact.model, precision, inputs, artifact.metadata)
            for number, metadata in enumerate(both):
                file = Path(folder) / f"{precision}-{number}.tflite"
                file.write_bytes(convert(model, precision, inputs, metadata))
                files.append(DeviceModel.open(file))
            row[precision] = judged(task, (files[0], files[1]), splits.test)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--run", type=Path, help="of one case: a run that is there")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for case in arguments.cases:
        app, words = CASES[case]
        for seed in arguments.seeds[: 1 if arguments.run else None]:
            run = arguments.run or arguments.runs / f"calibration-{case}-{seed}"
            if not arguments.run:
                results.trained(app, run, *words, "--seed", str(seed), threads=arguments.threads)
            row = {"case": case, **measured(run, app), "command": results.command()}
            for name in ("trained", *PRECISIONS):
                before, after = row[name]["without"], row[name]["with"]
                print(
                    f"{case} {row['seed']} {name}: T {row['temperature']}, NLL {before['nll']:.4f} -> {after['nll']:.4f}, ECE "
                    f"{before['ece']:.4f} -> {after['ece']:.4f} (by chance up to {after['by_chance'][1]:.4f})",
                    flush=True,
                )
            results.write("calibration", {"rows": results.beside("calibration", "rows", [row], by=("case", "seed"))})


if __name__ == "__main__":
    main()

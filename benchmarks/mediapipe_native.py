"""A run's test inputs, as they are stored, in MediaPipe's own client: its score beside that of `predict`'s preparation.

    python benchmarks/mediapipe_native.py RUN [--data FOLDER] [--paper] [--count 200] [--precisions float32,int8]

The run is exported for MediaPipe unless it is already. The same file is asked here, by LiteRT on prepared inputs, and in
MediaPipe on the inputs themselves (`make mediapipe`). Detectors are scored from the lowest score on, masks by
their confidence masks and the run's thresholds. `--paper` draws test digits on paper, as `redrawn.py` does. Each app and data set
has a row in the results.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import cnnkit
import redrawn
import results
from cnnkit.device import segmentation
from cnnkit.device.detection import Detections
from cnnkit.device.image import fit_image
from cnnkit.device.model import DeviceModel
from cnnkit.inputs.image.loading import load
from cnnkit.reporter import SILENT
from cnnkit.run import EXPORT
from cnnkit.run_data import data_for, everything, named_as

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.clients.mediapipe_tasks import LACKING, VERSION, Job, answers

TASKS = {"classification": "ImageClassifier", "multilabel": "ImageClassifier", "regression": "ImageEmbedder"}
TASKS |= {"detection": "ObjectDetector", "segmentation": "ImageSegmenter"}


def theirs(model: DeviceModel, task: str, inputs: list[Any], lowest: float) -> Any:
    """Return what MediaPipe answers, as a task of ours has its outputs."""
    with tempfile.TemporaryDirectory() as name:
        job = Job(task, model.path, inputs, lowest if task == "ObjectDetector" else None)
        found = answers([job], Path(name), seconds=1800)[0]
    if task == "ObjectDetector":
        codes = np.array([model.labels.index(label) for label in found["names"].tolist()], np.int32)
        rows = [found["boxes"][:, 0] == number for number in range(len(inputs))]
        return [Detections(found["boxes"][row, 1:5], found["boxes"][row, 5], codes[row]) for row in rows]
    if task == "ImageSegmenter":
        plan = segmentation.Plan.from_dict(model.metadata["segmentation"])
        return [segmentation.decoded(found[f"scores_{number}"], plan) for number in range(len(inputs))]
    return found


def compared(run: Any, records: Any, precision: str) -> dict[str, Any]:
    """Score a file both ways, on the same records."""
    from cnnkit.tasks.detection.scoring import lowest

    path = run.path / EXPORT / "mediapipe" / f"{run.app}-{precision}.tflite"
    model = DeviceModel.open(path if path.exists() else run.export(precision, profile="mediapipe"))
    task = run._recipe.task
    inputs = [records.native(index) for index in range(len(records))]
    named = "TextClassifier" if isinstance(inputs[0], str) else TASKS[model.metadata["task"]]
    if not isinstance(inputs[0], str):
        inputs = [fit_image(picture, (*picture.shape[:2], 3)) for picture in inputs]
    ours, targets = task.outputs(model, records)
    scores = [
        task.score(found, targets, model.labels, model.metadata).headline
        for found in (ours, theirs(model, named, inputs, lowest(model.metadata)))
    ]
    before, after = (score.value for score in scores)
    return {
        "score": scores[0].name,
        "ours": before,
        "mediapipe": after,
        "lost": round(-scores[0].scale * scores[0].gain(before, after), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", help="other pictures or texts than the run's own test")
    parser.add_argument("--paper", action="store_true", help="test digits of MNIST, drawn on paper")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--precisions", default="float32,int8")
    arguments = parser.parse_args()
    if LACKING:
        raise SystemExit(LACKING)
    run = cnnkit.load_run(arguments.run)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data
        if arguments.paper:
            test = load("mnist").test
            digits, labels = test.read(np.arange(arguments.count))
            redrawn.draw(Path(folder), "paper", digits[..., 0], labels, 0)
            data = str(Path(folder) / "dark")
        loaded = data_for(run._recipe, run.path, data, tell=SILENT)
        records = loaded.splits.test if loaded.own else everything(named_as(loaded.splits, run.labels, SILENT))
        records = records.take(
            np.unique(np.linspace(0, len(records) - 1, min(arguments.count, len(records))).astype(int))
        )
        rows = {precision: compared(run, records, precision) for precision in arguments.precisions.split(",")}
    seen = f"{run.app}, {run.document['data']['name']}" + ", on paper" * arguments.paper
    about = {"mediapipe": VERSION, "count": len(records), "model": run.document["model"]["name"], "files": rows}
    print(seen, about)
    results.write("mediapipe_native", {"found": results.beside("mediapipe_native", "found", {seen: about})})


if __name__ == "__main__":
    main()

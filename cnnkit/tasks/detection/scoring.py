"""The task of finding objects: its loss, its scores, its baseline. The same methods as `Classification`.

Design choices:
- An artifact is scored on native images, through the tiles and the merging that a device runs (`device/detection.py`).
- Detections down to a score of 1 %, as the network gave it, enter average precision; what a user sees begins at a threshold
  that is chosen on validation data, by the best F1, and travels inside the artifact.
- A score is the chance that the box is right: that it matches, at an IoU of 0.5, a box of its class that no surer one has. The
  network learns something else, how well a cell's box will lie (`loss`): of its scores of 0.1 one in a thousand is right, of
  those of 0.8 almost all. A temperature alone leaves one half at one half. On 175 photos of road signs the ECE of the boxes
  shown was 0.093 as learnt; 0.025 with a temperature, where chance allows 0.012; 0.015 with an offset too, where it allows
  0.032. So both are fitted, on all boxes that validation images give down to `LOWEST`, and are in the graph.
- No box changes its place among the others, so average precision stays. In eight bits those near 1 become alike: there AP50 of
  these photos was 0.1 points lower for it, and AP over IoU 0.5 to 0.95, which asks which of several boxes lies best, 0.7.
- How true scores are is measured of what is shown: boxes far below the threshold are many, and easily told to be wrong.
- Training keeps its last weights, which are averages under a rate that has come to rest: the loss of a detector, whose
  targets follow its own answers, says little about which epoch finds most.
- The baseline is a detector without a network (`regions`): boxes put where training has theirs score near 0, and are no bar.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.data import splits
from cnnkit.device.detection import Detections, Plan, find_each
from cnnkit.evaluation.calibration import (
    OFFSET,
    TEMPERATURE,
    Chances,
    as_claimed,
    as_learnt,
    best_scale,
    calibrated,
    floor_of,
    raw_odds,
)
from cnnkit.evaluation.task import WORST, Done, Metadata, Task
from cnnkit.score import Score, Scores
from cnnkit.tasks.detection import coco, regions
from cnnkit.tasks.detection.coco import Truth
from cnnkit.tasks.detection.records import BoxRecords

CALIBRATED = (
    2**25
)  # px that int8 is calibrated on: 512 inputs of 256 px a side, which is all that is ever taken, 193 of 416
ENTRY = "detection"  # of the metadata
LOWEST = 0.01  # score of a detection that enters average precision, without temperature and offset
HIGHEST = (
    1 - 1 / 128
)  # threshold, where all that was found was right: a score of eight bits is never higher than 255/256
Found = list[Detections]


class Detection(Task):
    """Boxes around objects."""

    name = "detection"
    headline = "ap50"
    tolerance = (1.0, 3.0)
    calibrated = CALIBRATED
    keeps_best = False
    counted = "boxes"
    explains = True

    def loss(self, settings: Any) -> Any:
        """Return the loss of `cnnkit.tasks.detection.loss`."""
        from cnnkit.tasks.detection.loss import DetectionLoss

        return DetectionLoss()

    def as_read_by(self, artifact: Any, records: BoxRecords) -> BoxRecords:
        """Return records whose images are read as an artifact takes them."""
        return records.with_shape(artifact.input_shape)

    def outputs(
        self, artifact: Any, records: BoxRecords, progress: Done = lambda done: None
    ) -> tuple[Found, list[Truth]]:
        """Find in every native image, as a device does; return what was found and what is there.

        What is found of a class that an image was not asked for is left out: nobody can say whether it is right.
        """
        plan = plan_of(artifact, records)
        images = (records.native(index) for index in range(len(records)))
        found: list[Detections] = []
        for entry in find_each(artifact, images, plan, threshold=lowest(artifact.metadata)):
            found.append(_asked(records, len(found), entry))
            progress(len(found))
        return found, [Truth(*records.boxes(index)) for index in range(len(records))]

    def calibrate(self, artifact: Any, records: BoxRecords) -> dict[str, Any]:
        """Fit temperature and offset on validation data, and choose the threshold; return what the artifact is to say of them."""
        if not len(records):
            return {}
        found, truth = self.outputs(artifact, records)
        if not any(len(there.codes) for there in truth):
            return {}
        every = self.chances(found, truth, artifact.labels, {ENTRY: {"threshold": 0.0}})
        temperature, offset = best_scale(raw_odds(every.claimed, artifact.metadata), every.right)
        decided = {TEMPERATURE: temperature, OFFSET: offset}
        calm = [
            entry._replace(scores=as_claimed(as_learnt(entry.scores, artifact.metadata), decided)) for entry in found
        ]
        threshold = min(HIGHEST, coco.best_threshold(calm, truth, artifact.labels))
        return {**decided, ENTRY: {"threshold": round(threshold, 4)}}

    def chances(self, found: Found, truth: list[Truth], labels: Sequence[str], metadata: Metadata = None) -> Chances:
        """As `Task.chances`: of each box that is shown, that it is right; those that find what is ignored are left out."""
        threshold = ((metadata or {}).get(ENTRY) or {}).get("threshold", Plan().threshold)
        shown = [entry.take(entry.scores >= threshold) for entry in found]
        parts: list[tuple[Any, ...]] = [(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))]
        for image, (entry, match) in enumerate(zip(shown, coco.matches(shown, truth), strict=True)):
            counted = ~match.ignored
            hits = match.boxes[counted] >= 0
            parts.append((entry.scores[counted], hits, np.full(len(hits), image)))
        claimed, right, owners = (np.concatenate(part) for part in zip(*parts))
        return Chances(claimed, right, owners=owners, least=floor_of(metadata))

    def score(self, found: Found, truth: list[Truth], labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score detections, at the artifact's threshold where it has one; as `coco.score`, AP50 first."""
        threshold = ((metadata or {}).get("detection") or {}).get("threshold")
        scores = coco.score(found, truth, labels, threshold=threshold)
        value, (low, high) = scores.pop("ap50"), scores.pop("ap50_interval")
        there = {label: entry["ap50"] for label, entry in scores["per_class"].items() if entry["support"]}
        chances, before = self.chances(found, truth, labels, metadata), None
        if calibrated(metadata):
            before = dataclasses.replace(chances, claimed=as_learnt(chances.claimed, metadata))
        return Scores(
            Score("ap50", value, interval=(low, high), per_class=there),
            *chances.scores(),
            **scores,
            **chances.facts(before, metadata),
            examples=scores["boxes"],
            constant={"name": "finding nothing", "value": 0.0, "sure": True},
        )

    def changes(
        self, before: Found, after: Found, truth: list[Truth], labels: Sequence[str], metadata: Metadata = None
    ) -> dict[str, tuple[int, int]]:
        """Compare what two models found in the same images, at the artifact's threshold.

        Returns:
            for each label the number of errors, boxes missed and false alarms, that only the second makes, and that only the
            first makes.
        """
        threshold = ((metadata or {}).get("detection") or {}).get("threshold", Plan().threshold)
        first, second = (_errors(found, truth, len(labels), threshold) for found in (before, after))
        lost, won = (np.maximum(one, 0).sum(0) for one in (second - first, first - second))
        return {label: (int(lost[k]), int(won[k])) for k, label in enumerate(labels)}

    def top_losses(
        self,
        found: Found,
        truth: list[Truth],
        records: BoxRecords,
        labels: Sequence[str],
        threshold: float | None = None,
    ) -> list[dict[str, Any]]:
        """Return the most confident false alarms and the largest misses, as `coco.worst`, with name and native image."""
        if threshold is None:
            threshold = coco.best_threshold(found, truth, labels)
        entries = coco.top_losses(found, truth, labels, threshold, WORST)
        return [
            {**entry, "name": records.name(entry["image"]), "picture": records.native(entry["image"])}
            for entry in entries
        ]

    def baseline(
        self, train: BoxRecords, test: BoxRecords, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score a detector without a network: regions that stand out, told apart by a linear model."""
        train = train if whole is None else whole
        chosen = np.sort(splits.spread(train.labels)[: regions.TRAINED])
        plain = regions.Regions((train.native(index), train.boxes(index)) for index in chosen.tolist())
        told = [_asked(test, index, plain.find(test.native(index))) for index in range(len(test))]
        truth = [Truth(*test.boxes(index)) for index in range(len(test))]
        scores = coco.score(told, truth, train.label_names)
        name = f"regions of one colour or brightness, told apart by a linear model of {len(chosen):,} images"
        return {"name": name, **{key: scores[key] for key in ("ap50", "ap50_interval", "ap")}}

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""

        def points(key: str) -> str:
            return "" if scores.get(key) is None else f"{100 * scores[key]:.2f}"

        names = {"ap": "AP %", "ap50_small": "AP50 small", "ap50_medium": "medium", "ap50_large": "large"}
        names |= {"precision": "precision %", "recall": "recall %"}
        return {title: points(key) for key, title in names.items()} | {"images": f"{scores['count']:,}"}

    def explained(self, model: Any) -> tuple[Any, list[str]]:
        """Return a model that names the image's best box, and the names of classes it adds: for Grad-CAM."""
        import keras
        from keras import ops

        best = ops.max(model.get_layer("every_logit").output, axis=1)
        return keras.Model(model.input, ops.pad(best, ((0, 0), (0, 1))), name=model.name), ["nothing"]


def lowest(metadata: Metadata) -> float:
    """Return the score of an artifact's detections that is `LOWEST` without its temperature and offset."""
    return float(as_claimed(LOWEST, metadata)) if TEMPERATURE in (metadata or {}) else LOWEST


def _errors(found: list[Detections], truth: list[Truth], classes: int, threshold: float) -> np.ndarray:
    """Count errors: int (k, classes), a row for each box that is to be found, then one for the false alarms of each image."""
    shown = [entry.take(entry.scores >= threshold) for entry in found]
    boxes, alarms = [np.zeros((0, classes), int)], [np.zeros((0, classes), int)]
    for entry, there, match in zip(shown, truth, coco.matches(shown, truth), strict=True):
        missed = np.ones(len(there.codes), bool)
        missed[match.boxes[match.boxes >= 0]] = False
        rows = np.zeros((len(there.codes), classes), int)
        kept = ~there.ignored
        rows[kept, there.codes[kept]] = missed[kept]
        false = entry.codes[(match.boxes < 0) & ~match.ignored]
        boxes.append(rows)
        alarms.append(np.bincount(false, minlength=classes)[None])
    return np.concatenate([*boxes, *alarms])


def _asked(records: BoxRecords, index: int, found: Detections) -> Detections:
    """Return what was found of the classes that an image was asked for."""
    asked = records.asked(np.array([index]))
    return found if asked is None else found.take(asked[0][found.codes])


def plan_of(artifact: Any, records: BoxRecords | None = None) -> Plan:
    """Return how images meet an artifact: as its file says, else as the records do."""
    written = artifact.metadata.get("detection")
    if written is None:
        return records.plan if records is not None else Plan()
    return Plan.from_dict(written)

"""The task of drawing masks: its loss, its scores, its baseline.

Design choices:
- An artifact is scored on native pictures, through the windows and the blending that a device runs (`device/segmentation.py`).
- A score is of a case and a label first; its mean over cases is the label's, and the mean of these stands first. Where a label is
  neither there nor answered, its overlap says nothing and is left out, and counted.
- What an answer may be cleaned of, small pieces or all but the largest, is decided on validation data, and only where it gains.
- Training keeps its last weights, which are averages under a rate that has come to rest.
- Intervals resample patients where these are known, else cases.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.segmentation import Plan, cleaned, segment
from cnnkit.errors import ConfigError
from cnnkit.evaluation.task import WORST, Done, Metadata, Task
from cnnkit.score import Score, Scores
from cnnkit.tasks.segmentation import measures
from cnnkit.tasks.segmentation.masks import IGNORE, Regions, alone
from cnnkit.tasks.segmentation.records import MaskRecords
from cnnkit.tasks.segmentation.settings import MASKS

LOSSES: dict[str, dict[str, Any]] = {
    "dice": {},
    "tversky": {"tversky": (0.3, 0.7)},
    "focal": {"focal": 2.0},
    "boundary": {"boundary": 0.1},
}
GAIN = 0.002  # of the mean Dice on validation data, from which cleaning counts
SMALLEST = (0.0002, 0.001, 0.005)  # of a picture's pixels, sizes of pieces that are tried


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """What is there in a picture.

    Attributes:
        codes: uint8 (h, w).
        objects: int32 (h, w), or None.
        spacing: mm, or None.
        patient: a number, equal for pictures of one patient.
        name: of the picture.
    """

    codes: np.ndarray
    objects: np.ndarray | None
    spacing: tuple[float, ...] | None
    patient: int
    name: str


class Segmentation(Task):
    """Masks.

    Args:
        regions: the codes of each label; None: not known yet.
    """

    name = "segmentation"
    headline = "dice"
    tolerance = (1.0, 1.0)
    keeps_best = False
    noun = "pictures"
    counted = "pictures"
    explains = False
    rooms = ()

    def __init__(self, regions: Regions | None = None):
        self.regions = regions

    def fitted(self, splits: Any, earlier: Mapping[str, Any]) -> "Segmentation":
        return type(self)(splits.train.regions)

    def loss(self, settings: Any) -> Any:
        """Return the loss of `cnnkit.tasks.segmentation.losses` that the settings name."""
        from cnnkit.tasks.segmentation.losses import MaskLoss

        if settings.loss not in LOSSES:
            raise ConfigError(f"`loss` needs one of {', '.join(LOSSES)}. Got {settings.loss!r}.")
        return MaskLoss(self.regions, **LOSSES[settings.loss])

    def as_read_by(self, artifact: Any, records: MaskRecords) -> MaskRecords:
        """Return records that are seen as an artifact's plan says."""
        return records.with_plan(plan_of(artifact, records), artifact.input_shape)

    def outputs(
        self, artifact: Any, records: MaskRecords, progress: Done = lambda done: None
    ) -> tuple[list[np.ndarray], list[Case]]:
        """Draw the masks of every native picture, as a device does; return their code maps and what is there."""
        plan = plan_of(artifact, records)
        found = []
        for index in range(len(records)):
            found.append(segment(artifact, records.native(index), plan, artifact.labels))
            progress(len(found))
        return found, cases(records)

    def calibrate(self, artifact: Any, records: MaskRecords) -> dict[str, Any]:
        """Decide on validation data what answers are cleaned of; return what the artifact is to say of it."""
        if not len(records):
            return {}
        plan = dataclasses.replace(plan_of(artifact, records), smallest=None, largest=())
        found, truth = self._with(artifact, records, plan)
        labels = artifact.labels
        best = mean_dice(found, truth, plan, labels)
        size = float(np.median([case.codes.size for case in truth]))
        for label in labels:
            tried = [dataclasses.replace(plan, largest=(*plan.largest, label))]
            for share in SMALLEST:
                least = {**(plan.smallest or {}), label: max(2, round(share * size))}
                tried.append(dataclasses.replace(plan, smallest=least))
            scored = [
                mean_dice([cleaned(codes, other, labels) for codes in found], truth, plan, labels) for other in tried
            ]
            if max(scored) > best + GAIN:
                best, plan = max(scored), tried[int(np.argmax(scored))]
        return {"segmentation": {"smallest": plan.smallest, "largest": list(plan.largest)}}

    def _with(self, artifact: Any, records: MaskRecords, plan: Plan) -> tuple[list[np.ndarray], list[Case]]:
        found = [segment(artifact, records.native(index), plan, artifact.labels) for index in range(len(records))]
        return found, cases(records)

    def score(
        self, found: Sequence[np.ndarray], truth: Sequence[Case], labels: Sequence[str], metadata: Metadata = None
    ) -> Scores:
        """Score code maps, mean Dice first."""
        plan = Plan.from_dict((metadata or {}).get("segmentation") or {})
        regions = plan.codes_of(len(labels)) if metadata is not None else self.regions or alone(len(labels))
        rows = [
            measures.case_measures(codes, case.codes, regions, names=labels, spacing=case.spacing)
            for codes, case in zip(found, truth, strict=True)
        ]
        patients = [case.patient for case in truth]
        table = np.array([[row[label]["dice"] for label in labels] for row in rows])  # (cases, labels)
        value, interval = _mean(table), _interval(table, np.array(patients))
        per_class = {}
        for place, label in enumerate(labels):
            own = {
                key: np.array([row[label][key] for row in rows]) for key in ("dice", "iou", "sensitivity", "precision")
            }
            there = int(sum(row[label]["true_area"] > 0 for row in rows))
            per_class[label] = {
                **{key: _or_none(_mean(values)) for key, values in own.items()},
                "support": there,
                "left_out": int(np.isnan(table[:, place]).sum()),
            }
        known = {label: entry["dice"] for label, entry in per_class.items() if entry["dice"] is not None}
        iou = np.array([[row[label]["iou"] for label in labels] for row in rows])
        return Scores(
            Score(
                "dice",
                value,
                interval=interval,
                per_class=known,
                per_record=np.nan_to_num(np.nanmean(np.where(np.isnan(table), 1.0, table), axis=1)),
            ),
            Score("iou", _mean(iou), interval=_interval(iou, np.array(patients))),
            count=len(truth),
            per_class=per_class,
            examples=len(truth),
            constant={"name": "drawing nothing", "value": 0.0, "sure": bool(interval[0] > 0)},
        )

    def words(self, target: Any, labels: Sequence[str]) -> str:
        """Return which labels a mask has."""
        codes = np.unique(target)
        regions = self.regions or alone(len(labels))
        there = [label for label, region in zip(labels, regions, strict=True) if np.isin(region, codes).any()]
        return ", ".join(there) or "nothing"

    def top_losses(
        self, found: Sequence[np.ndarray], truth: Sequence[Case], records: MaskRecords, labels: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the cases that are drawn worst, with picture, truth and answer."""
        score = self.score(found, truth, labels).headline
        assert score.per_record is not None
        order = np.argsort(score.per_record, kind="stable")[:WORST]
        return [
            {
                "index": int(index),
                "name": records.name(int(index)),
                "true": self.words(truth[index].codes, labels),
                "predicted": self.words(found[index], labels),
                "note": score.said(float(score.per_record[index])),
                "picture": records.native(int(index)),
                "truth": truth[index].codes,
                "answer": found[index],
            }
            for index in order
        ]

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        return {"IoU %": f"{100 * scores['iou']:.2f}", "pictures": f"{scores['count']:,}"}

    def baseline(
        self, train: MaskRecords, test: MaskRecords, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score a classifier of pixels."""
        from cnnkit.tasks.segmentation import baseline

        return baseline.scored(self, train if whole is None else whole, test)


def plan_of(artifact: Any, records: MaskRecords | None = None) -> Plan:
    """Return how pictures meet an artifact: as its file says, else as the records do."""
    written = artifact.metadata.get("segmentation")
    if written is None:
        return records.plan if records is not None else Plan()
    return Plan.from_dict(written)


def cases(records: MaskRecords) -> list[Case]:
    """Return what is there in each record."""
    patients = np.arange(len(records)) if records.groups is None else records.groups
    return [
        Case(
            records.mask(index),
            records.objects(index),
            records.spacing(index),
            int(patients[index]),
            records.name(index),
        )
        for index in range(len(records))
    ]


def mean_dice(found: Sequence[np.ndarray], truth: Sequence[Case], plan: Plan, labels: Sequence[str]) -> float:
    """Return the mean over labels of the mean over cases."""
    regions = plan.codes_of(len(labels))
    table = np.full((len(truth), len(labels)), np.nan)
    for row, (codes, case) in enumerate(zip(found, truth, strict=True)):
        known = case.codes != IGNORE
        for column, region in enumerate(regions):
            said, there = np.isin(codes, region) & known, np.isin(case.codes, region) & known
            total = int(said.sum()) + int(there.sum())
            if total:
                table[row, column] = 2 * int((said & there).sum()) / total
    return _mean(table)


def _mean(values: np.ndarray) -> float:
    """Return the mean over labels of the mean over cases; of cases alone where there is one axis; nan where all is left out."""
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(values)
        sums = np.where(known, values, 0).sum(0) / np.where(known.sum(0), known.sum(0), np.nan)
    sums = np.atleast_1d(sums)
    sums = sums[~np.isnan(sums)]
    return float(sums.mean()) if len(sums) else float("nan")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _interval(table: np.ndarray, patients: np.ndarray, draws: int = 1000) -> tuple[float, float]:
    """Return the 95 % interval of `_mean`, by drawing patients anew."""
    names, places = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(0)
    known = ~np.isnan(table)
    filled = np.where(known, table, 0)
    sums = np.stack([np.bincount(places, filled[:, k], len(names)) for k in range(table.shape[1])], 1)
    counts = np.stack([np.bincount(places, known[:, k], len(names)) for k in range(table.shape[1])], 1)
    times = np.stack([np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)) for _ in range(draws)])
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nanmean(np.where(times @ counts > 0, (times @ sums) / (times @ counts), np.nan), axis=1)
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return float(low), float(high)


ROOMS = MASKS

"""The task of drawing masks: its loss, its scores, its baseline.

Design choices:
- An artifact is scored on native pictures, through the windows and the blending that a device runs (`device/segmentation.py`).
- A score is of a case and a label first; its mean over cases is the label's, and the mean of these stands first. Where a label is
  neither there nor answered, its overlap says nothing and is left out, and counted.
- What an answer may be cleaned of, small pieces or all but the largest, is decided on validation data, and only where it gains.
- Where objects are told apart an answer is a map of their numbers, int32, and the average precision of these stands first. From
  which scores on an object begins, and how small one may be, is decided on validation data too.
- Training keeps its last weights, which are averages under a rate that has come to rest.
- Intervals resample patients where these are known, else cases.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.segmentation import Plan, cleaned, levels, parted, segment, separate
from cnnkit.errors import CnnkitError, ConfigError, DataError
from cnnkit.evaluation.task import WORST, Done, Metadata, Task
from cnnkit.score import LESS, Score, Scores, unit
from cnnkit.tasks.segmentation import measures, objects
from cnnkit.tasks.segmentation.masks import IGNORE, Regions, alone
from cnnkit.tasks.segmentation.records import MaskRecords

BATCH_DICE = "batch-dice"
LOSSES: dict[str, dict[str, Any]] = {
    "dice": {"batch_dice": False},
    BATCH_DICE: {},
    "tversky": {"tversky": (0.3, 0.7)},
    "focal": {"focal": 2.0},
    "boundary": {"boundary": 0.1},
}
SHARES = ("iou", "nsd", "sensitivity", "precision")
CLASS = ("dice", "iou", "nsd", "sensitivity", "precision", "f1")
DISTANCES = ("hd95",)
CASE = ("dice", "true_area", "area")  # of each label, what a report draws of every case, and what stands first
GAIN = 0.002  # of the mean Dice on validation data, from which cleaning counts
SMALLEST = (0.0002, 0.001, 0.005)  # of a picture's pixels, sizes of pieces that are tried
SEEDS, WHOLES = (0.4, 0.5, 0.6, 0.8, 0.9), (0.4, 0.6)  # scores that are tried, from which an object begins, and is
LEAST = (0.05, 0.1, 0.2, 0.35)  # sizes of objects that are tried, of their median area
TRIED_ON = 2**26  # px of validation pictures, at most, that these are tried on
# px that int8 is calibrated on: 512 windows of 64 px a side, 56 of 192. With 56 drawn slices lost 0.11 points of Dice by int8.
CALIBRATED = 2**21
OBJECTS = "objects"  # what counts are of
SIZES = {(False, "px"): "px", (False, "mm"): "mm\u00b2", (True, "px"): "voxels", (True, "mm"): "ml"}
"""The unit of areas and volumes, of volumes or not, by that of distances."""
APART = ("ap50", "count_error", "count_error_share")


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """What is there in a picture.

    Attributes:
        codes: uint8 (h, w).
        objects: int32 (h, w), or None; where objects are told apart, what hangs together if masks do not tell.
        spacing: mm, or None.
        patient: a number, equal for pictures of one patient.
        name: of the picture, as files may have it.
        second: what another person drew, as `codes`; None: nobody did.
    """

    codes: np.ndarray
    objects: np.ndarray | None
    spacing: tuple[float, ...] | None
    patient: int
    name: str
    second: np.ndarray | None = None


def _of(records: MaskRecords, index: int, answer: Callable[..., Any]) -> Any:
    """Return what is answered of a native picture, and of its spacing.

    Raises:
        DataError: it does not fit the model.
    """
    try:
        return answer(records.native(index), spacing=records.spacing(index))
    except CnnkitError:
        raise
    except ValueError as error:
        raise DataError(f"{records.name(index)} cannot be used: {error}.") from error


class Segmentation(Task):
    """Masks.

    Args:
        regions: the codes of each label; None: not known yet.
        apart: whether objects of the only label are told apart.
    """

    name = "segmentation"
    headline = "dice"
    tolerance = (1.0, 1.0)
    calibrated = CALIBRATED
    keeps_best = False
    noun = "pictures"
    counted = "pictures"
    explains = True
    rooms = ()

    def __init__(self, regions: Regions | None = None, apart: bool = False):
        self.regions, self.apart = regions, apart
        self.headline = "ap50" if apart else "dice"

    def fitted(self, splits: Any, earlier: Mapping[str, Any]) -> "Segmentation":
        return type(self)(splits.train.regions, splits.train.plan.rim > 0)

    def units(self, labels: Sequence[str]) -> int:
        """Return how many scores a pixel has beside the background's: of labels, or of inside and border."""
        return len(objects.TAUGHT) if self.apart else super().units(labels)

    def loss(self, settings: Any) -> Any:
        """Return the loss of `cnnkit.tasks.segmentation.losses` that the settings name."""
        from cnnkit.tasks.segmentation.losses import MaskLoss

        loss = settings.loss or BATCH_DICE
        if loss not in LOSSES:
            raise ConfigError(f"`loss` needs one of {', '.join(LOSSES)}. Got {loss!r}.")
        return MaskLoss(objects.TAUGHT if self.apart else self.regions, **LOSSES[loss])

    def as_read_by(self, artifact: Any, records: MaskRecords) -> MaskRecords:
        """Return records that are seen as an artifact's plan says."""
        return records.with_plan(plan_of(artifact, records), artifact.input_shape)

    def outputs(
        self, artifact: Any, records: MaskRecords, progress: Done = lambda done: None
    ) -> tuple[list[np.ndarray], list[Case]]:
        """Draw the masks of every native picture, as a device does; return codes, or numbers of objects, and what is there."""
        plan = plan_of(artifact, records)
        found = []
        draw = separate if plan.rim else segment
        for index in range(len(records)):
            found.append(
                _of(records, index, lambda picture, **about: draw(artifact, picture, plan, artifact.labels, **about))
            )
            progress(len(found))
        return found, cases(records)

    def calibrate(self, artifact: Any, records: MaskRecords) -> dict[str, Any]:
        """Decide on validation data what answers are cleaned of; return what the artifact is to say of it."""
        if not len(records):
            return {}
        if plan_of(artifact, records).rim:
            return self._calibrate_objects(artifact, records)
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

    def _calibrate_objects(self, artifact: Any, records: MaskRecords) -> dict[str, Any]:
        """Decide from which scores on an object begins, and how small it may be."""
        start = Plan()
        plan = dataclasses.replace(
            plan_of(artifact, records), seed=start.seed, threshold=start.threshold, smallest=None
        )
        labels, truth = artifact.labels, []
        seen: list[tuple[np.ndarray, np.ndarray]] = []
        for index in range(len(records)):
            if not seen or sum(inside.size for inside, _ in seen) < TRIED_ON:
                own = self.answering(artifact, index)
                seen.append(_of(records, index, functools.partial(levels, own, plan=plan)))
                truth.append(records.numbered(index))
        sizes = np.concatenate([np.bincount(numbers.ravel())[1:] for numbers in truth])
        least = [max(2, round(share * float(np.median(sizes)))) for share in LEAST] if len(sizes) else []

        def scored(plan: Plan) -> float:
            found = [
                measures.matches(parted(*maps, plan, labels), there, measures.APART) for maps, there in zip(seen, truth)
            ]
            shares = [counts[0] / sum(counts) for counts in found if sum(counts)]
            return float(np.mean(shares)) if shares else 0.0

        best = scored(plan)
        for changes in (
            [{"seed": value} for value in SEEDS],
            [{"threshold": value} for value in WHOLES],
            [{"smallest": {labels[0]: size}} for size in least],
        ):
            tried = [dataclasses.replace(plan, **change) for change in changes]
            values = [scored(other) for other in tried]
            if values and max(values) > best + GAIN:
                best, plan = max(values), tried[int(np.argmax(values))]
        return {"segmentation": {"seed": plan.seed, "threshold": plan.threshold, "smallest": plan.smallest}}

    def _with(self, artifact: Any, records: MaskRecords, plan: Plan) -> tuple[list[np.ndarray], list[Case]]:
        found = [
            _of(
                records,
                index,
                functools.partial(segment, self.answering(artifact, index), plan=plan, labels=artifact.labels),
            )
            for index in range(len(records))
        ]
        return found, cases(records)

    def score(
        self, found: Sequence[np.ndarray], truth: Sequence[Case], labels: Sequence[str], metadata: Metadata = None
    ) -> Scores:
        """Score code maps, mean Dice first, or numbers of objects, uint8 code maps too, by their average precision first."""
        plan = Plan.from_dict((metadata or {}).get("segmentation") or {})
        regions = self.regions or plan.codes_of(len(labels))
        length = "px" if any(case.spacing is None for case in truth) else "mm"  # of all alike, or means mix both
        apart = self.apart or plan.rim > 0 or any(answer.dtype == np.int32 for answer in found)
        solid = bool(truth) and truth[0].codes.ndim == 3
        tolerance = measures.OF_VOLUMES if solid else measures.TOLERANCE
        rows = [
            measures.case_measures(
                objects.codes_of(answer),
                case.codes,
                regions,
                names=labels,
                spacing=case.spacing if length == "mm" else None,
                tolerance=tolerance,
                objects=_both(answer, case, regions[0]) if apart else None,
            )
            for answer, case in zip(found, truth, strict=True)
        ]
        for row in rows if apart else ():
            _add_share(row[labels[0]])
        for row in rows if solid and length == "mm" else ():
            for of_label in row.values():
                of_label.update({key: of_label[key] / 1000 for key in ("area", "true_area")})  # mm^3 are ml
        whole = measures.summary(rows, [case.patient for case in truth])
        by_label = whole["labels"]
        first = "ap50" if apart else "dice"
        drawn = CASE if first in CASE else (*CASE, first)
        table = np.array([[row[label][first] for label in labels] for row in rows])
        known = {label: by_label[label][first]["mean"] for label in labels}
        mean = {key: entry["mean"] for key, entry in whole["mean"].items()}
        interval = whole["mean"][first]["interval"]
        others = [
            Score(key, mean[key], **_kind_of(key), interval=_pair(whole["mean"][key]["interval"]))
            for key in ((*APART[1:], "dice") if apart else ()) + SHARES
            if mean[key] is not None
        ]
        return Scores(
            Score(
                first,
                0.0 if mean[first] is None else mean[first],
                interval=_pair(interval),
                per_class={label: value for label, value in known.items() if value is not None},
                per_record=np.where(np.isnan(table), 1.0, table).mean(1),
            ),
            *others,
            *(Score(key, mean[key], unit=length, better=LESS) for key in DISTANCES if mean[key] is not None),
            count=len(truth),
            patients=whole["groups"],
            per_class={label: _of_class(by_label[label], rows, label, apart) for label in labels},
            labels={
                label: {
                    "dice_interval": about["dice"]["interval"],
                    "hd95_median": about["hd95"]["median"],
                    "left_out": about["dice"]["left_out"],
                    **{key: about[key]["sum"] for key in ("found", "missed", "invented")},
                }
                for label, about in by_label.items()
            },
            per_case={label: [[_rounded(row[label][key]) for key in drawn] for row in rows] for label in labels},
            units={**dict.fromkeys(DISTANCES, length), **({"count_error": OBJECTS} if apart else {})},
            tolerance=f"{tolerance:g} {length}",
            sizes=SIZES[solid, length],
            beside=seconds(truth, regions, labels),
            examples=len(truth),
            **({"undefined": _nothing_to_score(len(truth))} if mean[first] is None else {}),
            constant={"name": "drawing nothing", "value": 0.0, "sure": bool(interval and interval[0] > 0)},
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
        found, truth = objects.drawn_apart(found, truth)
        rows = []
        for index in order.tolist():
            flat = records.flattened(records.native(index), truth[index].codes, found[index])
            rows.append(
                {
                    "index": index,
                    "name": records.alias(index),
                    "true": self.words(truth[index].codes, labels),
                    "predicted": self.words(found[index], labels),
                    "note": score.said(float(score.per_record[index])),
                    **dict(zip(("picture", "truth", "answer"), flat, strict=True)),
                }
            )
        return rows

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        far, apart = scores.get("hd95"), "ap50" in scores
        return {
            **(
                {"count error": f"{scores.get('count_error', 0):.1f}", "Dice %": f"{100 * scores['dice']:.2f}"}
                if apart
                else {}
            ),
            "IoU %": f"{100 * scores['iou']:.2f}" if "iou" in scores else "",
            "surface Dice %": f"{100 * scores['nsd']:.2f}" if "nsd" in scores else "",
            f"HD95 {unit(scores, 'hd95')}": "" if far is None else f"{far:.1f}",
            "volumes" if scores.get("sizes") in ("ml", "voxels") else "pictures": f"{scores['count']:,}",
        }

    def baseline(
        self, train: MaskRecords, test: MaskRecords, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score a classifier of pixels."""
        from cnnkit.tasks.segmentation import baseline

        return baseline.scored(self, train if whole is None else whole, test, cases(test))


def plan_of(artifact: Any, records: MaskRecords | None = None) -> Plan:
    """Return how pictures meet an artifact: as its file says, else as the records do."""
    written = artifact.metadata.get("segmentation")
    if written is None:
        return records.plan if records is not None else Plan()
    return Plan.from_dict(written)


def cases(records: MaskRecords) -> list[Case]:
    """Return what is there in each record."""
    patients = records.places if records.groups is None else records.groups
    return [
        Case(
            records.mask(index),
            records.numbered(index) if records.plan.rim else records.objects(index),
            records.spacing(index),
            int(patients[index]),
            records.alias(index),
            records.second(index),
        )
        for index in range(len(records))
    ]


def seconds(truth: Sequence[Case], regions: Regions, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a second person scores, where one drew some of these cases: `name`, `dice`, its interval, `iou`, `count`."""
    have = [(case.second, case) for case in truth if case.second is not None]
    rows = [measures.case_measures(drawn, case.codes, regions, names=labels, full=False) for drawn, case in have]
    mean = measures.summary(rows, [case.patient for _, case in have])["mean"]
    if not have or mean["dice"]["mean"] is None:
        return []
    some = "" if len(have) == len(truth) else f", of {len(have)} of the {len(truth)} pictures"
    scored = {"dice": mean["dice"]["mean"], "iou": mean["iou"]["mean"], "count": len(have)}
    return [{"name": f"a second observer{some}", "dice_interval": mean["dice"]["interval"], **scored}]


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
    said = ~np.isnan(table)
    means = np.where(said, table, 0).sum(0)[said.any(0)] / said.sum(0)[said.any(0)]
    return float(means.mean()) if len(means) else 0.0


def _nothing_to_score(count: int) -> str:
    pictures = f"none of the {count:,} pictures has" if count != 1 else "the only picture does not have"
    return f"Nothing can be scored: {pictures} anything in it, and nothing was drawn, which is right. Score others that do."


def _both(answer: np.ndarray, case: Case, region: Sequence[int]) -> measures.Objects:
    """Return the objects of an answer, of a code map what hangs together, and those of a case."""
    there = measures.components(np.isin(case.codes, region)) if case.objects is None else case.objects
    return answer if answer.dtype != np.uint8 else measures.components(answer > 0), there


def _add_share(of_label: dict[str, float]) -> None:
    """Add the count error as a share of the objects there."""
    there = of_label["found"] + of_label["missed"]
    of_label["count_error_share"] = of_label["count_error"] / there if there else float("nan")


def _kind_of(key: str) -> dict[str, Any]:
    """Return what kind of score a measure is, where it is no share of which more is better."""
    return {"count_error": {"unit": OBJECTS, "better": LESS}, "count_error_share": {"better": LESS}}.get(key, {})


def _of_class(summed: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], label: str, apart: bool) -> dict[str, Any]:
    """Return what is said of a label."""
    return {
        **{key: summed[key]["mean"] for key in (*(APART if apart else ()), *CLASS, *DISTANCES)},
        "support": sum(row[label]["true_area"] > 0 for row in rows),
    }


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)

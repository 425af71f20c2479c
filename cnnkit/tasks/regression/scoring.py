"""The task of telling numbers: its loss, its scores, what it is held against.

Design choices:
- The mean absolute error stands first, in the unit of the data. Of several values in different units it is the mean of each
  one's error
  relative to that of always the median of training, in percent.
- Targets are standardised by the mean and deviation of training data, within the loss and at the end of the exported graph, so
  that everything that is seen is in the user's units. Huber's loss is the default by its robustness alone: it was not measured
  beside the others, which `benchmarks/steering.py` does.
- An exported file may lose 2 % of the error of always the median, and 4 % in a single value of several.
- Intervals and tests resample what belongs together, or blocks of neighbours in time (`measures`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.errors import DataError
from cnnkit.evaluation.task import WORST, Done, Metadata, Task
from cnnkit.score import LESS, MORE, SHARE, Score, Scores
from cnnkit.settings import Room
from cnnkit.tasks.regression import baseline, measures
from cnnkit.tasks.regression.device import figure, with_unit, with_units
from cnnkit.tasks.regression.records import ValueRecords, Values

TOLERANCE, TOLERANCE_OF_ONE = 0.02, 0.04  # of the error of always the median
DEFAULT = "huber"
Outputs = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """What is true of some records.

    Attributes:
        numbers: float64 (n, k).
        groups: int (n,), equal for what belongs together, or None.
        values: what the numbers are.
    """

    numbers: np.ndarray
    groups: np.ndarray | None
    values: Values

    def __len__(self) -> int:
        return len(self.numbers)


@dataclasses.dataclass(frozen=True)
class Scale:
    """What training data say of the values, of each one.

    Attributes:
        mean, std: that the network's answers are brought back by; of weights that go on, those of the data that they began with.
        average, median: of the values.
        spread: mean absolute deviation from it: the error of always the median.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    average: tuple[float, ...]
    median: tuple[float, ...]
    spread: tuple[float, ...]


class Regression(Task):
    """One number of a picture, or several.

    Args:
        unit: of values whose data names none.
        zero: what 0 means, such as "straight", where always 0 is an answer that somebody might give; "": nothing.
        negated: words in the names of values that change sign in a mirrored picture, where neither data nor settings say; an only
            value does so if there are such words at all.
        values, scale: what `fitted` found out.
    """

    name = "regression"
    headline = "mean_absolute_error"
    explains = True
    compares = True
    noun = "pictures"
    rooms: tuple[type[Room], ...] = ()

    def __init__(
        self,
        unit: str = "",
        zero: str = "",
        negated: Sequence[str] = (),
        values: Values | None = None,
        scale: Scale | None = None,
    ):
        self.unit, self.zero, self.negated = unit, zero, tuple(negated)
        self.values, self.scale = values, scale
        if values is not None and not alike(values.units):
            self.headline = "relative_error"

    # Training ---------------------------------------------------------------------------------------------------------

    def known(self, values: Values) -> Values:
        """Return what values are, with what the app says where the data does not; "%" would mean a share of 1 in all scores."""
        units = tuple("percent" if (unit or self.unit) == SHARE else unit or self.unit for unit in values.units)
        negated = values.negated
        if negated is None:
            single = len(values.names) == 1 and bool(self.negated)
            negated = tuple(single or any(word in name.lower() for word in self.negated) for name in values.names)
        return Values(values.names, units, negated)

    def fitted(self, splits: Any, earlier: Mapping[str, Any]) -> "Regression":
        """Return the task with the scale of training data; that of `earlier` weights, where they answer as many values."""
        values = self.known(splits.train.values)
        numbers = splits.train.numbers()
        median = np.median(numbers, 0)
        about = earlier.get("regression") or {}
        average = numbers.mean(0).tolist()
        mean, std = average, np.maximum(numbers.std(0), 1e-12).tolist()
        if len(about.get("mean", ())) == len(mean):
            mean, std = about["mean"], about["std"]
        spread = np.maximum(np.abs(numbers - median).mean(0), 1e-12)
        scale = Scale(*map(tuple, (mean, std, average, median.tolist(), spread.tolist())))
        return type(self)(self.unit, self.zero, self.negated, values, scale)

    def facts(self) -> dict[str, Any]:
        if self.values is None or self.scale is None:
            return {}
        about = {name: list(values) for name, values in dataclasses.asdict(self.scale).items()}
        names = {"names": list(self.values.names), "units": list(self.values.units)}
        return {"regression": {**names, **about, "zero": self.zero}}

    def units(self, labels: Sequence[str]) -> int:
        return 1 if self.values is None else len(self.values.names)

    def loss(self, settings: Any) -> Any:
        """Return the loss that the settings name, of standardised values."""
        from cnnkit.tasks.regression.losses import ScaledLoss

        assert self.scale is not None  # `fitted` came before
        return ScaledLoss(settings.loss or DEFAULT, self.scale.mean, self.scale.std)

    def metrics(self) -> list[Any]:
        """Return what training shows: the headline."""
        from cnnkit.tasks.regression.losses import ScaledError

        assert self.scale is not None
        scale = self.scale.spread if self.headline == "relative_error" else (1.0,) * len(self.scale.spread)
        return [ScaledError(self.scale.mean, self.scale.std, scale, name=self.headline)]

    # Scoring ----------------------------------------------------------------------------------------------------------

    def outputs(
        self, artifact: Any, records: ValueRecords, progress: Done = lambda done: None
    ) -> tuple[Outputs, Truth]:
        """Return an artifact's `values`, float32 (n, k), and what is true.

        Raises:
            DataError: the records have other values than it answers.
        """
        about = artifact.metadata["regression"]
        if len(about["names"]) != len(records.values.names):
            raise DataError(
                f"{artifact.path} answers {', '.join(about['names'])}; the data has "
                f"{', '.join(records.values.names)}. Choose its "
                "columns with `values`."
            )
        found, numbers = super().outputs(artifact, records, progress)
        values = Values(tuple(about["names"]), tuple(about["units"]))
        groups = None if records.groups is None else np.asarray(records.groups)
        return found, Truth(np.asarray(numbers, np.float64), groups, values)

    def calibrate(self, artifact: Any, records: ValueRecords) -> dict[str, Any]:
        """Return by how much answers may lie off, by validation records: `interval` with its `level`, `half` and `count`."""
        if not len(records):
            return {}
        found, truth = self.outputs(artifact, records)
        half = [measures.half_width(column) for column in (found["values"] - truth.numbers).T]
        if any(width is None for width in half):
            return {}
        return {"regression": {"interval": {"level": measures.LEVEL, "half": half, "count": len(truth)}}}

    def tolerated(self, metadata: Mapping[str, Any]) -> tuple[float, float]:
        about = metadata["regression"]
        if not alike(about["units"]):
            return 100 * TOLERANCE, 100 * TOLERANCE_OF_ONE  # points
        spread = float(np.mean(about["spread"]))
        return float(f"{TOLERANCE * spread:.3g}"), float(f"{TOLERANCE_OF_ONE * spread:.3g}")

    def score(self, outputs: Outputs, targets: Truth, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score values.

        Args:
            outputs: `values`, float32 (n, k).
            targets: what is true.
            labels: none.
            metadata: of the artifact.

        Returns:
            The headline, `root_mean_squared_error`, `bias` (the mean of predicted less true) and `r2`, each with its interval;
            `values` by name, each with these, its errors by range (`ranges`) and `points` of a scatter plot; `resampled`, what
            intervals draw; `coverage` of the interval of answers; `always`, what answers without a model score, by name.
        """
        about = (metadata or self.facts())["regression"]
        predicted = np.asarray(outputs["values"], np.float64)
        among = measures.clusters(targets.groups, len(targets))
        found = [measures.measured(p, t, among) for p, t in zip(predicted.T, targets.numbers.T, strict=True)]
        head = headline(about)
        losses = head.losses(predicted, targets.numbers)
        names = list(about["names"])
        per_class = None
        if len(names) > 1:
            each = np.abs(predicted - targets.numbers) / head.scale
            per_class = {name: float(each[:, place].mean()) for place, name in enumerate(names)}
        interval = measures.mean_interval(losses, among)
        score = head.score(float(losses.mean()), interval, per_class, losses)
        others = _others(found[0], about["units"][0]) if len(names) == 1 else ()
        always = bars(about, targets, head)
        best = min(always, key=lambda name: always[name][0])
        sure = measures.worse(always[best][1] - losses, among) < metrics.CHANCE
        facts: dict[str, Any] = {
            "resampled": among.about,
            "always": {name: value for name, (value, _) in always.items()},
            "constant": {"name": best, "value": always[best][0], "sure": bool(sure)},
            "values": {
                name: {
                    **_plain(found[place], len(targets)),
                    "unit": about["units"][place],
                    "ranges": measures.by_range(predicted[:, place], targets.numbers[:, place]),
                    "points": measures.points(predicted[:, place], targets.numbers[:, place]),
                }
                for place, name in enumerate(names)
            },
        }
        if len(names) > 1:
            facts["per_class"] = {
                (f"{name}, {unit}" if unit else name): _plain(one, len(targets))
                for name, unit, one in zip(names, about["units"], found, strict=True)
            }
            facts["units"] = dict.fromkeys(("mean_absolute_error", "root_mean_squared_error", "bias", "r2"), "")
            if score.per_class is not None:
                score = dataclasses.replace(
                    score, per_class=dict(zip(facts["per_class"], score.per_class.values(), strict=True))
                )
        if "interval" in about:
            facts["coverage"] = _coverage(about, predicted, targets, among)
        return Scores(score, *others, count=len(targets), **facts)

    def words(self, target: Any, labels: Sequence[str]) -> str:
        """Return what a person calls a record's values (k,)."""
        values = np.ravel(target)
        known = self.values.units if self.values else (self.unit,) * len(values)
        return with_units(values, known)

    def top_losses(
        self, outputs: Outputs, targets: Truth, records: ValueRecords, labels: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the records with the largest errors: index, name, true and predicted values, and how far they are apart."""
        predicted = np.asarray(outputs["values"], np.float64)
        spread = np.maximum(np.abs(targets.numbers - np.median(targets.numbers, 0)).mean(0), 1e-12)
        errors = predicted - targets.numbers
        order = np.argsort(-(np.abs(errors) / spread).mean(1), kind="stable")[:WORST]
        units = targets.values.units

        return [
            {
                "index": int(index),
                "name": records.alias(int(index)),
                "true": with_units(targets.numbers[index], units),
                "predicted": with_units(predicted[index], units),
                "note": f"{with_units(np.abs(errors[index]), units)} off",
                **shown,
            }
            for index, shown in zip(order, records.shown(order), strict=True)
        ]

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        found: dict[str, str] = {}
        (first, *more) = scores["values"].values()
        if not more:
            unit = f" {first['unit']}" if first["unit"] else ""
            found |= {
                f"RMSE{unit}": figure(first["root_mean_squared_error"], 4),
                f"bias{unit}": figure(first["bias"], sign="+"),
                "R2": "" if first.get("r2") is None else f"{first['r2']:.3f}",
            }
        if coverage := scores.get("coverage"):
            title = "intervals hold" if more else f"\u00b1{with_unit(coverage['half'][0], first['unit'])} holds"
            found[title] = f"{100 * coverage['share']:.1f} %"
        return {**found, "records": f"{scores['count']:,}"}

    def compared(self, baseline: Mapping[str, Any]) -> str:
        """Return a line on other plain answers, beside the baseline's."""
        others = baseline.get("others") or {}
        score = Score(self.headline, 0.0, baseline.get("unit", ""))
        rows = [f"{name} {score.said(value)}" for name, value in others.items()]
        return f"For comparison: {'; '.join(rows)}." if rows else ""

    def baseline(
        self, train: Any, test: Any, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score what plain models make of the same pictures: the better one of ridge regression and always the median.

        Args:
            train, test, validation, found, whole: as `Task.baseline`.

        Returns:
            `name`, the headline with its interval; `others`, the headline of answers that are worse, by name; with what a model
            `found` also `against`, the `p` that the difference is by chance.
        """
        known = whole if whole is not None else train
        task = self.fitted(_Splits(known), {})
        about = task.facts()["regression"]
        head = headline(about)
        numbers = test.numbers()
        truth = Truth(numbers, None if test.groups is None else np.asarray(test.groups), task.values or test.values)
        among = measures.clusters(truth.groups, len(truth))
        name, predicted = baseline.ridge(known, test, validation if whole is None else None)
        ours = head.losses(predicted, numbers)
        candidates = {name: (float(ours.mean()), ours), **bars(about, truth, head)}
        best = min(candidates, key=lambda each: candidates[each][0])
        value, losses = candidates[best]
        result: dict[str, Any] = {
            "name": best,
            head.name: value,
            f"{head.name}_interval": list(measures.mean_interval(losses, among)),
            "unit": head.unit,
            "others": {each: value for each, (value, _) in candidates.items() if each != best},
        }
        if found is not None:
            theirs = head.losses(np.asarray(found["values"], np.float64), numbers)
            result["against"] = {"p": measures.apart(losses - theirs, among)}
        return result

    def explained(self, model: Any) -> tuple[Any, list[str]]:
        """Return a model that answers each value and its negative: so evidence can be asked for of either side."""
        import keras
        from keras import layers

        turned = layers.Rescaling(-1.0, name="turned", dtype="float32")(model.output)
        return keras.Model(model.input, layers.Concatenate(name="both")([model.output, turned]), name=model.name), []


@dataclasses.dataclass(frozen=True)
class _Splits:
    train: Any


@dataclasses.dataclass(frozen=True)
class Headline:
    """The score that stands first, of these values.

    Attributes:
        name, unit: of it.
        scale: (k,), what each value's error is divided by.
    """

    name: str
    unit: str
    scale: np.ndarray

    def losses(self, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
        """Return the error of each record, (n,): the mean over its values."""
        return (np.abs(predicted - true) / self.scale).mean(1)

    def score(self, value: float, interval: Any, per_class: Any, per_record: Any) -> Score:
        return Score(self.name, value, self.unit, LESS, interval, per_class, per_record)


def headline(about: Mapping[str, Any]) -> Headline:
    """Return the score that stands first for values that metadata describe."""
    units = about["units"]
    if alike(units):
        return Headline("mean_absolute_error", units[0], np.ones(len(units)))
    return Headline("relative_error", SHARE, np.asarray(about["spread"], float))


def alike(units: Sequence[str]) -> bool:
    """Whether values can be put together as they are: one, or several of one unit that has a name."""
    return len(units) == 1 or (len(set(units)) == 1 and bool(units[0]))


def bars(about: Mapping[str, Any], targets: Truth, head: Headline) -> dict[str, tuple[float, np.ndarray]]:
    """Return what answers without a model score, by name: the headline, and the error of each record (n,)."""
    single = len(about["names"]) == 1

    def said(numbers: Sequence[float]) -> str:
        return f" ({with_unit(numbers[0], about['units'][0])})" if single else ""

    average = about.get("average", about["mean"])  # files of before do not have it
    answers = {
        f"always the mean{said(average)}": average,
        f"always the median{said(about['median'])}": about["median"],
    }
    if about.get("zero"):
        answers[f"always 0 ({about['zero']})"] = [0.0] * len(about["names"])
    found = {}
    for name, numbers in answers.items():
        losses = head.losses(np.broadcast_to(np.asarray(numbers, float), targets.numbers.shape), targets.numbers)
        found[name] = (float(losses.mean()), losses)
    return found


def _others(found: measures.Measured, unit: str) -> list[Score]:
    rows = [
        Score("root_mean_squared_error", found.rmse, unit, LESS, found.intervals["rmse"]),
        Score("bias", found.bias, unit, LESS, found.intervals["bias"]),
    ]
    if found.r2 is not None:
        rows.append(Score("r2", found.r2, "", MORE, found.intervals["r2"]))
    return rows


def _plain(found: measures.Measured, count: int) -> dict[str, Any]:
    return {
        "mean_absolute_error": found.mae,
        "root_mean_squared_error": found.rmse,
        "bias": found.bias,
        "r2": found.r2,
        "support": count,
    }


def _coverage(
    about: Mapping[str, Any], predicted: np.ndarray, targets: Truth, among: measures.Clusters
) -> dict[str, Any]:
    """Return how often the interval of an answer holds: the `share` of values, with its 95 % `interval`."""
    known = about["interval"]
    inside = (np.abs(predicted - targets.numbers) <= np.asarray(known["half"])).mean(1)
    return {
        "level": known["level"],
        "half": list(known["half"]),
        "chosen_on": known["count"],
        "share": float(inside.mean()),
        "interval": list(measures.mean_interval(inside, among)),
    }

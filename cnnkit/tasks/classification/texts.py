"""The tasks of texts: one label each, or several; beside a linear model of TF-IDF every time.

Design choices:
- The baseline is the strongest plain one: logistic regression on TF-IDF of words and pairs of words, its strength chosen on the
  validation split. It beats many published networks, so a score without it says little.
- Its memory is bounded: of more than 20,000 training texts it takes words and pairs that two of them have, found by their hashes,
  of 100,000 texts or 40 million characters at most. A table of all pairs would be the largest thing in the memory of a run.
- Network and baseline answer the same texts, so they are compared text by text, with McNemar's test in its exact form.
- Probabilities are calibrated by one temperature, fitted on validation data, inside the artifact; a person is told "not sure"
  below the confidence from which 95 % of the validation answers are right.
- Of several labels each has its own threshold, chosen on validation data (`thresholds`), inside the artifact too; an answer is
  sure where each label is surely given or surely left out.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.device.several import confidence, given
from cnnkit.device.word_apart import CLASS
from cnnkit.errors import ConfigError
from cnnkit.evaluation.settings import Classes, Tags
from cnnkit.evaluation.task import WORST, Done, Metadata
from cnnkit.inputs.text.records import TextRecords
from cnnkit.score import Score, Scores
from cnnkit.tasks.classification import thresholds as choosing
from cnnkit.tasks.classification.calibration import PRIOR, best_temperature, softmax
from cnnkit.tasks.classification.scoring import OneClass, Outputs, bar

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)  # of the baseline: C of scikit-learn
BASELINE_TEXTS = 100_000  # a linear model gains little from more, and their counts are in memory
BASELINE_CHARACTERS = 40_000_000  # the same for long texts
SMALL = 20_000  # texts: with so many or fewer the baseline knows every word and pair; so many are enough to choose its strength
HASHES = 2**22  # of words and pairs of words
WEIGHTS = 1_000_000  # of the baseline of a large set, at most; its solver keeps some twenty numbers for each
SURE = 0.95  # of the answers at a confidence, or a higher one, have to be right for it to count as sure
CURVES = 60  # labels with a curve of precision over recall, the most frequent
LEAST_ANSWERED = 0.5  # of the texts get an answer, however unsure


class TextClassification(OneClass):
    """One label a text. Attributes as `OneClass`."""

    rooms = (Classes, Tags)  # the data decide how many labels a text has
    tolerance = (0.3, 1.0)
    noun = "texts"
    compares = True  # a baseline with what the model found, text by text

    def as_read_by(self, artifact: Any, records: Any) -> Any:
        """Return records whose texts become ids as the artifact's file says, whatever vocabulary they were loaded with.

        Raises:
            DataError: texts with one label for a model of several, or the other way round.
        """
        from cnnkit.device.text import Tokenizer
        from cnnkit.errors import DataError

        kinds = "one label a text", "several labels a text"
        task = artifact.metadata.get("task")
        several = task == "multilabel"
        if task is not None and records.multi_label != several:
            raise DataError(
                f"The data has {kinds[records.multi_label]}, the model was trained on {kinds[several]}. "
                "Give data of its kind."
            )
        written = artifact.metadata.get("text")
        if written is None:
            return records
        tokenizer = Tokenizer.from_dict(written)
        return records if records.tokenizer == tokenizer else records.with_tokenizer(tokenizer)

    def calibrate(self, artifact: Any, records: Any) -> dict[str, Any]:
        """Fit the temperature on validation data, and the confidence below which an answer is "not sure"."""
        if not len(records):
            return {}
        found, targets = self.outputs(artifact, records)
        # A calibrated run's scores have a temperature already.
        earlier = artifact.metadata.get("temperature", 1.0)
        logits = earlier * np.log(np.maximum(found["scores"].astype(np.float64), 1e-12))
        temperature = best_temperature(logits, targets, PRIOR)
        scores = softmax(logits / temperature)
        sure = sure_from(scores.max(1), scores.argmax(1) == targets)
        # Rounded down: rounded up, the very answers that it was chosen for might not reach it.
        return {"temperature": round(float(temperature), 4), "sure": float(np.floor(sure * 1e4) / 1e4)}

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities; as `OneClass.score`, with what the answers are worth that count as sure."""
        scores = super().score(outputs, targets, labels, metadata)
        least = (metadata or {}).get("sure")
        if least is not None:
            scores["sure"] = _sure(least, outputs["scores"].max(1), outputs["scores"].argmax(1) == targets)
        return scores

    def baseline(
        self, train: Any, test: Any, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score TF-IDF and logistic regression on the same texts, and say whether a model that `found` is better by chance.

        Where the model was trained on the `whole`, validation texts too, so is the baseline, once its strength is chosen.

        Returns:
            `name`, `accuracy` with its interval, `macro_f1`; with `found` also `against`: texts that only the model and only
            the baseline had right, and the p of McNemar's exact test.
        """
        targets = test.targets(np.arange(len(test)))
        predicted, name = linear(train, test, validation, whole)
        by_class = metrics.per_class(metrics.confusion(targets, predicted, len(test.label_names)))
        macro_f1 = float(by_class["f1"][by_class["support"] > 0].mean())
        return {**bar(name, predicted, targets, found), "macro_f1": macro_f1}

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        return super().columns(scores) | _sure_column(scores, "right")


class TextTagging(TextClassification):
    """Several labels a text, or none: each has a probability and a threshold of its own.

    Attributes as `OneClass`; the headline is F1 over all labels and texts together (micro-F1).
    """

    name = "multilabel"
    headline = "micro_f1"
    tolerance = (0.5, 2.0)

    def encoder(self, classes: int) -> Callable[[Any], Any]:
        """Return what leaves targets, float32 (b, classes) of zeros and ones, as they are."""
        return lambda targets: targets

    def loss(self, settings: Any) -> Any:
        """Return binary cross-entropy of logits, with label smoothing, of the labels that a text was asked for."""
        from cnnkit.tasks.classification.asked import AskedCrossentropy

        return AskedCrossentropy(settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """Return what training shows: the share of labels asked for that are right, at a probability of one half."""
        from cnnkit.tasks.classification.asked import AskedAccuracy

        return [AskedAccuracy()]

    def sample_weights(self, records: Any, settings: Any) -> None:
        """Return nothing.

        Raises:
            ConfigError: weights are asked for, but a text has several labels, so it has no class to be weighed by.
        """
        if settings.class_weights:
            raise ConfigError("`class_weights` is for one label a text: here each text may have several.")

    def outputs(self, artifact: Any, records: Any, progress: Done = lambda done: None) -> tuple[Outputs, np.ndarray]:
        """As `OneClass.outputs`; a text without known words gets no label, as in `predict`: its probabilities are 0."""
        found, targets = super().outputs(artifact, records, progress)
        read = self.as_read_by(artifact, records)
        if getattr(read, "tokenizer", None) is not None:
            known = [read.tokenizer.known(read.read(block)[0]) for block in read.blocks(2048)]
            found["scores"] = found["scores"] * np.concatenate([np.zeros(0, bool), *known])[:, None]
        return found, targets

    def asked(self, settings: Any) -> dict[str, Any]:
        return {} if settings.min_precision is None else {"min_precision": settings.min_precision}

    def calibrate(self, artifact: Any, records: Any, *, min_precision: float | None = None) -> dict[str, Any]:
        """Choose a threshold for each label on validation data, and the confidence below which an answer is "not sure".

        Args:
            artifact: the trained model.
            records: of the validation split.
            min_precision: share of what is given that has to be right, of every label; None: as `thresholds.choose`.

        Returns:
            `thresholds` (labels,); `sure`; `rare`: validation texts of each label that has too few for its threshold to say much;
            `unreached`: labels that no threshold gives rightly often enough.
        """
        if not len(records):
            return {}
        found, targets = self.outputs(artifact, records)
        chosen = choosing.choose(found["scores"], targets, least=min_precision)
        asked = targets >= 0
        right = (given(found["scores"], chosen.values) == (targets > 0.5)) | ~asked
        sure = sure_from(confidence(found["scores"], chosen.values, chosen.rare, asked), right.all(1))
        names = artifact.labels
        return {
            "thresholds": chosen.values,
            "sure": float(np.floor(sure * 1e4) / 1e4),
            "rare": {names[k]: int((targets[:, k] > 0.5).sum()) for k in chosen.rare},
            "unreached": [names[k] for k in chosen.unreached],
        }

    def cautions(self, decided: Mapping[str, Any]) -> list[str]:
        """Say which labels' thresholds say little, and which are not given rightly as often as was asked for."""
        return choosing.cautions(decided.get("rare") or {}, decided.get("unreached") or ())

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities, at the artifact's thresholds.

        Returns:
            `micro_f1` with its 95 % interval (bootstrap over texts), `macro_f1` over labels that occur, `exact` (share of texts
            whose labels are all right), `count`, `per_class` (precision, recall, f1, support by label), `thresholds`, `curves`
            (of each label that occurs, precision over recall), and of a model that says so `sure` and `rare`.
        """
        about = metadata or {}
        thresholds = np.array(about.get("thresholds") or [0.5] * len(labels))
        known = np.asarray(targets) >= 0
        predicted = (outputs["scores"] >= thresholds) & known
        truth = np.asarray(targets) > 0.5
        worth: dict[str, Any] = {}
        if about.get("sure") is not None:
            rare = about.get("rare") or {}
            places = [k for k, label in enumerate(labels) if label in rare]
            confidences = confidence(outputs["scores"], thresholds, places, known)
            worth = {
                "sure": _sure(about["sure"], confidences, ((predicted == truth) | ~known).all(1)),
                "rare": dict(rare),
            }
        hit, said, there = (predicted & truth), predicted, truth
        by_label = metrics.rates(hit.sum(0), said.sum(0), there.sum(0))
        rows = np.stack([hit.sum(1), said.sum(1), there.sum(1)], axis=1)
        rng = np.random.default_rng(0)
        drawn = [rows[rng.integers(0, len(rows), len(rows))].sum(0) for _ in range(400)]
        several = metrics.rates(*np.array(drawn).T)["f1"]
        present: Any = truth.any(0)
        value = float(metrics.rates(*rows.sum(0))["f1"])
        low, high = (float(np.quantile(several, q)) for q in (0.025, 0.975))
        return Scores(
            Score(
                "micro_f1",
                value,
                interval=(low, high),
                per_class={label: float(by_label["f1"][k]) for k, label in enumerate(labels) if present[k]},
            ),
            Score("macro_f1", float(by_label["f1"][present].mean()) if present.any() else 0.0),
            Score("exact", float((predicted == truth).all(1).mean())),
            count=len(truth),
            per_class={
                label: {
                    **{key: float(values[k]) for key, values in by_label.items()},
                    "support": int(there[:, k].sum()),
                }
                for k, label in enumerate(labels)
            },
            thresholds={label: float(value) for label, value in zip(labels, thresholds, strict=True)},
            curves={
                labels[k]: choosing.curve(outputs["scores"][:, k], np.asarray(targets)[:, k])
                for k in np.argsort(-there.sum(0), kind="stable")[:CURVES].tolist()
                if present[k]
            },
            constant=_constant(there.sum(0), len(truth), low),
            **worth,
        )

    def changes(
        self, before: Outputs, after: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None
    ) -> dict[str, tuple[int, int]]:
        """Compare two models' outputs on the same texts, at the artifact's thresholds.

        Returns:
            for each label the number of texts of which only the first, and only the second, rightly said or left it out.
        """
        thresholds = np.array((metadata or {}).get("thresholds") or [0.5] * len(labels))
        truth = np.asarray(targets) > 0.5
        first, second = ((outputs["scores"] >= thresholds) == truth for outputs in (before, after))
        lost, won = (first & ~second).sum(0), (second & ~first).sum(0)
        return {label: (int(lost[k]), int(won[k])) for k, label in enumerate(labels)}

    def top_losses(
        self, outputs: Outputs, targets: np.ndarray, records: Any, labels: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the labels that were given or missed most confidently, with their texts."""
        wrongness = np.where(targets >= 0, np.abs(outputs["scores"] - targets), 0)
        places = np.argsort(-wrongness, axis=None, kind="stable")[:WORST]
        rows, kinds = np.unravel_index(places, wrongness.shape)
        chosen = [(int(row), int(kind)) for row, kind in zip(rows, kinds) if wrongness[row, kind] > 0.5]
        shown = records.shown(np.array([row for row, _ in chosen], np.int64))
        return [
            {
                "index": row,
                "name": records.name(row),
                "true": labels[kind] if targets[row, kind] else f"not {labels[kind]}",
                "predicted": f"not {labels[kind]}" if targets[row, kind] else labels[kind],
                "confidence": float(wrongness[row, kind]),
                **more,
            }
            for (row, kind), more in zip(chosen, shown, strict=True)
        ]

    def baseline(
        self, train: Any, test: Any, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score TF-IDF and a logistic regression for each label, as `TextClassification.baseline`."""
        predicted, name = linear(train, test, validation, whole)
        targets = test.targets(np.arange(len(test)))
        scores = self.score({"scores": predicted.astype(np.float32)}, targets, test.label_names)
        return {"name": name, **{key: scores[key] for key in ("micro_f1", "micro_f1_interval", "macro_f1")}}

    def columns(self, scores: Mapping[str, Any]) -> dict[str, str]:
        """Return what a table shows beside the headline score."""
        return {
            "macro F1 %": f"{100 * scores['macro_f1']:.2f}",
            "all labels right %": f"{100 * scores['exact']:.2f}",
            "records": f"{scores['count']:,}",
            **_sure_column(scores, "all right"),
        }


def _sure(least: float, confidences: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Return what the answers are worth that are `least` confident: how many get one, and how many of these are right."""
    chosen = confidences >= least
    accuracy = float(right[chosen].mean()) if chosen.any() else None
    return {"confidence": least, "answered": float(chosen.mean()), "accuracy": accuracy}


def _sure_column(scores: Mapping[str, Any], right: str) -> dict[str, str]:
    sure = scores.get("sure")
    if not sure or sure["accuracy"] is None:
        return {}
    return {"sure": f"{100 * sure['answered']:.0f} %, {100 * sure['accuracy']:.1f} % {right}"}


def _constant(there: np.ndarray, count: int, low: float) -> dict[str, Any]:
    """Return what always giving the most frequent labels scores at best, and whether the model is surely better.

    Args:
        there: texts that have each label, int (labels,).
        count: of texts.
        low: end of the interval of the model's score.
    """
    frequent = np.sort(there)[::-1]
    given = count * np.arange(1, len(frequent) + 1)
    value = float((2 * np.cumsum(frequent) / np.maximum(1, given + frequent.sum())).max(initial=0.0))
    return {"name": "always giving the most frequent labels", "value": value, "sure": low > value}


@functools.lru_cache(maxsize=1)  # with a budget of time it is fitted before training, and asked for again after it
def linear(
    train: TextRecords, test: TextRecords, validation: TextRecords | None, whole: TextRecords | None = None
) -> tuple[np.ndarray, str]:
    """Fit TF-IDF of words and pairs of words and a logistic regression; return its answers to the test texts and its name.

    Its strength is the best of five on at most 20,000 texts of the validation split; with that it is fitted on the `whole`, where
    there is one. Of more than 20,000 training texts it has the words and pairs that are in two of them; of more than 100,000
    texts, or 40 million characters, it sees so many.

    Returns:
        int (n,) classes, or of several labels bool (n, classes).
    """
    words, fitted, count = _linear_of(train)
    strength, best = 1.0, None
    if validation is not None and len(validation):
        some = np.sort(np.random.default_rng(0).permutation(len(validation))[:SMALL])
        held = words.transform(validation.take(some).every_text())
        truth = validation.targets(some)
        models = [(fitted(strength), strength) for strength in STRENGTHS]
        best, strength = max(models, key=lambda pair: (_agreement(pair[0].predict(held), truth), -pair[1]))
    if whole is not None:
        words, fitted, count = _linear_of(whole)
        best = None
    best = best or fitted(strength)
    parts = [best.predict(words.transform(test.texts(block))) for block in test.blocks(5000)]
    kind = "words and pairs" if count <= SMALL else "words and pairs that two texts have"
    return np.concatenate(parts), f"TF-IDF of {kind}, logistic regression (C {strength:g}), {count:,} texts"


def _linear_of(train: TextRecords) -> tuple[Any, Callable[[float], Any], int]:
    """Return TF-IDF of training texts, what fits a logistic regression of some strength on it, and how many texts it sees."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    drawn = np.random.default_rng(0).permutation(len(train))[:BASELINE_TEXTS]
    characters = sum(map(len, train.texts(drawn[:1000]))) / len(drawn[:1000])
    chosen = np.sort(drawn[: max(1000, round(BASELINE_CHARACTERS / max(1, characters)))])
    rows = 1 if len(train.label_names) == 2 else len(train.label_names)
    words = features_of(len(chosen), rows, apart=bool(getattr(train.tokenizer, "apart", False)))
    features = words.fit_transform(train.take(chosen).every_text())
    targets = train.targets(chosen)

    def fitted(strength: float) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)  # a label that no training text has
            if targets.ndim == 1 and len(train.label_names) == 2:
                return LogisticRegression(C=strength, max_iter=300).fit(features, targets)
            one = LogisticRegression(C=strength, solver="liblinear")  # much faster than all labels at once
            return (OneVsRestClassifier(one) if targets.ndim == 1 else _ByLabel(one)).fit(features, targets)

    return words, fitted, len(chosen)


class _ByLabel:
    """A classifier for each label, fitted on the texts that were asked for it."""

    def __init__(self, one: Any):
        self._one = one

    def fit(self, features: Any, targets: np.ndarray) -> "_ByLabel":
        from sklearn.base import clone

        self._models: list[Any] = []
        for column in targets.T:
            known = np.flatnonzero(column >= 0)
            both = 0 < np.count_nonzero(column[known]) < len(known)
            always = bool(len(known) and column[known[0]])
            self._models.append(clone(self._one).fit(features[known], column[known]) if both else always)
        return self

    def predict(self, features: Any) -> np.ndarray:
        """Return float (n, labels) of 0 and 1."""
        count = features.shape[0]
        columns = [m.predict(features) if hasattr(m, "predict") else np.full(count, m) for m in self._models]
        return np.stack(columns, axis=1).astype(np.float32)


def features_of(count: int, rows: int, *, apart: bool = False) -> Any:
    """Return what makes TF-IDF of words and pairs of words of so many texts: with `fit_transform` and `transform`.

    Args:
        count: texts it will be fitted on.
        rows: of weights that a model of them will have: one a label, one in all for two classes.
        apart: whether each character of a script without spaces is a word, as the tokenizer has it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = rf"(?u)[{CLASS}]|[^\W{CLASS}]+" if apart else r"(?u)\b\w+\b"
    options = {"ngram_range": (1, 2), "token_pattern": words, "strip_accents": None}
    if count > SMALL:
        return _Hashed(WEIGHTS // rows, options)
    return TfidfVectorizer(sublinear_tf=True, **options)


class _Hashed:
    """TF-IDF of words and pairs of words by their hashes, without a table of them.

    Args:
        most: columns, the most; those that most texts have.
        options: how a text is divided, as scikit-learn's vectorizers have it.
    """

    def __init__(self, most: int, options: dict[str, Any]):
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        self._hash = HashingVectorizer(n_features=HASHES, alternate_sign=False, norm=None, dtype=np.float32, **options)
        self._weigh = TfidfTransformer(sublinear_tf=True)
        self._most = most
        self._columns = np.zeros(0, np.int64)

    def fit_transform(self, texts: Iterable[str]) -> Any:
        found = self._hash.transform(texts)
        counts = np.bincount(found.indices, minlength=HASHES)
        least = 2 if (counts > 1).any() else 1
        if np.count_nonzero(counts >= least) > self._most:
            least = max(least, int(np.partition(counts, -self._most - 1)[-self._most - 1]) + 1)
        self._columns = np.flatnonzero(counts >= least)
        return self._weigh.fit_transform(found[:, self._columns])

    def transform(self, texts: Iterable[str]) -> Any:
        return self._weigh.transform(self._hash.transform(texts)[:, self._columns])


def _agreement(predicted: np.ndarray, truth: np.ndarray) -> float:
    if predicted.ndim == 1:
        return float((predicted == truth).mean())
    predicted, truth = (predicted > 0.5) & (truth >= 0), truth > 0.5
    return float(metrics.rates((predicted & truth).sum(), predicted.sum(), truth.sum())["f1"])


def sure_from(confidences: np.ndarray, right: np.ndarray) -> float:
    """Return the lowest confidence from which on 95 % of the answers are right, 0 where all of them are that good.

    At least half of the texts get an answer: where 95 % cannot be had, the confidence of the middle text.
    """
    order = np.argsort(-confidences, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(confidences[order]) < 0, True)  # equal ones are sure together
    enough = np.flatnonzero((shares >= SURE) & ends)
    count = max(int(enough[-1]) + 1 if len(enough) else 0, round(LEAST_ANSWERED * len(order)), 1)
    return 0.0 if count >= len(order) else float(confidences[order[count - 1]])

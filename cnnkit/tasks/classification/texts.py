"""The tasks of texts: one label each, or several; beside a linear model of TF-IDF every time.

Design choices:
- The baseline is the strongest plain one: logistic regression on TF-IDF of words and pairs of words, its strength chosen on the
  validation split. It beats many published networks, so a score without it says little.
- Its memory is bounded: of more than 20,000 training texts it takes words and pairs that two of them have, found by their hashes,
  of 100,000 texts or 40 million characters at most. A table of all pairs would be the largest thing in the memory of a run.
- Network and baseline answer the same texts, so they are compared text by text, with McNemar's test in its exact form.
- A person is told "not sure" below the confidence from which 95 % of the validation answers are right.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.device.word_apart import CLASS
from cnnkit.evaluation.settings import Classes, Tags
from cnnkit.evaluation.task import Done, Metadata
from cnnkit.inputs.text.records import TextRecords
from cnnkit.score import Scores
from cnnkit.tasks.classification.linear import ByLabel
from cnnkit.tasks.classification.scoring import OneClass, Outputs, bar
from cnnkit.tasks.classification.tagging import Tagging, sure_column, sure_from, sure_of

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)  # of the baseline: C of scikit-learn
BASELINE_TEXTS = 100_000  # a linear model gains little from more, and their counts are in memory
BASELINE_CHARACTERS = 40_000_000  # the same for long texts
SMALL = 20_000  # texts: with so many or fewer the baseline knows every word and pair; so many are enough to choose its strength
HASHES = 2**22  # of words and pairs of words
WEIGHTS = 1_000_000  # of the baseline of a large set, at most; its solver keeps some twenty numbers for each


class TextClassification(OneClass):
    """One label a text. Attributes as `OneClass`."""

    rooms = (Classes, Tags)  # the data decide how many labels a text has
    tolerance = (0.3, 1.0)
    noun, one = "texts", "a text"
    compares = True  # a baseline with what the model found, text by text

    def calibrate(self, artifact: Any, records: Any) -> dict[str, Any]:
        """Fit the temperature on validation data, and the confidence below which an answer is "not sure"."""
        if not len(records):
            return {}
        decided, scores, targets = self.tempered(artifact, records)
        sure = sure_from(scores.max(1), scores.argmax(1) == targets)
        # Rounded down: rounded up, the very answers that it was chosen for might not reach it.
        return {**decided, "sure": float(np.floor(sure * 1e4) / 1e4)}

    def score(self, outputs: Outputs, targets: np.ndarray, labels: Sequence[str], metadata: Metadata = None) -> Scores:
        """Score probabilities; as `OneClass.score`, with what the answers are worth that count as sure."""
        scores = super().score(outputs, targets, labels, metadata)
        least = (metadata or {}).get("sure")
        if least is not None:
            scores["sure"] = sure_of(least, outputs["scores"].max(1), outputs["scores"].argmax(1) == targets)
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
        return super().columns(scores) | sure_column(scores, "right")


class TextTagging(Tagging, TextClassification):
    """Several labels a text, or none; attributes as `Tagging`."""

    rooms = TextClassification.rooms
    noun, one = TextClassification.noun, TextClassification.one

    def outputs(self, artifact: Any, records: Any, progress: Done = lambda done: None) -> tuple[Outputs, np.ndarray]:
        """As `Tagging.outputs`; a text without known words gets no label, as in `predict`: its probabilities are 0."""
        found, targets = super().outputs(artifact, records, progress)
        read = self.as_read_by(artifact, records)
        if getattr(read, "tokenizer", None) is not None:
            known = [read.tokenizer.known(read.read(block)[0]) for block in read.blocks(2048)]
            said = np.concatenate([np.zeros(0, bool), *known])[:, None]
            found |= {"scores": found["scores"] * said, "given": found["given"] & said}
        return found, targets

    def baseline(
        self, train: Any, test: Any, validation: Any = None, found: Any = None, whole: Any = None
    ) -> dict[str, Any]:
        """Score TF-IDF and a logistic regression for each label, as `TextClassification.baseline`."""
        predicted, name = linear(train, test, validation, whole)
        targets = test.targets(np.arange(len(test)))
        scores = self.score({"scores": predicted.astype(np.float32)}, targets, test.label_names)
        return {"name": name, **{key: scores[key] for key in ("micro_f1", "micro_f1_interval", "macro_f1")}}


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
            return (OneVsRestClassifier(one) if targets.ndim == 1 else ByLabel(one)).fit(features, targets)

    return words, fitted, len(chosen)


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

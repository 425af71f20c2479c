"""A plain linear model of the same inputs: the bar that a network has to clear."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.data.records import Records

RECORDS = 10_000  # it gains little from more, and takes minutes


def linear(train: Records) -> tuple[str, Callable[[Records], np.ndarray]]:
    """Fit logistic regression to records as `Records.flat` has them; of several labels a record one for each label.

    Returns:
        its name; what scores other records: float (n, classes).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:RECORDS])
    numbers, what = train.flat(chosen)
    targets, one = train.targets(chosen), LogisticRegression(C=0.05, max_iter=60)
    several = targets.ndim > 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 iterations are enough for a bar to clear
        model = (ByLabel(one) if several else one).fit(numbers, targets)

    def scores(records: Records) -> np.ndarray:
        alike = records.with_shape(train.input_shape)  # other data may have a shape of its own
        found = np.zeros((len(records), len(train.label_names)))  # a class that it never saw has 0
        for indices in alike.blocks(2000):
            found[np.ix_(indices, model.classes_)] = model.predict_proba(alike.flat(indices)[0])
        return found

    kind = "logistic regression of each label" if several else "logistic regression"
    return f"{kind} on {what}, {len(chosen):,} {train.noun}", scores


class ByLabel:
    """A classifier for each label, fitted on the records that were asked for it."""

    def __init__(self, one: Any):
        self._one = one

    def fit(self, features: Any, targets: np.ndarray) -> "ByLabel":
        from sklearn.base import clone

        self._models: list[Any] = []
        self.classes_ = np.arange(targets.shape[1])  # as scikit-learn calls what a column is of
        for column in targets.T:
            known = np.flatnonzero(column >= 0)
            both = 0 < np.count_nonzero(column[known]) < len(known)
            always = bool(len(known) and column[known[0]])
            self._models.append(clone(self._one).fit(features[known], column[known]) if both else always)
        return self

    def predict(self, features: Any) -> np.ndarray:
        """Return float32 (n, labels) of 0 and 1."""
        count = features.shape[0]
        columns = [m.predict(features) if hasattr(m, "predict") else np.full(count, m) for m in self._models]
        return np.stack(columns, axis=1).astype(np.float32)

    def predict_proba(self, features: Any) -> np.ndarray:
        """Return float32 (n, labels), the probability of each label."""
        count = features.shape[0]
        columns = [
            m.predict_proba(features)[:, 1] if hasattr(m, "predict_proba") else np.full(count, m) for m in self._models
        ]
        return np.stack(columns, axis=1).astype(np.float32)

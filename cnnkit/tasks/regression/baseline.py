"""What a linear model makes of pictures: ridge regression on small grey ones."""

from typing import Any

import numpy as np

RECORDS = 10_000  # that it learns from, at most
ALPHAS = 10.0 ** np.arange(-3, 7)
BATCH = 512


def ridge(train: Any, test: Any, validation: Any = None) -> tuple[str, np.ndarray]:
    """Fit ridge regression; return its name, and what it answers to other records, float64 (n, k).

    Args:
        train: records it learns from, `ValueRecords`, as `flat` has them.
        test: records it answers.
        validation: records that choose how strongly weights are held down; None, or none: a tenth of training, the last ones.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:RECORDS])
    inputs, what = _flat(train, chosen)
    numbers = np.asarray(train.targets(chosen), np.float64)
    if validation is not None and len(validation):
        held = validation.with_shape(train.input_shape)
        others, theirs = _flat(held, np.arange(len(held)))[0], held.numbers()
        kept = len(inputs)
    else:
        kept = max(1, len(inputs) - max(1, len(inputs) // 10))
        others, theirs = inputs[kept:], numbers[kept:]
    fits = _fits(inputs[:kept], numbers[:kept])
    spread = np.maximum(numbers.std(0), 1e-12)
    if len(theirs):
        errors = [float((np.abs(fit(others) - theirs) / spread).mean()) for fit in fits]
        best = int(np.argmin(errors))
    else:
        best = len(fits) // 2
    fit = _fits(inputs, numbers)[best] if kept < len(inputs) else fits[best]
    alike = test.with_shape(train.input_shape)  # other data may have a shape of its own
    answered = [fit(alike.flat(indices)[0]) for indices in alike.blocks(BATCH)]
    return f"ridge regression on {what}, {len(chosen):,} {train.noun}", np.concatenate(answered)


def _flat(records: Any, indices: np.ndarray) -> tuple[np.ndarray, str]:
    parts = [records.flat(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]
    return np.concatenate([rows for rows, _ in parts]), parts[0][1]


def _fits(inputs: np.ndarray, numbers: np.ndarray) -> list[Any]:
    """Return functions that answer rows (n, d), one an alpha; all from one decomposition of the covariance."""
    centre, middle = inputs.mean(0, dtype=np.float64), numbers.mean(0)
    rows = (inputs - centre).astype(np.float64)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    values = np.maximum(values, 0)
    turned = vectors.T @ (rows.T @ (numbers - middle) / len(rows))
    scale = max(float(values.mean()), 1e-12)

    def of(alpha: float) -> Any:
        weights = vectors @ (turned / (values + alpha * scale)[:, None])
        return lambda given: (given - centre) @ weights + middle

    return [of(alpha) for alpha in ALPHAS]

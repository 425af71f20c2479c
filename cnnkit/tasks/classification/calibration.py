"""Probabilities that are as often right as they say: one temperature, which validation data decide."""

import numpy as np

TEMPERATURES = np.geomspace(0.1, 10, 401)
PRIOR = 3.0  # records, as which a temperature of 1 counts


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, each row summing to 1."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def best_temperature(
    logits: np.ndarray, targets: np.ndarray, prior: float = 0.0, offset: np.ndarray | float = 0.0
) -> float:
    """Return the temperature, from 0.1 to 10, at which the targets are most likely (Guo et al. 2017, section 4.2).

    Args:
        logits: float (n, classes), up to a constant a row.
        targets: int (n,).
        prior: how strongly it is held at 1, in records: the square of its logarithm counts so many times. Few records that are
            all right would ask for 0.
        offset: float (classes,), what is added to logits once they are divided by it.
    """
    rows = np.arange(len(targets))
    losses = []
    for temperature in TEMPERATURES:
        scaled = logits / temperature + offset
        top = scaled.max(1)
        losses.append(
            float((top + np.log(np.exp(scaled - top[:, None]).sum(1)) - scaled[rows, targets]).mean())
            + prior / len(targets) * float(np.log(temperature)) ** 2
        )
    return float(TEMPERATURES[int(np.argmin(losses))])

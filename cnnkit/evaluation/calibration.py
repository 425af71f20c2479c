"""How sure answers are: one temperature, so that they are as often right as they say, and what measures whether they are.

Design choices:
- One temperature divides all logits (Guo et al. 2017, arXiv:1706.04599), whatever the task: those of a softmax, of a sigmoid for
  each label, of boxes. It changes the order of no answers. Validation data decide it, once the weights are there, and the graph
  has it (`cnnkit.tasks.training.tempered`): so has every file, for every client, and none needs a second calibration.
- What validation data choose beside it (thresholds of all kinds) they choose of the calibrated scores.
- Few records that are all right would ask for a temperature of 0, so one of 1 counts as `PRIOR` records do.
- The negative log-likelihood (NLL) is that of what is true, in nats; of labels that do not exclude each other, and of boxes, that
  of each one's being there or not. It says in one number how true scores are, and has its least where they are true.
- The expected calibration error (ECE) is of the answer that is given, in 15 bins of equal width, as Guo et al. 2017 have it; of
  labels that do not exclude each other, and of boxes, of each score, over how often it comes true. It is never 0: a perfectly
  calibrated model that is right in nine of ten has 0.039 on 270 records. So what such a model would have stands beside it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.score import LESS, Score

PRIOR = 3.0  # records, as which a temperature of 1 counts
COOLEST, WARMEST = 0.1, 10.0  # temperatures
LEAST = 1e-30  # of a score whose logarithm is taken; float32 ends there
SUREST = 16.0  # of a logit that is read from a sigmoid in float32, either way
FLOOR = 1e-7  # chance that what is true has at least, in the NLL of float32, which ends there
STEP = 1 / 256  # of the scores of a file of eight bits
WORSE = 0.01  # nats of NLL, by which a file is worth mentioning as worse than the trained model
TEMPERATURE, OFFSET = "temperature", "offset"  # entries of the metadata
Metadata = Mapping[str, Any] | None  # of an artifact


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, each row summing to 1."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return a probability for each logit."""
    return np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64)))


def raw_logits(scores: np.ndarray, metadata: Metadata = None) -> np.ndarray:
    """Return logits as a network gives them, up to a constant a row, from scores that sum to 1: float64 (n, classes).

    Args:
        scores: float (n, classes).
        metadata: of the artifact that gave them: its temperature and offset are taken back.
    """
    return _taken_back(np.log(np.maximum(np.asarray(scores, np.float64), LEAST)), metadata)


def raw_odds(scores: np.ndarray, metadata: Metadata = None) -> np.ndarray:
    """Return logits as a network gives them from scores each of which stands for itself, any shape; as `raw_logits`."""
    kept = np.clip(np.asarray(scores, np.float64), LEAST, 1 - 1e-16)
    return _taken_back(np.clip(np.log(kept) - np.log1p(-kept), None, SUREST), metadata)


def as_learnt(scores: np.ndarray | float, metadata: Metadata = None) -> np.ndarray:
    """Return scores, each of which stands for itself, as they were without the artifact's temperature and offset."""
    return sigmoid(raw_odds(np.asarray(scores), metadata))


def as_claimed(scores: np.ndarray | float, metadata: Metadata = None) -> np.ndarray:
    """Return such scores as they are with the artifact's temperature and offset, from those that `as_learnt` returns."""
    about = metadata or {}
    return sigmoid(raw_odds(np.asarray(scores)) / about.get(TEMPERATURE, 1.0) + about.get(OFFSET, 0.0))


def _taken_back(logits: np.ndarray, metadata: Metadata) -> np.ndarray:
    about = metadata or {}
    return (logits - np.asarray(about.get(OFFSET, 0.0))) * about.get(TEMPERATURE, 1.0)


def best_temperature(
    logits: np.ndarray, targets: np.ndarray, prior: float = PRIOR, offset: np.ndarray | float = 0.0
) -> float:
    """Return the temperature, from 0.1 to 10, at which the targets are most likely, to four digits.

    Args:
        logits: float (n, classes), up to a constant a row.
        targets: int (n,).
        prior: how strongly it is held at 1, in records: the square of its logarithm counts so many times. Few records that are
            all right would ask for 0.
        offset: float (classes,), what is added to logits once they are divided by it.
    """
    rows = np.arange(len(targets))

    def loss(temperature: float) -> float:
        scaled = logits / temperature + offset
        top = scaled.max(1)
        unlikely = top + np.log(np.exp(scaled - top[:, None]).sum(1)) - scaled[rows, targets]
        return float(unlikely.sum())

    return _valley(loss, prior)


def best_temperature_of_each(logits: np.ndarray, true: np.ndarray, prior: float = PRIOR) -> float:
    """Return the temperature of logits each of which stands for itself, (k,), and of whether it came true, bool (k,)."""
    return _valley(lambda temperature: _unlikely(logits / temperature, true), prior)


def best_scale(logits: np.ndarray, true: np.ndarray, prior: float = PRIOR) -> tuple[float, float]:
    """Return temperature and offset, as `best_temperature_of_each`: what is added to logits once they are divided.

    Where scores were taught something else than what they are to claim, their middle lies elsewhere, and no temperature moves it.
    The logit that becomes one half is held at 0 as the temperature is at 1: its square counts as often.

    Source: Platt 1999.
    """

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        offset = _best_offset(scaled, true, prior * temperature**2)
        return _unlikely(scaled + offset, true) + prior * (temperature * offset) ** 2

    temperature = _valley(loss, prior)
    return temperature, round(_best_offset(logits / temperature, true, prior * temperature**2), 4)


def _valley(loss: Callable[[float], float], prior: float) -> float:
    """Return the temperature of the least loss, a sum over records, which has one valley; to four digits."""
    low, high = np.log(COOLEST), np.log(WARMEST)
    for _ in range(6):
        tried = np.linspace(low, high, 17)
        best = int(np.argmin([loss(float(np.exp(value))) + prior * value**2 for value in tried]))
        low, high = tried[max(0, best - 1)], tried[min(16, best + 1)]
    return round(float(np.exp((low + high) / 2)), 4)


def _unlikely(logits: np.ndarray, true: np.ndarray) -> float:
    return float(np.logaddexp(0, np.where(true, -logits, logits)).sum())


def _best_offset(logits: np.ndarray, true: np.ndarray, prior: float) -> float:
    """Return what makes what is true most likely once it is added to logits: Newton's steps, none larger than 2."""
    offset = 0.0
    for _ in range(50):
        chances = sigmoid(logits + offset)
        slope = float((chances - true).sum()) + 2 * prior * offset
        step = slope / (float((chances * (1 - chances)).sum()) + 2 * prior)
        offset -= min(2.0, max(-2.0, step))
        if abs(step) < 1e-6:
            break
    return offset


@dataclasses.dataclass(frozen=True)
class Chances:
    """What chances answers have, and what came true.

    Attributes:
        claimed: float (k,), the chance that each answer claims to be right.
        right: bool (k,), whether it is.
        given: float (k,), the chance that was given to what is true; None: an answer that is not right makes its opposite true.
        owners: int (k,), the record that it is an answer to, from 0; None: each has one of its own.
        least: chance that what is true is taken to have at least.
    """

    claimed: np.ndarray
    right: np.ndarray
    given: np.ndarray | None = None
    owners: np.ndarray | None = None
    least: float = FLOOR

    @property
    def true(self) -> np.ndarray:
        """The chance that was given to what is true, float64 (k,)."""
        claimed = self.claimed.astype(np.float64)
        return np.where(self.right, claimed, 1 - claimed) if self.given is None else self.given.astype(np.float64)

    def losses(self, low: float | None = None, high: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Return of each record the sum of its negative log-likelihoods, nats, and how many these are; of `low` to `high`."""
        each = -np.log(np.clip(self.true, self.least if low is None else low, high))
        if self.owners is None:
            return each, np.ones(len(each))
        return np.bincount(self.owners, each), np.bincount(self.owners).astype(np.float64)

    def nll(self) -> tuple[float, tuple[float, float]]:
        """Return the mean negative log-likelihood, nats, and its 95 % interval (bootstrap over records)."""
        sums, counts = self.losses()
        sums, counts = sums[counts > 0], counts[counts > 0]
        if not len(sums):
            return 0.0, (0.0, -float(np.log(FLOOR)))
        value = float(sums.sum() / counts.sum())
        drawn = np.concatenate([(w @ sums) / (w @ counts) for w in metrics.drawn_again(len(sums))])
        low, high = np.quantile(drawn, [0.025, 0.975])
        return value, (min(float(low), value), max(float(high), value))

    def ece(self) -> float:
        """Return the expected calibration error."""
        return metrics.expected_calibration_error(self.claimed, self.right)

    def scores(self) -> list[Score]:
        """Return `ece` and `nll`, each with its interval."""
        within = metrics.calibration_interval(self.claimed, self.right, self.owners)
        value, interval = self.nll()
        return [
            Score("ece", self.ece(), unit="", better=LESS, interval=within),
            Score("nll", value, unit="nats", better=LESS, interval=interval),
        ]

    def facts(self, before: "Chances | None" = None, metadata: Metadata = None) -> dict[str, Any]:
        """Return `reliability`, points of a diagram, and `calibration`: the ECE `by_chance`, and what there was `before`.

        Args:
            before: the same answers without temperature.
            metadata: of the artifact.
        """
        about: dict[str, Any] = {"by_chance": list(metrics.calibration_by_chance(self.claimed))}
        if metadata is not None and TEMPERATURE in metadata:
            about[TEMPERATURE] = metadata[TEMPERATURE]
        if before is not None:
            about["before"] = {"nll": before.nll()[0], "ece": before.ece()}
        return {"reliability": metrics.reliability(self.claimed, self.right), "calibration": about}


def floor_of(metadata: Metadata) -> float:
    """Return the least chance that scores of an artifact can mean: 0 of eight bits stands for what is below half a step."""
    return STEP / 2 if metadata is not None and metadata.get("precision") == "int8" else FLOOR


def calibrated(metadata: Metadata) -> bool:
    """Whether scores have a temperature that can be taken back again: those of eight bits are too coarse for that."""
    return metadata is not None and TEMPERATURE in metadata and metadata.get("precision") != "int8"


def held_against(first: Chances, second: Chances) -> dict[str, Any]:
    """Compare what chances two models give to what is true of the same records, at a resolution that files of eight bits have.

    Returns:
        of the second `nll` and `ece`, with `nll_interval` and `ece_interval`, and `by_chance`; `worse`: by how many nats its NLL
        is higher, chances taken from 1/512 to 255/256, with `worse_interval` of 95 % (bootstrap over records).
    """
    ends = STEP / 2, 1 - STEP
    parts = [part for chances in (first, second) for part in chances.losses(*ends)]
    size = max(map(len, parts))
    one, ones, two, twos = (np.pad(part, (0, size - len(part))) for part in parts)
    again = metrics.drawn_again(size) if size else ()
    drawn = [(w @ two) / np.maximum(w @ twos, 1) - (w @ one) / np.maximum(w @ ones, 1) for w in again]
    worse = two.sum() / max(1, twos.sum()) - one.sum() / max(1, ones.sum())
    interval = np.quantile(np.concatenate(drawn), [0.025, 0.975]) if drawn else np.zeros(2)
    found: dict[str, Any] = {"by_chance": list(metrics.calibration_by_chance(second.claimed))}
    for score in second.scores():
        found |= {score.name: score.value, f"{score.name}_interval": list(score.interval or ())}
    return {**found, "worse": float(worse), "worse_interval": interval.tolist()}

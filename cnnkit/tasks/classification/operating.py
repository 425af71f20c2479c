"""Two labels, one of which is looked for: which it is, from which score on it is the answer, and how good the answers are there.

Design choices:
- The label that is looked for is the one that was named (`positive`); else the one that is not called none, normal, healthy and
  the like; else the second.
- Sensitivity and specificity are of answers, so they hold for whatever threshold gives these: one half, where nothing chose
  another, or one that validation data chose.
- Their intervals are Wilson's; where records come in groups, such as a patient's, of as many records as these are worth
  (`metrics.wilson_of_groups`).
- What was decided is an entry `screening` of a file's metadata, and a device answers by it: `finding`, `threshold`, `chosen_on`
  (validation records of each label; none: nothing chose it), and where one was asked for `specificity`, and `reached`, what
  validation records have.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit import metrics
from cnnkit.data.records import Records
from cnnkit.errors import ConfigError
from cnnkit.score import Score
from cnnkit.tasks.classification import roc

ENTRY = "screening"  # of the metadata
MIDDLE = 0.5  # threshold where nothing chose one
CLOSE = 1e-9  # shares that are no further apart are the same
FEW = 10  # validation records of a label; with fewer a threshold is much a matter of chance
_ABSENT = re.compile(
    r"(no|non|not|without|-?0|neg|negative|none|nothing|normals?|healthy|benign|clear|clean|absent|controls?|false|good|ok)"
    r"(?![a-z0-9]).*"
)
_NOT = ("no", "non", "not", "un")  # before the other label's name
Metadata = Mapping[str, Any] | None  # of an artifact


def finding(labels: Sequence[str]) -> int:
    """Return which of two labels is looked for: the one that is not called none, normal ...; else the second."""
    first, second = (str(label).strip().lower() for label in labels)
    absent = [
        bool(_ABSENT.fullmatch(own)) or own in [word + other for word in _NOT]
        for own, other in ((first, second), (second, first))
    ]
    return 0 if absent == [False, True] else 1


def refuse(settings: Any, labels: Sequence[str]) -> None:
    """Refuse settings that need two labels where there are others.

    Raises:
        ConfigError: `specificity` or `positive` with more than two labels, or a `positive` that is none of them.
    """
    positive = getattr(settings, "positive", None)
    for name in ("specificity", "positive"):
        if getattr(settings, name, None) is not None and len(labels) != 2:
            raise ConfigError(f"`{name}` is for data of two labels; this has {len(labels)}. Leave it out.")
    if positive is not None:
        place_of(labels, positive)


def place_of(labels: Sequence[str], positive: str | None) -> int:
    """Return the place of the label that is looked for; `positive`: its name, None: as `finding` says.

    Raises:
        ConfigError: there is no such label.
    """
    if positive is None:
        return finding(labels)
    if positive not in labels:
        raise ConfigError(f"`positive` needs one of {', '.join(map(repr, labels))}. Got {positive!r}.")
    return labels.index(positive)


def asked(settings: Any) -> dict[str, Any]:
    """Return what `decide` takes of the settings: what was asked for."""
    values = {name: getattr(settings, name, None) for name in ("specificity", "positive")}
    return {name: value for name, value in values.items() if value is not None}


def decide(
    chances: np.ndarray, targets: np.ndarray, labels: Sequence[str], place: int, specificity: float | None = None
) -> dict[str, Any]:
    """Choose the threshold on validation data, as the entry of the metadata has it.

    Args:
        chances: float (n,), scores of the label that is looked for, in [0, 1].
        targets: int (n,).
        labels: both.
        place: of the label that is looked for.
        specificity: that is to be reached; None: Youden's threshold.

    Returns:
        `finding`, `threshold` (one half where a label has no record), `chosen_on`; with `specificity` that too, and `reached`
        (None where a label has no record).
    """
    counts = np.bincount(targets.astype(np.int64), minlength=2).tolist()
    threshold, reached = MIDDLE, None
    if all(counts):
        there = targets == place
        threshold = roc.youden(chances, there) if specificity is None else roc.specific(chances, there, specificity)
        reached = float((chances[~there] < threshold).mean())
    about = {
        "finding": labels[place],
        "threshold": threshold,
        "chosen_on": dict(zip(labels, counts, strict=True)),
    }
    return about if specificity is None else {**about, "specificity": specificity, "reached": reached}


def cautions(about: Mapping[str, Any] | None) -> list[str]:
    """Say where a threshold rests on few records, or on none."""
    if not about or "chosen_on" not in about:
        return []
    chosen_on, specificity = about["chosen_on"], about.get("specificity")
    without = sum(count for label, count in chosen_on.items() if label != about["finding"])
    lines = []
    few = min(chosen_on.values()) < FEW
    if few:
        counts = " and ".join(f"{count:,} of {label}" for label, count in chosen_on.items())
        how = f"is {MIDDLE}" if not min(chosen_on.values()) else "is much a matter of chance"
        lines.append(f"The threshold {how}: the validation split has {counts} only. Hold out more to choose it.")
    if missed(specificity, about.get("reached")):
        lines.append(
            f"No threshold has a specificity of {specificity:g}, only {about['reached']:.3g}: validation records without "
            f"{about['finding']} have a score of 1. Look whether their labels are right, or train with `label_smoothing`."
        )
    elif not few and specificity is not None and without * (1 - specificity) < 1 - CLOSE:
        lines.append(
            f"A specificity of {specificity:g} is more than {without:,} validation records without {about['finding']} can tell: "
            "the threshold lies above all of them. Hold out more to choose it."
        )
    return lines


def missed(asked: float | None, reached: float | None) -> bool:
    """Whether validation records have less than the specificity that was asked for."""
    return asked is not None and reached is not None and reached < asked - CLOSE


def entry(metadata: Metadata) -> Mapping[str, Any]:
    """Return what metadata say of the threshold; empty: nothing."""
    return (metadata or {}).get(ENTRY) or {}


def threshold(metadata: Metadata) -> float:
    """Return the threshold that a file answers by."""
    return float(entry(metadata).get("threshold", MIDDLE))


def looked_for(labels: Sequence[str], metadata: Metadata) -> int:
    """Return the place of the label that a file looks for."""
    return place_of(labels, entry(metadata).get("finding"))


def answers(scores: np.ndarray, labels: Sequence[str], metadata: Metadata) -> np.ndarray:
    """Return the place of the label that each record gets, int (n,): what is looked for from its threshold on."""
    place = looked_for(labels, metadata)
    return np.where(scores[:, place] >= threshold(metadata), place, 1 - place)


def groups_of(records: Records) -> dict[str, np.ndarray]:
    """Return what outputs say of groups of records, such as patients, where these are known."""
    return {} if records.groups is None else {"patients": np.asarray(records.groups)}


def shares(there: np.ndarray, said: np.ndarray, groups: np.ndarray | None) -> tuple[Score, Score]:
    """Return sensitivity and specificity with their 95 % intervals.

    Args:
        there: bool (n,), whether a record has what is looked for; some have, and some have not.
        said: bool (n,), whether that is the answer.
        groups: int (n,), equal for records that are no independent cases; None: each is one.
    """
    found = []
    for name, mask in (("sensitivity", there), ("specificity", ~there)):
        right = (said == there)[mask]
        own = None if groups is None else groups[mask]
        found.append(Score(name, float(right.mean()), interval=metrics.wilson_of_groups(right, own)))
    return found[0], found[1]


def scored(
    outputs: Mapping[str, np.ndarray],
    targets: np.ndarray,
    said: np.ndarray,
    labels: Sequence[str],
    metadata: Metadata,
) -> tuple[list[Score], dict[str, Any]]:
    """Score two labels.

    Args:
        outputs: `scores`, float (n, 2), and perhaps `patients`, int (n,).
        targets: int (n,); both labels occur.
        said: int (n,), the label that each record got.
        labels: both.
        metadata: of the artifact.

    Returns:
        `auc` (resampled groups), `sensitivity`, `specificity`, each with its 95 % interval; and the facts `finding`, `threshold`,
        `chosen_on` (validation records that chose it), `asked_specificity`, `reached_specificity` (of these), `roc`, `patients`
        (groups).
    """
    place = looked_for(labels, metadata)
    there, chances = targets == place, outputs["scores"][:, place].astype(np.float64)
    groups = outputs.get("patients")
    worth = roc.parts(chances, there)
    interval = roc.interval(chances, there, groups)
    chosen_on = entry(metadata).get("chosen_on") or {"": 0}
    scores = [
        Score("auc", float(worth.mean()), interval=interval, per_record=worth),
        *shares(there, said == place, groups),
    ]
    facts = {
        "finding": labels[place],
        "threshold": threshold(metadata),
        "chosen_on": sum(chosen_on.values()) if min(chosen_on.values()) else 0,
        "asked_specificity": entry(metadata).get("specificity"),
        "reached_specificity": entry(metadata).get("reached"),
        "roc": roc.curve(chances, there),
        "patients": len(there) if groups is None else len(np.unique(groups)),
    }
    return scores, facts


def columns(scores: Mapping[str, Any]) -> dict[str, str]:
    """Return what a table shows of two labels beside the headline score."""

    def said(name: str) -> str:
        low, high = scores[f"{name}_interval"]
        return f"{100 * scores[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    found = {f"{name} %": said(name) for name in ("sensitivity", "specificity")}
    return {**found, "ECE": f"{scores['ece']:.4f}", "records": f"{scores['count']:,}"}

"""A score with what it means: its unit, and whether more or less of it is better.

Design choices:
- A share in [0, 1] is shown in percent, and differences of it in points, which are hundredths. Any other number is shown as
  it is, and differences of it in its own unit.
- `Scores` are plain values, so `run.json` and `--json` hold them as they are; the headline alone has more, in memory.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a command that scores nothing starts sooner without
    import numpy as np

SHARE = "%"  # the unit of a number in [0, 1] that people read in percent
MORE, LESS = "more", "less"
HEADLINE, UNITS = "headline", "units"  # entries of `Scores`


@dataclasses.dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: such as "accuracy" or "mean_absolute_error".
        value: a number in [0, 1] where the unit is "%", else one in its unit.
        unit: "%" for shares, such as "years" for others, "" for plain numbers.
        better: "more" or "less".
        interval: of 95 %, low and high, as the task makes it; None: not known.
        per_class: the same score of each class that has records, by label; None: there are no classes.
        per_record: the score of each record, float (n,), whose mean says how good a model is; None: it is of all together.
    """

    name: str
    value: float
    unit: str = SHARE
    better: str = MORE
    interval: tuple[float, float] | None = None
    per_class: Mapping[str, float] | None = None
    per_record: "np.ndarray | None" = None

    def __post_init__(self) -> None:
        if self.better not in (MORE, LESS):
            raise ValueError(f"`better` needs to be {MORE!r} or {LESS!r}. Received: better={self.better!r}.")

    @property
    def scale(self) -> int:
        """What a difference is multiplied by to be shown: 100 for shares, whose differences are points."""
        return 100 if self.unit == SHARE else 1

    @property
    def step(self) -> str:
        """What differences are counted in."""
        return "points" if self.unit == SHARE else self.unit

    @property
    def behind(self) -> str:
        """On which side of another value a worse one lies."""
        return "below" if self.better == MORE else "above"

    @property
    def lost(self) -> str:
        """What a loss of so much is called."""
        return "lost" if self.better == MORE else "more"

    @property
    def title(self) -> str:
        """Its name and unit, as the head of a column."""
        return f"{self.name} {self.unit}".strip()

    def number(self, value: float, digits: int = 2) -> str:
        """Write a value of this score without its unit; `digits` behind the point of a share."""
        if self.unit == SHARE:
            return f"{100 * value:.{digits}f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

    def said(self, value: float, digits: int = 2) -> str:
        """Write a value of this score, such as "97.25 %" or "2.31 years"."""
        return f"{self.number(value, digits)} {self.unit}".strip()

    def range(self, interval: tuple[float, float] | None, digits: int = 2) -> str:
        """Write an interval of this score; empty where there is none."""
        return "" if interval is None else " to ".join(self.number(value, digits) for value in interval)

    def apart(self, difference: float, digits: int = 1) -> str:
        """Write the size of a difference, such as "1.5 points" or "0.3 years"."""
        size = abs(difference)
        return f"{100 * size:.{digits}f} points" if self.unit == SHARE else f"{size:.3g} {self.unit}".strip()

    def change(self, difference: float) -> str:
        """Write a difference with its sign, without its unit; shares in points."""
        return f"{100 * difference:+.2f}" if self.unit == SHARE else f"{difference:+.3g}"

    def gain(self, before: float, after: float) -> float:
        """Return by how much the second value is better: negative where it is worse. As values are, not in points."""
        return after - before if self.better == MORE else before - after

    def of(self, scores: Mapping[str, Any]) -> "Score":
        """Return this score of other `Scores`, such as a baseline's, which may be plain values."""
        found = scores.get(f"{self.name}_interval")
        interval = None if found is None else (float(found[0]), float(found[1]))
        return dataclasses.replace(self, value=scores[self.name], interval=interval, per_class=None, per_record=None)


class Scores(dict[str, Any]):
    """What a task makes of predictions: plain values by name, and the score that stands first.

    Args:
        headline: what tables, the verdict and the export gate look at.
        *others: that a reader should see beside it.
        count: records that were scored.
        **facts: anything else that the task wants to keep, as plain values. Some mean the same for all tasks: `examples`, how
            many things the headline is of, where that is not records but boxes, say; `per_class`, by label scores by name,
            with `support`, how many of these things each class has; `constant`, the best answer that needs no model: its
            `name`, its `value`, and whether the model is `sure` to be better; `beside`, others that answered the same records,
            such as a person: of each its `name` and its score, with its interval; `notice`, what everyone is to know of them;
            `units`, of values in `per_class`; `undefined`, a sentence where these records cannot tell the headline, which is 0.

    Attributes:
        headline: as given.
    """

    def __init__(self, headline: Score, *others: Score, count: int, **facts: Any):
        plain: dict[str, Any] = {}
        for score in (headline, *others):
            plain[score.name] = score.value
            if score.interval is not None:
                plain[f"{score.name}_interval"] = list(score.interval)
        super().__init__(plain, count=count, **facts)
        self.headline = headline
        self[HEADLINE] = {"name": headline.name, "unit": headline.unit, "better": headline.better}
        units = {score.name: score.unit for score in others if score.unit != SHARE}
        if units or UNITS in facts:
            self[UNITS] = units | facts.get(UNITS, {})


def headline(scores: Mapping[str, Any]) -> Score | None:
    """Return the score that stands first in plain values, as `run.json` has them; None: there is none.

    What an older version wrote does not name it: there it is the share that has an interval.
    """
    about = scores.get(HEADLINE) or next(
        ({"name": name.removesuffix("_interval")} for name in scores if name.endswith("_interval")), None
    )
    return None if about is None else Score(value=scores[about["name"]], **about).of(scores)


def unit(scores: Mapping[str, Any], name: str) -> str:
    """Return the unit of a value in `Scores`: "%" unless they say otherwise."""
    about = scores.get(HEADLINE, {})
    return about["unit"] if about.get("name") == name else scores.get(UNITS, {}).get(name, SHARE)

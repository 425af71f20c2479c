"""Numbers of a picture, on a device."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import TaskKind
from cnnkit.shown import Answers


class Regression(TaskKind):
    """Values (n, k), in the units of the training data.

    The metadata's `regression` has `names` and `units` of the values; `interval`, where validation pictures decided one, with its
    `level` in (0, 1) and `half`, by how much each value may lie off that often.
    """

    name = "regression"
    demo = Path(__file__).with_name("demo")
    outputs = ("values",)
    entry = "regression"

    def predicts(self) -> Callable[..., Answers]:
        from cnnkit.tasks.regression.predict import measure

        return measure

    def labels(self, metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        written = super().labels(metadata, shapes)
        about = metadata.get(self.entry) or {}
        count = int(shapes["values"][-1])
        for key in ("names", "units"):
            found = about.get(key)
            if not isinstance(found, list) or len(found) != count or not all(isinstance(text, str) for text in found):
                raise ValueError(f"answers {count} value{'s' * (count != 1)}, and does not give each one of `{key}`")
        half = (about.get("interval") or {}).get("half")
        if half is not None and (
            not isinstance(half, list) or len(half) != count or not all(_is_number(value) for value in half)
        ):
            raise ValueError(f"has an interval that is none: {half!r}")
        return written

    def answer(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> Any:
        """Return `value`, its `unit`, and the `interval` [low, high] with its `level`; of several `values` by name."""
        about = metadata[self.entry]
        known = about.get("interval") or {}
        found = {}
        for place, (name, unit) in enumerate(zip(about["names"], about["units"], strict=True)):
            value = float(outputs["values"][place])
            entry: dict[str, Any] = {"value": rounded(value), "unit": unit}
            if "half" in known:
                half = float(known["half"][place])
                entry |= {"interval": [rounded(value - half), rounded(value + half)], "level": known["level"]}
            found[name] = entry
        return next(iter(found.values())) if len(found) == 1 else {"values": found}

    def told(self, answer: Mapping[str, Any]) -> list[str]:
        if "values" in answer:
            return [f"{name} {said(entry)}" for name, entry in answer["values"].items()]
        return [said(answer)]


def said(entry: Mapping[str, Any]) -> str:
    """Write a value as people read it, such as "-3.12 degrees  (-6.2 to -0.02)"."""
    text = with_unit(entry["value"], entry["unit"])
    if "interval" not in entry:
        return text
    low, high = entry["interval"]
    return f"{text}  ({figure(low)} to {figure(high)})"


def figure(value: float, digits: int = 3, sign: str = "") -> str:
    """Write a number: so many digits that mean something, all of those before the point, and no minus of a zero.

    Args:
        value: the number.
        digits: of it.
        sign: "+" for one before a positive number, too.
    """
    whole = abs(value) >= 10**digits - 0.5
    return f"{value + 0.0:{sign},{'.0f' if whole else f'.{digits}g'}}"


def with_unit(value: float, unit: str) -> str:
    """Write a number with its unit, such as "-3.12 degrees"."""
    return f"{figure(value)} {unit}".strip()


def with_units(values: Iterable[float], units: Iterable[str]) -> str:
    """Write several numbers, each with its unit."""
    return ", ".join(with_unit(float(value), unit) for value, unit in zip(values, units, strict=True))


def rounded(value: float) -> float:
    """Return a number with six digits that mean something, which is what float32 knows."""
    return float(f"{value:.6g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


KIND = Regression()

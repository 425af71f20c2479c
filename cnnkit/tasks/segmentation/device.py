"""Masks, on a device; `cnnkit.device.segmentation` makes them of a model's answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.device.kinds import TaskKind
from cnnkit.device.segmentation import Plan
from cnnkit.errors import ConfigError
from cnnkit.shown import Answers


class Segmentation(TaskKind):
    """Scores (n, h, w, channels) in [0, 1]: a label each, or, of several that exclude each other, of the background first."""

    name = "segmentation"
    demo = Path(__file__).with_name("demo")
    stored = True
    outputs = ("scores",)
    probabilities = ("scores",)
    entry = "segmentation"

    def predicts(self) -> Callable[..., Answers]:
        from cnnkit.tasks.segmentation.predict import draw

        return draw

    def answers(self) -> Callable[..., Iterator[dict[str, Any]]]:
        from cnnkit.tasks.segmentation.predict import answered

        return answered

    def labels(self, metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        written = super().labels(metadata, shapes)
        count = int(shapes["scores"][-1])
        plan = Plan.from_dict(metadata.get(self.entry) or {})
        if plan.channels(len(written)) != count:
            raise ValueError(f"names {len(written)} labels and has {count} scores a pixel")
        return written

    def for_page(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from cnnkit.device import drawing, resampling, segmentation, windows

        if Plan.from_dict(metadata.get(self.entry or "") or {}).rim:
            raise ConfigError("The page does not tell objects apart, as this model does. Use `predict`.")
        return {
            "plan": Plan().to_dict(),
            "alike": segmentation.ALIKE,
            "each": segmentation.EACH,
            "tails": segmentation.TAILS,
            "slender": segmentation.SLENDER,
            "far": segmentation.FAR,
            "sample": resampling.SAMPLE,
            "deviation": windows.DEVIATION,
            "least": windows.LEAST,
            "colours": drawing.COLOURS,
        }


KIND = Segmentation()

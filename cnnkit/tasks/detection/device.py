"""Boxes around objects, on a device; `cnnkit.device.detection` makes them of a model's answers."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnkit.device.kinds import Scores
from cnnkit.shown import Answers


class Detection(Scores):
    """Raw boxes (n, cells, 4) and scores (n, cells, classes) in [0, 1]."""

    name = "detection"
    demo = Path(__file__).with_name("demo")
    outputs = ("boxes", "scores")
    entry = "detection"

    def predicts(self) -> Callable[..., Answers]:
        from cnnkit.tasks.detection.predict import find  # with OpenCV, videos and all

        return find

    def answers(self) -> Callable[..., Iterator[dict[str, Any]]]:
        from cnnkit.tasks.detection.predict import answered

        return answered

    def for_page(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from cnnkit.device import detection, drawing

        names = ("GREY", "CANDIDATES", "IOU", "LARGEST", "EDGE", "LONG", "COVERED")
        limits = {name.lower(): getattr(detection, name) for name in names}
        return {**limits, "plan": detection.Plan().to_dict(), "colours": drawing.COLOURS}


KIND = Detection()

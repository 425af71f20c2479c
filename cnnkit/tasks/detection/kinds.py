"""Apps that find objects in pictures: what they are made of (`cnnkit.kinds`)."""

from typing import Any

from cnnkit.app import Kind
from cnnkit.tasks.detection.commands import finding


def _recipe(**own: Any) -> Any:
    from cnnkit.recipe import Recipe
    from cnnkit.tasks.detection.images import Boxes
    from cnnkit.tasks.detection.loading import load
    from cnnkit.tasks.detection.scoring import Detection
    from cnnkit.tasks.detection.views import Views

    known = {
        "views": lambda records, settings: Views(records, settings.seed, mirror=settings.mirror),
        "side_step": 32,
        "options": lambda records, model: {"strides": list(records.plan.strides)},
        "describe": lambda records, model: {"detection": records.plan.to_dict()},
    }
    return Recipe(**{"task": Detection(), "inputs": Boxes(), "load": load, **known, **own})


def _rooms() -> Any:
    from cnnkit.tasks.detection.settings import BOXES

    return BOXES


object_detection = Kind(_recipe, _rooms, finding("object", "objects", recogniser="A run or .tflite of a classifier"))

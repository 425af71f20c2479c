"""Apps that draw masks on pictures and volumes: what they are made of (`cnnkit.kinds`)."""

from typing import Any

from cnnkit.app import Kind
from cnnkit.tasks.segmentation.commands import DRAWING


def _recipe(**own: Any) -> Any:
    from cnnkit.recipe import Recipe
    from cnnkit.tasks.segmentation.images import Masked
    from cnnkit.tasks.segmentation.loading import load
    from cnnkit.tasks.segmentation.scoring import Segmentation
    from cnnkit.tasks.segmentation.volumes.inputs import fitting

    known = {
        "views": lambda records, settings: records.views(settings),
        "fitting": fitting,
        "side_step": 32,
        "describe": lambda records, model: {"segmentation": records.plan.to_dict()},
    }
    return Recipe(**{"task": Segmentation(), "inputs": Masked(), "load": load, **known, **own})


def _rooms() -> Any:
    from cnnkit.tasks.segmentation.settings import MASKS

    return MASKS


image_segmentation = Kind(_recipe, _rooms, DRAWING)

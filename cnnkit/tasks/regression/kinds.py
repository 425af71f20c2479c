"""Apps that tell numbers of pictures: what they are made of (`cnnkit.kinds`)."""

from collections.abc import Mapping
from typing import Any

from cnnkit.app import Kind
from cnnkit.inputs.image.commands import BACKBONE_OPTIONS
from cnnkit.tasks.regression.commands import MEASURING


def _recipe(numbers: Mapping[str, Any] | None = None, **own: Any) -> Any:
    """Make a recipe; `numbers` are the arguments of `cnnkit.tasks.regression.scoring.Regression`: `unit`, `zero`, `negated`."""
    from cnnkit.recipe import Recipe
    from cnnkit.tasks.regression.images import Measured, fitting
    from cnnkit.tasks.regression.loading import load
    from cnnkit.tasks.regression.scoring import Regression

    return Recipe(
        **{"task": Regression(**(numbers or {})), "inputs": Measured(), "load": load, "fitting": fitting, **own}
    )


def _rooms() -> Any:
    from cnnkit.tasks.regression.settings import VALUES

    return VALUES


image_regression = Kind(_recipe, _rooms, MEASURING, BACKBONE_OPTIONS)

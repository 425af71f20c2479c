"""The model of a run: built from its settings, at several image sizes where it trains so, and saved with what it means."""

import dataclasses
import inspect
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from cnnkit.data.records import Records, Splits
from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.files import write_bytes
from cnnkit.run import MODEL
from cnnkit.seals import sealed
from cnnkit.training.pruning import Network
from cnnkit.training.settings import Settings


def builder_of(recipe: Any, model: str, options: Mapping[str, Any]) -> Any:
    """Return the builder of a model.

    Raises:
        ConfigError: there is no such model, it has no such option, or the option has no such value.
    """
    if model not in recipe.builders:
        raise ConfigError(f"There is no model `{model}`. Models: {', '.join(recipe.builders)}.")
    builder = recipe.builders[model]
    known = [p.name for p in inspect.signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in known]
    if unknown:
        # in other quotes than settings: `backbone` is a model and an option
        raise ConfigError(f"The model {model!r} has no option `{unknown[0]}`. It has {', '.join(known) or 'none'}.")
    for name, known in getattr(builder, "takes", {}).items():
        if options.get(name, known[0]) not in known:
            raise ConfigError(f"`{name}` needs one of {', '.join(known)}. Got {options[name]!r}.")
    return builder


def build(recipe: Any, settings: Settings, records: Records, widths: Mapping[str, int] | None = None) -> keras.Model:
    """Build the model that the settings name for these records; its errors are the user's.

    `widths`: of a network that was pruned (`cnnkit.training.pruning`).
    """
    builder = builder_of(recipe, settings.model, settings.options)
    try:
        model = builder(records.input_shape, recipe.task.units(records.label_names), **settings.options)
        return Network(model).narrowed(widths) if widths else model
    except CnnkitError:
        raise
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        size = recipe.inputs.size_setting
        hint = f" Choose a larger `{size}`, or another `model`." if size and "image_shape=" in reason else ""
        raise ConfigError(f"The model {settings.model!r} cannot be built: {reason}{hint}") from error


def built(recipe: Any, settings: Settings, records: Records, widths: Mapping[str, int] | None = None) -> keras.Model:
    """Build the model as it trains: in mixed precision, where that is asked for."""
    precise = keras.config.dtype_policy()
    if settings.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return build(recipe, settings, records, widths)
    finally:
        keras.config.set_dtype_policy(precise)


class Sized:
    """The model and the data at a share of the full size of an input; the models share weights by being given them."""

    def __init__(
        self,
        recipe: Any,
        settings: Settings,
        splits: Splits,
        model: keras.Model,
        widths: Mapping[str, int] | None = None,
    ):
        self.recipe, self.settings, self.splits, self.model, self.widths = recipe, settings, splits, model, widths
        self.made: dict[float, tuple[keras.Model, Splits]] = {1.0: (model, splits)}

    def __call__(self, size: float) -> tuple[keras.Model, Splits]:
        if size not in self.made:
            *sides, channels = self.splits.train.input_shape
            step = self.recipe.side_step
            shape = (*(step * max(1, round(size * side / step)) for side in sides), channels)
            parts = {name: getattr(self.splits, name).with_shape(shape) for name in ("train", "validation", "test")}
            splits = dataclasses.replace(self.splits, **parts)
            model = built(self.recipe, self.settings, splits.train, self.widths)
            if [v.shape for v in model.variables] != [v.shape for v in self.model.variables]:
                raise ConfigError(
                    f"The weights of `{self.settings.model}` depend on the size of its images, so it cannot be trained on "
                    "smaller ones first. Leave out `progressive`, or choose a model that averages its last map."
                )
            self.made[size] = model, splits
        return self.made[size]


def describe(recipe: Any, settings: Settings, records: Records) -> dict[str, Any]:
    """Return what travels inside an artifact: who made it and what its input and scores mean."""
    described = recipe.describe(records, settings.model)
    return {
        "format": 1,
        "app": recipe.app,
        "task": recipe.task.name,
        "model": settings.model,
        "data": settings.data,
        "labels": list(records.label_names),
        **({"quantise_aware": True} if getattr(settings, "quantise_aware", False) else {}),
        **({"notice": recipe.notice} if recipe.notice else {}),
        **recipe.task.facts(),
        **described,
        "input": {**recipe.inputs.stated(records), **described.get("input", {})},
    }


def save(model: keras.Model, path: Path, metadata: dict[str, Any]) -> None:
    """Write a `.keras` file atomically, with `cnnkit.json` inside."""
    import tempfile

    from cnnkit.device.model import members

    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / MODEL
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, text in members(metadata).items():
                archive.writestr(name, text, zipfile.ZIP_DEFLATED)
        write_bytes(path, sealed(temporary.read_bytes()))

"""A training whose run is there: of a new run, its data is loaded, what follows from that decided, and the folder made."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import training
from cnnkit.device.model import read_metadata
from cnnkit.errors import CnnkitError
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import DATA_RECORDS, MODEL, Run, new_path
from cnnkit.run_data import at_their_side, describe_data, load, own_data, remember_place, undivided
from cnnkit.settings import checked, fields, rooms
from cnnkit.training.settings import weights_of
from cnnkit.verbs.asked import FOUND, Asked
from cnnkit.verbs.pretrained import chosen

BACKBONE = "backbone"  # the builder, in every app that has it, of a classifier on a network of keras.applications


@dataclasses.dataclass(frozen=True)
class Work:
    """A training whose run is there.

    Attributes:
        recipe: as it fits the data.
        run: that is trained.
        settings: of it.
        splits: the data.
        whole: the same with nothing held out, on which it is trained anew; None: it is not.
        tell: hears what goes on.
        within: whether it is a part of another run, which stays the latest.
    """

    recipe: Any
    run: Run
    settings: Any
    splits: Any
    whole: Any
    tell: Reporter
    within: bool = False


def begun(recipe: Any, asked: Asked, held: contextlib.ExitStack, tell: Reporter) -> Work:
    """Load the data, decide what follows from it, make the run; what cannot be is refused before."""
    from cnnkit.models import weights
    from cnnkit.training import pruning

    choice = chosen(recipe, asked.settings)
    weights.check_source(choice.settings["weights"])
    pruning.refuse(choice.settings)
    given = _completed(recipe, choice.settings)
    read = _checked(load(recipe, given, tell=tell))
    while True:
        given, splits = at_their_side(recipe, given["model"], given, read)
        fits = fitted(recipe, splits, _known_to_weights(given))
        other = choice.fitting(fits, splits.train.input_shape)
        if other is choice:
            break
        choice = other
        given = _completed(recipe, choice.settings)
    recipe = fits
    _warn_of_seen_validation(given, splits, tell)
    settings = _decided(recipe, given, splits, tell)
    recipe.task.refuse(settings, splits)
    if getattr(settings, "quantise_aware", False):
        from cnnkit.training import eight_bits

        eight_bits.refuse(settings)
    if asked.words.get("learning_rate") == FOUND:
        settings = _with_found_rate(recipe, settings, splits, tell)
    plain = asked.settings.get("model") or _model_for(recipe, {**asked.settings, "weights": "none"})
    run = _created(recipe, asked, settings, splits, held, choice.to_dict(plain))
    if line := choice.line():
        tell.message(line)
    return _work(recipe, run, splits, None, tell)


def _completed(recipe: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the model that they mean; what its builder does not know is refused."""
    from cnnkit.training import building

    model = settings.get("model") or _model_for(recipe, settings)
    building.builder_of(recipe, model, settings.get("options", {}))
    return {**settings, "model": model}


def gone_on(recipe: Any, asked: Asked, run: Run, tell: Reporter) -> Work:
    """Find the data of a run, wherever it lies by now."""
    if not run.document.get("scores") and (otherwise := run.computed_otherwise()):
        tell.warning(
            f"{run.path} was started with {', '.join(otherwise)}; it goes on, but not to the very same weights."
        )
    known = own_data(recipe, run, tell=tell, source=asked.settings.get("data"))
    recipe = fitted(recipe, _checked(known.splits), run.document.get("fitted", {}))
    return _work(recipe, run, known.splits, known.source, tell)


def _work(recipe: Any, run: Run, splits: Any, source: Any, tell: Reporter) -> Work:
    settings = run.settings(recipe.Settings)
    return Work(recipe, run, settings, splits, undivided(recipe, settings, splits, source, tell), tell)


def _checked(splits: Any) -> Any:
    from cnnkit.data.loading import check_divided

    check_divided(splits)
    return splits


def _model_for(recipe: Any, given: Mapping[str, Any]) -> str:
    """Return the model that is meant where none is named: weights that Keras publishes belong to a backbone.

    The app's `default` has no layer that they fit.
    """
    weights = given["weights"]
    published = weights == "imagenet" or weights.endswith(".h5")
    meant = BACKBONE in recipe.builders and (published or "backbone" in given.get("options", {}))
    return BACKBONE if meant else recipe.Settings.model


def fitted(recipe: Any, splits: Any, earlier: Mapping[str, Any]) -> Any:
    """Return the recipe that fits data; its task keeps what `earlier` says, metadata of an artifact or a run's."""
    found = recipe.fitting(recipe, splits)
    return dataclasses.replace(found, task=found.task.fitted(splits, earlier))


def _known_to_weights(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the weights that training begins with; empty where they say nothing of themselves."""
    path = weights_of(given)
    path = path / MODEL if path is not None and path.is_dir() else path
    return read_metadata(path) if path is not None and path.suffix == ".keras" and path.is_file() else {}


def _warn_of_seen_validation(given: Mapping[str, Any], splits: Any, tell: Reporter) -> None:
    path = weights_of(given)
    earlier = Run.open(path).document if path is not None and path.is_dir() else {}
    if earlier.get("refit") and len(splits.validation) and earlier["data"]["fingerprint"] == splits.train.fingerprint():
        tell.warning(
            f"{path} was trained on these validation records too, so what they decide now is too hopeful. The "
            "test split is as new to it as before."
        )


def _decided(recipe: Any, given: Mapping[str, Any], splits: Any, tell: Reporter = SILENT) -> Any:
    """Return the settings: as given, the rest as the recipe has them for this model and data."""
    from cnnkit.training import pruning

    model = given["model"]
    pruned = given.get("prune") is not None
    loaded = given["weights"] != "none" and not pruned
    preset = {**splits.train.advised(loaded), **recipe.preset(model, len(splits.train), loaded)}
    preset |= pruning.PRESET if pruned else {}
    preset = checked(recipe.Settings, preset, f"the preset of {model}")
    if any(field.name in preset for room in rooms(recipe.Settings) if room.of_data for field in fields(room)):
        raise ValueError(f"a preset cannot change the data, which is loaded before it is known. Received: {preset}.")
    preset, lines = recipe.inputs.suited(
        {name: value for name, value in preset.items() if name not in given}, splits.train
    )
    for line in lines:
        tell.message(line)
    made = recipe.options(splits.train, model)
    follow = {name: made[name] for name in recipe.follows if name in made}
    options = {**made, **given.get("options", {}), **follow}
    return recipe.Settings(**{**preset, **given, "options": options, "data": given.get("data") or recipe.data})


def _with_found_rate(recipe: Any, settings: Any, splits: Any, tell: Reporter) -> Any:
    with tell.progress("Looking for a learning rate", 1):
        rate, _ = training.find_learning_rate(recipe, settings, splits.train)
    tell.message(f"Learning rate found: {rate:.2g} (a tenth of where the loss is lowest)")
    return dataclasses.replace(settings, learning_rate=float(f"{rate:.2g}"))


def _created(
    recipe: Any, asked: Asked, settings: Any, splits: Any, held: contextlib.ExitStack, choice: Mapping[str, Any]
) -> Run:
    """Make the run; it knows its data, and what was chosen for it, and is held for this process alone."""
    from cnnkit.data import seen

    about = {
        "task": recipe.task.name,
        "data": describe_data(splits),
        "asked": asked.words,
        "asked_in": str(Path.cwd()),
    }
    if facts := recipe.task.facts():
        about["fitted"] = facts  # the same when it goes on, wherever its weights came from
    if choice:
        about["weights_choice"] = dict(choice)
    path = asked.out or new_path(recipe.app, settings.model)
    run = Run.create(path, recipe.app, settings, held=held, fresh=asked.out is None, **about)
    try:
        remember_place(run, settings.data)
        seen.keep(run.path / DATA_RECORDS, splits)
    except CnnkitError:
        run.discard()
        raise
    return run

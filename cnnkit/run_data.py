"""The data of a run: loaded for a training, and found again by every command that needs it afterwards."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnkit import config, console
from cnnkit.errors import ConfigError, DataError
from cnnkit.run import Run

DATA_KEYS = (
    "data",
    "image_size",
    "limit",
    "skip_bad",
    "validation",
    "seed",
    "split_seed",
    "weights",
    "keep",
    "tiles",
    "tile_scale",
    "options",
    "model",
    "text",
    "label",
    "separator",
    "fold",
    "words",
    "least",
    "length",
    "cased",
    "buckets",
)  # settings that decide the splits


def load(recipe: Any, settings: dict[str, Any], *, warn: bool = True) -> Any:
    """Load the splits that settings name; progress on the console, warnings too.

    With `keep` the data of the run in `weights` comes first, and what that run kept before it.
    """
    chosen = {
        key: settings[key]
        for key in ("seed", "split_seed", "limit", "validation", "skip_bad")
        if settings.get(key) is not None
    }
    chosen |= recipe.inputs.asked(settings)
    with reported("Loading data") as update:
        splits = recipe.load(settings.get("data") or recipe.data, **chosen, progress=update)
    if settings.get("keep"):
        splits = _with_kept(recipe, splits, Path(settings.get("weights") or "none"))
    splits = recipe.inputs.shaped(splits, settings)
    for line in splits.card.get("warnings", ()) if warn else ():
        console.warning(line)
    return splits


def undivided(recipe: Any, settings: config.Settings, splits: Any) -> Any:
    """Return the same data with nothing held out for validation; None where that is what it is, or the source held it out."""
    if not settings.refit or not len(splits.validation):
        return None
    limit = settings.limit and settings.limit + len(splits.validation)
    whole = load(recipe, {**settings.to_dict(), "validation": 0.0, "limit": limit}, warn=False)
    return None if len(whole.validation) else whole


def _with_kept(recipe: Any, splits: Any, path: Path) -> Any:
    from cnnkit import data

    if not path.is_dir():
        raise ConfigError(
            f"--keep trains on the data of an earlier run as well: name its folder with --weights. Got --weights {path}."
        )
    earlier = Run.open(path, recipe.app)
    chosen = {key: earlier.document["settings"].get(key) for key in DATA_KEYS}
    if again := earlier.document.get("refit"):  # its validation records were trained on, so they can validate no more
        chosen |= {"validation": 0.0, "limit": chosen["limit"] and again["records"]}
    try:
        known = load(recipe, chosen)
    except DataError as error:
        raise DataError(f"The data of {path}, which --keep needs, cannot be loaded: {error}") from error
    return data.join(known, splits)


@contextlib.contextmanager
def reported(description: str) -> Iterator[Any]:
    """Show progress of work that reports (what, done, total), total being None where it is not known."""
    with console.progress(description, 1) as update:
        yield lambda what, done, total: update(done / total if total else 0, what)


def describe_data(splits: Any) -> dict[str, Any]:
    """Return what `run.json` says of the data."""
    card = splits.card
    return {
        **{key: card.get(key, "") for key in ("name", "title", "licence", "source", "citation")},
        "fingerprint": splits.train.fingerprint(),
        "sizes": {name: len(getattr(splits, name)) for name in ("train", "validation", "test")},
        "labels": list(splits.train.label_names),
        "shape": list(splits.train.image_shape),
        "inventory": card.get("inventory", {}),
    }


def run_of(artifact: Path) -> Run | None:
    """Return the run an artifact belongs to: the folder itself, or that around a .keras or export/*.tflite."""
    for folder in (artifact, artifact.parent, artifact.parent.parent):
        if (folder / "run.json").is_file():
            return Run.open(folder)
    return None


def data_for(recipe: Any, artifact: Path, data: str | None, **changes: Any) -> tuple[Run | None, Any]:
    """Load the data an artifact was trained on, split as it was then; or other data, if it is named."""
    run = run_of(artifact)
    settings = {key: run.document["settings"].get(key) for key in DATA_KEYS} if run else {}
    if data is not None and data != settings.get("data"):
        settings = {"data": data, **{key: settings.get(key) for key in ("text", "label", "separator")}}
    elif not settings:
        raise DataError(f"{artifact} does not belong to a run folder, so its data is not known. Name it with --data.")
    return run, load(recipe, settings | changes)


def those_given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def named_as(splits: Any, labels: Any) -> Any:
    """Give data the labels of a model, by name: other data may have them in another order, or fewer.

    Raises:
        DataError: the data has labels that the model does not know.
    """
    from cnnkit.data.loading import some

    unknown = [name for name in splits.train.label_names if name not in labels]
    if unknown:
        raise DataError(
            f"{splits.card.get('title')} has labels that the model does not know: {some(unknown)}. It knows {some(labels, 12)}."
        )
    if tuple(labels) == splits.train.label_names:
        return splits
    parts = {name: getattr(splits, name).named(tuple(labels)) for name in ("train", "validation", "test")}
    missing = [labels[code] for code in parts["train"].unasked()]
    if missing:
        console.warning(
            f"{splits.card.get('title')} does not name {some(missing)}. The model knows them; what it says of them here is not "
            "scored."
        )
    return dataclasses.replace(splits, **parts)

"""The data of a run: loaded for a training, and found again by every command that needs it afterwards.

Design choices:
- A run remembers where its data was, and the fingerprint of each of its splits. What is found there, or was moved with the run,
  or is named with --data, is the run's own data where the fingerprints agree, whatever it is called and wherever it lies.
- Where they differ nothing is scored as if they did not: the line says which files were added, are gone or have changed.
- Other data than the run's own is scored whole: nothing of it was trained on.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import __version__
from cnnkit.device.model import read_metadata
from cnnkit.errors import CnnkitError, ConfigError, DataError, DataNotFound
from cnnkit.files import write_text
from cnnkit.reporter import SILENT, Reporter, reported
from cnnkit.run import DATA_FILES, DATA_RECORDS, DOCUMENT, MODEL, Run
from cnnkit.settings import Room
from cnnkit.settings import read as read_settings
from cnnkit.training.settings import Settings

EARLIER = 3  # places of moved data that a run remembers beside the present one
OWN = "the source's own"  # as `card["splits"]` of splits says


def load(
    recipe: Any, settings: dict[str, Any], *, tell: Reporter = SILENT, warn: bool = True, whole: bool = False
) -> Any:
    """Load the splits that settings name; `tell` hears of progress, and if `warn` of warnings. `whole`: nothing is held out.

    With `replay` the data of the run in `weights` comes first, and what that run kept before it: all of it is rehearsed,
    as a class that is not seen again is forgotten. (Distillation without data was not tried.)
    """
    chosen = {
        key: settings[key]
        for key in ("seed", "split_seed", "limit", "validation", "skip_bad", "folds", "fold")
        if settings.get(key) is not None
    }
    chosen |= recipe.inputs.asked(settings)
    if whole:
        chosen |= {"whole": True}
    with reported(tell, "Loading data") as update:
        splits = recipe.load(settings.get("data") or recipe.data, **chosen, progress=update)
    if settings.get("replay"):
        if settings.get("folds"):
            raise ConfigError(
                "`folds` cuts one set of data, and `replay` adds that of an earlier run. Leave one of them out."
            )
        splits = _with_replayed(recipe, splits, Path(settings.get("weights") or "none"), tell)
    splits = recipe.inputs.shaped(splits, settings)
    for line in splits.card.get("warnings", ()) if warn else ():
        tell.warning(line)
    return splits


def at_their_side(recipe: Any, model: str, settings: Mapping[str, Any], splits: Any) -> tuple[dict[str, Any], Any]:
    """Return settings with the side at which a model sees these splits, and the splits at that side.

    Where `image_size` is set, or the recipe leaves the size to the data, both are as they came.
    """
    side = recipe.side(model)
    if not side or settings.get("image_size"):
        return dict(settings), splits
    if isinstance(side, tuple):
        (least, most), step = side, recipe.side_step
        side = min(most, max(least, -(-max(splits.train.input_shape[:-1]) // step) * step))
    chosen = {"image_size": side}
    return {**settings, **chosen}, recipe.inputs.shaped(splits, chosen)


def settings_in(config_file: Path, kind: type[Room] | None = None) -> dict[str, Any]:
    """Read settings as `cnnkit.settings.read`; of a run, its data is where it lies, not what its name means in this folder."""
    from cnnkit.data import cards, places

    found = read_settings(config_file, kind)
    folder = config_file if config_file.is_dir() else config_file.parent
    if config_file not in (folder, folder / DOCUMENT):
        return found
    place = Run.open(folder).document.get("data", {}).get("place", {})
    there = [entry for entry in places.candidates(place, folder) if isinstance(entry, str)] if "path" in place else []
    if there:
        now = cards.path_of(found["data"])
        found["data"] = found["data"] if now and now.resolve() == Path(there[0]).resolve() else there[0]
    return found


def undivided(recipe: Any, settings: Settings, splits: Any, source: Any, tell: Reporter) -> Any:
    """Return the same data with nothing held out for validation; None where that is what it is, or the source held it out.

    `source`: where the data is, where that is not what the settings say.
    """
    if not settings.refit or not len(splits.validation):
        return None
    # Of folds the limit is that of all of them together.
    limit = settings.limit and settings.limit + (0 if "folds" in splits.card else len(splits.validation))
    asked = {**settings.to_dict(), "validation": 0.0, "limit": limit, **({"data": source} if source else {})}
    whole = load(recipe, asked, tell=tell, warn=False)
    return None if len(whole.validation) else whole


def _with_replayed(recipe: Any, splits: Any, path: Path, tell: Reporter) -> Any:
    from cnnkit.data.records import join

    if not path.is_dir():
        raise ConfigError(
            f"`replay` trains on the data of an earlier run as well: name its folder with `weights`. Got `weights={path}`."
        )
    earlier = Run.open(path, recipe.app)
    try:
        known = own_data(recipe, earlier, tell=tell)
        chosen = _settings_of(earlier) | {"data": known.source}
        if again := earlier.document.get("refit"):  # it was trained on validation records, which can validate no more
            chosen |= {"validation": 0.0, "limit": chosen.get("limit") and again["records"]}
            return join(load(recipe, chosen, tell=tell, warn=False), splits)
    except DataError as error:
        raise DataError(f"The data of {path}, which `replay` needs, cannot be loaded: {error}") from error
    return join(known.splits, splits)


def describe_data(splits: Any) -> dict[str, Any]:
    """Return what `run.json` says of the data."""
    from cnnkit.data import inventory

    card = splits.card
    about = card.get("inventory", {})
    prints = {name: part.fingerprint() for name, part in splits.parts.items()}
    return {
        **{key: card.get(key, "") for key in ("name", "title", "task", "licence", "source", "citation")},
        "fingerprint": prints["train"],
        "fingerprints": prints,
        "sizes": {name: len(part) for name, part in splits.parts.items()},
        "labels": list(splits.train.label_names),
        "shape": list(splits.train.input_shape),
        "inventory": inventory.nameless(about) if card.get("private") else about,
    }


def remember_place(run: Run, source: Any) -> None:
    """Note in a run where its data is, and which files it is made of; `source` as a card, or what the user wrote."""
    from cnnkit.data import places

    if not isinstance(source, str):
        return  # a card whose folder the run remembered already
    about = run.document.setdefault("data", {})
    before = [entry for entry in (about.get("place"), *about.get("earlier_places", ())) if entry]
    about |= {"place": places.describe(source, run.path), "earlier_places": before[:EARLIER]}
    run.save()
    if (files := places.listing(source, _task_of(run))) is not None:
        nameless = places.private(source, _task_of(run))
        rows = ",\n".join(f"{'' if nameless else f'{json.dumps(n)}: '}{json.dumps(e)}" for n, e in files.items())
        write_text(run.path / DATA_FILES, f"[\n{rows}\n]\n" if nameless else f"{{\n{rows}\n}}\n")


def _task_of(run: Run) -> str:
    """Return what a folder of the run's data is looked into for."""
    return str(run.document.get("data", {}).get("task", ""))


def run_of(artifact: Path) -> Run | None:
    """Return the run an artifact belongs to: the folder itself, or that around a .keras or export/*.tflite."""
    for folder in (artifact, artifact.parent, artifact.parent.parent):
        if (folder / "run.json").is_file():
            return Run.open(folder)
    return None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """Data for an artifact.

    Attributes:
        run: it belongs to, if any.
        splits: the data.
        own: whether it is what the run was trained on, divided as it was then.
        source: where it is, as `load` takes it.
    """

    run: Run | None
    splits: Any
    own: bool
    source: Any


def data_for(
    recipe: Any, artifact: Path, data: str | None, *, tell: Reporter, whole: bool = True, **changes: Any
) -> Loaded:
    """Load the data that an artifact was trained on, wherever it is now; or other data, if it is named.

    Args:
        recipe: of the app.
        artifact: a run folder, or a file in one.
        data: a card, folder or file; None: the data of the run.
        tell: hears of progress and warnings.
        whole: whether nothing of other data is held out.
        changes: settings that differ from those of the training.

    Raises:
        DataError: it is not there, or what is there is not what the run was trained on.
    """
    run = run_of(artifact)
    prepare = changes.pop("prepare", None)  # it changes what is seen of the data, not which data it is

    def otherwise(loaded: Loaded) -> Loaded:
        known = _as_trained(recipe, loaded.run) if loaded.run else {"prepare": None}
        if prepare in (None, known.get("prepare")):
            return loaded
        settings = known | {"data": loaded.source} | changes | {"prepare": prepare}
        return dataclasses.replace(loaded, splits=load(recipe, settings, tell=tell, warn=False))

    if data is None:
        if run is None:
            raise DataError(
                f"{artifact} does not belong to a run folder, so its data is not known. Name it with `data`."
            )
        return otherwise(own_data(recipe, run, tell=tell, **changes))
    if run is not None:
        try:
            splits = load(recipe, _as_trained(recipe, run) | {"data": data} | changes, tell=tell, warn=False)
            same = is_own(run, splits)
        except CnnkitError:  # it cannot be divided as the run's own was, so it is other data
            same = False
        if same:
            _moved(run, data, tell)
            return otherwise(Loaded(run, splits, True, data))
        _say_what_changed(run, data, tell)
    columns = {key: _settings_of(run).get(key) for key in recipe.inputs.columns} if run else {}
    model = run.path / MODEL if run is not None and artifact.is_dir() else artifact
    settings = {"data": data, **columns, "prepare": _prepares(recipe, model) if prepare is None else prepare}
    return Loaded(run, load(recipe, settings | changes, tell=tell, whole=whole), False, data)


def _prepares(recipe: Any, model: Path) -> bool | None:
    """Return whether data for a model is prepared as the app does: as it was trained, and as `predict` does."""
    return recipe.inputs.prepares(read_metadata(model)) if model.is_file() else None


def _as_trained(recipe: Any, run: Run) -> dict[str, Any]:
    settings = _settings_of(run)
    if settings.get("prepare") is None:
        settings["prepare"] = _prepares(recipe, run.path / MODEL)
    return settings


def own_data(
    recipe: Any,
    run: Run,
    *,
    tell: Reporter,
    source: Any = None,
    warn: bool = True,
    here: bool = False,
    **changes: Any,
) -> Loaded:
    """Load the data that a run was trained on, from where it was, or from `source`. `here`: nothing is downloaded.

    Raises:
        DataError: it is not there, or differs; the line says in what.
    """
    from cnnkit.data import cards, fetch, kept

    settings = _as_trained(recipe, run)
    tried: list[Any] = []
    failure: CnnkitError | None = None
    known, guess = ([source], None) if source is not None else _candidates(recipe, run)
    if guess == run.document.get("data", {}).get("place", {}).get("path"):
        guess = None  # it is where the data was
    for entry in [*known, guess] if guess is not None else known:
        if here and fetch.locate(cards.load(entry, _task_of(run))) is None:
            continue
        try:
            splits = load(recipe, settings | {"data": entry} | changes, tell=tell, warn=False)
        except CnnkitError as error:
            if entry != guess:
                failure = failure or error
                tried.append(entry)
            continue
        if is_own(run, splits):
            for line in splits.card.get("warnings", ()) if warn else ():
                tell.warning(line)
            if isinstance(source, str):
                _moved(run, source, tell)
            return Loaded(run, splits, True, entry)
        if entry != guess:
            tried.append(entry)
    if not tried:
        where = run.document.get("data", {}).get("place", {}).get("path", settings.get("data"))
        if isinstance(where, str) and kept.is_kept(where):
            raise DataNotFound(
                f"The data of {run.path} was arrays given in Python, kept in {Path(where).parent}, and is not there now. "
                "Evaluate it from Python, with `data` the same arrays, which keeps them again."
            )
        raise DataNotFound(
            f"The data of {run.path} was in {where}, and is not there now. Put it back, name where it is with `data`, or set "
            "CNNKIT_DATA to the folder that holds it."
        )
    what = _changed(run, tried[0])
    if failure is not None and not what:
        raise failure
    raise DataError(
        f"{_named(tried[0])} is not what {run.path} was trained on: {what or _otherwise(run)}. Restore it, or name the same data "
        "elsewhere with `data`; other data too, to be scored as such."
    )


def _settings_of(run: Run) -> dict[str, Any]:
    """Return the settings of a run as plain values: those of an earlier version may be more than there are now."""
    return dict(run.document["settings"])


def _candidates(recipe: Any, run: Run) -> tuple[list[Any], str | None]:
    """Return where the data of a run may be, and what its name means in the present folder, which may be something else."""
    from cnnkit.data import places

    source = run.document["settings"].get("data") or recipe.data
    about = run.document.get("data", {})
    known = [entry for entry in (about.get("place"), *about.get("earlier_places", ())) if entry]
    if not known:
        return [source], None
    found: list[Any] = []
    for place in known:
        found += [entry for entry in places.candidates(place, run.path) if entry not in found]
    return found, places.guess(known[-1])


def is_own(run: Run, splits: Any) -> bool:
    """Whether splits are those that a run was trained on, by size and by fingerprint."""
    about = run.document.get("data", {})
    sizes = about.get("sizes", {})
    if any(len(part) != sizes.get(name, len(part)) for name, part in splits.parts.items()):
        return False
    prints = about.get("fingerprints") or ({"train": about["fingerprint"]} if "fingerprint" in about else {})
    return all(getattr(splits, name).fingerprint() == value for name, value in prints.items())


def _moved(run: Run, source: str, tell: Reporter) -> None:
    """Note where a run's data is now, if that is elsewhere."""
    from cnnkit.data import places

    before = run.document.get("data", {}).get("place", {})
    now = places.describe(source, run.path)
    if all(before.get(key) == now.get(key) for key in ("path", "root")):
        return
    with contextlib.suppress(CnnkitError, OSError):  # a run that cannot be written to is used all the same
        remember_place(run, source)
    tell.note(f"{source} is the data that {run.path} was trained on, by its fingerprint.")


def _listed(run: Run) -> Any:
    try:
        return json.loads((run.path / DATA_FILES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _changed(run: Run, source: Any) -> str:
    """Say which files differ from those that a run was trained on; empty where none does or it is not known."""
    from cnnkit.data import places

    before, now = _listed(run), places.listing(source, _task_of(run))
    return places.differences(before, now) if before is not None and now is not None else ""


def _otherwise(run: Run) -> str:
    made = run.document.get("versions", {}).get("cnnkit")
    if made not in (None, __version__):
        return f"no file is known to differ, but it is read or divided otherwise (by cnnkit {made} then, {__version__} now)"
    return "no file is known to differ, but what is read of it does"


def _say_what_changed(run: Run, source: str, tell: Reporter) -> None:
    """Warn where other data is the run's own with changes: a score on that has seen what it is asked."""
    from cnnkit.data import places

    before, now = _listed(run), places.listing(source, _task_of(run))
    if not before or not now:
        return
    same = places.in_common(before, now)
    if same:
        tell.warning(
            f"{source} is not what {run.path} was trained on, but shares {same:,} of its {len(before):,} files "
            f"({places.differences(before, now)}). It is taken as other data."
        )


def _named(source: Any) -> str:
    return str(source if isinstance(source, str) else source.root or source.title)


def seen(run: Run | None, records: Any, tell: Reporter) -> int | None:
    """Return how many records a run was trained on or chosen by, and warn of them; None where that is not known."""
    from cnnkit.data import seen

    count = None if run is None else seen.count(run.path / DATA_RECORDS, records)
    if count:
        tell.warning(
            f"{count:,} of these {len(records):,} records are in the training data of {run.path if run else ''} too: of new ones "
            "the score is too hopeful."
        )
    return count


def say_drawn(splits: Any, split: str, tell: Reporter) -> None:
    """Say where a split that is asked for is none that the data has of its own."""
    part, title = len(getattr(splits, split)), splits.card.get("title")
    origin = str(splits.card.get("splits", {}).get(split, ""))
    total = sum(map(len, splits.parts.values()))
    if split == "train":
        if part < total:
            tell.warning(f"{part:,} of the {total:,} records of {title} are its training split.")
    elif origin != OWN:
        tell.warning(
            f"{title} has no {split} split of its own: {part:,} of its {total:,} records were drawn ({origin}). "
        )


def everything(splits: Any) -> Any:
    """Return the records of all splits, one after the other."""
    names = splits.train.label_names
    parts = [part for part in splits.parts.values() if len(part)]
    return functools.reduce(lambda first, second: first.plus(second, names), parts) if parts else splits.train


def those_given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def named_as(splits: Any, labels: Any, tell: Reporter) -> Any:
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
    splits = splits.each(lambda part: part.named(tuple(labels)))
    missing = [labels[code] for code in splits.train.unasked()]
    if missing:
        tell.warning(
            f"{splits.card.get('title')} does not name {some(missing)}. The model knows them; what it says of them here is not "
            "scored."
        )
    return splits

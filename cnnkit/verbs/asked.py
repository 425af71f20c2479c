"""What a training is asked for: settings from a file and those that were given, and whether a run was started with the same."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.errors import ArtifactError, ConfigError
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import Run, to_resume
from cnnkit.run_data import settings_in
from cnnkit.settings import checked
from cnnkit.training.settings import AUTO, weights_of

FOUND = "auto"  # a learning rate that is looked for first


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a training is asked for.

    Attributes:
        settings: by name; where weights come from an earlier run, with what is taken from that.
        words: those that somebody gave, before anything followed; the run keeps them.
        out: folder of the run; None: nobody named one.
    """

    settings: dict[str, Any]
    words: dict[str, Any]
    out: Path | None


def asked_for(
    recipe: Any, given: Mapping[str, Any], options: Mapping[str, Any], config: Path | None, out: Path | None
) -> Asked:
    """Return what is asked for by a file and, over it, by settings and by options of the builder, as `train` takes them."""
    given = dict(given)
    rate = given.pop("learning_rate", None)
    if rate is not None and rate != FOUND:
        given["learning_rate"] = _number(rate)
    settings = settings_in(config, recipe.Settings) if config else {}
    settings |= checked(recipe.Settings, given, "train", of_file=False)
    if options:
        settings["options"] = {**settings.get("options", {}), **options}
    if (path := weights_of(settings)) is not None and path.is_dir():
        settings["weights"] = str(path.resolve())  # `latest` will lead elsewhere
    words = {**settings, **({"learning_rate": FOUND} if rate == FOUND else {})}
    return Asked(settings, words, out)


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        raise ConfigError(f"`learning_rate` needs a number or `{FOUND}`. Got {text!r}.") from None


def like_earlier(recipe: Any, asked: Asked) -> Asked:
    """Where weights come from a run of this app and task, take its model and image size too, unless others are given."""
    given = asked.settings
    path = weights_of(given)
    earlier = Run.open(path) if path is not None and path.is_dir() else None
    if earlier is None or earlier.document["app"] != recipe.app:
        return asked
    if earlier.document.get("task") not in recipe.names:  # only some of its layers may fit
        return asked
    before = earlier.settings(recipe.Settings)
    same = given.get("model", before.model) == before.model
    options = {**(before.options if same else {}), **given.get("options", {})}
    shape = recipe.inputs.taken_over(earlier.document["data"]["shape"])
    return dataclasses.replace(asked, settings={"model": before.model, **shape, **given, "options": options})


def resumable(recipe: Any, out: Path | None, words: Mapping[str, Any], tell: Reporter = SILENT) -> Run | None:
    """Return the run in `out`, by default the one to go on with; None: it has not begun.

    Raises:
        ArtifactError: there is none to go on with.
        ConfigError: it was started with other words.
    """
    path = out or to_resume(recipe.app, tell)
    if not (path / "run.json").exists():
        if out is None:
            raise ArtifactError(
                f"{path} has no run.json to go on from. Start it again with `cnnkit {recipe.app} train`."
            )
        return None
    run = Run.open(path, recipe.app)
    changed = _changed(recipe, run, words)
    if changed:
        name, before, now = changed
        raise ConfigError(
            f"{path} was started with {name}={before!r}, not {now!r}. Resume it without that option, or train into a new `out`."
        )
    return run


def _changed(recipe: Any, run: Run, words: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first setting that is asked for otherwise than when the run was started: its name, then and now.

    The same words mean the same run, whatever followed from the data then; so does what the run came to have.
    """
    folder = Path(run.document.get("asked_in", "."))

    def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
        options = {f"options.{name}": value for name, value in settings.get("options", {}).items()}
        return {**{name: value for name, value in settings.items() if name != "options"}, **options}

    def same(now: Any, before: Any) -> bool:
        if isinstance(now, str) and isinstance(before, str):  # one file may be named from two folders
            return now == before or (Path(now).exists() and Path(now).resolve() == (folder / before).resolve())
        return json.dumps(now) == json.dumps(before) or now == before

    settings = run.settings(recipe.Settings)
    builder = inspect.signature(recipe.builders[settings.model]).parameters.values()
    defaults = {"options": {p.name: p.default for p in builder if p.kind is p.KEYWORD_ONLY}}
    first, became = flat(run.document.get("asked", {})), {**flat(defaults), **flat(settings.to_dict())}
    for name, now in flat(words).items():
        known = [before[name] for before in (first, became) if name in before]
        known += [AUTO] if name == "weights" and name not in first else []  # whoever says nothing says that
        if name != "data" and not any(same(now, before) for before in known):  # the content of data decides
            return name, (known or [None])[0], now
    return None

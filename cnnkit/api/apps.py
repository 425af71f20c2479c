"""The installed apps, by name."""

import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from cnnkit import plugins
from cnnkit.app import Definition
from cnnkit.errors import ConfigError, MissingExtra, missing, reason

P = ParamSpec("P")
T = TypeVar("T")
GROUP = "cnnkit.apps"


def saying_what_is_missing(work: Callable[P, T]) -> Callable[P, T]:
    """Let a function that lacks an optional package say which extra brings it: a `MissingExtra`, as on the command line.

    It refuses what is neither True nor False where one of them is meant, too; as `truths`.
    """

    @functools.wraps(work)
    def done(*args: P.args, **given: P.kwargs) -> T:
        truths(work, given)
        try:
            return work(*args, **given)
        except ModuleNotFoundError as error:
            if isinstance(error, MissingExtra) or (lacking := missing(error)) is None:
                raise
            raise lacking from error

    return done


def plain(value: Any) -> Any:
    """Return a number of NumPy as Python's own, a path as its words, and anything else as it is."""
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def truths(work: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments that are neither True nor False where a function takes one of these: Python takes "no" for True.

    Raises:
        ConfigError: naming the argument.
    """
    for name, parameter in inspect.signature(work).parameters.items() if given else ():  # a signature takes 15 us
        kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
        if bool in kinds and name in given and type(plain(given[name])) not in (bool, *kinds):
            open_too = " or None" if types.NoneType in kinds else ""
            raise ConfigError(f"`{name}` needs True or False{open_too}. Got {given[name]!r}.")


def path_of(value: Any, name: str) -> Path | None:
    """Return the path that an argument names; None where it is not given.

    Raises:
        ConfigError: it is no path.
    """
    if value is None:
        return None
    if not isinstance(value, str | Path) or not str(value):
        raise ConfigError(f"`{name}` needs the path of a file or folder. Got {value!r}.")
    return Path(value)


def apps() -> list[str]:
    """Return the names of the installed apps, sorted; none of them is imported."""
    return list(dict.fromkeys(entry.name for entry in plugins.installed(GROUP)))


def app_of(given: Any) -> Definition:
    """Return an app by its name, as in `cnnkit NAME`, or as it is.

    Raises:
        ConfigError: there is no app of that name; it names the nearest.
        MissingExtra: it is there and cannot be loaded.
    """
    if isinstance(given, Definition):
        return given
    if not isinstance(given, str):
        of_group = getattr(given, "app", None)
        if isinstance(of_group, Definition):  # a command line that was made of one
            return of_group
        raise ConfigError(
            f"An app is a name, one of {', '.join(apps()) or 'none installed'}, or a cnnkit.App. Got {given!r}."
        )
    found = [entry for entry in plugins.installed(GROUP) if entry.name == given]
    if not found:
        raise ConfigError(f"There is no app {given!r}.{meant(given, apps())} Installed: {', '.join(apps()) or 'none'}.")
    try:
        loaded = found[0].load()
    except Exception as error:  # of an app of another package, which may raise anything
        raise MissingExtra(f"The app {given!r} cannot be loaded: {reason(error)}. Install it anew.") from error
    app = getattr(loaded, "app", loaded)
    if not isinstance(app, Definition):
        raise MissingExtra(
            f"The app {given!r} of {plugins.package(found[0])} is no cnnkit.App. Install a version for this one."
        )
    return app


def meant(name: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest name is meant, after a space; "" where none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" Is `{near[0]}` meant?" if near else ""

"""How the settings of a room become options of the command line, lines of a `--config` file and of `run.json`.

A setting is a field of a frozen dataclass in the room that uses it; default, help text, type and range stand there together.
What a run has is joined from the rooms of what it trains, flat: the same name in two rooms is an error. There is no table of all.

Order of precedence, lowest first: the defaults, the recipe's preset for the model and the amount of data, a `--config` file
(TOML, or the `run.json` of an earlier run), options on the command line.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from cnnkit.errors import ConfigError, FileSettingError

T = TypeVar("T")


def setting(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    metavar: str | None = None,
    flag: str | None = None,
    words: tuple[str, ...] = (),
    option: bool = True,
    reading: str = "",
    early: str = "",
) -> Any:
    """Return the field of a room.

    Args:
        default: its value where nobody says otherwise; a dictionary is copied.
        help: as `--help` has it.
        least, most, above, below: bounds of a number; the last two lie outside.
        choices: the texts that it may be; (): any.
        metavar: what stands for the value in the help.
        flag: the option of a bool, where it is not `--name/--no-name`.
        words: that the command line takes in place of a number; what they mean is found out before there are settings.
        option: whether it is an option of the command line.
        reading: whether it says how "data" is read, so that every command that reads data has the option; or how an "input" is
            made ready, so that `predict` and `explain` have it as well.
        early: the name that it had in early runs.
    """
    about = {
        "help": help,
        "bounds": (least, most, above, below),
        "choices": choices,
        "metavar": metavar,
        "flag": flag,
        "words": words,
        "option": option,
        "reading": reading,
        "early": early,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=about)
    return dataclasses.field(default=default, metadata=about)


@typing.dataclass_transform(frozen_default=True)
def room(kind: type[T]) -> type[T]:
    """Make a class a room: fields without the methods of a dataclass, which take long to make. Only joined rooms have values."""
    return dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)(kind)


@room
class Room:
    """Settings of one room; or, where a class has several rooms as its bases, what they have together.

    Attributes:
        title: heading of its options in `--help`.
        of_data: whether they decide what the data is; then no preset may change them, which follows from the data.
    """

    title: ClassVar[str]
    of_data: ClassVar[bool]

    def __init_subclass__(cls, title: str = "", of_data: bool = False) -> None:
        cls.title, cls.of_data = title, of_data
        owners: dict[str, type] = {}
        for room in cls.__mro__:
            for name in inspect.get_annotations(room):
                if name in owners:
                    raise TypeError(f"`{name}` is a setting of two rooms: {owners[name].__name__} and {room.__name__}.")
                owners[name] = room

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_value(field, getattr(self, field.name))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `run.json` holds them."""
        return {field.name: getattr(self, field.name) for field in fields(type(self))}


def _check_value(field: dataclasses.Field[Any], value: Any, where: str | None = "") -> None:
    """Refuse a value outside of the bounds of a setting, or that is none of its choices; `where`: in a file, None: in none."""
    about = field.metadata
    if value is None:
        return
    if about["choices"] and value not in about["choices"]:
        raise _wrong(where, f"`{field.name}` needs one of {', '.join(about['choices'])}. Got {value!r}.")
    if any(bound is not None for bound in about["bounds"]):
        _check_bounds(where, field.name, value, *about["bounds"])


def _wrong(where: str | None, text: str) -> ConfigError:
    return ConfigError(text) if where is None else FileSettingError(where + text)


def _check_bounds(
    where: str | None,
    name: str,
    value: float,
    least: float | None,
    most: float | None,
    above: float | None,
    below: float | None,
) -> None:
    if (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        return
    low, high = least if above is None else above, most if below is None else below
    if high is None:
        need = f"be above {above}" if above is not None else f"be at least {least}"
    else:
        need = f"lie in {'[' if above is None else '('}{low}, {high}{']' if below is None else ')'}"
    raise _wrong(where, f"`{name}` must {need}. Got {value}.")  # the command line knows bounds itself


_joined: dict[tuple[type[Room], ...], type[Room]] = {}


def joined(*parts: type[Room]) -> type[Room]:
    """Return the settings that rooms have together; a class of their own, the same each time.

    Raises:
        TypeError: two rooms have a setting of the same name.
    """
    if parts not in _joined:
        _joined[parts] = dataclasses.dataclass(frozen=True)(types.new_class("Settings", tuple(dict.fromkeys(parts))))
    return _joined[parts]


def rooms(kind: type[Room]) -> list[type[Room]]:
    """Return the rooms that settings are joined from, in order."""
    return [room for room in kind.__mro__ if issubclass(room, Room) and room is not Room and _own(room)]


def _own(room: type) -> list[str]:
    return list(inspect.get_annotations(room))


def fields(kind: type[Room]) -> list[dataclasses.Field[Any]]:
    """Return the settings of a room, or of several, room by room."""
    every = {field.name: field for field in dataclasses.fields(kind)}
    return [every[name] for room in rooms(kind) for name in _own(room)]


def value_types(kind: type[Room]) -> dict[str, tuple[type, ...]]:
    """Return the types that the value of each setting may have."""
    hints = typing.get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        union = isinstance(hint, types.UnionType)
        found[field.name] = typing.get_args(hint) if union else (typing.get_origin(hint) or hint,)
    return found


def checked(kind: type[Room], given: Mapping[str, Any], where: str, *, of_file: bool = True) -> dict[str, Any]:
    """Check names, types and values of settings read from `where`; `of_file`: whether that is a file, and not the command line.

    Raises:
        ConfigError: naming the setting, what it needs and the settings that exist.
    """
    known = value_types(kind)
    every = {field.name: field for field in dataclasses.fields(kind)}
    result = {}
    for name, value in given.items():
        if name not in known:
            raise FileSettingError(f"{where}: there is no setting `{name}`. Settings: {', '.join(sorted(known))}.")
        allowed = known[name]
        if float in allowed and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            need = " or ".join(t.__name__ for t in allowed if t is not type(None))
            raise FileSettingError(f"{where}: `{name}` needs {need}. Got {value!r}.")
        _check_value(every[name], value, f"{where}: " if of_file else None)
        result[name] = value
    return result


def of_run(kind: type[Room], document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings in a `run.json`, checked; those of other rooms that nobody asked for are left out.

    A run of another kind, or one that an earlier version made, has settings that mean nothing here.
    """
    now = {field.metadata.get("early"): field.name for field in dataclasses.fields(kind)}
    asked, given = (
        {now.get(name, name): value for name, value in (document.get(entry) or {}).items()}
        for entry in ("asked", "settings")
    )
    return checked(
        kind, {name: value for name, value in given.items() if name in asked or name in value_types(kind)}, where
    )


def read(path: Path | str, kind: type[Room] | None = None) -> dict[str, Any]:
    """Read the settings given in a TOML file, or in the `run.json` of an earlier run.

    Args:
        path: the file, or the folder of the run.
        kind: the settings that exist; None: whatever is there is returned.

    Raises:
        ConfigError: no such file, not TOML or JSON, an unknown setting, a value of the wrong type.
    """
    import json  # only some commands have need of these, and start sooner
    import tomllib

    path = Path(path)
    if path.is_dir():
        path = path / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Give a TOML file of settings or the run.json of a run.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} cannot be understood: {error}.") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} needs a table of settings. Got {type(document).__name__}.")
    if path.suffix == ".json" and "settings" in document:
        return document["settings"] if kind is None else of_run(kind, document, str(path))
    return document if kind is None else checked(kind, document, str(path))

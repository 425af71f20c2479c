"""Options of the command line made from settings, and help that shows them under headings."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cnnkit.commands import Number

if TYPE_CHECKING:  # settings are imported when an option is made of one
    import dataclasses

    from cnnkit.settings import Room

USUAL = ("data", "out", "task", "model", "epochs", "minutes", "weights", "seed", "resume", "config", "json")


class SettingOption(click.Option):
    """An option that stands under a heading in the help of its command."""

    def __init__(self, *names: Any, heading: str = "", **more: Any):
        super().__init__(*names, **more)
        self.heading = heading


class Later(click.Option):
    """Stands for options that a command of class `WithLater` makes when they are asked for, as that takes a while.

    Args:
        made: returns them, as Click decorators.
    """

    def __init__(self, *names: Any, made: Callable[[], Sequence[Any]], **more: Any):
        super().__init__(*names, **more)
        self.made = made


def later(made: Callable[[], Sequence[Any]]) -> Callable[..., Any]:
    """Return a decorator that adds options to a command of class `WithLater`; `made` returns them."""
    return click.option("--later", cls=Later, made=made)


class WithLater(click.Command):
    """A command that makes some of its options when they are asked for: the help of its group needs none of them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        made = (
            [one] if not isinstance(one, Later) else itertools.chain(*map(parameters, one.made()))
            for one in self.params
        )
        self.params = list(itertools.chain(*made))
        return super().get_params(ctx)


class Sectioned(WithLater):
    """A command with many options: the usual ones first, the others under headings; those without one under `OWN`."""

    OWN = "Model"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        shown = {parameter.name: parameter for parameter in self.get_params(ctx)}
        for name in (*(name for name in USUAL if name in shown), *(name for name in shown if name not in USUAL)):
            parameter = shown[name]
            usual = name in USUAL or parameter is self.get_help_option(ctx)
            if record := parameter.get_help_record(ctx):
                sections.setdefault("Options" if usual else getattr(parameter, "heading", self.OWN), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def parameters(option: Callable[..., Any]) -> list[click.Parameter]:
    """Return what a Click decorator adds to a command."""
    return click.command()(option(lambda **_: None)).params


def of_rooms(
    kinds: "Sequence[type[Room]]",
    only: "Callable[[dataclasses.Field[Any]], bool]" = lambda field: True,
    note: Callable[[str], str] = lambda name: "",
) -> list[Any]:
    """Return a Click option for each setting of some rooms; its value is None where it is not given.

    Where rooms of two tasks have a setting of the same name, it is one option, and the first says what it is.

    Args:
        kinds: the rooms.
        only: which settings.
        note: what stands behind the help of a setting, by its name.
    """
    from cnnkit.settings import fields, rooms

    found: dict[str, Any] = {}
    for kind in dict.fromkeys(kinds):
        for room in rooms(kind):
            for field in fields(room):
                if field.metadata["option"] and only(field) and field.name not in found:
                    found[field.name] = of_setting(room, field.name, note(field.name))
    return list(found.values())


def of_setting(room: "type[Room]", name: str, note: str = "") -> Any:
    """Return the Click option of a setting; `note` stands behind its help."""
    from cnnkit.settings import fields, value_types

    field = next(field for field in fields(room) if field.name == name)
    about = field.metadata
    kind = next(entry for entry in value_types(room)[name] if entry is not type(None))
    least, most, above, below = about["bounds"]
    low, high = least if above is None else above, most if below is None else below
    spelled = f"--{name.replace('_', '-')}"
    more: dict[str, Any] = {}
    if kind is bool:
        spelled = about["flag"] or f"{spelled}/--no-{spelled[2:]}"
        more = {"is_flag": True} if "/" not in spelled else {}
    elif about["choices"]:
        more["type"] = click.Choice(about["choices"])
    elif about["words"] or (low is None and high is None):
        more["type"] = str if about["words"] else kind
    else:
        made = click.IntRange if kind is int else Number
        more["type"] = made(low, high, min_open=above is not None, max_open=below is not None)
    return click.option(
        spelled,
        cls=SettingOption,
        heading=room.title,
        default=None,
        metavar=about["metavar"],
        help=about["help"] + note,
        **more,
    )


def spelled(text: str, options: Sequence[click.Option]) -> str:
    """Return a message with options in place of the settings that it names: `image_size`, `limit=100`, `prepare=False`."""
    known = {option.name: option for option in reversed(options)}
    known |= {max(option.opts, key=len)[2:].replace("-", "_"): option for option in reversed(options)}

    def in_place(found: re.Match[str]) -> str:
        name, _, value = found[1].partition("=")
        if name not in known:
            return found[0]
        option = known[name]
        if value in ("True", "False") and option.is_flag:
            return option.opts[0] if value == "True" else (option.secondary_opts or option.opts)[0]
        return f"{max(option.opts, key=len)} {value}".rstrip()

    return re.sub("`([a-z][a-z_]*(?:=[^`]*)?)`", in_place, text)

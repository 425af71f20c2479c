"""Checks of the arguments of builders."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def check_positive(**arguments: int) -> None:
    """Refuse an option that is not a whole number above 0.

    Raises:
        ValueError: naming the option.
    """
    for name, value in arguments.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` needs a whole number above 0. Received: {name}={value}.")


def takes(**choices: Iterable[str]) -> Callable[[F], F]:
    """Return a decorator of builders that says which texts an option may be, so that others are refused before data are read."""

    def said(builder: F) -> F:
        builder.takes = {name: tuple(texts) for name, texts in choices.items()}  # type: ignore[attr-defined]
        return builder

    return said

"""What an input shows of itself, without printing it: values for a program, and lines and tables for a person."""

import dataclasses
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Table:
    """A table for a person.

    Attributes:
        columns: its titles.
        rows: a cell a column.
        title: above it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str | None = None


@dataclasses.dataclass(frozen=True)
class Marked:
    """A text whose words have an influence, as `cnnkit.console.coloured` prints it: (start, end, influence in [-1, 1]) each."""

    text: str
    marked: Sequence[tuple[int, int, float]]


@dataclasses.dataclass(frozen=True)
class Shown:
    """What is to be shown.

    Attributes:
        document: plain values, as `--json` prints them.
        parts: for a person, in order: lines, tables, texts with marks.
    """

    document: dict[str, Any]
    parts: Sequence[str | Table | Marked]

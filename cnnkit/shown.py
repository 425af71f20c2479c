"""What is shown, without printing it: values for a program, and lines and tables for a person; and answers as they come."""

import dataclasses
from collections.abc import Generator, Iterator, Sequence
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


class Answers(Iterator[dict[str, Any]]):
    """What a model answers, one input after the other, as plain values. Inputs are read and run as their answers are asked for.

    Args:
        answers: yields them.

    Attributes:
        streams: whether a person gets `lines` while answers come, for there may be more of them than memory holds.
    """

    streams = False

    def __init__(self, answers: Generator[dict[str, Any], None, None]):
        self._answers = answers

    def __next__(self) -> dict[str, Any]:
        return next(self._answers)

    def close(self) -> None:
        """Answer no more."""
        self._answers.close()

    def lines(self) -> Iterator[Sequence[str]]:
        """Answer what is left: a line an input, some thousands at a time."""
        raise NotImplementedError

    def shown(self) -> Shown:
        """Answer what is left, and return all that is to be shown of it."""
        raise NotImplementedError

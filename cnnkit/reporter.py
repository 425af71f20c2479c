"""Who is told what work does while it goes on: the console of a command, a window, nobody.

Work returns what it found out; a reporter hears of progress, and of what a person should know at once. `cnnkit.console` is the
reporter of the command line.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Reporter(Protocol):
    """What is told; texts name settings in backticks, as errors do."""

    def message(self, text: str = "") -> None:
        """Tell what is being done, or was."""

    def note(self, text: str) -> None:
        """Tell what was found out without being asked for."""

    def once(self, text: str) -> None:
        """Tell what was found out, unless that was told already."""

    def warning(self, text: str) -> None:
        """Tell of what may be wrong."""

    def progress(
        self, description: str, total: float, unit: str = "", *, to_the_end: bool = True
    ) -> AbstractContextManager[Callable[..., None]]:
        """Return what shows progress while its block runs: `update(completed, text="")`; as `cnnkit.console.progress`."""


class Silent:
    """A reporter that tells nobody."""

    def message(self, text: str = "") -> None: ...

    def note(self, text: str) -> None: ...

    def once(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    @contextlib.contextmanager
    def progress(
        self, description: str, total: float, unit: str = "", *, to_the_end: bool = True
    ) -> Iterator[Callable[..., None]]:
        yield lambda completed, text="": None


SILENT = Silent()


@contextlib.contextmanager
def reported(tell: Reporter, description: str) -> Iterator[Callable[[str, float, float | None], None]]:
    """Show progress of work that reports (what, done, total), total being None where it is not known."""
    with tell.progress(description, 1) as update:
        yield lambda what, done, total: update(done / total if total else 0, what)

"""Who hears what work tells in Python: nobody, though it is kept; the cell of a notebook; standard output where asked for.

Progress in a notebook is one line that is written anew, so that it does not fill the page.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from cnnkit.errors import ConfigError
from cnnkit.reporter import SILENT, Reporter, Silent

EVERY = 0.25  # seconds between two lines of progress in a notebook


class Kept:
    """A reporter that keeps what it is told.

    Args:
        tell: hears of it too; None: nobody.

    Attributes:
        messages, warnings: lines, in order.
    """

    def __init__(self, tell: Reporter | None = None):
        self.messages: list[str] = []
        self.warnings: list[str] = []
        self._tell = SILENT if tell is None else tell

    def message(self, text: str = "") -> None:
        self.messages.append(text)
        self._tell.message(text)

    def note(self, text: str) -> None:
        self.messages.append(text)
        self._tell.note(text)

    def once(self, text: str) -> None:
        if text not in self.messages:
            self.note(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        self._tell.warning(text)

    def progress(
        self, description: str, total: float, unit: str = "", *, to_the_end: bool = True
    ) -> contextlib.AbstractContextManager[Callable[..., None]]:
        return self._tell.progress(description, total, unit, to_the_end=to_the_end)


class Notebook(Silent):
    """A reporter that shows progress in the cell that runs; messages are kept by `Kept` and shown with the result."""

    @contextlib.contextmanager
    def progress(
        self, description: str, total: float, unit: str = "", *, to_the_end: bool = True
    ) -> Iterator[Callable[..., None]]:
        display = sys.modules["IPython"].display.display
        handle = display({"text/plain": description}, raw=True, display_id=True)
        last = 0.0

        def update(completed: float, text: str = "") -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                line = f"{description}: {100 * completed / max(total, 1e-9):.0f} % {text}".rstrip()
                handle.update({"text/plain": line}, raw=True)

        yield update
        handle.update({"text/plain": f"{description}: done"}, raw=True)


def in_notebook() -> bool:
    """Whether this is a notebook: a shell of IPython with a front end that shows pictures."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def teller(verbose: bool | None, reporter: Any = None) -> Kept:
    """Return who hears of work.

    Args:
        verbose: True: standard output and error, as a command prints there; False: nobody; None: the cell of a notebook.
        reporter: a `cnnkit.reporter.Reporter` in their place.

    Raises:
        ConfigError: `reporter` has not what a reporter has.
    """
    if reporter is not None:
        lacks = [name for name in ("message", "note", "once", "warning", "progress") if not hasattr(reporter, name)]
        if lacks:
            raise ConfigError(
                f"`reporter` needs the method {lacks[0]}, as cnnkit.reporter.Reporter has it. Got {reporter!r}."
            )
        return Kept(reporter)
    if verbose:
        from cnnkit import console

        return Kept(console)
    return Kept(Notebook() if verbose is None and in_notebook() else None)

"""Who hears what work tells in Python: nobody, though it is kept; the cell of a notebook; standard output where asked for.

Progress in a notebook is one output that is written anew, so that it does not fill the page.
"""

import contextlib
import html
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from cnnkit.errors import ConfigError
from cnnkit.reporter import SILENT, Reporter, Silent

EVERY = 0.25  # seconds between two looks of progress in a notebook
LONG = 1.0  # seconds from which on work is worth a line when it is done


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
    """A reporter that shows progress and warnings in the cell that runs; messages are kept by `Kept`.

    One output of the cell has all of them, and is written anew: what is done and took its time, a line each, then what goes on.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._done: list[str] = []

    def warning(self, text: str) -> None:
        self._done.append(f"Warning: {text}")
        self._show()

    @contextlib.contextmanager
    def progress(
        self, description: str, total: float, unit: str = "", *, to_the_end: bool = True
    ) -> Iterator[Callable[..., None]]:
        began = last = time.monotonic()
        words = ""

        def update(completed: float, text: str = "") -> None:
            nonlocal last, words
            words = text or words
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                self._show(description, min(1.0, completed / max(total, 1e-9)), text)

        yield update
        if (took := time.monotonic() - began) >= LONG:
            self._done.append(f"{description}: {took:.0f} s" + (f"; {words}" if words else ""))
        if self._handle is not None or took >= LONG:
            self._show()

    def _show(self, description: str = "", share: float = 0.0, text: str = "") -> None:
        now = [f"{description}: {100 * share:.0f} % {text}".rstrip()] if description else []
        lines = [f"<div>{html.escape(line)}</div>" for line in self._done]
        if now:
            bar = f'<progress value="{share:.3f}" max="1" style="width:12em;vertical-align:middle"></progress>'
            lines.append(f"<div>{bar} {html.escape(now[0])}</div>")
        # the zero-width space: an empty output has no height, and what is below would jump
        shown = {"text/plain": "\n".join([*self._done, *now]), "text/html": "".join(lines) or "\u200b"}
        if self._handle is None:
            self._handle = sys.modules["IPython"].display.display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


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

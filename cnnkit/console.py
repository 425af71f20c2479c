"""The only module that prints: messages, tables, progress, and JSON.

Design choices:
- With `--json`, standard output carries one JSON document and nothing else; everything for people goes to standard error.
- On a terminal long work shows a progress bar; elsewhere plain lines, so that a log stays readable.
- Text from data (labels, file names) is never read as markup.
"""

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

_state: dict[str, Any] = {"json": False, "spelled": str}
_said: set[str] = set()


def begin() -> None:
    """Begin a command: no JSON until it asks for it, and nothing is said yet."""
    _state.update(json=False, spelled=str)
    _said.clear()


def use_spelling(spelled: Callable[[str], str]) -> None:
    """Let a function put options of the command line in place of the settings that messages name in backticks."""
    _state["spelled"] = spelled


def spelled(text: str) -> str:
    """Return a message as this command's user spells settings."""
    return _state["spelled"](text)


def use_json(on: bool) -> None:
    """Send everything for people to standard error; `document` then prints on standard output."""
    _state["json"] = on


def is_json() -> bool:
    """Whether this command was asked for JSON."""
    return _state["json"]


def _stream() -> Any:
    return sys.stderr if _state["json"] else sys.stdout


def _rich() -> Any:
    from rich.console import Console

    stream = _stream()
    width = None if stream.isatty() else 110
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width, soft_wrap=not stream.isatty())


def message(text: str = "") -> None:
    """Print a line for people, as their command line spells settings."""
    line(spelled(text))


def line(text: str) -> None:
    """Print a line of results as it is: words from data may look like settings."""
    print(text, file=_stream(), flush=True)


def lines(texts: Iterable[str]) -> None:
    """Print many lines of results on standard output at once."""
    sys.stdout.write("".join(f"{text}\n" for text in texts))
    sys.stdout.flush()


def alarm(text: str) -> None:
    """Print a line of results that must not be missed: red on a terminal."""
    stream = _stream()
    print(f"\x1b[1;31m{text}\x1b[0m" if stream.isatty() else text, file=stream, flush=True)


def note(text: str) -> None:
    """Print a line on standard error that says what a command found out by itself."""
    print(spelled(text), file=sys.stderr, flush=True)


def once(text: str) -> None:
    """Print a note, unless this command did already."""
    if text not in _said:
        _said.add(text)
        note(text)


def warning(text: str) -> None:
    """Print a warning line on standard error."""
    _styled("Warning: " + spelled(text), "33")


def warn_once(text: str) -> None:
    """Print a warning, unless this command did already."""
    if text not in _said:
        _said.add(text)
        warning(text)


def error(text: str) -> None:
    """Print an error as one line on standard error."""
    _styled("Error: " + " ".join(str(text).split()), "31")


def _styled(text: str, colour: str) -> None:
    coloured = sys.stderr.isatty()
    print(f"\x1b[{colour}m{text}\x1b[0m" if coloured else text, file=sys.stderr, flush=True)


def document(content: Any) -> None:
    """Print one JSON document on standard output, where `--json` asked for it."""
    if _state["json"]:
        print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain), flush=True)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return value.tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table: the first column to the left, the others to the right where they are numbers."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=_box())
    for number, column in enumerate(columns):
        numeric = number > 0 and all(isinstance(row[number], int | float) or _is_number(row[number]) for row in rows)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell if isinstance(cell, str) else f"{cell:,}") for cell in row))
    _rich().print(drawn)


def coloured(text: str, marked: Sequence[tuple[int, int, float]], *, most: int = 1200) -> None:
    """Print a text with its words coloured by their influence, or with a list of the strongest where there is no colour.

    Args:
        text: from data, so it may hold anything; what would steer a terminal is replaced.
        marked: places of words (start, end, influence), in order; influence in [-1, 1] is a change of a probability: above 0,
            green, for the answer, below 0, red and underlined, against it. The strongest has the full colour.
        most: characters printed, about; a longer text is shortened around the strongest words.
    """
    from rich.text import Text

    from cnnkit.excerpts import excerpt

    pieces = excerpt(text, marked, most)
    strongest = max((abs(value) for *_, value in marked), default=0.0)
    console = _rich()
    if console.color_system is None or console.no_color:
        line("".join(piece for piece, _ in pieces) or "(an empty text)")
        line("  " + _influences(text, marked))
        return
    drawn = Text()
    for piece, value in pieces:
        drawn.append(piece, _highlight(value / strongest) if value and strongest else "")
    console.print(drawn)


WEAK = 0.1  # of the strongest influence: what is below has no colour
LEAST = 0.0005  # a smaller influence reads 0.0 points


def _highlight(share: float) -> str:
    """Return the style of an influence in [-1, 1]: as if marked with a pen, dark letters on a light ground."""
    if abs(share) < WEAK:
        return ""
    pale, full = ((216, 240, 221), (87, 190, 112)) if share > 0 else ((252, 224, 220), (238, 118, 104))
    red, green, blue = (round(a + (b - a) * abs(share)) for a, b in zip(pale, full))
    return f"{'' if share > 0 else 'underline '}#101010 on #{red:02x}{green:02x}{blue:02x}"


def _influences(text: str, marked: Sequence[tuple[int, int, float]], most: int = 6) -> str:
    """Return the strongest words, for and against, with points."""
    from cnnkit.excerpts import printable

    parts = []
    for name, sign in (("for", 1), ("against", -1)):
        own = sorted((-abs(v), start, end) for start, end, v in marked if sign * v >= LEAST)[:most]
        if own:
            words = (f"{printable(text[start:end][:40])} {-sign * v * 100:+.1f}" for v, start, end in own)
            parts.append(f"{name}: {', '.join(words)}")
    return f"points {'; '.join(parts)}" if parts else "no word alone changes the answer"


def _box() -> Any:
    from rich import box

    return box.ROUNDED if (_stream().encoding or "").lower().startswith("utf") else box.ASCII


def _is_number(cell: Any) -> bool:
    return isinstance(cell, str) and re.fullmatch(r"([+-]?[\d.,]+( ?%|%| to [\d.,]+)?)?", cell) is not None


@contextlib.contextmanager
def progress(
    description: str, total: float, unit: str = "", *, to_the_end: bool = True
) -> Iterator[Callable[..., None]]:
    """Show progress of long work.

    Args:
        description: what is being done.
        total: where it ends.
        unit: of total; "bytes" is shown as MB.
        to_the_end: whether all is done when the block ends; else what was told last stays.

    Yields:
        `update(completed, text="")`: where the work is now, and a few words beside the bar. On a terminal it moves the bar;
        elsewhere it prints a plain line now and then, at most every 10 s.
    """
    if _stream().isatty():
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=_rich(),
        )
        with bar:
            task = bar.add_task(description, total=None, text="")  # it pulses until something is known
            yield lambda completed, text="": bar.update(task, total=total, completed=completed, text=text)
            if to_the_end:
                bar.update(task, total=total, completed=total)
        return
    last = time.monotonic()

    def now_and_then(completed: float, text: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            line(f"{description}: {100 * completed / max(total, 1e-9):.0f} % {text}".rstrip())

    yield now_and_then

"""Templates of programs, filled in so that no value can be code.

Design choices:
- A template is a plain file beside this module. Every value in it becomes a literal of the program's language, whatever it holds:
  a label with quotes, a line's end, `$`, an emoji. So a template cannot forget to.
- What is not printed, characters that turn the direction of writing among it, is written as a number.
- Comments hold only what `comment` makes of a text: one line of what is printed.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
WIDTH = 100  # of a list in one line


class Plain(str):
    """A text that stands in a program as it is."""


@dataclasses.dataclass(frozen=True)
class Language:
    """How values are written.

    Attributes:
        name: for people.
        suffix: of a program's file.
        unit: returns a character, by its number, that no text holds as it is.
        truths: what stands for False, True and None.
        around: what stands before and behind a list.
        escaped: characters, besides the quote and the backslash, that get a backslash.
        ends: what stands behind a text.
    """

    name: str
    suffix: str
    unit: Callable[[int], str]
    truths: tuple[str, str, str]
    around: tuple[str, str] = ("[", "]")
    escaped: str = ""
    ends: str = ""

    @property
    def folder(self) -> str:
        """Where its templates are."""
        return self.name.lower().replace("+", "p")

    def literal(self, value: Any) -> str:
        """Return a value as it stands in a program.

        Args:
            value: a text, a number, a truth, None, or a list of these.

        Raises:
            TypeError: it is something else.
        """
        if isinstance(value, Plain):
            return str(value)
        if value is None or isinstance(value, bool):
            return self.truths[2 if value is None else int(value)]
        if isinstance(value, str):
            return f'"{"".join(map(self._character, value))}"{self.ends}'
        if isinstance(value, int | float):
            return repr(value)
        if isinstance(value, list | tuple):
            return self._list([self.literal(entry) for entry in value])
        raise TypeError(f"`value` needs to be plain. Received: {type(value).__name__}.")

    def _character(self, character: str) -> str:
        if character in '"\\' + self.escaped:
            return "\\" + character
        return character if character.isprintable() else self.unit(ord(character))

    def _list(self, entries: list[str]) -> str:
        first, last = self.around
        line = ", ".join(entries)
        if len(line) <= WIDTH and "\n" not in line:
            return first + line + last
        return first + "".join(f"\n    {entry}," for entry in entries) + "\n" + last


def _python(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _units(code: int) -> str:
    """As one or two units of UTF-16."""
    found = chr(code).encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{found[place]:02x}{found[place + 1]:02x}" for place in range(0, len(found), 2))


def _scalar(code: int) -> str:
    return f"\\u{{{0xFFFD if 0xD800 <= code < 0xE000 else code:x}}}"


def _octal(code: int) -> str:
    """As bytes of UTF-8; three octal digits end where they end, whatever follows."""
    return "".join(f"\\{byte:03o}" for byte in chr(code).encode("utf-8", "replace"))


PYTHON = Language("Python", ".py", _python, ("False", "True", "None"))
JAVASCRIPT = Language("JavaScript", ".mjs", _units, ("false", "true", "null"))
KOTLIN = Language("Kotlin", ".kt", _units, ("false", "true", "null"), ("listOf(", ")"), escaped="$")
SWIFT = Language("Swift", ".swift", _scalar, ("false", "true", "nil"))
CPP = Language("C++", ".cpp", _octal, ("false", "true", "nullptr"), ("{", "}"), escaped="?", ends="sv")


def comment(text: Any) -> Plain:
    """Return a text as it may stand behind the mark of a comment: one line, which no backslash continues."""
    shown = "".join(character if character.isprintable() else " " for character in str(text))
    return Plain(" ".join(shown.replace("\\", "/").split()))


def flat(values: Any) -> list[Any]:
    """Return the numbers of nested lists as one list."""
    return [one for value in values for one in flat(value)] if isinstance(values, list | tuple) else [values]


_RANGE = re.compile(r"\\x\{(\w+)\}(?:-\\x\{(\w+)\})?|(.)-(.)", re.DOTALL)


def ranges(characters: str) -> list[int]:
    r"""Return the first and the last character of each range in a class: of `\x{41}-\x{5A}`, or as they are."""
    found: list[int] = []
    for first, last, one, other in _RANGE.findall(characters):
        found += [int(first, 16), int(last or first, 16)] if first else [ord(one), ord(other)]
    return found


def filled(language: Language, name: str, values: Mapping[str, Any]) -> str:
    """Return a program.

    Args:
        language: of it.
        name: of the template, below this folder.
        values: by name; those that are not literals stay within the template.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        finalize=language.literal,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    bare = dataclasses.replace(language, ends="")
    environment.filters |= {
        "comment": comment,
        "plain": Plain,
        "bare": lambda text: Plain(bare.literal(text)),  # a text without what its language puts behind one
        "flat": flat,
        "ranges": ranges,
    }
    return environment.get_template(name).render(values)

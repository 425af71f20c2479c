"""What installed packages add: each registers it under an entry point, and it is imported when it is asked for.

Design choices:
- No module is named in a card, a run or any other file: what is installed decides what is imported.
- A plug-in that fails to load is one warning and left out, so that every other command works.
- `importlib.metadata` takes 20 ms to import, so commands that ask for no plug-in do without.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit import console
from cnnkit.errors import reason

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def installed(group: str) -> "list[EntryPoint]":
    """Return what is registered under a group, by name; a name that two packages register is there twice."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda entry: (entry.name, package(entry)))


def load(entry: "EntryPoint") -> Any:
    """Import what an entry point names; None, after one warning, where that fails."""
    try:
        return entry.load()
    except Exception as error:  # of another package, which may raise anything
        kind = entry.group.rpartition(".")[2].removesuffix("s")
        console.warn_once(f"The {kind} {entry.name!r} of {package(entry)} cannot be loaded: {reason(error)}.")
        return None


def folders(entry: "EntryPoint") -> list[Path]:
    """Return where the package of a plug-in lies, without importing it."""
    from importlib.util import find_spec

    try:
        spec = find_spec(entry.module.partition(".")[0])
    except (ImportError, ValueError):
        return []
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


def package(entry: "EntryPoint") -> str:
    """Return the name of the package that registers an entry point."""
    return entry.dist.name if entry.dist else entry.value.partition(":")[0].partition(".")[0]

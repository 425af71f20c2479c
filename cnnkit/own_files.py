"""Which files cnnkit wrote, so that it replaces its own and never those of a user.

Design choices:
- A file is ours where we wrote this content to this path: a line in the cache says so, with size and SHA-256. A mark inside the
  file would be there still after a person corrected it, and that work would be lost.
- So a command repeated is painless, and what a person made or changed is refused before any work, unless --force is given. Where
  the line is lost, as on another machine, a file counts as a person's.
- What a run folder holds under the names that cnnkit gives there is ours without a line: runs are moved and copied.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from cnnkit import files
from cnnkit.errors import CnnkitError
from cnnkit.run import DOCUMENT, EXPORT, REPORT

IN_RUNS = (EXPORT, REPORT, "explain", "pages")  # of a run folder
_state = {"force": False}


def use_force(on: bool) -> None:
    """Let this command replace any file: `--force`."""
    _state["force"] = on


def check(paths: Iterable[Path], setting: str = "out") -> None:
    """Refuse to replace files that are not ours as they are.

    Args:
        paths: what a command is going to write.
        setting: that names them, for the error.

    Raises:
        CnnkitError: one is there already, and was not written by cnnkit or was changed since.
    """
    if _state["force"]:
        return
    there = [path for path in paths if path.is_file()]
    mine = ours(there)
    foreign = [path for path in there if path not in mine]
    if foreign:
        more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise CnnkitError(
            f"{foreign[0]}{more} would be overwritten, and cnnkit did not write it as it is. Choose another `{setting}`, or add "
            "`force` to replace it."
        )


def note(paths: Iterable[Path]) -> None:
    """Remember that these files are ours as they are now; those that are not there are left out."""
    for path in paths:
        if path.is_file() and not _in_a_run(path):
            with contextlib.suppress(OSError, CnnkitError):  # then it counts as a person's next time
                known = _register(path)
                known.parent.mkdir(parents=True, exist_ok=True)
                with known.open("a", encoding="utf-8") as file:
                    file.write(_line(path) + "\n")


def ours(paths: Iterable[Path]) -> list[Path]:
    """Return those of these files that are there, and that cnnkit wrote as they are."""
    return [path for path in paths if path.is_file() and (_in_a_run(path) or _is_ours(path))]


@contextlib.contextmanager
def replacing(*paths: Path, setting: str = "out") -> Iterator[None]:
    """Check paths, let the block write them, and remember them."""
    check(paths, setting)
    yield
    note(paths)


def _is_ours(path: Path) -> bool:
    try:
        lines = _register(path).read_text(encoding="utf-8").splitlines()
        mark = _mark(path)
        last = next((line for line in reversed(lines) if line.startswith(mark)), "")
        return bool(last) and last == _line(path)
    except (OSError, ValueError):
        return False


def _line(path: Path) -> str:
    return f"{_mark(path)} {path.stat().st_size} {files.sha256(path)}"


def _mark(path: Path) -> str:
    """Return what stands for a file's name in a list: a name may hold any bytes, also the end of a line."""
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:24]


def _register(path: Path) -> Path:
    """Return the list of what we wrote into a folder."""
    folder = os.path.realpath(path.parent)
    return files.cache_folder() / "written" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}.txt"


def _in_a_run(path: Path) -> bool:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link
    return any(path.relative_to(parent).parts[0] in IN_RUNS for parent in path.parents if (parent / DOCUMENT).is_file())

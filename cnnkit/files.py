"""Files written whole or not at all, their checksums, and their names as a line of text.

A killed process leaves either the old file or the new one: the new content goes to a temporary file in the same folder,
is flushed to the disk and then renamed over the old name. Failures of the system (full disk, no permission) become one
clear line.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from cnnkit.errors import ArtifactError, CnnkitError

T = TypeVar("T")

MOST_JSON = 64 << 20  # bytes
LONGEST = 255  # bytes of a file's name, on nearly all systems
_END = 32 * 1024  # bytes of either end of a large file that enter a fingerprint


@contextlib.contextmanager
def system_errors(path: Path | str) -> Iterator[None]:
    """Turn the operating system's complaint about writing `path` into one clear line."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: f"No space left on the device while writing {path}. Free some and run the command again.",
            errno.EDQUOT: f"The disk quota is used up; {path} was not written. Free some space and run it again.",
            errno.EFBIG: f"{path} would be larger than this system allows. Write it to another place.",
            errno.EACCES: f"No permission to write {path}. Choose another folder with `out` or change its permissions.",
            errno.EPERM: f"No permission to write {path}. Choose another folder with `out` or change its permissions.",
            errno.EROFS: f"{path} is on a read-only file system. Choose another folder with `out`.",
            errno.ENOTDIR: f"{path} cannot be written: a part of its path is a file, not a folder. Choose another path.",
            errno.EEXIST: f"{path} cannot be written: a part of its path is a file, not a folder. Choose another path.",
            errno.ENAMETOOLONG: f"The name {str(path)[:80]}... is too long for this file system. Choose a shorter one.",
            errno.EISDIR: f"{path} is a folder; a file was to be written there. Choose another path.",
        }
        if error.errno not in reasons:
            raise
        raise CnnkitError(reasons[error.errno]) from error


@contextlib.contextmanager
def atomic(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file that replaces `path` when the block ends without an error, and vanishes otherwise."""
    path = Path(path)
    with system_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{shortened(path.name, 200)}.", suffix=".part")
        temporary = Path(name)
        try:
            encoding = None if "b" in mode else "utf-8"
            with open(descriptor, mode, encoding=encoding, newline=None if "b" in mode else "") as file:  # noqa: PTH123
                yield file
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; a run folder is shared like any other
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def shortened(name: str, most: int = LONGEST) -> str:
    """Return a name, or as much of its beginning as has at most so many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def make_folders(*folders: Path | None) -> list[Path]:
    """Make folders, and return those that were not there, for `none_empty`."""
    new: list[Path] = []
    for folder in folders:
        if folder is not None:
            with system_errors(folder):
                new += [path for path in (folder, *folder.parents) if not path.exists()]
                folder.mkdir(parents=True, exist_ok=True)
    return new


def none_empty(work: Generator[T, None, None], folders: Iterable[Path]) -> Generator[T, None, None]:
    """Do work that fills folders, and at its end, however it comes, remove those that hold nothing."""
    try:
        yield from work
    finally:
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def locked(path: Path | str, waiting: Callable[[], None] | None = None, taken: str = "") -> Iterator[None]:
    """Hold `path` for this process alone while the block runs; a killed process holds nothing.

    Args:
        path: a folder that is there, or an empty file that stands for what is held; it is made, and stays.
        waiting: called where another process has to be waited for; None: nobody waits.
        taken: the error where another process holds it and nobody waits.

    Raises:
        CnnkitError: another process holds it, or the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows: without a lock, as before
        yield
        return
    path = Path(path)
    with system_errors(path):
        if not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path, os.O_RDONLY if path.is_dir() else os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise CnnkitError(taken) from None
            waiting()
            fcntl.flock(held, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(held)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic(path) as file:
        file.write(content)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, document: Any) -> None:
    """Write `document` to `path` atomically, as indented JSON. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path | str, what_to_do: str) -> dict[str, Any]:
    """Read a document that `write_json` wrote.

    Raises:
        FileNotFoundError: there is none.
        ArtifactError: it cannot be read, or is no JSON object; the line ends with `what_to_do`.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_JSON + 1)
        if len(content) > MOST_JSON:
            raise ValueError(f"it is larger than {MOST_JSON >> 20} MB")
        document = json.loads(content.decode("utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise ArtifactError(f"{path} is damaged ({reason}). {what_to_do}") from error
    return document


def cache_folder() -> Path:
    """Return where downloads, unpacked files and what is worth remembering go: $CNNKIT_CACHE, else ~/.cache/cnnkit."""
    return Path(os.path.expanduser(os.environ.get("CNNKIT_CACHE") or "~/.cache/cnnkit"))  # noqa: PTH111 - never raises


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ends_of(file: IO[bytes]) -> tuple[int, bytes]:
    """Return the size of a file that was just opened and its bytes; of one above 64 KiB the first and the last 32 KiB."""
    size = os.fstat(file.fileno()).st_size
    if size <= 2 * _END:
        return size, file.read()
    first = file.read(_END)
    file.seek(-_END, os.SEEK_END)
    return size, first + file.read(_END)


def one_line(text: str) -> str:
    """Return a text as an entry of a list that has one a line: ends of lines, U+0000, and what is no text as escapes."""
    return re.sub("[\0\n\r\ud800-\udfff]", lambda found: ascii(found[0])[1:-1], text)


def printable(name: str) -> str:
    """Return a file's name as one line of valid text, whatever bytes it is made of."""
    text = name.encode("utf-8", "backslashreplace").decode()  # what Python made of bytes that are not UTF-8
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

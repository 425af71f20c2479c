"""Unpacking .zip and .tar archives of others: within limits, nothing outside the folder, no links."""

import contextlib
import fnmatch
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cnnkit.data.cards import inside, writing_the_cache
from cnnkit.data.records import Progress
from cnnkit.errors import DataError

MOST_FILES = 1_000_000  # of an archive
MOST_BYTES = 500 * 10**9
_CHUNK = 1 << 18


def unpack(archive: Path, folder: Path, patterns: tuple[str, ...], progress: Progress | None = None) -> None:
    """Unpack the members that match `patterns` below `folder`, a folder that counts for nothing until all of them are there.

    Args:
        archive: .zip or .tar, packed or not.
        folder: it is made where it is not there.
        patterns: as `fnmatch` has them.
        progress: called as progress(what, members done, None).

    Raises:
        DataError: no such archive, a damaged one, a member that lies outside, too many or too large ones, none that matches.
    """
    count = size = 0
    with writing_the_cache():
        folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, length, open_member in _members(archive):
            if not inside(name):
                raise DataError(f"{archive} is not safe to unpack: its member {name!r} lies outside.")
            if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                continue
            count, size = count + 1, size + length
            if count > MOST_FILES or size > MOST_BYTES:
                raise DataError(
                    f"{archive} is not unpacked: it holds more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes."
                )
            _check_room(archive, folder, length)
            with writing_the_cache(), open_member() as source:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with (folder / name).open("wb") as target:
                    shutil.copyfileobj(_Limited(source, length, archive), target)
            if progress:
                progress(f"Unpacking {name}", count, None)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive} is damaged ({error}). Delete it and fetch it again.") from None
    if not count:
        raise DataError(f"{archive} holds nothing called {' or '.join(patterns)}.")


def _members(archive: Path) -> Iterator[tuple[str, int, Any]]:
    """Yield (name, size, open) of the plain files in a .zip or .tar; links and devices are left out."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as box:
            for entry in box.infolist():
                is_link = entry.external_attr >> 16 & 0o170000 == 0o120000
                if not entry.is_dir() and not is_link:
                    yield entry.filename, entry.file_size, lambda box=box, entry=entry: box.open(entry)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tape:
            for member in tape:
                if member.isfile():
                    yield member.name, member.size, lambda tape=tape, member=member: _stream_of(tape, member)
    else:
        raise DataError(f"{archive} is neither a zip nor a tar archive.")


def _stream_of(tape: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    return tape.extractfile(member) or contextlib.nullcontext()


class _Limited:
    """A stream that fails when a member is longer than its archive says."""

    def __init__(self, source: IO[bytes], length: int, archive: Path):
        self.source, self.left, self.archive = source, length, archive

    def read(self, count: int = _CHUNK) -> bytes:
        data = self.source.read(count)
        self.left -= len(data)
        if self.left < 0:
            raise DataError(f"{self.archive} is damaged: a member is longer than it says.")
        return data


def _check_room(archive: Path, folder: Path, length: int) -> None:
    free = shutil.disk_usage(folder).free
    if length > free:
        raise DataError(f"Unpacking {archive} needs {length / 1e9:.1f} GB in {folder}; {free / 1e9:.1f} GB are free.")

"""Where data is found, and how it is downloaded: whole and checked, or not at all.

Design choices:
- $CNNKIT_DATA/NAME is used as it is and never written to; then the cache; then the source is asked.
- The cache's folder of a card is called by its name and a hash of the files that it states: another card of the same name has
  another folder. What is in it counts as there only with a stamp beside it, `NAME-HASH.complete.json`: it is written last, and
  says which files were verified and which members were unpacked, with their sizes. Where the stamp is missing or does not
  agree, what is there is verified and unpacked again.
- A download goes to NAME.part, is checked and only then renamed. A broken connection leaves the .part
  file and the next try goes on from there, where a checksum is stated; without one it starts again, because two halves
  of different files could not be told from a whole.
- A wrong checksum deletes the file and says so; nothing unchecked is ever read.
- Archives are unpacked beside, with limits on count and size, and moved into place once all of them are whole. A member that
  points outside is refused, and with it the archive, every time; links and devices are left out.
- Offline, the error says which file to get from where and where to put it.
"""

import contextlib
import functools
import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cnnkit import __version__, console, files
from cnnkit.data import archives, readers
from cnnkit.data.cards import Card, File, Form, data_folder, there, writing_the_cache
from cnnkit.data.records import Progress
from cnnkit.errors import CnnkitError, DataError

TIMEOUT = 30  # seconds without an answer
ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt, doubled before the third
_CHUNK = 1 << 18


def locate(card: Card) -> tuple[Path | None, Form] | None:
    """Find a data set on this machine.

    Returns:
        its folder (None for data that comes with a library) and the form it has there; None where it is not there.
    """
    for folder in _folders(card):
        for form in card.forms:
            if needed(form) == [] and folder != card.root:
                return None, form
            if _complete(folder, form) and (not form.files or not _in_cache(folder) or _stamped(folder, form)):
                return folder, form
    return None


def fetch(card: Card, *, progress: Progress | None = None) -> list[Path]:
    """Bring a data set to this machine: return its files, none for data that comes with a library. As `provide`."""
    folder, form = provide(card, progress=progress)
    return [] if folder is None else list(dict.fromkeys(folder / path for path in needed(form)))


def provide(card: Card, *, progress: Progress | None = None) -> tuple[Path | None, Form]:
    """Find a data set, or download it into the cache.

    Args:
        card: the data set.
        progress: called with the bytes done and in total.

    Returns:
        as `locate`.

    Raises:
        DataError: it is a user's own and not there, no source answers, or a checksum differs.
    """
    found = locate(card)
    if found:
        return found
    if card.root is not None:
        missing = next((path for path in needed(card.forms[0]) if not there(card.root / path)), "its data")
        raise DataError(f"The card {card.name} names {card.root / missing}, which is not there.")
    folder = _cached(card)
    problems = []
    with writing_the_cache():
        folder.mkdir(parents=True, exist_ok=True)
    with files.locked(
        _beside(folder, "lock"), lambda: console.note(f"Another command fetches {card.name}; waiting for it.")
    ):
        if found := locate(card):  # by now
            return found
        for form in card.forms:
            if not form.files or not all(file.urls or (folder / file.name).is_file() for file in form.files):
                continue
            try:
                _provide_form(card, form, folder, progress)
            except _Unreachable as error:
                problems.append(error)
                continue
            return folder, form
    if not problems:
        raise DataError(
            f"{card.title} is not published for download. Put its files into {folder}, or set CNNKIT_DATA to a folder in which "
            f"they are below {card.name}. See {card.source}."
        )
    raise DataError(f"{problems[0]} {_elsewhere(card)}")


def _elsewhere(card: Card) -> str:
    shared = data_folder()
    if shared:
        return f"CNNKIT_DATA is {shared}; there is no {card.name} in it."
    return f"If it is on this machine, set CNNKIT_DATA to the folder in which it is as {card.name}."


def _provide_form(card: Card, form: Form, folder: Path, progress: Progress | None) -> None:
    """Download and verify the files of a form, unpack what is packed, and set the stamp."""
    unpacking = _beside(folder, "unpacking")
    with writing_the_cache():
        _beside(folder, "complete.json").unlink(missing_ok=True)
        shutil.rmtree(unpacking, ignore_errors=True)
    try:
        for file in form.files:
            _adopt(file, files.cache_folder() / card.name, folder)
            _provide(file, folder, f"The data set {card.name}", progress, unpacking)
        members = {path.relative_to(unpacking).as_posix(): path.stat().st_size for path in _files_below(unpacking)}
        with writing_the_cache():
            for name in members:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (unpacking / name).replace(folder / name)
        missing = next((path for path in needed(form) if not there(folder / path)), None)
        if missing is not None:
            raise DataError(f"The download of {card.name} is complete but holds no {missing}. Tell the card's author.")
        with writing_the_cache():
            if hasattr(os, "sync"):
                os.sync()  # what the stamp vouches for is on the disk before it
            stated = {file.name: _state(folder / file.name, file) for file in form.files}
            files.write_json(_beside(folder, "complete.json"), {"files": stated, "members": members})
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _state(path: Path, file: File) -> list[Any]:
    """Return what a stamp says of a file: the checksum that was found right, or its own, its size and time."""
    status = path.stat()
    return [file.sha256 or file.md5 or files.sha256(path), status.st_size, status.st_mtime_ns]


def _stamped(folder: Path, form: Form) -> bool:
    """Say whether the stamp agrees with what is there: every stated file as it was verified, every member of its size."""
    try:
        stamp = json.loads(_beside(folder, "complete.json").read_text(encoding="utf-8"))
        stated, members = stamp["files"], stamp["members"]
        if set(stated) != {file.name for file in form.files}:
            return False
        for file in form.files:
            path, (_, size, time_ns) = folder / file.name, stated[file.name]
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) != (size, time_ns):
                if status.st_size != size or not (file.sha256 or file.md5):
                    return False
                _verify(path, file)
        return all((folder / name).stat().st_size == size for name, size in members.items())
    except (OSError, ValueError, KeyError, TypeError, DataError):
        return False


def stamped_files(folder: Path) -> int | None:
    """Return how many files the stamp of a folder in the cache vouches for; None where it has none."""
    try:
        stamp = json.loads(_beside(folder, "complete.json").read_text(encoding="utf-8"))
        return len(stamp["members"]) or len(stamp["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _adopt(file: File, earlier: Path, folder: Path) -> None:
    """Take over a file from where earlier versions put it, if its checksum says that it is the one."""
    before, path = earlier / file.name, folder / file.name
    if path.exists() or not before.is_file() or not (file.sha256 or file.md5):
        return
    with contextlib.suppress(DataError, OSError):
        _verify(before, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        before.replace(path)


def _cached(card: Card) -> Path:
    """Return the folder of a card in the cache: of its name and of what identifies its files."""
    stated = [
        [file.name, file.sha256 or file.md5 or list(file.urls), list(file.extract)]
        for form in card.forms
        for file in form.files
    ]
    mark = hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:8]
    return files.cache_folder() / (f"{card.name}-{mark}" if stated else card.name)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _in_cache(folder: Path) -> bool:
    return folder.resolve().parent == files.cache_folder().resolve()


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []


def fetch_file(file: File, folder: Path, what: str, *, progress: Progress | None = None) -> Path:
    """Bring one file into a folder, checked, unless it is there: return its path.

    Args:
        file: its name, addresses and checksum.
        folder: where it belongs.
        what: it is, as an error begins: "The weights of ...".
        progress: as in `provide`.

    Raises:
        DataError: no source answers, or a checksum differs.
    """
    try:
        _provide(file, folder, what, progress, folder)
    except _Unreachable as error:
        raise DataError(str(error)) from None
    return folder / file.name


def agrees(path: Path, file: File) -> bool:
    """Say whether a file is there and is the one that is stated, as far as checksums are; a process reads it once for that.

    Args:
        path: where it may be.
        file: its checksums.
    """
    try:
        if path.is_file():
            _verify_once(path, file)
            return True
    except (DataError, OSError):
        pass
    return False


def _folders(card: Card) -> list[Path]:
    if card.root is not None:
        return [card.root]
    shared = data_folder()
    below = [shared / card.name, shared / card.task] if shared else []  # small ones of a task may lie together
    return [*below, _cached(card)]


def needed(form: Form) -> list[str]:
    """List the paths that the splits of a form name."""
    keys = readers.find(form.reader).needs
    splits = list(form.tables.values())
    return [split[key] for split in splits for key in keys if isinstance(split.get(key), str)]


def _complete(folder: Path, form: Form) -> bool:
    return all(there(folder / path) for path in needed(form))


class _Unreachable(Exception):
    """No source of a file answers; another form of the data set may be reachable."""


def _provide(file: File, folder: Path, what: str, progress: Progress | None, unpacked: Path) -> None:
    """Bring one file into the folder, checked, and unpack it into another if it is an archive."""
    path = folder / file.name
    with writing_the_cache():
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and (file.sha256 or file.md5):  # put there by hand, or by a fetch that was stopped
        try:
            _verify_once(path, file)
        except DataError:
            if not file.urls:
                raise
            path.unlink()
    if not path.is_file():
        _download(file, path, what, progress)
    if file.extract:
        archives.unpack(path, unpacked, file.extract, progress)


def _download(file: File, path: Path, what: str, progress: Progress | None) -> None:
    """Try each address, each several times."""
    reason = ""
    for url in file.urls:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                with writing_the_cache():
                    _stream(url, file, path, progress)
                return
            except CnnkitError:
                raise
            except urllib.error.HTTPError as error:
                reason = f"{url} answers {error.code} {error.reason}"
                if error.code not in (408, 429, 500, 502, 503, 504):
                    break  # it will not answer otherwise in a second
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = f"{url} does not answer ({getattr(error, 'reason', None) or error or type(error).__name__})"
    raise _Unreachable(
        f"{what} could not be downloaded: {reason}. Run the command again, or get {path.name} from "
        f"{file.urls[0]} elsewhere and put it into {path.parent}."
    )


def _stream(url: str, file: File, path: Path, progress: Progress | None) -> None:
    """Download to NAME.part, going on where an earlier try stopped, and rename what has the right checksum."""
    part = path.with_name(path.name + ".part")
    checked = bool(file.sha256 or file.md5)
    done = part.stat().st_size if part.is_file() and checked else 0
    headers = {"User-Agent": f"cnnkit/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not done:
            raise
        error.close()
        _finish(part, path, file, url)  # nothing left to send: it is whole, or it is wrong
        return
    with response:
        if done and (response.status != 206 or not _continues(response, done)):
            done = 0  # the server sends it from the start
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else file.bytes
        limit = file.bytes or archives.MOST_BYTES
        with part.open("ab" if done else "wb") as target:
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > limit:
                    target.close()
                    part.unlink()
                    raise DataError(
                        f"{url} sends more than the {limit:,} bytes that the card states. Nothing was kept."
                    )
                target.write(chunk)
                if progress:
                    progress(f"Downloading {path.name}: {done / 1e6:,.1f} MB", done, total)
    if total is not None and done < total:
        raise ConnectionError(f"it stopped after {done:,} of {total:,} bytes")
    _finish(part, path, file, url)


def _continues(response: Any, done: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {done}-")


def _finish(part: Path, path: Path, file: File, url: str) -> None:
    try:
        _verify(part, file)
    except DataError:
        part.unlink()
        raise DataError(
            f"The checksum of {path.name} from {url} differs from the card's: it was changed or damaged on the way. "
            "It was deleted; run the command again, and if it differs again, tell the card's author."
        ) from None
    part.replace(path)


def _verify_once(path: Path, file: File) -> None:
    """Verify a file, unless this process found it right and it is as it was. What was found wrong is read again."""
    status = path.stat()
    _remembered(path.absolute(), file.sha256, file.md5, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _remembered(path: Path, sha256: str | None, md5: str | None, size: int, time_ns: int) -> None:
    _verify(path, File(path.name, sha256=sha256, md5=md5))


def _verify(path: Path, file: File) -> None:
    for kind, stated in (("sha256", file.sha256), ("md5", file.md5)):
        if stated:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, functools.partial(hashlib.new, kind, usedforsecurity=False))
            if found.hexdigest() != stated:
                raise DataError(
                    f"The {kind} checksum of {path} is {found.hexdigest()}, the card states {stated}. Delete it and "
                    "get it again."
                )

"""Dataset cards: what a data set is, where it comes from, how it is read. One TOML file each, no Python.

Design choices:
- A card says title, task, source, licence, citation, labels; then one form in which the data exists: reader, files
  (url, checksum), splits, options. `[[alternatives]]` holds further forms of it; whichever is found first is used.
- What a table under `[splits]` says belongs to the reader (`file`, `images`, `labels`, `folder`, ...), so that masks,
  boxes and texts need no other card format. A number (`test = 0.2`) is a part to hold out.
- A user's folder or file becomes a card too, so everything after this module knows only cards.
- A key that no card has is an error: a misspelt `sha265` would otherwise switch the check off.
"""

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cnnkit import console, files, plugins
from cnnkit.data import readers
from cnnkit.errors import CnnkitError, DataError, DataNotFound
from cnnkit.files import cache_folder

_FORM_KEYS = {"reader", "files", "splits", "options"}
_CARD_KEYS = _FORM_KEYS | {"title", "task", "source", "licence", "citation", "labels"}
_CARD_KEYS |= {"prepared", "path", "notes", "alternatives"}
_KINDS_KEYS = {"image_shape"}  # that mean something to one kind of data, which checks them
_FILE_KEYS = {"name", "url", "sha256", "md5", "bytes", "extract"}
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class File:
    """One file of a data set, as its source publishes it.

    Attributes:
        name: path below the data set's folder.
        urls: where it is published, best first; empty where it must be put there by hand.
        sha256, md5: checksum, where the source states one.
        bytes: size, where known.
        extract: patterns of the members to unpack from the archive beside it; empty for no archive.
    """

    name: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None
    extract: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """A form in which a data set exists.

    Attributes:
        reader: name of the reader, as packages register it (`cnnkit.data.readers`).
        files: what to download.
        splits: "train", "validation", "test" -> the reader's own table, or the part to hold out; empty where the
            reader finds them by itself.
        options: settings of the reader.
    """

    reader: str
    files: tuple[File, ...] = ()
    splits: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """What the reader is told of each split that the source has."""
        return {split: table for split, table in self.splits.items() if isinstance(table, dict)}


@dataclass(frozen=True)
class Card:
    """A data set. `labels` is empty where they are found in the data; `root` is set for a user's own data.

    `prepared`: its inputs are as models are to see them, so an app leaves them as they are. `more`: what it says to one kind of
    data alone, as it is written. `file`: the card's own, where it is one.
    """

    name: str
    title: str
    forms: tuple[Form, ...]
    task: str
    source: str = ""
    licence: str = ""
    citation: str = ""
    notes: str = ""
    labels: tuple[str, ...] = ()
    root: Path | None = None
    prepared: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the data set, as plain JSON values."""
        names = ("name", "title", "task", "source", "licence", "citation", "notes")
        return {name: getattr(self, name) for name in names}

    def wrong(self, text: str) -> DataError:
        """Return the error that the card's file is wrong; `text` says what in it."""
        return _wrong(self.file, text)


def _wrong(path: Path | None, text: str) -> DataError:
    error = DataError(f"The card {path} is wrong: {text}.")
    error.of_file = True
    return error


def known() -> list[Card]:
    """Return the cards that come with cnnkit and with installed apps, sorted by name."""
    return [read_card(path) for path in _shipped().values()]


def names() -> list[str]:
    """Return the names of these cards."""
    return list(_shipped())


def _shipped() -> dict[str, Path]:
    """Find the cards of the core, and those that apps have in a folder `datasets` of their package: name -> file."""
    package = Path(__file__).resolve().parents[1]
    own = (package / "datasets", package.parent / "datasets")  # an installed wheel, a checkout
    folders = [next((folder for folder in own if folder.is_dir()), own[0])]
    folders += [folder / "datasets" for entry in plugins.installed("cnnkit.apps") for folder in plugins.folders(entry)]
    cards: dict[str, Path] = {}
    for path in (path for folder in folders for path in folder.glob("*.toml")):
        if cards.setdefault(path.stem, path) != path:
            console.warn_once(f"There are two cards {path.stem!r}: {cards[path.stem]} is used, and not {path}.")
    return dict(sorted(cards.items()))


def path_of(source: Path | str) -> Path | None:
    """Return the file or folder that `source` means, here or in $CNNKIT_DATA; None for a card that is installed, and
    where nothing is there."""
    if isinstance(source, str) and source in _shipped():
        return None
    path = Path(os.path.expanduser(source))  # noqa: PTH111
    shared = data_folder()
    if not there(path) and shared and inside(str(source)) and there(shared / source):
        path = shared / source
    return path if str(source) and there(path) else None


def load(source: Path | str | Card, task: str = "") -> Card:
    """Find the data set that `source` means.

    Args:
        source: the name of a card that is installed, or the path of a card (.toml), of a folder or of a data file,
            here or in $CNNKIT_DATA. A card's name wins over a folder of that name; write ./NAME for the folder. A card is
            returned as it is.
        task: "text" where a folder or file is one of texts; the same file may be a table of pixels or of sentences.

    Raises:
        DataError: no such card, folder or file, or a card with a mistake in it.
    """
    if isinstance(source, Card):
        return source
    cards = _shipped()
    if isinstance(source, str) and source in cards:
        return read_card(cards[source])
    path = path_of(source)
    if path is None:
        shared = data_folder()
        where = (
            f"nor in {shared}, which CNNKIT_DATA names" if shared else "and CNNKIT_DATA, which may name one, is not set"
        )
        raise DataNotFound(
            f"There is no data set {str(source)!r}: it is neither a folder or file here ({where}) nor one of "
            f"{', '.join(cards) or 'none'}."
        )
    if path.suffix.lower() == ".toml":
        return read_card(path, own=True)
    root, name, splits = readers.detect(path, task=task)
    form = Form(name, splits=splits)
    return Card(_slug(path.resolve().stem), str(path), (form,), readers.find(name).task, source=str(path), root=root)


def read_card(path: Path, *, own: bool = False) -> Card:
    """Read a card file. `own`: a user's card, whose data lies at its `path`, or beside it where nothing is downloaded.

    Raises:
        DataError: not TOML, a key that is unknown, missing or of the wrong kind.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"The card {path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise DataError(f"The card {path} cannot be read: {error.strerror}.") from None
    return _Parser(path).card(table, own)


class _Parser:
    """Turns a TOML table into a card; every complaint names the file and the key."""

    def __init__(self, path: Path):
        self.path = path

    def fail(self, text: str) -> DataError:
        return _wrong(self.path, text)

    def card(self, table: dict[str, Any], own: bool) -> Card:
        self.keys(table, _CARD_KEYS | _KINDS_KEYS, "a card")
        stated = {key: self.text(table, key) for key in ("title", "task", "source", "licence", "citation", "notes")}
        forms = []
        if "reader" in table:
            forms.append(self.form(table, "a card"))
        forms += [self.form(part, "[[alternatives]]") for part in self.tables(table, "alternatives")]
        root = self.root(table, own, forms)
        if not forms:
            if root is None:
                raise self.fail("it needs `reader` and what it reads, or the `path` of a folder or file")
            if not isinstance(table.get("options", {}), dict):
                raise self.fail("`options` is a table")
            forms.append(Form("", options=table.get("options", {})))
        prepared = table.get("prepared", False)
        if type(prepared) is not bool:
            raise self.fail("`prepared` is true or false")
        labels = self.strings(table, "labels")
        if len(set(labels)) != len(labels):
            raise self.fail("`labels` has a label twice")
        if root is not None and not forms[0].splits:
            root, forms = self.detected(root, forms[0], stated["task"])
        name = _slug(self.path.stem)
        stated["title"] = stated["title"] or name
        stated["task"] = stated["task"] or readers.find(forms[0].reader).task
        return Card(
            name,
            forms=tuple(forms),
            labels=labels,
            root=root,
            prepared=prepared,
            more={key: table[key] for key in _KINDS_KEYS & table.keys()},
            file=self.path,
            **stated,
        )

    def root(self, table: dict[str, Any], own: bool, forms: list[Form]) -> Path | None:
        """Where a user's data lies: `path` is relative to the card; without one and without urls, it lies beside it."""
        if "path" in table:
            return self.path.parent / os.path.expanduser(self.text(table, "path"))  # noqa: PTH111
        downloads = any(file.urls for form in forms for file in form.files)
        return self.path.parent if own and not downloads and forms else None

    def detected(self, root: Path, form: Form, task: str) -> tuple[Path, list[Form]]:
        if form.reader and not readers.find(form.reader).needs:
            return root, [form]
        if not there(root):
            raise self.fail(f"there is no {root}, which its `path` names")
        root, name, splits = readers.detect(root, form.reader, task)
        return root, [Form(name, form.files, splits, form.options)]

    def form(self, table: dict[str, Any], where: str) -> Form:
        if where != "a card":
            self.keys(table, _FORM_KEYS, where)
        reader = self.text(table, "reader")
        if not reader:
            raise self.fail(f"{where} needs a `reader`")
        splits, options = table.get("splits", {}), table.get("options", {})
        if not isinstance(splits, dict) or not isinstance(options, dict):
            raise self.fail("`splits` and `options` are tables")
        self.keys(splits, set(_SPLITS), "[splits]")
        for name, split in splits.items():
            held_out = type(split) in (int, float) and name != "train" and 0 < split < 1
            if not held_out and not isinstance(split, dict):
                raise self.fail(f"`splits.{name}` is a table that the reader {reader!r} knows, or a part such as 0.2")
        return Form(reader, tuple(self.file(part) for part in self.tables(table, "files")), splits, options)

    def file(self, table: dict[str, Any]) -> File:
        self.keys(table, _FILE_KEYS, "[[files]]")
        urls = self.strings({"url": [table["url"]]} if isinstance(table.get("url"), str) else table, "url")
        for url in urls:
            if not url.startswith(("https://", "http://")):
                raise self.fail(f"{url!r} is no http(s) address")
        name = self.text(table, "name") or (urls[0].rpartition("/")[2] if urls else "")
        if not inside(name):
            raise self.fail(f"a file needs a `name` inside the data set's folder, not {name!r}")
        for key, digits in (("sha256", 64), ("md5", 32)):
            if key in table and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", str(table[key])):
                raise self.fail(f"`{key}` of {name} is not {digits} hexadecimal digits")
        size = table.get("bytes")
        if size is not None and (type(size) is not int or size < 1):
            raise self.fail(f"`bytes` of {name} is a number of bytes")
        sums = {key: str(table[key]).lower() for key in ("sha256", "md5") if key in table}
        return File(name, urls, bytes=size, extract=self.strings(table, "extract"), **sums)

    def keys(self, table: dict[str, Any], allowed: set[str], where: str) -> None:
        unknown = sorted(table.keys() - allowed)
        if unknown:
            raise self.fail(f"{where} has no key {unknown[0]!r}; it may have {', '.join(sorted(allowed))}")

    def text(self, table: dict[str, Any], key: str) -> str:
        if not isinstance(table.get(key, ""), str):
            raise self.fail(f"`{key}` is a text")
        return table.get(key, "").strip()

    def strings(self, table: dict[str, Any], key: str) -> tuple[str, ...]:
        values = table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.fail(f"`{key}` is a list of texts")
        return tuple(values)

    def tables(self, table: dict[str, Any], key: str) -> list[dict[str, Any]]:
        values = table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self.fail(f"`{key}` is written as [[{key}]]")
        return values


def inside(name: str) -> bool:
    """Say whether `name` is a path below a folder: not empty, not absolute, without "..", "~" or a drive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and parts[0] not in ("/", "~") and ".." not in parts and ":" not in parts[0] and "\0" not in name


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "data"


def data_folder() -> Path | None:
    """Return $CNNKIT_DATA, a folder of data sets that are used as they are and never written to, or None."""
    folder = os.environ.get("CNNKIT_DATA")
    return Path(os.path.expanduser(folder)) if folder else None  # noqa: PTH111


def there(path: Path) -> bool:
    """Say whether there is such a file or folder; a name that is too long or not allowed is not there."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for those


@contextlib.contextmanager
def writing_the_cache() -> Iterator[None]:
    """Say what to do where the cache cannot be written."""
    try:
        with files.system_errors(cache_folder()):
            yield
    except CnnkitError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise DataError(
            f"The cache {cache_folder()} cannot be written ({error.__cause__.strerror}). Free some space there, or set "
            "CNNKIT_CACHE to another folder."
        ) from error.__cause__

"""What a folder or file of texts is: found by name and content, and read as `Part`s.

Design choices:
- Formats: tables (.csv, .tsv, any column names), JSON lines or one JSON array, fastText's `__label__`, `label sentence` lines,
  class folders of text files (.txt, or without a suffix). A suffix that says the format is believed; else the first 256 KB
  decide.
- Splits in files of their own are found by a word in the name: train, dev or valid, test, between dots, dashes or underscores.
  Where one file is named and it is the training part of such a family, the others are taken as well.
- A folder with several families in it is ambiguous, and an error names them.
"""

import csv
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import naming
from cnnkit.data.cards import there
from cnnkit.data.inventory import Entry, entry
from cnnkit.data.records import Progress
from cnnkit.errors import DataError
from cnnkit.inputs.text import columns, containers, encodings, index
from cnnkit.inputs.text.containers import refuse_foreign
from cnnkit.inputs.text.formats import MARK, REPEATED, FastText, LabelSentence, Table
from cnnkit.inputs.text.index import Found

FORMATS = ("text-csv", "text-jsonl", "fasttext", "label-sentence", "text-folder")
COLUMNS = frozenset(["text", "label", "separator"])
OPTIONS = {
    "text-csv": COLUMNS | {"header", "encoding"},
    "text-jsonl": COLUMNS | {"encoding"},
    "fasttext": frozenset(["encoding"]),
    "label-sentence": frozenset(["encoding"]),
    "text-folder": frozenset(["encoding"]),
}
_SUFFIXES = {
    ".csv": "text-csv",
    ".tsv": "text-csv",
    ".tab": "text-csv",
    ".jsonl": "text-jsonl",
    ".ndjson": "text-jsonl",
    ".json": "text-jsonl",
}
_FOREIGN = (".md", ".json", ".toml", ".py", ".pdf", ".html", ".log", ".yaml", ".yml", ".vec", ".bin")
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".tar", ".tgz", ".zst", ".7z")
_UNLABELLED = ("unsup", "unlabeled", "unlabelled")  # folders of texts without a label, as in aclImdb


def detect(path: Path, reader: str = "") -> tuple[str, dict[str, dict[str, str]]]:
    """Find out how a user's folder or file of texts is read.

    Args:
        path: a folder or file that exists.
        reader: one of `FORMATS`, or "" to choose one.

    Returns:
        the format, and for each split a table that names what it is read from.

    Raises:
        DataError: it is packed, empty, in no known format, or holds several data sets.
    """
    if path.is_dir():
        return _detect_folder(path, reader)
    form = reader or file_format(path)
    family = _family(path)
    return form, {split: {"file": name} for split, name in (family or {"train": path.name}).items()}


def file_format(path: Path) -> str:
    """Return the reader of one file.

    Raises:
        DataError: it is packed, empty, or in no known format.
    """
    refuse_foreign(path)
    if path.suffix.lower() in _PACKED:
        raise DataError(f"{path} is packed, and texts are read by position. Unpack it first.")
    known = _SUFFIXES.get(path.suffix.lower())
    if known:
        return known
    head, _ = index.opening(path, columns.SAMPLE)
    if b"\n" not in head:  # lines may end in CR
        head = head.replace(b"\r", b"\n")
    lines = [line.strip() for line in head.split(b"\n")[:-1] or [head] if line.strip()]
    if lines[0].startswith((b"{", b"[{")) or lines[0] == b"[":
        return "text-jsonl"
    if sum(line.startswith(MARK) for line in lines) >= len(lines) / 2:
        return "fasttext"
    if sum(b"\t" in line for line in lines) >= 0.9 * len(lines) and not _labelled(lines):
        return "text-csv"
    if _labelled(lines):
        return "label-sentence"
    try:
        columns.table(path, head, {})
    except DataError:
        raise DataError(
            f"{path} is no data set of texts: it needs to be a table (.csv, .tsv), JSON lines (.jsonl), fastText's lines "
            "(__label__a text), lines that begin with their label, or a folder with a folder of .txt files for each label."
        ) from None
    return "text-csv"


def _labelled(lines: list[bytes]) -> bool:
    """Say whether the first words of lines look like labels: each occurs often, all lines have more."""
    words = [line.split(None, 1) for line in lines]
    first = [parts[0] for parts in words if len(parts) == 2]
    if len(first) < 0.9 * len(lines):
        return False
    return len(set(first)) <= max(2, len(first) // 5)


def _split_word(name: str) -> tuple[str, str] | None:
    """Return (stem, split) of a name with one of the words in it: stsa.binary.train is (stsa.binary.*, train)."""
    tokens = re.split(r"([\s._()-]+)", name)
    for place, token in enumerate(tokens):
        if split := naming.split_of_word(token):
            return "".join([*tokens[:place], "*", *tokens[place + 1 :]]).lower(), split
    return None


def _candidates(folder: Path) -> list[Path]:
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    return [
        path for path in inside if path.suffix.lower() not in _FOREIGN and not path.stem.lower().startswith("readme")
    ]


def _families(paths: list[Path]) -> dict[str, dict[str, str]]:
    """Group files that differ by the word for their split: stem -> {split: name}. Only families with a training file."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        parts = _split_word(path.name)
        if parts:
            stem, split = parts
            family = found.setdefault(stem, {})
            if split in family:
                raise DataError(
                    f"{path.parent} has two files for {split}: {family[split]} and {path.name}. Move one away."
                )
            family[split] = path.name
    order = ("train", "validation", "test")
    return {
        stem: {split: family[split] for split in order if split in family}
        for stem, family in found.items()
        if "train" in family
    }


def _family(path: Path) -> dict[str, str] | None:
    """Return the files of the data set whose training part `path` is."""
    parts = _split_word(path.name)
    if not parts or parts[1] != "train":
        return None
    same = [
        other for other in _candidates(path.parent) if _split_word(other.name) in [(parts[0], s) for s in naming.WORDS]
    ]
    return _families(same).get(parts[0])


def _detect_folder(path: Path, reader: str) -> tuple[str, dict[str, dict[str, str]]]:
    splits = naming.split_folders(path)
    classes = {split: _classes(path / name) for split, name in (splits or {"train": "."}).items()}
    if reader in ("", "text-folder") and classes["train"]:
        return "text-folder", {split: {"folder": name} for split, name in (splits or {"train": "."}).items()}
    files = _candidates(path)
    families = _families(files)
    if len(families) == 1:
        (family,) = families.values()
        return reader or file_format(path / family["train"]), {s: {"file": n} for s, n in family.items()}
    known = [file for file in files if file.suffix.lower() in _SUFFIXES] if not families else []
    if len(known or files) == 1 and not families:
        (single,) = known or files
        return reader or file_format(single), {"train": {"file": single.name}}
    if not files:
        raise DataError(
            f"{path} holds no texts. Put the texts of each label in a folder of its own, {path}/LABEL/1.txt, or name a file."
        )
    names = [family["train"] for family in families.values()] or [file.name for file in known or files]
    raise DataError(
        f"{path} holds several data sets: {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}. Name one of the files."
    )


def _classes(folder: Path) -> dict[str, str]:
    """Return the class folders that hold .txt files: label -> folder."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    names = [name for name in names if name.lower() not in _UNLABELLED]
    return {name: name for name in names if next(index.text_files(folder, name), None) is not None}


@dataclass(frozen=True)
class Read:
    """A split as it was found, the lines that say how, and counts of what was not used (`cnnkit.data.inventory`)."""

    found: Found
    notes: tuple[str, ...]
    groups: np.ndarray | None = None
    entries: tuple[Entry, ...] = ()


def read(path: Path, reader: str, options: dict[str, Any], *, progress: Progress | None = None) -> Read:
    """Look through the texts of one split.

    Args:
        path: a file, or a folder of class folders.
        reader: one of `FORMATS`.
        options: what `OPTIONS` allows.
        progress: called while it goes.

    Raises:
        DataError: it is not there, empty, or not what the reader expects.
    """
    encoding = options.get("encoding")
    if reader == "text-folder":
        return _read_folder(path, encoding and encodings.named(str(encoding)), progress)
    if not there(path):
        raise DataError(f"There is no file {path}.")
    plain = containers.plain(path, encoding, json_lines=reader == "text-jsonl")
    encoding = plain.encoding
    head, skip = index.opening(plain.path, columns.SAMPLE) if encoding is None else _opening(path, plain)
    more: list[bytes] = []
    if reader == "text-csv":
        more = columns.pieces(plain.path, skip + len(head)) if len(head) == columns.SAMPLE - skip else []
        choice = columns.table(path, head, options, more=more)
        skip += choice.skip
        if choice.header:
            skip += _header_bytes(head[choice.skip :], choice.form)
    elif reader == "text-jsonl":
        choice = columns.json_lines(path, head, options)
        encoding = "utf-8"
    else:
        form: Any = FastText() if reader == "fasttext" else LabelSentence()
        choice = columns.Choice(form, False, (f"{form.name[0].upper()}{form.name[1:]}.",))
    found = index.index(path, choice.form, skip=skip, encoding=encoding, progress=progress, plain=plain)
    notes = [*plain.notes, *choice.notes[plain.unit != "line" :]]
    if options.get("encoding"):
        found.encoding = encodings.named(str(options["encoding"])).upper() + ", as told"
    if found.stray and _quotes_are_text(plain.path, choice.form):
        form = replace(choice.form, quoting=False)
        notes.append(
            f"{found.stray:,} quotes would join rows with others, so quotes are part of the text, each row is one."
        )
        notes = [note.replace("quotes around cells", "quotes are part of the text") for note in notes]
        found = replace(
            index.index(path, form, skip=skip, encoding=encoding, progress=progress, plain=plain),
            encoding=found.encoding,
        )
    return Read(found, (*notes, *_said(found)), entries=tuple(_entries(found)))


def _opening(path: Path, plain: containers.Plain) -> tuple[bytes, int]:
    head, mark = containers.unmarked(plain.path, columns.SAMPLE)
    if not head.strip():
        raise DataError(f"{path} is empty.")
    return head, mark


def _quotes_are_text(path: Path, form: Table) -> bool:
    """Say whether no line of a table needs quotes around a cell: none has a separator between them, or a quote twice."""
    alone = replace(form, quoting=False)
    with path.open("rb") as file:
        for raw in file:
            if b'"' not in raw:
                continue
            line = raw.decode("latin-1")
            try:
                cells: list[str] = next(form.parse([line]), [])
                plain: list[str] = next(alone.parse([line]), [])
            except csv.Error:
                continue
            doubled = any(len(cell) > 3 and cell[0] == cell[-1] == '"' and '""' in cell[1:-1] for cell in plain)
            if len(cells) == form.width and (len(plain) != form.width or doubled):
                return False
    return True


def _said(found: Found) -> list[str]:
    """Say what of a file a person may not expect."""
    lines = []
    count, first = found.joined
    if count:
        lines.append(f"{count:,} texts hold line ends, inside quotes; the first: {first}.")
    if found.renamed:
        lines.append(f"The same number is the same label: {', '.join(found.renamed[:5])}.")
    odd = [name for name in found.names if name.strip() in ("None", "none", "NA")]
    if odd:
        lines.append(f"{odd[0]!r} is taken for a label. Where it means that there is none, delete these rows.")
    return lines


def _entries(found: Found) -> list[Entry]:
    """Return what became of rows that are no texts."""
    count, names = found.repeated
    return [entry("left out", "rows", "that are the header once more", names, count)] if count else []


def _header_bytes(head: bytes, form: Any) -> int:
    """Return how long the first record is, with the blank lines before it."""
    source = index.Source(io.BytesIO(head))
    size = 0
    feed = replace(form, header=(), labels=frozenset()).rows(source)
    for row in feed:
        size += row[0]
        if not (row[2] is None and row[4] is None) or row[3] is REPEATED:  # no blank line
            return size
    return size


def _read_folder(path: Path, encoding: str | None, progress: Progress | None) -> Read:
    if not path.is_dir():
        raise DataError(f"There is no folder {path}.")
    classes = _classes(path)
    if not classes:
        raise DataError(
            f"{path} holds no folders of text files (.txt, or without a suffix). Put the texts of each label in a "
            "folder of its own."
        )
    found = index.index_folder(path, classes, encoding=encoding, progress=progress)
    notes = ["A folder of text files for each label."]
    other = [
        child.relative_to(path).as_posix()
        for label in classes
        for child in (path / label).rglob("*")
        if child.is_file() and not child.name.startswith(".") and not index.is_text_file(child.name)
    ]
    entries = [entry("left out", "files", "that are no texts by their names (.txt, or without a suffix)", other)]
    left = [entry.name for entry in path.iterdir() if entry.is_dir() and entry.name.lower() in _UNLABELLED]
    if left:
        notes.append(f"{', '.join(left)} is left out: its texts have no label.")
    return Read(found, tuple(notes), entries=tuple(entries if other else ()))

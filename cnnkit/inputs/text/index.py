"""Walk once through a file of texts: where each text is, its label, what cannot be used, and the encoding.

Design choices:
- What is kept of a record is its place, a number for its label and, until the data set is divided, a hash of the text:
  14 bytes in arrays, 18 where records between were left out, so memory is a fifth of a file of short sentences.
- UTF-8 is tried first. A line that is not, and would read well as Windows-1252, speaks for that (Latin-1 is a part of it);
  a line beyond ASCII that is UTF-8 speaks for UTF-8. The majority decides. In a file of UTF-8 the other lines are bad,
  each named; in a file of Windows-1252 nothing is. What is no Western European text then is refused (`encodings`).
- Labels that look the same are the same, whether é is one character or two. Numbers are one label however they are written: 1
  and 1.0, as pandas makes of whole numbers where one is missing.
- A text above 1 MB, an empty one and one without a label are bad too. They are counted, and the first hundred named.
- The hash is of the words in lower case, so that copies of a text can stay together when the data set is divided.
"""

import array
import csv
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.naming import class_order
from cnnkit.data.records import Progress
from cnnkit.data.tags import Tags, narrow
from cnnkit.data.walks import Paths
from cnnkit.errors import DataError
from cnnkit.inputs.text import encodings
from cnnkit.inputs.text.containers import Plain, refuse_foreign, unmarked
from cnnkit.inputs.text.formats import MOST_BYTES, REPEATED, STRAY, Source
from cnnkit.inputs.text.sources import FileTexts, FolderTexts, Texts, stamp

MOST_LABELS = 10_000
_NAMED = 100  # bad texts that are kept by name
_ODD = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D, 0xFF])  # no characters of Windows-1252, and ÿ, which hardly occurs
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_NO_TEXTS = ("readme", "license", "licence", "copying", "changelog", "authors", "makefile", "thumbs", "desktop")
_NAMES = {"utf-8": "UTF-8", "cp1252": "Windows-1252", "latin-1": "Latin-1", "ascii": "ASCII"}


@dataclass
class Found:
    """The texts of one file or folder.

    Attributes:
        texts: where they are.
        codes: int (n,), which of `names` each has; of several labels a text, those of all texts in a row.
        names: the labels as they are written, sorted.
        ends: int (n,), where the codes of each text end; None for one label a text.
        hashes: int64 (n,), equal for texts that differ in case and spaces only.
        bad: (place, reason) of the first 100 texts that cannot be used.
        bad_count: of all of them.
        encoding: of the texts, as a person calls it.
        stray: quotes that would have joined rows with others; these are bad.
        joined: texts that hold line ends, and where the first is.
        repeated: places of rows that are the header once more, the first hundred, and how many there are.
        renamed: labels that were written in two ways, as "1.0 is 1".
    """

    texts: Texts
    codes: np.ndarray
    names: tuple[str, ...]
    ends: np.ndarray | None
    hashes: np.ndarray
    bad: list[tuple[str, str]] = field(default_factory=list)
    bad_count: int = 0
    encoding: str = "UTF-8"
    stray: int = 0
    joined: tuple[int, str] = (0, "")
    repeated: tuple[int, list[str]] = (0, [])
    renamed: tuple[str, ...] = ()


def text_hash(text: bytes) -> int:
    """Hash a text's words in lower case (of ASCII); equal within one process only."""
    return hash(b" ".join(text.lower().split()))


class _Labels:
    """Numbers labels as they come."""

    def __init__(self, title: str):
        self.title = title
        self.numbers: dict[bytes, int] = {}
        self.codes = array.array("H")
        self.ends = array.array("q")
        self.several = False

    def add(self, label: Any) -> None:
        for part in (label,) if isinstance(label, bytes) else dict.fromkeys(label):
            number = self.numbers.get(part)
            if number is None:
                if len(self.numbers) == MOST_LABELS:
                    raise DataError(
                        f"{self.title} has more than {MOST_LABELS:,} different labels, such as "
                        f"{part[:30].decode('latin-1')!r}: that is no column of labels. Name another with the option `label`."
                    )
                number = self.numbers[part] = len(self.numbers)
            self.codes.append(number)
        if self.several:
            self.ends.append(len(self.codes))
        elif not isinstance(label, bytes):  # the first text with several: all before had one
            self.several = True
            single = len(self.codes) - len(dict.fromkeys(label))
            self.ends = array.array("q", range(1, single + 1))
            self.ends.append(len(self.codes))


class _Encoding:
    """Gathers what speaks for an encoding."""

    def __init__(self, asked: str | None):
        self.asked = asked
        self.valid = self.plausible = 0
        self.odd = False
        self.seen: list[bytes] = []  # some of the lines that are not UTF-8
        self.invalid = array.array("q")  # kept records that are not UTF-8
        self.lines = array.array("q")

    def see(self, lines: list[bytes], record: int, line: int) -> None:
        """Judge the lines of a kept record that are not ASCII."""
        bad = False
        for raw in lines:
            try:
                raw.decode()
                self.valid += 1
            except UnicodeDecodeError:
                bad = True
                odd = len(raw.translate(None, _ODD)) < len(raw)
                self.plausible += not odd
                if len(self.seen) < encodings.SEEN or not len(self.invalid) % 97:
                    self.seen.append(raw[:10_000])
                self.odd |= odd
        if bad:
            self.invalid.append(record)
            self.lines.append(line)

    def settle(self, title: str) -> str:
        """Return the encoding as Python calls it.

        Raises:
            DataError: it is neither UTF-8 nor that of a Western European language.
        """
        if self.asked:
            return self.asked
        if self.plausible <= self.valid and len(self.invalid) <= self.valid + 1:
            return "utf-8"
        if not encodings.western(self.seen):
            raise encodings.refusal(title, self.seen)
        return "latin-1" if self.odd else "cp1252"


def index(
    path: Path,
    form: Any,
    *,
    skip: int = 0,
    encoding: str | None = None,
    progress: Progress | None = None,
    plain: Plain | None = None,
) -> Found:
    """Walk through a file.

    Args:
        path: the file.
        form: how its records are written, as `cnnkit.inputs.text.formats`.
        skip: bytes at the start that are no record: a byte order mark, a header.
        encoding: "utf-8", "cp1252" or "latin-1"; None: found out.
        progress: called while it goes.
        plain: where its lines are, if that is another file.

    Raises:
        DataError: it cannot be read, has too many labels, or is in an encoding that has to be named.
    """
    plain = plain or Plain(path, encoding)
    hashes = array.array("q")
    labels, judge = _Labels(path.name), _Encoding(encoding)
    bad: list[tuple[str, str]] = []
    bad_count = stray = joined = repeated = 0
    first_joined, headers = "", []
    try:
        with plain.path.open("rb", buffering=1 << 20) as file:
            status = os.fstat(file.fileno())
            starts = array.array("I" if status.st_size < 2**32 else "Q")
            ends = array.array(starts.typecode)  # empty as long as each record ends where the next begins
            end = skip
            line = 1 + file.read(skip).count(b"\n")
            source, place = Source(file), skip
            beyond = source.beyond
            for size, lines, label, text, problem in form.rows(source):
                if problem is None and len(text) > MOST_BYTES:
                    problem = f"a text of {len(text) / 1e6:.1f} MB, where 1 MB is the most"
                if problem is not None:
                    bad_count += 1
                    stray += problem is STRAY
                    if len(bad) < _NAMED:
                        bad.append((f"{path.name}, {plain.unit} {line:,}", problem))
                elif text is REPEATED:
                    repeated += 1
                    headers += [f"{path.name}, line {line:,}"] * (repeated <= _NAMED)
                elif label is not None:
                    if beyond:
                        judge.see(beyond, len(starts), line)
                    if end != place and len(starts) and not len(ends):
                        ends = starts[1:]
                        ends.append(end)
                    starts.append(place)
                    end = place + size
                    if len(ends):
                        ends.append(end)
                    hashes.append(text_hash(text))
                    labels.add(label)
                    if lines > 1:
                        joined += 1
                        first_joined = first_joined or f"{path.name}, line {line:,}"
                    if progress and not len(starts) & 0xFFFF:
                        progress(f"Looking through {path.name}: {len(starts):,} texts", place, status.st_size)
                if beyond:
                    beyond.clear()
                place += size
                line += lines
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}.") from None
    kind = judge.settle(path.name)
    keep = None
    if kind == "utf-8" and len(judge.invalid):
        keep = np.ones(len(starts), bool)
        keep[np.frombuffer(judge.invalid, np.int64)] = False
        bad_count += len(judge.invalid)
        bad += [(f"{path.name}, {plain.unit} {line:,}", "invalid UTF-8") for line in judge.lines[: _NAMED - len(bad)]]
        if not len(ends):
            ends = starts[1:]
            ends.append(end)
    begins, stopping = np.array(starts), np.array(ends if len(ends) else [end])
    if keep is not None:
        begins, stopping = begins[keep], stopping[keep]
    codes, stops, names, renamed = _settled(labels, keep, kind)
    found = np.array(hashes) if keep is None else np.array(hashes)[keep]
    texts = FileTexts(path, form, begins, stopping, kind, stamp(status), plain=plain)
    shown = _NAMES.get(kind, kind)
    if kind == "utf-8" and not judge.valid and not len(judge.invalid) and not encoding:
        shown = "ASCII"
    return Found(
        *(texts, codes, names, stops, found, bad, bad_count, shown, stray),
        joined=(joined, first_joined),
        repeated=(repeated, headers),
        renamed=renamed,
    )


def _settled(
    labels: _Labels, keep: np.ndarray | None, encoding: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...], tuple[str, ...]]:
    """Sort the labels by name; return codes, where those of each text end, the names, and labels that became one."""
    codes = np.array(labels.codes)
    ends = np.frombuffer(labels.ends, np.int64) if labels.several else None
    if keep is not None and ends is not None:
        tags = Tags(codes, ends).take(np.flatnonzero(keep))
        codes, ends = tags.codes, tags.ends
    elif keep is not None:
        codes = codes[keep]
    used = np.zeros(max(1, len(labels.numbers)), bool)
    used[codes] = True
    written = [unicodedata.normalize("NFC", label.decode(encoding, "replace")) for label in labels.numbers]
    plain = _whole_numbers([name for name, there in zip(written, used) if there])
    renamed = tuple(f"{name} is {plain[name]}" for name in written if name in plain and plain[name] in written)
    written = [plain.get(name, name) for name in written]
    names = sorted({name for name, there in zip(written, used) if there}, key=class_order([n for n in written if n]))
    place = {name: code for code, name in enumerate(names)}
    table = narrow(np.array([place.get(name, 0) for name in written] or [0]))
    return narrow(table[codes]), ends, tuple(names), renamed


def _whole_numbers(names: Sequence[str]) -> dict[str, str]:
    """Return how whole numbers that are written as 1.0 are written else: where all labels are numbers, and none has a fraction
    but in another label's place.
    """
    if not all(re.fullmatch(r"[-+]?\d+(\.\d*)?", name) for name in names):
        return {}
    floats = {name: name.partition(".")[0] for name in names if re.fullmatch(r"[-+]?\d+\.0*", name)}
    whole = all(name in floats or "." not in name for name in names)
    return {name: number for name, number in floats.items() if whole or number in names}


def index_folder(
    root: Path, classes: dict[str, str], *, encoding: str | None = None, progress: Progress | None = None
) -> Found:
    """Walk through class folders of .txt files, one text a file.

    Args:
        root: the folder.
        classes: label -> folder below it.
        encoding, progress: as `index`.
    """
    paths, hashes = Paths(), array.array("q")
    labels, judge = _Labels(str(root)), _Encoding(encoding)
    bad: list[tuple[str, str]] = []
    bad_count = 0

    def refuse(name: str, reason: str) -> None:
        nonlocal bad_count
        bad_count += 1
        if len(bad) < _NAMED:
            bad.append((name, reason))

    for label, folder in classes.items():
        for child in text_files(root, folder):
            try:
                with (root / child).open("rb") as file:
                    raw = file.read(MOST_BYTES + 1)
            except OSError as error:
                refuse(child, error.strerror or "cannot be read")
                continue
            if len(raw) > MOST_BYTES:
                refuse(child, "a text of more than 1 MB")
            elif raw[:2] in _BOMS:
                refuse(child, "UTF-16; convert it to UTF-8")
            elif not raw.removeprefix(b"\xef\xbb\xbf").strip():
                refuse(child, "no text")
            elif encoding and not encodings.decodes(raw, encoding):
                refuse(child, f"not {encoding}")
            else:
                if not raw.isascii():
                    judge.see([raw], len(paths), len(paths))
                paths.add(child)
                hashes.append(text_hash(raw))
                labels.add(label.encode())
                if progress and not len(paths) % 1000:
                    progress(f"Looking at texts: {len(paths):,}", len(paths), None)
    kind, keep = judge.settle(str(root)), None
    if kind == "utf-8" and len(judge.invalid):
        keep = np.ones(len(paths), bool)
        keep[np.frombuffer(judge.invalid, np.int64)] = False
        for place in judge.invalid:
            refuse(paths[place], "invalid UTF-8")
        paths = paths.take(np.flatnonzero(keep))
    found = np.array(hashes)
    codes, _, names, _ = _settled(labels, keep, "utf-8")
    texts = FolderTexts(root, paths, kind)
    return Found(
        texts, codes, names, None, found if keep is None else found[keep], bad, bad_count, _NAMES.get(kind, kind)
    )


def text_files(root: Path, folder: str) -> Iterator[str]:
    """Yield the text files in a folder and its subfolders, as paths below `root`, sorted: .txt, or without a suffix.

    Newsgroups and mails are kept as numbers; README and its like are no texts.
    """
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"The folder {root / folder} cannot be read: {error.strerror}.") from None
    for entry in entries:
        child = f"{folder}{os.sep}{entry.name}"
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from text_files(root, child)
        elif is_text_file(entry.name):
            yield child


def is_text_file(name: str) -> bool:
    """Say whether a file in a folder of a label is one of its texts, by its name."""
    stem, dot, suffix = name.lower().rpartition(".")
    if not dot:
        return not suffix.startswith(_NO_TEXTS)
    return suffix in ("txt", "text") or (stem.isdigit() and suffix.isdigit())


def opening(path: Path, size: int) -> tuple[bytes, int]:
    """Return the first bytes of a file behind a byte order mark, and how long that is.

    Raises:
        DataError: it is packed, UTF-16, empty, or not text.
    """
    refuse_foreign(path)
    head, mark = unmarked(path, size)
    if b"\0" in head:
        raise DataError(f"{path} is not a file of text: it holds bytes of 0.")
    if not head.strip():
        raise DataError(f"{path} is empty.")
    return head, mark

"""What would spoil the training of a text classifier or flatter its score, found before training.

Design choices:
- Texts are read once, a block at a time; of each 8 bytes are kept for its words, 8 for its letters, 64 for what it is near to.
- Copies have the same words, case and spaces aside. The same words under two labels are an error: one of them is wrong.
  The same words in two splits are an error too, where the source divided: the score would count what was learnt by
  heart. What cnnkit divides keeps copies on one side.
- Near copies share most runs of three words: MinHash (Broder 1997) with 16 values in 8 bands of 2 proposes pairs, and those with
  12 or more equal values are near, a Jaccard index of some 0.75. Texts that differ only in digits, punctuation and case are near
  as well, however short.
- A label is likely a typing error if it is rare and differs from a common one in case, spaces or one letter. Labels of one or two
  characters and numbers are never called that.
- A text that names its own label is a leak where nearly all texts of the label do, and hardly any others.
- Near copies are looked for in 200,000 texts at most, the first of each split.
"""

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import loading
from cnnkit.data.findings import FEW, MOST_FILES, STARVED, Finding, listed, ranked
from cnnkit.data.records import Progress, Splits
from cnnkit.device import word_apart
from cnnkit.errors import DataError
from cnnkit.inputs.text import division
from cnnkit.inputs.text import loading as text_loading
from cnnkit.inputs.text.index import text_hash
from cnnkit.inputs.text.records import TextRecords

MOST_NEAR = 200_000  # texts that are held against each other
RARE = 0.1  # of the common label's texts: below, a label that is spelt almost alike is a typing error
LEAK = 0.9  # of a label's texts that name it
LONG = 10  # times the median length, and at least 300 words
LONGEST = 60  # letters of a label that are compared
MOST_ALIKE = 50  # labels that share what is left without a letter
_BLOCK = 2048
_HASHES, _BANDS, _EQUAL = 16, 8, 12
_BUCKET = 50  # texts with one band in common that are compared with each other
_FEWEST = 5  # words of a text with a sketch


def check(
    source: Path | str | Splits,
    *,
    columns: Mapping[str, Any] | None = None,
    looked: list[str] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for what spoils training: copies, leaks between splits, wrong and misspelt labels, odd encodings, starved classes.

    Args:
        source: name of a card, path of a card, a folder or a file; or splits that are loaded already.
        columns: where its reader finds texts and labels: `text`, `label`, `separator`, as `cnnkit.inputs.text.loading.load`.
        looked: takes lines on what was looked at.
        progress: called as progress(what, done, total).

    Returns:
        findings, errors first; none for a clean data set. `files` are places: "file, line N".

    Raises:
        DataError: there is no such data at all, or none of it can be read.
    """
    findings: list[Finding] = []
    if isinstance(source, Splits):
        records: dict[str, Any] = source.parts
        own = True
    else:
        records, own = _open(source, columns or {}, findings, progress, looked)
    records = {split: part for split, part in records.items() if len(part)}
    traits = {split: _Traits(part) for split, part in records.items()}
    total, done = sum(map(len, records.values())), 0
    for trait in traits.values():
        for count in trait.measure():
            done += count
            if progress:
                progress("Looking at texts", done, total)
    everything = _All(records, traits)
    findings += _copies(everything, own)
    findings += _near(everything, own)
    findings += _typing_errors(records)
    findings += _starved(records)
    findings += _long(records, traits)
    findings += _named(records, traits)
    return ranked(findings)


def _open(
    source: Path | str,
    columns: Mapping[str, Any],
    findings: list[Finding],
    progress: Progress | None,
    looked: list[str] | None = None,
) -> tuple[dict[str, TextRecords], bool]:
    """Read the splits of a source, so that what is bad is a finding and not the end; and whether it has several."""
    card = text_loading.with_options(source, columns)
    card, parts, held_out = loading.read_parts(card, task="text", progress=progress)
    if looked is not None:
        looked += [
            f"{split}: {len(part.images):,} texts, labels {loading.some(part.names)}." for split, part in parts.items()
        ]
        looked += dict.fromkeys(line for part in parts.values() for line in part.more.notes)
    for split, part in parts.items():
        found = part.more.found
        if found.bad_count:
            empty = [row for row in found.bad if row[1] == "no text"]
            rest = [row for row in found.bad if row[1] != "no text"]
            for rows, kind, what in ((empty, "empty", "are empty"), (rest, "bad-text", "cannot be used")):
                more = found.bad_count if len(rows) == len(found.bad) else len(rows)
                text = f"{more:,} texts of the {split} split {what}. Repair or delete them, or `skip_bad`."
                findings += listed("error", kind, text, [f"{place} ({reason})" for place, reason in rows])
        if found.joined[0]:
            count, first = found.joined
            text = f"{count:,} texts of the {split} split hold line ends, inside quotes. Look whether each is one text."
            findings.append(Finding("note", "joined", text, [first]))
        text = f"{found.repeated[0]:,} rows of the {split} split are the header once more; they are left out."
        findings += listed("warning", "header-again", text, found.repeated[1])
        if found.renamed:
            text = f"The same number is written in two ways; it is one label: {', '.join(found.renamed[:5])}."
            findings.append(Finding("note", "label-numbers", text))
        if found.encoding in ("Windows-1252", "Latin-1"):
            text = f"The {split} split is {found.encoding}, not UTF-8. It is read as that; convert it to be sure."
            findings.append(Finding("note", "encoding", text))
    kinds = {part.more.found.encoding for part in parts.values()} - {"ASCII"}
    if len(kinds) > 1:
        findings.append(
            Finding(
                "warning",
                "encoding",
                f"The splits differ in encoding: {', '.join(sorted(kinds))}. Convert them to UTF-8.",
                [],
            )
        )
    try:
        records = text_loading.as_records(card, parts)
    except DataError as error:
        if not all(len(part.images) for part in parts.values()):
            raise
        findings.append(Finding("error", "labels", str(error)))
        names = tuple(dict.fromkeys(name for part in parts.values() for name in part.names))
        records = text_loading.as_records(
            replace(card, labels=names),
            parts,
        )
    if len(records) > 1:
        return records, True
    train = parts["train"]
    groups = division.groups_of(train.groups, train.more.found.hashes)
    return text_loading.divide(records, groups, held_out, seed=0)[0], False


class _Traits:
    """What is kept of the texts of one split: hashes of words and of letters, sketches, lengths, whether they name a label."""

    def __init__(self, records: TextRecords):
        self.records = records
        count = len(records)
        self.words = np.zeros(count, np.int64)
        self.letters = np.zeros(count, np.int64)
        self.sketch = np.zeros((min(count, MOST_NEAR), _HASHES), np.uint32)
        self.lengths = np.zeros(count, np.int32)
        self.naming = np.zeros((len(records.label_names), 2), np.int64)  # texts of the label, of others, that name it

    def measure(self) -> Iterator[int]:
        """Read all texts; yield how many are done with each block."""
        names = [(code, name.lower()) for code, name in enumerate(self.records.label_names) if not name.isdigit()]
        single: dict[str, list[int]] = {}  # by a look-up, whatever their number
        several = []
        for code, name in names:
            if word_apart.count(name):  # of a script without spaces, it may stand anywhere
                several.append((code, re.compile(re.escape(name))))
            elif re.fullmatch(r"\w{3,}", name):
                single.setdefault(name, []).append(code)
            elif len(name) > 2:
                several.append((code, re.compile(rf"\b{re.escape(name)}\b")))
        several = several[:50]
        for indices in self.records.blocks(_BLOCK):
            targets = self.records.targets(indices)
            for place, text in zip(indices.tolist(), self.records.texts(indices), strict=True):
                low = text.lower()
                words = low.split()
                plain = re.findall(r"[^\W\d_]+", word_apart.apart(low))
                self.words[place] = text_hash(text.encode("utf-8", "replace"))
                self.letters[place] = hash(" ".join(plain)) if plain else place
                self.lengths[place] = len(words)
                if place < len(self.sketch):
                    self.sketch[place] = sketch(plain)
                target = targets[place - indices[0]]
                codes = [code for word in single.keys() & set(re.findall(r"\w+", low)) for code in single[word]]
                for code in (*codes, *(code for code, pattern in several if pattern.search(low))):
                    its_own = target == code if targets.ndim == 1 else target[code] > 0
                    self.naming[code, 0 if its_own else 1] += 1
            yield len(indices)


def sketch(words: list[str]) -> np.ndarray:
    """Return the MinHash of a text's runs of three words: uint32 (16,); zeros for fewer than five words.

    Two texts agree in a part of the 16 values that estimates the Jaccard index of their runs.
    """
    if len(words) < _FEWEST:
        return np.zeros(_HASHES, np.uint32)
    single = np.array([zlib.crc32(word.encode()) for word in words], np.uint64)
    runs = single[:-2] * np.uint64(3) + single[1:-1] * np.uint64(0x9E3779B1) + single[2:] * np.uint64(0x85EBCA77C2B2)
    mixed = (runs[:, None] ^ (runs[:, None] >> np.uint64(29))) * _FACTORS
    return (mixed >> np.uint64(32)).min(0).astype(np.uint32)


_FACTORS = np.random.default_rng(7).integers(1, 2**63, _HASHES, np.uint64) * np.uint64(2) + np.uint64(1)


class _All:
    """The traits of all splits in a row."""

    def __init__(self, records: dict[str, TextRecords], traits: dict[str, _Traits]):
        self.records = records
        self.splits = list(records)
        self.starts = np.cumsum([0, *[len(part) for part in records.values()]])
        self.words = np.concatenate([trait.words for trait in traits.values()])
        self.letters = np.concatenate([trait.letters for trait in traits.values()])
        self.labels = np.concatenate([part.labels for part in records.values()]).astype(np.int32)
        if next(iter(records.values())).multi_label:  # sets of labels, by a number each
            hot = [part.targets(np.arange(len(part))) for part in records.values()]
            self.labels = np.unique(np.concatenate(hot), axis=0, return_inverse=True)[1].ravel().astype(np.int32)
        self.owner = np.repeat(np.arange(len(self.splits)), np.diff(self.starts))
        self.sketches = np.concatenate([trait.sketch for trait in traits.values()])
        self.sketched = np.concatenate(
            [start + np.arange(len(trait.sketch)) for start, trait in zip(self.starts, traits.values())]
        )

    def name(self, place: int) -> str:
        split = int(self.owner[place])
        return self.records[self.splits[split]].name(int(place - self.starts[split]))


def _same(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (first, other) of places with equal keys; the first is the same for all of a key."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    new = np.concatenate([[True], ranked[1:] != ranked[:-1]]) if len(keys) else np.zeros(0, bool)
    heads = order[np.maximum.accumulate(np.where(new, np.arange(len(keys)), 0))] if len(keys) else order
    return heads[~new], order[~new]


def _copies(found: _All, own: bool) -> Iterable[Finding]:
    first, other = _same(found.words)
    yield from _pairs(found, first, other, own, "duplicate", "copies of others, case and spaces aside", "conflict")


def _near(found: _All, own: bool) -> Iterable[Finding]:
    pairs = set(zip(*(side.tolist() for side in _same(found.letters))))
    bands = found.sketches.reshape(len(found.sketches), _BANDS, -1)
    usable = np.flatnonzero(found.sketches.any(1))
    for band in range(_BANDS):
        keys = bands[usable, band].astype(np.uint64)
        keys = keys[:, 0] << np.uint64(32) | keys[:, 1]
        order = np.argsort(keys, kind="stable")
        for step in range(1, _BUCKET):
            equal = keys[order[step:]] == keys[order[:-step]]
            if not equal.any():
                break
            one, two = usable[order[:-step][equal]], usable[order[step:][equal]]
            near = (found.sketches[one] == found.sketches[two]).sum(1) >= _EQUAL
            pairs |= set(zip(found.sketched[one[near]].tolist(), found.sketched[two[near]].tolist()))
    kept = sorted({(min(pair), max(pair)) for pair in pairs if found.words[pair[0]] != found.words[pair[1]]})
    both = np.array(kept, np.int64).reshape(-1, 2)
    yield from _pairs(
        found, both[:, 0], both[:, 1], True, "near-duplicate", "nearly the same as others", "near-conflict"
    )


def _pairs(
    found: _All, first: np.ndarray, other: np.ndarray, own: bool, kind: str, what: str, conflict: str
) -> Iterable[Finding]:
    """Sort pairs of alike texts: two labels, two splits, or mere copies."""
    near = kind != "duplicate"
    bad = "warning" if near else "error"
    wrong = found.labels[first] != found.labels[other]
    across = (found.owner[first] != found.owner[other]) & own
    for chosen, severity, named, text in (
        (wrong, bad, conflict, ", under another label: one of the two is wrong."),
        (
            across,
            bad,
            "near-leak" if near else "leak",
            " in another split. Keep them in one: a score on them is learnt by heart.",
        ),
        (~across & ~wrong, "note" if near else "warning", kind, ", under the same label."),
    ):
        rows = [
            f"{found.name(a)} ~ {found.name(b)}" for a, b in zip(first[chosen][:MOST_FILES], other[chosen][:MOST_FILES])
        ]
        count = int(chosen.sum())
        texts = "1 text is" if count == 1 else f"{count:,} texts are"
        yield from listed(severity, named, f"{texts} {what}{text}", rows)


def _typing_errors(records: dict[str, TextRecords]) -> Iterable[Finding]:
    names = next(iter(records.values())).label_names
    counts = sum((part.counts() for part in records.values()), np.zeros(len(names), np.int64))
    found: dict[int, int] = {}
    for place, other in _neighbours(names):
        rare, common = (place, other) if counts[place] <= counts[other] else (other, place)
        if counts[rare] <= RARE * counts[common] and _alike(names[rare], names[common]):
            found[rare] = min(common, found.get(rare, common))
    rows = [f"{names[rare]!r} ({counts[rare]:,}) ~ {names[c]!r} ({counts[c]:,})" for rare, c in sorted(found.items())]
    text = f"{len(rows)} rare labels are spelt almost as a common one: likely typing errors. Correct them, if they are."
    yield from listed("error", "label-typo", text, rows)


def _neighbours(names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield pairs of labels that may be spelt alike: they are the same without one letter of each, or with two swapped.

    Each label is held against those alone with which it shares what is left without a letter, so that thousands take no time.
    """
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        plain = re.sub(r"[\s_-]+", "", name.casefold())[:LONGEST]
        keys = {plain, *(plain[:k] + plain[k + 1 :] for k in range(len(plain)))} if len(plain) > 2 else {plain}
        for key in keys:
            groups.setdefault(key, []).append(place)
    for members in groups.values():
        for place, other in itertools.combinations(members[:MOST_ALIKE], 2):
            yield place, other


def _alike(one: str, two: str) -> bool:
    """Say whether two labels differ only in case and spaces, or in one letter that is added, left out, changed or swapped."""
    a, b = (re.sub(r"[\s_-]+", "", name.casefold()) for name in (one, two))
    if a == b:
        return one != two
    if min(len(a), len(b)) < 3 or abs(len(a) - len(b)) > 1 or any(char.isdigit() for char in a + b):
        return False
    start = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    swapped = rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:]
    return swapped or rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:]


def _starved(records: dict[str, TextRecords]) -> Iterable[Finding]:
    train = records.get("train")
    if train is None:
        return
    counts = train.counts()
    median = np.median(counts)
    few = [
        f"{name}: {count:,}"
        for name, count in zip(train.label_names, counts)
        if count < FEW or count < STARVED * median
    ]
    text = f"{len(few)} labels have few training texts, below {FEW} or a tenth of the median ({median:,.0f}). Collect more."
    yield from listed("warning", "starved", text, few)


def _long(records: dict[str, TextRecords], traits: dict[str, _Traits]) -> Iterable[Finding]:
    lengths = np.concatenate([trait.lengths for trait in traits.values()])
    limit = max(300, LONG * float(np.median(lengths)))
    rows = []
    for split, trait in traits.items():
        places = np.flatnonzero(trait.lengths > limit)
        rows += [f"{records[split].name(int(place))} ({trait.lengths[place]:,} words)" for place in places[:MOST_FILES]]
    count = int((lengths > limit).sum())
    if count:
        text = f"{count:,} texts are far longer than the others ({np.median(lengths):,.0f} words); only their start is read."
        yield Finding("note", "long", text, rows)


def _named(records: dict[str, TextRecords], traits: dict[str, _Traits]) -> Iterable[Finding]:
    names = next(iter(records.values())).label_names
    counts = sum((part.counts() for part in records.values()), np.zeros(len(names), np.int64))
    total = sum(len(part) for part in records.values())
    naming = sum((trait.naming for trait in traits.values()), np.zeros((len(names), 2), np.int64))
    for code, name in enumerate(names):
        others = total - counts[code]
        own, rest = naming[code, 0] / max(1, counts[code]), naming[code, 1] / max(1, others)
        if counts[code] >= FEW and own >= LEAK and rest <= 1 - LEAK:
            text = (
                f"{own:.0%} of the texts of {name!r} name it, {rest:.0%} of the others: is the label part of the text?"
            )
            yield Finding("warning", "label-in-text", text)

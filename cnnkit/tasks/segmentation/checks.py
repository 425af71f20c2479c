"""What would spoil the training on masks or flatter its score, found before training.

Design choices:
- Every picture is decoded and every mask read once, so what stays unnamed here does not stop a training later.
- Errors should stop a training: files that cannot be used, a picture in two splits, a label that training does not have.
  Warnings should be looked at: foreground over most of all pixels is often a mask turned round.
- Pictures of one set that differ in channels or bits are brought to one form in silence, which is right only where it is meant.
- A picture without foreground is no fault: it teaches and tests that nothing is there. It is counted.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from cnnkit.data import cards, loading
from cnnkit.data.findings import FEW, Finding, listed, ranked
from cnnkit.data.inventory import Entry
from cnnkit.data.reading import Part
from cnnkit.data.records import Progress
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image.loading import with_options
from cnnkit.tasks.segmentation import objects as apart
from cnnkit.tasks.segmentation.loading import MERGED, check_only
from cnnkit.tasks.segmentation.masks import IGNORE, planes
from cnnkit.tasks.segmentation.volumes import checks as of_volumes
from cnnkit.tasks.segmentation.volumes.fingerprint import OBJECTS_OF_VOLUMES
from cnnkit.tasks.segmentation.volumes.sources import has_volumes

TINY = 4  # px, up to which a piece of a label is a slip of the hand
CHANNELS = {1: "grey", 3: "RGB"}
BITS = {"uint8": "of 8 bits", "uint16": "of 16 bits", "float32": "of floats"}
MOSTLY = 0.5  # of all pixels, above which foreground may be background


def check(
    source: Path | str | cards.Card,
    *,
    groups: str | None = None,
    objects: bool = False,
    looked: list[str] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for what spoils the training on masks.

    Args:
        source: as `cnnkit.data.cards.load` takes it.
        groups: which pictures are of one patient, as `load` takes it.
        objects: whether objects of the only label are to be told apart.
        looked: takes lines on what was looked at.
        progress: called while it goes.

    Returns:
        findings, errors first; none for a clean data set. Kinds: bad-file, read-otherwise, values, unknown-label, missing-label,
        no-foreground, mostly-foreground, objects, tiny, sizes, channels, bits, leak, duplicate, patients, few;
        of volumes spacing, and none of sizes, channels, bits, tiny.

    Raises:
        DataError: the data cannot be read at all.
        ConfigError: `groups` or `objects` mean nothing for it.
    """
    card = with_options(cards.load(source, "segmentation"), {"groups": groups})
    card, parts, _ = loading.read_parts(card, task="segmentation", verify=True, progress=progress)
    noun = _noun(parts)
    if looked is not None:
        count = sum(len(part.images) for part in parts.values())
        looked.append(f"{count:,} {noun} and their masks, {', '.join(parts['train'].names)}")
    counts = {split: _counts(part) for split, part in parts.items()}
    findings = [*_bad(parts), *_read_otherwise(parts), *_labels(parts, counts), *_foreground(parts, counts)]
    if objects:
        findings += _merged(card, parts)
    if has_volumes(parts["train"].images):
        return ranked([*findings, *of_volumes.findings(parts), *_few(parts)])
    findings += _tiny(parts, progress)
    return ranked([*findings, *_sizes(parts), *_forms(parts, progress), *_same_pictures(parts), *_few(parts)])


def _noun(parts: Mapping[str, Part]) -> str:
    return str(getattr(parts["train"].images, "noun", "pictures"))


def _bad(parts: Mapping[str, Part]) -> Iterator[Finding]:
    files = [f"{name} ({reason})" for part in parts.values() for name, reason in part.bad]
    text = f"{len(files)} {'files' if len(files) != 1 else 'file'} cannot be used. Repair or delete them."
    yield from listed("error", "bad-file", text, files)


def _read_otherwise(parts: Mapping[str, Part]) -> Iterator[Finding]:
    rows: list[Entry] = [
        row for part in parts.values() for row in part.entries if row.status in ("changed", "left out")
    ]
    for row in rows:
        yield Finding("note", "read-otherwise", f"{row.count:,} {row.what} {row.reason}.", row.examples)
    for part in parts.values():
        for line in part.notes:
            yield Finding("warning", "values", line)


def _counts(part: Part) -> np.ndarray:
    """Return how many pixels of each mask have each code: int (n, 256); of masks in files their reader knows."""
    known = getattr(part.more, "counts", None)
    if known is not None:
        return np.asarray(known)
    found = np.zeros((len(part.images), 256), np.int64)
    for index in range(len(part.images)):
        found[index] = np.bincount(part.more.native(index).ravel(), minlength=256)
    return found


def _labels(parts: Mapping[str, Part], counted: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Find labels that a split has no pixel of."""
    train = parts["train"]
    for split, part in parts.items():
        counts = counted[split].sum(axis=0)
        for label, region in zip(part.names, part.more.regions):
            if counts[list(region)].sum() or not len(part.images):
                continue
            if split == "train":
                text = f"No training picture has {label}: it is never learnt. Add some, or leave the label out."
                yield Finding("error", "missing-label", text)
            else:
                yield Finding("warning", "missing-label", f"The {split} split has no {label}: it is not scored there.")
        unknown = [label for label in part.names if label not in train.names]
        if unknown:
            text = f"The {split} split has {', '.join(unknown)}, which training has not: never learnt."
            yield Finding("error", "unknown-label", text)


def _foreground(parts: Mapping[str, Part], counted: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    empty: list[str] = []
    full = total = 0
    for split, part in parts.items():
        counts = counted[split]
        labelled = counts[:, 1:IGNORE].sum(axis=1)
        empty += [part.images.name(int(index)) for index in np.flatnonzero(labelled == 0)]
        full += int(labelled.sum())
        total += int(counts[:, :IGNORE].sum())
    noun = _noun(parts)
    text = f"{len(empty)} {noun} have no foreground. They teach that nothing is there; their Dice is not defined."
    yield from listed("note", "no-foreground", text, empty)
    if total and full > MOSTLY * total:
        yield Finding(
            "warning",
            "mostly-foreground",
            f"Foreground covers {full / total:.0%} of all pixels. If what is to be found is the rest, name it: "
            "`values = { NAME = 0 }` in a card.",
        )


def _merged(card: cards.Card, parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Find pieces that look like several objects in masks that do not tell objects apart."""
    train = parts["train"]
    if has_volumes(train.images):
        raise ConfigError(OBJECTS_OF_VOLUMES)
    if all(name.isdecimal() for name in train.names):  # nobody named these values: they may be numbers of objects
        return
    check_only(card, train.names, train.more.regions)
    every = [k for k in range(len(train.images)) if train.more.objects(k) is None]
    several, count = apart.merged(np.isin(train.more.native(k), train.more.regions[0]) for k in every)
    if several:
        yield Finding("warning", "objects", f"{several:,} of {count:,} pieces {MERGED}")


def _tiny(parts: Mapping[str, Part], progress: Progress | None) -> Iterator[Finding]:
    """Find masks with pieces of a label too small to be meant, and read every mask once."""
    rows = [(part, index) for part in parts.values() for index in range(len(part.images))]

    def pieces(row: tuple[Part, int]) -> str | None:
        part, index = row
        name = part.images.name(index)
        try:
            codes = part.more.native(index)
        except DataError:  # named by the reader
            return None
        small = 0
        for plane in planes(codes, part.more.regions):
            _, _, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
            small += int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] <= TINY))
        return f"{name} ({small})" if small else None

    files: list[str] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(rows), 256):
            files += [name for name in pool.map(pieces, rows[start : start + 256]) if name]
            if progress:
                progress("Looking at masks", min(start + 256, len(rows)), len(rows))
    text = f"{len(files)} masks have pieces of at most {TINY} px, as a slip of the hand leaves. Look at some."
    yield from listed("note", "tiny", text, files)


def _sizes(parts: Mapping[str, Part]) -> Iterator[Finding]:
    known = [getattr(part.images, "sizes", None) for part in parts.values()]
    sizes = np.concatenate([rows for rows in known if rows is not None] or [np.zeros((0, 2), np.int32)])
    if len(sizes) and (sizes != sizes[0]).any():
        (low_h, low_w), (high_h, high_w) = sizes.min(axis=0), sizes.max(axis=0)
        yield Finding("note", "sizes", f"Pictures are {low_w} to {high_w} px wide and {low_h} to {high_h} px high.")


def _forms(parts: Mapping[str, Part], progress: Progress | None) -> Iterator[Finding]:
    """Find pictures that differ in channels, or in the type of their values."""
    rows = [(part, index) for part in parts.values() for index in range(len(part.images))]

    def form(row: tuple[Part, int]) -> tuple[str, str, str] | None:
        part, index = row
        try:
            picture = part.images.native(index)
        except DataError:  # named by the reader
            return None
        count = 1 if picture.ndim == 2 else picture.shape[2]
        kind = str(picture.dtype)
        return part.images.name(index), CHANNELS.get(count, f"of {count} channels"), BITS.get(kind, f"of {kind}")

    channels: dict[str, list[str]] = defaultdict(list)
    bits: dict[str, list[str]] = defaultdict(list)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(rows), 256):
            for found in pool.map(form, rows[start : start + 256]):
                if found is not None:
                    channels[found[1]].append(found[0])
                    bits[found[2]].append(found[0])
            if progress:
                progress("Looking at pictures", min(start + 256, len(rows)), len(rows))
    what = "A network sees them all as most are: grey ones in each channel, colours as grey."
    yield from _mixed("channels", channels, what)
    what = "Their values differ in range: say by `values` how they become bytes, or save all alike."
    yield from _mixed("bits", bits, what)


def _mixed(kind: str, found: Mapping[str, list[str]], meaning: str) -> Iterator[Finding]:
    if len(found) > 1:
        ordered = sorted(found.items(), key=lambda entry: -len(entry[1]))
        counts = ", ".join(f"{len(names):,} {'are' if len(names) != 1 else 'is'} {form}" for form, names in ordered)
        examples = [f"{names[0]} ({form})" for form, names in ordered]
        yield Finding("warning", kind, f"Pictures differ in {kind}: {counts}. {meaning}", examples)


def _same_pictures(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Find pictures of equal content, within a split and across two."""
    places: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for split, part in parts.items():
        for index in range(len(part.images)):
            sha = hashlib.sha256()
            part.images.digest(np.array([index]), sha.update)
            places[sha.digest()].append((split, part.images.name(index)))
    across: list[str] = []
    within: list[str] = []
    for rows in places.values():
        if len(rows) > 1:
            line = " = ".join(f"{name} ({split})" for split, name in rows[:4])
            (across if len({split for split, _ in rows}) > 1 else within).append(line)
    text = (
        f"{len(across)} pictures are in two splits: the score would count what was learnt by heart. Delete one of each."
    )
    yield from listed("error", "leak", text, across)
    text = f"{len(within)} pictures occur more than once in a split. Held out by chance, one would be known from the other."
    yield from listed("warning", "duplicate", text, within)


def _few(parts: Mapping[str, Part]) -> Iterator[Finding]:
    train = parts["train"]
    if len(train.images) < FEW:
        yield Finding(
            "warning",
            "few",
            f"Training has {len(train.images)} {_noun(parts)}: hardly anything can be learnt from them.",
        )
    if train.groups is None and train.group_note:
        yield Finding("note", "patients", train.group_note)

"""What would spoil training or flatter its score, found before training.

Design choices:
- Everything is decoded once, in threads, a block at a time; of each image a digest of its pixels, a 64-bit hash and its
  size are kept, some 40 bytes.
- Exact duplicates share all decoded pixels, whatever the file format. The same picture under two labels is an error:
  one of them is wrong. The same picture in two splits is an error: the score would count what was learnt by heart.
- Near-duplicates across splits (scaled, recompressed, brightened copies, frames of one track) are proposed by a
  perceptual hash (the signs of the 63 lowest DCT coefficients of 32x32 greys) and then held against each other pixel by
  pixel at 32x32. A hash alone calls any two ones of MNIST duplicates. Copies scaled to less than 32 px may escape.
- Errors should stop a training, warnings should be looked at, notes are for the record.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnkit.data import loading
from cnnkit.data.records import Progress, Records, Splits
from cnnkit.device import image
from cnnkit.errors import DataError

DISTANCE = 4  # bits in which the hashes of near-duplicates may differ
CORRELATION = 0.995  # of near-duplicates at 32x32; the most alike ones of MNIST's two splits have 0.9945
STARVED = 0.1  # of the median class: a class with fewer images is starved
FEW = 10  # images of a class in training below which nothing is learnt reliably
ODD_SIZE = 4  # times smaller or larger than the median side
MOST_FILES = 20  # named in a finding
_BLOCK = 512
_GRID = 32
_PAIRS = 4096  # compared at once: 32 MB


@dataclass(frozen=True)
class Finding:
    """Something found in a data set.

    Attributes:
        severity: "error", "warning" or "note".
        kind: a word to find it by, such as "duplicate".
        text: one line: what it is and what to do.
        files: the images it is about, the first 20.
    """

    severity: str
    kind: str
    text: str
    files: tuple[str, ...] = ()


def check(source: Path | str | Splits, *, progress: Progress | None = None) -> list[Finding]:
    """Look for what spoils training: bad files, odd sizes, starved classes, duplicates, leaks between splits.

    Args:
        source: name of a card, path of a card, folder or file; or splits that are loaded already.
        progress: called as progress(what, done, total).

    Returns:
        findings, errors first; none for a clean data set.

    Raises:
        DataError: there is no such data at all, or none of it can be read.
    """
    findings: list[Finding] = []
    if isinstance(source, Splits):
        records = {split: getattr(source, split) for split in ("train", "validation", "test")}
    else:
        records = _open(source, findings, progress)
    traits = _measure(records, findings, progress)
    findings += _classes(records)
    findings += _sizes(records, traits)
    findings += _exact_duplicates(records, traits)
    findings += _near_duplicates(records, traits, progress)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _open(source: Path | str, findings: list[Finding], progress: Progress | None) -> dict[str, Records]:
    """Read the splits of a source, dividing it as `load` would, so that what is bad is a finding and not the end."""
    card, parts, held_out = loading.read_parts(source, progress=progress)
    bad = [row for part in parts.values() for row in part.bad]
    if bad:
        files = [f"{path} ({reason})" for path, reason in bad]
        findings.append(
            _finding(
                "error", "bad-file", f"{len(bad)} files cannot be used. Repair or delete them, or --skip-bad.", files
            )
        )
    ignored = [path for part in parts.values() for path in part.ignored]
    if ignored:
        findings.append(_finding("note", "ignored", f"{len(ignored)} files are no images by their names.", ignored))
    names, codes = _labels(card, parts, findings)
    records = {
        split: Records(part.images, codes[split], names, groups=part.groups, image_shape=card.image_shape)
        for split, part in parts.items()
    }
    divided = loading.divide(records, held_out)
    return {"train": divided.train, "validation": divided.validation, "test": divided.test}


def _labels(card, parts, findings: list[Finding]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    try:
        return loading.settle_labels(card, parts)
    except DataError as error:
        findings.append(Finding("error", "labels", str(error)))
    names = tuple(dict.fromkeys(name for part in parts.values() for name in part.names))
    places = {split: np.array([names.index(name) for name in part.names], np.int32) for split, part in parts.items()}
    return names, {split: places[split][part.codes] for split, part in parts.items()}


@dataclass
class _Traits:
    """What is kept of the images of one split.

    Attributes:
        pixels: 16-byte digests of the decoded pixels, void (n,).
        hashes: uint64 (n,).
        flat: bool (n,), images of one colour, which have no meaningful hash.
        sides: int32 (n, 2), height and width.
        read: bool (n,), False where an image could not be decoded.
    """

    pixels: np.ndarray
    hashes: np.ndarray
    flat: np.ndarray
    sides: np.ndarray
    read: np.ndarray


def _measure(records: dict[str, Records], findings: list[Finding], progress: Progress | None) -> dict[str, _Traits]:
    """Decode every image once."""
    total, done = sum(len(part) for part in records.values()), 0
    traits, bad = {}, []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for split, part in records.items():
            n = len(part)
            kept = traits[split] = _Traits(
                np.zeros(n, "V16"),
                np.zeros(n, np.uint64),
                np.zeros(n, bool),
                np.zeros((n, 2), np.int32),
                np.ones(n, bool),
            )
            for indices, results in _blocks(pool, part):
                grids = np.zeros((len(indices), _GRID, _GRID), np.float32)
                for k, result in enumerate(results):
                    if isinstance(result, image.ImageError):
                        kept.read[indices[k]] = False
                        bad.append(f"{part.name(int(indices[k]))} ({result.reason})")
                    else:
                        kept.pixels[indices[k]], kept.sides[indices[k]], grids[k] = result
                kept.flat[indices] = np.ptp(grids, (1, 2)) < 2
                kept.hashes[indices] = perceptual_hash(grids)
                done += len(indices)
                if progress:
                    progress("Looking at images", done, total)
    if bad:
        findings.append(_finding("error", "bad-file", f"{len(bad)} images do not decode. Repair or delete them.", bad))
    return traits


def _blocks(pool: ThreadPoolExecutor, records: Records) -> Iterator[tuple[np.ndarray, list]]:
    def traits(index: int):
        try:
            pixels = records.native(index)
        except image.ImageError as error:
            return error
        digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
        digest.update(pixels.tobytes())
        return np.void(digest.digest()), pixels.shape[:2], _grid(pixels)

    def some(indices: np.ndarray) -> list:
        return [traits(index) for index in indices.tolist()]

    for start in range(0, len(records), _BLOCK):
        indices = np.arange(start, min(len(records), start + _BLOCK))
        yield indices, list(itertools.chain(*pool.map(some, np.array_split(indices, 16))))


def _grid(pixels: np.ndarray) -> np.ndarray:
    """Fit an image to 32x32 greys."""
    return image.fit_image(pixels, (_GRID, _GRID, 1))[..., 0]


def _cosines() -> np.ndarray:
    """The first 8 rows of the DCT of 32 values."""
    angles = np.pi / _GRID * (np.arange(_GRID) + 0.5) * np.arange(8)[:, None]
    return np.cos(angles).astype(np.float32)


def perceptual_hash(grids: np.ndarray) -> np.ndarray:
    """Hash pictures so that similar ones differ in few bits: the signs of the lowest DCT coefficients but the mean.

    Args:
        grids: float32 (n, 32, 32).

    Returns:
        uint64 (n,).
    """
    basis = _cosines()
    low = (basis @ grids @ basis.T).reshape(len(grids), 64)
    low[:, 0] = 0
    bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)[:, 0]


def close_pairs(first: np.ndarray, second: np.ndarray, distance: int = DISTANCE) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs of 64-bit hashes that differ in at most `distance` bits.

    Args:
        first, second: uint64 (n,), (m,).

    Returns:
        int64 (pairs,) into `first` and `second`.
    """
    left, right = [], []
    step = max(1, 2**22 // max(1, len(second)))
    for start in range(0, len(first), step):
        different = first[start : start + step, None] ^ second
        a, b = np.nonzero(_bit_count(different) <= distance)
        left.append(a + start)
        right.append(b)
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *left]), np.concatenate([empty, *right])


def _bit_count(values: np.ndarray) -> np.ndarray:
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    table = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)  # NumPy 1
    return table[values.view(np.uint8).reshape(*values.shape, 8)].sum(-1)


def _classes(records: dict[str, Records]) -> Iterable[Finding]:
    train = records["train"]
    counts = train.counts()
    names = np.array(train.label_names, object)
    empty = names[counts == 0]
    if len(empty):
        yield Finding("error", "empty-class", f"No training image of {_some(empty)}. Add some or remove the class.")
    if np.count_nonzero(counts) == 1:
        yield Finding("error", "one-class", f"Every training image is {names[counts > 0][0]}: nothing to tell apart.")
    present = counts[counts > 0]
    median = float(np.median(present)) if len(present) else 0
    starved = (counts > 0) & ((counts < STARVED * median) | (counts < FEW))
    for label in np.flatnonzero(starved):
        text = f"{names[label]} has {counts[label]:,} training images, the median class {median:,.0f}. Collect more."
        yield Finding("warning", "starved-class", text)
    for split, part in records.items():
        missing = names[(part.counts() == 0) & (counts > 0)]
        if split != "train" and len(part) and len(missing):
            yield Finding("warning", "missing-class", f"The {split} split has no image of {_some(missing)}.")


def _sizes(records: dict[str, Records], traits: dict[str, _Traits]) -> Iterable[Finding]:
    sides = np.sqrt(np.concatenate([t.sides[t.read].prod(1, dtype=np.int64) for t in traits.values()]))
    if not len(sides):
        return
    median = float(np.median(sides))
    for word, odd in (("smaller", lambda s: s * ODD_SIZE < median), ("larger", lambda s: s > ODD_SIZE * median)):
        files = []
        for split, kept in traits.items():
            side = np.sqrt(kept.sides.prod(1, dtype=np.int64))
            for index in np.flatnonzero(odd(side) & kept.read):
                height, width = kept.sides[index]
                files.append(f"{records[split].name(int(index))} ({width} x {height})")
        if files:
            text = f"{len(files)} images are more than {ODD_SIZE} times {word} than the median of {median:.0f} px."
            yield _finding("warning", "odd-size", text, files)


def _exact_duplicates(records: dict[str, Records], traits: dict[str, _Traits]) -> Iterable[Finding]:
    """Group equal pixels over all splits: within one, across two, and under two labels."""
    splits = list(records)
    pixels = np.concatenate([traits[split].pixels for split in splits])
    read = np.concatenate([traits[split].read for split in splits])
    owner = np.repeat(np.arange(len(splits)), [len(records[split]) for split in splits])
    place = np.concatenate([np.arange(len(records[split])) for split in splits])
    labels = np.concatenate([records[split].labels for split in splits])
    order = np.argsort(pixels.view([("a", "<u8"), ("b", "<u8")]), order=("a", "b"), kind="stable")
    order = order[read[order]]
    if not len(order):
        return
    edges = np.flatnonzero(pixels[order][1:] != pixels[order][:-1]) + 1
    within, across, torn = [], [], []
    for members in np.split(order, edges):
        if len(members) < 2:
            continue
        names = [records[splits[owner[m]]].name(int(place[m])) for m in members[:4].tolist()]
        row = " = ".join(names) + (f" and {len(members) - 4} more" if len(members) > 4 else "")
        if len(set(labels[members].tolist())) > 1:
            torn.append(row)
        if len(set(owner[members].tolist())) > 1:
            across.append(row)
        else:
            within.append(row)
    if torn:
        yield _finding(
            "error", "two-labels", f"{len(torn)} pictures stand under two labels. Delete the wrong one.", torn
        )
    if across:
        text = f"{len(across)} pictures are in two splits: the score would count what was learnt by heart. Delete one."
        yield _finding("error", "leak", text, across)
    if within:
        yield _finding("note", "duplicate", f"{len(within)} pictures occur more than once in a split.", within)


def _near_duplicates(
    records: dict[str, Records], traits: dict[str, _Traits], progress: Progress | None
) -> Iterable[Finding]:
    """Compare every held-out split with training, and test with validation."""
    pairs = [("train", "test"), ("train", "validation"), ("validation", "test")]
    for first, second in pairs:
        if not (first in records and second in records and len(records[first]) and len(records[second])):
            continue
        found = list(_confirmed(records[first], traits[first], records[second], traits[second]))
        if found:
            files = [f"{records[second].name(b)} ~ {records[first].name(a)}" for a, b in found]
            text = (
                f"{len(found)} images of the {second} split are nearly the same as one of the {first} split: copies, "
                "or frames of one scene. Keep them in one split."
            )
            yield _finding("warning", "near-duplicate", text, files)
        if progress:
            progress(f"Compared {first} and {second}", 1, 1)


def _confirmed(first: Records, one: _Traits, second: Records, two: _Traits) -> Iterator[tuple[int, int]]:
    """Yield (index in first, index in second): for each image of the second the most alike, if alike enough."""
    usable = [np.flatnonzero(kept.read & ~kept.flat) for kept in (one, two)]
    a, b = close_pairs(one.hashes[usable[0]], two.hashes[usable[1]])
    a, b = usable[0][a], usable[1][b]
    different = one.pixels[a] != two.pixels[b]  # equal ones are reported as leaks
    a, b = a[different], b[different]
    if not len(a):
        return
    parts = [slice(start, start + _PAIRS) for start in range(0, len(a), _PAIRS)]
    alike = np.concatenate([_correlations(first, a[part], second, b[part]) for part in parts])
    order = np.lexsort((-alike, b))
    a, b, alike = a[order], b[order], alike[order]
    for best in np.flatnonzero(np.diff(b, prepend=-1)).tolist():
        if alike[best] >= CORRELATION:
            yield int(a[best]), int(b[best])


def _correlations(first: Records, left: np.ndarray, second: Records, right: np.ndarray) -> np.ndarray:
    """Correlate pairs of images at 32x32: float32 (pairs,) in [-1, 1]."""
    grids = []
    for records, indices in ((first, left), (second, right)):
        unique, places = np.unique(indices, return_inverse=True)
        grids.append(np.stack([_normal(records, index) for index in unique.tolist()])[places])
    return (grids[0] * grids[1]).sum((1, 2))


def _normal(records: Records, index: int) -> np.ndarray:
    """32x32 greys of mean 0 and norm 1, so that a sum of products is a correlation."""
    grid = _grid(records.native(index)).astype(np.float32)
    grid -= grid.mean()
    return grid / max(float(np.sqrt((grid * grid).sum())), 1e-6)


def _finding(severity: str, kind: str, text: str, files: list[str]) -> Finding:
    return Finding(severity, kind, text, tuple(files[:MOST_FILES]))


def _some(names: Iterable[str], most: int = 5) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

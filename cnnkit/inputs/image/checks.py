"""What would spoil training or flatter its score, found before training.

Design choices:
- Everything is decoded once, in threads, a block at a time; of each image a digest of its pixels, a 64-bit hash, an 8x8
  thumbnail and its size are kept, some 170 bytes, and of at most 100,000 images 1.4 KB for the look at labels.
- Exact duplicates share all decoded pixels, whatever the file format. The same picture under two labels is an error:
  one of them is wrong. The same picture in two splits is an error: the score would count what was learnt by heart.
- Near-duplicates across splits (scaled, recompressed, brightened copies, frames of one track) are proposed by a
  perceptual hash (the signs of the 63 lowest DCT coefficients of 32x32 greys) and then held against each other pixel by
  pixel at 32x32. A hash alone calls any two ones of MNIST duplicates. Copies scaled to less than 32 px may escape it.
- Images that are small or poor in contrast leave the hash little: saved again as JPEG, one in twenty traffic signs of
  32 px changes more bits than that, and most correlate below 0.995. So each image is also held against all of the other
  split at 8x8, and called a copy if its nearest is far nearer than the nearest of another group: in 400 copies of each of
  nine kinds the original was always the nearest.
- What that costs is the product of two splits, 128 floating-point operations a pair. Above 20 billion pairs only the
  hash is used.
- Labels that look wrong are found as `label_check` says, in all splits at once.
- Errors should stop a training, warnings should be looked at, notes are for the record.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnnkit.data import inventory, loading, splits
from cnnkit.data.cards import Card
from cnnkit.data.findings import FEW, STARVED, Finding, listed, ranked
from cnnkit.data.loading import some
from cnnkit.data.records import Progress, Records, Splits
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.inputs.image import label_check
from cnnkit.inputs.image import loading as image_loading

DISTANCE = 4  # bits in which the hashes of near-duplicates may differ
CORRELATION = 0.995  # of near-duplicates at 32x32; the most alike ones of MNIST's two splits have 0.9945
NEAR = 0.955  # correlation of copies at 8x8, at least
RATIO = 0.15  # of 1 - correlation to that with the nearest image of another group; different pictures have 0.2 to 1
RESIDUAL = 0.75  # greys that copies differ by at 8x8, for pictures of little contrast; then a RATIO of 0.5 is enough
ODD_SIZE = 4  # times smaller or larger than the median side
_BLOCK = 512
_GRID = 32
_PAIRS = 4096  # compared at once: 32 MB
_MOST_PAIRS = 20_000_000_000  # correlated at 8x8
_NEIGHBOURS = 20  # images of other groups needed to say that one is far nearer than the others


def check(
    source: Path | str | Splits,
    *,
    label: str | int | None = None,
    separator: str | None = None,
    groups: str | None = None,
    looked: list[str] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for what spoils training: bad files, odd sizes, starved classes, wrong labels, duplicates, leaks between splits.

    In all 5,800 traffic signs of 43 classes take some 2 s on one core, 16,000 images of MNIST some 3 s. The look at labels
    ends at 100,000 images; the search for near-duplicates grows with the product of two splits.

    Args:
        source: name of a card, path of a card, folder or file; or splits that are loaded already.
        label, separator, groups: as `image_loading.load`.
        looked: takes lines on what was looked at: what was found and left out, classes, sizes, groups, splits.
        progress: called as progress(what, done, total).

    Returns:
        findings, errors first; none for a clean data set.

    Raises:
        DataError: there is no such data at all, or none of it can be read.
    """
    findings: list[Finding] = []
    told: list[str] = []
    if isinstance(source, Splits):
        divided, own = source, {"train", "validation", "test"}
        told += inventory.lines(source.card.get("inventory", {}))
    else:
        card = image_loading.with_options(source, {"label": label, "separator": separator, "groups": groups})
        divided, own = _open(card, findings, told, progress)
    records = divided.parts
    traits = _measure(records, findings, progress)
    findings += _classes(records, own)
    findings += _labels_in_doubt(records, traits, progress)
    findings += _sizes(records, traits)
    findings += _exact_duplicates(records, traits, own)
    findings += _near_duplicates(records, traits, own)
    if looked is not None:
        looked += [*told, *_looked_at(records, traits, own)]
    return ranked(findings)


def _open(source: Card, findings: list[Finding], told: list[str], progress: Progress | None) -> tuple[Splits, set[str]]:
    """Read the splits of a source, dividing it as `load` would, so that what is bad is a finding and not the end.

    Returns:
        the splits, and which of them are the source's own.
    """
    stated = image_loading.stated_shape(source)
    card, parts, held_out = loading.read_parts(source, task="classification", progress=progress)
    bad = [row for part in parts.values() for row in part.bad]
    text = f"{len(bad)} files cannot be used. Repair or delete them, or `skip_bad`."
    findings += listed("error", "bad-file", text, [f"{path} ({reason})" for path, reason in bad])
    ignored = [path for part in parts.values() for path in part.ignored]
    findings += listed("note", "ignored", f"{len(ignored)} files are no images by their names.", ignored)
    names, codes = _labels(card, parts, findings)
    records = image_loading.as_records(parts, names, codes, stated)
    divided = replace(loading.divide(records, held_out), card={"title": card.title})
    used = {split: len(part) for split, part in divided.parts.items()}
    told += inventory.lines(inventory.describe("images", used, image_loading.fates(parts), image_loading.told(parts)))
    try:
        loading.check_divided(divided)
    except DataError as error:
        findings.append(Finding("error", "no-test", str(error)))
    return divided, set(parts)


def _labels(card, parts, findings: list[Finding]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    try:
        return loading.align_labels(card, parts)
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
        small: float16 (n, 64), 8x8 greys of mean 0.
        described: float16 (k, 704), features of the images whose labels are judged.
        chosen: int64 (k,), which these are.
        flat: bool (n,), images of one colour, which have no meaningful hash.
        sides: int32 (n, 2), height and width.
        read: bool (n,), False where an image could not be decoded.
    """

    pixels: np.ndarray
    hashes: np.ndarray
    small: np.ndarray
    described: np.ndarray
    chosen: np.ndarray
    flat: np.ndarray
    sides: np.ndarray
    read: np.ndarray


def _looked_at(records: dict[str, Records], traits: dict[str, _Traits], own: set[str]) -> Iterator[str]:
    """Say in lines which classes, sizes and splits there are."""
    counts = np.sum([part.counts() for part in records.values()], axis=0)
    names = next(iter(records.values())).label_names
    order = np.argsort(counts, kind="stable")
    few, many = (f"{counts[k]:,} ({names[k]})" for k in (order[0], order[-1]))
    yield f"Classes: {len(names):,}, of {few} to {many} images: {some(names)}."
    sides = np.concatenate([kept.sides[kept.read] for kept in traits.values()])
    if len(sides):
        areas = sides.prod(1, dtype=np.int64)
        small, large = (sides[k] for k in (areas.argmin(), areas.argmax()))
        sizes = f"{small[1]} x {small[0]}" + ("" if (sides == sides[0]).all() else f" to {large[1]} x {large[0]}")
        yield f"Sizes: {sizes} px, read as {' x '.join(map(str, records['train'].input_shape))}."
    drawn = [split for split in records if split not in own and len(records[split])]
    if drawn:
        yield f"Splits: {' and '.join(drawn)} as training draws them from the data, by its seed."


def _measure(records: dict[str, Records], findings: list[Finding], progress: Progress | None) -> dict[str, _Traits]:
    """Decode every image once."""
    total, done = sum(len(part) for part in records.values()), 0
    share = min(1, label_check.MOST / max(1, total))
    traits, bad = {}, []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for split, part in records.items():
            n = len(part)
            chosen = np.sort(splits.spread(part.labels)[: int(n * share)])
            kept = traits[split] = _Traits(
                np.zeros(n, "V16"),
                np.zeros(n, np.uint64),
                np.zeros((n, 64), np.float16),
                np.zeros((len(chosen), label_check.FEATURES), np.float16),
                chosen,
                np.zeros(n, bool),
                np.zeros((n, 2), np.int32),
                np.ones(n, bool),
            )
            for indices, results in _blocks(pool, part, chosen):
                grids = np.zeros((len(indices), _GRID, _GRID), np.float32)
                for k, result in enumerate(results):
                    if isinstance(result, image.ImageError):
                        kept.read[indices[k]] = False
                        bad.append(f"{part.name(int(indices[k]))} ({result.reason})")
                    else:
                        kept.pixels[indices[k]], kept.sides[indices[k]], grids[k], described = result
                        if described is not None:
                            kept.described[np.searchsorted(chosen, indices[k])] = described
                kept.flat[indices] = np.ptp(grids, (1, 2)) < 2
                kept.hashes[indices] = perceptual_hash(grids)
                small = grids.reshape(-1, 8, 4, 8, 4).mean((2, 4)).reshape(-1, 64)
                kept.small[indices] = small - small.mean(1, keepdims=True)
                done += len(indices)
                if progress:
                    progress("Looking at images", done, total)
    findings += listed("error", "bad-file", f"{len(bad)} images do not decode. Repair or delete them.", bad)
    return traits


def _blocks(pool: ThreadPoolExecutor, records: Records, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, list]]:
    wanted = np.zeros(len(records), bool)
    wanted[chosen] = True
    side = label_check.SIDE

    def traits(index: int):
        try:
            pixels = records.native(index)
        except image.ImageError as error:
            return error
        digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
        digest.update(pixels.tobytes())
        thumbnail = image.fit_image(pixels, (side, side, 3)) if wanted[index] else None
        return [np.void(digest.digest()), pixels.shape[:2], _grid(pixels), thumbnail]

    def some(indices: np.ndarray) -> list:
        results = [traits(index) for index in indices.tolist()]
        described = [row for row in results if isinstance(row, list) and row[3] is not None]
        if described:
            for row, features in zip(described, label_check.features(np.stack([row[3] for row in described]))):
                row[3] = features
        return results

    for indices in records.blocks(_BLOCK):
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


def _classes(records: dict[str, Records], own: set[str]) -> Iterable[Finding]:
    train = records["train"]
    counts = train.counts()
    names = np.array(train.label_names, object)
    empty = names[counts == 0]
    if len(empty):
        yield Finding("error", "empty-class", f"No training image of {some(empty)}. Add some or remove the class.")
    if np.count_nonzero(counts) == 1:
        yield Finding("error", "one-class", f"Every training image is {names[counts > 0][0]}: nothing to tell apart.")
    present = counts[counts > 0]
    median = float(np.median(present)) if len(present) else 0
    starved = (counts > 0) & ((counts < STARVED * median) | (counts < FEW))
    for label in np.flatnonzero(starved):
        text = f"{names[label]} has {counts[label]:,} training images, the median class {median:,.0f}. Collect more."
        yield Finding("warning", "starved-class", text)
    if train.groups is not None and not train.multi_label:
        yield from _few_groups(train, train.groups, counts)
    for split, part in records.items():
        missing = names[(part.counts() == 0) & (counts > 0)]
        if split != "train" and len(part) and len(missing):
            why = "" if split in own else ": training finds too few to hold any out"
            yield Finding("warning", "missing-class", f"The {split} split has no image of {some(missing)}{why}.")


def _few_groups(train: Records, groups: np.ndarray, counts: np.ndarray) -> Iterable[Finding]:
    """Name classes whose images are all of one group, where most classes have several."""
    pairs = np.unique(np.stack([train.labels, groups]), axis=1)
    known = np.bincount(pairs[0], minlength=len(counts))
    if not (counts > 0).any() or np.median(known[counts > 0]) < 2:
        return
    for label in np.flatnonzero((known == 1) & (counts > 1)):
        text = (
            f"class {train.label_names[label]}: {counts[label]:,} training images, but of one group (track): "
            "they show one and the same thing. Collect others."
        )
        yield Finding("warning", "starved-class", text)


def _labels_in_doubt(
    records: dict[str, Records], traits: dict[str, _Traits], progress: Progress | None
) -> Iterable[Finding]:
    """Judge the labels of all splits together: single images, then whole groups. Of several labels an image nothing is said."""
    if any(part.multi_label for part in records.values()):
        return
    chosen = {split: kept.read[kept.chosen] & ~kept.flat[kept.chosen] for split, kept in traits.items()}
    places = [(split, int(k)) for split, kept in traits.items() for k in kept.chosen[chosen[split]]]
    if not places:
        return
    described = np.concatenate([kept.described[chosen[split]] for split, kept in traits.items()])
    labels = np.concatenate([records[split].labels[kept.chosen[chosen[split]]] for split, kept in traits.items()])
    names = next(iter(records.values())).label_names
    if progress:
        progress("Looking at labels", 0, len(labels))
    found = label_check.wrong_images(described, labels)
    if len(found.indices):
        rows = [
            f"{records[places[k][0]].name(places[k][1])} is {names[labels[k]]}, looks like {names[other]} ({p:.2f})"
            for k, other, p in zip(found.indices.tolist(), found.looks_like.tolist(), found.probability.tolist())
        ]
        yield Finding("warning", "wrong-label", _doubt(rows, "label", found), rows)
    if all(part.groups is None for part in records.values()):
        return
    groups = _numbered_groups(records, {split: kept.chosen[chosen[split]] for split, kept in traits.items()})
    found = label_check.wrong_groups(described, labels, groups)
    if len(found.indices):
        rows = []
        for group, other, p in zip(found.indices.tolist(), found.looks_like.tolist(), found.probability.tolist()):
            members = np.flatnonzero(groups == group)
            split, index = places[members[0]]
            rows.append(
                f"{records[split].name(index)} and the {len(members) - 1} others of its group are "
                f"{names[labels[members[0]]]}, look like {names[other]} ({p:.2f})"
            )
        yield Finding("warning", "wrong-group", _doubt(rows, "group's label", found), rows)


def _doubt(rows: list[str], what: str, found: label_check.Suspects) -> str:
    """Say what was found, and what to expect of it."""
    many = len(rows) > 1
    whats = {"label": "labels", "group's label": "groups' labels"}[what] if many else what
    return (
        f"{len(rows):,} {whats} {'look' if many else 'looks'} wrong: {rows[0]}{'; ...' if many else ''}. "
        f"A plain model that never saw them says so; it agrees with {100 * found.agrees:.1f} % of {found.judged:,} and "
        f"would notice at best {100 * found.catches:.0f} % of random wrong labels, fewer between classes that look alike. "
        "Rare but right images are among them: look at each before you change it."
    )


def _numbered_groups(records: dict[str, Records], indices: dict[str, np.ndarray]) -> np.ndarray:
    """Number the groups of some images from 0: int64 (n,); an image of a split without groups is one of its own."""
    parts, start = [], 0
    for split, chosen in indices.items():
        part = records[split]
        values = np.unique(chosen if part.groups is None else part.groups[chosen], return_inverse=True)[1]
        parts.append(values + start)
        start += int(values.max()) + 1 if len(values) else 0
    return np.concatenate(parts)


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
        text = f"{len(files)} images are more than {ODD_SIZE} times {word} than the median of {median:.0f} px."
        yield from listed("warning", "odd-size", text, files)


def _exact_duplicates(records: dict[str, Records], traits: dict[str, _Traits], own: set[str]) -> Iterable[Finding]:
    """Group equal pixels over all splits: within one, across two, and under two labels."""
    splits = list(records)
    pixels = np.concatenate([traits[split].pixels for split in splits])
    read = np.concatenate([traits[split].read for split in splits])
    owner = np.repeat(np.arange(len(splits)), [len(records[split]) for split in splits])
    place = np.concatenate([np.arange(len(records[split])) for split in splits])
    labels = _told_apart([records[split] for split in splits])
    order = np.argsort(pixels.view([("a", "<u8"), ("b", "<u8")]), order=("a", "b"), kind="stable")
    order = order[read[order]]
    if not len(order):
        return
    edges = np.flatnonzero(pixels[order][1:] != pixels[order][:-1]) + 1
    within, across, drawn, torn = [], [], [], []
    for members in np.split(order, edges):
        if len(members) < 2:
            continue
        names = [records[splits[owner[m]]].name(int(place[m])) for m in members[:4].tolist()]
        row = " = ".join(names) + (f" and {len(members) - 4} more" if len(members) > 4 else "")
        if len(set(labels[members].tolist())) > 1:
            torn.append(row)
        here = {splits[k] for k in owner[members].tolist()}
        if len(here & own) > 1:
            across.append(row)
        elif len(here) > 1:
            drawn.append(row)
        else:
            within.append(row)
    yield from listed(
        "error", "two-labels", f"{len(torn)} pictures stand under two labels. Delete the wrong one.", torn
    )
    text = f"{len(across)} pictures are in two splits: the score would count what was learnt by heart. Delete one."
    yield from listed("error", "leak", text, across)
    text = (
        f"{len(drawn)} pictures are there more than once, and the splits that training draws have them on two sides: "
        "the score would count what was learnt by heart. Delete the copies."
    )
    yield from listed("warning", "leak", text, drawn)
    yield from listed("note", "duplicate", f"{len(within)} pictures occur more than once in a split.", within)


def _told_apart(parts: list[Records]) -> np.ndarray:
    """Return int (n,) of all records of several splits, equal where they have the same label or labels."""
    if not any(part.multi_label for part in parts):
        return np.concatenate([part.labels for part in parts])
    rows = np.concatenate([part.targets(np.arange(len(part))) for part in parts])
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def near_duplicates(source: Splits) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Find all near-duplicates across splits, where `check` names the first 20.

    Returns:
        {(split, other split): [(index in split, index in other split)]}; exact copies are not among them.

    Raises:
        DataError: an image does not decode.
    """
    records = source.parts
    findings: list[Finding] = []
    traits = _measure(records, findings, None)
    if findings:
        raise DataError(f"{findings[0].text} {', '.join(findings[0].files[:3])}")
    return _copies(records, traits)


def _near_duplicates(records: dict[str, Records], traits: dict[str, _Traits], own: set[str]) -> Iterable[Finding]:
    for (first, second), found in _copies(records, traits).items():
        if found:
            files = [f"{records[second].name(b)} ~ {records[first].name(a)}" for a, b in found]
            text = (
                f"{len(found)} images of the {second} split are nearly the same as one of the {first} split: copies, "
                "or frames of one scene. Keep them in one split."
            )
            if not {first, second} <= own:
                text = (
                    f"{len(found)} pair{'s' * (len(found) != 1)} of images nearly the same, copies or frames of one scene: the "
                    f"{first} and {second} splits that training draws have one each. Delete copies, or say what belongs "
                    "together: folders CLASS/SCENE, or `groups`."
                )
            yield Finding("warning", "near-duplicate", text, files)


def _copies(records: dict[str, Records], traits: dict[str, _Traits]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Compare every held-out split with training, and test with validation."""
    near: dict[tuple[str, str], dict[int, int]] = {}
    for second, firsts in (("test", ["train", "validation"]), ("validation", ["train"])):
        near.update({(first, second): {} for first in firsts})
        for first, a, b in _nearest(records, traits, firsts, second):
            near[first, second][b] = a
    return {
        (first, second): _confirmed(rows, records[first], traits[first], records[second], traits[second])
        for (first, second), rows in near.items()
    }


def _confirmed(
    close: dict[int, int], first: Records, one: _Traits, second: Records, two: _Traits
) -> list[tuple[int, int]]:
    """Return (index in first, index in second): for each image of the second the most alike, if alike enough."""
    best = {**close, **{b: a for a, b in _by_hash(first, one, second, two)}}
    return [(a, b) for b, a in sorted(best.items()) if one.pixels[a] != two.pixels[b]]  # equal ones are leaks


def _nearest(
    records: dict[str, Records], traits: dict[str, _Traits], firsts: list[str], second: str
) -> Iterator[tuple[str, int, int]]:
    """Yield (split, index in it, index in second) of copies, by correlation at 8x8 with all images of `firsts`.

    All of them are searched at once: in a small split the only images of a class may be of one track, and look like
    copies of each other only because nothing else there looks like them.
    """
    parts = [(split, np.flatnonzero(traits[split].read & ~traits[split].flat)) for split in firsts]
    queries = np.flatnonzero(traits[second].read & ~traits[second].flat)
    count = sum(len(places) for _, places in parts)
    if not count or not len(queries) or count * len(queries) > _MOST_PAIRS:
        return
    pool = np.concatenate([traits[split].small[places] for split, places in parts]).astype(np.float32)
    owners = [(split, place) for split, places in parts for place in places.tolist()]
    usable = {split: np.isin(np.arange(len(records[split])), places) for split, places in parts}
    groups = _numbered_groups(records, {split: np.flatnonzero(kept) for split, kept in usable.items()})
    pool, norms = _unit(pool)
    step = max(1, 2**24 // count)
    for start in range(0, len(queries), step):
        asked, contrasts = _unit(traits[second].small[queries[start : start + step]].astype(np.float32))
        alike = asked @ pool.T
        best = alike.argmax(1)
        for k in np.flatnonzero(alike.max(1) >= NEAR).tolist():
            value = min(1.0, float(alike[k, best[k]]))
            others = alike[k][groups != groups[best[k]]]
            if len(others) < _NEIGHBOURS:
                continue
            ratio = (1 - value) / max(1e-6, 1 - float(others.max()))
            residual = min(contrasts[k], norms[best[k]]) / 8 * np.sqrt(1 - value * value)
            if ratio <= RATIO or (ratio <= 0.5 and residual <= RESIDUAL):
                yield *owners[best[k]], int(queries[start + k])


def _unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale rows to norm 1; return them and their norms."""
    norms = np.maximum(np.linalg.norm(rows, axis=1), 1e-3)
    return rows / norms[:, None], norms


def _by_hash(first: Records, one: _Traits, second: Records, two: _Traits) -> Iterator[tuple[int, int]]:
    """Yield (index in first, index in second) of copies that the hash proposes and the pixels confirm."""
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

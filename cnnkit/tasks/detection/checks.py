"""What would spoil the training of a detector or flatter its score, found in its boxes before training.

Design choices:
- What is looked at here are the annotations and, to find the same image twice, the files' bytes; images that do not decode are
  named by whoever read the annotations.
- A finding names the images, the first 20, with the box's label and place, so that it can be looked at and mended.
- Errors should stop a training: a box without extent or wholly outside its image, an image in two splits, a label that the
  training split does not have. Warnings should be looked at, notes are for the record.
- A box that leads out of its image by less than 1 px is rounding, not a fault.
- Labels that differ by case, spaces or one letter are taken for one misspelt; those that differ by a digit are not: speed
  limit 30 is not 50. Nor are letters of short names, such as A and B.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path

import numpy as np

from cnnkit.data.findings import FEW, MOST_FILES, Finding, listed, ranked
from cnnkit.data.inventory import Entry
from cnnkit.data.loading import some
from cnnkit.device.detection import ious
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.detection.boxes import Annotations, Box, Picture

SMALLEST = 2.0  # px of width or height below which nothing can be seen
OUTSIDE = 1.0  # px by which a box may lead out of its image
SAME = 0.9  # intersection over union above which two boxes are around one object
ODD_ASPECT = 10.0  # times longer than wide, or wider than long
_SHORT = 4  # letters of a name in which one letter makes another word


def check_boxes(splits: Mapping[str, Annotations]) -> list[Finding]:
    """Look for what spoils the training of a detector.

    Args:
        splits: {"train": ..., "validation": ..., "test": ...}, as many as there are; {} has no findings.

    Returns:
        findings, errors first; none for a clean data set. Kinds: bad-file, read-otherwise, ignored,
        box-size, box-outside, box-leads-out, box-twice, two-labels, box-aspect, few-boxes, no-boxes, unknown-label,
        unused-label, similar-labels, empty-image, unlabelled, unannotated, leak, duplicate.

    Raises:
        DataError: an image file cannot be read.
    """
    findings: list[Finding] = []
    findings += _bad(splits)
    findings += _read_otherwise(splits)
    findings += _ignored(splits)
    findings += _single_boxes(splits)
    findings += _pairs(splits)
    findings += _labels(splits)
    findings += _without_boxes(splits)
    findings += _same_images(splits)
    return ranked(findings)


def _bad(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    files = [f"{where} ({reason})" for part in splits.values() for where, reason in part.bad]
    text = f"{_count(files, 'file or box', 'files or boxes')} cannot be used and were left out. Repair them."
    yield from listed("error", "bad-file", text, files)


def _read_otherwise(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    """Tell what the readers took to be meant otherwise than it is written."""
    together: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for part in splits.values():
        for entry in part.entries:
            together[entry.what, entry.reason].append(entry)
    for (what, reason), entries in together.items():
        files = [name for entry in entries for name in entry.examples]
        text = f"{sum(entry.count for entry in entries):,} {what} {reason}."
        yield Finding("note", "read-otherwise", text, files)


def _ignored(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    """Count boxes that are neither learnt nor scored; a label of which training has no others is never learnt."""
    files = [_place(path, box) for path, picture in _pictures(splits) for box in picture.boxes if box.ignored]
    boxes = sum(len(picture.boxes) for _, picture in _pictures(splits))
    text = f"{_count(files)} ignored, of {boxes:,}: called difficult, a crowd or a group. They are neither learnt nor scored."
    yield from listed("note", "ignored", text, files)
    train = splits.get("train")
    if train is not None:
        there = {box.label for picture in train.pictures for box in picture.boxes}
        learnt = {box.label for picture in train.pictures for box in picture.boxes if not box.ignored}
        if there - learnt:
            text = f"All training boxes of {_some(sorted(there - learnt))} are ignored: never learnt. Look whether that is meant."
            yield Finding("warning", "ignored", text, _with_labels(train, there - learnt))


def _pictures(splits: Mapping[str, Annotations]) -> Iterator[tuple[str, Picture]]:
    """Yield (path, picture) of all splits."""
    for part in splits.values():
        for picture in part.pictures:
            yield printable(str(part.root / picture.file)), picture


def _place(path: str, box: Box) -> str:
    return f"{path}: {printable(box.label)} at {box.left:g}, {box.top:g}, {box.right:g}, {box.bottom:g}"


def _single_boxes(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    small, outside, leading, odd = [], [], [], []
    for path, picture in _pictures(splits):
        for box in picture.boxes:
            width, height = box.right - box.left, box.bottom - box.top
            if not (width >= SMALLEST and height >= SMALLEST):  # NaN too
                small.append(f"{_place(path, box)} ({width:g} x {height:g} px)")
                continue
            if box.left >= picture.width or box.top >= picture.height or box.right <= 0 or box.bottom <= 0:
                outside.append(f"{_place(path, box)} (the image has {picture.width} x {picture.height} px)")
            elif (
                min(box.left, box.top) < -OUTSIDE
                or box.right > picture.width + OUTSIDE
                or box.bottom > picture.height + OUTSIDE
            ):
                leading.append(f"{_place(path, box)} (the image has {picture.width} x {picture.height} px)")
            if max(width, height) > ODD_ASPECT * min(width, height):
                odd.append(f"{_place(path, box)} ({width:g} x {height:g} px)")
    text = f"{_count(small)} less than {SMALLEST:g} px wide or high: nothing can be seen there. Delete or redraw."
    yield from listed("error", "box-size", text, small)
    text = f"{_count(outside)} wholly outside the image: the annotation is of another image or size. Correct it."
    yield from listed("error", "box-outside", text, outside)
    text = f"{_count(leading)} partly outside the image. What is outside is cut off in training; look whether that is meant."
    yield from listed("warning", "box-leads-out", text, leading)
    text = f"{_count(odd)} more than {ODD_ASPECT:g} times longer than wide, or wider than long. Look at each."
    yield from listed("warning", "box-aspect", text, odd)


def _pairs(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    """Find objects with two boxes in an image: the same label twice, or two labels."""
    twice, torn = [], []
    for path, picture in _pictures(splits):
        if len(picture.boxes) < 2:
            continue
        corners = np.array([(box.left, box.top, box.right, box.bottom) for box in picture.boxes], np.float64)
        for a, b in np.argwhere(np.triu(ious(corners, corners) > SAME, 1)).tolist():
            one, two = picture.boxes[a], picture.boxes[b]
            if one.label == two.label:
                twice.append(_place(path, two))
            else:
                torn.append(f"{_place(path, two)}, and {printable(one.label)} there too")
    text = f"{_count(torn, 'object has', 'objects have')} two boxes of different labels. Delete the wrong one."
    yield from listed("error", "two-labels", text, torn)
    text = f"{_count(twice, 'object has', 'objects have')} two boxes of the same label. Delete one of each."
    yield from listed("warning", "box-twice", text, twice)


def _labels(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    counts = {
        split: Counter(box.label for picture in part.pictures for box in picture.boxes)
        for split, part in splits.items()
    }
    used = sorted(set().union(*counts.values()))
    stated = sorted(set(used).union(*(part.labels for part in splits.values())))
    similar = [
        f"{printable(a)} ({sum(c[a] for c in counts.values())} boxes) and {printable(b)} "
        f"({sum(c[b] for c in counts.values())})"
        for a, b in _alike(stated)
    ]
    if similar:
        text = f"{_count(similar, 'pair of labels differs', 'pairs of labels differ')} by case, spaces or one letter: "
        text += f"{similar[0]}. Give them one name, if one is meant."
        yield Finding("warning", "similar-labels", text, similar)
    train = counts.get("train")
    if train is None:
        return
    for split, found in counts.items():
        unknown = sorted(found.keys() - train.keys())
        if unknown:
            text = (
                f"{_some(unknown)} in the {split} split, but on no training image: never learnt. Move images or rename."
            )
            files = _with_labels(splits[split], set(unknown))
            yield Finding("error", "unknown-label", f"{_count(unknown, 'label is', 'labels are')} {text}", files)
    few = sorted((count, label) for label, count in train.items() if count < FEW)
    if few:
        listed = _some(f"{label} ({count})" for count, label in few)
        text = f"{_count(few, 'label has', 'labels have')} fewer than {FEW} boxes in training: {listed}. Collect more."
        files = [row for _, label in few for row in _with_labels(splits["train"], {label})[:1]]
        yield Finding("warning", "few-boxes", text, files)
    unused = [label for label in stated if label not in used]
    if unused:
        text = f"{_count(unused, 'label has', 'labels have')} no box in any split: {_some(unused)}."
        yield Finding("note", "unused-label", text)
    if not used and any(part.pictures for part in splits.values()):
        yield Finding(
            "error", "no-boxes", "No image has a box: nothing can be learnt. Check the format and the folder of labels."
        )


def _with_labels(part: Annotations, labels: set[str]) -> list[str]:
    found = (
        _place(printable(str(part.root / picture.file)), box)
        for picture in part.pictures
        for box in picture.boxes
        if box.label in labels
    )
    return list(itertools.islice(found, MOST_FILES))


def _alike(labels: list[str]) -> list[tuple[str, str]]:
    """Find pairs of labels that are one but for case, spaces or one letter, each among labels that share a key with it."""
    groups: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        plain = _plain(label)
        groups[plain].add(label)
        if len(plain) > _SHORT:
            for k in range(len(plain)):
                if not plain[k].isdigit():
                    groups[f"{plain[:k]}\0{plain[k + 1 :]}"].add(label)  # another letter there
                    groups[f"{plain[:k]}{plain[k + 1 :]}"].add(label)  # one letter more
    pairs = {pair for group in groups.values() for pair in itertools.combinations(sorted(group), 2)}
    return sorted(pair for pair in pairs if _one_letter(*map(_plain, pair)))


def _plain(label: str) -> str:
    return "".join(c for c in label.casefold() if c.isalnum())


def _one_letter(first: str, second: str) -> bool:
    """Say whether two plain names are equal or differ by one letter, replaced or more."""
    if first == second:
        return True
    short, long = sorted((first, second), key=len)
    if len(short) < _SHORT or len(long) - len(short) > 1:
        return False
    k = next((k for k, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    changed = (short[k] if len(short) == len(long) else "") + long[k]
    return short[k + (len(short) == len(long)) :] == long[k + 1 :] and not any(c.isdigit() for c in changed)


def _without_boxes(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    unlabelled: list[str] = []
    empty: list[str] = []
    for path, picture in _pictures(splits):
        if not picture.boxes:
            (unlabelled if picture.extra.get("unlabelled") else empty).append(path)
    unannotated = [
        printable(str(part.root / str(file))) for part in splits.values() for file in part.extra.get("unannotated", ())
    ]
    text = f"{_count(unlabelled, 'image has', 'images have')} no file of labels and would be learnt as background."
    yield from listed("warning", "unlabelled", f"{text} Label them, or add empty files.", unlabelled)
    text = f"{_count(unannotated, 'image has', 'images have')} no annotation and are not used. Annotate or remove them."
    yield from listed("warning", "unannotated", text, unannotated)
    text = f"{_count(empty, 'image has', 'images have')} no box and count as background."
    yield from listed("note", "empty-image", text, empty)


def _same_images(splits: Mapping[str, Annotations]) -> Iterator[Finding]:
    """Find files of equal bytes, within a split and across two."""
    by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for split, part in splits.items():
        for picture in part.pictures:
            path = part.root / picture.file
            try:
                by_size[path.stat().st_size].append((split, path))
            except OSError as error:
                raise DataError(
                    f"{printable(str(path))} cannot be read: {error.strerror}. Read its folder again."
                ) from None
    across: list[str] = []
    within: list[str] = []
    for places in by_size.values():
        if len(places) < 2:
            continue
        groups: dict[bytes, list[tuple[str, Path]]] = defaultdict(list)
        for split, path in places:
            groups[_digest(path)].append((split, path))
        for group in groups.values():
            if len(group) > 1:
                row = " = ".join(f"{printable(str(path))} ({split})" for split, path in group[:4])
                row += f" and {len(group) - 4} more" if len(group) > 4 else ""
                (across if len({split for split, _ in group}) > 1 else within).append(row)
    text = f"{_count(across, 'image is', 'images are')} in two splits: the score would count what was learnt by heart."
    yield from listed("error", "leak", f"{text} Delete one of each.", across)
    text = f"{_count(within, 'image occurs', 'images occur')} more than once in a split."
    yield from listed("note", "duplicate", text, within)


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read: {error.strerror}. Change its permissions.") from None


def _count(items: Sized, one: str = "box is", many: str = "boxes are") -> str:
    return f"{len(items):,} {one if len(items) == 1 else many}"


def _some(names: Iterable[str]) -> str:
    return some(map(printable, names))

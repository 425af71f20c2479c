"""Readers of pictures with masks."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.inventory import none_usable
from cnnkit.data.reading import CERTAIN, NAMED, Part, Reader, Request
from cnnkit.device import image
from cnnkit.device.stored import look, read_native
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.segmentation import groups
from cnnkit.tasks.segmentation.formats import nnunet, pairs, tables, values
from cnnkit.tasks.segmentation.formats.cases import CLASSES, OBJECTS, VALUES, Case, Layout
from cnnkit.tasks.segmentation.formats.values import Coding, Seen
from cnnkit.tasks.segmentation.masks import IGNORE
from cnnkit.tasks.segmentation.sources import MaskFiles, Pictures, label_sets, numbered, seen_as_bytes

_FOLDERS = {"images": pairs.PICTURE, "masks": pairs.MASK, "ignore": pairs.IGNORED, "second": pairs.SECOND}

Bad = list[tuple[str, str]]
Looked = list[tuple[Case, tuple[int, int], Seen]]
"""The cases that can be used, the sizes of their pictures, and what their masks hold."""


def read_masks(request: Request) -> Part:
    """Pictures with masks in files."""
    path = request.path("path")
    if path.is_file():
        return _part(tables.find(path), request)
    folders = {role: str(request.split[key]) for key, role in _FOLDERS.items() if key in request.split}
    if folders:
        folders = {pairs.PICTURE: ".", pairs.MASK: "."} | folders
    return _part(pairs.find(path, folders=folders, ignore=_flag(request, "ignore") is not False), request)


def read_nnunet(request: Request) -> Part:
    """Pictures in nnU-Net's layout."""
    dataset = nnunet.Dataset(request.path("path"))
    layout = nnunet.find(dataset.root, dataset)
    several = any(len(case.pictures) > 1 for cases in layout.splits.values() for case in cases)
    return _part(layout, request, dataset.named(), dataset.regions(), dataset.channels if several else ())


def _flag(request: Request, name: str) -> bool | None:
    value = request.options.get(name)
    if value is not None and type(value) is not bool:
        raise DataError(f"The option `{name}` is true or false, not {value!r}.")
    return value


def _part(
    layout: Layout,
    request: Request,
    names: values.Named | None = None,
    coding: Coding | None = None,
    channels: Sequence[str] = (),
) -> Part:
    """Look at the masks of all splits, decide what they mean, and return the split that is asked for.

    Args:
        layout: what was found.
        request: which split, and how.
        names, coding: what values mean, where the layout says it.
        channels: what they are called, where each has a file.
    """
    options = request.options
    if names is None or "values" in options or "labels" in options:
        names, coding = values.told(layout.root, options), None
    colours = names is not None and any(isinstance(value, tuple) for rows in names.values() for value in rows)
    split = request.split.get("split", "train")
    if split not in layout.splits:
        raise DataError(f"{layout.root} has no split {split}; it has {', '.join(layout.splits)}.")
    looked: dict[str, Looked] = {}
    bad: dict[str, Bad] = {}
    for each, cases in layout.splits.items():
        looked[each], found = _look(layout, cases, colours, request if each == split else None)
        bad[each] = layout.bad.get(each, []) + found
    every = [(case.masks[0][0], seen) for rows in looked.values() for case, _, seen in rows]
    if coding is None:
        coding = _coding(layout, every, names, _flag(request, "objects"))
    else:
        coding = replace(coding, entries=tuple(values.read_otherwise(every)))
    kept: Looked = []
    for case, size, seen in looked[split]:
        reason = coding.wrong(seen)
        if reason:
            bad[split].append((case.masks[0][0], reason))
        else:
            kept.append((case, size, seen))
    if not kept and bad[split]:
        raise none_usable("picture", f"of {layout.root}", bad[split])
    cases = [case for case, _, _ in kept]
    sizes = np.array([size for _, size, _ in kept], np.int32).reshape(-1, 2)
    pictures = Pictures(layout.root, cases, sizes, channels)
    masks = MaskFiles(layout.root, cases, sizes, coding, layout.holds, _counts(kept, coding), _spacing(options))
    masks.folds = nnunet.read_folds(layout.root)
    grouping = groups.find(
        cases, lambda index: seen_as_bytes(pictures.native(index)), options, tables.patients(layout.root)
    )
    entries = layout.entries + list(coding.entries) if split == next(iter(layout.splits)) else []
    where = [(printable(str(layout.root / name)), reason) for name, reason in bad[split]]
    return Part(
        pictures,
        np.arange(len(coding.names), dtype=np.int32),
        coding.names,
        groups=grouping.groups,
        bad=where,
        entries=entries,
        group_note=grouping.note,
        notes=list(coding.notes) if split == next(iter(layout.splits)) else [],
        more=masks,
    )


def _coding(
    layout: Layout, every: Sequence[tuple[str, Seen]], names: values.Named | None, objects: bool | None
) -> Coding:
    if layout.holds == CLASSES:
        return values.of_sets(every, _ordered(layout.labels, names))
    if layout.holds == OBJECTS:
        return values.decide(every, names, objects=True)
    return values.decide(every, names, objects=objects)


def _ordered(labels: list[str], names: values.Named | None) -> list[str]:
    """Return the labels that files hold one each of, in the order of those that are told."""
    if names is None:
        return labels
    told = [label for label in names if label in labels]
    if len(told) < len(labels):
        raise DataError(
            f"Each label has masks of its own here: {', '.join(labels)}. Those named are {', '.join(names)}."
        )
    return told


def _spacing(options: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the option `spacing`, mm between pixels: one number, or one for each axis."""
    if "spacing" not in options:
        return None
    given = options["spacing"]
    rows = given if isinstance(given, list) else [given, given]
    if len(rows) != 2 or not all(type(row) in (int, float) and 0 < row < float("inf") for row in rows):
        raise DataError(f"The option `spacing` is a number of mm, or [down, across], not {given!r}.")
    return tuple(map(float, rows))


def _counts(kept: Looked, coding: Coding) -> np.ndarray:
    counts = np.zeros((len(kept), 256), np.int32)
    for row, (case, (height, width), seen) in enumerate(kept):
        for value, number in zip(seen.values, seen.counts):
            code = int(value != 0) if coding.objects else coding.codes.get(value, coding.other or 0)
            counts[row, code] += number
        if case.ignore:
            counts[row, IGNORE] += height * width - sum(seen.counts)
    return counts


def _look(layout: Layout, cases: Sequence[Case], colours: bool, request: Request | None) -> tuple[Looked, Bad]:
    """Look at the files of cases in threads: headers of pictures, and every mask.

    Args:
        request: whether pictures are decoded, and who hears how it goes; None: neither.
    """

    def one(case: Case) -> tuple[Looked, Bad]:
        try:
            return _look_at(layout, case, colours, verify=request is not None and request.verify)
        except image.ImageError as error:
            return [], [(_file_of(error, layout.root, case), error.reason)]

    good: Looked = []
    bad: Bad = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(cases), 256):
            for found, wrong in pool.map(one, cases[start : start + 256]):
                good += found
                bad += wrong
            if request is not None and request.progress and len(cases) > 256:
                request.progress("Looking at masks", min(start + 256, len(cases)), len(cases))
    return good, bad


def _file_of(error: image.ImageError, root: Path, case: Case) -> str:
    """Return which file of a case an error is about."""
    names = [*case.pictures, *(name for name, _ in case.masks), case.ignore]
    return next((name for name in names if name and printable(str(root / name)) in str(error)), case.name)


def _look_at(layout: Layout, case: Case, colours: bool, *, verify: bool) -> tuple[Looked, Bad]:
    """Look at a case, page by page."""
    root = layout.root
    heads = [look(root / name) for name in case.pictures]
    pages = len(heads[0].sizes)
    first = case.masks[0][0]
    if pages > 1 or first.lower().endswith((".tif", ".tiff")):
        there = len(look(root / first).sizes)
        if there != pages:
            return [], [(first, f"it has {there} page{'s' * (there != 1)}, its picture {pages}")]
    good: Looked = []
    bad: Bad = []
    for page in range(pages):
        each = replace(case, page=page if pages > 1 else None)
        try:
            size = heads[0].sizes[page]
            if verify or any(head.doubtful for head in heads):
                for name in case.pictures:
                    picture = read_native(root / name, page)
                    if verify and picture.size and picture.min() == picture.max():
                        raise image.ImageError(str(root / name), f"every pixel of it is {picture.min()}")
            seen = _seen(layout, each, size, colours)
            if seen.size != size:
                raise image.ImageError(str(root / first), values.unequal(seen.size, size))
            good.append((each, size, seen))
        except image.ImageError as error:
            bad.append((_file_of(error, root, each), error.reason))
    return good, bad


def _seen(layout: Layout, case: Case, size: tuple[int, int], colours: bool) -> Seen:
    within = str(layout.root / case.ignore) if case.ignore else ""
    if layout.holds == VALUES:
        return values.see(str(layout.root / case.masks[0][0]), case.page, within, colours=colours)
    if layout.holds == CLASSES:
        found = label_sets(layout.root, case, layout.labels, size)
    else:
        found = numbered([values.two_levels(str(layout.root / name), case.page, size) for name, _ in case.masks], size)
    if within:
        found = found[values.two_levels(within, case.page, size)]
    return Seen(size, *values.count(found), "", "")


# The readers ---------------------------------------------------------------------------------------------------------------


def _fits(path: Path, named: bool) -> bool:
    if path.is_file() and path.suffix.lower() != ".csv":
        return False
    return tables.table_of(path) is not None or pairs.looks_like(path)


def _splits(path: Path) -> dict[str, dict[str, Any]]:
    table = tables.table_of(path)
    name, layout = (".", pairs.find(path)) if table is None else (table.name, tables.find(table))
    return {split: {"path": name, "split": split} for split in layout.splits}


def _nnunet_splits(path: Path) -> dict[str, dict[str, Any]]:
    return {split: {"path": ".", "split": split} for split in nnunet.find(path, nnunet.Dataset(path)).splits}


_OPTIONS = frozenset(["values", "labels", "objects", "groups", "patients", "spacing"])
MASKS = Reader(
    read_masks,
    "segmentation",
    ("path",),
    frozenset(["split", *_FOLDERS]),
    _OPTIONS | {"ignore"},
    about="a folder of pictures and a folder of their masks",
    fits=_fits,
    splits=_splits,
    rank=NAMED,
    waits=True,
    beside=True,
)
NNUNET = Reader(
    read_nnunet,
    "segmentation",
    ("path",),
    frozenset(["split"]),
    _OPTIONS,
    about="a folder of nnU-Net (dataset.json) with pictures",
    fits=lambda path, named: nnunet.fits(path),
    splits=_nnunet_splits,
    rank=CERTAIN,
    waits=True,
)

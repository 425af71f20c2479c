"""Readers of volumes with masks: folders of both, DICOM with its SEG, nnU-Net's and the Decathlon's layout."""

import contextlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.inventory import Entry, entry, none_usable
from cnnkit.data.reading import CERTAIN, NAMED, Part, Reader, Request
from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import segments_of
from cnnkit.device.volumes.reading import extent_of, stem_of
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.segmentation import groups
from cnnkit.tasks.segmentation.formats import nnunet, pairs, tables, values
from cnnkit.tasks.segmentation.formats.cases import VALUES, Case, Layout
from cnnkit.tasks.segmentation.formats.values import Coding, Seen
from cnnkit.tasks.segmentation.masks import MOST
from cnnkit.tasks.segmentation.volumes import series
from cnnkit.tasks.segmentation.volumes.sources import VolumeMasks, Volumes, joined, read_mask, within

SUFFIXES = frozenset([".nii", ".gz", ".mha", ".mhd", ".nrrd", ".nhdr"])
MOST_SEGMENTS = 62  # that masks name: a voxel's set of them is one number
_FOLDERS = {"images": pairs.PICTURE, "masks": pairs.MASK}
Looked = list[tuple[Case, Geometry, Seen]]


def read_volumes(request: Request) -> Part:
    """Volumes with masks in files, and DICOM series with what marks them."""
    folders = {role: str(request.split[key]) for key, role in _FOLDERS.items() if key in request.split}
    if folders:
        folders = {pairs.PICTURE: ".", pairs.MASK: "."} | folders
    return _part(_found(request.path("path"), folders), request, ("",))


def _found(root: Path, folders: dict[str, str] | None = None) -> Layout:
    if series.holds(root):
        return series.find(root, SUFFIXES, patients=not tables.patients(root), folders=folders)
    return pairs.find(root, folders=folders, suffixes=SUFFIXES)


def read_nnunet(request: Request) -> Part:
    """Volumes in nnU-Net's layout, or in the Decathlon's."""
    dataset = nnunet.Dataset(request.path("path"), SUFFIXES)
    layout = nnunet.find(dataset.root, dataset)
    return _part(layout, request, dataset.channels, dataset.named(), dataset.regions())


def _part(
    layout: Layout,
    request: Request,
    channels: Sequence[str],
    names: values.Named | None = None,
    coding: Coding | None = None,
) -> Part:
    """Look at the masks of all splits, decide what they mean, and return the split that is asked for."""
    _number(layout)
    if layout.holds != VALUES:
        raise DataError(f"{layout.root} has several masks a volume. Put all labels of one into one file.")
    options = request.options
    if names is None or "values" in options or "labels" in options:
        names, coding = values.told(layout.root, options), None
    split = request.split.get("split", "train")
    if split not in layout.splits:
        raise DataError(f"{layout.root} has no split {split}; it has {', '.join(layout.splits)}.")
    segments = _segments(layout, options.get("labels"))
    looked: dict[str, Looked] = {}
    bad: dict[str, list[tuple[str, str]]] = {}
    told: list[tuple[str, str]] = []
    for each, cases in layout.splits.items():
        looked[each], found, said = _look(
            layout.root, cases, len(channels), segments, request if each == split else None
        )
        told += said
        bad[each] = layout.bad.get(each, []) + found
    every = [(case.masks[0][0], seen) for rows in looked.values() for case, _, seen in rows]
    if segments:
        coding = values.of_sets(every, segments)
    elif coding is None:
        coding = values.decide(every, names, objects=False)
    else:
        coding = replace(coding, entries=tuple(values.read_otherwise(every)))
    kept: Looked = []
    for case, geometry, seen in looked[split]:
        if reason := coding.wrong(seen):
            bad[split].append((case.masks[0][0], reason))
        else:
            kept.append((case, geometry, seen))
    if not kept and bad[split]:
        raise none_usable("volume", f"of {layout.root}", bad[split])
    cases = [case for case, _, _ in kept]
    volumes = Volumes(layout.root, cases, [geometry for _, geometry, _ in kept], channels)
    masks = VolumeMasks(volumes, coding, _counts(kept, coding), _keys(cases), segments)
    masks.folds = nnunet.read_folds(layout.root)
    table = tables.patients(layout.root)
    grouping = groups.find(cases, None, options, table, headers=not table)
    return Part(
        volumes,
        np.arange(len(coding.names), dtype=np.int32),
        coding.names,
        groups=grouping.groups,
        bad=[(printable(name), reason) for name, reason in bad[split]],
        entries=[*layout.entries, *coding.entries, *_otherwise(told)] if split == next(iter(layout.splits)) else [],
        group_note=grouping.note,
        more=masks,
    )


def _otherwise(told: Sequence[tuple[str, str]]) -> list[Entry]:
    """Return the inventory's entries of volumes that are taken otherwise than they lie there, from (name, line) of each."""
    lines = dict.fromkeys(line for _, line in told)
    return [
        entry("changed", "volumes", f"of which {line}", [printable(name) for name, own in told if own == line])
        for line in lines
    ]


def _number(layout: Layout) -> None:
    """Give each case a number in the order of the data set, whether it can be used or not."""
    numbers = itertools.count(1)
    for split, cases in layout.splits.items():
        layout.splits[split] = [replace(case, alias=f"case_{next(numbers):04}") for case in cases]


def _keys(cases: Sequence[Case]) -> list[str]:
    names = [case.key or stem_of(case.pictures[0]) for case in cases]
    return names if len(set(names)) == len(names) else [case.pictures[0] for case in cases]


def _counts(kept: Looked, coding: Coding) -> np.ndarray:
    counts = np.zeros((len(kept), 256), np.int64)
    for row, (_, _, seen) in enumerate(kept):
        for value, number in zip(seen.values, seen.counts):
            counts[row, coding.codes.get(value, coding.other or 0)] += number
    return counts


def _segments(layout: Layout, told: Sequence[str] | None) -> list[str]:
    """Return the segments that masks name, in the order of their first appearance; none where none names any.

    Args:
        layout: whose masks.
        told: the only ones that there are to be, in their order; None: all that there are.

    Raises:
        DataError: there are too many.
    """
    found: dict[str, None] = {}
    for name, _ in (mask for cases in layout.splits.values() for case in cases for mask in case.masks):
        with contextlib.suppress(VolumeError):  # it is named when it is read
            for segment in segments_of(layout.root / name) or ():
                found.setdefault(segment.name)
    if found and told is not None:
        found = dict.fromkeys(map(str, told))
    if len(found) > MOST_SEGMENTS:
        raise DataError(
            f"The masks of {layout.root} name {len(found)} segments, and at most {MOST_SEGMENTS} are read. Save fewer."
        )
    return list(found)


def _look(
    root: Path, cases: Sequence[Case], channels: int, segments: Sequence[str], request: Request | None
) -> tuple[Looked, list[tuple[str, str]], list[tuple[str, str]]]:
    """Look at the files of cases in threads: headers of volumes, and every mask.

    Args:
        root: the folder.
        cases: of a split.
        channels: that each volume has.
        segments: labels, of masks that name what they hold.
        request: whether volumes are read too, and who hears how it goes; None: neither.

    Returns:
        What is good; (name, reason) of what is not; (name, line) of what is taken otherwise than it lies there.
    """
    verify = request is not None and request.verify

    def one(case: Case) -> tuple[Looked, list[tuple[str, str]]]:
        name = case.pictures[0]
        try:
            geometry, count = extent_of(
                series.opened(root / name), warn=lambda line: told.append((case.pictures[0], line))
            )
            if len(case.pictures) == 1 and count != channels:
                has, due = f"{count} channel{'s' * (count != 1)}", f"{channels} {'is' if channels == 1 else 'are'}"
                return [], [(name, f"it has {has} where {due} due")]
            if verify:
                joined([root / path for path in case.pictures], channels, geometry)
            volume_file, name = root / name, case.masks[0][0]
            rounded: list[str] = []
            paths = [root / path for path, _ in case.masks]
            labels = read_mask(paths, geometry, segments, volume_file, rounded.append)
            seen = Seen(labels.shape, *values.count(labels), "rounded" if rounded else "", "")
            if len(seen.values) > MOST + 1:  # a picture in the place of a mask, say: the others are none the worse
                return [], [
                    (name, f"it has {len(seen.values):,} different values, and a mask has {MOST} labels at most")
                ]
            return [(case, geometry, seen)], []
        except VolumeError as error:
            return [], [(name, within(name, error))]

    good: Looked = []
    bad: list[tuple[str, str]] = []
    told: list[tuple[str, str]] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, (found, wrong) in enumerate(pool.map(one, cases), 1):
            good += found
            bad += wrong
            if request is not None and request.progress and len(cases) > 32:
                request.progress("Looking at masks", done, len(cases))
    return good, bad, sorted(told)


# The readers ---------------------------------------------------------------------------------------------------------------


def _dicom(path: Path) -> bool:
    """Whether a folder's data is DICOM, and not pictures with masks beside which some lies."""
    return not pairs.looks_like(path) and series.holds(path)


def _splits(path: Path) -> dict[str, dict[str, Any]]:
    return {split: {"path": ".", "split": split} for split in _found(path).splits}


def _nnunet_splits(path: Path) -> dict[str, dict[str, Any]]:
    layout = nnunet.find(path, nnunet.Dataset(path, SUFFIXES))
    return {split: {"path": ".", "split": split} for split in layout.splits}


_OPTIONS = frozenset(["values", "labels", "groups", "patients"])
VOLUMES = Reader(
    read_volumes,
    "segmentation",
    ("path",),
    frozenset(["split", *_FOLDERS]),
    _OPTIONS,
    about="a folder of volumes and a folder of their masks, or DICOM with its SEG",
    fits=lambda path, named: path.is_dir() and (pairs.looks_like(path, SUFFIXES) or _dicom(path)),
    splits=_splits,
    rank=NAMED,
    waits=True,
    private=True,
    beside=True,
)
NNUNET_VOLUMES = Reader(
    read_nnunet,
    "segmentation",
    ("path",),
    frozenset(["split"]),
    _OPTIONS,
    about="a folder of nnU-Net or of the Decathlon (dataset.json) with volumes",
    fits=lambda path, named: nnunet.fits(path, SUFFIXES),
    splits=_nnunet_splits,
    rank=CERTAIN,
    waits=True,
    private=True,
)

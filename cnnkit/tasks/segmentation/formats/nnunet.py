"""nnU-Net's layout of pictures: `dataset.json`, `imagesTr/CASE_0000.png`, `labelsTr/CASE.png`, and its `splits_final.json`.

Design choices:
- Channels belong to a case by its name. A case that lacks one is named with it; none is filled from another case.
- Where labels are regions, the code of a region's own pixels is the one that `regions_class_order` paints it with, so that
  painting labels in their order gives a map that nnU-Net reads.
- Folds are read and written as nnU-Net does, by the names of cases, so that both can be compared on the same.

- The Decathlon's `dataset.json` lists its cases, a file for all channels of one; it is read as well.

Source: nnU-Net, documentation/dataset_format.md and region_based_training.md (v2).
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cnnkit import files
from cnnkit.data import walks
from cnnkit.data.cards import inside
from cnnkit.data.inventory import entry
from cnnkit.device.image import SUFFIXES
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.inputs.image.groups import natural
from cnnkit.tasks.segmentation.formats.cases import Case, Layout, stem_of
from cnnkit.tasks.segmentation.formats.values import BACKGROUND, VOID, Coding, Named
from cnnkit.tasks.segmentation.masks import IGNORE, MOST

DATASET, SPLITS = "dataset.json", "splits_final.json"
_MOST_BYTES = 64 * 2**20

Folds = list[tuple[list[str], list[str]]]
"""(names of cases to train on, to validate on) of each fold"""


def fits(path: Path, suffixes: Collection[str] = SUFFIXES) -> bool:
    """Say whether a folder has this layout, with files of these suffixes."""
    if not (path / DATASET).is_file() or not (path / "imagesTr").is_dir():
        return False
    return bool(_pictures(path / "imagesTr", suffixes))


def _document(file: Path) -> Any:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
        return json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{printable(str(file))} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise DataError(f"{printable(str(file))} is not JSON.") from None


class Dataset:
    """What `dataset.json` says.

    Args:
        root: its folder.
        suffixes: of the files that are looked at.

    Attributes:
        channels: what each channel is called.
        labels: label -> value, or values of a region.
        order: the value that each region is painted with, where labels are regions.

    Raises:
        DataError: it cannot be read, or says nothing of labels or channels.
    """

    def __init__(self, root: Path, suffixes: Collection[str] = SUFFIXES):
        self.root, self.suffixes, file = root, suffixes, printable(str(root / DATASET))
        table = _document(root / DATASET)
        if not isinstance(table, dict) or not isinstance(table.get("labels"), dict):
            raise DataError(f"{file} needs `labels`: {{ background = 0, lesion = 1 }}.")
        channels = table.get("channel_names", table.get("modality"))
        if not isinstance(channels, dict) or sorted(channels) != sorted(map(str, range(len(channels)))) or not channels:
            raise DataError(f'{file} needs `channel_names`: {{ "0" = "T2" }}, numbered from 0.')
        self.channels = tuple(str(channels[str(k)]) for k in range(len(channels)))
        labels = table["labels"]
        if all(re.fullmatch(r"\d+", str(key)) for key in labels):  # as nnU-Net 1 wrote it
            labels = {str(label): int(key) for key, label in labels.items()}
        self.labels: dict[str, list[int]] = {}
        for label, value in labels.items():
            rows = value if isinstance(value, list) else [value]
            if not rows or not all(type(row) is int and row >= 0 for row in rows):
                raise DataError(f"{file}: the label {label!r} has {value!r}, and not whole numbers.")
            self.labels[str(label)] = rows
        self.order = table.get("regions_class_order") or []
        ending = table.get("file_ending", "")
        if ending and PurePosixPath(f"x{ending}".lower()).suffix not in suffixes:
            raise DataError(f"{file} is of files {ending}, and these are not read, but {', '.join(sorted(suffixes))}.")
        listed = table.get("training")
        self.listed: list[tuple[str, str]] = []
        if isinstance(listed, list) and all(
            isinstance(row, dict) and {"image", "label"} <= row.keys() for row in listed
        ):
            self.listed = [(str(row["image"]), str(row["label"])) for row in listed]

    def named(self) -> Named:
        return {label: list(values) for label, values in self.labels.items()}

    def regions(self) -> Coding | None:
        """Return what values mean where labels are regions; None where each label has one value of its own."""
        kinds = {label: label.strip().lower() for label in self.labels}
        void = {v for label, values in self.labels.items() if kinds[label] in VOID for v in values}
        ground = {v for label, values in self.labels.items() if kinds[label] in BACKGROUND for v in values} | {0}
        regions = {label: values for label, values in self.labels.items() if kinds[label] not in VOID | BACKGROUND}
        if all(len(values) == 1 for values in regions.values()):
            return None
        if len(self.order) != len(regions) or not all(type(value) is int for value in self.order):
            raise DataError(
                f"{printable(str(self.root / DATASET))}: labels are regions, so `regions_class_order` needs a value for each of "
                f"the {len(regions)}."
            )
        values = list(dict.fromkeys([*self.order, *sorted({v for region in regions.values() for v in region})]))
        if len(values) > MOST:
            raise DataError(
                f"{printable(str(self.root / DATASET))} has {len(values)} values of labels, and at most {MOST} are read."
            )
        codes = {value: code for code, value in enumerate(values, 1)}
        meant = tuple(tuple(sorted(codes[value] for value in region)) for region in regions.values())
        return Coding(
            tuple(regions), {**dict.fromkeys(ground, 0), **codes, **dict.fromkeys(void, IGNORE)}, regions=meant
        )


def find(root: Path, dataset: Dataset) -> Layout:
    """Find the cases for training, and those for the test where they have labels."""
    layout = Layout(root)
    named = [path.name for path in _pictures(root / "imagesTr", dataset.suffixes)] if dataset.listed else []
    if named and not any(re.search(r"_\d{4}$", stem_of(name)) for name in named):
        _find_listed(layout, dataset)
        return layout
    for split, images, labels in (("train", "imagesTr", "labelsTr"), ("test", "imagesTs", "labelsTs")):
        if (root / images).is_dir() and (root / labels).is_dir():
            _find(layout, dataset, split, images, labels)
        elif (root / images).is_dir():
            names = [path.name for path in _pictures(root / images, dataset.suffixes)]
            layout.entries.append(entry("left out", "images", f"of {images}, which has no {labels}", names))
    if "train" not in layout.splits:
        raise DataError(f"{printable(str(root))} needs the folders imagesTr and labelsTr.")
    return layout


def _find_listed(layout: Layout, dataset: Dataset) -> None:
    """Find the cases that the Medical Segmentation Decathlon lists, all channels of one in a file."""
    cases: list[Case] = []
    bad: list[tuple[str, str]] = []
    for image, label in dataset.listed:
        names = [str(PurePosixPath(name)) for name in (image, label)]
        missing = [name for name in names if not inside(name) or not (layout.root / name).is_file()]
        if missing:
            bad.append((names[0], f"there is no file {missing[0]} below the folder"))
        else:
            cases.append(Case((names[0],), ((names[1], ""),), key=stem_of(names[0])))
    layout.splits["train"], layout.bad["train"] = cases, bad


def _pictures(folder: Path, suffixes: Collection[str]) -> list[Path]:
    those = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not walks.is_system(path.name)]
    return sorted(those, key=lambda path: natural(path.name))


def _find(layout: Layout, dataset: Dataset, split: str, images: str, labels: str) -> None:
    parts: dict[str, dict[int, str]] = defaultdict(dict)
    bad: list[tuple[str, str]] = []
    for path in _pictures(layout.root / images, dataset.suffixes):
        match = re.fullmatch(r"(.+)_(\d{4})", stem_of(path.name))
        if match:
            parts[match[1]][int(match[2])] = f"{images}/{path.name}"
        else:
            bad.append((f"{images}/{path.name}", "its name does not end in the number of its channel, as _0000 does"))
    masks = {stem_of(path.name): f"{labels}/{path.name}" for path in _pictures(layout.root / labels, dataset.suffixes)}
    count = len(dataset.channels)
    if count > 1 and all(list(numbers) == [0] for numbers in parts.values()):
        count = 1  # the colours of one file
    cases = []
    for name, numbers in parts.items():
        missing = [k for k in range(count) if k not in numbers]
        more = [k for k in numbers if k >= count]
        if missing:
            said = ", ".join(f"{k:04d} ({dataset.channels[k]})" for k in missing)
            bad.append((f"{images}/{name}", f"its channel {said} is missing"))
        elif more:
            bad.append((numbers[more[0]], f"{DATASET} names {count} channel{'s' * (count != 1)}"))
        elif name not in masks:
            bad.append((numbers[0], f"it has no mask in {labels}"))
        else:
            cases.append(Case(tuple(numbers[k] for k in range(count)), ((masks[name], ""),), key=name))
    bad += [(mask, f"it has no picture in {images}") for name, mask in masks.items() if name not in parts]
    layout.splits[split], layout.bad[split] = cases, bad


def read_folds(root: Path) -> Folds:
    """Read `splits_final.json` of a folder; [] where there is none.

    Raises:
        DataError: it cannot be read, or is no list of folds.
    """
    file = root / SPLITS
    if not file.is_file():
        return []
    folds = _document(file)
    if not isinstance(folds, list) or not all(_is_fold(fold) for fold in folds):
        raise DataError(
            f'{printable(str(file))} is a list of folds: {{ "train": [...], "val": [...] }} with names of cases.'
        )
    return [(list(fold["train"]), list(fold["val"])) for fold in folds]


def _is_fold(fold: Any) -> bool:
    if not isinstance(fold, Mapping):
        return False
    sides = [fold.get("train"), fold.get("val")]
    return all(isinstance(side, list) and all(isinstance(name, str) for name in side) for side in sides)


def write_folds(path: Path | str, folds: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
    """Write folds as nnU-Net reads them: `path` is a file, which it calls `splits_final.json`."""
    rows = [{"train": list(train), "val": list(validation)} for train, validation in folds]
    files.write_text(path, json.dumps(rows, indent=4) + "\n")

"""DICOM series below a folder, and what marks them: DICOM SEG by what they refer to, other masks by their names.

Design choices:
- A SEG belongs to the series that it names, wherever both lie and whatever they are called; a folder may then hold several
  series. Other masks belong to the folder that is called as they are, and a folder is then one series.
- Headers are read once, without pixels. What is found is kept while the files stay the same, as each split asks for it.
- A series without a mask and a SEG without its series are left out, and named.
- Who a series is of says its header; a table of patients in the folder says it better.
- A series of one file is that file; one of several in a folder is called by its number there, and is no file of its own.
"""

import functools
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cnnkit.data import walks
from cnnkit.data.inventory import entry
from cnnkit.data.naming import SPLITS
from cnnkit.device.volumes import dicom, seg
from cnnkit.device.volumes.dicom import Series, series_in
from cnnkit.device.volumes.faults import VolumeError, damaged
from cnnkit.errors import DataError
from cnnkit.inputs.image.groups import natural
from cnnkit.tasks.segmentation.formats import pairs
from cnnkit.tasks.segmentation.formats.cases import VALUES, Case, Layout

MOST = 500_000  # files below a folder
_ENDING = ".dcm"
_OTHERS = frozenset(  # endings of what is no DICOM, and is not opened to find out
    [".nii", ".gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".raw", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"]
    + [".csv", ".tsv", ".json", ".txt", ".xml", ".pdf", ".md", ".toml", ".npy", ".npz", ".zip", ".html", ".xlsx"]
)
_NUMBERED = re.compile(r"(?:(.+), )?series (\d+)")


@dataclass(frozen=True)
class Found:
    """A series of pictures.

    Attributes:
        uid: of it; never shown.
        folder: where it is, below the root, with /; "" for the root.
        number: of it among those of its folder, from 1, in the order of their first files.
        files: their names.
        scout: whether all its pictures are scouts.
        patient: a key of the patient; "" where none is named. Never shown.
    """

    uid: str
    folder: str
    number: int
    files: tuple[str, ...]
    scout: bool
    patient: str


@dataclass
class Scan:
    """What DICOM there is below a folder.

    Attributes:
        series: of pictures.
        segs: path of each SEG, with / -> the series that it is of, by their places in `series`.
        bad: (path, reason) of what cannot be read.
        others: the files that are no DICOM by their endings, with /.
        left: what the walk left out.
    """

    series: list[Found] = field(default_factory=list)
    segs: dict[str, list[int]] = field(default_factory=dict)
    bad: list[tuple[str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    left: walks.Left = field(default_factory=walks.Left)


def opened(path: Path) -> Path | Series:
    """Return what a case's volume is: a file, a folder, or one series of several in a folder.

    Raises:
        VolumeError: its folder cannot be read.
    """
    numbered = _NUMBERED.fullmatch(path.name)
    if numbered is None or path.exists():
        return path
    found = _inside(path.parent / (numbered[1] or ""))
    number = int(numbered[2])
    if number > len(found):
        raise VolumeError(path, "it is there no longer", "Start again.")
    return found[number - 1]


def _inside(folder: Path) -> list[Series]:
    """Return the series in a folder, whose headers are read once while its files stay the same."""
    try:
        rows = [(entry.name, entry.stat()) for entry in os.scandir(folder)]
    except OSError:
        return series_in(folder)  # which says what is wrong
    return _read(folder, tuple(sorted((name, status.st_size, status.st_mtime_ns) for name, status in rows)))


@functools.lru_cache(maxsize=4)
def _read(folder: Path, files: tuple[tuple[str, int, int], ...]) -> list[Series]:
    return series_in(folder)


def holds(root: Path) -> bool:
    """Say whether there is DICOM below a folder."""
    return any(dicom.is_dicom(path) for path, child in _files(root, walks.Left()) if _may_be(child))


def find(root: Path, suffixes: Collection[str], *, patients: bool, folders: Mapping[str, str] | None = None) -> Layout:
    """Find DICOM series below a folder with their masks, and other volumes with theirs.

    Args:
        root: the folder.
        suffixes: of volumes and masks that are no DICOM.
        patients: whether headers say who is who.
        folders: as `cnnkit.tasks.segmentation.formats.pairs.find`.

    Raises:
        DataError: no volumes with masks, or more files than are looked at.
    """
    scan = _scan(root, _stamp(root))
    layout = Layout(root, entries=[replace(row, examples=()) for row in scan.left.entries()])
    marked = _by_segs(layout, scan, patients)
    _by_names(layout, scan, suffixes, marked, patients, folders)
    if not any(layout.splits.values()):
        raise DataError(
            f"{root} holds {len(scan.series):,} DICOM series and no mask of them. Put their DICOM SEG anywhere below it, or "
            "masks that are called as the folder of their series, as .nii.gz or .seg.nrrd."
        )
    if "train" not in layout.splits and len(layout.splits) == 1:
        (only,) = layout.splits
        layout.splits, layout.bad = {"train": layout.splits[only]}, {"train": layout.bad.get(only, [])}
    layout.splits = {
        split: sorted(layout.splits[split], key=lambda case: natural(case.pictures[0]))
        for split in SPLITS
        if layout.splits.get(split)
    }
    cases = {picture for rows in layout.splits.values() for case in rows for picture in case.pictures}
    bad = [(path, reason) for path, reason in scan.bad if path.rpartition("/")[0] not in cases and path not in cases]
    first = next(iter(layout.splits))
    layout.bad[first] = layout.bad.get(first, []) + bad
    return layout


def _by_segs(layout: Layout, scan: Scan, patients: bool) -> set[int]:
    """Add the series that SEG refer to; return which these are, by their places."""
    masks: dict[int, list[str]] = defaultdict(list)
    alone = []
    for path, places in scan.segs.items():
        if not places:
            alone.append(path)
        elif len(places) > 1:
            where = ", ".join(sorted({_name(scan, place) for place in places}, key=natural)[:3])
            bad = layout.bad.setdefault(pairs.split_of(path) or "train", [])
            bad.append((path, f"it is of {len(places)} series that are here ({where})"))
        else:
            masks[places[0]].append(path)
    if alone:
        layout.entries.append(entry("left out", "masks", "whose series is not there", alone))
    splits = {place: pairs.split_of(f"{_name(scan, place)}/x") for place in masks}
    outside = []
    for place, files in masks.items():
        split = splits[place]
        if split is None and any(splits.values()):
            outside.append(_name(scan, place))
            continue
        found = scan.series[place]
        rows = tuple((file, "") for file in sorted(files, key=natural))
        case = Case((_name(scan, place),), rows, patient=found.patient if patients else "")
        layout.splits.setdefault(split or "train", []).append(case)
    if outside:
        layout.entries.append(entry("left out", "volumes", "that lie in no folder of a split", outside))
    return set(masks)


def _by_names(
    layout: Layout,
    scan: Scan,
    suffixes: Collection[str],
    marked: set[int],
    patients: bool,
    folders: Mapping[str, str] | None,
) -> None:
    """Add the series, and the other volumes, whose masks are called as they are."""
    volumes = [name for name in scan.others if os.path.splitext(name)[1].lower() in suffixes]  # noqa: PTH122
    called = {_called(scan, place): place for place in range(len(scan.series))}
    paired = None
    if volumes:
        try:
            paired = pairs.find(
                layout.root, folders=folders, suffixes=suffixes, names=sorted([*volumes, *called]), ignore=False
            )
        except DataError:
            if not marked:
                raise
    used = set(marked)
    unpaired: list[str] = []
    for split, cases in paired.splits.items() if paired else ():
        for case in cases:
            place = called.get(case.pictures[0])
            if place is None:
                layout.splits.setdefault(split, []).append(case)
            elif _others_marked(scan, place, marked):
                unpaired += [mask for mask, _ in case.masks]
            else:
                used |= _there(scan, place)
                who = scan.series[place].patient if patients else ""
                name = scan.series[place].folder if _shared(scan, place) else _name(scan, place)
                layout.splits.setdefault(split, []).append(replace(case, pictures=(name or ".",), patient=who))
        bad = layout.bad.setdefault(split, [])
        bad += [(name, reason) for name, reason in paired.bad.get(split, []) if name not in called] if paired else []
    if paired:
        layout.entries += paired.entries
        layout.holds = paired.holds if layout.holds == VALUES else layout.holds
    if unpaired:
        layout.entries.append(entry("left out", "masks", "whose series has a DICOM SEG", unpaired))
    left = [_name(scan, place) for place, one in enumerate(scan.series) if place not in used and not one.scout]
    if left:
        layout.entries.append(entry("left out", "volumes", "without a mask", left))


# Names ----------------------------------------------------------------------------------------------------------------


def _there(scan: Scan, place: int) -> set[int]:
    """Return the places of all series of a folder."""
    folder = scan.series[place].folder
    return {other for other, one in enumerate(scan.series) if one.folder == folder}


def _others_marked(scan: Scan, place: int, marked: set[int]) -> bool:
    return bool((_there(scan, place) if _shared(scan, place) else {place}) & marked)


def _shared(scan: Scan, place: int) -> bool:
    """Whether a series shares its folder with others that are no scouts, and is not one of files that are a series each."""
    inside = [scan.series[other] for other in _there(scan, place)]
    return len([one for one in inside if not one.scout]) > 1 and any(len(one.files) > 1 for one in inside)


def _name(scan: Scan, place: int) -> str:
    """Return what the volume of a series is called: its file, its folder, or its number in a folder."""
    one = scan.series[place]
    inside = _there(scan, place)
    if len(one.files) == 1 and (len(inside) > 1 or _says_role(one.folder)):
        return f"{one.folder}/{one.files[0]}" if one.folder else one.files[0]
    if len(inside) > 1 and not all(scan.series[other].scout for other in inside - {place}):
        return f"{one.folder}, series {one.number}" if one.folder else f"series {one.number}"
    return one.folder or "."


def _called(scan: Scan, place: int) -> str:
    """Return the name by which masks may be those of a series: its file's, or its folder's as if it were a file."""
    name = scan.series[place].folder if _shared(scan, place) else _name(scan, place)
    if scan.series[place].folder != name and name != ".":
        return name
    return f"{name if name not in ('', '.') else 'series'}{_ENDING}"


def _says_role(folder: str) -> bool:
    """Whether a folder's name says what lies in it, as `images` does, and is no case's."""
    return pairs.says_role(folder.rpartition("/")[2])


# Looking --------------------------------------------------------------------------------------------------------------


def _files(root: Path, left: walks.Left) -> Iterator[tuple[Path, str]]:
    for path, child in walks.files(str(root), "", left):
        if os.path.basename(path).upper() != "DICOMDIR":  # noqa: PTH119 - a Path for each of a million is slow
            yield Path(path), child.replace(os.sep, "/")


def _may_be(name: str) -> bool:
    return os.path.splitext(name)[1].lower() not in _OTHERS  # noqa: PTH122


def _stamp(root: Path) -> int:
    """Return what changes with the files below a folder."""
    rows = []
    for path, child in _files(root, walks.Left()):
        status = path.stat()
        rows.append((child, status.st_size, status.st_mtime_ns))
        if len(rows) > MOST:
            raise DataError(f"{root} has more than {MOST:,} files. Give a folder with less in it.")
    return hash(tuple(rows))


@functools.lru_cache(maxsize=4)
def _scan(root: Path, stamp: int) -> Scan:
    """Read the headers of all DICOM below a folder, once while its files stay the same."""
    scan = Scan()
    inside: dict[str, dict[str, list[str]]] = defaultdict(dict)  # folder -> series -> files
    heads: dict[tuple[str, str], tuple[bool, str]] = {}
    pictures: dict[str, str] = {}  # picture -> series
    marks: dict[str, tuple[set[str], set[str]]] = {}
    for path, child in _files(root, scan.left):
        if not _may_be(child):
            scan.others.append(child)
            continue
        if not dicom.is_dicom(path):
            continue
        folder, _, name = child.rpartition("/")
        try:
            with damaged(path):
                head = dicom.header(path)
                if str(head.get("SOPClassUID", "") or "") in seg.CLASSES:
                    marks[child] = seg.sources_of(path)
                    continue
                if not dicom.has_picture(path, head):
                    continue
                uid = str(head.get("SeriesInstanceUID", "") or "")
                scout, who = heads.get((folder, uid), (True, ""))
                heads[folder, uid] = (scout and dicom.is_scout(head), who or dicom.patient_of(head) or "")
        except VolumeError as error:
            scan.bad.append((child, error.reason))
            continue
        inside[folder].setdefault(uid, []).append(name)
        pictures[str(head.get("SOPInstanceUID", "") or "")] = uid
    places: dict[str, list[int]] = defaultdict(list)
    for folder, found in inside.items():
        for number, (uid, names) in enumerate(found.items(), 1):
            places[uid].append(len(scan.series))
            scan.series.append(Found(uid, folder, number, tuple(names), *heads[folder, uid]))
    for child, (series, named) in marks.items():
        drawn_on = {pictures[one] for one in named if one in pictures}
        scan.segs[child] = sorted(place for uid in drawn_on or series for place in places.get(uid, []))
    return scan

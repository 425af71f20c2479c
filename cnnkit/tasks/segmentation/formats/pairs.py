"""Which mask belongs to which picture, by the names of files and folders; never by their order.

Design choices:
- A folder's name says a role (images, masks, a field of view, a second observer) or a split, wherever it stands in the path:
  `train/images`, `images/train`, `train_images` and `ID/images` are one rule. What is left of a path must be equal for both
  partners; one folder more on the mask's side is the name of a class.
- Without a folder of masks, the last or first word of a file's name says what it is: `x.png` and `x_mask.png`.
- Names are compared strictly first, then without the words that say a role (`21_training`, `21_manual1`), then without what all
  names of a side share. Numbers are never left out, so a missing mask is missing and does not shift the others.
- `mask` beside `1st_manual` is the field of view, as in DRIVE.
- A picture without a mask and a mask without a picture are named, each.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnnkit.data import walks
from cnnkit.data.inventory import entry
from cnnkit.data.naming import SPLITS
from cnnkit.device.image import SUFFIXES
from cnnkit.errors import DataError
from cnnkit.inputs.image.groups import natural
from cnnkit.tasks.segmentation.formats.cases import CLASSES, OBJECTS, VALUES, Case, Layout, stem_of

PICTURE, MASK, IGNORED, SECOND = "picture", "mask", "ignore", "second"

_PICTURE_WORDS = frozenset(
    ["image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "input", "inputs", "frame", "frames"]
    + ["jpegimages", "original", "originals"]
)
_MASK_WORDS = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "lbl",
        "annotation",
        "annotations",
        "annot",
        "anno",
        "segmentation",
        "segmentations",
    ]
    + [
        "seg",
        "segs",
        "segmentationclass",
        "segmentationmask",
        "groundtruth",
        "groundtruths",
        "gt",
        "gts",
        "truth",
        "truths",
        "target",
    ]
    + ["targets", "manual"]
)
_IGNORE_WORDS = frozenset(["fov", "fovs", "roi", "rois", "ignore"])
_SECOND_WORDS = frozenset(["2nd", "observer2", "2ndho", "manual2", "expert2"])
_FIRST_WORDS = frozenset(["1st", "observer1", "1stho", "manual1", "expert1"])
_FILLERS = frozenset(["set", "all", "raw", "ground", "data", "class", "binary", "stage"])
_SPLIT_WORDS = {spelling: split for split, spellings in SPLITS.items() for spelling in spellings}


@dataclass(frozen=True)
class File:
    """A file of pictures or masks: its path, what folders say of it, and the words of its name."""

    path: str
    role: str | None
    split: str | None
    place: tuple[str, ...]
    words: tuple[str, ...]


def find(
    path: Path,
    *,
    folders: Mapping[str, str] | None = None,
    ignore: bool = True,
    suffixes: Collection[str] = SUFFIXES,
    names: Sequence[str] | None = None,
) -> Layout:
    """Find the pictures below a folder and their masks.

    Args:
        path: the folder.
        folders: role -> folder below it, where their names do not say so.
        ignore: whether fields of view are used, where there are some.
        suffixes: of the files that are looked at.
        names: these files, paths below the folder with /, where they are known; None: all there.

    Raises:
        DataError: no pictures with masks.
    """
    left = walks.Left()
    files = _said(path, folders, left, suffixes, names) if folders else _roles(path, left, suffixes, names)
    if not ignore:
        files = [file for file in files if file.role != IGNORED]
    layout = Layout(path, entries=[replace(row, examples=()) for row in left.entries()])
    if not any(file.role == MASK for file in files) or not any(file.role == PICTURE for file in files):
        raise DataError(
            f"{path} holds no pictures with masks: put them into folders images and masks, under the same names, or call "
            "the mask of x.png x_mask.png."
        )
    named = {file.split for file in files if file.role == MASK and file.split}
    for split in sorted(named) or [""]:
        inside = [file for file in files if (file.split or "") == split]
        if any(file.role == MASK for file in inside) and any(file.role == PICTURE for file in inside):
            _pair(layout, split or "train", inside)
    outside = [file.path for file in files if (file.split not in layout.splits and named) or file.role is None]
    if outside:
        layout.entries.append(entry("left out", "images", "that no mask belongs to by folder", outside))
    layout.splits = {split: layout.splits[split] for split in SPLITS if split in layout.splits}
    if not layout.splits:
        raise DataError(f"{path} has pictures and masks, but in no split both.")
    if "train" not in layout.splits and len(layout.splits) == 1:
        (only,) = layout.splits
        layout.splits, layout.bad = {"train": layout.splits[only]}, {"train": layout.bad[only]}
    return layout


def looks_like(path: Path, suffixes: Collection[str] = SUFFIXES) -> bool:
    """Say whether a folder holds files that are pictures and files that are masks by their names."""
    files = _roles(path, walks.Left(), suffixes) if path.is_dir() else []
    return {PICTURE, MASK} <= {file.role for file in files}


def not_pictures(path: Path, suffixes: Collection[str] = SUFFIXES) -> set[str]:
    """Return the files below a folder that are masks of pictures there by their names, with /."""
    files = _roles(path, walks.Left(), suffixes)
    roles = {file.role for file in files}
    return {file.path for file in files if file.role not in (PICTURE, None)} if {PICTURE, MASK} <= roles else set()


# Roles ----------------------------------------------------------------------------------------------------------------


def _below(path: Path, below: str, left: walks.Left, suffixes: Collection[str]) -> list[str]:
    return [
        child.replace(os.sep, "/")
        for _, child in walks.files(str(path), below.replace("/", os.sep), left)
        if os.path.splitext(child)[1].lower() in suffixes  # noqa: PTH122 - a Path for each of a million is slow
    ]


def split_of(path: str) -> str | None:
    """Return the split that the folders of a path, with /, say; None where none does."""
    said = [split for _, split in map(_folder, path.split("/")[:-1]) if split]
    return said[-1] if said else None


def says_role(folder: str) -> bool:
    """Say whether a folder's name says what lies in it, as `images` and `train` do, and is no name of a case."""
    return _folder(folder) != (None, None)


def _said(
    path: Path,
    folders: Mapping[str, str],
    left: walks.Left,
    suffixes: Collection[str],
    names: Sequence[str] | None = None,
) -> list[File]:
    """Return the files of folders whose roles are told."""
    files = []
    for role, folder in folders.items():
        if not (path / folder).is_dir():
            raise DataError(f"There is no folder {path / folder}.")
        below = "" if folder == "." else folder.rstrip("/")
        start = len(below.split("/")) if below else 0
        inside = [name for name in names or () if name.startswith(f"{below}/" if below else "")]
        for name in _below(path, below, left, suffixes) if names is None else inside:
            *places, file = name.split("/")[start:]
            files.append(File(name, role, None, tuple(places), words(file)))
    return files


def _roles(path: Path, left: walks.Left, suffixes: Collection[str], names: Sequence[str] | None = None) -> list[File]:
    """Return all image files below a folder, their roles and splits as their folders' names say, or their own."""
    names = _below(path, "", left, suffixes) if names is None else names
    files = _by_folders(names, _folder)
    if not any(file.role == MASK for file in files):
        by_name = _by_names(files)
        places = {file.place for file in by_name if file.role == PICTURE}
        if any(file.role == MASK and file.place in places for file in by_name):
            return by_name
        files = _by_folders(names, _folder_at_all)
    files = _field_of_view(files)
    if any(file.role == MASK for file in files) and not any(file.role == PICTURE for file in files):
        files = [replace(file, role=file.role or PICTURE) for file in files]
    return _in_one_place(files)


def _by_folders(names: Iterable[str], says: Callable[[str], tuple[str | None, str | None]]) -> list[File]:
    files = []
    for name in names:
        *folders, file = name.split("/")
        role, split, place = None, None, []
        for folder in folders:
            said, part = says(folder)
            role, split = said or role, part or split
            if not said and not part:
                place.append(folder)
        files.append(File(name, role, split, tuple(place), words(file)))
    return files


def _by_names(files: Sequence[File]) -> list[File]:
    """Give files the roles that their own names say."""
    stems = {(file.place, file.words) for file in files}
    return [replace(file, role=_role(file, stems)) for file in files]


def _in_one_place(files: list[File]) -> list[File]:
    """Forget the folder that all pictures lie in where the masks lie elsewhere, and the other way round."""
    sides = {role: {file.place for file in files if file.role == role} for role in (PICTURE, MASK)}
    every = sorted(sides[PICTURE] | sides[MASK]) or [()]
    around = next((k for k, pair in enumerate(zip(every[0], every[-1])) if len(set(pair)) > 1), min(map(len, every)))
    for role, other in ((PICTURE, MASK), (MASK, PICTURE)):
        if len(sides[role]) == 1 and not any(o[: len(p)] == p for o in sides[other] for p in sides[role]):
            files = [replace(f, place=f.place[:around] if f.role == role else f.place) for f in files]
    return files


def _folder_at_all(name: str) -> tuple[str | None, str | None]:
    """As `_folder`, of a name in which other words may stand too."""
    role, split = _folder(name)
    parts = set(_parts(name))
    known = ((MASK, _MASK_WORDS), (PICTURE, _PICTURE_WORDS))
    split = split or next((_SPLIT_WORDS[part] for part in _parts(name) if part in _SPLIT_WORDS), None)
    return role or next((role for role, those in known if parts & those), None), split


def _parts(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return [part for part in re.split(r"[^a-z0-9]+", apart) if len(part) > 1 and not part.isdigit()]


def _folder(name: str) -> tuple[str | None, str | None]:
    """Return the role and the split that a folder's name says: ("mask", "train") of `train_masks`."""
    parts = _parts(name)
    plain = [re.sub(r"(?<=[a-z])\d+$", "", part) for part in parts]
    split = next((_SPLIT_WORDS[part] for part in plain if part in _SPLIT_WORDS), None)
    rest = [part for part, bare in zip(parts, plain) if bare not in _SPLIT_WORDS and bare not in _FILLERS]
    if not rest:
        return (MASK if "ground" in plain else None), split
    for role, known in (
        (PICTURE, _PICTURE_WORDS),
        (IGNORED, _IGNORE_WORDS | _MASK_WORDS),
        (MASK, _MASK_WORDS | _FIRST_WORDS),
        (SECOND, _MASK_WORDS | _SECOND_WORDS),
    ):
        if all(part in known for part in rest):
            needed = {IGNORED: _IGNORE_WORDS, SECOND: _SECOND_WORDS}.get(role, known)
            if any(part in needed for part in rest):
                return role, split
    return None, (split if not rest else None)


def _field_of_view(files: list[File]) -> list[File]:
    """Take the masks beside manual ones for fields of view."""

    def manual(file: File) -> bool:
        return any("manual" in folder.lower() for folder in file.path.split("/")[:-1])

    if not any(manual(file) for file in files if file.role == MASK):
        return files
    return [replace(file, role=IGNORED) if file.role == MASK and not manual(file) else file for file in files]


def words(file: str) -> tuple[str, ...]:
    """Return the words and numbers of a file's name, without its suffix, in small letters."""
    stem = stem_of(file)
    return tuple(re.findall(r"(?:1st|2nd)[^\W\d_]*|[^\W\d_]+|\d+", unicodedata.normalize("NFC", stem).casefold()))


def _role(file: File, stems: Collection[tuple[tuple[str, ...], tuple[str, ...]]]) -> str:
    """Say what a file is by its name: a mask's ends or begins with such a word, or goes on with one behind a picture's."""
    name = file.words
    if name and name[-1] in _SECOND_WORDS and (file.place, name[:-1]) in stems:
        return SECOND
    known = [k for k, word in enumerate(name) if word in _MASK_WORDS or word in _FIRST_WORDS]
    mask = known and (
        known[0] == 0 or known[-1] == len(name) - 1 or any((file.place, name[:k]) in stems for k in known)
    )
    return MASK if mask else PICTURE


# Pairs ----------------------------------------------------------------------------------------------------------------


def _pair(layout: Layout, split: str, files: Sequence[File]) -> None:
    """Pair the files of one split."""
    pictures = [file for file in files if file.role == PICTURE]
    masks = [file for file in files if file.role == MASK]
    taken, rest, unclear = _matched(pictures, masks)
    layout.bad[split] = unclear
    _objects_beside(pictures, taken, rest)
    beside = {role: _matched(pictures, [f for f in files if f.role == role])[0] for role in (IGNORED, SECOND)}
    cases = []
    for picture in sorted(pictures, key=lambda file: natural(file.path)):
        found = taken.get(picture, [])
        if not found:
            layout.bad[split].append((picture.path, "it has no mask"))
            continue
        cases.append(
            Case(
                (picture.path,),
                tuple((file.path, label) for file, label in sorted(found, key=lambda row: natural(row[0].path))),
                ignore=next((file.path for file, _ in beside[IGNORED].get(picture, [])), ""),
                second=next((file.path for file, _ in beside[SECOND].get(picture, [])), ""),
            )
        )
    layout.bad[split] += [(file.path, "it has no picture") for file in rest]
    layout.splits[split] = cases
    if any(label for case in cases for _, label in case.masks):
        layout.holds = CLASSES
    elif layout.holds == VALUES and any(len(case.masks) > 1 for case in cases):
        layout.holds = OBJECTS


Found = dict[File, list[tuple[File, str]]]
"""picture -> (mask, label) of each of its files"""


def _matched(pictures: Sequence[File], masks: Sequence[File]) -> tuple[Found, list[File], list[tuple[str, str]]]:
    """Match masks with pictures, strictly first.

    Returns:
        what was found; masks that are left; (file, reason) of what is unclear.
    """
    places = {file.place for file in pictures}
    labelled = [(mask, "" if mask.place in places or not mask.place else _label(mask.place[-1])) for mask in masks]
    taken: Found = {}
    unclear: list[tuple[str, str]] = []
    for key in _keys(pictures, masks):
        if not labelled:
            break
        open_pictures: dict[object, list[File]] = defaultdict(list)
        for picture in pictures:
            open_pictures[picture.place, key(picture)].append(picture)
        groups: dict[tuple[object, object, str], list[tuple[File, str]]] = defaultdict(list)
        for mask, label in labelled:
            place = mask.place[:-1] if label else mask.place
            groups[place, key(mask), label].append((mask, label))
        done = set()
        for (within, name, label), rows in groups.items():
            partners = open_pictures.get((within, name), [])
            if len(partners) != 1 or any(label == other for _, other in taken.get(partners[0], [])):
                continue
            if len(rows) > 1:
                unclear += [
                    (mask.path, f"{rows[0][0].path} would be the mask of {partners[0].path} as well")
                    for mask, _ in rows[1:]
                ]
            taken.setdefault(partners[0], []).append(rows[0])
            done |= {mask.path for mask, _ in rows}
        labelled = [(mask, label) for mask, label in labelled if mask.path not in done]
    return taken, _words_behind(pictures, taken, labelled), unclear


def _words_behind(pictures: Sequence[File], taken: Found, masks: list[tuple[File, str]]) -> list[File]:
    """Match masks whose names go on behind their picture's, as `x_vessel` and `x_disc` of `x`: these are the labels.

    Args:
        pictures, taken: as they are matched so far.
        masks: with the label that their folder says, or "".

    Returns:
        masks that are left.
    """
    every = _PICTURE_WORDS | _MASK_WORDS | _SPLIT_WORDS.keys()
    starts = {(file.place, _without(file.words, every)): file for file in pictures}
    found: dict[str, list[tuple[File, File]]] = defaultdict(list)
    left = []
    for mask, label in masks:
        name, place = _without(mask.words, every), mask.place[:-1] if label else mask.place
        end = next((k for k in range(len(name) - 1, 0, -1) if (place, name[:k]) in starts), None)
        picture = None if end is None else starts[place, name[:end]]
        if picture is None or any(word.isdigit() for word in name[end:]):
            left.append(mask)
        elif label and all(label != other for _, other in taken.get(picture, [])):
            taken.setdefault(picture, []).append((mask, label))
        elif label or picture in taken:
            left.append(mask)
        else:
            found["_".join(name[end:])].append((picture, mask))
    for label, rows in found.items():
        if len(rows) < 2 and len(pictures) > 1:  # a name of its own is no label
            left += [mask for _, mask in rows]
        else:
            for picture, mask in rows:
                taken.setdefault(picture, []).append((mask, label))
    return left


def _label(folder: str) -> str:
    """Return a label without the number in front of it: "Haemorrhages" of "2. Haemorrhages"."""
    return re.sub(r"^\d+[.)\s_-]+", "", folder) or folder


def _keys(pictures: Sequence[File], masks: Sequence[File]) -> Iterable[Callable[[File], object]]:
    """Yield what names are compared by, strictest first."""
    yield lambda file: stem_of(file.path).casefold()
    drawn = _MASK_WORDS | _FIRST_WORDS | _SECOND_WORDS
    yield lambda file: file.words if file.role == PICTURE else _without(file.words, drawn)
    every = _PICTURE_WORDS | drawn | _IGNORE_WORDS | _SPLIT_WORDS.keys()
    yield lambda file: _without(file.words, every)
    sides: dict[object, list[tuple[str, ...]]] = defaultdict(list)
    for file in (*pictures, *masks):
        sides[_side(file)].append(file.words)
    ends = {side: _shared(names) for side, names in sides.items()}

    def apart(file: File) -> tuple[str, ...]:
        first, last = ends[_side(file)]
        return _without(file.words[first : len(file.words) - last], every)

    yield apart
    yield lambda file: tuple(str(int(word)) if word.isdecimal() else word for word in apart(file))


def _side(file: File) -> tuple[str | None, str]:
    """Return what names are compared among for what they share: the pictures, or the masks of one folder."""
    return file.role, "" if file.role == PICTURE or not file.place else file.place[-1]


def _without(name: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in name if word not in known)


def _shared(names: Sequence[tuple[str, ...]]) -> tuple[int, int]:
    """Return how many words all names begin with, and end with; a first one that is a number does not count."""
    if len(names) < 2:
        return 0, 0
    shortest = min(map(len, names))
    first = next((k for k in range(shortest) if names[0][k].isdigit() or len({n[k] for n in names}) > 1), shortest)
    last = next((k for k in range(shortest - first) if len({n[-1 - k] for n in names}) > 1), shortest - first)
    return first, last


def _objects_beside(pictures: Sequence[File], taken: Found, rest: list[File]) -> None:
    """Give the masks that are left to the only picture of their folder, or to the one whose first mask they continue."""
    by_place: dict[tuple[str, ...], list[File]] = defaultdict(list)
    for file in pictures:
        by_place[file.place].append(file)
    starts = {(file.place, file.words): file for file in pictures}
    own = {picture for picture, rows in taken.items() if any(mask.words == picture.words for mask, _ in rows)}
    several = len(by_place) > 1 or (len(rest) > 1 and not taken)
    picture: File | None
    for mask in list(rest):
        alone = [file for file in by_place.get(mask.place, []) if mask.place or len(by_place) == 1]
        place = next((k for k, word in enumerate(mask.words) if word in _MASK_WORDS), None)
        picture = alone[0] if len(alone) == 1 and several and alone[0] not in own else None
        if picture is None and place is not None and all(word.isdigit() for word in mask.words[place + 1 :]):
            picture = starts.get((mask.place, mask.words[:place]))
        if picture is not None and not any(label for _, label in taken.get(picture, [])):
            taken.setdefault(picture, []).append((mask, ""))
            rest.remove(mask)

"""Annotated images: find out how a folder states its boxes, read them, write them. Formats: voc, coco, yolo, gtsdb.

Design choices:
- The header of every image is read once, in threads: an image that is missing, empty or foreign and a stated size that
  contradicts the image are known before training starts. A photo that is shown turned (EXIF) has the size it is shown in.
- Some tools draw boxes on photos as they are stored. Where annotations state the stored size, and no box leads out of it, their
  boxes are turned as the photos are, and this is told. YOLO's state no size: there `turn_boxes` says so.
- What is wrong ends the reading with one line that names file and line. With `skip_bad` it is left out and listed: of a bad
  box the box, of a bad image or file the image. An image keeps its other boxes.
- Boxes that lead out of the image are kept as they are; `checks` reports them.
- What a format cannot hold lies in `cnnkit-extra.json` beside it, which `write` makes and `read` picks up.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnkit.data.cards import there
from cnnkit.data.inventory import entry
from cnnkit.data.records import Progress
from cnnkit.device import image
from cnnkit.device.orientation import SWAPPED, upright_box
from cnnkit.errors import DataError
from cnnkit.tasks.detection.boxes import Annotations, Box, Picture
from cnnkit.tasks.detection.formats import lists, voc, writers, yolo
from cnnkit.tasks.detection.formats.files import Draft, Faults, Format, Part

FORMATS: dict[str, Format] = {
    "yolo": Format(yolo.yolo_fits, yolo.yolo_parts, yolo.read_yolo),
    "gtsdb": Format(lists.gtsdb_fits, lists.gtsdb_parts, lists.read_gtsdb),
    "coco": Format(lists.coco_fits, lists.coco_parts, lists.read_coco),
    "voc": Format(voc.voc_fits, voc.voc_parts, voc.read_voc),
}
_PLACES = 9  # decimals of px that fractions of an image are rounded to
_BLOCK = 2048
_Measured = list[tuple[Draft, image.Header | image.ImageError]]
_ROUNDING = 1.0  # px by which a box may lead out of its image


def detect_format(path: Path | str) -> str | None:
    """Return the format of a folder's or file's annotations, or None where there are none that are known.

    Raises:
        DataError: they are in two formats, or cannot be read.
    """
    path = Path(path)
    try:
        found = [name for name, form in FORMATS.items() if there(path) and form.fits(path)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    if len(found) > 1:
        raise DataError(f"{path} has boxes in two formats: {' and '.join(found)}. Move the files of one away.")
    return found[0] if found else None


def splits(path: Path | str, format: str | None = None) -> dict[str, str]:
    """Find the splits of a data set, in the order train, validation, test, as far as it has them.

    Args:
        path, format: as `read`.

    Returns:
        {split: what it is read from}, for a person to read; `{split: read(path, split=split) for split in splits(path)}`
        reads them all. Two splits of a data.yaml that name the same folder are one.

    Raises:
        DataError: nothing that is known, or a data.yaml or list of images that is broken.
    """
    return {split: part.title for split, part in _parts(Path(path), format)[1].items()}


def read(
    path: Path | str,
    format: str | None = None,
    *,
    split: str | None = None,
    skip_bad: bool = False,
    turn_boxes: bool = False,
    verify: bool = False,
    progress: Progress | None = None,
) -> Annotations:
    """Read the boxes of one split.

    Args:
        path: a folder, a COCO .json, a data.yaml or a gt.txt.
        format: "voc", "coco", "yolo" or "gtsdb"; by default it is found out.
        split: "train", "validation" or "test", of those that `splits` finds; by default train, or the only one.
        skip_bad: leave out what is bad and list it in `.bad`.
        turn_boxes: all boxes were drawn on photos as they are stored: turn them as EXIF turns the photos.
        verify: decode every image once, so that a damaged one is known now and not in the middle of training.
        progress: called while it goes.

    Returns:
        the annotations; sizes and corners in px. Of YOLO, an image without a file of labels has `unlabelled` in its extra;
        of Pascal VOC, images without an XML file are named in `Annotations.extra["unannotated"]`.

    Raises:
        DataError: nothing that is known, no such split, no image at all, or something is bad and `skip_bad` is not set.
    """
    path = Path(path)
    name, parts = _parts(path, format)
    if split is None:
        split = "train" if "train" in parts else next(iter(parts))
    if split not in parts:
        raise DataError(f"{path} has no split {split!r}. It has {', '.join(parts)}.")
    part = parts[split]
    found = _read(name, part, skip_bad, progress, turn_boxes, verify)
    if not found.pictures:
        reason = f": {found.bad[0][0]} ({found.bad[0][1]})" if found.bad else ""
        raise DataError(f"No image of {path} can be used{reason}. Check the folder and its format ({name}).")
    side = lists.read_side(part.root)["splits"].get(split) if _has_side(part) else None
    return writers.restore(found, side) if side else found


def write(
    annotations: Annotations | Mapping[str, Annotations],
    folder: Path | str,
    format: str,
    *,
    progress: Progress | None = None,
) -> None:
    """Write annotated images as a new data set: the images are copied, byte for byte.

    Reading it again gives the same boxes, labels, sizes and all of `extra`, whatever the format: what it cannot hold goes
    into `cnnkit-extra.json`. An image is called as before, without leading folders such as images/ or train/.

    Args:
        annotations: one split, which is written as train, or {"train": ..., "validation": ..., "test": ...}.
        folder: the folder to make; it appears whole or not at all.
        format: "voc", "coco", "yolo" or "gtsdb".
        progress: called while it goes.

    Raises:
        DataError: the folder is there and not empty, an image is gone or has changed, or the format cannot hold a name.
    """
    form = _format(format)

    def read_back(root: Path, split: str) -> Annotations:
        return _read(format, form.parts(root)[split], False, None)

    writers.write(annotations, Path(folder), format, read_back, progress)


def convert(
    source: Path | str, format: str, folder: Path | str, *, turn_boxes: bool = False, progress: Progress | None = None
) -> dict[str, Annotations]:
    """Read all splits of a data set and write them in another format.

    Args:
        source, turn_boxes: as `read`.
        format, folder, progress: as `write`.

    Returns:
        {split: what was read}.

    Raises:
        DataError: as `read` and `write`.
    """
    _format(format)
    found = {split: read(source, split=split, turn_boxes=turn_boxes, progress=progress) for split in splits(source)}
    write(found, folder, format, progress=progress)
    return found


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise DataError(f"There is no format of boxes {name!r}. There are {', '.join(sorted(FORMATS))}.")
    return FORMATS[name]


def _parts(path: Path, format: str | None) -> tuple[str, dict[str, Part]]:
    if not there(path):
        raise DataError(f"There is no {path}.")
    form = _format(format) if format else None
    name = format or detect_format(path)
    parts = (form or FORMATS[name]).parts(path) if name else {}
    if not name or not parts:
        known = "Pascal VOC (XML), COCO (.json), YOLO (data.yaml) or the German benchmark's gt.txt"
        raise DataError(f"{path} holds no boxes{f' of the format {name}' if name else ''}: it needs {known}.")
    return name, parts


def _has_side(part: Part) -> bool:
    return (part.root / lists.SIDE_FILE).is_file()


def _read(
    name: str,
    part: Part,
    skip_bad: bool,
    progress: Progress | None,
    turn_boxes: bool = False,
    verify: bool = False,
) -> Annotations:
    """Read what the format itself holds."""
    faults = Faults(skip_bad)
    found = FORMATS[name].read(part, faults, progress)
    measured = list(_measured(part.root, found.drafts, verify, progress))
    pictures = _pictures(part.root, measured, faults, turn_boxes)
    labels = found.labels or tuple(sorted({box.label for picture in pictures for box in picture.boxes}))
    return Annotations(part.root, tuple(pictures), labels, tuple(faults.bad), found.extra, tuple(faults.entries))


def _pictures(root: Path, measured: _Measured, faults: Faults, turn_boxes: bool) -> list[Picture]:
    """Hold the drafts against the images; sorted by file."""
    pictures: dict[str, Picture] = {}
    stated: dict[str, str] = {}
    stored = {draft.file for draft, head in _turned(measured)} if turn_boxes else _drawn_as_stored(measured)
    for draft, head in measured:
        if draft.file in stated:
            faults.add(draft.where, f"{draft.file} has its boxes already in {stated[draft.file]}")
            continue
        stated[draft.file] = draft.where
        if isinstance(head, image.ImageError):
            faults.add(str(root / draft.file), head.reason)
            continue
        as_stored = draft.file in stored
        size = (head.width, head.height) if as_stored else head.shown
        if draft.size and draft.size != size:
            faults.add(draft.where, _other_size(draft, head))
            continue
        boxes = []
        for where, box in draft.boxes:
            if draft.fractions:
                box = _in_px(box, *size)
            if as_stored:
                corners = upright_box((box.left, box.top, box.right, box.bottom), *size, head.orientation)
                left, top, right, bottom = (round(side, _PLACES) for side in corners)
                box = Box(box.label, left, top, right, bottom, box.extra)
            if box.right > box.left and box.bottom > box.top:
                boxes.append(box)
            else:
                faults.add(where, f"{box.label!r} is {box.right - box.left:g} x {box.bottom - box.top:g} px: no box")
        pictures[draft.file] = Picture(draft.file, *head.shown, tuple(boxes), draft.extra)
    _tell_turned(measured, stored, pictures, faults)
    return [pictures[file] for file in sorted(pictures)]


def _turned(measured: _Measured) -> list[tuple[Draft, image.Header]]:
    """Return the drafts whose images EXIF turns or mirrors."""
    return [(d, head) for d, head in measured if isinstance(head, image.Header) and head.orientation != 1]


def _drawn_as_stored(measured: _Measured) -> set[str]:
    """Find the images whose boxes were drawn before EXIF turned them: those whose annotation states the size as stored.

    Where all that state a size tell the same, so were the others that EXIF turns. Where a box leads out of the stored image
    and not of the shown one, the sizes alone are wrong, and nothing is turned.
    """
    telling = [(d, h) for d, h in _turned(measured) if d.size and h.orientation in SWAPPED and h.width != h.height]
    stored = [(d, h) for d, h in telling if d.size == (h.width, h.height)]
    if any(_leads_out(d, (h.width, h.height)) and not _leads_out(d, h.shown) for d, h in stored):
        return set()
    chosen = stored if len(stored) < len(telling) or not stored else _turned(measured)
    return {draft.file for draft, _ in chosen}


def _leads_out(draft: Draft, size: tuple[int, int]) -> bool:
    return any(
        box.right > size[0] + _ROUNDING or box.bottom > size[1] + _ROUNDING
        for _, box in draft.boxes
        if not draft.fractions
    )


def _tell_turned(measured: _Measured, stored: set[str], pictures: dict[str, Picture], faults: Faults) -> None:
    """Say which photos are turned, and where their boxes were taken to be drawn."""
    used = [draft.file for draft, _ in _turned(measured) if draft.file in pictures and pictures[draft.file].boxes]
    for names, reason in (
        ([file for file in used if file in stored], "that EXIF turns, and their boxes, drawn as stored, with them"),
        (
            [file for file in used if file not in stored],
            "that EXIF turns; their boxes are taken as drawn on the turned photo (see `data show`; if they were not, "
            "`data convert --turn-boxes` turns them)",
        ),
    ):
        if names:
            faults.entries.append(entry("changed", "images", reason, names))


def _other_size(draft: Draft, head: image.Header) -> str:
    assert draft.size is not None
    told = f"it says {draft.size[0]} x {draft.size[1]} px, but {draft.file} has {head.shown[0]} x {head.shown[1]}"
    if head.shown != (head.width, head.height):
        told += " as it is shown (turned by EXIF)"
        if draft.size == (head.width, head.height):
            told += ", and boxes of this data set fit in that size alone"
    return told


def _in_px(box: Box, width: int, height: int) -> Box:
    left, right = round(box.left * width, _PLACES), round(box.right * width, _PLACES)
    top, bottom = round(box.top * height, _PLACES), round(box.bottom * height, _PLACES)
    return Box(box.label, left, top, right, bottom, box.extra)


def _measured(
    root: Path, drafts: list[Draft], verify: bool, progress: Progress | None
) -> Iterator[tuple[Draft, image.Header | image.ImageError]]:
    """Yield each draft with the header of its image, or what is wrong with it."""
    base = os.fspath(root)
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for start in range(0, len(drafts), _BLOCK):
            block = drafts[start : start + _BLOCK]
            parts = [block[k : k + 64] for k in range(0, len(block), 64)]
            heads = [
                head
                for part in pool.map(lambda part: [_head(f"{base}/{d.file}", verify) for d in part], parts)
                for head in part
            ]
            yield from zip(block, heads, strict=True)
            if progress:
                progress("Looking at images", start + len(block), len(drafts))


def _head(path: str, verify: bool) -> image.Header | image.ImageError:
    try:
        head = image.read_header(path)
        if verify:
            image.read_image(path)
        return head
    except image.ImageError as error:
        return error

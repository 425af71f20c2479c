"""Annotated images: find out how a folder states its boxes, read them, write them. Formats: voc, coco, yolo, gtsdb.

Design choices:
- The header of every image is read once, in threads: an image that is missing, empty or foreign and a stated size that
  contradicts the image are known before training starts. A photo that is shown turned (EXIF) has the size it is shown in.
- What is wrong ends the reading with one line that names file and line. With `skip_bad` it is left out and listed: of a bad
  box the box, of a bad image or file the image. An image keeps its other boxes.
- Boxes that lead out of the image are kept as they are; `box_checks` reports them.
- What a format cannot hold lies in `cnnkit-extra.json` beside it, which `write` makes and `read` picks up.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnkit.data import annotation_lists, annotation_voc, annotation_writers, annotation_yolo
from cnnkit.data.annotation_files import Draft, Faults, Format, Part
from cnnkit.data.boxes import Annotations, Box, Picture
from cnnkit.data.cards import there
from cnnkit.data.records import Progress
from cnnkit.device import image
from cnnkit.errors import DataError

FORMATS: dict[str, Format] = {  # in the order in which a folder is tried
    "yolo": Format(annotation_yolo.yolo_fits, annotation_yolo.yolo_parts, annotation_yolo.read_yolo),
    "gtsdb": Format(annotation_lists.gtsdb_fits, annotation_lists.gtsdb_parts, annotation_lists.read_gtsdb),
    "coco": Format(annotation_lists.coco_fits, annotation_lists.coco_parts, annotation_lists.read_coco),
    "voc": Format(annotation_voc.voc_fits, annotation_voc.voc_parts, annotation_voc.read_voc),
}
_PLACES = 9  # decimals of px that fractions of an image are rounded to
_BLOCK = 2048
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def detect_format(path: Path | str) -> str | None:
    """Return the format of a folder's or file's annotations, or None where there are none that are known."""
    path = Path(path)
    try:
        return next((name for name, form in FORMATS.items() if there(path) and form.fits(path)), None)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


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
    progress: Progress | None = None,
) -> Annotations:
    """Read the boxes of one split.

    Args:
        path: a folder, a COCO .json, a data.yaml or a gt.txt.
        format: "voc", "coco", "yolo" or "gtsdb"; by default it is found out.
        split: "train", "validation" or "test", of those that `splits` finds; by default train, or the only one.
        skip_bad: leave out what is bad and list it in `.bad`.
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
    found = _read(name, part, skip_bad, progress)
    if not found.pictures:
        reason = f": {found.bad[0][0]} ({found.bad[0][1]})" if found.bad else ""
        raise DataError(f"No image of {path} can be used{reason}. Check the folder and its format ({name}).")
    side = annotation_lists.read_side(part.root)["splits"].get(split) if _has_side(part) else None
    return annotation_writers.restore(found, side) if side else found


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

    annotation_writers.write(annotations, Path(folder), format, read_back, progress)


def convert(
    source: Path | str,
    format: str,
    folder: Path | str,
    *,
    source_format: str | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> dict[str, Annotations]:
    """Read all splits of a data set and write them in another format.

    Args:
        source, source_format, skip_bad: as `read`.
        format, folder, progress: as `write`.

    Returns:
        {split: what was read}.

    Raises:
        DataError: as `read` and `write`.
    """
    _format(format)
    found = {
        split: read(source, source_format, split=split, skip_bad=skip_bad, progress=progress)
        for split in splits(source, source_format)
    }
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
    return (part.root / annotation_lists.SIDE_FILE).is_file()


def _read(name: str, part: Part, skip_bad: bool, progress: Progress | None) -> Annotations:
    """Read what the format itself holds."""
    faults = Faults(skip_bad)
    found = FORMATS[name].read(part, faults, progress)
    pictures = _pictures(part.root, found.drafts, faults, progress)
    labels = found.labels or tuple(sorted({box.label for picture in pictures for box in picture.boxes}))
    return Annotations(part.root, tuple(pictures), labels, tuple(faults.bad), found.extra, tuple(faults.entries))


def _pictures(root: Path, drafts: list[Draft], faults: Faults, progress: Progress | None) -> list[Picture]:
    """Hold the drafts against the images; sorted by file."""
    pictures: dict[str, Picture] = {}
    stated: dict[str, str] = {}
    for draft, size in _measured(root, drafts, progress):
        if draft.file in stated:
            faults.add(draft.where, f"{draft.file} has its boxes already in {stated[draft.file]}")
            continue
        stated[draft.file] = draft.where
        if isinstance(size, image.ImageError):
            faults.add(str(root / draft.file), size.reason)
            continue
        width, height, turned = size
        if draft.size and draft.size != (width, height):
            is_turned = turned and draft.size == (height, width)
            faults.add(
                draft.where,
                f"it says {draft.size[0]} x {draft.size[1]} px, but {draft.file} has {width} x {height}"
                + (" as it is shown (turned by EXIF)" if is_turned else ""),
            )
            continue
        boxes = []
        for where, box in draft.boxes:
            if draft.fractions:
                box = _in_px(box, width, height)
            if box.right > box.left and box.bottom > box.top:
                boxes.append(box)
            else:
                faults.add(where, f"{box.label!r} is {box.right - box.left:g} x {box.bottom - box.top:g} px: no box")
        pictures[draft.file] = Picture(draft.file, width, height, tuple(boxes), draft.extra)
    return [pictures[file] for file in sorted(pictures)]


def _in_px(box: Box, width: int, height: int) -> Box:
    left, right = round(box.left * width, _PLACES), round(box.right * width, _PLACES)
    top, bottom = round(box.top * height, _PLACES), round(box.bottom * height, _PLACES)
    return Box(box.label, left, top, right, bottom, box.extra)


def _measured(
    root: Path, drafts: list[Draft], progress: Progress | None
) -> Iterator[tuple[Draft, tuple[int, int, bool] | image.ImageError]]:
    """Yield each draft with (width, height, turned) of its image as it is shown, or what is wrong with it."""
    base = os.fspath(root)
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for start in range(0, len(drafts), _BLOCK):
            block = drafts[start : start + _BLOCK]
            parts = [block[k : k + 64] for k in range(0, len(block), 64)]
            sizes = [
                size
                for part in pool.map(lambda part: [_size(f"{base}/{d.file}") for d in part], parts)
                for size in part
            ]
            yield from zip(block, sizes, strict=True)
            if progress:
                progress("Looking at images", start + len(block), len(drafts))


def _size(path: str) -> tuple[int, int, bool] | image.ImageError:
    try:
        head = image.read_header(path)
        turned = head.format == "JPEG" and _orientation(path) in _TURNED
    except image.ImageError as error:
        return error
    return (head.height, head.width, True) if turned else (head.width, head.height, False)


def _orientation(path: str) -> int:
    """Return the EXIF orientation of a JPEG, 1 to 8; 1 where it states none."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as the reading
        start = file.read(2**16)
    place = start.find(b"Exif\0\0") + 6
    if place < 6:
        return 1
    try:
        order = {b"II": "<", b"MM": ">"}[start[place : place + 2]]
        first = place + struct.unpack_from(order + "I", start, place + 4)[0]
        for entry in range(struct.unpack_from(order + "H", start, first)[0]):
            tag, _, _, value = struct.unpack_from(order + "HHIH", start, first + 2 + 12 * entry)
            if tag == 0x0112:
                return value
    except (struct.error, KeyError):
        pass
    return 1

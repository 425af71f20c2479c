"""Annotated images: find out how a folder states its boxes, and read them. Formats: voc, coco, yolo, gtsdb.

Design choices:
- The header of every image is read once, in threads: an image that is missing, empty or foreign and a stated size that
  contradicts the image are known before training starts. A photo that is shown turned (EXIF) has the size it is shown in.
- What is wrong ends the reading with one line that names file and line. With `skip_bad` it is left out and listed: of a bad
  box the box, of a bad image or file the image. An image keeps its other boxes.
- Boxes that lead out of the image are kept as they are; `box_checks` reports them.
"""

import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnkit.data import annotation_files as files
from cnnkit.data.annotation_files import Draft, Faults
from cnnkit.data.boxes import Annotations, Box, Picture
from cnnkit.data.cards import there
from cnnkit.data.records import Progress
from cnnkit.device import image
from cnnkit.errors import DataError

_PLACES = 9  # decimals of px that fractions of an image are rounded to
_BLOCK = 2048
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def detect_format(path: Path | str) -> str | None:
    """Return the format of a folder's or file's annotations, or None where there are none that are known."""
    path = Path(path)
    return next((name for name, form in files.FORMATS.items() if there(path) and form.parts(path)), None)


def splits(path: Path | str, format: str | None = None) -> dict[str, str]:
    """Find the splits of a data set: {"train": what it is read from, ...}, for a person to read. Arguments as `read`."""
    return {split: _title(part) for split, part in _parts(Path(path), format)[1].items()}


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
        the annotations; sizes and corners in px.

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
    root = getattr(part, "root", path)
    faults = Faults(skip_bad)
    found = files.FORMATS[name].read(root, part, faults, progress)
    pictures = _pictures(root, found.drafts, faults, progress)
    if not pictures:
        reason = f": {faults.bad[0][0]} ({faults.bad[0][1]})" if faults.bad else ""
        raise DataError(f"No image of {path} can be used{reason}. Check the folder and its format ({name}).")
    labels = found.labels or tuple(sorted({box.label for picture in pictures for box in picture.boxes}))
    return Annotations(root, tuple(pictures), labels, tuple(faults.bad), found.extra)


def _title(part) -> str:
    if isinstance(part, files.VocPart):
        return f"{len(part.files):,} XML files"
    return ", ".join(part.entries)


def _parts(path: Path, format: str | None) -> tuple[str, dict]:
    if format is not None and format not in files.FORMATS:
        raise DataError(f"There is no format of boxes {format!r}. There are {', '.join(files.FORMATS)}.")
    if not there(path):
        raise DataError(f"There is no {path}.")
    for name in [format] if format else files.FORMATS:
        parts = files.FORMATS[name].parts(path)
        if parts:
            return name, parts
    known = "Pascal VOC (XML), COCO (.json), YOLO (data.yaml) or the German benchmark's gt.txt"
    raise DataError(f"{path} holds no boxes{' of the format ' + format if format else ''}: it needs {known}.")


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

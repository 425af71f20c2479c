"""Write annotated images in any of the formats, so that nothing is lost on the way there and back.

Design choices:
- Images are copied byte for byte. The data set is built beside the target and renamed: it appears whole or not at all.
- What was written is read back. Where that differs from what was to be written (what Pascal VOC says of a box has no place
  in YOLO's lines, nested values none in XML), the difference goes into `cnnkit-extra.json` beside it: of a picture what
  else is said of it, and of a box what it is, by what the format holds of it. A reader picks that up again; a box that was
  changed in the meantime is taken as the format has it.
- All formats take fractions of px as floats of full precision. That is usual in COCO and YOLO; tools that expect whole
  numbers in XML or gt.txt need boxes that have them.
- An object to be ignored is `difficult` in Pascal VOC and `iscrowd` in COCO, whichever of the two the source said.
- The folders: VOC's JPEGImages/, Annotations/ and ImageSets/Main/; COCO's annotations/instances_SPLIT.json and
  images/SPLIT/; YOLO's images/SPLIT/, labels/SPLIT/ and data.yaml; gt.txt beside its images, a folder for each split. That
  has no subfolders: an image a/1.png becomes a_1.png.
"""

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from cnnkit import files
from cnnkit.data.records import Progress
from cnnkit.errors import CnnkitError, DataError
from cnnkit.tasks.detection.boxes import Annotations, Box, Picture
from cnnkit.tasks.detection.formats.files import IMAGE_FOLDERS, split_of
from cnnkit.tasks.detection.formats.lists import GTSDB_NAMES, SIDE_FILE
from cnnkit.tasks.detection.formats.yolo import label_file

ReadBack = Callable[[Path, str], Annotations]
_WORDS = {"train": "train", "validation": "val", "test": "test"}
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)


@dataclass
class Plan:
    """What is to be written.

    Attributes:
        folder: where it is built.
        splits: {split: annotations}.
        names: {split: the name of each picture's image, below the folder of images}.
        labels: of all splits, in order.
    """

    folder: Path
    splits: Mapping[str, Annotations]
    names: Mapping[str, Sequence[str]]
    labels: tuple[str, ...]


def write(
    annotations: Annotations | Mapping[str, Annotations],
    folder: Path,
    format: str,
    read_back: ReadBack,
    progress: Progress | None = None,
) -> None:
    """Write a data set; as `annotations.write`, which knows how to read it back."""
    splits = {"train": annotations} if isinstance(annotations, Annotations) else dict(annotations)
    if not splits or not set(splits) <= set(_WORDS):
        raise ValueError(f"`annotations` needs splits named train, validation or test. Received: {list(splits)}.")
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link that is to be replaced
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already and not empty. Choose another folder or delete it.")
    with files.system_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        built = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        try:
            _build(splits, built, format, read_back, progress)
            umask = os.umask(0)
            os.umask(umask)
            built.chmod(0o777 & ~umask)  # mkdtemp makes private folders
            if folder.exists():
                folder.rmdir()
            built.rename(folder)
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            raise


def _build(
    splits: Mapping[str, Annotations], built: Path, format: str, read_back: ReadBack, progress: Progress | None
) -> None:
    names = _image_names(splits)
    labels = dict.fromkeys(label for part in splits.values() for label in part.labels)
    labels.update(dict.fromkeys(box.label for part in splits.values() for p in part.pictures for box in p.boxes))
    plan = Plan(built, splits, names, tuple(labels))
    placed = _WRITERS[format](plan, progress)
    side: dict[str, Any] = {"version": 1, "splits": {}}
    if format == "gtsdb" and not set(labels) <= set(GTSDB_NAMES):
        side["names"] = list(labels)
        files.write_json(built / SIDE_FILE, side)
    for split, part in splits.items():
        try:
            read = read_back(built, split)
        except DataError as error:
            reason = str(error).replace(f"{built}{os.sep}", "")
            raise DataError(f"The format {format} cannot hold the {split} split: {reason}") from None
        kept = _differences(part, placed[split], read, format)
        if kept:
            side["splits"][split] = kept
    if side["splits"] or "names" in side:
        with files.atomic(built / SIDE_FILE) as file:
            file.write(json.dumps(side, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode())


def restore(read: Annotations, side: Mapping[str, Any]) -> Annotations:
    """Put back into what a format holds what the side file says of this split.

    Raises:
        DataError: the side file is damaged.
    """
    try:
        return _put_back(read, side)
    except CnnkitError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        reason = "is damaged. Delete it to read what the format itself holds"
        raise DataError(f"{read.root / SIDE_FILE} {reason}.") from None


def _put_back(read: Annotations, side: Mapping[str, Any]) -> Annotations:
    pictures = []
    known = side.get("pictures", {})
    for picture in read.pictures:
        kept = known.get(picture.file)
        if kept:
            boxes = _restored(picture.boxes, kept.get("boxes", []))
            extra = dict(kept.get("extra", picture.extra))
            picture = Picture(picture.file, picture.width, picture.height, boxes, extra)
        pictures.append(picture)
    labels = tuple(str(label) for label in side.get("labels", read.labels))
    labels += tuple(sorted({box.label for picture in pictures for box in picture.boxes} - set(labels)))
    return Annotations(read.root, tuple(pictures), labels, read.bad, dict(side.get("extra", read.extra)), read.entries)


def _restored(boxes: tuple[Box, ...], kept: list[Any]) -> tuple[Box, ...]:
    stored: dict[tuple[Any, ...], list[Any]] = {}
    for known, box in kept:
        stored.setdefault(tuple(known), []).append(box)
    found = []
    for box in boxes:
        same = stored.get((box.label, box.left, box.top, box.right, box.bottom))
        if same:
            label, left, top, right, bottom, extra = same.pop(0)
            left, top, right, bottom = (float(value) for value in (left, top, right, bottom))
            if not (math.isfinite(right - left + bottom - top) and left < right and top < bottom):
                raise ValueError
            box = Box(str(label), left, top, right, bottom, box.extra if extra is None else dict(extra))
        found.append(box)
    return tuple(found)


def _differences(part: Annotations, placed: list[str], read: Annotations, format: str) -> dict[str, Any]:
    """Hold what was read back against what was to be written: what the side file says of a split, {} for nothing."""
    there = {picture.file: picture for picture in read.pictures}
    if len(there) != len(part.pictures) or set(there) != set(placed):
        lost = sorted(set(placed) - set(there))
        raise DataError(
            f"The format {format} cannot hold an image of this name: {(lost or sorted(there))[0]!r}. Rename it."
        )
    kept: dict[str, Any] = {}
    pictures = {}
    for file, picture in zip(placed, part.pictures, strict=True):
        found = there[file]
        if (found.width, found.height) != (picture.width, picture.height) or len(found.boxes) != len(picture.boxes):
            raise DataError(f"{part.root / picture.file} has changed since its boxes were read. Read them again.")
        changed: dict[str, Any] = {}
        if dict(found.extra) != dict(picture.extra):
            changed["extra"] = dict(picture.extra)
        rows = [(_corners(a), _box_row(a, b)) for a, b in zip(found.boxes, picture.boxes, strict=True)]
        if any(row for _, row in rows):
            # of two boxes that look alike to the format each needs its row, so that they are told apart by their order
            alike = [known for known, row in rows if row]
            changed["boxes"] = [
                [known, row or [*known, dict(b.extra)]]
                for (known, row), b in zip(rows, picture.boxes, strict=True)
                if known in alike
            ]
        if changed:
            pictures[file] = changed
    if pictures:
        kept["pictures"] = pictures
    if read.labels != part.labels:
        kept["labels"] = list(part.labels)
    extra = {key: value for key, value in part.extra.items() if key != "unannotated"}  # those were not copied
    if dict(read.extra) != extra:
        kept["extra"] = extra
    return kept


def _corners(box: Box) -> list[Any]:
    return [box.label, box.left, box.top, box.right, box.bottom]


def _box_row(found: Box, box: Box) -> list[Any] | None:
    """Return what the side file says of a box: None where the format holds all of it."""
    same = dict(found.extra) == dict(box.extra)
    if same and _corners(found) == _corners(box):
        return None
    return [*_corners(box), None if same else dict(box.extra)]


def _image_names(splits: Mapping[str, Annotations]) -> dict[str, list[str]]:
    """Name each image without the folders that only say what it is (images/, train/), unless two would then be one."""
    found = {}
    for split, part in splits.items():
        full = [picture.file for picture in part.pictures]
        short = [_without_layout(name) for name in full]
        found[split] = short if len(set(short)) == len(short) else full
    return found


def _without_layout(name: str) -> str:
    parts = name.split("/")
    while len(parts) > 1 and (parts[0] in IMAGE_FOLDERS or split_of(parts[0])):
        parts = parts[1:]
    return "/".join(parts)


def _copy(plan: Plan, split: str, targets: list[str], progress: Progress | None) -> None:
    part = plan.splits[split]
    for count, (picture, target) in enumerate(zip(part.pictures, targets, strict=True)):
        path = plan.folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(part.root / picture.file, path)
        except FileNotFoundError:
            raise DataError(f"{part.root / picture.file} is not there any more. Read its folder again.") from None
        if progress and count % 100 == 0:
            progress(f"Copying images ({split})", count, len(targets))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _text(value: float) -> str:
    """Return a number so that it reads back as the same: 12 for 12.0."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 2**53 else repr(value)


def _no_twins(paths: Sequence[str], names: Sequence[str], format: str) -> None:
    """Refuse images whose files of labels would be one, such as a.png and a.jpg."""
    seen: dict[str, str] = {}
    for path, name in zip(paths, names, strict=True):
        other = seen.setdefault(path, name)
        if other != name:
            raise DataError(f"In the format {format}, {other} and {name} would share one file of labels. Rename one.")


def _write_yolo(plan: Plan, progress: Progress | None) -> dict[str, list[str]]:
    import yaml

    codes = {label: code for code, label in enumerate(plan.labels)}
    placed, table = {}, {"path": "."}
    for split, part in plan.splits.items():
        images = f"images/{_WORDS[split]}"
        table[_WORDS[split]] = images
        targets = placed[split] = [f"{images}/{name}" for name in plan.names[split]]
        _no_twins([label_file(target) for target in targets], targets, "yolo")
        _copy(plan, split, targets, progress)
        for target, picture in zip(targets, part.pictures, strict=True):
            path = plan.folder / label_file(target)
            path.parent.mkdir(parents=True, exist_ok=True)  # without it the folder is no YOLO
            if picture.boxes or not picture.extra.get("unlabelled"):
                lines = [_yolo_line(box, codes[box.label], picture.width, picture.height) for box in picture.boxes]
                _write(path, "".join(f"{line}\n" for line in lines))
    text = yaml.safe_dump(
        {**table, "nc": len(plan.labels), "names": list(plan.labels)}, allow_unicode=True, sort_keys=False, width=10_000
    )
    _write(plan.folder / "data.yaml", text)
    return placed


def _yolo_line(box: Box, code: int, width: int, height: int) -> str:
    polygon = box.extra.get("polygon")
    numbers = isinstance(polygon, list) and all(type(value) in (int, float) for value in polygon)
    if polygon and numbers and len(polygon) >= 6 and len(polygon) % 2 == 0:
        xs, ys = polygon[::2], polygon[1::2]
        bounds = [min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height]
        if all(abs(a - b) < 1e-6 for a, b in zip(bounds, _corners(box)[1:], strict=True)):
            return " ".join([str(code), *(repr(float(value)) for value in polygon)])
    x, y = (box.left + box.right) / 2 / width, (box.top + box.bottom) / 2 / height
    return f"{code} {x!r} {y!r} {(box.right - box.left) / width!r} {(box.bottom - box.top) / height!r}"


def _write_voc(plan: Plan, progress: Progress | None) -> dict[str, list[str]]:
    stems = [name.rpartition(".")[0] for names in plan.names.values() for name in names]
    flat = len(set(stems)) == len(stems) or len(plan.splits) == 1
    placed = {}
    for split, part in plan.splits.items():
        below = "" if flat else f"{_WORDS[split]}/"
        names = [below + name for name in plan.names[split]]
        targets = placed[split] = [f"JPEGImages/{name}" for name in names]
        _copy(plan, split, targets, progress)
        own = [name.rpartition(".")[0] for name in names]
        own = own if len(set(own)) == len(own) else names  # a.png and a.jpg: a.png.xml and a.jpg.xml
        for stem, name, picture in zip(own, names, part.pictures, strict=True):
            _write(plan.folder / "Annotations" / f"{stem}.xml", _voc_xml(name.rpartition("/")[2], picture))
        if len(plan.splits) > 1 or split != "train":
            _write(plan.folder / "ImageSets" / "Main" / f"{_WORDS[split]}.txt", "".join(f"{stem}\n" for stem in own))
    return placed


def _voc_xml(name: str, picture: Picture) -> str:
    extra = {key: value for key, value in picture.extra.items() if key not in ("filename", "size", "object", "depth")}
    size = {"width": picture.width, "height": picture.height}
    size |= {"depth": picture.extra["depth"]} if "depth" in picture.extra else {}
    lines = ["<annotation>", *_xml("filename", name, 1), *_xml("size", size, 1)]
    for key, value in extra.items():
        lines += _xml(key, value, 1)
    for box in picture.boxes:
        lines += ["    <object>", *_xml("name", box.label, 2)]
        held = {"difficult": int(box.ignored), **box.extra} if box.ignored else box.extra
        for key, value in held.items():
            lines += _xml(key, value, 2) if key not in ("name", "bndbox") else []
        corners = zip(("xmin", "ymin", "xmax", "ymax"), _corners(box)[1:], strict=True)
        lines += _xml("bndbox", {key: _text(value) for key, value in corners}, 2)
        lines.append("    </object>")
    return "\n".join([*lines, "</annotation>\n"])


def _xml(tag: str, value: Any, depth: int) -> list[str]:
    """Return the lines of an element; none of what XML does not hold, which the side file then has."""
    start = "    " * depth
    if not _TAG.fullmatch(str(tag)) or isinstance(value, bool):
        return []
    if isinstance(value, Mapping):
        inner = [line for key, part in value.items() for line in _xml(key, part, depth + 1)]
        return [f"{start}<{tag}>", *inner, f"{start}</{tag}>"] if inner and depth < 8 else []
    if isinstance(value, int | str):
        text = str(value)
        plain = all(c.isprintable() for c in text)
        return [f"{start}<{tag}>{escape(text)}</{tag}>"] if plain or tag in ("name", "filename") else []
    return []


def _write_coco(plan: Plan, progress: Progress | None) -> dict[str, list[str]]:
    placed = {}
    for split, part in plan.splits.items():
        targets = placed[split] = [f"images/{_WORDS[split]}/{name}" for name in plan.names[split]]
        _copy(plan, split, targets, progress)
        known = {key: value for key, value in part.extra.items() if key != "unannotated"}
        categories = _categories(known.pop("categories", None), plan.labels)
        codes = {row["name"]: row["id"] for row in categories}
        image_ids = _ids([picture.extra.get("id") for picture in part.pictures])
        box_ids = iter(_ids([box.extra.get("id") for picture in part.pictures for box in picture.boxes]))
        images: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for name, number, picture in zip(plan.names[split], image_ids, part.pictures, strict=True):
            size = {"id": number, "file_name": name, "width": picture.width, "height": picture.height}
            images.append({**picture.extra, **size})
            for box in picture.boxes:
                width, height = box.right - box.left, box.bottom - box.top
                row = {"iscrowd": int(box.ignored), "area": width * height, **box.extra, "id": next(box_ids)}
                row |= {"image_id": number, "category_id": codes[box.label]}
                rows.append({**row, "bbox": [_plain(value) for value in (box.left, box.top, width, height)]})
        document = {**known, "images": images, "annotations": rows, "categories": categories}
        path = plan.folder / "annotations" / f"instances_{_WORDS[split]}.json"
        _write(path, json.dumps(document, allow_nan=False, ensure_ascii=False))
    return placed


def _plain(value: float) -> float:
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _categories(known: Any, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the source's categories where they are of these labels, else new ones from 1."""
    rows = known if isinstance(known, list) and all(isinstance(row, dict) for row in known) else []
    if rows and tuple(row.get("name") for row in rows) == labels:
        return rows
    return [{"id": k, "name": label} for k, label in enumerate(labels, 1)]


def _ids(known: list[Any]) -> list[int | str]:
    """Return the source's ids where each has one of its own, else numbers from 1."""
    if all(type(value) is int for value in known) and len(set(known)) == len(known):
        return known
    return list(range(1, len(known) + 1))


def _write_gtsdb(plan: Plan, progress: Progress | None) -> dict[str, list[str]]:
    labels = GTSDB_NAMES if set(plan.labels) <= set(GTSDB_NAMES) else plan.labels
    codes = {label: code for code, label in enumerate(labels)}
    placed = {}
    for split, part in plan.splits.items():
        below = f"{_WORDS[split]}/" if len(plan.splits) > 1 or split != "train" else ""
        targets = placed[split] = [below + name.replace("/", "_") for name in plan.names[split]]
        _no_twins(targets, plan.names[split], "gtsdb")
        _copy(plan, split, targets, progress)
        rows = []
        for target, picture in zip(targets, part.pictures, strict=True):
            for box in picture.boxes:
                words = [target.removeprefix(below), *map(_text, _corners(box)[1:]), str(codes[box.label])]
                rows.append(";".join(words) + "\n")
        _write(plan.folder / below / "gt.txt", "".join(rows))
    return placed


_WRITERS = {"voc": _write_voc, "coco": _write_coco, "yolo": _write_yolo, "gtsdb": _write_gtsdb}

"""Annotations as YOLO has them: a data.yaml, and beside each image a file of lines `class cx cy w h`.

Design choices:
- Corners are fractions of the image until its size is known. Polygons become their bounding box and are kept in `extra`, as is
  what stands behind a box; what the lines hold is judged by all of a split together (`yolo_rows`).
- YAML is loaded by a safe loader, of a limited size and without aliases.
- The folders that a data.yaml names lie below its `path`. The `../train/images` that Roboflow writes is taken as it is meant.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cnnkit.data.cards import there
from cnnkit.data.inventory import Entry
from cnnkit.data.records import Progress
from cnnkit.errors import DataError, MissingExtra
from cnnkit.tasks.detection.formats import files as shared
from cnnkit.tasks.detection.formats.images import ImageNames
from cnnkit.tasks.detection.formats.yolo_rows import BOX, POLYGON, box_of, layout, parsed

MOST_BYTES = 2**18  # of a data.yaml


@dataclass(frozen=True)
class YoloPart:
    """A split of a data.yaml: its entries (folders and lists below the root), the names of the classes, what it says of rows."""

    root: Path
    entries: tuple[str, ...]
    names: tuple[str, ...]
    keypoints: tuple[int, int] | None = None
    task: str | None = None

    @property
    def title(self) -> str:
        return ", ".join(self.entries)


def yolo_file(path: Path) -> Path | None:
    """Return the data.yaml that is meant: the file itself, or the one in the folder, also under another name."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    if not path.is_dir():
        return None
    names = [name for name in ("data.yaml", "data.yml", "dataset.yaml") if (path / name).is_file()]
    others = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return path / names[0] if names else others[0] if len(others) == 1 else None


def yolo_fits(path: Path) -> bool:
    file = yolo_file(path)
    if file is None or not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.read(MOST_BYTES)
    return b"names" in start and bool(re.search(rb"(^|[\s{,])[\"']?(train|val|test)[\"']?\s*:", start))


def load_yaml(path: Path) -> Any:
    """Load a small YAML file of plain values, without aliases: nine lines of them can stand for a billion values."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra('A data.yaml needs PyYAML. Run `pip install "cnnkit[train]"`.') from None

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent, index):
            if self.check_event(yaml.AliasEvent):
                raise shared.Fault(
                    "it has YAML aliases (*), which a data.yaml has no use for", self.peek_event().start_mark.line + 1
                )
            return super().compose_node(parent, index)

    with shared.naming(path):
        try:
            return yaml.load(shared.small_file(path, MOST_BYTES), Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or "its characters"
            raise shared.Fault(f"it is not YAML ({reason})", mark.line + 1 if mark else None) from None
        except (ValueError, RecursionError) as error:  # a date that is none, brackets without end
            raise shared.Fault(f"it is not YAML that can be read ({error})") from None


def yolo_parts(path: Path) -> dict[str, YoloPart]:
    """Find the splits of a data.yaml; two that name the same folders are one."""
    file = yolo_file(path)
    if file is None:
        return {}
    table = load_yaml(file)
    if not isinstance(table, dict) or "names" not in table:
        raise DataError(f"{file} is no data.yaml of YOLO: it needs `names` and `train`.")
    names = _yolo_names(table["names"], file)
    keypoints, task = _yolo_keypoints(table.get("kpt_shape"), file), str(table.get("task") or "").lower() or None
    stated = table.get("path") or "."
    if not isinstance(stated, str):
        raise DataError(f"{file}: `path` is a folder, not {stated!r}.")
    root = file.parent / os.path.expanduser(stated)  # noqa: PTH111
    root = root if os.path.isdir(root) else file.parent  # noqa: PTH112 - of another machine
    parts: dict[str, YoloPart] = {}
    seen: list[tuple[str, ...]] = []
    for split, key in (("train", "train"), ("validation", "val"), ("validation", "valid"), ("test", "test")):
        entries = table.get(key)
        if not entries or split in parts:
            continue
        listed = entries if isinstance(entries, list) else [entries]
        found = tuple(_yolo_entry(entry, key, root, file) for entry in listed)
        if found not in seen:
            parts[split] = YoloPart(root, found, names, keypoints, task)
            seen.append(found)
    if not parts:
        raise DataError(f"{file} names no images: it needs `train`, a folder or a list of images.")
    return parts


def _yolo_names(names: Any, file: Path) -> tuple[str, ...]:
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{file}: the numbers of `names` are 0 to {len(names) - 1}, one each.")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{file}: `names` is a list of the classes' names.")
    odd = next((name for name in names if type(name) not in (str, int, float)), None)
    if odd is not None or None in names:  # an unquoted `no` is False to YAML
        raise DataError(f"{file}: in `names`, {odd!r} is no text. Put it in quotes.")
    texts = tuple(str(name).strip() for name in names)
    if len(set(texts)) < len(texts) or "" in texts:
        raise DataError(f"{file}: `names` has an empty name or one twice.")
    return texts


def _yolo_keypoints(shape: Any, file: Path) -> tuple[int, int] | None:
    if shape is None:
        return None
    if (
        not isinstance(shape, list)
        or [type(value) for value in shape] != [int, int]
        or shape[0] < 1
        or shape[1] not in (2, 3)
    ):
        raise DataError(f"{file}: `kpt_shape` is [number of keypoints, 2 or 3], not {shape!r}.")
    return shape[0], shape[1]


def _yolo_entry(entry: Any, key: str, root: Path, file: Path) -> str:
    """Return a split's folder or list as a path below the root. Roboflow's ../train/images lies beside its data.yaml."""
    if not isinstance(entry, str):
        raise DataError(f"{file}: `{key}` is a folder, a list (.txt) or several of them, not {entry!r}.")
    found = _below(root, entry)
    stripped = re.sub(r"^(\.\./)+", "", entry)
    if (found is None or not there(root / found)) and there(root / stripped):
        found = _below(root, stripped)
    if found is None:
        raise DataError(f"{file}: `{key}` is {entry!r}, which lies outside the data's folder {root}.")
    if not there(root / found):
        raise DataError(f"{file}: `{key}` names {root / found}, which is not there.")
    return found


def _below(root: Path, entry: str) -> str | None:
    """Return a path as one below `root`, or None where it leads out."""
    path = PurePosixPath(os.path.normpath(os.path.join(root, entry)))  # noqa: PTH118
    base = PurePosixPath(os.path.normpath(root))
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def read_yolo(part: YoloPart, faults: shared.Faults, progress: Progress | None) -> shared.Found:
    """Read the label files of a split. An image without one has no boxes, and `unlabelled` in its extra."""
    files: dict[str, str] = {}
    for entry in part.entries:
        if (part.root / entry).is_dir():
            below = "" if entry == "." else entry
            files.update({file: f"{part.root}/{file}" for file in shared.images_below(part.root, below)})
        else:
            with shared.naming(part.root / entry):
                files.update(_yolo_list(part, entry, faults))
    drafts: list[shared.Draft] = []
    lines: list[tuple[shared.Draft, str, str, list[float]]] = []  # draft, where, label, numbers
    for count, (file, where) in enumerate(files.items()):
        if progress and count % 500 == 0:
            progress("Reading annotations", count, len(files))
        draft = shared.Draft(file, where, fractions=True)
        label = f"{part.root}/{label_file(file)}"
        rows: list[str] = []
        try:
            rows = shared.text_lines(label)
        except shared.Missing:
            draft.extra["unlabelled"] = True
        except shared.Fault as fault:
            faults.add(label, fault.reason)
            continue
        for line, row in enumerate(rows, 1):
            try:
                if row.strip():
                    lines.append((draft, shared.at(label, line), *parsed(row, part.names)))
            except shared.Fault as fault:
                faults.add(shared.at(label, line), fault.reason)
        drafts.append(draft)
    _add_boxes(part, lines, faults)
    return shared.Found(drafts, part.names)


def _add_boxes(part: YoloPart, lines: list[tuple[shared.Draft, str, str, list[float]]], faults: shared.Faults) -> None:
    """Make boxes of the lines of a split."""
    long = [line for line in lines if len(line[3]) > 4]
    with shared.naming(long[0][1] if long else part.root):
        kind = layout([values for *_, values in long], part.keypoints, part.task)
    for draft, where, label, values in lines:
        try:
            draft.boxes.append((where, box_of(label, values, kind, part.keypoints)))
        except shared.Fault as fault:
            faults.add(where, fault.reason)
    if long and kind not in (BOX, POLYGON):
        what = "keypoints" if kind == "keypoints" else "a score or the number of a track"
        files = tuple(dict.fromkeys(draft.file for draft, *_ in long))[:5]
        faults.entries.append(
            Entry("changed", len(long), "boxes", f"with {what} behind them, which is not used", files)
        )


def _yolo_list(part: YoloPart, entry: str, faults: shared.Faults) -> Iterator[tuple[str, str]]:
    """Yield (image below the root, where) of a list of images; its lines are relative to the root or to the list."""
    names: ImageNames | None = None
    for line, row in enumerate(shared.text_lines(part.root / entry), 1):
        where, text = shared.at(part.root / entry, line), row.strip().replace("\\", "/")
        if not text:
            continue
        beside = (part.root / entry).parent
        places = [base / text for base in (part.root, beside)] if not text.startswith("./") else [beside / text]
        found = [_below(part.root, str(place)) for place in [*places, part.root / text]]
        good = [path for path in found if path and os.path.isfile(part.root / path)]  # noqa: PTH113 - never raises
        if good:
            yield good[0], where
            continue
        names = names or ImageNames(shared.images_below(part.root))
        try:
            alike = None if ".." in text.split("/") else names.alike(text, [""])
        except shared.Fault as fault:
            faults.add(where, fault.reason)
            continue
        if alike:
            yield alike, where
        elif not any(found):
            faults.add(where, f"{text!r} leads out of the data's folder")
        else:
            faults.add(where, f"there is no image {text!r}")
    if names:
        faults.entries += names.entries()


def label_file(file: str) -> str:
    """Return where the labels of an image are: in labels/ beside the last images/ of its path, else beside it."""
    parts = file.split("/")
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == "images":
            parts[place] = "labels"
            break
    return "/".join(parts).rpartition(".")[0] + ".txt"

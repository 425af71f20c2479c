"""What files of annotations say that hold all images in one: COCO's JSON and the gt.txt of the German benchmark.

Design choices:
- The place of a fault in JSON is the element, such as `annotations[17]`: the parser knows lines only of broken syntax.
- An image is looked for beside the JSON, in a folder of the split's name, in images/, and then anywhere below the root if
  only one file there has its name; at last one that differs in case, in its suffix or by the folders of another machine. So it
  is with a gt.txt, whose pictures are often converted from .ppm.
- COCO's boxes are stated as x, y, width, height; right and bottom are rounded to 1e-9 px, so that sums of decimals come out.
- The complete German benchmark has 900 images in one folder; by its publishers' division the first 600 are for training.
"""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cnnkit.data.cards import inside
from cnnkit.data.naming import SPLITS
from cnnkit.data.records import Progress
from cnnkit.errors import DataError
from cnnkit.tasks.detection.boxes import Box
from cnnkit.tasks.detection.formats import files as shared
from cnnkit.tasks.detection.formats.images import ImageNames

SIDE_FILE = "cnnkit-extra.json"  # what a format cannot hold, as `writers` writes it
MOST_JSON_BYTES = 2 * 2**30
_PEEK = 2**16
_PLACES = 9
_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_IN_FULL = 900  # images of the complete German benchmark
_TRAINING = 600

GTSDB_NAMES = (  # by class id, as converted copies of the benchmark call them
    "SpeedLimit 20 km/h",
    "SpeedLimit 30 km/h",
    "SpeedLimit 50 km/h",
    "SpeedLimit 60 km/h",
    "SpeedLimit 70 km/h",
    "SpeedLimit 80 km/h",
    "RestrictionEnds 80 km/h",
    "SpeedLimit 100 km/h",
    "SpeedLimit 120 km/h",
    "NoOvertaking",
    "NoOvertaking (trucks)",
    "PriorityAtNextIntersection (danger)",
    "PriorityRoad",
    "GiveWay",
    "Stop",
    "NoTrafficBothWays",
    "NoTrucks",
    "NoEntry",
    "Danger",
    "BendLeft (danger)",
    "BendRight (danger)",
    "Bend (danger)",
    "UnevenRoad (danger)",
    "SlipperyRoad (danger)",
    "RoadNarrows (danger)",
    "Construction (danger)",
    "GeneralDanger",
    "PedestrianCrossing (danger)",
    "SchoolCrossing (danger)",
    "CyclesCrossing (danger)",
    "Snow (danger)",
    "Animals (danger)",
    "RestrictionEnds",
    "GoRight (mandatory)",
    "GoLeft (mandatory)",
    "GoStraight (mandatory)",
    "GoRightOrStraight (mandatory)",
    "GoLeftOrStraight (mandatory)",
    "KeepRight (mandatory)",
    "KeepLeft (mandatory)",
    "Roundabout (mandatory)",
    "RestrictionEnds (overtaking)",
    "RestrictionEnds (overtaking trucks)",
)


def load_json(path: Path) -> Any:
    """Load a JSON file of a limited size; NaN and infinity, which JSON does not have, are refused."""

    def refuse(word: str) -> Any:
        raise shared.Fault(f"it has {word}, which is not a number of JSON")

    with shared.naming(path):
        try:
            return json.loads(shared.small_file(path, MOST_JSON_BYTES), parse_constant=refuse)
        except json.JSONDecodeError as error:
            raise shared.Fault(f"it is not JSON ({error.msg})", error.lineno) from None
        except UnicodeDecodeError as error:
            raise shared.Fault(f"it is not UTF-8 text (byte {error.start + 1})") from None
        except (ValueError, RecursionError) as error:  # an integer of 5,000 digits, brackets without end
            raise shared.Fault(f"it is not JSON that can be read ({error})") from None


# COCO -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilePart:
    """A file of annotations, as a path below the root; of a gt.txt also which images of its folder belong: from, and up to."""

    root: Path
    file: str
    first: int = 0
    last: int | None = None

    @property
    def title(self) -> str:
        return self.file if self.last is None and not self.first else f"{self.file}, {self.first}-{self.last or 'last'}"


def _is_coco(path: Path) -> bool:
    """Say whether the first and last bytes of a file look like COCO detection, be it cut off where its name says so."""
    named = path.name.lower().startswith("instances") or path.parent.name.lower() == "annotations"
    try:
        with path.open("rb") as file:
            start = file.read(_PEEK)
            file.seek(-min(_PEEK, os.fstat(file.fileno()).st_size), os.SEEK_END)
            ends = start + file.read(_PEEK)
    except OSError:
        return False
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and sum(key in ends for key in _KEYS) >= 2 - named


def _json_files(path: Path) -> list[Path]:
    """Return the JSON files in a folder, in its annotations/, and in folders called as splits are."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    if not path.is_dir():
        return []
    folders = [path] + sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and (child.name.lower() == "annotations" or shared.split_of(child.name))
    )
    return [file for folder in folders for file in sorted(folder.glob("*.json")) if file.name != SIDE_FILE]


def coco_fits(path: Path) -> bool:
    if path.is_file():  # whoever names a .json means it, and is told what is wrong with it
        return path.suffix.lower() == ".json"
    return any(_is_coco(file) for file in _json_files(path))


def coco_parts(path: Path) -> dict[str, FilePart]:
    """Find the JSON files and which split each is for, by its name or its folder's."""
    if path.is_file():
        root = path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
        found = _json_files(path)
        return {_split_of_file(path) or "train": FilePart(root, path.relative_to(root).as_posix())} if found else {}
    found = [file for file in _json_files(path) if _is_coco(file)]
    instances = [file for file in found if file.name.lower().startswith("instances")]
    found = instances or found
    if len(found) == 1:
        return {_split_of_file(found[0]) or "train": FilePart(path, found[0].relative_to(path).as_posix())}
    parts: dict[str, FilePart] = {}
    for file in found:
        split = _split_of_file(file)
        if split in parts:
            raise DataError(
                f"{path} has two files for {split}: {parts[split].file} and {file.name}. Name the one you mean."
            )
        if split:
            parts[split] = FilePart(path, file.relative_to(path).as_posix())
    if found and not parts:
        raise DataError(f"{path} has {len(found)} JSON files, {found[0].name} ...: name the one you mean.")
    return {split: parts[split] for split in SPLITS if split in parts}


def _split_of_file(path: Path) -> str | None:
    words = [*re.split(r"[_.\-\s]+", path.stem), path.parent.name]
    return next((split for word in words if (split := shared.split_of(word))), None)


def read_coco(part: FilePart, faults: shared.Faults, progress: Progress | None) -> shared.Found:
    """Read a JSON file of detections."""
    path = part.root / part.file
    if progress:
        progress("Reading annotations", 0, None)
    table = load_json(path)
    with shared.naming(path):
        if not isinstance(table, dict):
            raise shared.Fault("it is not COCO: it needs `images`, `annotations` and `categories`")
        for key in ("images", "annotations", "categories"):
            if not isinstance(table.get(key), list):
                raise shared.Fault(f"it is not COCO: it needs a list `{key}`")
        names = _coco_names(table["categories"])
    lookup = _Lookup(part)
    drafts: dict[Any, shared.Draft] = {}
    left_out: set[Any] = set()
    for k, row in enumerate(table["images"]):
        where = f"{path}, images[{k}]"
        try:
            draft = _coco_image(row, where, lookup)
            if row["id"] in drafts:
                raise shared.Fault(f"the image id {row['id']!r} stands twice")
            drafts[row["id"]] = draft
        except shared.Fault as fault:
            faults.add(where, fault.reason)
            if isinstance(row, dict) and isinstance(row.get("id"), int | str):
                left_out.add(row["id"])
    for k, row in enumerate(table["annotations"]):
        where = f"{path}, annotations[{k}]"
        try:
            image_id, box = _coco_box(row, names)
            if image_id in drafts:
                drafts[image_id].boxes.append((where, box))
            elif image_id not in left_out:
                raise shared.Fault(f"there is no image with the id {image_id!r}")
        except shared.Fault as fault:
            faults.add(where, fault.reason)
    faults.entries += lookup.names.entries()
    extra = {key: value for key, value in table.items() if key not in ("images", "annotations")}
    return shared.Found(list(drafts.values()), tuple(names.values()), extra)


class _Lookup:
    """Finds the image that a `file_name` means."""

    def __init__(self, part: FilePart):
        self.names = ImageNames(shared.images_below(part.root))
        self.files = self.names.files
        folder = PurePosixPath(part.file).parent.as_posix().lstrip(".")
        stem = re.sub(r"^instances_", "", PurePosixPath(part.file).stem)
        words = [stem, re.sub(r"\d{4}$", "", stem), *SPLITS.get(shared.split_of(stem) or "", ())]
        places = [
            folder,
            *words,
            *(f"{images}/{word}" for images in shared.IMAGE_FOLDERS for word in words),
            *shared.IMAGE_FOLDERS,
            "",
        ]
        self.places = list(dict.fromkeys(places))
        self.by_name: dict[str, list[str]] | None = None

    def find(self, name: str) -> str:
        for place in self.places:
            path = f"{place}/{name}".lstrip("/")
            if path in self.files:
                return path
        if self.by_name is None:
            self.by_name = {}
            for file in self.files:
                self.by_name.setdefault(file.rpartition("/")[2], []).append(file)
        found = [file for file in self.by_name.get(name.rpartition("/")[2], []) if f"/{file}".endswith(f"/{name}")]
        if len(found) > 1:
            raise shared.Fault(f"{name!r} may be {found[0]} or {found[1]}")
        if not found:
            found = [file for file in [self.names.alike(name, self.places)] if file]
        if not found:
            raise shared.Fault(f"there is no image {name!r}")
        return found[0]


def _coco_names(rows: list[Any]) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    for k, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or type(row.get("id")) not in (int, str):
            raise shared.Fault(f"categories[{k}] needs an `id` and a `name`")
        if row["id"] in names or row["name"] in names.values() or not row["name"]:
            raise shared.Fault(
                f"categories[{k}]: the id {row['id']!r} or the name {row['name']!r} is empty or stands twice"
            )
        names[row["id"]] = row["name"]
    return names


def _coco_image(row: Any, where: str, lookup: _Lookup) -> shared.Draft:
    if not isinstance(row, dict) or type(row.get("id")) not in (int, str) or not isinstance(row.get("file_name"), str):
        raise shared.Fault("an image needs an `id` and a `file_name`")
    name = row["file_name"].replace("\\", "/").removeprefix("./")
    if ".." in name.split("/") or "\0" in name:
        raise shared.Fault(f"`file_name` {row['file_name']!r} leads out of the data's folder")
    stated = None
    if row.get("width") is not None or row.get("height") is not None:
        stated = _side(row.get("width")), _side(row.get("height"))
    extra = {key: value for key, value in row.items() if key not in ("file_name", "width", "height")}
    return shared.Draft(lookup.find(name), where, stated, extra=extra)


def _side(value: Any) -> int:
    if type(value) not in (int, float) or not value > 0 or value % 1:
        raise shared.Fault(f"its width or height is {value!r}, not a number of px")
    return int(value)


def _coco_box(row: Any, names: dict[int | str, str]) -> tuple[int | str, Box]:
    if not isinstance(row, dict) or type(row.get("image_id")) not in (int, str):
        raise shared.Fault("an annotation needs an `image_id`")
    code, bbox = row.get("category_id"), row.get("bbox")
    if type(code) not in (int, str) or code not in names:
        raise shared.Fault(f"`category_id` {code!r} is none of the categories")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(type(value) in (int, float) for value in bbox):
        raise shared.Fault(f"`bbox` is [x, y, width, height] in px, not {str(bbox)[:60]}")
    x, y, width, height = (float(value) for value in bbox)
    if not all(map(math.isfinite, (x, y, width, height))):
        raise shared.Fault("`bbox` has a number that is too large")
    extra = {key: value for key, value in row.items() if key not in ("image_id", "category_id", "bbox")}
    return row["image_id"], Box(names[code], x, y, round(x + width, _PLACES), round(y + height, _PLACES), extra)


# The German Traffic Sign Detection Benchmark --------------------------------------------------------------------------


def gtsdb_fits(path: Path) -> bool:
    if path.is_file():
        return path.name.lower() == "gt.txt"
    return path.is_dir() and any(True for _ in _gt_files(path))


def _gt_files(path: Path) -> list[Path]:
    """Return the gt.txt of a folder, or those of the folders in it that are called as splits are."""
    if (path / "gt.txt").is_file():
        return [path / "gt.txt"]
    folders = [child for child in sorted(path.iterdir()) if shared.split_of(child.name) and child.is_dir()]
    return [folder / "gt.txt" for folder in folders if (folder / "gt.txt").is_file()]


def gtsdb_parts(path: Path) -> dict[str, FilePart]:
    """Find the gt.txt; the complete benchmark has a part for training and one for the test."""
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else _gt_files(path) if path.is_dir() else []
    if len(files) == 1 and files[0].parent == root:
        name = files[0].name
        beside = [file.name for file in root.iterdir() if re.fullmatch(r"\d{5}\.(ppm|png|jpe?g)", file.name)]
        if len(beside) == _IN_FULL and {int(file[:5]) for file in beside} == set(range(_IN_FULL)):
            return {"train": FilePart(root, name, 0, _TRAINING - 1), "test": FilePart(root, name, _TRAINING)}
        return {"train": FilePart(root, name)}
    found = {shared.split_of(file.parent.name) or "train": file.relative_to(root).as_posix() for file in files}
    return {split: FilePart(root, found[split]) for split in SPLITS if split in found}


def read_gtsdb(part: FilePart, faults: shared.Faults, progress: Progress | None) -> shared.Found:
    """Read a gt.txt. The images are those of its folder, without subfolders: the benchmark's hold what was cut out."""
    path = part.root / part.file
    folder = PurePosixPath(part.file).parent.as_posix().lstrip(".")
    names = side_names(part.root) or GTSDB_NAMES
    start = len(folder) + 1 if folder else 0
    below = {file[start:]: file for file in shared.images_below(part.root, folder)}
    with shared.naming(path):
        rows = shared.text_lines(path)
    drafts = {name: shared.Draft(file, str(part.root / file)) for name, file in below.items() if "/" not in name}
    alike = ImageNames(drafts)
    for line, row in enumerate(rows, 1):
        try:
            if row.strip():
                name, box = _gt_box(row, names)
                if name not in below:
                    name = alike.taken.get(name) or alike.alike(name, [""]) or name
                if name in below:
                    draft = drafts.setdefault(name, shared.Draft(below[name], shared.at(path, line)))
                    draft.boxes.append((shared.at(path, line), box))
                elif _within(part, name):
                    raise shared.Fault(f"there is no image {name!r}")
        except shared.Fault as fault:
            faults.add(shared.at(path, line), fault.reason)
    faults.entries += alike.entries()
    return shared.Found([draft for name, draft in drafts.items() if _within(part, name)], names)


def _within(part: FilePart, name: str) -> bool:
    if not part.first and part.last is None:
        return True
    match = re.match(r"\d{5}", name)
    return bool(match) and part.first <= int(name[:5]) <= (_IN_FULL if part.last is None else part.last)


def _gt_box(row: str, names: tuple[str, ...]) -> tuple[str, Box]:
    words = [word.strip() for word in row.split(";")]
    if len(words) != 6:
        raise shared.Fault(f"{len(words)} values; a line is `image;left;top;right;bottom;class`")
    left, top, right, bottom, code = (shared.number(word) for word in words[1:])
    if not inside(words[0]):
        raise shared.Fault(f"{words[0]!r} leads out of the data's folder")
    if code % 1 or not 0 <= code < len(names):
        raise shared.Fault(f"the class {words[5]} is not one of the {len(names)} names (0 to {len(names) - 1})")
    return words[0], Box(names[int(code)], left, top, right, bottom)


def side_names(root: Path) -> tuple[str, ...]:
    """Return the names of the classes that a side file gives a gt.txt, or ()."""
    side = read_side(root)
    names = side.get("names", [])
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def read_side(root: Path) -> dict[str, Any]:
    """Return the side file of a folder, {} where it has none."""
    path = root / SIDE_FILE
    if not path.is_file():
        return {}
    side = load_json(path)
    if not isinstance(side, dict) or side.get("version") != 1 or not isinstance(side.get("splits"), dict):
        raise DataError(
            f"{path} is no side file that this version reads. Delete it to read what the format itself holds."
        )
    return side

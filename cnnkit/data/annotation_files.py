"""What files of annotations say: Pascal VOC's XML, COCO's JSON, YOLO's text and the gt.txt of the German benchmark.

Design choices:
- A reader finds the parts of a data set (its splits) and reads one of them into drafts: pictures as the file states them,
  each box with the line it stands on. What the images themselves say is held against the drafts by `annotations`.
- Corners are taken as they stand. YOLO's are fractions of the image and rounded to 1e-9 px, so that what was a whole number
  of px comes back as one.
- XML is read by expat with handlers that refuse any DOCTYPE before an entity could be declared, let alone expanded, and with
  limits on bytes, depth and elements. YAML is loaded by `safe_load`. All files have a limit on bytes.
- A file name from a file is used only if it leads to an image that a walk below the data set's folder met, so neither ".."
  nor an absolute path leads out.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from xml.parsers import expat

from cnnkit.data.boxes import Box
from cnnkit.data.cards import inside
from cnnkit.data.folders import SPLITS
from cnnkit.data.records import Progress
from cnnkit.device import image
from cnnkit.errors import DataError, MissingExtra

SIDE_FILE = "cnnkit-extra.json"  # what a format cannot hold, written beside it by `annotation_writers`
MOST_XML_BYTES = 8 * 2**20
MOST_XML_DEPTH = 16
MOST_XML_ELEMENTS = 200_000
MOST_TEXT_BYTES = 256 * 2**20  # of a YOLO label file, a list of images, a gt.txt
MOST_YAML_BYTES = 2**20
IMAGE_FOLDERS = ("images", "JPEGImages", "Images", "imgs", "img")
XML_FOLDERS = ("annotations", "Annotations", "xmls", "labels")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)
_NOT_NORMALISED = 10  # a fraction of the image beyond which a value must be px


@dataclass
class Draft:
    """A picture as its file of annotations states it.

    Attributes:
        file: path of the image below the root, with /.
        where: the file, or file and line, that states it.
        size: (width, height) in px as stated, or None.
        boxes: (where, box).
        fractions: whether the corners are fractions of the image's size.
        extra: as `Picture.extra`.
    """

    file: str
    where: str
    size: tuple[int, int] | None = None
    boxes: list[tuple[str, Box]] = field(default_factory=list)
    fractions: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """What a reader makes of one split: its drafts, the labels in the source's order or (), and `Annotations.extra`."""

    drafts: list[Draft]
    labels: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Faults:
    """What is wrong with the data: an error at once, or with `skip` a list."""

    def __init__(self, skip: bool):
        self.skip = skip
        self.bad: list[tuple[str, str]] = []

    def add(self, where: str, reason: str) -> None:
        where = image.printable(where)
        if not self.skip:
            raise DataError(f"{where}: {image.printable(reason)}. Repair it, or leave out what is bad with --skip-bad.")
        self.bad.append((where, image.printable(reason)))


class Fault(Exception):
    """A fault within a file, its place known to whoever catches it."""

    def __init__(self, reason: str, line: int | None = None):
        super().__init__(reason)
        self.reason, self.line = reason, line


@dataclass(frozen=True)
class Format:
    """A format: `parts` finds the splits in a folder or file (none where it is not of this format), `read` reads one."""

    parts: Callable[[Path], dict[str, Any]]
    read: Callable[[Path, Any, Faults, Progress | None], Found]


def number(text: str) -> float:
    """Return the number that a text is; a text that is none, NaN and infinity are a Fault."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise Fault(f"{text[:40]!r} is not a number")
    value = float(text)
    if not math.isfinite(value):
        raise Fault(f"{text[:40]!r} is too large a number")
    return value


def at(path: Path | str, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


def small_file(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{image.printable(str(path))} cannot be read: {error.strerror}.") from None
    if len(data) > most:
        raise DataError(f"{image.printable(str(path))} is larger than the {most:,} bytes that such a file may have.")
    return data


def text_lines(path: Path) -> list[str]:
    """Read a text file of annotations: its lines, without a byte order mark."""
    try:
        return small_file(path, MOST_TEXT_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{image.printable(str(path))} is not UTF-8 text (byte {error.start + 1}).") from None


def walk(root: Path, below: str = "") -> Iterator[str]:
    """Yield all files below a folder as paths with /, sorted; no hidden ones, and no links to folders."""
    try:
        with os.scandir(root / below) as entries:
            rows = sorted((e.name, e.is_dir(), e.is_dir(follow_symlinks=False)) for e in entries)
    except OSError as error:
        raise DataError(f"The folder {root / below} cannot be read: {error.strerror}.") from None
    for name, folder, own in rows:
        if name.startswith("."):
            continue
        path = f"{below}/{name}" if below else name
        if own:
            yield from walk(root, path)
        elif not folder:
            yield path


def is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image.SUFFIXES  # noqa: PTH122 - a Path for each of a million is slow


def images_below(root: Path, below: str = "") -> list[str]:
    return [path for path in walk(root, below) if is_image(path)]


def subfolder(root: Path, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if (root / name).is_dir()), None)


def split_of(word: str) -> str | None:
    """Return "train", "validation" or "test" for how a split is called in any source, such as val or Training."""
    word = re.sub(r"\d{4}$", "", word.lower()).rstrip("-_")
    return next((split for split, spellings in SPLITS.items() if word in spellings), None)


# Pascal VOC -----------------------------------------------------------------------------------------------------------


@dataclass
class Element:
    """An XML element: its text, its line, its children."""

    tag: str
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def child(self, tag: str) -> "Element | None":
        return next((child for child in self.children if child.tag == tag), None)

    def value(self) -> Any:
        """Return an int where the text is a plain whole number, a text, or of nested elements a dict (lists of repeated)."""
        if not self.children:
            return int(self.text) if _WHOLE.fullmatch(self.text) else self.text
        return values(self.children)


def values(elements: list[Element]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for element in elements:
        found.setdefault(element.tag, []).append(element.value())
    return {tag: many if len(many) > 1 else many[0] for tag, many in found.items()}


def parse_xml(data: bytes) -> Element:
    """Parse a small XML file into elements.

    Raises:
        Fault: not well-formed, a DOCTYPE or entity, nested too deeply, or too many elements.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    top = Element("", 0)
    stack, count = [top], 0

    def refuse(*_: Any) -> NoReturn:
        raise Fault("it has a DOCTYPE or an entity, which annotations have no use for", parser.CurrentLineNumber)

    def start(tag: str, _: Any) -> None:
        nonlocal count
        count += 1
        if len(stack) > MOST_XML_DEPTH or count > MOST_XML_ELEMENTS:
            raise Fault("its elements are too many or too deeply nested", parser.CurrentLineNumber)
        element = Element(tag, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        element = stack.pop()
        element.text = element.text.strip()

    def characters(text: str) -> None:
        stack[-1].text += text

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Fault(f"it is not XML: {expat.ErrorString(error.code)}", error.lineno) from None
    except (LookupError, ValueError):
        raise Fault("it is in an encoding that is not known", 1) from None
    return top.children[0]


@dataclass(frozen=True)
class VocPart:
    """The XML files of a split, as paths below the root."""

    files: tuple[str, ...]


def voc_parts(path: Path) -> dict[str, VocPart]:
    """Find the XML files: of ImageSets/Main/*.txt, of folders called train, val or test, else all of them."""
    if not path.is_dir():
        return {}
    folder = subfolder(path, XML_FOLDERS)
    files = [file for file in walk(path, folder or "") if file.lower().endswith(".xml")]
    if not files and folder:
        files = [file for file in walk(path) if file.lower().endswith(".xml")]
    if not files:
        return {}
    sets = path / "ImageSets" / "Main"
    parts: dict[str, VocPart] = {}
    if sets.is_dir():
        stems = {PurePosixPath(file).relative_to(folder or ".").with_suffix("").as_posix(): file for file in files}
        for name in ("train", "val", "test", "trainval"):
            split = "train" if name == "trainval" else split_of(name)
            if (sets / f"{name}.txt").is_file() and split and split not in parts:
                parts[split] = _voc_set(sets / f"{name}.txt", stems)
        if parts:
            return parts
    by_split: dict[str, list[str]] = {}
    for file in files:
        words = [split_of(word) for word in PurePosixPath(file).parts[:-1]]
        by_split.setdefault(next((word for word in words if word), ""), []).append(file)
    if "" in by_split or "train" not in by_split:
        return {"train": VocPart(tuple(files))}
    return {split: VocPart(tuple(by_split[split])) for split in SPLITS if split in by_split}


def _voc_set(path: Path, stems: dict[str, str]) -> VocPart:
    chosen = []
    for line, text in enumerate(text_lines(path), 1):
        name = text.strip()
        if name and name not in stems:
            raise DataError(
                f"{at(path, line)}: there is no annotation {image.printable(name)}.xml. Add it or the line goes."
            )
        if name:
            chosen.append(stems[name])
    return VocPart(tuple(dict.fromkeys(chosen)))


def read_voc(root: Path, part: VocPart, faults: Faults, progress: Progress | None) -> Found:
    """Read the XML files of a split."""
    pictures = images_below(root)
    known, beside = set(pictures), {PurePosixPath(file).parent.as_posix() for file in pictures}
    folders = [folder for folder in (*IMAGE_FOLDERS, ".") if folder in beside]
    folders += sorted(beside - set(folders))
    drafts = []
    for count, file in enumerate(part.files):
        if progress and count % 500 == 0:
            progress("Reading annotations", count, len(part.files))
        try:
            draft = _voc_draft(root, file, known, folders, faults)
            drafts.append(draft)
        except Fault as fault:
            faults.add(at(root / file, fault.line), fault.reason)
    extra = {}
    used = {draft.file for draft in drafts}
    alone = [name for name in pictures if name not in used] if len(part.files) and not faults.bad else []
    if alone and len(voc_parts(root)) == 1:
        extra["unannotated"] = alone
    return Found(drafts, extra=extra)


def _voc_draft(root: Path, file: str, known: set[str], folders: list[str], faults: Faults) -> Draft:
    top = parse_xml(small_file(root / file, MOST_XML_BYTES))
    if top.tag != "annotation":
        raise Fault(f"its root is <{top.tag}>, not <annotation>: it is not Pascal VOC", top.line)
    name = top.child("filename")
    draft = Draft(_voc_image(file, name, known, folders), str(root / file))
    draft.size = _voc_size(top.child("size"))
    kept = [child for child in top.children if child.tag not in ("filename", "object", "size")]
    kept += [child for child in _children(top.child("size")) if child.tag not in ("width", "height")]
    draft.extra = values(kept)
    for element in top.children:
        if element.tag == "object":
            try:
                draft.boxes.append((at(root / file, element.line), _voc_box(element)))
            except Fault as fault:
                faults.add(at(root / file, fault.line or element.line), fault.reason)
    return draft


def _children(element: Element | None) -> list[Element]:
    return element.children if element else []


def _voc_image(file: str, name: Element | None, known: set[str], folders: list[str]) -> str:
    """Find the image that an XML file means: by its <filename>, with any suffix where that has none, or by its own name."""
    own = PurePosixPath(file)
    text = name.text.replace("\\", "/") if name else ""
    if text and not inside(text):
        raise Fault(f"its <filename> {text!r} leads out of the data's folder", name.line if name else None)
    wanted = text or own.stem
    suffixes = ("",) if is_image(wanted) else ("", *sorted(image.SUFFIXES))
    places = [own.parent.as_posix(), *folders]
    inner = own.parts[1:-1]  # annotations/a/1.xml may mean images/a/1.png
    for place in [f"{folder}/{'/'.join(inner)}" for folder in folders if inner] + places:
        for suffix in suffixes:
            path = f"{wanted}{suffix}" if place == "." else f"{place}/{wanted}{suffix}"
            if path in known:
                return path
    raise Fault(f"there is no image {wanted!r}", name.line if name else None)


def _voc_size(size: Element | None) -> tuple[int, int] | None:
    """Return the stated size; 0 x 0 is how some tools write that they do not know it."""
    if size is None:
        return None
    sides = []
    for tag in ("width", "height"):
        side = size.child(tag)
        if side is None:
            raise Fault(f"its <size> has no <{tag}>", size.line)
        try:
            value = number(side.text)
        except Fault as fault:
            raise Fault(f"<{tag}> {fault.reason}", side.line) from None
        if value < 0 or value % 1:
            raise Fault(f"<{tag}> is {side.text!r}, not a number of px", side.line)
        sides.append(int(value))
    return (sides[0], sides[1]) if any(sides) else None


def _voc_box(element: Element) -> Box:
    name, box = element.child("name"), element.child("bndbox")
    if name is None or not name.text:
        raise Fault("an <object> has no <name>", element.line)
    if box is None:
        raise Fault(f"the <object> {name.text!r} has no <bndbox>", element.line)
    corners = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        corner = box.child(tag)
        if corner is None:
            raise Fault(f"the <bndbox> of {name.text!r} has no <{tag}>", element.line)
        try:
            corners.append(number(corner.text))
        except Fault as fault:
            raise Fault(f"<{tag}> of {name.text!r}: {fault.reason}", element.line) from None
    extra = values([child for child in element.children if child.tag not in ("name", "bndbox")])
    left, top, right, bottom = corners
    return Box(name.text, left, top, right, bottom, extra)


# YOLO -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class YoloPart:
    """A split of a data.yaml: its entries (folders and lists below the root) and the names of the classes."""

    yaml: Path
    root: Path
    entries: tuple[str, ...]
    names: tuple[str, ...]


def yolo_file(path: Path) -> Path | None:
    """Return the data.yaml that is meant: the file itself, or the one in the folder, also under another name."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    if not path.is_dir():
        return None
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (path / name).is_file():
            return path / name
    others = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return others[0] if len(others) == 1 and b"names" in small_file(others[0], MOST_YAML_BYTES) else None


def load_yaml(path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise MissingExtra('A data.yaml needs PyYAML. Run `pip install "cnnkit[train]"`.') from None
    data = small_file(path, MOST_YAML_BYTES)
    if re.search(rb"(^|[\s\[{,:-])[&*][A-Za-z0-9_]", data):  # nine lines of aliases stand for a billion values
        raise DataError(f"{path} has YAML anchors (&, *), which a data.yaml has no use for. Write the values out.")
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "its characters"
        raise DataError(f"{at(path, mark and mark.line + 1)}: it is not YAML ({reason}).") from None
    except (ValueError, RecursionError) as error:  # a date that is none, brackets without end
        raise DataError(f"{path} is not YAML that can be read: {error}.") from None


def yolo_parts(path: Path) -> dict[str, YoloPart]:
    """Find the splits of a data.yaml; two that name the same folders are one."""
    file = yolo_file(path)
    if file is None:
        return {}
    table = load_yaml(file)
    if not isinstance(table, dict) or "names" not in table:
        raise DataError(f"{file} is no data.yaml of YOLO: it needs `names` and `train`.")
    names = _yolo_names(table["names"], file)
    stated = table.get("path") or "."
    if not isinstance(stated, str):
        raise DataError(f"{file}: `path` is a folder, not {stated!r}.")
    root = file.parent / os.path.expanduser(stated)  # noqa: PTH111
    root = root if root.is_dir() else file.parent  # the path of another machine
    parts: dict[str, YoloPart] = {}
    seen: list[tuple[str, ...]] = []
    for split, key in (("train", "train"), ("validation", "val"), ("validation", "valid"), ("test", "test")):
        entries = table.get(key)
        if not entries or split in parts:
            continue
        listed = entries if isinstance(entries, list) else [entries]
        found = tuple(_yolo_entry(entry, key, root, file) for entry in listed)
        if found not in seen:
            parts[split] = YoloPart(file, root, found, names)
            seen.append(found)
    if not parts:
        raise DataError(f"{file} names no images: it needs `train`, a folder or a list of images.")
    return parts


def _yolo_names(names: Any, file: Path) -> tuple[str, ...]:
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{file}: the numbers of `names` are 0 to {len(names) - 1}, one each.")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str | int | float) for name in names):
        raise DataError(f"{file}: `names` is a list of the classes' names.")
    texts = tuple(str(name).strip() for name in names)
    if len(set(texts)) < len(texts) or "" in texts:
        raise DataError(f"{file}: `names` has an empty name or one twice.")
    return texts


def _yolo_entry(entry: Any, key: str, root: Path, file: Path) -> str:
    """Return a split's folder or list as a path below the root. Roboflow's ../train/images lies beside its data.yaml."""
    if not isinstance(entry, str):
        raise DataError(f"{file}: `{key}` is a folder, a list (.txt) or several of them, not {entry!r}.")
    found = _below(root, entry)
    stripped = re.sub(r"^(\.\./)+", "", entry)
    if (found is None or not (root / found).exists()) and (root / stripped).exists():
        found = _below(root, stripped)
    if found is None:
        raise DataError(f"{file}: `{key}` is {entry!r}, which lies outside the data's folder {root}.")
    if not (root / found).exists():
        raise DataError(f"{file}: `{key}` names {root / found}, which is not there.")
    return found


def _below(root: Path, entry: str) -> str | None:
    """Return a path as one below `root`, or None where it leads out."""
    path = PurePosixPath(os.path.normpath(os.path.join(root, entry)))  # noqa: PTH118
    base = PurePosixPath(os.path.normpath(root))
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def read_yolo(root: Path, part: YoloPart, faults: Faults, progress: Progress | None) -> Found:
    """Read the label files of a split. An image without one has no boxes, and `unlabelled` in its extra."""
    files: dict[str, str] = {}
    for entry in part.entries:
        if (part.root / entry).is_dir():
            below = "" if entry == "." else entry
            files.update({file: str(part.root / file) for file in images_below(part.root, below)})
        else:
            files.update(_yolo_list(part, entry, faults))
    drafts = []
    for count, (file, where) in enumerate(files.items()):
        if progress and count % 500 == 0:
            progress("Reading annotations", count, len(files))
        draft = Draft(file, where, fractions=True)
        label = part.root / label_file(file)
        try:
            rows = text_lines(label)
        except DataError as error:
            if label.exists():
                faults.add(str(label), str(error).removeprefix(f"{label} ").rstrip("."))
                continue
            draft.extra["unlabelled"] = True
            rows = []
        for line, row in enumerate(rows, 1):
            try:
                if row.strip():
                    draft.boxes.append((at(label, line), yolo_box(row, part.names)))
            except Fault as fault:
                faults.add(at(label, line), fault.reason)
        drafts.append(draft)
    return Found(drafts, part.names)


def _yolo_list(part: YoloPart, entry: str, faults: Faults) -> Iterator[tuple[str, str]]:
    """Yield (image below the root, where) of a list of images; its lines are relative to the root or to the list."""
    for line, row in enumerate(text_lines(part.root / entry), 1):
        where, text = at(part.root / entry, line), row.strip().replace("\\", "/")
        if not text:
            continue
        beside = (part.root / entry).parent
        places = [base / text for base in (part.root, beside)] if not text.startswith("./") else [beside / text]
        found = [_below(part.root, str(place)) for place in [*places, part.root / text]]
        good = [path for path in found if path and (part.root / path).is_file()]
        if good:
            yield good[0], where
        elif not any(found):
            faults.add(where, f"{text!r} leads out of the data's folder")
        else:
            faults.add(where, f"there is no image {text!r}")


def label_file(file: str) -> str:
    """Return where the labels of an image are: in labels/ beside the last images/ of its path, else beside it."""
    parts = file.split("/")
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == "images":
            parts[place] = "labels"
            break
    return "/".join(parts).rpartition(".")[0] + ".txt"


def yolo_box(row: str, names: tuple[str, ...]) -> Box:
    """Read a line `class cx cy w h`, or `class x y x y x y ...` of a polygon, as a box in fractions of the image."""
    words = row.split()
    if len(words) < 5 or (len(words) > 5 and (len(words) < 7 or len(words) % 2 == 0)):
        raise Fault(f"{len(words)} values; a line is `class cx cy w h`, or `class x y x y x y ...` of a polygon")
    code = number(words[0])
    if code % 1 or not 0 <= code < len(names):
        raise Fault(f"the class {words[0]} is not one of the {len(names)} names (0 to {len(names) - 1})")
    values = [number(word) for word in words[1:]]
    if max(map(abs, values)) > _NOT_NORMALISED:
        raise Fault("its values are px, not fractions of the image's width and height")
    if len(values) > 4:
        left, top, right, bottom = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        return Box(names[int(code)], left, top, right, bottom, {"polygon": values})
    x, y, width, height = values
    if width <= 0 or height <= 0:
        raise Fault(f"a box of {words[3]} x {words[4]}: it needs a width and a height above 0")
    return Box(names[int(code)], x - width / 2, y - height / 2, x + width / 2, y + height / 2)


FORMATS: dict[str, Format] = {
    "yolo": Format(yolo_parts, read_yolo),
    "voc": Format(voc_parts, read_voc),
}

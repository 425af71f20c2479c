"""Annotations in Pascal VOC's XML, a file for each image.

Design choices:
- Corners are taken as they stand, without the 1 that the format's first users counted from.
- XML is read by expat with handlers that refuse any DOCTYPE before an entity could be declared, let alone expanded, and with
  limits on bytes, depth and elements.
- An image that is not called as its <filename> says, or whose <filename> is a path of another machine, is found by nearly
  that name, else by the XML's own; whoever is named rightly comes first. Which were taken so is told.
- What else is said of an image or object is kept: a plain whole number as int, other text as it is, nested elements as a dict.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from xml.parsers import expat

from cnnkit.data.cards import inside
from cnnkit.data.naming import SPLITS
from cnnkit.data.records import Progress
from cnnkit.device import image
from cnnkit.tasks.detection.boxes import Box
from cnnkit.tasks.detection.formats import files as shared
from cnnkit.tasks.detection.formats.images import ImageNames

MOST_BYTES = 8 * 2**20
MOST_DEPTH = 16
MOST_ELEMENTS = 200_000
FOLDERS = ("annotations", "Annotations", "xmls", "labels")
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)


@dataclass(slots=True)
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
        raise shared.Fault("it has a DOCTYPE or an entity, which annotations have no use for", parser.CurrentLineNumber)

    def start(tag: str, _: Any) -> None:
        nonlocal count
        count += 1
        if len(stack) > MOST_DEPTH or count > MOST_ELEMENTS:
            raise shared.Fault("its elements are too many or too deeply nested", parser.CurrentLineNumber)
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
        raise shared.Fault(f"it is not XML: {expat.ErrorString(error.code)}", error.lineno) from None
    except (LookupError, ValueError):
        raise shared.Fault("it is in an encoding that is not known", 1) from None
    return top.children[0]


@dataclass(frozen=True)
class VocPart:
    """The XML files of a split, as paths below the root. `whole`: whether they are all there are."""

    root: Path
    files: tuple[str, ...]
    whole: bool = False

    @property
    def title(self) -> str:
        return f"{len(self.files):,} XML files"


def voc_fits(path: Path) -> bool:
    """Say whether there are XML files of Pascal VOC where they are looked for, without a walk through all files."""
    if not path.is_dir():
        return False
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries)
    beside = (name for name in names if name.lower().endswith(".xml"))
    below = (
        f"{name}/{file}"
        for name in names
        if (name in FOLDERS or shared.split_of(name)) and (path / name).is_dir()
        for file in shared.walk(path / name)
        if file.lower().endswith(".xml")
    )
    first = next(beside, None) or next(below, None)
    return first is not None and b"<annotation" in _start(path / first)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def voc_parts(path: Path) -> dict[str, VocPart]:
    """Find the XML files: of ImageSets/Main/*.txt, of folders called train, val or test, else all of them."""
    if not path.is_dir():
        return {}
    folder = shared.subfolder(path, FOLDERS)
    files = [file for file in shared.walk(path, folder or "") if file.lower().endswith(".xml")]
    if not files and folder:
        folder, files = None, [file for file in shared.walk(path) if file.lower().endswith(".xml")]
    sets = path / "ImageSets" / "Main"
    parts: dict[str, VocPart] = {}
    if files and sets.is_dir():
        start = len(folder) + 1 if folder else 0
        stems = {file[start:-4]: file for file in files}
        for name in ("train", "val", "test", "trainval"):
            split = "train" if name == "trainval" else shared.split_of(name)
            if split and split not in parts and (sets / f"{name}.txt").is_file():
                parts[split] = VocPart(path, _voc_set(sets / f"{name}.txt", stems))
        if parts:
            return parts
    by_split: dict[str, list[str]] = {}
    for file in files:
        words = [shared.split_of(word) for word in file.split("/")[:-1]]
        by_split.setdefault(next((word for word in words if word), ""), []).append(file)
    if "" in by_split or "train" not in by_split:
        return {"train": VocPart(path, tuple(files), whole=True)} if files else {}
    return {split: VocPart(path, tuple(by_split[split])) for split in SPLITS if split in by_split}


def _voc_set(path: Path, stems: dict[str, str]) -> tuple[str, ...]:
    chosen = []
    with shared.naming(path):
        for line, text in enumerate(shared.text_lines(path), 1):
            name = text.strip()
            if name and name not in stems:
                raise shared.Fault(f"there is no annotation {name!r} (.xml). Add it or remove the line", line)
            if name:
                chosen.append(stems[name])
    return tuple(dict.fromkeys(chosen))


def read_voc(part: VocPart, faults: shared.Faults, progress: Progress | None) -> shared.Found:
    """Read the XML files of a split. Where they are all, images without one are `unannotated` in the extra."""
    pictures = shared.images_below(part.root)
    names, beside = ImageNames(pictures), {file.rpartition("/")[0] for file in pictures}
    beside |= {folder.partition("/")[0] for folder in beside}
    folders = [folder for folder in (*shared.IMAGE_FOLDERS, "") if folder in beside]
    folders += sorted(beside - set(folders))
    drafts: list[shared.Draft] = []
    guessed: set[str] = set()
    for count, file in enumerate(part.files):
        if progress and count % 500 == 0:
            progress("Reading annotations", count, len(part.files))
        try:
            known = len(names.taken)
            drafts.append(_voc_draft(part.root, file, names, folders, faults))
            guessed |= {drafts[-1].where} if len(names.taken) > known else set()
        except shared.Fault as fault:
            faults.add(shared.at(part.root / file, fault.line), fault.reason)
    drafts.sort(key=lambda draft: draft.where in guessed)  # who is named rightly has the image
    faults.entries += names.entries()
    used = {draft.file for draft in drafts}
    alone = [name for name in pictures if name not in used] if part.whole and not faults.bad else []
    return shared.Found(drafts, extra={"unannotated": alone} if alone else {})


def _voc_draft(root: Path, file: str, names: ImageNames, folders: list[str], faults: shared.Faults) -> shared.Draft:
    path = f"{root}/{file}"
    top = parse_xml(shared.small_file(path, MOST_BYTES))
    if top.tag != "annotation":
        raise shared.Fault(f"its root is <{top.tag}>, not <annotation>: it is not Pascal VOC", top.line)
    name = top.child("filename")
    draft = shared.Draft(_voc_image(file, name, names, folders), path)
    draft.size = _voc_size(top.child("size"))
    kept = [child for child in top.children if child.tag not in ("filename", "object", "size")]
    kept += [child for child in _children(top.child("size")) if child.tag not in ("width", "height")]
    draft.extra = values(kept)
    for element in top.children:
        if element.tag == "object":
            try:
                draft.boxes.append((shared.at(path, element.line), _voc_box(element)))
            except shared.Fault as fault:
                faults.add(shared.at(path, fault.line or element.line), fault.reason)
    return draft


def _children(element: Element | None) -> list[Element]:
    return element.children if element else []


def _voc_image(file: str, name: Element | None, names: ImageNames, folders: list[str]) -> str:
    """Find the image that an XML file means: by its <filename>, with any suffix where that has none, or by its own name."""
    own = PurePosixPath(file)
    text = name.text.replace("\\", "/") if name else ""
    line, given = name.line if name else None, text
    if text and not inside(text):
        if ".." in text.split("/"):
            raise shared.Fault(f"its <filename> {text!r} leads out of the data's folder", line)
        text = text.rpartition("/")[2]  # of a path of another machine
    wanted = text or own.stem
    suffixes = ("",) if image.is_named(wanted) else ("", *sorted(image.SUFFIXES))
    inner = "/".join(own.parts[1:-1])  # annotations/a/1.xml means images/a/1.png before images/1.png
    beside = own.parent.as_posix().lstrip(".")
    places = [f"{folder}/{inner}".strip("/") for folder in folders if inner] + [beside, *folders]
    for place in places:
        paths = [f"{place}/{wanted}{suffix}".lstrip("/") for suffix in suffixes]
        there = [path for path in paths if path in names.files]
        if len(there) > 1:
            raise shared.Fault(f"its image may be {there[0]} or {there[1]}", line)
        if there:
            return there[0]
    try:
        found = names.alike(wanted, places) if image.is_named(wanted) else None
        found = found or names.alike(own.stem, places, f"{own.name} ({given})")
    except shared.Fault as fault:
        raise shared.Fault(fault.reason, line) from None
    if found is None:
        raise shared.Fault(f"there is no image {given or wanted!r}", line)
    return found


def _voc_size(size: Element | None) -> tuple[int, int] | None:
    """Return the stated size; 0 x 0 is how some tools write that they do not know it."""
    if size is None:
        return None
    sides = []
    for tag in ("width", "height"):
        side = size.child(tag)
        if side is None:
            raise shared.Fault(f"its <size> has no <{tag}>", size.line)
        try:
            value = shared.number(side.text)
        except shared.Fault as fault:
            raise shared.Fault(f"<{tag}> {fault.reason}", side.line) from None
        if value < 0 or value % 1:
            raise shared.Fault(f"<{tag}> is {side.text!r}, not a number of px", side.line)
        sides.append(int(value))
    return (sides[0], sides[1]) if any(sides) else None


def _voc_box(element: Element) -> Box:
    name, box = element.child("name"), element.child("bndbox")
    if name is None or not name.text:
        raise shared.Fault("an <object> has no <name>", element.line)
    if box is None:
        raise shared.Fault(f"the <object> {name.text!r} has no <bndbox>", element.line)
    corners = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        corner = box.child(tag)
        if corner is None:
            raise shared.Fault(f"the <bndbox> of {name.text!r} has no <{tag}>", element.line)
        try:
            corners.append(shared.number(corner.text))
        except shared.Fault as fault:
            raise shared.Fault(f"<{tag}> of {name.text!r}: {fault.reason}", element.line) from None
    extra = values([child for child in element.children if child.tag not in ("name", "bndbox")])
    left, top, right, bottom = corners
    return Box(name.text, left, top, right, bottom, extra)
